"""What watches the handlers of one incarnation while `inspection` traces, logs or counts.

It stands in front of the actor's handlers (shadows.py) only while somebody wants it: not one of the ways of a message
pays for it when it is not there.
"""

from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import msgspec

from allstop.actors.runtime.inspection.onlookers import Onlookers, Step, StepKind
from allstop.actors.runtime.shadows import Handle, shadow, unshadow

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor did since it was first asked to count. Messages dropped by a full mailbox are dead letters, and not
    counted here. Times are of handlers, in seconds of the system's clock, what they awaited included."""

    since_ns: int  # wall clock
    until_ns: int
    received: int  # handed over, or waiting now
    handled: int
    calls: int  # of the handled ones
    raised: int
    handler_s: float  # in all
    handler_max_s: float
    slowest: str | None  # the type of the message that took longest
    waiting: int  # now
    waiting_max: int  # the high-water mark: as seen whenever a message was handed over


class _Counter:
    def __init__(self, cell: "Cell") -> None:
        self.since_ns = cell.system.clock.wall_ns()
        self.waiting_max = len(cell.queue)
        self.taken = self.handled = self.calls = self.raised = 0
        self.handler_s = self.handler_max_s = 0.0
        self.slowest: str | None = None

    def took(self, message: Any, took_s: float) -> None:
        self.handler_s += took_s
        if took_s >= self.handler_max_s:
            self.handler_max_s = took_s
            self.slowest = type(message).__qualname__


class Observer(Onlookers):
    """Of one incarnation. It goes as soon as nobody wants it any more."""

    def __init__(self, cell: "Cell") -> None:
        super().__init__(cell)
        self._counter: _Counter | None = None
        self.unwrapped: Callable[[Any], Any] | None = None  # in a process, messages come in an envelope

    # -- coming and going ------------------------------------------------------------------------------------------
    @classmethod
    def of(cls, cell: "Cell") -> "Observer":
        """The one that watches, or a new one."""
        observer = cell.observer
        if observer is None:
            observer = cell.observer = cls(cell)
            shadow(cell.actor, cls, observer.in_front_of)
        return observer

    def leave_if_unwanted(self) -> None:
        cell = self._cell
        if self.wanted or self._counter is not None or cell.observer is not self:
            return
        cell.observer = None
        unshadow(cell.actor, Observer)

    def one_left(self) -> None:
        self._cell.scheduler.hop(self.leave_if_unwanted)

    # -- counting --------------------------------------------------------------------------------------------------
    def count(self) -> None:
        """Counts from now on, from nothing."""
        self._counter = _Counter(self._cell)

    @property
    def counts(self) -> bool:
        return self._counter is not None

    def stop_counting(self) -> None:
        self._counter = None

    def statistics(self) -> Statistics | None:
        c = self._counter
        if c is None:
            return None
        waiting = len(self._cell.queue)
        return Statistics(
            since_ns=c.since_ns,
            until_ns=self._cell.system.clock.wall_ns(),
            received=c.taken + waiting,
            handled=c.handled,
            calls=c.calls,
            raised=c.raised,
            handler_s=c.handler_s,
            handler_max_s=c.handler_max_s,
            slowest=c.slowest,
            waiting=waiting,
            waiting_max=max(c.waiting_max, waiting),
        )

    # -- in front of the handlers ----------------------------------------------------------------------------------
    def in_front_of(self, handle: Handle) -> Handle:
        """The layer: what is handed to `handle` is seen."""
        return lambda message: self._watched(handle, message)

    def _watched(self, handle: Handle, message: Any) -> Any:
        called = self._cell.calling is not None
        handed = message
        if self.unwrapped is not None:
            message = self.unwrapped(message)
        began_s = self._begin(message, called)
        try:
            result = handle(handed)
        except BaseException as error:
            self._raised(message, called, began_s, error)
            raise
        if result.__class__ is CoroutineType:
            return self._awaited(result, message, called, began_s)
        self._returned(message, called, began_s, result)
        return result

    async def _awaited(self, handler: Any, message: Any, called: bool, began_s: float) -> Any:
        try:
            result = await handler
        except GeneratorExit:  # the loop is gone, and the world with it
            raise
        except BaseException as error:
            self._raised(message, called, began_s, error)
            raise
        self._returned(message, called, began_s, result)
        return result

    def _begin(self, message: Any, called: bool) -> float:
        if self._counter is not None:
            self._counter.taken += 1
            self._counter.calls += called
            self._counter.waiting_max = max(self._counter.waiting_max, len(self._cell.queue))
        self._tell(StepKind.IN, message, called)
        return self._cell.system.clock.now_s()

    def _returned(self, message: Any, called: bool, began_s: float, result: Any) -> None:
        took_s = self._cell.system.clock.now_s() - began_s
        if self._counter is not None:
            self._counter.handled += 1
            self._counter.took(message, took_s)
        self._tell(StepKind.OUT if called else StepKind.NOREPLY, message, called, result, took_s)

    def _raised(self, message: Any, called: bool, began_s: float, error: BaseException) -> None:
        took_s = self._cell.system.clock.now_s() - began_s
        if self._counter is not None:
            self._counter.raised += 1
            self._counter.took(message, took_s)
        self._tell(StepKind.RAISED, message, called, error, took_s)

    def _tell(
        self, kind: StepKind, message: Any, called: bool, result: Any = None, took_s: float | None = None
    ) -> None:
        if not self.wanted:
            return
        cell = self._cell
        step = Step(
            at_ns=cell.system.clock.wall_ns(),
            path=cell.path,
            incarnation=cell.incarnation,
            kind=kind,
            message=message,
            called=called,
            result=result,
            took_s=took_s,
        )
        self.show(step)
