"""The budget of restarts: at most `max_restarts` attempts within any `max_seconds`, on a clock that never steps."""

import sys
from collections import deque


class Intensity:
    """A sliding window that includes its edge: an attempt exactly `max_seconds` old still counts.

    It changes in place, as the core does that it belongs to: a restart costs the same whatever the budget.
    """

    __slots__ = ("_attempts", "max_restarts", "max_seconds")

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        self.change(max_restarts, max_seconds)

    def __len__(self) -> int:
        return len(self._attempts)

    def add(self, now_s: float) -> None:
        """Counts an attempt at `now_s`, and forgets those that are too old."""
        self._forget(now_s)
        self._attempts.append(now_s)

    def take(self, now_s: float) -> int:
        """Counts an attempt at `now_s` if the window still allows one. Gives what it allowed before: with 0 nothing is
        counted."""
        attempts = self._attempts
        while attempts and now_s - attempts[0] > self.max_seconds:
            attempts.popleft()
        left = self.max_restarts - len(attempts)
        if left <= 0:
            return 0
        attempts.append(now_s)
        return left

    @property
    def began_s(self) -> float | None:
        """When the first attempt was made that still counts."""
        return self._attempts[0] if self._attempts else None

    @property
    def exceeded(self) -> bool:
        """Whether the attempt that was added last was one too many."""
        return len(self._attempts) > self.max_restarts

    def left(self, now_s: float) -> int:
        """How many attempts the window still allows at `now_s`."""
        if self._attempts:
            self._forget(now_s)
        left = self.max_restarts - len(self._attempts)
        return left if left > 0 else 0

    def clear(self) -> None:
        self._attempts.clear()

    def change(self, max_restarts: int, max_seconds: float) -> None:
        """The same attempts under another budget."""
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        # One more than the budget ends the supervisor, so more need not be known.
        most = min(max_restarts, sys.maxsize - 1) + 1  # `sys.maxsize` is how one says "for ever"
        self._attempts: deque[float] = deque(getattr(self, "_attempts", ()), maxlen=most)

    def _forget(self, now_s: float) -> None:
        attempts = self._attempts
        while attempts and now_s - attempts[0] > self.max_seconds:
            attempts.popleft()
