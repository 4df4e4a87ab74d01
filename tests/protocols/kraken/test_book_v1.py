"""WebSocket v1's frames into the events that v2 has."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.errors import Category, Remedy
from allstop.actors.intents import Side
from allstop.actors.protocols.kraken import book_v1
from allstop.actors.protocols.kraken.events import (
    BookSnapshot,
    BookUpdate,
    Event,
    Heartbeat,
    MalformedFrame,
    MethodReply,
    Pong,
    SystemStatus,
    Trade,
    UnknownFrame,
)
from allstop.actors.protocols.wire import DecodeError

CAPTURES = Path(__file__).parents[2] / "captures/kraken/ws"


class Sample(msgspec.Struct, rename={"source": "from"}):
    m: msgspec.Raw
    source: str


SAMPLES = {
    sample.source: bytes(sample.m).decode()
    for sample in (
        msgspec.json.decode(line, type=Sample)
        for line in (CAPTURES / "v1_fixture_frames_m4cx.ndjson").read_text().splitlines()
    )
}


def event(source: str) -> Event:
    (found,) = book_v1.decode(SAMPLES[source])
    return found


def test_a_snapshot_comes_in_our_names_and_without_a_checksum():
    found = event("bookSnapshot.json")

    assert isinstance(found, BookSnapshot)
    assert (found.symbol, found.checksum) == ("BTC/USD", None)
    assert found.asks[0] == ("5541.30000", "2.50700000")
    assert len(found.bids) == 3


@pytest.mark.parametrize(
    ("source", "asks", "bids"),
    [
        ("bookUpdate1.json", 2, 0),
        ("bookUpdate2.json", 0, 1),
        ("bookUpdate3.json", 2, 1),
        ("bookUpdateRepublished.json", 2, 0),
    ],
)
def test_an_update_carries_one_side_or_both(source: str, asks: int, bids: int):
    found = event(source)

    assert isinstance(found, BookUpdate)
    assert (len(found.asks), len(found.bids)) == (asks, bids)


def test_a_checksum_stands_in_the_last_of_two_objects():
    text = '[1234,{"a":[["5541.30000","2.507","1534614248.4"]]},{"b":[["5541.3","0.0","1534614335.3"]],"c":"974942666"},"book-10","XBT/USD"]'

    (found,) = book_v1.decode(text)

    assert isinstance(found, BookUpdate)
    assert (found.checksum, found.asks, found.bids) == (
        974942666,
        [("5541.30000", "2.507")],
        [("5541.3", "0.0")],
    )


def test_trades_are_read():
    found = book_v1.decode(SAMPLES["trade.json"])

    assert found[0] == Trade(
        symbol="BTC/USD",
        side=Side.SELL,
        price=Decimal("5541.20000"),
        qty=Decimal("0.15850568"),
        ts_ns=1_534_614_057_321_597_000,
        order_type="limit",
    )
    assert len(found) == 2


def test_control_frames_are_read():
    assert event("heartbeat.json") == Heartbeat()
    assert event("pong.json") == Pong(42)
    assert event("systemStatus.json") == SystemStatus("online", 8628615390848610222, "1.0.0")


def test_an_acknowledgement_names_channel_symbol_and_depth():
    line = (CAPTURES / "v1_book10_xbtusd_2023-08-30.ndjson").read_text().splitlines()[2]

    (ack,) = book_v1.decode(line)

    assert isinstance(ack, MethodReply)
    assert (ack.method, ack.ok, ack.channel, ack.symbol) == ("subscribe", True, "book", "BTC/USD")
    assert ack.result["depth"] == 10


@pytest.mark.parametrize(
    ("source", "method"),
    [
        ("subscriptionStatus1.json", "subscribe"),
        ("subscriptionStatus2.json", "unsubscribe"),
        ("addOrderStatus.json", "addOrder"),
        ("cancelOrderStatus.json", "cancelOrder"),
    ],
)
def test_a_success_names_its_method(source: str, method: str):
    found = event(source)

    assert isinstance(found, MethodReply)
    assert (found.method, found.ok) == (method, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SAMPLES["subscriptionStatusError.json"], "Subscription depth not supported"),
        (SAMPLES["addOrderStatusError.json"], "EOrder:Order minimum not met"),
        (SAMPLES["cancelOrderStatusError.json"], "EOrder:Unknown order"),
        ('{"Error":"Exceeded msg rate"}', "Exceeded msg rate"),
        ('{"event":"subscriptionStatus","status":"error"}', "unmapped error"),
        *zip(
            (CAPTURES / "v1_errors_barter.ndjson").read_text().splitlines(),
            ("Malformed request", "Subscription name invalid"),
            strict=True,
        ),
    ],
)
def test_an_error_has_its_row(text: str, code: str):
    (found,) = book_v1.decode(text)

    assert isinstance(found, MethodReply)
    assert found.fault is not None
    assert (found.ok, found.fault.code) == (False, code)


def test_what_counts_as_a_bug_of_ours_crashes_and_a_rate_waits():
    (wrong,) = book_v1.decode(SAMPLES["subscriptionStatusError.json"])
    (fast,) = book_v1.decode('{"Error":"Exceeded msg rate"}')

    assert isinstance(wrong, MethodReply)
    assert isinstance(fast, MethodReply)
    assert wrong.fault is not None
    assert fast.fault is not None
    assert (wrong.fault.remedy, fast.fault.category) == (Remedy.CRASH, Category.RATE)


@pytest.mark.parametrize(
    ("source", "channel"),
    [
        ("openOrders.json", "openOrders"),
        ("ownTrades.json", "ownTrades"),
        ("ohlc.json", "ohlc-5"),
        ("spread.json", "spread"),
        ("addOrder.json", "addOrder"),
    ],
)
def test_what_has_no_reader_is_an_unknown_frame(source: str, channel: str):
    found = event(source)

    assert isinstance(found, UnknownFrame)
    assert found.channel == channel


def test_private_channels_are_counted():
    lines = (CAPTURES / "v1_openOrders_session_bittrade.ndjson").read_text().splitlines()[2:]
    found = [book_v1.decode(line)[0] for line in lines]

    assert [frame.sequence for frame in found if isinstance(frame, UnknownFrame)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        "null",
        "[1]",
        '[1,{"x":[]},"book-10","XBT/USD"]',
        '[1,{"a":"b"},"book-10","XBT/USD"]',
        '[1,{"a":[["1"]]},"book-10","XBT/USD"]',
        '[1,{"a":[["NaN","1","1"]]},"book-10","XBT/USD"]',
        '[1,{"a":[["-1","1","1"]]},"book-10","XBT/USD"]',
        '[1,{"a":[],"c":"-5"},"book-10","XBT/USD"]',
        '[1,[["1","2","soon","b","l",""]],"trade","XBT/USD"]',
        '[1,[["1","2","3","x","l",""]],"trade","XBT/USD"]',
        '{"event":5}',
    ],
)
def test_what_cannot_be_read_is_a_malformed_frame(text: str):
    (found,) = book_v1.decode(text)

    assert isinstance(found, MalformedFrame)


def test_commands_go_out_in_the_names_of_v1():
    assert book_v1.subscribe(["BTC/USD"], depth=25, req_id=4) == (
        '{"event":"subscribe","reqid":4,"pair":["XBT/USD"],"subscription":{"name":"book","depth":25}}'
    )
    assert book_v1.unsubscribe(["DOGE/BTC"], req_id=5) == (
        '{"event":"unsubscribe","reqid":5,"pair":["XDG/XBT"],"subscription":{"name":"book","depth":10}}'
    )
    assert book_v1.ping(6) == '{"event":"ping","reqid":6}'
    with pytest.raises(DecodeError):
        book_v1.subscribe(["BTC/USD"], depth=11, req_id=4)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_a_frame_with_a_broken_place_never_raises(source: str, data: st.DataObject):
    text = SAMPLES[source]
    at = data.draw(st.integers(0, len(text)))
    middle = data.draw(st.text(max_size=3) | st.sampled_from(['"', "]", ",", "null", "1e99999", "[" * 2000]))

    events = book_v1.decode(text[:at] + middle + text[at + data.draw(st.integers(0, 8)) :])

    assert all(isinstance(event, Event) for event in events)
