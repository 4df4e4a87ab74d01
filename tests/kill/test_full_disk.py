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
TMPFS = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    MOUNT,
    "sh",
)  # in a mount namespace of its own: it goes with the process


def can_mount(directory: Path) -> bool:
    try:
        tried = subprocess.run([*TMPFS, str(directory), "true"], capture_output=True, timeout=WAIT_S)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@pytest.mark.parametrize("kind", ["tmpfs", "fsize", "fsync"])
def test_a_disk_that_is_full_or_does_not_flush_ends_the_journal_for_good_and_nothing_confirmed_is_lost(
    kind: str, tmp_path: Path
) -> None:
    if kind == "tmpfs" and not can_mount(tmp_path):
        pytest.skip("this machine lets nobody mount a tmpfs; the limit on the size of files is tried instead")
    if kind == "fsync" and shim.why_not():
        pytest.skip(shim.why_not())
    asked = (
        [*TMPFS, str(tmp_path), sys.executable]
        if kind == "tmpfs"
        else [sys.executable, "-m", "tests.kill.full_disk", kind, str(tmp_path)]
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
