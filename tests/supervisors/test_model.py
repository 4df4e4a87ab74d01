"""The real supervisor, on the runtime and virtual time, against supervisor_model.py under random commands.

A failure shrinks to a readable trace: each step is one command of the machine. `ALLSTOP_MODEL_EXAMPLES` sets how many
sequences are tried (`make soak` tries thousands).
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.supervisors.puppets import Crash, End, Puppet, Stage
from tests.supervisors.supervisor_model import RUNNING, Kid, Model

from allstop.actors.errors import ReplyError
from allstop.actors.exits import NORMAL, SHUTDOWN, Exit, ReachedMaxRestartIntensity
from allstop.actors.runtime import ActorSystem, Ref, StartError
from allstop.actors.runtime.virtual_time import VirtualTimeLoop
from allstop.actors.spec import AutoShutdown, Backoff, ChildSpec, Restart, Start, Strategy, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.supervisor import (
    Supervisor,
    count_children,
    delete_child,
    restart_child,
    start_child,
    status,
    terminate_child,
    which_children,
)

EXAMPLES = int(os.environ.get("ALLSTOP_MODEL_EXAMPLES", "100"))
IDS = ("a", "b", "c", "d", "e")
MAX_CHILDREN = 4
TICK_S = 0.001  # what a step takes, so that all that happens at once has happened

kids = st.builds(
    Kid,
    id=st.sampled_from(IDS),
    restart=st.sampled_from(["permanent", "permanent", "transient", "temporary"]),
    significant=st.booleans(),
    delay=st.sampled_from([0.0, 0.23]),
)


class Puppets(Stage):
    """Writes down what the model writes down: starts, failed starts, and stops by the supervisor or of its own."""

    def done(self) -> list[str]:
        done = [" ".join(entry.split()[:2]) for entry in self.log]
        self.log.clear()
        return done

    def spec(self, kid: Kid) -> ChildSpec:
        backoff = Backoff(kid.delay, 4 * kid.delay, 0.0)
        return ChildSpec(
            kid.id,
            Start(Puppet, (self,)),
            restart=Restart(kid.restart),
            significant=kid.significant,
            backoff=backoff,
        )


class Machine(RuleBasedStateMachine):
    """What a caller can do to a supervisor and its children; after each step both worlds are compared."""

    dynamic = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.stage = Puppets()
        self.system: ActorSystem = self.stage.system()
        self.model = Model("one_for_one", 0, 5.0)
        self.ref: Ref | None = None

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 1000.0))

    @initialize()
    def open(self) -> None:
        self.run(self.system.start())

    @precondition(lambda self: not self.alive())
    @rule(
        strategy=st.sampled_from(list(Strategy)),
        intensity=st.sampled_from([0, 1, 2, 4, 4, 4]),
        auto_shutdown=st.sampled_from(list(AutoShutdown)),
        children=st.lists(kids, max_size=5, unique_by=lambda kid: kid.id),
        outcomes=st.dictionaries(
            st.sampled_from(IDS), st.lists(st.sampled_from(["ok", "error", "ignore"]), max_size=4)
        ),
    )
    def boot(
        self,
        strategy: Strategy,
        intensity: int,
        auto_shutdown: AutoShutdown,
        children: list[Kid],
        outcomes: dict[str, list[str]],
    ) -> None:
        """A supervisor starts: the first, or the next when that one has ended."""
        if self.dynamic:
            strategy, auto_shutdown, children = Strategy.ONE_FOR_ONE, AutoShutdown.NEVER, []
        children = [replace(kid) for kid in children]
        for kid in children:
            kid.significant &= kid.restart != "permanent" and auto_shutdown is not AutoShutdown.NEVER
        self.model = Model(strategy.value, intensity, 5.0, auto_shutdown.value)
        self.model.max_children = MAX_CHILDREN if self.dynamic else None
        self.model.kids = [replace(kid) for kid in children]
        self.stage.starts.clear()
        for child_id, coming in outcomes.items():
            self.decide_starts(child_id, ["ok", *coming])
        self.model.now = self.loop.time()
        self.model.boot()
        flags = SupervisorFlags(strategy, intensity, 5.0, auto_shutdown=auto_shutdown)
        try:
            if self.dynamic:
                spawning = self.system.spawn(DynamicSupervisor, flags, max_children=MAX_CHILDREN, path="/top")
            else:
                specs = tuple(map(self.stage.spec, children))
                spawning = self.system.spawn(Supervisor, flags, specs, path="/top")
            self.ref = self.run(spawning)
        except StartError:
            self.ref = None
            assert self.model.over == "failed to start"
        self.compare()

    # ---- what can happen ----

    def alive(self) -> bool:
        return self.ref is not None and not self.model.over

    def runs(self) -> bool:
        return self.alive() and any(kid.state == RUNNING for kid in self.model.kids)

    @precondition(runs)
    @rule(which=st.integers(0, 9), how=st.sampled_from(["crash", "kill"]))
    def a_child_fails(self, which: int, how: str) -> None:
        self.a_child_ends(which, how)

    @precondition(runs)
    @rule(which=st.integers(0, 9), how=st.sampled_from(["crash", "kill", "normal", "shutdown"]))
    def a_child_ends(self, which: int, how: str) -> None:
        up = [kid.id for kid in self.model.kids if kid.state == RUNNING]
        child_id = up[which % len(up)]
        self.model.now = self.loop.time()
        if how in ("normal", "shutdown"):
            self.model.log.append(f"stop {child_id}")
        self.model.ended(child_id, how)
        self.end(child_id, how)
        self.compare()

    def end(self, child_id: str, how: str) -> None:
        ref = self.system.address(f"/top/{child_id}")
        match how:
            case "crash":
                self.loop.call_soon(ref.tell, Crash())
            case "kill":
                self.loop.call_soon(self.system.kill, ref)
            case _:
                exit_: Exit = NORMAL if how == "normal" else SHUTDOWN
                self.loop.call_soon(ref.tell, End(exit_))

    @precondition(alive)
    @rule(
        child_id=st.sampled_from(IDS), coming=st.lists(st.sampled_from(["ok", "error", "ignore"]), max_size=4)
    )
    def decide_starts(self, child_id: str, coming: list[str]) -> None:
        """What the next starts of a child come to; after those, they succeed."""
        real = {"ok": None, "error": RuntimeError("no"), "ignore": "ignore"}
        self.model.outcomes[child_id] = list(coming)
        self.stage.starts[child_id] = [real[outcome] for outcome in coming]

    @precondition(alive)
    @rule(seconds=st.sampled_from([0.1, 0.31, 0.97, 2.3, 5.17]))
    def time_passes(self, seconds: float) -> None:
        self.compare(seconds)

    @precondition(alive)
    @rule(kid=kids)
    def start_child(self, kid: Kid) -> None:
        self.request(
            start_child(self.top, self.stage.spec(kid)), lambda: self.model.start_child(replace(kid))
        )

    @precondition(alive)
    @rule(child_id=st.sampled_from(IDS))
    def terminate_child(self, child_id: str) -> None:
        self.request(terminate_child(self.top, child_id), lambda: self.model.terminate_child(child_id))

    @precondition(alive)
    @rule(child_id=st.sampled_from(IDS))
    def restart_child(self, child_id: str) -> None:
        self.request(restart_child(self.top, child_id), lambda: self.model.restart_child(child_id))

    @precondition(alive)
    @rule(child_id=st.sampled_from(IDS))
    def delete_child(self, child_id: str) -> None:
        self.request(delete_child(self.top, child_id), lambda: self.model.delete_child(child_id))

    @property
    def top(self) -> Ref:
        assert self.ref is not None
        return self.ref

    def request(self, asking: Awaitable[Any], expected: Any) -> None:
        self.model.now = self.loop.time()
        try:
            self.run(asking)
            answer = "ok"
        except ReplyError as error:
            answer = type(error).__name__
        assert answer == expected()
        self.compare()

    # ---- what must hold ----

    def compare(self, seconds: float = TICK_S) -> None:
        """Both worlds settle, and then they are the same."""
        self.run(asyncio.sleep(seconds))
        model = self.model
        model.settle(self.loop.time())
        done, expected = self.stage.done(), model.log[:]
        model.log.clear()
        if self.dynamic:  # its children stop at the same time
            assert Counter(done) == Counter(expected)
        else:
            assert done == expected
        if self.ref is None:
            return
        assert self.ref.is_alive() == (not model.over)
        if model.over:
            assert self.system.actors() == []
            gave_up = isinstance(self.ref.last_exit and self.ref.last_exit.error, ReachedMaxRestartIntensity)
            assert gave_up == (model.over == "gave up")
            return
        children = self.run(which_children(self.ref))
        assert [(child.id, child.state.value) for child in children] == [
            (kid.id, kid.state) for kid in model.kids
        ]
        running = [f"/top/{kid.id}" for kid in model.kids if kid.state == RUNNING]
        assert sorted(info.path for info in self.system.actors()) == sorted(["/top", *running])
        count = self.run(count_children(self.ref))
        assert (count.specs, count.active, count.supervisors, count.workers) == (
            len(model.kids), len(running), 0, len(model.kids),
        )  # fmt: skip
        in_window = [at for at in model.restarts if self.loop.time() - at <= model.period]
        assert self.run(status(self.ref)).restarts_in_window == len(in_window)

    def teardown(self) -> None:
        try:
            self.run(self.system.close())
            assert self.system.leaked == []
        finally:
            self.loop.close()


class DynamicMachine(Machine):
    dynamic = True


SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestSupervisor = Machine.TestCase
TestSupervisor.settings = SETTINGS
TestDynamicSupervisor = DynamicMachine.TestCase
TestDynamicSupervisor.settings = SETTINGS
