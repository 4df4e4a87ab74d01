"""One-shot jobs under a supervisor."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from tests.supervisors.puppets import Stage, settle

from allstop.actors.events import CrashReport
from allstop.actors.exits import ExitKind
from allstop.actors.runtime import Actor, ActorDead, ActorSystem, CallTimeout, Down, Ref
from allstop.actors.spec import ChildSpec, Restart, Start, SupervisorFlags
from allstop.supervisors.errors import MaxChildren
from allstop.supervisors.supervisor import count_children, get_childspec, start_child, which_children
from allstop.supervisors.task_supervisor import (
    TaskSupervisor,
    async_,
    async_nolink,
    async_stream,
    start_task,
)

pytestmark = [pytest.mark.virtual, pytest.mark.req("162")]


class Owner(Actor):
    """Does for itself what a test tells it to."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def on_receive(self, message: Callable[["Owner"], Awaitable[Any]] | Down | str) -> Any:
        if isinstance(message, Down):
            self.got.append(message)
        elif isinstance(message, str):
            return self.got
        else:
            return await message(self)
        return None


def do(what: Callable[[Owner], Awaitable[Any]]) -> Callable[[Owner], Awaitable[Any]]:
    return what


async def jobs(system: ActorSystem, **settings: Any) -> Ref:
    return await system.spawn(TaskSupervisor, path="/jobs", **settings)


async def after(seconds: float, value: Any) -> Any:
    await asyncio.sleep(seconds)
    return value


async def failing(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)
    raise OSError("no such venue")


async def test_a_task_gives_what_its_function_gave_to_all_who_await_it() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        task = await async_nolink(supervisor, after, 2, value="late")
        assert not task.done()
        assert await asyncio.gather(task.result(), task.result()) == ["late", "late"]
        assert task.done()
        assert await task == "late"
        plain = await async_nolink(supervisor, max, 1, 2)
        assert await plain == 2
        around = await async_nolink(supervisor, lambda: after(1, "around"))
        assert await around == "around"
        await settle()
        assert (await count_children(supervisor)).specs == 0


async def test_what_a_task_raised_comes_to_whoever_awaits_it_and_into_the_reports() -> None:
    stage = Stage()
    async with stage.system() as system:
        task = await async_nolink(await jobs(system), failing)
        with pytest.raises(OSError, match="no such venue"):
            await task
        assert [type(report.error) for report in stage.of(CrashReport)] == [OSError]


async def test_tasks_are_temporary_and_have_five_seconds_to_stop() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        await async_nolink(supervisor, after, 100, None)
        (child,) = await which_children(supervisor)
        spec = await get_childspec(supervisor, child.id)
        assert (spec.restart, spec.effective_shutdown) == (Restart.TEMPORARY, 5.0)


async def test_giving_up_the_wait_does_not_end_the_task() -> None:
    async with Stage().system() as system:
        task = await async_nolink(await jobs(system), after, 10, "done")
        with pytest.raises(CallTimeout, match=r"has no result after 1\.0 s"):
            await task.result(timeout_s=1.0)
        assert await task.result(timeout_s=60.0) == "done"


async def test_a_task_can_be_shut_down_and_those_who_wait_are_told() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        task = await async_nolink(supervisor, after, 1000, "done")
        waiting = asyncio.ensure_future(task.result(60))
        await settle()
        await task.shutdown()
        with pytest.raises(ActorDead):
            await waiting
        await task.shutdown()  # a second time: nothing happens
        assert (await count_children(supervisor)).specs == 0


async def test_an_owner_that_did_not_link_is_told_how_its_task_ended() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        owner = await system.spawn(Owner)
        await owner.call(do(lambda self: async_nolink(supervisor, failing, 1, owner=self)))
        await owner.call(do(lambda self: async_nolink(supervisor, after, 2, "fine", owner=self)))
        await asyncio.sleep(5)
        first, second = await owner.call("got")
        assert str(first.exit.error) == "no such venue"
        assert second.exit.kind is ExitKind.NORMAL
        assert owner.incarnation == 1


