"""Kraken's published limits, counted by the venue: the vectors of its own rate-limit pages."""

import pytest
from tests.simulated.client import Client

from allstop.actors.simulated.kraken.counters import (
    AMEND_PENALTY,
    CANCEL_PENALTY,
    TIERS,
    ConnectLedger,
    Counter,
    Tier,
    penalty,
)


@pytest.mark.parametrize(
    ("age_s", "cancel", "amend"),
    [
        (0.0, 8, 3), (4.9, 8, 3), (5.0, 6, 2), (9.9, 6, 2), (10.0, 5, 1), (14.9, 5, 1), (15.0, 4, 0),
        (44.9, 4, 0), (45.0, 2, 0), (89.9, 2, 0), (90.0, 1, 0), (299.9, 1, 0), (300.0, 0, 0),
    ],
)  # fmt: skip
def test_a_penalty_falls_with_the_age_of_the_order(age_s: float, cancel: int, amend: int) -> None:
    assert (penalty(CANCEL_PENALTY, age_s), penalty(AMEND_PENALTY, age_s)) == (cancel, amend)


def test_an_add_an_amend_at_7_s_and_a_cancel_36_s_later_cost_8_in_all() -> None:
    client = Client(tier=Tier.STARTER)
    counter = client.venue.engine.rates.counter("main", "BTC/USD")
    spent = 0.0

    def spent_by(act: object) -> float:
        before = counter.at(client.at.now_s)
        assert callable(act)
        act()
        return counter.at(client.at.now_s) - before

    order_id = ""

    def add() -> None:
        nonlocal order_id
        order_id = client.order("buy", "0.001", "20000.0")

    spent += spent_by(add)
    client.wait(7)
    spent += spent_by(lambda: client.ok("AmendOrder", txid=order_id, limit_price="20001.0"))
    client.wait(36)
    spent += spent_by(lambda: client.ok("CancelOrder", txid=order_id))
    assert spent == pytest.approx(8.0)


def test_50_adds_stand_at_26_6_ten_seconds_later_on_intermediate() -> None:
    client = Client(tier=Tier.INTERMEDIATE)
    for _ in range(50):
        client.order("buy", "0.001", "20000.0")
    assert client.venue.engine.rates.counter("main", "BTC/USD").at(client.at.now_s + 10) == pytest.approx(
        26.6
    )


@pytest.mark.parametrize(("tier", "burst"), [(Tier.STARTER, 60), (Tier.INTERMEDIATE, 125), (Tier.PRO, 180)])
def test_a_burst_ends_where_the_tier_says(tier: Tier, burst: int) -> None:
    client = Client(tier=tier)
    for _ in range(burst):  # adds that fail their checks count as well
        assert client.refused(
            "AddOrder", pair="XBTUSD", type="buy", ordertype="limit", price="0.15", volume="1"
        )
    assert client.refused("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="1") == (
        "EOrder:Rate limit exceeded"
    )
    assert client.truth()["limits_broken"][-1]["kind"] == "engine_rate"


def test_one_pair_over_its_limit_leaves_the_others_free() -> None:
    client = Client(tier=Tier.STARTER)
    for _ in range(60):
        client.order("buy", "0.001", "20000.0")
        client.ok("CancelAll")
        client.wait(15)
        if client.venue.engine.rates.counter("main", "BTC/USD").at(client.at.now_s) > 59:
            break
    assert client.ok("AddOrder", pair="ETHUSD", type="buy", ordertype="market", volume="1")["txid"]


def test_a_batch_cancel_over_the_limit_is_still_taken() -> None:
    client = Client(tier=Tier.STARTER)
    ids = [client.order("buy", "0.001", "20000.0") for _ in range(20)]
    assert client.ok("CancelOrderBatch", orders=ids) == {"count": 20}  # 20 + 20 * 8 of 60
    assert client.venue.engine.rates.counter("main", "BTC/USD").at(client.at.now_s) == pytest.approx(180.0)


def test_a_single_cancel_over_the_limit_is_refused() -> None:
    client = Client(tier=Tier.STARTER)
    ids = [client.order("buy", "0.001", "20000.0") for _ in range(20)]
    for order_id in ids[:5]:
        client.ok("CancelOrder", txid=order_id)  # 20 + 5 * 8 is 60
    assert client.refused("CancelOrder", txid=ids[5]) == "EOrder:Rate limit exceeded"


@pytest.mark.parametrize(("tier", "calls"), [(Tier.STARTER, 15), (Tier.INTERMEDIATE, 20), (Tier.PRO, 20)])
def test_rest_calls_are_counted_per_key_and_decay(tier: Tier, calls: int) -> None:
    client = Client(tier=tier)
    for _ in range(calls):
        client.ok("Balance")
    assert client.refused("Balance") == "EAPI:Rate limit exceeded"
    client.wait(3 / TIERS[tier].rest_decay)
    client.ok("Balance")


def test_orders_do_not_touch_the_rest_counter() -> None:
    client = Client()
    for _ in range(20):
        client.ok("Balance")
    assert client.order("buy", "0.001", "20000.0")


def test_a_trades_history_counts_for_four() -> None:
    client = Client()
    for _ in range(5):
        client.ok("TradesHistory")
    assert client.refused("Balance") == "EAPI:Rate limit exceeded"


def test_counters_can_be_switched_off() -> None:
    client = Client(counting=False, tier=Tier.STARTER)
    for _ in range(100):
        client.ok("Balance")
    assert client.truth()["limits_broken"] == []


def test_a_decaying_counter_never_goes_below_zero() -> None:
    counter = Counter(10, 1.0)
    counter.add(3, 0.0)
    assert counter.at(100.0) == 0.0


def test_the_151st_connect_within_ten_minutes_bans_the_address_for_ten_minutes() -> None:
    ledger = ConnectLedger()
    assert all(ledger.connect("a", float(n)) for n in range(150))
    assert not ledger.connect("a", 150.0)
    assert ledger.connect("b", 150.0)
    assert not ledger.connect("a", 749.0)
    assert ledger.connect("a", 750.0)
