"""How long one message may take an actor whose class says so: `max_handler_s`, measured on the message, not on silence.

A coroutine that is suspended for longer is cancelled; if it does not end within a grace, it is fenced and named. A
thread cannot be cancelled: it is fenced and named at once. Either way the actor ends abnormally, with HandlerTimeout,
and its supervisor replaces it. What holds the loop itself no timer can end: the watchdog tells of it (watchdog.py).

A class without a limit has no timer and no flag, and its messages run exactly as if this module did not exist.
"""

import sys
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.events import HandlerHung, Unstopped
from allstop.actors.exits import crashed
from allstop.actors.runtime.errors import HandlerTimeout
from allstop.actors.runtime.hangs.stacks import stack_of, stack_of_coroutine
from allstop.actors.runtime.messages import Call, TaskFailed, unwrapped
from allstop.actors.runtime.states import RUNNING

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.thread_cell import ThreadCell

HANG_GRACE_S: Final = (
    1.0  # for a `finally` that closes something over the network; one that needs longer is a hang
)
SEEN_GONE_S: Final = (
    0.1  # how long a killed task may take to see its cancellation before it is called unstopped
)
LOOKS: Final = 4  # per limit, at a thread: it is fenced after one to one and a quarter limits

Finish = Callable[["Cell", Any, Call | None, Any], Awaitable[None]]


def name_of(message: Any) -> str:
    """The class of the user's message, out of whatever carries it."""
    return type(unwrapped(message)).__qualname__


def in_time(finish: Finish, limit_s: float) -> Finish:
    """`finish`, which awaits a handler, with a deadline for each."""

    async def finish_in_time(cell: "Cell", coroutine: Any, call: Call | None, message: Any) -> None:
        deadline = _Deadline(cell, coroutine, message, limit_s)
        try:
            await finish(cell, coroutine, call, message)
        finally:
            deadline.met()

    return finish_in_time


class _Deadline:
    """Of one coroutine. First it cancels, the way a stop does, so that ours is told from a foreign cancellation."""

    __slots__ = ("_cell", "_coroutine", "_handle", "_limit_s", "_message")

    def __init__(self, cell: "Cell", coroutine: Any, message: Any, limit_s: float) -> None:
        self._cell = cell
        self._coroutine = coroutine
        self._message = message
        self._limit_s = limit_s
        self._handle: TimerHandle = cell.scheduler.loop.call_later(limit_s, self._passed)

    def met(self) -> None:
        self._handle.cancel()

    def _passed(self) -> None:
        cell = self._cell
        if cell.state is not RUNNING:  # on_stop has the limit of whoever asked for the stop
            return
        if cell.suspension is not None:  # by inspection: it is between two messages
            return
        error = HandlerTimeout(cell.path, cell.incarnation, name_of(self._message), self._limit_s)
        _tell(cell, self._message, self._limit_s, self._limit_s, "task", stack_of_coroutine(self._coroutine))
        self._handle = cell.scheduler.loop.call_later(HANG_GRACE_S, self._fence, error)
        cell.post(TaskFailed("max_handler_s", error))

    def _fence(self, error: HandlerTimeout) -> None:
        cell = self._cell
        if cell.ended:
            return
        task = cell.task
        cell.report(error, self._message)
        cell.kill(crashed(error))
        cell.scheduler.loop.call_later(SEEN_GONE_S, _tell_unstopped, cell, task)


def _tell_unstopped(cell: "Cell", task: Any) -> None:
    if task is not None and not task.done():
        cell.system.emit(_unstopped(cell, "task"))


class ThreadDeadline:
    """Of all messages of one thread actor: the loop looks at what its thread is at, a few times per limit."""

    def __init__(self, cell: "ThreadCell", limit_s: float) -> None:
        self._cell = cell
        self._limit_s = limit_s
        self._seen: list[Any] | None = None
        self._since_s = 0.0
        self._look()

    def _look(self) -> None:
        cell, loop = self._cell, self._cell.scheduler.loop
        if cell.ended:
            return
        working, now_s = cell.working, loop.time()
        held = cell.suspension is not None  # by inspection, between two messages
        if working is None or held or working is not self._seen or cell.state is not RUNNING:
            self._seen, self._since_s = working, now_s
        elif now_s - self._since_s >= self._limit_s:
            self._fence(working[0], now_s - self._since_s)
            return
        cell.let_look_again(loop.call_later(self._limit_s / LOOKS, self._look))

    def _fence(self, message: Any, held_s: float) -> None:
        cell, thread = self._cell, self._cell.thread
        frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
        _tell(cell, message, held_s, self._limit_s, "thread", stack_of(frame) if frame is not None else ())
        del frame
        error = HandlerTimeout(cell.path, cell.incarnation, name_of(message), self._limit_s)
        cell.report(error, message)
        cell.kill(crashed(error))
        cell.system.emit(_unstopped(cell, "thread"))


def _tell(
    cell: "Cell", message: Any, held_s: float, limit_s: float, where: str, stack: tuple[str, ...]
) -> None:
    cell.system.emit(
        HandlerHung(
            at_ns=cell.system.clock.wall_ns(), path=cell.path, incarnation=cell.incarnation,
            actor_class=cell.actor_class.__qualname__, message=name_of(message), held_s=held_s, limit_s=limit_s,
            where=where, stack=stack,
        )
    )  # fmt: skip


def _unstopped(cell: "Cell", what: str) -> Unstopped:
    at_ns = cell.system.clock.wall_ns()
    return Unstopped(at_ns=at_ns, path=cell.path, incarnation=cell.incarnation, what=what)
