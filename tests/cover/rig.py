"""A guardian on virtual time: a toy venue behind its desk, a journal in memory, and a root and a gate that listen."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
from tests.cover.toy_venue import BTC, PAIR, PuppetDesk, ToyVenue

from allstop.actors.commands import CoverView, GetCover, HaltProof, Proof, ProveHalt, Reports
from allstop.actors.cover_journal import RefJournal
from allstop.actors.events import CoverChanged, Event
from allstop.actors.guardian import Guardian, GuardianSettings, KeyState, guardian_settings
from allstop.actors.intents import OrderIntent
from allstop.actors.journal import JournalActor, append, read
from allstop.actors.levels import CastVote, Level, LevelBoard, Origin, Vote, WithdrawVote
from allstop.actors.limits.kraken import Tier
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.protocols.lookup import LOOPBACK
from allstop.actors.protocols.records import AttemptStarted, IntentCommitted, Record, from_row
from allstop.actors.runtime import Actor, ActorSystem, Ref

ACCOUNT = "/accounts/kraken.main"
GUARDIAN = f"{ACCOUNT}/guardian"
CHAIN = "kraken.main"


class Root(Actor):
    """The one writer of the board, as the halt root is."""

    def __init__(self, board: LevelBoard, heard: list[Vote]) -> None:
        self._board = board
        self._heard = heard

    def on_receive(self, message: object) -> None:
        match message:
            case CastVote(vote=vote):
                self._heard.append(vote)
                self._board.cast(vote)
            case WithdrawVote(by=by, scope=scope):
                self._board.withdraw(by, scope)
            case _:
                raise TypeError(repr(message))


class Listener(Actor):
    def __init__(self, heard: list[Proof]) -> None:
        self._heard = heard

    def on_receive(self, message: Proof) -> None:
        self._heard.append(message)


class Rig:
    """`venue` is the truth. `crash` kills the guardian, `start` starts the next incarnation on the same journal."""

    def __init__(self, system: ActorSystem, settings: GuardianSettings, *, stops_hold_balance: bool) -> None:
        self.system = system
        self.settings = settings
        self.venue = ToyVenue(system.clock.wall_ns, stops_hold_balance=stops_hold_balance)
        self.desk = PuppetDesk(self.venue)
        self.board = LevelBoard()
        self.votes: list[Vote] = []
        self.proofs: list[Proof] = []
        self.events: list[Event] = []
        self.disk = MemoryDisk(system.clock)
        self.journal: Ref = system.address(f"{ACCOUNT}/store/journal")
        self.guardian: Ref = system.address(GUARDIAN)
        self.crashes = 0
        self.key_state: Callable[[], Awaitable[KeyState]] | None = None
        self.matching = True
        self.taking = True
        system.subscribe(self.events.append)

    async def open(self) -> None:
        await self.system.spawn(Root, self.board, self.votes, path="/")
        await self.system.spawn(Listener, self.proofs, path=f"{ACCOUNT}/trading/gate")
        await self.system.spawn(JournalActor, self.disk.open_journal, CHAIN, path=f"{ACCOUNT}/store/journal")

    async def start(self) -> None:
        await self.system.spawn(
            Guardian,
            self.settings,
            open_desk=lambda: self.desk,
            journal=RefJournal(self.journal),
            instruments={PAIR: BTC},
            board=self.board,
            root=self.system.address("/"),
            gate=self.system.address(f"{ACCOUNT}/trading/gate"),
            key_state=self.key_state,
            trading=self,
            path=GUARDIAN,
        )

    # -- a PairTrading --

    def matches(self, pair: str) -> bool:
        del pair
        return self.matching

    def takes(self, pair: str) -> bool:
        del pair
        return self.taking

    async def taken(self, pair: str) -> None:
        while not self.takes(pair):
            await asyncio.sleep(0.5)

    def kill(self) -> None:
        self.system.kill(self.guardian)

    async def intend(self, intent: OrderIntent, *, attempted: bool = True) -> None:
        """Journals an entry as the orders actor does, before it is sent."""
        now_ns = self.system.clock.wall_ns()
        records: list[Record] = [
            IntentCommitted(
                intent=intent, origin=Origin.STRATEGY, scope=("kraken", "main", PAIR), at_ns=now_ns
            )
        ]
        if attempted:
            records.append(
                AttemptStarted(
                    intent_id=intent.id, attempt=1, channel="session", deadline_s=0.5, at_ns=now_ns
                )
            )
        await append(self.journal, records)

    async def enter(self, intent: OrderIntent, fill: str | None = None) -> str:
        """Journals an entry, places it at the venue, and fills so much of it."""
        await self.intend(intent)
        order_id = self.venue.place(intent)
        if fill is not None:
            self.venue.fill(order_id, fill)
        return order_id

    def stream(self) -> None:
        """The private stream tells everything."""
        self.guardian.tell(Reports(reports=tuple(self.venue.orders.values())))

    async def view(self) -> CoverView:
        return await self.guardian.call(GetCover(), timeout_s=5.0)

    async def prove_halt(self, timeout_s: float = 5.0) -> HaltProof:
        return await self.guardian.call(ProveHalt(reason="test"), timeout_s=timeout_s)

    async def records(self) -> list[Record]:
        return [from_row(row) for row in await read(self.journal)]  # type: ignore[misc]

    async def until(self, true: Callable[[], bool], within_s: float) -> float:
        """How long it took until it was true, in virtual seconds. Fails when it is not, in time."""
        clock = self.system.clock
        began_s = clock.now_s()
        while not true():
            assert clock.now_s() - began_s < within_s, f"not within {within_s} s: {self.venue.orders}"
            await asyncio.sleep(0.005)
        return clock.now_s() - began_s

    async def until_audited(self) -> None:
        self.proofs.clear()
        await self.until(lambda: any(p.holds for p in self.proofs), 5.0)

    def naked(self) -> bool:
        return self.venue.covered() != abs(self.venue.position())

    def level(self) -> Level:
        return self.board.effective(("kraken", "main"))

    def states(self) -> list[str]:
        return [e.state for e in self.events if isinstance(e, CoverChanged)]


@asynccontextmanager
async def rig(
    *, start: bool = True, cover_s: float = 2.0, stops_hold_balance: bool = False, **changes: object
) -> AsyncGenerator[Rig]:
    settings = msgspec.structs.replace(
        guardian_settings("kraken", "main", cover_s=cover_s, timing=LOOPBACK, tier=Tier.PRO), **changes
    )
    async with ActorSystem() as system:
        made = Rig(system, settings, stops_hold_balance=stops_hold_balance)
        await made.open()
        if start:
            await made.start()
            await made.until_audited()
        yield made
    assert system.leaked == []
