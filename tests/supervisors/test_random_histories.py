"""Supervisors on the runtime under random kills, crashes, hanging starts, slow stops and requests, at random moments.

Whatever happened: what a supervisor says that runs, runs, and nothing else does; every call ends; nothing is left. A
failure names its seed.
"""

import asyncio
import random
from collections.abc import Awaitable
from typing import Any

import pytest
from tests.supervisors.puppets import Crash, End, Hang, Stage, settle, tree

from allstop.actors.errors import AllstopError
from allstop.actors.exits import NORMAL
from allstop.actors.runtime import ActorSystem, Ref
from allstop.actors.spec import Backoff, ChildSpec, OnExceeded, Pause, Restart, Strategy, SupervisorFlags
from allstop.supervisors.children import ChildState
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.supervisor import (
    Supervisor,
    delete_child,
    reset_breaker,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)

pytestmark = pytest.mark.virtual
LEAVES = ("a", "b", "c", "d", "e")
OUTCOMES = (RuntimeError("no"), "ignore", "hang", "brief", "brief", 0.02, 0.5, None, None, None)
PATHS = ("/top", "/top/below", "/top/a", "/top/b", "/top/below/c", "/top/below/d", "/top/e")


class History:
    def __init__(self, seed: int, system: ActorSystem, stage: Stage) -> None:
        self.chance = random.Random(seed)
        self.system, self.stage = system, stage
        self.calls: list[asyncio.Task[Any]] = []

    def leaf(self, child_id: str) -> ChildSpec:
        pick = self.chance.choice
        backoff = pick([Backoff(), Backoff(0.01, 0.1, 0.2)])
        return self.stage.puppet(
            child_id, restart=pick([*Restart, Restart.PERMANENT]), backoff=backoff, start_timeout_s=1.0, shutdown=0.2
        )  # fmt: skip

    def root(self) -> Awaitable[Ref]:
        def flags(on_exceeded: OnExceeded) -> SupervisorFlags:
            pause = Pause(cooldown_s=0.5, probes=0, max_trips=1000)
            return SupervisorFlags(
                self.chance.choice(list(Strategy)), 40, 5.0, on_exceeded=on_exceeded, pause=pause
            )

        below = tree("below", flags(OnExceeded.PAUSE), self.leaf("c"), self.leaf("d"), shutdown=2.0)
        children = (self.leaf("a"), below, self.leaf("b"))
        if self.chance.random() < 0.2:
            dynamic = SupervisorFlags(max_restarts=200)
            return self.system.spawn(DynamicSupervisor, dynamic, max_children=8, path="/top")
        return self.system.spawn(Supervisor, flags(OnExceeded.PAUSE), children, path="/top")

    def ask(self, asking: Awaitable[Any]) -> None:
        async def to_its_end() -> None:
            try:
                await asking
            except AllstopError:
                return

        self.calls.append(asyncio.ensure_future(to_its_end()))

    def step(self) -> None:
        pick = self.chance.choice
        ref, supervisor = self.system.address(pick(PATHS)), self.system.address(pick(PATHS[:2]))
        leaf = pick(LEAVES)
        match self.chance.randrange(12):
            case 0 | 1:
                if ref.path != "/top":  # nobody restarts the top
                    self.system.kill(ref)
            case 2 | 3:
                ref.tell(Crash() if ref.path in PATHS[2:] else "hello")
            case 4:
                ref.tell(End(NORMAL))
            case 5:
                ref.tell(Hang())
            case 6:
                self.stage.starts[leaf] = [pick(OUTCOMES) for _ in range(3)]
                self.stage.stop_s[leaf] = pick([0.0, 0.0, 0.1, 0.5])
            case 7:
                self.ask(terminate_child(supervisor, leaf, timeout_s=3.0))
            case 8:
                self.ask(restart_child(supervisor, leaf, timeout_s=3.0))
            case 9:
                self.ask(start_child(supervisor, self.leaf(leaf), timeout_s=3.0))
            case 10:
                self.ask(pick([delete_child, restart_child])(supervisor, leaf, timeout_s=3.0))
            case _:
                self.ask(
                    ref.call("who", timeout_s=1.0) if ref.path != "/top" else reset_breaker(ref, "ada", "try")
                )

    async def agree(self) -> None:
        """What supervisors say and what runs are the same."""
        expected = {"/top"}
        waiting = ["/top"]
        while waiting:
            path = waiting.pop()
            for child in await which_children(self.system.address(path)):
                assert child.state in (ChildState.RUNNING, ChildState.DOWN), child
                if child.state is ChildState.RUNNING:
                    expected.add(child.ref.path)  # type: ignore[attr-defined]
                    assert child.incarnation == child.ref.incarnation  # type: ignore[attr-defined]
                    if child.id == "below":
                        waiting.append(child.ref.path)  # type: ignore[attr-defined]
        assert {info.path for info in self.system.actors()} == expected


@pytest.mark.parametrize("seed", range(40))
async def test_what_supervisors_believe_is_what_runs(seed: int) -> None:
    stage = Stage()
    async with stage.system() as system:
        history = History(seed, system, stage)
        top = await history.root()
        for _ in range(60):
            history.step()
            await asyncio.sleep(history.chance.choice([0.0, 0.0, 0.001, 0.05, 0.3]))
        stage.starts.clear()
        await settle(60)
        assert all(call.done() and call.exception() is None for call in history.calls)
        await history.agree()
        await system.stop(top, timeout_s=30.0)
        assert system.actors() == []
    assert system.leaked == []
