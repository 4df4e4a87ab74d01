"""One write of the guardian's until its outcome is known, as a value.

an order (a stop, a flatten, an exit)
    accepted            over as soon as any report shows the order
    refused, not sent   over at once
    nonce refused       a search has to agree that nothing arrived
    no answer           looked up (`lookup.py`): until it is found, or proven absent
a command (an amend, a cancel)
    answered            over with the next reading that begins after the answer
    not sent            over at once
    no answer           a cancel: over with the next reading; an amend: with the first that begins when the venue can
                        no longer take it
"""

from decimal import Decimal

import msgspec

from allstop.actors.errors import Fault, Remedy
from allstop.actors.intents import OrderIntent
from allstop.actors.protocols.exiting import CancelExit, SendExit
from allstop.actors.protocols.lookup import Lookup, ProvenAbsent, Search, Timing
from allstop.actors.protocols.positions import ZERO, AccountBook
from allstop.actors.protocols.remedies import AmendStop, Flatten, Step
from allstop.actors.reports import Accepted, NotSent, Rejected, Unknown, WriteOutcome

Write = Step | SendExit | CancelExit


class Written(msgspec.Struct, frozen=True):
    """What became of a step. `fault`: the venue refused it. Neither taken nor refused: it was not sent, or is proven
    never to have arrived."""

    pair: str
    step: Write
    taken: bool
    fault: Fault | None = None


class PendingWrite(msgspec.Struct, frozen=True):
    """`intent_id`: of an order; None for a command. `order_ids`: the venue's, of an order that it accepted."""

    pair: str
    step: Write
    intent_id: str | None = None
    order_ids: tuple[str, ...] = ()
    lookup: Lookup | None = None
    fault: Fault | None = None  # what a lookup is to confirm
    answered: bool = False  # of a command: the venue said yes or no
    over_after_s: float | None = None  # of a command: any reading that began later shows its effect

    # -- what is known of it ---------------------------------------------------------------------------------

    def due_s(self) -> float | None:
        """When a reading can tell what became of it; None: any can."""
        return self.lookup.next_search_s() if self.lookup is not None else self.over_after_s

    def shown(self, book: AccountBook) -> bool:
        """Whether the venue has shown its order: then it arrived."""
        return self.intent_id is not None and book.order_of(self.intent_id) is not None

    def accepted(self) -> bool:
        """Whether the venue took its order, and said so."""
        return self.lookup is None and bool(self.order_ids)

    def over(self, book: AccountBook) -> bool:
        """Whether nothing is open about it, once the venue was asked by name about its orders."""
        return self.lookup is None and (self.answered or self.shown(book))

    def over_by(self, started_s: float, book: AccountBook) -> bool:
        """Whether a full reading that began at `started_s` shows what became of it."""
        if self.intent_id is not None:
            return self.shown(book)
        return self.over_after_s is not None and started_s >= self.over_after_s

    def in_flight(self, book: AccountBook) -> Decimal:
        """What it will take off the position, if it arrives: nothing, once its order counts by itself."""
        match self.step:
            case Flatten(qty=qty) | SendExit(OrderIntent(qty=qty)):
                return ZERO if self.shown(book) else qty
            case _:
                return ZERO

    def written(self, *, taken: bool, fault: Fault | None = None) -> Written:
        return Written(self.pair, self.step, taken=taken, fault=fault)

    # -- what happens to it ----------------------------------------------------------------------------------

    def after(
        self, outcome: WriteOutcome, now_s: float, timing: Timing
    ) -> "tuple[PendingWrite | None, Written | None]":
        """The write after an answer to it, or the lack of one; None: it is over. And what became of its step; None: that
        is not known."""
        if self.intent_id is None:
            return self._commanded(outcome, now_s, timing)
        replace = msgspec.structs.replace
        match outcome:
            case Accepted(order_ids=order_ids):
                return replace(self, order_ids=order_ids), self.written(taken=True)
            case Rejected(fault=fault) if fault.remedy is Remedy.RENONCE:
                lookup = Lookup.begin(now_s, timing, check=True)
                return replace(self, fault=fault, lookup=lookup), None
            case Rejected(fault=fault):
                return None, self.written(taken=False, fault=fault)
            case NotSent():
                return None, self.written(taken=False)
            case Unknown():
                return replace(self, lookup=Lookup.begin(now_s, timing)), None

    def searched(self, lookup: Lookup, search: Search) -> "tuple[PendingWrite, str | None]":
        """The write after a search that did not show its order, and the evidence that it never arrived; None: that is
        not proven."""
        lookup, verdict = lookup.searched(search)
        evidence = verdict.evidence if isinstance(verdict, ProvenAbsent) else None
        return msgspec.structs.replace(self, lookup=lookup), evidence

    def _commanded(
        self, outcome: WriteOutcome, now_s: float, timing: Timing
    ) -> "tuple[PendingWrite | None, Written | None]":
        replace = msgspec.structs.replace
        match outcome:
            case Accepted():
                return replace(self, over_after_s=now_s, answered=True), self.written(taken=True)
            case Rejected(fault=fault):
                return replace(self, over_after_s=now_s, answered=True), self.written(
                    taken=False, fault=fault
                )
            case NotSent():
                return None, self.written(taken=False)
            case Unknown():
                # A late amend could undo the next one: wait until the venue can no longer take it.
                wait_s = timing.quiet_s if isinstance(self.step, AmendStop) else 0.0
                return replace(self, over_after_s=now_s + wait_s), None
