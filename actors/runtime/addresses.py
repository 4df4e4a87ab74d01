"""Where actors are found: the address at each path, and who answers for an address that is vacant."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.incarnations import Incarnations
from allstop.actors.runtime.ref import Ref

if TYPE_CHECKING:
    from allstop.actors.runtime.system import ActorSystem


class Addresses:
    """The addresses of one system. A Ref lives as long as somebody holds it; the numbers at its path live longer."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self._refs: weakref.WeakValueDictionary[str, Ref] = weakref.WeakValueDictionary()
        self._incarnations = Incarnations()
        self.home = ""  # a process that hosts one actor has all of its own below that one's path
        self._refusals: dict[str, Callable[[], Exception | None]] = {}
        self.note = self._incarnations.note  # this number is taken at this path, for ever

    def at(self, path: str) -> Ref:
        """The address at this path, whether or not an actor runs there."""
        ref = self._refs.get(path)
        if ref is None:
            if not path.startswith("/"):
                raise ValueError(f"a path starts with a slash: {path!r}")
            ref = Ref(self._system, path)
            ref.actor_class = Actor
            ref._incarnation = self._incarnations.latest(path)
            self._refs[path] = ref
        return ref

    def found_by_number(self, ref: Ref, number: int) -> str:
        """The path of an anonymous actor. From the first time that somebody asks for it, it is found there."""
        path = f"{self.home}/anonymous/{number}"
        self._refs[path] = ref
        return path

    # -- refusals --------------------------------------------------------------------------------------------------
    def refuse_below(self, path: str, refusal: Callable[[], Exception | None] | None) -> None:
        prefix = path.rstrip("/") + "/"
        if refusal is None:
            self._refusals.pop(prefix, None)
        else:
            self._refusals[prefix] = refusal

    def refusal(self, path: str) -> Exception | None:
        """What a call to a vacant address is answered with, if someone above it has something to say."""
        for prefix, refusal in self._refusals.items():
            if path.startswith(prefix) and (error := refusal()) is not None:
                return error
        return None
