"""The tree that docs/simulation.md shows, as a reader would write it down: it is checked, it is simulated, it trades."""

import json
import re
from pathlib import Path

import pytest

from allstop.supervisors.cli.group import invoke

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (shown,) = re.findall(r"^```python\n(# mine\.py\n.*?)^```", PAGE.read_text(), re.M | re.S)
    file = tmp_path / "mine.py"
    file.write_text(shown)
    return file


def test_the_tree_of_the_page_is_sound(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role, letter in (("KRAKEN", "k"), ("PROTECT", "p")):
        monkeypatch.setenv(f"{role}_KEY", letter * 56)
        monkeypatch.setenv(f"{role}_SECRET", letter * 86 + "==")
    assert invoke(["check", str(mine)]) == 0


def test_the_tree_of_the_page_trades_through_bad_days_and_one_seed_is_one_run(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["simulate", str(mine), "--jobs", "1", "--json", "--out", str(tmp_path)]
    assert invoke([*asked, "--seeds", "1..4"]) == 0
    told = json.loads(capsys.readouterr().out)
    digests: set[str] = set()
    for _ in range(2):
        assert invoke([*asked, "--seed", "3"]) == 0
        digests.add(json.loads(capsys.readouterr().out)["digest"])
    assert len(digests) == 1
    assert told["failed"] == []
    assert told["submitted"] > 20
    assert told["executions"] > 20
