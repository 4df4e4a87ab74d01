"""The straight road beside the general one: the same ends give the same commands and leave the same state."""

from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.supervisors.rig import BOOM, Rig, flags, pausing, spec

from allstop.actors.errors import AllstopError, Fatal
from allstop.actors.events import ChildTerminated, RestartScheduled
from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, Exit, crashed
from allstop.actors.spec import (
    Backoff,
    ChildBudget,
    OnChildExceeded,
    Restart,
    RestartGate,
    Shutdown,
    Strategy,
)
from allstop.supervisors import decisions as d
from allstop.supervisors.budget import check_budget
from allstop.supervisors.core import SupervisorCore
from allstop.supervisors.lasting import Lasting

CAUSED = ValueError("no price")
CAUSED.__cause__ = KeyError("BTC/USD")
REFUSED = RuntimeError("the key was refused")
REFUSED.__cause__ = Fatal("KEY_REFUSED", "no such key")
EXITS = (
    NORMAL,
    SHUTDOWN,
    KILLED,
    BOOM,
    crashed(CAUSED),
    crashed(REFUSED),
    crashed(Fatal("DISK", "the disk is gone")),
)
SPECS = (
    spec("a"),
    spec("b", restart=Restart.TRANSIENT),
    spec("c", restart=Restart.TEMPORARY),
    spec("d", backoff=Backoff(0.5, 4.0)),
    spec("e", backoff=Backoff(max_consecutive=2, reset_after_s=1.0)),
    spec("f", backoff=Backoff(reset_after_s=2.0)),
    spec("g", budget=ChildBudget(1, 3.0, OnChildExceeded.STOP_CHILD)),
    spec("h", gate="venue"),
    spec(9),
)
IDS: tuple[Hashable, ...] = tuple(one.id for one in SPECS)
PLAIN = (*(one for one in SPECS if one.id in ("a", "b", "f", 9)), spec("k", shutdown=Shutdown.BRUTAL_KILL))


class GeneralRoad(SupervisorCore):
    """A core that knows no other way."""

    def failed_plainly(self, *_args: Any, **_named: Any) -> None:
        return None


def lasting() -> Lasting:
    kept = Lasting()
    kept.gates.declare(RestartGate("venue", 2.0))
    return kept


def state_of(core: SupervisorCore) -> dict[str, Any]:
    """All that a core remembers, without what is only on its way within one decision."""
    passing = ("_out", "_now_s", "_draw", "_at_ns", "_worded", "_said", "window", "lasting", "children")
    kept = {name: value for name, value in vars(core).items() if name not in passing}
    children = {
        child_id: [shown(getattr(child, name)) for name in child.__dataclass_fields__]
        for child_id, child in core.children.items()
    }
    return kept | {
        "window": list(core.window._attempts),
        "children": children,
        "_causes": [str(cause) for cause in core._causes],
        "_plan": repr(core._plan),
    }


def shown(value: object) -> object:
    return list(value._attempts) if hasattr(value, "_attempts") else value  # pyright: ignore[reportAttributeAccessIssue]


def said(commands: tuple[d.Command, ...]) -> list[object]:
    """Commands as they compare: two errors of the same words are as good as one."""
    return [repr(command) for command in commands]


