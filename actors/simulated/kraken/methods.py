"""The methods of the WebSocket v2 face: what a client's frame asks for, and the replies to it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from allstop.actors.simulated.kraken import private, public
from allstop.actors.simulated.kraken.asked import ws_amend, ws_order, ws_pair
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.orders import Order
from allstop.actors.simulated.kraken.refusal import Refusal
from allstop.actors.simulated.kraken.stream import Connection, Subscription, said, sequenced
from allstop.actors.simulated.kraken.wire import decimal_of, decode, encode, rfc3339, rfc3339_seconds

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.venue import KrakenVenue

DEPTHS = (10, 25, 100, 500, 1000)
PUBLIC_CHANNELS = ("book", "ticker", "trade")
PRIVATE_CHANNELS = ("executions", "balances")
SNAP_TRADES = 50


def method_of(text: str) -> str:
    """The method that a frame calls, or "" when it is no request."""
    try:
        message = decode(text)
    except ValueError:
        return ""
    method = message.get("method") if isinstance(message, dict) else None
    return method if isinstance(method, str) else ""


def served(venue: "KrakenVenue", connection: Connection, text: str, at: At) -> list[dict[str, Any]]:
    """Carries out one request; the replies, without their times. What it makes happen is told apart, afterwards."""
    try:
        message = decode(text)
    except ValueError:
        return [{"error": "Malformed request", "success": False}]
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        return [{"error": "Malformed request", "success": False}]
    method, params = message["method"], message.get("params") or {}
    head: dict[str, Any] = {"method": method}
    if "req_id" in message:
        head["req_id"] = message["req_id"]
    if method == "ping" and "params" in message:
        wrong = "Unsupported field: 'params' for the given msg type: ping"
        return [{**head, "error": wrong, "success": False}]
    if method == "ping":
        return [{**head, "method": "pong"}]
    serve = _METHODS.get(method)
    if serve is None or not isinstance(params, dict):
        return [{**head, "error": f"Unsupported method {method!r}", "success": False}]
    seen: dict[str, Any] = {
        "method": method,
        "at_ns": at.wall_ns,
        "via": "ws",
        "connection": connection.number,
        "cl_ord_id": params.get("cl_ord_id"),
        "error": None,
    }
    witnessed = connection.private and method not in ("subscribe", "unsubscribe")
    if witnessed:
        venue.saw(seen)
    try:
        replies = _replied(head, seen, serve(venue, connection, params, at))
    except Refusal as refusal:
        seen["error"] = str(refusal)
        replies = [{**head, "error": str(refusal), "success": False}]
    if witnessed:
        venue.witness.asked(seen)
    return replies


def _replied(head: dict[str, Any], seen: dict[str, Any], answers: "Answers") -> list[dict[str, Any]]:
    replies: list[dict[str, Any]] = []
    for answer in answers:
        failed = answer.pop("error", None)
        if failed is not None:
            seen["error"] = failed
            replies.append({**head, **answer, "error": failed, "success": False})
        else:
            replies.append({**head, **answer.pop("more", {}), "result": answer, "success": True})
    return replies


def refused(text: str, error: str) -> dict[str, Any]:
    """A refusal of the request in this frame, as a fault wants it."""
    try:
        message = decode(text)
    except ValueError:
        message = {}
    head = {name: message[name] for name in ("method", "req_id") if name in message}
    return {**head, "error": error, "success": False}


def timed(reply: dict[str, Any], came: At, goes: At) -> str:
    """The reply as text, with the times at which the request came and the reply goes."""
    return encode({**reply, "time_in": rfc3339(came.wall_ns), "time_out": rfc3339(goes.wall_ns)})


Answers = list[dict[str, Any]]


def _account(
    venue: "KrakenVenue", connection: Connection, params: dict[str, Any], permission: str, at: At
) -> str:
    if not connection.private:
        raise Refusal("EGeneral:Permission denied")
    if venue.engine.status == "maintenance":
        raise Refusal("EService:Unavailable")
    key = venue.token_key(connection, params.get("token"), at)
    if permission and permission not in key.permissions:
        raise Refusal("EGeneral:Permission denied")
    if permission == "modify-trades" and venue.faults.limited("orders", at.now_s):
        raise Refusal("EOrder:Rate limit exceeded")
    return key.account


def _subscribe(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    channel = params.get("channel")
    if channel in PRIVATE_CHANNELS:
        return [_subscribe_private(venue, connection, str(channel), params, at)]
    if channel == "instrument":
        connection.subscriptions[("instrument", "")] = Subscription("instrument")
        venue.later(
            lambda: said(
                venue,
                connection,
                "instrument",
                public.instrument_frame(venue.modes(), "snapshot", venue.pairs, venue.assets),
                at,
            )
        )
        return [{"channel": "instrument", "snapshot": True}]
    symbols = params.get("symbol")
    if channel not in PUBLIC_CHANNELS or not isinstance(symbols, list):
        raise Refusal(f"Subscription name invalid: {channel}")
    answers: Answers = []
    for symbol in symbols:
        try:
            answers.append(_subscribe_public(venue, connection, channel, symbol, params, at))
        except Refusal as refusal:
            answers.append({"symbol": symbol, "error": str(refusal)})
    return answers


def _subscribe_public(
    venue: "KrakenVenue", connection: Connection, channel: str, symbol: object, params: dict[str, Any], at: At
) -> dict[str, Any]:
    pair = ws_pair(symbol, venue.pairs)
    if (channel, pair.symbol) in connection.subscriptions:
        raise Refusal("Already subscribed")
    depth, snapshot = params.get("depth", 10), params.get("snapshot", True)
    if depth not in DEPTHS:
        raise Refusal("Subscription depth not supported")
    subscription = Subscription(channel, pair.symbol, depth=depth, bbo=params.get("event_trigger") == "bbo")
    connection.subscriptions[(channel, pair.symbol)] = subscription
    subscription.silent = venue.faults.spend("silent_subscription", channel)
    market = venue.market(pair)
    if snapshot and not subscription.silent:
        text = {
            "book": lambda: public.book_snapshot(market, at.wall_ns, depth),
            "ticker": lambda: public.ticker_frame(market, "snapshot", at.wall_ns),
            "trade": lambda: public.trade_frame(pair.symbol, list(market.trades), "snapshot"),
        }[channel]()
        if text is not None:
            venue.later(lambda: said(venue, connection, channel, text, at))
    result: dict[str, Any] = {"channel": channel, "snapshot": snapshot, "symbol": pair.symbol}
    if channel == "ticker":
        result["event_trigger"] = "bbo" if subscription.bbo else "trades"
    return {**result, "depth": depth} if channel == "book" else result


def _subscribe_private(
    venue: "KrakenVenue", connection: Connection, channel: str, params: dict[str, Any], at: At
) -> dict[str, Any]:
    permission = "query-open-trades" if channel == "executions" else "query-funds"
    account = _account(venue, connection, params, permission, at)
    if (channel, "") in connection.subscriptions:
        raise Refusal("Already subscribed")
    subscription = Subscription(channel, every_status=params.get("order_status", True))
    subscription.silent = venue.faults.spend("silent_subscription", channel)
    connection.subscriptions[(channel, "")] = subscription
    connection.account, connection.token = account, params["token"]
    snap_orders = params.get("snap_orders", params.get("snapshot", True))
    snap_trades = params.get("snap_trades", False)
    if channel == "balances":
        rows = private.balance_rows(venue.accounts[account])
        if params.get("snapshot", True):
            venue.later(lambda: sequenced(venue, connection, subscription, rows, "snapshot", at))
        return {"channel": channel, "snapshot": params.get("snapshot", True)}
    rows = _order_rows(venue, account) if snap_orders else []
    rows += _trade_rows(venue, account) if snap_trades else []
    if snap_orders or snap_trades:
        venue.later(lambda: sequenced(venue, connection, subscription, rows, "snapshot", at))
    return {
        "channel": channel,
        "maxratecount": int(venue.engine.rates.limits.engine_max),
        "snapshot": snap_orders or snap_trades,
        "snap_orders": snap_orders,
        "snap_trades": snap_trades,
    }


def _order_rows(venue: "KrakenVenue", account: str) -> list[dict[str, Any]]:
    return [private.order_row(order) for order in venue.accounts[account].open.values()]


def _trade_rows(venue: "KrakenVenue", account: str) -> list[dict[str, Any]]:
    own = [one for one in venue.engine.executions if one.account == account][-SNAP_TRADES:]
    return [private.trade_row(one, venue.engine.orders[one.order_id]) for one in own]


def _unsubscribe(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    channel = str(params.get("channel"))
    symbols = params.get("symbol") or [""]
    if channel in PRIVATE_CHANNELS:
        _account(venue, connection, params, "", at)
    answers: Answers = []
    for symbol in symbols if isinstance(symbols, list) else [symbols]:
        named = {"symbol": symbol} if symbol else {}
        if connection.subscriptions.pop((channel, symbol), None) is None:
            answers.append({**named, "error": "Subscription Not Found"})
        else:
            answers.append({"channel": channel, **named})
    return answers


def _add_order(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    account = _account(venue, connection, params, "modify-trades", at)
    request = ws_order(params, at, venue.pairs)
    order = venue.engine.add(account, request, at)
    return [{} if request.validate else _taken(order)]


def _taken(order: Order) -> dict[str, Any]:
    result: dict[str, Any] = {"order_id": order.order_id}
    if order.cl_ord_id is not None:
        result["cl_ord_id"] = order.cl_ord_id
    if order.userref:
        result["order_userref"] = order.userref
    return result


def _batch_add(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    account = _account(venue, connection, params, "modify-trades", at)
    rows = params.get("orders")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal("EGeneral:Invalid arguments:orders")
    shared = {name: params[name] for name in ("deadline", "validate") if name in params}
    requests = [ws_order({**row, **shared}, at, venue.pairs, symbol=params.get("symbol")) for row in rows]
    answers = venue.engine.add_batch(account, requests, at)
    orders = [
        {"error": str(answer), "success": False}
        if isinstance(answer, Refusal)
        else {**_taken(answer), "success": True}
        for answer in answers
    ]
    return [{"orders": orders}]


def _amend_order(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    account = _account(venue, connection, params, "modify-trades", at)
    order, amend_id = venue.engine.amend(account, ws_amend(params, at), at)
    return [{"amend_id": amend_id, **_taken(order)}]


def _cancel_order(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    """One reply for each order named."""
    account = _account(venue, connection, params, "close-trades", at)
    wanted: list[tuple[str | None, str | None]] = [(str(one), None) for one in _list(params.get("order_id"))]
    wanted += [(None, str(one)) for one in _list(params.get("cl_ord_id"))]
    for reference in _list(params.get("order_userref")):
        wanted += [
            (order.order_id, None)
            for order in venue.accounts[account].open.values()
            if decimal_of(reference) == order.userref != 0
        ]
    if not wanted:
        raise Refusal("EGeneral:Invalid arguments:order_id")
    answers: Answers = []
    for order_id, cl_ord_id in wanted:
        named = {"order_id": order_id} if order_id else {"cl_ord_id": cl_ord_id}
        try:
            order = venue.engine.cancel(account, order_id=order_id, cl_ord_id=cl_ord_id, at=at)
            answers.append({"order_id": order.order_id, **named})
        except Refusal as refusal:
            answers.append({"error": str(refusal)})
    return answers


def _batch_cancel(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    account = _account(venue, connection, params, "close-trades", at)
    ids = [str(one) for one in (*_list(params.get("orders")), *_list(params.get("cl_ord_id")))]
    count = venue.engine.cancel_batch(account, ids, at)
    # The documentation has result.count; recorded answers have orders_cancelled at the top. Both are told.
    return [{"count": count, "more": {"orders_cancelled": count}}]


def _cancel_all(venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At) -> Answers:
    account = _account(venue, connection, params, "close-trades", at)
    return [{"count": venue.engine.cancel_all(account, at)}]


def _cancel_all_after(
    venue: "KrakenVenue", connection: Connection, params: dict[str, Any], at: At
) -> Answers:
    account = _account(venue, connection, params, "close-trades", at)
    timeout = decimal_of(params.get("timeout"))
    if timeout is None:
        raise Refusal("EGeneral:Invalid arguments:timeout")
    fires = venue.engine.switch.arm(account, int(timeout), at)
    told = "0" if fires is None else rfc3339_seconds(fires.wall_ns)
    return [{"currentTime": rfc3339_seconds(at.wall_ns), "triggerTime": told}]


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_METHODS: dict[str, Callable[["KrakenVenue", Connection, dict[str, Any], At], Answers]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "add_order": _add_order,
    "batch_add": _batch_add,
    "amend_order": _amend_order,
    "cancel_order": _cancel_order,
    "batch_cancel": _batch_cancel,
    "cancel_all": _cancel_all,
    "cancel_all_orders_after": _cancel_all_after,
}
