"""One run: a tree in a simulated world under one seed, hurt by a plan, judged by the oracles.

```python
outcome = simulate(tree, seed=7, duration_s=180.0)
assert outcome.failed is None, outcome.failed
```
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from allstop.actors.clock import LoopClock
from allstop.actors.errors import AllstopError
from allstop.actors.events import ChildStarted, CrashReport, Event, LevelChanged
from allstop.actors.levels import ROOT, Level
from allstop.actors.ports import HttpRequest, HttpResponse, JournalRow
from allstop.actors.runtime import ActorDead, ActorSystem, CallTimeout
from allstop.actors.runtime.virtual_time import run_virtual
from allstop.supervisors.chaos.chaos import Act, Chaos
from allstop.supervisors.config import Tree
from allstop.supervisors.halt import halt_status
from allstop.supervisors.kraken_account import account_path
from allstop.supervisors.obstacles import obstacles
from allstop.supervisors.simulation.hand import EngineOfTheMoment, SimulatedMachine, links_of, shape_of
from allstop.supervisors.simulation.host import ORIGIN_NS, NobodyThere
from allstop.supervisors.simulation.injector import Injected, Injector
from allstop.supervisors.simulation.places import Told
from allstop.supervisors.simulation.plan import FaultPlan, make_plan
from allstop.supervisors.simulation.process import no_collector, quiet_ends, quiet_logs
from allstop.supervisors.simulation.restarter import LifeEnd, Restarter
from allstop.supervisors.simulation.trace import Trace
from allstop.supervisors.simulation.venue import SimulatedVenue
from allstop.supervisors.simulation.watching import Watching
from allstop.supervisors.simulation.witness import Witness
from allstop.supervisors.simulation.world import SimulatedWorld

NONE: Final = "none"  # the profile of a run without faults
TRADING_AGAIN_S: Final = 30.0  # after the last fault
HALT_S: Final = 30.0  # a venue that answers, under its own rate limits
DRAIN_S: Final = 2.0  # longer than any answer is on its way
LOOK_S: Final = 0.1


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What did not hold, and when it was seen."""

    oracle: str
    at_s: float
    why: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run. `failed` is the first thing that did not hold; the digest is over the whole trace."""

    seed: int
    profile: str
    virtual_s: float
    digest: str
    lines: int
    failed: Failure | None
    verdicts: dict[str, bool | None]
    faults: dict[str, int]
    crashes: int  # of actors
    restarts: int  # by supervisors
    lives: int  # processes of the engine
    halts: int
    submitted: int
    refused: int
    executions: int
    journal_rows: int
    notes: tuple[str, ...] = ()


def simulate(
    tree: Tree,
    seed: int,
    *,
    duration_s: float = 180.0,
    profile: str = NONE,
    keep: Callable[[str], None] | None = None,
    plan: FaultPlan | None = None,
) -> Outcome:
    """Runs a tree in a simulated world for `duration_s` virtual seconds. `keep` gets each line of the trace. A `plan`
    is carried out as it is, in place of one made from the seed; the run lasts as long as it says.

    Raises BadInput when the tree is wrong, with nothing run.
    """
    with quiet_logs() as logs, no_collector(), quiet_ends():
        return run_virtual(_Run(tree, seed, duration_s, profile, keep, logs, plan).outcome())


class _Run:
    """One run, from its world to its verdicts."""

    def __init__(
        self,
        tree: Tree,
        seed: int,
        duration_s: float,
        profile: str,
        keep: Callable[[str], None] | None,
        logs: list[str],
        plan: FaultPlan | None,
    ) -> None:
        self._tree = tree
        self._seed = seed
        self._duration_s = duration_s if plan is None else plan.duration_s
        self._profile = profile if plan is None else plan.profile
        self._keep = keep
        self._logs = logs
        self._counts: Counter[str] = Counter()
        self._positions: dict[str, dict[str, Any]] = {}
        self._told = Told()
        self._notes: list[str] = []
        self._faults: dict[str, int] = {}
        self._plan = plan

    async def outcome(self) -> Outcome:
        """Everything that is to be known of the run."""
        loop = asyncio.get_running_loop()
        self._trace = Trace(loop.time, self._keep)
        writing = _Writing(self._trace, self._counts)
        world = self._world = SimulatedWorld(self._seed, witness=writing)
        clock = self._clock = LoopClock(world.loop, origin_ns=ORIGIN_NS)
        venue = SimulatedVenue(self._tree, world.network, clock, seed=self._seed)
        self._venue = venue
        watching = self._watching = writing.watching = Watching(
            self._tree, clock.wall_ns, venue.environ.values()
        )
        venue.kraken.venue.attach(watching.venue)
        world.host.latch = watching.latch(world.host.latch)
        self._told.on_told = watching.told
        self._links = links_of(world.network, venue.links)
        if self._plan is None and self._profile != NONE:
            self._plan = make_plan(
                self._seed, self._profile, self._duration_s, shape_of(self._tree, self._links)
            )
        restarter = self._restarter = Restarter(
            world, self._tree, venue.environ,
            on_system=self._system, on_end=self._life_ended, on_start=self._life_began,
        )  # fmt: skip
        async with venue:
            restarter.begin()
            await self._hurt()
            late = await self._trading_again() or await self._halted()
            await self._ask_positions()
            for account, positions in self._positions.items():
                self._watching.settled(account, positions)
            await restarter.stop()
            if restarter.refused is not None:
                raise restarter.refused
            self._all_is_said()
            truth = venue.truth()
            await world.close()
        return self._judged(truth, late)

    # -- what happens ------------------------------------------------------------------------------------------------

    async def _hurt(self) -> None:
        """Until the run's time is over: by the plan, whose last part is quiet."""
        plan = self._plan
        if plan is not None:
            chaos = Chaos(
                EngineOfTheMoment(self._restarter), links=self._links, venues={"kraken": self._venue}, host=SimulatedMachine(self._world, self._restarter),
                clock=self._clock, seed=self._seed, on_act=self._act,
            )  # fmt: skip
            injector = Injector(chaos, on_fault=self._injected)
            await injector.run(plan)
            self._faults = injector.counts
            self._notes += [f"{kind}: {why}" for kind, why in injector.cannot.items()]
        await asyncio.sleep(
            max(0.0, self._duration_s - TRADING_AGAIN_S * (plan is not None) - self._world.now_s)
        )

    async def _trading_again(self) -> Failure | None:
        """After the faults the tree trades again in time, or is halted, with a proof and a reason."""
        began_s = self._world.now_s
        while missing := await self._missing():
            if self._restarter.refused is not None:
                return None
            if self._world.now_s - began_s >= TRADING_AGAIN_S:
                return Failure(
                    oracle="liveness", at_s=self._world.now_s,
                    why=f"not trading {TRADING_AGAIN_S:g} s after the last fault: {'; '.join(missing)}",
                )  # fmt: skip
            await asyncio.sleep(LOOK_S)
        return None

    async def _halted(self) -> Failure | None:
        """Every run ends as a day does: somebody halts, the halt is proven, and nothing is on its way any more."""
        if self._restarter.runtime is None:
            return None
        began_s = self._world.now_s
        request = {"command": "halt", "by": "simulation", "reason": "the run is over"}
        try:
            answer = await self._world.host.ask(request)
            while not answer.get("proven"):
                if self._world.now_s - began_s >= HALT_S:
                    why = f"not proven {HALT_S:g} s after it was asked for: {answer}"
                    return Failure(oracle="halt", at_s=self._world.now_s, why=why)
                await asyncio.sleep(LOOK_S)
                answer = await self._world.host.ask({"command": "proofs"})
        except NobodyThere as error:
            return Failure(oracle="halt", at_s=self._world.now_s, why=str(error))
        self._venue.kraken.paused = True
        await asyncio.sleep(DRAIN_S)
        return None

    async def _missing(self) -> list[str]:
        runtime = self._restarter.runtime
        if runtime is None:
            return ["the engine is down"]
        if runtime.levels.effective(ROOT) is not Level.HALTED:
            return obstacles(runtime)
        try:
            status = await self._within(halt_status(runtime.root))
        except (ActorDead, CallTimeout) as error:
            return [f"the root does not answer: {error}"]
        unproven = [] if status.proven else ["halted without a proof"]
        return unproven + ([] if status.reason else ["halted without a reason"])

    async def _ask_positions(self) -> None:
        """What the engine believes, account by account."""
        runtime = self._restarter.runtime
        if runtime is None:
            return
        for node in self._tree.accounts.children:
            try:
                view = await self._within(runtime.cover(node.id))
            except (ActorDead, CallTimeout, AllstopError) as error:
                self._notes.append(f"{node.id}: the guardian does not answer: {error}")
                continue
            self._positions[node.account] = {cover.pair: cover.net for cover in view.pairs if cover.net}

    async def _within(self, coroutine: Any) -> Any:
        """Asks the engine something as if it asked itself: what that starts is of its life."""
        life = self._restarter.life
        assert life is not None
        return await life.ask(coroutine)

    # -- what is told of it --------------------------------------------------------------------------------------------

    def _system(self, system: ActorSystem) -> None:
        system.subscribe(self._event)
        for node in self._tree.accounts.children:
            self._told.watch(system, f"{account_path(node)}/trading/orders")

    def _event(self, event: Event) -> None:
        self._watching.event(event)
        match event:
            case CrashReport():
                self._counts["crashes"] += 1
            case ChildStarted() if event.attempt > 0:
                self._counts["restarts"] += 1
            case LevelChanged(scope=(), now=Level.HALTED):
                self._counts["halts"] += 1
            case _:
                pass
        self._trace.event(event)

    def _act(self, act: Act) -> None:
        self._trace.write("act", f"{act.verb} {act.target} {act.detail}")

    def _injected(self, injected: Injected) -> None:
        fault = injected.fault
        self._trace.write("fault", f"{fault.kind} {fault.target} {injected.missed}")

    def _life_began(self, number: int) -> None:
        self._trace.write("life", f"{number} begins")
        self._watching.life_began()

    def _life_ended(self, end: LifeEnd) -> None:
        self._told.forget()
        self._watching.life_ended()
        self._trace.write("life", f"{end.life} ends: {end.why} {list(end.leaked) if end.leaked else ''}")

    # -- what is made of it ----------------------------------------------------------------------------------------------

    def _judged(self, truth: dict[str, Any], late: Failure | None) -> Outcome:
        world, counts = self._world, self._counts
        at_s = world.now_s
        verdicts: dict[str, bool | None] = {}
        failed = late
        watch = self._watching.watch
        for verdict in watch.finish(watch.at_ns):
            verdicts[verdict.oracle] = verdict.holds
            self._trace.write("oracle", f"{verdict.oracle} {verdict.holds} {verdict.why}")
        if watch.violations:
            first = min(watch.violations, key=lambda one: one.at_ns)
            failed = Failure(
                oracle=first.oracle, at_s=round((first.at_ns - ORIGIN_NS) / 1e9, 6), why=first.why
            )
        verdicts["liveness"] = late is None
        if world.troubles and failed is None:
            failed = Failure(oracle="world", at_s=world.troubles[0][0], why=world.troubles[0][1])
        return Outcome(
            seed=self._seed, profile=self._profile, virtual_s=round(at_s, 6), digest=self._trace.digest, lines=self._trace.lines,
            failed=failed, verdicts=verdicts, faults=dict(sorted(self._faults.items())), crashes=counts["crashes"], restarts=counts["restarts"],
            lives=self._restarter.starts, halts=counts["halts"], submitted=len(self._told.submitted), refused=len(self._told.refused),
            executions=len(truth["executions"]), journal_rows=counts["rows"], notes=tuple(self._notes),
        )  # fmt: skip

    def _all_is_said(self) -> None:
        """The engine has ended: what it wrote, and what it left behind."""
        self._watching.written("log", self._logs)
        self._watching.ended(
            [f"life {end.life}: {what}" for end in self._restarter.ends for what in end.leaked]
        )


class _Writing(Witness):
    """Writes into the trace what passes between the engine and its world."""

    def __init__(self, trace: Trace, counts: Counter[str]) -> None:
        super().__init__()
        self.frame = trace.frame
        self._trace = trace
        self._counts = counts
        self.watching: Watching | None = None

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
