"""The halt of one account, carried out and proven: the shell around `protocols/halting.py`.

It reads the venue's list of open orders, cancels by id what is not protective, and reads again, until a list that was
asked for after the last cancel holds only protective orders. Nothing that the venue *answers* to a cancel ends the
loop, only what it *lists*.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from allstop.actors.clock import Clock, Ids
from allstop.actors.commands import HaltProof
from allstop.actors.cover_journal import CoverJournal
from allstop.actors.errors import AllstopError
from allstop.actors.intents import Side
from allstop.actors.levels import IntentKind, Origin, Scope
from allstop.actors.ports import Desk, QueryFailed
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.halting import (
    CancelThese,
    NotProven,
    Proven,
    WaitUntil,
    next_halt_step,
    to_cancel,
)
from allstop.actors.protocols.records import CommandEnded, CommandIntended, HaltProved
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Reply

# Between two rounds: long enough for a venue to take a cancel in, short against the five seconds a halt may take.
ROUND_PAUSE_S = 0.1


class HaltNotProven(AllstopError):
    """The rounds are used up and orders that should be gone are still listed. Ask again."""

    def __init__(self, account: str, left: tuple[str, ...]) -> None:
        super().__init__(
            f"{account}: {len(left)} orders are still open after the last round: {', '.join(left[:5])}"
        )
        self.account = account
        self.left = left


class HaltOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a halt needs to know of its account. `reducing` and `quiet_from_s` are asked again in every round."""

    account: str
    scope: Scope
    reason: str
    reducing: Callable[[], Mapping[str, Side | None]]
    quiet_from_s: Callable[[], float]


async def prove_halt(
    desk: Desk, journal: CoverJournal, order: HaltOrder, clock: Clock, ids: Ids
) -> HaltProof:
    """Cancels and reads until it is proven. Raises QueryFailed when the venue cannot be read (nothing is proven; ask
    again) and HaltNotProven when it can, and orders do not go away."""
    canceled: set[str] = set()
    rounds = 0
    while True:
        read_at_s = clock.now_s()
        listed = await desk.open_orders()
        step = next_halt_step(
            listed, order.reducing(), rounds=rounds, read_at_s=read_at_s, quiet_from_s=order.quiet_from_s()
        )
        match step:
            case CancelThese(batches):
                if rounds:
                    await asyncio.sleep(ROUND_PAUSE_S)
                rounds += 1
                for batch in batches:
                    await cancel_journalled(desk, journal, batch, order.scope, clock, ids)
                    canceled.update(batch)
            case WaitUntil(at_s):
                await asyncio.sleep(max(at_s - clock.now_s(), 0.0))
            case NotProven(left):
                raise HaltNotProven(order.account, left)
            case Proven(kept):
                proof = HaltProof(
                    account=order.account,
                    canceled=len(canceled),
                    kept=kept,
                    rounds=rounds,
                    at_ns=clock.wall_ns(),
                )
                await journal.note(
                    HaltProved(
                        account=proof.account,
                        canceled=proof.canceled,
                        kept=proof.kept,
                        rounds=proof.rounds,
                        at_ns=proof.at_ns,
                    )
                )
                return proof


async def cancel_journalled(
    desk: Desk, journal: CoverJournal, order_ids: tuple[str, ...], scope: Scope, clock: Clock, ids: Ids
) -> None:
    """One cancel command: durable first, then sent, then its outcome noted. Whatever that is, the next list decides."""
    command_id = ids.new()
    await journal.note(
        CommandIntended(
            command_id=command_id,
            intent_id="",
            verb="cancel",
            kind=IntentKind.CANCEL,
            origin=Origin.GUARDIAN,
            scope=scope,
            order_ids=order_ids,
            at_ns=clock.wall_ns(),
        )
    )
    outcome = await desk.cancel(command_id, order_ids)
    await journal.note(CommandEnded(command_id=command_id, intent_id="", outcome=outcome), durable=False)


class HaltDuty:
    """An account's halts, one at a time and beside whatever else its guardian does: everyone who asked while one runs
    gets its answer. `start_task` makes a task of the guardian's incarnation; `proven` is called after each proof."""

    def __init__(
        self,
        account: str,
        scope: Scope,
        skew_s: float,
        *,
        desk: Desk,
        journal: CoverJournal,
        memory: CoverMemory,
        clock: Clock,
        ids: Ids,
        start_task: Callable[[Coroutine[Any, Any, None], str], object],
        proven: Callable[[], None] = lambda: None,
    ) -> None:
        self._account = account
        self._scope = scope
        self._skew_s = skew_s
        self._desk = desk
        self._journal = journal
        self._memory = memory
        self._clock = clock
        self._ids = ids
        self._start_task = start_task
        self._proven = proven
        self._asked: list[Reply] = []
        self._running = False

    def ask(self, reason: str, reply: Reply) -> None:
        """Halts, and answers with the HaltProof, or with QueryFailed or HaltNotProven: then ask again."""
        self._asked.append(reply)
        self._begin(reason)

    def keep(self, listed: Sequence[OrderReport]) -> None:
        """While the account is halted: whatever turned up since the proof goes too."""
        if to_cancel(listed, self._reducing()):
            self._begin("an order that is not protective stands in a halted account")

    def _begin(self, reason: str) -> None:
        if not self._running:
            self._running = True
            self._start_task(self._halt(reason), "halt")

    async def _halt(self, reason: str) -> None:
        order = HaltOrder(
            account=self._account,
            scope=self._scope,
            reason=reason,
            reducing=self._reducing,
            quiet_from_s=self._quiet_from_s,
        )
        answer: HaltProof | QueryFailed | HaltNotProven
        try:
            answer = await prove_halt(self._desk, self._journal, order, self._clock, self._ids)
        except (QueryFailed, HaltNotProven) as error:
            answer = error
        finally:
            self._running = False
        if isinstance(answer, HaltProof):
            self._proven()
        asked, self._asked = self._asked, []
        for reply in asked:
            if isinstance(answer, HaltProof):
                reply.set(answer)
            else:
                reply.fail(answer)

    def _reducing(self) -> dict[str, Side | None]:
        positions = self._memory.book.positions()
        return {pair: position.reducing for pair, position in positions.items() if position.net}

    def _quiet_from_s(self) -> float:
        """From when on no entry that was already written can still arrive at the venue."""
        ahead_s = (self._memory.wire_until_ns() - self._clock.wall_ns()) / 1e9 + self._skew_s
        return self._clock.now_s() + ahead_s
