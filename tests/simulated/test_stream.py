"""The WebSocket v2 face: subscriptions, sequences, methods and their replies."""

import json
from typing import Any

import pytest
from tests.simulated.client import BEGIN_NS, BTC, Client

from allstop.actors.simulated.kraken.server import packaged_tape
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings

CLOSE = {"order_type": "stop-loss", "trigger_price": 28000.0}


def add(symbol: str = BTC, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": "buy", "order_type": "market", "order_qty": 0.5, **more}


def test_a_connection_begins_with_the_status_of_the_system() -> None:
    (frame,) = Client().connect(private=False).frames()
    assert (frame["channel"], frame["data"][0]["system"], frame["data"][0]["api_version"]) == (
        "status",
        "online",
        "v2",
    )


def test_a_book_subscription_is_acknowledged_and_then_told_whole() -> None:
    socket = Client().connect(private=False)
    _status, ack, book = socket.call("subscribe", channel="book", symbol=[BTC], depth=10)
    assert (ack["success"], ack["req_id"]) == (True, 7)
    assert ack["result"] == {"channel": "book", "snapshot": True, "symbol": BTC, "depth": 10}
    assert (book["type"], len(book["data"][0]["asks"])) == ("snapshot", 10)


def test_the_recorded_frames_reach_a_subscriber_as_they_were_recorded() -> None:
    client = Client(KrakenVenue(Settings(), packaged_tape(), wall_ns=BEGIN_NS))
    socket = client.connect(private=False)
    socket.call("subscribe", channel="book", symbol=[BTC])
    for frame in packaged_tape()[1:20]:
        client.venue.play(BTC, frame, client.at)
    assert socket.texts() == [frame.raw for frame in packaged_tape()[1:20]]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"channel": "book", "symbol": ["XBT/USD"]}, "Currency pair not supported XBT/USD"),
        ({"channel": "book", "symbol": [BTC], "depth": 7}, "Subscription depth not supported"),
        ({"channel": "weather", "symbol": [BTC]}, "Subscription name invalid: weather"),
        ({"channel": "executions", "token": "x"}, "EGeneral:Permission denied"),
    ],
)
def test_a_bad_subscription_is_refused(params: dict[str, Any], error: str) -> None:
    socket = Client().connect(private=False)
    reply = socket.call("subscribe", **params)[-1]
    assert (reply["success"], reply["error"]) == (False, error)


def test_a_second_subscription_to_the_same_is_refused_and_an_end_is_acknowledged() -> None:
    socket = Client().connect(private=False)
    socket.call("subscribe", channel="trade", symbol=[BTC])
    assert socket.call("subscribe", channel="trade", symbol=[BTC])[-1]["error"] == "Already subscribed"
    assert socket.call("unsubscribe", channel="trade", symbol=[BTC])[-1]["result"] == {
        "channel": "trade",
        "symbol": BTC,
    }
    assert socket.call("unsubscribe", channel="trade", symbol=[BTC])[-1]["error"] == "Subscription Not Found"


def test_trades_and_tickers_follow_a_print() -> None:
    client = Client()
    socket = client.connect(private=False)
    for channel in ("trade", "ticker"):
        socket.call("subscribe", channel=channel, symbol=[BTC])
    client.print("29000.0")
    trade, ticker = socket.frames()
    assert (trade["channel"], trade["data"][0]["price"]) == ("trade", 29000.0)
    assert (ticker["channel"], ticker["data"][0]["last"]) == ("ticker", 29000.0)


def test_heartbeats_come_once_a_second_after_a_subscription_where_nothing_else_does() -> None:
    client = Client()
    quiet, subscribed = client.connect(private=False), client.connect(private=False)
    subscribed.call("subscribe", channel="book", symbol=[BTC])
    quiet.frames()
    for _ in range(20):
        client.wait(0.25)
    assert quiet.frames() == []
    assert [frame["channel"] for frame in subscribed.frames()] == ["heartbeat"] * 5


