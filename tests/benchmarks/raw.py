"""The limits: the cheapest plain Python that has the same shape as a workload, without any actor system."""

import asyncio
import queue
import threading
import time
from collections import deque
from typing import Any

from tests.benchmarks import market
from tests.benchmarks.measuring import (
    ACTORS,
    amount,
    expect,
    latencies,
    now_ns,
    per_second,
    percentile,
    run,
    settle,
)


class Counter:
    __slots__ = ("count", "following", "queue")

    def __init__(self) -> None:
        self.count = 0
        self.queue: deque[Any] = deque()
        self.following: Counter | None = None

    def handle(self, message: object) -> None:
        self.count += 1


def tell() -> float:
    """A deque takes all messages, then each is taken and a method is called with it."""
    count = amount(1_000_000)
    counter = Counter()
    append, take, handle, waiting = counter.queue.append, counter.queue.popleft, counter.handle, counter.queue
    settle()
    started = now_ns()
    for _ in range(count):
        append("tick")
    while waiting:
        handle(take())
    took = now_ns() - started
    expect("handled", counter.count, count)
    return per_second(count, took)


def queued_call() -> float:
    """A message through a deque, and a future that a callback of the loop sets: microseconds at the median."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        counter = Counter()
        append, take, handle = counter.queue.append, counter.queue.popleft, counter.handle
        batches: list[float] = []
        size = amount(100)
        for _ in range(amount(300)):
            started = now_ns()
            for _ in range(size):
                append("tick")
                handle(take())
                future = loop.create_future()
                loop.call_soon(future.set_result, 1)
                await future
            batches.append((now_ns() - started) / size)
        return percentile(batches, 0.5) / 1e3

    return run(main)


def fan_out() -> dict[str, float]:
    """A thousand deques, one message each per round."""
    each = amount(1_000)
    counters = [Counter() for _ in range(ACTORS)]
    appends = [counter.queue.append for counter in counters]
    settle()
    started = now_ns()
    for _ in range(each):
        for append in appends:
            append("tick")
        for counter in counters:
            waiting, handle = counter.queue, counter.handle
            take = waiting.popleft
            while waiting:
                handle(take())
    took = now_ns() - started
    expect("handled", sum(counter.count for counter in counters), each * ACTORS)
    return {"out": per_second(each * ACTORS, took)}


def ring() -> float:
    """A run queue of nodes, each with a deque of its own."""
    hops = amount(1_000_000)
    nodes = [Counter() for _ in range(ACTORS)]
    for node, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        node.following = following
    ready: deque[Counter] = deque()

    def handle(node: Any, left: int) -> None:
        node.count += 1
        if left:
            node.following.queue.append(left - 1)
            ready.append(node.following)

    settle()
    started = now_ns()
    nodes[0].queue.append(hops)
    ready.append(nodes[0])
    while ready:
        node = ready.popleft()
        handle(node, node.queue.popleft())
    took = now_ns() - started
    expect("hops", sum(node.count for node in nodes), hops + 1)
    return per_second(hops, took)


def thread_tell() -> dict[str, float]:
    """SimpleQueue between two threads; and one bare call_soon_threadsafe per message, half a millisecond apart."""
    count = amount(500_000)
    box: queue.SimpleQueue[str] = queue.SimpleQueue()
    counter = Counter()
    handle, take = counter.handle, box.get

    def produce() -> None:
        put = box.put
        for _ in range(count):
            put("tick")

    thread = threading.Thread(target=produce)
    settle()
    started = now_ns()
    thread.start()
    for _ in range(count):
        handle(take())
    took = now_ns() - started
    thread.join()
    expect("handled", counter.count, count)
    return {"rate": per_second(count, took)} | latencies(run(lambda: wake_ups(amount(400), 0.0005)))


async def wake_ups(count: int, pause_s: float) -> list[float]:
    """Nanoseconds from a thread's call_soon_threadsafe to the callback, one at a time."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    done = loop.create_future()

    def arrived(sent_ns: int) -> None:
        took.append(now_ns() - sent_ns)
        if len(took) == count:
            done.set_result(None)

    def produce() -> None:
        for _ in range(count):
            time.sleep(pause_s)
            loop.call_soon_threadsafe(arrived, now_ns())

    thread = threading.Thread(target=produce)
    thread.start()
    await asyncio.wait_for(done, 60)
    thread.join()
    return took


def async_tell() -> float:
    """A bare await of a coroutine function that does not suspend."""

    async def main() -> float:
        count = amount(300_000)
        counted = 0

        async def handle(message: object) -> None:
            nonlocal counted
            counted += 1

        settle()
        started = now_ns()
        for _ in range(count):
            await handle("tick")
        took = now_ns() - started
        expect("handled", counted, count)
        return per_second(count, took)

    return run(main)


class Plain:
    """A stage that is told by calling it."""

    on: Any

    def tell(self, message: Any) -> None:
        self.on(message)


class PlainFeed(market.Feed, Plain):
    pass


class PlainStrategy(market.Strategy, Plain):
    pass


class PlainTracker(market.Tracker, Plain):
    pass


def pipeline() -> float:
    """The three stages of the pipeline as plain method calls."""
    count = amount(200_000, at_least=1000)
    tracker = PlainTracker()
    strategy = PlainStrategy(tracker)
    strategy.address = strategy
    feed = PlainFeed(strategy)
    settle()
    started = now_ns()
    for number in range(count):
        feed.tell(market.tick(number))
    took = now_ns() - started
    market.check(count, tracker.orders, strategy.acknowledged)
    return per_second(count, took)
