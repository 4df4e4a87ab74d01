"""Statements of the reference that no other module is about, each on the runtime and virtual time."""

import asyncio
from typing import Any

import pytest
from tests.supervisors.puppets import Crash, End, Stage, crash, incarnation, kill, settle, tree
from tests.supervisors.rig import BOOM, Rig, flags, permanent, spec

from allstop.actors.events import ChildStarted, ChildTerminated, GaveUp, StartFailed
from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, Exit
from allstop.actors.runtime import Actor, ActorSystem, AlreadyStarted, CallTimeout, StartError
from allstop.actors.spec import (
    BRUTAL_KILL,
    AutoShutdown,
    ChildSpec,
    ChildType,
    Restart,
    Start,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors import decisions as d
from allstop.supervisors.childspecs import as_child_spec
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import InvalidChildSpec, InvalidFlags, StartFailure
from allstop.supervisors.supervisor import (
    Supervisor,
    delete_child,
    start_child,
    terminate_child,
    which_children,
)

FLAGS = SupervisorFlags(max_restarts=9, max_seconds=60.0)


@pytest.mark.req("9")
def test_what_otp_calls_modules_is_the_class_of_the_actor() -> None:
    rig = Rig(flags(), spec("a"))
    assert rig.core.which_child("a").actor_class is spec("a").start.actor_class


@pytest.mark.virtual
@pytest.mark.req("3")
async def test_whatever_is_hashable_can_be_an_id() -> None:
    ids = ("a", 7, 1.5, None.__class__, ("BTC", "USD"), frozenset({1}), Restart.PERMANENT, object())
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(
            Supervisor, FLAGS, [ChildSpec(child_id, Start(Actor)) for child_id in ids[:4]], path="/top"
        )
        for child_id in ids[4:]:
            await start_child(top, ChildSpec(child_id, Start(Actor)))
        assert tuple(known.id for known in await which_children(top)) == ids
        for child_id in ids:
            await terminate_child(top, child_id)
            await delete_child(top, child_id)
        assert await which_children(top) == ()


@pytest.mark.virtual
@pytest.mark.req("33")
@pytest.mark.parametrize("added", [False, True])
async def test_a_child_is_not_started_before_the_one_before_it_is_up(added: bool) -> None:
    stage = Stage()
    stage.starts = {"a": [2.0], "b": [1.0], "c": ["hang"]}
    specs = stage.puppets("a", "b", "c")
    async with stage.system() as system:
        if added:
            top = await system.spawn(Supervisor, FLAGS, path="/top")
            starts = [asyncio.ensure_future(start_child(top, one, timeout_s=60)) for one in specs]
        else:
            starts = [asyncio.ensure_future(system.spawn(Supervisor, FLAGS, specs, path="/top"))]
        seen: list[tuple[list[str], bool]] = []
        for moment_s in (1.9, 1.0, 0.2):
            await settle(moment_s)
            seen.append((list(stage.log), system.address("/top/b").is_alive()))
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
    assert seen == [([], False), (["start a"], True), (["start a", "start b", "hang c"], True)]


class RaisesAtStart(Actor):
    def __init__(self, error: BaseException, where: str) -> None:
        self._error = error
        self._where = where
        if where == "constructor":
            raise error

    def on_start(self) -> Any:
        if self._where == "on_start":
            raise self._error
        return self._later()

    async def _later(self) -> None:
        await asyncio.sleep(0.1)
        raise self._error


@pytest.mark.virtual
@pytest.mark.req("39")
@pytest.mark.parametrize(
    ("where", "error"),
    [
        (where, error)
        for where in ("constructor", "on_start", "async on_start")
        for error in (ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit)
        if not (where == "async on_start" and error is GeneratorExit)  # a coroutine that raises it was closed
    ],
)
async def test_whatever_a_start_raises_it_has_failed_and_hurts_nobody_else(
    where: str, error: type[BaseException]
) -> None:
    stage = Stage()
    raised = error("no")
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        with pytest.raises(StartFailure) as failed:
            await start_child(top, ChildSpec("b", Start(RaisesAtStart, (raised, where))))
        assert failed.value.reason is raised
        assert incarnation(system, "/top/a") == 1
        assert [known.id for known in await which_children(top)] == ["a"]


@pytest.mark.virtual
@pytest.mark.req("55")
@pytest.mark.parametrize(("takes_s", "allowed_s", "waits_s"), [(3.0, 5.0, 3.0), (9.0, 2.0, 2.0)])
async def test_terminate_child_gives_the_child_its_own_time_and_answers_when_it_is_dead(
    takes_s: float, allowed_s: float, waits_s: float
) -> None:
    stage = Stage()
    stage.stop_s["a"] = takes_s
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, [stage.puppet("a", shutdown=allowed_s)], path="/top")
        began = system.clock.now_s()
        await terminate_child(top, "a")
        assert system.clock.now_s() - began == pytest.approx(waits_s, abs=0.2)
        assert not system.address("/top/a").is_alive()
        assert system.address("/top/a").last_exit == (SHUTDOWN if takes_s < allowed_s else KILLED)


