"""Leaving a position on purpose: the saga of one exit, as a value and the next step from it.

On spot a stop may hold the balance that it would sell, and together with an exit it could sell twice. So the stops are
made smaller first, then the exit is sent, and what it did not sell is covered again:

    stage      what is true                                   next
    WAITING    another write on the pair is under way, or     Pause, until the intent's time to live is over
               the order rate has no room for all of it, or
               its calls would take too long
               not permitted, refused, too large, too late    Withhold, and then as OVER
               for sending it and putting back what was moved
               stops + exit > position                        AmendStop down, CancelStops
               otherwise                                      SendExit
    SENT       the venue has not said what became of it       Ask; CancelExit at half of cover_s; Leave at cover_s
    UNKNOWN    a write was not answered                       Leave: nothing is written before the venue was searched
    OVER       a part of the position has no stop             AmendStop up, PlaceStop at the price that it had
               all has one, dust, refused twice, or late      Leave

*Leave* hands the pair back to the guardian's ordinary watch, which finds and mends whatever is wrong, from the venue
alone. A guardian that is restarted in the middle needs no more than that: an exit of which the journal has no attempt
is withheld, one whose attempt has no outcome is searched for, and the stops are what the venue says they are.

That nothing is sold twice rests on quantities and not on timing. An amend names the order's new *total*, what it has
executed included: a stop that triggers meanwhile sells no more than that. A cancelled stop counts in full until the
venue has told how it ended.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, Side, StopLoss
from allstop.actors.ports import PlannedOrders
from allstop.actors.protocols.cover import CoverTimes, covers, is_exit
from allstop.actors.protocols.positions import ZERO, Position
from allstop.actors.protocols.remedies import AmendStop, CancelStops, PlaceStop
from allstop.actors.reports import OrderReport

# As for the guardian's own remedies: one correction, then another way.
REFUSALS_MAX = 2
# Shares of cover_s, counted from the first stop that was moved: after the first the exit is no longer sent, after the
# second an exit that still stands is cancelled. What is left is for covering again.
SEND_SHARE = 0.4
CANCEL_SHARE = 0.5
# How long to wait for another write on the pair, and between two questions about the exit: a share of cover_s.
PAUSE_SHARE = 0.05


class Stage(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    UNKNOWN = "unknown"
    OVER = "over"


class NoRoom(msgspec.Struct, frozen=True):
    """Why an exit's stops cannot be moved and covered again now, and for how long (math.inf: as it stands, never)."""

    why: str
    wait_s: float


class Moved(msgspec.Struct, frozen=True):
    """A stop that was made smaller by `qty` for the exit, and what it takes to make that good."""

    order_id: str
    qty: Decimal
    stop: StopLoss
    parent: str | None


class SendExit(msgspec.Struct, frozen=True, tag=True):
    intent: OrderIntent


class CancelExit(msgspec.Struct, frozen=True, tag=True):
    """The exit still stands: whatever it has not sold shall not be sold any more."""

    order_ids: tuple[str, ...]


class Ask(msgspec.Struct, frozen=True, tag=True):
    """What became of the exit?"""

    order_ids: tuple[str, ...]
    pause_s: float


class Pause(msgspec.Struct, frozen=True, tag=True):
    seconds: float


class Withhold(msgspec.Struct, frozen=True, tag=True):
    """The exit will not be sent."""

    reason: str


class Leave(msgspec.Struct, frozen=True, tag=True):
    """The saga is over; the guardian's ordinary watch has the pair again. Not `covered`: it should look at once."""

    why: str
    covered: bool = False


ExitStep = SendExit | CancelExit | Ask | Pause | Withhold | AmendStop | CancelStops | PlaceStop | Leave


