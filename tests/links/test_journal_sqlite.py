import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from allstop.actors.clock import ManualClock
from allstop.actors.errors import BadInput, Fatal
from allstop.actors.links import journal_file, journal_sqlite
from allstop.actors.links.chain import EPOCH_KIND
from allstop.actors.links.journal_file import verify_journal
from allstop.actors.links.journal_sqlite import SqliteJournal, journal_opener, journal_path
from allstop.actors.ports import JournalEntry

WAIT_S = 10.0


def entry(key: str, body: bytes = b"{}", kind: str = "intent") -> JournalEntry:
    return JournalEntry(kind=kind, key=key, body=body)


async def opened(path: Path, before_commit: Callable[[], None] | None = None) -> SqliteJournal:
    return await SqliteJournal.open(path, ManualClock(), "kraken.main", before_commit=before_commit)


@contextlib.contextmanager
def tampering(path: Path):
    """What a forger or a broken disk does: writes past our guards, with nothing else open."""
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER record_stays")
    connection.execute("DROP TRIGGER record_remains")
    yield connection
    connection.commit()
    connection.close()


class Gate:
    """Holds the writer thread before a commit until it is opened, so that appends pile up."""

    def __init__(self) -> None:
        self.commits = 0
        self.open = threading.Event()
        self.open.set()

    def __call__(self) -> None:
        self.commits += 1
        assert self.open.wait(WAIT_S)


async def test_what_was_appended_is_read_back_in_order(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    last = await journal.append([entry("a", b'{"n":1}'), entry("b", b'{"n":2}')])
    rows = await journal.read(after_seq=1)
    await journal.close()
    assert last == 3
    assert [(row.seq, row.key, row.body) for row in rows] == [(2, "a", b'{"n":1}'), (3, "b", b'{"n":2}')]
    assert {row.ts_ns for row in rows} == {ManualClock().wall_ns()}


async def test_reading_selects_by_kind_and_by_key(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    await journal.append([entry("a"), entry("a", kind="sent"), entry("b", kind="sent")])
    found = [
        [row.seq for row in await journal.read(kinds=["sent"])],
        [row.seq for row in await journal.read(key="a")],
        [row.seq for row in await journal.read(kinds=["sent"], key="a")],
        [row.seq for row in await journal.read(kinds=[])],
    ]
    await journal.close()
    assert found == [[3, 4], [2, 3], [3], []]


async def test_each_opening_starts_an_epoch_with_a_row_of_its_own(tmp_path: Path):
    epochs: list[int] = []
    for _ in range(3):
        journal = await opened(tmp_path / "j.db")
        epochs.append(journal.epoch)
        await journal.append([entry("a")])
        await journal.close()
    rows = journal_file.read_rows(tmp_path / "j.db", 0, None, None)
    assert epochs == [1, 2, 3]
    assert [(row.kind == EPOCH_KIND, row.epoch) for row in rows] == [
        (first, epoch) for epoch in (1, 2, 3) for first in (True, False)
    ]


async def test_a_clean_close_commits_what_was_accepted(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    appends = [asyncio.ensure_future(journal.append([entry(str(n))], durable=False)) for n in range(50)]
    await asyncio.sleep(0)
    await journal.close()
    await asyncio.gather(*appends)
    assert verify_journal(tmp_path / "j.db").rows == 51


async def test_appends_that_wait_share_one_commit(tmp_path: Path):
    gate = Gate()
    journal = await opened(tmp_path / "j.db", gate)
    gate.open.clear()
    first = asyncio.ensure_future(journal.append([entry("first")]))
    while gate.commits < 2:  # the epoch's, and now this one, held
        await asyncio.sleep(0)
    rest = [asyncio.ensure_future(journal.append([entry(str(n))])) for n in range(200)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, *rest)
    await journal.close()
    assert gate.commits == 3
    assert verify_journal(tmp_path / "j.db").ok


async def test_a_caller_waits_when_the_queue_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_sqlite, "QUEUED_WEIGHT_MAX", 4)
    gate = Gate()
    journal = await opened(tmp_path / "j.db", gate)
    gate.open.clear()
    appends = [asyncio.ensure_future(journal.append([entry(str(n))])) for n in range(40)]
    for _ in range(20):
        await asyncio.sleep(0)
    held = journal._queued
    gate.open.set()
    await asyncio.wait_for(asyncio.gather(*appends), WAIT_S)
    await journal.close()
    assert held == 4
    assert verify_journal(tmp_path / "j.db").rows == 41


async def test_a_cancelled_caller_leaves_the_journal_whole(tmp_path: Path):
    gate = Gate()
    journal = await opened(tmp_path / "j.db", gate)
    gate.open.clear()
    gone = asyncio.ensure_future(journal.append([entry("gone")]))
    await asyncio.sleep(0)
    gone.cancel()
    gate.open.set()
    after = await journal.append([entry("after")])
    await journal.close()
    assert gone.cancelled()
    assert after == 3
    assert verify_journal(tmp_path / "j.db").ok


async def test_a_durable_batch_flushes_and_a_lazy_one_does_not(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    levels: list[str] = []
    await journal.append([entry("a")], durable=False)
    levels.append(journal._synchronous)
    await journal.append([entry("b")], durable=True)
    levels.append(journal._synchronous)
    await journal.close()
    assert levels == ["NORMAL", "FULL"]


@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("disk I/O error"), OSError(5, "Input/output error")],
    ids=["sqlite", "os"],
)
async def test_a_failed_commit_is_fatal_for_all_who_wait_and_all_who_come(tmp_path: Path, error: Exception):
    gate = Gate()
    failing = False

    def before_commit() -> None:
        gate()
        if failing:
            raise error

    journal = await opened(tmp_path / "j.db", before_commit)
    await journal.append([entry("good")])
    failing = True
    gate.open.clear()
    waiting = [asyncio.ensure_future(journal.append([entry(str(n))])) for n in range(3)]
    await asyncio.sleep(0)
    gate.open.set()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    failing = False  # the disk is well again: still nothing is tried
    with pytest.raises(Fatal, match="JOURNAL_FAILED"):
        await journal.append([entry("later")])
    await journal.close()
    assert [type(end) for end in ends] == [Fatal] * 3
    assert verify_journal(tmp_path / "j.db").rows == 2


async def test_callers_that_wait_for_room_get_the_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_sqlite, "QUEUED_WEIGHT_MAX", 1)
    commits = 0

    def before_commit() -> None:
        nonlocal commits
        commits += 1
        if commits > 1:
            raise sqlite3.OperationalError("disk I/O error")

    journal = await opened(tmp_path / "j.db", before_commit)
    appends = [asyncio.ensure_future(journal.append([entry(str(n))])) for n in range(10)]
    ends = await asyncio.wait_for(asyncio.gather(*appends, return_exceptions=True), WAIT_S)
    await journal.close()
    assert {type(end) for end in ends} == {Fatal}


