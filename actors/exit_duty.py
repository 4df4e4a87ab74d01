"""The guardian's exits: each is a saga (`protocols/exiting.py`) that one task carries from step to step.

The intent becomes durable under its strategy's own id before its placer is answered and before anything is moved. Each
write is journalled as the guardian's other writes are, and the next step waits until the venue has told what it made of
it: by the stream mostly, and when that is silent by a question, because questions are what the key has few of. An exit
holds its pair for as long as it is within its time; after that, and after a restart, the ordinary watch has it.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from allstop.actors.clock import Clock
from allstop.actors.commands import BeginExit, OrderView
from allstop.actors.cover_journal import CoverJournal
from allstop.actors.cover_notes import CoverNotes
from allstop.actors.cover_orders import CoverOrders
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.guardian_settings import GuardianSettings, Pace
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent
from allstop.actors.levels import IntentKind, LevelBoard, Origin, permits
from allstop.actors.ports import Desk, QueryFailed
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.exiting import (
    Ask,
    CancelExit,
    Exiting,
    Leave,
    NoRoom,
    Pause,
    SendExit,
    Stage,
    Withhold,
    calls_of,
    exit_refusal,
    next_exit_step,
    planned,
)
from allstop.actors.protocols.order_life import content
from allstop.actors.protocols.records import IntentCommitted
from allstop.actors.protocols.remedies import AmendStop, CancelStops, PlaceStop
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Reply

# How long the stream may take to tell of a write before the venue is asked: a share of cover_s.
TELL_SHARE = 0.1


class ExitDuty:
    """One account's exits, at most one per pair. `acting(pair)`: the guardian is writing on the pair. `open_orders`:
    ours that the venue knows. `matches(pair)`: the venue matches orders there."""

    def __init__(
        self,
        settings: GuardianSettings,
        *,
        desk: Desk,
        orders: CoverOrders,
        notes: CoverNotes,
        journal: CoverJournal,
        memory: CoverMemory,
        instruments: Mapping[str, Instrument],
        board: LevelBoard,
        clock: Clock,
        pace: Pace,
        acting: Callable[[str], bool],
        open_orders: Callable[[str], Sequence[OrderReport]],
        turn: asyncio.Lock,
        call_s: Callable[[], float],
        matches: Callable[[str], bool],
    ) -> None:
        self._matches = matches
        self._call_s = call_s
        self._commit_s = 0.0  # the last commit of an exit's intent, from asking to its answer
        self._turn = turn
        self._settings = settings
        self._desk = desk
        self._orders = orders
        self._notes = notes
        self._journal = journal
        self._memory = memory
        self._instruments = instruments
        self._board = board
        self._clock = clock
        self._pace = pace
        self._acting = acting
        self._open_orders = open_orders
        self._active: dict[str, Exiting] = {}
        self._withheld: dict[str, str] = {}  # exits that were not sent, and why: not written down yet
        self._news = asyncio.Event()

    def told(self) -> None:
        """The stream has told something."""
        self._news.set()

    def holds(self, pair: str) -> bool:
        """Whether an exit is under way there and within its time: nobody else acts on the pair."""
        exiting = self._active.get(pair)
        return exiting is not None and exiting.holds(self._settings.times, self._clock.now_s())

    async def settle(self) -> None:
        """Writes down the end of exits that nobody carries any more. One that was never attempted is withheld: whoever
        placed it may have been told that it was refused, and an order older than its decision is dangerous."""
        carried = {exiting.intent.id for exiting in self._active.values()} | self._withheld.keys()
        for intent in [i for i in self._memory.exits.values() if i.id not in carried]:
            if not self._memory.was_attempted(intent.id):
                await self._orders.withhold(intent, "its exit was not begun")
            elif (report := self._memory.book.order_of(intent.id)) is not None:
                await self._notes.write_end(report.order_id)

    def take(self, begin: BeginExit) -> OrderView | None:
        """Takes the exit on; `carry` does it. The order, where it is known already. Raises Refused."""
        intent = begin.intent
        if (known := self._memory.book.intent(intent.id)) is not None:
            if content(known) != content(intent):
                raise Refused(RefusalCode.INTENT_ID_REUSED, f"{intent.id} is another order's", place="id")
            return OrderView(intent=known, state="INTENT", report=self._memory.book.order_of(intent.id))
        if intent.pair not in self._instruments:
            raise Refused(RefusalCode.UNKNOWN_PAIR, f"no instrument {intent.pair!r}", place="pair")
        if self._clock.wall_ns() > begin.until_ns:
            raise Refused(RefusalCode.EXPIRED, "nobody waits for it any more", place=intent.id)
        if self._journal.lost:
            raise Refused(RefusalCode.NOT_COMMITTED, "the journal is lost", place=intent.id)
        if not self._permitted(intent.pair, begin.origin):
            raise Refused(RefusalCode.LEVEL, "an exit does not pass at this level", place=intent.pair)
        if not self._matches(intent.pair):
            # Nothing would sell, and a stop that made room for it might not be let back in.
            raise Refused(
                RefusalCode.NOT_TRADABLE, "the venue matches no orders on the pair", place=intent.pair
            )
        if intent.pair in self._active:
            raise Refused(
                RefusalCode.EXIT_UNDER_WAY, f"an exit from {intent.pair} is under way", place=intent.pair
            )
        if wait_s := self._pace.exit_wait_s(self._clock.now_s()):
            raise Refused(
                RefusalCode.RATE_LIMIT,
                f"the key has no calls for an exit now; in {wait_s:.1f} s",
                place=intent.pair,
            )
        position = self._memory.book.position(intent.pair)
        in_flight = self._orders.in_flight(intent.pair)
        if refused := exit_refusal(intent, position, self._open_orders(intent.pair), in_flight):
            raise refused
        due_s = self._clock.now_s() + intent.ttl_s
        self._active[intent.pair] = Exiting(intent=intent, due_s=due_s)
        return None

    async def carry(self, begin: BeginExit, reply: Reply) -> Leave:
        """Commits the exit, answers, and carries it until the ordinary watch has the pair again."""
        intent = begin.intent
        try:
            record = IntentCommitted(
                intent=intent,
                origin=begin.origin,
                scope=(*self._settings.scope, intent.pair),
                at_ns=self._clock.wall_ns(),
                owner=self._memory.owner,
            )
            asked_s = self._clock.now_s()
            await self._journal.note(record)
            self._commit_s = self._clock.now_s() - asked_s
            if self._journal.lost:
                reply.fail(Refused(RefusalCode.NOT_COMMITTED, "the journal did not commit", place=intent.id))
                return Leave("not committed")
            self._memory.note(record)
            reply.set(OrderView(intent=intent, state="INTENT"))
            return await self._carry(intent.pair, begin.origin)
        finally:
            del self._active[intent.pair]

    async def close(self, intent: OrderIntent) -> None:
        """Writes down that an exit was not sent. Last of all: a disk that takes long must not keep stops from coming
        back, and without this row the next incarnation says the same."""
        if (reason := self._withheld.get(intent.id)) is not None:
            await self._orders.withhold(intent, reason)
            del self._withheld[intent.id]

    # -- one step after the other -----------------------------------------------------------------------------

    async def _carry(self, pair: str, origin: Origin) -> Leave:
        while True:
            exiting = self._active[pair] = self._active[pair].told(self._exit_order(pair))
            if exiting.stage is Stage.OVER and exiting.order_ids:
                await self._notes.write_end(exiting.order_ids[0])
            no_room = await self._no_room(exiting)
            orders = self._open_orders(pair)
            step = next_exit_step(
                exiting,
                self._memory.book.position(pair),
                orders,
                self._instruments[pair],
                self._settings.times,
                now_s=self._clock.now_s(),
                busy=self._acting(pair) or pair in self._orders.pairs(),
                permitted=self._permitted(pair, origin),
                no_room=no_room,
            )
            match step:
                case Leave():
                    return step
                case Pause(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Withhold(reason=reason):
                    self._withheld[exiting.intent.id] = reason
                    self._active[pair] = exiting.over()
                case Ask(order_ids=order_ids, pause_s=pause_s):
                    await self._ask(order_ids)
                    if self._active[pair].told(self._exit_order(pair)).stage is Stage.SENT:
                        await asyncio.sleep(pause_s)
                case SendExit():
                    await self._send(pair, step)
                case AmendStop() | CancelStops() | PlaceStop() | CancelExit():
                    await self._move(pair, step, orders)

    async def _no_room(self, exiting: Exiting) -> NoRoom | None:
        """Why an exit that has not begun must wait: for the venue's order rate, or for a venue that answers faster."""
        if exiting.stage is not Stage.WAITING or exiting.bare_s is not None:
            return None
        pair, times = exiting.intent.pair, self._settings.times
        if not self._matches(pair):
            return NoRoom("the venue matches no orders on the pair now", times.cover_s)
        if wait_s := self._pace.exit_wait_s(self._clock.now_s()):
            return NoRoom("the key has no calls for an exit now", wait_s)
        position, orders = self._memory.book.position(pair), self._open_orders(pair)
        whole = planned(exiting, position, orders, self._instruments[pair])
        # Each is a call of its own behind a commit of its own, and a question of a look may go between: on a link, or
        # over a disk, on which the last of them does not begin before covering again is given up, stops that were moved
        # would not be back in time. For a disk nobody waits: how fast it is says the commit of the next exit.
        calls, call_s, commit_s = calls_of(whole), self._call_s(), self._commit_s
        if calls > 1 and calls * (call_s + commit_s) > times.flatten_after_s:
            each = f"{calls} calls of {call_s:.3f} s each, and commits of {commit_s:.3f} s,"
            most = f"the {times.flatten_after_s:g} s after which covering again is given up"
            wait_s = math.inf if calls * commit_s > times.flatten_after_s else times.cover_s
            return NoRoom(f"{each} do not fit into {most}", wait_s)
        try:
            room_s = await self._desk.room_s(whole)
        except QueryFailed:
            # The ledger is starting again: asked once more then.
            return NoRoom("whether the order rate has room is not known", times.cover_s)
        if not room_s:
            return None
        when = f"in {room_s:.0f} s" if math.isfinite(room_s) else "as it stands, never"
        return NoRoom(f"the order rate has no room to move the stops and cover again: {when}", room_s)

    async def _send(self, pair: str, step: SendExit) -> None:
        exiting = self._active[pair] = self._active[pair].began(self._clock.now_s())
        written = await self._orders.write(pair, step, still=lambda: self.holds(pair))
        if written is None:
            self._active[pair] = exiting.lost()
        elif written.taken:
            self._active[pair] = exiting.sent(self._orders.order_ids(pair))
            await self._seen(pair, self._orders.order_ids(pair), self._ended)
        else:
            self._active[pair] = exiting.over()

    async def _move(
        self, pair: str, step: AmendStop | CancelStops | PlaceStop | CancelExit, orders: Sequence[OrderReport]
    ) -> None:
        began_s = self._clock.now_s()
        exiting = self._active[pair] = self._active[pair].began(began_s)
        # When its turn comes too late the ordinary watch has the pair, and may sell what this would. A cancel sells nothing.
        written = await self._orders.write(
            pair, step, still=lambda: isinstance(step, CancelExit) or self.holds(pair)
        )
        exiting = exiting.took(self._clock.now_s() - began_s)
        if written is None:
            if exiting.stage is Stage.WAITING:
                self._withheld[exiting.intent.id] = "a stop was moved, and it is not known whether"
            self._active[pair] = exiting.lost()
            return
        self._active[pair] = exiting.done(step, orders) if written.taken else exiting.refused()
        match step:
            case AmendStop(order_id=order_id, order_qty=order_qty) if written.taken:
                # Its answer says it all: the venue sells no more than this total, whatever has executed of it.
                known = self._memory.book.order(order_id)
                if known is not None:
                    self._memory.book.take(msgspec.structs.replace(known, order_qty=order_qty, fill=None))
                self._orders.shown(pair)
            case AmendStop(order_id=order_id):
                await self._seen(pair, (order_id,), self._ended)
            case CancelStops(order_ids=order_ids) | CancelExit(order_ids=order_ids):
                await self._seen(pair, order_ids, self._ended)
            case PlaceStop():
                await self._seen(pair, self._orders.order_ids(pair), self._known)

    async def _seen(
        self, pair: str, order_ids: Sequence[str], settled: Callable[[Sequence[str]], bool]
    ) -> None:
        """What the venue made of a write decides the next step; without an answer the pair stays blocked."""
        try:
            async with asyncio.timeout(self._settings.times.cover_s * TELL_SHARE):
                while not settled(order_ids):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            if not await self._ask(order_ids):
                return
        self._orders.shown(pair)

    def _known(self, order_ids: Sequence[str]) -> bool:
        return all(self._memory.book.order(order_id) is not None for order_id in order_ids)

    def _ended(self, order_ids: Sequence[str]) -> bool:
        orders = [self._memory.book.order(order_id) for order_id in order_ids]
        return all(order is not None and order.status.terminal for order in orders)

    async def _ask(self, order_ids: Sequence[str]) -> bool:
        self._pace.asked_for_exit(self._clock.now_s())
        try:
            async with self._turn:
                reports = await self._desk.query_orders(order_ids)
        except QueryFailed:
            return False
        await self._notes.write(self._memory.book.take_all(reports))
        return True

    def _exit_order(self, pair: str) -> OrderReport | None:
        return self._memory.book.order_of(self._active[pair].intent.id)

    def _permitted(self, pair: str, origin: Origin) -> bool:
        level = self._board.effective((*self._settings.scope, pair))
        return permits(level, IntentKind.REDUCE, origin=origin)
