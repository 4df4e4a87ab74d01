"""The commands that need no engine: what they print and how they exit."""

import json
from pathlib import Path

import pytest

from allstop.actors.links.latch import read_latch
from allstop.supervisors.cli import main

CAPTURES = Path(__file__).parents[1] / "captures" / "kraken" / "ws"
BOOK = CAPTURES / "v2_book10_btcusd_2023-07-30_part1.ndjson"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_halt_latches_on_disk_with_no_engine_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(
        capsys, "halt", "--state-dir", str(tmp_path), "--by", "ann", "--reason", "drill", "--json"
    )
    assert code == 0
    assert json.loads(out) == {
        "latched": True,
        "engine": False,
        "proven": None,
        "message": "no engine runs here; the next one starts halted",
    }
    latch = read_latch(tmp_path)
    assert (latch.latched, latch.by, latch.reason) == (True, "ann", "drill")


def test_status_says_halted_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "halt", "--state-dir", str(tmp_path), "--by", "ann", "--reason", "drill")
    code, out, _ = run(capsys, "status", "--state-dir", str(tmp_path), "--json")
    assert code == 1
    assert json.loads(out) == {"engine": False, "halted": True, "by": "ann", "reason": "drill"}


def test_resume_lifts_the_latch_and_keeps_who_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "halt", "--state-dir", str(tmp_path), "--by", "ann", "--reason", "drill")
    code, _, _ = run(capsys, "resume", "--state-dir", str(tmp_path), "--by", "ben", "--reason", "drill over")
    assert code == 0
    latch = read_latch(tmp_path)
    assert not latch.latched
    assert [(event.action, event.by, event.reason) for event in latch.history] == [
        ("halt", "ann", "drill"),
        ("lift", "ben", "drill over"),
    ]


def test_resume_without_a_reason_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "halt", "--state-dir", str(tmp_path))
    code, _, err = run(capsys, "resume", "--state-dir", str(tmp_path))
    assert code == 2
    assert "--reason" in err
    assert read_latch(tmp_path).latched


def test_resume_without_a_name_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "halt", "--state-dir", str(tmp_path))
    code, _, err = run(capsys, "resume", "--state-dir", str(tmp_path), "--by", " ", "--reason", "because")
    assert (code, err) == (2, "error: a lift needs a name\n")
    assert read_latch(tmp_path).latched


def test_a_captured_book_verifies_frame_by_frame(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "capture", "verify", str(BOOK), "--json")
    verdict = json.loads(out)
    assert code == 0
    assert (verdict["frames"], verdict["checksums_ok"], verdict["checksums_bad"], verdict["gaps"]) == (
        341,
        341,
        0,
        0,
    )


def test_a_changed_digit_is_found_and_its_line_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = BOOK.read_text().splitlines()
    lines[40] = lines[40].replace('"qty":', '"qty":1', 1)
    bad = tmp_path / "bad.ndjson"
    bad.write_text("\n".join(lines))
    code, out, _ = run(capsys, "capture", "verify", str(bad))
    assert code == 1
    assert "first bad: line 41, BTC/USD" in out


def test_a_file_that_is_no_capture_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("dear diary\n")
    code, _, err = run(capsys, "capture", "verify", str(file))
    assert code == 2
    assert f"{file}:1" in err


def test_doctor_measures_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "doctor", "--state-dir", str(tmp_path), "--json")
    findings = {finding["name"]: finding for finding in json.loads(out)}
    assert {"sqlite", "fsync", "clock", "open_files", "state_dir"} <= findings.keys()
    assert all(finding["what"] and finding["level"] in ("ok", "warn", "bad") for finding in findings.values())
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "nope")
    assert code == 2
    assert "nope" in err
