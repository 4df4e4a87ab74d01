# pyright: reportUnknownLambdaType=false
"""The cases of gen_server_SUITE that make sense for an actor, under their names.

handle_event_timeout* are in test_stash.py, continue and the rest of start* and stop* in test_life.py, *format_status and
the reports of crash in test_crash_reports.py, get_state and replace_state in test_inspection.py.
"""

import asyncio
import time
from typing import Any, ClassVar

import pytest
import structlog
from tests.runtime.puppet import AsyncPuppet, Puppet, Witness, fails, sleeps

from allstop.actors.exits import KILLED, SHUTDOWN, ExitKind, shutdown
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    AlreadyStarted,
    CallingSelf,
    Down,
    Mailbox,
    StartError,
    StartTimeout,
    UnknownMessage,
)

pytestmark = pytest.mark.virtual
BOTH = pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])


# -- start
@pytest.mark.req("186")
async def test_start_gives_an_actor_whose_init_is_done(system: ActorSystem, witness: Witness) -> None:
    async def slow() -> None:
        await asyncio.sleep(3)
        witness.hooks.append("initialised")

    began_s = system.clock.now_s()
    ref = await system.spawn(Puppet, witness, lambda _: slow(), path="/server")
    assert witness.hooks == ["on_start", "initialised"]
    assert system.clock.now_s() - began_s == pytest.approx(3, abs=0.1)
    assert await ref.call("hello") == "hello"


@pytest.mark.req("186")
@pytest.mark.parametrize("late", [False, True])
async def test_start_gives_the_error_of_init_and_the_address_is_free(
    system: ActorSystem, witness: Witness, late: bool
) -> None:
    error = ValueError("no")

    async def fail_late() -> None:
        await asyncio.sleep(1)
        raise error

    with pytest.raises(StartError) as caught:
        await system.spawn(Puppet, witness, (lambda _: fail_late()) if late else fails(error), path="/server")
    assert caught.value.cause is error
    assert (await system.spawn(Puppet, path="/server")).is_alive()


@pytest.mark.req("188")
async def test_start_timeout_kills_what_does_not_come_up(system: ActorSystem, witness: Witness) -> None:
    began_s = system.clock.now_s()
    with pytest.raises(StartTimeout):
        await system.spawn(Puppet, witness, sleeps(3600), path="/server", start_timeout_s=0.5)
    assert system.clock.now_s() - began_s == pytest.approx(0.5, abs=0.1)
    address = system.address("/server")
    assert not address.is_alive()
    assert address.last_exit is not None
    assert address.last_exit.kind is ExitKind.KILLED
    assert "on_stop" not in witness.hooks


