"""Wiring: from a declared tree to a running one. This module alone sees everything.

`Runtime` is what an engine embeds:

```python
async with Runtime(tree) as runtime:
    order = await runtime.submit(OrderIntent(...))
```
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from allstop.actors.alerts.log_channel import LogChannel
from allstop.actors.clock import SystemClock, SystemDice, SystemIds
from allstop.actors.clock_offset import ClockOffset
from allstop.actors.commands import UNNAMED, GetCover, GetOrder, GetOrders, OrderView, Place
from allstop.actors.errors import BadInput, Problem
from allstop.actors.exits import Exit
from allstop.actors.host_ledger import HostLedger
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent
from allstop.actors.journal import JournalActor
from allstop.actors.ledger import AccountKey
from allstop.actors.levels import ROOT, Level, LevelBoard
from allstop.actors.links.host import FileHost
from allstop.actors.links.http import open_http
from allstop.actors.links.journal_sqlite import journal_opener
from allstop.actors.links.secrets import Redactor
from allstop.actors.links.websocket import connect_websocket
from allstop.actors.market_data import Freshness, PairData, PublicConnection
from allstop.actors.observer import Observer
from allstop.actors.order_gate import GateBoard
from allstop.actors.ports import ControlPort, World
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.spec import ChildSpec, ChildType, OnExceeded, Restart, Start, Strategy, SupervisorFlags
from allstop.actors.store_board import StoreBoard
from allstop.actors.venue_clock import VenueClock
from allstop.supervisors.checking import check_tree, leaves
from allstop.supervisors.config import Budget, ChildNode, KrakenAccount, KrakenPublic, SupervisorNode, Tree
from allstop.supervisors.control import Control
from allstop.supervisors.coordinated_shutdown import CoordinatedShutdown, Phase, ShutdownAborted, TaskOutcome
from allstop.supervisors.gates import longest_wait_s
from allstop.supervisors.halt import HaltRoot
from allstop.supervisors.held_loop import HeldLoop
from allstop.supervisors.keys import read_pair, secret_problem_in
from allstop.supervisors.kraken_account import (
    SETTINGS,
    AccountParts,
    account_path,
    account_spec,
    make_checkpoint,
    missing,
)
from allstop.supervisors.lasting import declare_gates
from allstop.supervisors.preflight import Keys, learn_instruments, probe_keys, wanted_pairs
from allstop.supervisors.standing_down import PROVE_S, OnStop, stand_down
from allstop.supervisors.submitted import SUBMIT_TIMEOUT_S, Order
from allstop.supervisors.supervisor import Supervisor
from allstop.supervisors.sync_runtime import SyncRuntime
from allstop.supervisors.votes import Votes

ROOT_PATH = "/"
STOP_TIMEOUT_S = 30.0  # the sum of a tree's shutdown timeouts, one after the other
PHASES = {
    "before_stop": Phase(timeout_s=10.0),  # yours: the tree runs and trades
    "stop_tree": Phase(("before_stop",), timeout_s=STOP_TIMEOUT_S + 10.0),
    "after_stop": Phase(("stop_tree",)),  # yours: no actor runs any more
}

STANDING_DOWN = {
    "stand_down": Phase(("before_stop",), timeout_s=PROVE_S + 5.0),
    "stop_tree": Phase(("before_stop", "stand_down"), timeout_s=STOP_TIMEOUT_S + 10.0),
}


def real_world(state_dir: str | Path) -> World:
    """Sockets, a disk and the machine's own clocks and dice."""
    clock = SystemClock()
    return World(
        clock=clock, dice=SystemDice(), ids=SystemIds(), connect_websocket=connect_websocket, open_http=open_http,
        open_journal=journal_opener(state_dir, clock), host=FileHost(state_dir, clock),
    )  # fmt: skip


