"""A venue small enough to be right by reading, and a desk in front of it that fails on request."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from allstop.actors.errors import Category, Fault, Outcome, Remedy, Retry, Severity
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.ports import PlannedOrders, QueryFailed
from allstop.actors.reports import (
    Accepted,
    NotSent,
    OrderReport,
    OrderStatus,
    Rejected,
    Unknown,
    WriteOutcome,
)

D = Decimal
PAIR = "BTC/USD"
PRICE = D(100)
BTC = Instrument(
    pair=PAIR,
    venue_name="XBTUSD",
    tick_size=D("0.1"),
    lot_size=D("0.00000001"),
    min_qty=D("0.0001"),
)
TERMINAL = (OrderStatus.FILLED, OrderStatus.CANCELED)


def entry(intent_id: str = "entry-1", qty: str = "1", stop: str = "90", side: Side = Side.BUY) -> OrderIntent:
    return OrderIntent(
        id=intent_id,
        pair=PAIR,
        side=side,
        qty=D(qty),
        limit_price=D(100),
        stop=StopLoss(trigger_price=D(stop)),
    )


def fault(text: str, category: Category = Category.ORDER, remedy: Remedy = Remedy.FIX) -> Fault:
    return Fault(
        code=text,
        category=category,
        severity=Severity.MEDIUM,
        outcome=Outcome.NO,
        reads=Retry.NEVER,
        writes=Retry.NEVER,
        remedy=remedy,
        text=text,
    )


class ToyVenue:
    """Orders by id, each with its report. A fill of an order with a stop makes the stop, as a conditional close does."""

    def __init__(self, now_ns: Callable[[], int] = lambda: 0, *, stops_hold_balance: bool = False) -> None:
        self.now_ns = now_ns
        self.stops_hold_balance = stops_hold_balance
        self.orders: dict[str, OrderReport] = {}
        self.closed_ns: dict[str, int] = {}
        self.stops: dict[str, StopLoss] = {}
        self.makes_stops = True
        self.takes = D(10)  # what the market takes of each order that is immediate-or-cancel
        self.refusals: deque[Fault | None] = deque()  # one for each coming submit; None lets it pass
        self.amend_refusals: deque[Fault | None] = deque()
        self.submitted: list[OrderIntent] = []
        self.flips = 0
        self._next = 0

    def place(self, intent: OrderIntent) -> str:
        """An order as the engine's session would place it."""
        order_id = self._new(
            OrderReport(
                order_id="",
                status=OrderStatus.NEW,
                pair=intent.pair,
                side=intent.side,
                order_type=intent.order_type,
                order_qty=intent.qty,
                cum_qty=D(0),
                limit_price=intent.limit_price,
                trigger_price=intent.trigger_price,
                cl_ord_id=intent.id,
            )
        )
        if intent.stop is not None:
            self.stops[order_id] = intent.stop
        return order_id

    def fill(self, order_id: str, qty: Decimal | str, price: Decimal = PRICE) -> None:
        order, qty = self.orders[order_id], D(qty)
        before = self.position()
        cum = (order.cum_qty or D(0)) + qty
        whole = cum >= (order.order_qty or D(0))
        self.set(
            order,
            cum_qty=cum,
            avg_price=price,
            status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
        )
        after = self.position()
        if before and after and (before > 0) != (after > 0):
            self.flips += 1
        stop = self.stops.get(order_id)
        if stop is not None and self.makes_stops and order.side is not None:
            self._new(
                OrderReport(
                    order_id="",
                    status=OrderStatus.NEW,
                    pair=order.pair,
                    side=order.side.opposite,
                    order_type=OrderType.STOP_LOSS,
                    order_qty=qty,
                    cum_qty=D(0),
                    trigger_price=stop.trigger_price,
                    parent_id=order_id,
                )
            )

    def cancel(self, order_id: str) -> None:
        if self.orders[order_id].status not in TERMINAL:
            self.set(self.orders[order_id], status=OrderStatus.CANCELED)

    def trigger_all_stops(self) -> None:
        for order in self.open():
            if order.order_type is OrderType.STOP_LOSS:
                self.fill(order.order_id, order.leaves_qty, order.trigger_price or D(0))

    def submit(self, intent: OrderIntent) -> Fault | str:
        """What the guardian sends: the fault, or the new order's id."""
        self.submitted.append(intent)
        refusal = self.refusals.popleft() if self.refusals else None
        at_once = intent.order_type in (
            OrderType.MARKET,
            OrderType.LIMIT,
        )  # an entry is placed, not submitted
        if refusal is None and at_once and self.stops_hold_balance:
            held = sum((o.leaves_qty for o in self.stops_open()), D(0))
            if intent.qty > abs(self.position()) - held:
                refusal = fault("EOrder:Insufficient funds", Category.FUNDS)
        if refusal is not None:
            return refusal
        order_id = self.place(intent)
        if intent.order_type is OrderType.MARKET:
            self.fill(order_id, intent.qty)
        elif intent.order_type is OrderType.LIMIT:
            if taken := min(intent.qty, self.takes):
                self.fill(order_id, taken)
            self.cancel(order_id)
        return order_id

    def amend(self, order_id: str, qty: Decimal) -> Fault | None:
        refusal = self.amend_refusals.popleft() if self.amend_refusals else None
        if refusal is not None:
            return refusal
        order = self.orders[order_id]
        if order.status in TERMINAL:
            return fault("EOrder:Unknown order")
        self.set(order, order_qty=qty)
        return None

    def open(self) -> list[OrderReport]:
        return [o for o in self.orders.values() if o.status not in TERMINAL]

    def stops_open(self) -> list[OrderReport]:
        return [o for o in self.open() if o.order_type is not None and o.order_type.is_stop]

    def closed(self, since_ns: int) -> list[OrderReport]:
        return [o for i, o in self.orders.items() if o.status in TERMINAL and self.closed_ns[i] >= since_ns]

    def position(self) -> Decimal:
        net = D(0)
        for order in self.orders.values():
            net += (order.cum_qty or D(0)) * (1 if order.side is Side.BUY else -1)
        return net

    def covered(self) -> Decimal:
        return sum((o.leaves_qty for o in self.stops_open()), D(0))

    def _new(self, report: OrderReport) -> str:
        self._next += 1
        order_id = f"O{self._next:05}"
        self.orders[order_id] = msgspec.structs.replace(report, order_id=order_id, ts_ns=self.now_ns())
        return order_id

    def set(self, order: OrderReport, **changes: object) -> None:
        changed = msgspec.structs.replace(self.orders[order.order_id], ts_ns=self.now_ns(), **changes)
        self.orders[order.order_id] = changed
        if changed.status in TERMINAL:
            self.closed_ns[order.order_id] = self.now_ns()


