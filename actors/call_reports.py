"""Telling one's supervisor how a remote call went, without dying of it.

A breaker opens on restarts that were spent, and on calls that fail while those who make them live. What counts as a
failure is that no answer came, or that what came cannot be trusted; a venue that says no has answered.
"""

import msgspec

from allstop.actors.errors import Category
from allstop.actors.runtime import Actor, MailboxFull


class CallReported(msgspec.Struct, frozen=True):
    """To a supervisor: a child's call succeeded (`category` None) or failed. While its breaker is half-open a failure
    opens it again, and a success counts towards closing it if it is a `probe`. No answer."""

    category: str | None
    probe: bool = True


def call_succeeded(actor: Actor) -> None:
    """The venue answered `actor`, whatever it said. Closes no half-open breaker: its probe is a question of its own."""
    _tell(actor, CallReported(None, probe=False))


def call_failed(actor: Actor, category: Category) -> None:
    """A call of `actor` failed, and the actor lives: TIMEOUT (no answer came), NETWORK (the way there failed) or DATA
    (what came cannot be trusted: a gap, a wrong checksum)."""
    _tell(actor, CallReported(category.value, probe=False))


def _tell(actor: Actor, report: CallReported) -> None:
    if actor.parent is None:
        return
    try:
        actor.parent.tell(report)
    except MailboxFull:
        return  # a supervisor that is busy for so long has more to learn from than one call
