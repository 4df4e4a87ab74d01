"""The actor of a process cell: it only passes on. And the class of it for each class that it stands for."""

from dataclasses import replace
from typing import Any, ClassVar

from allstop.actors.runtime import messages as m
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.mailbox import Mailbox
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.location import located
from allstop.actors.runtime.process.process_cell import WINDOW, ProcessCell
from allstop.actors.runtime.ref import Ref


class StandIn(Actor):
    """The actor of a ProcessCell; a subclass for each class that it stands for."""

    cell_class: ClassVar[type[Cell]] = ProcessCell
    hosted_class: ClassVar[type[Actor]] = Actor
    window: ClassVar[int] = WINDOW
    _cell: ProcessCell  # pyright: ignore[reportIncompatibleVariableOverride]
    shown: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._cell.pack_arguments(args, kwargs)

    def on_receive(self, message: Any) -> None:
        if isinstance(message, m.Down):
            self._cell.errands.pass_down(message)
        elif isinstance(message, m.ExitSignal):
            self._cell.errands.pass_signal(message)
        else:
            self._cell.deliver(message)

    def format_status(self) -> Any:
        """The process, what is on its way to it, and what the actor itself showed last."""
        return {"pid": self._cell.pid, "sent": self._cell.sent, "status": self.shown}


def stand_in_for(actor_class: type[Actor]) -> type[StandIn]:
    """A class that stands for `actor_class`. Raises NotImportable, or TypeError for its `wire`."""
    located(actor_class)
    Codec(actor_class.wire, ref_class=Ref)
    box = actor_class.mailbox
    window = min(WINDOW, box.capacity)
    attributes = {
        "__module__": actor_class.__module__,
        "__qualname__": actor_class.__qualname__,
        "__doc__": actor_class.__doc__,
        "hosted_class": actor_class,
        "window": window,
        "trap_exits": actor_class.trap_exits,
        # What was sent and not handled counts; the one being handled does not, as in every mailbox.
        "mailbox": replace(box, capacity=box.capacity - window + 1, key=_key_of_packed(box)),
    }
    return type(actor_class.__name__, (StandIn,), attributes)


def _key_of_packed(box: Mailbox) -> Any:
    if (key := box.key) is None:
        return None

    def key_of(packed: Any) -> Any:
        return key(packed.message if packed.__class__ is m.Packed else packed)

    return key_of
