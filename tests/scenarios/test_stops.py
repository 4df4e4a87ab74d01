"""c.3: stops."""

from decimal import Decimal
from typing import Any

import pytest
from tests.scenarios.steps import (
    COVER_MS,
    GUARDIAN,
    PAIR,
    QTY,
    SESSION,
    alerts,
    at_market,
    below,
    leaving,
    level,
    pair_cover,
    protected,
    resting,
    state,
    stops,
)

from allstop.actors.errors import Refused
from allstop.actors.intents import StopLoss
from allstop.actors.levels import Level
from allstop.supervisors.chaos import NotTrading
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue


def bare(world: SimulatedTree, venue: Venue, advance: Advance) -> None:
    """An entry fills, and the venue makes no stop of its conditional close: from now on it stands without one."""
    venue.fault("refuse_closes", n=1)
    world.submit(at_market(venue))
    advance.until(lambda: venue.position(PAIR), look_s=0.002)


def by_guardian(venue: Venue, order_type: str) -> list[dict[str, Any]]:
    """The orders of this type that the guardian placed by itself: its ids are a g and 16 digits."""
    return [
        o for o in venue.orders() if o["order_type"] == order_type and (o["cl_ord_id"] or "").startswith("g")
    ]


@pytest.mark.scenario("T035")
def test_an_entry_without_a_stop_is_refused_and_nothing_is_on_the_wire(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    with pytest.raises(Refused, match="NO_STOP"):
        world.submit(at_market(venue, stop=None))
    advance(3.0)
    assert venue.asked("AddOrder") == venue.asked("BatchAdd") == venue.orders() == []


@pytest.mark.scenario("T036")
def test_a_process_that_is_killed_between_fill_and_stop_covers_before_anything_else(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    bare(world, venue, advance)
    assert protected(venue) == []
    venue.fault("delay", method="AddOrder", s=0.4)  # its stop is under way for a while: that is no cover yet
    chaos.die(down_s=0.5)
    while not protected(venue):
        with pytest.raises(NotTrading):
            advance.until_trading(0.0)  # no entry passes before
        advance(0.01)
    advance.until_trading()
    assert protected(venue) == [QTY]
    assert venue.cover(PAIR)["uncovered_ms_max"] <= 500.0 + COVER_MS


@pytest.mark.scenario("T037")
@pytest.mark.parametrize(
    "text",
    [
        "EOrder:Insufficient funds",
        "EOrder:Tick size check failed",
        "EOrder:Orders limit exceeded",
    ],
)
def test_a_stop_that_is_refused_once_is_made_acceptable(
    world: SimulatedTree, venue: Venue, advance: Advance, text: str
) -> None:
    bare(world, venue, advance)
    venue.fault("error", method="AddOrder", text=text)
    advance(3.0)
    assert protected(venue) == [QTY]
    assert len(by_guardian(venue, "stop-loss")) == 1
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS


@pytest.mark.scenario("T037")
def test_a_stop_that_is_refused_twice_ends_in_a_flat_position(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    bare(world, venue, advance)
    venue.fault("error", method="AddOrder", text="EOrder:Insufficient funds", n=2)
    advance(3.0)
    assert (venue.position(PAIR), protected(venue)) == (0, [])
    assert len(by_guardian(venue, "market")) == 1
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS


@pytest.mark.scenario("T037")
def test_a_position_that_can_neither_be_covered_nor_flattened_halts_and_calls_somebody(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    bare(world, venue, advance)
    venue.fault("error", method="AddOrder", text="EOrder:Insufficient funds", n=4)
    advance(1.9)
    assert level(world, "kraken", "main") is Level.HALTED
    assert any("guardian.abandoned" in line for line in alerts(world))
    assert any("level.lowered" in line and "'HALTED'" in line for line in alerts(world))
    with pytest.raises(Refused):
        world.submit(at_market(venue))
    advance(4.0)
    assert protected(venue) == [QTY]  # it goes on trying


@pytest.mark.scenario("T038")
def test_a_stop_that_would_trigger_at_once_is_not_tried_again_the_position_is_flattened(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    bare(world, venue, advance)
    venue.fault("error", method="AddOrder", text="EOrder:Invalid price")
    advance(3.0)
    assert venue.position(PAIR) == 0
    assert by_guardian(venue, "stop-loss") == []
    assert len(by_guardian(venue, "market")) == 1
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS


@pytest.mark.scenario("T041")
def test_a_crash_while_a_stop_is_made_smaller_leaves_one_live_stop_all_the_time(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    world.submit(at_market(venue, qty=2 * QTY))
    advance(1.0)
    (stop,) = stops(venue)
    venue.fault("delay", method="AmendOrder", s=0.2, executed=True)
    world.submit(leaving())
    advance.until(lambda: protected(venue) == [QTY], look_s=0.002)
    chaos.kill(GUARDIAN)
    advance(4.0)
    moved = venue.truth()["orders"][stop["order_id"]]
    assert moved["open"]
    assert sum(protected(venue)) == venue.position(PAIR) > 0
    assert {row["what"] for row in moved["history"]} == {"accepted", "amended"}


@pytest.mark.scenario("T042")
def test_three_partial_fills_make_three_stops_and_the_guardian_watches_all_of_them(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = resting(venue, qty=3 * QTY)
    world.submit(intent)
    for n in range(1, 4):
        advance(0.5)
        venue.fill(intent.id, QTY)
        assert protected(venue) == n * [QTY]
    advance(2.0)
    assert state(world, intent) == "FILLED"
    assert (pair_cover(world).net, pair_cover(world).state) == (3 * QTY, "covered")
    for stop in stops(venue):  # whichever is lost, it notices
        venue.by_hand("CancelOrder", txid=stop["order_id"])
        advance(2.0)
        assert sum(protected(venue)) == 3 * QTY


@pytest.mark.scenario("T044")
def test_a_stop_limit_that_triggered_and_does_not_fill_is_replaced_by_a_market_order(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    ask = venue.ask(PAIR)
    trigger, limit = below(ask, "0.05"), below(ask, "-0.05")  # a limit that nobody pays
    world.submit(at_market(venue, stop=StopLoss(trigger_price=trigger, limit_price=limit)))
    advance(1.0)
    (stop,) = stops(venue)
    assert stop["order_type"] == "stop-loss-limit"
    venue.price(PAIR, trigger)
    assert stops(venue)[0]["triggered"]
    advance(3.0)
    assert (venue.position(PAIR), stops(venue)) == (0, [])
    assert len(by_guardian(venue, "market")) == 1


@pytest.mark.scenario("T045")
@pytest.mark.parametrize("with_limit", [False, True])
def test_a_stop_that_cannot_match_is_told_keeps_entries_out_and_acts_at_the_reopening(
    world: SimulatedTree, venue: Venue, advance: Advance, with_limit: bool
) -> None:
    trigger = below(venue.ask(PAIR), "0.05")
    nobody_pays = below(venue.ask(PAIR), "-0.05") if with_limit else None
    world.submit(at_market(venue, stop=StopLoss(trigger_price=trigger, limit_price=nobody_pays)))
    advance(1.0)
    assert pair_cover(world).state == "covered"
    venue.fault("post_only")
    venue.price(PAIR, trigger)
    advance(4.0)
    assert (pair_cover(world).state, pair_cover(world).qty) == ("unmatched", QTY)
    (told,) = [line for line in alerts(world) if "guardian.unmatched" in line]
    assert PAIR in told
    with pytest.raises(Refused, match="GATE_CLOSED"):
        world.submit(at_market(venue))
    assert (protected(venue), venue.position(PAIR)) == ([QTY], QTY)
    assert venue.asked("CancelOrder") == by_guardian(venue, "market") == []  # nothing better was to be had
    venue.price(PAIR, trigger)
    venue.fault("online")
    advance(4.0)
    assert (venue.position(PAIR), stops(venue)) == (0, [])
    assert len(by_guardian(venue, "market")) == int(with_limit)
    assert (pair_cover(world).net, pair_cover(world).state) == (0, "covered")


@pytest.mark.scenario("T046")
@pytest.mark.parametrize("broker", [SESSION, "/accounts/kraken.main/trading"])
def test_a_stop_that_is_under_way_is_the_guardians_also_while_the_broker_is_restarted(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance, broker: str
) -> None:
    bare(world, venue, advance)
    venue.fault("drop_reply", method="AddOrder")  # the venue makes it, and says nothing
    advance.until(lambda: protected(venue), look_s=0.01)
    chaos.kill(broker)
    advance(5.0)
    assert protected(venue) == [QTY]
    assert len(by_guardian(venue, "stop-loss")) == 1
    assert (pair_cover(world).net, pair_cover(world).state) == (QTY, "covered")
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS
    advance.until_trading()


@pytest.mark.scenario("T047")
def test_a_guardian_that_crashed_audits_everything_before_any_entry(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    world.submit(at_market(venue))
    advance(1.0)
    (stop,) = stops(venue)
    venue.fault("delay", method="OpenOrders", s=0.3)
    venue.fault("delay", method="AddOrder", s=0.4)  # that it knows what is bare is not enough
    chaos.crash(GUARDIAN)
    venue.by_hand("CancelOrder", txid=stop["order_id"])
    advance(0.01)  # the crash is noticed
    while not protected(venue):
        with pytest.raises(NotTrading):
            advance.until_trading(0.0)
        advance(0.01)
    advance.until_trading()
    assert protected(venue) == [QTY]
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS


@pytest.mark.scenario("T049")
@pytest.mark.parametrize("executed", [True, False])
def test_a_flatten_of_which_nobody_knows_is_searched_for_and_never_flips_the_position(
    world: SimulatedTree, venue: Venue, advance: Advance, executed: bool
) -> None:
    bare(world, venue, advance)
    venue.fault("error", method="AddOrder", text="EOrder:Invalid price")
    venue.fault("drop_reply", method="AddOrder", executed=executed)
    advance(8.0)
    assert venue.position(PAIR) == 0
    assert [Decimal(one["filled"]) for one in by_guardian(venue, "market")] == [QTY]
    assert (pair_cover(world).net, pair_cover(world).state) == (0, "covered")
    # With this venue's short deadlines. Kraken's own take longer to prove that nothing arrived: docs/cover.md.
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS
