"""How old each order is: an amend or a cancel of a young order costs more on the matching engine's counter."""

from collections import OrderedDict
from collections.abc import Sequence

from allstop.actors.limits.kraken import OrderOp, order_cost
from allstop.actors.ports import PlannedOrders

ORDERS_MAX = 5000  # orders whose age is remembered: more than any tier may have open over 20 pairs


class OrderAges:
    """The pair and the birth, on the monotonic clock, of each order that somebody told of."""

    def __init__(self) -> None:
        self._orders: OrderedDict[str, tuple[str | None, float]] = OrderedDict()  # id -> pair, born at

    def touch(self, order_id: str, pair: str | None, born_s: float, *, gone: bool) -> None:
        """The order was made or amended then, or is gone."""
        known_pair, _born_s = self._orders.pop(order_id, (None, None))
        if gone:
            return
        self._orders[order_id] = (pair or known_pair, born_s)
        while len(self._orders) > ORDERS_MAX:
            self._orders.popitem(last=False)

    def planned_cost(self, planned: PlannedOrders, now_s: float) -> float:
        """What all of these would add to their pair's counter, if they were sent now."""
        return planned.adds * order_cost(OrderOp.ADD) + sum(
            order_cost(op, self._age_s(order_id, now_s))
            for op, orders in ((OrderOp.AMEND, planned.amends), (OrderOp.CANCEL, planned.cancels))
            for order_id in orders
        )

    def _age_s(self, order_id: str, now_s: float) -> float | None:
        _pair, born_s = self._orders.get(order_id, (None, None))
        return None if born_s is None else now_s - born_s

    def costs(
        self, op: OrderOp, orders: Sequence[str], pair: str | None, count: int, now_s: float
    ) -> dict[str, float]:
        """What the command adds to each pair's counter. An order whose pair nobody knows is charged nowhere: the
        venue will say when that was wrong."""
        if not orders:
            return {} if pair is None else {pair: count * order_cost(op)}
        costs: dict[str, float] = {}
        for order_id in orders:
            known_pair, born_s = self._orders.get(order_id, (None, None))
            its_pair = pair or known_pair
            if its_pair is not None:
                age_s = None if born_s is None else now_s - born_s
                costs[its_pair] = costs.get(its_pair, 0.0) + order_cost(op, age_s)
        return costs
