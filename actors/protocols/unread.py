"""What stands, for those who read a journal, in place of the records that another version of this code wrote. Pure.

The rows are sound, and stay as they are: only what they say cannot be understood. So they are taken for lost, as the rows
of a damaged journal are: a `RowLost` says what they were about, and where one was an attempt to send, an attempt of which
nothing is known follows it, and is looked up. The code that wrote them reads them all.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from allstop.actors.ports import JournalEntry, JournalRow
from allstop.actors.protocols.records import (
    LOST,
    AttemptStarted,
    RowLost,
    UnknownVersion,
    check_version,
    to_entry,
)

DEADLINE_S: Final = 10.0  # of an attempt of which nothing is known: longer than any order's


class Unread(msgspec.Struct, frozen=True):
    """One record of a version that is not known here."""

    seq: int
    why: str


def shown(rows: Sequence[JournalRow]) -> tuple[list[JournalRow], list[Unread]]:
    """The rows as their readers can take them, and what they cannot read. Two may have one number then."""
    unread = [Unread(row.seq, why) for row in rows if (why := _why_not(row))]
    if not unread:
        return list(rows), []
    lost = {one.seq for one in unread}
    told: list[JournalRow] = []
    attempts: Counter[str] = Counter()
    before_ns = rows[0].ts_ns
    for row in rows:
        attempts[row.key] += row.kind == "attempt"
        if row.seq not in lost:
            told.append(row)
        else:
            told += (_as(row, entry) for entry in _stand_ins(row, attempts[row.key], before_ns))
        before_ns = row.ts_ns
    return told, unread


def _why_not(row: JournalRow) -> str:
    try:
        check_version(row.kind, row.body)
    except UnknownVersion as unknown:
        return str(unknown)
    return ""


def _stand_ins(row: JournalRow, attempt: int, before_ns: int) -> list[JournalEntry]:
    lost = to_entry(RowLost(kind=row.kind, subject=row.key, seq=row.seq, at_ns=before_ns))
    if row.kind != "attempt":
        return [lost]
    unknown = AttemptStarted(
        intent_id=row.key, attempt=attempt, channel=LOST, deadline_s=DEADLINE_S, at_ns=row.ts_ns
    )
    return [lost, to_entry(unknown)]


def _as(row: JournalRow, entry: JournalEntry) -> JournalRow:
    return msgspec.structs.replace(row, kind=entry.kind, key=entry.key, body=entry.body)
