"""How long to wait before a restart. Akka's formula, which applies to the first restart of a child too."""

import msgspec

from allstop.actors.spec import Backoff

_DOUBLINGS_MAX = 64  # 2**64 times any delay is over any maximum, and a float holds it


def delay_s(backoff: Backoff, failures: int, draw: float) -> float:
    """Seconds before the restart after the `failures`-th failure in a row; `draw` in [0, 1) spreads it upward."""
    if backoff.min_backoff_s == 0:  # the default: no delay, on the way of nearly every restart
        return 0.0
    doubled = backoff.min_backoff_s * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS_MAX)
    bounded = min(max(backoff.max_backoff_s, backoff.min_backoff_s), doubled)
    return bounded * (1.0 + draw * backoff.random_factor)


def reset_after_s(backoff: Backoff) -> float:
    """How long a child must stay up for its failures to be forgotten."""
    if backoff.reset_after_s is not None:
        return backoff.reset_after_s
    return (backoff.min_backoff_s + backoff.max_backoff_s) / 2


def shortest_span_s(backoff: Backoff, restarts: int) -> float:
    """The least time between the first failure and the one after `restarts` restarts that failed at once."""
    if backoff.min_backoff_s == 0:  # the default, asked at each `start_child`
        return 0.0
    growing = min(restarts, _DOUBLINGS_MAX)  # from there on every delay is the longest
    longest_s = delay_s(backoff, restarts, 0.0)
    return sum(delay_s(backoff, n, 0.0) for n in range(1, growing + 1)) + (restarts - growing) * longest_s


class Failures(msgspec.Struct, frozen=True, gc=False):
    """How many times in a row a child failed, counted anew once it has stayed up for long enough."""

    in_a_row: int = 0
    up_since_s: float | None = None  # None: it is not up

    def started(self, now_s: float) -> "Failures":
        return Failures(self.in_a_row, now_s)

    def failed(self, backoff: Backoff, now_s: float) -> "Failures":
        up_since_s = self.up_since_s
        if up_since_s is not None and now_s - up_since_s >= reset_after_s(backoff):
            return Failures(1)
        return Failures(self.in_a_row + 1)

    def too_many(self, backoff: Backoff) -> bool:
        return backoff.max_consecutive is not None and self.in_a_row > backoff.max_consecutive
