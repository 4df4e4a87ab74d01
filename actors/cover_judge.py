"""What the guardian thinks of each pair: how long it has stood uncovered, the verdict, and the step that it needs.

It judges by what was read (`audit.py`) and told, through `protocols/cover.py` and `protocols/remedies.py`, and
remembers one watch per pair. It asks nobody and writes nothing: it says what changed, and when to look again.

Most looks find what the look before them found. Time is no part of what a covered pair's verdict follows from: while all
that it does follow from is the same (`_Basis`), the verdict is, and is not worked out again.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from allstop.actors.audit import Audit
from allstop.actors.commands import CoverView, PairCover
from allstop.actors.cover_orders import CoverOrders
from allstop.actors.events import CoverChanged
from allstop.actors.guardian_settings import GuardianSettings
from allstop.actors.instruments import Instrument
from allstop.actors.protocols.cover import Covered, Dust, OverCovered, Uncovered, Verdict, assess
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.cover_watch import PairWatch
from allstop.actors.protocols.exiting import CancelExit, SendExit
from allstop.actors.protocols.pending_write import Written
from allstop.actors.protocols.remedies import Flatten, GiveUp, PlaceStop, Rest, Step
from allstop.actors.reports import OrderReport, OrderStatus
from allstop.actors.runtime import Actor

_STATES: Mapping[type[Verdict], str] = {
    Covered: "covered",
    Uncovered: "uncovered",
    OverCovered: "over_covered",
    Dust: "dust",
}


class _Basis(msgspec.Struct, frozen=True):
    """What a pair's verdict followed from, apart from writes and exits under way, of which there were none."""

    version: int  # of the book
    unlisted: frozenset[str]
    instrument: Instrument
    matches: bool
    watch: PairWatch

    def same(
        self, version: int, unlisted: frozenset[str], instrument: Instrument, matches: bool, watch: PairWatch
    ) -> bool:
        return (
            self.version == version
            and self.watch is watch
            and self.instrument is instrument
            and self.matches == matches
            and self.unlisted == unlisted
        )


