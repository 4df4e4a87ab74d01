# pyright: reportUnknownLambdaType=false
"""gen_statem as an actor: what its events, callers, timers and ends see. The transitions are tested in the core."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from typing import Any, ClassVar

import pytest
from tests.runtime.puppet import Witness

from allstop.actors.errors import ReplyError
from allstop.actors.exits import NORMAL, SHUTDOWN, ExitKind, shutdown
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    BadReturnValue,
    CallTimeout,
    Continue,
    Down,
    EventTimeout,
    Ignore,
    Keep,
    NamedTimeout,
    Next,
    NextEvent,
    Postpone,
    Repeat,
    ReplyTo,
    StartError,
    StateMachine,
    StateTimeout,
    Stop,
    TooManyEvents,
    UndefinedState,
    UnknownMessage,
    inspection,
)

pytestmark = pytest.mark.virtual


class Puppet(StateMachine):
    """A message that is a function is called with the machine, and its result is the handler's."""

    initial_state: ClassVar[Any] = "shut"
    postponed_capacity: ClassVar[int] = 3

    def __init__(self, witness: Witness, on_start: Any = None, entering: Any = None) -> None:
        self.witness = witness
        self.start = on_start
        self.entering = entering

    def on_start(self) -> Any:
        return self.start(self) if self.start is not None else None

    def on_enter(self, old: Any, new: Any) -> Any:
        self.witness.hooks.append(f"{old} -> {new}")
        return self.entering(self) if self.entering is not None else None

    def act(self, event: Any) -> Any:
        self.witness.handled.append((self.state, getattr(event, "__name__", event)))
        return event(self) if callable(event) else Keep(ReplyTo(self.caller, event))

    def in_shut(self, event: Any) -> Any:
        return self.act(event)

    def in_open(self, event: Any) -> Any:
        return self.act(event)

    def on_stop(self, exit_: Any) -> None:
        self.witness.exits.append(exit_)


class AsyncPuppet(Puppet):
    """The same with handlers that are suspended before they act."""

    async def on_enter(self, old: Any, new: Any) -> Any:
        await asyncio.sleep(0.001)
        return super().on_enter(old, new)

    async def in_shut(self, event: Any) -> Any:
        await asyncio.sleep(0.001)
        return self.act(event)

    async def in_open(self, event: Any) -> Any:
        await asyncio.sleep(0.001)
        result = self.act(event)
        return await result if asyncio.iscoroutine(result) else result


BOTH = pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])


def says(result: Any, name: str = "go") -> Any:
    """A message whose handler returns `result`; with a function, what that gives for the machine."""

    def go(machine: Any) -> Any:
        return result(machine) if callable(result) else result

    go.__name__ = name
    return go


@pytest.fixture
async def system(witness: Witness) -> AsyncIterator[ActorSystem]:
    async with ActorSystem(on_event=witness.events.append) as system:
        yield system


