"""What a state machine does next, decided without a thread, a clock or a log: gen_statem's transition, step by step.

An event is taken, its callback answers with a result (Keep, Next, Repeat or Stop, with actions), and `apply` turns that
into commands for the shell. In which order events are taken:

    1. `queue`    inserted by NextEvent, then those that a state change retries, oldest first, then what was received
    2. `zero`     timeouts of zero: after all of these, before what is still in the mailbox
    3. the mailbox, which the shell has

Zero timeouts wait in a place of their own, so that a state change or an event can still cancel them (OTP learnt that
in 2020). The core changes in place, as the supervisors' does; a result that is refused has changed nothing.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

import msgspec

from allstop.actors.exits import NORMAL, Exit
from allstop.actors.runtime.errors import BadReturnValue, TooManyEvents
from allstop.actors.spec import INFINITY, Shutdown

INSERTED_MAX: Final = (
    10_000  # events waiting inside the machine: one that inserts two for each it takes never ends
)


# -- actions
class ReplyTo(msgspec.Struct, frozen=True):
    """Answers a call: `caller` is what `self.caller` was in the handler of its event. With `error` it is a refusal.

    None for `caller` (the event was told, not called) answers nobody.
    """

    caller: Any
    value: Any = None
    error: BaseException | None = None


class Postpone(msgspec.Struct, frozen=True):
    """This event is taken again after the next change of state."""


class NextEvent(msgspec.Struct, frozen=True):
    """`event` is handled next, before the mailbox; several in their order."""

    event: Any


class StateTimeout(msgspec.Struct, frozen=True):
    """`event` comes after `delay_s` in this state: a change of state cancels it. None or INFINITY: cancels it now."""

    delay_s: float | Shutdown | None
    event: Any = None


class EventTimeout(msgspec.Struct, frozen=True):
    """`event` comes after `delay_s` without another event: any event cancels it."""

    delay_s: float | Shutdown | None
    event: Any = None


class NamedTimeout(msgspec.Struct, frozen=True):
    """`event` comes after `delay_s`, whatever happens: only a new one of this name, or None, cancels it."""

    name: Any
    delay_s: float | Shutdown | None
    event: Any = None


Timeout = StateTimeout | EventTimeout | NamedTimeout
Action = ReplyTo | Postpone | NextEvent | StateTimeout | EventTimeout | NamedTimeout


# -- results
class Result:
    """What a state's handler returns."""

    __match_args__ = ("actions",)
    __slots__ = ("actions",)

    def __init__(self, *actions: Action) -> None:
        self.actions = actions

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.actions))})"


class Keep(Result):
    """The state stays, and these actions are done."""

    __slots__ = ()


class Repeat(Result):
    """The state stays and is entered again: `on_enter` runs. Postponed events are not retried."""

    __slots__ = ()


class Next(Result):
    """The next state. If it differs from the present one, postponed events are retried and `on_enter` runs."""

    __match_args__ = ("state", "actions")
    __slots__ = ("state",)

    def __init__(self, state: Any, *actions: Action) -> None:
        super().__init__(*actions)
        self.state = state

    def __repr__(self) -> str:
        return f"Next({', '.join(map(repr, (self.state, *self.actions)))})"


class Stop(Result):
    """The machine ends with `exit`; these replies are sent first."""

    __match_args__ = ("exit", "actions")
    __slots__ = ("exit",)

    def __init__(self, exit: Exit = NORMAL, *replies: ReplyTo) -> None:
        super().__init__(*replies)
        self.exit = exit

    def __repr__(self) -> str:
        return f"Stop({', '.join(map(repr, (self.exit, *self.actions)))})"


# -- commands, besides ReplyTo
class Kind(Enum):
    """The two timeouts of which there is one each; a named one's key is Named(name)."""

    STATE = "state"
    EVENT = "event"


class Named(msgspec.Struct, frozen=True):
    name: Any


Key = Kind | Named


class StartTimer(msgspec.Struct, frozen=True):
    key: Key
    delay_s: float


class CancelTimer(msgspec.Struct, frozen=True):
    key: Key


class Enter(msgspec.Struct, frozen=True):
    """Call on_enter(old, new) and tell `entered` what it returned."""

    old: Any
    new: Any


class End(msgspec.Struct, frozen=True):
    exit: Exit


Command = ReplyTo | StartTimer | CancelTimer | Enter | End


class Taken(msgspec.Struct, frozen=True):
    """An event in the machine. `caller`: who waits for an answer; `timeout`: it is a timer's, nobody sent it."""

    event: Any
    caller: Any = None
    timeout: bool = False


