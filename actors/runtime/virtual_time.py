"""An event loop whose clock jumps: when nothing is ready it goes straight to the next timer.

For tests and simulations. Real sockets do not belong on it: a peer that takes real time to answer loses against every
timeout. Threads may work for it; while one does (`hold`, `run_in_executor`), time stands still.
"""

import asyncio
import contextvars
import selectors
import threading
from collections.abc import Callable, Coroutine, Sized
from typing import Any, Final, TypeVar

T = TypeVar("T")
HOLD_MAX_S: Final = 2.0  # real seconds: a thread that works longer is wedged; the timers for that must fire


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with a clock of its own, which starts at 0 and moves only when nothing else can happen."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._holders: set[int] = set()
        self._holders_lock = threading.Lock()
        super().__init__(_JumpingSelector(self))
        self._clock_resolution = 1e-9

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

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        future = super().run_in_executor(executor, func, *args)
        self.hold(future)
        future.add_done_callback(self.release)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Looked at first: what a thread did for us before it let go is then seen by the look into the selector. The
        # other way round it could answer and let go between the two, and time would jump past the answer.
        held = self._loop.held
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if held:
            ready = super().select(HOLD_MAX_S)
            if ready:
                return ready
        if timeout is None:  # no timer: only another thread can bring something
            return super().select(None)
        self._loop.jump(timeout)
        return ready


def _nothing() -> None:
    return None


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a loop with virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine, context=contextvars.copy_context())
