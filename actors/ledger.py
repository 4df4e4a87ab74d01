"""The ledger of one account: nonces and turns of its keys, and both of the venue's rate counters.

It stands outside the subtree that is restarted, and what must outlive its own restart is promised on disk before it
is used (see limits/nonces.py and limits/promised.py).

A **turn** is the right to make the one private REST call that may be under way on a key. Nonces must reach the venue
in order, and two calls at once can overtake each other on the way; so whoever wants to call takes a turn, gets the
nonce with it, and ends it when the answer is there. Turns are given by lane, then by age. A holder that died is not
waited for: its turn runs out after the time it asked for.
"""

from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar

import msgspec

from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.journal import Read
from allstop.actors.key_turns import KeyTurns, Waiter
from allstop.actors.ledger_messages import (
    AccountKey,
    ChargeOrder,
    EndTurn,
    GetLedger,
    KeysAreOurs,
    KeyStopped,
    LedgerView,
    NextNonce,
    OrderTouched,
    RateRefused,
    RoomFor,
    SetTier,
    StopKey,
    SyncOrders,
    TakeTurn,
    Turn,
)
from allstop.actors.ledger_promises import LedgerPromises
from allstop.actors.ledger_rows import (
    LEVEL_KIND,
    LOCKOUT_S,
    NONCE_KIND,
    STOP_KIND,
    folded,
    stopped,
)
from allstop.actors.levels import CastVote, Level, Scope, Vote, WithdrawVote
from allstop.actors.limits import nonces as nonce_rules
from allstop.actors.limits.kraken import CHEAPER_S, LIMITS, Tier, order_meter, rest_cost, rest_meter
from allstop.actors.limits.lanes import Lane
from allstop.actors.limits.order_ages import OrderAges
from allstop.actors.limits.promised import Promised
from allstop.actors.ports import PlannedOrders
from allstop.actors.runtime import Actor, Mailbox, Overflow, Ref
from allstop.actors.store_board import StoreBoard

__all__ = [
    "LOCKOUT_S",
    "AccountKey",
    "AccountLedger",
    "ChargeOrder",
    "EndTurn",
    "GetLedger",
    "KeyStopped",
    "KeysAreOurs",
    "LedgerView",
    "NextNonce",
    "OrderTouched",
    "RateRefused",
    "RoomFor",
    "SetTier",
    "StopKey",
    "SyncOrders",
    "TakeTurn",
    "Turn",
    "folded",
]  # fmt: skip

REST_BLOCK = (
    0.0  # a busy key's calls are all written: a guess too high after a crash keeps the guardian waiting
)
REST_FLOOR = 1.0  # and those that come one by one are not: a start that counts one too many delays no look
ORDER_BLOCK = 15.0  # one second's entries at the highest sustained rate, per pair
UNWRITTEN = "nothing can be promised on disk: only protection and cancels go on"


class _Wake(msgspec.Struct, frozen=True):
    key: str


