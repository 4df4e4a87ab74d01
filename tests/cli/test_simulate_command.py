"""`allstop simulate` as a process: Ctrl-C, a terminal and a pipe, a worker that dies, a parent that does."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import allstop
from allstop.supervisors.cli.group import invoke
from allstop.supervisors.cli.progress import ProgressLine
from allstop.supervisors.simulation.campaign import FailedSeed, Progress
from allstop.supervisors.simulation.plan import FaultPlan
from allstop.supervisors.simulation.run import Failure, Outcome
from allstop.supervisors.simulation.shrink import Shrinking

WAIT_S = 60.0
COMMAND = "import sys; from allstop.supervisors.cli import main; main(sys.argv[1:])"
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(allstop.__path__[0]).parent)}
MANY = ("--seeds", "1..2000", "--jobs", "2")
TRACE = ("--seed", "1", "--trace", "--hours", "1", "--faults", "none")


class Running:
    """`allstop simulate` in a process group of its own, as a shell starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def workers(self, count: int) -> list[int]:
        """So many processes of the campaign, once they are there."""
        async with asyncio.timeout(WAIT_S):
            while len(found := _of_pool(self.process.pid)) < count:
                await asyncio.sleep(0.05)
        return found

    async def interrupted(self, number: signal.Signals) -> tuple[str, str]:
        """What it has said when it ended, after this signal to all of its group."""
        os.killpg(self.process.pid, number)
        async with asyncio.timeout(WAIT_S):
            out, err = await self.process.communicate()
        return out.decode(), err.decode()


@pytest_asyncio.fixture
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "simulate", *request.param, env=ENVIRON,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, limit=1 << 20,
    )  # fmt: skip
    try:
        yield Running(process)
    finally:
        for pid in _of_pool(process.pid):
            os.kill(pid, signal.SIGKILL)
        if process.returncode is None:
            process.kill()
        async with asyncio.timeout(WAIT_S):
            await process.communicate()  # its pipes are open until its workers have gone, too


@pytest.mark.parametrize("running", [MANY], indirect=True, ids=["many"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_all_processes_and_says_in_one_line_what_was_done(
    running: Running, number: signal.Signals
) -> None:
    workers = await running.workers(2)
    out, err = await running.interrupted(number)
    assert (running.process.returncode, out) == (130, "")
    assert err.startswith("interrupted after ")
    assert " of 2000 seeds: 0 failed, " in err
    assert err.count("\n") == 1
    await _gone(workers)


@pytest.mark.parametrize("running", [TRACE], indirect=True, ids=["trace"])
async def test_ctrl_c_ends_a_trace_where_it_is_and_tells_nothing_of_the_end_of_the_world(
    running: Running,
) -> None:
    assert running.process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        before = [(await running.process.stdout.readline()).decode() for _ in range(200)]
    out, err = await running.interrupted(signal.SIGINT)
    assert running.process.returncode == 130
    assert "CancelledError" not in out
    assert err == f"interrupted at {(''.join(before) + out).splitlines()[-1].partition(' ')[0]} virtual s\n"


@pytest.mark.parametrize("running", [MANY], indirect=True, ids=["many"])
async def test_a_campaign_that_is_killed_leaves_no_process_behind(running: Running) -> None:
    workers = await running.workers(2)
    running.process.kill()
    await _gone(workers)


@pytest.mark.parametrize("running", [MANY], indirect=True, ids=["many"])
async def test_a_process_of_the_campaign_that_is_killed_is_named_and_no_success(running: Running) -> None:
    os.kill((await running.workers(2))[0], signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        _, err = await running.process.communicate()
    assert running.process.returncode == 1
    assert (
        err.decode()
        == "Error: a process of the campaign was killed, or had no memory left: try fewer --jobs\n"
    )


def _of_pool(parent: int) -> list[int]:
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has gone meanwhile
        if told[1] == str(parent) and b"spawn_main" in command:
            found.append(int(folder.name))
    return sorted(found)


async def _gone(pids: list[int]) -> None:
    async with asyncio.timeout(WAIT_S):
        while [pid for pid in pids if _runs(pid)]:
            await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- what it says while it runs --------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


FAILED = Failure(oracle="O3", at_s=2.5, why="bare")
OUTCOME = Outcome(
    seed=7, profile="calm", virtual_s=1.0, digest="", lines=0, failed=FAILED, verdicts={}, faults={}, crashes=0, restarts=0, lives=1,
    halts=0, submitted=0, refused=0, executions=0, journal_rows=0,
)  # fmt: skip
TEN = Progress(done=10, of=40, failed=1, virtual_s=1800.0, wall_s=6.0)


def told(err: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", err)
    line = ProgressLine(quiet=quiet)
    line.progress(TEN)
    line.outcome(OUTCOME)
    return err.getvalue()


def test_on_a_terminal_one_line_with_rate_and_time_left_changes_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told(Terminal(), monkeypatch) == (
        "\r\x1b[K10/40 seeds, 300 virtual s/s, 18 s left, 1 failed\r\x1b[Kseed 7 FAILED O3 at 2.500 s: bare\n"
    )


def test_a_pipe_gets_what_failed_and_no_progress_and_beside_json_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told(io.StringIO(), monkeypatch) == "seed 7 FAILED O3 at 2.500 s: bare\n"
    assert told(Terminal(), monkeypatch, quiet=True) == ""


def test_the_search_for_a_smaller_failure_shows_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    plan = FaultPlan(seed=7, profile="calm", duration_s=60.0, quiet_from_s=15.0)
    failed = FailedSeed(seed=7, oracle="O3", at_s=2.5, why="bare")
    ProgressLine(quiet=False).shrinking(failed, Shrinking(plan=plan, tries=3, tries_max=60))
    assert err.getvalue() == "\r\x1b[Kseed 7: try 3 of 60, 0 faults are left"


def test_what_failed_before_ctrl_c_is_in_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    line = ProgressLine(quiet=True)
    line.progress(TEN)
    line.outcome(OUTCOME)
    line.interrupted(40)
    assert err.getvalue() == "interrupted after 10 of 40 seeds: 1 failed (7), 1800 virtual s in 6.0 s\n"


def test_help_says_when_a_run_ends_early_and_what_the_exit_codes_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["simulate", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the run is over as soon as the tree trades again" in said
    assert (
        "Exit codes: 0 every seed held 1 one did not 2 the input is wrong, nothing was run 130 interrupted"
        in said
    )
