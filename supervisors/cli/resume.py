"""`allstop resume`: lift a halt, by name and with a reason."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from allstop.actors.clock import SystemClock
from allstop.actors.links.control import ControlFailed, NoEngine, ask_engine
from allstop.actors.links.latch import lift_latch, read_latch
from allstop.supervisors.cli.options import operator, state_dir_option


@click.command()
@state_dir_option
@click.option("--reason", required=True, help="Why it is safe to trade again; it is kept with the lift.")
@click.option("--by", default=operator, help="Who; by default the user who types.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(state_dir: Path, reason: str, by: str, as_json: bool) -> int:
    """Lift a halt. A running engine refuses until its accounts are reconciled, and says what is missing.

    With no engine the latch alone is lifted: the next one still admits no entry before it has reconciled. Exit 0 when
    the latch is lifted (or none was there), 1 when the engine refused, 2 without a name or a reason.
    """
    if not read_latch(state_dir).latched:
        answer: dict[str, Any] = {"ok": True, "message": "not halted"}
    else:
        answer = asyncio.run(_lifted(state_dir, by, reason))
    click.echo(json.dumps(answer) if as_json else answer["message"])
    return 0 if answer["ok"] else 1


async def _lifted(state_dir: Path, by: str, reason: str) -> dict[str, Any]:
    try:
        answer = await ask_engine(state_dir, {"command": "resume", "by": by, "reason": reason})
    except NoEngine:
        lift_latch(state_dir, by, reason, SystemClock().wall_ns())
        return {"ok": True, "message": "lifted; no engine runs here"}
    except ControlFailed as error:
        return {"ok": False, "message": str(error)}
    return {"ok": bool(answer.get("ok")), "message": answer.get("message") or "lifted"}
