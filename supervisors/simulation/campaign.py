"""Many seeds of one tree over several processes: what failed, how much was simulated, and one digest over all of it."""

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.machinery import PathFinder
from itertools import islice
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

import msgspec

from allstop.actors.clock import ticks_ns
from allstop.actors.errors import AllstopError, BadInput, Problem
from allstop.supervisors.config import Tree
from allstop.supervisors.loading import load_tree
from allstop.supervisors.simulation.run import NONE, Failure, Outcome, simulate
from allstop.supervisors.simulation.scene import CRASHED_MAX
from allstop.supervisors.simulation.trees import TREES

AHEAD: Final = (
    4  # seeds handed to each process before it has finished the one before: none of them waits for work
)
SEEDS_MAX: Final = 10_000_000
INTERRUPTS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
)  # the process that runs the campaign hears them, and ends the others
DURATION_S: Final = 180.0


class FailedSeed(msgspec.Struct, frozen=True, kw_only=True):
    """One seed that did not hold. `file`: what `allstop simulate --replay` runs again, with so many `faults`; empty when
    none was written."""

    seed: int
    oracle: str
    at_s: float
    why: str
    file: str = ""
    faults: int = 0


class WorkerDied(AllstopError):
    """A process of the campaign ended by itself: killed from outside, or out of memory. Try fewer jobs."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """All outcomes in one. The digest is over the digests of all seeds, in the order of the seeds."""

    tree: str
    profile: str
    seeds: str
    runs: int
    failed: list[FailedSeed]
    virtual_s: float
    wall_s: float
    faults: dict[str, int]
    crashes: int
    crashed: dict[str, int]
    restarts: int
    lives: int
    halts: int
    submitted: int
    executions: int
    digest: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a campaign is."""

    done: int
    of: int
    failed: int
    virtual_s: float
    wall_s: float

    @property
    def words(self) -> str:
        rate = self.virtual_s / self.wall_s if self.wall_s > 0 else 0.0
        left_s = self.wall_s / self.done * (self.of - self.done) if self.done else 0.0
        return (
            f"{self.done}/{self.of} seeds, {rate:.0f} virtual s/s, {left_s:.0f} s left"
            + (f", {self.failed} failed" if self.failed else "")
        )  # fmt: skip


def tree_named(target: str) -> Tree:
    """One of the trees known by name, or what `load_tree` finds. Raises BadInput."""
    if target in TREES:
        return TREES[target]()
    source = target.partition(":")[0]
    named = source.isidentifier()
    if not source.endswith(".py") and (
        PathFinder.find_spec(source, ["", *sys.path]) is None
        if named
        else not all(part.isidentifier() for part in source.split("."))
    ):
        known = ", ".join(sorted(TREES))
        said = f"no tree {target!r}: there are {known}; your own is file.py:attribute or package.module:attribute"
        raise BadInput(Problem(said, "TREE"))
    return load_tree(target)


def seeds_of(text: str) -> range:
    """The seeds of "A..B", both included, or of "N". Raises BadInput."""
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise BadInput(Problem(f"{text!r} are no seeds: write 1..1000", "--seeds")) from None
    if found.start < 0:
        raise BadInput(Problem(f"{text!r} begins below 0: write 1..1000", "--seeds"))
    if not found:
        raise BadInput(Problem(f"{text!r} ends before it begins: write 1..1000", "--seeds"))
    if len(found) > SEEDS_MAX:
        raise BadInput(Problem(f"{text!r} are more than {SEEDS_MAX} seeds", "--seeds"))
    return found


