"""The bugs that other ports of OTP's supervisor shipped, one test each, on the runtime. The comment names the report."""

import asyncio
from typing import Any

import pytest
from tests.supervisors.puppets import End, Stage, crash, incarnation, kill, settle

from allstop.actors.clock import ManualClock
from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN
from allstop.actors.runtime import Actor, ActorSystem, MailboxFull, Ref
from allstop.actors.spec import Backoff, ChildSpec, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.children import ChildState
from allstop.supervisors.supervisor import (
    CountChildren,
    Supervisor,
    count_children,
    start_child,
    terminate_child,
    which_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags(max_restarts=5, max_seconds=5.0)


async def test_01_a_child_that_fails_to_restart_does_not_crash_its_supervisor() -> None:
    # AtomVM#1957, #1958; ergo does it by design
    stage = Stage(starts={"a": [None, ValueError("no"), ValueError("no")]})
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a", "b"), path="/top")
        await crash(system, "/top/a")
        assert (top.incarnation, incarnation(system, "/top/b")) == (1, 1)
        assert system.address("/top/a").is_alive()


async def test_02_a_child_that_dies_before_it_is_monitored_is_restarted() -> None:
    # elle#1210
    class Brief(Actor):
        async def on_start(self) -> None:
            if self.incarnation == 2:
                self.system.address(self.path).tell("die before you are monitored")

        async def on_receive(self, message: Any) -> None:
            raise RuntimeError(message)

    async with ActorSystem(on_event=lambda _event: None) as system:
        held = system.address("/top/a")
        await system.spawn(Supervisor, FLAGS, (ChildSpec("a", Start(Brief)),), path="/top")
        await kill(system, "/top/a")
        assert (held.incarnation, held.is_alive()) == (3, True)


@pytest.mark.parametrize(("apart_s", "alive"), [(5.0, False), (5.1, True)])
@pytest.mark.parametrize("wall_rate", [-1, 0, 1000])  # it runs backwards, stands still, or leaps ahead
async def test_03_the_window_is_time_that_never_steps_and_messages_do_not_count(
    wall_rate: int, apart_s: float, alive: bool
) -> None:
    # elle#1211 counted messages; ergo and otpylib use the wall clock
    class Jumping(ManualClock):
        def wall_ns(self) -> int:
            return int(self.now_s() * 1e9) * wall_rate

    stage, clock = Stage(), Jumping()
    async with ActorSystem(clock=clock, on_event=stage.events.append) as system:
        once = SupervisorFlags(max_restarts=1, max_seconds=5.0)
        top = await system.spawn(Supervisor, once, stage.puppets("a"), path="/top")
        await crash(system, "/top/a")
        for _ in range(100):
            await count_children(top)
        clock.advance(apart_s)
        await crash(system, "/top/a")
        assert top.is_alive() is alive


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_04_a_child_added_at_run_time_belongs_to_the_group(strategy: Strategy) -> None:
    # elle#1215
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, SupervisorFlags(strategy), stage.puppets("a"), path="/top")
        await start_child(top, stage.puppet("late"))
        await crash(system, "/top/a")
        assert incarnation(system, "/top/late") == 2


async def test_05_a_group_restart_of_ten_counts_once() -> None:
    # otpylib counted once per child
    stage = Stage()
    async with stage.system() as system:
        once = SupervisorFlags(Strategy.ONE_FOR_ALL, max_restarts=1)
        top = await system.spawn(Supervisor, once, stage.puppets(*"abcdefghij"), path="/top")
        await crash(system, "/top/e")
        assert (await count_children(top)).active == 10


async def test_06_the_restart_type_is_obeyed_and_killed_is_not_clean() -> None:
    # otpylib ignored the type, and took a kill for a clean end
    stage = Stage()
    async with stage.system() as system:
        specs = [stage.puppet(restart.value, restart=restart) for restart in Restart]
        top = await system.spawn(Supervisor, FLAGS, specs, path="/top")
        for restart in Restart:
            await kill(system, f"/top/{restart.value}")
        assert [(child.id, child.state) for child in await which_children(top)] == [
            ("permanent", "running"),
            ("transient", "running"),
        ]


async def test_07_a_delayed_restart_is_marked_restarting_and_happens() -> None:
    # rabbitmq-common#201: never restarted; supervisor3#14: could not be deleted
    stage = Stage()
    async with stage.system() as system:
        spec = stage.puppet("a", backoff=Backoff(2.0, 2.0, 0.0))
        top = await system.spawn(Supervisor, SupervisorFlags(max_restarts=1), (spec,), path="/top")
        await crash(system, "/top/a")
        assert (await which_child(top, "a")).state is ChildState.RESTARTING
        await settle(2.0)
        assert (await which_child(top, "a")).state is ChildState.RUNNING


