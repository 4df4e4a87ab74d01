"""Kraken's REST calls as values: what to send, as the exact bytes that are signed.

A call is built, then encoded with a nonce. Answers are read in `rest_answers`. Every private call is a POST; batch
cancel alone wants JSON. A number goes out with exactly its Decimal's digits.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, OrderType, TimeInForce
from allstop.actors.ports import HttpRequest
from allstop.actors.protocols.kraken.rest_answers import (
    ClosedPage,
    KeyInfo,
    decode_add_order,
    decode_amend_order,
    decode_balance,
    decode_cancel,
    decode_closed_orders,
    decode_depth,
    decode_envelope,
    decode_key_info,
    decode_open_orders,
    decode_query_orders,
    decode_system_status,
    decode_ticker,
    decode_time,
    decode_token,
    decode_trades,
)
from allstop.actors.protocols.kraken.signing import sign
from allstop.actors.protocols.kraken.terms import TRIGGERED
from allstop.actors.protocols.wire import plain

__all__ = [
    "ClosedPage", "KeyInfo", "RestCall", "add_order", "amend_order", "asset_pairs", "balance", "cancel_all",
    "cancel_order", "cancel_order_batch", "closed_orders", "decode_add_order", "decode_amend_order",
    "decode_balance", "decode_cancel", "decode_closed_orders", "decode_depth", "decode_envelope",
    "decode_key_info", "decode_open_orders", "decode_query_orders", "decode_system_status", "decode_ticker",
    "decode_time", "decode_token", "decode_trades", "depth", "encode", "get_api_key_info",
    "get_websockets_token", "open_orders", "query_orders", "request", "system_status", "target", "ticker",
    "time", "trades_history",
]  # fmt: skip

BATCH_MAX: Final = 50  # orders in one CancelOrderBatch or QueryOrders (documented for both)
USER_AGENT: Final = "allstop"  # Kraken wants one on every request


class RestCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `params` are text, except in a JSON body. `write`: it can change something at the venue."""

    path: str
    params: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    write: bool = False
    public: bool = False
    as_json: bool = False


def encode(call: RestCall, nonce: int) -> bytes:
    """The body of a private call, nonce first: these bytes are signed and sent as they are."""
    if call.as_json:
        return msgspec.json.encode({"nonce": str(nonce), **call.params})
    return f"nonce={nonce}&{urlencode(call.params)}".encode() if call.params else b"nonce=%d" % nonce


def target(call: RestCall) -> str:
    """The path, with its query for a public call."""
    return f"{call.path}?{urlencode(call.params)}" if call.public and call.params else call.path


def request(call: RestCall, *, key: str = "", secret: str = "", nonce: int = 0) -> HttpRequest:
    """The whole HTTP request, signed when the call is private."""
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
    if call.public:
        return HttpRequest(method="GET", path=target(call), headers=headers)
    body = encode(call, nonce)
    headers |= {
        "Content-Type": "application/json" if call.as_json else "application/x-www-form-urlencoded",
        "API-Key": key,
        "API-Sign": sign(secret, call.path, nonce, body),
    }
    return HttpRequest(method="POST", path=call.path, headers=headers, body=body)


def add_order(
    intent: OrderIntent,
    instrument: Instrument,
    deadline: str,
    *,
    expires: str | None = None,
    validate: bool = False,
) -> RestCall:
    """AddOrder with the intent's id as cl_ord_id and its stop as conditional close. `deadline` is RFC 3339 and at
    REST 2 to 60 s ahead. Raises BadInput for a good-till-date order without `expires`."""
    params = {
        "pair": instrument.venue_name,
        "type": intent.side.value,
        "ordertype": intent.order_type.value,
        "volume": plain(intent.qty),
        "cl_ord_id": intent.id,
        "deadline": deadline,
    }
    params |= _prices(intent.order_type, intent.limit_price, intent.trigger_price)
    if intent.order_type is not OrderType.MARKET:
        params["timeinforce"] = intent.time_in_force.value.upper()
    if intent.time_in_force is TimeInForce.GTD:
        params["expiretm"] = _expiry(expires)
    if intent.post_only:
        params["oflags"] = "post"
    if intent.reduce_only:
        params["reduce_only"] = "true"
    if (stop := intent.stop) is not None:
        kind = OrderType.STOP_LOSS if stop.limit_price is None else OrderType.STOP_LOSS_LIMIT
        prices = _prices(kind, stop.limit_price, stop.trigger_price)
        params["close[ordertype]"] = kind.value
        params |= {f"close[{name}]": value for name, value in prices.items()}
    if validate:
        params["validate"] = "true"
    return RestCall(path="/0/private/AddOrder", params=params, write=not validate)


def _expiry(expires: str | None) -> str:
    if expires is None:
        raise BadInput(Problem("a good-till-date order needs the time at which it expires", "time_in_force"))
    return expires


def _prices(kind: OrderType, limit: Decimal | None, trigger: Decimal | None) -> dict[str, str]:
    """REST's `price` is the trigger of an order that has one, and then `price2` is its limit."""
    in_order = [value for value in (trigger, limit) if value is not None] if kind in TRIGGERED else [limit]
    return {
        name: plain(value)
        for name, value in zip(("price", "price2"), in_order, strict=False)
        if value is not None
    }


