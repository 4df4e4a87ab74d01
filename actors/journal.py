"""The journal's actor: the one writer of a chain, the only source of what counts as committed.

Appends that arrive while a commit is under way wait and are committed together with the next one, so that a flush of
the disk is shared by all who wait for it. Subscribers are told of committed entries, in order, before the appender is
answered: whoever acts on an answer finds everybody else informed.

A commit that failed is the end: the callers get the error, nothing is retried, and the actor exits `Fatal`. The halt
is latched above.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from allstop.actors.errors import AllstopError, Fatal, ReplyError
from allstop.actors.exits import Exit
from allstop.actors.levels import ROOT, CastVote, Level, Scope, Vote, WithdrawVote
from allstop.actors.ports import JournalEntry, JournalOpener, JournalRow, JournalStore
from allstop.actors.protocols.records import (
    JOURNAL_KEY,
    JournalSetAside,
    LossAccepted,
    Record,
    from_row,
    to_entries,
)
from allstop.actors.protocols.unread import shown
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Mailbox, MailboxFull, Overflow, Ref, Reply

# A commit is some milliseconds; a disk that has not answered by now is as good as lost to whoever waits.
APPEND_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0  # a whole journal, at start
RESTART_POLL_S = 0.02  # a journal opens again in some milliseconds
# Entries of one commit; what a store takes at once is at least twice this.
BATCH_ENTRIES_MAX = 512
# Appends that wait for the commit under way; each is one order's next step, and there are hundreds of orders.
WAITING_MAX = 4096


class JournalBusy(ReplyError):
    """More appends wait than any load explains: the disk does not keep up."""


class JournalDown(AllstopError):
    """The journal did not commit, or did not say so in time: what was appended must be taken as not committed, and
    may yet be found in the journal. `lost`: there will be no journal any more."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class Committed(msgspec.Struct, frozen=True):
    """An entry that is in the journal."""

    seq: int
    kind: str
    key: str
    body: bytes


