"""What is told of a crash: values, rendered when somebody reads them."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.events import CrashReport, Event, HandlerHung, HandlerReturned, LoopHeld, Unstopped
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.aftermath import current_task

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.ref import Ref

WAITING_MAX: Final = 10  # the types of the first messages show what the actor was busy with
NEIGHBOURS_MAX: Final = 20  # of ten thousand children a report names the first
CALLER_FRAMES_MAX: Final = 8  # the caller's own code is among the innermost

Frame = tuple[str, int, str]  # file, line, function


def crash_report(cell: "Cell", error: BaseException, message: Any) -> CrashReport:
    """Who crashed on what and why. `message` is what was being handled; the runtime's own are not shown.

    Only references are taken, but for `status`: the state as it is now, before anything else runs.
    """
    carried = message.__class__ in m.CARRIERS
    inner = m.unwrapped(message) if carried else message
    has, queue, actor, actor_class, ref = cell.belongings, cell.queue, cell.actor, cell.actor_class, cell.ref
    system, path, parent = ref._system, ref._path, ref._parent
    clock = system._clock or system.clock
    lived_s: float | None = None
    ancestors: tuple[str, ...] = ()
    if parent is not None:
        ancestors = (parent.path,) if parent._parent is None else _ancestors(parent)
        # Its parent's record of it says when it was started: only who has a parent pays for a clock at its start.
        if (above := parent._cell.belongings) is not None and (
            started_s := above.children.get(cell)
        ) is not None:
            lived_s = clock.now_s() - started_s
    caller, caller_stack = None, ()
    if (
        carried
        or cell.caller is not None
        or cell.threaded
        or asyncio.current_task(cell.scheduler.loop) is not None
    ):
        caller, caller_stack = _caller(cell, message)
    return CrashReport(
        at_ns=clock.wall_ns(),
        path=path if isinstance(path, str) else ref.path,
        incarnation=cell.incarnation,
        actor_class=actor_class.__qualname__,
        error=error,
        last_message=None if isinstance(inner, m._Token) else inner,
        status=actor.shown_status() if actor_class.has_status and actor is not None else None,
        mailbox_len=len(queue),
        ancestors=ancestors,
        waiting=waiting_types(cell) if queue else (),
        children=() if has is None else _paths(has.children),
        links=() if has is None else _paths(has.links or ()),
        monitored_by=() if has is None else _paths(monitor.watcher for monitor in has.monitored_by),
        caller=caller,
        caller_stack=caller_stack,
        log=() if cell.observer is None else tuple(cell.observer.log or ()),
        lived_s=lived_s,
    )


def waiting_types(cell: "Cell") -> tuple[str, ...]:
    """The types of the first messages in the mailbox, in order; senders may go on adding meanwhile."""
    queue = cell.queue
    if not queue:
        return ()
    found: list[str] = []
    for place in range(min(len(queue), WAITING_MAX)):
        try:
            message = queue[place]
        except IndexError:
            break
        message = m.unwrapped(message, cell)
        if not isinstance(message, m._Token):
            found.append(type(message).__qualname__)
    return tuple(found)


def note_caller(cell: "Cell") -> None:
    """Remembers who waits for the call that is failing, before it is answered: then nobody waits any more."""
    call = cell.calling
    if call is not None and call.future is not None:
        cell.caller = _waiting_task(call.future)


def _caller(cell: "Cell", message: Any) -> tuple[str | None, tuple[Frame, ...]]:
    task = cell.caller
    if task is not None:
        cell.caller = None
    else:  # a call that was answered in place runs within its caller
        task = current_task() if cell.threaded else asyncio.current_task(cell.scheduler.loop)
        if task is None or task is cell.task:
            call = message.message if isinstance(message, m.Carried) else message
            return ("a thread" if isinstance(call, m.Call) else None), ()
    return task.get_name(), _frames(task)


def _waiting_task(future: Any) -> "asyncio.Task[Any] | None":
    for callback, _context in getattr(future, "_callbacks", None) or ():
        task = getattr(callback, "__self__", None)
        if isinstance(task, asyncio.Task):
            return task
    return None


def _frames(task: "asyncio.Task[Any]") -> tuple[Frame, ...]:
    """Where the caller waits, outermost first, without the line's text: that is read when it is rendered."""
    found: list[Frame] = []
    waiting: Any = task.get_coro()
    while waiting is not None and (frame := getattr(waiting, "cr_frame", None)) is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        waiting = waiting.cr_await
    return tuple(found[-CALLER_FRAMES_MAX:])


def _paths(cells: Any) -> tuple[str, ...]:
    return tuple(cell.path for cell, _place in zip(cells, range(NEIGHBOURS_MAX), strict=False))


def _ancestors(parent: "Ref") -> tuple[str, ...]:
    """The parent's path, and those of all above it."""
    found = [parent.path]
    while (above := parent._parent) is not None:
        found.append(above.path)
        parent = above
    return tuple(found)


def log_trouble(event: Event) -> None:
    """What happens to crash reports, and to a loop that stands still, if nobody asked for events. From any thread."""
    import structlog  # it takes longer to import than all of the runtime: whoever logs pays for it

    log = structlog.get_logger("allstop")
    # structlog's console takes `stack` for a text of its own, and fails on a list: hence `frames`.
    match event:
        case CrashReport():
            log.error("actor.crashed", actor=event.path, report=event.text())
        case HandlerHung():
            log.error("handler.hung", actor=event.path, incarnation=event.incarnation, message=event.message,
                      held_s=round(event.held_s, 3), where=event.where, frames=list(event.stack))  # fmt: skip
        case HandlerReturned():
            held_s = round(event.held_s, 3)
            log.warning("handler.returned", actor=event.path, message=event.message, held_s=held_s)
        case LoopHeld():
            held_s = round(event.held_s, 3)
            log.error("loop.held", held_s=held_s, why=event.why, last=event.path, frames=list(event.stack))
        case Unstopped():
            log.error("actor.unstopped", actor=event.path, incarnation=event.incarnation, what=event.what)
        case _:
            return
