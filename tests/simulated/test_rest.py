"""The REST face: keys, nonces, signatures, permissions, and the shapes of its answers."""

from decimal import Decimal

import pytest
from tests.simulated.client import Client

from allstop.actors.simulated.kraken.rest import Request
from allstop.actors.simulated.kraken.signing import ApiKey, make_key, signature


def test_the_documented_signature_comes_out() -> None:
    # docs.kraken.com, "Spot REST authentication"
    secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    assert signature(secret, "/0/private/AddOrder", "1616492376594", body) == (
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )


def test_keys_have_krakens_shape_and_differ_by_role() -> None:
    keys = [make_key("seed", "main", role, 0) for role in ("trade", "protect")]
    assert [(len(key.key), len(key.secret)) for key in keys] == [(56, 88), (56, 88)]
    assert len({key.key for key in keys} | {key.secret for key in keys}) == 4


def test_a_nonce_must_rise_and_the_truth_keeps_the_break() -> None:
    client = Client()
    assert client.signed("Balance", 100)["error"] == []
    for nonce in (100, 99):
        assert client.signed("Balance", nonce)["error"] == ["EAPI:Invalid nonce"]
    assert client.signed("Balance", 101)["error"] == []
    broken = client.truth()["limits_broken"]
    assert [(one["kind"], one["detail"]) for one in broken] == [
        ("nonce_order", "100 after 100"),
        ("nonce_order", "99 after 100"),
    ]


def test_each_key_has_its_own_nonce() -> None:
    client = Client()
    client.signed("Balance", 100)
    client.key = list(client.venue.keys.values())[1]
    assert client.signed("Balance", 1)["error"] == []


def test_a_wrong_signature_spends_no_nonce() -> None:
    client = Client()
    assert client.signed("Balance", 5, sign="AAAA")["error"] == ["EAPI:Invalid signature"]
    assert client.signed("Balance", 5)["error"] == []


def test_bad_keys_in_a_row_lock_the_address_out_for_a_quarter_of_an_hour() -> None:
    client = Client()
    good, client.key = (
        client.key,
        ApiKey(key="no such key", secret=client.key.secret, account="main", name="x"),
    )
    for _ in range(10):
        assert client.post("Balance")["error"] == ["EAPI:Invalid key"]
    client.key = good
    assert client.post("Balance")["error"] == ["EGeneral:Temporary lockout"]
    client.wait(901)
    assert client.post("Balance")["error"] == []


def test_a_revoked_key_is_no_key() -> None:
    client = Client()
    client.venue.fault({"kind": "revoke_key", "role": "trade"}, client.at)
    assert client.refused("Balance") == "EAPI:Invalid key"


@pytest.mark.parametrize(
    ("call", "permission"),
    [
        ("Balance", "query-funds"),
        ("OpenOrders", "query-open-trades"),
        ("ClosedOrders", "query-closed-trades"),
        ("AddOrder", "modify-trades"),
    ],
)
def test_a_call_without_its_permission_is_denied(call: str, permission: str) -> None:
    client = Client()
    client.venue.fault({"kind": "deny", "role": "trade", "permission": permission}, client.at)
    assert client.refused(call) == "EGeneral:Permission denied"


def test_a_key_tells_its_permissions_without_any() -> None:
    client = Client()
    client.key.permissions = frozenset()
    assert client.ok("GetApiKeyInfo")["permissions"] == []
    client.venue.fault({"kind": "grant", "role": "trade", "permission": "withdraw-funds"}, client.at)
    told = client.ok("GetApiKeyInfo")
    assert told["permissions"] == ["withdraw-funds"]
    assert (told["apiKeyName"], told["nonceWindow"], told["nonce"]) == ("trade", 0, "2")


def test_calls_that_nobody_serves_are_named_so() -> None:
    client = Client()
    assert client.refused("Withdraw") == "EGeneral:Unknown method"
    assert client.get("/0/public/Nothing")["error"] == ["EGeneral:Unknown method"]


def test_a_body_that_is_no_json_is_an_invalid_argument() -> None:
    client = Client()
    answer = client.venue.http(
        Request(
            method="POST",
            path="/0/private/Balance",
            headers={"content-type": "application/json", "api-key": client.key.key},
            body=b"{",
        ),
        client.at,
    )
    assert answer.body == b'{"error":["EGeneral:Invalid arguments"]}'


def test_private_calls_fail_in_maintenance_and_public_ones_do_not() -> None:
    client = Client()
    client.venue.fault({"kind": "maintenance"}, client.at)
    assert client.refused("OpenOrders") == "EService:Unavailable"
    assert client.get("/0/public/SystemStatus")["result"]["status"] == "maintenance"


