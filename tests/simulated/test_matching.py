"""How orders are taken, filled and ended: against the recorded book, without moving it."""

from decimal import Decimal
from typing import Any

import pytest
from tests.simulated.client import BTC, Client

BIDS = [("100.0", "1"), ("99.0", "2"), ("98.0", "3")]
ASKS = [("101.0", "1"), ("102.0", "2"), ("103.0", "3")]


@pytest.fixture
def client() -> Client:
    client = Client(balances={"USD": Decimal(1_000_000), "BTC": Decimal(50)})
    client.book(BIDS, ASKS)
    client.print("100.5")
    return client


def fills(client: Client, order_id: str) -> list[tuple[str, str, bool]]:
    return [
        (f"{Decimal(one['qty']).normalize():f}", one["price"], one["maker"])
        for one in client.truth()["executions"]
        if one["order_id"] == order_id
    ]


def test_a_market_order_walks_the_levels(client: Client) -> None:
    order_id = client.order("buy", "2.5")
    assert fills(client, order_id) == [("1", "101.0", False), ("1.5", "102.0", False)]


def test_our_orders_leave_the_book_as_it_was(client: Client) -> None:
    client.order("buy", "1")
    assert fills(client, client.order("buy", "1")) == [("1", "101.0", False)]


def test_a_market_order_beyond_the_book_goes_on_when_the_book_moves(client: Client) -> None:
    order_id = client.order("buy", "7")
    assert client.told(order_id)["status"] == "partially_filled"
    client.book(BIDS, [("105.0", "9")])
    assert fills(client, order_id)[-1] == ("1", "105.0", False)


def test_a_limit_that_crosses_takes_down_to_its_price_and_rests(client: Client) -> None:
    order_id = client.order("buy", "2", "101.0")
    assert fills(client, order_id) == [("1", "101.0", False)]
    assert client.told(order_id)["open"]


def test_a_resting_limit_fills_at_its_own_price_as_maker_when_the_market_comes(client: Client) -> None:
    order_id = client.order("buy", "2", "100.5")
    client.book([("99.0", "1")], [("99.5", "0.5"), ("100.0", "9")])
    assert fills(client, order_id) == [("2", "100.5", True)]


def test_a_resting_limit_fills_no_more_than_the_market_brings(client: Client) -> None:
    order_id = client.order("sell", "2", "102.0")
    client.book([("103.0", "0.5"), ("101.0", "5")], [("104.0", "1")])
    assert fills(client, order_id) == [("0.5", "102.0", True)]


def test_the_rest_of_an_ioc_order_is_cancelled(client: Client) -> None:
    order_id = client.order("buy", "3", "101.0", timeinforce="IOC")
    told = client.told(order_id)
    assert (told["status"], told["filled"]) == ("canceled", "1")


def test_a_gtd_order_expires(client: Client) -> None:
    order_id = client.order("buy", "1", "90.0", timeinforce="GTD", expiretm="+30")
    client.wait(29.9)
    assert client.told(order_id)["open"]
    client.wait(0.2)
    assert client.told(order_id)["status"] == "expired"


def test_a_post_only_order_that_would_take_is_refused(client: Client) -> None:
    told = client.refused(
        "AddOrder", pair="XBTUSD", type="buy", ordertype="limit", price="101.0", volume="1", oflags="post"
    )
    assert told == "EOrder:Post only order"
    assert client.order("buy", "1", "100.0", oflags="post")


def test_fees_are_a_takers_or_a_makers(client: Client) -> None:
    client.order("buy", "1")
    client.order("buy", "1", "100.5")
    client.book([("90.0", "1")], [("99.0", "1")])
    assert [one["fee"] for one in client.truth()["executions"]] == ["0.26260", "0.16080"]


def test_a_stop_sells_at_market_when_the_last_trade_reaches_its_trigger(client: Client) -> None:
    stop = client.stop("sell", "1.5", "100.0")
    client.print("100.1")
    assert client.told(stop)["open"]
    client.print("100.0")
    assert fills(client, stop) == [("1", "100.0", False), ("0.5", "99.0", False)]


