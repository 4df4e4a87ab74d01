"""Kraken's published limits, as data, and what each call costs.

Source: Kraken's API documentation, the pages "Spot REST rate limits" and "Spot trading rate limits"
(docs.kraken.com/api/docs/guides), as read in 2026-11; the Starter row of the REST counter is from the older pages.
"""

from enum import StrEnum

import msgspec

from allstop.actors.limits.lanes import Lane
from allstop.actors.limits.meter import Meter

SOURCE = "docs.kraken.com/api/docs/guides/spot-rest-ratelimits, spot-ratelimits"
SOURCE_DATE = "2026-11"


class Tier(StrEnum):
    STARTER = "starter"
    INTERMEDIATE = "intermediate"
    PRO = "pro"


class TierLimits(msgspec.Struct, frozen=True, kw_only=True):
    """One tier's row: the REST call counter per key, and the matching engine's counter per account and pair."""

    rest_max: float
    rest_decay_per_s: float
    order_max: float
    order_decay_per_s: float
    open_orders_per_pair: int


LIMITS: dict[Tier, TierLimits] = {
    Tier.STARTER: TierLimits(
        rest_max=15, rest_decay_per_s=0.33, order_max=60, order_decay_per_s=1.0, open_orders_per_pair=60
    ),
    Tier.INTERMEDIATE: TierLimits(
        rest_max=20, rest_decay_per_s=0.5, order_max=125, order_decay_per_s=2.34, open_orders_per_pair=80
    ),
    Tier.PRO: TierLimits(
        rest_max=20, rest_decay_per_s=1.0, order_max=180, order_decay_per_s=3.75, open_orders_per_pair=225
    ),
}

# Of the REST counter (15 to 20) a fifth is the guardian's alone: on Starter three calls, a protective round of open
# orders, closed orders and balances. Even the guardian leaves the last twentieth: the venue counts a call when it
# arrives, a little later than we do, and so sees a level a little higher than ours. Another tenth is left to its
# routine looks (guardian_settings.py), which stay below the fifth: a key that others keep busy is still looked at.
REST_SHARES = {Lane.PROTECT: 0.95, Lane.CANCEL: 0.9, Lane.QUERY: 0.65, Lane.ENTRY: 0.65}

# Of a pair's order counter an entry leaves a quarter: on Starter that is 15, room to cancel one new order and to
# place seven stops.
ORDER_SHARES = {Lane.PROTECT: 1.0, Lane.CANCEL: 0.95, Lane.QUERY: 0.75, Lane.ENTRY: 0.75}


class OrderOp(StrEnum):
    ADD = "add"
    AMEND = "amend"
    EDIT = "edit"
    CANCEL = "cancel"
    BATCH_ADD = "batch_add"
    BATCH_CANCEL = "batch_cancel"


_FIXED = {
    OrderOp.ADD: 1.0,
    OrderOp.AMEND: 1.0,
    OrderOp.EDIT: 1.0,
    OrderOp.CANCEL: 0.0,
    OrderOp.BATCH_ADD: 0.5,  # per order
    OrderOp.BATCH_CANCEL: 0.0,
}

# (younger than s, added): the order's age counts from its creation or its last amend.
_AMEND_AGES = ((5.0, 3.0), (10.0, 2.0), (15.0, 1.0))
_EDIT_AGES = ((5.0, 6.0), (10.0, 5.0), (15.0, 4.0), (45.0, 2.0), (90.0, 1.0))
_CANCEL_AGES = ((5.0, 8.0), (10.0, 6.0), (15.0, 5.0), (45.0, 4.0), (90.0, 2.0), (300.0, 1.0))
AGE_COSTS: dict[OrderOp, tuple[tuple[float, float], ...]] = {
    OrderOp.ADD: (),
    OrderOp.BATCH_ADD: (),
    OrderOp.AMEND: _AMEND_AGES,
    OrderOp.EDIT: _EDIT_AGES,
    OrderOp.CANCEL: _CANCEL_AGES,
    OrderOp.BATCH_CANCEL: _CANCEL_AGES,
}

# The ages at which a command becomes cheaper, and at the last of which it is cheapest.
CHEAPER_S = tuple(sorted({limit_s for ages in AGE_COSTS.values() for limit_s, _added in ages}))


def order_cost(op: OrderOp, age_s: float | None = None) -> float:
    """What one order adds to its pair's counter. `age_s` None: not known, so the dearest age."""
    young = 0.0 if age_s is None else age_s
    return _FIXED[op] + next((added for limit_s, added in AGE_COSTS[op] if young < limit_s), 0.0)


_REST_COSTS = {  # 2026 page: ledgers and trade history +4 (older pages +2); orders are counted by the engine instead
    "/0/private/AddOrder": 0.0,
    "/0/private/AddOrderBatch": 0.0,
    "/0/private/AmendOrder": 0.0,
    "/0/private/EditOrder": 0.0,
    "/0/private/CancelOrder": 0.0,
    "/0/private/CancelOrderBatch": 0.0,
    "/0/private/CancelAll": 0.0,
    "/0/private/CancelAllOrdersAfter": 0.0,
    "/0/private/Ledgers": 4.0,
    "/0/private/QueryLedgers": 4.0,
    "/0/private/TradesHistory": 4.0,
    "/0/private/QueryTrades": 4.0,
}


def rest_cost(path: str) -> float:
    """What a REST call adds to its key's counter. Public calls are counted per IP and cost the key nothing."""
    return _REST_COSTS.get(path, 1.0 if path.startswith("/0/private/") else 0.0)


def rest_meter(tier: Tier, *, now_s: float, level: float = 0.0) -> Meter:
    limits = LIMITS[tier]
    return Meter(
        max=limits.rest_max, decay_per_s=limits.rest_decay_per_s, level=level, at_s=now_s, shares=REST_SHARES
    )


def order_meter(tier: Tier, *, now_s: float, level: float = 0.0) -> Meter:
    limits = LIMITS[tier]
    return Meter(
        max=limits.order_max,
        decay_per_s=limits.order_decay_per_s,
        level=level,
        at_s=now_s,
        shares=ORDER_SHARES,
    )


def tier_of(max_rate_count: float) -> Tier | None:
    """The tier whose order threshold the venue named (`maxratecount` in the ack of an executions subscription)."""
    return next((tier for tier, limits in LIMITS.items() if limits.order_max == max_rate_count), None)
