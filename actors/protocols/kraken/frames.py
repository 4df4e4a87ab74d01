"""Kraken's WebSocket v2: events out of frames, and frames out of commands.

Numbers go and come as JSON numbers whose digits count, so that none of them ever passes through a float. A frame is
text; `decode` never raises.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.intents import OrderIntent, OrderType, StopLoss, TimeInForce
from allstop.actors.protocols.kraken.events import (
    Balances,
    BookSnapshot,
    BookUpdate,
    Event,
    Executions,
    Heartbeat,
    InstrumentUpdate,
    MalformedFrame,
    MethodReply,
    Pong,
    SystemStatus,
    Ticker,
    Trade,
    UnknownFrame,
)
from allstop.actors.protocols.kraken.frame_answers import decode
from allstop.actors.protocols.kraken.terms import TRIGGERED
from allstop.actors.protocols.wire import json_number

__all__ = [
    "Balances", "BookSnapshot", "BookUpdate", "Event", "Executions", "Heartbeat", "InstrumentUpdate",
    "MalformedFrame", "MethodReply", "Pong", "SystemStatus", "Ticker", "Trade", "UnknownFrame", "add_order",
    "amend_order", "batch_cancel", "cancel_all", "cancel_order", "decode", "ping", "subscribe", "unsubscribe",
]  # fmt: skip

PRIVATE: Final = frozenset({"executions", "balances", "level3"})
BATCH_MAX: Final = 50  # orders in one cancel (documented for batch_cancel)


def _frame(method: str, params: dict[str, Any] | None, req_id: int) -> str:
    frame = {"method": method} | ({} if params is None else {"params": params}) | {"req_id": req_id}
    return msgspec.json.encode(frame).decode()


def ping(req_id: int) -> str:
    """Takes no params: Kraken refuses any, even empty ones."""
    return _frame("ping", None, req_id)


def subscribe(
    channel: str,
    *,
    req_id: int,
    token: str | None = None,
    symbols: Sequence[str] = (),
    depth: int | None = None,
    **opts: object,
) -> str:
    """Answered by a MethodReply for each symbol, or one. `opts` go in as they are: snap_orders, snap_trades,
    ratecounter, snapshot, event_trigger. Raises BadInput for a private channel without a token."""
    return _frame("subscribe", _subscription(channel, token, symbols, depth, opts), req_id)


def unsubscribe(
    channel: str,
    *,
    req_id: int,
    token: str | None = None,
    symbols: Sequence[str] = (),
    depth: int | None = None,
    **opts: object,
) -> str:
    return _frame("unsubscribe", _subscription(channel, token, symbols, depth, opts), req_id)


def _subscription(
    channel: str, token: str | None, symbols: Sequence[str], depth: int | None, opts: dict[str, object]
) -> dict[str, Any]:
    if channel in PRIVATE and not token:
        raise BadInput(Problem(f"the channel {channel} needs a token", "token"))
    params: dict[str, Any] = {"channel": channel}
    if symbols:
        params["symbol"] = list(symbols)
    if depth is not None:
        params["depth"] = depth
    params |= opts
    if token is not None:
        params["token"] = token
    return params


def add_order(
    intent: OrderIntent,
    token: str,
    req_id: int,
    deadline: str,
    *,
    expires: str | None = None,
    validate: bool = False,
) -> str:
    """add_order with the intent's id as cl_ord_id and its stop as `conditional`. `deadline` is RFC 3339, 0.5 to 60 s
    ahead. Raises BadInput for a good-till-date order without `expires` (RFC 3339)."""
    params: dict[str, Any] = {
        "order_type": intent.order_type.value,
        "side": intent.side.value,
        "symbol": intent.pair,
        "order_qty": json_number(intent.qty),
    }
    if intent.limit_price is not None:
        params["limit_price"] = json_number(intent.limit_price)
    if intent.order_type in TRIGGERED and intent.trigger_price is not None:
        params["triggers"] = {"reference": "last", "price": json_number(intent.trigger_price)}
    if intent.order_type is not OrderType.MARKET:
        params["time_in_force"] = intent.time_in_force.value
    if intent.time_in_force is TimeInForce.GTD:
        if expires is None:
            raise BadInput(
                Problem("a good-till-date order needs the time at which it expires", "time_in_force")
            )
        params["expire_time"] = expires
    if intent.post_only:
        params["post_only"] = True
    if intent.reduce_only:
        params["reduce_only"] = True
    if intent.stop is not None:
        params["conditional"] = _conditional(intent.stop)
    if validate:
        params["validate"] = True
    params |= {"cl_ord_id": intent.id, "deadline": deadline, "token": token}
    return _frame("add_order", params, req_id)


def _conditional(stop: StopLoss) -> dict[str, Any]:
    close: dict[str, Any] = {"trigger_price": json_number(stop.trigger_price)}
    if stop.limit_price is None:
        return {"order_type": OrderType.STOP_LOSS.value} | close
    return (
        {"order_type": OrderType.STOP_LOSS_LIMIT.value}
        | close
        | {"limit_price": json_number(stop.limit_price)}
    )


def amend_order(
    token: str,
    req_id: int,
    *,
    order_id: str | None = None,
    cl_ord_id: str | None = None,
    order_qty: Decimal | None = None,
    limit_price: Decimal | None = None,
    trigger_price: Decimal | None = None,
    deadline: str | None = None,
) -> str:
    """amend_order: in place. Name the order by exactly one of its ids. Raises BadInput otherwise."""
    if (order_id is None) == (cl_ord_id is None):
        raise BadInput(Problem("name the order by exactly one of order_id and cl_ord_id", "order_id"))
    params: dict[str, Any] = {"order_id": order_id} if order_id is not None else {"cl_ord_id": cl_ord_id}
    numbers = {"order_qty": order_qty, "limit_price": limit_price, "trigger_price": trigger_price}
    params |= {name: json_number(value) for name, value in numbers.items() if value is not None}
    if deadline is not None:
        params["deadline"] = deadline
    return _frame("amend_order", params | {"token": token}, req_id)


def cancel_order(order_ids: Sequence[str], token: str, req_id: int, *, cl_ord_ids: Sequence[str] = ()) -> str:
    """cancel_order, answered once for each order. Raises BadInput for none, or more than 50."""
    _check_batch(order_ids, cl_ord_ids)
    params: dict[str, Any] = {"order_id": list(order_ids)} if order_ids else {}
    if cl_ord_ids:
        params["cl_ord_id"] = list(cl_ord_ids)
    return _frame("cancel_order", params | {"token": token}, req_id)


def batch_cancel(order_ids: Sequence[str], token: str, req_id: int) -> str:
    """batch_cancel, answered once, with the count."""
    _check_batch(order_ids, ())
    return _frame("batch_cancel", {"orders": list(order_ids), "token": token}, req_id)


def _check_batch(order_ids: Sequence[str], cl_ord_ids: Sequence[str]) -> None:
    if not 1 <= len(order_ids) + len(cl_ord_ids) <= BATCH_MAX:
        raise BadInput(Problem(f"a cancel names 1 to {BATCH_MAX} orders", "order_ids"))


def cancel_all(token: str, req_id: int) -> str:
    """cancel_all. It cancels protective stops too: only for an account proven flat and without stops."""
    return _frame("cancel_all", {"token": token}, req_id)
