"""Kraken's WebSocket v1, as far as market data goes: its frames into the events of v2, so that one `Book` serves both.

A data frame is a list: channel id, one or two objects, channel name, pair. A book update may carry asks and bids in
two objects, the checksum in the last. Levels are text at the pair's full precision, and an "r" at their end says that
the level had left the view and came back. Symbols come out in our names: XBT/USD is BTC/USD.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from allstop.actors.errors import Fault
from allstop.actors.intents import Side
from allstop.actors.protocols.kraken import names
from allstop.actors.protocols.kraken.book import DEPTHS, Book
from allstop.actors.protocols.kraken.events import (
    TEXT_MAX,
    BookSnapshot,
    BookUpdate,
    Event,
    Heartbeat,
    Level,
    MalformedFrame,
    MethodReply,
    Pong,
    SystemStatus,
    Trade,
    UnknownFrame,
)
from allstop.actors.protocols.kraken.faults import classify
from allstop.actors.protocols.wire import UNREADABLE, DecodeError, number, plain, seconds_to_ns

__all__ = ["Book", "book_for", "decode", "ping", "subscribe", "unsubscribe"]


class _Event(msgspec.Struct):
    event: str | None = None
    status: str | None = None
    errorMessage: str | None = None
    Error: str | None = None
    reqid: int | None = None
    connectionID: int = 0
    version: str = ""
    pair: Any = None  # a list in requests, which samples hold as well
    channelName: str | None = None
    subscription: dict[str, Any] = {}
    txid: Any = None
    count: int | None = None


class _Counted(msgspec.Struct):
    sequence: int | None = None


_counted: Final = msgspec.json.Decoder(_Counted)
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
_event: Final = msgspec.json.Decoder(_Event)
_name: Final = msgspec.json.Decoder(str)
_sides: Final = msgspec.json.Decoder(dict[str, list[list[str]] | str])
_trades: Final = msgspec.json.Decoder(list[list[str]])

_READS: Final = frozenset({"subscribe", "unsubscribe", "ping"})


def book_for(snapshot: BookSnapshot, depth: int) -> Book:
    """An empty book with the precision that the snapshot's texts show: v1 texts have all their digits."""
    levels = snapshot.asks + snapshot.bids
    return Book(
        depth,
        max((decimals(price) for price, _ in levels), default=0),
        max((decimals(qty) for _, qty in levels), default=0),
    )


def decimals(text: str) -> int:
    """How many digits stand after the point."""
    return len(text.partition(".")[2])


def decode(text: str) -> tuple[Event, ...]:
    """The events of one frame: one, or one for each trade. Never raises: what cannot be read is a MalformedFrame."""
    try:
        return _data_events(text) if text.lstrip()[:1] == "[" else (_control_event(text),)
    except (*UNREADABLE, DecodeError) as error:
        return (MalformedFrame(text=text[:TEXT_MAX], reason=str(error)[:TEXT_MAX]),)


def _data_events(text: str) -> tuple[Event, ...]:
    parts = _list.decode(text)
    if len(parts) < 4:
        return (_private_event(text, parts),)
    channel = _name.decode(parts[-2])
    reader = _READERS.get(channel.partition("-")[0])
    if reader is None:
        return (UnknownFrame(text=text[:TEXT_MAX], channel=channel),)
    return reader(parts[1:-2], names.pair(_name.decode(parts[-1])))


def _private_event(text: str, parts: list[msgspec.Raw]) -> Event:
    """openOrders and ownTrades: [data, channel, {sequence}]. Their content is read on v2, which has them as
    executions; here only the count of the messages."""
    if len(parts) not in (2, 3):  # without the count in the oldest documentation
        raise DecodeError("a list of so many parts", str(len(parts)))
    return UnknownFrame(
        text=text[:TEXT_MAX],
        channel=_name.decode(parts[1]),
        sequence=_counted.decode(parts[2]).sequence if len(parts) == 3 else None,
    )


def _book_events(parts: list[msgspec.Raw], symbol: str) -> tuple[Event, ...]:
    merged: dict[str, list[list[str]] | str] = {}
    for part in parts:
        merged |= _sides.decode(part)
    if not merged.keys() <= {"as", "bs", "a", "b", "c"}:
        raise DecodeError("a book with other sides", ",".join(merged))
    if "as" in merged or "bs" in merged:
        return (
            BookSnapshot(
                symbol=symbol, asks=_levels(merged.get("as")), bids=_levels(merged.get("bs")), checksum=None
            ),
        )
    checksum = merged.get("c")
    return (
        BookUpdate(
            symbol=symbol,
            asks=_levels(merged.get("a")),
            bids=_levels(merged.get("b")),
            checksum=_checksum(checksum) if isinstance(checksum, str) else None,
        ),
    )


