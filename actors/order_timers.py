"""The timers of one order: one of each kind."""

from dataclasses import dataclass

from allstop.actors.runtime import Actor, Timer


@dataclass(frozen=True)
class Due:
    """To a tracker, from itself: a timer went off. `what`: send, search, query or clock."""

    what: str


class OrderTimers:
    """Those of one incarnation of a tracker, which is told `Due`."""

    def __init__(self, tracker: Actor) -> None:
        self._tracker = tracker
        self._timers: dict[str, Timer] = {}

    def after(self, what: str, delay_s: float) -> None:
        """A later wish takes the place of an earlier one."""
        self.cancel(what)
        self._timers[what] = self._tracker.send_after(delay_s, Due(what))

    def went_off(self, due: Due) -> None:
        self._timers.pop(due.what, None)

    def cancel(self, what: str) -> None:
        if timer := self._timers.pop(what, None):
            timer.cancel()
