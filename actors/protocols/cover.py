"""Cover: whether a position has a live stop of its full size, and what to do next when it has not.

`assess` is asked again after every reading of the venue. It compares a position with the orders that protect it and
answers one of

    Covered       the stops are exactly as large as the position (or there is neither)
    Uncovered     so much of the position has no stop, and no order in flight that ends it
    OverCovered   the stops are larger than the position: together they would flip it
    Dust          what has no stop is smaller than the venue lets anyone trade

What is done about it stands in `remedies.py`.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderType, Side
from allstop.actors.protocols.positions import ZERO, Position
from allstop.actors.reports import OrderReport


class CoverTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long cover may take. `cover_s` is the promise; the others divide it.

    `settle_s` is left to the venue to show a stop that it makes itself; from `flatten_after_s` of reachable, uncovered
    time the stop is given up for a flatten; `fill_s` is how long a triggered stop-limit may stand unfilled;
    `retry_s` how long to wait before trying again what has failed altogether, but for the first time: then a half of
    `cover_s` is left, in which it could be had.
    """

    cover_s: float = 2.0
    settle_s: float = 0.25
    flatten_after_s: float = 1.4
    fill_s: float = 1.0
    retry_s: float = 2.0

    @classmethod
    def within(cls, cover_s: float) -> "CoverTimes":
        """The usual division of a promise of `cover_s`. Raises BadInput when it is not a positive time."""
        if not 0 < cover_s < 3600:
            raise BadInput(Problem(f"cover_s is {cover_s}: it must be above 0 and below 3600", "cover_s"))
        return cls(
            cover_s=cover_s,
            settle_s=cover_s / 8,
            flatten_after_s=cover_s * 0.7,
            fill_s=cover_s / 2,
            retry_s=max(1.0, cover_s),
        )

    def again_s(self, gave_up: int) -> float:
        """How long to wait before trying again what has failed altogether, so often."""
        return self.retry_s if gave_up > 1 else min(self.retry_s, self.cover_s / 2)


# -- what protects ---------------------------------------------------------------------------------------------


def is_protective(order: OrderReport, reducing: Side | None) -> bool:
    """Whether an order protects, from the venue's own fields alone, so that anyone can decide it without our journal:
    a stop or trailing type, reduce-only, or the child of a conditional close, on the reducing side.

    `reducing` is None where no position is known: then the side cannot be held against the order. Keeping a stop that
    protects nothing is a smaller mistake than cancelling one that does.
    """
    marked = (
        (order.order_type is not None and order.order_type.is_stop)
        or order.reduce_only is True
        or order.parent_id is not None
    )
    return marked and (reducing is None or order.side is None or order.side is reducing)


def covers(order: OrderReport, reducing: Side | None) -> bool:
    """Whether an order counts as cover. Stricter than protective: a take-profit or a resting reduce-only limit stays
    in a halt, and stops no loss."""
    is_stop = order.order_type is None or order.order_type.is_stop
    return is_stop and reducing is not None and order.side is reducing and is_protective(order, reducing)


def is_exit(order: OrderReport, reducing: Side | None) -> bool:
    """A market order that is ending the position."""
    return reducing is not None and order.side is reducing and order.order_type is OrderType.MARKET


# -- the verdict -----------------------------------------------------------------------------------------------


class Covered(msgspec.Struct, frozen=True, tag=True):
    """Stops of exactly the position's size stand. `qty` zero: flat, and without stops."""

    qty: Decimal


class Uncovered(msgspec.Struct, frozen=True, tag=True):
    """`qty` of the position has neither a stop nor an exit in flight, since `since_s`."""

    qty: Decimal
    since_s: float


class OverCovered(msgspec.Struct, frozen=True, tag=True):
    """The stops exceed the position by `qty`."""

    qty: Decimal


class Dust(msgspec.Struct, frozen=True, tag=True):
    """`qty` is left uncovered and is below the venue's minimum: listed, since nothing can be done about it."""

    qty: Decimal


Verdict = Covered | Uncovered | OverCovered | Dust


def assess(
    position: Position,
    orders: Sequence[OrderReport],
    instrument: Instrument,
    *,
    now_s: float,
    since_s: float | None = None,
    in_flight: Decimal = ZERO,
    stuck: Collection[str] = (),
) -> Verdict:
    """What a position's cover is. `orders` are our open orders on the pair. `since_s`: when it was first found
    uncovered, if it still is. `in_flight`: what our own unanswered market orders will take off it. `stuck`: stops that
    triggered and hang, which cover nothing."""
    reducing = position.reducing
    size = abs(position.net)
    stops = [o for o in orders if stands_by_itself(o)]
    cover = sum((o.leaves_qty for o in stops if covers(o, reducing) and o.order_id not in stuck), ZERO)
    astray = sum((o.leaves_qty for o in stops if not covers(o, reducing)), ZERO)
    exits = sum((o.leaves_qty for o in orders if is_exit(o, reducing)), ZERO) + in_flight
    excess = astray + max(ZERO, cover - size)
    if excess and size < instrument.min_qty:
        return OverCovered(excess)
    missing = max(ZERO, size - cover - exits)
    if missing and size < instrument.min_qty:
        return Dust(missing)
    if missing:
        return Uncovered(missing, now_s if since_s is None else since_s)
    return OverCovered(excess) if excess else Covered(min(cover, size))


def stands_by_itself(order: OrderReport) -> bool:
    """Could sell or buy by itself later: what `excess` must count, on either side."""
    return (order.order_type is not None and order.order_type.is_stop) or (
        order.order_type is None and order.parent_id is not None
    )


# -- measuring -------------------------------------------------------------------------------------------------


class CoverMeter(msgspec.Struct, frozen=True, kw_only=True):
    """Uncovered time of one pair as we could see it: `uncovered_ms_max` is the longest stretch while the venue was
    reachable, `uncovered_unreachable_ms` the whole of the time in which nobody could act."""

    current_s: float = 0.0
    uncovered_s_max: float = 0.0
    unreachable_s: float = 0.0
    observed_s: float | None = None
    uncovered: bool = False

    def observed(self, *, uncovered: bool, reachable: bool, now_s: float) -> "CoverMeter":
        """After one reading. The time since the last one counts as it was found then; `reachable` is whether this
        reading could be made."""
        passed_s = now_s - self.observed_s if self.observed_s is not None and self.uncovered else 0.0
        current_s = self.current_s + (passed_s if reachable else 0.0)
        return CoverMeter(
            current_s=current_s if uncovered else 0.0,
            uncovered_s_max=max(self.uncovered_s_max, current_s),
            unreachable_s=self.unreachable_s + (0.0 if reachable else passed_s),
            observed_s=now_s,
            uncovered=uncovered,
        )
