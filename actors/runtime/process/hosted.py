"""The actor system of the other process: one actor at its own address, and every other address leads to the parent.

What the hosted actor starts itself runs in its process, below its path. Names (`register`, `whereis`) are its own.
"""

import itertools
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from allstop.actors.errors import ReplyError
from allstop.actors.events import CrashReport, Event
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.belongings import Belongings
from allstop.actors.runtime.errors import MailboxFull
from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.errors import Unencodable, unparcelled
from allstop.actors.runtime.ref import Ref
from allstop.actors.runtime.reporting import log_trouble
from allstop.actors.runtime.system import ActorSystem

if TYPE_CHECKING:
    from allstop.actors.runtime.process.pipe import Pipe
    from allstop.actors.runtime.scheduler import Scheduler

# What may wait for a parent that does not read: then it is in trouble, and tells must not fill our memory.
OUTGOING_BYTES_MAX: Final = 64 * 1024 * 1024
CALLS_KEPT_MAX: Final = 1_000  # beyond it, calls that timed out are looked for and forgotten


def log_to_stderr() -> None:
    """stdout may be the parent's answer to somebody. Who configured structlog is left alone."""
    import structlog  # it takes longer to import than all of the runtime

    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


class HostedCodec(Codec):
    """The codec of a hosting process: of the actors that run here, only the hosted one is found from outside."""

    def __init__(self, wire: Iterable[type[Any]], system: "HostedSystem") -> None:
        super().__init__(wire, ref_class=Ref, address=system.address)
        self._home = system.home

    def path_of(self, ref: Any, place: str) -> str:
        path = super().path_of(ref, place)
        if path != self._home and not isinstance(ref, RemoteRef):
            raise Unencodable(
                "Ref", place, f"{path} runs inside the process of {self._home}, out of reach of others"
            )
        return path


class HostedSystem(ActorSystem):
    """`home` is the path of the hosted actor. Its end is told to the parent, which reports it."""

    def __init__(self, home: str, pipe: "Pipe") -> None:
        super().__init__(on_event=self._report)
        self.home = home
        self.addresses.home = home.rstrip("/")
        self.pipe = pipe
        self.codec = Codec()
        self._remote: weakref.WeakValueDictionary[str, RemoteRef] = weakref.WeakValueDictionary()
        self._numbers = itertools.count(1)
        self._calls: dict[int, m.Call] = {}
        self._observed: dict[int, m.MonitorRef] = {}

    def _report(self, event: Event) -> None:
        if not (isinstance(event, CrashReport) and event.path == self.home):
            log_to_stderr()
            log_trouble(event)

    def address(self, path: str) -> Ref:
        """My own actor's address, or one below it; or a ref that leads to the parent process."""
        if path == self.home or path.startswith(self.home.rstrip("/") + "/"):
            return super().address(path)
        ref = self._remote.get(path)
        if ref is None:
            if not path.startswith("/"):
                raise ValueError(f"a path starts with a slash: {path!r}")
            ref = self._remote[path] = RemoteRef(self, path)
        return ref

    def observe(self, monitor: m.MonitorRef) -> None:
        if not isinstance(monitor.ref, RemoteRef):
            super().observe(monitor)
        elif monitor.active and not monitor.watcher.ended:
            number = next(self._numbers)
            self._observed[number] = monitor
            monitor.watcher.own().monitoring[monitor] = None
            self.pipe.send(f.Observe(number, monitor.ref.path, monitor.final))

    # -- out, from any thread --------------------------------------------------------------------------------------
    def send(self, path: str, message: Any) -> None:
        body = self.codec.encode(message)
        if self.pipe.waiting_bytes > OUTGOING_BYTES_MAX:
            raise MailboxFull(path, OUTGOING_BYTES_MAX, ": so many bytes wait for the parent process")
        self.scheduler.hop(self.pipe.send, f.Send(path, body))

    def ask(self, path: str, call: m.Call) -> None:
        try:
            body = self.codec.encode(call.message)
        except Unencodable as error:
            call.fail(error)
            return
        self.scheduler.hop(self._ask, path, call, body)

    def _ask(self, path: str, call: m.Call, body: bytes) -> None:
        if len(self._calls) > CALLS_KEPT_MAX:
            self._calls = {key: kept for key, kept in self._calls.items() if not kept.future.done()}
        number = next(self._numbers)
        self._calls[number] = call
        self.pipe.send(f.Ask(number, path, body))

    def forget_remote(self, monitor: m.MonitorRef) -> None:
        for number, known in tuple(self._observed.items()):
            if known is monitor:
                del self._observed[number]
                self.pipe.send(f.Forget(number))

    # -- in --------------------------------------------------------------------------------------------------------
    def answered(self, frame: f.Answered) -> None:
        call = self._calls.pop(frame.number, None)
        if call is None:
            return
        if frame.error is not None:
            call.fail(unparcelled(frame.error, self.codec.decode))
        else:
            call.answer(None if frame.body is None else self.codec.decode(frame.body))

    def down(self, frame: f.Ended) -> None:
        monitor = self._observed.pop(frame.number, None)
        if monitor is not None:
            exit_ = f.exit_unparcelled(frame.exit, self.codec)
            monitor.watcher.post(m.Down(monitor, monitor.ref, frame.incarnation, exit_))


class RemoteRef(Ref):
    """The address of an actor of the parent process: tell, call and ask go there, and so do monitors."""

    _system: HostedSystem

    def __init__(self, system: HostedSystem, path: str) -> None:
        super().__init__(system, path)
        self.actor_class = Actor
        self._cell = RemoteCell(system)

    def forget(self, monitor: m.MonitorRef) -> None:
        self._system.forget_remote(monitor)

    def stop(self, *, block: bool = True, timeout: float | None = None) -> NoReturn:
        del block, timeout
        _not_from_here(self.path)

    def proxy(self) -> NoReturn:
        _not_from_here(self.path)

    def pinned(self) -> NoReturn:
        _not_from_here(self.path)


def _not_from_here(path: str) -> NoReturn:
    raise NotFromHere(f"{path} lives in the parent process: tell or call something there that does it")


class NotFromHere(ReplyError):
    """An actor in a process of its own asked for what can be done only in the process of its supervisor."""


class RemoteCell:
    """What stands at a remote address: every message takes the slow way in, and leaves by the pipe."""

    idle: Final = False
    queue: Final[tuple[Any, ...]] = ()
    limit: Final = 0
    ended: Final = False  # as far as we know
    belongings: Final = None
    actor: Final = None
    task: Final = None
    threaded: Final = False
    exit: Final = None
    control: Final = None

    def __init__(self, system: HostedSystem) -> None:
        self.system = system

    @property
    def scheduler(self) -> "Scheduler":
        return self.system.scheduler

    @property
    def detour(self) -> "Callable[[Any], None]":
        return lambda _message: None

    def accept(self, ref: Ref, message: Any, *, may_park: bool = True) -> None:
        del may_park
        if message.__class__ is m.Call:
            self.system.ask(ref.path, message)
        elif message.__class__ in m.SPECIAL:
            _not_from_here(ref.path)
        else:
            self.system.send(ref.path, message)

    def own(self) -> Belongings:
        return Belongings()  # what a parent holds of its children, it holds in its own process

    def post(self, message: Any) -> NoReturn:
        raise NotFromHere(f"{type(message).__name__}: an actor is stopped in the process of its supervisor")

    def kill(self) -> NoReturn:
        raise NotFromHere("an actor is killed in the process of its supervisor")