async def test_a_linked_task_that_fails_ends_its_owner() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        owner = await system.spawn(Owner, path="/owner")
        await owner.call(do(lambda self: async_(supervisor, failing, 1, owner=self)))
        await asyncio.sleep(5)
        assert not owner.is_alive()
        assert owner.last_exit is not None
        assert str(owner.last_exit.error) == "no such venue"


async def test_a_linked_task_ends_with_its_owner_and_one_that_ends_well_leaves_it_alone() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        owner = await system.spawn(Owner, path="/owner")
        done = await owner.call(do(lambda self: async_(supervisor, after, 1, "done", owner=self)))
        long = await owner.call(do(lambda self: async_(supervisor, after, 1000, "never", owner=self)))
        assert await done == "done"
        await settle()
        assert owner.is_alive()
        system.kill(owner)
        with pytest.raises(ActorDead):
            await long.result(60)


async def test_an_owner_outlives_the_linked_task_that_it_shuts_down() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        owner = await system.spawn(Owner, path="/owner")
        task = await owner.call(do(lambda self: async_(supervisor, after, 1000, "never", owner=self)))
        await task.shutdown()
        await settle()
        assert task.done()
        assert owner.is_alive()


async def test_no_more_tasks_run_than_the_supervisor_may_have() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system, max_children=2)
        first = await async_nolink(supervisor, after, 1, None)
        await async_nolink(supervisor, after, 1, None)
        with pytest.raises(MaxChildren):
            await async_nolink(supervisor, after, 1, None)
        await first
        await asyncio.sleep(1)
        await async_nolink(supervisor, after, 1, None)


async def test_a_task_whose_value_nobody_wants_can_be_tried_again() -> None:
    tries: list[int] = []

    def twice() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise OSError("not yet")

    async with Stage().system() as system:
        supervisor = await jobs(system, flags=SupervisorFlags(max_restarts=5))
        await start_task(supervisor, twice, restart=Restart.TRANSIENT)
        await asyncio.sleep(1)
        assert tries == [0, 1, 2]
        assert [child.ref for child in await which_children(supervisor)] in ([], [None])


async def test_a_task_whose_starter_is_gone_does_not_stay_for_ever() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)
        start = asyncio.ensure_future(async_nolink(supervisor, after, 1, None))
        while (await count_children(supervisor)).specs == 0:
            start.cancel()
            await asyncio.sleep(0)
            if start.done():
                break
        await asyncio.sleep(60)
        assert (await count_children(supervisor)).specs == 0


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_stream_calls_the_function_for_each_item_and_so_many_at_a_time(ordered: bool) -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(3 - item % 3)
        running -= 1
        return item * 10

    async with Stage().system() as system:
        supervisor = await jobs(system)
        outcomes = [
            o async for o in async_stream(supervisor, work, range(9), max_concurrency=3, ordered=ordered)
        ]
        assert most == 3
        assert sorted((o.item, o.value) for o in outcomes) == [(i, i * 10) for i in range(9)]
        assert ([o.item for o in outcomes] == list(range(9))) is ordered


async def test_in_a_stream_a_failure_and_a_timeout_are_outcomes_and_the_rest_goes_on() -> None:
    async def work(item: int) -> int:
        if item == 1:
            raise OSError("bad item")
        await asyncio.sleep(100 if item == 2 else 0)
        return item

    async with Stage().system() as system:
        supervisor = await jobs(system)
        outcomes = [o async for o in async_stream(supervisor, work, range(4), timeout_s=3.0)]
        assert [type(o.error) for o in outcomes] == [type(None), OSError, CallTimeout, type(None)]
        await settle()
        assert (await count_children(supervisor)).specs == 0


