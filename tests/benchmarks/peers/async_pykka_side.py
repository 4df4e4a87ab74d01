"""async-pykka: pykka's interface on asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import async_pykka
from tests.benchmarks.measuring import amount, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import GET, Library


class Counter(async_pykka.AsyncioActor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def on_receive(self, message: Any) -> int:
        if message is GET:
            return self.count
        self.count += 1
        return 0


class Node(async_pykka.AsyncioActor):
    following: Any
    done: Any

    async def on_receive(self, message: Any) -> None:
        if isinstance(message, tuple):
            self.following, self.done = message
        elif message:
            self.following.tell(message - 1)
        else:
            self.done.set()


async def counter(_name: str) -> Any:
    return Counter.start()


async def nodes(count: int, done: Any) -> list[Any]:
    refs = [Node.start() for _ in range(count)]
    for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
        await ref.ask((following, done))
    return refs


async def ask(ref: Any, message: Any) -> Any:
    return await ref.ask(message)


async def stop(ref: Any) -> None:
    await ref.stop()


def tell_ref(ref: Any, message: Any) -> None:
    ref.tell(message)


def run(workload: Callable[[Library], Awaitable[Any]]) -> Any:
    silence()

    async def main() -> Any:
        return await workload(Library(counter, tell_ref, ask, nodes, casts_await=False, stop=stop))

    return asyncio.run(main())


def tell() -> float:
    return run(lambda peer: library.tell(peer, amount(200_000)))


def call() -> float:
    return run(library.call)


def fan_out() -> dict[str, float]:
    return run(lambda peer: library.fan_out(peer, 100))


def ring() -> float:
    return run(library.ring)


def spawn() -> dict[str, float]:
    return run(library.spawn)
