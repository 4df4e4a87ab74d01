"""supervisor_SUITE: how children end, and the shape of a tree, by the names of OTP's cases."""

import pytest
from tests.otp.actors import SHUTDOWN_WITH, Directed, Directions, counts, end, kill, nested, settle

from allstop.actors.events import ChildStarted, Event
from allstop.actors.exits import NORMAL, SHUTDOWN, Exit
from allstop.actors.runtime import ActorDead, ActorSystem, Ref, StartError
from allstop.actors.spec import ChildSpec, ChildType, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.errors import FailedToStartChild
from allstop.supervisors.supervisor import (
    Supervisor,
    count_children,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags(max_restarts=2, max_seconds=3600.0)
BOOM = RuntimeError("abnormal")


async def started(system: ActorSystem, restart: Restart) -> tuple[Ref, Ref, ChildSpec]:
    supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
    spec = Directions().child("child1", restart=restart)
    ref = await start_child(supervisor, spec)
    assert ref is not None
    return supervisor, ref, spec


@pytest.mark.req("175")
async def test_external_start_no_progress_log() -> None:
    """A start that was asked for by API can be told apart from one of the supervisor's own."""
    events: list[Event] = []
    async with ActorSystem(on_event=events.append) as system:
        directions = Directions()
        supervisor = await system.spawn(Supervisor, FLAGS, (directions.child("listed"),), path="/sup")
        await start_child(supervisor, directions.child("added"))
        await kill(system, "/sup/added")
        told = [(event.child, event.origin) for event in events if isinstance(event, ChildStarted)]
        assert told == [("listed", "boot"), ("added", "api"), ("added", "restart")]


async def _permanent(how: BaseException | Exit) -> None:
    async with ActorSystem() as system:
        supervisor, ref, _ = await started(system, Restart.PERMANENT)
        await end(ref, how)
        assert (ref.is_alive(), ref.incarnation) == (True, 2)
        assert await counts(supervisor) == [1, 1, 0, 1]


async def _transient(how: Exit) -> None:
    async with ActorSystem() as system:
        supervisor, ref, _ = await started(system, Restart.TRANSIENT)
        await end(ref, how)
        assert [(c.id, c.ref) for c in await which_children(supervisor)] == [("child1", None)]
        assert await counts(supervisor) == [1, 0, 0, 1]
        assert await restart_child(supervisor, "child1") is ref
        assert await counts(supervisor) == [1, 1, 0, 1]


async def _temporary(how: BaseException | Exit) -> None:
    async with ActorSystem() as system:
        supervisor, ref, spec = await started(system, Restart.TEMPORARY)
        await end(ref, how)
        assert await which_children(supervisor) == ()
        assert await counts(supervisor) == [0, 0, 0, 0]
        assert await start_child(supervisor, spec) is ref


@pytest.mark.req("81")
async def test_permanent_normal() -> None:
    """A permanent child comes back after normal."""
    await _permanent(NORMAL)


@pytest.mark.req("82")
async def test_transient_normal() -> None:
    """A transient one does not; its spec stays."""
    await _transient(NORMAL)


@pytest.mark.req("83")
async def test_temporary_normal() -> None:
    """A temporary one does not, and is forgotten."""
    await _temporary(NORMAL)


@pytest.mark.req("81")
@pytest.mark.parametrize("how", [SHUTDOWN, SHUTDOWN_WITH])
async def test_permanent_shutdown(how: Exit) -> None:
    """A permanent child comes back after shutdown, with or without a detail."""
    await _permanent(how)


@pytest.mark.req("82")
@pytest.mark.parametrize("how", [SHUTDOWN, SHUTDOWN_WITH])
async def test_transient_shutdown(how: Exit) -> None:
    """A transient one does not; restart_child starts it."""
    await _transient(how)


@pytest.mark.req("83", "53")
@pytest.mark.parametrize("how", [SHUTDOWN, SHUTDOWN_WITH])
async def test_temporary_shutdown(how: Exit) -> None:
    """A temporary one does not, and its id can be started again."""
    await _temporary(how)


@pytest.mark.req("37")
async def test_faulty_application_shutdown() -> None:
    """The error of a first child deep in a tree reaches whoever starts the tree, with its whole reason."""
    directions = Directions()
    reason = OSError("the very reason")
    directions.starts["faulty"] = [reason]
    tree = (directions.child("before"), nested("inner", FLAGS, directions.child("faulty")))
    async with ActorSystem() as system:
        with pytest.raises(StartError) as failed:
            await system.spawn(Supervisor, FLAGS, tree, path="/sup")
        outer = failed.value.cause
        assert isinstance(outer, FailedToStartChild)
        assert outer.child_id == "inner"
        inner = outer.reason
        assert isinstance(inner, FailedToStartChild)
        assert (inner.child_id, inner.reason) == ("faulty", reason)
        assert directions.log == [("start", "before"), ("stop", "before")]
        assert system.actors() == []


@pytest.mark.req("81")
async def test_permanent_abnormal() -> None:
    """A permanent child comes back after an abnormal exit."""
    await _permanent(BOOM)


@pytest.mark.req("82")
async def test_transient_abnormal() -> None:
    """A transient one, too."""
    async with ActorSystem() as system:
        supervisor, ref, _ = await started(system, Restart.TRANSIENT)
        await end(ref, BOOM)
        assert (ref.is_alive(), ref.incarnation) == (True, 2)
        assert await counts(supervisor) == [1, 1, 0, 1]


@pytest.mark.req("83")
async def test_temporary_abnormal() -> None:
    """A temporary one never does."""
    await _temporary(BOOM)


class Unlinking(Directed):
    """Has a link to its supervisor, and takes it back."""

    def on_start(self) -> None:
        assert self.parent is not None
        self.link(self.parent)
        self.unlink(self.parent)


@pytest.mark.req("129")
async def test_child_unlink() -> None:
    """A child that has unlinked itself from its supervisor is terminated all the same, and hangs nobody."""
    async with ActorSystem() as system:
        supervisor = await system.spawn(
            Supervisor, FLAGS, (ChildSpec("naughty", Start(Unlinking, (Directions(),))),), path="/sup"
        )
        naughty = system.address("/sup/naughty")
        supervisor.tell("an unexpected message")
        await terminate_child(supervisor, "naughty", timeout_s=10)
        assert not naughty.is_alive()
        assert await system.stop(supervisor, timeout_s=10) == SHUTDOWN
        with pytest.raises(ActorDead):
            await count_children(supervisor)


@pytest.mark.req("44", "45", "74", "76", "86", "90", "110")
async def test_tree() -> None:
    """A one_for_all supervisor over supervisors: what is restarted where, what escalates, and what is back then."""
    directions = Directions()
    leaves = [directions.child(f"child{n}") for n in (1, 2, 3, 4)]
    inner = SupervisorFlags(max_restarts=3, max_seconds=3600.0)
    children = (
        nested("supchild1", inner, leaves[0], leaves[1]),
        nested("supchild2", inner, leaves[2], leaves[3]),
    )
    flags = SupervisorFlags(strategy=Strategy.ONE_FOR_ALL, max_restarts=1, max_seconds=3600.0)
    async with ActorSystem() as system:
        top = await system.spawn(Supervisor, flags, children, path="/top")
        third = await start_child(top, nested("supchild3", inner, restart=Restart.TRANSIENT))
        assert third is not None
        assert [c.id for c in await which_children(top)] == ["supchild1", "supchild2", "supchild3"]
        assert await counts(top) == [3, 3, 3, 0]
        assert await counts(system.address("/top/supchild1")) == [2, 2, 0, 2]
        child3 = system.address("/top/supchild2/child3")

        await start_child(system.address("/top/supchild1"), directions.child("added"))
        assert await counts(system.address("/top/supchild1")) == [3, 3, 0, 3]

        # Restarted where it died, and nobody else hears of it.
        await kill(system, "/top/supchild1/child1")
        assert system.address("/top/supchild1/child1").incarnation == 2
        assert (child3.incarnation, system.address("/top/supchild1").incarnation) == (1, 1)

        # A transient supervisor that was terminated by hand stays known.
        await terminate_child(top, "supchild3")
        assert await counts(top) == [3, 2, 3, 0]

        # A leaf that cannot start again takes its supervisor's budget, then all of the top's children restart.
        directions.starts["child1"] = [OSError("cannot"), OSError("cannot")]  # one restart was before
        await kill(system, "/top/supchild1/child1")
        await settle()
        assert top.is_alive()
        assert [system.address(f"/top/supchild{n}").incarnation for n in (1, 2, 3)] == [2, 2, 2]
        assert child3.incarnation == 2
        assert await counts(top) == [3, 3, 3, 0]  # the third one, too: the group restarted
        assert [c.id for c in await which_children(system.address("/top/supchild1"))] == ["child1", "child2"]

        # The next time the top's budget is spent as well.
        directions.always["child3"] = OSError("never again")
        await kill(system, "/top/supchild2/child3")
        await settle()
        assert not top.is_alive()
        assert [actor.path for actor in system.actors()] == []
        assert ChildType.SUPERVISOR is children[0].type
