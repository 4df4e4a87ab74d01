"""What an import costs, over asyncio's own."""

import json
import subprocess
import sys

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


def importing() -> dict[str, float]:
    """Milliseconds, in an interpreter that has imported asyncio and nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *MODULES.values()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    took = json.loads(done.stdout)
    return {name: took[module] for name, module in MODULES.items()}


WORKLOADS = [
    Workload(
        name="import",
        about="imports allstop.actors, then its runtime, then allstop.supervisors, each with all before it",
        measures=(
            Measure("actors", "ms", more_is_better=False),
            Measure("runtime", "ms", more_is_better=False),
            Measure("supervisors", "ms", more_is_better=False),
        ),
        ours=Python("tests.benchmarks.workload_start:importing"),
    ),
]
