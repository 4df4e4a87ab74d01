"""What stands below the root: each branch of a declared tree as the spec of one child, with what it is started with.

An account's own part is `kraken_account`.
"""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from allstop.actors.alerts.log_channel import LogChannel
from allstop.actors.clock_offset import ClockOffset
from allstop.actors.host_ledger import HostLedger
from allstop.actors.instruments import Instrument
from allstop.actors.journal import JournalActor
from allstop.actors.levels import ROOT, Level
from allstop.actors.market_data import Freshness, PairData, PublicConnection
from allstop.actors.observer import Observer
from allstop.actors.ports import World
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.spec import ChildSpec, ChildType, OnExceeded, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.checking import leaves
from allstop.supervisors.config import Budget, ChildNode, KrakenPublic, SupervisorNode, Tree
from allstop.supervisors.gates import longest_wait_s
from allstop.supervisors.kraken_account import SETTINGS, AccountParts, account_spec
from allstop.supervisors.supervisor import Supervisor
from allstop.supervisors.votes import Votes

ROOT_PATH = "/"


@dataclass(frozen=True)
class Branches:
    """Of one tree in one system. `parts` are those of its accounts, in the order of the tree."""

    tree: Tree
    system: ActorSystem
    world: World
    parts: list[AccountParts]
    instruments: dict[str, Instrument]
    fresh: Freshness

    @property
    def root(self) -> Ref:
        return self.system.address(ROOT_PATH)

    def specs(self) -> tuple[ChildSpec, ...]:
        """The root's children, in the order of their start."""
        public = tuple(self._public(node) for node in self.tree.data.children)
        return (
            self._infrastructure(),
            self._alerting(),
            self._accounts(),
            _supervisor("data", SupervisorFlags(), public),
            strategies_spec(self.tree),
            ChildSpec("observation", Start(Observer), restart=Restart.TEMPORARY),
        )

    def _infrastructure(self) -> ChildSpec:
        world, parts, root = self.world, self.parts, self.root
        journal = self.system.address("/infrastructure/journal")
        venue_of = {urlsplit(p.node.private_url).netloc: "kraken" for p in parts}
        venue_of |= {urlsplit(node.url).netloc: "kraken" for node in self.tree.data.children}
        children = [
            ChildSpec("journal", Start(JournalActor, (world.open_journal, "runtime"), {"votes": root})),
            ChildSpec("host_ledgers", Start(HostLedger, (), {"journal": journal, "venue_of": venue_of})),
        ]
        if parts:
            gates = tuple(p.at("trading/gate") for p in parts)
            kwargs = {
                "world": world,
                "base_url": rest_url(self.tree),
                "gates": gates,
                "votes": root,
                "scope": ROOT,
                "venue_clock": parts[0].checkpoint.clock,
            }
            children.append(ChildSpec("clock_offset", Start(ClockOffset, (), kwargs)))
        return _supervisor(
            "infrastructure", self.tree.infrastructure.flags(Strategy.REST_FOR_ONE), tuple(children)
        )

    def _accounts(self) -> ChildSpec:
        # One account that cannot be kept alive halts everything, and leaves the others' guardians alone.
        flags = replace(self.tree.accounts.budget, on_exceeded=OnExceeded.LATCH).flags(Strategy.ONE_FOR_ONE)
        votes = Votes(self.root, ROOT, Level.NONE, Level.HALTED)
        return _supervisor("accounts", flags, tuple(map(account_spec, self.parts)), votes)

    def _alerting(self) -> ChildSpec:
        # A channel that stays down for three trips (about a minute and a half) is nobody watching: READ_ONLY.
        votes = Votes(self.root, ROOT, Level.NONE, Level.READ_ONLY)
        return _supervisor(
            "alerting",
            _unprobed(self.tree.alerting).flags(Strategy.ONE_FOR_ONE),
            (ChildSpec("log", Start(LogChannel)),),
            votes,
        )

    def _public(self, node: KrakenPublic) -> ChildSpec:
        timing = SETTINGS[node.timing]
        path = f"/data/{node.id}"
        connection = self.system.address(f"{path}/connection")
        hosts = self.system.address("/infrastructure/host_ledgers")
        kwargs = {"url": node.url, "world": self.world, "hosts": hosts, "settings": timing}
        children = [
            ChildSpec(
                "connection",
                Start(PublicConnection, (), kwargs),
                backoff=node.backoff,
                shutdown=timing.close_timeout_s + 1.0,
            )
        ]
        for pair in node.pairs:
            scopes = tuple((a.venue, a.account, pair) for a in self.tree.accounts.children if pair in a.pairs)
            pair_kwargs = {
                "connection": connection, "instrument": self.instruments[pair], "freshness": self.fresh, "vote": self.root.tell,
                "scopes": scopes, "depth": node.depth, "settings": timing,
            }  # fmt: skip
            children.append(ChildSpec(f"book.{pair.replace('/', '-')}", Start(PairData, (), pair_kwargs)))
        votes = Votes(self.root, ("kraken",), Level.CACHED_DATA, Level.CACHED_DATA)
        return _supervisor(
            node.id, _unprobed(node.budget).flags(Strategy.ONE_FOR_ONE), tuple(children), votes
        )


def strategies_spec(tree: Tree) -> ChildSpec:
    """The branch of the user's own actors. Whoever starts waits for the turns of its children at gates, where all of
    the tree may stand in line."""
    children = tree.strategies.children
    wait_s = longest_wait_s(tree.gates, [node.gate for node in leaves(children)])
    specs = tuple(_node(node, wait_s) for node in children)
    spec = _supervisor("strategies", tree.strategies.budget.flags(Strategy.ONE_FOR_ONE), specs)
    return replace(spec, start_timeout_s=spec.start_timeout_s + wait_s)


def rest_url(tree: Tree) -> str:
    """Where a tree asks what concerns no account: the clock, the instruments. There is an account or a feed."""
    accounts, public = tree.accounts.children, tree.data.children
    return accounts[0].rest_url if accounts else public[0].rest_url


def _supervisor(
    child_id: str, flags: SupervisorFlags, children: tuple[ChildSpec, ...], votes: Votes | None = None
) -> ChildSpec:
    return ChildSpec(
        child_id, Start(Supervisor, (flags, children), {"votes": votes}), type=ChildType.SUPERVISOR
    )


def _unprobed(budget: Budget) -> Budget:
    """Where nobody probes, staying up for the cooldown closes the breaker."""
    return (
        replace(budget, pause=replace(budget.pause, probes=0))
        if budget.on_exceeded is OnExceeded.PAUSE
        else budget
    )


def _node(node: ChildNode | SupervisorNode, gates_wait_s: float) -> ChildSpec:
    match node:
        case ChildNode():
            return ChildSpec(
                node.id, Start(node.actor_class, node.args, dict(node.kwargs)), restart=node.restart, shutdown=node.shutdown,
                backoff=node.backoff, while_down=node.while_down,
                isolation=node.isolation, budget=node.budget, gate=node.gate, simulated_cost_s=node.simulated_cost_s,
            )  # fmt: skip
        case SupervisorNode():
            children = tuple(_node(below, gates_wait_s) for below in node.children)
            spec = _supervisor(node.id, _unprobed(node.budget).flags(node.strategy), children)
            return replace(spec, start_timeout_s=spec.start_timeout_s + gates_wait_s)
