"""A child's own budget of restarts, beside its supervisor's window: what it counts, and what happens when it is spent."""

import pytest
from tests.supervisors.puppets import Stage, crash, incarnation, settle
from tests.supervisors.rig import BOOM, Rig, flags, spec

from allstop.actors.errors import BadInput
from allstop.actors.events import ChildGaveUp, ChildTerminated, GaveUp, RestartScheduled
from allstop.actors.exits import SHUTDOWN, ReachedMaxRestartIntensity
from allstop.actors.spec import (
    AutoShutdown,
    Backoff,
    ChildBudget,
    ChildSpec,
    OnChildExceeded,
    Restart,
    Strategy,
)
from allstop.supervisors import decisions as d
from allstop.supervisors.errors import InvalidChildSpec
from allstop.supervisors.supervisor import Supervisor

WIDE = flags(max_restarts=20, max_seconds=60.0)


def bounded(child_id: str, on_exceeded: OnChildExceeded, restarts: int = 2, **fields: object) -> ChildSpec:
    budget = ChildBudget(restarts, 10.0, on_exceeded, cooldown_s=30.0)
    return spec(child_id, budget=budget, **fields)


def gave_up(rig: Rig) -> ChildGaveUp:
    (event,) = rig.events_of(ChildGaveUp)
    assert isinstance(event, ChildGaveUp)
    return event


class TestStopChild:
    def test_a_child_over_its_budget_stays_down_and_its_siblings_go_on(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD), spec("b"))
        for _ in range(3):
            rig.end("a", BOOM)
        assert (rig.up, rig.state("a"), rig.exit) == (["b"], "down", None)

    def test_it_is_reported_with_its_cause_and_what_the_supervisor_has_left(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD))
        for _ in range(3):
            rig.end("a", BOOM)
        event = gave_up(rig)
        assert (event.child, event.action, event.attempts) == ("a", "stop_child", 2)
        assert event.causes == ("RuntimeError: boom",)
        assert event.budget_left == 18  # two restarts were made, and the one too many was not

    def test_whoever_watches_it_is_told_that_it_will_not_come_back(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD))
        for _ in range(3):
            rig.end("a", BOOM)
        assert rig.retired == ["ref:a"]

    def test_restart_child_starts_it_again(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD))
        for _ in range(3):
            rig.end("a", BOOM)
        rig.ask(d.RestartChild("a"))
        assert rig.up == ["a"]

    @pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
    def test_siblings_of_a_group_are_not_touched(self, strategy: Strategy) -> None:
        rig = Rig(flags(strategy, 20, 60.0), bounded("a", OnChildExceeded.STOP_CHILD, 0), spec("b"))
        mark = len(rig.log)
        rig.end("a", BOOM)
        assert (rig.since(mark), rig.up) == ([], ["b"])

    @pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
    def test_the_rest_of_a_group_starts_without_the_one_that_cannot(self, strategy: Strategy) -> None:
        child = bounded("b", OnChildExceeded.STOP_CHILD, 1)
        rig = Rig(flags(strategy, 20, 60.0), spec("a"), child, spec("c"))
        rig.outcomes["b"] = [ValueError("no"), ValueError("no")]
        rig.end("a" if strategy is Strategy.ONE_FOR_ALL else "b", BOOM)
        rig.settle()
        assert (rig.up, rig.state("b")) == (["a", "c"], "down")

    def test_a_dynamic_supervisor_forgets_it(self) -> None:
        rig = Rig(WIDE, max_children=5)
        rig.ask(d.AddChild(bounded("a", OnChildExceeded.STOP_CHILD, 0)))
        rig.end("a", BOOM)
        assert rig.counts() == [0, 0, 0, 0]

    def test_a_significant_child_that_is_given_up_on_shuts_its_supervisor_down(self) -> None:
        child = bounded("a", OnChildExceeded.STOP_CHILD, 0, significant=True, restart=Restart.TRANSIENT)
        rig = Rig(flags(max_restarts=9, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT), child, spec("b"))
        rig.end("a", BOOM)
        assert (rig.exit, rig.up) == (SHUTDOWN, [])


