"""The pykka side of each workload: ThreadingActor, one thread per actor. It does a part of the work: rates are compared."""

import threading
import time
from typing import Any

import pykka
from tests.benchmarks import market
from tests.benchmarks.measuring import (
    amount,
    expect,
    latencies,
    now_ns,
    per_second,
    percentile,
    rss_bytes,
    settle,
    silence,
)

GET = "get"
WAIT_S = 60.0


class Threading(pykka.ThreadingActor):
    use_daemon_thread = True


class Counter(Threading):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: object) -> int:
        if message is GET:
            return self.count
        self.count += 1
        return 0


class Sink(Threading):
    """Counts down, and says when it is done."""

    def __init__(self, left: int, done: threading.Event) -> None:
        super().__init__()
        self.left = left
        self.done = done

    def on_receive(self, message: object) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()


class Worker(Threading):
    def __init__(self, sink: Any, each: int) -> None:
        super().__init__()
        self.sink = sink
        self.each = each

    def on_receive(self, message: object) -> None:
        for _ in range(self.each):
            self.sink.tell("tick")


class Node(Threading):
    following: Any
    done: Any

    def on_receive(self, message: Any) -> None:
        if isinstance(message, tuple):
            self.following, self.done = message
        elif message:
            self.following.tell(message - 1)
        else:
            self.done.set()


def tell() -> float:
    count = amount(50_000)
    ref = Counter.start()
    started = now_ns()
    for _ in range(count):
        ref.tell("tick")
    expect("handled", ref.ask(GET), count)
    took = now_ns() - started
    ref.stop()
    return per_second(count, took)


def call() -> float:
    """Microseconds per ask of an idle actor: the median of batches."""
    ref = Counter.start()
    ref.ask(GET)
    batches: list[float] = []
    for _ in range(amount(100)):
        started = now_ns()
        for _ in range(100):
            ref.ask(GET)
        batches.append((now_ns() - started) / 100)
    ref.stop()
    return percentile(batches, 0.5) / 1e3


def fan_out() -> dict[str, float]:
    """A thousand threads, each told `each` messages in turn; then a thousand that all tell one."""
    each, actors = amount(10), amount(1000)
    refs = [Counter.start() for _ in range(actors)]
    started = now_ns()
    for _ in range(each):
        for ref in refs:
            ref.tell("tick")
    counted: list[Any] = [ref.ask(GET) for ref in refs]
    expect("handled by each", set(counted), {each})
    out = per_second(each * actors, now_ns() - started)
    for future in [ref.stop(block=False) for ref in refs]:
        future.get(timeout=WAIT_S)

    done = threading.Event()
    sink = Sink.start(each * actors, done)
    workers = [Worker.start(sink, each) for _ in range(actors)]
    started = now_ns()
    for worker in workers:
        worker.tell("go")
    expect("all arrived", done.wait(WAIT_S), True)
    into = per_second(each * actors, now_ns() - started)
    for future in [ref.stop(block=False) for ref in (*workers, sink)]:
        future.get(timeout=WAIT_S)
    return {"out": out, "in": into}


def spawn() -> dict[str, float]:
    count = amount(500)
    Counter.start().ask(GET)
    settle()
    before = rss_bytes()
    started = now_ns()
    refs = [Counter.start() for _ in range(count)]
    refs[-1].ask(GET)
    start_us = (now_ns() - started) / count / 1e3
    held = (rss_bytes() - before) / count
    started = now_ns()
    for future in [ref.stop(block=False) for ref in refs]:
        future.get(timeout=WAIT_S)
    stop_us = (now_ns() - started) / count / 1e3
    pykka.ActorRegistry.stop_all()
    return {"start": start_us, "stop": stop_us, "memory": held}


def restart() -> dict[str, float]:
    """pykka has no supervisor: a new actor is started in `on_failure`, the least that a user would write."""
    silence()
    count = amount(1_000)
    took: list[float] = []
    crashed_ns = 0
    done = threading.Event()

    class Fragile(Threading):
        def on_receive(self, message: object) -> None:
            nonlocal crashed_ns
            if message == "crash":
                crashed_ns = now_ns()
                raise ValueError("asked to")
            if crashed_ns:
                took.append(now_ns() - crashed_ns)
            if len(took) == count:
                done.set()
            else:
                self.actor_ref.tell("crash")

        def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
            Fragile.start().tell("first")

    Fragile.start().tell("first")
    expect("all restarted", done.wait(WAIT_S), True)
    pykka.ActorRegistry.stop_all()
    return latencies(took)


def ring() -> float:
    """A hundred nodes: a thousand threads that wake each other measure the kernel."""
    hops = amount(20_000)
    refs = [Node.start() for _ in range(100)]
    done = threading.Event()
    for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
        ref.ask((following, done))
    started = now_ns()
    refs[0].tell(hops)
    expect("came round", done.wait(WAIT_S), True)
    took = now_ns() - started
    for ref in refs:
        ref.stop()
    return per_second(hops, took)


def thread_tell() -> dict[str, float]:
    """Every tell of pykka is one from another thread; the latency of a sleeping actor is that of its queue."""
    took: list[float] = []

    class Timed(Threading):
        def on_receive(self, message: int) -> None:
            took.append(now_ns() - message)

    ref = Timed.start()
    count = amount(400)
    for _ in range(count):
        time.sleep(0.0005)
        ref.tell(now_ns())
    ref.stop(timeout=WAIT_S)
    expect("arrived", len(took), count)
    return {"rate": tell()} | latencies(took)


class Stage(Threading):
    on: Any

    def on_receive(self, message: Any) -> Any:
        if message is GET:
            return getattr(self, "orders", 0), getattr(self, "acknowledged", 0)
        return self.on(message)


class Feed(market.Feed, Stage):
    pass


class Strategy(market.Strategy, Stage):
    def __init__(self, tracker: Any) -> None:
        super().__init__(tracker)
        self.address = self.actor_ref


class Tracker(market.Tracker, Stage):
    pass


def pipeline() -> float:
    count = amount(20_000, at_least=1000)
    tracker = Tracker.start()
    strategy = Strategy.start(tracker)
    feed = Feed.start(strategy)
    stages = (feed, strategy, tracker)
    started = now_ns()
    for number in range(count):
        feed.tell(market.tick(number))
        if number % 1000 == 999:
            for stage in stages:
                stage.ask(GET)
    for stage in stages:
        stage.ask(GET)
    counted: list[Any] = [stage.ask(GET) for stage in stages]
    took = now_ns() - started
    for stage in stages:
        stage.stop()
    market.check(count, counted[2][0], counted[1][1])
    return per_second(count, took)
