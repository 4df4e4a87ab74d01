"""What the simulated Kraken lists: its pairs and assets, each with the names that its different faces use."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from allstop.actors.simulated.kraken.wire import step


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One asset: `name` on WebSocket v2 (BTC), `key` in REST results (XXBT), `altname` in REST descriptions (XBT)."""

    name: str
    key: str
    altname: str
    decimals: int
    display_decimals: int = 5


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One pair. `scale` maps the recorded BTC/USD tape onto this pair: its price in the middle and its size factor."""

    symbol: str  # WebSocket v2: BTC/USD
    key: str  # REST results: XXBTZUSD
    altname: str  # REST descriptions and requests: XBTUSD
    wsname: str  # AssetPairs' wsname: XBT/USD
    base: str
    quote: str
    price_decimals: int
    min_qty: Decimal
    min_cost: Decimal = Decimal("0.5")
    qty_decimals: int = 8
    cost_decimals: int = 5
    tape_price: Decimal = Decimal("29430.2")
    tape_qty: Decimal = Decimal(1)

    @property
    def tick(self) -> Decimal:
        return step(self.price_decimals)

    @property
    def lot(self) -> Decimal:
        return step(self.qty_decimals)

    def names(self) -> tuple[str, ...]:
        """Every name under which a REST request may ask for this pair."""
        return (self.key, self.altname, self.wsname, self.symbol)


def _asset(name: str, key: str, altname: str, decimals: int = 10, display: int = 5) -> Asset:
    return Asset(name=name, key=key, altname=altname, decimals=decimals, display_decimals=display)


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        _asset("USD", "ZUSD", "USD", 4, 2),
        _asset("BTC", "XXBT", "XBT"),
        _asset("ETH", "XETH", "ETH"),
        _asset("SOL", "SOL", "SOL"),
        _asset("XRP", "XXRP", "XRP", 8),
        _asset("ADA", "ADA", "ADA", 8),
        _asset("LTC", "XLTC", "LTC"),
        _asset("DOT", "DOT", "DOT"),
        _asset("LINK", "LINK", "LINK"),
    )
}


def _pair(base: str, decimals: int, min_qty: str, price: str, qty: str) -> Pair:
    asset, usd = ASSETS[base], ASSETS["USD"]
    legacy = asset.key.startswith("X") and len(asset.key) == 4
    return Pair(
        symbol=f"{base}/USD",
        key=f"{asset.key}{usd.key}" if legacy else f"{asset.key}USD",
        altname=f"{asset.altname}USD",
        wsname=f"{asset.altname}/USD",
        base=base,
        quote="USD",
        price_decimals=decimals,
        min_qty=Decimal(min_qty),
        tape_price=Decimal(price),
        tape_qty=Decimal(qty),
    )


# BTC/USD plays the recorded tape as it is; the others play the same tape moved to their own price and size, so that
# a tree over several pairs has several live books. Minimums as Kraken lists them (AssetPairs).
PAIRS: dict[str, Pair] = {
    pair.symbol: pair
    for pair in (
        _pair("BTC", 1, "0.0001", "29430.2", "1"),
        _pair("ETH", 2, "0.002", "1875.00", "16"),
        _pair("SOL", 2, "0.06", "24.50", "1200"),
        _pair("XRP", 5, "10", "0.71500", "40000"),
        _pair("ADA", 6, "20", "0.312000", "90000"),
        _pair("LTC", 2, "0.05", "92.40", "300"),
        _pair("DOT", 4, "0.8", "5.2100", "5500"),
        _pair("LINK", 5, "0.7", "7.64000", "3800"),
    )
}


def pair_named(name: str, pairs: Mapping[str, Pair] = PAIRS) -> Pair | None:
    """The pair that any of its names stands for."""
    for pair in pairs.values():
        if name in pair.names():
            return pair
    return None


def with_terms(pair: Pair | None, price_decimals: Decimal | None, min_qty: Decimal | None) -> Pair | None:
    """The pair with other decimals of its price, another minimum; None leaves one as it is. None for terms or a pair
    that cannot be."""
    if pair is None:
        return None
    decimals = Decimal(pair.price_decimals) if price_decimals is None else price_decimals
    minimum = pair.min_qty if min_qty is None else min_qty
    if decimals % 1 or not 0 <= decimals <= 18 or minimum <= 0:
        return None
    return msgspec.structs.replace(pair, price_decimals=int(decimals), min_qty=minimum)


_MONEY = frozenset({"USD", "EUR", "CHF", "GBP", "JPY", "CAD", "AUD"})
_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}


def recorded_pair(
    symbol: str, price_decimals: int, qty_decimals: int, price: Decimal, drift_max: Decimal
) -> Pair:
    """The pair of a recording, with its precision. A recording tells no minimums: of a pair that is not listed above,
    one lot may be ordered."""
    listed = PAIRS.get(symbol)
    if listed is not None:
        near = abs(price - listed.tape_price) <= drift_max * listed.tape_price
        return msgspec.structs.replace(
            listed,
            price_decimals=price_decimals,
            qty_decimals=qty_decimals,
            tape_price=listed.tape_price if near else price,
        )
    base, _, quote = symbol.partition("/")
    base_old, quote_old = _OLD_NAMES.get(base, base), _OLD_NAMES.get(quote, quote)
    return Pair(
        symbol=symbol,
        key=base_old + quote_old,
        altname=base_old + quote_old,
        wsname=f"{base_old}/{quote_old}",
        base=base,
        quote=quote,
        price_decimals=price_decimals,
        min_qty=Decimal(1).scaleb(-qty_decimals),
        min_cost=Decimal(0),
        qty_decimals=qty_decimals,
        cost_decimals=10,
        tape_price=price,
    )


def assets_of(pairs: Iterable[Pair]) -> dict[str, Asset]:
    """The assets above, and those of these pairs."""
    found = dict(ASSETS)
    for pair in pairs:
        for name in (pair.base, pair.quote):
            if name not in found:
                old = _OLD_NAMES.get(name, name)
                found[name] = (
                    _asset(name, f"Z{name}", name, 4, 2)
                    if name in _MONEY and name != "CHF"
                    else _asset(name, old, old)
                )
    return found
