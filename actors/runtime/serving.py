"""The one task of a cell whose handlers are coroutines: it serves the mailbox for as long as the incarnation lives."""

import asyncio
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from allstop.actors.errors import ReplyError
from allstop.actors.exits import SHUTDOWN, Exit
from allstop.actors.runtime.aftermath import lose
from allstop.actors.runtime.errors import ActorDead
from allstop.actors.runtime.handling import begin, caller_error
from allstop.actors.runtime.hangs.deadlines import in_time
from allstop.actors.runtime.messages import CONTROL, MORE, SPECIAL, Call, Pause
from allstop.actors.runtime.scheduler import TURN_NS
from allstop.actors.runtime.states import RUNNING, State

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


async def start_and_serve(cell: "Cell", on_start: Any) -> None:
    """Runs an asynchronous on_start, then serves."""
    if (end := cell.waiting_end()) is not None:  # it came before this task's first step
        if _is_its_own(cell, on_start):
            _end_start(cell, end)
            return
        cell.interrupt_self()
    cell.handling = True
    try:
        result = await on_start
        cell.handling = False
        _forget_interruption(cell)
        cell.begin_life(result)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - a crash, or our own cancellation
        cell.handling = False
        if _interrupted(cell, error):
            _end_start(cell, cell.waiting_end() or SHUTDOWN)
        else:
            cell.crash(error)
    await serve(cell, None, None, None)


def _is_its_own(cell: "Cell", coroutine: Any) -> bool:
    """Whether the coroutine is `on_start` itself, of which nothing has run. A plain `on_start` that gave one has done
    its first half: the other must see its cancellation."""
    return getattr(cell.actor_class.on_start, "__code__", None) is coroutine.cr_code


def _end_start(cell: "Cell", end: Exit) -> None:
    """A stop ends what had not started without its on_stop; the failure of an owned task is a crash as always."""
    if end.error is not None:
        cell.crash(end.error)
    else:
        cell.finish(end)


async def serve(cell: "Cell", coroutine: Any, call: Call | None, message: Any) -> None:
    """Awaits `coroutine`, the handler that is running already, and then handles one message after the other."""
    limit_s = cell.actor_class.max_handler_s
    finish_handler = _finish_handler if limit_s is None else in_time(_finish_handler, limit_s)
    if coroutine is not None and cell.state is State.RUNNING and (end := cell.waiting_end()) is not None:
        cell.calling = None  # a stop came before this task's first step: the handler does not begin any more
        lose(cell, call or message, cause=end)
        coroutine = call = None
    scheduler = cell.scheduler
    batch = scheduler.batch
    more = scheduler.turn // batch - 1  # shares that it may take at once while nobody else wants the turn
    share, spare, began_ns = batch, more, scheduler.ticks_ns()
    while True:
        if coroutine is not None:
            await finish_handler(cell, coroutine, call, message)
            coroutine = call = None
        if cell.exit is not None:  # ended, or waiting for its other tasks to end
            return
        if cell.rides and cell.control:
            message = CONTROL
        elif cell.rides or not cell.queue:
            if not (cell.rides or cell.actor_class.keeps_task) and cell.back_to_plain():
                return
            await _mail(cell)
            share, spare, began_ns = batch, more, scheduler.ticks_ns()
            continue
        elif share <= 0:
            if spare > 0 and not scheduler.ready and scheduler.ticks_ns() - began_ns < TURN_NS:
                spare -= 1
            elif not cell.control:
                await _turn_of(cell)
                spare, began_ns = more, scheduler.ticks_ns()
            share = batch
            continue
        elif limit_s is None and cell.state is RUNNING:
            share, message = await _serve_plain(cell, share)
            if message is MORE:
                continue
            share -= 1
        else:
            message = cell.queue.popleft()
            share -= 1
        try:
            result, call = begin(cell, message)
        except BaseException as error:  # noqa: BLE001 - a crash, or our own cancellation
            cell.crash(error, message)
            continue
        if result is not None and result.__class__ is CoroutineType:
            coroutine = result
        elif call is not None:
            cell.finish_call(call, result)


