"""What O6 and O2 make of a journal that is damaged, set aside, or that nobody can write any more."""

from decimal import Decimal

import pytest
from tests.oracles.stories import BTC, CHAIN, Story

from allstop.actors.links.salvage import Found, fresh_chain
from allstop.actors.ports import JournalRow
from allstop.supervisors.oracles.facts import (
    Believed,
    ChainReplaced,
    DiskFailed,
    Fact,
    JournalGaveUp,
    RowDamaged,
    RowDurable,
    Settled,
)

FILE = "journal-kraken.main.db.broken.1"


class Damaged(Story):
    """Keeps the rows that it tells of."""

    def __init__(self) -> None:
        self.rows: list[JournalRow] = []
        super().__init__()

    def see(self, fact: Fact) -> None:
        if isinstance(fact, RowDurable) and isinstance(fact.row, JournalRow):
            self.rows.append(fact.row)
        super().see(fact)

    def damage(self, place: int) -> None:
        self.see(RowDamaged(self.now_ns, CHAIN, self.rows[place]))

    def fresh(self, *unsound: int) -> list[JournalRow]:
        found = [Found(row, place not in unsound) for place, row in enumerate(self.rows)]
        return fresh_chain(CHAIN, found, file=FILE, what="row", at_ns=self.now_ns)

    def replace(self, rows: list[JournalRow]) -> None:
        self.see(ChainReplaced(self.now_ns, CHAIN, FILE, tuple(rows)))


def test_a_chain_that_was_replaced_with_all_that_is_sound_goes_on() -> None:
    story = Damaged()
    story.filled_order()
    story.damage(1)
    story.replace(story.fresh(1))
    assert story.broken() == []
    story.rows[:] = []
    story.see(Settled(story.now_ns))
    assert story.broken() == []


def test_a_sound_row_that_was_not_carried_over_is_seen() -> None:
    story = Damaged()
    story.filled_order()
    story.damage(1)
    story.replace(story.fresh(1, 2))
    assert [oracle for oracle, _ in story.broken()] == ["O6"]


def test_rows_that_were_carried_in_another_order_are_seen() -> None:
    story = Damaged()
    story.filled_order()
    story.damage(1)
    story.rows[2], story.rows[3] = story.rows[3], story.rows[2]
    found = [Found(row, place != 1) for place, row in enumerate(story.rows)]
    story.replace(
        fresh_chain(CHAIN, found, file=FILE, what="row", at_ns=story.now_ns)[:1] + story.fresh(1)[1:]
    )
    assert "O6" in [oracle for oracle, _ in story.broken()]


def test_a_fresh_chain_that_does_not_say_where_the_damaged_one_is_is_seen() -> None:
    story = Damaged()
    story.filled_order()
    rows = story.fresh()
    story.see(ChainReplaced(story.now_ns, CHAIN, "somewhere else", tuple(rows)))
    assert [oracle for oracle, _ in story.broken()] == ["O6"]


def test_a_fresh_chain_that_is_no_chain_is_seen() -> None:
    story = Damaged()
    story.filled_order()
    rows = story.fresh()
    story.replace([rows[0], *rows[2:]])
    assert "O6" in [oracle for oracle, _ in story.broken()]


def test_an_intent_whose_row_was_damaged_is_nobodys_and_its_pair_is_left_out() -> None:
    story = Damaged()
    story.row(
        "intent", "a", intent={"id": "a", "kind": "ENTRY", "pair": BTC}, origin="STRATEGY", owner="orders"
    )
    story.accepted("O-1", "a")
    story.executed("O-1", "0.5")
    story.ended("O-1", "filled")
    story.report("a", "O-1", "filled", "0.5")
    story.position("0.5", "0")
    story.damage(0)
    story.replace(story.fresh(0))
    story.see(Believed(story.now_ns, "main", {}, ()))
    story.see(Settled(story.now_ns))
    assert story.broken() == []


def test_a_position_that_the_engine_lost_without_a_damaged_intent_is_seen() -> None:
    story = Damaged()
    story.row(
        "intent", "a", intent={"id": "a", "kind": "ENTRY", "pair": BTC}, origin="STRATEGY", owner="orders"
    )
    story.position("0.5", "0")
    story.attempt("a")
    story.damage(1)
    story.see(Believed(story.now_ns, "main", {BTC: Decimal(0)}, ()))
    assert [oracle for oracle, _ in story.broken()] == ["O2"]


@pytest.mark.parametrize("lost", [DiskFailed, JournalGaveUp])
def test_an_end_that_nobody_could_write_is_excused_until_the_next_row(
    lost: type[DiskFailed] | type[JournalGaveUp],
) -> None:
    story = Story()
    story.intent("a")
    story.accepted("O-1", "a")
    story.see(lost(story.now_ns, CHAIN))
    story.wait(1.0)
    story.ended("O-1", "canceled")
    story.see(Settled(story.now_ns))
    assert story.broken() == []
    story.row("halt.proof", "kraken.main")
    story.see(Settled(story.now_ns))
    assert [oracle for oracle, _ in story.broken()] == ["O6"]


def test_an_end_long_before_the_journal_was_lost_is_not_excused() -> None:
    story = Story()
    story.intent("a")
    story.accepted("O-1", "a")
    story.ended("O-1", "canceled")
    story.wait(60.0)
    story.see(JournalGaveUp(story.now_ns, CHAIN))
    story.see(Settled(story.now_ns))
    assert [oracle for oracle, _ in story.broken()] == ["O6"]


def test_the_loss_of_another_accounts_journal_excuses_nothing() -> None:
    story = Story()
    story.intent("a")
    story.accepted("O-1", "a")
    story.see(JournalGaveUp(story.now_ns, "kraken.other"))
    story.ended("O-1", "canceled")
    story.see(Settled(story.now_ns))
    assert [oracle for oracle, _ in story.broken()] == ["O6"]
