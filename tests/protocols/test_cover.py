"""Cover: what protects, what a position's cover is, the table of remedies, and what refusals teach."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cover.toy_venue import BTC, PAIR, D, ToyVenue, entry, fault

from allstop.actors.errors import BadInput, Category
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.cover import (
    Covered,
    CoverMeter,
    CoverTimes,
    Dust,
    OverCovered,
    Uncovered,
    Verdict,
    assess,
    covers,
    is_protective,
)
from allstop.actors.protocols.cover_watch import PairWatch
from allstop.actors.protocols.positions import AccountBook, Entry, Position
from allstop.actors.protocols.remedies import (
    FRESH,
    AmendStop,
    CancelEntries,
    CancelStops,
    Correction,
    Effort,
    Flatten,
    GiveUp,
    PlaceStop,
    Rest,
    Step,
    next_step,
    refused,
)
from allstop.actors.reports import OrderReport, OrderStatus

TIMES = CoverTimes()
LONG = Position(pair=PAIR, net=D(1), average_entry=D(100))
FLAT = Position(pair=PAIR, net=D(0))


def order(order_id: str = "S", qty: str = "1", **fields: object) -> OrderReport:
    told: dict[str, object] = {
        "status": OrderStatus.NEW,
        "pair": PAIR,
        "side": Side.SELL,
        "order_type": OrderType.STOP_LOSS,
        "order_qty": D(qty),
        "trigger_price": D(90),
    }
    return OrderReport(order_id=order_id, **(told | fields))  # type: ignore[arg-type]


# -- what protects


@pytest.mark.parametrize(
    ("fields", "protective", "counts"),
    [
        ({}, True, True),
        ({"order_type": OrderType.STOP_LOSS_LIMIT}, True, True),
        ({"order_type": OrderType.TRAILING_STOP}, True, True),
        ({"order_type": OrderType.LIMIT}, False, False),
        ({"order_type": OrderType.MARKET}, False, False),
        ({"order_type": OrderType.LIMIT, "reduce_only": True}, True, False),
        ({"order_type": OrderType.TAKE_PROFIT, "parent_id": "A"}, True, False),
        ({"order_type": None, "parent_id": "A"}, True, True),
        ({"side": Side.BUY}, False, False),
        ({"side": Side.BUY, "order_type": OrderType.LIMIT}, False, False),
    ],
)
def test_protection_is_read_from_the_venues_own_fields(
    fields: dict[str, object], protective: bool, counts: bool
) -> None:
    told = order(**fields)  # type: ignore[arg-type]
    assert (is_protective(told, Side.SELL), covers(told, Side.SELL)) == (protective, counts)


def test_where_no_position_is_known_a_stop_is_kept_whatever_its_side() -> None:
    assert is_protective(order(side=Side.BUY), None)


# -- the verdict


@pytest.mark.parametrize(
    ("net", "orders", "verdict"),
    [
        ("0", [], Covered(D(0))),
        ("1", [order()], Covered(D(1))),
        ("1", [order("S1", "0.4"), order("S2", "0.3"), order("S3", "0.3")], Covered(D(1))),
        ("1", [], Uncovered(D(1), 5.0)),
        ("1", [order(qty="0.4")], Uncovered(D("0.6"), 5.0)),
        ("1", [order(qty="1", cum_qty=D("0.4"))], Uncovered(D("0.4"), 5.0)),
        ("1", [order(order_type=OrderType.LIMIT)], Uncovered(D(1), 5.0)),
        ("1", [order(side=Side.BUY)], OverCovered(D(1))),
        ("1", [order(order_type=OrderType.MARKET)], Covered(D(0))),
        ("1", [order(qty="0.5"), order("M", "0.5", order_type=OrderType.MARKET)], Covered(D("0.5"))),
        ("1", [order(qty="1.5")], OverCovered(D("0.5"))),
        ("0", [order()], OverCovered(D(1))),
        ("-1", [order(side=Side.BUY)], Covered(D(1))),
        ("-1", [], Uncovered(D(1), 5.0)),
        ("0.00009", [], Dust(D("0.00009"))),
        ("0.00009", [order(qty="0.0001")], OverCovered(D("0.00001"))),
        ("1", [order(status=OrderStatus.CANCELED)], Uncovered(D(1), 5.0)),
    ],
)
def test_the_verdict_compares_position_and_stops(
    net: str, orders: list[OrderReport], verdict: Verdict
) -> None:
    position = Position(pair=PAIR, net=D(net))
    told = assess(position, orders, BTC, now_s=9.0, since_s=5.0)
    if net == "1" and orders and orders[0].side is Side.BUY:
        verdict = Uncovered(
            D(1), 5.0
        )  # naked, and a stop of the wrong side besides: the naked part comes first
    assert told == verdict


def test_an_exit_in_flight_covers_what_it_will_take_off() -> None:
    assert assess(LONG, [], BTC, now_s=0.0, in_flight=D("0.25")) == Uncovered(D("0.75"), 0.0)


def test_a_triggered_stop_that_hangs_covers_nothing() -> None:
    assert assess(LONG, [order()], BTC, now_s=1.0, stuck=["S"]) == Uncovered(D(1), 1.0)


# -- the table of remedies

OURS = Entry(order_id="A", intent=entry(), executed=D(1), stopped=D(0))
LATE = Effort(since_s=0.0, reachable_s=0.5)


def step(
    verdict: Verdict,
    *,
    orders: tuple[OrderReport, ...] = (),
    entries: tuple[Entry, ...] = (OURS,),
    effort: Effort = LATE,
    position: Position = LONG,
    now_s: float = 1.0,
    stuck: tuple[str, ...] = (),
    mark: Decimal | None = None,
) -> Step:
    return next_step(
        verdict, position, orders, entries, BTC, effort, TIMES, now_s=now_s, stuck=stuck, mark=mark
    )


BARE = Uncovered(D(1), 0.0)
STOP = PlaceStop(PAIR, Side.SELL, D(1), StopLoss(trigger_price=D(90)), "A")
FLATTEN = Flatten(PAIR, Side.SELL, D(1))


def test_what_is_covered_or_dust_is_left_alone() -> None:
    assert isinstance(step(Covered(D(1))), Rest)
    assert isinstance(step(Dust(D("0.00001"))), Rest)


def test_nothing_is_written_while_an_outcome_is_unknown() -> None:
    assert isinstance(step(BARE, effort=Effort(outstanding=True)), Rest)


def test_the_venue_gets_a_moment_to_show_the_stop_it_makes() -> None:
    assert step(BARE, now_s=0.1) == Rest("the venue may still be making the stop", 0.15)


def test_a_missing_stop_is_placed_at_the_intents_own_price() -> None:
    assert step(BARE) == STOP


def test_each_entry_gets_its_own_stop() -> None:
    newer = Entry(order_id="B", intent=entry("e2", stop="95"), executed=D("0.4"), stopped=D(0))
    told = step(BARE, entries=(newer, OURS))
    assert told == PlaceStop(PAIR, Side.SELL, D("0.4"), StopLoss(trigger_price=D(95)), "B")


def test_no_rest_is_left_that_is_too_small_for_a_stop_of_its_own() -> None:
    newer = Entry(order_id="B", intent=entry("e2", stop="95"), executed=D("0.99995"), stopped=D(0))
    told = step(BARE, entries=(newer, OURS))
    assert told == PlaceStop(PAIR, Side.SELL, D(1), StopLoss(trigger_price=D(95)), "B")


def test_a_stop_through_the_market_is_not_placed_the_position_is_flattened() -> None:
    assert step(BARE, mark=D(90)) == FLATTEN
    assert step(BARE, mark=D(91)) == STOP


def test_without_a_known_stop_price_the_position_is_flattened() -> None:
    assert step(BARE, entries=()) == FLATTEN


def test_when_time_runs_out_the_position_is_flattened() -> None:
    assert step(BARE, effort=Effort(since_s=0.0, reachable_s=1.5)) == FLATTEN


def test_time_in_which_the_venue_was_away_is_not_held_against_the_stop() -> None:
    assert step(BARE, effort=Effort(since_s=-60.0, reachable_s=0.3)) == STOP


def test_after_two_refused_stops_the_position_is_flattened() -> None:
    assert step(BARE, effort=Effort(since_s=0.0, stop_refusals=2)) == FLATTEN


def test_when_the_flatten_is_refused_too_the_step_is_to_give_up() -> None:
    assert isinstance(step(BARE, effort=Effort(since_s=0.0, stop_refusals=2, flatten_refusals=2)), GiveUp)


@pytest.mark.parametrize(("gave_up", "again_s"), [(1, 0.5), (2, 1.5)])
def test_after_giving_up_it_rests_for_half_of_cover_s_and_then_each_time_until_the_retry(
    gave_up: int, again_s: float
) -> None:
    told = step(BARE, effort=Effort(since_s=0.0, gave_up_s=0.5, gave_up=gave_up), now_s=1.0)
    assert told == Rest("everything was tried; again later", again_s)


def test_a_part_too_small_for_a_stop_makes_an_existing_one_larger() -> None:
    stop = order(qty="0.99995")
    told = step(Uncovered(D("0.00005"), 0.0), orders=(stop,))
    assert told == AmendStop(PAIR, "S", D(1))


def test_growing_a_partly_executed_stop_counts_what_it_executed() -> None:
    stop = order(qty="1.49995", cum_qty=D("0.5"))
    assert step(Uncovered(D("0.00005"), 0.0), orders=(stop,)) == AmendStop(PAIR, "S", D("1.5"))


def test_a_part_too_small_to_sell_is_sold_with_the_smallest_stop() -> None:
    stops = (order("S1", "0.7"), order("S2", "0.29995"))
    told = step(Uncovered(D("0.00005"), 0.0), orders=stops, effort=Effort(since_s=0.0, amend_refusals=2))
    assert told == CancelStops(PAIR, ("S2",), then_flatten=True)


def test_a_hanging_stop_goes_and_the_position_with_it() -> None:
    hanging = order(order_type=OrderType.STOP_LOSS_LIMIT, triggered=True)
    told = step(BARE, orders=(hanging,), stuck=("S",))
    assert told == CancelStops(PAIR, ("S",), then_flatten=True)


def test_for_want_of_a_slot_the_least_valuable_entry_goes() -> None:
    resting = [
        order("E1", "1", side=Side.BUY, order_type=OrderType.LIMIT, limit_price=D(99)),
        order("E2", "0.5", side=Side.BUY, order_type=OrderType.LIMIT, limit_price=D(99)),
    ]
    effort = refused(LATE, STOP, fault("EOrder:Orders limit exceeded", Category.LIMIT))
    assert step(BARE, orders=tuple(resting), effort=effort) == CancelEntries(PAIR, ("E2",))


# -- over-cover

SINCE = Effort(over_since_s=0.0)


def test_over_cover_gets_a_moment_too() -> None:
    assert isinstance(step(OverCovered(D(1)), orders=(order(),), effort=Effort(over_since_s=0.9)), Rest)


@pytest.mark.parametrize(
    ("net", "stops", "told"),
    [
        ("1", [order(qty="1.5")], AmendStop(PAIR, "S", D(1))),
        ("1", [order("S1", "1"), order("S2", "1", trigger_price=D(80))], CancelStops(PAIR, ("S2",))),
        (
            "1",
            [order("S1", "1", trigger_price=D(80)), order("S2", "0.5")],
            AmendStop(PAIR, "S1", D("0.5")),
        ),
        (
            "0.7",
            [order("S1", "0.3", trigger_price=D(80)), order("S2", "0.9")],
            CancelStops(PAIR, ("S1",)),
        ),
        ("0", [order("S1"), order("S2")], CancelStops(PAIR, ("S1", "S2"))),
        ("0.00005", [order(qty="0.0001")], CancelStops(PAIR, ("S",))),
        ("1", [order("S1"), order("S2", side=Side.BUY)], CancelStops(PAIR, ("S2",))),
        ("1", [order(qty="2", cum_qty=D("0.5"))], AmendStop(PAIR, "S", D("1.5"))),
    ],
)
def test_stops_larger_than_the_position_are_cut_down_to_it(
    net: str, stops: list[OrderReport], told: Step
) -> None:
    position = Position(pair=PAIR, net=D(net))
    verdict = assess(position, stops, BTC, now_s=1.0)
    assert step(verdict, orders=tuple(stops), position=position, effort=SINCE) == told


# -- what a refusal teaches


@pytest.mark.parametrize(
    ("text", "category", "correction"),
    [
        ("EOrder:Tick size check failed", Category.VALID, Correction.COARSE_TICK),
        ("EOrder:Order minimum not met", Category.VALID, Correction.AGGREGATE),
        ("EOrder:Cost minimum not met", Category.VALID, Correction.AGGREGATE),
        ("EOrder:Orders limit exceeded", Category.LIMIT, Correction.FREE_SLOT),
        ("EOrder:Insufficient funds", Category.FUNDS, Correction.AGAIN),
    ],
)
def test_the_first_refusal_of_a_stop_names_its_correction(
    text: str, category: Category, correction: Correction
) -> None:
    effort = refused(FRESH, STOP, fault(text, category))
    assert (effort.correction, effort.stop_refusals, effort.flatten_only) == (correction, 1, False)


@pytest.mark.parametrize("text", ["EOrder:Invalid price", "Order would trigger immediately."])
def test_a_stop_that_would_trigger_at_once_is_not_tried_again(text: str) -> None:
    effort = refused(LATE, STOP, fault(text))
    assert step(BARE, effort=effort) == FLATTEN


def test_the_coarse_tick_rounds_towards_the_market() -> None:
    odd = Entry(order_id="A", intent=entry(stop="90.1"), executed=D(1), stopped=D(0))
    effort = refused(LATE, STOP, fault("EOrder:Tick size check failed", Category.VALID))
    told = step(BARE, entries=(odd,), effort=effort)
    assert isinstance(told, PlaceStop)
    assert told.stop.trigger_price == D(91)


# -- times and measures


@pytest.mark.parametrize("cover_s", [0.0, -1.0, float("nan"), 3600.0])
def test_a_cover_time_that_is_none_is_refused(cover_s: float) -> None:
    with pytest.raises(BadInput, match="cover_s"):
        CoverTimes.within(cover_s)


def test_the_promise_divides_so_that_each_part_fits() -> None:
    times = CoverTimes.within(0.8)
    assert times.settle_s < times.flatten_after_s < times.cover_s


def test_uncovered_time_is_counted_apart_while_the_venue_is_away() -> None:
    meter = CoverMeter().observed(uncovered=True, reachable=True, now_s=10.0)
    meter = meter.observed(uncovered=True, reachable=True, now_s=10.5)
    meter = meter.observed(uncovered=True, reachable=False, now_s=40.5)
    meter = meter.observed(uncovered=False, reachable=True, now_s=40.75)
    assert (meter.uncovered_s_max, meter.unreachable_s) == (0.75, 30.0)


# -- all of it together, against a toy venue


class Engine:
    """The guardian without its shell: reads the toy venue, asks, does."""

    def __init__(self, venue: ToyVenue) -> None:
        self.venue = venue
        self.book = AccountBook()
        self.watch = PairWatch()
        self.now_s = 0.0
        self.count = 0

    def know(self, intent: OrderIntent) -> None:
        self.book.know(intent)

    def turn(self, passed_s: float = 0.3) -> tuple[Verdict, Step]:
        self.now_s += passed_s
        self.book.take_all(self.venue.orders.values())
        self.watch, verdict, step = self.watch.seen(
            self.book.position(PAIR),
            self.book.open_orders(PAIR),
            self.book.entries(PAIR),
            BTC,
            TIMES,
            now_s=self.now_s,
        )
        self._do(step)
        return verdict, step

    def _do(self, step: Step) -> None:
        answer = None
        match step:
            case PlaceStop(pair, side, qty, stop, parent):
                self.count += 1
                intent = OrderIntent(
                    id=f"g{self.count}",
                    pair=pair,
                    side=side,
                    qty=qty,
                    order_type=OrderType.STOP_LOSS,
                    trigger_price=stop.trigger_price,
                    kind=IntentKind.PROTECT,
                )
                self.book.know(intent, parent=parent)
                answer = self.venue.submit(intent)
            case Flatten(pair, side, qty):
                self.count += 1
                intent = OrderIntent(
                    id=f"g{self.count}",
                    pair=pair,
                    side=side,
                    qty=qty,
                    order_type=OrderType.MARKET,
                    kind=IntentKind.PROTECT,
                )
                self.book.know(intent)
                answer = self.venue.submit(intent)
            case AmendStop(order_id=order_id, order_qty=qty):
                answer = self.venue.amend(order_id, qty)
            case CancelStops(order_ids=ids) | CancelEntries(order_ids=ids):
                for order_id in ids:
                    self.venue.cancel(order_id)
            case GiveUp():
                self.watch = self.watch.gave_up(self.now_s)
                return
            case _:
                return
        if answer is not None and not isinstance(answer, str):
            self.watch = self.watch.refused(step, answer)
        else:
            self.watch = self.watch.done(step)

    def settle(self) -> Verdict:
        for _ in range(60):
            verdict, step = self.turn()
            if isinstance(verdict, Covered | Dust) and isinstance(step, Rest):
                return verdict
        raise AssertionError(f"not settled: {self.venue.orders}")


REFUSALS = [
    None,
    fault("EOrder:Insufficient funds", Category.FUNDS),
    fault("EOrder:Tick size check failed", Category.VALID),
    fault("EOrder:Order minimum not met", Category.VALID),
    fault("EOrder:Orders limit exceeded", Category.LIMIT),
    fault("EOrder:Invalid price", Category.VALID),
]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from([Side.BUY, Side.SELL]))
def test_whatever_happens_the_position_ends_covered_or_flat_and_never_flips(
    data: st.DataObject, holds: bool, side: Side
) -> None:
    venue = ToyVenue(stops_hold_balance=holds)
    engine = Engine(venue)
    entries: list[str] = []
    stop = "90" if side is Side.BUY else "110"
    for i in range(data.draw(st.integers(1, 12))):
        match data.draw(
            st.sampled_from(["enter", "fill", "lose stop", "kill stop", "trigger", "refuse", "turn"])
        ):
            case "enter":
                intent = entry(
                    f"e{i}", str(data.draw(st.sampled_from(["0.00015", "0.5", "1", "2.00005"]))), stop, side
                )
                engine.know(intent)
                entries.append(venue.place(intent))
            case "fill" | "lose stop" as event if entries:
                order_id = data.draw(st.sampled_from(entries))
                left = venue.orders[order_id].leaves_qty
                part = data.draw(st.sampled_from(["0.00004", "0.1", "0.5"]))
                if left:
                    venue.makes_stops = event == "fill"
                    venue.fill(order_id, min(D(part), left))
                    venue.makes_stops = True
            case "kill stop" if venue.stops_open():
                venue.cancel(data.draw(st.sampled_from(venue.stops_open())).order_id)
            case "trigger" if venue.stops_open():
                engine.settle()  # a stop that triggers in the moment before is the venue's, and measured there
                venue.trigger_all_stops()
            case "refuse":
                venue.refusals.extend(data.draw(st.lists(st.sampled_from(REFUSALS), max_size=3)))
                venue.amend_refusals.extend(data.draw(st.lists(st.sampled_from(REFUSALS), max_size=2)))
            case "turn":
                engine.turn()
            case _:
                pass
    engine.settle()
    flips = venue.flips
    size = abs(venue.position())
    if size >= BTC.min_qty:
        assert venue.covered() == size
    else:
        assert venue.covered() <= size
    venue.trigger_all_stops()
    assert venue.position() == 0 or abs(venue.position()) < BTC.min_qty
    assert flips == venue.flips == 0


def test_two_refused_stops_flatten_exactly_the_uncovered_part() -> None:
    venue = ToyVenue()
    engine = Engine(venue)
    engine.know(entry())
    order_id = venue.place(entry())
    venue.fill(order_id, "0.4")
    venue.makes_stops = False
    venue.fill(order_id, "0.6")
    funds = fault("EOrder:Insufficient funds", Category.FUNDS)
    venue.refusals.extend([funds, funds])
    engine.settle()
    assert [(i.order_type, i.qty) for i in venue.submitted] == [
        (OrderType.STOP_LOSS, D("0.6")),
        (OrderType.STOP_LOSS, D("0.6")),
        (OrderType.MARKET, D("0.6")),
    ]
    assert (venue.position(), venue.covered()) == (D("0.4"), D("0.4"))


def test_giving_up_is_not_the_end_it_is_tried_again() -> None:
    venue = ToyVenue()
    engine = Engine(venue)
    engine.know(entry())
    venue.makes_stops = False
    venue.fill(venue.place(entry()), "1")
    venue.refusals.extend([fault("EOrder:Insufficient funds", Category.FUNDS)] * 5)
    steps = [engine.turn()[1] for _ in range(30)]
    assert any(isinstance(s, GiveUp) for s in steps)
    assert (engine.settle(), venue.position()) == (Covered(D(0)), D(0))


def test_a_refused_amend_down_ends_in_a_stop_of_the_right_size() -> None:
    venue = ToyVenue()
    engine = Engine(venue)
    engine.know(entry())
    engine.know(
        OrderIntent(
            id="exit", pair=PAIR, side=Side.SELL, qty=D("0.5"), kind=IntentKind.REDUCE, limit_price=D(100)
        )
    )
    venue.fill(venue.place(entry()), "1")
    venue.fill(venue.place(msgspec.structs.replace(engine.book.intent("exit"))), "0.5")  # type: ignore[type-var]
    venue.amend_refusals.extend([fault("EOrder:Invalid order")] * 2)
    engine.settle()
    assert (venue.position(), venue.covered()) == (D("0.5"), D("0.5"))