class MachineCore:
    """One machine: its state, its events and its timeouts. `where` names it in errors."""

    __slots__ = (
        "_event",
        "ended",
        "postponed",
        "postponed_max",
        "queue",
        "running",
        "state",
        "where",
        "zero",
    )

    def __init__(self, state: Any, postponed_max: int, where: str = "the machine") -> None:
        self.state = state
        self.postponed_max = postponed_max
        self.where = where
        self.queue: deque[Taken] = deque()
        self.zero: dict[Key, Taken] = {}
        self.running: dict[Key, Taken] = {}
        self.postponed: list[Taken] = []
        self.ended = False
        self._event: Taken | None = None

    # -- events ----------------------------------------------------------------------------------------------------
    @property
    def waiting(self) -> bool:
        """True while there is an event to take before the mailbox is looked at."""
        return bool(self.queue or self.zero)

    def receive(self, event: Taken) -> None:
        self.queue.append(event)

    def elapsed(self, key: Key) -> None:
        """A timer came to its end: its event is received."""
        event = self.running.pop(key, None)
        if event is not None:
            self.queue.append(event)

    def take(self) -> tuple[Taken, list[Command]]:
        """The event to handle now. It cancels the event timeout."""
        event = self.queue.popleft() if self.queue else self.zero.pop(next(iter(self.zero)))
        commands: list[Command] = []
        if self.running or self.zero:
            self._cancel(Kind.EVENT, commands)
        self._event = event
        return event, commands

    def left(self) -> list[Taken]:
        """What nobody will handle after the end, oldest first: postponed and queued. Timers' events do not count."""
        return [event for event in (*self.postponed, *self.queue) if not event.timeout]

    # -- transitions -----------------------------------------------------------------------------------------------
    def begin(self, actions: Iterable[Action] = ()) -> list[Command]:
        """The first state is entered, with the actions of the start."""
        self._event = None
        return self._transition(Repeat(*actions), self.state)

    def apply(self, result: object) -> list[Command]:
        """What is to be done after the handler of the event that was taken last."""
        if result.__class__ is Keep and not result.actions:  # type: ignore[attr-defined]
            self._event = None
            return []
        if not isinstance(result, Result):
            raise BadReturnValue(f"{self._place()} returned {result!r:.200}, not Keep, Next, Repeat or Stop")
        old = self.state
        commands = self._transition(result, result.state if isinstance(result, Next) else old)
        self._event = None
        return commands

    def entered(self, result: object) -> list[Command]:
        """What is to be done after on_enter: it may set timeouts, reply and stop, nothing else."""
        if result is None:
            return []
        place = f"{self.where}: on_enter of {self.state!r}"
        if not isinstance(result, Keep | Stop):
            raise BadReturnValue(f"{place} returned {result!r:.200}, not None, Keep or Stop")
        for action in result.actions:
            if isinstance(action, Postpone | NextEvent):
                raise BadReturnValue(f"{place} may not postpone or insert events: {action!r:.200}")
        return self._transition(result, self.state)

    def _transition(self, result: Result, state: Any) -> list[Command]:
        self._check(result, changes=state != self.state)
        if isinstance(result, Stop):
            self.ended = True
            return [*result.actions, End(result.exit)]  # type: ignore[list-item] # checked: replies only
        commands: list[Command] = []
        if any(isinstance(action, Postpone) for action in result.actions) and self._event is not None:
            self.postponed.append(self._event)
        old = self.state
        if state != old:
            self.state = state
            self.queue.extendleft(reversed(self.postponed))
            self.postponed.clear()
            self._cancel(Kind.STATE, commands)
        inserted = [Taken(action.event) for action in result.actions if isinstance(action, NextEvent)]
        self.queue.extendleft(reversed(inserted))
        for action in result.actions:
            if isinstance(action, ReplyTo):
                commands.append(action)
            elif isinstance(action, Timeout):
                self._start(action, commands)
        if state != old or isinstance(result, Repeat):
            commands.append(Enter(old, state))
        return commands

    # -- timeouts --------------------------------------------------------------------------------------------------
    def _start(self, timeout: Timeout, commands: list[Command]) -> None:
        key = key_of(timeout)
        self._cancel(key, commands)
        delay_s = timeout.delay_s
        if delay_s is None or isinstance(delay_s, Shutdown) or delay_s == float("inf"):
            return
        event = Taken(timeout.event, timeout=True)
        if delay_s == 0:
            self.zero[key] = event
        else:
            self.running[key] = event
            commands.append(StartTimer(key, delay_s))

    def _cancel(self, key: Key, commands: list[Command]) -> None:
        self.zero.pop(key, None)
        if self.running.pop(key, None) is not None:
            commands.append(CancelTimer(key))

    # -- checks ----------------------------------------------------------------------------------------------------
    def _check(self, result: Result, *, changes: bool) -> None:
        """Raises before anything is changed."""
        inserted = 0
        for action in result.actions:
            if isinstance(action, ReplyTo):
                continue
            if isinstance(result, Stop):
                raise BadReturnValue(f"{self._place()}: Stop takes replies, not {action!r:.200}")
            if not isinstance(action, Postpone | NextEvent | Timeout):
                raise BadReturnValue(f"{self._place()}: not an action: {action!r:.200}")
            if isinstance(action, Timeout) and not _is_delay(action.delay_s):
                raise BadReturnValue(f"{self._place()}: not a delay: {action!r:.200}")
            inserted += isinstance(action, NextEvent)
            if isinstance(action, Postpone):
                self._check_postpone(changes=changes)
        if inserted and inserted + len(self.queue) > INSERTED_MAX:
            raise TooManyEvents(self.where, self.state, "inserted", INSERTED_MAX)
        if isinstance(result, Stop) and not isinstance(result.exit, Exit):
            raise BadReturnValue(f"{self._place()}: Stop takes an Exit, not {result.exit!r:.200}")

    def _check_postpone(self, *, changes: bool) -> None:
        if self._event is None:
            raise BadReturnValue(f"{self._place()} has no event to postpone")
        if not changes and len(self.postponed) >= self.postponed_max:
            raise TooManyEvents(self.where, self.state, "postponed", self.postponed_max)

    def _place(self) -> str:
        return f"{self.where} in state {self.state!r}"


def key_of(timeout: Timeout) -> Key:
    if isinstance(timeout, NamedTimeout):
        return Named(timeout.name)
    return Kind.STATE if isinstance(timeout, StateTimeout) else Kind.EVENT


def _is_delay(delay_s: object) -> bool:
    if delay_s is None or delay_s is INFINITY:
        return True
    return isinstance(delay_s, int | float) and not isinstance(delay_s, bool) and delay_s >= 0
