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

from allstop.actors.clock import ids_from
from allstop.actors.intents import OrderIntent
from allstop.supervisors.build import Runtime
from allstop.supervisors.chaos.chaos import Chaos, NotTrading
from allstop.supervisors.config import Tree
from allstop.supervisors.oracles import Verdict
from allstop.supervisors.simulation.hand import EngineOfTheMoment
from allstop.supervisors.simulation.host import NobodyThere
from allstop.supervisors.simulation.injector import Injector
from allstop.supervisors.simulation.plan import FaultPlan, make_plan
from allstop.supervisors.simulation.process import quiet_ends, quiet_logs
from allstop.supervisors.simulation.scene import DRAIN_S, Scene
from allstop.supervisors.simulation.trace import Trace
from allstop.supervisors.simulation.venue import SimulatedVenue
from allstop.supervisors.simulation.world import SimulatedWorld
from allstop.supervisors.submitted import Order

T = TypeVar("T")

START_S: Final = 60.0  # a tree that fails at every start would be started again for ever
TRADING_S: Final = 30.0  # the recovery time objective
HALT_S: Final = 30.0  # a venue that answers, under its own rate limits
LOOK_S: Final = 0.05
LINES_MAX: Final = 200_000  # of the trace: a minute of a busy tree has a few thousand


class Stage:
    """`async with Stage(tree, seed=7) as stage` on a VirtualTimeLoop. Raises BadInput when the tree is wrong, and
    NobodyThere, with why its last process ended, when none has started within a minute.

    `world`, `venue` and `chaos` are what the tree stands in; `lines` is the trace, `events` what the engine told of
    itself in it, and `log` what it logged. After leaving, `verdicts` has what the oracles say.
    """

    def __init__(self, tree: Tree, *, seed: int = 0) -> None:
        self.tree = tree
        self.seed = seed
        self.lines: list[str] = []
        self.log: list[str] = []
        self.verdicts: tuple[Verdict, ...] = ()
        self._scene: Scene | None = None
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
        trace = Trace(asyncio.get_running_loop().time, self._keep)
        scene = self._scene = Scene(self.tree, self.seed, trace)
        self.world: SimulatedWorld = scene.world
        self.venue: SimulatedVenue = scene.venue
        self.chaos: Chaos = scene.chaos(
            lambda act: trace.write("act", f"{act.verb} {act.target} {act.detail}")
        )
        self._restarter = scene.restarter
        self._injector = Injector(self.chaos)
        self._process.enter_context(ids_from(scene.ids))
        await self.venue.__aenter__()
        self._restarter.begin()
        while not self._restarter.stands.is_set():
            await asyncio.sleep(LOOK_S)
            if self._restarter.refused is not None:
                raise self._restarter.refused
            if self.world.now_s >= START_S:
                why = self._restarter.ends[-1].why if self._restarter.ends else "it still starts"
                raise NobodyThere(f"the engine did not start within {START_S:g} s: {why}")

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
    def scene(self) -> Scene:
        assert self._scene is not None, "the stage is not set: `async with Stage(tree) as stage`"
        return self._scene

    @property
    def events(self) -> list[str]:
        """`12.345000 CrashReport /strategies/breakout ...`: what the engine told, a line each."""
        return [line.replace(" event ", " ", 1) for line in self.lines if line.split(" ", 2)[1] == "event"]

    @property
    def runtime(self) -> Runtime:
        """The running engine's. Raises NobodyThere while none runs: a process that died is started again after a
        second."""
        return self.scene.runtime

    @property
    def lives(self) -> int:
        """How many processes of the engine were started."""
        return self._restarter.starts

    async def ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Has the engine do something, as its own process would: `await stage.ask(stage.runtime.cover("kraken.main"))`.
        Raises LifeOver when the engine dies first, NobodyThere when none runs."""
        return await self.scene.ask(coroutine)

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
            plan = make_plan(self.seed, plan, duration_s, self.scene.shape)
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
        if self._restarter.runtime is not None:
            await self.halt("the day is over", by="stage")
            self.venue.kraken.paused = True
            await asyncio.sleep(DRAIN_S)
            await self.scene.settle()
        await self._restarter.stop()
        self.verdicts = self._judged()

    def _judged(self) -> tuple[Verdict, ...]:
        self.scene.watching.written("events", self.events)
        return self.scene.judged(self.log)

    async def _strike(self) -> None:
        """Everything is over, whatever happened."""
        try:
            if self._scene is not None:
                self.world.power_cut()
                await self.venue.__aexit__(None, None, None)
                await self.world.close()
        finally:
            self._process.close()

    def _keep(self, line: str) -> None:
        if len(self.lines) < LINES_MAX:
            self.lines.append(line.rstrip("\n"))


def broken(verdicts: Sequence[Verdict]) -> list[str]:
    """What does not hold, in words."""
    return [f"{verdict.oracle}: {verdict.why}" for verdict in verdicts if verdict.holds is False]
