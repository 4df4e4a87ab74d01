"""What a supervisor answers when it is asked for something, its automatic shutdown, and the dynamic kind."""

import gc
import weakref
from collections.abc import Hashable
from dataclasses import replace

import pytest
from tests.supervisors.rig import BOOM, IGNORE, Puppet, Rig, flags, permanent, spec

from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    ChildType,
    Restart,
    Start,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors import decisions as d
from allstop.supervisors.errors import (
    AlreadyPresent,
    InvalidChildSpec,
    InvalidFlags,
    MaxChildren,
    NotForDynamic,
    NotFound,
    Restarting,
    Running,
    StartFailure,
)

NEVER, ANY, EVERY = AutoShutdown


def restarting(rig: Rig, child_id: Hashable) -> Rig:
    rig.outcomes[child_id] = [ValueError("no")]
    rig.end(child_id)
    return rig


class TestStartChild:
    @pytest.mark.req("46")
    def test_an_invalid_spec_starts_nothing_and_changes_nothing(self) -> None:
        rig = Rig(flags())
        with pytest.raises(InvalidChildSpec) as caught:
            rig.ask(d.AddChild(spec("a", shutdown=-1.0)))
        assert caught.value.code == "invalid_shutdown"
        assert (rig.log, rig.counts()) == ([], [0, 0, 0, 0])

    @pytest.mark.req("47")
    def test_a_running_child_of_that_id_is_already_started(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        with pytest.raises(AlreadyStarted) as caught:
            rig.ask(d.AddChild(spec("a")))
        assert caught.value.ref == "ref:a"

    @pytest.mark.req("48")
    def test_a_terminated_or_restarting_child_of_that_id_is_already_present(self) -> None:
        rig = restarting(Rig(flags(), *permanent("a", "b")), "a")
        rig.ask(d.TerminateChild("b"))
        for child_id in "ab":
            with pytest.raises(AlreadyPresent):
                rig.ask(d.AddChild(spec(child_id)))

    @pytest.mark.req("49")
    def test_a_start_error_is_told_and_the_spec_is_not_kept(self) -> None:
        rig = Rig(flags())
        error = ValueError("no")
        rig.outcomes["a"] = [error]
        with pytest.raises(StartFailure) as caught:
            rig.ask(d.AddChild(spec("a")))
        assert caught.value.reason is error
        assert rig.counts() == [0, 0, 0, 0]

    @pytest.mark.req("51")
    @pytest.mark.parametrize(("restart", "kept"), [(Restart.TRANSIENT, 1), (Restart.TEMPORARY, 0)])
    def test_a_start_that_is_ignored_answers_none_and_keeps_the_spec_unless_temporary(
        self, restart: Restart, kept: int
    ) -> None:
        rig = Rig(flags())
        rig.outcomes["a"] = [IGNORE]
        assert rig.ask(d.AddChild(spec("a", restart=restart))) is None
        assert rig.counts()[0] == kept

    @pytest.mark.req("53")
    def test_after_a_temporary_child_ended_its_id_is_free_at_once(self) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TEMPORARY))
        rig.end("a", BOOM)
        assert rig.ask(d.AddChild(spec("a"))) == "ref:a"

    @pytest.mark.req("18")
    def test_a_significant_child_is_refused_where_nothing_would_come_of_it(self) -> None:
        rig = Rig(flags())
        with pytest.raises(InvalidChildSpec, match="bad_combination"):
            rig.ask(d.AddChild(spec("a", restart=Restart.TRANSIENT, significant=True)))


