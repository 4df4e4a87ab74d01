"""The venue's time as it can be known here, which no step of this machine's wall clock moves.

A deadline that the venue judges, and the moment from which its lists are searched, must be right by the venue's clock:
what they prove is final. So the wall is believed once, when the clock is made; from then on the monotonic clock
carries that time, and each word of the venue about its own time corrects it, as little as makes it agree.
"""

from typing import Final

from allstop.actors.clock import Clock

# One word of a reply moves the clock by no more than this; what is further off is for the venue's own clock to say.
REPLY_MOVES_MAX_S: Final = 1.0


class VenueClock:
    """A Clock: `now_s` is the monotonic one, `wall_ns` the venue's time. One per venue, shared by all who write to
    it. It is off by as much as the wall was when it was made, until the venue's first word."""

    def __init__(self, clock: Clock, *, measured: bool = False) -> None:
        self._clock = clock
        self._ahead_ns = clock.wall_ns() - _ns(clock.now_s())
        self.measured = measured  # the venue has said what its time is

    def now_s(self) -> float:
        return self._clock.now_s()

    def wall_ns(self) -> int:
        """The venue's time now, in nanoseconds since 1970."""
        return self._ahead_ns + _ns(self._clock.now_s())

    @property
    def wall_off_s(self) -> float:
        """How far this machine's wall clock is ahead of the venue's time (negative: behind). A step shows at once."""
        return (self._clock.wall_ns() - self.wall_ns()) / 1e9

    def heard(self, first_ns: int, last_ns: int, *, sent_s: float, received_s: float) -> None:
        """The venue's own clock, asked: it read no less than `first_ns` and no more than `last_ns` between these two
        moments (of `now_s`)."""
        self._correct(first_ns - _ns(received_s), last_ns - _ns(sent_s))

    def replied(self, in_ns: int, out_ns: int, *, sent_s: float, received_s: float) -> None:
        """A reply told when its request came in and when it went out. One that would move the clock by more than
        `REPLY_MOVES_MAX_S` is left alone, as is one that ends before it begins."""
        least, most = out_ns - _ns(received_s), in_ns - _ns(sent_s)
        if in_ns > out_ns:
            return
        if abs(_within(self._ahead_ns, least, most) - self._ahead_ns) <= _ns(REPLY_MOVES_MAX_S):
            self._correct(least, most)

    def _correct(self, least: int, most: int) -> None:
        if least <= most:
            self._ahead_ns = _within(self._ahead_ns, least, most)
            self.measured = True


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
