"""The account's journal as the guardian uses it: it goes on without one when it must."""

from collections.abc import Callable, Sequence
from typing import Protocol

from allstop.actors import journal as journal_actor
from allstop.actors.journal import Committed, JournalDown
from allstop.actors.ports import JournalRow
from allstop.actors.protocols.records import Opaque, Record, from_body
from allstop.actors.runtime import Ref


class CoverJournal(Protocol):
    @property
    def lost(self) -> bool:
        """The last commit failed: nothing can be made durable, and the emergency rule is on."""
        ...

    async def note(self, *records: Record, durable: bool = True) -> None:
        """Commits the records, all or none. With a lost journal it returns all the same: egress then keeps a list of
        its own, and lets only CANCEL and PROTECT pass."""
        ...

    async def rows(self) -> list[JournalRow]:
        """Everything committed so far. Raises JournalDown."""
        ...

    @property
    def actor(self) -> Ref:
        """Whose end is to be heard of: the next incarnation knows nobody who followed this one."""
        ...

    async def follow(self, path: str, take: Callable[[Record], None], *, after_seq: int = 0) -> None:
        """Tells every record committed after a seq, from now on; asked again, those that were not told yet. Raises
        JournalDown."""
        ...


class RefJournal:
    """A journal behind its actor's address. `append_timeout_s` is a part of cover_s: a disk that hangs must not cost the
    cover that the record is about, and one that is only slow answers after the commit under way and our own."""

    def __init__(self, journal: Ref, *, append_timeout_s: float = 1.0) -> None:
        self._journal = journal
        self._append_timeout_s = append_timeout_s
        self._lost = False
        self._told_seq = 0

    @property
    def actor(self) -> Ref:
        return self._journal

    @property
    def lost(self) -> bool:
        return self._lost

    async def note(self, *records: Record, durable: bool = True) -> None:
        try:
            await journal_actor.append(
                self._journal, records, durable=durable, timeout_s=self._append_timeout_s
            )
        except JournalDown:
            self._lost = True
        else:
            self._lost = False

    async def rows(self) -> list[JournalRow]:
        return await journal_actor.read(self._journal)

    async def follow(self, path: str, take: Callable[[Record], None], *, after_seq: int = 0) -> None:
        def told(committed: Sequence[Committed]) -> None:
            for entry in committed:
                self._told_seq = entry.seq
                record = from_body(entry.kind, entry.key, entry.body)
                if not isinstance(record, Opaque):
                    take(record)

        self._told_seq = max(self._told_seq, after_seq)
        await journal_actor.subscribe(self._journal, path, told, after_seq=self._told_seq)
