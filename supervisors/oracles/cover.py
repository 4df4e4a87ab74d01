"""O3: from each execution until full cover or a flatten in flight, at most `cover_s`, by the venue's own book.

Time in which nothing could be done does not count, and is told apart: the venue could not be reached, or the engine
was dead. What an engine that comes to life finds uncovered counts from the moment at which it is connected. A halt
excuses nothing.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from allstop.supervisors.oracles.facts import Barred, Exposed, Freed, OrderExecuted
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms


@dataclass(slots=True)
class _Uncovered:
    """One stretch without full cover. `counted_ns` is what of it counts so far, up to `since_ns`."""

    since_ns: int
    counted_ns: int = 0
    told: bool = False


class CoverInTime(Oracle):
    name: ClassVar[str] = "O3"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._limit_ns = int(terms.cover_s * 1e9)
        self._open: dict[tuple[str, str], _Uncovered] = {}
        self._bars: dict[str, bool] = {}  # who bars -> whether it counts anew from its end
        self._executed = 0
        self._longest_ns = 0
        self._barred_ns = 0  # the longest that one stretch was uncovered when nothing could be done
        self._barred_of: dict[tuple[str, str], int] = {}

    @property
    def longest_ms(self) -> float:
        """The longest time that anything stood uncovered, as it counts."""
        return self._longest_ns / 1e6

    @property
    def barred_ms(self) -> float:
        """The longest time that anything stood uncovered and nothing could be done."""
        return self._barred_ns / 1e6

    def takes(self) -> Takes:
        return {
            Exposed: self._exposed,
            Barred: self._barred,
            Freed: self._freed,
            OrderExecuted: self._was_executed,
        }

    def found(self) -> str | None:
        limit = f"longest uncovered {self.longest_ms:.0f} ms of {self._limit_ns / 1e6:.0f}"
        return limit if self._executed else None

    def nothing(self) -> str:
        return "nothing was executed"

    def passed(self, at_ns: int) -> None:
        if self._open:
            for key in self._open:
                self._count(key, at_ns)

    def finish(self, at_ns: int) -> None:
        self.passed(at_ns)

    def _was_executed(self, _: OrderExecuted) -> None:
        self._executed += 1

    def _exposed(self, fact: Exposed) -> None:
        if self.terms.account not in (None, fact.account):
            return
        key = (fact.account, fact.pair)
        if key in self._open:
            self._count(key, fact.at_ns)
            if fact.bare <= Decimal(0):
                del self._open[key]
                self._barred_of.pop(key, None)
        elif fact.bare > Decimal(0):
            self._open[key] = _Uncovered(fact.at_ns)

    def _barred(self, fact: Barred) -> None:
        self.passed(fact.at_ns)
        self._bars[fact.by] = fact.anew

    def _freed(self, fact: Freed) -> None:
        self.passed(fact.at_ns)
        if self._bars.pop(fact.by, False):
            for uncovered in self._open.values():
                uncovered.counted_ns, uncovered.told = 0, False

    def _count(self, key: tuple[str, str], at_ns: int) -> None:
        uncovered = self._open[key]
        step_ns = max(0, at_ns - uncovered.since_ns)
        since_ns, uncovered.since_ns = uncovered.since_ns, max(at_ns, uncovered.since_ns)
        if self._bars:
            self._barred_of[key] = self._barred_of.get(key, 0) + step_ns
            self._barred_ns = max(self._barred_ns, self._barred_of[key])
            return
        left_ns = self._limit_ns - uncovered.counted_ns
        uncovered.counted_ns += step_ns
        self._longest_ns = max(self._longest_ns, uncovered.counted_ns)
        if uncovered.counted_ns > self._limit_ns and not uncovered.told:
            uncovered.told = True
            account, pair = key
            why = f"{account} {pair}: without full cover for {self._limit_ns / 1e6:.0f} ms in which it could be had"
            self.broken(since_ns + left_ns, why)
