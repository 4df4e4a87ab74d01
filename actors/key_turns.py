"""Who waits for the turn of one API key, who gets it next, and when that can change: decided for the account's ledger."""

import math

import msgspec

from allstop.actors.errors import Refused
from allstop.actors.ledger_messages import KeyStopped, RateRefused, TakeTurn
from allstop.actors.limits.lanes import Lane
from allstop.actors.limits.nonces import Nonces
from allstop.actors.limits.promised import Promised
from allstop.actors.runtime import Reply, Timer

WAITING_MAX = 200  # callers waiting for a turn: several times the actors of an account, more is a loop
BAD_NONCES_MAX = 3  # more in a minute mean a second writer on the key
BAD_NONCES_WINDOW_S = 60.0
WANTED_S = 10.0  # a call that found no room counts as wanted for so long: who was refused comes again
REFUSED_WAIT_MIN_S = 0.1  # what a refused caller is told to wait at least: it must not spin


class Waiter(msgspec.Struct, kw_only=True):
    take: TakeTurn
    reply: Reply
    cost: float
    order: tuple[int, int]  # lane, then arrival
    until_s: float

    @property
    def lane(self) -> Lane:
        return self.take.lane


class KeyTurns(msgspec.Struct, kw_only=True):
    """One API key's share of the ledger. Not a value: it changes as the ledger works."""

    name: str
    nonces: Nonces
    rest: Promised
    held: TakeTurn | None = None
    held_until_s: float = 0.0
    waiting: list[Waiter] = msgspec.field(default_factory=list[Waiter])
    wake: Timer | None = None
    cool_until_s: float = 0.0
    stopped: str = ""
    bad_nonces_s: tuple[float, ...] = ()
    voted: bool = False
    wanted_s: float = -math.inf  # when a call that protects nothing last found no room

    @property
    def full(self) -> bool:
        return len(self.waiting) >= WAITING_MAX

    def queue(self, waiter: Waiter) -> None:
        """By lane, then by age."""
        self.waiting.append(waiter)
        self.waiting.sort(key=lambda one: one.order)

    def free(self, cost: float, now_s: float, lane: Lane) -> bool:
        """Whether a caller that comes now has the turn at once: nobody holds it or waits for it, and there is room."""
        return (
            self.held is None
            and not self.waiting
            and now_s >= self.cool_until_s
            and self.rest.meter.wait_s(cost, now_s, lane) <= 0
        )

    def first_ready(self, now_s: float) -> Waiter | None:
        """The first waiter with room. One that must wait for room lets only those pass that need none."""
        if now_s < self.cool_until_s:
            return None
        blocked = False
        for waiter in self.waiting:
            if waiter.cost <= 0 or (
                not blocked and self.rest.meter.wait_s(waiter.cost, now_s, waiter.lane) <= 0
            ):
                return waiter
            blocked = True
        return None

    def note_wanted(self, now_s: float) -> None:
        """Remembers whether anybody waits for room now, other than to protect."""
        if self._short(now_s):
            self.wanted_s = now_s

    def wanted(self, now_s: float) -> bool:
        """Whether a call that protects nothing waits for room, or did of late."""
        return self._short(now_s) or now_s - self.wanted_s <= WANTED_S

    def _short(self, now_s: float) -> bool:
        return any(
            waiter.lane > Lane.PROTECT and self.rest.meter.wait_s(waiter.cost, now_s, waiter.lane) > 0
            for waiter in self.waiting
        )

    def refusal(self, waiter: Waiter, now_s: float) -> Refused:
        """Why this waiter gets no turn: the key is stopped, or its time is over."""
        if self.stopped:
            return KeyStopped(self.stopped, place=self.name)
        wait_s = max(
            self.rest.meter.wait_s(waiter.cost, now_s, waiter.lane),
            self.cool_until_s - now_s,
            REFUSED_WAIT_MIN_S,
        )
        return RateRefused("no turn in time", place=waiter.take.path, retry_after_s=wait_s)

    def changes_at_s(self, now_s: float) -> float | None:
        """The next moment at which anything can change by itself. None when nobody waits."""
        if not self.waiting:
            return None
        moments = [waiter.until_s for waiter in self.waiting]
        if self.held is not None:
            moments.append(self.held_until_s)
        else:
            first = self.waiting[0]
            moments.append(
                max(self.cool_until_s, now_s + self.rest.meter.wait_s(first.cost, now_s, first.lane))
            )
        return min(moments)

    def note_bad_nonce(self, now_s: float) -> bool:
        """Whether there were so many of late that somebody else must be using this key."""
        recent = tuple(at_s for at_s in self.bad_nonces_s if at_s > now_s - BAD_NONCES_WINDOW_S)
        self.bad_nonces_s = (*recent, now_s)[-(BAD_NONCES_MAX + 1) :]
        return len(self.bad_nonces_s) > BAD_NONCES_MAX
