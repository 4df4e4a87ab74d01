import subprocess
import sys
from pathlib import Path

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.links.lock import KeyLock, fingerprint

HOLD = """
import sys
from allstop.actors.links.lock import KeyLock
lock = KeyLock.acquire(sys.argv[1], "kraken", "main", "the-key", 1_700_000_000_000_000_000)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_by_the_first_ones_pid_and_let_in_when_it_is_gone(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(BadInput, match=rf"kraken\.main.*process {first.pid} since 1700000000\.000"):
            KeyLock.acquire(tmp_path, "kraken", "main", "the-key", 1)
        first.kill()
        first.wait(10)
    KeyLock.acquire(tmp_path, "kraken", "main", "the-key", 1).release()


def test_a_key_is_locked_once_within_a_process_too(tmp_path: Path):
    with KeyLock.acquire(tmp_path, "kraken", "main", "k", 1), pytest.raises(BadInput):
        KeyLock.acquire(tmp_path, "kraken", "main", "k", 1)
    KeyLock.acquire(tmp_path, "kraken", "main", "k", 1).release()


@pytest.mark.parametrize("other", [("okx", "main", "k"), ("kraken", "hedge", "k"), ("kraken", "main", "k2")])
def test_another_venue_account_or_key_has_a_lock_of_its_own(tmp_path: Path, other: tuple[str, str, str]):
    with KeyLock.acquire(tmp_path, "kraken", "main", "k", 1), KeyLock.acquire(tmp_path, *other, 1):
        assert len(list((tmp_path / "locks").iterdir())) == 2


def test_the_key_is_not_written_down(tmp_path: Path):
    with KeyLock.acquire(tmp_path, "kraken", "main", "very-secret-key", 1) as lock:
        assert "very-secret-key" not in lock.path.name
        assert b"very-secret-key" not in lock.path.read_bytes()
        assert fingerprint("very-secret-key") in lock.path.name


def test_names_cannot_leave_the_directory(tmp_path: Path):
    with KeyLock.acquire(tmp_path, "../..", "a/b", "k", 1) as lock:
        assert lock.path.parent == tmp_path / "locks"
