"""supervisor_SUITE: changes, reports and questions, by the names of OTP's cases."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.otp.actors import Directed, Directions, counts, end, kill, settle

from allstop.actors.events import ChildTerminated, CrashReport, Event, GaveUp, StartFailed
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import ChildSpec, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import InvalidChildSpec, InvalidFlags, NotFound, StartFailure
from allstop.supervisors.supervisor import (
    Supervisor,
    get_childspec,
    reconfigure,
    restart_child,
    start_child,
    terminate_child,
    which_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags()
BOOM = RuntimeError("boom")


def as_mapping(spec: ChildSpec) -> Any:
    return {"id": spec.id, "start": spec.start, "restart": spec.restart, "shutdown": spec.shutdown}


async def _code_change(mapped: bool) -> None:
    directions = Directions()

    def given(spec: ChildSpec) -> Any:
        return as_mapping(spec) if mapped else spec

    child1 = directions.child("child1")
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, (given(child1),), path="/sup")
        one = system.address("/sup/child1")

        # New flags hold at once, and nobody restarts.
        await reconfigure(supervisor, SupervisorFlags(max_restarts=0), [given(child1)])
        assert one.incarnation == 1
        await reconfigure(supervisor, SupervisorFlags(max_restarts=7), [given(child1)])

        # A faulty spec or flag refuses everything, and what was in force stays.
        for wrong in ({"start": child1.start}, ChildSpec("child1", child1.start, shutdown=-1.0)):
            with pytest.raises(InvalidChildSpec):
                await reconfigure(supervisor, SupervisorFlags(max_restarts=99), [wrong])  # pyright: ignore[reportArgumentType]
        faulty: Any = SupervisorFlags(strategy="faulty")  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidFlags):
            await reconfigure(supervisor, faulty, [given(directions.child("child2"))])
        assert [c.id for c in await which_children(supervisor)] == ["child1"]

        # An added child is known, and started by hand.
        child2 = directions.child("child2", restart=Restart.TRANSIENT)
        said = await reconfigure(supervisor, FLAGS, [given(child1), given(child2)])
        assert any("child2" in line for line in said)
        assert (await which_child(supervisor, "child2")).ref is None
        assert await restart_child(supervisor, "child2") is not None

        # A changed one keeps running, and is another at its next start.
        changed = directions.child("child1", shutdown=1.5)
        await reconfigure(supervisor, FLAGS, [given(changed), given(child2)])
        assert one.incarnation == 1
        assert (await get_childspec(supervisor, "child1")).shutdown == 1.5
        await kill(system, "/sup/child1")
        assert one.incarnation == 2

        # One that is left out stays.
        await reconfigure(supervisor, FLAGS, [given(changed)])
        assert [c.id for c in await which_children(supervisor)] == ["child1", "child2"]
        assert system.address("/sup/child2").incarnation == 1


@pytest.mark.req("179", "180", "181", "182", "183")
async def test_code_change() -> None:
    """Flags, wrong specs, added, changed and left out ones."""
    await _code_change(mapped=False)


@pytest.mark.req("180", "183")
async def test_code_change_map() -> None:
    """The same with specs as mappings."""
    await _code_change(mapped=True)


async def _code_change_simple(mapped: bool) -> None:
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        ref = await start_child(supervisor, directions.child("child1"))
        assert ref is not None
        await reconfigure(supervisor, SupervisorFlags(max_restarts=0))
        for wrong in (
            SupervisorFlags(strategy=Strategy.ONE_FOR_ALL),
            SupervisorFlags(max_restarts=-1),
        ):
            with pytest.raises(InvalidFlags):
                await reconfigure(supervisor, wrong)
        added = directions.child("child2")
        with pytest.raises(InvalidFlags, match="bad_start_spec"):  # there is no list to add it to
            await reconfigure(supervisor, FLAGS, [as_mapping(added) if mapped else added])
        assert [c.id for c in await which_children(supervisor)] == ["child1"]
        assert ref.incarnation == 1
        await end(ref, BOOM)
        assert not supervisor.is_alive()  # the new flags hold


async def test_code_change_simple() -> None:
    """A dynamic supervisor's flags change; children are not added to it in this way."""
    await _code_change_simple(mapped=False)


