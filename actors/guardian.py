"""The guardian of one account: every position has a live stop of its full size, or is being flattened, or trading halts.

It stands beside the trading subtree and not in it, with a desk of its own: it goes on while trading is restarted,
paused or halted, at every level. It believes the venue alone. The private stream makes it faster and is never needed:

    look     when one is due (`next_look.py`)
    round    read the venue, judge each pair, and confirm what would act by another source (`cover_round.py`)
    act      one write per pair at a time: intent or command durable first, then sent, then its outcome noted
             (`cover_duty.py`, `cover_orders.py`); what cannot be mended is voted (`cover_votes.py`)

A write without an answer blocks its pair until the venue was searched. After a restart the same journal gives the same
ids, and what was written and not answered is searched for first. The constructor and `on_start` never wait for the
venue: the first complete audit that finds nothing uncovered ends with the proof `guardian` to the order gate, and no
entry passes before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
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
from allstop.actors.cover_duty import CoverDuty
from allstop.actors.cover_journal import CoverJournal
from allstop.actors.cover_judge import CoverJudge
from allstop.actors.cover_notes import CoverNotes
from allstop.actors.cover_orders import CoverOrders
from allstop.actors.cover_round import CoverRound
from allstop.actors.cover_votes import CoverVotes
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exit_duty import ExitDuty
from allstop.actors.exits import Exit
from allstop.actors.guardian_settings import GuardianSettings, KeyState, Pace, guardian_settings
from allstop.actors.halter import HaltDuty
from allstop.actors.instruments import Instrument
from allstop.actors.journal import JournalDown
from allstop.actors.levels import Level, LevelBoard
from allstop.actors.next_look import NextLook
from allstop.actors.ports import Desk, PairTrading, QueryFailed
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.findings import Findings, touched
from allstop.actors.protocols.records import Record
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Actor, Down, Ref, Reply
from allstop.actors.venue_clock import VenueClock
from allstop.actors.venue_mode import AlwaysTraded

__all__ = ["Guardian", "GuardianSettings", "KeyState", "Pace", "guardian_settings"]

END_S = 0.5  # what a tracker needs to write the end of its order, and more


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
        trading: PairTrading | None = None,
    ) -> None:
        self._settings = settings
        self._open_desk = open_desk
        self._journal = journal
        self._instruments = instruments
        self._board = board
        self._votes = CoverVotes(self.path, settings, root)
        self._proof = AuditProof(self, gate, 2 * settings.times.cover_s)
        self._mark = mark
        self._memory = CoverMemory(self.path)
        self._findings = Findings()
        self._suspects: set[str] = set()  # pairs that looked wrong a moment ago, by what the stream told
        self._pace = pace or Pace(settings.tier)
        self._key_state = key_state
        self._venue_clock = venue_clock
        self._trading = trading or AlwaysTraded()

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
        self._next = NextLook(
            self._settings,
            clock=self.clock,
            pace=self._pace,
            key_state=self._key_state,
            exposed=self._exposed,
            answer_s=lambda: self._orders.due_s(self._exits.holds),
            writing=self._writing,
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
            acting=self._acting,
            wake_in=self._next.wake_in,
            matches=self._trading.matches,
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
            acting=self._acting,
            open_orders=self._judge.stops,
            turn=turn,
            call_s=lambda: self._audit.took_s,
            matches=self._trading.matches,
        )
        self._round = CoverRound(
            self,
            self._settings,
            audit=self._audit,
            judge=self._judge,
            memory=self._memory,
            orders=self._orders,
            findings=self._findings,
            holds=self._exits.holds,
            wake_in=self._next.wake_in,
        )
        self._duty = CoverDuty(
            self,
            self._settings,
            judge=self._judge,
            orders=self._orders,
            findings=self._findings,
            votes=self._votes,
            pace=self._pace,
            next_look=self._next,
            holds=self._exits.holds,
            trading=self._trading,
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
            proven=lambda: self._next.wake_in(0.0),  # what was cancelled is over: the book is to know
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
            self._next.begun()
            calls = self._audit.calls
            await self._look()
            await self._next.ended(self._audit.calls - calls)
            await self._next.wait()

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
        self._next.changed()

    def _exposed(self) -> bool:
        return (
            not self._proof.audited
            or not self._proof.reachable
            or bool(self._orders.pairs())
            or any(p.net for p in self._memory.book.positions().values())
            or not self._judge.all_covered()
            or self._memory.open_entries()  # it asks for each of them, and is seldom the only reason
        )

    async def _look(self) -> None:
        """One round. A venue that cannot be read proves nothing: time is counted, and the next round comes."""
        try:
            steps = await self._round.steps(audited=self._proof.audited)
        except QueryFailed as error:
            if self._proof.reachable:
                self.log.warning("guardian.blind", what=str(error))
            now_s = self.clock.now_s()
            self._judge.unreachable(now_s)
            if self._findings.any() or self._judge.any_bare():
                self._next.wake_in(max(self._settings.times.settle_s, self._pace.urgent_wait_s(now_s)))
            self._votes.looked(self._judge.late(), reachable=False)
            self._proof.unseen(str(error))
            return
        self._proof.seen()
        for pair, step in steps.items():
            self._duty.begin(pair, step)
        await self._notes.write(self._audit.executed)
        await self._exits.settle()
        self._votes.looked(self._judge.late(), reachable=True)
        # An incarnation that found a position uncovered covers it before it lets entries pass.
        self._proof.cleared = self._proof.cleared or self._all_covered()
        if not self._proof.cleared:
            # Not before it can be told what became of an earlier life's write: the calls are needed for the search.
            answer_s = (self._orders.due_s(self._exits.holds) or 0.0) - self.clock.now_s()
            self._next.wake_in(max(self._settings.times.cover_s / 4, answer_s))
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

    def _told(self, reports: tuple[OrderReport, ...]) -> None:
        """What the stream says goes into the book. It starts a look when an execution stands there without a stop, or
        when a stop ended: routine looks may be many seconds apart."""
        executed = self._memory.book.take_all(reports)
        self._exits.told()
        if any(r.fill is not None for r in reports) and self._memory.has_own():
            self.start_task(self._notes.write_fills(reports), "fills")
        for pair in sorted(touched(executed, reports, self._memory.book) - self._suspects):
            if self._judge.looks_wrong(pair) is not None:
                self._suspects.add(pair)
                self.send_after(self._settings.times.settle_s, _Recheck(pair))

    def _recheck(self, pair: str) -> None:
        """The stream tells a fill before the stop that it made. What still looks wrong a moment later is worth a
        reading; asking the venue at each fill would spend the key's counter on nothing."""
        self._suspects.discard(pair)
        if self._alarm(pair):
            self._next.wake_in(0.0)

    def _alarm(self, pair: str) -> bool:
        """Whether the pair looks wrong by what was told so far: then the next reading is the second of two."""
        verdict = self._judge.looks_wrong(pair)
        if verdict is not None:
            self._findings.alarm(pair, verdict, whole=self._memory.book.stops_told(pair))
        return verdict is not None

    # -- exits -----------------------------------------------------------------------------------------------

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
            self._alarm(begin.intent.pair)
            self._next.wake_in(0.0)
        await self._exits.close(begin.intent)

    def _exiting(self, pair: str) -> bool:
        return self._exits.holds(pair)

    def _acting(self, pair: str) -> bool:
        return self._duty.acts_on(pair)

    def _writing(self) -> bool:
        return self._duty.writing()
