"""A journal's file that is damaged: set aside as it was found, with a fresh one in its place that holds what is sound.

    damaged        the file, with its write-ahead log, as it was found
    NAME.fresh     the whole of what takes its place: from here on there is no way back
    set aside      the old files are renamed to NAME.broken.TIME, one after the other, and then NAME.fresh to NAME

A process that dies between these finds NAME.fresh at its next start and goes on from there. Nothing is ever deleted but
a fresh file that was not finished. All of it runs under the lock of the file's one writer.
"""

import os
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from allstop.actors.errors import Fatal
from allstop.actors.links.chain import Tip
from allstop.actors.links.durable_file import fsync_directory
from allstop.actors.links.journal_file import (
    APPLICATION_ID,
    COLUMNS,
    NAMES,
    TYPES,
    insert_statement,
    prepare,
    read_tip,
    reader,
)
from allstop.actors.links.salvage import Found, fresh_chain, looked_at
from allstop.actors.ports import JournalRow
from allstop.actors.protocols.records import JournalSetAside, from_row

# What SQLite answers when bytes are not what it wrote: an error of its own words for a schema that it cannot read, a
# corrupt page, a value of the wrong type. Without a code it is Python that could not read a value.
_DAMAGE: Final = frozenset({None, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_MISMATCH})
_ROWS_AT_ONCE: Final = 64
CHECKED_BYTES_MAX: Final = 64 * 1024 * 1024  # some tenths of a second; a start must not wait for more
_MARK_AT: Final = 68  # https://www.sqlite.org/fileformat.html#the_database_header
_EMPTY: Final[tuple[Any, ...]] = (0, 0, 0, "", "", b"", b"", b"")


def opened(path: Path, chain: str, wall_ns: int) -> tuple[sqlite3.Connection, Tip]:
    """The one writing connection to a journal whose end is sound, and where its chain ends. One that is damaged was set
    aside, and this is what stands in its place. Raises Fatal for a file that is not this journal, or is of a newer
    version: nobody touches those."""
    _go_on(path)
    if _is_emptied(path):  # SQLite would take it for a new one, and delete the log
        _make_fresh(path, chain, ([], False), "the file is empty, and its log is not", wall_ns)
        _go_on(path)
        return _prepared(path, chain)
    with _as_found(path):
        try:
            return _prepared(path, chain)
        except Fatal as fatal:
            if fatal.code != "JOURNAL_BROKEN":
                raise
            what = fatal.message
        except (
            sqlite3.Error,
            UnicodeDecodeError,
        ) as error:  # a damaged schema, and even what SQLite says of it
            if not _is_damage(error) and not (_is_no_database(error) and _bears_our_mark(path)):
                raise
            what = f"SQLite cannot read it: {error}"
        _make_fresh(path, chain, _damaged_rows(path), what, wall_ns)
    _go_on(path)
    return _prepared(path, chain)


def _is_emptied(path: Path) -> bool:
    log = _beside(path, "-wal")
    return path.exists() and path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0


@contextmanager
def _as_found(path: Path) -> Generator[None, None, None]:
    """Whoever closes a file last copies its log into it and deletes the log: while somebody reads it, nobody is that."""
    if not path.exists():
        yield
        return
    with closing(reader(path)) as connection:
        with suppress(sqlite3.Error, UnicodeDecodeError):  # what cannot be read, nobody copies anything into
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield


def _is_damage(error: Exception) -> bool:
    """And not a disk that is full, a file that cannot be opened now, or somebody else who has it."""
    return isinstance(error, UnicodeDecodeError) or (
        isinstance(error, sqlite3.Error) and _code(error) in _DAMAGE
    )


