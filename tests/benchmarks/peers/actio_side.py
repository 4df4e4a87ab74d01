"""actio: asyncio, in its standalone mode."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actio import Actor, ActorSystem
from actio.registry import LocalRegistry
from tests.benchmarks.measuring import amount, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import Library


class Counter(Actor):
    def __init__(self) -> None:
        self.count = 0

    async def receive(self, sender: Any, message: Any) -> None:
        if isinstance(message, asyncio.Future):
            message.set_result(self.count)
        else:
            self.count += 1


class Node(Actor):
    async def receive(self, sender: Any, message: Any) -> None:
        if isinstance(message, tuple):
            self.following, self.done = message
        elif message:
            self.tell(self.following, message - 1)
        else:
            self.done.set()


def run(workload: Callable[[Library], Awaitable[Any]]) -> Any:
    silence()

    async def main() -> Any:
        system: Any = ActorSystem(registry=LocalRegistry())
        loop = asyncio.get_running_loop()

        async def counter(name: str) -> Any:
            return system.create(Counter(), name=name)

        async def ask(ref: Any, _message: Any) -> Any:
            future = loop.create_future()
            system.tell(ref, future)
            return await future

        async def nodes(count: int, done: Any) -> list[Any]:
            refs = [system.create(Node(), name=f"node{number}") for number in range(count)]
            for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
                system.tell(ref, (following, done))
            await asyncio.sleep(0.01)
            return refs

        return await workload(Library(counter, system.tell, ask, nodes, casts_await=False))

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
