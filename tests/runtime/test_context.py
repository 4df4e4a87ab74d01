"""Context variables go from sender to handler where a class asks for it, and nowhere else."""

import asyncio
import contextvars
from typing import Any, ClassVar

import pytest
import structlog

from allstop.actors.runtime import Actor, ActorSystem, Mailbox, Overflow, ThreadActor
from allstop.actors.spec import Stash

order = contextvars.ContextVar("order", default="none")


class Seer(Actor):
    context_per_message: ClassVar[bool] = True

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def on_receive(self, message: Any) -> Any:
        self.seen.append((message, order.get()))
        if message == "later":
            self.send_after(0.01, "fired")
        order.set("the handler's own")
        return order.get() if message == "own" else self.seen[-1][1]


class AsyncSeer(Seer):
    async def on_receive(self, message: Any) -> Any:
        before = order.get()
        async with asyncio.timeout(5):  # libraries see the actor's task
            await asyncio.sleep(0)
        assert order.get() == before
        return super().on_receive(message)


def in_context(value: str, function: Any, *args: Any) -> Any:
    context = contextvars.copy_context()
    context.run(order.set, value)
    return context.run(function, *args)


KINDS = pytest.mark.parametrize("kind", [Seer, AsyncSeer])


@KINDS
async def test_a_tell_brings_the_context_of_its_sender(system: ActorSystem, kind: type[Seer]) -> None:
    seen: list[Any] = []
    ref = await system.spawn(kind, seen)
    for value in ("A", "B", "C"):
        in_context(value, ref.tell, 1)
    assert await ref.call(2) == "none"  # what a handler sets goes with its message
    assert seen == [(1, "A"), (1, "B"), (1, "C"), (2, "none")]


@KINDS
async def test_a_call_brings_it_too(system: ActorSystem, kind: type[Seer]) -> None:
    ref = await system.spawn(kind, [])
    order.set("called")
    assert await ref.call("x") == "called"
    assert order.get() == "called"


@KINDS
async def test_an_ask_from_a_thread_brings_the_context_of_the_thread(
    system: ActorSystem, kind: type[Seer]
) -> None:
    ref = await system.spawn(kind, [])
    assert await asyncio.to_thread(in_context, "thread", lambda: ref.ask("x", timeout=10)) == "thread"


@KINDS
async def test_a_timer_brings_the_context_in_which_it_was_set(system: ActorSystem, kind: type[Seer]) -> None:
    seen: list[Any] = []
    ref = await system.spawn(kind, seen)
    in_context("T", ref.tell, "later")
    while len(seen) < 2:
        await asyncio.sleep(0.005)
    assert seen == [("later", "T"), ("fired", "T")]


async def test_without_asking_for_it_a_handler_sees_nobodys_context(system: ActorSystem) -> None:
    class Blind(Seer):
        context_per_message: ClassVar[bool] = False

    ref = await system.spawn(Blind, [])
    order.set("called")
    assert await ref.call("x") == "none"


async def test_what_structlog_binds_per_context_arrives(system: ActorSystem) -> None:
    class Logs(Actor):
        context_per_message: ClassVar[bool] = True

        async def on_receive(self, message: Any) -> Any:
            await asyncio.sleep(0)
            return dict(structlog.contextvars.get_contextvars())

    ref = await system.spawn(Logs)
    with structlog.contextvars.bound_contextvars(order_id="o-1"):
        assert await ref.call("x") == {"order_id": "o-1"}
    assert await ref.call("x") == {}


@KINDS
async def test_its_mail_becomes_dead_letters_as_it_was_told(system: ActorSystem, kind: type[Seer]) -> None:
    ref = await system.spawn(kind, [])
    for number in range(3):
        ref.tell(number)
    system.kill(ref)
    assert [letter.message for letter in system.dead_letters.recent()] == [0, 1, 2]
    await asyncio.sleep(0)


def _one(_message: object) -> str:
    return "one"


