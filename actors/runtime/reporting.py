"""What is told of a crash: values, rendered when somebody reads them."""

from typing import TYPE_CHECKING, Any

from allstop.actors.events import CrashReport
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
