"""Restart types, strategies and the budget, decided without a loop. Case names of OTP's suite where there is one."""

import pytest
from tests.supervisors.rig import BOOM, IGNORE, Rig, flags, permanent, spec

from allstop.actors.errors import Fatal
from allstop.actors.events import ChildStarted, ChildTerminated, GaveUp, RestartScheduled, StartFailed
from allstop.actors.exits import (
    KILLED,
    NORMAL,
    SHUTDOWN,
    Exit,
    ReachedMaxRestartIntensity,
    causes,
    crashed,
    shutdown,
)
from allstop.actors.spec import Backoff, OnExceeded, Restart, Strategy
from allstop.supervisors import decisions as d
from allstop.supervisors.errors import FailedToStartChild

ALL = Strategy.ONE_FOR_ALL
REST = Strategy.REST_FOR_ONE
CLEAN = [NORMAL, SHUTDOWN, shutdown("done")]
UNCLEAN = [BOOM, KILLED]


class TestStarting:
    @pytest.mark.req("33")
    def test_children_start_in_list_order(self) -> None:
        assert Rig(flags(), *permanent("a", "b", "c")).log == ["start a", "start b", "start c"]

    @pytest.mark.req("37")
    def test_a_failed_initial_start_stops_the_started_ones_in_reverse_and_fails(self) -> None:
        rig = Rig(flags(), *permanent("a", "b", "c"), boot=False)
        rig.outcomes["c"] = [ValueError("no")]
        rig.tell(d.Boot())
        assert rig.log == ["start a", "start b", "fail c", "stop b", "stop a"]
        assert isinstance(rig.start_error, FailedToStartChild)
        assert (rig.start_error.child_id, str(rig.start_error.reason)) == ("c", "no")

    @pytest.mark.req("38")
    def test_a_failed_initial_start_is_not_retried(self) -> None:
        rig = Rig(flags(), *permanent("a"), boot=False)
        rig.outcomes["a"] = [ValueError("no")]
        rig.tell(d.Boot())
        rig.advance(1000)
        assert rig.log == ["fail a"]

    @pytest.mark.req("35")
    def test_sup_start_ignore_child(self) -> None:
        rig = Rig(flags(), *permanent("a"), spec("b", restart=Restart.TRANSIENT), boot=False)
        rig.outcomes.update(a=[IGNORE], b=[IGNORE])
        rig.tell(d.Boot())
        assert rig.counts() == [2, 0, 0, 2]

    @pytest.mark.req("36")
    def test_sup_start_ignore_temporary_child(self) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TEMPORARY), boot=False)
        rig.outcomes["a"] = [IGNORE]
        rig.tell(d.Boot())
        assert rig.counts() == [0, 0, 0, 0]


class TestRestartTypes:
    @pytest.mark.req("81")
    @pytest.mark.parametrize("exit_", [*CLEAN, *UNCLEAN], ids=str)
    def test_a_permanent_child_is_restarted_after_any_exit(self, exit_: Exit) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.end("a", exit_)
        assert rig.log == ["start a", "start a"]

    @pytest.mark.req("82")
    @pytest.mark.parametrize("exit_", CLEAN, ids=str)
    def test_a_transient_child_that_ends_cleanly_stays_known_and_down(self, exit_: Exit) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TRANSIENT))
        rig.end("a", exit_)
        assert (rig.up, rig.counts()) == ([], [1, 0, 0, 1])

    @pytest.mark.req("85")
    @pytest.mark.parametrize("exit_", UNCLEAN, ids=str)
    def test_a_transient_child_that_ends_abnormally_is_restarted_killed_included(self, exit_: Exit) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TRANSIENT))
        rig.end("a", exit_)
        assert rig.up == ["a"]

    @pytest.mark.req("83")
    @pytest.mark.parametrize("exit_", [*CLEAN, *UNCLEAN], ids=str)
    def test_a_temporary_child_is_forgotten_after_any_exit(self, exit_: Exit) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TEMPORARY))
        rig.end("a", exit_)
        assert (rig.up, rig.counts()) == ([], [0, 0, 0, 0])

    @pytest.mark.req("84")
    @pytest.mark.parametrize("strategy", [ALL, REST])
    def test_temporary_bystander(self, strategy: Strategy) -> None:
        rig = Rig(flags(strategy), *permanent("a"), spec("b", restart=Restart.TEMPORARY))
        rig.end("a")
        assert (rig.up, rig.counts()) == (["a"], [1, 1, 0, 1])

    @pytest.mark.req("86")
    def test_a_transient_child_down_by_its_own_clean_exit_comes_back_with_the_group(self) -> None:
        rig = Rig(flags(ALL), *permanent("a"), spec("b", restart=Restart.TRANSIENT))
        rig.end("b", NORMAL)
        rig.end("a")
        assert rig.up == ["a", "b"]

    @pytest.mark.req("87")
    def test_a_terminated_permanent_child_comes_back_with_the_group(self) -> None:
        rig = Rig(flags(ALL), *permanent("a", "b"))
        rig.ask(d.TerminateChild("b"))
        rig.end("a")
        assert rig.up == ["a", "b"]

    @pytest.mark.req("88")
    def test_do_not_save_start_parameters_for_temporary_children(self) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TEMPORARY), *permanent("b"))
        assert rig.core.get_childspec("a").start.args == ()
        assert rig.core.get_childspec("b").start.args == ("argument",)

    @pytest.mark.req("89")
    @pytest.mark.req("241")
    def test_a_transient_supervisor_that_gave_up_is_an_abnormal_end_for_its_parent(self) -> None:
        below = Rig(flags(max_restarts=0), *permanent("a"))
        below.end("a", BOOM)
        assert below.exit is not None
        above = Rig(flags(), spec("below", restart=Restart.TRANSIENT))
        above.end("below", below.exit)
        assert above.up == ["below"]


