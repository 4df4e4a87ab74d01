"""Links in memory that do wrong: as TCP does, in order within a connection, and never half a frame."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from allstop.actors.clock import SeededDice
from allstop.actors.links import memory_wire
from allstop.actors.links.condition import WHOLE, LinkCondition, Turned, Way, worst_of
from allstop.actors.links.memory_http import MemoryHttp
from allstop.actors.links.memory_link import MemoryNetwork, MemoryWebSocket
from allstop.actors.links.memory_wire import MemoryLink
from allstop.actors.ports import (
    ConnectFailed,
    HttpNoReply,
    HttpNotSent,
    HttpRequest,
    HttpResponse,
    LinkClosed,
)

pytestmark = pytest.mark.virtual

URL = "ws://venue/v2"
GET = HttpRequest(method="GET", path="/x")


class Bench:
    """One WebSocket through a link, and a REST client; both ends of everything at hand."""

    def __init__(self) -> None:
        self.network = MemoryNetwork(SeededDice(7))
        self.link: MemoryLink = self.network.link(URL, "http://venue")
        self.servers: list[MemoryWebSocket] = []
        self.served: list[str] = []
        self.network.serve_websocket(URL, self._serve)
        self.network.serve_http("http://venue", self._answer)
        self.http: MemoryHttp = self.network.open_http("http://venue")

    async def _serve(self, server: MemoryWebSocket) -> None:
        self.servers.append(server)
        await asyncio.Future()

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        self.served.append(request.path)
        return HttpResponse(status=200, headers={}, body=b"x" * 100)

    async def pair(self) -> tuple[MemoryWebSocket, MemoryWebSocket]:
        client = await self.network.connect_websocket(URL)
        await asyncio.sleep(0)
        return client, self.servers[-1]


@asynccontextmanager
async def bench() -> AsyncGenerator[Bench]:
    b = Bench()
    yield b
    await b.network.close()


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def received(end: MemoryWebSocket, count: int) -> list[tuple[float, str]]:
    return [(now_s(), frame) for _ in range(count) for frame in [await end.receive()]]


async def test_a_whole_link_costs_no_time_and_holds_nothing():
    async with bench() as b:
        client, server = await b.pair()
        await client.send("a")
        await server.send("b")
        assert (await server.receive(), await client.receive()) == ("a", "b")
        assert (await b.http.request(GET, timeout_s=1)).status == 200
        assert now_s() == 0.0


async def test_frames_come_later_by_chance_and_in_their_order():
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(delay_s=0.1, jitter_s=0.5))
        for n in range(20):
            await server.send(str(n))
        got = await received(client, 20)
        assert [frame for _, frame in got] == [str(n) for n in range(20)]
        assert 0.1 <= got[0][0] <= got[-1][0] <= 0.6
        assert len({at_s for at_s, _ in got}) > 2


async def test_across_connections_nothing_keeps_its_order():
    async with bench() as b:
        await b.link.become(LinkCondition(jitter_s=1.0))
        paths = [f"/{n}" for n in range(4)]
        await asyncio.gather(
            *(b.http.request(HttpRequest(method="GET", path=path), timeout_s=5) for path in paths)
        )
        assert sorted(b.served) == paths
        assert b.served != paths


async def test_the_dice_decide_how_late():
    async def times(seed: int) -> list[float]:
        async with bench() as b:
            b.link._dice = SeededDice(seed)  # pyright: ignore[reportPrivateUsage]
            client, server = await b.pair()
            await b.link.become(LinkCondition(jitter_s=0.5))
            began_s = now_s()
            for _ in range(5):
                await server.send("x")
            return [at_s - began_s for at_s, _ in await received(client, 5)]

    assert await times(1) == pytest.approx(await times(1))
    assert await times(1) != pytest.approx(await times(2))


@pytest.mark.parametrize(("count", "whole"), [(0, 0), (3, 0), (4, 1), (7, 1), (8, 2)])
async def test_a_connection_is_cut_at_a_byte_and_half_a_frame_never_arrives(count: int, whole: int):
    async with bench() as b:
        client, server = await b.pair()
        b.link.cut_after(count, Way.UP)
        sent = 0
        for _ in range(3):
            if not client.closed:
                await client.send("abcd")
                sent += 1
        assert sent == whole + 1
        assert [frame for _, frame in await received(server, whole)] == ["abcd"] * whole
        for end in (client, server):
            with pytest.raises(LinkClosed):
                await end.receive()
        again, there = await b.pair()
        await again.send("once is enough")
        assert await there.receive() == "once is enough"


async def test_a_request_that_is_cut_is_unknown_to_its_client_and_never_came_to_the_server():
    async with bench() as b:
        b.link.cut_after(10, Way.UP)
        with pytest.raises(HttpNoReply, match="cut"):
            await b.http.request(GET, timeout_s=1)
        assert b.served == []


async def test_an_answer_that_is_cut_is_unknown_to_the_client_and_was_carried_out():
    async with bench() as b:
        b.link.cut_after(10, Way.DOWN)
        with pytest.raises(HttpNoReply, match="cut"):
            await b.http.request(GET, timeout_s=1)
        assert b.served == ["/x"]


async def test_a_cut_at_a_byte_can_be_taken_back():
    async with bench() as b:
        client, server = await b.pair()
        b.link.cut_after(2, Way.UP)
        b.link.cut_after(None, Way.UP)
        await client.send("abcd")
        assert await server.receive() == "abcd"


async def test_silence_holds_what_is_sent_and_lets_it_pass_in_order_when_it_ends():
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(up_silent=True, down_silent=True))
        await client.send("a")
        await client.send("b")
        await server.send("c")
        await asyncio.sleep(3.0)
        asking = asyncio.create_task(server.receive())
        await asyncio.sleep(0.5)
        assert not asking.done()
        await b.link.become(WHOLE)
        assert (await asking, await server.receive(), await client.receive()) == ("a", "b", "c")


async def test_one_way_can_be_silent():
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(up_silent=True))
        await client.send("lost for now")
        await server.send("heard")
        assert await client.receive() == "heard"


async def test_pings_notice_a_silence_that_lasts_and_the_server_learns_it_afterwards():
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(down_silent=True, up_silent=True))
        with pytest.raises(LinkClosed, match="ping"):
            await client.receive()
        assert now_s() == pytest.approx(10.5)
        assert not server.closed
        client.abort()
        await b.link.become(WHOLE)
        await server.send("nobody there")


async def test_a_silence_shorter_than_the_pings_ends_no_connection():
    async with bench() as b:
        client, _ = await b.pair()
        await b.link.become(LinkCondition(up_silent=True))
        await asyncio.sleep(9.0)
        await b.link.become(WHOLE)
        await asyncio.sleep(60.0)
        assert not client.closed


async def test_a_close_arrives_after_what_was_sent_before_it_and_a_reset_instead_of_it():
    async with bench() as b:
        for close, heard in (("close", ["last"]), ("abort", [])):
            client, server = await b.pair()
            await b.link.become(LinkCondition(delay_s=1.0))
            await client.send("last")
            if close == "close":
                await client.close()
            else:
                client.abort()
            assert not server.closed
            got = [frame for _, frame in await received(server, len(heard))]
            with pytest.raises(LinkClosed, match="by the peer"):
                await server.receive()
            assert got == heard
            await b.link.become(WHOLE)


async def test_a_request_held_in_silence_until_its_client_gave_up_is_not_carried_out():
    async with bench() as b:
        await b.link.become(LinkCondition(up_silent=True))
        with pytest.raises(HttpNoReply):
            await b.http.request(GET, timeout_s=1)
        await b.link.become(WHOLE)
        await asyncio.sleep(1)
        assert b.served == []


async def test_a_request_held_in_silence_for_a_while_is_answered_when_it_ends():
    async with bench() as b:
        await b.link.become(LinkCondition(up_silent=True))
        asyncio.get_running_loop().call_later(0.5, lambda: asyncio.ensure_future(b.link.become(WHOLE)))
        assert (await b.http.request(GET, timeout_s=1)).status == 200
        assert now_s() == pytest.approx(0.5)


async def test_a_slow_reader_gets_so_many_bytes_a_second_and_catches_up_when_it_is_fast():
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(down_bytes_per_s=100))
        for _ in range(10):
            await server.send("x" * 50)
        assert [round(at_s, 6) for at_s, _ in await received(client, 4)] == [0.5, 1.0, 1.5, 2.0]
        await b.link.become(WHOLE)
        assert [round(at_s, 6) for at_s, _ in await received(client, 6)] == [2.0] * 6


async def test_a_slow_reader_makes_the_sender_wait_and_memory_stays_bounded():
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(down_bytes_per_s=1000))
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await server.send("x" * 1000)
                sent += 1

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(10)
        assert sent * 1000 <= memory_wire.HELD_BYTES_MAX + 12_000
        client.abort()
        server.cut()
        with pytest.raises(LinkClosed):
            await flooding


async def test_what_is_posted_is_on_its_way_at_once_and_nothing_is_taken_where_a_sender_would_have_to_wait():
    async with bench() as b:
        client, server = await b.pair()
        assert server.post("at once")
        assert await client.receive() == "at once"
        await b.link.become(LinkCondition(down_bytes_per_s=1000))
        posted = 0
        while server.post("x" * 1000):
            posted += 1
        assert (posted - 1) * 1000 <= memory_wire.HELD_BYTES_MAX < posted * 1000
        await b.link.become(WHOLE)
        assert server.post("behind them")
        assert [frame[0] for _, frame in await received(client, posted + 1)] == [*"x" * posted, "b"]
        client.abort()
        with pytest.raises(LinkClosed):
            server.post("to nobody")


async def test_a_slow_request_takes_its_time():
    async with bench() as b:
        await b.link.become(LinkCondition(down_bytes_per_s=250))
        await b.http.request(GET, timeout_s=10)
        assert now_s() == pytest.approx(2.0)  # 100 bytes, and its headers


@pytest.mark.parametrize("turned", Turned)
async def test_connections_that_are_turned_away_are_not_made_and_the_open_ones_live_on(turned: Turned):
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(turned=turned))
        with pytest.raises(ConnectFailed, match=memory_wire.TURNED[turned]):
            await b.network.connect_websocket(URL)
        with pytest.raises(HttpNotSent, match=memory_wire.TURNED[turned]):
            await b.http.request(GET, timeout_s=1)
        await client.send("alive")
        assert await server.receive() == "alive"
        await b.link.become(WHOLE)
        await b.pair()


async def test_a_handshake_into_silence_times_out():
    async with bench() as b:
        await b.link.become(LinkCondition(down_silent=True))
        with pytest.raises(ConnectFailed, match="timed out during opening handshake"):
            await b.network.connect_websocket(URL, open_timeout_s=3.0)
        assert now_s() == pytest.approx(3.0)


async def test_a_cut_ends_everything_that_is_open_and_nothing_is_left():
    async with bench() as b:
        first, second = await b.pair(), await b.pair()
        await b.link.become(LinkCondition(delay_s=1.0))
        asking = asyncio.create_task(b.http.request(GET, timeout_s=5))
        await asyncio.sleep(0.1)
        assert b.link.cut() == 3
        with pytest.raises(HttpNoReply):
            await asking
        assert all(end.closed for end in (*first, *second))
        assert b.link.cut() == 0


async def test_what_a_dead_client_left_does_not_stand_in_the_links_way():
    async with bench() as b:
        client, server = await b.pair()
        await b.link.become(LinkCondition(delay_s=1.0))
        await server.send("for nobody")
        b.network.forget(client)
        client.forsake()
        vars(client).clear()  # as a world does with the ports of a process that died
        await asyncio.sleep(2.0)
        assert server.closed
        assert b.link.cut() == 0
        await b.link.become(WHOLE)


def test_troubles_add_up():
    slow, deaf = LinkCondition(delay_s=1, up_bytes_per_s=10), LinkCondition(up_silent=True, up_bytes_per_s=5)

    assert worst_of(slow, deaf) == LinkCondition(delay_s=1, up_bytes_per_s=5, up_silent=True)
    assert worst_of() == WHOLE
