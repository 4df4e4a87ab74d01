"""`allstop reset`: another try of a breaker that only a person may open again, or of a strategy that was stopped; or a
journal's losses are accepted."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.control import ControlFailed, NoEngine, ask_engine
from allstop.supervisors.cli.options import operator, state_dir_option


@click.command()
@click.argument("path")
@state_dir_option
@click.option("--reason", required=True, help="Why it may be tried again; it is logged with the reset.")
@click.option("--by", default=operator, help="Who; by default the user who types.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(path: str, state_dir: Path, reason: str, by: str, as_json: bool) -> int:
    """Try the supervisor at PATH again, as /accounts/kraken.main/trading, whose breaker is latched or open.

    Its children start and are on trial; when they prove themselves the breaker closes and its vote goes, a latched one
    too. `allstop status` shows who votes for what. PATH may also be a strategy that submitted too many entries and is
    stopped, as /strategies/breakout: then its entries pass again; or the journal of an account, as
    /accounts/kraken.main/store/journal, that was damaged and set aside: once all that is left agrees with the venue,
    what was lost is accepted, and entries pass again. Exit 0 when it is tried again, 1 when no engine
    answers, 2 when no supervisor runs there and nothing is stopped or set aside, or without a name or a reason. A halt is not
    lifted by it: that is `allstop resume`.
    """
    request = {"command": "reset", "path": path, "by": by, "reason": reason}
    try:
        answer: dict[str, Any] = asyncio.run(ask_engine(state_dir, request))
    except (NoEngine, ControlFailed) as error:
        answer = {"ok": False, "error": type(error).__name__, "message": str(error)}
    if answer.get("error") == "BadInput":
        raise BadInput(Problem(str(answer["message"])))
    click.echo(json.dumps(answer) if as_json else answer["message"], err=not (answer["ok"] or as_json))
    return 0 if answer["ok"] else 1
