"""Our codec against the simulated venue, whose encoding was written apart from it: what one says the other reads."""

from decimal import Decimal
from typing import Any

import pytest
from tests.simulated.client import BTC, Client, Socket

from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.kraken import frames, instruments, rest
from allstop.actors.protocols.wire import rfc3339
from allstop.actors.reports import Accepted, OrderReport, OrderStatus, Rejected
from allstop.actors.simulated.kraken.rest import Request

BIDS, ASKS = [("30000.0", "5.00000000")], [("30001.0", "5.00000000")]


class Trader(Client):
    """A client that speaks through our codec only."""

    def call(self, call: rest.RestCall) -> Any:
        self.nonce += 1
        made = rest.request(call, key=self.key.key, secret=self.key.secret, nonce=self.nonce)
        headers = {name.lower(): value for name, value in made.headers.items()}
        answer = self.venue.http(
            Request(method=made.method, path=made.path, headers=headers, body=made.body, ip=self.ip), self.at
        )
        result, faults = rest.decode_envelope(answer.status, answer.body, write=call.write)
        assert not faults, faults
        return result

    @property
    def deadline(self) -> str:
        return rfc3339(self.at.wall_ns + 5_000_000_000)


def events(socket: Socket) -> list[frames.Event]:
    found = [event for text in socket.texts() for event in frames.decode(text)]
    strange = [event for event in found if isinstance(event, (frames.MalformedFrame, frames.UnknownFrame))]
    assert not strange
    return found


def said(trader: Trader, socket: Socket, text: str) -> tuple[frames.MethodReply, list[OrderReport]]:
    """The reply to a frame, and the reports that came with it."""
    venue, at = trader.venue, trader.at
    venue.ws_reply(socket.connection, venue.ws_frame(socket.connection, text, at), at, at)
    venue.settle(at)
    found = events(socket)
    (reply,) = [event for event in found if isinstance(event, frames.MethodReply)]
    return reply, [
        report for event in found if isinstance(event, frames.Executions) for report in event.reports
    ]


def entry(**changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "id": "intent-1",
        "pair": BTC,
        "side": Side.BUY,
        "qty": Decimal("0.5"),
        "limit_price": Decimal("29500.0"),
        "stop": StopLoss(trigger_price=Decimal("28000.0")),
    }
    return OrderIntent(**fields | changes)


@pytest.fixture
def trader() -> Trader:
    made = Trader()
    made.book(BIDS, ASKS)
    return made


@pytest.fixture
def stream(trader: Trader) -> Socket:
    socket = trader.connect(private=True)
    socket.token = rest.decode_token(trader.call(rest.get_websockets_token()))
    ack, _ = said(
        trader, socket, frames.subscribe("executions", token=socket.token, req_id=1, ratecounter=True)
    )
    assert ack.ok
    assert ack.max_rate_count is not None
    return socket


def test_an_entry_and_its_stop_are_told_alike_by_the_stream_and_by_a_query(trader: Trader, stream: Socket):
    market = entry(order_type=OrderType.MARKET, limit_price=None)

    reply, reports = said(trader, stream, frames.add_order(market, str(stream.token), 2, trader.deadline))

    assert isinstance(reply.outcome, Accepted)
    known: dict[str, OrderReport] = {}
    for report in reports:
        before = known.get(report.order_id)
        known[report.order_id] = report if before is None else before.merged(report)
    parent = known[reply.outcome.order_ids[0]]
    (stop,) = [report for report in known.values() if report.parent_id == parent.order_id]
    assert (parent.status, parent.cl_ord_id, parent.cum_qty) == (
        OrderStatus.FILLED,
        "intent-1",
        Decimal("0.5"),
    )
    assert [report.fill.qty for report in reports if report.fill] == [Decimal("0.5")]
    (queried,) = rest.decode_open_orders(trader.call(rest.open_orders()))
    for name in (
        "order_id",
        "parent_id",
        "pair",
        "side",
        "order_type",
        "order_qty",
        "trigger_price",
        "status",
    ):
        assert getattr(queried, name) == getattr(stop, name), name
    assert queried.order_type is OrderType.STOP_LOSS


def test_an_order_is_placed_amended_and_cancelled_over_the_stream(trader: Trader, stream: Socket):
    token = str(stream.token)
    placed, _ = said(trader, stream, frames.add_order(entry(), token, 2, trader.deadline))
    order_id = str(placed.order_id)

    amended, _ = said(
        trader, stream, frames.amend_order(token, 3, order_id=order_id, limit_price=Decimal("29400.0"))
    )
    (order,) = rest.decode_open_orders(trader.call(rest.open_orders()))
    canceled, reports = said(trader, stream, frames.cancel_order([order_id], token, 4))

    assert (amended.ok, order.limit_price, order.cl_ord_id) == (True, Decimal("29400.0"), "intent-1")
    assert canceled.outcome == Accepted((order_id,))
    assert reports[-1].status is OrderStatus.CANCELED


