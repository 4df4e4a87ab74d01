"""A whole tree runs in a simulated world under one seed: no socket, no file, no real time."""

import pytest

from allstop.supervisors.demo.tree import tree
from allstop.supervisors.simulation.run import Outcome, simulate

ENVIRON = {
    "ALLSTOP_DEMO_REST_URL": "http://127.0.0.1:8001",
    "ALLSTOP_DEMO_PUBLIC_URL": "ws://127.0.0.1:8002/v2",
    "ALLSTOP_DEMO_PRIVATE_URL": "ws://127.0.0.1:8003/v2",
}


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return simulate(tree(ENVIRON), 7, duration_s=10.0)


def test_a_seed_of_the_demo_runs_to_its_end_trades_and_is_halted(outcome: Outcome) -> None:
    assert outcome.virtual_s >= 10.0
    assert outcome.submitted > 10
    assert outcome.executions > 5
    assert (outcome.lives, outcome.halts) == (1, 1)
    assert outcome.failed is None, outcome.failed


def test_the_same_seed_gives_the_same_digest_and_another_seed_another(outcome: Outcome) -> None:
    assert simulate(tree(ENVIRON), 7, duration_s=10.0).digest == outcome.digest
    assert simulate(tree(ENVIRON), 8, duration_s=10.0).digest != outcome.digest