async def test_an_append_after_close_is_refused(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    await journal.close()
    with pytest.raises(Fatal, match="JOURNAL_CLOSED"):
        await journal.append([entry("late")])


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry("a", b"x" * (1024 * 1024 + 1))],
        [entry("\ud800")],
        [entry("a")] * 1025,
        [entry("a", b"x" * 2**20)] * 5,
    ],
    ids=["none", "large", "not-utf8", "many", "large-together"],
)
async def test_what_can_never_be_stored_is_the_callers_error(tmp_path: Path, entries: list[JournalEntry]):
    journal = await opened(tmp_path / "j.db")
    with pytest.raises(ValueError):
        await journal.append(entries)
    assert await journal.append([entry("fine")]) == 2
    await journal.close()


async def test_the_wal_is_copied_back_when_nothing_is_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_sqlite, "IDLE_S", 0.01)
    journal = await opened(tmp_path / "j.db")
    before = (tmp_path / "j.db").stat().st_size
    await journal.append([entry(str(n), b"x" * 1000) for n in range(100)])
    async with asyncio.timeout(WAIT_S):
        while (tmp_path / "j.db").stat().st_size < before + 100_000:
            await asyncio.sleep(0.005)
    await journal.close()


async def test_a_killed_actors_journal_is_taken_over_in_the_same_process(tmp_path: Path):
    killed = await opened(tmp_path / "j.db")
    accepted = asyncio.ensure_future(killed.append([entry("accepted")]))
    await asyncio.sleep(0)
    successor = await opened(tmp_path / "j.db")
    assert await accepted == 2
    with pytest.raises(Fatal, match="JOURNAL_CLOSED"):
        await killed.append([entry("late")])
    assert (successor.epoch, await successor.append([entry("next")])) == (2, 4)
    await successor.close()
    assert verify_journal(tmp_path / "j.db").ok


async def test_a_second_process_is_refused(tmp_path: Path):
    script = f"""
        import asyncio, sys
        from pathlib import Path
        from allstop.actors.clock import SystemClock
        from allstop.actors.links.journal_sqlite import SqliteJournal
        async def main():
            await SqliteJournal.open({str(tmp_path / "j.db")!r}, SystemClock(), "kraken.main")
            print("open", flush=True)
            sys.stdin.read()
        asyncio.run(main())
    """
    with python(script) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(Fatal, match="JOURNAL_BUSY"):
            await opened(tmp_path / "j.db")
        other.stdin.close()
        other.wait(WAIT_S)


