"""An event loop whose clock jumps: when nothing is ready it goes straight to the next timer.

For tests and simulations. Real sockets do not belong on it: a peer that takes real time to answer loses against every
timeout. Threads may work for it; while one does (`hold`, `run_in_executor`), time stands still.
"""

import asyncio
import contextvars
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sized
from itertools import count
from typing import Any, Final, TypeVar

T = TypeVar("T")
HOLD_MAX_S: Final = 2.0  # real seconds: a thread that works longer is wedged; the timers for that must fire
RESOLUTION_S: Final = 1e-9
CANCELLED_MAX: Final = 100  # timers that were cancelled and stand in the queue: with more, it is cleaned


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with a clock of its own, which starts at 0 and moves only when nothing else can happen."""

    # asyncio's own, which its pages do not show
    _ready: deque[Any]
    _stopping: bool
    _closed: bool
    _debug: bool
    _selector: Any
    _signal_handlers: dict[int, Any]
    _timer_cancelled_count: int
    _process_events: Callable[[Any], None]

    def __init__(self) -> None:
        self._now_s = 0.0
        self._holders: set[int] = set()
        self._holders_lock = threading.Lock()
        # In the order of their times, and those of the same time as they came: compared without a call of Python's.
        self._timers: list[tuple[float, int, Any]] = []
        self._numbers = count()
        super().__init__()
        self._clock_resolution = RESOLUTION_S
        self._files = self._selector.get_map()

    def time(self) -> float:
        return self._now_s

    def hold(self, holder: object) -> None:
        """Time stands still until `release`, because something outside the loop works for it. From any thread."""
        with self._holders_lock:
            self._holders.add(id(holder))

    def release(self, holder: object, unless: Sized = ()) -> bool:
        """Time may go on, `unless` there is something in here: whoever puts it there holds only after that. False: it
        stands still, as before."""
        with self._holders_lock:
            if len(unless):
                return False
            self._holders.discard(id(holder))
        if not self.is_closed():
            self.call_soon_threadsafe(_nothing)
        return True

    @property
    def held(self) -> bool:
        return bool(self._holders)

    def jump(self, seconds: float) -> None:
        self._now_s += seconds

    # -- its queues --------------------------------------------------------------------------------------------------

    def waiting(self) -> list[Any]:
        """The handles of everything that waits to run, timers included, in the order in which it would."""
        return [*self._ready, *(timer for _, _, timer in sorted(self._timers))]

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        timer: Any = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._closed or self._debug:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def close(self) -> None:
        super().close()
        self._timers.clear()

    # -- its turns ---------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """One turn: what is ready; else the next timer, and time is then its time. Nobody is asked for input while
        nothing but this process's own threads could bring any: what they bring stands in the queue at once."""
        ready, timers = self._ready, self._timers
        self._forget_cancelled()
        # Held is looked at first: what a thread did for us before it let go is then seen by the look into the queue.
        # The other way round it could answer and let go between the two, and time would jump past the answer.
        held = bool(self._holders)
        if len(self._files) > 1 or self._signal_handlers:
            self._process_events(self._selector.select(0))
        if not ready and not self._stopping:
            if held or not timers:
                self._wait(held)
            if not ready and timers and timers[0][0] > self._now_s:
                self._now_s = timers[0][0]
        until_s = self._now_s + RESOLUTION_S
        while timers and timers[0][0] < until_s:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _wait(self, held: bool) -> None:
        """In real time: for a thread that works for us, or, where there is no timer either, for whatever comes."""
        found = self._selector.select(0)
        if not found and not self._ready:
            found = self._selector.select(HOLD_MAX_S if held and self._timers else None)
        self._process_events(found)

    def _forget_cancelled(self) -> None:
        timers = self._timers
        if self._timer_cancelled_count > CANCELLED_MAX and self._timer_cancelled_count * 2 > len(timers):
            for _, _, timer in timers:
                timer._scheduled = not timer._cancelled
            timers[:] = [one for one in timers if not one[2]._cancelled]
            heapq.heapify(timers)
            self._timer_cancelled_count = 0
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)[2]._scheduled = False
            self._timer_cancelled_count -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        future = super().run_in_executor(executor, func, *args)
        self.hold(future)
        future.add_done_callback(self.release)
        return future


def _nothing() -> None:
    return None


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a loop with virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine, context=contextvars.copy_context())
