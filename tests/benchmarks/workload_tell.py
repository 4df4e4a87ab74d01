"""tell: a burst to one counter, from the loop, from another thread, and to a handler that is a coroutine function.

Our side runs with its defaults: bounded mailboxes with two lanes, dead letters, crash reports; uvloop where installed.
"""

import asyncio
import threading
import time
from typing import Any

from tests.benchmarks import peers
from tests.benchmarks.harness import BEAM, PYKKA, RAW, Beam, Measure, Python, Workload
from tests.benchmarks.measuring import amount, expect, latencies, now_ns, per_second, run, settle

from allstop.actors.runtime import Actor, ActorSystem, Mailbox

BURST = 1_000_001  # a burst is the workload: it has to fit
GET = "get"


class Counter(Actor):
    mailbox = Mailbox(capacity=BURST)

    def __init__(self) -> None:
        self.count = 0

    def on_receive(self, message: object) -> int:
        if message is GET:
            return self.count
        self.count += 1
        return 0


class Bare(Actor):
    """Counts, and does nothing else: the handler of the limit, too (raw.Counter)."""

    mailbox = Mailbox(capacity=BURST)

    def __init__(self) -> None:
        self.count = 0

    def on_receive(self, message: object) -> None:
        self.count += 1


class AsyncBare(Actor):
    mailbox = Mailbox(capacity=BURST)

    def __init__(self) -> None:
        self.count = 0

    async def on_receive(self, message: object) -> None:
        self.count += 1


def _burst(actor_class: type[Bare] | type[AsyncBare], count: int) -> float:
    async def main() -> float:
        async with ActorSystem() as system:
            ref = await system.spawn(actor_class)
            for _ in range(10):
                ref.tell("tick")
            await ref.call("tick")
            settle()
            started = now_ns()
            for _ in range(count):
                ref.tell("tick")
            await ref.call("tick", timeout_s=60)  # behind all the others
            took = now_ns() - started
            expect("handled", ref.cell.actor.count, 11 + count + 1)
            return per_second(count, took)

    return run(main)


def tell() -> float:
    return _burst(Bare, amount(1_000_000))


def async_tell() -> float:
    return _burst(AsyncBare, amount(300_000))


class Sink(Actor):
    """Counts down, and says when it is done."""

    mailbox = Mailbox(capacity=BURST)

    def __init__(self, left: int, done: "asyncio.Future[None]") -> None:
        self.left = left
        self.done = done

    def on_receive(self, message: object) -> None:
        self.left -= 1
        if not self.left:
            self.done.set_result(None)


class Timed(Actor):
    """Keeps how long each message, which is the time of its sending, took to come here."""

    def __init__(self, took: list[float], count: int, done: "asyncio.Future[None]") -> None:
        self.took = took
        self.count = count
        self.done = done

    def on_receive(self, message: int) -> None:
        self.took.append(now_ns() - message)
        if len(self.took) == self.count:
            self.done.set_result(None)


async def from_thread(produce: Any, done: "asyncio.Future[None]") -> int:
    """Nanoseconds from the start of a thread until `done`."""
    thread = threading.Thread(target=produce)
    started = now_ns()
    thread.start()
    await asyncio.wait_for(done, 60)
    took = now_ns() - started
    thread.join()
    return took


async def one_way(system: ActorSystem, count: int, pause_s: float) -> list[float]:
    """Nanoseconds from the tell of a thread to the handler, one message at a time."""
    took: list[float] = []
    done = asyncio.get_running_loop().create_future()
    ref = await system.spawn(Timed, took, count, done)

    def produce() -> None:
        for _ in range(count):
            time.sleep(pause_s)
            ref.tell(now_ns())

    await from_thread(produce, done)
    expect("arrived", len(took), count)
    return took


def thread_tell() -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with ActorSystem() as system:
            count = amount(500_000)
            done = asyncio.get_running_loop().create_future()
            ref = await system.spawn(Sink, count, done)
            settle()

            def produce() -> None:
                tell = ref.tell
                for _ in range(count):
                    tell("tick")

            took = await from_thread(produce, done)
            return {"rate": per_second(count, took)} | latencies(await one_way(system, amount(400), 0.0005))

    return run(main)


HERE = "tests.benchmarks.workload_tell"
WORKLOADS = [
    Workload(
        name="tell",
        slices=3,
        unit="messages/s",
        about="one burst of 1,000,000 messages to one counter, until it has counted them all",
        ours=Python(f"{HERE}:tell"),
        peers={
            RAW: Python("tests.benchmarks.raw:tell"),
            BEAM: Beam("tell"),
            PYKKA: Python("tests.benchmarks.threads:tell"),
            **peers.of("tell"),
        },
    ),
    Workload(
        name="async-tell",
        slices=3,
        unit="messages/s",
        about="a burst of 300,000 messages to an `async def` handler that does not suspend",
        ours=Python(f"{HERE}:async_tell"),
        peers={RAW: Python("tests.benchmarks.raw:async_tell")},
    ),
    Workload(
        name="thread-tell",
        slices=2,
        about="500,000 messages from another thread; then 400 single ones, half a millisecond apart, one way",
        measures=(
            Measure("rate", "messages/s"),
            Measure("p50", "us", more_is_better=False),
            Measure("p99", "us", more_is_better=False),
        ),
        ours=Python(f"{HERE}:thread_tell"),
        peers={
            RAW: Python("tests.benchmarks.raw:thread_tell"),
            PYKKA: Python("tests.benchmarks.threads:thread_tell"),
        },
    ),
]
