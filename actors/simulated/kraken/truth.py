"""Writes down what really happened at a simulated Kraken, as plain data."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.orders import Execution, Order

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.venue import KrakenVenue

Value = TypeVar("Value")


def told_truth(venue: "KrakenVenue", at: At) -> dict[str, Any]:
    """Orders with their histories, executions, positions, cover, requests, connections, and every limit broken."""
    engine = venue.engine
    return {
        "at_ns": at.wall_ns,
        "begun_ns": venue.begun_ns,
        "status": engine.status,
        "statuses": list(venue.statuses.history),
        "unreachable": [dict(row) for row in venue.statuses.away],
        "orders": {order.order_id: order_truth(order) for order in engine.orders.values()},
        "executions": [execution_truth(one) for one in engine.executions],
        "duplicates": {client_id: ids for (_, client_id), ids in engine.accepted_ids.items() if len(ids) > 1},
        "positions": _by_account(engine.positions, str),
        "pairs": {s: {"min_qty": str(p.min_qty), "tick": str(p.tick)} for s, p in venue.pairs.items()},
        "cover": _by_account(venue.meters, lambda meter: meter.told(at.wall_ns)),
        "balances": {
            name: {asset: str(value) for asset, value in account.balances.items()}
            for name, account in venue.accounts.items()
        },
        "opening_balances": {
            name: {asset: str(value) for asset, value in account.opening.items()}
            for name, account in venue.accounts.items()
        },
        "limits_broken": [
            {"kind": one.kind, "who": one.who, "at_ns": one.wall_ns, "detail": one.detail}
            for one in engine.rates.broken
        ],
        "requests": [dict(row) for row in venue.requests],
        "requests_forgotten": venue.requests_forgotten,
        "nonces": {
            key.name if len(venue.accounts) == 1 else f"{key.account}.{key.name}": key.nonce
            for key in venue.keys.values()
        },
        "connections": [dict(row) for row in venue.connected],
        "connected_now": len(venue.connections),
        "frames": dict(venue.frames),
        "faults_armed": venue.faults.armed(),
    }


def order_truth(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "account": order.account,
        "cl_ord_id": order.cl_ord_id,
        "parent_id": order.parent_id,
        "symbol": order.pair.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "qty": str(order.qty),
        "filled": str(order.filled),
        "limit_price": None if order.limit_price is None else str(order.limit_price),
        "trigger_price": None if order.trigger_price is None else str(order.trigger_price),
        "time_in_force": order.time_in_force,
        "status": order.status,
        "open": order.open,
        "triggered": order.triggered,
        "reason": order.reason,
        "via": order.via,
        "opened_ns": order.opened_ns,
        "closed_ns": order.closed_ns,
        "trades": list(order.trades),
        "history": [dict(row) for row in order.history],
    }


def execution_truth(one: Execution) -> dict[str, Any]:
    return {
        "exec_id": one.exec_id,
        "order_id": one.order_id,
        "account": one.account,
        "cl_ord_id": one.cl_ord_id,
        "symbol": one.symbol,
        "side": one.side,
        "order_type": one.order_type,
        "qty": str(one.qty),
        "price": str(one.price),
        "cost": str(one.cost),
        "fee": str(one.fee),
        "maker": one.maker,
        "at_ns": one.wall_ns,
    }


def _by_account(
    values: dict[tuple[str, str], Value], told: Callable[[Value], Any]
) -> dict[str, dict[str, Any]]:
    accounts: dict[str, dict[str, Any]] = {}
    for (account, symbol), value in values.items():
        accounts.setdefault(account, {})[symbol] = told(value)
    return accounts
