"""tell, call, ring and spawn: what the runtime costs, against pykka's threads and BEAM's processes.

Our side runs with its defaults: bounded mailboxes, crash reports on, uvloop where it is installed.
"""

import asyncio
import importlib.util
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pykka
from tests.benchmarks.harness import Beam, Python, Workload

from allstop.actors.runtime import Actor, ActorSystem, Mailbox, Ref

TELLS = 1_000_000
CALLS = 200_000
RING = 1_000
HOPS = 1_000_000
SPAWNS = 20_000
PYKKA_SCALE = 20  # pykka does a twentieth of the work: the rates are compared, and it would take minutes


def run(main: Callable[[], Coroutine[Any, Any, float]]) -> float:
    """On the loop that a user would take: uvloop where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.run(main())
    uvloop = importlib.import_module("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


class Counter(Actor):
    mailbox = Mailbox(capacity=TELLS)  # a burst is the workload: it has to fit

    def __init__(self) -> None:
        self.count = 0

    def on_receive(self, message: object) -> int:
        if message == "get":
            return self.count
        self.count += 1
        return 0


class Node(Actor):
    next: Ref
    done: "asyncio.Future[None]"

    def on_receive(self, message: int) -> None:
        if message:
            self.next.tell(message - 1)
        else:
            self.done.set_result(None)


class PykkaCounter(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: object) -> int:
        if message == "get":
            return self.count
        self.count += 1
        return 0


class PykkaNode(pykka.ThreadingActor):
    next: Any
    done: Any

    def on_receive(self, message: Any) -> None:
        if isinstance(message, tuple):
            self.next, self.done = message
        elif message:
            self.next.tell(message - 1)
        else:
            self.done.set()


def tell() -> float:
    async def main() -> float:
        async with ActorSystem() as system:
            ref = await system.spawn(Counter)
            for _ in range(1000):
                ref.tell("tick")
            warm = await ref.call("get", timeout_s=60)
            started = time.perf_counter()
            for _ in range(TELLS):
                ref.tell("tick")
            counted = await ref.call("get", timeout_s=60)
            seconds = time.perf_counter() - started
            assert counted == warm + TELLS
            return TELLS / seconds

    return run(main)


def pykka_tell() -> float:
    ref = PykkaCounter.start()
    count = TELLS // PYKKA_SCALE
    started = time.perf_counter()
    for _ in range(count):
        ref.tell("tick")
    assert ref.ask("get") == count
    seconds = time.perf_counter() - started
    ref.stop()
    return count / seconds


def call() -> float:
    async def main() -> float:
        async with ActorSystem() as system:
            ref = await system.spawn(Counter)
            for _ in range(1000):
                await ref.call("get")
            batches: list[float] = []
            for _ in range(20):
                started = time.perf_counter()
                for _ in range(CALLS // 20):
                    await ref.call("get")
                batches.append((time.perf_counter() - started) / (CALLS // 20))
            return statistics.median(batches) * 1e6

    return run(main)


def pykka_call() -> float:
    ref = PykkaCounter.start()
    count = CALLS // PYKKA_SCALE
    started = time.perf_counter()
    for _ in range(count):
        ref.ask("get")
    seconds = time.perf_counter() - started
    ref.stop()
    return seconds / count * 1e6


def ring() -> float:
    async def main() -> float:
        async with ActorSystem() as system:
            refs = [await system.spawn(Node) for _ in range(RING)]
            done = asyncio.get_running_loop().create_future()
            for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
                ref.cell.actor.next = following
                ref.cell.actor.done = done
            started = time.perf_counter()
            refs[0].tell(HOPS)
            await done
            return HOPS / (time.perf_counter() - started)

    return run(main)


def pykka_ring() -> float:
    import threading

    nodes, hops = RING // 10, HOPS // PYKKA_SCALE
    refs = [PykkaNode.start() for _ in range(nodes)]
    done = threading.Event()
    for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
        ref.ask((following, done))
    started = time.perf_counter()
    refs[0].tell(hops)
    done.wait(60)
    seconds = time.perf_counter() - started
    pykka.ActorRegistry.stop_all()
    return hops / seconds


class Idle(Actor):
    def __init__(self) -> None:
        self.count = 0


class PykkaIdle(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0


def spawn() -> float:
    async def main() -> float:
        async with ActorSystem() as system:
            for _ in range(1000):
                await system.stop(await system.spawn(Idle))
            started = time.perf_counter()
            refs = [await system.spawn(Idle) for _ in range(SPAWNS)]
            seconds = time.perf_counter() - started
            for ref in refs:
                system.kill(ref)
            return seconds / SPAWNS * 1e6

    return run(main)


def pykka_spawn() -> float:
    count = SPAWNS // PYKKA_SCALE
    started = time.perf_counter()
    for _ in range(count):
        PykkaIdle.start()
    seconds = time.perf_counter() - started
    pykka.ActorRegistry.stop_all()
    return seconds / count * 1e6


def _workload(name: str, unit: str, *, more_is_better: bool) -> Workload:
    here = "tests.benchmarks.workload_runtime"
    return Workload(
        name=name,
        unit=unit,
        more_is_better=more_is_better,
        ours=Python(f"{here}:{name}"),
        peers={"pykka ThreadingActor": Python(f"{here}:pykka_{name}"), "BEAM gen_server": Beam(name)},
    )


WORKLOADS = [
    _workload("tell", "messages/s", more_is_better=True),
    _workload("call", "us", more_is_better=False),
    _workload("ring", "hops/s", more_is_better=True),
    _workload("spawn", "us", more_is_better=False),
]
