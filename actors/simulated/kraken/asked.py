"""Reads what a request asks for, from either face, into the engine's terms. Raises Refusal in the venue's words."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.orders import LIMIT, LIMIT_TYPES, AmendRequest, CloseTerms, OrderRequest
from allstop.actors.simulated.kraken.pairs import Pair, pair_named
from allstop.actors.simulated.kraken.refusal import Refusal
from allstop.actors.simulated.kraken.wire import decimal_of, wall_of

WS_DEADLINE_NS = 5_000_000_000  # an order without a deadline has 5 s


def amount(value: object, field: str) -> Decimal:
    read = decimal_of(value)
    if read is None:
        raise Refusal(f"EGeneral:Invalid arguments:{field}")
    return read


def optional(value: object, field: str) -> Decimal | None:
    return None if value in (None, "", "0") else amount(value, field)


def deadline_of(value: object) -> int | None:
    if value in (None, ""):
        return None
    ns = wall_of(value) if isinstance(value, str) else None
    if ns is None:
        raise Refusal("EGeneral:Invalid arguments:deadline")
    return ns


def truthy(value: object) -> bool:
    return value in (True, "true", "True", "1", 1)


Pairs = Mapping[str, Pair]  # what the venue lists


def pair_of(name: object, pairs: Pairs) -> Pair:
    pair = pair_named(name, pairs) if isinstance(name, str) else None
    if pair is None:
        raise Refusal("EQuery:Unknown asset pair")
    return pair


def rest_order(params: dict[str, Any], at: At, pairs: Pairs, *, pair: object = None) -> OrderRequest:
    """AddOrder's parameters. `price` is the limit of a limit order and the trigger of the others; `price2` their limit."""
    order_type = str(params.get("ordertype", ""))
    price, price2 = optional(params.get("price"), "price"), optional(params.get("price2"), "price2")
    trigger, limit = (None, price) if order_type in (LIMIT, "market") else (price, price2)
    flags = str(params.get("oflags", "")).split(",")
    expire, tif = _expiry(params, at)
    return OrderRequest(
        pair=pair_of(params.get("pair") if pair is None else pair, pairs),
        side=str(params.get("type", "")),
        order_type=order_type,
        qty=amount(params.get("volume"), "volume"),
        limit_price=limit if order_type != "market" else None,
        trigger_price=trigger,
        time_in_force=tif,
        expire_ns=expire,
        deadline_ns=deadline_of(params.get("deadline")),
        post_only="post" in flags,
        reduce_only=truthy(params.get("reduce_only")),
        cl_ord_id=_client_id(params.get("cl_ord_id")),
        userref=_userref(params.get("userref")),
        close=_rest_close(params),
        validate=truthy(params.get("validate")),
        via="rest",
    )


def _rest_close(params: dict[str, Any]) -> CloseTerms | None:
    nested = params.get("close")
    fields = nested if isinstance(nested, dict) else {}
    order_type = fields.get("ordertype") or params.get("close[ordertype]")
    if not order_type:
        return None
    price = optional(fields.get("price") or params.get("close[price]"), "close[price]")
    price2 = optional(fields.get("price2") or params.get("close[price2]"), "close[price2]")
    if order_type == LIMIT:
        return CloseTerms(order_type=LIMIT, limit_price=price)
    return CloseTerms(order_type=str(order_type), trigger_price=price, limit_price=price2)


def _expiry(params: dict[str, Any], at: At) -> tuple[int, str]:
    tif = str(params.get("timeinforce") or "GTC").lower()
    expire = params.get("expiretm")
    if expire in (None, "", "0", 0):
        if tif == "gtd":
            raise Refusal("EGeneral:Invalid arguments:expiretm")
        return 0, tif
    text = str(expire)
    seconds = amount(text.removeprefix("+"), "expiretm")
    ns = int(seconds * 1_000_000_000) + (at.wall_ns if text.startswith("+") else 0)
    return ns, "gtd" if tif == "gtc" else tif


