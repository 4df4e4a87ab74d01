"""How a workload is measured: every side in a process of its own, rounds interleaved, medians of paired ratios.

To add a workload, write `tests/benchmarks/workload_<name>.py` with a module-level list, and it is found:

    WORKLOADS = [
        Workload(
            name="frames", unit="frames/s",
            ours=Python("tests.benchmarks.workload_frames:ours"),
            peers={"ccxt": Python("tests.benchmarks.workload_frames:ccxt", needs=("ccxt",))},
        ),
    ]

A `Python` side names a plain function that runs the workload once and returns one float in `unit`. It runs in a fresh
process and should last 0.2 s to 2 s, with its imports and warm-up before the clock starts. A `Beam` side names a
function of `erl/bench.erl`. A side whose needs are not installed is reported as absent.

Absolute rates drift on shared machines; ratios of sides measured in the same round hold still. So a ratio is the
median over rounds of one round's ratio, above 1 where we are better, whichever way the unit goes.
"""

import importlib
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SIDE_TIMEOUT_S = 120.0  # the slowest side takes a few seconds; beyond this it hangs


@dataclass(frozen=True)
class Python:
    """A function "module:name" that takes nothing and returns the measured value."""

    function: str
    needs: tuple[str, ...] = ()  # modules that must be importable

    def missing(self) -> str | None:
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), None)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks", "--side", self.function]


@dataclass(frozen=True)
class Beam:
    """A function of erl/bench.erl, run on one scheduler: one core against one core."""

    function: str

    def missing(self) -> str | None:
        return next((name for name in ("erl", "erlc") if shutil.which(name) is None), None)

    def command(self) -> list[str]:
        code = f"io:format('~p~n', [float(bench:{self.function}())]), halt()."
        return ["erl", "+S", "1", "-noshell", "-noinput", "-pa", str(beam_files()), "-eval", code]


@dataclass(frozen=True)
class Workload:
    name: str
    unit: str
    ours: Python
    peers: dict[str, Python | Beam] = field(default_factory=dict[str, Python | Beam])
    more_is_better: bool = True

    def ratio(self, ours: float, theirs: float) -> float:
        return ours / theirs if self.more_is_better else theirs / ours


@dataclass(frozen=True)
class Row:
    """One line of the result. `theirs` and `ratio` are None for a peer that is not installed."""

    workload: str
    peer: str
    unit: str
    ours: float
    theirs: float | None
    ratio: float | None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        keys = ("workload", "peer", "unit", "ours", "theirs", "ratio")
        return {key: getattr(self, key) for key in keys} | ({"note": self.note} if self.note else {})


def beam_files() -> Path:
    """Where bench.erl is compiled to."""
    return ROOT / "build" / "beam"


def compile_beam() -> None:
    beam_files().mkdir(parents=True, exist_ok=True)
    subprocess.run(["erlc", "-o", str(beam_files()), str(HERE / "erl" / "bench.erl")], check=True, timeout=60)


def workloads() -> list[Workload]:
    """Every workload of every `workload_*.py` here, in the order of the files."""
    found: list[Workload] = []
    for file in sorted(HERE.glob("workload_*.py")):
        found += importlib.import_module(f"tests.benchmarks.{file.stem}").WORKLOADS
    return found


def run_side(function: str) -> float:
    """In the side's own process: runs the function once."""
    module, name = function.split(":")
    return float(getattr(importlib.import_module(module), name)())


def measure(workload: Workload, rounds: int) -> list[Row]:
    """Runs all sides once per round, in turned order every other round."""
    sides: dict[str, Python | Beam] = {"": workload.ours, **workload.peers}
    absent = {name: missing for name, side in sides.items() if (missing := side.missing()) is not None}
    if "" in absent:
        return [
            Row(workload.name, "", workload.unit, 0.0, None, None, f"skipped: {absent['']} is not installed")
        ]
    present = [name for name in sides if name not in absent]
    values: dict[str, list[float]] = {name: [] for name in present}
    for number in range(rounds):
        for name in present if number % 2 == 0 else reversed(present):
            values[name].append(_value(sides[name]))
    ours = statistics.median(values[""])
    rows = [
        Row(
            workload=workload.name,
            peer=name,
            unit=workload.unit,
            ours=ours,
            theirs=statistics.median(values[name]),
            ratio=statistics.median(map(workload.ratio, values[""], values[name])),
        )
        for name in present
        if name
    ]
    rows += [
        Row(workload.name, name, workload.unit, ours, None, None, f"absent: {missing} is not installed")
        for name, missing in absent.items()
    ]
    if not workload.peers:
        rows.append(Row(workload.name, "none", workload.unit, ours, None, None))
    return rows


def _value(side: Python | Beam) -> float:
    done = subprocess.run(
        side.command(),
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=SIDE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(side.command())} failed:\n{done.stderr}")
    return float(done.stdout.strip().splitlines()[-1])
