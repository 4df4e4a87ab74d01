"""A disk in memory that does wrong: slow, full, torn, flipped, and what a power cut leaves."""

import asyncio

import pytest

from allstop.actors.clock import LoopClock
from allstop.actors.errors import Fatal
from allstop.actors.links.condition import DiskCondition
from allstop.actors.links.memory_journal import MemoryDisk, MemoryJournal
from allstop.actors.ports import JournalEntry
from allstop.actors.protocols.records import JournalSetAside, from_row

pytestmark = pytest.mark.virtual

CHAIN = "kraken.main"


def disk() -> MemoryDisk:
    return MemoryDisk(LoopClock(asyncio.get_running_loop()))


def entry(n: int) -> JournalEntry:
    return JournalEntry(kind="note", key=str(n), body=b'{"n":1}')


def keys(on: MemoryDisk) -> list[str]:
    return [row.key for row in on.rows(CHAIN)[1:]]  # the first is the epoch's


async def opened(on: MemoryDisk) -> MemoryJournal:
    return await on.open_journal(CHAIN)


async def test_a_slow_disk_takes_longer_for_its_chain_only_until_it_is_fast_again():
    on = disk()
    journal, other = await opened(on), await on.open_journal("runtime")
    on.set(CHAIN, DiskCondition(commit_s=0.5))
    loop = asyncio.get_running_loop()
    await other.append([entry(0)])
    assert loop.time() == 0.0
    await journal.append([entry(1)])
    assert loop.time() == 0.5
    on.set(CHAIN, DiskCondition())
    await journal.append([entry(2)])
    assert loop.time() == 0.5


async def test_a_full_disk_fails_every_commit_and_the_next_process_starts_once_there_is_room():
    on = disk()
    journal = await opened(on)
    await journal.append([entry(1)])
    on.set(CHAIN, DiskCondition(full=True))
    with pytest.raises(Fatal, match="disk is full"):
        await journal.append([entry(2)])
    with pytest.raises(Fatal, match="disk is full"):
        await opened(on)
    on.set(CHAIN, DiskCondition())
    await opened(on)
    assert keys(on)[0] == "1"
    assert on.verify(CHAIN).bad is None


@pytest.mark.parametrize(("keep", "left"), [(0.0, 0), (0.5, 2), (1.0, 4)])
async def test_a_power_cut_keeps_some_of_what_was_not_flushed_if_it_is_torn_and_else_nothing(
    keep: float, left: int
):
    on = disk()
    journal = await opened(on)
    for n in range(4):
        await journal.append([entry(n)], durable=False)
    if keep:
        on.tear(CHAIN, keep)
    on.power_cut()
    assert keys(on) == [str(n) for n in range(left)]
    assert on.verify(CHAIN).bad is None
    await opened(on)


@pytest.mark.parametrize(("keep", "there"), [(0.2, False), (0.8, True)])
async def test_a_commit_that_was_being_made_when_the_power_went_is_there_whole_or_not_at_all(
    keep: float, there: bool
):
    on = disk()
    journal = await opened(on)
    on.set(CHAIN, DiskCondition(commit_s=1.0))
    committing = asyncio.create_task(journal.append([entry(1), entry(2)]))
    await asyncio.sleep(0.5)
    on.tear(CHAIN, keep)
    on.power_cut()
    with pytest.raises(Fatal, match="power is off"):
        await committing
    assert keys(on) == (["1", "2"] if there else [])
    assert on.verify(CHAIN).bad is None


@pytest.mark.parametrize(("keep", "left"), [(0.1, 0), (0.3, 1), (0.5, 2), (0.7, 2), (1.0, 3)])
async def test_of_commits_that_were_not_flushed_the_oldest_are_there_each_whole_the_one_under_way_last(
    keep: float, left: int
):
    on = disk()
    journal = await opened(on)
    commits = [[1, 2, 3], [4], [5, 6]]
    for commit in commits[:2]:
        await journal.append([entry(n) for n in commit], durable=False)
    on.set(CHAIN, DiskCondition(commit_s=1.0))
    committing = asyncio.create_task(journal.append([entry(n) for n in commits[2]]))
    await asyncio.sleep(0.5)
    on.tear(CHAIN, keep)
    assert [row.key for row in on.power_cut().get(CHAIN, [])] == [str(n) for c in commits[:left] for n in c]
    assert keys(on) == [str(n) for commit in commits[:left] for n in commit]
    assert on.verify(CHAIN).bad is None
    with pytest.raises(Fatal, match="power is off"):
        await committing


async def test_a_commit_that_failed_and_those_that_waited_behind_it_are_not_on_the_disk_after_a_tear():
    on = disk()
    journal = await opened(on)
    on.fail_next_commit(CHAIN)
    ends = await asyncio.gather(*(journal.append([entry(n)]) for n in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [Fatal, Fatal, Fatal]
    on.tear(CHAIN, 1.0)
    assert on.power_cut() == {}
    assert keys(on) == []


async def test_what_waited_in_a_journal_without_power_is_not_torn_into_the_chain_of_the_next():
    on = disk()
    journal = await opened(on)
    on.set(CHAIN, DiskCondition(commit_s=1.0))
    waiting = [asyncio.create_task(journal.append([entry(n)])) for n in range(2)]
    await asyncio.sleep(0.5)
    on.power_cut()
    on.set(CHAIN, DiskCondition())
    await opened(on)
    rows = on.rows(CHAIN)
    await asyncio.sleep(0.6)  # the first is over, and the second would have begun
    on.tear(CHAIN, 1.0)
    assert on.power_cut() == {}
    assert on.rows(CHAIN) == rows
    assert on.verify(CHAIN).bad is None
    assert [type(task.exception()) for task in waiting] == [Fatal, Fatal]


async def test_a_tear_is_for_one_power_cut():
    on = disk()
    journal = await opened(on)
    await journal.append([entry(1)], durable=False)
    on.tear(CHAIN, 1.0)
    on.power_cut()
    journal = await opened(on)
    await journal.append([entry(2)], durable=False)
    on.power_cut()
    assert "1" in keys(on)
    assert "2" not in keys(on)


async def test_what_a_torn_power_cut_left_is_durable_from_then_on():
    on = disk()
    journal = await opened(on)
    await journal.append([entry(1)], durable=False)
    on.tear(CHAIN, 1.0)
    on.power_cut()
    on.power_cut()
    assert keys(on) == ["1"]


@pytest.mark.parametrize("where", [0.0, 0.5, 0.999, 1.0])
async def test_a_flipped_bit_breaks_the_chain_where_it_is(where: float):
    on = disk()
    journal = await opened(on)
    for n in range(9):
        await journal.append([entry(n)])
    assert on.flip(CHAIN, where)
    bad = on.verify(CHAIN).bad
    assert bad is not None
    assert bad.seq == min(int(where * 10), 9) + 1
    before = on.rows(CHAIN)
    again = await opened(on)
    assert on.verify(CHAIN).ok
    [(file, aside)] = on.aside.items()
    assert aside == before
    carried = [row.key for row in await again.read() if not row.kind.startswith("journal.")]
    assert carried == [str(n) for n in range(9) if n + 2 != bad.seq]
    first = from_row(on.rows(CHAIN)[0])
    assert isinstance(first, JournalSetAside)
    assert (first.file, first.kept, first.lost) == (file, 9, 1)


async def test_a_disk_without_rows_has_no_bit_to_flip():
    assert not disk().flip("nothing", 0.5)
