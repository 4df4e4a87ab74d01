"""One pair's book as it stands after a frame of its tape, with what follows from it: best levels, checksum, the trade
that the frame implies. A book never changes; the next one is made from it.

A tape comes round again and again, in one run and in the next thousand, and our orders leave no trace in it: so the
books are made once and remembered with the reel, and so is all that was worked out of them.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Final
from zlib import crc32

from allstop.actors.simulated.kraken.tape import Level, Reel, TapeFrame

CHECKED_LEVELS: Final = 10  # what the checksum covers, of each side
# Of the books that a reel remembers, about 200 bytes each: four thousand books of ten levels a side, or fifty of a
# thousand. A recording that is longer or deeper goes on without.
LEVELS_MAX: Final = 100_000
REELS_MAX: Final = 4  # whose books are remembered: a process plays one or two

Priced = tuple[Decimal, Decimal]  # price and quantity


class Book:
    """A book to a depth. `bids` and `asks` hold the digits as the tape has them, in no order, and are not to be
    changed."""

    def __init__(
        self,
        depth: int,
        bids: dict[Decimal, Level],
        asks: dict[Decimal, Level],
        frame: TapeFrame | None = None,
    ) -> None:
        self.depth = depth
        self.bids = bids
        self.asks = asks
        self.frame = frame  # the one that it came out of
        self.implied: tuple[str, Decimal, Decimal] | None = None  # side, price and quantity of a trade
        self.texts: dict[str, str] = {}  # frames that tell of it, up to their time

    def after(self, frame: TapeFrame) -> "Book":
        """The book that a frame makes of this one."""
        bids, asks = ({}, {}) if frame.snapshot else (dict(self.bids), dict(self.asks))
        _apply(bids, frame.bids, self.depth, reverse=True)
        _apply(asks, frame.asks, self.depth, reverse=False)
        book = Book(self.depth, bids, asks, frame)
        if not frame.snapshot:
            book.implied = _implied(self, book)
        return book

    @cached_property
    def sold_to(self) -> tuple[Priced, ...]:
        """The bids, best first."""
        return tuple((price, Decimal(self.bids[price][1])) for price in self._downwards)

    @cached_property
    def bought_from(self) -> tuple[Priced, ...]:
        """The asks, best first."""
        return tuple((price, Decimal(self.asks[price][1])) for price in self._upwards)

    @cached_property
    def best(self) -> tuple[Priced | None, Priced | None]:
        """The best bid and the best ask."""
        return _first(self._downwards, self.bids), _first(self._upwards, self.asks)

    def view(self, depth: int) -> tuple[list[Level], list[Level]]:
        """The best bids and asks to a depth, best first."""
        bids = [self.bids[price] for price in self._downwards[:depth]]
        return bids, [self.asks[price] for price in self._upwards[:depth]]

    @cached_property
    def _downwards(self) -> list[Decimal]:
        return sorted(self.bids, reverse=True)

    @cached_property
    def _upwards(self) -> list[Decimal]:
        return sorted(self.asks)

    @cached_property
    def checksum(self) -> int:
        """Kraken's CRC32: the ten best asks upwards, then the ten best bids downwards, digits only."""
        bids, asks = self.view(CHECKED_LEVELS)
        return crc32("".join(map(_digits, (*asks, *bids))).encode())


class Books:
    """The books of a tape, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], tuple[Book, Book]] = {}
        self._room = LEVELS_MAX

    def after(self, book: Book, frame: TapeFrame) -> Book:
        """`book.after(frame)`. A snapshot makes the same one of every book of its depth."""
        # By their ids, and both are kept with what came of them: no id can come again.
        key = (-book.depth if frame.snapshot else id(book), id(frame))
        found = self._made.get(key)
        if found is not None:
            return found[1]
        after = book.after(frame)
        weight = 1 + len(after.bids) + len(after.asks)
        if weight <= self._room:
            self._room -= weight
            self._made[key] = (book, after)
        return after


@lru_cache(maxsize=REELS_MAX)
def books_of(reel: Reel) -> Books:
    """The books of a reel, for all who play it in this process."""
    return Books()


def _first(prices: list[Decimal], levels: dict[Decimal, Level]) -> Priced | None:
    return (prices[0], Decimal(levels[prices[0]][1])) if prices else None


def _implied(before: Book, after: Book) -> tuple[str, Decimal, Decimal] | None:
    """When the best level of a side shrinks or goes, that counts as a trade at its price."""
    bid, ask = before.best
    for side, best, levels in (("buy", ask, after.asks), ("sell", bid, after.bids)):
        if best is None:
            continue
        price, qty = best
        level = levels.get(price)
        gone = qty - (Decimal(level[1]) if level else Decimal(0))
        if gone > 0:
            return side, price, gone
    return None


def _apply(levels: dict[Decimal, Level], changes: Sequence[Level], depth: int, *, reverse: bool) -> None:
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
