"""What a venue says about orders, in FIX's terms and free of any venue's wire format; and the answers to a write."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from allstop.actors.errors import Fault
from allstop.actors.intents import OrderType, Side


class OrderStatus(StrEnum):
    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNRECOGNISED = "unrecognised"  # a status that the codec does not know: the order freezes

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


# Named once: an enum's attribute costs a lookup through its metaclass, and this is asked of every report.
_TERMINAL: Final = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `exec_id` is the venue's and counts once, however often it is told."""

    exec_id: str
    order_id: str
    pair: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal = Decimal(0)
    ts_ns: int = 0
    cl_ord_id: str | None = None


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the venue tells it, by a query or on the executions stream.

    `parent_id` is the order whose conditional close made this one. `fill` is the execution that this report
    carries. A stream may leave out what has not changed: absent fields are None, and `merged` keeps the known ones.
    """

    order_id: str
    status: OrderStatus
    pair: str | None = None
    side: Side | None = None
    order_type: OrderType | None = None
    order_qty: Decimal | None = None
    cum_qty: Decimal | None = None
    avg_price: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    cl_ord_id: str | None = None
    parent_id: str | None = None
    reduce_only: bool | None = None
    triggered: bool | None = None
    fill: Fill | None = None
    reason: str | None = None
    ts_ns: int = 0

    def merged(self, newer: "OrderReport") -> "OrderReport":
        """The newer report with what it left out filled in from this one. A terminal status and a larger
        cumulative quantity are never taken back: streams and queries overtake each other."""
        if newer == self:
            return self
        merged = {name: value for name, value in msgspec.structs.asdict(newer).items() if value is not None}
        merged["fill"] = newer.fill
        if self.cum_qty is not None and (newer.cum_qty is None or newer.cum_qty < self.cum_qty):
            merged["cum_qty"], merged["avg_price"] = self.cum_qty, self.avg_price
            # What leaves the quantity out is older than this only if it tells of a time before the first fill.
            overtaken = newer.cum_qty is not None or newer.status is OrderStatus.PENDING_NEW
            overtaken |= newer.status is OrderStatus.NEW and self.cum_qty > 0
            if overtaken and not newer.status.terminal and newer.status is not OrderStatus.UNRECOGNISED:
                merged["status"] = self.status
        if self.status.terminal:
            merged["status"], merged["reason"] = self.status, self.reason
        return msgspec.structs.replace(self, **merged)

    @property
    def leaves_qty(self) -> Decimal:
        """What is still open; zero when the order is terminal or its size is unknown."""
        if self.status.terminal or self.order_qty is None:
            return Decimal(0)
        return self.order_qty - (self.cum_qty or Decimal(0))


# The answers to a write. Exactly one of these; an exception instead is a bug.
class Accepted(msgspec.Struct, frozen=True, tag=True):
    """The venue took the command. `order_id` is its id for the order (each order, for a batch)."""

    order_ids: tuple[str, ...]


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """The venue proved that the command had no effect (`fault.outcome` is NO)."""

    fault: Fault


class NotSent(msgspec.Struct, frozen=True, tag=True):
    """Not one byte was written: the same intent may still go another way."""

    reason: str


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """Bytes were written and no usable answer came. Ask the venue; never send again on a guess."""

    reason: str
    fault: Fault | None = None


WriteOutcome = Accepted | Rejected | NotSent | Unknown
