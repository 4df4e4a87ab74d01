"""`python -m allstop.actors.simulated.kraken`: the simulated Kraken as a process of its own, until SIGTERM.

With `--json` it prints one line with its URLs, keys and pid once it serves; with `--die-with-parent` it also ends when
its standard input does, so that no killed parent leaves it behind.
"""

import argparse
import asyncio
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from allstop.actors.simulated.kraken.counters import Tier
from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.actors.simulated.kraken.tape import TapeError
from allstop.actors.simulated.kraken.venue import Settings
from allstop.actors.simulated.kraken.wire import encode

SPEED_MAX = 1000.0  # the tape's half minute in 30 ms: faster than any client reads


def described(server: KrakenServer) -> dict[str, Any]:
    """What a client needs: URLs, the first key pair, and every key by its role."""
    keys = [
        {"account": key.account, "role": key.name, "key": key.key, "secret": key.secret}
        for key in server.venue.keys.values()
    ]
    return {
        **server.urls(),
        "key": keys[0]["key"],
        "secret": keys[0]["secret"],
        "keys": keys,
        "pid": os.getpid(),
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same for a person."""
    return [
        "simulated Kraken, on loopback only",
        f"  REST               {told['http_url']}",
        f"  WebSocket, public  {told['ws_url']}",
        f"  WebSocket, private {told['ws_auth_url']}",
        f"  faults and truth   {told['admin_url']}",
        *(f"  {row['role']:<9} key    {row['key']}\n{'':12}secret {row['secret']}" for row in told["keys"]),
        "Ctrl-C ends it.",
    ]


async def serve(server: KrakenServer, *, as_json: bool, die_with_parent: bool = False) -> None:
    """Serves until SIGINT or SIGTERM."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    if die_with_parent:
        loop.add_reader(0, lambda: stop.set() if not os.read(0, 4096) else None)
    try:
        async with server:
            told = described(server)
            sys.stdout.write((encode(told) if as_json else "\n".join(lines(told))) + "\n")
            sys.stdout.flush()
            await stop.wait()
    finally:
        if die_with_parent:
            loop.remove_reader(0)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= SPEED_MAX:
        raise ValueError(text)  # argparse names the option and the text
    return speed


def main(arguments: list[str] | None = None) -> int:
    """The command. Exit code 2 for bad input, with one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m allstop.actors.simulated.kraken")
    parser.add_argument("--port", type=int, default=0, help="first of four ports; 0 takes any that are free")
    parser.add_argument(
        "--tape",
        "--feed",
        dest="feed",
        type=Path,
        default=None,
        help="a captured run to play, one frame per line",
    )
    parser.add_argument("--speed", type=_speed, default=1.0, help="how fast the feed plays")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    parser.add_argument("--die-with-parent", action="store_true", help="end when standard input ends")
    parser.add_argument("--seed", default="allstop", help="ids and keys follow from it")
    parser.add_argument("--tier", choices=[tier.value for tier in Tier], default=Tier.PRO.value)
    parser.add_argument(
        "--usd", type=Decimal, default=Decimal(1_000_000), help="the account's opening balance"
    )
    parser.add_argument("--no-counters", action="store_true", help="do not enforce the rate counters")
    parser.add_argument(
        "--stops-hold", choices=["yes", "no"], default="yes", help="whether stops hold the balance"
    )
    asked = parser.parse_args(arguments)
    settings = Settings(
        seed=asked.seed,
        tier=Tier(asked.tier),
        balances={"USD": asked.usd},
        counting=not asked.no_counters,
        stops_hold_balance=asked.stops_hold == "yes",
    )
    try:
        server = KrakenServer(feed=asked.feed, settings=settings, speed=asked.speed, port=asked.port)
        asyncio.run(serve(server, as_json=asked.json, die_with_parent=asked.die_with_parent))
    except (TapeError, OSError) as error:
        sys.stderr.write(f"{asked.feed or 'port'}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
