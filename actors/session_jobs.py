"""The commands under way on a session: which wait for the same order's earlier one, and which are written and not
answered. Kraken may reorder unanswered amends and cancels, so an order has one at a time.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from allstop.actors.order_commands import Command
from allstop.actors.reports import NotSent, Unknown, WriteOutcome
from allstop.actors.runtime import Reply, Timer


class Job(msgspec.Struct, kw_only=True):
    """One command on its way. `until_s`: after that there is no point in writing it."""

    command: Command
    reply: Reply
    until_s: float
    order_ids: tuple[str, ...] = ()  # whose turn it holds: amends and cancels, not submits
    accepted: list[str] = msgspec.field(default_factory=list[str])
    timer: Timer | None = None
    sent_s: float = 0.0
    done: bool = False

    def answer(self, outcome: WriteOutcome) -> None:
        """Once."""
        self.done = True
        if self.timer is not None:
            self.timer.cancel()
        self.reply.set(outcome)


class Jobs:
    """Those of one session. `next_turn` is told of a job whose turn has come."""

    def __init__(self, next_turn: Callable[[Job], None]) -> None:
        self._next_turn = next_turn
        self._written: dict[int, Job] = {}
        self._turns: dict[str, deque[Job]] = {}  # order id -> the job under way, then those that wait

    @property
    def unanswered(self) -> int:
        """How many are written."""
        return len(self._written)

    def waiting(self, order_ids: tuple[str, ...]) -> int:
        """How many commands there are for the busiest of these orders."""
        return max((len(self._turns.get(order_id, ())) for order_id in order_ids), default=0)

    def take(self, job: Job) -> bool:
        """True if it may be written at once."""
        for order_id in job.order_ids:
            self._turns.setdefault(order_id, deque()).append(job)
        return self._at_head(job)

    def written(self, req_id: int, job: Job) -> None:
        """From here on its bytes count as written, whatever happens."""
        self._written[req_id] = job

    def answered(self, req_id: int | None) -> Job | None:
        """The job that was written with this number; None for one that nobody waits for any more."""
        return None if req_id is None else self._written.pop(req_id, None)

    def settle(self, job: Job, outcome: WriteOutcome) -> None:
        """Answers, and lets the next command of each of its orders go."""
        job.answer(outcome)
        for order_id in job.order_ids:
            turns = self._turns[order_id]
            turns.remove(job)
            if not turns:
                del self._turns[order_id]
            elif self._at_head(turns[0]):
                self._next_turn(turns[0])

    def end(self, why: str) -> None:
        """The session is over: what was written is Unknown, what was not is NotSent."""
        written = list(self._written.values())
        self._written.clear()
        waiting = [
            job for turns in self._turns.values() for job in turns if not any(job is w for w in written)
        ]
        for job in written:
            if not job.done:
                job.answer(Unknown(f"the session ended after the write: {why}"))
        for job in waiting:
            if not job.done:
                job.answer(NotSent(f"the session ended before the write: {why}"))

    def _at_head(self, job: Job) -> bool:
        return all(self._turns[order_id][0] is job for order_id in job.order_ids)
