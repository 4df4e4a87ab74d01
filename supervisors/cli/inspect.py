"""`allstop inspect`: what the actors of a running engine are doing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.control import ControlFailed, NoEngine, ask_engine
from allstop.supervisors.cli.options import state_dir_option
from allstop.supervisors.inspector import TRACE_MAX_S

ANSWER_S = 5.0  # beyond the time of a trace


@click.command()
@click.argument("path", required=False)
@state_dir_option
@click.option(
    "--trace", "trace_s", type=float, metavar="SECONDS", help="Watch its messages for so long, at most 20."
)
@click.option("--dead-letters", is_flag=True, help="Show the messages that reached nobody instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    path: str | None, state_dir: Path, trace_s: float | None, dead_letters: bool, as_json: bool
) -> int:
    """Show the actor at PATH of the engine that runs in DIR: mailbox, redacted state, last crash report.

    Without PATH: list the actors. It only reads. Exit 0 when the actor runs, 1 when it is down or no engine answers, 2
    when PATH is not known (addresses that look alike are named).
    """
    if (trace_s is not None and path is None) or (dead_letters and path is not None):
        raise BadInput(Problem("--trace goes with a PATH, and --dead-letters without one"))
    if trace_s is not None and not 0 < trace_s <= TRACE_MAX_S:
        raise BadInput(Problem(f"--trace is more than 0 and at most {TRACE_MAX_S:g} s, not {trace_s:g}"))
    try:
        answer = asyncio.run(
            ask_engine(
                state_dir, _request(path, trace_s, dead_letters), timeout_s=ANSWER_S + (trace_s or 0.0)
            )
        )
    except (NoEngine, ControlFailed) as error:
        answer = {"ok": False, "error": type(error).__name__, "message": str(error)}
    if answer.get("error") == "BadInput":
        raise BadInput(Problem(str(answer["message"])))
    if as_json:
        click.echo(json.dumps(answer))
    elif not answer["ok"]:
        click.echo(answer["message"], err=True)
    else:
        _show(answer)
    return 0 if answer["ok"] and answer.get("running", True) else 1


def _request(path: str | None, trace_s: float | None, dead_letters: bool) -> dict[str, Any]:
    if dead_letters:
        return {"command": "dead_letters"}
    if path is None:
        return {"command": "actors"}
    return {"command": "inspect", "path": path, "trace_s": trace_s}


def _show(answer: dict[str, Any]) -> None:
    if "actors" in answer:
        for actor in answer["actors"]:
            waiting = f"  {actor['mailbox_len']} waiting" if actor["mailbox_len"] else ""
            click.echo(f"{actor['path']}#{actor['incarnation']}  {actor['state']}  {actor['class']}{waiting}")
        if answer["more"]:
            click.echo(f"and {answer['more']} more")
    elif "letters" in answer:
        for letter in answer["letters"]:
            click.echo(
                f"{letter['recipient']}#{letter['incarnation']}  {letter['message']}  ({letter['cause']})"
            )
        for cause, count in sorted(answer["counts"].items()):
            click.echo(f"{count:6} {cause}")
    else:
        _show_actor(answer)


def _show_actor(answer: dict[str, Any]) -> None:
    state = answer.get("state", "down")
    held = [word for word in ("suspended", "handling") if answer.get(word)]
    click.echo(f"{answer['path']}#{answer['incarnation']}  {', '.join([state, *held])}")
    lines = {
        "class": answer.get("class"),
        "mailbox": _mailbox(answer),
        "state": answer.get("status"),
        "parent": answer.get("parent"),
        "children": _some(answer.get("children", []), answer.get("children_count", 0)),
        "links": ", ".join(answer.get("links", [])),
        "monitors": ", ".join(answer.get("monitored_by", [])),
        "last exit": answer["last_exit"],
        "counted": _counted(answer.get("statistics")),
        "traced": _counted(answer.get("trace_statistics")),
    }
    for name, text in lines.items():
        if text:
            click.echo(f"{name:10} {text}")
    for name in ("log", "trace"):
        for step in answer.get(name, []):
            click.echo(f"{name:10} {_step(step)}")
    if answer.get("trace_more"):
        click.echo(f"{'trace':10} and {answer['trace_more']} more")
    if answer["last_crash"] is not None:
        click.echo(answer["last_crash"]["report"])


def _mailbox(answer: dict[str, Any]) -> str:
    if not answer.get("mailbox_len"):
        return ""
    return f"{answer['mailbox_len']} waiting, first: {', '.join(answer['waiting'])}"


def _some(names: list[str], count: int) -> str:
    return ", ".join(names) + (f" and {count - len(names)} more" if count > len(names) else "")


def _counted(statistics: dict[str, Any] | None) -> str:
    if statistics is None:
        return ""
    s = statistics
    slowest = f" ({s['slowest']})" if s["slowest"] else ""
    return (
        f"{s['received']} received, {s['handled']} handled, {s['raised']} raised, at most {s['waiting_max']} waiting, "
        f"handlers {s['handler_s']:.3f} s, longest {s['handler_max_s']:.3f} s{slowest}"
    )


def _step(step: dict[str, Any]) -> str:
    took = f"  {step['took_s'] * 1000:.3f} ms" if step["took_s"] is not None else ""
    result = f" -> {step['result']}" if step["result"] is not None else ""
    return f"{step['kind']:8}{step['message']}{result}{took}"
