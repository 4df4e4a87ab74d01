"""Kraken's own limits as the venue counts them: REST calls per key, the matching engine per pair, connects per IP.

Figures from Kraken's rate-limit guides (docs.kraken.com, "Spot REST rate limits" and "Spot trading limits").
"""

from collections import deque
from enum import StrEnum

import msgspec


class Tier(StrEnum):
    STARTER = "starter"
    INTERMEDIATE = "intermediate"
    PRO = "pro"


class TierLimits(msgspec.Struct, frozen=True):
    rest_max: float
    rest_decay: float  # per second
    engine_max: float
    engine_decay: float  # per second
    open_orders: int  # per pair


TIERS: dict[Tier, TierLimits] = {
    Tier.STARTER: TierLimits(15, 0.33, 60, 1.0, 60),
    Tier.INTERMEDIATE: TierLimits(20, 0.5, 125, 2.34, 80),
    Tier.PRO: TierLimits(20, 1.0, 180, 3.75, 225),
}

# (age below, penalty) since the order was made or last amended; nothing once it is older than the last row.
CANCEL_PENALTY = ((5.0, 8), (10.0, 6), (15.0, 5), (45.0, 4), (90.0, 2), (300.0, 1))
AMEND_PENALTY = ((5.0, 3), (10.0, 2), (15.0, 1))
ADD_COST = 1
AMEND_COST = 1


def penalty(table: tuple[tuple[float, int], ...], age_s: float) -> int:
    """What an amend or a cancel of an order of this age costs on top of its fixed cost."""
    for below_s, cost in table:
        if age_s < below_s:
            return cost
    return 0


class Counter:
    """A count that decays in time. It may stand above its maximum; then nothing more is admitted."""

    def __init__(self, maximum: float, decay_per_s: float) -> None:
        self.maximum = maximum
        self._decay_per_s = decay_per_s
        self._count = 0.0
        self._at_s: float | None = None

    def at(self, now_s: float) -> float:
        """The count now."""
        if self._at_s is not None:
            self._count = max(0.0, self._count - (now_s - self._at_s) * self._decay_per_s)
        self._at_s = now_s
        return self._count

    def add(self, cost: float, now_s: float) -> None:
        self._count = self.at(now_s) + cost

    def admits(self, cost: float, now_s: float) -> bool:
        # A hair of tolerance: repeated decay in floats must not refuse a client that counts exactly.
        return self.at(now_s) + cost <= self.maximum + 1e-6

    def full_for_s(self, cost: float, now_s: float, *, of: float = 1.0) -> float:
        """How long there is no room for this cost in this part of it. 0: there is."""
        return max(0.0, (self.at(now_s) + cost - self.maximum * of) / self._decay_per_s)

    def empties_ns(self, cost: float, *, of: float = 1.0) -> int:
        """How long a full one leaves no room for this cost in this part of it."""
        return int((self.maximum * (1 - of) + cost) / self._decay_per_s * 1e9)


class ConnectLedger:
    """About 150 connects per rolling 10 minutes and IP; beyond, that IP is refused for 10 minutes."""

    def __init__(self, maximum: int = 150, window_s: float = 600.0, ban_s: float = 600.0) -> None:
        self._maximum = maximum
        self._window_s = window_s
        self._ban_s = ban_s
        self._times: dict[str, deque[float]] = {}
        self._banned_until_s: dict[str, float] = {}

    def connect(self, ip: str, now_s: float) -> bool:
        """Whether this connect is let in. Attempts while banned do not count again."""
        if now_s < self._banned_until_s.get(ip, now_s):
            return False
        times = self._times.setdefault(ip, deque())
        while times and times[0] <= now_s - self._window_s:
            times.popleft()
        if len(times) >= self._maximum:
            self._banned_until_s[ip] = now_s + self._ban_s
            return False
        times.append(now_s)
        return True

    def banned_until_s(self, ip: str) -> float | None:
        return self._banned_until_s.get(ip)
