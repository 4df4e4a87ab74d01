"""supervisor_SUITE: restart loops and registered names, by the names of OTP's cases."""

import asyncio

import pytest
from tests.otp.actors import Directed, Directions, counts, kill, settle

from allstop.actors.exits import SHUTDOWN
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.spec import Backoff, ChildSpec, Start, Strategy, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import AlreadyPresent, NotForDynamic, Restarting
from allstop.supervisors.supervisor import (
    Supervisor,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)

pytestmark = pytest.mark.virtual
BOOM = RuntimeError("boom")
HANGS_S = 2.0  # a start hangs for so long and then fails


def flags(strategy: Strategy = Strategy.ONE_FOR_ONE) -> SupervisorFlags:
    return SupervisorFlags(strategy=strategy, max_restarts=8, max_seconds=10.0)


def hang(directions: Directions, name: str) -> None:
    directions.always |= {name: HANGS_S, f"{name} then": BOOM}


async def _asked_in_the_loop(supervisor: Ref, directions: Directions) -> None:
    """Each answer comes between two attempts, while child1 hangs in its start over and over."""
    with pytest.raises(AlreadyPresent):
        await start_child(supervisor, directions.child("child1"))
    with pytest.raises(Restarting):
        await restart_child(supervisor, "child1")
    with pytest.raises(Restarting):
        await delete_child(supervisor, "child1")


@pytest.mark.req("48", "62", "67", "72", "77", "80", "113", "115")
async def test_hanging_restart_loop() -> None:
    """While a child's start hangs and fails in a loop, the supervisor answers, terminates it, starts it, and stops."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, flags(), (directions.child("child1"),), path="/sup")
        hang(directions, "child1")
        await kill(system, "/sup/child1")
        await _asked_in_the_loop(supervisor, directions)
        assert [(c.state, c.ref) for c in await which_children(supervisor)] == [("restarting", None)]
        assert await counts(supervisor) == [1, 0, 0, 1]
        await terminate_child(supervisor, "child1")
        assert await counts(supervisor) == [1, 0, 0, 1]
        directions.always.clear()
        ref = await restart_child(supervisor, "child1")
        assert ref is not None
        assert ref.is_alive()
        hang(directions, "child1")
        await kill(system, "/sup/child1")
        began_s = asyncio.get_running_loop().time()
        assert await system.stop(supervisor) == SHUTDOWN
        assert asyncio.get_running_loop().time() - began_s < HANGS_S  # in the middle of an attempt


@pytest.mark.req("73", "115", "118")
async def test_hanging_restart_loop_rest_for_one() -> None:
    """The same in a row: those before it run, those after it are down."""
    directions = Directions()
    children = [directions.child(name) for name in ("before", "child1", "after")]
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, flags(Strategy.REST_FOR_ONE), children, path="/sup")
        hang(directions, "child1")
        await kill(system, "/sup/child1")
        await _asked_in_the_loop(supervisor, directions)
        assert [(c.id, c.state) for c in await which_children(supervisor)] == [
            ("before", "running"), ("child1", "restarting"), ("after", "down"),
        ]  # fmt: skip
        assert await counts(supervisor) == [3, 1, 0, 3]
        await terminate_child(supervisor, "child1")
        directions.always.clear()
        for name in ("child1", "after"):
            assert (await restart_child(supervisor, name)) is not None
        assert await counts(supervisor) == [3, 3, 0, 3]
        hang(directions, "child1")
        await kill(system, "/sup/child1")
        assert await system.stop(supervisor) == SHUTDOWN


@pytest.mark.req("115", "160")
async def test_hanging_restart_loop_simple() -> None:
    """The same of a run-time child."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, flags(), max_children=10, path="/sup")
        for name in ("child1", "child2"):
            await start_child(supervisor, directions.child(name))
        hang(directions, "child1")
        await kill(system, "/sup/child1")
        for operation in (restart_child, delete_child):
            with pytest.raises(NotForDynamic):
                await operation(supervisor, "child1")
        assert [(c.id, c.state) for c in await which_children(supervisor)] == [
            ("child1", "restarting"), ("child2", "running"),
        ]  # fmt: skip
        assert await counts(supervisor) == [2, 1, 0, 2]
        await terminate_child(supervisor, "child1")
        assert await counts(supervisor) == [1, 1, 0, 1]
        hang(directions, "child2")
        await kill(system, "/sup/child2")
        assert await system.stop(supervisor) == SHUTDOWN


class Named(Directed):
    """Registers the name that it was given, as a process under a global name does."""

    def __init__(self, directions: Directions, name: str) -> None:
        super().__init__(directions)
        self.system.register(name, self.ref)


class NamedSupervisor(Supervisor):
    def __init__(self, name: str, supervisor_flags: SupervisorFlags, children: tuple[ChildSpec, ...]) -> None:
        super().__init__(supervisor_flags, children)
        self.system.register(name, self.ref)


@pytest.mark.req("131", "257")
async def test_simple_global_supervisor() -> None:
    """A supervisor is killed, a worker is killed, fails, is restarted by hand: new incarnations, the same names."""
    directions = Directions()
    worker = ChildSpec("worker", Start(Named, (directions, "the worker")), backoff=Backoff())
    inner = ChildSpec("inner", Start(NamedSupervisor, ("the supervisor", flags(), (worker,))))
    async with ActorSystem() as system:
        await system.spawn(Supervisor, flags(), (inner,), path="/top")

        def named(name: str) -> tuple[Ref, int]:
            ref = system.whereis(name)
            assert ref is not None
            assert ref.is_alive()
            return ref, ref.incarnation

        supervisor, _ = named("the supervisor")
        child, _ = named("the worker")
        system.kill(supervisor)  # nothing is shut down: the worker dies with it
        assert not child.is_alive()
        await settle()
        assert (named("the supervisor"), named("the worker")) == ((supervisor, 2), (child, 2))
        assert directions.stopped() == []

        await kill(system, child.path)
        assert (named("the supervisor"), named("the worker")) == ((supervisor, 2), (child, 3))
        child.tell(BOOM)
        await settle()
        assert named("the worker") == (child, 4)
        await terminate_child(supervisor, "worker")
        await restart_child(supervisor, "worker")
        assert named("the worker") == (child, 5)
