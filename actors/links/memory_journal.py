"""The journal's twin in memory: the same promises over a disk that can fail, be slow, and lose its power."""

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from allstop.actors.clock import Clock
from allstop.actors.errors import Fatal
from allstop.actors.links.chain import ChainVerdict, Tip, checked, epoch_entry, genesis, linked
from allstop.actors.links.condition import DiskCondition
from allstop.actors.links.salvage import fresh_chain, looked_at
from allstop.actors.ports import JournalEntry, JournalRow


class MemoryDisk:
    """Chains that outlive the journals opened on them. One per simulated host; works on records, not on bytes."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.commit_s = 0.0  # how long a durable commit takes
        self.aside: dict[
            str, list[JournalRow]
        ] = {}  # broken chains, by the name that they were set aside under
        self._conditions: dict[str, DiskCondition] = {}
        self._torn: dict[str, float] = {}
        self._pending: dict[str, list[JournalRow]] = {}  # a durable commit that is being made
        self._unflushed: dict[str, list[int]] = {}  # where each commit ends that was made and not flushed
        self._rows: dict[str, list[JournalRow]] = {}
        self._durable: dict[str, int] = {}  # how many rows of a chain have been flushed
        self._failing: dict[str, str] = {}
        self._open: dict[str, MemoryJournal] = {}

    async def open_journal(self, chain: str) -> "MemoryJournal":
        """A JournalOpener. The journal that had the chain open before is closed. A chain that is broken is set aside,
        and what of it is sound stands in the fresh one."""
        await asyncio.sleep(0)
        if (previous := self._open.get(chain)) is not None:
            await previous.close()
        rows = self._rows.setdefault(chain, [])
        tip, bad = checked(genesis(chain), rows)
        if bad is not None:
            at_ns = self.clock.wall_ns()
            file = f"journal-{chain}.db.broken.{at_ns}"
            found = map(looked_at, rows)
            fresh = fresh_chain(chain, found, file=file, what=f"row {bad.seq}: {bad.what}", at_ns=at_ns)
            self.set_aside(chain, file, fresh)
            tip, _ = checked(genesis(chain), fresh)
        journal = self._open[chain] = MemoryJournal(self, chain, tip)
        await journal.append([epoch_entry(journal.epoch)])
        return journal

    def set_aside(self, chain: str, file: str, fresh: list[JournalRow]) -> None:
        """The chain is kept under `file`, and `fresh` takes its place: both at once, and durable. Raises Fatal on a disk
        that is full."""
        if chain in self._conditions and self._conditions[chain].full:
            raise Fatal("JOURNAL_FAILED", f"{chain}: database or disk is full")
        self.aside[file] = self._rows[chain]
        self._rows[chain] = fresh
        self._durable[chain] = len(fresh)
        self._unflushed.pop(chain, None)

    def fail_next_commit(self, chain: str, error: str = "disk I/O error") -> None:
        """The next commit of the chain fails, and with it its journal."""
        self._failing[chain] = error

    def set(self, chain: str, condition: DiskCondition) -> None:
        """From now on the disk under this chain is so."""
        self._conditions[chain] = condition

    def tear(self, chain: str, keep: float) -> None:
        """At the next power cut this part (0 to 1) of the commits that were not flushed is on the disk, the oldest first,
        and the rest is not. The one that is being made is the last of them; nobody was told of it. A commit is never
        there in part, for its store writes it in one transaction: so half of one commit is that commit, half of three
        are two."""
        self._torn[chain] = keep

    def flip(self, chain: str, where: float) -> bool:
        """One bit of a row's body is another: of the row at `where` (0 to 1) of them all. False: there is none."""
        rows = self._rows.get(chain, [])
        if not rows:
            return False
        place = min(int(where * len(rows)), len(rows) - 1)
        body = bytearray(rows[place].body)
        body[len(body) // 2] ^= 0x01
        self.damaged(chain, rows[place])
        rows[place] = msgspec.structs.replace(rows[place], body=bytes(body))
        return True

    def damaged(self, chain: str, row: JournalRow) -> None:
        """This row is about to be another. For whoever sees what happens to the disk."""

    def commit_takes_s(self, chain: str) -> float:
        condition = self._conditions.get(chain)
        return self.commit_s if condition is None else self.commit_s + condition.commit_s

    def begun(self, chain: str, rows: list[JournalRow]) -> None:
        """A durable commit is being made."""
        self._pending[chain] = rows

    def power_cut(self) -> dict[str, list[JournalRow]]:
        """Ends every journal at once and drops what was not durable. What a tear left of it is durable from now on:
        those rows, by chain; nobody was told that they are there."""
        for journal in self._open.values():
            journal.end(Fatal("JOURNAL_CLOSED", f"{journal.chain}: the power is off"))
        self._open.clear()
        left: dict[str, list[JournalRow]] = {}
        for chain, rows in self._rows.items():
            durable, keep = self._durable.get(chain, 0), self._torn.pop(chain, 0.0)
            ends, pending = self._unflushed.pop(chain, []), self._pending.pop(chain, [])
            kept = int(keep * (len(ends) + bool(pending)) + 0.5)
            if kept > len(ends):
                rows.extend(pending)
            else:
                del rows[ends[kept - 1] if kept else durable :]
            if len(rows) > durable:
                left[chain] = rows[durable:]
            self._durable[chain] = len(rows)
        return left

    def chains(self) -> list[str]:
        """In the order in which they were first opened."""
        return list(self._rows)

    def rows(self, chain: str, after_seq: int = 0) -> list[JournalRow]:
        """Those of a chain, or its last ones: the first has the number 1."""
        return self._rows.get(chain, [])[after_seq:]

    def replace_row(self, chain: str, seq: int, row: JournalRow) -> None:
        """Puts another row in the place of one: what a flipped bit or a forger does."""
        self._rows[chain][seq - 1] = row

    def verify(self, chain: str) -> ChainVerdict:
        """As verify_journal does for a file."""
        tip, bad = checked(genesis(chain), self.rows(chain))
        return ChainVerdict(
            path="memory", chain=chain, rows=tip.seq, epoch=tip.epoch, tip=tip.hash.hex(), bad=bad
        )

    def store(self, chain: str, rows: list[JournalRow], *, durable: bool) -> None:
        """One commit. Raises Fatal where a failure was asked for; then nothing is stored."""
        if durable:
            self._pending.pop(chain, None)
        if error := self._failing.pop(chain, ""):
            raise Fatal("JOURNAL_FAILED", f"{chain}: {error}")
        if rows and chain in self._conditions and self._conditions[chain].full:
            raise Fatal("JOURNAL_FAILED", f"{chain}: database or disk is full")
        stored = self._rows[chain]
        stored.extend(rows)
        if durable:
            self._durable[chain] = len(stored)
            self._unflushed.pop(chain, None)
        else:
            self._unflushed.setdefault(chain, []).append(len(stored))


class _Commit:
    """What one call of append wants written; with no entries, the end of its journal. `told` is its caller's answer."""

    __slots__ = ("durable", "entries", "rows", "tip", "told", "ts_ns")

    def __init__(self, entries: tuple[JournalEntry, ...], ts_ns: int, durable: bool, tip: Tip) -> None:
        self.entries = entries
        self.ts_ns = ts_ns
        self.durable = durable
        self.tip = tip
        self.rows: list[JournalRow] = []
        self.told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def done(self) -> None:
        if not self.told.done():
            self.told.set_result(self.tip.seq)

    def failed(self, error: Exception) -> None:
        if not self.told.done():
            self.told.set_exception(error)
            self.told.exception()  # the caller has it, or has gone away


class MemoryJournal:
    """A JournalStore on a MemoryDisk. Open it with `MemoryDisk.open_journal`.

    One commit is made after the other. A caller that goes away does not take its rows back: as on a real disk, they may
    be there or not.
    """

    def __init__(self, disk: MemoryDisk, chain: str, tip: Tip) -> None:
        self.chain = chain
        self.epoch = tip.epoch + 1
        self._disk = disk
        self._tip = tip
        self._over: Fatal | None = None
        self._commits: deque[_Commit] = deque()  # the first is being made

    async def append(self, entries: Sequence[JournalEntry], *, durable: bool = True) -> int:
        if not entries:
            raise ValueError("an append takes at least 1 entry")
        return await self._put(_Commit(tuple(entries), self._disk.clock.wall_ns(), durable, self._tip))

    def _put(self, commit: _Commit) -> "asyncio.Future[int]":
        self._commits.append(commit)
        if len(self._commits) == 1:
            self._begin()
        return commit.told

    def _begin(self) -> None:
        loop, commit = asyncio.get_running_loop(), self._commits[0]
        if commit.entries and self._over is None:  # what has ended begins nothing: its successor has the disk
            commit.tip, commit.rows = linked(self._tip, commit.entries, commit.ts_ns, self.epoch)
            if commit.durable:
                self._disk.begun(self.chain, commit.rows)
                loop.call_later(self._disk.commit_takes_s(self.chain), self._made)
                return
        loop.call_soon(self._made)

    def _made(self) -> None:
        commit = self._commits[0]
        try:
            self._write(commit)
        except Exception as error:  # noqa: BLE001 - its caller's
            commit.failed(error)
        else:
            commit.done()
        finally:
            self._commits.popleft()
            if self._commits:
                self._begin()

    def _write(self, commit: _Commit) -> None:
        if not commit.entries:
            if self._over is None:
                self._disk.store(self.chain, [], durable=True)
                self.end(Fatal("JOURNAL_CLOSED", f"{self.chain} is closed"))
            return
        if self._over is not None:
            raise Fatal(self._over.code, self._over.message)
        try:
            self._disk.store(self.chain, commit.rows, durable=commit.durable)
        except Fatal as fatal:
            self.end(fatal)
            raise
        self._tip = commit.tip

    async def read(
        self, *, after_seq: int = 0, kinds: Sequence[str] | None = None, key: str | None = None
    ) -> list[JournalRow]:
        await asyncio.sleep(0)
        return [
            row
            for row in self._disk.rows(self.chain, after_seq)
            if (kinds is None or row.kind in kinds) and (key is None or row.key == key)
        ]

    async def close(self) -> None:
        """Commits what was accepted and flushes it."""
        await self._put(_Commit((), 0, True, self._tip))

    def end(self, over: Fatal) -> None:
        """From now on every append gets `over`. The first end stays."""
        if self._over is None:
            self._over = over
