"""A budget holds: no supervisor restarts more failures within its window than it was given; then it gives up, pauses or
latches. Counted from what it did, and not from what it counted.
"""

from collections import deque
from typing import ClassVar

from allstop.supervisors.oracles.facts import Barred, Restarted
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms


class WithinBudget(Oracle):
    name: ClassVar[str] = "budget"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._restarts: dict[str, deque[int]] = {}
        self._counted = 0

    def takes(self) -> Takes:
        return {Restarted: self._restarted, Barred: self._barred}

    def found(self) -> str | None:
        return f"{self._counted} restarts within their budgets" if self._counted else None

    def nothing(self) -> str:
        return "nothing was restarted that has a known budget"

    def _barred(self, fact: Barred) -> None:
        if fact.anew:  # another process: its supervisors are others
            self._restarts.clear()

    def _restarted(self, fact: Restarted) -> None:
        again = f"{fact.supervisor}/{fact.child}"
        for path in [path for path in self._restarts if path == again or path.startswith(f"{again}/")]:
            del self._restarts[
                path
            ]  # a supervisor that is started again has its budget anew, and its own one counts it
        budget = self.terms.budgets.get(fact.supervisor)
        if budget is None or not fact.after_failure:
            return
        most, seconds = budget
        self._counted += 1
        times = self._restarts.setdefault(fact.supervisor, deque())
        while times and times[0] < fact.at_ns - int(seconds * 1e9):
            times.popleft()
        times.append(fact.at_ns)
        if len(times) > most:
            why = f"{fact.supervisor} restarted {len(times)} failures within {seconds:g} s, and may {most}"
            self.broken(fact.at_ns, why)
