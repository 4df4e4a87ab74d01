"""WebSocket v2: commands into frames, and captured frames into events."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.errors import BadInput, Category, Outcome, Remedy
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss, TimeInForce
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.kraken import frames
from allstop.actors.protocols.wire import DIGITS_MAX, DecodeError
from allstop.actors.reports import Accepted, Fill, OrderReport, OrderStatus, Rejected, Unknown

CAPTURES = Path(__file__).parents[2] / "captures/kraken/ws"
DEADLINE = "2026-01-01T00:00:05.000Z"


class Sample(msgspec.Struct, rename={"source": "from"}):
    m: msgspec.Raw
    source: str


SAMPLES = [
    msgspec.json.decode(line, type=Sample)
    for line in (CAPTURES / "v2_frames_async_rs.ndjson").read_text().splitlines()
]
TEXTS = [bytes(sample.m).decode() for sample in SAMPLES]
BOOK_RUN = (CAPTURES / "v2_book10_btcusd_2023-07-30_part1.ndjson").read_text().splitlines()


def captured(source: str) -> list[frames.Event]:
    return [
        event
        for sample, text in zip(SAMPLES, TEXTS, strict=True)
        if sample.source == source
        for event in frames.decode(text)
    ]


def executions(**fields: object) -> frames.Executions:
    report = {"order_id": "O1", "exec_type": "new", "order_status": "new"} | fields
    (event,) = frames.decode(
        json.dumps({"channel": "executions", "type": "update", "data": [report], "sequence": 3})
    )
    assert isinstance(event, frames.Executions), event
    return event


def entry(**changes: object) -> OrderIntent:
    intent = OrderIntent(
        id="intent-1",
        pair="BTC/USD",
        side=Side.BUY,
        qty=Decimal("0.00010000"),
        limit_price=Decimal("30000.0"),
        stop=StopLoss(trigger_price=Decimal("29000.0")),
    )
    return msgspec.structs.replace(intent, **changes)


# Out


def test_an_entry_goes_out_with_its_stop_its_id_and_its_deadline():
    assert frames.add_order(entry(), "TOKEN", 7, DEADLINE) == (
        '{"method":"add_order","params":{"order_type":"limit","side":"buy","symbol":"BTC/USD",'
        '"order_qty":0.00010000,"limit_price":30000.0,"time_in_force":"gtc",'
        '"conditional":{"order_type":"stop-loss","trigger_price":29000.0},'
        '"cl_ord_id":"intent-1","deadline":"2026-01-01T00:00:05.000Z","token":"TOKEN"},"req_id":7}'
    )


@pytest.mark.parametrize(
    ("changes", "expected", "absent"),
    [
        (
            {"order_type": OrderType.MARKET, "limit_price": None},
            {"order_type": "market"},
            {"limit_price", "time_in_force"},
        ),
        ({"time_in_force": TimeInForce.IOC}, {"time_in_force": "ioc"}, {"expire_time"}),
        ({"post_only": True}, {"post_only": True}, {"reduce_only"}),
        ({"reduce_only": True}, {"reduce_only": True}, {"post_only"}),
        (
            {"stop": StopLoss(trigger_price=Decimal("29000.0"), limit_price=Decimal("28900.0"))},
            {
                "conditional": {
                    "order_type": "stop-loss-limit",
                    "trigger_price": 29000.0,
                    "limit_price": 28900.0,
                }
            },
            set(),
        ),
        (
            {
                "order_type": OrderType.STOP_LOSS_LIMIT,
                "limit_price": Decimal("28900.0"),
                "trigger_price": Decimal("29000.0"),
                "stop": None,
                "kind": IntentKind.PROTECT,
            },
            {"limit_price": 28900.0, "triggers": {"reference": "last", "price": 29000.0}},
            {"conditional"},
        ),
    ],
)
def test_each_kind_of_order_says_what_it_must_and_no_more(
    changes: dict[str, object], expected: dict[str, Any], absent: set[str]
):
    params = json.loads(frames.add_order(entry(**changes), "TOKEN", 7, DEADLINE))["params"]

    assert expected.items() <= params.items()
    assert absent.isdisjoint(params)


def test_an_order_good_till_a_date_needs_the_date():
    gtd = entry(time_in_force=TimeInForce.GTD)

    with pytest.raises(BadInput, match="time_in_force"):
        frames.add_order(gtd, "TOKEN", 7, DEADLINE)
    assert "expire_time" in frames.add_order(gtd, "TOKEN", 7, DEADLINE, expires=DEADLINE)


@given(st.decimals(Decimal("1e-12"), Decimal("1e12"), allow_nan=False, allow_infinity=False))
def test_every_quantity_goes_out_as_a_number_with_its_value_and_no_exponent(qty: Decimal):
    text = frames.add_order(entry(qty=qty), "TOKEN", 7, DEADLINE)
    digits = text.partition('"order_qty":')[2].partition(",")[0]

    assert Decimal(digits) == qty
    assert "E" not in digits.upper()
    assert msgspec.json.Decoder(float_hook=Decimal).decode(text)["params"]["order_qty"] == qty


@pytest.mark.parametrize("qty", ["NaN", "Infinity"])
def test_a_number_that_is_none_never_goes_out(qty: str):
    with pytest.raises(DecodeError):
        frames.add_order(entry(qty=Decimal(qty)), "TOKEN", 7, DEADLINE)


def test_an_amendment_names_the_order_and_only_what_changes():
    assert frames.amend_order(
        "TOKEN", 8, order_id="OABC", trigger_price=Decimal("29500.0"), deadline=DEADLINE
    ) == (
        '{"method":"amend_order","params":{"order_id":"OABC","trigger_price":29500.0,'
        '"deadline":"2026-01-01T00:00:05.000Z","token":"TOKEN"},"req_id":8}'
    )
    with pytest.raises(BadInput):
        frames.amend_order("TOKEN", 8)
    with pytest.raises(BadInput):
        frames.amend_order("TOKEN", 8, order_id="OABC", cl_ord_id="i-1")


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (frames.ping(1), '{"method":"ping","req_id":1}'),
        (frames.cancel_all("T", 2), '{"method":"cancel_all","params":{"token":"T"},"req_id":2}'),
        (
            frames.cancel_order(["O1", "O2"], "T", 3),
            '{"method":"cancel_order","params":{"order_id":["O1","O2"],"token":"T"},"req_id":3}',
        ),
        (
            frames.cancel_order([], "T", 3, cl_ord_ids=["i-1"]),
            '{"method":"cancel_order","params":{"cl_ord_id":["i-1"],"token":"T"},"req_id":3}',
        ),
        (
            frames.batch_cancel(["O1"], "T", 4),
            '{"method":"batch_cancel","params":{"orders":["O1"],"token":"T"},"req_id":4}',
        ),
        (
            frames.subscribe("book", symbols=["BTC/USD"], depth=10, req_id=5),
            '{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":5}',
        ),
        (
            frames.subscribe("executions", token="T", req_id=6, snap_trades=True, ratecounter=True),
            '{"method":"subscribe","params":{"channel":"executions","snap_trades":true,"ratecounter":true,"token":"T"},"req_id":6}',
        ),
        (
            frames.unsubscribe("book", symbols=["BTC/USD"], depth=10, req_id=7),
            '{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":7}',
        ),
    ],
)
def test_each_command_is_this_text(frame: str, text: str):
    assert frame == text


@pytest.mark.parametrize("channel", ["executions", "balances"])
def test_a_private_channel_needs_a_token(channel: str):
    with pytest.raises(BadInput, match="token"):
        frames.subscribe(channel, req_id=1)


@pytest.mark.parametrize("count", [0, 51])
def test_a_cancel_names_one_to_fifty_orders(count: int):
    ids = [f"O{index}" for index in range(count)]

    with pytest.raises(BadInput, match="50"):
        frames.cancel_order(ids, "T", 1)
    with pytest.raises(BadInput, match="50"):
        frames.batch_cancel(ids, "T", 1)


# In


@pytest.mark.parametrize("text", TEXTS)
def test_each_captured_frame_is_an_event(text: str):
    events = frames.decode(text)

    assert events
    assert not any(isinstance(event, frames.MalformedFrame) for event in events)
    unknown = [event.channel for event in events if isinstance(event, frames.UnknownFrame)]
    assert set(unknown) <= {"level3"}


def test_heartbeat_status_and_pong_are_read():
    assert captured("test_admin_messages") == [
        frames.Heartbeat(),
        frames.SystemStatus("online", 12393906104898154338, "2.0.4"),
    ]
    assert captured("get_pong") == [frames.Pong(1)]


def test_a_book_keeps_the_digits_of_the_wire():
    (snapshot,) = captured("test_book_snapshot")
    (update,) = captured("test_book_update")

    assert isinstance(snapshot, frames.BookSnapshot)
    assert snapshot.bids[2] == ("66787.4", "0.05992580")
    assert snapshot.checksum == 2330500275
    assert update == frames.BookUpdate(
        symbol="BTC/USD",
        bids=[("66786.5", "0.00000000"), ("66784.5", "0.01470022"), ("66787.7", "0.12440000")],
        asks=[],
        checksum=902440905,
        timestamp="2024-05-19T16:45:24.204654Z",
    )
    assert isinstance(update, frames.BookUpdate)
    assert update.ts_ns == 1_716_137_124_204_654_000


def test_prices_as_text_or_with_an_exponent_come_as_plain_digits():
    (event,) = frames.decode(
        '{"channel": "book", "type": "update", "data": [{"symbol": "X/Y", "checksum": 1,'
        '"bids": [{"price": "45283.5", "qty": "0.10000000"}], "asks": [{"price": 1.5e-7, "qty": 1e-8}]}]}'
    )

    assert isinstance(event, frames.BookUpdate)
    assert event.bids == [("45283.5", "0.10000000")]
    assert event.asks == [("0.00000015", "0.00000001")]


def test_a_ticker_and_trades_are_read():
    (ticker,) = captured("test_ticker_update")
    trades = captured("test_trade_snapshot")

    assert ticker == frames.Ticker(
        symbol="BTC/USD",
        bid=Decimal("65843.7"),
        bid_qty=Decimal("12.31628629"),
        ask=Decimal("65843.8"),
        ask_qty=Decimal("0.31232000"),
        last=Decimal("65843.7"),
    )
    assert trades[0] == frames.Trade(
        symbol="BTC/USD",
        side=Side.SELL,
        price=Decimal("68466.9"),
        qty=Decimal("0.01919415"),
        ts_ns=1_716_813_190_826_003_000,
        trade_id=70635251,
        order_type="market",
        snapshot=True,
    )


def test_an_execution_is_read_whole():
    (event,) = captured("test_execution_trades_snapshot")

    assert isinstance(event, frames.Executions)
    assert (event.kind, event.snapshot, event.sequence, len(event.reports)) == ("snapshot", True, 1, 4)
    assert event.reports[0] == OrderReport(
        order_id="NG6PUE-C7MXN-CFCAMC",
        status=OrderStatus.FILLED,
        pair="BTC/USD",
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        fill=Fill(
            exec_id="B1Y0D9-6JIJG-W1IB7L",
            order_id="NG6PUE-C7MXN-CFCAMC",
            pair="BTC/USD",
            side=Side.SELL,
            qty=Decimal("0.00016000"),
            price=Decimal("63377.2"),
            fee=Decimal("0.04051"),
            ts_ns=1_713_264_878_243_302_000,
        ),
        ts_ns=1_713_264_878_243_302_000,
    )


def test_the_life_of_an_order_is_read():
    (pending,) = captured("test_execution_limit_order_update_pending")
    (new,) = captured("test_execution_order_update_new")
    (canceled,) = captured("test_execution_order_update_cancelled")

    assert isinstance(pending, frames.Executions)
    assert isinstance(new, frames.Executions)
    assert isinstance(canceled, frames.Executions)
    assert pending.reports[0].status is OrderStatus.PENDING_NEW
    assert pending.reports[0].order_qty == Decimal("81.36256082")
    assert pending.reports[0].trigger_price is None, "a stop price of zero is none"
    assert new.reports[0].status is OrderStatus.NEW
    assert (canceled.reports[0].status, canceled.reports[0].reason) == (
        OrderStatus.CANCELED,
        "User requested",
    )
    assert (canceled.reports[0].cum_qty, canceled.sequence) == (0, 143)


@pytest.mark.parametrize(
    ("exec_type", "order_status", "status"),
    [
        ("pending_new", "pending_new", OrderStatus.PENDING_NEW),
        ("new", "new", OrderStatus.NEW),
        ("trade", "partially_filled", OrderStatus.PARTIALLY_FILLED),
        ("trade", "filled", OrderStatus.FILLED),
        ("filled", "filled", OrderStatus.FILLED),
        ("iceberg_refill", "partially_filled", OrderStatus.PARTIALLY_FILLED),
        ("canceled", "canceled", OrderStatus.CANCELED),
        ("expired", "expired", OrderStatus.EXPIRED),
        ("amended", "new", OrderStatus.NEW),
        ("restated", "partially_filled", OrderStatus.PARTIALLY_FILLED),
        ("status", "new", OrderStatus.NEW),
        ("canceled", None, OrderStatus.CANCELED),
        ("expired", None, OrderStatus.EXPIRED),
        ("filled", None, OrderStatus.FILLED),
        ("pending_new", None, OrderStatus.PENDING_NEW),
        ("trade", None, OrderStatus.PARTIALLY_FILLED),
        ("amended", None, OrderStatus.NEW),
        (None, "filled", OrderStatus.FILLED),
        (None, None, OrderStatus.UNRECOGNISED),
        ("liquidated", "filled", OrderStatus.UNRECOGNISED),
        ("new", "suspended", OrderStatus.UNRECOGNISED),
    ],
)
def test_each_kind_of_event_has_its_status_and_a_new_kind_is_unrecognised(
    exec_type: str | None, order_status: str | None, status: OrderStatus
):
    trade = {"exec_id": "E1", "symbol": "BTC/USD", "side": "buy", "last_qty": 1, "last_price": 2}

    event = executions(exec_type=exec_type, order_status=order_status, **trade)

    assert event.reports[0].status is status
    assert (event.reports[0].fill is not None) == (exec_type == "trade")


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"triggers": {"price": 29000.5, "reference": "last"}}, "trigger_price", Decimal("29000.5")),
        ({"triggers": {"price": 5, "price_type": "pct"}}, "trigger_price", None),
        ({"triggers": {"price": 5, "price_type": "pct", "actual_price": 28000}}, "trigger_price", 28000),
        ({"stop_price": 29000.5}, "trigger_price", Decimal("29000.5")),
        ({"triggers": {"status": "triggered"}}, "triggered", True),
        ({"triggers": {"status": "untriggered"}}, "triggered", False),
        ({}, "triggered", None),
        ({"ord_ref_id": "OPARENT"}, "parent_id", "OPARENT"),
        ({"cl_ord_id": "intent-1"}, "cl_ord_id", "intent-1"),
        ({"reduce_only": True}, "reduce_only", True),
        ({"order_type": "stop-loss"}, "order_type", OrderType.STOP_LOSS),
        ({"order_type": "of a new kind"}, "order_type", None),
        ({"cancel_reason": "old"}, "reason", "old"),
        ({"avg_price": 0.0}, "avg_price", None),
        ({"of_a_new_kind": {"a": [1]}}, "order_id", "O1"),
    ],
)
def test_each_field_of_a_report_is_read(fields: dict[str, object], name: str, value: object):
    assert getattr(executions(**fields).reports[0], name) == value


def test_the_fees_of_a_trade_add_up():
    event = executions(
        exec_type="trade",
        exec_id="E1",
        symbol="BTC/USD",
        side="sell",
        last_qty=1,
        last_price=2,
        fees=[{"asset": "USD", "qty": 0.1}, {"asset": "USD", "qty": 0.2}],
    )

    assert event.reports[0].fill is not None
    assert event.reports[0].fill.fee == Decimal("0.3")


def test_balances_are_read():
    (snapshot,) = captured("test_balances_snapshot")
    update, _ = captured("test_balances_updates")

    assert isinstance(snapshot, frames.Balances)
    assert (snapshot.snapshot, snapshot.sequence) == (True, 1)
    assert snapshot.balances["KAR"] == Decimal("774.6366982600")
    assert update == frames.Balances(kind="update", sequence=4, balances={"USD": Decimal("118.0677")})


def test_instruments_are_read():
    (event,) = captured("test_instruments_snapshot")

    assert isinstance(event, frames.InstrumentUpdate)
    assert event.statuses == {"EUR/USD": "online", "ETH/BTC": "online"}
    assert event.instruments[1] == Instrument(
        pair="ETH/BTC",
        venue_name="ETHXBT",
        tick_size=Decimal("0.00001"),
        lot_size=Decimal("0.00000001"),
        min_qty=Decimal("0.00200000"),
        min_cost=Decimal("0.00002"),
    )


def test_the_reply_to_an_order_names_it():
    (reply,) = captured("test_add_order")

    assert isinstance(reply, frames.MethodReply)
    assert (reply.method, reply.req_id, reply.ok, reply.cl_ord_id) == ("add_order", 0, True, "client-zero")
    assert reply.outcome == Accepted(("OPS23M-VS41G-DDE5Z2",))


def test_the_replies_to_cancels_count():
    (one,) = captured("test_cancel_order")
    (every,) = captured("test_cancel_all_orders")
    (batch,) = captured("test_batch_cancel")

    assert isinstance(one, frames.MethodReply)
    assert isinstance(every, frames.MethodReply)
    assert isinstance(batch, frames.MethodReply)
    assert (one.order_id, every.count, batch.count) == ("1V7PZA-L5RIM-RX2G6B", 0, 2)


def test_a_subscription_is_acknowledged_with_its_warnings_and_the_tier():
    (ack,) = captured("get_execution_subscription_response")

    assert isinstance(ack, frames.MethodReply)
    assert (ack.method, ack.ok, ack.channel, ack.max_rate_count, len(ack.warnings)) == (
        "subscribe",
        True,
        "executions",
        180,
        4,
    )


def test_a_refused_order_is_rejected_with_its_fault():
    events = captured("test_error_messages")

    reply = events[2]
    assert isinstance(reply, frames.MethodReply)
    assert reply.fault is not None
    assert (reply.ok, reply.fault.category) == (False, Category.PERM)
    assert reply.outcome == Rejected(reply.fault)


def test_an_invalid_session_wants_a_new_token():
    (reply,) = captured("test_deserializing_error_message")

    assert isinstance(reply, frames.MethodReply)
    assert reply.fault is not None
    assert (reply.req_id, reply.fault.remedy) == (42, Remedy.REAUTH)


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"add_order","req_id":1}',
        '{"method":"add_order","req_id":1,"success":false}',
        '{"method":"add_order","req_id":1,"success":false,"error":"EService:Unavailable"}',
        '{"method":"add_order","req_id":1,"success":true,"error":"EOrder:Something new"}',
    ],
)
def test_a_reply_that_proves_nothing_leaves_the_write_unknown(text: str):
    (reply,) = frames.decode(text)

    assert isinstance(reply, frames.MethodReply)
    assert not reply.ok
    assert isinstance(reply.outcome, Unknown)
    assert reply.fault is not None
    assert reply.fault.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("channel", ["ohlc", "level3", "of a new kind"])
def test_a_channel_without_a_reader_is_an_unknown_frame(channel: str):
    (event,) = frames.decode(json.dumps({"channel": channel, "data": []}))

    assert isinstance(event, frames.UnknownFrame)
    assert event.channel == channel


LEVEL = '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":%s,"qty":1}],"asks":[],"checksum":1}]}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\ud800",
        '{"channel":"\ud800"}',
        "[" * 100_000,
        '{"channel":"book"',
        '{"channel":"book","type":"update"}',
        '{"channel":"book","type":"of a new kind","data":[]}',
        LEVEL % '"NaN"',
        LEVEL % ".5",
        LEVEL % "5.",
        LEVEL % "05",
        LEVEL % "+5",
        LEVEL % "null",
        LEVEL % "-1",
        LEVEL % "1e400",
        LEVEL % "{}",
        LEVEL % '"1_0"',
        LEVEL % '""',
        LEVEL % '"١"',
        '{"channel":"ticker","type":"update","data":[{"symbol":"X","bid":"NaN","bid_qty":1,"ask":1,"ask_qty":1,"last":1}]}',
        '{"channel":"executions","type":"update","data":[{"order_id":"O1","exec_type":"trade"}]}',
        '{"channel":"executions","type":"update","data":[{"order_id":"O1","order_qty":"Infinity"}]}',
        '{"channel":"executions","type":"update","data":[{"order_id":"O1","timestamp":"soon"}]}',
        '{"channel":"balances","type":"update","data":[{"asset":"BTC","balance":1e999999999}]}',
        '{"channel":"instrument","type":"update","data":{"pairs":[{"symbol":"X/Y","status":"online","price_increment":0,"qty_increment":1,"qty_min":1}]}}',
        '{"method":7}',
        '{"method":"pong","req_id":"x"}',
    ],
)
def test_what_cannot_be_read_is_a_malformed_frame(text: str):
    (event,) = frames.decode(text)

    assert isinstance(event, frames.MalformedFrame)
    assert event.reason
    assert len(event.text) <= 2000


@given(st.sampled_from(TEXTS + BOOK_RUN[:3]), st.data())
def test_a_frame_with_a_broken_place_never_raises(text: str, data: st.DataObject):
    at = data.draw(st.integers(0, len(text)))
    middle = data.draw(
        st.text(max_size=3) | st.sampled_from(['"', "}", "]", ",", "null", "1e99999", "NaN", "[" * 2000])
    )
    cut = data.draw(st.integers(0, 8))

    events = frames.decode(text[:at] + middle + text[at + cut :])

    assert all(isinstance(event, frames.Event) for event in events)


@given(st.sampled_from(TEXTS), st.data())
def test_a_frame_with_another_value_somewhere_never_raises(text: str, data: st.DataObject):
    frame = json.loads(text)
    holder, key = frame, data.draw(st.sampled_from(sorted(frame)))
    while isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=4)
        | st.just([])
        | st.just({})
    )

    assert all(isinstance(event, frames.Event) for event in frames.decode(json.dumps(frame)))


@given(st.text())
def test_any_text_at_all_is_some_event(text: str):
    assert frames.decode(text)


def test_market_data_of_nothing_is_no_event():
    assert frames.decode('{"channel":"trade","type":"snapshot","data":[]}') == ()


DIGITS = st.decimals(Decimal("1e-10"), Decimal("1e10"), allow_nan=False, allow_infinity=False).filter(
    lambda value: len(f"{value:f}") <= DIGITS_MAX
)


@given(st.lists(st.tuples(DIGITS, DIGITS), max_size=5), st.lists(st.tuples(DIGITS, DIGITS), max_size=5))
def test_a_book_written_out_is_read_back_digit_by_digit(
    bids: list[tuple[Decimal, Decimal]], asks: list[tuple[Decimal, Decimal]]
):
    def written(levels: list[tuple[Decimal, Decimal]]) -> str:
        return ",".join(f'{{"price":{price:f},"qty":{qty:f}}}' for price, qty in levels)

    text = (
        '{"channel":"book","type":"snapshot","data":[{"symbol":"X/Y","checksum":1,'
        f'"bids":[{written(bids)}],"asks":[{written(asks)}]}}]}}'
    )

    (event,) = frames.decode(text)

    assert isinstance(event, frames.BookSnapshot)
    assert event.bids == [(f"{price:f}", f"{qty:f}") for price, qty in bids]
    assert event.asks == [(f"{price:f}", f"{qty:f}") for price, qty in asks]


def test_a_level_with_more_digits_than_any_venue_has_is_a_malformed_frame():
    def book(price: str) -> str:
        return (
            '{"channel":"book","type":"update","data":[{"symbol":"X/Y","checksum":1,'
            f'"bids":[{{"price":{price},"qty":1}}],"asks":[]}}]}}'
        )

    assert isinstance(frames.decode(book("9" * DIGITS_MAX))[0], frames.BookUpdate)
    assert isinstance(frames.decode(book("9" * (DIGITS_MAX + 1)))[0], frames.MalformedFrame)
