"""Many seeds of one tree over several processes: what failed, how much was simulated, and one digest over all of it."""

import hashlib
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Any, Final

import msgspec

from allstop.actors.clock import ticks_ns
from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.config import Tree
from allstop.supervisors.loading import load_tree
from allstop.supervisors.simulation.run import NONE, Failure, Outcome, simulate
from allstop.supervisors.simulation.trees import TREES

AHEAD: Final = (
    4  # seeds handed to each process before it has finished the one before: none of them waits for work
)
SEEDS_MAX: Final = 10_000_000
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


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of `allstop simulate --json`. The digest is over the digests of all seeds, in the order of the seeds."""

    tree: str
    profile: str
    seeds: str
    runs: int
    failed: list[FailedSeed]
    virtual_s: float
    wall_s: float
    faults: dict[str, int]
    crashes: int
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
    return TREES[target]() if target in TREES else load_tree(target)


def seeds_of(text: str) -> range:
    """The seeds of "A..B", both included, or of "N". Raises BadInput."""
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise BadInput(Problem(f"{text!r} are no seeds: write 1..1000", "--seeds")) from None
    if not found or found.start < 0 or len(found) > SEEDS_MAX:
        raise BadInput(Problem(f"{text!r} names no seed, or more than {SEEDS_MAX}: write 1..1000", "--seeds"))
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
    """Runs each seed once. Raises BadInput when the tree, or what is asked of it, is wrong: nothing is run then."""
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
    digest = hashlib.sha256()
    for outcome in ordered:
        faults.update(outcome.faults)
        digest.update(f"{outcome.seed} {outcome.digest}\n".encode())
    return Campaign(
        tree=target, profile=profile, seeds=_words(seeds), runs=len(ordered),
        failed=[
            FailedSeed(seed=one.seed, oracle=one.failed.oracle, at_s=one.failed.at_s, why=one.failed.why)
            for one in ordered if one.failed is not None
        ],
        virtual_s=round(sum(one.virtual_s for one in ordered), 3), wall_s=round(wall_s, 3), faults=dict(sorted(faults.items())),
        crashes=sum(one.crashes for one in ordered), restarts=sum(one.restarts for one in ordered),
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
    _worker["tree"] = tree_named(target)


def _one(seed: int, duration_s: float, profile: str) -> bytes:
    return msgspec.msgpack.encode(simulate_safely(_worker["tree"], seed, duration_s, profile))


def _parallel(
    target: str, seeds: Sequence[int], duration_s: float, profile: str, jobs: int
) -> Iterable[Outcome]:
    context = multiprocessing.get_context("spawn")
    left = iter(seeds)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare, initargs=(target,)) as pool:
        waiting: set[Future[bytes]] = set()

        def hand_out(count: int) -> None:
            for seed in islice(left, count):
                waiting.add(pool.submit(_one, seed, duration_s, profile))

        try:
            hand_out(jobs * AHEAD)
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                waiting -= done
                for finished in done:
                    yield msgspec.msgpack.decode(finished.result(), type=Outcome)
                hand_out(len(done))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _words(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}..{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
