"""supervisor_SUITE: significant children and auto_shutdown, by the names of OTP's cases."""

from dataclasses import replace
from typing import Any

import pytest
from tests.otp.actors import Directed, Directions, end, kill, nested, settle

from allstop.actors.exits import NORMAL, SHUTDOWN, Exit
from allstop.actors.runtime import ActorSystem, Ref, StartError
from allstop.actors.spec import AutoShutdown, ChildSpec, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import InvalidChildSpec
from allstop.supervisors.supervisor import (
    Supervisor,
    get_childspec,
    reconfigure,
    restart_child,
    start_child,
    terminate_child,
)

pytestmark = pytest.mark.virtual
NEVER, ANY, ALL = AutoShutdown.NEVER, AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
BOOM = RuntimeError("abnormal")


def flags(auto: AutoShutdown, strategy: Strategy = Strategy.ONE_FOR_ONE) -> SupervisorFlags:
    return SupervisorFlags(strategy=strategy, max_restarts=10, max_seconds=3600.0, auto_shutdown=auto)


class World:
    """A supervisor /sup with the children that a case wants, and what can be done to them."""

    def __init__(self, system: ActorSystem, supervisor: Ref) -> None:
        self.system = system
        self.supervisor = supervisor

    @classmethod
    async def start(
        cls,
        system: ActorSystem,
        auto: AutoShutdown,
        *children: ChildSpec,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
    ) -> "World":
        return cls(system, await system.spawn(Supervisor, flags(auto, strategy), children, path="/sup"))

    def child(self, child_id: str) -> Ref:
        return self.system.address(f"/sup/{child_id}")

    async def end(self, child_id: str, how: str | BaseException | Exit) -> None:
        if how == "api":
            await terminate_child(self.supervisor, child_id)
        elif how == "killed":
            await kill(self.system, f"/sup/{child_id}")
        else:
            assert not isinstance(how, str)
            await end(self.child(child_id), how)

    @property
    def shut_down(self) -> bool:
        """The supervisor stopped itself, cleanly."""
        if self.supervisor.is_alive():
            return False
        assert self.supervisor.last_exit == SHUTDOWN
        return True


def child(child_id: str, restart: Restart, *, significant: bool = True) -> ChildSpec:
    return ChildSpec(child_id, Start(Directed, (Directions(),)), restart=restart, significant=significant)


def temporary(child_id: str, **fields: Any) -> ChildSpec:
    return child(child_id, Restart.TEMPORARY, **fields)


def transient(child_id: str, **fields: Any) -> ChildSpec:
    return child(child_id, Restart.TRANSIENT, **fields)


WAYS = ["api", "killed", BOOM, NORMAL, SHUTDOWN]


@pytest.mark.req("137", "142")
@pytest.mark.parametrize("auto", AutoShutdown)
@pytest.mark.parametrize("how", WAYS)
async def test_nonsignificant_temporary(auto: AutoShutdown, how: Any) -> None:
    """No end of a temporary child that is not significant stops the supervisor."""
    async with ActorSystem() as system:
        world = await World.start(system, auto, temporary("child1", significant=False))
        await world.end("child1", how)
        assert not world.child("child1").is_alive()
        assert not world.shut_down


@pytest.mark.req("137", "142")
@pytest.mark.parametrize("auto", AutoShutdown)
@pytest.mark.parametrize("how", WAYS)
async def test_nonsignificant_transient(auto: AutoShutdown, how: Any) -> None:
    """Nor of a transient one, which comes back when it was killed or failed."""
    async with ActorSystem() as system:
        world = await World.start(system, auto, transient("child1", significant=False))
        await world.end("child1", how)
        assert world.child("child1").is_alive() is (how in ("killed", BOOM))
        assert not world.shut_down


@pytest.mark.req("60", "138", "140", "141")
@pytest.mark.parametrize("how", WAYS)
async def test_significant_temporary(how: Any) -> None:
    """Any end but by API of a temporary significant child stops the supervisor; with all, only that of the last."""
    async with ActorSystem() as system:
        world = await World.start(system, ANY, temporary("child1"), temporary("child2", significant=False))
        await world.end("child1", how)
        assert world.shut_down is (how != "api")
        assert world.child("child2").is_alive() is (how == "api")
    async with ActorSystem() as system:
        world = await World.start(system, ALL, temporary("child1"), temporary("child2"))
        await world.end("child1", how)
        assert not world.shut_down
        await world.end("child2", how)
        assert world.shut_down is (how != "api")


@pytest.mark.req("60", "85", "138", "139", "141")
@pytest.mark.parametrize("how", WAYS)
async def test_significant_transient(how: Any) -> None:
    """A transient significant child comes back when it was killed or failed, and stops the supervisor by a clean end."""
    comes_back = how in ("killed", BOOM)
    stops = how in (NORMAL, SHUTDOWN)
    async with ActorSystem() as system:
        world = await World.start(system, ANY, transient("child1"))
        await world.end("child1", how)
        assert world.child("child1").is_alive() is comes_back
        assert world.shut_down is stops
    async with ActorSystem() as system:
        world = await World.start(system, ALL, transient("child1"), transient("child2"))
        await world.end("child1", how)
        assert not world.shut_down
        await world.end("child2", how)
        assert world.shut_down is stops


@pytest.mark.req("31", "159")
async def test_significant_simple() -> None:
    """A supervisor of run-time children takes neither auto_shutdown nor significant children."""
    async with ActorSystem() as system:
        for auto in (ANY, ALL):
            with pytest.raises(StartError, match="bad_combination"):
                await system.spawn(DynamicSupervisor, flags(auto), max_children=1, path="/sup")
        supervisor = await system.spawn(DynamicSupervisor, flags(NEVER), max_children=1, path="/sup")
        for spec in (temporary("child1"), transient("child1")):
            with pytest.raises(InvalidChildSpec, match="bad_combination"):
                await start_child(supervisor, spec)