@pytest.mark.req("15")
def test_a_list_of_modules_is_a_key_that_specs_do_not_have() -> None:
    with pytest.raises(InvalidChildSpec) as refused:
        as_child_spec({"id": "a", "start": Start(Actor), "modules": [Actor]})
    assert (refused.value.code, refused.value.value) == ("unknown_key", "modules")


@pytest.mark.req("30")
def test_a_dynamic_supervisor_takes_no_template() -> None:
    with pytest.raises(TypeError):
        DynamicSupervisor(FLAGS, (spec("a"),), max_children=5)  # pyright: ignore


@pytest.mark.virtual
@pytest.mark.req("31", "159")
@pytest.mark.parametrize("auto_shutdown", [AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT])
async def test_a_dynamic_supervisor_refuses_auto_shutdown(auto_shutdown: AutoShutdown) -> None:
    async with Stage().system() as system:
        with pytest.raises(StartError) as refused:
            await system.spawn(
                DynamicSupervisor, SupervisorFlags(auto_shutdown=auto_shutdown), max_children=5
            )
        assert isinstance(refused.value.cause, InvalidFlags)
        assert refused.value.cause.code == "bad_combination"


@pytest.mark.virtual
@pytest.mark.req("42")
async def test_where_the_address_is_taken_a_supervisor_starts_nothing() -> None:
    stage = Stage()
    async with stage.system() as system:
        first = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        stage.log.clear()
        with pytest.raises(AlreadyStarted) as refused:
            await system.spawn(Supervisor, FLAGS, stage.puppets("b"), path="/top")
        assert refused.value.ref is first
        assert stage.log == []


@pytest.mark.virtual
@pytest.mark.req("44", "45")
async def test_a_restarted_supervisor_has_its_static_children_and_no_others() -> None:
    stage = Stage()
    async with stage.system() as system:
        inner = tree("inner", FLAGS, *stage.puppets("a", "b"))
        await system.spawn(Supervisor, FLAGS, (inner,), path="/top")
        ref = system.address("/top/inner")
        await terminate_child(ref, "a")
        await delete_child(ref, "a")
        await start_child(ref, stage.puppet("c"))
        assert [child.id for child in await which_children(ref)] == ["b", "c"]
        await kill(system, "/top/inner")
        assert [child.id for child in await which_children(ref)] == ["a", "b"]


@pytest.mark.virtual
@pytest.mark.req("54", "166")
async def test_start_child_holds_its_supervisor_up_and_questions_end_by_their_deadline() -> None:
    stage = Stage()
    stage.starts["slow"] = [10.0]
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        adding = asyncio.ensure_future(start_child(top, stage.puppet("slow")))
        await settle()
        with pytest.raises(CallTimeout):
            await which_children(top, timeout_s=1.0)
        ref = await adding
        assert ref is not None
        assert ref.is_alive()
        assert len(await which_children(top)) == 2


