"""O8: nothing of the engine is left after its shutdown: no actor, task, thread or process, no open file or socket.

Who looks is the world around it: a simulated one compares what the real process holds before a life and after it.
"""

from typing import ClassVar

from allstop.supervisors.oracles.facts import Ended
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms


class NothingLeftRunning(Oracle):
    name: ClassVar[str] = "O8"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._looked = False

    def takes(self) -> Takes:
        return {Ended: self._ended}

    def found(self) -> str | None:
        return "nothing left" if self._looked else None

    def nothing(self) -> str:
        return "not looked at"

    def _ended(self, fact: Ended) -> None:
        self._looked = True
        if fact.left:
            self.broken(fact.at_ns, f"left: {list(fact.left)[:5]}")
