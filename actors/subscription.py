"""The private stream: executions and balances, as a subscription that must prove itself before it is believed.

    attached, LinkUp  ->  subscribe to both channels, wait for the acks
    acked             ->  wait for both snapshots; an ack alone proves nothing
    snapshots there   ->  Proof("stream"), Proof("sequence"); Reports go out
    a number missing  ->  Proof("sequence") falls; unsubscribe, subscribe, and the snapshot raises it again
    an order accepted on the session and not seen here in time  ->  the stream is silent: as a missing number
    the third such fault in a minute  ->  exit, and the supervisor's budget decides

An executions channel has no cadence of its own when nothing is traded; the session's accepted orders are its cadence.
"""

from collections import OrderedDict
from collections.abc import Coroutine
from collections.abc import Sequence as Many
from decimal import Decimal
from typing import Any

import msgspec

from allstop.actors.call_reports import call_failed, call_succeeded
from allstop.actors.channels import Listener, NoAck, SubscribeChannel
from allstop.actors.commands import Proof, Reports, SubscribeReports
from allstop.actors.connection_settings import ConnectionSettings
from allstop.actors.errors import AllstopError, Category, Fatal, Refused, Remedy
from allstop.actors.exits import Exit
from allstop.actors.ledger_messages import OrderTouched
from allstop.actors.limits.fault_window import FaultWindow
from allstop.actors.protocols.kraken.events import Balances, Executions, MalformedFrame, MethodReply
from allstop.actors.protocols.sequence import Sequence, Verdict
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import ActorDead, CallTimeout, Mailbox, Overflow, Ref
from allstop.actors.session import OrderAccepted, SubscribeAccepted

SEEN_MAX = 5000  # orders remembered as told; at 20 a second, four minutes, and an acceptance waits seconds
PUT_OFF = (Category.RATE, Category.VENUE, Category.MARKET)  # refusals that pass by themselves
OPTIONS: dict[str, dict[str, Any]] = {
    "executions": {"snap_orders": True, "snap_trades": True, "ratecounter": True},
    "balances": {"snapshot": True},
}


class StreamFault(AllstopError):
    """The private stream cannot be believed: refused, silent, or with gaps too often."""


