"""What the scenarios have in common: the intents that they place, and how the venue's orders are told apart."""

import re
from decimal import Decimal
from typing import Any, Final

from allstop.actors.commands import OrderView
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import IntentKind
from allstop.supervisors.simulation.pytest_plugin import SimulatedTree, Venue

PAIR: Final = "BTC/USD"
QTY: Final = Decimal("0.001")
COVER_MS: Final = 2_000.0  # cover_s of the default tree
ORDERS: Final = "/accounts/kraken.main/trading/orders"
GUARDIAN: Final = "/accounts/kraken.main/guardian"
SESSION: Final = "/accounts/kraken.main/trading/session"


def below(price: Decimal, part: str) -> Decimal:
    """A price that is so much lower: `below(ask, "0.05")` is a twentieth under it, on the tick of BTC/USD."""
    return (price * (1 - Decimal(part))).quantize(Decimal("0.1"))


def at_market(venue: Venue, **changed: Any) -> OrderIntent:
    """An entry that fills at once: buys at market, with a stop a twentieth below."""
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.BUY, "qty": QTY, "order_type": OrderType.MARKET,
        "stop": StopLoss(trigger_price=below(venue.ask(PAIR), "0.05")),
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def resting(venue: Venue, **changed: Any) -> OrderIntent:
    """An entry that stays open: bids a twentieth below the market, with a stop below that."""
    price = below(venue.ask(PAIR), "0.05")
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.BUY, "qty": QTY, "order_type": OrderType.LIMIT, "limit_price": price,
        "stop": StopLoss(trigger_price=below(price, "0.05")),
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def leaving(qty: Decimal = QTY, **changed: Any) -> OrderIntent:
    """An exit: sells at market what was bought."""
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.SELL, "qty": qty, "order_type": OrderType.MARKET, "kind": IntentKind.REDUCE,
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def view(world: SimulatedTree, intent: OrderIntent) -> OrderView:
    """What the engine says of an order that it knows."""
    found = world.order(intent.id)
    assert found is not None, f"the engine does not know {intent.id}"
    return found


def state(world: SimulatedTree, intent: OrderIntent) -> str:
    return view(world, intent).state


def stops(venue: Venue) -> list[dict[str, Any]]:
    """The stops that stand at the venue."""
    return [order for order in venue.orders(open_only=True) if order["order_type"].startswith("stop-loss")]


def states(world: SimulatedTree, intent: OrderIntent) -> list[str]:
    """The states through which the order went, in their order, as the engine logged them."""
    lines = [line for line in world.log if "'event': 'order.state'" in line and f"'{intent.id}'" in line]
    return [found[1] for line in lines if (found := re.search(r"'state': '(\w+)'", line))]
