"""Conditional closes, amends in place, and every way to cancel."""

from decimal import Decimal
from typing import Any

import pytest
from tests.simulated.client import Client

from allstop.actors.simulated.kraken.counters import Tier

BIDS = [("100.0", "1"), ("99.0", "2"), ("98.0", "3")]
ASKS = [("101.0", "1"), ("102.0", "2"), ("103.0", "3")]
CLOSE = {"close[ordertype]": "stop-loss", "close[price]": "95.0"}


@pytest.fixture
def client() -> Client:
    client = Client(counting=False)
    client.book(BIDS, ASKS)
    return client


def children(client: Client, parent: str) -> list[dict[str, Any]]:
    return [order for order in client.orders().values() if order["parent_id"] == parent]


def test_each_fill_of_an_entry_creates_one_independent_stop_of_the_filled_quantity(client: Client) -> None:
    entry = client.order("buy", "2.5", **CLOSE)
    stops = children(client, entry)
    assert [(s["side"], s["order_type"], s["qty"], s["trigger_price"]) for s in stops] == [
        ("sell", "stop-loss", "1", "95.0"),
        ("sell", "stop-loss", "1.5", "95.0"),
    ]


def test_an_entry_that_does_not_fill_creates_no_stop(client: Client) -> None:
    assert children(client, client.order("buy", "1", "90.0", **CLOSE)) == []


def test_cancelling_the_entry_leaves_the_stops_of_its_fills(client: Client) -> None:
    entry = client.order("buy", "2", "101.0", **CLOSE)
    client.ok("CancelOrder", txid=entry)
    assert [stop["open"] for stop in children(client, entry)] == [True]


def test_a_stop_limit_close_carries_both_prices(client: Client) -> None:
    entry = client.order(
        "buy", "1", **{"close[ordertype]": "stop-loss-limit", "close[price]": "95.0", "close[price2]": "94.0"}
    )
    (stop,) = children(client, entry)
    assert (stop["order_type"], stop["trigger_price"], stop["limit_price"]) == (
        "stop-loss-limit",
        "95.0",
        "94.0",
    )


def test_a_close_refused_for_want_of_funds_is_cancelled_and_leaves_the_position_bare(client: Client) -> None:
    client.venue.fault({"kind": "refuse_closes"}, client.at)
    entry = client.order("buy", "1", **CLOSE)
    (stop,) = children(client, entry)
    assert (stop["status"], stop["reason"]) == ("canceled", "Insufficient funds")
    client.wait(1)
    assert client.cover()["intervals"][0]["qty_max"] == "1"


def test_an_amend_keeps_the_id_and_moves_the_trigger(client: Client) -> None:
    entry = client.order("buy", "1", **CLOSE)
    (stop,) = children(client, entry)
    client.ok("AmendOrder", txid=stop["order_id"], trigger_price="96.0")
    told = client.told(stop["order_id"])
    assert (told["trigger_price"], told["qty"], told["open"]) == ("96.0", "1", True)


def test_an_amend_below_the_filled_quantity_cancels_the_rest(client: Client) -> None:
    order_id = client.order("buy", "2", "101.0")
    client.ok("AmendOrder", txid=order_id, order_qty="0.5")
    told = client.told(order_id)
    assert (told["status"], told["filled"]) == ("canceled", "1")


def test_a_stop_amended_to_zero_is_cancelled(client: Client) -> None:
    entry = client.order("buy", "1", **CLOSE)
    (stop,) = children(client, entry)
    client.ok("AmendOrder", txid=stop["order_id"], order_qty="0")
    assert client.told(stop["order_id"])["status"] == "canceled"


def test_an_amended_limit_that_now_crosses_fills(client: Client) -> None:
    order_id = client.order("buy", "1", "90.0")
    client.ok("AmendOrder", txid=order_id, limit_price="101.0")
    assert client.told(order_id)["status"] == "filled"


def test_the_amends_of_an_order_are_told_in_order(client: Client) -> None:
    order_id = client.order("buy", "1", "90.0")
    client.ok("AmendOrder", txid=order_id, limit_price="91.0")
    told = client.ok("OrderAmends", order_id=order_id)
    assert [(row["amend_type"], row["limit_price"]) for row in told["amends"]] == [
        ("original", "90.0"),
        ("user", "91.0"),
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, "EGeneral:Invalid arguments"),
        ({"trigger_price": "90.0"}, "EGeneral:Invalid arguments:trigger_price"),
        ({"limit_price": "90.05"}, "EOrder:Tick size check failed"),
        ({"limit_price": "0"}, "EOrder:Invalid price"),
        ({"order_qty": "0.00001"}, "EOrder:Order minimum not met"),
        ({"order_qty": "100000"}, "EOrder:Insufficient funds"),
        ({"limit_price": "102.0", "post_only": "true"}, "EOrder:Post only order"),
        ({"order_qty": "2", "deadline": "2025-01-01T00:00:00Z"}, "EService:Deadline elapsed"),
    ],
)
def test_a_bad_amend_changes_nothing(client: Client, change: dict[str, str], error: str) -> None:
    order_id = client.order("buy", "1", "90.0")
    assert client.refused("AmendOrder", txid=order_id, **change) == error
    assert (client.told(order_id)["limit_price"], client.told(order_id)["qty"]) == ("90.0", "1")


