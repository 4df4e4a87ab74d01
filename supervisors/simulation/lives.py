"""Which life of the engine a task, a callback or a timer is of; and how those of one life are dropped.

The number of a life rides in a context variable. asyncio keeps the context of everything that waits to run, so nothing
has to be written down while a life lasts, except with each task: by it, tasks are closed in the order of their making.
"""

import asyncio
import contextvars
import inspect
from collections.abc import Coroutine
from contextvars import ContextVar
from itertools import count
from types import CoroutineType
from typing import Any, Final

import msgspec

from allstop.actors.runtime.pykka_registry import running_systems
from allstop.supervisors.simulation.ended import WorldEnded

LIFE: Final[ContextVar[int]] = ContextVar("allstop_life", default=0)  # 0: the world's own
CLOSE_TRIES: Final = 50  # how often a coroutine may wait for something while it is closed


class CoroutineLeft(msgspec.Struct, frozen=True):
    """A coroutine that could not be closed: it waits for something again and again."""

    task: str
    coroutine: Any


class NumberedTask(asyncio.Task[Any]):
    """A task that knows its life, and its place among all tasks of its loop."""

    life = 0
    number = 0


def numbered_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """From now on every task of this loop is a NumberedTask."""
    numbers = count(1)

    def make(
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        *,
        context: contextvars.Context | None = None,
        **kwargs: Any,
    ) -> NumberedTask:
        task = NumberedTask(coroutine, loop=loop, context=context, **kwargs)
        task.life = LIFE.get() if context is None else context.get(LIFE, 0)
        task.number = next(numbers)
        return task

    loop.set_task_factory(make)  # pyright: ignore[reportArgumentType]


def tasks_of(loop: asyncio.AbstractEventLoop, life: int) -> list[NumberedTask]:
    """The tasks of this life that are not done, in the order in which they were made."""
    found = [
        task
        for task in asyncio.all_tasks(loop)
        if isinstance(task, NumberedTask) and task.life == life and not task.done()
    ]
    return sorted(found, key=lambda task: task.number)


def sweep(loop: asyncio.AbstractEventLoop, life: int, left: list[CoroutineLeft]) -> bool:
    """Drops everything that waits to run for this life, and closes the coroutines of its tasks in the order of their
    making. False when there was nothing: a closed coroutine may have left something behind."""
    tasks = tasks_of(loop, life)  # held before their handles are dropped: else they might go unclosed
    swept = _drop_handles(loop, life)
    for task in tasks:
        swept = True
        task.life = -life  # never looked at again, not even by whoever closes the loop
        asyncio.tasks._unregister_task(task)
        task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
        _close(task, left)
    return swept


def _unbegun(coroutine: Any) -> list[Any]:
    """A coroutine that has not begun, and those that it was given to await, the outer one first. To close it is to drop
    them, and Python complains of each that nobody awaited it."""
    if coroutine.__class__ is not CoroutineType:
        return []
    if inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
        return []
    given = coroutine.cr_frame.f_locals.values()
    return [coroutine, *(one for value in given for one in _unbegun(value))]


def _drop_handles(loop: Any, life: int) -> bool:
    """Cancelled where they stand: the loop counts on the length of its queue within a turn."""
    dropped = False
    for handle in loop.waiting():
        if not handle._cancelled and handle._context.get(LIFE, 0) == life:
            handle.cancel()
            dropped = True
    return dropped


def _close(task: NumberedTask, left: list[CoroutineLeft]) -> None:
    coroutine: Any = task.get_coro()
    for unbegun in _unbegun(coroutine):
        unbegun.close()
    for _ in range(CLOSE_TRIES):
        try:
            coroutine.close()
        except RuntimeError:
            continue  # it waits for something in its `finally`: that will never come
        except ValueError:
            return  # it is the one that runs at this moment: a port will end it
        except (Exception, asyncio.CancelledError, WorldEnded):  # noqa: BLE001 - raised in a `finally`, and a power cut runs none
            return
        else:
            return
    left.append(CoroutineLeft(task.get_name(), coroutine))


def untie_systems(loop: asyncio.AbstractEventLoop, life: int) -> None:
    """The actor systems of this life are taken out of what a whole process shares, and never run again."""
    for system in running_systems():
        scheduler = system.scheduler
        if scheduler.loop is loop and scheduler.context.get(LIFE, 0) == life:
            system.forsake()
