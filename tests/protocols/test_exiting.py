"""The saga of an exit: its table row by row, and all of it against a toy venue, with a crash or a refusal at any step."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cover.toy_venue import BTC, PAIR, D, ToyVenue, entry
from tests.protocols.test_cover import Engine

from allstop.actors.errors import RefusalCode
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss, TimeInForce
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.cover import CoverTimes, Verdict
from allstop.actors.protocols.exiting import (
    Ask,
    CancelExit,
    Exiting,
    ExitStep,
    Leave,
    Moved,
    Pause,
    SendExit,
    Stage,
    Withhold,
    exit_refusal,
    next_exit_step,
)
from allstop.actors.protocols.positions import Position
from allstop.actors.protocols.remedies import AmendStop, CancelStops, PlaceStop, Step
from allstop.actors.reports import OrderReport, OrderStatus

TIMES = CoverTimes.within(2.0)


def leaving(qty: str = "0.4", side: Side = Side.SELL, limit: str | None = None) -> OrderIntent:
    return OrderIntent(
        id="exit-1", pair=PAIR, side=side, qty=D(qty), kind=IntentKind.REDUCE,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=None if limit is None else D(limit),
        time_in_force=TimeInForce.GTC if limit is None else TimeInForce.IOC,
    )  # fmt: skip


def stop(order_id: str, qty: str, trigger: str = "90", cum: str = "0", side: Side = Side.SELL) -> OrderReport:
    return OrderReport(
        order_id=order_id, status=OrderStatus.NEW, pair=PAIR, side=side, order_type=OrderType.STOP_LOSS,
        order_qty=D(qty) + D(cum), cum_qty=D(cum), trigger_price=D(trigger),
    )  # fmt: skip


def step(
    exiting: Exiting | OrderIntent, net: str, *stops: OrderReport, now_s: float = 0.0, busy: bool = False, permitted: bool = True
) -> ExitStep:  # fmt: skip
    if isinstance(exiting, OrderIntent):
        exiting = Exiting(intent=exiting, due_s=5.0)
    position = Position(pair=PAIR, net=D(net))
    return next_exit_step(exiting, position, stops, BTC, TIMES, now_s=now_s, busy=busy, permitted=permitted)


def after(intent: OrderIntent, *moved: Moved, stage: Stage = Stage.OVER, bare_s: float = 0.0) -> Exiting:
    return Exiting(intent=intent, due_s=5.0, stage=stage, moved=moved, bare_s=bare_s, order_ids=("X",))


# -- the table


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        ([stop("A", "1")], AmendStop(PAIR, "A", D("0.6"))),
        ([stop("A", "1", cum="0.5")], AmendStop(PAIR, "A", D("1.1"))),
        ([stop("A", "0.3"), stop("B", "0.7")], AmendStop(PAIR, "B", D("0.3"))),
        ([stop("A", "0.4"), stop("B", "0.6")], CancelStops(PAIR, ("A",))),
        ([stop("A", "0.5", "80"), stop("B", "0.5", "90")], AmendStop(PAIR, "B", D("0.1"))),
        ([stop("A", "0.2"), stop("B", "0.3"), stop("C", "0.1"), stop("E", "0.4")], CancelStops(PAIR, ("E",))),
        ([stop("A", "0.35"), stop("B", "0.35"), stop("C", "0.3")], CancelStops(PAIR, ("A",))),
        ([stop("A", "0.40005"), stop("B", "0.59995")], AmendStop(PAIR, "B", D("0.19995"))),
        ([stop("A", "0.6")], SendExit(leaving())),
        ([], SendExit(leaving())),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_stops_make_room_by_as_few_commands_as_possible(stops: list[OrderReport], expected: ExitStep) -> None:
    assert step(leaving(), "1", *stops) == expected


def test_whole_stops_go_together_and_what_is_left_is_amended() -> None:
    stops = [stop(name, "0.15") for name in "ABCDEF"] + [stop("G", "0.1")]
    assert step(leaving(), "1", *stops) == CancelStops(PAIR, ("A", "B", "G"))
    rest = [s for s in stops if s.order_id not in "ABG"]
    assert step(leaving(), "1", *rest) == SendExit(leaving())


def test_a_stop_that_would_be_left_too_small_goes_whole() -> None:
    assert step(leaving("0.99995"), "1", stop("A", "1")) == CancelStops(PAIR, ("A",))


def test_a_short_position_is_the_mirror_of_a_long_one() -> None:
    buys = [stop("A", "0.5", "110", side=Side.BUY), stop("B", "0.5", "120", side=Side.BUY)]
    assert step(leaving(side=Side.BUY), "-1", *buys) == AmendStop(PAIR, "A", D("0.1"))


@pytest.mark.parametrize(
    ("exiting", "fields", "expected"),
    [
        (leaving(), {"busy": True}, Pause),
        (leaving(), {"busy": True, "now_s": 5.0}, Withhold),
        (leaving(), {"permitted": False}, Withhold),
        (leaving("1.1"), {}, Withhold),
        (leaving(side=Side.BUY), {}, Withhold),
        (after(leaving(), stage=Stage.WAITING), {"now_s": 0.79}, AmendStop),
        (after(leaving(), stage=Stage.WAITING), {"now_s": 0.8}, Withhold),
        (Exiting(intent=leaving(), due_s=5.0, refusals=1), {}, AmendStop),
        (Exiting(intent=leaving(), due_s=5.0, refusals=2), {}, Withhold),
        (after(leaving(), stage=Stage.SENT), {"now_s": 0.9}, Ask),
        (after(leaving(), stage=Stage.SENT), {"now_s": 1.0}, CancelExit),
        (after(leaving(), stage=Stage.SENT).done(CancelExit(("X",)), ()), {"now_s": 1.1}, Ask),
        (after(leaving(), stage=Stage.SENT), {"now_s": 2.0}, Leave),
        (after(leaving(), stage=Stage.UNKNOWN), {}, Leave),
        (after(leaving()), {}, Leave),
    ],
)  # fmt: skip
def test_each_row_of_the_table(
    exiting: Exiting | OrderIntent, fields: dict[str, float], expected: type[ExitStep]
) -> None:
    assert isinstance(step(exiting, "1", stop("A", "1"), **fields), expected)  # pyright: ignore[reportArgumentType]


AT_90 = StopLoss(trigger_price=D(90))


def under_way(pace_s: float, *names: str) -> Exiting:
    """An exit that has moved these stops, of which one took so long."""
    moved = tuple(Moved(name, D("0.4"), AT_90, None) for name in names)
    return after(leaving(), *moved, stage=Stage.WAITING).took(pace_s).took(0.01)


@pytest.mark.parametrize(
    ("exiting", "now_s", "expected"),
    [
        # Amend the one, send, put both back: four calls in the 1.4 s after which covering again is given up.
        (under_way(0.3, "B"), 0.15, AmendStop),
        (under_way(0.3, "B"), 0.25, Withhold),
        (under_way(0.5, "B"), 0.1, Withhold),
        (under_way(0.9, "B"), 0.1, Withhold),
        (under_way(0.9), 0.1, AmendStop),  # nothing was moved yet
    ],
)  # fmt: skip
def test_an_exit_turns_back_while_what_it_moved_can_still_be_put_back_in_time(
    exiting: Exiting, now_s: float, expected: type[ExitStep]
) -> None:
    assert isinstance(step(exiting, "1", stop("A", "1"), now_s=now_s), expected)


@pytest.mark.parametrize(
    ("exiting", "now_s", "expected"),
    [
        (under_way(0.3, "A", "B"), 0.4, SendExit),  # to send it and put both back fits
        (under_way(0.4, "A", "B"), 0.5, Withhold),  # to put both back fits
        (under_way(0.5, "A", "B"), 0.5, SendExit),  # neither does: selling is one call
    ],
)
def test_when_nothing_but_to_send_it_is_left_an_exit_turns_back_only_if_that_is_in_time(
    exiting: Exiting, now_s: float, expected: type[ExitStep]
) -> None:
    assert isinstance(step(exiting, "1", stop("A", "0.6"), now_s=now_s), expected)


@pytest.mark.parametrize(
    ("moved", "stops", "expected"),
    [
        ([Moved("A", D("0.4"), AT_90, None)], [stop("A", "0.6")], AmendStop(PAIR, "A", D("1"))),
        ([Moved("A", D("1"), AT_90, "E")], [], PlaceStop(PAIR, Side.SELL, D(1), AT_90, "E")),
        ([Moved("A", D("0.4"), AT_90, "E")], [stop("B", "0.6")], PlaceStop(PAIR, Side.SELL, D("0.4"), AT_90, "E")),
        ([Moved("A", D("0.4"), AT_90, "E")], [stop("B", "0.99995")], AmendStop(PAIR, "B", D("1"))),
        ([Moved("A", D("0.4"), AT_90, "E")], [stop("B", "1")], Leave("all that is left is covered", covered=True)),
    ],
)  # fmt: skip
def test_what_was_not_sold_gets_back_the_stop_that_it_had(
    moved: list[Moved], stops: list[OrderReport], expected: ExitStep
) -> None:
    assert step(after(leaving(), *moved), "1", *stops) == expected


def test_covering_again_is_left_to_the_ordinary_watch_when_it_is_late_or_refused_twice() -> None:
    exiting = after(leaving(), Moved("A", D("0.4"), AT_90, None))
    assert isinstance(step(exiting, "1", stop("A", "0.6"), now_s=TIMES.flatten_after_s), Leave)
    assert isinstance(step(exiting.refused().refused(), "1", stop("A", "0.6")), Leave)


def test_an_exit_takes_only_what_other_exits_leave() -> None:
    position = Position(pair=PAIR, net=D(1))
    other = msgspec.structs.replace(stop("M", "0.5"), order_type=OrderType.MARKET)
    assert exit_refusal(leaving("0.5"), position, [other]) is None
    for refused in (
        exit_refusal(leaving("0.6"), position, [other]),
        exit_refusal(leaving("0.6"), position, [], D("0.5")),
        exit_refusal(leaving("0.5"), Position(pair=PAIR, net=D(0)), []),
        exit_refusal(leaving("0.5", Side.BUY), position, []),
    ):
        assert refused is not None
        assert refused.code is RefusalCode.EXCEEDS_POSITION


def test_an_exit_holds_its_pair_for_cover_s_from_the_first_stop_that_it_moved() -> None:
    exiting = Exiting(intent=leaving(), due_s=5.0)
    assert not exiting.holds(TIMES, 100.0)  # it waits, and a stop that is lost meanwhile is the guardian's
    begun = exiting.began(100.0).began(101.0)
    assert begun.holds(TIMES, 101.9)
    assert not begun.holds(TIMES, 102.0)


# -- all of it, against a toy venue


class Saga(Engine):
    """The guardian's decisions without its shell: an exit, and the ordinary looks when it is over or forgotten."""

    def __init__(self, venue: ToyVenue, latency_s: float) -> None:
        super().__init__(venue)
        self.latency_s = latency_s
        self.bare_s = self.bare_max_s = 0.0

    def passes(self, seconds: float) -> None:
        naked = abs(self.venue.position()) - self.venue.covered()
        self.bare_s = self.bare_s + seconds if naked >= BTC.min_qty else 0.0
        self.bare_max_s = max(self.bare_max_s, self.bare_s)
        self.now_s += seconds

    def turn(self, passed_s: float = 0.15) -> tuple[Verdict, Step]:
        self.passes(passed_s)
        return super().turn(0.0)

    def leave(self, intent: OrderIntent, data: st.DataObject, happens: st.SearchStrategy[str]) -> None:
        """To its end, or to a crash: then nothing is remembered but what was sent."""
        self.know(intent)
        exiting = Exiting(intent=intent, due_s=self.now_s + 5)
        for _ in range(40):
            self.book.take_all(self.venue.orders.values())
            exiting = exiting.told(self.book.order_of(intent.id))
            orders = self.book.open_orders(PAIR)
            step = next_exit_step(exiting, self.book.position(PAIR), orders, BTC, TIMES, now_s=self.now_s)
            match step:
                case Leave():
                    return
                case Withhold():
                    exiting = exiting.over()
                    continue
                case Pause() | Ask():
                    self.passes(0.1)
                    continue
                case _:
                    pass
            exiting = exiting.began(self.now_s)
            event = data.draw(happens)
            if event == "trigger":
                self.venue.trigger_all_stops()
            if event == "crash before":
                return
            self.passes(self.latency_s)
            answer = None if event in ("refused", "unsent") else self._write(step)
            if event == "trigger after":
                self.venue.trigger_all_stops()
            if event == "crash after":
                return
            exiting = _answered(exiting, step, answer, orders)
        raise AssertionError(f"no end: {exiting}")

    def _write(self, step: ExitStep) -> str | None:
        """The id of what was made or changed; None where the venue said no."""
        match step:
            case SendExit(intent=intent):
                answer = self.venue.submit(intent)
                return answer if isinstance(answer, str) else None
            case CancelStops(order_ids=order_ids) | CancelExit(order_ids=order_ids):
                for order_id in order_ids:
                    self.venue.cancel(order_id)
                return order_ids[0]
            case AmendStop(order_id=order_id, order_qty=order_qty):
                return order_id if self.venue.amend(order_id, order_qty) is None else None
            case PlaceStop():
                before = len(self.venue.submitted)
                self._do(step)
                return str(before)
            case _:
                raise AssertionError(step)


