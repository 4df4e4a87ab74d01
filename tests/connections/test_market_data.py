import asyncio
import dataclasses
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from tests.connections.rig import ACCOUNT, BTC, Recorder, Rig, exit_of

from allstop.actors.levels import CastVote, Level, WithdrawVote
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.market_data import (
    BookView,
    DataFault,
    Freshness,
    GetBook,
    GetDataStats,
    PairData,
    PublicConnection,
    SubscribeBook,
    Tick,
)
from allstop.actors.protocols.kraken.events import Ticker
from allstop.actors.runtime import Ref
from allstop.actors.simulated.kraken.in_memory import InMemoryKraken
from allstop.actors.simulated.kraken.server import packaged_tape
from allstop.actors.simulated.kraken.venue import KrakenVenue

pytestmark = pytest.mark.virtual
SCOPE = (*ACCOUNT, "BTC/USD")


class DataRig(Rig):
    """The public side, fed by the recording that comes with the package."""

    async def open_world(self, clock: Any) -> None:
        await super().open_world(clock)
        self.venue = KrakenVenue(self.venue_settings, packaged_tape(), wall_ns=clock.wall_ns())
        self.kraken = await self.stack.enter_async_context(InMemoryKraken(self.venue, clock=clock))
        self.network = MemoryNetwork()
        self.kraken.serve_on(self.network)
        self.stack.push_async_callback(self.network.close)

    async def connection(self) -> Ref:
        world = dataclasses.replace(self.world, connect_websocket=self.network.connect_websocket)
        return await self.system.spawn(
            PublicConnection, url=self.kraken.ws_url, world=world, hosts=self.hosts, settings=self.settings,
            path="/data/connection",
        )  # fmt: skip

    async def data(self, **arguments: Any) -> tuple[Ref, Ref]:
        self.freshness = Freshness()
        connection = await self.connection()
        pair = await self.system.spawn(
            PairData, connection=connection, instrument=BTC, freshness=self.freshness, vote=self.voter.tell,
            scopes=(SCOPE,), settings=self.settings, path="/data/book.BTC-USD", **arguments,
        )  # fmt: skip
        return connection, pair


@pytest.fixture
async def rig() -> AsyncIterator[DataRig]:
    async with DataRig() as rig:
        yield rig


async def test_a_book_is_checked_frame_by_frame(rig: DataRig):
    _, pair = await rig.data()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    await asyncio.sleep(10)
    stats = await pair.call(GetDataStats())
    assert stats.checksums_ok == stats.frames_in > 50
    assert (stats.checksums_bad, stats.resubscribes, stats.fresh) == (0, 0, True)
    book = await pair.call(GetBook())
    assert book.good
    assert book.bids[0][0] < book.asks[0][0]


async def test_a_pair_without_proven_data_holds_its_instrument_at_cached_data(rig: DataRig):
    await rig.data()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    cast, withdrawn = rig.votes[:2]
    assert isinstance(cast, CastVote)
    assert (cast.vote.level, cast.vote.scope) == (Level.CACHED_DATA, SCOPE)
    assert withdrawn == WithdrawVote(by="/data/book.BTC-USD", scope=SCOPE)


async def test_a_bad_checksum_makes_the_book_questionable_until_a_new_snapshot(rig: DataRig):
    _, pair = await rig.data()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    rig.fault(kind="corrupt_checksum", channel="book", n=1)
    await rig.until(lambda: [type(vote) for vote in rig.votes] == [CastVote, WithdrawVote] * 2)
    stats = await pair.call(GetDataStats())
    assert (stats.checksums_bad, stats.resubscribes) == (1, 1)
    assert isinstance(rig.votes[-1], WithdrawVote)


async def test_half_a_frame_is_as_bad_as_a_bad_checksum(rig: DataRig):
    connection, pair = await rig.data()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    rig.fault(kind="corrupt_frame", channel="book", n=1)
    await rig.until(lambda: [type(vote) for vote in rig.votes] == [CastVote, WithdrawVote] * 2)
    assert (await pair.call(GetDataStats())).resubscribes == 1
    assert connection.is_alive()


