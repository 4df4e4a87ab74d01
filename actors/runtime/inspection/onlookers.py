"""Who sees the steps of one incarnation: hooks, and a log. Whether it lives here (observer.py) or in a process of its own
(process/looking.py), what they see and what becomes of one that fails is the same."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allstop.actors.runtime.dead_letters import DeadLetter

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell

STEPS_MAX: Final = 10_000  # of a log: each keeps its message alive


class StepKind(StrEnum):
    """What happened, in the words of OTP's system events."""

    IN = "in"  # a message was handed to the actor
    OUT = "out"  # a call was answered with what the handler returned, or will be later (`defer`)
    NOREPLY = "noreply"  # a told message was handled
    RAISED = "raised"  # the handler raised


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an actor, as `trace`, `log` and hooks see it. `took_s` is the time from IN to here, waits included."""

    at_ns: int  # wall clock
    path: str
    incarnation: int
    kind: StepKind
    message: Any
    called: bool  # the sender waits for an answer
    result: Any = None  # the answer, or the exception
    took_s: float | None = None
    left_out: int = (
        0  # steps before this one that were not told: of a process that takes more than we can hear
    )


Hook = Callable[[Step], Any]
DONE: Final = "done"  # what a hook returns to be removed, as in OTP


class Onlookers(ABC):
    """Of one incarnation."""

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self.hooks: dict[Any, Hook] = {}
        self.log: deque[Step] | None = None

    @property
    def wanted(self) -> bool:
        return bool(self.hooks) or self.log is not None

    def show(self, step: Step) -> None:
        """A hook that raises is removed, and that becomes a dead letter: observers never hurt."""
        if self.log is not None:
            self.log.append(step)
        for key, hook in tuple(self.hooks.items()):
            try:
                over = hook(step) == DONE
            except Exception as error:  # noqa: BLE001 - see above
                over = True
                self._cell.system.dead_letters.add(DeadLetter(step, repr(hook), 0, error, kind="observer"))
            if over and self.hooks.pop(key, None) is not None:
                self.one_left()

    @abstractmethod
    def one_left(self) -> None:
        """A hook is there no more, and perhaps nobody is."""
