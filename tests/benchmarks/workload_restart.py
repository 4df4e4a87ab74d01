"""restart: from the raise in a handler until the replacement handles its first message, under a supervisor.

Each crash leaves its report with a subscriber. The budget is the same on both sides: a window of a second that holds
all restarts of one supervisor. OTP looks through the whole window at each restart, so a thousand in one window cost it
more than a few: `p50` is of a thousand under one supervisor, `fresh` of a hundred under each of ten.
"""

import asyncio

from tests.benchmarks import peers
from tests.benchmarks.harness import BEAM, CAPTURING, PYKKA, Beam, Measure, Python, Workload
from tests.benchmarks.measuring import amount, expect, latencies, now_ns, percentile, run, settle

from allstop.actors.events import CrashReport, Event
from allstop.actors.runtime import Actor, ActorSystem
from allstop.actors.spec import ChildSpec, Start, Strategy, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor

CRASHES = 1_000
SUPERVISORS, EACH = 10, 100
GROUP = 10  # children of a one_for_all supervisor
WAIT_S = 60.0


class Course:
    """Counts the children that are up, and has one crash whenever all are."""

    def __init__(self, children: int, crashes: int) -> None:
        self.children = children
        self.left = crashes
        self.up = 0
        self.crashed_ns = 0
        self.took: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def first(self, child: "Fragile") -> None:
        self.up += 1
        if self.up < self.children:
            return
        if self.crashed_ns:
            self.took.append(now_ns() - self.crashed_ns)
        self.up = 0
        self.left -= 1
        if self.left < 0:
            self.done.set_result(None)
        else:
            child.ref.tell("crash")


class Fragile(Actor):
    def __init__(self, course: Course) -> None:
        self.course = course

    def on_start(self) -> None:
        self.ref.tell("first")

    def on_receive(self, message: object) -> None:
        if message == "crash":
            self.course.crashed_ns = now_ns()
            raise ValueError("asked to")
        self.course.first(self)


async def crashes(
    system: ActorSystem, path: str, strategy: Strategy, children: int, count: int
) -> list[float]:
    """Nanoseconds of each restart of a new supervisor's children."""
    course = Course(children, count)
    flags = SupervisorFlags(strategy, max_restarts=count + 1, max_seconds=1.0)
    specs = tuple(ChildSpec(number, Start(Fragile, (course,))) for number in range(children))
    supervisor = await system.spawn(Supervisor, flags, specs, path=path)
    await asyncio.wait_for(course.done, WAIT_S)
    await system.stop(supervisor)
    expect("restarts", len(course.took), count)
    return course.took


def restart() -> dict[str, float]:
    async def main() -> dict[str, float]:
        reports: list[Event] = []
        async with ActorSystem(on_event=reports.append) as system:
            many, each = amount(CRASHES), amount(EACH)
            await crashes(system, "/warm", Strategy.ONE_FOR_ONE, 1, 10)
            reports.clear()
            settle()
            one = await crashes(system, "/one", Strategy.ONE_FOR_ONE, 1, many)
            fresh: list[float] = []
            for number in range(SUPERVISORS):
                fresh += await crashes(system, f"/fresh/{number}", Strategy.ONE_FOR_ONE, 1, each)
            group = await crashes(system, "/all", Strategy.ONE_FOR_ALL, GROUP, each)
            captured = sum(isinstance(event, CrashReport) for event in reports)
            expect("crash reports", captured, many + (SUPERVISORS + 1) * each)
            a_few, all_of_them = percentile(fresh, 0.5), percentile(group, 0.5)
            return latencies(one) | {
                "fresh": a_few / 1e3,
                "group": all_of_them / 1e3,
                "group-of-one": all_of_them / a_few,
            }

    return run(main)


WORKLOADS = [
    Workload(
        name="restart",
        slices=2,
        about="1,000 crashes of a child: from the raise until the replacement handles its first message; the same with "
        "a fresh supervisor every 100; 100 of one of ten children under one_for_all, until all ten have handled theirs",
        measures=(
            Measure("p50", "us", more_is_better=False),
            Measure("p99", "us", more_is_better=False),
            Measure("fresh", "us", more_is_better=False),
            Measure("group", "us", more_is_better=False),
            Measure("group-of-one", "restarts of one", more_is_better=False),
        ),
        ours=Python("tests.benchmarks.workload_restart:restart"),
        peers={
            BEAM: Beam("restart", caveat="its logger is off: no crash report is made"),
            CAPTURING: Beam(
                "restart-captured",
                caveat="its crash, supervisor and progress reports are kept in memory, as ours are",
            ),
            PYKKA: Python(
                "tests.benchmarks.threads:restart", caveat="no supervisor: restarted by hand in on_failure"
            ),
            **peers.of("restart"),
        },
    ),
]
