"""The straight road: the decision that is made most often, and under time pressure, made in one piece.

A child that may be restarted at once fails alone under one_for_one: no delay, no gate, no budget of its own, the
breaker closed, the window not spent. Nothing is planned then, since nothing has to be stopped and one start is all
there is to do. The general road (core.py) decides the same in thirty calls; an order that is not watched for 50 us
more is what that costs. Whatever is not that simple takes the general road, and both give the same commands and leave
the same state: tests/supervisors/test_straight.py holds them side by side.
"""

from allstop.actors.events import ChildTerminated, RestartScheduled
from allstop.actors.spec import Restart
from allstop.supervisors import decisions as d
from allstop.supervisors.children import RUNNING, STARTING
from allstop.supervisors.degrade import CLOSED
from allstop.supervisors.errors import ChildEnded
from allstop.supervisors.plan import Purpose, in_words
from allstop.supervisors.requests import Requests

PERMANENT = Restart.PERMANENT  # an enum's attribute costs a lookup through its metaclass
RESTART = Purpose.RESTART
ORIGIN = RESTART.value


class Straight(Requests):
    """What a plain restart asks of the core."""

    def _straight(self, given: d.Ended, now_s: float, at_ns: int) -> tuple[d.Command, ...] | None:
        """What is to be done about this end, with everything noted that the general road notes; None, and nothing
        noted, where this is not the way."""
        child_id, incarnation, exit_ = given.child_id, given.incarnation, given.exit
        child = self.children.get(child_id)
        if (
            child is None
            or not child.straight
            or child.state is not RUNNING
            or child.incarnation != incarnation
            or not self._alone
            or self.breaker.state is not CLOSED
            or self._plan
        ):
            return None
        error, spec = exit_.error, child.spec
        clean = exit_.clean
        if (clean and spec.restart is not PERMANENT) or (error is not None and exit_.fatal):
            return None
        left = self.window.take(now_s)
        if left == 0:
            return None
        name = str(child_id)
        if error is None:
            error = ChildEnded(child_id, exit_)
            ended, failed, reason = (), in_words(error), str(exit_)
        else:
            ended = failed = in_words(error)
            reason = f"{exit_.kind!s}: {failed[0]}"
        self._causes.append(error)
        failures = child.failures = child.failures.failed(spec.backoff, now_s)
        attempt = failures.in_a_row
        child.last_reason = reason
        child.incarnation = None
        child.state = STARTING
        self._purpose, self._origin = RESTART, ORIGIN
        asked = self._asked = d.StartChild(spec, attempt)
        return (
            d.Report(
                ChildTerminated(
                    at_ns=at_ns,
                    path=self.path,
                    child=name,
                    incarnation=incarnation,
                    reason=reason,
                    clean=clean,
                    causes=ended,
                    budget_left=left,
                )
            ),
            d.Report(
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
                    group=(name,),
                )
            ),
            asked,
        )