def run_campaign(
    target: str,
    seeds: Sequence[int],
    *,
    profile: str = NONE,
    duration_s: float = DURATION_S,
    jobs: int | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Campaign:
    """Runs each seed once. Raises BadInput when the tree, or what is asked of it, is wrong: nothing is run then; and
    WorkerDied. Its processes end with this one, and at once when it is interrupted."""
    began_ns = ticks_ns()
    tree = tree_named(target)
    jobs = min(jobs or os.cpu_count() or 1, len(seeds))
    outcomes: dict[int, Outcome] = {}
    virtual_s, failed = 0.0, 0
    runs = (
        (simulate_safely(tree, seed, duration_s, profile) for seed in seeds)
        if jobs == 1
        else _parallel(target, seeds, duration_s, profile, jobs)
    )
    for outcome in runs:
        outcomes[outcome.seed] = outcome
        virtual_s += outcome.virtual_s
        failed += outcome.failed is not None
        if on_outcome is not None:
            on_outcome(outcome)
        if on_progress is not None:
            wall_s = (ticks_ns() - began_ns) / 1e9
            on_progress(
                Progress(done=len(outcomes), of=len(seeds), failed=failed, virtual_s=virtual_s, wall_s=wall_s)
            )
    return summed_up(target, profile, seeds, outcomes, (ticks_ns() - began_ns) / 1e9)


def summed_up(
    target: str, profile: str, seeds: Sequence[int], outcomes: dict[int, Outcome], wall_s: float
) -> Campaign:
    """All outcomes in one."""
    ordered = [outcomes[seed] for seed in seeds]
    faults: Counter[str] = Counter()
    crashed: Counter[str] = Counter()
    digest = hashlib.sha256()
    for outcome in ordered:
        faults.update(outcome.faults)
        crashed.update(outcome.crashed)
        digest.update(f"{outcome.seed} {outcome.digest}\n".encode())
    return Campaign(
        tree=target, profile=profile, seeds=_words(seeds), runs=len(ordered),
        failed=[
            FailedSeed(seed=one.seed, oracle=one.failed.oracle, at_s=one.failed.at_s, why=one.failed.why)
            for one in ordered if one.failed is not None
        ],
        virtual_s=round(sum(one.virtual_s for one in ordered), 3), wall_s=round(wall_s, 3), faults=dict(sorted(faults.items())),
        crashes=sum(one.crashes for one in ordered), crashed=dict(crashed.most_common(CRASHED_MAX)), restarts=sum(one.restarts for one in ordered),
        lives=sum(one.lives for one in ordered), halts=sum(one.halts for one in ordered),
        submitted=sum(one.submitted for one in ordered), executions=sum(one.executions for one in ordered),
        digest=digest.hexdigest(),
    )  # fmt: skip


def simulate_safely(tree: Tree, seed: int, duration_s: float, profile: str) -> Outcome:
    """As `simulate`. A simulation that breaks is a failure of that seed, not the end of the campaign; a wrong tree is
    the end of it."""
    try:
        return simulate(tree, seed, duration_s=duration_s, profile=profile)
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001 - one seed of thousands: it is named, and the others run
        broken = Failure(oracle="simulation", at_s=0.0, why=f"{type(error).__name__}: {error}")
        return Outcome(
            seed=seed, profile=profile, virtual_s=0.0, digest="", lines=0, failed=broken, verdicts={}, faults={}, crashes=0,
            restarts=0, lives=0, halts=0, submitted=0, refused=0, executions=0, journal_rows=0,
        )  # fmt: skip


_worker: dict[str, Any] = {}


def _prepare(target: str) -> None:
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker["tree"] = tree_named(target)


def _end_with_parent() -> None:
    """A pool's processes wait for work for ever when the one that hands it out is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _one(seed: int, duration_s: float, profile: str) -> bytes:
    return msgspec.msgpack.encode(simulate_safely(_worker["tree"], seed, duration_s, profile))


def _parallel(
    target: str, seeds: Sequence[int], duration_s: float, profile: str, jobs: int
) -> Iterable[Outcome]:
    context = multiprocessing.get_context("spawn")
    left = iter(seeds)
    workers: set[BaseProcess] = set()
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare, initargs=(target,)) as pool:
        waiting: set[Future[bytes]] = set()

        def hand_out(count: int) -> None:
            others = set(multiprocessing.active_children()) - workers
            with _interrupts_are_not_inherited():
                for seed in islice(left, count):
                    waiting.add(pool.submit(_one, seed, duration_s, profile))
            workers.update(set(multiprocessing.active_children()) - others)

        try:
            hand_out(jobs * AHEAD)
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                waiting -= done
                for finished in done:
                    yield msgspec.msgpack.decode(finished.result(), type=Outcome)
                hand_out(len(done))
        except BrokenProcessPool as error:
            raise WorkerDied(
                "a process of the campaign was killed, or had no memory left: try fewer --jobs"
            ) from error
        finally:
            if waiting:  # interrupted: nobody will see what these seeds come to
                for worker in workers:
                    worker.kill()
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_are_not_inherited() -> Generator[None]:
    """Processes begun in here do not hear Ctrl-C, from their first instruction on: the one that began them does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _words(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}..{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
