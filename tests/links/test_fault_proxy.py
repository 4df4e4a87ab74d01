import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import pytest
from tests.links.peers import Server

from allstop.actors.clock import SeededDice
from allstop.actors.links import fault_proxy
from allstop.actors.links.condition import WHOLE, LinkCondition, Turned
from allstop.actors.links.fault_proxy import FaultProxy, Way

pytestmark = pytest.mark.loopback


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def exchange(self, data: bytes, timeout_s: float = 5.0) -> bytes:
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readexactly(len(data)), timeout_s)


@contextlib.asynccontextmanager
async def proxied() -> AsyncGenerator[tuple[FaultProxy, Callable[[], "asyncio.Future[Client]"]], None]:
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", proxy.port)))
        return clients[-1]

    async with Server(echo).listening() as address:
        proxy = await FaultProxy("127.0.0.1", int(address.split(":")[1]), dice=SeededDice(1)).start()
        try:
            yield proxy, lambda: asyncio.ensure_future(connect())
        finally:
            for client in clients:
                client.writer.close()
            await proxy.close()


async def test_bytes_pass_both_ways():
    async with proxied() as (proxy, connect):
        client = await connect()
        data = bytes(range(256)) * 4000
        assert await client.exchange(data) == data
    assert proxy.forwarded == {Way.UP: len(data), Way.DOWN: len(data)}


async def test_the_end_of_one_side_reaches_the_other():
    async with proxied() as (_, connect):
        client = await connect()
        client.writer.write(b"last")
        client.writer.write_eof()
        assert await asyncio.wait_for(client.reader.read(), 5) == b"last"


async def test_a_cut_resets_the_client_and_new_connections_work():
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(), 5)
        assert await (await connect()).exchange(b"again") == b"again"
        assert proxy.accepted == 2


async def test_a_half_open_connection_is_silent_without_an_end_until_it_heals():
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        proxy.half_open()
        client.writer.write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)
        proxy.heal()
        assert await asyncio.wait_for(client.reader.readexactly(4), 5) == b"held"


async def test_a_half_open_connection_can_be_cut():
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        proxy.half_open()
        client.writer.write(b"held")
        await asyncio.sleep(0)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(), 5)
        async with asyncio.timeout(5):
            while proxy.open_connections:
                await asyncio.sleep(0.001)


async def test_a_delay_holds_each_chunk_and_keeps_the_order():
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        proxy.delay(0.05, 0.05)
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for n in range(20):
            client.writer.write(b"%02d" % n)
            await asyncio.sleep(0.001)
        received = await asyncio.wait_for(client.reader.readexactly(40), 5)
        took_s = loop.time() - start_s
    assert received == b"".join(b"%02d" % n for n in range(20))
    assert 0.1 <= took_s < 2  # once each way, not once per chunk


async def test_bytes_after_a_count_vanish():
    async with proxied() as (proxy, connect):
        client = await connect()
        proxy.drop_after(3, Way.DOWN)
        client.writer.write(b"abcdef")
        assert await asyncio.wait_for(client.reader.readexactly(3), 5) == b"abc"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.05)
        proxy.heal()
        assert await client.exchange(b"ghi") == b"ghi"


async def test_one_bit_of_the_next_chunk_is_flipped_and_then_no_more():
    async with proxied() as (proxy, connect):
        client = await connect()
        proxy.corrupt_next(Way.DOWN)
        corrupted = await client.exchange(b'{"price":123.4}')
        assert corrupted == b'{"price":122.4}'
        assert await client.exchange(b'{"price":123.4}') == b'{"price":123.4}'


async def test_refused_connections_are_refused_and_open_ones_live_on():
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await connect()
        assert await client.exchange(b"y") == b"y"
        await proxy.accept()
        assert await (await connect()).exchange(b"z") == b"z"


async def test_a_server_that_is_not_there_resets_the_client():
    async with Server(echo).listening() as address:
        pass
    proxy = await FaultProxy("127.0.0.1", int(address.split(":")[1])).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await proxy.close()


async def flood(client: Client) -> None:
    while True:
        client.writer.write(b"x" * 1_000_000)
        await client.writer.drain()


async def test_a_slow_reader_slows_the_sender_and_not_the_proxy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fault_proxy, "CHUNKS_QUEUED_MAX", 2)
    async with proxied() as (proxy, connect):
        client = await connect()
        proxy.half_open()
        client.writer.transport.set_write_buffer_limits(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(client), 0.3)
        assert proxy.forwarded[Way.UP] == 0
        client.writer.transport.abort()


async def test_closing_ends_everything():
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        await proxy.close()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(), 5)
        assert proxy.open_connections == 0


# -- what a plan of faults asks of it


@pytest.mark.parametrize("count", [0, 1, 7, 11])
async def test_a_connection_is_cut_in_the_middle_of_what_it_carries(count: int):
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        proxy.cut_after(count, Way.DOWN)
        client.writer.write(b"hello, world")
        assert await asyncio.wait_for(client.reader.readexactly(count), 5) == b"hello, world"[:count]
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(1), 5)
        assert await (await connect()).exchange(b"again") == b"again"  # one connection, once


async def test_a_cut_at_a_byte_can_be_taken_back():
    async with proxied() as (proxy, connect):
        client = await connect()
        proxy.cut_after(3, Way.UP)
        proxy.cut_after(None, Way.UP)
        assert await client.exchange(b"hello, world") == b"hello, world"


@pytest.mark.parametrize("way", [Way.UP, Way.DOWN])
async def test_one_way_can_be_silent_while_the_other_talks(way: Way):
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        up, down = proxy.forwarded[Way.UP], proxy.forwarded[Way.DOWN]
        await proxy.become(LinkCondition(up_silent=way == Way.UP, down_silent=way == Way.DOWN))
        client.writer.write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)
        assert proxy.forwarded == {Way.UP: up + (4 if way == Way.DOWN else 0), Way.DOWN: down}
        await proxy.become(WHOLE)
        assert await asyncio.wait_for(client.reader.readexactly(4), 5) == b"held"


async def test_a_slow_reader_gets_so_many_bytes_a_second_until_it_heals():
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        await proxy.become(LinkCondition(down_bytes_per_s=20_000))
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        assert await client.exchange(bytes(5000)) == bytes(5000)
        assert 0.15 < loop.time() - start_s < 3
        client.writer.write(bytes(200_000))  # ten seconds' worth
        await asyncio.sleep(0.05)
        await proxy.become(WHOLE)
        assert await asyncio.wait_for(client.reader.readexactly(200_000), 5) == bytes(200_000)


@pytest.mark.parametrize("turned", [Turned.REFUSED, Turned.DNS])
async def test_new_connections_are_refused_and_the_open_ones_live_on(turned: Turned):
    async with proxied() as (proxy, connect):
        client = await connect()
        await client.exchange(b"x")
        await proxy.become(LinkCondition(turned=turned))
        with pytest.raises(ConnectionRefusedError):
            await connect()
        assert await client.exchange(b"alive") == b"alive"
        await proxy.become(WHOLE)
        assert await (await connect()).exchange(b"again") == b"again"


async def test_a_wrong_certificate_is_a_connection_that_is_reset_before_a_word():
    async with proxied() as (proxy, connect):
        await proxy.become(LinkCondition(turned=Turned.TLS))
        client = await connect()
        with pytest.raises(ConnectionResetError):
            await client.exchange(b"hello")
        await proxy.become(WHOLE)
        assert await (await connect()).exchange(b"again") == b"again"
