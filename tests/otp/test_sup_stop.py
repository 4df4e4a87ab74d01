"""supervisor_SUITE: how supervisors stop their children, by the names of OTP's cases."""

import asyncio

import pytest
from tests.otp.actors import SHUTDOWN_WITH, Directions, settle

from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, Exit
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.spec import BRUTAL_KILL, INFINITY, ChildType, Restart, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.supervisor import Supervisor, start_child

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags()


def exit_of(ref: Ref | None) -> Exit | None:
    assert ref is not None
    assert not ref.is_alive()
    return ref.last_exit


@pytest.mark.req("124")
async def test_sup_stop_infinity() -> None:
    """Infinity is a shutdown for supervisors and for workers; both are waited for, and end with shutdown."""
    directions = Directions()
    directions.stops |= {"child1": 10_000.0, "child2": 10_000.0}
    children = (
        directions.child("child1", shutdown=INFINITY, type=ChildType.SUPERVISOR),
        directions.child("child2", shutdown=INFINITY),
    )
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, children, path="/sup")
        assert await system.stop(supervisor, timeout_s=INFINITY) == SHUTDOWN
        assert [exit_of(system.address(f"/sup/{c.id}")) for c in children] == [SHUTDOWN, SHUTDOWN]


@pytest.mark.req("123")
async def test_sup_stop_timeout() -> None:
    """A child that obeys ends with shutdown, one that takes too long is killed when its time is over."""
    directions = Directions()
    directions.stops["child2"] = 5.0
    children = (directions.child("child1", shutdown=1.0), directions.child("child2", shutdown=1.0))
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, children, path="/sup")
        began_s = asyncio.get_running_loop().time()
        assert await system.stop(supervisor, timeout_s=INFINITY) == SHUTDOWN
        assert 1.0 <= asyncio.get_running_loop().time() - began_s < 2.0
        assert exit_of(system.address("/sup/child1")) == SHUTDOWN
        killed = exit_of(system.address("/sup/child2"))
        assert killed is not None
        assert killed.kind is KILLED.kind
        assert system.leaked == []


@pytest.mark.req("123")
async def test_sup_stop_timeout_dynamic() -> None:
    """The same under a dynamic supervisor."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        obeys = [await start_child(supervisor, directions.child(f"o{n}", shutdown=1.0)) for n in range(3)]
        sleeps = [await start_child(supervisor, directions.child(f"s{n}", shutdown=1.0)) for n in range(3)]
        directions.stops |= {f"s{n}": 5.0 for n in range(3)}
        assert await system.stop(supervisor, timeout_s=INFINITY) == SHUTDOWN
        assert {exit_of(ref) for ref in obeys} == {SHUTDOWN}
        assert {end.kind for ref in sleeps if (end := exit_of(ref)) is not None} == {KILLED.kind}


@pytest.mark.req("122")
async def test_sup_stop_brutal_kill() -> None:
    """brutal_kill kills without cleaning up; a sibling with a time ends with shutdown."""
    directions = Directions()
    children = (directions.child("child1", shutdown=1.0), directions.child("child2", shutdown=BRUTAL_KILL))
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, children, path="/sup")
        assert await system.stop(supervisor) == SHUTDOWN
        assert exit_of(system.address("/sup/child1")) == SHUTDOWN
        assert exit_of(system.address("/sup/child2")) == KILLED
        assert directions.stopped() == ["child1"]


@pytest.mark.req("122")
async def test_sup_stop_brutal_kill_dynamic() -> None:
    """Ten run-time children under brutal_kill are all killed."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        refs = [
            await start_child(supervisor, directions.child(f"c{n}", shutdown=BRUTAL_KILL)) for n in range(10)
        ]
        assert await system.stop(supervisor) == SHUTDOWN
        assert {exit_of(ref) for ref in refs} == {KILLED}
        assert directions.stopped() == []


@pytest.mark.req("128")
async def test_sup_stop_race() -> None:
    """Children that exit by themselves, in every way, while the supervisor stops, do not disturb it."""
    directions = Directions()
    ways = {
        "normal": NORMAL,
        "shutdown": SHUTDOWN,
        "shutdown_term": SHUTDOWN_WITH,
        "other": RuntimeError("other"),
    }
    middle = [
        directions.child(f"{restart}-{way}", restart=restart) for restart in Restart for way in ways
    ]  # fmt: skip
    children = (directions.child("first"), *middle, directions.child("last"))
    directions.stops["last"] = 2.0  # it is asked first, and meanwhile all the others go
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, children, path="/sup")
        stopping = asyncio.ensure_future(system.stop(supervisor, timeout_s=INFINITY))
        await settle(1.0)
        for child in middle:
            system.address(f"/sup/{child.id}").tell(ways[str(child.id).partition("-")[2]])
        await settle()
        assert [system.address(f"/sup/{child.id}").is_alive() for child in middle] == [False] * 12
        assert await stopping == SHUTDOWN
        assert exit_of(system.address("/sup/first")) == SHUTDOWN
        assert exit_of(system.address("/sup/last")) == SHUTDOWN
        assert len(directions.started()) == 14  # none came back


@pytest.mark.parametrize("restart", Restart)
async def test_sup_stop_non_shutdown_exit_dynamic(restart: Restart) -> None:
    """Run-time children that answer the shutdown with another exit: the supervisor still ends with shutdown."""
    directions = Directions()
    directions.stops["other"] = RuntimeError("other")
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        for name in ("shutdown", "other", "slow"):
            await start_child(supervisor, directions.child(name, restart=restart))
        ended = [
            await start_child(supervisor, directions.child(name, restart=restart))
            for name in ("normal", "term")
        ]
        directions.stops["slow"] = 1.0
        stopping = asyncio.ensure_future(system.stop(supervisor, timeout_s=INFINITY))
        for ref, how in zip(ended, (NORMAL, SHUTDOWN_WITH), strict=True):
            assert ref is not None
            ref.tell(how)
        assert await stopping == SHUTDOWN
        other = exit_of(system.address("/sup/other"))
        assert other is not None
        assert str(other.error) == "other"
        assert exit_of(system.address("/sup/slow")) == SHUTDOWN
