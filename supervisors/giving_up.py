"""What a supervisor does when its budget is spent, and the life of the breaker that it may become.

By `on_exceeded` it ends and its parent decides, stays as the open breaker, or has trading halted. A breaker opens and
closes as degrade.py says; here is what that means for the children, the votes and the timers.
"""

from allstop.actors.exits import ReachedMaxRestartIntensity, crashed
from allstop.actors.spec import OnExceeded, Restart
from allstop.supervisors import decisions as d
from allstop.supervisors.children import Child
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.lasting import Latched
from allstop.supervisors.outages import CATEGORIES, away, dropped, unanswered
from allstop.supervisors.plan import Purpose
from allstop.supervisors.requests import Requests


class GivingUp(Requests):
    """The end of a budget, and the breaker."""

    def _exceed(self, child: Child, error: BaseException, *, fatal: bool) -> None:
        if child.spec.budget is not None and child.gave_up and not fatal:
            attempts = child.spec.budget.max_restarts
        elif fatal or self.window.exceeded:
            attempts = min(len(self.window), self.flags.max_restarts)
        else:
            attempts = child.failures.in_a_row - 1
        gave_up = ReachedMaxRestartIntensity(self.path, str(child.spec.id), attempts, tuple(self._causes))
        gave_up.__cause__ = error
        match self.flags.on_exceeded:
            case OnExceeded.ESCALATE:
                self._report_giving_up(gave_up, fatal, "escalate")
                self._say(d.LowerLevel(str(gave_up), latched=True))
                self._plan_stops(self.children.values())
                self._plan.append(d.GiveUp(crashed(gave_up)))
            case OnExceeded.PAUSE:
                self._report_giving_up(gave_up, fatal, "latch" if fatal else "pause")
                self._open(str(gave_up), latch=fatal, outage=self._went_away())
            case OnExceeded.LATCH:
                self._report_giving_up(gave_up, fatal, "latch")
                self._forget_unless_kept(child)
                self._say(d.Latch(child.spec.id, gave_up))

    def _went_away(self) -> bool:
        """Whether the budget was spent on nothing but a network that is away: the failures of its window say so, and
        nobody's call has succeeded since they began."""
        began_s = self.window.began_s
        recent = tuple(self._causes)[-len(self.window) or len(self._causes) :]
        return began_s is not None and self.breaker.answered_s < began_s and away(recent)

    def _still_away(self, error: BaseException) -> bool:
        """Whether what is on trial failed because nothing out there has answered anything since it began: no connection,
        no reply, or connections that are taken and dropped before they were of any use."""
        return self.breaker.answered_s < self.breaker.since_s and (unanswered(error) or dropped(error))

    def _open(self, reason: str, *, latch: bool, outage: bool = False) -> None:
        """The breaker opens: the level goes down first, then the children are stopped. `outage`: nothing answered."""
        self._cancel_cooldown()
        self.breaker = (
            self.breaker.latched(self._now_s)
            if latch
            else self.breaker.opened(self._now_s, counted=not outage)
        )
        self.window.clear()
        self._causes.clear()
        latched = self.breaker.state is BreakerState.LATCHED
        if latched:
            self._keep_latched(reason)
        self._say(d.LowerLevel(reason, latched))
        self._report_breaker(reason)
        if not latched:
            self._schedule_cooldown(self.breaker.retry_after_s(self._now_s))
        self._plan_stops(self.children.values())

    def _keep_latched(self, reason: str) -> None:
        """Only a person ends it, so it must not end with this supervisor either."""
        self._by_person = False  # what a person allowed is used up
        self.lasting.latched[self.path] = Latched(self.breaker, reason)

    def _half_open(self, reason: str = "") -> None:
        self._cancel_cooldown()
        self._report_breaker(reason)
        coming_back = [c for c in self.children.values() if c.spec.restart is not Restart.TEMPORARY]
        self._plan_starts(coming_back, Purpose.HALF_OPEN)
        if self.flags.pause.probes == 0:
            self._schedule_cooldown(self.flags.pause.cooldown_s)

    def _close(self) -> None:
        self._cancel_cooldown()
        self.window.clear()
        self._report_breaker()
        self._say(d.RaiseLevel(by_person=self._by_person))
        self._by_person = False

    def _cooldown_due(self, ticket: int) -> None:
        if ticket != self._cooldown:
            return
        self._cooldown = None
        match self.breaker.state:
            case BreakerState.OPEN:
                self.breaker = self.breaker.half_opened(self._now_s)
                self._half_open()
            case BreakerState.HALF_OPEN:  # nobody probes: staying up for so long is the proof
                self.breaker = self.breaker.closed(self._now_s)
                self._close()
            case _:
                pass

    def _call_reported(self, category: str | None, probe: bool) -> None:
        self._say(d.Reply(None))
        match self.breaker.state, category:
            case (BreakerState.HALF_OPEN, None) if not probe:
                self.breaker = self.breaker.answered(self._now_s)  # what closes it is asked on purpose
            case (BreakerState.HALF_OPEN, None):
                self.breaker = self.breaker.answered(self._now_s).probed(self._now_s)
                if self.breaker.state is BreakerState.CLOSED:
                    self._close()
            case (BreakerState.HALF_OPEN, failure):
                outage = failure in CATEGORIES and self.breaker.answered_s < self.breaker.since_s
                self._open(f"a probe failed: {failure}", latch=False, outage=outage)
            case (BreakerState.CLOSED, _) if self.flags.on_exceeded is OnExceeded.PAUSE:
                self.breaker = self.breaker.reported(category, self._now_s)
                worn = self.breaker.worn
                if worn is not None:
                    self._open(worn, latch=False)
            case _:
                pass  # an open breaker has no calls to judge, and without PAUSE there is no breaker

    def _reset_breaker(self, reason: str) -> None:
        self._say(d.Reply(None))
        self._by_person = True
        self.lasting.latched.pop(self.path, None)
        if self.breaker.stopped:
            self.breaker = self.breaker.reset(self._now_s)
            self._half_open(reason)
        elif self.breaker.state is BreakerState.CLOSED:
            self._say(d.RaiseLevel(by_person=True))
            self._by_person = False
