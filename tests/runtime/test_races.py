"""Many threads, many actors, no virtual time: nothing lost, nothing twice, one message at a time, each sender in order."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from allstop.actors.runtime import Actor, ActorDead, ActorSystem, Mailbox, ThreadActor

THREADS, EACH = 6, 5_000


@pytest.fixture(autouse=True)
def _switch_threads_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Recorder(Actor):
    mailbox = Mailbox(capacity=THREADS * EACH)

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.inside = 0

    def on_receive(self, message: Any) -> Any:
        self.inside += 1
        assert self.inside == 1, "two messages at a time"
        if message != "get":
            self.seen.append(message)
        self.inside -= 1
        return self.seen


class AsyncRecorder(Recorder):
    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, tuple) and message[1] % 50 == 0:
            self.inside += 1
            await asyncio.sleep(0)
            self.inside -= 1
        return Recorder.on_receive(self, message)


class ThreadRecorder(Recorder, ThreadActor):
    cell_class = ThreadActor.cell_class


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder, ThreadRecorder])
async def test_nothing_told_from_threads_is_lost_doubled_or_reordered(kind: type[Actor]) -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(kind)

        def send(sender: int) -> None:
            for number in range(EACH):
                ref.tell((sender, number))

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(THREADS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(0.001)
        seen = await ref.call("get", timeout_s=30)
        for sender in range(THREADS):
            assert [number for who, number in seen if who == sender] == list(range(EACH))


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder, ThreadRecorder])
async def test_every_message_is_handled_or_a_dead_letter_while_the_actor_is_killed_again_and_again(
    kind: type[Actor],
) -> None:
    handled: list[Any] = []

    class Counting(kind):
        def __init__(self) -> None:
            super().__init__()
            self.seen = handled

    async with ActorSystem() as system:
        lost: list[Any] = []
        system.dead_letters.subscribe(lambda letter: lost.append(letter.message))
        ref = await system.spawn(Counting, path="/child")

        def send(sender: int) -> None:
            for number in range(EACH):
                ref.tell((sender, number))

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            system.kill(ref)
            await system.spawn(Counting, path="/child")
            await asyncio.sleep(0.0005)
        while system.leaked:
            await asyncio.sleep(0.001)
        await ref.call("get", timeout_s=30)
        # A killed handler may have been suspended: that message was taken, and neither handled to its end nor waiting.
        missing = 3 * EACH - len(handled) - len(lost)
        assert missing == 0 if kind is not AsyncRecorder else 0 <= missing <= ref.incarnation
        assert len(set(handled) & set(lost)) == 0


async def test_asks_from_threads_all_end_when_the_system_closes() -> None:
    outcomes: list[Any] = []
    async with ActorSystem() as system:
        ref = await system.spawn(Recorder)

        def ask() -> None:
            try:
                while True:
                    outcomes.append(ref.ask((0, 0), timeout=30))
            except ActorDead as error:
                outcomes.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.sleep(0.05)
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(isinstance(outcome, ActorDead) for outcome in outcomes) == 4
