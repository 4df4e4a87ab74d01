"""Links and trapped exits, as Erlang has them; and what of monitors is easily got wrong."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness, fails, sleeps

from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, Exit, ExitKind, shutdown
from allstop.actors.runtime import Actor, ActorSystem, Down, ExitSignal, Fenced, Ref
from allstop.actors.runtime.cell import Cell

pytestmark = pytest.mark.virtual


class Trapper(Puppet):
    trap_exits = True


class AsyncTrapper(AsyncPuppet):
    trap_exits = True


class ThreadTrapper(ThreadPuppet):
    trap_exits = True


KINDS = (Puppet, AsyncPuppet, ThreadPuppet)
TRAPPERS = (Trapper, AsyncTrapper, ThreadTrapper)


def links(ref: Ref) -> Callable[[Any], None]:
    return lambda puppet: puppet.link(ref)


def unlinks(ref: Ref) -> Callable[[Any], None]:
    return lambda puppet: puppet.unlink(ref)


def exits(exit_: Exit) -> Callable[[Any], None]:
    return lambda puppet: puppet.exit(exit_)


async def settled() -> None:
    """Time passes only when nobody has anything to do any more."""
    await asyncio.sleep(0.01)


def signals(witness: Witness) -> list[ExitSignal]:
    return [message for message in witness.handled if isinstance(message, ExitSignal)]


@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("right", KINDS)
@pytest.mark.parametrize("dies", ["left", "right"])
async def test_a_crash_ends_the_linked_actor_with_the_same_exit_whoever_made_the_link(
    system: ActorSystem, left: type[Actor], right: type[Actor], dies: str
) -> None:
    a, b = await system.spawn(left), await system.spawn(right)
    await a.call(links(b))
    await settled()
    error = ValueError("broken")
    (a if dies == "left" else b).tell(fails(error))
    await settled()
    assert not a.is_alive()
    assert not b.is_alive()
    assert a.last_exit is not None
    assert a.last_exit.error is error
    assert b.last_exit == a.last_exit


async def test_no_hook_of_the_actor_that_a_link_ends_runs(system: ActorSystem) -> None:
    witness = Witness()
    a, b = await system.spawn(Puppet), await system.spawn(Puppet, witness)
    await a.call(links(b))
    system.kill(a)
    assert witness.hooks == ["on_start"]
    assert b.last_exit == KILLED


@pytest.mark.parametrize(
    ("exit_", "lives"), [(NORMAL, True), (SHUTDOWN, False), (shutdown("moved"), False), (KILLED, False)]
)
async def test_a_normal_end_ends_nobody_and_every_other_does(
    system: ActorSystem, exit_: Exit, lives: bool
) -> None:
    a, b = await system.spawn(Puppet), await system.spawn(Puppet)
    await a.call(links(b))
    if exit_ is KILLED:
        system.kill(a)
    else:
        a.tell(exits(exit_))
    await settled()
    assert a.last_exit == exit_
    assert b.is_alive() is lives
    if not lives:
        assert b.last_exit == exit_


@pytest.mark.parametrize("kind", TRAPPERS)
@pytest.mark.parametrize("exit_", [NORMAL, SHUTDOWN, KILLED])
async def test_who_traps_exits_gets_a_message_for_every_kind_of_end(
    system: ActorSystem, witness: Witness, kind: type[Actor], exit_: Exit
) -> None:
    a, trapper = await system.spawn(Puppet, path="/a"), await system.spawn(kind, witness)
    await trapper.call(links(a))
    await settled()
    if exit_ is KILLED:
        system.kill(a)
    else:
        a.tell(exits(exit_))
    await settled()
    assert signals(witness) == [ExitSignal(a, 1, exit_)]
    assert trapper.is_alive()


async def test_an_exit_signal_overtakes_the_backlog_and_interrupts_no_handler(
    system: ActorSystem, witness: Witness
) -> None:
    a, trapper = await system.spawn(Puppet), await system.spawn(AsyncTrapper, witness)
    await trapper.call(links(a))
    slow = asyncio.create_task(trapper.call(sleeps(1.0, "slept"), timeout_s=5))
    await asyncio.sleep(0.1)
    trapper.tell("backlog")
    system.kill(a)
    assert await slow == "slept"
    await settled()
    assert [type(message).__name__ for message in witness.handled[2:]] == ["ExitSignal", "str"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_link_to_nobody_ends_at_once_with_noproc(system: ActorSystem, kind: type[Actor]) -> None:
    gone = await system.spawn(Puppet, path="/gone")
    await system.stop(gone)
    for ref in (gone, system.address("/never")):
        actor = await system.spawn(kind)
        actor.tell(links(ref))
        await settled()
        assert actor.last_exit == Exit(ExitKind.NOPROC, detail=ref.path)


@pytest.mark.parametrize("kind", TRAPPERS)
async def test_who_traps_exits_is_told_of_a_link_to_nobody(
    system: ActorSystem, witness: Witness, kind: type[Actor]
) -> None:
    trapper = await system.spawn(kind, witness)
    never = system.address("/never")
    await trapper.call(links(never))
    await settled()
    assert signals(witness) == [ExitSignal(never, 0, Exit(ExitKind.NOPROC, detail="/never"))]


@pytest.mark.parametrize("kind", [*KINDS, *TRAPPERS])
async def test_after_unlink_the_ends_of_the_two_are_their_own(
    system: ActorSystem, witness: Witness, kind: type[Actor]
) -> None:
    for ender in ("a", "b"):
        a, b = await system.spawn(Puppet, path=f"/{ender}"), await system.spawn(kind, witness)
        await a.call(links(b))
        await settled()
        await b.call(unlinks(a))
        await settled()
        system.kill(a if ender == "a" else b)
        await settled()
        assert (b if ender == "a" else a).is_alive()
    assert signals(witness) == []


async def test_unlink_drops_a_signal_that_waits_already(system: ActorSystem, witness: Witness) -> None:
    a, trapper = await system.spawn(Puppet), await system.spawn(Trapper, witness)
    await trapper.call(links(a))

    def kills_and_unlinks(puppet: Any) -> None:
        system.kill(a)
        puppet.unlink(a)

    await trapper.call(kills_and_unlinks)
    await settled()
    assert signals(witness) == []
    assert trapper.is_alive()


async def test_linking_twice_is_one_link_and_to_oneself_none(system: ActorSystem, witness: Witness) -> None:
    a, trapper = await system.spawn(Puppet), await system.spawn(Trapper, witness)
    await trapper.call(links(a))
    await a.call(links(trapper))
    await trapper.call(links(trapper))
    system.kill(a)
    await settled()
    assert len(signals(witness)) == 1
    await system.stop(trapper)
    assert len(signals(witness)) == 1


async def test_a_link_does_not_outlive_a_restart(system: ActorSystem, witness: Witness) -> None:
    a, trapper = await system.spawn(Puppet, path="/a"), await system.spawn(Trapper, witness)
    await trapper.call(links(a))
    system.kill(a)
    await system.spawn(Puppet, path="/a")
    await settled()
    system.kill(a)
    await settled()
    assert [signal.incarnation for signal in signals(witness)] == [1]


async def test_a_chain_of_thousands_of_links_falls_without_deep_recursion(system: ActorSystem) -> None:
    chain = [await system.spawn(Puppet) for _ in range(3000)]
    for left, right in itertools.pairwise(chain):
        await left.call(links(right))
    chain[1500].tell(fails(ValueError("broken")))
    await settled()
    assert [ref for ref in chain if ref.is_alive()] == []
    assert len({id(ref.last_exit) for ref in chain}) == 1


async def test_a_ring_of_links_falls_once(system: ActorSystem) -> None:
    ring = [await system.spawn(Puppet) for _ in range(3)]
    for place, ref in enumerate(ring):
        await ref.call(links(ring[place - 1]))
    system.kill(ring[0])
    assert [ref.last_exit for ref in ring] == [KILLED] * 3


async def test_a_trapper_in_the_middle_stops_the_fall(system: ActorSystem) -> None:
    a, trapper, c = await system.spawn(Puppet), await system.spawn(Trapper), await system.spawn(Puppet)
    await a.call(links(trapper))
    await c.call(links(trapper))
    system.kill(a)
    await settled()
    assert trapper.is_alive()
    assert c.is_alive()


async def test_what_fails_while_a_link_ends_it_keeps_its_own_exit(system: ActorSystem) -> None:
    a, b = await system.spawn(Puppet), await system.spawn(Puppet)
    await a.call(links(b))

    async def holds_on() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(1.0)

    await b.call(lambda puppet: puppet.start_task(holds_on(), "holds on"))  # pyright: ignore[reportUnknownLambdaType]
    await settled()
    error = ValueError("its own")
    b.tell(fails(error))
    await settled()
    assert b.is_alive()  # its task ends first
    system.kill(a)
    assert b.last_exit is not None
    assert b.last_exit.error is error


async def test_who_is_linked_to_an_actor_that_fails_to_start_ends_with_it(system: ActorSystem) -> None:
    b = await system.spawn(Puppet)

    def links_and_fails(puppet: Any) -> None:
        puppet.link(b)
        raise ValueError("no start")

    with pytest.raises(Exception, match="no start"):
        await system.spawn(Puppet, on_start=links_and_fails)
    assert b.last_exit is not None
    assert str(b.last_exit.error) == "no start"


async def test_a_killed_actor_can_link_nobody(system: ActorSystem) -> None:
    b = await system.spawn(Puppet)
    refused: list[Fenced] = []

    def kills_itself(puppet: Any) -> None:
        system.kill(puppet.ref)
        try:
            puppet.link(b)
        except Fenced as error:
            refused.append(error)

    (await system.spawn(Puppet)).tell(kills_itself)
    await settled()
    assert len(refused) == 1
    assert b.is_alive()


async def test_who_does_not_link_has_no_entry_for_it(system: ActorSystem) -> None:
    a, b = await system.spawn(Puppet), await system.spawn(Puppet)
    cells: tuple[Cell, Cell] = (a.cell, b.cell)
    assert [cell.belongings for cell in cells] == [None, None]
    await a.call(links(b))
    await a.call(unlinks(b))
    assert [cell.own().links for cell in cells] == [{}, {}]
    await a.call(links(b))
    system.kill(b)
    assert [cell.own().links for cell in cells] == [{}, {}]


# -- monitors ---------------------------------------------------------------------------------------------------------
def watches(ref: Ref, *, final: bool, kept: list[Any]) -> Callable[[Any], None]:
    return lambda puppet: kept.append(puppet.watch(ref) if final else puppet.monitor(ref))


def downs(witness: Witness) -> list[Down]:
    return [message for message in witness.handled if isinstance(message, Down)]


@pytest.mark.req("238")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("final", [True, False])
async def test_two_observers_each_get_one_down(system: ActorSystem, kind: type[Actor], final: bool) -> None:
    kept: list[Any] = []
    target = await system.spawn(Puppet, path="/target")
    witnesses = [Witness(), Witness()]
    for witness in witnesses:
        observer = await system.spawn(kind, witness)
        await observer.call(watches(target, final=final, kept=kept))
    await settled()
    await system.stop(target)
    system.retire(target)
    await settled()
    for witness, monitor in zip(witnesses, kept, strict=True):
        assert downs(witness) == [Down(monitor, target, 1, SHUTDOWN)]


@pytest.mark.req("238")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("final", [True, False])
async def test_observing_what_never_ran_tells_noproc_at_once(
    system: ActorSystem, witness: Witness, kind: type[Actor], final: bool
) -> None:
    kept: list[Any] = []
    never = system.address("/never")
    system.retire(never)
    observer = await system.spawn(kind, witness)
    await observer.call(watches(never, final=final, kept=kept))
    await settled()
    assert downs(witness) == [Down(kept[0], never, 0, Exit(ExitKind.NOPROC))]


@pytest.mark.req("238")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("final", [True, False])
async def test_after_demonitor_no_down_comes(
    system: ActorSystem, witness: Witness, kind: type[Actor], final: bool
) -> None:
    kept: list[Any] = []
    target, observer = await system.spawn(Puppet), await system.spawn(kind, witness)
    await observer.call(watches(target, final=final, kept=kept))
    await settled()

    def lets_go(puppet: Any) -> None:
        puppet.demonitor(kept[0])

    await observer.call(lets_go)
    await settled()
    system.kill(target)
    await settled()
    assert downs(witness) == []


@pytest.mark.req("238")
async def test_a_down_that_waits_when_its_handler_demonitors_is_dropped(
    system: ActorSystem, witness: Witness
) -> None:
    target, observer = await system.spawn(Puppet), await system.spawn(Puppet, witness)

    def kills_and_lets_go(puppet: Any) -> None:
        monitor = puppet.monitor(target)
        system.kill(target)
        puppet.demonitor(monitor)

    await observer.call(kills_and_lets_go)
    await settled()
    assert downs(witness) == []


@pytest.mark.req("238")
async def test_watch_is_silent_through_restarts_and_monitor_speaks_at_each(
    system: ActorSystem, witness: Witness
) -> None:
    class Again(Puppet):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, Down) and not message.monitor.final:
                self.monitor(message.ref)
            return super().on_receive(message)

    class Keeper(Actor):
        async def on_start(self) -> None:
            for _ in range(3):
                system.kill(await system.spawn(Puppet, path="/target", parent=self.ref))

        def on_receive(self, message: Any) -> Any:
            return message

    kept: list[Any] = []
    target = system.address("/target")
    observer = await system.spawn(Again, witness)

    def observes(puppet: Any) -> None:
        watches(target, final=True, kept=kept)(puppet)

    await observer.call(observes)
    first = await system.spawn(Puppet, path="/target", parent=observer)
    await observer.call(watches(first, final=False, kept=kept))
    system.kill(target)
    await settled()
    await system.spawn(Keeper)
    await settled()
    told = [(down.incarnation, down.monitor.final) for down in downs(witness)]
    assert told[0] == (1, False)
    assert all(not final for _number, final in told)
    assert len({number for number, _final in told}) == len(told)  # one per incarnation
    system.retire(target)
    await settled()
    assert [down.monitor for down in downs(witness) if down.monitor.final] == [kept[0]]
