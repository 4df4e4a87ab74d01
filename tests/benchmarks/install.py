"""`python -m tests.benchmarks.install`: Erlang from the distribution, the Python peers into environments of their own.

What cannot be installed is named, with the command that would, and is absent from the table; nothing else fails.
PEERS_PYTHON names a Python of 3.12 or newer for the peers that need one, if it is not on PATH.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.harness import HERE, Interpreter

ERLANG = ("apt-get install -y --no-install-recommends erlang-base",)
LIMIT_S = 900
NEWER = (3, 12)


def main() -> None:
    erlang()
    environment(Path(sys.executable), Interpreter.PEERS, HERE / "peers" / "requirements.txt")
    newer = newer_python()
    if newer is None:
        print("no Python 3.12 or newer on PATH: peers that need one stay absent (PEERS_PYTHON=... names one)")
    else:
        environment(newer, Interpreter.NEWER, HERE / "peers" / "requirements-newer.txt")


def erlang() -> None:
    if shutil.which("erl") and shutil.which("erlc"):
        print("Erlang is there")
        return
    commands = ("apt-get update", *ERLANG)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(
            f"Erlang is absent; to have it, as root: {' && '.join(commands)} (or your system's erlang-base)"
        )
        return
    for command in commands:
        print(command)
        if not ran(command.split()):
            print(f"Erlang stays absent: {command} failed")
            return


def environment(python: Path, interpreter: Interpreter, requirements: Path) -> None:
    """Makes the environment, or brings it up to date."""
    if not interpreter.path.exists() and not ran([str(python), "-m", "venv", interpreter.value]):
        print(f"no environment for peers: {python} -m venv {interpreter.value} failed")
        return
    print(f"{requirements.name} into {interpreter.value} ...")
    pip = [str(interpreter.path), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not ran([*pip, "-r", str(requirements)]):
        print(f"these peers stay absent or old: {', '.join(required(requirements.read_text()))}")


def required(text: str) -> list[str]:
    """The lines of a requirements file that ask for something."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def newer_python() -> Path | None:
    """A Python for peers that do not install with ours."""
    asked = os.environ.get("PEERS_PYTHON")
    names = [
        *([asked] if asked else []),
        sys.executable,
        *(f"python3.{minor}" for minor in (14, 13, 12)),
        "python3",
    ]
    return next((Path(found) for name in names if (found := shutil.which(name)) and is_newer(found)), None)


def is_newer(python: str) -> bool:
    """False also where the name is there and nothing behind it: version managers leave such names."""
    check = f"import sys, ensurepip; sys.exit(sys.version_info < {NEWER})"
    return subprocess.run([python, "-c", check], capture_output=True, timeout=30, check=False).returncode == 0


def ran(command: Sequence[str]) -> bool:
    return subprocess.run(command, timeout=LIMIT_S, check=False).returncode == 0


if __name__ == "__main__":
    main()
