"""The votes at the root: which of them are latched, and the board that they lower and raise. Each change is an event."""

from allstop.actors.events import LevelChanged
from allstop.actors.levels import Level, LevelBoard, Scope, Vote
from allstop.actors.runtime import Actor
from allstop.supervisors.halting import halts, latched_venues, too_many_latched
from allstop.supervisors.votes import CastVote, WithdrawVote


class Ballot:
    """`root` alone casts and withdraws, and it is in its name that changes are told."""

    def __init__(self, root: Actor, board: LevelBoard) -> None:
        self._root = root
        self._board = board
        self._latched: dict[tuple[str, Scope], Vote] = {}

    def cast(self, cast: CastVote) -> tuple[bool, str | None]:
        """Takes a vote in: whether it changed anything, and why it means a halt of everything, if it does."""
        vote, key = cast.vote, (cast.vote.by, cast.vote.scope)
        latched = self._latched.get(key)
        if latched is not None and (vote.level, cast.latched) < (latched.level, True):
            return (
                False,
                None,
            )  # a latched vote is not softened by a later one of the same voter; a worse one counts
        if cast.latched or latched is not None:
            self._latched[key] = vote
        return self.lower(vote), halts(cast, self._latched.values())

    def withdraw(self, message: WithdrawVote) -> None:
        """Takes a vote back; a latched one only for a person."""
        key = (message.by, message.scope)
        if key in self._latched and not message.by_person:
            return
        self._latched.pop(key, None)
        before = self._board.effective(message.scope)
        if self._board.withdraw(*key):
            self._say(message.scope, before, message.by, "withdrawn")

    def lower(self, vote: Vote) -> bool:
        """Puts a vote on the board, whoever else has voted. True: it changed something."""
        before = self._board.effective(vote.scope)
        changed = self._board.cast(vote)
        if changed:
            self._say(vote.scope, before, vote.by, vote.reason)
        return changed

    def lift(self, by: str, reason: str) -> None:
        """A person lets trading go on: what called for the halt is answered, too."""
        for vote in self._board.votes():
            if vote.level is Level.HALTED:
                before = self._board.effective(vote.scope)
                self._board.withdraw(vote.by, vote.scope)
                self._latched.pop((vote.by, vote.scope), None)
                self._say(vote.scope, before, by, reason)

    @property
    def latched_venues(self) -> tuple[str, ...]:
        return latched_venues(self._latched.values())

    @property
    def too_many_latched(self) -> tuple[str, ...]:
        """The latched venues when they are so many that everything is halted; empty when they are not."""
        return too_many_latched(self._latched.values())

    def _say(self, scope: Scope, before: Level, by: str, reason: str) -> None:
        now = self._board.effective(scope)
        if now is before:
            return
        self._root.system.emit(
            LevelChanged(
                at_ns=self._root.clock.wall_ns(),
                path=self._root.path,
                scope=scope,
                before=before,
                now=now,
                by=by,
                reason=reason,
            )
        )
