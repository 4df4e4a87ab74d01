"""What the engine says of itself: every supervision decision and every change of level, as values."""

import traceback
from typing import Any

import msgspec

from allstop.actors.levels import Level, Scope
from allstop.actors.rendering import fitted, shown

MESSAGE_CHARS_MAX = 400  # in the first line of a report


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    at_ns: int  # wall clock
    path: str  # the actor it is about

    def render(
        self, *, depth: int | None = None, chars_limit: int | None = None, single_line: bool = False
    ) -> str:
        """The event as text. `depth`: how deep values are shown; `chars_limit`: the longest text, the end of a longer
        one is `...`; `single_line`: without line breaks."""
        name = type(self).__name__
        rest = [field for field in self.__struct_fields__ if field not in ("at_ns", "path")]
        lines = [
            f"{name} at {self.path}",
            *(f"  {field}: {shown(getattr(self, field), depth)}" for field in rest),
        ]
        return fitted("\n".join(lines), chars_limit, single_line=single_line)


# The events of a restart hold words and numbers only, so garbage collection need not look at them (gc=False).
class ChildStarted(Event, frozen=True, kw_only=True, gc=False):
    """A child runs. `attempt` 0 is the first start; else it is a restart.

    `origin` says who wanted it: boot | restart | half_open, or api, which OTP makes no progress report of.
    """

    child: str
    incarnation: int
    attempt: int
    origin: str = "boot"
    gate_wait_s: float = 0.0  # how long it waited for its turn at its gate

    @property
    def progress(self) -> bool:
        """Whether OTP would report it as progress: whoever started it by request knows already."""
        return self.origin != "api"


class ChildTerminated(Event, frozen=True, kw_only=True, gc=False):
    """A child ended. `reason` is its exit in words; `budget_left` what the supervisor may still restart in its window.

    `stopping`: it had been asked to stop and ended otherwise (OTP's shutdown_error).
    """

    child: str
    incarnation: int
    reason: str
    clean: bool
    causes: tuple[str, ...] = ()
    budget_left: int | None = None
    child_budget_left: int | None = None  # None: it has no budget of its own
    stopping: bool = False


class RestartScheduled(Event, frozen=True, kw_only=True, gc=False):
    """A child will be restarted, and its group with it. `attempt` counts its failures in a row."""

    child: str
    attempt: int
    delay_s: float
    budget_left: int
    child_budget_left: int | None = None
    incarnation: int = 0  # the one that failed; 0: none had started
    causes: tuple[str, ...] = ()
    strategy: str = ""
    group: tuple[str, ...] = ()  # in start order, the child among them


class StartFailed(Event, frozen=True, kw_only=True):
    """A child did not start. `origin` as in ChildStarted."""

    child: str
    reason: str
    attempt: int = 0
    causes: tuple[str, ...] = ()
    origin: str = "boot"
    budget_left: int | None = None
    child_budget_left: int | None = None


class ChildGaveUp(Event, frozen=True, kw_only=True):
    """A child spent its own budget. `action`: escalate (a GaveUp follows), stop_child, or pause for `retry_after_s`."""

    child: str
    attempts: int
    causes: tuple[str, ...]
    action: str
    incarnation: int = 0
    budget_left: int | None = None  # of the supervisor, which goes on unless it escalates
    retry_after_s: float | None = None


class GateWaiting(Event, frozen=True, kw_only=True):
    """A start waits for its turn at a gate. `ahead`: how many wait before it."""

    child: str
    gate: str
    wait_s: float
    ahead: int


class GateChanged(Event, frozen=True, kw_only=True):
    """What is known of an endpoint changed, and `path` is the supervisor that noticed.

    closed: nothing waits, and what started stayed up; open: starts wait; half_open: a start is still on trial.
    """

    gate: str
    state: str  # closed | open | half_open
    waiting: int


class ShutdownOverrun(Event, frozen=True, kw_only=True):
    """A child had to be killed; `unstopped` when even that left something running behind its fence."""

    child: str
    unstopped: bool


class GaveUp(Event, frozen=True, kw_only=True):
    """The budget was spent (or the exit was fatal): the supervisor escalates, pauses or latches."""

    offender: str
    attempts: int
    causes: tuple[str, ...]
    fatal: bool
    action: str  # escalate | pause | latch
    strategy: str = ""
    stopped: tuple[str, ...] = ()  # the children that are stopped because of it, last started first


class BreakerChanged(Event, frozen=True, kw_only=True):
    """The breaker of a supervisor moved. `trips` counts its openings in a row; `reason` is why it opened or latched."""

    state: str  # closed | open | half_open | latched
    trips: int
    retry_after_s: float | None = None
    reason: str = ""


class LevelChanged(Event, frozen=True, kw_only=True):
    """The effective level of a scope changed. `by` and `reason` are the vote that decided."""

    scope: Scope
    before: Level
    now: Level
    by: str
    reason: str


class HaltProven(Event, frozen=True, kw_only=True):
    """An account's open-orders list showed nothing but protective orders, `after_s` after the halt was latched."""

    account: str
    after_s: float
    canceled: int
    kept: int


