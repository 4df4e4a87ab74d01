"""One run: a tree in a simulated world under one seed, hurt by a plan, judged by the oracles.

```python
outcome = simulate(tree, seed=7, duration_s=180.0)
assert outcome.failed is None, outcome.failed
```
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from allstop.actors.levels import ROOT, Level
from allstop.actors.runtime import ActorDead, CallTimeout
from allstop.actors.runtime.virtual_time import run_virtual
from allstop.supervisors.chaos.chaos import Act
from allstop.supervisors.config import Tree
from allstop.supervisors.halt import halt_status
from allstop.supervisors.obstacles import obstacles
from allstop.supervisors.oracles import Verdict
from allstop.supervisors.simulation.host import ORIGIN_NS, NobodyThere
from allstop.supervisors.simulation.injector import Injected, Injector
from allstop.supervisors.simulation.plan import FaultPlan, make_plan
from allstop.supervisors.simulation.process import no_collector, quiet_ends, quiet_logs
from allstop.supervisors.simulation.scene import DRAIN_S, Scene
from allstop.supervisors.simulation.standstill import explained, stands_still
from allstop.supervisors.simulation.trace import Trace
from allstop.supervisors.simulation.world import LifeOver

NONE: Final = "none"  # the profile of a run without faults
TRADING_AGAIN_S: Final = 30.0  # after the last fault
HALT_S: Final = 30.0  # a venue that answers, under its own rate limits
# Until nothing is in doubt any more. An absence takes two searches after the deadline, a search two calls, and a key that
# everybody shares gives back a third of a call a second. An order is UNKNOWN meanwhile, and its instrument gated, as it
# should be: RULES.md, "Submitting". What is in doubt after that O6 says is not accounted for.
DOUBT_S: Final = 30.0
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
    crashed: dict[str, int] = msgspec.field(
        default_factory=dict[str, int]
    )  # strategies: who, of what, how often
    notes: tuple[str, ...] = ()


def simulate(
    tree: Tree,
    seed: int,
    *,
    duration_s: float = 180.0,
    profile: str = NONE,
    keep: Callable[[str], None] | None = None,
    bodies: bool = False,
    plan: FaultPlan | None = None,
) -> Outcome:
    """Runs a tree in a simulated world for `duration_s` virtual seconds. `keep` gets each line of the trace, with
    `bodies` also what its hashes are of. A `plan` is carried out as it is, in place of one made from the seed; the run
    lasts as long as it says.

    Raises BadInput when the tree is wrong, with nothing run.
    """
    with quiet_logs() as logs, quiet_ends(), no_collector():
        return run_virtual(_Run(tree, seed, duration_s, profile, keep, bodies, logs, plan).outcome())


class _Run:
    """One run, from its scene to its verdicts."""

    def __init__(
        self,
        tree: Tree,
        seed: int,
        duration_s: float,
        profile: str,
        keep: Callable[[str], None] | None,
        bodies: bool,
        logs: list[str],
        plan: FaultPlan | None,
    ) -> None:
        self._tree = tree
        self._seed = seed
        self._duration_s = duration_s if plan is None else plan.duration_s
        self._profile = profile if plan is None else plan.profile
        self._keep = keep
        self._bodies = bodies
        self._logs = logs
        self._faults: dict[str, int] = {}
        self._plan = plan

    async def outcome(self) -> Outcome:
        """Everything that is to be known of the run."""
        self._trace = Trace(asyncio.get_running_loop().time, self._keep, bodies=self._bodies)
        scene = self._scene = Scene(self._tree, self._seed, self._trace)
        self._world, self._restarter = scene.world, scene.restarter
        if self._plan is None and self._profile != NONE:
            self._plan = make_plan(self._seed, self._profile, self._duration_s, scene.shape)
        async with scene.venue:
            self._restarter.begin()
            await self._hurt()
            late = await self._trading_again() or await self._halted()
            await scene.settle()
            await self._restarter.stop()
            if self._restarter.refused is not None:
                raise self._restarter.refused
            verdicts = scene.judged(self._logs)
            truth = scene.venue.truth()
            await self._world.close()
        return self._told(verdicts, truth, late)

    # -- what happens ------------------------------------------------------------------------------------------------

    async def _hurt(self) -> None:
        """Until the run's time is over: by the plan, whose last part is quiet."""
        plan = self._plan
        if plan is not None:
            injector = Injector(self._scene.chaos(self._act), on_fault=self._injected)
            await injector.run(plan)
            self._faults = injector.counts
            self._scene.notes += [f"{kind}: {why}" for kind, why in injector.cannot.items()]
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
            await self._look_at_what_waits()
            await asyncio.sleep(LOOK_S)
        return None

    async def _look_at_what_waits(self) -> None:
        """A person has looked at each journal that was set aside, and found who else used the keys: nothing but the faults
        did. The first is refused until the rest agrees with the venue."""
        runtime = self._restarter.runtime
        votes = () if runtime is None else runtime.levels.votes()
        for path in [vote.by for vote in votes if vote.by.endswith(("/journal", "/store/ledgers"))]:
            request = {"command": "reset", "path": path, "by": "simulation", "reason": "it was looked at"}
            with suppress(NobodyThere, LifeOver, TimeoutError):
                await self._world.host.ask(request)

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
        self._scene.venue.kraken.paused = True
        await asyncio.sleep(DRAIN_S)
        for _ in range(int(DOUBT_S / LOOK_S)):
            if not self._scene.watching.in_doubt:
                break
            await asyncio.sleep(LOOK_S)
        return None

    async def _missing(self) -> list[str]:
        runtime = self._restarter.runtime
        revoked = self._scene.venue.kraken.venue.revoked
        if runtime is None:
            ends = self._restarter.ends
            if ends and explained(ends[-1].why, key_revoked=revoked):
                return []
            return [f"the engine is down: {ends[-1].why}" if ends else "the engine is down"]
        if runtime.levels.effective(ROOT) is not Level.HALTED:
            scopes = [(node.venue, node.account) for node in runtime.tree.accounts.children]
            worst = [votes[0] for scope in scopes if (votes := runtime.levels.votes(scope))]
            still = len(worst) == len(scopes) and all(stands_still(one, key_revoked=revoked) for one in worst)
            return [] if still else obstacles(runtime)
        try:
            status = await self._scene.ask(halt_status(runtime.root))
        except (ActorDead, CallTimeout) as error:
            return [f"the root does not answer: {error}"]
        unproven = [] if status.proven else ["halted without a proof"]
        return unproven + ([] if status.reason else ["halted without a reason"])

    # -- what is told of it --------------------------------------------------------------------------------------------

    def _act(self, act: Act) -> None:
        self._trace.write("act", f"{act.verb} {act.target} {act.detail}")

    def _injected(self, injected: Injected) -> None:
        fault = injected.fault
        self._trace.write("fault", f"{fault.kind} {fault.target} {injected.missed}")

    def _told(self, verdicts: Sequence[Verdict], truth: dict[str, Any], late: Failure | None) -> Outcome:
        scene, world = self._scene, self._world
        counts, told = scene.counts, scene.told
        at_s, failed = world.now_s, late
        for verdict in verdicts:
            self._trace.write("oracle", f"{verdict.oracle} {verdict.holds} {verdict.why}")
        violations = scene.watching.watch.violations
        if violations:
            first = min(violations, key=lambda one: one.at_ns)
            failed = Failure(
                oracle=first.oracle, at_s=round((first.at_ns - ORIGIN_NS) / 1e9, 6), why=first.why
            )
        # A world that is broken is the cause of what came after: a venue whose feed ended is no venue that was silent.
        if world.troubles and (failed is None or world.troubles[0][0] <= failed.at_s):
            failed = Failure(oracle="world", at_s=world.troubles[0][0], why=world.troubles[0][1])
        return Outcome(
            seed=self._seed, profile=self._profile, virtual_s=round(at_s, 6), digest=self._trace.digest, lines=self._trace.lines,
            failed=failed, verdicts={one.oracle: one.holds for one in verdicts} | {"liveness": late is None},
            faults=dict(sorted(self._faults.items())), crashes=counts["crashes"], restarts=counts["restarts"],
            lives=self._restarter.starts, halts=counts["halts"], submitted=len(told.submitted), refused=len(told.refused),
            executions=len(truth["executions"]), journal_rows=counts["rows"], crashed=dict(scene.crashed), notes=tuple(scene.notes),
        )  # fmt: skip
