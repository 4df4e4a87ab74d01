"""Traces, logs, statistics and hooks, and what people are shown of an actor."""

import asyncio
from typing import Any

import pytest
from tests.runtime.keepers import Keeper, doing, every_kind
from tests.runtime.puppet import AsyncPuppet, Puppet, Witness, fails, sleeps

from allstop.actors.exits import ExitKind
from allstop.actors.runtime import (
    Actor,
    ActorSystem,
    State,
    StepKind,
    inspection,
)
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors import Supervisor

pytestmark = pytest.mark.virtual


# -- watching ----------------------------------------------------------------------------------------------------------
@pytest.mark.req("221")
@every_kind
async def test_a_trace_shows_each_message_in_and_each_answer_out_with_its_time(
    system: ActorSystem, kind: type[Actor]
) -> None:
    ref = await system.spawn(kind, path="/keeper")
    steps: list[inspection.Step] = []
    await inspection.trace(ref, steps.append)
    await ref.call("called")
    ref.tell("told")
    await ref.call("once more")
    await inspection.trace(ref, None)
    await ref.call("unseen")
    assert [(step.kind, step.message, step.called, step.result) for step in steps] == [
        (StepKind.IN, "called", True, None),
        (StepKind.OUT, "called", True, 1),
        (StepKind.IN, "told", False, None),
        (StepKind.NOREPLY, "told", False, 2),
        (StepKind.IN, "once more", True, None),
        (StepKind.OUT, "once more", True, 3),
    ]
    assert {(step.path, step.incarnation) for step in steps} == {("/keeper", 1)}
    assert all(step.took_s is not None and step.took_s >= 0 for step in steps if step.kind is not StepKind.IN)


@every_kind
async def test_watching_leaves_no_trace_on_the_actor(system: ActorSystem, kind: type[Actor]) -> None:
    ref = await system.spawn(kind)
    before = dict(ref.cell.actor.__dict__)
    await inspection.trace(ref, print)
    await inspection.log(ref, 3)
    await inspection.statistics(ref, True)
    assert await inspection.get_state(ref) == {"key": "hunter2", "count": 0}
    await inspection.statistics(ref, False)
    await inspection.log(ref, 0)
    await inspection.trace(ref, None)
    assert dict(ref.cell.actor.__dict__) == before
    assert ref.cell.observer is None