class PuppetDesk:
    """A Desk on a ToyVenue. Every call takes `latency_s`; `blind` makes reads fail; `lose` loses the answers of that
    many writes after the venue has taken them, `eat` those before it has."""

    def __init__(self, venue: ToyVenue, latency_s: float = 0.01) -> None:
        self.venue = venue
        self.latency_s = latency_s
        self.blind = False
        self.lose = 0
        self.eat = 0
        self.unsent = 0
        self.calls: list[str] = []
        self.batches: list[tuple[str, ...]] = []
        self.closed = False
        self.crash: Callable[[], None] = lambda: None
        self.crash_at: tuple[int, str] | None = (
            None  # in so many calls, "before" or "after" the venue took it
        )
        self.before: dict[
            str, Callable[[], None]
        ] = {}  # what happens at the venue as the next call of a name arrives

    async def open_orders(self) -> list[OrderReport]:
        return await self._read("open", self.venue.open)

    async def closed_orders(self, since_ns: int) -> list[OrderReport]:
        return await self._read("closed", lambda: self.venue.closed(since_ns))

    async def query_orders(self, order_ids: Sequence[str]) -> list[OrderReport]:
        orders = self.venue.orders
        return await self._read("query", lambda: [orders[i] for i in order_ids if i in orders])

    async def balances(self) -> dict[str, str]:
        raise NotImplementedError("no test asks for balances")

    async def submit(self, intent: OrderIntent, *, attempt: int, deadline_s: float) -> WriteOutcome:
        return await self._write("submit", deadline_s, lambda: self.venue.submit(intent))

    async def amend(
        self,
        command_id: str,
        order_id: str,
        *,
        order_qty: str | None = None,
        limit_price: str | None = None,
        trigger_price: str | None = None,
        deadline_s: float,
    ) -> WriteOutcome:
        return await self._write(
            "amend", deadline_s, lambda: self.venue.amend(order_id, D(order_qty or 0)) or order_id
        )

    async def cancel(self, command_id: str, order_ids: Sequence[str]) -> WriteOutcome:
        self.batches.append(tuple(order_ids))

        def cancel() -> str:
            for order_id in order_ids:
                self.venue.cancel(order_id)
            return order_ids[0]

        return await self._write("cancel", 1.0, cancel)

    async def room_s(self, planned: PlannedOrders) -> float:
        return 0.0

    async def close(self) -> None:
        self.closed = True

    async def _crashes(self, when: str) -> None:
        if self.crash_at is None or self.crash_at[1] != when:
            return
        left = self.crash_at[0] - 1
        self.crash_at = (left, when) if left > 0 else None
        if not left:
            self.crash()
            await asyncio.sleep(3600)

    async def _read(self, name: str, read: Callable[[], object]) -> list:  # type: ignore[type-arg]
        self.calls.append(name)
        await asyncio.sleep(self.latency_s)
        await self._crashes("before")
        self.before.pop(name, lambda: None)()
        if self.blind:
            raise QueryFailed(name)
        return read()  # type: ignore[return-value]

    async def _write(self, name: str, deadline_s: float, write: Callable[[], Fault | str]) -> WriteOutcome:
        self.calls.append(name)
        await asyncio.sleep(self.latency_s)
        await self._crashes("before")
        self.before.pop(name, lambda: None)()
        if self.unsent:
            self.unsent -= 1
            return NotSent("no connection")
        if self.eat:
            self.eat -= 1
            await asyncio.sleep(deadline_s)
            return Unknown("no answer")
        answer = write()
        await self._crashes("after")
        if self.lose:
            self.lose -= 1
            await asyncio.sleep(deadline_s)
            return Unknown("no answer")
        return Accepted((answer,)) if isinstance(answer, str) else Rejected(answer)
