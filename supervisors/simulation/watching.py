"""A run's watch: whoever sees something in the simulated world tells the oracles at that moment.

Rows count when a power cut would leave them; the venue says what reached it; the latch says what stands on the disk;
and while the engine is dead, or has not reached the venue yet, nobody asks it for cover.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from allstop.actors.events import BreakerChanged, ChildStarted, ChildTerminated, Event, GaveUp, LevelChanged
from allstop.actors.levels import Level
from allstop.actors.links.latch import LatchState, MemoryLatch
from allstop.actors.ports import HttpRequest, HttpResponse, JournalRow
from allstop.actors.protocols.lookup import PROFILES
from allstop.actors.spec import OnExceeded
from allstop.supervisors.config import Budget, Tree
from allstop.supervisors.kraken_account import account_path
from allstop.supervisors.oracles import EIGHT, PROMISES, Terms, Violation, Watch
from allstop.supervisors.oracles.facts import (
    Barred,
    Believed,
    BookAnew,
    BookWrong,
    CallBegan,
    CallEnded,
    ChainReplaced,
    Denied,
    DiskFailed,
    Ended,
    Fell,
    Freed,
    Heard,
    Held,
    JournalGaveUp,
    Latched,
    Lifted,
    Paused,
    Placing,
    Promised,
    Released,
    Restarted,
    Resumed,
    RowDamaged,
    RowDurable,
    SaidHalted,
    Settled,
    Tried,
    Written,
)
from allstop.supervisors.oracles.kraken_witness import KrakenWitness
from allstop.supervisors.oracles.records import JournalComplete

# Answers by which the venue says that it did not serve the call, and that do not say that the call was wrong.
UNSERVED = re.compile(rb'"E(Service:|General:Internal|General:Temporary|API:Rate|API:Invalid nonce)')
WRITES = frozenset({"AddOrder", "AmendOrder", "CancelOrder", "CancelOrderBatch"})
SYMBOL = re.compile(r'"symbol"\s*:\s*"([^"]+)"')
SNAPSHOT = re.compile(r'"type"\s*:\s*"snapshot"')
ENGINE = "engine"  # who bars, while it is dead or not connected yet
DATA = "/data"  # what is held there keeps every account from knowing
# By what stands below an account's path: which of its evidence ends with it.
PARTS = {
    "": "", "/guardian": "guardian", "/trading": "session", "/trading/session": "session", "/trading/stream": "stream",
    "/trading/reconciler": "reconciler",
}  # fmt: skip


def budgets_of(tree: Tree) -> dict[str, Budget]:
    """What each supervisor of a tree was given, by its path."""
    trading = {f"{account_path(node)}/trading": node.trading for node in tree.accounts.children}
    return {"/accounts": tree.accounts.budget, "/strategies": tree.strategies.budget, **trading}


class Watching:
    """`watch` with its feeds. `now_ns` is the wall clock that is right: the venue's."""

    def __init__(
        self,
        tree: Tree,
        now_ns: Callable[[], int],
        secrets: Iterable[str],
        on_violation: Callable[[Violation], None] | None = None,
    ) -> None:
        cover_s = max((node.cover_s for node in tree.accounts.children), default=2.0)
        budgets = budgets_of(tree)
        terms = Terms(
            cover_s=cover_s,
            secrets=tuple(secrets),
            budgets={path: (one.max_restarts, one.max_seconds) for path, one in budgets.items()},
            cooldowns={
                path: one.pause.cooldown_s
                for path, one in budgets.items()
                if one.on_exceeded is OnExceeded.PAUSE
            },
            probes={
                f"{account_path(node)}/trading": (node.account, node.trading.pause.probes)
                for node in tree.accounts.children
            },
            permits=True,
        )
        self.watch = Watch(terms, on_violation=on_violation, oracles=(*EIGHT, *PROMISES))
        self.venue = _Witness(self)
        self._now_ns = now_ns
        self._unflushed: dict[str, list[JournalRow]] = {}
        self._failed: set[str] = set()  # children that failed and were not started again yet
        self._connecting = False
        self._numbers = 0
        self.on_marks: Callable[[bool], None] = lambda _marks: (
            None
        )  # told when frames of books are to be shown
        self._spoiled: set[str] = set()  # frames with a wrong checksum: a fault is of a few
        self._wrong: set[str] = set()  # pairs whose book the engine must not believe
        self._calls: dict[int, tuple[int, int, HttpRequest]] = {}
        timings = [PROFILES[node.timing] for node in tree.accounts.children]
        self._quiet_s = max((timing.quiet_s for timing in timings), default=0.0)
        nodes = tree.accounts.children
        self._parts = {
            account_path(node) + below: (node.account, part)
            for node in nodes
            for below, part in PARTS.items()
        }
        self._paths = {account_path(node): node.account for node in nodes}
        urls = [node.private_url for node in nodes]
        # Whose a frame is nobody can say where two accounts share an address.
        self._account_at = {
            node.private_url: node.account for node in nodes if urls.count(node.private_url) == 1
        }

    # -- the engine's lives --------------------------------------------------------------------------------------

    def life_began(self) -> None:
        """A process starts. It can act from its first private request on."""
        self._connecting = True
        self.watch.see(Barred(self._now_ns(), ENGINE, anew=True))
        for account in self._paths.values():
            self.watch.see(Fell(self._now_ns(), account))

    def life_ended(self) -> None:
        """A process is over: what was not flushed is gone, and nobody acts."""
        self._connecting = False
        self._unflushed.clear()
        self._failed.clear()
        for number, began_ns, _ in self._calls.values():
            self.watch.see(CallEnded(self._now_ns(), number, served=False, until_ns=began_ns))
        self._calls.clear()
        self.watch.see(Barred(self._now_ns(), ENGINE, anew=True))

    def connected(self) -> None:
        if self._connecting:
            self._connecting = False
            self.watch.see(Freed(self._now_ns(), ENGINE))

    # -- calls ---------------------------------------------------------------------------------------------------

    def requested(self, request: HttpRequest) -> None:
        if "/private/" in request.path:
            self._numbers += 1
            self._calls[id(request)] = (self._numbers, self._now_ns(), request)
            self.watch.see(CallBegan(self._now_ns(), self._numbers))

    def responded(self, request: HttpRequest, response: HttpResponse | None) -> None:
        """None: no answer came."""
        number, began_ns, _ = self._calls.pop(id(request), (0, 0, request))
        if number:
            served = response is not None and response.status == 200 and not UNSERVED.search(response.body)
            write = request.path.rpartition("/")[2] in WRITES
            until_ns = began_ns + (int(self._quiet_s * 1e9) if write else 0)
            self.watch.see(CallEnded(self._now_ns(), number, served, until_ns))

    def heard(self, connection: int, url: str, frame: str) -> None:
        """A numbered frame came to the engine."""
        account = self._account_at.get(url)
        if account is not None:
            self.watch.see(Heard(self._now_ns(), account, connection, frame))

    def spoil(self, text: str) -> None:
        """The venue sends this frame of a book with a wrong checksum."""
        self._spoiled.add(text)
        self.on_marks(True)

    def book(self, frame: str) -> None:
        """A frame of the public side came to the engine while some book is wrong, or will be."""
        found = SYMBOL.search(frame)
        if found is None or '"channel":"book"' not in frame.replace(" ", ""):
            return
        pair = found[1]
        if frame in self._spoiled:
            self._wrong.add(pair)
            self.watch.see(BookWrong(self._now_ns(), pair))
        elif pair in self._wrong and SNAPSHOT.search(frame):
            self._wrong.discard(pair)
            self.watch.see(BookAnew(self._now_ns(), pair))

    # -- the machine -----------------------------------------------------------------------------------------------

    def stored(self, chain: str, rows: Iterable[JournalRow], durable: bool) -> None:
        """Rows were written. They count once they are flushed, and everything before them with them."""
        waiting = self._unflushed.setdefault(chain, [])
        waiting.extend(rows)
        if durable:
            self._unflushed[chain] = []
            at_ns = self._now_ns()
            for row in waiting:
                self.watch.see(RowDurable(at_ns, chain, row))

    def left(self, chain: str, rows: Iterable[JournalRow]) -> None:
        """The power went in the middle of a write, and these rows are on the disk: the next process reads them."""
        self._unflushed[chain] = []
        for row in rows:
            self.watch.see(RowDurable(self._now_ns(), chain, row))

    def damaged(self, chain: str, row: JournalRow) -> None:
        self.watch.see(RowDamaged(self._now_ns(), chain, row))

    def replaced(self, chain: str, file: str, rows: Iterable[JournalRow]) -> None:
        self.watch.see(ChainReplaced(self._now_ns(), chain, file, tuple(rows)))

    def disk_failed(self, chain: str) -> None:
        self.watch.see(DiskFailed(self._now_ns(), chain))

    def latch(self, latch: MemoryLatch) -> MemoryLatch:
        """The machine's latch, seen from outside."""
        return _SeenLatch(latch, self)

    # -- what the engine says ----------------------------------------------------------------------------------------

    def asked_for(self, path: str, intent_id: str) -> None:
        """A strategy asks the orders actor at `path` for this intent, now."""
        account = next((self._paths[above] for above in self._paths if path.startswith(above + "/")), None)
        if account is not None:
            self.watch.see(Placing(self._now_ns(), account, intent_id))

    def held(self, path: str, holds: bool) -> None:
        """The chaos hand keeps an actor from handling its messages, or lets go of it."""
        for above, account in (*self._paths.items(), (DATA, "")):
            if path == above or path.startswith(above + "/"):
                at_ns = self._now_ns()
                self.watch.see(Held(at_ns, account, path) if holds else Released(at_ns, account, path))

    def told(self, intent_id: str, taken: bool) -> None:
        """What a strategy was answered."""
        at_ns = self._now_ns()
        self.watch.see(Promised(at_ns, intent_id) if taken else Denied(at_ns, intent_id))

    def event(self, event: Event) -> None:
        """Supervisors tell of failures and of starts; which start followed on which failure is worked out here."""
        match event:
            case ChildTerminated():
                path = f"{event.path}/{event.child}"
                if not event.clean and not event.stopping:
                    self._failed.add(path)
                if path in self._parts:
                    self.watch.see(Fell(self._now_ns(), *self._parts[path]))
            case GaveUp(offender="journal", action="latch", path=path):
                self.watch.see(JournalGaveUp(self._now_ns(), path.removesuffix("/store").rpartition("/")[2]))
            case ChildStarted(attempt=attempt, origin=origin):
                child = f"{event.path}/{event.child}"
                failed = child in self._failed
                self._failed.discard(child)
                if attempt > 0 and origin == "restart":
                    self.watch.see(Restarted(self._now_ns(), event.path, event.child, after_failure=failed))
            case LevelChanged(scope=(), now=Level.HALTED):
                self.watch.see(SaidHalted(self._now_ns()))
            case BreakerChanged(state="open"):
                self.watch.see(Paused(self._now_ns(), event.path))
            case BreakerChanged(state="half_open"):
                self.watch.see(Tried(self._now_ns(), event.path, by_person=bool(event.reason)))
            case BreakerChanged(state="closed"):
                self.watch.see(Resumed(self._now_ns(), event.path))
            case _:
                pass

    def settled(self, account: str, positions: Any, frozen: Iterable[str] = ()) -> None:
        """Nothing is under way: what does the engine believe, and is everything written down?"""
        at_ns = self._now_ns()
        if positions is not None:
            self.watch.see(Believed(at_ns, account, positions, tuple(frozen)))
        self.watch.see(Settled(at_ns))

    @property
    def in_doubt(self) -> list[str]:
        """The intents of which it is still being found out what became of them."""
        records = self.watch["O6"]
        assert isinstance(records, JournalComplete)
        return records.in_doubt

    def written(self, sink: str, lines: Iterable[str]) -> None:
        at_ns = self._now_ns()
        for line in lines:
            self.watch.see(Written(at_ns, sink, line))

    def ended(self, left: Iterable[str]) -> None:
        self.watch.see(Ended(self._now_ns(), tuple(left)))


class _Witness(KrakenWitness):
    """The venue's word; its first private request shows that an engine is there."""

    def __init__(self, watching: Watching) -> None:
        super().__init__(watching.watch.see)
        self._watching = watching

    def asked(self, request: dict[str, Any]) -> None:
        self._watching.connected()
        super().asked(request)

    def spoiled(self, text: str) -> None:
        self._watching.spoil(text)


class _SeenLatch(MemoryLatch):
    def __init__(self, latch: MemoryLatch, watching: Watching) -> None:
        super().__init__()
        self.state = latch.state
        self._watching = watching

    def write(self, by: str, reason: str, at_ns: int) -> LatchState:
        state = super().write(by, reason, at_ns)
        self._watching.watch.see(Latched(self._watching._now_ns(), by, reason))  # pyright: ignore[reportPrivateUsage]
        return state

    def lift(self, by: str, reason: str, at_ns: int) -> LatchState:
        state = super().lift(by, reason, at_ns)
        self._watching.watch.see(Lifted(self._watching._now_ns(), by, reason))  # pyright: ignore[reportPrivateUsage]
        return state
