"""What of a damaged journal is carried into a fresh one. Pure.

A row's hash covers the row and the hash before it, and both stand in the row: so each row tells by itself whether it is
what was written, whatever became of its neighbours. What is, is carried over in its order and with its own time, into a
chain of the next epoch whose first record says where the damaged journal stands. Where a row was not, a `RowLost` says
what can be read of it.

An attempt to send may have been that row. The order could be at the venue then, and nothing that follows would say so:
where a lost row may have been one, an attempt of which nothing is known stands in its place, and is looked up.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from allstop.actors.links.chain import genesis, linked, row_hash
from allstop.actors.ports import JournalEntry, JournalRow
from allstop.actors.protocols.records import KINDS, AttemptStarted, JournalSetAside, RowLost, to_entry

DEADLINE_S: Final = 10.0  # of an attempt of which nothing is known: longer than any order's


class Found(msgspec.Struct, frozen=True):
    """A row as it could be read. `sound`: it is what was written."""

    row: JournalRow
    sound: bool


def looked_at(row: JournalRow) -> Found:
    try:
        found = row_hash(
            row.prev_hash, row.seq, row.ts_ns, row.epoch, row.kind.encode(), row.key.encode(), row.body
        )
    except (UnicodeEncodeError, struct.error):  # texts and numbers that no journal writes
        return Found(row, False)
    return Found(row, found == row.hash)


def fresh_chain(
    chain: str, found: Iterable[Found], *, file: str, what: str, at_ns: int, unread: int = 0
) -> list[JournalRow]:
    """The rows of the journal that takes the place of a damaged one, which was set aside as `file` because of `what`.
    `found`: its rows in order, as far as they could be read; `unread` more could not."""
    found = _each_once(found)
    sound = [one.row for one in found if one.sound]
    missing = _missing([one.row.seq for one in found])
    aside = JournalSetAside(
        file=file, what=what, kept=len(sound), lost=len(found) - len(sound) + missing + unread, at_ns=at_ns
    )
    epoch = max((row.epoch for row in sound), default=0) + 1
    return _relinked(chain, epoch, [(to_entry(aside), at_ns), *_carried(found, at_ns)])


def _each_once(found: Iterable[Found]) -> list[Found]:
    """A number that a sound row had already is no other row's."""
    last, once = 0, list[Found]()
    for one in found:
        once.append(one if one.row.seq > last else Found(one.row, False))
        if one.sound:
            last = max(last, one.row.seq)
    return once


def _missing(seqs: Sequence[int]) -> int:
    """How many numbers there are between the first row and the last that no row has."""
    return max(seqs) - len(set(seqs)) if seqs else 0


def _carried(found: Iterable[Found], at_ns: int) -> list[tuple[JournalEntry, int]]:
    carried: list[tuple[JournalEntry, int]] = []
    intents: set[str] = set()
    attempts: Counter[str] = Counter()
    ts_ns = at_ns
    for one in found:
        row = one.row
        if one.sound:
            ts_ns = row.ts_ns
            if row.kind == "intent":
                intents.add(row.key)
            attempts[row.key] += row.kind == "attempt"
            carried.append((JournalEntry(kind=row.kind, key=row.key, body=row.body), ts_ns))
            continue
        lost = RowLost(kind=row.kind, subject=row.key, seq=row.seq, at_ns=ts_ns)
        carried.append((to_entry(lost), ts_ns))
        if row.key in intents and (row.kind == "attempt" or row.kind not in KINDS):
            attempts[row.key] += 1
            unknown = AttemptStarted(
                intent_id=row.key,
                attempt=attempts[row.key],
                channel="lost",
                deadline_s=DEADLINE_S,
                at_ns=ts_ns,
            )
            carried.append((to_entry(unknown), ts_ns))
    return carried


def _relinked(chain: str, epoch: int, entries: Iterable[tuple[JournalEntry, int]]) -> list[JournalRow]:
    tip = genesis(chain)
    rows: list[JournalRow] = []
    for entry, ts_ns in entries:
        tip, (row,) = linked(tip, (entry,), ts_ns, epoch)
        rows.append(row)
    return rows
