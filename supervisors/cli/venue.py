"""`allstop venue kraken`: the simulated Kraken alone, for any client to talk to."""

import asyncio
from pathlib import Path

import click

from allstop.actors.simulated.kraken.__main__ import serve
from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.actors.simulated.kraken.tape import TapeError

EXIT_BAD_INPUT = 2


@click.command(name="venue")
@click.argument("name", type=click.Choice(["kraken"]))
@click.option(
    "--port", type=click.IntRange(0, 65532), default=0, help="First of four ports; 0 takes free ones."
)
@click.option(
    "--tape",
    "--feed",
    "feed",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="A captured run to play: version 1 or 2; books, tickers or trades; one frame per line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line.")
def command(name: str, port: int, feed: Path | None, as_json: bool) -> None:
    """Run a simulated venue on loopback until Ctrl-C. Prints its URLs and a key pair."""
    try:
        server = KrakenServer(feed=feed, port=port)
        asyncio.run(serve(server, as_json=as_json))
    except (TapeError, OSError) as error:
        click.echo(f"{name}: {feed or f'port {port}'}: {error}", err=True)
        raise SystemExit(EXIT_BAD_INPUT) from error
