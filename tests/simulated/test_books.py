"""The books of a tape, remembered: the same books as those made anew, and each made once."""

from decimal import Decimal
from itertools import pairwise

import pytest

from allstop.actors.simulated.kraken import book as books_of_a_tape
from allstop.actors.simulated.kraken.book import Book, Books
from allstop.actors.simulated.kraken.tape import TapeFrame

FIRST = TapeFrame(snapshot=True, bids=(("99.0", "1.0"), ("98.0", "2.0")), asks=(("101.0", "1.0"),))
SHRINKS = TapeFrame(snapshot=False, bids=(("99.0", "0.5"),), asks=())
GOES = TapeFrame(snapshot=False, bids=(("99.0", "0"),), asks=(("100.5", "3.0"),))
REEL = (FIRST, SHRINKS, GOES)


def empty() -> Book:
    return Book(10, {}, {})


def shown(book: Book) -> object:
    return (book.view(10), book.best, book.implied, book.checksum, book.frame)


def test_remembered_books_are_the_books_that_are_made_anew() -> None:
    books, anew, remembered = Books(), empty(), empty()
    for frame in REEL * 3:
        anew, remembered = anew.after(frame), books.after(remembered, frame)
        assert shown(remembered) == shown(anew)


def test_a_second_round_of_a_tape_makes_no_book() -> None:
    books, book = Books(), empty()
    rounds: list[list[Book]] = []
    for _ in range(3):
        played: list[Book] = []
        for frame in REEL:
            book = books.after(book, frame)
            played.append(book)
        rounds.append(played)
    for before, after in pairwise(rounds):
        assert all(one is other for one, other in zip(before, after, strict=True))


def test_the_same_frame_after_another_book_makes_another_one() -> None:
    books = Books()
    first = books.after(empty(), FIRST)
    one, other = books.after(books.after(first, SHRINKS), GOES), books.after(first, GOES)
    assert one is not other
    assert one.implied is not None
    assert other.implied is not None
    assert (str(one.implied[2]), str(other.implied[2])) == (
        "0.5",
        "1.0",
    )  # what was left of the level that went


def test_a_snapshot_of_another_depth_is_another_book() -> None:
    books = Books()
    deep, shallow = books.after(Book(10, {}, {}), FIRST), books.after(Book(1, {}, {}), FIRST)
    assert (len(deep.bids), len(shallow.bids)) == (2, 1)


def test_more_books_than_are_remembered_are_right_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books_of_a_tape, "LEVELS_MAX", 7)  # two books of these
    books, anew, remembered = Books(), empty(), empty()
    for frame in REEL * 3:
        anew, remembered = anew.after(frame), books.after(remembered, frame)
        assert shown(remembered) == shown(anew)


def test_deep_books_are_remembered_for_as_long_as_there_is_room_and_then_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def level(n: int) -> tuple[str, str]:
        return f"{n}.0", "1.0"

    monkeypatch.setattr(books_of_a_tape, "LEVELS_MAX", 1000)
    deep = TapeFrame(
        snapshot=True, bids=tuple(map(level, range(1, 101))), asks=tuple(map(level, range(101, 201)))
    )
    moves = [TapeFrame(snapshot=False, bids=((f"{n}.0", "2.0"),), asks=()) for n in range(1, 21)]
    books, book = Books(), Book(1000, {}, {})
    rounds: list[list[Book]] = [[], []]
    for played in rounds:
        for frame in (deep, *moves):
            book = books.after(book, frame)
            played.append(book)
    kept = [one is other for one, other in zip(*rounds, strict=True)]
    assert kept == [True] * 4 + [False] * 17, "a thousand levels are four books of two hundred"
    assert list(map(shown, rounds[0])) == list(map(shown, rounds[1]))


def test_who_asks_for_the_best_of_a_deep_book_does_not_have_all_of_it_worked_out() -> None:
    deep = TapeFrame(snapshot=True, bids=(("99.0", "1.0"), ("98.0", "2.0")), asks=(("101.0", "1.0"),))
    book = empty().after(deep)
    assert shown(book)
    assert not {"sold_to", "bought_from"} & vars(book).keys()
    assert book.sold_to == ((Decimal("99.0"), Decimal("1.0")), (Decimal("98.0"), Decimal("2.0")))