async def test_a_trace_shows_what_a_handler_raised(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    steps: list[inspection.Step] = []
    await inspection.trace(ref, steps.append)
    error = KeyError("no")
    ref.tell(fails(error))
    await asyncio.sleep(1)
    assert [step.kind for step in steps] == [StepKind.IN, StepKind.RAISED]
    assert steps[1].result is error


async def test_a_trace_shows_timers_and_what_comes_through_a_proxy(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    steps: list[inspection.Step] = []
    await inspection.trace(ref, steps.append)
    await ref.call(doing(lambda keeper: keeper.send_after(1, "tick") and None))
    await asyncio.sleep(2)
    assert await ref.proxy().format_status() == {"count": 1}
    assert [type(step.message).__name__ for step in steps if step.kind is StepKind.IN] == [
        "function",
        "str",
        "ProxyCall",
    ]


@pytest.mark.req("221")
async def test_the_log_keeps_the_last_steps_and_can_be_switched_while_the_actor_runs(
    system: ActorSystem,
) -> None:
    ref = await system.spawn(Keeper)
    assert await inspection.log(ref) == []
    await inspection.log(ref, 4)
    for number in range(10):
        await ref.call(number)
    kept = await inspection.log(ref)
    assert [(step.kind, step.message) for step in kept] == [
        (StepKind.IN, 8),
        (StepKind.OUT, 8),
        (StepKind.IN, 9),
        (StepKind.OUT, 9),
    ]
    assert (await inspection.get_status(ref)).log == tuple(kept)
    assert await inspection.log(ref, 2) == kept[2:]
    assert await inspection.log(ref, 0) == kept[2:]
    await ref.call("unseen")
    assert await inspection.log(ref) == []
    with pytest.raises(ValueError, match="0 to 10000 steps, not -1"):
        await inspection.log(ref, -1)


@pytest.mark.req("221")
async def test_statistics_count_messages_times_and_the_high_water_mark(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    assert await inspection.statistics(ref) is None
    await inspection.statistics(ref, True)
    began_ns = system.clock.wall_ns()
    ref.tell(sleeps(1))
    ref.tell("short")
    await ref.call(sleeps(2))
    ref.tell(sleeps(3600))
    ref.tell("waits")
    await asyncio.sleep(1)
    found = await inspection.statistics(ref)
    assert found is not None
    assert (found.received, found.handled, found.calls, found.raised) == (5, 3, 1, 0)
    assert (found.handler_s, found.handler_max_s) == (pytest.approx(3), pytest.approx(2))
    assert (found.waiting, found.waiting_max, found.slowest) == (1, 2, "function")
    assert (found.since_ns, found.until_ns) == (began_ns, began_ns + 4_000_000_000)
    assert (await inspection.get_status(ref)).statistics == found
    assert await inspection.statistics(ref, False) == found
    assert await inspection.statistics(ref) is None


@pytest.mark.req("221")
async def test_hooks_are_installed_and_removed_and_one_that_says_it_is_done_goes(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    seen: list[Any] = []
    once: list[Any] = []

    def hook(step: inspection.Step) -> None:
        seen.append(step.message)

    def first_only(step: inspection.Step) -> str:
        once.append(step.message)
        return inspection.DONE

    key = await inspection.install(ref, hook)
    await inspection.install(ref, first_only, key="once")
    await ref.call("a")
    assert (seen, once) == (["a", "a"], ["a"])
    assert system.dead_letters.recent() == []
    assert not await inspection.remove(ref, "once")
    assert await inspection.remove(ref, key)
    await ref.call("b")
    assert seen == ["a", "a"]
    assert ref.cell.observer is None


@pytest.mark.req("221")
async def test_a_hook_that_raises_is_removed_and_hurts_nobody(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)

    def broken(_step: inspection.Step) -> None:
        raise ValueError("a bad hook")

    await inspection.install(ref, broken)
    assert await ref.call("a") == 1
    assert ref.is_alive()
    letters = system.dead_letters.recent()
    assert [(letter.kind, type(letter.cause)) for letter in letters] == [("observer", ValueError)]
    await asyncio.sleep(0)
    assert ref.cell.observer is None


async def test_what_was_switched_on_ends_with_the_incarnation(system: ActorSystem) -> None:
    top = await system.spawn(Supervisor, SupervisorFlags(), [ChildSpec("keeper", Start(Keeper))], path="/top")
    child = system.address("/top/keeper")
    await inspection.log(child, 10)
    await inspection.suspend(child)
    system.kill(child)
    await asyncio.sleep(1)
    assert child.incarnation == 2
    assert await inspection.log(child) == []
    assert await child.call("one") == 1
    await system.stop(top)


@pytest.mark.req("222")
async def test_watching_can_be_switched_on_beside_a_handler_that_hangs(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    ref.tell(sleeps(3600))
    await asyncio.sleep(1)
    await inspection.log(ref, 10)
    await inspection.statistics(ref, True)
    await inspection.trace(ref, print)
    assert (await inspection.get_status(ref)).handling


async def test_a_coroutine_that_is_killed_while_it_is_watched_ends_as_always(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    await inspection.log(ref, 10)
    ref.tell(sleeps(3600))
    await asyncio.sleep(1)
    assert (await system.stop(ref)).kind is ExitKind.SHUTDOWN
    assert witness.crashes == []


# -- status ------------------------------------------------------------------------------------------------------------
@pytest.mark.req("205")
@every_kind
async def test_the_status_shows_what_the_formatter_shows_and_no_key(
    system: ActorSystem, kind: type[Actor]
) -> None:
    parent = await system.spawn(Keeper, path="/parent")
    ref = await system.spawn(kind, path="/parent/keeper", parent=parent)
    status = await inspection.get_status(ref)
    assert status.shown == {"count": 0}
    assert "hunter2" not in repr(status)
    assert (status.path, status.parent, status.state, status.actor_class) == (
        "/parent/keeper",
        "/parent",
        State.RUNNING,
        kind.__qualname__,
    )
    assert (await inspection.get_status(parent)).children == ("/parent/keeper",)


@pytest.mark.req("205")
async def test_a_formatter_that_fails_hides_the_state(system: ActorSystem) -> None:
    class Careless(Keeper):
        def format_status(self) -> Any:
            raise RuntimeError(f"leaks {self.key}")

    status = await inspection.get_status(await system.spawn(Careless))
    assert status.shown == "hidden: format_status raised RuntimeError"
    assert "hunter2" not in repr(status)


async def test_a_receive_timeout_and_a_trace_do_not_lose_each_other(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    steps: list[inspection.Step] = []

    def seen() -> list[Any]:
        return [step.message for step in steps if step.kind is StepKind.IN]

    await ref.call(doing(lambda keeper: keeper.set_receive_timeout(5, "silence")))
    await inspection.trace(ref, steps.append)  # in front of the timeout
    await asyncio.sleep(10)
    assert seen() == ["silence"]
    await ref.call(doing(lambda keeper: keeper.set_receive_timeout(5, "silence")))  # in front of the trace
    await ref.call("a")
    await asyncio.sleep(10)
    assert seen()[2:] == ["a"]
    await ref.call(doing(lambda keeper: keeper.set_receive_timeout(5, "silence")))
    await inspection.trace(ref, None)
    await asyncio.sleep(10)
    assert (await inspection.get_state(ref)) == {"key": "hunter2", "count": 3}
    assert set(vars(ref.cell.actor)) == {"_cell", "key", "count"}
