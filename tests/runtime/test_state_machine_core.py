# pyright: reportUnknownLambdaType=false
"""gen_statem's transitions, decided without an actor: tables, and random histories against a small model."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from allstop.actors.exits import NORMAL
from allstop.actors.runtime import (
    BadReturnValue,
    EventTimeout,
    Keep,
    NamedTimeout,
    Next,
    NextEvent,
    Postpone,
    Repeat,
    ReplyTo,
    StateTimeout,
    Stop,
    TooManyEvents,
)
from allstop.actors.runtime.behaviours.state_machine_core import (
    CancelTimer,
    End,
    Enter,
    Kind,
    MachineCore,
    Named,
    StartTimer,
    Taken,
)
from allstop.actors.spec import INFINITY


def machine(*events: Any, state: str = "a", postponed_max: int = 10) -> MachineCore:
    core = MachineCore(state, postponed_max)
    for event in events:
        core.receive(Taken(event))
    return core


def step(core: MachineCore, result: Any) -> Any:
    """Takes an event, answers it with `result`, and gives the event."""
    event, _ = core.take()
    core.apply(result)
    return event.event


def rest(core: MachineCore) -> list[Any]:
    """What would be taken from here on, if nothing more happened."""
    taken: list[Any] = []
    while core.waiting:
        taken.append(step(core, Keep()))
    return taken


@pytest.mark.req("207")
def test_a_state_change_retries_postponed_events_oldest_first_and_before_what_waits() -> None:
    core = machine("p1", "p2", "go", "later")
    step(core, Keep(Postpone()))
    step(core, Keep(Postpone()))
    step(core, Next("b"))
    assert rest(core) == ["p1", "p2", "later"]


@pytest.mark.req("207")
@pytest.mark.parametrize("result", [Keep(), Next("a"), Repeat()])
def test_without_a_state_change_postponed_events_stay(result: Any) -> None:
    core = machine("p1", "go", "later")
    step(core, Keep(Postpone()))
    step(core, result)
    assert rest(core) == ["later"]
    assert [event.event for event in core.postponed] == ["p1"]


@pytest.mark.req("207")
def test_an_event_that_is_postponed_as_the_state_changes_is_the_last_that_is_retried() -> None:
    core = machine("p1", "go", "later")
    step(core, Keep(Postpone()))
    step(core, Next("b", Postpone()))
    assert rest(core) == ["p1", "go", "later"]


@pytest.mark.req("211")
def test_inserted_events_come_first_in_their_order_also_before_retried_ones() -> None:
    core = machine("p1", "go", "later")
    step(core, Keep(Postpone()))
    step(core, Next("b", NextEvent("n1"), NextEvent("n2")))
    assert rest(core) == ["n1", "n2", "p1", "later"]


@pytest.mark.req("210")
def test_a_zero_timeout_comes_after_queued_events_and_before_new_ones() -> None:
    core = machine("go", "queued")
    step(core, Keep(StateTimeout(0, "zero"), NextEvent("inserted"), NamedTimeout("n", 0, "named")))
    assert rest(core) == ["inserted", "queued", "zero", "named"]


@pytest.mark.req("208", "210")
def test_a_state_change_cancels_a_zero_state_timeout_that_has_not_come_yet() -> None:
    core = machine("go", "change")
    step(core, Keep(StateTimeout(0, "stale"), NamedTimeout("n", 0, "named")))
    step(core, Next("b"))
    assert rest(core) == ["named"]


@pytest.mark.req("208")
def test_what_cancels_which_timeout() -> None:
    core = machine("go", "event", "change")
    core.take()
    assert core.apply(Keep(StateTimeout(1, "s"), EventTimeout(2, "e"), NamedTimeout("n", 3, "n"))) == [
        StartTimer(Kind.STATE, 1),
        StartTimer(Kind.EVENT, 2),
        StartTimer(Named("n"), 3),
    ]
    _, commands = core.take()
    assert commands == [CancelTimer(Kind.EVENT)]
    assert core.apply(Keep()) == []
    _, commands = core.take()
    assert commands == []
    assert core.apply(Next("b")) == [CancelTimer(Kind.STATE), Enter("a", "b")]
    assert list(core.running) == [Named("n")]


@pytest.mark.req("208")
def test_an_event_that_waits_already_cancels_a_zero_event_timeout() -> None:
    core = machine("go", "queued")
    step(core, Keep(EventTimeout(0, "idle")))
    assert rest(core) == ["queued"]


@pytest.mark.req("208")
def test_a_state_timeout_that_is_set_with_the_change_belongs_to_the_new_state() -> None:
    core = machine("go")
    step(core, Keep(StateTimeout(1, "old")))
    core.receive(Taken("change"))
    core.take()
    assert core.apply(Next("b", StateTimeout(5, "new"))) == [
        CancelTimer(Kind.STATE),
        StartTimer(Kind.STATE, 5),
        Enter("a", "b"),
    ]


@pytest.mark.req("209")
@pytest.mark.parametrize(
    ("make", "key"),
    [
        (StateTimeout, Kind.STATE),
        (EventTimeout, Kind.EVENT),
        (lambda *args: NamedTimeout("n", *args), Named("n")),
    ],
)
@pytest.mark.parametrize("off", [None, INFINITY, float("inf")])
def test_a_timeout_replaces_the_running_one_of_its_key_and_infinity_cancels_it(
    make: Any, key: Any, off: Any
) -> None:
    core = machine("go")
    core.take()
    commands = core.apply(Keep(make(1, "first"), make(2, "second")))
    assert commands == [StartTimer(key, 1), CancelTimer(key), StartTimer(key, 2)]
    core.elapsed(key)
    assert core.take()[0].event == "second"
    core.apply(Keep(make(3, "third")))
    assert core.apply(Keep(make(off))) == [CancelTimer(key)]
    assert core.apply(Keep(make(0, "zero"), make(off))) == []
    assert not core.waiting


@pytest.mark.req("212")
def test_entering_may_set_timeouts_reply_and_stop_and_nothing_else() -> None:
    core = machine("go")
    core.begin()
    assert core.entered(None) == []
    assert core.entered(Keep(StateTimeout(1))) == [StartTimer(Kind.STATE, 1)]
    for wrong in (Next("b"), Repeat(), Keep(Postpone()), Keep(NextEvent("x")), "b"):
        with pytest.raises(BadReturnValue, match="on_enter of 'a'"):
            core.entered(wrong)
    assert core.entered(Stop()) == [End(NORMAL)]


@pytest.mark.req("212")
def test_the_first_state_is_entered_and_every_change_and_repetition_is() -> None:
    core = machine(1, 2, 3, 4)
    assert core.begin() == [Enter("a", "a")]
    for result, entered in (
        (Next("b"), [Enter("a", "b")]),
        (Next("b"), []),
        (Keep(), []),
        (Repeat(), [Enter("b", "b")]),
    ):
        core.take()
        assert core.apply(result) == entered


@pytest.mark.req("213")
def test_stop_gives_its_replies_before_the_end() -> None:
    core = machine("go")
    core.take()
    assert core.apply(Stop(NORMAL, ReplyTo("x", 1), ReplyTo("y", 2))) == [
        ReplyTo("x", 1),
        ReplyTo("y", 2),
        End(NORMAL),
    ]
    assert core.ended


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "b",
        Keep("b"),  # type: ignore[arg-type]
        Next("b", StateTimeout(-1)),
        Next("b", NamedTimeout("n", float("nan"))),
        Next("b", EventTimeout(True)),
        Next("b", EventTimeout("soon")),  # type: ignore[arg-type]
        Stop("now"),  # type: ignore[arg-type]
        Stop(NORMAL, Postpone()),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_result_is_named_and_changes_nothing(wrong: Any) -> None:
    core = machine("p", "go")
    step(core, Keep(Postpone()))
    core.take()
    with pytest.raises(BadReturnValue):
        core.apply(wrong)
    assert (core.state, len(core.postponed), core.waiting, core.ended) == ("a", 1, False, False)


def test_too_many_postponed_events_are_refused_but_a_change_of_state_makes_room() -> None:
    core = machine("p1", "p2", "p3", postponed_max=2)
    step(core, Keep(Postpone()))
    step(core, Keep(Postpone()))
    core.take()
    with pytest.raises(TooManyEvents, match="the machine in state 'a' holds 2 postponed events"):
        core.apply(Keep(Postpone()))
    core.apply(Next("b", Postpone()))
    assert rest(core) == ["p1", "p2", "p3"]


def test_a_machine_that_inserts_more_than_it_takes_is_ended() -> None:
    core = machine("go")

    def run_away() -> None:
        for _ in range(20_000):
            step(core, Keep(NextEvent(1), NextEvent(2)))

    with pytest.raises(TooManyEvents, match="inserted"):
        run_away()


def test_results_show_what_they_say() -> None:
    assert repr(Next("b", Postpone())) == "Next('b', Postpone())"
    assert repr(Keep()) == "Keep()"
    assert repr(Stop()).startswith("Stop(Exit(")


# -- random histories
KEYS = [Kind.STATE, Kind.EVENT, Named("x"), Named("y")]
NUMBERS = st.integers(0, 999)


def timeout(key: Any, delay_s: float | None, event: Any) -> Any:
    if isinstance(key, Named):
        return NamedTimeout(key.name, delay_s, event)
    return (StateTimeout if key is Kind.STATE else EventTimeout)(delay_s, event)


ACTIONS = st.lists(
    st.one_of(
        st.builds(Postpone),
        st.builds(NextEvent, NUMBERS),
        st.builds(timeout, st.sampled_from(KEYS), st.sampled_from([0, 1, 2.5, None]), NUMBERS),
    ),
    max_size=4,
)


class Histories(RuleBasedStateMachine):
    """The model keeps one list of everything that is to come, each with its rank, and sorts it when it needs to."""

    def __init__(self) -> None:
        super().__init__()
        self.core = MachineCore(0, 1_000)
        self.core.begin()
        self.timers: set[Any] = set()  # what a shell would have running
        self.state = 0
        self.coming: list[tuple[float, Any, Any]] = []  # rank, key of a zero timeout, event
        self.aside: list[Any] = []
        self.clocks: dict[Any, Any] = {}
        self.rank = 0.0

    def front(self, events: list[Any]) -> None:
        """Before everything that is queued."""
        first = min((rank for rank, key, _ in self.coming if key is None), default=0.0)
        self.coming += [(first - len(events) + place, None, event) for place, event in enumerate(events)]

    def back(self, key: Any, event: Any) -> None:
        self.rank += 1
        self.coming.append((self.rank + (1e6 if key is not None else 0), key, event))

    def cancel(self, key: Any) -> None:
        self.clocks.pop(key, None)
        self.coming = [entry for entry in self.coming if entry[1] != key or key is None]

    def obey(self, commands: list[Any]) -> None:
        for command in commands:
            if isinstance(command, StartTimer):
                assert command.key not in self.timers
                self.timers.add(command.key)
            elif isinstance(command, CancelTimer):
                self.timers.remove(command.key)

    @rule(event=NUMBERS)
    def received(self, event: int) -> None:
        self.core.receive(Taken(event))
        self.back(None, event)

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def a_timer_elapses(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.timers, key=str)))
        self.timers.remove(key)
        self.core.elapsed(key)
        self.back(None, self.clocks.pop(key))

    @precondition(lambda self: self.coming)
    @rule(state=st.none() | st.integers(0, 2), actions=ACTIONS)
    def handled(self, state: int | None, actions: list[Any]) -> None:
        taken, commands = self.core.take()
        self.obey(commands)
        expected = min(self.coming, key=lambda entry: entry[0])
        self.coming.remove(expected)
        self.cancel(Kind.EVENT)
        assert taken.event == expected[2]
        self.obey(self.core.apply(Keep(*actions) if state is None else Next(state, *actions)))
        if any(isinstance(action, Postpone) for action in actions):
            self.aside.append(taken.event)
        if state is not None and state != self.state:
            self.state = state
            self.cancel(Kind.STATE)
            self.front(self.aside)
            self.aside = []
        self.front([action.event for action in actions if isinstance(action, NextEvent)])
        for action in actions:
            if isinstance(action, Postpone | NextEvent):
                continue
            key = next(key for key in KEYS if timeout(key, action.delay_s, action.event) == action)
            self.cancel(key)
            if action.delay_s == 0:
                self.back(key, action.event)
            elif action.delay_s is not None:
                self.clocks[key] = action.event

    @invariant()
    def same(self) -> None:
        core = self.core
        assert core.state == self.state
        assert [event.event for event in core.postponed] == self.aside
        queued = [*core.queue, *core.zero.values()]
        assert [event.event for event in queued] == [
            event for _, _, event in sorted(self.coming, key=lambda e: e[0])
        ]
        assert self.timers == set(core.running) == set(self.clocks)


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
