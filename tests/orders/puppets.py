"""An account's order path on virtual time, with everything outside it pulled by strings: one venue that keeps the
truth, a session and a desk in front of it that misbehave on demand, and the real journal, egress, gate and trackers."""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from allstop.actors.clock import LoopClock
from allstop.actors.commands import (
    Amend,
    BeginExit,
    Cancel,
    CancelIntent,
    GetOrder,
    OrderView,
    Place,
    Proof,
    Reports,
    Submit,
)
from allstop.actors.egress import Checkpoint, EgressActor, Guard, OrderFrame
from allstop.actors.errors import Refused
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.journal import JournalActor, append
from allstop.actors.levels import CastVote, IntentKind, Level, LevelBoard, Vote, WithdrawVote
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.order_gate import PROOFS, GateBoard, OrderGate
from allstop.actors.order_talk import TrackerLinks
from allstop.actors.orders import Orders
from allstop.actors.ports import PlannedOrders, QueryFailed
from allstop.actors.protocols import order_life
from allstop.actors.protocols.kraken import faults
from allstop.actors.protocols.lookup import LOOPBACK, Timing
from allstop.actors.protocols.records import IntentCommitted, Record, from_row
from allstop.actors.reports import (
    Accepted,
    Fill,
    NotSent,
    OrderReport,
    OrderStatus,
    Rejected,
    Unknown,
    WriteOutcome,
)
from allstop.actors.runtime import Actor, ActorSystem, Ref
from allstop.actors.spec import SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.nursery import TRACKERS_MAX, TrackerNursery

PAIR = "BTC/USD"
SCOPE = ("kraken", "main")
BASE = "/accounts/kraken.main"
INSTRUMENT = Instrument(
    pair=PAIR,
    venue_name="XBTUSD",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.0001"),
    min_qty=Decimal("0.0001"),
)


def entry(intent_id: str, **fields: Any) -> OrderIntent:
    given: dict[str, Any] = {
        "id": intent_id,
        "pair": PAIR,
        "side": Side.BUY,
        "qty": Decimal("1"),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal("100"),
        "stop": StopLoss(trigger_price=Decimal("90")),
        **fields,
    }
    return OrderIntent(**given)


def reduction(intent_id: str, **fields: Any) -> OrderIntent:
    """At market, of the whole position."""
    at_market: dict[str, Any] = {"order_type": OrderType.MARKET, "limit_price": None, **fields}
    return entry(intent_id, side=Side.SELL, stop=None, kind=IntentKind.REDUCE, **at_market)


@dataclass
class Venue:
    """The truth. `clock_s` is None or a deadline after which a held order can no longer arrive."""

    orders: dict[str, OrderReport] = field(default_factory=dict[str, OrderReport])
    placed: list[str] = field(default_factory=list[str])  # client ids, one per order taken in
    execs: int = 0

    def place(self, intent: OrderIntent) -> OrderReport:
        self.placed.append(intent.id)
        order_id = f"O{len(self.orders) + 1}"
        report = OrderReport(
            order_id=order_id,
            status=OrderStatus.NEW,
            pair=intent.pair,
            side=intent.side,
            order_type=intent.order_type,
            order_qty=intent.qty,
            cum_qty=Decimal(0),
            limit_price=intent.limit_price,
            cl_ord_id=intent.id,
        )
        self.orders[order_id] = report
        return report

    def fill(self, order_id: str, qty: str) -> OrderReport:
        """Executes a part or all; gives the report of it."""
        order = self.orders[order_id]
        assert order.order_qty is not None
        assert order.cum_qty is not None
        self.execs += 1
        fill = Fill(
            exec_id=f"X{self.execs}",
            order_id=order_id,
            pair=PAIR,
            side=order.side or Side.BUY,
            qty=Decimal(qty),
            price=Decimal("100"),
        )
        cum = order.cum_qty + fill.qty
        status = OrderStatus.FILLED if cum == order.order_qty else OrderStatus.PARTIALLY_FILLED
        now = msgspec.structs.replace(order, status=status, cum_qty=cum)
        self.orders[order_id] = now
        return msgspec.structs.replace(now, fill=fill)

    def set(self, order_id: str, **fields: Any) -> OrderReport:
        self.orders[order_id] = msgspec.structs.replace(self.orders[order_id], **fields)
        return self.orders[order_id]

    def by_client(self, client_id: str) -> list[OrderReport]:
        return [order for order in self.orders.values() if order.cl_ord_id == client_id]


