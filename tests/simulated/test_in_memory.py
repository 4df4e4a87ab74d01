"""The same venue without sockets, in virtual time, over the links in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from allstop.actors.clock import LoopClock
from allstop.actors.links import memory_wire
from allstop.actors.links.condition import WHOLE, LinkCondition
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.ports import ConnectFailed, HttpNoReply, HttpRequest, LinkClosed, WebSocketLink
from allstop.actors.simulated.kraken.in_memory import InMemoryKraken
from allstop.actors.simulated.kraken.server import packaged_tape
from allstop.actors.simulated.kraken.signing import signature
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings

pytestmark = pytest.mark.virtual


class World:
    def __init__(self, kraken: InMemoryKraken, network: MemoryNetwork) -> None:
        self.kraken, self.network, self.nonce = kraken, network, 0
        self.http = network.open_http(kraken.http_url)
        self.key = next(iter(kraken.venue.keys.values()))

    async def post(self, name: str, **params: object) -> dict[str, Any]:
        self.nonce += 1
        path, body = f"/0/private/{name}", urlencode({"nonce": self.nonce, **params}).encode()
        headers = {
            "API-Key": self.key.key,
            "API-Sign": signature(self.key.secret, path, str(self.nonce), body),
        }
        request = HttpRequest(method="POST", path=path, headers=headers, body=body)
        return json.loads((await self.http.request(request, timeout_s=5.0)).body)

    async def socket(self, url: str, **subscribe: object) -> WebSocketLink:
        link = await self.network.connect_websocket(url)
        await link.send(json.dumps({"method": "subscribe", "params": subscribe}))
        return link


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = LoopClock(asyncio.get_running_loop())
    network = MemoryNetwork()
    venue = KrakenVenue(Settings(), packaged_tape(), wall_ns=clock.wall_ns())
    async with InMemoryKraken(venue, clock=clock) as kraken:
        kraken.serve_on(network)
        yield World(kraken, network)
        await network.close()


async def test_ten_minutes_of_book_pass_in_virtual_time(world: World) -> None:
    link = await world.socket(world.kraken.ws_url, channel="book", symbol=["BTC/USD"])
    loop, frames, snapshots = asyncio.get_running_loop(), 0, 0
    while loop.time() < 600:
        frame = json.loads(await link.receive())
        frames += frame.get("channel") == "book"
        snapshots += frame.get("type") == "snapshot"
    assert snapshots == pytest.approx(600 / 30.3, rel=0.05)
    assert frames == pytest.approx(snapshots * 341, rel=0.06)


async def test_rest_and_the_private_stream_agree(world: World) -> None:
    token = (await world.post("GetWebSocketsToken"))["result"]["token"]
    link = await world.socket(world.kraken.ws_auth_url, channel="executions", token=token)
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "0.1"}
    order_id = (await world.post("AddOrder", **order))["result"]["txid"][0]
    async with asyncio.timeout(5):
        while True:
            frame = json.loads(await link.receive())
            if (
                frame.get("channel") == "executions"
                and frame["data"]
                and frame["data"][0]["exec_type"] == "filled"
            ):
                break
    assert frame["data"][0]["order_id"] == order_id


async def test_a_dropped_reply_is_no_reply(world: World) -> None:
    kraken = world.kraken
    kraken.venue.fault({"kind": "drop_reply", "method": "AddOrder"}, kraken.at())
    with pytest.raises(HttpNoReply):
        await world.post("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.1")
    assert len(kraken.venue.truth(kraken.at())["executions"]) == 1


@pytest.mark.parametrize(("kind", "status"), [("refuse_connects", 503), ("ban", 429)])
async def test_a_refused_connect_says_whether_it_is_a_ban(world: World, kind: str, status: int) -> None:
    kraken = world.kraken
    kraken.venue.fault({"kind": kind, "s": 10}, kraken.at())
    with pytest.raises(ConnectFailed, match=f"HTTP {status}"):
        await world.network.connect_websocket(kraken.ws_url)


async def test_an_idle_private_connection_is_dropped_after_a_minute(world: World) -> None:
    link = await world.network.connect_websocket(world.kraken.ws_auth_url)
    await link.receive()
    with pytest.raises(LinkClosed):
        await link.receive()
    assert asyncio.get_running_loop().time() == pytest.approx(60, abs=0.2)


async def test_the_same_run_twice_tells_the_same_truth() -> None:
    async def run() -> dict[str, Any]:
        clock = LoopClock(asyncio.get_running_loop(), origin_ns=1_767_225_600_000_000_000)
        venue = KrakenVenue(Settings(), packaged_tape(), wall_ns=clock.wall_ns())
        network = MemoryNetwork()
        async with InMemoryKraken(venue, clock=clock) as kraken:
            kraken.serve_on(network)
            world = World(kraken, network)
            for n in range(5):
                await asyncio.sleep(1)
                close = {"close[ordertype]": "stop-loss", "close[price]": "29425.0"}
                await world.post(
                    "AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume=f"0.{n + 1}", **close
                )
            await asyncio.sleep(20)
            truth = venue.truth(kraken.at())
            await network.close()
        return {
            "executions": [(e["exec_id"], e["price"]) for e in truth["executions"]],
            "orders": list(truth["orders"]),
        }

    assert await run() == await run()


async def test_a_client_that_does_not_read_is_dropped_although_a_write_to_it_hangs(world: World) -> None:
    kraken = world.kraken
    connection = kraken.venue.ws_open(private=False, ip="slow", at=kraken.at())
    assert connection is not None
    dropped = asyncio.Event()

    async def hangs(_frame: str) -> None:
        await asyncio.Event().wait()

    async def silent() -> AsyncIterator[str]:
        await dropped.wait()
        raise LinkClosed("dropped")
        yield ""

    talking = asyncio.create_task(kraken.talk(connection, silent(), hangs, dropped.set))
    await asyncio.sleep(1)
    kraken.venue.fault({"kind": "cut", "private": False}, kraken.at())
    async with asyncio.timeout(5):
        await talking
    assert connection.number not in kraken.venue.connections


async def test_a_closed_shell_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    clock = LoopClock(asyncio.get_running_loop())
    network = MemoryNetwork()
    async with InMemoryKraken(KrakenVenue(wall_ns=0), clock=clock) as kraken:
        kraken.serve_on(network)
        link = await network.connect_websocket(kraken.ws_url)
        await link.receive()
    await network.close()
    assert asyncio.all_tasks() == before


async def test_a_request_that_a_fault_held_back_was_not_sent_in_the_wrong_order(world: World) -> None:
    kraken = world.kraken
    kraken.venue.fault({"kind": "delay", "method": "OpenOrders", "s": 1}, kraken.at())
    slow = asyncio.create_task(world.post("OpenOrders"))
    await asyncio.sleep(0.1)
    await world.post("Balance")
    assert "EAPI:Invalid nonce" in str(await slow)
    assert kraken.venue.truth(kraken.at())["limits_broken"] == []


async def test_a_client_that_reads_slowly_gets_every_frame_once_and_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_wire, "HELD_BYTES_MAX", 2_000)
    slow = world.network.link(world.kraken.ws_auth_url)
    token = (await world.post("GetWebSocketsToken"))["result"]["token"]
    link = await world.socket(world.kraken.ws_auth_url, channel="executions", token=token)
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "0.001"}
    await slow.become(LinkCondition(down_bytes_per_s=1_000))
    for _ in range(10):
        await world.post("AddOrder", **order)
    (line,) = world.kraken._lines.values()  # pyright: ignore[reportPrivateUsage]
    assert line._writing, "the writer waits for the client"  # pyright: ignore[reportPrivateUsage]
    await slow.become(WHOLE)
    await world.post("AddOrder", **order)

    numbers: list[int] = []
    async with asyncio.timeout(5):
        while len(numbers) < 45:
            frame = json.loads(await link.receive())
            numbers += [frame["sequence"]] if "sequence" in frame else []
    assert numbers == list(range(1, 46))
