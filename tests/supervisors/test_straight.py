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
from allstop.actors.spec import Backoff, ChildBudget, OnChildExceeded, Restart, RestartGate, Strategy
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


class GeneralRoad(SupervisorCore):
    """A core that knows no other way."""

    def _straight(self, given: d.Ended, now_s: float, at_ns: int) -> None:
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
    """The same told to both; each answer is compared at once."""

    def __init__(self, supervisor_flags: Any, *, max_children: int | None = None) -> None:
        specs = (
            () if max_children else tuple(one for one in SPECS if not check_budget(supervisor_flags, (one,)))
        )
        made = {"max_children": max_children}
        self.straight = SupervisorCore("/top", supervisor_flags, specs, lasting=lasting(), **made)
        self.general = GeneralRoad("/top", supervisor_flags, specs, lasting=lasting(), **made)
        self.now_s = 1000.0
        self.incarnation = 0
        self.went_straight = 0
        self.over = False

    def tell(self, given: d.Given) -> tuple[d.Command, ...]:
        wall_ns = int(self.now_s * 1e9)
        if isinstance(given, d.Ended):
            self.went_straight += may_go(self.straight, given)
        one = self.straight.handle(given, self.now_s, 0.5, wall_ns)
        other = self.general.handle(given, self.now_s, 0.5, wall_ns)
        assert said(one) == said(other)
        assert state_of(self.straight) == state_of(self.general)
        return one

    def settle(self, commands: tuple[d.Command, ...], outcomes: list[bool]) -> None:
        """Answers what has to be answered: starts fail where `outcomes` says so, then they succeed."""
        while commands:
            last = commands[-1]
            self.over = self.over or any(isinstance(c, d.GiveUp | d.FailStart) for c in commands)
            match last:
                case d.StartChild(child):
                    if outcomes and not outcomes.pop(0):
                        answer: d.Given = d.NotStarted(child.id, OSError("no route"))
                    else:
                        self.incarnation += 1
                        answer = d.Started(child.id, f"ref of {child.id}", self.incarnation)
                case d.StopChildren(stops):
                    answer = d.Stopped(tuple((stop.child_id, SHUTDOWN) for stop in stops))
                case d.AwaitTurn(_, delay_s):
                    self.now_s += delay_s
                    answer = d.TurnCame()
                case _:
                    return
            commands = self.tell(answer)


def may_go(core: SupervisorCore, given: d.Ended) -> bool:
    child = core.children.get(given.child_id)
    return child is not None and child.straight and core._alone


STEPS = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.sampled_from(EXITS),
        st.sampled_from((0.0, 0.1, 1.0, 3.0, 7.0)),  # what passes before it
        st.lists(st.booleans(), max_size=2),  # how the next starts go
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


@settings(max_examples=300, deadline=None)
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
    for child_id, exit_, passes_s, outcomes, current in steps:
        if pair.over:
            break
        pair.now_s += passes_s
        child = pair.straight.children.get(child_id)
        incarnation = (child.incarnation if child is not None else None) or 1
        commands = pair.tell(d.Ended(child_id, incarnation if current else incarnation - 1, exit_))
        pair.settle(commands, list(outcomes))
    event("some ends could go straight" if pair.went_straight else "none could")


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
