"""An account's money: balances move only with executions, and open orders hold what they may need."""

from decimal import Decimal

from allstop.actors.simulated.kraken.orders import Order, OrderRequest

TAKER_FEE = Decimal("0.0026")
MAKER_FEE = Decimal("0.0016")


class Account:
    """Balances by asset name, and the orders that are open. Holds are computed from those, so they cannot drift."""

    def __init__(self, name: str, balances: dict[str, Decimal], *, stops_hold: bool) -> None:
        self.name = name
        self.balances = dict(balances)
        self.opening = dict(balances)
        self.open: dict[str, Order] = {}
        self.stops_hold = stops_hold

    def named(self, cl_ord_id: str) -> Order | None:
        """The open order with this client id."""
        for order in self.open.values():
            if order.cl_ord_id == cl_ord_id:
                return order
        return None

    def balance(self, asset: str) -> Decimal:
        return self.balances.get(asset, Decimal(0))

    def hold(self, asset: str, *, without: Order | None = None) -> Decimal:
        """What the open orders keep of an asset."""
        total = Decimal(0)
        for order in self.open.values():
            if order is not without:
                held, amount = needed(order, order.remaining, self.stops_hold)
                total += amount if held == asset else 0
        return total

    def free(self, asset: str, *, without: Order | None = None) -> Decimal:
        return self.balance(asset) - self.hold(asset, without=without)

    def move(self, asset: str, amount: Decimal) -> Decimal:
        """Adds to a balance; the new balance."""
        self.balances[asset] = self.balance(asset) + amount
        return self.balances[asset]


def needed(
    order: Order | OrderRequest, qty: Decimal, stops_hold: bool, *, price: Decimal | None = None
) -> tuple[str, Decimal]:
    """The asset and the amount that an order of this remaining quantity keeps while it is open; at another price where
    one is given."""
    waiting = order.waits_for_trigger if isinstance(order, Order) else order.trigger_price is not None
    asset = order.pair.base if order.side == "sell" else order.pair.quote
    if waiting and not stops_hold:
        return asset, Decimal(0)
    if order.side == "sell":
        return asset, qty
    price = price or order.limit_price or order.trigger_price or Decimal(0)
    return asset, qty * price * (1 + TAKER_FEE)
