"""The life of one order: facts come in, `plan` says what they lead to, and a fold of the journal is the same thing.

Facts (`records`) are turned into events by `event_of`; `order_table` gives the cell. `plan` runs when a tracker takes
in a fact and when a journal is folded after a restart, so that both arrive at the same state. Executions are counted
apart from the state, once by `exec_id`, also after the end.
"""

from collections.abc import Iterable
from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from allstop.actors.commands import OrderView
from allstop.actors.errors import AllstopError, Fault, Outcome, Remedy, Retry
from allstop.actors.intents import OrderIntent
from allstop.actors.levels import Origin, Scope
from allstop.actors.protocols.order_table import (
    EVENT_OF_STATUS,
    TABLE,
    TERMINAL,
    UNSURE,
    Act,
    Cell,
    Event,
    State,
)
from allstop.actors.protocols.records import (
    LOST,
    ORDERS,
    AttemptEnded,
    AttemptStarted,
    CommandEnded,
    CommandIntended,
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
    key_of,
)
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

__all__ = ["TABLE", "TERMINAL", "UNSURE", "Act", "Cell", "Event", "Life", "State", "Step", "fold", "plan"]

# After the first, a proven NO allows two more: one for a clash, one for bad luck. An attempt of which no byte was sent is not one of
# them, but attempts are bounded all the same.
SENDS_MAX: Final = 3
ATTEMPTS_MAX: Final = 6
# How long to wait before the same intent is sent again, where the fault does not say: within a time to live of
# seconds there is room for one pause.
BACKOFF_S: Final = 0.5
COOLDOWN_S: Final = 1.0


class IllegalStep(AllstopError):
    """A bug of ours: this must never be asked of an order in this state."""

    def __init__(self, intent_id: str, state: State, event: Event) -> None:
        super().__init__(f"order {intent_id}: {event!r} in state {state}")
        self.state = state
        self.event = event


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one order. `live` is the attempt under way; `sends` counts those of which bytes left."""

    intent: OrderIntent
    origin: Origin
    scope: Scope
    at_ns: int
    owner: str
    state: State = State.INTENT
    report: OrderReport | None = None
    order_id: str | None = None
    fills: dict[str, Fill] = msgspec.field(default_factory=dict[str, Fill])
    stops: dict[str, OrderReport] = msgspec.field(default_factory=dict[str, OrderReport])
    attempts: int = 0
    sends: int = 0
    live: int | None = None
    first_attempt_ns: int | None = None
    last_outcome: WriteOutcome | None = None
    last_channel: str | None = None
    commands: frozenset[str] = frozenset()  # intended, and not ended
    reason: str | None = None
    evidence: str | None = None

    @property
    def cum_qty(self) -> Decimal:
        """What was executed: the executions, each once, or the venue's total where it is ahead of them."""
        told = (self.report and self.report.cum_qty) or Decimal(0)
        return max(told, sum((fill.qty for fill in self.fills.values()), Decimal(0)))


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a fact leads to: the new life, the records to commit (the fact first), and what to do then."""

    life: Life
    records: tuple[Record, ...]
    acts: tuple[Act, ...] = ()


def born(record: IntentCommitted) -> Life:
    return Life(
        intent=record.intent,
        origin=record.origin,
        scope=record.scope,
        at_ns=record.at_ns,
        owner=record.owner,
    )


def answer_event(outcome: WriteOutcome) -> Event:
    """What the answer to a submit means. Only a proven NO may lead to the same intent being sent again, and only
    where the fault's row asks for no change by us: what must be fixed first is a new intent."""
    match outcome:
        case Accepted():
            return Event.ACCEPTED
        case NotSent():
            return Event.NOT_SENT
        case Unknown():
            return Event.LOST
        case Rejected(fault=fault):
            return _no_event(fault)


def _no_event(fault: Fault) -> Event:
    if fault.outcome is not Outcome.NO:
        return Event.LOST  # it took effect, in part or perhaps: ask
    if fault.remedy in (Remedy.RENONCE, Remedy.LOOK) or fault.writes is Retry.AFTER_LOOKUP:
        return Event.NO_CHECK
    if fault.writes is Retry.NEVER or fault.remedy in (Remedy.FIX, Remedy.GATE):
        return Event.NO_FINAL
    return Event.NO_AGAIN


def sends_after_check(fault: Fault) -> bool:
    """Whether a NO that one search confirmed may be sent again. Where looking was all that the row asks for
    (`EService:Deadline elapsed`), the order's moment has passed."""
    return fault.remedy is not Remedy.LOOK


