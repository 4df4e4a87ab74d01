"""`allstop run`: a tree until it is stopped."""

import asyncio
import signal

import click

from allstop.supervisors.build import Runtime
from allstop.supervisors.cli.logs import log_to_stderr
from allstop.supervisors.config import Tree
from allstop.supervisors.loading import load_tree
from allstop.supervisors.preflight import VenueUnreachable
from allstop.supervisors.standing_down import OnStop


@click.command()
@click.argument("tree", default="tree.py")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--on-stop",
    type=click.Choice([one.value for one in OnStop]),
    default=OnStop.KEEP.value,
    show_default=True,
    help="What becomes of entries and positions at the venue: they stay; or entries are cancelled; or positions are left at\n    market, too. What was to be done is proven.",
)
def command(tree: str, log_level: str, on_stop: str) -> int:
    """Run TREE (file.py:attribute or module:attribute) until SIGINT or SIGTERM. Logs go to stderr, as JSON lines.

    Positions that are not left keep their stops in any case. Exit 0 after a clean stop, 1 when something of it could not be
    stopped, entries were to be cancelled or positions to be left and that is not proven, the root itself failed (trading is
    halted then, and nothing runs any more) or the venue did not answer at the start, 2 when the tree, a key or the state directory is wrong; then nothing was started and nothing was sent.
    """
    try:
        problems = asyncio.run(_run(load_tree(tree), log_level, OnStop(on_stop)))
    except VenueUnreachable as error:
        click.echo(f"error: {error}", err=True)
        return 1
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    return 1 if problems else 0


async def _run(tree: Tree, log_level: str, on_stop: OnStop) -> list[str]:
    stop = asyncio.Event()
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_, stop.set)
    runtime = Runtime(tree, on_stop=on_stop)
    log_to_stderr(log_level, runtime.redactor)
    async with runtime:
        click.echo(f"running; state in {tree.state_dir}; stop with Ctrl-C", err=True)
        stopped, ended = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(runtime.ended())
        await asyncio.wait((stopped, ended), return_when=asyncio.FIRST_COMPLETED)
        failed = [f"the root ended, trading is halted: {ended.result()}"] if ended.done() else []
        stopped.cancel()
    await ended
    failed += [f"not proven: {what}" for what in runtime.unproven]
    return failed + [f"could not be stopped: {name}" for name in runtime.leaked]
