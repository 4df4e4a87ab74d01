"""The core against a model of OTP's supervisor, written apart from it, under random endings, requests and starts.

The model is supervisor.erl in a hundred lines, with the deviations of docs/decisions/0003: an attempt is counted when
the one before it failed, and a further failure joins a group that waits. It knows no delays.
"""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import event, given, note, settings
from hypothesis import strategies as st
from tests.supervisors.rig import BOOM, IGNORE, Rig, flags, spec

from allstop.actors.errors import ReplyError
from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN
from allstop.actors.spec import Restart, Strategy
from allstop.supervisors import decisions as d

IDS = ("a", "b", "c", "d", "e")
EXITS = {"normal": NORMAL, "shutdown": SHUTDOWN, "killed": KILLED, "boom": BOOM}
ERROR = ValueError("no")


@dataclass
class Kid:
    id: Hashable
    restart: Restart
    is_: str = "down"


@dataclass
class Model:
    strategy: Strategy
    budget: int
    period: float
    script: dict[Hashable, list[Any]]
    now: float = 0.0
    kids: list[Kid] = field(default_factory=list[Kid])
    restarts: list[float] = field(default_factory=list[float])
    dead: bool = False

    def find(self, child_id: Hashable) -> Kid | None:
        return next((kid for kid in self.kids if kid.id == child_id), None)

    def start(self, kid: Kid) -> bool:
        outcome = self.script[kid.id].pop(0) if self.script[kid.id] else None
        kid.is_ = "running" if outcome is None else "down"
        if outcome == IGNORE and kid.restart is Restart.TEMPORARY:
            self.kids.remove(kid)
        return outcome is not ERROR

    def boot(self) -> None:
        for kid in list(self.kids):
            if not self.start(kid):
                self.die()
                return

    def die(self) -> None:
        self.dead = True
        self.stop(list(self.kids))

    def stop(self, kids: list[Kid]) -> None:
        for kid in kids:
            was = kid.is_
            kid.is_ = "down"
            if kid.restart is Restart.TEMPORARY and was == "running":
                self.kids.remove(kid)

    def died(self, child_id: Hashable, clean: bool) -> None:
        kid = self.find(child_id)
        assert kid is not None
        kid.is_ = "down"
        if kid.restart is Restart.TEMPORARY:
            self.kids.remove(kid)
        elif kid.restart is Restart.PERMANENT or not clean:
            if self.over_budget():
                self.die()
            else:
                self.again(self.leader(kid))

    def leader(self, kid: Kid) -> Kid:
        if self.strategy is Strategy.REST_FOR_ONE:
            return next((k for k in self.kids[: self.kids.index(kid)] if k.is_ == "restarting"), kid)
        return kid

    def over_budget(self) -> bool:
        self.restarts = [at for at in [*self.restarts, self.now] if self.now - at <= self.period]
        return len(self.restarts) > self.budget

    def again(self, kid: Kid) -> None:
        where = self.kids.index(kid)
        group = {
            Strategy.ONE_FOR_ONE: [kid],
            Strategy.ONE_FOR_ALL: list(self.kids),
            Strategy.REST_FOR_ONE: self.kids[where:],
        }[self.strategy]
        self.stop(group)
        for member in [m for m in group if m in self.kids and m.restart is not Restart.TEMPORARY]:
            if not self.start(member):
                if self.over_budget():
                    self.die()
                else:
                    self.wait(member)
                return

    def wait(self, member: Kid) -> None:
        """In a group only one waits: its next attempt starts the rest of them."""
        member.is_ = "restarting"

    def retry(self, child_id: Hashable) -> None:
        kid = self.find(child_id)
        if kid is not None and kid.is_ == "restarting":
            self.again(kid)

    def request(self, what: str, child_id: Hashable, restart: Restart) -> str:
        kid = self.find(child_id)
        match what, kid:
            case "add", None:
                kid = Kid(child_id, restart)
                self.kids.append(kid)
                if self.start(kid):
                    return "ok"
                self.kids.remove(kid)
                return "StartFailure"
            case "add", Kid(is_="running"):
                return "AlreadyStarted"
            case "add", Kid():
                return "AlreadyPresent"
            case _, None:
                return "NotFound"
            case "terminate", Kid():
                was_temporary = kid.restart is Restart.TEMPORARY
                kid.is_ = "down"
                if was_temporary:
                    self.kids.remove(kid)
                return "ok"
            case _, Kid(is_="running"):
                return "Running"
            case _, Kid(is_="restarting"):
                return "Restarting"
            case "restart", Kid():
                return "ok" if self.start(kid) else "StartFailure"
            case _:
                self.kids.remove(kid)
                return "ok"


