"""A saturated loop starves nobody: what one turn of the loop may do is bounded, and runtime messages go first."""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from allstop.actors.exits import SHUTDOWN, ExitKind
from allstop.actors.runtime import Actor, ActorSystem, Down, Mailbox, Ref, ThreadActor, inspection
from allstop.actors.runtime.scheduler import BATCH, FIRST, TURN, TURN_NS

BACKLOG = 2_000


class Work:
    """What all actors of a test did, and what they did between two turns of the loop."""

    def __init__(self) -> None:
        self.done = 0
        self.of_turn: list[int] = []
        self._seen = 0

    def watch(self, turns: int) -> "asyncio.Future[None]":
        """Looks once per turn of the loop, as a socket's callback would."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def look(left: int) -> None:
            self.of_turn.append(self.done - self._seen)
            self._seen = self.done
            if left:
                loop.call_soon(look, left - 1)
            else:
                over.set_result(None)

        loop.call_soon(look, turns)
        return over


class Busy(Actor):
    mailbox = Mailbox(capacity=BACKLOG)

    def __init__(self, work: Work) -> None:
        self.work = work
        self.handled = 0
        self.downs: list[int] = []  # how many messages had been handled by all when a Down came
        self.stopped_at: int | None = None

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Down):
            self.downs.append(self.work.done)
            return None
        self.work.done += 1
        self.handled += 1
        return self.handled

    def on_stop(self, exit_: Any) -> None:
        self.stopped_at = self.work.done


class AsyncBusy(Busy):
    async def on_receive(self, message: Any) -> Any:
        return super().on_receive(message)


class Idle(Actor):
    pass


async def crowd(system: ActorSystem, kind: type[Busy], count: int, work: Work) -> list[Ref]:
    """Busy actors, each with its task, if it needs one, and an empty mailbox. Their turns are counted, not timed."""
    system.scheduler.ticks_ns = int
    system.scheduler.fair_after = sys.maxsize
    refs = [await system.spawn(kind, work) for _ in range(count)]
    for ref in refs:
        await ref.call("warm up")
    return refs


def load(refs: list[Ref], each: int) -> None:
    for ref in refs:
        for number in range(each):
            ref.tell(number)


@pytest.mark.parametrize("kind", [Busy, AsyncBusy])
async def test_a_turn_of_a_saturated_loop_handles_a_bounded_number_of_messages(
    system: ActorSystem, kind: type[Busy]
) -> None:
    work = Work()
    refs = await crowd(system, kind, 200, work)
    load(refs, 200)
    await work.watch(turns=100)
    assert max(work.of_turn) <= 2 * (TURN + BATCH)  # a turn of the queue, and the tasks that it woke
    assert sum(work.of_turn[-50:]) >= 25 * (TURN - BATCH)  # and it is no trickle either


@pytest.mark.parametrize("kind", [Busy, AsyncBusy])
async def test_busy_actors_take_turns(system: ActorSystem, kind: type[Busy]) -> None:
    work = Work()
    refs = await crowd(system, kind, 10, work)
    load(refs, 1_000)
    while work.done < 5_000:
        await asyncio.sleep(0)
    counts = [ref.cell.actor.handled for ref in refs]
    assert max(counts) - min(counts) <= 2 * BATCH


async def test_told_messages_of_an_async_actor_keep_their_order_under_load(system: ActorSystem) -> None:
    seen: list[int] = []

    class Ordered(Actor):
        mailbox = Mailbox(capacity=BACKLOG)

        async def on_receive(self, message: int) -> None:
            seen.append(message)
            if message % 7 == 0:
                await asyncio.sleep(0)

    work = Work()
    load(await crowd(system, AsyncBusy, 20, work), 300)
    ref = await system.spawn(Ordered)
    for number in range(1_000):
        ref.tell(number)
        if number % 3 == 0:
            await asyncio.sleep(0)
    while len(seen) < 1_000:
        await asyncio.sleep(0)
    assert seen == list(range(1_000))


async def test_callers_that_never_suspend_share_the_turns_of_the_loop(system: ActorSystem) -> None:
    work = Work()
    ref = await system.spawn(Busy, work)
    made = [0] * 20

    async def caller(mine: int) -> None:
        while made[mine] < 2_000:
            await ref.call("now")
            made[mine] += 1

    tasks = [asyncio.create_task(caller(mine)) for mine in range(20)]
    await work.watch(turns=60)
    assert max(work.of_turn) <= 2 * TURN
    while min(made) < 600:
        await asyncio.sleep(0)
    assert max(made) - min(made) <= 3 * TURN
    for task in tasks:
        task.cancel()


async def test_a_caller_that_is_cancelled_while_it_waits_for_a_turn_holds_up_nobody(
    system: ActorSystem,
) -> None:
    ref = await system.spawn(Busy, Work())

    async def caller() -> int:
        for _ in range(3 * TURN):
            await ref.call("now")
        return 1

    tasks = [asyncio.create_task(caller()) for _ in range(5)]
    await asyncio.sleep(0)  # one of them used up the turn, and all wait
    tasks[0].cancel()
    tasks[1].cancel()
    assert await asyncio.wait_for(asyncio.gather(*tasks[2:]), 5) == [1, 1, 1]


@pytest.mark.req("254")
@pytest.mark.parametrize("kind", [Busy, AsyncBusy])
async def test_a_stop_of_a_busy_actor_on_a_saturated_loop_waits_for_no_backlog(
    system: ActorSystem, kind: type[Busy]
) -> None:
    work = Work()
    refs = await crowd(system, kind, 200, work)
    load(refs, 500)
    await asyncio.sleep(0)
    asked_at = work.done
    victim = refs[-1].cell.actor
    assert await system.stop(refs[-1]) == SHUTDOWN
    assert victim.stopped_at - asked_at <= 4 * (TURN + BATCH)  # of 100,000 that wait
    assert victim.handled <= 1 + 2 * BATCH
    assert system.dead_letters.count >= 500 - 2 * BATCH - 1


@pytest.mark.req("254")
@pytest.mark.parametrize("kind", [Busy, AsyncBusy])
async def test_a_down_to_a_busy_actor_on_a_saturated_loop_waits_for_no_backlog(
    system: ActorSystem, kind: type[Busy]
) -> None:
    work = Work()
    refs = await crowd(system, kind, 200, work)
    watched = await system.spawn(Idle)
    watcher = refs[-1].cell.actor
    watcher.monitor(watched)
    load(refs, 500)
    await asyncio.sleep(0)
    asked_at = work.done
    system.kill(watched)
    while not watcher.downs:
        await asyncio.sleep(0)
    assert watcher.downs[0] - asked_at <= 4 * (TURN + BATCH)
    assert watcher.handled < 400
    for ref in refs:
        assert await ref.call("the rest", timeout_s=60) == 502  # nothing was lost, and nothing handled twice


async def test_many_downs_at_once_do_not_hold_the_loop(system: ActorSystem) -> None:
    work = Work()
    refs = await crowd(system, Busy, 20, work)
    watcher = refs[0].cell.actor
    watched = [await system.spawn(Idle) for _ in range(1_000)]
    for ref in watched:
        watcher.monitor(ref)
    load(refs, 500)
    of_turn: list[int] = []
    turn = _count_per_turn(of_turn, lambda: len(watcher.downs))
    for ref in watched:
        system.kill(ref)
    while len(watcher.downs) < 1_000:
        await asyncio.sleep(0)
    turn.cancel()
    assert max(of_turn) <= 2 * (TURN + BATCH)


def _count_per_turn(of_turn: list[int], count: Callable[[], int]) -> "asyncio.Task[None]":
    async def look() -> None:
        seen = count()
        while True:
            await asyncio.sleep(0)
            now = count()
            of_turn.append(now - seen)
            seen = now

    return asyncio.create_task(look())


async def test_a_killed_actor_that_hurried_is_left_alone(system: ActorSystem) -> None:
    work = Work()
    refs = await crowd(system, Busy, 50, work)
    load(refs, 100)
    stopping = asyncio.create_task(system.stop(refs[0]))
    await asyncio.sleep(0)
    system.kill(refs[0])
    assert (await stopping).kind in (ExitKind.KILLED, ExitKind.SHUTDOWN)
    for ref in refs[1:]:
        assert await ref.call("the rest", timeout_s=60) == 102


async def test_an_async_actor_that_is_killed_while_it_waits_for_its_turn_leaves_only_its_mail(
    system: ActorSystem,
) -> None:
    work = Work()
    (ref,) = await crowd(system, AsyncBusy, 1, work)
    load([ref], 2 * TURN)
    cell = ref.cell
    while cell.pause is None:
        await asyncio.sleep(0)
    system.kill(ref)
    while system.leaked:
        await asyncio.sleep(0)
    assert work.done + system.dead_letters.count == 1 + 2 * TURN
    assert all(isinstance(letter.message, int) for letter in system.dead_letters.recent())


@pytest.mark.req("222", "254")
@pytest.mark.parametrize("kind", [Busy, AsyncBusy])
async def test_a_question_to_a_busy_actor_on_a_saturated_loop_waits_for_no_backlog(
    system: ActorSystem, kind: type[Busy]
) -> None:
    work = Work()
    refs = await crowd(system, kind, 200, work)
    load(refs, 500)
    await asyncio.sleep(0)
    asked_at = work.done
    seen = (await inspection.get_state(refs[-1]))["handled"]
    assert work.done - asked_at <= 4 * (TURN + BATCH)
    assert seen < 400
    for ref in refs:
        assert await ref.call("the rest", timeout_s=60) == 502


# -- the same on a thread -----------------------------------------------------------------------------------------------
class BusyThread(ThreadActor):
    """Holds its thread in the first message, so that what comes meanwhile is its backlog."""

    mailbox = Mailbox(capacity=BACKLOG)

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()
        self.handled: list[Any] = []
        self.stopped_after: int | None = None

    def on_receive(self, message: Any) -> Any:
        if message == "hold":
            self.entered.set()
            assert self.release.wait(20)
        self.handled.append(message)
        return len(self.handled)

    def on_stop(self, exit_: Any) -> None:
        self.stopped_after = len(self.handled)


async def held(system: ActorSystem) -> tuple[Ref, BusyThread]:
    """A thread actor in its first message, with a backlog behind it."""
    ref = await system.spawn(BusyThread)
    actor = ref.cell.actor
    ref.tell("hold")
    assert await asyncio.to_thread(actor.entered.wait, 20)
    load([ref], BACKLOG - 10)
    return ref, actor


@pytest.mark.req("254")
async def test_a_stop_of_a_thread_actor_waits_for_no_backlog(system: ActorSystem) -> None:
    ref, actor = await held(system)
    stopping = asyncio.create_task(system.stop(ref))
    await asyncio.sleep(0)
    actor.release.set()
    assert await stopping == SHUTDOWN
    assert (actor.handled, actor.stopped_after) == (["hold"], 1)
    assert system.dead_letters.count == BACKLOG - 10


@pytest.mark.req("254")
async def test_a_down_to_a_thread_actor_waits_for_no_backlog(system: ActorSystem) -> None:
    watched = await system.spawn(Idle)
    ref, actor = await held(system)
    actor.monitor(watched)
    system.kill(watched)
    actor.release.set()
    assert await ref.call("the rest", timeout_s=60) == BACKLOG - 10 + 3
    assert isinstance(actor.handled[1], Down)


@pytest.mark.req("222", "254")
async def test_a_question_to_a_thread_actor_waits_for_no_backlog(system: ActorSystem) -> None:
    ref, actor = await held(system)
    asking = asyncio.create_task(inspection.get_state(ref, timeout_s=30))
    while not ref.cell.control:
        await asyncio.sleep(0)
    actor.release.set()
    assert "hold" in str((await asking)["handled"])
    assert await ref.call("the rest", timeout_s=60) == BACKLOG - 10 + 2


# -- slow handlers ------------------------------------------------------------------------------------------------------
class Slow(Busy):
    """Each message takes so long, on the clock by which turns are measured."""

    now_ns = 0
    each_ns = 50_000

    def on_receive(self, message: Any) -> Any:
        Slow.now_ns += Slow.each_ns
        return super().on_receive(message)


async def test_a_turn_of_slow_handlers_is_bounded_in_time_and_grows_again_when_they_are_quick(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slow, "now_ns", 0)
    monkeypatch.setattr(Slow, "each_ns", 50_000)
    work = Work()
    refs = await crowd(system, Slow, 8, work)
    system.scheduler.ticks_ns = lambda: Slow.now_ns
    load(refs, 200)
    await work.watch(20)
    turn_max = 2 * TURN_NS // Slow.each_ns  # its budget, and what is left of the last actor's share
    assert 0 < max(work.of_turn[2:]) <= turn_max
    monkeypatch.setattr(Slow, "each_ns", 100)
    work.of_turn.clear()
    await work.watch(20)
    assert max(work.of_turn) > TURN // 2


async def test_a_burst_after_a_quiet_time_begins_with_few_messages_and_every_longer_turn_is_timed(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slow, "now_ns", 1)
    monkeypatch.setattr(Slow, "each_ns", 1)
    work = Work()
    refs = await crowd(system, Slow, 8, work)
    system.scheduler.ticks_ns = lambda: Slow.now_ns
    load(refs[:1], 1)
    await work.watch(2)  # one quick message: the next turns go untimed
    monkeypatch.setattr(Slow, "each_ns", 2 * TURN_NS)
    work.of_turn.clear()
    load(refs, 200)
    await work.watch(20)
    assert max(work.of_turn) <= FIRST + 1  # the message that rode in the run queue is one more
    assert max(work.of_turn[3:]) <= 2


async def test_a_lone_async_actor_may_use_the_whole_turn_unless_it_is_slow(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = 0
    work = Work()
    (ref,) = await crowd(system, AsyncBusy, 1, work)
    load([ref], 4 * TURN)
    await work.watch(10)
    assert max(work.of_turn) == TURN

    class SlowAsync(AsyncBusy):
        async def on_receive(self, message: Any) -> Any:
            nonlocal now_ns
            now_ns += 50_000
            return await super().on_receive(message)

    work = Work()
    (ref,) = await crowd(system, SlowAsync, 1, work)
    system.scheduler.ticks_ns = lambda: now_ns
    load([ref], 4 * TURN)
    await work.watch(10)
    assert BATCH <= max(work.of_turn) <= BATCH + 1
