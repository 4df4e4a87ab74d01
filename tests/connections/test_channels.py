import asyncio
from typing import Any

import msgspec
import pytest
from tests.connections.rig import Recorder, Rig, exit_of

from allstop.actors.channels import (
    ChannelConnection,
    GetConnection,
    Listen,
    Listener,
    NoAck,
    SubscribeChannel,
)
from allstop.actors.errors import Refused
from allstop.actors.links.memory_link import MemoryWebSocket
from allstop.actors.protocols.kraken.events import MalformedFrame, Ticker
from allstop.actors.runtime import Mailbox, MailboxFull, Ref

pytestmark = pytest.mark.virtual
URL = "ws://puppet/v2"
TICKER = (
    '{"channel":"ticker","type":"update","data":[{"symbol":"%s","bid":1.0,"bid_qty":1,"ask":2.0,"ask_qty":1,'
    '"last":1.5}]}'
)


class Slow(Recorder):
    """Takes one message and then none."""

    mailbox = Mailbox(capacity=2)

    async def on_receive(self, message: object) -> object:
        self.kept.append(message)
        await asyncio.sleep(3600)
        return None


class Attached(Listener):
    """Counts what happens to it."""

    def __init__(self, connection: Ref, told: list[str]) -> None:
        super().__init__(connection=connection, routes=(("ticker", "BTC/USD"),), retry_s=0.1)
        self.told = told

    async def on_link_up(self) -> None:
        self.told.append("up")

    async def on_link_down(self, why: str) -> None:
        self.told.append("down")

    async def on_message(self, message: object) -> object:
        self.told.append(type(message).__name__)
        return None


async def connected(rig: Rig, talk: Any) -> Ref:
    rig.network.serve_websocket(URL, talk)
    ref = await rig.system.spawn(
        ChannelConnection, url=URL, world=rig.world, hosts=rig.hosts, settings=rig.settings, path="/channels"
    )
    await asyncio.sleep(0.01)
    return ref


async def mute(server: MemoryWebSocket) -> None:
    while True:
        await server.receive()


async def acking(server: MemoryWebSocket) -> None:
    while True:
        asked = msgspec.json.decode(await server.receive())
        reply = {
            "method": asked["method"],
            "success": True,
            "req_id": asked["req_id"],
            "result": asked["params"],
        }
        await server.send(msgspec.json.encode(reply).decode())


def saying(*frames: str, after_s: float = 1.0) -> Any:
    async def talk(server: MemoryWebSocket) -> None:
        await asyncio.sleep(after_s)
        for frame in frames:
            await server.send(frame)
        await server.receive()

    return talk


async def test_events_go_to_those_who_listen_to_their_channel_and_symbol():
    async with Rig() as rig:
        btc: list[Any] = []
        eth: list[Any] = []
        channels = await connected(rig, saying(TICKER % "BTC/USD", TICKER % "ETH/USD", TICKER % "BTC/USD"))
        for path, kept, symbol in (("/btc", btc, "BTC/USD"), ("/eth", eth, "ETH/USD")):
            listener = await rig.system.spawn(Recorder, kept, path=path)
            assert await channels.call(Listen(path=listener.path, routes=(("ticker", symbol),))) is True
        await asyncio.sleep(1.5)
        assert [event.symbol for event in btc] == ["BTC/USD", "BTC/USD"]
        assert [event.symbol for event in eth] == ["ETH/USD"]


async def test_a_frame_that_cannot_be_read_is_told_to_its_channel():
    async with Rig() as rig:
        kept: list[Any] = []
        channels = await connected(rig, saying('{"channel":"ticker","type":"update","data":[{"symbol":1}]}'))
        listener = await rig.system.spawn(Recorder, kept, path="/btc")
        await channels.call(Listen(path=listener.path, routes=(("ticker", "BTC/USD"),)))
        await asyncio.sleep(1.5)
        assert [type(message) for message in kept] == [MalformedFrame]
        assert (await channels.call(GetConnection())).malformed == 1


async def test_a_request_is_answered_with_the_reply_of_its_own_id():
    async with Rig() as rig:
        channels = await connected(rig, acking)
        wanted = [SubscribeChannel(channel="ticker", symbol=symbol) for symbol in ("BTC/USD", "ETH/USD")]
        replies = await asyncio.gather(*(channels.call(one) for one in wanted))
        assert [(reply.ok, reply.result["symbol"]) for reply in replies] == [
            (True, ["BTC/USD"]),
            (True, ["ETH/USD"]),
        ]


async def test_a_request_without_an_answer_ends_after_the_ack_timeout():
    async with Rig() as rig:
        channels = await connected(rig, mute)
        began_s = rig.clock.now_s()
        with pytest.raises(NoAck):
            await channels.call(SubscribeChannel(channel="ticker", symbol="BTC/USD"), timeout_s=60)
        assert rig.clock.now_s() - began_s == pytest.approx(rig.settings.ack_timeout_s, abs=0.1)


async def test_before_it_is_connected_subscriptions_are_refused():
    async with Rig() as rig:
        rig.network.faults.delay_s = 1.0
        channels = await connected(rig, acking)
        with pytest.raises(Refused):
            await channels.call(SubscribeChannel(channel="ticker", symbol="BTC/USD"))


async def test_a_listener_that_cannot_keep_up_ends_the_connection_and_loses_nothing_in_silence():
    async with Rig() as rig:
        kept: list[Any] = []
        channels = await connected(rig, saying(*[TICKER % "BTC/USD"] * 10))
        listener = await rig.system.spawn(Slow, kept, path="/slow")
        await channels.call(Listen(path=listener.path, routes=(("ticker", "BTC/USD"),)))
        await rig.until(lambda: not channels.is_alive())
        assert isinstance(exit_of(channels).error, MailboxFull)
        assert [type(message) for message in kept] == [Ticker]
        rig.system.kill(listener)


async def test_a_listener_attaches_to_each_new_incarnation():
    async with Rig() as rig:
        told: list[str] = []
        rig.network.serve_websocket(URL, mute)
        await rig.system.spawn(Attached, rig.system.address("/channels"), told, path="/attached")
        for _ in range(2):
            await asyncio.sleep(1.0)
            await connected(rig, mute)
            await asyncio.sleep(0.5)
            rig.network.cut_websockets()
            await asyncio.sleep(0.5)
        assert told == ["up", "down", "up", "down"]