def request(what: str, child_id: Hashable, restart: Restart) -> d.Given:
    match what:
        case "add":
            return d.AddChild(spec(child_id, restart=restart))
        case "terminate":
            return d.TerminateChild(child_id)
        case "restart":
            return d.RestartChild(child_id)
        case _:
            return d.DeleteChild(child_id)


REQUESTS = ("add", "delete", "restart", "terminate")
deaths = st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["killed", "boom"]))
steps = st.one_of(
    deaths,
    deaths,
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(sorted(EXITS))),
    st.tuples(st.sampled_from(REQUESTS), st.sampled_from(IDS), st.sampled_from(list(Restart))),
    st.tuples(st.just("settle"), st.none(), st.none()),
    st.tuples(st.just("time"), st.sampled_from([0.5, 1.0, 5.0, 5.5]), st.none()),
)
# The first start of most children succeeds: a tree that does not start shows nothing else.
outcomes = st.dictionaries(
    st.sampled_from(IDS),
    st.lists(st.sampled_from([None, ERROR, IGNORE]), max_size=8).map(lambda later: [None, *later]),
    max_size=5,
)


@settings(max_examples=400, deadline=None)
@given(
    strategy=st.sampled_from(list(Strategy)),
    budget=st.integers(0, 4),
    restarts=st.lists(st.sampled_from([*Restart, Restart.PERMANENT]), min_size=2, max_size=5),
    script=outcomes,
    todo=st.lists(steps, min_size=8, max_size=40),
)
def test_the_core_does_what_the_model_does(
    strategy: Strategy,
    budget: int,
    restarts: list[Restart],
    script: dict[Hashable, list[Any]],
    todo: list[tuple[str, Any, Any]],
) -> None:
    kinds = dict(zip(IDS, restarts, strict=False))
    model = Model(strategy, budget, 5.0, defaultdict(list, {k: list(v) for k, v in script.items()}))
    model.kids = [Kid(child_id, restart) for child_id, restart in kinds.items()]
    rig = Rig(flags(strategy, budget), *(spec(i, restart=r) for i, r in kinds.items()), boot=False)
    rig.outcomes = {k: list(v) for k, v in script.items()}
    rig.now_s = 0.0
    model.boot()
    rig.tell(d.Boot())
    for what, first, second in todo:
        agree(model, rig)
        if model.dead:
            event("the supervisor gave up")
            return
        note(f"{what} {first} {second}")
        match what:
            case "end" if rig.up:
                child_id = rig.up[first % len(rig.up)]
                rig.end(child_id, EXITS[second])
                model.died(child_id, EXITS[second].clean)
            case "end":
                pass
            case "time":
                settle(model, rig)
                rig.now_s += first
                model.now += first
            case "settle":
                settle(model, rig)
            case _:
                try:
                    rig.ask(request(what, first, second))
                    answer = "ok"
                except ReplyError as error:
                    answer = type(error).__name__
                assert answer == model.request(what, first, second)
    agree(model, rig)


def settle(model: Model, rig: Rig) -> None:
    """All retries that wait, one after the other, in the order in which they were scheduled."""
    while rig.timers and not model.dead:
        ticket = min(rig.timers)
        _, due = rig.timers.pop(ticket)
        assert isinstance(due, d.RestartDue)
        rig.tell(due)
        model.retry(due.child_id)
        agree(model, rig)


def agree(model: Model, rig: Rig) -> None:
    assert model.dead == (rig.exit is not None or rig.start_error is not None)
    if model.dead:
        assert rig.up == []
        return
    assert [(child.id, child.state.value) for child in rig.core.which_children()] == [
        (kid.id, kid.is_) for kid in model.kids
    ]
    assert rig.up == sorted((kid.id for kid in model.kids if kid.is_ == "running"), key=str)
    assert set(rig.timers) == {c.ticket for c in rig.core.children.values() if c.ticket is not None}
    assert rig.core.window.left(rig.now_s) >= 0
