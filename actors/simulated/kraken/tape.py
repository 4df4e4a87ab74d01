"""Recorded market data as a tape: what moved, in order, with the waits between, and its copy for other pairs.

A tape may hold several pairs, as a recorded connection does. `Reel` is how a venue plays one: step by step, each with
a frame for every pair that it moves. The pairs of the recording play it digit for digit; the others play the busiest
pair's, moved to their own price.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_UP, Decimal
from functools import lru_cache

import msgspec

from allstop.actors.simulated.kraken.pairs import PAIRS, Pair, recorded_pair

DEPTHS = (10, 25, 100, 500, 1000)
SYNTHETIC_LEVELS = 10
DRIFT_MAX = Decimal("0.05")  # a recording further from the price that a pair is listed with begins at its own

Level = tuple[str, str]  # price and quantity as the digits on the wire


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded trade. `side` is the taker's."""

    side: str
    price: Decimal
    qty: Decimal


class TapeFrame(msgspec.Struct, frozen=True, kw_only=True):
    """What one pair's market does at once: a snapshot or an update of its book, and trades.

    `raw` is the recorded text where the recording speaks as we do, `checksum` the one that came with it. `trades` is
    None where the recording has no trades at all, so that they are read off the book.
    """

    snapshot: bool
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    wait_s: float = 0.0  # since the frame before
    raw: str | None = None
    symbol: str = "BTC/USD"
    checksum: int | None = None
    depth: int = 10
    trades: tuple[Traded, ...] | None = None


class TapeError(ValueError):
    """The file is no tape: it says which line and why."""


class Reel(msgspec.Struct, frozen=True, eq=False):
    """A tape as a venue plays it. `tapes` has for each pair of `pairs` as many frames as there are `waits`; None where
    nothing moves it. The first step is a snapshot of every pair."""

    pairs: dict[str, Pair]
    waits: tuple[float, ...]
    tapes: dict[str, tuple[TapeFrame | None, ...]]


@lru_cache(maxsize=4)  # a simulation plays the same one or two in thousands of runs
def reel_of(frames: tuple[TapeFrame, ...], moving: tuple[str, ...] = ()) -> Reel:
    """The reel of a tape; of no tape, one on which every pair stands still. `moving`: the others stand still, too."""
    if not frames:
        return Reel(dict(PAIRS), (0.0,), {symbol: still_tape(pair) for symbol, pair in PAIRS.items()})
    by_symbol: dict[str, list[TapeFrame]] = {}
    for frame in frames:
        by_symbol.setdefault(frame.symbol, []).append(frame)
    recorded = {symbol: _pair_of(symbol, of) for symbol, of in by_symbol.items()}
    waits, tapes = _steps(frames, by_symbol)
    busiest = Counter({symbol: len(of) for symbol, of in by_symbol.items()}).most_common(1)[0][0]
    origin = msgspec.structs.replace(recorded[busiest], price_decimals=_used_decimals(by_symbol[busiest]))
    for symbol, pair in PAIRS.items():
        if symbol not in recorded:
            tape = tapes[busiest] if not moving or symbol in moving else tapes[busiest][:1]
            tapes[symbol] = moved_to(pair, tape, origin)
    pairs = {**PAIRS, **recorded}
    for symbol in pairs:
        if moving and symbol not in moving:
            tapes[symbol] = (tapes[symbol][0], *(None for _ in waits[1:]))
    return Reel(pairs, waits, {symbol: tapes[symbol] for symbol in pairs})


def _steps(
    frames: Sequence[TapeFrame], by_symbol: dict[str, list[TapeFrame]]
) -> tuple[tuple[float, ...], dict[str, tuple[TapeFrame | None, ...]]]:
    """The first snapshot of every pair is the first step, whenever it came; each other frame is a step of its own."""
    first = {symbol: of[0] for symbol, of in by_symbol.items()}
    opening = {id(frame) for frame in first.values()}
    waits = [0.0]
    tapes: dict[str, list[TapeFrame | None]] = {symbol: [frame] for symbol, frame in first.items()}
    owed_s = 0.0
    for frame in frames:
        owed_s += frame.wait_s
        if id(frame) in opening:
            continue
        waits.append(owed_s)
        owed_s = 0.0
        for symbol, tape in tapes.items():
            tape.append(frame if symbol == frame.symbol else None)
    return tuple(waits), {symbol: tuple(tape) for symbol, tape in tapes.items()}


