"""What the private channels say: rows of `executions` and `balances`, as Kraken's WebSocket v2 writes them."""

from decimal import Decimal
from typing import Any

from allstop.actors.simulated.kraken.accounts import Account
from allstop.actors.simulated.kraken.orders import LIMIT_TYPES, TRIGGERED_TYPES, Execution, Happened, Order
from allstop.actors.simulated.kraken.wire import number, rfc3339


def happened_row(happened: Happened) -> dict[str, Any]:
    """One update of `executions`. As at the venue, each kind tells only its own fields."""
    order = happened.order
    match happened.kind:
        case "pending_new":
            row = {**order_row(order), "exec_type": "pending_new", "order_status": "pending_new"}
            row["timestamp"] = rfc3339(happened.wall_ns)
            return row
        case "new":
            more: dict[str, Any] = {}
        case "trade":
            assert happened.execution is not None
            return trade_row(happened.execution, order)
        case "amended":
            more = {"amended": True, "order_qty": number(order.qty), **_prices(order), **_sums(order)}
        case "status":
            more = {**_prices(order), **_sums(order)}
        case _:
            more = _sums(order)
            if order.reason is not None:
                more |= {"cancel_reason": order.reason, "reason": order.reason}
    return {
        "timestamp": rfc3339(happened.wall_ns),
        "order_status": order.status,
        "exec_type": happened.kind,
        "order_userref": order.userref,
        "order_id": order.order_id,
        **_client_id(order.cl_ord_id),
        **more,
    }


def order_row(order: Order) -> dict[str, Any]:
    """An order in full: in a snapshot, and when it is pending."""
    row: dict[str, Any] = {
        "order_id": order.order_id,
        **_client_id(order.cl_ord_id),
        "order_userref": order.userref,
        "symbol": order.pair.symbol,
        "order_qty": number(order.qty),
        **_sums(order),
        "time_in_force": order.time_in_force.upper(),
        "exec_type": "new" if order.filled == 0 else "status",
        "side": order.side,
        "order_type": order.order_type,
        "stop_price": number(Decimal("0.00000")),
        **_prices(order),
        "order_status": order.status,
        "fee_usd_equiv": number(order.fee),
        "fee_ccy_pref": "fciq",
        "timestamp": rfc3339(order.opened_ns),
    }
    if order.parent_id is not None:
        row["ord_ref_id"] = order.parent_id
    if order.post_only:
        row["post_only"] = True
    if order.reduce_only:
        row["reduce_only"] = True
    if order.expire_ns:
        row["expire_time"] = rfc3339(order.expire_ns)
    if order.close is not None:
        contingent: dict[str, Any] = {"order_type": order.close.order_type}
        if order.close.trigger_price is not None:
            contingent |= {"trigger_price": number(order.close.trigger_price), "trigger_price_type": "static"}
        if order.close.limit_price is not None:
            contingent |= {"limit_price": number(order.close.limit_price), "limit_price_type": "static"}
        row["contingent"] = contingent
    return row


def trade_row(execution: Execution, order: Order) -> dict[str, Any]:
    return {
        "order_id": execution.order_id,
        **_client_id(execution.cl_ord_id),
        "order_userref": order.userref,
        "exec_id": execution.exec_id,
        "exec_type": "trade",
        "trade_id": execution.trade_id,
        "symbol": execution.symbol,
        "side": execution.side,
        "last_qty": number(execution.qty),
        "last_price": number(execution.price),
        "liquidity_ind": "m" if execution.maker else "t",
        "cost": number(execution.cost),
        "order_type": execution.order_type,
        "timestamp": rfc3339(execution.wall_ns),
        "order_status": order.status,
        **_sums(order),
        "fee_usd_equiv": number(execution.fee),
        "fees": [{"asset": order.pair.quote, "qty": number(execution.fee)}],
        **({"ord_ref_id": order.parent_id} if order.parent_id is not None else {}),
    }


def balance_rows(account: Account) -> list[dict[str, Any]]:
    """The snapshot of `balances`."""
    return [
        {
            "asset": asset,
            "asset_class": "currency",
            "balance": number(balance),
            "wallets": [{"type": "spot", "id": "main", "balance": number(balance)}],
        }
        for asset, balance in sorted(account.balances.items())
    ]


def ledger_rows(
    execution: Execution, base: str, quote: str, account: Account, ids: list[str]
) -> list[dict[str, Any]]:
    """What one execution moved: one row per asset, as the updates of `balances` tell it."""
    sign = 1 if execution.side == "buy" else -1
    moves = ((base, sign * execution.qty, Decimal(0)), (quote, -sign * execution.cost, execution.fee))
    return [
        {
            "ledger_id": ledger_id,
            "ref_id": execution.exec_id,
            "timestamp": rfc3339(execution.wall_ns),
            "type": "trade",
            "asset": asset,
            "asset_class": "currency",
            "category": "trade",
            "wallet_type": "spot",
            "wallet_id": "main",
            "amount": number(amount),
            "fee": number(fee),
            "balance": number(account.balance(asset)),
        }
        for ledger_id, (asset, amount, fee) in zip(ids, moves, strict=True)
    ]


def _client_id(cl_ord_id: str | None) -> dict[str, str]:
    return {} if cl_ord_id is None else {"cl_ord_id": cl_ord_id}


def _sums(order: Order) -> dict[str, Any]:
    average = order.average.quantize(Decimal(1).scaleb(-order.pair.cost_decimals))
    return {
        "cum_qty": number(order.filled),
        "cum_cost": number(order.cost),
        "avg_price": number(average),
        "fee_usd_equiv": number(order.fee),
    }


def _prices(order: Order) -> dict[str, Any]:
    prices: dict[str, Any] = {}
    if order.order_type in LIMIT_TYPES and order.limit_price is not None:
        prices |= {"limit_price_type": "static", "limit_price": number(order.limit_price)}
    if order.order_type in TRIGGERED_TYPES and order.trigger_price is not None:
        prices["stop_price"] = number(order.trigger_price)  # deprecated, and still told
        prices["triggers"] = {
            "reference": "last",
            "price": number(order.trigger_price),
            "price_type": "static",
            "status": "triggered" if order.triggered else "untriggered",
        }
    return prices
