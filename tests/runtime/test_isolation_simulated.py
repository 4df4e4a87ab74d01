"""A child that is isolated blocks or computes for long. In a simulation it runs on the loop, for a time that is stated."""

import threading
from typing import Any, ClassVar

import pytest

from allstop.actors.runtime import Actor, ActorSystem, Continue, IsolationRefused, StartError
from allstop.actors.spec import ChildSpec, Isolation, Start, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import StartFailure
from allstop.supervisors.supervisor import Supervisor, start_child
from allstop.supervisors.task_supervisor import TaskSupervisor, async_nolink, start_task

APART = [Isolation.THREAD, Isolation.PROCESS]


class Blocks(Actor):
    """Would hold the loop."""

    def on_receive(self, message: Any) -> Any:
        return message


class Slow(Blocks):
    simulated_cost_s: ClassVar[float | None] = 2.0


class Continues(Blocks):
    def on_start(self) -> Continue:
        return Continue("a long look at a file")

    def on_continue(self, argument: object) -> None:
        self.looked_at = argument

    def on_receive(self, message: Any) -> Any:
        return self.looked_at


def blocks(isolation: Isolation, **fields: Any) -> ChildSpec:
    return ChildSpec("fitter", Start(Blocks), isolation=isolation, **fields)


async def cost_s(system: ActorSystem, ref: Any) -> float:
    before_s = system.clock.now_s()
    for _ in range(4):
        assert await ref.call("x", timeout_s=60.0) == "x"
    return (system.clock.now_s() - before_s) / 4


@pytest.mark.virtual
@pytest.mark.parametrize("isolation", APART)
async def test_in_a_simulation_a_child_whose_cost_nobody_states_is_refused_by_name(
    isolation: Isolation, system: ActorSystem
) -> None:
    with pytest.raises(StartError) as refused:
        await system.spawn(Supervisor, SupervisorFlags(), (blocks(isolation),), path="/models")
    assert "'fitter'" in str(refused.value)
    wanted = f"Blocks with isolation='{isolation.value}' .* state .* simulated_cost_s=0.25"
    with pytest.raises(StartError, match=wanted) as alone:
        await system.spawn(Blocks, path="/alone", isolation=isolation)
    assert isinstance(alone.value.cause, IsolationRefused)
    assert "/alone" in str(alone.value)


@pytest.mark.virtual
@pytest.mark.parametrize("isolation", APART)
async def test_a_child_added_later_and_a_task_are_refused_just_so(
    isolation: Isolation, system: ActorSystem
) -> None:
    crew = await system.spawn(DynamicSupervisor, SupervisorFlags(), max_children=9, path="/crew")
    with pytest.raises(StartFailure, match=r"'fitter' .* Blocks .* simulated_cost_s"):
        await start_child(crew, blocks(isolation))
    jobs = await system.spawn(TaskSupervisor, path="/jobs")
    with pytest.raises(StartFailure, match=r"TaskActor .* simulated_cost_s"):
        await async_nolink(jobs, threading.get_ident, isolation=Isolation.THREAD)


@pytest.mark.virtual
@pytest.mark.parametrize("isolation", APART)
@pytest.mark.parametrize("stated_s", [0.0, 0.25])
async def test_each_message_costs_what_the_spec_states(
    isolation: Isolation, stated_s: float, system: ActorSystem
) -> None:
    spec = blocks(isolation, simulated_cost_s=stated_s)
    await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/models")
    assert await cost_s(system, system.address("/models/fitter")) == pytest.approx(stated_s)


@pytest.mark.virtual
async def test_the_class_states_it_for_all_and_a_spec_for_one(system: ActorSystem) -> None:
    crew = await system.spawn(DynamicSupervisor, SupervisorFlags(), max_children=9, path="/crew")
    by_class = await start_child(crew, ChildSpec("a", Start(Slow), isolation=Isolation.THREAD))
    by_spec = await start_child(
        crew, ChildSpec("b", Start(Slow), isolation=Isolation.THREAD, simulated_cost_s=0.5)
    )
    assert await cost_s(system, by_class) == pytest.approx(2.0)
    assert await cost_s(system, by_spec) == pytest.approx(0.5)


@pytest.mark.virtual
@pytest.mark.parametrize("isolation", APART)
async def test_what_goes_on_with_a_start_costs_it_too(isolation: Isolation, system: ActorSystem) -> None:
    spec = ChildSpec("a", Start(Continues), isolation=isolation, simulated_cost_s=0.25)
    ref = await start_child(
        await system.spawn(DynamicSupervisor, SupervisorFlags(), max_children=9, path="/crew"), spec
    )
    assert ref is not None
    before_s = system.clock.now_s()
    assert await ref.call("what") == "a long look at a file"
    assert system.clock.now_s() - before_s == pytest.approx(0.5)


@pytest.mark.virtual
async def test_a_task_on_a_thread_costs_what_is_stated(system: ActorSystem) -> None:
    jobs = await system.spawn(TaskSupervisor, path="/jobs")
    before_s = system.clock.now_s()
    task = await async_nolink(jobs, threading.get_ident, isolation=Isolation.THREAD, simulated_cost_s=0.75)
    assert await task.result() == threading.get_ident()
    assert system.clock.now_s() - before_s == pytest.approx(0.75)
    done: list[float] = []
    before_s = system.clock.now_s()
    ref = await start_task(
        jobs, lambda: done.append(system.clock.now_s()), isolation="thread", simulated_cost_s=0.75
    )
    await system.ended(ref)
    assert done == [pytest.approx(before_s + 0.75)]


@pytest.mark.virtual
@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
async def test_a_class_with_a_cost_that_is_none_is_refused(wrong: float, system: ActorSystem) -> None:
    cls = type("Wrong", (Blocks,), {"simulated_cost_s": wrong})
    with pytest.raises(StartError, match=r"Wrong .* seconds from 0 on"):
        await system.spawn(cls, isolation="thread")


async def test_in_the_real_world_nothing_has_to_be_stated_and_nothing_is_waited_for(
    system: ActorSystem,
) -> None:
    spec = blocks(Isolation.THREAD, simulated_cost_s=60.0)
    await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/models")
    assert await system.address("/models/fitter").call("x", timeout_s=5.0) == "x"
    assert await (await system.spawn(Blocks, isolation="thread")).call("x", timeout_s=5.0) == "x"
