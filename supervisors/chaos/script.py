"""Chaos scripts: plain Python files with one coroutine function `chaos(chaos)`."""

import importlib.util
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.chaos.chaos import Chaos

Script = Callable[[Chaos], Awaitable[None]]


def load_script(path: str | Path) -> Script:
    """The script in a file. Importing it starts nothing. Raises BadInput, naming the file and what is wrong."""
    file = Path(path)
    if not file.is_file():
        raise BadInput(Problem("no such chaos script", str(file)))
    spec = importlib.util.spec_from_file_location(f"allstop_chaos_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise BadInput(Problem("not a Python file", str(file)))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise BadInput(Problem(f"{error.msg}", f"{file}:{error.lineno}")) from error
    except Exception as error:  # noqa: BLE001 -- whatever a user's file raises is the user's to mend
        raise BadInput(Problem(f"{type(error).__name__}: {error}", str(file))) from error
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
