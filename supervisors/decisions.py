"""What a supervisor core is told, and what it answers: plain values, so that each decision can be read and compared."""

from collections.abc import Hashable

import msgspec

from allstop.actors.call_reports import CallReported
from allstop.actors.events import Event
from allstop.actors.exits import Exit
from allstop.actors.spec import ChildSpec, Shutdown, SupervisorFlags

# ---- told to the core ----


class Boot(msgspec.Struct, frozen=True):
    """Start the static children, in order."""


class Ended(msgspec.Struct, frozen=True):
    """An incarnation of a child ended, by itself or by someone else's hand."""

    child_id: Hashable
    incarnation: int
    exit: Exit


class RestartDue(msgspec.Struct, frozen=True):
    """The time of a scheduled restart has come. A ticket that is no longer valid means nothing."""

    child_id: Hashable
    ticket: int


class Started(msgspec.Struct, frozen=True):
    """Answers StartChild: `ref` is the child's address."""

    child_id: Hashable
    ref: object
    incarnation: int


class Ignored(msgspec.Struct, frozen=True):
    """Answers StartChild: the child chose not to run, and that is no error."""

    child_id: Hashable


class NotStarted(msgspec.Struct, frozen=True):
    """Answers StartChild: its constructor or `on_start` raised, or took too long."""

    child_id: Hashable
    error: BaseException


class TurnCame(msgspec.Struct, frozen=True):
    """Answers AwaitTurn."""


class Stopped(msgspec.Struct, frozen=True):
    """Answers StopChildren: how each of them ended."""

    exits: tuple[tuple[Hashable, Exit], ...]


class AddChild(msgspec.Struct, frozen=True):
    spec: ChildSpec


class TerminateChild(msgspec.Struct, frozen=True):
    child_id: Hashable


class RestartChild(msgspec.Struct, frozen=True):
    child_id: Hashable


class DeleteChild(msgspec.Struct, frozen=True):
    child_id: Hashable


class Reconfigure(msgspec.Struct, frozen=True):
    """New flags and specs, taken as a whole or refused as a whole."""

    flags: SupervisorFlags
    specs: tuple[ChildSpec, ...]


class Stop(msgspec.Struct, frozen=True):
    """The supervisor ends: its children do so first."""


class CooldownDue(msgspec.Struct, frozen=True):
    ticket: int


class GateLook(msgspec.Struct, frozen=True):
    """A trial at this gate may be over."""

    gate: str


class GateMoved(msgspec.Struct, frozen=True):
    """Somebody left the line at this gate: whoever waits behind has its turn earlier."""

    gate: str


class ResetBreaker(msgspec.Struct, frozen=True):
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
    | TurnCame
    | Stopped
    | AddChild
    | TerminateChild
    | RestartChild
    | DeleteChild
    | Reconfigure
    | Stop
    | CooldownDue
    | GateLook
    | GateMoved
    | CallReported
    | ResetBreaker
)

# ---- answered by the core ----


class StartChild(msgspec.Struct, frozen=True):
    """Start an incarnation, and answer with Started, Ignored or NotStarted before anything else is told."""

    spec: ChildSpec
    attempt: int


class AwaitTurn(msgspec.Struct, frozen=True):
    """While the supervisor itself starts: wait for `delay_s`, and answer with TurnCame before anything else is told."""

    child_id: Hashable
    delay_s: float


class StopChild(msgspec.Struct, frozen=True):
    child_id: Hashable
    ref: object
    shutdown: float | Shutdown


class StopChildren(msgspec.Struct, frozen=True):
    """Stop all of these at the same time, and answer with Stopped. A static supervisor stops one at a time."""

    stops: tuple[StopChild, ...]


class ScheduleRestart(msgspec.Struct, frozen=True):
    """Tell RestartDue after `delay_s`: with 0, behind the messages that wait already."""

    child_id: Hashable
    delay_s: float
    ticket: int


class CancelTimer(msgspec.Struct, frozen=True):
    ticket: int


class ScheduleGateLook(msgspec.Struct, frozen=True):
    """Tell GateLook after `delay_s`."""

    gate: str
    delay_s: float


class TellMoved(msgspec.Struct, frozen=True):
    """Tell GateMoved to the supervisors at these paths, which may wait there while they start."""

    gate: str
    paths: tuple[str, ...]


class ScheduleCooldown(msgspec.Struct, frozen=True):
    delay_s: float
    ticket: int


class Report(
    msgspec.Struct, frozen=True, gc=False
):  # events of the core are words and numbers: never a cycle
    """Say this."""

    event: Event


class Reply(msgspec.Struct, frozen=True):
    """The answer to whoever asked."""

    value: object


class Refuse(msgspec.Struct, frozen=True):
    error: Exception


class FailStart(msgspec.Struct, frozen=True):
    """The supervisor itself did not start; those of its children that had are stopped again."""

    error: BaseException


class GiveUp(msgspec.Struct, frozen=True):
    """The supervisor exits so. Its children are stopped already."""

    exit: Exit


class Retire(msgspec.Struct, frozen=True):
    """This child will not come back by itself: whoever watches its address is told so."""

    ref: object


class Latch(msgspec.Struct, frozen=True):
    """Trading must be halted because of this child; no sibling was touched."""

    offender: Hashable
    error: BaseException


class LowerLevel(msgspec.Struct, frozen=True):
    """The breaker opened: vote for the level that stands for it. `latched`: only a person ends it."""

    reason: str
    latched: bool


class RaiseLevel(msgspec.Struct, frozen=True):
    """The breaker closed (or a new incarnation began): withdraw that vote; a latched one only when `by_person`."""

    by_person: bool


Command = (
    StartChild
    | AwaitTurn
    | StopChildren
    | ScheduleRestart
    | ScheduleGateLook
    | TellMoved
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
