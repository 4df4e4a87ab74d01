# pyright: reportUnknownLambdaType=false
"""Akka's DeathWatchSpec and Pekko's BackoffSupervisorSpec, by the names of their cases: those that are not elsewhere."""

import asyncio
from typing import Any

import pytest
from tests.runtime.puppet import Puppet, Witness
from tests.supervisors.puppets import End, Stage, crash, settle

from allstop.actors.exits import NORMAL, SHUTDOWN
from allstop.actors.runtime import ActorDead, ActorSystem, Down
from allstop.actors.spec import Backoff, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor, count_children, start_child

pytestmark = pytest.mark.virtual
FLAGS = SupervisorFlags(max_restarts=3, max_seconds=60.0)
SLOW = Backoff(2.0, 2.0, 0.0)


@pytest.mark.req("238")
async def test_notify_all_monitors_with_one_message_each() -> None:
    """All who watch at the end are told once; who took it back is not."""
    witnesses = [Witness() for _ in range(3)]
    async with ActorSystem() as system:
        terminal = await system.spawn(Puppet)
        watchers = [await system.spawn(Puppet, witness) for witness in witnesses]
        for watcher in watchers:
            await watcher.call(lambda puppet: setattr(puppet, "mark", puppet.watch(terminal)))
        await watchers[1].call(lambda puppet: puppet.demonitor(puppet.mark))
        await system.stop(terminal)
        await asyncio.sleep(1)
    told = [[m for m in witness.handled if isinstance(m, Down)] for witness in witnesses]
    assert [[(down.ref, down.exit) for down in downs] for downs in told] == [
        [(terminal, SHUTDOWN)], [], [(terminal, SHUTDOWN)],
    ]  # fmt: skip


@pytest.mark.req("238")
async def test_be_able_to_watch_a_child_with_the_same_name_after_the_old_died() -> None:
    """A parent that starts a child under a name again and again is told of the end of each."""
    greens: list[int] = []

    class Parent(Puppet):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, Down):
                greens.append(message.incarnation)
                return
            kid = await self.system.spawn(Puppet, path=f"{self.path}/kid", parent=self.ref)
            self.monitor(kid)
            kid.tell(lambda puppet: puppet.exit())

    async with ActorSystem() as system:
        parent = await system.spawn(Parent, path="/parent")
        for _ in range(3):
            parent.tell("new kid")
            await asyncio.sleep(1)
    assert greens == [1, 2, 3]


async def test_start_child_again_when_it_stops() -> None:
    """A permanent child that ends by itself, even normally, comes back after its delay."""
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, (stage.puppet("c1", backoff=SLOW),), path="/top")
        child = system.address("/top/c1")
        child.tell(End(NORMAL))
        await settle(1.9)
        assert (child.is_alive(), top.is_alive()) == (False, True)
        await settle(0.2)
        assert (child.is_alive(), child.incarnation) == (True, 2)


@pytest.mark.req("233")
async def test_messages_while_it_waits_are_dead_letters_and_calls_fail() -> None:
    """Without a stash, what is told to a child that waits is a dead letter, and a call fails at once."""
    stage = Stage()
    async with stage.system() as system:
        await system.spawn(Supervisor, FLAGS, (stage.puppet("c1", backoff=SLOW),), path="/top")
        child = system.address("/top/c1")
        await crash(system, "/top/c1")
        child.tell("boom")
        began_s = system.clock.now_s()
        with pytest.raises(ActorDead):
            await child.call("still there?")
        assert system.clock.now_s() == began_s
        assert [letter.message for letter in system.dead_letters.recent()] == ["boom"]
        await settle(3)
        assert await child.call("and now?") == 2


async def test_accept_commands_while_child_waits() -> None:
    """While one child waits for its restart its supervisor answers, and starts others."""
    stage = Stage()
    async with stage.system() as system:
        top = await system.spawn(Supervisor, FLAGS, (stage.puppet("c1", backoff=SLOW),), path="/top")
        await crash(system, "/top/c1")
        assert (await count_children(top)).active == 0
        assert await start_child(top, stage.puppet("c2")) is system.address("/top/c2")
        await settle(3)
        assert (await count_children(top)).active == 2
