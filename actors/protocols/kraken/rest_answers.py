"""Kraken's REST answers, read: the envelope with its errors, and each result as values of the vocabulary.

Everything raises DecodeError when a result is not what Kraken documents, and nothing else. Numbers stay exact:
fractions in the JSON come as Decimals, texts are read digit by digit.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from allstop.actors.errors import Fault
from allstop.actors.intents import OrderType, Side
from allstop.actors.protocols.kraken import names
from allstop.actors.protocols.kraken.faults import classify, classify_http
from allstop.actors.protocols.kraken.terms import TRIGGERED, order_type, rest_status
from allstop.actors.protocols.wire import UNREADABLE, DecodeError, decimal_object, number, seconds_to_ns
from allstop.actors.reports import Fill, OrderReport

ERRORS_MAX: Final = 20  # faults kept of one answer; Kraken gives one or two


def decode_envelope(
    status: int, body: bytes, *, write: bool = False, now_s: float | None = None
) -> tuple[Any, tuple[Fault, ...]]:
    """The result (None if there is none) and the faults, both of which may be there. Never raises: an answer that
    is no envelope is a fault whose outcome is UNKNOWN."""
    if (fault := classify_http(status, body, write)) is not None:
        return None, (fault,)
    try:
        envelope = decimal_object(body)
    except DecodeError:
        return None, (_no_envelope(write),)
    result = envelope.get("result")
    faults = tuple(classify(text, write=write, now_s=now_s) for text in envelope["error"][:ERRORS_MAX])
    if result is None and not faults:
        return None, (_no_envelope(write),)
    return result, faults


def _no_envelope(write: bool) -> Fault:
    fault = classify_http(200, b"", write)
    assert fault is not None  # an empty body is no envelope
    return fault


def _checked(result: object, what: str) -> Mapping[str, Any]:
    if not isinstance(result, Mapping):
        raise DecodeError(f"{what} is not an object", repr(result)[:200])
    return result


T = TypeVar("T")


def _converted(value: object, kind: type[T], what: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except UNREADABLE as error:
        raise DecodeError(f"{what}: {error}") from error


class _Description(msgspec.Struct):
    pair: str | None = None
    type: Side | None = None
    ordertype: str | None = None
    price: Any = None
    price2: Any = None


class _Order(msgspec.Struct):
    status: str
    vol: Any
    vol_exec: Any
    descr: _Description
    price: Any = None
    stopprice: Any = None
    limitprice: Any = None
    refid: str | None = None
    cl_ord_id: str | None = None
    reason: str | None = None
    misc: str | None = None
    oflags: str | None = None
    reduce_only: bool | None = None
    opentm: Any = None
    closetm: Any = None


def decode_open_orders(result: object, known: Mapping[str, str] | None = None) -> list[OrderReport]:
    """Every open order. `known`: the venue's pair names to ours (`instruments.pair_names`)."""
    return _reports(_checked(result, "OpenOrders").get("open"), known)


class ClosedPage(msgspec.Struct, frozen=True):
    """One page of closed orders, newest first, and how many there are in all (None: the venue did not say)."""

    reports: list[OrderReport]
    count: int | None


def decode_closed_orders(result: object, known: Mapping[str, str] | None = None) -> ClosedPage:
    """A page is the last one when `ofs` plus its length reaches `count`."""
    page = _checked(result, "ClosedOrders")
    count = page.get("count")
    if count is not None and not isinstance(count, int):
        raise DecodeError("ClosedOrders: count is no integer", repr(count)[:200])
    return ClosedPage(_reports(page.get("closed"), known), count)


def decode_query_orders(result: object, known: Mapping[str, str] | None = None) -> list[OrderReport]:
    return _reports(result, known)


def _reports(orders: object, known: Mapping[str, str] | None) -> list[OrderReport]:
    listed = _checked(orders, "the list of orders")
    return [_report(str(order_id), order, known) for order_id, order in listed.items()]


def _report(order_id: str, value: object, known: Mapping[str, str] | None) -> OrderReport:
    order = _converted(value, _Order, f"order {order_id}")
    about = order.descr
    kind = order_type(about.ordertype)
    filled = number(order.vol_exec)
    in_quote = "viqc" in (order.oflags or "").split(",")  # then `vol` counts the quote currency
    return OrderReport(
        order_id=order_id,
        status=rest_status(order.status, filled=filled > 0),
        pair=None if about.pair is None else names.pair(about.pair, known),
        side=about.type,
        order_type=kind,
        order_qty=None if in_quote else number(order.vol),
        cum_qty=filled,
        avg_price=_price(order.price) if filled else None,
        limit_price=_limit(kind, order),
        trigger_price=_trigger(kind, order),
        cl_ord_id=order.cl_ord_id,
        parent_id=None if order.refid in (None, "", "None") else order.refid,
        reduce_only=order.reduce_only,
        # "stopped": triggered by its stop price, "touched": by its target (the `misc` flags of OpenOrders)
        triggered=_misc_says_triggered(order.misc) if kind in TRIGGERED else None,
        reason=order.reason,
        ts_ns=seconds_to_ns(order.closetm or order.opentm),
    )


def _misc_says_triggered(misc: str | None) -> bool:
    return not {"stopped", "touched"}.isdisjoint((misc or "").split(","))