@pytest.mark.virtual
@pytest.mark.req("95", "122", "123")
async def test_a_group_restart_stops_each_sibling_by_its_own_policy() -> None:
    stage = Stage()
    stage.stop_s = {"patient": 3.0, "late": 50.0, "killed": 1.0}
    children = (
        stage.puppet("a"),
        stage.puppet("patient", shutdown=5.0),
        stage.puppet("late", shutdown=2.0),
        stage.puppet("killed", shutdown=BRUTAL_KILL),
    )
    group = SupervisorFlags(Strategy.ONE_FOR_ALL, 9, 60.0)
    async with stage.system() as system:
        await system.spawn(Supervisor, group, children, path="/top")
        stage.log.clear()
        system.address("/top/a").tell(Crash())
        await settle(4.9)
        assert incarnation(system, "/top/a") is None
        await settle(0.3)  # 3 s for the patient one, 2 s until the late one was killed, nothing for the last
        assert [entry for entry in stage.log if entry.startswith("stop")] == [
            "stop late shutdown", "stop patient shutdown",
        ]  # fmt: skip
        assert [incarnation(system, f"/top/{child.id}") for child in children] == [2, 2, 2, 2]


class Stepping:
    """The loop's time, and a wall clock that is set."""

    step_s = 0.0

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_ns(self) -> int:
        return 1_767_225_600_000_000_000 + int((self.now_s() + self.step_s) * 1e9)


@pytest.mark.virtual
@pytest.mark.req("100")
async def test_the_window_is_kept_on_the_monotonic_clock() -> None:
    """The wall clock of the events steps; what the budget counts does not."""
    stage = Stage()
    clock = Stepping()
    async with ActorSystem(on_event=stage.events.append, clock=clock) as system:
        top = await system.spawn(
            Supervisor, SupervisorFlags(max_restarts=1, max_seconds=5.0), stage.puppets("a"), path="/top"
        )
        await crash(system, "/top/a")
        began = system.clock.now_s()
        await settle(5.1)
        clock.step_s -= 5.0  # somebody sets the clock back: it would say that the first restart was just now
        assert system.clock.now_s() - began >= 5.1
        await crash(system, "/top/a")
        assert top.is_alive()
        clock.step_s += 3600.0  # and forward: that the second one was long ago
        await crash(system, "/top/a")
        assert not top.is_alive()


@pytest.mark.virtual
@pytest.mark.req("114")
async def test_without_backoff_the_whole_budget_can_be_spent_at_once() -> None:
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a"), path="/top")
        stage.starts["a"] = [RuntimeError("no")] * 20
        began = system.clock.now_s()
        await crash(system, "/top/a")
        assert not top.is_alive()
        assert system.clock.now_s() - began < 0.01


@pytest.mark.virtual
@pytest.mark.req("125")
async def test_a_stop_takes_the_sum_of_the_childrens_times_at_worst() -> None:
    stage = Stage()
    stage.stop_s = dict.fromkeys("abc", 100.0)
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a", "b", "c", shutdown=2.0), path="/top")
        began = system.clock.now_s()
        await system.stop(top, timeout_s=60.0)
        assert 6.0 <= system.clock.now_s() - began < 7.0


@pytest.mark.req("146")
def test_a_permanent_supervisor_that_shuts_itself_down_is_refused() -> None:
    own = SupervisorFlags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    start = Start(Supervisor, (own,))
    with pytest.raises(InvalidChildSpec) as refused:
        Rig(flags(), ChildSpec("below", start, type=ChildType.SUPERVISOR))
    assert refused.value.code == "bad_combination"
    Rig(flags(), ChildSpec("below", start, type=ChildType.SUPERVISOR, restart=Restart.TRANSIENT))


