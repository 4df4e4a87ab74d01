"""Stopping in phases: what others depend on stops last, the tasks of a phase run together, each phase has a time.

Akka's CoordinatedShutdown, but of one tree instead of the whole process: a `Runtime` has one as `runtime.shutdown`.
"""

import asyncio
import graphlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from allstop.actors.errors import AllstopError, BadInput, Problem
from allstop.actors.runtime.arguments import want, want_function, want_text

Task = Callable[[], Awaitable[object] | object]
GRACE_S: Final = 1.0  # how long a cancelled task may take to clean up


@dataclass(frozen=True, slots=True)
class Phase:
    """When a phase runs: after all that it depends on. `recover=False`: a failure in it ends the whole shutdown."""

    depends_on: tuple[str, ...] = ()
    timeout_s: float = 5.0
    recover: bool = True


class TaskOutcome(StrEnum):
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"  # cancelled when the time of its phase was over


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of one task. `error` is what it raised, or what it raised when it was cancelled."""

    phase: str
    name: str
    outcome: TaskOutcome
    took_s: float
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """One shutdown: why, and every task, phase by phase."""

    reason: str
    phases: tuple[str, ...]
    results: tuple[TaskResult, ...]

    @property
    def failures(self) -> tuple[TaskResult, ...]:
        return tuple(result for result in self.results if result.outcome is not TaskOutcome.DONE)


class ShutdownAborted(AllstopError):
    """A phase with `recover=False` failed; the phases after it did not run. `report` says how far it came."""

    def __init__(self, phase: str, report: ShutdownReport) -> None:
        failed = ", ".join(f"{result.name} {result.outcome}" for result in report.failures)
        super().__init__(f"shutdown aborted in phase {phase!r}: {failed}")
        self.phase = phase
        self.report = report


class PhaseOver(AllstopError):
    """A task was added to a phase that runs or ran already: it would never run."""

    def __init__(self, phase: str, name: str) -> None:
        super().__init__(f"{name!r} comes too late: phase {phase!r} has begun")
        self.phase = phase


def in_order(phases: Mapping[str, Phase]) -> tuple[str, ...]:
    """The phases, each after all that it depends on, otherwise as they are listed. Raises BadInput for a phase that
    there is not and for a circle."""
    want("phases", phases, Mapping, "phases by name")
    for name, phase in phases.items():
        want(f"phases[{name!r}]", phase, Phase, "a Phase")
    problems = [
        Problem(f"phase {name!r} depends on {other!r}, which there is not", where=f"phases.{name}")
        for name, phase in phases.items()
        for other in phase.depends_on
        if other not in phases
    ]
    problems += [
        Problem(
            f"phase {name!r}: timeout_s is {phase.timeout_s!r}, it must be above 0", where=f"phases.{name}"
        )
        for name, phase in phases.items()
        if not _is_time(phase.timeout_s)
    ]
    if problems:
        raise BadInput(*problems)
    sorter = graphlib.TopologicalSorter({name: phase.depends_on for name, phase in phases.items()})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise BadInput(
            Problem(f"phases depend on each other in a circle: {' -> '.join(error.args[1])}", where="phases")
        ) from error
    listed = list(phases)
    ordered: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=listed.index)
        ordered.append(ready.pop(0))
        sorter.done(ordered[-1])
    return tuple(ordered)


def _is_time(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and given > 0


class CoordinatedShutdown:
    """Runs the tasks of its phases once, in order. `add_task` while it runs: only to phases that have not begun."""

    def __init__(self, phases: Mapping[str, Phase]) -> None:
        """Raises BadInput when the phases cannot be put in order."""
        self._order = in_order(phases)
        self._phases = dict(phases)
        self._tasks: dict[str, dict[str, Task]] = {name: {} for name in self._order}
        self._begun: set[str] = set()
        self._running: asyncio.Task[ShutdownReport] | None = None
        self._log = structlog.get_logger("allstop")
        self.reason: str | None = None  # set when it begins

    @property
    def phases(self) -> tuple[str, ...]:
        return self._order

    def add_task(self, phase: str, name: str, function: Task) -> Callable[[], None]:
        """Has `function`, plain or async, called in that phase, beside the others of the phase. Gives what takes it
        back out.

        Raises BadInput for a phase that there is not or a name that the phase has already, PhaseOver when it is too late.
        """
        want("phase", phase, str, "the name of a phase")
        want_text("name", name)
        want_function("function", function)
        if phase not in self._tasks:
            raise BadInput(Problem(f"no phase {phase!r}: there are {', '.join(self._order)}", where=name))
        if name in self._tasks[phase]:
            raise BadInput(Problem(f"phase {phase!r} has a task {name!r} already", where=name))
        if phase in self._begun:
            raise PhaseOver(phase, name)
        self._tasks[phase][name] = function

        def take_back() -> None:
            self._tasks[phase].pop(name, None)

        return take_back

    async def run(self, reason: str, *, from_phase: str | None = None) -> ShutdownReport:
        """Runs all phases, or those from one on. However often it is called, it runs once, and all get its report.

        A caller that is cancelled stops waiting; the shutdown goes on. Raises ShutdownAborted, and BadInput for a
        phase that there is not.
        """
        want_text("reason", reason)
        if self._running is None:
            if from_phase is not None and from_phase not in self._tasks:
                raise BadInput(
                    Problem(
                        f"no phase {from_phase!r}: there are {', '.join(self._order)}", where="from_phase"
                    )
                )
            start = 0 if from_phase is None else self._order.index(from_phase)
            self.reason = reason
            self._begun.update(self._order[:start])
            self._running = asyncio.get_running_loop().create_task(
                self._run(reason, self._order[start:]), name="coordinated shutdown"
            )
        return await asyncio.shield(self._running)

    async def _run(self, reason: str, phases: tuple[str, ...]) -> ShutdownReport:
        results: list[TaskResult] = []
        for number, phase in enumerate(phases, 1):
            self._begun.add(phase)
            ended = await self._run_phase(phase)
            results.extend(ended)
            failures = [result for result in ended if result.outcome is not TaskOutcome.DONE]
            for failure in failures:
                self._log.error(
                    "shutdown.task_failed", phase=phase, task=failure.name, outcome=str(failure.outcome),
                    error=repr(failure.error),
                )  # fmt: skip
            if failures and not self._phases[phase].recover:
                raise ShutdownAborted(phase, ShutdownReport(reason, phases[:number], tuple(results)))
        return ShutdownReport(reason, phases, tuple(results))

    async def _run_phase(self, phase: str) -> list[TaskResult]:
        if not self._tasks[phase]:
            return []
        jobs = [_Job(phase, name, function) for name, function in self._tasks[phase].items()]
        _, late = await asyncio.wait([job.task for job in jobs], timeout=self._phases[phase].timeout_s)
        for task in late:
            task.cancel()
        if late:  # what does not even see its cancellation is named, and left behind
            await asyncio.wait(late, timeout=GRACE_S)
        return [job.result(late=job.task in late) for job in jobs]


class _Job:
    """One task that runs, and when it ended."""

    def __init__(self, phase: str, name: str, function: Task) -> None:
        loop = asyncio.get_running_loop()
        self._phase = phase
        self._name = name
        self._began_s = loop.time()
        self._ended_s: float | None = None
        self.task = loop.create_task(_called(function), name=f"{phase}:{name}")
        self.task.add_done_callback(lambda _: self._note_end(loop.time()))

    def _note_end(self, now_s: float) -> None:
        self._ended_s = now_s

    def result(self, *, late: bool) -> TaskResult:
        task = self.task
        error: BaseException | None = None
        if task.done():
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
        outcome = TaskOutcome.TIMED_OUT if late else TaskOutcome.FAILED if error else TaskOutcome.DONE
        ended_s = asyncio.get_running_loop().time() if self._ended_s is None else self._ended_s
        return TaskResult(self._phase, self._name, outcome, ended_s - self._began_s, error)


async def _called(function: Task) -> object:
    result = function()
    return await result if inspect.isawaitable(result) else result
