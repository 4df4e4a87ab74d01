"""Kraken's words for orders, in the vocabulary's."""

from typing import Final

from allstop.actors.intents import OrderType
from allstop.actors.reports import OrderStatus

TRIGGERED: Final = frozenset(
    {
        OrderType.STOP_LOSS,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
        OrderType.TRAILING_STOP,
        OrderType.TRAILING_STOP_LIMIT,
    }
)
"""Types that wait for a trigger price: REST's `price`."""

_TYPES: Final = {kind.value: kind for kind in OrderType}

# WebSocket v2's order_status. `exec_type` speaks only where an update leaves the status out.
STREAM_STATUS: Final = {
    "pending_new": OrderStatus.PENDING_NEW,
    "new": OrderStatus.NEW,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
}
EXEC_TYPES: Final = {
    "pending_new": OrderStatus.PENDING_NEW,
    "new": OrderStatus.NEW,
    "trade": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "iceberg_refill": OrderStatus.NEW,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "amended": OrderStatus.NEW,
    "restated": OrderStatus.NEW,
    "status": OrderStatus.NEW,
}
REST_STATUS: Final = {
    "pending": OrderStatus.PENDING_NEW,
    "open": OrderStatus.NEW,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
}


def order_type(word: str | None) -> OrderType | None:
    """The order type, or None for one that we do not know: never a protective one."""
    return None if word is None else _TYPES.get(word)


def stream_status(exec_type: str | None, order_status: str | None) -> OrderStatus:
    """An event or status that we do not know is UNRECOGNISED, and its order freezes: guessing would be worse."""
    if exec_type is not None and exec_type not in EXEC_TYPES:
        return OrderStatus.UNRECOGNISED
    if order_status is not None:
        return STREAM_STATUS.get(order_status, OrderStatus.UNRECOGNISED)
    return EXEC_TYPES[exec_type] if exec_type is not None else OrderStatus.UNRECOGNISED


def rest_status(word: str, *, filled: bool) -> OrderStatus:
    """`filled`: something of it was executed."""
    status = REST_STATUS.get(word, OrderStatus.UNRECOGNISED)
    return OrderStatus.PARTIALLY_FILLED if status is OrderStatus.NEW and filled else status
