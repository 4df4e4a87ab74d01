import importlib.util
import os
import stat
from pathlib import Path

import pytest

from allstop.actors.clock import ManualClock, SystemClock
from allstop.actors.links import doctor
from allstop.actors.links.doctor import (
    FindingLevel,
    examine,
    has_wal_reset_bug,
    judge_certificates,
    judge_clock,
    judge_extra,
    judge_fsync,
    judge_open_files,
    judge_runtime,
    judge_sqlite,
    judge_state_dir,
    probe_fsync,
)

NOW_NS = ManualClock().wall_ns() + 1


@pytest.mark.parametrize(
    ("version", "bug"),
    [
        ((3, 6, 23), False),  # no WAL at all
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 1), False),
        ((4, 0, 0), False),
    ],
)
def test_the_versions_with_the_wal_reset_bug(version: tuple[int, int, int], bug: bool):
    assert has_wal_reset_bug(version) is bug


@pytest.mark.parametrize(("version", "level"), [((3, 6, 0), "bad"), ((3, 40, 1), "warn"), ((3, 51, 3), "ok")])
def test_sqlite_is_judged_by_its_version(version: tuple[int, int, int], level: str):
    finding = judge_sqlite(version)
    assert finding.level == level
    assert ".".join(map(str, version)) in finding.what


@pytest.mark.parametrize(("slowest_ms", "level"), [(0.9, "ok"), (12.0, "warn"), (80.0, "bad")])
def test_a_disk_is_judged_by_its_slowest_flushes(slowest_ms: float, level: str):
    assert judge_fsync([0.5] * 98 + [slowest_ms] * 2).level == level


@pytest.mark.parametrize(
    ("wall_ns", "newest_ns", "stepped_ms", "error_ms", "level"),
    [
        (NOW_NS, 0, 0.0, 5.0, "ok"),
        (NOW_NS, NOW_NS, 0.0, 5.0, "ok"),
        (0, 0, 0.0, 5.0, "bad"),
        (NOW_NS, NOW_NS + 60 * 10**9, 0.0, 5.0, "bad"),
        (NOW_NS, 0, -500.0, 5.0, "bad"),
        (NOW_NS, 0, 0.0, None, "warn"),
        (NOW_NS, 0, 0.0, 400.0, "warn"),
        (NOW_NS, 0, 0.0, 16_000.0, "bad"),
    ],
)
def test_a_clock_is_judged_by_steps_and_error(
    wall_ns: int, newest_ns: int, stepped_ms: float, error_ms: float | None, level: str
):
    assert judge_clock(wall_ns, newest_ns, stepped_ms, error_ms).level == level


@pytest.mark.parametrize(("limit", "level"), [(64, "bad"), (256, "warn"), (1024, "ok"), (-1, "ok")])
def test_the_limit_of_open_files_is_judged(limit: int, level: str):
    assert judge_open_files(limit).level == level


DIRECTORY = stat.S_IFDIR


@pytest.mark.parametrize(
    ("mode", "owner", "writable", "level"),
    [
        (DIRECTORY | 0o700, 0, True, "ok"),
        (None, 0, True, "ok"),
        (None, 0, False, "bad"),
        (DIRECTORY | 0o755, 0, True, "warn"),
        (DIRECTORY | 0o777, 0, True, "bad"),
        (DIRECTORY | 0o720, 0, True, "bad"),
        (DIRECTORY | 0o700, 1, True, "warn"),
        (DIRECTORY | 0o500, 0, False, "bad"),
        (stat.S_IFREG | 0o600, 0, True, "bad"),
    ],
)
def test_the_state_directory_is_judged_by_who_may_do_what(
    mode: int | None, owner: int, writable: bool, level: str
):
    finding = judge_state_dir(Path("/var/x"), mode, os.geteuid() + owner, writable)
    assert finding.level == level
    assert "/var/x" in finding.what


@pytest.mark.parametrize(("count", "level"), [(0, "warn"), (140, "ok")])
def test_a_machine_that_trusts_nobody_is_warned_of(count: int, level: str):
    assert judge_certificates(count).level == level


def test_a_missing_extra_says_what_is_lost_and_how_to_get_it():
    finding = judge_extra("rich", installed=False)
    assert (finding.level, finding.advice) == (FindingLevel.WARN, "pip install 'allstop[all]'")
    assert "tree" in finding.why


def test_it_is_said_whether_a_compiled_module_is_in_use():
    pure = judge_runtime(None, None)
    assert pure.level == FindingLevel.OK
    assert pure.what.startswith("pure Python; no compiled module is in use (CPython 3.")
    assert judge_runtime("/somewhere/hot.so", None).what.startswith("compiled: /somewhere/hot.so (CPython 3.")


def test_a_build_that_is_not_used_is_warned_of_by_name():
    finding = judge_runtime(None, "/somewhere/hot.so: it was built from other sources")
    assert finding.level == FindingLevel.WARN
    assert finding.what.startswith(
        "pure Python; refused /somewhere/hot.so: it was built from other sources ("
    )
    assert "allstop compile" in finding.advice


def test_flushes_are_measured_and_the_probe_leaves_nothing(tmp_path: Path):
    times_ms = probe_fsync(tmp_path, SystemClock())
    assert len(times_ms) == doctor.FSYNC_SAMPLES
    assert 0 < times_ms[0] <= times_ms[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_machine_is_examined_whole_and_what_is_not_ok_comes_with_advice(tmp_path: Path):
    findings = examine(tmp_path / "not" / "yet", SystemClock())
    assert [finding.name for finding in findings] == [
        "sqlite",
        "state_dir",
        "fsync",
        "clock",
        "open_files",
        "certificates",
        "uvloop",
        "click",
        "rich",
    ]
    assert all(finding.advice for finding in findings if finding.level is not FindingLevel.OK)
    assert not (tmp_path / "not").exists()


def test_missing_extras_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # pyright: ignore
    levels = {finding.name: finding.level for finding in examine(tmp_path, SystemClock())}
    assert [levels[name] for name in ("uvloop", "click", "rich")] == ["warn"] * 3


def test_an_old_file_of_tomorrow_shows_a_clock_that_stepped_back(tmp_path: Path):
    path = tmp_path / "journal-runtime.db"
    path.touch()
    tomorrow_ns = SystemClock().wall_ns() + 86_400 * 10**9
    os.utime(path, ns=(tomorrow_ns, tomorrow_ns))
    clock = next(finding for finding in examine(tmp_path, SystemClock()) if finding.name == "clock")
    assert clock.level is FindingLevel.BAD
    assert "stepped back" in clock.what