def amend_order(
    order_id: str | None = None,
    *,
    cl_ord_id: str | None = None,
    order_qty: Decimal | None = None,
    limit_price: Decimal | None = None,
    trigger_price: Decimal | None = None,
    post_only: bool = False,
    deadline: str | None = None,
) -> RestCall:
    """AmendOrder: in place, keeping the order's id and fills. Moves a stop with no gap."""
    params = {
        **_which(order_id, cl_ord_id),
        **_numbers(order_qty=order_qty, limit_price=limit_price, trigger_price=trigger_price),
    }
    if post_only:
        params["post_only"] = "true"
    if deadline is not None:
        params["deadline"] = deadline
    return RestCall(path="/0/private/AmendOrder", params=params, write=True)


def _which(order_id: str | None, cl_ord_id: str | None) -> dict[str, str]:
    if (order_id is None) == (cl_ord_id is None):
        raise BadInput(Problem("name the order by exactly one of order_id and cl_ord_id", "order_id"))
    return {"txid": order_id} if order_id is not None else {"cl_ord_id": str(cl_ord_id)}


def _numbers(**values: Decimal | None) -> dict[str, str]:
    return {name: plain(value) for name, value in values.items() if value is not None}


def cancel_order(order_id: str | None = None, *, cl_ord_id: str | None = None) -> RestCall:
    return RestCall(path="/0/private/CancelOrder", params=_which(order_id, cl_ord_id), write=True)


def cancel_order_batch(order_ids: Sequence[str] = (), *, cl_ord_ids: Sequence[str] = ()) -> RestCall:
    """CancelOrderBatch, at most 50 orders in all. Raises BadInput for none or more."""
    if not 1 <= len(order_ids) + len(cl_ord_ids) <= BATCH_MAX:
        raise BadInput(Problem(f"a batch cancels 1 to {BATCH_MAX} orders", "order_ids"))
    params: dict[str, Any] = {"orders": list(order_ids)} if order_ids else {}
    if cl_ord_ids:
        params["cl_ord_ids"] = list(cl_ord_ids)
    return RestCall(path="/0/private/CancelOrderBatch", params=params, write=True, as_json=True)


def cancel_all() -> RestCall:
    """CancelAll. It cancels protective stops too: only for an account proven flat and without stops."""
    return RestCall(path="/0/private/CancelAll", write=True)


def open_orders(*, trades: bool = False, cl_ord_id: str | None = None) -> RestCall:
    params = {"trades": "true"} if trades else {}
    if cl_ord_id is not None:
        params["cl_ord_id"] = cl_ord_id
    return RestCall(path="/0/private/OpenOrders", params=params)


def closed_orders(
    start: int | str | None = None,
    ofs: int = 0,
    *,
    end: int | str | None = None,
    trades: bool = False,
    cl_ord_id: str | None = None,
    closetime: str = "both",
) -> RestCall:
    """One page (50) of ClosedOrders, newest first. `start` (exclusive) and `end` are unix seconds or order ids;
    `closetime` says which times they are compared with: open, close or both."""
    params = {"ofs": str(ofs), "closetime": closetime}
    if start is not None:
        params["start"] = str(start)
    if end is not None:
        params["end"] = str(end)
    if trades:
        params["trades"] = "true"
    if cl_ord_id is not None:
        params["cl_ord_id"] = cl_ord_id
    return RestCall(path="/0/private/ClosedOrders", params=params)


def query_orders(order_ids: Sequence[str], *, trades: bool = False) -> RestCall:
    """QueryOrders by the venue's ids, at most 50. Raises BadInput for none or more."""
    if not 1 <= len(order_ids) <= BATCH_MAX:
        raise BadInput(Problem(f"a query names 1 to {BATCH_MAX} orders", "order_ids"))
    params = {"txid": ",".join(order_ids)} | ({"trades": "true"} if trades else {})
    return RestCall(path="/0/private/QueryOrders", params=params)


def trades_history(start: int | str | None = None, ofs: int = 0) -> RestCall:
    """One page (50) of our own executions, newest first."""
    params = {"ofs": str(ofs)} | ({"start": str(start)} if start is not None else {})
    return RestCall(path="/0/private/TradesHistory", params=params)


def balance() -> RestCall:
    return RestCall(path="/0/private/Balance")


def get_api_key_info() -> RestCall:
    """What the key may do. Needs no permission: the probe at start."""
    return RestCall(path="/0/private/GetApiKeyInfo")


def get_websockets_token() -> RestCall:
    return RestCall(path="/0/private/GetWebSocketsToken")


def asset_pairs(pairs: Sequence[str] = ()) -> RestCall:
    """All pairs, or these (the venue's names)."""
    params = {"pair": ",".join(pairs)} if pairs else {}
    return RestCall(path="/0/public/AssetPairs", params=params, public=True)


def system_status() -> RestCall:
    return RestCall(path="/0/public/SystemStatus", public=True)


def time() -> RestCall:
    return RestCall(path="/0/public/Time", public=True)


def ticker(pairs: Sequence[str]) -> RestCall:
    return RestCall(path="/0/public/Ticker", params={"pair": ",".join(pairs)}, public=True)


def depth(pair: str, count: int = 100) -> RestCall:
    return RestCall(path="/0/public/Depth", params={"pair": pair, "count": str(count)}, public=True)
