"""What a run leaves behind for its judges: journals as they stand on a disk, the venue's truth, what was promised."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Row:
    """One journal row as it stands in the file."""

    seq: int
    ts_ns: int
    epoch: int
    kind: str
    key: str
    body: bytes
    prev_hash: bytes
    hash: bytes

    @property
    def record(self) -> dict[str, Any]:
        """The record's own fields."""
        return json.loads(self.body).get("r", {})


class RowLike(Protocol):
    """A row as any disk hands it out."""

    @property
    def seq(self) -> int: ...
    @property
    def ts_ns(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def prev_hash(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal, read without the code that wrote it."""

    chain: str
    rows: tuple[Row, ...]

    def of(self, kind: str) -> Iterable[Row]:
        return (row for row in self.rows if row.kind == kind)


@dataclass(frozen=True, slots=True)
class Bar:
    """A time in which the engine could not have acted, by the world's own account. `anew`: it was dead, and what it
    owes is counted from the end of this time; otherwise the time only does not count."""

    by: str
    start_ns: int
    end_ns: int | None = None  # None: until the end of the run
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run left behind."""

    truth: Mapping[str, Any]
    account: str  # the venue's name of the account
    journals: Sequence[Journal]
    submitted: Sequence[str]  # ids of the intents whose `submit` returned an order
    refused: Sequence[str] = ()  # ids that `submit` refused: they must be nowhere
    positions: Mapping[str, Decimal] | None = None  # what the engine believes, by pair
    frozen: Sequence[str] = ()  # pairs that it reports as uncertain
    cover_s: float = 2.0
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])  # everything written, by its name
    secrets: Sequence[str] = ()
    leaked: Sequence[str] | None = None  # actors and tasks left after shutdown; None: not looked at
    bars: Sequence[Bar] = ()
    external: Sequence[str] = ()  # orders at the venue that somebody else made, by the venue's id
    settled: bool = False  # nothing was under way when it was looked at: every end must be written down, too
    faults_over_ns: int | None = None  # from here on nothing hurts it; None: it was hurt until the end
    recover_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """True, False, or None where the run gave no occasion: an oracle without evidence has proven nothing."""

    oracle: str
    holds: bool | None
    why: str = ""


def read_journal(path: Path) -> Journal:
    """The rows of a journal file, in order. Safe beside a running writer."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        (chain,) = connection.execute("SELECT value FROM about WHERE name = 'chain'").fetchone()
        query = "SELECT seq, ts_ns, epoch, kind, key, body, prev_hash, hash FROM record ORDER BY seq"
        return Journal(chain, tuple(Row(*values) for values in connection.execute(query)))


def journal_of(chain: str, rows: Iterable[RowLike]) -> Journal:
    """A journal of rows in memory: those of a simulated disk."""
    return Journal(chain, tuple(row_of(row) for row in rows))


def row_of(row: RowLike) -> Row:
    return Row(row.seq, row.ts_ns, row.epoch, row.kind, row.key, row.body, row.prev_hash, row.hash)
