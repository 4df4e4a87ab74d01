"""Messages that an actor puts aside and takes again, and the head of the mailbox, where they go.

What an actor does not ask for costs it nothing: which message is being handled is remembered only for classes that
have a `stash_capacity`, and only an actor whose receive timeout is running looks at each message for it.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.exits import Exit
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.aftermath import lose
from allstop.actors.runtime.belongings import Timer
from allstop.actors.runtime.errors import StashFull
from allstop.actors.runtime.shadows import shadow, unshadow

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell

NOTHING: Final = object()
OnReceive = Callable[[Any, Any], Any]


def put_first(cell: "Cell", messages: Iterable[Any]) -> None:
    """Puts messages at the head of the mailbox, in their order, without regard to its bound. A stop that waits keeps
    its place before them."""
    queue = cell.open_queue()
    queue.extendleft(reversed(list(messages)))
    queue.extendleft([m.CONTROL] * len(cell.control or ()))
    cell.added()


def at_end(cell: "Cell", tell: Callable[[Exit], None]) -> None:
    """Has `tell` called when the incarnation ends, however it ends."""
    cell.own().end_waiters.append(tell)


def remembering(on_receive: OnReceive) -> OnReceive:
    """An `on_receive` that notes which message it handles, while it does, so that `stash()` knows."""
    if hasattr(on_receive, "remembers"):
        return on_receive

    @functools.wraps(on_receive)
    def remembered(self: Any, message: Any) -> Any:
        if self._handled is not NOTHING:  # the `on_receive` of a base class: the outer one forgets
            return on_receive(self, message)
        self._handled = message
        result: Any = None
        try:
            result = on_receive(self, message)
        finally:
            if result.__class__ is not CoroutineType:
                self._handled = NOTHING
        return _remembered_to_the_end(self, result) if result.__class__ is CoroutineType else result

    remembered.remembers = True  # type: ignore[attr-defined]
    return remembered


async def _remembered_to_the_end(actor: Any, handler: Any) -> Any:
    try:
        return await handler
    finally:
        actor._handled = NOTHING


class Stashed:
    """What one incarnation has put aside: told messages as they are, calls with those who wait for them."""

    __slots__ = ("_cell", "_waiting", "capacity")

    def __init__(self, cell: "Cell", capacity: int) -> None:
        self._cell = cell
        self.capacity = capacity
        self._waiting: deque[Any] = deque()
        at_end(cell, self._lose)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: Any) -> None:
        if len(self._waiting) >= self.capacity:
            raise StashFull(self._cell.path, self.capacity)
        call = self._cell.calling
        if call is not None:
            self._keep_unanswered(call)
        self._waiting.append(self._cell.carry(message if call is None else call))
        if self._cell.ended:  # killed meanwhile, on the loop: this is a thread
            self._lose(None)

    def _keep_unanswered(self, call: m.Call) -> None:
        if call.deferred:
            raise RuntimeError(
                f"{self._cell.path} stashes a call whose answer it deferred: do one of the two"
            )
        if call.future is None:
            call.future = self._cell.scheduler.loop.create_future()
        call.deferred = True

    def take_all(self) -> int:
        """Back to the head of the mailbox, oldest first. Gives how many they were."""
        messages = list(self._waiting)
        self._waiting.clear()
        for message in messages:
            call = message.message if message.__class__ is m.Carried else message
            if call.__class__ is m.Call:
                call.deferred = False
        if messages:
            put_first(self._cell, messages)
        return len(messages)

    def _lose(self, _exit: Exit | None) -> None:
        while self._waiting:
            lose(self._cell, self._waiting.popleft())


def set_receive_timeout(actor: Any, cell: "Cell", delay_s: float, message: Any) -> None:
    """While it runs, the actor's own `on_receive` hides the one of its class: the first message of any kind ends that."""
    timer = Timer(cell, message)

    def ending(handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def ends(received: Any) -> Any:
            clear_receive_timeout(actor)
            return handle(received)

        return ends

    vars(actor)["_receive_timeout"] = timer
    shadow(actor, set_receive_timeout, ending)
    if delay_s > 0:
        cell.scheduler.hop(actor._start_timer, timer, delay_s)
    elif cell.waiting_end() is None:  # a Down that waits is a message like others: this comes before it
        cell.open_queue().appendleft(timer.fired)
        cell.added()


def clear_receive_timeout(actor: Any) -> None:
    timer = vars(actor).pop("_receive_timeout", None)
    if timer is not None:
        unshadow(actor, set_receive_timeout)
        timer.cancel()
