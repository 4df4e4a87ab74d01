"""supervisor_SUITE: administration and validation, by the names of OTP's cases."""

import itertools
from typing import Any

import pytest
from tests.otp.actors import Directed, Directions, counts, kill, settle

from allstop.actors.runtime import ActorDead, ActorSystem, StartError
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    ChildSpec,
    ChildType,
    Restart,
    Start,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.childspecs import check_childspecs
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import (
    AlreadyPresent,
    InvalidChildSpec,
    InvalidFlags,
    NotForDynamic,
    NotFound,
    Running,
)
from allstop.supervisors.supervisor import (
    Supervisor,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_child,
    which_children,
)

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags()
START = Start(Directed, (Directions(),))


@pytest.mark.req("47", "48", "55", "56", "57", "61", "63", "64", "65", "66", "67", "71", "72")
async def test_child_adm() -> None:
    """The whole life of a child by API, what is refused at each step, and the counts after it."""
    directions = Directions()
    child = directions.child("child1")
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        assert await counts(supervisor) == [0, 0, 0, 0]
        ref = await start_child(supervisor, child)
        assert ref is not None
        assert await counts(supervisor) == [1, 1, 0, 1]
        with pytest.raises(AlreadyStarted) as already:
            await start_child(supervisor, child)
        assert already.value.ref is ref
        with pytest.raises(Running):
            await restart_child(supervisor, "child1")
        with pytest.raises(Running):
            await delete_child(supervisor, "child1")
        with pytest.raises(NotFound):  # a child is known by its id
            await terminate_child(supervisor, ref)
        assert ref.is_alive()

        await terminate_child(supervisor, "child1")
        assert not ref.is_alive()
        await settle(10)
        assert ref.incarnation == 1  # permanent, and yet it does not come back
        assert await counts(supervisor) == [1, 0, 0, 1]
        await terminate_child(supervisor, "child1")
        with pytest.raises(AlreadyPresent):
            await start_child(supervisor, child)

        assert await restart_child(supervisor, "child1") is ref
        assert ref.incarnation == 2
        assert await counts(supervisor) == [1, 1, 0, 1]
        await terminate_child(supervisor, "child1")
        await delete_child(supervisor, "child1")
        assert await counts(supervisor) == [0, 0, 0, 0]
        for operation in (restart_child, delete_child, terminate_child, which_child):
            with pytest.raises(NotFound):
                await operation(supervisor, "child1")
        assert await which_children(supervisor) == ()
        await start_child(supervisor, child)
        assert [c.ref for c in await which_children(supervisor)] == [ref]
        await system.stop(supervisor)
        nobody = system.address("/nobody")
        for dead in (supervisor, nobody):
            with pytest.raises(ActorDead):
                await start_child(dead, child)
            with pytest.raises(ActorDead):
                await terminate_child(dead, "child1")