async def test_the_file_is_for_its_owner_alone(tmp_path: Path):
    journal = await opened(tmp_path / "state" / "j.db")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    await journal.close()
    assert set(modes) == {"j.db", "j.db-wal", "j.db-shm", "j.db.lock"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path):
    await (await opened(tmp_path / "j.db")).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(Fatal, match=r"JOURNAL_NEWER.*j\.db has format 99"):
        await opened(tmp_path / "j.db")


async def test_a_new_migration_is_applied_to_an_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    await (await opened(tmp_path / "j.db")).close()
    added = (*journal_file.MIGRATIONS, ("CREATE TABLE later (x)",))
    monkeypatch.setattr(journal_file, "MIGRATIONS", added)
    journal = await opened(tmp_path / "j.db")
    await journal.append([entry("a")])
    await journal.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)
    assert verify_journal(tmp_path / "j.db").rows == 3


async def test_another_chains_file_is_refused(tmp_path: Path):
    await (await opened(tmp_path / "j.db")).close()
    with pytest.raises(Fatal, match="JOURNAL_OTHER"):
        await SqliteJournal.open(tmp_path / "j.db", ManualClock(), "runtime")


async def test_a_foreign_sqlite_file_is_refused_and_not_touched(tmp_path: Path):
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = (tmp_path / "j.db").read_bytes()
    with pytest.raises(Fatal, match="JOURNAL_OTHER"):
        await opened(tmp_path / "j.db")
    assert (tmp_path / "j.db").read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    (tmp_path / "j.db").write_bytes(b"not a database, but long enough to be read as one" * 20)
    with pytest.raises(Fatal, match=r"j\.db"):
        await opened(tmp_path / "j.db")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE record SET body = x'7b' WHERE seq = 7",
        "UPDATE record SET key = key || x'00' WHERE seq = 7",
        "UPDATE record SET ts_ns = ts_ns + 1 WHERE seq = 7",
        "UPDATE record SET hash = zeroblob(32) WHERE seq = 7",
        "DELETE FROM record WHERE seq = 7",
        "UPDATE record SET kind = 5.5 WHERE seq = 7",
        "UPDATE record SET body = 'text' WHERE seq = 7",
    ],
)
async def test_a_changed_row_is_named_by_verify_and_its_journal_is_set_aside(tmp_path: Path, change: str):
    journal = await opened(tmp_path / "j.db")
    await journal.append([entry(str(n)) for n in range(10)])
    await journal.close()
    with tampering(tmp_path / "j.db") as connection:
        connection.execute(change)
    verdict = verify_journal(tmp_path / "j.db")
    assert verdict.bad is not None
    assert verdict.rows == 6
    assert verdict.bad.seq in (7, 8)
    journal = await opened(tmp_path / "j.db")
    kept = [row.key for row in await journal.read(kinds=["intent"])]
    await journal.close()
    assert kept == [str(n) for n in range(10) if n != 5]
    assert verify_journal(tmp_path / "j.db").ok
    [aside] = [one for one in tmp_path.glob("j.db.broken.*") if not one.name.endswith(("-wal", "-shm"))]
    assert verify_journal(aside).bad == verdict.bad


async def test_opening_checks_the_tail_and_verify_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_file, "TAIL_ROWS", 5)
    journal = await opened(tmp_path / "j.db")
    await journal.append([entry(str(n)) for n in range(20)])
    await journal.close()
    with tampering(tmp_path / "j.db") as connection:
        connection.execute("UPDATE record SET key = 'x' WHERE seq = 3")
    await (await opened(tmp_path / "j.db")).close()
    bad = verify_journal(tmp_path / "j.db").bad
    assert bad is not None
    assert bad.seq == 3


async def test_flipped_bytes_in_the_file_do_not_pass(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    await journal.append([entry(str(n), b"needle" * 10) for n in range(100)])
    await journal.close()
    content = bytearray((tmp_path / "j.db").read_bytes())
    content[content.rindex(b"needle")] ^= 0x01
    (tmp_path / "j.db").write_bytes(content)
    assert not verify_journal(tmp_path / "j.db").ok


async def test_a_file_cut_short_does_not_pass(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    await journal.append([entry(str(n), b"x" * 500) for n in range(100)])
    await journal.close()
    os.truncate(tmp_path / "j.db", 8192)
    assert not verify_journal(tmp_path / "j.db").ok
    await (await opened(tmp_path / "j.db")).close()
    assert verify_journal(tmp_path / "j.db").ok
    [aside] = [one for one in tmp_path.glob("j.db.broken.*") if not one.name.endswith(("-wal", "-shm"))]
    assert aside.stat().st_size == 8192


async def test_rows_cannot_be_changed_or_removed_by_sql(tmp_path: Path):
    await (await opened(tmp_path / "j.db")).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "j.db")) as connection:
        for change in ("UPDATE record SET key = 'x'", "DELETE FROM record"):
            with pytest.raises(sqlite3.IntegrityError, match="append only"):
                connection.execute(change)


