"""The turns of a key when its ledger is down for good: in memory, for what protects and cancels alone.

A halt needs calls of the venue, and each call a nonce and room in the key's counter. When the ledger was given up, the
guardian's desk goes on here, from what the ledger knew last (`StoreBoard.keys`): its nonces rise, its counter still
counts, and a call that was under way is waited for. Where no ledger ever ran, the counter is taken for nearly full.
Nothing of it is on disk: the next process believes an older promise, and its nonces rise all the same, by the clock. A
ledger that this process starts again goes on from here.
"""

import asyncio
from typing import Any

from allstop.actors.clock import Clock
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.key_turns import KeyTurns
from allstop.actors.ledger_messages import (
    ChargeOrder,
    EndTurn,
    KeyStopped,
    RateRefused,
    RoomFor,
    StopKey,
    TakeTurn,
    Turn,
)
from allstop.actors.limits.kraken import Tier, rest_cost, rest_meter
from allstop.actors.limits.lanes import Lane
from allstop.actors.limits.nonces import Nonces
from allstop.actors.limits.promised import fresh
from allstop.actors.runtime import ActorDead, Ref
from allstop.actors.store_board import StoreBoard

WITHHELD = "the ledger gave up: only protection and cancels go on"


class LastLedger:
    """Where the guardian's desks ask for turns: of the ledger at `ledger` while there is one or will be one again, else
    here. It has the two methods of a Ref that a desk uses, and raises what a ledger answers with."""

    def __init__(self, ledger: Ref, board: StoreBoard, clock: Clock, tier: Tier) -> None:
        self._ledger = ledger
        self._board = board
        self._clock = clock
        self._tier = tier
        self._turns: dict[str, asyncio.Lock] = {}  # who is next; the lock itself is not the turn
        self._changed = asyncio.Event()

    async def call(self, message: object, timeout_s: float) -> Any:
        """As Ref.call."""
        try:
            return await self._ledger.call(message, timeout_s=timeout_s)
        except ActorDead:
            if not self._board.lost(self._ledger):
                raise
        match message:
            case TakeTurn():
                return await self._take(message)
            case ChargeOrder(lane=lane, overdraft=overdraft):
                # The order counter is the venue's and is not known here: what it takes in any case may be tried.
                if lane > Lane.CANCEL or not overdraft:
                    raise Refused(
                        RefusalCode.NOT_COMMITTED, WITHHELD, place=message.pair or self._ledger.path
                    )
                return 0.0
            case StopKey(key=name, reason=reason):
                self._stop(self._key(name), reason)
                return True
            case RoomFor(planned=planned):
                raise Refused(RefusalCode.NOT_COMMITTED, WITHHELD, place=planned.pair)
            case _:
                raise TypeError(f"nobody answers {message!r} without a ledger")

    def tell(self, message: object) -> None:
        """As Ref.tell. Of what is told a ledger, only the end of a turn and of a key mean something here."""
        if not self._board.lost(self._ledger):
            self._ledger.tell(message)
            return
        match message:
            case EndTurn():
                self._end(message)
            case StopKey(key=name, reason=reason):
                self._stop(self._key(name), reason)
            case _:
                return

    def _key(self, name: str) -> KeyTurns:
        known = self._board.keys.get(name)
        if known is None:
            now_s = self._clock.now_s()
            meter = rest_meter(self._tier, now_s=now_s)
            nearly_full = meter.synced(meter.ceiling(Lane.CANCEL), now_s)
            nonces = Nonces().jumped(self._clock.wall_ns())
            known = self._board.keys[name] = KeyTurns(name=name, nonces=nonces, rest=fresh(nearly_full, 0.0))
        return known

    async def _take(self, take: TakeTurn) -> Turn:
        if take.lane > Lane.CANCEL:
            raise Refused(RefusalCode.NOT_COMMITTED, WITHHELD, place=take.path)
        key, cost = self._key(take.key), rest_cost(take.path)
        try:
            async with asyncio.timeout(take.wait_max_s), self._turns.setdefault(take.key, asyncio.Lock()):
                while (wait_s := self._wait_s(key, cost, take.lane)) > 0:
                    await self._change(wait_s)
                return self._given(key, take, cost)
        except TimeoutError:
            wait_s = self._wait_s(key, cost, take.lane)
            raise RateRefused("no turn in time", place=take.path, retry_after_s=wait_s) from None

    def _given(self, key: KeyTurns, take: TakeTurn, cost: float) -> Turn:
        now_s = self._clock.now_s()
        key.held, key.held_until_s = take, now_s + take.hold_s
        key.rest = key.rest.with_meter(key.rest.meter.taken(cost, now_s))
        key.nonces = key.nonces.next(self._clock.wall_ns())
        return Turn(id=take.id, nonce=key.nonces.last)

    def _wait_s(self, key: KeyTurns, cost: float, lane: Lane) -> float:
        """Until there is a turn, as far as is known now. Raises KeyStopped."""
        if key.stopped:
            raise KeyStopped(key.stopped, place=key.name)
        now_s = self._clock.now_s()
        held_s = key.held_until_s - now_s if key.held is not None else 0.0
        return max(held_s, key.cool_until_s - now_s, key.rest.meter.wait_s(cost, now_s, lane))

    async def _change(self, wait_s: float) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), wait_s)
        except TimeoutError:
            return

    def _end(self, end: EndTurn) -> None:
        key, now_s = self._key(end.key), self._clock.now_s()
        if key.held is not None and key.held.id == end.id:
            key.held = None
        if end.over_limit:
            key.rest = key.rest.with_meter(key.rest.meter.penalised(now_s))
        if end.bad_nonce:
            key.nonces = key.nonces.jumped(self._clock.wall_ns())
        if end.cool_s > 0:
            key.cool_until_s = max(key.cool_until_s, now_s + end.cool_s)
        if end.stop:
            self._stop(key, end.stop)
        self._changed.set()

    def _stop(self, key: KeyTurns, reason: str) -> None:
        key.stopped = key.stopped or reason
        self._changed.set()
