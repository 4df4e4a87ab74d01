import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus

import pytest
from tests.links.peers import Server, tls_client, tls_server
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from allstop.actors.links import websocket
from allstop.actors.links.fault_proxy import FaultProxy
from allstop.actors.links.websocket import connect_websocket
from allstop.actors.ports import ConnectFailed, LinkClosed

pytestmark = pytest.mark.loopback

Handler = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, **options: object) -> AsyncGenerator[str, None]:
    async with serve(handler, "127.0.0.1", 0, close_timeout=0.1, **options) as server:  # pyright: ignore
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v2"


async def echo(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for frame in connection:
            await connection.send(frame)


async def idle(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def test_frames_pass_over_tls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(websocket, "_certificates", tls_client)
    async with serving(echo, ssl=tls_server()) as url:
        link = await connect_websocket(url.replace("ws:", "wss:"))
        await link.send("over TLS")
        received = await link.receive()
        await link.close()
    assert received == "over TLS"


async def test_a_certificate_that_nobody_we_trust_has_signed_fails_to_connect():
    async with serving(echo, ssl=tls_server()) as url:
        with pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await connect_websocket(url.replace("ws:", "wss:"))


async def test_frames_go_out_and_come_back():
    async with serving(echo) as url:
        link = await connect_websocket(url)
        await link.send('{"method":"ping"}')
        received = await link.receive()
        await link.close()
    assert received == '{"method":"ping"}'


async def test_no_compression_is_offered():
    offered: list[str | None] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        offered.append(connection.request.headers.get("Sec-WebSocket-Extensions"))

    async with serving(note) as url:
        link = await connect_websocket(url)
        with pytest.raises(LinkClosed):
            await link.receive()
    assert offered == [None]


async def test_a_refused_connection_fails_to_connect():
    async with serving(echo) as url:
        pass
    with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1") as caught:
        await connect_websocket(url)
    assert (caught.value.answered, caught.value.reached) == (False, False)


async def test_a_refused_handshake_fails_to_connect_and_says_the_status():
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "slow down\n")

    async with serving(echo, process_request=refuse) as url:
        with pytest.raises(ConnectFailed, match="429") as caught:
            await connect_websocket(url)
    assert (caught.value.answered, caught.value.reached) == (True, True)


async def test_a_redirect_is_not_followed():
    asked = 0

    def redirect(connection: ServerConnection, request: Request) -> Response:
        nonlocal asked
        asked += 1
        response = connection.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = "/elsewhere"
        return response

    async with serving(echo, process_request=redirect) as url:
        with pytest.raises(ConnectFailed, match="302"):
            await connect_websocket(url)
    assert asked == 1


async def test_a_handshake_without_answer_fails_after_the_open_timeout():
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"never")

    async with Server(mute).listening() as address:
        with pytest.raises(ConnectFailed, match="timed out") as caught:
            await connect_websocket(f"ws://{address}", open_timeout_s=0.1)
    assert (caught.value.answered, caught.value.reached) == (False, True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "ws://"])
async def test_an_address_that_is_none_fails_to_connect(url: str):
    with pytest.raises(ConnectFailed):
        await connect_websocket(url)


async def test_the_peers_close_ends_both_directions_with_its_code():
    async def leave(connection: ServerConnection) -> None:
        await connection.send("last")
        await connection.close(1012, "restarting")

    async with serving(leave) as url:
        link = await connect_websocket(url)
        assert await link.receive() == "last"
        with pytest.raises(LinkClosed, match="restarting") as received:
            await link.receive()
        with pytest.raises(LinkClosed):
            await link.send("late")
        await link.close()
    assert received.value.code == 1012


async def test_a_reset_ends_the_link_with_1006():
    async with serving(echo) as url:
        proxy = await FaultProxy("127.0.0.1", int(url.split(":")[2].split("/")[0])).start()
        link = await connect_websocket(f"ws://{proxy.address}/v2")
        receiving = asyncio.ensure_future(link.receive())
        await asyncio.sleep(0)
        proxy.cut()
        with pytest.raises(LinkClosed) as closed:
            await asyncio.wait_for(receiving, 5)
        await link.close()
        await proxy.close()
    assert closed.value.code == 1006


async def test_a_silent_peer_is_noticed_by_its_missing_pong():
    async with serving(echo) as url:
        proxy = await FaultProxy("127.0.0.1", int(url.split(":")[2].split("/")[0])).start()
        link = await connect_websocket(
            f"ws://{proxy.address}/v2", ping_interval_s=0.1, ping_timeout_s=0.1, close_timeout_s=0.1
        )
        proxy.half_open()
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        with pytest.raises(LinkClosed, match="ping"):
            await asyncio.wait_for(link.receive(), 5)
        took_s = loop.time() - start_s
        await link.close()
        await proxy.close()
    assert 0.1 <= took_s < 2


