"""A gate: starts against one endpoint keep its spacing, whichever supervisors make them, and whatever becomes of those."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.supervisors.puppets import Stage, crash, incarnation, kill, settle, tree
from tests.supervisors.rig import BOOM, Rig, flags, pausing, spec

from allstop.actors.errors import BadInput
from allstop.actors.events import ChildStarted, GateChanged, GateWaiting
from allstop.actors.runtime import Ref
from allstop.actors.spec import Backoff, ChildSpec, RestartGate, Strategy, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.checking import check_tree
from allstop.supervisors.config import child, halt_root, strategies
from allstop.supervisors.errors import GateClosed, InvalidChildSpec
from allstop.supervisors.gates import STALE_S, Gate, Gates, GateState
from allstop.supervisors.lasting import Lasting, declare_gates, gates
from allstop.supervisors.supervisor import (
    Supervisor,
    reconfigure,
    restart_child,
    start_child,
    terminate_child,
    which_child,
)

WS = RestartGate("kraken:ws", spacing_s=10.0)
OFTEN = flags(max_restarts=100, max_seconds=600.0)


def lasting(*declared: RestartGate) -> Lasting:
    found = Lasting()
    found.gates.declare(*(declared or (WS,)))
    return found


def gated(*ids: str, **fields: object) -> list[ChildSpec]:
    return [spec(i, gate="kraken:ws", **fields) for i in ids]


class TestTheLine:
    def test_the_first_goes_at_once_and_each_next_one_a_spacing_later(self) -> None:
        gate = Gate(WS)
        assert [gate.ask(who, 100.0) for who in "abc"] == [0.0, 10.0, 20.0]

    def test_a_turn_that_came_is_used_up(self) -> None:
        gate = Gate(WS)
        gate.ask("a", 0.0)
        assert gate.ask("b", 0.0) == 10.0
        assert gate.ask("b", 10.0) == 0.0
        assert gate.ask("b", 10.0) == 10.0

    def test_asking_again_keeps_the_place(self) -> None:
        gate = Gate(WS)
        for who in "abc":
            gate.ask(who, 0.0)
        assert (gate.ask("b", 4.0), gate.ask("c", 4.0)) == (6.0, 16.0)

    def test_a_late_one_pushes_those_behind_it_back(self) -> None:
        gate = Gate(WS)
        for who in "abc":
            gate.ask(who, 0.0)
        assert gate.ask("b", 17.0) == 0.0
        assert gate.ask("c", 20.0) == 7.0

    def test_whoever_leaves_gives_its_place_to_those_who_come_after(self) -> None:
        gate = Gate(WS)
        for who in "ab":
            gate.ask(who, 0.0)
        gate.leave("b", 0.0)
        assert gate.ask("c", 0.0) == 10.0

    def test_those_behind_one_who_leaves_move_up_and_are_named(self) -> None:
        gate = Gate(WS)
        for who in "abcde":
            gate.ask(who, 0.0)
        assert gate.leave("c", 3.0) == ("d", "e")
        assert [gate.due_s(who) for who in "bcde"] == [10.0, None, 20.0, 30.0]
        assert gate.leave("e", 4.0) == ()

    def test_nobody_moves_up_beyond_the_spacing(self) -> None:
        gate = Gate(WS)
        for who in "abc":
            gate.ask(who, 0.0)
        gate.leave("b", 7.0)
        assert (gate.ask("c", 7.0), gate.ask("c", 10.0)) == (3.0, 0.0)

    def test_a_place_whose_turn_has_come_moves_to_now_and_not_into_the_past(self) -> None:
        gate = Gate(WS)
        for who in "abc":
            gate.ask(who, 0.0)
        assert gate.leave("b", 15.0) == ("c",)
        assert gate.due_s("c") == 15.0

    def test_a_burst_goes_at_once_and_comes_back_one_by_one(self) -> None:
        gate = Gate(RestartGate("x", 10.0, burst=3))
        assert [gate.ask(who, 0.0) for who in "abcde"] == [0.0, 0.0, 0.0, 10.0, 20.0]

    def test_a_burst_is_whole_again_after_a_rest(self) -> None:
        gate = Gate(RestartGate("x", 10.0, burst=2))
        for who in "ab":
            gate.ask(who, 0.0)
        assert [gate.ask(who, 20.0) for who in "cde"] == [0.0, 0.0, 10.0]

    def test_one_who_never_comes_is_forgotten(self) -> None:
        gate = Gate(WS)
        for who in "abc":
            gate.ask(who, 0.0)
        now_s = 20.0 + STALE_S + 1.0
        assert gate.view(now_s).waiting == ()
        assert gate.ask("d", now_s) == 0.0

    @given(
        burst=st.integers(1, 4),
        asks=st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 30), st.booleans()), max_size=60),
    )
    def test_no_window_ever_holds_more_attempts_than_burst_and_spacing_allow(
        self, burst: int, asks: list[tuple[str, float, bool]]
    ) -> None:
        gate, now_s, attempts = Gate(RestartGate("x", 10.0, burst)), 0.0, list[float]()
        for who, later_s, leaves in asks:
            now_s += later_s
            if leaves:
                gate.leave(who, now_s)
            elif gate.ask(who, now_s) == 0.0:
                attempts.append(now_s)
        for first, last in zip(attempts, attempts[burst:], strict=False):
            assert last - first >= 10.0 - 1e-6


class TestSupervisors:
    def test_a_second_restart_against_the_endpoint_waits_for_its_turn(self) -> None:
        rig = Rig(OFTEN, *gated("a", "b"), lasting=lasting())
        rig.advance(100.0)
        rig.end("a", BOOM)
        rig.end("b", BOOM)
        assert rig.up == ["a"]
        (due_s,) = [info.due_s for info in rig.core.which_children() if info.id == "b"]
        assert (rig.state("b"), due_s) == ("restarting", rig.now_s + 10.0)
        rig.advance(10.0)
        assert rig.up == ["a", "b"]

    def test_the_wait_spends_no_budget(self) -> None:
        rig = Rig(OFTEN, *gated("a", "b"), lasting=lasting())
        rig.advance(100.0)
        rig.end("a", BOOM)
        rig.end("b", BOOM)
        rig.advance(10.0)
        assert rig.core.window.left(rig.now_s) == 98

    def test_other_children_do_not_wait_with_it(self) -> None:
        rig = Rig(OFTEN, *gated("a"), spec("b"), lasting=lasting())
        rig.end("a", BOOM)
        rig.end("b", BOOM)
        assert rig.up == ["b"]

    @pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
    def test_in_a_group_those_behind_wait_and_those_before_are_left_running(self, strategy: Strategy) -> None:
        rig = Rig(flags(strategy, 9, 600.0), spec("a"), *gated("b", "c"), spec("e"), lasting=lasting())
        rig.advance(100.0)
        mark = len(rig.log)
        rig.end("a", BOOM)
        assert rig.up == ["a", "b"]
        rig.advance(10.0)
        assert rig.since(mark) == ["stop e", "stop c", "stop b", "start a", "start b", "start c", "start e"]

    def test_a_failure_in_the_group_meanwhile_restarts_all_of_it_when_the_turn_has_come(self) -> None:
        shared = lasting()
        rig = Rig(flags(Strategy.ONE_FOR_ALL, 9, 600.0), spec("a"), *gated("b"), spec("e"), lasting=shared)
        shared.gates.get("kraken:ws").ask("/elsewhere/x", rig.now_s + 10.0)
        rig.advance(11.0)
        rig.end("b", BOOM)
        assert (rig.up, rig.state("b")) == (["a"], "restarting")
        rig.end("a", BOOM)
        assert rig.up == []
        rig.advance(30.0)
        assert rig.up == ["a", "b", "e"]

    def test_terminate_child_gives_its_place_up(self) -> None:
        shared = lasting()
        rig = Rig(OFTEN, *gated("a", "b", "c"), lasting=shared)
        rig.advance(100.0)
        for child_id in "abc":
            rig.end(child_id, BOOM)
        rig.ask(d.TerminateChild("b"))
        assert [who for who, _ in shared.gates.get("kraken:ws").view(rig.now_s).waiting] == ["/top/c"]
        rig.advance(100.0)
        assert rig.up == ["a", "c"]

    def test_those_behind_one_that_is_terminated_start_earlier(self) -> None:
        rig = Rig(OFTEN, *gated("a", "b", "c", "e"), lasting=lasting())
        rig.advance(100.0)
        for child_id in "abce":
            rig.end(child_id, BOOM)
        rig.ask(d.TerminateChild("b"))
        assert [(told.gate, told.paths) for told in rig.moved] == [("kraken:ws", ("/top",))]
        rig.tell(d.GateMoved("kraken:ws"))
        rig.advance(10.0)
        assert rig.up == ["a", "c"]
        rig.advance(10.0)
        assert rig.up == ["a", "c", "e"]

    def test_a_stop_of_all_of_them_tells_only_those_that_wait_elsewhere(self) -> None:
        shared = lasting()
        one = Rig(OFTEN, *gated("a", "b"), lasting=shared)
        one.advance(100.0)
        one.end("a", BOOM)
        one.end("b", BOOM)
        shared.gates.get("kraken:ws").ask("/elsewhere/x", one.now_s)
        one.tell(d.Stop())
        assert [told.paths for told in one.moved] == [("/elsewhere",)]
        assert shared.gates.get("kraken:ws").due_s("/elsewhere/x") == one.now_s + 10.0

    def test_a_stop_empties_its_places(self) -> None:
        shared = lasting()
        rig = Rig(OFTEN, *gated("a", "b"), lasting=shared)
        rig.advance(100.0)
        rig.end("a", BOOM)
        rig.end("b", BOOM)
        rig.tell(d.Stop())
        assert (rig.timers, shared.gates.get("kraken:ws").view(rig.now_s).waiting) == ({}, ())

    def test_whoever_starts_one_by_hand_is_told_when_to_come_again(self) -> None:
        rig = Rig(OFTEN, *gated("a"), lasting=lasting())
        with pytest.raises(GateClosed) as refused:
            rig.ask(d.AddChild(spec("b", gate="kraken:ws")))
        assert refused.value.retry_after_s == 10.0
        assert rig.counts() == [1, 1, 0, 1]
        rig.advance(10.0)
        rig.ask(d.AddChild(spec("b", gate="kraken:ws")))
        assert rig.up == ["a", "b"]

    def test_restart_child_is_refused_as_well_and_the_child_kept(self) -> None:
        rig = Rig(OFTEN, *gated("a"), lasting=lasting())
        rig.ask(d.TerminateChild("a"))
        with pytest.raises(GateClosed):
            rig.ask(d.RestartChild("a"))
        assert rig.state("a") == "down"

    def test_children_that_start_with_their_supervisor_wait_in_their_order(self) -> None:
        rig = Rig(OFTEN, *gated("a", "b"), spec("c"), lasting=lasting(), boot=False)
        began_s = rig.now_s
        rig.tell(d.Boot())
        assert (rig.log, rig.now_s - began_s) == (["start a", "start b", "start c"], 10.0)

    def test_half_open_children_wait_for_their_turn(self) -> None:
        rig = Rig(pausing(max_restarts=0), *gated("a", "b"), spec("c"), lasting=lasting())
        rig.advance(5.0)
        rig.end("c", BOOM)
        rig.advance(15.0)
        assert rig.up == ["a", "c"]
        rig.advance(10.0)
        assert rig.up == ["a", "b", "c"]

    def test_backoff_comes_first_and_then_the_turn(self) -> None:
        backoff = Backoff(5.0, 5.0, 0.0, reset_after_s=1.0)
        rig = Rig(OFTEN, *gated("a", "b", backoff=backoff), lasting=lasting())
        rig.advance(100.0)
        rig.end("a", BOOM)
        rig.end("b", BOOM)
        rig.advance(5.0)
        assert rig.up == ["a"]
        rig.advance(10.0)
        assert rig.up == ["a", "b"]


class TestEvents:
    def test_a_wait_is_told_with_its_length_and_how_many_are_ahead(self) -> None:
        rig = Rig(OFTEN, *gated("a", "b", "c"), lasting=lasting())
        rig.advance(100.0)
        rig.events.clear()
        for child_id in "abc":
            rig.end(child_id, BOOM)
        waits = [(e.child, e.wait_s, e.ahead) for e in rig.events if isinstance(e, GateWaiting)]
        assert waits == [("b", 10.0, 0), ("c", 20.0, 1)]
        rig.advance(20.0)
        started = [(e.child, e.gate_wait_s) for e in rig.events if isinstance(e, ChildStarted)]
        assert started == [("a", 0.0), ("b", 10.0), ("c", 20.0)]

    def test_a_gate_is_open_while_starts_wait_and_half_open_until_what_started_stayed_up(self) -> None:
        shared = lasting()
        rig = Rig(OFTEN, *gated("a"), lasting=shared)
        states = [(e.state, e.waiting) for e in rig.events if isinstance(e, GateChanged)]
        rig.now_s, look = rig.looks.pop()
        rig.tell(look)
        rig.end("a", BOOM)
        rig.advance(0.0)
        states += [(e.state, e.waiting) for e in rig.events if isinstance(e, GateChanged)][len(states) :]
        assert states == [("half_open", 0), ("closed", 0), ("half_open", 0)]
        rig.end("a", BOOM)
        assert shared.gates.get("kraken:ws").view(rig.now_s).state is GateState.OPEN


class TestDeclaring:
    @pytest.mark.parametrize(
        ("gate", "says"),
        [
            (RestartGate("", 1.0), "named after its endpoint"),
            (RestartGate("x", 0.0), "above 0"),
            (RestartGate("x", float("nan")), "above 0"),
            (RestartGate("x", "soon"), "number of seconds"),  # pyright: ignore[reportArgumentType]
            (RestartGate("x", 1.0, 0), "at least 1"),
            (RestartGate("x", 1.0, True), "at least 1"),
        ],
    )
    def test_a_gate_that_is_none_is_refused(self, gate: RestartGate, says: str) -> None:
        with pytest.raises(BadInput, match=says):
            Gates((gate,))

    def test_telling_it_twice_is_no_mistake_and_telling_another_is(self) -> None:
        known = Gates((WS,))
        known.declare(WS)
        with pytest.raises(BadInput, match="cannot also be"):
            known.declare(RestartGate("kraken:ws", 5.0))

    def test_a_child_that_names_an_unknown_gate_starts_nothing(self) -> None:
        with pytest.raises(InvalidChildSpec) as refused:
            Rig(OFTEN, spec("a", gate="nowhere"))
        assert (refused.value.code, refused.value.value) == ("unknown_gate", "nowhere")

    def test_start_child_and_reconfigure_refuse_it_as_well(self) -> None:
        rig = Rig(OFTEN, spec("a"))
        with pytest.raises(InvalidChildSpec, match="unknown_gate"):
            rig.ask(d.AddChild(spec("b", gate="nowhere")))
        with pytest.raises(InvalidChildSpec, match="unknown_gate"):
            rig.ask(d.Reconfigure(OFTEN, (spec("a", gate="nowhere"),)))
        assert rig.core.get_childspec("a").gate is None

    def test_a_tree_says_which_gate_is_missing_and_where(self) -> None:
        tree_ = halt_root(strategies(child("s", Supervisor, OFTEN, gate="kraken:ws")), gates=[WS])
        assert check_tree(tree_) == ()
        (problem,) = check_tree(halt_root(strategies(child("s", Supervisor, OFTEN, gate="kraken:ws"))))
        assert "gate 'kraken:ws' is not declared" in problem.what
        assert "test_gates.py" in problem.where

    def test_a_tree_with_a_gate_that_is_none_is_wrong(self) -> None:
        (problem,) = check_tree(halt_root(gates=[RestartGate("x", -1.0)]))
        assert "spacing_s" in problem.what


FLAGS = SupervisorFlags(max_restarts=100, max_seconds=600.0)


def starts(stage: Stage) -> list[tuple[str, float]]:
    return [(e.child, e.at_ns / 1e9) for e in stage.of(ChildStarted) if e.child in "abcdef"]


@pytest.mark.virtual
@pytest.mark.req("244")
async def test_children_of_different_supervisors_never_attempt_within_the_spacing() -> None:
    stage = Stage()
    async with stage.system() as system:
        declare_gates(system, WS)
        one = tree("one", FLAGS, *stage.puppets("a", "b", gate="kraken:ws"), start_timeout_s=100.0)
        two = tree("two", FLAGS, *stage.puppets("c", "d", gate="kraken:ws"), start_timeout_s=100.0)
        await system.spawn(Supervisor, FLAGS, (one, two), path="/top", start_timeout_s=300.0)
        await settle(60.0)
        for path in ("/top/one/a", "/top/two/c", "/top/one/b", "/top/two/d"):
            await crash(system, path)
        await settle(60.0)
        times = [at_s for _, at_s in starts(stage)]
        assert len(times) == 8
        assert all(later - earlier >= 9.999 for earlier, later in pairwise(times))
        assert [child_id for child_id, _ in starts(stage)][4:] == ["a", "c", "b", "d"]


@pytest.mark.virtual
@pytest.mark.req("244")
async def test_the_spacing_survives_the_restart_of_the_supervisor() -> None:
    stage = Stage()
    async with stage.system() as system:
        declare_gates(system, WS)
        one = tree("one", FLAGS, *stage.puppets("a", gate="kraken:ws"), start_timeout_s=100.0)
        await system.spawn(Supervisor, FLAGS, (one,), path="/top")
        await settle(3.0)
        await kill(system, "/top/one")
        await settle(5.0)
        assert incarnation(system, "/top/one/a") is None
        await settle(5.0)
        first, second = [at_s for _, at_s in starts(stage)]
        assert second - first >= 9.999


@pytest.mark.virtual
@pytest.mark.parametrize("starting", [False, True])
async def test_a_killed_supervisor_gives_back_its_places_in_line_at_once(starting: bool) -> None:
    stage = Stage()
    async with stage.system() as system:
        declare_gates(system, WS)
        await system.spawn(Supervisor, FLAGS, stage.puppets("a", gate="kraken:ws"), path="/first")
        behind = [
            asyncio.ensure_future(
                system.spawn(
                    Supervisor, FLAGS, stage.puppets(*ids, gate="kraken:ws"), path=path, start_timeout_s=99.0
                )
            )
            for path, ids in (("/killed", "bc"), ("/last", "d"))
        ]
        await settle(1.0)
        assert [who for who, _ in gates(system)[0].waiting] == ["/killed/b", "/last/d"]
        if not starting:
            await settle(10.0)
            assert [who for who, _ in gates(system)[0].waiting] == ["/last/d", "/killed/c"]
        system.kill(system.address("/killed"))
        await settle(0.0)
        assert [who for who, _ in gates(system)[0].waiting] == ["/last/d"]
        await settle(9.5)  # of the spacing, a second or so has passed
        assert incarnation(system, "/last/d") == 1
        ended = await asyncio.gather(*behind, return_exceptions=True)
        assert isinstance(ended[1], Ref)
        await settle(60.0)
        assert gates(system)[0].state is GateState.CLOSED
        assert [event.state for event in stage.of(GateChanged)][-1] == "closed"


@pytest.mark.virtual
async def test_a_supervisor_whose_start_waits_for_a_turn_stops_promptly() -> None:
    stage = Stage()
    async with stage.system() as system:
        declare_gates(system, WS)
        children = (*stage.puppets("a"), *stage.puppets("b", "c", gate="kraken:ws"))
        starting = asyncio.ensure_future(
            system.spawn(Supervisor, FLAGS, children, path="/top", start_timeout_s=100.0)
        )
        await settle(1.0)
        assert incarnation(system, "/top/b") == 1
        await system.stop(system.address("/top"))
        await asyncio.wait({starting}, timeout=1.0)
        assert starting.exception() is not None
        assert system.actors() == []
        (view,) = gates(system)
        assert view.waiting == ()


@pytest.mark.virtual
@pytest.mark.parametrize("starting", [False, True])
async def test_a_child_of_another_supervisor_moves_up_also_while_that_one_starts(starting: bool) -> None:
    stage = Stage()
    async with stage.system() as system:
        declare_gates(system, WS)
        one = await system.spawn(Supervisor, FLAGS, stage.puppets("a", "b", gate="kraken:ws"), path="/one")
        spawned = system.spawn(Supervisor, FLAGS, stage.puppets("c", gate="kraken:ws"), path="/two")
        other = None if starting else asyncio.ensure_future(spawned)
        await settle(100.0)
        for path in ("/one/a", "/one/b", "/one/a"):  # the first restarts at once, two wait for 10 s and 20 s
            await crash(system, path)
        other = asyncio.ensure_future(spawned) if other is None else other
        if not starting:
            await crash(system, "/two/c")
        await settle(1.0)
        assert incarnation(system, "/two/c") is None
        await terminate_child(one, "a")
        await terminate_child(one, "b")
        await settle(20.0)
        (_, before_s), (child_id, at_s) = starts(stage)[-2:]
        assert child_id == "c"
        assert at_s - before_s == pytest.approx(10.0)
        await other


@pytest.mark.virtual
async def test_requests_are_served_while_a_child_waits_for_its_turn() -> None:
    stage = Stage()
    async with stage.system() as system:
        declare_gates(system, WS)
        top = await system.spawn(Supervisor, FLAGS, stage.puppets("a", gate="kraken:ws"), path="/top")
        await crash(system, "/top/a")
        assert (await which_child(top, "a")).state.value == "restarting"
        (view,) = gates(system)
        assert (view.state, [who for who, _ in view.waiting]) == (GateState.OPEN, ["/top/a"])
        assert await start_child(top, stage.puppet("b")) is not None
        with pytest.raises(GateClosed):
            await start_child(top, stage.puppet("c", gate="kraken:ws"))
        await terminate_child(top, "a")
        await settle(100.0)
        assert incarnation(system, "/top/a") is None
        await restart_child(top, "a")
        assert incarnation(system, "/top/a") == 2
        assert await reconfigure(top, FLAGS) == ()


@pytest.mark.virtual
async def test_a_gate_closes_again_when_what_started_stayed_up() -> None:
    stage = Stage()
    async with stage.system() as system:
        declare_gates(system, WS)
        await system.spawn(Supervisor, FLAGS, stage.puppets("a", gate="kraken:ws"), path="/top")
        await settle(11.0)
        assert [event.state for event in stage.of(GateChanged)] == ["half_open", "closed"]
