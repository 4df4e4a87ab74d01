"""Names for addresses: Elixir's Registry. A key belongs to an address, not to an incarnation, so it stays through
restarts and goes when nothing will run at the address any more; there is no moment at which it names the wrong one.
"""

from collections.abc import Hashable
from enum import StrEnum
from typing import Any

from allstop.actors.exits import Exit, ExitKind
from allstop.actors.runtime.arguments import want_ref
from allstop.actors.runtime.errors import ActorDead, NameTaken
from allstop.actors.runtime.ref import PinnedRef, Ref


class Keys(StrEnum):
    UNIQUE = "unique"  # a key names one address: whereis, via
    DUPLICATE = "duplicate"  # a key names any number: lookup, dispatch


class Registry:
    """Keys and the addresses they name, each with a value. Change it on the loop; look things up from any thread."""

    def __init__(self, keys: Keys = Keys.UNIQUE) -> None:
        self._kind = Keys(keys)
        self._entries: dict[Hashable, dict[Ref, Any]] = {}

    def register(self, key: Hashable, ref: "Ref", value: Any = None) -> None:
        """Names an address, or gives its key a new value. Raises NameTaken, with the owner, if a unique key is
        another's, and ActorDead for an address at which nothing will run any more. A ref to one incarnation names
        its address, while that one runs."""
        want_ref("ref", ref)
        if isinstance(ref, PinnedRef):
            ref = ref.as_parent()
        if ref.retired:
            raise ActorDead(ref.path, ref.incarnation, ref.last_exit or Exit(ExitKind.NOPROC))
        owners = self._entries.get(key)
        if self._kind is Keys.UNIQUE and owners and ref not in owners:
            raise NameTaken(key, next(iter(owners)))
        if owners is None:
            owners = self._entries[key] = {}
        owners[ref] = value
        ref.keys_in(self).add(key)

    def unregister(self, key: Hashable, ref: "Ref | None" = None) -> None:
        """Takes a key back from one address, or from all that have it. Nothing happens if none does."""
        if ref is not None:
            want_ref("ref", ref)
        for owner in tuple(self._entries.get(key, ())):
            if ref is None or owner is ref:
                self._drop(key, owner)
                owner.keys_in(self).discard(key)

    def forget(self, ref: "Ref") -> None:
        """Takes back all keys of an address: the system does so when it is retired."""
        want_ref("ref", ref)
        for key in tuple(ref.keys_in(self)):
            self._drop(key, ref)
        ref.keys_in(self).clear()

    def _drop(self, key: Hashable, ref: "Ref") -> None:
        owners = self._entries.get(key, {})
        owners.pop(ref, None)
        if not owners:
            self._entries.pop(key, None)

    def whereis(self, key: Hashable) -> "Ref | None":
        """The address that a unique key names. Whether an actor runs there at this moment, `ref.is_alive()` says."""
        return next(iter(tuple(self._entries.get(key, ()))), None)

    def lookup(self, key: Hashable) -> "tuple[tuple[Ref, Any], ...]":
        """All addresses that a key names, with their values, in the order in which they registered."""
        return tuple(self._entries.get(key, {}).items())

    def keys(self, ref: "Ref") -> frozenset[Hashable]:
        """The keys of an address."""
        want_ref("ref", ref)
        return frozenset(ref.keys_in(self))

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._entries)

    def dispatch(self, key: Hashable, message: Any) -> int:
        """Tells everyone a key names, each by its own mailbox's rules. Gives how many there were.

        Raises MailboxFull after all have been told, if one of them refused: the first, with a note on each further one.
        """
        refusal: Exception | None = None
        told = self.lookup(key)
        for ref, _value in told:
            try:
                ref.tell(message)
            except Exception as error:  # noqa: BLE001 - the others are told first
                if refusal is None:
                    refusal = error
                else:
                    refusal.add_note(f"and {ref.path}: {type(error).__name__}: {error}")
        if refusal is not None:
            raise refusal
        return len(told)

    def via(self, key: Hashable) -> "Via":
        """Something to send to by key: it looks the address up at each message.

        Raises ValueError where keys are duplicate: which of those that a key names would get it?
        """
        if self._kind is Keys.DUPLICATE:
            raise ValueError(f"{key!r}: a duplicate key may name many: use dispatch")
        return Via(self, key)


class Via:
    """A key to send to. While it names nothing, every way to send raises ActorDead."""

    def __init__(self, registry: Registry, key: Hashable) -> None:
        self._registry = registry
        self._key = key

    @property
    def ref(self) -> "Ref":
        """The address that has the key now. Raises ActorDead."""
        ref = self._registry.whereis(self._key)
        if ref is None:
            raise ActorDead(f"whoever is named {self._key!r}", exit_=Exit(ExitKind.NOPROC))
        return ref

    def tell(self, message: Any) -> None:
        self.ref.tell(message)

    async def put(self, message: Any) -> None:
        await self.ref.put(message)

    async def call(self, message: Any, timeout_s: float = 5.0) -> Any:
        return await self.ref.call(message, timeout_s)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        return self.ref.ask(message, block=block, timeout=timeout)

    def __repr__(self) -> str:
        return f"<Via {self._key!r}>"
