"""The states of an incarnation. A life only moves forward through them."""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILING = "failing"
    ENDED = "ended"


# An enum's attribute costs a lookup through its metaclass; these are read on hot paths.
STARTING: Final = State.STARTING
RUNNING: Final = State.RUNNING
STOPPING: Final = State.STOPPING
FAILING: Final = State.FAILING
ENDED: Final = State.ENDED
ORDER: Final = {state: place for place, state in enumerate(State)}


def is_later(state: State, than: State) -> bool:
    return ORDER[state] > ORDER[than]
