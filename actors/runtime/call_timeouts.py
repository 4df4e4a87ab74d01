"""When calls that wait must end: one timer for all calls of the same timeout.

A timer of the loop costs more than the call that it guards (1.6 us on uvloop, 2.4 us on asyncio, against 0.2 us here),
and nearly all calls of a system have one of a few timeouts. Calls of equal timeout expire in the order they were made,
so a lane of them needs a timer only for its first.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.runtime.arguments import want_seconds
from allstop.actors.runtime.errors import CallTimeout

if TYPE_CHECKING:
    from allstop.actors.runtime.ref import Ref

LANES_MAX: Final = 32  # timeouts that are computed call by call would each leave a lane behind


class Lane:
    """The waiting calls of one timeout. `waiting` maps each future to its deadline and to who has to answer."""

    __slots__ = ("_armed", "_loop", "_now_s", "alone", "timeout_s", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._loop = loop
        self._now_s = loop.time
        self._armed: asyncio.TimerHandle | None = None
        self.alone = False  # for one call only: whoever took it out closes it
        self.timeout_s = timeout_s
        self.waiting: dict[asyncio.Future[Any], tuple[float, Ref]] = {}

    def add(self, future: "asyncio.Future[Any]", ref: "Ref") -> None:
        """Ends the wait on `future` with CallTimeout, in time. Whoever waits takes it out again."""
        self.waiting[future] = (self._now_s() + self.timeout_s, ref)
        if self._armed is None:
            self._armed = self._loop.call_later(self.timeout_s, self._fire)

    @property
    def armed(self) -> bool:
        return self._armed is not None

    def close(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _fire(self) -> None:
        """Ends what is due and waits for the next. A timer may come a moment early: then it is set once more."""
        self._armed = None
        now_s = self._now_s()
        due: list[tuple[asyncio.Future[Any], Ref]] = []
        for future, (deadline_s, ref) in self.waiting.items():
            if deadline_s > now_s:
                self._armed = self._loop.call_later(deadline_s - now_s, self._fire)
                break
            due.append((future, ref))
        for future, ref in due:
            del self.waiting[future]
            if not future.done():
                future.set_exception(CallTimeout(f"{ref.path} did not answer within {self.timeout_s} s"))


class CallTimeouts:
    """The lanes of one system."""

    __slots__ = ("_lanes", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lanes: dict[float, Lane] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def lane(self, timeout_s: float) -> Lane:
        """The lane of this timeout; one of its own, that nobody keeps, when there are too many."""
        lane = self._lanes.get(timeout_s)
        if lane is None:
            want_seconds("timeout_s", timeout_s)
            lane = Lane(self._loop, timeout_s)
            if len(self._lanes) >= LANES_MAX:
                self._lanes = {kept: other for kept, other in self._lanes.items() if other.armed}
            if len(self._lanes) < LANES_MAX:
                self._lanes[timeout_s] = lane
            else:
                lane.alone = True
        return lane

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()
