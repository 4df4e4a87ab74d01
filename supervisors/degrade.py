"""The breaker that a supervisor becomes when `on_exceeded` is PAUSE. Pure: times come in, states come out.

    CLOSED --budget spent, or too many reported failures--> OPEN --cooldown over--> HALF_OPEN
    HALF_OPEN --`probes` successes--> CLOSED;  HALF_OPEN --a failure--> OPEN, for twice as long
    any --the `max_trips`-th opening in a row, or a fatal end--> LATCHED --a person--> HALF_OPEN
    An opening because nothing answered at all (outages.py) is none of those, and is not for longer than the first.

Trips are forgotten when the breaker has been closed for `forget_after_s` (the supervisor's own window), not when it
closes: else one that flaps would never latch.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from allstop.actors.spec import Pause

REPORTS_MAX = 512  # reported calls that are remembered; a ratio over more says nothing more
_DOUBLINGS_MAX = 16  # 2**16 times the cooldown is for ever; keeps the float small


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    LATCHED = "latched"


CLOSED: Final = BreakerState.CLOSED  # an enum's attribute costs a lookup through its metaclass


@dataclass(frozen=True, slots=True)
class Reported:
    """A call that a child told us of. `category` is set when it failed."""

    at_s: float
    category: str | None


@dataclass(frozen=True, slots=True)
class Breaker:
    pause: Pause
    forget_after_s: float
    state: BreakerState = BreakerState.CLOSED
    trips: int = 0
    successes: int = 0
    since_s: float = 0.0
    until_s: float = 0.0  # OPEN only: when it becomes half-open
    reports: tuple[Reported, ...] = ()
    answered_s: float = -math.inf  # when a call succeeded last

    def changed(self, pause: Pause, forget_after_s: float) -> "Breaker":
        """The same state under other numbers; they count from the next move on."""
        return replace(self, pause=pause, forget_after_s=forget_after_s)

    def opened(self, now_s: float, *, counted: bool = True) -> "Breaker":
        """Tripped once more: OPEN with a cooldown, or LATCHED when that was one trip too many. Not `counted`: nothing
        answered at all; it opens for one cooldown, as often as it takes."""
        trips = self.trips if self._remembers(now_s) else 0
        if not counted:
            return self._moved(BreakerState.OPEN, now_s, trips=trips, until_s=now_s + self.pause.cooldown_s)
        trips += 1
        if trips >= self.pause.max_trips:
            return replace(self, trips=trips).latched(now_s)
        until_s = now_s + self.pause.cooldown_s * 2.0 ** min(trips - 1, _DOUBLINGS_MAX)
        return self._moved(BreakerState.OPEN, now_s, trips=trips, until_s=until_s)

    def latched(self, now_s: float) -> "Breaker":
        return self._moved(BreakerState.LATCHED, now_s)

    def half_opened(self, now_s: float) -> "Breaker":
        return self._moved(BreakerState.HALF_OPEN, now_s)

    def reset(self, now_s: float) -> "Breaker":
        """A person asked for another try: half-open, and earlier trips are forgotten."""
        return self._moved(BreakerState.HALF_OPEN, now_s, trips=0)

    def closed(self, now_s: float) -> "Breaker":
        return self._moved(BreakerState.CLOSED, now_s)

    def probed(self, now_s: float) -> "Breaker":
        """One probe succeeded: closed when that was the last one needed. Means nothing unless half-open."""
        if self.state is not BreakerState.HALF_OPEN or self.pause.probes == 0:
            return self
        successes = self.successes + 1
        return self.closed(now_s) if successes >= self.pause.probes else replace(self, successes=successes)

    def reported(self, category: str | None, now_s: float) -> "Breaker":
        """With one more call counted: None is a success."""
        heard_s = now_s if category is None else self.answered_s
        recent = (r for r in self.reports if now_s - r.at_s <= self.pause.window_s)
        return replace(self, reports=(*recent, Reported(now_s, category))[-REPORTS_MAX:], answered_s=heard_s)

    def answered(self, now_s: float) -> "Breaker":
        """Something out there has answered."""
        return replace(self, answered_s=now_s)

    @property
    def worn(self) -> str | None:
        """Why the reported failures are too many, in words; None when they are not."""
        failed = [report.category for report in self.reports if report.category is not None]
        for category, threshold in self.pause.thresholds:
            if failed.count(category) >= threshold:
                return f"{threshold} failures of category {category} within {self.pause.window_s:g} s"
        volume = len(self.reports)
        if 0 < self.pause.min_volume <= volume and len(failed) >= self.pause.failure_ratio * volume:
            return f"{len(failed)} of {volume} calls failed within {self.pause.window_s:g} s"
        return None

    def retry_after_s(self, now_s: float) -> float:
        """Seconds until a call may pass again: 0 when it may now, infinity when a person must come first."""
        match self.state:
            case BreakerState.CLOSED | BreakerState.HALF_OPEN:
                return 0.0
            case BreakerState.OPEN:
                return max(0.0, self.until_s - now_s)
            case BreakerState.LATCHED:
                return float("inf")

    @property
    def stopped(self) -> bool:
        """Whether the children are stopped."""
        return self.state in (BreakerState.OPEN, BreakerState.LATCHED)

    def _remembers(self, now_s: float) -> bool:
        return self.state is not BreakerState.CLOSED or now_s - self.since_s <= self.forget_after_s

    def _moved(
        self, state: BreakerState, now_s: float, *, trips: int | None = None, until_s: float = 0.0
    ) -> "Breaker":
        return replace(
            self,
            state=state,
            trips=self.trips if trips is None else trips,
            successes=0,
            since_s=now_s,
            until_s=until_s,
            reports=(),
        )
