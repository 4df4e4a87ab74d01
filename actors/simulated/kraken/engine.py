"""The matching engine of the simulated Kraken: pure, told the time by its caller, and the keeper of every order.

Our orders fill against the recorded book without moving it. A market order walks the levels; a limit that does not
cross rests until the tape moves through it; a stop waits for the last trade. Each change is one `Happened` in
`happened`, in order, for the faces to tell. A fill creates the conditional close in the same instant.
"""

import copy
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from allstop.actors.simulated.kraken.accounts import MAKER_FEE, TAKER_FEE, Account, needed
from allstop.actors.simulated.kraken.counters import (
    ADD_COST,
    AMEND_COST,
    AMEND_PENALTY,
    CANCEL_PENALTY,
    Counter,
    TierLimits,
    penalty,
)
from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.orders import (
    LIMIT,
    LIMIT_TYPES,
    MARKET,
    ORDER_TYPES,
    TRIGGERED_TYPES,
    AmendRequest,
    Execution,
    Order,
    OrderRequest,
    opposite,
)
from allstop.actors.simulated.kraken.wire import Codes

CL_ORD_ID = re.compile(r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[\x21-\x7e]{1,18})$")
BATCH_CANCEL_MAX = 50
DEADLINE_MAX_NS = 60_000_000_000


class At(NamedTuple):
    """A moment: seconds on a clock that never steps, and the wall's nanoseconds."""

    now_s: float
    wall_ns: int


