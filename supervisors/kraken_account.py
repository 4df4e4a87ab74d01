"""The subtree of one Kraken account: store, guardian, trading. What stands here is who is started with what."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import msgspec

from allstop.actors.connection_settings import LOOPBACK, ConnectionSettings
from allstop.actors.cover_journal import RefJournal
from allstop.actors.egress import Checkpoint, EgressActor
from allstop.actors.guardian import Guardian, KeyState, Pace, guardian_settings
from allstop.actors.instruments import Instrument
from allstop.actors.journal import JournalActor
from allstop.actors.key_roles import Role
from allstop.actors.kraken_desk import KrakenDesk
from allstop.actors.kraken_listing import KrakenListing
from allstop.actors.last_ledger import LastLedger
from allstop.actors.ledger import AccountLedger
from allstop.actors.levels import ROOT, CastVote, Level, LevelBoard, Vote
from allstop.actors.limits.kraken import Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.market_data import Freshness
from allstop.actors.order_gate import GateBoard, OrderGate
from allstop.actors.order_talk import TrackerLinks
from allstop.actors.orders import Orders
from allstop.actors.ports import World
from allstop.actors.protocols.lookup import PROFILES
from allstop.actors.reconciler import Reconciler
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.session import Session
from allstop.actors.shared_desk import SharedDesk
from allstop.actors.spec import ChildSpec, ChildType, OnExceeded, Start, Strategy, SupervisorFlags
from allstop.actors.store_board import StoreBoard
from allstop.actors.subscription import PrivateStream
from allstop.actors.venue_clock import VenueClock
from allstop.actors.venue_mode import VenueMode
from allstop.supervisors.config import KrakenAccount
from allstop.supervisors.nursery import TRACKER_BUDGET, TrackerNursery, trackers_spec
from allstop.supervisors.preflight import Keys
from allstop.supervisors.prober import Prober
from allstop.supervisors.store import Store
from allstop.supervisors.supervisor import Supervisor
from allstop.supervisors.votes import Votes

APPEND_MAX_S = 1.0  # whoever asked for an exit waits two seconds for its row
SETTINGS = {"kraken": ConnectionSettings(), "loopback": LOOPBACK}


@dataclass(frozen=True)
class AccountParts:
    """What an account's actors share. The boards and the checkpoint are read in passing; each has one writer."""

    node: KrakenAccount
    system: ActorSystem
    world: World
    keys: Keys
    instruments: dict[str, Instrument]
    levels: LevelBoard
    fresh: Freshness
    gate_board: GateBoard
    checkpoint: Checkpoint
    store: StoreBoard = field(default_factory=StoreBoard)
    mode: VenueMode = field(default_factory=VenueMode)

    @cached_property
    def last_ledger(self) -> LastLedger:
        """The ledger of the protect path: it goes on in memory when the account's own gave up."""
        return LastLedger(self.at("store/ledgers"), self.store, self.system.clock, Tier(self.node.tier))

    def at(self, path: str) -> Ref:
        """The address of one of the account's actors, by its path within the account."""
        return self.system.address(f"{account_path(self.node)}/{path}")

    @property
    def root(self) -> Ref:
        return self.system.address("/")

    @property
    def scope(self) -> tuple[str, str]:
        return (self.node.venue, self.node.account)

    @cached_property
    def listing(self) -> KrakenListing:
        """What keeps `instruments` true."""
        return KrakenListing(
            self.instruments, lambda: self.world.open_http(self.node.rest_url, max_connections=1), self.mode
        )

    @property
    def settings(self) -> ConnectionSettings:
        return replace_protect_wait(SETTINGS[self.node.timing], self.node.cover_s)

    def desk(
        self, holder: Ref, role: Role, lane: Lane, *, patient: bool = False,
        unheard: Callable[[], bool] = lambda: False,
    ) -> KrakenDesk:  # fmt: skip
        """A desk of its own for one incarnation of `holder`; the guard in it is that incarnation's. `patient`: its
        queries wait in line for as long as a search may. `unheard`: the journal did not answer the holder in time."""
        settings = self.settings
        if patient:
            settings = msgspec.structs.replace(settings, turn_wait_max_s=settings.lookup_wait_max_s)
        return KrakenDesk(
            http=self.world.open_http(self.node.rest_url, max_connections=2),
            key=self.keys.protect if role == "protect" else self.keys.trade,
            ledger=self.last_ledger if role == "protect" else self.at("store/ledgers"),
            guard=self.checkpoint.guard(holder, unheard=unheard),
            instruments=self.instruments,
            clock=self.checkpoint.clock,
            ids=self.world.ids,
            scope_head=self.scope,
            settings=settings,
            lane=lane,
            role=role,
            doubt=self.listing.doubt,
        )


