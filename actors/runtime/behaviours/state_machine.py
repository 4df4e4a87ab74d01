"""The shell of a state machine: takes events, calls the state's method, and does what the core says.

While the core has events of its own to take, a token stands at the head of the mailbox: one event is handled per
token, so a stop or a neighbour need not wait for all of them. Every call is deferred when it comes in, so whoever
waits gets an answer, the error of a handler, or ActorDead, wherever the machine keeps its event meanwhile.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from types import CoroutineType
from typing import Any, ClassVar, Final

import msgspec

from allstop.actors.errors import ReplyError
from allstop.actors.exits import Exit
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.aftermath import lose
from allstop.actors.runtime.behaviours.stash import at_end, put_first
from allstop.actors.runtime.behaviours.state_machine_core import (
    CancelTimer,
    Command,
    End,
    Enter,
    Keep,
    Key,
    MachineCore,
    Next,
    ReplyTo,
    StartTimer,
    Taken,
)
from allstop.actors.runtime.belongings import Reply, Timer
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.errors import BadReturnValue, UndefinedState
from allstop.actors.runtime.inspection.questions import RUNTIME_FIELDS
from allstop.actors.runtime.messages import Fired, Ignore
from allstop.actors.runtime.states import RUNNING, STARTING, is_later


class _Due:
    """What the token's handler is told: take your next event. Never cancelled, so it can ride as a timer's message."""

    cancelled: Final = False

    def __repr__(self) -> str:
        return "an event that the machine held"

    @property
    def message(self) -> "_Due":
        return self


DUE: Final = _Due()


OWN_FIELDS: Final = frozenset(("_core", "_first", "_timers", "caller"))


class Elapsed(msgspec.Struct, frozen=True):
    """A timer of the machine came to its end."""

    key: Key


class MachineCell(Cell):
    """An incarnation whose life begins in the machine's first state."""

    def begin_life(self, result: Any) -> None:
        if is_later(self.state, STARTING):
            return
        if isinstance(result, Ignore) or result is Ignore:
            super().begin_life(result)
            return
        first: Next | None = result if isinstance(result, Next) else None
        try:
            self.actor.set_up(first)
        except Exception as error:  # noqa: BLE001 - a failed start
            self.crash(error)
            return
        super().begin_life(None if first is not None else result)
        if self.state is RUNNING:
            put_first(self, (Fired(DUE),))


