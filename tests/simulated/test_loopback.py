"""The real server on loopback: what a client's sockets see, faults by the admin port, and a clean end."""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.actors.simulated.kraken.signing import signature
from allstop.actors.simulated.kraken.venue import Settings

pytestmark = pytest.mark.loopback
WAIT_S = 5.0


@pytest.fixture
async def server() -> AsyncIterator[KrakenServer]:
    async with KrakenServer(settings=Settings(counting=False)) as server:
        yield server


class User:
    """A plain HTTP user with the first key."""

    def __init__(self, http: httpx.AsyncClient, server: KrakenServer) -> None:
        self.http, self.server, self.nonce = http, server, 0
        self.key = next(iter(server.venue.keys.values()))

    async def post(self, name: str, **params: object) -> httpx.Response:
        self.nonce += 1
        path = f"/0/private/{name}"
        body = urlencode({"nonce": self.nonce, **params}).encode()
        headers = {
            "API-Key": self.key.key,
            "API-Sign": signature(self.key.secret, path, str(self.nonce), body),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return await self.http.post(
            self.server.http_url + path, content=body, headers=headers, timeout=WAIT_S
        )

    async def buy(self) -> httpx.Response:
        return await self.post("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume="0.01")

    async def fault(self, **fault: object) -> None:
        told = await self.http.post(self.server.admin_url + "/faults", json=fault)
        assert told.status_code == 200, told.text

    async def truth(self) -> dict[str, Any]:
        return (await self.http.get(self.server.admin_url + "/truth")).json()


@pytest.fixture
async def user(server: KrakenServer) -> AsyncIterator[User]:
    async with httpx.AsyncClient() as http:
        yield User(http, server)


async def until(socket: Any, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            frame = json.loads(await socket.recv())
            if frame.get("channel") == channel:
                return frame


async def test_one_connection_serves_many_requests(user: User) -> None:
    for _ in range(3):
        assert (await user.buy()).json()["result"]["txid"]
    assert len((await user.truth())["executions"]) == 3


async def test_a_dropped_reply_leaves_the_order_executed(user: User) -> None:
    await user.fault(kind="drop_reply", method="AddOrder")
    with pytest.raises(httpx.RemoteProtocolError):
        await user.buy()
    assert len((await user.truth())["executions"]) == 1


async def test_a_request_that_never_arrived_leaves_nothing(user: User) -> None:
    await user.fault(kind="drop_reply", method="AddOrder", executed=False)
    with pytest.raises(httpx.RemoteProtocolError):
        await user.buy()
    assert (await user.truth())["orders"] == {}


async def test_the_edges_html_page_hides_an_order_that_executed(user: User) -> None:
    await user.fault(kind="http_520", method="AddOrder", executed=True)
    answer = await user.buy()
    assert (answer.status_code, answer.headers["content-type"]) == (520, "text/html; charset=UTF-8")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert len((await user.truth())["executions"]) == 1


async def test_a_delayed_answer_comes_later(user: User) -> None:
    await user.fault(kind="delay", method="Balance", s=0.3)
    began = asyncio.get_running_loop().time()
    await user.post("Balance")
    assert asyncio.get_running_loop().time() - began >= 0.3


async def test_the_tape_reaches_a_subscriber_with_good_checksums(server: KrakenServer) -> None:
    async with connect(server.ws_url) as socket:
        await socket.send('{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}')
        assert (await until(socket, "book"))["type"] == "snapshot"
        assert (await until(socket, "book"))["type"] == "update"


async def test_the_tape_begins_again_with_a_snapshot() -> None:
    async with KrakenServer(speed=200.0) as server, connect(server.ws_url) as socket:
        await socket.send('{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}')
        snapshots = 0
        async with asyncio.timeout(WAIT_S):
            while snapshots < 3:
                frame = json.loads(await socket.recv())
                snapshots += frame.get("type") == "snapshot"


async def test_orders_over_a_websocket_are_told_on_it(server: KrakenServer, user: User) -> None:
    token = (await user.post("GetWebSocketsToken")).json()["result"]["token"]
    async with connect(server.ws_auth_url) as socket:
        await socket.send(
            json.dumps({"method": "subscribe", "params": {"channel": "executions", "token": token}})
        )
        assert (await until(socket, "executions"))["sequence"] == 1
        order = {
            "symbol": "BTC/USD",
            "side": "buy",
            "order_type": "market",
            "order_qty": 0.01,
            "token": token,
        }
        await socket.send(json.dumps({"method": "add_order", "params": order, "req_id": 1}))
        assert (await until(socket, "executions"))["data"][0]["exec_type"] == "pending_new"


async def test_a_delayed_amend_is_overtaken_by_the_next(server: KrakenServer, user: User) -> None:
    token = (await user.post("GetWebSocketsToken")).json()["result"]["token"]
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "20000", "volume": "1"}
    order_id = (await user.post("AddOrder", **order)).json()["result"]["txid"][0]
    await user.fault(kind="delay", method="amend_order", s=0.2)
    async with connect(server.ws_auth_url) as socket:
        for n, price in enumerate((20001.0, 20002.0)):
            params = {"order_id": order_id, "limit_price": price, "token": token}
            await socket.send(json.dumps({"method": "amend_order", "params": params, "req_id": n}))
        replies: list[int] = []
        async with asyncio.timeout(WAIT_S):
            while len(replies) < 2:
                frame = json.loads(await socket.recv())
                if frame.get("method") == "amend_order":
                    replies.append(frame["req_id"])
    assert replies == [1, 0]
    assert (await user.truth())["orders"][order_id]["limit_price"] == "20001.0"


async def test_a_cut_ends_the_connection(server: KrakenServer, user: User) -> None:
    async with connect(server.ws_url) as socket:
        await until(socket, "status")
        await user.fault(kind="cut", private=False)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(WAIT_S):
                await socket.recv()


@pytest.mark.parametrize(("kind", "status"), [("refuse_connects", "503"), ("ban", "429")])
async def test_a_refused_connect_says_whether_it_is_a_ban(
    server: KrakenServer, user: User, kind: str, status: str
) -> None:
    await user.fault(kind=kind, s=60)
    with pytest.raises(InvalidStatus, match=status):
        await connect(server.ws_url)


async def test_the_other_path_is_no_path(server: KrakenServer) -> None:
    with pytest.raises(InvalidStatus, match="404"):
        await connect(server.ws_url.removesuffix("/v2"))


async def test_the_admin_port_says_what_is_wrong(server: KrakenServer, user: User) -> None:
    admin = server.admin_url
    assert (await user.http.get(admin + "/health")).json()["status"] == "online"
    for path, body, wrong in (
        ("/faults", {"kind": "meteor"}, "no fault 'meteor'"),
        ("/feed", {"speed": 0}, "above 0"),
        ("/feed", {"colour": 1}, "the feed takes"),
    ):
        told = await user.http.post(admin + path, json=body)
        assert told.status_code == 400
        assert wrong in told.json()["error"]
    assert (await user.http.post(admin + "/faults", content=b"{")).status_code == 400
    assert (await user.http.get(admin + "/nothing")).status_code == 404


async def test_the_feed_can_be_stopped_and_the_venue_begun_again(server: KrakenServer, user: User) -> None:
    told = await user.http.post(server.admin_url + "/feed", json={"pause": True, "speed": 4})
    assert told.json() == {"paused": True, "speed": 4.0}
    await user.buy()
    await user.http.post(server.admin_url + "/reset")
    assert (await user.truth())["orders"] == {}


async def test_nonsense_on_the_http_port_ends_that_connection_only(server: KrakenServer, user: User) -> None:
    port = int(server.http_url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x16\x03\x01 no http at all\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        assert await reader.read() == b""
    writer.close()
    assert (await user.http.get(server.http_url + "/0/public/Time")).status_code == 200


async def test_a_stopped_server_leaves_no_task_and_no_port() -> None:
    before = asyncio.all_tasks()
    server = KrakenServer(settings=Settings())
    await server.start()
    sockets = [await connect(server.ws_url), await connect(server.ws_auth_url)]
    async with httpx.AsyncClient() as http:
        await http.get(server.http_url + "/0/public/Time")  # a connection that is kept alive
        await server.stop()
        for socket in sockets:
            await socket.close()
        with pytest.raises(httpx.TransportError):
            await http.get(server.http_url + "/0/public/Time")
    await asyncio.sleep(0.05)  # the test's own client tasks end
    assert asyncio.all_tasks() == before


async def test_a_port_that_is_taken_is_an_error_and_nothing_stays_open(server: KrakenServer) -> None:
    port = int(server.http_url.rsplit(":", 1)[1])
    before = asyncio.all_tasks()
    with pytest.raises(OSError):
        async with KrakenServer(port=port):
            pass
    assert asyncio.all_tasks() == before


async def spawned(
    *arguments: str, stdin: int | None = None
) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "allstop.actors.simulated.kraken", "--json", *arguments,
        stdout=asyncio.subprocess.PIPE, stdin=stdin,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return process, json.loads(await process.stdout.readline())


async def test_as_a_process_it_prints_one_line_serves_and_ends_on_sigterm() -> None:
    process, told = await spawned()
    async with httpx.AsyncClient() as http:
        assert (await http.get(told["http_url"] + "/0/public/SystemStatus")).json()["result"][
            "status"
        ] == "online"
    assert told["pid"] == process.pid
    assert len(base64.b64decode(told["secret"])) == 64
    assert [row["role"] for row in told["keys"]] == ["trade", "protect", "watchdog"]
    os.kill(process.pid, signal.SIGTERM)
    async with asyncio.timeout(WAIT_S):
        assert await process.wait() == 0


async def test_as_a_process_it_ends_with_its_parent_when_asked_to() -> None:
    process, _told = await spawned("--die-with-parent", stdin=asyncio.subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(WAIT_S):
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--speed", "0"], "argument --speed"),
        (["--speed", "fast"], "argument --speed"),
        (["--tier", "gold"], "argument --tier"),
        (["--feed", "no/such/file"], "no/such/file"),
    ],
)
async def test_as_a_process_it_names_bad_input_and_exits_with_2(arguments: list[str], wrong: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "allstop.actors.simulated.kraken", *arguments, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert wrong in said.decode()
