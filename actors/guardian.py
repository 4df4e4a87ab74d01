"""The guardian of one account: every position has a live stop of its full size, or is being flattened, or trading halts.

It stands beside the trading subtree and not in it, with a desk of its own: it goes on while trading is restarted,
paused or halted, at every level. It believes the venue alone. The private stream makes it faster and is never needed:

    every poll_s while something is exposed, else every idle_poll_s (the journal tells of new intents by itself):
        read     the venue's open orders, and what closed where that is in question (`audit.py`)
        judge    each pair: position against stops (`protocols/cover.py`), and the step (`protocols/remedies.py`)
        confirm  a step that would act: read everything again; only what both readings ask for is done (what the stream
             told counts as one of them)
        act      one write per pair at a time: intent or command durable first, then sent, then its outcome noted

A write without an answer blocks its pair until the venue was searched. After a restart the same journal gives the same
ids, and what was written and not answered is searched for first. The constructor and `on_start` never wait for the
venue: the first complete audit that finds nothing uncovered ends with the proof `guardian` to the order gate, and no
entry passes before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from allstop.actors.audit import Audit
from allstop.actors.audit_proof import AuditProof, Blind
from allstop.actors.commands import (
    BeginExit,
    GetCover,
    OrderView,
    ProveAgain,
    ProveHalt,
    Reports,
)
from allstop.actors.cover_journal import CoverJournal
from allstop.actors.cover_judge import CoverJudge
from allstop.actors.cover_notes import CoverNotes
from allstop.actors.cover_orders import CoverOrders, Written
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exit_duty import ExitDuty
from allstop.actors.exits import Exit
from allstop.actors.guardian_settings import GuardianSettings, KeyState, Pace, guardian_settings
from allstop.actors.halter import HaltDuty
from allstop.actors.instruments import Instrument
from allstop.actors.journal import JournalDown
from allstop.actors.levels import CastVote, Level, LevelBoard, Vote, WithdrawVote
from allstop.actors.ports import Desk, QueryFailed
from allstop.actors.protocols.cover import Covered, Uncovered, Verdict
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.records import Record
from allstop.actors.protocols.remedies import (
    AmendStop,
    Flatten,
    GiveUp,
    PlaceStop,
    Rest,
    Step,
    confirmed,
    later,
)
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Down, Ref, Reply
from allstop.actors.venue_clock import VenueClock
from allstop.actors.wakeup import Wakeup

__all__ = ["Guardian", "GuardianSettings", "KeyState", "Pace", "guardian_settings"]

END_S = 0.5  # what a tracker needs to write the end of its order, and more
# How old a finding may be that is acted on once more, as shares of cover_s: what is told may have ended, and even of
# what has not the ways to mend it change with time. Longer where the key has no calls for another.
KNOWN_SHARE = 0.5
REPEAT_SHARE = 4.0


class _Recheck(msgspec.Struct, frozen=True):
    """To itself: does this pair still look wrong?"""

    pair: str


class _WriteEnds(msgspec.Struct, frozen=True):
    """To itself, in a halt: whose tracker has not written by now that its order is over, has none."""


class Guardian(Actor):
    """Answers `GetCover` with a CoverView and `ProveHalt` with a HaltProof (or QueryFailed, HaltNotProven: ask again).
    Takes `Reports` from the private stream. `root` gets its votes, `gate` its proof."""

    def __init__(
        self,
        settings: GuardianSettings,
        *,
        open_desk: Callable[[], Desk],
        journal: CoverJournal,
        instruments: Mapping[str, Instrument],
        board: LevelBoard,
        root: Ref,
        gate: Ref | None = None,
        mark: Callable[[str], Decimal | None] | None = None,
        pace: "Pace | None" = None,
        key_state: Callable[[], Awaitable[KeyState]] | None = None,
        venue_clock: VenueClock | None = None,
        matches: Callable[[str], bool] = lambda _pair: True,
    ) -> None:
        self._settings = settings
        self._open_desk = open_desk
        self._journal = journal
        self._instruments = instruments
        self._board = board
        self._root = root
        self._proof = AuditProof(self, gate, 2 * settings.times.cover_s)
        self._mark = mark
        self._memory = CoverMemory(self.path)
        self._acting: set[str] = set()
        self._unsent: set[str] = set()  # pairs of which the first write of a step is on its way
        self._suspects: set[str] = set()
        self._alarms: dict[str, Verdict] = {}  # what is wrong by another source than the next reading
        # Of those, what a write of ours has mended in part: of it a glance at the open orders says enough.
        self._begun: set[str] = set()
        self._blocked: dict[str, Verdict] = {}  # found while the outcome of a write was awaited
        self._changed = Wakeup()
        self._wake_s: float | None = None
        self._pace = pace or Pace(settings.tier)
        self._key_state = key_state
        self._venue_clock = venue_clock
        self._matches = matches
        self._voted = True  # an earlier incarnation may have: the first covered audit withdraws it

    async def on_start(self) -> None:
        self._desk = self._open_desk()
        clock = self._venue_clock or VenueClock(self.clock, measured=True)
        turn = asyncio.Lock()
        self._audit = Audit(self._desk, self._memory, self.clock, self._settings.overlap_s, turn)
        self._orders = CoverOrders(
            self._settings.name,
            self._settings.scope,
            self._settings.timing,
            desk=self._desk,
            journal=self._journal,
            memory=self._memory,
            clock=clock,
            ids=self.ids,
            turn=turn,
        )
        self._judge = CoverJudge(
            self,
            self._settings,
            audit=self._audit,
            memory=self._memory,
            orders=self._orders,
            instruments=self._instruments,
            mark=self._mark,
            holds=self._exiting,
            acting=self._acting.__contains__,
            wake_in=self._wake_in,
            matches=self._matches,
        )
        self._notes = CoverNotes(self._journal, self._memory)
        self._exits = ExitDuty(
            self._settings,
            desk=self._desk,
            orders=self._orders,
            notes=self._notes,
            journal=self._journal,
            memory=self._memory,
            instruments=self._instruments,
            board=self._board,
            clock=self.clock,
            pace=self._pace,
            acting=self._acting.__contains__,
            open_orders=self._judge.stops,
            turn=turn,
            call_s=lambda: self._audit.took_s,
        )
        self._halt = HaltDuty(
            self._settings.name,
            self._settings.scope,
            self._settings.timing.skew_s,
            desk=self._desk,
            journal=self._journal,
            memory=self._memory,
            clock=clock,
            ids=self.ids,
            start_task=self.start_task,
            proven=lambda: self._wake_in(0.0),  # what was cancelled is over: the book is to know
        )
        self._memory.fold(await self._journal.rows())
        self.monitor(self._journal.actor)
        await self._journal.follow(self.path, self._learn, after_seq=self._memory.seq)
        self._orders.resume()
        await self._exits.settle()
        self.start_task(self._watching(), "watch")

    async def on_stop(self, exit_: Exit) -> None:
        await self._desk.close()

    def on_receive(self, message: object) -> object:
        match message:
            case Reports(reports=reports):
                self._told(reports)
                return None
            case GetCover():
                return self._judge.view(
                    audited=self._proof.audited,
                    reachable=self._proof.reachable,
                    journal_lost=self._journal.lost,
                )
            case _Recheck(pair=pair):
                self._recheck(pair)
                return None
            case ProveAgain():
                # A gate that had to wait for the next look would keep entries out for as long as looks are apart.
                if self._proof.audited:
                    self._proof.tell()
                return None
            case Blind():
                return self._proof.ran_out()
            case Down(exit=ended):
                if not ended.fatal:  # after a fatal end there is no next one: cover goes on without
                    self.start_task(self._follow_next(), "following the next journal")
                return None
            case _WriteEnds():
                self.start_task(self._notes.write_ends(), "ends")
                return None
            case BeginExit():
                return self._leave(message)
            case ProveHalt(reason=reason):
                self._halt.ask(reason, self.defer())
                return None
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    # -- watching --------------------------------------------------------------------------------------------

    async def _watching(self) -> None:
        while True:
            self._wake_s = None
            calls = self._audit.calls
            await self._look()
            self._pace.spent(self._audit.calls - calls, self.clock.now_s())
            await self._keep_pace()
            await self._pause()

    async def _keep_pace(self) -> None:
        """What an earlier process spent of the key, or others do, is not ours to spend again; nor is what the venue
        took by saying that its limit is reached. Others who wait for calls of the key get them before the next look."""
        if self._key_state is None:
            return
        try:
            self._pace.found(await self._key_state(), self.clock.now_s())
        except (ActorDead, CallTimeout):
            return  # the ledger is restarting; asked again after the next look

    async def _pause(self) -> None:
        """Until the next look is due. What is due can come nearer meanwhile: an intent, an answer, the stream."""
        began_s = self.clock.now_s()
        while True:
            self._changed.clear()
            due_s = began_s + (self._settings.poll_s if self._exposed() else self._settings.idle_poll_s)
            due_s = max(due_s, began_s + self._pace.wait_s(began_s))
            if self._wake_s is not None:
                due_s = min(due_s, self._wake_s)
            if (
                known_s := self._orders.due_s(self._exits.holds)
            ) is not None:  # till then its pair stands still
                soonest_s = max(self._settings.times.settle_s, self._pace.urgent_wait_s(began_s))
                due_s = min(due_s, max(known_s, began_s + soonest_s))
            if self._unsent:  # a reading that takes the key's turn before our own write makes it late
                due_s = max(due_s, began_s + self._settings.times.cover_s / 4)
            left_s = due_s - self.clock.now_s()
            if left_s <= 0:
                return
            if not await self._changed.sleep(left_s):
                return

    def _wake_in(self, seconds: float) -> None:
        at_s = self.clock.now_s() + seconds
        self._wake_s = at_s if self._wake_s is None else min(self._wake_s, at_s)
        self._changed.ring()

    async def _follow_next(self) -> None:
        """A journal that starts again knows none of its followers. What it commits before we ask is told, too."""
        while True:
            try:
                await self._journal.follow(self.path, self._learn)
            except JournalDown as error:
                self.log.error("guardian.journal_ended", why=str(error))
                await asyncio.sleep(self._settings.times.cover_s / 2)
            else:
                self.monitor(self._journal.actor)  # not before there is one: on nobody it answers at once
                return

    def _learn(self, record: Record) -> None:
        self._memory.note(record)
        self._changed.ring()

    def _exposed(self) -> bool:
        return (
            not self._proof.audited
            or not self._proof.reachable
            or self._memory.open_entries()
            or bool(self._orders.pairs())
            or any(p.net for p in self._memory.book.positions().values())
            or not self._judge.all_covered()
        )

    async def _look(self) -> None:
        """One round. A venue that cannot be read proves nothing: time is counted, and the next round comes."""
        try:
            steps = await self._settled_steps()
        except QueryFailed as error:
            if self._proof.reachable:
                self.log.warning("guardian.blind", what=str(error))
            now_s = self.clock.now_s()
            self._judge.unreachable(now_s)
            if self._alarms or self._judge.any_bare():
                self._wake_in(max(self._settings.times.settle_s, self._pace.urgent_wait_s(now_s)))
            self._vote(reachable=False)
            self._proof.unseen(str(error))
            return
        self._proof.seen()
        for pair, step in steps.items():
            self._begin(pair, step)
        await self._notes.write(self._audit.executed)
        await self._exits.settle()
        self._vote(reachable=True)
        # An incarnation that found a position uncovered covers it before it lets entries pass.
        self._proof.cleared = self._proof.cleared or self._all_covered()
        if not self._proof.cleared:
            self._wake_in(self._settings.times.cover_s / 4)
        self._proof.tell()
        if self._board.effective(self._settings.scope) is Level.HALTED:
            self._halt.keep(self._audit.listed)
            if self._notes.unwritten_ends() and not self._journal.lost:
                self.send_after(END_S, _WriteEnds())

    def _all_covered(self) -> bool:
        """By live stops alone: what an earlier incarnation was about to sell counts as cover for a look, and may be
        withheld in the next moment."""
        acted_on = any(self._exits.holds(p) or self._orders.in_flight(p) for p in self._judge.pairs())
        return not self._judge.any_bare() and not acted_on

    async def _settled_steps(self) -> dict[str, Step]:
        """What is to be done, by two readings: one alone can catch a fill between two of its own questions. What the
        stream has told, what two readings found and the venue did not let be mended, or not in one step, and what was
        found while the outcome of a write was awaited, counts as the first: each reading costs time and calls of which
        there may be few."""
        alarmed = bool(self._alarms)
        full = not self._proof.audited or bool(self._alarms.keys() - self._begun)
        full = await self._read(full=full)
        first = self._judge.judge_all()
        blocked, self._blocked = self._blocked, self._found_of(self._orders.pairs())
        if full or alarmed:
            # What the stream told while this reading was made is not from it, either.
            known, self._alarms, self._begun = blocked | self._alarms, {}, set()
            agreed = {pair for pair in first if self._agrees(pair, known.get(pair))}
            unsure = [pair for pair, step in first.items() if _acts(step) and pair not in agreed]
            if agreed or not unsure:  # those that agree do not wait for the others
                self._alarms = self._found_of(unsure)
                if unsure:
                    self._wake_in(0.001)
                return {pair: step for pair, step in first.items() if pair not in unsure}
        if not any(map(_acts, first.values())):
            return first
        await self._read(full=True)
        second = self._judge.judge_all()
        if any(_acts(step) and not confirmed(first.get(pair), step) for pair, step in second.items()):
            self._wake_in(self._settings.times.settle_s / 2)
        return {pair: step for pair, step in second.items() if confirmed(first.get(pair), step)}

    def _found_of(self, pairs: Iterable[str]) -> dict[str, Verdict]:
        return {pair: found for pair in pairs if (found := self._judge.found(pair)) is not None}

    def _agrees(self, pair: str, alarm: Verdict | None) -> bool:
        found = self._judge.found(pair)
        if alarm is None or found is None:
            return False
        return type(found) is type(alarm) and found.qty == alarm.qty

    async def _read(self, *, full: bool) -> bool:
        """Whether it was a full one."""
        started_s = self.clock.now_s()
        unknown = any(
            not self._exits.holds(pair) and not self._orders.waits(pair) and not self._orders.accepted(pair)
            for pair in self._orders.pairs()
        )
        was_full = await self._audit.read(full=full or unknown, awaited=self._orders.awaited())
        if was_full:
            if adopted := self._memory.adopt_own(self._settings.name):
                self.log.warning("guardian.adopted", intents=adopted)
            for written in await self._orders.read(started_s):
                self._judge.settle(written)
                self._expect(written)
        else:
            for pair in self._orders.pairs():
                if self._orders.accepted(pair):
                    self._orders.shown(pair)
        return was_full

    def _told(self, reports: tuple[OrderReport, ...]) -> None:
        """What the stream says goes into the book. It starts a look when an execution stands there without a stop, or
        when a stop ended: routine looks may be many seconds apart."""
        executed = self._memory.book.take_all(reports)
        self._exits.told()
        if any(r.fill is not None for r in reports) and self._memory.has_own():
            self.start_task(self._notes.write_fills(reports), "fills")
        for pair in ({e.pair for e in executed} | self._ended_stops(reports)) - self._suspects:
            if self._judge.looks_wrong(pair) is not None:
                self._suspects.add(pair)
                self.send_after(self._settings.times.settle_s, _Recheck(pair))

    def _ended_stops(self, reports: tuple[OrderReport, ...]) -> set[str]:
        """The pairs of which a stop is no more, by whoever's hand."""
        known = (self._memory.book.order(report.order_id) for report in reports if report.status.terminal)
        return {
            order.pair
            for order in known
            if order is not None and order.pair and order.order_type and order.order_type.is_stop
        }

    def _recheck(self, pair: str) -> None:
        """The stream tells a fill before the stop that it made. What still looks wrong a moment later is worth a
        reading; asking the venue at each fill would spend the key's counter on nothing."""
        self._suspects.discard(pair)
        if (verdict := self._judge.looks_wrong(pair)) is not None:
            self._alarms[pair] = verdict
            self._wake_in(0.0)

    # -- acting ----------------------------------------------------------------------------------------------

    def _leave(self, begin: BeginExit) -> OrderView | None:
        """An exit: a task carries it, and the ordinary looks leave its pair alone meanwhile."""
        if not self._proof.audited:
            raise Refused(RefusalCode.GATE_CLOSED, "the positions were not audited yet", place=self.path)
        if (known := self._exits.take(begin)) is not None:
            return known
        self.start_task(self._carry(begin, self.defer()), f"exit {begin.intent.pair}")
        return None

    async def _carry(self, begin: BeginExit, reply: Reply) -> None:
        left = await self._exits.carry(begin, reply)
        self.log.info("guardian.exit", pair=begin.intent.pair, intent=begin.intent.id, ended=left.why)
        if not left.covered:
            self._wake_in(0.0)

    def _exiting(self, pair: str) -> bool:
        return self._exits.holds(pair)

    def _begin(self, pair: str, step: Step) -> None:
        if self._exits.holds(pair):
            return  # it began after the reading that this step comes from
        match step:
            case Rest():
                return
            case GiveUp(reason=reason):
                self.log.error("guardian.abandoned", pair=pair, reason=reason)
                vote = Vote(f"{self.path}:abandoned", self._settings.scope, Level.HALTED, reason)
                self._root.tell(CastVote(vote=vote))
                self._judge.gave_up(pair)
                self._wake_in(self._settings.times.again_s(1))
            case _:
                self._acting.add(pair)
                self._unsent.add(pair)
                self.start_task(self._act(pair, step), f"cover {pair}")

    async def _act(self, pair: str, step: Step) -> None:
        """Carries out what two readings found, while it is not too old: each pair of them costs the key what the next
        may need. Of many stops that are missing one is placed after the other for as long as the stream tells of each
        what was expected; else the venue is read again after the first."""
        began_s = self.clock.now_s()
        try:
            while (written := await self._carried_out(pair, step, began_s)) is not None:
                self._judge.settle(written)
                if isinstance(written.step, PlaceStop | Flatten):
                    self._orders.shown(pair)
                left = self._expect(written)
                if left is None:
                    break
                old = self.clock.now_s() - began_s >= self._settings.times.cover_s * KNOWN_SHARE
                further = self._judge.told_of(pair, left) if written.taken and not old else None
                if further is None:
                    break
                del self._alarms[pair]
                step = further
        finally:
            self._acting.discard(pair)
            self._written(pair)
        self._wake_in(0.0)

    async def _carried_out(self, pair: str, step: Step, began_s: float) -> Written | None:
        """What the venue does not take now, or what did not leave, is written again: it was found by two readings. It is
        read again when it is older and the key has calls for it, or the stream tells that it is over."""
        times = self._settings.times
        written = await self._orders.write(pair, step)
        self._written(pair)
        while _again(written):
            await asyncio.sleep(times.settle_s)
            now_s = self.clock.now_s()
            old_s = times.cover_s * (REPEAT_SHARE if self._pace.own_wait_s(now_s) else KNOWN_SHARE)
            if now_s - began_s >= old_s or self._judge.looks_wrong(pair) is None:
                break
            written = await self._orders.write(pair, step)
        return written

    def _expect(self, written: Written) -> Verdict | None:
        """What the next reading must find after this write, for the two before it to stand: it counts as one of them."""
        left = left_by(self._judge.found(written.pair), written)
        if left is not None:
            self._alarms[written.pair] = left
            if written.taken:
                self._begun.add(written.pair)
        return left

    def _written(self, pair: str) -> None:
        if pair in self._unsent:
            self._unsent.discard(pair)
            self._changed.ring()

    # -- votes -----------------------------------------------------------------------------------------------

    def _vote(self, *, reachable: bool) -> None:
        """EMERGENCY while anything is uncovered beyond cover_s; back when nothing is."""
        late = self._judge.late()
        if late:
            reason = f"{', '.join(late)} without a full stop for over {self._settings.times.cover_s} s"
            self._root.tell(CastVote(vote=Vote(self.path, self._settings.scope, Level.EMERGENCY, reason)))
            self._voted = True
        elif self._voted and reachable:
            self._root.tell(WithdrawVote(by=self.path, scope=self._settings.scope))
            self._voted = False


def _again(written: Written | None) -> bool:
    """Whether it came to nothing without the venue having said a word about it."""
    if written is None or written.taken or not isinstance(written.step, PlaceStop | AmendStop | Flatten):
        return False
    return written.fault is None or later(written.fault)


def left_by(found: Verdict | None, written: Written) -> Verdict | None:
    """What a reading that follows a write must find for two readings to agree on it: those before the write found more,
    and the write took a part of it away. None: nothing is left."""
    if not written.taken:
        match found, written.step:
            case Covered(), Flatten(qty=qty):
                # While it was out it counted as cover: it never arrived, so what two readings found before it is left.
                return Uncovered(qty, 0.0)
            case _:
                return found
    match found, written.step:
        case Uncovered(qty=qty, since_s=since_s), PlaceStop(qty=placed) if placed < qty:
            return Uncovered(qty - placed, since_s)
        case _:
            return None


def _acts(step: Step) -> bool:
    return not isinstance(step, Rest)
