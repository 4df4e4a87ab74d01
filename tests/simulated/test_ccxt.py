"""Fidelity by a client that nobody here wrote: ccxt trades against the simulated Kraken over loopback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.actors.simulated.kraken.venue import Settings

pytestmark = pytest.mark.loopback
WAIT_S = 10.0


def pointed(exchange: Any, server: KrakenServer) -> Any:
    """The same exchange class, talking to the loopback server."""
    api = exchange.urls["api"]
    api["public"] = api["private"] = server.http_url
    if "ws" in api:
        api["ws"] |= {
            "publicV2": server.ws_url,
            "private": server.ws_auth_url,
            "privateV2": server.ws_auth_url,
        }
    return exchange


@pytest.fixture
async def server() -> AsyncIterator[KrakenServer]:
    async with KrakenServer(settings=Settings(counting=False)) as server:
        yield server


@pytest.fixture
async def exchange(server: KrakenServer) -> AsyncIterator[Any]:
    key = next(iter(server.venue.keys.values()))
    exchange = ccxt.pro.kraken({"apiKey": key.key, "secret": key.secret, "enableRateLimit": False})
    async with asyncio.timeout(60):
        yield pointed(exchange, server)
        await exchange.close()


async def test_ccxt_loads_the_markets_and_reads_a_book_and_a_ticker(exchange: Any) -> None:
    markets = await exchange.load_markets()
    assert markets["BTC/USD"]["precision"] == {"amount": 1e-08, "price": 0.1}
    book = await exchange.fetch_order_book("BTC/USD")
    assert len(book["bids"]) == len(book["asks"]) == 10
    assert book["bids"][0][0] < book["asks"][0][0]
    ticker = await exchange.fetch_ticker("BTC/USD")
    assert ticker["bid"] == book["bids"][0][0]


async def test_ccxt_places_a_market_order_with_a_conditional_close_and_finds_its_stop(
    exchange: Any, server: KrakenServer
) -> None:
    close = {"ordertype": "stop-loss", "price": 29000}
    placed = await exchange.create_order(
        "BTC/USD", "market", "buy", 0.01, params={"close": close, "clientOrderId": "from-ccxt"}
    )
    closed = (await exchange.fetch_closed_orders("BTC/USD"))[0]
    assert (closed["id"], closed["clientOrderId"], closed["filled"], closed["status"]) == (
        placed["id"], "from-ccxt", 0.01, "closed",
    )  # fmt: skip
    (stop,) = await exchange.fetch_open_orders("BTC/USD")
    assert (stop["side"], stop["amount"], stop["stopLossPrice"], stop["status"]) == (
        "sell",
        0.01,
        29000.0,
        "open",
    )
    assert stop["info"]["refid"] == placed["id"]
    truth = server.venue.truth(server.at())
    assert truth["cover"]["main"]["BTC/USD"]["intervals"] == []


async def test_ccxt_works_a_limit_order_until_it_is_cancelled(exchange: Any) -> None:
    placed = await exchange.create_order("BTC/USD", "limit", "buy", 0.02, 29000)
    fetched = await exchange.fetch_order(placed["id"], "BTC/USD")
    assert (fetched["status"], fetched["price"], fetched["remaining"]) == ("open", 29000.0, 0.02)
    balance = await exchange.fetch_balance()
    assert balance["USD"]["used"] > 580
    await exchange.cancel_order(placed["id"], "BTC/USD")
    assert (await exchange.fetch_order(placed["id"], "BTC/USD"))["status"] == "canceled"
    assert await exchange.fetch_open_orders("BTC/USD") == []


async def test_ccxt_reads_its_trades_and_its_balance(exchange: Any) -> None:
    placed = await exchange.create_order("ETH/USD", "market", "buy", 1)
    (trade,) = await exchange.fetch_my_trades("ETH/USD")
    assert (trade["order"], trade["amount"], trade["fee"]["currency"]) == (placed["id"], 1.0, "USD")
    balance = await exchange.fetch_balance()
    assert balance["total"]["ETH"] == 1.0
    assert balance["total"]["USD"] == pytest.approx(1_000_000 - trade["cost"] - trade["fee"]["cost"])


async def test_ccxt_amends_and_cancels_in_batches(exchange: Any) -> None:
    placed = [await exchange.create_order("BTC/USD", "limit", "buy", 0.02, 29000 + n) for n in range(3)]
    await exchange.edit_order(placed[0]["id"], "BTC/USD", "limit", "buy", 0.03, 28000)
    assert (await exchange.fetch_order(placed[0]["id"]))["amount"] == 0.03
    await exchange.cancel_orders([order["id"] for order in placed])
    assert await exchange.fetch_open_orders() == []


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (("limit", "buy", 1000.0, 29000), ccxt.InsufficientFunds),
        (("limit", "buy", 0.00001, 29000), ccxt.InvalidOrder),
        (("limit", "sell", 1.0, 30000), ccxt.InsufficientFunds),
    ],
)
async def test_ccxt_knows_the_venues_refusals(exchange: Any, order: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await exchange.create_order("BTC/USD", *order)


async def test_ccxt_knows_a_lost_nonce_a_bad_key_and_the_edges_page(
    exchange: Any, server: KrakenServer
) -> None:
    await exchange.load_markets()
    for fault, error in (
        ({"kind": "invalid_nonce"}, ccxt.InvalidNonce),
        ({"kind": "http_520"}, ccxt.ExchangeNotAvailable),
        ({"kind": "error", "text": "EAPI:Rate limit exceeded"}, ccxt.DDoSProtection),
        ({"kind": "revoke_key", "role": "trade"}, ccxt.AuthenticationError),
    ):
        server.venue.fault(fault, server.at())
        with pytest.raises(error):
            await exchange.fetch_balance()


async def test_ccxt_watches_a_book_through_the_recorded_updates(exchange: Any, server: KrakenServer) -> None:
    async with asyncio.timeout(WAIT_S):
        book = await exchange.watch_order_book("BTC/USD", 10)
        for _ in range(4):
            book = await exchange.watch_order_book("BTC/USD", 10)
    server.paused = True
    async with asyncio.timeout(WAIT_S):  # what is under way still arrives: then both agree
        while not agrees(book, server):
            await asyncio.sleep(0.01)
    assert len(book["bids"]) == len(book["asks"]) == 10


def agrees(book: Any, server: KrakenServer) -> bool:
    market = server.venue.engine.markets["BTC/USD"]
    bids = [(float(price), float(market.bids[price][1])) for price in sorted(market.bids, reverse=True)]
    asks = [(float(price), float(market.asks[price][1])) for price in sorted(market.asks)]
    return bids == [tuple(row[:2]) for row in book["bids"]] and asks == [
        tuple(row[:2]) for row in book["asks"]
    ]


async def test_ccxt_places_and_cancels_over_the_private_websocket(exchange: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        watching = asyncio.create_task(exchange.watch_orders())
        placed = await exchange.create_order_ws("BTC/USD", "limit", "buy", 0.001, 29000)
        assert placed["id"]
        orders = await watching
        assert orders[-1]["symbol"] == "BTC/USD"
        await exchange.cancel_order_ws(placed["id"])
    assert await exchange.fetch_open_orders() == []


async def test_ccxt_watches_its_own_trades(exchange: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        await exchange.load_markets()
        placed = await exchange.create_order("BTC/USD", "market", "buy", 0.001)
        watching = asyncio.create_task(exchange.watch_my_trades())
        trades = await watching
    assert trades[-1]["order"] == placed["id"]
