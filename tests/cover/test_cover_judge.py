"""The guardian's verdicts: what was found is not worked out again while nothing that it follows from has changed, and
every change is seen."""

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.cover.tellings import PAIRS, Tellings
from tests.cover.toy_venue import BTC, PAIR, D, PuppetDesk, ToyVenue, entry, fault

from allstop.actors.clock import ManualClock, SeededIds
from allstop.actors.cover_judge import CoverJudge
from allstop.actors.cover_orders import CoverOrders
from allstop.actors.guardian_settings import guardian_settings
from allstop.actors.intents import OrderType, Side, StopLoss
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.lookup import LOOPBACK
from allstop.actors.protocols.pending_write import PendingWrite, Written
from allstop.actors.protocols.remedies import AmendStop, CancelStops, Flatten, PlaceStop, Rest
from allstop.actors.reports import OrderReport, OrderStatus

SETTINGS = guardian_settings("kraken", "main", cover_s=2.0, timing=LOOPBACK)
MIN_QTY = BTC.min_qty


class Bench:
    """One account, and judges that look at it. `worked_out` counts the verdicts that were not taken over."""

    def __init__(self) -> None:
        self.clock = ManualClock(now_s=100.0)
        self.memory = CoverMemory("/guardian")
        self.audit = SimpleNamespace(unlisted=frozenset[str]())
        self.instruments = {pair: msgspec.structs.replace(BTC, pair=pair) for pair in PAIRS}
        self.unmatched: set[str] = set()
        self.held: set[str] = set()
        self.acting: set[str] = set()
        self.worked_out = 0
        self.orders = CoverOrders(
            "kraken.main", ("kraken", "main"), LOOPBACK,
            desk=PuppetDesk(ToyVenue()), journal=cast("Any", None), memory=self.memory,
            clock=cast("Any", self.clock), ids=SeededIds(1, self.clock.wall_ns), turn=cast("Any", None),
        )  # fmt: skip

    def judge(self, told: list[object] | None = None, woken: list[float] | None = None) -> CoverJudge:
        events: list[object] = [] if told is None else told
        wakes: list[float] = [] if woken is None else woken
        silent = SimpleNamespace(error=nothing_said, warning=nothing_said)
        guardian = SimpleNamespace(
            clock=self.clock, path="/guardian", log=silent, system=SimpleNamespace(emit=events.append)
        )
        return CoverJudge(
            cast("Any", guardian),
            SETTINGS,
            audit=cast("Any", self.audit),
            memory=self.memory,
            orders=cast("Any", self),
            instruments=self.instruments,
            mark=None,
            holds=self.held.__contains__,
            acting=self.acting.__contains__,
            wake_in=wakes.append,
            matches=lambda pair: pair not in self.unmatched,
        )

    # what a judge asks of the guardian's writes

    def in_flight(self, pair: str) -> object:
        self.worked_out += 1
        return self.orders.in_flight(pair)

    def pairs(self) -> frozenset[str]:
        return self.orders.pairs()

    def waits(self, pair: str) -> bool:
        return self.orders.waits(pair)

    def pend(self, pending: PendingWrite) -> None:
        self.orders._pending[pending.pair] = pending  # pyright: ignore[reportPrivateUsage]

    def answered(self, pair: str) -> None:
        self.orders._pending.pop(pair, None)  # pyright: ignore[reportPrivateUsage]


def nothing_said(event: str, **_: object) -> None:
    del event


# -- one fact after the other ----------------------------------------------------------------------------------


def order(order_id: str, **fields: object) -> OrderReport:
    told: dict[str, object] = {
        "status": OrderStatus.NEW, "pair": PAIR, "side": Side.SELL, "order_type": OrderType.STOP_LOSS,
        "order_qty": D(1), "cum_qty": D(0), "trigger_price": D(90),
    }  # fmt: skip
    return OrderReport(order_id=order_id, **(told | fields))  # type: ignore[arg-type]


ENTERED = order(
    "E", side=Side.BUY, order_type=OrderType.LIMIT, cl_ord_id="entry-1", trigger_price=None,
    status=OrderStatus.FILLED, cum_qty=D(1), avg_price=D(100),
)  # fmt: skip
STOP = order("S", parent_id="E")


def covered(stop: OrderReport = STOP) -> Bench:
    """A position of one with its stop."""
    bench = Bench()
    bench.memory.book.know(entry())
    bench.memory.book.take_all((ENTERED, stop))
    return bench


def state(judge: CoverJudge) -> str:
    (pair,) = judge.view(audited=True, reachable=True, journal_lost=False).pairs
    return pair.state


