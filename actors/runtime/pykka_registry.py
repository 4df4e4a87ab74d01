"""Which actors run, in pykka's terms.

Each system has a registry of its own, a subclass of pykka's. pykka's global registry is a weak mirror: lookups by
URN or class find our actors, and it owns none of them. `get_all`, and with it `broadcast` and `stop_all`, does not
see ours: pykka stops everything it knows when any actor raises a BaseException, and one actor's SystemExit must
never end an unrelated one (statement 252).
"""

import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pykka

if TYPE_CHECKING:
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.system import ActorSystem

_systems: "weakref.WeakSet[ActorSystem]" = weakref.WeakSet()


class _MirroredRefs(list[Any]):
    """pykka's list of refs. Looking something up also sees the running systems; copying it all does not."""

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        for system in tuple(_systems):
            yield from system.live_refs()


class _LiveRefs:
    """A system's refs, shaped as the list that pykka's class methods use."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = weakref.ref(system)

    def _refs(self) -> "list[Ref]":
        system = self._system()
        return [] if system is None else system.live_refs()

    def __iter__(self) -> "Iterator[Ref]":
        return iter(self._refs())

    def __getitem__(self, which: Any) -> Any:
        return self._refs()[which]

    def __contains__(self, ref: object) -> bool:
        return ref in self._refs()


def registry_of(system: "ActorSystem") -> type[pykka.ActorRegistry]:
    """pykka's registry, for this system's actors alone."""
    return type(
        "Registry",
        (pykka.ActorRegistry,),
        {"_actor_refs": _LiveRefs(system), "_actor_refs_lock": threading.RLock()},
    )


def mirror(system: "ActorSystem") -> None:
    """Lets pykka's global registry find this system's actors, as long as the system lives."""
    if not isinstance(pykka.ActorRegistry._actor_refs, _MirroredRefs):
        pykka.ActorRegistry._actor_refs = _MirroredRefs(pykka.ActorRegistry._actor_refs)
    _systems.add(system)


def unmirror(system: "ActorSystem") -> None:
    _systems.discard(system)


def running_systems() -> "tuple[ActorSystem, ...]":
    """The systems that pykka's global registry finds actors of, in no order."""
    return tuple(_systems)
