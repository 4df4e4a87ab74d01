"""What became of an order whose submit got no usable answer: ask the venue, and never send again on a guess.

A submit carries a venue deadline. Until that deadline (plus the clocks' skew, plus a moment for the venue to settle)
an empty search means nothing: the order may still arrive. After it, a search is

    the open orders, then the orders closed since just before the first attempt

in that order, because an order moves from open to closed and never back. A search that failed proves nothing, not
even a part of it. One that shows our client id is `Found`. Two that are complete, past the deadline, empty, and at
least `search_gap_s` apart (from the end of one to the start of the next) are `ProvenAbsent`. All else is
`Inconclusive`, for as long as it takes.

Two clocks run meanwhile, but only while a complete lookup is possible: after `read_only_after_s` the venue should be
READ_ONLY, after `halt_after_s` HALTED. When a search fails they stand still from its start until the start of the
next one that is complete: an unreachable venue is another actor's trouble, with votes of its own.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from allstop.actors.levels import Level
from allstop.actors.reports import OrderReport

# A search that was set for the end of a gap, or of the deadline, may begin so much before it, because sums of times are
# rounded. It counts.
ROUNDING_S: Final = 1e-6
# The pause before a failed search is repeated doubles up to this many gaps: the venue's query budget is for others too.
FAILED_GAPS_MAX: Final = 8


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long a submit may take, and how long to wait before its absence means something. Seconds.

    `deadline_s` goes to the venue with every submit. `skew_s` is how far the clocks may differ, `settle_s` how long
    the venue may take to show what it took in. `grace_s` is how long after the deadline an answer is still awaited.
    """

    deadline_s: float
    skew_s: float
    settle_s: float
    search_gap_s: float
    grace_s: float
    read_only_after_s: float = 30.0
    halt_after_s: float = 120.0

    @property
    def quiet_s(self) -> float:
        """From the last moment that the bytes can have left until the first search that may prove an absence."""
        return self.deadline_s + self.skew_s + self.settle_s


# Kraken takes REST deadlines of 2 s to 60 s; 1 s of skew is where the clock gate closes.
KRAKEN: Final = Timing(deadline_s=5.0, skew_s=1.0, settle_s=2.0, search_gap_s=2.0, grace_s=1.0)
# For the simulated venue on loopback only: a real Kraken refuses a REST deadline under 2 s.
LOOPBACK: Final = Timing(deadline_s=0.5, skew_s=0.1, settle_s=0.0, search_gap_s=0.2, grace_s=0.2)
PROFILES: Final = {"kraken": KRAKEN, "loopback": LOOPBACK}


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """One search as it went: when (monotonic seconds), what showed our client id, or why it proves nothing."""

    started_s: float
    ended_s: float
    hits: tuple[OrderReport, ...] = ()
    error: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The venue knows the order. `others` are further orders with the same client id: there must be none."""

    report: OrderReport
    others: tuple[OrderReport, ...] = ()


class ProvenAbsent(msgspec.Struct, frozen=True, kw_only=True):
    """The venue never took the order, and can no longer."""

    evidence: str


class Inconclusive(msgspec.Struct, frozen=True, kw_only=True):
    reason: str


Verdict = Found | ProvenAbsent | Inconclusive


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """An unknown outcome being looked up. `lost_at_s` is the last moment at which the bytes can have left.

    `check` asks for less: the venue itself said NO, and one complete search, at any time, must agree.
    """

    lost_at_s: float
    timing: Timing
    check: bool = False
    empties: tuple[Search, ...] = ()
    last: Search | None = None
    failures: int = 0  # in a row
    ran_s: float = 0.0  # what the clocks have counted, up to `running_since_s`
    running_since_s: float | None = None  # None: they stand still

    @classmethod
    def begin(cls, now_s: float, timing: Timing, *, check: bool = False) -> "Lookup":
        return cls(lost_at_s=now_s, timing=timing, check=check, running_since_s=now_s)

    @property
    def proof_from_s(self) -> float:
        """A search that starts earlier than this may find, but proves no absence."""
        return self.lost_at_s if self.check else self.lost_at_s + self.timing.quiet_s

    def next_search_s(self) -> float:
        """When the next search should start."""
        if self.last is None:
            return self.proof_from_s
        gaps = min(2 ** max(self.failures - 1, 0), FAILED_GAPS_MAX)
        return max(self.proof_from_s, self.last.ended_s + self.timing.search_gap_s * gaps)

    def age_s(self, now_s: float) -> float:
        """How long this has been unknown while a complete lookup was possible."""
        return self.ran_s + (0.0 if self.running_since_s is None else max(0.0, now_s - self.running_since_s))

    def vote(self, now_s: float) -> Level:
        """What the venue's level should be because of this order."""
        age_s = self.age_s(now_s)
        if age_s >= self.timing.halt_after_s:
            return Level.HALTED
        return Level.READ_ONLY if age_s >= self.timing.read_only_after_s else Level.NONE

    def next_vote_s(self, now_s: float) -> float | None:
        """When the vote changes if the clocks run on; None when they stand still or have nothing left to say."""
        if self.running_since_s is None:
            return None
        ahead = [
            t for t in (self.timing.read_only_after_s, self.timing.halt_after_s) if t > self.age_s(now_s)
        ]
        return now_s + ahead[0] - self.age_s(now_s) if ahead else None

    def searched(self, search: Search) -> "tuple[Lookup, Verdict]":
        """The lookup after one more search, and what is known by it."""
        if search.error is not None:
            return self._failed(search), Inconclusive(reason=f"the search failed: {search.error}")
        running_since_s = search.started_s if self.running_since_s is None else self.running_since_s
        after = msgspec.structs.replace(self, last=search, failures=0, running_since_s=running_since_s)
        if search.hits:
            return after, Found(report=search.hits[0], others=search.hits[1:])
        if search.started_s < self.proof_from_s - ROUNDING_S:
            return after, Inconclusive(reason="nothing found, but the deadline is not over")
        if (
            self.empties
            and search.started_s - self.empties[-1].ended_s < self.timing.search_gap_s - ROUNDING_S
        ):
            return after, Inconclusive(reason="nothing found, but too soon after the search before")
        after = msgspec.structs.replace(after, empties=(*self.empties, search))
        if self.check or len(after.empties) >= 2:
            return after, ProvenAbsent(evidence=self._evidence(after.empties))
        return after, Inconclusive(reason="nothing found once")

    def _failed(self, search: Search) -> "Lookup":
        return msgspec.structs.replace(
            self,
            last=search,
            failures=self.failures + 1,
            ran_s=self.age_s(search.started_s),
            running_since_s=None,
        )

    def _evidence(self, searches: Sequence[Search]) -> str:
        after_s = ", ".join(f"{search.started_s - self.lost_at_s:.3f}" for search in searches)
        if self.check:
            return f"the venue said no; an empty, complete search {after_s} s later agrees"
        return (
            f"{len(searches)} empty, complete searches {after_s} s after the bytes can last have left, "
            f"deadline {self.timing.deadline_s} s + skew {self.timing.skew_s} s"
        )


def hits(reports: Sequence[OrderReport], client_id: str) -> tuple[OrderReport, ...]:
    """The orders of a search that carry our client id, one report per order: closed beats open, later beats earlier.
    What a conditional close made is another order, whatever client id the venue shows with it."""
    by_order: dict[str, OrderReport] = {}
    for report in reports:
        if report.cl_ord_id == client_id and report.parent_id is None:
            known = by_order.get(report.order_id)
            by_order[report.order_id] = report if known is None else known.merged(report)
    return tuple(by_order.values())
