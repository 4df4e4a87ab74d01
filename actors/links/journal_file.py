"""The journal's SQLite file: its schema, its migrations, how its rows are written and read, and its verification."""

import itertools
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from allstop.actors.errors import BadInput, Fatal, Problem
from allstop.actors.links.chain import BadRow, ChainVerdict, Tip, checked, fault_of, genesis, tail_start
from allstop.actors.ports import JournalRow

APPLICATION_ID = 0x414C5354  # "ALST"
# Checked at every start, in half a second of a core (docs/performance.md); `verify_journal` checks all. Damage before it
# that still reads as a record is found by nobody at start, and one that does not by whoever folds the journal.
TAIL_ROWS = 100_000
BUSY_S = 5.0  # a reader that replays the WAL after a crash holds a lock for that long at most

# Applied in order, each in one transaction with `user_version`. Never edit one that was released: add the next.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE record (seq INTEGER PRIMARY KEY, ts_ns INTEGER NOT NULL, epoch INTEGER NOT NULL,"
        " kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL)",
        "CREATE INDEX record_by_key ON record (key, seq)",
        "CREATE TRIGGER record_stays BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, 'append only'); END",
        "CREATE TRIGGER record_remains BEFORE DELETE ON record BEGIN SELECT RAISE(ABORT, 'append only'); END",
    ),
)
COLUMNS = "seq, ts_ns, epoch, kind, key, body, prev_hash, hash"
NAMES = tuple(COLUMNS.split(", "))
TYPES = (int, int, int, str, str, bytes, bytes, bytes)


def prepare(path: Path, chain: str) -> sqlite3.Connection:
    """The one writing connection, at the newest schema. Raises Fatal for a file that is not this journal."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would use the umask
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, cached_statements=256)
    try:
        _check_file(connection, path)
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise Fatal("JOURNAL_FAILED", f"{path}: this file system cannot hold a write-ahead log")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA synchronous=FULL")
        _migrate(connection, chain)
        (name,) = connection.execute("SELECT value FROM about WHERE name = 'chain'").fetchone() or ("",)
        if not name:
            raise Fatal("JOURNAL_BROKEN", f"{path} does not say which chain it holds")
        if name != chain:
            raise Fatal("JOURNAL_OTHER", f"{path} holds the chain {name}, not {chain}")
    except BaseException:
        connection.close()
        raise
    return connection


def read_tip(connection: sqlite3.Connection, path: Path, chain: str) -> Tip:
    """Where the chain ends, its last rows checked. Raises Fatal naming the first row that does not belong."""
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM record").fetchone()
    after = max(0, last - TAIL_ROWS)
    query = f"SELECT {COLUMNS} FROM record WHERE seq > ? ORDER BY seq"
    rows = map(_row, connection.execute(query, (after,)))  # one by one: a hundred thousand together are 80 MB
    first = next(rows, None)
    tip = genesis(chain)
    if first is None:
        return tip
    tip, bad = checked(tail_start(first) if after else tip, itertools.chain((first,), rows))
    if bad is not None:
        raise Fatal("JOURNAL_BROKEN", f"{path}: row {bad.seq}: {bad.what}")
    return tip


def insert_statement(rows: int) -> str:
    """One statement for so many rows: fewer steps, and so fewer waits for the interpreter's lock, than executemany."""
    return f"INSERT INTO record ({COLUMNS}) VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows)


def reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
    connection.execute("PRAGMA query_only=1")
    return connection


def read_rows(path: Path, after_seq: int, kinds: Sequence[str] | None, key: str | None) -> list[JournalRow]:
    """Committed rows after `after_seq`, in order, of these kinds and this key where given."""
    where = ["seq > ?"]
    parameters: list[object] = [after_seq]
    if kinds is not None:
        where.append(f"kind IN ({', '.join('?' * len(kinds))})")
        parameters.extend(kinds)
    if key is not None:
        where.append("key = ?")
        parameters.append(key)
    query = f"SELECT {COLUMNS} FROM record WHERE {' AND '.join(where)} ORDER BY seq"
    with closing(reader(path)) as connection:
        return [_row(row) for row in connection.execute(query, parameters)]


def verify_journal(path: str | Path) -> ChainVerdict:
    """Walks the whole chain, and SQLite's own check. Safe beside a running writer. Raises BadInput for no journal.

    A tail that was cut off cannot be seen from the file alone: compare `tip` with one written down elsewhere.
    """
    path = Path(path).absolute()
    if not path.is_file():
        raise BadInput(Problem("no such journal", str(path)))
    walk = _Walk()
    chain = ""
    bad: BadRow | None = None
    try:
        with closing(reader(path)) as connection:
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                raise BadInput(Problem("this is not an allstop journal", str(path)))
            (chain,) = connection.execute("SELECT value FROM about WHERE name = 'chain'").fetchone()
            walk.tip = genesis(chain)
            bad = walk.through(connection)
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if bad is None and said != "ok":
                bad = BadRow(walk.tip.seq + 1, str(said))
    except sqlite3.Error as error:
        bad = BadRow(walk.tip.seq + 1, f"SQLite cannot read it: {error}")
    tip = walk.tip
    return ChainVerdict(
        path=str(path), chain=chain, rows=tip.seq, epoch=tip.epoch, tip=tip.hash.hex(), bad=bad
    )


class _Walk:
    """How far a verification has come; it survives the error that ends it."""

    def __init__(self) -> None:
        self.tip = Tip(0, b"")

    def through(self, connection: sqlite3.Connection) -> BadRow | None:
        for values in connection.execute(f"SELECT {COLUMNS} FROM record ORDER BY seq"):
            row = _row(values)
            if fault := fault_of(self.tip, row):
                return BadRow(row.seq, fault)
            self.tip = Tip(row.seq, row.hash, row.epoch)
        return None


def _row(values: tuple[Any, ...]) -> JournalRow:
    if (
        tuple(map(type, values)) != TYPES
    ):  # SQLite stores any type in any column: someone else has written here
        raise sqlite3.DataError(f"row {values[0]} has values of the wrong types")
    # By their names: with a dict of them a row took three times as long, and a start is a hundred thousand of them.
    seq, ts_ns, epoch, kind, key, body, prev_hash, hash_ = values
    return JournalRow(
        seq=seq, ts_ns=ts_ns, epoch=epoch, kind=kind, key=key, body=body, prev_hash=prev_hash, hash=hash_
    )  # fmt: skip


def _check_file(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or tables):
        raise Fatal("JOURNAL_OTHER", f"{path} is an SQLite file, but not an allstop journal")
    if version > len(MIGRATIONS):
        raise Fatal(
            "JOURNAL_NEWER",
            f"{path} has format {version}; this allstop knows {len(MIGRATIONS)}: run the newer version",
        )


def _migrate(connection: sqlite3.Connection, chain: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        if number == 1:
            connection.execute("INSERT INTO about VALUES ('chain', ?)", (chain,))
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")
