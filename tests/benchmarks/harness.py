"""How a workload is measured: every side in a process of its own, rounds interleaved, medians of paired ratios.

To add a workload, write `tests/benchmarks/workload_<name>.py` with a module-level list, and it is found:

    WORKLOADS = [
        Workload(
            name="frames", unit="frames/s",
            ours=Python("tests.benchmarks.workload_frames:ours"),
            peers={"ccxt": Python("tests.benchmarks.workload_frames:ccxt", needs=("ccxt",))},
        ),
    ]

A `Python` side names a plain function that runs the workload once, checks what came of it, and returns one float in
`unit`, or a dict of floats for a workload with several `measures`. It runs in a fresh process and should last 0.1 s to
1 s, with its imports and warm-up before the clock starts; `measuring.amount` says how much it is to do. A `Beam` side
names a function of `erl/bench.erl`. A side whose needs are not installed is absent. What a figure must reach stands in
`targets.py`.

Absolute rates drift on shared machines; ratios of sides measured in the same round hold still. So a ratio is the
median over rounds of one round's ratio, above 1 where we are better, whichever way the unit goes. A host is slow for
seconds at a time, as long as a side runs: a workload whose floor is near has several `slices` in a round, in which we,
the limits, BEAM and pykka run again, in turned order, and each slice is a pair of its own.
"""

import importlib
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import SCALE

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SIDE_TIMEOUT_S = 120.0  # the slowest side takes a few seconds; beyond this it hangs
OURS = "allstop"
RAW, PYKKA, BEAM = "raw", "pykka", "BEAM"
CAPTURING = "BEAM capturing"
PURE = "pure Python"  # our own side, beside the compiled one
CLOSE = frozenset(
    (OURS, PURE, RAW, BEAM, CAPTURING)
)  # who runs in each slice: the others are further off than any noise
ALLSTOP_PURE = "ALLSTOP_PURE"  # a peer's environment has no allstop to ask for its name
COMPILED_FILES = ROOT / "build" / "compiled"  # built by `--compiled`: no environment is changed
Figures = dict[str, float]


class SideFailed(Exception):
    """A side broke down or counted wrong: it has no figures, and neither has who is compared with it."""


class Interpreter(StrEnum):
    """Where a Python side runs. Peers that would not live with our dependencies have environments of their own."""

    OWN = "own"
    PEERS = "build/peers-venv"
    NEWER = "build/peers-venv-newer"  # for peers that need Python 3.12

    @property
    def path(self) -> Path:
        return Path(sys.executable) if self is Interpreter.OWN else ROOT / self.value / "bin" / "python"


@dataclass(frozen=True)
class Python:
    """A function "module:name" that takes nothing and returns what it measured."""

    function: str
    needs: tuple[str, ...] = ()  # modules that must be importable
    interpreter: Interpreter = Interpreter.OWN
    caveat: str = ""  # what a reader must know of this side
    compiled: bool = False  # with the compiled module; else without it, whatever is installed

    def environment(self) -> dict[str, str]:
        if not self.compiled:
            return {ALLSTOP_PURE: "1"}
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(COMPILED_FILES))))
        return {ALLSTOP_PURE: "0", "PYTHONPATH": path}

    def missing(self) -> str | None:
        if self.interpreter is not Interpreter.OWN:
            return _missing_elsewhere(self.interpreter, self.needs)
        return next(
            (f"{name} is not installed" for name in self.needs if importlib.util.find_spec(name) is None),
            None,
        )

    def command(self) -> list[str]:
        with_it = ["--compiled"] if self.compiled else []
        return [str(self.interpreter.path), "-m", "tests.benchmarks", "--side", self.function, *with_it]


@dataclass(frozen=True)
class Beam:
    """A function of erl/bench.erl, run on one scheduler: one core against one core."""

    function: str
    caveat: str = ""

    def missing(self) -> str | None:
        name = next((name for name in ("erl", "erlc") if shutil.which(name) is None), None)
        return name and f"{name} is not installed"

    def environment(self) -> dict[str, str]:
        return {}

    def command(self) -> list[str]:
        return [
            "erl", "+S", "1", "-noshell", "-noinput", "-pa", str(beam_files()),
            "-s", "bench", "main", "-extra", self.function,
        ]  # fmt: skip


Side = Python | Beam


