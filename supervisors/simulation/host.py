"""The simulated machine that an engine runs on. It outlives the engine's lives: disk, latch, clock, control endpoint."""

import asyncio
import contextvars
from collections.abc import Sequence
from typing import Any

from allstop.actors.clock import Clock
from allstop.actors.errors import AllstopError, BadInput, Fatal, Problem, ReplyError
from allstop.actors.links.latch import LatchState, MemoryLatch
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.ports import Answering, JournalEntry, JournalRow, JournalStore
from allstop.supervisors.simulation.ended import make_inert
from allstop.supervisors.simulation.witness import Witness

ORIGIN_NS = 1_767_225_600_000_000_000  # 2026-01-01, when every simulation begins
ANSWER_S = 30.0  # as the control socket


class NobodyThere(AllstopError):
    """No engine listens on this host's control endpoint."""


class HostClock:
    """The machine's wall: it can be set (`step`) and run fast or slow (`drift`), and survives what runs on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin_ns: int = ORIGIN_NS) -> None:
        self._loop = loop
        self._origin_ns = origin_ns
        self._rate = 1.0
        self._base_s = 0.0
        self._gained_ns = 0  # by drifting, and not set right yet

    def now_s(self) -> float:
        return self._loop.time()

    def wall_ns(self) -> int:
        return self._origin_ns + int((self._loop.time() - self._base_s) * self._rate * 1e9)

    def step(self, seconds: float) -> None:
        """Sets the wall forward, or back."""
        self._origin_ns += int(seconds * 1e9)

    def drift(self, parts_per_million: float) -> None:
        """From now on the wall runs so much too fast. 0 ends that: NTP is back, and sets right what it gained or lost.
        Two drifts of half a second each would otherwise be a wall that is wrong for good, by more than any gate admits."""
        now_ns, now_s = self.wall_ns(), self._loop.time()
        self._gained_ns += int((now_s - self._base_s) * (self._rate - 1.0) * 1e9)
        self._base_s = now_s
        self._origin_ns = now_ns
        self._rate = 1.0 + parts_per_million * 1e-6
        if not parts_per_million:
            self._origin_ns -= self._gained_ns
            self._gained_ns = 0


class LifeClock:
    """The machine's clocks as one life of the engine reads them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: HostClock) -> None:
        self._time = loop.time
        self._clock = clock

    def now_s(self) -> float:
        return self._time()

    def wall_ns(self) -> int:
        return self._clock.wall_ns()


class WitnessedDisk(MemoryDisk):
    """A disk whose commits are seen."""

    def __init__(self, clock: Clock, witness: Witness) -> None:
        super().__init__(clock)
        self._witness = witness

    def begun(self, chain: str, rows: list[JournalRow]) -> None:
        super().begun(chain, rows)
        self._witness.reached(f"committing {chain}")

    def store(self, chain: str, rows: list[JournalRow], *, durable: bool) -> None:
        try:
            super().store(chain, rows, durable=durable)
        except Fatal:
            self._witness.lost(chain)
            raise
        if rows or durable:
            self._witness.stored(chain, rows, durable)

    def damaged(self, chain: str, row: JournalRow) -> None:
        self._witness.damaged(chain, row)

    def set_aside(self, chain: str, file: str, fresh: list[JournalRow]) -> None:
        super().set_aside(chain, file, fresh)
        self._witness.replaced(chain, file, fresh)

    def power_cut(self) -> dict[str, list[JournalRow]]:
        left = super().power_cut()
        for chain, rows in left.items():
            self._witness.left(chain, rows)
        return left


class SimulatedHost:
    """One machine. `power_cut` is the world's affair (world.py); what it does to the machine is `lose_power`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, witness: Witness | None = None) -> None:
        self.clock = HostClock(loop)
        self.disk = WitnessedDisk(self.clock, witness or Witness())
        self.latch = MemoryLatch()
        self.keys: dict[tuple[str, str, str], object] = {}
        self.endpoint: ControlEndpoint | None = None

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Asks the engine that listens, as `allstop halt` and its like do. Raises NobodyThere."""
        endpoint = self.endpoint
        if endpoint is None:
            raise NobodyThere("no engine listens on this host")
        return await endpoint.ask(request)


