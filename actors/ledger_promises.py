"""What an account's ledger has promised on disk, and what becomes of the ledger when nothing can be promised any more.

A level is promised before it is used (limits/promised.py). A promise that cannot be written ends the ledger, where its
journal starts again; where it does not, the ledger goes on without, for protection and cancels alone (decision 0015).
"""

import asyncio

import msgspec

from allstop.actors.errors import Fatal
from allstop.actors.journal import Append
from allstop.actors.ledger_rows import LEVEL_KIND, LevelRow
from allstop.actors.levels import ROOT, CastVote, Level, Vote
from allstop.actors.limits.meter import Meter
from allstop.actors.limits.promised import Promised, fresh, restored
from allstop.actors.ports import JournalEntry
from allstop.actors.runtime import Actor, ActorDead, Ref
from allstop.actors.store_board import StoreBoard

FATE_POLL_S = 0.01  # a supervisor decides within a turn of the loop, and a journal opens in some milliseconds


class LedgerPromises:
    """In the name of the ledger, its owner. `rows` is what the disk said at its start, `unwritten` whether nothing can
    be promised any more."""

    def __init__(
        self, owner: Actor, journal: Ref, board: StoreBoard, votes: Ref | None, write_timeout_s: float
    ) -> None:
        self._owner = owner
        self._journal = journal
        self._board = board
        self._votes = votes
        self._write_timeout_s = write_timeout_s
        self.rows: dict[str, LevelRow] = {}
        self.unwritten = False

    def restored(self, name: str, meter: Meter, block: float, floor: float = 0.0) -> Promised:
        """The meter as the disk promised it, with what was given back since; a fresh one where it did not."""
        row = self.rows.get(name)
        if row is None:
            return fresh(meter, block, floor)
        level = row.level
        if name.startswith("rest:"):
            # Calls over the maximum are refused; only batches of cancels go beyond.
            level = min(level, meter.max)
        clock = self._owner.clock
        age_s = (clock.wall_ns() - row.at_ns) / 1e9
        return restored(meter, level, age_s, clock.now_s(), block, floor, row.floor)

    async def kept(self, name: str, charged: Promised) -> Promised:
        """The charged meter, once the disk promises at least its level. Raises as `write` does."""
        clock = self._owner.clock
        now_s = clock.now_s()
        if charged.covered(now_s):
            return charged
        renewed = charged.renewed(now_s)
        row = LevelRow(level=renewed.promise.level, at_ns=clock.wall_ns(), floor=renewed.floor)
        await self.write(LEVEL_KIND, name, row)
        return renewed

    async def write(self, kind: str, key: str, body: object) -> None:
        """Returns when it is durable, or will never be. Raises ActorDead where the journal starts again, and so must
        the ledger; Fatal where it is lost and nobody takes the vote."""
        if self.unwritten:
            return
        entry = JournalEntry(kind=kind, key=key, body=msgspec.json.encode(body))
        incarnation = self._journal.incarnation
        try:
            await self._journal.call(Append(entries=(entry,)), timeout_s=self._write_timeout_s)
        except (ActorDead, Fatal, TimeoutError) as error:
            if isinstance(error, ActorDead) and await self._starts_again(incarnation):
                raise  # and so will this ledger
            self._go_on_unwritten(f"{kind} was not committed: {error}")

    async def _starts_again(self, incarnation: int) -> bool:
        """Whether a journal that died has a next life. That is not known at once: its supervisor hears of its end when
        we do, stops this ledger if there is one, and says so if there is none. One of which nothing is heard for as
        long as a write may take is lost, as a disk that hangs is."""
        clock = self._owner.clock
        until_s = clock.now_s() + self._write_timeout_s
        while not self._board.lost(self._journal):
            ended = self._journal.last_exit
            if ended is not None and ended.fatal:
                return False
            if self._journal.is_alive() and self._journal.incarnation != incarnation:
                return True
            if clock.now_s() >= until_s:
                return False
            await asyncio.sleep(FATE_POLL_S)
        return False

    def _go_on_unwritten(self, why: str) -> None:
        if self._votes is None:
            raise Fatal("LEDGER_WRITE", why)
        self.unwritten = True
        self._owner.log.critical("ledger.unwritten", reason=why)
        self._votes.tell(CastVote(vote=Vote(self._owner.path, ROOT, Level.HALTED, why)))
