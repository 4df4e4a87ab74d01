"""O3: from each execution until full cover or a flatten in flight, at most `cover_s`, by the venue's own book.

Time in which nothing could be done does not count, and is told apart: the venue could not be reached, or the engine
was dead. Neither does time in which a market takes neither a stop nor a market order, nor, up to half of `cover_s` in
each stretch, time in which the venue's own counter of the key that protects had no room for a call. What an engine that
comes to life finds uncovered counts from the moment at which it is connected. A halt excuses nothing.

What a person bought or sold past the engine is no position of it before somebody claims it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from allstop.supervisors.oracles.facts import (
    Barred,
    CallBegan,
    CallEnded,
    CallsSpent,
    Exposed,
    Freed,
    OrderAccepted,
    OrderExecuted,
    PositionMoved,
    Recorded,
)
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

# Of what a key has left an engine may use too much itself: so much of each stretch may pass without a call, no more.
SPENT_SHARE = 0.5
ZERO = Decimal(0)


@dataclass(slots=True)
class _Uncovered:
    """One stretch without full cover. `counted_ns` is what of it counts so far, up to `since_ns`."""

    began_ns: int
    since_ns: int
    counted_ns: int = 0
    spent_ns: int = 0  # what was excused because the key had no call left
    told: bool = False


@dataclass(slots=True)
class _ByHand:
    """An order that nobody has claimed, and what it moved the account's position by."""

    key: tuple[str, str]
    net: Decimal = ZERO


@dataclass(slots=True)
class _Seen:
    """What the venue told last of an account's position in a pair."""

    net: Decimal = ZERO
    bare: Decimal = ZERO


