"""Halting: what goes, what stays, in which batches, and what proves it."""

import pytest
from tests.cover.toy_venue import PAIR, D

from allstop.actors.intents import OrderType, Side
from allstop.actors.protocols.halting import (
    BATCH_MAX,
    ROUNDS_MAX,
    CancelThese,
    HaltStep,
    NotProven,
    Proven,
    WaitUntil,
    batches,
    next_halt_step,
    to_cancel,
)
from allstop.actors.reports import OrderReport, OrderStatus


def order(order_id: str, order_type: OrderType = OrderType.LIMIT, **fields: object) -> OrderReport:
    told: dict[str, object] = {"status": OrderStatus.NEW, "pair": PAIR, "side": Side.SELL, "order_qty": D(1)}
    return OrderReport(order_id=order_id, order_type=order_type, **(told | fields))  # type: ignore[arg-type]


STOP = order("S", OrderType.STOP_LOSS)
ENTRY = order("E", side=Side.BUY)


def step(
    *listed: OrderReport, rounds: int = 0, read_at_s: float = 5.0, quiet_from_s: float = 0.0
) -> HaltStep:
    return next_halt_step(
        listed, {PAIR: Side.SELL}, rounds=rounds, read_at_s=read_at_s, quiet_from_s=quiet_from_s
    )


def test_everything_that_is_not_protective_is_cancelled_by_id_in_a_stable_order() -> None:
    take_profit = order("T", OrderType.TAKE_PROFIT)
    assert to_cancel([ENTRY, STOP, take_profit, order("A")], {}) == ("A", "E", "T")


def test_an_order_of_somebody_else_goes_too() -> None:
    assert to_cancel([order("X", cl_ord_id="by-hand")], {}) == ("X",)


def test_a_stop_on_the_side_that_would_enlarge_the_position_protects_nothing() -> None:
    wrong = order("W", OrderType.STOP_LOSS, side=Side.BUY)
    assert to_cancel([wrong, STOP], {PAIR: Side.SELL}) == ("W",)
    assert to_cancel([wrong, STOP], {}) == ()


def test_an_order_that_is_over_is_not_cancelled() -> None:
    assert to_cancel([order("E", status=OrderStatus.CANCELED)], {}) == ()


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (50, [50]), (51, [50, 1]), (120, [50, 50, 20])]
)
def test_batches_hold_what_one_command_may_hold(count: int, sizes: list[int]) -> None:
    ids = [f"O{i:03}" for i in range(count)]
    cut = batches(ids)
    assert [len(b) for b in cut] == sizes
    assert [i for b in cut for i in b] == ids
    assert BATCH_MAX == 50


def test_a_list_of_stops_alone_is_the_proof() -> None:
    assert step(STOP) == Proven(1)
    assert step() == Proven(0)


def test_an_open_entry_is_no_proof() -> None:
    assert step(STOP, ENTRY) == CancelThese((("E",),))


def test_a_clean_list_read_while_an_entry_may_still_arrive_proves_nothing() -> None:
    assert step(STOP, read_at_s=5.0, quiet_from_s=5.5) == WaitUntil(5.5)
    assert step(STOP, read_at_s=5.5, quiet_from_s=5.5) == Proven(1)


def test_what_does_not_go_away_in_so_many_rounds_is_named() -> None:
    assert step(ENTRY, rounds=ROUNDS_MAX - 1) == CancelThese((("E",),))
    assert step(ENTRY, rounds=ROUNDS_MAX) == NotProven(("E",))
