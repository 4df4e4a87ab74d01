"""How a supervisor's breaker reaches the trading level: votes, told to the root, which alone writes the board."""

from dataclasses import dataclass

import msgspec

from allstop.actors.levels import Level, Scope, Vote
from allstop.actors.runtime import Ref


class CastVote(msgspec.Struct, frozen=True):
    """To the root: take this vote in. A `latched` one stays until a person resets what cast it."""

    vote: Vote
    latched: bool = False


class WithdrawVote(msgspec.Struct, frozen=True):
    """To the root: the reason for my vote on `scope` is gone. A latched vote goes only when `by_person`."""

    by: str
    scope: Scope
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class Votes:
    """Where a supervisor votes, for which scope, and how low: while its breaker is open or half-open, and once it is
    latched (or a child gave up, with `on_exceeded=LATCH`). NONE: no vote."""

    to: Ref
    scope: Scope
    open_level: Level = Level.READ_ONLY
    latched_level: Level = Level.READ_ONLY

    def cast(self, by: str, reason: str, *, latched: bool) -> None:
        level = self.latched_level if latched else self.open_level
        self.to.tell(CastVote(Vote(by, self.scope, level, reason), latched))

    def withdraw(self, by: str, *, by_person: bool) -> None:
        self.to.tell(WithdrawVote(by, self.scope, by_person))
