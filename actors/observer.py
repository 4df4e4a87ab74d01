"""What happened since the start, counted: the numbers behind `allstop status`."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from allstop.actors.events import ChildStarted, ChildTerminated, Event, GaveUp, LevelChanged
from allstop.actors.runtime import Actor

RECENT_MAX = 500  # events kept for looking at; the journal keeps the rest


class Observer(Actor):
    """Counts the events of its system. Asked "counts" it answers {crashes, restarts, escalations, level_changes, ...},
    asked "recent" the last events. Temporary: when it fails, nobody else notices."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._recent: deque[Event] = deque(maxlen=RECENT_MAX)
        self._unsubscribe: Callable[[], None] | None = None

    def on_start(self) -> None:
        self._unsubscribe = self.system.subscribe(self._count)

    def on_stop(self, exit_: Any) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()

    def on_receive(self, message: object) -> object:
        match message:
            case "counts":
                return dict(self._counts)
            case "recent":
                return tuple(self._recent)
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    def _count(self, event: Event) -> None:
        self._recent.append(event)
        match event:
            case ChildTerminated(clean=False):
                self._counts["crashes"] += 1
            case ChildStarted() if event.attempt > 0:
                self._counts["restarts"] += 1
            case GaveUp():
                self._counts["escalations"] += 1
            case LevelChanged():
                self._counts["level_changes"] += 1
            case _:
                return
