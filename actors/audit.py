"""The guardian's own reading of the venue, through its own desk, folded into its book.

A *glance* asks for the open orders only, which is all it takes while nothing happens. Whatever it cannot explain (an
order that is gone, an intent of which nothing was ever shown, an execution) makes it a *full* reading: the orders that
closed since the last one, and by name those that are in neither list. The order of the questions matters: an order
moves from open to closed and never back, so one that moves in between is seen in the second place.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

from allstop.actors.clock import Clock
from allstop.actors.ports import Desk
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.positions import Execution
from allstop.actors.reports import OrderReport

TIMED = 4  # questions: what a link does now and then counts, what it did a while ago does not


class Audit:
    """Reads the venue and keeps the book up to date. Its methods raise QueryFailed: then nothing was proven."""

    def __init__(
        self, desk: Desk, memory: CoverMemory, clock: Clock, overlap_s: float, turn: asyncio.Lock
    ) -> None:
        self._desk = desk
        self._turn = (
            turn  # of the guardian's calls, each alone: a write waits for one question, not for all of them
        )
        self._memory = memory
        self._clock = clock
        self._overlap_ns = int(overlap_s * 1e9)
        self._horizon_ns: int | None = None  # None: the journal's; the first reading is full
        self.listed: tuple[OrderReport, ...] = ()  # the last list of open orders, ours or not
        self.unlisted: frozenset[str] = (
            frozenset()
        )  # open in the book, unknown to the venue: they cover nothing
        self.executed: list[Execution] = []  # of the last reading
        self._took_s: deque[float] = deque(maxlen=TIMED)
        self.calls = 0  # made so far: each costs the key one
        self._glanced = -1  # the version of the book after a glance that showed all that it holds for open

    @property
    def took_s(self) -> float:
        """The longest of the last questions, from asking to its answer: its turn and both ways."""
        return max(self._took_s, default=0.0)

    async def read(self, *, full: bool, awaited: Iterable[str] = ()) -> bool:
        """One reading; True if it was a full one. `awaited`: order ids that the venue gave us and no report shows."""
        book = self._memory.book
        self.calls += 1
        async with self._turn:
            asked_s = self._clock.now_s()
            listed = await self._desk.open_orders()
            self._took_s.append(self._clock.now_s() - asked_s)
        # Most lists say what the one before said, and nothing else was told since: then they change nothing.
        known = book.version == self._glanced and tuple(listed) == self.listed
        executed = [] if known else list(book.take_all(listed))
        gone = () if known else book.vanished(order.order_id for order in listed)
        missing = {*gone, *(i for i in awaited if book.order(i) is None)}
        full = full or bool(
            missing or self._horizon_ns is None or self._memory.expected() or self._memory.unresolved
        )
        if full:
            executed += await self._closed()
            gone = book.vanished(order.order_id for order in listed)
            missing = {*gone, *(i for i in missing if book.order(i) is None)}
            if missing:
                self.calls += 1
                async with self._turn:
                    told = await self._desk.query_orders(sorted(missing))
                executed += book.take_all(told)
                missing -= {order.order_id for order in told}
        self.listed = tuple(listed)
        self.unlisted = frozenset(missing)
        self.executed = executed
        self._glanced = -1 if full else book.version
        return full

    async def _closed(self) -> tuple[Execution, ...]:
        asked_ns = self._clock.wall_ns()
        since_ns = self._horizon_ns
        if since_ns is None:
            since_ns = self._memory.horizon_ns(self._overlap_ns)
        self.calls += 1
        async with self._turn:
            closed = await self._desk.closed_orders(max(since_ns, 0))
        self._horizon_ns = asked_ns - self._overlap_ns
        executed = self._memory.book.take_all(closed)
        self._memory.book.settle(asked_ns - 6 * self._overlap_ns)
        return executed
