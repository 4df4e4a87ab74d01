"""Elixir's DynamicSupervisorTest, by the names of its cases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.otp.actors import SHUTDOWN_WITH, Directed, Directions, counts, end, kill, settle

from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, Exit, ExitKind, ReachedMaxRestartIntensity
from allstop.actors.runtime import ActorSystem, Ignore, Ref, StartError
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    ChildSpec,
    ChildType,
    Restart,
    Shutdown,
    Start,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import (
    InvalidChildSpec,
    InvalidFlags,
    MaxChildren,
    NotFound,
    StartFailure,
)
from allstop.supervisors.supervisor import (
    Supervisor,
    reconfigure,
    start_child,
    terminate_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags(max_restarts=100_000)
BOOM = RuntimeError("whatever")


async def dynamic(system: ActorSystem, flags: SupervisorFlags = FLAGS, *, max_children: int = 100) -> Ref:
    return await system.spawn(DynamicSupervisor, flags, max_children=max_children, path="/sup")


async def started(supervisor: Ref, spec: ChildSpec) -> Ref:
    ref = await start_child(supervisor, spec)
    assert ref is not None
    return ref


async def three(supervisor: Ref, directions: Directions, **fields: Any) -> list[Ref]:
    return [await started(supervisor, directions.child(f"child{n}", **fields)) for n in (1, 2, 3)]


def exit_of(ref: Ref) -> Exit:
    assert not ref.is_alive()
    assert ref.last_exit is not None
    return ref.last_exit


async def a_turn() -> None:
    """Time stands still while a supervisor tries again and again: only turns of the loop pass."""
    for _ in range(10):
        await asyncio.sleep(0)


# -- being supervised
async def test_can_be_supervised_directly() -> None:
    """A dynamic supervisor is a child like any other, and begins without children."""
    async with ActorSystem() as system:
        spec = DynamicSupervisor.child_spec(SupervisorFlags(), kwargs={"max_children": 10})
        await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/top")
        assert await which_children(system.address("/top/DynamicSupervisor")) == ()


async def test_multiple_supervisors_can_be_supervised_and_identified_with_simple_child_spec() -> None:
    """Several stand side by side by their ids; the same id a second time is refused with the one that has it."""
    specs = [
        DynamicSupervisor.child_spec(SupervisorFlags(), id=name, kwargs={"max_children": 10})
        for name in ("one", "two", "DynamicSupervisor")
    ]
    async with ActorSystem() as system:
        top = await system.spawn(Supervisor, SupervisorFlags(), specs[:2], path="/top")
        third = await started(top, specs[2])
        assert [await which_children(system.address(f"/top/{spec.id}")) for spec in specs] == [(), (), ()]
        with pytest.raises(AlreadyStarted) as refused:
            await start_child(top, specs[2])
        assert refused.value.ref is third


async def test_generates_child_spec() -> None:
    """The class says how it is supervised, and each field can be said otherwise."""
    spec = DynamicSupervisor.child_spec(SupervisorFlags(), kwargs={"max_children": 10})
    start = Start(DynamicSupervisor, (SupervisorFlags(),), {"max_children": 10})
    assert spec == ChildSpec("DynamicSupervisor", start, type=ChildType.SUPERVISOR)
    assert spec.effective_shutdown is INFINITY
    custom = DynamicSupervisor.child_spec(
        SupervisorFlags(), id="id", restart=Restart.TEMPORARY, shutdown=2.0, kwargs={"max_children": 10}
    )
    assert custom == replace(spec, id="id", restart=Restart.TEMPORARY, shutdown=2.0)


# -- starting it
@pytest.mark.req("31", "159")
@pytest.mark.parametrize(
    ("flags", "max_children", "code"),
    [
        ({"strategy": "unknown"}, 5, "invalid_strategy"),
        ({"strategy": Strategy.ONE_FOR_ALL}, 5, "invalid_strategy"),
        ({"max_restarts": -1}, 5, "invalid_intensity"),
        ({"max_seconds": 0}, 5, "invalid_period"),
        ({}, -1, "invalid_max_children"),
        ({"auto_shutdown": AutoShutdown.ANY_SIGNIFICANT}, 5, "bad_combination"),
    ],
)
async def test_with_non_ok_init(flags: dict[str, Any], max_children: int, code: str) -> None:
    """Wrong flags fail its start, with OTP's word for what is wrong, and nothing is left."""
    async with ActorSystem() as system:
        with pytest.raises(StartError) as caught:
            await dynamic(system, SupervisorFlags(**flags), max_children=max_children)
        assert isinstance(caught.value.cause, InvalidFlags)
        assert caught.value.cause.code == code
        assert system.actors() == []


