"""Elixir's Task.SupervisorTest, by the names of its cases: those that test_task_supervisor.py of the supervisors has not."""

import asyncio
import os
from contextlib import aclosing
from typing import Any

import pytest
from tests.otp.actors import settle

from allstop.actors.exits import KILLED, SHUTDOWN
from allstop.actors.runtime import Actor, ActorDead, ActorSystem, Ref
from allstop.actors.spec import BRUTAL_KILL, ChildSpec, Restart, Start, SupervisorFlags
from allstop.supervisors.errors import MaxChildren, NotFound
from allstop.supervisors.partition import PartitionSupervisor, partitions_of
from allstop.supervisors.supervisor import Supervisor, count_children, terminate_child, which_children
from allstop.supervisors.task_supervisor import TaskSupervisor, async_, async_nolink, async_stream, start_task

pytestmark = [pytest.mark.virtual, pytest.mark.req("162")]


class Owner(Actor):
    """Starts a linked task when it is told to."""

    async def on_receive(self, message: Any) -> Any:
        supervisor, function, fields = message
        return await async_(supervisor, function, owner=self, **fields)


async def jobs(system: ActorSystem, **settings: Any) -> Ref:
    return await system.spawn(TaskSupervisor, path="/jobs", **settings)


async def forever() -> None:
    await asyncio.Event().wait()


async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def test_can_be_supervised_directly() -> None:
    """A task supervisor is a child like any other."""
    async with ActorSystem() as system:
        await system.spawn(Supervisor, SupervisorFlags(), (TaskSupervisor.child_spec(),), path="/top")
        assert await (await async_nolink(system.address("/top/TaskSupervisor"), sleep, 1)) == 1


async def test_counts_and_returns_children() -> None:
    """Each way to start a task makes it a child, until it has ended."""
    async with ActorSystem() as system:
        supervisor = await jobs(system)
        assert (await which_children(supervisor), (await count_children(supervisor)).specs) == ((), 0)
        owner = await system.spawn(Owner)
        linked = await owner.call((supervisor, forever, {}))
        unlinked = await async_nolink(supervisor, forever)
        alone = await start_task(supervisor, forever)
        refs = [linked.ref, unlinked.ref, alone]
        assert [child.ref for child in await which_children(supervisor)] == refs
        await unlinked.shutdown()
        assert (await count_children(supervisor)).workers == 2


async def test_with_custom_shutdown() -> None:
    """A task is killed or asked as it was started to be, however it was started."""
    async with ActorSystem() as system:
        supervisor = await jobs(system)
        owner = await system.spawn(Owner)
        killed = [
            (await owner.call((supervisor, forever, {"shutdown": BRUTAL_KILL}))).ref,
            (await async_nolink(supervisor, forever, shutdown=BRUTAL_KILL)).ref,
            await start_task(supervisor, forever, shutdown=BRUTAL_KILL),
        ]
        asked = await start_task(supervisor, forever)
        await settle()
        await system.stop(supervisor)
        assert [ref.last_exit for ref in (*killed, asked)] == [KILLED] * 3 + [SHUTDOWN]


async def test_start_child_with_custom_restart() -> None:
    """A permanent task begins again, however it ended."""
    begun: list[int] = []

    async def begin() -> None:
        begun.append(1)
        await forever()

    async with ActorSystem() as system:
        supervisor = await jobs(system)
        ref = await start_task(supervisor, begin, restart=Restart.PERMANENT)
        await settle()
        await system.stop(ref)
        await settle()
        assert (len(begun), ref.is_alive()) == (2, True)


async def test_terminate_child() -> None:
    """A task is ended by its id, and a second request finds none."""
    async with ActorSystem() as system:
        supervisor = await jobs(system)
        ref = await start_task(supervisor, forever)
        [child] = await which_children(supervisor)
        await terminate_child(supervisor, child.id)
        assert (ref.is_alive(), await which_children(supervisor)) == (False, ())
        with pytest.raises(NotFound):
            await terminate_child(supervisor, child.id)


