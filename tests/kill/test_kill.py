"""SIGKILL at any moment and a restart: the venue's truth, nothing twice, nothing lost; what was halted starts halted.

Real processes, sockets and disk; a story takes about half a minute. `python -m tests.soak` runs many more.
"""

import asyncio
import sys
from pathlib import Path

import pytest
from tests.kill.engine import EngineProcess, NotInTime, hindrances
from tests.kill.plan import Kill, Moment, Trouble
from tests.kill.story import COVER_S, run_story

STORY_S = 100.0


@pytest.mark.slow
@pytest.mark.loopback
@pytest.mark.parametrize("seed", [1, 2])
async def test_an_engine_killed_again_and_again_knows_what_the_venue_knows(seed: int, tmp_path: Path) -> None:
    async with asyncio.timeout(STORY_S):
        told = await run_story(seed, 3, keep=tmp_path / "evidence")
    assert told.kills == 5  # the three, one while it halts, one when it starts halted
    assert told.executions > 0
    assert told.promises > 0
    assert told.uncovered.live_ms_max <= COVER_S * 1000  # with nothing taken off
    assert {verdict.oracle: verdict.holds for verdict in told.verdicts} == {
        f"O{n}": True for n in range(1, 9)
    }


HURT = (Trouble.STALL, Trouble.STOPPED, Trouble.CUT, Trouble.CUT_AT_BYTE, Trouble.HALF_OPEN)


@pytest.mark.slow
@pytest.mark.loopback
async def test_an_engine_whose_loop_or_process_stood_or_whose_connections_broke_before_it_was_killed_knows_the_truth(
    tmp_path: Path,
) -> None:
    kills = [Kill(Moment.TRADING, 0.6, trouble, 0.2, falls=False) for trouble in HURT]
    async with asyncio.timeout(STORY_S):
        told = await run_story(3, kills, keep=tmp_path / "evidence")
    assert told.kills == len(HURT) + 2
    assert set(told.troubles) == set(HURT)
    assert told.executions > 0
    assert {verdict.oracle: verdict.holds for verdict in told.verdicts} == {
        f"O{n}": True for n in range(1, 9)
    }


@pytest.mark.loopback
async def test_an_engine_that_cannot_start_is_told_from_one_that_was_killed(tmp_path: Path) -> None:
    engine = await EngineProcess.start(tmp_path, {"ALLSTOP_DEMO_REST_URL": ""}, tmp_path / "log")
    with pytest.raises(NotInTime, match="ended by itself"):
        await engine.wait_answering(30.0)
    assert "ALLSTOP_KILL_WITNESS" in (tmp_path / "log").read_text()


@pytest.mark.loopback
async def test_a_child_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert parent.stdout is not None
    try:
        async with asyncio.timeout(20.0):
            child = int(await parent.stdout.readline())
            assert _runs(child)
            parent.kill()
            while _runs(child):
                await asyncio.sleep(0.02)
    finally:
        if parent.returncode is None:
            parent.kill()
        await parent.communicate()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# The child waits where an engine would run: importing is enough to show who outlives whom.
_PARENT = """
import os, subprocess, sys
program = "import runpy, sys, allstop.supervisors.cli as cli; cli.main = lambda argv: (print(os.getpid(), flush=True), time.sleep(60)); import os, time; sys.argv = sys.argv[1:]; runpy.run_module('tests.kill.child', run_name='__main__')"
subprocess.run([sys.executable, "-c", program, "child", str(os.getpid()), "run"])
"""


def test_a_status_with_closed_gates_or_a_vote_says_what_keeps_entries_out() -> None:
    calm = {
        "ok": True,
        "gates": {"kraken.main": "open"},
        "halted": False,
        "votes": ["CACHED_DATA on x by y: z"],
    }
    assert hindrances(calm) == []
    assert hindrances({**calm, "gates": {"kraken.main": "closed: session"}}) == [
        "kraken.main closed: session"
    ]
    assert hindrances({**calm, "halted": True, "reason": "drill"}) == ["halted: drill"]
    assert hindrances({**calm, "votes": ["READ_ONLY on x by y: z"]}) == ["READ_ONLY on x by y: z"]
    assert hindrances({"ok": False, "error": "Timeout"}) != []