async def test_verify_works_beside_a_running_writer(tmp_path: Path):
    journal = await opened(tmp_path / "j.db")
    await journal.append([entry("a")])
    verdict = await asyncio.to_thread(verify_journal, tmp_path / "j.db")
    await journal.close()
    assert (verdict.ok, verdict.rows, verdict.chain, verdict.epoch) == (True, 2, "kraken.main", 1)


def test_verify_of_no_journal_is_bad_input(tmp_path: Path):
    with pytest.raises(BadInput, match="no such journal"):
        verify_journal(tmp_path / "none.db")


async def test_the_opener_keeps_each_chain_in_its_own_file(tmp_path: Path):
    open_journal = journal_opener(tmp_path, ManualClock())
    runtime, account = await open_journal("runtime"), await open_journal("kraken.main")
    await runtime.append([entry("a")])
    await runtime.close()
    await account.close()
    assert verify_journal(journal_path(tmp_path, "runtime")).rows == 2
    assert verify_journal(journal_path(tmp_path, "kraken.main")).rows == 1


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
def test_a_chain_has_a_plain_name(tmp_path: Path, name: str):
    with pytest.raises(ValueError):
        journal_path(tmp_path, name)


PRODUCERS = """
    import asyncio, sys
    from allstop.actors.clock import SystemClock
    from allstop.actors.links.journal_sqlite import SqliteJournal
    from allstop.actors.ports import JournalEntry
    async def produce(journal, name):
        n = 0
        while True:
            await journal.append([JournalEntry(kind="k", key=f"{{name}}.{{n}}", body=b"x" * 200)], durable=n % 3 != 0)
            sys.stdout.write(f"{{name}}.{{n}}\\n")
            sys.stdout.flush()
            n += 1
    async def main():
        journal = await SqliteJournal.open({path!r}, SystemClock(), "kraken.main")
        await asyncio.gather(*(produce(journal, name) for name in range(8)))
    asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 100, 1000])
async def test_after_sigkill_every_acknowledged_row_is_there(tmp_path: Path, acknowledged: int):
    with python(PRODUCERS.format(path=str(tmp_path / "j.db"))) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait(WAIT_S)
    acked = {line.decode().strip() for line in lines if line.endswith(b"\n")}
    before = verify_journal(tmp_path / "j.db")
    journal = await opened(tmp_path / "j.db")
    found = {row.key for row in await journal.read(kinds=["k"])}
    await journal.close()
    assert len(acked) >= acknowledged
    assert acked <= found
    assert before.ok
    assert verify_journal(tmp_path / "j.db").epoch == 2


def test_a_disk_that_takes_no_more_is_fatal_and_loses_nothing_acknowledged(tmp_path: Path):
    script = f"""
        import asyncio, resource
        from allstop.actors.clock import SystemClock
        from allstop.actors.errors import Fatal
        from allstop.actors.links.journal_sqlite import SqliteJournal
        from allstop.actors.ports import JournalEntry
        async def main():
            journal = await SqliteJournal.open({str(tmp_path / "j.db")!r}, SystemClock(), "kraken.main")
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            seq = 0
            try:
                while True:
                    seq = await journal.append([JournalEntry(kind="k", key="", body=b"x" * 1000)])
            except Fatal as fatal:
                print(seq, fatal.code)
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                await journal.append([JournalEntry(kind="k", key="", body=b"y")])
            except Fatal as fatal:
                print(fatal.code)
            await journal.close()
        asyncio.run(main())
    """
    with python(script) as process:
        out, _ = process.communicate(timeout=WAIT_S)
    first, second = out.decode().splitlines()
    seq, code = first.split()
    verdict = verify_journal(tmp_path / "j.db")
    assert (code, second) == ("JOURNAL_FAILED", "JOURNAL_FAILED")
    assert int(seq) > 10
    assert (verdict.ok, verdict.rows) == (True, int(seq))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@contextlib.contextmanager
def python(script: str):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            yield process
        finally:
            process.kill()
