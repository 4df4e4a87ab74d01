"""Reads a captured run of Kraken's WebSocket as a tape: version 2 or 1, book, ticker or trades, one pair or many.

A run is text, one frame a line in the order in which they came: bare, or with the time at which it was received, as
`{"t": unix seconds, "d": "in", "m": frame}`. Of what a run has of a pair the best is played: its book; without one its
best bid and ask, from the ticker; without that ten levels around each trade. Trades are played as they were told.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from allstop.actors.simulated.kraken.pairs import recorded_pair
from allstop.actors.simulated.kraken.tape import (
    DEPTHS,
    DRIFT_MAX,
    Level,
    TapeError,
    TapeFrame,
    Traded,
    around,
)
from allstop.actors.simulated.kraken.wire import decimal_of, decode, wall_of

WAIT_MAX_S = 2.0  # a pause on the tape longer than this is cut: nobody watches a silent demo
UNTIMED_S = 0.1  # between frames of a run that has no times
PRICE_MAX = Decimal("1e15")
_NAMES = {"XBT": "BTC", "XDG": "DOGE"}


class _Row(NamedTuple):
    """What one frame says of one pair. `levels` are bids and asks; a ticker's are the best of each."""

    kind: str  # book | ticker | trade
    symbol: str
    snapshot: bool = False
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    checksum: int | None = None
    depth: int = 0
    trades: tuple[Traded, ...] = ()
    ns: int | None = None
    raw: str | None = None


def read_tape(lines: Iterable[str]) -> tuple[TapeFrame, ...]:
    """The tape of a run. Raises TapeError, naming the line, for what is none, and when there is nothing to play in it."""
    rows = list(_rows(lines))
    best = {
        symbol: _best({row.kind for row in rows if row.symbol == symbol})
        for symbol in dict.fromkeys(r.symbol for r in rows)
    }
    traded = {row.symbol for row in rows if row.trades}
    timed = any(row.ns is not None for row in rows)
    frames: list[TapeFrame] = []
    makers: dict[str, _Maker] = {}
    last_ns: int | None = None
    for at, row in enumerate(rows):
        if row.kind != best[row.symbol] and not row.trades:
            continue
        maker = makers.setdefault(
            row.symbol, _MAKERS[best[row.symbol]](row.symbol, rows[at:], row.symbol in traded)
        )
        frame = maker.frame(row)
        if frame is None:
            continue
        wait_s = 0.0 if timed or not frames else UNTIMED_S
        if row.ns is not None and last_ns is not None:
            wait_s = min(WAIT_MAX_S, max(0.0, (row.ns - last_ns) / 1e9))
        last_ns = row.ns if row.ns is not None else last_ns
        frames.append(msgspec.structs.replace(frame, wait_s=wait_s))
    if not frames:
        raise TapeError("no frames of a book, a ticker or trades in it")
    return tuple(frames)


def _best(kinds: set[str]) -> str:
    return next(kind for kind in ("book", "ticker", "trade") if kind in kinds)


# -- lines -----------------------------------------------------------------------------------------------------------


def _rows(lines: Iterable[str]) -> Iterator[_Row]:
    begun: set[str] = set()
    for at, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            rows = list(_read(text))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError) as error:
            raise TapeError(f"line {at}: no frame of a book, a ticker or trades ({error})") from error
        for row in rows:
            if row.kind == "book" and row.symbol not in begun:
                if not row.snapshot:
                    raise TapeError(f"line {at}: the book of {row.symbol} begins without a snapshot")
                begun.add(row.symbol)
            yield row


def _read(text: str) -> Iterator[_Row]:
    message, ns, raw = decode(text), None, text
    if isinstance(message, dict) and "m" in message:
        if "d" not in message:
            raise ValueError("samples are no run")
        if message["d"] != "in":
            return
        ns, message, raw = int(_number(message["t"]) * 1_000_000_000), message["m"], None
    rows: list[_Row] = []
    if isinstance(message, list):
        rows = list(_version_1(message))
    elif message.get("channel") in _VERSION_2:
        kind = str(message["channel"])
        rows = [_VERSION_2[kind](data, message.get("type") == "snapshot") for data in message["data"]]
    for row in rows:
        whole = raw if row.kind == "book" and len(rows) == 1 and isinstance(message, dict) else None
        yield row._replace(ns=row.ns if ns is None else ns, raw=whole)


