"""What every side of a workload uses: how much work to do, the clock, percentiles, memory, the loop."""

import asyncio
import gc
import importlib
import importlib.util
import logging
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

SCALE = "ALLSTOP_BENCH_SCALE"  # 1 is a real run; smoke tests and --quick do a part of the work
T = TypeVar("T")
ACTORS = 1000  # in a ring, a fan-out and a fan-in
CLOCK = "ALLSTOP_BENCH_CLOCK"  # "cpu": processor time, for tuning on a machine that others use, too
now_ns = time.process_time_ns if os.environ.get(CLOCK) == "cpu" else time.perf_counter_ns


def amount(number: int, *, at_least: int = 10) -> int:
    """The share of `number` that this run is to do."""
    return max(at_least, round(number * float(os.environ.get(SCALE, "1"))))


def per_second(count: int, took_ns: int) -> float:
    return count / took_ns * 1e9


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def latencies(took_ns: Sequence[float], prefix: str = "") -> dict[str, float]:
    """The median and the 99th percentile in microseconds."""
    return {
        f"{prefix}p50": percentile(took_ns, 0.5) / 1e3,
        f"{prefix}p99": percentile(took_ns, 0.99) / 1e3,
    }


def rss_bytes() -> int:
    """The resident memory of this process."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def uvloop_or_none() -> Any:
    return None if importlib.util.find_spec("uvloop") is None else importlib.import_module("uvloop")


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """On the loop that a user would take: uvloop where it is installed."""
    uvloop = uvloop_or_none()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        return runner.run(main())


def settle() -> None:
    """Before the clock starts: no garbage of the imports is collected inside the measurement."""
    gc.collect()


def silence() -> None:
    """Peers log each crash; what is measured is not the terminal."""
    logging.disable(logging.CRITICAL)


def expect(what: str, got: object, wanted: object) -> None:
    """A workload that lost or made up something has no figures."""
    if got != wanted:
        raise AssertionError(f"{what}: {got} instead of {wanted}")
