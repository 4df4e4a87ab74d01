"""call: a question and its answer; to an idle actor, through its mailbox, and from a thread that blocks meanwhile."""

import asyncio

from tests.benchmarks import peers as others
from tests.benchmarks.harness import BEAM, PYKKA, RAW, Beam, Python, Workload
from tests.benchmarks.measuring import amount, expect, now_ns, percentile, run
from tests.benchmarks.workload_tell import GET, Counter

from allstop.actors.runtime import ActorSystem

BATCH = 100  # reading the clock costs a tenth of a call


def call() -> float:
    """Microseconds per call of an idle actor: the median of batches."""

    async def main() -> float:
        async with ActorSystem() as system:
            ref = await system.spawn(Counter)
            for _ in range(amount(10_000)):
                await ref.call(GET)
            batches: list[float] = []
            for _ in range(amount(1_000)):
                started = now_ns()
                for _ in range(BATCH):
                    await ref.call(GET)
                batches.append((now_ns() - started) / BATCH)
            expect("told", await ref.call(GET), 0)
            return percentile(batches, 0.5) / 1e3

    return run(main)


def queued_call() -> float:
    """Microseconds per tell and call behind it, which goes through the mailbox: the median of batches."""

    async def main() -> float:
        async with ActorSystem() as system:
            ref = await system.spawn(Counter)
            size = amount(BATCH)
            asked = 0
            batches: list[float] = []
            for _ in range(amount(300)):
                started = now_ns()
                for _ in range(size):
                    ref.tell("tick")
                    counted = await ref.call(GET)
                    asked += 1
                    if counted != asked:
                        expect("counted", counted, asked)
                batches.append((now_ns() - started) / size)
            return percentile(batches, 0.5) / 1e3

    return run(main)


def ask() -> float:
    """Microseconds per blocking ask from a thread: the median of batches."""

    async def main() -> float:
        async with ActorSystem() as system:
            ref = await system.spawn(Counter)
            ref.tell("tick")
            batches: list[float] = []

            def block() -> None:
                for _ in range(amount(100)):
                    started = now_ns()
                    for _ in range(BATCH):
                        expect("answer", ref.ask(GET, timeout=60), 1)
                    batches.append((now_ns() - started) / BATCH)

            await asyncio.to_thread(block)
            return percentile(batches, 0.5) / 1e3

    return run(main)


def _workload(name: str, about: str, peers: dict[str, Python | Beam], slices: int = 1) -> Workload:
    ours = Python(f"tests.benchmarks.workload_call:{name.replace('-', '_')}")
    return Workload(
        name=name, unit="us", more_is_better=False, about=about, ours=ours, peers=peers, slices=slices
    )


WORKLOADS = [
    _workload(
        "call",
        "a call of an idle actor, median of 1,000 batches of 100",
        {BEAM: Beam("call"), PYKKA: Python("tests.benchmarks.threads:call"), **others.of("call")},
        slices=2,
    ),
    _workload(
        "queued-call",
        "a tell, and behind it a call that must wait its turn in the mailbox; raw: a deque, and a future set by call_soon",
        {RAW: Python("tests.benchmarks.raw:queued_call")},
        slices=5,
    ),
    _workload(
        "ask",
        "a thread asks and blocks until it has the answer",
        {PYKKA: Python("tests.benchmarks.threads:call")},
    ),
]
