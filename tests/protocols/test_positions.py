"""The account book: executions count once, in whatever order and however often they are told."""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cover.tellings import Tellings, answers
from tests.cover.toy_venue import PAIR, D, entry

from allstop.actors.intents import OrderType, Side
from allstop.actors.protocols.positions import AccountBook, Position
from allstop.actors.reports import Fill, OrderReport, OrderStatus


def report(order_id: str = "A", **fields: object) -> OrderReport:
    told: dict[str, object] = {
        "status": OrderStatus.PARTIALLY_FILLED,
        "pair": PAIR,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "order_qty": D(3),
        "cl_ord_id": "entry-1",
    }
    return OrderReport(order_id=order_id, **(told | fields))  # type: ignore[arg-type]


def fill(exec_id: str, qty: str, price: str = "100", order_id: str = "A") -> Fill:
    return Fill(
        exec_id=exec_id, order_id=order_id, pair=PAIR, side=Side.BUY, qty=D(qty), price=D(price), ts_ns=7
    )


def book() -> AccountBook:
    known = AccountBook()
    known.know(entry(qty="3"))
    return known


def test_an_execution_told_by_the_stream_and_by_a_query_counts_once() -> None:
    known = book()
    known.take(report(fill=fill("x1", "1"), cum_qty=D(1)))
    again = known.take(report(cum_qty=D(1), avg_price=D(100)))
    assert (known.position(PAIR).net, again) == (D(1), ())


def test_the_same_exec_id_told_twice_counts_once() -> None:
    known = book()
    known.take(report(fill=fill("x1", "1")))
    known.take(report(fill=fill("x1", "1")))
    assert known.position(PAIR).net == D(1)


def test_a_cumulative_quantity_beats_fills_that_were_never_told() -> None:
    known = book()
    known.take(report(fill=fill("x1", "1"), cum_qty=D(1)))
    booked = known.take(report(fill=fill("x3", "1"), cum_qty=D(3), avg_price=D(100)))
    assert (known.position(PAIR).net, booked[0].qty) == (D(3), D(2))


def test_fills_beat_a_cumulative_quantity_that_is_late() -> None:
    known = book()
    known.take(report(fill=fill("x1", "1"), cum_qty=D(1)))
    known.take(report(fill=fill("x2", "1"), cum_qty=D(1)))
    assert known.position(PAIR).net == D(2)


def test_an_older_report_takes_nothing_back() -> None:
    known = book()
    known.take(report(status=OrderStatus.FILLED, cum_qty=D(3), avg_price=D(100)))
    known.take(report(status=OrderStatus.NEW, cum_qty=D(0)))
    order = known.order("A")
    assert order is not None
    assert (known.position(PAIR).net, order.status) == (D(3), OrderStatus.FILLED)


def test_a_stop_made_by_our_order_is_ours_through_its_parent() -> None:
    known = book()
    known.take(report(status=OrderStatus.FILLED, cum_qty=D(3)))
    known.take(
        report(
            "S", cl_ord_id=None, parent_id="A", side=Side.SELL, order_type=OrderType.STOP_LOSS, cum_qty=D(2)
        )
    )
    assert known.position(PAIR).net == D(1)


def test_a_stop_told_before_its_parent_is_booked_when_the_parent_is_known() -> None:
    known = book()
    known.take(report("S", cl_ord_id=None, parent_id="A", side=Side.SELL, cum_qty=D(1)))
    assert known.position(PAIR).net == 0
    known.take(report("A", cum_qty=D(3)))
    assert known.position(PAIR).net == D(2)


def test_an_order_of_nobody_is_external_and_in_no_position() -> None:
    known = book()
    known.take(report("X", cl_ord_id="by-hand", cum_qty=D(2)))
    assert known.position(PAIR).net == 0
    assert [o.order_id for o in known.external()] == ["X"]
    assert known.external_net(PAIR) == D(2)


