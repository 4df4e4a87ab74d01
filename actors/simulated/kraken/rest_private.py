"""The private REST calls, each with the permissions it needs (any of them) and what it costs on the call counter."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from allstop.actors.simulated.kraken.asked import amount, decimal_of, rest_amend, rest_order
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.orders import LIMIT, Execution, Order, described, described_close
from allstop.actors.simulated.kraken.pairs import Pair
from allstop.actors.simulated.kraken.refusal import Refusal
from allstop.actors.simulated.kraken.signing import ApiKey
from allstop.actors.simulated.kraken.wire import encode, fixed, rfc3339_seconds, unix

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.venue import KrakenVenue

PAGE = 50
TOKEN_S = 900


class Call(msgspec.Struct, frozen=True):
    serve: Callable[["KrakenVenue", ApiKey, dict[str, Any], At], object]
    permissions: frozenset[str] = frozenset()
    cost: float = 1.0


def order_result(order: Order) -> msgspec.Raw:
    """An order as OpenOrders, ClosedOrders and QueryOrders tell it: made once for as long as nothing changes of it, for
    clients ask again and again."""
    changing = order.changing
    if order.told is None or order.told[0] != changing:
        order.told = (changing, msgspec.Raw(encode(_order_result(order)).encode()))
    return order.told[1]


def _order_result(order: Order) -> dict[str, Any]:
    pair = order.pair
    first, second = (
        (order.limit_price, None) if order.order_type == LIMIT else (order.trigger_price, order.limit_price)
    )
    told = {
        "refid": order.parent_id,
        "userref": order.userref,
        **({} if order.cl_ord_id is None else {"cl_ord_id": order.cl_ord_id}),
        "status": {"filled": "closed", "canceled": "canceled", "expired": "expired"}.get(
            order.status, "open"
        ),
        "opentm": unix(order.opened_ns),
        "starttm": 0,
        "expiretm": 0 if not order.expire_ns else unix(order.expire_ns),
        "descr": {
            "pair": pair.altname,
            "type": order.side,
            "ordertype": order.order_type,
            "price": "0" if first is None else fixed(first, pair.price_decimals),
            "price2": "0" if second is None else fixed(second, pair.price_decimals),
            "leverage": "none",
            "order": described(order),
            "close": "" if order.close is None else described_close(order.close, pair),
        },
        "vol": fixed(order.qty, pair.qty_decimals),
        "vol_exec": fixed(order.filled, pair.qty_decimals),
        "cost": fixed(order.cost, pair.cost_decimals),
        "fee": fixed(order.fee, pair.cost_decimals),
        "price": fixed(order.average, 5),
        "stopprice": fixed(order.trigger_price or Decimal(0), 5),
        "limitprice": fixed(order.limit_price or Decimal(0), 5) if order.triggered else "0.00000",
        "misc": "stopped" if order.triggered else "",
        "oflags": "fciq,post" if order.post_only else "fciq",
        "reduce_only": order.reduce_only,
        **({"trigger": "last"} if order.trigger_price is not None else {}),
        **({"trades": list(order.trades)} if order.trades else {}),
    }
    if not order.open:
        told |= {"closetm": unix(order.closed_ns), "reason": order.reason}
    return told


def trade_result(execution: Execution, pair: Pair) -> dict[str, Any]:
    return {
        "ordertxid": execution.order_id,
        "pair": pair.key,
        "time": unix(execution.wall_ns),
        "type": execution.side,
        "ordertype": execution.order_type,
        "price": fixed(execution.price, 5),
        "cost": fixed(execution.cost, pair.cost_decimals),
        "fee": fixed(execution.fee, pair.cost_decimals),
        "vol": fixed(execution.qty, pair.qty_decimals),
        "margin": "0.00000",
        "misc": "",
        "trade_id": execution.trade_id,
        "maker": execution.maker,
    }


def _balance(venue: "KrakenVenue", key: ApiKey, _params: dict[str, Any], _at: At) -> object:
    account = venue.accounts[key.account]
    return {
        venue.assets[name].key: fixed(value, venue.assets[name].decimals)
        for name, value in account.balances.items()
    }


def _balance_ex(venue: "KrakenVenue", key: ApiKey, _params: dict[str, Any], _at: At) -> object:
    account = venue.accounts[key.account]
    return {
        venue.assets[name].key: {
            "balance": fixed(value, venue.assets[name].decimals),
            "hold_trade": fixed(account.hold(name), venue.assets[name].decimals),
        }
        for name, value in account.balances.items()
    }


def _trade_balance(venue: "KrakenVenue", key: ApiKey, _params: dict[str, Any], _at: At) -> object:
    account = venue.accounts[key.account]
    worth = account.balance("USD")
    for pair in [pair for pair in venue.pairs.values() if pair.quote == "USD"]:
        worth += account.balance(pair.base) * (venue.market(pair).last or Decimal(0))
    zero = "0.0000"
    told = fixed(worth, 4)
    return {"eb": told, "tb": told, "m": zero, "n": zero, "c": zero, "v": zero, "e": told, "mf": told}


def _open_orders(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], _at: At) -> object:
    orders = _asked_for(venue.accounts[key.account].open.values(), params)
    return {"open": {order.order_id: order_result(order) for order in reversed(orders)}}


def _closed_orders(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], _at: At) -> object:
    """Latest first, 50 a page from `ofs`; `start` and `end` are times or order ids, start exclusive."""
    closed = [
        order for order in venue.engine.orders.values() if order.account == key.account and not order.open
    ]
    start, end = _bound(venue, params.get("start")), _bound(venue, params.get("end"))
    by = str(params.get("closetime", "both"))
    picked: list[Order] = []
    for order in _asked_for(closed, params):
        times = {"open": [order.opened_ns], "close": [order.closed_ns]}.get(
            by, [order.opened_ns, order.closed_ns]
        )
        if any((start is None or ns > start) and (end is None or ns <= end) for ns in times):
            picked.append(order)
    picked.sort(key=lambda order: (order.closed_ns, order.order_id), reverse=True)
    ofs = int(amount(params.get("ofs") or "0", "ofs"))
    page = picked[ofs : ofs + PAGE]
    return {"closed": {order.order_id: order_result(order) for order in page}, "count": len(picked)}


def _query_orders(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], _at: At) -> object:
    """By txid, at most 50. An id that nobody knows is an error."""
    ids = _ids(params.get("txid"))
    if not 1 <= len(ids) <= PAGE:
        raise Refusal("EGeneral:Invalid arguments:txid")
    found = [venue.engine.orders.get(one) for one in ids]
    if any(order is None or order.account != key.account for order in found):
        raise Refusal("EOrder:Unknown order")
    wanted = _asked_for((order for order in found if order is not None), params)
    return {order.order_id: order_result(order) for order in wanted}


def _trades_history(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], _at: At) -> object:
    start, end = _bound(venue, params.get("start")), _bound(venue, params.get("end"))
    picked = [
        one
        for one in reversed(venue.engine.executions)
        if one.account == key.account
        and (start is None or one.wall_ns > start)
        and (end is None or one.wall_ns <= end)
    ]
    ofs = int(amount(params.get("ofs") or "0", "ofs"))
    return {
        "trades": {
            one.exec_id: trade_result(one, venue.pairs[one.symbol]) for one in picked[ofs : ofs + PAGE]
        },
        "count": len(picked),
    }


def _query_trades(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], _at: At) -> object:
    ids = set(_ids(params.get("txid")))
    found = {
        one.exec_id: trade_result(one, venue.pairs[one.symbol])
        for one in venue.engine.executions
        if one.exec_id in ids and one.account == key.account
    }
    if len(found) != len(ids):
        raise Refusal("EOrder:Unknown order")
    return found


def _order_amends(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], _at: At) -> object:
    order = venue.engine.orders.get(str(params.get("order_id")))
    if order is None or order.account != key.account:
        raise Refusal("EOrder:Unknown order")
    rows = [
        {
            "amend_id": amend["amend_id"],
            "amend_type": amend.get("type", "user"),
            "order_qty": amend["qty"],
            "remaining_qty": fixed(Decimal(amend["qty"]) - order.filled, order.pair.qty_decimals),
            **{name: amend[name] for name in ("limit_price", "trigger_price") if name in amend},
            "timestamp": amend["timestamp"],
        }
        for amend in order.amends
    ]
    return {"amends": rows, "count": len(rows)}


def _add_order(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], at: At) -> object:
    request = rest_order(params, at, venue.pairs)
    order = venue.engine.add(key.account, request, at)
    descr = {"order": described(request)}
    if request.close is not None:
        descr["close"] = described_close(request.close, request.pair)
    return {"descr": descr} if request.validate else {"descr": descr, "txid": [order.order_id]}


def _add_order_batch(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], at: At) -> object:
    rows = params.get("orders")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal("EGeneral:Invalid arguments:orders")
    shared = {name: params[name] for name in ("deadline", "validate") if name in params}
    requests = [rest_order({**row, **shared}, at, venue.pairs, pair=params.get("pair")) for row in rows]
    answers = venue.engine.add_batch(key.account, requests, at)
    return {
        "orders": [
            {"error": str(answer)}
            if isinstance(answer, Refusal)
            else {"txid": answer.order_id, "descr": {"order": described(answer)}}
            for answer in answers
        ]
    }


def _amend_order(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], at: At) -> object:
    _order, amend_id = venue.engine.amend(key.account, rest_amend(params), at)
    return {"amend_id": amend_id}


def _cancel_order(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], at: At) -> object:
    """By txid, by cl_ord_id, or by userref (a number in txid), which may name several."""
    txid = params.get("txid")
    reference = decimal_of(txid) if txid is not None else None
    if reference is not None and reference == int(reference):
        named = [o for o in venue.accounts[key.account].open.values() if o.userref == int(reference) != 0]
        if not named:
            raise Refusal("EOrder:Unknown order")
        for order in named:
            venue.engine.cancel(key.account, order_id=order.order_id, cl_ord_id=None, at=at)
        return {"count": len(named)}
    venue.engine.cancel(key.account, order_id=txid, cl_ord_id=params.get("cl_ord_id"), at=at)
    return {"count": 1}


def _cancel_order_batch(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], at: At) -> object:
    ids: list[str] = []
    for field in ("orders", "cl_ord_ids"):
        given = params.get(field) or []
        if not isinstance(given, list):
            raise Refusal(f"EGeneral:Invalid arguments:{field}")
        ids += [
            str(row.get("txid") or row.get("cl_ord_id")) if isinstance(row, dict) else str(row)
            for row in given
        ]
    return {"count": venue.engine.cancel_batch(key.account, ids, at)}


def _cancel_all(venue: "KrakenVenue", key: ApiKey, _params: dict[str, Any], at: At) -> object:
    return {"count": venue.engine.cancel_all(key.account, at)}


def _cancel_all_after(venue: "KrakenVenue", key: ApiKey, params: dict[str, Any], at: At) -> object:
    fires = venue.engine.switch.arm(key.account, int(amount(params.get("timeout"), "timeout")), at)
    told = "0" if fires is None else rfc3339_seconds(fires.wall_ns)
    return {"currentTime": rfc3339_seconds(at.wall_ns), "triggerTime": told}


def _token(venue: "KrakenVenue", key: ApiKey, _params: dict[str, Any], at: At) -> object:
    return {"token": venue.issue_token(key, at), "expires": TOKEN_S}


def _key_info(_venue: "KrakenVenue", key: ApiKey, _params: dict[str, Any], _at: At) -> object:
    return {
        "apiKeyName": key.name,
        "apiKey": key.key,
        "nonce": str(key.nonce),
        "nonceWindow": 0,
        "permissions": sorted(key.permissions),
        "iban": "AA00 N84G SIMU LATE",
        "validUntil": "0",
        "queryFrom": "0",
        "queryTo": "0",
        "createdTime": str(key.created_ns // 1_000_000_000),
        "modifiedTime": str(key.created_ns // 1_000_000_000),
        "ipAllowlist": [],
        "lastUsed": str(key.last_used_ns // 1_000_000_000),
    }


def _asked_for(orders: Iterable[Order], params: dict[str, Any]) -> list[Order]:
    userref, cl_ord_id = params.get("userref"), params.get("cl_ord_id")
    return [
        order
        for order in orders
        if (not userref or str(order.userref) == str(userref))
        and (not cl_ord_id or order.cl_ord_id == cl_ord_id)
    ]


def _ids(value: object) -> list[str]:
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else []


def _bound(venue: "KrakenVenue", value: object) -> int | None:
    """Nanoseconds of a time in seconds, or of the closing of the order with this id."""
    if value in (None, "", "0", 0):
        return None
    if isinstance(value, str) and (order := venue.engine.orders.get(value)) is not None:
        return order.closed_ns or order.opened_ns
    return int(amount(value, "start") * 1_000_000_000)


_OPEN, _CLOSED = frozenset({"query-open-trades"}), frozenset({"query-closed-trades"})
_FUNDS, _MODIFY, _CLOSE = (
    frozenset({"query-funds"}),
    frozenset({"modify-trades"}),
    frozenset({"close-trades"}),
)

CALLS: dict[str, Call] = {
    "Balance": Call(_balance, _FUNDS),
    "BalanceEx": Call(_balance_ex, _FUNDS),
    "TradeBalance": Call(_trade_balance, _FUNDS),
    "OpenOrders": Call(_open_orders, _OPEN),
    "ClosedOrders": Call(_closed_orders, _CLOSED),
    "QueryOrders": Call(_query_orders, _OPEN | _CLOSED),
    "TradesHistory": Call(_trades_history, _CLOSED, 4),
    "QueryTrades": Call(_query_trades, _CLOSED, 4),
    "OrderAmends": Call(_order_amends, _OPEN | _CLOSED),
    "AddOrder": Call(_add_order, _MODIFY, 0),
    "AddOrderBatch": Call(_add_order_batch, _MODIFY, 0),
    "AmendOrder": Call(_amend_order, _MODIFY | _CLOSE, 0),
    "CancelOrder": Call(_cancel_order, _MODIFY | _CLOSE, 0),
    "CancelOrderBatch": Call(_cancel_order_batch, _MODIFY | _CLOSE, 0),
    "CancelAll": Call(_cancel_all, _MODIFY | _CLOSE, 0),
    "CancelAllOrdersAfter": Call(_cancel_all_after, _MODIFY | _CLOSE, 0),
    "GetWebSocketsToken": Call(_token),
    "GetApiKeyInfo": Call(_key_info),
}
