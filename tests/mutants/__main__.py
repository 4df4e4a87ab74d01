"""`make mutants`: each planted bug against the seeds until an oracle catches it. Exit 1 when one is not caught.

The seed that caught a mutant before is tried first; without `--again`, that is all where it still does. What was found
is kept in known.json.
"""

import argparse
import sys
from typing import Any

from tests.mutants.book import MUTANTS, Mutant
from tests.mutants.hunt import SEEDS_MAX, Caught, hunted, keep, known, tried

from allstop.actors.clock import SystemClock

clock = SystemClock()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--again", action="store_true", help="search from seed 1, whatever is known")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS_MAX, help=f"how many seeds to try (default {SEEDS_MAX})"
    )
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    asked: Any = parser.parse_args(arguments)
    mutants = [mutant for mutant in MUTANTS if asked.only in mutant.name]
    began_s, before, caught, missed = clock.now_s(), known(), dict(known()), list[str]()
    for number, mutant in enumerate(mutants, start=1):
        one = caught_one(mutant, None if asked.again else before.get(mutant.name), asked.seeds)
        spent_s = clock.now_s() - began_s
        eta_s = spent_s / number * (len(mutants) - number)
        head = f"[{number}/{len(mutants)}, {spent_s:.0f} s, about {eta_s:.0f} s left]"
        if one is None:
            missed.append(mutant.name)
            print(f"{head} NOT CAUGHT by {asked.seeds} seeds of {mutant.profile}: {mutant.name}", flush=True)
            continue
        if not as_before(one, before.get(mutant.name)):  # else the book stays as it is, to the byte
            caught[mutant.name] = one
        print(
            f"{head} {mutant.name}: {one.oracle} on seed {one.seed} of {one.profile}: {one.why[:160]}",
            flush=True,
        )
        keep(one for name, one in caught.items() if any(name == m.name for m in MUTANTS))
    print(f"{len(mutants) - len(missed)} of {len(mutants)} planted bugs caught")
    return 1 if missed else 0


def as_before(one: Caught, before: Caught | None) -> bool:
    """Whether the same seed catches it, with the same oracle: task numbers in its words may differ, and what it cost."""
    return before is not None and (one.profile, one.seed, one.oracle) == (
        before.profile,
        before.seed,
        before.oracle,
    )


def caught_one(mutant: Mutant, before: Caught | None, seeds: int) -> Caught | None:
    began_s = clock.now_s()
    found = tried(mutant, before.seed, before.profile) if before is not None else None
    if found is None:
        found = hunted(mutant, range(1, seeds + 1), _progress(mutant))
    if found is None:
        return None
    spent_s = 0.0 if before is None else round(clock.now_s() - began_s, 1)
    return Caught(found.mutant, found.profile, found.seed, found.oracle, found.why[:300], spent_s)


def _progress(mutant: Mutant) -> Any:
    def told(seed: int) -> None:
        if seed % 25 == 0:
            print(f"    {mutant.name}: {seed} seeds of {mutant.profile}", file=sys.stderr, flush=True)

    return told


if __name__ == "__main__":
    sys.exit(main())
