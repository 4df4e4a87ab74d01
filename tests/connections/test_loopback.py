"""The same actors over real sockets, against the simulated Kraken's server."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.connections.rig import ACCOUNT, BTC, Rig, entry, exit_of

from allstop.actors.clock import Clock
from allstop.actors.commands import GetOrders, Submit
from allstop.actors.connection_settings import LOOPBACK
from allstop.actors.intents import OrderIntent
from allstop.actors.links.http import open_http
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.links.websocket import connect_websocket
from allstop.actors.market_data import Freshness, GetDataStats, PairData, PublicConnection
from allstop.actors.ports import LinkClosed, World
from allstop.actors.reports import Accepted, Unknown
from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.supervisors.simulation.host import LifeHost, SimulatedHost

pytestmark = pytest.mark.loopback


class LoopbackRig(Rig):
    async def open_world(self, clock: Clock) -> None:
        self.disk = MemoryDisk(clock)
        self.world = World(clock=clock, dice=self.system.dice, ids=self.system.ids,
                           connect_websocket=connect_websocket, open_http=open_http,
                           open_journal=self.disk.open_journal, host=LifeHost(SimulatedHost(asyncio.get_running_loop()), 1))  # fmt: skip
        self.kraken: Any = await self.stack.enter_async_context(KrakenServer(clock=clock))
        self.venue = self.kraken.venue


def fast() -> LoopbackRig:
    return LoopbackRig(settings=LOOPBACK)


async def soon(rig: Rig, intent: OrderIntent) -> Submit:
    return msgspec.structs.replace(await rig.committed(intent), deadline_s=0.5)


async def everything(rig: Rig):
    session = await rig.session()
    await rig.stream()
    await rig.reconciler()
    names = ("session", "stream", "sequence", "reconciled")
    await rig.until(lambda: all(rig.proven(name) for name in names), within_s=10)
    return session


async def test_an_order_with_its_stop_is_filled_and_its_executions_and_stop_are_seen():
    async with fast() as rig:
        session = await everything(rig)
        intent = entry(price="200000", stop="10000")
        outcome = await session.call(await soon(rig, intent), timeout_s=5)
        assert isinstance(outcome, Accepted)
        await rig.until(lambda: any(r.fill and r.cl_ord_id == intent.id for r in rig.reports()), within_s=5)
        await rig.until(lambda: any(r.trigger_price == Decimal(10000) for r in rig.reports()), within_s=5)
        executed = sum(Decimal(order["filled"]) for order in rig.orders_at_venue())
        assert executed == intent.qty
        assert rig.truth()["limits_broken"] == []


async def test_a_reply_that_is_lost_is_unknown_within_deadline_and_grace():
    async with fast() as rig:
        session = await everything(rig)
        rig.fault(kind="drop_reply", method="add_order")
        outcome = await session.call(await soon(rig, entry()), timeout_s=2)
        assert isinstance(outcome, Unknown)


async def test_a_cut_connection_ends_the_session_and_a_new_one_proves_everything_again():
    async with fast() as rig:
        session = await everything(rig)
        rig.fault(kind="cut", private=True)
        await rig.until(lambda: not session.is_alive(), within_s=3)
        assert isinstance(exit_of(session).error, LinkClosed)
        names = ("session", "stream", "sequence")
        await rig.until(lambda: not any(rig.proven(name) for name in names), within_s=3)
        await rig.session()
        await rig.until(lambda: all(rig.proven(name) for name in (*names, "reconciled")), within_s=10)
        assert any(isinstance(told, GetOrders) for told in rig.orders_told)
        assert rig.truth()["limits_broken"] == []


async def test_a_session_without_any_subscription_lives_on_pongs_alone():
    async with fast() as rig:
        session = await rig.session()
        await rig.until(lambda: rig.proven("session"), within_s=5)
        silence_s = LOOPBACK.silence_max_s * 1.5
        began_s = rig.clock.now_s()
        await rig.until(lambda: rig.clock.now_s() - began_s > silence_s, within_s=10)
        assert session.is_alive()


async def test_recorded_books_check_their_checksums_over_a_socket():
    async with fast() as rig:
        freshness = Freshness()
        connection = await rig.system.spawn(
            PublicConnection, url=rig.kraken.ws_url, world=rig.world, hosts=rig.hosts, settings=LOOPBACK,
            path="/data/connection",
        )  # fmt: skip
        pair = await rig.system.spawn(
            PairData, connection=connection, instrument=BTC, freshness=freshness, vote=rig.voter.tell,
            scopes=((*ACCOUNT, "BTC/USD"),), settings=LOOPBACK, path="/data/book.BTC-USD",
        )  # fmt: skip
        await rig.until(lambda: freshness("BTC/USD"), within_s=5)
        stats = await pair.call(GetDataStats())
        deadline_s = rig.clock.now_s() + 10
        while stats.checksums_ok < 20 and rig.clock.now_s() < deadline_s:
            await asyncio.sleep(0.02)
            stats = await pair.call(GetDataStats())
        assert stats.checksums_ok >= 20
        assert stats.checksums_bad == 0
