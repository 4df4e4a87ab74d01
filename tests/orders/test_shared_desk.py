"""Shared readings: ten who ask cost what one does, and nobody gets a reading older than its question."""

import asyncio
from typing import Any

import pytest

from allstop.actors.ports import QueryFailed
from allstop.actors.reports import OrderReport
from allstop.actors.shared_desk import Shared, SharedDesk


class Readings:
    """Counts readings, and lets a test say when one ends."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.may_end = asyncio.Semaphore(0)
        self.error: QueryFailed | None = None

    async def read(self, since: int) -> str:
        self.began.append(since)
        number = len(self.began)
        await self.may_end.acquire()
        if self.error is not None:
            raise self.error
        return f"reading {number}"


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_while_a_reading_is_under_way_shares_the_next_one() -> None:
    readings = Readings()
    shared: Shared[int, str] = Shared(readings.read, min)
    first = asyncio.ensure_future(shared.ask(5))
    await turn()
    later = [asyncio.ensure_future(shared.ask(since)) for since in (9, 3, 7)]
    await turn()
    assert readings.began == [5]
    readings.may_end.release()
    readings.may_end.release()
    assert await first == "reading 1"
    assert await asyncio.gather(*later) == ["reading 2"] * 3
    assert readings.began == [5, 3]  # the second goes back as far as anybody wanted


async def test_what_a_reading_raises_all_who_shared_it_get_and_the_next_is_tried_anew() -> None:
    readings = Readings()
    shared: Shared[int, str] = Shared(readings.read, min)
    readings.error = QueryFailed("no answer")
    asking = [asyncio.ensure_future(shared.ask(1)) for _ in range(2)]
    readings.may_end.release()
    readings.may_end.release()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [QueryFailed, QueryFailed]
    readings.error = None
    readings.may_end.release()
    assert await shared.ask(1) == f"reading {len(readings.began)}"


async def test_a_caller_that_gives_up_takes_nobody_with_it() -> None:
    readings = Readings()
    shared: Shared[int, str] = Shared(readings.read, min)
    gone, staying = asyncio.ensure_future(shared.ask(1)), asyncio.ensure_future(shared.ask(1))
    await turn()
    gone.cancel()
    readings.may_end.release()
    readings.may_end.release()
    assert await staying == "reading 1"
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_closing_ends_the_reading_and_whoever_waits() -> None:
    readings = Readings()
    shared: Shared[int, str] = Shared(readings.read, min)
    waiting = asyncio.ensure_future(shared.ask(1))
    await turn()
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


class CountingDesk:
    """A desk of which only its making and its end matter."""

    def __init__(self) -> None:
        self.closed = False

    async def open_orders(self) -> list[OrderReport]:
        return []

    async def closed_orders(self, since_ns: int) -> list[OrderReport]:
        return []

    async def close(self) -> None:
        self.closed = True


async def test_a_new_incarnation_gets_a_desk_of_its_own_though_killed_holders_kept_their_shares() -> None:
    incarnation = 1
    made: list[CountingDesk] = []

    def open_desk() -> Any:
        made.append(CountingDesk())
        return made[-1]

    shared = SharedDesk(open_desk, lambda: incarnation)
    shared.open()  # its holder is killed and never closes it
    incarnation = 2
    again = shared.open()
    assert len(made) == 2
    assert shared.open() is not again
    assert len(made) == 2


async def test_the_desk_underneath_is_closed_with_its_last_holder() -> None:
    made: list[CountingDesk] = []

    def open_desk() -> Any:
        made.append(CountingDesk())
        return made[-1]

    shared = SharedDesk(open_desk)
    one, two = shared.open(), shared.open()
    await one.close()
    await one.close()  # twice by the same holder counts once
    assert not made[0].closed
    await two.close()
    assert made[0].closed
