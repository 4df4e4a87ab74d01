"""One order: its tracker journals each step, asks the session to send, and finds out what became of it.

The mailbox takes facts in (reports, answers, searches) and `order_life.plan` says what they lead to. What waits for
the outside (a submit, a search, a query, a cancel) is done by the tracker's one *hand*, a task that does one job
after the other and tells the result to the mailbox. So an execution is taken in while the answer to the submit is
still under way, and there is never more than one outstanding command.

A restarted tracker folds its order from the journal. An attempt without an outcome is UNKNOWN: nobody knows whether
its bytes left, so the venue is asked, and nothing is sent again.
"""

from collections import deque
from typing import Final

from allstop.actors.commands import Cancel
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exits import NORMAL, Exit
from allstop.actors.journal import JournalDown, append, read
from allstop.actors.order_alarm import OrderAlarm
from allstop.actors.order_commands import in_doubt, intended_of, message_of
from allstop.actors.order_hand import (
    DESK,
    SESSION,
    Answered,
    CommandAnswered,
    CommandJob,
    Hand,
    Queried,
    QueryJob,
    Searched,
    SubmitJob,
)
from allstop.actors.order_lookup import OrderLookup
from allstop.actors.order_talk import (
    AmendOrder,
    CancelOrder,
    End,
    OrderChanged,
    OrderOver,
    Refresh,
    Seed,
    Told,
    TrackerLinks,
)
from allstop.actors.order_timers import Due, OrderTimers
from allstop.actors.protocols import order_life
from allstop.actors.protocols.lookup import Found, Inconclusive, ProvenAbsent, Search
from allstop.actors.protocols.order_life import UNSURE, Act, Life, State
from allstop.actors.protocols.records import (
    AttemptEnded,
    AttemptStarted,
    CommandEnded,
    LookupDone,
    Record,
    Reported,
    Withheld,
    from_row,
)
from allstop.actors.reports import Accepted, NotSent, OrderReport, Unknown, WriteOutcome
from allstop.actors.runtime import Actor, Continue, Mailbox, Overflow

# A user queues a cancel, perhaps an amend or two, behind a lookup; more is a loop gone wrong.
COMMANDS_MAX: Final = 16
# Queries for a word that the stream did not bring are repeated with pauses that double up to so many gaps.
QUERY_GAPS_MAX: Final = 8
# After a restart the stream's snapshot and the reconciler's one list tell of every open order. One that neither has
# told of is asked for by itself, but not sooner: a query per order would spend the key's calls on every restart.
RESTART_QUERY_GAPS: Final = 10


