"""A tree whose journals are damaged while it trades: it goes on with what is sound, and trades again when somebody has
accepted what was lost. Nothing is sent twice, no execution is missing, and no position is without its stop."""

import pytest

from allstop.supervisors.simulation import trees
from allstop.supervisors.simulation.faults import Fault
from allstop.supervisors.simulation.plan import FaultPlan
from allstop.supervisors.simulation.run import simulate


def flip(at_s: float, where: float, chain: str = "kraken.main") -> Fault:
    return Fault(at_s=at_s, kind="disk.flip", target=chain, params={"where": where, "down_s": 1.0})


@pytest.mark.parametrize(
    ("seed", "faults"),
    [
        (1, (flip(20.0, 0.0), flip(40.0, 0.5))),
        (2, (flip(20.0, 0.7), flip(40.0, 0.9), flip(45.0, 1.0))),
        (3, (flip(20.0, 0.5, "runtime"), flip(30.0, 0.97))),
        (4, (flip(35.0, 0.2), flip(55.0, 0.2))),
    ],
)
def test_every_oracle_holds_and_the_tree_trades_again(seed: int, faults: tuple[Fault, ...]) -> None:
    plan = FaultPlan(seed=seed, profile="none", duration_s=120.0, quiet_from_s=70.0, faults=faults)
    lines: list[str] = []
    outcome = simulate(trees.busy(), seed, plan=plan, keep=lines.append)
    assert outcome.failed is None, outcome.failed
    assert outcome.lives == len(faults) + 1
    assert len([line for line in lines if line.split(" ", 2)[1] == "aside"]) == len(faults)
    assert outcome.verdicts["liveness"]
    assert outcome.executions > 0
