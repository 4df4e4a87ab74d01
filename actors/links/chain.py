"""The hash chain of a journal: each row's hash covers the row and the hash before it. Pure."""

import hashlib
import struct
from collections.abc import Iterable

import msgspec

from allstop.actors.ports import JournalEntry, JournalRow

EPOCH_KIND = "journal.opened"  # the first record of each epoch; its body is {"epoch": n}
_HEAD = struct.Struct(">QqQIII")  # seq, ts_ns, epoch, then the lengths, so that no two rows encode alike


class Tip(msgspec.Struct, frozen=True):
    """Where a chain ends: the next row gets `seq + 1` and this hash before it."""

    seq: int
    hash: bytes
    epoch: int = 0


class BadRow(msgspec.Struct, frozen=True):
    seq: int
    what: str


class ChainVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What walking a whole chain found. `bad` names the first row that does not belong."""

    path: str
    chain: str
    rows: int
    epoch: int
    tip: str  # the last good hash, in hex: written down elsewhere, it also proves that no tail was cut off
    bad: BadRow | None = None

    @property
    def ok(self) -> bool:
        return self.bad is None


def genesis(chain: str) -> Tip:
    """The tip of an empty chain. It depends on the name, so that rows cannot be moved between chains."""
    return Tip(0, hashlib.sha256(b"allstop journal 1\n" + chain.encode()).digest())


def row_hash(
    prev_hash: bytes, seq: int, ts_ns: int, epoch: int, kind: bytes, key: bytes, body: bytes
) -> bytes:
    head = _HEAD.pack(seq, ts_ns, epoch, len(kind), len(key), len(body))
    return hashlib.sha256(b"".join((prev_hash, head, kind, key, body))).digest()


def linked(tip: Tip, entries: Iterable[JournalEntry], ts_ns: int, epoch: int) -> tuple[Tip, list[JournalRow]]:
    """The entries as rows after `tip`, and the new tip."""
    seq, before = tip.seq, tip.hash
    rows: list[JournalRow] = []
    for entry in entries:
        seq += 1
        after = row_hash(before, seq, ts_ns, epoch, entry.kind.encode(), entry.key.encode(), entry.body)
        rows.append(
            JournalRow(
                seq=seq,
                ts_ns=ts_ns,
                epoch=epoch,
                kind=entry.kind,
                key=entry.key,
                body=entry.body,
                prev_hash=before,
                hash=after,
            )
        )
        before = after
    return Tip(seq, before, epoch), rows


def epoch_entry(epoch: int) -> JournalEntry:
    return JournalEntry(kind=EPOCH_KIND, key="", body=msgspec.json.encode({"epoch": epoch}))


def checked(tip: Tip, rows: Iterable[JournalRow]) -> tuple[Tip, BadRow | None]:
    """The tip after the last good row, and the first row that does not follow."""
    for row in rows:
        if bad := fault_of(tip, row):
            return tip, BadRow(row.seq, bad)
        tip = Tip(row.seq, row.hash, row.epoch)
    return tip, None


def fault_of(tip: Tip, row: JournalRow) -> str:
    """Why `row` cannot follow `tip`; empty when it does."""
    if row.seq != tip.seq + 1:
        return f"row {tip.seq + 1} is missing"
    if row.prev_hash != tip.hash:
        return "it does not continue the row before it"
    if row.epoch < tip.epoch:
        return f"its epoch {row.epoch} is older than {tip.epoch}"
    found = row_hash(
        row.prev_hash, row.seq, row.ts_ns, row.epoch, row.kind.encode(), row.key.encode(), row.body
    )
    return "" if found == row.hash else "its content does not match its hash"


def tail_start(first: JournalRow) -> Tip:
    """The tip just before this row, taken on trust: what a check of the tail alone starts from."""
    return Tip(first.seq - 1, first.prev_hash, 0)
