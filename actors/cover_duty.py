"""What the guardian does about its findings: each step by a task of its own, one per pair at a time.

A step goes through `cover_orders.py`: durable first, then sent, then its outcome noted. What came to nothing is written
again while what two readings found is not too old, and what it did not mend altogether is the next round's to expect.
"""

import asyncio
from collections.abc import Callable

from allstop.actors.cover_judge import CoverJudge
from allstop.actors.cover_orders import CoverOrders
from allstop.actors.cover_votes import CoverVotes
from allstop.actors.guardian_settings import GuardianSettings, Pace
from allstop.actors.next_look import NextLook
from allstop.actors.ports import PairTrading
from allstop.actors.protocols.findings import Findings, again, agree
from allstop.actors.protocols.pending_write import Written
from allstop.actors.protocols.remedies import Flatten, GiveUp, PlaceStop, Rest, Step
from allstop.actors.runtime import Actor

# How old a finding may be that is acted on once more, as shares of cover_s: what is told may have ended, and even of
# what has not the ways to mend it change with time. Longer where the key has no calls for another.
KNOWN_SHARE = 0.5
REPEAT_SHARE = 4.0


class CoverDuty:
    """One guardian's. `holds`: an exit looks after the pair. `trading`: whether the venue takes orders on it."""

    def __init__(
        self,
        guardian: Actor,
        settings: GuardianSettings,
        *,
        judge: CoverJudge,
        orders: CoverOrders,
        findings: Findings,
        votes: CoverVotes,
        pace: Pace,
        next_look: NextLook,
        holds: Callable[[str], bool],
        trading: PairTrading,
    ) -> None:
        self._guardian = guardian
        self._settings = settings
        self._judge = judge
        self._orders = orders
        self._findings = findings
        self._votes = votes
        self._pace = pace
        self._next = next_look
        self._holds = holds
        self._trading = trading
        self._acting: set[str] = set()
        self._unsent: set[str] = set()  # pairs of which the first write of a step is on its way

    def acts_on(self, pair: str) -> bool:
        """Whether a step is being carried out there."""
        return pair in self._acting

    def writing(self) -> bool:
        """Whether the first write of a step is on its way."""
        return bool(self._unsent)

    def begin(self, pair: str, step: Step) -> None:
        """Takes on what a round asks for."""
        if self._holds(pair):
            return  # it began after the reading that this step comes from
        match step:
            case Rest():
                return
            case GiveUp(reason=reason):
                self._guardian.log.error("guardian.abandoned", pair=pair, reason=reason)
                self._votes.abandoned(reason)
                self._judge.gave_up(pair)
                self._next.wake_in(self._settings.times.again_s(1))
            case PlaceStop() | Flatten() if not self._trading.takes(pair):
                self._acting.add(pair)
                self._guardian.start_task(self._wait(pair), f"cover {pair}, when it is traded")
            case _:
                self._acting.add(pair)
                self._unsent.add(pair)
                self._guardian.start_task(self._act(pair, step), f"cover {pair}")

    async def _act(self, pair: str, step: Step) -> None:
        """Carries out what two readings found, while it is not too old: each pair of them costs the key what the next
        may need. Of many stops that are missing one is placed after the other for as long as the stream tells of each
        what was expected; else the venue is read again after the first."""
        began_s = self._guardian.clock.now_s()
        try:
            while (written := await self._carried_out(pair, step, began_s)) is not None:
                self._judge.settle(written)
                if isinstance(written.step, PlaceStop | Flatten):
                    self._orders.shown(pair)
                left = self._findings.expect(self._judge.found(pair), written)
                if left is None:
                    break
                old = self._guardian.clock.now_s() - began_s >= self._settings.times.cover_s * KNOWN_SHARE
                further = self._judge.told_of(pair, left) if written.taken and not old else None
                if further is None:
                    break
                self._findings.met(pair)
                step = further
        finally:
            self._acting.discard(pair)
            self._written(pair)
        self._next.wake_in(0.0)

    async def _wait(self, pair: str) -> None:
        """An order that the venue has no answer to is not tried: its outcome would be unknown, and stand in the way of
        the next one when the venue is there again. What was found until then counts as a first reading, and gets a
        stop."""
        self._guardian.log.error(
            "guardian.waits", pair=pair, reason="the venue takes no orders on the pair now"
        )
        try:
            await self._trading.taken(pair)
        finally:
            self._acting.discard(pair)
        self._judge.relieved(pair)
        if (found := self._judge.found(pair)) is not None:
            self._findings.alarm(pair, found)
        self._next.wake_in(0.0)

    async def _carried_out(self, pair: str, step: Step, began_s: float) -> Written | None:
        """What the venue does not take now, or what did not leave, is written again: it was found by two readings. It is
        read again when it is older and the key has calls for it, or the stream tells that it is over."""
        times, clock = self._settings.times, self._guardian.clock
        found = self._judge.found(pair)
        written = await self._orders.write(pair, step)
        self._written(pair)
        while again(written):
            await asyncio.sleep(times.settle_s)
            now_s = clock.now_s()
            old_s = times.cover_s * (REPEAT_SHARE if self._pace.own_wait_s(now_s) else KNOWN_SHARE)
            if now_s - began_s >= old_s or not agree(found, self._judge.looks_wrong(pair)):
                break
            written = await self._orders.write(pair, step)
        return written

    def _written(self, pair: str) -> None:
        if pair in self._unsent:
            self._unsent.discard(pair)
            self._next.changed()
