"""What OTP's sys does: looking at running actors, and holding them, without their help."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest
from tests.runtime.keepers import AsyncKeeper, Keeper, doing, every_kind
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness, fails, sleeps

from allstop.actors.exits import NORMAL, SHUTDOWN, ExitKind
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    CallingSelf,
    CallTimeout,
    InspectionTimeout,
    Mailbox,
    MailboxFull,
    Overflow,
    Ref,
    StateUnchanged,
    ThreadActor,
    inspection,
)
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors import Supervisor
from allstop.supervisors.supervisor import which_children

pytestmark = pytest.mark.virtual


async def until(true: Callable[[], bool]) -> None:
    """Bounded: threads take real time, and virtual time stands still meanwhile."""
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


# -- state -------------------------------------------------------------------------------------------------------------
@pytest.mark.req("220")
@every_kind
async def test_get_state_gives_the_attributes_of_any_actor_without_the_runtimes_own(
    system: ActorSystem, kind: type[Actor]
) -> None:
    ref = await system.spawn(kind, path="/keeper")
    await ref.call("one")
    assert await inspection.get_state(ref) == {"key": "hunter2", "count": 1}


@pytest.mark.req("220")
@every_kind
async def test_replace_state_sets_what_the_function_gives_back(
    system: ActorSystem, kind: type[Actor]
) -> None:
    ref = await system.spawn(kind)
    given = await inspection.replace_state(ref, lambda state: {**state, "count": 41})
    assert given == {"key": "hunter2", "count": 41}
    assert await ref.call("one more") == 42


@pytest.mark.req("220")
@every_kind
async def test_if_the_replacing_function_raises_the_state_is_unchanged_and_the_asker_is_told(
    system: ActorSystem, kind: type[Actor]
) -> None:
    ref = await system.spawn(kind, path="/keeper")

    def broken(state: Any) -> Any:
        state["count"] = 99
        raise SystemExit("not today")

    with pytest.raises(
        StateUnchanged, match=r"the state of /keeper is unchanged: SystemExit: not today"
    ) as told:
        await inspection.replace_state(ref, broken)
    assert isinstance(told.value.__cause__, SystemExit)
    assert await ref.call("one") == 1  # alive, and as it was


@pytest.mark.parametrize("wrong", [None, 7, {3: "three"}, {"_cell": None}])
async def test_what_is_no_state_does_not_replace_one(system: ActorSystem, wrong: Any) -> None:
    ref = await system.spawn(Keeper)
    with pytest.raises(StateUnchanged):
        await inspection.replace_state(ref, lambda _state: wrong)
    assert await inspection.get_state(ref) == {"key": "hunter2", "count": 0}


async def test_an_attribute_that_the_new_state_lacks_is_gone(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    await inspection.replace_state(ref, lambda state: {"count": state["count"]})
    assert await inspection.get_state(ref) == {"count": 0}


async def test_an_actor_may_have_its_own_idea_of_its_state(system: ActorSystem) -> None:
    class Machine(Keeper):
        def system_get_state(self) -> Any:
            return ("counting", self.count)

        def system_replace_state(self, function: Callable[[Any], Any]) -> Any:
            name, self.count = function(self.system_get_state())
            return (name, self.count)

    ref = await system.spawn(Machine)
    assert await inspection.get_state(ref) == ("counting", 0)
    assert await inspection.replace_state(ref, lambda state: (state[0], 7)) == ("counting", 7)
    assert await inspection.get_state(ref) == ("counting", 7)


@pytest.mark.req("220")
async def test_supervisors_are_inspected_like_every_actor(system: ActorSystem) -> None:
    top = await system.spawn(Supervisor, SupervisorFlags(), [ChildSpec("keeper", Start(Keeper))], path="/top")
    state = await inspection.get_state(top)
    assert "_core" in state
    status = await inspection.get_status(top)
    assert [child.id for child in status.shown["children"]] == ["keeper"]
    assert status.children == ("/top/keeper",)
    assert await inspection.replace_state(top, lambda same: same) == state
    await inspection.suspend(top)
    await inspection.resume(top)
    assert len(await which_children(top)) == 1


@pytest.mark.req("222")
@every_kind
async def test_a_question_goes_before_the_waiting_messages(system: ActorSystem, kind: type[Actor]) -> None:
    ref = await system.spawn(kind)
    may_go_on = threading.Event()
    if issubclass(kind, ThreadActor):  # it would be through before we ask: its first message holds it
        ref.tell(doing(lambda _: may_go_on.wait(5) and None))
    for _ in range(500):
        ref.tell("message")
    asked = asyncio.ensure_future(inspection.get_state(ref))
    await asyncio.sleep(0)
    may_go_on.set()
    assert (await asked)["count"] < 500
    assert await ref.call("last") == 501


@pytest.mark.req("222")
async def test_a_state_is_read_between_two_messages_while_the_status_of_a_wedged_actor_is_there_at_once(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness, path="/wedged")
    ref.tell(sleeps(3600))
    ref.tell("waits")
    await asyncio.sleep(1)
    began_s = system.clock.now_s()
    status = await inspection.get_status(ref)
    assert (status.handling, status.suspended, status.mailbox_len, status.waiting) == (
        True,
        False,
        1,
        ("str",),
    )
    assert system.clock.now_s() == began_s
    with pytest.raises(
        InspectionTimeout, match=r"/wedged did not come .* within 2 s: a handler of it is suspended"
    ):
        await inspection.get_state(ref, timeout_s=2)
    assert system.clock.now_s() == pytest.approx(began_s + 2)


async def test_a_replacement_that_timed_out_does_not_happen_later(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    ref.tell(sleeps(10))
    await asyncio.sleep(1)
    with pytest.raises(InspectionTimeout):
        await inspection.replace_state(ref, lambda state: {**state, "changed": True}, timeout_s=2)
    await asyncio.sleep(20)
    assert "changed" not in await inspection.get_state(ref)


async def test_a_handler_that_is_suspended_is_waited_for_and_not_interrupted(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    answer = asyncio.create_task(ref.call(sleeps(2, "whole")))
    await asyncio.sleep(1)
    await inspection.get_state(ref)
    assert system.clock.now_s() == pytest.approx(2)
    assert await answer == "whole"


# -- errors ------------------------------------------------------------------------------------------------------------
ALL: list[Callable[[Ref], Awaitable[Any]]] = [
    inspection.get_state,
    lambda ref: inspection.replace_state(ref, lambda state: state),
    inspection.get_status,
    inspection.suspend,
    inspection.resume,
    lambda ref: inspection.trace(ref, print),
    lambda ref: inspection.trace(ref, None),
    inspection.statistics,
    inspection.log,
    lambda ref: inspection.install(ref, print),
    lambda ref: inspection.remove(ref, print),
]


@pytest.mark.parametrize("function", ALL)
async def test_where_nothing_runs_every_function_says_so(
    system: ActorSystem, function: Callable[[Ref], Awaitable[Any]]
) -> None:
    with pytest.raises(ActorDead, match="/nobody is not running"):
        await function(system.address("/nobody"))


@pytest.mark.parametrize("function", ALL)
async def test_of_a_fenced_incarnation_every_function_says_so_though_another_runs(
    system: ActorSystem, function: Callable[[Ref], Awaitable[Any]]
) -> None:
    ref = await system.spawn(Keeper, path="/keeper")
    first = ref.pinned()
    system.kill(ref)
    await system.spawn(Keeper, path="/keeper")
    with pytest.raises(ActorDead, match="incarnation 1 of /keeper is not running"):
        await function(first)


@every_kind
async def test_a_question_to_an_actor_that_ends_first_is_answered_with_its_end(
    system: ActorSystem, kind: type[Actor]
) -> None:
    ref = await system.spawn(kind)
    await inspection.suspend(ref)
    await inspection.resume(ref)
    question = asyncio.create_task(inspection.suspend(ref))
    system.kill(ref)
    with pytest.raises(ActorDead, match="killed"):
        await question


async def test_a_question_that_waits_when_the_actor_crashes_is_answered_with_its_end(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)

    async def later(_puppet: Any) -> None:
        await asyncio.sleep(1)
        raise KeyError("gone")

    ref.tell(later)
    await asyncio.sleep(0.5)
    with pytest.raises(ActorDead, match="KeyError"):
        await inspection.get_state(ref)


async def test_an_actor_that_would_wait_for_itself_is_refused(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncKeeper)
    with pytest.raises(CallingSelf):
        await ref.call(doing(lambda keeper: inspection.get_state(keeper.ref)))


async def test_only_so_many_questions_may_wait_for_one_actor(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    ref.tell(sleeps(10))
    await asyncio.sleep(1)
    waiting = [asyncio.create_task(inspection.get_state(ref)) for _ in range(inspection.QUESTIONS_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(InspectionTimeout, match="100 questions wait"):
        await inspection.get_state(ref)
    for question in waiting:
        question.cancel()


# -- suspended ---------------------------------------------------------------------------------------------------------
@pytest.mark.req("219")
@every_kind
async def test_a_suspended_actor_handles_no_message_until_it_is_resumed(
    system: ActorSystem, kind: type[Actor]
) -> None:
    ref = await system.spawn(kind)
    await inspection.suspend(ref)
    ref.tell("first")
    ref.tell("second")
    answer = asyncio.create_task(ref.call("third"))
    await asyncio.sleep(3)
    status = await inspection.get_status(ref)
    assert (status.suspended, status.handling, status.mailbox_len) == (True, False, 3)
    assert (await inspection.get_state(ref))["count"] == 0
    await inspection.resume(ref)
    assert await answer == 3
    assert not (await inspection.get_status(ref)).suspended


@pytest.mark.req("219", "220")
@every_kind
async def test_a_suspended_actor_answers_system_messages(system: ActorSystem, kind: type[Actor]) -> None:
    ref = await system.spawn(kind)
    await inspection.suspend(ref)
    await inspection.suspend(ref)  # as in OTP: once more changes nothing
    await inspection.replace_state(ref, lambda state: {**state, "count": 10})
    await inspection.resume(ref)
    await inspection.resume(ref)
    assert await ref.call("next") == 11


@pytest.mark.req("219")
@pytest.mark.parametrize("kind", [Keeper, AsyncKeeper])
async def test_the_order_of_messages_survives_a_suspension(system: ActorSystem, kind: type[Actor]) -> None:
    seen: list[int] = []
    ref = await system.spawn(kind)

    def note(number: int) -> Callable[[Any], None]:
        return lambda _keeper: seen.append(number)

    for number in range(5):
        ref.tell(note(number))
    suspending = asyncio.create_task(inspection.suspend(ref))
    for number in range(5, 10):
        ref.tell(note(number))
    await suspending
    for number in range(10, 100):
        ref.tell(note(number))
    await inspection.resume(ref)
    ref.tell(note(100))
    await ref.call("done")
    assert seen == list(range(101))


@pytest.mark.req("219")
@every_kind
async def test_the_bound_of_a_mailbox_holds_while_its_actor_is_suspended(
    system: ActorSystem, kind: type[Actor]
) -> None:
    class Small(kind):
        mailbox: ClassVar[Mailbox] = Mailbox(capacity=3, overflow=Overflow.REFUSE)

    ref = await system.spawn(Small)
    await inspection.suspend(ref)
    for _ in range(3):
        ref.tell("fits")
    with pytest.raises(MailboxFull):
        ref.tell("one too many")
    await inspection.resume(ref)
    await until(lambda: not ref.cell.queue)
    assert await ref.call("last") == 4


@pytest.mark.req("219")
@pytest.mark.parametrize("puppet", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_a_suspended_actor_stops_in_order_and_its_mail_becomes_dead_letters(
    system: ActorSystem, witness: Witness, puppet: type[Actor]
) -> None:
    ref = await system.spawn(puppet, witness)
    await inspection.suspend(ref)
    ref.tell("never handled")
    assert await system.stop(ref, NORMAL) == NORMAL
    assert witness.exits == [NORMAL]
    assert witness.handled == []
    assert [letter.message for letter in system.dead_letters.recent()] == ["never handled"]


@pytest.mark.parametrize("puppet", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_a_suspended_actor_can_be_killed(
    system: ActorSystem, witness: Witness, puppet: type[Actor]
) -> None:
    ref = await system.spawn(puppet, witness)
    await inspection.suspend(ref)
    call = asyncio.create_task(ref.call("never"))
    await asyncio.sleep(0)
    system.kill(ref)
    with pytest.raises(ActorDead):
        await call
    assert witness.handled == []
    await until(lambda: system.leaked == [])


async def test_the_failure_of_its_own_task_ends_a_suspended_actor(
    system: ActorSystem, witness: Witness
) -> None:
    async def pump() -> None:
        await asyncio.sleep(5)
        raise ConnectionError("lost")

    ref = await system.spawn(Puppet, witness)
    await ref.call(doing(lambda puppet: puppet.start_task(pump(), "pump") and None))
    await inspection.suspend(ref)
    await asyncio.sleep(6)
    assert not ref.is_alive()
    assert [type(report.error) for report in witness.crashes] == [ConnectionError]


@pytest.mark.req("219")
@pytest.mark.parametrize("puppet", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_a_down_waits_for_the_end_of_a_suspension_and_a_stop_does_not_wait_for_the_down(
    system: ActorSystem, witness: Witness, puppet: type[Actor]
) -> None:
    others = [await system.spawn(Keeper)]
    for resumed in (True, False):
        witness.handled.clear()
        ref = await system.spawn(puppet, witness)
        await ref.call(doing(lambda puppet: puppet.monitor(others[-1]) and None))
        witness.handled.clear()
        await inspection.suspend(ref)
        system.kill(others[-1])
        await asyncio.sleep(1)
        assert witness.handled == []
        if resumed:
            await inspection.resume(ref)
            await until(lambda: len(witness.handled) == 1)
            assert witness.handled[0].exit.kind is ExitKind.KILLED
            others.append(await system.spawn(Keeper))
        await system.stop(ref)
    assert witness.handled == []


@pytest.mark.req("219")
async def test_the_supervisor_of_a_suspended_child_notices_nothing_and_stops_it_as_always(
    system: ActorSystem,
) -> None:
    top = await system.spawn(Supervisor, SupervisorFlags(), [ChildSpec("keeper", Start(Keeper))], path="/top")
    child = system.address("/top/keeper")
    await inspection.suspend(child)
    await asyncio.sleep(100)
    assert [info.incarnation for info in await which_children(top)] == [1]
    began_s = system.clock.now_s()
    await system.stop(top)
    assert child.last_exit == SHUTDOWN
    assert system.clock.now_s() == began_s


@pytest.mark.req("219")
async def test_a_suspended_supervisor_restarts_its_children_when_it_is_resumed(system: ActorSystem) -> None:
    top = await system.spawn(Supervisor, SupervisorFlags(), [ChildSpec("keeper", Start(Keeper))], path="/top")
    child = system.address("/top/keeper")
    await inspection.suspend(top)
    child.tell(fails(KeyError("crash")))
    await asyncio.sleep(10)
    assert not child.is_alive()
    await inspection.resume(top)
    await asyncio.sleep(1)
    assert child.is_alive()
    assert child.incarnation == 2


async def test_a_call_to_a_suspended_actor_times_out_and_nothing_of_it_is_left(system: ActorSystem) -> None:
    ref = await system.spawn(Keeper)
    await inspection.suspend(ref)
    with pytest.raises(CallTimeout):
        await ref.call("too early", timeout_s=1)
    await inspection.resume(ref)
    assert await ref.call("now") == 2  # the first was handled, too: its caller had only stopped waiting


async def test_suspensions_and_resumes_that_race_end_in_the_order_they_were_asked(
    system: ActorSystem,
) -> None:
    for kind in (Keeper, AsyncKeeper):
        ref = await system.spawn(kind)
        for _ in range(3):
            ref.tell("busy")
        asked = [
            inspection.suspend(ref),
            inspection.get_state(ref),
            inspection.resume(ref),
            inspection.suspend(ref),
        ]
        await asyncio.gather(*asked)
        assert (await inspection.get_status(ref)).suspended
        await inspection.resume(ref)
        assert await ref.call("last") == 4
        assert ref.cell.detour is None or ref.cell.task is not None


@pytest.mark.req("219")
@every_kind
async def test_a_suspension_is_no_hung_handler(
    system: ActorSystem, witness: Witness, kind: type[Actor]
) -> None:
    class Impatient(kind):
        max_handler_s: ClassVar[float | None] = 1.0

    ref = await system.spawn(Impatient)
    await inspection.suspend(ref)
    await asyncio.sleep(100)
    assert ref.incarnation == 1
    await inspection.resume(ref)
    assert await ref.call("one") == 1
    assert witness.events == []


@pytest.mark.req("219")
async def test_with_many_busy_actors_a_suspended_one_is_stopped_before_its_messages(
    system: ActorSystem,
) -> None:
    others = [await system.spawn(Puppet, Witness()) for _ in range(100)]
    own = Witness()
    ref = await system.spawn(Puppet, own)
    await inspection.suspend(ref)
    ref.tell("waits")
    for other in others:
        other.tell("busy")
    assert await system.stop(ref) == SHUTDOWN
    assert own.exits == [SHUTDOWN]
    assert own.handled == []
    assert [letter.message for letter in system.dead_letters.recent()] == ["waits"]


@pytest.mark.req("219")
@pytest.mark.parametrize("puppet", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_a_stop_that_comes_right_behind_a_suspension_is_not_held_by_it(
    system: ActorSystem, witness: Witness, puppet: type[Actor]
) -> None:
    ref = await system.spawn(puppet, witness)
    ref.tell("first")
    suspending = asyncio.create_task(inspection.suspend(ref))
    stopping = asyncio.create_task(system.stop(ref))
    await asyncio.gather(suspending, stopping, return_exceptions=True)
    assert stopping.result() == SHUTDOWN
    assert witness.exits == [SHUTDOWN]
