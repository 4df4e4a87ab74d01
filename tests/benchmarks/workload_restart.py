"""restart: from the message that crashes a child until its replacement answers, under a supervisor with its defaults.

pykka has no supervisor: its side starts a new actor in `on_failure`, the least that a user would write.
"""

import asyncio
import logging
import statistics
import time
from typing import Any

import pykka
from tests.benchmarks.harness import Beam, Python, Workload
from tests.benchmarks.workload_runtime import run

from allstop.actors.runtime import Actor, ActorDead, ActorSystem
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor

RESTARTS = 500


class Fragile(Actor):
    def on_receive(self, message: object) -> str:
        if message == "crash":
            raise ValueError("asked to")
        return "pong"


class PykkaFragile(pykka.ThreadingActor):
    current: Any = None

    def on_receive(self, message: object) -> str:
        if message == "crash":
            raise ValueError("asked to")
        return "pong"

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        PykkaFragile.current = PykkaFragile.start()


def restart() -> float:
    async def main() -> float:
        async with ActorSystem(on_event=lambda _event: None) as system:
            # A short window, as in life: one that holds all 500 restarts would measure its own length.
            flags = SupervisorFlags(max_restarts=RESTARTS + 1, max_seconds=0.001)
            await system.spawn(Supervisor, flags, (ChildSpec("child", Start(Fragile)),), path="/top")
            child = system.address("/top/child")
            times: list[float] = []
            for number in range(1, RESTARTS + 1):
                started = time.perf_counter()
                child.tell("crash")
                while True:
                    try:
                        await child.call("ping")
                    except ActorDead:
                        await asyncio.sleep(0)
                    else:
                        break
                times.append(time.perf_counter() - started)
                assert child.incarnation == number + 1
            return statistics.median(times) * 1e6

    return run(main)


def pykka_restart() -> float:
    logging.getLogger("pykka").setLevel(logging.CRITICAL)
    PykkaFragile.current = PykkaFragile.start()
    times: list[float] = []
    for _ in range(RESTARTS):
        old = PykkaFragile.current
        started = time.perf_counter()
        old.tell("crash")
        while PykkaFragile.current is old:
            time.sleep(0)
        assert PykkaFragile.current.ask("ping") == "pong"
        times.append(time.perf_counter() - started)
    pykka.ActorRegistry.stop_all()
    return statistics.median(times) * 1e6


WORKLOADS = [
    Workload(
        name="restart",
        unit="us",
        more_is_better=False,
        ours=Python("tests.benchmarks.workload_restart:restart"),
        peers={
            "pykka, hand-made": Python("tests.benchmarks.workload_restart:pykka_restart"),
            "BEAM supervisor": Beam("restart"),
        },
    )
]
