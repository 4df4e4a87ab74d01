"""c.2: cancel, amend and fill in a race."""

from decimal import Decimal
from typing import Any

import pytest
from tests.scenarios.steps import (
    ORDERS,
    PAIR,
    QTY,
    at_market,
    below,
    cover,
    journal_kinds,
    protected,
    resting,
    state,
    states,
    view,
)

from allstop.actors.commands import AmendIntent
from allstop.actors.errors import Refused
from allstop.actors.external_orders import ClaimExternal
from allstop.actors.intents import OrderIntent
from allstop.actors.reports import WriteOutcome
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue


def amended(world: SimulatedTree, intent: OrderIntent, price: Decimal) -> Any:
    """Begins to amend the price of an order, as a strategy does that does not wait."""
    orders = world.runtime.orders()
    asked = orders.call(AmendIntent(intent_id=intent.id, limit_price=price), timeout_s=10.0)
    return world.begin(world.stage.ask(asked))


@pytest.mark.scenario("T024")
def test_a_cancel_of_an_order_that_filled_a_moment_before_ends_as_a_fill_with_its_stop(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = resting(venue)
    order = world.submit(intent)
    advance(0.5)
    venue.fault("silence", channel="executions", s=1.0)
    venue.fill(intent.id)
    outcome: WriteOutcome = world.run(world.stage.ask(order.cancel()))
    assert "Unknown order" in str(outcome)
    advance(3.0)
    assert (state(world, intent), view(world, intent).cum_qty) == ("FILLED", QTY)
    assert "CANCELED" not in states(world, intent)
    assert venue.position(PAIR) == QTY
    assert protected(venue) == [QTY]


@pytest.mark.scenario("T026")
def test_of_two_amends_at_once_the_second_waits_for_the_first_and_wins(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = resting(venue)
    world.submit(intent)
    advance(0.5)
    assert intent.limit_price is not None
    first, last = below(intent.limit_price, "0.01"), below(intent.limit_price, "0.02")
    venue.fault("delay", method="amend_order", s=0.3)  # the first one only: the second would overtake it
    asked = [amended(world, intent, first), amended(world, intent, last)]
    advance(0.2)
    assert not any(one.done() for one in asked)
    commands = [kind for kind in journal_kinds(world, intent) if kind.startswith("command")]
    assert commands == ["command"]  # the other one is not even meant yet
    advance(2.0)
    (order,) = venue.sent(intent.id)
    prices = [row["limit_price"] for row in order["history"] if row["what"] == "amended"]
    assert prices == [str(first), str(last)]
    assert Decimal(order["limit_price"]) == last
    report = view(world, intent).report
    assert report is not None
    assert report.limit_price == last


@pytest.mark.scenario("T027")
@pytest.mark.parametrize("executed", [True, False])
def test_after_an_amend_without_an_answer_the_venue_is_asked_and_believed(
    world: SimulatedTree, venue: Venue, advance: Advance, executed: bool
) -> None:
    intent = resting(venue)
    world.submit(intent)
    advance(0.5)
    assert intent.limit_price is not None
    wanted = below(intent.limit_price, "0.01")
    venue.fault("silence", channel="executions", s=1.0)
    venue.fault("drop_reply", method="amend_order", executed=executed)
    amended(world, intent, wanted)
    advance(5.0)
    report = view(world, intent).report
    assert report is not None
    assert report.limit_price == (wanted if executed else intent.limit_price)
    assert str(report.limit_price) == venue.sent(intent.id)[0]["limit_price"]
    assert venue.asked("QueryOrders")
    assert len(venue.asked("AmendOrder")) == (1 if executed else 0)


@pytest.mark.scenario("T029")
def test_a_fill_that_is_told_by_the_stream_twice_by_its_snapshot_and_by_rest_counts_once(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    venue.fault("duplicate_execution")
    intent = at_market(venue)
    world.submit(intent)
    advance(1.0)
    chaos.cut("private")  # the next connection tells of it again, and the reconciler reads it
    advance.until_trading()
    advance(2.0)
    assert (state(world, intent), view(world, intent).cum_qty) == ("FILLED", QTY)
    assert [(pair.pair, pair.net) for pair in cover(world).pairs if pair.net] == [(PAIR, QTY)]
    assert protected(venue) == [QTY]


@pytest.mark.scenario("T031")
def test_a_fill_of_an_order_that_nobody_here_knows_freezes_its_instrument_until_somebody_claims_it(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    venue.by_hand("AddOrder", pair=PAIR, type="buy", ordertype="market", volume="0.002")
    advance(6.0)
    with pytest.raises(Refused, match="external"):
        world.submit(at_market(venue))
    (strange,) = venue.orders()
    assert cover(world).external == (strange["order_id"],)
    assert len(venue.orders()) == 1  # and nobody trades against it
    chaos.die(down_s=0.5)  # never dropped
    advance.until_trading()
    with pytest.raises(Refused, match="external"):
        world.submit(at_market(venue))
    claim = ClaimExternal(order_id=strange["order_id"], by="me", reason="it is ours")
    assert world.call(ORDERS, claim)
    advance(4.0)  # ours now, and nobody named a stop for it: the guardian leaves it
    assert venue.position(PAIR) == 0
    world.submit(at_market(venue))


@pytest.mark.scenario("T034")
def test_a_cancel_of_an_unknown_order_waits_behind_the_search_and_goes_by_the_venues_id(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = resting(venue)
    venue.fault("silence", channel="executions", s=2.0)
    venue.fault("error", method="add_order", text="EGeneral:Internal error", executed=True)
    order = world.submit(intent)
    advance(0.1)
    assert state(world, intent) == "UNKNOWN"
    asked = world.begin(world.stage.ask(order.cancel()))
    advance(0.2)
    assert not asked.done()
    assert venue.asked("CancelOrder") == []
    advance(4.0)
    assert states(world, intent) == ["SENT", "UNKNOWN", "NEW", "CANCELED"]
    assert len(venue.asked("CancelOrder")) == 1
    assert [one["status"] for one in venue.sent(intent.id)] == ["canceled"]
