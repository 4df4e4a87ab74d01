"""c.4: the dead man's switch. Kraken's takes the stops too, so this engine never arms it."""

import pytest
from tests.scenarios.steps import COVER_MS, PAIR, QTY, at_market, protected, resting

from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue


@pytest.mark.scenario("T051")
def test_when_a_switch_that_somebody_armed_fires_the_stops_are_back_within_cover_s(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    world.submit(at_market(venue))
    advance(1.0)
    venue.by_hand("CancelAllOrdersAfter", timeout=60)
    advance.until(lambda: not protected(venue), timeout_s=62.0)
    advance(2.0)
    assert protected(venue) == [QTY]
    assert 0 < venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS


@pytest.mark.scenario("T053")
def test_the_stops_of_a_process_that_died_stand_because_no_switch_was_armed(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    world.submit(at_market(venue))
    world.submit(resting(venue))
    advance(1.0)
    dead = world.begin(world.stage.chaos.die(down_s=90.0))
    advance(89.0)
    assert protected(venue) == [QTY]
    assert venue.asked("CancelAllOrdersAfter") == []
    world.result(dead)
    advance.until_trading()
    assert protected(venue) == [QTY]
