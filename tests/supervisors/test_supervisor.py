"""Supervisors on the runtime, in virtual time: what OTP's suite shows with processes, shown with actors."""

import asyncio
from typing import Any

import pytest
from tests.supervisors.puppets import Crash, End, Hang, Stage, crash, incarnation, kill, settle, tree

from allstop.actors.clock import SeededDice
from allstop.actors.errors import Fatal
from allstop.actors.events import ChildStarted, ChildTerminated, GaveUp, RestartScheduled, ShutdownOverrun
from allstop.actors.exits import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    Exit,
    ExitKind,
    ReachedMaxRestartIntensity,
    crashed,
    shutdown,
)
from allstop.actors.runtime import Actor, ActorDead, ActorSystem, Down, StartError
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Restart,
    Start,
    Stash,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.children import ChildState
from allstop.supervisors.errors import (
    AlreadyPresent,
    FailedToStartChild,
    InvalidChildSpec,
    InvalidFlags,
    NotFound,
    Restarting,
    Running,
    StartFailure,
)
from allstop.supervisors.supervisor import (
    Supervisor,
    count_children,
    delete_child,
    get_childspec,
    reconfigure,
    restart_child,
    start_child,
    terminate_child,
    which_child,
    which_children,
)

pytestmark = pytest.mark.virtual
BUDGET = SupervisorFlags(max_restarts=2, max_seconds=5.0)


async def counts(supervisor: Any) -> list[int]:
    count = await count_children(supervisor)
    return [count.specs, count.active, count.supervisors, count.workers]


def flags(strategy: Strategy = Strategy.ONE_FOR_ONE, **fields: Any) -> SupervisorFlags:
    return SupervisorFlags(strategy, fields.pop("max_restarts", 2), fields.pop("max_seconds", 5.0), **fields)


class Told(Actor):
    """Says when it starts."""

    def __init__(self, name: str, steps: list[str]) -> None:
        self.name, self.steps = name, steps
        steps.append(f"start {name}")


class SlowTold(Told):
    async def on_start(self) -> None:
        await asyncio.sleep(1)
        self.steps.append(f"started {self.name}")

    async def on_stop(self, exit_: Exit) -> None:
        self.steps.append(f"stop {self.name}")
        await asyncio.sleep(1)
        self.steps.append(f"stopped {self.name}")


