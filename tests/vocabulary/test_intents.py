"""What is wrong with an intent is found before anything is sent: the code says what, the place which field."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from allstop.actors.errors import RefusalCode
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss, TimeInForce, check_intent
from allstop.actors.levels import IntentKind

BTC = Instrument(
    pair="BTC/USD", venue_name="XBTUSD", tick_size=Decimal("0.1"), lot_size=Decimal("0.00000001"),
    min_qty=Decimal("0.0001"), min_cost=Decimal("0.5"),
)  # fmt: skip
NAN, INFINITE = Decimal("NaN"), Decimal("Infinity")


def intent(**changed: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "pair": "BTC/USD", "side": Side.BUY, "qty": Decimal("0.001"), "limit_price": Decimal(29000),
        "stop": StopLoss(trigger_price=Decimal(28500)), **changed,
    }  # fmt: skip
    return OrderIntent(**fields)


def stop(trigger: str | Decimal, limit: str | None = None) -> StopLoss:
    return StopLoss(trigger_price=Decimal(trigger), limit_price=None if limit is None else Decimal(limit))


@dataclass(frozen=True)
class Wrong:
    changed: dict[str, Any]
    code: RefusalCode
    place: str


C = RefusalCode
WRONG = {
    "no stop": Wrong({"stop": None}, C.NO_STOP, "stop"),
    "no stop on a market order": Wrong(
        {"stop": None, "limit_price": None, "order_type": OrderType.MARKET}, C.NO_STOP, "stop"
    ),
    "a NaN size": Wrong({"qty": NAN}, C.BAD_QTY, "qty"),
    "a zero size": Wrong({"qty": Decimal(0)}, C.BAD_QTY, "qty"),
    "a negative size": Wrong({"qty": Decimal("-0.001")}, C.BAD_QTY, "qty"),
    "an infinite size": Wrong({"qty": INFINITE}, C.BAD_QTY, "qty"),
    "a size off the lot": Wrong({"qty": Decimal("0.000100005")}, C.OFF_LOT, "qty"),
    "a size below the minimum": Wrong({"qty": Decimal("0.00001")}, C.BELOW_MINIMUM, "qty"),
    "a NaN price": Wrong({"limit_price": NAN}, C.BAD_PRICE, "limit_price"),
    "a zero price": Wrong({"limit_price": Decimal(0)}, C.BAD_PRICE, "limit_price"),
    "a negative price": Wrong({"limit_price": Decimal(-29000)}, C.BAD_PRICE, "limit_price"),
    "an infinite price": Wrong({"limit_price": INFINITE}, C.BAD_PRICE, "limit_price"),
    "a price off the tick": Wrong({"limit_price": Decimal("29000.05")}, C.OFF_TICK, "limit_price"),
    "a limit order without a price": Wrong({"limit_price": None}, C.BAD_PRICE, "limit_price"),
    "a market order with a price": Wrong({"order_type": OrderType.MARKET}, C.BAD_PRICE, "limit_price"),
    "a NaN stop": Wrong({"stop": stop(NAN)}, C.BAD_PRICE, "stop.trigger_price"),
    "a zero stop": Wrong({"stop": stop("0")}, C.BAD_PRICE, "stop.trigger_price"),
    "a negative stop": Wrong({"stop": stop("-1")}, C.BAD_PRICE, "stop.trigger_price"),
    "a stop off the tick": Wrong({"stop": stop("28500.01")}, C.OFF_TICK, "stop.trigger_price"),
    "a stop's limit off the tick": Wrong({"stop": stop("28500", "28400.01")}, C.OFF_TICK, "stop.limit_price"),
    "a stop above a buy": Wrong({"stop": stop("29000.1")}, C.BAD_STOP, "stop.trigger_price"),
    "a stop at a buy's own price": Wrong({"stop": stop("29000")}, C.BAD_STOP, "stop.trigger_price"),
    "a stop below a sell": Wrong({"side": Side.SELL}, C.BAD_STOP, "stop.trigger_price"),
    "an entry that is a stop order": Wrong(
        {"order_type": OrderType.STOP_LOSS, "trigger_price": Decimal(30000), "limit_price": None}, C.BAD_STOP, "order_type",
    ),
    "a stop order without a trigger": Wrong(
        {"kind": IntentKind.PROTECT, "order_type": OrderType.STOP_LOSS, "limit_price": None, "stop": None},
        C.BAD_PRICE, "trigger_price",
    ),
    "an id of too many characters": Wrong({"id": "a" * 19}, C.BAD_INTENT_ID, "id"),
    "an id with a space": Wrong({"id": "a b"}, C.BAD_INTENT_ID, "id"),
    "an empty id": Wrong({"id": ""}, C.BAD_INTENT_ID, "id"),
    "an exit that rests": Wrong({"kind": IntentKind.REDUCE, "stop": None}, C.BAD_EXIT, "order_type"),
    "an order that calls itself a query": Wrong({"kind": IntentKind.QUERY}, C.BAD_KIND, "kind"),
    "a limit order that calls itself protection": Wrong({"kind": IntentKind.PROTECT}, C.BAD_KIND, "kind"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_intent_is_refused_by_code_and_place(what: str) -> None:
    wrong = WRONG[what]
    refused = check_intent(intent(**wrong.changed), BTC)
    assert refused is not None
    assert (refused.code, refused.place) == (wrong.code, wrong.place)


def test_a_pair_that_nobody_knows_is_refused() -> None:
    refused = check_intent(intent(pair="NOPE/USD"), None)
    assert refused is not None
    assert (refused.code, refused.place) == (RefusalCode.UNKNOWN_PAIR, "pair")
    assert "NOPE/USD" in str(refused)


RIGHT = {
    "a limit buy with its stop": intent(),
    "a market buy with its stop": intent(order_type=OrderType.MARKET, limit_price=None),
    "a limit sell with its stop above": intent(side=Side.SELL, stop=stop("29500")),
    "a stop with a limit": intent(stop=stop("28500", "28400")),
    "a market exit without a stop": intent(
        kind=IntentKind.REDUCE, side=Side.SELL, order_type=OrderType.MARKET, limit_price=None, stop=None
    ),
    "an immediate exit without a stop": intent(
        kind=IntentKind.REDUCE, side=Side.SELL, time_in_force=TimeInForce.IOC, stop=None
    ),
    "a size of exactly the minimum": intent(qty=Decimal("0.0001")),
    "an id of the caller's": intent(id="my-order_1"),
}


@pytest.mark.parametrize("what", RIGHT)
def test_a_right_intent_passes(what: str) -> None:
    assert check_intent(RIGHT[what], BTC) is None
