"""otpylib: gen_server and supervisor on its asyncio backend."""

import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from otpylib import gen_server, process, supervisor
from otpylib.module import GEN_SERVER, SUPERVISOR, OTPModule
from otpylib.runtime import set_runtime
from otpylib.runtime.backends.asyncio_backend.backend import AsyncIOBackend
from tests.benchmarks.measuring import amount, latencies, silence
from tests.benchmarks.peers import library
from tests.benchmarks.peers.library import Course, Library

WAIT_S = 90
RING: list[Any] = []
DONE: list[Any] = []
COURSE: list[Course] = []
STARTED: list[Any] = []


class Counter(metaclass=OTPModule, behavior=GEN_SERVER, version="1.0.0"):
    async def init(self, _args: Any) -> Any:
        return {"count": 0}

    async def handle_cast(self, _message: Any, state: Any) -> Any:
        state["count"] += 1
        return (gen_server.NoReply(), state)

    async def handle_call(self, _message: Any, _caller: Any, state: Any) -> Any:
        return (gen_server.Reply(state["count"]), state)

    async def handle_info(self, _message: Any, state: Any) -> Any:
        return (gen_server.NoReply(), state)

    async def terminate(self, _reason: Any, _state: Any) -> None:
        pass


class Node(metaclass=OTPModule, behavior=GEN_SERVER, version="1.0.0"):
    async def init(self, args: Any) -> Any:
        return args

    async def handle_cast(self, message: Any, state: Any) -> Any:
        if message:
            await gen_server.cast(RING[state], message - 1)
        else:
            DONE[0].set()
        return (gen_server.NoReply(), state)

    async def handle_call(self, message: Any, _caller: Any, state: Any) -> Any:
        return (gen_server.Reply(message), state)

    async def handle_info(self, _message: Any, state: Any) -> Any:
        return (gen_server.NoReply(), state)

    async def terminate(self, _reason: Any, _state: Any) -> None:
        pass


class Fragile(metaclass=OTPModule, behavior=GEN_SERVER, version="1.0.0"):
    async def init(self, _args: Any) -> Any:
        await gen_server.cast(process.self(), "first")
        return {}

    async def handle_cast(self, message: Any, state: Any) -> Any:
        if message == "crash":
            raise COURSE[0].crashed()
        COURSE[0].first()
        STARTED[0].set()
        return (gen_server.NoReply(), state)

    async def handle_call(self, message: Any, _caller: Any, state: Any) -> Any:
        return (gen_server.Reply(message), state)

    async def handle_info(self, _message: Any, state: Any) -> Any:
        return (gen_server.NoReply(), state)

    async def terminate(self, _reason: Any, _state: Any) -> None:
        pass


class Top(metaclass=OTPModule, behavior=SUPERVISOR, version="1.0.0"):
    async def init(self, _args: Any) -> Any:
        child = supervisor.child_spec(
            id="child", module=Fragile, args=None, restart=supervisor.PERMANENT, name="child"
        )
        options = supervisor.options(max_restarts=10**9, max_seconds=1, strategy=supervisor.ONE_FOR_ONE)
        return ([child], options)

    async def terminate(self, _reason: Any, _state: Any) -> None:
        pass


NAMES: dict[Any, str] = {}


async def counter(name: str) -> Any:
    pid = await gen_server.start(Counter, name=name)
    NAMES[pid] = name
    return pid


async def ask(pid: Any, message: Any) -> Any:
    return await gen_server.call(NAMES[pid], message)


async def nodes(count: int, done: Any) -> list[Any]:
    DONE.append(done)
    RING.extend([await gen_server.start(Node, (number + 1) % count) for number in range(count)])
    return RING


async def stop(pid: Any) -> None:
    await process.exit(pid, "shutdown")


def run(workload: Callable[[Library], Awaitable[Any]]) -> Any:
    """In a process of its own world; it prints at every crash, and hangs at its end after restarts."""
    silence()
    with contextlib.suppress(ImportError):
        from loguru import logger

        logger.remove()

    async def main() -> None:
        backend = AsyncIOBackend()
        await backend.initialize()
        set_runtime(backend)
        found = asyncio.get_running_loop().create_future()

        async def body() -> None:
            try:
                found.set_result(await workload(Library(counter, gen_server.cast, ask, nodes, stop=stop)))
            except Exception as error:  # noqa: BLE001 - it is raised outside
                found.set_exception(error)

        said = sys.stdout
        with contextlib.redirect_stdout(io.StringIO()):
            await process.spawn(body, mailbox=True)
            figures = await asyncio.wait_for(found, WAIT_S)
        figures = figures if isinstance(figures, dict) else {"": figures}
        print("FIGURES " + json.dumps(figures), file=said, flush=True)
        os._exit(0)

    return asyncio.run(main())


def tell() -> float:
    return run(lambda peer: library.tell(peer, amount(50_000)))


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
        COURSE.append(Course(asyncio.Event()))
        STARTED.append(asyncio.Event())
        await Top.start_link(init_arg=None, name="top")
        while not COURSE[0].done.is_set():
            await asyncio.wait_for(STARTED[0].wait(), 5)
            STARTED[0].clear()
            await asyncio.sleep(0.0005)  # a child that dies before its supervisor watches it is not restarted
            await gen_server.cast("child", "crash")
        return latencies(COURSE[0].took)

    return run(crashes)