class Refusal(Exception):
    """The venue says no, in its own words."""


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of an order. `order` is as it stood then."""

    kind: str  # pending_new, new, trade, filled, canceled, expired, amended, status (a stop was triggered)
    order: Order
    wall_ns: int
    execution: Execution | None = None
    created: bool = False  # by a conditional close


class LimitBroken(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the venue that a client broke; told in the truth."""

    kind: str
    who: str
    wall_ns: int
    detail: str = ""


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
        self.limits = limits
        self.counting = counting
        self.limits_cover = limits_cover
        self.status = "online"
        self.orders: dict[str, Order] = {}
        self.executions: list[Execution] = []
        self.broken: list[LimitBroken] = []
        self.happened: list[Happened] = []
        self.accepted_ids: dict[tuple[str, str], list[str]] = {}
        self.switch_at: dict[str, At] = {}  # CancelAllOrdersAfter, by account
        self.positions: dict[tuple[str, str], Decimal] = {}
        self.on_position: Callable[[str, str, Decimal, Decimal, int], None] = lambda *_: None
        self.refuse_closes = 0  # how many conditional closes the venue shall refuse (a fault)
        self._codes = codes
        self._counters: dict[tuple[str, str], Counter] = {}

    # -- commands ------------------------------------------------------------------------------------------------

    def add(self, account_name: str, request: OrderRequest, at: At) -> Order:
        """Takes an order and matches it at once. Raises Refusal."""
        account = self.accounts[account_name]
        self._admit_mode(request)
        _within_deadline(request.deadline_ns, at)
        self._count(account_name, request.pair.symbol, ADD_COST, at)
        self._check(account, request, at)
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
        if self.status in ("maintenance",):
            raise Refusal("EService:Unavailable")
        if self.status == "cancel_only":
            raise Refusal("EService:Market in cancel_only mode")
        _within_deadline(request.deadline_ns, at)
        order = self._find(account_name, request.order_id, request.cl_ord_id)
        age_s = at.now_s - order.touched_s
        self._count(account_name, order.pair.symbol, AMEND_COST + penalty(AMEND_PENALTY, age_s), at)
        self._check_amend(order, request)
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
        self._measure(order, at)
        self._work(order, at)
        return order, amend_id

    def cancel(self, account_name: str, *, order_id: str | None, cl_ord_id: str | None, at: At) -> Order:
        """Cancels one open order. Raises Refusal."""
        self._cancel_admitted()
        order = self._find(account_name, order_id, cl_ord_id)
        cost = penalty(CANCEL_PENALTY, at.now_s - order.touched_s)
        self._count(account_name, order.pair.symbol, cost, at)
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
                order = self._open_with_client_id(account_name, one)
            if order is not None and order not in found:
                found.append(order)
        for order in found:
            counter = self.counter(account_name, order.pair.symbol)
            counter.add(penalty(CANCEL_PENALTY, at.now_s - order.touched_s), at.now_s)
            self._end(order, "canceled", "User requested", at)
        return len(found)

    def cancel_all(self, account_name: str, at: At, reason: str = "User requested") -> int:
        """Cancels every open order, untriggered stops included."""
        self._cancel_admitted()
        found = list(self.accounts[account_name].open.values())
        for order in found:
            self._end(order, "canceled", reason, at)
        return len(found)

    def cancel_all_after(self, account_name: str, timeout_s: int, at: At) -> At | None:
        """Arms the switch, or disarms it with 0; when it will fire."""
        if not 0 <= timeout_s < 86400:
            raise Refusal("EGeneral:Invalid arguments:timeout")
        if timeout_s == 0:
            self.switch_at.pop(account_name, None)
            return None
        fires = At(at.now_s + timeout_s, at.wall_ns + timeout_s * 1_000_000_000)
        self.switch_at[account_name] = fires
        return fires

    # -- what the world does -------------------------------------------------------------------------------------

    def market_moved(self, symbol: str, at: At) -> None:
        """After a frame of the tape: lets stops trigger and resting orders fill."""
        if self.status != "online":
            return
        for account in self.accounts.values():
            for order in [order for order in account.open.values() if order.pair.symbol == symbol]:
                if order.open:
                    self._work(order, at)

    def tick(self, at: At) -> None:
        """What time alone does: orders expire, the dead man's switch fires once."""
        for account in self.accounts.values():
            for order in list(account.open.values()):
                if order.expire_ns and at.wall_ns >= order.expire_ns:
                    self._end(order, "expired", "Order expired", at)
        for name, fires in list(self.switch_at.items()):
            if at.now_s >= fires.now_s:
                del self.switch_at[name]
                for order in list(self.accounts[name].open.values()):
                    self._end(order, "canceled", "Cancel all orders after", at)

    def turn(self, status: str, at: At) -> None:
        """Changes the system's status. Matching resumes at online."""
        self.status = status
        if status == "online":
            for symbol in self.markets:
                self.market_moved(symbol, at)

    # -- reading -------------------------------------------------------------------------------------------------

    def counter(self, account: str, symbol: str) -> Counter:
        """The engine's rate counter of an account and pair."""
        key = (account, symbol)
        if key not in self._counters:
            self._counters[key] = Counter(self.limits.engine_max, self.limits.engine_decay)
        return self._counters[key]

    def cover(self, account: str, symbol: str) -> Decimal:
        """What protects the position: open stops and flattening orders on its reducing side."""
        position = self.positions.get((account, symbol), Decimal(0))
        side = "sell" if position > 0 else "buy"
        return sum(
            (
                order.remaining
                for order in self.accounts[account].open.values()
                if order.pair.symbol == symbol and order.side == side and self._covers(order)
            ),
            Decimal(0),
        )

    def drain(self) -> list[Happened]:
        """What happened since the last call."""
        happened, self.happened = self.happened, []
        return happened

    # -- checks --------------------------------------------------------------------------------------------------

    def _admit_mode(self, request: OrderRequest) -> None:
        match self.status:
            case "maintenance":
                raise Refusal("EService:Unavailable")
            case "cancel_only":
                raise Refusal("EService:Market in cancel_only mode")
            case "post_only" if not (request.post_only and request.order_type == LIMIT):
                raise Refusal("EService:Market in post_only mode")
            case _:
                return

    def _cancel_admitted(self) -> None:
        if self.status == "maintenance":
            raise Refusal("EService:Unavailable")

    def _count(self, account: str, symbol: str, cost: float, at: At) -> None:
        counter = self.counter(account, symbol)
        if not self.counting:
            return
        if not counter.admits(cost, at.now_s):
            detail = f"{symbol} at {counter.at(at.now_s):.2f} of {counter.maximum:g}, asked {cost:g}"
            self.broken.append(
                LimitBroken(kind="engine_rate", who=account, wall_ns=at.wall_ns, detail=detail)
            )
            raise Refusal("EOrder:Rate limit exceeded")
        counter.add(cost, at.now_s)

    def _check(self, account: Account, request: OrderRequest, at: At) -> None:
        pair = request.pair
        if request.side not in ("buy", "sell"):
            raise Refusal("EGeneral:Invalid arguments:type")
        if request.order_type not in ORDER_TYPES:
            raise Refusal("EGeneral:Invalid arguments:ordertype")
        if request.time_in_force not in ("gtc", "ioc", "gtd"):
            raise Refusal("EGeneral:Invalid arguments:timeinforce")
        _check_qty(request.qty, pair.lot, pair.min_qty)
        self._check_prices(request)
        if request.reduce_only:
            raise Refusal("EOrder:Reduce only:No position exists")  # there is no margin here: spot only
        price = request.limit_price or request.trigger_price or self._touch(request)
        if price is not None and price * request.qty < pair.min_cost:
            raise Refusal("EOrder:Cost minimum not met")
        if request.cl_ord_id is not None:
            if not CL_ORD_ID.match(request.cl_ord_id) or request.userref:
                raise Refusal("EGeneral:Invalid arguments:cl_ord_id")
            if self._open_with_client_id(account.name, request.cl_ord_id) is not None:
                raise Refusal("EGeneral:Invalid arguments:cl_ord_id")
        if sum(order.pair == pair for order in account.open.values()) >= self.limits.open_orders:
            self.broken.append(
                LimitBroken(kind="open_orders", who=account.name, wall_ns=at.wall_ns, detail=pair.symbol)
            )
            raise Refusal("EOrder:Orders limit exceeded")
        if request.post_only and self.markets[pair.symbol].takes(request.side, request.limit_price):
            raise Refusal("EOrder:Post only order")
        self._check_funds(account, request)

    def _check_prices(self, request: OrderRequest) -> None:
        for wanted, price in (
            (request.order_type in LIMIT_TYPES, request.limit_price),
            (request.order_type in TRIGGERED_TYPES, request.trigger_price),
        ):
            if wanted != (price is not None):
                raise Refusal("EGeneral:Invalid arguments:price")
        close = request.close
        prices = [request.limit_price, request.trigger_price]
        if close is not None:
            if close.order_type not in ORDER_TYPES - {MARKET}:
                raise Refusal("EGeneral:Invalid arguments:close[ordertype]")
            if (close.order_type in LIMIT_TYPES) != (close.limit_price is not None):
                raise Refusal("EGeneral:Invalid arguments:close[price]")
            if (close.order_type in TRIGGERED_TYPES) != (close.trigger_price is not None):
                raise Refusal("EGeneral:Invalid arguments:close[price]")
            prices += [close.limit_price, close.trigger_price]
        for price in prices:
            _check_price(price, request.pair.tick)

    def _check_funds(self, account: Account, request: OrderRequest) -> None:
        asset, amount = needed(request, request.qty, account.stops_hold)
        if request.side == "buy" and request.order_type == MARKET:
            levels = self.markets[request.pair.symbol].takes("buy", None)
            amount = sum((p * q for p, q in _walked(levels, request.qty)), Decimal(0)) * (1 + TAKER_FEE)
        if amount > account.free(asset):
            raise Refusal("EOrder:Insufficient funds")

    def _check_amend(self, order: Order, request: AmendRequest) -> None:
        if request.qty is None and request.limit_price is None and request.trigger_price is None:
            raise Refusal("EGeneral:Invalid arguments")
        if request.limit_price is not None and order.order_type not in LIMIT_TYPES:
            raise Refusal("EGeneral:Invalid arguments:limit_price")
        if request.trigger_price is not None and not order.waits_for_trigger:
            raise Refusal("EGeneral:Invalid arguments:trigger_price")
        for price in (request.limit_price, request.trigger_price):
            _check_price(price, order.pair.tick)
        if request.qty is not None and request.qty > order.filled:
            _check_qty(request.qty, order.pair.lot, order.pair.min_qty)
            account = self.accounts[order.account]
            asset, amount = needed(order, request.qty - order.filled, account.stops_hold)
            if amount > account.free(asset, without=order):
                raise Refusal("EOrder:Insufficient funds")
        if request.post_only and self.markets[order.pair.symbol].takes(order.side, request.limit_price):
            raise Refusal("EOrder:Post only order")

    def _touch(self, request: OrderRequest) -> Decimal | None:
        market = self.markets[request.pair.symbol]
        best = market.best_ask() if request.side == "buy" else market.best_bid()
        return best[0] if best else None

    def _find(self, account: str, order_id: str | None, cl_ord_id: str | None) -> Order:
        order = self.orders.get(order_id) if order_id else None
        if order_id is None and cl_ord_id is not None:
            order = self._open_with_client_id(account, cl_ord_id)
        if order is None or order.account != account or not order.open:
            raise Refusal("EOrder:Unknown order")
        return order

    def _open_with_client_id(self, account: str, cl_ord_id: str) -> Order | None:
        for order in self.accounts[account].open.values():
            if order.cl_ord_id == cl_ord_id:
                return order
        return None

    # -- making, matching and ending ------------------------------------------------------------------------------

    def _record(
        self, account: Account, request: OrderRequest, at: At, *, parent_id: str | None, kept: bool
    ) -> Order:
        order = Order(
            order_id=self._codes.new("O"),
            account=account.name,
            pair=request.pair,
            side=request.side,
            order_type=request.order_type,
            qty=request.qty,
            limit_price=request.limit_price,
            trigger_price=request.trigger_price,
            time_in_force=request.time_in_force,
            expire_ns=request.expire_ns,
            post_only=request.post_only,
            reduce_only=request.reduce_only,
            cl_ord_id=request.cl_ord_id,
            userref=request.userref,
            close=request.close,
            parent_id=parent_id,
            opened_ns=at.wall_ns,
            touched_s=at.now_s,
            via=request.via,
        )
        if kept:
            self.orders[order.order_id] = order
            account.open[order.order_id] = order
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
        for kind in ("pending_new", "new"):
            self._tell(kind, order, at, created=created)
        self._measure(order, at)

    def _work(self, order: Order, at: At) -> None:
        """Triggers and matches one open order as far as the market lets it."""
        market = self.markets[order.pair.symbol]
        if self.status != "online":
            if order.time_in_force == "ioc":
                self._end(order, "canceled", "IOC order", at)
            return
        if order.waits_for_trigger:
            if market.last is None or not order.triggers_at(market.last):
                return
            self._trigger(order, market.last, at)
            if not order.open:
                return
        fills = _walked(market.takes(order.side, order.works_limit), order.remaining)
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
        key = (order.account, pair.symbol)
        self.positions[key] = self.positions.get(key, Decimal(0)) + sign * qty
        self._tell("trade", order, at, execution=execution)
        if order.filled == order.qty:
            self._end(order, "filled", None, at, measured=False)
        if order.close is not None:
            self._close(order, qty, at)
        self._measure(order, at)

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
        self._tell(status, order, at)
        if measured:
            self._measure(order, at)

    def _tell(
        self, kind: str, order: Order, at: At, *, execution: Execution | None = None, created: bool = False
    ) -> None:
        seen = copy.copy(order)  # as it stands now: the live record goes on changing before anyone is told
        self.happened.append(
            Happened(kind=kind, order=seen, wall_ns=at.wall_ns, execution=execution, created=created)
        )

    def _measure(self, order: Order, at: At) -> None:
        account, symbol = order.account, order.pair.symbol
        position = self.positions.get((account, symbol), Decimal(0))
        self.on_position(account, symbol, position, self.cover(account, symbol), at.wall_ns)

    def _covers(self, order: Order) -> bool:
        if order.order_type in ("stop-loss", "stop-loss-limit") or order.order_type == MARKET:
            return True
        return self.limits_cover and order.order_type == LIMIT


