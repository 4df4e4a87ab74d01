"""Stopping in phases (statement 239), on virtual time."""

import asyncio

import pytest

from allstop.actors.errors import BadInput
from allstop.supervisors.coordinated_shutdown import (
    CoordinatedShutdown,
    Phase,
    PhaseOver,
    ShutdownAborted,
    TaskOutcome,
    in_order,
)

pytestmark = [pytest.mark.virtual, pytest.mark.req("239")]
THREE = {"first": Phase(), "second": Phase(("first",)), "third": Phase(("second",))}


class Log(list[str]):
    def task(self, name: str, takes_s: float = 0.0, error: Exception | None = None):
        async def run() -> None:
            self.append(f"{name} begins")
            await asyncio.sleep(takes_s)
            if error is not None:
                raise error
            self.append(f"{name} ends")

        return run


async def test_phases_run_in_the_order_of_what_they_depend_on_and_otherwise_as_listed() -> None:
    phases = {"d": Phase(("b", "c")), "c": Phase(("a",)), "b": Phase(("a",)), "a": Phase(), "x": Phase()}
    assert in_order(phases) == ("a", "c", "b", "d", "x")


async def test_a_circle_of_phases_is_refused_and_named() -> None:
    with pytest.raises(BadInput, match=r"circle: (a -> b -> a|b -> a -> b)"):
        CoordinatedShutdown({"a": Phase(("b",)), "b": Phase(("a",))})


async def test_a_phase_that_depends_on_none_there_is_is_refused_and_so_is_one_without_time() -> None:
    with pytest.raises(BadInput) as refused:
        CoordinatedShutdown({"a": Phase(("nowhere",)), "b": Phase(timeout_s=0)})
    assert [problem.where for problem in refused.value.problems] == ["phases.a", "phases.b"]


async def test_a_phase_begins_when_the_one_before_is_over_and_its_tasks_run_together() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE)
    shutdown.add_task("second", "c", log.task("c"))
    shutdown.add_task("first", "a", log.task("a", 2))
    shutdown.add_task("first", "b", log.task("b", 1))
    report = await shutdown.run("test")
    assert log == ["a begins", "b begins", "b ends", "a ends", "c begins", "c ends"]
    assert [(r.phase, r.name, r.outcome, r.took_s) for r in report.results] == [
        ("first", "a", "done", 2.0),
        ("first", "b", "done", 1.0),
        ("second", "c", "done", 0.0),
    ]
    assert report.failures == ()
    assert (report.reason, report.phases) == ("test", ("first", "second", "third"))


async def test_plain_functions_are_tasks_too() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE)
    shutdown.add_task("first", "plain", lambda: log.append("called"))
    await shutdown.run("test")
    assert log == ["called"]


async def test_what_takes_longer_than_its_phase_is_cancelled_and_the_next_phase_runs() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE | {"first": Phase(timeout_s=3)})
    shutdown.add_task("first", "slow", log.task("slow", 100))
    shutdown.add_task("second", "next", log.task("next"))
    began_s = asyncio.get_running_loop().time()
    report = await shutdown.run("test")
    assert log == ["slow begins", "next begins", "next ends"]
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(3)
    assert [(r.name, r.outcome) for r in report.failures] == [("slow", TaskOutcome.TIMED_OUT)]


async def test_what_swallows_its_cancellation_is_named_and_left_behind() -> None:
    shutdown = CoordinatedShutdown({"only": Phase(timeout_s=1)})
    over = asyncio.Event()

    async def stubborn() -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    shutdown.add_task("only", "stubborn", stubborn)
    report = await asyncio.wait_for(shutdown.run("test"), 10)
    over.set()
    assert [(r.name, r.outcome) for r in report.failures] == [("stubborn", TaskOutcome.TIMED_OUT)]


async def test_a_task_that_fails_is_reported_and_the_rest_goes_on() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE)
    shutdown.add_task("first", "bad", log.task("bad", error=OSError("disk")))
    shutdown.add_task("third", "last", log.task("last"))
    report = await shutdown.run("test")
    assert log == ["bad begins", "last begins", "last ends"]
    assert [(r.name, r.outcome, str(r.error)) for r in report.failures] == [("bad", "failed", "disk")]


@pytest.mark.parametrize("takes_s", [0, 100])
async def test_without_recover_a_failure_or_a_timeout_ends_the_shutdown(takes_s: float) -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE | {"second": Phase(("first",), recover=False)})
    shutdown.add_task("first", "a", log.task("a"))
    shutdown.add_task("second", "bad", log.task("bad", takes_s, error=OSError("disk")))
    shutdown.add_task("third", "never", log.task("never"))
    with pytest.raises(ShutdownAborted, match=r"second.*bad (failed|timed out)") as aborted:
        await shutdown.run("test")
    assert log == ["a begins", "a ends", "bad begins"]
    assert [r.name for r in aborted.value.report.results] == ["a", "bad"]
    assert aborted.value.report.phases == ("first", "second")


async def test_it_runs_once_however_often_it_is_asked_and_all_get_the_same_report() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE)
    shutdown.add_task("first", "a", log.task("a", 1))
    one, two = await asyncio.gather(shutdown.run("one"), shutdown.run("two"))
    assert one is two is await shutdown.run("three")
    assert (one.reason, shutdown.reason, log) == ("one", "one", ["a begins", "a ends"])


async def test_a_caller_that_gives_up_does_not_stop_it() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE)
    shutdown.add_task("first", "a", log.task("a", 2))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(shutdown.run("test"), 1)
    await shutdown.run("again")
    assert log == ["a begins", "a ends"]


async def test_it_can_begin_with_a_later_phase() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE)
    shutdown.add_task("first", "a", log.task("a"))
    shutdown.add_task("second", "b", log.task("b"))
    report = await shutdown.run("test", from_phase="second")
    assert (log, report.phases) == (["b begins", "b ends"], ("second", "third"))
    with pytest.raises(BadInput, match="no phase 'nowhere'"):
        await CoordinatedShutdown(THREE).run("test", from_phase="nowhere")


async def test_a_task_added_while_it_runs_to_a_later_phase_still_runs_and_to_an_earlier_one_is_refused() -> (
    None
):
    log, shutdown = Log(), CoordinatedShutdown(THREE)

    async def add() -> None:
        shutdown.add_task("third", "late", log.task("late"))
        with pytest.raises(PhaseOver, match="'too late' comes too late: phase 'second'"):
            shutdown.add_task("second", "too late", log.task("never"))
        with pytest.raises(PhaseOver):
            shutdown.add_task("first", "much too late", log.task("never"))

    shutdown.add_task("second", "add", add)
    report = await shutdown.run("test")
    assert log == ["late begins", "late ends"]
    assert report.failures == ()


async def test_a_task_can_be_taken_back_and_a_name_is_given_once_per_phase() -> None:
    log, shutdown = Log(), CoordinatedShutdown(THREE)
    take_back = shutdown.add_task("first", "a", log.task("a"))
    with pytest.raises(BadInput, match="'a' already"):
        shutdown.add_task("first", "a", log.task("a"))
    take_back()
    take_back()
    with pytest.raises(BadInput, match="no phase 'fourth': there are first, second, third"):
        shutdown.add_task("fourth", "a", log.task("a"))
    await shutdown.run("test")
    assert log == []
