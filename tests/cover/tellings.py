"""What can be told to an account book, by chance: for tests of whatever is remembered for as long as a book says the same."""

from collections.abc import Callable
from decimal import Decimal
from random import Random

import msgspec
from tests.cover.toy_venue import D, entry

from allstop.actors.intents import OrderIntent, OrderType, Side, TimeInForce
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.positions import AccountBook
from allstop.actors.reports import Fill, OrderReport, OrderStatus

PAIRS = ("BTC/USD", "ETH/USD")
QUANTITIES = ("0.00005", "0.5", "1", "1.5")  # the first is below the minimum


class Tellings:
    """Changes one book, and tells it the same again now and then. The same seed tells the same."""

    def __init__(self, dice: Random, book: AccountBook) -> None:
        self.dice = dice
        self.book = book
        self.orders: dict[str, OrderReport] = {}
        self.now_ns = 0

    def tell(self) -> str:
        """One thing by chance. Its name."""
        deeds: tuple[Callable[[], None], ...] = (
            self.intends,
            self.enters,
            self.executes,
            self.stops,
            self.ends,
            self.resizes,
            self.triggers,
            self.mends,
            self.mends,
            self.leaves,
            self.strange,
            self.claims,
            self.repeats,
            self.forgets,
        )
        deed = self.dice.choice(deeds)
        self.now_ns += self.dice.randrange(1_000_000_000)
        deed()
        return deed.__name__

    # -- what happens ----------------------------------------------------------------------------------------

    def intends(self) -> None:
        """An entry of which nothing was shown yet."""
        self.book.know(msgspec.structs.replace(entry(f"e{self.now_ns}", self._qty()), pair=self._pair()))

    def enters(self) -> None:
        """An entry of ours; it is known before or after it is shown."""
        order_id = f"E{len(self.orders)}"
        intent = msgspec.structs.replace(entry(order_id.lower(), self._qty()), pair=self._pair())
        early = self.dice.random() < 0.7
        if early:
            self.book.know(intent)
        self._show(self._of(order_id, intent))
        if not early:
            self.book.know(intent)

    def executes(self) -> None:
        order = self._one(lambda o: o.leaves_qty > 0)
        if order is None:
            return
        qty = min(order.leaves_qty, D(self._qty()))
        cum = (order.cum_qty or D(0)) + qty
        whole = cum == order.order_qty
        fill = None
        if self.dice.random() < 0.5 and order.pair and order.side:
            fill = Fill(
                exec_id=f"{order.order_id}:{cum}",
                order_id=order.order_id,
                pair=order.pair,
                side=order.side,
                qty=qty,
                price=D(100),
            )
        status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
        self._change(order, cum_qty=cum, avg_price=D(100), status=status, fill=fill)

    def stops(self) -> None:
        """The venue makes a stop of an entry."""
        parent = self._one(lambda o: o.order_id.startswith("E"))
        if parent is None or parent.side is None:
            return
        limited = self.dice.random() < 0.4
        self._show(
            OrderReport(
                order_id=f"S{len(self.orders)}",
                status=OrderStatus.NEW,
                pair=parent.pair,
                side=parent.side.opposite,
                order_type=OrderType.STOP_LOSS_LIMIT if limited else OrderType.STOP_LOSS,
                order_qty=parent.cum_qty or parent.order_qty,
                cum_qty=D(0),
                trigger_price=D(90),
                limit_price=D(89) if limited else None,
                parent_id=parent.order_id,
            )
        )

    def ends(self) -> None:
        if (order := self._one(lambda o: not o.status.terminal)) is not None:
            self._change(order, status=OrderStatus.CANCELED)

    def resizes(self) -> None:
        if (order := self._one(lambda o: o.order_id.startswith("S") and not o.status.terminal)) is not None:
            self._change(order, order_qty=(order.cum_qty or D(0)) + D(self._qty()))

    def triggers(self) -> None:
        if (order := self._one(lambda o: o.order_id.startswith("S") and not o.status.terminal)) is not None:
            self._change(order, triggered=True)

    def mends(self, pair: str = "") -> None:
        """One stop of exactly the position's size, and nothing else open."""
        pair = pair or self._pair()
        for order in self.book.open_orders(pair):
            self._change(order, status=OrderStatus.CANCELED)
        position = self.book.position(pair)
        if position.reducing is None:
            return
        order_id = f"S{len(self.orders)}"
        stop = msgspec.structs.replace(entry(order_id.lower(), str(abs(position.net))), pair=pair, stop=None)
        self.book.know(stop)
        self._show(
            msgspec.structs.replace(
                self._of(order_id, stop),
                side=position.reducing,
                order_type=OrderType.STOP_LOSS,
                trigger_price=D(90),
            )
        )

    def leaves(self) -> None:
        """An exit of ours that is immediate-or-cancel, shown for its moment."""
        order_id = f"X{len(self.orders)}"
        intent = OrderIntent(
            id=order_id.lower(),
            pair=self._pair(),
            side=Side.SELL,
            qty=D(self._qty()),
            order_type=OrderType.LIMIT,
            limit_price=D(95),
            time_in_force=TimeInForce.IOC,
            kind=IntentKind.REDUCE,
        )
        self.book.know(intent)
        self._show(self._of(order_id, intent))

    def strange(self) -> None:
        """Somebody else's order."""
        intent = msgspec.structs.replace(entry("nobody", self._qty()), pair=self._pair())
        order = self._of(f"N{len(self.orders)}", intent)
        self._show(msgspec.structs.replace(order, cl_ord_id=None))

    def claims(self) -> None:
        if (order := self._one(lambda o: o.order_id.startswith("N"))) is not None:
            self.book.claim(order.order_id)

    def repeats(self) -> None:
        """As every list does."""
        for order in self.orders.values():
            self.book.take(order)

    def forgets(self) -> None:
        self.book.settle(self.now_ns - 10_000_000_000)

    # -- inside ----------------------------------------------------------------------------------------------

    def _of(self, order_id: str, intent: OrderIntent) -> OrderReport:
        return OrderReport(
            order_id=order_id,
            status=OrderStatus.NEW,
            pair=intent.pair,
            side=intent.side,
            order_type=intent.order_type,
            order_qty=intent.qty,
            cum_qty=D(0),
            limit_price=intent.limit_price,
            cl_ord_id=intent.id,
        )

    def _show(self, order: OrderReport) -> None:
        self.orders[order.order_id] = order = msgspec.structs.replace(order, ts_ns=self.now_ns)
        self.book.take(order)

    def _change(self, order: OrderReport, **changes: object) -> None:
        self._show(msgspec.structs.replace(order, **({"fill": None} | changes)))

    def _one(self, wanted: Callable[[OrderReport], bool]) -> OrderReport | None:
        found = [order for order in self.orders.values() if wanted(order)]
        return self.dice.choice(found) if found else None

    def _pair(self) -> str:
        return self.dice.choice(PAIRS)

    def _qty(self) -> str:
        return self.dice.choice(QUANTITIES)


def answers(book: AccountBook, order_ids: tuple[str, ...]) -> tuple[object, ...]:
    """All that a book says."""
    net: dict[str, Decimal] = {pair: book.external_net(pair) for pair in PAIRS}
    return (
        book.positions(),
        book.open_orders(),
        book.external(),
        net,
        tuple(sorted(book.intents(), key=lambda intent: intent.id)),
        book.vanished(()),
        [(book.open_orders(pair), book.entries(pair), book.position(pair)) for pair in PAIRS],
        [
            (i, book.order(i), book.is_ours(i), book.order_of(i.lower()), book.intent(i.lower()))
            for i in order_ids
        ],
    )
