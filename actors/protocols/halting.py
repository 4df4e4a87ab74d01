"""Halting: from the venue's list of open orders, what to cancel, in which batches, and when it is proven.

Kraken's CancelAll and CancelAllOrdersAfter take the stops with them, so a halt names what it cancels: every order
that is not protective, ours or not. Protective is read from the venue's own fields (`cover.is_protective`), so that a
watchdog without our journal decides the same.

The proof is a list, never an answer to a cancel: a cancel that was accepted may still lose the race with a fill, and
one whose answer was lost may have worked. It must have been asked for after the last cancel was answered, and after
the last entry that was on the wire can have arrived (`quiet_from_s`), and it must hold only protective orders.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from allstop.actors.intents import Side
from allstop.actors.protocols.cover import is_protective
from allstop.actors.reports import OrderReport

# Kraken's CancelOrderBatch takes at most 50 ids.
BATCH_MAX = 50
# A round is a list and the cancels it asks for. What is still there after so many is not going away by repeating:
# the caller is told, and asks again on its own time.
ROUNDS_MAX = 10


class CancelThese(msgspec.Struct, frozen=True, tag=True):
    """Orders to cancel, in batches small enough for one command each."""

    batches: tuple[tuple[str, ...], ...]


class WaitUntil(msgspec.Struct, frozen=True, tag=True):
    """The list is clean, but an entry may still be on its way to the venue: read again at `at_s`."""

    at_s: float


class Proven(msgspec.Struct, frozen=True, tag=True):
    """The list holds `kept` orders and all are protective."""

    kept: int


class NotProven(msgspec.Struct, frozen=True, tag=True):
    """The rounds are used up and these are still open."""

    left: tuple[str, ...]


HaltStep = CancelThese | WaitUntil | Proven | NotProven


def to_cancel(listed: Iterable[OrderReport], reducing: Mapping[str, Side | None]) -> tuple[str, ...]:
    """The ids of the open orders that a halt takes away, in a stable order. `reducing`: the side that reduces our
    position, per pair, where one is known; without it a stop is kept whatever its side."""
    return tuple(
        sorted(
            order.order_id
            for order in listed
            if not order.status.terminal and not is_protective(order, reducing.get(order.pair or ""))
        )
    )


def batches(order_ids: Sequence[str], size: int = BATCH_MAX) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(order_ids[at : at + size]) for at in range(0, len(order_ids), size))


def next_halt_step(
    listed: Sequence[OrderReport],
    reducing: Mapping[str, Side | None],
    *,
    rounds: int,
    read_at_s: float,
    quiet_from_s: float,
) -> HaltStep:
    """What a list read at `read_at_s` asks for. `rounds`: how many times cancels were sent already. `quiet_from_s`:
    from when on no entry that was already written can still arrive."""
    doomed = to_cancel(listed, reducing)
    if doomed:
        return NotProven(doomed) if rounds >= ROUNDS_MAX else CancelThese(batches(doomed))
    if read_at_s < quiet_from_s:
        return WaitUntil(quiet_from_s)
    return Proven(sum(not order.status.terminal for order in listed))
