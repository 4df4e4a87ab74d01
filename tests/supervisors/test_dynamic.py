"""Dynamic supervisors on the runtime."""

import asyncio

import pytest
from tests.supervisors.puppets import Stage, crash, incarnation, kill, settle

from allstop.actors.events import ShutdownOverrun
from allstop.actors.exits import SHUTDOWN
from allstop.actors.runtime import StartError
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    OnExceeded,
    Pause,
    Restart,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import InvalidFlags, MaxChildren, NotForDynamic, NotFound
from allstop.supervisors.supervisor import (
    breaker_state,
    count_children,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags(max_restarts=3, max_seconds=60.0)


async def test_children_come_and_go_by_id() -> None:
    stage = Stage()
    async with stage.system() as system:
        orders = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/orders")
        ref = await start_child(orders, stage.puppet("intent-1"))
        assert ref is system.address("/orders/intent-1")
        with pytest.raises(AlreadyStarted):
            await start_child(orders, stage.puppet("intent-1"))
        for operation in (restart_child, delete_child):
            with pytest.raises(NotForDynamic):
                await operation(orders, "intent-1")
        await terminate_child(orders, "intent-1")
        assert await which_children(orders) == ()
        with pytest.raises(NotFound):
            await terminate_child(orders, "intent-1")
        assert await start_child(orders, stage.puppet("intent-1")) is not None


async def test_a_child_without_an_id_is_given_one() -> None:
    stage = Stage()
    async with stage.system() as system:
        jobs = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/jobs")
        for _ in range(2):
            await start_child(jobs, stage.puppet(None))  # pyright: ignore[reportArgumentType]
        ids = {child.id for child in await which_children(jobs)}
        assert len(ids) == 2


@pytest.mark.req("156")
async def test_at_its_bound_it_refuses_one_more() -> None:
    stage = Stage()
    async with stage.system() as system:
        orders = await system.spawn(DynamicSupervisor, FLAGS, max_children=2, path="/orders")
        for n in range(2):
            await start_child(orders, stage.puppet(f"i{n}"))
        with pytest.raises(MaxChildren):
            await start_child(orders, stage.puppet("one more"))


async def test_each_child_is_restarted_alone() -> None:
    stage = Stage()
    async with stage.system() as system:
        orders = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/orders")
        for child_id in "ab":
            await start_child(orders, stage.puppet(child_id))
        await crash(system, "/orders/a")
        assert (incarnation(system, "/orders/a"), incarnation(system, "/orders/b")) == (2, 1)


@pytest.mark.req("133")
async def test_simple_one_for_one_shutdown() -> None:
    stage = Stage(stop_s={"a": 1.0, "b": 1.0, "c": 5.0})
    async with stage.system() as system:
        orders = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/orders")
        for child_id in "abc":
            await start_child(orders, stage.puppet(child_id, shutdown=2.0))
        began_s = system.clock.now_s()
        assert await system.stop(orders, timeout_s=INFINITY) == SHUTDOWN
        assert 2.0 <= system.clock.now_s() - began_s < 2.5
        assert [event.child for event in stage.of(ShutdownOverrun)] == ["c"]


async def test_sup_stop_brutal_kill_dynamic() -> None:
    stage = Stage(stop_s=dict.fromkeys("abcdefghij", 60.0))
    async with stage.system() as system:
        orders = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/orders")
        for child_id in "abcdefghij":
            await start_child(orders, stage.puppet(child_id, shutdown=BRUTAL_KILL))
        began_s = system.clock.now_s()
        await system.stop(orders)
        assert system.clock.now_s() - began_s < 0.1
        assert system.actors() == []


async def test_a_child_whose_start_takes_long_holds_up_the_next_request_and_nothing_else() -> None:
    stage = Stage(starts={"slow": [2.0]})
    async with stage.system() as system:
        orders = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/orders")
        quick = await start_child(orders, stage.puppet("quick"))
        assert quick is not None
        slow = asyncio.ensure_future(start_child(orders, stage.puppet("slow")))
        await settle()
        assert await quick.call("hello", timeout_s=0.1) == 1
        assert await slow is not None


@pytest.mark.req("153")
async def test_count_children_and_a_thousand_that_are_killed() -> None:
    stage = Stage()
    async with stage.system() as system:
        orders = await system.spawn(DynamicSupervisor, FLAGS, max_children=2000, path="/orders")
        for n in range(1000):
            await start_child(orders, stage.puppet(f"i{n}", restart=Restart.TEMPORARY))
        count = await count_children(orders)
        assert (count.specs, count.active, len(await which_children(orders))) == (1000, 1000, 1000)
        for n in range(1000):
            system.kill(system.address(f"/orders/i{n}"))
        await settle()
        assert (await count_children(orders)).specs == 0
        assert orders.is_alive()


async def test_a_dynamic_supervisor_that_pauses_brings_its_children_back() -> None:
    stage = Stage()
    async with stage.system() as system:
        flags = SupervisorFlags(max_restarts=0, on_exceeded=OnExceeded.PAUSE, pause=Pause(5.0, 1))
        orders = await system.spawn(DynamicSupervisor, flags, max_children=5, path="/orders")
        for child_id in "ab":
            await start_child(orders, stage.puppet(child_id))
        await kill(system, "/orders/a")
        assert (await breaker_state(orders)).stopped
        assert [incarnation(system, f"/orders/{i}") for i in "ab"] == [None, None]
        await settle(5)
        assert all(child.state == "running" for child in await which_children(orders))


@pytest.mark.parametrize(
    ("flags", "max_children"),
    [
        (SupervisorFlags(Strategy.ONE_FOR_ALL), 5),
        (SupervisorFlags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT), 5),
        (SupervisorFlags(), 0),
    ],
)
async def test_flags_that_mean_nothing_here_are_refused(flags: SupervisorFlags, max_children: int) -> None:
    stage = Stage()
    async with stage.system() as system:
        with pytest.raises(StartError) as caught:
            await system.spawn(DynamicSupervisor, flags, max_children=max_children, path="/orders")
        assert isinstance(caught.value.cause, InvalidFlags)