async def test_code_change_simple_map() -> None:
    """The same with a mapping."""
    await _code_change_simple(mapped=True)


async def _reports() -> list[Event]:
    """One of each kind of report that a supervisor and its child make."""
    events: list[Event] = []
    directions = Directions()
    async with ActorSystem(on_event=events.append) as system:
        supervisor = await system.spawn(
            Supervisor, SupervisorFlags(max_restarts=1), (directions.child("child1"),), path="/sup"
        )
        directions.starts["other"] = [BOOM]
        with pytest.raises(StartFailure):
            await start_child(supervisor, directions.child("other"))
        for _ in range(2):
            system.address("/sup/child1").tell(RuntimeError("a long\nreason " * 50))
            await settle()
    return events


@pytest.mark.req("176")
async def test_format_log_1() -> None:
    """Reports are values; each kind can be rendered, and names supervisor, offender and reason."""
    events = await _reports()
    kinds = {type(event) for event in events}
    assert {CrashReport, ChildTerminated, StartFailed, GaveUp} <= kinds
    for event in events:
        text = event.render()
        assert "/sup" in text
        assert text.startswith(type(event).__name__) or isinstance(event, CrashReport)
    (gave_up,) = (event for event in events if isinstance(event, GaveUp))
    assert "child1" in gave_up.render()
    assert "a long" in gave_up.render()


@pytest.mark.req("176")
async def test_format_log_2() -> None:
    """Rendering keeps to a depth, a number of characters, and a single line."""
    for event in await _reports():
        whole = event.render()
        assert len(event.render(chars_limit=60)) <= 60
        assert "\n" not in event.render(single_line=True)
        assert len(event.render(single_line=True, chars_limit=40)) <= 40
        assert len(event.render(depth=1)) <= len(whole)


class Outsider(Directed):
    """Its start finds that somebody else has what it wants to be."""

    def __init__(self, directions: Directions, outsider: Ref) -> None:
        super().__init__(directions)
        raise AlreadyStarted("/stranger", outsider)


@pytest.mark.req("50")
async def test_already_started_outside_supervisor() -> None:
    """A start that finds a stranger in its place passes that on as it is, and no spec is kept."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        stranger = await system.spawn(Directed, directions, path="/stranger")
        with pytest.raises(AlreadyStarted) as refused:
            await start_child(supervisor, ChildSpec("child1", Start(Outsider, (directions, stranger))))
        assert refused.value.ref is stranger
        assert await which_children(supervisor) == ()
        squatter = await system.spawn(Directed, directions, path="/sup/child2")
        with pytest.raises(AlreadyStarted) as refused:  # somebody runs at the very address
            await start_child(supervisor, directions.child("child2"))
        assert refused.value.ref is squatter
        assert squatter.is_alive()


def seen(children: Any) -> Mapping[str, tuple[bool, str]]:
    return {child.id: (child.ref is not None, child.state.value) for child in children}


@pytest.mark.req("73", "75")
async def test_which_children() -> None:
    """What which_children and which_child say as a child is added, terminated and deleted."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        assert await which_children(supervisor) == ()
        ref = await start_child(supervisor, directions.child("child1"))
        one = await which_child(supervisor, "child1")
        assert (one.ref, one.type, one.actor_class) == (ref, "worker", Directed)
        await start_child(supervisor, directions.child("child2"))
        await terminate_child(supervisor, "child1")
        assert seen(await which_children(supervisor)) == {
            "child1": (False, "down"),
            "child2": (True, "running"),
        }
        with pytest.raises(NotFound):
            await which_child(supervisor, "child3")


@pytest.mark.req("75")
async def test_which_children_simple_one_for_one() -> None:
    """The same of run-time children, which are asked for by id."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        ref = await start_child(supervisor, directions.child("child1"))
        assert (await which_child(supervisor, "child1")).ref is ref
        with pytest.raises(NotFound):
            await which_child(supervisor, ref)
        await terminate_child(supervisor, "child1")
        with pytest.raises(NotFound):
            await which_child(supervisor, "child1")
        assert await counts(supervisor) == [0, 0, 0, 0]