class TestTerminateChild:
    @pytest.mark.req("56")
    @pytest.mark.parametrize(
        ("restart", "kept"), [(Restart.PERMANENT, 1), (Restart.TRANSIENT, 1), (Restart.TEMPORARY, 0)]
    )
    def test_do_not_save_child_specs_for_temporary_children(self, restart: Restart, kept: int) -> None:
        rig = Rig(flags(), spec("a", restart=restart))
        rig.ask(d.TerminateChild("a"))
        assert (rig.up, rig.counts()[0]) == ([], kept)

    @pytest.mark.req("58")
    @pytest.mark.req("59")
    def test_it_touches_no_sibling_and_no_budget(self) -> None:
        rig = Rig(flags(Strategy.ONE_FOR_ALL, max_restarts=0), *permanent("a", "b"))
        rig.ask(d.TerminateChild("a"))
        assert (rig.up, rig.exit, len(rig.core.window)) == (["b"], None, 0)

    @pytest.mark.req("61")
    def test_it_may_be_asked_twice(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.ask(d.TerminateChild("a"))
        assert rig.ask(d.TerminateChild("a")) is None

    @pytest.mark.req("62")
    def test_it_cancels_a_restart_that_waits(self) -> None:
        rig = restarting(Rig(flags(), *permanent("a")), "a")
        rig.ask(d.TerminateChild("a"))
        assert (rig.timers, rig.state("a")) == ({}, "down")

    @pytest.mark.req("63")
    @pytest.mark.req("67")
    @pytest.mark.req("72")
    @pytest.mark.req("75")
    @pytest.mark.req("79")
    def test_an_unknown_id_is_not_found_by_any_request(self) -> None:
        rig = Rig(flags())
        for request in (d.TerminateChild("x"), d.RestartChild("x"), d.DeleteChild("x")):
            with pytest.raises(NotFound):
                rig.ask(request)
        for look in (rig.core.which_child, rig.core.get_childspec):
            with pytest.raises(NotFound):
                look("x")


class TestRestartAndDelete:
    @pytest.mark.req("66")
    def test_a_terminated_child_can_be_restarted(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.ask(d.TerminateChild("a"))
        assert rig.ask(d.RestartChild("a")) == "ref:a"
        assert rig.alive == {"a": 2}

    @pytest.mark.req("67")
    @pytest.mark.req("72")
    def test_a_running_child_is_running_and_a_waiting_one_restarting(self) -> None:
        rig = restarting(Rig(flags(), *permanent("a", "b")), "a")
        for request in (d.RestartChild, d.DeleteChild):
            with pytest.raises(Restarting):
                rig.ask(request("a"))
            with pytest.raises(Running):
                rig.ask(request("b"))

    @pytest.mark.req("68")
    def test_a_restart_by_request_that_fails_keeps_the_spec_and_is_not_retried(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.ask(d.TerminateChild("a"))
        rig.outcomes["a"] = [ValueError("no")]
        with pytest.raises(StartFailure):
            rig.ask(d.RestartChild("a"))
        rig.advance(100)
        assert (rig.up, rig.state("a")) == ([], "down")

    @pytest.mark.req("70")
    def test_a_temporary_child_cannot_be_restarted(self) -> None:
        rig = Rig(flags(), spec("a", restart=Restart.TEMPORARY))
        rig.ask(d.TerminateChild("a"))
        with pytest.raises(NotFound):
            rig.ask(d.RestartChild("a"))

    @pytest.mark.req("71")
    def test_a_child_that_is_down_can_be_deleted(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.ask(d.TerminateChild("a"))
        rig.ask(d.DeleteChild("a"))
        assert rig.counts() == [0, 0, 0, 0]


class TestLooking:
    @pytest.mark.req("76")
    @pytest.mark.req("77")
    def test_count_restarting_children(self) -> None:
        rig = Rig(flags(max_restarts=9), *permanent("a", "b"), spec("s", type=ChildType.SUPERVISOR))
        restarting(restarting(rig, "a"), "b")
        assert rig.counts() == [3, 1, 1, 2]
        rig.settle()
        assert rig.counts() == [3, 3, 1, 2]

    @pytest.mark.req("73")
    def test_which_children(self) -> None:
        rig = restarting(Rig(flags(), *permanent("a", "b", "c")), "a")
        rig.ask(d.TerminateChild("c"))
        seen = [(child.id, child.ref, child.state) for child in rig.core.which_children()]
        assert seen == [("a", None, "restarting"), ("b", "ref:b", "running"), ("c", None, "down")]

    def test_a_waiting_child_says_when_it_is_due(self) -> None:
        rig = restarting(Rig(flags(), *permanent("a")), "a")
        assert rig.core.which_child("a").due_s == rig.now_s

    @pytest.mark.req("79")
    def test_get_childspec_gives_the_whole_spec(self) -> None:
        given = spec("a", shutdown=3.0)
        assert Rig(flags(), given).core.get_childspec("a") == given

    @pytest.mark.req("167")
    def test_a_late_notice_of_an_earlier_incarnation_does_not_touch_the_current_one(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.end("a")
        rig.tell(d.Ended("a", 1, BOOM))
        assert (rig.alive, rig.log) == ({"a": 2}, ["start a", "start a"])

    def test_nothing_is_told_before_an_answer(self) -> None:
        rig = Rig(flags(), *permanent("a"), boot=False)
        rig.core.handle(d.Boot(), 0.0)
        assert rig.core.busy
        with pytest.raises(ValueError, match="not been answered"):
            rig.core.handle(d.DeleteChild("a"), 0.0)


class TestAutoShutdown:
    def rig(self, auto: AutoShutdown, restart: Restart) -> Rig:
        significant = [spec(i, restart=restart, significant=auto is not NEVER) for i in ("k", "l")]
        return Rig(flags(auto_shutdown=auto, max_restarts=9), *permanent("p"), *significant)

    @pytest.mark.req("137")
    def test_never(self) -> None:
        rig = self.rig(NEVER, Restart.TRANSIENT)
        rig.end("k", NORMAL)
        rig.end("l", NORMAL)
        assert (rig.exit, rig.up) == (None, ["p"])

    @pytest.mark.req("138")
    @pytest.mark.req("143")
    def test_any_significant_stops_the_rest_in_reverse_and_exits_cleanly(self) -> None:
        rig = self.rig(ANY, Restart.TRANSIENT)
        rig.end("k", NORMAL)
        assert (rig.exit, rig.since(3)) == (SHUTDOWN, ["stop l", "stop p"])

    @pytest.mark.req("139")
    def test_an_abnormal_end_of_a_transient_one_is_a_restart(self) -> None:
        rig = self.rig(ANY, Restart.TRANSIENT)
        rig.end("k", KILLED)
        assert (rig.exit, rig.up) == (None, ["k", "l", "p"])

    @pytest.mark.req("140")
    def test_any_end_of_a_temporary_one_counts(self) -> None:
        rig = self.rig(ANY, Restart.TEMPORARY)
        rig.end("k", KILLED)
        assert rig.exit == SHUTDOWN

    @pytest.mark.req("141")
    def test_all_significant_waits_for_the_last_and_one_that_restarts_is_active(self) -> None:
        rig = self.rig(EVERY, Restart.TRANSIENT)
        restarting(rig, "k")
        rig.end("l", NORMAL)
        assert rig.exit is None
        rig.settle()
        rig.end("k", NORMAL)
        assert rig.exit == SHUTDOWN

    @pytest.mark.req("142")
    def test_others_never_count(self) -> None:
        rig = Rig(flags(auto_shutdown=ANY), spec("n", restart=Restart.TEMPORARY))
        rig.end("n", BOOM)
        assert rig.exit is None

    @pytest.mark.req("60")
    def test_terminate_child_does_not_count(self) -> None:
        rig = self.rig(ANY, Restart.TRANSIENT)
        rig.ask(d.TerminateChild("k"))
        assert rig.exit is None

    @pytest.mark.req("97")
    @pytest.mark.req("145")
    @pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
    def test_significant_bystander(self, restart: Restart) -> None:
        rig = Rig(
            flags(Strategy.ONE_FOR_ALL, auto_shutdown=ANY),
            *permanent("a"),
            spec("k", restart=restart, significant=True),
        )
        rig.end("a")
        assert rig.exit is None

    @pytest.mark.req("185")
    def test_significant_upgrade_any_never(self) -> None:
        rig = self.rig(ANY, Restart.TRANSIENT)
        rig.ask(d.Reconfigure(flags(), ()))
        rig.end("k", NORMAL)
        assert rig.exit is None
        assert rig.ask(d.RestartChild("k")) == "ref:k"

    @pytest.mark.req("185")
    def test_significant_upgrade_any_all(self) -> None:
        rig = self.rig(ANY, Restart.TRANSIENT)
        rig.ask(d.Reconfigure(flags(auto_shutdown=EVERY), ()))
        rig.end("k", NORMAL)
        assert rig.exit is None
        rig.end("l", NORMAL)
        assert rig.exit == SHUTDOWN


class TestReconfigure:
    @pytest.mark.req("179")
    def test_new_flags_count_at_once(self) -> None:
        rig = Rig(flags(max_restarts=3), *permanent("a"))
        rig.ask(d.Reconfigure(flags(max_restarts=0), ()))
        rig.end("a")
        assert rig.exit is not None

    @pytest.mark.req("180")
    def test_a_changed_spec_counts_at_the_next_start(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.ask(d.Reconfigure(flags(), (replace(spec("a"), start=Start(Puppet, ("new",))),)))
        assert rig.arguments == [("argument",)]
        rig.end("a")
        assert rig.arguments[-1] == ("new",)

    @pytest.mark.req("183")
    def test_a_mistake_refuses_the_whole(self) -> None:
        rig = Rig(flags(max_restarts=3), *permanent("a"))
        with pytest.raises(InvalidChildSpec):
            rig.ask(d.Reconfigure(flags(max_restarts=0), (spec("b"), spec("b"))))
        with pytest.raises(InvalidFlags):
            rig.ask(d.Reconfigure(SupervisorFlags(max_seconds=0.0), (spec("b"),)))
        rig.end("a")
        assert (rig.up, rig.counts()[0]) == (["a"], 1)

    @pytest.mark.req("183")
    @pytest.mark.parametrize(
        "specs",
        [
            (spec("b"), spec("b")),
            (spec("b", significant=True, restart=Restart.TRANSIENT),),
            (spec("b", backoff=Backoff(60.0, 60.0)),),
            (spec("b", gate="nobody declared it"),),
        ],
    )
    def test_the_old_flags_stay_when_a_spec_is_wrong(self, specs: tuple[ChildSpec, ...]) -> None:
        before = flags(max_restarts=3)
        rig = Rig(before, *permanent("a", "z"))
        with pytest.raises(InvalidChildSpec):
            rig.ask(d.Reconfigure(flags(max_restarts=1, strategy=Strategy.ONE_FOR_ALL), specs))
        assert rig.core.flags == before
        assert rig.counts()[0] == 2
        incarnation = rig.core.which_child("z").incarnation
        for _ in range(3):
            rig.end("a")
        assert rig.up == ["a", "z"]
        assert rig.core.which_child("z").incarnation == incarnation

    @pytest.mark.req("184")
    def test_a_dynamic_supervisor_takes_no_specs(self) -> None:
        with pytest.raises(InvalidFlags, match="bad_start_spec"):
            Rig(flags(), max_children=3).ask(d.Reconfigure(flags(), (spec("a"),)))


class TestDynamic:
    def rig(self, *ids: str, max_children: int = 100, **rest: object) -> Rig:
        rig = Rig(flags(max_restarts=2), max_children=max_children)
        for child_id in ids:
            rig.ask(d.AddChild(spec(child_id, **rest)))
        return rig

    @pytest.mark.req("147")
    def test_it_starts_nothing_by_itself(self) -> None:
        assert self.rig().log == []

    def test_simple_one_for_one(self) -> None:
        rig = self.rig("a", "b")
        rig.end("a")
        assert (rig.alive, rig.counts()) == ({"a": 2, "b": 1}, [2, 2, 0, 2])

    @pytest.mark.req("133")
    def test_all_are_stopped_at_the_same_time(self) -> None:
        rig = self.rig("a", "b", "c")
        (command,) = rig.core.handle(d.Stop(), 0.0)
        assert isinstance(command, d.StopChildren)
        assert [stop.child_id for stop in command.stops] == ["c", "b", "a"]

    @pytest.mark.req("150")
    def test_a_restarted_child_gets_the_arguments_it_was_started_with(self) -> None:
        rig = self.rig("a")
        rig.end("a")
        assert rig.arguments == [("argument",), ("argument",)]

    @pytest.mark.req("148")
    def test_child_adm_simple(self) -> None:
        rig = self.rig("a")
        for request in (d.RestartChild("a"), d.DeleteChild("a")):
            with pytest.raises(NotForDynamic):
                rig.ask(request)

    @pytest.mark.req("156")
    def test_at_max_children_one_more_is_refused_and_one_that_waits_counts(self) -> None:
        rig = restarting(self.rig("a", "b", max_children=2), "a")
        with pytest.raises(MaxChildren):
            rig.ask(d.AddChild(spec("c")))

    @pytest.mark.req("158")
    @pytest.mark.req("119")
    def test_simple_one_for_one_restart_ignore(self) -> None:
        rig = self.rig("a")
        rig.outcomes["a"] = [IGNORE]
        rig.end("a")
        assert rig.counts() == [0, 0, 0, 0]
        rig.tell(d.Stop())

    @pytest.mark.req("151")
    def test_a_start_that_is_ignored_is_never_recorded(self) -> None:
        rig = self.rig()
        rig.outcomes["a"] = [IGNORE]
        assert rig.ask(d.AddChild(spec("a"))) is None
        assert rig.counts() == [0, 0, 0, 0]

    @pytest.mark.req("160")
    def test_terminating_a_child_that_waits_cancels_it_and_a_second_time_finds_nothing(self) -> None:
        rig = restarting(self.rig("a"), "a")
        rig.ask(d.TerminateChild("a"))
        assert rig.timers == {}
        with pytest.raises(NotFound):
            rig.ask(d.TerminateChild("a"))

    def test_a_transient_child_that_ends_cleanly_is_forgotten_and_its_watchers_are_told(self) -> None:
        rig = self.rig("a", restart=Restart.TRANSIENT)
        rig.end("a", NORMAL)
        assert rig.counts() == [0, 0, 0, 0]
        assert set(rig.retired) == {"ref:a"}

    @pytest.mark.req("159")
    def test_a_significant_child_is_refused(self) -> None:
        with pytest.raises(InvalidChildSpec):
            self.rig("a", restart=Restart.TRANSIENT, significant=True)

    def test_simple_one_for_one_escalation(self) -> None:
        rig = self.rig("a", "b")
        rig.outcomes["a"] = [ValueError("no")] * 9
        rig.end("a")
        rig.settle()
        assert (rig.up, rig.exit is not None) == ([], True)

    def test_simple_one_for_one_corruption(self) -> None:
        """The arguments of a temporary child are not kept alive by its supervisor."""

        class Argument:
            pass

        argument = Argument()
        watched = weakref.ref(argument)
        rig = self.rig()
        rig.ask(d.AddChild(ChildSpec("a", Start(Puppet, (argument,)), restart=Restart.TEMPORARY)))
        rig.arguments.clear()
        del argument
        gc.collect()
        assert watched() is None

    @pytest.mark.req("153")
    def test_many_children_come_and_go_in_linear_work(self) -> None:
        """Counted in decisions, not seconds: each child costs the same few commands, however many there are."""

        def commands(children: int) -> int:
            rig = Rig(flags(), max_children=children)
            told = 0
            for n in range(children):
                rig.ask(d.AddChild(spec(n, restart=Restart.TEMPORARY)))
            for n in range(children):
                told += len(rig.core.handle(d.Ended(n, 1, NORMAL), 0.0))
            return told

        assert commands(2000) == 10 * commands(200)