def _is_no_database(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_NOTADB


def _bears_our_mark(path: Path) -> bool:
    """Whether a file that SQLite takes for no database was a journal: its head is damaged, and the mark in it is not."""
    with path.open("rb") as file:
        file.seek(_MARK_AT)
        return file.read(4) == APPLICATION_ID.to_bytes(4, "big")


def _code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # without what it says beyond its class


def _prepared(path: Path, chain: str) -> tuple[sqlite3.Connection, Tip]:
    connection = prepare(path, chain)
    try:
        _check_pages(connection, path)
        return connection, read_tip(connection, path, chain)
    except BaseException:
        connection.close()
        raise


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """What no row shows: an index that misses one would hide it from whoever asks by its key."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    if pages * size <= CHECKED_BYTES_MAX:
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise Fatal("JOURNAL_BROKEN", f"{path}: {said}")


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _make_fresh(path: Path, chain: str, read: tuple[list[Found], bool], what: str, wall_ns: int) -> None:
    found, to_the_end = read
    file = f"{path.name}.broken.{wall_ns}"
    rows = fresh_chain(chain, found, file=file, what=what, at_ns=wall_ns, unread=0 if to_the_end else 1)
    part = _beside(path, ".fresh.part")
    for ending in ("", "-wal", "-shm"):
        _beside(part, ending).unlink(missing_ok=True)
    with closing(prepare(part, chain)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            batch = rows[start : start + _ROWS_AT_ONCE]
            values = [value for row in batch for value in msgspec.structs.astuple(row)]
            connection.execute(insert_statement(len(batch)), values)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    _fsync(part)
    part.rename(_beside(path, ".fresh"))
    fsync_directory(path.parent)


def _go_on(path: Path) -> None:
    """Puts the fresh file in the place of the damaged one, or goes on where an earlier process was doing that."""
    fresh = _beside(path, ".fresh")
    if not fresh.exists():
        return
    with closing(reader(fresh)) as connection:
        row = connection.execute(f"SELECT {COLUMNS} FROM record ORDER BY seq LIMIT 1").fetchone()
    first = from_row(_row(row))
    if not isinstance(first, JournalSetAside):
        raise Fatal("JOURNAL_OTHER", f"{fresh} is not what takes the place of a damaged journal")
    for ending in ("-wal", "-shm"):
        _beside(fresh, ending).unlink(
            missing_ok=True
        )  # left by readers; it was checkpointed when it was made
    for ending in (
        "-wal",
        "-shm",
        "",
    ):  # the log first: beside a fresh file it would be taken for the fresh one's
        old, aside = _beside(path, ending), _beside(path.with_name(first.file), ending)
        if old.exists():
            if aside.exists():
                raise Fatal(
                    "JOURNAL_OTHER", f"{aside} is there already: {old} cannot be set aside under that name"
                )
            old.rename(aside)
    fsync_directory(path.parent)  # a log that came back after a power cut would be taken for the fresh file's
    fresh.rename(path)
    fsync_directory(path.parent)


def _damaged_rows(path: Path) -> tuple[list[Found], bool]:
    """Every row that can be read: from the first up to where SQLite stumbles, and from the last down to there. And
    whether the last is among them. Raises what is no damage: rows that cannot be read now are not lost."""
    upwards: list[Found] = []
    downwards: list[Found] = []
    try:
        with closing(reader(path)) as connection:
            connection.text_factory = _text
            try:
                upwards.extend(map(_found, connection.execute(f"SELECT {COLUMNS} FROM record ORDER BY seq")))
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
            else:
                return upwards, True
            last = upwards[-1].row.seq if upwards else 0
            for values in connection.execute(f"SELECT {COLUMNS} FROM record ORDER BY seq DESC"):
                if values[0] <= last:
                    break
                downwards.append(_found(values))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _is_damage(error) and not _is_no_database(error):
            raise
    return [*upwards, *reversed(downwards)], bool(downwards)


def _text(read: bytes) -> str:
    return read.decode("utf-8", "replace")


def _found(values: tuple[object, ...]) -> Found:
    if tuple(map(type, values)) == TYPES:
        return looked_at(_row(values))
    readable = (
        value if type(value) is kind else empty
        for value, kind, empty in zip(values, TYPES, _EMPTY, strict=True)
    )
    return Found(_row(readable), False)


def _row(values: Iterable[object]) -> JournalRow:
    return JournalRow(**dict(zip(NAMES, values, strict=True)))  # pyright: ignore[reportArgumentType]


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
