"""What pytest's plugin costs a project that has allstop installed and does not use it."""

import os
import subprocess
import sys
from pathlib import Path

import allstop

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(allstop.__path__[0]).parent)}


def said_by(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    return ran.stdout.strip()


def test_the_pytest_plugin_imports_nothing_of_allstop_and_of_its_libraries() -> None:
    program = (
        "import sys\n"
        "import allstop.supervisors.simulation.pytest_plugin\n"
        "roots = ('allstop', 'pykka', 'msgspec', 'structlog')\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in roots))\n"
    )
    assert said_by(program).split() == [
        "allstop", "allstop.supervisors", "allstop.supervisors.simulation", "allstop.supervisors.simulation.pytest_plugin",
    ]  # fmt: skip


def test_every_exported_name_of_the_supervisors_is_there_and_no_other() -> None:
    program = (
        "import allstop.supervisors as package\n"
        "print([name for name in package.__all__ if not hasattr(package, name)], hasattr(package, 'nothing'))\n"
    )
    assert said_by(program) == "[] False"


def test_gates_is_the_function_also_after_the_module_of_that_name_was_imported() -> None:
    program = (
        "from allstop.supervisors.gates import GateState\n"
        "from allstop.supervisors import gates\n"
        "print(callable(gates), GateState.__module__)\n"
    )
    assert said_by(program) == "True allstop.supervisors.gates"
