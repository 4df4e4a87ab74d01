"""One round of the guardian: a reading of the venue, the verdicts, and a second source for whatever is to be done.

read     the venue's open orders, and what closed where that is in question (`audit.py`)
judge    each pair: position against stops (`cover_judge.py`)
confirm  a step that would act: read everything again; only what two sources ask for is done (`protocols/findings.py`)
"""

from collections.abc import Callable

from allstop.actors.audit import Audit
from allstop.actors.cover_judge import CoverJudge
from allstop.actors.cover_orders import CoverOrders
from allstop.actors.guardian_settings import GuardianSettings
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.findings import Findings, acts, agree
from allstop.actors.protocols.remedies import Step, confirmed
from allstop.actors.runtime import Actor


class CoverRound:
    """The rounds of one guardian. `holds`: an exit looks after the pair; `wake_in`: look again after so many seconds."""

    def __init__(
        self,
        guardian: Actor,
        settings: GuardianSettings,
        *,
        audit: Audit,
        judge: CoverJudge,
        memory: CoverMemory,
        orders: CoverOrders,
        findings: Findings,
        holds: Callable[[str], bool],
        wake_in: Callable[[float], None],
    ) -> None:
        self._guardian = guardian
        self._settings = settings
        self._audit = audit
        self._judge = judge
        self._memory = memory
        self._orders = orders
        self._findings = findings
        self._holds = holds
        self._wake_in = wake_in

    async def steps(self, *, audited: bool) -> dict[str, Step]:
        """What is to be done for each pair, by two readings: one alone can catch a fill between two of its own questions.
        `audited`: a full reading was made before. Raises QueryFailed: the venue could not be read."""
        alarmed = self._findings.any()
        full = await self._read(full=not audited or self._findings.want_full())
        first = self._judge.judge_all()
        agreed, unsure = self._findings.compared(
            first, self._judge.found, self._orders.pairs(), counts=full or alarmed
        )
        if agreed or not unsure:  # those that agree do not wait for the others
            if unsure:
                self._wake_in(0.001)
            return {pair: step for pair, step in first.items() if pair not in unsure}
        found = {pair: self._judge.found(pair) for pair in first}
        await self._read(full=True)
        second = self._judge.judge_all()
        same = {pair for pair in second if agree(found.get(pair), self._judge.found(pair))}
        stand = {p: step for p, step in second.items() if confirmed(first.get(p), step, same=p in same)}
        if any(acts(step) and pair not in stand for pair, step in second.items()):
            self._wake_in(self._settings.times.settle_s / 2)
        return stand

    async def _read(self, *, full: bool) -> bool:
        """Whether it was a full one."""
        started_s = self._guardian.clock.now_s()
        unknown = any(
            not self._holds(pair) and not self._orders.waits(pair) and not self._orders.accepted(pair)
            for pair in self._orders.pairs()
        )
        was_full = await self._audit.read(full=full or unknown, awaited=self._orders.awaited())
        if was_full:
            if adopted := self._memory.adopt_own(self._settings.name):
                self._guardian.log.warning("guardian.adopted", intents=adopted)
            for written in await self._orders.read(started_s):
                self._judge.settle(written)
                self._findings.expect(self._judge.found(written.pair), written)
        else:
            for pair in self._orders.pairs():
                if self._orders.accepted(pair):
                    self._orders.shown(pair)
        return was_full