class OrderTracker(Actor):
    """Works one intent to its end, and exits NORMAL when `orders` lets it go. `intent_id` is what it folds from the journal."""

    # One order's executions: an iceberg swept by a fast market is hundreds at once.
    mailbox = Mailbox(capacity=4096, overflow=Overflow.REFUSE)

    def __init__(self, intent_id: str, links: TrackerLinks, seed: Seed | None = None) -> None:
        super().__init__()
        self._intent_id = intent_id
        self._links = links
        self._timing = links.timing
        self._seed = seed or Seed()
        self._waiting: deque[CancelOrder | AmendOrder] = deque()
        self._commanding = False
        self._withdrawn = False
        self._doubt = False  # a word of the venue is due: a query is repeated until it comes
        self._must_end = False  # the venue took a cancel: only a word that it is over will do
        self._queries = 0
        self._over_told = False
        self._expires_s = 0.0
        self._life: Life
        self._hand = Hand(links, self.clock, self.ref)
        self._alarm = OrderAlarm(self, intent_id, links)
        self._timers = OrderTimers(self)
        self._lookup = OrderLookup(self, self._alarm, self._timers, links.timing)

    # Starting.

    async def on_start(self) -> Continue:
        life, told = self._seed.take()
        if life is None:
            rows = await read(self._links.journal, key=self._intent_id)
            life = order_life.fold(from_row(row) for row in rows)[self._intent_id]
        self._life = life
        age_s = max(0.0, (self.clock.wall_ns() - life.at_ns) / 1e9)
        self._expires_s = self.clock.now_s() + life.intent.ttl_s - age_s
        if life.state in UNSURE or life.state is State.SENT:
            self._alarm.freeze(
                self._life.intent.pair, f"order {self._intent_id}: what became of it is being found out"
            )
        self.start_task(self._hand.work(), "hand")
        return Continue(told)

    async def on_continue(self, argument: tuple[Told, ...]) -> None:
        for word in argument:
            await self._told(word.report, word.source)
        if self._life.state in UNSURE:
            self._act(Act.LOOK_UP)
        if self._life.live is not None:
            restarted = Unknown(reason="the tracker ended before the answer came")
            await self._take(self._attempt_ended(self._life.live, restarted))
        for command_id in sorted(self._life.commands):
            ended = Unknown(reason="the tracker ended before the answer came")
            await self._take(CommandEnded(command_id=command_id, intent_id=self._intent_id, outcome=ended))
        if self._life.state is State.INTENT:
            await self._send()
        elif self._life.state.open:
            self._ask_soon(RESTART_QUERY_GAPS * self._timing.search_gap_s)
        self._life_changed()
        self._end_if_over()

    # The mailbox.

    async def on_receive(self, message: object) -> object:
        match message:
            case Told(report=report, source=source):
                await self._told(report, source)
            case CancelOrder() | AmendOrder():
                self._queue(message)
            case End():
                self.exit(NORMAL)
            case Refresh():
                self._ask_soon(0.0)
            case Answered(job=job, outcome=outcome):
                self._hand.taken_in()
                await self._take(self._attempt_ended(job.attempt, outcome))
            case Searched(search=search):
                self._hand.taken_in()
                await self._searched(search)
            case Queried(report=report):
                self._hand.taken_in()
                await self._queried(report)
            case CommandAnswered(job=job, outcome=outcome):
                self._hand.taken_in()
                await self._command_answered(job, outcome)
            case Due(what=what):
                self._timers.went_off(message)
                await self._due(what)
            case _:
                raise TypeError(f"a tracker does not know {message!r}")
        await self._next_command()
        self._end_if_over()
        return None

    async def _due(self, what: str) -> None:
        match what:
            case "send":
                await self._send()
            case "search" if self._life.state in (State.UNKNOWN, State.CHECKING):
                self._hand.give(self._lookup.job(self._life))
            case "query" if self._doubt and self._life.order_id is not None and not self._life.state.terminal:
                self._hand.give(QueryJob(self._life.order_id))
            case "clock":
                self._lookup.vote(self._life)
            case _:
                pass  # overtaken by what was learnt meanwhile

    # Facts.

    async def _take(self, record: Record) -> None:
        """Commits a fact and what follows from it, then does what the table asks. An instrument is frozen before the
        commit, which takes time in which another entry could pass."""
        step = order_life.plan(self._life, record)
        if Act.FREEZE in step.acts:
            self._alarm.freeze(
                self._life.intent.pair,
                f"order {self._intent_id} is {step.life.state}: {step.life.reason or 'not sure'}",
            )
        await append(self._links.journal, step.records)
        changed = step.life.state is not self._life.state
        self._life = step.life
        for act in step.acts:
            self._act(act)
        if changed:
            self.log.info("order.state", intent=self._intent_id, state=str(step.life.state))
        self._life_changed()

    def _act(self, act: Act) -> None:
        match act:
            case Act.SEND:
                self._timers.after("send", order_life.pause_s(self._life.last_outcome))
            case Act.LOOK_UP if self._life.state is State.FROZEN:
                self._ask_soon(self._timing.search_gap_s)
            case Act.LOOK_UP:
                self._lookup.begin(check=self._life.state is State.CHECKING)
            case Act.THAW:
                self._lookup.end()
                self._alarm.thaw(self._life)
            case Act.SHOUT:
                self._alarm.shout(
                    self._life.intent.pair, f"order {self._intent_id} was held for over, and the venue has it"
                )
            case Act.FREEZE | Act.END:
                pass  # frozen before the commit; ended when the last result is in

    async def _told(self, report: OrderReport, source: str) -> None:
        if order_life.is_news(self._life, report):
            await self._take(Reported(intent_id=self._intent_id, report=report, source=source))
        if source != "lookup":
            self._heard()

    def _heard(self) -> None:
        if self._life.state.terminal or (self._life.state.open and not self._must_end):
            self._doubt = False

    def _attempt_ended(self, attempt: int, outcome: WriteOutcome) -> AttemptEnded:
        return AttemptEnded(intent_id=self._intent_id, attempt=attempt, outcome=outcome)

    # Sending.

    async def _send(self) -> None:
        if self._life.state is not State.INTENT:
            return
        channel = self._channel()
        if why := self._why_not(channel):
            await self._take(Withheld(intent_id=self._intent_id, reason=why))
            return
        attempt = self._life.attempts + 1
        await self._take(
            AttemptStarted(
                intent_id=self._intent_id,
                attempt=attempt,
                channel=channel,
                deadline_s=self._timing.deadline_s,
                at_ns=(
                    self._links.clock or self.clock
                ).wall_ns(),  # from then on the venue's lists are searched
            )
        )
        self._hand.give(SubmitJob(self._life.intent, attempt, channel))

    def _channel(self) -> str:
        """The session, unless it has just told that it sent nothing."""
        return DESK if isinstance(self._life.last_outcome, NotSent) else SESSION

    def _why_not(self, channel: str) -> str | None:
        """Why the intent may not be sent now. The order of the reasons is the order of their weight."""
        life = self._life
        if self._withdrawn:
            return "canceled before it was sent"
        if self.clock.now_s() >= self._expires_s:
            return f"its time to live of {life.intent.ttl_s} s is over"
        if life.sends >= order_life.SENDS_MAX or life.attempts >= order_life.ATTEMPTS_MAX:
            return f"{life.attempts} attempts were made"
        if isinstance(life.last_outcome, NotSent) and life.last_channel == DESK:
            return "neither the session nor the desk sent it"
        if refused := self._links.gate.refusal(life.intent.kind, life.intent.pair):
            return str(refused)
        if refused := self._links.gate.late(life.intent.kind):
            return str(refused)
        return None

    # Looking up.

    async def _searched(self, search: Search) -> None:
        if self._life.state not in (State.UNKNOWN, State.CHECKING):
            return
        match self._lookup.searched(search):
            case Found(report=report, others=others):
                await self._told(report, "lookup")
                if others:
                    ids = ", ".join(other.order_id for other in others)
                    self._alarm.shout(
                        self._life.intent.pair,
                        f"order {self._intent_id} is at the venue more than once: also {ids}",
                    )
            case ProvenAbsent(evidence=evidence):
                await self._looked("checked" if self._lookup.checks else "absent", evidence)
            case Inconclusive(reason=reason):
                if self._lookup.is_news(reason):
                    await self._looked("inconclusive", reason)
                self._lookup.go_on(self._life)
            case None:
                pass

    async def _looked(self, verdict: str, evidence: str) -> None:
        await self._take(LookupDone(intent_id=self._intent_id, verdict=verdict, evidence=evidence))

    # Asking about an order whose id is known.

    def _ask_soon(self, delay_s: float) -> None:
        self._doubt = True
        self._queries = 0
        self._timers.after("query", delay_s)

    async def _queried(self, report: OrderReport | None) -> None:
        if report is not None:
            await self._told(report, "query")
        if self._life.state.terminal or not (self._doubt or self._life.state is State.FROZEN):
            return
        self._queries += 1
        gaps = min(2**self._queries, QUERY_GAPS_MAX)
        self._timers.after("query", self._timing.search_gap_s * gaps)

    # Commands: one at a time, by the venue's id, and only when it is known what there is to command.

    def _queue(self, command: CancelOrder | AmendOrder) -> None:
        if len(self._waiting) >= COMMANDS_MAX:
            command.reply.fail(
                Refused(RefusalCode.RATE_LIMIT, f"{COMMANDS_MAX} commands are waiting", place=self._intent_id)
            )
            return
        if isinstance(command, CancelOrder):
            self._withdrawn = True
        self._waiting.append(command)

    async def _next_command(self) -> None:
        if not self._waiting or self._commanding:
            return
        if self._life.state is State.INTENT and self._withdrawn:
            await self._send()  # which withholds it
        if self._life.state is State.NOT_PLACED and self._withdrawn:
            for waiting in self._waiting:
                waiting.reply.set(Accepted(()))
            self._waiting.clear()
        if self._life.state.open and self._life.order_id is not None and self._hand.outstanding == 0:
            waiting = self._waiting.popleft()
            await self._command(waiting, self._life.order_id)

    async def _command(self, command: CancelOrder | AmendOrder, order_id: str) -> None:
        self._commanding = True
        amend = command if isinstance(command, AmendOrder) else None
        intended = intended_of(self._life, self.ids.new(), order_id, amend, self.clock.wall_ns())
        try:
            await self._take(intended)
        except JournalDown:
            if amend is not None:
                raise
            # A cancel still goes, under egress's emergency rule; anything else needs the journal.
            self.log.error("order.cancel_without_journal", intent=self._intent_id)
        message = message_of(intended, self._timing.deadline_s)
        self._hand.give(CommandJob(message, command.reply))

    async def _command_answered(self, job: CommandJob, outcome: WriteOutcome) -> None:
        self._commanding = False
        job.reply.set(outcome)
        ended = CommandEnded(command_id=job.message.command_id, intent_id=self._intent_id, outcome=outcome)
        await self._take(ended)
        if self._life.state.terminal:
            return
        if isinstance(outcome, Accepted) and isinstance(job.message, Cancel):
            self._must_end = True
            self._ask_soon(self._timing.deadline_s)  # unless the stream tells of it before
        elif in_doubt(outcome):
            self._ask_soon(0.0)

    # Ending.

    def _end_if_over(self) -> None:
        if not self._life.state.terminal or self._hand.outstanding:
            return
        for waiting in self._waiting:
            waiting.reply.fail(
                Refused(RefusalCode.NOT_OPEN, f"the order is {self._life.state}", place=self._intent_id)
            )
        self._waiting.clear()
        if not self._over_told:
            self._over_told = True
            self._links.orders.tell(OrderOver(intent_id=self._intent_id))

    async def on_stop(self, exit_: Exit) -> None:
        await self._hand.close()

    # Telling.

    def _life_changed(self) -> None:
        self._links.orders.tell(OrderChanged(life=self._life))