class TestStrategies:
    @pytest.mark.req("90")
    def test_one_for_one(self) -> None:
        rig = Rig(flags(max_restarts=2), *permanent("a", "b"))
        rig.end("a")
        assert rig.alive == {"a": 2, "b": 1}

    @pytest.mark.req("91")
    def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order(self) -> None:
        rig = Rig(flags(ALL), *permanent("a", "b", "c"))
        rig.end("b")
        assert rig.since(3) == ["stop c", "stop a", "start a", "start b", "start c"]

    @pytest.mark.req("92")
    def test_one_for_all_leaves_no_old_incarnation(self) -> None:
        rig = Rig(flags(ALL), *permanent("a", "b", "c"))
        rig.end("b")
        assert set(rig.alive.values()) == {2}

    @pytest.mark.req("93")
    def test_rest_for_one_restarts_what_came_after_and_leaves_what_came_before(self) -> None:
        rig = Rig(flags(REST), *permanent("a", "b", "c"))
        rig.end("b")
        assert rig.since(3) == ["stop c", "start b", "start c"]
        assert rig.alive == {"a": 1, "b": 2, "c": 2}

    @pytest.mark.req("121")
    def test_order_of_children(self) -> None:
        rig = Rig(flags(REST), *permanent("fe", "er", "lo", "rs", "zz"))
        rig.end("lo")
        assert rig.since(5) == ["stop zz", "stop rs", "start lo", "start rs", "start zz"]
        mark = len(rig.log)
        rig.tell(d.Stop())
        assert rig.since(mark) == ["stop zz", "stop rs", "stop lo", "stop er", "stop fe"]

    @pytest.mark.req("52")
    @pytest.mark.parametrize("strategy", [ALL, REST])
    def test_a_child_added_at_run_time_belongs_to_the_rest_of_all_before_it(self, strategy: Strategy) -> None:
        rig = Rig(flags(strategy), *permanent("a"))
        rig.ask(d.AddChild(spec("late")))
        rig.end("a")
        assert rig.since(2) == ["stop late", "start a", "start late"]

    @pytest.mark.req("94")
    @pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
    def test_an_end_that_needs_no_restart_touches_no_sibling(self, restart: Restart) -> None:
        rig = Rig(flags(ALL), *permanent("a"), spec("b", restart=restart))
        rig.end("b", NORMAL)
        assert rig.since(2) == []

    @pytest.mark.req("96")
    def test_a_sibling_that_died_by_itself_meanwhile_causes_no_second_cycle(self) -> None:
        rig = Rig(flags(ALL), *permanent("a", "b"))
        rig.stop_exits["b"] = BOOM  # it was dead when it was asked to stop
        rig.end("a")
        mark = len(rig.log)
        rig.tell(d.Ended("b", 1, BOOM))  # and its notice comes late
        assert rig.since(mark) == []
        assert rig.alive == {"a": 2, "b": 2}


