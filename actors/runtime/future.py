"""pykka's Future, fit for an event loop: a thread can `get` it, and awaiting it never blocks the loop.

pykka's own `Future.__await__` is a `yield` and then a blocking `get`: every other actor stands still meanwhile.
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import pykka

from allstop.actors.errors import ReplyError
from allstop.actors.runtime.arguments import want_seconds
from allstop.actors.runtime.errors import BlockingOnLoop, CallTimeout

T = TypeVar("T")


def on_a_loop() -> bool:
    """True when this thread is running an event loop, so that blocking here would stop it."""
    return asyncio._get_running_loop() is not None


class Future(pykka.Future[T]):
    """An answer that may come from any thread. `await` it on a loop, or `get(timeout=...)` it on a thread.

    Each waiter adds itself and then looks again; the producer sets the answer and then wakes who is there. So none
    is missed, without a lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._done = False
        self._unset = [True]
        self._value: Any = None
        self._error: BaseException | None = None
        self._waiters: deque[Any] = deque()
        self._seen = False
        self.on_lost: Callable[[BaseException], None] | None = (
            None  # told of an error answer nobody ever looked at
        )

    def done(self) -> bool:
        return self._done

    def set(self, value: T | None = None) -> None:
        if not self.resolve(value):
            raise RuntimeError("this future has its result already")

    def set_exception(self, exc_info: Any = None) -> None:
        """Takes pykka's three-tuple, or an exception, or (with nothing) the one being handled."""
        if isinstance(exc_info, BaseException):
            error: BaseException = exc_info
        else:
            kind, found, _traceback = exc_info or sys.exc_info()
            error = found if found is not None else (kind or RuntimeError)()
        if not self.resolve(None, error):
            raise RuntimeError("this future has its result already")

    def resolve(self, value: Any = None, error: BaseException | None = None) -> bool:
        """Sets the result, if nobody did yet: False then. Two threads may race for it; one wins."""
        if self._get_hook is not None:
            return False
        try:
            self._unset.pop()  # atomic
        except IndexError:
            return False
        self._value = value
        self._error = error
        self._finish()
        return True

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        if self._done:
            raise RuntimeError("this future has its result already")
        super().set_get_hook(func)

    def get(self, *, timeout: float | None = None) -> T:
        if timeout is not None:
            want_seconds("timeout", timeout)
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._done:
            if on_a_loop():
                raise BlockingOnLoop(
                    "get() would block the event loop: await this future, or use `await ref.call(message)`"
                )
            self._wait(timeout)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, T]:
        if self._get_hook is not None:  # a mapped or joined future: its hook blocks, so it runs on a thread
            yield from asyncio.get_running_loop().run_in_executor(None, self.get).__await__()
            return super().get()
        if not self._done:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            self._waiters.append((loop, waiter))
            if not self._done:
                yield from waiter.__await__()
        return self._outcome()

    __iter__ = __await__

    def _wait(self, timeout: float | None) -> None:
        lock = threading.Lock()
        lock.acquire()
        self._waiters.append(lock)
        if not self._done and not lock.acquire(timeout=-1 if timeout is None else timeout) and not self._done:
            raise CallTimeout(f"no answer within {timeout} s")

    def _outcome(self) -> T:
        self._seen = True
        if self._error is not None:
            raise self._error
        return self._value

    def _finish(self) -> None:
        self._done = True
        while self._waiters:
            try:
                waiter = self._waiters.popleft()
            except IndexError:  # another thread woke the last one
                return
            if isinstance(waiter, tuple):
                _wake_on_loop(*waiter)
            else:
                waiter.release()

    def __del__(self) -> None:
        # A failed proxy call that nobody waited for is not lost (statement 248). Crashes are reported as such.
        if self.on_lost is not None and isinstance(self._error, ReplyError) and not self._seen:
            self.on_lost(self._error)


class Asking(Generic[T]):
    """What a thread that blocks in `ask` waits on: an answer for nobody else, so less than a Future.

    It is answered as asyncio's futures are, and at most once has effect. A thread keeps its lock for its next ask, if
    the answer came: nothing then releases it a second time.
    """

    __slots__ = ("_error", "_lock", "_unset", "_value", "on_lost")

    def __init__(self, on_lost: Callable[[BaseException], None]) -> None:
        self._unset = [True]
        self._value: Any = None
        self._error: BaseException | None = None
        self.on_lost = on_lost  # told of an error answer that came when nobody waited any more
        lock = getattr(_asking, "lock", None)
        if lock is None:
            lock = threading.Lock()
            lock.acquire()
        else:
            _asking.lock = None  # taken: a signal handler may ask in the middle of an ask
        self._lock: threading.Lock = lock

    def done(self) -> bool:
        """False: who comes second finds out when it sets."""
        return False

    def set_result(self, value: T) -> None:
        try:
            self._unset.pop()  # atomic
        except IndexError:
            return
        self._value = value
        self._lock.release()

    def set_exception(self, error: BaseException) -> None:
        if self._first():
            self._error = error
            self._lock.release()
        elif isinstance(error, ReplyError):
            self.on_lost(error)

    def get(self, timeout: float | None = None) -> T:
        """Waits for the answer. Raises the error that it is, or CallTimeout."""
        # Whoever is interrupted here leaves the lock to the answer.
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            if self._first():
                raise CallTimeout(f"no answer within {timeout} s")
            self._lock.acquire()  # it comes at this very moment
        _asking.lock = self._lock
        if self._error is not None:
            raise self._error
        return self._value

    def _first(self) -> bool:
        try:
            return self._unset.pop()  # atomic
        except IndexError:
            return False


_asking = threading.local()


def _wake_on_loop(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
    if asyncio._get_running_loop() is loop:
        _set(waiter)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(_set, waiter)


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
