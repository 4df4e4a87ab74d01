"""A whole tree runs in a simulated world under one seed: no socket, no file, no real time."""

import pytest

from allstop.supervisors.simulation.run import Outcome, simulate
from allstop.supervisors.simulation.trees import busy


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return simulate(busy(), 7, duration_s=60.0)


def test_a_seed_of_a_tree_runs_to_its_end_trades_and_is_halted(outcome: Outcome) -> None:
    assert outcome.virtual_s >= 60.0
    assert outcome.submitted > 5
    assert outcome.executions > 2
    assert (outcome.lives, outcome.halts) == (1, 1)
    assert outcome.failed is None, outcome.failed


def test_the_same_seed_gives_the_same_digest_and_another_seed_another(outcome: Outcome) -> None:
    assert simulate(busy(), 7, duration_s=60.0).digest == outcome.digest
    assert simulate(busy(), 8, duration_s=60.0).digest != outcome.digest
