"""The run queue: every plain handler runs here, on the thread of the event loop.

One callback per loop turn drains the queue, so that a message costs two deque operations and a call, not a turn of
the loop. An idle actor's next message rides in the run queue itself, as a (cell, message) pair; only a second message
that comes before the first was handled goes into the actor's own queue. `cell.idle` is tested and cleared without a
lock: CPython switches threads neither between the two, nor inside a deque's append or popleft. If it did, two senders
might swap one message each; none would be lost.
"""

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Callable
from threading import get_ident
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.clock import ticks_ns
from allstop.actors.runtime.call_timeouts import CallTimeouts
from allstop.actors.runtime.messages import CONTROL, MORE, SPECIAL
from allstop.actors.runtime.tuning import hasten, relax
from allstop.actors.runtime.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell

BATCH: Final = 64  # messages per actor and activation: more starves the others, fewer costs speed (measured)
TURN: Final = 256  # messages per turn of the loop: a saturated loop still reads its sockets within 0.1 ms
TURN_NS: Final = 500_000  # slower handlers get fewer messages per turn, so that it lasts no longer than this
FIRST: Final = (
    16  # messages of the turn that a burst begins with; the next take more, as long as they are fast
)
UNTIMED: Final = 3  # turns after one with little to do: two looks at the clock cost as much as a message
FAIR_AFTER: Final = (
    8  # turns in a row that left something over: the loop is saturated, and this one lasts for FAIR_NS
)
FAIR_NS: Final = (
    200_000  # several switch intervals of a saturated process (tuning.py): a thread that waits gets in
)
FAIR_TURNS_MAX: Final = 64  # whatever the clock says
BUSY: Final = 16  # activations that wait: with more, a runtime message does not take its place behind them
URGENT: Final = (
    64  # runtime messages of busy actors per turn: ten thousand Downs at once are 0.1 ms at a time
)


