"""A recording as a slower feed tells it: the same books, seldomer, as of a pair that trades less."""

from collections.abc import Sequence
from decimal import Decimal

from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.pairs import PAIRS
from allstop.actors.simulated.kraken.tape import Level, TapeError, TapeFrame, Traded


def slowed(frames: Sequence[TapeFrame], every_s: float) -> tuple[TapeFrame, ...]:
    """A frame every `every_s`, with all that changed since the last one, and the trades in between. Times at which
    nothing changed are passed over. 0: as recorded. Raises TapeError for a recording of several pairs."""
    if every_s <= 0 or not frames:
        return tuple(frames)
    first = frames[0]
    if any(frame.symbol != first.symbol for frame in frames):
        raise TapeError("a recording of several pairs has the pace that it was recorded in")
    told = [first]
    market = Market(PAIRS["BTC/USD"], first.depth)  # for its book alone
    market.play(first, 0)
    bids, asks = dict(market.bids), dict(market.asks)
    trades: list[Traded] = []
    now_s = told_s = first.wait_s
    for frame, following in zip(frames[1:], (*frames[2:], None), strict=True):
        now_s += frame.wait_s
        market.play(frame, 0)
        trades += frame.trades or ()
        due_s = told_s + every_s
        if now_s + (0.0 if following is None else following.wait_s) <= due_s:
            continue
        change = (_difference(bids, market.bids), _difference(asks, market.asks))
        if any(change) or trades:
            at_s = max(due_s, now_s)
            told.append(
                TapeFrame(
                    snapshot=False, bids=change[0], asks=change[1], wait_s=at_s - told_s, symbol=first.symbol,
                    depth=first.depth, trades=None if frame.trades is None else tuple(trades),
                )
            )  # fmt: skip
            told_s, bids, asks, trades = at_s, dict(market.bids), dict(market.asks), []
    return tuple(told)


def _difference(was: dict[Decimal, Level], now: dict[Decimal, Level]) -> tuple[Level, ...]:
    gone = ((level[0], f"{0 * Decimal(level[1]):f}") for price, level in was.items() if price not in now)
    return (*gone, *(level for price, level in now.items() if was.get(price) != level))
