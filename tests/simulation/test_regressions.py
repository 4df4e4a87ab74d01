"""Runs that failed once, shrunk, each in a file: from now on they hold."""

from pathlib import Path

import pytest

from allstop.supervisors.simulation.replay import read_replay
from allstop.supervisors.simulation.run import simulate
from allstop.supervisors.simulation.trees import TREES

FILES = sorted((Path(__file__).parent / "regressions").glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_run_that_failed_once_holds(file: Path) -> None:
    replay = read_replay(file)

    outcome = simulate(TREES[replay.tree](), replay.seed, plan=replay.plan)

    assert outcome.failed is None, f"{file.name}: {outcome.failed.oracle}: {outcome.failed.why}"
    assert sum(outcome.faults.values()) == len(replay.plan.faults)


def test_there_are_such_runs_and_each_says_what_it_was() -> None:
    assert FILES
    assert all(read_replay(file).note and read_replay(file).oracle for file in FILES)