@KINDS
@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.CONFLATE])
async def test_the_bounds_hold(system: ActorSystem, kind: type[Seer], overflow: Overflow) -> None:
    seen: list[Any] = []
    key = _one if overflow is Overflow.CONFLATE else None
    boxed = type("Boxed", (kind,), {"mailbox": Mailbox(2, overflow, key)})
    ref = await system.spawn(boxed, seen)
    for number in range(5):
        in_context(str(number), ref.tell, number)
    while len(seen) < (1 if overflow is Overflow.CONFLATE else 2):
        await asyncio.sleep(0)
    expected = {Overflow.DROP_OLDEST: [3, 4], Overflow.DROP_NEWEST: [0, 1], Overflow.CONFLATE: [4]}[overflow]
    assert seen == [(number, str(number)) for number in expected]


@KINDS
async def test_nothing_told_from_threads_is_lost(system: ActorSystem, kind: type[Seer]) -> None:
    seen: list[Any] = []
    boxed = type("Boxed", (kind,), {"mailbox": Mailbox(100_000)})
    ref = await system.spawn(boxed, seen)

    def send(sender: int) -> None:
        order.set(str(sender))
        for number in range(2_000):
            ref.tell((sender, number))

    await asyncio.gather(*(asyncio.to_thread(send, sender) for sender in range(3)))
    await ref.call("end", timeout_s=30)
    for sender in range(3):
        mine = [(message[1], value) for message, value in seen[:-1] if message[0] == sender]
        assert mine == [(number, str(sender)) for number in range(2_000)]


@KINDS
async def test_a_stop_is_served_while_it_rests_or_is_busy(system: ActorSystem, kind: type[Seer]) -> None:
    ref = await system.spawn(kind, [])
    await ref.call("x")
    await asyncio.sleep(0)
    assert (await system.stop(ref)).kind.value == "shutdown"
    again = await system.spawn(kind, [])
    for number in range(500):
        again.tell(number)
    await system.stop(again)
    assert system.dead_letters.count > 300


def test_an_actor_on_a_thread_cannot_ask_for_it() -> None:
    with pytest.raises(TypeError, match="context_per_message is for plain actors on the loop"):

        class _Wrong(ThreadActor):  # pyright: ignore[reportUnusedClass]
            context_per_message: ClassVar[bool] = True


class Keeper(Seer):
    stash_capacity: ClassVar[int] = 5
    opened = False

    def on_receive(self, message: Any) -> Any:
        if message == "open":
            self.opened = True
            return self.unstash_all()
        if message == "wait":
            return self.set_receive_timeout(0, "timeout")
        return super().on_receive(message) if self.opened else self.stash()


async def test_what_was_stashed_is_handled_in_the_context_of_its_sender(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref = await system.spawn(Keeper, seen)
    in_context("told", ref.tell, "told")
    waiting: list[Any] = []
    in_context("called", lambda: waiting.append(asyncio.create_task(ref.call("called"))))
    await asyncio.sleep(0.01)
    in_context("opener", ref.tell, "open")
    assert await waiting[0] == "called"
    assert seen == [("told", "told"), ("called", "called")]


async def test_a_receive_timeout_of_zero_comes_in_the_context_that_set_it(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref = await system.spawn(Keeper, seen)
    ref.tell("open")
    in_context("patient", ref.tell, "wait")
    await asyncio.sleep(0.01)
    assert seen == [("timeout", "patient")]


async def test_what_waited_for_a_restart_is_handled_in_the_context_of_its_sender(system: ActorSystem) -> None:
    seen: list[Any] = []
    parent = await system.spawn(Seer, [])
    ref = await system.spawn(Seer, seen, path="/seer", parent=parent, while_down=Stash(5))
    system.kill(ref)
    in_context("patient", ref.tell, "x")
    await system.spawn(Seer, seen, path="/seer", parent=parent, while_down=Stash(5))
    await ref.call("y")
    assert seen == [("x", "patient"), ("y", "none")]
    system.kill(ref)
    ref.tell("lost")
    system.retire(ref)
    assert [letter.message for letter in system.dead_letters.recent()] == ["lost"]