def test_a_claimed_order_moves_into_the_position_with_all_it_executed() -> None:
    known = book()
    known.take(report("X", cl_ord_id="by-hand", cum_qty=D(2)))
    booked = known.claim("X")
    assert (known.position(PAIR).net, booked[0].qty, known.external()) == (D(2), D(2), ())


def test_an_intent_learned_after_its_order_is_booked_at_once() -> None:
    known = AccountBook()
    known.take(report(cum_qty=D(1)))
    assert known.know(entry())[0].qty == D(1)


def test_a_report_without_pair_and_side_waits_for_one_with_them() -> None:
    known = book()
    known.take(
        OrderReport(order_id="A", status=OrderStatus.PARTIALLY_FILLED, cl_ord_id="entry-1", cum_qty=D(1))
    )
    assert known.positions() == {}
    known.take(report())
    assert known.position(PAIR).net == D(1)


def test_an_open_order_that_a_complete_list_does_not_show_has_vanished() -> None:
    known = book()
    known.take(report("A"))
    known.take(report("B", status=OrderStatus.CANCELED))
    assert known.vanished(["C"]) == ("A",)


def test_an_entry_tells_how_much_its_stops_amount_to() -> None:
    known = book()
    known.take(report(status=OrderStatus.FILLED, cum_qty=D(3)))
    stop = {"cl_ord_id": None, "parent_id": "A", "side": Side.SELL, "order_type": OrderType.STOP_LOSS}
    known.take(report("S1", order_qty=D(1), **stop))
    known.take(report("S2", order_qty=D(1), status=OrderStatus.CANCELED, **stop))
    (told,) = known.entries(PAIR)
    assert (told.executed, told.stopped, told.missing) == (D(3), D(1), D(2))


def stop(order_id: str, qty: str, status: OrderStatus = OrderStatus.NEW, **fields: object) -> OrderReport:
    """A stop that the venue made of an execution of A."""
    made = {"cl_ord_id": None, "parent_id": "A", "side": Side.SELL, "order_type": OrderType.STOP_LOSS}
    return report(order_id, order_qty=D(qty), status=status, **(made | fields))


def test_the_stops_of_an_entry_are_told_when_all_that_it_executed_has_one_whatever_became_of_it() -> None:
    known = book()
    assert known.stops_told(PAIR), "nothing was executed"
    known.take(report(cum_qty=D(1)))
    assert not known.stops_told(PAIR), "its stop may stand, or may have executed"
    known.take(stop("S1", "1"))
    assert known.stops_told(PAIR)
    known.take(stop("S1", "1", OrderStatus.CANCELED))
    assert known.stops_told(PAIR)
    known.take(report(status=OrderStatus.FILLED, cum_qty=D(3)))
    assert not known.stops_told(PAIR), "one was made for what came since"
    known.take(stop("S2", "2", OrderStatus.FILLED, cum_qty=D(2)))
    assert known.stops_told(PAIR)


def test_a_stop_counts_for_what_it_was_made_of_and_not_for_what_it_was_amended_to() -> None:
    known = book()
    known.take_all([report(cum_qty=D(1)), stop("S1", "1"), stop("S1", "0.4")])
    assert known.stops_told(PAIR)
    known.take_all([report(cum_qty=D(3)), stop("S1", "3")])
    assert not known.stops_told(PAIR), "made larger by hand, it hides that the second was never told"


def test_a_stop_that_somebody_placed_is_none_that_the_venue_made() -> None:
    known = book()
    known.take(report(cum_qty=D(3)))
    known.know(entry("own", qty="3", side=Side.SELL), parent="A")
    known.take(stop("S1", "3", cl_ord_id="own", parent_id=None))
    assert known.entries(PAIR)[0].stopped == D(3)
    assert not known.stops_told(PAIR)


def test_of_a_claimed_order_nobody_knows_what_stops_it_made() -> None:
    known = book()
    known.take(report("X", cl_ord_id=None, cum_qty=D(1)))
    known.claim("X")
    assert not known.stops_told(PAIR)


