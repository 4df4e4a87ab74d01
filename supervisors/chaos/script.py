"""Chaos scripts: plain Python files with one coroutine function `chaos(chaos)`."""

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.chaos.chaos import Chaos
from allstop.supervisors.loading import load_file

Script = Callable[[Chaos], Awaitable[None]]


def load_script(path: str | Path) -> Script:
    """The script in a file. Importing it starts nothing. Raises BadInput, naming the file and what is wrong."""
    file = Path(path)
    module = load_file(file)
    script = getattr(module, "chaos", None)
    if script is None:
        raise BadInput(Problem("it has no function `async def chaos(chaos)`", str(file)))
    if not inspect.iscoroutinefunction(script):
        raise BadInput(Problem("`chaos` is not an `async def`", str(file)))
    if len(inspect.signature(script).parameters) != 1:
        raise BadInput(Problem("`chaos` takes one argument, the Chaos", str(file)))
    return script


async def run_script(script: Script, chaos: Chaos) -> None:
    """Runs a script to its end and heals every link after it, however it ended. What it raises comes out."""
    try:
        await script(chaos)
    finally:
        await chaos.heal_all()
