"""`allstop halt`: latch first, on disk, then tell the engine if one runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from allstop.actors.clock import SystemClock
from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.control import ControlFailed, NoEngine, ask_engine
from allstop.actors.links.latch import write_latch
from allstop.supervisors.cli.options import operator, state_dir_option

ASK_EVERY_S = 0.2


@click.command()
@state_dir_option
@click.option(
    "--reason", default="halted by command", show_default=True, help="Why; it is kept with the halt."
)
@click.option("--by", default=operator, help="Who; by default the user who types.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds to wait for the proof.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(state_dir: Path, reason: str, by: str, wait_s: float, as_json: bool) -> int:
    """Halt trading. The latch is on disk before anything else happens, so it works with no engine running.

    A running engine then cancels every order that is not protective and proves it from the venue's own list. Exit 0
    when the halt is latched and proven (or no engine runs), 1 when it is latched and not proven within --wait.
    """
    try:
        write_latch(state_dir, by, reason, SystemClock().wall_ns())
    except OSError as error:
        raise BadInput(Problem(f"the latch cannot be written: {error.strerror}", str(state_dir))) from None
    answer = asyncio.run(_told(state_dir, by, reason, wait_s))
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo(f"halted: {reason} (latched in {state_dir / 'halt.json'})")
        click.echo(answer["message"])
    return 0 if answer["proven"] is not False else 1


async def _told(state_dir: Path, by: str, reason: str, wait_s: float) -> dict[str, Any]:
    clock = SystemClock()
    try:
        told = await ask_engine(state_dir, {"command": "halt", "by": by, "reason": reason}, timeout_s=5.0)
        deadline_s = clock.now_s() + wait_s
        while told.get("ok") and not told.get("proven") and clock.now_s() < deadline_s:
            await asyncio.sleep(ASK_EVERY_S)
            told = await ask_engine(state_dir, {"command": "proofs"}, timeout_s=5.0)
    except NoEngine:
        return {
            "latched": True,
            "engine": False,
            "proven": None,
            "message": "no engine runs here; the next one starts halted",
        }
    except ControlFailed as error:
        return {"latched": True, "engine": True, "proven": False, "message": f"latched, but {error}"}
    proven = bool(told.get("ok")) and bool(told.get("proven"))
    message = (
        "proven: only protective orders are open"
        if proven
        else f"NOT PROVEN yet: {told.get('message', told.get('unproven', 'the venue has not confirmed'))}"
    )
    return {
        "latched": True,
        "engine": True,
        "proven": proven,
        "message": message,
        "proofs": told.get("proofs", {}),
    }