@dataclass
class Strings:
    """What the next writes and reads come to. A write without a string is accepted and told on the stream."""

    submits: deque[str] = field(default_factory=deque[str])
    cancels: deque[str] = field(default_factory=deque[str])
    amends: deque[str] = field(default_factory=deque[str])
    reads_fail: int = 0  # so many reads fail
    read_s: float = 0.01  # how long one takes, with the wait for its turn
    reads_cancelled: int = 0  # under so many reads a shared desk is closed by somebody else
    reads: list[str] = field(default_factory=list[str])
    sent: list[str] = field(default_factory=list[str])  # frames that left, in order
    desks_open: int = 0


def pulled(strings: deque[str]) -> str:
    return strings.popleft() if strings else "accept"


class PuppetSession(Actor):
    """Asks its guard, like any sender, and then does what the string says."""

    def __init__(self, venue: Venue, strings: Strings, checkpoint: Checkpoint, orders: Ref) -> None:
        super().__init__()
        self._venue = venue
        self._strings = strings
        self._checkpoint = checkpoint
        self._orders = orders
        self._guard: Guard | None = None

    def on_start(self) -> None:
        self._guard = self._checkpoint.guard(self.ref)

    def on_receive(self, message: Any) -> Any:
        match message:
            case Submit():
                return self._submit(message)
            case Cancel():
                return self._cancel(message)
            case Amend():
                return self._amend(message)
            case ("say", reply, outcome):
                reply.set(outcome)
                return None
            case _:
                raise TypeError(repr(message))

    def _leave(self, frame: OrderFrame) -> None:
        assert self._guard is not None
        self._guard.check(frame)
        self._strings.sent.append(f"{frame.kind} {frame.subject} {frame.attempt}")

    def _submit(self, message: Submit) -> WriteOutcome | None:
        intent, how = message.intent, pulled(self._strings.submits)
        if how == "not sent":
            return NotSent("the socket is closed")
        if how == "die before":
            raise RuntimeError("the session dies with the order in its hands")
        frame = OrderFrame(
            kind=intent.kind,
            subject=intent.id,
            attempt=message.attempt,
            scope=(*SCOPE, intent.pair),
            deadline_s=message.deadline_s,
        )
        try:
            self._leave(frame)
        except Refused as refused:
            return NotSent(str(refused))
        if how.startswith("E"):
            fault = faults.classify(how, write=True)
            return Rejected(fault) if str(fault.outcome) == "NO" else Unknown(how, fault)
        if how == "lost":
            return Unknown("no answer")
        report = self._venue.place(intent)
        match how:
            case "accept":
                self._tell(report)
                return Accepted((report.order_id,))
            case "placed, no answer":
                return Unknown("no answer")
            case "placed, error":
                return Unknown(
                    "EGeneral:Internal error", faults.classify("EGeneral:Internal error", write=True)
                )
            case "placed, silence":
                self.defer()
                return None
            case "filled, no answer":
                self._venue.fill(report.order_id, str(intent.qty))
                return Unknown("no answer")
            case "filled before ack":
                self._tell(self._venue.fill(report.order_id, str(intent.qty)))
                self.send_after(0.1, ("say", self.defer(), Accepted((report.order_id,))))
                return None
            case "placed, dies":
                raise RuntimeError("the session dies after the bytes left")
            case _:
                raise AssertionError(how)

    def _cancel(self, message: Cancel) -> WriteOutcome:
        how = pulled(self._strings.cancels)
        self._leave(OrderFrame(kind=IntentKind.CANCEL, subject=message.command_id, scope=(*SCOPE, PAIR)))
        (order_id,) = message.order_ids
        match how:
            case "filled first":
                self._venue.fill(order_id, "1")
                return Rejected(faults.classify("EOrder:Unknown order", write=True))
            case "accept":
                self._tell(self._venue.set(order_id, status=OrderStatus.CANCELED))
                return Accepted((order_id,))
            case "accept, not told":
                self._venue.set(order_id, status=OrderStatus.CANCELED)
                return Accepted((order_id,))
            case _:
                raise AssertionError(how)

    def _amend(self, message: Amend) -> WriteOutcome:
        how = pulled(self._strings.amends)
        self._leave(OrderFrame(kind=message.kind, subject=message.command_id, scope=(*SCOPE, PAIR)))
        self._venue.set(message.order_id, limit_price=message.limit_price)
        if how == "done, no answer":
            return Unknown("no answer")
        self._tell(self._venue.orders[message.order_id])
        return Accepted((message.order_id,))

    def _tell(self, report: OrderReport) -> None:
        self._orders.tell(Reports(reports=(report,)))


