"""What the venue asks of an order before it takes it: pure rules, each refusal in the venue's own words."""

import re
from collections.abc import Iterable
from decimal import Decimal

from allstop.actors.simulated.kraken.accounts import TAKER_FEE, Account, needed
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.orders import (
    LIMIT,
    LIMIT_TYPES,
    MARKET,
    ORDER_TYPES,
    TRIGGERED_TYPES,
    AmendRequest,
    CloseTerms,
    Order,
    OrderRequest,
)
from allstop.actors.simulated.kraken.refusal import Refusal

CL_ORD_ID = re.compile(r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[\x21-\x7e]{1,18})$")
DEADLINE_MAX_NS = 60_000_000_000


def check_mode(status: str, request: OrderRequest) -> None:
    """Whether such an order is taken in the present status of the system and the pair."""
    match status:
        case "maintenance" | "work_in_progress":
            raise Refusal("EService:Unavailable")
        case "delisted":
            raise Refusal("EQuery:Unknown asset pair")
        case "limit_only" if request.order_type != LIMIT:
            raise Refusal("EService:Market in limit_only mode")
        case "reduce_only" if request.side == "buy":
            raise Refusal("EService:Market in reduce_only mode")
        case "cancel_only":
            raise Refusal("EService:Market in cancel_only mode")
        case "post_only" if not (request.post_only and request.order_type == LIMIT):
            raise Refusal("EService:Market in post_only mode")
        case _:
            return


def check_deadline(deadline_ns: int | None, at: At) -> None:
    if deadline_ns is None:
        return
    if at.wall_ns > deadline_ns:
        raise Refusal("EService:Deadline elapsed")
    if deadline_ns > at.wall_ns + DEADLINE_MAX_NS:
        raise Refusal("EGeneral:Invalid arguments:deadline")


def check_order(request: OrderRequest, account: Account, market: Market) -> None:
    """Everything that an order must be in itself, and that the account must have for it."""
    pair = request.pair
    if request.side not in ("buy", "sell"):
        raise Refusal("EGeneral:Invalid arguments:type")
    if request.order_type not in ORDER_TYPES:
        raise Refusal("EGeneral:Invalid arguments:ordertype")
    if request.time_in_force not in ("gtc", "ioc", "gtd"):
        raise Refusal("EGeneral:Invalid arguments:timeinforce")
    check_qty(request.qty, pair.lot, pair.min_qty)
    _check_prices(request)
    if request.reduce_only:
        raise Refusal("EOrder:Reduce only:No position exists")  # there is no margin here: spot only
    best = market.best_ask() if request.side == "buy" else market.best_bid()
    price = request.limit_price or request.trigger_price or (best[0] if best else None)
    if price is not None and price * request.qty < pair.min_cost:
        raise Refusal("EOrder:Cost minimum not met")
    _check_client_id(request, account)
    if request.post_only and (request.order_type != LIMIT or market.takes(request.side, request.limit_price)):
        raise Refusal("EOrder:Post only order")
    if _funds_for(request, account, market) > account.free(
        pair.base if request.side == "sell" else pair.quote
    ):
        raise Refusal("EOrder:Insufficient funds")


def _check_client_id(request: OrderRequest, account: Account) -> None:
    if request.cl_ord_id is None:
        return
    # The venue excludes cl_ord_id and userref from each other, and wants the id unique among open orders. In which
    # words it refuses the second is not documented.
    unique = account.named(request.cl_ord_id) is None
    if not CL_ORD_ID.match(request.cl_ord_id) or request.userref or not unique:
        raise Refusal("EGeneral:Invalid arguments:cl_ord_id")


def _check_prices(request: OrderRequest) -> None:
    _check_types(request.order_type, request.limit_price, request.trigger_price, "price")
    for price in (request.limit_price, request.trigger_price):
        check_price(price, request.pair.tick)
    if request.close is not None:
        _check_close(request.close, request.pair.tick)


def _check_close(close: CloseTerms, tick: Decimal) -> None:
    if close.order_type not in ORDER_TYPES - {MARKET}:
        raise Refusal("EGeneral:Invalid arguments:close[ordertype]")
    _check_types(close.order_type, close.limit_price, close.trigger_price, "close[price]")
    for price in (close.limit_price, close.trigger_price):
        check_price(price, tick)


def _check_types(order_type: str, limit: Decimal | None, trigger: Decimal | None, field: str) -> None:
    """An order has exactly the prices of its type."""
    if (order_type in LIMIT_TYPES) != (limit is not None):
        raise Refusal(f"EGeneral:Invalid arguments:{field}")
    if (order_type in TRIGGERED_TYPES) != (trigger is not None):
        raise Refusal(f"EGeneral:Invalid arguments:{field}")


def _funds_for(request: OrderRequest, account: Account, market: Market) -> Decimal:
    if request.side == "buy" and request.order_type == MARKET:
        met = walked(market.takes("buy", None), request.qty)
        return sum((price * qty for price, qty in met), Decimal(0)) * (1 + TAKER_FEE)
    return needed(request, request.qty, account.stops_hold)[1]


def check_amend(request: AmendRequest, order: Order, account: Account, market: Market) -> None:
    """What an amend may change: only prices that the order has, and a quantity that the balance allows."""
    if request.qty is None and request.limit_price is None and request.trigger_price is None:
        raise Refusal("EGeneral:Invalid arguments")
    if request.limit_price is not None and order.order_type not in LIMIT_TYPES:
        raise Refusal("EGeneral:Invalid arguments:limit_price")
    if request.trigger_price is not None and not order.waits_for_trigger:
        raise Refusal("EGeneral:Invalid arguments:trigger_price")
    for price in (request.limit_price, request.trigger_price):
        check_price(price, order.pair.tick)
    if request.post_only and market.takes(order.side, request.limit_price):
        raise Refusal("EOrder:Post only order")
    _check_amended_funds(request, order, account)


def _check_amended_funds(request: AmendRequest, order: Order, account: Account) -> None:
    qty = order.qty if request.qty is None else request.qty
    if qty <= order.filled:
        return  # the rest is cancelled: that needs nothing
    check_qty(qty, order.pair.lot, order.pair.min_qty)
    asset, amount = needed(
        order, qty - order.filled, account.stops_hold, price=request.limit_price or request.trigger_price
    )
    if amount > account.free(asset, without=order):
        raise Refusal("EOrder:Insufficient funds")


def check_qty(qty: Decimal, lot: Decimal, minimum: Decimal) -> None:
    if qty <= 0 or qty % lot:
        raise Refusal("EGeneral:Invalid arguments:volume")
    if qty < minimum:
        raise Refusal("EOrder:Order minimum not met")


def check_price(price: Decimal | None, tick: Decimal) -> None:
    if price is None:
        return
    if price <= 0:
        raise Refusal("EOrder:Invalid price")
    if price % tick:
        raise Refusal("EOrder:Tick size check failed")


def walked(levels: Iterable[tuple[Decimal, Decimal]], qty: Decimal) -> list[tuple[Decimal, Decimal]]:
    """How a quantity is met by levels: (price, quantity) of each fill, best first."""
    fills: list[tuple[Decimal, Decimal]] = []
    for price, offered in levels:
        if qty <= 0:
            break
        fills.append((price, min(offered, qty)))
        qty -= offered
    return fills
