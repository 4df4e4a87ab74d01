"""The alert channel that cannot fail: what a person must know, as log events, one open alert per cause."""

from collections.abc import Callable
from typing import Any

from allstop.actors.events import BreakerChanged, Event, GaveUp, HaltProven, LevelChanged, ShutdownOverrun
from allstop.actors.levels import Level
from allstop.actors.runtime import Actor

OPEN_MAX = 1_000  # causes remembered as open; more than these are told again


class LogChannel(Actor):
    """Logs level changes, breakers, supervisors that gave up and children that had to be killed.

    An alert stays open until its cause is over (a level back at NONE, a breaker closed); while it is open the same
    cause is not logged again.
    """

    def __init__(self) -> None:
        self._open: dict[str, str] = {}
        self._unsubscribe: Callable[[], None] | None = None

    def on_start(self) -> None:
        self._unsubscribe = self.system.subscribe(self._told)

    def on_stop(self, exit_: Any) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()

    def on_receive(self, message: object) -> object:
        match message:
            case "open":
                return dict(self._open)
            case Event():
                self._say(message)
                return None
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    def _told(self, event: Event) -> None:
        if isinstance(event, (LevelChanged, BreakerChanged, GaveUp, ShutdownOverrun, HaltProven)):
            self.ref.tell(event)

    def _say(self, event: Event) -> None:
        match event:
            case LevelChanged():
                scope = "/".join(event.scope) or "everything"
                if event.now > event.before:
                    self._raise(f"level:{scope}", f"{scope} at {event.now.name}", "level.lowered", event.now >= Level.EMERGENCY,
                                scope=scope, now=event.now.name, by=event.by, reason=event.reason)  # fmt: skip
                else:
                    self._clear(
                        f"level:{scope}", "level.raised", scope=scope, now=event.now.name, by=event.by
                    )
            case BreakerChanged(state="closed"):
                self._clear(f"breaker:{event.path}", "breaker.closed", path=event.path)
            case BreakerChanged(state="open" | "latched"):
                self._raise(f"breaker:{event.path}", event.state, "breaker.opened", event.state == "latched",
                            path=event.path, state=event.state, trips=event.trips)  # fmt: skip
            case GaveUp():
                self._raise(f"gave_up:{event.path}", event.offender, "supervisor.gave_up", True,
                            path=event.path, offender=event.offender, causes=list(event.causes), action=event.action)  # fmt: skip
            case ShutdownOverrun():
                self._raise(f"overrun:{event.path}:{event.child}", "overrun", "child.killed", event.unstopped,
                            path=event.path, child=event.child, unstopped=event.unstopped)  # fmt: skip
            case HaltProven():
                self.log.warning(
                    "halt.proven",
                    account=event.account,
                    after_s=event.after_s,
                    canceled=event.canceled,
                    kept=event.kept,
                )
            case _:
                return

    def _raise(self, cause: str, what: str, name: str, critical: bool, **keys: object) -> None:
        if self._open.get(cause) == what:
            return
        if len(self._open) >= OPEN_MAX:
            self._open.pop(next(iter(self._open)))
        self._open[cause] = what
        (self.log.critical if critical else self.log.warning)(name, **keys)

    def _clear(self, cause: str, name: str, **keys: object) -> None:
        if self._open.pop(cause, None) is not None:
            self.log.info(name, **keys)
