"""Venues that are away, half there, or not what they were (scenarios c.8)."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from tests.scenarios.engine import (
    ACCOUNT,
    OTHER_PAIR,
    PAIR,
    ask,
    at_venue,
    calls,
    connects,
    entry,
    missing,
    position_with_stop,
    refusal,
    resting,
    said,
    state,
    stops,
    told,
)

from allstop.actors.errors import RefusalCode
from allstop.actors.intents import StopLoss
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
@pytest.mark.parametrize("status", ["delisted", "work_in_progress", "cancel_only"])
def test_a_pair_that_is_not_to_be_traded_takes_no_entries_is_shown_with_its_position_and_the_others_trade(
    world: SimulatedTree, venue: Venue, advance: Advance, status: str
) -> None:
    position_with_stop(world, venue, advance)
    venue.fault("pair_status", symbol=PAIR, status=status)
    first = world.submit(resting(venue))  # nobody can know yet: the venue refuses it
    advance(2.0)
    assert state(world, first.id) in ("REJECTED", "NOT_PLACED")
    asked = len(calls(venue, "add_order"))
    for _ in range(3):
        assert refusal(world, resting(venue)) is RefusalCode.NOT_TRADABLE
    assert len(calls(venue, "add_order")) == asked
    [line] = ask(world, "status")["pairs"]
    assert line == f"{PAIR} on {ACCOUNT} is {status}: no entries; position 0.001, unmatched"
    assert len(said(world, "pair.not_tradable", PAIR, status)) == 1
    taken = world.submit(resting(venue, OTHER_PAIR))
    advance(1.0)
    assert state(world, taken.id) == "NEW"
    assert told(world, "CrashReport") == []
    assert len(stops(venue)) == 1
    venue.fault("pair_status", symbol=PAIR, status="online")
    advance(6.0)
    assert refusal(world, resting(venue)) is None
    assert ask(world, "status")["pairs"] == []


@pytest.mark.scenario("T100")
@pytest.mark.parametrize(
    ("terms", "wrong", "code"),
    [
        ({"price_decimals": 0}, {"limit_price": Decimal("28000.5")}, RefusalCode.OFF_TICK),
        ({"min_qty": "0.005"}, {"qty": Decimal("0.004")}, RefusalCode.BELOW_MINIMUM),
    ],
)
def test_what_a_pair_asks_for_is_read_again_at_the_first_refusal_and_nothing_wrong_is_sent_afterwards(
    world: SimulatedTree,
    venue: Venue,
    advance: Advance,
    terms: dict[str, Any],
    wrong: dict[str, Any],
    code: RefusalCode,
) -> None:
    on_whole_dollars: dict[str, Any] = {
        "limit_price": Decimal("28000"),
        "stop": StopLoss(trigger_price=Decimal("27000")),
    }
    as_yesterday = on_whole_dollars | wrong
    venue.fault("pair_terms", symbol=PAIR, **terms)
    first = world.submit(resting(venue, **as_yesterday))
    advance(1.0)
    assert state(world, first.id) == "REJECTED"
    asked = len(calls(venue, "add_order"))
    for _ in range(5):
        assert refusal(world, resting(venue, **as_yesterday)) is code
    assert len(calls(venue, "add_order")) == asked
    assert len(said(world, "pair.changed", PAIR)) == 1
    assert told(world, "CrashReport") == []
    assert missing(world) == ()
    right = world.submit(resting(venue, qty=Decimal("0.005"), **on_whole_dollars))
    advance(1.0)
    assert state(world, right.id) == "NEW"
