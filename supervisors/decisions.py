"""What a supervisor core is told, and what it answers: plain values, so that each decision can be read and compared."""

from collections.abc import Hashable
from dataclasses import dataclass

from allstop.actors.events import Event
from allstop.actors.exits import Exit
from allstop.actors.spec import ChildSpec, Shutdown, SupervisorFlags

# ---- told to the core ----


@dataclass(frozen=True, slots=True)
class Boot:
    """Start the static children, in order."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An incarnation of a child ended, by itself or by someone else's hand."""

    child_id: Hashable
    incarnation: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class RestartDue:
    """The time of a scheduled restart has come. A ticket that is no longer valid means nothing."""

    child_id: Hashable
    ticket: int


@dataclass(frozen=True, slots=True)
class Started:
    """Answers StartChild: `ref` is the child's address."""

    child_id: Hashable
    ref: object
    incarnation: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Answers StartChild: the child chose not to run, and that is no error."""

    child_id: Hashable


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Answers StartChild: its constructor or `on_start` raised, or took too long."""

    child_id: Hashable
    error: BaseException


@dataclass(frozen=True, slots=True)
class Stopped:
    """Answers StopChildren: how each of them ended."""

    exits: tuple[tuple[Hashable, Exit], ...]


@dataclass(frozen=True, slots=True)
class AddChild:
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class TerminateChild:
    child_id: Hashable


@dataclass(frozen=True, slots=True)
class RestartChild:
    child_id: Hashable


@dataclass(frozen=True, slots=True)
class DeleteChild:
    child_id: Hashable


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """New flags and specs, taken as a whole or refused as a whole."""

    flags: SupervisorFlags
    specs: tuple[ChildSpec, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """The supervisor ends: its children do so first."""


@dataclass(frozen=True, slots=True)
class CooldownDue:
    ticket: int


@dataclass(frozen=True, slots=True)
class CallReported:
    """A child's call succeeded (`category` None) or failed. While half-open it is the answer to a probe."""

    category: str | None


@dataclass(frozen=True, slots=True)
class ResetBreaker:
    """A person wants another try of a latched (or open) breaker."""

    by: str
    reason: str


Given = (
    Boot
    | Ended
    | RestartDue
    | Started
    | Ignored
    | NotStarted
    | Stopped
    | AddChild
    | TerminateChild
    | RestartChild
    | DeleteChild
    | Reconfigure
    | Stop
    | CooldownDue
    | CallReported
    | ResetBreaker
)

# ---- answered by the core ----


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start an incarnation, and answer with Started, Ignored or NotStarted before anything else is told."""

    spec: ChildSpec
    attempt: int


@dataclass(frozen=True, slots=True)
class StopChild:
    child_id: Hashable
    ref: object
    shutdown: float | Shutdown


@dataclass(frozen=True, slots=True)
class StopChildren:
    """Stop all of these at the same time, and answer with Stopped. A static supervisor stops one at a time."""

    stops: tuple[StopChild, ...]


@dataclass(frozen=True, slots=True)
class ScheduleRestart:
    """Tell RestartDue after `delay_s`: with 0, behind the messages that wait already."""

    child_id: Hashable
    delay_s: float
    ticket: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    ticket: int


@dataclass(frozen=True, slots=True)
class ScheduleCooldown:
    delay_s: float
    ticket: int


@dataclass(frozen=True, slots=True)
class Report:
    """Say this; the shell puts the time in."""

    event: Event


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to whoever asked."""

    value: object


@dataclass(frozen=True, slots=True)
class Refuse:
    error: Exception


@dataclass(frozen=True, slots=True)
class FailStart:
    """The supervisor itself did not start; those of its children that had are stopped again."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The supervisor exits so. Its children are stopped already."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class Retire:
    """This child will not come back by itself: whoever watches its address is told so."""

    ref: object


@dataclass(frozen=True, slots=True)
class Latch:
    """Trading must be halted because of this child; no sibling was touched."""

    offender: Hashable
    error: BaseException


@dataclass(frozen=True, slots=True)
class LowerLevel:
    """The breaker opened: vote for the level that stands for it. `latched`: only a person ends it."""

    reason: str
    latched: bool


@dataclass(frozen=True, slots=True)
class RaiseLevel:
    """The breaker closed (or a new incarnation began): withdraw that vote; a latched one only when `by_person`."""

    by_person: bool


Command = (
    StartChild
    | StopChildren
    | ScheduleRestart
    | CancelTimer
    | ScheduleCooldown
    | Report
    | Reply
    | Refuse
    | FailStart
    | GiveUp
    | Retire
    | Latch
    | LowerLevel
    | RaiseLevel
)
