"""The only place where time, chance and ids come from.

Everything else is handed a `Clock`, a `Dice` and `Ids`, so that a test or a simulation can hand it others.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol

UUID: Final = uuid.UUID  # the class alone: for whoever has to know one when it sees one


class Clock(Protocol):
    """Two times: one that only goes forward, for intervals, and the wall's, for records and venues."""

    def now_s(self) -> float:
        """Seconds on a clock that never steps. Only differences mean anything."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC. It can step: never measure an interval with it."""
        ...


class Dice(Protocol):
    def draw(self) -> float:
        """A number in [0, 1)."""
        ...


class Ids(Protocol):
    def new(self) -> str:
        """A new id, unique for the life of every journal: 36 characters, a UUID."""
        ...


# For measuring how long something took: no port, because nothing that is decided by it may be simulated.
ticks_ns: Final[Callable[[], int]] = time.monotonic_ns


class SystemClock:
    """The machine's clocks."""

    now_s = staticmethod(time.monotonic)  # the function itself: a call more costs as much as it does

    def wall_ns(self) -> int:
        return time.time_ns()  # looked up at each call: freezegun puts another in its place


class LoopClock:
    """The running event loop's time, so that a virtual-time loop moves it; the wall follows from an origin."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, origin_ns: int = 1_767_225_600_000_000_000
    ) -> None:
        self.now_s = loop.time
        self._origin_ns = origin_ns - int(loop.time() * 1e9)

    def wall_ns(self) -> int:
        return self._origin_ns + int(self.now_s() * 1e9)


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_s: float = 0.0, wall_ns: int = 1_767_225_600_000_000_000) -> None:
        self._now_s = now_s
        self._wall_ns = wall_ns

    def now_s(self) -> float:
        return self._now_s

    def wall_ns(self) -> int:
        return self._wall_ns

    def advance(self, seconds: float) -> None:
        """Moves both times forward."""
        self._now_s += seconds
        self._wall_ns += int(seconds * 1e9)


class SystemDice:
    draw = staticmethod(random.random)


class SeededDice:
    """The same draws for the same seed, on every machine."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def draw(self) -> float:
        return self._random.random()


class SystemIds:
    """UUIDs of version 7 shape: they sort by the time they were made, which keeps journals readable."""

    def new(self) -> str:
        return uuid7(time.time_ns() // 1_000_000, uuid.uuid4().int)


class SeededIds:
    """The same ids for the same seed. `wall_ns` gives the time they carry."""

    def __init__(self, seed: int | str, wall_ns: Callable[[], int]) -> None:
        self._random = random.Random(f"ids:{seed}")
        self._wall_ns = wall_ns

    def new(self) -> str:
        return uuid7(self._wall_ns() // 1_000_000, self._random.getrandbits(128))


_SYSTEM_IDS: Final = SystemIds()
# Whose ids a value gets that is built with no port at hand. It rides in the context, so that two worlds in one process
# do not meet.
_IDS: Final[ContextVar[Ids]] = ContextVar("allstop_ids", default=_SYSTEM_IDS)


def new_id() -> str:
    """A new id of whatever this runs in: in an actor on the loop its system's, in a simulated world that world's; the
    machine's anywhere else, in threads that an actor starts, too."""
    return _IDS.get().new()


def take_ids(ids: Ids) -> None:
    """From now on, in this context, `new_id` gives ids of these."""
    _IDS.set(ids)


@contextmanager
def ids_from(ids: Ids) -> Generator[None]:
    """While the block runs, in this context, `new_id` gives ids of these."""
    before = _IDS.get()
    _IDS.set(ids)
    try:
        yield
    finally:
        _IDS.set(before)  # no token: whoever leaves may be in another context than who entered


def uuid7(unix_ms: int, bits: int) -> str:
    """A UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then chance. `bits` has at least 80."""
    value = (unix_ms & (1 << 48) - 1) << 80 | (bits & (1 << 80) - 1)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
