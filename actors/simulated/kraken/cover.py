"""Keeps the truth about cover: from which moment to which a position stood without enough protection at the venue.

The position is the net of all executions of the account in the pair. It is covered by open stop orders on the
reducing side and by a flatten in flight (an open market order or a triggered stop on that side). A resting limit is
a take-profit, not cover, unless the venue is set to count it.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(slots=True)
class Uncovered:
    """One interval. `unreachable_ns` is the part of it in which the venue could not be reached."""

    start_ns: int
    qty_max: Decimal
    end_ns: int | None = None
    unreachable_ns: int = 0

    def told(self, at_ns: int) -> dict[str, Any]:
        end = at_ns if self.end_ns is None else self.end_ns
        total = end - self.start_ns
        return {
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "qty_max": str(self.qty_max),
            "uncovered_ms": (total - self.unreachable_ns) / 1e6,
            "uncovered_unreachable_ms": self.unreachable_ns / 1e6,
        }


@dataclass(slots=True)
class CoverMeter:
    """One account's cover in one pair. Fed with the position and its cover after every change."""

    intervals: list[Uncovered] = field(default_factory=list[Uncovered])
    _reachable: bool = True
    _since_ns: int = 0

    def measured(self, position: Decimal, cover: Decimal, wall_ns: int) -> None:
        bare = abs(position) - cover
        current = self._current()
        if bare > 0 and current is None:
            self.intervals.append(Uncovered(start_ns=wall_ns, qty_max=bare))
            self._since_ns = wall_ns
        elif bare > 0 and current is not None:
            current.qty_max = max(current.qty_max, bare)
        elif current is not None:
            self._account(current, wall_ns)
            current.end_ns = wall_ns
            if current.end_ns == current.start_ns:
                self.intervals.pop()  # a fill and its stop in one instant: never uncovered

    def reachable(self, reachable: bool, wall_ns: int) -> None:
        current = self._current()
        if current is not None:
            self._account(current, wall_ns)
        self._reachable = reachable

    def told(self, at_ns: int) -> dict[str, Any]:
        current = self._current()
        if current is not None:
            self._account(current, at_ns)
        told = [interval.told(at_ns) for interval in self.intervals]
        return {
            "intervals": told,
            "uncovered_ms_max": max((one["uncovered_ms"] for one in told), default=0.0),
            "uncovered_unreachable_ms_max": max(
                (one["uncovered_unreachable_ms"] for one in told), default=0.0
            ),
        }

    def _current(self) -> Uncovered | None:
        return self.intervals[-1] if self.intervals and self.intervals[-1].end_ns is None else None

    def _account(self, current: Uncovered, wall_ns: int) -> None:
        since = max(self._since_ns, current.start_ns)
        if not self._reachable:
            current.unreachable_ns += max(0, wall_ns - since)
        self._since_ns = wall_ns
