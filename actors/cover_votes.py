"""What the guardian votes: EMERGENCY while a position is late for its stop, HALTED when neither a stop nor a flatten can
be had."""

from collections.abc import Sequence

from allstop.actors.guardian_settings import GuardianSettings
from allstop.actors.levels import CastVote, Level, Vote, WithdrawVote
from allstop.actors.runtime import Ref


class CoverVotes:
    """One incarnation's, under the guardian's path `by`. An earlier one may have voted: the first covered look withdraws
    that."""

    def __init__(self, by: str, settings: GuardianSettings, root: Ref) -> None:
        self._by = by
        self._settings = settings
        self._root = root
        self._cast = True

    def looked(self, late: Sequence[str], *, reachable: bool) -> None:
        """After a look, and a try to look: EMERGENCY while anything is uncovered beyond cover_s; back when nothing is,
        and the venue was read. `late`: such pairs."""
        if late:
            reason = f"{', '.join(late)} without a full stop for over {self._settings.times.cover_s} s"
            self._root.tell(CastVote(vote=Vote(self._by, self._settings.scope, Level.EMERGENCY, reason)))
            self._cast = True
        elif self._cast and reachable:
            self._root.tell(WithdrawVote(by=self._by, scope=self._settings.scope))
            self._cast = False

    def abandoned(self, reason: str) -> None:
        """For a person to take back."""
        vote = Vote(f"{self._by}:abandoned", self._settings.scope, Level.HALTED, reason)
        self._root.tell(CastVote(vote=vote))
