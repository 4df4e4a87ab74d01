"""The watch over one pair: what was seen of its cover, reading after reading, as a frozen value.

`seen` takes one reading and gives back the watch after it, the verdict and the step. It keeps what a single reading
cannot know: since when the pair is uncovered, how much of that time the venue could be reached, which stops triggered
and hang, and what was tried.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from allstop.actors.errors import Fault
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderType
from allstop.actors.protocols.cover import (
    Covered,
    CoverMeter,
    CoverTimes,
    Dust,
    OverCovered,
    Uncovered,
    Verdict,
    assess,
)
from allstop.actors.protocols.positions import ZERO, Entry, Position
from allstop.actors.protocols.remedies import FRESH, Effort, Step, done, next_step, refused
from allstop.actors.reports import OrderReport

_LIMIT_STOPS = (OrderType.STOP_LOSS_LIMIT, OrderType.TRAILING_STOP_LIMIT)


class PairWatch(msgspec.Struct, frozen=True, kw_only=True):
    effort: Effort = FRESH
    meter: CoverMeter = CoverMeter()
    triggered_s: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    read_s: float | None = None

    def seen(
        self,
        position: Position,
        orders: Sequence[OrderReport],
        entries: Sequence[Entry],
        instrument: Instrument,
        times: CoverTimes,
        *,
        now_s: float,
        outstanding: bool = False,
        in_flight: Decimal = ZERO,
        mark: Decimal | None = None,
        matches: bool = True,
    ) -> "tuple[PairWatch, Verdict, Step]":
        """After one complete reading of the venue. `outstanding`: a write of ours has no known outcome. `matches`: the
        venue matches orders on the pair now. While it does not, no stop hangs: its time to fill begins at the
        reopening, since a market order in its place could not be had before either."""
        triggered_s = {
            o.order_id: self.triggered_s.get(o.order_id, now_s) if matches else now_s
            for o in orders
            if o.triggered and o.order_type in _LIMIT_STOPS
        }
        stuck = [order_id for order_id, at_s in triggered_s.items() if now_s - at_s >= times.fill_s]
        verdict = assess(
            position,
            orders,
            instrument,
            now_s=now_s,
            since_s=self.effort.since_s,
            in_flight=in_flight,
            stuck=stuck,
        )
        effort = self._effort_after(verdict, times, now_s, outstanding)
        step = next_step(
            verdict, position, orders, entries, instrument, effort, times, now_s=now_s, stuck=stuck, mark=mark
        )
        bare = isinstance(verdict, Uncovered)
        watch = PairWatch(
            effort=effort,
            meter=self.meter.observed(uncovered=bare, reachable=True, now_s=now_s),
            triggered_s=triggered_s,
            read_s=now_s,
        )
        return watch, verdict, step

    def suspected(self, now_s: float) -> "PairWatch":
        """The stream told of an execution and of no stop: if the next reading agrees, it counts from now."""
        if self.effort.since_s is not None:
            return self
        effort = msgspec.structs.replace(self.effort, since_s=now_s)
        return msgspec.structs.replace(self, effort=effort, read_s=now_s)

    def bare_since(self, at_s: float) -> "PairWatch":
        """After a flatten that never arrived: what it was for was bare before, and no venue is making a stop for it. The
        reading that proves the absence has seen that, too; an earlier life may have found it, of which nothing is known
        here but its flatten."""
        if self.effort.since_s is not None:
            return self
        return msgspec.structs.replace(self, effort=msgspec.structs.replace(self.effort, since_s=at_s))

    def unreachable(self, now_s: float) -> "PairWatch":
        """After a reading that failed: time passes, and is nobody's fault here."""
        meter = self.meter.observed(uncovered=self.meter.uncovered, reachable=False, now_s=now_s)
        return msgspec.structs.replace(self, meter=meter, read_s=now_s)

    def done(self, step: Step) -> "PairWatch":
        return msgspec.structs.replace(self, effort=done(self.effort, step))

    def relieved(self) -> "PairWatch":
        """What became of an exit is known only now: what it left bare gets a stop first, as if found just now."""
        return msgspec.structs.replace(self, effort=msgspec.structs.replace(self.effort, reachable_s=0.0))

    def gave_up(self, now_s: float) -> "PairWatch":
        """After a GiveUp was acted on: nothing more until it is time to try again."""
        effort = msgspec.structs.replace(self.effort, gave_up_s=now_s, gave_up=self.effort.gave_up + 1)
        return msgspec.structs.replace(self, effort=effort)

    def refused(self, step: Step, fault: Fault) -> "PairWatch":
        return msgspec.structs.replace(self, effort=refused(self.effort, step, fault))

    def _effort_after(self, verdict: Verdict, times: CoverTimes, now_s: float, outstanding: bool) -> Effort:
        replace = msgspec.structs.replace
        before = self.effort
        match verdict:
            case Covered() | Dust():
                # An exit in flight covers for now; whether it is the end is known when it is answered.
                return replace(before, outstanding=True) if outstanding else FRESH
            case OverCovered():
                since_s = now_s if before.over_since_s is None else before.over_since_s
                return replace(
                    FRESH,
                    outstanding=outstanding,
                    over_since_s=since_s,
                    amend_refusals=before.amend_refusals if before.over_since_s is not None else 0,
                )
            case Uncovered(since_s=since_s):
                # What was tried against too large a stop says nothing about one that is missing.
                before = before if before.over_since_s is None else FRESH
                passed_s = (
                    now_s - self.read_s if self.read_s is not None and before.since_s is not None else 0.0
                )
                effort = replace(
                    before,
                    since_s=since_s,
                    reachable_s=before.reachable_s + passed_s,
                    over_since_s=None,
                    outstanding=outstanding,
                )
        if effort.gave_up_s is None or now_s - effort.gave_up_s < times.again_s(effort.gave_up):
            return effort
        # Everything failed once and some time has passed: one more stop, one more flatten.
        return replace(
            effort, gave_up_s=None, flatten_only=False, stop_refusals=1, flatten_refusals=1, reachable_s=0.0
        )
