"""An incarnation whose messages bring the context variables of their sender along (`Actor.context_per_message`).

Every message comes in by the slow way, because the fast one has no room for a context: to senders the cell never looks
idle, and its limit is 0. So nobody else pays for it.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Coroutine
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any

from allstop.actors.runtime import messages as m
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.handling import begin

if TYPE_CHECKING:
    from collections.abc import Generator


class ContextCell(Cell):
    """`idle` is False to whoever asks; `_rests` says whether the cell waits for mail."""

    _rests = False
    _inner: Any = None  # the handler's coroutine inside the one that enters its context

    @property
    def idle(self) -> bool:
        return False

    @idle.setter
    def idle(self, rests: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._rests = rests
        if rests and self.queue:  # a thread slipped one in after the test
            self.added()

    def added(self) -> None:
        if self._rests:
            self._rests = False
            self.wake()

    def open_queue(self) -> "deque[Any]":
        queue = super().open_queue()
        self.limit = 0
        return queue

    def resume(self) -> None:
        super().resume()
        self.rides = False  # only a token ever rides in the run queue: every message is in its own

    def carry(self, message: Any) -> Any:
        return m.Carried(message, contextvars.copy_context())

    def begin_carried(self, carried: m.Carried) -> tuple[Any, m.Call | None]:
        result, call = carried.context.run(begin, self, carried.message)
        if result is not None and result.__class__ is CoroutineType:
            self._inner = result
            result = _in_context(carried.context, result)
        return result, call

    def task_over(self, task: "asyncio.Task[None]", first: Any) -> None:
        super().task_over(task, first)
        if self._inner is not None:
            self._inner.close()  # killed before it ran; one that is over does not mind


async def _in_context(context: contextvars.Context, handler: Coroutine[Any, Any, Any]) -> Any:
    return await _steps(context, handler)


@coroutine
def _steps(context: contextvars.Context, handler: Coroutine[Any, Any, Any]) -> "Generator[Any, Any, Any]":
    """Runs each step of the handler inside the context; what it waits for, the actor's own task waits for."""
    step: Any = handler.send
    given: Any = None
    while True:
        try:
            awaited = context.run(step, given)
        except StopIteration as stop:
            return stop.value
        try:
            given = yield awaited
            step = handler.send
        except GeneratorExit:
            handler.close()
            raise
        except BaseException as error:  # noqa: BLE001 - the handler's to see, as in every await
            given = error
            step = handler.throw