async def test_08_a_restart_that_is_ignored_leaves_no_ghost() -> None:
    # otp#8215
    stage = Stage(starts={"a": [None, "ignore"]})
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a", "b"), path="/top")
        await crash(system, "/top/a")
        assert (await which_child(top, "a")).state is ChildState.DOWN
        assert await system.stop(top, timeout_s=1.0) == SHUTDOWN


async def test_09_a_permanent_child_that_was_terminated_stays_down() -> None:
    # kameo#377
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        await terminate_child(top, "a")
        await settle(100)
        assert incarnation(system, "/top/a") is None


async def test_10_a_cancellation_from_below_is_a_crash_and_no_order_to_stop() -> None:
    # suture#77
    class Awaiting(Actor):
        async def on_receive(self, message: Any) -> None:
            inner = asyncio.ensure_future(asyncio.sleep(3600))
            asyncio.get_running_loop().call_later(0.1, inner.cancel)
            await inner

    async with ActorSystem(on_event=lambda _event: None) as system:
        spec = ChildSpec("a", Start(Awaiting), restart=Restart.TRANSIENT)
        await system.spawn(Supervisor, FLAGS, (spec,), path="/top")
        system.address("/top/a").tell("go")
        await settle(0.2)
        assert incarnation(system, "/top/a") == 2


async def test_11_no_sibling_is_left_running_when_a_group_cannot_come_back() -> None:
    # Visor.jl#5
    stage = Stage(starts={"b": [None, *[ValueError("no")] * 9]})
    async with stage.system() as system:
        flags = SupervisorFlags(Strategy.ONE_FOR_ALL, max_restarts=2)
        top = await system.spawn(Supervisor, flags, stage.puppets("a", "b", "c"), path="/top")
        await crash(system, "/top/a")
        await settle(1)
        assert (top.is_alive(), system.actors()) == (False, [])


async def test_12_a_new_incarnation_starts_only_when_the_old_one_has_cleaned_up() -> None:
    # anubis-mcp#241
    stage = Stage(stop_s={"b": 3.0})
    async with stage.system() as system:
        flags = SupervisorFlags(Strategy.ONE_FOR_ALL)
        await system.spawn(Supervisor, flags, stage.puppets("a", "b"), path="/top")
        await crash(system, "/top/a")
        await settle(2.9)
        assert stage.log == ["start a", "start b", "stop b shutdown"]
        await settle(0.2)
        assert stage.log[3:] == ["start a", "start b"]


async def test_13_exponential_backoff_is_exponential() -> None:
    # Proto.Actor-Go and bastion are linear
    stage = Stage()
    async with stage.system() as system:
        spec = stage.puppet("a", backoff=Backoff(1.0, 64.0, 0.0, reset_after_s=1000))
        flags = SupervisorFlags(max_restarts=9, max_seconds=1000)
        await system.spawn(Supervisor, flags, (spec,), path="/top")
        waits: list[float] = []
        for _ in range(5):
            began_s = system.clock.now_s()
            await kill(system, "/top/a")
            async with asyncio.timeout(100):
                while not system.address("/top/a").is_alive():
                    await settle(0.01)
            waits.append(round(system.clock.now_s() - began_s))
        assert waits == [1, 2, 4, 8, 16]


def flood(top: Ref, messages: int) -> int:
    """How many of them were taken."""
    for taken in range(messages):
        try:
            top.tell(CountChildren())
        except MailboxFull:
            return taken
    return messages


async def test_14_a_supervisors_mailbox_is_bounded_and_its_children_are_safe_from_a_flood() -> None:
    # Hollywood's ring doubles
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        assert flood(top, 5000) <= 1001  # the bound, and the one that is being handed over
        await crash(system, "/top/a")
        assert incarnation(system, "/top/a") == 2


async def test_15_children_stop_in_reverse_start_order() -> None:
    # suture: random; otpylib: start order
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("m", "z", "a"), path="/top")
        stage.log.clear()
        await system.stop(top)
        assert stage.log == ["stop a shutdown", "stop z shutdown", "stop m shutdown"]


async def test_a_transient_child_that_ends_as_it_was_asked_does_not_come_back_though_killed_before() -> None:
    stage = Stage()
    async with stage.system() as system:
        spec = stage.puppet("a", restart=Restart.TRANSIENT)
        top = await system.spawn(Supervisor, FLAGS, (spec,), path="/top")
        await kill(system, "/top/a")
        assert system.address("/top/a").last_exit == KILLED
        system.address("/top/a").tell(End(NORMAL))
        await settle()
        assert (await which_child(top, "a")).state is ChildState.DOWN
