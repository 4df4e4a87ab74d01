"""A wait that ends by itself after a while, or at once when somebody rings: for a task that looks at something now and
then, and sooner when told. One timer and one future per wait, and no task."""

import asyncio


class Wakeup:
    """For one sleeper. A ring between two sleeps ends the next one at once, unless it was cleared."""

    __slots__ = ("_rung", "_waiter")

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """On the loop's thread."""
        self._rung = True
        if self._waiter is not None:
            _end(self._waiter)

    def clear(self) -> None:
        """What rang so far is known."""
        self._rung = False

    async def sleep(self, seconds: float) -> bool:
        """True if it rang, False if the time is over."""
        if not self._rung and seconds > 0:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = loop.call_later(seconds, _end, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiter = None
        return self._rung


def _end(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
