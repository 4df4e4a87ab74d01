"""fan-out and fan-in: one tells a thousand, a thousand tell one."""

import asyncio

from tests.benchmarks import peers
from tests.benchmarks.harness import BEAM, PYKKA, RAW, Beam, Measure, Python, Workload
from tests.benchmarks.measuring import ACTORS, amount, expect, now_ns, per_second, run, settle
from tests.benchmarks.workload_tell import GET, Counter, Sink

from allstop.actors.runtime import Actor, ActorSystem, Ref


class Worker(Actor):
    def __init__(self, sink: Ref, each: int) -> None:
        self.sink = sink
        self.each = each

    def on_receive(self, message: object) -> None:
        tell = self.sink.tell
        for _ in range(self.each):
            tell("tick")


def fan_out() -> dict[str, float]:
    async def main() -> dict[str, float]:
        each = amount(1_000)
        async with ActorSystem() as system:
            return {"out": await _out(system, each), "in": await _in(system, each)}

    return run(main)


async def _out(system: ActorSystem, each: int) -> float:
    """One message to each of the thousand, a turn of the loop, and again."""
    refs = [await system.spawn(Counter) for _ in range(ACTORS)]
    settle()
    started = now_ns()
    for _ in range(each):
        for ref in refs:
            ref.tell("tick")
        await asyncio.sleep(0)
    counted = [await ref.call(GET, timeout_s=60) for ref in refs]
    took = now_ns() - started
    expect("handled by each", set(counted), {each})
    for ref in refs:
        system.kill(ref)
    return per_second(each * ACTORS, took)


async def _in(system: ActorSystem, each: int) -> float:
    done = asyncio.get_running_loop().create_future()
    sink = await system.spawn(Sink, each * ACTORS, done)
    workers = [await system.spawn(Worker, sink, each) for _ in range(ACTORS)]
    settle()
    started = now_ns()
    for worker in workers:
        worker.tell("go")
    await asyncio.wait_for(done, 60)
    took = now_ns() - started
    expect("dead letters", system.dead_letters.count, 0)
    return per_second(each * ACTORS, took)


WORKLOADS = [
    Workload(
        name="fan-out",
        slices=2,
        about="1,000 messages to each of 1,000 counters in turn; then 1,000 actors tell one counter 1,000 each",
        measures=(Measure("out", "messages/s"), Measure("in", "messages/s")),
        ours=Python("tests.benchmarks.workload_fan:fan_out"),
        peers={
            RAW: Python("tests.benchmarks.raw:fan_out"),
            BEAM: Beam("fan_out"),
            PYKKA: Python("tests.benchmarks.threads:fan_out", caveat="a lottery of thread scheduling"),
            **peers.of("fan_out"),
        },
    ),
]