def test_an_open_stop_is_told_with_its_trigger_its_parent_and_its_client_id() -> None:
    client = Client()
    entry = client.order(
        "buy", "0.5", cl_ord_id="mine", **{"close[ordertype]": "stop-loss-limit", "close[price]": "28000.0", "close[price2]": "27900.0"}
    )  # fmt: skip
    ((_, stop),) = client.ok("OpenOrders")["open"].items()
    assert (stop["refid"], stop["status"], stop["vol"], stop["stopprice"]) == (
        entry,
        "open",
        "0.50000000",
        "28000.00000",
    )
    assert stop["descr"] == {
        "pair": "XBTUSD",
        "type": "sell",
        "ordertype": "stop-loss-limit",
        "price": "28000.0",
        "price2": "27900.0",
        "leverage": "none",
        "order": "sell 0.50000000 XBTUSD @ stop loss 28000.0 -> limit 27900.0",
        "close": "",
    }
    told = client.ok("QueryOrders", txid=entry)[entry]
    assert (told["cl_ord_id"], told["status"], told["descr"]["close"]) == (
        "mine",
        "closed",
        "close position @ stop loss 28000.0 -> limit 27900.0",
    )


def test_closed_orders_come_in_pages_of_fifty_latest_first() -> None:
    client = Client(counting=False)
    ids: list[str] = []
    for _ in range(120):
        client.wait(1)
        ids.append(client.order("buy", "0.001"))
    first = client.ok("ClosedOrders")
    assert (first["count"], list(first["closed"])) == (120, ids[:-51:-1])
    assert list(client.ok("ClosedOrders", ofs="100")["closed"]) == ids[19::-1]


def test_closed_orders_begin_after_a_time_or_an_order() -> None:
    client = Client()
    old = client.order("buy", "0.001")
    client.wait(10)
    between = client.at.wall_ns / 1e9 - 5
    new = client.order("buy", "0.001")
    assert list(client.ok("ClosedOrders", start=f"{between:.3f}")["closed"]) == [new]
    assert list(client.ok("ClosedOrders", start=old)["closed"]) == [new]
    assert list(client.ok("ClosedOrders", end=f"{between:.3f}")["closed"]) == [old]


def test_closed_orders_are_found_by_client_id() -> None:
    client = Client()
    client.order("buy", "0.001", cl_ord_id="a")
    wanted = client.order("buy", "0.001", cl_ord_id="b")
    assert list(client.ok("ClosedOrders", cl_ord_id="b")["closed"]) == [wanted]


def test_an_unknown_id_makes_a_query_fail() -> None:
    client = Client()
    assert client.refused("QueryOrders", txid="OXXXXX-XXXXX-XXXXXX") == "EOrder:Unknown order"


def test_trades_are_told_with_the_order_they_belong_to() -> None:
    client = Client()
    order_id = client.order("buy", "0.5")
    ((trade_id, trade),) = client.ok("TradesHistory")["trades"].items()
    assert (trade["ordertxid"], trade["vol"], trade["type"]) == (order_id, "0.50000000", "buy")
    assert client.ok("QueryTrades", txid=trade_id)[trade_id] == trade


def test_a_trade_moves_the_balance_by_its_cost_and_fee() -> None:
    client = Client(balances={"USD": Decimal(100_000)})
    client.order("buy", "1")
    (one,) = client.truth()["executions"]
    told = client.ok("Balance")
    assert Decimal(told["XXBT"]) == 1
    assert Decimal(told["ZUSD"]) == (100_000 - Decimal(one["cost"]) - Decimal(one["fee"])).quantize(
        Decimal("0.0001")
    )


def test_the_public_calls_tell_the_market() -> None:
    client = Client()
    pairs = client.get("/0/public/AssetPairs?pair=XBTUSD")["result"]
    assert (list(pairs), pairs["XXBTZUSD"]["tick_size"], pairs["XXBTZUSD"]["ordermin"]) == (
        ["XXBTZUSD"],
        "0.1",
        "0.0001",
    )
    depth = client.get("/0/public/Depth?pair=XBTUSD&count=2")["result"]["XXBTZUSD"]
    assert [len(depth["asks"]), len(depth["bids"])] == [2, 2]
    assert client.get("/0/public/Ticker?pair=ETHUSD")["result"]["XETHZUSD"]["a"][0] == "1875.01000"
    assert client.get("/0/public/Time")["result"]["unixtime"] == client.at.wall_ns // 10**9
    assert client.get("/0/public/Assets?asset=XBT")["result"]["XXBT"]["decimals"] == 10
    assert client.get("/0/public/Ticker?pair=NOPE")["error"] == ["EQuery:Unknown asset pair"]


def test_an_order_is_told_as_it_is_after_each_change_of_it() -> None:
    client = Client()
    order = client.order("buy", "2", "80.0", cl_ord_id="mine")

    def told() -> tuple[str, str, str, str]:
        row = client.ok("QueryOrders", txid=order)[order]
        return row["status"], row["vol"], row["vol_exec"], row["descr"]["price"]

    assert told() == told() == ("open", "2.00000000", "0.00000000", "80.0")
    client.ok("AmendOrder", txid=order, order_qty="1.5", limit_price="79.0")
    assert told() == ("open", "1.50000000", "0.00000000", "79.0")
    client.venue.engine.come_to("main", "mine", Decimal("0.5"), client.at)
    assert told() == ("open", "1.50000000", "0.50000000", "79.0")
    client.ok("CancelOrder", txid=order)
    assert told() == ("canceled", "1.50000000", "0.50000000", "79.0")
