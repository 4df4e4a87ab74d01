"""The tasks of an incarnation: the one that runs its coroutines, from the first that a handler returns, and those that
its actor started. What the first does is in serving.py.

The public ones are methods of Cell (cell.py).
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from allstop.actors.runtime import messages as m
from allstop.actors.runtime.aftermath import close_unbegun, current_task
from allstop.actors.runtime.errors import ActorDead
from allstop.actors.runtime.serving import serve
from allstop.actors.runtime.states import RUNNING, STARTING

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


def adopt(cell: "Cell", coroutine: Any, call: m.Call | None, message: Any) -> None:
    """A handler turned out to be asynchronous: from here on this cell has one task, which runs it and all later ones."""
    if cell.ended:  # it killed itself before it gave us this
        close_unbegun(coroutine)
        if call is not None:
            call.fail(ActorDead(cell.path, cell.incarnation, cell.exit))
        return
    cell.calling = call  # from now on, so that a kill before the task's first step answers it
    cell.take_task(serve(cell, coroutine, call, message), coroutine)


def take_task(cell: "Cell", serving: Any, first: Any) -> None:
    cell.open_queue()
    cell.interrupted = False
    cell.detour = cell.leave_mail
    context = cell.scheduler.context.copy()
    cell.task = cell.scheduler.loop.create_task(serving, name=cell.path, context=context)
    cell.task.add_done_callback(lambda task: cell.task_over(task, first))


def back_to_plain(cell: "Cell") -> bool:
    """The task has nothing left to do and ends: the next message is handled in the run queue. False if it stays."""
    if cell.state is not RUNNING or cell.control:
        return False
    cell.task = cell.detour = None
    cell.rest()
    return True


def task_over(cell: "Cell", task: "asyncio.Task[None]", first: Any) -> None:
    close_unbegun(first)  # killed before the task's first step, it never ran
    if cell.exit is None and cell.task is task:  # nobody ended this actor: without its task it would be deaf
        cell.crash(asyncio.CancelledError("the task of this actor was cancelled from outside"))


def leave_mail(cell: "Cell", message: Any) -> None:
    """Mail for a cell with a task: leaves it in the queue and wakes the task."""
    if message.__class__ is m.Pause:
        message.end()
        return
    cell.rides = False
    if message is not m.MORE:
        cell.open_queue().appendleft(message)
    if cell.waiter is not None and not cell.waiter.done():
        cell.waiter.set_result(None)


def resume(cell: "Cell") -> None:
    """Wakes the task, if it waits for mail or for its turn, without regard to the run queue."""
    if cell.pause is not None:
        cell.pause.end()
    elif cell.waiter is not None and not cell.waiter.done():
        cell.rides = not cell.idle
        cell.idle = False
        cell.waiter.set_result(None)


def interrupt(cell: "Cell") -> None:
    """A stop, or the failure of an owned task, does not wait for a suspended handler: that is cancelled. A flag
    tells this cancellation from a foreign one. A suspended actor goes on, to end."""
    if cell.suspension is not None:
        cell.suspension.end_came()
    if cell.task is not None and cell.handling and not cell.interrupted and cell.state in (STARTING, RUNNING):
        if current_task() is not cell.task:
            cell.interrupted = True
            cell.task.cancel()
        elif cell.scheduler.inside():  # not its own handler: one that it called ends it, and comes back first
            cell.scheduler.loop.call_soon(cell.interrupt)


def interrupt_self(cell: "Cell") -> None:
    """A stop came before the task's first step: its first wait is cancelled."""
    if cell.task is not None and not cell.interrupted:
        cell.interrupted = True
        cell.task.cancel()


def start_task(cell: "Cell", coroutine: Any, name: str) -> asyncio.Task[Any]:
    context = cell.scheduler.context.copy()
    contained = _contained(coroutine)
    task = cell.scheduler.loop.create_task(contained, name=f"{cell.path}:{name}", context=context)
    cell.own().tasks[task] = None
    task.add_done_callback(partial(_owned_over, cell))
    task.add_done_callback(lambda _task: coroutine.close())  # cancelled before its first step, it never ran
    return task


def _owned_over(cell: "Cell", task: asyncio.Task[Any]) -> None:
    cell.own().tasks.pop(task, None)
    if task.cancelled():
        # Nobody asked this task to end, so the cancellation came from something it awaited: that is a failure.
        error = (
            None
            if task.cancelling()
            else asyncio.CancelledError(f"{task.get_name()} was cancelled from within")
        )
    else:
        error = task.exception()
        if isinstance(error, _Escaped):
            error = error.error
    if cell.state is RUNNING or cell.state is STARTING:
        if error is not None:
            cell.post(m.TaskFailed(task.get_name(), error))
        return
    if error is not None:  # the actor ends for another reason: this one is told, too
        cell.report(error, None)
    if cell.exit is not None and not cell.own().tasks:
        cell.finish(cell.exit)


class _Escaped(Exception):
    """Carries out of a task what asyncio would let out of the whole loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


async def _contained(coroutine: Any) -> Any:
    """A KeyboardInterrupt or SystemExit in a task of one actor must not stop the loop of all (statement 252)."""
    try:
        return await coroutine
    except (KeyboardInterrupt, SystemExit) as error:
        raise _Escaped(error) from error
