"""The connection actors of one account against the simulated Kraken, in memory and in virtual time or on loopback."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any, Self

from allstop.actors.clock import Clock, SeededDice, SeededIds
from allstop.actors.commands import Amend, Cancel, GetOrders, Proof, Reports, Submit
from allstop.actors.connection_settings import ConnectionSettings
from allstop.actors.egress import Checkpoint, EgressActor
from allstop.actors.events import Event
from allstop.actors.exits import Exit
from allstop.actors.host_ledger import HostLedger
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, Side, StopLoss
from allstop.actors.journal import JournalActor, append
from allstop.actors.kraken_desk import KrakenDesk
from allstop.actors.ledger import AccountKey, AccountLedger
from allstop.actors.levels import IntentKind, LevelBoard, Origin
from allstop.actors.limits.kraken import Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.order_gate import GateBoard
from allstop.actors.ports import World
from allstop.actors.protocols.records import AttemptStarted, CommandIntended, IntentCommitted
from allstop.actors.reconciler import Reconciler
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Actor, ActorSystem, Ref
from allstop.actors.session import Session
from allstop.actors.simulated.kraken.in_memory import InMemoryKraken
from allstop.actors.simulated.kraken.venue import KrakenVenue
from allstop.actors.simulated.kraken.venue import Settings as VenueSettings
from allstop.actors.subscription import PrivateStream
from allstop.supervisors.simulation.host import LifeHost, SimulatedHost

ACCOUNT = ("kraken", "main")
BTC = Instrument(
    pair="BTC/USD",
    venue_name="XBTUSD",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.00000001"),
    min_qty=Decimal("0.0001"),
)
FAST = ConnectionSettings(reconcile_interval_s=5.0, report_lag_max_s=1.0)


class Recorder(Actor):
    """Keeps whatever it is told; answers a call with what a test put into `answers` for its type."""

    def __init__(self, kept: list[Any], answers: dict[type, Any] | None = None) -> None:
        self.kept = kept
        self.answers = answers if answers is not None else {}

    def on_receive(self, message: object) -> object:
        self.kept.append(message)
        answer = self.answers.get(type(message))
        return answer(message) if callable(answer) else answer


class Rig:
    """`async with Rig() as rig`. Actors are spawned by the test, with `session()` and so on; `crashes` are all exits."""

    def __init__(self, *, tier: Tier = Tier.PRO, settings: ConnectionSettings = FAST,
                 venue: VenueSettings | None = None) -> None:  # fmt: skip
        self.tier = tier
        self.settings = settings
        self.venue_settings = venue or VenueSettings()
        self.events: list[Event] = []
        self.system = ActorSystem(dice=SeededDice(1), on_event=self.events.append)
        self.levels = LevelBoard()
        self.board = GateBoard()
        self.gate_told: list[Proof] = []
        self.orders_told: list[Any] = []
        self.votes: list[Any] = []
        self.views: list[Any] = []
        self.https: list[Any] = []
        self.parent: Ref | None = (
            None  # of session, stream and reconciler: whoever wants to hear what they report
        )
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.stack.enter_async_context(self.system)
        clock = self.clock
        self.system.ids = SeededIds(1, clock.wall_ns)
        await self.open_world(clock)
        spawn = self.system.spawn
        self.journal = await spawn(
            JournalActor, self.world.open_journal, "kraken.main", path="/store/journal"
        )
        self.runtime_journal = await spawn(
            JournalActor, self.world.open_journal, "runtime", path="/runtime/journal"
        )
        self.hosts = await spawn(HostLedger, journal=self.runtime_journal, path="/runtime/hosts")
        self.gate = await spawn(Recorder, self.gate_told, path="/trading/gate")
        self.voter = await spawn(Recorder, self.votes, path="/root")
        self.orders = await spawn(
            Recorder, self.orders_told, {GetOrders: self._views}, path="/trading/orders"
        )
        self.ledger = await self.spawn_ledger()
        self.checkpoint = Checkpoint(
            path="/store/egress", clock=clock, levels=self.levels, vote=self.voter.tell, fresh=lambda _: True
        )
        self.egress = await spawn(EgressActor, self.checkpoint, self.journal, path="/store/egress")
        return self

    async def __aexit__(self, *exit_: object) -> None:
        await self.stack.aclose()
        assert self.system.leaked == []

    @property
    def clock(self) -> Clock:
        return self.system.clock

    async def open_world(self, clock: Clock) -> None:
        """In memory. A loopback rig overrides it."""
        self.network = MemoryNetwork()
        self.disk = MemoryDisk(clock)
        self.world = World(clock=clock, dice=self.system.dice, ids=self.system.ids,
                           connect_websocket=self.network.connect_websocket, open_http=self.network.open_http,
                           open_journal=self.disk.open_journal, host=LifeHost(SimulatedHost(asyncio.get_running_loop()), 1))  # fmt: skip
        self.venue = KrakenVenue(self.venue_settings, (), wall_ns=clock.wall_ns())
        kraken = InMemoryKraken(self.venue, clock=clock)
        self.kraken: Any = await self.stack.enter_async_context(kraken)
        kraken.serve_on(self.network)
        self.stack.push_async_callback(self.network.close)

    def fault(self, **fault: Any) -> None:
        """Sets a fault at the venue, as its admin port would."""
        self.venue.fault(fault, self.kraken.at())
        self.kraken.flush()

    def truth(self) -> dict[str, Any]:
        return self.venue.truth(self.kraken.at())

    def orders_at_venue(self) -> list[dict[str, Any]]:
        """All orders that the venue ever took, in their order, without those that a conditional close made."""
        return [order for order in self.truth()["orders"].values() if order["parent_id"] is None]

    def network_requests(self) -> list[dict[str, Any]]:
        """Every request that reached the venue."""
        return self.venue.requests

    def key(self, role: str = "trade") -> AccountKey:
        found = next(key for key in self.venue.keys.values() if key.name == role)
        return AccountKey(found.key, found.secret)

    async def spawn_ledger(self) -> Ref:
        return await self.system.spawn(
            AccountLedger,
            journal=self.journal,
            tier=self.tier,
            votes=self.voter,
            scope=ACCOUNT,
            path="/store/ledger",
        )

    def desk(self, owner: Ref | None = None, *, role: Any = "trade", lane: Lane = Lane.QUERY) -> KrakenDesk:
        http = self.world.open_http(self.kraken.http_url)
        self.stack.push_async_callback(http.close)
        self.https.append(http)
        return KrakenDesk(
            http=http, key=self.key(role), ledger=self.ledger,
            guard=self.checkpoint.guard(owner or self.ledger), instruments={BTC.pair: BTC}, clock=self.clock,
            ids=self.system.ids, scope_head=ACCOUNT, settings=self.settings, lane=lane, role=role,
        )  # fmt: skip

    async def session(self) -> Ref:
        return await self.system.spawn(
            Session, make_desk=self.desk, ledger=self.ledger, checkpoint=self.checkpoint, gate=self.gate,
            scope_head=ACCOUNT, url=self.kraken.ws_auth_url, world=self.world, hosts=self.hosts,
            settings=self.settings, path="/trading/session",
            parent=self.parent,
        )  # fmt: skip

    async def stream(self) -> Ref:
        return await self.system.spawn(
            PrivateStream, session=self.system.address("/trading/session"), gate=self.gate, ledger=self.ledger,
            subscribers=("/trading/orders",), settings=self.settings, path="/trading/stream",
            parent=self.parent,
        )  # fmt: skip

    async def reconciler(self) -> Ref:
        return await self.system.spawn(
            Reconciler, make_desk=self.desk, stream=self.system.address("/trading/stream"), orders=self.orders,
            gate=self.gate, board=self.board, listeners=("/trading/orders",), journal=self.journal, settings=self.settings, path="/trading/reconciler",
            parent=self.parent,
        )  # fmt: skip

    # Evidence

    def proven(self, name: str) -> bool:
        """Whether the gate's last word on this proof is yes."""
        return next((proof.holds for proof in reversed(self.gate_told) if proof.name == name), False)

    def _views(self, _: object) -> list[Any]:
        return list(self.views)

    def history(self, name: str) -> list[bool]:
        """What the gate was told of this proof, each change once, from its first yes on."""
        told = [proof.holds for proof in self.gate_told if proof.name == name]
        changes = [now for before, now in zip([None, *told], told, strict=False) if now is not before]
        return changes[changes.index(True) :] if True in changes else []

    async def until(self, true: Callable[[], object], within_s: float = 30.0) -> None:
        """Waits until a condition holds; fails the test when it does not in time."""
        deadline_s = self.clock.now_s() + within_s
        while not true():
            assert self.clock.now_s() < deadline_s, f"not within {within_s} s"
            await asyncio.sleep(0.01)

    def reports(self) -> list[OrderReport]:
        return [r for told in self.orders_told if isinstance(told, Reports) for r in told.reports]

    # Committed, so that the guard lets it pass

    async def committed(
        self, intent: OrderIntent, *, attempt: int = 1, origin: Origin = Origin.STRATEGY
    ) -> Submit:
        at_ns = self.clock.wall_ns()
        await append(
            self.journal,
            [
                IntentCommitted(intent=intent, origin=origin, scope=(*ACCOUNT, intent.pair), at_ns=at_ns),
                AttemptStarted(
                    intent_id=intent.id, attempt=attempt, channel="session", deadline_s=5.0, at_ns=at_ns
                ),
            ],
        )
        return Submit(intent=intent, attempt=attempt)

    async def cancel(self, *order_ids: str) -> Cancel:
        return Cancel(
            command_id=await self._command("cancel", IntentKind.CANCEL, order_ids), order_ids=order_ids
        )

    async def amend(self, order_id: str, price: str) -> Amend:
        command_id = await self._command("amend", IntentKind.REDUCE, (order_id,))
        return Amend(command_id=command_id, intent_id="", order_id=order_id, limit_price=Decimal(price))

    async def _command(self, verb: str, kind: IntentKind, order_ids: tuple[str, ...]) -> str:
        command_id = self.system.ids.new()
        await append(
            self.journal,
            [
                CommandIntended(command_id=command_id, intent_id="", verb=verb, kind=kind, origin=Origin.STRATEGY,
                                scope=(*ACCOUNT, BTC.pair), order_ids=order_ids, at_ns=self.clock.wall_ns())
            ],
        )  # fmt: skip
        return command_id


def exit_of(ref: Ref) -> Exit:
    """How its last incarnation ended."""
    assert ref.last_exit is not None
    return ref.last_exit


def entry(price: str = "25000", stop: str = "24000", qty: str = "0.01") -> OrderIntent:
    """A resting limit buy, below the simulated market, with its stop."""
    return OrderIntent(
        pair="BTC/USD", side=Side.BUY, qty=Decimal(qty), limit_price=Decimal(price),
        stop=StopLoss(trigger_price=Decimal(stop)),
    )  # fmt: skip
