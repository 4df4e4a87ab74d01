"""The tree that mutants are planted in: the demo's, with traders that leave the venue's counters some room."""

from collections.abc import Callable, Mapping
from typing import Final

from allstop.supervisors.config import (
    Tree,
    accounts,
    child,
    data,
    halt_root,
    kraken,
    kraken_public,
    strategies,
)
from allstop.supervisors.demo.trader import PLACE_EVERY_S, DemoTrader
from allstop.supervisors.demo.tree import BACKOFF, PAIRS, TRADING, Budget

SLOWER: Final = 4.0  # an order every two seconds and pair: 90 in three minutes
URLS: Final[Mapping[str, str]] = {
    "rest_url": "http://127.0.0.1:8001",
    "public_url": "ws://127.0.0.1:8002/v2",
    "private_url": "ws://127.0.0.1:8003/v2",
}


class Trader(DemoTrader):
    """The demo's trader, less eager."""

    def _schedule(self, delay_s: float) -> None:
        super()._schedule(delay_s * SLOWER if delay_s == PLACE_EVERY_S else delay_s * 4)


def tree(trader: type[DemoTrader] = Trader) -> Tree:
    """One account, two pairs, a trader for each."""
    return halt_root(
        accounts(
            kraken(
                account="main", pairs=PAIRS, max_restarts=20, max_seconds=60, trading=TRADING, tracker=Budget(5, 60), backoff=BACKOFF,
                api_key_env="KEY", api_secret_env="SECRET", protect_key_env="PROTECT_KEY", protect_secret_env="PROTECT_SECRET",
                rest_url=URLS["rest_url"], private_url=URLS["private_url"], timing="loopback", tier="pro",
            )
        ),
        data(kraken_public(PAIRS, max_restarts=20, max_seconds=60, backoff=BACKOFF, url=URLS["public_url"], rest_url=URLS["rest_url"], timing="loopback")),
        strategies(*(child(f"trader.{pair.replace('/', '-')}", trader, pair=pair) for pair in PAIRS), max_restarts=20),
        state_dir="var",
    )  # fmt: skip


def dense() -> Tree:
    """The same with the demo's own traders, four orders a second: as near to the pairs' counters as one may come."""
    return tree(DemoTrader)


PLAIN: Final = "plain"
TREES: Final[Mapping[str, Callable[[], Tree]]] = {PLAIN: tree, "dense": dense}
