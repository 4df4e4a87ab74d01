"""What chaos acts on, as ports: an engine, the links between it and its venues, the venues, the machine below it.

A running engine fills them with its actor system, TCP fault proxies and a venue's admin port; a simulated world with
twins that act in virtual time. A script cannot tell which, but by what there is: only a simulated machine can lose its
power.
"""

from collections.abc import Sequence
from typing import Protocol

from allstop.actors.links.condition import DiskCondition, LinkCondition, Way


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

    async def hold(self, path: str) -> bool:
        """The actor at this path handles no message, and lives. False: none runs there, or it cannot be held."""
        ...

    async def release(self, path: str) -> None:
        """Whoever runs at this path handles messages."""
        ...

    def stall(self, seconds: float) -> None:
        """Nothing runs for this long: the event loop stands still. Returns when that is over."""
        ...

    def obstacles(self) -> Sequence[str]:
        """What keeps entries from passing now, in words. Empty: the engine trades."""
        ...


class Link(Protocol):
    """The wire between the engine and one face of a venue."""

    async def become(self, condition: LinkCondition) -> None:
        """From now on the link is so. What was held back while it was silent passes when it is not any more."""
        ...

    def cut(self) -> int:
        """Resets every open connection; new ones are let in. The number cut."""
        ...

    def cut_after(self, count: int | None, way: Way) -> None:
        """The connection on which so many more bytes have passed in this direction is reset in the middle of whatever
        it carries. None takes that back."""
        ...


class Venue(Protocol):
    """A simulated venue that does wrong on request; the kinds and their fields are its own."""

    async def fault(self, kind: str, **fields: object) -> None: ...

    async def clear(self) -> None:
        """Takes back every fault that is set and has not come yet."""
        ...


class Host(Protocol):
    """The machine that the engine runs on: its disk, its wall clock, and the process itself."""

    async def moment(self, point: str) -> None:
        """Waits until the engine is at this point of its work: "commit" (about to), "committed", "intended" (an intent was), "send" (a frame or a
        request, about to), "sent", "ordered" (a new order was), "receive"."""
        ...

    async def die(self, *, power: bool, down_s: float) -> None:
        """The process ends at whatever it waits for, and starts again on the same disk after `down_s`. `power`: the
        machine loses its power too, and what was not flushed is lost. Returns once it is started."""
        ...

    def set_disk(self, chain: str, condition: DiskCondition) -> None:
        """From now on the disk under this chain is so."""
        ...

    def fail_fsync(self, chain: str) -> None:
        """The next commit of this chain fails."""
        ...

    def tear(self, chain: str, keep: float) -> None:
        """When the power goes, this part (0 to 1) of what was not flushed is on the disk, and what follows is not."""
        ...

    def flip(self, chain: str, where: float) -> bool:
        """One bit of a row that was written is another: `where` of all rows, 0 to 1. False: there is no row."""
        ...

    def step_clock(self, seconds: float) -> None:
        """Sets the wall clock forward, or back."""
        ...

    def drift_clock(self, ppm: float) -> None:
        """From now on the wall clock runs so many parts per million too fast. 0 ends that, and sets it right."""
        ...

    async def halt(self, by: str, reason: str) -> None:
        """Somebody halts at the command line: the latch is written, and the engine told if one runs."""
        ...