def _pair_of(symbol: str, frames: Sequence[TapeFrame]) -> Pair:
    """The pair with the precision of its recording, at the price at which that begins."""
    levels = [level for frame in frames for level in (*frame.bids, *frame.asks)]
    price_decimals = max((_decimals(price) for price, _ in levels), default=0)
    qty_decimals = max((_decimals(qty) for _, qty in levels), default=0)
    first = [Decimal(price) for price, _ in (*frames[0].asks, *frames[0].bids)]
    return recorded_pair(symbol, price_decimals, qty_decimals, first[0] if first else Decimal(1), DRIFT_MAX)


def _used_decimals(frames: Sequence[TapeFrame]) -> int:
    """The decimals in which prices really move: version 1 writes more of them than the pair has."""
    prices = {price for frame in frames for price, _ in (*frame.bids, *frame.asks)}
    return max((_decimals(price.rstrip("0")) for price in prices), default=0)


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def moved_to(pair: Pair, tape: Sequence[TapeFrame | None], origin: Pair) -> tuple[TapeFrame | None, ...]:
    """The tape of another pair as this pair plays it: moved tick for tick to the pair's own price, sizes scaled."""
    return tuple(None if frame is None else _moved_frame(frame, pair, origin) for frame in tape)


def _moved_frame(frame: TapeFrame, pair: Pair, origin: Pair) -> TapeFrame:
    return TapeFrame(
        snapshot=frame.snapshot,
        bids=_moved_side(frame.bids, pair, origin),
        asks=_moved_side(frame.asks, pair, origin),
        wait_s=frame.wait_s,
        symbol=pair.symbol,
        depth=frame.depth,
        trades=None
        if frame.trades is None
        else tuple(_moved_trade(trade, pair, origin) for trade in frame.trades),
    )


def _moved_side(levels: Sequence[Level], pair: Pair, origin: Pair) -> tuple[Level, ...]:
    moved = (
        (_price(Decimal(price), pair, origin), _qty(Decimal(qty), pair, origin)) for price, qty in levels
    )
    # The depth of a cheap pair moved to a dearer tick ends at nothing.
    return tuple(
        (f"{price:.{pair.price_decimals}f}", f"{qty:.{pair.qty_decimals}f}")
        for price, qty in moved
        if price > 0
    )


def _moved_trade(trade: Traded, pair: Pair, origin: Pair) -> Traded:
    price = max(pair.tick, _price(trade.price, pair, origin))
    return Traded(side=trade.side, price=price, qty=_qty(trade.qty, pair, origin))


def _price(price: Decimal, pair: Pair, origin: Pair) -> Decimal:
    return pair.tape_price + (price - origin.tape_price) / origin.tick * pair.tick


def _qty(qty: Decimal, pair: Pair, origin: Pair) -> Decimal:
    scaled = qty * pair.tape_qty / origin.tape_qty
    return scaled.quantize(pair.lot) or scaled.quantize(pair.lot, rounding=ROUND_UP)


def around(price: Decimal, pair: Pair) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """Ten levels of bids and of asks around a price, each a tick from the next."""
    bids, asks = [], []
    for n in range(SYNTHETIC_LEVELS):
        qty = f"{pair.tape_qty * (n + 1):.{pair.qty_decimals}f}"
        bids.append((f"{price - n * pair.tick:.{pair.price_decimals}f}", qty))
        asks.append((f"{price + (n + 1) * pair.tick:.{pair.price_decimals}f}", qty))
    return tuple(bids), tuple(asks)


def still_tape(pair: Pair) -> tuple[TapeFrame, ...]:
    """A tape of one snapshot, for a venue without a recording: ten levels on each side of the pair's price."""
    bids, asks = around(pair.tape_price, pair)
    return (TapeFrame(snapshot=True, bids=bids, asks=asks, symbol=pair.symbol),)
