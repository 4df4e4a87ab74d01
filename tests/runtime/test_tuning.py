"""What the runtime sets in the interpreter, and that it puts it back."""

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from allstop.actors.runtime import Actor, ActorSystem, FreeThreaded
from allstop.actors.runtime.tuning import SATURATED_INTERVAL_S, SWITCH_INTERVAL_S, hasten


@pytest.fixture(autouse=True)
def interval() -> Iterator[None]:
    gc.collect()  # a system that an earlier test did not close lets go of its setting
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before_s)


def shown() -> float:
    return round(sys.getswitchinterval(), 6)


async def test_the_switch_interval_is_short_while_a_system_runs() -> None:
    async with ActorSystem():
        assert shown() == SWITCH_INTERVAL_S
    assert shown() == 0.005


async def test_the_last_of_several_systems_puts_the_switch_interval_back() -> None:
    async with ActorSystem():
        async with ActorSystem():
            pass
        assert shown() == SWITCH_INTERVAL_S
    assert shown() == 0.005


async def test_a_system_that_is_never_closed_puts_back_what_it_set_when_it_is_collected() -> None:
    def forgets_to_close() -> None:
        async def main() -> None:
            system = ActorSystem(max_handler_s=None)  # no watchdog, which may hold it for a moment
            await system.start()
            system.freeze()
            assert shown() == SWITCH_INTERVAL_S

        asyncio.run(main())

    await asyncio.to_thread(forgets_to_close)
    gc.unfreeze()  # what is frozen, and in a cycle as a system is, is not collected
    gc.collect()
    assert shown() == 0.005
    async with ActorSystem() as system:
        system.freeze()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


async def test_a_shorter_interval_than_ours_is_left_alone() -> None:
    sys.setswitchinterval(0.00005)
    async with ActorSystem():
        assert shown() == 0.00005
    assert shown() == 0.00005


async def test_an_interval_that_the_application_sets_meanwhile_stays() -> None:
    async with ActorSystem():
        sys.setswitchinterval(0.002)
    assert shown() == 0.002


async def test_a_system_that_is_not_tuned_sets_nothing() -> None:
    async with ActorSystem(tuned=False):
        assert shown() == 0.005


async def test_what_exists_when_a_system_freezes_is_out_of_the_collectors_sight_until_it_closes() -> None:
    class Small(Actor):
        pass

    frozen_before = gc.get_freeze_count()
    async with ActorSystem() as system:
        for _ in range(1_000):
            await system.spawn(Small)
        system.freeze()
        frozen = gc.get_freeze_count()
        assert frozen - frozen_before > 1_000
        system.freeze()  # once is enough
        async with ActorSystem() as other:
            other.freeze()
        assert gc.get_freeze_count() >= frozen  # the first still wants it
    assert gc.get_freeze_count() == 0


@pytest.mark.virtual
async def test_with_virtual_time_nothing_is_frozen() -> None:
    before = gc.get_freeze_count()
    async with ActorSystem() as system:
        system.freeze()
        assert gc.get_freeze_count() == before


async def test_an_interpreter_without_its_lock_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(FreeThreaded, match=r"without its global lock.*PYTHON_GIL=1"):
        async with ActorSystem():
            pass
    assert shown() == 0.005


async def test_a_free_threaded_build_that_runs_with_its_lock_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    async with ActorSystem() as system:
        assert (await system.spawn(Actor)).is_alive()


async def test_a_system_that_is_collected_while_it_is_saturated_leaves_its_neighbours_their_interval() -> (
    None
):
    def saturates_and_forgets() -> None:
        async def main() -> None:
            system = ActorSystem(max_handler_s=None)
            await system.start()
            system.scheduler.hastened = True
            hasten(system.scheduler)
            assert shown() == SATURATED_INTERVAL_S

        asyncio.run(main())

    async with ActorSystem():
        await asyncio.to_thread(saturates_and_forgets)
        gc.collect()
        assert shown() == SWITCH_INTERVAL_S
