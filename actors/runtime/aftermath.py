"""What an ended incarnation leaves behind: its mail, its tasks, and all who waited for it or were watched by it."""

import asyncio
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from allstop.actors.exits import KILLED, Exit
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.belongings import Belongings
from allstop.actors.runtime.dead_letters import DeadLetter
from allstop.actors.runtime.errors import ActorDead, MailboxFull
from allstop.actors.runtime.linking import end_links

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


def lose(cell: "Cell", message: Any, *, back_to_stash: bool = False, cause: Exit | str | None = None) -> None:
    """Ends the wait of a message's sender, if one waits; else makes the message a dead letter.

    `cause` is the end that comes, or, for a message that a full mailbox drops, words; None: the actor ended.
    """
    why = cause if cause is not None else cell.exit
    carried = message
    if message.__class__ is m.Carried:
        message = message.message
    match message:
        case m.Call():
            dropped = isinstance(why, str)
            full = MailboxFull(cell.path, cell.capacity)
            message.fail(full if dropped else ActorDead(cell.path, cell.incarnation, why))
            return
        case m.Parked():
            if not message.claim():
                return
            message.future.set(False)
            message = message.message
        case m.Conflated():
            with cell.system.lock:
                message = carried = (cell.newest or {}).pop(message.key, m.MORE)
            if message.__class__ is m.Carried:
                message = message.message
        case (
            m.Fired() | m.Continue() | m.ActorStop() | m.ControlToken() | m.MoreToken() | m.Pause() | m.Down()
        ):
            return
        case _:
            pass
    if message.__class__ is m.Packed:
        message = message.message
    if message is m.MORE or (back_to_stash and cell.ref.stash(_as_it_came(message, carried))):
        return
    cell.system.dead_letters.add(DeadLetter(message, cell.path, cell.incarnation, why))


def _as_it_came(message: Any, carried: Any) -> Any:
    return carried if carried.__class__ is m.Carried else message


def close_unbegun(coroutine: Any) -> None:
    """Closes a handler's coroutine. One that stands around another (who watches, or remembers) and never began takes
    that with it: else Python complains that nobody awaited it. Such a wrapper calls the other `handler`."""
    while coroutine is not None:
        frame = coroutine.cr_frame
        inner = frame.f_locals.get("handler") if frame is not None else None
        coroutine.close()
        coroutine = inner if inner.__class__ is CoroutineType else None


def abandon_tasks(cell: "Cell") -> None:
    """Cancels what still runs, and remembers it until it has ended: it may swallow the cancellation."""
    tasks = list(cell.belongings.tasks) if cell.belongings is not None else []
    if cell.waiter is not None and not cell.waiter.done():
        cell.waiter.set_result(None)  # it waits for mail, and will return
    elif cell.task is not None:
        tasks.append(cell.task)
    for task in tasks:
        # The task in which all this happens ends by itself, unless a handler of the actor goes on in it: one that killed
        # its own actor, or called another that did.
        if not task.done() and (task is not current_task() or task is not cell.task or cell.handling):
            task.cancel()
            cell.system.abandon(cell, task)


def let_go(cell: "Cell", belongings: Belongings, exit_: Exit) -> None:
    """Ends what the incarnation had and tells whoever waits for its end."""
    for timer in tuple(belongings.timers):
        timer.cancel()
    for reply in tuple(belongings.replies):
        reply.fail(ActorDead(cell.path, cell.incarnation, exit_))
    for monitor in belongings.monitoring:
        monitor.active = False
        monitor.ref.forget(monitor)
    for child in tuple(belongings.children):  # OTP's links: children do not outlive what did not stop them
        child.kill(KILLED)
    if belongings.monitored_by:
        cell.ref._told = {monitor.watcher for monitor in belongings.monitored_by}
    for monitor in tuple(belongings.monitored_by):
        monitor.watcher.post(m.Down(monitor, cell.ref, cell.incarnation, exit_))
    belongings.monitored_by.clear()
    for tell in belongings.end_waiters:
        tell(exit_)
    belongings.end_waiters.clear()
    if belongings.links:
        end_links(cell, belongings.links, exit_)


def current_task() -> "asyncio.Task[Any] | None":
    """The task that runs on this thread, if there is one."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs on this thread
        return None
