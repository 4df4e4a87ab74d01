"""The task of `orders` that waits for the journal, so that its mailbox need not.

It takes all intents that wait for one commit, so that the flush of the disk is shared. Whatever else must wait for
the journal goes through it, too, in order.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from allstop.actors.journal import JournalDown, append
from allstop.actors.protocols.order_life import Life
from allstop.actors.protocols.records import IntentCommitted, Record
from allstop.actors.runtime import Ref

# Intents of one commit.
BATCH_MAX: Final = 256


@dataclass(frozen=True)
class Arrived:
    """An intent that is to be durable."""

    record: IntentCommitted
    life: Life
    at_s: float


class OrderCommits:
    """`committed` and `refused` take what became of a batch of intents. `lost`: the journal is, and nothing more will
    be durable; a journal that only ended makes `work` raise JournalDown, and orders starts again."""

    def __init__(
        self,
        journal: Ref,
        committed: Callable[[list[Arrived]], Awaitable[None]],
        refused: Callable[[list[Arrived], JournalDown], None],
    ) -> None:
        self._journal = journal
        self._committed = committed
        self._refused = refused
        self._arrived: deque[Arrived] = deque()
        self._work: deque[Callable[[], Awaitable[None]]] = deque()
        self._facts: list[Record] = []
        self._wake = asyncio.Event()
        self.lost = False

    def place(self, arrived: Arrived) -> None:
        self._arrived.append(arrived)
        self._wake.set()

    def later(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work.append(work)
        self._wake.set()

    def record(self, *records: Record) -> None:
        """Commits facts soon, together with those that come meanwhile."""
        if not self._facts:
            self.later(self._commit_facts)
        self._facts += records

    async def work(self) -> None:
        """For a task of the actor: commits and works for ever."""
        while True:
            while self._arrived or self._work:
                if self._arrived:
                    await self._commit_arrived()
                if self._work:
                    await self._work.popleft()()
            self._wake.clear()
            await self._wake.wait()

    async def _commit_facts(self) -> None:
        facts, self._facts = self._facts, []
        try:
            for first in range(0, len(facts), BATCH_MAX):
                await append(self._journal, facts[first : first + BATCH_MAX])
        except JournalDown as error:
            if not error.lost:
                raise  # orders starts again, and the venue is asked
            self.lost = True

    async def _commit_arrived(self) -> None:
        batch = [self._arrived.popleft() for _ in range(min(len(self._arrived), BATCH_MAX))]
        try:
            await append(self._journal, [arrived.record for arrived in batch])
        except JournalDown as error:
            self._refused(batch, error)
            if error.lost:
                self.lost = True  # the halt is latched above; cancels and answers go on
                return
            raise
        await self._committed(batch)
