"""What readers of a journal are shown of records that another version wrote."""

import pytest

from allstop.actors.ports import JournalEntry, JournalRow
from allstop.actors.protocols.records import (
    LOST,
    AttemptStarted,
    BrokenRecord,
    Opaque,
    RowLost,
    Withheld,
    from_row,
    to_entry,
)
from allstop.actors.protocols.unread import shown

NEWER = b'{"v":99,"r":{}}'
KNOWN = to_entry(Withheld(intent_id="a", reason="because"))


def rows(*entries: JournalEntry) -> list[JournalRow]:
    return [
        JournalRow(
            seq=n, ts_ns=100 * n, epoch=1, prev_hash=b"", hash=b"", kind=e.kind, key=e.key, body=e.body
        )
        for n, e in enumerate(entries, 1)
    ]


def newer(kind: str, key: str) -> JournalEntry:
    return JournalEntry(kind=kind, key=key, body=NEWER)


def test_what_can_be_read_is_shown_as_it_stands_and_so_are_kinds_that_nobody_knows() -> None:
    there = rows(KNOWN, JournalEntry(kind="weather", key="k", body=b"\xff"))
    assert shown(there) == (there, [])
    assert isinstance(from_row(there[1]), Opaque)


def test_a_record_of_another_version_is_shown_as_lost_since_the_row_before_it() -> None:
    told, unread = shown(rows(KNOWN, newer("fill", "a"), KNOWN))
    lost = RowLost(kind="fill", subject="a", seq=2, at_ns=100)
    assert [from_row(row) for row in told] == [from_row(KNOWN), lost, from_row(KNOWN)]
    assert [row.seq for row in told] == [1, 2, 3]
    assert [(one.seq, "version 99" in one.why) for one in unread] == [(2, True)]


def test_an_attempt_of_another_version_is_one_of_which_nothing_is_known_with_its_number() -> None:
    first = to_entry(AttemptStarted(intent_id="a", attempt=1, channel="session", deadline_s=0.5, at_ns=1))
    told, _ = shown(rows(first, newer("attempt", "b"), newer("attempt", "a")))
    attempts = [record for record in map(from_row, told) if isinstance(record, AttemptStarted)]
    assert [(one.intent_id, one.attempt, one.channel) for one in attempts] == [
        ("a", 1, "session"), ("b", 1, LOST), ("a", 2, LOST),
    ]  # fmt: skip
    assert [one.at_ns for one in attempts] == [1, 200, 300]


def test_a_record_that_no_version_writes_is_no_other_versions() -> None:
    with pytest.raises(BrokenRecord):
        shown(rows(JournalEntry(kind="fill", key="a", body=b"nothing")))
