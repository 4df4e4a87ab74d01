"""Kraken's REST answers, recorded and documented, read."""

import contextlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allstop.actors.errors import Outcome
from allstop.actors.intents import OrderType, Side
from allstop.actors.protocols.kraken import rest
from allstop.actors.protocols.kraken.instruments import decode_asset_pairs
from allstop.actors.protocols.wire import DecodeError
from allstop.actors.reports import Fill, OrderReport, OrderStatus

CAPTURES = Path(__file__).parents[2] / "captures/kraken/rest"
# Its page wraps the envelope once more than the venue does: tests/captures/test_coverage.py reads it as it stands.
NO_ENVELOPE = {"doc_OrderAmends.json"}
FILES = [path for path in sorted(CAPTURES.glob("*.json")) if path.name not in NO_ENVELOPE]
BODIES = {path.name: path.read_bytes() for path in FILES}


def result(file: str) -> Any:
    found, faults = rest.decode_envelope(200, BODIES[file])
    assert not faults
    return found


@pytest.mark.parametrize("file", BODIES)
def test_each_captured_answer_is_an_envelope_without_faults(file: str):
    found, faults = rest.decode_envelope(200, BODIES[file], write=True)

    assert found
    assert not faults


def test_an_envelope_carries_several_errors_beside_a_result():
    found, faults = rest.decode_envelope(
        200, b'{"error":["EOrder:Invalid price","WDatabase:No change"],"result":{"count":1}}', write=True
    )

    assert found == {"count": 1}
    assert [fault.code for fault in faults] == ["EOrder:Invalid price", "WDatabase:No change"]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, b'{"error":["EAPI:Invalid key"]}', "EAPI:Invalid key"),
        (200, b'{"error":["EAPI:Invalid key"],"result":null}', "EAPI:Invalid key"),
        (200, b'{"error":[]}', "HTTP:body"),
        (200, b'{"error":[],"result":null}', "HTTP:body"),
        (200, b'{"result":{"count":1}}', "HTTP:body"),
        (200, b"", "HTTP:body"),
        (200, b"not json at all", "HTTP:body"),
        (520, b"<!DOCTYPE html><title>520: Web server is returning an unknown error</title>", "HTTP:5xx"),
        (502, b"Bad Gateway", "HTTP:5xx"),
        (403, b"Forbidden", "HTTP:403"),
    ],
)
def test_an_answer_without_a_result_is_a_fault(status: int, body: bytes, code: str):
    found, faults = rest.decode_envelope(status, body, write=True)

    assert found is None
    assert [fault.code for fault in faults] == [code]
    assert code.startswith("E") or faults[0].outcome is Outcome.UNKNOWN


def test_the_time_named_by_a_throttled_answer_is_waited_for():
    _, faults = rest.decode_envelope(200, b'{"error":["EService: Throttled: 110"]}', now_s=100.0)

    assert faults[0].retry_after_s == 10.0


def test_a_documented_open_order_is_read_whole():
    reports = rest.decode_open_orders(result("doc_OpenOrders.json"))

    assert reports[0] == OrderReport(
        order_id="OQCLML-BW3P3-BUCMWZ",
        status=OrderStatus.PARTIALLY_FILLED,
        pair="BTC/USD",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        order_qty=Decimal("1.25000000"),
        cum_qty=Decimal("0.37500000"),
        avg_price=Decimal("30010.0"),
        limit_price=Decimal("30010.0"),
        ts_ns=1_688_666_559_897_400_000,
    )
    assert reports[1].status is OrderStatus.NEW
    assert reports[1].avg_price is None


def test_the_recorded_open_orders_are_read():
    reports = rest.decode_open_orders(result("rec_OpenOrders_xchange.json"))

    assert [report.pair for report in reports] == [
        "XRP/BTC",
        "REP/ETH",
        "ETH/EUR",
        "ETH/BTC",
        "BTC/EUR",
        "XRP/EUR",
    ]
    assert {report.status for report in reports} == {OrderStatus.NEW}


def stop_order(**changes: object) -> dict[str, object]:
    """A conditional close as OpenOrders shows it, with the fields that decide whether an order protects."""
    order: dict[str, object] = {
        "refid": "OPARENT-AAAAA-BBBBBB",
        "status": "open",
        "opentm": Decimal("1688666559.8974"),
        "descr": {
            "pair": "XBTUSD",
            "type": "sell",
            "ordertype": "stop-loss-limit",
            "price": "29000.0",
            "price2": "28900.0",
        },
        "vol": "1.00000000",
        "vol_exec": "0.00000000",
        "price": "0.00000",
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": "fciq",
        "reduce_only": False,
        "cl_ord_id": "intent-1",
    }
    return {"open": {"OSTOP": order | changes}}


