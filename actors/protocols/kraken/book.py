"""A Kraken order book and its CRC32.

Prices and quantities are kept as whole numbers of the pair's smallest steps. That is exact, orders at once, and is
just what the checksum is made of: price and quantity without the point and without leading zeros, of the ten best
asks from the lowest and the ten best bids from the highest, CRC32 as an unsigned number
(docs.kraken.com, guides "Book checksum" for v1 and v2; both come to the same digits).
"""

from bisect import bisect_left, insort
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zlib import crc32

from allstop.actors.protocols.kraken.events import BookSnapshot, BookUpdate, Level
from allstop.actors.protocols.wire import DecodeError, number

CHECKED_LEVELS: Final = 10
DIGITS_KEPT: Final = (
    4_096  # numbers: a book says the same prices again and again, and sizes of makers and zeros
)
DEPTHS: Final = (10, 25, 100, 500, 1000)

_Steps = tuple[str, str]  # price and quantity in steps, as digits without leading zeros: "" is nothing


class _Side:
    """One side, best first. Keys are prices in steps, negated for bids, so that the best is always the least."""

    __slots__ = ("keys", "levels", "quantities", "shown", "text")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.quantities: dict[int, str] = {}  # in steps, as digits without leading zeros
        self.levels: dict[int, tuple[Decimal, Decimal]] = {}  # of those that were shown since they changed
        self.shown: dict[int, str] = {}  # what each level adds to the checksum's text
        self.text: bytes | None = None  # the checksum's text of this side, until a level changes

    def put(self, levels: list[_Steps], sign: int, depth: int) -> None:
        keys, quantities, shown, made = self.keys, self.quantities, self.shown, self.levels
        for price, quantity in levels:
            key = sign * int(price)
            if quantity:
                if key not in shown:
                    insort(keys, key)
                quantities[key] = quantity
                shown[key] = price + quantity
                made.pop(key, None)
            elif key in shown:
                del keys[bisect_left(keys, key)], quantities[key], shown[key]
                made.pop(key, None)
        while len(keys) > depth:
            key = keys.pop()
            del quantities[key], shown[key]
            made.pop(key, None)
        self.text = None

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
        self._bids = _Side()
        self._asks = _Side()

    def apply(self, change: BookSnapshot | BookUpdate) -> None:
        """Takes a change over. Raises DecodeError, and leaves the book as it was, for a number that does not fit the
        pair's precision: the pair's decimals changed, or the text is not the pair's."""
        bids = self._steps(change.bids) if change.bids else None
        asks = self._steps(change.asks) if change.asks else None
        if isinstance(change, BookSnapshot):
            self._bids, self._asks = _Side(), _Side()
        if bids:
            self._bids.put(bids, -1, self.depth)
        if asks:
            self._asks.put(asks, 1, self.depth)

    def _steps(self, levels: list[Level]) -> list[_Steps]:
        price_decimals, qty_decimals = self.price_decimals, self.qty_decimals
        steps = [(digits(price, price_decimals), digits(qty, qty_decimals)) for price, qty in levels]
        for price, _ in steps:
            if not price:
                raise DecodeError("a level at a price of nothing", str(levels))
        return steps

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
        return self._levels(self._bids, -1, count)

    def asks(self, count: int | None = None) -> list[tuple[Decimal, Decimal]]:
        return self._levels(self._asks, 1, count)

    @property
    def crossed(self) -> bool:
        """A bid at or above an ask: an update was lost, or the pair is in an auction."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks) and -bids[0] >= asks[0]

    def _levels(self, side: _Side, sign: int, count: int | None) -> list[tuple[Decimal, Decimal]]:
        made, keys = side.levels, side.keys[:count]
        # A reader who wants the best ten after each change meets most of them again.
        for key in keys:
            if key not in made:
                made[key] = (
                    Decimal(sign * key).scaleb(-self.price_decimals),
                    Decimal(side.quantities[key]).scaleb(-self.qty_decimals),
                )
        return [made[key] for key in keys]


@lru_cache(maxsize=DIGITS_KEPT)
def digits(text: str, decimals: int) -> str:
    """The number in steps of its last decimal, as digits without leading zeros: "0.0500" in four decimals is "500",
    and zero is "". Raises DecodeError if it has digits beyond its decimals, or is below zero."""
    point = len(text) - decimals - 1
    if decimals and point > 0 and text[point] == ".":
        whole = text[:point] + text[point + 1 :]
        if whole.isdigit():
            return whole.lstrip("0")
    steps = number(text).scaleb(decimals)
    if steps != steps.to_integral_value() or steps < 0:
        raise DecodeError(f"a number with more than {decimals} decimals, or below zero", text)
    return str(int(steps)).lstrip("0")
