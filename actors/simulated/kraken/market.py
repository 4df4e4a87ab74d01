"""One pair's market: the book as the tape moves it, and the trades that were printed, the last of them first of all.

A tape of books alone has no trades. When the best level of a side shrinks or goes, that counts as a trade at its
price: stops trigger on the last trade, so the model needs one, and this is the only evidence of trading that books
carry. A tape that tells its trades is believed.
"""

from collections import deque
from decimal import Decimal

import msgspec

from allstop.actors.simulated.kraken.book import Book, Books, Priced
from allstop.actors.simulated.kraken.pairs import Pair
from allstop.actors.simulated.kraken.tape import Level, TapeFrame

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
    no trace in it. `books` remembers those of a tape that is played more than once."""

    def __init__(self, pair: Pair, depth: int = 10, books: Books | None = None) -> None:
        self.pair = pair
        self.depth = depth
        self.book = Book(depth, {}, {})
        self.last: Decimal | None = None
        self.trades: deque[Print] = deque(maxlen=TRADES_KEPT)
        self.prices: deque[Decimal] = deque(maxlen=TRADES_KEPT)  # of the trades
        self.sizes: deque[Decimal] = deque(maxlen=TRADES_KEPT)
        self.summary: str | None = None  # what a ticker says of the trades, until the next one
        self._books = Books() if books is None else books
        self._trade_id = 0

    @property
    def bids(self) -> dict[Decimal, Level]:
        return self.book.bids

    @property
    def asks(self) -> dict[Decimal, Level]:
        return self.book.asks

    def play(self, frame: TapeFrame, wall_ns: int) -> tuple[Print, ...]:
        """Applies a frame; the trades that it tells, or the one that it implies."""
        book = self.book = self._books.after(self.book, frame)
        if frame.snapshot and self.last is None and book.asks:
            self.last = min(book.asks)
            self.summary = None
        if frame.trades is not None:
            return tuple(self.trade(trade.side, trade.price, trade.qty, wall_ns) for trade in frame.trades)
        return () if book.implied is None else (self.trade(*book.implied, wall_ns),)

    def trade(self, side: str, price: Decimal, qty: Decimal, wall_ns: int) -> Print:
        """Prints a trade: it becomes the last."""
        self._trade_id += 1
        printed = Print(side=side, price=price, qty=qty, trade_id=self._trade_id, wall_ns=wall_ns)
        self.last = price
        self.summary = None
        self.trades.append(printed)
        self.prices.append(price)
        self.sizes.append(qty)
        return printed

    def best_bid(self) -> Priced | None:
        return self.book.best[0]

    def best_ask(self) -> Priced | None:
        return self.book.best[1]

    def takes(self, side: str, limit: Decimal | None) -> list[Priced]:
        """The levels (price, quantity) that a taker of this side meets, best first, down to its limit."""
        if side == "buy":
            return [one for one in self.book.bought_from if limit is None or one[0] <= limit]
        return [one for one in self.book.sold_to if limit is None or one[0] >= limit]

    def view(self, depth: int) -> tuple[list[Level], list[Level]]:
        """The best bids and asks to a depth, best first."""
        return self.book.view(depth)

    def checksum(self) -> int:
        """Kraken's CRC32 of the book as it stands."""
        return self.book.checksum
