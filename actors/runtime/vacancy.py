"""What stands at an address while no incarnation runs there: tells become dead letters or wait, calls fail at once."""

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.runtime.dead_letters import DeadLetter
from allstop.actors.runtime.errors import ActorDead
from allstop.actors.runtime.messages import SPECIAL, Call, Carried

if TYPE_CHECKING:
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.scheduler import Scheduler
    from allstop.actors.runtime.system import ActorSystem


def _with_context(ref: "Ref", message: Any) -> Any:
    return Carried(message, copy_context()) if ref.actor_class.context_per_message else message


class Vacancy:
    """One per system. It has the attributes of a Cell that senders look at."""

    __slots__ = ("system",)

    idle: Final = False
    queue: Final[tuple[Any, ...]] = ()
    limit: Final = 0
    ended: Final = True
    belongings: Final = None
    actor: Final = None
    task: Final = None
    threaded: Final = False
    exit: Final = None

    def __init__(self, system: "ActorSystem") -> None:
        self.system = system

    @property
    def scheduler(self) -> "Scheduler":
        return self.system.scheduler

    def detour(self, _message: Any) -> None:
        return None

    def mind(self, _minder: Any) -> None:
        return None

    def accept(self, ref: "Ref", message: Any, *, may_park: bool = True) -> None:
        del may_park
        if message.__class__ is Call:
            refusal = self.system.addresses.refusal(ref.path)
            message.fail(refusal or ActorDead(ref.path, ref.incarnation, ref.last_exit))
            return
        if message.__class__ not in SPECIAL and ref.stash(_with_context(ref, message)):
            return
        cause = ref.last_exit or "nothing runs at this address"
        self.system.dead_letters.add(DeadLetter(message, ref.path, ref.incarnation, cause))
