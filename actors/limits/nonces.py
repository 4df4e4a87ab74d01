"""Nonces of one API key: always greater, across restarts, steps of the clock and two calls in one instant.

A nonce is the wall clock in nanoseconds where that is greater than all before it, else one more than the last. None
is given out above `reserved`, which is on disk: the next process starts above it, so it need not know the last.
"""

import msgspec

# How far ahead the disk promises: a minute of nanoseconds. Larger blocks mean fewer writes, and a larger jump of
# the nonce after a restart, which nothing minds.
BLOCK = 60_000_000_000
GAP = 1_000_000_000  # the jump after "Invalid nonce": another writer was at most this far ahead, or is fenced


class Nonces(msgspec.Struct, frozen=True):
    last: int = 0
    reserved: int = 0

    def next(self, wall_ns: int) -> "Nonces":
        """With the next nonce as `last`. It may only be used once `covered`."""
        return Nonces(max(wall_ns, self.last + 1), self.reserved)

    @property
    def covered(self) -> bool:
        """Whether the disk already promises that no later process will use `last` again."""
        return self.last <= self.reserved

    @property
    def low(self) -> bool:
        """Less than half a block is left: time to reserve, before anyone has to wait for it."""
        return self.reserved - self.last < BLOCK // 2

    def wanted(self, wall_ns: int) -> int:
        """The high-water to write down now: a block ahead of the clock, or a little ahead of a nonce that is so already.
        Restart upon restart then adds that little, and not a block each."""
        return max(wall_ns + BLOCK, max(self.last, self.reserved) + GAP)

    def reserving(self, high: int) -> "Nonces":
        """After `high` was committed."""
        return Nonces(self.last, max(self.reserved, high))

    def after(self, earlier: "Nonces") -> "Nonces":
        """Above all that was given out before, whatever the disk was promised of it."""
        return Nonces(max(self.last, earlier.last), self.reserved)

    def jumped(self, wall_ns: int) -> "Nonces":
        """After the venue refused a nonce as too small: past now and past a gap."""
        return Nonces(max(wall_ns, self.last) + GAP, self.reserved)


def restored(high: int) -> Nonces:
    """After a restart: everything up to the promise counts as used."""
    return Nonces(high, high)
