"""What a strategy wants done: an order with its stop, as a frozen value whose id is fixed when it is built."""

import re
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from allstop.actors.clock import new_id
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.instruments import Instrument
from allstop.actors.levels import IntentKind

# Kraken's cl_ord_id: a UUID or at most 18 printable ASCII characters. The intent's id travels as the client id.
INTENT_ID = re.compile(
    r"^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z0-9_-]{1,18})$"
)
# The guardian's own ids: it must know its orders again without a journal, so nobody else's may look like them.
RESERVED_ID = re.compile(r"^g[0-9a-f]{16}$")


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop-loss"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT = "take-profit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"
    ICEBERG = "iceberg"
    SETTLE_POSITION = "settle-position"

    @property
    def is_stop(self) -> bool:
        """Stop and trailing types: with the reducing side, these are protective."""
        return self in _STOPS


# Named once: an enum's attribute costs a lookup through its metaclass.
_STOPS: Final = (
    OrderType.STOP_LOSS,
    OrderType.STOP_LOSS_LIMIT,
    OrderType.TRAILING_STOP,
    OrderType.TRAILING_STOP_LIMIT,
)


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    GTD = "gtd"


class StopLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The stop that goes with an order: triggered at `trigger_price`; with `limit_price` a stop-loss-limit."""

    trigger_price: Decimal
    limit_price: Decimal | None = None


class OrderIntent(msgspec.Struct, frozen=True, kw_only=True):
    """One order that somebody wants. An ENTRY carries its stop. A REDUCE leaves a position, or a part of it, at market
    or with an immediate-or-cancel limit, and has none; a PROTECT is one, and the guardian's alone.

    `ttl_s` is how long after `submit` the intent may still be sent for the first time: an order older than its
    decision is dangerous.

    Without an `id` it gets a new one: of its actor's system on the loop, so that in a simulated world the seed makes
    it; elsewhere the machine's.
    """

    no_replay: ClassVar[bool] = True

    pair: str
    side: Side
    qty: Decimal
    order_type: OrderType = OrderType.LIMIT
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None  # of a stop order itself (PROTECT)
    stop: StopLoss | None = None
    kind: IntentKind = IntentKind.ENTRY
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    ttl_s: float = 5.0
    id: str = msgspec.field(default_factory=new_id)


def check_intent(intent: OrderIntent, instrument: Instrument | None) -> Refused | None:
    """The first thing wrong with an intent, or None. Pure; `instrument` is None for a pair that nobody knows."""
    if not INTENT_ID.match(intent.id):
        return Refused(
            RefusalCode.BAD_INTENT_ID,
            f"{intent.id!r} is neither a lower-case UUID nor 1 to 18 of [A-Za-z0-9_-]",
            place="id",
        )
    if RESERVED_ID.match(intent.id):
        return Refused(RefusalCode.BAD_INTENT_ID, f"{intent.id!r} looks like the guardian's own", place="id")
    if instrument is None:
        return Refused(RefusalCode.UNKNOWN_PAIR, f"no instrument {intent.pair!r}", place="pair")
    if wrong := _check_size(intent.qty, instrument):
        return wrong
    prices = [("limit_price", intent.limit_price), ("trigger_price", intent.trigger_price)]
    if intent.stop is not None:
        prices += [
            ("stop.trigger_price", intent.stop.trigger_price),
            ("stop.limit_price", intent.stop.limit_price),
        ]
    for place, price in prices:
        if price is not None and (wrong := _check_price(price, instrument, place)):
            return wrong
    if intent.order_type is OrderType.LIMIT and intent.limit_price is None:
        return Refused(RefusalCode.BAD_PRICE, "a limit order needs a limit price", place="limit_price")
    if intent.order_type is OrderType.MARKET and intent.limit_price is not None:
        return Refused(RefusalCode.BAD_PRICE, "a market order has no limit price", place="limit_price")
    if intent.order_type.is_stop and intent.trigger_price is None:
        return Refused(RefusalCode.BAD_PRICE, "a stop order needs a trigger price", place="trigger_price")
    match intent.kind:
        case IntentKind.ENTRY:
            return _check_stop(intent)
        case IntentKind.REDUCE:
            return _check_exit(intent)
        case IntentKind.PROTECT if intent.order_type.is_stop:
            return None
        case _:
            # These kinds pass every level and every gate: nothing that trades at once may call itself so.
            return Refused(
                RefusalCode.BAD_KIND,
                f"a {intent.order_type} order is no {intent.kind}: an order is an ENTRY, a REDUCE, or a stop as PROTECT",
                place="kind",
            )


def _check_size(qty: Decimal, instrument: Instrument) -> Refused | None:
    if not qty.is_finite() or qty <= 0:
        return Refused(RefusalCode.BAD_QTY, f"{qty} is not a size", place="qty")
    if qty % instrument.lot_size:
        return Refused(RefusalCode.OFF_LOT, f"{qty} is not a multiple of {instrument.lot_size}", place="qty")
    if qty < instrument.min_qty:
        return Refused(
            RefusalCode.BELOW_MINIMUM, f"{qty} is below the minimum {instrument.min_qty}", place="qty"
        )
    return None


def _check_price(price: Decimal, instrument: Instrument, place: str) -> Refused | None:
    if not price.is_finite() or price <= 0:
        return Refused(RefusalCode.BAD_PRICE, f"{price} is not a price", place=place)
    if price % instrument.tick_size:
        return Refused(
            RefusalCode.OFF_TICK, f"{price} is not a multiple of {instrument.tick_size}", place=place
        )
    return None


def _check_stop(intent: OrderIntent) -> Refused | None:
    stop = intent.stop
    if stop is None:
        return Refused(RefusalCode.NO_STOP, "an entry needs a stop", place="stop")
    if intent.order_type not in (OrderType.LIMIT, OrderType.MARKET):
        return Refused(
            RefusalCode.BAD_STOP,
            f"an entry is a limit or a market order, not {intent.order_type}",
            place="order_type",
        )
    if intent.limit_price is None:
        return None
    beyond = (
        stop.trigger_price >= intent.limit_price
        if intent.side is Side.BUY
        else stop.trigger_price <= intent.limit_price
    )
    if beyond:
        return Refused(
            RefusalCode.BAD_STOP,
            f"the stop {stop.trigger_price} is on the wrong side of {intent.limit_price}",
            place="stop.trigger_price",
        )
    return None


def _check_exit(intent: OrderIntent) -> Refused | None:
    """An exit is over at once: one that rests would share its balance with the stop, or leave it without one."""
    ioc = intent.order_type is OrderType.LIMIT and intent.time_in_force is TimeInForce.IOC
    if not ioc and intent.order_type is not OrderType.MARKET:
        return Refused(
            RefusalCode.BAD_EXIT,
            "an exit is a market order, or a limit order that is immediate-or-cancel; hold a take-profit locally",
            place="order_type",
        )
    for place, given in (
        ("stop", intent.stop is not None),
        ("trigger_price", intent.trigger_price is not None),
        ("post_only", intent.post_only),
        ("reduce_only", intent.reduce_only),
    ):
        if given:
            return Refused(RefusalCode.BAD_EXIT, f"an exit on spot has no {place}", place=place)
    return None
