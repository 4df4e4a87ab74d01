"""spawn: what an actor costs to start, to keep while it is idle, and to stop; and whether that grows with their number."""

import asyncio
import gc
from collections.abc import Generator
from contextlib import contextmanager

from tests.benchmarks import peers
from tests.benchmarks.harness import BEAM, PYKKA, Beam, Measure, Python, Workload
from tests.benchmarks.measuring import amount, expect, now_ns, rss_bytes, run, settle

from allstop.actors.runtime import Actor, ActorSystem, Ref


class Idle(Actor):
    def __init__(self) -> None:
        self.count = 0

    def on_receive(self, message: object) -> None:
        self.count += 1


async def started(system: ActorSystem, count: int) -> tuple[list[Ref], int]:
    """The actors, and nanoseconds."""
    refs: list[Ref] = []
    began = now_ns()
    for number in range(count):
        refs.append(await system.spawn(Idle))
        if number % 1000 == 0:
            await asyncio.sleep(
                0
            )  # a spawn does not give way; the watchdog tells who holds the loop for a second
    took = now_ns() - began
    expect("running", len(system.live_refs()), count)  # `actors()` would give each a path, and count that
    return refs, took


async def stopped(system: ActorSystem, refs: list[Ref]) -> int:
    """Nanoseconds to stop each in order, one after the other."""
    left = len(system.live_refs()) - len(refs)
    began = now_ns()
    for ref in refs:
        await system.stop(ref)
    took = now_ns() - began
    expect("running", len(system.live_refs()), left)
    return took


@contextmanager
def collecting() -> Generator[list[int], None, None]:
    """Gives a list of how many nanoseconds each pass of the garbage collector took meanwhile."""
    took: list[int] = []
    began = 0

    def watch(phase: str, _about: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = now_ns()
        else:
            took.append(now_ns() - began)

    gc.callbacks.append(watch)
    try:
        yield took
    finally:
        gc.callbacks.remove(watch)


def spawn() -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with ActorSystem() as system:
            refs, _ = await started(system, amount(1_000))
            await stopped(system, refs)
            few, many = amount(10_000), amount(100_000)
            del refs
            settle()
            with collecting() as collected_few:
                refs, start_few = await started(system, few)
            stop_few = await stopped(system, refs)
            del refs
            settle()
            before = rss_bytes()
            with collecting() as collected_many:
                refs, start_many = await started(system, many)
            held = (rss_bytes() - before) / many
            # As many as before, of ten times as many: what one costs must not depend on how many there are.
            stop_of_many = await stopped(system, refs[:few])
            for ref in refs:
                system.kill(ref)
            expect("dead letters", system.dead_letters.count, 0)
            return {
                "start": start_few / few / 1e3,
                "stop": stop_few / few / 1e3,
                "memory": held,
                "idle": held * 100_000 / 1e6,
                "start-10x": start_many / start_few,
                "start-10x-own": (start_many - sum(collected_many)) / (start_few - sum(collected_few)),
                "stop-10x": stop_of_many * 10 / stop_few,
            }

    return run(main)


WORKLOADS = [
    Workload(
        name="spawn",
        slices=2,
        about="starts and stops 10,000 actors; then starts 100,000, holds them idle and stops 10,000 of them",
        measures=(
            Measure("start", "us", more_is_better=False),
            Measure("stop", "us", more_is_better=False),
            Measure("memory", "bytes/actor", more_is_better=False),
            Measure("idle", "MB/100,000", more_is_better=False),
            Measure("start-10x", "times as long", more_is_better=False),
            Measure("start-10x-own", "times as long", more_is_better=False),
            Measure("stop-10x", "times as long", more_is_better=False),
        ),
        ours=Python("tests.benchmarks.workload_spawn:spawn"),
        peers={
            BEAM: Beam("spawn"),
            PYKKA: Python("tests.benchmarks.threads:spawn", caveat="500 threads"),
            **peers.of("spawn"),
        },
    ),
]
