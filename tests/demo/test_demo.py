"""The main job itself, once, as a user runs it: under a minute, every oracle holds, every key of the report is there."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allstop.actors.links.journal_file import verify_journal
from allstop.actors.links.latch import read_latch
from allstop.supervisors.cli import main

pytestmark = [pytest.mark.loopback, pytest.mark.slow]
DEMO_S = 60.0  # what the demo promises
WHOLE, REAL = (int,), (int, float)
KEYS: dict[str, tuple[type, ...]] = {
    "seed": WHOLE, "duration_s": REAL, "frames_in": WHOLE, "checksums_ok": WHOLE, "checksums_bad": WHOLE,
    "orders_submitted": WHOLE, "executions": WHOLE, "duplicates": WHOLE, "lost_orders": WHOLE,
    "uncovered_ms_max": REAL, "crashes": WHOLE, "restarts": WHOLE, "escalations": WHOLE, "level_changes": WHOLE,
    "halt_proven_ms": REAL, "recovery_ms": (dict,), "oracles": (dict,),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The report of one demo, and what it kept."""
    kept = tmp_path_factory.mktemp("demo")
    program = "from allstop.supervisors.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "--json", "--seed", "11", "--keep", str(kept)],
        capture_output=True, text=True, timeout=DEMO_S + 30.0,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), kept


def test_the_report_has_every_key_with_its_type(run: tuple[dict[str, Any], Path]) -> None:
    report, _ = run
    assert {name: type(value) for name, value in report.items()}.keys() == KEYS.keys()
    wrong = {n: report[n] for n, types in KEYS.items() if type(report[n]) not in types}
    assert wrong == {}
    assert {name: type(value) for name, value in report["recovery_ms"].items()} == dict.fromkeys(
        ("p50", "p99", "max"), float
    )


def test_all_eight_oracles_hold(run: tuple[dict[str, Any], Path]) -> None:
    assert run[0]["oracles"] == {f"O{n}": True for n in range(1, 9)}


def test_it_traded_was_hurt_recovered_and_halted_in_time(run: tuple[dict[str, Any], Path]) -> None:
    report, _ = run
    assert report["seed"] == 11
    assert report["duration_s"] < DEMO_S
    # checksums_bad may be above 0: the script damages a frame, and what follows it until the new snapshot is off.
    assert (report["duplicates"], report["lost_orders"]) == (0, 0)
    for name in ("frames_in", "checksums_ok", "orders_submitted", "executions", "crashes", "restarts"):
        assert report[name] > 0, name
    assert report["halt_proven_ms"] > 0
    assert report["uncovered_ms_max"] <= 2000.0


def test_what_it_kept_can_be_checked_by_anyone(run: tuple[dict[str, Any], Path]) -> None:
    report, kept = run
    assert read_latch(kept).latched
    truth = json.loads((kept / "truth.json").read_text())
    assert len(truth["executions"]) == report["executions"]
    journals = sorted(kept.glob("journal-*.db"))
    assert len(journals) == 2
    for path in journals:
        verify_journal(path)
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_engine_that_halted_is_still_halted_for_whoever_asks(
    run: tuple[dict[str, Any], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo has started a second engine on this directory and was refused an entry; the latch outlived it too."""
    with pytest.raises(SystemExit) as ended:
        main(["status", "--state-dir", str(run[1]), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1
    assert (told["engine"], told["halted"], told["by"]) == (False, True, "demo")


def test_its_log_says_nothing_that_is_secret_and_is_readable(run: tuple[dict[str, Any], Path]) -> None:
    lines = (run[1] / "log.ndjson").read_text().splitlines()
    assert all(json.loads(line)["event"] for line in lines)
    assert any(json.loads(line)["event"] == "gate.opened" for line in lines)


def test_nothing_is_left_in_the_temporary_directory(run: tuple[dict[str, Any], Path]) -> None:
    del run
    assert [name for name in os.listdir("/tmp") if name.startswith("allstop-demo-") and _ours(name)] == []


def _ours(name: str) -> bool:
    """Of a demo that is over: one that runs beside us holds its control socket."""
    return not (Path("/tmp") / name / "control.sock").exists()
