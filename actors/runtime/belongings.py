"""What an incarnation holds and must let go when it ends: timers, tasks, monitors, replies, those who wait for its end."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.exits import Exit
from allstop.actors.runtime.messages import Call, Fired, MonitorRef

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell

REPLIES_LOOK: Final = (
    1024  # deferred answers, each time so many, are looked through for callers that are gone
)


class Belongings:
    """Made when an incarnation first needs one: most actors of a large system never do."""

    __slots__ = (
        "children",
        "end_waiters",
        "links",
        "monitored_by",
        "monitoring",
        "replies",
        "tasks",
        "timers",
    )

    def __init__(self) -> None:
        self.timers: set[Timer] = set()
        self.tasks: dict[asyncio.Task[Any], None] = {}  # they are cancelled in this order
        self.monitored_by: dict[MonitorRef, None] = {}
        self.monitoring: dict[MonitorRef, None] = {}
        self.replies: dict[Reply, None] = {}
        self.children: dict[Cell, float] = {}  # and when each was started, on the system's clock
        self.end_waiters: list[Callable[[Exit], None]] = []
        self.links: dict[Any, None] | None = None  # of those that link: see linking.py


class Timer:
    """A message to an actor's own self, later. It dies with the incarnation that set it."""

    __slots__ = ("_cell", "_handle", "cancelled", "fired", "message")

    def __init__(self, cell: "Cell", message: Any) -> None:
        self._cell = cell
        self._handle: asyncio.TimerHandle | None = None
        self.message = message
        self.cancelled = False
        # Its message on its way, in the context of whoever set it. Let go of when it fires, as the loop's handle is: both
        # lead back here, and a timer that holds them is garbage that only the collector finds.
        self.fired: Any = cell.carry(Fired(self))

    def start(self, delay_s: float) -> None:
        if not self.cancelled:
            loop = self._cell.scheduler.loop
            self._handle = loop.call_later(
                delay_s if delay_s > 0.0 else 0.0, self._fire, context=self._cell.scheduler.context
            )

    def cancel(self) -> None:
        """The message is not handled any more, even if it is queued already. From any thread."""
        self.cancelled = True
        self._cell.scheduler.hop(self._forget)

    def _fire(self) -> None:
        cell, fired = self._cell, self.fired
        self._handle = self.fired = None
        cell.belongings.timers.discard(self)  # pyright: ignore[reportOptionalMemberAccess] - it stands among them
        if self.cancelled:
            return
        if not cell.idle or cell.threaded:
            cell.enqueue(fired)
            return
        # The message rides in the run queue, as any idle actor's next one does; and this callback of the loop is as
        # good as the one that would be asked for to run it.
        cell.idle = False
        scheduler = cell.scheduler
        scheduler.ready.append((cell, fired))
        if not scheduler.armed:
            scheduler.armed = True
            scheduler.run()

    def _forget(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self.fired = None
        self._cell.own().timers.discard(self)


class Reply:
    """The answer to a call, given later. If the actor ends first, the caller gets ActorDead."""

    __slots__ = ("_call", "_cell")

    def __init__(self, cell: "Cell", call: Call) -> None:
        self._cell = cell
        self._call = call

    @property
    def pointless(self) -> bool:
        """True once nobody waits for it any more."""
        return self._call.future is not None and self._call.future.done()

    def set(self, value: Any = None) -> None:
        """Answers the caller. A second answer, or one after the caller gave up, is dropped. From any thread."""
        self._cell.scheduler.hop(self._resolve, value, None)

    def fail(self, error: BaseException) -> None:
        """Answers the caller with an error; the actor lives on. From any thread."""
        self._cell.scheduler.hop(self._resolve, None, error)

    def _resolve(self, value: Any, error: BaseException | None) -> None:
        self._cell.own().replies.pop(self, None)
        if error is None:
            self._call.answer(value)
        else:
            self._call.fail(error)


def defer(cell: "Cell") -> Reply:
    call = cell.calling
    if call is None:
        raise RuntimeError(
            "defer() is for the handler of a call: nobody waits for an answer to a told message"
        )
    if call.future is None:
        call.future = cell.scheduler.loop.create_future()
    call.deferred = True
    reply = Reply(cell, call)
    replies = cell.own().replies
    replies[reply] = None
    if len(replies) % REPLIES_LOOK == 0:  # whoever never answers may have dropped them: these callers gave up
        for other in [other for other in replies if other.pointless]:
            del replies[other]
    return reply
