"""What a tree stands in when it is simulated: world, venue, links, whoever starts it again, the oracles that watch, and
the trace in which everything is written down. A run plays on it by a plan, a stage by hand.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from allstop.actors.clock import LoopClock, SeededIds
from allstop.actors.errors import AllstopError
from allstop.actors.events import ChildStarted, CrashReport, Event, LevelChanged
from allstop.actors.levels import Level
from allstop.actors.ports import HttpRequest, HttpResponse, JournalRow
from allstop.actors.runtime import ActorDead, ActorSystem, CallTimeout
from allstop.supervisors.build import Runtime
from allstop.supervisors.chaos.chaos import Act, Chaos, ChaosInjected
from allstop.supervisors.config import Tree
from allstop.supervisors.kraken_account import account_path
from allstop.supervisors.oracles import Verdict
from allstop.supervisors.simulation.hand import EngineOfTheMoment, SimulatedMachine, links_of, shape_of
from allstop.supervisors.simulation.host import ORIGIN_NS, NobodyThere
from allstop.supervisors.simulation.places import Told
from allstop.supervisors.simulation.plan import Shape
from allstop.supervisors.simulation.restarter import LifeEnd, Restarter
from allstop.supervisors.simulation.trace import Trace
from allstop.supervisors.simulation.venue import SimulatedVenue
from allstop.supervisors.simulation.watching import Watching
from allstop.supervisors.simulation.witness import Witness
from allstop.supervisors.simulation.world import SimulatedWorld

T = TypeVar("T")

DRAIN_S: Final = 2.0  # longer than any answer is on its way
STRATEGIES: Final = "/strategies/"
CRASHED_MAX: Final = 50  # different ones: words with a price or an id in them are new each time


class Scene:
    """To be made on a running VirtualTimeLoop. The venue is entered by whoever plays; `restarter.begin()` starts the
    engine. Raises BadInput for a tree that the simulated venue cannot serve."""

    def __init__(self, tree: Tree, seed: int, trace: Trace) -> None:
        self.tree = tree
        self.seed = seed
        self.trace = trace
        self.counts: Counter[str] = Counter()
        self.crashed: Counter[str] = (
            Counter()
        )  # strategies, which are nobody's but the user's: who, and of what
        self.told = Told()
        self.notes: list[str] = []
        writing = _Writing(trace, self.counts)
        self.world = SimulatedWorld(seed, witness=writing)
        self.clock = LoopClock(self.world.loop, origin_ns=ORIGIN_NS)
        self.ids = SeededIds(f"{seed}:0", self.clock.wall_ns)  # of who plays: no life of the engine
        self.venue = SimulatedVenue(tree, self.world.network, self.clock, seed=seed)
        self.watching = writing.watching = Watching(tree, self.clock.wall_ns, self.venue.environ.values())
        self.venue.kraken.venue.attach(self.watching.venue)
        self.world.host.latch = self.watching.latch(self.world.host.latch)
        self.told.on_told = self.watching.told
        self.told.on_asked = self.watching.asked_for
        self.watching.on_marks = writing.mark
        self.links = links_of(self.world.network, self.venue.links)
        self.restarter = Restarter(
            self.world, tree, self.venue.environ,
            on_system=self._system, on_end=self._life_ended, on_start=self._life_began,
        )  # fmt: skip

    @property
    def shape(self) -> Shape:
        """What of it can be hurt."""
        return shape_of(self.tree, self.links)

    def chaos(self, on_act: Callable[[Act], None] | None = None) -> Chaos:
        """A hand on all of it."""

        def acted(act: Act) -> None:
            if act.verb in ("hold", "release") and not act.detail:
                self.watching.held(act.target, holds=act.verb == "hold")
            if on_act is not None:
                on_act(act)

        return Chaos(
            EngineOfTheMoment(self.restarter), links=self.links, venues={"kraken": self.venue},
            host=SimulatedMachine(self.world, self.restarter), clock=self.clock, seed=self.seed, on_act=acted,
        )  # fmt: skip

    # -- the engine ----------------------------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """The running engine's. Raises NobodyThere while none runs."""
        runtime = self.restarter.runtime
        if runtime is None:
            raise NobodyThere("the engine is down")
        return runtime

    async def ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Asks the engine something as if it asked itself: what that starts is of its life. Raises LifeOver when it dies
        first, NobodyThere when none runs."""
        life = self.restarter.life
        if life is None:
            coroutine.close()
            raise NobodyThere("the engine is down")
        return await life.ask(coroutine)

    async def settle(self) -> None:
        """Asks the engine what it believes, account by account, once nothing is on its way any more."""
        positions: dict[str, dict[str, Any]] = {}
        runtime = self.restarter.runtime
        if runtime is not None:
            for node in self.tree.accounts.children:
                try:
                    view = await self.ask(runtime.cover(node.id))
                except (ActorDead, CallTimeout, AllstopError) as error:
                    self.notes.append(f"{node.id}: the guardian does not answer: {error}")
                    continue
                positions[node.account] = {cover.pair: cover.net for cover in view.pairs if cover.net}
        for account, believed in positions.items():
            self.watching.settled(account, believed)

    def judged(self, logs: list[str]) -> tuple[Verdict, ...]:
        """The engine has ended. What it wrote and what it left behind is looked at, and the oracles have their last
        word."""
        self.watching.written("log", logs)
        self.watching.ended(
            [f"life {end.life}: {what}" for end in self.restarter.ends for what in end.leaked]
        )
        watch = self.watching.watch
        return tuple(watch.finish(watch.at_ns))

    # -- what is told of it ----------------------------------------------------------------------------------------

    def _system(self, system: ActorSystem) -> None:
        system.subscribe(self._event)
        for node in self.tree.accounts.children:
            self.told.watch(system, f"{account_path(node)}/trading/orders")

    def _event(self, event: Event) -> None:
        self.watching.event(event)
        match event:
            case CrashReport():
                self.counts["crashes"] += 1
                self._note_crash(event)
            case ChildStarted() if event.attempt > 0:
                self.counts["restarts"] += 1
            case LevelChanged(scope=(), now=Level.HALTED):
                self.counts["halts"] += 1
            case _:
                pass
        self.trace.event(event)

    def _note_crash(self, crash: CrashReport) -> None:
        if crash.path.startswith(STRATEGIES) and not isinstance(crash.error, ChaosInjected):
            words = f"{crash.path}: {type(crash.error).__name__}: {crash.error}"
            if words in self.crashed or len(self.crashed) < CRASHED_MAX:
                self.crashed[words] += 1

    def _life_began(self, number: int) -> None:
        self.trace.write("life", f"{number} begins")
        self.watching.life_began()

    def _life_ended(self, end: LifeEnd) -> None:
        self.told.forget()
        self.watching.life_ended()
        self.trace.write("life", f"{end.life} ends: {end.why} {list(end.leaked) if end.leaked else ''}")


class _Writing(Witness):
    """Writes into the trace what passes between the engine and its world."""

    def __init__(self, trace: Trace, counts: Counter[str]) -> None:
        super().__init__()
        self.frame = trace.frame
        self._trace = trace
        self._counts = counts
        self.watching: Watching | None = None

    def numbered(self, connection: int, url: str, frame: str) -> None:
        if self.watching is not None:
            self.watching.heard(connection, url, frame)

    def mark(self, marks: bool) -> None:
        self.marks = marks

    def marked(self, frame: str) -> None:
        if self.watching is not None:
            self.watching.book(frame)

    def requested(self, base_url: str, request: HttpRequest) -> None:
        self._trace.requested(base_url, request)
        if self.watching is not None:
            self.watching.requested(request)

    def responded(self, base_url: str, request: HttpRequest, response: HttpResponse) -> None:
        self._trace.responded(base_url, request, response)
        if self.watching is not None:
            self.watching.responded(request, response)

    def unanswered(self, base_url: str, request: HttpRequest) -> None:
        if self.watching is not None:
            self.watching.responded(request, None)

    def lost(self, chain: str) -> None:
        if self.watching is not None:
            self.watching.disk_failed(chain)

    def stored(self, chain: str, rows: list[JournalRow], durable: bool) -> None:
        self._counts["rows"] += len(rows)
        if self.watching is not None:
            self.watching.stored(chain, rows, durable)
        for row in rows:
            self._trace.row(chain, row, durable)

    def left(self, chain: str, rows: list[JournalRow]) -> None:
        if self.watching is not None:
            self.watching.left(chain, rows)
        self._trace.write("left", f"{chain} {rows[0].seq}..{rows[-1].seq}")

    def damaged(self, chain: str, row: JournalRow) -> None:
        if self.watching is not None:
            self.watching.damaged(chain, row)

    def replaced(self, chain: str, file: str, rows: list[JournalRow]) -> None:
        if self.watching is not None:
            self.watching.replaced(chain, file, rows)
        self._trace.write("aside", f"{chain} {file} {len(rows)}")
