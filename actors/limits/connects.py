"""How often we may connect to a venue from this address, and until when it banned us.

The times are the wall's, because they outlive the process: a venue's ban does not end with ours. A wall clock that
stepped back makes no room: an attempt from the future counts as made now.
"""

import msgspec

from allstop.actors.limits.lanes import Lane


class ConnectLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Kraken: about 150 WebSocket connects in 10 minutes per IP, then a ban of 10 minutes. We use at most half
    of it, and of our half public data leaves a third to the private side."""

    limit: int = 150
    window_s: float = 600.0
    share: float = 0.5
    entry_share: float = 0.33
    ban_s: float = 600.0

    def most(self, lane: Lane) -> int:
        """The most connects in a window for calls of this lane."""
        return int(self.limit * (self.entry_share if lane is Lane.ENTRY else self.share))


class Connects(msgspec.Struct, frozen=True, kw_only=True):
    """One (venue, IP)'s attempts within the window, oldest first, and its ban. Never longer than `most` allows."""

    limits: ConnectLimits = ConnectLimits()
    attempts_s: tuple[float, ...] = ()
    banned_until_s: float = 0.0
    ban_reason: str = ""

    def wait_s(self, now_s: float, lane: Lane = Lane.QUERY) -> float:
        """Seconds until one more connect is allowed; 0 for now."""
        ban_s = max(0.0, self.banned_until_s - now_s)
        recent = self._recent(now_s)
        most = self.limits.most(lane)
        if len(recent) < most:
            return ban_s
        return max(ban_s, recent[-most] + self.limits.window_s - now_s)

    def taken(self, now_s: float) -> "Connects":
        """With one more attempt, and without those that left the window."""
        return msgspec.structs.replace(self, attempts_s=(*self._recent(now_s), now_s))

    def untaken(self) -> "Connects":
        """Without the latest attempt: it never left, or never arrived."""
        return msgspec.structs.replace(self, attempts_s=self.attempts_s[:-1])

    def banned(self, now_s: float, for_s: float | None = None, reason: str = "") -> "Connects":
        """The venue refused this address. A longer ban is never shortened."""
        until_s = now_s + (self.limits.ban_s if for_s is None else for_s)
        if until_s <= self.banned_until_s:
            return self
        return msgspec.structs.replace(self, banned_until_s=until_s, ban_reason=reason)

    def _recent(self, now_s: float) -> tuple[float, ...]:
        return tuple(min(at_s, now_s) for at_s in self.attempts_s if at_s > now_s - self.limits.window_s)