class CoverInTime(Oracle):
    name: ClassVar[str] = "O3"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._limit_ns = int(terms.cover_s * 1e9)
        self._spent_max_ns = int(terms.cover_s * SPENT_SHARE * 1e9)
        self._open: dict[tuple[str, str], _Uncovered] = {}
        self._bars: dict[str, Barred] = {}  # by who bars
        self._calls: dict[int, int] = {}  # requests without an answer yet -> when they were written
        self._unserved_until_ns = 0
        self._spent_until_ns: dict[str, int] = {}  # by account: since when its key has room for a call again
        self._by_hand: dict[str, _ByHand] = {}
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._executed = 0
        self._longest_ns = 0

    @property
    def longest_ms(self) -> float:
        """The longest time that anything stood uncovered, as it counts."""
        return self._longest_ns / 1e6

    def takes(self) -> Takes:
        return {
            PositionMoved: self._moved,
            Exposed: self._exposed,
            Barred: self._barred,
            Freed: self._freed,
            OrderAccepted: self._accepted,
            OrderExecuted: self._was_executed,
            Recorded: self._recorded,
            CallBegan: self._asked,
            CallEnded: self._answered,
            CallsSpent: self._spent,
        }

    def found(self) -> str | None:
        limit = f"longest uncovered {self.longest_ms:.0f} ms of {self._limit_ns / 1e6:.0f}"
        return limit if self._executed else None

    def nothing(self) -> str:
        return "nothing was executed"

    def passed(self, at_ns: int) -> None:
        if self._open:
            for key in self._open:
                self._count(key, at_ns)

    def finish(self, at_ns: int) -> None:
        self.passed(at_ns)

    def _accepted(self, fact: OrderAccepted) -> None:
        """Of a run that is over only the end of an order is known, not when which part of it filled."""
        if self.terms.ordered and (fact.by_hand or fact.parent_id in self._by_hand):
            self._by_hand[fact.order_id] = _ByHand((fact.account, fact.pair))

    def _was_executed(self, fact: OrderExecuted) -> None:
        self._executed += 1
        if (order := self._by_hand.get(fact.order_id)) is not None:
            order.net += fact.qty if fact.side == "buy" else -fact.qty

    def _recorded(self, fact: Recorded) -> None:
        if fact.kind == "external.claim" and (order := self._by_hand.pop(fact.key, None)) is not None:
            self._weigh(order.key, fact.at_ns)

    def _moved(self, fact: PositionMoved) -> None:
        self._seen.setdefault((fact.account, fact.pair), _Seen()).net = fact.net

    def _exposed(self, fact: Exposed) -> None:
        if self.terms.account not in (None, fact.account):
            return
        key = (fact.account, fact.pair)
        self._seen.setdefault(key, _Seen()).bare = fact.bare
        self._weigh(key, fact.at_ns)

    def _weigh(self, key: tuple[str, str], at_ns: int) -> None:
        """Begins or ends a stretch, by what the venue told last."""
        bare = self._bare(key)
        if key in self._open:
            self._count(key, at_ns)
            if bare <= ZERO:
                self._look(key, at_ns, over=True)
                del self._open[key]
        elif bare > ZERO:
            self._open[key] = _Uncovered(at_ns, at_ns)

    def _bare(self, key: tuple[str, str]) -> Decimal:
        """What the stops leave uncovered of what was not done by hand."""
        seen = self._seen.get(key, _Seen())
        by_hand = sum((order.net for order in self._by_hand.values() if order.key == key), ZERO)
        if not by_hand:
            return seen.bare
        ours, stops = seen.net - by_hand, abs(seen.net) - seen.bare
        return abs(ours) - (stops if ours * seen.net > ZERO else ZERO)

    def _asked(self, fact: CallBegan) -> None:
        self.passed(fact.at_ns)
        self._calls[fact.number] = fact.at_ns

    def _answered(self, fact: CallEnded) -> None:
        """A call that the venue did not serve takes its own time out of what was counted, and the time until what it
        was for is known to be over, too: until then nobody may send it again."""
        self.passed(fact.at_ns)
        began_ns = self._calls.pop(fact.number, fact.at_ns)
        if not fact.served:
            for uncovered in self._open.values():
                since_ns = max(began_ns, uncovered.began_ns, self._unserved_until_ns)
                uncovered.counted_ns = max(0, uncovered.counted_ns - max(0, fact.at_ns - since_ns))
            self._unserved_until_ns = max(self._unserved_until_ns, fact.at_ns, fact.until_ns)
        if not self._calls:
            for key in self._open:
                self._look(key, fact.at_ns)

    def _spent(self, fact: CallsSpent) -> None:
        self.passed(fact.at_ns)
        self._spent_until_ns[fact.account] = fact.until_ns

    def _barred(self, fact: Barred) -> None:
        self.passed(fact.at_ns)
        self._bars[fact.by] = fact

    def _freed(self, fact: Freed) -> None:
        self.passed(fact.at_ns)
        bar = self._bars.pop(fact.by, None)
        if bar is not None and bar.anew:
            for uncovered in self._open.values():
                uncovered.counted_ns, uncovered.told = 0, False

    def _count(self, key: tuple[str, str], at_ns: int) -> None:
        uncovered = self._open[key]
        since_ns, uncovered.since_ns = uncovered.since_ns, max(at_ns, uncovered.since_ns)
        if self._bars and any(bar.pair in ("", key[1]) for bar in self._bars.values()):
            return
        since_ns = max(since_ns, self._unserved_until_ns)
        spent_ns = max(0, min(at_ns, self._spent_until_ns.get(key[0], 0)) - since_ns)
        excused_ns = min(spent_ns, self._spent_max_ns - uncovered.spent_ns)
        uncovered.spent_ns += excused_ns
        uncovered.counted_ns += max(0, at_ns - since_ns) - excused_ns
        self._look(key, at_ns)

    def _look(self, key: tuple[str, str], at_ns: int, *, over: bool = False) -> None:
        """Is it too long? While a call is out nobody knows whether its time counts; when it is over, it does not."""
        uncovered = self._open[key]
        if self._calls and not over:
            return
        if self._calls:
            out_ns = at_ns - max(uncovered.began_ns, min(self._calls.values()))
            uncovered.counted_ns = max(0, uncovered.counted_ns - out_ns)
        self._longest_ns = max(self._longest_ns, uncovered.counted_ns)
        over_ns = uncovered.counted_ns - self._limit_ns
        if over_ns > 0 and not uncovered.told:
            uncovered.told = True
            account, pair = key
            why = f"{account} {pair}: without full cover for {self._limit_ns / 1e6:.0f} ms in which it could be had"
            self.broken(at_ns - over_ns, why)
