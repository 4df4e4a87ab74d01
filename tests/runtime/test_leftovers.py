"""Whoever gives up waiting leaves nothing behind, and whoever is killed runs no further than its next wait."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from allstop.actors.exits import SHUTDOWN
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    CallTimeout,
    Mailbox,
    MailboxFull,
    Overflow,
    Ref,
    inspection,
)
from allstop.actors.runtime.entrance import GIVEN_UP_MAX

# pyright: reportUnknownLambdaType=false

pytestmark = pytest.mark.virtual


class Plain(Actor):
    """Does what it is told to."""

    def on_receive(self, message: Callable[[Actor], Any]) -> Any:
        return message(self) if callable(message) else None


class Caller(Actor):
    """Calls another, and then has something to do that takes long."""

    def __init__(self, ran: list[str]) -> None:
        self.ran = ran

    async def on_receive(self, message: tuple[Ref, Callable[[Actor], Any]]) -> None:
        peer, task = message
        try:
            await peer.call(task)
        except ValueError:
            self.ran.append("the call failed")
        await asyncio.sleep(60)
        self.ran.append("ran on")


class Hung(Actor):
    mailbox = Mailbox(capacity=2, overflow=Overflow.BLOCK)

    async def on_receive(self, message: Any) -> None:
        await asyncio.sleep(1e6)


# -- ended from within one's own task: a plain handler that one calls runs inside the call -----------------------------
async def test_a_stop_by_an_actor_that_is_called_interrupts_the_caller_as_any_other_stop(
    system: ActorSystem,
) -> None:
    ran: list[str] = []
    caller, peer = await system.spawn(Caller, ran), await system.spawn(Plain)
    caller.tell((peer, lambda _peer: caller.stop(block=False)))
    await asyncio.sleep(0.01)
    assert not caller.is_alive()
    await asyncio.sleep(100)
    assert ran == []


async def test_a_crash_from_outside_by_an_actor_that_is_called_interrupts_the_caller(
    system: ActorSystem,
) -> None:
    ran: list[str] = []
    caller, peer = await system.spawn(Caller, ran), await system.spawn(Plain)
    caller.tell((peer, lambda _peer: system.crash(caller, ValueError("boom"))))
    await asyncio.sleep(0.01)
    assert not caller.is_alive()
    await asyncio.sleep(100)
    assert ran == []


async def test_a_kill_by_an_actor_that_is_called_ends_the_callers_task(system: ActorSystem) -> None:
    ran: list[str] = []
    caller, peer = await system.spawn(Caller, ran), await system.spawn(Plain)
    caller.tell((peer, lambda _peer: system.kill(caller)))
    await asyncio.sleep(0.01)
    assert not caller.is_alive()
    assert system.leaked == []
    await asyncio.sleep(100)
    assert ran == []


def _fail(_peer: Actor) -> None:
    raise ValueError("boom")


async def test_the_end_of_a_linked_actor_in_a_call_ends_the_callers_task(system: ActorSystem) -> None:
    ran: list[str] = []
    caller, peer = await system.spawn(Caller, ran), await system.spawn(Plain)
    peer.tell(lambda it: it.link(caller))
    await asyncio.sleep(0.01)
    caller.tell((peer, _fail))
    await asyncio.sleep(0.01)
    assert not caller.is_alive()
    await asyncio.sleep(100)
    assert ran == ["the call failed"]


class Suicidal(Actor):
    def __init__(self, ran: list[str], stubborn: bool = False) -> None:
        self.ran = ran
        self.stubborn = stubborn

    async def on_receive(self, message: Callable[[Actor], Any]) -> None:
        message(self)
        if self.stubborn:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(60)
        await asyncio.sleep(60)
        self.ran.append("ran on")


async def test_a_handler_that_kills_its_own_actor_ends_at_its_next_wait(system: ActorSystem) -> None:
    ran: list[str] = []
    actor = await system.spawn(Suicidal, ran)
    actor.tell(lambda it: it.system.kill(it.ref))
    await asyncio.sleep(0.01)
    assert (actor.is_alive(), system.leaked) == (False, [])
    await asyncio.sleep(100)
    assert ran == []


async def test_one_that_swallows_that_is_named(system: ActorSystem) -> None:
    actor = await system.spawn(Suicidal, [], True, path="/stubborn")
    actor.tell(lambda it: it.system.kill(it.ref))
    await asyncio.sleep(0.01)
    assert system.leaked == ["/stubborn#1"]


async def test_a_task_of_an_actor_that_kills_the_actor_ends_at_its_next_wait(system: ActorSystem) -> None:
    ran: list[str] = []

    async def pump(actor: Actor) -> None:
        actor.system.kill(actor.ref)
        await asyncio.sleep(60)
        ran.append("ran on")

    actor = await system.spawn(Plain)
    actor.tell(lambda it: it.start_task(pump(it), "pump") and None)
    await asyncio.sleep(0.01)
    assert not actor.is_alive()
    await asyncio.sleep(100)
    assert ran == []


def exits(actor: Actor) -> Any:
    return actor.exit()


def stops(actor: Actor) -> Any:
    return actor.ref.stop(block=False)


@pytest.mark.parametrize("ends", [exits, stops])
async def test_a_handler_that_ends_its_own_actor_in_order_is_heard_out(
    system: ActorSystem, ends: Callable[[Actor], Any]
) -> None:
    ran: list[str] = []
    actor = await system.spawn(Suicidal, ran)
    actor.tell(ends)
    await asyncio.sleep(200)
    assert (actor.is_alive(), ran) == (False, ["ran on"])


# -- giving up to wait -------------------------------------------------------------------------------------------------
async def test_who_gives_up_waiting_for_an_end_is_forgotten(system: ActorSystem) -> None:
    actor = await system.spawn(Plain)
    hung = await system.spawn(Hung)
    hung.tell("hang")
    await asyncio.sleep(0.01)
    waits = (
        lambda: system.ended(actor),
        lambda: inspection.get_state(hung, timeout_s=1000),
        lambda: system.stop(hung, SHUTDOWN, 1000, drain=True),
    )
    for wait in waits:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.01)
    assert actor.cell.own().end_waiters == []
    assert hung.cell.own().end_waiters == []


async def test_who_gives_up_at_a_full_mailbox_again_and_again_does_not_fill_the_memory(
    system: ActorSystem,
) -> None:
    hung = await system.spawn(Hung)
    for message in range(3):
        hung.tell(message)
        await asyncio.sleep(0)
    big = bytearray(1000)
    outcomes: set[type[BaseException]] = set()
    for number in range(GIVEN_UP_MAX + 10):
        try:
            if number % 2:
                await asyncio.wait_for(hung.put(big), 0.001)
            else:
                await hung.call(big, 0.001)
        except (TimeoutError, CallTimeout, MailboxFull) as error:
            outcomes.add(type(error))
    assert outcomes == {TimeoutError, CallTimeout, MailboxFull}
    assert len(hung.cell.queue) <= GIVEN_UP_MAX + Hung.mailbox.capacity


class Deferring(Actor):
    def on_receive(self, message: Any) -> Any:
        self.defer()  # and never answers: what it keeps of its callers, it drops by itself


async def test_deferred_answers_that_nobody_waits_for_any_more_are_dropped(system: ActorSystem) -> None:
    actor = await system.spawn(Deferring)
    kept = asyncio.ensure_future(actor.call("kept", 1e6))
    await asyncio.sleep(0)
    for number in range(5_000):
        with pytest.raises(CallTimeout):
            await actor.call(number, 0.001)
    assert len(actor.cell.own().replies) < 2_000
    system.kill(actor)
    with pytest.raises(ActorDead):
        await kept


async def test_what_is_observed_no_more_is_forgotten_on_both_sides(system: ActorSystem) -> None:
    def churns(actor: Actor) -> None:
        for _ in range(5):
            actor.demonitor(actor.monitor(target))
            actor.demonitor(actor.watch(target))
            actor.link(target)
            actor.unlink(target)

    target, watcher = await system.spawn(Plain, path="/target"), await system.spawn(Plain)
    watcher.tell(churns)
    await asyncio.sleep(0.01)
    mine, other = watcher.cell.own(), target.cell.own()
    assert (mine.monitoring, mine.links, other.monitored_by, other.links) == ({}, {}, {}, {})


async def test_an_address_that_stays_vacant_forgets_those_who_asked_after_it_and_ended(
    system: ActorSystem,
) -> None:
    target = system.address("/nobody")
    lasting = await system.spawn(Plain)
    await lasting.call(lambda it: it.monitor(target) and None)
    for _ in range(3_000):
        watcher = await system.spawn(Plain)
        await watcher.call(lambda it: it.monitor(target) and None)
        await system.stop(watcher)
    assert target._told is not None
    assert len(target._told) < 2_000
    assert lasting.cell in target._told


# -- times that are none -----------------------------------------------------------------------------------------------
@pytest.mark.req("253")
@pytest.mark.parametrize("nonsense", [float("nan"), -1, 10**400])
async def test_a_call_that_waits_for_no_time_that_there_is_fails_at_once(
    system: ActorSystem, nonsense: Any
) -> None:
    hung = await system.spawn(Hung)
    with pytest.raises(ValueError, match="seconds from 0 on"):
        await asyncio.wait_for(hung.call("x", nonsense), 1)


@pytest.mark.req("201")
async def test_a_stop_within_more_than_a_clock_can_add_stops_nothing(system: ActorSystem) -> None:
    actor = await system.spawn(Hung)
    with pytest.raises(ValueError, match="is not a time to stop in"):
        await system.stop(actor, timeout_s=10**400)
    assert actor.is_alive()


async def test_a_delay_that_is_no_number_is_refused(system: ActorSystem) -> None:
    actor = await system.spawn(Plain)
    with pytest.raises(ValueError, match="delay_s"):
        await actor.call(lambda it: it.send_after(float("nan"), "tick"))
