"""Damaged journals on a real disk: what is sound stands in a fresh file, and the damaged one beside it as it was."""

import random
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from allstop.actors.clock import ManualClock
from allstop.actors.errors import Fatal
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import Origin
from allstop.actors.links import journal_mending
from allstop.actors.links.journal_file import verify_journal
from allstop.actors.links.journal_sqlite import SqliteJournal
from allstop.actors.ports import JournalEntry, JournalRow
from allstop.actors.protocols.records import (
    AttemptStarted,
    IntentCommitted,
    JournalSetAside,
    RowLost,
    from_row,
    to_entry,
)

CHAIN = "kraken.main"
ROWS = 60


def entry(n: int, kind: str = "intent") -> JournalEntry:
    return JournalEntry(
        kind=kind, key=f"key-{n}", body=b'{"v":1,"r":{"needle":"' + str(n).encode() * 40 + b'"}}'
    )


COMMITTED = to_entry(
    IntentCommitted(
        intent=OrderIntent(
            id="ours",
            pair="BTC/USD",
            side=Side.BUY,
            qty=Decimal("0.1"),
            order_type=OrderType.MARKET,
            stop=StopLoss(trigger_price=Decimal("20000.0")),
        ),
        origin=Origin.STRATEGY,
        scope=("kraken", "main", "BTC/USD"),
        at_ns=1,
    )
)


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


async def opened(path: Path, wall_s: float = 1000.0) -> SqliteJournal:
    clock = ManualClock()
    clock.advance(wall_s)
    return await SqliteJournal.open(path, clock, CHAIN)


async def written(path: Path, rows: int = ROWS) -> bytes:
    """A journal of so many records; its bytes when it is closed."""
    journal = await opened(path)
    await journal.append([entry(n) for n in range(rows)])
    await journal.close()
    return path.read_bytes()


async def rows_of(path: Path) -> list[JournalRow]:
    journal = await opened(path, 2000.0)
    rows = await journal.read()
    await journal.close()
    return rows


def keys(rows: list[JournalRow]) -> list[str]:
    return [row.key for row in rows if row.kind == "intent"]