class Scheduler:
    """One per system: the run queue and its wake-up of the loop."""

    __slots__ = (
        "__weakref__",
        "_callers",
        "armed",
        "batch",
        "call_timeouts",
        "closed",
        "context",
        "fair_after",
        "hastened",
        "inlined",
        "loop",
        "pace",
        "ready",
        "saturated",
        "thread_id",
        "ticket",
        "ticks_ns",
        "turn",
        "untimed",
        "urgent",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, turn: int = TURN, batch: int = BATCH, tuned: bool = False
    ) -> None:
        self.loop = loop
        self.thread_id = get_ident()
        self.ready: deque[tuple[Cell, Any]] = deque()
        self.armed = False
        self.ticket: object = None  # of the turn that the loop is to run
        self.closed = False
        self.turn = turn
        self.pace = turn  # messages of the next turn
        self.untimed = 0  # turns whose length nobody measures
        # Virtual time knows no slow handlers: what a simulation does must not depend on how fast it runs.
        self.ticks_ns: Callable[[], int] = ticks_ns if not isinstance(loop, VirtualTimeLoop) else int
        self.saturated = 0  # turns in a row that left something over
        self.fair_after = FAIR_AFTER if tuned and not isinstance(loop, VirtualTimeLoop) else sys.maxsize
        self.hastened = False
        self.batch = batch
        self.inlined = 0
        self._callers: deque[asyncio.Future[None]] = deque()
        self.urgent: deque[Cell] = deque()
        self.call_timeouts = CallTimeouts(loop)
        self.context = (
            contextvars.copy_context()
        )  # handlers never see the context of whoever happened to send first

    def on_thread(self) -> bool:
        return get_ident() == self.thread_id

    def arm(self) -> None:
        """Has the loop run the queue. From any thread; several may find it unarmed at once, and of their tickets the last
        one counts: a turn arms the next one, so that two would go on beside each other for ever."""
        self.armed = True
        if self.closed:
            self.run()
            return
        ticket = self.ticket = object()
        if get_ident() == self.thread_id:
            self.loop.call_soon(self.run, ticket, context=self.context)
        else:
            self.loop.call_soon_threadsafe(self.run, ticket, context=self.context)

    def hop(self, function: Callable[..., Any], *args: Any) -> None:
        """Calls the function on the loop's thread: now if this is it, else soon."""
        if get_ident() == self.thread_id or self.closed:
            function(*args)
        else:
            self.loop.call_soon_threadsafe(function, *args)

    def hurry(self, cell: "Cell") -> None:
        """Has a runtime message of this cell served at the start of the next turn, before what waits in the queue."""
        self.urgent.append(cell)
        if not self.armed:
            self.arm()

    def inside(self) -> bool:
        """Whether the run loop, or a call that is answered at once, is in a plain handler at this moment."""
        try:
            self.context.run(int)
        except RuntimeError:  # a context is entered once
            return True
        return False

    async def another_turn(self) -> None:
        """Waits until a turn of the loop has room for more inline calls. Callers take turns, one per turn."""
        caller = self.loop.create_future()
        self._callers.append(caller)
        if len(self._callers) == 1:
            self.loop.call_soon(self._admit)
        await caller

    def _admit(self) -> None:
        self.inlined = 0
        while self._callers:
            caller = self._callers.popleft()
            if not caller.done():  # else its task was cancelled meanwhile
                caller.set_result(None)
                break
        if self._callers:
            self.loop.call_soon(self._admit)

    def close(self) -> None:
        """Runs what is queued; what comes later is run by whoever sends it."""
        self.run()
        self._had_enough()
        self.closed = True
        self.call_timeouts.close()

    def run(self, ticket: object = None) -> None:
        """One turn, unless another was armed since. Whatever happens in it, the queue is run again while there is something
        in it."""
        if ticket is not self.ticket and ticket is not None:
            return
        began_ns = 0
        if self.untimed:
            self.untimed -= 1
        else:
            began_ns = self.ticks_ns()
        try:
            self._turn()
            if self.saturated > self.fair_after:
                began_ns = self._be_fair(began_ns)
        finally:
            if began_ns:
                self._keep_pace(self.ticks_ns() - began_ns)
            self.armed = False
            if (self.ready or self.urgent) and not self.armed:
                self.untimed = 0
                self.saturated += 1
                self.arm()
            elif self.saturated:
                self._had_enough()

    def _be_fair(self, began_ns: int) -> int:
        """Makes this turn so long that a thread which waits for the interpreter gets it. Returns 0: such a turn does not
        set the pace.

        Between two turns the loop lets go of the interpreter, for the microsecond that it takes to look at its sockets:
        a thread that waits is woken, finds it taken, and begins to wait anew, each time before its switch interval is
        over, which alone would make the loop hand it over. So beside a loop of short turns without a break it waited
        for a third of a second (p90, measured), and longer; so it is within two milliseconds or so.
        """
        self.saturated = 1  # it may run dry in this turn, and must notice
        if not self.hastened:
            self.hastened = True
            hasten(self)
        for _ in range(FAIR_TURNS_MAX):
            if not self.ready or self.ticks_ns() - began_ns >= FAIR_NS:
                break
            if (
                self.ready[0][0].detour is not None
            ):  # a task's work is not done here, and is this turn's all the same
                break
            self._turn()
        return 0

    def _had_enough(self) -> None:
        self.saturated = 0
        if self.hastened:
            self.hastened = False
            relax(self)

    def _keep_pace(self, took_ns: int) -> None:
        """Fewer messages for the next turn if this one took too long. After one with little to do, some go untimed, and
        a burst begins with few messages: who knows how slow its handlers are?"""
        if took_ns > TURN_NS:
            self.pace = max(1, self.pace * TURN_NS // took_ns)
        elif took_ns < TURN_NS // 8 and not self.ready:
            self.pace = min(self.pace, FIRST)
            self.untimed = UNTIMED
        elif took_ns < TURN_NS // 2 and self.pace < self.turn:
            self.pace = min(self.turn, self.pace * (2 if took_ns > TURN_NS // 8 else 4))

    def _serve_urgent(self) -> None:
        for _ in range(min(URGENT, len(self.urgent))):
            cell = self.urgent.popleft()
            if cell.detour is not None:
                cell.resume()
                continue
            message = CONTROL
            try:
                cell.take_special(message)
            except BaseException as error:  # noqa: BLE001 - a crash
                cell.crash(error, message)

    def _turn(self) -> None:
        if self.urgent:
            self._serve_urgent()
        # Methods are called by name: the interpreter is quicker at that than at calling a bound one (measured: a tenth).
        ready = self.ready
        special = SPECIAL
        budget = self.pace
        batch = self.batch
        if batch > budget:
            batch = budget
        cell: Cell | None = None
        message: Any = None
        while ready and budget > 0:
            try:
                # The try stands outside the inner loop: entering it costs nothing per message.
                while ready and budget > 0:
                    cell, message = ready.popleft()
                    budget -= 1
                    if cell.detour is not None:  # it has a task of its own, or it ended
                        cell.detour(message)
                        left = len(cell.queue)  # what its task will handle in the loop's next turn
                        budget -= left if left < batch else batch
                        continue
                    if message.__class__ in special:
                        if cell.take_special(message):
                            continue
                    else:
                        result = cell.actor.on_receive(message)
                        if result is not None and result.__class__ is CoroutineType:
                            cell.adopt(result, None, message)
                            continue
                    queue = cell.queue
                    if queue:
                        left = len(queue)
                        if left > batch:
                            left = batch
                        budget -= left
                        while left and queue:
                            left -= 1
                            message = queue.popleft()
                            if message.__class__ in special:
                                if cell.take_special(message):
                                    break
                            else:
                                result = cell.actor.on_receive(message)
                                if result is not None and result.__class__ is CoroutineType:
                                    cell.adopt(result, None, message)
                                    break
                        else:
                            if queue:
                                ready.append((cell, MORE))
                            else:
                                cell.idle = True
                                if queue and cell.idle:  # a thread slipped one in after the test
                                    cell.idle = False
                                    ready.append((cell, MORE))
                    else:
                        cell.idle = True
                        if cell.queue and cell.idle:
                            cell.idle = False
                            ready.append((cell, MORE))
            except BaseException as error:
                if cell is None:
                    raise
                cell.crash(error, message)