def _price(value: object) -> Decimal | None:
    """A price, or None for nothing, zero and what is relative ("+5.0%", "#1.2"): that is no price yet."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and (value[0] in "+-#" or value[-1] == "%"):
        return None
    if not isinstance(value, (str, int, Decimal)):
        raise DecodeError("not a price", repr(value)[:200])
    price = number(value)
    return price if price > 0 else None


def _trigger(kind: OrderType | None, order: _Order) -> Decimal | None:
    if kind not in TRIGGERED:
        return None
    return _price(order.stopprice) or _price(order.descr.price)


def _limit(kind: OrderType | None, order: _Order) -> Decimal | None:
    match kind:
        case OrderType.LIMIT | OrderType.ICEBERG:
            return _price(order.descr.price)
        case OrderType.STOP_LOSS_LIMIT | OrderType.TAKE_PROFIT_LIMIT | OrderType.TRAILING_STOP_LIMIT:
            return _price(order.descr.price2) or _price(order.limitprice)
        case _:
            return None


class _Trade(msgspec.Struct):
    ordertxid: str
    pair: str
    type: Side
    vol: Any
    price: Any
    fee: Any = "0"
    time: Any = None
    cl_ord_id: str | None = None


def decode_trades(result: object, known: Mapping[str, str] | None = None) -> list[Fill]:
    """Our executions, from TradesHistory (its `trades`) or QueryTrades (the result itself)."""
    listed = _checked(result, "the list of trades")
    listed = _checked(listed.get("trades", listed), "the list of trades")
    return [_fill(str(exec_id), trade, known) for exec_id, trade in listed.items()]


def _fill(exec_id: str, value: object, known: Mapping[str, str] | None) -> Fill:
    trade = _converted(value, _Trade, f"trade {exec_id}")
    return Fill(
        exec_id=exec_id,
        order_id=trade.ordertxid,
        pair=names.pair(trade.pair, known),
        side=trade.type,
        qty=number(trade.vol),
        price=number(trade.price),
        fee=number(trade.fee),
        ts_ns=seconds_to_ns(trade.time),
        cl_ord_id=trade.cl_ord_id,
    )


def decode_add_order(result: object) -> tuple[str, ...]:
    """The ids of the orders made; empty after `validate`."""
    ids = _checked(result, "AddOrder").get("txid", [])
    return tuple(_converted(ids, list[str], "AddOrder"))


def decode_amend_order(result: object) -> str:
    """The id of the amendment."""
    return _text(result, "amend_id", "AmendOrder")


def decode_cancel(result: object) -> int:
    """How many orders were cancelled, of CancelOrder, CancelOrderBatch and CancelAll. With `pending` in the answer
    the cancels are still on their way: the count proves nothing, the open-orders list does."""
    count = _checked(result, "cancel").get("count")
    if not isinstance(count, int):
        raise DecodeError("cancel: no count", repr(result)[:200])
    return count


def decode_balance(result: object) -> dict[str, str]:
    """The amounts as text, by our names of the assets ("BTC"; "BTC.M" is another wallet of it)."""
    held = _checked(result, "Balance")
    for amount in held.values():
        if not isinstance(amount, str):
            raise DecodeError("Balance: an amount is no text", repr(amount)[:200])
        number(amount)
    return {names.asset(str(code)): str(amount) for code, amount in held.items()}


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What GetApiKeyInfo says of the key that asked. A key that can withdraw is refused at start."""

    permissions: tuple[str, ...]
    api_key_name: str = ""
    ip_allowlist: tuple[str, ...] = ()

    @property
    def can_withdraw(self) -> bool:
        return "withdraw-funds" in self.permissions


def decode_key_info(result: object) -> KeyInfo:
    return _converted(_checked(result, "GetApiKeyInfo"), KeyInfo, "GetApiKeyInfo")


def decode_token(result: object) -> str:
    """The WebSocket token. Use it within 15 minutes; a new one for each connection."""
    return _text(result, "token", "GetWebSocketsToken")


def decode_system_status(result: object) -> str:
    """online, maintenance, cancel_only or post_only."""
    return _text(result, "status", "SystemStatus")


def _text(result: object, name: str, what: str) -> str:
    text = _checked(result, what).get(name)
    if not isinstance(text, str) or not text:
        raise DecodeError(f"{what}: no {name}")
    return text


def decode_time(result: object) -> int:
    """The venue's time in whole unix seconds."""
    seconds = _checked(result, "Time").get("unixtime")
    if not isinstance(seconds, int):
        raise DecodeError("Time: no unixtime")
    return seconds


def decode_ticker(
    result: object, known: Mapping[str, str] | None = None
) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    """Best bid, best ask and last price, by pair."""
    return {
        names.pair(str(name), known): (_first(quote, "b"), _first(quote, "a"), _first(quote, "c"))
        for name, quote in _checked(result, "Ticker").items()
    }


def _first(quote: object, name: str) -> Decimal:
    values = _checked(quote, "Ticker").get(name)
    if not isinstance(values, list) or not values or not isinstance(values[0], (str, Decimal, int)):
        raise DecodeError(f"Ticker: no {name}", repr(values)[:200])
    return number(values[0])


Levels = list[tuple[str, str]]


def decode_depth(result: object, known: Mapping[str, str] | None = None) -> dict[str, tuple[Levels, Levels]]:
    """Bids and asks, best first, as (price text, quantity text), by pair."""
    return {
        names.pair(str(name), known): (_levels(book, "bids"), _levels(book, "asks"))
        for name, book in _checked(result, "Depth").items()
    }


def _levels(book: object, side: str) -> Levels:
    rows = _converted(_checked(book, "Depth").get(side), list[list[Any]], "Depth")
    levels: Levels = []
    for row in rows:
        if len(row) < 2 or not isinstance(row[0], str) or not isinstance(row[1], str):
            raise DecodeError("Depth: not a level", repr(row)[:200])
        for text in row[:2]:
            number(text)
        levels.append((row[0], row[1]))
    return levels
