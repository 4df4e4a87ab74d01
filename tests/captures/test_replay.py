"""Every captured run that tells of a market is played by the simulated venue, through the whole stack: its model, links in
memory, our codec, the connection and the market data actors, in virtual time. The checksums are those that Kraken sent."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.connections.rig import Rig

from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.market_data import (
    BookView,
    DataStats,
    Freshness,
    GetBook,
    GetDataStats,
    PairData,
    PublicConnection,
)
from allstop.actors.protocols.kraken import rest
from allstop.actors.protocols.kraken.instruments import decode_asset_pairs
from allstop.actors.runtime import Ref
from allstop.actors.simulated.kraken.in_memory import InMemoryKraken
from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.recording import UNTIMED_S, read_tape
from allstop.actors.simulated.kraken.tape import TapeError, TapeFrame, reel_of
from allstop.actors.simulated.kraken.venue import KrakenVenue
from allstop.actors.simulated.kraken.venue import Settings as VenueSettings
from allstop.supervisors.cli.venue import command

RUNS = Path(__file__).parent / "kraken" / "ws"
TEN = {
    "WAVES/EUR",
    "XMR/USD",
    "KSM/BTC",
    "GRT/ETH",
    "SC/EUR",
    "ETH/CHF",
    "OCEAN/BTC",
    "OMG/USD",
    "BTC/CHF",
    "ADA/BTC",
}
# File, pairs, frames of the tape, checksums that Kraken sent in it.
TAPES: dict[str, tuple[set[str], int, int]] = {
    "v1_book1000_2021-04-17.capture.ndjson": (TEN, 4279, 4269),
    "v1_book10_xbtusd_2023-08-30.ndjson": ({"BTC/USD"}, 980, 979),
    "v1_ticker_2021-04-17.capture.ndjson": (TEN, 0, 0),
    "v1_ticker_session_bittrade.ndjson": ({"USDT/USD", "XRP/USD", "LTC/USD"}, 0, 0),
    "v1_trade_2021-04-17.capture.ndjson": (set(), 0, 0),
    "v2_book10_btcusd_2023-07-30_part1.ndjson": ({"BTC/USD"}, 341, 341),
}
BOOKS = [name for name, (_, _, checksums) in TAPES.items() if checksums]


def tape_of(name: str) -> tuple[TapeFrame, ...]:
    return read_tape((RUNS / name).read_text().splitlines())


class ReplayRig(Rig):
    """A venue that plays one tape, and market data of any of its pairs."""

    tape: tuple[TapeFrame, ...] = ()

    async def open_world(self, clock: Any) -> None:
        await super().open_world(clock)
        self.venue = KrakenVenue(VenueSettings(), self.tape, wall_ns=clock.wall_ns())
        self.kraken = InMemoryKraken(self.venue, clock=clock)
        self.kraken.paused = True
        await self.stack.enter_async_context(self.kraken)
        self.network = MemoryNetwork()
        self.kraken.serve_on(self.network)
        self.stack.push_async_callback(self.network.close)
        self.freshness = Freshness()

    async def follow(self, *symbols: str, depth: int = 10) -> dict[str, Ref]:
        """Subscribes to these pairs as the venue lists them, before the first frame after the snapshots is played."""
        http = self.network.open_http(self.kraken.http_url)
        answer = await http.request(rest.request(rest.asset_pairs()), timeout_s=5)
        await http.close()
        result, wrong = rest.decode_envelope(answer.status, answer.body)
        assert wrong == ()
        listed = decode_asset_pairs(result)
        world = dataclasses.replace(self.world, connect_websocket=self.network.connect_websocket)
        connection = await self.system.spawn(
            PublicConnection, url=self.kraken.ws_url, world=world, hosts=self.hosts, settings=self.settings,
            path="/data/connection",
        )  # fmt: skip
        found: dict[str, Ref] = {}
        for symbol in symbols:
            found[symbol] = await self.system.spawn(
                PairData, connection=connection, instrument=listed[symbol], freshness=self.freshness,
                vote=self.voter.tell, depth=depth, settings=self.settings, path=f"/data/{symbol.replace('/', '-')}",
            )  # fmt: skip
        await self.until(lambda: all(self.freshness(symbol) for symbol in symbols))
        return found

    async def play(self, *, short_of_s: float = 0.01) -> None:
        """The whole tape, once."""
        self.kraken.paused = False
        await asyncio.sleep(sum(self.venue.reel.waits) + 0.3 - short_of_s)
        self.kraken.paused = True

    async def stats(self, pair: Ref) -> DataStats:
        told = await pair.call(GetDataStats())
        assert isinstance(told, DataStats)
        return told

    async def book(self, pair: Ref) -> BookView:
        told = await pair.call(GetBook())
        assert isinstance(told, BookView)
        return told


@asynccontextmanager
async def replayed(tape: tuple[TapeFrame, ...]) -> AsyncGenerator[ReplayRig]:
    rig = ReplayRig()
    rig.tape = tape
    async with rig:
        yield rig


def test_every_captured_run_of_market_data_is_in_the_table_and_is_played() -> None:
    refused: dict[str, str] = {}
    for path in RUNS.glob("*.ndjson"):
        try:
            read_tape(path.read_text().splitlines())
        except TapeError as error:
            refused[path.name] = str(error)
    # Samples are single frames, and a private session has no market.
    assert all("samples are no run" in why or "no frames of a book" in why for why in refused.values())
    playable = {path.name for path in RUNS.glob("*.ndjson")} - refused.keys()
    assert playable == set(TAPES)


@pytest.mark.parametrize("name", BOOKS)
def test_the_venues_own_book_has_every_checksum_that_kraken_sent(name: str) -> None:
    pairs, frames, checksums = TAPES[name]
    tape = tape_of(name)
    reel = reel_of(tape)
    assert {frame.symbol for frame in tape} == pairs
    assert len(tape) == frames
    markets = {symbol: Market(reel.pairs[symbol], max(f.depth for f in tape)) for symbol in pairs}
    right = 0
    for frame in tape:
        market = markets[frame.symbol]
        market.play(frame, 0)
        if frame.checksum is not None:
            assert market.checksum() == frame.checksum
            right += 1
    assert right == checksums


@pytest.mark.virtual
@pytest.mark.parametrize("name", BOOKS)
async def test_a_run_of_books_comes_through_the_whole_stack_with_every_checksum_good(name: str) -> None:
    pairs, _, _ = TAPES[name]
    tape = tape_of(name)
    deep = max(frame.depth for frame in tape)
    async with replayed(tape) as rig:
        refs = await rig.follow(*sorted(pairs), depth=deep)
        await rig.play()
        for symbol, ref in refs.items():
            stats, book = await rig.stats(ref), await rig.book(ref)
            assert (stats.checksums_bad, stats.resubscribes, ref.incarnation) == (0, 0, 1)
            assert stats.checksums_ok >= sum(frame.symbol == symbol for frame in tape)
            market = rig.venue.engine.markets[symbol]
            assert (book.bids[0], book.asks[0]) == (market.best_bid(), market.best_ask())
        assert rig.events == [] or not [event for event in rig.events if "Crash" in type(event).__name__]


@pytest.mark.virtual
async def test_who_asks_for_ten_levels_of_a_deep_run_gets_ten_with_good_checksums() -> None:
    tape = tape_of("v1_book1000_2021-04-17.capture.ndjson")
    async with replayed(tape) as rig:
        refs = await rig.follow("XMR/USD", "ADA/BTC", depth=10)
        await rig.play()
        for symbol, ref in refs.items():
            stats, book = await rig.stats(ref), await rig.book(ref)
            assert (stats.checksums_bad, stats.resubscribes) == (0, 0)
            assert stats.checksums_ok > 50
            bids, asks = rig.venue.engine.markets[symbol].view(10)
            assert [price for price, _ in book.bids] == [Decimal(price) for price, _ in bids]
            assert [price for price, _ in book.asks] == [Decimal(price) for price, _ in asks]


@pytest.mark.virtual
@pytest.mark.parametrize("name", sorted(set(TAPES) - set(BOOKS)))
async def test_a_run_of_tickers_or_trades_moves_the_pairs_that_it_tells_of(name: str) -> None:
    tape = tape_of(name)
    symbols = {frame.symbol for frame in tape}
    assert symbols >= TAPES[name][0]
    async with replayed(tape) as rig:
        refs = await rig.follow(*sorted(symbols))
        await rig.play()
        for symbol, ref in refs.items():
            of = [frame for frame in tape if frame.symbol == symbol]
            stats, book = await rig.stats(ref), await rig.book(ref)
            assert (stats.checksums_bad, stats.resubscribes) == (0, 0)
            assert stats.checksums_ok >= sum(bool(frame.bids or frame.asks) for frame in of)
            market = rig.venue.engine.markets[symbol]
            assert (book.bids[0], book.asks[0]) == (market.best_bid(), market.best_ask())
            if trades := [trade for frame in of for trade in frame.trades or ()]:
                printed = [(one.side, one.price, one.qty) for one in market.trades]
                assert printed[-len(trades) :] == [(one.side, one.price, one.qty) for one in trades][-50:]


@pytest.mark.virtual
async def test_the_other_pairs_play_the_busiest_of_the_recording_moved_to_their_own_price() -> None:
    async with replayed(tape_of("v1_book1000_2021-04-17.capture.ndjson")) as rig:
        refs = await rig.follow("BTC/USD", "ETH/USD", depth=1000)
        await rig.play()
        for symbol, ref in refs.items():
            stats, book = await rig.stats(ref), await rig.book(ref)
            assert (stats.checksums_bad, stats.resubscribes) == (0, 0)
            assert stats.checksums_ok > 500
            price = rig.venue.pairs[symbol].tape_price
            assert abs(book.bids[0][0] - price) < price / 10


def test_a_run_without_times_is_played_at_an_even_pace() -> None:
    tape = tape_of("v1_ticker_session_bittrade.ndjson")
    assert {frame.wait_s for frame in tape[1:]} == {UNTIMED_S}


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (['[1,{"a":[["1.5","2","3.0"]],"c":"1"},"book-10","XBT/USD"]'], "line 1: the book of BTC/USD begins without"),
        (['[1,{"as":[["NaN","2","3.0"]],"bs":[]},"book-10","XBT/USD"]'], "line 1: .*no amount: 'NaN'"),
        (['[1,{"as":[["1","1e99","3.0"]],"bs":[]},"book-10","XBT/USD"]'], "line 1: .*no amount"),
        (['[1,{"as":[["0.0","1","3.0"]],"bs":[]},"book-10","XBT/USD"]'], "line 1: .*price of nothing"),
        (['[1,{"as":[],"bs":[]},"book-7","XBT/USD"]'], "line 1: .*no depth: 7"),
        (['[1,[["1","1","1","x","m",""]],"trade","XBT/USD"]'], "line 1"),
        (['{"from":"docs","m":{"channel":"heartbeat"}}'], "line 1: .*samples are no run"),
        (['{"event":"heartbeat"}'], "no frames"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_played_is_named_by_its_line(lines: list[str], wrong: str) -> None:
    with pytest.raises(TapeError, match=wrong):
        read_tape(lines)


def test_the_venue_command_refuses_a_tape_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "samples.ndjson"
    path.write_text('{"from":"docs","m":{"channel":"heartbeat"}}\n')
    told = CliRunner().invoke(command, ["kraken", "--tape", str(path)])
    assert told.exit_code == 2
    assert "line 1" in told.output
    assert "samples are no run" in told.output
