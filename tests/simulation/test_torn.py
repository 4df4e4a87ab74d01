"""The power goes in the middle of a commit: what of it is on the disk counts, for the next process and for the oracles."""

import pytest

from allstop.supervisors.simulation.faults import Fault
from allstop.supervisors.simulation.plan import FaultPlan
from allstop.supervisors.simulation.run import Outcome, simulate
from allstop.supervisors.simulation.trees import busy


def torn(keep: float, lines: list[str]) -> Outcome:
    fault = Fault(at_s=10.0, kind="disk.torn", target="kraken.main", params={"keep": keep, "down_s": 0.0})
    plan = FaultPlan(seed=3, profile="process-journal", duration_s=60.0, quiet_from_s=15.0, faults=(fault,))
    return simulate(busy(), 3, plan=plan, keep=lines.append)


@pytest.mark.parametrize(("keep", "left"), [(0.0, 0), (0.5, 1), (1.0, 1)])
def test_a_torn_commit_leaves_its_rows_whole_or_not_at_all_and_the_chain_holds(
    keep: float, left: int
) -> None:
    lines: list[str] = []

    outcome = torn(keep, lines)

    assert sum(" left kraken.main " in line for line in lines) == left
    assert outcome.lives == 2
    assert outcome.failed is None, outcome.failed
    assert outcome.verdicts["O6"] is True
