"""A disk that is really full, or does not flush, under the real journal in a process of its own: what was confirmed is there afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kill import shim
from tests.kill.engine import ROOT

WAIT_S = 60.0
MOUNT = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -m tests.kill.full_disk tmpfs "$1"'
# In a mount namespace of its own: it goes with the process. Who is not root is root of a namespace of users.
AS_ROOT = ("unshare", "--mount")
AS_ANYBODY = ("unshare", "--map-root-user", "--mount")


def tmpfs(directory: Path, program: str) -> tuple[str, ...]:
    """The command that runs this program on a disk of one megabyte."""
    return (*(AS_ROOT if os.geteuid() == 0 else AS_ANYBODY), "sh", "-c", MOUNT, "sh", str(directory), program)


def why_no_tmpfs(directory: Path) -> str:
    """What is missing here for such a disk, in one line; empty when nothing is."""
    try:
        tried = subprocess.run(tmpfs(directory, "true"), capture_output=True, text=True, timeout=WAIT_S)
    except FileNotFoundError:
        return "no unshare, of util-linux: a disk of one megabyte cannot be mounted"
    said = " ".join(tried.stderr.split())
    return f"a disk of one megabyte cannot be mounted: {said}" if tried.returncode else ""


@pytest.mark.parametrize("kind", ["tmpfs", "fsize", "fsync"])
def test_a_disk_that_is_full_or_does_not_flush_ends_the_journal_for_good_and_nothing_confirmed_is_lost(
    kind: str, tmp_path: Path
) -> None:
    missing = {"tmpfs": lambda: why_no_tmpfs(tmp_path), "fsync": shim.why_not}.get(kind, str)()
    if missing:
        pytest.skip(missing)
    asked = (
        tmpfs(tmp_path, sys.executable)
        if kind == "tmpfs"
        else (sys.executable, "-m", "tests.kill.full_disk", kind, str(tmp_path))
    )
    environ = {**os.environ, **(shim.environ_of(tmp_path) if kind == "fsync" else {})}
    ran = subprocess.run(asked, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=WAIT_S)
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout)
    assert told["chain_ok"]
    assert 50 < len(told["confirmed"]) < 5000
    assert len(told["codes"]) == 2, "the append that failed, and every one after it"
    # What failed may have been written all the same; what was confirmed must have been.
    assert told["kept"][: len(told["confirmed"])] == told["confirmed"]
    assert set(told["kept"]) <= {*told["confirmed"], str(len(told["confirmed"]))}


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can be both root and somebody else; who is not, tries it above"
)
def test_who_is_not_root_gets_a_full_disk_too_where_the_kernel_gives_namespaces_of_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why_no_tmpfs(tmp_path):
        pytest.skip(why_no_tmpfs(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    why = why_no_tmpfs(tmp_path)
    assert why == "" or why.startswith("a disk of one megabyte cannot be mounted: unshare")
