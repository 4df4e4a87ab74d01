"""xoscar: actors in the pool of this process, so without a socket between them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import xoscar
from tests.benchmarks.measuring import amount, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import GET, Library


class Counter(xoscar.Actor):
    def __init__(self) -> None:
        self.count = 0

    def tick(self, _message: Any) -> None:
        self.count += 1

    def get(self) -> int:
        return self.count


class Node(xoscar.Actor):
    def link(self, following: Any) -> None:
        self.following = following

    async def tick(self, left: int) -> None:
        if left:
            await self.following.tick.tell(left - 1)
        else:
            DONE[0].set()


DONE: list[Any] = []


async def cast(ref: Any, message: Any) -> None:
    await ref.tick.tell(message)


async def ask(ref: Any, message: Any) -> Any:
    """A tell is a task of its own there, so a question may overtake it: wait until nothing moves any more."""
    assert message is GET
    count = await ref.get()
    while True:
        await asyncio.sleep(0)
        again = await ref.get()
        if again == count:
            return count
        count = again


def run(workload: Callable[[Library], Awaitable[Any]], *, calls: bool = False) -> Any:
    silence()

    async def main() -> Any:
        pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
        async with pool:
            address = pool.external_address

            async def counter(_name: str) -> Any:
                return await xoscar.create_actor(Counter, address=address)

            async def get(ref: Any, _message: Any) -> Any:
                return await ref.get()

            async def nodes(count: int, done: Any) -> list[Any]:
                DONE.append(done)
                refs = [await xoscar.create_actor(Node, address=address) for _ in range(count)]
                for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
                    await ref.link(following)
                return refs

            async def stop(ref: Any) -> None:
                await ref.destroy()

            return await workload(Library(counter, cast, get if calls else ask, nodes, stop=stop))

    return asyncio.run(main())


def tell() -> float:
    return run(lambda peer: library.tell(peer, amount(5_000)))


def call() -> float:
    return run(library.call, calls=True)


def fan_out() -> dict[str, float]:
    return run(lambda peer: library.fan_out(peer, 4))


def ring() -> float:
    return run(lambda peer: library.ring(peer, 5_000))


def spawn() -> dict[str, float]:
    return run(lambda peer: library.spawn(peer, 500))
