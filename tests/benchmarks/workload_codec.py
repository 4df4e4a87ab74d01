"""A recorded run of Kraken's book, text to checked book: ours alone, ours behind an actor, and ccxt's handler.

Each side gets the same texts and makes the same book of them. ccxt ships with the checksum turned off, and with it on
its handler fails, because its prices are floats and it splits them as text. So there are two peers: ccxt as it is,
which checks nothing, and ccxt with its own checksum code made to work by giving it the digits back.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Measure, Python, Workload
from tests.benchmarks.measuring import amount, expect

from allstop.actors.protocols.kraken import frames
from allstop.actors.protocols.kraken.book import Book

RUN = Path(__file__).parent.parent / "captures/kraken/ws/v2_book10_btcusd_2023-07-30_part1.ndjson"
TEXTS = RUN.read_text().splitlines()
PRICE_DECIMALS, QTY_DECIMALS = 1, 8
ROUNDS = 60  # of the run: about 20 000 frames
CCXT_ROUNDS = 12


class CheckedBook:
    """What a market data actor does with a frame."""

    def __init__(self) -> None:
        self.book = Book(10, PRICE_DECIMALS, QTY_DECIMALS)
        self.checked = 0

    def take(self, text: str) -> None:
        for event in frames.decode(text):
            match event:
                case frames.BookSnapshot() | frames.BookUpdate():
                    self.book.apply(event)
                    if not self.book.agrees(event):
                        raise AssertionError(text)
                    self.checked += 1
                case _:
                    raise AssertionError(text)


def rate(take: Callable[[str], None], rounds: int) -> float:
    rounds = amount(rounds, at_least=1)
    for text in TEXTS:
        take(text)
    started = time.perf_counter()
    for _ in range(rounds):
        for text in TEXTS:
            take(text)
    return rounds * len(TEXTS) / (time.perf_counter() - started)


def ours() -> dict[str, float]:
    return {"alone": ours_alone(), "actor": ours_behind_an_actor()}


def ours_alone() -> float:
    checked = CheckedBook()
    frames_per_s = rate(checked.take, ROUNDS)
    expect("checked", checked.checked, (amount(ROUNDS, at_least=1) + 1) * len(TEXTS))
    return frames_per_s


def ours_behind_an_actor() -> float:
    from tests.benchmarks.measuring import run

    from allstop.actors.runtime import Actor, ActorSystem, Mailbox

    class MarketData(Actor):
        mailbox = Mailbox(capacity=(ROUNDS + 1) * len(TEXTS) + 1)  # a burst is the workload: it has to fit

        def __init__(self) -> None:
            self.checked = CheckedBook()

        def on_receive(self, message: str) -> int:
            if message:
                self.checked.take(message)
            return self.checked.checked

    async def main() -> float:
        rounds = amount(ROUNDS, at_least=1)
        async with ActorSystem() as system:
            ref = await system.spawn(MarketData)
            for text in TEXTS:
                ref.tell(text)
            await ref.call("", timeout_s=60)
            started = time.perf_counter()
            for _ in range(rounds):
                for text in TEXTS:
                    ref.tell(text)
            counted = await ref.call("", timeout_s=60)
            seconds = time.perf_counter() - started
            expect("checked", counted, (rounds + 1) * len(TEXTS))
            return rounds * len(TEXTS) / seconds

    return run(main)


def ccxt() -> dict[str, float]:
    return dict.fromkeys(("alone", "actor"), asyncio.run(_ccxt(checksum=False)))


def ccxt_with_checksum() -> dict[str, float]:
    return dict.fromkeys(("alone", "actor"), asyncio.run(_ccxt(checksum=True)))


async def _ccxt(checksum: bool) -> float:
    import ccxt.pro
    from ccxt.async_support.base.ws.client import Client

    class Kraken(ccxt.pro.kraken):
        """ccxt's handler, with the digits that its checksum needs: prices and quantities come to it in turn."""

        decimals = itertools.cycle((PRICE_DECIMALS, QTY_DECIMALS))

        def format_number(self, data: Any) -> str:
            return super().format_number(f"{data:.{next(self.decimals)}f}")

    def none(*_: Any) -> None:
        return None

    exchange = Kraken() if checksum else ccxt.pro.kraken()
    options: Any = exchange.options
    options["watchOrderBook"] = {"checksum": checksum}
    client = Client("wss://venue.invalid", exchange.handle_message, none, none, none)
    failed: list[Any] = []

    def reject(result: Any, message_hash: str | None = None) -> None:
        failed.append((message_hash, result))

    client.reject = reject
    key = exchange.get_message_hash("orderbook", None, "BTC/USD")
    client.subscriptions[key] = {"limit": 10}
    try:
        frames_per_s = rate(client.handle_text_or_binary_message, CCXT_ROUNDS)
    finally:
        await exchange.close()
    if failed:
        raise AssertionError(failed[0])
    return frames_per_s


HERE = "tests.benchmarks.workload_codec"
WORKLOADS = [
    Workload(
        name="book",
        about="a recorded run of Kraken's book, text to checked book: alone, and behind an actor",
        measures=(Measure("alone", "frames/s"), Measure("actor", "frames/s")),
        ours=Python(f"{HERE}:ours"),
        peers={
            "ccxt": Python(
                f"{HERE}:ccxt", needs=("ccxt",), caveat="checks nothing: its checksum is off by default"
            ),
            "ccxt with checksum": Python(
                f"{HERE}:ccxt_with_checksum", needs=("ccxt",), caveat="its own code, given the digits back"
            ),
        },
    ),
]
