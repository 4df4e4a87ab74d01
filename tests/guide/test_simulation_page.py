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
    monkeypatch.setenv("KRAKEN_KEY", "k" * 56)
    monkeypatch.setenv("KRAKEN_SECRET", "s" * 86 + "==")
    assert invoke(["check", str(mine)]) == 0


def test_the_tree_of_the_page_trades_through_bad_days(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["simulate", str(mine), "--seeds", "1..4", "--jobs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == []
    assert told["submitted"] > 20
    assert told["executions"] > 20
