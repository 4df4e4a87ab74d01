"""The journal's actor: shared commits, subscribers told first, and the end when a commit is lost."""

import asyncio

import pytest

from allstop.actors.clock import LoopClock
from allstop.actors.exits import Exit
from allstop.actors.journal import Committed, JournalActor, JournalDown, append, read, subscribe
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.ports import JournalStore
from allstop.actors.protocols.records import HaltLatched, Withheld, from_body
from allstop.actors.runtime import Actor, ActorSystem, Down, Ref

pytestmark = pytest.mark.virtual


def record(name: str) -> Withheld:
    return Withheld(intent_id=name, reason="test")


class Watcher(Actor):
    """Remembers how what it watches ended."""

    def __init__(self, ref: Ref) -> None:
        super().__init__()
        self.exits: list[Exit] = []
        self.monitor(ref)

    def on_receive(self, message: object) -> None:
        assert isinstance(message, Down)
        self.exits.append(message.exit)


class Journal:
    """A journal's actor on a disk in memory."""

    def __init__(self, commit_s: float = 0.01) -> None:
        self.system = ActorSystem()
        self.disk = MemoryDisk(LoopClock(asyncio.get_running_loop()))
        self.disk.commit_s = commit_s
        self.commits = 0

    async def open(self, chain: str) -> JournalStore:
        store = await self.disk.open_journal(chain)
        appending = store.append

        async def counted(*args: object, **kwargs: object) -> int:
            self.commits += 1
            return await appending(*args, **kwargs)  # pyright: ignore[reportArgumentType]

        store.append = counted
        return store

    async def __aenter__(self) -> "Journal":
        await self.system.__aenter__()
        await self.start()
        return self

    async def start(self) -> None:
        self.ref = await self.system.spawn(JournalActor, self.open, "kraken.main", path="/journal")

    async def __aexit__(self, *_exc: object) -> None:
        await self.system.__aexit__(None, None, None)

    def names(self) -> list[str]:
        return [row.key for row in self.disk.rows("kraken.main") if row.kind == "withheld"]


async def test_appends_that_come_together_share_a_commit() -> None:
    async with Journal() as journal:
        await asyncio.gather(*(append(journal.ref, [record(str(n))]) for n in range(100)))
        assert len(journal.names()) == 100
        assert journal.commits <= 3


async def test_each_appender_is_answered_with_its_own_last_seq() -> None:
    async with Journal() as journal:
        seqs = await asyncio.gather(
            append(journal.ref, [record("a")]),
            append(journal.ref, [record("b"), record("c")]),
            append(journal.ref, [record("d")]),
        )
        keys = {row.seq: row.key for row in journal.disk.rows("kraken.main")}
        assert [keys[seq] for seq in seqs] == ["a", "c", "d"]


async def test_a_commit_is_split_where_it_would_be_more_than_a_store_takes() -> None:
    async with Journal() as journal:
        batches = [[record(f"{n}.{i}") for i in range(400)] for n in range(5)]
        await asyncio.gather(*(append(journal.ref, batch) for batch in batches))
        assert len(journal.names()) == 2000


async def test_subscribers_know_before_the_appender_is_answered() -> None:
    async with Journal() as journal:
        known: list[str] = []
        await subscribe(journal.ref, "/x", lambda committed: known.extend(e.key for e in committed))
        await append(journal.ref, [record("a")])
        assert known[-1] == "a"


async def test_a_subscriber_hears_the_past_and_the_future_once_and_in_order() -> None:
    async with Journal() as journal:
        seqs: list[int] = []

        async def write(n: int) -> None:
            await append(journal.ref, [record(str(n))])

        def heard(committed: object) -> None:
            assert isinstance(committed, list | tuple)
            seqs.extend(entry.seq for entry in committed if isinstance(entry, Committed))

        await asyncio.gather(*(write(n) for n in range(20)))
        await asyncio.gather(
            *(write(n) for n in range(20, 40)),
            subscribe(journal.ref, "/x", heard),
            *(write(n) for n in range(40, 60)),
        )
        assert seqs == [row.seq for row in journal.disk.rows("kraken.main")]


async def test_a_later_subscription_of_the_same_path_takes_the_place_of_the_first() -> None:
    async with Journal() as journal:
        first: list[Committed] = []
        second: list[Committed] = []
        await subscribe(journal.ref, "/x", first.extend)
        await subscribe(journal.ref, "/x", second.extend)
        before = len(first)
        await append(journal.ref, [record("a")])
        assert len(first) == before
        assert second[-1].key == "a"


async def test_a_lost_commit_fails_every_waiting_caller_and_ends_the_actor_fatally() -> None:
    async with Journal() as journal:
        watcher = await journal.system.spawn(Watcher, journal.ref)
        journal.disk.fail_next_commit("kraken.main")
        results = await asyncio.gather(
            *(append(journal.ref, [record(str(n))]) for n in range(5)), return_exceptions=True
        )
        assert [type(result) for result in results] == [JournalDown] * 5
        await asyncio.sleep(0.1)
        (exit_,) = watcher.cell.actor.exits
        assert exit_.fatal
        assert "JOURNAL_LOST" in str(exit_)
        assert journal.names() == []


async def test_a_read_waits_for_a_journal_that_is_being_restarted_and_an_append_does_not() -> None:
    async with Journal() as journal:
        await append(journal.ref, [record("a")])
        journal.system.kill(journal.ref)
        with pytest.raises(JournalDown):
            await append(journal.ref, [record("b")])
        reading = asyncio.ensure_future(read(journal.ref, key="a"))
        await asyncio.sleep(1)
        await journal.start()
        assert [row.key for row in await reading] == ["a"]
        assert journal.names() == ["a"]


async def test_records_are_read_by_kind_and_key() -> None:
    async with Journal() as journal:
        await append(journal.ref, [record("a"), HaltLatched(by="x", reason="y", at_ns=1), record("b")])
        rows = await read(journal.ref, kinds=["halt"])
        assert [from_body(row.kind, row.key, row.body) for row in rows] == [
            HaltLatched(by="x", reason="y", at_ns=1)
        ]
