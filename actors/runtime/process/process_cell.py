"""What stands in this process for an actor in another: a cell with the mailbox, the monitors and the exits of every
other. Its handlers run elsewhere.

starting: the process is born and told what to run; `Started` or `NotStarted` ends that.
running:  at most `window` messages are on their way or in the other mailbox; the rest wait here, under the bound and
          the overflow that the actor's class names. `Handled` makes room.
stopping: `StopNow` was sent, or the actor ended by itself (`Gone`): the end of the process is waited for.
ended:    the process is killed, if there still is one, and nothing it ever said is heard any more.

What has been sent and not handled when the process ends becomes dead letters, and its callers get ActorDead.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.errors import ReplyError
from allstop.actors.exits import SHUTDOWN, Exit
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.aftermath import lose
from allstop.actors.runtime.belongings import Belongings
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.entrance import accept
from allstop.actors.runtime.errors import ActorDead, HandlerTimeout
from allstop.actors.runtime.handling import begin
from allstop.actors.runtime.process import frames as f
from allstop.actors.runtime.process.birth import python_path, search_path
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.errands import Errands
from allstop.actors.runtime.process.errors import (
    ProcessDied,
    Unencodable,
    unparcelled,
)
from allstop.actors.runtime.process.lifeline import Lifeline
from allstop.actors.runtime.process.location import located
from allstop.actors.runtime.process.looking import Looking
from allstop.actors.runtime.process.pipe import BrokenFrame, Pipe
from allstop.actors.runtime.ref import Ref
from allstop.actors.runtime.states import ENDED, RUNNING, STARTING, STOPPING

if TYPE_CHECKING:
    from allstop.actors.runtime.scheduler import Scheduler
    from allstop.actors.runtime.system import ActorSystem

WINDOW: Final = 64  # messages on their way: enough that neither side waits for the other's wake-up (measured)
WINDOW_BYTES: Final = 32 * 1024 * 1024  # of them; one message may be more than is left


class ProcessCell(Cell):
    """`idle` stays False and `limit` 0, so that every message comes in through `accept`, and is encoded there: its
    sender hears of what cannot travel."""

    asked_exit: Exit = SHUTDOWN
    inspectable = False

    def __init__(
        self,
        system: "ActorSystem",
        scheduler: "Scheduler",
        ref: Ref,
        incarnation: int,
        actor_class: type[Actor],
    ) -> None:
        super().__init__(system, scheduler, ref, incarnation, actor_class)
        standing: Any = actor_class  # a StandIn
        self.hosted_class: type[Actor] = standing.hosted_class
        self.window: int = standing.window
        self.queue = deque()
        self.belongings = Belongings()  # now, because senders on threads would make it
        self.codec = Codec(self.hosted_class.wire, ref_class=Ref, address=system.address)
        self._arguments = b""
        self._line = Lifeline(self)
        self._pipe: Pipe | None = None
        self._numbers = 0
        self._sent: dict[int, m.Packed] = {}  # on their way, or being handled: oldest first
        self._sent_bytes = 0
        self._calls: dict[int, m.Call] = {}  # sent, and not answered
        self._aside: dict[int, m.Packed] = {}  # in the stash there
        self.errands = Errands(self, self.codec, self._say)
        self.looking = Looking(self)
        self._gone: Exit | None = None
        self._overrun: asyncio.TimerHandle | None = None

    # -- looks -----------------------------------------------------------------------------------------------------
    @property
    def handling(self) -> bool:
        return bool(self._sent)

    @property
    def mailbox_len(self) -> int:
        return len(self.queue) + max(0, len(self._sent) - 1)

    @property
    def capacity(self) -> int:
        """Of both places together: here, and on the way or in the other process."""
        return self.hosted_class.mailbox.capacity

    @property
    def sent(self) -> int:
        """Messages on their way, or being handled."""
        return len(self._sent)

    @property
    def pid(self) -> int | None:
        return self._line.pid

    @property
    def said_goodbye(self) -> bool:
        """True once the process has told how its actor ended."""
        return self._gone is not None

    # -- mail, from any thread -------------------------------------------------------------------------------------
    def accept(self, ref: Ref, message: Any, *, may_park: bool = True) -> Any:
        if self.ended:
            return self.system.vacancy.accept(ref, message)
        if message.__class__ is m.Call:
            try:
                message.message = self._packed(message.message)
            except ReplyError as error:
                message.fail(error)
                return None
        else:
            message = self._packed(message)
        return accept(self, ref, message, may_park=may_park)

    def _packed(self, message: Any) -> Any:
        kind = message.__class__
        if kind in m.PYKKA_PROXY:
            raise Unencodable(kind.__name__, "$", "a proxy needs the actor's object: use `call`")
        if kind is m.Packed or kind in m.SPECIAL:
            return message
        return m.Packed(self.codec.encode(message), message)

    def open_queue(self) -> "deque[Any]":
        return self.queue

    def added(self) -> None:
        if self.state is ENDED:
            self.drain()
        else:
            self.scheduler.hop(self._pump)

    def drain(self, *, back_to_stash: bool = False) -> None:
        super().drain(back_to_stash=back_to_stash)
        self.idle = False

    # -- mail, on the loop -----------------------------------------------------------------------------------------
    def rest(self) -> None:
        self._pump()

    def interrupt(self) -> None:
        """The other process looks after its own handlers. A stop ends what had not started, without its on_stop."""
        if self.state is STARTING and (end := self.waiting_end()) is not None:
            self.finish(end)

    def _pump(self) -> None:
        """Handles the control lane and sends what there is room for."""
        while self.queue and self.state is RUNNING:
            try:
                message = self.queue.popleft()
            except IndexError:  # dropped by a sender, to make room
                return
            full = len(self._sent) >= self.window or (self._sent and self._sent_bytes >= WINDOW_BYTES)
            waits_for_all = message.__class__ is m.ActorStop  # what came before it is handled first
            if (full and message is not m.CONTROL) or (waits_for_all and self._sent):
                self.queue.appendleft(message)
                return
            try:
                begin(self, message)
            except BaseException as error:  # noqa: BLE001 - a crash
                self.crash(error, message)

    def deliver(self, message: Any) -> None:
        """Sends one message. In the handler of a call, its answer will come."""
        call = self.calling
        try:
            packed = self._packed(message)  # it waited in the stash of the address: nobody encoded it yet
        except Unencodable as error:
            if call is not None:
                raise
            lose(self, message, cause=str(error))
            return
        self._numbers += 1
        if call is not None:
            call.deferred = True
            self._calls[self._numbers] = call
        if not self._sent:
            self._watch_handler()
        self._sent[self._numbers] = packed
        self._sent_bytes += len(packed.body)
        self._say(f.Deliver(self._numbers, call is not None, packed.body))

    def say(self, frame: f.Frame) -> None:
        """For whoever looks at the actor there."""
        self._say(frame)

    def _say(self, frame: f.Frame) -> None:
        if self._pipe is not None:
            self._pipe.send(frame)

    def _watch_handler(self) -> None:
        """The oldest message is being handled from now on; the class may say how long that may take."""
        limit_s = None if self.looking.suspended else self.hosted_class.max_handler_s
        if self._overrun is not None:
            self._overrun.cancel()
            self._overrun = None
        if limit_s is not None:
            self._overrun = self.scheduler.loop.call_later(limit_s, self._overran, limit_s)

    def _overran(self, limit_s: float) -> None:
        if self._sent:
            message = next(iter(self._sent.values())).message
            name = type(message).__qualname__
            self.crash(HandlerTimeout(self.path, self.incarnation, name, limit_s), message)

    # -- starting --------------------------------------------------------------------------------------------------
    def pack_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._arguments = self.codec.encode([list(args), kwargs])

    def start_up(self) -> None:
        self.started = self.scheduler.loop.create_future()
        try:
            self._pipe = self._line.begin(self._boot())
        except OSError as error:
            self.crash(error)

    def _boot(self) -> f.Boot:
        where = located(self.hosted_class)
        parent = self.parent
        return f.Boot(
            module=where.module,
            qualname=where.qualname,
            file=where.file,
            search_path=search_path(),
            environment_path=python_path(),
            path=self.path,
            parent=None if parent is None else parent.path,
            incarnation=self.incarnation,
            names=self.codec.names,
            arguments=self._arguments,
        )

    # -- what the process says -------------------------------------------------------------------------------------
    def heard(self, frame: Any) -> None:
        """One frame. The fence: nothing is heard of a process whose actor has ended here."""
        if self.state is ENDED:
            return
        try:
            self._take(frame)
        except (
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            ArithmeticError,
            RecursionError,
        ) as error:  # it cannot be decoded
            self.crash(BrokenFrame(f"{type(frame).__name__}: {error}"))

    def _take(self, frame: Any) -> None:
        match frame:
            case f.Handled(numbers):
                for number in numbers if self._aside else ():
                    self._aside.pop(number, None)
                self._handled(numbers)
            case f.PutAside(numbers):
                self._aside |= {number: self._sent[number] for number in numbers if number in self._sent}
                self._handled(numbers)
            case f.Looked():
                self.looking.answered(frame)
            case f.ShownStep():
                self.looking.step(frame)
            case f.Replied(number, body, error):
                call = self._calls.pop(number, None)
                self._aside.pop(number, None)
                if call is not None:
                    self._answer(call, body, error)
            case f.Send() | f.Ask() | f.Observe() | f.Forget() | f.Link() | f.Unlink():
                self.errands.run(frame)
            case f.Shown(body, statistics):
                if body is not None:
                    self.actor.shown = self.codec.decode(body)
                if statistics is not None:
                    self.looking.counted(statistics)
            case f.Started(ignored):
                self._line.feel_pulse(self.hosted_class.silence_max_s)
                self.begin_life(m.Ignore() if ignored else None)
            case f.NotStarted(error):
                self.crash(unparcelled(error, self.codec.decode))
            case f.Gone(parcel, on):
                self._said_goodbye(f.exit_unparcelled(parcel, self.codec), on)
            case _:
                raise TypeError(f"not a frame of a child: {frame!r}")

    def _handled(self, numbers: list[int]) -> None:
        for number in numbers:
            packed = self._sent.pop(number, None)
            if packed is not None:
                self._sent_bytes -= len(packed.body)
        if self._sent or self._overrun is not None:
            self._watch_handler()
            if not self._sent and self._overrun is not None:
                self._overrun.cancel()
        self._pump()

    def _answer(self, call: m.Call, body: bytes | None, error: Any) -> None:
        if error is not None:
            call.fail(unparcelled(error, self.codec.decode))
        else:
            call.answer(None if body is None else self.codec.decode(body))

    # -- ending ----------------------------------------------------------------------------------------------------
    def stop(self, exit_: Exit) -> Any:
        """Asks the process; what it says and its end are waited for, as long as whoever stops it waits."""
        if self.enter(STOPPING):
            self.asked_exit = exit_
            self._say(f.StopNow(f.exit_parcelled(exit_, self.codec)))

    def _said_goodbye(self, exit_: Exit, on: int | None) -> None:
        failed_on = None if on is None else self._sent.pop(on, None) or self._aside.pop(on, None)
        if exit_.error is not None:
            self.crash(exit_.error, None if failed_on is None else failed_on.message)
        elif not exit_.clean:
            self.kill(exit_)
        elif self.state is STARTING:
            self.finish(exit_)
        else:
            self._gone = exit_
            if self.enter(STOPPING):  # by itself
                self.asked_exit = exit_
                self._line.grant_exit()

    def process_over(self, died: ProcessDied) -> None:
        """The process is gone, and everything it said was heard."""
        if self._gone is not None:
            self.wind_down(self.asked_exit)
        else:
            self.failed(died)

    def failed(self, error: Exception) -> None:
        """The process failed, and with it whatever message was being handled there: the oldest."""
        oldest = next(iter(self._sent.values()), None)
        self.crash(error, None if oldest is None else oldest.message)

    def finish(self, exit_: Exit) -> None:
        if self.state is ENDED:
            return
        self._lose_sent(exit_)
        super().finish(exit_)
        self.looking.ended(exit_)
        if self._overrun is not None:
            self._overrun.cancel()
        self._line.cut()

    def _lose_sent(self, exit_: Exit) -> None:
        calls, self._calls = self._calls, {}
        sent, self._sent = self._aside | self._sent, {}
        self._aside = {}
        for number, packed in sent.items():
            if number not in calls:
                lose(self, packed, cause=exit_)
        for call in calls.values():
            call.fail(ActorDead(self.path, self.incarnation, exit_))
