"""`allstop status`: what a running engine says of itself, or what the latch on disk says when none runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from allstop.actors.links.control import ControlFailed, NoEngine, ask_engine
from allstop.actors.links.latch import read_latch
from allstop.supervisors.cli.options import state_dir_option


@click.command()
@state_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(state_dir: Path, as_json: bool) -> int:
    """Level, votes, gates, stopped strategies, pairs that are not traded, orders and the halt's proofs.

    Exit 0 when trading may go on, 1 when it is halted or the engine does not answer.
    """
    latch = read_latch(state_dir)
    answer: dict[str, Any] = {
        "engine": False,
        "halted": latch.latched,
        "by": latch.by,
        "reason": latch.reason,
    }
    try:
        answer = {
            **answer,
            "engine": True,
            **asyncio.run(ask_engine(state_dir, {"command": "status"}, timeout_s=5.0)),
        }
    except NoEngine:
        pass
    except ControlFailed as error:
        answer = {**answer, "engine": True, "ok": False, "message": str(error)}
    if as_json:
        click.echo(json.dumps(answer))
    else:
        _show(answer)
    return 1 if answer["halted"] or answer.get("ok") is False else 0


def _show(answer: dict[str, Any]) -> None:
    click.echo(f"engine   {'running' if answer['engine'] else 'none runs here'}")
    click.echo(
        f"halted   {'yes: ' + answer['reason'] + ' (by ' + answer['by'] + ')' if answer['halted'] else 'no'}"
    )
    for name in ("level", "message"):
        if name in answer:
            click.echo(f"{name:8} {answer[name]}")
    for vote in answer.get("votes", ()):
        click.echo(f"vote     {vote}")
    for account, gate in answer.get("gates", {}).items():
        click.echo(f"gate     {account}: {gate}")
    for strategy in answer.get("stopped", ()):
        click.echo(f"stopped  {strategy}")
    for pair in answer.get("pairs", ()):
        click.echo(f"pair     {pair}")
    for account, proof in answer.get("proofs", {}).items():
        click.echo(f"proof    {account}: {proof}")
    for name, count in sorted(answer.get("counts", {}).items()):
        click.echo(f"{name:8} {count}")
