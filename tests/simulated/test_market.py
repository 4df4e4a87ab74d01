"""The book as the recording moves it: checksums, the copies for other pairs, the trades that a book implies."""

import json
from decimal import Decimal

import pytest
from tests.simulated.client import BTC

from allstop.actors.simulated.kraken.market import Market
from allstop.actors.simulated.kraken.pairs import PAIRS, pair_named
from allstop.actors.simulated.kraken.recording import read_tape
from allstop.actors.simulated.kraken.server import packaged_tape
from allstop.actors.simulated.kraken.tape import TapeError, TapeFrame, reel_of, still_tape


def test_the_book_agrees_with_the_checksum_of_every_recorded_frame() -> None:
    market, checked = Market(PAIRS[BTC]), 0
    for frame in packaged_tape():
        market.play(frame, 0)
        assert frame.raw is not None
        assert json.loads(frame.raw)["data"][0]["checksum"] == market.checksum()
        checked += 1
    assert checked == 341


@pytest.mark.parametrize("symbol", PAIRS)
def test_every_pair_plays_a_book_of_ten_levels_that_never_crosses(symbol: str) -> None:
    pair = PAIRS[symbol]
    market = Market(pair)
    for frame in reel_of(packaged_tape()).tapes[symbol]:
        assert frame is not None
        market.play(frame, 0)
        bid, ask = market.best_bid(), market.best_ask()
        assert bid is not None
        assert ask is not None
        assert 0 < bid[0] < ask[0]
        assert bid[0] % pair.tick == ask[0] % pair.tick == 0
        assert len(market.bids) == len(market.asks) == 10


@pytest.mark.parametrize("symbol", PAIRS)
def test_a_venue_without_a_recording_stands_still(symbol: str) -> None:
    market = Market(PAIRS[symbol])
    for frame in still_tape(PAIRS[symbol]):
        market.play(frame, 0)
    assert market.last == PAIRS[symbol].tape_price + PAIRS[symbol].tick


def test_the_documented_checksum_of_ten_levels_comes_out() -> None:
    # docs.kraken.com, "Spot WebSocket v1 book checksum"; the rule is the same in v2.
    asks = tuple((f"0.0{price}", "0.00000500") for price in range(5005, 5055, 5))
    bids = tuple(
        (f"0.0{price}", "0.00000500")
        for price in (5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950)
    )
    market = Market(PAIRS[BTC])
    market.play(TapeFrame(snapshot=True, bids=bids, asks=asks), 0)
    assert market.checksum() == 974947235


def test_a_best_level_that_shrinks_is_a_trade_at_its_price() -> None:
    market = Market(PAIRS[BTC])
    market.play(TapeFrame(snapshot=True, bids=(("99.0", "1"),), asks=(("101.0", "2"),)), 0)
    (printed,) = market.play(TapeFrame(snapshot=False, bids=(), asks=(("101.0", "0.5"),)), 5)
    assert (printed.side, printed.price, printed.qty, printed.wall_ns) == (
        "buy",
        Decimal("101.0"),
        Decimal("1.5"),
        5,
    )
    assert market.last == Decimal("101.0")


def test_a_best_level_that_grows_is_no_trade() -> None:
    market = Market(PAIRS[BTC])
    market.play(TapeFrame(snapshot=True, bids=(("99.0", "1"),), asks=(("101.0", "2"),)), 0)
    assert market.play(TapeFrame(snapshot=False, bids=(("99.0", "3"),), asks=()), 0) == ()


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([], "no frames of a book"),
        (["nonsense"], "line 1"),
        (
            ['{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[]}]}'],
            "snapshot",
        ),
        (
            ['{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{}],"asks":[]}]}'],
            "line 1",
        ),
    ],
)
def test_a_file_that_is_no_tape_is_named_by_its_line(lines: list[str], wrong: str) -> None:
    with pytest.raises(TapeError, match=wrong):
        read_tape(lines)


@pytest.mark.parametrize("name", ["XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD"])
def test_a_pair_answers_to_all_its_names(name: str) -> None:
    assert pair_named(name) is PAIRS[BTC]
