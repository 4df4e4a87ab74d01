"""What a WebSocket frame of Kraken says, v2 or v1, as values in the vocabulary's words."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from allstop.actors.errors import Fault
from allstop.actors.instruments import Instrument
from allstop.actors.intents import Side
from allstop.actors.protocols.kraken.faults import outcome_of
from allstop.actors.protocols.wire import rfc3339_ns
from allstop.actors.reports import OrderReport, WriteOutcome

TEXT_MAX: Final = 2000  # characters of a frame that nobody could read, kept for the log

Level = tuple[str, str]  # price and quantity, as the digits on the wire: the checksum is over those


class Heartbeat(msgspec.Struct, frozen=True):
    """About one a second in the absence of other traffic, once something is subscribed."""


class Pong(msgspec.Struct, frozen=True):
    req_id: int | None = None


class SystemStatus(msgspec.Struct, frozen=True):
    """online, maintenance, cancel_only or post_only. Comes at connect and when it changes."""

    state: str
    connection_id: int = 0
    version: str = ""


class MethodReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request. A cancel_order of several orders, or a subscribe of several symbols, is answered once
    for each, all with the same req_id."""

    method: str
    req_id: int | None
    ok: bool
    fault: Fault | None = None
    result: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    in_ns: int = (
        0  # by the venue's clock: when the request came in, and when this went out; 0 where it does not say
    )
    out_ns: int = 0

    @property
    def channel(self) -> str | None:
        return _text(self.result.get("channel"))

    @property
    def symbol(self) -> str | None:
        return _text(self.result.get("symbol"))

    @property
    def order_id(self) -> str | None:
        return _text(self.result.get("order_id"))

    @property
    def cl_ord_id(self) -> str | None:
        return _text(self.result.get("cl_ord_id"))

    @property
    def count(self) -> int | None:
        """Orders cancelled, of batch_cancel and cancel_all."""
        count = self.result.get("count")
        return count if isinstance(count, int) else None

    @property
    def max_rate_count(self) -> int | None:
        """In the ack of executions: the threshold of the trading counter, which tells the tier."""
        count = self.result.get("maxratecount")
        return count if isinstance(count, int) else None

    @property
    def warnings(self) -> tuple[str, ...]:
        found = self.result.get("warnings")
        return tuple(str(text) for text in found) if isinstance(found, list) else ()

    @property
    def outcome(self) -> WriteOutcome:
        """What the write that this answers came to."""
        faults = () if self.fault is None else (self.fault,)
        return outcome_of(faults, (self.order_id,) if self.order_id else (), result=self.ok)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


class BookSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole book to the depth subscribed. v1 snapshots have no checksum."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int | None
    timestamp: str | None = None

    @property
    def ts_ns(self) -> int:
        """Read when asked for, as a book of deep pairs has no use for it. Raises DecodeError for a bad time."""
        return 0 if self.timestamp is None else rfc3339_ns(self.timestamp)


class BookUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Changed levels, in order: a quantity of zero removes one. The checksum is of the book after it."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int | None
    timestamp: str | None = None

    @property
    def ts_ns(self) -> int:
        """Read when asked for, as a book of deep pairs has no use for it. Raises DecodeError for a bad time."""
        return 0 if self.timestamp is None else rfc3339_ns(self.timestamp)


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    last: Decimal
    ts_ns: int = 0
    snapshot: bool = False


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One public trade; `side` is the taker's."""

    symbol: str
    side: Side
    price: Decimal
    qty: Decimal
    ts_ns: int
    trade_id: int | None = None
    order_type: str = ""
    snapshot: bool = False


class Executions(msgspec.Struct, frozen=True, kw_only=True):
    """Reports of our orders. `sequence` rises by one with each frame of the subscription."""

    kind: str  # snapshot | update
    sequence: int | None
    reports: tuple[OrderReport, ...]

    @property
    def snapshot(self) -> bool:
        return self.kind == "snapshot"


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """What is held, by asset. In an update only what changed."""

    kind: str  # snapshot | update
    sequence: int | None
    balances: dict[str, Decimal]

    @property
    def snapshot(self) -> bool:
        return self.kind == "snapshot"


class InstrumentUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs, and what each lets be done (online, cancel_only, post_only, limit_only, reduce_only, maintenance...)."""

    kind: str  # snapshot | update
    instruments: tuple[Instrument, ...]
    statuses: dict[str, str]


class UnknownFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed frame that this codec has no event for: a channel that nobody here subscribes to."""

    text: str
    channel: str | None = None
    sequence: int | None = None  # of v1's private channels, which count their messages


class MalformedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that is not what Kraken documents. Nothing of it was used: what it said is lost, and the channel it
    came on must be proven again (checksum, sequence, or a new subscription)."""

    text: str
    reason: str
    channel: str | None = None


Event = (
    Heartbeat
    | Pong
    | SystemStatus
    | MethodReply
    | BookSnapshot
    | BookUpdate
    | Ticker
    | Trade
    | Executions
    | Balances
    | InstrumentUpdate
    | UnknownFrame
    | MalformedFrame
)
