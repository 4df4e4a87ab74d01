"""How a supervisor's breaker reaches the trading level: votes, told to the root, which alone writes the board."""

from dataclasses import dataclass

from allstop.actors.levels import CastVote, Level, Scope, Vote, WithdrawVote
from allstop.actors.runtime import Ref
from allstop.actors.runtime.arguments import want, want_ref

__all__ = ["CastVote", "Votes", "WithdrawVote"]


@dataclass(frozen=True, slots=True)
class Votes:
    """Where a supervisor votes, for which scope, and how low: while its breaker is open or half-open, and once it is
    latched (or a child gave up, with `on_exceeded=LATCH`). NONE: no vote."""

    to: Ref
    scope: Scope
    open_level: Level = Level.READ_ONLY
    latched_level: Level = Level.READ_ONLY

    def __post_init__(self) -> None:
        want_ref("to", self.to)
        want("scope", self.scope, tuple, "a tuple of names, as ('kraken', 'main')")
        want("open_level", self.open_level, Level, "a Level")
        want("latched_level", self.latched_level, Level, "a Level")

    def cast(self, by: str, reason: str, *, latched: bool) -> None:
        level = self.latched_level if latched else self.open_level
        if level is not Level.NONE:
            self.to.tell(CastVote(Vote(by, self.scope, level, reason), latched))

    def withdraw(self, by: str, *, by_person: bool) -> None:
        self.to.tell(WithdrawVote(by, self.scope, by_person))