async def test_pongs_count_as_traffic():
    heard = asyncio.Event()

    async with serving(idle) as url:
        link = await connect_websocket(url, ping_interval_s=0.05, ping_timeout_s=2, on_traffic=heard.set)
        heard.clear()
        await asyncio.wait_for(heard.wait(), 5)
        await link.close()


async def test_abort_ends_a_waiting_receive_at_once():
    async with serving(idle) as url:
        link = await connect_websocket(url, close_timeout_s=30)
        receiving = asyncio.ensure_future(link.receive())
        await asyncio.sleep(0)
        link.abort()
        with pytest.raises(LinkClosed):
            await asyncio.wait_for(receiving, 2)


async def test_a_cancelled_receive_ends_at_once_and_loses_no_frame():
    async with serving(echo) as url:
        link = await connect_websocket(url)
        receiving = asyncio.ensure_future(link.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait([receiving], timeout=1)
        assert receiving.cancelled()
        await link.send("still here")
        assert await asyncio.wait_for(link.receive(), 2) == "still here"
        await link.close()


async def test_close_is_bounded_when_the_peer_is_silent():
    async with serving(idle) as url:
        proxy = await FaultProxy("127.0.0.1", int(url.split(":")[2].split("/")[0])).start()
        link = await connect_websocket(f"ws://{proxy.address}/v2", close_timeout_s=0.1)
        proxy.half_open()
        await asyncio.wait_for(link.close(), 2)
        with pytest.raises(LinkClosed):
            await link.receive()
        await proxy.close()


async def test_a_link_that_nobody_holds_any_more_is_dropped():
    gone = asyncio.Event()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        gone.set()

    async with serving(note) as url:
        link = await connect_websocket(url, ping_interval_s=0.05)
        receiving = asyncio.ensure_future(link.receive())
        await asyncio.sleep(0)
        del link
        gc.collect()
        assert not gone.is_set()  # the task still holds it
        receiving.cancel()
        await asyncio.wait([receiving])
        del receiving
        gc.collect()
        await asyncio.wait_for(gone.wait(), 5)


async def test_close_may_be_called_again_and_after_abort():
    async with serving(idle) as url:
        link = await connect_websocket(url)
        link.abort()
        await link.close()
        await link.close()


async def test_a_cancelled_connect_leaves_no_connection():
    gone = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
        gone.set()

    server = Server(hold)
    async with server.listening() as address:
        connecting = asyncio.ensure_future(connect_websocket(f"ws://{address}"))
        await asyncio.wait_for(server.arrived.wait(), 5)
        connecting.cancel()
        await asyncio.wait_for(gone.wait(), 5)
    assert connecting.cancelled()


async def test_a_frame_over_the_bound_ends_the_link(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(websocket, "FRAME_BYTES_MAX", 1000)

    async def flood(connection: ServerConnection) -> None:
        await connection.send("x" * 1001)
        await connection.wait_closed()

    async with serving(flood) as url:
        link = await connect_websocket(url)
        with pytest.raises(LinkClosed) as closed:
            await asyncio.wait_for(link.receive(), 5)
        await link.close()
    assert closed.value.code == 1009


async def test_a_binary_frame_ends_the_link():
    async def binary(connection: ServerConnection) -> None:
        await connection.send(b"\x00")
        await connection.wait_closed()

    async with serving(binary) as url:
        link = await connect_websocket(url)
        with pytest.raises(LinkClosed, match="binary"):
            await asyncio.wait_for(link.receive(), 5)
        await link.close()


async def test_a_reader_that_falls_behind_loses_the_link_and_not_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(websocket, "FRAMES_QUEUED_MAX", 8)
    sent = 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send("x" * 10_000)
                sent += 1

    async with serving(flood, ping_interval=None) as url:
        link = await connect_websocket(url, ping_interval_s=0.1, ping_timeout_s=0.1, close_timeout_s=0.1)
        received = 0
        with contextlib.suppress(LinkClosed):
            await asyncio.wait_for(asyncio.shield(link._connection.wait_closed()), 5)
            while True:
                await link.receive()
                received += 1
        await link.close()
    assert received < 100


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(echo) as url:
        link = await connect_websocket(url)
        await link.close()
