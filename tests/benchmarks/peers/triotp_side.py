"""triotp: gen_server and supervisor on trio."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import logbook
import trio
from tests.benchmarks.measuring import amount, latencies, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import Course, Library
from triotp import gen_server, mailbox, supervisor


def module(**functions: Any) -> Any:
    return SimpleNamespace(__name__="module", **functions)


async def init(argument: Any) -> Any:
    return {"count": 0} if argument is None else argument


async def count_cast(_message: Any, state: Any) -> Any:
    state["count"] += 1
    return (gen_server.NoReply(), state)


async def count_call(_message: Any, _caller: Any, state: Any) -> Any:
    return (gen_server.Reply(payload=state["count"]), state)


async def node_cast(message: Any, state: Any) -> Any:
    if message:
        await gen_server.cast(state["following"], message - 1)
    else:
        state["done"].set()
    return (gen_server.NoReply(), state)


COUNTER = module(init=init, handle_cast=count_cast, handle_call=count_call)
NODE = module(init=init, handle_cast=node_cast)


def run(workload: Callable[[Library, Any], Awaitable[Any]]) -> Any:
    silence()
    logbook.NullHandler().push_application()
    found: list[Any] = []

    async def main() -> None:
        mailbox._init()
        async with trio.open_nursery() as nursery:

            async def started(what: Any, argument: Any, name: str) -> str:
                nursery.start_soon(lambda: gen_server.start(what, argument, name=name))
                for _ in range(3):
                    await trio.sleep(0)
                return name

            async def counter(name: str) -> str:
                return await started(COUNTER, None, name)

            async def nodes(count: int, done: Any) -> list[str]:
                return [
                    await started(
                        NODE, {"following": f"node{(number + 1) % count}", "done": done}, f"node{number}"
                    )
                    for number in range(count)
                ]

            peer = Library(
                counter, gen_server.cast, gen_server.call, nodes, pause=trio.sleep, event=trio.Event
            )
            found.append(await workload(peer, nursery))
            nursery.cancel_scope.cancel()

    trio.run(main)
    return found[0]


def tell() -> float:
    return run(lambda peer, _nursery: library.tell(peer, amount(10_000)))


def call() -> float:
    return run(lambda peer, _nursery: library.call(peer))


def fan_out() -> dict[str, float]:
    return run(lambda peer, _nursery: library.fan_out(peer, 10))


def ring() -> float:
    return run(lambda peer, _nursery: library.ring(peer, 5_000))


def restart() -> dict[str, float]:
    async def crashes(_peer: Library, nursery: Any) -> dict[str, float]:
        course = Course(trio.Event())

        async def send(message: str) -> None:
            await gen_server.cast("child", message)

        async def begin(_argument: Any) -> Any:
            nursery.start_soon(send, "first")
            return {}

        async def handle(message: Any, state: Any) -> Any:
            if message == "crash":
                raise course.crashed()
            if course.first():
                nursery.start_soon(send, "crash")
            return (gen_server.NoReply(), state)

        fragile = module(init=begin, handle_cast=handle)
        child = supervisor.child_spec(id="child", task=gen_server.start, args=[fragile, None, "child"])
        options = supervisor.options(max_restarts=10**9, max_seconds=1)
        nursery.start_soon(supervisor.start, [child], options)
        with trio.fail_after(60):
            await course.done.wait()
        return latencies(course.took)

    return run(crashes)
