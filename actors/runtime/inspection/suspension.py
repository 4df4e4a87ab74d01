"""A suspended actor: it handles no message, keeps its mail within its bounds, and still ends when it is told to.

Nothing on the way of a message knows of this. An actor with plain handlers is held at its `detour`, which the run loop
looks at anyway; one with a task awaits the end of the suspension as if that were a handler; a thread waits for it. All
three are held between two messages, so that whoever asks for the state of a suspended actor is answered at once.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from allstop.actors.runtime.messages import CONTROL, MORE, Stop, SystemMessage, TaskFailed

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.thread_cell import ThreadCell


class Suspension:
    """Of an actor with plain handlers. All but `begin` is called on the loop's thread."""

    def __init__(self, cell: "Cell") -> None:
        self.cell = cell
        self.over = False

    def begin(self) -> "Coroutine[Any, Any, None] | None":
        """Called between two messages, once the suspension stands in the cell. Who asked already is still answered."""
        for message in tuple(self.cell.control or ()):
            if message.__class__ is SystemMessage:
                message.serve(self.cell)
        if self.cell.waiting_end() is not None:  # it came after the question, and before the answer
            self.end()
        return None if self.over else self._hold()

    def ask(self, message: SystemMessage) -> None:
        """The actor is between two messages: it can be looked at from here."""
        message.serve(self.cell)

    def end(self) -> None:
        """The actor goes on with what waits."""
        if not self.over:
            self.over = True
            self.cell.suspension = None
            self._let_go()

    def end_came(self) -> None:
        """It is told to end: that goes before the `Down`s that wait, which a suspended actor does not handle."""
        lane = self.cell.control
        if lane is not None:
            waiting = list(lane)
            lane.clear()
            lane.extend(sorted(waiting, key=_goes_on))
        self.end()

    def _hold(self) -> "Coroutine[Any, Any, None] | None":
        self.cell.detour = self._put_back
        return None

    def _put_back(self, message: Any) -> None:
        if message is not MORE:
            self.cell.open_queue().appendleft(message)

    def _let_go(self) -> None:
        cell = self.cell
        if cell.detour == self._put_back and cell.exit is None:
            cell.detour = None
            cell.open_queue().extendleft([CONTROL] * len(cell.control or ()))  # before what was put back
            cell.wake()
            if cell.waiting_end() is not None:
                cell.scheduler.hurry(cell)  # also before a message that still rides in the run queue


def _goes_on(message: Any) -> bool:
    """For a stable sort: what ends the actor comes first."""
    return message.__class__ is not Stop and message.__class__ is not TaskFailed


class TaskSuspension(Suspension):
    """Of an actor with a task: a coroutine in the place of a handler, which a stop cancels like every other."""

    def __init__(self, cell: "Cell") -> None:
        super().__init__(cell)
        self._resumed = asyncio.Event()

    async def _hold(self) -> None:
        try:
            await self._resumed.wait()
        finally:
            self.end()

    def _let_go(self) -> None:
        self._resumed.set()


class ThreadSuspension(Suspension):
    """Of an actor on a thread, which waits. Questions are answered on that thread."""

    cell: "ThreadCell"

    def __init__(self, cell: "ThreadCell") -> None:
        super().__init__(cell)
        self._questions: deque[SystemMessage] = deque()
        self._lock = RLock()

    def ask(self, message: SystemMessage) -> None:
        with self._lock:
            self._questions.append(message)
            self.cell.added()

    def end(self) -> None:
        with self._lock:
            super().end()

    def end_came(self) -> None:
        """The thread may be ending this by itself: from then on it serves the lane, which nobody else may sort."""
        with self._lock:
            if not self.over:
                super().end_came()

    def _hold(self) -> None:
        held = True
        while held:
            held = (
                not self.over and not self.cell.ended
            )  # first: what was asked before the end is answered below
            while self._questions:
                self._questions.popleft().serve(self.cell)
            if held:
                self.cell.park(self._lock, self._quiet)

    def _quiet(self) -> bool:
        return not self.over and not self.cell.ended and not self._questions

    def _let_go(self) -> None:
        self.cell.added()


def suspend(cell: "Cell") -> None:
    """For a question, so between two messages of the cell, which `begin`s the suspension after it."""
    if cell.suspension is not None:
        return
    if cell.threaded:
        cell.suspension = ThreadSuspension(cast("ThreadCell", cell))
    elif cell.task is not None:
        cell.suspension = TaskSuspension(cell)
    else:
        cell.suspension = Suspension(cell)
