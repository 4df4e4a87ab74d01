"""A tree for Kraken: one account, its market data, one strategy. Importing it starts nothing.

allstop check examples/tree.py     proves it without connecting; keys come from KRAKEN_API_KEY and KRAKEN_API_SECRET
allstop tree examples/tree.py      prints it
allstop run examples/tree.py       runs it
"""

from allstop.actors.market_data import BookView, SubscribeBook, Tick
from allstop.actors.runtime import Actor, Continue
from allstop.supervisors.config import accounts, child, data, halt_root, kraken, kraken_public, strategies


class Breakout(Actor):
    """Where a strategy goes: it is told each book and each tick of its pair. This one only looks."""

    def __init__(self, pair: str) -> None:
        self.pair = pair

    def on_start(self) -> Continue:
        return Continue(None)

    async def on_continue(self, argument: object) -> None:
        book = self.system.address(f"/data/kraken.public/book.{self.pair.replace('/', '-')}")
        await book.call(SubscribeBook(path=self.path), timeout_s=5.0)

    def on_receive(self, message: object) -> None:
        match message:
            case BookView():
                self.log.debug("book", pair=self.pair, bids=message.bids[:1], asks=message.asks[:1])
            case Tick():
                self.log.debug("tick", pair=self.pair, tick=message)
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")


tree = halt_root(
    accounts(kraken(account="main", pairs=["BTC/USD"], max_restarts=3, max_seconds=300)),
    data(kraken_public(["BTC/USD"])),
    strategies(child("breakout", Breakout, pair="BTC/USD")),
    state_dir="var",
)
