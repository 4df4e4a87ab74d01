"""Runs in files: what is written is read, and what is broken says where."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from allstop.actors.errors import BadInput
from allstop.supervisors.simulation.plan import make_plan
from allstop.supervisors.simulation.replay import Replay, read_replay, replay_of, told, write_replay

GONE = object()


def run() -> Replay:
    return replay_of(
        make_plan(7, "hell", 300.0), tree="demo", oracle="O3", at_s=12.5, why="uncovered for 3.2 s"
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = run()

    file = write_replay(tmp_path / "below" / "seed-7.json", written)

    assert read_replay(file) == written
    assert (written.seed, written.duration_s) == (7, 300.0)


def test_a_file_is_for_people(tmp_path: Path) -> None:
    text = told(run())

    assert text.startswith('{\n  "format": 1,\n  "allstop": "')
    assert '"oracle": "O3"' in text
    assert '"kind": "' in text
    assert text.count("\n") > 20


def changed(tmp_path: Path, place: Sequence[str | int], value: object) -> Path:
    """A run's file with another value at this place, or (GONE) with none."""
    content: Any = json.loads(told(run()))
    inner: Any = content
    for name in place[:-1]:
        inner = inner[name]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("format",), 99, "is of format 99, and this allstop reads format 1"),
        (("format",), GONE, "is of format None"),
        (("colour",), "red", "is not a run: Object contains unknown field `colour`"),
        (("plan",), GONE, "is not a run: Object missing required field `plan`"),
        (("plan", "seed"), "x", r"is not a run: Expected `int`, got `str` - at `\$.plan.seed`"),
        (("plan", "faults", 0, "kind"), "link.bend", r"plan.faults\[0\].kind: no fault 'link.bend'"),
        (("plan", "faults", 1, "at_s"), -1, r"plan.faults\[1\].at_s: must be at least 0"),
        (("plan", "faults", 0, "at_s"), 299, r"plan.faults\[0\].at_s: begins at 299 s, after the quiet"),
        (("plan", "quiet_from_s"), 0, "plan.quiet_from_s: must be above 0"),
    ],
    ids=range(9),
)
def test_a_broken_file_says_what_is_wrong_and_where(
    tmp_path: Path, place: Sequence[str | int], value: object, said: str
) -> None:
    file = changed(tmp_path, place, value)

    with pytest.raises(BadInput, match=said) as refused:
        read_replay(file)
    assert all(str(problem).startswith(str(file)) for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("content", "said"), [(b"{", "is not JSON"), (b"[1]", "a run is an object"), (b"\xff", "is not JSON")]
)
def test_what_is_no_run_at_all_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "odd.json"
    file.write_bytes(content)

    with pytest.raises(BadInput, match=said):
        read_replay(file)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"nowhere\.json: cannot be read: No such file"):
        read_replay("nowhere.json")


def test_a_file_too_big_for_any_run_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allstop.supervisors.simulation.replay.BYTES_MAX", 100)

    with pytest.raises(BadInput, match="more than any run needs"):
        read_replay(write_replay(tmp_path / "big.json", run()))