def pause_s(outcome: WriteOutcome | None) -> float:
    """How long to wait before the same intent is sent again after a proven NO."""
    if not isinstance(outcome, Rejected):
        return 0.0
    match outcome.fault.writes:
        case Retry.BACKOFF:
            return outcome.fault.retry_after_s or BACKOFF_S
        case Retry.COOLDOWN:
            return outcome.fault.retry_after_s or COOLDOWN_S
        case _:
            return outcome.fault.retry_after_s or 0.0


def event_of(life: Life, record: Record) -> Event | None:
    """The event that a fact is to this order; None where it changes no state."""
    match record:
        case AttemptStarted():
            return Event.ATTEMPT
        case AttemptEnded(attempt=attempt, outcome=outcome):
            return answer_event(outcome) if attempt == life.live else None
        case Reported(report=report):
            return _told_event(report)
        case LookupDone(verdict="absent"):
            return Event.ABSENT
        case LookupDone(verdict="checked"):
            last = life.last_outcome
            again = isinstance(last, Rejected) and sends_after_check(last.fault)
            return Event.CHECKED_AGAIN if again else Event.CHECKED_FINAL
        case LookupDone():
            return Event.INCONCLUSIVE
        case Withheld():
            return Event.WITHHELD
        case _:
            return None


def _told_event(report: OrderReport) -> Event:
    """Queries call an order open that is partly executed; what it executed says more than its status."""
    executed = bool(report.cum_qty) or report.fill is not None
    if report.status is OrderStatus.NEW and executed:
        return Event.TOLD_PARTIAL
    return EVENT_OF_STATUS[report.status]


def plan(life: Life, record: Record) -> Step:
    """Takes a fact in. Raises IllegalStep for an attempt that must not be."""
    if isinstance(record, Terminal):
        settled = msgspec.structs.replace(life, state=State(record.state), evidence=record.evidence)
        return Step(life=settled, records=(record,))
    event = event_of(life, record)
    fills = _new_fills(life, record)
    after = _noted(life, record)
    for fill in fills:
        after = _noted(after, fill)
    if event is None:
        return Step(life=after, records=(record, *fills))
    cell = TABLE[life.state].get(event)
    if cell is None:
        raise IllegalStep(life.intent.id, life.state, event)
    after = msgspec.structs.replace(after, state=cell.state)
    records: tuple[Record, ...] = (record, *fills)
    if cell.state.terminal and cell.state is not life.state:
        after = msgspec.structs.replace(after, evidence=evidence_of(record))
        records = (
            *records,
            Terminal(intent_id=life.intent.id, state=cell.state, evidence=after.evidence or ""),
        )
    return Step(life=after, records=records, acts=cell.acts)


def _new_fills(life: Life, record: Record) -> tuple[Filled, ...]:
    """The execution that a report carries, unless it was counted before."""
    if not isinstance(record, Reported) or record.report.fill is None:
        return ()
    fill = record.report.fill
    return () if fill.exec_id in life.fills else (Filled(intent_id=life.intent.id, fill=fill),)


def _noted(life: Life, record: Record) -> Life:
    """What a fact adds to what is known, apart from the state."""
    replace = msgspec.structs.replace
    match record:
        case AttemptStarted():
            return replace(
                life,
                attempts=record.attempt,
                live=record.attempt,
                last_channel=record.channel,
                first_attempt_ns=life.first_attempt_ns or record.at_ns,
            )
        case AttemptEnded(attempt=attempt, outcome=outcome) if attempt == life.live:
            return replace(
                life,
                live=None,
                sends=life.sends + (0 if isinstance(outcome, NotSent) else 1),
                last_outcome=outcome,
                reason=_words(outcome) or life.reason,
                order_id=life.order_id or _accepted_id(outcome),
            )
        case Reported(report=report):
            merged = report if life.report is None else life.report.merged(report)
            return replace(
                life,
                report=merged,
                order_id=life.order_id or report.order_id,
                reason=report.reason or life.reason,
            )
        case Filled(fill=fill):
            return (
                life
                if fill.exec_id in life.fills
                else replace(life, fills={**life.fills, fill.exec_id: fill})
            )
        case StopSeen(report=report):
            known = life.stops.get(report.order_id)
            merged = report if known is None else known.merged(report)
            return replace(life, stops={**life.stops, report.order_id: merged})
        case CommandIntended(command_id=command_id):
            return replace(life, commands=life.commands | {command_id})
        case CommandEnded(command_id=command_id):
            return replace(life, commands=life.commands - {command_id})
        case Withheld(reason=reason):
            return replace(life, reason=f"{life.reason}; {reason}" if life.reason else reason)
        case _:
            return life