class CoverJudge:
    """The watches and verdicts of one guardian. `holds`: an exit looks after the pair; `acting`: a write is on its
    way; `wake_in`: look again after so many seconds; `matches`: the venue matches orders on the pair now."""

    def __init__(
        self,
        guardian: Actor,
        settings: GuardianSettings,
        *,
        audit: Audit,
        memory: CoverMemory,
        orders: CoverOrders,
        instruments: Mapping[str, Instrument],
        mark: Callable[[str], Decimal | None] | None,
        holds: Callable[[str], bool],
        acting: Callable[[str], bool],
        wake_in: Callable[[float], None],
        matches: Callable[[str], bool],
    ) -> None:
        self._guardian = guardian
        self._settings = settings
        self._audit = audit
        self._memory = memory
        self._orders = orders
        self._instruments = instruments
        self._mark = mark
        self._holds = holds
        self._acting = acting
        self._wake_in = wake_in
        self._matches = matches
        self._told: dict[str, str] = {}
        self._standing: dict[str, tuple[str, ...]] = {}  # the stops of a pair that was found covered
        self._watches: dict[str, PairWatch] = {}
        self._verdicts: dict[str, tuple[Verdict, Step]] = {}
        self._bases: dict[str, _Basis] = {}  # of the verdicts that last for as long as their basis
        self._pairs: tuple[tuple[int, int], list[str]] = ((-1, 0), [])

    def stops(self, pair: str) -> list[OrderReport]:
        """The open orders of the pair, but those that the venue did not list."""
        return [o for o in self._memory.book.open_orders(pair) if o.order_id not in self._audit.unlisted]

    def pairs(self) -> set[str]:
        held = {pair for pair, position in self._memory.book.positions().items() if position.net}
        ordered = {o.pair for o in self._memory.book.open_orders() if o.pair is not None}
        return held | ordered | set(self._watches)

    def judge_all(self) -> dict[str, Step]:
        """The step that each pair needs, by what has been read."""
        steps: dict[str, Step] = {}
        for pair in self._sorted_pairs():
            instrument = self._instruments.get(pair)
            if instrument is None:
                self._guardian.log.error(
                    "guardian.unknown_pair", pair=pair
                )  # a claimed order of a pair outside the tree
                continue
            steps[pair] = self._lasting(pair, instrument) or self._judge(pair, instrument)
        return steps

    def _sorted_pairs(self) -> list[str]:
        known = (self._memory.book.version, len(self._watches))  # a watch is never forgotten
        if self._pairs[0] != known:
            self._pairs = known, sorted(self.pairs())
        return self._pairs[1]

    def _lasting(self, pair: str, instrument: Instrument) -> Step | None:
        """The step of the last verdict, where nothing that it followed from has changed."""
        basis = self._bases.get(pair)
        if basis is None or not basis.same(
            self._memory.book.version,
            self._audit.unlisted,
            instrument,
            self._matches(pair),
            self._watches[pair],
        ):
            return None
        return None if self._outstanding(pair) else self._verdicts[pair][1]

    def _outstanding(self, pair: str, *, acting: bool = True) -> bool:
        """Whether somebody is about to change something there, or has, and it is not known what came of it."""
        return (acting and self._acting(pair)) or pair in self._orders.pairs() or self._holds(pair)

    def told_of(self, pair: str, left: Verdict) -> PlaceStop | None:
        """The next stop for a pair of which `left` must be missing after the last one was placed, when that is what the
        stream has told, too."""
        instrument = self._instruments.get(pair)
        if instrument is None or pair in self._orders.pairs() or self._holds(pair):
            return None
        now_s = self._guardian.clock.now_s()
        verdict = assess(self._memory.book.position(pair), self.stops(pair), instrument, now_s=now_s)
        if not isinstance(verdict, Uncovered) or not isinstance(left, Uncovered) or verdict.qty != left.qty:
            return None
        step = self._judge(pair, instrument, acting=False)
        return step if isinstance(step, PlaceStop) else None

    def _judge(self, pair: str, instrument: Instrument, *, acting: bool = True) -> Step:
        book, now_s = self._memory.book, self._guardian.clock.now_s()
        in_flight = self._orders.in_flight(pair)
        outstanding = self._outstanding(pair, acting=acting)
        matches = self._matches(pair)
        watch, verdict, step = self._watches.get(pair, PairWatch()).seen(
            book.position(pair),
            self.stops(pair),
            book.entries(pair),
            instrument,
            self._settings.times,
            now_s=now_s,
            outstanding=outstanding,
            in_flight=in_flight,
            mark=None if self._mark is None else self._mark(pair),
            matches=matches,
        )
        self._watches[pair] = watch
        self._tell(pair, verdict, step)
        self._verdicts[pair] = (verdict, step)
        self._bases.pop(pair, None)
        if isinstance(verdict, Covered | Dust) and not (outstanding or in_flight or watch.triggered_s):
            self._bases[pair] = _Basis(book.version, self._audit.unlisted, instrument, matches, watch)
        match step:
            case Rest(again_s=again_s) if again_s is not None:
                self._wake_in(max(again_s, 0.001))
            case Rest():
                if self._holds(pair) or self._orders.waits(pair):
                    # The exit looks after it, or nothing can be done before it is known what became of a write: the
                    # calls of the key are few, and needed then.
                    pass
                elif not isinstance(verdict, Covered | Dust):
                    self._wake_in(self._settings.times.cover_s / 4)
                elif in_flight:
                    self._wake_in(max(self._settings.times.cover_s / 4, self._settings.timing.search_gap_s))
            case _:
                pass
        return step

    def _tell(self, pair: str, verdict: Verdict, step: Step) -> None:
        state = "abandoned" if isinstance(step, GiveUp) else self._state(pair, verdict)
        before, self._told[pair] = self._told.get(pair, "covered"), self._state(pair, verdict)
        self._tell_of_gone(pair, verdict)
        if before == state:
            return
        detail = step.reason if isinstance(step, GiveUp) else ""
        if state == "unmatched":
            detail = "the venue matches no orders now: its stops protect when it does again"
            self._guardian.log.error("guardian.unmatched", pair=pair, qty=str(verdict.qty), reason=detail)
        self._guardian.system.emit(
            CoverChanged(
                at_ns=self._guardian.clock.wall_ns(),
                path=self._guardian.path,
                pair=pair,
                state=state,
                qty=str(verdict.qty),
                detail=detail,
            )
        )

    def _tell_of_gone(self, pair: str, verdict: Verdict) -> None:
        """Stops of a covered pair that were cancelled, and by nobody here: by a person, by CancelAll, or by a dead man's
        switch, which no list of the venue shows before it fires. They are placed again; who took them may come back."""
        if isinstance(verdict, Covered):
            self._standing[pair] = tuple(order.order_id for order in self.stops(pair))
            return
        if self._holds(pair) or self._acting(pair):
            self._standing.pop(pair, None)  # we move them ourselves
            return
        orders = [self._memory.book.order(order_id) for order_id in self._standing.get(pair, ())]
        gone = [o.order_id for o in orders if o is not None and o.status is OrderStatus.CANCELED]
        if gone:
            del self._standing[pair]
            self._guardian.log.error(
                "guardian.stops_gone",
                pair=pair,
                qty=str(verdict.qty),
                orders=gone,
                reason="cancelled, and not by us",
            )

    def _state(self, pair: str, verdict: Verdict) -> str:
        """In a word. A stop that cannot trigger is no protection, though there is nothing better to be had."""
        idle = isinstance(verdict, Covered) and verdict.qty and not self._matches(pair)
        return "unmatched" if idle else _STATES[type(verdict)]

    def looks_wrong(self, pair: str) -> Verdict | None:
        """What is wrong by what has been told so far; None: nothing."""
        instrument = self._instruments.get(pair)
        if instrument is None or self._holds(pair):
            return None
        now_s = self._guardian.clock.now_s()
        verdict = assess(self._memory.book.position(pair), self.stops(pair), instrument, now_s=now_s)
        if isinstance(verdict, Uncovered):
            self._watches[pair] = self._watches.get(pair, PairWatch()).suspected(now_s)
        return verdict if isinstance(verdict, Uncovered | OverCovered) else None

    def found(self, pair: str) -> Verdict | None:
        """The last reading's verdict."""
        known = self._verdicts.get(pair)
        return None if known is None else known[0]

    def settle(self, written: Written) -> None:
        """Takes in what became of a write."""
        watch = self._watches.get(written.pair, PairWatch())
        if isinstance(written.step, SendExit | CancelExit):
            watch = watch.relieved()
        elif written.taken:
            watch = watch.done(written.step)
        elif written.fault is not None:
            self._guardian.log.warning(
                "guardian.refused", pair=written.pair, step=str(written.step), fault=str(written.fault)
            )
            watch = watch.refused(written.step, written.fault)
        elif isinstance(written.step, Flatten):
            watch = watch.bare_since(self._guardian.clock.now_s() - self._settings.times.settle_s)
        self._watches[written.pair] = watch

    def relieved(self, pair: str) -> None:
        """What stood in the way of any step is gone: what is uncovered gets a stop first, as if found just now."""
        self._watches[pair] = self._watches.get(pair, PairWatch()).relieved()

    def gave_up(self, pair: str) -> None:
        self._watches[pair] = self._watches[pair].gave_up(self._guardian.clock.now_s())

    def unreachable(self, now_s: float) -> None:
        """The venue could not be read: uncovered time is counted, apart from the time in which it could."""
        self._watches = {pair: watch.unreachable(now_s) for pair, watch in self._watches.items()}

    def all_covered(self) -> bool:
        return all(isinstance(verdict, Covered) for verdict, _ in self._verdicts.values())

    def any_bare(self) -> bool:
        return any(isinstance(verdict, Uncovered) for verdict, _ in self._verdicts.values())

    def late(self) -> list[str]:
        """The pairs that have been uncovered for longer than `cover_s`."""
        now_s = self._guardian.clock.now_s()
        return [
            pair
            for pair, watch in sorted(self._watches.items())
            if watch.meter.uncovered
            and watch.effort.since_s is not None
            and now_s - watch.effort.since_s > self._settings.times.cover_s
        ]

    def view(self, *, audited: bool, reachable: bool, journal_lost: bool) -> CoverView:
        """All pairs as they were judged last."""
        meters = [watch.meter for watch in self._watches.values()]
        book = self._memory.book
        return CoverView(
            account=self._settings.name,
            audited=audited,
            reachable=reachable,
            journal_lost=journal_lost,
            pairs=tuple(
                PairCover(
                    pair=pair,
                    net=book.position(pair).net,
                    average_entry=book.position(pair).average_entry,
                    state=self._state(pair, verdict),
                    qty=verdict.qty,
                    step=type(step).__name__,
                    external_net=book.external_net(pair),
                )
                for pair, (verdict, step) in sorted(self._verdicts.items())
            ),
            external=tuple(sorted(o.order_id for o in book.external())),
            uncovered_ms_max=max((m.uncovered_s_max for m in meters), default=0.0) * 1000,
            uncovered_unreachable_ms=sum(m.unreachable_s for m in meters) * 1000,
            unresolved=tuple(sorted(self._orders.pairs())),
        )
