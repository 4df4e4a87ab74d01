"""What the public channels say: book, ticker, trade, instrument, status and heartbeat frames of WebSocket v2."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from allstop.actors.simulated.kraken.market import Market, Print
from allstop.actors.simulated.kraken.pairs import Asset, Pair
from allstop.actors.simulated.kraken.tape import Level, TapeFrame
from allstop.actors.simulated.kraken.wire import encode, number, rfc3339

HEARTBEAT = '{"channel":"heartbeat"}'


View = tuple[list[Level], list[Level]]


def book_snapshot(market: Market, wall_ns: int, depth: int = 10) -> str:
    """The book as it stands, digits as on the tape, with its checksum."""
    bids, asks = market.view(depth)
    return _book("snapshot", market, bids, asks, wall_ns, market.checksum())


def book_frame(market: Market, frame: TapeFrame, wall_ns: int) -> str:
    """The frame that was just played: the recorded text itself where there is one."""
    if frame.raw is not None:
        return frame.raw
    texts = market.book.texts
    head = texts.get("book")
    if head is None:
        kind = "snapshot" if frame.snapshot else "update"
        checksum = market.checksum() if frame.checksum is None else frame.checksum
        head = texts["book"] = _head(kind, market, frame.bids, frame.asks, checksum)
    return f'{head}{rfc3339(wall_ns)}"}}]}}'


def shallow_frame(market: Market, before: View, depth: int, wall_ns: int) -> str | None:
    """What a frame changed for those who see less than the whole book; None if they see nothing of it. A level that
    was out of sight comes into it when one before it goes."""
    now = market.view(depth)
    bids, asks = (_changes(old, new) for old, new in zip(before, now, strict=True))
    return _book("update", market, bids, asks, wall_ns, market.checksum()) if bids or asks else None


def _changes(old: list[Level], new: list[Level]) -> list[Level]:
    had, has = dict(old), dict(new)
    gone = [(price, "0") for price, _ in old if price not in has]
    return gone + [level for level in new if had.get(level[0]) != level[1]]


def _book(
    kind: str, market: Market, bids: Sequence[Level], asks: Sequence[Level], wall_ns: int, checksum: int
) -> str:
    return f'{_head(kind, market, bids, asks, checksum)}{rfc3339(wall_ns)}"}}]}}'


def _head(kind: str, market: Market, bids: Sequence[Level], asks: Sequence[Level], checksum: int) -> str:
    """A book's frame up to its time."""
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{market.pair.symbol}",'
        f'"bids":[{_levels(bids)}],"asks":[{_levels(asks)}],'
        f'"checksum":{checksum},"timestamp":"'
    )


def _levels(levels: Sequence[Level]) -> str:
    return ",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in levels)


def ticker_frame(market: Market, kind: str, wall_ns: int) -> str | None:
    (bid, ask), last = market.book.best, market.last
    if bid is None or ask is None or last is None:
        return None
    texts = market.book.texts
    head = texts.get("ticker")
    if head is None:
        head = texts["ticker"] = (
            f'"data":[{{"symbol":"{market.pair.symbol}",'
            f'"bid":{bid[0]:f},"bid_qty":{bid[1]:f},"ask":{ask[0]:f},"ask_qty":{ask[1]:f},'
        )
    if market.summary is None:
        market.summary = _summary(market, last)
    return f'{{"channel":"ticker","type":"{kind}",{head}{market.summary}"timestamp":"{rfc3339(wall_ns)}"}}]}}'


def _summary(market: Market, last: Decimal) -> str:
    """What a ticker says of the trades that are remembered."""
    prices = market.prices or (last,)
    change = last - prices[0]
    return (
        f'"last":{last:f},'
        f'"volume":{sum(market.sizes) + 0 * last:f},"vwap":{last:f},"low":{min(prices):f},"high":{max(prices):f},'
        f'"change":{change:f},"change_pct":{(change / prices[0] * 100).quantize(market.pair.tick):f},'
    )


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


def instrument_frame(
    statuses: Mapping[str, str], kind: str, listed: Mapping[str, Pair], listed_assets: Mapping[str, Asset]
) -> str:
    """These pairs with what they let be done; in a snapshot, the assets too."""
    assets: list[dict[str, Any]] = [
        {
            "id": asset.name,
            "status": "enabled",
            "precision": asset.decimals,
            "precision_display": asset.display_decimals,
            "borrowable": False,
        }
        for asset in (listed_assets.values() if kind == "snapshot" else ())
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
        for pair in listed.values()
        if pair.symbol in statuses
    ]
    return encode({"channel": "instrument", "type": kind, "data": {"assets": assets, "pairs": pairs}})


def status_frame(system: str, connection_id: int) -> str:
    row = {"api_version": "v2", "connection_id": connection_id, "system": system, "version": "2.0.10"}
    return encode({"channel": "status", "data": [row], "type": "update"})
