"""What a venue lets be traded, and how finely."""

from decimal import Decimal
from typing import Final

import msgspec

ONLINE: Final = "online"


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One pair. `tick_size` and `lot_size` are the smallest steps of price and quantity; below `min_qty` (base) or
    `min_cost` (quote) the venue refuses. `venue_name` is the venue's own name where it differs (Kraken REST: XBTUSD)."""

    pair: str  # BASE/QUOTE, as in "BTC/USD"
    venue_name: str
    tick_size: Decimal
    lot_size: Decimal
    min_qty: Decimal
    min_cost: Decimal = Decimal(0)
    status: str = ONLINE  # the venue's own word for what it lets be done with the pair

    @property
    def tradable(self) -> bool:
        """Entries make sense: the pair takes market and limit orders and matches them, and their stops."""
        return self.status == ONLINE

    @property
    def price_decimals(self) -> int:
        return max(0, -int(self.tick_size.normalize().as_tuple().exponent))

    @property
    def qty_decimals(self) -> int:
        return max(0, -int(self.lot_size.normalize().as_tuple().exponent))

    @property
    def base(self) -> str:
        return self.pair.split("/")[0]

    @property
    def quote(self) -> str:
        return self.pair.split("/")[1]
