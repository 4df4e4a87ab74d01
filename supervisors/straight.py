"""The straight road: the decision that is made most often, and under time pressure, made in one piece.

A child that may be restarted at once fails: no delay, no gate, no budget of its own, the breaker closed, the window
not spent; under one_for_all and rest_for_one those that go down with it are of the same kind, and run. Then it is known
beforehand what is to be done: two reports, the stops, the starts. The general road (core.py) decides the same in thirty
calls and more, a value for each thing told and each thing answered; an order that is not watched for so much longer is
what that costs. Here the core is told by calls, and gives the events and what it asks for next.

Whatever is not that simple takes the general road, from the start or from the middle: a stop or a start that takes
time, fails or is answered otherwise is told by `handle`. Both roads say the same and leave the same state:
tests/supervisors/test_straight.py holds them side by side.
"""

from collections.abc import Hashable
from typing import Any

from allstop.actors.errors import Fatal
from allstop.actors.events import ChildStarted, ChildTerminated, RestartScheduled
from allstop.actors.exits import Exit, ExitKind
from allstop.actors.spec import Restart, Strategy
from allstop.supervisors import decisions as d
from allstop.supervisors.backoff import Failures
from allstop.supervisors.children import DOWN, RESTARTING, RUNNING, STARTING, STOPPING, Child
from allstop.supervisors.degrade import CLOSED
from allstop.supervisors.errors import ChildEnded
from allstop.supervisors.plan import Purpose, in_words
from allstop.supervisors.requests import Requests

# An enum's attribute costs a lookup through its metaclass.
PERMANENT = Restart.PERMANENT
ONE_FOR_ALL = Strategy.ONE_FOR_ALL
CRASHED = ExitKind.CRASHED
RESTART = Purpose.RESTART
ORIGIN = RESTART.value
ENDED_AS_ASKED = ExitKind.SHUTDOWN.value  # `SHUTDOWN` in words

Asked = d.StartChild | d.StopChildren
Failed = tuple[ChildTerminated, RestartScheduled, Asked]


class Straight(Requests):
    """What a plain restart asks of the core."""

    def failed_plainly(
        self, child_id: Hashable, incarnation: int, exit_: Exit, now_s: float, at_ns: int
    ) -> Failed | None:
        """What `Ended` comes to: what is to be said, and what is asked for, with everything noted that the general
        road notes. None, and nothing noted, where this is not the way."""
        child = self.children.get(child_id)
        if (
            child is None
            or not child.straight
            or child.state is not RUNNING
            or child.incarnation != incarnation
            or self.breaker.state is not CLOSED
            or self._plan
        ):
            return None
        error, spec = exit_.error, child.spec
        clean = exit_.kind is not CRASHED and exit_.clean
        if error is None:
            if clean and spec.restart is not PERMANENT:
                return None
        elif error.__cause__ is None and not hasattr(
            error, "causes"
        ):  # most errors: `fatal` and the words in short
            if isinstance(error, Fatal) or clean:
                return None
        elif clean or exit_.fatal:
            return None
        members = None if self._alone else self._that_go_down_with(child)
        if members is None and not self._alone:
            return None
        left = self.window.take(now_s)
        if left == 0:
            return None
        name = child.name
        if error is None:
            error = ChildEnded(child_id, exit_)
            ended, failed, reason = (), in_words(error), str(exit_)
        else:
            ended = failed = in_words(error)
            reason = f"{exit_.kind!s}: {failed[0]}"
        self._causes.append(error)
        failures = child.failures
        up_since_s = failures.up_since_s
        attempt = (
            1 if up_since_s is not None and now_s - up_since_s >= child.reset_s else failures.in_a_row + 1
        )
        child.failures = Failures(attempt)
        child.last_reason = reason
        child.incarnation = None
        self._purpose, self._origin = RESTART, ORIGIN
        if members is None:
            child.state = STARTING
            group = (name,)
            asked = self._asked = d.StartChild(spec, attempt)
        else:
            child.state = DOWN
            group = tuple([member.name for member in members])
            asked = self._plan_plainly(child, members)
        return (
            ChildTerminated(
                at_ns=at_ns,
                path=self.path,
                child=name,
                incarnation=incarnation,
                reason=reason,
                clean=clean,
                causes=ended,
                budget_left=left,
            ),
            RestartScheduled(
                at_ns=at_ns,
                path=self.path,
                child=name,
                attempt=attempt,
                delay_s=0.0,
                budget_left=left - 1,
                incarnation=incarnation,
                causes=failed,
                strategy=self._strategy,
                group=group,
            ),
            asked,
        )

    def _that_go_down_with(self, failed: Child) -> list[Child] | None:
        """The group of it, in start order, itself among them. None where one of them is not as simple as it."""
        members: list[Child] = []
        within = self.flags.strategy is ONE_FOR_ALL
        for child in self.children.values():
            if child is failed:
                within = True
            elif not within:
                if child.state is RESTARTING:  # it leads: the group starts from there
                    return None
                continue
            elif child.state is not RUNNING or not child.straight:
                return None
            members.append(child)
        return members

    def _plan_plainly(self, failed: Child, members: list[Child]) -> Asked:
        put = self._plan.append
        for child in reversed(members):
            if child is not failed:
                spec = child.spec
                put(d.StopChildren((d.StopChild(spec.id, child.ref, spec.effective_shutdown),)))
        for child in members:
            put(d.StartChild(child.spec, child.failures.in_a_row or 1))
        return self._next_plainly()

    def _next_plainly(self) -> Asked:
        """The next command of a plan that holds nothing but stops and starts."""
        asked: Any = self._plan.popleft()
        self._asked = asked
        if asked.__class__ is d.StartChild:
            self.children[asked.spec.id].state = STARTING
        else:
            self.children[asked.stops[0].child_id].state = STOPPING
        return asked

    def stopped_plainly(self) -> Asked:
        """The child that was to be stopped ended with SHUTDOWN. What is asked for next."""
        asked: Any = self._asked
        child = self.children[asked.stops[0].child_id]
        child.last_reason = ENDED_AS_ASKED
        child.state = DOWN
        child.incarnation = None
        return self._next_plainly()

    def started_plainly(
        self, ref: object, incarnation: int, now_s: float, at_ns: int
    ) -> tuple[ChildStarted, Asked | None]:
        """The child that was to be started runs. What is to be said, and what is asked for next, if anything is."""
        asked: Any = self._asked
        child = self.children[asked.spec.id]
        child.state = RUNNING
        child.ref, child.incarnation = ref, incarnation
        child.failures = Failures(child.failures.in_a_row, now_s)
        started = ChildStarted(
            at_ns=at_ns,
            path=self.path,
            child=child.name,
            incarnation=incarnation,
            attempt=asked.attempt,
            origin=self._origin,
        )
        if self._plan:
            return started, self._next_plainly()
        self._asked = None
        return started, None
