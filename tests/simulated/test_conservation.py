"""What must hold whatever clients and markets do: hypothesis drives the model and looks for a way to break it."""

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.simulated.client import BTC, Client

from allstop.actors.simulated.kraken.orders import opposite

PRICES = st.integers(900, 1100).map(lambda tenths: Decimal(tenths) / 10)
QTYS = st.integers(1, 40).map(lambda n: Decimal(n) / 4)
SIDES = st.sampled_from(["buy", "sell"])
OPENING = {"USD": Decimal(5_000), "BTC": Decimal(20)}


class AnyTrading(RuleBasedStateMachine):
    """Every action may be refused; none may break the books."""

    @initialize(holds=st.booleans(), closes=st.booleans())
    def begin(self, holds: bool, closes: bool) -> None:
        self.client = Client(counting=False, stops_hold_balance=holds, balances=OPENING)
        self.holds = holds
        self.closes = closes
        self.ids: list[str] = []
        self.move(Decimal(100), 1, Decimal(2))

    def post(self, name: str, **params: Any) -> None:
        told = self.client.post(name, **params)
        if told["error"] == []:
            self.ids += told["result"].get("txid", [])

    @rule(mid=PRICES, spread=st.integers(1, 5), qty=QTYS)
    def move(self, mid: Decimal, spread: int, qty: Decimal) -> None:
        ticks = [Decimal(n) / 10 for n in (0, 1, 2)]
        bids = [(f"{mid - t:.1f}", f"{qty:.8f}") for t in ticks]
        asks = [(f"{mid + Decimal(spread) / 10 + t:.1f}", f"{qty:.8f}") for t in ticks]
        self.client.book(bids, asks)
        self.client.print(f"{mid:.1f}")

    @rule(side=SIDES, qty=QTYS, stop=PRICES)
    def market(self, side: str, qty: Decimal, stop: Decimal) -> None:
        self.post(
            "AddOrder", pair="XBTUSD", type=side, ordertype="market", volume=f"{qty}", **self.close(stop)
        )

    @rule(side=SIDES, qty=QTYS, price=PRICES, stop=PRICES, tif=st.sampled_from(["GTC", "IOC"]))
    def limit(self, side: str, qty: Decimal, price: Decimal, stop: Decimal, tif: str) -> None:
        asked = {
            "pair": "XBTUSD",
            "type": side,
            "ordertype": "limit",
            "volume": f"{qty}",
            "price": f"{price:.1f}",
        }
        self.post("AddOrder", **asked, timeinforce=tif, **self.close(stop))

    @rule(side=SIDES, qty=QTYS, trigger=PRICES)
    def stop(self, side: str, qty: Decimal, trigger: Decimal) -> None:
        self.post(
            "AddOrder",
            pair="XBTUSD",
            type=side,
            ordertype="stop-loss",
            volume=f"{qty}",
            price=f"{trigger:.1f}",
        )

    @rule(data=st.data(), qty=QTYS)
    def amend(self, data: st.DataObject, qty: Decimal) -> None:
        if self.client.venue.engine.orders:
            order_id = data.draw(st.sampled_from(list(self.client.venue.engine.orders)))
            self.post("AmendOrder", txid=order_id, order_qty=f"{qty}")

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.client.venue.engine.orders:
            order_id = data.draw(st.sampled_from(list(self.client.venue.engine.orders)))
            self.post("CancelOrder", txid=order_id)

    @rule(status=st.sampled_from(["online", "post_only", "cancel_only", "maintenance"]))
    def turn(self, status: str) -> None:
        self.client.venue.fault({"kind": "status", "status": status}, self.client.at)

    def close(self, stop: Decimal) -> dict[str, str]:
        return {"close[ordertype]": "stop-loss", "close[price]": f"{stop:.1f}"} if self.closes else {}

    @invariant()
    def money_moves_only_with_executions(self) -> None:
        engine = self.client.venue.engine
        balances = self.client.venue.accounts["main"].balances
        moved = {"USD": Decimal(0), "BTC": Decimal(0)}
        for one in engine.executions:
            sign = 1 if one.side == "buy" else -1
            moved["BTC"] += sign * one.qty
            moved["USD"] -= sign * one.cost + one.fee
        assert {asset: OPENING[asset] + moved[asset] for asset in OPENING} == balances
        assert engine.positions.get(("main", BTC), Decimal(0)) == moved["BTC"]

    @invariant()
    def no_base_is_sold_that_is_not_there(self) -> None:
        assert self.client.venue.accounts["main"].balance("BTC") >= 0

    @invariant()
    def what_is_held_is_there(self) -> None:
        assert self.client.venue.accounts["main"].free("BTC") >= 0

    @invariant()
    def an_order_is_the_sum_of_its_executions(self) -> None:
        engine = self.client.venue.engine
        for order in engine.orders.values():
            own = [one for one in engine.executions if one.order_id == order.order_id]
            assert sum((one.qty for one in own), Decimal(0)) == order.filled <= order.qty
            assert sum((one.cost for one in own), Decimal(0)) == order.cost
            assert [one.exec_id for one in own] == order.trades
            assert (order.status == "filled") == (order.filled == order.qty)

    @invariant()
    def every_fill_with_a_close_made_one_stop_of_its_size(self) -> None:
        engine = self.client.venue.engine
        for order in engine.orders.values():
            made = [child for child in engine.orders.values() if child.parent_id == order.order_id]
            fills = [one.qty for one in engine.executions if one.order_id == order.order_id]
            opened = [Decimal(child.amends[0]["qty"]) for child in made]
            assert opened == (fills if order.close is not None else [])
            assert all(child.side == opposite(order.side) for child in made)

    @invariant()
    def open_orders_are_exactly_those_that_are_not_over(self) -> None:
        engine = self.client.venue.engine
        told = set(self.client.venue.accounts["main"].open)
        assert told == {order_id for order_id, order in engine.orders.items() if order.open}

    @invariant()
    def execution_ids_are_never_reused(self) -> None:
        ids = [one.exec_id for one in self.client.venue.engine.executions]
        assert len(ids) == len(set(ids))


AnyTrading.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyTrading = AnyTrading.TestCase
