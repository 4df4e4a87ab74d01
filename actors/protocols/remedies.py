"""Remedies: what to do next for a pair whose cover is wrong. A decision table and what the refusals teach.

`next_step` looks at the verdict and at the `Effort` made so far. One step at a time: the caller does it, reads the
venue again, and asks again. The order of the rows is the order of the remedies:

    an answer is outstanding           -> Rest          a second write on a guess could double the first
    covered, or dust                   -> Rest
    younger than settle_s              -> Rest          the venue may still be making the stop, or telling the fill
    OverCovered                        -> CancelStops of what is useless or too much, or AmendStop down
    a triggered stop-limit hangs       -> CancelStops, then Flatten
    all of it failed lately            -> Rest          until it is time to try again
    the flatten was refused twice      -> GiveUp        (vote HALTED, alert; tried again within cover_s, then every
                                                        retry_s)
    the stop would trigger at once, was refused twice, is not known, or time runs out -> Flatten
    refused for want of a slot         -> CancelEntries of the least valuable entry, then the stop again
    smaller than the minimum           -> AmendStop up
    otherwise                          -> PlaceStop at the intent's own price

On spot a stop is moved by AmendOrder alone, never by cancelling it and placing another: between the two is no stop.
"""

from collections.abc import Collection, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

import msgspec

from allstop.actors.errors import Category, Fault
from allstop.actors.instruments import Instrument
from allstop.actors.intents import Side, StopLoss
from allstop.actors.protocols.cover import (
    Covered,
    CoverTimes,
    Dust,
    OverCovered,
    Uncovered,
    Verdict,
    covers,
    is_protective,
    stands_by_itself,
)
from allstop.actors.protocols.positions import ZERO, Entry, Position
from allstop.actors.reports import OrderReport

# One correction: the first refusal is answered with the same stop made acceptable, the second with a flatten.
STOP_REFUSALS_MAX = 2
FLATTEN_REFUSALS_MAX = 2


class Correction(StrEnum):
    """What to change after the first refusal of a stop."""

    COARSE_TICK = "coarse_tick"  # the venue's tick is coarser than we were told: round to ten of them
    FREE_SLOT = "free_slot"  # the venue's limit of open orders is reached: an entry must go
    AGGREGATE = "aggregate"  # too small by itself: make an existing stop larger
    AGAIN = "again"  # nothing to change in the order: read the account once more, then the same


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """What has been tried for one pair since it was last covered. `reachable_s`: how long it has been uncovered while
    the venue answered; time in which nobody could have done anything is not held against a stop."""

    since_s: float | None = None
    reachable_s: float = 0.0
    stop_refusals: int = 0
    flatten_refusals: int = 0
    amend_refusals: int = 0
    correction: Correction | None = None
    flatten_only: bool = False
    outstanding: bool = False  # a write of ours on this pair has no known outcome yet
    gave_up_s: float | None = None
    gave_up: int = 0  # how often
    over_since_s: float | None = None


FRESH = Effort()


class Rest(msgspec.Struct, frozen=True, tag=True):
    """Nothing to do now. `again_s`: ask again after so long, if that is sooner than the next reading."""

    why: str
    again_s: float | None = None


class PlaceStop(msgspec.Struct, frozen=True, tag=True):
    pair: str
    side: Side
    qty: Decimal
    stop: StopLoss
    parent: str | None  # the order whose execution it covers


class AmendStop(msgspec.Struct, frozen=True, tag=True):
    """`order_qty` is the order's new total, what it has executed included."""

    pair: str
    order_id: str
    order_qty: Decimal


class CancelStops(msgspec.Struct, frozen=True, tag=True):
    """Stops that protect nothing, or hang. `then_flatten`: what they leave uncovered is to be sold at market."""

    pair: str
    order_ids: tuple[str, ...]
    then_flatten: bool = False


class CancelEntries(msgspec.Struct, frozen=True, tag=True):
    pair: str
    order_ids: tuple[str, ...]


class Flatten(msgspec.Struct, frozen=True, tag=True):
    """A market order of exactly the uncovered part."""

    pair: str
    side: Side
    qty: Decimal


class GiveUp(msgspec.Struct, frozen=True, tag=True):
    """Neither a stop nor a flatten can be had: vote HALTED, and tell a person."""

    pair: str
    reason: str


Step = Rest | PlaceStop | AmendStop | CancelStops | CancelEntries | Flatten | GiveUp


def confirmed(first: Step | None, second: Step, *, same: bool) -> bool:
    """Whether two readings ask for the same; `same`: they found the same. Time that ran out between them makes a flatten
    of a stop, of all that is missing where the stop was for a part: that is the same finding, only later, and a third
    reading would make it later still."""
    match first, second:
        case PlaceStop(pair=pair, side=side), Flatten(qty=qty):
            return same and second == Flatten(pair, side, qty)
        case _:
            return first == second