Subscriber = Callable[[Sequence[Committed]], None]


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """Commit these entries, all or none. Answered with the seq of the last."""

    entries: tuple[JournalEntry, ...]
    durable: bool = True


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with the committed rows after a seq, in order."""

    after_seq: int = 0
    kinds: tuple[str, ...] | None = None
    key: str | None = None


class Subscribe(msgspec.Struct, frozen=True, kw_only=True):
    """Tell `callback` what is committed after `after_seq` (what is there already, first), from now on. It runs on the
    loop, at once, and must not raise. A later subscription under the same path takes its place. Answered with True
    when what is there was told."""

    path: str
    callback: Subscriber
    after_seq: int = 0


class AcceptLoss(msgspec.Struct, frozen=True, kw_only=True):
    """From a person: what was lost with a journal that was set aside is accepted. Answered with the names under which
    such journals stand; empty: there was none."""

    by: str
    reason: str


class _Waiting(msgspec.Struct):
    request: Append | Subscribe
    reply: Reply


class JournalActor(Actor):
    """Owns a chain's store. Exits Fatal when it cannot be opened, or loses a commit.

    A journal that was damaged was set aside, and the one in its place does not say all that happened: nobody enters upon
    it (`votes` takes READ_ONLY for `scope`, latched) before a person has accepted the loss, in this process or another.
    Nor upon one with records of a version that is not known here, before the code that wrote them reads it.
    """

    mailbox = Mailbox(capacity=4096, overflow=Overflow.REFUSE)

    def __init__(
        self, open_journal: JournalOpener, chain: str, *, votes: Ref | None = None, scope: Scope = ROOT
    ) -> None:
        super().__init__()
        self._votes = votes
        self._scope = scope
        self._open = open_journal
        self._chain = chain
        self._store: JournalStore | None = None
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._subscribers: dict[str, Subscriber] = {}
        self._unread: set[int] = set()  # rows of a version that is not known here

    async def on_start(self) -> None:
        self._store = await self._open(self._chain)
        if losses := await self._losses(self._store):
            self._vote(losses)
        self.start_task(self._write(self._store), "writer")

    async def on_receive(self, message: object) -> object:
        match message:
            case Append() | Subscribe():
                if len(self._waiting) >= WAITING_MAX:
                    raise JournalBusy(f"{self._chain}: {WAITING_MAX} appends are waiting")
                self._waiting.append(_Waiting(message, self.defer()))
                self._wake.set()
                return None
            case Read() if self._store is not None:
                return await self._read(self._store, message)
            case AcceptLoss() if self._store is not None:
                return await self._accept(self._store, message)
            case _:
                raise TypeError(f"the journal does not know {message!r}")

    async def on_stop(self, exit_: Exit) -> None:
        if self._store is not None and not exit_.fatal:
            await self._store.close()

    async def _read(self, store: JournalStore, read: Read) -> list[JournalRow]:
        """The rows as this code can take them. What it cannot read is told when it is first met: whoever trades reads all
        of it before any entry passes."""
        rows, unread = shown(await store.read(after_seq=read.after_seq, kinds=read.kinds, key=read.key))
        if new := [one for one in unread if one.seq not in self._unread]:
            self._unread.update(one.seq for one in new)
            words = ", ".join(sorted({one.why for one in unread}))
            reason = f"another version wrote this journal: {words}: only exits pass until the code that wrote it runs"
            self.log.critical(
                "journal.unknown_version", chain=self._chain, rows=len(self._unread), reason=reason
            )
            if self._votes is not None:
                voter = f"{self.path}#version"  # beside what a person can accept: nobody can accept this
                self._votes.tell(CastVote(Vote(voter, self._scope, Level.READ_ONLY, reason)))
        return rows

    async def _losses(self, store: JournalStore) -> dict[str, JournalSetAside]:
        """The journals that were set aside and that no person has accepted, by their names."""
        losses: dict[str, JournalSetAside] = {}
        accepted: set[str] = set()
        for row in await self._read(store, Read(key=JOURNAL_KEY)):
            match from_row(row):
                case JournalSetAside() as aside:
                    losses[aside.file] = aside
                case LossAccepted(files=files):
                    accepted.update(files)
                case _:
                    pass
        return {file: aside for file, aside in losses.items() if file not in accepted}

    def _vote(self, losses: dict[str, JournalSetAside]) -> None:
        words = [f"{one.file} ({one.what}; {one.kept} rows kept, {one.lost} lost)" for one in losses.values()]
        reason = (
            f"the journal was damaged and set aside: {', '.join(words)}: a person accepts that by a reset"
        )
        self.log.critical("journal.set_aside", chain=self._chain, reason=reason)
        if self._votes is not None:
            self._votes.tell(CastVote(Vote(self.path, self._scope, Level.READ_ONLY, reason), latched=True))

    async def _accept(self, store: JournalStore, accept: AcceptLoss) -> tuple[str, ...]:
        """Durable first: the next process must not ask again."""
        files = tuple(await self._losses(store))
        if not files:
            return ()
        accepted = LossAccepted(files=files, by=accept.by, reason=accept.reason, at_ns=self.clock.wall_ns())
        await store.append(to_entries([accepted]))
        if self._votes is not None:
            self._votes.tell(WithdrawVote(self.path, self._scope, by_person=True))
        return files

    async def _write(self, store: JournalStore) -> None:
        """Takes what waits, commits it together, tells the subscribers, answers. A subscription waits its turn, so
        that it misses nothing and hears nothing twice."""
        while True:
            while self._waiting:
                if isinstance(self._waiting[0].request, Subscribe):
                    await self._subscribe(store, self._waiting.popleft())
                else:
                    await self._commit(store, self._batch())
            self._wake.clear()
            await self._wake.wait()

    def _batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and isinstance(request := self._waiting[0].request, Append):
            if batch and size + len(request.entries) > BATCH_ENTRIES_MAX:
                break
            size += len(request.entries)
            batch.append(self._waiting.popleft())
        return batch

    async def _commit(self, store: JournalStore, batch: list[_Waiting]) -> None:
        entries = [entry for waiting in batch for entry in _entries(waiting)]
        durable = any(isinstance(w.request, Append) and w.request.durable for w in batch)
        try:
            last = await store.append(entries, durable=durable)
        except Fatal as error:
            lost = Fatal("JOURNAL_LOST", f"{self._chain}: {error}")
            for waiting in (*batch, *self._waiting):
                waiting.reply.fail(lost)
            raise lost from error
        seq = last - len(entries) + 1
        committed = tuple(
            Committed(seq + i, entry.kind, entry.key, entry.body) for i, entry in enumerate(entries)
        )
        for subscriber in tuple(self._subscribers.values()):
            subscriber(committed)
        for waiting in batch:
            seq += len(_entries(waiting))
            waiting.reply.set(seq - 1)

    async def _subscribe(self, store: JournalStore, waiting: _Waiting) -> None:
        request = waiting.request
        assert isinstance(request, Subscribe)
        if rows := await self._read(store, Read(after_seq=request.after_seq)):
            request.callback([Committed(row.seq, row.kind, row.key, row.body) for row in rows])
        self._subscribers[request.path] = request.callback
        waiting.reply.set(True)


def _entries(waiting: _Waiting) -> tuple[JournalEntry, ...]:
    return waiting.request.entries if isinstance(waiting.request, Append) else ()


async def append(
    journal: Ref, records: Iterable[Record], *, durable: bool = True, timeout_s: float = APPEND_TIMEOUT_S
) -> int:
    """Commits records, all or none. The seq of the last. Raises JournalDown: act as if nothing had been committed."""
    message = Append(entries=to_entries(records), durable=durable)
    return await _ask(journal, message, timeout_s)


async def read(
    journal: Ref,
    *,
    after_seq: int = 0,
    kinds: Sequence[str] | None = None,
    key: str | None = None,
    timeout_s: float = READ_TIMEOUT_S,
) -> list[JournalRow]:
    """The committed rows. A journal that is being restarted is waited for. Raises JournalDown."""
    wanted = None if kinds is None else tuple(kinds)
    return await _ask_again(journal, Read(after_seq=after_seq, kinds=wanted, key=key), timeout_s)


async def subscribe(
    journal: Ref, path: str, callback: Subscriber, *, after_seq: int = 0, timeout_s: float = READ_TIMEOUT_S
) -> None:
    """See `Subscribe`. When it returns, everything committed so far was told. A journal that is being restarted is
    waited for. Raises JournalDown."""
    await _ask_again(journal, Subscribe(path=path, callback=callback, after_seq=after_seq), timeout_s)


async def _ask(journal: Ref, message: object, timeout_s: float) -> Any:
    try:
        return await journal.call(message, timeout_s=timeout_s)
    except (ActorDead, CallTimeout, MailboxFull, JournalBusy, Fatal) as error:
        lost = isinstance(error, Fatal) or (journal.last_exit is not None and journal.last_exit.fatal)
        raise JournalDown(f"{journal.path}: {type(error).__name__}: {error}", lost=lost) from error


async def _ask_again(journal: Ref, message: object, timeout_s: float) -> Any:
    """For what changes nothing: asked again while there is no journal. A commit never is."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    return await journal.call(message, timeout_s=timeout_s)
                except ActorDead:
                    await asyncio.sleep(RESTART_POLL_S)
    except (TimeoutError, MailboxFull, JournalBusy, Fatal) as error:
        raise JournalDown(f"{journal.path}: {type(error).__name__}: {error}") from error