class GetBalances(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with {asset: Decimal} as the venue last told them, or None before a snapshot."""


class GetStream(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with a StreamView."""


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    live: bool
    executions: int  # frames
    gaps: int
    resubscribes: int
    open_orders: int


class _SnapshotDue(msgspec.Struct, frozen=True):
    round: int


class _ReportDue(msgspec.Struct, frozen=True):
    order_id: str


class PrivateStream(Listener):
    """`subscribers` are the paths told of every Reports from the start; more may subscribe."""

    # Executions are never dropped: a full mailbox ends the session that fills it, which closes the gate.
    mailbox = Mailbox(capacity=10_000, overflow=Overflow.REFUSE)

    def __init__(self, *, session: Ref, gate: Ref, ledger: Ref, subscribers: Many[str] = (),
                 settings: ConnectionSettings | None = None) -> None:  # fmt: skip
        self._settings = settings or ConnectionSettings()
        super().__init__(connection=session, routes=(("executions", ""), ("balances", "")),
                         retry_s=self._settings.retry_first_s)  # fmt: skip
        self._gate = gate
        self._ledger = ledger
        self._subscriber_paths = tuple(subscribers)
        self._subscribers: dict[str, Ref] = {}
        self._faults = FaultWindow(most=self._settings.faults_max, window_s=self._settings.faults_window_s)
        self._round = 0
        self._put_off = ""  # the venue refused this round for now: we ask too often, or it is away
        self._snapshots: set[str] = set()
        self._sequences: dict[str, Sequence] = {}
        self._live = False
        self._open: dict[str, OrderReport] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._balances: dict[str, Decimal] | None = None
        self._frames = 0
        self._gaps = 0

    def on_start(self) -> Any:
        for path in self._subscriber_paths:
            self._subscribers[path] = self.system.address(path)
        self._prove("stream", holds=False, reason="not subscribed yet")
        self._prove("sequence", holds=False, reason="not subscribed yet")
        return super().on_start()

    def on_message(self, message: object) -> object:
        match message:
            case Executions():
                return self._executions(message)
            case Balances():
                return self._balance(message)
            case OrderAccepted(order_id=order_id):
                return self._expect(order_id)
            case _ReportDue(order_id=order_id):
                if self._live and order_id not in self._seen:
                    return self._fault(f"{order_id} was accepted and never reported")
                return None
            case _SnapshotDue(round=round_):
                return self._no_snapshot() if round_ == self._round and not self._live else None
            case MalformedFrame(reason=reason):
                return self._fault(f"a frame could not be read: {reason}")
            case SubscribeReports(path=path):
                return self._subscribe_reports(path)
            case GetBalances():
                return self._balances
            case GetStream():
                return StreamView(live=self._live, executions=self._frames, gaps=self._gaps,
                                  resubscribes=max(0, self._round - 1), open_orders=len(self._open))  # fmt: skip
            case _:
                return super().on_message(message)

    # Subscribing

    async def on_link_up(self) -> None:
        await self._subscribe(anew=False)

    async def on_link_down(self, why: str) -> None:
        self._round += 1  # no snapshot is due any more
        self._fall(f"the session ended: {why}")

    async def _subscribe(self, *, anew: bool) -> None:
        """Both channels. A venue that does not answer is noticed by `_SnapshotDue`; a session that is gone, by its
        Down."""
        self._round += 1
        self._put_off = ""
        self._snapshots.clear()
        self._sequences.clear()
        self._fall("subscribing")
        self.send_after(self._settings.ack_timeout_s * 2, _SnapshotDue(self._round))
        try:
            await self.connection.call(
                SubscribeAccepted(path=self.path), timeout_s=self._settings.permit_timeout_s
            )
            for channel, options in OPTIONS.items():
                if anew:
                    await self._request(SubscribeChannel(channel=channel, unsubscribe=True))
                self._check(await self._request(SubscribeChannel(channel=channel, options=options)))
        except (ActorDead, CallTimeout, NoAck, Refused) as error:
            self.log.warning("stream.not_subscribed", reason=str(error))

    async def _request(self, wanted: SubscribeChannel) -> MethodReply:
        timeout_s = self._settings.ack_timeout_s + self._settings.permit_timeout_s
        return await self.connection.call(wanted, timeout_s=timeout_s)

    def _check(self, reply: MethodReply) -> None:
        fault = reply.fault
        if reply.ok or fault is None or fault.remedy in (Remedy.OK, Remedy.REAUTH):
            return  # after a new token the session says LinkUp again
        if fault.category in (Category.AUTH, Category.PERM):
            raise Fatal("STREAM_REFUSED", str(fault))
        if fault.category in PUT_OFF:
            self._put_off = str(fault)
            return  # _SnapshotDue tries again
        raise StreamFault(f"{reply.channel}: {fault}")

    async def _no_snapshot(self) -> None:
        """A venue that says that we ask too often, or that it is away, has answered: it is asked again, and that is no
        fault. To exit would be to ask again at once, until the budget is spent."""
        if self._put_off:
            self.log.warning("stream.put_off", round=self._round, reason=self._put_off)
            await self._subscribe(anew=True)
        else:
            await self._fault("no snapshot came after the ack")

    async def _fault(self, why: str) -> None:
        """Something was lost, or may be. The third in a minute is an exit."""
        self._faults = self._faults.noted(self.clock.now_s())
        call_failed(self, Category.DATA)
        self.log.warning("stream.fault", reason=why, lately=len(self._faults.faults_s))
        if self._faults.spent:
            raise StreamFault(f"{len(self._faults.faults_s)} faults in a minute; the last: {why}")
        await self._subscribe(anew=True)

    # Events

    def _executions(self, event: Executions) -> Coroutine[Any, Any, None] | None:
        self._frames += 1
        for report in event.reports:
            self._remember(report)
        # The reports are true whatever is missing between them; only the proof falls.
        self._publish(Reports(reports=event.reports, snapshot=event.snapshot))
        if event.snapshot:
            present = {report.order_id for report in event.reports}
            for order_id in [known for known in self._open if known not in present]:
                del self._open[order_id]
        return self._count("executions", event.sequence, snapshot=event.snapshot)

    def _balance(self, event: Balances) -> Coroutine[Any, Any, None] | None:
        held = {} if event.snapshot or self._balances is None else self._balances
        self._balances = {**held, **event.balances}
        return self._count("balances", event.sequence, snapshot=event.snapshot)

    def _count(self, channel: str, number: int | None, *, snapshot: bool) -> Coroutine[Any, Any, None] | None:
        if snapshot:
            self._sequences[channel] = Sequence(number)
            self._snapshots.add(channel)
            self._rise()
            return None
        if number is None or channel not in self._sequences:
            return None  # before the snapshot nothing is counted
        self._sequences[channel], arrival = self._sequences[channel].seen(number)
        if arrival.verdict in (Verdict.GAP, Verdict.REPEAT):
            self._gaps += 1
            return self._fault(f"{channel}: {arrival.verdict} at {number}, {arrival.missing} missing")
        return None

    def _remember(self, report: OrderReport) -> None:
        first = report.order_id not in self._seen
        self._seen[report.order_id] = None
        self._seen.move_to_end(report.order_id)
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        known = self._open.get(report.order_id)
        merged = report if known is None else known.merged(report)
        if merged.status.terminal:
            self._open.pop(report.order_id, None)
            self._ledger.tell(OrderTouched(order_id=report.order_id, gone=True))
            return
        self._open[report.order_id] = merged
        if first:
            age_s = max(0.0, (self.clock.wall_ns() - report.ts_ns) / 1e9) if report.ts_ns else 0.0
            self._ledger.tell(OrderTouched(order_id=report.order_id, pair=report.pair, age_s=age_s))

    def _expect(self, order_id: str) -> None:
        if order_id not in self._seen:
            self.send_after(self._settings.report_lag_max_s, _ReportDue(order_id))

    # Telling

    def _subscribe_reports(self, path: str) -> bool:
        """A late subscriber is told how things stand."""
        ref = self._subscribers[path] = self.system.address(path)
        if self._live:
            ref.tell(Reports(reports=tuple(self._open.values()), snapshot=True))
        return True

    def _publish(self, reports: Reports) -> None:
        for subscriber in self._subscribers.values():
            subscriber.tell(reports)

    def _rise(self) -> None:
        if self._live or self._snapshots != set(OPTIONS):
            return
        self._live = True
        call_succeeded(self)
        self._prove("stream", holds=True)
        self._prove("sequence", holds=True)

    def _fall(self, why: str) -> None:
        if self._live:
            self._live = False
            self._prove("stream", holds=False, reason=why)
            self._prove("sequence", holds=False, reason=why)

    def _prove(self, name: str, *, holds: bool, reason: str = "") -> None:
        self._gate.tell(Proof(name=name, holds=holds, at_s=self.clock.now_s(), by=self.path, reason=reason))

    async def on_stop(self, exit_: Exit) -> None:
        self._fall(str(exit_))

    def on_failure(self, exception_type: Any, exception_value: BaseException | None, traceback: Any) -> None:
        self._fall(str(exception_value))
