"""Which end of a run without a halt is nobody's fault: a key that the venue revoked, and that the engine names."""

import pytest

from allstop.actors.levels import Level, Vote
from allstop.supervisors.simulation.faults import Fault
from allstop.supervisors.simulation.plan import FaultPlan
from allstop.supervisors.simulation.run import Outcome, simulate
from allstop.supervisors.simulation.standstill import explained, stands_still
from allstop.supervisors.simulation.trees import busy

REFUSED = "it refused to start: the venue refuses the trade key: KEY_STOPPED: this key was stopped"


@pytest.mark.parametrize(
    ("why", "revoked", "holds"),
    [(REFUSED, True, True), (REFUSED, False, False), ("ValueError: a bug", True, False)],
)
def test_a_process_that_does_not_start_is_excused_by_what_it_says_and_the_venue_did(
    why: str, revoked: bool, holds: bool
) -> None:
    assert explained(why, key_revoked=revoked) is holds


@pytest.mark.parametrize(
    ("level", "reason", "revoked", "holds"),
    [
        (Level.READ_ONLY, "gave up: KEY_REFUSED: EAPI:Invalid key", True, True),
        (Level.READ_ONLY, "gave up: KEY_REFUSED: EAPI:Invalid key", False, False),
        (Level.READ_ONLY, "gave up after 20 restarts", True, False),
        (Level.CACHED_DATA, "EAPI:Invalid key", True, False),
    ],
)
def test_an_account_stands_still_for_its_key_alone(
    level: Level, reason: str, revoked: bool, holds: bool
) -> None:
    assert stands_still(Vote("/a", (), level, reason), key_revoked=revoked) is holds


def run(*faults: Fault) -> Outcome:
    return simulate(
        busy(),
        3,
        plan=FaultPlan(seed=3, profile="hell", duration_s=80.0, quiet_from_s=30.0, faults=faults),
    )


REVOKED = Fault(at_s=15.0, kind="venue.revoke_key", target="kraken", params={"role": "trade"})
KILLED = Fault(
    at_s=20.0, kind="process.kill", target="host", params={"point": "now", "steps": 0, "down_s": 0.0}
)


@pytest.mark.parametrize("faults", [(REVOKED,), (REVOKED, KILLED)], ids=["living", "killed"])
def test_an_engine_whose_trade_key_is_revoked_protects_and_halts_with_the_other(
    faults: tuple[Fault, ...],
) -> None:
    outcome = run(*faults)
    assert outcome.failed is None, outcome.failed
    assert outcome.lives == len(faults)