def asides(path: Path) -> list[Path]:
    return [
        one
        for one in sorted(path.parent.glob(f"{path.name}.broken.*"))
        if not one.name.endswith(("-wal", "-shm"))
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal-kraken.main.db"


@pytest.mark.parametrize("n", [0, 31, ROWS - 1], ids=["the first", "one between", "the last"])
async def test_a_flipped_byte_costs_the_record_that_it_is_in_and_no_other(path: Path, n: int) -> None:
    content = bytearray(await written(path))
    at = content.index(f"key-{n}".encode() + b'{"v"') + 40
    content[at] ^= 0x04
    path.write_bytes(content)
    bad = verify_journal(path).bad
    assert bad is not None
    rows = await rows_of(path)
    assert keys(rows) == [f"key-{m}" for m in range(ROWS) if m != n]
    first, lost = from_row(rows[0]), [from_row(row) for row in rows if row.kind == "journal.row_lost"]
    assert isinstance(first, JournalSetAside)
    [aside] = asides(path)
    assert (first.file, first.lost, f"row {bad.seq}" in first.what) == (aside.name, 1, True)
    [one] = lost
    assert isinstance(one, RowLost)
    assert (one.kind, one.subject, one.seq) == ("intent", f"key-{n}", bad.seq)
    assert aside.read_bytes() == bytes(content)
    assert verify_journal(path).ok


async def test_the_fresh_journal_goes_on_and_is_not_set_aside_again(path: Path) -> None:
    content = bytearray(await written(path))
    content[content.index(b"key-7{") + 40] ^= 0x04
    path.write_bytes(content)
    before = await rows_of(path)
    journal = await opened(path, 3000.0)
    epoch = journal.epoch
    await journal.append([entry(1000)])
    await journal.close()
    rows = await rows_of(path)
    assert rows[: len(before)] == before
    assert keys(rows)[-1] == "key-1000"
    assert epoch > max(row.epoch for row in before) - 1
    assert len(asides(path)) == 1


async def test_times_of_the_records_that_were_carried_are_their_own(path: Path) -> None:
    content = bytearray(await written(path))
    with closing(sqlite3.connect(path)) as connection:
        times = dict(connection.execute("SELECT key, ts_ns FROM record WHERE kind = 'intent'").fetchall())
    content[content.index(b"key-7{") + 40] ^= 0x04
    path.write_bytes(content)
    carried = {row.key: row.ts_ns for row in await rows_of(path) if row.kind == "intent"}
    assert carried == {key: ts_ns for key, ts_ns in times.items() if key != "key-7"}


async def test_where_an_attempt_may_have_stood_one_stands_of_which_nothing_is_known(path: Path) -> None:
    journal = await opened(path)
    await journal.append([entry(1), entry(1, "attempt"), entry(2), entry(2, "attempt")])
    await journal.close()
    content = bytearray(path.read_bytes())
    content[content.index(b"attemptkey-2{") + 50] ^= 0x04
    path.write_bytes(content)
    rows = await rows_of(path)
    [unknown] = [from_row(row) for row in rows if row.kind == "attempt" and row.key == "key-2"]
    assert isinstance(unknown, AttemptStarted)
    assert (unknown.intent_id, unknown.attempt, unknown.channel) == ("key-2", 1, "lost")
    assert [row.body for row in rows if row.kind == "attempt" and row.key == "key-1"] == [
        entry(1, "attempt").body
    ]


async def test_a_torn_commit_in_the_log_is_cut_off_and_nothing_is_set_aside(path: Path) -> None:
    """A process that was killed leaves its log; of its last commit only half is on the disk."""
    script_rows = 5
    journal = await opened(path)
    for n in range(script_rows):
        await journal.append([entry(n)])
    content, log = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
    await journal.close()
    path.write_bytes(content)
    path.with_name(path.name + "-wal").write_bytes(log[:-2000])
    rows = await rows_of(path)
    assert keys(rows) == [f"key-{n}" for n in range(script_rows - 1)]
    assert asides(path) == []
    assert verify_journal(path).ok


async def test_a_file_whose_head_is_destroyed_but_for_our_mark_is_set_aside_whole(path: Path) -> None:
    content = bytearray(await written(path))
    content[0:8] = b"\x00" * 8
    path.write_bytes(content)
    rows = await rows_of(path)
    first = from_row(rows[0])
    assert isinstance(first, JournalSetAside)
    assert (first.kept, keys(rows)) == (0, [])
    [aside] = asides(path)
    assert aside.read_bytes() == bytes(content)


@pytest.mark.parametrize("died_after", ["fresh", "-wal", "-shm", ""])
async def test_a_process_that_dies_while_it_sets_aside_leaves_that_to_the_next(
    path: Path, died_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(await written(path))
    content[content.index(b"key-7{") + 40] ^= 0x04
    path.write_bytes(content)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).write_bytes(b"")
    rename = Path.rename
    done: list[str] = []

    def dying(self: Path, target: Path) -> Path:
        if done and done[-1] == died_after:
            raise OSError("the process is dead")
        done.append("fresh" if self.name.endswith(".part") else self.name.removeprefix(path.name))
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying)
        with pytest.raises(Fatal, match="the process is dead"):
            await opened(path)
    rows = await rows_of(path)
    assert keys(rows) == [f"key-{n}" for n in range(ROWS) if n != 7]
    [aside] = asides(path)
    assert aside.read_bytes() == bytes(content)
    assert not list(path.parent.glob("*.fresh*"))


async def test_a_disk_that_is_only_full_sets_nothing_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await written(path)

    def full(*_: object) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA max_page_count=1")
        connection.execute("CREATE TABLE more (x)")  # what SQLite says of a full disk
        return connection

    monkeypatch.setattr(journal_mending, "prepare", full)
    with pytest.raises(Fatal, match="disk is full"):
        await opened(path)
    assert asides(path) == []


