"""The commands of `allstop`. Each is loaded when it is called, so that `--help` stays quick."""

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version

import click

from allstop.actors.errors import BadInput

COMMANDS = {
    "capture": "verify captured market data, frame by frame",
    "chaos": "run a chaos script against a tree",
    "check": "prove a tree file without connecting",
    "compile": "build the compiled module of the two hot functions (optional)",
    "demo": "the main job: trade, get hurt, recover, halt, prove it",
    "doctor": "say what on this machine would hurt",
    "halt": "halt trading, also with no engine running",
    "inspect": "what the actors of a running engine are doing",
    "reset": "try a latched breaker or a stopped strategy again, by name and with a reason",
    "resume": "lift a halt, by name and with a reason",
    "run": "run a tree until it is stopped",
    "simulate": "a tree in a simulated world, seed by seed",
    "status": "what a running engine, or the latch on disk, says",
    "tree": "print a tree",
    "venue": "run a simulated venue alone",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"allstop.supervisors.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"allstop {version('allstop')}")
        ctx.exit()


group = _LazyGroup(
    name="allstop",
    help="A supervised runtime that a trading engine embeds: it restarts what fails, and halts what it cannot.",
    epilog="Exit codes: 0 it held; 1 it ran and something did not hold; 2 the input is wrong, nothing was started.",
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Show the version.",
        )
    ],
)


def invoke(argv: Sequence[str] | None) -> int:
    """Runs one command and gives back its exit code; wrong input is named on stderr, with its place."""
    try:
        code = group(args=None if argv is None else list(argv), prog_name="allstop", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BadInput as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0
