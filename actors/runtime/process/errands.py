"""What an actor in another process wants of those in this one: to tell, call, monitor them, or be linked to them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from allstop.actors.errors import ReplyError
from allstop.actors.runtime import linking
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.dead_letters import DeadLetter
from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process.answering import Answering
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.errors import Unencodable, parcelled

if TYPE_CHECKING:
    from allstop.actors.runtime.process.process_cell import ProcessCell


class Errands:
    """Runs the errands of one process; `say` sends it a frame. On the loop."""

    def __init__(self, cell: "ProcessCell", codec: Codec, say: Callable[[f.Frame], None]) -> None:
        self._cell = cell
        self._codec = codec
        self._say = say
        self._observed: dict[int, m.MonitorRef] = {}

    def run(self, frame: f.Send | f.Ask | f.Observe | f.Forget | f.Link | f.Unlink) -> None:
        system = self._cell.system
        match frame:
            case f.Send(path, body):
                self._tell(path, self._codec.decode(body))
            case f.Ask(number, path, body):
                answering = Answering(self._cell.scheduler, self.answered, number)
                self._call(path, m.Call(self._codec.decode(body), answering))
            case f.Observe(number, path, final):
                monitor = m.MonitorRef(system.address(path), self._cell, final=final)
                self._observed[number] = monitor
                system.observe(monitor)
            case f.Forget(number):
                monitor = self._observed.pop(number, None)
                if monitor is not None:
                    monitor.active = False
                    monitor.ref.forget(monitor)

            case f.Link(path):
                linking.link(self._cell, system.address(path))
            case f.Unlink(path):
                ref = system.address(path)
                linking.unlink(self._cell, ref, linking.forget(self._cell, ref))

    def _tell(self, path: str, message: Any) -> None:
        system = self._cell.system
        ref = system.address(path)
        try:
            ref.tell(message)
        except ReplyError as error:  # its mailbox refuses: the sender is far away, and has gone on
            system.dead_letters.add(DeadLetter(message, path, ref.incarnation, str(error)))

    def _call(self, path: str, call: m.Call) -> None:
        try:
            self._cell.system.address(path).tell(call)
        except ReplyError as error:
            call.fail(error)

    def answered(self, number: int, value: Any, error: BaseException | None) -> None:
        body: bytes | None = None
        if error is None:
            try:
                body = self._codec.encode(value)
            except Unencodable as refused:
                error = refused
        parcel = None if error is None else parcelled(error, self._codec.encode)
        self._say(f.Answered(number, body, parcel))

    def pass_signal(self, signal: m.ExitSignal) -> None:
        exit_ = f.exit_parcelled(signal.exit, self._codec)
        self._say(f.PeerEnded(signal.ref.path, signal.incarnation, exit_))

    def pass_down(self, down: m.Down) -> None:
        for number, monitor in tuple(self._observed.items()):
            if monitor is down.monitor:
                del self._observed[number]
                self._say(f.Ended(number, down.incarnation, f.exit_parcelled(down.exit, self._codec)))
