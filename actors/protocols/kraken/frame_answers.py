"""Frames of WebSocket v2 read into events. The book is the hot path: one typed pass, and no number is made of a
price, because the checksum wants the digits."""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from allstop.actors.instruments import Instrument
from allstop.actors.protocols.kraken import frame_shapes as shapes
from allstop.actors.protocols.kraken import names
from allstop.actors.protocols.kraken.book import DIGITS_KEPT
from allstop.actors.protocols.kraken.events import (
    TEXT_MAX,
    Balances,
    BookSnapshot,
    BookUpdate,
    Event,
    Executions,
    Heartbeat,
    InstrumentUpdate,
    Level,
    MalformedFrame,
    MethodReply,
    Pong,
    SystemStatus,
    Ticker,
    Trade,
    UnknownFrame,
)
from allstop.actors.protocols.kraken.faults import classify
from allstop.actors.protocols.kraken.terms import order_type, stream_status
from allstop.actors.protocols.wire import DIGITS_MAX, UNREADABLE, DecodeError, number, plain, rfc3339_ns
from allstop.actors.reports import Fill, OrderReport

READS: Final = frozenset({"ping", "pong", "subscribe", "unsubscribe"})
_BOOK: Final = '{"channel":"book"'


_head: Final = msgspec.json.Decoder(shapes.Head)
_book: Final = msgspec.json.Decoder(shapes.BookFrame)
_status: Final = msgspec.json.Decoder(shapes.StatusFrame)
_ticker: Final = msgspec.json.Decoder(shapes.TickerFrame)
_trade: Final = msgspec.json.Decoder(shapes.TradeFrame)
_executions: Final = msgspec.json.Decoder(shapes.ExecutionsFrame)
_balances: Final = msgspec.json.Decoder(shapes.BalancesFrame)
_instrument: Final = msgspec.json.Decoder(shapes.InstrumentFrame)
_reply: Final = msgspec.json.Decoder(shapes.Reply, float_hook=Decimal)


def decode(text: str) -> tuple[Event, ...]:
    """The events of one frame: one, or one for each item of market data, of which there may be none. Never raises:
    what cannot be read is a MalformedFrame, and what is not known an UnknownFrame."""
    channel = None
    try:
        if text.startswith(_BOOK):
            channel = "book"
            return _book_events(text)
        head = _head.decode(text)
        channel = head.channel
        if head.method is not None:
            return (_method_event(text),)
        if channel is None:
            return (MalformedFrame(text=text[:TEXT_MAX], reason="neither a channel nor a method"),)
        reader = _READERS.get(channel)
        return (UnknownFrame(text=text[:TEXT_MAX], channel=channel),) if reader is None else reader(text)
    except (*UNREADABLE, DecodeError) as error:
        return (MalformedFrame(text=text[:TEXT_MAX], reason=str(error)[:TEXT_MAX], channel=channel),)


@lru_cache(maxsize=DIGITS_KEPT)
def _digits(text: str) -> str:
    """The digits of a number, or of a text that is one, on the wire. Raises DecodeError."""
    # JSON has no number that begins or ends with the point.
    if len(text) <= DIGITS_MAX and text.replace(".", "", 1).isdigit():
        return text
    value = number(text[1:-1] if text[0] == '"' else text)
    if value < 0:
        raise DecodeError("a level below zero", text)
    return plain(value)


def _levels(levels: list[shapes.Level]) -> list[Level]:
    return [(_digits(str(level.price, "ascii")), _digits(str(level.qty, "ascii"))) for level in levels]


def _book_events(text: str) -> tuple[Event, ...]:
    frame = _book.decode(text)
    match frame.type:
        case "update":
            made: type[BookUpdate | BookSnapshot] = BookUpdate
        case "snapshot":
            made = BookSnapshot
        case _:
            raise DecodeError("a book that is neither snapshot nor update", frame.type)
    return tuple(
        made(
            symbol=data.symbol,
            bids=_levels(data.bids),
            asks=_levels(data.asks),
            checksum=data.checksum,
            timestamp=data.timestamp,
        )
        for data in frame.data
    )


def _heartbeat_events(_: str) -> tuple[Event, ...]:
    return (Heartbeat(),)


def _status_events(text: str) -> tuple[Event, ...]:
    return tuple(
        SystemStatus(data.system, data.connection_id, data.version) for data in _status.decode(text).data
    )


def _time(timestamp: str | None) -> int:
    return 0 if timestamp is None else rfc3339_ns(timestamp)


def _ticker_events(text: str) -> tuple[Event, ...]:
    frame = _ticker.decode(text)
    return tuple(
        Ticker(
            symbol=data.symbol,
            bid=number(data.bid),
            bid_qty=number(data.bid_qty),
            ask=number(data.ask),
            ask_qty=number(data.ask_qty),
            last=number(data.last),
            ts_ns=_time(data.timestamp),
            snapshot=frame.type == "snapshot",
        )
        for data in frame.data
    )