@pytest.mark.req("97", "145")
@pytest.mark.parametrize("auto", [ANY, ALL])
@pytest.mark.parametrize("strategy", Strategy)
async def test_significant_bystander(auto: AutoShutdown, strategy: Strategy) -> None:
    """A significant child that a group restart takes down is no reason to stop, not even if it does not come back."""
    async with ActorSystem() as system:
        world = await World.start(
            system, auto, child("cause", Restart.PERMANENT, significant=False), temporary("lost"), transient("back"),
            strategy=strategy,
        )  # fmt: skip
        await world.end("cause", BOOM)
        group = strategy is not Strategy.ONE_FOR_ONE
        assert not world.shut_down
        assert world.child("lost").is_alive() is not group
        assert world.child("back").incarnation == (2 if group else 1)


@pytest.mark.req("143", "144")
async def test_significant_escalation() -> None:
    """A supervisor that is a significant child stops its own supervisor; one that is not leaves it alone."""
    for significant in (True, False):
        async with ActorSystem() as system:
            directions = Directions()
            inner = nested(
                "inner", flags(ANY),
                directions.child("plain"),
                replace(directions.child("leaf"), restart=Restart.TRANSIENT, significant=True),
                restart=Restart.TRANSIENT, significant=significant,
            )  # fmt: skip
            outer = await system.spawn(
                Supervisor, flags(ANY), (directions.child("sibling"), inner), path="/top"
            )
            await end(system.address("/top/inner/leaf"), NORMAL)
            await settle()
            assert not system.address("/top/inner").is_alive()
            assert outer.is_alive() is not significant
            assert directions.stopped() == (
                ["leaf", "plain", "sibling"] if significant else ["leaf", "plain"]
            )


async def upgrade(world: World, auto: AutoShutdown, *children: ChildSpec) -> None:
    await reconfigure(world.supervisor, flags(auto), children)


async def refused(world: World, spec: ChildSpec) -> None:
    with pytest.raises(InvalidChildSpec, match="bad_combination"):
        await start_child(world.supervisor, spec)


@pytest.mark.req("18", "185")
async def test_significant_upgrade_never_any() -> None:
    """Refused under never; after the switch it is taken, and stops the supervisor."""
    async with ActorSystem() as system:
        world = await World.start(system, NEVER)
        await refused(world, temporary("child1"))
        await upgrade(world, ANY)
        await start_child(world.supervisor, temporary("child1"))
        await world.end("child1", NORMAL)
        assert world.shut_down


@pytest.mark.req("185")
async def test_significant_upgrade_any_never() -> None:
    """After the switch ends stop nothing; new significant children are refused, the old one may be restarted."""
    async with ActorSystem() as system:
        world = await World.start(system, ANY, transient("child1"), temporary("child2"))
        await upgrade(world, NEVER)
        for name in ("child1", "child2"):
            await world.end(name, NORMAL)
            assert not world.shut_down
        await refused(world, temporary("child3"))
        await restart_child(world.supervisor, "child1")
        await world.end("child1", NORMAL)
        assert not world.shut_down


@pytest.mark.req("185")
async def test_significant_upgrade_never_all() -> None:
    """Refused under never; after the switch to all the second end stops the supervisor."""
    async with ActorSystem() as system:
        world = await World.start(system, NEVER)
        await refused(world, temporary("child1"))
        await upgrade(world, ALL)
        for name in ("child1", "child2"):
            await start_child(world.supervisor, temporary(name))
        await world.end("child1", NORMAL)
        assert not world.shut_down
        await world.end("child2", NORMAL)
        assert world.shut_down


@pytest.mark.req("185")
async def test_significant_upgrade_all_never() -> None:
    """As any to never."""
    async with ActorSystem() as system:
        world = await World.start(system, ALL, transient("child1"), temporary("child2"))
        await upgrade(world, NEVER)
        for name in ("child1", "child2"):
            await world.end(name, NORMAL)
        assert not world.shut_down
        await refused(world, temporary("child3"))


@pytest.mark.req("185")
async def test_significant_upgrade_any_all() -> None:
    """After the switch the first end stops nothing, the second does."""
    async with ActorSystem() as system:
        world = await World.start(system, ANY, temporary("child1"), temporary("child2"))
        await upgrade(world, ALL)
        await world.end("child1", NORMAL)
        assert not world.shut_down
        await world.end("child2", NORMAL)
        assert world.shut_down


@pytest.mark.req("185")
async def test_significant_upgrade_all_any() -> None:
    """After the switch the first end stops the supervisor."""
    async with ActorSystem() as system:
        world = await World.start(system, ALL, temporary("child1"), temporary("child2"))
        await upgrade(world, ANY)
        await world.end("child1", NORMAL)
        assert world.shut_down


@pytest.mark.req("180", "183")
async def test_significant_upgrade_child() -> None:
    """A child can be made significant, though not under never, where nothing changes then; and be made insignificant."""
    plain, significant = transient("child1", significant=False), transient("child1")
    async with ActorSystem() as system:
        world = await World.start(system, NEVER, plain)
        with pytest.raises(InvalidChildSpec, match="bad_combination"):
            await upgrade(world, NEVER, significant)
        assert (await get_childspec(world.supervisor, "child1")).significant is False
        await upgrade(world, ANY, significant)
        assert (await get_childspec(world.supervisor, "child1")).significant is True
        await upgrade(world, ANY, plain)
        await world.end("child1", NORMAL)
        assert not world.shut_down
        await restart_child(world.supervisor, "child1")
        await upgrade(world, ANY, significant)
        await world.end("child1", NORMAL)
        assert world.shut_down