def _accepted_id(outcome: WriteOutcome) -> str | None:
    return outcome.order_ids[0] if isinstance(outcome, Accepted) and outcome.order_ids else None


def _words(outcome: WriteOutcome) -> str | None:
    match outcome:
        case Accepted():
            return None
        case Rejected(fault=fault):
            return str(fault)
        case NotSent(reason=reason) | Unknown(reason=reason):
            return reason


def is_news(life: Life, report: OrderReport) -> bool:
    """Whether a report says anything that is not known: streams, snapshots and queries repeat each other."""
    if report.fill is not None and report.fill.exec_id not in life.fills:
        return True
    if life.report is None or life.order_id is None:
        return True
    if TABLE[life.state][_told_event(report)].state is not life.state:
        return True
    merged = life.report.merged(report)
    ignored = ("fill", "ts_ns")
    return any(
        getattr(merged, f) != getattr(life.report, f) for f in merged.__struct_fields__ if f not in ignored
    )


def view(life: Life) -> OrderView:
    """What others are told of the order."""
    return OrderView(
        intent=life.intent,
        state=life.state,
        report=life.report,
        cum_qty=life.cum_qty,
        attempts=life.attempts,
        reason=life.reason if life.evidence is None else life.reason or life.evidence,
    )


def evidence_of(record: Record) -> str:
    """Why a fact is enough to end an order, in words that say where to look."""
    match record:
        case Reported(report=report, source=source):
            done = "" if report.cum_qty is None else f", executed {report.cum_qty}"
            return f"{source}: the venue tells {report.order_id} {report.status}{done} at {report.ts_ns} ns"
        case AttemptEnded(attempt=attempt, outcome=Rejected(fault=fault)):
            return f"answer to attempt {attempt}: {fault}"
        case LookupDone(evidence=evidence):
            return f"lookup: {evidence}"
        case Withheld(reason=reason):
            return f"nothing of it is at the venue: {reason}"
        case _:
            return ""


def fold(records: Iterable[Record | Opaque]) -> dict[str, Life]:
    """The state of every intent, from the facts in the order of the journal. What no intent explains is left out:
    the journal's other readers take it. An intent with another owner stays as it was born: that owner knows its state."""
    lives: dict[str, Life] = {}
    for record in records:
        if isinstance(record, Opaque | RowLost):
            continue
        if isinstance(record, IntentCommitted):
            # A commit that was repeated after a lost answer is the same fact.
            lives.setdefault(record.intent.id, born(record))
        elif (life := lives.get(key_of(record))) is not None and life.owner == ORDERS:
            lives[life.intent.id] = _replayed(life, record)
    return lives


def life_of(records: Iterable[Record | Opaque]) -> Life | None:
    """The life of one intent from the records under its id, whoever owns it; None where there is no such intent."""
    life: Life | None = None
    for record in records:
        if isinstance(record, IntentCommitted):
            life = life or born(record)
        elif life is not None and not isinstance(record, Opaque | RowLost):
            life = _replayed(life, record)
    return life


def _replayed(life: Life, record: Record) -> Life:
    """A life after one more fact of its journal. What is missing between them was lost with a damaged one: whoever began
    an attempt knew that the one before had come to nothing, and what has ended had begun."""
    replace = msgspec.structs.replace
    undecided = life.state in (State.INTENT, State.SENT, State.CHECKING)
    match record:
        case AttemptStarted() if undecided:
            life = replace(life, state=State.INTENT, live=None)
        case AttemptStarted(channel=channel) if channel == LOST:
            return life  # what is known of the order says more
        case AttemptEnded(attempt=attempt) if undecided and attempt > life.attempts:
            life = replace(life, state=State.SENT, attempts=attempt, live=attempt)
        case _:
            pass
    return plan(life, record).life


def content(intent: OrderIntent) -> bytes:
    """What makes two intents the same order: all fields, with numbers as values (1.0 is 1.00). Short, for it is
    remembered of each intent that there ever was."""
    fields = repr([(f, _plain(getattr(intent, f))) for f in intent.__struct_fields__])
    return blake2b(fields.encode(), digest_size=16).digest()


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, msgspec.Struct):
        return repr([(f, _plain(getattr(value, f))) for f in value.__struct_fields__])
    return str(value)
