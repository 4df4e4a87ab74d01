"""Venues that are away, half there, or not what they were (scenarios c.8)."""

from itertools import pairwise

import pytest
from tests.scenarios.engine import (
    OTHER_PAIR,
    PAIR,
    at_venue,
    calls,
    connects,
    entry,
    missing,
    position_with_stop,
    refusal,
    resting,
    state,
    stops,
    told,
)

from allstop.actors.errors import RefusalCode
from allstop.supervisors.simulation.pytest_plugin import Advance, SimulatedTree, Venue


@pytest.mark.scenario("T096")
def test_the_gate_follows_cancel_only_and_post_only_and_opens_after_reconciling_at_online(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    connected = len(connects(venue))
    waiting = world.submit(resting(venue))
    advance(1.0)
    for phase in ("cancel_only", "post_only"):
        venue.fault(phase)
        advance(4.0)
        assert "session" in missing(world)
        assert refusal(world, resting(venue)) is RefusalCode.GATE_CLOSED
    online_s = world.now_s
    venue.fault("online")
    advance(0.02)
    advance.until_trading()
    assert calls(venue, "OpenOrders", since_s=online_s, key="trade")
    assert told(world, "CrashReport") == []
    assert all(after - before >= 5.0 for before, after in pairwise(connects(venue)[connected:]))
    assert refusal(world, resting(venue)) is None
    assert state(world, waiting.id) == "NEW"
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T097")
def test_an_unknown_order_is_not_looked_up_in_a_maintenance_and_is_resolved_when_it_is_over(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    advance(1.0)
    venue.fault("drop_reply", method="add_order")
    venue.fault("silence", channel="executions", s=2.0)
    order = world.submit(entry(venue))
    advance(0.1)
    venue.fault("maintenance", s=60.0)
    advance(50.0)
    assert state(world, order.id) in ("SENT", "UNKNOWN", "RESOLVING")
    assert refusal(world, resting(venue)) is not None
    advance(11.0)
    advance.until_trading()
    advance(2.0)
    assert state(world, order.id) == "FILLED"
    assert len(at_venue(venue, order.id)) == 1
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T098")
def test_a_pair_that_is_not_to_be_traded_refuses_its_entries_keeps_its_stop_and_the_others_trade(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    venue.fault("pair_status", symbol=PAIR, status="work_in_progress")
    refused, taken = world.submit(resting(venue)), world.submit(resting(venue, OTHER_PAIR))
    advance(2.0)
    assert state(world, refused.id) in ("REJECTED", "NOT_PLACED")
    assert at_venue(venue, refused.id) == []
    assert state(world, taken.id) == "NEW"
    assert told(world, "CrashReport") == []
    assert len(stops(venue)) == 1
    venue.fault("pair_status", symbol=PAIR, status="online")
    assert refusal(world, resting(venue)) is None


@pytest.mark.scenario("T100")
def test_a_price_that_the_venue_calls_wrong_is_a_rejected_order_and_no_crash(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    venue.fault(
        "error",
        method="add_order",
        text="EOrder:Invalid price:BTC/USD price can only be specified up to 0 decimals.",
        n=3,
    )
    orders = [world.submit(resting(venue)).id for _ in range(3)]
    advance(2.0)
    assert [state(world, order) for order in orders] == ["REJECTED"] * 3
    assert told(world, "CrashReport") == []
    assert missing(world) == ()
    assert len(calls(venue, "add_order")) == 0
    later = world.submit(resting(venue))
    advance(1.0)
    assert state(world, later.id) == "NEW"