def test_a_covered_pair_is_not_judged_again_while_nothing_changes() -> None:
    bench = covered()
    judge = bench.judge()
    first = judge.judge_all()
    worked_out = bench.worked_out
    for _ in range(5):
        bench.clock.advance(1.0)
        bench.memory.book.take_all((ENTERED, STOP))  # as every list tells again
        assert judge.judge_all() == first
    assert bench.worked_out == worked_out
    assert state(judge) == "covered"


def fills_again(bench: Bench) -> None:
    bench.memory.book.know(entry("entry-2"))
    bench.memory.book.take(msgspec.structs.replace(ENTERED, order_id="E2", cl_ord_id="entry-2"))


def cancels_its_stop(bench: Bench) -> None:
    bench.memory.book.take(msgspec.structs.replace(STOP, status=OrderStatus.CANCELED))


def lists_it_no_more(bench: Bench) -> None:
    bench.audit.unlisted = frozenset({"S"})


def makes_its_stop_larger(bench: Bench) -> None:
    bench.memory.book.take(msgspec.structs.replace(STOP, order_qty=D(2)))


def shows_another_stop(bench: Bench) -> None:
    bench.memory.book.take(msgspec.structs.replace(STOP, order_id="S2"))


def executes_its_stop(bench: Bench) -> None:
    bench.memory.book.take(msgspec.structs.replace(STOP, cum_qty=D("0.4"), avg_price=D(90)))
    bench.memory.book.take(msgspec.structs.replace(STOP, order_qty=D("0.4"), cum_qty=D("0.4")))


def matches_nothing(bench: Bench) -> None:
    bench.unmatched.add(PAIR)


def claims_more(bench: Bench) -> None:
    bench.memory.book.claim("N")


