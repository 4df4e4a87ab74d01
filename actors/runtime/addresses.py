"""Where actors are found: the address at each path, and who answers for an address that is vacant."""

import weakref
from _weakref import _remove_dead_weakref  # pyright: ignore  # as weakref's own dictionaries do
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.arguments import want_path
from allstop.actors.runtime.incarnations import Incarnations
from allstop.actors.runtime.ref import Ref

if TYPE_CHECKING:
    from allstop.actors.runtime.system import ActorSystem


class Place(weakref.ref[Ref]):
    """What the system holds of an address that others hold: enough to remember what must outlive it."""

    __slots__ = ("number", "parent", "path")

    path: str
    number: int  # the latest incarnation that was started here; 0: none, or what is remembered is right
    parent: Ref | None  # among whose children it is


class Addresses:
    """The addresses of one system. A Ref lives as long as somebody holds it; the numbers at its path live longer."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self._places: dict[str, Place] = {}
        self._incarnations = Incarnations()
        self._dropped: deque[tuple[str, int]] = deque()  # the numbers of addresses that nobody holds any more
        self._forget = self._gone
        self.home = ""  # a process that hosts one actor has all of its own below that one's path
        self._refusals: dict[str, Callable[[], Exception | None]] = {}
        self.note = self._incarnations.note  # this number is taken at this path, for ever

    def at(self, path: str) -> Ref:
        """The address at this path, whether or not an actor runs there."""
        try:
            place = self._places.get(path)
        except TypeError:  # it cannot even be looked for
            want_path(path)
            raise
        if place is not None and (held := place()) is not None:
            return held
        if path.__class__ is not str or path[:1] != "/" or path[-1:] == "/" or "//" in path:
            want_path(path)
        while self._dropped:
            self._incarnations.note(*self._dropped.popleft())
        number = self._incarnations.latest(path)
        ref: Ref = object.__new__(Ref)
        ref.__init__(self._system, path)
        ref.actor_class = Actor
        after = 0
        if place is not None and place.number > number:  # a thread dropped it at this moment
            after = number = place.number
        ref._incarnation = number
        self._put(ref, path, after)
        return ref

    def _put(self, ref: Ref, path: str, number: int) -> None:
        place = Place(ref, self._forget)
        place.path = path
        place.number = number
        place.parent = None
        ref._place = self._places[path] = place

    def _gone(self, place: Any) -> None:
        """Nobody holds the address any more. On the thread that dropped it: every step is one atomic operation, and
        another may stand at this path already."""
        if place.number:
            self._dropped.append((place.path, place.number))
        _remove_dead_weakref(self._places, place.path)
        if place.parent is not None and place.parent._children is not None:
            _remove_dead_weakref(place.parent._children, place.path)

    def found_by_number(self, ref: Ref, number: int) -> str:
        """The path of an anonymous actor. From the first time that somebody asks for it, it is found there."""
        path = f"{self.home}/anonymous/{number}"
        self._put(ref, path, 0)
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
