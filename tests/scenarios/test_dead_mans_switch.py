"""c.4: the dead man's switch. Kraken's takes the stops too, so this engine never arms it."""

import pytest
from tests.scenarios.steps import COVER_MS, PAIR, QTY, alerts, at_market, protected, resting

from allstop.supervisors.chaos import NotTrading
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
    [told] = [line for line in alerts(world) if "guardian.stops_gone" in line]
    assert told.startswith("error")
    assert PAIR in told


@pytest.mark.scenario("T051")
def test_when_a_switch_fires_while_the_engine_is_dead_the_stops_are_back_before_any_entry(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    world.submit(at_market(venue))
    advance(1.0)
    venue.by_hand("CancelAllOrdersAfter", timeout=5)
    dead = world.begin(world.stage.chaos.die(down_s=10.0))
    advance(9.0)
    assert protected(venue) == []
    world.result(dead)
    advance.until_trading()
    assert protected(venue) == [QTY]


@pytest.mark.scenario("T052")
def test_no_switch_is_armed_before_a_maintenance_or_after_it(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    world.submit(at_market(venue))
    world.submit(resting(venue))
    advance(1.0)
    venue.fault("maintenance", s=90.0)
    advance(91.0)
    advance.until_trading()
    advance(5.0)
    assert venue.asked("CancelAllOrdersAfter") == []
    assert protected(venue) == [QTY]
    assert len(venue.orders(open_only=True)) == 2


@pytest.mark.scenario("T052")
def test_a_switch_that_another_hand_left_armed_over_a_maintenance_takes_no_cover_for_longer_than_cover_s(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    world.submit(at_market(venue))
    advance(1.0)
    venue.by_hand("CancelAllOrdersAfter", timeout=60)
    venue.fault("maintenance", s=90.0)
    advance(89.0)
    assert protected(venue) == [QTY]  # it fires when the venue is back
    advance.until(lambda: not protected(venue), timeout_s=3.0, look_s=0.002)
    while not protected(venue):
        with pytest.raises(NotTrading):
            advance.until_trading(0.0)
        advance(0.01)
    advance.until_trading()
    assert protected(venue) == [QTY]
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS
    assert len([line for line in alerts(world) if "guardian.stops_gone" in line]) == 1


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