def test_an_order_that_is_over_cannot_be_amended_or_cancelled(client: Client) -> None:
    order_id = client.order("buy", "1")
    assert client.refused("AmendOrder", txid=order_id, order_qty="2") == "EOrder:Unknown order"
    assert client.refused("CancelOrder", txid=order_id) == "EOrder:Unknown order"


def test_a_cancel_names_an_order_by_any_of_its_ids(client: Client) -> None:
    by_id = client.order("buy", "1", "90.0")
    client.order("buy", "1", "90.0", cl_ord_id="mine")
    client.order("buy", "1", "90.0", userref="7")
    client.order("buy", "1", "91.0", userref="7")
    assert client.ok("CancelOrder", txid=by_id) == {"count": 1}
    assert client.ok("CancelOrder", cl_ord_id="mine") == {"count": 1}
    assert client.ok("CancelOrder", txid="7") == {"count": 2}
    assert client.ok("OpenOrders") == {"open": {}}


def test_a_batch_cancels_what_it_finds_and_counts_it(client: Client) -> None:
    first = client.order("buy", "1", "90.0")
    client.order("buy", "1", "90.0", cl_ord_id="mine")
    assert client.ok("CancelOrderBatch", orders=[first, "mine", "OXXXXX-XXXXX-XXXXXX"]) == {"count": 2}


@pytest.mark.parametrize("n", [0, 51])
def test_a_batch_cancel_is_of_1_to_50(client: Client, n: int) -> None:
    assert client.refused("CancelOrderBatch", orders=["x"] * n) == "EGeneral:Invalid arguments:orders"


def test_a_batch_of_50_is_taken(client: Client) -> None:
    ids = [client.order("buy", "0.1", "90.0") for _ in range(50)]
    assert client.ok("CancelOrderBatch", orders=ids) == {"count": 50}


def test_cancel_all_takes_the_stops_too(client: Client) -> None:
    client.order("buy", "1", **CLOSE)
    assert client.ok("CancelAll") == {"count": 1}


def test_a_batch_add_answers_each_order_by_itself(client: Client) -> None:
    rows = [
        {"type": "buy", "ordertype": "limit", "price": "90.0", "volume": "1"},
        {"type": "buy", "ordertype": "limit", "price": "90.05", "volume": "1"},
    ]
    told = client.ok("AddOrderBatch", pair="XBTUSD", orders=rows)["orders"]
    assert told[0]["txid"] in client.orders()
    assert told[1] == {"error": "EOrder:Tick size check failed"}


def test_the_switch_cancels_everything_once_and_then_stays_off(client: Client) -> None:
    client.order("buy", "1", "90.0")
    told = client.ok("CancelAllOrdersAfter", timeout="60")
    assert (told["currentTime"][:19], told["triggerTime"][:19]) == (
        "2026-01-01T00:00:00",
        "2026-01-01T00:01:00",
    )
    client.wait(59.9)
    assert len(client.ok("OpenOrders")["open"]) == 1
    client.wait(0.2)
    assert client.ok("OpenOrders") == {"open": {}}
    later = client.order("buy", "1", "90.0")
    client.wait(120)
    assert client.told(later)["open"]


def test_the_switch_is_put_off_by_calling_again_and_disarmed_by_zero(client: Client) -> None:
    order_id = client.order("buy", "1", "90.0")
    client.ok("CancelAllOrdersAfter", timeout="60")
    client.wait(30)
    client.ok("CancelAllOrdersAfter", timeout="60")
    client.wait(45)
    assert client.told(order_id)["open"]
    assert client.ok("CancelAllOrdersAfter", timeout="0")["triggerTime"] == "0"
    client.wait(3600)
    assert client.told(order_id)["open"]


@pytest.mark.parametrize("timeout", ["-1", "86400", "x"])
def test_a_switch_has_less_than_a_day(client: Client, timeout: str) -> None:
    assert client.refused("CancelAllOrdersAfter", timeout=timeout) == "EGeneral:Invalid arguments:timeout"


def test_twenty_young_orders_are_cancelled_in_one_batch_on_intermediate_within_the_limit() -> None:
    client = Client(tier=Tier.INTERMEDIATE, balances={"USD": Decimal(1_000_000)})
    ids = [client.order("buy", "0.001", "20000.0") for _ in range(20)]
    assert client.ok("CancelOrderBatch", orders=ids) == {"count": 20}
    assert client.truth()["limits_broken"] == []
