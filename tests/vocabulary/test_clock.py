"""The clocks, the dice and the ids: the only place where time and chance come from."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time

from allstop.actors.clock import LoopClock, ManualClock, SeededDice, SeededIds, SystemClock, SystemIds, uuid7
from allstop.actors.clock_offset import bounds

MOMENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MOMENT_NS = int(MOMENT.timestamp()) * 1_000_000_000


def test_the_wall_clock_is_the_machines_in_nanoseconds_of_utc() -> None:
    with freeze_time(MOMENT, real_asyncio=True):
        assert SystemClock().wall_ns() == MOMENT_NS


def test_ids_made_later_sort_later() -> None:
    with freeze_time(MOMENT, real_asyncio=True) as frozen:
        ids = [SystemIds().new()]
        for _ in range(20):
            frozen.tick(timedelta(milliseconds=10))
            ids.append(SystemIds().new())
    assert ids == sorted(ids)
    assert len(set(ids)) == 21


async def test_a_stopped_wall_clock_does_not_stop_the_loop() -> None:
    with freeze_time(MOMENT, real_asyncio=True):
        await asyncio.wait_for(asyncio.sleep(0.001), 1.0)
        assert SystemClock().wall_ns() == MOMENT_NS


def test_an_id_is_a_uuid_of_version_7_with_its_time_in_front() -> None:
    made = uuid.UUID(uuid7(0x0123456789AB, (1 << 128) - 1))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.hex[:12] == "0123456789ab"


def test_the_same_seed_gives_the_same_draws_and_ids() -> None:
    clock = ManualClock()
    assert [SeededDice(7).draw() for _ in range(3)] == [SeededDice(7).draw() for _ in range(3)]
    assert SeededIds(7, clock.wall_ns).new() == SeededIds(7, clock.wall_ns).new()
    assert SeededIds(7, clock.wall_ns).new() != SeededIds(8, clock.wall_ns).new()


def test_draws_lie_between_zero_and_one() -> None:
    dice = SeededDice(1)
    assert all(0 <= dice.draw() < 1 for _ in range(1000))


@pytest.mark.virtual
async def test_a_loop_clock_moves_with_its_loop() -> None:
    clock = LoopClock(asyncio.get_running_loop(), origin_ns=MOMENT_NS)
    before_s, before_ns = clock.now_s(), clock.wall_ns()
    await asyncio.sleep(3600)
    assert clock.now_s() - before_s == pytest.approx(3600)
    assert clock.wall_ns() - before_ns == pytest.approx(3600e9)


def test_one_answer_of_the_venue_bounds_the_offset_to_a_second_and_the_way_there() -> None:
    found = bounds(MOMENT_NS, MOMENT_NS + 200_000_000, MOMENT_NS // 1_000_000_000)
    assert (found.low_s, found.high_s) == pytest.approx((-1.0, 0.2))
    assert not found.certainly_beyond(1.0)


@pytest.mark.parametrize(("off_s", "certain"), [(0, False), (1, False), (3, True), (-1, False), (-3, True)])
def test_only_an_offset_that_is_certainly_beyond_the_limit_counts(off_s: int, certain: bool) -> None:
    local_ns = MOMENT_NS + off_s * 1_000_000_000
    assert (
        bounds(local_ns, local_ns + 50_000_000, MOMENT_NS // 1_000_000_000).certainly_beyond(1.0) is certain
    )
