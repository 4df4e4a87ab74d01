"""The open breaker: a supervisor that pauses. First decided without a loop, then on the runtime."""

import pytest
from tests.supervisors.puppets import Stage, crash, incarnation, settle
from tests.supervisors.rig import BOOM, Rig, pausing, permanent, spec

from allstop.actors.errors import CircuitOpen, Fatal
from allstop.actors.events import BreakerChanged, GaveUp
from allstop.actors.exits import NORMAL, Exit, crashed
from allstop.actors.ports import ConnectFailed, HttpNotSent, LinkClosed, QueryFailed
from allstop.actors.runtime import ActorDead, ActorSystem
from allstop.actors.spec import OnExceeded, Pause, Restart, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.supervisor import (
    Supervisor,
    breaker_state,
    report_failure,
    report_probe,
    reset_breaker,
    start_child,
    terminate_child,
)

PAUSE = Pause(cooldown_s=15.0, probes=3, max_trips=3)


def tripped(pause: Pause = PAUSE) -> Rig:
    rig = Rig(pausing(max_restarts=0, pause=pause), *permanent("a", "b"))
    rig.end("a", BOOM)
    return rig


def states(rig: Rig) -> list[str]:
    return [event.state for event in rig.events if isinstance(event, BreakerChanged)]


class TestOpening:
    def test_it_stops_its_children_in_reverse_and_stays(self) -> None:
        rig = Rig(pausing(max_restarts=0), *permanent("a", "b", "c"))
        rig.end("b", BOOM)
        assert (rig.since(3), rig.exit, rig.up) == (["stop c", "stop a"], None, [])
        assert rig.core.breaker.state is BreakerState.OPEN

    def test_the_level_goes_down_before_the_children_stop(self) -> None:
        rig = Rig(pausing(max_restarts=0), *permanent("a", "b"))
        commands = rig.core.handle(d.Ended("a", 1, BOOM), rig.now_s)
        kinds = [type(command) for command in commands]
        assert kinds.index(d.LowerLevel) < kinds.index(d.StopChildren)

    def test_it_restarts_within_its_budget_first(self) -> None:
        rig = Rig(pausing(max_restarts=1), *permanent("a"))
        rig.end("a")
        assert rig.core.breaker.state is BreakerState.CLOSED
        rig.end("a")
        assert rig.core.breaker.state is BreakerState.OPEN

    def test_requests_to_start_children_fail_with_the_time_to_try_again(self) -> None:
        rig = tripped()
        rig.advance(5)
        for request in (d.AddChild(spec("late")), d.RestartChild("a")):
            with pytest.raises(CircuitOpen) as caught:
                rig.ask(request)
            assert caught.value.retry_after_s == pytest.approx(10.0)

    def test_it_is_reported_with_offender_and_causes(self) -> None:
        (gave_up,) = tripped().events_of(GaveUp)
        assert isinstance(gave_up, GaveUp)
        assert (gave_up.offender, gave_up.action) == ("a", "pause")

    def test_a_fatal_end_latches_at_once(self) -> None:
        rig = Rig(pausing(max_restarts=9), *permanent("a", "b"))
        rig.end("a", crashed(Fatal("KEY", "refused")))
        rig.advance(10_000)
        assert (rig.core.breaker.state, rig.up, rig.exit) == (BreakerState.LATCHED, [], None)
        assert isinstance(rig.votes[-1], d.LowerLevel)
        assert rig.votes[-1].latched

    def test_a_fatal_end_while_half_open_latches_and_is_reported(self) -> None:
        rig = tripped()
        rig.advance(15)
        rig.end("a", crashed(Fatal("KEY", "refused")))
        assert rig.core.breaker.state is BreakerState.LATCHED
        last = rig.events_of(GaveUp)[-1]
        assert isinstance(last, GaveUp)
        assert (last.fatal, last.action) == (True, "latch")

    def test_a_failed_initial_start_is_the_parents_affair(self) -> None:
        rig = Rig(pausing(), *permanent("a"), boot=False)
        rig.outcomes["a"] = [ValueError("no")]
        rig.tell(d.Boot())
        assert rig.start_error is not None

    def test_late_ends_of_stopped_children_change_nothing(self) -> None:
        rig = tripped()
        before = list(rig.log)
        rig.tell(d.Ended("b", 1, BOOM))
        assert rig.log == before


