"""aioerl: asyncio tasks with a mailbox."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aioerl import receive, reply, send
from aioerl import spawn as start
from tests.benchmarks.measuring import amount, latencies, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import GET, Course, Library


async def counting() -> None:
    count = 0
    while True:
        message = await receive()
        if message.body == GET:
            await reply(count)
        else:
            count += 1


async def passing(done: Any) -> None:
    following = (await receive()).body
    while True:
        message = await receive()
        if message.body:
            await send(following, message.body - 1)
        else:
            done.set()


async def counter(_name: str) -> Any:
    return await start(counting())


async def ask(pid: Any, message: Any) -> Any:
    await send(pid, message)
    return (await receive()).body


async def nodes(count: int, done: Any) -> list[Any]:
    pids = [await start(passing(done)) for _ in range(count)]
    for pid, following in zip(pids, pids[1:] + pids[:1], strict=True):
        await send(pid, following)
    return pids


def run(workload: Callable[[Library], Awaitable[Any]]) -> Any:
    silence()

    async def main() -> Any:
        return await workload(Library(counter, send, ask, nodes))

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

        async def fragile() -> None:
            while True:
                message = await receive()
                if message.body == "crash":
                    raise course.crashed()
                course.first()
                await reply("up")

        pid = await start(fragile())
        await ask(pid, "first")
        while not course.done.is_set():
            await send(pid, "crash")
            await receive()  # the end of the child, which is told to its parent
            pid = await start(fragile())
            await ask(pid, "first")
        return latencies(course.took)

    return run(crashes)
