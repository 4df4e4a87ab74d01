"""A counter that a venue keeps about us, modelled: it rises with each call and decays linearly.

A token bucket of rate r and burst b is `Meter(max=b, decay_per_s=r)`. A meter is a value: taking from it gives a
new one. It owns no clock; `now_s` is any clock that does not step, the same one for the life of the meter.
"""

import math
from collections.abc import Mapping

import msgspec

from allstop.actors.limits.lanes import Lane

# What each lane may use of a meter, as shares of its maximum: PROTECT all of it, the rest leave a reserve.
DEFAULT_SHARES: dict[Lane, float] = {Lane.PROTECT: 1.0, Lane.CANCEL: 0.9, Lane.QUERY: 0.8, Lane.ENTRY: 0.75}


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """`level` at `at_s`, in the venue's own units. `shares` says how far up each lane may fill it."""

    max: float
    decay_per_s: float
    level: float = 0.0
    at_s: float = 0.0
    shares: Mapping[Lane, float] = msgspec.field(default_factory=lambda: DEFAULT_SHARES)

    def level_at(self, now_s: float) -> float:
        """The level after decay. A clock that went back decays nothing."""
        return max(0.0, self.level - self.decay_per_s * max(0.0, now_s - self.at_s))

    def ceiling(self, lane: Lane) -> float:
        return self.max * self.shares[lane]

    def wait_s(self, cost: float, now_s: float, lane: Lane = Lane.PROTECT) -> float:
        """Seconds until `cost` fits under the lane's ceiling: 0 for now, infinity for never. What costs nothing
        never waits."""
        if cost <= 0:
            return 0.0
        if cost > self.ceiling(lane):
            return math.inf
        over = self.level_at(now_s) + cost - self.ceiling(lane)
        if over <= 1e-9:  # float dust of the decay must not cost a wait
            return 0.0
        return over / self.decay_per_s if self.decay_per_s > 0 else math.inf

    def taken(self, cost: float, now_s: float) -> "Meter":
        """With `cost` added, above the maximum too: what the venue counted is counted."""
        return self._at(self.level_at(now_s) + cost, now_s)

    def penalised(self, now_s: float) -> "Meter":
        """The venue said that we are over: believe it, and count from full."""
        return self._at(max(self.max, self.level_at(now_s)), now_s)

    def synced(self, level: float, now_s: float) -> "Meter":
        """The venue told the level itself."""
        return self._at(max(0.0, level), now_s)

    def resized(self, maximum: float, decay_per_s: float, now_s: float) -> "Meter":
        """The same level under other limits, as when a tier turns out to be another."""
        return msgspec.structs.replace(
            self._at(self.level_at(now_s), now_s), max=maximum, decay_per_s=decay_per_s
        )

    def _at(self, level: float, now_s: float) -> "Meter":
        return msgspec.structs.replace(self, level=level, at_s=max(now_s, self.at_s))
