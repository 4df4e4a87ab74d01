"""The calls, as the exact bytes that are signed."""

from decimal import Decimal
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.errors import BadInput
from allstop.actors.instruments import Instrument
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss, TimeInForce
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.kraken import rest
from allstop.actors.protocols.kraken.signing import sign
from allstop.actors.protocols.wire import DecodeError

XBTUSD = Instrument(
    pair="BTC/USD",
    venue_name="XBTUSD",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.00000001"),
    min_qty=Decimal("0.0001"),
)
DEADLINE = "2026-01-01T00:00:05.000Z"
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="


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


def test_an_entry_goes_out_with_its_stop_its_id_and_its_deadline():
    call = rest.add_order(entry(), XBTUSD, DEADLINE)

    assert (call.path, call.write, call.public) == ("/0/private/AddOrder", True, False)
    assert rest.encode(call, 7) == (
        b"nonce=7&pair=XBTUSD&type=buy&ordertype=limit&volume=0.00010000&cl_ord_id=intent-1"
        b"&deadline=2026-01-01T00%3A00%3A05.000Z&price=30000.0&timeinforce=GTC"
        b"&close%5Bordertype%5D=stop-loss&close%5Bprice%5D=29000.0"
    )


@pytest.mark.parametrize(
    ("changes", "expected", "absent"),
    [
        (
            {"order_type": OrderType.MARKET, "limit_price": None},
            {"ordertype": "market"},
            {"price", "timeinforce"},
        ),
        ({"time_in_force": TimeInForce.IOC}, {"timeinforce": "IOC"}, {"expiretm"}),
        ({"post_only": True}, {"oflags": "post"}, {"reduce_only"}),
        ({"reduce_only": True}, {"reduce_only": "true"}, {"oflags"}),
        (
            {"stop": StopLoss(trigger_price=Decimal("29000.0"), limit_price=Decimal("28900.0"))},
            {
                "close[ordertype]": "stop-loss-limit",
                "close[price]": "29000.0",
                "close[price2]": "28900.0",
            },
            set(),
        ),
        (
            {
                "order_type": OrderType.STOP_LOSS,
                "limit_price": None,
                "trigger_price": Decimal("29000.0"),
                "stop": None,
                "kind": IntentKind.PROTECT,
            },
            {"ordertype": "stop-loss", "price": "29000.0"},
            {"price2", "close[ordertype]"},
        ),
        (
            {
                "order_type": OrderType.STOP_LOSS_LIMIT,
                "limit_price": Decimal("28900.0"),
                "trigger_price": Decimal("29000.0"),
                "stop": None,
                "kind": IntentKind.PROTECT,
            },
            {"price": "29000.0", "price2": "28900.0"},
            {"close[ordertype]"},
        ),
    ],
)
def test_each_kind_of_order_says_what_it_must_and_no_more(
    changes: dict[str, object], expected: dict[str, str], absent: set[str]
):
    params = rest.add_order(entry(**changes), XBTUSD, DEADLINE).params

    assert expected.items() <= params.items()
    assert absent.isdisjoint(params)


def test_an_order_good_till_a_date_needs_the_date():
    gtd = entry(time_in_force=TimeInForce.GTD)

    with pytest.raises(BadInput, match="time_in_force"):
        rest.add_order(gtd, XBTUSD, DEADLINE)
    assert rest.add_order(gtd, XBTUSD, DEADLINE, expires="+60").params["expiretm"] == "+60"


def test_a_dry_run_is_no_write():
    call = rest.add_order(entry(), XBTUSD, DEADLINE, validate=True)

    assert call.params["validate"] == "true"
    assert not call.write


@pytest.mark.parametrize("qty", ["NaN", "Infinity"])
def test_a_number_that_is_none_never_goes_out(qty: str):
    with pytest.raises(DecodeError):
        rest.add_order(entry(qty=Decimal(qty)), XBTUSD, DEADLINE)


@given(st.decimals(Decimal("1e-12"), Decimal("1e12"), allow_nan=False, allow_infinity=False))
def test_every_quantity_arrives_with_its_value_and_without_an_exponent(qty: Decimal):
    body = rest.encode(rest.add_order(entry(qty=qty), XBTUSD, DEADLINE), 1)
    volume = dict(parse_qsl(body.decode()))["volume"]

    assert Decimal(volume) == qty
    assert "E" not in volume.upper()


def test_an_amendment_names_the_order_and_only_what_changes():
    call = rest.amend_order("OABC", trigger_price=Decimal("29500.0"), deadline=DEADLINE)

    assert call.path == "/0/private/AmendOrder"
    assert call.params == {"txid": "OABC", "trigger_price": "29500.0", "deadline": DEADLINE}
    assert rest.amend_order(cl_ord_id="i-1", order_qty=Decimal("1E-8"), post_only=True).params == {
        "cl_ord_id": "i-1",
        "order_qty": "0.00000001",
        "post_only": "true",
    }