class Pair:
    """The same told to both, as a supervisor tells them; each answer is compared at once."""

    def __init__(
        self, supervisor_flags: Any, specs: tuple[Any, ...] = SPECS, *, max_children: int | None = None
    ) -> None:
        if max_children:
            specs = ()
        specs = tuple(one for one in specs if not check_budget(supervisor_flags, (one,)))
        made = {"max_children": max_children}
        self.straight = SupervisorCore("/top", supervisor_flags, specs, lasting=lasting(), **made)
        self.general = GeneralRoad("/top", supervisor_flags, specs, lasting=lasting(), **made)
        self.now_s = 1000.0
        self.incarnation = 0
        self.went_straight = 0  # ends that began on the straight road
        self.left_it = 0  # and what had to be told in the general way before all was done
        self.is_straight = False
        self.over = False

    def tell(self, given: d.Given) -> tuple[d.Command, ...]:
        wall_ns = int(self.now_s * 1e9)
        one = self._tell_straight(given, wall_ns)
        other = self.general.handle(given, self.now_s, 0.5, wall_ns)
        assert said(one) == said(other)
        assert state_of(self.straight) == state_of(self.general)
        return one

    def _tell_straight(self, given: d.Given, wall_ns: int) -> tuple[d.Command, ...]:
        """By plain calls, as long as all goes plainly."""
        core = self.straight
        events: list[Any] = []
        asked: Any = None
        match given:
            case d.Ended(child_id, incarnation, exit_):
                plain = core.failed_plainly(child_id, incarnation, exit_, self.now_s, wall_ns)
                if plain is None:
                    return core.handle(given, self.now_s, 0.5, wall_ns)
                *events, asked = plain
                self.went_straight += 1
            case d.Started(_, ref, incarnation) if self.is_straight:
                started, asked = core.started_plainly(ref, incarnation, self.now_s, wall_ns)
                events = [started]
            case d.Stopped(((_, exit_),)) if self.is_straight and exit_ is SHUTDOWN:
                asked = core.stopped_plainly()
            case _:
                self.left_it += self.is_straight
                self.is_straight = False
                return core.handle(given, self.now_s, 0.5, wall_ns)
        self.is_straight = asked is not None
        return (*map(d.Report, events), *((asked,) if asked is not None else ()))

    def settle(self, commands: tuple[d.Command, ...], outcomes: list[str]) -> None:
        """Answers what has to be answered: as `outcomes` says, then well."""
        while commands:
            last = commands[-1]
            self.over = self.over or any(isinstance(c, d.GiveUp | d.FailStart) for c in commands)
            outcome = "well"
            if outcomes and isinstance(last, d.StartChild | d.StopChildren):
                outcome = outcomes.pop(0)
            self.now_s += 0.25 if outcome == "late" else 0.0
            match last:
                case d.StartChild() | d.StopChildren() if outcome == "end":
                    self.over = True
                    answer: d.Given = d.Stop()
                case d.StartChild(child) if outcome == "ill":
                    answer = d.NotStarted(child.id, OSError("no route"))
                case d.StartChild(child) if outcome == "ignored":
                    answer = d.Ignored(child.id)
                case d.StartChild(child):
                    self.incarnation += 1
                    answer = d.Started(child.id, f"ref of {child.id}", self.incarnation)
                case d.StopChildren(stops):
                    exit_ = {"ill": BOOM, "ignored": NORMAL}.get(outcome, SHUTDOWN)
                    answer = d.Stopped(tuple((stop.child_id, exit_) for stop in stops))
                case d.AwaitTurn(_, delay_s):
                    self.now_s += delay_s
                    answer = d.TurnCame()
                case _:
                    return
            commands = self.tell(answer)


# "end": the supervisor is told to stop meanwhile.
OUTCOMES = st.sampled_from(("well",) * 12 + ("late", "late", "ill", "ignored", "end"))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.sampled_from(EXITS),
        st.sampled_from((0.0, 0.1, 1.0, 3.0, 7.0)),  # what passes before it
        st.lists(OUTCOMES, max_size=6),  # how the next stops and starts go
        st.booleans(),  # whether the notice is of the incarnation that runs
    ),
    min_size=1,
    max_size=30,
)
FLAGS = (
    flags(max_restarts=0),
    flags(max_restarts=2, max_seconds=5.0),
    flags(max_restarts=1000, max_seconds=5.0),
    pausing(max_restarts=3, max_seconds=5.0),
    flags(Strategy.ONE_FOR_ALL, max_restarts=5),
    flags(Strategy.REST_FOR_ONE, max_restarts=5),
)