async def test_with_registered_process() -> None:
    """It can have a name, by which it is found and stopped, and which is free again afterwards."""
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        system.register("pool", supervisor)
        assert system.whereis("pool") is supervisor
        assert await system.stop(supervisor) == SHUTDOWN
        assert system.whereis("pool") is None


@pytest.mark.req("183")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"strategy": "unknown"}, "invalid_strategy"),
        ({"max_restarts": -1}, "invalid_intensity"),
        ({"max_seconds": 0}, "invalid_period"),
    ],
)
async def test_code_change_with_non_ok_init(wrong: dict[str, Any], code: str) -> None:
    """Wrong new flags are refused, and the old ones hold."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system, SupervisorFlags(max_restarts=1))
        await started(supervisor, directions.child("child1"))
        with pytest.raises(InvalidFlags, match=code):
            await reconfigure(supervisor, SupervisorFlags(**wrong))
        await kill(system, "/sup/child1")
        assert await counts(supervisor) == [1, 1, 0, 1]
        await kill(system, "/sup/child1")
        assert not supervisor.is_alive()


async def test_code_change_with_ok_init() -> None:
    """New flags hold at once, and the children live on."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        child = await started(supervisor, directions.child("child1"))
        assert await reconfigure(supervisor, SupervisorFlags(max_restarts=0)) == ("flags",)
        assert (child.incarnation, await counts(supervisor)) == (1, [1, 1, 0, 1])
        await kill(system, "/sup/child1")
        assert not supervisor.is_alive()


# -- start_child
async def test_start_child_supports_new_child_spec() -> None:
    """A whole spec starts a child, and gives its address."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        ref = await started(supervisor, directions.child("child1", restart=Restart.TEMPORARY))
        assert ref is system.address("/sup/child1")
        assert await ref.call("hello") == "hello"


async def test_start_child_supports_new_child_spec_as_a_map() -> None:
    """A mapping of its fields is a spec, too; without an id it is given one, as any run-time child is."""
    directions = Directions()
    spec: Any = {"start": Start(Directed, (directions,)), "restart": Restart.TEMPORARY}
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        named = await started(supervisor, {**spec, "id": "child1"})  # type: ignore[arg-type]
        assert named is system.address("/sup/child1")
        others = {(await started(supervisor, spec)).path for _ in range(2)}
        assert len(others | {named.path}) == 3


async def test_start_child_with_invalid_child_spec() -> None:
    """What is wrong with a spec is said in OTP's words; nothing starts, and the supervisor lives."""
    directions = Directions()
    good = directions.child("child1")
    wrong: dict[str, Any] = {
        "invalid_child_spec": (1, 2, 3, 4, 5, 6),
        "missing_start": {},
        "invalid_mfa": ChildSpec("child1", "no start"),  # type: ignore[arg-type]
        "invalid_shutdown": replace(good, shutdown=-1.0),
        "bad_combination": replace(good, restart=Restart.TRANSIENT, significant=True),
    }
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        for code, spec in wrong.items():
            with pytest.raises(InvalidChildSpec) as refused:
                await start_child(supervisor, spec)
            assert refused.value.code == code
        assert await counts(supervisor) == [0, 0, 0, 0]
        assert directions.log == []


async def test_start_child_with_different_returns() -> None:
    """A start that succeeds, one that is ignored, one that fails, one whose on_start gives nonsense."""
    directions = Directions()
    directions.starts |= {"ignore": [Ignore()], "error": [ValueError("found")], "unknown": ["unknown"]}
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        ok = await started(supervisor, directions.child("ok"))
        assert await start_child(supervisor, directions.child("ignore")) is None
        with pytest.raises(StartFailure, match="found"):
            await start_child(supervisor, directions.child("error"))
        with pytest.raises(StartFailure, match="not 'unknown'"):
            await start_child(supervisor, directions.child("unknown"))
        assert [child.ref for child in await which_children(supervisor)] == [ok]


@pytest.mark.req("152")
@pytest.mark.parametrize(
    "error", [KeyError("oops"), RuntimeError("oops"), SystemExit("oops"), asyncio.CancelledError("oops")]
)
async def test_start_child_with_throw_error_exit(error: BaseException) -> None:
    """Whatever a start raises is the reason that the asker gets; the supervisor lives and has no child of it."""
    directions = Directions()
    directions.starts["child1"] = [error]
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        with pytest.raises(StartFailure) as refused:
            await start_child(supervisor, directions.child("child1"))
        assert refused.value.reason is error
        assert await counts(supervisor) == [0, 0, 0, 0]


