"""Whether a failure means that nothing out there answered at all: a network that is away, and no venue that fails.

A breaker latches after `max_trips` because somebody should look at what keeps failing. When nothing answers there is
nothing to look at on this side, and trading has to go on by itself when it is back.
"""

from collections.abc import Iterable
from typing import Final

from allstop.actors.errors import Category
from allstop.actors.exits import causes
from allstop.actors.ports import ConnectFailed, HttpNoReply, HttpNotSent, LinkClosed

ABNORMAL: Final = 1006  # a WebSocket that ended without a close frame: nobody said why
# What a child that lives reports when no answer came to it (actors/call_reports.py).
CATEGORIES: Final = frozenset({Category.NETWORK.value, Category.TIMEOUT.value})


def unanswered(error: BaseException) -> bool:
    """By the error, or by what it came from: no connection was made, or no reply came."""
    return any(
        isinstance(cause, HttpNotSent | HttpNoReply)
        or (isinstance(cause, ConnectFailed) and not cause.answered)
        for cause in causes(error)
    )


def dropped(error: BaseException) -> bool:
    """Whether a connection ended without a word of why. An edge before a venue that is down takes connections, and drops
    them; a venue that wants to be rid of us says so with a code."""
    return any(isinstance(cause, LinkClosed) and cause.code == ABNORMAL for cause in causes(error))


def away(errors: Iterable[BaseException]) -> bool:
    """Whether these failures, one after the other, are the network's going away: connections that ended, and then
    nobody who answered."""
    found = tuple(errors)
    ended = all(
        unanswered(error) or any(isinstance(one, LinkClosed) for one in causes(error)) for error in found
    )
    return ended and any(map(unanswered, found))