class PuppetDesk:
    """A REST desk on the same venue. Only reads and cancels are pulled; a submit goes through the guard."""

    def __init__(self, venue: Venue, strings: Strings, checkpoint: Checkpoint) -> None:
        self._venue = venue
        self._strings = strings
        self._checkpoint = checkpoint
        strings.desks_open += 1

    async def open_orders(self) -> list[OrderReport]:
        await self._read("open")
        return [order for order in self._venue.orders.values() if not order.status.terminal]

    async def closed_orders(self, since_ns: int) -> list[OrderReport]:
        del since_ns
        await self._read("closed")
        return [order for order in self._venue.orders.values() if order.status.terminal]

    async def query_orders(self, order_ids: Sequence[str]) -> list[OrderReport]:
        await self._read("query")
        return [self._venue.orders[order_id] for order_id in order_ids if order_id in self._venue.orders]

    async def submit(self, intent: OrderIntent, *, attempt: int, deadline_s: float) -> WriteOutcome:
        await asyncio.sleep(0.01)
        frame = OrderFrame(
            kind=intent.kind,
            subject=intent.id,
            attempt=attempt,
            scope=(*SCOPE, intent.pair),
            deadline_s=deadline_s,
        )
        self._checkpoint.check(frame)
        self._strings.sent.append(f"REST {frame.subject} {frame.attempt}")
        return Accepted((self._venue.place(intent).order_id,))

    async def cancel(self, command_id: str, order_ids: Sequence[str]) -> WriteOutcome:
        await asyncio.sleep(0.01)
        self._checkpoint.check(OrderFrame(kind=IntentKind.CANCEL, subject=command_id, scope=(*SCOPE, PAIR)))
        for order_id in order_ids:
            self._venue.set(order_id, status=OrderStatus.CANCELED)
        return Accepted(tuple(order_ids))

    async def amend(self, command_id: str, order_id: str, **_fields: Any) -> WriteOutcome:
        raise AssertionError("a tracker never amends by REST")

    async def balances(self) -> dict[str, str]:
        raise AssertionError("a tracker needs no balances")

    async def room_s(self, planned: PlannedOrders) -> float:
        raise AssertionError("a tracker plans no exit")

    async def close(self) -> None:
        self._strings.desks_open -= 1

    async def _read(self, what: str) -> None:
        self._strings.reads.append(what)
        await asyncio.sleep(self._strings.read_s)
        if self._strings.reads_cancelled:
            self._strings.reads_cancelled -= 1
            raise asyncio.CancelledError
        if self._strings.reads_fail:
            self._strings.reads_fail -= 1
            raise QueryFailed(f"{what}: timeout")


class PuppetRoot(Actor):
    """Remembers votes and shows them on the board, as the halt root does."""

    def __init__(self, board: LevelBoard) -> None:
        super().__init__()
        self._board = board
        self.votes: list[Vote] = []

    def on_receive(self, message: Any) -> None:
        match message:
            case CastVote(vote=vote):
                self.votes.append(vote)
                self._board.cast(vote)
            case WithdrawVote(by=by, scope=scope):
                if not any(v.by == by and v.scope == scope and v.level is Level.HALTED for v in self.votes):
                    self._board.withdraw(by, scope)
            case _:
                raise TypeError(repr(message))


class PuppetGuardian(Actor):
    """Commits every exit that it is given; `refuse` is what it answers the next one with, `mute` answers none."""

    def __init__(self, journal: Ref) -> None:
        super().__init__()
        self._journal = journal
        self.begun: list[BeginExit] = []
        self.refuse: Refused | None = None
        self.mute = False

    async def on_receive(self, message: Any) -> Any:
        assert isinstance(message, BeginExit)
        self.begun.append(message)
        if self.mute:
            self.defer()
            return None
        if self.refuse is not None:
            raise self.refuse
        record = IntentCommitted(
            intent=message.intent, origin=message.origin, scope=(*SCOPE, PAIR),
            at_ns=self.clock.wall_ns(), owner=self.path,
        )  # fmt: skip
        await append(self._journal, [record])
        return order_life.view(order_life.born(record))


class Teller(Actor):
    """Proves everything to the gate."""

    def on_receive(self, message: Any) -> None:
        gate, at_s = message
        for name in PROOFS:
            gate.tell(Proof(name=name, holds=True, at_s=at_s, by=self.path))


