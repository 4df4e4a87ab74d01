"""The account book: what our orders have executed, folded from whatever the venue says, in whatever order it says it.

The same order is told many times: by a query, by the stream, twice by both, the old after the new. The fold is
therefore over orders and not over messages. For each order the book keeps the merged report and the fills by their
`exec_id`, and what the order has executed is the larger of the two totals: a cumulative quantity beats fills that
were never told, and a fill beats a cumulative quantity that is not yet up to date. It never shrinks.

An order is *ours* if its client id is a known intent, if its parent (the order whose conditional close made it) is
ours, or if somebody claimed it. Everything else is EXTERNAL: listed, counted as exposure, in no position of ours.
Ownership may become known after the order itself; its executions are booked then.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from allstop.actors.intents import OrderIntent, Side
from allstop.actors.reports import Fill, OrderReport

ZERO = Decimal(0)

# A conditional close has one parent and that parent none; the bound only keeps a venue's nonsense from looping.
PARENTS_MAX = 8

# Orders that ended so long ago that no list and no stream tells of them again: 10 000 s at 20 orders a second.
SETTLED_MAX = 200_000


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """Something of ours was executed: `qty` more of this order, at `price` where the venue has said it."""

    order_id: str
    pair: str
    side: Side
    qty: Decimal
    price: Decimal | None
    ts_ns: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The net of our executions on one pair, positive for long. `average_entry` is None when flat, or when the
    venue has told no price yet."""

    pair: str
    net: Decimal
    average_entry: Decimal | None = None

    @property
    def reducing(self) -> Side | None:
        """The side on which an order makes the position smaller; None when there is none."""
        if not self.net:
            return None
        return Side.SELL if self.net > 0 else Side.BUY

    def moved(self, side: Side, qty: Decimal, price: Decimal | None) -> "Position":
        """The position after one more execution. An execution through zero opens the rest at its own price."""
        signed = qty if side is Side.BUY else -qty
        net = self.net + signed
        if not net:
            average = None
        elif not self.net or (self.net > 0) != (net > 0):
            average = price
        elif (self.net > 0) != (signed > 0):
            average = self.average_entry
        elif self.average_entry is None or price is None:
            average = self.average_entry or price
        else:
            average = (self.average_entry * abs(self.net) + price * qty) / abs(net)
        return Position(pair=self.pair, net=net, average_entry=average)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ours that executed, and how much of it some stop has been made for."""

    order_id: str
    intent: OrderIntent
    executed: Decimal
    stopped: Decimal

    @property
    def missing(self) -> Decimal:
        return max(ZERO, self.executed - self.stopped)


class _Order:
    __slots__ = ("booked", "booked_cost", "cost", "fills", "made_qty", "ours", "qty", "report", "told")

    def __init__(self, report: OrderReport) -> None:
        self.report = report
        self.told = report  # as it was told last
        self.made_qty = (
            report.order_qty
        )  # as it was told first: an amend does not say of how much it was made
        self.fills: dict[str, Fill] = {}
        self.qty = self.cost = ZERO  # of the fills
        self.ours = False
        self.booked = ZERO
        self.booked_cost = ZERO

    def filled(self, fill: Fill) -> None:
        """One more fill; the same again changes nothing."""
        if fill.exec_id not in self.fills:
            self.fills[fill.exec_id] = fill
            self.qty += fill.qty
            self.cost += fill.qty * fill.price

    def executed(self) -> tuple[Decimal, Decimal | None]:
        """The quantity executed and its cost; the cost is None while no price is known."""
        told, cum = self.qty, self.report.cum_qty or ZERO
        if cum < told or (cum == told and told):
            return told, self.cost
        price = self.report.avg_price or self.report.limit_price or self.report.trigger_price
        return cum, None if price is None else cum * price


class AccountBook:
    """The fold of one account's order reports. It computes and remembers; it reads no clock and asks nobody."""

    def __init__(self) -> None:
        self.version = 0  # while it is the same, so is each answer
        self._intents: dict[str, OrderIntent] = {}
        self._parents: dict[str, str] = {}  # a stop's intent id -> the order whose execution it covers
        self._claimed: set[str] = set()
        self._orders: dict[str, _Order] = {}
        self._children: dict[str, list[str]] = {}
        self._by_intent: dict[str, str] = {}
        self._positions: dict[str, Position] = {}
        self._awaiting: set[str] = set()  # orders that nobody has recognised yet
        self._open: dict[
            str, None
        ] = {}  # orders that are not known to have ended, in the order they were told
        self._entries: dict[str, dict[str, None]] = {}  # pair -> executed orders that carry a stop
        self._settled: dict[str, None] = {}  # ids of orders that are over and were forgotten, oldest first

    # -- taking in -------------------------------------------------------------------------------------------

    def know(self, intent: OrderIntent, *, parent: str | None = None) -> tuple[Execution, ...]:
        """Orders with this client id are ours. `parent`: the intent is a stop for what that order executed. What had
        been executed before we knew is booked now and returned."""
        if intent.id in self._intents:
            return ()
        self.version += 1
        self._intents[intent.id] = intent
        if parent is not None:
            self._parents[intent.id] = parent
        return self._recognise()

    def claim(self, order_id: str) -> tuple[Execution, ...]:
        """An external order becomes ours, its executions and its children with it."""
        self.version += 1
        self._claimed.add(order_id)
        return self._recognise()

    def take(self, report: OrderReport) -> tuple[Execution, ...]:
        """Folds one report in. Returns what of ours it shows as newly executed: nothing, for the same thing told
        twice."""
        if report.order_id in self._settled:
            return ()
        order = self._orders.get(report.order_id)
        if order is None:
            order = self._orders[report.order_id] = _Order(report)
            self._awaiting.add(report.order_id)
        elif report == order.told:  # as every look at a list of open orders tells again
            return ()
        else:
            order.report = order.report.merged(report)
            order.told = report
            order.made_qty = order.made_qty or report.order_qty
        self.version += 1
        if report.fill is not None:
            order.filled(report.fill)
            order.report = _with_places(order.report, report.fill)
        self._index(order.report)
        if order.report.status.terminal:
            self._open.pop(report.order_id, None)
        else:
            self._open[report.order_id] = None
        if order.ours:
            return self._booked(order)
        return self._recognise() if self._recognised(report.order_id) else ()

    def take_all(self, reports: Iterable[OrderReport]) -> tuple[Execution, ...]:
        return tuple(execution for report in reports for execution in self.take(report))

    def settle(self, before_ns: int) -> int:
        """Forgets orders of ours that ended before a time (the venue's) and have no child that is open, and their
        intents; what they executed stays in the position, and telling of them again changes nothing. How many.

        A pair that is not flat keeps its entries and their stops: the prices are still wanted."""
        over = [order_id for order_id, order in self._orders.items() if self._is_over(order, before_ns)]
        self.version += bool(over)
        for order_id in over:
            order = self._orders.pop(order_id)
            self._settled[order_id] = None
            self._children.pop(order_id, None)
            self._entries.get(order.report.pair or "", {}).pop(order_id, None)
            intent_id = order.report.cl_ord_id
            if intent_id is not None and self._by_intent.get(intent_id) == order_id:
                for known in (self._intents, self._parents, self._by_intent):
                    known.pop(intent_id, None)
        while len(self._settled) > SETTLED_MAX:
            del self._settled[next(iter(self._settled))]
        return len(over)

    # -- asking ----------------------------------------------------------------------------------------------

    def positions(self) -> dict[str, Position]:
        """Every pair that our orders ever executed on, flat ones too."""
        return dict(self._positions)

    def position(self, pair: str) -> Position:
        return self._positions.get(pair) or Position(pair=pair, net=ZERO)

    def is_ours(self, order_id: str) -> bool:
        order = self._orders.get(order_id)
        return order is not None and order.ours

    def order(self, order_id: str) -> OrderReport | None:
        order = self._orders.get(order_id)
        return order.report if order else None

    def order_of(self, intent_id: str) -> OrderReport | None:
        """The venue's order for an intent, once any report has shown it. It is evidence that the intent arrived."""
        order_id = self._by_intent.get(intent_id)
        return self._orders[order_id].report if order_id else None

    def intent(self, intent_id: str) -> OrderIntent | None:
        return self._intents.get(intent_id)

    def intents(self) -> tuple[OrderIntent, ...]:
        return tuple(self._intents.values())

    def open_orders(self, pair: str | None = None) -> tuple[OrderReport, ...]:
        """Our orders that are not known to have ended."""
        orders = map(self._orders.__getitem__, self._open)
        return tuple(
            [order.report for order in orders if order.ours and (pair is None or order.report.pair == pair)]
        )

    def external(self) -> tuple[OrderReport, ...]:
        """Orders on this account that are nobody's of ours, open or executed."""
        return tuple(
            order.report
            for order in self._orders.values()
            if not order.ours and (not order.report.status.terminal or order.report.cum_qty)
        )

    def external_net(self, pair: str) -> Decimal:
        """What external orders executed on a pair: exposure of the account that is in no position of ours."""
        net = ZERO
        for order in self._orders.values():
            if not order.ours and order.report.pair == pair and order.report.side is not None:
                qty = order.executed()[0]
                net += qty if order.report.side is Side.BUY else -qty
        return net

    def vanished(self, listed: Iterable[str]) -> tuple[str, ...]:
        """Orders that the book holds for open and a complete list of open orders did not show: they must have ended,
        and how is to be asked. That they are gone is not an end."""
        seen = set(listed)
        return tuple(order_id for order_id in self._open if order_id not in seen)

    def entries(self, pair: str) -> tuple[Entry, ...]:
        """Our executed orders on a pair that carry a stop, newest first, with what their stops amount to: an open
        stop counts in full, an ended one for what it executed."""
        found: list[tuple[int, Entry]] = []
        for order_id in self._entries.get(pair, ()):
            order = self._orders[order_id]
            intent = self._intents[order.report.cl_ord_id or ""]
            entry = Entry(
                order_id=order_id,
                intent=intent,
                executed=order.executed()[0],
                stopped=self._stopped(order_id),
            )
            found.append((order.report.ts_ns, entry))
        found.sort(key=lambda dated: -dated[0])
        return tuple(entry for _, entry in found)

    def stops_told(self, pair: str) -> bool:
        """Whether of each execution of our entries on a pair the stop was told that the venue made for it, open or
        ended. Then a list of what is open, in which nothing of ours is missing, says all: no order can have executed
        that the book does not know."""
        if self._claimed:  # whether those had a conditional close nobody here knows
            return False
        return all(
            self._made(order_id) >= self._orders[order_id].executed()[0]
            for order_id in self._entries.get(pair, ())
        )

    # -- inside ----------------------------------------------------------------------------------------------

    def _made(self, order_id: str) -> Decimal:
        """Of how much the venue made stops for an order by itself."""
        children = (self._orders.get(child_id) for child_id in self._children.get(order_id, ()))
        own = (c for c in children if c is not None and c.report.parent_id == order_id)
        return sum((child.made_qty or ZERO for child in own), ZERO)

    def _is_over(self, order: _Order, before_ns: int) -> bool:
        report = order.report
        if not (order.ours and report.status.terminal and report.ts_ns < before_ns):
            return False
        if report.pair is not None and self.position(report.pair).net:
            entries = self._entries.get(report.pair, {})
            if report.order_id in entries or self._parent_of(report) in entries:
                return False
        return not any(child in self._open for child in self._children.get(report.order_id, ()))

    def _parent_of(self, report: OrderReport) -> str | None:
        return report.parent_id or self._parents.get(report.cl_ord_id or "")

    def _stopped(self, order_id: str) -> Decimal:
        total = ZERO
        for child_id in self._children.get(order_id, ()):
            child = self._orders.get(child_id)
            if child is None:  # settled: its position was flat, and so is what is left to stop
                continue
            if child.report.status.terminal:
                total += child.executed()[0]
            else:
                total += child.report.order_qty or ZERO
        return total

    def _index(self, report: OrderReport) -> None:
        if report.cl_ord_id is not None:
            self._by_intent.setdefault(report.cl_ord_id, report.order_id)
        parent = self._parent_of(report)
        if parent is not None:
            children = self._children.setdefault(parent, [])
            if report.order_id not in children:
                children.append(report.order_id)

    def _recognise(self) -> tuple[Execution, ...]:
        """Books the orders that are ours after all: a stop may be told before the order that it belongs to."""
        booked: list[Execution] = []
        for order_id in [i for i in self._awaiting if self._recognised(i)]:
            self._awaiting.discard(order_id)
            order = self._orders[order_id]
            order.ours = True
            self._index(order.report)
            booked.extend(self._booked(order))
        return tuple(booked)

    def _recognised(self, order_id: str) -> bool:
        current: str | None = order_id
        for _ in range(PARENTS_MAX):
            if current is None:
                return False
            if current in self._claimed:
                return True
            order = self._orders.get(current)
            if order is None:
                return False
            if order.ours or order.report.cl_ord_id in self._intents:
                return True
            current = order.report.parent_id
        return False

    def _booked(self, order: _Order) -> tuple[Execution, ...]:
        report = order.report
        if report.pair is None or report.side is None:
            return ()  # a stream's partial report of an order not yet described; the next one books it
        qty, cost = order.executed()
        more = qty - order.booked
        if more <= 0:
            return ()
        price = None if cost is None else (cost - order.booked_cost) / more
        intent = self._intents.get(report.cl_ord_id or "")
        if intent is not None and intent.stop is not None:
            self._entries.setdefault(report.pair, {})[report.order_id] = None
        order.booked = qty
        order.booked_cost = order.booked_cost if cost is None else cost
        self._positions[report.pair] = self.position(report.pair).moved(report.side, more, price)
        ts_ns = report.fill.ts_ns if report.fill is not None and report.fill.ts_ns else report.ts_ns
        return (
            Execution(
                order_id=report.order_id,
                pair=report.pair,
                side=report.side,
                qty=more,
                price=price,
                ts_ns=ts_ns,
            ),
        )


def _with_places(report: OrderReport, fill: Fill) -> OrderReport:
    """A report that says less than its fill does: pair, side and client id are the fill's."""
    return msgspec.structs.replace(
        report,
        pair=report.pair or fill.pair,
        side=report.side or fill.side,
        cl_ord_id=report.cl_ord_id or fill.cl_ord_id,
    )