@pytest.mark.req("156")
async def test_start_child_with_max_children() -> None:
    """At its bound one more is refused; when one has gone there is room again."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system, max_children=1)
        await started(supervisor, directions.child("child1"))
        with pytest.raises(MaxChildren):
            await start_child(supervisor, directions.child("child2"))
        assert directions.started() == ["child1"]
        await terminate_child(supervisor, "child1")
        await started(supervisor, directions.child("child2"))


# -- restarting
ENDS = {"normal": NORMAL, "shutdown": SHUTDOWN, "shutdown_term": SHUTDOWN_WITH, "whatever": BOOM}


async def _left_after(restart: Restart, how: Exit | BaseException) -> tuple[int, int]:
    """How many children are known when one has ended so, and the number of its incarnation."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        child = await started(supervisor, directions.child("child1", restart=restart))
        await end(child, how)
        specs, active, _, workers = await counts(supervisor)
        assert specs == active == workers
        return specs, child.incarnation


@pytest.mark.parametrize("how", ENDS)
async def test_temporary_child_is_not_restarted_regardless_of_reason(how: str) -> None:
    """A temporary child that ended is forgotten."""
    assert await _left_after(Restart.TEMPORARY, ENDS[how]) == (0, 1)


@pytest.mark.parametrize("how", ENDS)
async def test_transient_child_is_restarted_unless_normal_shutdown(how: str) -> None:
    """A transient child that ended cleanly is forgotten, any other comes back."""
    assert await _left_after(Restart.TRANSIENT, ENDS[how]) == ((1, 2) if how == "whatever" else (0, 1))


@pytest.mark.parametrize("how", ENDS)
async def test_permanent_child_is_restarted_regardless_of_reason(how: str) -> None:
    """A permanent child always comes back."""
    assert await _left_after(Restart.PERMANENT, ENDS[how]) == (1, 2)


@pytest.mark.req("158")
async def test_child_is_restarted_with_different_values() -> None:
    """Restarted well it is back; ignored it is forgotten; failed, or with nonsense, it is restarting. None is disturbed."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        ok = await started(supervisor, directions.child("ok"))
        await end(ok, BOOM)
        assert await counts(supervisor) == [1, 1, 0, 1]
        ignored = await started(supervisor, directions.child("ignored"))
        directions.always["ignored"] = Ignore()
        assert await counts(supervisor) == [2, 2, 0, 2]
        await end(ignored, BOOM)
        assert await counts(supervisor) == [1, 1, 0, 1]
        for known, (name, value) in enumerate({"error": BOOM, "unknown": "unknown"}.items(), start=2):
            child = await started(supervisor, directions.child(name))
            directions.always[name] = value
            child.tell(BOOM)
            await a_turn()
            assert await counts(supervisor) == [known, 1, 0, known]
        assert {child.id: child.state for child in await which_children(supervisor)} == {
            "ok": "running", "error": "restarting", "unknown": "restarting",
        }  # fmt: skip
        assert ok.incarnation == 2


@pytest.mark.req("156")
async def test_restarting_on_init_children_counted_in_max_children() -> None:
    """A child that cannot start again keeps its place among the children there may be."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system, max_children=1)
        child = await started(supervisor, directions.child("child1"))
        directions.always["child1"] = BOOM
        child.tell(BOOM)
        await a_turn()
        assert await counts(supervisor) == [1, 0, 0, 1]
        with pytest.raises(MaxChildren):
            await start_child(supervisor, directions.child("child2"))


@pytest.mark.req("156")
async def test_restarting_on_exit_children_counted_in_max_children() -> None:
    """A child that was restarted is still one, not two and not none."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system, max_children=1)
        await end(await started(supervisor, directions.child("child1")), BOOM)
        assert await counts(supervisor) == [1, 1, 0, 1]
        with pytest.raises(MaxChildren):
            await start_child(supervisor, directions.child("child2"))


@pytest.mark.req("150")
async def test_restarting_a_child_with_extra_arguments_successfully_restarts_child() -> None:
    """The arguments of a child's start are given to each of its incarnations."""

    class Given(Directed):
        def __init__(self, directions: Directions, *given: Any, **named: Any) -> None:
            super().__init__(directions)
            given_to.append((given, named))

    given_to: list[Any] = []
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        start = Start(Given, (directions, "extra"), {"named": 1})
        child = await started(supervisor, ChildSpec("child1", start, restart=Restart.TRANSIENT))
        await end(child, BOOM)
        assert await counts(supervisor) == [1, 1, 0, 1]
        assert given_to == [(("extra",), {"named": 1})] * 2


