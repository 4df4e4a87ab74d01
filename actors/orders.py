"""`/accounts/<a>/trading/orders`: takes intents, starts a tracker for each, and brings the venue's reports to them.

When it starts it folds the account's journal and starts one tracker per intent that is not over, before it accepts
anything. An intent that was committed and of which no attempt was ever journalled is withheld: whoever placed it may
have been told that it was refused, and an order older than its decision is dangerous.

An intent is answered as soon as it is durable. Commits are made by one task, which takes all that wait, so that the
flush of the disk is shared. Whatever else must wait for the journal goes through the same task, in order; the mailbox
never waits.

Whose a report is: `order_reports`. An external order that was executed freezes its instrument until somebody claims it.
"""

from collections.abc import Callable, Sequence
from typing import Final

from allstop.actors.commands import (
    AmendIntent,
    BeginExit,
    CancelIntent,
    GetOrder,
    GetOrders,
    OrderView,
    Place,
    Reports,
)
from allstop.actors.entry_caps import EntryCaps, GetStopped, ResetStrategy
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exits import Exit
from allstop.actors.external_orders import ClaimExternal, ExternalOrders, GetExternals
from allstop.actors.handover import ANSWER_S, Handover
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent
from allstop.actors.journal import Committed, JournalDown, append, subscribe
from allstop.actors.known_orders import KnownOrder, KnownOrders
from allstop.actors.levels import ROOT, CastVote, IntentKind, Level, LevelBoard, Origin, Scope, Vote
from allstop.actors.order_admission import Admission
from allstop.actors.order_commits import Arrived, OrderCommits
from allstop.actors.order_reports import OrderReports
from allstop.actors.order_talk import (
    AmendOrder,
    CancelOrder,
    Nursery,
    OrderChanged,
    OrderOver,
    TrackerLinks,
)
from allstop.actors.order_trackers import OrderTrackers, RefreshTracker, read_life
from allstop.actors.protocols import order_life
from allstop.actors.protocols.order_life import Life, State
from allstop.actors.protocols.records import (
    ORDERS,
    ExternalClaimed,
    ExternalSeen,
    IntentCommitted,
    Opaque,
    Record,
    RowLost,
    Withheld,
    from_body,
)
from allstop.actors.runtime import Actor, Down, Mailbox, Overflow, Ref

# Open and unanswered orders of one account. Kraken's largest tier has 225 per pair; a strategy that reaches this has
# gone wrong (T114).
LIVE_MAX: Final = 500


