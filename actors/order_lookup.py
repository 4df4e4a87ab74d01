"""How a tracker finds out what became of an attempt: when it searches, and how low it votes while nobody knows."""

from allstop.actors.order_alarm import OrderAlarm
from allstop.actors.order_hand import SearchJob
from allstop.actors.order_timers import OrderTimers
from allstop.actors.protocols.lookup import Lookup, Search, Timing, Verdict
from allstop.actors.protocols.order_life import Life
from allstop.actors.runtime import Actor


class OrderLookup:
    """`current` is the lookup under way, if any (see protocols/lookup.py)."""

    def __init__(self, tracker: Actor, alarm: OrderAlarm, timers: OrderTimers, timing: Timing) -> None:
        self._tracker = tracker
        self._alarm = alarm
        self._timers = timers
        self._timing = timing
        self._last_inconclusive = ""
        self.current: Lookup | None = None

    def begin(self, *, check: bool) -> None:
        self.current = Lookup.begin(self._tracker.clock.now_s(), self._timing, check=check)
        self._search_soon(self.current)

    @property
    def checks(self) -> bool:
        """Whether the venue itself said NO, and a search must only agree."""
        return self.current is not None and self.current.check

    def job(self, life: Life) -> SearchJob:
        """What to search for."""
        first_ns = life.first_attempt_ns or life.at_ns
        return SearchJob(life.intent.id, first_ns - int(self._timing.skew_s * 1e9))

    def searched(self, search: Search) -> Verdict | None:
        """What is known by one more search. None when nothing is being looked up any more."""
        if self.current is None:
            return None
        self.current, verdict = self.current.searched(search)
        return verdict

    def is_news(self, reason: str) -> bool:
        """Whether the search before was inconclusive for another reason."""
        before, self._last_inconclusive = self._last_inconclusive, reason
        return reason != before

    def go_on(self, life: Life) -> None:
        """Nothing is proven: search again, and vote as the time that has passed calls for."""
        if self.current is not None:
            self._search_soon(self.current)
            self.vote(life)

    def vote(self, life: Life) -> None:
        if self.current is None:
            return
        now_s = self._tracker.clock.now_s()
        self._alarm.vote(life, self.current.vote(now_s), self.current.age_s(now_s))
        self._vote_soon(self.current, now_s)

    def end(self) -> None:
        """It is known."""
        self.current = None
        self._timers.cancel("search")
        self._timers.cancel("clock")

    def _search_soon(self, lookup: Lookup) -> None:
        now_s = self._tracker.clock.now_s()
        self._timers.after("search", max(0.0, lookup.next_search_s() - now_s))
        self._vote_soon(lookup, now_s)

    def _vote_soon(self, lookup: Lookup, now_s: float) -> None:
        if (vote_s := lookup.next_vote_s(now_s)) is not None:
            self._timers.after("clock", max(0.0, vote_s - now_s))
