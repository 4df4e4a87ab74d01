"""What oracles are told of a run, one fact at a time. Nothing here comes from the engine's own memory.

Facts of the venue come from its model, facts of the journal from the disk, facts of the world from whoever breaks it,
and what was promised from whoever was promised it. All times are of one wall clock that is right: the venue's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from allstop.supervisors.oracles.evidence import RowLike

# -- the venue ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """The venue took an order. `parent_id`: the order whose conditional close made this one. `by_hand`: somebody made it
    past the engine."""

    at_ns: int
    account: str
    order_id: str
    cl_ord_id: str | None
    parent_id: str | None = None
    pair: str = ""
    side: str = ""
    order_type: str = ""
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class OrderExecuted:
    at_ns: int
    account: str
    order_id: str
    pair: str
    side: str
    qty: Decimal


@dataclass(frozen=True, slots=True)
class OrderEnded:
    """`status`: filled, canceled or expired."""

    at_ns: int
    order_id: str
    status: str


@dataclass(frozen=True, slots=True)
class PositionMoved:
    """The net of all executions of an account in a pair."""

    at_ns: int
    account: str
    pair: str
    net: Decimal


@dataclass(frozen=True, slots=True)
class Exposed:
    """How much of a position stands without protection from now on. Zero or less: none of it."""

    at_ns: int
    account: str
    pair: str
    bare: Decimal


@dataclass(frozen=True, slots=True)
class LimitBreach:
    """A rule of the venue that its client broke, as the venue counts."""

    at_ns: int
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CallsSpent:
    """By the venue's own count, the key that protects has no call left until `until_ns`."""

    at_ns: int
    account: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """The venue knows this key no more, for good."""

    at_ns: int
    account: str
    role: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A private request, when the venue has dealt with it. `error` is what it refused it with."""

    at_ns: int
    method: str
    via: str
    account: str = ""
    key: str = ""
    nonce: str = ""
    cl_ord_id: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SecretIssued:
    """The venue gave the engine something that nobody else may see."""

    at_ns: int
    secret: str


@dataclass(frozen=True, slots=True)
class ConnectTried:
    at_ns: int
    ip: str
    refused: bool = False


# -- the world ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Barred:
    """From now on, until Freed by the same, the engine cannot act: the venue is away, the net is cut, the engine is
    dead. `anew`: what it owes is counted from the end (it was dead); otherwise the time only does not count. `pair`:
    only there (its market takes no order that could cover); empty: everywhere."""

    at_ns: int
    by: str
    anew: bool = False
    pair: str = ""


@dataclass(frozen=True, slots=True)
class Freed:
    at_ns: int
    by: str


@dataclass(frozen=True, slots=True)
class CallBegan:
    """The engine wrote a private request; `number` names it."""

    at_ns: int
    number: int


@dataclass(frozen=True, slots=True)
class CallEnded:
    """It was answered, or its time was over. Not `served`: the venue left it without a usable answer, and from its
    beginning until `until_ns` nothing could be done about what it was for."""

    at_ns: int
    number: int
    served: bool = True
    until_ns: int = 0


@dataclass(frozen=True, slots=True)
class DiskFailed:
    """A commit of a chain failed: the engine may protect without a journal from now on, and do nothing else."""

    at_ns: int
    chain: str


@dataclass(frozen=True, slots=True)
class RowDamaged:
    """The disk changed a row that was written. `row` is how it was."""

    at_ns: int
    chain: str
    row: RowLike


@dataclass(frozen=True, slots=True)
class ChainReplaced:
    """A broken chain was set aside under `file`; these rows stand in its place."""

    at_ns: int
    chain: str
    file: str
    rows: tuple[RowLike, ...]


@dataclass(frozen=True, slots=True)
class JournalGaveUp:
    """Who writes a chain is down, and this process starts nobody in its place."""

    at_ns: int
    chain: str


@dataclass(frozen=True, slots=True)
class FaultsOver:
    """From here on nothing hurts the engine any more."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is under way: whatever happened must be written down."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody saw to it that the actor at `path` handles no message; it lives."""

    at_ns: int
    account: str
    path: str


@dataclass(frozen=True, slots=True)
class Released:
    at_ns: int
    account: str
    path: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A numbered frame came to the engine over a connection, as it stood on the wire."""

    at_ns: int
    account: str
    connection: int
    frame: str