@pytest.mark.parametrize("raised", [RuntimeError("oops"), SystemExit("oops"), KeyboardInterrupt("oops")])
async def test_await_of_a_task_that_fails(raised: BaseException) -> None:
    """What a task raised ends its linked owner and comes to whoever waits; what would end more comes as ActorDead."""

    async def fail() -> None:
        await asyncio.sleep(1)
        raise raised

    async with ActorSystem(on_event=lambda _event: None) as system:
        supervisor = await jobs(system)
        owner = await system.spawn(Owner)
        task = await owner.call((supervisor, fail, {}))
        with pytest.raises(RuntimeError if isinstance(raised, RuntimeError) else ActorDead):
            await task.result()
        await settle()
        assert owner.last_exit is not None
        assert owner.last_exit.error is raised
        assert supervisor.is_alive()


async def test_streams_with_slowest_first_and_without_leaking_tasks() -> None:
    """Results come in the order of the items, whoever is ready first, and no task is left."""
    async with ActorSystem() as system:
        supervisor = await jobs(system)
        stream = async_stream(supervisor, sleep, (4.0, 3.0, 2.0, 1.0), max_concurrency=4)
        assert [outcome.value async for outcome in stream] == [4.0, 3.0, 2.0, 1.0]
        await settle()
        assert await which_children(supervisor) == ()


async def test_streams_with_exits() -> None:
    """Each item that fails says so beside its item; whoever leaves at the first failure leaves nothing behind."""

    async def fail(item: int) -> None:
        await asyncio.sleep(0.1)
        raise ValueError(str(item))

    async with ActorSystem(on_event=lambda _event: None) as system:
        supervisor = await jobs(system)
        outcomes = [one async for one in async_stream(supervisor, fail, range(8), max_concurrency=3)]
        assert [(one.item, str(one.error)) for one in outcomes] == [(n, str(n)) for n in range(8)]
        async with aclosing(async_stream(supervisor, fail, range(8), max_concurrency=3)) as stream:
            assert str((await anext(stream)).error) == "0"
        await settle()
        assert await which_children(supervisor) == ()


async def test_a_stream_raises_if_max_children_is_reached_and_ends_what_runs() -> None:
    """A supervisor that is full refuses the next task: the stream raises, and what it had started is ended."""
    async with ActorSystem() as system:
        supervisor = await jobs(system, max_children=1)
        with pytest.raises(MaxChildren):
            async for _ in async_stream(supervisor, sleep, (100.0, 100.0), max_concurrency=2, timeout_s=1000):
                pass
        await settle()
        assert await which_children(supervisor) == ()


async def test_a_stream_is_consumed_by_whoever_has_it() -> None:
    """A stream that one task made is run by another."""
    async with ActorSystem() as system:
        stream = async_stream(await jobs(system), sleep, (1.0, 2.0, 3.0))

        async def run() -> list[Any]:
            return [outcome.value async for outcome in stream]

        assert await asyncio.create_task(run()) == [1.0, 2.0, 3.0]


@pytest.mark.req("161")
async def test_a_partition_supervisor_stops_all_its_copies_before_it_has_stopped() -> None:
    """PartitionSupervisorTest: stop is synchronous, also where copies take time to stop."""

    class Slow(Actor):
        async def on_stop(self, exit_: Any) -> None:
            await asyncio.sleep(1)

    async with ActorSystem() as system:
        supervisor = await system.spawn(PartitionSupervisor, ChildSpec("x", Start(Slow)), 3, path="/shards")
        refs = (await partitions_of(supervisor)).refs
        assert await system.stop(supervisor) == SHUTDOWN
        assert [ref.last_exit for ref in refs] == [SHUTDOWN] * 3


async def test_a_task_is_started_with_the_words_of_its_restart_and_isolation_and_with_a_function() -> None:
    async with ActorSystem() as system:
        supervisor = await jobs(system)
        task = await async_nolink(supervisor, os.getpid, isolation="thread", simulated_cost_s=0.0)
        assert await task.result() == os.getpid()
        await start_task(supervisor, forever, restart="transient")
        nonsense: Any = 5
        with pytest.raises(TypeError, match="a task calls a function, and 5 is none"):
            await async_nolink(supervisor, nonsense)
