import asyncio
import dataclasses
from typing import Any

import pytest
from tests.connections.rig import Rig, exit_of

from allstop.actors.connection import Connection
from allstop.actors.events import CrashReport
from allstop.actors.host_ledger import GetConnects, HostLedger
from allstop.actors.limits.connects import ConnectLimits
from allstop.actors.links.memory_link import MemoryWebSocket
from allstop.actors.ports import ConnectFailed, LinkClosed
from allstop.actors.runtime import Ref

pytestmark = pytest.mark.virtual
URL = "ws://puppet/v2"


class Puppet(Connection):
    """Keeps its frames; a frame `boom` is one that it cannot take."""

    frames: list[str]

    def on_frame(self, frame: str) -> None:
        self.frames = [*getattr(self, "frames", []), frame]
        if frame == "boom":
            raise ValueError("cannot take this")

    async def on_message(self, message: object) -> object:
        match message:
            case "frames":
                return getattr(self, "frames", [])
            case "say":
                return await self.send("hello")
            case _:
                return super().on_message(message)


async def started(rig: Rig, talk: Any, hosts: Ref | None = None) -> Ref:
    rig.network.serve_websocket(URL, talk)
    return await rig.system.spawn(
        Puppet, url=URL, world=rig.world, hosts=hosts or rig.hosts, settings=rig.settings, path="/puppet"
    )


async def chatter(server: MemoryWebSocket) -> None:
    while True:
        await server.send("tick")
        await asyncio.sleep(1)


async def silence(server: MemoryWebSocket) -> None:
    await server.receive()


async def test_a_start_succeeds_before_anything_is_connected():
    async with Rig() as rig:
        rig.network.faults.delay_s = 3.0
        began_s = rig.clock.now_s()
        puppet = await started(rig, chatter)
        assert rig.clock.now_s() == began_s
        await asyncio.sleep(3.1)
        assert await puppet.call("frames") == ["tick"]


async def test_a_connection_that_ends_is_an_exit_with_the_links_reason():
    async with Rig() as rig:
        puppet = await started(rig, chatter)
        await asyncio.sleep(2)
        rig.network.cut_websockets()
        await rig.until(lambda: not puppet.is_alive())
        assert isinstance(exit_of(puppet).error, LinkClosed)


async def test_a_connection_that_fails_is_an_exit():
    async with Rig() as rig:
        rig.network.faults.refuse_connects = True
        puppet = await started(rig, chatter)
        await rig.until(lambda: not puppet.is_alive())
        assert isinstance(exit_of(puppet).error, ConnectFailed)


async def test_silence_is_noticed_within_the_deadline_and_traffic_is_none():
    async with Rig() as rig:
        puppet = await started(rig, chatter)
        await asyncio.sleep(60)
        assert puppet.is_alive()
        began_s = rig.clock.now_s()
        silent = await rig.system.spawn(
            Puppet,
            url=_serve(rig, silence),
            world=rig.world,
            hosts=rig.hosts,
            settings=rig.settings,
            path="/silent",
        )
        await rig.until(lambda: not silent.is_alive())
        assert 5.0 < rig.clock.now_s() - began_s <= 6.1
        assert "silent" in str(exit_of(silent).error)


def _serve(rig: Rig, talk: Any) -> str:
    rig.network.serve_websocket("ws://other/v2", talk)
    return "ws://other/v2"


async def test_a_frame_that_cannot_be_taken_is_a_crash_that_closes_the_connection():
    async def talk(server: MemoryWebSocket) -> None:
        await server.send("boom")
        await server.receive()

    async with Rig() as rig:
        puppet = await started(rig, talk)
        await rig.until(lambda: not puppet.is_alive())
        assert isinstance(exit_of(puppet).error, ValueError)
        assert all(end.closed for end in rig.network._connections)


async def test_a_stop_closes_the_connection_and_is_no_crash():
    """Closing it ends whoever reads from it: what was asked for is nothing to report."""
    async with Rig() as rig:
        crashes: list[CrashReport] = []
        rig.system.subscribe(lambda event: crashes.append(event) if isinstance(event, CrashReport) else None)
        puppet = await started(rig, chatter)
        await asyncio.sleep(1.5)
        await rig.system.stop(puppet)
        assert all(end.closed for end in rig.network._connections)
        assert crashes == []


async def test_a_kill_while_a_handler_is_suspended_closes_the_connection():
    async with Rig() as rig:
        puppet = await started(rig, chatter)
        await asyncio.sleep(1.5)
        puppet.tell("say")
        rig.system.kill(puppet)
        await asyncio.sleep(0.01)
        assert all(end.closed for end in rig.network._connections)


async def test_without_a_permit_it_waits_and_does_not_connect():
    async with Rig() as rig:
        hosts = await rig.system.spawn(
            HostLedger,
            journal=rig.runtime_journal,
            limits={"puppet": ConnectLimits(limit=2, window_s=30)},
            path="/h",
        )
        first = await started(rig, chatter, hosts)
        await asyncio.sleep(0.1)
        await rig.system.stop(first)
        opened = len(rig.network._connections)
        second = await started(rig, chatter, hosts)
        await asyncio.sleep(29)
        assert second.is_alive()
        assert len(rig.network._connections) == opened
        await asyncio.sleep(1.5)
        assert await second.call("frames") != []


async def test_a_handshake_that_the_edge_refuses_is_a_ban_of_this_address():
    async def refuse(url: str, **_: Any) -> Any:
        raise ConnectFailed(f"{url}: server rejected WebSocket connection: HTTP 429")

    async with Rig() as rig:
        rig.world = dataclasses.replace(rig.world, connect_websocket=refuse)
        puppet = await started(rig, chatter)
        await rig.until(lambda: not puppet.is_alive())
        (connects,) = (await rig.hosts.call(GetConnects())).values()
        assert connects.ban_reason.endswith("HTTP 429")


async def test_a_venue_that_lets_in_and_closes_at_once_never_sees_half_its_connect_limit_passed():
    async def slam(server: MemoryWebSocket) -> None:
        await server.close()

    async with Rig() as rig:
        for _ in range(100):  # restarted as fast as it dies
            puppet = await started(rig, slam)
            await asyncio.sleep(0.2)
            if puppet.is_alive():
                await rig.system.stop(puppet)
        (connects,) = (await rig.hosts.call(GetConnects())).values()
        assert len(connects.attempts_s) == 25  # of 150: the other 50 of ours are spread over the ten minutes
