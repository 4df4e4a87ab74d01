import asyncio
import gc

import httpx
import pytest
from tests.links.peers import Serve, Server, tls_client, tls_server

from allstop.actors.links import http
from allstop.actors.links.fault_proxy import FaultProxy
from allstop.actors.links.http import open_http
from allstop.actors.ports import HttpNoReply, HttpNotSent, HttpRequest

pytestmark = pytest.mark.loopback

GET = HttpRequest(method="GET", path="/x?a=1")


async def ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi")
        await writer.drain()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.read(1)


def answering(text: bytes) -> Serve:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()

    return answer


async def test_an_answer_comes_with_status_headers_and_body():
    async with Server(ok).listening() as address:
        link = open_http(f"http://{address}")
        response = await link.request(GET, timeout_s=2)
        await link.close()
    assert (response.status, response.headers["x-a"], response.body) == (200, "b", b"hi")


async def test_the_request_goes_out_as_it_was_built():
    server = Server(answering(b"HTTP/1.1 204 No Content\r\n\r\n"))
    request = HttpRequest(method="POST", path="/0/private/X", headers={"API-Key": "k"}, body=b"nonce=1")
    async with server.listening() as address:
        link = open_http(f"http://{address}")
        await link.request(request, timeout_s=2)
        await link.close()
    assert server.received.startswith(b"POST /0/private/X HTTP/1.1\r\n")
    assert b"API-Key: k\r\n" in server.received
    assert b"Content-Length: 7\r\n" in server.received


async def test_an_error_status_is_an_answer():
    async with Server(answering(b"HTTP/1.1 520 Oops\r\nContent-Length: 0\r\n\r\n")).listening() as address:
        link = open_http(f"http://{address}")
        response = await link.request(GET, timeout_s=2)
        await link.close()
    assert response.status == 520


async def test_a_redirect_is_an_answer_and_is_not_followed():
    server = Server(answering(b"HTTP/1.1 307 Go\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"))
    async with server.listening() as address:
        link = open_http(f"http://{address}")
        response = await link.request(GET, timeout_s=2)
        await link.close()
    assert (response.status, server.connections) == (307, 1)


async def test_a_refused_connection_is_not_sent():
    async with Server(ok).listening() as address:
        pass
    link = open_http(f"http://{address}")
    with pytest.raises(HttpNotSent):
        await link.request(GET, timeout_s=2)
    await link.close()


class Refusal(Exception):
    pass


@pytest.mark.parametrize("used_before", [False, True], ids=["new connection", "reused connection"])
async def test_a_refusal_before_the_first_byte_comes_out_unchanged_and_nothing_is_sent(used_before: bool):
    refusal = Refusal()

    def refuse() -> None:
        raise refusal

    server = Server(ok)
    async with server.listening() as address:
        link = open_http(f"http://{address}", max_connections=1)
        if used_before:
            await link.request(GET, timeout_s=2)
        before = bytes(server.received)
        with pytest.raises(Refusal) as raised:
            await link.request(GET, timeout_s=2, before_send=refuse)
        received = bytes(server.received)
        after = await link.request(GET, timeout_s=2)  # the slot is free again
        await link.close()
    assert raised.value is refusal
    assert received == before
    assert after.status == 200


async def test_before_send_runs_once_for_each_request_on_a_connection_that_stands():
    calls: list[int] = []
    server = Server(ok)
    async with server.listening() as address:
        link = open_http(f"http://{address}", max_connections=1)
        for _ in range(3):
            await link.request(GET, timeout_s=2, before_send=lambda: calls.append(len(server.received)))
        await link.close()
    assert len(calls) == 3
    assert server.connections == 1
    assert calls[0] == 0
    assert calls[2] * 3 == len(server.received) * 2  # two of three requests had been received when it ran


async def test_the_event_that_before_send_hangs_on_exists_in_the_installed_httpcore():
    events: list[str] = []

    async def trace(event: str, info: object) -> None:
        events.append(event)

    async with Server(ok).listening() as address, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(2):
            await client.get(f"http://{address}", extensions={"trace": trace})
    assert events.count(http.BEFORE_FIRST_BYTE) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
    ids=["nothing", "half a status", "half a body", "half a chunk", "not HTTP", "bad encoding"],
)
async def test_less_than_a_whole_answer_is_no_reply(answer: bytes):
    async with Server(answering(answer)).listening() as address:
        link = open_http(f"http://{address}")
        with pytest.raises(HttpNoReply):
            await link.request(GET, timeout_s=2)
        await link.close()


async def test_a_silent_server_is_no_reply_after_the_timeout():
    async with Server(silent).listening() as address:
        link = open_http(f"http://{address}")
        with pytest.raises(HttpNoReply):
            await link.request(GET, timeout_s=0.1)
        await link.close()


async def test_a_server_that_drips_is_no_reply_after_the_timeout():
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with Server(drip).listening() as address:
        link = open_http(f"http://{address}", max_connections=1)
        with pytest.raises(HttpNoReply):
            await link.request(GET, timeout_s=0.2)
        async with asyncio.timeout(5):  # the child that was left behind gives its slot back by itself
            while link._in_flight:
                await asyncio.sleep(0.01)
        await link.close()


