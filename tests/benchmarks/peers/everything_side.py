"""everything-is-an-actor: asyncio, with supervision in Akka's way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actor_for_agents.actor import Actor
from actor_for_agents.supervision import OneForOneStrategy
from actor_for_agents.system import ActorSystem
from tests.benchmarks.measuring import amount, latencies, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import GET, Course, Library

MAILBOX = 10**8
TIMEOUT_S = 60


class Counter(Actor):
    def __init__(self) -> None:
        self.count = 0

    async def on_receive(self, message: Any) -> int:
        if message == GET:
            return self.count
        self.count += 1
        return 0


class Node(Actor):
    async def on_receive(self, message: Any) -> None:
        if isinstance(message, tuple):
            self.following, self.done = message
        elif message:
            await self.following.tell(message - 1)
        else:
            self.done.set()


async def cast(ref: Any, message: Any) -> None:
    await ref.tell(message)


async def ask(ref: Any, message: Any) -> Any:
    return await ref.ask(message, timeout=TIMEOUT_S)


async def stop(ref: Any) -> None:
    ref.stop()
    await ref.join()


def run(workload: Callable[[Library], Awaitable[Any]]) -> Any:
    silence()

    async def main() -> Any:
        system: Any = ActorSystem("bench")

        async def counter(name: str) -> Any:
            return await system.spawn(Counter, name, mailbox_size=MAILBOX)

        async def nodes(count: int, done: Any) -> list[Any]:
            refs = [await system.spawn(Node, f"node{number}") for number in range(count)]
            for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
                await ref.ask((following, done), timeout=TIMEOUT_S)
            return refs

        found = await workload(Library(counter, cast, ask, nodes, stop=stop))
        await system.shutdown()
        return found

    return asyncio.run(main())


def tell() -> float:
    return run(lambda peer: library.tell(peer, amount(100_000)))


def call() -> float:
    return run(library.call)


def fan_out() -> dict[str, float]:
    return run(library.fan_out)


def ring() -> float:
    return run(library.ring)


def spawn() -> dict[str, float]:
    return run(library.spawn)


def restart() -> dict[str, float]:
    async def crashes(_peer: Library) -> dict[str, float]:
        course = Course(asyncio.Event())

        class Fragile(Actor):
            async def on_started(self) -> None:
                await self.context.self_ref.tell("first")

            async def on_receive(self, message: Any) -> None:
                if message == "crash":
                    raise course.crashed()
                if course.first():
                    await self.context.self_ref.tell("crash")

        class Parent(Actor):
            def supervisor_strategy(self) -> Any:
                return OneForOneStrategy(max_restarts=10**9, within_seconds=1)

            async def on_started(self) -> None:
                await self.context.spawn(Fragile, "child")

            async def on_receive(self, message: Any) -> None:
                pass

        system: Any = ActorSystem("restart")
        await system.spawn(Parent, "parent")
        await asyncio.wait_for(course.done.wait(), TIMEOUT_S)
        return latencies(course.took)

    return run(crashes)
