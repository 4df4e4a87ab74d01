"""A process that has simulated many worlds holds no more than one that has simulated a few: a campaign of thousands of
seeds, and a suite of a user's own tests, do not grow."""

import gc
from collections import Counter
from collections.abc import Callable

import pytest

from allstop.actors.runtime.virtual_time import run_virtual
from allstop.supervisors.simulation.run import simulate
from allstop.supervisors.simulation.stage import Stage
from allstop.supervisors.simulation.trees import busy

WARM = 6  # what is made once and kept: compiled patterns, schemas, the books of the recorded market
WORLDS = 12
STRAY = 20  # objects a world, of nobody in particular: a world that is held has thousands


def a_bad_day(seed: int) -> None:
    simulate(busy(), seed=seed, duration_s=60.0, profile="bad-day")


def a_day_by_hand(seed: int) -> None:
    async def play() -> None:
        async with Stage(busy(), seed=seed) as stage:
            await stage.until_trading()
            await stage.chaos.die(down_s=1.0)
            await stage.until_trading()

    run_virtual(play())


def a_day_that_is_given_up(seed: int) -> None:
    async def play() -> None:
        async with Stage(busy(), seed=seed) as stage:
            await stage.until_trading()
            raise LookupError("a test that fails")

    with pytest.raises(LookupError):
        run_virtual(play())


def held() -> Counter[str]:
    """How many objects there are, by their class. What is frozen counts, too: `gc.get_objects` does not see it."""
    gc.collect()
    gc.collect()  # what was held by a weak reference to what the first pass freed
    assert gc.get_freeze_count() == 0
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


@pytest.mark.parametrize("day", [a_bad_day, a_day_by_hand, a_day_that_is_given_up])
def test_worlds_that_are_over_leave_no_growing_number_of_objects(day: Callable[[int], None]) -> None:
    for seed in range(WARM):
        day(seed)
    before = held()
    for seed in range(WARM, WARM + WORLDS):
        day(seed)
    more = held() - before
    assert {name: count for name, count in more.items() if name.startswith("allstop.")} == {}
    assert more.total() < WORLDS * STRAY, more.most_common(10)


def test_a_run_leaves_the_collector_as_it_found_it() -> None:
    assert gc.isenabled()
    a_bad_day(1)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
