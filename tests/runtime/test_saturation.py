"""A loop that never runs dry, and the threads that want the interpreter beside it. Time is counted by hand."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import pytest

from allstop.actors.runtime import Actor, ActorSystem, MailboxFull, Ref
from allstop.actors.runtime.scheduler import FAIR_AFTER, FAIR_NS, TURN
from allstop.actors.runtime.tuning import SATURATED_INTERVAL_S, SWITCH_INTERVAL_S

EACH_NS = 200  # of a handler: a turn of 256 takes a quarter of the time that a thread needs to get in


@pytest.fixture(autouse=True)
def interval() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before_s)


def shown() -> float:
    return round(sys.getswitchinterval(), 6)


class Endless(Actor):
    """Tells itself each message again, until it is told to stop that."""

    seen = 0
    dry = False

    def on_receive(self, message: object) -> None:
        self.seen += 1
        if not self.dry:
            self.ref.tell(message)


async def endless(system: ActorSystem) -> tuple[Ref, Endless]:
    ref = await system.spawn(Endless)
    actor: Endless = ref.cell.actor
    system.scheduler.ticks_ns = lambda: 1 + actor.seen * EACH_NS
    for _ in range(TURN):
        ref.tell("again")
    return ref, actor


async def turns(actor: Endless, count: int) -> list[int]:
    """How many messages each of the next turns handled."""
    handled: list[int] = []
    for _ in range(count):
        before = actor.seen
        await asyncio.sleep(0)
        handled.append(actor.seen - before)
    return handled


async def test_of_a_saturated_loop_every_eighth_turn_lasts_until_a_thread_that_waits_must_get_in() -> None:
    async with ActorSystem() as system:
        _, actor = await endless(system)
        await turns(actor, 3 * FAIR_AFTER)  # the pace grows
        handled = await turns(actor, 10 * FAIR_AFTER)
        long = [at for at, count in enumerate(handled) if count * EACH_NS >= FAIR_NS]
        assert {later - at for at, later in pairwise(long)} == {FAIR_AFTER}
        assert max(handled) * EACH_NS < FAIR_NS + TURN * EACH_NS  # and not longer
        assert {count for at, count in enumerate(handled) if at not in long} == {TURN}


async def test_a_loop_with_pauses_keeps_its_turns_short() -> None:
    async with ActorSystem() as system:
        _, actor = await endless(system)
        actor.dry = True
        for _ in range(10 * FAIR_AFTER):
            (handled,) = await turns(actor, 1)
            assert handled <= TURN
            await asyncio.sleep(0)
        assert shown() == SWITCH_INTERVAL_S


async def test_turns_that_are_long_by_themselves_are_not_made_longer() -> None:
    async with ActorSystem() as system:
        _, actor = await endless(system)
        system.scheduler.ticks_ns = lambda: 1 + actor.seen * FAIR_NS  # a slow handler
        await turns(actor, 3 * FAIR_AFTER)
        assert max(await turns(actor, 3 * FAIR_AFTER)) <= 3


async def test_work_that_tasks_do_is_not_handed_out_beyond_a_turn() -> None:
    class Async(Actor):
        done = 0

        async def on_receive(self, message: object) -> None:
            self.done += 1
            self.ref.tell(message)

    async with ActorSystem() as system:
        refs = [await system.spawn(Async) for _ in range(100)]
        system.scheduler.ticks_ns = lambda: 1  # handing out takes no time
        for ref in refs:
            for _ in range(64):
                ref.tell("again")
        handled: list[int] = []
        for _ in range(5 * FAIR_AFTER):
            before = sum(ref.cell.actor.done for ref in refs)
            await asyncio.sleep(0)
            handled.append(sum(ref.cell.actor.done for ref in refs) - before)
        assert max(handled[FAIR_AFTER:]) <= 2 * TURN
        for ref in refs:
            system.kill(ref)


async def test_the_switch_interval_is_shorter_while_a_loop_is_saturated() -> None:
    async with ActorSystem() as system:
        _, actor = await endless(system)
        await turns(actor, FAIR_AFTER)
        assert shown() == SWITCH_INTERVAL_S
        await turns(actor, 2)
        assert shown() == SATURATED_INTERVAL_S
        actor.dry = True
        await turns(actor, 3)
        assert shown() == SWITCH_INTERVAL_S
    assert shown() == 0.005


async def test_a_loop_that_runs_dry_within_a_long_turn_is_saturated_no_more() -> None:
    async with ActorSystem() as system:
        _, actor = await endless(system)
        while shown() == SWITCH_INTERVAL_S:
            await turns(actor, 1)
        while system.scheduler.saturated <= FAIR_AFTER:
            await turns(actor, 1)
        actor.dry = True
        await turns(actor, 3)
        assert shown() == SWITCH_INTERVAL_S


async def test_a_system_that_is_closed_while_it_is_saturated_puts_the_switch_interval_back() -> None:
    async with ActorSystem() as system:
        ref, actor = await endless(system)
        await turns(actor, 2 * FAIR_AFTER)
        assert shown() == SATURATED_INTERVAL_S
        system.kill(ref)
    assert shown() == 0.005


async def test_of_two_saturated_systems_the_last_one_puts_it_back() -> None:
    async with ActorSystem() as one, ActorSystem() as other:
        _, actor = await endless(one)
        _, also = await endless(other)
        await turns(actor, 2 * FAIR_AFTER)
        actor.dry = True
        await turns(actor, 3)
        assert shown() == SATURATED_INTERVAL_S
        also.dry = True
        await turns(also, 3)
        assert shown() == SWITCH_INTERVAL_S


@pytest.mark.parametrize("own_s", [0.00003, 0.002])
async def test_an_interval_that_the_application_set_is_left_alone_in_saturation_too(own_s: float) -> None:
    async with ActorSystem() as system:
        sys.setswitchinterval(own_s)
        _, actor = await endless(system)
        await turns(actor, 2 * FAIR_AFTER)
        assert shown() == own_s
        actor.dry = True
        await turns(actor, 3)
        assert shown() == own_s


async def test_a_system_that_is_not_tuned_has_no_long_turns() -> None:
    async with ActorSystem(tuned=False) as system:
        _, actor = await endless(system)
        await turns(actor, 3 * FAIR_AFTER)
        assert set(await turns(actor, 3 * FAIR_AFTER)) == {TURN}
        assert shown() == 0.005


@pytest.mark.virtual
async def test_in_virtual_time_every_turn_is_as_long() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(Endless)
        for _ in range(TURN):
            ref.tell("again")
        await turns(ref.cell.actor, 3 * FAIR_AFTER)
        assert set(await turns(ref.cell.actor, 3 * FAIR_AFTER)) == {TURN}
        system.kill(ref)


async def test_two_senders_that_wake_the_loop_at_once_do_not_make_it_run_twice_a_turn_for_ever() -> None:
    """A thread that tests whether the loop is armed may be overtaken by another before it arms it, or by the loop."""
    async with ActorSystem() as system:
        ref, actor = await endless(system)
        system.scheduler.fair_after = sys.maxsize
        for _ in range(5):
            system.scheduler.arm()
            await turns(actor, 3)
        assert set(await turns(actor, 3 * FAIR_AFTER)) == {TURN}
        system.kill(ref)


async def test_a_loop_that_many_threads_wake_beside_its_own_mail_runs_once_a_turn() -> None:
    """With real threads, which switch as often as can be: it was a dozen times a turn after two seconds."""

    class Idle(Actor):
        pass

    async with ActorSystem() as system:
        ref, actor = await endless(system)
        system.scheduler.fair_after = sys.maxsize
        sys.setswitchinterval(1e-6)
        others = [await system.spawn(Idle) for _ in range(2)]
        over = threading.Event()

        def tell(other: Ref) -> None:
            while not over.is_set():
                with suppress(MailboxFull):  # it waits its turn for longer than it takes to fill
                    other.tell("wake up")

        threads = [threading.Thread(target=tell, args=(other,)) for other in others]
        for thread in threads:
            thread.start()
        for _ in range(300):
            await asyncio.sleep(0)
        over.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await turns(actor, 5)
        assert max(await turns(actor, 20)) <= TURN
        system.kill(ref)


async def test_a_thread_comes_in_beside_a_saturated_loop() -> None:
    """With real time, and a bound that only starvation breaks: it was a third of a second each time."""
    async with ActorSystem() as system:
        ref = await system.spawn(Endless)
        for _ in range(TURN):
            ref.tell("again")
        done = threading.Event()

        def wants_in() -> None:
            for _ in range(30):
                done.wait(0.001)
            done.set()

        thread = threading.Thread(target=wants_in)
        thread.start()
        async with asyncio.timeout(30):
            while not done.is_set():
                await asyncio.sleep(0)
        thread.join()
        system.kill(ref)