class TestEscalate:
    def test_a_spent_child_budget_is_a_spent_supervisor_budget(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.ESCALATE), spec("b"))
        for _ in range(3):
            rig.end("a", BOOM)
        assert rig.exit is not None
        error = rig.exit.error
        assert isinstance(error, ReachedMaxRestartIntensity)
        assert (error.offender, error.attempts, rig.up) == ("a", 2, [])
        (event,) = rig.events_of(GaveUp)
        assert isinstance(event, GaveUp)
        assert (event.action, event.stopped) == ("escalate", ("b",))

    def test_two_children_do_not_spend_each_others_budget(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.ESCALATE), bounded("b", OnChildExceeded.ESCALATE))
        for child_id in "abab":
            rig.end(child_id, BOOM)
        assert (rig.up, rig.exit) == (["a", "b"], None)

    def test_both_limits_hold_the_supervisors_window_is_shared_all_the_same(self) -> None:
        children = (bounded("a", OnChildExceeded.ESCALATE), bounded("b", OnChildExceeded.ESCALATE))
        rig = Rig(flags(max_restarts=3, max_seconds=60.0), *children)
        for child_id in "abab":
            rig.end(child_id, BOOM)
        assert rig.exit is not None


class TestPause:
    def test_it_waits_for_its_cooldown_and_starts_with_a_new_budget(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.PAUSE), spec("b"))
        for _ in range(3):
            rig.end("a", BOOM)
        assert (rig.state("a"), rig.up) == ("restarting", ["b"])
        assert gave_up(rig).retry_after_s == 30.0
        rig.advance(29.9)
        assert rig.up == ["b"]
        rig.advance(0.2)
        assert rig.up == ["a", "b"]
        rig.end("a", BOOM)
        rig.end("a", BOOM)
        assert (rig.up, rig.exit) == (["a", "b"], None)

    def test_it_waits_again_each_time(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.PAUSE, 0))
        for _ in range(50):
            rig.end("a", BOOM)
            assert rig.up == []
            rig.advance(30.0)
            assert rig.up == ["a"]
        assert rig.exit is None

    def test_terminate_child_ends_the_wait(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.PAUSE, 0))
        rig.end("a", BOOM)
        rig.ask(d.TerminateChild("a"))
        rig.advance(100.0)
        assert (rig.up, rig.timers) == ([], {})

    def test_its_group_waits_with_it(self) -> None:
        rig = Rig(flags(Strategy.ONE_FOR_ALL, 20, 60.0), bounded("a", OnChildExceeded.PAUSE, 0), spec("b"))
        rig.end("a", BOOM)
        assert rig.up == []
        rig.advance(30.0)
        assert rig.up == ["a", "b"]


class TestCounting:
    def test_an_attempt_as_old_as_the_window_still_counts(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD, 1))
        rig.end("a", BOOM)
        rig.advance(10.0)
        rig.end("a", BOOM)
        assert rig.up == []

    def test_failures_that_are_far_apart_never_spend_it(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD, 1))
        for _ in range(20):
            rig.end("a", BOOM)
            rig.advance(10.1)
        assert rig.up == ["a"]

    def test_failed_starts_count(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD))
        rig.outcomes["a"] = [ValueError("no")] * 9
        rig.end("a", BOOM)
        rig.settle()
        assert (rig.log.count("fail a"), rig.state("a")) == (2, "down")

    def test_max_consecutive_is_a_limit_of_the_child(self) -> None:
        backoff = Backoff(1.0, 1.0, 0.0, reset_after_s=100.0, max_consecutive=2)
        child = spec("a", backoff=backoff, budget=ChildBudget(9, 10.0, OnChildExceeded.STOP_CHILD))
        rig = Rig(WIDE, child, spec("b"))
        for _ in range(3):
            rig.end("a", BOOM)
            rig.advance(1.0)
        assert (rig.up, rig.exit) == (["b"], None)

    def test_events_say_what_is_left_of_both_budgets(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD))
        rig.end("a", BOOM)
        (ended,) = rig.events_of(ChildTerminated)
        (scheduled,) = rig.events_of(RestartScheduled)
        assert isinstance(ended, ChildTerminated)
        assert isinstance(scheduled, RestartScheduled)
        assert (ended.budget_left, ended.child_budget_left) == (20, 2)
        assert (scheduled.budget_left, scheduled.child_budget_left) == (19, 1)
        assert (scheduled.incarnation, scheduled.causes) == (1, ("RuntimeError: boom",))

    def test_an_event_names_the_group_that_goes_down_with_a_child(self) -> None:
        rig = Rig(flags(Strategy.REST_FOR_ONE), spec("a"), spec("b"), spec("c"))
        rig.end("b", BOOM)
        (scheduled,) = rig.events_of(RestartScheduled)
        assert isinstance(scheduled, RestartScheduled)
        assert (scheduled.strategy, scheduled.group) == ("rest_for_one", ("b", "c"))


