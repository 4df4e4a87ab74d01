"""A budget holds: no supervisor restarts more failures within its window than it was given; then it gives up, pauses or
latches. Counted from what it did, and not from what it counted.

A budget that was spent and answered by a pause is not held against what comes after it. RULES.md, Giving up: such a
supervisor "stops its own children and stays as the open breaker; after `cooldown_s` half-open, `probes` successes close
it", and it is `max_trips`, and no longer its window, that says how often: with 3 restarts in 300 s and a pause of 15 s
the first lost connection after each pause would else be a pause again, and the third one latched. But a breaker that
says that it is closed, and was not open for its `cooldown_s`, has answered nothing: its restarts count on.
"""

from collections import deque
from typing import ClassVar

from allstop.supervisors.oracles.facts import Barred, Paused, Restarted, Resumed
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms


class WithinBudget(Oracle):
    name: ClassVar[str] = "budget"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._restarts: dict[str, deque[int]] = {}
        self._paused_ns: dict[str, int] = {}
        self._counted = 0

    def takes(self) -> Takes:
        return {
            Restarted: self._restarted,
            Barred: self._barred,
            Paused: self._paused,
            Resumed: self._resumed,
        }

    def found(self) -> str | None:
        return f"{self._counted} restarts within their budgets" if self._counted else None

    def nothing(self) -> str:
        return "nothing was restarted that has a known budget"

    def _barred(self, fact: Barred) -> None:
        if fact.anew:  # another process: its supervisors are others
            self._restarts.clear()
            self._paused_ns.clear()

    def _paused(self, fact: Paused) -> None:
        self._paused_ns[fact.supervisor] = fact.at_ns

    def _resumed(self, fact: Resumed) -> None:
        cooldown_s = self.terms.cooldowns.get(fact.supervisor)
        paused_ns = self._paused_ns.pop(fact.supervisor, None)
        if cooldown_s is None or paused_ns is None:
            return
        if fact.at_ns - paused_ns >= int(cooldown_s * 1e9):
            self._restarts.pop(fact.supervisor, None)

    def _restarted(self, fact: Restarted) -> None:
        again = f"{fact.supervisor}/{fact.child}"
        for known in (self._restarts, self._paused_ns):
            for path in [path for path in known if path == again or path.startswith(f"{again}/")]:
                # A supervisor that is started again has its budget anew, and its own one counts it.
                del known[path]
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
