"""A recorded book channel as a tape: its frames in order, with the waits between them, and its copy for other pairs."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from allstop.actors.simulated.kraken.pairs import PAIRS, Pair
from allstop.actors.simulated.kraken.wire import decode, wall_of

TAPE_SYMBOL = "BTC/USD"
WAIT_MAX_S = 2.0  # a pause on the tape longer than this is cut: nobody watches a silent demo
SYNTHETIC_LEVELS = 10

Level = tuple[str, str]  # price and quantity as the digits on the wire


class TapeFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One book frame: a snapshot or an update. `raw` is the recorded text where this is the recording itself."""

    snapshot: bool
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    wait_s: float = 0.0  # since the frame before
    raw: str | None = None


class TapeError(ValueError):
    """The file is no tape: it says which line and why."""


def read_tape(lines: Iterable[str]) -> tuple[TapeFrame, ...]:
    """A tape from book frames, one per line, the first a snapshot. Frames of other channels are skipped."""
    frames: list[TapeFrame] = []
    last_ns: int | None = None
    for at, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        frame, ns = _read_frame(text, at)
        if frame is None:
            continue
        if not frames and not frame.snapshot:
            raise TapeError(f"line {at}: a tape begins with a snapshot")
        if ns is not None and last_ns is not None:
            frame = msgspec.structs.replace(frame, wait_s=min(WAIT_MAX_S, max(0.0, (ns - last_ns) / 1e9)))
        last_ns = ns if ns is not None else last_ns
        frames.append(frame)
    if not frames:
        raise TapeError(f"no {TAPE_SYMBOL} book frames in it")
    return tuple(frames)


def _read_frame(text: str, at: int) -> tuple[TapeFrame | None, int | None]:
    try:
        message = decode(text)
        if message.get("channel") != "book":
            return None, None
        row = message["data"][0]
        if row["symbol"] != TAPE_SYMBOL:
            return None, None
        snapshot = message["type"] == "snapshot"
        levels = {side: tuple(_level(level) for level in row[side]) for side in ("bids", "asks")}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise TapeError(f"line {at}: no book frame ({error})") from error
    ns = wall_of(row["timestamp"]) if "timestamp" in row else None
    return TapeFrame(snapshot=snapshot, bids=levels["bids"], asks=levels["asks"], raw=text), ns


def _level(level: dict[str, object]) -> Level:
    return (format(Decimal(str(level["price"])), "f"), format(Decimal(str(level["qty"])), "f"))


def tape_for(pair: Pair, frames: Sequence[TapeFrame]) -> tuple[TapeFrame, ...]:
    """The tape as this pair plays it: moved tick for tick to the pair's own price, sizes scaled. For BTC/USD, itself."""
    if pair.symbol == TAPE_SYMBOL:
        return tuple(frames)
    return tuple(
        TapeFrame(
            snapshot=frame.snapshot,
            bids=tuple(_moved(level, pair) for level in frame.bids),
            asks=tuple(_moved(level, pair) for level in frame.asks),
            wait_s=frame.wait_s,
        )
        for frame in frames
    )


def _moved(level: Level, pair: Pair) -> Level:
    origin = PAIRS[TAPE_SYMBOL]
    ticks = (Decimal(level[0]) - origin.tape_price) / origin.tick
    price = pair.tape_price + ticks * pair.tick
    qty = (Decimal(level[1]) * pair.tape_qty).quantize(pair.lot)
    return (f"{price:.{pair.price_decimals}f}", f"{qty:.{pair.qty_decimals}f}")


def still_tape(pair: Pair) -> tuple[TapeFrame, ...]:
    """A tape of one snapshot, for a venue without a recording: ten levels on each side of the pair's price."""
    bids, asks = [], []
    for n in range(SYNTHETIC_LEVELS):
        qty = f"{pair.tape_qty * (n + 1):.{pair.qty_decimals}f}"
        bids.append((f"{pair.tape_price - n * pair.tick:.{pair.price_decimals}f}", qty))
        asks.append((f"{pair.tape_price + (n + 1) * pair.tick:.{pair.price_decimals}f}", qty))
    return (TapeFrame(snapshot=True, bids=tuple(bids), asks=tuple(asks)),)
