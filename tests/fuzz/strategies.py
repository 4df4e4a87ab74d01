"""Frames and bodies built from what they consist of, mostly right, for hypothesis to go wrong in small steps."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from allstop.actors.protocols.kraken import frame_shapes

TEXTS = st.one_of(st.sampled_from(["BTC/USD", "buy", "sell", "new", "trade", "snapshot", "update", "online", "OID-1", "2024-05-18T12:58:51.121515Z"]), st.text(max_size=12))  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(Decimal), st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-10**12, max_value=10**12),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


_numbers = msgspec.json.Encoder(decimal_format="number")


def _encoded(value: Any) -> bytes:
    return _numbers.encode(value)


def _of(kind: Any) -> st.SearchStrategy[Any]:
    """A value for a field of this type, one time in a few something else."""
    if isinstance(kind, msgspec.inspect.StructType):
        right: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {f.encode_name: _of(f.type) for f in kind.fields if f.required},
            optional={f.encode_name: _of(f.type) for f in kind.fields if not f.required},
        )
    elif isinstance(kind, msgspec.inspect.ListType):
        right = st.lists(_of(kind.item_type), max_size=3)
    elif isinstance(kind, msgspec.inspect.UnionType):
        right = st.one_of(*(_of(one) for one in kind.types))
    elif isinstance(kind, msgspec.inspect.EnumType):
        right = st.sampled_from([member.value for member in kind.cls])
    elif isinstance(kind, (msgspec.inspect.IntType, msgspec.inspect.DecimalType, msgspec.inspect.RawType)):
        right = NUMBERS
    elif isinstance(kind, msgspec.inspect.StrType):
        right = TEXTS
    else:
        right = SCALARS
    return st.integers(0, 11).flatmap(lambda odds: JSON if odds == 0 else right)


CHANNELS = {
    "book": frame_shapes.BookFrame, "status": frame_shapes.StatusFrame, "ticker": frame_shapes.TickerFrame,
    "trade": frame_shapes.TradeFrame, "executions": frame_shapes.ExecutionsFrame, "balances": frame_shapes.BalancesFrame,
    "instrument": frame_shapes.InstrumentFrame,
}  # fmt: skip


def _frame(channel: str) -> st.SearchStrategy[bytes]:
    shape = msgspec.inspect.type_info(CHANNELS[channel])
    return _of(shape).map(
        lambda body: _encoded({"channel": channel, **body} if isinstance(body, dict) else body)
    )


REPLIES = st.fixed_dictionaries(
    {"method": st.sampled_from(["add_order", "cancel_order", "subscribe", "pong", "batch_cancel", "zzz"])},
    optional={
        "success": SCALARS,
        "req_id": SCALARS,
        "error": SCALARS,
        "result": JSON,
        "orders_cancelled": SCALARS,
    },
).map(_encoded)
FRAMES = st.one_of(*(_frame(channel) for channel in CHANNELS), REPLIES)
ROWS = st.lists(st.lists(TEXTS | NUMBERS, max_size=5), max_size=4)
V1_FRAMES = st.one_of(
    st.tuples(st.integers(0, 9999), st.dictionaries(st.sampled_from(["as", "bs", "a", "b", "c"]), ROWS | TEXTS, max_size=3), st.sampled_from(["book-10", "book-1000", "trade", "ticker", ""]), TEXTS),
    st.tuples(st.integers(0, 9999), ROWS, st.sampled_from(["trade", "book-10"]), TEXTS),
    st.tuples(JSON, TEXTS, st.dictionaries(st.just("sequence"), JSON)),
    st.lists(JSON, max_size=6),
    st.fixed_dictionaries({"event": SCALARS}, optional=dict.fromkeys(("status", "errorMessage", "reqid", "pair", "subscription", "channelName", "txid", "count", "Error"), JSON)),
).map(_encoded)  # fmt: skip

_ORDER = st.fixed_dictionaries(
    {"status": st.sampled_from(["open", "closed", "canceled", "odd"]) | SCALARS, "vol": SCALARS, "vol_exec": SCALARS,
     "descr": st.fixed_dictionaries({}, optional={"pair": SCALARS, "type": st.sampled_from(["buy", "sell"]) | SCALARS, "ordertype": st.sampled_from(["limit", "stop-loss", "stop-loss-limit"]) | SCALARS, "price": SCALARS, "price2": SCALARS}) | JSON},
    optional=dict.fromkeys(("price", "stopprice", "limitprice", "refid", "cl_ord_id", "reason", "misc", "oflags", "reduce_only", "opentm", "closetm"), SCALARS),
)  # fmt: skip
_RESULTS = st.one_of(
    st.fixed_dictionaries({"open": st.dictionaries(TEXTS, _ORDER | JSON, max_size=3)}),
    st.fixed_dictionaries({"closed": st.dictionaries(TEXTS, _ORDER | JSON, max_size=3), "count": SCALARS}),
    st.fixed_dictionaries({"trades": st.dictionaries(TEXTS, st.dictionaries(st.sampled_from(["ordertxid", "pair", "type", "vol", "price", "fee", "time"]), SCALARS), max_size=3)}),
    st.dictionaries(TEXTS, _ORDER | SCALARS, max_size=3),
    st.dictionaries(TEXTS, st.fixed_dictionaries({"bids": ROWS | JSON, "asks": ROWS | JSON}), max_size=2),
    st.dictionaries(st.sampled_from(["token", "unixtime", "status", "count", "txid", "permissions", "amend_id"]), JSON, max_size=3),
    JSON,
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {"error": st.lists(TEXTS | SCALARS, max_size=3) | JSON}, optional={"result": _RESULTS}
).map(_encoded)
