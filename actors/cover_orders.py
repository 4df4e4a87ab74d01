"""The guardian's own writes: each durable first, one at a time per pair, and none on a guess.

A write that was not answered leaves its pair *pending*: nothing else is written for that pair until readings of the
venue have shown the order or, past its deadline, twice not (`protocols/lookup.py`). A stop or a flatten is an intent
with an id that follows from the journal, so that it is the same after a restart; amends and cancels set a state and
do no harm twice, and are over with the next reading that began after them.
"""

from decimal import Decimal

import msgspec

from allstop.actors.clock import Clock, Ids
from allstop.actors.cover_journal import CoverJournal
from allstop.actors.errors import Fault, Remedy
from allstop.actors.intents import OrderIntent, OrderType, StopLoss
from allstop.actors.levels import IntentKind, Origin, Scope
from allstop.actors.ports import Desk
from allstop.actors.protocols.cover_memory import CoverMemory, OwnWrite, Parentage, cover_id
from allstop.actors.protocols.lookup import Lookup, ProvenAbsent, Search, Timing
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
    Step,
)
from allstop.actors.reports import Accepted, NotSent, Rejected, Unknown, WriteOutcome


class Written(msgspec.Struct, frozen=True):
    """What became of a step. `fault`: the venue refused it. Neither taken nor refused: it was not sent, or is proven
    never to have arrived."""

    pair: str
    step: Step
    taken: bool
    fault: Fault | None = None


