import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.links import durable_file, latch
from allstop.actors.links.latch import FileLatch, LatchEvent, MemoryLatch, lift_latch, read_latch, write_latch


def test_without_a_file_nothing_is_latched(tmp_path: Path):
    assert read_latch(tmp_path).latched is False


def test_a_halt_is_read_back_with_who_why_and_when(tmp_path: Path):
    write_latch(tmp_path, "ann", "drill", 7)
    state = read_latch(tmp_path)
    assert (state.latched, state.by, state.reason, state.at_ns) == (True, "ann", "drill", 7)


def test_a_halt_in_a_directory_that_is_not_there_makes_it(tmp_path: Path):
    write_latch(tmp_path / "var", "ann", "drill", 7)
    assert read_latch(tmp_path / "var").latched


def in_memory(path: Path) -> MemoryLatch:
    return MemoryLatch()


@pytest.mark.parametrize("make", [FileLatch, in_memory], ids=["file", "memory"])
def test_the_history_keeps_every_halt_and_lift_and_the_first_halt_stays_the_cause(
    tmp_path: Path, make: Callable[[Path], FileLatch | MemoryLatch]
):
    latch = make(tmp_path)
    latch.write("ann", "drill", 1)
    latch.write("/accounts/kraken.main", "budget spent", 2)
    caused_by = latch.read().by
    latch.lift("bob", "checked", 3)
    state = latch.read()
    assert caused_by == "ann"
    assert (state.latched, state.by) == (False, "bob")
    assert state.history == (
        LatchEvent("halt", "ann", "drill", 1),
        LatchEvent("halt", "/accounts/kraken.main", "budget spent", 2),
        LatchEvent("lift", "bob", "checked", 3),
    )


def test_lifting_what_is_not_latched_changes_nothing(tmp_path: Path):
    assert lift_latch(tmp_path, "bob", "why not", 1).history == ()
    assert not (tmp_path / "halt.json").exists()


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("bob", " "), ("", "")])
def test_a_lift_needs_a_name_and_a_reason(tmp_path: Path, by: str, reason: str):
    write_latch(tmp_path, "ann", "drill", 1)
    with pytest.raises(BadInput):
        lift_latch(tmp_path, by, reason, 2)
    assert read_latch(tmp_path).latched


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"latched": "no"}', b'{"by": "ann"}', b"\xff\xfe", b"null", b'{"latched": 0}']
)
def test_a_file_that_cannot_be_understood_reads_as_latched(tmp_path: Path, content: bytes):
    (tmp_path / "halt.json").write_bytes(content)
    state = read_latch(tmp_path)
    assert state.latched
    assert "cannot be read" in state.reason


def test_a_file_that_cannot_be_opened_reads_as_latched(tmp_path: Path):
    (tmp_path / "halt.json").mkdir()
    assert read_latch(tmp_path).latched


def test_a_link_that_leads_nowhere_reads_as_latched(tmp_path: Path):
    """The disk that holds the latch is not mounted: that is no word that trading may go on."""
    (tmp_path / "halt.json").symlink_to(tmp_path / "not mounted" / "halt.json")
    state = read_latch(tmp_path)
    assert state.latched
    assert "cannot be read" in state.reason


def test_lifting_keeps_the_file_that_could_not_be_read(tmp_path: Path):
    (tmp_path / "halt.json").write_bytes(b"torn")
    assert lift_latch(tmp_path, "bob", "checked", 5).latched is False
    assert (tmp_path / "halt.json.unreadable.5").read_bytes() == b"torn"
    assert read_latch(tmp_path).latched is False


def test_the_history_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(latch, "HISTORY_MAX", 3)
    for at_ns in range(5):
        write_latch(tmp_path, "ann", "drill", at_ns)
    assert [event.at_ns for event in read_latch(tmp_path).history] == [2, 3, 4]


def test_content_name_and_directory_are_flushed_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(fd: int) -> None:
        done.append("directory" if os.path.isdir(f"/proc/self/fd/{fd}") else "content")
        fsync(fd)

    def noted_replace(source: str, target: Path) -> None:
        done.append("name")
        replace(source, target)

    monkeypatch.setattr(durable_file.os, "fsync", noted_fsync)
    monkeypatch.setattr(durable_file.os, "replace", noted_replace)
    write_latch(tmp_path, "ann", "drill", 1)
    assert done == ["content", "name", "directory"]


def test_a_write_that_fails_raises_and_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable_file.os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_latch(tmp_path, "ann", "drill", 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["halt.json.lock"]


def test_writers_in_threads_and_processes_lose_no_halt(tmp_path: Path):
    script = (
        "import sys\nfrom allstop.actors.links.latch import write_latch\n"
        "for n in range(20): write_latch(sys.argv[1], 'process', 'drill', n)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    threads = [
        threading.Thread(target=lambda: [write_latch(tmp_path, "thread", "drill", n) for n in range(20)])
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert process.wait(30) == 0
    by = [event.by for event in read_latch(tmp_path).history]
    assert (by.count("thread"), by.count("process")) == (40, 20)


def test_a_halt_does_not_wait_for_a_writer_that_hangs_and_a_lift_does_not_go_past_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(latch, "TURN_TRIES", 2)
    with latch._turn(tmp_path):
        write_latch(tmp_path, "ann", "drill", 1)
        with pytest.raises(BadInput, match="another process"):
            lift_latch(tmp_path, "bob", "checked", 2)
    assert read_latch(tmp_path).latched
