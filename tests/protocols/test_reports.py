"""Reports of one order, put together: streams and queries overtake each other."""

from decimal import Decimal

import pytest

from allstop.actors.reports import OrderReport, OrderStatus

PENDING, NEW, PARTLY, FILLED, CANCELED, ODD = (
    OrderStatus.PENDING_NEW,
    OrderStatus.NEW,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.FILLED,
    OrderStatus.CANCELED,
    OrderStatus.UNRECOGNISED,
)


def report(status: OrderStatus, cum_qty: int | None) -> OrderReport:
    return OrderReport(order_id="O1", status=status, cum_qty=None if cum_qty is None else Decimal(cum_qty))


@pytest.mark.parametrize(
    ("before", "newer", "after"),
    [
        ((PENDING, 0), (NEW, None), (NEW, 0)),  # an update that leaves out what has not changed
        ((PENDING, None), (NEW, None), (NEW, None)),
        ((NEW, 0), (PARTLY, 1), (PARTLY, 1)),
        ((PARTLY, 1), (NEW, None), (PARTLY, 1)),
        ((PARTLY, 1), (NEW, 0), (PARTLY, 1)),
        ((PARTLY, 2), (PARTLY, 1), (PARTLY, 2)),
        ((NEW, 0), (PENDING, None), (NEW, 0)),
        ((PARTLY, 1), (CANCELED, None), (CANCELED, 1)),
        ((PARTLY, 1), (CANCELED, 0), (CANCELED, 1)),
        ((FILLED, 2), (PARTLY, 1), (FILLED, 2)),
        ((CANCELED, 1), (NEW, None), (CANCELED, 1)),
        ((PARTLY, 1), (ODD, None), (ODD, 1)),
        ((NEW, 0), (ODD, 0), (ODD, 0)),
    ],
)
def test_the_later_state_stands_whichever_report_comes_last(
    before: tuple[OrderStatus, int | None],
    newer: tuple[OrderStatus, int | None],
    after: tuple[OrderStatus, int | None],
):
    merged = report(*before).merged(report(*newer))

    assert merged == report(*after)
