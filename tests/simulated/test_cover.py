"""The venue's own account of how long a position stood without its stop."""

from decimal import Decimal

import pytest
from tests.simulated.client import BTC, Client

from allstop.actors.simulated.kraken.counters import Tier
from allstop.actors.simulated.kraken.cover import CoverMeter
from allstop.actors.simulated.kraken.witness import Witness

BIDS = [("100.0", "10"), ("99.0", "20")]
ASKS = [("101.0", "10"), ("102.0", "20")]
CLOSE = {"close[ordertype]": "stop-loss", "close[price]": "95.0"}


def client_with(**settings: bool) -> Client:
    client = Client(None, counting=False, **settings)
    client.book(BIDS, ASKS)
    client.print("100.5")
    return client


def test_a_position_with_its_conditional_stop_was_never_uncovered() -> None:
    client = client_with()
    client.order("buy", "5", **CLOSE)
    client.wait(10)
    assert client.cover()["intervals"] == []


def test_a_bare_position_is_uncovered_until_its_stop_stands() -> None:
    client = client_with()
    client.order("buy", "5")
    client.wait(1.5)
    client.stop("sell", "5", "95.0")
    client.wait(3)
    (interval,) = client.cover()["intervals"]
    assert (interval["uncovered_ms"], interval["qty_max"]) == (1500.0, "5")


def test_half_a_stop_is_no_cover() -> None:
    client = client_with()
    client.order("buy", "5")
    client.stop("sell", "2", "95.0")
    client.wait(1)
    (interval,) = client.cover()["intervals"]
    assert (interval["end_ns"], interval["uncovered_ms"]) == (None, 1000.0)


def test_a_flattened_position_needs_no_stop() -> None:
    client = client_with()
    client.order("buy", "5")
    client.wait(0.25)
    client.order("sell", "5")
    client.wait(5)
    assert client.cover()["uncovered_ms_max"] == 250.0
    assert client.position() == 0


def test_a_resting_limit_is_no_cover_unless_the_venue_is_set_to_count_it() -> None:
    for counted, intervals in ((False, 1), (True, 0)):
        client = client_with(limits_cover=counted)
        client.order("buy", "5", **CLOSE)
        (stop,) = [order for order in client.orders().values() if order["order_type"] == "stop-loss"]
        client.ok("CancelOrder", txid=stop["order_id"])
        client.order("sell", "5", "110.0")
        client.wait(1)
        told = client.cover()["intervals"]
        assert sum(interval["uncovered_ms"] > 0 for interval in told) == intervals


def test_a_stop_on_the_wrong_side_covers_nothing() -> None:
    client = client_with()
    client.order("buy", "5")
    client.stop("buy", "5", "150.0")
    client.wait(1)
    assert client.cover()["uncovered_ms_max"] == 1000.0


def test_time_in_which_the_venue_could_not_be_reached_is_told_apart() -> None:
    client = client_with()
    client.order("buy", "5")
    client.wait(1)
    client.venue.fault({"kind": "maintenance", "s": 3}, client.at)
    client.wait(3)
    client.wait(0.5)
    client.stop("sell", "5", "95.0")
    (interval,) = client.cover()["intervals"]
    assert (interval["uncovered_ms"], interval["uncovered_unreachable_ms"]) == (1500.0, 3000.0)


def test_an_interval_that_begins_while_the_venue_is_unreachable_counts_only_what_follows() -> None:
    meter = CoverMeter()
    meter.reachable(False, 0)
    meter.measured(Decimal(1), Decimal(0), 1_000_000)
    meter.reachable(True, 5_000_000)
    meter.measured(Decimal(1), Decimal(1), 7_000_000)
    (interval,) = meter.told(9_000_000)["intervals"]
    assert (interval["uncovered_ms"], interval["uncovered_unreachable_ms"]) == (2.0, 4.0)


def test_a_stop_that_triggers_and_fills_ends_the_position_and_its_cover_at_once() -> None:
    client = client_with()
    client.order("buy", "5", **CLOSE)
    client.print("95.0")
    client.wait(2)
    assert client.position() == 0
    assert client.cover()["intervals"] == []


def test_a_stop_moved_in_place_leaves_no_gap() -> None:
    client = client_with()
    entry = client.order("buy", "5", **CLOSE)
    (stop,) = [order for order in client.orders().values() if order["parent_id"] == entry]
    client.wait(1)
    client.ok("AmendOrder", txid=stop["order_id"], trigger_price="97.0")
    client.wait(1)
    assert client.cover()["intervals"] == []


def test_a_note_that_a_proxy_keeps_the_client_away_counts_as_unreachable() -> None:
    client = client_with()
    client.order("buy", "5")
    client.venue.fault({"kind": "unreachable", "s": 2}, client.at)
    client.wait(2)
    client.stop("sell", "5", "95.0")
    (interval,) = client.cover()["intervals"]
    assert (interval["uncovered_ms"], interval["uncovered_unreachable_ms"]) == (0.0, 2000.0)
    (outage,) = client.truth()["unreachable"]
    assert outage["end_ns"] - outage["start_ns"] == 2_000_000_000


def test_who_watches_is_told_when_a_pair_takes_no_order_that_could_cover_and_when_it_does_again() -> None:
    told: list[tuple[str, bool]] = []

    class Watching(Witness):
        def coverable(self, symbol: str, coverable: bool, wall_ns: int) -> None:
            told.append((symbol, coverable))

    client = Client()
    client.venue.attach(Watching())
    both = list(client.venue.pairs)
    for fault in ({"kind": "post_only", "s": 1}, {"kind": "rate_limited", "face": "orders", "s": 1}):
        client.venue.fault(fault, client.at)
        assert told == [(pair, False) for pair in both]
        client.wait(1.5)
        assert told[len(both) :] == [(pair, True) for pair in both]
        told.clear()
    client.venue.fault({"kind": "pair_status", "symbol": BTC, "status": "limit_only", "s": 1}, client.at)
    client.wait(1.5)
    client.venue.fault({"kind": "pair_status", "symbol": BTC, "status": "reduce_only", "s": 1}, client.at)
    client.venue.fault({"kind": "rate_limited", "face": "rest", "s": 1}, client.at)
    assert told == [(BTC, False), (BTC, True)]


def test_a_market_that_plunges_takes_the_stops_and_stands_where_it_stood() -> None:
    client = client_with()
    client.order("buy", "5", **CLOSE)
    client.wait(1)
    client.venue.fault({"kind": "plunge", "symbol": "BTC/USD", "by": 0.1}, client.at)
    orders = client.venue.truth(client.at)["orders"].values()
    (stop,) = [order for order in orders if order["parent_id"] is not None]
    assert (stop["status"], stop["filled"]) == ("filled", "5")
    assert client.venue.market(client.venue.pairs["BTC/USD"]).last == Decimal("100.0")


def test_a_rate_that_is_said_to_be_reached_counts_as_a_key_without_calls_until_a_confirmation_fits_again() -> (
    None
):
    told: list[tuple[str, float]] = []

    class Watching(Witness):
        def spent(self, account: str, role: str, wall_ns: int, until_ns: int) -> None:
            told.append((role, (until_ns - wall_ns) / 1e9))

    client = Client(None, tier=Tier.PRO)
    client.venue.attach(Watching())
    client.post("OpenOrders")
    assert told == []
    client.venue.fault({"kind": "rate_limited", "face": "rest", "s": 5}, client.at)
    assert client.post("OpenOrders")["error"] == ["EAPI:Rate limit exceeded"]
    assert told == [
        ("trade", pytest.approx(4.0))
    ]  # three calls above nineteen twentieths of twenty, one a second