def test_an_order_is_named_by_exactly_one_id():
    for name in (rest.amend_order, rest.cancel_order):
        with pytest.raises(BadInput):
            name()
        with pytest.raises(BadInput):
            name("OABC", cl_ord_id="i-1")


def test_a_batch_is_cancelled_in_json():
    call = rest.cancel_order_batch(["O1", "O2"], cl_ord_ids=["i-3"])

    request = rest.request(call, key="K", secret=SECRET, nonce=9)

    assert request.body == b'{"nonce":"9","orders":["O1","O2"],"cl_ord_ids":["i-3"]}'
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["API-Sign"] == sign(SECRET, "/0/private/CancelOrderBatch", 9, request.body)


@pytest.mark.parametrize("count", [0, 51])
def test_a_batch_has_one_to_fifty_orders(count: int):
    ids = [f"O{index}" for index in range(count)]

    with pytest.raises(BadInput, match="50"):
        rest.cancel_order_batch(ids)
    with pytest.raises(BadInput, match="50"):
        rest.query_orders(ids)


def test_a_private_call_is_signed_over_its_exact_body():
    call = rest.add_order(entry(), XBTUSD, DEADLINE)

    request = rest.request(call, key="the key", secret=SECRET, nonce=1616492376594)

    assert (request.method, request.path) == ("POST", "/0/private/AddOrder")
    assert request.body == rest.encode(call, 1616492376594)
    assert request.headers["API-Key"] == "the key"
    assert request.headers["API-Sign"] == sign(SECRET, call.path, 1616492376594, request.body)
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["User-Agent"]


def test_a_public_call_is_a_get_without_key_or_signature():
    request = rest.request(rest.depth("XBTUSD", 25), key="the key", secret=SECRET, nonce=1)

    assert (request.method, request.path, request.body) == (
        "GET",
        "/0/public/Depth?pair=XBTUSD&count=25",
        b"",
    )
    assert not {"API-Key", "API-Sign"} & request.headers.keys()


@pytest.mark.parametrize(
    ("call", "path", "params"),
    [
        (rest.cancel_order("OABC"), "/0/private/CancelOrder", {"txid": "OABC"}),
        (rest.cancel_order(cl_ord_id="i-1"), "/0/private/CancelOrder", {"cl_ord_id": "i-1"}),
        (rest.cancel_all(), "/0/private/CancelAll", {}),
        (rest.open_orders(), "/0/private/OpenOrders", {}),
        (
            rest.open_orders(trades=True, cl_ord_id="i-1"),
            "/0/private/OpenOrders",
            {"trades": "true", "cl_ord_id": "i-1"},
        ),
        (rest.closed_orders(), "/0/private/ClosedOrders", {"ofs": "0", "closetime": "both"}),
        (
            rest.closed_orders(
                1688148000, 50, end=1688149000, trades=True, cl_ord_id="i-1", closetime="close"
            ),
            "/0/private/ClosedOrders",
            {
                "ofs": "50",
                "closetime": "close",
                "start": "1688148000",
                "end": "1688149000",
                "trades": "true",
                "cl_ord_id": "i-1",
            },
        ),
        (
            rest.query_orders(["O1", "O2"], trades=True),
            "/0/private/QueryOrders",
            {"txid": "O1,O2", "trades": "true"},
        ),
        (rest.trades_history(5, 50), "/0/private/TradesHistory", {"ofs": "50", "start": "5"}),
        (rest.balance(), "/0/private/Balance", {}),
        (rest.get_api_key_info(), "/0/private/GetApiKeyInfo", {}),
        (rest.get_websockets_token(), "/0/private/GetWebSocketsToken", {}),
        (rest.asset_pairs(), "/0/public/AssetPairs", {}),
        (rest.asset_pairs(["XBTUSD", "ETHUSD"]), "/0/public/AssetPairs", {"pair": "XBTUSD,ETHUSD"}),
        (rest.system_status(), "/0/public/SystemStatus", {}),
        (rest.time(), "/0/public/Time", {}),
        (rest.ticker(["XBTUSD"]), "/0/public/Ticker", {"pair": "XBTUSD"}),
    ],
)
def test_each_call_goes_to_its_path_with_its_parameters(
    call: rest.RestCall, path: str, params: dict[str, str]
):
    assert (call.path, call.params) == (path, params)
    assert call.public == path.startswith("/0/public/")
    assert call.write == ("Cancel" in path)
