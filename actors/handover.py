"""Exits on their way from `orders` to the account's guardian, which alone moves stops and so alone leaves positions.

One after the other, in a task of their own: neither the mailbox of `orders` nor its commits wait for the guardian.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from allstop.actors.commands import BeginExit, OrderView
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.runtime import ActorDead, CallTimeout, MailboxFull, Ref

# One exit per pair is under way at a time; more than this waiting means that the guardian does not answer.
WAITING_MAX: Final = 32
# The guardian answers when the intent is durable: some milliseconds, or a second on a disk that hangs.
ANSWER_S: Final = 2.0

Answered = Callable[[OrderView | Refused], None]


class Handover:
    """`guardian` None: an account that nobody guards, and on which no position can be left."""

    def __init__(self, guardian: Ref | None) -> None:
        self._guardian = guardian
        self._waiting: deque[tuple[BeginExit, Answered]] = deque()
        self._wake = asyncio.Event()

    def give(self, begin: BeginExit, answered: Answered) -> None:
        """Soon calls `answered`, once. Raises Refused when the exit cannot even wait."""
        if self._guardian is None:
            raise Refused(RefusalCode.BAD_KIND, "no guardian here to leave a position", place="kind")
        if len(self._waiting) >= WAITING_MAX:
            raise Refused(RefusalCode.RATE_LIMIT, f"{WAITING_MAX} exits are waiting", place=begin.intent.pair)
        self._waiting.append((begin, answered))
        self._wake.set()

    async def work(self) -> None:
        """The body of a task of `orders`."""
        while True:
            while self._waiting:
                begin, answered = self._waiting.popleft()
                answered(await self._asked(begin))
            self._wake.clear()
            await self._wake.wait()

    async def _asked(self, begin: BeginExit) -> OrderView | Refused:
        assert self._guardian is not None
        try:
            return await self._guardian.call(begin, timeout_s=ANSWER_S)
        except Refused as refused:
            return refused
        except (ActorDead, CallTimeout, MailboxFull) as error:
            # It may be committed all the same: then the journal tells, and the id answers with the order.
            return Refused(RefusalCode.NOT_COMMITTED, f"the guardian: {error}", place=self._guardian.path)
