"""What of a damaged journal is carried into a fresh one. Pure.

A row's hash covers the row and the hash before it, and both stand in the row: so each row tells by itself whether it is
what was written, whatever became of its neighbours. What is, is carried over in its order and with its own time, into a
chain of the next epoch whose first record says where the damaged journal stands. Where a row was not, a `RowLost` says
what can be read of it.

An attempt to send may have been among what was lost. The order could be at the venue then, and nothing that follows would
say so. Where a row can be read that was one, an attempt of which nothing is known stands in its place. Rows that are gone,
or that do not tell what they were, may have been anybody's: such an attempt stands at the end for each intent before
them that would otherwise count as unsent. Both are looked up.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from allstop.actors.errors import Fatal
from allstop.actors.links.chain import genesis, linked, row_hash
from allstop.actors.ports import JournalEntry, JournalRow
from allstop.actors.protocols.records import (
    KINDS,
    LOST,
    ORDERS,
    AttemptEnded,
    AttemptStarted,
    IntentCommitted,
    JournalSetAside,
    RowLost,
    from_row,
    to_entry,
)
from allstop.actors.reports import Accepted

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
    `found`: its rows in order, as far as they could be read; after the last of them at least `unread` more could not."""
    found = _each_once(found)
    sound = [one.row for one in found if one.sound]
    missing = _missing([one.row.seq for one in found])
    aside = JournalSetAside(
        file=file, what=what, kept=len(sound), lost=len(found) - len(sound) + missing + unread, at_ns=at_ns
    )
    epoch = max((row.epoch for row in sound), default=0) + 1
    return _relinked(chain, epoch, [(to_entry(aside), at_ns), *_carried(found, at_ns, unread=unread > 0)])


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


class _Known(msgspec.Struct):
    """An intent that was carried over, as far as the kinds of its rows say: `place` is its own row's among all."""

    intent: JournalRow
    place: int
    attempts: int = 0
    live: bool = False  # an attempt without an end: it is looked up anyway
    outcome: JournalRow | None = None  # of the last attempt that has one
    settled: bool = False  # over, or shown by the venue


_SETTLING: Final = frozenset({"terminal", "withheld", "report", "fill"})


def _carried(found: Sequence[Found], at_ns: int, *, unread: bool) -> list[tuple[JournalEntry, int]]:
    carried: list[tuple[JournalEntry, int]] = []
    known: dict[str, _Known] = {}
    gaps: list[
        tuple[int, int]
    ] = []  # where rows were lost that may have been anybody's, and the time before it
    ts_ns = at_ns
    before = 0
    for place, one in enumerate(found):
        row = one.row
        if row.seq > before + 1:
            gaps.append((place, ts_ns))
        before = max(before, row.seq)
        if one.sound:
            ts_ns = row.ts_ns
            _note(known, row, place)
            carried.append((JournalEntry(kind=row.kind, key=row.key, body=row.body), ts_ns))
            continue
        lost = RowLost(kind=row.kind, subject=row.key, seq=row.seq, at_ns=ts_ns)
        carried.append((to_entry(lost), ts_ns))
        if row.kind not in KINDS or (row.kind == "attempt" and row.key not in known):
            gaps.append((place, ts_ns))
        elif row.kind == "attempt":
            carried.append((_unknown_attempt(known[row.key], ts_ns), ts_ns))
    if unread:
        gaps.append((len(found), ts_ns))
    for one in known.values():
        after = bisect_left(gaps, (one.place + 1, 0))
        if after < len(gaps) and _would_count_as_unsent(one):
            carried.append((_unknown_attempt(one, gaps[after][1]), ts_ns))
    return carried


def _note(known: dict[str, _Known], row: JournalRow, place: int) -> None:
    if row.kind == "intent":
        known.setdefault(row.key, _Known(row, place))
    elif (one := known.get(row.key)) is not None:
        if row.kind == "attempt":
            one.attempts, one.live = one.attempts + 1, True
        elif row.kind == "outcome":
            one.outcome, one.live = row, False
        one.settled |= row.kind in _SETTLING


def _unknown_attempt(known: _Known, at_ns: int) -> JournalEntry:
    known.attempts, known.live = known.attempts + 1, True
    unknown = AttemptStarted(
        intent_id=known.intent.key, attempt=known.attempts, channel=LOST, deadline_s=DEADLINE_S, at_ns=at_ns
    )
    return to_entry(unknown)


def _would_count_as_unsent(known: _Known) -> bool:
    """Whether nothing that is left of an intent says that anything of it is, or may be, at the venue."""
    if known.live or known.settled:
        return False
    if known.outcome is None:
        return True
    try:
        ended, committed = from_row(known.outcome), from_row(known.intent)
    except Fatal:  # of a version that is not known here: whoever reads the journal next will say so
        return True
    accepted = isinstance(ended, AttemptEnded) and isinstance(ended.outcome, Accepted)
    # Whoever else owns an intent makes one attempt, and that one has ended.
    once = isinstance(committed, IntentCommitted) and committed.owner != ORDERS
    return not (accepted or once)


def _relinked(chain: str, epoch: int, entries: Iterable[tuple[JournalEntry, int]]) -> list[JournalRow]:
    tip = genesis(chain)
    rows: list[JournalRow] = []
    for entry, ts_ns in entries:
        tip, (row,) = linked(tip, (entry,), ts_ns, epoch)
        rows.append(row)
    return rows