def ws_order(params: dict[str, Any], at: At, pairs: Pairs, *, symbol: object = None) -> OrderRequest:
    """add_order's parameters."""
    order_type = str(params.get("order_type", ""))
    triggers, conditional = params.get("triggers"), params.get("conditional")
    if triggers is not None and not isinstance(triggers, dict):
        raise Refusal("EGeneral:Invalid arguments:triggers")
    trigger = optional(triggers.get("price"), "triggers") if triggers else None
    if triggers and triggers.get("price_type", "static") != "static":
        raise Refusal("EGeneral:Invalid arguments:triggers")
    tif = str(params.get("time_in_force") or "gtc").lower()
    expire = deadline_of(params.get("expire_time")) or 0
    if tif == "gtd" and not expire:
        raise Refusal("EGeneral:Invalid arguments:expire_time")
    deadline = deadline_of(params.get("deadline"))
    return OrderRequest(
        pair=ws_pair(params.get("symbol") if symbol is None else symbol, pairs),
        side=str(params.get("side", "")),
        order_type=order_type,
        qty=amount(params.get("order_qty"), "order_qty"),
        limit_price=optional(params.get("limit_price"), "limit_price"),
        trigger_price=trigger,
        time_in_force=tif,
        expire_ns=expire,
        deadline_ns=deadline if deadline is not None else at.wall_ns + WS_DEADLINE_NS,
        post_only=truthy(params.get("post_only")),
        reduce_only=truthy(params.get("reduce_only")),
        cl_ord_id=_client_id(params.get("cl_ord_id")),
        userref=_userref(params.get("order_userref")),
        close=_ws_close(conditional),
        validate=truthy(params.get("validate")),
        via="ws",
    )


def _ws_close(conditional: object) -> CloseTerms | None:
    if conditional is None:
        return None
    if not isinstance(conditional, dict):
        raise Refusal("EGeneral:Invalid arguments:conditional")
    order_type = str(conditional.get("order_type", ""))
    limit = optional(conditional.get("limit_price"), "conditional")
    trigger = optional(conditional.get("trigger_price"), "conditional")
    if order_type not in LIMIT_TYPES:
        limit = None
    return CloseTerms(order_type=order_type, trigger_price=trigger, limit_price=limit)


def ws_pair(symbol: object, pairs: Pairs) -> Pair:
    if not isinstance(symbol, str) or symbol not in pairs:
        raise Refusal(f"Currency pair not supported {symbol}")
    return pairs[symbol]


def rest_amend(params: dict[str, Any]) -> AmendRequest:
    return AmendRequest(
        order_id=params.get("txid"),
        cl_ord_id=params.get("cl_ord_id"),
        qty=_given(params.get("order_qty"), "order_qty"),
        limit_price=_given(params.get("limit_price"), "limit_price"),
        trigger_price=_given(params.get("trigger_price"), "trigger_price"),
        post_only=truthy(params.get("post_only")),
        deadline_ns=deadline_of(params.get("deadline")),
    )


def ws_amend(params: dict[str, Any], at: At) -> AmendRequest:
    deadline = deadline_of(params.get("deadline"))
    return AmendRequest(
        order_id=params.get("order_id"),
        cl_ord_id=params.get("cl_ord_id"),
        qty=_given(params.get("order_qty"), "order_qty"),
        limit_price=_given(params.get("limit_price"), "limit_price"),
        trigger_price=_given(params.get("trigger_price"), "trigger_price"),
        post_only=truthy(params.get("post_only")),
        deadline_ns=deadline if deadline is not None else at.wall_ns + WS_DEADLINE_NS,
    )


def _given(value: object, field: str) -> Decimal | None:
    return None if value in (None, "") else amount(value, field)


def _client_id(value: object) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise Refusal("EGeneral:Invalid arguments:cl_ord_id")
    return value


def _userref(value: object) -> int:
    if value in (None, ""):
        return 0
    read = decimal_of(value)
    if read is None or read != int(read) or abs(read) >= 2**31:
        raise Refusal("EGeneral:Invalid arguments:userref")
    return int(read)
