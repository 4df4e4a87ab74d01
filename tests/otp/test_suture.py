"""suture's tests, by their names: those that have no place elsewhere."""

import asyncio

import pytest
from tests.supervisors.puppets import Crash, Hang, Stage, crash, incarnation, kill, settle, tree

from allstop.actors.events import ShutdownOverrun
from allstop.actors.exits import SHUTDOWN
from allstop.actors.runtime import ActorDead
from allstop.actors.spec import Restart, SupervisorFlags
from allstop.supervisors.errors import NotFound
from allstop.supervisors.supervisor import (
    Supervisor,
    delete_child,
    start_child,
    terminate_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags()


async def test_removing_hung_service() -> None:
    """A child that hangs and swallows its cancellation is removed in its time, named, and hurts no sibling."""
    stage = Stage(stubborn={"hung"})
    async with stage.system() as system:
        specs = (stage.puppet("hung", shutdown=1.0), stage.puppet("other"))
        top = await system.spawn(Supervisor, FLAGS, specs, path="/top")
        system.address("/top/hung").tell(Hang())
        await settle()
        began_s = system.clock.now_s()
        await terminate_child(top, "hung")
        assert system.clock.now_s() - began_s == pytest.approx(1.1, abs=0.2)
        await delete_child(top, "hung")
        with pytest.raises(NotFound):
            await terminate_child(top, "hung")
        assert [child.id for child in await which_children(top)] == ["other"]
        assert [(event.child, event.unstopped) for event in stage.of(ShutdownOverrun)] == [("hung", True)]
        assert (system.leaked, incarnation(system, "/top/other")) == (["/top/hung#1"], 1)
        stage.stubborn.clear()


async def test_stop_after_remove_and_wait() -> None:
    """What was removed in order is not waited for when the supervisor stops."""
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a", "b"), path="/top")
        await terminate_child(top, "a")
        await delete_child(top, "a")
        assert await system.stop(top) == SHUTDOWN
        assert stage.of(ShutdownOverrun) == []
        assert stage.log.count("stop a shutdown") == 1


@pytest.mark.req("243")
async def test_service_report() -> None:
    """After the stop of a supervisor it is known by name who did not stop."""
    stage = Stage(stubborn={"hung"})
    async with stage.system() as system:
        specs = (stage.puppet("hung", shutdown=0.5), stage.puppet("fine"))
        top = await system.spawn(Supervisor, FLAGS, specs, path="/top")
        system.address("/top/hung").tell(Hang())
        await settle()
        await system.stop(top)
        leaked = system.leaked
        stage.stubborn.clear()
        assert leaked == ["/top/hung#1"]
        assert [event.child for event in stage.of(ShutdownOverrun)] == ["hung"]


async def test_failing_supervisors() -> None:
    """A supervisor that dies is restarted with its children, also if one of them goes down at the same time."""
    stage = Stage()
    async with stage.system() as system:
        nested = tree("nested", FLAGS, *stage.puppets("a", "b"))
        await system.spawn(Supervisor, FLAGS, (nested,), path="/top")
        system.address("/top/nested/a").tell(Crash())
        await kill(system, "/top/nested")
        assert system.address("/top/nested").incarnation == 2
        assert [system.address(f"/top/nested/{name}").is_alive() for name in "ab"] == [True, True]
        assert len(await which_children(system.address("/top/nested"))) == 2


async def test_supervisor_management_issue_35() -> None:
    """A hundred supervisors under one start and stop with it."""
    stage = Stage()
    async with stage.system() as system:
        specs = [tree(f"s{n}", FLAGS, stage.puppet("child")) for n in range(100)]
        top = await system.spawn(Supervisor, FLAGS, specs, path="/top")
        assert len(system.actors()) == 201
        assert await system.stop(top) == SHUTDOWN
        assert system.actors() == []


async def test_do_not_propagate() -> None:
    """The end of a tree whose supervisor may end is not the end of the tree above."""
    stage = Stage()
    async with stage.system() as system:
        nested = tree("nested", SupervisorFlags(max_restarts=0), stage.puppet("a"), restart=Restart.TEMPORARY)
        top = await system.spawn(Supervisor, SupervisorFlags(max_restarts=0), (nested,), path="/top")
        await crash(system, "/top/nested/a")
        assert (top.is_alive(), system.address("/top/nested").is_alive()) == (True, False)


async def test_add_after_stopping() -> None:
    """Who asks a supervisor that stops, or has stopped, for a child is told that it is gone, and nothing starts."""
    stage = Stage(stop_s={"a": 2.0})
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        stopping = asyncio.ensure_future(system.stop(top))
        await settle()
        with pytest.raises(ActorDead):
            await start_child(top, stage.puppet("late"))
        await stopping
        with pytest.raises(ActorDead):
            await start_child(top, stage.puppet("later"))
        assert stage.log == ["start a", "stop a shutdown"]
        assert system.actors() == []
