"""The hand of an order's tracker: it does what has to wait for the outside, one job after the other.

A job is done to its end and its result is told to the tracker. What a submit came to is decided here with one rule:
only a refusal proves that nothing was sent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from allstop.actors.clock import Clock
from allstop.actors.commands import Amend, Cancel, Submit
from allstop.actors.errors import CircuitOpen, Refused, ReplyError
from allstop.actors.intents import OrderIntent
from allstop.actors.order_talk import TrackerLinks
from allstop.actors.ports import Desk, QueryFailed
from allstop.actors.protocols.lookup import Search, hits
from allstop.actors.reports import NotSent, OrderReport, Unknown, WriteOutcome
from allstop.actors.runtime import ActorDead, CallTimeout, MailboxFull, Ref, Reply

SESSION: Final = "session"
DESK: Final = "desk"

# A search is two calls, and on a key that is shared each may wait for its turn (`lookup_wait_max_s`). One that ended after
# ten seconds got the first of them and never the second, again and again. Beyond this the venue is not answering.
SEARCH_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class SubmitJob:
    """Send an attempt that was journalled, over its channel."""

    intent: OrderIntent
    attempt: int
    channel: str


@dataclass(frozen=True)
class SearchJob:
    """Search the venue for the client id, from `since_ns` (wall) on."""

    client_id: str
    since_ns: int


@dataclass(frozen=True)
class QueryJob:
    order_id: str


@dataclass(frozen=True)
class CommandJob:
    message: Cancel | Amend
    reply: Reply


Job = SubmitJob | SearchJob | QueryJob | CommandJob


@dataclass(frozen=True)
class Answered:
    job: SubmitJob
    outcome: WriteOutcome


@dataclass(frozen=True)
class Searched:
    search: Search


@dataclass(frozen=True)
class Queried:
    """`report` is None when the query failed or did not show the order."""

    report: OrderReport | None


@dataclass(frozen=True)
class CommandAnswered:
    job: CommandJob
    outcome: WriteOutcome


class Hand:
    """Works for one incarnation of a tracker. The desk is opened when it is first needed."""

    def __init__(self, links: TrackerLinks, clock: Clock, tracker: Ref) -> None:
        self._links = links
        self._clock = clock
        self._tracker = tracker
        self._timing = links.timing
        # A write answers when its deadline and grace are over; a second grace is for the way back.
        self._write_timeout_s = links.timing.deadline_s + 2 * links.timing.grace_s
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._desk: Desk | None = None
        self.outstanding = 0  # jobs of which the tracker has not taken in the result

    def give(self, job: Job) -> None:
        self.outstanding += 1
        self._jobs.append(job)
        self._wake.set()

    def taken_in(self) -> None:
        """The tracker has a job's result."""
        self.outstanding -= 1

    async def work(self) -> None:
        """The task's body. Ends when it is cancelled."""
        while True:
            while self._jobs:
                self._tracker.tell(await self._do(self._jobs.popleft()))
            self._wake.clear()
            await self._wake.wait()

    async def close(self) -> None:
        if self._desk is not None:
            await self._desk.close()

    async def _do(self, job: Job) -> object:
        match job:
            case SubmitJob():
                return Answered(job, await self._submit(job))
            case SearchJob():
                return Searched(await self._search(job))
            case QueryJob(order_id=order_id):
                return Queried(await self._query(order_id))
            case CommandJob(message=message):
                outcome = await self._ask_session(message)
                if isinstance(outcome, NotSent) and isinstance(message, Cancel):
                    outcome = await self._ask_desk(
                        self._open_desk().cancel(message.command_id, message.order_ids)
                    )
                return CommandAnswered(job, outcome)

    async def _submit(self, job: SubmitJob) -> WriteOutcome:
        deadline_s = self._timing.deadline_s
        if job.channel == SESSION:
            return await self._ask_session(
                Submit(intent=job.intent, attempt=job.attempt, deadline_s=deadline_s)
            )
        return await self._ask_desk(
            self._open_desk().submit(job.intent, attempt=job.attempt, deadline_s=deadline_s)
        )

    async def _ask_session(self, message: Submit | Cancel | Amend) -> WriteOutcome:
        """A session that died with the command in its hands, or did not answer in time, may have sent it."""
        session = self._links.session
        if not session.is_alive():
            return NotSent(reason="the session is not up")
        try:
            return await session.call(message, timeout_s=self._write_timeout_s)
        except (Refused, CircuitOpen, MailboxFull) as error:
            return NotSent(reason=str(error))
        except (ActorDead, CallTimeout, ReplyError) as error:
            return Unknown(reason=f"the session gave no answer: {type(error).__name__}: {error}")

    async def _ask_desk(self, write: Awaitable[WriteOutcome]) -> WriteOutcome:
        try:
            async with asyncio.timeout(self._write_timeout_s):
                return await write
        except Refused as error:
            return NotSent(reason=str(error))
        except TimeoutError:
            return Unknown(reason="the desk gave no answer in time")
        except asyncio.CancelledError:
            _raise_if_mine()
            return Unknown(reason="the desk was closed under the request")

    async def _search(self, job: SearchJob) -> Search:
        """Open orders first, then closed ones: an order moves from open to closed and never back."""
        started_s = self._clock.now_s()
        desk = self._open_desk()
        try:
            async with asyncio.timeout(SEARCH_TIMEOUT_S):
                found = [*await desk.open_orders(), *await desk.closed_orders(job.since_ns)]
        except (QueryFailed, TimeoutError) as error:
            why = str(error) or type(error).__name__
            return Search(started_s=started_s, ended_s=self._clock.now_s(), error=why)
        except asyncio.CancelledError:
            _raise_if_mine()
            why = "the desk was closed under the search"
            return Search(started_s=started_s, ended_s=self._clock.now_s(), error=why)
        return Search(started_s=started_s, ended_s=self._clock.now_s(), hits=hits(found, job.client_id))

    async def _query(self, order_id: str) -> OrderReport | None:
        try:
            async with asyncio.timeout(SEARCH_TIMEOUT_S):
                reports = await self._open_desk().query_orders([order_id])
        except (QueryFailed, TimeoutError):
            return None
        except asyncio.CancelledError:
            _raise_if_mine()
            return None
        return next((report for report in reports if report.order_id == order_id), None)

    def _open_desk(self) -> Desk:
        if self._desk is None:
            self._desk = self._links.open_desk()
        return self._desk


def _raise_if_mine() -> None:
    """In an `except CancelledError`: goes on with it if this task is being cancelled. Else a desk that is shared was
    closed by somebody, and whoever waited for it was cancelled: a hand that ended by that would leave its order alone."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise  # noqa: PLE0704 - what its caller is handling
