"""The same seed gives the same history: with gates, budgets of children, breakers, backoff and threads in the tree."""

import asyncio
from typing import Any

import pytest
from tests.supervisors.puppets import Crash, Stage, tree

from allstop.actors.clock import SeededDice
from allstop.actors.events import (
    BreakerChanged,
    ChildGaveUp,
    ChildStarted,
    ChildTerminated,
    Event,
    GateChanged,
    GateWaiting,
    GaveUp,
    RestartScheduled,
)
from allstop.actors.runtime import Actor, ActorSystem
from allstop.actors.runtime.virtual_time import VirtualTimeLoop
from allstop.actors.spec import (
    Backoff,
    ChildBudget,
    ChildSpec,
    Isolation,
    OnChildExceeded,
    OnExceeded,
    Pause,
    RestartGate,
    Start,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.lasting import declare_gates
from allstop.supervisors.supervisor import Supervisor

TOLD = (
    BreakerChanged,
    ChildGaveUp,
    ChildStarted,
    ChildTerminated,
    GateChanged,
    GateWaiting,
    GaveUp,
    RestartScheduled,
)
LEAVES = ("/top/stops", "/top/pauses", "/top/plain", "/top/thread", "/top/trading/one", "/top/trading/two")
JITTERED = Backoff(0.2, 2.0, 0.5)
PLENTY = SupervisorFlags(max_restarts=200, max_seconds=600.0)


class Threaded(Actor):
    """As a puppet, on a thread."""

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Crash):
            raise message.error


def tree_of(stage: Stage) -> tuple[ChildSpec, ...]:
    stops = ChildBudget(6, 60.0, OnChildExceeded.STOP_CHILD)
    pauses = ChildBudget(3, 30.0, OnChildExceeded.PAUSE, cooldown_s=7.0)
    trading = SupervisorFlags(
        Strategy.REST_FOR_ONE, 2, 20.0, OnExceeded.PAUSE, Pause(cooldown_s=3.0, probes=0, max_trips=4)
    )
    return (
        stage.puppet("stops", budget=stops, backoff=JITTERED),
        stage.puppet("pauses", budget=pauses, gate="venue"),
        stage.puppet("plain", backoff=JITTERED, gate="venue"),
        ChildSpec(
            "thread", Start(Threaded), isolation=Isolation.THREAD, backoff=JITTERED, simulated_cost_s=0.0
        ),
        tree("trading", trading, *stage.puppets("one", "two", gate="venue"), start_timeout_s=100.0),
    )


async def history(seed: int) -> tuple[list[str], set[type[Event]]]:
    """Two minutes in which the dice crash whatever runs."""
    stage = Stage()
    async with ActorSystem(dice=SeededDice(seed), on_event=stage.events.append) as system:
        declare_gates(system, RestartGate("venue", 1.5))
        await system.spawn(Supervisor, PLENTY, tree_of(stage), path="/top", start_timeout_s=100.0)
        chaos, began_ns = SeededDice(f"chaos {seed}"), system.clock.wall_ns()
        for _ in range(150):
            victim = system.address(LEAVES[int(chaos.draw() * len(LEAVES))])
            if victim.is_alive():
                victim.tell(Crash())
            await asyncio.sleep(chaos.draw() * 1.5)
        told = [event for event in stage.events if isinstance(event, TOLD)]
        words = [f"{event.at_ns - began_ns} {event}".replace(f"at_ns={event.at_ns}", "") for event in told]
    return words, {type(event) for event in told}


def run(seed: int) -> tuple[list[str], set[type[Event]]]:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(history(seed))


@pytest.mark.req("246")
@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_history_to_the_nanosecond(seed: int) -> None:
    told, kinds = run(seed)
    assert run(seed)[0] == told
    assert len(told) > 300
    assert kinds >= {ChildGaveUp, GateWaiting, GateChanged, BreakerChanged, GaveUp}


@pytest.mark.req("246")
def test_another_seed_gives_another_history() -> None:
    assert run(1)[0] != run(2)[0]
