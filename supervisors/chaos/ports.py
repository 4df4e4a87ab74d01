"""What a chaos script acts on, as ports: an engine, the links between it and its venues, the venues themselves.

A running engine fills them with its actor system, TCP fault proxies and a venue's admin port; a simulated world with
twins that act in virtual time. A script cannot tell which.
"""

from collections.abc import Sequence
from typing import Protocol


class Engine(Protocol):
    """The running tree."""

    def paths(self) -> Sequence[str]:
        """The paths of all running actors, in the order they started."""
        ...

    def kill(self, path: str) -> bool:
        """Ends the actor at this path by force, as a fence does. False: none runs there."""
        ...

    def crash(self, path: str, error: Exception) -> bool:
        """Raises `error` inside the actor or supervisor at this path. False: none runs there."""
        ...

    def obstacles(self) -> Sequence[str]:
        """What keeps entries from passing now, in words. Empty: the engine trades."""
        ...


class Link(Protocol):
    """The wire between the engine and one face of a venue. All faults act at once and last until `heal`."""

    def cut(self) -> int:
        """Resets every open connection; new ones are let in. The number cut."""
        ...

    def half_open(self) -> None:
        """Nothing passes any more, and no one is told."""
        ...

    def delay(self, delay_s: float, jitter_s: float = 0.0) -> None: ...

    def heal(self) -> None: ...


class Venue(Protocol):
    """A simulated venue that does wrong on request; the kinds and their fields are its own."""

    async def fault(self, kind: str, **fields: object) -> None: ...
