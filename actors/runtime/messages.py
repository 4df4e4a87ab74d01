"""What travels in mailboxes besides the user's messages. A user meets Down, Continue, Ignore and MonitorRef."""

import contextvars
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pykka import messages as pykka_messages

from allstop.actors.exits import Exit
from allstop.actors.runtime.future import Future

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.ref import Ref


class MonitorRef:
    """One monitor or watch: what `monitor` gives back and `Down` carries. Compare by identity."""

    __slots__ = ("active", "final", "ref", "watcher")

    def __init__(self, ref: "Ref", watcher: "Cell", *, final: bool) -> None:
        self.ref = ref
        self.watcher = watcher
        self.final = final  # a watch: only the end that no restart follows
        self.active = True


class Down(msgspec.Struct, frozen=True):
    """The actor that you monitor ended: this incarnation of it, for this reason."""

    monitor: MonitorRef
    ref: Any  # a Ref
    incarnation: int
    exit: Exit


class ExitSignal(msgspec.Struct, frozen=True):
    """An incarnation that you were linked to ended, and you trap exits: who, and for what reason."""

    ref: Any  # a Ref
    incarnation: int
    exit: Exit


class Continue(msgspec.Struct, frozen=True):
    """Returned by `on_start`: `on_continue(argument)` runs before any other message."""

    argument: Any = None


class Ignore(msgspec.Struct, frozen=True):
    """Returned by `on_start`: the actor is not wanted after all. It ends cleanly, and its start succeeded.

    The ref that `spawn` then gives back is not alive, and the `detail` of its `last_exit` is an `Ignore`.
    """


class Overrun(msgspec.Struct, frozen=True):
    """The `detail` of a KILLED exit after a stop that took too long. `unstopped`: something still runs behind the fence."""

    unstopped: bool


class Call(msgspec.Struct, eq=False):
    """A message whose sender waits for an answer. `future` is asyncio's for a call on the loop, else ours.

    `future` is None while a call runs inline: most calls are answered before anyone needs one.
    """

    message: Any
    future: Any
    deferred: bool = False

    def answer(self, value: Any) -> None:
        future = self.future
        if future.__class__ is Future:
            future.resolve(value)
        elif future is not None and not future.done():
            future.set_result(value)

    def fail(self, error: BaseException) -> None:
        future = self.future
        if future.__class__ is Future:
            future.resolve(None, error)
        elif future is not None and not future.done():
            future.set_exception(error)


class Parked:
    """A message whose sender waits until it is taken: the way BLOCK holds a sender back. Claimed exactly once."""

    __slots__ = ("_claim", "future", "message")

    def __init__(self, message: Any, future: Future[bool]) -> None:
        self.message = message
        self.future = future
        self._claim = [True]

    def claim(self) -> bool:
        """True for the first who asks: the actor that takes the message, or the sender that gives up."""
        try:
            return self._claim.pop()  # atomic
        except IndexError:
            return False


class Packed:
    """A message made ready to leave this process. What tells of it (a dead letter, a report) shows the message itself."""

    __slots__ = ("body", "message")

    def __init__(self, body: bytes, message: Any) -> None:
        self.body = body
        self.message = message


class Fired:
    """A timer's message on its way: dropped if the timer is cancelled before it is handled."""

    __slots__ = ("timer",)

    def __init__(self, timer: Any) -> None:
        self.timer = timer


class Pause:
    """Stands in the run queue for a task that handled its share, and waits for its next turn."""

    __slots__ = ("over",)

    def __init__(self, over: Any) -> None:
        self.over = over  # a future of the loop

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


class Carried:
    """A message with the context of its sender, for an actor that asks for it."""

    __slots__ = ("context", "message")

    def __init__(self, message: Any, context: contextvars.Context) -> None:
        self.message = message
        self.context = context


class Conflated(msgspec.Struct, eq=False):
    """Stands in the queue for the newest message of its key."""

    key: Hashable
    message: Any = None  # that message, from when it is handed over


class Stop(msgspec.Struct, frozen=True):
    """Runtime message: run `on_stop(exit)` and end."""

    exit: Exit


class TaskFailed(msgspec.Struct, frozen=True):
    """Runtime message: a task of this incarnation raised."""

    name: str
    error: BaseException


class LinkEnded(msgspec.Struct, frozen=True):
    """Runtime message: the signal of a link, on its way to an actor that traps exits."""

    peer: Any  # the cell that ended: dropped if I unlinked from it meanwhile
    signal: ExitSignal


class SystemMessage:
    """Runtime message: a question of `inspection`, put to the actor between two of its messages (OTP's sys).

    Whoever asked may give up: then it is not served any more, so that nothing is changed behind their back.
    """

    __slots__ = ("_claim", "future", "question")

    def __init__(self, question: Callable[["Cell"], Any]) -> None:
        self.question = question
        self.future: Future[Any] = Future()
        self._claim = [True]

    def claim(self) -> bool:
        """True for the first who asks: the actor that serves it, or the asker that gives up."""
        try:
            return self._claim.pop()  # atomic
        except IndexError:
            return False

    def serve(self, cell: "Cell") -> None:
        """Answers it, here and now: on the thread where the actor's handlers run, between two of them."""
        if not self.claim():
            return
        try:
            answer = self.question(cell)
        except BaseException as error:  # noqa: BLE001 - the asker's own function failed: that is the asker's trouble
            self.future.resolve(None, error)
        else:
            self.future.resolve(answer)


# What waits for a suspended handler to end: everything else in the control lane interrupts it.
PATIENT: Final = frozenset((Down, LinkEnded, SystemMessage))


class _Token:
    __slots__ = ()


class ControlToken(_Token):
    """Put at the head of the user's queue so that the control lane is served next, at no cost to ordinary messages."""

    __slots__ = ()


class MoreToken(_Token):
    """Only says that there is mail in the queue."""

    __slots__ = ()


CONTROL: Final = ControlToken()
MORE: Final = MoreToken()

# The classes that the run loop does not hand to `on_receive` as they are.
PYKKA_PROXY: Final = frozenset(
    (pykka_messages.ProxyCall, pykka_messages.ProxyGetAttr, pykka_messages.ProxySetAttr)
)
ActorStop: Final = pykka_messages._ActorStop
SPECIAL: Final = PYKKA_PROXY | {
    Call,
    Carried,
    Parked,
    Fired,
    Conflated,
    Continue,
    Stop,
    ControlToken,
    MoreToken,
    ActorStop,
}

_HOLDERS: Final = frozenset((Carried, Call, Parked, Packed))
CARRIERS: Final = _HOLDERS | {Fired, Conflated}


def unwrapped(message: Any, cell: "Cell | None" = None) -> Any:
    """The user's own message, out of whatever carries it: what reports and dead letters show. With the cell where it
    waits also the newest message of a key."""
    while True:
        kind = message.__class__
        if kind in _HOLDERS:
            message = message.message
        elif kind is Fired:
            message = message.timer.message
        elif kind is Conflated:
            waiting = None if cell is None else cell.newest
            message = message.message if waiting is None else waiting.get(message.key)
        else:
            return message
