"""Statements that no case of a suite shows."""

import asyncio
from typing import Any

import pytest
from tests.otp.actors import Directed, Directions, Parent, end, kill, nested, settle

from allstop.actors.events import ChildTerminated, Event
from allstop.actors.exits import KILLED, SHUTDOWN, ReachedMaxRestartIntensity
from allstop.actors.runtime import ActorSystem
from allstop.actors.spec import Backoff, Restart, Stash, Strategy, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.supervisor import Supervisor, restart_child, start_child, terminate_child

pytestmark = pytest.mark.virtual
BOOM = RuntimeError("boom")
ONCE = SupervisorFlags(max_restarts=1, max_seconds=3600.0)


@pytest.mark.req("69", "107")
async def test_restart_child_uses_no_budget() -> None:
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, ONCE, (directions.child("child1"),), path="/sup")
        for _ in range(5):
            await terminate_child(supervisor, "child1")
            await restart_child(supervisor, "child1")
        await kill(system, "/sup/child1")  # the one restart that the budget allows is still there
        assert system.address("/sup/child1").is_alive()
        await kill(system, "/sup/child1")
        assert not supervisor.is_alive()


@pytest.mark.req("130")
async def test_a_supervisor_whose_parent_ends_in_order_stops_its_children_first() -> None:
    directions = Directions()
    async with ActorSystem() as system:
        top = await system.spawn(
            Supervisor,
            ONCE,
            (nested("inner", ONCE, directions.child("a"), directions.child("b")),),
            path="/top",
        )
        await system.stop(top)
        assert directions.stopped() == ["b", "a"]
        assert system.address("/top/inner").last_exit == SHUTDOWN


@pytest.mark.req("130", "131")
async def test_a_supervisor_whose_parent_fails_goes_with_it_and_so_do_its_children() -> None:
    directions = Directions()
    async with ActorSystem() as system:
        parent = await system.spawn(Parent, path="/parent")
        inner = await system.spawn(
            Supervisor, ONCE, (directions.child("a"),), path="/parent/inner", parent=parent
        )
        system.crash(parent, BOOM)
        await settle()
        assert (inner.is_alive(), system.address("/parent/inner/a").is_alive()) == (False, False)
        assert inner.last_exit == KILLED
        assert directions.stopped() == []
        assert system.leaked == []


@pytest.mark.req("134")
async def test_each_child_that_ends_badly_at_a_stop_is_an_event_of_its_own() -> None:
    events: list[Event] = []
    directions = Directions()
    async with ActorSystem(on_event=events.append) as system:
        supervisor = await system.spawn(DynamicSupervisor, ONCE, max_children=10, path="/sup")
        for name in ("a", "b", "c"):
            await start_child(supervisor, directions.child(name))
        directions.stops |= {"a": BOOM, "c": BOOM}
        await system.stop(supervisor)
    told = [
        (event.child, event.reason)
        for event in events
        if isinstance(event, ChildTerminated) and event.stopping
    ]
    assert sorted(told) == [("a", "crashed: RuntimeError: boom"), ("c", "crashed: RuntimeError: boom")]


@pytest.mark.req("231")
async def test_a_start_that_fails_over_and_over_ends_with_the_budget_however_fast_it_fails() -> None:
    directions = Directions()
    flags = SupervisorFlags(max_restarts=500, max_seconds=3600.0)
    events: list[Event] = []
    async with ActorSystem(on_event=events.append) as system:
        supervisor = await system.spawn(Supervisor, flags, (directions.child("child1"),), path="/sup")
        other = await system.spawn(Directed, directions, path="/other")
        directions.always["child1"] = BOOM
        system.kill(system.address("/sup/child1"))
        assert await other.call("heard") == "heard"  # a loop of failing starts lets others run
        assert (await asyncio.wait_for(system.ended(supervisor), 10)).error is not None
        assert supervisor.last_exit is not None
        assert isinstance(supervisor.last_exit.error, ReachedMaxRestartIntensity)
        assert supervisor.last_exit.error.attempts == 500
        assert system.address("/sup/child1").incarnation == 501


@pytest.mark.req("232")
async def test_with_a_bound_on_restarts_in_a_row_the_next_failure_is_the_last() -> None:
    directions = Directions()
    backoff = Backoff(min_backoff_s=1.0, max_backoff_s=1.0, random_factor=0.0, max_consecutive=2)
    async with ActorSystem() as system:
        supervisor = await system.spawn(
            Supervisor, SupervisorFlags(), (directions.child("child1", backoff=backoff),), path="/sup"
        )
        child = system.address("/sup/child1")
        for restarts in (1, 2):
            child.tell(BOOM)
            await settle(1.01)
            assert child.incarnation == restarts + 1
        child.tell(BOOM)
        await settle(1.01)
        assert not supervisor.is_alive()


@pytest.mark.req("234")
async def test_the_children_of_a_parent_that_restarts_have_ended_before_it_starts_again() -> None:
    directions = Directions()
    directions.stops["leaf"] = 2.0
    flags = SupervisorFlags(strategy=Strategy.REST_FOR_ONE, max_restarts=5, max_seconds=3600.0)
    inner = nested("inner", flags, directions.child("leaf"))
    async with ActorSystem() as system:
        await system.spawn(Supervisor, flags, (directions.child("cause"), inner), path="/top")
        leaf = system.address("/top/inner/leaf")
        first = leaf.pinned()
        directions.log.clear()
        await end(system.address("/top/cause"), BOOM)
        await settle(1.0)
        assert (first.is_alive(), system.address("/top/inner").incarnation) == (True, 1)  # it takes its time
        await settle(1.1)
        assert directions.log == [("stop", "leaf"), ("start", "cause"), ("start", "leaf")]
        assert (system.address("/top/inner").incarnation, leaf.incarnation) == (2, 2)


class Counting(Directed):
    seen: list[Any]

    def __init__(self, directions: Directions, seen: list[Any]) -> None:
        super().__init__(directions)
        self.seen = seen

    def on_receive(self, message: Any) -> Any:
        self.seen.append(message)
        return super().on_receive(message)


@pytest.mark.req("235")
@pytest.mark.parametrize("while_down", [None, Stash(10)])
async def test_the_message_that_the_actor_failed_on_does_not_come_again(while_down: Stash | None) -> None:
    seen: list[Any] = []
    directions = Directions()
    spec = directions.child("child1", while_down=while_down, restart=Restart.PERMANENT)
    async with ActorSystem() as system:
        start = type(spec.start)(Counting, (directions, seen))
        await system.spawn(
            Supervisor, ONCE, (type(spec)("child1", start, while_down=while_down),), path="/sup"
        )
        child = system.address("/sup/child1")
        await end(child, BOOM)
        await settle(10)
        assert (child.incarnation, seen) == (2, [BOOM])
        assert [letter.message for letter in system.dead_letters.recent()] == []