def _walked(levels: Iterable[tuple[Decimal, Decimal]], qty: Decimal) -> list[tuple[Decimal, Decimal]]:
    """How a quantity is met by levels: (price, quantity) of each fill, best first."""
    fills = []
    for price, offered in levels:
        if qty <= 0:
            break
        fills.append((price, min(offered, qty)))
        qty -= offered
    return fills


def _within_deadline(deadline_ns: int | None, at: At) -> None:
    if deadline_ns is None:
        return
    if at.wall_ns > deadline_ns:
        raise Refusal("EService:Deadline elapsed")
    if deadline_ns > at.wall_ns + DEADLINE_MAX_NS:
        raise Refusal("EGeneral:Invalid arguments:deadline")


def _check_qty(qty: Decimal, lot: Decimal, minimum: Decimal) -> None:
    if qty <= 0 or qty % lot:
        raise Refusal("EGeneral:Invalid arguments:volume")
    if qty < minimum:
        raise Refusal("EOrder:Order minimum not met")


def _check_price(price: Decimal | None, tick: Decimal) -> None:
    if price is None:
        return
    if price <= 0:
        raise Refusal("EOrder:Invalid price")
    if price % tick:
        raise Refusal("EOrder:Tick size check failed")


def _terms(order: Order) -> dict[str, str]:
    terms = {"qty": order.qty, "limit_price": order.limit_price, "trigger_price": order.trigger_price}
    return {name: str(value) for name, value in terms.items() if value is not None}
