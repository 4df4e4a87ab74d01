"""Calls that wait share one timer per timeout."""

import asyncio
from typing import Any

import pytest

from allstop.actors.runtime import Actor, ActorSystem, CallTimeout
from allstop.actors.runtime.call_timeouts import LANES_MAX, CallTimeouts

pytestmark = pytest.mark.virtual


class Slow(Actor):
    """Answers after as many seconds as it is told; never, if they are negative."""

    async def on_receive(self, message: float) -> float:
        reply = self.defer()
        if message >= 0:
            self.start_task(self._answer(reply, message), "answer")
        return message

    async def _answer(self, reply: Any, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        reply.set(delay_s)


@pytest.mark.req("253")
async def test_every_call_ends_at_its_own_deadline(system: ActorSystem) -> None:
    loop = asyncio.get_running_loop()
    ref = await system.spawn(Slow)
    ended: list[float] = []

    async def caller(begin_s: float) -> None:
        await asyncio.sleep(begin_s)
        with pytest.raises(CallTimeout, match=r"did not answer within 5\.0 s"):
            await ref.call(-1)
        ended.append(loop.time())

    started_s = loop.time()
    await asyncio.gather(*(caller(begin_s) for begin_s in (0, 1, 1, 2.5)))
    assert [at_s - started_s for at_s in ended] == pytest.approx([5, 6, 6, 7.5])


async def test_an_answer_in_time_leaves_the_deadlines_of_others_as_they_are(system: ActorSystem) -> None:
    loop = asyncio.get_running_loop()
    ref = await system.spawn(Slow)
    first = asyncio.create_task(ref.call(0.5))
    await asyncio.sleep(1)
    started_s = loop.time()
    with pytest.raises(CallTimeout):
        await ref.call(-1)
    assert await first == 0.5
    assert loop.time() - started_s == pytest.approx(5)


async def test_a_shorter_timeout_ends_before_a_longer_one_that_waits_already(system: ActorSystem) -> None:
    loop = asyncio.get_running_loop()
    ref = await system.spawn(Slow)
    long = asyncio.create_task(ref.call(-1, timeout_s=60))
    await asyncio.sleep(0)
    started_s = loop.time()
    with pytest.raises(CallTimeout, match=r"0\.2 s"):
        await ref.call(-1, timeout_s=0.2)
    assert loop.time() - started_s == pytest.approx(0.2)
    with pytest.raises(CallTimeout):
        await long
    assert loop.time() - started_s == pytest.approx(60)


async def test_a_caller_that_gives_up_leaves_nothing_behind(system: ActorSystem) -> None:
    ref = await system.spawn(Slow)
    caller = asyncio.create_task(ref.call(-1))
    await asyncio.sleep(1)
    caller.cancel()
    await asyncio.sleep(0)
    assert not system.scheduler.call_timeouts.lane(5.0).waiting


async def test_timeouts_without_number_leave_no_lanes_without_number(system: ActorSystem) -> None:
    ref = await system.spawn(Slow)
    answers = [await ref.call(0.001, timeout_s=1 + number / 1000) for number in range(10 * LANES_MAX)]
    assert answers == [0.001] * (10 * LANES_MAX)
    with pytest.raises(CallTimeout):
        await ref.call(-1, timeout_s=77)
    assert len(system.scheduler.call_timeouts) <= LANES_MAX


async def test_a_call_that_has_a_lane_to_itself_times_out_too() -> None:
    loop = asyncio.get_running_loop()
    timeouts = CallTimeouts(loop)
    ref: Any = type("Ref", (), {"path": "/somebody"})()
    futures = [loop.create_future() for _ in range(LANES_MAX + 1)]
    for number, future in enumerate(futures):
        timeouts.lane(1.0 + number).add(future, ref)
    assert timeouts.lane(99.0).alone
    await asyncio.wait(futures)
    assert all(isinstance(future.exception(), CallTimeout) for future in futures)
    assert not timeouts.lane(99.0).alone  # the others are over: there is room again


@pytest.mark.parametrize("wrong", [-1, None, float("nan"), "5", True])
@pytest.mark.parametrize("busy", [False, True])
async def test_a_timeout_that_is_none_is_refused_before_anything_is_sent(
    system: ActorSystem, wrong: Any, busy: bool
) -> None:
    handled: list[object] = []

    class Notes(Actor):
        async def on_receive(self, message: object) -> None:
            await asyncio.sleep(1)
            handled.append(message)

    ref = await system.spawn(Notes)
    if busy:
        ref.tell("first")
        await asyncio.sleep(0)
    with pytest.raises((TypeError, ValueError), match="timeout_s"):
        await ref.call("second", timeout_s=wrong)
    await asyncio.sleep(5)
    assert "second" not in handled
