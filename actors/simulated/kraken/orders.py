"""An order as the venue keeps it, from its request to its end, with everything that ever happened to it."""

from dataclasses import dataclass, field, fields
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec

from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.pairs import Pair

MARKET, LIMIT = "market", "limit"
STOPS = frozenset({"stop-loss", "stop-loss-limit"})
TAKE_PROFITS = frozenset({"take-profit", "take-profit-limit"})
TRIGGERED_TYPES = STOPS | TAKE_PROFITS
LIMIT_TYPES = frozenset({LIMIT, "stop-loss-limit", "take-profit-limit"})
ORDER_TYPES = frozenset({MARKET, LIMIT}) | TRIGGERED_TYPES


def opposite(side: str) -> str:
    return "sell" if side == "buy" else "buy"


class CloseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The conditional close of an order: what each of its fills creates."""

    order_type: str
    trigger_price: Decimal | None = None
    limit_price: Decimal | None = None


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order as asked for, whichever face it came through. Nothing in it is checked yet."""

    pair: Pair
    side: str
    order_type: str
    qty: Decimal
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    time_in_force: str = "gtc"
    expire_ns: int = 0
    deadline_ns: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cl_ord_id: str | None = None
    userref: int = 0
    close: CloseTerms | None = None
    validate: bool = False
    via: str = "rest"


class AmendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an open order, named by either id."""

    order_id: str | None = None
    cl_ord_id: str | None = None
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    post_only: bool = False
    deadline_ns: int | None = None


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One fill of one order."""

    exec_id: str  # the trade id of REST: T...
    trade_id: int
    order_id: str
    account: str
    cl_ord_id: str | None
    symbol: str
    side: str
    order_type: str
    qty: Decimal
    price: Decimal
    cost: Decimal
    fee: Decimal
    maker: bool
    wall_ns: int


@dataclass(slots=True)
class Order:
    """The venue's record. `status` is new, partially_filled, filled, canceled or expired."""

    order_id: str
    account: str
    pair: Pair
    side: str
    order_type: str
    qty: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    time_in_force: str
    expire_ns: int
    post_only: bool
    reduce_only: bool
    cl_ord_id: str | None
    userref: int
    close: CloseTerms | None
    parent_id: str | None
    opened_ns: int
    touched_s: float  # made or last amended, for the age table
    via: str
    status: str = "new"
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    triggered: bool = False
    rests: bool = False  # a limit that the market must come to: its fills are a maker's
    trades: list[str] = field(default_factory=list[str])
    closed_ns: int = 0
    reason: str | None = None
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    amends: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    told: tuple[tuple[object, ...], msgspec.Raw] | None = (
        None  # what REST told of it last, and when it was so
    )

    def as_it_is(self) -> "Order":
        """Another record of it, which does not change with it."""
        return Order(*_ALL(self))

    @property
    def changing(self) -> tuple[object, ...]:
        """All of it that REST tells and that can change."""
        return (
            self.status, self.qty, self.filled, self.cost, self.fee, self.limit_price, self.trigger_price, self.triggered,
            self.closed_ns, self.reason, len(self.trades),
        )  # fmt: skip

    @property
    def open(self) -> bool:
        return self.status in ("new", "partially_filled")

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled if self.open else Decimal(0)

    @property
    def average(self) -> Decimal:
        return self.cost / self.filled if self.filled else Decimal(0)

    @property
    def waits_for_trigger(self) -> bool:
        return self.order_type in TRIGGERED_TYPES and not self.triggered

    @property
    def works_limit(self) -> Decimal | None:
        """The limit it matches at; None for an order that takes any price."""
        return self.limit_price if self.order_type in LIMIT_TYPES else None

    def note(self, what: str, wall_ns: int, **more: object) -> None:
        """Adds a line to its history."""
        self.history.append({"what": what, "at_ns": wall_ns, **more})

    def triggers_at(self, last: Decimal) -> bool:
        """Whether this last price sets it off."""
        assert self.trigger_price is not None
        falling = (self.side == "sell") == (self.order_type in STOPS)
        return last <= self.trigger_price if falling else last >= self.trigger_price


_ALL = attrgetter(*(one.name for one in fields(Order)))


def made(request: OrderRequest, account: str, at: At, *, order_id: str, parent_id: str | None) -> Order:
    """The order that a request asks for, before anything happened to it."""
    return Order(
        order_id=order_id,
        account=account,
        pair=request.pair,
        side=request.side,
        order_type=request.order_type,
        qty=request.qty,
        limit_price=request.limit_price,
        trigger_price=request.trigger_price,
        time_in_force=request.time_in_force,
        expire_ns=request.expire_ns,
        post_only=request.post_only,
        reduce_only=request.reduce_only,
        cl_ord_id=request.cl_ord_id,
        userref=request.userref,
        close=request.close,
        parent_id=parent_id,
        opened_ns=at.wall_ns,
        touched_s=at.now_s,
        via=request.via,
    )


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of an order. `order` is as it stood then."""

    kind: str  # pending_new, new, trade, filled, canceled, expired, amended, status (a stop was triggered)
    order: Order
    wall_ns: int
    execution: Execution | None = None
    created: bool = False  # by a conditional close


def described(order: OrderRequest | Order) -> str:
    """Kraken's one-line description: buy 2.12340000 XBTUSD @ limit 25000.1"""
    pair = order.pair
    head = f"{order.side} {order.qty:.{pair.qty_decimals}f} {pair.altname} @ "
    return head + _priced(order.order_type, order.trigger_price, order.limit_price, pair)


def described_close(close: CloseTerms, pair: Pair) -> str:
    """close position @ stop loss 22000.0 -> limit 21000.0"""
    return "close position @ " + _priced(close.order_type, close.trigger_price, close.limit_price, pair)


def _priced(order_type: str, trigger: Decimal | None, limit: Decimal | None, pair: Pair) -> str:
    if order_type == MARKET:
        return MARKET
    if order_type == LIMIT:
        return f"limit {limit:.{pair.price_decimals}f}"
    text = f"{order_type.removesuffix('-limit').replace('-', ' ')} {trigger:.{pair.price_decimals}f}"
    return text if limit is None else f"{text} -> limit {limit:.{pair.price_decimals}f}"
