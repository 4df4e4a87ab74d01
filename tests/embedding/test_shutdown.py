"""Leaving a runtime: your tasks before the tree stops, the tree in reverse order of its start, your tasks after it."""

import asyncio
from pathlib import Path

import pytest
from tests.cli import engine

from allstop.actors.errors import BadInput
from allstop.actors.exits import SHUTDOWN
from allstop.actors.links.latch import read_latch
from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.supervisors.build import Runtime
from allstop.supervisors.coordinated_shutdown import Phase, PhaseOver, ShutdownAborted
from allstop.supervisors.loading import load_tree

pytestmark = [pytest.mark.loopback, pytest.mark.slow]


@pytest.mark.req("226", "239")
async def test_leaving_runs_the_phases_around_the_stop_of_the_tree(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []
    async with KrakenServer() as venue:
        tree = load_tree(str(engine.tree_file(tmp_path, venue)))
        phases = {"flatten": Phase(("before_stop",)), "stop_tree": Phase(("flatten",), timeout_s=40.0)}
        async with Runtime(tree, environ=engine.keys(venue), phases=phases) as runtime:
            root = runtime.root

            def note(phase: str) -> None:
                runtime.shutdown.add_task(phase, "mine", lambda: seen.append((phase, root.is_alive())))

            for phase in ("after_stop", "flatten", "before_stop"):
                note(phase)
        assert seen == [("before_stop", True), ("flatten", True), ("after_stop", False)]
        assert runtime.leaked == []
        report = await runtime.shutdown.run("again")
        assert (report.reason, report.failures) == ("left", ())
        assert [(r.phase, r.name) for r in report.results] == [
            ("before_stop", "mine"), ("flatten", "mine"), ("stop_tree", "tree"), ("after_stop", "mine"),
        ]  # fmt: skip


@pytest.mark.req("227")
async def test_a_start_that_is_given_up_stops_what_has_started_and_runs_no_task_before_the_stop(
    tmp_path: Path,
) -> None:
    seen: list[str] = []
    async with KrakenServer() as venue:
        tree = load_tree(str(engine.tree_file(tmp_path, venue)))
        runtime = Runtime(tree, environ=engine.keys(venue))
        runtime.shutdown.add_task("before_stop", "mine", lambda: seen.append("before"))
        runtime.shutdown.add_task("after_stop", "mine", lambda: seen.append("after"))
        start = asyncio.create_task(runtime.__aenter__())
        async with asyncio.timeout(30):
            while runtime._system is None or not _infrastructure_runs(runtime):
                assert not start.done()
                await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert seen == ["after"]
        assert (runtime.system.actors(), runtime.leaked) == ([], [])
        with pytest.raises(PhaseOver):
            runtime.shutdown.add_task("after_stop", "late", lambda: None)
        async with Runtime(tree, environ=engine.keys(venue)):  # its locks are free
            pass


def _infrastructure_runs(runtime: Runtime) -> bool:
    return runtime.address("/infrastructure/journal").is_alive()


async def test_a_task_that_fails_does_not_keep_the_tree_from_stopping(tmp_path: Path) -> None:
    async with KrakenServer() as venue:
        tree = load_tree(str(engine.tree_file(tmp_path, venue)))
        async with Runtime(tree, environ=engine.keys(venue)) as runtime:
            root = runtime.root
            runtime.shutdown.add_task("before_stop", "bad", lambda: 1 / 0)
        assert not root.is_alive()
        report = await runtime.shutdown.run("again")
        assert [(r.name, str(r.error)) for r in report.failures] == [("bad", "division by zero")]


async def test_a_phase_that_must_not_fail_ends_the_shutdown_and_the_tree_is_stopped_all_the_same(
    tmp_path: Path,
) -> None:
    async with KrakenServer() as venue:
        tree = load_tree(str(engine.tree_file(tmp_path, venue)))
        runtime = Runtime(tree, environ=engine.keys(venue), phases={"before_stop": Phase(recover=False)})
        with pytest.raises(ShutdownAborted, match="before_stop"):
            async with runtime:
                runtime.shutdown.add_task("before_stop", "bad", lambda: 1 / 0)
        assert runtime.system.actors() == []
        async with Runtime(tree, environ=engine.keys(venue)):  # its locks are free
            pass


async def test_the_end_of_the_root_can_be_waited_for(tmp_path: Path) -> None:
    seen: list[str] = []
    async with KrakenServer() as venue:
        tree = load_tree(str(engine.tree_file(tmp_path, venue)))
        async with Runtime(tree, environ=engine.keys(venue)) as runtime:
            runtime.shutdown.add_task("after_stop", "mine", lambda: seen.append("after"))
            waiting = asyncio.create_task(runtime.ended())
            await asyncio.sleep(0)
            assert not waiting.done()
            await runtime.system.stop(runtime.root, timeout_s=30.0)
            assert await asyncio.wait_for(waiting, 10) == SHUTDOWN
            assert await runtime.ended() == SHUTDOWN  # asked again: the same
        assert runtime.system.actors() == []
    assert seen == ["after"]


@pytest.mark.req("223")
async def test_when_the_root_fails_trading_is_halted_and_allstop_run_ends(tmp_path: Path) -> None:
    async with KrakenServer() as venue:
        path = engine.tree_file(tmp_path, venue)
        plain = path.read_text().replace("import accounts,", "import accounts, child, strategies,")
        child = "    strategies(child('saboteur', Saboteur)),\n    state_dir="
        path.write_text(SABOTEUR + plain.replace("    state_dir=", child))
        code, _, err = await engine.allstop("run", str(path), environ=engine.keys(venue))
        assert "error: the root ended, trading is halted: crashed: RuntimeError: sabotage" in err
        assert code == 1
    assert read_latch(tmp_path / "state").latched


SABOTEUR = """from allstop.actors.runtime import Actor


class Saboteur(Actor):
    def on_start(self):
        self.send_after(0.2, "now")

    def on_receive(self, message):
        self.system.crash(self.system.address("/"), RuntimeError("sabotage"))


"""


def test_phases_that_cannot_be_put_in_order_are_refused_when_the_runtime_is_made(tmp_path: Path) -> None:
    tree = load_tree(str(_offline(tmp_path)))
    with pytest.raises(BadInput, match="circle"):
        Runtime(tree, phases={"before_stop": Phase(("after_stop",))})


def _offline(folder: Path) -> Path:
    path = folder / "tree.py"
    path.write_text(
        "from allstop.supervisors.config import accounts, data, halt_root\n"
        f'tree = halt_root(accounts(), data(), state_dir="{folder / "state"}")\n'
    )
    return path
