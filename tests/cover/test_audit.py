"""The guardian's own readings: what a list says that says nothing new is not folded in again, and all else is."""

import asyncio
from random import Random

import pytest
from tests.cover.tellings import answers
from tests.cover.toy_venue import D, PuppetDesk, ToyVenue, entry

from allstop.actors.audit import Audit
from allstop.actors.clock import ManualClock
from allstop.actors.levels import Origin
from allstop.actors.ports import QueryFailed
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.records import IntentCommitted, Terminal
from allstop.actors.reports import OrderReport

SCOPE = ("kraken", "main")


class LateDesk(PuppetDesk):
    """Its list of open orders is behind: it does not show the hidden ones."""

    def __init__(self, venue: ToyVenue, hidden: set[str]) -> None:
        super().__init__(venue, latency_s=0.0)
        self.hidden = hidden

    async def open_orders(self) -> list[OrderReport]:
        return [order for order in await super().open_orders() if order.order_id not in self.hidden]


class Bench:
    """A venue, and readers of it with a book each."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.clock = ManualClock(now_s=100.0)
        self.venue = ToyVenue(self.clock.wall_ns)
        self.memories: list[CoverMemory] = []
        self.desks: list[PuppetDesk] = []
        self.hidden: set[str] = set()
        self.awaited: tuple[str, ...] = ()
        self.intents = 0

    def audit(self) -> Audit:
        memory, desk = CoverMemory("/guardian"), LateDesk(self.venue, self.hidden)
        self.memories.append(memory)
        self.desks.append(desk)
        return Audit(desk, memory, self.clock, 10.0, asyncio.Lock())

    def happen(self) -> str:
        """Something at the venue, or something that is told beside the readings."""
        dice, venue = self.dice, self.venue
        self.clock.advance(dice.choice((0.1, 1.0, 4.0)))
        orders = list(venue.orders)
        match dice.randrange(12):
            case 0:
                self.enters()
                return "an entry"
            case 9:
                order_id = self.enters()
                self.tells(order_id)
                venue.cancel(order_id)
                return "an entry that the stream tells of, and that was cancelled"
            case 10:
                self.hidden |= {self.enters()} if dice.random() < 0.5 else set(orders[-1:])
                self.awaited = tuple(self.hidden)
                return "an order that the list does not show yet"
            case 11:
                self.hidden.clear()
                return "a list that is complete"
            case 1:
                venue.place(entry("nobody"))
                return "somebody else's order"
            case 2 | 3 if orders:
                order = venue.orders[dice.choice(orders)]
                if order.leaves_qty:
                    venue.fill(order.order_id, min(order.leaves_qty, D(dice.choice(("0.25", "1")))))
                return "a fill"
            case 4 if orders:
                venue.cancel(dice.choice(orders))
                return "a cancel"
            case 5 if orders:
                order = venue.orders[dice.choice(orders)]
                if order.leaves_qty:
                    venue.amend(order.order_id, order.leaves_qty + (order.cum_qty or D(0)) + 1)
                return "an amend"
            case 6 if orders:
                self.tells(dice.choice(orders))
                return "a report"
            case 7:
                for memory in self.memories:
                    for intent_id in memory.live():
                        memory.note(Terminal(intent_id=intent_id, state="CANCELED", evidence="told"))
                return "the ends of intents"
            case 8:
                self.awaited = tuple(dice.sample(orders, min(len(orders), 1)))
                return "an order that was accepted"
            case _:
                return "nothing"

    def enters(self) -> str:
        """An entry of ours. Its order's id."""
        self.intents += 1
        intent = entry(f"entry-{self.intents}")
        record = IntentCommitted(
            intent=intent, origin=Origin.STRATEGY, scope=SCOPE, at_ns=self.clock.wall_ns()
        )
        for memory in self.memories:
            memory.note(record)
        return self.venue.place(intent)

    def tells(self, order_id: str) -> None:
        """By the stream, or by reconciliation."""
        for memory in self.memories:
            memory.book.take(self.venue.orders[order_id])


@pytest.mark.parametrize("seed", range(40))
async def test_a_reader_that_knows_its_last_list_reads_what_one_reads_that_does_not(seed: int) -> None:
    bench = Bench(seed)
    knows, forgets = bench.audit(), bench.audit()
    again = 0
    for number in range(200):
        what = f"{number}: {bench.happen()}" if bench.dice.random() < 0.5 else f"{number}: nothing"
        fails, full = bench.dice.random() < 0.05, bench.dice.random() < 0.1
        version = bench.memories[0].book.version
        again += knows._glanced == version  # pyright: ignore[reportPrivateUsage]
        found: list[object] = []
        for audit, desk in zip((knows, forgets), bench.desks, strict=True):
            if fails:
                desk.before["closed"] = lambda desk=desk: setattr(desk, "blind", True)
            forgets._glanced = -1  # pyright: ignore[reportPrivateUsage]
            try:
                found.append(await audit.read(full=full, awaited=bench.awaited))
            except QueryFailed:
                found.append("blind")
            desk.blind = False
        assert found[0] == found[1], what
        seen = [(a.calls, a.executed, a.listed, a.unlisted) for a in (knows, forgets)]
        assert seen[0] == seen[1], what
        told = [answers(memory.book, tuple(bench.venue.orders)) for memory in bench.memories]
        assert told[0] == told[1], what
    assert again, "or nothing was shown"


async def test_an_order_that_is_gone_from_a_list_is_asked_for_though_nothing_else_changed() -> None:
    bench = Bench(1)
    audit = bench.audit()
    memory, desk = bench.memories[0], bench.desks[0]
    bench.venue.place(entry())
    memory.book.know(entry())
    await audit.read(full=True)
    for _ in range(2):
        assert await audit.read(full=False) is False, "a glance is enough"
    (order_id,) = bench.venue.orders
    bench.venue.cancel(order_id)
    desk.calls.clear()
    assert await audit.read(full=False) is True
    assert desk.calls == ["open", "closed"]


async def test_an_order_that_the_stream_told_and_no_list_ever_shows_is_asked_for() -> None:
    bench = Bench(1)
    audit = bench.audit()
    await audit.read(full=True)
    await audit.read(full=False)
    order_id = bench.enters()
    bench.tells(order_id)
    bench.memories[0].note(Terminal(intent_id="entry-1", state="CANCELED", evidence="told"))
    bench.venue.cancel(order_id)
    assert await audit.read(full=False) is True, "the list is as it was, and the book is not"
    order = bench.memories[0].book.order(order_id)
    assert order is not None
    assert order.status.terminal