def _answered(
    exiting: Exiting, step: ExitStep, answer: str | None, orders: tuple[OrderReport, ...]
) -> Exiting:
    if isinstance(step, SendExit):
        return exiting.over() if answer is None else exiting.sent((answer,))
    return exiting.refused() if answer is None else exiting.done(step, orders)


EVENTS = ["nothing"] * 4 + ["trigger", "trigger after", "refused", "unsent", "crash before", "crash after"]


@settings(max_examples=400, deadline=None)
@given(
    st.data(),
    st.booleans(),
    st.sampled_from([Side.BUY, Side.SELL]),
    st.lists(st.sampled_from(["0.0001", "0.00015", "0.1", "0.5", "1", "2.00005"]), min_size=1, max_size=6),
    st.sampled_from([0.01, 0.1, 0.2]),
)
def test_whatever_happens_to_an_exit_the_position_ends_covered_or_flat_in_time_and_never_flips(
    data: st.DataObject, holds: bool, side: Side, parts: list[str], latency_s: float
) -> None:
    venue = ToyVenue(stops_hold_balance=holds)
    engine = Saga(venue, latency_s)
    for i, part in enumerate(parts):
        trigger = data.draw(st.sampled_from(["80", "90"] if side is Side.BUY else ["120", "110"]))
        intent = entry(f"e{i}", part, trigger, side)
        engine.know(intent)
        venue.fill(venue.place(intent), part)
    engine.settle()
    total = abs(venue.position())
    lots = data.draw(st.sampled_from(["0.0001", "0.1", "0.5", "1", "all", "all but dust"]))
    qty = {"all": total, "all but dust": total - D("0.00005")}.get(lots) or min(D(lots), total)
    limit = data.draw(st.sampled_from([None, "101"]))
    venue.takes = data.draw(st.sampled_from([D(0), D("0.1"), D(10)]))
    exit_ = leaving(str(qty), side.opposite, limit)
    engine.leave(exit_, data, st.sampled_from(EVENTS))
    engine.settle()

    size = abs(venue.position())
    assert venue.covered() == size or size - venue.covered() < BTC.min_qty
    assert engine.bare_max_s <= TIMES.cover_s
    assert [i.id for i in venue.submitted].count("exit-1") <= 1
    venue.trigger_all_stops()
    assert abs(venue.position()) < BTC.min_qty
    assert venue.flips == 0


def test_money_is_decimal_all_the_way() -> None:
    made = step(leaving("0.1"), "0.3", stop("A", "0.3"))
    assert isinstance(made, AmendStop)
    assert made.order_qty == Decimal("0.2")
