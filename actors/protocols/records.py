"""What an account's journal says, as typed records with versions.

A record is a fact: somebody wanted an order, an attempt began, the venue answered, a search found nothing. The state
of every order is a fold over these facts (`order_life`), so a record is never changed, only followed by others.

In the journal a record is `{"v": version, "r": {...}}` under its kind. A kind that this version of the code does not
know is kept as `Opaque`: somebody newer wrote it, and reading must not lose it. A *version* that it does not know, of
a kind that it does, refuses: half-understood facts about orders are worse than none. What readers of a journal are shown
in its place: `unread.py`.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from allstop.actors.errors import Fatal
from allstop.actors.intents import OrderIntent
from allstop.actors.levels import IntentKind, Level, Origin, Scope
from allstop.actors.ports import JournalEntry, JournalRow
from allstop.actors.reports import Fill, OrderReport, WriteOutcome

JOURNAL_KEY: Final = "journal"  # of records about the journal itself
ORDERS: Final = "orders"  # `owner` of the intents that have a tracker
LOST: Final = "lost"  # `channel` of an attempt that may have stood where rows of a damaged journal were lost


class UnknownVersion(Fatal):
    """A record of a known kind has a version that this code does not know. Only exits pass: start the code that wrote it."""

    def __init__(self, kind: str, version: int) -> None:
        super().__init__("JOURNAL_VERSION", f"record {kind!r} has version {version}, which is not known here")


class BrokenRecord(Fatal):
    """A record of a known kind and version cannot be read. The journal is not what was written."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__("JOURNAL_RECORD", f"record {kind!r} cannot be read: {why}")


class IntentCommitted(msgspec.Struct, frozen=True, kw_only=True):
    """An intent is durable: from here on it may be sent. `owner` works it: `orders`, or the guardian's path.

    `at_ns` (wall) is when it was submitted; its time to live counts from there.
    """

    intent: OrderIntent
    origin: Origin
    scope: Scope
    at_ns: int
    owner: str = ORDERS


