"""Every captured file meets the codec that is for it: the tables below say which, and a file in neither fails."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fuzz.corpus import bodies, frames

from allstop.actors.protocols.kraken import book_v1, rest_answers
from allstop.actors.protocols.kraken import frames as frames_v2
from allstop.actors.protocols.kraken.events import MalformedFrame, UnknownFrame
from allstop.actors.protocols.kraken.instruments import decode_asset_pairs, pair_names

FILES = sorted(path.name for path in (Path(__file__).parent / "kraken").glob("*/*") if path.parent.is_dir())

# What each WebSocket file gives, by kind; an unknown frame by its channel: those are requests, and channels that v1 has
# and nobody here subscribes to.
FRAMES: dict[str, dict[str, int]] = {
    "v1_book1000_2021-04-17.capture.ndjson": {"MalformedFrame": 1, "subscribe": 1, "SystemStatus": 1, "MethodReply": 10, "Heartbeat": 31, "BookSnapshot": 10, "BookUpdate": 4269},
    "v1_book10_xbtusd_2023-08-30.ndjson": {"SystemStatus": 1, "Pong": 16, "MethodReply": 1, "BookSnapshot": 1, "BookUpdate": 979, "Heartbeat": 152},
    "v1_errors_barter.ndjson": {"MethodReply": 2},
    "v1_fixture_frames_m4cx.ndjson": {"addOrder": 2, "MethodReply": 7, "BookSnapshot": 1, "BookUpdate": 4, "Heartbeat": 1, "ohlc-5": 1, "openOrders": 1, "ownTrades": 1, "ping": 1, "Pong": 1, "spread": 1, "subscribe": 2, "SystemStatus": 1, "ticker": 1, "Trade": 2, "unsubscribe": 2},
    "v1_openOrders_session_bittrade.ndjson": {"SystemStatus": 1, "MethodReply": 1, "openOrders": 4},
    "v1_ticker_2021-04-17.capture.ndjson": {"MalformedFrame": 1, "subscribe": 1, "SystemStatus": 1, "MethodReply": 10, "ticker": 18, "Heartbeat": 31},
    "v1_ticker_session_bittrade.ndjson": {"SystemStatus": 1, "MethodReply": 4, "ticker": 4, "Heartbeat": 4},
    "v1_trade_2021-04-17.capture.ndjson": {"MalformedFrame": 1, "subscribe": 1, "SystemStatus": 1, "MethodReply": 10, "Heartbeat": 30, "Trade": 10},
    "v2_book10_btcusd_2023-07-30_part1.ndjson": {"BookSnapshot": 1, "BookUpdate": 340},
    "v2_frames_async_rs.ndjson": {"Heartbeat": 1, "SystemStatus": 2, "MethodReply": 18, "Ticker": 2, "BookSnapshot": 1, "BookUpdate": 1, "level3": 1, "Trade": 2, "InstrumentUpdate": 1, "Executions": 4, "Balances": 3, "Pong": 1},
}  # fmt: skip

# Which reader each REST answer is for.
READERS: dict[str, Callable[[Any], Any]] = {
    "AddOrder": rest_answers.decode_add_order,
    "AssetPairs": decode_asset_pairs,
    "Balance": rest_answers.decode_balance,
    "CancelAll": rest_answers.decode_cancel,
    "CancelOrder": rest_answers.decode_cancel,
    "CancelOrderBatch": rest_answers.decode_cancel,
    "ClosedOrders": rest_answers.decode_closed_orders,
    "Depth": rest_answers.decode_depth,
    "GetWebSocketsToken": rest_answers.decode_token,
    "OpenOrders": rest_answers.decode_open_orders,
    "QueryOrders": rest_answers.decode_query_orders,
    "QueryTrades": rest_answers.decode_trades,
    "SystemStatus": rest_answers.decode_system_status,
    "Ticker": rest_answers.decode_ticker,
    "Time": rest_answers.decode_time,
    "TradesHistory": rest_answers.decode_trades,
}
# Calls that nothing here makes: their envelope is read, their result is nobody's.
ENVELOPE_ONLY = {
    "AddOrderBatch", "Assets", "BalanceEx", "CancelAllOrdersAfter", "EditOrder", "Ledgers", "OHLC", "OpenPositions",
    "Spread", "TradeBalance", "Trades",
}  # fmt: skip
ERRORS = {"errors_async_rs.ndjson", "errors_kraken_cli_mocks.ndjson"}
# The example of the documentation wraps the envelope once more than the venue does.
NO_ENVELOPE = {"doc_OrderAmends.json"}


def method_of(name: str) -> str:
    return name.removesuffix(".json").split("_")[1]


@pytest.mark.parametrize("name", FILES)
def test_every_captured_file_is_met_by_a_codec(name: str) -> None:
    if name.endswith(".json") and name not in NO_ENVELOPE:
        assert method_of(name) in READERS.keys() | ENVELOPE_ONLY
    else:
        assert name in FRAMES.keys() | ERRORS | NO_ENVELOPE | {"LICENSES.md"}


def test_no_row_of_the_tables_is_about_a_file_that_is_gone() -> None:
    assert FRAMES.keys() | ERRORS | NO_ENVELOPE <= set(FILES)
    methods = {method_of(name) for name in FILES if name.endswith(".json")}
    assert READERS.keys() | ENVELOPE_ONLY <= methods


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_every_frame_of_a_captured_file_is_read_as_what_it_is(name: str) -> None:
    decode = book_v1.decode if name.startswith("v1") else frames_v2.decode
    found: Counter[str] = Counter()
    for sample in frames():
        if sample.place.partition(":")[0] != name:
            continue
        events = decode(sample.text.decode())
        assert events, f"{sample.place}: nothing came of it"
        for event in events:
            if isinstance(event, MalformedFrame):
                assert sample.text.startswith(b'{"url":'), (
                    f"{sample.place}: {event.reason}"
                )  # the line of the opening
            found[str(event.channel) if isinstance(event, UnknownFrame) else type(event).__name__] += 1
    assert found == FRAMES[name]


@pytest.mark.parametrize("sample", bodies(), ids=lambda sample: sample.place)
def test_every_captured_body_is_a_result_that_its_reader_takes_or_a_fault_that_has_a_row(sample: Any) -> None:
    name = sample.place.partition(":")[0]
    result, wrong = rest_answers.decode_envelope(sample.status, sample.text)
    if name in ERRORS:
        assert result is None
        assert wrong
        assert all(fault.mapped for fault in wrong)
    elif name in NO_ENVELOPE:
        assert (result, len(wrong)) == (None, 1)
    else:
        assert wrong == ()
        assert result is not None
        if (reader := READERS.get(method_of(name))) is not None:
            assert reader(result)


def test_every_pair_of_the_full_listing_is_read_under_all_its_names() -> None:
    body = next(sample for sample in bodies() if sample.place.startswith("rec_AssetPairs_full"))
    result, _ = rest_answers.decode_envelope(200, body.text)
    listed = {name: row for name, row in result.items() if "wsname" in row}
    assert len(decode_asset_pairs(result)) == len(listed)
    assert pair_names(result).keys() >= listed.keys()