class Exiting(msgspec.Struct, frozen=True, kw_only=True):
    """One exit under way. `due_s`: until when it may wait for its turn. `bare_s`: when the first stop was moved or the
    exit was sent; `cover_s` counts from there. `moved`: what is still to be made good, the last first. `pace_s`: the
    slowest of its writes so far."""

    intent: OrderIntent
    due_s: float
    stage: Stage = Stage.WAITING
    bare_s: float | None = None
    moved: tuple[Moved, ...] = ()
    order_ids: tuple[str, ...] = ()
    refusals: int = 0
    canceled: bool = False
    pace_s: float = 0.0

    def elapsed_s(self, now_s: float) -> float:
        return 0.0 if self.bare_s is None else now_s - self.bare_s

    def holds(self, times: CoverTimes, now_s: float) -> bool:
        """From its first write on, and within its time, nobody else acts on the pair. One that waits has moved nothing."""
        return self.bare_s is not None and self.elapsed_s(now_s) < times.cover_s

    def began(self, now_s: float) -> "Exiting":
        """Directly before a write that leaves a part of the position without a stop."""
        return self if self.bare_s is not None else msgspec.structs.replace(self, bare_s=now_s)

    def took(self, seconds: float) -> "Exiting":
        """After a write."""
        return msgspec.structs.replace(self, pace_s=max(self.pace_s, seconds))

    def done(self, step: ExitStep, orders: Sequence[OrderReport]) -> "Exiting":
        """After the venue took a step. `orders` as they were before it."""
        replace = msgspec.structs.replace
        known = {order.order_id: order for order in orders}
        match step:
            case AmendStop() | PlaceStop() if self.stage is Stage.OVER:
                return replace(self, moved=self.moved[:-1])
            case AmendStop(order_id=order_id, order_qty=order_qty):
                stop = known[order_id]
                taken = (stop.cum_qty or ZERO) + stop.leaves_qty - order_qty
                return replace(self, moved=(*self.moved, _moved(stop, taken)), refusals=0)
            case CancelStops(order_ids=order_ids):
                gone = tuple(_moved(known[i], known[i].leaves_qty) for i in order_ids)
                return replace(self, moved=(*self.moved, *gone), refusals=0)
            case CancelExit():
                return replace(self, canceled=True)
            case _:
                return self

    def refused(self) -> "Exiting":
        """A write on the stops had no effect."""
        return msgspec.structs.replace(self, refusals=self.refusals + 1)

    def sent(self, order_ids: tuple[str, ...]) -> "Exiting":
        return msgspec.structs.replace(self, stage=Stage.SENT, order_ids=order_ids)

    def lost(self) -> "Exiting":
        return msgspec.structs.replace(self, stage=Stage.UNKNOWN)

    def over(self) -> "Exiting":
        return msgspec.structs.replace(self, stage=Stage.OVER, refusals=0)

    def told(self, report: OrderReport | None) -> "Exiting":
        """After whatever the venue said of the exit order."""
        ended = self.stage is Stage.SENT and report is not None and report.status.terminal
        return self.over() if ended else self


def exit_refusal(
    intent: OrderIntent, position: Position, orders: Sequence[OrderReport], in_flight: Decimal = ZERO
) -> Refused | None:
    """Why this would not only make the position smaller. `orders`: ours that are open on the pair; what other exits
    among them, and `in_flight`, will take is not there any more."""
    side = position.reducing
    if side is None:
        return Refused(RefusalCode.EXCEEDS_POSITION, f"no position in {intent.pair}", place="pair")
    if intent.side is not side:
        return Refused(
            RefusalCode.EXCEEDS_POSITION, f"a {intent.side} makes {position.net} larger", place="side"
        )
    free = abs(position.net) - in_flight - sum((o.leaves_qty for o in orders if is_exit(o, side)), ZERO)
    if intent.qty > free:
        return Refused(
            RefusalCode.EXCEEDS_POSITION, f"{intent.qty} is more than the {free} that are there", place="qty"
        )
    return None


def planned(
    exiting: Exiting, position: Position, orders: Sequence[OrderReport], instrument: Instrument
) -> PlannedOrders:
    """Every write that the exit may take from here on, and the covering again of all that it moved: a counter of the
    venue that is full when the exit has failed would let no stop back in."""
    left = {order.order_id: order for order in orders}
    amends: list[str] = []
    cancels: list[str] = []
    while (step := _smaller(exiting, position, tuple(left.values()), instrument)) is not None:
        match step:
            case AmendStop(order_id=order_id, order_qty=order_qty):
                left[order_id] = msgspec.structs.replace(left[order_id], order_qty=order_qty)
                amends += [order_id, ""]  # and back again, when it is young
            case CancelStops(order_ids=order_ids):
                for order_id in order_ids:
                    del left[order_id]
                cancels += order_ids
    adds = 1 + len(cancels)
    return PlannedOrders(pair=position.pair, adds=adds, amends=tuple(amends), cancels=tuple(cancels))


def calls_of(whole: PlannedOrders) -> int:
    """How many calls `planned` is, one after the other. What goes whole goes with one."""
    return len(whole.amends) + len(whole.cancels) + bool(whole.cancels) + 1


def next_exit_step(
    exiting: Exiting,
    position: Position,
    orders: Sequence[OrderReport],
    instrument: Instrument,
    times: CoverTimes,
    *,
    now_s: float,
    busy: bool = False,
    permitted: bool = True,
    no_room: NoRoom | None = None,
) -> ExitStep:
    """The one thing to do now. `orders`: ours that are open on the pair. `busy`: another write on it is under way.
    `no_room`: for what `planned` says."""
    elapsed_s = exiting.elapsed_s(now_s)
    match exiting.stage:
        case Stage.WAITING:
            if why := _why_not(exiting, position, orders, instrument, times, now_s, permitted):
                return Withhold(why)
            if no_room is not None and exiting.bare_s is None:
                if now_s + no_room.wait_s >= exiting.due_s:
                    return Withhold(no_room.why)
                return Pause(max(no_room.wait_s, times.cover_s * PAUSE_SHARE))
            if busy:
                return Pause(times.cover_s * PAUSE_SHARE)
            return _smaller(exiting, position, orders, instrument) or SendExit(exiting.intent)
        case Stage.SENT if elapsed_s >= times.cover_s:
            return Leave("the venue has not said what became of the exit")
        case Stage.SENT if elapsed_s >= times.cover_s * CANCEL_SHARE and not exiting.canceled:
            return CancelExit(exiting.order_ids)
        case Stage.SENT:
            return Ask(exiting.order_ids, times.cover_s * PAUSE_SHARE)
        case Stage.UNKNOWN:
            return Leave("the outcome of a write is not known")
        case Stage.OVER:
            return _restored(exiting, position, orders, instrument, elapsed_s >= times.flatten_after_s)


