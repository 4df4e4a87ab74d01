"""What every JournalStore promises, shown on SQLite and on the disk in memory alike."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from allstop.actors.clock import ManualClock
from allstop.actors.errors import Fatal
from allstop.actors.links.chain import checked, genesis
from allstop.actors.links.journal_sqlite import journal_opener
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.ports import JournalEntry, JournalOpener


def on_sqlite(path: Path) -> JournalOpener:
    return journal_opener(path, ManualClock())


def in_memory(path: Path) -> JournalOpener:
    return MemoryDisk(ManualClock()).open_journal


twins = pytest.mark.parametrize("twin", [on_sqlite, in_memory])
Twin = Callable[[Path], JournalOpener]


def entry(key: str, kind: str = "intent") -> JournalEntry:
    return JournalEntry(kind=kind, key=key, body=b"{}")


@twins
async def test_rows_come_back_in_order_and_chained(tmp_path: Path, twin: Twin):
    journal = await twin(tmp_path)("c")
    assert await journal.append([entry("a"), entry("b")]) == 3
    assert await journal.append([entry("c")], durable=False) == 4
    rows = await journal.read()
    await journal.close()
    assert [(row.seq, row.key, row.ts_ns) for row in rows] == [
        (n, key, ManualClock().wall_ns()) for n, key in enumerate(["", "a", "b", "c"], 1)
    ]
    assert checked(genesis("c"), rows)[1] is None


@twins
async def test_the_format_of_the_chain_is_fixed(tmp_path: Path, twin: Twin):
    journal = await twin(tmp_path)("c")
    await journal.append([entry("a")])
    rows = await journal.read()
    await journal.close()
    assert rows[-1].hash.hex() == "d7da7ceaa477746997538fe50968474727f2c5b97142184206349ce259185f76"


@twins
async def test_reading_selects(tmp_path: Path, twin: Twin):
    journal = await twin(tmp_path)("c")
    await journal.append([entry("a"), entry("a", "sent"), entry("b", "sent")])
    assert [row.seq for row in await journal.read(kinds=["sent"], key="a")] == [3]
    assert [row.seq for row in await journal.read(after_seq=3)] == [4]
    await journal.close()


@twins
async def test_epochs_grow_and_chains_are_apart(tmp_path: Path, twin: Twin):
    open_journal = twin(tmp_path)
    first = await open_journal("c")
    await first.close()
    second, other = await open_journal("c"), await open_journal("d")
    epochs = (first.epoch, second.epoch, other.epoch)
    await second.close()
    await other.close()
    assert epochs == (1, 2, 1)


@twins
async def test_a_closed_journal_and_a_replaced_one_refuse(tmp_path: Path, twin: Twin):
    open_journal = twin(tmp_path)
    replaced = await open_journal("c")
    closed = await open_journal("c")
    await closed.close()
    for journal in (replaced, closed):
        with pytest.raises(Fatal, match="JOURNAL_CLOSED"):
            await journal.append([entry("late")])


@twins
async def test_no_entries_are_the_callers_mistake(tmp_path: Path, twin: Twin):
    journal = await twin(tmp_path)("c")
    with pytest.raises(ValueError):
        await journal.append([])
    await journal.close()


async def test_in_memory_a_failed_commit_is_fatal_for_ever_and_stores_nothing():
    disk = MemoryDisk(ManualClock())
    journal = await disk.open_journal("c")
    disk.fail_next_commit("c")
    ends = await asyncio.gather(
        journal.append([entry("a")]), journal.append([entry("b")]), return_exceptions=True
    )
    with pytest.raises(Fatal, match="JOURNAL_FAILED"):
        await journal.append([entry("c")])
    assert [type(end) for end in ends] == [Fatal, Fatal]
    assert disk.verify("c").rows == 1


async def test_in_memory_a_power_cut_drops_what_was_not_flushed_and_nothing_else():
    disk = MemoryDisk(ManualClock())
    journal = await disk.open_journal("c")
    await journal.append([entry("lazy, then flushed")], durable=False)
    await journal.append([entry("durable")])
    await journal.append([entry("lost")], durable=False)
    disk.power_cut()
    with pytest.raises(Fatal, match="power"):
        await journal.append([entry("late")])
    successor = await disk.open_journal("c")
    keys = [row.key for row in await successor.read()]
    assert keys == ["", "lazy, then flushed", "durable", ""]
    assert disk.verify("c").ok


async def test_in_memory_a_power_cut_ends_a_commit_under_way():
    disk = MemoryDisk(ManualClock())
    journal = await disk.open_journal("c")
    appending = asyncio.ensure_future(journal.append([entry("a")]))
    await asyncio.sleep(0)
    disk.power_cut()
    with pytest.raises(Fatal):
        await appending
    assert disk.verify("c").rows == 1


@pytest.mark.virtual
async def test_in_memory_a_slow_disk_takes_its_time():
    disk = MemoryDisk(ManualClock())
    journal = await disk.open_journal("c")
    disk.commit_s = 3.0
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    await journal.append([entry("a")])
    assert loop.time() - start_s == pytest.approx(3.0)


async def test_in_memory_a_journal_with_a_forged_row_is_set_aside():
    disk = MemoryDisk(ManualClock())
    journal = await disk.open_journal("c")
    await journal.append([entry("a"), entry("b")])
    rows = disk.rows("c")
    disk.replace_row("c", 2, rows[2])
    assert not disk.verify("c").ok
    journal = await disk.open_journal("c")
    kept = [row.kind for row in await journal.read(key="b")]
    assert kept == [entry("b").kind, "journal.row_lost"]  # in the place of a stood a copy of b
    assert disk.verify("c").ok
    assert len(disk.aside) == 1