def test_an_order_is_placed_amended_and_cancelled_over_rest(trader: Trader):
    pairs = instruments.decode_asset_pairs(trader.call(rest.asset_pairs()))

    (order_id,) = rest.decode_add_order(trader.call(rest.add_order(entry(), pairs[BTC], trader.deadline)))
    trader.call(rest.amend_order(order_id, order_qty=Decimal("0.25"), deadline=trader.deadline))
    (order,) = rest.decode_query_orders(trader.call(rest.query_orders([order_id])))
    assert (order.order_qty, order.status, order.pair) == (Decimal("0.25"), OrderStatus.NEW, BTC)

    assert rest.decode_cancel(trader.call(rest.cancel_order_batch([order_id]))) == 1
    assert rest.decode_open_orders(trader.call(rest.open_orders())) == []
    closed = rest.decode_closed_orders(trader.call(rest.closed_orders()))
    assert [(report.order_id, report.status) for report in closed.reports] == [
        (order_id, OrderStatus.CANCELED)
    ]


def test_a_stop_of_its_own_is_placed_and_moved(trader: Trader, stream: Socket):
    token = str(stream.token)
    said(
        trader,
        stream,
        frames.add_order(
            entry(order_type=OrderType.MARKET, limit_price=None, stop=None), token, 2, trader.deadline
        ),
    )
    stop = entry(
        id="stop-1",
        side=Side.SELL,
        order_type=OrderType.STOP_LOSS,
        limit_price=None,
        trigger_price=Decimal("28000.0"),
        stop=None,
        kind=IntentKind.PROTECT,
    )

    placed, _ = said(trader, stream, frames.add_order(stop, token, 3, trader.deadline))
    said(
        trader,
        stream,
        frames.amend_order(token, 4, order_id=placed.order_id, trigger_price=Decimal("28500.0")),
    )

    (order,) = rest.decode_open_orders(trader.call(rest.open_orders()))
    assert (order.trigger_price, order.order_type, order.triggered) == (
        Decimal("28500.0"),
        OrderType.STOP_LOSS,
        False,
    )


def test_a_refusal_is_read_as_one(trader: Trader, stream: Socket):
    reply, _ = said(
        trader,
        stream,
        frames.add_order(entry(qty=Decimal("0.00000001")), str(stream.token), 2, trader.deadline),
    )

    assert isinstance(reply.outcome, Rejected)
    assert reply.fault is not None
    assert reply.fault.mapped


def test_a_cancel_of_an_order_that_is_gone_has_its_row(trader: Trader, stream: Socket):
    reply, _ = said(trader, stream, frames.cancel_order(["OABCDE-FGHIJ-KLMNOP"], str(stream.token), 2))

    assert reply.fault is not None
    assert reply.fault.code == "EOrder:Unknown order"


def test_the_key_the_balances_and_the_status_are_read(trader: Trader):
    assert not rest.decode_key_info(trader.call(rest.get_api_key_info())).can_withdraw
    held = rest.decode_balance(trader.call(rest.balance()))
    assert Decimal(held["USD"]) > 0
    assert rest.decode_system_status(trader.call(rest.system_status())) == "online"
    assert rest.decode_time(trader.call(rest.time())) == trader.at.wall_ns // 1_000_000_000
    bid, ask, _last = rest.decode_ticker(trader.call(rest.ticker(["XBTUSD"])))[BTC]
    assert (bid, ask) == (Decimal("30000.0"), Decimal("30001.0"))
    bids, asks = rest.decode_depth(trader.call(rest.depth("XBTUSD", 10)))[BTC]
    assert (Decimal(bids[0][0]), Decimal(asks[0][0])) == (bid, ask)


@pytest.mark.parametrize("channel", ["book", "ticker", "trade", "instrument"])
def test_each_public_channel_is_read(trader: Trader, channel: str):
    socket = trader.connect(private=False)
    symbols = () if channel == "instrument" else (BTC,)

    ack, _ = said(trader, socket, frames.subscribe(channel, symbols=symbols, req_id=1))
    trader.book([("29999.0", "1.00000000")], ASKS)
    trader.print("30000.5")
    trader.wait(5)

    assert ack.ok
    events(socket)


def test_balances_and_pings_are_read(trader: Trader, stream: Socket):
    said(trader, stream, frames.subscribe("balances", token=str(stream.token), req_id=2))
    stream.client.venue.ws_frame(stream.connection, frames.ping(3), trader.at)
    replies = trader.venue.ws_frame(stream.connection, frames.ping(4), trader.at)
    trader.venue.ws_reply(stream.connection, replies, trader.at, trader.at)

    assert frames.Pong(4) in events(stream)
