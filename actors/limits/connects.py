"""How often we may connect to a venue from this address, and until when it banned us.

Of what we use of the venue's limit a third is given at once, to whoever asks. The rest is spread over the window, half of
it to the private side and half to public data: a minute of connections that end at once would otherwise use up ten
minutes' share, and leave none for when the venue is well again, whose own limit would still allow it.

The times are the wall's, because they outlive the process: a venue's ban does not end with ours. A wall clock that
stepped back makes no room: an attempt from the future counts as made now.
"""

import msgspec

from allstop.actors.limits.lanes import Lane

SIDES = 2  # the private one, and public data: what is spread is spread for each


class ConnectLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Kraken: about 150 WebSocket connects in 10 minutes per IP, then a ban of 10 minutes. We use at most half of it:
    75, of which 25 at once, and then each side one in 24 s. Of those at once public data leaves a third to the private
    side."""

    limit: int = 150
    window_s: float = 600.0
    share: float = 0.5
    burst_share: float = 1 / 3
    ban_s: float = 600.0

    @property
    def most(self) -> int:
        """The most connects in a window."""
        return int(self.limit * self.share)

    def burst(self, lane: Lane) -> int:
        """The most connects in a window that are not spread over it."""
        burst = max(1, int(self.most * self.burst_share))
        return max(1, burst * 2 // 3) if lane is Lane.ENTRY else burst

    @property
    def spacing_s(self) -> float:
        """Seconds between the connects of one side that are spread: so many that a window holds no more than `most`."""
        spread = self.most - self.burst(Lane.QUERY)
        return self.window_s if spread < SIDES else self.window_s / (spread // SIDES)


class Connects(msgspec.Struct, frozen=True, kw_only=True):
    """One (venue, IP)'s attempts within the window, oldest first, and its ban. Never longer than `most` allows.
    `public` says which attempts were for public data; a row of an earlier version has none, and counts as private."""

    limits: ConnectLimits = ConnectLimits()
    attempts_s: tuple[float, ...] = ()
    public: tuple[bool, ...] = ()
    banned_until_s: float = 0.0
    ban_reason: str = ""

    def wait_s(self, now_s: float, lane: Lane = Lane.QUERY) -> float:
        """Seconds until one more connect is allowed; 0 for now."""
        ban_s = max(0.0, self.banned_until_s - now_s)
        recent = [at_s for at_s, _ in self._recent(now_s)]
        limits = self.limits
        if len(recent) >= limits.most:
            return max(ban_s, recent[-limits.most] + limits.window_s - now_s)
        burst = limits.burst(lane)
        if len(recent) < burst:
            return ban_s
        until_burst_s = recent[-burst] + limits.window_s - now_s
        return max(ban_s, min(until_burst_s, self._spaced_s(now_s, lane)))

    def taken(self, now_s: float, lane: Lane = Lane.QUERY) -> "Connects":
        """With one more attempt, and without those that left the window."""
        recent = (*self._recent(now_s), (now_s, lane is Lane.ENTRY))
        return msgspec.structs.replace(
            self, attempts_s=tuple(at_s for at_s, _ in recent), public=tuple(public for _, public in recent)
        )

    def untaken(self) -> "Connects":
        """Without the latest attempt: it never left, or never arrived."""
        return msgspec.structs.replace(self, attempts_s=self.attempts_s[:-1], public=self.public[:-1])

    def banned(self, now_s: float, for_s: float | None = None, reason: str = "") -> "Connects":
        """The venue refused this address. A longer ban is never shortened."""
        until_s = now_s + (self.limits.ban_s if for_s is None else for_s)
        if until_s <= self.banned_until_s:
            return self
        return msgspec.structs.replace(self, banned_until_s=until_s, ban_reason=reason)

    def _spaced_s(self, now_s: float, lane: Lane) -> float:
        """Seconds until the next connect of this side that is spread over the window."""
        mine = [at_s for at_s, public in self._recent(now_s) if public is (lane is Lane.ENTRY)]
        return max(0.0, mine[-1] + self.limits.spacing_s - now_s) if mine else 0.0

    def _recent(self, now_s: float) -> tuple[tuple[float, bool], ...]:
        public = (*(False for _ in self.attempts_s[len(self.public) :]), *self.public)
        return tuple(
            (min(at_s, now_s), of_data)
            for at_s, of_data in zip(self.attempts_s, public, strict=True)
            if at_s > now_s - self.limits.window_s
        )