def _number(value: object) -> Decimal:
    read = decimal_of(value)
    if read is None or not 0 <= read < PRICE_MAX or (read and read.adjusted() < -18):
        raise ValueError(f"no amount: {str(value)[:40]!r}")
    return read


def _level(price: object, qty: object) -> Level:
    read = _number(price)
    if not read:
        raise ValueError("a level at a price of nothing")
    return format(read, "f"), format(_number(qty), "f")


def _least_depth(*sides: Sequence[Any]) -> int:
    levels = max(len(side) for side in sides)
    return next((depth for depth in DEPTHS if depth >= levels), DEPTHS[-1])


# -- version 2 -------------------------------------------------------------------------------------------------------


def _time(row: dict[str, Any]) -> int | None:
    return wall_of(row["timestamp"]) if isinstance(row.get("timestamp"), str) else None


def _symbol(name: object) -> str:
    if not isinstance(name, str) or not 3 <= len(name) <= 24 or name.count("/") != 1:
        raise ValueError(f"no pair: {str(name)[:40]!r}")
    return name


def _book_2(row: dict[str, Any], snapshot: bool) -> _Row:
    bids, asks = (
        tuple(_level(level["price"], level["qty"]) for level in row[side]) for side in ("bids", "asks")
    )
    checksum = row.get("checksum")
    if checksum is not None and (not isinstance(checksum, int) or not 0 <= checksum < 2**32):
        raise ValueError("no checksum")
    return _Row(
        "book",
        _symbol(row["symbol"]),
        snapshot,
        bids,
        asks,
        checksum,
        _least_depth(bids, asks),
        ns=_time(row),
    )


def _ticker_2(row: dict[str, Any], _: bool) -> _Row:
    return _Row(
        "ticker", _symbol(row["symbol"]), bids=(_level(row["bid"], row["bid_qty"]),),
        asks=(_level(row["ask"], row["ask_qty"]),), ns=_time(row),
    )  # fmt: skip


def _trade_2(row: dict[str, Any], snapshot: bool) -> _Row:
    """The trades of a snapshot were before the run began."""
    trade = _traded(row["side"], row["price"], row["qty"])
    return _Row("trade", _symbol(row["symbol"]), trades=() if snapshot else (trade,), ns=_time(row))


def _traded(side: object, price: object, qty: object) -> Traded:
    if side not in ("buy", "sell"):
        raise ValueError(f"no side: {str(side)[:40]!r}")
    price_text, qty_text = _level(price, qty)
    return Traded(side=str(side), price=Decimal(price_text), qty=Decimal(qty_text))


_VERSION_2: dict[str, Callable[[dict[str, Any], bool], _Row]] = {
    "book": _book_2,
    "ticker": _ticker_2,
    "trade": _trade_2,
}


# -- version 1 -------------------------------------------------------------------------------------------------------


def _version_1(message: list[Any]) -> Iterator[_Row]:
    """[channel id, one or two objects, channel name, pair]. Private channels have no id, and are not played."""
    if len(message) < 4 or not isinstance(message[-2], str):
        return
    channel, _, depth = message[-2].partition("-")
    base, _, quote = _symbol(message[-1]).partition("/")
    symbol = f"{_NAMES.get(base, base)}/{_NAMES.get(quote, quote)}"
    match channel:
        case "book":
            yield _book_1(message[1:-2], symbol, int(depth or 10))
        case "ticker":
            row = message[1]
            yield _Row(
                "ticker",
                symbol,
                bids=(_level(row["b"][0], row["b"][2]),),
                asks=(_level(row["a"][0], row["a"][2]),),
            )
        case "trade":
            for row in message[1]:
                side = {"b": "buy", "s": "sell"}[row[3]]
                yield _Row("trade", symbol, trades=(_traded(side, row[0], row[1]),), ns=_ns(row[2]))
        case _:
            return