def live_through(pair: Pair, steps: list[Any]) -> None:
    for child_id, exit_, passes_s, outcomes, current in steps:
        if pair.over:
            break
        pair.now_s += passes_s
        child = pair.straight.children.get(child_id)
        incarnation = (child.incarnation if child is not None else None) or 1
        commands = pair.tell(d.Ended(child_id, incarnation if current else incarnation - 1, exit_))
        pair.settle(commands, list(outcomes))
    event("some ends went straight" if pair.went_straight else "none did")
    event("a straight road was left" if pair.left_it else "none was left")


@settings(max_examples=250, deadline=None)
@given(supervisor_flags=st.sampled_from(FLAGS), steps=STEPS, dynamic=st.booleans())
def test_both_roads_say_the_same_and_remember_the_same(
    supervisor_flags: Any, steps: list[Any], dynamic: bool
) -> None:
    if dynamic and supervisor_flags.strategy is Strategy.ONE_FOR_ONE:
        pair = Pair(supervisor_flags, max_children=20)
        for one in SPECS:
            pair.settle(pair.tell(d.AddChild(one)), [])
    else:
        pair = Pair(supervisor_flags)
        pair.settle(pair.tell(d.Boot()), [])
    live_through(pair, steps)


@settings(max_examples=250, deadline=None)
@given(
    strategy=st.sampled_from((Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE)),
    max_restarts=st.sampled_from((3, 1000)),
    steps=st.lists(
        st.tuples(
            st.sampled_from(("a", "b", "f", 9, "k")),
            st.sampled_from((BOOM, BOOM, KILLED, crashed(CAUSED), NORMAL)),
            st.sampled_from((0.0, 0.1, 3.0, 7.0)),
            st.lists(OUTCOMES, max_size=12),
            st.just(True),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_both_roads_say_and_remember_the_same_of_groups(
    strategy: Strategy, max_restarts: int, steps: list[Any]
) -> None:
    pair = Pair(flags(strategy, max_restarts=max_restarts), PLAIN)
    pair.settle(pair.tell(d.Boot()), [])
    live_through(pair, steps)


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_plain_restart_of_a_group_is_straight_to_its_end(strategy: Strategy) -> None:
    pair = Pair(flags(strategy, max_restarts=5), PLAIN)
    pair.settle(pair.tell(d.Boot()), [])
    incarnation = pair.straight.children["b"].incarnation
    assert incarnation is not None
    pair.settle(pair.tell(d.Ended("b", incarnation, BOOM)), [])
    assert (pair.went_straight, pair.left_it) == (1, 0)
    restarted = [child.spec.id for child in pair.straight.children.values() if (child.incarnation or 0) > 5]
    assert restarted == (["a"] if strategy is Strategy.ONE_FOR_ALL else []) + ["b", "f", 9, "k"]


@pytest.mark.parametrize("exit_", [BOOM, KILLED, crashed(CAUSED), NORMAL])
def test_a_plain_restart_takes_the_straight_road(exit_: Exit, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AllstopError("this is the general road")

    rig = Rig(flags(), spec("a"))
    monkeypatch.setattr(rig.core, "_ended", refuse)
    rig.end("a", exit_)
    assert rig.alive == {"a": 2}
    assert [type(said) for said in rig.events[-3:-1]] == [ChildTerminated, RestartScheduled]


def test_new_flags_and_specs_close_and_open_the_straight_road() -> None:
    rig = Rig(flags(), spec("a"), spec("b"))
    rig.tell(d.Reconfigure(flags(Strategy.ONE_FOR_ALL), ()))
    rig.end("a", BOOM)
    assert rig.alive == {"a": 2, "b": 2}
    rig.tell(d.Reconfigure(flags(), (spec("a", backoff=Backoff(1.0, 1.0)),)))
    rig.end("a", BOOM)
    assert rig.alive == {"b": 2}
    rig.tell(d.Reconfigure(flags(max_restarts=9), (spec("a"),)))
    rig.advance(1.0)
    rig.end("a", BOOM)
    assert rig.alive == {"a": 4, "b": 2}
