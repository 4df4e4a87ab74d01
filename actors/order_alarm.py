"""What a tracker does where others must know of its order: it freezes the instrument, votes, and shouts."""

from allstop.actors.levels import ROOT, CastVote, Level, Vote, WithdrawVote
from allstop.actors.order_talk import TrackerLinks
from allstop.actors.protocols.order_life import Life
from allstop.actors.runtime import Actor


class OrderAlarm:
    """The alarms of one order, in its tracker's name, which a restarted tracker bears too."""

    def __init__(self, tracker: Actor, intent_id: str, links: TrackerLinks) -> None:
        self._tracker = tracker
        self._intent_id = intent_id
        self._links = links
        self._voted = Level.NONE

    def freeze(self, pair: str, reason: str) -> None:
        self._links.gate.freeze(pair, self._tracker.path, reason)

    def vote(self, life: Life, level: Level, age_s: float) -> None:
        """Votes when the level that an unknown order of this age calls for is worse than before."""
        if level > self._voted:
            self._voted = level
            scope = ROOT if level is Level.HALTED else life.scope[:1]
            reason = f"order {self._intent_id} unknown for {age_s:.0f} s"
            self._links.root.tell(CastVote(vote=Vote(self._tracker.path, scope, level, reason)))

    def thaw(self, life: Life) -> None:
        """Takes freeze and votes back, also what an earlier incarnation voted: it has the same path."""
        self._links.gate.thaw(life.intent.pair, self._tracker.path)
        self._voted = Level.NONE
        for scope in (life.scope[:1], ROOT):
            self._links.root.tell(WithdrawVote(by=self._tracker.path, scope=scope))

    def shout(self, pair: str, reason: str) -> None:
        """A contradiction: halts everything. This freeze and this vote are not for the tracker to take back, so they
        stand under names of their own."""
        self._tracker.log.critical("order.contradiction", intent=self._intent_id, reason=reason)
        by = f"{self._tracker.path}#contradiction"
        self._links.gate.freeze(pair, by, reason)
        self._links.root.tell(CastVote(vote=Vote(by, ROOT, Level.HALTED, reason)))