def test_a_ping_is_a_pong() -> None:
    reply = Client().connect(private=False).send('{"method":"ping","req_id":101}')[-1]
    assert (reply["method"], reply["req_id"]) == ("pong", 101)
    assert reply["time_in"] <= reply["time_out"]


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"method":5}'])
def test_nonsense_is_a_malformed_request(text: str) -> None:
    assert Client().connect(private=False).send(text)[-1]["error"] == "Malformed request"


def test_a_stream_begins_with_the_open_orders_as_sequence_one() -> None:
    client = Client()
    order_id = client.order("buy", "0.5", "20000.0", cl_ord_id="mine")
    socket = client.connect(private=True)
    socket.token = client.ok("GetWebSocketsToken")["token"]
    _status, ack, snapshot = socket.call(
        "subscribe", channel="executions", snap_trades=True, ratecounter=True
    )
    assert ack["result"] == {
        "channel": "executions",
        "maxratecount": 180,
        "snapshot": True,
        "snap_orders": True,
        "snap_trades": True,
    }
    assert (snapshot["type"], snapshot["sequence"]) == ("snapshot", 1)
    (row,) = snapshot["data"]
    assert (row["order_id"], row["cl_ord_id"], row["order_status"], row["limit_price"]) == (
        order_id,
        "mine",
        "new",
        20000.0,
    )


def test_a_market_order_is_told_step_by_step_with_its_stop() -> None:
    client = Client()
    socket = client.stream()
    frames = socket.call("add_order", **add(cl_ord_id="mine", conditional=CLOSE, order_qty=0.5))
    reply, updates = frames[0], frames[1:]
    assert reply["success"]
    assert reply["result"]["cl_ord_id"] == "mine"
    rows = [row for update in updates for row in update["data"]]
    assert [row["exec_type"] for row in rows] == [
        "pending_new",
        "new",
        "trade",
        "filled",
        "pending_new",
        "new",
    ]
    assert [update["sequence"] for update in updates] == list(range(2, 8))
    trade = rows[2]
    assert (trade["last_qty"], trade["cum_qty"], trade["cl_ord_id"]) == (0.5, 0.5, "mine")
    assert trade["fees"][0]["asset"] == "USD"
    assert rows[3]["order_status"] == "filled"
    stop = rows[4]
    assert (stop["ord_ref_id"], stop["side"], stop["order_type"]) == (
        reply["result"]["order_id"],
        "sell",
        "stop-loss",
    )
    assert stop["triggers"] == {
        "reference": "last",
        "price": 28000.0,
        "price_type": "static",
        "status": "untriggered",
    }


def test_numbers_keep_their_digits_and_never_take_an_exponent() -> None:
    client = Client()
    socket = client.stream()
    socket.call("add_order", **add(symbol="BTC/USD", order_type="limit", limit_price=29000, order_qty=0.0001))
    client.book([("28000.0", "0.00000001")], [("28900.0", "0.00000001")])
    text = next(text for text in socket.texts() if '"trade"' in text)
    assert '"last_qty":0.00000001,' in text
    assert '"last_price":29000,' in text


def test_trades_move_the_balances_channel() -> None:
    client = Client()
    socket = client.stream()
    socket.call("subscribe", channel="balances")
    client.order("buy", "0.5")
    rows = socket.rows("balances")
    assert [(row["asset"], row["type"]) for row in rows] == [("BTC", "trade"), ("USD", "trade")]


def test_a_trigger_is_told_before_the_fill() -> None:
    client = Client()
    socket = client.stream()
    client.order("buy", "0.5", **{"close[ordertype]": "stop-loss", "close[price]": "28000.0"})
    socket.frames()
    client.print("28000.0")
    rows = socket.rows()
    assert [row["exec_type"] for row in rows] == ["status", "trade", "filled"]
    assert rows[0]["triggers"]["status"] == "triggered"


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (add(order_qty="many"), "EGeneral:Invalid arguments:order_qty"),
        (add(symbol="NO/PE"), "Currency pair not supported NO/PE"),
        (add(deadline="2025-12-31T00:00:00Z"), "EService:Deadline elapsed"),
        (add(triggers={"price": 1.0, "price_type": "pct"}), "EGeneral:Invalid arguments:triggers"),
        (add(order_type="limit"), "EGeneral:Invalid arguments:price"),
        (add(token="forged"), "ESession:Invalid session"),
    ],
)
def test_a_bad_order_is_refused_with_its_request_id(params: dict[str, Any], error: str) -> None:
    socket = Client().stream()
    (reply,) = socket.call("add_order", req_id=42, **params)
    assert (reply["success"], reply["error"], reply["req_id"]) == (False, error, 42)


