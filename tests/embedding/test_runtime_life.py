"""A runtime of the user's actors alone: it runs once, beside others, and says when its tree could not be stopped."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.exits import Exit
from allstop.actors.levels import ROOT, Level, Vote
from allstop.actors.runtime import Actor
from allstop.actors.spec import RestartGate
from allstop.supervisors.branches import strategies_spec
from allstop.supervisors.build import Runtime
from allstop.supervisors.checking import check_tree
from allstop.supervisors.config import Tree, child, halt_root, strategies, supervisor
from allstop.supervisors.coordinated_shutdown import Phase, ShutdownAborted

pytestmark = pytest.mark.loopback


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        return message


class Slow(Actor):
    async def on_stop(self, exit_: Exit) -> None:
        await asyncio.sleep(2.0)


def tree_in(state_dir: Path, *children: Any, **fields: Any) -> Tree:
    return halt_root(strategies(*children), state_dir=str(state_dir), **fields)


async def test_two_runtimes_in_one_process_have_nothing_in_common(tmp_path: Path) -> None:
    one = Runtime(tree_in(tmp_path / "one", child("echo", Echo)))
    two = Runtime(tree_in(tmp_path / "two", child("echo", Echo), gates=[RestartGate("g", 1.0)]))
    async with one, two:
        assert await one.address("/strategies/echo").call(1) == 1
        one.levels.cast(Vote("test", ROOT, Level.READ_ONLY, "a test"))
        one.system.kill(one.address("/strategies/echo"))
        async with asyncio.timeout(10.0):
            while one.address("/strategies/echo").incarnation != 2:
                await asyncio.sleep(0.001)
        assert two.levels.effective(ROOT) is Level.NONE
        assert two.address("/strategies/echo").incarnation == 1


async def test_a_runtime_runs_once(tmp_path: Path) -> None:
    runtime = Runtime(tree_in(tmp_path, child("echo", Echo)))
    async with runtime:
        with pytest.raises(BadInput, match="runs once"):
            await runtime.__aenter__()
        assert await runtime.address("/strategies/echo").call(1) == 1
    with pytest.raises(BadInput, match="runs once"):
        await runtime.__aenter__()


async def test_a_tree_that_did_not_stop_in_time_is_an_error_and_no_cancellation(tmp_path: Path) -> None:
    runtime = Runtime(
        tree_in(tmp_path, child("slow", Slow, shutdown=10.0)),
        phases={"stop_tree": Phase(("before_stop",), timeout_s=0.2)},
    )
    with pytest.raises(ShutdownAborted, match="tree timed out"):
        async with runtime:
            pass
    assert runtime.system.actors() == []


GATE = RestartGate("venue", 8.0)


def test_supervisors_may_take_as_long_to_start_as_their_children_wait_at_gates(tmp_path: Path) -> None:
    waiting = [child(f"s{number}", Echo, gate="venue") for number in range(5)]
    spec = strategies_spec(tree_in(tmp_path, supervisor("inner", *waiting[:3]), *waiting[3:], gates=[GATE]))
    inner = spec.start.args[1][0]
    assert (spec.start_timeout_s, inner.start_timeout_s) == (62.0, 62.0)


def test_a_tree_whose_start_would_wait_for_minutes_is_refused(tmp_path: Path) -> None:
    waiting = [child(f"s{number}", Echo, gate="venue") for number in range(9)]
    (problem,) = check_tree(tree_in(tmp_path, *waiting, gates=[GATE]))
    assert "its children wait 64 s for their turns at gates, and 60 s is the most" in problem.what
    assert check_tree(tree_in(tmp_path, *waiting[:8], gates=[GATE])) == ()
