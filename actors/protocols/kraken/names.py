"""Kraken's many names for one thing. Ours are WebSocket v2's: BTC, DOGE, "BTC/USD".

REST and WebSocket v1 say XBT and XDG; REST prefixes its old assets with X (coins) or Z (money): XXBT, ZUSD; a pair
has an internal REST name (XXBTZUSD), an `altname` (XBTUSD) and a WebSocket v1 name (XBT/USD).
"""

from collections.abc import Mapping
from typing import Final

# Codes of AssetPairs and Assets that are not simply the asset's ticker.
_ASSETS: Final = {
    "XBT": "BTC", "XXBT": "BTC", "XDG": "DOGE", "XXDG": "DOGE",
    "XETC": "ETC", "XETH": "ETH", "XICN": "ICN", "XLTC": "LTC", "XMLN": "MLN", "XREP": "REP",
    "XXLM": "XLM", "XXMR": "XMR", "XXRP": "XRP", "XZEC": "ZEC",
    "ZAUD": "AUD", "ZCAD": "CAD", "ZEUR": "EUR", "ZGBP": "GBP", "ZJPY": "JPY", "ZKRW": "KRW", "ZUSD": "USD",
}  # fmt: skip
_OLD_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}

# What a pair's name without a slash may end in, longest first: "USDTUSD" is USDT/USD, "XBTUSDT" is BTC/USDT.
_QUOTES: Final = (
    "PYUSD", "RLUSD",
    "USDT", "USDC", "USDQ", "USDG", "USDD", "EURT", "EURQ", "EURR", "EURC", "PAXG", "FDUSD",
    "USD", "EUR", "GBP", "CHF", "CAD", "JPY", "AUD", "AED", "DAI", "XBT", "BTC", "ETH", "DOT", "SOL",
)  # fmt: skip


def asset(code: str) -> str:
    """Our name of an asset code: "XXBT" and "XBT" are "BTC". A suffix (".S" staked, ".M" ...) stays."""
    stem, dot, suffix = code.partition(".")
    return _ASSETS.get(stem, stem) + dot + suffix


def pair(name: str, known: Mapping[str, str] | None = None) -> str:
    """Our name of a pair from any of Kraken's. `known` (see `instruments.pair_names`) is asked first; the rest is
    read off the name. A name that cannot be read is given back as it is: an order on it must not get lost."""
    if known is not None and (found := known.get(name)):
        return found
    if "/" in name:
        base, _, quote = name.partition("/")
        return f"{asset(base)}/{asset(quote)}"
    if len(name) == 8 and name[4:] in _ASSETS:  # an internal name: XXBTZUSD, USDTZUSD
        return f"{asset(name[:4])}/{asset(name[4:])}"
    for quote in _QUOTES:
        base = name.removesuffix(quote)
        if base and base != name:
            return f"{asset(base)}/{asset(quote)}"
    return name


def v1_name(pair_name: str) -> str:
    """The WebSocket v1 name: "BTC/USD" is "XBT/USD" there."""
    base, _, quote = pair_name.partition("/")
    return f"{_OLD_NAMES.get(base, base)}/{_OLD_NAMES.get(quote, quote)}"


def rest_name(pair_name: str) -> str:
    """The REST altname: "BTC/USD" is "XBTUSD" there."""
    return v1_name(pair_name).replace("/", "")
