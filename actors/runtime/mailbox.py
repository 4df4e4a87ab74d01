"""How much mail may wait for an actor, and what happens to one message too many."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from allstop.actors.runtime.arguments import want_function, want_seconds

CONTROL_LANE_MAX: Final = (
    65_536  # a Down for every child of the largest dynamic supervisor we foresee, and room
)
CAPACITY: Final = 1_000  # 1,000 waiting messages of 1 ms are a second's delay: more is an outage, not a queue


class Overflow(StrEnum):
    """What a full mailbox does with one message more. What it drops becomes a dead letter."""

    REFUSE = "refuse"  # the sender gets MailboxFull: for commands, orders above all
    DROP_OLDEST = "drop_oldest"  # the longest waiting message gives way: for prices
    DROP_NEWEST = "drop_newest"  # the new message is dropped
    CONFLATE = (
        "conflate"  # a message replaces the waiting one of the same key; full of distinct keys, it refuses
    )
    BLOCK = "block"  # threads are parked; on the loop `await ref.put(message)`


class MailboxMetrics(msgspec.Struct, frozen=True):
    """What `system.mailbox_metrics(ref)` tells of one incarnation. Kept where a mailbox is full, so that a message that
    finds room pays nothing: `high_water` is the most that was seen waiting there, or when somebody looked."""

    length: int  # messages that wait now
    capacity: int
    overflow: Overflow
    high_water: int
    refused: int  # senders that got MailboxFull
    dropped: int  # messages that became dead letters because it was full
    conflated: int  # messages that took the place of an older one
    parked: int  # senders that had to wait


class Tally:
    """The counts of one incarnation, made at the first thing to count."""

    __slots__ = ("conflated", "dropped", "high_water", "parked", "refused")

    def __init__(self) -> None:
        self.high_water = 0
        self.refused = 0
        self.dropped = 0
        self.conflated = 0
        self.parked = 0


CONFLATE: Final = Overflow.CONFLATE  # an enum's attribute costs a lookup through its metaclass


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The bound of an actor's user lane: how many messages may wait behind the one that is being handed over. `key` is for CONFLATE; a message whose key is None is queued as it is.

    `put_timeout_s` is how long BLOCK may park a sender before it gets MailboxFull.
    """

    capacity: int = CAPACITY
    overflow: Overflow = Overflow.REFUSE
    key: Callable[[Any], Hashable] | None = None
    put_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.capacity, int) or isinstance(self.capacity, bool) or self.capacity < 1:
            raise ValueError(
                f"the capacity of a mailbox is a whole number of messages, at least one, not {self.capacity!r}"
            )
        if not isinstance(self.overflow, Overflow):
            words = ", ".join(Overflow)
            if self.overflow not in tuple(Overflow):
                raise ValueError(f"the overflow of a mailbox is one of {words}, not {self.overflow!r}")
            object.__setattr__(self, "overflow", Overflow(self.overflow))
        want_seconds("put_timeout_s", self.put_timeout_s, above=True)
        if self.key is not None:
            want_function("key", self.key)
        if (self.overflow is Overflow.CONFLATE) != (self.key is not None):
            raise ValueError("CONFLATE needs a key, and only CONFLATE takes one")