def test_a_buy_stop_triggers_upwards(client: Client) -> None:
    stop = client.stop("buy", "1", "105.0")
    client.print("105.0")
    assert client.told(stop)["status"] == "filled"


def test_a_stop_limit_that_is_triggered_and_not_met_rests_at_its_limit(client: Client) -> None:
    stop = client.order("sell", "1", "100.0", ordertype="stop-loss-limit", price2="99.5")
    client.book([("95.0", "1")], ASKS)
    client.print("95.0")
    told = client.told(stop)
    assert (told["triggered"], told["open"], told["filled"]) == (True, True, "0")
    client.book([("99.7", "5")], ASKS)
    assert fills(client, stop) == [("1", "99.5", True)]


def test_a_take_profit_triggers_the_other_way(client: Client) -> None:
    order_id = client.order("sell", "1", "110.0", ordertype="take-profit")
    client.print("109.9")
    assert client.told(order_id)["open"]
    client.print("110.0")
    assert client.told(order_id)["status"] == "filled"


def test_a_stop_that_is_through_the_market_triggers_at_once(client: Client) -> None:
    client.print("100.0")
    assert client.told(client.stop("sell", "1", "100.5"))["status"] == "filled"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ({"type": "hold"}, "EGeneral:Invalid arguments:type"),
        ({"ordertype": "iceberg"}, "EGeneral:Invalid arguments:ordertype"),
        ({"volume": "x"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "NaN"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "-1"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0.000000001"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0.00001"}, "EOrder:Order minimum not met"),
        ({"volume": "0.0001", "price": "100.0"}, "EOrder:Cost minimum not met"),
        ({"price": "100.05"}, "EOrder:Tick size check failed"),
        ({"price": "-1"}, "EOrder:Invalid price"),
        ({"price": ""}, "EGeneral:Invalid arguments:price"),
        ({"timeinforce": "FOREVER"}, "EGeneral:Invalid arguments:timeinforce"),
        ({"timeinforce": "GTD"}, "EGeneral:Invalid arguments:expiretm"),
        ({"volume": "100000"}, "EOrder:Insufficient funds"),
        ({"reduce_only": "true"}, "EOrder:Reduce only:No position exists"),
        ({"cl_ord_id": "far too long for an id that is no uuid"}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"cl_ord_id": "a", "userref": "1"}, "EGeneral:Invalid arguments:cl_ord_id"),
        ({"userref": "1.5"}, "EGeneral:Invalid arguments:userref"),
        ({"close[ordertype]": "market"}, "EGeneral:Invalid arguments:close[ordertype]"),
        ({"close[ordertype]": "stop-loss"}, "EGeneral:Invalid arguments:close[price]"),
        ({"close[ordertype]": "stop-loss", "close[price]": "9.99"}, "EOrder:Tick size check failed"),
        ({"deadline": "soon"}, "EGeneral:Invalid arguments:deadline"),
        ({"deadline": "2025-12-31T23:59:59Z"}, "EService:Deadline elapsed"),
        ({"deadline": "2026-01-01T00:02:00Z"}, "EGeneral:Invalid arguments:deadline"),
    ],
)
def test_a_bad_order_is_refused_in_the_venues_words(
    client: Client, change: dict[str, Any], error: str
) -> None:
    good = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "95.0", "volume": "1"}
    assert client.refused("AddOrder", **{**good, **change}) == error
    assert client.orders() == {}


@pytest.mark.parametrize(
    ("status", "order", "error"),
    [
        ("maintenance", {"ordertype": "market"}, "EService:Unavailable"),
        ("cancel_only", {"ordertype": "market"}, "EService:Market in cancel_only mode"),
        ("post_only", {"ordertype": "limit", "price": "95.0"}, "EService:Market in post_only mode"),
        ("post_only", {"ordertype": "limit", "price": "95.0", "oflags": "post"}, None),
        ("online", {"ordertype": "market"}, None),
    ],
)
def test_the_status_of_the_system_decides_what_is_taken(
    client: Client, status: str, order: dict[str, str], error: str | None
) -> None:
    client.venue.fault({"kind": "status", "status": status}, client.at)
    told = client.post("AddOrder", pair="XBTUSD", type="buy", volume="1", **order)
    assert told["error"] == ([] if error is None else [error])


