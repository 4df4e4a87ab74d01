"""The trees that `allstop simulate` knows by name: the demo's, at three paces."""

from collections.abc import Callable
from typing import Final

from allstop.supervisors.config import (
    ChildNode,
    Tree,
    accounts,
    child,
    data,
    halt_root,
    kraken,
    kraken_public,
    strategies,
)
from allstop.supervisors.demo.trader import DemoTrader
from allstop.supervisors.demo.tree import BACKOFF, PAIRS, TRADING, Budget
from allstop.supervisors.demo.tree import tree as demo_tree

REST_URL, PUBLIC_URL, PRIVATE_URL = (
    "http://127.0.0.1:8001",
    "ws://127.0.0.1:8002/v2",
    "ws://127.0.0.1:8003/v2",
)
BUSY_S: Final = 10.0  # 2 pairs: 36 orders in 3 minutes
QUIET_S: Final = 360.0  # 2 pairs: 20 orders an hour


def demo() -> Tree:
    """The demo's tree as it is: four orders a second."""
    return demo_tree(
        {
            "ALLSTOP_DEMO_REST_URL": REST_URL,
            "ALLSTOP_DEMO_PUBLIC_URL": PUBLIC_URL,
            "ALLSTOP_DEMO_PRIVATE_URL": PRIVATE_URL,
        }
    )


def busy() -> Tree:
    """The demo's tree, with an order every ten seconds and pair."""
    return _paced(BUSY_S)


def quiet() -> Tree:
    """The demo's tree, with ten orders an hour and pair."""
    return _paced(QUIET_S)


def bare() -> Tree:
    """The same tree without strategies: for tests that place their own orders."""
    return _with()


def _paced(every_s: float) -> Tree:
    traders = (
        child(
            f"trader.{pair.replace('/', '-')}", DemoTrader, pair=pair, every_s=every_s, retry_s=every_s / 10
        )
        for pair in PAIRS
    )
    return _with(*traders)


def _with(*traders: ChildNode) -> Tree:
    return halt_root(
        accounts(
            kraken(
                account="main", pairs=PAIRS, max_restarts=20, max_seconds=60, trading=TRADING, tracker=Budget(5, 60), backoff=BACKOFF,
                api_key_env="SIMULATED_KEY", api_secret_env="SIMULATED_SECRET",
                protect_key_env="SIMULATED_PROTECT_KEY", protect_secret_env="SIMULATED_PROTECT_SECRET",
                rest_url=REST_URL, private_url=PRIVATE_URL, timing="loopback", tier="pro",
            )
        ),
        data(kraken_public(PAIRS, max_restarts=20, max_seconds=60, backoff=BACKOFF, url=PUBLIC_URL, rest_url=REST_URL, timing="loopback")),
        strategies(*traders, max_restarts=20),
    )  # fmt: skip


TREES: Final[dict[str, Callable[[], Tree]]] = {"busy": busy, "demo": demo, "quiet": quiet}
