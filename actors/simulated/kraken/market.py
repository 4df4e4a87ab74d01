"""One pair's market: the book as the tape moves it, its checksum, and the last trade.

A tape of books alone has no trades. When the best level of a side shrinks or goes, that counts as a trade at its
price: stops trigger on the last trade, so the model needs one, and this is the only evidence of trading that books
carry. A tape that tells its trades is believed.
"""

from collections import deque
from decimal import Decimal
from functools import lru_cache
from zlib import crc32

import msgspec

from allstop.actors.simulated.kraken.pairs import Pair
from allstop.actors.simulated.kraken.tape import Level, TapeFrame

CHECKED_LEVELS = 10  # what the checksum covers, of each side
TRADES_KEPT = 50  # what a snapshot of the trade channel shows


class Print(msgspec.Struct, frozen=True, kw_only=True):
    """One public trade. `side` is the taker's."""

    side: str
    price: Decimal
    qty: Decimal
    trade_id: int
    wall_ns: int


class Market:
    """The book of one pair, as deep as its tape, and what follows from it. Quantities are the feed's: our orders leave
    no trace in it."""

    def __init__(self, pair: Pair, depth: int = 10) -> None:
        self.pair = pair
        self.depth = depth
        self.bids: dict[Decimal, Level] = {}
        self.asks: dict[Decimal, Level] = {}
        self.last: Decimal | None = None
        self.trades: deque[Print] = deque(maxlen=TRADES_KEPT)
        self._trade_id = 0

    def play(self, frame: TapeFrame, wall_ns: int) -> tuple[Print, ...]:
        """Applies a frame; the trades that it tells, or the one that it implies."""
        before = (self.best_bid(), self.best_ask())
        if frame.snapshot:
            self.bids, self.asks = {}, {}
        _apply(self.bids, frame.bids, self.depth, reverse=True)
        _apply(self.asks, frame.asks, self.depth, reverse=False)
        if frame.snapshot and self.last is None and self.asks:
            self.last = min(self.asks)
        if frame.trades is not None:
            return tuple(self.trade(trade.side, trade.price, trade.qty, wall_ns) for trade in frame.trades)
        implied = None if frame.snapshot else self._implied(before, wall_ns)
        return () if implied is None else (implied,)

    def _implied(
        self, before: tuple[tuple[Decimal, Decimal] | None, tuple[Decimal, Decimal] | None], wall_ns: int
    ) -> Print | None:
        for side, best, levels in (("buy", before[1], self.asks), ("sell", before[0], self.bids)):
            if best is None:
                continue
            price, qty = best
            level = levels.get(price)
            gone = qty - (Decimal(level[1]) if level else Decimal(0))
            if gone > 0:
                return self.trade(side, price, gone, wall_ns)
        return None

    def trade(self, side: str, price: Decimal, qty: Decimal, wall_ns: int) -> Print:
        """Prints a trade: it becomes the last."""
        self._trade_id += 1
        printed = Print(side=side, price=price, qty=qty, trade_id=self._trade_id, wall_ns=wall_ns)
        self.last = price
        self.trades.append(printed)
        return printed

    def best_bid(self) -> tuple[Decimal, Decimal] | None:
        return _best(self.bids, reverse=True)

    def best_ask(self) -> tuple[Decimal, Decimal] | None:
        return _best(self.asks, reverse=False)

    def takes(self, side: str, limit: Decimal | None) -> list[tuple[Decimal, Decimal]]:
        """The levels (price, quantity) that a taker of this side meets, best first, down to its limit."""
        levels = self.asks if side == "buy" else self.bids
        met = []
        for price in sorted(levels, reverse=side == "sell"):
            if limit is not None and (price > limit if side == "buy" else price < limit):
                break
            met.append((price, Decimal(levels[price][1])))
        return met

    def view(self, depth: int) -> tuple[list[Level], list[Level]]:
        """The best bids and asks to a depth, best first."""
        bids = [self.bids[price] for price in sorted(self.bids, reverse=True)[:depth]]
        return bids, [self.asks[price] for price in sorted(self.asks)[:depth]]

    def checksum(self) -> int:
        """Kraken's CRC32: the ten best asks upwards, then the ten best bids downwards, digits only."""
        text = [
            _digits(levels[price])
            for levels, reverse in ((self.asks, False), (self.bids, True))
            for price in sorted(levels, reverse=reverse)[:CHECKED_LEVELS]
        ]
        return crc32("".join(text).encode())


def _apply(levels: dict[Decimal, Level], changes: tuple[Level, ...], depth: int, *, reverse: bool) -> None:
    for price, qty in changes:
        if Decimal(qty) == 0:
            levels.pop(Decimal(price), None)
        else:
            levels[Decimal(price)] = (price, qty)
    if len(levels) > depth:
        for price in sorted(levels, reverse=reverse)[depth:]:
            del levels[price]


@lru_cache(maxsize=8192)  # a tape says the same ones again and again
def _digits(level: Level) -> str:
    return "".join(part.replace(".", "").lstrip("0") for part in level)


def _best(levels: dict[Decimal, Level], *, reverse: bool) -> tuple[Decimal, Decimal] | None:
    if not levels:
        return None
    price = max(levels) if reverse else min(levels)
    return price, Decimal(levels[price][1])
