"""Handing one message to the actor: what is the user's goes to `on_receive`, what is the runtime's is done here."""

from typing import TYPE_CHECKING, Any, Final

from allstop.actors.errors import ReplyError
from allstop.actors.exits import NORMAL, crashed
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.errors import ActorDead
from allstop.actors.runtime.linking import received
from allstop.actors.runtime.reporting import note_caller

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell

_NOTHING: Final = object()


def begin(cell: "Cell", message: Any) -> tuple[Any, m.Call | None]:
    """Runs the handler: gives its result, perhaps a coroutine, and the call that it answers, if one waits."""
    kind = message.__class__
    if kind is m.Call:
        cell.calling = message
        inner = message.message
        try:
            if inner.__class__ in m.SPECIAL:
                return begin(cell, inner)[0], message
            return cell.actor.on_receive(inner), message
        except ReplyError as error:
            message.fail(error)
            return None, None
        except BaseException as error:
            message.fail(caller_error(cell, error))
            raise
        finally:
            cell.calling = None
    if kind not in m.SPECIAL:
        return cell.actor.on_receive(message), None
    if kind is m.Carried:
        return cell.begin_carried(message)
    return _begin_runtime_message(cell, kind, message), None


def _begin_runtime_message(cell: "Cell", kind: type[Any], message: Any) -> Any:
    if kind is m.ControlToken:
        return _begin_control(cell)
    if kind is m.MoreToken:
        return None
    if kind is m.Fired:
        return None if message.timer.cancelled else cell.actor.on_receive(message.timer.message)
    if kind is m.Parked:
        if not message.claim():
            return None
        message.future.set(True)
        return cell.actor.on_receive(message.message)
    if kind is m.Conflated:
        with cell.system.lock:
            newest = (cell.newest or {}).pop(message.key, _NOTHING)
        if newest is _NOTHING:
            return None
        message.message = newest  # a crash report names it
        return begin(cell, newest)[0]
    if kind is m.Continue:
        return cell.actor.on_continue(message.argument)
    if kind is m.ActorStop:  # pykka's: at its place in the queue, so that what came before is handled first
        return cell.stop(NORMAL)
    return cell.actor._handle_receive(message)  # a proxy's call or attribute


def _begin_control(cell: "Cell") -> Any:
    if not cell.control:
        return None
    message = cell.control.popleft()
    if message.__class__ is m.Stop:
        return cell.stop(message.exit)
    if message.__class__ is m.TaskFailed:
        raise message.error
    if message.__class__ is m.LinkEnded:
        signal = received(cell, message)
        return None if signal is None else cell.actor.on_receive(signal)
    if message.__class__ is m.SystemMessage:
        message.serve(cell)
        return cell.suspension.begin() if cell.suspension is not None else None
    if not message.monitor.active:
        return None
    message.monitor.active = False
    if cell.belongings is not None:
        cell.belongings.monitoring.pop(message.monitor, None)
    return cell.actor.on_receive(message)


def caller_error(cell: "Cell", error: BaseException) -> BaseException:
    """What a caller gets when the handler raised: the error itself, unless raising it there would end more than a call."""
    note_caller(cell)
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    dead = ActorDead(cell.path, cell.incarnation, crashed(error))
    dead.__cause__ = error
    return dead