def next_step(
    verdict: Verdict,
    position: Position,
    orders: Sequence[OrderReport],
    entries: Sequence[Entry],
    instrument: Instrument,
    effort: Effort,
    times: CoverTimes,
    *,
    now_s: float,
    stuck: Collection[str] = (),
    mark: Decimal | None = None,
) -> Step:
    """The one thing to do now. `mark`: the last price, where somebody knows it."""
    if effort.outstanding:
        return Rest("the outcome of the last write is not known")
    match verdict:
        case Covered() | Dust():
            return Rest("nothing is missing")
        case OverCovered(qty):
            return _over(qty, position, orders, instrument, effort, times, now_s)
        case Uncovered(qty, since_s):
            age_s = now_s - since_s
            if age_s < times.settle_s and not effort.flatten_only and not stuck:
                return Rest("the venue may still be making the stop", times.settle_s - age_s)
            return _under(qty, position, orders, entries, instrument, effort, times, now_s, stuck, mark)


def _under(
    qty: Decimal,
    position: Position,
    orders: Sequence[OrderReport],
    entries: Sequence[Entry],
    instrument: Instrument,
    effort: Effort,
    times: CoverTimes,
    now_s: float,
    stuck: Collection[str],
    mark: Decimal | None,
) -> Step:
    pair, side = position.pair, position.reducing
    assert side is not None, "an uncovered position has a side"
    if stuck:
        return CancelStops(pair, tuple(sorted(stuck)), then_flatten=True)
    if effort.gave_up_s is not None:
        wait_s = effort.gave_up_s + times.again_s(effort.gave_up) - now_s
        return Rest("everything was tried; again later", max(wait_s, 0.0))
    if effort.flatten_refusals >= FLATTEN_REFUSALS_MAX:
        return GiveUp(pair, f"{qty} {pair} has no stop and cannot be flattened")
    live = [o for o in orders if covers(o, side)]
    planned = _planned_stop(qty, position, entries, instrument, effort)
    if planned is None and live and effort.amend_refusals < STOP_REFUSALS_MAX and not effort.flatten_only:
        return _grown(pair, live[0], qty)
    if _must_flatten(planned, side, effort, times, mark):
        return _flatten(pair, side, qty, live, instrument)
    if effort.correction is Correction.FREE_SLOT and (entry := _least_valuable(orders, side)):
        return CancelEntries(pair, (entry.order_id,))
    if (qty < instrument.min_qty or effort.correction is Correction.AGGREGATE) and live:
        return _grown(pair, live[0], qty)
    assert planned is not None, "_must_flatten answers True where there is no stop to place"
    return planned


def _must_flatten(
    planned: PlaceStop | None, side: Side, effort: Effort, times: CoverTimes, mark: Decimal | None
) -> bool:
    return (
        planned is None
        or effort.flatten_only
        or effort.stop_refusals >= STOP_REFUSALS_MAX
        or effort.amend_refusals >= STOP_REFUSALS_MAX
        or effort.reachable_s >= times.flatten_after_s
        or (mark is not None and _beyond(planned.stop.trigger_price, side, mark))
    )


def _flatten(
    pair: str, side: Side, qty: Decimal, live: Sequence[OrderReport], instrument: Instrument
) -> Step:
    """What is too small to sell alone is sold together with the smallest stop, which has to go first."""
    if qty >= instrument.min_qty:
        return Flatten(pair, side, qty)
    if not live:
        return Rest("what is left is in flight or too small to sell")
    smallest = min(live, key=lambda o: (o.leaves_qty, o.order_id))
    return CancelStops(pair, (smallest.order_id,), then_flatten=True)


def _planned_stop(
    qty: Decimal, position: Position, entries: Sequence[Entry], instrument: Instrument, effort: Effort
) -> PlaceStop | None:
    """The stop for what is missing: of the newest entry that lacks one, at its intent's own price, no larger than it
    lacks (the next step covers the rest). Where all have theirs (a stop was cancelled by another hand), the newest's."""
    side = position.reducing
    assert side is not None
    sided = [e for e in entries if e.intent.side is side.opposite]
    lacking = [e for e in sided if e.missing >= instrument.min_qty]
    chosen = next(iter(lacking or sided), None)
    if chosen is None or chosen.intent.stop is None:
        return None
    size = min(qty, chosen.missing) if lacking else qty
    if qty - size < instrument.min_qty:
        size = qty  # never leave a rest that is too small for a stop of its own
    stop = chosen.intent.stop
    tick = instrument.tick_size * (10 if effort.correction is Correction.COARSE_TICK else 1)
    return PlaceStop(
        position.pair,
        side,
        size,
        StopLoss(
            trigger_price=_rounded(stop.trigger_price, tick, side),
            limit_price=None if stop.limit_price is None else _rounded(stop.limit_price, tick, side),
        ),
        chosen.order_id,
    )


