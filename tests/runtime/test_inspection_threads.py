"""Looking from threads, and at threads, in real time."""

import asyncio
import threading

import pytest
from tests.runtime.keepers import Keeper, doing
from tests.runtime.puppet import ThreadPuppet, Witness

from allstop.actors.runtime import (
    ActorSystem,
    BlockingOnLoop,
    InspectionTimeout,
    NotOnLoop,
    inspection,
)


async def test_a_thread_that_is_in_a_handler_is_waited_for(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(ThreadPuppet, witness, path="/thread")
    entered, free = threading.Event(), threading.Event()
    ref.tell(doing(lambda _puppet: entered.set() or free.wait(10)))
    try:
        assert await asyncio.to_thread(entered.wait, 5)
        with pytest.raises(InspectionTimeout, match="its thread is in a handler"):
            await inspection.get_state(ref, timeout_s=0.05)
    finally:
        free.set()
    assert (await inspection.get_state(ref))["witness"] is witness


async def test_a_thread_asks_through_blocking(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    loop = asyncio.get_running_loop()
    state = await loop.run_in_executor(
        None, lambda: inspection.blocking(inspection.get_state, ref, timeout_s=1)
    )
    assert state == {"key": "hunter2", "count": 0}


async def test_blocking_on_the_loop_is_refused_and_names_the_alternative(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    with pytest.raises(BlockingOnLoop, match=r"await inspection\.get_state"):
        inspection.blocking(inspection.get_state, ref)


async def test_another_loop_is_told_to_block(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    loop = asyncio.get_running_loop()
    with pytest.raises(NotOnLoop, match=r"inspection\.blocking"):
        await loop.run_in_executor(None, lambda: asyncio.run(inspection.get_status(ref)))