class _Pending(msgspec.Struct):
    step: Step
    intent_id: str | None = None
    order_ids: tuple[str, ...] = ()
    lookup: Lookup | None = None
    fault: Fault | None = None  # what a lookup is to confirm
    over_after_s: float | None = None  # of a command: any reading that began later shows its effect


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
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._name = name
        self._scope = scope
        self._timing = timing
        self._desk = desk
        self._journal = journal
        self._memory = memory
        self._clock = clock
        self._ids = ids
        self._pending: dict[str, _Pending] = {}
        self._queued: list[OwnWrite] = []  # of an earlier incarnation, more than one for a pair

    def resume(self) -> None:
        """Takes over what an earlier incarnation wrote and did not see answered."""
        self._queued = list(self._memory.unresolved.values())
        self._take_queued()

    def pairs(self) -> frozenset[str]:
        """Pairs on which a write of ours has no known outcome."""
        return frozenset(self._pending)

    def awaited(self) -> tuple[str, ...]:
        """Orders that the venue accepted and no report has shown yet."""
        return tuple(order_id for pending in self._pending.values() for order_id in pending.order_ids)

    def in_flight(self, pair: str) -> Decimal:
        """What an unanswered flatten will take off the position, if it arrives; what the venue shows of it counts by
        itself."""
        pending = self._pending.get(pair)
        if pending is None or not isinstance(pending.step, Flatten):
            return ZERO
        shown = pending.intent_id is not None and self._memory.book.order_of(pending.intent_id) is not None
        return ZERO if shown else pending.step.qty

    # -- writing ---------------------------------------------------------------------------------------------

    async def write(self, pair: str, step: Step) -> Written | None:
        """Carries a step out. None: its outcome is not known, and `read` will tell."""
        match step:
            case PlaceStop() | Flatten():
                return await self._order(pair, step)
            case AmendStop(order_id=order_id, order_qty=order_qty):
                return await self._command(pair, step, (order_id,), order_qty)
            case CancelStops(order_ids=order_ids) | CancelEntries(order_ids=order_ids):
                return await self._command(pair, step, order_ids, None)
            case _:
                raise TypeError(f"{step!r} is no write")

    async def _order(self, pair: str, step: PlaceStop | Flatten) -> Written | None:
        intent, parentage = self._intent(step)
        pending = self._pending[pair] = _Pending(step, intent.id)
        now_ns = self._clock.wall_ns()
        await self._note(
            CoverRecorded(
                pair=pair,
                step="stop" if isinstance(step, PlaceStop) else "flatten",
                detail=msgspec.json.encode(parentage).decode(),
            ),
            IntentCommitted(
                intent=intent,
                origin=Origin.GUARDIAN,
                scope=(*self._scope, pair),
                at_ns=now_ns,
                owner=self._memory.owner,
            ),
            AttemptStarted(
                intent_id=intent.id,
                attempt=1,
                channel="desk",
                deadline_s=self._timing.deadline_s,
                at_ns=now_ns,
            ),
        )
        outcome = await self._desk.submit(intent, attempt=1, deadline_s=self._timing.deadline_s)
        await self._note(AttemptEnded(intent_id=intent.id, attempt=1, outcome=outcome), durable=False)
        now_s = self._clock.now_s()
        match outcome:
            case Accepted(order_ids=order_ids):
                pending.order_ids = order_ids
                return Written(pair, step, taken=True)
            case Rejected(fault=fault) if fault.remedy is Remedy.RENONCE:
                pending.fault = fault
                pending.lookup = Lookup.begin(now_s, self._timing, check=True)
                return None
            case Rejected(fault=fault):
                del self._pending[pair]
                return Written(pair, step, taken=False, fault=fault)
            case NotSent(reason=reason):
                # The next try is a new intent: this one is over, and says so.
                await self._note(Withheld(intent_id=intent.id, reason=reason), durable=False)
                del self._pending[pair]
                return Written(pair, step, taken=False)
            case Unknown():
                pending.lookup = Lookup.begin(now_s, self._timing)
                return None

    async def _command(
        self, pair: str, step: Step, order_ids: tuple[str, ...], order_qty: Decimal | None
    ) -> Written | None:
        pending = self._pending[pair] = _Pending(step)
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
        now_s = self._clock.now_s()
        match outcome:
            case Accepted():
                pending.over_after_s = now_s
                return Written(pair, step, taken=True)
            case Rejected(fault=fault):
                pending.over_after_s = now_s
                return Written(pair, step, taken=False, fault=fault)
            case NotSent():
                del self._pending[pair]
                return Written(pair, step, taken=False)
            case Unknown():
                # A late amend could undo the next one: wait until the venue can no longer take it.
                pending.over_after_s = now_s + (self._timing.quiet_s if amends else 0.0)
                return None

    def _intent(self, step: PlaceStop | Flatten) -> tuple[OrderIntent, Parentage]:
        if isinstance(step, Flatten):
            subject = f"flatten {step.pair}"
            intent = OrderIntent(
                id=cover_id(self._name, subject, self._memory.count(subject)),
                pair=step.pair,
                side=step.side,
                qty=step.qty,
                order_type=OrderType.MARKET,
                kind=IntentKind.PROTECT,
            )
            return intent, Parentage(intent.id, subject)
        subject = step.parent or f"stop {step.pair}"
        intent = OrderIntent(
            id=cover_id(self._name, subject, self._memory.count(subject)),
            pair=step.pair,
            side=step.side,
            qty=step.qty,
            order_type=OrderType.STOP_LOSS if step.stop.limit_price is None else OrderType.STOP_LOSS_LIMIT,
            trigger_price=step.stop.trigger_price,
            limit_price=step.stop.limit_price,
            kind=IntentKind.PROTECT,
        )
        return intent, Parentage(intent.id, subject, step.parent)

    # -- finding out -----------------------------------------------------------------------------------------

    async def read(self, started_s: float) -> list[Written]:
        """After a full reading that began at `started_s`: what is known now of the pending writes."""
        known: list[Written] = []
        for pair, pending in list(self._pending.items()):
            if pending.intent_id is None:
                if pending.over_after_s is not None and started_s >= pending.over_after_s:
                    del self._pending[pair]
            elif self._memory.book.order_of(pending.intent_id) is not None:
                del self._pending[pair]
                self._memory.unresolved.pop(pending.intent_id, None)
                if pending.lookup is not None:
                    known.append(Written(pair, pending.step, taken=True))
            elif pending.lookup is not None:
                known += await self._searched(pair, pending, pending.lookup, started_s)
        self._take_queued()
        return known

    async def _searched(
        self, pair: str, pending: _Pending, lookup: Lookup, started_s: float
    ) -> list[Written]:
        search = Search(started_s=started_s, ended_s=self._clock.now_s())
        pending.lookup, verdict = lookup.searched(search)
        if not isinstance(verdict, ProvenAbsent) or pending.intent_id is None:
            return []
        await self._note(
            LookupDone(intent_id=pending.intent_id, verdict="absent", evidence=verdict.evidence),
            Withheld(intent_id=pending.intent_id, reason="proven absent"),
        )
        del self._pending[pair]
        return [Written(pair, pending.step, taken=False, fault=pending.fault)]

    def _take_queued(self) -> None:
        for write in list(self._queued):
            if write.intent.pair in self._pending:
                continue
            self._queued.remove(write)
            elapsed_s = (self._clock.wall_ns() - write.sent_ns) / 1e9
            self._pending[write.intent.pair] = _Pending(
                _step_of(write.intent),
                write.intent.id,
                lookup=Lookup.begin(self._clock.now_s() - max(elapsed_s, 0.0), self._timing),
            )

    async def _note(self, *records: Record, durable: bool = True) -> None:
        await self._journal.note(*records, durable=durable)
        for record in records:  # without a journal nobody else tells the memory; with one, twice is once
            self._memory.note(record)


def _step_of(intent: OrderIntent) -> Step:
    """The step that an intent of an earlier incarnation was; its stop's parent no longer matters."""
    if intent.order_type is OrderType.MARKET:
        return Flatten(intent.pair, intent.side, intent.qty)
    trigger = intent.trigger_price or ZERO
    return PlaceStop(
        intent.pair,
        intent.side,
        intent.qty,
        StopLoss(trigger_price=trigger, limit_price=intent.limit_price),
        None,
    )
