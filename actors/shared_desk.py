"""One desk for many who ask the same: readings of the order lists are shared, so that ten lookups cost what one does.

A caller never gets a reading that began before it asked: a lookup's clock has its reasons. So who asks while a reading
is under way waits for the next one, together with everybody else who does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from allstop.actors.intents import OrderIntent
from allstop.actors.ports import Desk, PlannedOrders
from allstop.actors.reports import OrderReport, WriteOutcome

T = TypeVar("T")
A = TypeVar("A")


class Shared(Generic[A, T]):
    """Runs `read` for all who wait. `widest` makes one argument of theirs; what it raises, all of them get."""

    def __init__(self, read: Callable[[A], Awaitable[T]], widest: Callable[[list[A]], A]) -> None:
        self._read = read
        self._widest = widest
        self._waiting: list[tuple[A, asyncio.Future[T]]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, argument: A) -> T:
        """What a reading says that began after this call."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((argument, answer))
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        return await answer

    async def close(self) -> None:
        """Ends the reading under way; whoever waits is cancelled with it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        batch: list[tuple[A, asyncio.Future[T]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                (found,) = await asyncio.gather(
                    self._read(self._widest([argument for argument, _ in batch])), return_exceptions=True
                )
                for _, answer in batch:
                    if answer.done():
                        continue  # its caller has gone
                    if isinstance(found, BaseException):
                        answer.set_exception(found)
                    else:
                        answer.set_result(found)
        finally:
            self._running = None
            for _, answer in (*batch, *self._waiting):
                answer.cancel()
            self._waiting = []


class SharedDesk:
    """Gives out desks that share one underneath. The one underneath is opened with the first and closed with the last.

    `generation` is the incarnation of whom the desks belong to. The one underneath carries that incarnation's guard,
    so a new incarnation gets a new one: holders that were killed never gave their share back.
    """

    def __init__(self, open_desk: Callable[[], Desk], generation: Callable[[], int] = lambda: 0) -> None:
        self._open_desk = open_desk
        self._generation = generation
        self._under: _Under | None = None

    def open(self) -> Desk:
        """A desk for one holder, who closes it."""
        generation = self._generation()
        if self._under is None or self._under.holders == 0 or self._under.generation != generation:
            self._under = _Under(self._open_desk(), generation)
        self._under.holders += 1
        return _Share(self._under)


class _Under:
    def __init__(self, desk: Desk, generation: int) -> None:
        self.desk = desk
        self.generation = generation
        self.holders = 0
        self.open_orders: Shared[None, list[OrderReport]] = Shared(
            lambda _: desk.open_orders(), lambda _: None
        )
        self.closed_orders: Shared[int, list[OrderReport]] = Shared(desk.closed_orders, min)

    async def let_go(self) -> None:
        self.holders -= 1
        if self.holders == 0:
            await self.open_orders.close()
            await self.closed_orders.close()
            await self.desk.close()


class _Share:
    """One holder's desk: lists are shared, everything else goes straight on."""

    def __init__(self, under: _Under) -> None:
        self._under = under
        self._closed = False

    async def open_orders(self) -> list[OrderReport]:
        return await self._under.open_orders.ask(None)

    async def closed_orders(self, since_ns: int) -> list[OrderReport]:
        """Perhaps from earlier on than asked: as far back as anybody wanted."""
        return await self._under.closed_orders.ask(since_ns)

    async def query_orders(self, order_ids: Sequence[str]) -> list[OrderReport]:
        return await self._under.desk.query_orders(order_ids)

    async def balances(self) -> dict[str, str]:
        return await self._under.desk.balances()

    async def submit(self, intent: OrderIntent, *, attempt: int, deadline_s: float) -> WriteOutcome:
        return await self._under.desk.submit(intent, attempt=attempt, deadline_s=deadline_s)

    async def amend(
        self, command_id: str, order_id: str, *, order_qty: str | None = None, limit_price: str | None = None,
        trigger_price: str | None = None, deadline_s: float,
    ) -> WriteOutcome:  # fmt: skip
        return await self._under.desk.amend(
            command_id, order_id, order_qty=order_qty, limit_price=limit_price, trigger_price=trigger_price,
            deadline_s=deadline_s,
        )  # fmt: skip

    async def cancel(self, command_id: str, order_ids: Sequence[str]) -> WriteOutcome:
        return await self._under.desk.cancel(command_id, order_ids)

    async def room_s(self, planned: PlannedOrders) -> float:
        return await self._under.desk.room_s(planned)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._under.let_go()
