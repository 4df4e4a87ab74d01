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
UNSHARE = {"root": ("unshare", "--mount"), "anybody": ("unshare", "--map-root-user", "--mount")}


def on_tmpfs(who: str, directory: Path, program: str) -> tuple[str, ...]:
    """The command that runs this program on a disk of one megabyte."""
    return (*UNSHARE[who], "sh", "-c", MOUNT, "sh", str(directory), program)


def why_no_tmpfs(who: str, directory: Path) -> str:
    """What is missing here for such a disk, in one line; empty when nothing is."""
    try:
        command = on_tmpfs(who, directory, "true")
        tried = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    except FileNotFoundError:
        return "no unshare, of util-linux: a disk of one megabyte cannot be mounted"
    said = " ".join(tried.stderr.split())
    return f"{who} cannot mount a disk of one megabyte: {said}" if tried.returncode else ""


@pytest.mark.parametrize(
    ("kind", "who"), [("tmpfs", "root"), ("tmpfs", "anybody"), ("fsize", "anybody"), ("fsync", "anybody")]
)
def test_a_disk_that_is_full_or_does_not_flush_ends_the_journal_for_good_and_nothing_confirmed_is_lost(
    kind: str, who: str, tmp_path: Path
) -> None:
    asked = (sys.executable, "-m", "tests.kill.full_disk", kind, str(tmp_path))
    if kind == "tmpfs":
        if missing := why_no_tmpfs(who, tmp_path):
            pytest.skip(missing)
        asked = on_tmpfs(who, tmp_path, sys.executable)
    elif kind == "fsync" and (missing := shim.why_not()):
        pytest.skip(missing)
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