def _trade_events(text: str) -> tuple[Event, ...]:
    frame = _trade.decode(text)
    return tuple(
        Trade(
            symbol=data.symbol,
            side=data.side,
            price=number(data.price),
            qty=number(data.qty),
            ts_ns=rfc3339_ns(data.timestamp),
            trade_id=data.trade_id,
            order_type=data.ord_type,
            snapshot=frame.type == "snapshot",
        )
        for data in frame.data
    )


def _executions_events(text: str) -> tuple[Event, ...]:
    frame = _executions.decode(text)
    return (
        Executions(
            kind=frame.type, sequence=frame.sequence, reports=tuple(_report(data) for data in frame.data)
        ),
    )


def _maybe(value: Decimal | None) -> Decimal | None:
    return None if value is None else number(value)


def _positive(value: Decimal | None) -> Decimal | None:
    """A price, or None: Kraken says 0 for the price that an order type does not have."""
    checked = _maybe(value)
    return checked if checked is not None and checked > 0 else None


def _report(data: shapes.Execution) -> OrderReport:
    triggers = data.triggers or shapes.Triggers()
    relative = triggers.price_type != "static"
    trigger = _positive(triggers.actual_price) or (None if relative else _positive(triggers.price))
    return OrderReport(
        order_id=data.order_id,
        status=stream_status(data.exec_type, data.order_status),
        pair=data.symbol,
        side=data.side,
        order_type=order_type(data.order_type),
        order_qty=_maybe(data.order_qty),
        cum_qty=_maybe(data.cum_qty),
        avg_price=_positive(data.avg_price),
        limit_price=_positive(data.limit_price),
        trigger_price=trigger or _positive(data.stop_price),
        cl_ord_id=data.cl_ord_id,
        parent_id=data.ord_ref_id,
        reduce_only=data.reduce_only,
        triggered=None if triggers.status is None else triggers.status == "triggered",
        fill=_fill(data),
        reason=data.reason or data.cancel_reason,
        ts_ns=_time(data.timestamp),
    )


def _fill(data: shapes.Execution) -> Fill | None:
    if data.exec_type != "trade":
        return None
    if (
        data.exec_id is None
        or data.symbol is None
        or data.side is None
        or data.last_qty is None
        or data.last_price is None
    ):
        raise DecodeError("a trade without its id, pair, side, size or price", data.order_id)
    return Fill(
        exec_id=data.exec_id,
        order_id=data.order_id,
        pair=data.symbol,
        side=data.side,
        qty=number(data.last_qty),
        price=number(data.last_price),
        fee=sum((number(fee.qty) for fee in data.fees), Decimal(0)),
        ts_ns=_time(data.timestamp),
        cl_ord_id=data.cl_ord_id,
    )


def _balances_events(text: str) -> tuple[Event, ...]:
    frame = _balances.decode(text)
    held = {data.asset: number(data.balance) for data in frame.data}
    return (Balances(kind=frame.type, sequence=frame.sequence, balances=held),)


def _instrument_events(text: str) -> tuple[Event, ...]:
    frame = _instrument.decode(text)
    pairs = frame.data.pairs
    return (
        InstrumentUpdate(
            kind=frame.type,
            instruments=tuple(_pair(pair) for pair in pairs),
            statuses={pair.symbol: pair.status for pair in pairs},
        ),
    )


def _pair(pair: shapes.InstrumentPair) -> Instrument:
    tick, lot = number(pair.price_increment), number(pair.qty_increment)
    if tick <= 0 or lot <= 0:
        raise DecodeError("a pair with a step of nothing", pair.symbol)
    return Instrument(
        pair=pair.symbol,
        venue_name=names.rest_name(pair.symbol),
        tick_size=tick,
        lot_size=lot,
        min_qty=number(pair.qty_min),
        min_cost=number(pair.cost_min),
    )


def _method_event(text: str) -> Event:
    reply = _reply.decode(text)
    if reply.method == "pong":
        return Pong(reply.req_id)
    result = reply.result if isinstance(reply.result, dict) else {}
    if isinstance(reply.result, list):
        result = {"orders": reply.result}
    if reply.orders_cancelled is not None:
        result = {"count": reply.orders_cancelled} | result
    ok = reply.success is True and reply.error is None
    return MethodReply(
        method=reply.method,
        req_id=reply.req_id,
        ok=ok,
        fault=None if ok else classify(reply.error or "", write=reply.method not in READS),
        result=result,
        in_ns=_told_ns(reply.time_in),
        out_ns=_told_ns(reply.time_out),
    )


def _told_ns(text: str | None) -> int:
    """A reply's own time. What cannot be read of it takes nothing from what the reply answers."""
    try:
        return 0 if text is None else rfc3339_ns(text)
    except DecodeError:
        return 0


_READERS: Final[dict[str, Callable[[str], tuple[Event, ...]]]] = {
    "book": _book_events,
    "heartbeat": _heartbeat_events,
    "status": _status_events,
    "ticker": _ticker_events,
    "trade": _trade_events,
    "executions": _executions_events,
    "balances": _balances_events,
    "instrument": _instrument_events,
}
