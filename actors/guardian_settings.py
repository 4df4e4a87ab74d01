"""How the guardian of an account watches: its times, and how fast it may use its key."""

import msgspec

from allstop.actors.levels import Scope
from allstop.actors.limits.kraken import LIMITS, Tier
from allstop.actors.limits.meter import Meter
from allstop.actors.protocols.cover import CoverTimes
from allstop.actors.protocols.lookup import KRAKEN, Timing


class GuardianSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the guardian of an account watches. A poll costs one call of the key's counter, a full reading two or more,
    and Kraken gives back one call in 1 to 3 s by `tier`. Routine polls use half of the counter and then slow down to
    what is given back; the other half is for confirming and acting.

    `poll_s` must leave room within cover_s for the step that follows; `overlap_s` covers the venue's clock and its
    delay in showing what closed.
    """

    venue: str
    account: str
    times: CoverTimes = CoverTimes()
    poll_s: float = 1.0
    idle_poll_s: float = 5.0
    overlap_s: float = 10.0
    timing: Timing = KRAKEN
    tier: Tier = Tier.STARTER

    @property
    def scope(self) -> Scope:
        return (self.venue, self.account)

    @property
    def name(self) -> str:
        return f"{self.venue}.{self.account}"


def guardian_settings(
    venue: str,
    account: str,
    *,
    cover_s: float = 2.0,
    timing: Timing = KRAKEN,
    idle_poll_s: float = 5.0,
    tier: Tier = Tier.STARTER,
) -> GuardianSettings:
    """The usual settings for a promise of `cover_s`. Raises BadInput when it is no positive time."""
    return GuardianSettings(
        venue=venue,
        account=account,
        times=CoverTimes.within(cover_s),
        poll_s=cover_s / 2,
        idle_poll_s=max(idle_poll_s, cover_s / 2),
        timing=timing,
        tier=tier,
    )


EXIT_CALLS_MAX = 6.0  # an exit asks up to three times: of its stops, of itself, of what was placed again


class Pace:
    """How fast one key may be used for routine looks: it outlives the guardian's incarnations, because the venue's
    counter does. It spends three quarters of what the venue gives back, so that the counter falls again."""

    def __init__(self, tier: Tier) -> None:
        limits = LIMITS[tier]
        self._meter = Meter(max=limits.rest_max / 2, decay_per_s=limits.rest_decay_per_s * 0.75)
        # The last quarter is for exits of which the stream does not tell: two at once, and then one now and then.
        self._exits = Meter(max=EXIT_CALLS_MAX, decay_per_s=limits.rest_decay_per_s * 0.25)

    def spent(self, calls: int, now_s: float) -> None:
        self._meter = self._meter.taken(calls, now_s)

    def found(self, level: float, now_s: float) -> None:
        """The key's counter stands so high already, from an earlier process. More than the routine half counts as all
        of it: looks slow down then, and do not stop."""
        own = self._meter.level_at(now_s)
        self._meter = self._meter.synced(max(own, min(level, self._meter.max)), now_s)

    def asked_for_exit(self, now_s: float) -> None:
        self._exits = self._exits.taken(1, now_s)

    def exit_wait_s(self, now_s: float) -> float:
        """Until another exit may begin that has to ask for all that it must know."""
        return self._exits.wait_s(EXIT_CALLS_MAX / 2, now_s)

    def wait_s(self, now_s: float) -> float:
        """Until the next routine look."""
        return self._meter.wait_s(1, now_s)