@dataclass(frozen=True, slots=True)
class BookWrong:
    """A frame of a pair's book came to the engine with a checksum that is not the book's."""

    at_ns: int
    pair: str


@dataclass(frozen=True, slots=True)
class BookAnew:
    """A whole book of the pair came to the engine."""

    at_ns: int
    pair: str


# -- the engine, as others see it ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowDurable:
    """A row stands on the disk and would survive a power cut."""

    at_ns: int
    chain: str
    row: RowLike


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a durable row says: its record, read once for all who want it."""

    at_ns: int
    chain: str
    seq: int
    ts_ns: int
    kind: str
    key: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Placing:
    """Somebody asks the engine to place this intent, at this moment, by the caller's own word."""

    at_ns: int
    account: str
    intent_id: str


@dataclass(frozen=True, slots=True)
class Fell:
    """A part of an account ended: its guardian, session, stream or reconciler; "": all of it, as with a process."""

    at_ns: int
    account: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Promised:
    """`submit` returned an order for this intent: its caller relies on it."""

    at_ns: int
    intent_id: str


@dataclass(frozen=True, slots=True)
class Denied:
    """`submit` refused this intent: nothing of it may be anywhere."""

    at_ns: int
    intent_id: str


@dataclass(frozen=True, slots=True)
class Believed:
    """What the engine says of an account's positions, asked at a moment when nothing is under way. `frozen`: pairs
    that it reports as uncertain."""

    at_ns: int
    account: str
    positions: Mapping[str, Decimal]
    frozen: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Halted:
    """The engine stands still until a person comes, and says why: it halted, or a breaker is latched open. `proven`:
    the venue's own list was read since."""

    at_ns: int
    reason: str
    proven: bool


@dataclass(frozen=True, slots=True)
class SaidHalted:
    """The engine tells that all of it is halted."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Latched:
    """A halt stands on the disk from now on."""

    at_ns: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lifted:
    """The latch was lifted, and by whom."""

    at_ns: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """A supervisor started a child again because it had failed. `after_failure` False: it went down and up with
    another that failed."""

    at_ns: int
    supervisor: str
    child: str
    after_failure: bool = True


@dataclass(frozen=True, slots=True)
class Paused:
    """A supervisor whose budget was spent stopped its children: its breaker is open."""

    at_ns: int
    supervisor: str


@dataclass(frozen=True, slots=True)
class Tried:
    """Its breaker is half-open: what is behind it is started, and on trial. `by_person`: somebody asked for that."""

    at_ns: int
    supervisor: str
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class Resumed:
    """Its breaker is closed again: after the pause it was tried, and the proofs were there."""

    at_ns: int
    supervisor: str


@dataclass(frozen=True, slots=True)
class Written:
    """Text that left the engine: a log line, a report, an answer of the command line."""

    at_ns: int
    sink: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The engine has shut down. `left`: actors, tasks and threads that are still there."""

    at_ns: int
    left: Sequence[str]


Fact = (
    OrderAccepted | OrderExecuted | OrderEnded | PositionMoved | Exposed | LimitBreach | Asked | SecretIssued | ConnectTried | CallsSpent | KeyRevoked
    | Barred | Freed | CallBegan | CallEnded | DiskFailed | JournalGaveUp | RowDamaged | ChainReplaced | FaultsOver | Settled | Held | Released | Heard | BookWrong | BookAnew | Placing | Fell
    | RowDurable | Recorded | Promised | Denied | Believed | Halted | SaidHalted | Latched | Lifted | Restarted | Paused | Tried | Resumed | Written | Ended
)  # fmt: skip