class StateMachine(Actor):
    """gen_statem: one method per state, `in_<state>(event)`, or one for all, `on_event(state, event)`; plain or async.

    States are strings or members of an Enum (`in_` and the member's name in lower case); with `on_event` any values.
    An event is the message as it was told or called, or what a timeout or NextEvent gave. In the handler of a call
    `self.caller` is who waits; `ReplyTo(caller, value)`, now or in a later event, answers.

    A handler returns `Keep(*actions)`, `Next(state, *actions)`, `Repeat(*actions)` or `Stop(exit, *replies)`, and
    anything else, None too, is a crash with BadReturnValue. The machine starts in `initial_state`, or where `on_start`
    says by returning `Next(state, *actions)`. So does every restart: what must survive one is in a journal.
    """

    cell_class: ClassVar[type[Cell]] = MachineCell
    initial_state: ClassVar[Any] = None
    states: ClassVar[type[Enum] | None] = None  # name them all, and a missing method is found at once
    postponed_capacity: ClassVar[int] = 1_000  # more events that nobody can handle yet are an outage
    caller: Reply | None = None
    _core_class: ClassVar[type[MachineCore]] = MachineCore
    _by_event = False
    _core: MachineCore
    _first: list[Command] | None = None
    _timers: dict[Key, Timer]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._by_event = cls.on_event is not StateMachine.on_event
        if cls.stash_capacity > 0:
            raise TypeError(f"{cls.__name__} is a state machine: it has Postpone() instead of a stash")
        for state in cls.states or ():
            if not cls._by_event and not hasattr(cls, method_of(state)):
                raise TypeError(f"{cls.__name__} has no method {method_of(state)} for {state}")

    # -- what a subclass may define --------------------------------------------------------------------------------
    def on_event(self, state: Any, event: Any) -> Any:
        """Handles an event in a state, where there are no methods `in_<state>`."""
        return getattr(self, method_of(state))(event)

    def on_enter(self, old: Any, new: Any) -> Any:
        """Runs when a state is entered, the first one too (`old` is `new` then); plain or async.

        May return Keep with replies and timeouts, or Stop. It cannot change the state, postpone or insert events.
        """

    def on_unhandled(self, message: Any) -> Keep:
        """As for every actor, and the state stays: `case _: return self.on_unhandled(event)`."""
        super().on_unhandled(message)
        return Keep()

    def format_status(self) -> Any:
        """The state and how much waits. A state that is a value of your own is shown as its type: it may hold keys."""
        if "_core" not in vars(self):
            return {"state": "not started"}
        core = self._core
        shown = core.state if isinstance(core.state, str | Enum) else type(core.state).__name__
        return {"state": shown, "postponed": len(core.postponed), "queued": len(core.queue)}

    # -- what it can do --------------------------------------------------------------------------------------------
    @property
    def state(self) -> Any:
        """The state that the machine is in."""
        return self._core.state

    @property
    def called(self) -> bool:
        """True in the handler of a call, also when its event was postponed before."""
        return self.caller is not None

    def set_receive_timeout(self, delay_s: float | None, message: Any = None) -> None:
        raise RuntimeError(f"{self.path} is a state machine: it has EventTimeout({delay_s}, event)")

    # -- for the runtime -------------------------------------------------------------------------------------------
    def system_get_state(self) -> tuple[Any, dict[str, Any]]:
        """What `inspection.get_state` gives: gen_statem's state and data, here the attributes of the subclass."""
        hidden = RUNTIME_FIELDS | OWN_FIELDS
        return self._core.state, {name: value for name, value in vars(self).items() if name not in hidden}

    def system_replace_state(self, function: Callable[[Any], Any]) -> tuple[Any, dict[str, Any]]:
        """Sets state and attributes to what `function((state, attributes))` gives. No transition: nothing is entered."""
        state, data = function(self.system_get_state())
        self._check_state(state)
        if not isinstance(data, Mapping):
            raise TypeError(f"the attributes are a dict, not {type(data).__name__}")
        hidden = RUNTIME_FIELDS | OWN_FIELDS
        if wrong := [name for name in data if not isinstance(name, str) or name in hidden]:
            raise TypeError(f"not the name of an attribute of its own: {wrong[0]!r}")
        for name in self.system_get_state()[1]:
            del vars(self)[name]
        vars(self).update(data)
        self._core.state = state
        return state, dict(data)

    def set_up(self, first: Next | None) -> None:
        """Before the first event: decides the first state and what entering it asks for."""
        state = first.state if first is not None else self.initial_state
        if state is None:
            raise BadReturnValue(
                f"{type(self).__name__} has no initial_state, and its on_start did not return Next(state)"
            )
        self._check_state(state)
        self._timers = {}
        self._core = self._core_class(state, self.postponed_capacity, self.path)
        self._first = self._core.begin(first.actions if first is not None else ())
        at_end(self._cell, self._lose)

    def on_receive(self, message: Any) -> Any:
        """Not for subclasses: events go to the method of the state."""
        core = self._core
        had_token = self._first is not None or core.waiting
        if message is DUE:
            if (first := self._first) is not None:
                self._first = None
                return self._obey(first)
            had_token = False
        elif message.__class__ is Elapsed:
            self._timers.pop(message.key, None)
            core.elapsed(message.key)
        else:
            caller = self.defer() if self._cell.calling is not None else None
            core.receive(Taken(message, caller))
        if had_token or core.ended or not core.waiting:
            return None
        event, commands = core.take()
        if commands:
            self._obey_all(commands)
        self.caller = event.caller
        try:
            result = self.on_event(core.state, event.event)
            if result.__class__ is CoroutineType:
                return self._finish(event, result)
            commands = core.apply(result)
        except Exception as error:  # noqa: BLE001 - raised again, except a refusal
            commands = self._failed(event, error)
        self.caller = None
        return self._obey(commands)

    async def _finish(self, event: Taken, handler: Any) -> None:
        try:
            commands = self._core.apply(await handler)
        except Exception as error:  # noqa: BLE001 - raised again, except a refusal
            commands = self._failed(event, error)
        self.caller = None
        entering = self._obey(commands)
        if entering is not None:
            await entering

    def _failed(self, event: Taken, error: Exception) -> list[Command]:
        """The caller gets the error. A ReplyError is no more than that; every other one goes on to be a crash."""
        if event.caller is not None:
            event.caller.fail(error)
            if isinstance(error, ReplyError):
                return self._core.apply(Keep())
        error.add_note(f"in state {self._core.state!r}, on a {type(event.event).__name__}")
        raise error

    def _obey(self, commands: list[Command]) -> Any:
        """Does what the core says. A coroutine, if on_enter is one."""
        entering = self._obey_all(commands) if commands else None
        while entering is not None:
            result = self.on_enter(entering.old, entering.new)
            if result.__class__ is CoroutineType:
                return self._enter(result)
            entering = self._obey_all(self._core.entered(result))
        self._go_on()
        return None

    async def _enter(self, handler: Any) -> None:
        self._obey_all(self._core.entered(await handler))
        self._go_on()

    def _obey_all(self, commands: list[Command]) -> Enter | None:
        entering = None
        for command in commands:
            match command:
                case ReplyTo(caller, value, error):
                    if caller is not None:
                        caller.set(value) if error is None else caller.fail(error)
                case StartTimer(key, delay_s):
                    self._timers[key] = self.send_after(delay_s, Elapsed(key))
                case CancelTimer(key):
                    if (timer := self._timers.pop(key, None)) is not None:
                        timer.cancel()
                case End(exit_):
                    self.exit(exit_)
                case Enter(_, new):
                    self._check_state(new)
                    entering = command
        return entering

    def _check_state(self, state: Any) -> None:
        if not self._by_event and not hasattr(self, method_of(state)):
            raise UndefinedState(
                f"{self.path}: {type(self).__name__} has no method {method_of(state)} for {state!r}"
            )

    def _go_on(self) -> None:
        if self._core.waiting and not self._core.ended:
            put_first(self._cell, (Fired(DUE),))

    def _lose(self, _exit: Exit) -> None:
        for event in self._core.left():
            if event.caller is None:
                lose(self._cell, event.event)


def method_of(state: Any) -> str:
    """The name of a state's method: `in_open` for "open" and for Door.OPEN."""
    if state.__class__ is str:
        return "in_" + state
    if isinstance(state, Enum):
        return f"in_{state.name.lower()}"
    if isinstance(state, str):
        return f"in_{state}"
    raise UndefinedState(
        f"{state!r} is neither a string nor a member of an Enum: give the machine an on_event"
    )
