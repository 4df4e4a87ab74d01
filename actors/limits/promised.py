"""A meter whose worst case is on disk, so that a restarted ledger never believes it has more room than it has.

What is written is not each charge but a promise above them: "at this moment the level is at most so much". Both decay
alike, so the promise stays true until charges have used up the block it was written with; then the next is due. A
restarted ledger starts at the promise, decayed by the time since: at most one block above the truth.

A meter that is charged seldom and a little would be written at each charge, because the last promise has decayed
meanwhile. So a row may promise a `floor`, too: "and at no later time is it more than that, without another row". A
restarted ledger starts at the floor at least, whatever has decayed: at most so much above the truth.
"""

import msgspec

from allstop.actors.limits.meter import Meter


class Promised(msgspec.Struct, frozen=True, kw_only=True):
    """A meter and the promise that bounds it. `block`: how much may be charged before the next write. `floor`: the
    level that a row promises for good, and `standing`, the one that the disk does."""

    meter: Meter
    promise: Meter
    block: float
    floor: float = 0.0
    standing: float = 0.0

    def covered(self, now_s: float) -> bool:
        """Whether the promise on disk still bounds the level."""
        level = self.meter.level_at(now_s)
        return level <= max(self.standing, self.promise.level_at(now_s)) + 1e-9

    def with_meter(self, meter: Meter) -> "Promised":
        return msgspec.structs.replace(self, meter=meter)

    def renewed(self, now_s: float) -> "Promised":
        """With a promise one block above the level, as it must be written before the level is used."""
        promise = self.meter.taken(self.block, now_s)
        return msgspec.structs.replace(self, promise=promise, standing=self.floor)


def fresh(meter: Meter, block: float, floor: float = 0.0) -> Promised:
    """A meter that nothing was ever written about: it starts where it stands, and promises nothing more."""
    return Promised(meter=meter, promise=meter, block=block, floor=floor)


def restored(
    meter: Meter,
    promised: float,
    age_s: float,
    now_s: float,
    block: float,
    floor: float = 0.0,
    standing: float = 0.0,
) -> Promised:
    """`meter`, at the worst that was promised `age_s` ago, `standing` included. A wall clock that went back counts as
    no time at all."""
    at_worst = meter.synced(max(promised - meter.decay_per_s * max(0.0, age_s), standing), now_s)
    return Promised(meter=at_worst, promise=at_worst, block=block, floor=floor, standing=standing)
