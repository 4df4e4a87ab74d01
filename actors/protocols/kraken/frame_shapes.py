"""How WebSocket v2's frames stand on the wire: each field that is read, and nothing else. Unknown fields are let be."""

from decimal import Decimal
from typing import Any

import msgspec

from allstop.actors.intents import Side


class Head(msgspec.Struct):
    channel: str | None = None
    method: str | None = None


class Level(msgspec.Struct, gc=False):
    price: msgspec.Raw
    qty: msgspec.Raw


class BookData(msgspec.Struct):
    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int
    timestamp: str | None = None


class BookFrame(msgspec.Struct):
    type: str
    data: list[BookData]


class Kind(msgspec.Struct):
    type: str
    sequence: int | None = None


class StatusData(msgspec.Struct):
    system: str
    connection_id: int = 0
    version: str = ""


class StatusFrame(msgspec.Struct):
    data: list[StatusData]


class TickerData(msgspec.Struct):
    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    last: Decimal
    timestamp: str | None = None


class TickerFrame(Kind, kw_only=True):
    data: list[TickerData]


class TradeData(msgspec.Struct):
    symbol: str
    side: Side
    price: Decimal
    qty: Decimal
    timestamp: str
    trade_id: int | None = None
    ord_type: str = ""


class TradeFrame(Kind, kw_only=True):
    data: list[TradeData]


class Fee(msgspec.Struct):
    qty: Decimal


class Triggers(msgspec.Struct):
    price: Decimal | None = None
    price_type: str = "static"
    actual_price: Decimal | None = None
    status: str | None = None


class Execution(msgspec.Struct):
    order_id: str
    exec_type: str | None = None
    order_status: str | None = None
    symbol: str | None = None
    side: Side | None = None
    order_type: str | None = None
    order_qty: Decimal | None = None
    cum_qty: Decimal | None = None
    avg_price: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    triggers: Triggers | None = None
    cl_ord_id: str | None = None
    ord_ref_id: str | None = None
    reduce_only: bool | None = None
    exec_id: str | None = None
    last_qty: Decimal | None = None
    last_price: Decimal | None = None
    fees: list[Fee] = []
    reason: str | None = None
    cancel_reason: str | None = None
    timestamp: str | None = None


class ExecutionsFrame(Kind, kw_only=True):
    data: list[Execution]


class Balance(msgspec.Struct):
    asset: str
    balance: Decimal


class BalancesFrame(Kind, kw_only=True):
    data: list[Balance]


class InstrumentPair(msgspec.Struct):
    symbol: str
    status: str
    price_increment: Decimal
    qty_increment: Decimal
    qty_min: Decimal
    cost_min: Decimal = Decimal(0)


class InstrumentData(msgspec.Struct):
    pairs: list[InstrumentPair] = []


class InstrumentFrame(Kind, kw_only=True):
    data: InstrumentData


class Reply(msgspec.Struct):
    method: str
    success: bool | None = None
    req_id: int | None = None
    error: str | None = None
    result: Any = None
    time_in: str | None = None
    time_out: str | None = None
    orders_cancelled: int | None = None  # batch_cancel says it here and not in `result`