class CrashReport(Event, frozen=True, kw_only=True):
    """An actor failed. Everything is captured as it was and rendered only when somebody reads it. A clean exit makes none."""

    incarnation: int
    actor_class: str
    error: Any  # the exception, with its traceback and causes
    last_message: Any = None  # the one it failed on; None when it failed on no message
    status: Any = None  # what the actor's own `format_status` shows; secrets stay out of it
    mailbox_len: int = 0
    ancestors: tuple[str, ...] = ()  # nearest first
    waiting: tuple[str, ...] = ()  # the types of the first messages in the mailbox
    children: tuple[str, ...] = ()  # they end with it; of many, the first
    links: tuple[str, ...] = ()  # they end with it, too, unless they trap exits; of many, the first
    monitored_by: tuple[str, ...] = ()  # who is told, besides its supervisor; of many, the first
    caller: str | None = (
        None  # the task that waits for the answer to `last_message`: an actor's has the actor's path
    )
    caller_stack: tuple[
        tuple[str, int, str], ...
    ] = ()  # file, line and function where it waits, outermost first
    log: tuple[Any, ...] = ()  # the latest steps, while `inspection.log` keeps them
    lived_s: float | None = None  # since its start; None for an actor without a parent

    @property
    def causes(self) -> tuple[BaseException, ...]:
        """The exception, then what caused it, and so on."""
        found: list[BaseException] = []
        error = self.error
        while isinstance(error, BaseException) and error not in found:
            found.append(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return tuple(found)

    def sections(self, depth: int | None = None) -> list[tuple[str, str]]:
        """What `render` shows below its first line: names and texts, without those that have nothing to say."""
        stack = [f"{function} ({file}:{line})" for file, line, function in self.caller_stack]
        found = {
            "status": shown(self.status, depth) if self.status is not None else "",
            "mailbox": _mailbox(self.mailbox_len, self.waiting),
            "ancestors": ", ".join(self.ancestors),
            "children": ", ".join(self.children),
            "links": ", ".join(self.links),
            "monitored by": ", ".join(self.monitored_by),
            "caller": " < ".join([self.caller or "", *reversed(stack)]) if self.caller else "",
            "log": "\n".join(shown(step, depth) for step in self.log),
            "traceback": "".join(traceback.format_exception(self.error)).rstrip(),
        }
        return [(name, text) for name, text in found.items() if text]

    def render(
        self, *, depth: int | None = None, chars_limit: int | None = None, single_line: bool = False
    ) -> str:
        lived = f", lived {self.lived_s:.3f} s" if self.lived_s is not None else ""
        head = f"{self.actor_class} at {self.path} (incarnation {self.incarnation}{lived}) crashed"
        on = (
            f" on {fitted(shown(self.last_message, depth), MESSAGE_CHARS_MAX)}"
            if self.last_message is not None
            else ""
        )
        lines = [head + on, *(_section(name, text) for name, text in self.sections(depth))]
        return fitted("\n".join(lines), chars_limit, single_line=single_line)

    def text(self) -> str:
        """The report as a person reads it: who, on what, and the traceback."""
        return self.render()


def _mailbox(length: int, types: tuple[str, ...]) -> str:
    more = ", ..." if length > len(types) and types else ""
    return f"{length} waiting" + (f": {', '.join(types)}{more}" if types else "") if length else ""


def _section(name: str, text: str) -> str:
    return f"  {name}: " + text.replace("\n", "\n    ")


class HandlerRemoved(Event, frozen=True, kw_only=True):
    """An event manager removed a handler that failed; its other handlers go on."""

    handler: str
    error: Any  # the exception, with its traceback and causes
    last_event: Any = None


class CoverChanged(Event, frozen=True, kw_only=True):
    """The cover of a pair changed. `state`: covered, uncovered, over_covered, dust, unmatched when its stops
    stand and the venue matches no orders (a person must know), or abandoned when neither a stop nor a flatten can be had
    (a person must act)."""

    pair: str
    state: str
    qty: str
    detail: str = ""


class HandlerHung(Event, frozen=True, kw_only=True):
    """A handler has worked longer than its limit and works still. Told again while it lasts, at doubling intervals.

    `where` says what it holds: "loop" (every actor of the system stands still; this event then comes on the
    watchdog's thread), "thread" (its own), or "task" (a suspended coroutine: nobody but its own mailbox waits).
    """

    incarnation: int  # 0: what holds the loop is no actor
    actor_class: str
    message: str  # the class of the message, or the name of the hook that runs
    held_s: float
    limit_s: float
    where: str  # loop | thread | task
    stack: tuple[str, ...]  # outermost call first, as in a traceback
    times: int = 1  # how often this hang was told of, this event included


class HandlerReturned(Event, frozen=True, kw_only=True):
    """A handler that was told of as hung gave the loop back."""

    incarnation: int
    message: str
    held_s: float


class LoopHeld(Event, frozen=True, kw_only=True):
    """The loop stood still, and no single handler is to blame: `why` says what was seen. `path` ran last."""

    held_s: float
    why: str
    stack: tuple[str, ...] = ()


class Unstopped(Event, frozen=True, kw_only=True):
    """A killed incarnation still runs behind its fence: `what` of it ("task" or "thread") does not end."""

    incarnation: int
    what: str
