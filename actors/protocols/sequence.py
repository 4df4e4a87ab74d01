"""Whether numbered messages are all there: the gap detector of every stream that counts its messages."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    FIRST = "first"
    NEXT = "next"
    GAP = "gap"  # some between are missing: resubscribe and reconcile
    REPEAT = "repeat"  # this number, or a later one, was there before: drop it, or the venue started over


class Arrival(msgspec.Struct, frozen=True):
    """What one number told. `missing` is how many are missing before it."""

    verdict: Verdict
    missing: int = 0


class Sequence(msgspec.Struct, frozen=True):
    """The last number of one subscription; None before the first. A value: `seen` gives the next one."""

    last: int | None = None

    def seen(self, number: int) -> tuple["Sequence", Arrival]:
        """After a gap the sequence goes on from the new number: one loss is told once. A repeat changes nothing."""
        if self.last is None:
            return Sequence(number), Arrival(Verdict.FIRST)
        if number == self.last + 1:
            return Sequence(number), Arrival(Verdict.NEXT)
        if number > self.last:
            return Sequence(number), Arrival(Verdict.GAP, number - self.last - 1)
        return self, Arrival(Verdict.REPEAT)