async def _serve_plain(cell: "Cell", share: int) -> tuple[int, Any]:
    """Handles told messages, at most `share`: a loop that does nothing else, because this is where the time goes.

    Gives what is left of the share, and the first message that is not plain, or MORE.
    """
    queue = cell.queue
    special = SPECIAL
    message: Any = None
    cell.handling = True  # all along: only while a handler is suspended does anyone else look
    try:
        while share > 0 and queue and cell.state is RUNNING:
            message = queue.popleft()
            if message.__class__ in special:
                return share, message
            share -= 1
            result = cell.actor.on_receive(message)
            if result is not None and result.__class__ is CoroutineType:
                await result
                if cell.interrupted:  # the handler swallowed it
                    _forget_interruption(cell)
    except GeneratorExit:  # the loop is gone, and we with it: nothing may be awaited any more
        raise
    except BaseException as error:  # noqa: BLE001 - a crash, or our own cancellation
        _fail_handler(cell, error, None, message)
    finally:
        cell.handling = False
    _forget_interruption(cell)
    return share, MORE


async def _finish_handler(cell: "Cell", coroutine: Any, call: Call | None, message: Any) -> None:
    cell.calling = call
    cell.handling = True
    try:
        result = await coroutine
        if call is not None:
            cell.finish_call(call, result)
        if cell.state is State.STOPPING and cell.asked is not None:  # that was on_stop
            cell.handling = False
            cell.wind_down(cell.asked)
    except GeneratorExit:  # the loop is gone, and we with it: nothing may be awaited any more
        raise
    except BaseException as error:  # noqa: BLE001 - a crash, or our own cancellation
        _fail_handler(cell, error, call, message)
    finally:
        cell.calling = None
        cell.handling = False
        _forget_interruption(cell)


def _fail_handler(cell: "Cell", error: BaseException, call: Call | None, message: Any) -> None:
    cell.handling = False
    if cell.ended:  # killed: the mailbox is gone, and so are those who waited
        return
    if _interrupted(cell, error):
        if call is not None:
            call.fail(ActorDead(cell.path, cell.incarnation, cell.waiting_end()))
        return
    if call is not None and isinstance(error, ReplyError):
        call.fail(error)
        return
    if call is not None:
        call.fail(caller_error(cell, error))
    cell.crash(error, message)


def _interrupted(cell: "Cell", error: BaseException) -> bool:
    """True for the cancellation that we asked for. Any other CancelledError is a failure like every error."""
    if not (cell.interrupted and isinstance(error, asyncio.CancelledError)):
        return False
    _forget_interruption(cell)
    return True


def _forget_interruption(cell: "Cell") -> None:
    """The cancellation was seen, or the handler swallowed it: the next one is not ours."""
    if cell.interrupted and cell.task is not None:
        cell.interrupted = False
        cell.task.uncancel()


async def _turn_of(cell: "Cell") -> None:
    """Waits for the next turn: behind all that waits in the run queue, or for a runtime message."""
    scheduler = cell.scheduler
    pause = cell.pause = Pause(scheduler.loop.create_future())
    scheduler.ready.append((cell, pause))
    if not scheduler.armed:
        scheduler.arm()
    try:
        await pause.over
    except asyncio.CancelledError as error:
        if not cell.ended:
            cell.crash(error)
    finally:
        cell.pause = None


async def _mail(cell: "Cell") -> None:
    """Waits until there is mail, or the end."""
    cell.waiter = cell.scheduler.loop.create_future()
    if not cell.rides:
        cell.idle = True
        if cell.queue and cell.idle:  # a thread slipped one in after the test
            cell.idle = False
            cell.waiter = None
            return
    try:
        await cell.waiter
    except asyncio.CancelledError as error:
        if not cell.ended:
            cell.crash(error)
    finally:
        cell.waiter = None
