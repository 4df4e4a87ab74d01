"""What importing the runtime does not import: start-up time is paid by every script and every child process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import allstop

HEAVY = (
    "websockets", "httpx", "httpcore", "anyio", "sqlite3", "structlog", "rich", "click", "orjson", "uvloop", "ssl",
    "multiprocessing", "allstop.actors.runtime.behaviours.event_manager",
    "allstop.actors.runtime.behaviours.state_machine", "allstop.actors.runtime.behaviours.state_machine_core",
    "allstop.actors.runtime.process.codec", "allstop.actors.links", "allstop.actors.simulated", "allstop.supervisors",
)  # fmt: skip


@pytest.mark.parametrize("module", ["allstop.actors", "allstop.actors.runtime"])
def test_importing_the_runtime_imports_nothing_heavy(module: str) -> None:
    program = (
        "import asyncio, sys\n"
        "bare = set(sys.modules)\n"
        f"import {module}\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules and name not in bare])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(allstop.__path__[0]).parent)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "[]"


# What it may import besides allstop's own modules and the standard library.
MAY_IMPORT = {"pykka", "msgspec", "typing_extensions"}  # typing_extensions: pykka asks for it on Python 3.11


def test_the_runtime_imports_pykka_and_msgspec_and_nothing_else_of_others() -> None:
    program = (
        "import asyncio, sys\n"
        "bare = {name.partition('.')[0] for name in sys.modules}\n"
        "import allstop.actors.runtime\n"
        "roots = {name.partition('.')[0] for name in sys.modules} - bare - set(sys.stdlib_module_names)\n"
        "print(' '.join(sorted(roots - {'allstop'})))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(allstop.__path__[0]).parent)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert set(ran.stdout.split()) <= MAY_IMPORT


def test_every_exported_name_of_the_runtime_is_there() -> None:
    from allstop.actors import runtime

    assert [name for name in runtime.__all__ if not hasattr(runtime, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = runtime.nothing