@BOTH
async def test_an_event_goes_to_the_method_of_its_state(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    ref.tell(1)
    ref.tell(says(Next("open")))
    ref.tell(2)
    assert await ref.call(3) == 3
    assert witness.handled == [("shut", 1), ("shut", "go"), ("open", 2), ("open", 3)]


@pytest.mark.req("207")
@BOTH
async def test_postponed_events_are_retried_after_a_change_and_before_the_mailbox(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    postpone = says(lambda m: Keep(Postpone()) if m.state == "shut" else Keep(), "p1")
    second = says(lambda m: Keep(Postpone()) if m.state == "shut" else Keep(), "p2")
    for message in (postpone, second, says(Next("open")), "later"):
        ref.tell(message)
    await asyncio.sleep(0.1)
    assert [event for state, event in witness.handled if state == "open"] == ["p1", "p2", "later"]


@pytest.mark.req("207")
@BOTH
async def test_a_postponed_call_is_answered_by_the_state_that_can(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    question = says(
        lambda m: Keep(Postpone()) if m.state == "shut" else Keep(ReplyTo(m.caller, ("open", m.called))),
    )
    waiting = asyncio.ensure_future(ref.call(question))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    ref.tell(says(Next("open")))
    assert await waiting == ("open", True)


@BOTH
async def test_a_caller_is_answered_by_a_later_event(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    kept: list[Any] = []
    waiting = asyncio.ensure_future(ref.call(says(lambda m: kept.append(m.caller) or Keep())))
    await asyncio.sleep(0.1)
    ref.tell(says(lambda _: Keep(ReplyTo(kept[0], "late"))))
    assert await waiting == "late"


async def test_a_reply_can_be_a_refusal(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    with pytest.raises(ReplyError, match="not now"):
        await ref.call(says(lambda m: Keep(ReplyTo(m.caller, error=ReplyError("not now")))))
    assert ref.is_alive()


@BOTH
async def test_a_reply_error_refuses_a_call_and_the_machine_stays_as_it_is(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    def refuse(_machine: Any) -> Any:
        raise ReplyError("not now")

    ref = await system.spawn(kind, witness)
    with pytest.raises(ReplyError, match="not now"):
        await ref.call(refuse)
    assert await ref.call("still here") == "still here"
    ref.tell(refuse)
    await asyncio.sleep(0.1)
    assert [type(crash.error) for crash in witness.crashes] == [ReplyError]


@BOTH
@pytest.mark.parametrize("postponed", [False, True])
async def test_the_caller_of_a_handler_that_raises_gets_the_error_and_the_machine_crashes(
    system: ActorSystem, witness: Witness, kind: Any, postponed: bool
) -> None:
    def fail(machine: Any) -> Any:
        if postponed and machine.state == "shut":
            return Keep(Postpone())
        raise ValueError("broken")

    ref = await system.spawn(kind, witness)
    waiting = asyncio.ensure_future(ref.call(fail))
    await asyncio.sleep(0.1)
    ref.tell(says(Next("open")))
    with pytest.raises(ValueError, match="broken") as caught:
        await waiting
    await asyncio.sleep(0.1)
    assert not ref.is_alive()
    assert [crash.error for crash in witness.crashes] == [caught.value]
    assert caught.value.__notes__ == [f"in state {'open' if postponed else 'shut'!r}, on a function"]


# -- timeouts
@pytest.mark.req("208")
@BOTH
async def test_a_state_timeout_comes_in_its_state_and_not_after_a_change(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    ref.tell(says(Keep(StateTimeout(5, "shut too long"))))
    await asyncio.sleep(4)
    ref.tell("an event does not cancel it")
    await asyncio.sleep(2)
    assert witness.handled[-1] == ("shut", "shut too long")
    ref.tell(says(Keep(StateTimeout(5, "stale"), NamedTimeout("n", 6, "named"))))
    ref.tell(says(Next("open")))
    await asyncio.sleep(60)
    assert [event for _, event in witness.handled][-2:] == ["go", "named"]


@pytest.mark.req("208")
@BOTH
async def test_any_event_cancels_an_event_timeout(system: ActorSystem, witness: Witness, kind: Any) -> None:
    ref = await system.spawn(kind, witness)
    ref.tell(says(Keep(EventTimeout(5, "idle"))))
    await asyncio.sleep(4)
    ref.tell(says(Keep(EventTimeout(5, "idle again"))))
    await asyncio.sleep(60)
    assert [event for _, event in witness.handled] == ["go", "go", "idle again"]


@pytest.mark.req("209")
async def test_the_same_timeout_again_replaces_and_none_cancels(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(says(Keep(NamedTimeout("n", 1, "first"), NamedTimeout("m", 9, "other"))))
    ref.tell(says(Keep(NamedTimeout("n", 5, "second"))))
    await asyncio.sleep(6)
    assert [event for _, event in witness.handled] == ["go", "go", "second"]
    ref.tell(says(Keep(NamedTimeout("m", None))))
    await asyncio.sleep(60)
    assert witness.handled[-1] == ("shut", "go")


@pytest.mark.req("209")
async def test_a_timeout_that_is_cancelled_while_its_message_waits_is_not_handled(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)

    async def slow(_machine: Any) -> Any:
        ref.tell(says(Keep(NamedTimeout("n", None)), "cancel"))
        await asyncio.sleep(5)
        return Keep()

    ref.tell(says(Next("open", NamedTimeout("n", 1, "stale"))))
    ref.tell(slow)
    await asyncio.sleep(60)
    assert [event for _, event in witness.handled] == ["go", "slow", "cancel"]


@pytest.mark.req("210", "211")
@BOTH
async def test_inserted_events_come_first_then_zero_timeouts_then_the_mailbox(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    ref.tell(says(Keep(StateTimeout(0, "zero"), NextEvent("n1"), NextEvent("n2"))))
    ref.tell("mailbox")
    await asyncio.sleep(0.1)
    assert [event for _, event in witness.handled] == ["go", "n1", "n2", "zero", "mailbox"]


@pytest.mark.req("211")
async def test_a_down_does_not_overtake_inserted_events(system: ActorSystem, witness: Witness) -> None:
    other = await system.spawn(Actor)
    ref = await system.spawn(Puppet, witness)

    def go(machine: Any) -> Any:
        machine.monitor(other)
        system.kill(other)
        return Keep(NextEvent("n1"), NextEvent("n2"), StateTimeout(0, "zero"))

    ref.tell(go)
    ref.tell("mailbox")
    await asyncio.sleep(0.1)
    events = [event for _, event in witness.handled]
    assert events[:3] == ["go", "n1", "n2"]
    assert isinstance(events[3], Down)
    assert events[4:] == ["zero", "mailbox"]


# -- entering
@pytest.mark.req("212")
@BOTH
async def test_on_enter_runs_for_the_first_state_each_change_and_each_repetition(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    for result in (Next("open"), Next("open"), Keep(), Repeat(), Next("shut")):
        ref.tell(says(result))
    await asyncio.sleep(0.1)
    assert witness.hooks == ["shut -> shut", "shut -> open", "open -> open", "open -> shut"]


@pytest.mark.req("212")
@BOTH
async def test_the_first_state_is_entered_before_any_event(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    address = system.address("/machine")

    async def start(_machine: Any) -> Continue:
        address.tell("early")
        await asyncio.sleep(1)
        return Continue()

    class Continued(kind):
        def on_continue(self, argument: Any) -> None:
            witness.hooks.append("continued")

        def act(self, event: Any) -> Any:
            witness.hooks.append(event)
            return super().act(event)

    await system.spawn(Continued, witness, start, path="/machine")
    await asyncio.sleep(0.1)
    assert witness.hooks == ["shut -> shut", "continued", "early"]


@pytest.mark.req("212")
@BOTH
async def test_on_enter_may_set_timeouts(system: ActorSystem, witness: Witness, kind: Any) -> None:
    await system.spawn(kind, witness, None, lambda m: Keep(StateTimeout(2, f"{m.state} too long")))
    await asyncio.sleep(3)
    assert witness.handled == [("shut", "shut too long")]


@pytest.mark.req("212")
@BOTH
@pytest.mark.parametrize("wrong", [Next("open"), Keep(Postpone()), Keep(NextEvent(1)), "x"])
async def test_an_on_enter_that_does_more_is_a_crash(
    system: ActorSystem, witness: Witness, kind: Any, wrong: Any
) -> None:
    ref = await system.spawn(kind, witness, None, lambda m: wrong if m.state == "open" else None)
    ref.tell(says(Next("open")))
    await asyncio.sleep(0.1)
    assert isinstance(witness.crashes[0].error, BadReturnValue)
    assert "on_enter of 'open'" in str(witness.crashes[0].error)
    assert not ref.is_alive()


# -- starting
@BOTH
async def test_on_start_may_choose_the_first_state_and_its_actions(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(
        kind, witness, lambda _: Next("open", NextEvent("recovered"), StateTimeout(5, "t"))
    )
    await asyncio.sleep(9)
    assert witness.hooks == ["open -> open"]
    assert witness.handled == [("open", "recovered"), ("open", "t")]
    assert ref.cell.actor.state == "open"


async def test_on_start_may_say_ignore(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness, lambda _: Ignore())
    assert not ref.is_alive()


@pytest.mark.parametrize(
    ("first", "error"), [(Next("nowhere"), UndefinedState), (Next("open", Postpone()), BadReturnValue)]
)
async def test_a_wrong_first_state_is_a_failed_start(
    system: ActorSystem, witness: Witness, first: Any, error: Any
) -> None:
    with pytest.raises(StartError) as caught:
        await system.spawn(Puppet, witness, lambda _: first)
    assert isinstance(caught.value.cause, error)


async def test_a_machine_without_a_first_state_does_not_start(system: ActorSystem) -> None:
    class Aimless(StateMachine):
        pass

    with pytest.raises(StartError, match="has no initial_state"):
        await system.spawn(Aimless)


async def test_a_restart_begins_in_the_initial_state(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness, path="/machine")
    ref.tell(says(Next("open", NamedTimeout("n", 5, "of the old one"))))
    await asyncio.sleep(0.1)
    system.kill(ref)
    await system.spawn(Puppet, witness, path="/machine")
    await asyncio.sleep(60)
    assert ref.cell.actor.state == "shut"
    assert witness.handled == [("shut", "go")]


# -- states
async def test_states_can_be_an_enum_and_a_missing_method_is_found_when_the_class_is_made(
    system: ActorSystem,
) -> None:
    class Lamp(Enum):
        ON = 1
        OFF = 2

    class Switch(StateMachine):
        states: ClassVar[Any] = Lamp
        initial_state: ClassVar[Any] = Lamp.OFF

        def in_off(self, event: Any) -> Any:
            return Next(Lamp.ON, ReplyTo(self.caller, event))

        def in_on(self, event: Any) -> Any:
            return Next(Lamp.OFF, ReplyTo(self.caller, event))

    ref = await system.spawn(Switch)
    assert await ref.call("press") == "press"
    status = system.get_status(ref)
    assert status is not None
    assert status.shown == {"state": Lamp.ON, "postponed": 0, "queued": 0}
    with pytest.raises(TypeError, match=r"Broken has no method in_on for Lamp\.ON"):
        type("Broken", (StateMachine,), {"states": Lamp, "in_off": Switch.in_off})


async def test_with_on_event_a_state_is_any_value_and_status_shows_only_its_type(system: ActorSystem) -> None:
    class Counter(StateMachine):
        initial_state: ClassVar[Any] = ("count", 0)

        def on_event(self, state: Any, event: Any) -> Any:
            return Next(("count", state[1] + event), ReplyTo(self.caller, state[1] + event))

    ref = await system.spawn(Counter)
    await ref.call(2)
    assert await ref.call(3) == 5
    status = system.get_status(ref)
    assert status is not None
    assert status.shown["state"] == "tuple"


async def test_a_state_without_a_method_is_a_crash_that_names_it(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness, path="/door")
    ref.tell(says(Next("ajar")))
    ref.tell(says(Next(7)))
    await asyncio.sleep(0.1)
    assert str(witness.crashes[0].error) == "/door: Puppet has no method in_ajar for 'ajar'"
    ref = await system.spawn(Puppet, witness, path="/door")
    ref.tell(says(Next(7)))
    await asyncio.sleep(0.1)
    assert "7 is neither a string nor a member of an Enum" in str(witness.crashes[1].error)


@pytest.mark.req("220")
async def test_get_state_gives_state_and_data_and_replace_state_sets_them(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    state, data = await inspection.get_state(ref)
    assert (state, set(data)) == ("shut", {"witness", "start", "entering"})
    await inspection.replace_state(ref, lambda both: ("open", {**both[1], "more": 1}))
    assert (await inspection.get_state(ref))[1]["more"] == 1
    assert await ref.call("x") == "x"
    assert witness.handled == [("open", "x")]
    for wrong in (("ajar", {}), ("shut", {"_core": None}), None):
        with pytest.raises(inspection.StateUnchanged):
            await inspection.replace_state(ref, lambda _, wrong=wrong: wrong)
    assert (await inspection.get_state(ref))[0] == "open"


@pytest.mark.req("219")
async def test_a_suspended_machine_handles_nothing_not_even_what_it_inserted(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    await inspection.suspend(ref)
    ref.tell(says(Keep(NextEvent("inserted"))))
    await asyncio.sleep(5)
    assert witness.handled == []
    await inspection.resume(ref)
    await asyncio.sleep(0.1)
    assert [event for _, event in witness.handled] == ["go", "inserted"]


# -- wrong returns and unknown events
@pytest.mark.req("197")
@BOTH
async def test_a_bad_return_value_is_a_crash_that_the_caller_sees(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness, path="/door")
    with pytest.raises(BadReturnValue, match="/door in state 'shut' returned None"):
        await ref.call(says(None))
    await asyncio.sleep(0.1)
    assert not ref.is_alive()


async def test_unknown_events_are_dropped_when_told_and_a_crash_when_called(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(says(lambda m: m.on_unhandled("what?")))
    await asyncio.sleep(0.1)
    assert [letter.message for letter in system.dead_letters.recent()] == ["what?"]
    with pytest.raises(UnknownMessage):
        await ref.call(says(lambda m: m.on_unhandled("what?")))
    assert not ref.is_alive()


async def test_a_machine_has_postpone_and_event_timeouts_instead_of_the_actors_own(
    system: ActorSystem, witness: Witness
) -> None:
    with pytest.raises(TypeError, match=r"it has Postpone\(\)"):
        type("Stashing", (StateMachine,), {"stash_capacity": 3})
    ref = await system.spawn(Puppet, witness)
    with pytest.raises(RuntimeError, match=r"it has EventTimeout\(5, event\)"):
        await ref.call(says(lambda m: m.set_receive_timeout(5)))


# -- bounds
@BOTH
async def test_one_postponed_event_too_many_is_refused_to_a_caller_and_a_crash_when_told(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness, path="/door")
    for number in range(3):
        ref.tell(says(Keep(Postpone()), f"p{number}"))
    with pytest.raises(TooManyEvents, match="/door in state 'shut' holds 3 postponed events"):
        await ref.call(says(Keep(Postpone())))
    assert ref.is_alive()
    ref.tell(says(Keep(Postpone())))
    await asyncio.sleep(0.1)
    assert isinstance(witness.crashes[0].error, TooManyEvents)
    assert len(system.dead_letters.recent()) == 3


# -- ending
@pytest.mark.req("213")
@BOTH
async def test_stop_and_reply_answers_and_then_ends(system: ActorSystem, witness: Witness, kind: Any) -> None:
    ref = await system.spawn(kind, witness)
    ends: list[str] = []
    kept: list[Any] = []
    first = asyncio.ensure_future(ref.call(says(lambda m: kept.append(m.caller) or Keep())))
    first.add_done_callback(lambda _: ends.append("first answered"))
    await asyncio.sleep(0.1)
    exit_ = shutdown("done")
    answer = await ref.call(
        says(lambda m: Stop(exit_, ReplyTo(kept[0], 1), ReplyTo(m.caller, 2), ReplyTo(None, 3)))
    )
    assert (await first, answer) == (1, 2)
    await asyncio.sleep(0.1)
    assert witness.exits == [exit_]
    assert ref.last_exit == exit_


@pytest.mark.req("213")
async def test_after_stop_no_further_event_is_handled(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(says(Keep(NextEvent("inserted"), NextEvent(says(Stop(), "stop")), NextEvent("never"))))
    ref.tell("nor this")
    await asyncio.sleep(0.1)
    assert [event for _, event in witness.handled] == ["go", "inserted", "stop"]
    assert [letter.message for letter in system.dead_letters.recent()] == ["nor this", "never"]
    assert ref.last_exit == NORMAL


@BOTH
@pytest.mark.parametrize("end", ["stop", "kill", "crash"])
async def test_at_the_end_postponed_tells_are_dead_letters_and_calls_get_actor_dead(
    system: ActorSystem, witness: Witness, kind: Any, end: str
) -> None:
    def fail(_machine: Any) -> Any:
        raise ValueError("broken")

    ref = await system.spawn(kind, witness)
    told = says(Keep(Postpone()))
    ref.tell(told)
    waiting = asyncio.ensure_future(ref.call(says(Keep(Postpone()))))
    await asyncio.sleep(0.1)
    if end == "stop":
        await system.stop(ref)
    elif end == "kill":
        system.kill(ref)
    else:
        ref.tell(fail)
    with pytest.raises(ActorDead):
        await waiting
    assert [letter.message for letter in system.dead_letters.recent()] == [told]


async def test_a_stop_is_served_between_inserted_events(system: ActorSystem) -> None:
    class Spinning(StateMachine):
        initial_state: ClassVar[Any] = "spinning"

        def in_spinning(self, event: Any) -> Any:
            return Keep(NextEvent(event))

    ref = await system.spawn(Spinning)
    ref.tell("round")
    await asyncio.sleep(0)
    await system.stop(ref)
    assert ref.last_exit == SHUTDOWN


async def test_a_suspended_handler_is_interrupted_by_a_stop_and_its_caller_told(
    system: ActorSystem, witness: Witness
) -> None:
    async def forever(_machine: Any) -> Any:
        await asyncio.sleep(3600)

    ref = await system.spawn(AsyncPuppet, witness, lambda _: Next("open"))
    waiting = asyncio.ensure_future(ref.call(forever, timeout_s=9000))
    await asyncio.sleep(0.1)
    await system.stop(ref)
    with pytest.raises(ActorDead):
        await waiting
    assert witness.exits == [SHUTDOWN]


async def test_a_call_that_nobody_answers_times_out_and_the_machine_goes_on(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    with pytest.raises(CallTimeout):
        await ref.call(says(Keep()), timeout_s=1)
    assert await ref.call("next") == "next"


async def test_ask_from_a_thread_is_answered(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    assert await asyncio.to_thread(ref.ask, "question", timeout=5) == "question"


async def test_a_machine_can_end_abnormally(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(says(lambda _: 1 / 0))
    await asyncio.sleep(0.1)
    assert ref.last_exit is not None
    assert ref.last_exit.kind is ExitKind.CRASHED


@pytest.mark.parametrize("data", [["x"], {1: 2}, None, {"_core": 1}])
async def test_a_state_that_is_refused_leaves_the_machine_as_it_was(system: ActorSystem, data: Any) -> None:
    class Counting(StateMachine):
        initial_state: ClassVar[str] = "on"

        def __init__(self) -> None:
            self.count = 0

        def in_on(self, event: Any) -> Keep:
            self.count += 1
            return Keep(ReplyTo(self.caller, self.count))

    ref = await system.spawn(Counting)
    assert await ref.call("one") == 1
    with pytest.raises(inspection.StateUnchanged, match="TypeError"):
        await inspection.replace_state(ref, lambda state: (state[0], data))
    assert await ref.call("two") == 2
