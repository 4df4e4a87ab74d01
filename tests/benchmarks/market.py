"""The three stages of the pipeline workload, in the way every Python side runs them.

A tick of one of 100 symbols goes to a feed, which keeps an exponential mean and a volume and tells the strategy; every
tenth tick the strategy tells the tracker an order, which keeps it and acknowledges. Messages are msgspec structs.
"""

from typing import Any

import msgspec
from tests.benchmarks.measuring import expect

SYMBOLS = [f"SYM{number}" for number in range(100)]
TICKS_PER_ORDER = 10


class Tick(msgspec.Struct, gc=False):
    symbol: str
    price: float
    qty: int
    number: int


class Mean(msgspec.Struct, gc=False):
    symbol: str
    price: float
    mean: float
    number: int


class Order(msgspec.Struct):
    sender: Any
    id: int
    symbol: str
    side: str
    price: float
    number: int


class Ack(msgspec.Struct, gc=False):
    id: int


def tick(number: int) -> Tick:
    return Tick(SYMBOLS[number % 100], 100.0 + (number % 37) * 0.01, 100, number)


class Feed:
    def __init__(self, strategy: Any) -> None:
        super().__init__()
        self.strategy = strategy
        self.kept: dict[str, list[float]] = {}

    def on(self, message: Tick) -> None:
        symbol, price = message.symbol, message.price
        kept = self.kept.get(symbol)
        if kept is None:
            kept = self.kept[symbol] = [price, 0]
        mean = kept[0] + 0.1 * (price - kept[0])
        kept[0] = mean
        kept[1] += message.qty
        self.strategy.tell(Mean(symbol, price, mean, message.number))


class Strategy:
    address: Any  # where acknowledgements are to be sent

    def __init__(self, tracker: Any) -> None:
        super().__init__()
        self.tracker = tracker
        self.seen = 0
        self.acknowledged = 0

    def on(self, message: Any) -> None:
        if message.__class__ is Mean:
            self.seen += 1
            if self.seen % TICKS_PER_ORDER == 0:
                side = "buy" if message.price > message.mean else "sell"
                self.tracker.tell(
                    Order(self.address, self.seen, message.symbol, side, message.price, message.number)
                )
        else:
            self.acknowledged += 1


class Tracker:
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[int, tuple[str, str, float, int]] = {}
        self.orders = 0

    def on(self, message: Order) -> None:
        self.kept[message.id] = (message.symbol, message.side, message.price, message.number)
        self.orders += 1
        message.sender.tell(Ack(message.id))


def check(ticks: int, orders: int, acknowledged: int) -> None:
    expect("orders", orders, ticks // TICKS_PER_ORDER)
    expect("acknowledgements", acknowledged, ticks // TICKS_PER_ORDER)
