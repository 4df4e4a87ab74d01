"""What the guardian writes down of orders that no tracker follows: once each, and whatever changes of them."""

from random import Random
from typing import Any, cast

import pytest
from tests.cover.tellings import Tellings

from allstop.actors.cover_notes import CoverNotes
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.records import ExternalSeen, Record


class Pages:
    """A journal that keeps what was noted."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def note(self, *records: Record, durable: bool = True) -> None:
        del durable
        self.records += records


async def test_what_a_look_shows_again_is_not_written_again_and_what_it_shows_newly_is() -> None:
    memory, pages = CoverMemory("/guardian"), Pages()
    notes = CoverNotes(cast("Any", pages), memory)
    tellings = Tellings(Random(1), memory.book)
    tellings.strange()
    tellings.claims()
    for written in (1, 1):
        await notes.write([])
        assert len(pages.records) == written
    tellings.executes()
    await notes.write([])
    assert [type(record) for record in pages.records] == [ExternalSeen, ExternalSeen]


@pytest.mark.parametrize("seed", range(40))
async def test_notes_that_remember_what_they_wrote_are_those_of_notes_that_look_through_all(
    seed: int,
) -> None:
    dice, memory = Random(seed), CoverMemory("/guardian")
    tellings = Tellings(dice, memory.book)
    own, all_through = Pages(), Pages()
    notes, forgetful = (CoverNotes(cast("Any", pages), memory) for pages in (own, all_through))
    for number in range(250):
        what = f"{number}: {tellings.tell()}" if dice.random() < 0.7 else f"{number}: nothing"
        await notes.write([])
        forgetful._version = -1  # pyright: ignore[reportPrivateUsage]
        await forgetful.write([])
        assert own.records == all_through.records, what
    assert own.records, "or nothing was shown"
