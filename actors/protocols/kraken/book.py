"""A Kraken order book and its CRC32.

Prices and quantities are kept as whole numbers of the pair's smallest steps. That is exact, orders at once, and is
just what the checksum is made of: price and quantity without the point and without leading zeros, of the ten best
asks from the lowest and the ten best bids from the highest, CRC32 as an unsigned number
(docs.kraken.com, guides "Book checksum" for v1 and v2; both come to the same digits).
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal
from typing import Final
from zlib import crc32

from allstop.actors.protocols.kraken.events import BookSnapshot, BookUpdate, Level
from allstop.actors.protocols.wire import DecodeError, number

CHECKED_LEVELS: Final = 10
DEPTHS: Final = (10, 25, 100, 500, 1000)


class _Side:
    """One side, best first. Keys are prices in steps, negated for bids, so that the best is always the least."""

    __slots__ = ("keys", "quantities", "shown", "sign", "text")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.quantities: dict[int, int] = {}
        self.shown: dict[int, str] = {}  # what each level adds to the checksum's text
        self.text: bytes | None = None  # the checksum's text of this side, until a level changes

    def put(self, key: int, quantity: int) -> None:
        self.text = None
        if quantity == 0:
            if self.quantities.pop(key, None) is not None:
                del self.shown[key]
                del self.keys[bisect_left(self.keys, key)]
            return
        if key not in self.quantities:
            insort(self.keys, key)
        self.quantities[key] = quantity
        self.shown[key] = f"{key * self.sign}{quantity}"

    def cut(self, depth: int) -> None:
        while len(self.keys) > depth:
            key = self.keys.pop()
            del self.quantities[key], self.shown[key]

    def checked(self) -> bytes:
        if self.text is None:
            self.text = "".join([self.shown[key] for key in self.keys[:CHECKED_LEVELS]]).encode()
        return self.text


class Book:
    """The book of one pair to a depth. Apply a snapshot first, then every update, in order."""

    def __init__(self, depth: int, price_decimals: int, qty_decimals: int) -> None:
        self.depth = depth
        self.price_decimals = price_decimals
        self.qty_decimals = qty_decimals
        self._bids = _Side(-1)
        self._asks = _Side(1)

    def apply(self, change: BookSnapshot | BookUpdate) -> None:
        """Takes a change over. Raises DecodeError, and leaves the book as it was, for a number that does not fit the
        pair's precision: the pair's decimals changed, or the text is not the pair's."""
        bids = self._scaled(change.bids, -1)
        asks = self._scaled(change.asks, 1)
        if isinstance(change, BookSnapshot):
            self._bids, self._asks = _Side(-1), _Side(1)
        for side, levels in ((self._bids, bids), (self._asks, asks)):
            if levels:
                for key, quantity in levels:
                    side.put(key, quantity)
                side.cut(self.depth)

    def _scaled(self, levels: Iterable[Level], sign: int) -> list[tuple[int, int]]:
        price_decimals, qty_decimals = self.price_decimals, self.qty_decimals
        return [(sign * scaled(price, price_decimals), scaled(qty, qty_decimals)) for price, qty in levels]

    def checksum(self) -> int:
        """CRC32 over the ten best levels of each side."""
        return crc32(self._bids.checked(), crc32(self._asks.checked()))

    def agrees(self, change: BookSnapshot | BookUpdate) -> bool:
        """Whether the checksum that came with the change just applied is the book's. True if none came."""
        return change.checksum is None or change.checksum == self.checksum()

    @property
    def best_bid(self) -> tuple[Decimal, Decimal] | None:
        """Price and quantity, or None of an empty side."""
        return next(iter(self.bids(1)), None)

    @property
    def best_ask(self) -> tuple[Decimal, Decimal] | None:
        return next(iter(self.asks(1)), None)

    def bids(self, count: int | None = None) -> list[tuple[Decimal, Decimal]]:
        """Price and quantity of the best `count` bids, best first."""
        return self._levels(self._bids, count)

    def asks(self, count: int | None = None) -> list[tuple[Decimal, Decimal]]:
        return self._levels(self._asks, count)

    @property
    def crossed(self) -> bool:
        """A bid at or above an ask: an update was lost, or the pair is in an auction."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks) and -bids[0] >= asks[0]

    def _levels(self, side: _Side, count: int | None) -> list[tuple[Decimal, Decimal]]:
        return [
            (
                Decimal(key * side.sign).scaleb(-self.price_decimals),
                Decimal(side.quantities[key]).scaleb(-self.qty_decimals),
            )
            for key in side.keys[:count]
        ]


def scaled(text: str, decimals: int) -> int:
    """The number in steps of its last decimal. Raises DecodeError if it has digits beyond them."""
    if decimals and text[-decimals - 1 : -decimals] == ".":
        whole = text[: -decimals - 1] + text[-decimals:]
        if whole.isdigit() and whole.isascii():
            return int(whole)
    steps = number(text).scaleb(decimals)
    if steps != steps.to_integral_value() or steps < 0:
        raise DecodeError(f"a number with more than {decimals} decimals, or below zero", text)
    return int(steps)
