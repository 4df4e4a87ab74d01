import asyncio

import pytest

from allstop.actors.links import memory_link
from allstop.actors.links.condition import LinkCondition
from allstop.actors.links.memory_link import MemoryNetwork, MemoryWebSocket, memory_pair
from allstop.actors.ports import (
    ConnectFailed,
    HttpAnswer,
    HttpHandler,
    HttpNoReply,
    HttpNotSent,
    HttpRequest,
    HttpResponse,
    LinkClosed,
    response_of,
)

pytestmark = pytest.mark.virtual
URL, BASE = "ws://venue/v2", "http://venue"
GET = HttpRequest(method="GET", path="/x")


async def echo(end: MemoryWebSocket) -> None:
    while True:
        await end.send(await end.receive())


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Desk:
    """An HTTP handler that counts."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.handled = 0
        self.takes_s = takes_s

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(self.takes_s)
        self.handled += 1
        return HttpResponse(status=200, headers={}, body=request.path.encode())


async def test_frames_go_out_and_come_back():
    network = MemoryNetwork()
    network.serve_websocket(URL, echo)
    heard: list[float] = []
    link = await network.connect_websocket(URL, on_traffic=lambda: heard.append(now_s()))
    await link.send("a")
    assert await link.receive() == "a"
    assert len(heard) == 1
    await network.close()


async def test_an_unknown_address_and_a_refusal_fail_to_connect():
    network = MemoryNetwork()
    with pytest.raises(ConnectFailed):
        await network.connect_websocket(URL)
    network.serve_websocket(URL, echo)
    network.faults.refuse_connects = True
    with pytest.raises(ConnectFailed):
        await network.connect_websocket(URL)


async def test_a_slow_network_times_a_connect_out():
    network = MemoryNetwork()
    network.serve_websocket(URL, echo)
    network.faults.delay_s = 9
    start_s = now_s()
    with pytest.raises(ConnectFailed, match="timed out"):
        await network.connect_websocket(URL, open_timeout_s=5)
    assert now_s() - start_s == pytest.approx(5)


async def test_frames_sent_before_a_close_are_received_first():
    client, server = memory_pair()
    await server.send("last")
    await server.close()
    assert await client.receive() == "last"
    with pytest.raises(LinkClosed) as closed:
        await client.receive()
    with pytest.raises(LinkClosed):
        await client.send("late")
    assert closed.value.code == 1000


async def test_a_waiting_receive_ends_when_the_peer_aborts_and_when_it_is_aborted_here():
    for which in (0, 1):
        ends = memory_pair()
        receiving = asyncio.ensure_future(ends[0].receive())
        await asyncio.sleep(0)
        ends[which].abort()
        with pytest.raises(LinkClosed) as closed:
            await receiving
        assert closed.value.code == 1006


async def test_a_cancelled_receive_loses_no_frame():
    client, server = memory_pair()
    receiving = asyncio.ensure_future(client.receive())
    await asyncio.sleep(0)
    await server.send("kept")
    receiving.cancel()
    await asyncio.wait([receiving])
    if receiving.cancelled():
        assert await client.receive() == "kept"
    else:
        assert receiving.result() == "kept"


async def test_a_silent_connection_is_noticed_after_ping_pong_and_close_waits():
    network = MemoryNetwork()
    network.serve_websocket(URL, echo)
    link = await network.connect_websocket(URL, ping_interval_s=2, ping_timeout_s=1, close_timeout_s=0.5)
    network.silence_websockets()
    start_s = now_s()
    await link.send("into the void")
    with pytest.raises(LinkClosed, match="ping"):
        await link.receive()
    assert now_s() - start_s == pytest.approx(3.5)
    await network.close()


async def test_a_cut_ends_both_sides():
    network = MemoryNetwork()
    ended = asyncio.Event()

    async def serve(end: MemoryWebSocket) -> None:
        try:
            await end.receive()
        finally:
            ended.set()

    network.serve_websocket(URL, serve)
    link = await network.connect_websocket(URL)
    await asyncio.sleep(0)
    network.cut_websockets()
    with pytest.raises(LinkClosed):
        await link.receive()
    await asyncio.wait_for(ended.wait(), 1)
    await network.close()


async def test_the_next_frame_is_corrupted_and_then_no_more():
    network = MemoryNetwork()
    network.serve_websocket(URL, echo)
    link = await network.connect_websocket(URL)
    network.corrupt_next_frame(lambda frame: frame.upper())
    received: list[str] = []
    for frame in ("a", "b"):
        await link.send(frame)
        received.append(await link.receive())
    assert received == ["A", "b"]
    await network.close()


async def test_a_peer_that_falls_behind_loses_the_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_link, "FRAMES_QUEUED_MAX", 3)
    client, server = memory_pair()
    for n in range(4):
        await server.send(str(n))
    assert (client.closed, server.closed) == (True, True)


async def test_a_request_gets_its_answer():
    network = MemoryNetwork()
    network.serve_http(BASE, Desk())
    response = await network.open_http(BASE).request(GET, timeout_s=1)
    assert response.body == b"/x"


def _now_this_now_that(request: HttpRequest) -> HttpAnswer:
    return _plain(request) if request.path == "/x" else _later(request)


def _plain(request: HttpRequest) -> HttpResponse:
    if request.path == "/dropped":
        raise HttpNoReply("dropped")
    return HttpResponse(status=200, headers={}, body=request.path.encode())


async def _later(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0.01)
    return _plain(request)


@pytest.mark.parametrize("wired", [False, True])
@pytest.mark.parametrize("handler", [_plain, _later, _now_this_now_that])
async def test_a_handler_may_answer_at_once_or_later_and_may_stand_before_another(
    handler: HttpHandler, wired: bool
):
    async def before(request: HttpRequest) -> HttpResponse:
        answer = await response_of(handler(request))
        return HttpResponse(status=201, headers={}, body=answer.body)

    for served, status in ((handler, 200), (before, 201)):
        network = MemoryNetwork()
        network.serve_http(BASE, served)
        if wired:
            await network.link(BASE).become(LinkCondition(delay_s=0.05))
        link = network.open_http(BASE)
        for path in ("/x", "/y"):
            response = await link.request(HttpRequest(method="GET", path=path), timeout_s=1)
            assert (response.status, response.body) == (status, path.encode())
        with pytest.raises(HttpNoReply, match="dropped"):
            await link.request(HttpRequest(method="GET", path="/dropped"), timeout_s=1)
        network.faults.lose_replies = 1
        with pytest.raises(HttpNoReply):
            await link.request(GET, timeout_s=1)
        await network.close()


class Refusal(Exception):
    pass


async def test_a_refusal_before_sending_comes_out_unchanged_and_nothing_is_handled():
    network, desk = MemoryNetwork(), Desk()
    network.serve_http(BASE, desk)
    link = network.open_http(BASE, max_connections=1)

    def refuse() -> None:
        raise Refusal

    with pytest.raises(Refusal):
        await link.request(GET, timeout_s=1, before_send=refuse)
    await link.request(GET, timeout_s=1)
    assert desk.handled == network.faults.requests_sent == 1


async def test_no_connection_is_not_sent():
    network = MemoryNetwork()
    with pytest.raises(HttpNotSent):
        await network.open_http(BASE).request(GET, timeout_s=1)
    network.serve_http(BASE, Desk())
    network.faults.refuse_connects = True
    with pytest.raises(HttpNotSent):
        await network.open_http(BASE).request(GET, timeout_s=1)


async def test_a_lost_request_and_a_lost_reply_are_no_reply_and_only_the_second_was_handled():
    network, desk = MemoryNetwork(), Desk()
    network.serve_http(BASE, desk)
    network.faults.lose_requests = 1
    network.faults.lose_replies = 1
    link = network.open_http(BASE)
    handled: list[int] = []
    for _ in range(2):
        with pytest.raises(HttpNoReply):
            await link.request(GET, timeout_s=1)
        handled.append(desk.handled)
    assert handled == [0, 1]
    assert (await link.request(GET, timeout_s=1)).status == 200


async def test_a_slow_handler_is_no_reply_after_the_timeout_and_still_handles():
    network, desk = MemoryNetwork(), Desk(takes_s=10)
    network.serve_http(BASE, desk)
    start_s = now_s()
    with pytest.raises(HttpNoReply):
        await network.open_http(BASE).request(GET, timeout_s=2)
    assert now_s() - start_s == pytest.approx(2)
    await asyncio.sleep(9)
    assert desk.handled == 1


async def test_a_full_pool_is_not_sent_after_the_pool_timeout():
    network = MemoryNetwork()
    network.serve_http(BASE, Desk(takes_s=10))
    link = network.open_http(BASE, max_connections=1)
    first = asyncio.ensure_future(link.request(GET, timeout_s=20))
    await asyncio.sleep(1)
    start_s = now_s()
    with pytest.raises(HttpNotSent, match="slot"):
        await link.request(GET, timeout_s=20, pool_timeout_s=0.05)
    assert now_s() - start_s == pytest.approx(0.05)
    await first


async def test_a_cancelled_caller_does_not_undo_what_was_sent():
    network, desk = MemoryNetwork(), Desk(takes_s=1)
    network.serve_http(BASE, desk)
    request = asyncio.ensure_future(network.open_http(BASE).request(GET, timeout_s=5))
    await asyncio.sleep(0.5)
    request.cancel()
    await asyncio.sleep(1)
    assert request.cancelled()
    assert desk.handled == 1


async def test_closing_ends_what_is_under_way_and_refuses_what_comes():
    network = MemoryNetwork()
    network.serve_http(BASE, Desk(takes_s=10))
    link = network.open_http(BASE)
    request = asyncio.ensure_future(link.request(GET, timeout_s=20))
    await asyncio.sleep(1)
    await link.close()
    with pytest.raises(HttpNoReply):
        await request
    with pytest.raises(HttpNotSent):
        await link.request(GET, timeout_s=20)
