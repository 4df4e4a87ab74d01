"""supervisor_SUITE: counting, memory and scale, by the names of OTP's cases."""

import gc
import time
import weakref
from typing import Any

import pytest
from tests.otp.actors import Directed, Directions, counts, end, kill, nested, settle

from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.spec import (
    BRUTAL_KILL,
    INFINITY,
    ChildSpec,
    ChildType,
    Restart,
    Start,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import AlreadyPresent
from allstop.supervisors.supervisor import (
    Supervisor,
    start_child,
    terminate_child,
    which_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags(max_restarts=10_000, max_seconds=3600.0)
BOOM = RuntimeError("abnormal")


async def many(system: ActorSystem, number: int, path: str = "/sup", **fields: Any) -> tuple[Ref, list[Ref]]:
    supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=200_000, path=path)
    directions = Directions()
    refs = [await start_child(supervisor, directions.child(f"c{n}", **fields)) for n in range(number)]
    return supervisor, [ref for ref in refs if ref is not None]


async def _count(system: ActorSystem, expected: list[int], **fields: Any) -> None:
    supervisor, refs = await many(system, 1000, restart=Restart.TEMPORARY, **fields)
    assert len(await which_children(supervisor)) == 1000
    assert await counts(supervisor) == [1000, 1000, *expected]
    directions = Directions()
    for number in range(1000):
        await start_child(supervisor, directions.child(f"d{number}", restart=Restart.TEMPORARY, **fields))
    assert (await counts(supervisor))[:2] == [2000, 2000]
    for number in range(1000):
        refs.append(system.address(f"/sup/d{number}"))
    for ref in refs:
        system.kill(ref)
    await settle()
    assert await counts(supervisor) == [0, 0, 0, 0]
    assert await which_children(supervisor) == ()


@pytest.mark.req("76", "78")
async def test_count_children() -> None:
    """A thousand and two thousand run-time children: what is listed and what is counted agree, also when all are dead."""
    async with ActorSystem() as system:
        await _count(system, [0, 1000])


@pytest.mark.req("76", "78")
async def test_count_children_supervisor() -> None:
    """The same of children that are supervisors."""
    async with ActorSystem() as system:
        await _count(system, [1000, 0], type=ChildType.SUPERVISOR)


@pytest.mark.req("77")
async def test_count_restarting_children() -> None:
    """Children that fail to restart are known and not active; when they can start, they are back."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        for name in ("child1", "child2", "child3"):
            await start_child(supervisor, directions.child(name))
        assert await counts(supervisor) == [3, 3, 0, 3]
        directions.always |= {"child1": 1.0, "child1 then": BOOM, "child2": 1.0, "child2 then": BOOM}
        for name in ("child1", "child2"):
            system.address(f"/sup/{name}").tell(BOOM)
        await settle(0.5)
        assert await counts(supervisor) == [3, 1, 0, 3]
        directions.always.clear()
        await settle(5)
        assert await counts(supervisor) == [3, 3, 0, 3]
        for left, name in ((2, "child1"), (1, "child2"), (0, "child3")):
            await terminate_child(supervisor, name)
            assert await counts(supervisor) == [left, left, 0, left]


@pytest.mark.req("9")
async def test_get_callback_module() -> None:
    """The class of a running supervisor, and of every child, can be read."""
    directions = Directions()
    async with ActorSystem() as system:
        top = await system.spawn(
            Supervisor, FLAGS, (nested("inner", FLAGS), directions.child("worker")), path="/top"
        )
        assert top.actor_class is Supervisor
        assert [(c.id, c.actor_class) for c in await which_children(top)] == [
            ("inner", Supervisor), ("worker", Directed),
        ]  # fmt: skip
        assert {i.path: i.actor_class for i in system.actors()}["/top/inner"] is Supervisor


@pytest.mark.req("88")
@pytest.mark.parametrize("dynamic", [True, False])
async def test_do_not_save_start_parameters_for_temporary_children(dynamic: bool) -> None:
    """What a temporary child was started with is let go; what a permanent or transient one was, is kept."""

    class Load:
        pass

    class Loaded(Directed):
        def __init__(self, directions: Directions, load: Load) -> None:
            super().__init__(directions)

    directions = Directions()
    async with ActorSystem() as system:
        if dynamic:
            supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        else:
            supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        loads: dict[Restart, weakref.ref[Load]] = {}
        for restart in Restart:
            load = Load()
            loads[restart] = weakref.ref(load)
            await start_child(
                supervisor, ChildSpec(restart.value, Start(Loaded, (directions, load)), restart=restart)
            )
            del load
        await settle()
        gc.collect()
        assert {restart: load() is None for restart, load in loads.items()} == {
            Restart.PERMANENT: False, Restart.TRANSIENT: False, Restart.TEMPORARY: True,
        }  # fmt: skip


@pytest.mark.req("53", "56", "83")
@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("how", ["killed", "normal", "abnormal", "api"])
async def test_do_not_save_child_specs_for_temporary_children(strategy: Strategy, how: str) -> None:
    """However a temporary child ends, its spec is gone at once; a permanent one is restarted, or present."""
    flags = SupervisorFlags(strategy=strategy, max_restarts=10, max_seconds=3600.0)
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, flags, path="/sup")
        for restart in (Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY):
            spec = directions.child(restart.value, restart=restart)
            ref = await start_child(supervisor, spec)
            assert ref is not None
            match how:
                case "killed":
                    await kill(system, f"/sup/{restart.value}")
                case "normal":
                    await end(ref, NORMAL)
                case "abnormal":
                    await end(ref, BOOM)
                case _:
                    await terminate_child(supervisor, restart.value)
            known = [child.id for child in await which_children(supervisor)]
            assert (restart.value in known) is (restart is not Restart.TEMPORARY)
            back = how != "api" and (
                restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and how != "normal")
            )
            assert ref.is_alive() is back
            if restart is Restart.TEMPORARY:
                assert await start_child(supervisor, spec) is ref
            elif not back:
                with pytest.raises(AlreadyPresent):
                    await start_child(supervisor, spec)


@pytest.mark.slow
@pytest.mark.req("153")
async def test_simple_one_for_one_scale_many_temporary_children() -> None:
    """Ten times as many temporary children take at most fifty times as long to stop."""
    took_s: list[float] = []
    for number in (500, 5000):
        async with ActorSystem() as system:
            supervisor, refs = await many(system, number, restart=Restart.TEMPORARY)
            began_s = time.process_time()
            for ref in refs:
                ref.tell(NORMAL)
            await settle()
            took_s.append(time.process_time() - began_s)
            assert await counts(supervisor) == [0, 0, 0, 0]
    assert took_s[1] <= 50 * took_s[0]


@pytest.mark.req("84")
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_temporary_bystander(strategy: Strategy) -> None:
    """A temporary child that a group restart takes down does not come back, and is forgotten; the others live."""
    flags = SupervisorFlags(strategy=strategy, max_restarts=10, max_seconds=3600.0)
    directions = Directions()
    children = (directions.child("cause"), directions.child("bystander", restart=Restart.TEMPORARY))
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, flags, children, path="/sup")
        await kill(system, "/sup/cause")
        assert [(c.id, c.incarnation) for c in await which_children(supervisor)] == [("cause", 2)]
        assert directions.exits == {"/sup/bystander": SHUTDOWN}
        assert supervisor.is_alive()


@pytest.mark.req("33", "93", "121")
async def test_order_of_children() -> None:
    """Start order is the order of the list, whatever the ids; a restart of the rest, and the stop, go by it, too."""
    directions = Directions()
    names = ["e", "b", "d", "a", "c"]
    flags = SupervisorFlags(strategy=Strategy.REST_FOR_ONE, max_restarts=10, max_seconds=3600.0)
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, flags, [directions.child(n) for n in names], path="/sup")
        assert directions.started() == names
        directions.log.clear()
        await kill(system, "/sup/d")
        assert directions.log == [
            ("stop", "c"),
            ("stop", "a"),
            ("start", "d"),
            ("start", "a"),
            ("start", "c"),
        ]
        assert [(await which_child(supervisor, name)).incarnation for name in names] == [1, 1, 2, 2, 2]
        directions.log.clear()
        await system.stop(supervisor)
        assert directions.stopped() == names[::-1]


@pytest.mark.slow
@pytest.mark.req("154")
async def test_scale_start_stop_many_children() -> None:
    """Starting and stopping ten times as many children takes about ten times as long."""
    took_s: list[float] = []
    for number in (1000, 10_000):
        async with ActorSystem() as system:
            began_s = time.process_time()
            supervisor, refs = await many(system, number, shutdown=BRUTAL_KILL)
            assert await system.stop(supervisor, timeout_s=INFINITY) == SHUTDOWN
            took_s.append(time.process_time() - began_s)
            assert {ref.last_exit for ref in refs} == {KILLED}
    assert took_s[1] <= 30 * took_s[0]
