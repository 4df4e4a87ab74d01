"""Hunting mutants: for each, the first seed on which an oracle tells the mutant from the sound engine.

A seed counts only when the sound engine passes it: then what the oracle saw was the planted bug.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from tests.mutants.book import Mutant
from tests.mutants.tree import PLAIN, TREES

from allstop.supervisors.simulation.run import NONE, Failure, simulate

KNOWN = Path(__file__).with_name("known.json")
SEEDS_MAX = 2000
DURATION_S = 90.0
QUIET_S = 20.0  # of a run without faults


@dataclass(frozen=True)
class Caught:
    """Which seed caught a mutant, under which faults, and with which oracle."""

    mutant: str
    profile: str
    seed: int
    oracle: str
    why: str
    cpu_s: float = 0.0


def failure_of(seed: int, profile: str, tree: str = PLAIN) -> Failure | None:
    """What an oracle says of one run."""
    try:
        return simulate(
            TREES[tree](), seed, duration_s=QUIET_S if profile == NONE else DURATION_S, profile=profile
        ).failed
    except Exception as error:  # noqa: BLE001 - a mutant may do anything; that the run itself breaks is a find, too
        return Failure(oracle="crash", at_s=0.0, why=f"{type(error).__name__}: {error}")


@lru_cache(maxsize=4096)
def sound(seed: int, profile: str, tree: str = PLAIN) -> bool:
    """Whether the engine as it is passes this seed."""
    return failure_of(seed, profile, tree) is None


def tried(mutant: Mutant, seed: int, profile: str | None = None) -> Caught | None:
    """The catch of this seed, or None."""
    profile = profile or mutant.profile
    with mutant.planted():
        failed = failure_of(seed, profile, mutant.tree)
    if failed is None or not sound(seed, profile, mutant.tree):
        return None
    return Caught(mutant.name, profile, seed, failed.oracle, failed.why)


def hunted(mutant: Mutant, seeds: Iterable[int], told: Callable[[int], None] | None = None) -> Caught | None:
    """The first of these seeds that catches the mutant."""
    for seed in seeds:
        if (caught := tried(mutant, seed)) is not None:
            return caught
        if told is not None:
            told(seed)
    return None


def known() -> dict[str, Caught]:
    """The catches that were found before, by the mutant's name."""
    if not KNOWN.is_file():
        return {}
    return {row["mutant"]: Caught(**row) for row in json.loads(KNOWN.read_text())}


def keep(catches: Iterable[Caught]) -> None:
    rows = [asdict(one) for one in sorted(catches, key=lambda one: one.mutant)]
    KNOWN.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
