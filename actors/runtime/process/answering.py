"""Where the answer to a question from the other process goes."""

from collections.abc import Callable
from typing import Any

from allstop.actors.runtime.scheduler import Scheduler


class Answering:
    """Looks like a future to `Call`, from any thread: `answered(number, value, error)` runs on the loop."""

    def __init__(
        self, scheduler: Scheduler, answered: Callable[[int, Any, BaseException | None], None], number: int
    ) -> None:
        self._scheduler = scheduler
        self._answered = answered
        self._number = number
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, value: Any) -> None:
        self._resolve(value, None)

    def set_exception(self, error: BaseException) -> None:
        self._resolve(None, error)

    def _resolve(self, value: Any, error: BaseException | None) -> None:
        self._done = True
        self._scheduler.hop(self._answered, self._number, value, error)
