"""A running actor system as a chaos script's engine."""

import asyncio
import threading
from collections.abc import Callable, Sequence

from allstop.actors.runtime import ActorDead, ActorSystem, inspection
from allstop.actors.runtime.virtual_time import VirtualTimeLoop

HOLD_S = 0.5  # how long a handler may take to end before its actor is held


class SystemEngine:
    """`obstacles` tells what keeps entries from passing: the tree's builder knows its gates and levels."""

    def __init__(self, system: ActorSystem, obstacles: Callable[[], Sequence[str]]) -> None:
        self._system = system
        self._obstacles = obstacles

    def paths(self) -> Sequence[str]:
        return [info.path for info in self._system.actors()]

    def kill(self, path: str) -> bool:
        ref = self._system.address(path)
        if not ref.is_alive():
            return False
        self._system.kill(ref)
        return True

    def crash(self, path: str, error: Exception) -> bool:
        """As by a task of the victim's own that fails: to its supervisor it is a crash like any other. A handler that
        computes ends first, one that waits is interrupted."""
        ref = self._system.address(path)
        return self._system.crash(ref, error)

    async def hold(self, path: str) -> bool:
        """As `inspection.suspend`: between two messages. An actor whose handler does not end in time is not held."""
        try:
            await inspection.suspend(self._system.address(path), HOLD_S)
        except (ActorDead, inspection.InspectionTimeout):
            return False
        return True

    async def release(self, path: str) -> None:
        try:
            await inspection.resume(self._system.address(path), HOLD_S)
        except (ActorDead, inspection.InspectionTimeout):
            return  # it ended meanwhile: whoever comes after it was never held

    def stall(self, seconds: float) -> None:
        """As a collection of garbage or a swapped page does. In virtual time the clock goes on and nothing else does."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualTimeLoop):
            loop.jump(seconds)
        else:
            threading.Event().wait(seconds)

    def obstacles(self) -> Sequence[str]:
        return self._obstacles()
