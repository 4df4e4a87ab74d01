"""Elixir's registry tests, by the names of their cases: those that tests/runtime/test_registry.py has not."""

from typing import Any

import pytest
from tests.runtime.puppet import Puppet, Witness

from allstop.actors.runtime import ActorSystem, Keys, NameTaken, Registry

pytestmark = [pytest.mark.virtual, pytest.mark.req("163")]
BOTH = pytest.mark.parametrize("keys", Keys)


@BOTH
async def test_counts_keys(keys: Keys) -> None:
    """An empty registry has no keys; one with two has two, and one less when an owner has gone."""
    names = Registry(keys)
    assert len(names) == 0
    async with ActorSystem() as system:
        one, two = await system.spawn(Puppet), await system.spawn(Puppet)
        names.register("hello", one)
        names.register("world", two)
        assert len(names) == 2
        await system.stop(one)
        assert len(names) == 1
    assert len(names) == 0


async def test_dispatches_to_a_single_key() -> None:
    """Whoever has the key is told, and of nobody it is said that nobody was."""
    names, witness = Registry(), Witness()
    async with ActorSystem() as system:
        assert names.dispatch("hello", "lost") == 0
        ref = await system.spawn(Puppet, witness)
        names.register("hello", ref)
        names.register("world", await system.spawn(Puppet))
        assert names.dispatch("hello", "dispatched") == 1
        await ref.call("done")
    assert witness.handled == ["dispatched", "done"]


@BOTH
async def test_unregisters_process_by_key(keys: Keys) -> None:
    """One key of an address goes, and its others stay."""
    names = Registry(keys)
    async with ActorSystem() as system:
        ref = await system.spawn(Puppet)
        for key in ("hello", "world"):
            names.register(key, ref)
        assert names.keys(ref) == {"hello", "world"}
        names.unregister("hello")
        assert (names.keys(ref), names.lookup("hello")) == ({"world"}, ())
        names.unregister("world")
        assert (names.keys(ref), len(names)) == (frozenset(), 0)


@BOTH
def test_unregisters_with_no_entries(keys: Keys) -> None:
    """Taking back what nobody has changes nothing."""
    names = Registry(keys)
    names.unregister("hello")
    assert len(names) == 0


async def test_does_not_grow_on_already_registered() -> None:
    """A registration that is refused leaves nothing behind, neither at the key nor at the address."""
    names = Registry()
    async with ActorSystem() as system:
        one, two = await system.spawn(Puppet), await system.spawn(Puppet)
        names.register("hello", one)
        for _ in range(3):
            with pytest.raises(NameTaken):
                names.register("hello", two)
        assert (len(names), names.lookup("hello"), names.keys(two)) == (1, ((one, None),), frozenset())
        await system.stop(two)
        assert names.whereis("hello") is one


@BOTH
@pytest.mark.parametrize("key", ["_", "$1", None, ("$1", "_"), frozenset("ab"), 1.5, Puppet])
async def test_any_hashable_value_is_a_key(keys: Keys, key: Any) -> None:
    """No key means anything but itself."""
    names = Registry(keys)
    async with ActorSystem() as system:
        ref = await system.spawn(Puppet)
        names.register("good", ref, "good")
        names.register(key, ref, "value")
        assert names.lookup(key) == ((ref, "value"),)
        names.unregister(key)
        assert names.lookup(key) == ()
        assert names.lookup("good") == ((ref, "good"),)


def test_raises_if_a_duplicate_registry_is_used_for_via() -> None:
    """Where a key may name many, nothing can be sent to the one that it names."""
    with pytest.raises(ValueError, match="a duplicate key may name many: use dispatch"):
        Registry(Keys.DUPLICATE).via("hello")


def test_rejects_invalid_kinds_of_keys() -> None:
    """Keys are unique or duplicate."""
    with pytest.raises(ValueError, match="invalid"):
        Registry("invalid")  # type: ignore[arg-type]
