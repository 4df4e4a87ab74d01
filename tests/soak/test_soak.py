"""The soak itself, with items that only say that they ran: what it begins, what it keeps, how it ends."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kill.engine import ROOT
from tests.soak import __main__ as command
from tests.soak.book import Book, Item
from tests.soak.items import ItemFailed, failed_seeds

WAIT_S = 60.0
KILLS, DEMO, SEEDS, FUZZ = Item("kills", 1), Item("demo", 1), Item("seeds", 1), Item("fuzz", 1)
ITEMS = [KILLS, SEEDS, DEMO, FUZZ]


class Played:
    """In place of `run_item`: writes down who ran beside whom."""

    def __init__(self, *failing: Item) -> None:
        self.failing = failing
        self.ran: list[Item] = []
        self.running: list[Item] = []
        self.together: list[set[Item]] = []

    async def __call__(self, item: Item, _keep: Path) -> str:
        self.ran.append(item)
        self.running.append(item)
        self.together.append(set(self.running))
        await asyncio.sleep(0)
        self.running.remove(item)
        if item in self.failing:
            raise ItemFailed("O3 does not hold")
        return "held"


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book.open(tmp_path / "soak.json")


def played(monkeypatch: pytest.MonkeyPatch, *failing: Item) -> Played:
    play = Played(*failing)
    monkeypatch.setattr(command, "run_item", play)
    return play


def test_all_items_run_and_those_that_may_run_beside_one_another(
    monkeypatch: pytest.MonkeyPatch, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    play = played(monkeypatch)
    assert command.soak(ITEMS, book, None, 2) == 0
    assert sorted(play.ran) == sorted(ITEMS)
    assert max(play.together, key=len) == {KILLS, SEEDS, FUZZ}
    assert not book.path.exists()
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "all 4 items hold"
    assert said[3].startswith("[4/4] ")
    assert " a minute, ETA 0 min" in said[3]


def test_an_item_that_fails_is_named_the_rest_runs_and_the_next_soak_runs_it_again(
    monkeypatch: pytest.MonkeyPatch, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    played(monkeypatch, SEEDS)
    assert command.soak(ITEMS, book, None, 2) == 1
    said = capsys.readouterr().out
    assert "FAILED seeds:1: O3 does not hold\n  again: python -m tests.soak --only seeds:1" in said
    assert set(json.loads(book.path.read_text())["done"]) == {"kills:1", "demo:1", "fuzz:1"}
    again = played(monkeypatch)
    assert command.soak(ITEMS, Book.open(book.path), None, 2) == 0
    assert again.ran == [SEEDS]
    assert "resuming: 3 of 4 passed before" in capsys.readouterr().out


def test_an_hour_that_is_over_with_items_left_is_no_success_and_a_slice_that_was_asked_for_is_none_less(
    monkeypatch: pytest.MonkeyPatch, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    play = played(monkeypatch)
    book.done = {"kills:0": 600.0, "seeds:0": 30.0, "demo:0": 30.0, "fuzz:0": 30.0}
    assert command.soak(ITEMS, book, 5.0, 2) == 0
    assert KILLS not in play.ran
    assert len(play.ran) == 3
    assert "5 minutes are over with 1 of 4 items left" in capsys.readouterr().out
    monkeypatch.setattr(command, "MINUTES", 5.0)
    assert command.soak(ITEMS, Book(book.path, {"kills:0": 600.0}), None, 2) == command.UNFINISHED


def test_the_seeds_that_failed_are_told_with_their_files() -> None:
    said = (
        '{"failed": [{"seed": 312, "oracle": "O3", "at_s": 134.69, "why": "bare", "file": "out/bad-day-312.json"},'
        ' {"seed": 7, "oracle": "O1", "at_s": 1, "why": "two", "file": ""}]}'
    )
    assert failed_seeds(said) == (
        "seed 312 O3 at 134.690 s: bare: allstop simulate --replay out/bad-day-312.json; seed 7 O1 at 1.000 s: two"
    )
    assert failed_seeds("Traceback") == ""


def children(pid: int) -> list[int]:
    """Of /proc: a machine for tests need not have ps."""
    return [
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if (told := stat(path)) and told[1] == str(pid)
    ]  # fmt: skip


def stat(path: Path) -> list[str]:
    """State, parent and the rest; empty when it has gone meanwhile."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_however_a_soak_ends_what_it_began_ends_with_it(end: signal.Signals) -> None:
    soak = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.soak", "--only", "fuzz:0", cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            while not (begun := children(soak.pid)):
                await asyncio.sleep(0.05)
            soak.send_signal(end)
            _, err = await soak.communicate()
            while any(runs(pid) for pid in begun):
                await asyncio.sleep(0.02)
    finally:
        if soak.returncode is None:
            soak.kill()
            await soak.communicate()
    if end is signal.SIGKILL:
        assert soak.returncode == -signal.SIGKILL
    else:
        assert soak.returncode == 130
        assert err.decode() == "interrupted with 1 of 1 items left: run it again to go on\n"


def runs(pid: int) -> bool:
    return stat(Path(f"/proc/{pid}/stat"))[:1] not in ([], ["Z"])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--seeds", "5..1"], "'5..1' is not A..B with A at most B"),
        (["--simulated", "-3"], "'-3' is below 0"),
        (["--only", "tea:1"], "'tea:1' is none of kills:N, demo:N"),
        (["--kills", "-1"], "--kills, --model and --fuzz are at least 0"),
        (["--minutes", "0"], "--cores is at least 1 and --minutes above 0"),
    ],
)
def test_wrong_options_are_named(
    asked: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["soak", *asked])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
