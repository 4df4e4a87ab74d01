"""The demo's tree: the embedded default, against the simulated Kraken that the environment names."""

import os
from collections.abc import Mapping

from allstop.actors.spec import Backoff, OnExceeded, Pause
from allstop.supervisors.config import (
    Budget,
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

PAIRS = ("BTC/USD", "ETH/USD")
BACKOFF = Backoff(0.05, 1.0, 0.2, 5.0)  # the simulated venue is next door
TRADING = Budget(20, 60, OnExceeded.PAUSE, Pause(cooldown_s=1.0, probes=3, max_trips=3))


def tree(environ: Mapping[str, str] | None = None) -> Tree:
    """Reads ALLSTOP_DEMO_REST_URL, _PUBLIC_URL, _PRIVATE_URL, and _STATE_DIR (default: var)."""
    env = os.environ if environ is None else environ
    rest_url = env["ALLSTOP_DEMO_REST_URL"]
    return halt_root(
        accounts(
            kraken(
                account="main", pairs=PAIRS, max_restarts=20, max_seconds=60, trading=TRADING, tracker=Budget(5, 60), backoff=BACKOFF,
                api_key_env="ALLSTOP_DEMO_KEY", api_secret_env="ALLSTOP_DEMO_SECRET",
                protect_key_env="ALLSTOP_DEMO_PROTECT_KEY", protect_secret_env="ALLSTOP_DEMO_PROTECT_SECRET",
                rest_url=rest_url, private_url=env["ALLSTOP_DEMO_PRIVATE_URL"], timing="loopback", tier="pro",
            )
        ),
        data(kraken_public(PAIRS, max_restarts=20, max_seconds=60, backoff=BACKOFF, url=env["ALLSTOP_DEMO_PUBLIC_URL"], rest_url=rest_url, timing="loopback")),
        strategies(*(child(f"trader.{pair.replace('/', '-')}", DemoTrader, pair=pair) for pair in PAIRS), max_restarts=20),
        state_dir=env.get("ALLSTOP_DEMO_STATE_DIR", "var"),
    )  # fmt: skip