class TestChecking:
    @pytest.mark.parametrize(
        "budget",
        [
            "3 in 5",
            ChildBudget(-1, 5.0),
            ChildBudget(True, 5.0),
            ChildBudget(3, 0.0),
            ChildBudget(3, float("inf")),
            ChildBudget(3, 5.0, "perhaps"),  # pyright: ignore[reportArgumentType]
            ChildBudget(3, 5.0, OnChildExceeded.PAUSE, cooldown_s=0.0),
        ],
    )
    def test_a_budget_that_is_none_is_refused(self, budget: object) -> None:
        with pytest.raises(InvalidChildSpec) as refused:
            Rig(WIDE, spec("a", budget=budget))
        assert refused.value.code == "invalid_budget"

    def test_a_temporary_child_has_nothing_to_spend(self) -> None:
        with pytest.raises(InvalidChildSpec) as refused:
            Rig(WIDE, spec("a", budget=ChildBudget(1, 5.0), restart=Restart.TEMPORARY))
        assert refused.value.code == "bad_combination"

    def test_a_budget_that_its_own_backoff_keeps_from_being_spent_is_refused(self) -> None:
        with pytest.raises(BadInput, match="its own max_restarts=3 within max_seconds=10 is never exceeded"):
            Rig(WIDE, spec("a", backoff=Backoff(10.0, 10.0), budget=ChildBudget(3, 10.0)))

    def test_a_budget_that_the_supervisors_always_comes_before_is_refused(self) -> None:
        with pytest.raises(BadInput, match="is never reached"):
            Rig(flags(max_restarts=3, max_seconds=60.0), spec("a", budget=ChildBudget(4, 60.0)))

    def test_the_supervisors_window_need_not_be_fillable_by_a_child_with_its_own(self) -> None:
        backoff = Backoff(5.0, 5.0)
        rig = Rig(
            flags(max_restarts=3, max_seconds=5.0), spec("a", backoff=backoff, budget=ChildBudget(2, 60.0))
        )
        assert rig.up == ["a"]

    def test_reconfigure_gives_a_running_child_another_budget(self) -> None:
        rig = Rig(WIDE, bounded("a", OnChildExceeded.STOP_CHILD))
        rig.end("a", BOOM)
        rig.end("a", BOOM)
        rig.ask(d.Reconfigure(WIDE, (bounded("a", OnChildExceeded.STOP_CHILD, 3),)))
        rig.end("a", BOOM)
        assert rig.up == ["a"]
        rig.end("a", BOOM)
        assert rig.up == []


@pytest.mark.virtual
async def test_on_the_runtime_one_bad_child_costs_its_siblings_nothing() -> None:
    stage = Stage()
    bad = stage.puppet("bad", budget=ChildBudget(2, 10.0, OnChildExceeded.STOP_CHILD))
    async with stage.system() as system:
        await system.spawn(Supervisor, WIDE, (bad, *stage.puppets("good")), path="/top")
        for _ in range(3):
            await crash(system, "/top/bad")
        await settle(60.0)
        assert incarnation(system, "/top/bad") is None
        assert incarnation(system, "/top/good") == 1
        assert [event.action for event in stage.of(ChildGaveUp)] == ["stop_child"]
