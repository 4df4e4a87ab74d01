"""The six trading levels, what each lets through, and the board that holds who voted for what.

A level is lowered by a vote on a scope and raised when the same voter withdraws its vote. What an order meets is
the worst vote on the path from the root to its instrument. Only the root writes the board; everyone may read it.
"""

import threading
from enum import IntEnum, StrEnum
from typing import ClassVar

import msgspec

Scope = tuple[str, ...]  # (), (venue,), (venue, account) or (venue, account, pair)
ROOT: Scope = ()


class Level(IntEnum):
    """Worse is greater, so that `max` is the worst."""

    NONE = 0
    RATE_LIMITED = 1
    CACHED_DATA = 2
    READ_ONLY = 3
    EMERGENCY = 4
    HALTED = 5


class IntentKind(StrEnum):
    PROTECT = "PROTECT"
    CANCEL = "CANCEL"
    QUERY = "QUERY"
    REDUCE = "REDUCE"
    ENTRY = "ENTRY"


class Origin(StrEnum):
    STRATEGY = "STRATEGY"
    GUARDIAN = "GUARDIAN"
    OPERATOR = "OPERATOR"


def permits(
    level: Level,
    kind: IntentKind,
    *,
    origin: Origin = Origin.STRATEGY,
    fresh: bool = True,
    within_ramp: bool = True,
) -> bool:
    """Whether an intent passes at a level. `fresh`: its instrument's data is proven fresh; `within_ramp`: the
    share of entries that a recovering venue admits is not used up."""
    match kind:
        case IntentKind.PROTECT | IntentKind.CANCEL | IntentKind.QUERY:
            return True
        case IntentKind.REDUCE:
            return level <= Level.READ_ONLY or origin is not Origin.STRATEGY
        case IntentKind.ENTRY:
            return (
                level is Level.NONE
                or (level is Level.RATE_LIMITED and within_ramp)
                or (level is Level.CACHED_DATA and fresh)
            )


class Vote(msgspec.Struct, frozen=True):
    """`by` (an actor's path, or a person) wants `scope` at `level` or worse, for `reason`."""

    by: str
    scope: Scope
    level: Level
    reason: str


class LevelBoard:
    """Who voted for what. The root writes it, and, while the loop hangs and nobody else can, the watchdog's thread.

    Reading is a plain method call, safe from any thread: each change makes a new dictionary.
    """

    __slots__ = ("_votes", "_writing")

    def __init__(self) -> None:
        self._votes: dict[tuple[str, Scope], Vote] = {}
        self._writing = threading.Lock()

    def cast(self, vote: Vote) -> bool:
        """Takes the vote in, in place of an earlier one by the same voter on the same scope. True: it changed something."""
        key = (vote.by, vote.scope)
        if vote.level is Level.NONE:
            return self.withdraw(vote.by, vote.scope)
        with self._writing:
            if self._votes.get(key) == vote:
                return False
            self._votes = {**self._votes, key: vote}
            return True

    def withdraw(self, by: str, scope: Scope) -> bool:
        key = (by, scope)
        with self._writing:
            if key not in self._votes:
                return False
            self._votes = {other: vote for other, vote in self._votes.items() if other != key}
            return True

    def effective(self, scope: Scope) -> Level:
        """The worst vote on the path from the root to `scope`."""
        worst = Level.NONE
        for vote in self._votes.values():
            if vote.level > worst and scope[: len(vote.scope)] == vote.scope:
                worst = vote.level
        return worst

    def votes(self, scope: Scope | None = None) -> tuple[Vote, ...]:
        """All votes, or those that bear on `scope`, worst first."""
        bearing = (v for v in self._votes.values() if scope is None or scope[: len(v.scope)] == v.scope)
        return tuple(sorted(bearing, key=lambda v: (-v.level, v.scope, v.by)))


class CastVote(msgspec.Struct, frozen=True):
    """To the halt root: take this vote in. A `latched` one stays until a person resets what cast it. No answer."""

    no_replay: ClassVar[bool] = True

    vote: Vote
    latched: bool = False


class WithdrawVote(msgspec.Struct, frozen=True):
    """To the halt root: the reason for the vote on `scope` is gone. A latched vote goes only when `by_person`; a halt
    that latched is not lifted by it. No answer."""

    no_replay: ClassVar[bool] = True

    by: str
    scope: Scope
    by_person: bool = False