async def test_a_stream_that_is_left_early_ends_what_still_runs() -> None:
    async with Stage().system() as system:
        supervisor = await jobs(system)

        async def work(item: int) -> int:
            await asyncio.sleep(0 if item == 0 else 1000)
            return item

        async with aclosing(
            async_stream(supervisor, work, range(100), max_concurrency=4, timeout_s=2000)
        ) as stream:
            async for outcome in stream:
                assert outcome.item == 0
                break
        await settle()
        assert (await count_children(supervisor)).specs == 0


async def test_a_stream_needs_room_for_one_at_a_time() -> None:
    async with Stage().system() as system:
        with pytest.raises(ValueError, match="max_concurrency: a whole number from 1 on, not 0"):
            await anext(async_stream(await jobs(system), max, [1], max_concurrency=0))


def _same(item: int) -> int:
    return item


async def _long(_item: int) -> None:
    await asyncio.sleep(60.0)


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_stream_as_wide_as_its_supervisor_never_runs_out_of_room(ordered: bool) -> None:
    async with ActorSystem() as system:
        jobs = await system.spawn(TaskSupervisor, path="/jobs", max_children=3)
        stream = async_stream(jobs, _same, range(100), max_concurrency=3, ordered=ordered)
        assert [outcome.value async for outcome in stream] == list(range(100))


async def test_a_stream_that_is_wider_than_its_supervisor_says_so_and_leaves_nothing_behind() -> None:
    async with ActorSystem() as system:
        jobs = await system.spawn(TaskSupervisor, path="/jobs", max_children=3)
        with pytest.raises(MaxChildren):
            async for _ in async_stream(jobs, _long, range(9), max_concurrency=4):
                pass
        assert (await count_children(jobs)).active == 0


async def test_a_stream_ends_with_its_supervisor() -> None:
    async with ActorSystem() as system:
        jobs = await system.spawn(TaskSupervisor, path="/jobs", max_children=3)

        async def drain() -> None:
            async for _ in async_stream(jobs, _long, range(9), max_concurrency=2):
                pass

        draining = asyncio.ensure_future(drain())
        await settle(1.0)
        system.kill(jobs)
        with pytest.raises(ActorDead):
            await asyncio.wait_for(draining, 1.0)
        assert system.actors() == []


class SlowStart(Actor):
    async def on_start(self) -> None:
        await asyncio.sleep(3)


class Starter(Actor):
    def __init__(self, tasks: Ref) -> None:
        self._tasks = tasks

    async def on_receive(self, message: Any) -> None:
        if message == "link":
            await async_(self._tasks, asyncio.sleep, 100, owner=self)
        elif message == "monitor":
            await async_nolink(self._tasks, asyncio.sleep, 100, owner=self)
        else:
            await anext(async_stream(self._tasks, asyncio.sleep, [100] * 9, max_concurrency=3))


@pytest.mark.parametrize("how", ["link", "monitor", "stream"])
@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_whoever_is_gone_before_a_task_has_started_leaves_none_behind(how: str, end: str) -> None:
    async with ActorSystem() as system:
        tasks = await system.spawn(TaskSupervisor, max_children=10, path="/tasks")
        starter = await system.spawn(Starter, tasks)
        busy = asyncio.ensure_future(start_child(tasks, ChildSpec("slow", Start(SlowStart))))
        await asyncio.sleep(1)
        starter.tell(how)
        await asyncio.sleep(1)
        if end == "kill":
            system.kill(starter)
        else:
            await system.stop(starter)
        await busy
        await asyncio.sleep(0.1)
        assert [child.id for child in await which_children(tasks)] == ["slow"]
        assert tasks.incarnation == 1


async def test_a_task_that_was_refused_is_not_asked_for_again() -> None:
    async with ActorSystem() as system:
        tasks = await system.spawn(TaskSupervisor, max_children=1, path="/tasks")
        await start_task(tasks, asyncio.sleep, 100)
        with pytest.raises(MaxChildren):
            await async_nolink(tasks, asyncio.sleep, 100)
        await asyncio.sleep(0.1)
        assert tasks.is_alive()
        assert len(await which_children(tasks)) == 1