def _why_not(
    exiting: Exiting,
    position: Position,
    orders: Sequence[OrderReport],
    instrument: Instrument,
    times: CoverTimes,
    now_s: float,
    permitted: bool,
) -> str | None:
    if not permitted:
        return "the level does not permit it any more"
    if exiting.bare_s is None and now_s >= exiting.due_s:
        return f"its time to live of {exiting.intent.ttl_s} s is over"
    if exiting.elapsed_s(now_s) >= times.cover_s * SEND_SHARE:
        return "moving the stops took too long"
    if exiting.refusals >= REFUSALS_MAX:
        return "the stops cannot be moved"
    if refused := exit_refusal(exiting.intent, position, orders):
        return refused.message
    return _too_slow(exiting, calls_of(planned(exiting, position, orders, instrument)), times, now_s)


def _too_slow(exiting: Exiting, further: int, times: CoverTimes, now_s: float) -> str | None:
    """Why an exit that has moved stops turns back: at the pace that it has, the `further` calls and putting back what was
    moved do not fit into the time before covering again is given up. Where putting back alone does not fit either, and
    nothing but to send it is left, it is sent: that is one call, and mostly the end of the position."""
    if not exiting.moved:
        return None
    room_s = times.flatten_after_s - exiting.elapsed_s(now_s)
    back = len(exiting.moved)
    if (further + back) * exiting.pace_s <= room_s or (further == 1 and back * exiting.pace_s > room_s):
        return None
    return f"{further + back} calls are left, and one took {exiting.pace_s:.3f} s"


def _smaller(
    exiting: Exiting, position: Position, orders: Sequence[OrderReport], instrument: Instrument
) -> AmendStop | CancelStops | None:
    """The next stop that must make room. Whole stops that go are cancelled together; else the largest is amended (of
    equals the nearest to the market), so that mostly one command is enough."""
    side = exiting.intent.side
    stops = [o for o in orders if covers(o, side) and o.leaves_qty]
    excess = exiting.intent.qty + sum((o.leaves_qty for o in stops), ZERO) - abs(position.net)
    if excess <= 0:
        return None
    stops.sort(key=lambda o: (-o.leaves_qty, _distance(o, side), o.order_id))
    for stop in stops:
        if stop.leaves_qty == excess:
            return CancelStops(position.pair, (stop.order_id,))
    for stop in stops:
        if stop.leaves_qty - excess >= instrument.min_qty:
            return AmendStop(position.pair, stop.order_id, (stop.cum_qty or ZERO) + stop.leaves_qty - excess)
    gone: list[str] = []
    for stop in stops:
        if stop.leaves_qty <= excess:
            excess -= stop.leaves_qty
            gone.append(stop.order_id)
    # None is as small: the smallest goes, and what it covered too much joins another stop or is dust.
    return CancelStops(position.pair, tuple(gone) or (stops[-1].order_id,))


def _restored(
    exiting: Exiting, position: Position, orders: Sequence[OrderReport], instrument: Instrument, late: bool
) -> AmendStop | PlaceStop | Leave:
    """Back to the stops that made room: larger again where they still stand, else placed at the price they had."""
    side = exiting.intent.side
    stops = {o.order_id: o for o in orders if covers(o, side) and o.leaves_qty}
    cover = sum((o.leaves_qty for o in stops.values()), ZERO)
    missing = abs(position.net) - cover if position.reducing is side else ZERO
    if missing <= 0:
        return Leave("all that is left is covered", covered=True)
    if late or exiting.refusals >= REFUSALS_MAX or not exiting.moved:
        return Leave(f"{missing} is without a stop")
    last = exiting.moved[-1]
    part = last.qty if missing - last.qty >= instrument.min_qty else missing
    part = min(part, missing)
    stop = stops.get(last.order_id)
    if stop is None and part < instrument.min_qty:
        stop = next(iter(stops.values()), None)
        if stop is None:
            return Leave(f"{missing} is too small to cover")
    if stop is not None:
        return AmendStop(position.pair, stop.order_id, (stop.cum_qty or ZERO) + stop.leaves_qty + part)
    return PlaceStop(position.pair, side, part, last.stop, last.parent)


def _distance(order: OrderReport, side: Side) -> Decimal:
    """Smaller is nearer to the market: of stops that sell, the highest."""
    trigger = order.trigger_price or ZERO
    return -trigger if side is Side.SELL else trigger


def _moved(stop: OrderReport, qty: Decimal) -> Moved:
    price = StopLoss(trigger_price=stop.trigger_price or ZERO, limit_price=stop.limit_price)
    return Moved(stop.order_id, qty, price, stop.parent_id)
