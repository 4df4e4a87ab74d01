"""A hundred bad days of a busy tree: every promise holds in each of them."""

import pytest

from allstop.supervisors.simulation.campaign import run_campaign


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_bad_days_of_a_busy_tree_hold() -> None:
    campaign = run_campaign("busy", range(1, 101), profile="bad-day", duration_s=180.0, jobs=2)
    assert [(one.seed, one.oracle, one.at_s, one.why) for one in campaign.failed] == []
    assert campaign.virtual_s >= 100 * 135
    assert campaign.submitted > 1500
    assert len(campaign.faults) > 30
    assert campaign.crashes > 100
    assert campaign.lives > 100
