"""saturated loop, collector, busy thread: what everything else on the loop feels while actors work as fast as they can."""

import asyncio
import gc
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from tests.benchmarks.harness import RAW, Measure, Python, Workload
from tests.benchmarks.measuring import amount, expect, latencies, now_ns, percentile, run, settle
from tests.benchmarks.raw import Counter, wake_ups
from tests.benchmarks.workload_spawn import started
from tests.benchmarks.workload_tell import one_way

from allstop.actors.exits import Exit
from allstop.actors.runtime import Actor, ActorSystem
from allstop.actors.runtime.tuning import SATURATED_INTERVAL_S, SWITCH_INTERVAL_S

FLOODERS, IN_FLIGHT = 8, 64
EVERY_S = 0.002
SAMPLES = 300


class Flooder(Actor):
    """Tells itself each message again: its mailbox is never empty."""

    handled = 0

    def on_receive(self, message: object) -> None:
        self.handled += 1
        self.ref.tell(message)


class Stopped(Flooder):
    """Keeps how late the order to stop, which comes by the control lane, reached it."""

    sent_ns = 0

    def __init__(self, late: list[float]) -> None:
        self.late = late

    def on_stop(self, exit_: Exit) -> None:
        self.late.append(now_ns() - self.sent_ns)


def saturated() -> dict[str, float]:
    async def main() -> dict[str, float]:
        async with ActorSystem() as system:
            flooders = [await system.spawn(Flooder) for _ in range(FLOODERS)]
            for ref in flooders:
                for _ in range(IN_FLIGHT):
                    ref.tell("again")
            settle()
            began = now_ns()
            count = amount(SAMPLES)
            (socket_late, thread_late), timer_late = await asyncio.gather(_socket(count), _timers(count))
            control_late = await _control(system, amount(SAMPLES // 2))
            took = now_ns() - began
            handled = sum(ref.cell.actor.handled for ref in flooders)
            for ref in flooders:
                system.kill(ref)
            return {
                "socket": percentile(socket_late, 0.99) / 1e3,
                "timer": percentile(timer_late, 0.99) / 1e3,
                "thread": percentile(thread_late, 0.99) / 1e3,
                "control": percentile(control_late, 0.99) / 1e3,
                "load": handled / took * 1e9,
            }

    return run(main)


def plain_loop() -> dict[str, float]:
    """The same sockets and timers beside plain callbacks that keep the loop as busy, in turns as long as ours."""

    async def main() -> dict[str, float]:
        turn = _PlainTurn(await _turn_ns())
        settle()
        count = amount(SAMPLES)
        began, before = now_ns(), turn.counted
        turn.begin()
        (socket_late, thread_late), timer_late = await asyncio.gather(_socket(count), _timers(count))
        turn.over = True
        return {
            "socket": percentile(socket_late, 0.99) / 1e3,
            "timer": percentile(timer_late, 0.99) / 1e3,
            "thread": percentile(thread_late, 0.99) / 1e3,
            "load": (turn.counted - before) / (now_ns() - began) * 1e9,
        }

    return _at_our_switch_interval(main, SATURATED_INTERVAL_S)


async def _turn_ns() -> float:
    """How long a turn of the loop is while our actors saturate it: the shortest of some samples, for a host's pause in one
    would lengthen the turns of those that we are compared with."""
    async with ActorSystem() as system:
        refs = [await system.spawn(Flooder) for _ in range(FLOODERS)]
        for ref in refs:
            for _ in range(IN_FLIGHT):
                ref.tell("again")
        samples: list[float] = []
        for _ in range(20):
            began = now_ns()
            for _ in range(25):
                await asyncio.sleep(0)
            samples.append((now_ns() - began) / 25)
        for ref in refs:
            system.kill(ref)
        return min(samples)


class _PlainTurn:
    """A callback that hands messages round some deques for one turn, and asks the loop to call it again."""

    over = False

    def __init__(self, turn_ns: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.counters = [Counter() for _ in range(FLOODERS)]
        self.share = 1
        for counter in self.counters:
            counter.queue.extend(["again"] * IN_FLIGHT)
        took: list[int] = []
        for _ in range(100):
            began = now_ns()
            self.work(32)
            took.append(now_ns() - began)
        self.share = max(1, round(32 * turn_ns / min(took)))

    @property
    def counted(self) -> int:
        return sum(counter.count for counter in self.counters)

    def work(self, share: int) -> None:
        for counter in self.counters:
            append, take, handle = counter.queue.append, counter.queue.popleft, counter.handle
            for _ in range(share):
                message = take()
                handle(message)
                append(message)

    def begin(self) -> None:
        if not self.over:
            self.work(self.share)
            self.loop.call_soon(self.begin)


async def _socket(count: int) -> tuple[list[float], list[float]]:
    """Nanoseconds from the write of a thread to the callback that reads; and how late the thread is that writes, since it
    waits for the interpreter after each sleep."""
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    near.setblocking(False)
    late: list[float] = []
    thread_late: list[float] = []
    done = loop.create_future()
    read = threading.Event()

    def readable() -> None:
        late.append(now_ns() - int(near.recv(64)))
        read.set()
        if len(late) == count:
            done.set_result(None)

    def write() -> None:
        for _ in range(count):
            due = now_ns() + EVERY_S * 1e9
            time.sleep(EVERY_S)
            thread_late.append(max(0.0, now_ns() - due))
            read.clear()
            far.send(b"%d" % now_ns())
            read.wait(5)  # one at a time: two numbers in one read would be one wrong number

    loop.add_reader(near.fileno(), readable)
    thread = threading.Thread(target=write)
    thread.start()
    await asyncio.wait_for(done, 60)
    await asyncio.to_thread(thread.join)
    loop.remove_reader(near.fileno())
    near.close()
    far.close()
    return late, thread_late


async def _timers(count: int) -> list[float]:
    """Nanoseconds that a timer of two milliseconds was late. Loops keep time in milliseconds: an idle one is late, too."""
    late: list[float] = []
    for _ in range(count):
        due = now_ns() + EVERY_S * 1e9
        await asyncio.sleep(EVERY_S)
        late.append(max(0.0, now_ns() - due))
    return late


async def _control(system: ActorSystem, count: int) -> list[float]:
    """Nanoseconds from the stop of an actor with a full house to its on_stop."""
    late: list[float] = []
    for number in range(count):
        ref = await system.spawn(Stopped, late)
        for _ in range(IN_FLIGHT):
            ref.tell("again")
        await asyncio.sleep(EVERY_S)
        ref.cell.actor.sent_ns = now_ns()
        ref.stop(block=False)
        while len(late) == number:
            await asyncio.sleep(0)
    expect("stopped", len(late), count)
    return late


def gc_pause() -> float:
    """Microseconds of a full collection with 10,000 idle actors, after the freeze that follows a start: the median of 20."""

    async def main() -> float:
        async with ActorSystem() as system:
            refs, _ = await started(system, amount(10_000))
            system.freeze()
            try:
                pauses: list[float] = []
                for _ in range(20):
                    for ref in refs:
                        ref.tell("tick")  # what life after the freeze leaves behind is collected, too
                    await refs[-1].call("tick")
                    began = now_ns()
                    gc.collect()
                    pauses.append((now_ns() - began) / 1e3)
                return percentile(pauses, 0.5)
            finally:
                gc.unfreeze()

    return run(main)


def cpu_thread() -> dict[str, float]:
    """One way from a thread to an actor, a message each millisecond, while another thread computes without a break."""

    async def main() -> dict[str, float]:
        async with ActorSystem() as system:
            with _computing():
                return latencies(await one_way(system, amount(300), 0.001))

    return run(main)


def plain_cpu_thread() -> dict[str, float]:
    """The same by a bare call_soon_threadsafe, with the switch interval that we set."""

    async def main() -> dict[str, float]:
        with _computing():
            return latencies(await wake_ups(amount(300), 0.001))

    return _at_our_switch_interval(main, SWITCH_INTERVAL_S)


def _at_our_switch_interval(
    main: Callable[[], Coroutine[Any, Any, dict[str, float]]], interval_s: float
) -> dict[str, float]:
    """At Python's own a thread that has something for a busy loop waits for its turns, and a sample takes a second."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(interval_s)
    try:
        return run(main)
    finally:
        sys.setswitchinterval(before_s)


@contextmanager
def _computing() -> Generator[None, None, None]:
    stop = threading.Event()

    def compute() -> None:
        number = 0
        while not stop.is_set():
            for _ in range(1000):
                number += 1

    busy = threading.Thread(target=compute)
    busy.start()
    try:
        yield
    finally:
        stop.set()
        busy.join()


HERE = "tests.benchmarks.workload_saturated"
WORKLOADS = [
    Workload(
        name="saturated",
        slices=3,
        about="8 actors that never run out of messages; meanwhile a socket is written to, timers run, actors are stopped",
        measures=(
            Measure("socket", "us", more_is_better=False),
            Measure("timer", "us", more_is_better=False),
            Measure("thread", "us", more_is_better=False),
            Measure("control", "us", more_is_better=False),
            Measure("load", "messages/s"),
        ),
        ours=Python(f"{HERE}:saturated"),
        peers={RAW: Python(f"{HERE}:plain_loop", caveat="plain callbacks, in turns as long as ours")},
    ),
    Workload(
        name="gc-pause",
        unit="us",
        more_is_better=False,
        about="a full collection with 10,000 idle actors after system.freeze(), median of 20",
        ours=Python(f"{HERE}:gc_pause"),
    ),
    Workload(
        name="cpu-thread",
        slices=2,
        about="a message each millisecond from a thread to an actor, beside a thread that computes without a break",
        measures=(Measure("p50", "us", more_is_better=False), Measure("p99", "us", more_is_better=False)),
        ours=Python(f"{HERE}:cpu_thread"),
        peers={
            RAW: Python(f"{HERE}:plain_cpu_thread", caveat="call_soon_threadsafe, at our switch interval")
        },
    ),
]
