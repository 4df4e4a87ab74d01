"""The budget of restarts: at most `max_restarts` attempts within any `max_seconds`, on a clock that never steps."""

from bisect import bisect_left
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Intensity:
    """A sliding window that includes its edge: an attempt exactly `max_seconds` old still counts."""

    max_restarts: int
    max_seconds: float
    attempts: tuple[float, ...] = ()  # at most max_restarts + 1 of them: one more ends the supervisor

    def added(self, now_s: float) -> "Intensity":
        """With an attempt at `now_s`, without those that are too old."""
        recent = self.attempts[self._too_old(now_s) :]
        return replace(self, attempts=(*recent, now_s)[-(self.max_restarts + 1) :])

    @property
    def exceeded(self) -> bool:
        return len(self.attempts) > self.max_restarts

    def left(self, now_s: float) -> int:
        """How many attempts the window still allows at `now_s`."""
        recent = len(self.attempts) - self._too_old(now_s)
        return max(0, self.max_restarts - recent)

    def _too_old(self, now_s: float) -> int:
        """How many have left the window. They stand in order, so a large budget costs no search through all."""
        return bisect_left(self.attempts, True, key=lambda at: now_s - at <= self.max_seconds)

    def emptied(self) -> "Intensity":
        return replace(self, attempts=())

    def changed(self, max_restarts: int, max_seconds: float) -> "Intensity":
        """The same attempts under another budget."""
        return Intensity(max_restarts, max_seconds, self.attempts[-(max_restarts + 1) :])
