"""What an import costs, over asyncio's own."""

import json
import os
import subprocess
import sys
import tempfile

from tests.benchmarks.harness import Measure, Python, Workload

MODULES = {
    "actors": "allstop.actors",
    "runtime": "allstop.actors.runtime",
    "supervisors": "allstop.supervisors",
}
CODE = """
import asyncio, importlib, json, sys, time
began = time.perf_counter()
took = {}
for module in sys.argv[1:]:
    importlib.import_module(module)
    took[module] = (time.perf_counter() - began) * 1e3
print(json.dumps(took))
"""


def _import(env: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *MODULES.values()],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def importing() -> dict[str, float]:
    """Milliseconds, in an interpreter that has imported asyncio and nothing else. The second time: an installed package
    has its bytecode, which where PYTHONDONTWRITEBYTECODE is set would be made, and timed, again and again."""
    with tempfile.TemporaryDirectory() as bytecode:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        _import(env)
        took = _import(env)
    return {name: took[module] for name, module in MODULES.items()}


WORKLOADS = [
    Workload(
        name="import",
        about="imports allstop.actors, then its runtime, then allstop.supervisors, each with all before it; with its bytecode at hand",
        measures=(
            Measure("actors", "ms", more_is_better=False),
            Measure("runtime", "ms", more_is_better=False),
            Measure("supervisors", "ms", more_is_better=False),
        ),
        ours=Python("tests.benchmarks.workload_start:importing"),
    ),
]