async def test_the_log_beside_a_damaged_file_is_set_aside_with_it_and_both_are_as_they_were(
    path: Path,
) -> None:
    """Whoever closes an SQLite file last copies the log into it: what was found would be neither file nor log."""
    await written(path)
    journal = await opened(path, 1500.0)
    await journal.append([entry(n) for n in range(ROWS, ROWS + 30)])
    content, log = bytearray(path.read_bytes()), wal(path).read_bytes()
    await journal.close()
    content[content.index(b"key-7{") + 40] ^= 0x04
    path.write_bytes(content)
    wal(path).write_bytes(log)
    rows = await rows_of(path)
    assert keys(rows) == [f"key-{n}" for n in range(ROWS + 30) if n != 7]
    [aside] = asides(path)
    assert aside.read_bytes() == bytes(content)
    assert wal(aside).read_bytes() == log


async def test_a_file_that_was_emptied_beside_its_log_is_damage_and_no_new_journal(path: Path) -> None:
    await written(path)
    journal = await opened(path, 1500.0)
    await journal.append([entry(1000)])
    log = wal(path).read_bytes()
    await journal.close()
    path.write_bytes(b"")
    wal(path).write_bytes(log)
    rows = await rows_of(path)
    first = from_row(rows[0])
    assert isinstance(first, JournalSetAside)
    assert "empty" in first.what
    assert first.lost >= 1
    [aside] = asides(path)
    assert (aside.read_bytes(), wal(aside).read_bytes()) == (b"", log)


async def test_rows_that_cannot_be_read_just_now_are_not_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file descriptor is left, say: a fresh journal would be made that knows no order."""
    content = bytearray(await written(path))
    content[content.index(b"key-7{") + 40] ^= 0x04
    path.write_bytes(content)
    tries: list[Path] = []

    def elsewhere(file: Path) -> sqlite3.Connection:
        tries.append(file)
        return real(file if len(tries) == 1 else file.with_name("nowhere") / file.name)

    real = journal_mending.reader
    with monkeypatch.context() as patched:
        patched.setattr(journal_mending, "reader", elsewhere)
        with pytest.raises(Fatal, match="unable to open"):
            await opened(path)
    assert asides(path) == []
    assert path.read_bytes() == bytes(content)
    assert keys(await rows_of(path)) == [f"key-{n}" for n in range(ROWS) if n != 7]


async def test_where_pages_are_destroyed_an_intent_before_them_may_have_been_sent(path: Path) -> None:
    journal = await opened(path)
    await journal.append([COMMITTED])
    await journal.append([entry(n) for n in range(ROWS)])
    await journal.close()
    content = bytearray(path.read_bytes())
    page = content.index(b"key-30{") // 4096
    content[page * 4096 : page * 4096 + 200] = bytes(200)
    path.write_bytes(content)
    rows = await rows_of(path)
    [unknown] = [from_row(row) for row in rows if row.kind == "attempt" and row.key == "ours"]
    assert isinstance(unknown, AttemptStarted)
    assert (unknown.attempt, unknown.channel) == (1, "lost")


@pytest.mark.parametrize("seed", range(40))
async def test_damage_anywhere_in_the_file_is_refused_by_name_or_mended_and_never_passed_on(
    path: Path, seed: int
) -> None:
    """Sound rows are kept as they were; nothing stands in the fresh journal that nobody wrote."""
    content = bytearray(await written(path, 200))
    real = {row.key: row.body for row in await rows_of(path)}
    content = bytearray(path.read_bytes())
    dice = random.Random(seed)
    for _ in range(1 + seed % 3):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)
    refused: Fatal | None = None
    rows: list[JournalRow] = []
    try:
        rows = await rows_of(path)
    except Fatal as fatal:
        refused = fatal
    if refused is not None:
        assert refused.code in ("JOURNAL_OTHER", "JOURNAL_NEWER"), refused
        assert path.read_bytes() == bytes(content)  # and not touched
        return
    assert verify_journal(path).ok
    known = [row for row in rows if row.kind == "intent"]
    assert {row.key: row.body for row in known}.items() <= real.items()
    if not asides(path):
        return  # what was hit is free space, or is of no row
    [aside] = asides(path)
    first = from_row(rows[0])
    assert isinstance(first, JournalSetAside)
    assert first.file == aside.name
    assert aside.read_bytes() == bytes(content)
    assert first.kept >= len(known)
