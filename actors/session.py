"""The private Kraken session: the one connection on which orders go out and executions come in.

A command's way: refused at once when nothing is connected; queued behind the same order's earlier command, because
Kraken may reorder unanswered amends and cancels; charged to the pair's counter; checked by the egress guard; written.
Then it is pending until the venue's reply, and three other ends are possible:

    no reply by deadline + grace          -> Unknown     never sent again from here
    the connection ended after the write  -> Unknown     for every pending command
    it ended before the write             -> NotSent

A token is fetched for each connection. A refused session gets one new token; the second refusal is an exit.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from allstop.actors.call_reports import call_failed, call_succeeded
from allstop.actors.channels import ChannelConnection
from allstop.actors.commands import Amend, Cancel, Proof, Submit
from allstop.actors.connection import Open
from allstop.actors.egress import Checkpoint, Guard, OrderFrame
from allstop.actors.errors import Category, Fatal, Fault, RefusalCode, Refused, Remedy, ReplyError
from allstop.actors.exits import Exit
from allstop.actors.kraken_desk import KrakenDesk, keep
from allstop.actors.ledger_messages import OrderTouched, SetTier, SyncOrders
from allstop.actors.levels import IntentKind
from allstop.actors.limits.kraken import tier_of
from allstop.actors.order_commands import Command, charge_of, deadline_of, order_ids_of, outcome_of
from allstop.actors.order_frames import command_frame, submit_frame
from allstop.actors.ports import LinkClosed, QueryFailed
from allstop.actors.protocols.kraken import frames
from allstop.actors.protocols.kraken.events import MethodReply
from allstop.actors.protocols.wire import rfc3339
from allstop.actors.reports import Accepted, NotSent, Unknown, WriteOutcome
from allstop.actors.runtime import ActorDead, CallTimeout, Continue, Mailbox, Overflow, Ref
from allstop.actors.session_jobs import Job, Jobs
from allstop.actors.venue_mode import VenueMode

# The venue takes no deadline shorter than its minimum; one that has shrunk below it by less than this on its way here
# is stretched to it. Half of the smallest clock skew that lookups allow for.
LATE_MAX_S: Final = 0.05


class SubscribeAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """To the session: tell me (my path) an `OrderAccepted` for each order that it gets accepted. Answered True."""

    path: str


class OrderAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The venue accepted this order just now: the private stream must show it soon."""

    order_id: str
    pair: str


class _Overdue(msgspec.Struct, frozen=True):
    """To itself: no reply to this request in time."""

    req_id: int