@pytest.mark.req("147", "148", "149", "155", "157")
async def test_child_adm_simple() -> None:
    """The same of run-time children: no restart and no delete; a dead one and a stranger are not known."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(DynamicSupervisor, FLAGS, max_children=10, path="/sup")
        assert await counts(supervisor) == [0, 0, 0, 0]
        one = await start_child(supervisor, directions.child(None))
        two = await start_child(supervisor, directions.child("two"))
        assert one is not None
        assert two is not None
        assert await counts(supervisor) == [2, 2, 0, 2]
        for operation in (restart_child, delete_child):
            with pytest.raises(NotForDynamic):
                await operation(supervisor, "two")
        await terminate_child(supervisor, "two")
        assert not two.is_alive()
        assert await counts(supervisor) == [1, 1, 0, 1]
        with pytest.raises(NotFound):
            await terminate_child(supervisor, "two")
        stranger = await system.spawn(Directed, directions, path="/stranger")
        for unknown in ("stranger", stranger):
            with pytest.raises(NotFound):
                await terminate_child(supervisor, unknown)
        assert stranger.is_alive()
        assert await start_child(supervisor, directions.child("two")) is two


@pytest.mark.req("34")
async def test_extra_return() -> None:
    """What a start says besides its process comes to whoever started it: here by asking the child, which knows."""
    directions = Directions()
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        ref = await start_child(supervisor, directions.child("child1"))
        assert ref is not None
        assert await ref.call("extra info") == "extra info"
        with pytest.raises(Running):
            await restart_child(supervisor, "child1")
        await terminate_child(supervisor, "child1")
        again = await restart_child(supervisor, "child1")
        assert again is ref
        assert await ref.call("extra info") == "extra info"
        await kill(system, "/sup/child1")  # and the automatic restart works as well
        assert (await ref.call("extra info"), ref.incarnation) == ("extra info", 3)


WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("missing_id", {"id": None}),
    ("invalid_mfa", {"start": ("module", "function", [])}),
    ("invalid_mfa", {"start": Start(Directed, ["not a tuple"])}),  # pyright: ignore[reportArgumentType]
    ("invalid_restart_type", {"restart": "prmanent"}),
    ("invalid_shutdown", {"shutdown": -1}),
    ("invalid_shutdown", {"shutdown": "brutal"}),
    ("invalid_child_type", {"type": "wrker"}),
    ("invalid_significant", {"significant": "yes"}),
    ("bad_combination", {"significant": True}),
)


@pytest.mark.req("10", "11", "12", "13", "14", "19", "22", "46")
async def test_child_specs() -> None:
    """Each wrong field is refused by start_child and check_childspecs alike; all valid combinations are taken."""
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, FLAGS, path="/sup")
        for code, fields in WRONG:
            given: dict[str, Any] = {"id": "child", "start": START, **fields}
            wrong = ChildSpec(**given)
            with pytest.raises(InvalidChildSpec) as refused:
                await start_child(supervisor, wrong)
            assert refused.value.code == code
            with pytest.raises(InvalidChildSpec) as refused:
                check_childspecs([wrong])
            assert refused.value.code == code
        assert await which_children(supervisor) == ()
    child = ChildSpec("child", START)
    with pytest.raises(InvalidChildSpec, match="duplicate_child_name"):
        check_childspecs([child, child])
    with pytest.raises(InvalidChildSpec, match="badarg"):
        check_childspecs(child)
    with pytest.raises(InvalidChildSpec, match="invalid_child_spec"):
        check_childspecs(["child"])
    for restart, shutdown, type_ in itertools.product(Restart, (0, 1000.0, INFINITY, BRUTAL_KILL), ChildType):
        check_childspecs([ChildSpec("child", START, restart=restart, shutdown=shutdown, type=type_)])


@pytest.mark.req("17", "18", "23")
def test_child_specs_map() -> None:
    """Every combination of auto_shutdown, restart and significant: only two kinds are refused."""
    for auto, restart, significant, shutdown, type_ in itertools.product(
        (None, *AutoShutdown), Restart, (True, False), (0, INFINITY, BRUTAL_KILL), ChildType
    ):
        spec = {
            "id": "child", "start": START, "restart": restart, "significant": significant, "shutdown": shutdown,
            "type": type_,
        }  # fmt: skip
        refused = significant and (restart is Restart.PERMANENT or auto is AutoShutdown.NEVER)
        if refused:
            with pytest.raises(InvalidChildSpec, match="bad_combination"):
                check_childspecs([spec], auto)
        else:
            check_childspecs([spec], auto)


@pytest.mark.req("25", "26", "27", "28", "29", "31", "159")
async def test_sup_flags() -> None:
    """Each wrong flag has its code, and nothing starts."""
    directions = Directions()
    infinite: Any = float("inf")
    wrong: tuple[tuple[str, Any], ...] = (
        ("invalid_strategy", SupervisorFlags(strategy="_one_for_one")),  # pyright: ignore[reportArgumentType]
        ("invalid_intensity", SupervisorFlags(max_restarts=-1)),
        ("invalid_intensity", SupervisorFlags(max_restarts=infinite)),
        ("invalid_period", SupervisorFlags(max_seconds=0)),
        ("invalid_period", SupervisorFlags(max_seconds=infinite)),
        ("invalid_auto_shutdown", SupervisorFlags(auto_shutdown="sometimes")),  # pyright: ignore[reportArgumentType]
        ("invalid_type", {"strategy": Strategy.ONE_FOR_ONE}),
    )
    async with ActorSystem() as system:
        for code, flags in wrong:
            with pytest.raises(StartError) as refused:
                await system.spawn(Supervisor, flags, (directions.child("child"),), path="/sup")
            assert isinstance(refused.value.cause, InvalidFlags)
            assert refused.value.cause.code == code
        with pytest.raises(StartError, match="bad_combination"):
            await system.spawn(
                DynamicSupervisor, SupervisorFlags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT), max_children=1
            )
    assert directions.log == []
    with pytest.raises(TypeError, match="unexpected keyword"):
        SupervisorFlags(silly_flag=1)  # pyright: ignore[reportCallIssue]


@pytest.mark.req("99", "103")
async def test_multiple_restarts() -> None:
    """Restarts further apart than the period go on for ever."""
    directions = Directions()
    flags = SupervisorFlags(max_restarts=1, max_seconds=1.0)
    async with ActorSystem() as system:
        supervisor = await system.spawn(Supervisor, flags, (directions.child("child1"),), path="/sup")
        for number in range(4):
            await settle(2.1)
            await kill(system, "/sup/child1")
            assert system.address("/sup/child1").incarnation == number + 2
        assert supervisor.is_alive()
