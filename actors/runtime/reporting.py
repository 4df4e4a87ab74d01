"""What is told of a crash: values, rendered when somebody reads them."""

from typing import TYPE_CHECKING, Any

import structlog

from allstop.actors.events import CrashReport, Event, HandlerHung, HandlerReturned, LoopHeld, Unstopped
from allstop.actors.runtime import messages as m

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


def crash_report(cell: "Cell", error: BaseException, message: Any) -> CrashReport:
    """Who crashed on what and why. `message` is what was being handled; the runtime's own are not shown."""
    inner = message.message if isinstance(message, m.Call | m.Parked) else message
    return CrashReport(
        at_ns=cell.system.clock.wall_ns(),
        path=cell.path,
        incarnation=cell.incarnation,
        actor_class=cell.actor_class.__qualname__,
        error=error,
        last_message=None if isinstance(inner, m._Token) else inner,
        status=cell.actor.shown_status() if cell.actor is not None else None,
        mailbox_len=len(cell.queue),
        ancestors=_ancestors(cell),
    )


def _ancestors(cell: "Cell") -> tuple[str, ...]:
    found: list[str] = []
    parent = cell.parent
    while parent is not None:
        found.append(parent.path)
        parent = parent.parent
    return tuple(found)


def log_trouble(event: Event) -> None:
    """What happens to crash reports, and to a loop that stands still, if nobody asked for events. From any thread."""
    log = structlog.get_logger("allstop")
    match event:
        case CrashReport():
            log.error("actor.crashed", actor=event.path, report=event.text())
        case HandlerHung():
            log.error("handler.hung", actor=event.path, incarnation=event.incarnation, message=event.message,
                      held_s=round(event.held_s, 3), where=event.where, stack=list(event.stack))  # fmt: skip
        case HandlerReturned():
            held_s = round(event.held_s, 3)
            log.warning("handler.returned", actor=event.path, message=event.message, held_s=held_s)
        case LoopHeld():
            held_s = round(event.held_s, 3)
            log.error("loop.held", held_s=held_s, why=event.why, last=event.path, stack=list(event.stack))
        case Unstopped():
            log.error("actor.unstopped", actor=event.path, incarnation=event.incarnation, what=event.what)
        case _:
            return