class Orders(Actor):
    """One account's orders. See the module."""

    # Bursts of placements and of reports after a reconnect; more than twice LIVE_MAX of either is not ours to queue.
    mailbox = Mailbox(capacity=2000, overflow=Overflow.REFUSE)

    def __init__(
        self,
        *,
        scope: Scope,
        links: TrackerLinks,
        nursery: Nursery,
        instruments: Callable[[str], Instrument | None],
        levels: LevelBoard,
        fresh: Callable[[str], bool] = lambda _pair: False,
        within_ramp: Callable[[], bool] = lambda: False,
        live_max: int = LIVE_MAX,
        entries_max_per_s: int | None = None,
        guardian: Ref | None = None,
    ) -> None:
        super().__init__()
        self._scope = scope
        self._links = links
        self._admission = Admission(
            scope, instruments, levels, links.gate, fresh=fresh, within_ramp=within_ramp
        )
        self._live_max = live_max
        self._known = KnownOrders()
        self._externals = ExternalOrders(links.gate)
        self._seen_seq = 0
        self._handover = Handover(guardian)
        self._lost: set[str] = (
            set()
        )  # what damaged rows were about: an intent that is known no more may be among it
        self._replayed: list[Record | Opaque] | None = []
        self._commits = OrderCommits(links.journal, self._committed, self._not_committed)
        self._caps = EntryCaps(self, entries_max_per_s, self._commits.record)
        self._trackers = OrderTrackers(self, self._known, self._commits, links, nursery)
        self._reports = OrderReports(
            self, self._known, self._externals, self._commits, self._trackers, self._shout
        )

    # Starting: fold, then trackers, then the door.

    async def on_start(self) -> None:
        await self._trackers.clear()
        self._links.gate.thaw_all()
        self.monitor(self._links.journal)
        await subscribe(self._links.journal, self.path, self._learn)
        records, self._replayed = self._replayed or [], None
        lives = order_life.fold(records)
        for life in await self._without_unsent(lives):
            self._known.know(life)
        for record in records:
            self._recall(record)
        for intent_id in [i for i, known in self._known.items() if known.needs_tracker]:
            await self._trackers.start(intent_id)
        self.start_task(self._commits.work(), "commits")
        self.start_task(self._handover.work(), "exits")

    async def _without_unsent(self, lives: dict[str, Life]) -> list[Life]:
        steps = [
            order_life.plan(
                life, Withheld(intent_id=life.intent.id, reason="not sent before orders started again")
            )
            for life in lives.values()
            if life.state is State.INTENT and life.attempts == 0 and life.owner == ORDERS
        ]
        if steps:
            await append(self._links.journal, [record for step in steps for record in step.records])
        return list({**lives, **{step.life.intent.id: step.life for step in steps}}.values())

    def _recall(self, record: Record | Opaque) -> None:
        match record:
            case ExternalSeen(report=report):
                self._externals.told(report)
            case ExternalClaimed(order_id=order_id):
                self._externals.claim(order_id)
            case RowLost(subject=subject):
                self._lost.add(subject)
            case _:
                self._caps.recall(record)

    def _learn(self, committed: Sequence[Committed]) -> None:
        """Called by the journal with what is committed. Of what others commit, intents matter: reports about them
        are not external. They were committed before they were sent, so before any report."""
        self._seen_seq = committed[-1].seq
        if self._replayed is not None:
            self._replayed += [from_body(entry.kind, entry.key, entry.body) for entry in committed]
            return
        for entry in committed:
            if entry.kind == "intent" and (entry.key not in self._known or self._known[entry.key].handed):
                record = from_body(entry.kind, entry.key, entry.body)
                if isinstance(record, IntentCommitted):
                    self._know_of_others(order_life.born(record))

    # The mailbox.

    def on_receive(self, message: object) -> object:
        match message:
            case Place(intent=intent, origin=origin, by=by):
                return self._place(intent, origin, by)
            case Reports():
                for report in message.reports:
                    self._reports.told(report, "snapshot" if message.snapshot else message.source)
                return None
            case OrderChanged(life=life):
                return self._known.changed(life)
            case OrderOver(intent_id=intent_id):
                return self._trackers.let_go(intent_id)
            case CancelIntent(intent_id=intent_id):
                return self._command(intent_id, CancelOrder(reply=self.defer()))
            case AmendIntent():
                return self._amend(message)
            case GetOrder(intent_id=intent_id):
                return self._view(intent_id)
            case GetOrders(open_only=open_only):
                return self._views(open_only)
            case GetExternals():
                return self._externals.unclaimed()
            case ClaimExternal():
                return self._claimed_by(message)
            case GetStopped():
                return self._caps.stopped()
            case ResetStrategy():
                return self._reset(message)
            case Down(ref=ref, exit=exit_) if ref.path == self._links.journal.path:
                return self._journal_ended(exit_)
            case Down():
                return self._trackers.ended(message)
            case RefreshTracker(intent_id=intent_id):
                return self._trackers.refresh(intent_id)
            case _:
                raise TypeError(f"orders does not know {message!r}")

    def _journal_ended(self, exit_: Exit) -> None:
        """Follows the next one. After a fatal end there is none: cancels and answers go on without."""
        self.log.error("orders.journal_ended", why=str(exit_))
        if exit_.fatal:
            self._commits.lost = True
            return

        async def follow() -> None:
            await subscribe(self._links.journal, self.path, self._learn, after_seq=self._seen_seq)
            self.monitor(self._links.journal)  # not before there is one: a monitor on nobody answers at once

        self._commits.later(follow)

    # Placing.

    def _place(self, intent: OrderIntent, origin: Origin, by: str) -> OrderView | None:
        digest = order_life.content(intent)
        if (known := self._known.get(intent.id)) is not None:
            return self._placed_again(intent, digest, known)
        if intent.id in self._lost:
            said = f"the journal's row of {intent.id} was lost: what became of it is not known here"
            raise Refused(RefusalCode.INTENT_ID_REUSED, said, place="id")
        if self._commits.lost:
            raise Refused(RefusalCode.NOT_COMMITTED, "the journal is lost", place=self.path)
        if refused := self._admission.refusal(intent, origin):
            raise refused
        if intent.kind is IntentKind.REDUCE:
            return self._hand_over(intent, origin, digest)
        if refused := self._caps.refusal(by):
            raise refused
        if len(self._trackers.live) >= self._live_max:
            raise Refused(RefusalCode.RATE_LIMIT, f"{self._live_max} orders are open", place=self.path)
        record = IntentCommitted(
            intent=intent, origin=origin, scope=(*self._scope, intent.pair), at_ns=self.clock.wall_ns()
        )
        life = order_life.born(record)
        self._known[intent.id] = KnownOrder(
            digest, ORDERS, life, held=[self.defer()], durable=False, starting=True
        )
        self._trackers.live.add(intent.id)
        self._commits.place(Arrived(record, life, self.clock.now_s()))
        return None

    def _hand_over(self, intent: OrderIntent, origin: Origin, digest: bytes) -> None:
        """An exit is the guardian's, which alone moves stops. Its id is taken here; what it comes to, the journal says."""
        until_ns = self.clock.wall_ns() + int(ANSWER_S * 1e9)
        begin = BeginExit(intent=intent, origin=origin, until_ns=until_ns)
        self._handover.give(begin, lambda answer: self._handed(intent.id, answer))
        self._known[intent.id] = KnownOrder(digest, "", None, held=[self.defer()], durable=False, handed=True)

    def _handed(self, intent_id: str, answer: OrderView | Refused) -> None:
        known = self._known[intent_id]
        if known.handed and isinstance(answer, Refused):  # otherwise its commit was told before this answer
            del self._known[intent_id]
            for reply in known.held:
                reply.fail(answer)

    def _know_of_others(self, life: Life) -> None:
        """An intent that somebody else committed; whoever placed it here is answered now."""
        waiting = self._known.get(life.intent.id)
        self._known.know(life)
        for reply in waiting.held if waiting is not None else ():
            reply.set(order_life.view(life))

    def _placed_again(self, intent: OrderIntent, digest: bytes, known: KnownOrder) -> OrderView | None:
        if known.digest != digest:
            raise Refused(RefusalCode.INTENT_ID_REUSED, f"{intent.id} is another order's", place="id")
        if not known.durable:
            known.held.append(self.defer())
            return None
        return self._view(intent.id)

    # What the commits bring.

    def _not_committed(self, batch: list[Arrived], error: JournalDown) -> None:
        """It may be committed all the same. Orders starts again, and withholds what it then finds."""
        refused = Refused(RefusalCode.NOT_COMMITTED, str(error), place=self.path)
        for arrived in batch:
            self._trackers.live.discard(arrived.life.intent.id)
            for reply in self._known.pop(arrived.life.intent.id).held:
                reply.fail(refused)

    async def _committed(self, batch: list[Arrived]) -> None:
        self._links.gate.wrote(self.clock.now_s() - batch[0].at_s)
        for arrived in batch:
            known = self._known[arrived.life.intent.id]
            known.durable = True
            for reply in known.held:
                reply.set(order_life.view(arrived.life))
            known.held.clear()
        for arrived in batch:
            await self._trackers.start(arrived.life.intent.id)

    # Externals, and strategies that were stopped.

    def _claimed_by(self, claim: ClaimExternal) -> None:
        if claim.order_id not in self._externals:
            raise Refused(RefusalCode.UNKNOWN_ORDER, f"no external order {claim.order_id}", place=self.path)
        reply = self.defer()

        async def commit() -> None:
            record = ExternalClaimed(order_id=claim.order_id, by=claim.by, reason=claim.reason)
            await append(self._links.journal, [record])
            self._externals.claim(claim.order_id)
            reply.set(True)

        self._commits.later(commit)

    def _reset(self, request: ResetStrategy) -> None:
        record = self._caps.reset(request)
        reply = self.defer()

        async def commit() -> None:
            await append(self._links.journal, [record])
            self._caps.recall(record)
            reply.set(True)

        self._commits.later(commit)

    # Commands and questions.

    def _command(self, intent_id: str, command: CancelOrder | AmendOrder) -> None:
        known = self._known.get(intent_id)
        if known is None or known.owner != ORDERS:
            raise Refused(RefusalCode.UNKNOWN_ORDER, f"no order {intent_id!r} here", place="intent_id")
        if known.tracker is None or not known.tracker.is_alive():
            over = known.life is None or known.life.state.terminal
            why = "the order is over" if over else "its tracker is not up"
            raise Refused(RefusalCode.NOT_OPEN, why, place=intent_id)
        known.tracker.tell(command)

    def _amend(self, amend: AmendIntent) -> None:
        known = self._known.get(amend.intent_id)
        if known is None or known.life is None or known.life.state.terminal:
            raise Refused(RefusalCode.NOT_OPEN, f"no open order {amend.intent_id!r}", place="intent_id")
        kind = self._admission.amended(known.life, amend)
        self._command(
            amend.intent_id,
            AmendOrder(
                reply=self.defer(),
                kind=kind,
                order_qty=amend.order_qty,
                limit_price=amend.limit_price,
            ),
        )

    def _view(self, intent_id: str) -> OrderView | None:
        known = self._known.get(intent_id)
        if known is None or not known.durable:
            return None
        if known.life is not None and known.owner == ORDERS:
            return order_life.view(known.life)
        reply = self.defer()

        async def answer() -> None:
            reply.set(order_life.view(await read_life(self._links.journal, intent_id)))

        self._commits.later(answer)
        return None

    def _views(self, open_only: bool) -> list[OrderView]:
        return [order_life.view(life) for life in self._known.lives(open_only=open_only)]

    def _shout(self, reason: str) -> None:
        self.log.critical("orders.contradiction", reason=reason)
        self._links.root.tell(CastVote(vote=Vote(f"{self.path}#contradiction", ROOT, Level.HALTED, reason)))
