"""The books of a tape, remembered: the same books as those made anew, and each made once."""

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
    monkeypatch.setattr(books_of_a_tape, "BOOKS_MAX", 2)
    books, anew, remembered = Books(), empty(), empty()
    for frame in REEL * 3:
        anew, remembered = anew.after(frame), books.after(remembered, frame)
        assert shown(remembered) == shown(anew)
