"""What the public channels say: book, ticker, trade, instrument, status and heartbeat frames of WebSocket v2."""

from collections.abc import Mapping
from typing import Any

from allstop.actors.simulated.kraken.market import Market, Print
from allstop.actors.simulated.kraken.pairs import ASSETS, PAIRS
from allstop.actors.simulated.kraken.tape import Level, TapeFrame
from allstop.actors.simulated.kraken.wire import encode, number, rfc3339

HEARTBEAT = '{"channel":"heartbeat"}'


def book_snapshot(market: Market, wall_ns: int) -> str:
    """The book as it stands, digits as on the tape, with its checksum."""
    bids = [market.bids[price] for price in sorted(market.bids, reverse=True)]
    asks = [market.asks[price] for price in sorted(market.asks)]
    return _book("snapshot", market, bids, asks, wall_ns)


def book_frame(market: Market, frame: TapeFrame, wall_ns: int) -> str:
    """The frame that was just played: the recorded text itself where there is one."""
    if frame.raw is not None:
        return frame.raw
    kind = "snapshot" if frame.snapshot else "update"
    return _book(kind, market, list(frame.bids), list(frame.asks), wall_ns)


def _book(kind: str, market: Market, bids: list[Level], asks: list[Level], wall_ns: int) -> str:
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{market.pair.symbol}",'
        f'"bids":[{_levels(bids)}],"asks":[{_levels(asks)}],'
        f'"checksum":{market.checksum()},"timestamp":"{rfc3339(wall_ns)}"}}]}}'
    )


def _levels(levels: list[Level]) -> str:
    return ",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in levels)


def ticker_frame(market: Market, kind: str, wall_ns: int) -> str | None:
    bid, ask, last = market.best_bid(), market.best_ask(), market.last
    if bid is None or ask is None or last is None:
        return None
    trades = list(market.trades)
    prices = [trade.price for trade in trades] or [last]
    volume = sum(trade.qty for trade in trades)
    row = {
        "symbol": market.pair.symbol,
        "bid": number(bid[0]),
        "bid_qty": number(bid[1]),
        "ask": number(ask[0]),
        "ask_qty": number(ask[1]),
        "last": number(last),
        "volume": number(volume + 0 * last),
        "vwap": number(last),
        "low": number(min(prices)),
        "high": number(max(prices)),
        "change": number(last - prices[0]),
        "change_pct": number(((last - prices[0]) / prices[0] * 100).quantize(market.pair.tick)),
        "timestamp": rfc3339(wall_ns),
    }
    return encode({"channel": "ticker", "type": kind, "data": [row]})


def trade_frame(symbol: str, trades: list[Print], kind: str) -> str:
    rows = [
        {
            "symbol": symbol,
            "side": trade.side,
            "price": number(trade.price),
            "qty": number(trade.qty),
            "ord_type": "market",
            "trade_id": trade.trade_id,
            "timestamp": rfc3339(trade.wall_ns),
        }
        for trade in trades
    ]
    return encode({"channel": "trade", "type": kind, "data": rows})


def instrument_frame(statuses: Mapping[str, str], kind: str) -> str:
    """These pairs with what they let be done; in a snapshot, the assets too."""
    assets: list[dict[str, Any]] = [
        {
            "id": asset.name,
            "status": "enabled",
            "precision": asset.decimals,
            "precision_display": asset.display_decimals,
            "borrowable": False,
        }
        for asset in (ASSETS.values() if kind == "snapshot" else ())
    ]
    pairs: list[dict[str, Any]] = [
        {
            "symbol": pair.symbol,
            "base": pair.base,
            "quote": pair.quote,
            "status": statuses[pair.symbol],
            "qty_precision": pair.qty_decimals,
            "qty_increment": number(pair.lot),
            "price_precision": pair.price_decimals,
            "cost_precision": pair.cost_decimals,
            "marginable": False,
            "has_index": True,
            "cost_min": number(pair.min_cost),
            "tick_size": number(pair.tick),
            "price_increment": number(pair.tick),
            "qty_min": number(pair.min_qty),
        }
        for pair in PAIRS.values()
        if pair.symbol in statuses
    ]
    return encode({"channel": "instrument", "type": kind, "data": {"assets": assets, "pairs": pairs}})


def status_frame(system: str, connection_id: int) -> str:
    row = {"api_version": "v2", "connection_id": connection_id, "system": system, "version": "2.0.10"}
    return encode({"channel": "status", "data": [row], "type": "update"})