class TestHalfOpen:
    def test_after_the_cooldown_the_children_start_in_order(self) -> None:
        rig = tripped()
        mark = len(rig.log)
        rig.advance(14.999)
        assert rig.since(mark) == []
        rig.advance(0.001)
        assert rig.since(mark) == ["start a", "start b"]
        assert rig.core.breaker.state is BreakerState.HALF_OPEN

    def test_probes_close_it_and_only_then_the_level_goes_up(self) -> None:
        rig = tripped()
        rig.advance(15)
        for _ in range(2):
            rig.tell(d.CallReported(None))
        assert isinstance(rig.votes[-1], d.LowerLevel)
        rig.tell(d.CallReported(None))
        assert rig.core.breaker.state is BreakerState.CLOSED
        assert rig.votes[-1] == d.RaiseLevel(by_person=False)

    @pytest.mark.parametrize("how", ["death", "probe", "start"])
    def test_a_failure_opens_it_for_twice_as_long(self, how: str) -> None:
        rig = tripped(Pause(cooldown_s=15.0, probes=3, max_trips=9))
        if how == "start":
            rig.outcomes["b"] = [ValueError("no")]
        rig.advance(15)
        if how == "death":
            rig.end("a", BOOM)
        if how == "probe":
            rig.tell(d.CallReported("probe"))
        assert (rig.core.breaker.state, rig.up) == (BreakerState.OPEN, [])
        assert rig.core.breaker.retry_after_s(rig.now_s) == pytest.approx(30.0)
        assert rig.core.breaker.trips == 2

    def test_a_clean_end_of_a_transient_child_is_no_failure(self) -> None:
        rig = Rig(pausing(max_restarts=0, pause=PAUSE), *permanent("a"), spec("b", restart=Restart.TRANSIENT))
        rig.end("a", BOOM)
        rig.advance(15)
        rig.end("b", NORMAL)
        assert (rig.core.breaker.state, rig.up) == (BreakerState.HALF_OPEN, ["a"])

    def test_temporary_children_do_not_come_back(self) -> None:
        rig = Rig(pausing(max_restarts=0, pause=PAUSE), *permanent("a"), spec("t", restart=Restart.TEMPORARY))
        rig.end("a", BOOM)
        rig.advance(15)
        assert rig.up == ["a"]

    def test_without_probes_staying_up_for_the_cooldown_closes_it(self) -> None:
        rig = tripped(Pause(cooldown_s=10.0, probes=0))
        rig.advance(10)
        assert rig.core.breaker.state is BreakerState.HALF_OPEN
        rig.advance(10)
        assert rig.core.breaker.state is BreakerState.CLOSED

    def test_closing_gives_a_new_budget(self) -> None:
        rig = Rig(pausing(max_restarts=1, pause=Pause(cooldown_s=1, probes=1)), *permanent("a"))
        rig.end("a")
        rig.end("a")
        rig.advance(1)
        rig.tell(d.CallReported(None))
        rig.end("a")
        assert (rig.core.breaker.state, rig.up) == (BreakerState.CLOSED, ["a"])


class TestLatching:
    def test_the_last_trip_latches_and_votes_latched(self) -> None:
        rig = tripped()
        for cooldown_s in (15, 30):
            rig.advance(cooldown_s)
            rig.end("a", BOOM)
        assert states(rig) == ["open", "half_open", "open", "half_open", "latched"]
        assert isinstance(rig.votes[-1], d.LowerLevel)
        assert rig.votes[-1].latched
        rig.advance(1_000_000)
        assert rig.up == []

    def test_a_breaker_that_flaps_latches_too(self) -> None:
        rig = Rig(pausing(max_restarts=0, max_seconds=60, pause=Pause(5, 1, 3)), *permanent("a"))
        for _ in range(2):
            rig.end("a", BOOM)
            rig.advance(20)
            rig.tell(d.CallReported(None))
            assert rig.core.breaker.state is BreakerState.CLOSED
        rig.end("a", BOOM)
        assert rig.core.breaker.state is BreakerState.LATCHED

    def test_trips_are_forgotten_after_a_window_in_health(self) -> None:
        rig = Rig(pausing(max_restarts=0, max_seconds=60, pause=Pause(5, 1, 2)), *permanent("a"))
        for _ in range(5):
            rig.end("a", BOOM)
            rig.advance(5)
            rig.tell(d.CallReported(None))
            rig.advance(61)
        assert rig.core.breaker.state is BreakerState.CLOSED

    def test_only_a_person_opens_a_latch_halfway(self) -> None:
        rig = tripped(Pause(cooldown_s=15, probes=1, max_trips=1))
        assert rig.core.breaker.state is BreakerState.LATCHED
        rig.ask(d.ResetBreaker("ada", "venue is back"))
        assert (rig.core.breaker.state, rig.up) == (BreakerState.HALF_OPEN, ["a", "b"])
        rig.tell(d.CallReported(None))
        assert rig.votes[-1] == d.RaiseLevel(by_person=True)

    def test_a_reset_that_fails_needs_a_person_again(self) -> None:
        rig = tripped(Pause(cooldown_s=15, probes=1, max_trips=1))
        rig.ask(d.ResetBreaker("ada", "venue is back"))
        rig.end("a", BOOM)
        assert rig.core.breaker.state is BreakerState.LATCHED

    def test_what_a_person_allowed_lasts_until_it_closes_or_latches_again(self) -> None:
        rig = tripped(Pause(cooldown_s=15, probes=1, max_trips=2))
        rig.advance(15)
        rig.end("a", BOOM)
        assert rig.core.breaker.state is BreakerState.LATCHED
        rig.ask(d.ResetBreaker("ada", "venue is back"))
        rig.end("a", BOOM)
        assert rig.core.breaker.state is BreakerState.OPEN
        rig.advance(15)
        rig.tell(d.CallReported(None))
        assert rig.votes[-1] == d.RaiseLevel(by_person=True)

    def test_resetting_a_closed_breaker_withdraws_the_vote_of_an_earlier_incarnation(self) -> None:
        rig = Rig(pausing(), *permanent("a"))
        rig.ask(d.ResetBreaker("ada", "checked"))
        assert rig.votes[-1] == d.RaiseLevel(by_person=True)