def test_the_average_entry_is_weighted_and_kept_while_reducing() -> None:
    position = Position(pair=PAIR, net=D(0)).moved(Side.BUY, D(1), D(100)).moved(Side.BUY, D(3), D(104))
    assert position.average_entry == D(103)
    assert position.moved(Side.SELL, D(2), D(90)).average_entry == D(103)
    assert position.moved(Side.SELL, D(5), D(90)) == Position(pair=PAIR, net=D(-1), average_entry=D(90))
    assert position.moved(Side.SELL, D(4), D(90)).average_entry is None


def test_what_is_over_is_forgotten_and_telling_it_again_changes_nothing() -> None:
    known = book()
    stop = {"cl_ord_id": None, "parent_id": "A", "side": Side.SELL, "order_type": OrderType.STOP_LOSS}
    entry_ = report(status=OrderStatus.FILLED, cum_qty=D(3), ts_ns=5)
    sold = report("S", status=OrderStatus.FILLED, cum_qty=D(3), ts_ns=6, **stop)
    known.take_all([entry_, sold])
    assert known.settle(before_ns=10) == 2
    assert (known.order("A"), known.intents(), known.entries(PAIR)) == (None, (), ())
    assert known.take_all([sold, entry_]) == ()
    assert (known.position(PAIR).net, known.external()) == (D(0), ())


def test_an_entry_is_kept_while_its_position_or_its_stop_stands() -> None:
    known = book()
    known.take(report(status=OrderStatus.FILLED, cum_qty=D(3), ts_ns=5))
    known.take(report("C", status=OrderStatus.CANCELED, cum_qty=D(0), ts_ns=5))
    assert known.settle(before_ns=10) == 1
    assert len(known.entries(PAIR)) == 1
    known.take(report("X", side=Side.SELL, cum_qty=D(3), ts_ns=5))
    known.take(
        report("S", cl_ord_id=None, parent_id="A", side=Side.SELL, status=OrderStatus.NEW, cum_qty=D(0))
    )
    assert known.settle(before_ns=10) == 0


def test_what_ended_lately_is_kept_because_it_may_be_told_again() -> None:
    known = book()
    known.take(report(status=OrderStatus.CANCELED, cum_qty=D(0), ts_ns=50))
    assert (known.settle(before_ns=50), known.settle(before_ns=51)) == (0, 1)


@given(st.data())
def test_the_position_does_not_depend_on_the_order_or_number_of_tellings(data: st.DataObject) -> None:
    qtys = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    told: list[OrderReport] = []
    cum = Decimal(0)
    for i, qty in enumerate(qtys):
        cum += qty
        told.append(
            report(order_qty=D(sum(qtys)), fill=fill(f"x{i}", str(qty)), cum_qty=cum, avg_price=D(100))
        )
    shuffled = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=6))))
    known = book()
    booked = sum((e.qty for r in shuffled for e in known.take(r)), D(0))
    assert known.position(PAIR).net == booked == cum


@pytest.mark.parametrize("seed", range(40))
def test_while_its_version_is_the_same_a_book_answers_the_same(seed: int) -> None:
    """Whoever remembers what a book said asks for nothing else (`cover_judge.py`, `cover_notes.py`)."""
    dice, known = Random(seed), AccountBook()
    tellings = Tellings(dice, known)
    same = 0
    for number in range(200):
        order_ids = tuple(tellings.orders)
        before, version = answers(known, order_ids), known.version
        what = tellings.tell()
        if known.version == version:
            same += 1
            assert answers(known, order_ids) == before, f"{number}: {what}"
    assert same > 5, "or nothing was shown"


def test_what_a_list_tells_again_leaves_the_version_of_a_book_alone() -> None:
    known = book()
    known.take(report())
    version = known.version
    known.take(report())
    known.know(entry(qty="3"))
    assert known.version == version
    known.take(report(cum_qty=D(1)))
    assert known.version > version
