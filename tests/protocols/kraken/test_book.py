"""The book and its checksum, against recorded runs and the worked examples of Kraken's documentation."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.protocols.kraken import book_v1, frames
from allstop.actors.protocols.kraken.book import Book, digits
from allstop.actors.protocols.kraken.events import BookSnapshot, BookUpdate, Event, Level
from allstop.actors.protocols.wire import DecodeError

CAPTURES = Path(__file__).parents[2] / "captures/kraken/ws"


def snapshot(bids: list[Level], asks: list[Level], checksum: int | None = None) -> BookSnapshot:
    return BookSnapshot(symbol="X/Y", bids=bids, asks=asks, checksum=checksum)


def update(bids: list[Level], asks: list[Level]) -> BookUpdate:
    return BookUpdate(symbol="X/Y", bids=bids, asks=asks, checksum=None)


def levels(text: str) -> list[Level]:
    return [(price, qty) for price, qty in (line.split() for line in text.strip().splitlines())]


# The numbers of the documentation's worked examples (docs.kraken.com, "Book checksum", v2 and v1, and the book
# channel's example snapshot of MATIC/USD, whose zeros at the ends are dropped).
V2_BIDS = """
45283.5 0.10000000
45283.4 1.54582015
45282.1 0.10000000
45281.0 0.10000000
45280.3 1.54592586
45279.0 0.07990000
45277.6 0.03310103
45277.5 0.30000000
45277.3 1.54602737
45276.6 0.15445238
"""
V2_ASKS = """
45285.2 0.00100000
45286.4 1.54571953
45286.6 1.54571109
45289.6 1.54560911
45290.2 0.15890660
45291.8 1.54553491
45294.7 0.04454749
45296.1 0.35380000
45297.5 0.09945542
45299.5 0.18772827
"""
V1_BIDS = [
    (f"0.0{price}", "0.00000500") for price in (5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950)
]
V1_ASKS = [(f"0.0{price}", "0.00000500") for price in range(5005, 5055, 5)]
MATIC_BIDS = """
0.5666 4831.75496356
0.5665 6658.22734739
0.5664 18724.91513344
0.5663 11563.92544914
0.5662 14006.65365711
0.5661 17454.85679807
0.566 18097.1547
0.5659 33644.89175666
0.5658 148.3464
0.5657 606.70854372
"""
MATIC_ASKS = """
0.5668 4410.79769741
0.5669 4655.40412487
0.567 49844.89424998
0.5671 24306.41678
0.5672 29783.25223475
0.5673 57234.71239278
0.5674 45065.04744
0.5675 5912.76380354
0.5676 42514.92434778
0.5677 36304.0847022
"""


@pytest.mark.parametrize(
    ("bids", "asks", "decimals", "checksum"),
    [
        (levels(V2_BIDS), levels(V2_ASKS), (1, 8), 3310070434),
        (V1_BIDS, V1_ASKS, (5, 8), 974947235),
        (levels(MATIC_BIDS), levels(MATIC_ASKS), (4, 8), 2439117997),
    ],
)
def test_the_documented_books_have_the_documented_checksums(
    bids: list[Level], asks: list[Level], decimals: tuple[int, int], checksum: int
):
    book = Book(10, *decimals)
    book.apply(snapshot(bids, asks))

    assert book.checksum() == checksum


@pytest.mark.parametrize(
    ("file", "decode", "books", "updates"),
    [
        ("v2_book10_btcusd_2023-07-30_part1.ndjson", frames.decode, 1, 341),
        ("v1_book10_xbtusd_2023-08-30.ndjson", book_v1.decode, 1, 979),
    ],
)
def test_each_message_of_a_recorded_run_checks(
    file: str, decode: Callable[[str], tuple[Event, ...]], books: int, updates: int
):
    found: dict[str, Book] = {}
    checked = 0
    for line in (CAPTURES / file).read_text().splitlines():
        for event in decode(line):
            if isinstance(event, BookSnapshot):
                found[event.symbol] = book_v1.book_for(event, 10)
            if isinstance(event, (BookSnapshot, BookUpdate)):
                found[event.symbol].apply(event)
                assert found[event.symbol].agrees(event), f"{file}: {line[:100]}"
                checked += event.checksum is not None

    assert (len(found), checked) == (books, updates)
    assert not any(book.crossed for book in found.values())


def test_a_lost_update_breaks_the_checksum():
    book = Book(10, 1, 8)
    bad = []
    for index, line in enumerate(
        (CAPTURES / "v2_book10_btcusd_2023-07-30_part1.ndjson").read_text().splitlines()[:30]
    ):
        (event,) = frames.decode(line)
        assert isinstance(event, (BookSnapshot, BookUpdate))
        if index != 5:
            book.apply(event)
            bad += [] if book.agrees(event) else [index]

    assert bad
    assert bad[0] == 6


def test_the_best_of_each_side_is_first():
    book = Book(10, 1, 8)
    book.apply(snapshot([("10.1", "1"), ("10.3", "2.5"), ("10.2", "3")], [("10.6", "1"), ("10.5", "4")]))

    assert book.best_bid == (Decimal("10.3"), Decimal("2.50000000"))
    assert book.best_ask == (Decimal("10.5"), Decimal("4"))
    assert [price for price, _ in book.bids()] == [Decimal("10.3"), Decimal("10.2"), Decimal("10.1")]
    assert [price for price, _ in book.asks(1)] == [Decimal("10.5")]


def test_an_empty_book_has_no_best():
    book = Book(10, 1, 8)

    assert (book.best_bid, book.best_ask, book.crossed, book.checksum()) == (None, None, False, 0)


def test_a_quantity_of_zero_removes_a_level_and_an_unknown_one_is_no_error():
    book = Book(10, 1, 8)
    book.apply(snapshot([("10.1", "1")], [("10.5", "1")]))

    book.apply(update([("10.1", "0.00000000"), ("9.9", "0.00000000")], []))

    assert book.best_bid is None


def test_a_book_is_cut_to_its_depth_after_each_update():
    book = Book(2, 0, 0)
    book.apply(snapshot([("9", "1"), ("8", "1")], [("10", "1"), ("11", "1")]))

    book.apply(update([], [("12", "1")]))
    book.apply(update([], [("10", "0")]))

    assert book.asks() == [(Decimal(11), Decimal(1))]


def test_a_crossed_book_says_so():
    book = Book(10, 1, 8)
    book.apply(snapshot([("10.5", "1")], [("10.5", "1")]))

    assert book.crossed


def test_a_snapshot_replaces_everything():
    book = Book(10, 1, 8)
    book.apply(snapshot([("10.1", "1")], [("10.5", "1")]))
    book.apply(snapshot([("9.1", "1")], []))

    assert (book.best_bid, book.best_ask) == ((Decimal("9.1"), Decimal(1)), None)


@pytest.mark.parametrize(
    "level",
    [("10.55", "1"), ("0.0", "1"), ("10.5", "0.000000001"), ("NaN", "1"), ("10.5", "-1"), ("1_0.5", "1")],
)
def test_a_number_beyond_the_precision_is_refused_and_changes_nothing(level: Level):
    book = Book(10, 1, 8)
    book.apply(snapshot([("10.1", "1")], [("10.5", "1")]))
    before = book.checksum()

    with pytest.raises(DecodeError):
        book.apply(update([("10.2", "1")], [level]))

    assert book.checksum() == before


@pytest.mark.parametrize(
    ("text", "decimals", "steps"),
    [
        ("10.5", 1, "105"),
        ("10", 1, "100"),
        ("0.00000001", 8, "1"),
        ("1.50", 1, "15"),
        ("7", 0, "7"),
        ("0", 8, ""),
        ("0.0", 1, ""),
        ("1e-8", 8, "1"),
        ("0.0500", 4, "500"),
    ],
)
def test_a_number_is_counted_in_steps(text: str, decimals: int, steps: str):
    assert digits(text, decimals) == steps


def naive_checksum(bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal]) -> int:
    """The documentation's recipe, word by word."""

    def digits(value: Decimal, decimals: int) -> str:
        return f"{value:.{decimals}f}".replace(".", "").lstrip("0")

    best = [(price, asks[price]) for price in sorted(asks)[:10]]
    best += [(price, bids[price]) for price in sorted(bids, reverse=True)[:10]]
    return crc32("".join(digits(price, 2) + digits(qty, 4) for price, qty in best).encode())


@given(st.integers())
def test_any_run_of_updates_has_the_checksum_of_the_recipe(seed: int):
    dice = random.Random(seed)
    book = Book(25, 2, 4)
    sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    for _ in range(60):
        index = dice.randrange(2)
        price = Decimal(dice.randrange(1, 4000)) / 100
        qty = Decimal(dice.choice([0, dice.randrange(1, 10**8)])) / 10000
        side = sides[index]
        side[price] = qty
        if not qty:
            del side[price]
        for worst in sorted(side, reverse=index == 0)[25:]:
            del side[worst]
        change = [(f"{price:.2f}", f"{qty:.4f}")]
        book.apply(update(change, []) if index == 0 else update([], change))

        assert book.checksum() == naive_checksum(*sides), f"seed {seed}"
