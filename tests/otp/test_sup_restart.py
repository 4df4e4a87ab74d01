"""supervisor_SUITE: the strategies and their budgets, by the names of OTP's cases."""

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
from tests.otp.actors import Directed, Directions, counts, end, kill, settle

from allstop.actors.exits import SHUTDOWN, Exit, ReachedMaxRestartIntensity
from allstop.actors.runtime import ActorSystem, Ignore, Ref
from allstop.actors.spec import INFINITY, ChildSpec, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.supervisor import Supervisor, start_child, which_children

pytestmark = pytest.mark.virtual
BOOM = RuntimeError("boom")


def flags(strategy: Strategy, intensity: int = 2) -> SupervisorFlags:
    return SupervisorFlags(strategy=strategy, max_restarts=intensity, max_seconds=3600.0)


async def start(
    system: ActorSystem, strategy: Strategy, directions: Directions, *names: str, intensity: int = 2
) -> tuple[Ref, list[Ref]]:
    children = [directions.child(name) for name in names]
    supervisor = await system.spawn(Supervisor, flags(strategy, intensity), children, path="/sup")
    return supervisor, [system.address(f"/sup/{name}") for name in names]


def incarnations(refs: list[Ref]) -> list[int | None]:
    return [ref.incarnation if ref.is_alive() else None for ref in refs]


def gave_up(supervisor: Ref) -> ReachedMaxRestartIntensity:
    assert not supervisor.is_alive()
    assert supervisor.last_exit is not None
    assert isinstance(supervisor.last_exit.error, ReachedMaxRestartIntensity)
    return supervisor.last_exit.error


@pytest.mark.req("90", "102", "104")
async def test_one_for_one() -> None:
    """Only the child that ended comes back; with a budget of two, the third end is the last, whoever's it is."""
    async with ActorSystem() as system:
        supervisor, refs = await start(system, Strategy.ONE_FOR_ONE, Directions(), "child1", "child2")
        await end(refs[0], BOOM)
        assert incarnations(refs) == [2, 1]
        await end(refs[1], BOOM)
        assert incarnations(refs) == [2, 2]
        await end(refs[0], BOOM)
        assert incarnations(refs) == [None, None]
        assert gave_up(supervisor).offender == "child1"


@pytest.mark.req("106")
async def test_one_for_one_escalation() -> None:
    """A child that cannot start again uses the budget up by itself; supervisor and sibling end."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await start(
            system, Strategy.ONE_FOR_ONE, directions, "child1", "child2", intensity=4
        )
        directions.always["child1"] = OSError("cannot start")
        await end(refs[0], BOOM)
        await settle()
        assert incarnations(refs) == [None, None]
        assert gave_up(supervisor).attempts == 4


@pytest.mark.req("91", "92")
async def test_one_for_all() -> None:
    """With the one all end and all come back; no old incarnation is left; the third end is the last."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await start(system, Strategy.ONE_FOR_ALL, directions, "child1", "child2")
        pinned = [ref.pinned() for ref in refs]
        await end(refs[0], BOOM)
        assert incarnations(refs) == [2, 2]
        assert [ref.is_alive() for ref in pinned] == [False, False]
        assert directions.exits == {"/sup/child2": SHUTDOWN}
        await end(refs[1], BOOM)
        assert incarnations(refs) == [3, 3]
        await end(refs[0], BOOM)
        assert incarnations(refs) == [None, None]
        gave_up(supervisor)


async def test_one_for_all_escalation() -> None:
    """If another child of the group cannot start again, the supervisor ends."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await start(
            system, Strategy.ONE_FOR_ALL, directions, "child1", "child2", intensity=4
        )
        directions.always["child2"] = OSError("cannot start")
        await end(refs[0], BOOM)
        await settle()
        assert incarnations(refs) == [None, None]
        assert gave_up(supervisor).offender == "child2"


@pytest.mark.req("116")
async def test_one_for_all_other_child_fails_restart() -> None:
    """The second fails to start again: the first, restarted already, is shut down, and both start again."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await start(
            system, Strategy.ONE_FOR_ALL, directions, "child1", "child2", intensity=4
        )
        directions.starts["child2"] = [OSError("not this time")]
        del directions.log[:]
        await end(refs[0], BOOM)
        await settle()
        assert directions.log == [
            ("stop", "child2"), ("start", "child1"), ("stop", "child1"), ("start", "child1"), ("start", "child2"),
        ]  # fmt: skip
        assert directions.exits["/sup/child1"] == SHUTDOWN
        assert await counts(supervisor) == [2, 2, 0, 2]


@pytest.mark.req("93")
async def test_rest_for_one() -> None:
    """The middle one of three ends: the third with it, the first stays; the third end is the last."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await start(
            system, Strategy.REST_FOR_ONE, directions, "child1", "child2", "child3"
        )
        await end(refs[1], BOOM)
        assert incarnations(refs) == [1, 2, 2]
        assert directions.exits == {"/sup/child3": SHUTDOWN}
        await end(refs[2], BOOM)
        assert incarnations(refs) == [1, 2, 3]
        await end(refs[1], BOOM)
        assert incarnations(refs) == [None, None, None]
        gave_up(supervisor)


async def test_rest_for_one_escalation() -> None:
    """If a later child cannot start again, the supervisor ends."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await start(
            system, Strategy.REST_FOR_ONE, directions, "child1", "child2", intensity=4
        )
        directions.always["child2"] = OSError("cannot start")
        await end(refs[0], BOOM)
        await settle()
        assert incarnations(refs) == [None, None]
        assert gave_up(supervisor).offender == "child2"