@dataclass(frozen=True)
class Measure:
    """One figure of a workload."""

    name: str
    unit: str
    more_is_better: bool = True

    def ratio(self, ours: float, theirs: float) -> float:
        return ours / theirs if self.more_is_better else theirs / ours


@dataclass(frozen=True)
class Workload:
    """A name, what runs it, and what it gives: `measures`, or one nameless measure in `unit`."""

    name: str
    ours: Python
    peers: dict[str, Python | Beam] = field(default_factory=dict[str, Python | Beam])
    unit: str = ""
    more_is_better: bool = True
    measures: tuple[Measure, ...] = ()
    about: str = ""  # one sentence on what is done
    slices: int = 1  # how often in a round the sides run whose figures are compared with floors

    def figures(self) -> tuple[Measure, ...]:
        return self.measures or (Measure("", self.unit, self.more_is_better),)

    def sides(self) -> dict[str, Side]:
        return {OURS: self.ours, **self.peers}


@dataclass(frozen=True)
class Row:
    """One figure against one peer. `theirs` and `ratio` are None where there is none to compare with."""

    workload: str
    measure: str
    unit: str
    peer: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    lowest: float | None = None
    highest: float | None = None
    note: str = ""
    least: float | None = None  # of our own values, in the run's slices
    most: float | None = None

    def as_json(self) -> dict[str, Any]:
        keys = (
            "workload",
            "measure",
            "unit",
            "peer",
            "ours",
            "theirs",
            "ratio",
            "lowest",
            "highest",
            "least",
            "most",
        )
        return {key: getattr(self, key) for key in keys} | ({"note": self.note} if self.note else {})


def beam_files() -> Path:
    """Where bench.erl is compiled to."""
    return ROOT / "build" / "beam"


def compile_beam() -> None:
    beam_files().mkdir(parents=True, exist_ok=True)
    for source in sorted((HERE / "erl").glob("*.erl")):
        subprocess.run(["erlc", "-o", str(beam_files()), str(source)], check=True, timeout=60)


def workloads() -> list[Workload]:
    """Every workload of every `workload_*.py` here, in the order of the files."""
    found: list[Workload] = []
    for file in sorted(HERE.glob("workload_*.py")):
        found += importlib.import_module(f"tests.benchmarks.{file.stem}").WORKLOADS
    return found


def with_compiled(workload: Workload) -> Workload:
    """The same with our side compiled, and our pure one among its peers."""
    return replace(
        workload, ours=replace(workload.ours, compiled=True), peers={PURE: workload.ours, **workload.peers}
    )


def run_side(function: str, *, with_it: bool = False) -> Figures:
    """In the side's own process: runs the function once. A single float is the nameless measure. Raises SideFailed if
    it was to run with the compiled module, and did not."""
    module, name = function.split(":")
    result = getattr(importlib.import_module(module), name)()
    if with_it:
        code = sys.modules["allstop.actors.runtime.compiled"]
        if code.in_use is None:
            raise SideFailed(f"the compiled module was not in use: {code.refused or 'there is none'}")
    return result if isinstance(result, dict) else {"": float(result)}


_found: dict[tuple[Interpreter, tuple[str, ...]], str | None] = {}


def _missing_elsewhere(interpreter: Interpreter, needs: tuple[str, ...]) -> str | None:
    """What another interpreter lacks, asked once."""
    if (interpreter, needs) not in _found:
        if not interpreter.path.exists():
            _found[interpreter, needs] = "not installed (make bench-peers)"
        else:
            code = (
                "import sys, importlib.util as u; print(*[n for n in sys.argv[1:] if u.find_spec(n) is None])"
            )
            done = subprocess.run(
                [str(interpreter.path), "-c", code, *needs],
                capture_output=True, text=True, check=True, timeout=30,
            )  # fmt: skip
            _found[interpreter, needs] = (
                f"{done.stdout.split()[0]} is not installed" if done.stdout.split() else None
            )
    return _found[interpreter, needs]