class TestReportedFailures:
    def test_a_ratio_over_enough_calls_opens_it(self) -> None:
        rig = Rig(pausing(pause=Pause(min_volume=10, failure_ratio=0.5)), *permanent("a"))
        for category in ["TIMEOUT", None] * 4:
            rig.tell(d.CallReported(category))
        assert rig.core.breaker.state is BreakerState.CLOSED
        rig.tell(d.CallReported(None))
        rig.tell(d.CallReported("probe"))
        assert (rig.core.breaker.state, rig.up) == (BreakerState.OPEN, [])

    def test_old_calls_do_not_count(self) -> None:
        rig = Rig(pausing(pause=Pause(min_volume=2, failure_ratio=1.0, window_s=60)), *permanent("a"))
        rig.tell(d.CallReported("probe"))
        rig.advance(60.001)
        rig.tell(d.CallReported("probe"))
        assert rig.core.breaker.state is BreakerState.CLOSED

    def test_a_category_has_a_threshold_of_its_own(self) -> None:
        rig = Rig(pausing(pause=Pause(thresholds=(("AUTH", 2),))), *permanent("a"))
        for category in ("TIMEOUT", "TIMEOUT", "AUTH"):
            rig.tell(d.CallReported(category))
        assert rig.core.breaker.state is BreakerState.CLOSED
        rig.tell(d.CallReported("AUTH"))
        assert rig.core.breaker.state is BreakerState.OPEN

    def test_a_supervisor_that_escalates_has_no_breaker_to_open(self) -> None:
        rig = Rig(SupervisorFlags(pause=Pause(thresholds=(("AUTH", 1),))), *permanent("a"))
        rig.tell(d.CallReported("AUTH"))
        assert rig.up == ["a"]


