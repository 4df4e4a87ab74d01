"""The main program of a process that hosts one actor: `python -m allstop.actors.runtime.process.child PIPE PULSE`
(two descriptors).

It ends when its actor ends, and at once when its pipe does: nobody is left who would stop it. An interrupt from the
terminal and a SIGTERM, which a service manager sends to every process of a service, are for the parent to act on.
"""

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
import threading
from types import CoroutineType
from typing import Any, Final

import msgspec

from allstop.actors.errors import AllstopError, ReplyError
from allstop.actors.exits import NORMAL, Exit
from allstop.actors.runtime import inspection
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.errors import StartError
from allstop.actors.runtime.mailbox import Mailbox
from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process import pulse
from allstop.actors.runtime.process.answering import Answering
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.errors import Unencodable, parcelled
from allstop.actors.runtime.process.hosted import HostedCodec, HostedSystem, RemoteRef, log_to_stderr
from allstop.actors.runtime.process.location import Location, found
from allstop.actors.runtime.process.looked_at import LookedAt
from allstop.actors.runtime.process.pipe import Pipe
from allstop.actors.runtime.ref import Ref

FAILED: Final = 70  # EX_SOFTWARE: the actor crashed, and the parent was told
ORPHANED: Final = 71
START_S: Final = 1e8  # the parent counts the start's time, and kills
TAKEN_S: Final = 30.0  # how long our last words may wait behind all that was told before them
SHOWN_EVERY_S: Final = 0.05  # how old the status that the parent shows may be, while there is work


class ChangedCode(AllstopError):
    """The classes in `wire` are not the same in both processes: the code changed on disk since the parent read it."""


class Delivered:
    """A message of the parent in our own mailbox: when its handler is done, there is room for another."""

    __slots__ = ("message", "number")

    def __init__(self, number: int, message: Any) -> None:
        self.number = number
        self.message = message


