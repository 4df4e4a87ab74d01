"""The reconciler: what the venue's lists say of our orders, compared with what we believe, until both agree.

After each snapshot of the private stream, on demand and every so often it reads the open orders, the orders closed
since the last proof, and by id what is in neither list; tells all of it as Reports; and asks `orders` how it stands
then. Only a round in which every read was complete and nothing disagrees is a proof. A read that failed proves
nothing, is tried again later, and is no crash until it has failed for long.

When it was last proven is noted in the journal now and then: after an outage the closed orders are read from there,
because an order that came and went meanwhile, such as a stop that triggered, stands in no other list.

An order that we believe open and that the venue does not know, by its own id, is nobody's proof of anything: it is
neither open nor over. Its instrument takes no entries until the venue tells of it again; the others are not held up.
"""

import asyncio
from collections.abc import Callable, Container, Coroutine, Iterable, Mapping
from collections.abc import Sequence as Many
from decimal import Decimal
from typing import Any

import msgspec

from allstop.actors.call_reports import call_failed, call_succeeded
from allstop.actors.commands import GetOrders, OrderView, Proof, Reports, SubscribeReports
from allstop.actors.connection_settings import ConnectionSettings
from allstop.actors.errors import Category
from allstop.actors.exits import Exit
from allstop.actors.journal import Append, Read
from allstop.actors.kraken_desk import keep
from allstop.actors.order_gate import GateBoard
from allstop.actors.ports import Desk, HttpNoReply, HttpNotSent, JournalEntry, QueryFailed
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue, Mailbox, Overflow, Ref, Timer

PROVEN_KIND = "reconciled"
NOTE_EVERY_S = 300.0  # after an outage at most so much more is read than was missed
SETTLE_TRIES = 5  # asking `orders` how it stands after it was told: its trackers journal first, then know
SETTLE_S = 0.05  # between them: a flush of a slow disk


class Reconcile(msgspec.Struct, frozen=True, kw_only=True):
    """To the reconciler: one round, now. Answered with a ReconcileView."""


class ReconcileView(msgspec.Struct, frozen=True, kw_only=True):
    """`holds`: what was proven last, which a later read that failed does not take back. `last_held`: whether the latest
    round proved it."""

    holds: bool
    last_held: bool = False
    proven_at_ns: int  # wall; 0 before the first proof
    rounds: int
    disagreements: tuple[str, ...] = ()
    failure: str = ""


class _Round(msgspec.Struct, frozen=True):
    """To itself: reconcile."""


class _Subscribe(msgspec.Struct, frozen=True):
    """To itself: ask the stream to tell us of its snapshots."""


def _conflated(message: object) -> object:
    """Of reports, only that a snapshot came matters here; rounds waiting for their turn are one round."""
    match message:
        case Reports(snapshot=snapshot):
            return ("reports", snapshot)
        case _Round():
            return "round"
        case _:
            return None