def test_a_stop_tells_its_parent_its_trigger_and_its_limit():
    (report,) = rest.decode_open_orders(stop_order())

    assert (report.parent_id, report.order_type) == ("OPARENT-AAAAA-BBBBBB", OrderType.STOP_LOSS_LIMIT)
    assert (report.trigger_price, report.limit_price) == (Decimal("29000.0"), Decimal("28900.0"))
    assert (report.triggered, report.reduce_only, report.cl_ord_id) == (False, False, "intent-1")


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"stopprice": "28950.0"}, "trigger_price", Decimal("28950.0")),
        ({"misc": "stopped"}, "triggered", True),
        ({"misc": "initiated,touched"}, "triggered", True),
        ({"refid": None}, "parent_id", None),
        ({"refid": "None"}, "parent_id", None),
        ({"refid": ""}, "parent_id", None),
        ({"status": "pending"}, "status", OrderStatus.PENDING_NEW),
        ({"status": "closed"}, "status", OrderStatus.FILLED),
        ({"status": "canceled", "reason": "User requested"}, "reason", "User requested"),
        ({"status": "expired"}, "status", OrderStatus.EXPIRED),
        ({"status": "of a new kind"}, "status", OrderStatus.UNRECOGNISED),
        ({"oflags": "fciq,viqc"}, "order_qty", None),
        ({"descr": {"ordertype": "of a new kind"}}, "order_type", None),
        ({"descr": {"ordertype": "trailing-stop", "price": "+5.0%"}}, "trigger_price", None),
        ({"descr": {}}, "pair", None),
        ({"closetm": Decimal("1688666560.5")}, "ts_ns", 1_688_666_560_500_000_000),
    ],
)
def test_each_field_of_an_order_is_read(changes: dict[str, object], field: str, value: object):
    (report,) = rest.decode_open_orders(stop_order(**changes))

    assert getattr(report, field) == value


@pytest.mark.parametrize(
    "changes",
    [
        {"vol": "NaN"},
        {"vol": None},
        {"vol_exec": "Infinity"},
        {"vol": "1e400"},
        {"status": None},
        {"descr": None},
        {"descr": {"type": "hold"}},
        {"stopprice": []},
        {"opentm": "soon"},
    ],
)
def test_an_order_that_cannot_be_is_refused(changes: dict[str, object]):
    with pytest.raises(DecodeError):
        rest.decode_open_orders(stop_order(**changes))


def test_the_recorded_pages_of_closed_orders_are_one_history():
    pages = [
        rest.decode_closed_orders(result(f"rec_ClosedOrders_page_{page}_of_3.json")) for page in (1, 2, 3)
    ]

    assert [len(page.reports) for page in pages] == [50, 50, 3]
    assert {page.count for page in pages} == {103}
    assert len({report.order_id for page in pages for report in page.reports}) == 103
    assert all(report.status.terminal for page in pages for report in page.reports)


def test_the_documented_closed_and_queried_orders_are_read():
    closed = rest.decode_closed_orders(result("doc_ClosedOrders.json"))
    queried = rest.decode_query_orders(result("doc_QueryOrders.json"))

    assert [report.reason for report in closed.reports] == ["User requested", "User requested"]
    assert [report.trigger_price for report in closed.reports] == [Decimal("23667.0"), Decimal("27743.0")]
    assert [(report.status, report.cum_qty) for report in queried] == [
        (OrderStatus.FILLED, Decimal("1.25000000")),
        (OrderStatus.FILLED, Decimal("0.25000000")),
    ]


def test_our_executions_are_read_from_the_history_and_from_a_query():
    history = rest.decode_trades(result("doc_TradesHistory.json"))

    assert history[0] == Fill(
        exec_id="THVRQM-33VKH-UCI7BS",
        order_id="OQCLML-BW3P3-BUCMWZ",
        pair="BTC/USD",
        side=Side.BUY,
        qty=Decimal("0.02000000"),
        price=Decimal("30010.00000"),
        fee=Decimal("0.00000"),
        ts_ns=1_688_667_796_880_200_000,
    )
    assert rest.decode_trades(result("doc_QueryTrades.json"))