ESSENTIAL = ("store/journal", "store/ledgers", "store/egress", "guardian")


def missing(parts: AccountParts) -> list[str]:
    """What stands between a halt and a resume of this account, in words. A gate's proofs outlive a lost journal for a
    while, so who must live to trade at all is asked for by name."""
    name = parts.node.id
    down = [f"{name}: {path} is down" for path in ESSENTIAL if not parts.at(path).is_alive()]
    unproven = parts.gate_board.missing
    return [*down, *([f"{name}: not proven: {', '.join(unproven)}"] if unproven else [])]


def account_path(node: KrakenAccount) -> str:
    return f"/accounts/{node.id}"


def replace_protect_wait(settings: ConnectionSettings, cover_s: float) -> ConnectionSettings:
    """With a single key, no other call may hold up the guardian for longer than half of `cover_s`."""
    return msgspec.structs.replace(settings, protect_wait_max_s=min(settings.protect_wait_max_s, cover_s / 2))


def make_checkpoint(
    node: KrakenAccount,
    clock: VenueClock,
    levels: LevelBoard,
    fresh: Freshness,
    root: Ref,
    store: StoreBoard | None = None,
) -> Checkpoint:
    """`store`: the account's board, which tells whether its egress is down for good."""
    egress = root.system.address(f"{account_path(node)}/store/egress")

    def vote(cast: Vote) -> None:
        root.tell(CastVote(cast))

    def gave_up() -> bool:
        return store is not None and store.lost(egress)

    return Checkpoint(
        path=egress.path, clock=clock, levels=levels, vote=vote,
        skew_s=PROFILES[node.timing].skew_s, fresh=fresh, gave_up=gave_up,
    )  # fmt: skip


def account_spec(parts: AccountParts) -> ChildSpec:
    """`kraken.<account>`: rest_for_one over store, guardian and trading."""
    return _supervisor(
        parts.node.id,
        parts.node.budget.flags(Strategy.REST_FOR_ONE),
        (_store(parts), _guardian(parts), _trading(parts)),
        # An account gives up only when its guardian or its store did: a halt, whatever may be restarted above it.
        Votes(parts.root, ROOT, Level.NONE, Level.HALTED),
    )


def _store(parts: AccountParts) -> ChildSpec:
    node = parts.node
    journal = parts.at("store/journal")
    children = (
        ChildSpec(
            "journal",
            Start(
                JournalActor, (parts.world.open_journal, node.id), {"votes": parts.root, "scope": parts.scope}
            ),
        ),
        ChildSpec(
            "ledgers",
            Start(
                AccountLedger,
                (),
                {
                    "journal": journal,
                    "tier": Tier(node.tier),
                    "votes": parts.root,
                    "scope": parts.scope,
                    "board": parts.store,
                },
            ),
        ),
        ChildSpec("egress", Start(EgressActor, (parts.checkpoint, journal))),
    )
    # A lost journal is a halt, and no reason to end what can still cancel and protect: the guardian's ledger, its
    # egress and, above, the guardian itself. What gave up stays down; the rest goes on by the emergency rule.
    flags = replace(node.budget, on_exceeded=OnExceeded.LATCH).flags(Strategy.REST_FOR_ONE)
    votes = Votes(parts.root, ROOT, Level.NONE, Level.HALTED)
    start = Start(Store, (flags, children), {"votes": votes, "board": parts.store})
    return ChildSpec("store", start, type=ChildType.SUPERVISOR)