class TestEvents:
    @pytest.mark.req("172")
    def test_a_failed_start_says_why_whose_it_was_and_what_is_left(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        error = ValueError("no")
        error.__cause__ = OSError("the port is taken")
        rig.outcomes["a"] = [error]
        rig.end("a", BOOM)
        (failed,) = rig.events_of(StartFailed)
        assert isinstance(failed, StartFailed)
        assert (failed.origin, failed.attempt, failed.budget_left) == ("restart", 1, 2)
        assert failed.causes == ("ValueError: no", "OSError: the port is taken")

    @pytest.mark.req("173")
    def test_giving_up_names_the_offender_the_causes_and_who_is_stopped_for_it(self) -> None:
        rig = Rig(flags(max_restarts=0), *permanent("a", "b", "c"))
        rig.end("b", BOOM)
        (gave_up,) = rig.events_of(GaveUp)
        assert isinstance(gave_up, GaveUp)
        assert (gave_up.offender, gave_up.action, gave_up.stopped) == ("b", "escalate", ("c", "a"))
        assert gave_up.causes[0].startswith("ReachedMaxRestartIntensity")
        assert gave_up.causes[1] == "RuntimeError: boom"

    @pytest.mark.req("174")
    def test_a_dirty_stop_is_marked_as_one(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.stop_exits["a"] = BOOM
        rig.tell(d.Stop())
        (ended,) = rig.events_of(ChildTerminated)
        assert isinstance(ended, ChildTerminated)
        assert (ended.stopping, ended.clean) == (True, False)

    @pytest.mark.req("168")
    def test_an_end_is_told_before_the_restart_and_is_no_stop(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.events.clear()
        rig.end("a", BOOM)
        assert [type(event).__name__ for event in rig.events] == [
            "ChildTerminated", "RestartScheduled", "ChildStarted",
        ]  # fmt: skip
        ended = rig.events[0]
        assert isinstance(ended, ChildTerminated)
        assert not ended.stopping

    @pytest.mark.req("175")
    def test_who_wanted_a_start_is_told(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.end("a", BOOM)
        rig.ask(d.AddChild(spec("b")))
        started = [event for event in rig.events if isinstance(event, ChildStarted)]
        assert [(e.child, e.origin, e.progress) for e in started] == [
            ("a", "boot", True), ("a", "restart", True), ("b", "api", False),
        ]  # fmt: skip


class Recalling(Actor):
    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self.told = told

    def on_restart(self, previous: Exit) -> None:
        self.told.append(f"restart {self.incarnation} after {previous.kind}")

    def on_start(self) -> None:
        self.told.append(f"start {self.incarnation}")

    def on_receive(self, message: Any) -> None:
        match message:
            case Crash(error):
                raise error
            case End(exit_):
                self.exit(exit_)
            case _:
                pass

    def on_stop(self, exit_: Exit) -> None:
        self.told.append(f"stop {self.incarnation}")

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.told.append(f"failure {self.incarnation}")


@pytest.mark.virtual
@pytest.mark.req("237")
async def test_the_new_incarnation_is_told_how_the_last_one_ended_and_the_failed_one_does_not_stop() -> None:
    """Akka's PreRestart runs in the failed actor; ours is a new object, and the failed one has its on_failure."""
    told: list[str] = []
    async with Stage().system() as system:
        children = (Recalling.child_spec(told, id="a"),)
        top = await system.spawn(Supervisor, FLAGS, children, path="/top")
        await crash(system, "/top/a")
        system.address("/top/a").tell(End(NORMAL))
        await settle()
        await system.stop(top)
        assert told == [
            "start 1", "failure 1", "restart 2 after crashed", "start 2",
            "stop 2", "restart 3 after normal", "start 3", "stop 3",
        ]  # fmt: skip


class Careful(Recalling):
    def on_restart(self, previous: Exit) -> None:
        raise RuntimeError("not again")


@pytest.mark.virtual
async def test_an_on_restart_that_raises_is_a_start_that_failed() -> None:
    stage = Stage()
    async with stage.system() as system:
        children = (Careful.child_spec([], id="a"),)
        top = await system.spawn(Supervisor, SupervisorFlags(max_restarts=2), children, path="/top")
        await crash(system, "/top/a")
        assert not top.is_alive()
        assert [event.reason for event in stage.of(StartFailed)] == ["RuntimeError: not again"] * 2


def test_a_class_says_how_it_is_supervised() -> None:
    found = Recalling.child_spec([], restart=Restart.TRANSIENT, kwargs={"x": 1})
    assert (found.id, found.restart, found.type) == ("Recalling", Restart.TRANSIENT, ChildType.WORKER)
    assert found.start == Start(Recalling, ([],), {"x": 1})
    below = Supervisor.child_spec(FLAGS, (found,), id="below")
    assert (below.id, below.type) == ("below", ChildType.SUPERVISOR)
    with pytest.raises(TypeError):
        Recalling.child_spec(restrat=Restart.TRANSIENT)
