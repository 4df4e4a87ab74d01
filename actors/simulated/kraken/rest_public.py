"""The public REST calls: what a client needs to know the market."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from allstop.actors.simulated.kraken.asked import pair_of
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.pairs import Pair
from allstop.actors.simulated.kraken.refusal import Refusal
from allstop.actors.simulated.kraken.wire import decimal_of, fixed, rfc3339_seconds, unix

if TYPE_CHECKING:
    from allstop.actors.simulated.kraken.venue import KrakenVenue

FEES = [[0, 0.26], [50000, 0.24], [100000, 0.22], [250000, 0.2], [500000, 0.18], [1000000, 0.16]]
FEES_MAKER = [[0, 0.16], [50000, 0.14], [100000, 0.12], [250000, 0.1], [500000, 0.08], [1000000, 0.06]]


def _time(_venue: "KrakenVenue", _params: dict[str, Any], at: At) -> object:
    seconds = at.wall_ns // 1_000_000_000
    told = datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %y %H:%M:%S +0000")
    return {"unixtime": seconds, "rfc1123": told}


def _status(venue: "KrakenVenue", _params: dict[str, Any], at: At) -> object:
    return {"status": venue.engine.status, "timestamp": rfc3339_seconds(at.wall_ns)}


def _assets(venue: "KrakenVenue", params: dict[str, Any], _at: At) -> object:
    wanted = _names(params.get("asset"))
    found = {
        asset.key: {
            "aclass": "currency",
            "altname": asset.altname,
            "decimals": asset.decimals,
            "display_decimals": asset.display_decimals,
            "status": "enabled",
        }
        for asset in venue.assets.values()
        if not wanted or wanted & {asset.key, asset.altname, asset.name}
    }
    if not found:
        raise Refusal("EQuery:Unknown asset")
    return found


def _pairs(venue: "KrakenVenue", params: dict[str, Any], _at: At) -> object:
    return {pair.key: _pair(venue, pair) for pair in _wanted(venue, params.get("pair"))}


def _pair(venue: "KrakenVenue", pair: Pair) -> dict[str, Any]:
    return {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": venue.assets[pair.base].key,
        "aclass_quote": "currency",
        "quote": venue.assets[pair.quote].key,
        "lot": "unit",
        "cost_decimals": pair.cost_decimals,
        "pair_decimals": pair.price_decimals,
        "lot_decimals": pair.qty_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": FEES,
        "fees_maker": FEES_MAKER,
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": format(pair.min_qty, "f"),
        "costmin": format(pair.min_cost, "f"),
        "tick_size": format(pair.tick, "f"),
        "status": venue.engine.mode(pair.symbol),
    }


def _ticker(venue: "KrakenVenue", params: dict[str, Any], _at: At) -> object:
    return {pair.key: _ticker_row(venue.market(pair)) for pair in _wanted(venue, params.get("pair"))}


def _ticker_row(market: Market) -> dict[str, Any]:
    bid, ask, last = market.best_bid(), market.best_ask(), market.last
    assert bid is not None
    assert ask is not None
    assert last is not None
    prices = [trade.price for trade in market.trades] or [last]
    volume = fixed(sum((trade.qty for trade in market.trades), 0 * last), 8)
    high, low, told = fixed(max(prices), 5), fixed(min(prices), 5), fixed(last, 5)
    return {
        "a": [fixed(ask[0], 5), "1", fixed(ask[1], 3)],
        "b": [fixed(bid[0], 5), "1", fixed(bid[1], 3)],
        "c": [told, fixed(market.trades[-1].qty if market.trades else 0 * last, 8)],
        "v": [volume, volume],
        "p": [told, told],
        "t": [len(market.trades), len(market.trades)],
        "l": [low, low],
        "h": [high, high],
        "o": fixed(prices[0], 5),
    }


def _depth(venue: "KrakenVenue", params: dict[str, Any], at: At) -> object:
    pair = pair_of(params.get("pair"), venue.pairs)
    market, count = venue.market(pair), int(decimal_of(params.get("count", "100")) or 100)
    seconds = at.wall_ns // 1_000_000_000
    sides = {"asks": market.takes("buy", None), "bids": market.takes("sell", None)}
    return {
        pair.key: {
            side: [[fixed(price, 5), fixed(qty, 3), seconds] for price, qty in levels[:count]]
            for side, levels in sides.items()
        }
    }


def _trades(venue: "KrakenVenue", params: dict[str, Any], at: At) -> object:
    pair = pair_of(params.get("pair"), venue.pairs)
    rows = [
        [fixed(t.price, 5), fixed(t.qty, 8), unix(t.wall_ns), t.side[0], "m", "", t.trade_id]
        for t in venue.market(pair).trades
    ]
    return {pair.key: rows, "last": str(at.wall_ns)}


def _ohlc(venue: "KrakenVenue", params: dict[str, Any], at: At) -> object:
    """One candle: the venue has no history from before it began."""
    pair = pair_of(params.get("pair"), venue.pairs)
    row = _ticker_row(venue.market(pair))
    minute = at.wall_ns // 60_000_000_000 * 60
    candle = [minute, row["o"], row["h"][0], row["l"][0], row["c"][0], row["p"][0], row["v"][0], row["t"][0]]
    return {pair.key: [candle], "last": minute}


def _names(value: object) -> set[str]:
    return {name.strip() for name in value.split(",") if name.strip()} if isinstance(value, str) else set()


def _wanted(venue: "KrakenVenue", value: object) -> list[Pair]:
    names = _names(value)
    return [pair_of(name, venue.pairs) for name in sorted(names)] if names else list(venue.pairs.values())


CALLS: dict[str, Callable[["KrakenVenue", dict[str, Any], At], object]] = {
    "Time": _time,
    "SystemStatus": _status,
    "Assets": _assets,
    "AssetPairs": _pairs,
    "Ticker": _ticker,
    "Depth": _depth,
    "Trades": _trades,
    "OHLC": _ohlc,
}
