"""The venue's answers have the shape of Kraken's own: every field of documented and recorded answers, of its type."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.simulated.client import BTC, Client

from allstop.actors.simulated.kraken.tape import TapeFrame

CAPTURES = Path(__file__).parent.parent / "captures" / "kraken"
CLOSE = {"close[ordertype]": "stop-loss-limit", "close[price]": "28000.0", "close[price2]": "27900.0"}
# What our spot venue leaves out: leverage and collateral figures of margin, and what only margin trades have.
MARGIN = {
    "long_position_limit",
    "short_position_limit",
    "postxid",
    "cost_decimals",
    "leverage_buy",
    "leverage_sell",
}


def kind_of(value: object) -> str:
    if value is None:
        return "any"
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def missing(theirs: object, ours: object, path: str = "") -> list[str]:
    """Where ours lacks a field of theirs, or has another type there."""
    if "any" not in (kind_of(theirs), kind_of(ours)) and kind_of(theirs) != kind_of(ours):
        return [f"{path}: {kind_of(theirs)} there, {kind_of(ours)} here"]
    if isinstance(theirs, dict) and isinstance(ours, dict):
        lacks = [f"{path}.{name}: missing" for name in theirs if name not in ours and name not in MARGIN]
        both = [name for name in theirs if name in ours]
        return lacks + [
            wrong for name in both for wrong in missing(theirs[name], ours[name], f"{path}.{name}")
        ]
    if isinstance(theirs, list) and isinstance(ours, list) and theirs and ours:
        return missing(theirs[0], ours[0], f"{path}[]")
    return []


def captured(name: str) -> dict[str, Any]:
    told = json.loads((CAPTURES / "rest" / name).read_text())
    return told["result"]


def first(result: dict[str, Any], *path: str) -> Any:
    for name in path:
        result = result[name]
    return next(iter(result.values()))


def traded() -> Client:
    """A client with an open limit, an open stop, and a closed market order."""
    client = Client()
    client.order("buy", "0.5", **CLOSE)
    client.ok("CancelOrder", txid=client.order("buy", "0.5", "20000.0"))
    client.order("buy", "0.5", "21000.0")
    return client


CASES: list[tuple[str, Callable[[Client], Any], Callable[[dict[str, Any]], Any]]] = [
    ("doc_AddOrder.json", lambda c: c.ok("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="1", **CLOSE), lambda r: r),
    ("doc_Balance.json", lambda c: {"ZUSD": c.ok("Balance")["ZUSD"]}, lambda r: {"ZUSD": r["ZUSD"]}),
    ("doc_CancelOrder.json", lambda c: c.ok("CancelOrder", txid=next(iter(c.ok("OpenOrders")["open"]))), lambda r: r),
    ("doc_CancelOrderBatch.json", lambda c: c.ok("CancelOrderBatch", orders=list(c.ok("OpenOrders")["open"])), lambda r: r),
    ("fixture_CancelAll_async_rs.json", lambda c: c.ok("CancelAll"), lambda r: r),
    ("doc_OpenOrders.json", lambda c: first(c.ok("OpenOrders"), "open"), lambda r: {k: v for k, v in first(r, "open").items() if k != "trades"}),
    ("rec_OpenOrders_xchange.json", lambda c: first(c.ok("OpenOrders"), "open"), lambda r: first(r, "open")),
    ("doc_ClosedOrders.json", lambda c: first(c.ok("ClosedOrders"), "closed"), lambda r: {k: v for k, v in first(r, "closed").items() if k != "trigger"}),
    ("rec_ClosedOrders_page_1_of_3.json", lambda c: c.ok("ClosedOrders")["count"], lambda r: r["count"]),
    ("rec_ClosedOrders_page_1_of_3.json", lambda c: first(c.ok("ClosedOrders"), "closed"), lambda r: {k: v for k, v in first(r, "closed").items() if k != "trigger"}),
    ("doc_QueryOrders.json", lambda c: list(c.ok("ClosedOrders")["closed"].values())[-1], lambda r: {k: v for k, v in first(r).items() if k != "trigger"}),
    ("doc_TradesHistory.json", lambda c: first(c.ok("TradesHistory"), "trades"), lambda r: first(r, "trades")),
    ("doc_QueryTrades.json", lambda c: first(c.ok("TradesHistory"), "trades"), lambda r: first(r)),
    ("doc_GetWebSocketsToken.json", lambda c: c.ok("GetWebSocketsToken"), lambda r: r),
    ("doc_AssetPairs.json", lambda c: c.get("/0/public/AssetPairs")["result"]["XXBTZUSD"], lambda r: r["XXBTZUSD"]),
    ("doc_Depth.json", lambda c: c.get("/0/public/Depth?pair=XBTUSD")["result"], lambda r: r),
    ("rec_Depth_async_rs.json", lambda c: first(c.get("/0/public/Depth?pair=XBTUSD")["result"]), lambda r: first(r)),
    ("doc_SystemStatus.json", lambda c: c.get("/0/public/SystemStatus")["result"], lambda r: r),
    ("doc_Ticker.json", lambda c: c.get("/0/public/Ticker?pair=XBTUSD")["result"], lambda r: r),
    ("doc_Time.json", lambda c: c.get("/0/public/Time")["result"], lambda r: r),
]  # fmt: skip


@pytest.mark.parametrize(("name", "ask", "of"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_a_rest_answer_has_every_field_of_krakens(
    name: str, ask: Callable[[Client], Any], of: Callable[[dict[str, Any]], Any]
) -> None:
    theirs, ours = of(captured(name)), ask(traded())
    assert theirs is not None
    assert missing(theirs, ours) == []


def recorded() -> list[dict[str, Any]]:
    lines = (CAPTURES / "ws" / "v2_frames_async_rs.ndjson").read_text().splitlines()
    return [json.loads(line)["m"] for line in lines if line.strip()]


def said() -> list[dict[str, Any]]:
    """What the venue says in a session that calls what the recorded one called."""
    client = Client()
    frames: list[dict[str, Any]] = []
    private, public = client.stream(), client.connect(private=False)
    frames += public.call("subscribe", channel="book", symbol=[BTC])
    frames += public.call("subscribe", channel="ticker", symbol=[BTC], event_trigger="trades")
    frames += public.call("subscribe", channel="trade", symbol=[BTC])
    frames += public.send('{"method":"ping","req_id":1}')
    client.print("29430.0")
    client.book([("29430.0", "1")], [("29431.0", "1")])
    client.venue.play(
        BTC, TapeFrame(snapshot=False, bids=(("29430.0", "2"),), asks=(("29432.0", "1"),)), client.at
    )
    client.wait(2)
    frames += public.frames()
    frames += public.send('{"method":"ping","params":{},"req_id":1}')
    frames += public.call("subscribe", channel="instrument")
    frames += client.connect(private=True).call("subscribe", channel="executions", token="forged")
    frames += private.call("subscribe", channel="balances")
    order: dict[str, Any] = {"symbol": BTC, "side": "buy", "order_type": "limit", "order_qty": 0.5}
    frames += private.call("add_order", **order, limit_price=20000.0, cl_ord_id="mine")
    frames += private.call("cancel_order", cl_ord_id=["mine"])
    frames += private.call("add_order", **order, limit_price=30000.0)
    frames += private.call("add_order", **{**order, "order_qty": -1}, limit_price=30000.0)
    frames += private.call("cancel_all_orders_after", timeout=5)
    frames += private.call("batch_cancel", orders=["none"])
    frames += private.call("cancel_all")
    token = private.token
    later = client.connect(private=True)
    later.token = token
    frames += later.call("subscribe", channel="executions", snap_trades=True, snapshot=True)
    return frames


def same_kind(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    for name in ("method", "channel", "type", "success"):
        if theirs.get(name) != ours.get(name):
            return False
    if (
        "data" in theirs
        and isinstance(theirs["data"], list)
        and theirs["data"]
        and "exec_type" in theirs["data"][0]
    ):
        return any(row.get("exec_type") == theirs["data"][0]["exec_type"] for row in ours["data"])
    if theirs.get("method") == "subscribe" and theirs.get("success"):
        return theirs["result"].get("channel") == ours["result"].get("channel")
    return True


# Told by Kraken and not by us: deprecation warnings, what only margin and sub-accounts have.
LEFT_OUT = (
    "collateral_value",
    "position_limit",
    "warnings",
    ".status: missing",
    "snapshot: missing",
    "sender_sub_id",
    "margin",
    "liquidated",
    "cash_order_qty",
    "fee_ccy_pref",
)


# Recorded frames of methods and channels that this venue does not have.
UNSPOKEN = frozenset({"edit_order", "level3", "ohlc"})


def spoken(frame: dict[str, Any]) -> bool:
    result = frame.get("result")
    channel = frame.get("channel") or (result.get("channel") if isinstance(result, dict) else None)
    return not {frame.get("method"), channel} & UNSPOKEN


@pytest.mark.parametrize("n", [n for n, frame in enumerate(recorded()) if spoken(frame)])
def test_a_recorded_frame_of_a_kind_that_we_say_has_no_field_that_we_lack(n: int) -> None:
    theirs = recorded()[n]
    alike = [frame for frame in said() if same_kind(theirs, frame)]
    assert alike, theirs
    best = min((missing(theirs, frame) for frame in alike), key=len)
    assert [wrong for wrong in best if not any(word in wrong for word in LEFT_OUT)] == []
