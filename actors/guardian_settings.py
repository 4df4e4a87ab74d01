"""How the guardian of an account watches: its times, and how fast it may use its key."""

import msgspec

from allstop.actors.levels import Scope
from allstop.actors.limits.kraken import LIMITS, Tier, rest_meter
from allstop.actors.limits.lanes import Lane
from allstop.actors.limits.meter import Meter
from allstop.actors.protocols.cover import CoverTimes
from allstop.actors.protocols.lookup import KRAKEN, Timing


class GuardianSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the guardian of an account watches. A poll costs one call of the key's counter, a full reading two or more,
    and Kraken gives back one call in 1 to 3 s by `tier`. Routine polls use half of the counter and then slow down to
    what is given back; the other half is for confirming and acting (see Pace).

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
CONFIRM_CALLS = (
    3  # of a finding before it is acted on: what is open, what closed, and what is in neither list
)
# Routine looks leave more than that between themselves and what even the guardian may use: three calls on Starter, four
# on the others; and a band below them in which nobody else calls (limits/kraken.py), so that they are never kept out.
ROUTINE_SHARE = 0.75
SLOW_SHARE = 0.5  # of what is given back: what looks spend while the key stands higher than that
READING_CALLS = 2  # of a routine look: what is open, and what closed where that is in question
YIELD_SHARE = (
    0.25  # of it: what they spend while others wait for the key, who need the rest to be served in time
)


class KeyState(msgspec.Struct, frozen=True):
    """How the ledger sees a key. `wanted`: calls that protect nothing wait for room on it, or did of late."""

    level: float
    wanted: bool = False


class Pace:
    """How fast one key may be used for looks: it outlives the guardian's incarnations, because the venue's counter
    does. Routine looks spend three quarters of what the venue gives back, so that the counter falls again, and less
    while it stands high, whoever it was: what is left is for confirming and acting. On a key that is shared they yield to
    those who wait for room: reconciliation, which tells the guardian what it reads, and the search for orders."""

    def __init__(self, tier: Tier) -> None:
        limits = LIMITS[tier]
        self._meter = Meter(max=limits.rest_max / 2, decay_per_s=limits.rest_decay_per_s * 0.75)
        # The last quarter is for exits of which the stream does not tell: two at once, and then one now and then.
        self._exits = Meter(max=EXIT_CALLS_MAX, decay_per_s=limits.rest_decay_per_s * 0.25)
        self._key = rest_meter(tier, now_s=0.0)
        self._routine_max = limits.rest_max * ROUTINE_SHARE
        self._slow_s = 1 / (limits.rest_decay_per_s * SLOW_SHARE)
        self._wanted = False
        self._yield_max = self._key.ceiling(Lane.QUERY) - CONFIRM_CALLS  # what a round of theirs takes, too
        self._yield_s = 1 / (limits.rest_decay_per_s * YIELD_SHARE)  # for each call of a look
        self._look_calls = 1

    def spent(self, calls: int, now_s: float) -> None:
        self._meter = self._meter.taken(calls, now_s)
        self._look_calls = min(max(calls, 1), READING_CALLS)
        self._key = self._key.taken(calls, now_s)

    def found(self, key: KeyState, now_s: float) -> None:
        """The key stands so, by the account's ledger: with what an earlier process used, what others do and want to do,
        and what the venue said of it."""
        self._key = self._key.synced(key.level, now_s)
        self._wanted = key.wanted

    def asked_for_exit(self, now_s: float) -> None:
        self._exits = self._exits.taken(1, now_s)

    def exit_wait_s(self, now_s: float) -> float:
        """Until another exit may begin that has to ask for all that it must know, and whose stops the key could confirm to
        be missing."""
        return max(self._exits.wait_s(EXIT_CALLS_MAX / 2, now_s), self.urgent_wait_s(now_s))

    def wait_s(self, now_s: float) -> float:
        """Until the next routine look. While the key stands too high, or is wanted by others, looks slow down, and do
        not stop."""
        yield_s = (
            self._room_s(self._yield_max, self._yield_s * self._look_calls, now_s) if self._wanted else 0.0
        )
        return max(self.own_wait_s(now_s), yield_s)

    def own_wait_s(self, now_s: float) -> float:
        """Until the next look if nobody else waited for the key."""
        return max(self._meter.wait_s(1, now_s), self._room_s(self._routine_max, self._slow_s, now_s))

    def _room_s(self, most: float, longest_s: float, now_s: float) -> float:
        over = self._key.level_at(now_s) + 1 - most
        return min(max(0.0, over) / self._key.decay_per_s, longest_s)

    def urgent_wait_s(self, now_s: float) -> float:
        """Until a look at something that seems to be wrong: as soon as the key can confirm what it finds."""
        return self._key.wait_s(CONFIRM_CALLS, now_s)
