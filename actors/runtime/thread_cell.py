"""An incarnation whose handlers run on a thread of its own, because they block.

Only handlers run there. Being stopped, killed and ended is decided on the loop's thread, as for every other cell; what
the thread has to say about its own end, it hops over to say.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sized
from contextlib import AbstractContextManager
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from allstop.actors.exits import KILLED, Exit
from allstop.actors.runtime.belongings import Belongings
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.handling import begin
from allstop.actors.runtime.hangs.deadlines import ThreadDeadline
from allstop.actors.runtime.states import State

if TYPE_CHECKING:
    from allstop.actors.runtime.actor import Actor
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.scheduler import Scheduler
    from allstop.actors.runtime.system import ActorSystem


class ThreadCell(Cell):
    """`idle` stays False and `limit` 0, so that every message comes in through `accept`."""

    threaded = True

    def __init__(
        self,
        system: "ActorSystem",
        scheduler: "Scheduler",
        ref: "Ref",
        incarnation: int,
        actor_class: "type[Actor]",
    ) -> None:
        super().__init__(system, scheduler, ref, incarnation, actor_class)
        self.queue = deque()
        self.belongings = Belongings()  # now, because both threads would make it
        self._mail_came = threading.Event()
        self._stepping = threading.Lock()
        self.thread: threading.Thread | None = None
        self._gone = False  # the thread has done its last
        self.working: list[Any] | None = None  # the message that is being handled, in a list of its own
        self._next_look: asyncio.TimerHandle | None = None

    # -- on the loop -----------------------------------------------------------------------------------------------
    def start_up(self) -> None:
        self.started = self.scheduler.loop.create_future()
        self._hold()
        self.thread = threading.Thread(target=self._main, name=self.path, daemon=True)
        self.thread.start()

    def begin_life(self, result: Any) -> None:
        super().begin_life(result)
        limit_s = self.actor_class.max_handler_s
        if limit_s is not None and self.state is State.RUNNING:
            ThreadDeadline(self, limit_s)

    def let_look_again(self, handle: asyncio.TimerHandle) -> None:
        """Keeps the timer of the next look at my thread, so that it goes when I end."""
        self._next_look = handle

    def open_queue(self) -> "deque[Any]":
        return self.queue

    def rest(self) -> None:
        self.added()

    def enter(self, state: State) -> bool:
        """The thread may be failing while the loop kills: one of them is first."""
        with self._stepping:
            return super().enter(state)

    def interrupt(self) -> None:
        """A thread cannot be interrupted: the stop is served when the handler returns, or the kill fences it. One that
        is suspended by `inspection` goes on, to end."""
        if self.suspension is not None:
            self.suspension.end_came()

    def kill(self, exit_: Exit = KILLED) -> None:
        if self.state is State.ENDED:
            return
        super().kill(exit_)
        if self.thread is not None and self.thread is not threading.current_thread():
            self.system.abandon(self, self.thread)

    def finish(self, exit_: Exit) -> None:
        super().finish(exit_)
        self._mail_came.set()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    # -- from any thread -------------------------------------------------------------------------------------------
    def added(self) -> None:
        self._hold()
        self._mail_came.set()
        if self.state is State.ENDED:
            self.drain()
            if self._gone:  # the thread that would let go of time is no more
                self._release()

    def drain(self, *, back_to_stash: bool = False) -> None:
        super().drain(back_to_stash=back_to_stash)
        self.idle = False

    def wind_down(self, exit_: Exit) -> None:
        self.scheduler.hop(super().wind_down, exit_)

    def report(self, error: BaseException, message: Any) -> None:
        self.scheduler.hop(super().report, error, message)

    def _hold(self) -> None:
        """On a loop with virtual time: time stands still while this thread works."""
        hold = getattr(self.scheduler.loop, "hold", None)
        if hold is not None:
            hold(self)

    def _release(self, unless: Sized = ()) -> bool:
        """Lets time go on while this thread waits; False when mail came meanwhile."""
        release = getattr(self.scheduler.loop, "release", None)
        return not len(unless) if release is None else release(self, unless)

    # -- on the thread ---------------------------------------------------------------------------------------------
    def _main(self) -> None:
        try:
            result = self.actor.on_start()
            _refuse_coroutine(result)
            self.scheduler.hop(self.begin_life, result)
            while self.state is State.STARTING:
                self._mail_came.clear()
                if self.state is State.STARTING:
                    self._mail_came.wait()  # for the loop: mail that came early is no reason to look again
        except BaseException as error:  # noqa: BLE001 - a crash is reported, and ends this thread
            self.crash(error)
        while self.state is State.RUNNING:
            if not self.queue:
                self._wait()
                continue
            try:
                message = self.queue.popleft()
            except IndexError:  # dropped by a sender, to make room
                continue
            self._handle(message)
        self._gone = True  # first: whoever holds time for us from now on sees it
        self._release()

    def _wait(self) -> None:
        self._mail_came.clear()
        if self.queue or self.state is State.ENDED:
            return
        if self._release(unless=self.queue):
            self._mail_came.wait()

    def park(self, lock: AbstractContextManager[Any], quiet: Callable[[], bool]) -> None:
        """Waits for mail while it is `quiet`. Whoever ends that does so under the lock, and then calls `added`: so
        time, where it is virtual, stands still from there on."""
        with lock:
            self._mail_came.clear()
            waits = quiet()
            if waits:
                self._release()
        if waits:
            self._mail_came.wait()
            self._hold()

    def _handle(self, message: Any) -> None:
        self.working = [message]
        try:
            result, call = begin(self, message)
            _refuse_coroutine(result)
        except BaseException as error:  # noqa: BLE001 - a crash is reported, and ends this thread
            self.crash(error, message)
        else:
            if call is not None:
                self.finish_call(call, result)
        finally:
            self.working = None


def _refuse_coroutine(result: Any) -> None:
    if result.__class__ is CoroutineType:
        result.close()
        raise TypeError("a ThreadActor's handlers are plain functions: its thread runs no event loop")