def _checksum(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise DecodeError("not a checksum", text)
    return int(text)


def _levels(rows: list[list[str]] | str | None) -> list[Level]:
    if rows is None:
        return []
    if isinstance(rows, str):
        raise DecodeError("a side that is no list", rows)
    levels: list[Level] = []
    for row in rows:
        if len(row) < 3:
            raise DecodeError("not a level", str(row))
        levels.append((_digits(row[0]), _digits(row[1])))
    return levels


def _digits(text: str) -> str:
    if text.replace(".", "", 1).isdigit() and text.isascii() and text[0] != "." != text[-1]:
        return text
    value = number(text)
    if value < 0:
        raise DecodeError("a level below zero", text)
    return plain(value)


def _trade_events(parts: list[msgspec.Raw], symbol: str) -> tuple[Event, ...]:
    return tuple(_trade(row, symbol) for part in parts for row in _trades.decode(part))


def _trade(row: list[str], symbol: str) -> Trade:
    if len(row) < 5 or row[3] not in ("b", "s"):
        raise DecodeError("not a trade", str(row))
    return Trade(
        symbol=symbol,
        side=Side.BUY if row[3] == "b" else Side.SELL,
        price=number(row[0]),
        qty=number(row[1]),
        ts_ns=seconds_to_ns(row[2]),
        order_type={"m": "market", "l": "limit"}.get(row[4], row[4]),
    )


_READERS: Final[dict[str, Callable[[list[msgspec.Raw], str], tuple[Event, ...]]]] = {
    "book": _book_events,
    "trade": _trade_events,
}


def _control_event(text: str) -> Event:
    event = _event.decode(text)
    if event.Error is not None:  # {"Error": "Exceeded msg rate"}: the one error without an event
        return _reply(event, "", event.Error)
    match event.event:
        case "heartbeat":
            return Heartbeat()
        case "pong":
            return Pong(event.reqid)
        case "systemStatus" if event.status is not None:
            return SystemStatus(event.status, event.connectionID, event.version)
        case "subscriptionStatus":
            return _reply(event, "unsubscribe" if event.status == "unsubscribed" else "subscribe")
        case "error":
            return _reply(event, "")
        case None:
            raise DecodeError("a frame without an event")
        case str(name) if name.endswith("Status"):
            return _reply(event, name.removesuffix("Status"))
        case _:
            return UnknownFrame(text=text[:TEXT_MAX], channel=event.event)


def _reply(event: _Event, method: str, error: str | None = None) -> MethodReply:
    text = error or event.errorMessage or ("" if event.status in (None, "error") else None)
    fault: Fault | None = None if text is None else classify(text, write=method not in _READS)
    result: dict[str, Any] = {
        "channel": event.subscription.get("name"),
        "symbol": names.pair(event.pair) if isinstance(event.pair, str) else None,
        "depth": event.subscription.get("depth"),
        "maxratecount": event.subscription.get("maxratecount"),
        "order_id": event.txid,
        "count": event.count,
    }
    return MethodReply(
        method=method,
        req_id=event.reqid,
        ok=fault is None,
        fault=fault,
        result={name: value for name, value in result.items() if value is not None},
    )


def ping(req_id: int) -> str:
    return msgspec.json.encode({"event": "ping", "reqid": req_id}).decode()


def subscribe(pairs: list[str], *, depth: int = 10, req_id: int) -> str:
    """A subscription to the books of these pairs, in our names."""
    return _subscription("subscribe", pairs, depth, req_id)


def unsubscribe(pairs: list[str], *, depth: int = 10, req_id: int) -> str:
    return _subscription("unsubscribe", pairs, depth, req_id)


def _subscription(event: str, pairs: list[str], depth: int, req_id: int) -> str:
    if depth not in DEPTHS:
        raise DecodeError(f"Kraken has books of {DEPTHS}", str(depth))
    frame = {
        "event": event,
        "reqid": req_id,
        "pair": [names.v1_name(pair) for pair in pairs],
        "subscription": {"name": "book", "depth": depth},
    }
    return msgspec.json.encode(frame).decode()
