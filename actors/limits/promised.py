"""A meter whose worst case is on disk, so that a restarted ledger never believes it has more room than it has.

What is written is not each charge but a promise above them: "at this moment the level is at most so much". Both decay
alike, so the promise stays true until charges have used up the block it was written with; then the next is due. A
restarted ledger starts at the promise, decayed by the time since: at most one block above the truth.
"""

import msgspec

from allstop.actors.limits.meter import Meter


class Promised(msgspec.Struct, frozen=True, kw_only=True):
    """A meter and the promise that bounds it. `block`: how much may be charged before the next write."""

    meter: Meter
    promise: Meter
    block: float

    def covered(self, now_s: float) -> bool:
        """Whether the promise on disk still bounds the level."""
        return self.meter.level_at(now_s) <= self.promise.level_at(now_s) + 1e-9

    def with_meter(self, meter: Meter) -> "Promised":
        return msgspec.structs.replace(self, meter=meter)

    def renewed(self, now_s: float) -> "Promised":
        """With a promise one block above the level, as it must be written before the level is used."""
        return msgspec.structs.replace(self, promise=self.meter.taken(self.block, now_s))


def fresh(meter: Meter, block: float) -> Promised:
    """A meter that nothing was ever written about: it starts where it stands, and promises nothing more."""
    return Promised(meter=meter, promise=meter, block=block)


def restored(meter: Meter, promised: float, age_s: float, now_s: float, block: float) -> Promised:
    """`meter`, at the worst that was promised `age_s` ago. A wall clock that went back counts as no time at all."""
    at_worst = meter.synced(promised - meter.decay_per_s * max(0.0, age_s), now_s)
    return Promised(meter=at_worst, promise=at_worst, block=block)
