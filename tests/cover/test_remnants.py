"""What the next reading must find after a write of the guardian's, for its finding not to be asked for once more."""

from decimal import Decimal

from allstop.actors.cover_orders import Written
from allstop.actors.guardian import left_by
from allstop.actors.intents import Side
from allstop.actors.protocols.cover import Covered, Uncovered
from allstop.actors.protocols.remedies import Flatten

D = Decimal
FLATTEN = Flatten("BTC/USD", Side.SELL, D("0.4"))


def test_a_flatten_that_never_arrived_leaves_what_was_found_before_it() -> None:
    """While it was out it counted as cover, and the readings said so (bad-day, seeds 171 and 257)."""
    left = left_by(Covered(D("0.4")), Written("BTC/USD", FLATTEN, taken=False))
    assert isinstance(left, Uncovered)
    assert left.qty == D("0.4")


def test_a_flatten_that_was_taken_leaves_nothing_to_find() -> None:
    assert left_by(Uncovered(D("0.4"), 1.0), Written("BTC/USD", FLATTEN, taken=True)) is None
