"""An engine of your own with allstop inside: one order with its stop, from submit to fill, against the simulated Kraken.

    python examples/embed.py

Against the real one, leave out the venue, its addresses and its timing: the defaults are Kraken's.
"""

import asyncio
import tempfile
from decimal import ROUND_DOWN, Decimal

from allstop.actors.commands import OrderView, PairCover
from allstop.actors.intents import OrderIntent, Side, StopLoss
from allstop.actors.market_data import BookView, GetBook
from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.supervisors.build import Runtime
from allstop.supervisors.config import Tree, accounts, data, halt_root, kraken, kraken_public
from allstop.supervisors.obstacles import obstacles

PAIR = "BTC/USD"
PATIENCE_S = 15.0  # loopback takes under a second of it


def tree(venue: KrakenServer, state_dir: str) -> Tree:
    return halt_root(
        accounts(
            kraken(account="main", pairs=[PAIR], rest_url=venue.http_url, private_url=venue.ws_auth_url, timing="loopback")
        ),
        data(kraken_public([PAIR], rest_url=venue.http_url, url=venue.ws_url, timing="loopback")),
        state_dir=state_dir,
    )  # fmt: skip


async def buy(runtime: Runtime) -> OrderView:
    """Buys a little at the best price, with a stop one percent below; what became of it."""
    while found := obstacles(runtime):  # an engine that has just started has things to prove first
        print("not yet:", "; ".join(found))
        await asyncio.sleep(0.25)
    book: BookView = await runtime.address("/data/kraken.public/book.BTC-USD").call(GetBook(), timeout_s=1.0)
    ask = book.asks[0][0]
    order = await runtime.submit(
        OrderIntent(
            pair=PAIR,
            side=Side.BUY,
            qty=Decimal("0.001"),
            limit_price=ask,
            stop=StopLoss(trigger_price=(ask * Decimal("0.99")).quantize(ask, rounding=ROUND_DOWN)),
        )
    )
    # From here on it is durable: whatever dies now, the order is not lost and not sent twice.
    while True:
        view = await order.refresh()
        if view.state == "FILLED":
            return view
        await asyncio.sleep(0.05)


async def covered(runtime: Runtime) -> PairCover:
    """Waits until the guardian has seen the position and its stop at the venue."""
    while True:
        for pair in (await runtime.cover("kraken.main")).pairs:
            if pair.net and pair.state == "covered":
                return pair
        await asyncio.sleep(0.05)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="allstop-embed-") as state_dir:
        async with KrakenServer() as venue, asyncio.timeout(PATIENCE_S):
            key = next(key for key in venue.venue.keys.values() if key.name == "trade")
            keys = {"KRAKEN_API_KEY": key.key, "KRAKEN_API_SECRET": key.secret}
            async with Runtime(tree(venue, state_dir), environ=keys) as runtime:
                bought = await buy(runtime)
                print(f"{bought.state}: {bought.cum_qty} {PAIR}")
                cover = await covered(runtime)
                print(f"{cover.state}: {cover.net} {PAIR}")


if __name__ == "__main__":
    asyncio.run(main())
