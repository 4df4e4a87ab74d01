"""The journal on SQLite: one append-only hash chain per file, one thread that writes it, group commit.

Appends queue up while a commit is under way; the writer takes all that wait, writes them in one transaction and
answers them together. So a commit costs one flush however many wait for it, and the event loop never waits for the
disk. A commit that fails is the end of the journal: after a failed fsync nobody knows what is on the disk, so every
waiter and every later caller gets Fatal, and nothing is tried again.

SQLite before 3.51.3 can corrupt a WAL that two connections write or checkpoint. Exactly one connection does
here, in the writer thread; readers open their own with mode=ro.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from allstop.actors.clock import Clock
from allstop.actors.errors import Fatal
from allstop.actors.links.chain import Tip, epoch_entry, linked
from allstop.actors.links.durable_file import ensure_directory, fsync_directory
from allstop.actors.links.journal_file import insert_statement, read_rows
from allstop.actors.links.journal_mending import opened
from allstop.actors.ports import JournalEntry, JournalOpener, JournalRow, JournalStore

# An entry weighs 1, and 1 more for each KiB of its body: so both the number and the bytes are bounded.
# Callers wait beyond this. At 100,000 rows a second it is 80 ms of work; more would only hide a slow disk.
QUEUED_WEIGHT_MAX = 8192
BATCH_WEIGHT_MAX = 4096  # one transaction: bounds how long an urgent append waits behind others
APPEND_ENTRIES_MAX = 1024  # one call; the largest are reconciliations of a whole account
APPEND_WEIGHT_MAX = 4096  # 4 MiB
BODY_BYTES_MAX = 1024 * 1024  # records are near 1 KiB; a captured answer of a venue may be a few hundred KiB
ROWS_PER_STATEMENT = 64  # 8 parameters each, under the 999 of old SQLite builds
# The WAL is copied into the file when nothing is to do; under load without a pause, at the latest at this size.
WAL_BYTES_MAX = 16 * 1024 * 1024
IDLE_S = 0.2
OPEN_S = 30.0  # a large WAL left by a crash is replayed first
CLOSE_S = 10.0  # what is queued is one or two transactions


class _Append:
    __slots__ = ("durable", "entries", "future", "last_seq", "ts_ns", "weight")

    def __init__(
        self,
        entries: tuple[JournalEntry, ...],
        durable: bool,
        ts_ns: int,
        future: asyncio.Future[int],
    ) -> None:
        self.entries = entries
        self.durable = durable
        self.ts_ns = ts_ns
        self.future = future
        self.last_seq = 0
        self.weight = _weight(entries)


class SqliteJournal:
    """A JournalStore in one SQLite file. Open it with `SqliteJournal.open` on the loop that will use it."""

    def __init__(
        self, path: Path, clock: Clock, chain: str, before_commit: Callable[[], None] | None = None
    ) -> None:
        self.path = path.absolute()
        self.chain = chain
        self.epoch = 0
        self._over: Fatal | None = None  # what every later caller gets, once the writer has ended
        self._clock = clock
        self._before_commit = before_commit
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._queued = 0
        self._room: deque[asyncio.Future[None]] = deque()
        # None: commit what is here and end.
        self._inbox: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"journal {chain}", daemon=True)
        # Only the writer thread touches these.
        self._tip = Tip(0, b"")
        self._synchronous = ""
        self._wal_bytes = 0

    @classmethod
    async def open(
        cls, path: str | Path, clock: Clock, chain: str, *, before_commit: Callable[[], None] | None = None
    ) -> "SqliteJournal":
        """Opens or creates the file, checks the end of its chain and starts a new epoch. A file that is damaged is set
        aside (journal_mending). Raises Fatal.

        A journal of this process that still has the file open (its actor was killed) is closed first, with what it
        had accepted committed. Another process that has it open is an error. `before_commit` runs in the writer
        thread before each commit; what it raises, an sqlite3.Error or OSError, is taken for the commit's failure.
        """
        journal = cls(Path(path), clock, chain, before_commit)
        previous = _open_journals.get(journal.path)
        if previous is not None:
            await previous._end_thread()
        _open_journals[journal.path] = journal
        journal._thread.start()
        try:
            async with asyncio.timeout(OPEN_S):
                await asyncio.shield(journal._opened)
        except TimeoutError:
            raise Fatal("JOURNAL_STUCK", f"{path} did not open within {OPEN_S} s") from None
        return journal

    async def append(self, entries: Sequence[JournalEntry], *, durable: bool = True) -> int:
        """The seq of the last entry once all are committed. Raises Fatal; ValueError for what can never be stored.

        A caller that is cancelled while it waits does not know whether the entries were stored.
        """
        batch = _storable(entries)
        while self._queued >= QUEUED_WEIGHT_MAX and self._over is None:
            room: asyncio.Future[None] = self._loop.create_future()
            self._room.append(room)
            await room
        if self._over is not None:
            raise _again(self._over)
        if self._closing:
            raise self._closed()
        future: asyncio.Future[int] = self._loop.create_future()
        waiting = _Append(batch, durable, self._clock.wall_ns(), future)
        self._queued += waiting.weight
        self._inbox.put(waiting)
        return await future

    async def read(
        self, *, after_seq: int = 0, kinds: Sequence[str] | None = None, key: str | None = None
    ) -> list[JournalRow]:
        """Committed rows in order, read on a thread by a connection that cannot write."""
        return await asyncio.to_thread(read_rows, self.path, after_seq, kinds, key)

    async def close(self) -> None:
        """Commits what was accepted and closes the file. Raises Fatal when the disk does not let it end in time."""
        await self._end_thread()

    async def _end_thread(self) -> None:
        if not self._closing:
            self._closing = True
            self._inbox.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_S)
        if self._thread.is_alive():
            raise Fatal("JOURNAL_STUCK", f"{self.path} did not close within {CLOSE_S} s")

    def _closed(self) -> Fatal:
        return Fatal("JOURNAL_CLOSED", f"{self.path} is closed")

    # On the loop, called by the writer.

    def _committed(self, batch: list[_Append]) -> None:
        for append in batch:
            self._queued -= append.weight
            if not append.future.done():  # else its caller went away
                append.future.set_result(append.last_seq)
        while self._room and self._queued < QUEUED_WEIGHT_MAX:
            self._let_in(self._room.popleft())

    def _finished(self, batch: list[_Append], over: Fatal) -> None:
        # `append` looks at `_over` and puts into the inbox without a wait between: none can slip in after this.
        self._over = over
        while not self._inbox.empty():
            if (left := self._inbox.get_nowait()) is not None:
                batch.append(left)
        for append in batch:
            if not append.future.done():
                append.future.set_exception(_again(over))
        while self._room:
            self._let_in(self._room.popleft())
        if not self._opened.done():
            self._opened.set_exception(over)

    def _let_in(self, room: asyncio.Future[None]) -> None:
        if not room.done():
            room.set_result(None)

    def _is_open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    # In the writer thread.

    def _run(self) -> None:
        batch: list[_Append] = []
        over = Fatal("JOURNAL_FAILED", f"{self.path}: its writer has a bug")
        try:
            ensure_directory(self.path.parent)
            with _only_writer(self.path):
                connection, self._tip = opened(self.path, self.chain, self._clock.wall_ns())
                with closing(connection):
                    self._start_epoch(connection)
                    self._tell_loop(self._is_open)
                    more = True
                    while more:
                        more = self._take(batch, connection)
                        if batch:
                            self._write(connection, batch)
                            self._tell_loop(self._committed, batch)
                            batch = []
                    self._checkpoint(connection)
            over = self._closed()
        except Fatal as fatal:
            over = fatal
        except (sqlite3.Error, OSError) as error:
            over = Fatal("JOURNAL_FAILED", f"{self.path}: {error}")
        finally:
            self._tell_loop(self._finished, batch, over)

    def _start_epoch(self, connection: sqlite3.Connection) -> None:
        self.epoch = self._tip.epoch + 1
        self._tip, rows = linked(self._tip, [epoch_entry(self.epoch)], self._clock.wall_ns(), self.epoch)
        self._store(connection, rows, durable=True)
        fsync_directory(self.path.parent)  # the file and its WAL may be new

    def _take(self, batch: list[_Append], connection: sqlite3.Connection) -> bool:
        """Fills the batch with all that waits, after waiting for the first. False: commit it and end."""
        try:
            append = self._inbox.get(timeout=IDLE_S if self._wal_bytes else None)
            weight = 0
            while append is not None:
                batch.append(append)
                weight += append.weight
                if weight >= BATCH_WEIGHT_MAX:
                    return True
                append = self._inbox.get_nowait()
        except queue.Empty:
            if not batch:
                self._checkpoint(connection)
            return True
        return False

    def _write(self, connection: sqlite3.Connection, batch: list[_Append]) -> None:
        rows: list[JournalRow] = []
        for append in batch:
            self._tip, linked_rows = linked(self._tip, append.entries, append.ts_ns, self.epoch)
            append.last_seq = self._tip.seq
            rows.extend(linked_rows)
        self._store(connection, rows, durable=any(append.durable for append in batch))
        if self._wal_bytes > WAL_BYTES_MAX:
            self._checkpoint(connection)

    def _store(self, connection: sqlite3.Connection, rows: list[JournalRow], *, durable: bool) -> None:
        self._flush_on_commit(connection, durable)
        if self._before_commit is not None:
            self._before_commit()
        if len(rows) <= ROWS_PER_STATEMENT:
            _insert(connection, rows)  # a statement alone is a transaction
        else:
            connection.execute("BEGIN IMMEDIATE")
            for start in range(0, len(rows), ROWS_PER_STATEMENT):
                _insert(connection, rows[start : start + ROWS_PER_STATEMENT])
            connection.execute("COMMIT")
        self._wal_bytes += sum(len(row.body) + 512 for row in rows)

    def _flush_on_commit(self, connection: sqlite3.Connection, durable: bool) -> None:
        """FULL flushes at each commit, and with it all that was committed before: what is durable is a prefix."""
        wanted = "FULL" if durable else "NORMAL"
        if wanted != self._synchronous:
            connection.execute(f"PRAGMA synchronous={wanted}")
            self._synchronous = wanted

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._wal_bytes = 0

    def _tell_loop(self, function: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)


# A killed actor cannot close its journal. Its successor in this process does, by finding it here.
_open_journals: weakref.WeakValueDictionary[Path, SqliteJournal] = weakref.WeakValueDictionary()


def journal_opener(state_dir: str | Path, clock: Clock) -> JournalOpener:
    """A JournalOpener for the chains of one state directory: `journal-<chain>.db` each."""

    async def open_journal(chain: str) -> JournalStore:
        return await SqliteJournal.open(journal_path(state_dir, chain), clock, chain)

    return open_journal


def journal_path(state_dir: str | Path, chain: str) -> Path:
    """Where a chain is kept. ValueError for a name that is not a plain file name."""
    if not chain or not all(c.isalnum() or c in "._-" for c in chain) or chain.startswith("."):
        raise ValueError(f"not the name of a chain: {chain!r}")
    return Path(state_dir) / f"journal-{chain}.db"


def _storable(entries: Sequence[JournalEntry]) -> tuple[JournalEntry, ...]:
    """The entries, refused here where they are the caller's mistake and not yet the writer's."""
    if not 0 < len(entries) <= APPEND_ENTRIES_MAX:
        raise ValueError(f"an append takes 1 to {APPEND_ENTRIES_MAX} entries, not {len(entries)}")
    for entry in entries:
        if len(entry.body) > BODY_BYTES_MAX:
            raise ValueError(f"the body of a {entry.kind} is longer than {BODY_BYTES_MAX} bytes")
        if not (_is_utf8(entry.kind) and _is_utf8(entry.key)):
            raise ValueError(f"not storable as UTF-8: {entry.kind!r}, {entry.key!r}")
    if _weight(entries) > APPEND_WEIGHT_MAX:
        raise ValueError(f"{len(entries)} entries are together too large for one append")
    return tuple(entries)


def _weight(entries: Sequence[JournalEntry]) -> int:
    return sum(1 + len(entry.body) // 1024 for entry in entries)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _again(fatal: Fatal) -> Fatal:
    return Fatal(
        fatal.code, fatal.message
    )  # raised for ever, one value would collect the traces of all its callers


def _insert(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
    values = [value for row in rows for value in msgspec.structs.astuple(row)]
    connection.execute(insert_statement(len(rows)), values)


@contextmanager
def _only_writer(path: Path) -> Generator[None, None, None]:
    """Holds the lock that makes this the file's one writer among all processes."""
    fd = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Fatal("JOURNAL_BUSY", f"{path} is open for writing in another process") from None
    try:
        yield
    finally:
        os.close(fd)