@pytest.mark.virtual
class TestOnTheRuntime:
    FLAGS = SupervisorFlags(max_restarts=0, on_exceeded=OnExceeded.PAUSE, pause=PAUSE)

    async def test_calls_to_a_paused_child_fail_at_once_with_the_time_to_try_again(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            await system.spawn(Supervisor, self.FLAGS, stage.puppets("a"), path="/top")
            await crash(system, "/top/a")
            with pytest.raises(CircuitOpen) as caught:
                await system.address("/top/a").call("hello")
            assert caught.value.retry_after_s == pytest.approx(15.0, abs=0.01)
            with pytest.raises(CircuitOpen):
                await system.address("/top/a/below").call("hello")
            with pytest.raises(ActorDead):
                await system.address("/topmost").call("hello")

    async def test_after_its_supervisor_is_gone_a_call_says_dead_again(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, self.FLAGS, stage.puppets("a"), path="/top")
            await crash(system, "/top/a")
            system.kill(top)
            with pytest.raises(ActorDead):
                await system.address("/top/a").call("hello")

    async def test_a_whole_cycle(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, self.FLAGS, stage.puppets("a"), path="/top")
            await crash(system, "/top/a")
            assert (await breaker_state(top)).state is BreakerState.OPEN
            await settle(15)
            assert (await breaker_state(top)).state is BreakerState.HALF_OPEN
            report_probe(top, ok=False)
            await settle(30.1)
            for _ in range(3):
                report_probe(top, ok=True)
            assert (await breaker_state(top)).state is BreakerState.CLOSED
            assert await system.address("/top/a").call("hello")

    async def test_a_latched_supervisor_answers_and_a_person_resets_it(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, self.FLAGS, stage.puppets("a"), path="/top")
            await crash(system, "/top/a", Fatal("KEY", "refused"))
            with pytest.raises(CircuitOpen):
                await start_child(top, stage.puppet("b"))
            await terminate_child(top, "a")
            await reset_breaker(top, "ada", "new key")
            assert incarnation(system, "/top/a") is not None

    async def test_a_paused_supervisor_stops_at_once(self) -> None:
        stage = Stage()
        async with stage.system() as system:
            top = await system.spawn(Supervisor, self.FLAGS, stage.puppets("a"), path="/top")
            await crash(system, "/top/a")
            await system.stop(top, timeout_s=0.1)
            assert system.actors() == []

    async def test_reported_failures_open_it_on_the_runtime_too(self) -> None:
        stage = Stage()
        flags = SupervisorFlags(on_exceeded=OnExceeded.PAUSE, pause=Pause(thresholds=(("TIMEOUT", 3),)))
        async with ActorSystem() as system:
            top = await system.spawn(Supervisor, flags, stage.puppets("a"), path="/top")
            for _ in range(3):
                report_failure(top, "TIMEOUT")
            assert (await breaker_state(top)).state is BreakerState.OPEN


class TestOutage:
    """Nothing answers at all: it is nobody's failure, and no person is needed when it is over."""

    def away(self) -> Exit:
        return crashed(ConnectFailed("no such name", reached=False))

    def test_a_network_that_is_away_never_latches_it_and_opens_it_for_one_cooldown_each_time(self) -> None:
        rig = tripped()
        for _ in range(20):
            rig.advance(15)
            assert rig.core.breaker.state is BreakerState.HALF_OPEN
            rig.end("a", self.away())
            assert rig.core.breaker.state is BreakerState.OPEN
        assert rig.core.breaker.trips == 1

    def test_a_question_that_was_asked_in_vain_counts_as_little(self) -> None:
        rig = tripped()
        asked = crashed(QueryFailed("OpenOrders"))
        assert isinstance(asked.error, QueryFailed)
        asked.error.__cause__ = HttpNotSent("no such name")
        for _ in range(5):
            rig.advance(15)
            rig.end("b", asked)
        for _ in range(5):
            rig.advance(15)
            rig.tell(d.CallReported("NETWORK", probe=False))
        assert (rig.core.breaker.state, rig.core.breaker.trips) == (BreakerState.OPEN, 1)

    def test_whoever_was_answered_in_between_has_failed(self) -> None:
        rig = tripped()
        rig.advance(15)
        rig.advance(0.5)
        rig.tell(d.CallReported(None, probe=False))
        rig.end("a", self.away())
        assert rig.core.breaker.trips == 2

    @pytest.mark.parametrize(
        "error",
        [
            ConnectFailed("HTTP 429", answered=True),
            ValueError("a bug"),
            LinkClosed("reset"),
            LinkClosed("policy", 1008),
        ],
    )
    def test_an_answer_that_is_no_or_a_bug_of_ours_counts_until_it_latches(self, error: Exception) -> None:
        rig = tripped()
        for _ in range(2):
            rig.advance(60)
            rig.end("a", crashed(error))
        assert rig.core.breaker.state is BreakerState.LATCHED

    def test_connections_that_are_taken_and_dropped_without_a_word_never_latch_it(self) -> None:
        rig = tripped()
        for _ in range(20):
            rig.advance(15)
            assert rig.core.breaker.state is BreakerState.HALF_OPEN
            rig.end("a", crashed(LinkClosed("reset by the peer", 1006)))
            assert rig.core.breaker.state is BreakerState.OPEN
        assert rig.core.breaker.trips == 1

    def test_a_connection_that_was_of_use_before_it_was_dropped_has_failed(self) -> None:
        rig = tripped()
        rig.advance(15)
        rig.advance(0.5)
        rig.tell(d.CallReported(None, probe=False))
        rig.end("a", crashed(LinkClosed("reset by the peer", 1006)))
        assert rig.core.breaker.trips == 2

    def test_an_outage_that_spends_the_budget_is_not_the_first_trip(self) -> None:
        rig = Rig(pausing(max_restarts=2), *permanent("a", "b"))
        rig.tell(d.CallReported(None, probe=False))
        rig.advance(1)
        rig.end("a", crashed(LinkClosed("no answer to a ping", 1006)))
        for _ in range(2):
            rig.end("a", self.away())
        assert (rig.core.breaker.state, rig.core.breaker.trips) == (BreakerState.OPEN, 0)

    def test_connections_that_end_again_and_again_are_a_failure_of_somebody(self) -> None:
        rig = Rig(pausing(max_restarts=2), *permanent("a", "b"))
        for _ in range(3):
            rig.end("a", crashed(LinkClosed("reset", 1006)))
        assert rig.core.breaker.trips == 1
