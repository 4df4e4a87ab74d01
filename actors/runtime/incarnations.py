"""How far each address has counted its incarnations, also while nobody holds the address.

Refs are held weakly by their system: when a supervisor restarts, the addresses below it may go and be made anew. A
number must not be given twice all the same (statement 243): fences and late notices are told apart by it.
"""

from typing import Final

KEPT_MAX: Final = 65_536  # far more than the addresses of any tree: what falls out are orders of last month


class Incarnations:
    """The latest number of each path. What is forgotten raises the number from which unknown paths count."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._latest: dict[str, int] = {}
        self._floor = 0
        self._kept_max = kept_max

    def latest(self, path: str) -> int:
        """A number that no later incarnation at this path has had; 0 when it is new, and nothing was forgotten yet."""
        return self._latest.get(path, self._floor)

    def note(self, path: str, number: int) -> None:
        earlier = self._latest.pop(path, 0)  # to the end of the order: the longest unused is forgotten first
        self._latest[path] = number if number > earlier else earlier
        if len(self._latest) > self._kept_max:
            oldest = next(iter(self._latest))
            self._floor = max(self._floor, self._latest.pop(oldest))