def test_the_answers_to_writes_are_read():
    assert rest.decode_add_order(result("doc_AddOrder.json")) == ("OUF4EM-FRGI2-MQMWZD",)
    assert rest.decode_add_order({"descr": {"order": "a dry run"}}) == ()
    assert rest.decode_amend_order({"amend_id": "TTW6PD-RC36L-ZZSWNU"}) == "TTW6PD-RC36L-ZZSWNU"
    assert rest.decode_cancel(result("doc_CancelOrder.json")) == 1
    assert rest.decode_cancel(result("doc_CancelOrderBatch.json")) == 2
    assert rest.decode_cancel(result("fixture_CancelAll_async_rs.json")) == 4


def test_balances_come_in_our_names_with_all_digits():
    held = rest.decode_balance(result("doc_Balance.json"))

    assert held["BTC"] == "1011.1908877900"
    assert held["USD"] == "171288.6158"
    assert held["ETH2.S"] == "198.3970800000"


def test_a_key_says_whether_it_could_withdraw():
    # the shape of docs.kraken.com/api-reference/account-data/get-api-key-info
    info = {
        "apiKeyName": "trade",
        "apiKey": "...",
        "nonceWindow": 0,
        "permissions": ["query-funds", "modify-trades"],
    }

    assert not rest.decode_key_info(info).can_withdraw
    assert rest.decode_key_info(info).api_key_name == "trade"
    assert rest.decode_key_info({"permissions": ["withdraw-funds"]}).can_withdraw


def test_the_small_answers_are_read():
    assert rest.decode_token(result("doc_GetWebSocketsToken.json")).startswith("1Dwc4lzS")
    assert rest.decode_system_status(result("doc_SystemStatus.json")) == "online"
    assert rest.decode_time(result("doc_Time.json")) == 1688669448
    assert rest.decode_ticker(result("doc_Ticker.json")) == {
        "BTC/USD": (Decimal("3537.40000"), Decimal("3537.50000"), Decimal("3537.50000"))
    }


def test_a_recorded_depth_is_read_best_first_with_its_digits():
    ((pair, (bids, asks)),) = rest.decode_depth(result("rec_Depth_async_rs.json")).items()

    assert pair == "BTC/USD"
    assert bids == sorted(bids, key=lambda level: Decimal(level[0]), reverse=True)
    assert asks == sorted(asks, key=lambda level: Decimal(level[0]))
    assert Decimal(bids[0][0]) < Decimal(asks[0][0])


DECODERS = [
    decode_asset_pairs,
    rest.decode_add_order,
    rest.decode_amend_order,
    rest.decode_balance,
    rest.decode_cancel,
    rest.decode_closed_orders,
    rest.decode_depth,
    rest.decode_key_info,
    rest.decode_open_orders,
    rest.decode_query_orders,
    rest.decode_system_status,
    rest.decode_ticker,
    rest.decode_time,
    rest.decode_token,
    rest.decode_trades,
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text(max_size=5)
    | st.sampled_from(["NaN", "1e999999999", "-1", "None", "open", "buy", "stop-loss", "5%", "XBTUSD"])
)


@st.composite
def mutated(draw: st.DrawFn) -> object:
    """A captured result with one of its values replaced, at a place that is drawn."""
    found: Any = msgspec.json.decode(
        msgspec.json.encode(
            {"result": result(draw(st.sampled_from([name for name in BODIES if "full" not in name])))}
        )
    )
    holder, key = found, "result"
    while isinstance(holder[key], (dict, list)) and holder[key] and draw(st.integers(0, 6)):
        holder = holder[key]
        key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = draw(
        st.recursive(
            SCALARS,
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=4,
        )
    )
    return found["result"]


@pytest.mark.parametrize("decode", DECODERS)
@settings(max_examples=30)
@given(value=mutated())
def test_a_mutated_result_is_read_or_refused_by_name(decode: Any, value: object):
    with contextlib.suppress(DecodeError):
        decode(value)


@given(st.sampled_from(sorted(BODIES)), st.data())
def test_a_mutated_body_never_raises(file: str, data: st.DataObject):
    body = BODIES[file][:2000]
    at = data.draw(st.integers(0, len(body)))
    found, faults = rest.decode_envelope(
        200, body[:at] + data.draw(st.binary(max_size=4)) + body[at + 1 :], write=True
    )

    assert found is not None or faults


def test_the_captured_errors_are_as_small_as_they_look():
    lines = (CAPTURES / "errors_async_rs.ndjson").read_text().splitlines()

    assert all("result" not in json.loads(line)["body"] for line in lines)