class TestStart:
    async def test_sup_start_normal(self) -> None:
        async with ActorSystem() as system:
            top = await system.spawn(Supervisor, BUDGET, path="/top")
            assert await system.stop(top) == SHUTDOWN

    @pytest.mark.req("32")
    async def test_a_supervisor_has_started_when_its_last_child_has(self) -> None:
        stage = Stage(starts={"b": [3.0]})
        async with stage.system() as system:
            await system.spawn(Supervisor, BUDGET, stage.puppets("a", "b"), path="/top")
            assert (stage.log, system.clock.now_s()) == (["start a", "start b"], pytest.approx(3.0, abs=0.01))

    @pytest.mark.req("37")
    async def test_a_failed_child_fails_the_start_and_stops_the_others_in_reverse(self) -> None:
        stage = Stage(starts={"c": [ValueError("no")]})
        async with stage.system() as system:
            with pytest.raises(StartError) as caught:
                await system.spawn(Supervisor, BUDGET, stage.puppets("a", "b", "c"), path="/top")
            assert isinstance(caught.value.cause, FailedToStartChild)
            assert stage.log == ["start a", "start b", "fail c", "stop b shutdown", "stop a shutdown"]
            assert system.actors() == []

    @pytest.mark.req("19")
    async def test_a_wrong_tree_starts_nothing(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            with pytest.raises(StartError) as caught:
                await system.spawn(Supervisor, BUDGET, stage.puppets("a", "a"), path="/top")
            assert isinstance(caught.value.cause, InvalidChildSpec)
            assert caught.value.cause.code == "duplicate_child_name"
            assert stage.log == []

    async def test_sup_flags(self) -> None:
        async with ActorSystem() as system:
            with pytest.raises(StartError) as caught:
                await system.spawn(Supervisor, SupervisorFlags(max_restarts=-1), path="/top")
            assert isinstance(caught.value.cause, InvalidFlags)

    async def test_faulty_application_shutdown(self) -> None:
        """The reason of a failing leaf reaches whoever starts the tree, through every level."""
        stage = Stage(starts={"leaf": [ValueError("why")]})
        async with stage.system() as system:
            with pytest.raises(StartError) as caught:
                await system.spawn(
                    Supervisor, BUDGET, (tree("mid", BUDGET, stage.puppet("leaf")),), path="/top"
                )
            error: BaseException | None = caught.value
            chain = []
            while error is not None:
                chain.append(str(error))
                error = error.__cause__
            assert chain[-1] == "why"

    async def test_a_start_that_hangs_is_a_failed_start(self) -> None:
        stage = Stage(starts={"a": ["hang"]})
        async with stage.system() as system:
            with pytest.raises(StartError):
                await system.spawn(Supervisor, BUDGET, (stage.puppet("a", start_timeout_s=1.0),), path="/top")
            assert system.actors() == []

    async def test_a_tree_that_is_stopped_while_it_starts_stops_in_order_what_had_started(self) -> None:
        stage = Stage(starts={"d": ["hang"]}, stop_s={"b": 1.0})
        below = tree("below", SupervisorFlags(), *stage.puppets("b", "c", "d"), start_timeout_s=60.0)
        async with stage.system() as system:
            starting = asyncio.ensure_future(
                system.spawn(
                    Supervisor,
                    SupervisorFlags(),
                    (stage.puppet("a"), below),
                    path="/top",
                    start_timeout_s=60.0,
                )
            )
            await settle(1)
            await system.stop(system.address("/top"), timeout_s=10.0)
            with pytest.raises(StartError):
                await starting
            assert stage.log[-3:] == ["stop c shutdown", "stop b shutdown", "stop a shutdown"]
            assert system.actors() == []

    async def test_a_supervisor_killed_while_it_starts_does_not_touch_its_successors_children(self) -> None:
        stage = Stage(starts={"b": ["hang"]})
        async with stage.system() as system:
            specs = stage.puppets("a", "b")
            starting = asyncio.ensure_future(system.spawn(Supervisor, SupervisorFlags(), specs, path="/top"))
            await settle(1)
            system.kill(system.address("/top"))
            await system.spawn(Supervisor, SupervisorFlags(), specs, path="/top")
            await settle(1)
            assert [incarnation(system, f"/top/{i}") for i in "ab"] == [2, 2]
            with pytest.raises(StartError):
                await starting

    async def test_a_child_that_fails_just_after_its_start_is_restarted_and_fails_no_boot(self) -> None:
        lives: list[int] = []

        class Brief(Actor):
            async def on_start(self) -> None:
                lives.append(self.incarnation)
                if len(lives) == 1:
                    self.ref.tell("crash")
                await asyncio.sleep(0.01)

            async def on_receive(self, message: Any) -> Any:
                raise RuntimeError(message)

        async with Stage().system() as system:
            await system.spawn(
                Supervisor, SupervisorFlags(), (ChildSpec("brief", Start(Brief)),), path="/top"
            )
            await settle(1)
            assert lives == [1, 2]
            assert incarnation(system, "/top/brief") == 2


class TestAdministration:
    async def test_child_adm(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, path="/top")
            spec = stage.puppet("a")
            ref = await start_child(top, spec)
            assert ref is system.address("/top/a")
            assert await counts(top) == [1, 1, 0, 1]
            with pytest.raises(AlreadyStarted) as started:
                await start_child(top, spec)
            assert started.value.ref is ref
            with pytest.raises(Running):
                await restart_child(top, "a")
            with pytest.raises(Running):
                await delete_child(top, "a")
            await terminate_child(top, "a")
            assert (incarnation(system, "/top/a"), await counts(top)) == (None, [1, 0, 0, 1])
            await terminate_child(top, "a")
            with pytest.raises(AlreadyPresent):
                await start_child(top, spec)
            assert await restart_child(top, "a") is ref
            await terminate_child(top, "a")
            await delete_child(top, "a")
            assert await counts(top) == [0, 0, 0, 0]
            for operation in (terminate_child, restart_child, delete_child, get_childspec, which_child):
                with pytest.raises(NotFound):
                    await operation(top, "a")

    @pytest.mark.req("65")
    async def test_a_request_to_a_dead_supervisor_fails_at_once(self) -> None:
        async with ActorSystem() as system:
            with pytest.raises(ActorDead):
                await count_children(system.address("/nowhere"))

    async def test_sup_start_child_returns_error(self) -> None:
        stage = Stage(starts={"a": [ValueError("no")]})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, path="/top")
            with pytest.raises(StartFailure) as caught:
                await start_child(top, stage.puppet("a"))
            assert str(caught.value.reason) == "no"
            assert await which_children(top) == ()

    async def test_sup_start_restart_child_returns_error(self) -> None:
        stage = Stage(starts={"a": [None, ValueError("no")]})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            await terminate_child(top, "a")
            with pytest.raises(StartFailure):
                await restart_child(top, "a")
            assert (await which_child(top, "a")).state is ChildState.DOWN

    @pytest.mark.req("51")
    async def test_sup_start_ignore_child(self) -> None:
        stage = Stage(starts={"a": ["ignore"], "b": ["ignore"]})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("s"), path="/top")
            assert await start_child(top, stage.puppet("a")) is None
            assert await start_child(top, stage.puppet("b", restart=Restart.TEMPORARY)) is None
            assert await counts(top) == [2, 1, 0, 2]

    @pytest.mark.req("50")
    async def test_already_started_outside_supervisor(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, path="/top")
            stranger = await system.spawn(Actor, path="/top/a")
            with pytest.raises(AlreadyStarted) as caught:
                await start_child(top, stage.puppet("a"))
            assert caught.value.ref is stranger
            assert stranger.is_alive()
            assert await which_children(top) == ()

    @pytest.mark.req("74")
    async def test_which_children_are_in_start_order(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("b", "a"), path="/top")
            await start_child(top, stage.puppet("0"))
            assert [child.id for child in await which_children(top)] == ["b", "a", "0"]

    @pytest.mark.req("57")
    async def test_terminating_a_permanent_child_does_not_restart_it(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            await terminate_child(top, "a")
            await settle(60)
            assert incarnation(system, "/top/a") is None

    @pytest.mark.req("164")
    @pytest.mark.req("165")
    async def test_strange_messages_and_strange_ends_change_nothing(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            stranger = await system.spawn(Actor, path="/stranger")
            top.tell("nonsense")
            top.tell(Down(None, stranger, 1, KILLED))  # pyright: ignore[reportArgumentType]
            await settle()
            assert (top.incarnation, incarnation(system, "/top/a")) == (1, 1)

    @pytest.mark.req("179")
    @pytest.mark.req("180")
    @pytest.mark.req("181")
    @pytest.mark.req("182")
    async def test_code_change(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            new = (stage.puppet("a", shutdown=1.0), stage.puppet("b"))
            assert await reconfigure(top, flags(max_restarts=7), new) == ("flags", "changed a", "added b")
            assert incarnation(system, "/top/a") == 1
            assert [(c.id, c.state) for c in await which_children(top)] == [("a", "running"), ("b", "down")]
            assert (await get_childspec(top, "a")).shutdown == 1.0

    @pytest.mark.req("183")
    async def test_a_faulty_reconfiguration_changes_nothing(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            with pytest.raises(InvalidChildSpec):
                await reconfigure(
                    top, flags(max_restarts=9), (stage.puppet("b"), stage.puppet("c", shutdown=-1.0))
                )
            assert [c.id for c in await which_children(top)] == ["a"]


class TestRestarting:
    @pytest.mark.req("90")
    async def test_one_for_one(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a", "b"), path="/top")
            for _ in range(2):
                await kill(system, "/top/a")
            assert (incarnation(system, "/top/a"), incarnation(system, "/top/b")) == (3, 1)
            await kill(system, "/top/a")
            assert not top.is_alive()
            assert system.actors() == []

    async def test_a_group_of_which_some_take_their_time_is_restarted_in_order_all_the_same(self) -> None:
        """The straight road is left where a stop, and then a start, has to be waited for."""
        steps: list[str] = []
        seen: list[Any] = []
        specs = [
            ChildSpec("plain", Start(Told, ("plain", steps))),
            ChildSpec("slow", Start(SlowTold, ("slow", steps))),
            ChildSpec("brutal", Start(Told, ("brutal", steps)), shutdown=BRUTAL_KILL),
            ChildSpec("last", Start(Told, ("last", steps))),
        ]
        async with ActorSystem(on_event=seen.append) as system:
            await system.spawn(Supervisor, flags(Strategy.ONE_FOR_ALL), specs, path="/top")
            del steps[:], seen[:]
            system.crash(system.address("/top/plain"), ValueError("boom"))
            await asyncio.sleep(3)
            assert steps == [
                "stop slow",
                "stopped slow",
                "start plain",
                "start slow",
                "started slow",
                "start brutal",
                "start last",
            ]
            said = [
                (type(event).__name__, event.child)
                for event in seen
                if isinstance(event, ChildTerminated | RestartScheduled | ChildStarted)
            ]
            started = [("ChildStarted", name) for name in ("plain", "slow", "brutal", "last")]
            assert said == [("ChildTerminated", "plain"), ("RestartScheduled", "plain"), *started]
            assert [child.incarnation for child in await which_children(system.address("/top"))] == [
                2,
                2,
                2,
                2,
            ]

    async def test_one_for_all(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            await system.spawn(Supervisor, flags(Strategy.ONE_FOR_ALL), stage.puppets("a", "b"), path="/top")
            await crash(system, "/top/a")
            assert (incarnation(system, "/top/a"), incarnation(system, "/top/b")) == (2, 2)

    async def test_rest_for_one(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            rest = flags(Strategy.REST_FOR_ONE)
            await system.spawn(Supervisor, rest, stage.puppets("a", "b", "c"), path="/top")
            stage.log.clear()
            await crash(system, "/top/b")
            assert [incarnation(system, f"/top/{i}") for i in "abc"] == [1, 2, 2]
            assert stage.log == ["stop c shutdown", "start b", "start c"]

    async def test_one_for_one_escalation(self) -> None:
        stage = Stage(starts={"a": [None, *[ValueError("no")] * 9]})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, flags(max_restarts=4), stage.puppets("a", "b"), path="/top")
            await crash(system, "/top/a")
            await settle(1)
            assert stage.log.count("fail a") == 4
            assert not top.is_alive()

    @pytest.mark.req("108")
    @pytest.mark.req("241")
    async def test_a_supervisor_that_gives_up_exits_abnormally_with_its_causes(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, flags(max_restarts=0), stage.puppets("a"), path="/top")
            await crash(system, "/top/a", ValueError("the leaf's own words"))
            assert top.last_exit is not None
            assert isinstance(top.last_exit.error, ReachedMaxRestartIntensity)
            (gave_up,) = stage.of(GaveUp)
            assert any("the leaf's own words" in cause for cause in gave_up.causes)

    async def test_multiple_restarts(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            once = flags(max_restarts=1, max_seconds=1.0)
            top = await system.spawn(Supervisor, once, stage.puppets("a"), path="/top")
            for _ in range(4):
                await kill(system, "/top/a")
                await settle(2.1)
            assert top.is_alive()

    @pytest.mark.parametrize("exit_", [NORMAL, SHUTDOWN, shutdown("x")], ids=str)
    async def test_permanent_normal_and_permanent_shutdown(self, exit_: Exit) -> None:
        stage = Stage()
        async with stage.system() as system:
            await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            system.address("/top/a").tell(End(exit_))
            await settle()
            assert incarnation(system, "/top/a") == 2

    @pytest.mark.parametrize("exit_", [NORMAL, SHUTDOWN, shutdown("x")], ids=str)
    async def test_transient_normal_and_transient_shutdown(self, exit_: Exit) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(
                Supervisor, BUDGET, (stage.puppet("a", restart=Restart.TRANSIENT),), path="/top"
            )
            system.address("/top/a").tell(End(exit_))
            await settle()
            assert await counts(top) == [1, 0, 0, 1]
            assert await restart_child(top, "a") is not None

    @pytest.mark.req("53")
    async def test_temporary_shutdown(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            spec = stage.puppet("a", restart=Restart.TEMPORARY)
            top = await system.spawn(Supervisor, BUDGET, (spec,), path="/top")
            system.address("/top/a").tell(End(SHUTDOWN))
            await settle()
            assert await counts(top) == [0, 0, 0, 0]
            assert await start_child(top, spec) is not None

    async def test_an_actor_that_pykka_stops_is_restarted_when_permanent(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            system.address("/top/a").stop(block=False)
            await settle()
            assert incarnation(system, "/top/a") == 2

    @pytest.mark.req("113")
    @pytest.mark.req("48")
    @pytest.mark.req("80")
    async def test_hanging_restart_loop(self) -> None:
        stage = Stage(starts={"a": [None, *["hang"] * 9]})
        async with stage.system() as system:
            spec = stage.puppet("a", start_timeout_s=2.0)
            loop_flags = flags(max_restarts=8, max_seconds=10)
            top = await system.spawn(Supervisor, loop_flags, (spec,), path="/top")
            await crash(system, "/top/a")
            with pytest.raises(AlreadyPresent):
                await start_child(top, spec)
            with pytest.raises(Restarting):
                await restart_child(top, "a")
            with pytest.raises(Restarting):
                await delete_child(top, "a")
            assert await counts(top) == [1, 0, 0, 1]
            await terminate_child(top, "a")
            stage.starts["a"] = []
            assert await restart_child(top, "a") is not None
            stage.starts["a"] = ["hang"] * 9
            await crash(system, "/top/a")
            assert (await system.stop(top, timeout_s=1.0)) == SHUTDOWN

    async def test_a_supervisor_is_stopped_while_a_childs_start_hangs_and_nothing_is_left(self) -> None:
        stage = Stage(starts={"b": [None, "hang"]})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a", "b"), path="/top")
            await crash(system, "/top/b")
            assert stage.log[-1] == "hang b"
            assert await system.stop(top, timeout_s=1.0) == SHUTDOWN
            assert system.actors() == []

    async def test_the_delay_before_a_restart_passes_before_the_child_is_back(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            spec = stage.puppet("a", backoff=Backoff(1.0, 8.0, 0.0))
            await system.spawn(Supervisor, BUDGET, (spec,), path="/top")
            await crash(system, "/top/a")
            await settle(0.9)
            assert incarnation(system, "/top/a") is None
            await settle(0.2)
            assert incarnation(system, "/top/a") == 2
            assert [event.delay_s for event in stage.of(RestartScheduled)] == [1.0]

    @pytest.mark.req("245")
    async def test_what_waited_in_the_old_mailbox_is_not_delivered_to_the_new_incarnation(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            ref = system.address("/top/a")
            ref.tell(Crash())
            ref.tell("order")
            await settle()
            assert [letter.message for letter in system.dead_letters.recent()] == ["order"]

    async def test_with_a_stash_messages_told_while_it_is_down_reach_the_next_incarnation(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            spec = stage.puppet("a", backoff=Backoff(1.0, 1.0, 0.0), while_down=Stash(2))
            await system.spawn(Supervisor, BUDGET, (spec,), path="/top")
            await crash(system, "/top/a")
            ref = system.address("/top/a")
            ref.tell(End(SHUTDOWN))
            await settle(1.1)
            assert "stop a shutdown" in stage.log

    async def test_a_fatal_leaf_takes_every_level_down_without_a_restart(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(
                Supervisor, BUDGET, (tree("mid", BUDGET, *stage.puppets("leaf")),), path="/top"
            )
            await crash(system, "/top/mid/leaf", Fatal("KEY", "refused"))
            assert not top.is_alive()
            assert top.last_exit is not None
            assert top.last_exit.fatal
            assert stage.log == ["start leaf"]


class TestStopping:
    @pytest.mark.req("121")
    async def test_order_of_children(self) -> None:
        stage = Stage(stop_s={"c": 1.0})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("c", "a", "b"), path="/top")
            stage.log.clear()
            await system.stop(top)
            assert stage.log == ["stop b shutdown", "stop a shutdown", "stop c shutdown"]

    @pytest.mark.req("121")
    async def test_none_is_asked_to_stop_before_the_one_after_it_is_dead(self) -> None:
        stage = Stage(stop_s={"a": 1.0, "b": 1.0, "c": 1.0})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a", "b", "c"), path="/top")
            stopping = asyncio.ensure_future(system.stop(top))
            for left in ("abc", "ab", "a"):
                await asyncio.sleep(0.5)
                states = {name: system.get_status(system.address(f"/top/{name}")) for name in "abc"}
                assert "".join(name for name, status in states.items() if status) == left
                stops = [name for name, status in states.items() if status and status.state == "stopping"]
                assert stops == [left[-1]]
                await asyncio.sleep(0.5)
            await stopping

    @pytest.mark.req("123")
    @pytest.mark.req("126")
    async def test_sup_stop_timeout(self) -> None:
        stage = Stage(stop_s={"slow": 99.0})
        async with stage.system() as system:
            specs = (stage.puppet("good"), stage.puppet("slow", shutdown=1.0))
            top = await system.spawn(Supervisor, BUDGET, specs, path="/top")
            began_s = system.clock.now_s()
            await system.stop(top, timeout_s=INFINITY)
            assert 1.0 <= system.clock.now_s() - began_s < 1.5
            (overrun,) = stage.of(ShutdownOverrun)
            assert (overrun.path, overrun.child, overrun.unstopped) == ("/top", "slow", False)

    @pytest.mark.req("243")
    async def test_a_child_that_swallows_its_cancellation_is_fenced_and_named(self) -> None:
        stage = Stage(stubborn={"a"})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, (stage.puppet("a", shutdown=1.0),), path="/top")
            system.address("/top/a").tell(Hang())
            await settle()
            await system.stop(top, timeout_s=INFINITY)
            (overrun,) = stage.of(ShutdownOverrun)
            assert overrun.unstopped
            assert system.leaked == ["/top/a#1"]
            stage.stubborn.clear()
            for task in asyncio.all_tasks():
                if task.get_name() == "/top/a":
                    task.cancel()

    @pytest.mark.req("122")
    async def test_sup_stop_brutal_kill(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            specs = (stage.puppet("a"), stage.puppet("b", shutdown=BRUTAL_KILL))
            top = await system.spawn(Supervisor, BUDGET, specs, path="/top")
            stage.log.clear()
            await system.stop(top)
            assert stage.log == ["stop a shutdown"]
            assert system.address("/top/b").last_exit == KILLED
            assert stage.of(ShutdownOverrun) == []

    @pytest.mark.req("124")
    async def test_sup_stop_infinity(self) -> None:
        stage = Stage(stop_s={"a": 3600.0})
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, (stage.puppet("a", shutdown=INFINITY),), path="/top")
            await system.stop(top, timeout_s=INFINITY)
            assert system.address("/top/a").last_exit == SHUTDOWN

    @pytest.mark.req("128")
    @pytest.mark.parametrize("restart", list(Restart))
    @pytest.mark.parametrize(
        "end", [End(NORMAL), End(shutdown("x")), Crash()], ids=["normal", "shutdown", "crash"]
    )
    async def test_sup_stop_race(self, restart: Restart, end: Any) -> None:
        stage = Stage(stop_s={"last": 1.0})
        async with stage.system() as system:
            specs = (stage.puppet("first"), stage.puppet("racer", restart=restart), stage.puppet("last"))
            top = await system.spawn(Supervisor, BUDGET, specs, path="/top")
            stopping = asyncio.ensure_future(system.stop(top, timeout_s=INFINITY))
            await settle(0.5)
            system.address("/top/racer").tell(end)
            assert await stopping == SHUTDOWN
            assert [system.address(f"/top/{i}").last_exit for i in ("first", "last")] == [SHUTDOWN, SHUTDOWN]
            assert stage.log.count("start racer") == 1

    @pytest.mark.req("132")
    async def test_a_supervisor_that_is_killed_halfway_through_its_stop_leaks_no_grandchild(self) -> None:
        stage = Stage(stop_s={"slow": 60.0})
        async with stage.system() as system:
            mid = tree(
                "mid", BUDGET, *stage.puppets("a"), stage.puppet("slow", shutdown=INFINITY), shutdown=1.0
            )
            top = await system.spawn(Supervisor, BUDGET, (mid,), path="/top")
            await system.stop(top, timeout_s=INFINITY)
            assert system.actors() == []
            assert [(event.path, event.child) for event in stage.of(ShutdownOverrun)] == [("/top", "mid")]

    @pytest.mark.req("131")
    async def test_the_children_of_a_killed_supervisor_die_and_its_parent_starts_a_fresh_subtree(
        self,
    ) -> None:
        stage = Stage()
        async with stage.system() as system:
            await system.spawn(
                Supervisor, BUDGET, (tree("mid", BUDGET, *stage.puppets("a", "b")),), path="/top"
            )
            await start_child(system.address("/top/mid"), stage.puppet("late"))
            held = [
                system.address(f"/top/mid/{i}") for i in ("a", "b")
            ]  # an address nobody holds counts anew
            await kill(system, "/top/mid")
            assert all(ref.is_alive() for ref in held)
            assert [incarnation(system, f"/top/mid/{i}") for i in ("a", "b", "late")] == [2, 2, None]

    @pytest.mark.req("136")
    async def test_a_child_that_asks_its_own_supervisor_to_stop_it_gets_no_deadlock(self) -> None:
        class Suicidal(Actor):
            async def on_receive(self, message: Any) -> None:
                del message
                assert self.parent is not None
                await terminate_child(self.parent, "a")

        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, path="/top")
            await start_child(top, ChildSpec("a", Start(Suicidal), shutdown=5.0))
            system.address("/top/a").tell("go")
            await settle(0.1)
            assert incarnation(system, "/top/a") is None
            assert stage.of(ShutdownOverrun) == []


class TestTrees:
    @pytest.mark.req("110")
    @pytest.mark.req("44")
    @pytest.mark.req("87")
    async def test_tree(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            specs = (
                tree("one", BUDGET, *stage.puppets("a", "b")),
                tree("two", flags(max_restarts=0), *stage.puppets("c")),
                tree("three", BUDGET, *stage.puppets("d"), restart=Restart.TRANSIENT),
            )
            held = system.address("/top/three/d")  # an address that nobody holds counts anew
            top = await system.spawn(
                Supervisor, flags(Strategy.ONE_FOR_ALL, max_restarts=4), specs, path="/top"
            )
            await kill(system, "/top/one/a")
            assert [incarnation(system, f"/top/{i}") for i in ("one", "two", "three")] == [1, 1, 1]
            await start_child(system.address("/top/one"), stage.puppet("late"))
            await terminate_child(top, "three")
            await kill(system, "/top/two/c")
            assert [incarnation(system, f"/top/{i}") for i in ("one", "two", "three")] == [2, 2, 2]
            assert incarnation(system, "/top/one/late") is None
            assert held.incarnation == 2
            assert held.is_alive()

    @pytest.mark.req("111")
    async def test_nested_budgets_multiply(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            inner = flags(max_restarts=2, max_seconds=1000)
            outer = flags(max_restarts=2, max_seconds=1000)
            top = await system.spawn(Supervisor, outer, (tree("mid", inner, stage.puppet("a")),), path="/top")
            kills = 0
            while top.is_alive():
                await kill(system, "/top/mid/a")
                kills += 1
            assert kills == 9

    @pytest.mark.req("138")
    @pytest.mark.req("144")
    async def test_significant_escalation(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            any_one = flags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
            key = stage.puppet("key", restart=Restart.TRANSIENT, significant=True)
            inner = tree(
                "inner", any_one, key, *stage.puppets("x"), restart=Restart.TRANSIENT, significant=True
            )
            outer = tree("outer", any_one, inner, *stage.puppets("y"), restart=Restart.TRANSIENT)
            top = await system.spawn(Supervisor, any_one, (outer, *stage.puppets("z")), path="/top")
            system.address("/top/outer/inner/key").tell(End(NORMAL))
            await settle()
            assert [info.path for info in system.actors()] == ["/top", "/top/z"]
            assert top.is_alive()

    async def test_events_tell_the_story_in_order(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            await crash(system, "/top/a", ValueError("why"))
            story = [
                (type(e), getattr(e, "child", None))
                for e in stage.events
                if isinstance(e, (ChildStarted, ChildTerminated, RestartScheduled))
            ]
            assert story == [
                (ChildStarted, "a"),
                (ChildTerminated, "a"),
                (RestartScheduled, "a"),
                (ChildStarted, "a"),
            ]
            (ended,) = stage.of(ChildTerminated)
            assert (ended.path, ended.causes, ended.at_ns > 0) == ("/top", ("ValueError: why",), True)

    @pytest.mark.req("246")
    async def test_the_same_seed_gives_the_same_delays(self) -> None:
        async def story(seed: int) -> list[Any]:
            stage = Stage(starts={"a": [None, ValueError("no"), None, ValueError("no")]})
            async with ActorSystem(dice=SeededDice(seed), on_event=stage.events.append) as system:
                specs = stage.puppets("a", "b", backoff=Backoff(0.1, 1.0, 0.5))
                await system.spawn(Supervisor, flags(max_restarts=9, max_seconds=60.0), specs, path="/top")
                for path in ("/top/a", "/top/b", "/top/a"):
                    await kill(system, path)
                    await settle(3)
            return [(e.child, e.attempt, e.delay_s) for e in stage.of(RestartScheduled)]

        assert await story(7) == await story(7)
        assert await story(7) != await story(8)

    async def test_whoever_watches_a_child_hears_of_it_only_when_it_will_not_come_back(self) -> None:
        class Watcher(Actor):
            def __init__(self, path: str, heard: list[Exit]) -> None:
                super().__init__()
                self.watched, self.heard = path, heard

            def on_start(self) -> None:
                self.watch(self.system.address(self.watched))

            def on_receive(self, message: Down) -> None:
                self.heard.append(message.exit)

        stage = Stage()
        heard: list[Exit] = []
        async with stage.system() as system:
            top = await system.spawn(Supervisor, BUDGET, stage.puppets("a"), path="/top")
            await system.spawn(Watcher, "/top/a", heard)
            await kill(system, "/top/a")
            assert heard == []
            await terminate_child(top, "a")
            await settle()
            assert [exit_.kind for exit_ in heard] == [ExitKind.SHUTDOWN]

    async def test_a_child_that_dies_before_it_is_monitored_is_restarted(self) -> None:
        """elle#1210: here the monitor gives the true exit of an incarnation that is gone already."""

        class Brief(Actor):
            lives: list[int] = []

            def on_start(self) -> None:
                self.lives.append(self.incarnation)
                if self.incarnation < 3:
                    self.exit(crashed(RuntimeError("at once")))

        async with ActorSystem(on_event=lambda _event: None) as system:
            await system.spawn(
                Supervisor, flags(max_restarts=5), (ChildSpec("a", Start(Brief)),), path="/top"
            )
            await settle()
            assert Brief.lives == [1, 2, 3]
