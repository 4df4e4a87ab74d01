"""isolation: what a process of its own costs, and a thread of its own: a call there and back, tells in a row, a start.

The peers have no mailbox, no bound and no supervisor: they are what the machine lets two processes do at most in
Python. Both sides start a fresh interpreter; ours imports the runtime there.
"""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any, ClassVar

import msgspec
from tests.benchmarks.harness import RAW, Measure, Python, Workload
from tests.benchmarks.measuring import amount, expect, now_ns, per_second, percentile, run

from allstop.actors.runtime import Actor, ActorSystem, MailboxFull

POOL = "ProcessPoolExecutor"


class Quote(msgspec.Struct, frozen=True):
    pair: str
    bid: float
    ask: float


QUOTE = Quote("BTC/USD", 100.0, 100.5)


class Pricer(Actor):
    wire: ClassVar[tuple[type[Any], ...]] = (Quote,)

    def __init__(self) -> None:
        self.count = 0

    def on_receive(self, message: Any) -> Any:
        if message == "count":
            return self.count
        self.count += 1
        return message


def ours(isolation: str) -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with ActorSystem() as system:
            began = now_ns()
            ref = await system.spawn(Pricer, path="/pricer", isolation=isolation)
            start_ms = (now_ns() - began) / 1e6
            took: list[float] = []
            for _ in range(amount(3_000)):
                asked = now_ns()
                answer = await ref.call(QUOTE)
                took.append(now_ns() - asked)
                if answer != QUOTE:
                    expect("answer", answer, QUOTE)
            before, told = await ref.call("count"), amount(20_000)
            began = now_ns()
            for _ in range(told):
                while True:
                    try:
                        ref.tell(QUOTE)
                    except MailboxFull:
                        await asyncio.sleep(0)
                    else:
                        break
            expect("told", await _counted(ref) - before, told)
            rate = per_second(told, now_ns() - began)
            return {"round-trip": percentile(took, 0.5) / 1e3, "tells": rate, "start": start_ms}

    return run(main)


async def _counted(ref: Any) -> int:
    while True:
        try:
            return await ref.call("count", timeout_s=60)
        except MailboxFull:
            await asyncio.sleep(0)


def in_a_process() -> dict[str, float]:
    return ours("process")


def on_a_thread() -> dict[str, float]:
    return ours("thread")


def on_the_loop() -> dict[str, float]:
    return ours("loop")


def _echo(pipe: Any) -> None:
    """What the other process of the pipe runs: counts, and sends back what was called."""
    count = 0
    while True:
        called, message = pipe.recv()
        if message is None:
            return
        count += 1
        if called:
            pipe.send(count if message == "count" else message)


def over_a_pipe() -> dict[str, float]:
    """multiprocessing.Pipe and pickle, blocking, one message after the other: nothing in between."""
    context = multiprocessing.get_context("spawn")
    began = now_ns()
    here, there = context.Pipe()
    process = context.Process(target=_echo, args=(there,), daemon=True)
    process.start()
    here.send((True, QUOTE))
    here.recv()
    start_ms = (now_ns() - began) / 1e6
    took: list[float] = []
    for _ in range(amount(3_000)):
        asked = now_ns()
        here.send((True, QUOTE))
        answer = here.recv()
        took.append(now_ns() - asked)
        if answer != QUOTE:
            expect("answer", answer, QUOTE)
    told = amount(20_000)
    began = now_ns()
    for _ in range(told):
        here.send((False, QUOTE))
    here.send((True, "count"))
    expect("told", here.recv(), told + len(took) + 2)
    rate = per_second(told, now_ns() - began)
    here.send((False, None))
    process.join(10)
    here.close()
    there.close()
    process.close()
    return {"round-trip": percentile(took, 0.5) / 1e3, "tells": rate, "start": start_ms}


def _same(message: Any) -> Any:
    return message


def in_a_pool() -> dict[str, float]:
    """concurrent.futures with one worker: what one reaches for without actors."""
    began = now_ns()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(_same, QUOTE).result()
        start_ms = (now_ns() - began) / 1e6
        took: list[float] = []
        for _ in range(amount(1_000)):
            asked = now_ns()
            answer = pool.submit(_same, QUOTE).result()
            took.append(now_ns() - asked)
            if answer != QUOTE:
                expect("answer", answer, QUOTE)
    return {"round-trip": percentile(took, 0.5) / 1e3, "start": start_ms}


WORKLOADS = [
    Workload(
        name="isolation",
        about="An actor in a process of its own: a call there and back, tells as fast as its bound takes them, a start.",
        measures=(
            Measure("round-trip", "us", more_is_better=False),
            Measure("tells", "messages/s"),
            Measure("start", "ms", more_is_better=False),
        ),
        ours=Python("tests.benchmarks.workload_isolation:in_a_process"),
        peers={
            RAW: Python(
                "tests.benchmarks.workload_isolation:over_a_pipe",
                caveat="multiprocessing.Pipe, blocking: no mailbox, no bound, no supervision",
            ),
            POOL: Python("tests.benchmarks.workload_isolation:in_a_pool"),
            "on a thread": Python("tests.benchmarks.workload_isolation:on_a_thread"),
            "on the loop": Python("tests.benchmarks.workload_isolation:on_the_loop"),
        },
    ),
]