async def test_the_third_bad_checksum_in_a_minute_is_an_exit_of_the_pair_alone(rig: DataRig):
    connection, pair = await rig.data()
    for n in range(3):
        await rig.until(lambda n=n: [type(vote) for vote in rig.votes] == [CastVote, WithdrawVote] * (n + 1))
        rig.fault(kind="corrupt_checksum", channel="book", n=1)
    await rig.until(lambda: not pair.is_alive())
    assert isinstance(exit_of(pair).error, DataFault)
    assert connection.is_alive()
    assert isinstance(rig.votes[-1], CastVote)


async def test_a_book_that_is_right_but_silent_goes_stale_and_comes_back(rig: DataRig):
    _, pair = await rig.data()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    rig.kraken.paused = True
    began_s = rig.clock.now_s()
    await rig.until(lambda: not rig.freshness("BTC/USD"))
    assert rig.clock.now_s() - began_s < rig.settings.book_silence_max_s + 2 * rig.settings.stale_check_s
    assert not (await pair.call(GetBook())).good
    rig.kraken.paused = False
    await rig.until(lambda: rig.freshness("BTC/USD"))


async def test_a_lost_connection_is_stale_at_once_and_the_pair_attaches_to_the_next(rig: DataRig):
    connection, pair = await rig.data()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    rig.network.cut_websockets()
    await rig.until(lambda: not rig.freshness("BTC/USD"), within_s=0.1)
    assert not connection.is_alive()
    await rig.connection()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    assert pair.incarnation == 1


async def test_subscribers_are_told_the_newest_at_most_every_interval(rig: DataRig):
    told: list[Any] = []
    subscriber = await rig.system.spawn(Recorder, told, path="/strategy")
    _, pair = await rig.data(publish_interval_s=1.0)
    await rig.until(lambda: rig.freshness("BTC/USD"))
    view = await pair.call(SubscribeBook(path=subscriber.path))
    assert view.good
    began = (await pair.call(GetDataStats())).frames_in
    await asyncio.sleep(10)
    views = [message for message in told if isinstance(message, BookView)]
    assert (await pair.call(GetDataStats())).frames_in - began > 3 * len(views)
    assert 5 <= len(views) <= 11
    assert views[-1].at_s > views[0].at_s


async def test_the_last_price_is_told_from_trades_and_ticker(rig: DataRig):
    told: list[Any] = []
    subscriber = await rig.system.spawn(Recorder, told, path="/strategy")
    _, pair = await rig.data()
    await rig.until(lambda: rig.freshness("BTC/USD"))
    await pair.call(SubscribeBook(path=subscriber.path))
    rig.fault(kind="print", symbol="BTC/USD", price="23456.7")
    await rig.until(lambda: any(isinstance(m, Tick) and m.last == Decimal("23456.7") for m in told))


async def test_a_flood_that_drops_what_it_sends_itself_leaves_it_working(rig: DataRig):
    told: list[Any] = []
    subscriber = await rig.system.spawn(Recorder, told, path="/strategy")
    _, pair = await rig.data(publish_interval_s=0.01)
    await rig.until(lambda: rig.freshness("BTC/USD"))
    await pair.call(SubscribeBook(path=subscriber.path))
    one = Decimal(1)
    for _ in range(60):
        for _ in range(3000):
            pair.tell(Ticker(symbol="BTC/USD", bid=one, bid_qty=one, ask=one, ask_qty=one, last=one))
        await asyncio.sleep(0.005)
    await rig.until(lambda: rig.freshness("BTC/USD"))
    told.clear()
    await asyncio.sleep(5)
    assert any(isinstance(message, BookView) for message in told)
    rig.kraken.paused = True
    await rig.until(lambda: not rig.freshness("BTC/USD"))
