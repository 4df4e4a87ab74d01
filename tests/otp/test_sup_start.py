"""supervisor_SUITE: how supervisors and their children start, by the names of OTP's cases."""

from typing import Any

import pytest
from tests.otp.actors import Directed, Directions, Parent, counts, settle

from allstop.actors.exits import SHUTDOWN
from allstop.actors.runtime import ActorSystem, Ignore, StartError
from allstop.actors.spec import INFINITY, ChildSpec, ChildType, Restart, Start, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import InvalidChildSpec, NotFound, StartFailure
from allstop.supervisors.supervisor import (
    Supervisor,
    count_children,
    get_childspec,
    restart_child,
    start_child,
    which_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags()


class IgnoringSupervisor(Supervisor):
    """A supervisor whose init says ignore."""

    def on_start(self) -> Any:
        return Ignore()


class NonsenseSupervisor(Supervisor):
    def on_start(self) -> Any:
        return ("ok", "nonsense")


class FailingSupervisor(Supervisor):
    def on_start(self) -> Any:
        raise ZeroDivisionError("init")


async def test_sup_start_normal() -> None:
    """A supervisor without children starts, and ends with shutdown when it is asked to."""
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        assert await counts(supervisor) == [0, 0, 0, 0]
        assert await system.stop(supervisor) == SHUTDOWN


@pytest.mark.req("40")
async def test_sup_start_ignore_init() -> None:
    """An init that says ignore starts nothing, and the parent hears of no exit."""
    async with ActorSystem() as system:
        parent = await system.spawn(Parent, path="/parent")
        child = Directions().child("child")
        supervisor = await system.spawn(
            IgnoringSupervisor, FLAGS, (child,), path="/parent/sup", parent=parent
        )
        assert not supervisor.is_alive()
        await settle(0.1)
        assert await parent.call("downs") == []
        assert not system.address("/parent/sup/child").is_alive()


async def test_sup_start_ignore_child() -> None:
    """A child that ignores its start has no process, and its spec is kept."""
    directions = Directions()
    directions.starts["child1"] = [Ignore()]
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        assert await start_child(supervisor, directions.child("child1")) is None
        ref = await start_child(supervisor, directions.child("child2"))
        assert [(c.id, c.ref) for c in await which_children(supervisor)] == [
            ("child1", None),
            ("child2", ref),
        ]
        assert await counts(supervisor) == [2, 1, 0, 2]


async def test_sup_start_ignore_temporary_child() -> None:
    """A temporary child that ignores its start in the first list is forgotten."""
    directions = Directions()
    directions.starts["child1"] = [Ignore()]
    children = (
        directions.child("child1", restart=Restart.TEMPORARY),
        directions.child("child2", restart=Restart.TEMPORARY),
    )
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, children, path="/sup")
        assert [c.id for c in await which_children(supervisor)] == ["child2"]
        assert await counts(supervisor) == [1, 1, 0, 1]


async def test_sup_start_ignore_temporary_child_start_child() -> None:
    """The same for a temporary child that is added."""
    directions = Directions()
    directions.starts["child1"] = [Ignore()]
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        assert await start_child(supervisor, directions.child("child1", restart=Restart.TEMPORARY)) is None
        await start_child(supervisor, directions.child("child2", restart=Restart.TEMPORARY))
        assert [c.id for c in await which_children(supervisor)] == ["child2"]
        assert await counts(supervisor) == [1, 1, 0, 1]


@pytest.mark.req("151")
async def test_sup_start_ignore_temporary_child_start_child_simple() -> None:
    """The same under a dynamic supervisor."""
    await _ignored_under_a_dynamic_supervisor(Restart.TEMPORARY)


@pytest.mark.req("151")
async def test_sup_start_ignore_permanent_child_start_child_simple() -> None:
    """There a permanent child that ignores its start is forgotten, too, and the supervisor shuts down without error."""
    await _ignored_under_a_dynamic_supervisor(Restart.PERMANENT)


async def _ignored_under_a_dynamic_supervisor(restart: Restart) -> None:
    directions = Directions()
    directions.starts["child1"] = [Ignore()]
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        assert await start_child(supervisor, directions.child("child1", restart=restart)) is None
        ref = await start_child(supervisor, directions.child("child2", restart=restart))
        assert [c.ref for c in await which_children(supervisor)] == [ref]
        assert await counts(supervisor) == [1, 1, 0, 1]
        assert await system.stop(supervisor) == SHUTDOWN


@pytest.mark.req("41")
async def test_sup_start_error_return() -> None:
    """An init that gives nonsense fails the start, says what it gave, and the parent hears of no exit."""
    async with ActorSystem() as system:
        parent = await system.spawn(Parent, path="/parent")
        with pytest.raises(StartError, match="not \\('ok', 'nonsense'\\)"):
            await system.spawn(NonsenseSupervisor, FLAGS, path="/parent/sup", parent=parent)
        await settle(0.1)
        assert await parent.call("downs") == []