class AccountLedger(Actor):
    """Answers the messages above. `journal` is the account's JournalActor; `votes` takes READ_ONLY when a second
    writer seems to use a key, and HALTED when a promise cannot be written; without it that is Fatal. `board` says
    whether the journal is down for good, and outlives this ledger with what it knew of its keys."""

    mailbox: ClassVar[Mailbox] = Mailbox(capacity=5000, overflow=Overflow.REFUSE)
    keeps_task: ClassVar[bool] = False

    def __init__(self, *, journal: Ref, tier: Tier = Tier.STARTER, votes: Ref | None = None, scope: Scope = (),
                 write_timeout_s: float = 5.0, board: StoreBoard | None = None) -> None:  # fmt: skip
        self._journal = journal
        self._board = board or StoreBoard()
        self._tier = tier
        self._votes = votes
        self._scope = scope
        self._write_timeout_s = write_timeout_s
        self._keys: dict[str, KeyTurns] = {}
        self._before: dict[str, KeyTurns] = {}  # of whoever gave turns before, in this process
        self._pairs: dict[str, Promised] = {}
        self._ages = OrderAges()
        self._nonce_rows: dict[str, int] = {}
        self._stop_rows: dict[str, str] = {}
        self._arrivals = 0
        self._promises = LedgerPromises(self, journal, self._board, votes, write_timeout_s)

    async def on_start(self) -> None:
        rows = await self._journal.call(
            Read(kinds=(NONCE_KIND, LEVEL_KIND, STOP_KIND)), timeout_s=self._write_timeout_s
        )
        self._before, self._board.keys = self._board.keys, self._keys
        self._nonce_rows, self._promises.rows = folded(rows)
        self._stop_rows = stopped(rows, self.clock.wall_ns())

    def on_receive(self, message: object) -> object:
        """Gives a coroutine where the disk has to be asked: seldom."""
        match message:
            case TakeTurn():
                return self._take_turn(message)
            case EndTurn():
                return self._end_turn(message)
            case NextNonce():
                return self._next_nonce(self._key(message.key))
            case StopKey(key=name, reason=reason):
                return self._stop_key(self._key(name), reason)
            case KeysAreOurs(by=by, reason=reason):
                return self._trust_keys(by, reason)
            case ChargeOrder():
                return self._charge_order(message)
            case RoomFor(planned=planned, lane=lane):
                return self._room_s(planned, lane)
            case OrderTouched():
                born_s = self.clock.now_s() - message.age_s
                return self._ages.touch(message.order_id, message.pair, born_s, gone=message.gone)
            case SyncOrders():
                return self._sync_orders(message)
            case SetTier():
                return self._set_tier(message.tier)
            case GetLedger():
                return self._view()
            case _Wake():
                key = self._key(message.key)
                key.wake = None
                return self._serve(key)
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    # Nonces and turns

    async def _next_nonce(self, key: KeyTurns) -> int:
        if key.stopped:
            raise KeyStopped(key.stopped, place=key.name)
        wall_ns = self.clock.wall_ns()
        key.nonces = key.nonces.next(wall_ns)
        if not key.nonces.covered:
            high = key.nonces.wanted(wall_ns)
            await self._promises.write(NONCE_KIND, key.name, {"high": high})
            key.nonces = key.nonces.reserving(high)
        return key.nonces.last

    def _take_turn(self, take: TakeTurn) -> Turn | Coroutine[Any, Any, Turn | None] | None:
        key = self._key(take.key)
        if key.stopped:
            raise KeyStopped(key.stopped, place=key.name)
        if self._withholds(take.lane):
            raise Refused(RefusalCode.NOT_COMMITTED, UNWRITTEN, place=take.path)
        if key.full:
            raise RateRefused("too many callers wait for a turn", place=take.path, retry_after_s=take.hold_s)
        now_s, cost = self.clock.now_s(), rest_cost(take.path)
        if take.wait_max_s > 0 and key.free(cost, now_s, take.lane):  # as nearly always: nobody has to wait
            return self._given(key, take, cost, now_s)
        self._arrivals += 1
        key.queue(
            Waiter(
                take=take,
                reply=self.defer(),
                cost=cost,
                order=(take.lane, self._arrivals),
                until_s=now_s + take.wait_max_s,
            )
        )
        return self._serve(key)

    def _end_turn(self, end: EndTurn) -> Coroutine[Any, Any, None] | None:
        key, now_s = self._key(end.key), self.clock.now_s()
        if key.held is not None and key.held.id == end.id:
            if end.unsent:  # what is promised on disk stays higher until it is due
                key.rest = key.rest.with_meter(key.rest.meter.taken(-rest_cost(key.held.path), now_s))
            key.held = None
        if not key.waiting and not end.tells:
            return None
        for waiter in [w for w in key.waiting if w.take.id == end.id]:
            key.waiting.remove(waiter)  # its caller gave up; nobody listens for the answer
        if end.tells:
            return self._take_in(key, end)
        return self._serve(key)

    async def _take_in(self, key: KeyTurns, end: EndTurn) -> None:
        """What the venue said of the key."""
        now_s = self.clock.now_s()
        if end.over_limit:
            key.rest = await self._promises.kept(
                f"rest:{key.name}", key.rest.with_meter(key.rest.meter.penalised(now_s))
            )
        if end.bad_nonce:
            key.nonces = key.nonces.jumped(self.clock.wall_ns())
            self._count_bad_nonce(key, now_s)
        if end.cool_s > 0:
            key.cool_until_s = max(key.cool_until_s, now_s + end.cool_s)
        if end.stop:
            await self._stop_key(key, end.stop)
        if (granting := self._serve(key)) is not None:
            await granting

    async def _stop_key(self, key: KeyTurns, reason: str) -> bool:
        """In memory first, so that nobody gets a turn while the disk is asked."""
        if key.stopped:
            return True
        key.stopped = reason
        self.log.error("key.stopped", key=key.name, reason=reason)
        self._serve(key)  # who waits is refused: that needs no disk
        await self._promises.write(STOP_KIND, key.name, {"reason": reason, "at_ns": self.clock.wall_ns()})
        return True

    def _serve(self, key: KeyTurns) -> Coroutine[Any, Any, None] | None:
        """Gives the turn to the first who can have it, refuses whose time is over, and wakes for the rest. What has to
        be promised on disk first is left to the coroutine that it gives."""
        now_s = self.clock.now_s()
        key.note_wanted(now_s)
        if key.held is not None and now_s >= key.held_until_s:
            self.log.warning("turn.ran_out", key=key.name, path=key.held.path)
            key.held = None
        for waiter in [w for w in key.waiting if self._is_hopeless(key, w, now_s)]:
            key.waiting.remove(waiter)
            waiter.reply.fail(self._refusal(key, waiter, now_s))
        if key.held is None and (waiter := key.first_ready(now_s)) is not None:
            key.waiting.remove(waiter)
            turn = self._given(key, waiter.take, waiter.cost, now_s)
            if not isinstance(turn, Turn):
                return self._grant(key, waiter, turn)
            waiter.reply.set(turn)
        self._wake_for(key)
        return None

    def _given(
        self, key: KeyTurns, take: TakeTurn, cost: float, now_s: float
    ) -> Turn | Coroutine[Any, Any, Turn]:
        """The turn; a coroutine where something has to be promised on disk first."""
        key.held, key.held_until_s = take, now_s + take.hold_s
        charged = key.rest.with_meter(key.rest.meter.taken(cost, now_s))
        nonces = key.nonces.next(self.clock.wall_ns())
        if not (charged.covered(now_s) and nonces.covered):
            return self._promised(key, take, charged)
        key.rest, key.nonces = charged, nonces
        return Turn(id=take.id, nonce=nonces.last)

    async def _promised(self, key: KeyTurns, take: TakeTurn, charged: Promised) -> Turn:
        key.rest = await self._promises.kept(f"rest:{key.name}", charged)
        return Turn(id=take.id, nonce=await self._next_nonce(key))

    async def _grant(self, key: KeyTurns, waiter: Waiter, turn: Coroutine[Any, Any, Turn]) -> None:
        waiter.reply.set(await turn)
        self._wake_for(key)

    def _is_hopeless(self, key: KeyTurns, waiter: Waiter, now_s: float) -> bool:
        return bool(key.stopped) or now_s >= waiter.until_s or self._withholds(waiter.lane)

    def _withholds(self, lane: Lane) -> bool:
        return self._promises.unwritten and lane > Lane.CANCEL

    def _refusal(self, key: KeyTurns, waiter: Waiter, now_s: float) -> Refused:
        if not key.stopped and self._withholds(waiter.lane):
            return Refused(RefusalCode.NOT_COMMITTED, UNWRITTEN, place=waiter.take.path)
        return key.refusal(waiter, now_s)

    def _wake_for(self, key: KeyTurns) -> None:
        """One timer for the next moment at which anything can change by itself."""
        if key.wake is not None:
            key.wake.cancel()
            key.wake = None
        now_s = self.clock.now_s()
        if (at_s := key.changes_at_s(now_s)) is not None:
            key.wake = self.send_after(max(0.001, at_s - now_s), _Wake(key.name))

    def _count_bad_nonce(self, key: KeyTurns, now_s: float) -> None:
        if key.note_bad_nonce(now_s) and self._votes is not None and not key.voted:
            key.voted = True  # withdrawn by a person: only they know who else holds the key
            reason = (
                f"{len(key.bad_nonces_s)} refused nonces in a minute: somebody else uses this key; a reset of "
                "this ledger says that nobody does any more"
            )
            self._votes.tell(CastVote(vote=Vote(self.path, self._scope, Level.READ_ONLY, reason)))

    def _trust_keys(self, by: str, reason: str) -> bool:
        """Also where an earlier incarnation voted: it had the same path."""
        self.log.warning("nonces.trusted", by=by, reason=reason)
        for key in self._keys.values():
            key.voted, key.bad_nonces_s = False, ()
        if self._votes is not None:
            self._votes.tell(WithdrawVote(by=self.path, scope=self._scope, by_person=True))
        return True

    # The matching engine's counter, per pair

    def _charge_order(self, charge: ChargeOrder) -> float | Coroutine[Any, Any, float]:
        if self._withholds(charge.lane):
            raise Refused(RefusalCode.NOT_COMMITTED, UNWRITTEN, place=charge.pair or self.path)
        now_s = self.clock.now_s()
        costs = self._ages.costs(charge.op, charge.orders, charge.pair, charge.count, now_s)
        if not charge.overdraft:
            waits = {p: self._pair(p).meter.wait_s(c, now_s, charge.lane) for p, c in costs.items()}
            wait_s = max(waits.values(), default=0.0)
            if wait_s > 0:
                place = max(waits, key=lambda pair: waits[pair])
                raise RateRefused(
                    f"{charge.op} would exceed the order rate", place=place, retry_after_s=wait_s
                )
        charged = {pair: self._charged(pair, cost, now_s) for pair, cost in costs.items()}
        if not all(kept.covered(now_s) for kept in charged.values()):
            return self._charge_when_written(costs)
        self._pairs |= charged
        return sum(costs.values())

    async def _charge_when_written(self, costs: Mapping[str, float]) -> float:
        for pair, cost in costs.items():
            charged = self._charged(pair, cost, self.clock.now_s())
            self._pairs[pair] = await self._promises.kept(f"order:{pair}", charged)
        return sum(costs.values())

    def _charged(self, pair: str, cost: float, now_s: float) -> Promised:
        kept = self._pair(pair)
        return kept.with_meter(kept.meter.taken(cost, now_s))

    def _room_s(self, planned: PlannedOrders, lane: Lane) -> float:
        """Waiting helps twice: the counter decays, and old orders cost less to amend and to cancel."""
        now_s, meter = self.clock.now_s(), self._pair(planned.pair).meter
        return min(
            max(later_s, meter.wait_s(self._ages.planned_cost(planned, now_s + later_s), now_s, lane))
            for later_s in (0.0, *CHEAPER_S)
        )

    async def _sync_orders(self, sync: SyncOrders) -> None:
        now_s, kept = self.clock.now_s(), self._pair(sync.pair)
        meter = kept.meter.penalised(now_s) if sync.level is None else kept.meter.synced(sync.level, now_s)
        self._pairs[sync.pair] = await self._promises.kept(f"order:{sync.pair}", kept.with_meter(meter))

    def _set_tier(self, tier: Tier) -> None:
        if tier is self._tier:
            return
        self.log.info("tier.changed", before=self._tier, now=tier)
        self._tier = tier
        limits, now_s = LIMITS[tier], self.clock.now_s()
        for key in self._keys.values():
            key.rest = _resized(key.rest, limits.rest_max, limits.rest_decay_per_s, now_s)
        for pair, kept in self._pairs.items():
            self._pairs[pair] = _resized(kept, limits.order_max, limits.order_decay_per_s, now_s)

    # What is on disk

    def _key(self, name: str) -> KeyTurns:
        if name not in self._keys:
            now_s = self.clock.now_s()
            nonces = nonce_rules.restored(self._nonce_rows.get(name, 0))
            rest = self._promises.restored(
                f"rest:{name}", rest_meter(self._tier, now_s=now_s), REST_BLOCK, REST_FLOOR
            )
            if (before := self._before.get(name)) is not None:
                # What was given without a journal (last_ledger.py) stands above what the disk was ever promised.
                nonces = nonces.after(before.nonces)
                level = max(rest.meter.level_at(now_s), before.rest.meter.level_at(now_s))
                rest = rest.with_meter(rest.meter.synced(level, now_s))
            stopped = self._stop_rows.get(name, "")
            cool_until_s = 0.0 if before is None else before.cool_until_s  # a lockout lasts on
            self._keys[name] = KeyTurns(
                name=name, nonces=nonces, rest=rest, stopped=stopped, cool_until_s=cool_until_s
            )
        return self._keys[name]

    def _pair(self, pair: str) -> Promised:
        if pair not in self._pairs:
            meter = order_meter(self._tier, now_s=self.clock.now_s())
            self._pairs[pair] = self._promises.restored(f"order:{pair}", meter, ORDER_BLOCK)
        return self._pairs[pair]

    def _view(self) -> LedgerView:
        now_s = self.clock.now_s()
        return LedgerView(
            tier=self._tier,
            rest={name: key.rest.meter.level_at(now_s) for name, key in self._keys.items()},
            orders={pair: kept.meter.level_at(now_s) for pair, kept in self._pairs.items()},
            waiting=sum(len(key.waiting) for key in self._keys.values()),
            stopped={name: key.stopped for name, key in self._keys.items() if key.stopped},
            wanted=frozenset(name for name, key in self._keys.items() if key.wanted(now_s)),
        )


def _resized(kept: Promised, maximum: float, decay_per_s: float, now_s: float) -> Promised:
    return msgspec.structs.replace(
        kept,
        meter=kept.meter.resized(maximum, decay_per_s, now_s),
        promise=kept.promise.resized(maximum, decay_per_s, now_s),
    )
