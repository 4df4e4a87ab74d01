"""What the guardian proves to the order gate: it can read the venue, and has audited every position's cover.

Proven by looks, not by time: one that fails is no proof that the guardian is blind; none for as long as a proof lasts
is, whether or not the next look has failed by then.
"""

import msgspec

from allstop.actors.commands import Proof
from allstop.actors.order_gate import GateWord
from allstop.actors.runtime import Actor, Ref, Timer

LATE_S = 0.01  # a timer may come a moment early


class Blind(msgspec.Struct, frozen=True):
    """To the guardian itself: by now its last look is too old to prove anything."""


class AuditProof:
    """One incarnation's. `lasts_s`: how long after a look it proves. `audited_s`: when that was; None before the first.
    `cleared`: what stood uncovered when this incarnation began is covered; what appears later does not stop trading."""

    def __init__(self, guardian: Actor, gate: Ref | None, lasts_s: float) -> None:
        self._guardian = guardian
        self._gate = None if gate is None else GateWord(gate)
        self._lasts_s = lasts_s
        self.audited_s: float | None = None
        self.reachable = True
        self.cleared = False
        self._why = ""
        self._timer: Timer | None = None  # runs while the venue cannot be read

    @property
    def audited(self) -> bool:
        return self.audited_s is not None

    def seen(self) -> None:
        """The venue was read."""
        self.reachable, self._why = True, ""
        self.audited_s = self._guardian.clock.now_s()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def unseen(self, why: str) -> None:
        """The venue could not be read."""
        self.reachable, self._why = False, why
        self.tell()
        if self.audited_s is None or self._timer is not None:
            return
        left_s = self.audited_s + self._lasts_s - self._guardian.clock.now_s()
        if left_s >= 0:
            self._timer = self._guardian.send_after(left_s + LATE_S, Blind())

    def ran_out(self) -> None:
        """Its time is over."""
        self._timer = None
        self.tell()

    def tell(self) -> None:
        """To the gate, where it is news there."""
        if self._gate is None:
            return
        now_s = self._guardian.clock.now_s()
        reason = self._why or ("" if self.cleared else "a position stands without cover")
        recent = self.audited_s is not None and now_s - self.audited_s <= self._lasts_s
        holds = self.cleared and (recent or self.reachable)
        self._gate.tell(
            Proof(name="guardian", holds=holds, at_s=now_s, by=self._guardian.path, reason=reason)
        )
