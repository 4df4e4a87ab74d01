"""The oracles can fail on whole runs: planted bugs are caught, and a mutant whose place has gone says so.

Here the fastest of the catches that are known are tried again; `make mutants` hunts all of them.
"""

import pytest
from tests.mutants.book import MUTANTS
from tests.mutants.hunt import failure_of, known
from tests.mutants.planting import MutantGone, planted

QUICK = 12
KNOWN = known()
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


def quick() -> list[str]:
    """A dozen: one for each oracle that has caught something first, then those of runs without faults."""
    catches = sorted(KNOWN.values(), key=lambda one: (one.profile != "none", one.mutant))
    catches = [one for one in catches if one.mutant in BY_NAME]
    first = list({one.oracle: one for one in reversed(catches)}.values())
    rest = [one for one in catches if one not in first]
    return [one.mutant for one in (*first, *rest)][:QUICK]


def add(one: int, other: int) -> int:
    return one + other


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_place_of_each_mutant_is_there(mutant: object) -> None:
    with BY_NAME[mutant.name].planted():  # pyright: ignore[reportAttributeAccessIssue]
        pass


def test_a_planted_bug_is_there_while_the_block_runs_and_gone_afterwards() -> None:
    with planted(add, "one + other", "one - other"):
        assert add(3, 1) == 2
    assert add(3, 1) == 4


def test_a_mutant_whose_place_has_gone_fails_loudly() -> None:
    with pytest.raises(MutantGone, match="stands there 0 times"), planted(add, "one * other", "one"):
        pass


def test_there_are_at_least_25_planted_bugs() -> None:
    assert len(BY_NAME) == len(MUTANTS) >= 25


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", quick())
def test_the_seed_that_caught_a_planted_bug_catches_it_again(name: str) -> None:
    caught = KNOWN[name]
    with BY_NAME[name].planted():
        failed = failure_of(caught.seed, caught.profile, BY_NAME[name].tree)
    assert failed is not None, (
        f"seed {caught.seed} of {caught.profile} no longer catches it: make mutants ARGS='--only \"{name}\"'"
    )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("profile", sorted({one.profile for one in KNOWN.values() if one.mutant in quick()}))
def test_the_engine_as_it_is_passes_where_its_mutants_are_caught(profile: str) -> None:
    seeds = {one.seed for one in KNOWN.values() if one.mutant in quick() and one.profile == profile}
    assert {seed: failure_of(seed, profile) for seed in seeds} == dict.fromkeys(seeds)
