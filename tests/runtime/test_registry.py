"""Names: a key belongs to an address, for as long as something may run there."""

from typing import Any

import pytest
from tests.runtime.puppet import Puppet

from allstop.actors.exits import ExitKind
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    Fenced,
    Keys,
    Mailbox,
    MailboxFull,
    NameTaken,
    Registry,
)

pytestmark = [pytest.mark.virtual, pytest.mark.req("163")]


class Collector(Actor):
    mailbox = Mailbox(capacity=1)

    def __init__(self) -> None:
        self.got: list[Any] = []

    def on_receive(self, message: Any) -> list[Any]:
        if message != "got":
            self.got.append(message)
        return self.got


@pytest.fixture
def registry() -> Registry:
    return Registry()


async def test_a_second_registration_of_a_unique_key_is_told_who_has_it(
    system: ActorSystem, registry: Registry
) -> None:
    first, second = await system.spawn(Puppet, path="/first"), await system.spawn(Puppet)
    registry.register(("book", "BTC/USD"), first)
    with pytest.raises(NameTaken, match=r"\('book', 'BTC/USD'\) is /first") as taken:
        registry.register(("book", "BTC/USD"), second)
    assert taken.value.ref is first
    assert registry.whereis(("book", "BTC/USD")) is first
    assert registry.keys(second) == frozenset()


async def test_who_has_a_key_may_register_it_again_with_another_value(
    system: ActorSystem, registry: Registry
) -> None:
    ref = await system.spawn(Puppet)
    registry.register("key", ref, 1)
    registry.register("key", ref, 2)
    assert registry.lookup("key") == ((ref, 2),)


async def test_a_key_stays_through_a_restart_and_goes_with_the_address(
    system: ActorSystem, registry: Registry
) -> None:
    parent = await system.spawn(Puppet, path="/parent")
    child = await system.spawn(Puppet, path="/parent/child", parent=parent)
    registry.register("key", child)
    registry.register("other key", child)
    system.kill(child)
    assert registry.whereis("key") is child
    assert not child.is_alive()
    await system.spawn(Puppet, path="/parent/child", parent=parent)
    assert registry.whereis("key") is child
    system.kill(child)
    system.retire(child)
    assert registry.whereis("key") is None
    assert len(registry) == 0


async def test_an_actor_without_a_parent_frees_its_keys_when_it_ends(
    system: ActorSystem, registry: Registry
) -> None:
    first, second = await system.spawn(Puppet), await system.spawn(Puppet)
    registry.register("key", first)
    await system.stop(first)
    registry.register("key", second)
    assert registry.whereis("key") is second


async def test_nothing_is_registered_where_nothing_will_run_any_more(
    system: ActorSystem, registry: Registry
) -> None:
    ref = await system.spawn(Puppet)
    await system.stop(ref)
    with pytest.raises(ActorDead):
        registry.register("key", ref)
    assert len(registry) == 0


async def test_an_address_can_have_keys_in_several_registries(system: ActorSystem) -> None:
    one, two = Registry(), Registry(Keys.DUPLICATE)
    ref = await system.spawn(Puppet)
    one.register("key", ref)
    two.register("key", ref)
    one.unregister("key")
    assert (one.whereis("key"), two.lookup("key")) == (None, ((ref, None),))
    await system.stop(ref)
    assert two.lookup("key") == ()


async def test_a_duplicate_key_names_many_and_all_of_them_are_told(system: ActorSystem) -> None:
    topics = Registry(Keys.DUPLICATE)
    refs = [await system.spawn(Collector) for _ in range(3)]
    for number, ref in enumerate(refs):
        topics.register("quotes", ref, number)
    assert topics.lookup("quotes") == tuple(zip(refs, range(3), strict=True))
    topics.unregister("quotes", refs[1])
    topics.unregister("quotes", refs[1])
    assert topics.dispatch("quotes", "tick") == 2
    assert topics.dispatch("nobody", "tick") == 0
    assert [await ref.call("got") for ref in refs] == [["tick"], [], ["tick"]]


async def test_a_full_mailbox_keeps_a_dispatch_from_nobody_else(system: ActorSystem) -> None:
    topics = Registry(Keys.DUPLICATE)
    full, other = await system.spawn(Collector), await system.spawn(Collector)
    topics.register("quotes", full)
    topics.register("quotes", other)
    full.tell(1)  # rides in the run queue
    full.tell(2)  # and this one fills the mailbox
    with pytest.raises(MailboxFull):
        topics.dispatch("quotes", 3)
    assert await other.call("got") == [3]


async def test_a_dispatch_names_everyone_who_refused(system: ActorSystem) -> None:
    topics = Registry(Keys.DUPLICATE)
    full = [await system.spawn(Collector, path=f"/full/{number}") for number in range(2)]
    for ref in full:
        topics.register("quotes", ref)
        ref.tell(1)
        ref.tell(2)
    with pytest.raises(MailboxFull, match="/full/0") as refused:
        topics.dispatch("quotes", 3)
    (note,) = refused.value.__notes__
    assert note.startswith("and /full/1: MailboxFull:")


async def test_via_finds_whoever_has_the_key_at_each_message(system: ActorSystem, registry: Registry) -> None:
    first, second = await system.spawn(Collector), await system.spawn(Collector)
    quotes = registry.via("quotes")
    registry.register("quotes", first)
    quotes.tell("one")
    registry.unregister("quotes")
    registry.register("quotes", second)
    await quotes.put("two")
    assert await quotes.call("got") == ["two"]
    assert await quotes.ask("got", block=False) == ["two"]
    assert await first.call("got") == ["one"]
    assert repr(quotes) == "<Via 'quotes'>"


async def test_via_a_key_that_names_nobody_fails_loudly(registry: Registry) -> None:
    with pytest.raises(ActorDead, match="whoever is named 'quotes' is not running") as dead:
        registry.via("quotes").tell("lost?")
    assert dead.value.exit is not None
    assert dead.value.exit.kind is ExitKind.NOPROC
    with pytest.raises(ActorDead):
        await registry.via("quotes").call("lost?")


async def test_a_ref_to_one_incarnation_names_its_address_while_that_one_runs(system: ActorSystem) -> None:
    registry = Registry()
    ref = await system.spawn(Puppet)
    pinned = ref.pinned()
    registry.register("name", pinned)
    assert registry.whereis("name") is ref
    actor = ref.cell.actor
    await system.stop(ref)
    assert registry.whereis("name") is None
    with pytest.raises(ActorDead):
        registry.register("name", pinned)
    with pytest.raises(Fenced):
        registry.register("name", actor.ref)
    assert len(registry) == 0
