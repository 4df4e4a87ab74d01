"""What the guardian knows when it starts: its fold of the account's journal.

The book of executions, the intents that may still become orders, its own writes whose outcome nobody wrote down, and
from when on the venue's closed orders have to be read again. A guardian that was killed in the middle of a write finds
it here as unresolved, and looks it up before it writes anything else for that pair.
"""

import hashlib
import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from allstop.actors.intents import OrderIntent, OrderType
from allstop.actors.levels import IntentKind
from allstop.actors.ports import JournalRow
from allstop.actors.protocols.positions import AccountBook
from allstop.actors.protocols.records import (
    AttemptEnded,
    AttemptStarted,
    CoverRecorded,
    ExternalClaimed,
    ExternalSeen,
    Filled,
    IntentCommitted,
    LookupDone,
    Opaque,
    Record,
    Reported,
    RowLost,
    StopSeen,
    Terminal,
    Withheld,
    from_row,
)
from allstop.actors.reports import Accepted, Fill, NotSent, OrderReport, OrderStatus, Rejected

OWN_ID = re.compile(r"^g[0-9a-f]{16}$")
# Orders for one subject that may have been sent while there was no journal: each is an answer to a refusal or a loss,
# and there are a few before the guardian gives up.
LOST_MAX = 16


class Parentage(msgspec.Struct, frozen=True):
    """The detail of the `CoverRecorded` that stands beside each order of the guardian: which execution it answers."""

    intent_id: str
    subject: str  # the parent order of a stop; "flatten <pair>" for a flatten
    parent: str | None = None


class OwnWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A write of the guardian whose outcome is not known. `until_ns`: after that the venue no longer takes it."""

    intent: OrderIntent
    sent_ns: int
    until_ns: int


def cover_id(account: str, subject: str, count: int) -> str:
    """The intent id of the guardian's `count`-th order for a subject. The same journal gives the same id, so that a
    guardian that was restarted in between cannot place the same stop twice."""
    digest = hashlib.blake2b(f"{account}|{subject}|{count}".encode(), digest_size=8).hexdigest()
    return f"g{digest}"


class CoverMemory:
    """The fold. `owner` is the guardian's path: the intents under it are its own."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.book = AccountBook()
        self.seq = 0
        self.last_ns = 0
        self.unresolved: dict[str, OwnWrite] = {}  # own writes, by intent id
        self._counts: dict[str, int] = {}
        self._live: dict[str, int] = {}  # intents of others that are not over -> when they were submitted
        self._wire: dict[str, int] = {}  # intents that may be on the wire -> until when (wall, ns)
        self._parents: dict[str, Parentage] = {}
        self._own: set[str] = set()
        self.exits: dict[str, OrderIntent] = {}  # whose end nobody wrote down yet
        self._attempts: set[str] = set()
        self._lost_ns: int | None = None  # when the first row was written that was lost

    def fold(self, rows: Iterable[JournalRow]) -> None:
        for row in rows:
            self.seq = row.seq
            self.last_ns = max(self.last_ns, row.ts_ns)
            record = from_row(row)
            if not isinstance(record, Opaque):
                self.note(record)

    def note(self, record: Record) -> None:
        """Takes in one record: read back, or about to be written by the guardian itself. Twice is once."""
        match record:
            case IntentCommitted():
                self._committed(record)
            case CoverRecorded(step="stop" | "flatten", detail=detail):
                parentage = msgspec.json.decode(detail, type=Parentage)
                if parentage.intent_id not in self._parents:
                    self._parents[parentage.intent_id] = parentage
                    self._counts[parentage.subject] = self._counts.get(parentage.subject, 0) + 1
            case AttemptStarted(intent_id=intent_id, at_ns=at_ns, deadline_s=deadline_s):
                if intent_id in self.exits:
                    self._attempts.add(intent_id)
                self._attempted(intent_id, at_ns, at_ns + int(deadline_s * 1e9))
            case AttemptEnded(intent_id=intent_id, outcome=outcome):
                if isinstance(outcome, Rejected | NotSent | Accepted):
                    self._resolved(intent_id)
            case LookupDone(intent_id=intent_id, verdict="absent"):
                self._resolved(intent_id)
            case Terminal(intent_id=intent_id) | Withheld(intent_id=intent_id):
                self._resolved(intent_id)
                self._live.pop(intent_id, None)
                if isinstance(record, Terminal):
                    self.exits.pop(intent_id, None)
                    self._attempts.discard(intent_id)
            case Reported(report=report) | StopSeen(report=report) | ExternalSeen(report=report):
                self.book.take(report)
            case Filled(fill=fill):
                self.book.take(_told(fill))
            case ExternalClaimed(order_id=order_id):
                self.book.claim(order_id)
            case RowLost(at_ns=at_ns):
                self._lost_ns = at_ns if self._lost_ns is None else min(self._lost_ns, at_ns)
            case _:
                pass  # records about other things than executions

    def adopt_own(self, account: str) -> tuple[str, ...]:
        """Takes in orders that only a guardian of this account can have placed, though no journal knows them: it was
        lost when they were sent. Their ids follow from what they answer, so they can be recognised. The ids taken."""
        adopted: list[str] = []
        for report in self.book.external():
            client_id, pair = report.cl_ord_id, report.pair
            if client_id is None or pair is None or not OWN_ID.match(client_id) or report.side is None:
                continue
            subjects = [f"flatten {pair}", f"stop {pair}", *(e.order_id for e in self.book.entries(pair))]
            found = next((s for s in subjects if self._is_next_id(account, s, client_id)), None)
            if found is None:
                continue
            parent = None if found in subjects[:2] else found
            self._parents[client_id] = Parentage(client_id, found, parent)
            self._counts[found] = self.count(found) + 1
            self._own.add(client_id)
            self.book.know(_intent_of(client_id, report), parent=parent)
            adopted.append(client_id)
        return tuple(adopted)

    def _is_next_id(self, account: str, subject: str, client_id: str) -> bool:
        first = self.count(subject)
        return any(cover_id(account, subject, n) == client_id for n in range(first, first + LOST_MAX))

    def count(self, subject: str) -> int:
        """How many orders the guardian has journalled for a subject."""
        return self._counts.get(subject, 0)

    def was_attempted(self, exit_id: str) -> bool:
        """Whether an exit that is not over may have been sent."""
        return exit_id in self._attempts

    def is_own(self, intent_id: str) -> bool:
        return intent_id in self._own

    def has_own(self) -> bool:
        return bool(self._own)

    def live(self) -> tuple[str, ...]:
        """The intents of others of which nobody has written that they are over."""
        return tuple(self._live)

    def expected(self) -> tuple[str, ...]:
        """Intents that are not over and of which the venue has shown nothing yet: they may have executed unseen."""
        return tuple(i for i in (*self._live, *self.unresolved) if self.book.order_of(i) is None)

    def open_entries(self) -> bool:
        """Whether any entry is, or may become, an open order."""
        for intent_id in self._live:
            intent, order = self.book.intent(intent_id), self.book.order_of(intent_id)
            over = order is not None and order.status.terminal
            if intent is not None and intent.kind is IntentKind.ENTRY and not over:
                return True
        return False

    def wire_until_ns(self) -> int:
        """Until when an order that was already written can still reach the venue; 0 when none is on its way."""
        return max((at for i, at in self._wire.items() if self.book.order_of(i) is None), default=0)

    def horizon_ns(self, overlap_ns: int) -> int:
        """From when on the venue's closed orders must be read for the book to be complete: whatever ended earlier
        stands in the journal, unless a row of it was lost."""
        lost = () if self._lost_ns is None else (self._lost_ns,)
        return min(
            [self.last_ns, *lost, *self._live.values(), *(w.sent_ns for w in self.unresolved.values())]
        ) - (overlap_ns if self.last_ns else 0)

    # -- inside ----------------------------------------------------------------------------------------------

    def _committed(self, record: IntentCommitted) -> None:
        intent = record.intent
        if self.book.intent(intent.id) is not None:
            return
        parentage = self._parents.get(intent.id)
        self.book.know(intent, parent=parentage.parent if parentage else None)
        if record.owner == self.owner:
            self._own.add(intent.id)
            if intent.kind is IntentKind.REDUCE:
                self.exits[intent.id] = intent
        else:
            self._live[intent.id] = record.at_ns

    def _attempted(self, intent_id: str, at_ns: int, until_ns: int) -> None:
        self._wire[intent_id] = until_ns
        intent = self.book.intent(intent_id)
        if intent_id in self._own and intent is not None:
            self.unresolved[intent_id] = OwnWrite(intent=intent, sent_ns=at_ns, until_ns=until_ns)

    def _resolved(self, intent_id: str) -> None:
        self._wire.pop(intent_id, None)
        self.unresolved.pop(intent_id, None)


def _intent_of(client_id: str, report: OrderReport) -> OrderIntent:
    """What the guardian must have intended, from what the venue has of it."""
    assert report.pair is not None
    assert report.side is not None
    return OrderIntent(
        id=client_id,
        pair=report.pair,
        side=report.side,
        qty=report.order_qty or report.cum_qty or Decimal(0),
        order_type=report.order_type or OrderType.STOP_LOSS,
        trigger_price=report.trigger_price,
        kind=IntentKind.PROTECT,
    )


def _told(fill: Fill) -> OrderReport:
    """A fill alone, as a report that says nothing else of its order."""
    return OrderReport(
        order_id=fill.order_id,
        status=OrderStatus.PARTIALLY_FILLED,
        pair=fill.pair,
        side=fill.side,
        cl_ord_id=fill.cl_ord_id,
        fill=fill,
        cum_qty=Decimal(0),
        ts_ns=fill.ts_ns,
    )