async def test_child_is_restarted_when_trying_again() -> None:
    """A restart that fails once is tried again at once, within the budget."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system, SupervisorFlags(max_restarts=2))
        child = await started(supervisor, directions.child("child1"))
        directions.starts["child1"] = [ValueError("try again")]
        began_s = asyncio.get_running_loop().time()
        await end(child, BOOM)
        assert asyncio.get_running_loop().time() - began_s < 0.01
        assert directions.started() == ["child1", "child1"]
        assert (await counts(supervisor), child.is_alive()) == ([1, 1, 0, 1], True)


async def _gives_up(max_restarts: int) -> None:
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system, SupervisorFlags(max_restarts=max_restarts))
        sibling = await started(supervisor, directions.child("sibling"))
        child = await started(supervisor, directions.child("child1"))
        directions.always["child1"] = ValueError("found")
        await end(child, BOOM)
        gave_up = exit_of(supervisor).error
        assert isinstance(gave_up, ReachedMaxRestartIntensity)
        assert (gave_up.offender, gave_up.attempts) == ("child1", max_restarts)
        assert {str(cause) for cause in gave_up.causes} == {"whatever", "found"}
        assert exit_of(sibling) == SHUTDOWN
        assert child.incarnation == 1 + max_restarts  # each attempt was made, and none more


async def test_child_triggers_maximum_restarts() -> None:
    """The first restart fails, and there may be no second: the supervisor gives up."""
    await _gives_up(1)


async def test_child_triggers_maximum_intensity_when_trying_again() -> None:
    """Each attempt after a failed restart counts, so a child that never starts spends the budget."""
    await _gives_up(10)


@pytest.mark.parametrize("shutdown", [0, 1.0, INFINITY, BRUTAL_KILL])
async def test_with_valid_shutdown(shutdown: float | Shutdown) -> None:
    """No time at all, some time, all the time and none at all are ways to stop a child."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        child = await started(supervisor, directions.child("child1", shutdown=shutdown))
        await terminate_child(supervisor, "child1")
        assert exit_of(child) == (KILLED if shutdown is BRUTAL_KILL else SHUTDOWN)


@pytest.mark.parametrize("shutdown", [-1, float("nan"), "soon", None.__class__])
async def test_with_invalid_shutdown(shutdown: Any) -> None:
    """What is no time to stop in is refused, and nothing starts."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        with pytest.raises(InvalidChildSpec, match="invalid_shutdown"):
            await start_child(supervisor, directions.child("child1", shutdown=shutdown))
        assert directions.log == []


# -- stopping it
async def stopped(system: ActorSystem, supervisor: Ref) -> float:
    """How long it took."""
    began_s = asyncio.get_running_loop().time()
    assert await system.stop(supervisor, timeout_s=INFINITY) == SHUTDOWN
    return asyncio.get_running_loop().time() - began_s


async def test_terminates_children_with_brutal_kill() -> None:
    """All are killed at once; none is asked, and none cleans up."""
    directions = Directions()
    directions.stops |= {f"child{n}": 60.0 for n in (1, 2, 3)}
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        children = await three(supervisor, directions, shutdown=BRUTAL_KILL)
        assert await stopped(system, supervisor) < 0.01
        assert [exit_of(child) for child in children] == [KILLED] * 3
        assert directions.stopped() == []


async def test_terminates_children_with_infinity_shutdown() -> None:
    """All are asked at the same time and waited for, however long it takes."""
    directions = Directions()
    directions.stops |= {"child1": 1.0, "child2": 100_000.0, "child3": 2.0}
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        children = await three(supervisor, directions, shutdown=INFINITY)
        assert await stopped(system, supervisor) == pytest.approx(100_000.0)
        assert [exit_of(child) for child in children] == [SHUTDOWN] * 3


async def _end_otherwise(shutdown: float | Shutdown) -> None:
    directions = Directions()
    errors = {f"child{n}": ValueError(f"oops {n}") for n in (1, 2, 3)}
    directions.stops |= errors
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        children = await three(supervisor, directions, shutdown=shutdown)
        await stopped(system, supervisor)
        assert [exit_of(child).error for child in children] == list(errors.values())
        assert len(directions.started()) == 3


async def test_terminates_children_with_infinity_shutdown_and_abnormal_reason() -> None:
    """Children that answer the shutdown with another exit keep theirs; the supervisor ends with shutdown."""
    await _end_otherwise(INFINITY)


async def test_terminates_children_with_integer_shutdown() -> None:
    """All are asked, and end in their time."""
    directions = Directions()
    directions.stops |= {f"child{n}": 0.5 for n in (1, 2, 3)}
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        children = await three(supervisor, directions, shutdown=1.0)
        assert await stopped(system, supervisor) == pytest.approx(0.5)
        assert [exit_of(child) for child in children] == [SHUTDOWN] * 3


async def test_terminates_children_with_integer_shutdown_and_abnormal_reason() -> None:
    """The same with a time to stop in."""
    await _end_otherwise(1.0)


async def test_terminates_children_with_expired_integer_shutdown() -> None:
    """The one that takes too long is killed when its own time is over, the others end as they were asked."""
    directions = Directions()
    directions.stops["child2"] = 60.0
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        children = await three(supervisor, directions, shutdown=1.0)
        assert await stopped(system, supervisor) == pytest.approx(1.0, abs=0.2)
        assert [exit_of(child).kind for child in children] == [
            ExitKind.SHUTDOWN, ExitKind.KILLED, ExitKind.SHUTDOWN,
        ]  # fmt: skip
        assert system.leaked == []


async def test_terminates_children_with_permanent_restart_and_normal_reason() -> None:
    """Permanent children that end normally just as they are stopped do not come back."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        children = await three(supervisor, directions, shutdown=INFINITY, restart=Restart.PERMANENT)
        stopping = asyncio.ensure_future(system.stop(supervisor, timeout_s=INFINITY))
        for child in children:
            child.tell(NORMAL)
        assert await stopping == SHUTDOWN
        await settle(10)
        assert [exit_of(child).clean for child in children] == [True] * 3
        assert len(directions.started()) == 3


