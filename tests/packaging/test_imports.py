"""What importing the runtime does not import: start-up time is paid by every script and every child process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import allstop

HEAVY = (
    "websockets", "httpx", "httpcore", "anyio", "sqlite3", "structlog", "rich", "click", "orjson", "uvloop", "ssl",
    "multiprocessing", "allstop.actors.links", "allstop.actors.simulated", "allstop.supervisors",
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