@pytest.mark.req("117")
async def test_rest_for_one_other_child_fails_restart() -> None:
    """The second fails to start again: the next attempt begins with it, and the first stays."""
    directions = Directions()
    async with ActorSystem() as system:
        _, refs = await start(system, Strategy.REST_FOR_ONE, directions, "child1", "child2", intensity=4)
        directions.starts["child2"] = [OSError("not this time")]
        del directions.log[:]
        await end(refs[0], BOOM)
        await settle()
        assert directions.log == [("stop", "child2"), ("start", "child1"), ("start", "child2")]
        assert incarnations(refs)[0] == 2


async def dynamic(
    system: ActorSystem, directions: Directions, *names: str, intensity: int = 2, **fields: Any
) -> tuple[Ref, list[Ref]]:
    settings = flags(Strategy.ONE_FOR_ONE, intensity)
    supervisor = await system.spawn(DynamicSupervisor, settings, max_children=10, path="/sup")
    refs: list[Ref] = []
    for name in names:
        ref = await start_child(supervisor, directions.child(name, **fields))
        assert ref is not None
        refs.append(ref)
    return supervisor, refs


@pytest.mark.req("108")
async def test_simple_one_for_one() -> None:
    """One of two run-time children ends: the other stays; the third end is the last."""
    async with ActorSystem() as system:
        supervisor, refs = await dynamic(system, Directions(), "child1", "child2")
        await end(refs[0], BOOM)
        assert incarnations(refs) == [2, 1]
        assert await counts(supervisor) == [2, 2, 0, 2]
        await end(refs[1], BOOM)
        await end(refs[0], BOOM)
        assert incarnations(refs) == [None, None]
        gave_up(supervisor)


@pytest.mark.req("133", "135")
async def test_simple_one_for_one_shutdown() -> None:
    """Run-time children stop at the same time: the slowest decides, and whoever is too slow is killed."""
    directions = Directions()
    directions.stops |= {"child1": 1.0, "child2": 1.0, "child3": 5.0}
    async with ActorSystem() as system:
        supervisor, refs = await dynamic(system, directions, "child1", "child2", "child3", shutdown=2.0)
        began_s = system.clock.now_s()
        assert await system.stop(supervisor, timeout_s=INFINITY) == SHUTDOWN
        assert 1.0 <= system.clock.now_s() - began_s < 2.5
        ends = [ref.last_exit for ref in refs]
        assert ends[:2] == [SHUTDOWN, SHUTDOWN]
        assert isinstance(ends[2], Exit)
        assert ends[2].kind == "killed"


@pytest.mark.req("150")
async def test_simple_one_for_one_extra() -> None:
    """A run-time child comes back with the arguments it was started with."""

    class Extra(Directed):
        def __init__(self, directions: Directions, extra: str) -> None:
            super().__init__(directions)
            self.extra = extra

        def on_receive(self, message: Any) -> Any:
            return self.extra if message == "extra" else super().on_receive(message)

    directions = Directions()
    async with ActorSystem() as system:
        supervisor, _ = await dynamic(system, directions)
        for name in ("child1", "child2"):
            await start_child(supervisor, ChildSpec(name, Start(Extra, (directions, f"extra of {name}"))))
        await kill(system, "/sup/child1")
        assert [await system.address(f"/sup/{n}").call("extra") for n in ("child1", "child2")] == [
            "extra of child1", "extra of child2",
        ]  # fmt: skip


async def test_simple_one_for_one_escalation() -> None:
    """A run-time child that cannot start again takes supervisor and sibling along."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await dynamic(system, directions, "child1", "child2", intensity=4)
        directions.always["child1"] = OSError("cannot start")
        await end(refs[0], BOOM)
        await settle()
        assert incarnations(refs) == [None, None]
        gave_up(supervisor)


@pytest.mark.req("88")
async def test_simple_one_for_one_corruption() -> None:
    """Nothing refers to the arguments of a temporary child once it has started: they can be let go."""

    class Argument:
        pass

    class Forgetful(Directed):
        def __init__(self, directions: Directions, argument: Argument) -> None:
            super().__init__(directions)

    directions = Directions()
    async with ActorSystem() as system:
        supervisor, _ = await dynamic(system, directions)
        gone: list[weakref.ref[Argument]] = []
        for restart in (Restart.TEMPORARY, Restart.TRANSIENT):
            argument = Argument()
            gone.append(weakref.ref(argument))
            spec = ChildSpec(restart.value, Start(Forgetful, (directions, argument)))
            await start_child(supervisor, replace(spec, restart=restart))
            del spec, argument
        await settle()
        gc.collect()
        assert [argument() is None for argument in gone] == [True, False]
        await kill(system, "/sup/temporary")
        assert [c.id for c in await which_children(supervisor)] == ["transient"]


@pytest.mark.req("119", "158")
@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
async def test_simple_one_for_one_restart_ignore(restart: Restart) -> None:
    """A run-time child whose restart is ignored is forgotten, and the supervisor shuts down cleanly."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor, refs = await dynamic(system, directions, "child1", restart=restart)
        directions.starts["child1"] = [Ignore()]
        await end(refs[0], BOOM)
        assert await which_children(supervisor) == ()
        assert await counts(supervisor) == [0, 0, 0, 0]
        assert await system.stop(supervisor) == SHUTDOWN