async def test_terminates_with_mixed_children() -> None:
    """Each child is stopped as its own spec says."""
    directions = Directions()
    directions.stops |= {"child1": 30.0, "child2": 30.0, "child3": 30.0}
    policies: list[float | Shutdown] = [INFINITY, BRUTAL_KILL, 2.0]
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        children = [
            await started(supervisor, directions.child(f"child{n}", shutdown=policy))
            for n, policy in enumerate(policies, start=1)
        ]
        assert await stopped(system, supervisor) == pytest.approx(30.0)
        assert [exit_of(child).kind for child in children] == [
            ExitKind.SHUTDOWN, ExitKind.KILLED, ExitKind.KILLED,
        ]  # fmt: skip
        assert sorted(directions.stopped()) == ["child1", "child3"]  # the killed one was not asked


# -- terminate_child
async def _terminated(shutdown: float | Shutdown, stop_s: float) -> tuple[Exit, float]:
    directions = Directions()
    directions.stops["child1"] = stop_s
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        child = await started(supervisor, directions.child("child1", shutdown=shutdown))
        began_s = asyncio.get_running_loop().time()
        await terminate_child(supervisor, "child1")
        took_s = asyncio.get_running_loop().time() - began_s
        with pytest.raises(NotFound):
            await terminate_child(supervisor, "child1")
        assert await counts(supervisor) == [0, 0, 0, 0]
        await settle(10)
        return exit_of(child), took_s


@pytest.mark.req("157")
async def test_terminates_child_with_brutal_kill() -> None:
    """The child is killed, and a second request finds none."""
    exit_, took_s = await _terminated(BRUTAL_KILL, 60.0)
    assert (exit_, took_s) == (KILLED, pytest.approx(0.0, abs=0.01))


@pytest.mark.req("157")
async def test_terminates_child_with_integer_shutdown() -> None:
    """The child is asked and waited for, is not restarted, and a second request finds none."""
    exit_, took_s = await _terminated(1.0, 0.5)
    assert (exit_, took_s) == (SHUTDOWN, pytest.approx(0.5, abs=0.01))


@pytest.mark.req("160")
async def test_terminates_restarting_child() -> None:
    """A child that fails to restart over and over is terminated between two attempts; a second request finds none."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await dynamic(system)
        child = await started(supervisor, directions.child("child1"))
        directions.always["child1"] = BOOM
        child.tell(BOOM)
        await a_turn()
        assert await counts(supervisor) == [1, 0, 0, 1]
        await terminate_child(supervisor, "child1")
        with pytest.raises(NotFound):
            await terminate_child(supervisor, "child1")
        assert await counts(supervisor) == [0, 0, 0, 0]
        tried = child.incarnation
        await settle(10)
        assert child.incarnation == tried