def _rounded(price: Decimal, tick: Decimal, side: Side) -> Decimal:
    """To the tick, towards the market: rounding must not make a loss larger."""
    rounding = ROUND_CEILING if side is Side.SELL else ROUND_FLOOR
    return (price / tick).to_integral_value(rounding) * tick


def _beyond(trigger: Decimal, side: Side, mark: Decimal) -> bool:
    return mark <= trigger if side is Side.SELL else mark >= trigger


def _least_valuable(orders: Sequence[OrderReport], reducing: Side) -> OrderReport | None:
    """The open entry with the least money in it: it gives its slot to the stop."""
    resting = [o for o in orders if not is_protective(o, None) and o.side is reducing.opposite]
    return min(resting, key=lambda o: (o.leaves_qty * (o.limit_price or ZERO), o.order_id), default=None)


def _grown(pair: str, stop: OrderReport, qty: Decimal) -> AmendStop:
    return AmendStop(pair, stop.order_id, (stop.cum_qty or ZERO) + stop.leaves_qty + qty)


def _over(
    qty: Decimal,
    position: Position,
    orders: Sequence[OrderReport],
    instrument: Instrument,
    effort: Effort,
    times: CoverTimes,
    now_s: float,
) -> Step:
    """Stops on the wrong side go; then whole stops, the farthest from the market first; then one is amended down."""
    age_s = now_s - (now_s if effort.over_since_s is None else effort.over_since_s)
    if age_s < times.settle_s:
        return Rest("the executions may not all have been told", times.settle_s - age_s)
    pair, reducing, size = position.pair, position.reducing, abs(position.net)
    stops = [o for o in orders if stands_by_itself(o) and o.leaves_qty]
    useless = stops if size < instrument.min_qty else [o for o in stops if not covers(o, reducing)]
    if useless:
        return CancelStops(pair, tuple(sorted(o.order_id for o in useless)))
    farthest = sorted(stops, key=lambda o: (o.trigger_price or ZERO, o.order_id))
    if reducing is Side.BUY:
        farthest.reverse()
    for stop in farthest:
        if stop.leaves_qty <= qty:
            return CancelStops(pair, (stop.order_id,))
        if stop.leaves_qty - qty >= instrument.min_qty and effort.amend_refusals < STOP_REFUSALS_MAX:
            return AmendStop(pair, stop.order_id, (stop.cum_qty or ZERO) + stop.leaves_qty - qty)
    return CancelStops(pair, (farthest[0].order_id,), then_flatten=False)


# -- what a refusal teaches --------------------------------------------------------------------------------------


def refused(effort: Effort, step: Step, fault: Fault) -> Effort:
    """The effort after the venue proved that a step had no effect."""
    if later(fault) or fault.category is Category.TIMEOUT:
        return effort  # it says nothing of the order: it came too late, or at a bad time
    replace = msgspec.structs.replace
    match step:
        case PlaceStop():
            if would_trigger(fault):
                return replace(effort, flatten_only=True, stop_refusals=effort.stop_refusals + 1)
            return replace(effort, stop_refusals=effort.stop_refusals + 1, correction=_correction(fault))
        case AmendStop():
            return replace(effort, amend_refusals=effort.amend_refusals + 1)
        case Flatten():
            return replace(effort, flatten_refusals=effort.flatten_refusals + 1)
        case CancelEntries():
            return replace(effort, correction=Correction.AGAIN)
        case _:
            return effort


def done(effort: Effort, step: Step) -> Effort:
    """The effort after the venue took a step."""
    match step:
        case CancelStops(then_flatten=True):
            return msgspec.structs.replace(effort, flatten_only=True)
        case CancelEntries():
            return msgspec.structs.replace(effort, correction=Correction.AGAIN)
        case _:
            return effort


def later(fault: Fault) -> bool:
    """The venue takes no such order now, whatever is in it: its rate is reached, or the market is in a mode in which it
    matches nothing. The same order is tried again, and nothing has been learnt of it."""
    return fault.category in (Category.RATE, Category.MARKET)


def would_trigger(fault: Fault) -> bool:
    """The stop stands on the wrong side of the market: placing it again can only fail again, or sell too late."""
    text = fault.text.lower()
    return ("trigger" in text and "immediate" in text) or "invalid price" in text


def _correction(fault: Fault) -> Correction:
    text = fault.text.lower()
    if "tick size" in text:
        return Correction.COARSE_TICK
    if "minimum" in text:
        return Correction.AGGREGATE
    if fault.category is Category.LIMIT:
        return Correction.FREE_SLOT
    return Correction.AGAIN