class TestIntensity:
    @pytest.mark.req("98")
    @pytest.mark.req("102")
    def test_n_restarts_inside_the_window_succeed_and_the_next_gives_up(self) -> None:
        rig = Rig(flags(max_restarts=2), *permanent("a"))
        rig.end("a")
        rig.end("a")
        assert rig.exit is None
        rig.end("a")
        assert rig.exit is not None
        assert isinstance(rig.exit.error, ReachedMaxRestartIntensity)
        assert rig.exit.abnormal

    @pytest.mark.req("99")
    def test_a_restart_exactly_as_old_as_the_window_still_counts(self) -> None:
        rig = Rig(flags(max_restarts=1, max_seconds=5.0), *permanent("a"))
        rig.end("a")
        rig.advance(5.0)
        rig.end("a")
        assert rig.exit is not None

    @pytest.mark.req("103")
    def test_multiple_restarts(self) -> None:
        rig = Rig(flags(max_restarts=1, max_seconds=1.0), *permanent("a"))
        for _ in range(40):
            rig.end("a")
            rig.advance(1.000001)
        assert rig.up == ["a"]

    @pytest.mark.req("101")
    def test_with_no_restarts_allowed_the_first_death_ends_the_supervisor(self) -> None:
        rig = Rig(flags(max_restarts=0), *permanent("a", "b"))
        rig.end("a")
        assert rig.since(2) == ["stop b"]
        assert rig.exit is not None

    @pytest.mark.req("104")
    def test_two_children_spend_one_budget(self) -> None:
        rig = Rig(flags(max_restarts=1), *permanent("a", "b"))
        rig.end("a")
        rig.end("b")
        assert rig.exit is not None

    @pytest.mark.req("105")
    def test_a_group_restart_counts_once(self) -> None:
        rig = Rig(flags(ALL, max_restarts=2), *permanent("a", "b", "c"))
        rig.end("a")
        rig.end("b")
        assert (rig.exit, rig.up) == (None, ["a", "b", "c"])

    @pytest.mark.req("106")
    def test_one_for_one_escalation(self) -> None:
        rig = Rig(flags(max_restarts=4), *permanent("a", "b"))
        rig.outcomes["a"] = [ValueError("down")] * 10
        rig.end("a")
        rig.settle()
        assert rig.log.count("fail a") == 4
        assert rig.up == []
        assert rig.exit is not None

    @pytest.mark.req("107")
    def test_what_needs_no_restart_does_not_count(self) -> None:
        rig = Rig(
            flags(max_restarts=0), spec("a", restart=Restart.TRANSIENT), spec("b", restart=Restart.TEMPORARY)
        )
        rig.end("a", NORMAL)
        rig.ask(d.RestartChild("a"))
        rig.ask(d.TerminateChild("a"))
        rig.ask(d.RestartChild("a"))
        rig.end("b", BOOM)
        rig.ask(d.AddChild(spec("c")))
        assert (rig.exit, len(rig.core.window)) == (None, 0)

    @pytest.mark.req("108")
    @pytest.mark.req("109")
    def test_giving_up_reports_then_stops_the_others_in_reverse_then_exits(self) -> None:
        rig = Rig(flags(max_restarts=0), *permanent("a", "b", "c"))
        rig.end("b", BOOM)
        assert rig.since(3) == ["stop c", "stop a"]
        (gave_up,) = rig.events_of(GaveUp)
        assert isinstance(gave_up, GaveUp)
        assert (gave_up.offender, gave_up.action, gave_up.fatal) == ("b", "escalate", False)

    @pytest.mark.req("112")
    def test_the_window_does_not_reset_on_success(self) -> None:
        rig = Rig(flags(max_restarts=1, max_seconds=10.0), *permanent("a"))
        rig.end("a")
        rig.advance(9.0)
        rig.end("a")
        assert rig.exit is not None

    @pytest.mark.req("241")
    def test_giving_up_carries_offender_attempts_and_the_whole_chain_of_causes(self) -> None:
        rig = Rig(flags(max_restarts=2), *permanent("a"))
        errors = [ValueError("first"), KeyError("second"), OSError("third")]
        for error in errors:
            rig.end("a", crashed(error))
        assert rig.exit is not None
        gave_up = rig.exit.error
        assert isinstance(gave_up, ReachedMaxRestartIntensity)
        assert (gave_up.path, gave_up.offender, gave_up.attempts) == ("/top", "a", 2)
        assert all(error in causes(gave_up) for error in errors)
        assert gave_up.causes[-1] is errors[-1]

    def test_a_kill_without_an_exception_still_leaves_a_cause_in_words(self) -> None:
        rig = Rig(flags(max_restarts=0), *permanent("a"))
        rig.end("a", KILLED)
        (gave_up,) = rig.events_of(GaveUp)
        assert isinstance(gave_up, GaveUp)
        assert "'a' ended: killed" in gave_up.causes[-1]

    def test_too_many_failures_in_a_row_give_up_even_when_the_window_is_never_full(self) -> None:
        slow = Backoff(min_backoff_s=10, max_backoff_s=10, reset_after_s=60, max_consecutive=2)
        rig = Rig(flags(max_restarts=3, max_seconds=5), *permanent("a", backoff=slow))
        rig.end("a")
        rig.advance(10)
        rig.end("a")
        rig.advance(10)
        assert rig.exit is None
        rig.end("a")
        assert rig.exit is not None
        assert "after 2 restarts" in str(rig.exit.error)