async def test_an_answer_without_end_is_no_reply(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "RESPONSE_BYTES_MAX", 1000)
    async with Server(answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000)).listening() as address:
        link = open_http(f"http://{address}")
        with pytest.raises(HttpNoReply, match="longer"):
            await link.request(GET, timeout_s=2)
        await link.close()


async def test_a_reset_after_the_request_is_no_reply():
    server = Server(silent)
    async with server.listening() as address:
        proxy = await FaultProxy("127.0.0.1", int(address.rsplit(":", 1)[1])).start()
        link = open_http(f"http://{proxy.address}")
        request = asyncio.ensure_future(link.request(GET, timeout_s=5))
        await asyncio.wait_for(server.arrived.wait(), 5)
        proxy.cut()
        with pytest.raises(HttpNoReply):
            await request
        await link.close()
        await proxy.close()


async def test_a_full_pool_is_not_sent():
    server = Server(silent)
    async with server.listening() as address:
        link = open_http(f"http://{address}", max_connections=1)
        first = asyncio.ensure_future(link.request(GET, timeout_s=5))
        await asyncio.wait_for(server.arrived.wait(), 5)
        with pytest.raises(HttpNotSent, match="slot"):
            await link.request(GET, timeout_s=5, pool_timeout_s=0.02)
        await link.close()
        with pytest.raises(HttpNoReply):
            await first


async def test_close_ends_what_is_under_way_and_refuses_what_comes():
    server = Server(silent)
    async with server.listening() as address:
        link = open_http(f"http://{address}")
        waiting = asyncio.ensure_future(link.request(GET, timeout_s=30))
        await asyncio.wait_for(server.arrived.wait(), 5)
        await asyncio.wait_for(link.close(), 5)
        with pytest.raises(HttpNoReply):
            await waiting
        with pytest.raises(HttpNotSent):
            await link.request(GET, timeout_s=5)


async def test_a_caller_that_goes_away_before_the_first_byte_sends_nothing():
    server = Server(ok)
    async with server.listening() as address:
        link = open_http(f"http://{address}")
        request = asyncio.ensure_future(link.request(GET, timeout_s=2))
        while not link._in_flight:
            await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        async with asyncio.timeout(5):
            while link._in_flight:
                await asyncio.sleep(0.005)
        await link.close()
    assert server.received == b""


async def test_a_caller_that_goes_away_is_cancelled_at_once_while_the_server_is_silent():
    server = Server(silent)
    async with server.listening() as address:
        link = open_http(f"http://{address}")
        request = asyncio.ensure_future(link.request(GET, timeout_s=30))
        await asyncio.wait_for(server.arrived.wait(), 5)
        request.cancel()
        await asyncio.wait([request], timeout=1)
        assert request.cancelled()
        await link.close()


async def test_a_client_that_nobody_holds_any_more_drops_its_connections():
    ended = asyncio.Event()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read(1)
        ended.set()

    async with Server(once).listening() as address:
        link = open_http(f"http://{address}")
        await link.request(GET, timeout_s=2)
        assert not ended.is_set()
        del link
        gc.collect()
        await asyncio.wait_for(ended.wait(), 5)


async def test_after_a_churn_of_cancellations_a_request_still_gets_through():
    # The same churn on a bare httpx 0.28.1 client leaves all 4 connections stuck, with or without a semaphore
    # around the requests, and the request after it ends with PoolTimeout.
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.002)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
            await writer.drain()
            writer.close()

    async with Server(slow).listening() as address:
        link = open_http(f"http://{address}", max_connections=4)
        for round_ in range(60):
            tasks = [
                asyncio.ensure_future(link.request(GET, timeout_s=2, pool_timeout_s=0.05)) for _ in range(8)
            ]
            await asyncio.sleep(0.0007 * (round_ % 6))  # cancel at every stage: connecting, sending, reading
            for task in tasks[:: 1 + round_ % 2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        responses = [await link.request(GET, timeout_s=2, pool_timeout_s=2) for _ in range(8)]
        await link.close()
    assert [response.status for response in responses] == [200] * 8


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with Server(ok).listening() as address:
        link = open_http(f"http://{address}")
        response = await link.request(GET, timeout_s=2)
        await link.close()
    assert response.status == 200


async def test_a_certificate_that_nobody_we_trust_has_signed_is_not_sent():
    server = Server(ok)
    async with server.listening(ssl=tls_server()) as address:
        link = open_http(f"https://{address}")
        with pytest.raises(HttpNotSent, match="CERTIFICATE_VERIFY_FAILED"):
            await link.request(GET, timeout_s=2)
        await link.close()
    assert server.received == b""


async def test_a_trusted_certificate_lets_a_request_through(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "_certificates", tls_client)
    calls: list[str] = []
    async with Server(ok).listening(ssl=tls_server()) as address:
        link = open_http(f"https://{address}")
        response = await link.request(GET, timeout_s=2, before_send=lambda: calls.append("sent"))
        await link.close()
    assert (response.status, calls) == (200, ["sent"])
