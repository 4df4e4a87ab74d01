"""Captured runs, checked frame by frame."""

from pathlib import Path

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.protocols.capture import CaptureVerdict, verify

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "tests/captures/kraken/ws"
FEED = ROOT / "actors/simulated/kraken/feed"
V2_RUN = "v2_book10_btcusd_2023-07-30_part1.ndjson"


def lines(file: str) -> list[str]:
    return (CAPTURES / file).read_text().splitlines()


def checked(file: str) -> CaptureVerdict:
    return verify(lines(file), name=file)


@pytest.mark.parametrize(
    ("file", "frames", "checksums", "symbols"),
    [
        ("v1_book1000_2021-04-17.capture.ndjson", 4321, 4269, 10),
        ("v1_book10_xbtusd_2023-08-30.ndjson", 1150, 979, 1),
        (V2_RUN, 341, 341, 1),
    ],
)
def test_each_recorded_book_run_is_good_to_the_last_checksum(
    file: str, frames: int, checksums: int, symbols: int
):
    verdict = checked(file)

    assert (verdict.frames, verdict.checksums_ok, verdict.checksums_bad) == (frames, checksums, 0)
    assert (verdict.gaps, verdict.malformed, verdict.first_bad) == (0, 0, None)
    assert len(verdict.symbols) == symbols
    assert verdict.good


def test_the_deep_run_checks_for_each_of_its_pairs():
    symbols = checked("v1_book1000_2021-04-17.capture.ndjson").symbols

    assert {symbol: verdict.checksums_ok for symbol, verdict in symbols.items()} == {
        "ADA/BTC": 347,
        "ETH/CHF": 317,
        "GRT/ETH": 20,
        "KSM/BTC": 335,
        "OCEAN/BTC": 148,
        "OMG/USD": 573,
        "SC/EUR": 818,
        "WAVES/EUR": 576,
        "BTC/CHF": 289,
        "XMR/USD": 846,
    }
    assert symbols["ADA/BTC"].price_decimals == 9


@pytest.mark.parametrize("file", sorted(path.name for path in FEED.glob("*.ndjson")))
def test_the_feed_in_the_package_is_good(file: str):
    assert verify((FEED / file).read_text().splitlines(), name=file).good


@pytest.mark.parametrize(
    "file",
    [
        "v2_frames_async_rs.ndjson",
        "v1_fixture_frames_m4cx.ndjson",
        "v1_errors_barter.ndjson",
        "v1_openOrders_session_bittrade.ndjson",
        "v1_trade_2021-04-17.capture.ndjson",
    ],
)
def test_samples_and_sessions_without_books_are_read(file: str):
    verdict = checked(file)

    assert verdict.good
    assert verdict.frames > 0
    assert verdict.checksums_ok == 0


def test_a_run_that_lost_its_zeros_checks_by_the_pair_s_precision():
    shortened = [line.replace("00000}", "}").replace(".}", ".0}") for line in lines(V2_RUN)]
    assert shortened != lines(V2_RUN)

    verdict = verify(shortened)

    assert (verdict.checksums_ok, verdict.checksums_bad) == (341, 0)


def test_a_changed_digit_is_found_at_its_line():
    run = lines(V2_RUN)
    run[4] = run[4].replace('"qty":', '"qty":1', 1)

    verdict = verify(run, name=V2_RUN)

    assert not verdict.good
    assert verdict.checksums_bad > 0
    assert verdict.first_bad is not None
    assert (verdict.first_bad.line, verdict.first_bad.symbol) == (5, "BTC/USD")


def test_a_lost_line_is_found():
    run = lines(V2_RUN)
    del run[3]

    assert verify(run).checksums_bad > 0


def test_a_new_snapshot_heals_a_broken_book():
    run = lines(V2_RUN)
    broken = [*run[:2], run[2].replace('"qty":', '"qty":1', 1), *run]

    assert verify(broken).checksums_bad == 1


def test_a_missing_execution_is_a_gap_at_its_line():
    def frame(sequence: int, kind: str = "update") -> str:
        return f'{{"channel":"executions","type":"{kind}","data":[],"sequence":{sequence}}}'

    verdict = verify([frame(1, "snapshot"), frame(2), frame(5), frame(6), frame(1, "snapshot"), frame(2)])

    assert (verdict.gaps, verdict.good) == (2, False)
    assert verdict.first_bad is not None
    assert (verdict.first_bad.line, "missing" in verdict.first_bad.reason) == (3, True)


def test_a_gap_of_a_v1_private_channel_is_found():
    run = lines("v1_openOrders_session_bittrade.ndjson")
    del run[3]

    assert verify(run).gaps == 1


def test_a_malformed_frame_is_counted_and_named():
    verdict = verify(['{"channel":"heartbeat"}', '{"channel":"ticker","type":"update","data":7}'])

    assert (verdict.malformed, verdict.good) == (1, False)
    assert verdict.first_bad is not None
    assert verdict.first_bad.line == 2


def test_an_update_before_any_snapshot_is_left_unchecked():
    verdict = verify(lines(V2_RUN)[1:3])

    assert (verdict.unchecked, verdict.checksums_ok, verdict.checksums_bad) == (2, 0, 0)


def test_only_what_came_in_counts_in_a_session():
    session = [
        '{"t":1.5,"d":"open","m":{"url":"wss://ws.kraken.com/v2"}}',
        '{"t":1.6,"d":"out","m":{"method":"ping","req_id":1}}',
        '{"t":1.7,"d":"in","m":{"method":"pong","req_id":1}}',
    ]

    assert verify(session).events == {"Pong": 1}


def test_documented_requests_do_not_count():
    samples = [
        '{"doc":"ping","section":"Request","dir":"out","m":{"method":"ping","req_id":101}}',
        '{"doc":"ping","section":"Response","dir":"in","m":{"method":"pong","req_id":101}}',
    ]

    assert verify(samples).frames == 1


@pytest.mark.parametrize(
    ("run", "place"),
    [
        ([], "run.ndjson"),
        (["", "  "], "run.ndjson"),
        (['{"t":1,"d":"open","m":{}}'], "run.ndjson"),
        (['{"channel":"heartbeat"}', "not json"], "run.ndjson:2"),
        (['{"channel":"heartbeat"}', "7"], "run.ndjson:2"),
        (['{"channel":"heartbeat"}', '{"from":"x","m":{"channel":"heartbeat"}}'], "run.ndjson:2"),
        (["x" * 4_000_001], "run.ndjson:1"),
    ],
)
def test_what_is_no_capture_is_refused_naming_file_and_line(run: list[str], place: str):
    with pytest.raises(BadInput) as refused:
        verify(run, name="run.ndjson")

    assert refused.value.problems[0].where == place


def test_each_captured_file_says_where_it_comes_from():
    provenance = (ROOT / "tests/captures/PROVENANCE.md").read_text()
    found = sorted((ROOT / "tests/captures/kraken").glob("*/*.*json"))

    assert found
    for path in found:
        assert f"| kraken/{path.parent.name}/{path.name} |" in provenance


def test_the_feed_in_the_package_is_small_and_says_where_it_comes_from():
    provenance = (FEED / "PROVENANCE.md").read_text()

    assert sum(path.stat().st_size for path in FEED.iterdir()) < 250_000
    assert all(path.name in provenance for path in FEED.glob("*.ndjson"))
