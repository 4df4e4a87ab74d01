"""A run in a file: what `allstop simulate --replay FILE` runs again, and what a failing seed is written to.

The file is JSON for people: the tree by its reference, the seed, every fault with its time. It can be committed, as a
test that the run holds from now on.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.simulation.faults import problems
from allstop.supervisors.simulation.plan import FaultPlan

FORMAT: Final = 1
BYTES_MAX: Final = 8 * 1024 * 1024  # a plan of 5,000 faults is under 1 MB


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run. `oracle`, `at_s` and `why` say what did not hold when it was written; the run itself does not look at
    them. `allstop` is the version that wrote it: another may do other things at the same seed."""

    format: int = FORMAT
    allstop: str = ""
    tree: str  # as on the command line: busy, quiet, demo, file.py:attribute or package.module:attribute
    oracle: str | None = None
    at_s: float | None = None
    why: str = ""
    note: str = ""  # for people
    plan: FaultPlan

    @property
    def seed(self) -> int:
        return self.plan.seed

    @property
    def duration_s(self) -> float:
        return self.plan.duration_s


def replay_of(
    plan: FaultPlan, *, tree: str, oracle: str | None = None, at_s: float | None = None, why: str = ""
) -> Replay:
    """A run as it is written by this version."""
    return Replay(allstop=this_version(), tree=tree, oracle=oracle, at_s=at_s, why=why, plan=plan)


def this_version() -> str:
    """The version of allstop that is installed; empty when it runs from somewhere else."""
    try:
        return version("allstop")
    except PackageNotFoundError:
        return ""


def told(replay: Replay) -> str:
    """The file's text."""
    return msgspec.json.format(msgspec.json.encode(replay), indent=2).decode() + "\n"


def write_replay(path: str | Path, replay: Replay) -> Path:
    """Writes the file, and the folders above it that are not there. Its path. Raises OSError."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(told(replay))
    return file


def read_replay(path: str | Path) -> Replay:
    """The run in a file. Raises BadInput, naming the file and each place that is wrong."""
    file = Path(path)
    try:
        size = file.stat().st_size
        text = file.read_bytes() if size <= BYTES_MAX else b""
    except OSError as error:
        raise BadInput(Problem(f"cannot be read: {error.strerror or error}", str(file))) from error
    if size > BYTES_MAX:
        raise BadInput(Problem(f"{size} bytes are more than any run needs ({BYTES_MAX})", str(file)))
    found = _problems_of_format(text)
    if found:
        raise BadInput(*(Problem(found_one, str(file)) for found_one in found))
    try:
        replay = msgspec.json.decode(text, type=Replay)
    except msgspec.ValidationError as error:
        raise BadInput(Problem(f"is not a run: {error}", str(file))) from error
    wrong = _problems(replay.plan, str(file))
    if wrong:
        raise BadInput(*wrong)
    return replay


def _problems_of_format(text: bytes) -> list[str]:
    """What must be said before anything else: it is no JSON, or of another version of the format."""
    try:
        head = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return [f"is not JSON: {error}"]
    if not isinstance(head, dict):
        return ["is not a run: a run is an object"]
    written = head.get("format", None)
    if written != FORMAT:
        return [f"is of format {written!r}, and this allstop reads format {FORMAT}"]
    return []


def _problems(plan: FaultPlan, file: str) -> list[Problem]:
    found = [
        problem
        for n, fault in enumerate(plan.faults)
        for problem in problems(fault, f"{file}: plan.faults[{n}]")
    ]
    if not 0 < plan.quiet_from_s <= plan.duration_s:
        said = f"must be above 0 and at most duration_s ({plan.duration_s:g}), not {plan.quiet_from_s:g}"
        found.append(Problem(said, f"{file}: plan.quiet_from_s"))
    found += [
        Problem(
            f"begins at {fault.at_s:g} s, after the quiet ({plan.quiet_from_s:g} s)",
            f"{file}: plan.faults[{n}].at_s",
        )
        for n, fault in enumerate(plan.faults)
        if fault.at_s > plan.quiet_from_s
    ]
    return found