# -- stop
@pytest.mark.req("201")
@BOTH
async def test_stop1_ends_with_the_reason_that_was_given(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    reason = shutdown("enough")
    assert await system.stop(ref, reason) == reason
    assert witness.exits == [reason]


@pytest.mark.req("201")
async def test_stop2_by_name_and_noproc_afterwards(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet, path="/server")
    system.register("server", ref)
    named = system.whereis("server")
    assert named is not None
    await system.stop(named)
    assert system.whereis("server") is None
    assert (await system.stop(system.address("/nobody"))).kind is ExitKind.NOPROC


@pytest.mark.req("201")
@pytest.mark.parametrize("wrong", ["soon", -1, None, float("nan"), True])
async def test_stop3_an_invalid_timeout_leaves_the_server_alive(system: ActorSystem, wrong: Any) -> None:
    ref = await system.spawn(Puppet)
    with pytest.raises(ValueError, match="not a time to stop in"):
        await system.stop(ref, timeout_s=wrong)
    await asyncio.sleep(0.1)
    assert await ref.call("alive") == "alive"


@pytest.mark.req("196")
@BOTH
async def test_a_stop_with_a_reply_answers_even_if_on_stop_raises(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    class Failing(kind):
        def on_stop(self, exit_: Any) -> Any:
            raise ValueError("in on_stop")

    def answer_and_end(puppet: Any) -> str:
        puppet.exit()
        return "the answer"

    ref = await system.spawn(Failing, witness)
    assert await ref.call(answer_and_end) == "the answer"
    await asyncio.sleep(0.1)
    assert ref.last_exit is not None
    assert str(ref.last_exit.error) == "in on_stop"


# -- crash and call
@pytest.mark.req("192")
@BOTH
async def test_crash_tells_every_waiting_caller_why_at_once(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    error = ValueError("broken")

    async def crash_later() -> None:
        await asyncio.sleep(2)
        raise error

    ref.tell(lambda _: crash_later())
    began_s = system.clock.now_s()
    waiting = [asyncio.ensure_future(ref.call(number, timeout_s=3600)) for number in range(3)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert system.clock.now_s() - began_s == pytest.approx(2, abs=0.1)
    for answer in answers:
        assert isinstance(answer, ActorDead)
        assert answer.exit is not None
        assert answer.exit.error is error


@pytest.mark.req("192")
@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_a_caller_hears_at_once_of_an_end_from_outside_while_it_is_being_answered(
    system: ActorSystem, witness: Witness, end: str
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    being_answered = asyncio.ensure_future(ref.call(sleeps(3600), timeout_s=7200))
    behind = asyncio.ensure_future(ref.call("next", timeout_s=7200))
    await asyncio.sleep(1)
    began_s = system.clock.now_s()
    if end == "kill":
        system.kill(ref)
    else:
        await system.stop(ref)
    for answer in await asyncio.gather(being_answered, behind, return_exceptions=True):
        assert isinstance(answer, ActorDead)
        assert answer.exit == (KILLED if end == "kill" else SHUTDOWN)
    assert system.clock.now_s() - began_s < 0.1


@pytest.mark.req("191")
async def test_call_to_nobody_fails_at_once(system: ActorSystem) -> None:
    dead = await system.spawn(Puppet, path="/dead")
    await system.stop(dead)
    began_s = system.clock.now_s()
    for ref in (system.address("/unknown"), dead):
        with pytest.raises(ActorDead, match=ref.path):
            await ref.call("hello")
        with pytest.raises(ActorDead, match=ref.path):
            await asyncio.to_thread(ref.ask, "hello")
    assert system.clock.now_s() == pytest.approx(began_s, abs=0.001)


@pytest.mark.req("195")
@BOTH
async def test_call_may_be_answered_by_a_later_handler(system: ActorSystem, kind: Any) -> None:
    ref = await system.spawn(kind)
    kept: list[Any] = []
    waiting = [
        asyncio.ensure_future(ref.call(lambda puppet: kept.append(puppet.defer()) or "ignored"))
        for _ in range(2)
    ]
    await asyncio.sleep(1)
    assert await ref.call("meanwhile") == "meanwhile"
    assert not any(call.done() for call in waiting)
    ref.tell(lambda _: [reply.set(number) for number, reply in enumerate(kept)])
    assert await asyncio.gather(*waiting) == [0, 1]


@pytest.mark.req("193")
@BOTH
async def test_calling_self(system: ActorSystem, witness: Witness, kind: Any) -> None:
    ref = await system.spawn(kind, witness)

    async def call_self(puppet: Any) -> None:
        await puppet.ref.call("me", timeout_s=3600)

    began_s = system.clock.now_s()
    with pytest.raises(CallingSelf):
        await ref.call(call_self)
    assert system.clock.now_s() == pytest.approx(began_s, abs=0.1)


# -- cast
@pytest.mark.req("194")
async def test_cast_never_fails_even_to_nobody(system: ActorSystem) -> None:
    dead = await system.spawn(Puppet, path="/dead")
    await system.stop(dead)
    for ref in (system.address("/unknown"), dead):
        ref.tell("from the loop")
        await asyncio.to_thread(ref.tell, "from a thread")
    letters = [(letter.recipient, letter.message) for letter in system.dead_letters.recent()]
    assert letters == [
        (path, f"from {where}") for path in ("/unknown", "/dead") for where in ("the loop", "a thread")
    ]


# -- undef_*
class Silent(Actor):
    """Has no on_receive."""


class Selective(Actor):
    async def on_receive(self, message: Any) -> Any:
        match message:
            case "known":
                return "yes"
            case _:
                return self.on_unhandled(message)


@pytest.mark.req("204")
@pytest.mark.parametrize("kind", [Silent, Selective])
async def test_undef_handle_info_is_logged_and_dropped(system: ActorSystem, kind: Any) -> None:
    ref = await system.spawn(kind, path="/server")
    with structlog.testing.capture_logs() as logs:
        ref.tell("what?")
        ref.cell.actor.send_after(1, 42)
        await asyncio.sleep(2)
    assert ref.is_alive()
    assert [(entry["event"], entry["actor"], entry["kind"]) for entry in logs] == [
        ("message.unhandled", "/server", "str"),
        ("message.unhandled", "/server", "int"),
    ]
    assert [(letter.message, letter.cause) for letter in system.dead_letters.recent()] == [
        ("what?", "unhandled"),
        (42, "unhandled"),
    ]


@pytest.mark.req("204")
@pytest.mark.parametrize("kind", [Silent, Selective])
async def test_undef_handle_call_crashes_the_server_and_tells_the_caller(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, path="/server")
    with pytest.raises(UnknownMessage, match="/server does not know 'what\\?'"):
        await ref.call("what?")
    await asyncio.sleep(0.1)
    assert not ref.is_alive()
    assert isinstance(witness.crashes[0].error, UnknownMessage)


@pytest.mark.req("204")
async def test_on_unhandled_can_be_given_another_meaning(system: ActorSystem) -> None:
    class Lenient(Silent):
        def on_unhandled(self, message: Any) -> Any:
            return f"what is {message}?"

    ref = await system.spawn(Lenient)
    assert await ref.call("that") == "what is that?"


async def test_undef_init_continue_and_terminate_are_nothing_to_worry_about(system: ActorSystem) -> None:
    ref = await system.spawn(Silent)
    assert (await system.stop(ref)).clean


# -- names
async def test_otp_7669_an_address_is_free_when_the_end_of_its_holder_is_told(
    system: ActorSystem, witness: Witness
) -> None:
    started: list[Any] = []

    class Watching(Puppet):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, Down):
                started.append(await system.spawn(Puppet, witness, path="/server"))
                return None
            return message(self)

    async def slowly() -> None:
        await asyncio.sleep(2)

    class Slow(Puppet):
        def on_stop(self, exit_: Any) -> Any:
            return slowly()

    watching = await system.spawn(Watching)
    server = await system.spawn(Slow, witness, path="/server")
    await watching.call(lambda puppet: puppet.monitor(server) and None)
    stopping = asyncio.ensure_future(system.stop(server))
    await asyncio.sleep(1)
    with pytest.raises(AlreadyStarted):  # it is just dying, and still there
        await system.spawn(Puppet, path="/server")
    await stopping
    await asyncio.sleep(0.1)
    assert started == [server]
    assert (server.is_alive(), server.incarnation) == (True, 2)


# -- a caller's backlog
@pytest.mark.req("206")
async def test_call_with_huge_message_queue(system: ActorSystem) -> None:
    calls, backlog = 300, 100_000

    class Caller(AsyncPuppet):
        mailbox: ClassVar[Mailbox] = Mailbox(backlog)

        async def on_receive(self, message: Any) -> Any:
            return await message(self) if callable(message) else None  # pyright: ignore[reportGeneralTypeIssues]

    server = await system.spawn(AsyncPuppet)  # answers through a future, as a busy server does
    caller = await system.spawn(Caller)

    async def time_calls(_puppet: object) -> float:
        began_s = time.perf_counter()
        for number in range(calls):
            assert await server.call(number) == number
        return time.perf_counter() - began_s

    filled = asyncio.Event()

    async def time_calls_with_a_backlog(puppet: Any) -> tuple[int, float]:
        await filled.wait()
        return len(puppet.ref.cell.queue), await time_calls(puppet)

    quickest_s = min([await caller.call(time_calls) for _ in range(3)])
    slow_s: list[float] = []
    for _ in range(3):
        timing = asyncio.ensure_future(caller.call(time_calls_with_a_backlog, timeout_s=3600))
        await asyncio.sleep(0)
        for number in range(backlog - 1):
            caller.tell(number)
        filled.set()
        waiting, taken_s = await timing
        assert waiting == backlog - 1
        slow_s.append(taken_s)
        filled.clear()
        await system.stop(caller)
        caller = await system.spawn(Caller)
    assert min(slow_s) < 5 * quickest_s + 0.05
