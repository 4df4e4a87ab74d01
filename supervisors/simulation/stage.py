"""A tree on a simulated world, to be played by hand: what a test has where a run has a plan.

```python
async def play() -> None:
    async with Stage(tree, seed=7) as stage:
        await stage.until_trading()
        order = await stage.submit(intent)
        await stage.chaos.cut("private")
        await asyncio.sleep(30.0)  # virtual seconds
    assert not [verdict for verdict in stage.verdicts if verdict.holds is False]


run_virtual(play())
```

Leaving ends the day: the engine is halted, the halt is proven, the tree is stopped, and the oracles judge.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from allstop.actors.clock import LoopClock
from allstop.actors.errors import AllstopError
from allstop.actors.events import Event
from allstop.actors.intents import OrderIntent
from allstop.actors.runtime import ActorDead, ActorSystem, CallTimeout
from allstop.supervisors.build import Runtime
from allstop.supervisors.chaos.chaos import Chaos, NotTrading
from allstop.supervisors.config import Tree
from allstop.supervisors.kraken_account import account_path
from allstop.supervisors.oracles import Evidence, Journal, Row, Verdict, judge
from allstop.supervisors.simulation.hand import EngineOfTheMoment, SimulatedMachine, links_of, shape_of
from allstop.supervisors.simulation.host import ORIGIN_NS, NobodyThere
from allstop.supervisors.simulation.injector import Injector
from allstop.supervisors.simulation.places import Told
from allstop.supervisors.simulation.plan import FaultPlan, make_plan
from allstop.supervisors.simulation.process import quiet_ends, quiet_logs
from allstop.supervisors.simulation.restarter import Restarter
from allstop.supervisors.simulation.trace import event_in_words
from allstop.supervisors.simulation.venue import SimulatedVenue
from allstop.supervisors.simulation.world import SimulatedWorld
from allstop.supervisors.submitted import Order

T = TypeVar("T")

TRADING_S: Final = 30.0  # the recovery time objective
HALT_S: Final = 30.0  # a venue that answers, under its own rate limits
DRAIN_S: Final = 2.0  # longer than any answer is on its way
LOOK_S: Final = 0.05
EVENTS_MAX: Final = 50_000  # kept for tests to look at; a minute of a busy tree tells a few thousand


class Stage:
    """`async with Stage(tree, seed=7) as stage` on a VirtualTimeLoop. Raises BadInput when the tree is wrong.

    `world`, `venue` and `chaos` are what the tree stands in; `events` is what it told, as lines, and `log` what it
    logged. After leaving, `verdicts` has what the oracles say, account by account.
    """

    def __init__(self, tree: Tree, *, seed: int = 0) -> None:
        self.tree = tree
        self.seed = seed
        self.events: list[str] = []
        self.log: list[str] = []
        self.verdicts: tuple[Verdict, ...] = ()
        self._told = Told()
        self._process = ExitStack()

    async def __aenter__(self) -> Self:
        self.log = self._process.enter_context(quiet_logs())
        self._process.enter_context(quiet_ends())
        try:
            await self._set_up()
        except BaseException:
            await self._strike()
            raise
        return self

    async def _set_up(self) -> None:
        self.world = SimulatedWorld(self.seed)
        clock = LoopClock(self.world.loop, origin_ns=ORIGIN_NS)
        self.venue = SimulatedVenue(self.tree, self.world.network, clock, seed=self.seed)
        links = links_of(self.world.network, self.venue.links)
        self._restarter = Restarter(
            self.world, self.tree, self.venue.environ,
            on_system=self._began, on_end=lambda _: self._told.forget(),
        )  # fmt: skip
        self.chaos = Chaos(
            EngineOfTheMoment(self._restarter), links=links, venues={"kraken": self.venue},
            host=SimulatedMachine(self.world, self._restarter), clock=clock, seed=self.seed,
        )  # fmt: skip
        self._shape = shape_of(self.tree, links)
        self._injector = Injector(self.chaos)
        await self.venue.__aenter__()
        self._restarter.begin()
        while not self._restarter.stands.is_set():
            await asyncio.sleep(LOOK_S)
            if self._restarter.refused is not None:
                raise self._restarter.refused

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._end_the_day()
        finally:
            await self._strike()

    # -- the engine ----------------------------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """The running engine's. Raises NobodyThere while none runs: a process that died is started again after a
        second."""
        runtime = self._restarter.runtime
        if runtime is None:
            raise NobodyThere("the engine is down")
        return runtime

    @property
    def lives(self) -> int:
        """How many processes of the engine were started."""
        return self._restarter.starts

    async def ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Has the engine do something, as its own process would: `await stage.ask(stage.runtime.cover("kraken.main"))`.
        Raises LifeOver when the engine dies first."""
        life = self._restarter.life
        if life is None:
            coroutine.close()
            raise NobodyThere("the engine is down")
        return await life.ask(coroutine)

    async def submit(self, intent: OrderIntent, *, account: str | None = None) -> Order:
        """`runtime.submit`; the oracles hold the engine to its answer. Raises Refused."""
        return await self.ask(self.runtime.submit(intent, account=account))

    async def until_trading(self, timeout_s: float = TRADING_S) -> float:
        """Until entries pass; the virtual seconds that it took. Raises NotTrading with what is in the way."""
        engine, began_s = EngineOfTheMoment(self._restarter), self.world.now_s
        while obstacles := engine.obstacles():
            if self.world.now_s - began_s >= timeout_s:
                raise NotTrading(timeout_s, obstacles)
            await asyncio.sleep(LOOK_S)
        return self.world.now_s - began_s

    async def hurt(self, plan: FaultPlan | str, *, duration_s: float = 60.0) -> None:
        """Carries a plan of faults out, or one that is made of a profile, and returns when all has healed."""
        if isinstance(plan, str):
            plan = make_plan(self.seed, plan, duration_s, self._shape)
        await self._injector.run(plan)

    async def halt(self, reason: str, *, by: str = "test") -> None:
        """Halts as `allstop halt` does, and waits for the proof. Raises TimeoutError after 30 s without one."""
        answer = await self.world.host.ask({"command": "halt", "by": by, "reason": reason})
        async with asyncio.timeout(HALT_S):
            while not answer.get("proven"):
                await asyncio.sleep(LOOK_S)
                answer = await self.world.host.ask({"command": "proofs"})

    # -- the end -------------------------------------------------------------------------------------------------

    async def _end_the_day(self) -> None:
        positions: dict[str, dict[str, Any]] = {}
        if self._restarter.runtime is not None:
            await self.halt("the day is over", by="stage")
            self.venue.kraken.paused = True
            await asyncio.sleep(DRAIN_S)
            for node in self.tree.accounts.children:
                try:
                    view = await self.ask(self.runtime.cover(node.id))
                except (ActorDead, CallTimeout, AllstopError):
                    continue  # the oracle of positions has no word of the engine's then
                positions[node.account] = {cover.pair: cover.net for cover in view.pairs if cover.net}
        await self._restarter.stop()
        self.verdicts = self._judged(positions)

    def _judged(self, positions: dict[str, dict[str, Any]]) -> tuple[Verdict, ...]:
        disk, truth = self.world.host.disk, self.venue.truth()
        journals = [Journal(chain, tuple(map(_row, disk.rows(chain)))) for chain in disk.chains()]
        outputs = {f"journal {j.chain}": "\n".join(row.body.decode() for row in j.rows) for j in journals}
        outputs |= {"log": "\n".join(self.log), "events": "\n".join(self.events)}
        leaked = [f"life {end.life}: {what}" for end in self._restarter.ends for what in end.leaked]
        verdicts: list[Verdict] = []
        for node in self.tree.accounts.children:
            evidence = Evidence(
                truth=truth, account=node.account, journals=journals, submitted=self._told.submitted, refused=self._told.refused,
                positions=positions.get(node.account), cover_s=node.cover_s, outputs=outputs,
                secrets=list(self.venue.environ.values()), leaked=leaked,
            )  # fmt: skip
            verdicts += judge(evidence)
        return tuple(verdicts)

    async def _strike(self) -> None:
        """Everything is over, whatever happened."""
        try:
            if hasattr(self, "venue"):
                self.world.power_cut()
                await self.venue.__aexit__(None, None, None)
            if hasattr(self, "world"):
                await self.world.close()
        finally:
            self._process.close()

    # -- what is told ----------------------------------------------------------------------------------------------

    def _began(self, system: ActorSystem) -> None:
        system.subscribe(self._event)
        for node in self.tree.accounts.children:
            self._told.watch(system, f"{account_path(node)}/trading/orders")

    def _event(self, event: Event) -> None:
        if len(self.events) < EVENTS_MAX:
            self.events.append(f"{self.world.now_s:.6f} {event_in_words(event)}")


def broken(verdicts: Sequence[Verdict]) -> list[str]:
    """What does not hold, in words."""
    return [f"{verdict.oracle}: {verdict.why}" for verdict in verdicts if verdict.holds is False]


def _row(row: Any) -> Row:
    return Row(row.seq, row.ts_ns, row.epoch, row.kind, row.key, row.body, row.prev_hash, row.hash)