class Host:
    """Runs one actor for the parent at the other end of the pipe."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.pipe = Pipe(f.TO_CHILD, self._heard, self._pipe_ended)
        self.over: asyncio.Future[bool] = self._loop.create_future()  # whether it ended in order
        self._system: HostedSystem | None = None
        self._codec = Codec()
        self._ref: Ref | None = None
        self._starting: asyncio.Task[None] | None = None
        self._done: list[int] = []
        self.number: int | None = None  # of the message that is being handled
        self._showing = False
        self._shows = False
        self._looked_at: LookedAt | None = None
        self._aside: set[int] = set()  # messages that their handler has just put aside

    # -- in --------------------------------------------------------------------------------------------------------
    def _heard(self, frame: Any) -> None:
        match frame:
            case f.Boot():
                self._starting = self._loop.create_task(self._start(frame), name="start")
            case f.Deliver():
                self._deliver(frame)
            case f.StopNow(parcel):
                if self._system is not None and self._ref is not None:
                    exit_ = f.exit_unparcelled(parcel, self._codec)
                    self._system.ask_to_stop(self._ref.cell, exit_)
            case f.Look():
                self._look(frame)
            case f.LookAway(number):
                if self._looked_at is not None:
                    self._looked_at.look_away(number)
            case f.TellSteps(wanted):
                if self._looked_at is not None:
                    self._looked_at.tell_steps(wanted)
            case f.Answered():
                if self._system is not None:
                    self._system.answered(frame)
            case f.PeerEnded(path, incarnation, parcel):
                if self._system is not None and self._ref is not None and self._ref.is_alive():
                    exit_ = f.exit_unparcelled(parcel, self._codec)
                    signal = m.ExitSignal(self._system.address(path), incarnation, exit_)
                    self._ref.cell.enqueue(signal)
            case f.Ended():
                if self._system is not None:
                    self._system.down(frame)
            case _:
                raise TypeError(f"not a frame of a parent: {frame!r}")

    def _look(self, frame: f.Look) -> None:
        if self._looked_at is not None:
            self._looked_at.look(frame)
        else:
            error = inspection.InspectionTimeout("it is starting")
            self.pipe.send(f.Looked(frame.number, error=parcelled(error, self._codec.encode)))

    def _pipe_ended(self, _error: Any) -> None:
        os._exit(ORPHANED)

    def _deliver(self, frame: f.Deliver) -> None:
        assert self._ref is not None
        message = Delivered(frame.number, self._codec.decode(frame.body))
        self._ref.tell(
            m.Call(message, Answering(self.scheduler, self.reply, frame.number)) if frame.called else message
        )

    # -- starting --------------------------------------------------------------------------------------------------
    async def _start(self, boot: f.Boot) -> None:
        try:
            began = await self._begin(boot)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is told, and decides
            cause = error.cause if isinstance(error, StartError) and error.cause is not None else error
            self.pipe.send(f.NotStarted(parcelled(cause, self._codec.encode)))
            self._end(in_order=False)
            return
        self.pipe.send(f.Started(ignored=not began))
        if not began:
            self._end(in_order=True)
            return
        assert self._ref is not None
        self._looked_at = LookedAt(self._ref, self._codec, self.pipe, unwrapped)
        if self._ref.is_alive():
            self._ref.cell.own().end_waiters.append(self._gone)
        else:
            self._gone(self._ref.last_exit or NORMAL)

    async def _begin(self, boot: f.Boot) -> bool:
        """Whether the actor lives: it may not want to."""
        sys.path[:] = boot.search_path
        os.environ.pop("PYTHONPATH", None)
        if boot.environment_path is not None:
            os.environ["PYTHONPATH"] = boot.environment_path
        cls: type[Actor] = found(Location(boot.module, boot.qualname, boot.file))
        if (
            "structlog" in sys.modules
        ):  # else whoever logs first pays for its import, which is half of a start
            log_to_stderr()
        system = self._system = HostedSystem(boot.path, self.pipe)
        codec = self._codec = system.codec = HostedCodec(cls.wire, system)
        if codec.names != boot.names:
            raise ChangedCode(f"`wire` of {cls.__qualname__} is {codec.names} here, {boot.names} there")
        args, kwargs = codec.decode(boot.arguments)
        await system.start()
        system.addresses.note(boot.path, boot.incarnation - 1)
        parent = None if boot.parent is None else system.address(boot.parent)
        self._shows = cls.format_status is not Actor.format_status
        hosted = hosting(cls, self)
        self._ref = await system.spawn(
            hosted, *args, path=boot.path, parent=parent, start_timeout_s=START_S, **kwargs
        )
        exit_ = self._ref.last_exit
        return self._ref.is_alive() or exit_ is None or not isinstance(exit_.detail, m.Ignore)

    # -- out -------------------------------------------------------------------------------------------------------
    def begun(self, number: int) -> None:
        self.number = number

    def handled(self, number: int) -> None:
        """On the loop, or on the thread of a ThreadActor."""
        self.number = None
        if self._system is not None:
            if number in self._aside:
                self._aside.discard(number)
                self._system.scheduler.hop(self.pipe.send, f.PutAside([number]))
            else:
                self._system.scheduler.hop(self._note_handled, number)

    def keeps(self, number: int) -> None:
        self._aside.add(number)

    def let_go(self, number: int) -> None:
        if number in self._aside:  # its handler runs, and says itself that it is done
            self._aside.discard(number)
        elif self._system is not None:
            self.number = None
            self._system.scheduler.hop(self._note_handled, number)

    def put_aside(self) -> None:
        """The handler that runs has put its message into the stash."""
        if self.number is not None:
            self._aside.add(self.number)

    def _note_handled(self, number: int) -> None:
        if not self._done:
            self._loop.call_soon(self._tell_handled)
        self._done.append(number)

    def _tell_handled(self) -> None:
        done, self._done = self._done, []
        if done:
            self.pipe.send(f.Handled(done))
        if not self._showing and (self._shows or self._counts()):
            self._showing = True
            self._loop.call_later(SHOWN_EVERY_S, self._show)

    def _show(self) -> None:
        self._showing = False
        if self._ref is None or not self._ref.is_alive():
            return
        observer = self._ref.cell.observer
        counted = None if observer is None else observer.statistics()
        statistics = None if counted is None else msgspec.msgpack.encode(counted)
        body: bytes | None = None
        if self._shows:
            with contextlib.suppress(Unencodable):  # then it is not seen from afar
                body = self._codec.encode(self._ref.cell.actor.shown_status())
        if body is not None or statistics is not None:
            self.pipe.send(f.Shown(body, statistics))

    def _counts(self) -> bool:
        if self._ref is None or not self._ref.is_alive():
            return False
        observer = self._ref.cell.observer
        return observer is not None and observer.counts

    def reply(self, number: int, value: Any, error: BaseException | None) -> None:
        body: bytes | None = None
        if error is None:
            try:
                body = self._codec.encode(value)
            except Unencodable as refused:
                error = refused
        parcel = None if error is None else parcelled(error, self._codec.encode)
        self.pipe.send(f.Replied(number, body, parcel))

    @property
    def scheduler(self) -> Any:
        assert self._system is not None
        return self._system.scheduler

    # -- ending ----------------------------------------------------------------------------------------------------
    def _gone(self, exit_: Exit) -> None:
        self._tell_handled()
        self.pipe.send(f.Gone(f.exit_parcelled(exit_, self._codec), self.number if exit_.error else None))
        self._end(in_order=exit_.clean)

    def _end(self, *, in_order: bool) -> None:
        if not self.over.done():
            self.over.set_result(in_order)

    async def close(self) -> None:
        """The actor has ended: what it left ends, too, and what was sent goes out."""
        await self.pipe.taken(TAKEN_S)
        if self._system is not None:
            with contextlib.suppress(AllstopError):
                await self._system.close()


def unwrapped(message: Any) -> Any:
    """The message as its handler knows it."""
    return message.message if message.__class__ is Delivered else message


def hosting(cls: type[Actor], host: Host) -> type[Actor]:
    """`cls`, which says when it has handled a message of the parent."""

    def on_receive(self: Actor, message: Any) -> Any:
        if message.__class__ is not Delivered:
            return cls.on_receive(self, message)
        number = message.number
        host.begun(number)
        try:
            result = cls.on_receive(self, message.message)
        except ReplyError:
            if self.called:  # it answers with it, and lives
                host.handled(number)
            raise
        if result.__class__ is CoroutineType:
            return finish(self, result, number)
        host.handled(number)
        return result

    async def finish(self: Actor, handler: Any, number: int) -> Any:
        host.begun(number)
        try:
            result = await handler
        except ReplyError:
            if self.called:
                host.handled(number)
            raise
        host.handled(number)
        return result

    def stash(self: Actor) -> None:
        cls.stash(self)
        host.put_aside()

    def link(self: Actor, ref: Ref) -> None:
        if isinstance(ref, RemoteRef):
            self.check_fence()
            host.scheduler.hop(host.pipe.send, f.Link(ref.path))
        else:
            cls.link(self, ref)

    def log(self: Any) -> Any:
        log_to_stderr()
        return cls.log.__get__(self)

    def unlink(self: Actor, ref: Ref) -> None:
        if isinstance(ref, RemoteRef):
            host.scheduler.hop(host.pipe.send, f.Unlink(ref.path))
        else:
            cls.unlink(self, ref)

    names = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    # The parent bounds what is on its way; what the actor tells itself comes on top.
    room = Mailbox(capacity=cls.mailbox.capacity * 2 + 64)
    own: dict[str, Any] = {
        "on_receive": on_receive,
        "link": link,
        "unlink": unlink,
        "stash": stash,
        "mailbox": room,
    }
    own["log"] = property(log)
    if hasattr(cls, "_core_class"):  # a state machine: not everybody has to load what those need
        from allstop.actors.runtime.process.hosted_machine import core_for

        own["_core_class"] = core_for(host)
    own["max_handler_s"] = None  # the parent's clock decides, and its kill is real
    return type(cls.__name__, (cls,), names | own)


def die_with(pipe: socket.socket, line: socket.socket) -> None:
    """A thread that ends this process when the parent's end of the pipe closes, also while a handler computes; until
    then it answers the parent that this process runs."""
    watched = os.dup(pipe.fileno())
    line.setblocking(False)
    poll = select.poll()
    poll.register(watched, getattr(select, "POLLRDHUP", 0))
    poll.register(line, select.POLLIN)

    def watch() -> None:
        while all(descriptor == line.fileno() for descriptor, _ in poll.poll()) and pulse.answer(line):
            pass
        os._exit(ORPHANED)

    threading.Thread(target=watch, name="orphan-watch", daemon=True).start()


async def host(pipe: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    host = Host()
    await loop.create_unix_connection(lambda: host.pipe, sock=pipe)
    in_order = await host.over
    await host.close()
    if not in_order:
        _flush_out()
    return in_order


def _flush_out() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    pipe, line = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3])
    for mine in (pipe, line):
        mine.set_inheritable(False)
    die_with(pipe, line)
    if not asyncio.run(host(pipe)):
        os._exit(FAILED)


if __name__ == "__main__":
    main()