class Reconciler(Actor):
    """`make_desk` gives a desk of its own to each incarnation; `listeners` are the paths told what was read (orders,
    guardian); `board` is where instruments freeze; `journal` None: an outage is not looked back over;
    `keep_listing` is a task that compares what the venue lists of the pairs with what we know of them."""

    mailbox = Mailbox(capacity=1000, overflow=Overflow.CONFLATE, key=_conflated)

    def __init__(self, *, make_desk: Callable[[Ref], Desk], stream: Ref, orders: Ref, gate: Ref, board: GateBoard,
                 listeners: Many[str] = (), journal: Ref | None = None,
                 keep_listing: Callable[[Actor], Coroutine[Any, Any, None]] | None = None,
                 settings: ConnectionSettings | None = None) -> None:  # fmt: skip
        self._make_desk = make_desk
        self._stream = stream
        self._orders = orders
        self._gate = gate
        self._board = board
        self._listener_paths = tuple(listeners)
        self._journal = journal
        self._keep_listing = keep_listing
        self._settings = settings or ConnectionSettings()
        self._listeners: tuple[Ref, ...] = ()
        self._desk: Desk | None = None
        self._timer: Timer | None = None
        self._holds = False
        self._proven_at_ns = 0
        self._since_ns = 0  # what is closed since then may be unknown here; 0: not looked up yet
        self._noted_ns = 0
        self._rounds = 0
        self._failures = 0
        self._last: tuple[str, ...] = ()
        self._failure = ""

    def on_start(self) -> Any:
        self._desk = self._make_desk(self.ref)
        self.start_task(keep(self._desk), "desk")
        if self._keep_listing is not None:
            self.start_task(self._keep_listing(self), "listing")
        self._listeners = tuple(self.system.address(path) for path in self._listener_paths)
        self._prove(holds=False, reason="not reconciled yet")
        return Continue(_Subscribe())

    async def on_continue(self, argument: object) -> None:
        await self._subscribe()

    async def on_receive(self, message: object) -> object:
        match message:
            case Reports(snapshot=True):
                self._prove(holds=False, reason="a new subscription")
                return await self._reconcile()
            case Reports():
                return None
            case _Round():
                return await self._reconcile()
            case Reconcile():
                await self._reconcile()
                return self._view()
            case _Subscribe():
                return await self._subscribe()
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    def on_stop(self, exit_: Exit) -> None:
        self._prove(holds=False, reason=str(exit_))

    def on_failure(self, exception_type: Any, exception_value: BaseException | None, traceback: Any) -> None:
        self._prove(holds=False, reason=str(exception_value))

    async def _subscribe(self) -> None:
        """A stream that is away is asked again; its first snapshot starts the first round."""
        try:
            await self._stream.call(
                SubscribeReports(path=self.path), timeout_s=self._settings.permit_timeout_s
            )
        except (ActorDead, CallTimeout):
            self.send_after(self._settings.retry_first_s, _Subscribe())

    async def _reconcile(self) -> None:
        self._rounds += 1
        started_ns = self.clock.wall_ns()
        try:
            await self._look_back()
            reports, unknown = await self._read()
            self._tell(reports)
            self._last, absent = await self._disagreements(reports, unknown)
        except (QueryFailed, ActorDead, CallTimeout) as error:
            self._fail(f"{type(error).__name__}: {error}", error)
            return
        if self._last:
            self._fail("; ".join(self._last[:5]), None)
            return
        self._freeze(absent)
        call_succeeded(self)
        self._failures, self._failure = 0, "; ".join(absent.values())
        self._proven_at_ns = self._since_ns = started_ns
        await self._note(started_ns)
        self._prove(holds=True)
        self._again(self._settings.reconcile_interval_s)

    async def _look_back(self) -> None:
        """Once: how far back the first round must read."""
        if self._since_ns:
            return
        rows = []
        if self._journal is not None:
            rows = await self._journal.call(
                Read(kinds=(PROVEN_KIND,)), timeout_s=self._settings.permit_timeout_s
            )
        self._since_ns = self._noted_ns = msgspec.json.decode(rows[-1].body)["at_ns"] if rows else 0
        self._since_ns = self._since_ns or self.clock.wall_ns()

    async def _note(self, at_ns: int) -> None:
        if self._journal is None or at_ns - self._noted_ns < NOTE_EVERY_S * 1e9:
            return
        entry = JournalEntry(kind=PROVEN_KIND, key="", body=msgspec.json.encode({"at_ns": at_ns}))
        try:
            message = Append(entries=(entry,), durable=False)
            await self._journal.call(message, timeout_s=self._settings.permit_timeout_s)
        except (ActorDead, CallTimeout) as error:
            self.log.warning("reconcile.not_noted", reason=str(error))  # it is noted with the next proof
            return
        self._noted_ns = at_ns

    async def _read(self) -> tuple[dict[str, OrderReport], set[str]]:
        """What the venue says of every order that is open, closed lately, or believed open by us; complete. And the
        ids, among those that we believed open when we began, that it does not know when asked by name."""
        assert self._desk is not None
        overlap_ns = int(self._settings.reconcile_overlap_s * 1e9)
        since_ns = self._since_ns - overlap_ns
        believed = await self._views()
        # Open first, closed second: an order that closes in between is in one of them at least.
        found = {report.order_id: report for report in await self._desk.open_orders()}
        found |= _newest(found, await self._desk.closed_orders(since_ns))
        missing = [
            v.report.order_id for v in believed if v.report is not None and v.report.order_id not in found
        ]
        if missing:
            found |= _newest(found, await self._desk.query_orders(missing))
        return found, set(missing) - set(found)

    async def _views(self) -> list[OrderView]:
        return await self._orders.call(GetOrders(open_only=True), timeout_s=self._settings.permit_timeout_s)

    def _tell(self, found: Mapping[str, OrderReport]) -> None:
        reports = Reports(reports=tuple(found.values()), source="query")
        for listener in self._listeners:
            listener.tell(reports)

    async def _disagreements(
        self, found: Mapping[str, OrderReport], unknown: Container[str]
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """What still disagrees after `orders` had some time to take in what it was told, and what is absent then."""
        wrong: tuple[str, ...] = ()
        views: list[OrderView] = []
        for left in reversed(range(SETTLE_TRIES)):
            views = await self._views()
            wrong = disagreements(views, found)
            if not wrong or not left:
                break
            await asyncio.sleep(SETTLE_S)
        return wrong, absences(views, unknown)

    def _freeze(self, absent: Mapping[str, str]) -> None:
        """Freezes the instruments of orders that are absent, and frees the others: also those of an earlier
        incarnation, which had the same path."""
        for pair in self._board.frozen_by(self.path) - set(absent):
            self._board.thaw(pair, self.path)
        for pair, why in absent.items():
            self.log.error("reconcile.absent", pair=pair, why=why)
            self._board.freeze(pair, self.path, why)

    def _fail(self, why: str, error: BaseException | None) -> None:
        """Nothing was proven. What was proven before stands until the next snapshot, unless we found it wrong."""
        self._failures += 1
        self._failure = why
        self.log.warning("reconcile.failed", reason=why, failures=self._failures)
        if error is None:
            self._prove(holds=False, reason=why)
        elif isinstance(error.__cause__, HttpNotSent | HttpNoReply):
            call_failed(self, Category.NETWORK)  # any other failure is an answer, or trouble of our own
        if self._failures >= self._settings.failures_max:
            raise QueryFailed(f"not reconciled after {self._failures} rounds: {why}") from error
        backoff_s = self._settings.retry_first_s * 2 ** (self._failures - 1)
        self._again(min(backoff_s, self._settings.retry_max_s) * (0.5 + self.dice.draw() / 2))

    def _again(self, after_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.send_after(after_s, _Round())

    def _prove(self, *, holds: bool, reason: str = "") -> None:
        self._holds = holds
        self._gate.tell(
            Proof(name="reconciled", holds=holds, at_s=self.clock.now_s(), by=self.path, reason=reason)
        )

    def _view(self) -> ReconcileView:
        last_held = self._holds and self._failures == 0
        return ReconcileView(holds=self._holds, last_held=last_held, proven_at_ns=self._proven_at_ns, rounds=self._rounds,
                             disagreements=self._last, failure=self._failure)  # fmt: skip


def disagreements(views: Iterable[OrderView], found: Mapping[str, OrderReport]) -> tuple[str, ...]:
    """Where our belief contradicts the venue. Being ahead of a list that is some moments old is no contradiction; an
    order without a venue id is an open question of its own tracker, and gates its own instrument."""
    wrong: list[str] = []
    for view in views:
        known = view.report
        if known is None:
            continue
        venue = found.get(known.order_id)
        if venue is None:
            continue  # placed since the lists were read, or unknown there: see `absences`
        if venue.status.terminal and not known.status.terminal:
            wrong.append(f"{known.order_id} is {venue.status} at the venue and {known.status} here")
        elif (venue.cum_qty or Decimal(0)) > max(view.cum_qty, known.cum_qty or Decimal(0)):
            wrong.append(f"{known.order_id} executed {venue.cum_qty} at the venue and {view.cum_qty} here")
    return tuple(wrong)


def absences(views: Iterable[OrderView], unknown: Container[str]) -> dict[str, str]:
    """Instrument -> which order there we still believe open, of those that the venue does not know by its own id."""
    return {
        view.intent.pair: f"{view.report.order_id} is open here and unknown to the venue"
        for view in views
        if view.report is not None and not view.report.status.terminal and view.report.order_id in unknown
    }


def _newest(found: Mapping[str, OrderReport], newer: Iterable[OrderReport]) -> dict[str, OrderReport]:
    """The newer reports, merged with what was found of the same orders."""
    return {r.order_id: found[r.order_id].merged(r) if r.order_id in found else r for r in newer}
