import asyncio
import selectors
import time
from typing import Any

import pytest

from allstop.actors.runtime import ActorSystem, ThreadActor
from allstop.actors.runtime.virtual_time import VirtualTimeLoop, run_virtual

pytestmark = pytest.mark.virtual


async def test_an_hour_of_timers_takes_no_real_time() -> None:
    started = time.monotonic()
    loop = asyncio.get_running_loop()
    before_s = loop.time()
    for _ in range(3600):
        await asyncio.sleep(1.0)
    assert loop.time() - before_s == pytest.approx(3600.0)
    assert time.monotonic() - started < 5.0


async def test_timers_fire_in_the_order_of_their_times() -> None:
    order: list[int] = []
    loop = asyncio.get_running_loop()
    for delay in (5, 1, 3):
        loop.call_later(delay, order.append, delay)
    await asyncio.sleep(10)
    assert order == [1, 3, 5]


async def test_time_stands_still_while_a_thread_works_for_the_loop() -> None:
    loop = asyncio.get_running_loop()
    fired: list[float] = []
    loop.call_later(60, lambda: fired.append(loop.time()))
    before_s = loop.time()
    await loop.run_in_executor(None, time.sleep, 0.05)
    assert loop.time() == before_s
    assert not fired


async def test_time_moves_on_when_the_holder_lets_go() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    holder = object()
    loop.hold(holder)
    assert loop.held
    loop.release(holder)
    await asyncio.sleep(1000)
    assert loop.time() >= 1000


async def test_time_does_not_jump_past_what_a_thread_did_before_it_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread answers, and lets go, just when the loop found nothing to do."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    holder = object()
    answer = loop.create_future()
    look = selectors.DefaultSelector.select

    def look_and_be_overtaken(self: Any, timeout: float | None = None) -> Any:
        found = look(self, timeout)
        if not found and loop.held:
            loop.call_soon_threadsafe(answer.set_result, "in time")
            loop.release(holder)
        return found

    monkeypatch.setattr(selectors.DefaultSelector, "select", look_and_be_overtaken)
    loop.hold(holder)
    before_s = loop.time()
    async with asyncio.timeout(5):
        assert await answer == "in time"
    assert loop.time() == before_s


async def test_a_thread_that_got_mail_meanwhile_does_not_let_go() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    holder = object()
    loop.hold(holder)
    assert loop.release(holder, unless=["mail"]) is False
    assert loop.held
    assert loop.release(holder, unless=[]) is True
    assert not loop.held


def test_run_virtual_gives_back_what_the_coroutine_returns() -> None:
    async def day() -> str:
        await asyncio.sleep(86_400)
        return "done"

    assert run_virtual(day()) == "done"


async def test_mail_for_a_thread_that_is_gone_holds_no_time(system: ActorSystem) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    ref = await system.spawn(ThreadActor)
    cell = ref.cell
    await system.stop(ref)
    cell.thread.join(5.0)
    cell.queue.append("late")  # as a sender does that looked at the address before the end
    cell.added()
    assert not loop.held
    assert [letter.message for letter in system.dead_letters.recent()] == ["late"]