class Measurement:
    """Every side of some workloads, round after round."""

    def __init__(
        self, chosen: Sequence[Workload], *, peers: bool = True, beam: bool = True, scale: float = 1.0
    ) -> None:
        """With `peers` False, sides that run in an environment of their own are left out; with `beam`, BEAM's."""
        self.workloads = tuple(chosen)
        self.scale = scale
        self.rounds = 0
        self.absent: dict[tuple[str, str], str] = {}
        self.values: dict[
            tuple[str, str], list[Figures | None]
        ] = {}  # by slice; None: it took no part in that one
        for workload in self.workloads:
            for name, side in workload.sides().items():
                why = side.missing()
                if why is None and not peers and _apart(side):
                    why = "left out (make bench-peers)"
                if why is None and not beam and isinstance(side, Beam):
                    why = "left out: its clock is not that of its processor"
                if why is None:
                    self.values[workload.name, name] = []
                else:
                    self.absent[workload.name, name] = why

    def round(self, say: Callable[[str], None]) -> None:
        """Runs every side of every workload once, and those that are compared closely in further slices; in turned order
        every other time.

        Raises SideFailed when one of ours, of the limits, of pykka's or of BEAM's breaks down or counts wrong. A peer
        from elsewhere that does is named and dropped.
        """
        for workload in self.workloads:
            if (workload.name, OURS) in self.absent:
                continue
            say(workload.name)
            for part in range(workload.slices):
                sides = [name for name in workload.sides() if (workload.name, name) in self.values]
                for name in sides if (self.rounds + part) % 2 == 0 else reversed(sides):
                    if part == 0 or name in CLOSE:
                        self._run(workload, name)
                    else:
                        self.values[workload.name, name].append(None)
        self.rounds += 1

    def _run(self, workload: Workload, name: str) -> None:
        side = workload.sides()[name]
        try:
            self.values[workload.name, name].append(run_apart(side, self.scale))
        except SideFailed as error:
            if not _apart(side):
                raise
            self.absent[workload.name, name] = f"failed: {str(error).strip().splitlines()[-1][:120]}"
            del self.values[workload.name, name]

    def rows(self) -> Iterator[Row]:
        for workload in self.workloads:
            if why := self.absent.get((workload.name, OURS)):
                yield Row(workload.name, "", workload.unit, "", 0.0, note=f"skipped: {why}")
                continue
            mine = [figures for figures in self.values[workload.name, OURS] if figures is not None]
            for measure in workload.figures():
                ours = [figures[measure.name] for figures in mine]
                compared = [
                    row for name in workload.peers if (row := self._row(workload, measure, name, ours))
                ]
                alone = Row(workload.name, measure.name, measure.unit, "", statistics.median(ours))
                for row in compared or [alone]:
                    yield replace(row, least=min(ours), most=max(ours))

    def _row(self, workload: Workload, measure: Measure, name: str, ours: list[float]) -> Row | None:
        middle = statistics.median(ours)
        if why := self.absent.get((workload.name, name)):
            return Row(workload.name, measure.name, measure.unit, name, middle, note=f"absent: {why}")
        pairs = [
            (mine, figures[measure.name])
            for mine, figures in zip(ours, self.values[workload.name, name], strict=True)
            if figures is not None and measure.name in figures
        ]
        if not pairs:
            return None  # a peer may have a part of the measures
        ratios = [measure.ratio(mine, theirs) for mine, theirs in pairs]
        return Row(
            workload=workload.name,
            measure=measure.name,
            unit=measure.unit,
            peer=name,
            ours=middle,
            theirs=statistics.median(theirs for _, theirs in pairs),
            ratio=statistics.median(ratios),
            lowest=min(ratios),
            highest=max(ratios),
            note=workload.sides()[name].caveat,
        )


def _apart(side: Side) -> bool:
    return isinstance(side, Python) and side.interpreter is not Interpreter.OWN


def run_apart(side: Side, scale: float) -> Figures:
    """Runs a side once in a process of its own. Raises SideFailed with what it wrote."""
    command = side.command()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0", SCALE: str(scale)} | side.environment(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SIDE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SideFailed(f"{' '.join(command)}: no result after {SIDE_TIMEOUT_S:.0f} s") from None
    found = parsed(done.stdout)
    if found is None:
        raise SideFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return found


def parsed(output: str) -> Figures | None:
    """The figures in what a side wrote: the last line that begins with FIGURES, as JSON."""
    lines = [line for line in output.splitlines() if line.startswith("FIGURES ")]
    return json.loads(lines[-1].removeprefix("FIGURES ")) if lines else None