@pytest.mark.req("41")
async def test_sup_start_fail() -> None:
    """An init that raises fails the start with what it raised and where, and the parent hears of no exit."""
    async with ActorSystem() as system:
        parent = await system.spawn(Parent, path="/parent")
        with pytest.raises(StartError) as failed:
            await system.spawn(FailingSupervisor, FLAGS, path="/parent/sup", parent=parent)
        assert isinstance(failed.value.cause, ZeroDivisionError)
        assert failed.value.cause.__traceback__ is not None
        await settle(0.1)
        assert await parent.call("downs") == []


@pytest.mark.req("39", "49")
async def test_sup_start_child_returns_error() -> None:
    """A start that fails, or gives what is no start, gives its reason, and no spec is kept."""
    directions = Directions()
    reason = OSError("a reason")
    directions.starts["child1"] = [reason]
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        with pytest.raises(StartFailure) as failed:
            await start_child(supervisor, directions.child("child1"))
        assert failed.value.reason is reason
        with pytest.raises(StartFailure, match="TypeError"):
            await start_child(supervisor, ChildSpec("child2", Start(_StartsWithNonsense)))
        assert await which_children(supervisor) == ()
        assert await counts(supervisor) == [0, 0, 0, 0]


class _StartsWithNonsense(Directed):
    def __init__(self) -> None:
        super().__init__(Directions())

    def on_start(self) -> Any:
        return "what it says is no start"


@pytest.mark.req("68")
async def test_sup_start_restart_child_returns_error() -> None:
    """restart_child of a child whose start raises gives the error; the spec is kept, without a process."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(
            Supervisor, FLAGS, (directions.child("child1", restart=Restart.TRANSIENT),), path="/sup"
        )
        await system.stop(system.address("/sup/child1"))
        await settle()
        directions.starts["child1"] = [OSError("boom")]
        with pytest.raises(StartFailure, match="OSError: boom"):
            await restart_child(supervisor, "child1")
        await settle(10)
        assert [(c.id, c.ref) for c in await which_children(supervisor)] == [("child1", None)]
        assert directions.started() == ["child1"]  # nobody tries again


@pytest.mark.req("152")
async def test_sup_start_child_returns_error_simple() -> None:
    """Under a dynamic supervisor: the reason, and nothing is stored."""
    directions = Directions()
    reason = OSError("a reason")
    directions.starts["child1"] = [reason]
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        with pytest.raises(StartFailure) as failed:
            await start_child(supervisor, directions.child("child1"))
        assert failed.value.reason is reason
        assert await which_children(supervisor) == ()
        assert await counts(supervisor) == [0, 0, 0, 0]


@pytest.mark.req("4", "5", "6", "7", "8", "9", "79")
async def test_sup_start_map() -> None:
    """Specs may be mappings; get_childspec shows them with every default, and knows no other id."""
    directions = Directions()
    start = Start(Directed, (directions,))
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        await start_child(supervisor, {"id": "child1", "start": start})  # pyright: ignore[reportArgumentType]
        await start_child(
            supervisor,
            {"id": "child2", "start": start, "type": ChildType.SUPERVISOR},  # pyright: ignore[reportArgumentType]
        )
        worker = await get_childspec(supervisor, "child1")
        assert worker == ChildSpec("child1", start)
        assert (worker.restart, worker.type, worker.significant) == (
            Restart.PERMANENT,
            ChildType.WORKER,
            False,
        )
        assert worker.effective_shutdown == 5.0
        assert (await get_childspec(supervisor, "child2")).effective_shutdown is INFINITY
        assert (await which_child(supervisor, "child1")).actor_class is Directed
        with pytest.raises(NotFound):
            await get_childspec(supervisor, "child3")


async def test_sup_start_map_simple() -> None:
    """The same of run-time children, which are known by id; one that is no child is not known."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        await start_child(supervisor, {"id": "child1", "start": Start(Directed, (directions,))})  # pyright: ignore[reportArgumentType]
        assert (await get_childspec(supervisor, "child1")).restart is Restart.PERMANENT
        stranger = await system.spawn(Directed, directions, path="/stranger")
        for unknown in ("stranger", stranger):
            with pytest.raises(NotFound):
                await get_childspec(supervisor, unknown)
        assert stranger.is_alive()


@pytest.mark.req("1", "2", "20", "21")
async def test_sup_start_map_faulty_specs() -> None:
    """What is missing is named, and so is a key that there is not, which OTP would take."""
    start = Start(Directed, (Directions(),))
    for wrong, code in (
        ({"start": start}, "missing_id"),
        ({"id": "child1"}, "missing_start"),
        ({}, "missing_id"),
        ({"id": "child1", "start": start, "silly_flag": True}, "unknown_key"),
        ([("id", "child1")], "invalid_child_spec"),
    ):
        async with ActorSystem() as system:
            with pytest.raises(StartError) as refused:
                await system.spawn(Supervisor, FLAGS, (wrong,), path="/sup")
            assert isinstance(refused.value.cause, InvalidChildSpec)
            assert refused.value.cause.code == code
            supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
            with pytest.raises(InvalidChildSpec, match=code):
                await start_child(supervisor, wrong)  # pyright: ignore[reportArgumentType]
            assert (await count_children(supervisor)).specs == 0
