"""The venue and our codec were written apart: here they meet, so that an error of either shows."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.simulated.client import BEGIN_NS, BTC, Client, Socket

from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss, TimeInForce
from allstop.actors.levels import IntentKind
from allstop.actors.ports import HttpRequest
from allstop.actors.protocols.kraken import events, faults, frames, instruments, rest, rest_answers
from allstop.actors.protocols.kraken.book import Book
from allstop.actors.protocols.kraken.instruments import decode_asset_pairs, pair_names
from allstop.actors.reports import OrderStatus
from allstop.actors.simulated import kraken
from allstop.actors.simulated.kraken.pairs import PAIRS
from allstop.actors.simulated.kraken.rest import Request
from allstop.actors.simulated.kraken.server import packaged_tape
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings
from allstop.actors.simulated.kraken.wire import rfc3339

ENTRY = OrderIntent(
    id="entry-1", pair=BTC, side=Side.BUY, qty=Decimal("0.5"), order_type=OrderType.MARKET,
    stop=StopLoss(trigger_price=Decimal("28000.0")),
)  # fmt: skip


class Ours:
    """Our codec in front of the venue model."""

    def __init__(self) -> None:
        self.client = Client(KrakenVenue(Settings(counting=False), packaged_tape(), wall_ns=BEGIN_NS))
        self.instruments = decode_asset_pairs(self.call(rest.asset_pairs()))
        self.names = pair_names(self.call(rest.asset_pairs()))

    @property
    def deadline(self) -> str:
        return rfc3339(self.client.at.wall_ns + 5_000_000_000)

    def call(self, call: rest.RestCall) -> Any:
        """The result of a call that must succeed."""
        self.client.nonce += 1
        key = self.client.key
        made: HttpRequest = rest.request(call, key=key.key, secret=key.secret, nonce=self.client.nonce)
        headers = {name.lower(): value for name, value in made.headers.items()}
        answer = self.client.venue.http(
            Request(method=made.method, path=made.path, headers=headers, body=made.body), self.client.at
        )
        result, wrong = rest_answers.decode_envelope(answer.status, answer.body)
        assert wrong == ()
        return result

    def add(self, intent: OrderIntent) -> str:
        call = rest.add_order(intent, self.instruments[intent.pair], self.deadline)
        (order_id,) = rest_answers.decode_add_order(self.call(call))
        return order_id


def decoded(texts: list[str]) -> list[Any]:
    """Every event of these frames; a frame that our codec cannot read fails the test."""
    read = [event for text in texts for event in frames.decode(text)]
    assert [e for e in read if isinstance(e, events.UnknownFrame | events.MalformedFrame)] == []
    return read


def streamed(ours: Ours) -> Socket:
    socket = ours.client.connect(private=True)
    socket.token = rest_answers.decode_token(ours.call(rest.get_websockets_token()))
    socket.texts()
    asked = frames.subscribe("executions", token=socket.token, req_id=1)
    venue, at = ours.client.venue, ours.client.at
    venue.ws_reply(socket.connection, venue.ws_frame(socket.connection, asked, at), at, at)
    venue.settle(at)
    return socket


def sent(socket: Socket, text: str) -> list[Any]:
    venue, at = socket.client.venue, socket.client.at
    venue.ws_reply(socket.connection, venue.ws_frame(socket.connection, text, at), at, at)
    venue.settle(at)
    return decoded(socket.texts())


def test_every_pair_is_read_with_its_steps() -> None:
    ours = Ours()
    assert set(ours.instruments) == set(PAIRS)
    for symbol, pair in PAIRS.items():
        read = ours.instruments[symbol]
        assert (read.tick_size, read.lot_size, read.min_qty, read.min_cost) == (
            pair.tick,
            pair.lot,
            pair.min_qty,
            pair.min_cost,
        )
        assert instruments.known_names([read]) == {read.venue_name: symbol}


def test_an_entry_by_rest_becomes_a_filled_order_and_a_stop_that_names_it() -> None:
    ours = Ours()
    order_id = ours.add(ENTRY)
    (entry,) = rest_answers.decode_query_orders(ours.call(rest.query_orders([order_id])), ours.names)
    assert (entry.status, entry.cum_qty, entry.cl_ord_id, entry.pair) == (
        OrderStatus.FILLED,
        Decimal("0.5"),
        "entry-1",
        BTC,
    )
    (stop,) = rest_answers.decode_open_orders(ours.call(rest.open_orders()), ours.names)
    assert (stop.parent_id, stop.order_type, stop.side, stop.trigger_price, stop.leaves_qty) == (
        order_id, OrderType.STOP_LOSS, Side.SELL, Decimal(28000), Decimal("0.5"),
    )  # fmt: skip
    assert not stop.triggered
    closed = rest_answers.decode_closed_orders(ours.call(rest.closed_orders()), ours.names)
    assert [report.order_id for report in closed.reports] == [order_id]


def test_an_entry_by_websocket_is_reported_with_its_fill_and_its_stop() -> None:
    ours = Ours()
    socket = streamed(ours)
    (_ack, snapshot) = decoded(socket.texts())
    assert (snapshot.kind, snapshot.sequence) == ("snapshot", 1)
    assert socket.token is not None
    reply, *updates = sent(socket, frames.add_order(ENTRY, socket.token, 9, ours.deadline))
    assert (reply.ok, reply.req_id, reply.cl_ord_id) == (True, 9, "entry-1")
    reports = [report for update in updates for report in update.reports]
    fills = [report.fill for report in reports if report.fill is not None]
    assert [(fill.qty, fill.side, fill.cl_ord_id) for fill in fills] == [
        (Decimal("0.5"), Side.BUY, "entry-1")
    ]
    own = [report for report in reports if report.order_id == reply.order_id]
    merged = own[0]
    for report in own[1:]:
        merged = merged.merged(report)
    assert (merged.status, merged.cum_qty, merged.leaves_qty) == (
        OrderStatus.FILLED,
        Decimal("0.5"),
        Decimal(0),
    )
    stop = next(report for report in reports if report.parent_id == reply.order_id)
    assert (stop.order_type, stop.trigger_price) == (OrderType.STOP_LOSS, Decimal(28000))
    assert [update.sequence for update in updates] == list(range(2, 2 + len(updates)))


def test_stream_and_query_agree_on_every_order_after_a_lively_run() -> None:
    ours = Ours()
    socket = streamed(ours)
    limit = OrderIntent(
        id="limit-1", pair=BTC, side=Side.BUY, qty=Decimal("1.5"), limit_price=Decimal("29000.0"),
        stop=StopLoss(trigger_price=Decimal("28500.0"), limit_price=Decimal("28400.0")),
    )  # fmt: skip
    ours.add(ENTRY)
    limit_id = ours.add(limit)
    ours.client.book([("28990.0", "1")], [("28999.0", "0.5"), ("29000.0", "0.25")])
    ours.client.book([("29001.0", "1")], [("29002.0", "0.5")])
    ours.call(rest.amend_order(limit_id, order_qty=Decimal("1.2"), deadline=ours.deadline))
    ours.call(rest.cancel_order(limit_id))
    ours.client.print("28000.0")
    seen: dict[str, Any] = {}
    for event in decoded(socket.texts()):
        if isinstance(event, events.Executions):
            for report in event.reports:
                known = seen.get(report.order_id)
                seen[report.order_id] = report if known is None else known.merged(report)
    asked = rest_answers.decode_query_orders(ours.call(rest.query_orders(list(seen))), ours.names)
    fields = (
        "status",
        "cum_qty",
        "order_qty",
        "side",
        "order_type",
        "parent_id",
        "cl_ord_id",
        "triggered",
        "trigger_price",
    )
    for report in asked:
        mine = {field: getattr(seen[report.order_id], field) for field in fields}
        assert mine == {field: getattr(report, field) for field in fields}, report.order_id
    assert len(asked) == len(ours.client.orders()) == 4


def test_a_protective_order_of_ours_is_taken_amended_and_cancelled_by_websocket() -> None:
    ours = Ours()
    ours.add(ENTRY)
    ours.call(rest.cancel_all())
    socket = streamed(ours)
    socket.texts()
    token = socket.token
    assert token is not None
    stop = OrderIntent(
        id="guard-1", pair=BTC, side=Side.SELL, qty=Decimal("0.5"), order_type=OrderType.STOP_LOSS,
        trigger_price=Decimal("28000.0"), kind=IntentKind.PROTECT,
    )  # fmt: skip
    reply = sent(socket, frames.add_order(stop, token, 1, ours.deadline))[0]
    assert reply.ok, reply.fault
    moved = frames.amend_order(
        token, 2, order_id=reply.order_id, trigger_price=Decimal("28100.0"), deadline=ours.deadline
    )
    assert sent(socket, moved)[0].ok
    (seen,) = rest_answers.decode_open_orders(ours.call(rest.open_orders()), ours.names)
    assert (seen.trigger_price, seen.cl_ord_id) == (Decimal(28100), "guard-1")
    gone = sent(socket, frames.batch_cancel([reply.order_id], token, 3))[0]
    assert (gone.ok, gone.count) == (True, 1)


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.GTD])
def test_other_times_in_force_are_understood(tif: TimeInForce) -> None:
    ours = Ours()
    intent = OrderIntent(
        id="tif-1", pair=BTC, side=Side.BUY, qty=Decimal("0.5"), limit_price=Decimal("20000.0"),
        stop=StopLoss(trigger_price=Decimal("19000.0")), time_in_force=tif,
    )  # fmt: skip
    expires = str(ours.client.at.wall_ns // 10**9 + 10) if tif is TimeInForce.GTD else None  # REST: unix time
    call = rest.add_order(intent, ours.instruments[BTC], ours.deadline, expires=expires)
    (order_id,) = rest_answers.decode_add_order(ours.call(call))
    ours.client.wait(11)
    (told,) = rest_answers.decode_query_orders(ours.call(rest.query_orders([order_id])), ours.names)
    assert told.status is (OrderStatus.EXPIRED if tif is TimeInForce.GTD else OrderStatus.CANCELED)


@pytest.mark.parametrize("symbol", PAIRS)
def test_our_book_follows_the_venues_with_every_checksum_good(symbol: str) -> None:
    ours = Ours()
    pair, venue, at = PAIRS[symbol], ours.client.venue, ours.client.at
    book = Book(10, pair.price_decimals, pair.qty_decimals)
    fresh = ours.client.connect(private=False)
    fresh.texts()
    asked = frames.subscribe("book", symbols=[symbol], depth=10, req_id=1)
    venue.ws_reply(fresh.connection, venue.ws_frame(fresh.connection, asked, at), at, at)
    venue.settle(at)
    for frame in venue.reel.tapes[symbol][1:]:
        assert frame is not None
        venue.play(symbol, frame, at)
    checked = 0
    for event in decoded(fresh.texts()):
        if isinstance(event, events.BookSnapshot | events.BookUpdate):
            book.apply(event)
            assert book.checksum() == event.checksum
            checked += 1
    assert checked == 341


def test_our_key_probe_reads_the_permissions() -> None:
    info = rest_answers.decode_key_info(Ours().call(rest.get_api_key_info()))
    assert "modify-trades" in info.permissions


def test_every_refusal_of_the_venue_is_an_error_that_our_table_knows() -> None:
    source = "".join(path.read_text() for path in Path(kraken.__path__[0]).glob("*.py"))
    said = set(re.findall(r'Refusal\(f?"(E[^"{]+)', source))
    assert len(said) > 25
    assert [text for text in sorted(said) if not faults.classify(text.rstrip(":"), write=True).mapped] == []
