"""fauxtp: GenServer on anyio."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from fauxtp import GenServer, cast
from fauxtp import call as ask
from tests.benchmarks.measuring import amount, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import Library


class Counter(GenServer):
    async def init(self) -> Any:
        return 0

    async def handle_cast(self, request: Any, state: Any) -> Any:
        return state + 1

    async def handle_call(self, request: Any, from_ref: Any, state: Any) -> Any:
        return state, state


class Node(GenServer):
    async def handle_cast(self, request: Any, state: Any) -> Any:
        if isinstance(request, tuple):
            self.following, self.done = request
        elif request:
            await cast(self.following, request - 1)
        else:
            self.done.set()
        return state


async def ask_patiently(pid: Any, message: Any) -> Any:
    return await ask(pid, message, timeout=60)


def run(workload: Callable[[Library], Awaitable[Any]]) -> Any:
    silence()

    async def main() -> Any:
        async with anyio.create_task_group() as group:

            async def counter(_name: str) -> Any:
                return await Counter.start(task_group=group)

            async def nodes(count: int, done: Any) -> list[Any]:
                pids = [await Node.start(task_group=group) for _ in range(count)]
                for pid, following in zip(pids, pids[1:] + pids[:1], strict=True):
                    await cast(pid, (following, done))
                await anyio.sleep(0.05)
                return pids

            found = await workload(Library(counter, cast, ask_patiently, nodes))
            group.cancel_scope.cancel()
        return found

    return anyio.run(main)


def tell() -> float:
    return run(lambda peer: library.tell(peer, amount(10_000), breathe_every=100))


def call() -> float:
    return run(library.call)


def fan_out() -> dict[str, float]:
    return run(lambda peer: library.fan_out(peer, 10))


def ring() -> float:
    return run(lambda peer: library.ring(peer, 5_000))


def spawn() -> dict[str, float]:
    return run(lambda peer: library.spawn(peer, 1_000))