@pytest.mark.parametrize(
    ("changes", "then"),
    [
        (fills_again, "uncovered"),
        (cancels_its_stop, "uncovered"),
        (lists_it_no_more, "uncovered"),
        (makes_its_stop_larger, "over_covered"),
        (shows_another_stop, "over_covered"),
        (executes_its_stop, "uncovered"),
        (claims_more, "uncovered"),
        (matches_nothing, "unmatched"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_changes_the_verdict_of_a_covered_pair_is_seen_by_the_next_look(
    changes: Callable[[Bench], None], then: str
) -> None:
    bench = covered()
    bench.memory.book.take(msgspec.structs.replace(ENTERED, order_id="N", cl_ord_id=None))
    judge = bench.judge()
    for _ in range(2):
        judge.judge_all()
        assert state(judge) == "covered"
    changes(bench)
    judge.judge_all()
    assert state(judge) == then


def test_what_the_venue_lets_be_traded_is_a_fact_too() -> None:
    bench = covered(msgspec.structs.replace(STOP, order_qty=D(1) - MIN_QTY / 2))
    bench.instruments[PAIR] = msgspec.structs.replace(BTC, min_qty=D(5))
    judge = bench.judge()
    for _ in range(2):
        judge.judge_all()
        assert state(judge) == "dust"
    bench.instruments[PAIR] = BTC
    judge.judge_all()
    assert state(judge) == "uncovered"


def test_who_looks_after_a_pair_is_asked_at_each_look() -> None:
    bench = covered()
    judge = bench.judge()
    nothing = judge.judge_all()
    for begins, ends in (
        (lambda: bench.held.add(PAIR), lambda: bench.held.clear()),
        (lambda: bench.acting.add(PAIR), lambda: bench.acting.clear()),
        (lambda: bench.pend(PendingWrite(PAIR, AmendStop(PAIR, "S", D(1)))), lambda: bench.answered(PAIR)),
    ):
        begins()
        assert judge.judge_all() == {PAIR: Rest("the outcome of the last write is not known")}
        ends()
        assert judge.judge_all() == nothing


def test_a_sale_in_flight_is_no_cover_that_lasts() -> None:
    """What it covers is bare again when it turns out never to have arrived."""
    bench = covered(msgspec.structs.replace(STOP, order_qty=D("0.6")))
    judge = bench.judge()
    bench.pend(PendingWrite(PAIR, Flatten(PAIR, Side.SELL, D("0.4")), "g1"))
    judge.judge_all()
    assert state(judge) == "covered"
    bench.answered(PAIR)
    judge.judge_all()
    assert state(judge) == "uncovered"


def test_a_triggered_stop_that_hangs_is_found_by_time_alone() -> None:
    limited = msgspec.structs.replace(
        STOP, order_type=OrderType.STOP_LOSS_LIMIT, limit_price=D(89), triggered=True
    )
    bench = covered(limited)
    judge = bench.judge()
    judge.judge_all()
    assert state(judge) == "covered"
    bench.clock.advance(SETTINGS.times.fill_s + SETTINGS.times.settle_s)
    judge.judge_all()
    assert state(judge) == "uncovered"


def test_what_the_stream_made_suspect_is_judged_and_counts_from_then_on() -> None:
    bench = covered()
    judge = bench.judge()
    judge.judge_all()
    cancels_its_stop(bench)
    assert judge.looks_wrong(PAIR) is not None
    bench.clock.advance(SETTINGS.times.cover_s + 0.1)
    judge.judge_all()
    assert judge.late() == [PAIR]


# -- by chance -------------------------------------------------------------------------------------------------


class Mishaps:
    """What can happen to an account, its guardian's writes and its instruments; told to all judges alike."""

    def __init__(self, seed: int, bench: Bench, judges: tuple[CoverJudge, ...]) -> None:
        self.dice = Random(seed)
        self.bench = bench
        self.judges = judges
        self.tellings = Tellings(self.dice, bench.memory.book)

    def happen(self) -> str:
        bench, dice = self.bench, self.dice
        bench.clock.advance(dice.choice((0.0, 0.05, 0.4, 1.5, 5.0)))
        pair = dice.choice(PAIRS)
        match dice.randrange(18):
            case 0:
                bench.audit.unlisted = frozenset(o for o in self.tellings.orders if dice.random() < 0.2)
                return "unlisted"
            case 1:
                bench.audit.unlisted = frozenset()
                return "listed"
            case 2:
                smallest = dice.choice((MIN_QTY, MIN_QTY / 10, D(2)))
                bench.instruments[pair] = msgspec.structs.replace(bench.instruments[pair], min_qty=smallest)
                return "instrument"
            case 3:
                bench.unmatched ^= {pair}
                return "matches"
            case 4:
                bench.held ^= {pair}
                return "holds"
            case 5:
                bench.acting ^= {pair}
                return "acting"
            case 6:
                steps = (
                    Flatten(pair, Side.SELL, D("0.5")), AmendStop(pair, "S", D(1)), CancelStops(pair, ("S",))
                )  # fmt: skip
                bench.pend(PendingWrite(pair, dice.choice(steps), dice.choice((None, "g1"))))
                return "pending"
            case 7:
                bench.answered(pair)
                return "answered"
            case 8:
                stop = PlaceStop(pair, Side.SELL, D(1), StopLoss(trigger_price=D(90)), None)
                step = dice.choice((stop, CancelStops(pair, ("S",), then_flatten=True)))
                refused = dice.random() < 0.5
                written = Written(pair, step, taken=not refused, fault=fault("no") if refused else None)
                for judge in self.judges:
                    judge.settle(written)
                return f"settled {written.taken}"
            case 9:
                for judge in self.judges:
                    judge.looks_wrong(pair)
                return "suspected"
            case 10:
                for judge in self.judges:
                    judge.unreachable(bench.clock.now_s())
                return "unreachable"
            case 11:
                for judge in self.judges:
                    judge.relieved(pair)
                return "relieved"
            case 12 | 13 | 14:
                bench.held.clear()
                bench.acting.clear()
                bench.unmatched.clear()
                bench.audit.unlisted = frozenset()
                bench.instruments[pair] = msgspec.structs.replace(BTC, pair=pair)
                bench.answered(pair)
                self.tellings.mends(pair)
                return "calm"
            case _:
                return self.tellings.tell()


@pytest.mark.parametrize("seed", range(60))
def test_a_judge_that_remembers_finds_what_one_finds_that_does_not(seed: int) -> None:
    bench = Bench()
    told: tuple[list[object], list[object]] = ([], [])
    woken: tuple[list[float], list[float]] = ([], [])
    remembers, forgets = (bench.judge(told[i], woken[i]) for i in (0, 1))
    mishaps = Mishaps(seed, bench, (remembers, forgets))
    taken_over = 0
    for number in range(250):
        what = f"{number}: {mishaps.happen()}" if mishaps.dice.random() < 0.5 else f"{number}: nothing"
        before = bench.worked_out
        steps = remembers.judge_all()
        taken_over += len(steps) - (bench.worked_out - before)
        forgets._bases.clear()  # pyright: ignore[reportPrivateUsage]
        forgets._pairs = ((-1, 0), [])  # pyright: ignore[reportPrivateUsage]
        assert forgets.judge_all() == steps, what
        views = [j.view(audited=True, reachable=True, journal_lost=False) for j in (remembers, forgets)]
        assert views[0] == views[1], what
        assert remembers.late() == forgets.late(), what
        assert told[0] == told[1], what
        assert woken[0] == woken[1], what
    assert taken_over > 10, "or nothing was shown"


def test_a_pair_that_appears_is_judged() -> None:
    bench = covered()
    judge = bench.judge()
    assert set(judge.judge_all()) == {PAIR}
    other = PAIRS[1]
    bench.memory.book.know(msgspec.structs.replace(entry("entry-2"), pair=other))
    bench.memory.book.take(msgspec.structs.replace(ENTERED, order_id="E2", cl_ord_id="entry-2", pair=other))
    assert set(judge.judge_all()) == {PAIR, other}
