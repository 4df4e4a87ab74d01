from typing import Any

import msgspec
import pytest

from allstop.actors.links.chain import Tip, checked, epoch_entry, genesis, linked, row_hash, tail_start
from allstop.actors.ports import JournalEntry, JournalRow


def chain_of(count: int) -> list[JournalRow]:
    tip, rows = linked(genesis("c"), [epoch_entry(1)], ts_ns=1, epoch=1)
    _, more = linked(tip, [JournalEntry(kind="k", key=str(n), body=b"{}") for n in range(count - 1)], 2, 1)
    return rows + more


def test_rows_follow_one_another_from_genesis():
    rows = chain_of(5)
    tip, bad = checked(genesis("c"), rows)
    assert (tip, bad) == (Tip(5, rows[-1].hash, 1), None)


CHANGES: list[dict[str, Any]] = [
    {"ts_ns": 3},
    {"epoch": 2},
    {"kind": "other"},
    {"key": "other"},
    {"body": b"[]"},
    {"prev_hash": b"\1" * 32},
    {"hash": b"\1" * 32},
    {"seq": 9},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_change_of_any_field_breaks_the_chain_at_that_row(change: dict[str, Any]):
    rows = chain_of(5)
    rows[2] = msgspec.structs.replace(rows[2], **change)
    tip, bad = checked(genesis("c"), rows)
    assert bad is not None
    assert (tip.seq, bad.seq) == (2, change.get("seq", 3))


def test_a_row_taken_out_is_missed():
    rows = chain_of(5)
    del rows[2]
    assert checked(genesis("c"), rows)[1] is not None


def test_two_rows_swapped_are_noticed():
    rows = chain_of(5)
    rows[2], rows[3] = rows[3], rows[2]
    assert checked(genesis("c"), rows)[1] is not None


def test_rows_of_another_chain_do_not_fit():
    assert checked(genesis("other"), chain_of(2))[1] is not None


def test_an_epoch_never_goes_back():
    tip, rows = linked(genesis("c"), [epoch_entry(5)], 1, 5)
    _, older = linked(tip, [epoch_entry(4)], 1, 4)
    assert "epoch" in str(checked(genesis("c"), rows + older)[1])


def test_no_two_rows_encode_alike():
    assert row_hash(b"", 1, 1, 1, b"ab", b"c", b"d") != row_hash(b"", 1, 1, 1, b"a", b"bc", b"d")


def test_a_tail_is_checked_from_its_first_row():
    rows = chain_of(5)
    assert checked(tail_start(rows[2]), rows[2:])[0].seq == 5
