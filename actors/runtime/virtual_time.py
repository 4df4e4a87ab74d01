"""An event loop whose clock jumps: when nothing is ready it goes straight to the next timer.

For tests and simulations. Real sockets do not belong on it: a peer that takes real time to answer loses against every
timeout. Threads may work for it; while one does (`hold`, `run_in_executor`), time stands still.
"""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sized
from contextvars import copy_context
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from operator import attrgetter
from typing import Any, Final, TypeVar

T = TypeVar("T")
HOLD_MAX_S: Final = 2.0  # real seconds: a thread that works longer is wedged; the timers for that must fire
RESOLUTION_S: Final = 1e-9
_NOW: Final = attrgetter("_now_s")
CANCELLED_MAX: Final = 100  # timers that were cancelled and stand in the queue: with more, it is cleaned


class SoonHandle(asyncio.Handle):
    """asyncio's, made with less ado: a simulated minute has thousands, and nobody debugs them."""

    __slots__ = ()
    _source_traceback = None
    _repr = None

    def __init__(
        self, callback: Callable[..., object], args: Any, loop: Any, context: contextvars.Context | None
    ) -> None:
        self._context = copy_context() if context is None else context
        self._callback: Any = callback
        self._args: Any = args
        self._loop = loop
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None


class AtHandle(asyncio.TimerHandle):
    """The same of a timer. `_scheduled`: it stands in the loop's queue."""

    __slots__ = ()
    _source_traceback = None
    _repr = None

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: Any,
        loop: Any,
        context: contextvars.Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._when = when
        self._callback: Any = callback
        self._args: Any = args
        self._loop = loop
        self._cancelled = False
        self._scheduled = True

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._callback = self._args = None
            if self._scheduled:
                self._loop._timer_cancelled_count += 1


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
        files = self._selector.get_map()
        self._files: Sized = getattr(self._selector, "_fd_to_key", files)  # the dict itself, where it has one
        # Asked and called for each future that is made, and for whatever looks at the time: this way none of them takes a
        # call of Python's.
        self.get_debug = bool
        self.create_future = partial(asyncio.Future[Any], loop=self)
        self.time = partial(_NOW, self)

    def set_debug(self, enabled: bool) -> None:
        super().set_debug(enabled)
        self.get_debug = partial(bool, enabled)

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
        timer = AtHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        when = self._now_s + delay
        timer = AtHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._closed or self._debug:
            return super().call_soon(callback, *args, context=context)
        handle = SoonHandle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def close(self) -> None:
        super().close()
        self._timers.clear()

    # -- its turns ---------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Turns until somebody stops it. A turn: what is ready; else the next timer, and time is then its time. Nobody
        is asked for input while nothing but this process's own threads could bring any: what they bring stands in the
        queue at once."""
        ready, timers, files, holders = self._ready, self._timers, self._files, self._holders
        take = ready.popleft
        while True:
            if self._timer_cancelled_count and (
                self._timer_cancelled_count > CANCELLED_MAX or (timers and timers[0][2]._cancelled)
            ):
                self._forget_cancelled()
            # Held is looked at first: what a thread did for us before it let go is then seen by the look into the queue.
            # The other way round it could answer and let go between the two, and time would jump past the answer.
            held = bool(holders)
            if len(files) > 1 or self._signal_handlers:
                self._process_events(self._selector.select(0))
            if not ready and not self._stopping:
                if held or not timers:
                    self._wait(held)
                if not ready and timers and timers[0][0] > self._now_s:
                    self._now_s = timers[0][0]
            if timers:
                until_s = self._now_s + RESOLUTION_S
                while timers and timers[0][0] < until_s:
                    timer = heappop(timers)[2]
                    timer._scheduled = False
                    ready.append(timer)
                    timer = None
            for _ in range(len(ready)):
                handle = take()
                if handle._cancelled:
                    continue
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio's own
                    self._failed(handle, error)
            handle = None  # gone as soon as it ran
            if self._stopping:
                return

    def _failed(self, handle: Any, error: BaseException) -> None:
        """As asyncio tells it."""
        called = getattr(handle._callback, "__qualname__", repr(handle._callback))
        self.call_exception_handler(
            {"message": f"Exception in callback {called}", "exception": error, "handle": handle}
        )

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
            heapify(timers)
            self._timer_cancelled_count = 0
        while timers and timers[0][2]._cancelled:
            heappop(timers)[2]._scheduled = False
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
