"""Supervisors and links: a supervisor's children are monitored and owned, not linked."""

import asyncio
from typing import Any

import pytest
from tests.runtime.puppet import Puppet, Witness, fails

from allstop.actors.events import ChildTerminated
from allstop.actors.exits import KILLED
from allstop.actors.runtime import Actor, ActorSystem
from allstop.actors.spec import ChildSpec, Restart, Shutdown, Start, Strategy, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor, status, terminate_child, which_child, which_children

pytestmark = pytest.mark.virtual


class Unlinker(Puppet):
    """OTP's child_unlink: a child that undoes its link to its supervisor."""

    def on_start(self) -> Any:
        assert self.parent is not None
        self.unlink(self.parent)
        return super().on_start()


@pytest.mark.req("129")
@pytest.mark.parametrize("limit", [0.5, Shutdown.BRUTAL_KILL])
async def test_child_unlink(limit: Any) -> None:
    witness = Witness()
    async with ActorSystem() as system:
        spec = ChildSpec("child", Start(Unlinker, (witness,)), shutdown=limit)
        top = await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/top")
        async with asyncio.timeout(1.0):
            await terminate_child(top, "child")
        assert not system.address("/top/child").is_alive()
        assert ("on_stop" in witness.hooks) is (limit == 0.5)
        assert top.is_alive()


@pytest.mark.req("129")
async def test_a_child_that_unlinked_itself_ends_with_its_killed_supervisor() -> None:
    async with ActorSystem() as system:
        top = await system.spawn(
            Supervisor, SupervisorFlags(), (ChildSpec("child", Start(Unlinker)),), path="/top"
        )
        system.kill(top)
        assert system.address("/top/child").last_exit == KILLED


@pytest.mark.req("43")
async def test_a_child_that_links_itself_to_its_supervisor_cannot_end_it() -> None:
    class Linker(Puppet):
        def on_start(self) -> Any:
            assert self.parent is not None
            self.link(self.parent)

    async with ActorSystem(on_event=lambda _event: None) as system:
        spec = ChildSpec("child", Start(Linker), restart=Restart.PERMANENT)
        top = await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/top")
        child = system.address("/top/child")
        child.tell(fails(ValueError("broken")))
        await asyncio.sleep(0.1)
        assert (top.incarnation, top.is_alive()) == (1, True)
        assert (child.incarnation, child.is_alive()) == (2, True)
        assert (await which_child(top, "child")).state == "running"


@pytest.mark.req("43")
async def test_a_stranger_that_links_itself_to_a_supervisor_cannot_end_it() -> None:
    async with ActorSystem() as system:
        top = await system.spawn(Supervisor, SupervisorFlags(), (), path="/top")
        stranger = await system.spawn(Puppet)

        def links(puppet: Any) -> None:
            puppet.link(top)

        await stranger.call(links)
        system.kill(stranger)
        await asyncio.sleep(0.1)
        assert top.is_alive()


async def test_a_supervised_pair_of_linked_siblings_comes_back_as_two_and_both_ends_count() -> None:
    class Pair(Actor):
        def on_receive(self, message: Any) -> Any:
            return message(self)

    async with ActorSystem(on_event=lambda _event: None) as system:
        specs = tuple(ChildSpec(name, Start(Pair)) for name in ("left", "right"))
        await system.spawn(Supervisor, SupervisorFlags(max_restarts=5), specs, path="/top")
        left, right = system.address("/top/left"), system.address("/top/right")

        def links(actor: Any) -> None:
            actor.link(right)

        await left.call(links)
        left.tell(fails(ValueError("broken")))
        await asyncio.sleep(0.1)
        assert [(ref.incarnation, ref.is_alive()) for ref in (left, right)] == [(2, True)] * 2
        assert right.last_exit == left.last_exit


class Linked(Actor):
    """Links itself to the child before it, if there is one."""

    def __init__(self, before: str | None) -> None:
        self._before = before

    def on_start(self) -> None:
        if self._before is not None:
            self.link(self.system.address(self._before))

    def on_receive(self, message: Any) -> None:
        raise message


@pytest.mark.req("105", "93", "90")
@pytest.mark.parametrize(
    ("strategy", "restarts"),
    [(Strategy.ONE_FOR_ONE, 3), (Strategy.REST_FOR_ONE, 1), (Strategy.ONE_FOR_ALL, 1)],
)
async def test_a_supervisor_hears_of_the_cause_before_those_who_were_linked_to_it(
    strategy: Strategy, restarts: int
) -> None:
    """Else it restarts them first, links them to nobody, and spends its budget on one failure."""
    events: list[Any] = []
    async with ActorSystem(on_event=events.append) as system:
        top = await system.spawn(
            Supervisor,
            SupervisorFlags(strategy=strategy, max_restarts=3),
            [
                ChildSpec("a", Start(Linked, (None,))),
                ChildSpec("b", Start(Linked, ("/top/a",))),
                ChildSpec("c", Start(Linked, ("/top/b",))),
            ],
            path="/top",
        )
        system.address("/top/a").tell(ValueError("boom"))
        await asyncio.sleep(0.1)
        assert [child.incarnation for child in await which_children(top)] == [2, 2, 2]
        assert (await status(top)).restarts_in_window == restarts
        assert next(event.child for event in events if isinstance(event, ChildTerminated)) == "a"