def _ns(seconds: object) -> int:
    return int(_number(seconds) * 1_000_000_000)


def _book_1(parts: list[Any], symbol: str, depth: int) -> _Row:
    if depth not in DEPTHS:
        raise ValueError(f"no depth: {depth}")
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    snapshot = "as" in merged or "bs" in merged
    rows = {side: merged.get(f"{side}s" if snapshot else side, []) for side in ("a", "b")}
    asks, bids = (tuple(_level(row[0], row[1]) for row in rows[side]) for side in ("a", "b"))
    times = [_ns(row[2]) for side in rows.values() for row in side]
    checksum = int(merged["c"]) if isinstance(merged.get("c"), str) else None
    if checksum is not None and not 0 <= checksum < 2**32:
        raise ValueError("no checksum")
    return _Row("book", symbol, snapshot, bids, asks, checksum, depth, ns=max(times, default=None))


# -- what is played --------------------------------------------------------------------------------------------------


class _Maker:
    """Makes the frames of one pair. `traded`: the run tells its trades, so that none is read off its book."""

    def __init__(self, symbol: str, _: Sequence[_Row], traded: bool) -> None:
        self.symbol = symbol
        self.traded = traded
        self.depth = 10
        self.begun = False

    def frame(self, row: _Row) -> TapeFrame | None:
        """What the row makes of the market; None for what came before its first snapshot."""
        if row.kind != "book":
            return self._made(row) if self.begun else None
        self.begun = True
        self.depth = max(self.depth, row.depth)
        return self._made(row)

    def _made(self, row: _Row, checksum: int | None = None) -> TapeFrame:
        return TapeFrame(
            snapshot=row.snapshot, bids=row.bids, asks=row.asks, raw=row.raw, symbol=self.symbol,
            checksum=row.checksum if checksum is None else checksum, depth=self.depth,
            trades=row.trades if self.traded else None,
        )  # fmt: skip


class _Redrawn(_Maker):
    """A pair without a book: what it has is drawn as one, and drawn anew with each frame."""

    def __init__(self, symbol: str, rows: Sequence[_Row], traded: bool) -> None:
        super().__init__(symbol, rows, traded)
        self._rows = rows
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}

    def sides(self, row: _Row) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        return (row.bids, row.asks) if row.kind == "ticker" else ((), ())

    def frame(self, row: _Row) -> TapeFrame | None:
        bids, asks = self.sides(row)
        if not bids and not self.begun:
            return None
        snapshot, self.begun = not self.begun, True
        if bids:
            row = row._replace(bids=_changes(self._bids, bids), asks=_changes(self._asks, asks))
            self._bids, self._asks = dict(bids), dict(asks)
        return self._made(row._replace(snapshot=snapshot, raw=None))


class _Around(_Redrawn):
    """A pair of which only trades are known: ten levels on each side, so that a buyer bought at the best ask and a
    seller sold at the best bid."""

    def sides(self, row: _Row) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        if not row.trades:
            return (), ()
        pair = self._pair
        trade = row.trades[-1]
        middle = trade.price - pair.tick if trade.side == "buy" else trade.price
        return around(middle, pair) if middle > pair.tick * 10 else ((), ())

    def __init__(self, symbol: str, rows: Sequence[_Row], traded: bool) -> None:
        super().__init__(symbol, rows, traded)
        trades = [trade for row in rows if row.symbol == symbol for trade in row.trades]
        places = [
            -int(min(0, int(v.as_tuple().exponent))) for trade in trades for v in (trade.price, trade.qty)
        ]
        self._pair = recorded_pair(
            symbol, max(places[::2], default=1), max(places[1::2], default=8),
            trades[0].price if trades else Decimal(1), DRIFT_MAX,
        )  # fmt: skip


def _changes(before: dict[str, str], now: Sequence[Level]) -> tuple[Level, ...]:
    """The levels that make `now` of `before`."""
    new = dict(now)
    gone = tuple((price, "0") for price in before if price not in new)
    return gone + tuple(level for level in now if before.get(level[0]) != level[1])


_MAKERS: dict[str, type[_Maker]] = {"book": _Maker, "ticker": _Redrawn, "trade": _Around}
