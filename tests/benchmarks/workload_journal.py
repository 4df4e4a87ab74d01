"""A durable journal append awaited from the event loop: one caller, and 128 at once.

Every side writes the same 240-byte record to SQLite with a write-ahead log and synchronous=FULL, and the caller goes on
only when it is flushed. The peers are what one writes without a journal: the commit on the loop itself, and
`asyncio.to_thread` around it. Neither hashes or chains its rows; ours does.

The lag is what everything else on the loop feels meanwhile: how late a timer of 1 ms fires, at the 99th percentile.
"""

import asyncio
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Measure, Python, Workload
from tests.benchmarks.measuring import amount

from allstop.actors.clock import SystemClock
from allstop.actors.links.journal_sqlite import SqliteJournal
from allstop.actors.ports import JournalEntry

BODY = b"x" * 240
MANY = 128
WARM_UP = 50
Append = Callable[[], Awaitable[object]]
Measuring = Callable[[Append], Coroutine[Any, Any, float]]


async def alone_us(append: Append) -> float:
    """Microseconds per append of one caller, at the median."""
    took: list[float] = []
    for _ in range(amount(500)):
        start = time.perf_counter()
        await append()
        took.append(time.perf_counter() - start)
    return sorted(took)[len(took) // 2] * 1e6


async def together(append: Append) -> float:
    """Appends per second of 128 callers."""
    each = amount(30, at_least=2)

    async def produce() -> None:
        for _ in range(each):
            await append()

    start = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(MANY)))
    return MANY * each / (time.perf_counter() - start)


async def lag_ms(append: Append) -> float:
    """How late a 1 ms timer fires while 128 callers append, at the 99th percentile."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - start - 0.001) * 1e3)

    watching = asyncio.create_task(watch())
    await together(append)
    watching.cancel()
    return max(sorted(late)[len(late) * 99 // 100], 0.001)


async def with_journal(path: Path, measure: Measuring) -> float:
    journal = await SqliteJournal.open(path, SystemClock(), "bench")
    entries = (JournalEntry(kind="intent", key="", body=BODY),)
    for _ in range(WARM_UP):
        await journal.append(entries)
    result = await measure(lambda: journal.append(entries))
    await journal.close()
    return result


def table(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY, kind TEXT, key TEXT, body BLOB)")
    return connection


def insert(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO record (kind, key, body) VALUES ('intent', '', ?)", (BODY,))


async def with_inline(path: Path, measure: Measuring) -> float:
    with closing(table(path)) as connection:

        async def append() -> None:
            insert(connection)
            await asyncio.sleep(0)  # else one caller would run to its end before the next began

        for _ in range(WARM_UP):
            await append()
        return await measure(append)


async def with_to_thread(path: Path, measure: Measuring) -> float:
    with closing(table(path)) as connection:
        lock = threading.Lock()

        def locked() -> None:
            with lock:
                insert(connection)

        for _ in range(WARM_UP):
            await asyncio.to_thread(locked)
        return await measure(lambda: asyncio.to_thread(locked))


Store = Callable[[Path, Measuring], Coroutine[Any, Any, float]]


def run(store: Store) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, measure in (("alone", alone_us), ("together", together), ("lag", lag_ms)):
        with tempfile.TemporaryDirectory() as directory:
            found[name] = asyncio.run(store(Path(directory) / "bench.db", measure))
    return found


def ours() -> dict[str, float]:
    return run(with_journal)


def inline() -> dict[str, float]:
    return run(with_inline)


def to_thread() -> dict[str, float]:
    return run(with_to_thread)


HERE = "tests.benchmarks.workload_journal"
WORKLOADS = [
    Workload(
        name="journal",
        about="a durable append to the journal: one caller, 128 at once, and how late a timer of 1 ms fires meanwhile",
        measures=(
            Measure("alone", "us", more_is_better=False),
            Measure("together", "appends/s"),
            Measure("lag", "ms, p99", more_is_better=False),
        ),
        ours=Python(f"{HERE}:ours"),
        peers={
            "sqlite on the loop": Python(
                f"{HERE}:inline", caveat="no chain of hashes; the loop waits for the disk"
            ),
            "to_thread": Python(f"{HERE}:to_thread", caveat="no chain of hashes"),
        },
    ),
]
