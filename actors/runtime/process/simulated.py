"""A process child in a simulation: it runs on the loop, and its messages and answers are encoded and decoded all the
same, so that a run with seeds finds what a real process would refuse."""

import inspect
from typing import Any

from allstop.actors.errors import ReplyError
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.behaviours.state_machine import MachineCell
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.ref import Ref


class CodingCell(Cell):
    """A cell on the loop whose mail is encoded where it is sent. `idle` reads False to senders, so that every message
    comes in through `accept`; the runtime's own look is `_resting`."""

    _resting = False
    _codec: Codec | None = None

    @property
    def idle(self) -> bool:
        return False

    @idle.setter
    def idle(self, resting: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._resting = resting

    @property
    def limit(self) -> int:
        return 0

    @limit.setter
    def limit(self, bound: int) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        del bound

    @property
    def codec(self) -> Codec:
        if self._codec is None:
            self._codec = Codec(self.actor_class.wire, ref_class=Ref, address=self.system.address)
        return self._codec

    def added(self) -> None:
        if self._resting:
            self.wake()

    def rest(self) -> None:
        super().rest()
        if self.queue and self._resting:
            self.wake()

    def accept(self, ref: Ref, message: Any, *, may_park: bool = True) -> Any:
        if self.ended:
            return self.system.vacancy.accept(ref, message)
        if message.__class__ is m.Call:
            try:
                message.message = self._copied(message.message)
            except ReplyError as error:
                message.fail(error)
                return None
        else:
            message = self._copied(message)
        return super().accept(ref, message, may_park=may_park)

    def _copied(self, message: Any) -> Any:
        if message.__class__ in m.SPECIAL or isinstance(message, m.Down):
            return message
        return self.codec.decode(self.codec.encode(message))


class CodingMachineCell(CodingCell, MachineCell):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The same for a state machine, whose life begins in its first state."""


def simulation_of(actor_class: type[Actor]) -> type[Actor]:
    """`actor_class`, whose handlers run on the loop, with its arguments, messages and answers coded and decoded."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        codec = self._cell.codec
        args, kwargs = codec.decode(codec.encode([list(args), kwargs]))
        actor_class.__init__(self, *args, **kwargs)

    async def on_receive(self: Any, message: Any) -> Any:
        result = actor_class.on_receive(self, message)
        result = await result if inspect.iscoroutine(result) else result
        if not self.called:
            return result
        codec = self._cell.codec
        return codec.decode(codec.encode(result))

    names = {name: getattr(actor_class, name) for name in ("__module__", "__qualname__", "__doc__")}
    cell_class = CodingMachineCell if actor_class.cell_class is MachineCell else CodingCell
    own = {"__init__": __init__, "on_receive": on_receive, "cell_class": cell_class}
    return type(actor_class.__name__, (actor_class,), names | own)