def _guardian(parts: AccountParts) -> ChildSpec:
    node = parts.node
    holder = parts.at("guardian")

    ledger = parts.at("store/ledgers")

    async def key_state() -> KeyState:
        """Off the board, where a ledger that is down is no loss: its counter decays by itself."""
        key, now_s = parts.store.keys.get(parts.keys.protect.fingerprint), parts.system.clock.now_s()
        if key is None:
            return KeyState(0.0)
        return KeyState(key.rest.meter.level_at(now_s), ledger.is_alive() and key.wanted(now_s))

    # What is left of cover_s is for reading the venue and for the call.
    journal = RefJournal(parts.at("store/journal"), append_timeout_s=min(node.cover_s / 2, APPEND_MAX_S))
    kwargs = {
        "open_desk": lambda: parts.desk(holder, "protect", Lane.PROTECT, unheard=lambda: journal.lost),
        "journal": journal,
        "instruments": parts.instruments,
        "board": parts.levels,
        "root": parts.root,
        "gate": parts.at("trading/gate"),
        "pace": Pace(Tier(node.tier)),
        "key_state": key_state,
        "venue_clock": parts.checkpoint.clock,
        "trading": parts.listing,
    }
    settings = guardian_settings(
        node.venue, node.account, cover_s=node.cover_s, timing=PROFILES[node.timing], tier=Tier(node.tier)
    )
    return ChildSpec("guardian", Start(Guardian, (settings,), kwargs))


def _trading(parts: AccountParts) -> ChildSpec:
    node = parts.node
    gate, session, stream, orders = (
        parts.at(f"trading/{name}") for name in ("gate", "session", "stream", "orders")
    )
    ledger, settings = parts.at("store/ledgers"), parts.settings
    told = (orders.path, parts.at("guardian").path)

    def trade_desk(holder: Ref) -> KrakenDesk:
        """Queries of the trading subtree go on the trade key. A guardian with a key of its own has that counter to
        itself: polling for cover takes about all that a key gives back."""
        return parts.desk(holder, "trade", Lane.QUERY)

    def session_desk(holder: Ref) -> KrakenDesk:
        """The session's token goes before queries: cancels travel on what it opens."""
        return parts.desk(holder, "trade", Lane.CANCEL)

    links = TrackerLinks(
        journal=parts.at("store/journal"), session=session, orders=orders, root=parts.root,
        open_desk=SharedDesk(lambda: parts.desk(orders, "trade", Lane.QUERY, patient=True), lambda: orders.incarnation).open, gate=parts.gate_board, timing=PROFILES[node.timing],
        clock=parts.checkpoint.clock,
    )  # fmt: skip
    budget = replace(
        TRACKER_BUDGET, max_restarts=node.tracker.max_restarts, max_seconds=node.tracker.max_seconds
    )

    children = (
        ChildSpec("gate", Start(OrderGate, (parts.gate_board, (parts.at("guardian"),)))),
        trackers_spec(),
        ChildSpec("orders", Start(Orders, (), {
            "scope": parts.scope, "links": links, "nursery": TrackerNursery(parts.at("trading/trackers"), budget),
            "instruments": parts.instruments.get, "levels": parts.levels, "fresh": parts.fresh,
            "guardian": parts.at("guardian"), "entries_max_per_s": node.entries_max_per_s,
        })),
        ChildSpec("session", Start(Session, (), {
            "make_desk": session_desk, "ledger": ledger, "checkpoint": parts.checkpoint, "gate": gate, "scope_head": parts.scope, "doubt": parts.listing.doubt, "mode": parts.mode,
            "url": node.private_url, "world": parts.world, "hosts": parts.system.address("/infrastructure/host_ledgers"),
            "settings": settings, "connect_lane": Lane.QUERY,
        }), backoff=node.backoff, shutdown=settings.close_timeout_s + 1.0),
        ChildSpec("stream", Start(PrivateStream, (), {"session": session, "gate": gate, "ledger": ledger, "subscribers": told, "settings": settings})),
        ChildSpec("reconciler", Start(Reconciler, (), {
            "make_desk": trade_desk, "stream": stream, "orders": orders, "gate": gate, "board": parts.gate_board, "listeners": told, "settings": settings,
            "journal": parts.at("store/journal"), "keep_listing": parts.listing.keep,
        })),
        ChildSpec("prober", Start(Prober, (), {"trading": parts.at("trading"), "reconciler": parts.at("trading/reconciler"), "store": parts.store, "gate": gate, "key": parts.keys.trade.fingerprint})),
    )  # fmt: skip
    votes = Votes(parts.root, parts.scope, Level.READ_ONLY, Level.READ_ONLY)
    return _supervisor("trading", node.trading.flags(Strategy.REST_FOR_ONE), children, votes)


def _supervisor(
    child_id: str, flags: SupervisorFlags, children: tuple[ChildSpec, ...], votes: Votes | None = None
) -> ChildSpec:
    return ChildSpec(
        child_id, Start(Supervisor, (flags, children), {"votes": votes}), type=ChildType.SUPERVISOR
    )