class House:
    """`async with House() as house`: the whole path. Disk and venue outlive it: give them to the next House to
    restart the process. `crash()` ends everything at once, without a word to anyone."""

    def __init__(
        self,
        *,
        disk: MemoryDisk | None = None,
        venue: Venue | None = None,
        timing: Timing = LOOPBACK,
        commit_s: float = 0.001,
        live_max: int = 500,
        entries_max_per_s: int | None = None,
        commit_max_s: float = math.inf,
    ) -> None:
        self.system = ActorSystem()
        self.disk = disk or MemoryDisk(LoopClock(asyncio.get_running_loop()))
        self.disk.commit_s = commit_s
        self.venue = venue or Venue()
        self.strings = Strings()
        self.levels = LevelBoard()
        self.gate = GateBoard(commit_max_s)
        self.timing = timing
        self.live_max = live_max
        self.entries_max_per_s = entries_max_per_s
        self.stray_votes: list[Vote] = []

    async def __aenter__(self) -> "House":
        await self.system.__aenter__()
        spawn = self.system.spawn
        address = self.system.address
        self.checkpoint = Checkpoint(
            path=f"{BASE}/store/egress",
            clock=self.system.clock,
            levels=self.levels,
            vote=self.stray_votes.append,
            skew_s=self.timing.skew_s,
        )
        self.root = await spawn(PuppetRoot, self.levels, path="/root")
        await self.start_store()
        gate = await spawn(OrderGate, self.gate, path=f"{BASE}/trading/gate")
        self.teller = await spawn(Teller, path=f"{BASE}/teller")
        self.teller.tell((gate, self.system.clock.now_s()))
        self.session = address(f"{BASE}/trading/session")
        self.trackers = await spawn(
            DynamicSupervisor, SupervisorFlags(), max_children=TRACKERS_MAX, path=f"{BASE}/trading/trackers"
        )
        self.orders = address(f"{BASE}/trading/orders")
        await self.start_session()
        self.guardian = await spawn(PuppetGuardian, self.journal, path=f"{BASE}/guardian")
        await self.start_orders()
        await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.system.__aexit__(None, None, None)
        assert self.system.leaked == []
        await asyncio.sleep(1)  # the disk ends the commit that it is in
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == [], left

    async def start_store(self) -> None:
        spawn = self.system.spawn
        self.journal = await spawn(
            JournalActor, self.disk.open_journal, "kraken.main", path=f"{BASE}/store/journal"
        )
        self.egress = await spawn(EgressActor, self.checkpoint, self.journal, path=f"{BASE}/store/egress")

    async def start_session(self) -> None:
        await self.system.spawn(
            PuppetSession,
            self.venue,
            self.strings,
            self.checkpoint,
            self.orders,
            path=f"{BASE}/trading/session",
        )

    async def start_orders(self) -> None:
        links = TrackerLinks(
            journal=self.journal,
            session=self.session,
            orders=self.orders,
            root=self.root,
            open_desk=lambda: PuppetDesk(self.venue, self.strings, self.checkpoint),
            gate=self.gate,
            timing=self.timing,
        )
        await self.system.spawn(
            Orders,
            scope=SCOPE,
            links=links,
            nursery=TrackerNursery(self.trackers),
            instruments={PAIR: INSTRUMENT}.get,
            levels=self.levels,
            live_max=self.live_max,
            entries_max_per_s=self.entries_max_per_s,
            guardian=self.guardian,
            path=f"{BASE}/trading/orders",
        )

    async def place(self, intent: OrderIntent) -> OrderView:
        return await self.orders.call(Place(intent=intent))

    async def cancel(self, intent_id: str, timeout_s: float = 30.0) -> WriteOutcome:
        return await self.orders.call(CancelIntent(intent_id=intent_id), timeout_s=timeout_s)

    async def order(self, intent_id: str) -> OrderView:
        view = await self.orders.call(GetOrder(intent_id=intent_id))
        assert view is not None
        return view

    async def state(self, intent_id: str) -> str:
        return (await self.order(intent_id)).state

    async def until(self, intent_id: str, *states: str, within_s: float = 60.0) -> OrderView:
        async with asyncio.timeout(within_s):
            while (view := await self.order(intent_id)).state not in states:
                await asyncio.sleep(0.01)
        return view

    async def told(self, report: OrderReport, *, snapshot: bool = False, source: str = "stream") -> None:
        self.orders.tell(Reports(reports=(report,), snapshot=snapshot, source=source))
        await asyncio.sleep(0.05)

    def tracker(self, intent_id: str) -> Ref:
        return self.system.address(f"{BASE}/trading/trackers/{intent_id}/tracker")

    def records(self, kind: type[Record] | None = None) -> list[Any]:
        records = [from_row(row) for row in self.disk.rows("kraken.main")]
        return [record for record in records if kind is None or isinstance(record, kind)]

    @property
    def guard(self) -> PuppetGuardian:
        return self.guardian.cell.actor

    def votes(self) -> list[Vote]:
        return self.root.cell.actor.votes

    def crash(self) -> None:
        """SIGKILL: the disk keeps what was durable, nothing else."""
        for info in reversed(self.system.actors()):
            self.system.kill(self.system.address(info.path))
        self.disk.power_cut()
