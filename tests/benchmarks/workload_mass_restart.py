"""mass restart: 10,000 children of one dynamic supervisor are killed at once, and all are back."""

import asyncio
from typing import Any

from tests.benchmarks.harness import Measure, Python, Workload
from tests.benchmarks.measuring import amount, expect, now_ns, run, settle
from tests.benchmarks.workload_spawn import Idle

from allstop.actors.runtime import ActorSystem
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors import DynamicSupervisor, count_children, start_child

WAIT_S = 100.0


class Turns:
    """The longest time between two turns of the loop: how long something held it."""

    def __init__(self) -> None:
        self.longest = 0
        self.latest = now_ns()
        self.handle: Any = None
        self._turn()

    def _turn(self) -> None:
        now = now_ns()
        self.longest = max(self.longest, now - self.latest)
        self.latest = now
        self.handle = asyncio.get_running_loop().call_soon(self._turn)


def mass_restart() -> dict[str, float]:
    async def main() -> dict[str, float]:
        count = amount(10_000)
        back = asyncio.Event()
        up = 0

        class Child(Idle):
            def on_start(self) -> None:
                nonlocal up
                up += 1
                if up == 2 * count:
                    back.set()

        async with ActorSystem(on_event=lambda _event: None) as system:
            flags = SupervisorFlags(max_restarts=count, max_seconds=60.0)
            top = await system.spawn(DynamicSupervisor, flags, max_children=count, path="/top")
            refs = [await start_child(top, ChildSpec(number, Start(Child))) for number in range(count)]
            settle()
            began = now_ns()
            for ref in refs:
                assert ref is not None
                system.kill(ref)
            killed = now_ns() - began
            turns = Turns()
            await asyncio.wait_for(back.wait(), WAIT_S)
            took = now_ns() - began
            turns.handle.cancel()
            counted = await count_children(top, timeout_s=WAIT_S)
            expect("running", counted.active, count)
            expect("second incarnations", {ref.incarnation for ref in refs if ref is not None}, {2})
            await system.stop(top)
            return {"hold": turns.longest / 1e6, "back": took / 1e6, "kill": killed / 1e6}

    return run(main)


WORKLOADS = [
    Workload(
        name="mass-restart",
        about="10,000 children of one dynamic supervisor are killed in one go: how long the loop is held at most "
        "afterwards, and until all are back",
        measures=(
            Measure("hold", "ms", more_is_better=False),
            Measure("back", "ms", more_is_better=False),
            Measure("kill", "ms", more_is_better=False),
        ),
        ours=Python("tests.benchmarks.workload_mass_restart:mass_restart"),
    ),
]