class Runtime:
    """A running tree. Entering starts it, or raises BadInput (nothing started, nothing sent) or VenueUnreachable.

    `world` and `environ` are the real ones unless given. Leaving runs `shutdown`: your tasks of the phase before_stop,
    then the tree stops in reverse order of its start, then those of after_stop. `phases` adds phases to these three,
    or replaces them. `on_system` is called with the actor system before the first actor of the tree starts: for whoever
    wants to see every event. With `on_stop=OnStop.CANCEL` an orderly leaving cancels all entries first. After leaving,
    `leaked` names what could not be stopped, and `unproven` where entries may still rest.
    """

    def __init__(
        self,
        tree: Tree,
        *,
        world: World | None = None,
        environ: Mapping[str, str] | None = None,
        phases: Mapping[str, Phase] | None = None,
        on_system: Callable[[ActorSystem], None] | None = None,
        on_stop: OnStop = OnStop.KEEP,
    ) -> None:
        self.tree = tree
        self._on_system = on_system
        standing_down = STANDING_DOWN if on_stop is OnStop.CANCEL else {}
        self.shutdown = CoordinatedShutdown(PHASES | standing_down | dict(phases or {}))
        if standing_down:
            self.shutdown.add_task("stand_down", "entries", self._stand_down)
        self.unproven: list[str] = []
        self.shutdown.add_task("stop_tree", "tree", self._stop_tree)
        self.levels = LevelBoard()
        self.fresh = Freshness()
        self.gates: dict[str, GateBoard] = {}
        self.instruments: dict[str, Instrument] = {}
        self.redactor = Redactor()
        self._environ = os.environ if environ is None else environ
        self._given_world = world
        self._system: ActorSystem | None = None
        self._stack = AsyncExitStack()
        self._accounts_parts: list[AccountParts] = []
        self._control: ControlPort | None = None
        self.leaked: list[str] = []

    @property
    def system(self) -> ActorSystem:
        assert self._system is not None, "the runtime is not started: `async with Runtime(tree) as runtime`"
        return self._system

    @property
    def root(self) -> Ref:
        return self.system.address(ROOT_PATH)

    def address(self, path: str) -> Ref:
        """The address of any actor of the tree."""
        return self.system.address(path)

    def orders(self, account: str | None = None) -> Ref:
        """The `orders` of an account ("kraken.main"), or of the only one. Raises BadInput when that is not clear."""
        names = {node.id: node for node in self.tree.accounts.children}
        if account is None and len(names) == 1:
            account = next(iter(names))
        if account not in names:
            raise BadInput(
                Problem(f"which account? {account!r} is none of {', '.join(names) or 'none at all'}")
            )
        return self.address(f"{account_path(names[account])}/trading/orders")

    # -- life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._system is not None or self.shutdown.reason is not None:
            raise BadInput(Problem("a Runtime runs once: make another one of the same tree", self.tree.where))
        problems = check_tree(self.tree, secret_problem=lambda name: secret_problem_in(name, self._environ))
        if problems:
            raise BadInput(*problems)
        try:
            await self._start()
        except BaseException:
            await self._leave("it did not start", from_phase="stop_tree")
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave("left" if error is None else f"left by {type(error).__name__}: {error}")

    async def _leave(self, reason: str, *, from_phase: str | None = None) -> None:
        try:
            report = await self.shutdown.run(reason, from_phase=from_phase)
        finally:  # what is left when a phase ended the shutdown early, and the locks
            await self._stack.aclose()
        for failure in report.failures:
            if failure.phase == "stop_tree" and failure.outcome is TaskOutcome.TIMED_OUT:
                raise ShutdownAborted(
                    failure.phase, report
                )  # its own error is our cancellation: nobody's here
            if failure.phase == "stop_tree" and failure.error is not None:
                raise failure.error

    async def _start(self) -> None:
        world = self._given_world or real_world(self.tree.state_dir)
        keys = {node.id: self._locked_keys(node, world) for node in self.tree.accounts.children}
        self.instruments = await self._instruments(world)
        for node in self.tree.accounts.children:
            await probe_keys(world, node, keys[node.id], SETTINGS[node.timing])
        system = ActorSystem(clock=world.clock, dice=world.dice, ids=world.ids)
        await self._stack.enter_async_context(system)
        self._system = system
        if self._on_system is not None:
            self._on_system(system)
        held_loop = HeldLoop(system, self.levels, self.root)
        self._stack.callback(held_loop.close)
        self._stack.callback(system.subscribe(held_loop))
        answering = Control(self)  # from now on it remembers crashes
        declare_gates(system, *self.tree.gates)
        venue_clock = VenueClock(world.clock)
        parts = [self._parts(node, world, keys[node.id], venue_clock) for node in self.tree.accounts.children]
        self._accounts_parts = parts
        await system.spawn(
            HaltRoot, self.levels, world.host.latch, tuple(self._children(world, parts)),
            path=ROOT_PATH, halters={p.node.id: p.at("guardian") for p in parts}, ready_to_resume=self._missing,
            start_timeout_s=120.0,
        )  # fmt: skip
        system.freeze()
        control = world.host.control(answering.answer)
        await control.start()
        self._control = control
        self._stack.push_async_callback(control.close)

    async def _stand_down(self) -> None:
        guardians = [(parts.node.id, parts.at("guardian")) for parts in self._accounts_parts]
        self.unproven = await stand_down(
            self.root, guardians, self.shutdown.reason or "the engine is stopped"
        )

    async def _stop_tree(self) -> None:
        """Stops the tree in reverse order of its start. Orders and stops at the venue stay as they are."""
        if self._control is not None:
            await self._control.close()
        if self._system is not None:
            await self.system.stop(self.root, timeout_s=STOP_TIMEOUT_S)
            await self.system.close()
            self.leaked = list(self.system.leaked)

    def _locked_keys(self, node: KrakenAccount, world: World) -> Keys:
        key, secret = read_pair(node, node.api_key_env, node.api_secret_env, self._environ)
        found = [(key, secret)]
        if node.protect_key_env is not None and node.protect_secret_env is not None:
            found.append(read_pair(node, node.protect_key_env, node.protect_secret_env, self._environ))
        keys: list[AccountKey] = []
        for key, secret in found:
            self.redactor.add(key)
            self.redactor.add(secret)
            held = world.host.hold_key(node.venue, node.account, key.reveal())
            self._stack.callback(held.release)
            keys.append(AccountKey(key.reveal(), secret.reveal()))
        return Keys(trade=keys[0], protect=keys[-1])

    async def _instruments(self, world: World) -> dict[str, Instrument]:
        pairs = wanted_pairs(self.tree.accounts.children, self.tree.data.children)
        return await learn_instruments(world, self._rest_url(), pairs) if pairs else {}

    def _rest_url(self) -> str:
        accounts, public = self.tree.accounts.children, self.tree.data.children
        return accounts[0].rest_url if accounts else public[0].rest_url

    def _parts(self, node: KrakenAccount, world: World, keys: Keys, venue_clock: VenueClock) -> AccountParts:
        gate_board = self.gates[node.id] = GateBoard()
        store = StoreBoard()
        checkpoint = make_checkpoint(node, venue_clock, self.levels, self.fresh, self.root, store)
        instruments = {pair: self.instruments[pair] for pair in node.pairs}
        return AccountParts(
            node,
            self.system,
            world,
            keys,
            instruments,
            self.levels,
            self.fresh,
            gate_board,
            checkpoint,
            store,
        )

    async def ended(self) -> Exit:
        """Waits until the root ends and gives its exit. It ends when it is stopped, or when it fails: then trading is
        halted, nothing runs any more, and the process should end, too."""
        return await self.system.ended(self.root)

    # -- the tree --------------------------------------------------------------------------------------------------

    def _children(self, world: World, parts: list[AccountParts]) -> list[ChildSpec]:
        tree = self.tree
        return [
            self._infrastructure(world, parts),
            self._alerting(),
            self._accounts(parts),
            _supervisor("data", SupervisorFlags(), tuple(self._public(node, world) for node in tree.data.children)),
            self._strategies(),
            ChildSpec("observation", Start(Observer), restart=Restart.TEMPORARY),
        ]  # fmt: skip

    def _strategies(self) -> ChildSpec:
        tree, children = self.tree, self.tree.strategies.children
        # Whoever starts waits for the turns of its children at gates, where all of the tree may stand in line.
        wait_s = longest_wait_s(tree.gates, [node.gate for node in leaves(children)])
        specs = tuple(_node(node, wait_s) for node in children)
        spec = _supervisor("strategies", tree.strategies.budget.flags(Strategy.ONE_FOR_ONE), specs)
        return replace(spec, start_timeout_s=spec.start_timeout_s + wait_s)

    def _infrastructure(self, world: World, parts: list[AccountParts]) -> ChildSpec:
        journal = self.address("/infrastructure/journal")
        venue_of = {urlsplit(p.node.private_url).netloc: "kraken" for p in parts}
        venue_of |= {urlsplit(node.url).netloc: "kraken" for node in self.tree.data.children}
        children = [
            ChildSpec("journal", Start(JournalActor, (world.open_journal, "runtime"), {"votes": self.root})),
            ChildSpec("host_ledgers", Start(HostLedger, (), {"journal": journal, "venue_of": venue_of})),
        ]
        if parts:
            gates = tuple(p.at("trading/gate") for p in parts)
            kwargs = {
                "world": world,
                "base_url": self._rest_url(),
                "gates": gates,
                "votes": self.root,
                "scope": ROOT,
                "venue_clock": parts[0].checkpoint.clock,
            }
            children.append(ChildSpec("clock_offset", Start(ClockOffset, (), kwargs)))
        return _supervisor(
            "infrastructure", self.tree.infrastructure.flags(Strategy.REST_FOR_ONE), tuple(children)
        )

    def _accounts(self, parts: list[AccountParts]) -> ChildSpec:
        # One account that cannot be kept alive halts everything, and leaves the others' guardians alone.
        flags = replace(self.tree.accounts.budget, on_exceeded=OnExceeded.LATCH).flags(Strategy.ONE_FOR_ONE)
        votes = Votes(self.root, ROOT, Level.NONE, Level.HALTED)
        return _supervisor("accounts", flags, tuple(map(account_spec, parts)), votes)

    def _alerting(self) -> ChildSpec:
        # A channel that stays down for three trips (about a minute and a half) is nobody watching: READ_ONLY.
        votes = Votes(self.root, ROOT, Level.NONE, Level.READ_ONLY)
        return _supervisor(
            "alerting",
            _unprobed(self.tree.alerting).flags(Strategy.ONE_FOR_ONE),
            (ChildSpec("log", Start(LogChannel)),),
            votes,
        )

    def _public(self, node: KrakenPublic, world: World) -> ChildSpec:
        timing = SETTINGS[node.timing]
        path = f"/data/{node.id}"
        connection = self.address(f"{path}/connection")
        hosts = self.address("/infrastructure/host_ledgers")
        kwargs = {"url": node.url, "world": world, "hosts": hosts, "settings": timing}
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

    async def _missing(self) -> list[str]:
        """What stands between a halt and a resume: who is down, and which conditions of a gate are not proven."""
        return [what for parts in self._accounts_parts for what in missing(parts)]

    # -- use -------------------------------------------------------------------------------------------------------

    async def submit(
        self,
        intent: OrderIntent,
        *,
        account: str | None = None,
        by: str = UNNAMED,
        timeout_s: float = SUBMIT_TIMEOUT_S,
    ) -> Order:
        """An Order once the intent is durable, or Refused with nothing sent. The same id and content gives the same
        order, also after a restart. Giving up the wait never cancels the order: `order.cancel()` does. `by` names the
        strategy, whose entries are counted by that name."""
        orders = self.orders(account)
        view: OrderView = await orders.call(Place(intent=intent, by=by), timeout_s=timeout_s)
        return Order(orders, view)

    async def order(self, intent_id: str, *, account: str | None = None) -> Order | None:
        """The order of an intent, also of an earlier run; None for an id that was never committed."""
        orders = self.orders(account)
        view: OrderView | None = await orders.call(GetOrder(intent_id=intent_id), timeout_s=5.0)
        return None if view is None else Order(orders, view)

    async def open_orders(self, *, account: str | None = None) -> list[OrderView]:
        return await self.orders(account).call(GetOrders(open_only=True), timeout_s=5.0)

    def untraded(self, account: str) -> dict[str, str]:
        """The account's pairs that take no entries now, each with its status at the venue."""
        return next(parts.listing.untraded() for parts in self._accounts_parts if parts.node.id == account)

    async def cover(self, account: str) -> Any:
        """The guardian's view of an account's positions and their stops: a CoverView."""
        return await self.address(f"/accounts/{account}/guardian").call(GetCover(), timeout_s=5.0)

    @property
    def sync(self) -> "SyncRuntime":
        """The same for other threads: each call blocks the calling thread until it is answered."""
        return SyncRuntime(self, self.system.scheduler.loop)


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
