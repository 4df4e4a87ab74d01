"""The guardian's own writes: each durable first, one at a time per pair, and none on a guess.

A write that was not answered leaves its pair *pending* (`protocols/pending_write.py`): nothing else is written for that
pair until readings of the venue have shown the order or, past its deadline, twice not (`protocols/lookup.py`). Which
order a step is stands in `protocols/cover_intents.py`. Amends and cancels set a state and do no harm twice, and are over
with the next reading that began after them.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import msgspec

from allstop.actors.clock import Ids
from allstop.actors.cover_journal import CoverJournal
from allstop.actors.intents import OrderIntent, OrderType
from allstop.actors.levels import IntentKind, Origin, Scope
from allstop.actors.ports import Desk
from allstop.actors.protocols.cover_intents import ended_by, intent_of, is_exit_intent, not_placed, step_of
from allstop.actors.protocols.cover_memory import CoverMemory, OwnWrite
from allstop.actors.protocols.exiting import CancelExit, SendExit
from allstop.actors.protocols.lookup import Lookup, Search, Timing
from allstop.actors.protocols.pending_write import PendingWrite, Write, Written
from allstop.actors.protocols.positions import ZERO
from allstop.actors.protocols.records import (
    AttemptEnded,
    AttemptStarted,
    CommandEnded,
    CommandIntended,
    CoverRecorded,
    IntentCommitted,
    LookupDone,
    Record,
    Withheld,
)
from allstop.actors.protocols.remedies import (
    AmendStop,
    CancelEntries,
    CancelStops,
    Flatten,
    PlaceStop,
)
from allstop.actors.reports import WriteOutcome
from allstop.actors.venue_clock import VenueClock


class CoverOrders:
    """One account's. `write` and `read` are called by the guardian alone."""

    def __init__(
        self,
        name: str,
        scope: Scope,
        timing: Timing,
        *,
        desk: Desk,
        journal: CoverJournal,
        memory: CoverMemory,
        clock: VenueClock,
        ids: Ids,
        turn: asyncio.Lock,
    ) -> None:
        self._name = name
        self._scope = scope
        self._timing = timing
        self._desk = desk
        self._journal = journal
        self._memory = memory
        self._clock = clock
        self._ids = ids
        self._pending: dict[str, PendingWrite] = {}
        self._turn = turn
        self._queued: list[OwnWrite] = []  # of an earlier incarnation, more than one for a pair

    def resume(self) -> None:
        """Takes over what an earlier incarnation wrote and did not see answered."""
        self._queued = list(self._memory.unresolved.values())
        self._take_queued()

    def pairs(self) -> frozenset[str]:
        """Pairs on which a write of ours has no known outcome."""
        return frozenset(self._pending)

    def due_s(self, held: Callable[[str], bool]) -> float | None:
        """When the next reading can tell what became of a write that nobody answered; None when none is open on a pair
        that nobody else holds."""
        moments = [pending.due_s() for pair, pending in self._pending.items() if not held(pair)]
        return min((at_s for at_s in moments if at_s is not None), default=None)

    def waits(self, pair: str) -> bool:
        """Whether a write there has no known outcome, and no reading that begins now could tell it."""
        pending = self._pending.get(pair)
        due_s = None if pending is None else pending.due_s()
        if pending is None or due_s is None:
            return False
        return not pending.shown(self._memory.book) and self._clock.now_s() < due_s

    def awaited(self) -> tuple[str, ...]:
        """Orders that the venue accepted and no report has shown yet."""
        return tuple(order_id for pending in self._pending.values() for order_id in pending.order_ids)

    def in_flight(self, pair: str) -> Decimal:
        """What an unanswered flatten or exit will take off the position, if it arrives; what the venue shows of a
        market order counts by itself. A limit that is immediate-or-cancel is shown only for a moment, and ends."""
        book, immediate = self._memory.book, ZERO
        for order in book.open_orders(pair):
            intent = book.intent(order.cl_ord_id or "")
            if intent is not None and is_exit_intent(intent) and intent.order_type is OrderType.LIMIT:
                immediate += order.leaves_qty
        pending = self._pending.get(pair)
        return immediate if pending is None else immediate + pending.in_flight(book)

    def accepted(self, pair: str) -> bool:
        """Whether the venue took the last order there. A list in which it stands is all that is needed of it; where it
        stands in none, a reading asks for it."""
        pending = self._pending.get(pair)
        return pending is not None and pending.accepted()

    def shown(self, pair: str) -> None:
        """The venue was asked by name about the orders of the last write: if it was answered, it is no longer open."""
        pending = self._pending.get(pair)
        if pending is not None and pending.over(self._memory.book):
            del self._pending[pair]

    def order_ids(self, pair: str) -> tuple[str, ...]:
        """The venue's ids of the orders that the last write on the pair made."""
        pending = self._pending.get(pair)
        return pending.order_ids if pending is not None else ()

    # -- writing ---------------------------------------------------------------------------------------------

    async def write(
        self, pair: str, step: Write, *, still: Callable[[], bool] = lambda: True
    ) -> Written | None:
        """Carries a step out. None: its outcome is not known, and `read` will tell. One after the other, and after the
        question under way, as the key's turns are: an order's deadline runs from its commit, and must not run out while
        it waits for another's answer. `still`: whether it is to be written when its turn comes; else nothing was."""
        async with self._turn:
            if not still():
                return Written(pair, step, taken=False)
            return await self._written(pair, step)

    async def _written(self, pair: str, step: Write) -> Written | None:
        match step:
            case PlaceStop() | Flatten():
                return await self._order(pair, step)
            case AmendStop(order_id=order_id, order_qty=order_qty):
                return await self._command(pair, step, (order_id,), order_qty)
            case SendExit(intent=intent):
                return await self._attempt(pair, step, intent)
            case CancelStops(order_ids=ids) | CancelEntries(order_ids=ids) | CancelExit(order_ids=ids):
                order_ids = ids
                return await self._command(pair, step, order_ids, None)
            case _:
                raise TypeError(f"{step!r} is no write")

    async def _order(self, pair: str, step: PlaceStop | Flatten) -> Written | None:
        intent, parentage = intent_of(self._name, step, self._memory.count)
        return await self._attempt(
            pair,
            step,
            intent,
            CoverRecorded(
                pair=pair,
                step="stop" if isinstance(step, PlaceStop) else "flatten",
                detail=msgspec.json.encode(parentage).decode(),
            ),
            IntentCommitted(
                intent=intent,
                origin=Origin.GUARDIAN,
                scope=(*self._scope, pair),
                at_ns=self._clock.wall_ns(),
                owner=self._memory.owner,
            ),
        )

    async def _attempt(
        self, pair: str, step: Write, intent: OrderIntent, *committed: Record
    ) -> Written | None:
        """The one attempt that there is: `committed` and its beginning become durable together, then it is sent."""
        pending = self._pending[pair] = PendingWrite(pair, step, intent.id)
        await self._note(
            *committed,
            AttemptStarted(
                intent_id=intent.id,
                attempt=1,
                channel="desk",
                deadline_s=self._timing.deadline_s,
                at_ns=self._clock.wall_ns(),
            ),
        )
        outcome = await self._desk.submit(intent, attempt=1, deadline_s=self._timing.deadline_s)
        await self._note(
            AttemptEnded(intent_id=intent.id, attempt=1, outcome=outcome),
            *ended_by(intent, outcome),
            durable=False,
        )
        return self._answered(pending, outcome)

    async def withhold(self, intent: OrderIntent, reason: str) -> None:
        """An exit that was committed will not be sent. Nothing waits for the disk: whoever finds it without an attempt
        says the same, and what covers the position may be next in line."""
        await self._note(
            Withheld(intent_id=intent.id, reason=reason), *not_placed(intent, reason), durable=False
        )

    async def _command(
        self, pair: str, step: Write, order_ids: tuple[str, ...], order_qty: Decimal | None
    ) -> Written | None:
        pending = self._pending[pair] = PendingWrite(pair, step)
        command_id = self._ids.new()
        amends = order_qty is not None
        await self._note(
            CommandIntended(
                command_id=command_id,
                intent_id="",
                verb="amend" if amends else "cancel",
                kind=IntentKind.PROTECT if amends else IntentKind.CANCEL,
                origin=Origin.GUARDIAN,
                scope=(*self._scope, pair),
                order_ids=order_ids,
                at_ns=self._clock.wall_ns(),
                order_qty=order_qty,
            )
        )
        outcome: WriteOutcome
        if order_qty is None:
            outcome = await self._desk.cancel(command_id, order_ids)
        else:
            outcome = await self._desk.amend(
                command_id,
                order_ids[0],
                order_qty=format(order_qty, "f"),
                deadline_s=self._timing.deadline_s,
            )
        await self._note(CommandEnded(command_id=command_id, intent_id="", outcome=outcome), durable=False)
        return self._answered(pending, outcome)

    def _answered(self, pending: PendingWrite, outcome: WriteOutcome) -> Written | None:
        after, written = pending.after(outcome, self._clock.now_s(), self._timing)
        if after is None:
            del self._pending[pending.pair]
        elif self._pending.get(pending.pair) is pending:  # a report may have shown it before the answer came
            self._pending[pending.pair] = after
        return written

    # -- finding out -----------------------------------------------------------------------------------------

    async def read(self, started_s: float) -> list[Written]:
        """After a full reading that began at `started_s`: what is known now of the pending writes."""
        known: list[Written] = []
        for pair in tuple(self._pending):
            pending = self._pending.get(pair)
            if pending is None:  # its answer came while another was searched
                continue
            if pending.over_by(started_s, self._memory.book):
                del self._pending[pair]
                if pending.intent_id is not None:
                    self._memory.unresolved.pop(pending.intent_id, None)
                if pending.lookup is not None:
                    known.append(pending.written(taken=True))
            elif pending.lookup is not None and pending.intent_id is not None:
                known += await self._searched(pending, pending.lookup, pending.intent_id, started_s)
        self._take_queued()
        return known

    async def _searched(
        self, pending: PendingWrite, lookup: Lookup, intent_id: str, started_s: float
    ) -> list[Written]:
        search = Search(started_s=started_s, ended_s=self._clock.now_s())
        self._pending[pending.pair], evidence = pending.searched(lookup, search)
        if evidence is None:
            return []
        await self._note(
            LookupDone(intent_id=intent_id, verdict="absent", evidence=evidence),
            Withheld(intent_id=intent_id, reason="proven absent"),
            *not_placed(self._memory.book.intent(intent_id), "the venue never took it"),
        )
        del self._pending[pending.pair]
        return [pending.written(taken=False, fault=pending.fault)]

    def _take_queued(self) -> None:
        for write in list(self._queued):
            if write.intent.pair in self._pending:
                continue
            self._queued.remove(write)
            # By a clock that nobody has compared with the venue's nothing has elapsed: what it is waited for is final.
            elapsed_s = (self._clock.wall_ns() - write.sent_ns) / 1e9 if self._clock.measured else 0.0
            self._pending[write.intent.pair] = PendingWrite(
                write.intent.pair,
                step_of(write.intent),
                write.intent.id,
                lookup=Lookup.begin(self._clock.now_s() - max(elapsed_s, 0.0), self._timing),
            )

    async def _note(self, *records: Record, durable: bool = True) -> None:
        await self._journal.note(*records, durable=durable)
        for record in records:  # without a journal nobody else tells the memory; with one, twice is once
            self._memory.note(record)