def test_nothing_matches_in_post_only_mode_until_the_venue_is_online_again(client: Client) -> None:
    stop = client.stop("sell", "1", "100.0")
    client.venue.fault({"kind": "post_only", "s": 5}, client.at)
    client.print("90.0")
    assert client.told(stop)["open"]
    client.wait(5)
    assert client.told(stop)["status"] == "filled"


def test_cancels_pass_in_cancel_only_mode(client: Client) -> None:
    order_id = client.order("buy", "1", "90.0")
    client.venue.fault({"kind": "cancel_only"}, client.at)
    assert client.ok("CancelOrder", txid=order_id) == {"count": 1}


def test_a_client_id_is_unique_among_open_orders_only(client: Client) -> None:
    order_id = client.order("buy", "1", "90.0", cl_ord_id="mine")
    again = {
        "pair": "XBTUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "90.0",
        "volume": "1",
        "cl_ord_id": "mine",
    }
    assert client.refused("AddOrder", **again) == "EGeneral:Invalid arguments:cl_ord_id"
    client.ok("CancelOrder", txid=order_id)
    second = client.ok("AddOrder", **again)["txid"][0]
    assert client.truth()["duplicates"] == {"mine": [order_id, second]}


def test_a_market_order_sent_twice_with_one_id_executes_twice_and_the_truth_says_so(client: Client) -> None:
    ids = [client.order("buy", "1", cl_ord_id="twice") for _ in range(2)]
    assert client.truth()["duplicates"] == {"twice": ids}


def test_a_dry_run_leaves_nothing(client: Client) -> None:
    told = client.ok("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="1", validate="true")
    assert told == {"descr": {"order": "buy 1.00000000 XBTUSD @ market"}}
    assert client.orders() == {}


def test_an_account_has_at_most_the_tiers_open_orders_in_a_pair() -> None:
    client = Client(counting=False, tier="starter")
    for _ in range(60):
        client.order("buy", "0.001", "20000.0")
    asked = {"type": "buy", "ordertype": "limit", "price": "20.0", "volume": "1"}
    assert (
        client.refused("AddOrder", pair="XBTUSD", **{**asked, "price": "20000.0"})
        == "EOrder:Orders limit exceeded"
    )
    assert client.ok("AddOrder", pair="SOLUSD", **asked)["txid"]


@pytest.mark.parametrize("holds", [True, False])
def test_a_resting_stop_holds_its_balance_only_where_the_venue_is_set_so(holds: bool) -> None:
    client = Client(stops_hold_balance=holds, balances={"USD": Decimal(0), "BTC": Decimal(1)})
    client.book(BIDS, ASKS)
    client.stop("sell", "1", "90.0")
    told = client.post("AddOrder", pair="XBTUSD", type="sell", ordertype="market", volume="1")
    assert told["error"] == (["EOrder:Insufficient funds"] if holds else [])


def test_a_stop_that_finds_no_balance_when_it_triggers_is_cancelled() -> None:
    client = Client(stops_hold_balance=False, balances={"USD": Decimal(0), "BTC": Decimal(1)})
    client.book(BIDS, ASKS)
    stop = client.stop("sell", "1", "90.0")
    client.order("sell", "1")
    client.print("90.0")
    assert (client.told(stop)["status"], client.told(stop)["reason"]) == ("canceled", "Insufficient funds")


def test_open_orders_hold_what_they_may_need(client: Client) -> None:
    client.order("buy", "2", "90.0")
    client.order("sell", "3", "120.0")
    told = client.ok("BalanceEx")
    assert told["ZUSD"]["hold_trade"] == "180.4680"
    assert told["XXBT"]["hold_trade"] == "3.0000000000"


def test_the_market_of_one_pair_moves_no_order_of_another(client: Client) -> None:
    order_id = client.order("buy", "1", "20.00", pair="SOLUSD")
    client.book([("1.0", "1")], [("1.1", "1")], BTC)
    assert client.told(order_id)["open"]
