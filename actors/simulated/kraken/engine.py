"""The matching engine of the simulated Kraken: pure, told the time by its caller, and the keeper of every order.

Our orders fill against the recorded book without moving it. A market order walks the levels; a limit that does not
cross rests until the tape moves through it; a stop waits for the last trade. Each change is one `Happened` in
`happened`, in order, for the faces to tell. A fill creates the conditional close in the same instant.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from allstop.actors.simulated.kraken.accounts import MAKER_FEE, TAKER_FEE, Account, needed
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.checks import (
    check_amend,
    check_deadline,
    check_mode,
    check_order,
    walked,
)
from allstop.actors.simulated.kraken.counters import (
    ADD_COST,
    AMEND_COST,
    AMEND_PENALTY,
    CANCEL_PENALTY,
    TierLimits,
    penalty,
)
from allstop.actors.simulated.kraken.engine_rates import EngineRates
from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.orders import (
    AmendRequest,
    Execution,
    Happened,
    Order,
    OrderRequest,
    made,
    opposite,
)
from allstop.actors.simulated.kraken.positions import Positions
from allstop.actors.simulated.kraken.refusal import Refusal
from allstop.actors.simulated.kraken.switch import DeadMansSwitch
from allstop.actors.simulated.kraken.wire import Codes
from allstop.actors.simulated.kraken.witness import NOBODY

BATCH_CANCEL_MAX = 50
MATCHING = frozenset({"online", "limit_only", "reduce_only"})  # in the other modes nothing trades


class Engine:
    """Orders, executions and balances of all accounts."""

    def __init__(
        self,
        *,
        markets: dict[str, Market],
        accounts: dict[str, Account],
        limits: TierLimits,
        codes: Codes,
        counting: bool,
        limits_cover: bool,
    ) -> None:
        self.markets = markets
        self.accounts = accounts
        self.rates = EngineRates(limits, counting=counting)
        self.status = "online"
        self.pair_statuses: dict[str, str] = {}  # of pairs that are not online
        self.orders: dict[str, Order] = {}
        self.executions: list[Execution] = []
        self.happened: list[Happened] = []
        self._expiring: dict[str, Order] = {}  # of those that are open
        self.accepted_ids: dict[tuple[str, str], list[str]] = {}
        self.switch = DeadMansSwitch()
        self.positions = Positions(accounts, limits_cover=limits_cover)
        self.witness = NOBODY
        self.refuse_closes = 0  # how many conditional closes the venue shall refuse (a fault)
        self._codes = codes

    # -- commands ------------------------------------------------------------------------------------------------

    def add(self, account_name: str, request: OrderRequest, at: At) -> Order:
        """Takes an order and matches it at once. Raises Refusal."""
        account = self.accounts[account_name]
        check_mode(self.mode(request.pair.symbol), request)
        check_deadline(request.deadline_ns, at)
        self.rates.count(account_name, request.pair.symbol, ADD_COST, at)
        check_order(request, account, self.markets[request.pair.symbol])
        self.rates.room(account, request, at)
        if request.validate:
            return self._record(account, request, at, parent_id=None, kept=False)
        order = self._record(account, request, at, parent_id=None, kept=True)
        self._announce(order, at, created=False)
        self._work(order, at)
        return order

    def add_batch(self, account_name: str, requests: list[OrderRequest], at: At) -> list[Order | Refusal]:
        """2 to 15 orders of one pair, each taken or refused by itself."""
        if not 2 <= len(requests) <= 15 or len({request.pair.symbol for request in requests}) != 1:
            raise Refusal("EGeneral:Invalid arguments:orders")
        answers: list[Order | Refusal] = []
        for request in requests:
            try:
                answers.append(self.add(account_name, request, at))
            except Refusal as refusal:
                answers.append(refusal)
        return answers

    def amend(self, account_name: str, request: AmendRequest, at: At) -> tuple[Order, str]:
        """Changes an open order in place; the order and the amend's id. Raises Refusal."""
        self._cancel_admitted()
        check_deadline(request.deadline_ns, at)
        order = self._find(account_name, request.order_id, request.cl_ord_id)
        if self.mode(order.pair.symbol) == "cancel_only":
            raise Refusal("EService:Market in cancel_only mode")
        age_s = at.now_s - order.touched_s
        self.rates.count(account_name, order.pair.symbol, AMEND_COST + penalty(AMEND_PENALTY, age_s), at)
        check_amend(request, order, self.accounts[account_name], self.markets[order.pair.symbol])
        amend_id = self._codes.new("T")
        if request.qty is not None and request.qty <= order.filled:
            order.note("amended", at.wall_ns, qty=str(request.qty))
            self._end(order, "canceled", "User requested", at)
            return order, amend_id
        order.qty = request.qty if request.qty is not None else order.qty
        order.limit_price = request.limit_price if request.limit_price is not None else order.limit_price
        order.trigger_price = (
            request.trigger_price if request.trigger_price is not None else order.trigger_price
        )
        order.touched_s = at.now_s
        change: dict[str, Any] = {"amend_id": amend_id, **_terms(order), "timestamp": at.wall_ns}
        order.amends.append(change)
        order.note("amended", at.wall_ns, **_terms(order))
        self._tell("amended", order, at)
        self.positions.measure(order, at)
        self._work(order, at)
        return order, amend_id

    def cancel(self, account_name: str, *, order_id: str | None, cl_ord_id: str | None, at: At) -> Order:
        """Cancels one open order. Raises Refusal."""
        self._cancel_admitted()
        order = self._find(account_name, order_id, cl_ord_id)
        cost = penalty(CANCEL_PENALTY, at.now_s - order.touched_s)
        self.rates.count(account_name, order.pair.symbol, cost, at)
        self._end(order, "canceled", "User requested", at)
        return order

    def cancel_batch(self, account_name: str, ids: Iterable[str], at: At) -> int:
        """Cancels up to 50 by either id; how many there were. Admitted even over the limit, though counted."""
        self._cancel_admitted()
        wanted = list(ids)
        if not 1 <= len(wanted) <= BATCH_CANCEL_MAX:
            raise Refusal("EGeneral:Invalid arguments:orders")
        found: list[Order] = []
        for one in wanted:
            try:
                order = self._find(account_name, one, None)
            except Refusal:
                order = self.accounts[account_name].named(one)
            if order is not None and order not in found:
                found.append(order)
        return self._end_all(account_name, found, at)

    def cancel_all(self, account_name: str, at: At) -> int:
        """Cancels every open order, untriggered stops included."""
        self._cancel_admitted()
        return self._end_all(account_name, list(self.accounts[account_name].open.values()), at)

    # -- what the world does -------------------------------------------------------------------------------------

    def market_moved(self, symbol: str, at: At) -> None:
        """After a frame of the tape: lets stops trigger and resting orders fill."""
        if self.mode(symbol) not in MATCHING:
            return
        for account in self.accounts.values():
            for order in [order for order in account.open.values() if order.pair.symbol == symbol]:
                if order.open:
                    self._work(order, at)

    def come_to(self, account_name: str, cl_ord_id: str, qty: Decimal | None, at: At) -> None:
        """The market comes to a resting limit order and takes so much of it, by default the rest, at its own price.
        Raises Refusal when none rests."""
        order = self._find(account_name, None, cl_ord_id)
        if order.works_limit is None:
            raise Refusal("EOrder:Unknown order")
        self._fill(order, order.works_limit, order.remaining if qty is None else qty, maker=True, at=at)

    def tick(self, at: At) -> None:
        """What time alone does: orders expire, the dead man's switch fires once. In a maintenance nothing is cancelled: a
        switch whose time came meanwhile fires when the engine is back."""
        for order in [order for order in self._expiring.values() if at.wall_ns >= order.expire_ns]:
            self._end(order, "expired", "Order expired", at)
        for name in () if self.status == "maintenance" else self.switch.fired(at):
            for order in list(self.accounts[name].open.values()):
                self._end(order, "canceled", "Cancel all orders after", at)

    def moments(self, at: At) -> list[float]:
        """When `tick` does something, as things stand."""
        expire = [at.now_s + (order.expire_ns - at.wall_ns) / 1e9 for order in self._expiring.values()]
        return expire if self.status == "maintenance" else [*self.switch.moments(), *expire]

    def turn(self, status: str, at: At) -> None:
        """Changes the system's status. Matching resumes at online."""
        self.status = status
        if status == "online":
            for symbol in self.markets:
                self.market_moved(symbol, at)

    def turn_pair(self, symbol: str, status: str, at: At) -> None:
        """Changes what one pair lets be done."""
        self.pair_statuses[symbol] = status
        self.market_moved(symbol, at)

    # -- reading -------------------------------------------------------------------------------------------------

    def mode(self, symbol: str) -> str:
        """What may be done in a pair now: the system's status, or the pair's own where the system is online."""
        return self.pair_statuses.get(symbol, "online") if self.status == "online" else self.status

    def drain(self) -> list[Happened]:
        """What happened since the last call."""
        happened, self.happened = self.happened, []
        return happened

    # -- counting and finding --------------------------------------------------------------------------------------

    def _cancel_admitted(self) -> None:
        if self.status == "maintenance":
            raise Refusal("EService:Unavailable")

    def _find(self, account: str, order_id: str | None, cl_ord_id: str | None) -> Order:
        order = self.orders.get(order_id) if order_id else None
        if order_id is None and cl_ord_id is not None:
            order = self.accounts[account].named(cl_ord_id)
        if order is None or order.account != account or not order.open:
            raise Refusal("EOrder:Unknown order")
        return order

    def _end_all(self, account: str, orders: Iterable[Order], at: At) -> int:
        """Cancels a batch: counted, but never refused for the count."""
        ended = 0
        for order in orders:
            cost = penalty(CANCEL_PENALTY, at.now_s - order.touched_s)
            self.rates.counter(account, order.pair.symbol).add(cost, at.now_s)
            self._end(order, "canceled", "User requested", at)
            ended += 1
        return ended

    # -- making, matching and ending ------------------------------------------------------------------------------

    def _record(
        self, account: Account, request: OrderRequest, at: At, *, parent_id: str | None, kept: bool
    ) -> Order:
        order = made(request, account.name, at, order_id=self._codes.new("O"), parent_id=parent_id)
        if kept:
            self.orders[order.order_id] = order
            account.open[order.order_id] = order
            if order.expire_ns:
                self._expiring[order.order_id] = order
            order.note("accepted", at.wall_ns, **_terms(order))
            order.amends.append(
                {
                    "amend_id": self._codes.new("T"),
                    "type": "original",
                    **_terms(order),
                    "timestamp": at.wall_ns,
                }
            )
            if order.cl_ord_id is not None:
                self.accepted_ids.setdefault((account.name, order.cl_ord_id), []).append(order.order_id)
        return order

    def _announce(self, order: Order, at: At, *, created: bool) -> None:
        self.witness.accepted(order)
        for kind in ("pending_new", "new"):
            self._tell(kind, order, at, created=created)
        self.positions.measure(order, at)

    def _work(self, order: Order, at: At) -> None:
        """Triggers and matches one open order as far as the market lets it."""
        market = self.markets[order.pair.symbol]
        if self.mode(order.pair.symbol) not in MATCHING:
            if order.time_in_force == "ioc":
                self._end(order, "canceled", "IOC order", at)
            return
        if order.waits_for_trigger:
            if market.last is None or not order.triggers_at(market.last):
                return
            self._trigger(order, market.last, at)
            if not order.open:
                return
        fills = walked(market.takes(order.side, order.works_limit), order.remaining)
        if order.works_limit is not None and order.rests and fills:
            # The market came to it: it gives its own price, once, as maker.
            fills = [(order.works_limit, sum((qty for _, qty in fills), Decimal(0)))]
        for price, qty in fills:
            self._fill(order, price, qty, maker=order.rests, at=at)
        order.rests = order.open and order.works_limit is not None
        if order.open and order.time_in_force == "ioc":
            self._end(order, "canceled", "IOC order", at)

    def _trigger(self, order: Order, last: Decimal, at: At) -> None:
        order.triggered = True
        order.note("triggered", at.wall_ns, last=str(last))
        self._tell("status", order, at)
        account = self.accounts[order.account]
        if account.stops_hold:
            return
        asset, amount = needed(order, order.remaining, True)
        if amount > account.free(asset, without=order):
            self._end(order, "canceled", "Insufficient funds", at)

    def _fill(self, order: Order, price: Decimal, qty: Decimal, *, maker: bool, at: At) -> None:
        pair, account = order.pair, self.accounts[order.account]
        cost = (qty * price).quantize(Decimal(1).scaleb(-pair.cost_decimals))
        fee = (cost * (MAKER_FEE if maker else TAKER_FEE)).quantize(Decimal(1).scaleb(-pair.cost_decimals))
        execution = Execution(
            exec_id=self._codes.new("T"),
            trade_id=self._codes.count(),
            order_id=order.order_id,
            account=order.account,
            cl_ord_id=order.cl_ord_id,
            symbol=pair.symbol,
            side=order.side,
            order_type=order.order_type,
            qty=qty,
            price=price,
            cost=cost,
            fee=fee,
            maker=maker,
            wall_ns=at.wall_ns,
        )
        sign = 1 if order.side == "buy" else -1
        account.move(pair.base, sign * qty)
        account.move(pair.quote, -sign * cost - fee)
        order.filled += qty
        order.cost += cost
        order.fee += fee
        order.trades.append(execution.exec_id)
        order.status = "partially_filled"
        order.note("trade", at.wall_ns, exec_id=execution.exec_id, qty=str(qty), price=str(price))
        self.executions.append(execution)
        self.witness.executed(execution)
        self.positions.move(order.account, pair.symbol, sign * qty)
        self._tell("trade", order, at, execution=execution)
        if order.filled == order.qty:
            self._end(order, "filled", None, at, measured=False)
        if order.close is not None:
            self._close(order, qty, at)
        self.positions.measure(order, at)

    def _close(self, parent: Order, qty: Decimal, at: At) -> None:
        """The conditional close of one fill: an independent order of the opposite side and the filled quantity."""
        assert parent.close is not None
        request = OrderRequest(
            pair=parent.pair,
            side=opposite(parent.side),
            order_type=parent.close.order_type,
            qty=qty,
            limit_price=parent.close.limit_price,
            trigger_price=parent.close.trigger_price,
            via="close",
        )
        account = self.accounts[parent.account]
        order = self._record(account, request, at, parent_id=parent.order_id, kept=True)
        self._announce(order, at, created=True)
        asset, amount = needed(order, order.remaining, account.stops_hold)
        if self.refuse_closes > 0 or amount > account.free(asset, without=order):
            self.refuse_closes = max(0, self.refuse_closes - 1)
            self._end(order, "canceled", "Insufficient funds", at)
            return
        self._work(order, at)

    def _end(self, order: Order, status: str, reason: str | None, at: At, *, measured: bool = True) -> None:
        order.status, order.reason, order.closed_ns = status, reason, at.wall_ns
        order.note(status, at.wall_ns, **({"reason": reason} if reason else {}))
        self.accounts[order.account].open.pop(order.order_id, None)
        self._expiring.pop(order.order_id, None)
        self.witness.ended(order)
        self._tell(status, order, at)
        if measured:
            self.positions.measure(order, at)

    def _tell(
        self, kind: str, order: Order, at: At, *, execution: Execution | None = None, created: bool = False
    ) -> None:
        seen = order.as_it_is()  # now: the live record goes on changing before anyone is told
        self.happened.append(
            Happened(kind=kind, order=seen, wall_ns=at.wall_ns, execution=execution, created=created)
        )


def _terms(order: Order) -> dict[str, str]:
    terms = {"qty": order.qty, "limit_price": order.limit_price, "trigger_price": order.trigger_price}
    return {name: str(value) for name, value in terms.items() if value is not None}