class Session(ChannelConnection):
    """`desk` gets the token; it is closed with the session. `gate` takes Proof("session", ...), `scope_head` is
    (venue, account); `doubt` is told of every refusal: it may be that the pair changed; `mode` shows
    what the venue says of itself."""

    keeps_task = True  # a command waits for its bytes to be taken, every time
    every_frame_counts = True  # what cannot be read may have been an execution
    mailbox = Mailbox(
        capacity=2000, overflow=Overflow.REFUSE
    )  # commands: a sender must know when one was not taken

    def __init__(self, *, make_desk: Callable[[Ref], KrakenDesk], ledger: Ref, checkpoint: Checkpoint, gate: Ref,
                 scope_head: tuple[str, str], doubt: Callable[[Fault], None] = lambda _: None, mode: VenueMode | None = None,
                 **connection: Any) -> None:  # fmt: skip
        super().__init__(**connection)
        self._make_desk = make_desk
        self._ledger = ledger
        self._checkpoint = checkpoint
        self._gate = gate
        self._scope_head = scope_head
        self._doubt = doubt
        self._mode = mode or VenueMode()
        self._guard: Guard | None = None
        self._desk: KrakenDesk | None = None
        self._token = ""
        self._token_failures = 0
        self._reauthed = False
        self._jobs = Jobs(self._turn_of)
        self._watchers: dict[str, Ref] = {}

    # Getting in

    def on_start(self) -> Any:
        self._guard = self._checkpoint.guard(self.ref)
        self._desk = self._make_desk(self.ref)
        self.start_task(keep(self._desk), "desk")
        return Continue(Open())

    async def before_open(self) -> bool:
        return await self._fetch_token()

    async def on_connected(self) -> None:
        await super().on_connected()
        self._prove_session()
        self.send_after(self.settings.ack_timeout_s, _StatusDue())

    def on_status(self, before: str, now: str) -> None:
        """An engine that is back after maintenance has a past that we did not see: the listeners start anew."""
        self._mode.status = now
        self._prove_session()
        if self.ready and now == "online" and before not in ("", "online"):
            self.now_ready()

    def _prove_session(self) -> None:
        if self.ready:
            self._prove(
                holds=self.venue_status == "online", reason=f"the venue is {self.venue_status or 'silent'}"
            )

    async def _fetch_token(self) -> bool:
        """False: the venue or our ledger asks for patience, and an Open is on its way. Trouble on the network is an
        exit: the supervisor counts it and waits."""
        assert self._desk is not None
        try:
            self._token = await self._desk.websockets_token()
        except QueryFailed as failed:
            doublings = min(self._token_failures, self.settings.failures_max)
            patience_s = _patience_s(failed, self.settings.retry_first_s * 2**doublings)
            # A maintenance lasts as long as it lasts, and says so: no number of tries makes it a failure of ours.
            away = failed.fault is not None and failed.fault.category is Category.VENUE
            if patience_s is None or (self._token_failures >= self.settings.failures_max and not away):
                raise
            self._token_failures += 1
            self.log.warning("token.waits", wait_s=patience_s, reason=str(failed))
            self.send_after(min(patience_s, self.settings.retry_max_s), Open())
            return False
        self._token_failures = 0
        return True

    def subscription_token(self) -> str | None:
        return self._token

    def _prove(self, *, holds: bool, reason: str = "") -> None:
        self._gate.tell(
            Proof(name="session", holds=holds, at_s=self.clock.now_s(), by=self.path, reason=reason)
        )

    # Messages

    def on_message(self, message: object) -> object:
        match message:
            case Submit() | Amend() | Cancel():
                return self._take(message)
            case _Overdue(req_id=req_id):
                if (job := self._jobs.answered(req_id)) is not None:
                    call_failed(self, Category.TIMEOUT)
                    self._settle(job, Unknown("no reply within the deadline and its grace"))
                return None
            case _Next(job=job):
                return self._write(job)
            case _StatusDue():
                # The venue says how it is before anything else. Heartbeats alone would keep this connection alive, and
                # its gate closed, for ever.
                if not self.venue_status:
                    raise LinkClosed("the venue told no status after connecting")
                return None
            case _Reauth():
                return self._begin_reauth()
            case SubscribeAccepted(path=path):
                self._watchers[path] = self.system.address(path)
                return True
            case _:
                return super().on_message(message)

    def _take(self, command: Command) -> WriteOutcome | Coroutine[Any, Any, None] | None:
        if not self.ready:
            return NotSent("the session is not connected")
        if self.pending_count() >= self.settings.pending_max:
            return NotSent(f"{self.pending_count()} requests are unanswered")
        if isinstance(command, Cancel) and not 1 <= len(command.order_ids) <= frames.BATCH_MAX:
            return NotSent(f"a cancel names 1 to {frames.BATCH_MAX} orders")
        order_ids = order_ids_of(command)
        if self._jobs.waiting(order_ids) >= self.settings.queue_per_order_max:
            return NotSent("too many commands wait for this order")
        until_s = self.clock.now_s() + deadline_of(command, self.settings.rest_timeout_s)
        job = Job(command=command, reply=self.defer(), until_s=until_s, order_ids=order_ids)
        return self._write(job) if self._jobs.take(job) else None

    def _turn_of(self, job: Job) -> None:
        self.ref.tell(_Next(job))

    # Writing

    async def _write(self, job: Job) -> None:
        left_s = job.until_s - self.clock.now_s()
        if left_s < self.settings.deadline_min_s - LATE_MAX_S and not isinstance(job.command, Cancel):
            return self._settle(job, NotSent("its deadline passed before it could be sent"))
        left_s = min(max(left_s, self.settings.deadline_min_s), self.settings.deadline_max_s)
        try:
            await self._ledger.call(charge_of(job.command), timeout_s=self.settings.permit_timeout_s)
        except (ReplyError, ActorDead, CallTimeout) as refused:  # also a ledger whose mailbox is full
            return self._settle(job, NotSent(str(refused)))
        if not self.ready or job.done:
            return self._settle(job, NotSent("the connection ended before the write"))
        req_id = next(self.req_ids)
        frame = self._frame(job.command, req_id, left_s)
        try:
            assert self._guard is not None
            self._guard.check(self._order_frame(job.command, left_s))
        except Refused as refused:
            return self._settle(job, NotSent(str(refused)))
        self._jobs.written(req_id, job)
        job.sent_s = self.clock.now_s()
        job.timer = self.send_after(left_s + self.settings.reply_grace_s, _Overdue(req_id))
        await self.send(frame)
        return None

    def _frame(self, command: Command, req_id: int, deadline_s: float) -> str:
        deadline = rfc3339(self._checkpoint.clock.wall_ns() + int(deadline_s * 1e9))
        match command:
            case Submit(intent=intent):
                return frames.add_order(intent, self._token, req_id, deadline)
            case Amend():
                return frames.amend_order(
                    self._token,
                    req_id,
                    order_id=command.order_id,
                    order_qty=command.order_qty,
                    limit_price=command.limit_price,
                    trigger_price=command.trigger_price,
                    deadline=deadline,
                )
            case Cancel(order_ids=(order_id,)):
                return frames.cancel_order((order_id,), self._token, req_id)
            case Cancel(order_ids=order_ids):
                return frames.batch_cancel(order_ids, self._token, req_id)

    def _order_frame(self, command: Command, deadline_s: float) -> OrderFrame:
        guard, head = self._guard, self._scope_head
        match command:
            case Submit(intent=intent, attempt=attempt):
                return submit_frame(guard, intent, head, attempt, deadline_s)
            case Amend(command_id=command_id, kind=kind):
                return command_frame(guard, command_id, kind, head, deadline_s)
            case Cancel(command_id=command_id):
                return command_frame(guard, command_id, IntentKind.CANCEL, head, 0.0)

    # Answers

    def on_reply(self, reply: MethodReply) -> None:
        job = self._jobs.answered(reply.req_id)
        if job is None:
            super().on_reply(reply)
        else:
            call_succeeded(self)  # a no is an answer, too
            self.on_times(reply, job.sent_s)
            outcome = outcome_of(job.command, reply)
            if isinstance(outcome, Accepted):
                self._accepted(job.command, outcome)
            self._settle(job, outcome)
        self._learn(
            reply
        )  # last: it may end the session, and what the venue has answered is no longer unknown

    def on_times(self, reply: MethodReply, sent_s: float) -> None:
        if reply.in_ns and reply.out_ns:
            self._checkpoint.clock.replied(
                reply.in_ns, reply.out_ns, sent_s=sent_s, received_s=self.clock.now_s()
            )

    def _learn(self, reply: MethodReply) -> None:
        """What a reply says of the session and the account, whatever it answers."""
        fault = reply.fault
        if fault is not None:
            self._doubt(fault)
        if fault is not None and fault.remedy is Remedy.REAUTH:
            self.ref.tell(_Reauth())
        if fault is not None and fault.category is Category.AUTH and fault.remedy is not Remedy.COOL:
            assert self._desk is not None
            self._desk.refused(str(fault))
            raise Fatal("KEY_REFUSED", str(fault))
        if reply.max_rate_count is not None and (tier := tier_of(reply.max_rate_count)) is not None:
            self._ledger.tell(SetTier(tier=tier))

    def _accepted(self, command: Command, outcome: Accepted) -> None:
        match command:
            case Submit(intent=intent):
                for order_id in outcome.order_ids:
                    self._ledger.tell(OrderTouched(order_id=order_id, pair=intent.pair))
                    for watcher in self._watchers.values():
                        watcher.tell(OrderAccepted(order_id=order_id, pair=intent.pair))
            case Amend(order_id=order_id):
                self._ledger.tell(OrderTouched(order_id=order_id))
            case Cancel():
                pass  # an accepted cancel is not yet a cancelled order

    def _settle(self, job: Job, outcome: WriteOutcome) -> None:
        """Answers, once, and lets the next command of each of its orders go."""
        if not job.done:
            self._note_rate(job.command, outcome)
            self._jobs.settle(job, outcome)

    def _note_rate(self, command: Command, outcome: WriteOutcome) -> None:
        fault = getattr(outcome, "fault", None)
        if isinstance(fault, Fault) and fault.code.startswith("EOrder:") and fault.category is Category.RATE:
            match command:
                case Submit(intent=intent):
                    self._ledger.tell(SyncOrders(pair=intent.pair, level=None))
                case _:
                    pass

    def _begin_reauth(self) -> None:
        """Once: a new token for what follows. Meanwhile commands are refused; the listeners subscribe again with it."""
        if not self.ready:
            return
        if self._reauthed:
            raise LinkClosed("the venue refused the session twice")
        self._reauthed = True
        self.ready = False
        self._prove(holds=False, reason="the venue refused the session")
        self.start_task(self._reauth(), "reauth")

    async def _reauth(self) -> None:
        if not await self._fetch_token():
            raise LinkClosed("the venue refused the session and gave no new token")
        self.now_ready()
        self._prove_session()

    # Ends

    async def on_stop(self, exit_: Exit) -> None:
        """In order: what was written and not answered is Unknown, and said so before the connection closes."""
        self.ready = False
        self._end_jobs(str(exit_))
        await super().on_stop(exit_)

    def on_failure(self, exception_type: Any, exception_value: BaseException | None, traceback: Any) -> None:
        self.ready = False
        self._end_jobs(str(exception_value))

    def _end_jobs(self, why: str) -> None:
        self._prove(holds=False, reason=why)
        self._jobs.end(why)

    def pending_count(self) -> int:
        return super().pending_count() + self._jobs.unanswered


class _Next(msgspec.Struct, frozen=True):
    """To itself: this job's turn has come."""

    job: Job


class _StatusDue(msgspec.Struct, frozen=True):
    """To itself: by now the venue must have told its status."""


class _Reauth(msgspec.Struct, frozen=True):
    """To itself: the venue says that the session is not valid."""


def _patience_s(failed: QueryFailed, backoff_s: float) -> float | None:
    """How long to wait before asking again, or None when waiting is not what helps: rate limits and lockouts are
    waited out, and so are a venue that is away and our own ledger; everything else is the supervisor's business."""
    cause: BaseException | None = failed.__cause__
    if isinstance(cause, Refused) and cause.code is RefusalCode.RATE_LIMIT:
        return max(getattr(cause, "retry_after_s", 0.0), backoff_s)
    if failed.fault is not None and failed.fault.category in (Category.RATE, Category.MARKET, Category.VENUE):
        return max(failed.fault.retry_after_s or 0.0, backoff_s)
    return None
