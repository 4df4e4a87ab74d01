"""The order in which calls pass when a budget is short: protection first, new risk last."""

from enum import IntEnum

from allstop.actors.levels import IntentKind


class Lane(IntEnum):
    """Smaller goes first. A lane may never enter the capacity that is kept for the lanes before it."""

    PROTECT = 0
    CANCEL = 1
    QUERY = 2
    ENTRY = 3


_LANES = {
    IntentKind.PROTECT: Lane.PROTECT,
    IntentKind.REDUCE: Lane.CANCEL,  # taking risk off ranks with cancelling it
    IntentKind.CANCEL: Lane.CANCEL,
    IntentKind.QUERY: Lane.QUERY,
    IntentKind.ENTRY: Lane.ENTRY,
}


def lane_of(kind: IntentKind) -> Lane:
    """The lane in which an intent of this kind travels."""
    return _LANES[kind]