class TestFatal:
    @pytest.mark.parametrize("restart", list(Restart))
    def test_a_fatal_end_is_never_restarted_and_escalates_at_once(self, restart: Restart) -> None:
        rig = Rig(flags(max_restarts=100), spec("a", restart=restart), *permanent("b"))
        rig.end("a", crashed(Fatal("KEY", "refused")))
        assert rig.since(2) == ["stop b"]
        assert rig.exit is not None
        assert rig.exit.fatal

    def test_a_fatal_cause_deep_in_the_chain_counts(self) -> None:
        rig = Rig(flags(max_restarts=100), *permanent("a"))
        error = RuntimeError("wrapped")
        error.__cause__ = Fatal("JOURNAL", "lost")
        rig.end("a", crashed(error))
        assert rig.exit is not None

    def test_a_fatal_end_climbs_through_every_budget(self) -> None:
        below = Rig(flags(max_restarts=9), *permanent("leaf"))
        below.end("leaf", crashed(Fatal("KEY", "refused")))
        assert below.exit is not None
        above = Rig(flags(max_restarts=9), *permanent("below"))
        above.end("below", below.exit)
        assert above.exit is not None
        assert above.exit.fatal

    def test_a_restart_that_fails_fatally_is_not_retried(self) -> None:
        rig = Rig(flags(max_restarts=9), *permanent("a"))
        rig.outcomes["a"] = [Fatal("KEY", "refused")]
        rig.end("a")
        rig.settle()
        assert rig.since(1) == ["fail a"]
        assert rig.exit is not None

    def test_a_child_added_at_run_time_that_fails_fatally_escalates_too(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.outcomes["late"] = [Fatal("JOURNAL", "lost")]
        rig.tell(d.AddChild(spec("late")))
        assert rig.exit is not None
        assert isinstance(rig.answer, Exception)


class TestLatch:
    def test_a_supervisor_that_latches_touches_no_sibling_and_stays(self) -> None:
        rig = Rig(flags(max_restarts=0, on_exceeded=OnExceeded.LATCH), *permanent("a", "b", "c"))
        rig.end("b", BOOM)
        assert rig.since(3) == []
        assert (rig.up, rig.exit) == (["a", "c"], None)
        assert [latch.offender for latch in rig.latches] == ["b"]

    def test_each_child_that_gives_up_latches_again(self) -> None:
        rig = Rig(flags(max_restarts=0, on_exceeded=OnExceeded.LATCH), *permanent("a", "b"))
        rig.end("a", BOOM)
        rig.end("b", NORMAL)
        assert [latch.offender for latch in rig.latches] == ["a", "b"]

    def test_a_temporary_child_that_ends_latches_nothing(self) -> None:
        rig = Rig(
            flags(max_restarts=0, on_exceeded=OnExceeded.LATCH),
            spec("observation", restart=Restart.TEMPORARY),
        )
        rig.end("observation", BOOM)
        assert rig.latches == []


class TestAFailedRestart:
    @pytest.mark.req("113")
    def test_it_waits_behind_the_mailbox_for_its_next_attempt(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.outcomes["a"] = [ValueError("no")]
        rig.end("a")
        assert rig.state("a") == "restarting"
        assert rig.events_of(StartFailed)
        rig.settle()
        assert rig.up == ["a"]

    @pytest.mark.req("115")
    def test_while_restarting_it_can_be_terminated(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.outcomes["a"] = [ValueError("no")]
        rig.end("a")
        rig.ask(d.TerminateChild("a"))
        rig.advance(100)
        assert (rig.up, rig.state("a")) == ([], "down")

    @pytest.mark.req("116")
    def test_one_for_all_other_child_fails_restart(self) -> None:
        rig = Rig(flags(ALL), *permanent("a", "b", "c"))
        rig.outcomes["b"] = [ValueError("no")]
        rig.end("a")
        assert rig.up == ["a"]
        assert [rig.state(i) for i in "abc"] == ["running", "restarting", "down"]
        mark = len(rig.log)
        rig.settle()
        assert rig.since(mark) == ["stop a", "start a", "start b", "start c"]

    @pytest.mark.req("117")
    @pytest.mark.req("118")
    def test_rest_for_one_other_child_fails_restart(self) -> None:
        rig = Rig(flags(REST), *permanent("a", "b", "c"))
        rig.outcomes["b"] = [ValueError("no")]
        rig.end("a")
        assert [rig.state(i) for i in "abc"] == ["running", "restarting", "down"]
        mark = len(rig.log)
        rig.settle()
        assert rig.since(mark) == ["start b", "start c"]

    @pytest.mark.parametrize("strategy", [ALL, REST])
    def test_one_for_all_escalation_and_rest_for_one_escalation(self, strategy: Strategy) -> None:
        rig = Rig(flags(strategy, max_restarts=4), *permanent("a", "b"))
        rig.outcomes["b"] = [ValueError("no")] * 10
        rig.end("a")
        rig.settle()
        assert rig.exit is not None
        assert rig.up == []

    @pytest.mark.req("119")
    def test_a_restart_that_is_ignored_leaves_the_child_known_and_down(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.outcomes["a"] = [IGNORE]
        rig.end("a")
        rig.advance(100)
        assert (rig.state("a"), rig.counts()) == ("down", [1, 0, 0, 1])

    @pytest.mark.req("120")
    def test_a_retry_for_a_child_that_was_deleted_meanwhile_is_a_no_op(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.outcomes["a"] = [ValueError("no")]
        rig.end("a")
        (ticket,) = rig.timers
        rig.ask(d.TerminateChild("a"))
        rig.ask(d.DeleteChild("a"))
        rig.tell(d.RestartDue("a", ticket))
        assert (rig.up, rig.counts()) == ([], [0, 0, 0, 0])

    @pytest.mark.req("120")
    @pytest.mark.parametrize("runs_again", [False, True])
    def test_nor_is_one_for_a_child_that_was_terminated_a_start(self, runs_again: bool) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.outcomes["a"] = [ValueError("no")]
        rig.end("a")
        (ticket,) = rig.timers
        rig.ask(d.TerminateChild("a"))
        if runs_again:
            rig.ask(d.RestartChild("a"))
        up = rig.up
        rig.tell(d.RestartDue("a", ticket))
        assert (rig.up, rig.state("a")) == (up, "running" if runs_again else "down")

    def test_the_supervisor_can_be_stopped_in_the_loop(self) -> None:
        rig = Rig(flags(), *permanent("a", "b"))
        rig.outcomes["a"] = [ValueError("no")]
        rig.end("a")
        rig.tell(d.Stop())
        assert (rig.up, rig.timers) == ([], {})


class TestBackoff:
    def test_it_applies_to_the_first_restart(self) -> None:
        rig = Rig(flags(max_seconds=1000), *permanent("a", backoff=Backoff(0.5, 30)))
        rig.end("a")
        assert rig.state("a") == "restarting"
        rig.advance(0.499)
        assert rig.up == []
        rig.advance(0.001)
        assert rig.up == ["a"]

    @pytest.mark.req("246")
    def test_the_draw_spreads_it(self) -> None:
        rig = Rig(flags(max_seconds=1000), *permanent("a", backoff=Backoff(1.0, 30, random_factor=0.2)))
        rig.draw = 0.5
        rig.end("a")
        (scheduled,) = rig.events_of(RestartScheduled)
        assert isinstance(scheduled, RestartScheduled)
        assert scheduled.delay_s == pytest.approx(1.1)

    def test_siblings_of_a_group_stop_at_once_and_wait_with_it(self) -> None:
        rig = Rig(flags(ALL, max_seconds=1000), *permanent("a", backoff=Backoff(1, 1, 0)), *permanent("b"))
        rig.end("a")
        assert (rig.up, rig.since(2)) == ([], ["stop b"])
        rig.advance(1)
        assert rig.since(3) == ["start a", "start b"]

    def test_a_further_failure_while_the_group_waits_joins_it_and_the_longest_delay_rules(self) -> None:
        rig = Rig(
            flags(REST, max_seconds=1000),
            *permanent("a", backoff=Backoff(1, 1, 0)),
            *permanent("b", backoff=Backoff(4, 4, 0)),
            *permanent("c"),
        )
        rig.end("b")
        rig.end("a")
        assert (rig.state("a"), rig.state("b")) == ("restarting", "down")
        rig.advance(3.9)
        assert rig.up == []
        rig.advance(0.1)
        assert rig.up == ["a", "b", "c"]
        assert len(rig.timers) == 0

    def test_a_later_child_that_fails_while_an_earlier_one_waits_comes_back_with_it(self) -> None:
        rig = Rig(
            flags(REST, max_seconds=1000),
            *permanent("a", backoff=Backoff(2, 2, 0)),
            *permanent("b", backoff=Backoff(3, 3, 0)),
        )
        rig.end("a")
        rig.ask(d.RestartChild("b"))
        rig.end("b")
        rig.advance(2.9)
        assert rig.up == []
        rig.advance(0.1)
        assert rig.up == ["a", "b"]

    @pytest.mark.req("230")
    def test_the_attempt_after_a_start_that_failed_is_not_made_before_its_delay_is_over(self) -> None:
        rig = Rig(flags(max_restarts=9, max_seconds=1000), *permanent("a", backoff=Backoff(1, 4, 0)))
        rig.outcomes["a"] = [ValueError("no")] * 3
        rig.end("a")
        for delay_s in (1, 2, 4, 4):
            attempts = len(rig.since(0))
            rig.advance(delay_s - 0.001)
            assert len(rig.since(0)) == attempts
            rig.advance(0.001)
            assert len(rig.since(0)) > attempts
        assert rig.up == ["a"]

    def test_a_failed_attempt_waits_longer_each_time(self) -> None:
        rig = Rig(flags(max_restarts=9, max_seconds=1000), *permanent("a", backoff=Backoff(1, 4, 0)))
        rig.outcomes["a"] = [ValueError("no")] * 3
        rig.end("a")
        rig.advance(100)
        delays = [e.delay_s for e in rig.events if isinstance(e, RestartScheduled)]
        assert delays == [1, 2, 4, 4]

    @pytest.mark.req("229")
    def test_failures_are_forgotten_after_long_enough_in_health(self) -> None:
        rig = Rig(
            flags(max_restarts=9, max_seconds=1000),
            *permanent("a", backoff=Backoff(1, 8, 0, reset_after_s=10)),
        )
        rig.end("a")
        rig.advance(1)
        rig.end("a")
        rig.advance(2 + 10)
        rig.end("a")
        delays = [e.delay_s for e in rig.events if isinstance(e, RestartScheduled)]
        assert delays == [1, 2, 1]

    def test_a_wait_for_a_restart_is_skipped_by_the_shutdown(self) -> None:
        rig = Rig(flags(max_seconds=1000), *permanent("a", backoff=Backoff(60, 60)))
        rig.end("a")
        rig.tell(d.Stop())
        rig.advance(1000)
        assert rig.log == ["start a"]


class TestReports:
    @pytest.mark.req("168")
    def test_an_unexpected_end_is_reported_before_the_restart(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.end("a", BOOM)
        kinds = [type(event) for event in rig.events]
        assert kinds.index(ChildTerminated) < kinds.index(RestartScheduled)
        assert kinds[-1] is ChildStarted

    @pytest.mark.req("169")
    def test_a_permanent_childs_clean_end_is_reported(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.end("a", NORMAL)
        assert len(rig.events_of(ChildTerminated)) == 1

    @pytest.mark.req("170")
    @pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
    def test_anothers_clean_end_is_not(self, restart: Restart) -> None:
        rig = Rig(flags(), spec("a", restart=restart))
        rig.end("a", SHUTDOWN)
        assert rig.events_of(ChildTerminated) == []

    @pytest.mark.req("171")
    def test_a_temporary_childs_abnormal_end_is_reported(self) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TEMPORARY))
        rig.end("a", BOOM)
        (event,) = rig.events_of(ChildTerminated)
        assert isinstance(event, ChildTerminated)
        assert event.causes == ("RuntimeError: boom",)

    @pytest.mark.req("175")
    def test_external_start_no_progress_log(self) -> None:
        rig = Rig(flags())
        rig.ask(d.AddChild(spec("a")))
        (started,) = rig.events_of(ChildStarted)
        assert isinstance(started, ChildStarted)
        assert (started.origin, started.progress) == ("api", False)

    @pytest.mark.req("127")
    @pytest.mark.parametrize(
        ("restart", "exit_", "dirty"),
        [
            (Restart.PERMANENT, SHUTDOWN, 0),
            (Restart.PERMANENT, NORMAL, 1),
            (Restart.TRANSIENT, NORMAL, 0),
            (Restart.TEMPORARY, shutdown("x"), 0),
            (Restart.PERMANENT, shutdown("x"), 1),
            (Restart.TRANSIENT, KILLED, 1),
            (Restart.TRANSIENT, BOOM, 1),
        ],
    )
    def test_only_a_dirty_stop_is_reported(self, restart: Restart, exit_: Exit, dirty: int) -> None:
        rig = Rig(flags(), spec("a", restart=restart))
        rig.stop_exits["a"] = exit_
        rig.tell(d.Stop())
        assert len(rig.events_of(ChildTerminated)) == dirty

    def test_a_report_says_how_much_of_the_budget_is_left(self) -> None:
        rig = Rig(flags(max_restarts=3), *permanent("a"))
        rig.end("a")
        (scheduled,) = rig.events_of(RestartScheduled)
        assert isinstance(scheduled, RestartScheduled)
        assert scheduled.budget_left == 2


class TestFatalAmongBystanders:
    """A sibling may die fatally of its own while its group restarts: that end is found when it is to be stopped."""

    FATAL = crashed(Fatal("KEY", "refused"))

    def test_a_bystander_found_dead_fatally_is_not_started_again(self) -> None:
        rig = Rig(flags(ALL), *permanent("a", "b", "c"))
        rig.stop_exits["b"] = self.FATAL
        rig.end("c", BOOM)
        assert rig.up == []
        assert rig.exit is not None
        assert rig.exit.fatal
        assert rig.log.count("start b") == 1

    def test_under_pause_the_breaker_latches(self) -> None:
        rig = Rig(flags(REST, on_exceeded=OnExceeded.PAUSE), *permanent("a", "b"))
        rig.stop_exits["b"] = self.FATAL
        rig.end("a", BOOM)
        assert rig.core.breaker.state.value == "latched"
        assert [vote.latched for vote in rig.votes if isinstance(vote, d.LowerLevel)] == [True]
        assert rig.up == []

    def test_a_pause_that_finds_a_fatal_end_latches(self) -> None:
        rig = Rig(flags(max_restarts=0, on_exceeded=OnExceeded.PAUSE), *permanent("a", "b"))
        rig.stop_exits["b"] = self.FATAL
        rig.end("a", BOOM)
        assert rig.core.breaker.state.value == "latched"

    def test_under_latch_it_latches_and_the_others_come_back(self) -> None:
        rig = Rig(flags(ALL, on_exceeded=OnExceeded.LATCH), *permanent("a", "b", "c"))
        rig.stop_exits["b"] = self.FATAL
        rig.end("c", BOOM)
        assert [latch.offender for latch in rig.latches] == ["b"]
        assert rig.up == ["a", "c"]

    def test_a_child_that_ends_fatally_when_it_is_terminated_escalates(self) -> None:
        rig = Rig(flags(), *permanent("a", "b"))
        rig.stop_exits["a"] = self.FATAL
        rig.ask(d.TerminateChild("a"))
        assert rig.exit is not None
        assert rig.exit.fatal

    def test_giving_up_carries_the_fatal_end_it_finds(self) -> None:
        rig = Rig(flags(max_restarts=0), *permanent("a", "b"))
        rig.stop_exits["a"] = self.FATAL
        rig.end("b", BOOM)
        assert rig.exit is not None
        assert rig.exit.fatal

    def test_a_supervisor_that_is_stopped_stops_the_rest_and_ends_fatally(self) -> None:
        rig = Rig(flags(), *permanent("a", "b"))
        rig.stop_exits["b"] = self.FATAL
        rig.tell(d.Stop())
        assert (rig.up, rig.log[-2:]) == ([], ["stop b", "stop a"])
        assert rig.exit is not None
        assert rig.exit.fatal
