"""The positions of all accounts of the simulated Kraken, and what protects each. A position is the net of executions."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from allstop.actors.simulated.kraken.accounts import Account
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.orders import LIMIT, MARKET, Order

OnPosition = Callable[[str, str, Decimal, Decimal, int], None]  # account, symbol, position, cover, wall_ns


def _nobody_listens(_account: str, _symbol: str, _position: Decimal, _cover: Decimal, _wall_ns: int) -> None:
    return


class Positions(dict[tuple[str, str], Decimal]):
    """By account and symbol. `limits_cover`: whether a resting limit on the reducing side counts as cover.
    `on_change` is told of a position and its cover after whatever may have changed either."""

    def __init__(self, accounts: Mapping[str, Account], *, limits_cover: bool) -> None:
        super().__init__()
        self.on_change: OnPosition = _nobody_listens
        self._accounts = accounts
        self._limits_cover = limits_cover

    def move(self, account: str, symbol: str, qty: Decimal) -> None:
        """An execution: bought is positive."""
        self[account, symbol] = self.get((account, symbol), Decimal(0)) + qty

    def cover(self, account: str, symbol: str) -> Decimal:
        """What protects the position: open stops and flattening orders on its reducing side."""
        position = self.get((account, symbol), Decimal(0))
        side = "sell" if position > 0 else "buy"
        return sum(
            (
                order.remaining
                for order in self._accounts[account].open.values()
                if order.pair.symbol == symbol and order.side == side and self._covers(order)
            ),
            Decimal(0),
        )

    def measure(self, order: Order, at: At) -> None:
        """Tells of the position that an order is about."""
        account, symbol = order.account, order.pair.symbol
        position = self.get((account, symbol), Decimal(0))
        self.on_change(account, symbol, position, self.cover(account, symbol), at.wall_ns)

    def _covers(self, order: Order) -> bool:
        if order.order_type in ("stop-loss", "stop-loss-limit") or order.order_type == MARKET:
            return True
        return self._limits_cover and order.order_type == LIMIT
