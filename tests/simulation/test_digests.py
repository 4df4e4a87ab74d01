"""The same seed is the same run in every process: whatever its hash seed, its memory, and what it ran before."""

import os
import subprocess
import sys

import pytest

SEEDS = 50  # each in two processes
SECONDS = 50.0  # the shortest run with faults: 5 s of them, then it is quiet until it trades again


def digests(first: int, last: int, hash_seed: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.digests", "hell", str(SECONDS), str(first), str(last)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(300)  # 15 s of two cores; ten times that on a machine that others use
def test_each_of_fifty_seeds_has_one_digest_in_two_processes_that_have_nothing_in_common() -> None:
    there, back = digests(1, SEEDS, "1"), digests(SEEDS, 1, "4242")
    try:
        found = [process.communicate(timeout=280)[0].split("\n") for process in (there, back)]
    finally:
        for process in (there, back):
            process.kill()
            process.wait()
    assert (there.returncode, back.returncode) == (0, 0)
    forth, reverse = (sorted(filter(None, lines)) for lines in found)
    assert len(forth) == SEEDS
    assert len({line.split()[1] for line in forth}) == SEEDS
    assert forth == reverse