class AttemptStarted(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt may be sent from now on, once, over `channel` (session or desk), with this venue deadline."""

    intent_id: str
    attempt: int
    channel: str
    deadline_s: float
    at_ns: int


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt. After it, egress lets no frame of that attempt pass."""

    intent_id: str
    attempt: int
    outcome: WriteOutcome


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's own words about an order. `source`: stream, snapshot, lookup or query."""

    intent_id: str
    report: OrderReport
    source: str


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """An execution, the first time that its `exec_id` was seen."""

    intent_id: str
    fill: Fill


class CommandIntended(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel or an amend is durable and may be sent. `intent_id` is "" for a command on orders that are not ours."""

    command_id: str
    intent_id: str
    verb: str  # cancel | amend
    kind: IntentKind
    origin: Origin
    scope: Scope
    order_ids: tuple[str, ...]
    at_ns: int
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


class CommandEnded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command. An accepted cancel is not yet a canceled order: that takes the venue's report."""

    command_id: str
    intent_id: str
    outcome: WriteOutcome


class LookupDone(msgspec.Struct, frozen=True, kw_only=True):
    """A search of the venue came to a verdict. What was found stands in the `Reported` beside it.

    `verdict`: absent (proven), checked (one empty search confirms the venue's own NO), inconclusive.
    """

    intent_id: str
    verdict: str
    evidence: str


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """It was decided never to send this intent (again); nothing of it is at the venue."""

    intent_id: str
    reason: str


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """The order is over, and this is why we know. Written in the same commit as the fact that decided it."""

    intent_id: str
    state: str
    evidence: str


class StopSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The venue told of the order that the intent's conditional close made: its stop. Again at each change."""

    intent_id: str
    report: OrderReport


class ExternalSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The venue told of an order that nobody here sent. Again at each change."""

    report: OrderReport


class ExternalClaimed(msgspec.Struct, frozen=True, kw_only=True):
    """A person or an actor took an external order in: its executions count as ours from here on."""

    order_id: str
    by: str
    reason: str


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Entries on an instrument stopped (`held`) or may go on, `by` whom and why."""

    pair: str
    by: str
    reason: str
    held: bool


class StrategyStopped(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy may submit no entries (`held`) or may again, `by` whom and why."""

    strategy: str
    by: str
    reason: str
    held: bool


class JournalSetAside(msgspec.Struct, frozen=True, kw_only=True):
    """The first record of a fresh journal: the one before it was damaged and stands under `file`, as it was found.
    `kept` of its rows follow this one, and at least `lost` of them could not be read or were not what was written."""

    file: str
    what: str
    kept: int
    lost: int
    at_ns: int


class RowLost(msgspec.Struct, frozen=True, kw_only=True):
    """Here stood a row of the damaged journal that is not what was written; this is what can be read of it, and when the
    row before it was written."""

    kind: str
    subject: str
    seq: int
    at_ns: int


class LossAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """A person, by name and with a reason, lets trading go on upon a journal that was set aside with losses."""

    files: tuple[str, ...]
    by: str
    reason: str
    at_ns: int


class LevelRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """The effective level of a scope changed."""

    scope: Scope
    before: Level
    now: Level
    by: str
    reason: str


class HaltLatched(msgspec.Struct, frozen=True, kw_only=True):
    by: str
    reason: str
    at_ns: int


class HaltLifted(msgspec.Struct, frozen=True, kw_only=True):
    """A person, by name and with a reason, ended the halt."""

    by: str
    reason: str
    at_ns: int


class HaltProved(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's open-orders list held nothing but protective orders."""

    account: str
    canceled: int
    kept: int
    rounds: int
    at_ns: int


class CoverRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """What the guardian saw or did about a position: `step` names it, `detail` says it."""

    pair: str
    step: str
    detail: str


class EmergencyFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that left while no journal could be written, as egress noted it in memory."""

    kind: IntentKind
    subject: str
    attempt: int
    scope: Scope
    origin: Origin
    at_ns: int


Record = (
    IntentCommitted
    | AttemptStarted
    | AttemptEnded
    | Reported
    | Filled
    | CommandIntended
    | CommandEnded
    | LookupDone
    | Withheld
    | Terminal
    | StopSeen
    | ExternalSeen
    | ExternalClaimed
    | Frozen
    | StrategyStopped
    | JournalSetAside
    | RowLost
    | LossAccepted
    | LevelRecorded
    | HaltLatched
    | HaltLifted
    | HaltProved
    | CoverRecorded
    | EmergencyFrame
)


class Opaque(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a kind that this code does not know, as it stands."""

    kind: str
    key: str
    body: bytes


# kind -> (version written, type). A kind never changes its meaning; a changed shape is a new version.
KINDS: Final[dict[str, tuple[int, type[msgspec.Struct]]]] = {
    "intent": (1, IntentCommitted),
    "attempt": (1, AttemptStarted),
    "outcome": (1, AttemptEnded),
    "report": (1, Reported),
    "fill": (1, Filled),
    "command": (1, CommandIntended),
    "command.outcome": (1, CommandEnded),
    "lookup": (1, LookupDone),
    "withheld": (1, Withheld),
    "terminal": (1, Terminal),
    "stop": (1, StopSeen),
    "external": (1, ExternalSeen),
    "external.claim": (1, ExternalClaimed),
    "frozen": (1, Frozen),
    "strategy.stopped": (1, StrategyStopped),
    "journal.set_aside": (1, JournalSetAside),
    "journal.row_lost": (1, RowLost),
    "journal.loss_accepted": (1, LossAccepted),
    "level": (1, LevelRecorded),
    "halt": (1, HaltLatched),
    "halt.lifted": (1, HaltLifted),
    "halt.proof": (1, HaltProved),
    "cover": (1, CoverRecorded),
    "emergency": (1, EmergencyFrame),
}
_KIND_OF: Final = {record_type: kind for kind, (_, record_type) in KINDS.items()}


class _Envelope(msgspec.Struct, frozen=True):
    v: int
    r: msgspec.Raw


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(_Envelope)
_decoders: Final = {kind: msgspec.json.Decoder(record_type) for kind, (_, record_type) in KINDS.items()}


def kind_of(record: Record) -> str:
    return _KIND_OF[type(record)]


def key_of(record: Record) -> str:
    """What a record is about, and is looked up by: the intent where there is one, else the venue's order or the pair."""
    match record:
        case IntentCommitted(intent=intent):
            return intent.id
        case (
            CommandIntended(intent_id="", command_id=subject) | CommandEnded(intent_id="", command_id=subject)
        ):
            return subject
        case ExternalSeen(report=report):
            return report.order_id
        case ExternalClaimed(order_id=order_id):
            return order_id
        case Frozen(pair=pair) | CoverRecorded(pair=pair):
            return pair
        case StrategyStopped(strategy=strategy):
            return strategy
        case EmergencyFrame(subject=subject) | RowLost(subject=subject):
            return subject
        case JournalSetAside() | LossAccepted():
            return JOURNAL_KEY
        case HaltProved(account=account):
            return account
        case LevelRecorded(scope=scope):
            return "/".join(scope)
        case HaltLatched() | HaltLifted():
            return ""
        case _:
            return record.intent_id


def to_entry(record: Record) -> JournalEntry:
    """The record as it goes into the journal."""
    kind = kind_of(record)
    envelope = _Envelope(KINDS[kind][0], msgspec.Raw(_encoder.encode(record)))
    return JournalEntry(kind=kind, key=key_of(record), body=_encoder.encode(envelope))


def to_entries(records: Iterable[Record]) -> tuple[JournalEntry, ...]:
    return tuple(to_entry(record) for record in records)


def check_version(kind: str, body: bytes) -> None:
    """Raises UnknownVersion or BrokenRecord, both Fatal, for the row of a kind that is known and a version that is not."""
    if kind in KINDS:
        _opened(kind, body)


def _opened(kind: str, body: bytes) -> _Envelope:
    try:
        envelope = _envelope.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BrokenRecord(kind, str(error)) from error
    if envelope.v != KINDS[kind][0]:
        raise UnknownVersion(kind, envelope.v)
    return envelope


def from_body(kind: str, key: str, body: bytes) -> Record | Opaque:
    """The record in a journal row. Raises UnknownVersion or BrokenRecord, both Fatal."""
    if kind not in KINDS:
        return Opaque(kind=kind, key=key, body=body)
    envelope = _opened(kind, body)
    try:
        return _decoders[kind].decode(envelope.r)  # pyright: ignore[reportReturnType] -- KINDS holds Records only
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BrokenRecord(kind, str(error)) from error


def from_row(row: JournalRow | JournalEntry) -> Record | Opaque:
    return from_body(row.kind, row.key, row.body)