def test_amends_and_cancels_are_answered_and_told() -> None:
    client = Client()
    socket = client.stream()
    order_id = client.order("buy", "0.5", "20000.0", cl_ord_id="mine")
    socket.frames()
    reply, update = socket.call("amend_order", cl_ord_id="mine", limit_price=20001.0)
    assert reply["result"]["order_id"] == order_id
    assert (update["data"][0]["exec_type"], update["data"][0]["limit_price"]) == ("amended", 20001.0)
    unknown, done, told = socket.call("cancel_order", order_id=["OXXXXX-XXXXX-XXXXXX", order_id])
    assert (unknown["success"], unknown["error"]) == (False, "EOrder:Unknown order")
    assert done["result"] == {"order_id": order_id}
    assert (told["data"][0]["exec_type"], told["data"][0]["reason"]) == ("canceled", "User requested")


def test_batches_and_the_switch_speak_websocket_too() -> None:
    client = Client()
    socket = client.stream()
    rows = [
        {"side": "buy", "order_type": "limit", "limit_price": 20000.0, "order_qty": 0.01, "cl_ord_id": c}
        for c in "ab"
    ]
    reply = socket.call("batch_add", symbol=BTC, orders=rows)[0]
    assert [one["success"] for one in reply["result"]["orders"]] == [True, True]
    assert socket.call("batch_cancel", orders=["a"])[0]["result"] == {"count": 1}
    assert socket.call("cancel_all_orders_after", timeout=60)[0]["result"]["triggerTime"].startswith(
        "2026-01-01T00:01"
    )
    assert socket.call("cancel_all")[0]["result"] == {"count": 1}


def test_an_unused_token_dies_after_a_quarter_of_an_hour() -> None:
    client = Client()
    token = client.ok("GetWebSocketsToken")["token"]
    client.wait(901)
    socket = client.connect(private=True)
    socket.token = token
    assert socket.call("subscribe", channel="executions")[-1]["error"] == "ESession:Invalid session"


def test_a_token_lives_as_long_as_the_connection_that_subscribed_with_it() -> None:
    client = Client()
    socket = client.stream()
    client.wait(3600)
    socket.frames()
    assert socket.call("add_order", **add())[0]["success"]
    client.venue.fault({"kind": "expire_tokens"}, client.at)
    assert socket.call("add_order", **add())[0]["error"] == "ESession:Invalid session"


def test_a_connection_without_a_subscription_is_dropped_after_a_minute() -> None:
    client = Client()
    idle, busy = client.connect(private=True), client.stream()
    client.wait(61)
    assert (idle.connection.cut, busy.connection.cut) == (True, False)


def test_every_connection_has_its_own_sequence() -> None:
    client = Client()
    first = client.stream()
    client.order("buy", "0.5", "20000.0")
    second = client.stream()
    client.ok("CancelAll")
    assert [frame["sequence"] for frame in first.frames()] == [2, 3, 4]
    assert [frame["sequence"] for frame in second.frames()] == [2]


def test_a_status_change_is_told_to_all() -> None:
    client = Client()
    socket = client.connect(private=False)
    socket.frames()
    client.venue.fault({"kind": "post_only", "s": 1}, client.at)
    client.wait(1.1)
    assert [frame["data"][0]["system"] for frame in socket.frames()] == ["post_only", "online"]


def test_the_instruments_are_told_with_their_steps() -> None:
    socket = Client().connect(private=False)
    frame = socket.call("subscribe", channel="instrument")[-1]
    btc = next(pair for pair in frame["data"]["pairs"] if pair["symbol"] == BTC)
    assert (btc["price_increment"], btc["qty_min"], btc["status"]) == (0.1, 0.0001, "online")
    assert json.dumps(btc)
