"""The workloads for a library with coroutines, written once: each library says how it starts, casts, calls and stops.

`cast` is the library's own function, so nothing stands between the loop that measures and what is measured.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.measuring import (
    amount,
    expect,
    now_ns,
    per_second,
    percentile,
    rss_bytes,
    settle,
)

GET, TICK = "get", "tick"
ACTORS = 1000
BATCH = 50


@dataclass
class Library:
    """`counter` counts TICK and answers GET; a `node` passes a number less one to the next, and sets the event at 0."""

    counter: Callable[[str], Awaitable[Any]]
    cast: Callable[[Any, Any], Any]
    call: Callable[[Any, Any], Awaitable[Any]]
    nodes: Callable[[int, Any], Awaitable[list[Any]]]  # a closed ring, and the event that says it is done
    casts_await: bool = True
    stop: Callable[[Any], Awaitable[Any]] | None = None
    pause: Callable[[float], Awaitable[Any]] = asyncio.sleep
    event: Callable[[], Any] = asyncio.Event

    async def casts(self, refs: list[Any], rounds: int, breathe_every: int) -> None:
        cast, breathe = self.cast, 0
        for _ in range(rounds):
            if self.casts_await:
                for ref in refs:
                    await cast(ref, TICK)
            else:
                for ref in refs:
                    cast(ref, TICK)
            breathe += 1
            if breathe == breathe_every:
                breathe = 0
                await self.pause(0)


async def tell(library: Library, count: int, *, breathe_every: int = 0) -> float:
    """One burst, unless the library cannot take it: then it may breathe."""
    ref = await library.counter("counter")
    settle()
    started = now_ns()
    await library.casts([ref], count, breathe_every)
    expect("handled", await library.call(ref, GET), count)
    return per_second(count, now_ns() - started)


async def call(library: Library) -> float:
    """Microseconds per call: the median of batches."""
    ref = await library.counter("counter")
    batches: list[float] = []
    for _ in range(amount(40)):
        started = now_ns()
        for _ in range(BATCH):
            await library.call(ref, GET)
        batches.append((now_ns() - started) / BATCH)
    return percentile(batches, 0.5) / 1e3


async def fan_out(library: Library, each: int = 30) -> dict[str, float]:
    each = amount(each, at_least=2)
    refs = [await library.counter(f"counter{number}") for number in range(ACTORS)]
    settle()
    started = now_ns()
    await library.casts(refs, each, 1)
    counted = [await library.call(ref, GET) for ref in refs]
    took = now_ns() - started
    expect("handled by each", set(counted), {each})
    return {"out": per_second(each * ACTORS, took)}


async def ring(library: Library, hops: int = 20_000) -> float:
    hops = amount(hops)
    done = library.event()
    nodes = await library.nodes(ACTORS, done)
    settle()
    started = now_ns()
    cast: Any = library.cast(nodes[0], hops)
    if library.casts_await:
        await cast
    await done.wait()
    return per_second(hops, now_ns() - started)


async def spawn(library: Library, count: int = 2_000) -> dict[str, float]:
    count = amount(count)
    await library.call(await library.counter("warm"), GET)
    settle()
    before = rss_bytes()
    started = now_ns()
    refs = [await library.counter(f"counter{number}") for number in range(count)]
    await library.call(refs[-1], GET)
    found = {
        "start": (now_ns() - started) / count / 1e3,
        "memory": (rss_bytes() - before) / count,
    }
    if library.stop is not None:
        started = now_ns()
        for ref in refs:
            await library.stop(ref)
        found["stop"] = (now_ns() - started) / count / 1e3
    return found


class Course:
    """Notes how long each restart took, from the raise to the first message of the replacement."""

    def __init__(self, event: Any) -> None:
        self.left = amount(200)
        self.took: list[float] = []
        self.crashed_ns = 0
        self.done = event

    def crashed(self) -> RuntimeError:
        """To be raised."""
        self.crashed_ns = now_ns()
        return RuntimeError("asked to")

    def first(self) -> bool:
        """At a first message. True if another crash is wanted."""
        if self.crashed_ns:
            self.took.append(now_ns() - self.crashed_ns)
        if len(self.took) >= self.left:
            self.done.set()
            return False
        return True
