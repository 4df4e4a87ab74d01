"""A running actor system as a chaos script's engine."""

from collections.abc import Callable, Sequence

from allstop.actors.runtime import ActorSystem


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

    def obstacles(self) -> Sequence[str]:
        return self._obstacles()