class LifeHost:
    """The machine's ports for one life of the engine: a Host."""

    def __init__(self, host: SimulatedHost, life: int) -> None:
        self._host = host
        self._life = life
        self.latch = LifeLatch(host.latch)
        self._held: list[KeyHeld] = []

    def hold_key(self, venue: str, account: str, key: str) -> "KeyHeld":
        taken = self._host.keys
        if (venue, account, key) in taken:
            raise BadInput(
                Problem(f"the key of {venue}.{account} is in use by another engine: stop it first")
            )
        held = KeyHeld(taken, (venue, account, key))
        self._held.append(held)
        return held

    def control(self, answer: Answering) -> "ControlEndpoint":
        return ControlEndpoint(self._host, answer)

    def end(self) -> None:
        """The life is over: what its process held is free, and its ports are inert."""
        for held in self._held:
            held.release()
            make_inert(held)
        host = self._host
        if host.endpoint is not None:
            host.endpoint.hang_up()
            make_inert(host.endpoint)
            host.endpoint = None
        make_inert(self.latch)
        make_inert(self)


class LifeLatch:
    """The machine's latch as one life reaches it."""

    def __init__(self, latch: MemoryLatch) -> None:
        self._latch = latch

    def read(self) -> LatchState:
        return self._latch.read()

    def write(self, by: str, reason: str, at_ns: int) -> LatchState:
        return self._latch.write(by, reason, at_ns)

    def lift(self, by: str, reason: str, at_ns: int) -> LatchState:
        return self._latch.lift(by, reason, at_ns)


class KeyHeld:
    """The lock on one key."""

    def __init__(self, taken: dict[tuple[str, str, str], object], key: tuple[str, str, str]) -> None:
        self._taken = taken
        self._key = key
        taken[key] = self

    def release(self) -> None:
        if self._taken.get(self._key) is self:
            del self._taken[self._key]


class ControlEndpoint:
    """Where commands reach the engine: its control socket without a socket."""

    def __init__(self, host: SimulatedHost, answer: Answering) -> None:
        self._host = host
        self._answer = answer
        self._context = contextvars.copy_context()  # requests are handled within the life that listens
        self._waiting: dict[asyncio.Future[dict[str, Any]], None] = {}

    async def start(self) -> None:
        if self._host.endpoint is not None:
            raise BadInput(Problem("another engine is running on this host"))
        self._host.endpoint = self

    async def close(self) -> None:
        if self._host.endpoint is self:
            self._host.endpoint = None
        self.hang_up()

    def hang_up(self) -> None:
        """Whoever waits for an answer gets none."""
        for waiting in list(self._waiting):
            if not waiting.done():
                waiting.set_exception(NobodyThere("the engine went away"))

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        waiting = self._waiting
        waiting[answer] = None
        serving = loop.create_task(self._serve(request, answer), context=self._context)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        finally:
            waiting.pop(answer, None)
            serving.cancel()

    async def _serve(self, request: dict[str, Any], answer: "asyncio.Future[dict[str, Any]]") -> None:
        try:
            told = {"ok": True, **await self._answer(request)}
        except (ReplyError, BadInput) as error:
            told = {"ok": False, "error": type(error).__name__, "message": str(error)}
        if not answer.done():
            answer.set_result(told)


class LifeDisk:
    """The machine's journals as one life of the engine opens them: a JournalOpener."""

    def __init__(self, disk: MemoryDisk, witness: Witness) -> None:
        self._disk = disk
        self._witness = witness
        self._opened: list[tuple[Any, Any]] = []

    async def open_journal(self, chain: str) -> JournalStore:
        disk, opened, witness = self._disk, self._opened, self._witness
        journal = await disk.open_journal(chain)
        store = LifeJournal(journal, witness)
        opened.append((journal, store))
        return store

    def end(self) -> None:
        for journal, store in self._opened:
            make_inert(journal)
            make_inert(store)
        make_inert(self)


class LifeJournal:
    """A JournalStore."""

    def __init__(self, journal: JournalStore, witness: Witness) -> None:
        self.epoch = journal.epoch
        self._journal = journal
        self._witness = witness

    async def append(self, entries: Sequence[JournalEntry], *, durable: bool = True) -> int:
        witness = self._witness
        witness.reached("commit")
        seq = await self._journal.append(entries, durable=durable)
        witness.reached("committed")
        if any(entry.kind == "intent" for entry in entries):
            witness.reached("intended")
        return seq

    async def read(
        self, *, after_seq: int = 0, kinds: Sequence[str] | None = None, key: str | None = None
    ) -> list[JournalRow]:
        return await self._journal.read(after_seq=after_seq, kinds=kinds, key=key)

    async def close(self) -> None:
        await self._journal.close()
