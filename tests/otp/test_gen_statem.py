# pyright: reportUnknownLambdaType=false
"""gen_statem_SUITE, by the names of its cases, each in both callback modes (those that tests/runtime has not)."""

import asyncio
import gc
from typing import Any, ClassVar

import pytest
from tests.runtime.puppet import Puppet, Witness

from allstop.actors.errors import ReplyError
from allstop.actors.exits import NORMAL, SHUTDOWN, Exit, ExitKind, shutdown
from allstop.actors.runtime import (
    ActorDead,
    ActorSystem,
    AlreadyStarted,
    CallTimeout,
    EventTimeout,
    Ignore,
    Keep,
    NameTaken,
    Next,
    NextEvent,
    Postpone,
    Registry,
    ReplyTo,
    StartError,
    StartTimeout,
    StateMachine,
    Stop,
    inspection,
)
from allstop.actors.runtime.errors import BadReturnValue

pytestmark = pytest.mark.virtual


class Connection(StateMachine):
    """The suite's machine: idle, wait for a connection, connected. It counts what it was asked."""

    initial_state: ClassVar[Any] = "idle"

    def __init__(self, start: Any = None) -> None:
        self.start = start
        self.key = "hunter2"
        self.asked = 0

    def on_start(self) -> Any:
        if isinstance(self.start, Exception):
            raise self.start
        return asyncio.sleep(self.start) if isinstance(self.start, float) else self.start

    def format_status(self) -> Any:
        return {"state": self.state, "asked": self.asked}

    def step(self, event: Any) -> Any:
        self.asked += 1
        match (self.state, event):
            case (_, Stop() as stop):
                return Stop(stop.exit, ReplyTo(self.caller, "stopped"))
            case (_, "bad"):
                return "badreturn"
            case (state, "state"):
                return Keep(ReplyTo(self.caller, state))
            case ("idle", "connect"):
                return Next("wait_conn", ReplyTo(self.caller, "accept"))
            case ("wait_conn", "confirm"):
                return Next("connected", ReplyTo(self.caller, "yes"))
            case ("connected", "disconnect"):
                return Next("idle", ReplyTo(self.caller, "yes"))
            case ("connected", int() | float() as seconds):  # a delayed answer
                return Keep(EventTimeout(seconds, ("answer", self.caller)))
            case (_, ("answer", caller)):
                return Keep(ReplyTo(caller, "delayed"))
            case _:
                return Keep(ReplyTo(self.caller, "not now"))


class ByState(Connection):
    """Callback mode state_functions."""

    def in_idle(self, event: Any) -> Any:
        return self.step(event)

    def in_wait_conn(self, event: Any) -> Any:
        return self.step(event)

    def in_connected(self, event: Any) -> Any:
        return self.step(event)


class ByEvent(Connection):
    """Callback mode handle_event_function."""

    def on_event(self, state: Any, event: Any) -> Any:
        return self.step(event)


MODES = pytest.mark.parametrize("kind", [ByState, ByEvent])


async def do_func_test(ref: Any) -> None:
    """What is told moves it through its states and back."""
    for event, state in (("connect", "wait_conn"), ("confirm", "connected"), ("disconnect", "idle")):
        ref.tell(event)
        assert await ref.call("state") == state


async def do_sync_func_test(ref: Any) -> None:
    """What is asked does, and each answer is of the state that it was asked in."""
    assert await ref.call("confirm") == "not now"
    assert await ref.call("connect") == "accept"
    assert await ref.call("disconnect") == "not now"
    assert await ref.call("confirm") == "yes"
    assert await ref.call("disconnect") == "yes"


@MODES
async def test_start1(kind: Any) -> None:
    """Anonymous: it works by tells and by calls, and is stopped."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        await do_func_test(ref)
        await do_sync_func_test(ref)
        assert await system.stop(ref) == SHUTDOWN


@MODES
async def test_start2(kind: Any) -> None:
    """It ends itself with shutdown, and who asked for it is answered."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        assert await ref.call(Stop(SHUTDOWN)) == "stopped"
        await asyncio.sleep(0)
        assert (ref.is_alive(), ref.last_exit) == (False, SHUTDOWN)


@MODES
async def test_start3(kind: Any) -> None:
    """A start within its time works, one that takes longer is killed."""
    async with ActorSystem() as system:
        await do_sync_func_test(await system.spawn(kind, 0.004, start_timeout_s=0.005))
        with pytest.raises(StartTimeout):
            await system.spawn(kind, 10.0, path="/late", start_timeout_s=0.005)
        last_exit = system.address("/late").last_exit
        assert last_exit is not None
        assert last_exit.kind is ExitKind.KILLED


@MODES
async def test_start4(kind: Any) -> None:
    """It may choose not to start: that is no failure."""
    async with ActorSystem() as system:
        assert not (await system.spawn(kind, Ignore())).is_alive()
        assert system.actors() == []


@MODES
async def test_start5(kind: Any) -> None:
    """A start that fails says why."""
    async with ActorSystem() as system:
        error = ValueError("stopped")
        with pytest.raises(StartError) as caught:
            await system.spawn(kind, error)
        assert caught.value.cause is error
        assert system.actors() == []


@MODES
async def test_start6(kind: Any) -> None:
    """Linked: it works, its end with normal ends nobody, and its crash does."""
    async with ActorSystem() as system:
        starter = await system.spawn(Puppet)
        for how in ("well", "badly"):
            ref = await system.spawn(kind)
            await starter.call(lambda puppet, ref=ref: puppet.link(ref))
            await do_func_test(ref)
            await do_sync_func_test(ref)
            ref.tell(Stop(NORMAL) if how == "well" else "bad")
            await asyncio.sleep(0.1)
            assert not ref.is_alive()
            assert starter.is_alive() is (how == "well")


@MODES
async def test_start8(kind: Any) -> None:
    """Registered: a second one is told who is there, and it works by its name."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind, path="/my_stm")
        system.register("my_stm", ref)
        with pytest.raises(AlreadyStarted) as caught:
            await system.spawn(kind, path="/my_stm")
        assert caught.value.ref is ref
        for found in (system.address("/my_stm"), system.whereis("my_stm")):
            await do_func_test(found)
            await do_sync_func_test(found)


@MODES
async def test_start11(kind: Any) -> None:
    """As soon as a registered one is stopped, its name can be used again."""
    async with ActorSystem() as system:
        for _ in range(3):
            ref = await system.spawn(kind, path="/my_stm")
            system.register("my_stm", ref)
            await system.stop(ref)
            assert system.whereis("my_stm") is None


@MODES
async def test_start12(kind: Any) -> None:
    """Registered in a registry: a second one is told who has the key, and it works by its key."""
    names = Registry()
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        names.register("my_stm", ref)
        with pytest.raises(NameTaken) as taken:
            names.register("my_stm", await system.spawn(kind))
        assert taken.value.ref is ref
        await do_func_test(names.via("my_stm"))
        await do_sync_func_test(names.via("my_stm"))


@MODES
async def test_stop1(kind: Any) -> None:
    """Stopped it is gone, and to stop it again tells how it ended."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        assert await system.stop(ref, NORMAL) == NORMAL
        assert not ref.is_alive()
        assert await system.stop(ref) == NORMAL
        assert (await system.stop(system.address("/nobody"))).kind is ExitKind.NOPROC


@MODES
async def test_stop2(kind: Any) -> None:
    """It ends with the reason that it was given."""
    reason = shutdown("other_reason")
    async with ActorSystem() as system:
        assert await system.stop(await system.spawn(kind), reason) == reason


@MODES
async def test_stop3(kind: Any) -> None:
    """A timeout that is none leaves it alive."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        with pytest.raises(ValueError, match="not a time to stop in"):
            await system.stop(ref, timeout_s="invalid")  # type: ignore[arg-type]
        assert await ref.call("state") == "idle"
        assert await system.stop(ref) == SHUTDOWN


@MODES
async def test_abnormal1(kind: Any) -> None:
    """An answer in time arrives, and one that is late costs its caller the wait and the machine nothing."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        await ref.call("connect")
        await ref.call("confirm")
        assert await ref.call(1.0, timeout_s=2.0) == "delayed"
        with pytest.raises(CallTimeout):
            await ref.call(5.0, timeout_s=1.0)
        await asyncio.sleep(10)
        assert await ref.call("state") == "connected"


@MODES
async def test_abnormal2(kind: Any) -> None:
    """A handler that gives what it may not is a crash: its caller and whoever is linked to it are told so."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        starter = await system.spawn(Puppet)
        await starter.call(lambda puppet: puppet.link(ref))
        with pytest.raises(BadReturnValue, match="badreturn"):
            await ref.call("bad")
        await asyncio.sleep(0.1)
        for dead in (ref, starter):
            assert dead.last_exit is not None
            assert isinstance(dead.last_exit.error, BadReturnValue)


class Deferring(Puppet):
    """Promises an answer for later, and then raises."""

    def on_receive(self, message: Any) -> Any:
        reply = self.defer()
        if message == "answered":
            reply.fail(ValueError("answered"))
        raise (ReplyError if message == "refused" else ValueError)(message)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(ByState, "bad"), (ByEvent, "bad"), *((Deferring, way) for way in ("bad", "answered", "refused"))],
)
async def test_an_error_that_its_caller_got_is_not_reported_as_one_that_nobody_got(
    kind: Any, message: str
) -> None:
    """A call in whose handler an answer was put off fails once: no future with the same error is left behind."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    await _fails_a_call(kind, message)
    gc.collect()
    assert complaints == []


async def _fails_a_call(kind: Any, message: str) -> None:
    async with ActorSystem(on_event=lambda _event: None) as system:
        ref = await system.spawn(kind)
        with pytest.raises((BadReturnValue, ValueError, ReplyError)):
            await ref.call(message)


@MODES
async def test_shutdown(kind: Any) -> None:
    """It ends with a shutdown and its words, and who calls it then is told that nobody is there."""
    reason = shutdown("reason")
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        await do_func_test(ref)
        await do_sync_func_test(ref)
        assert await ref.call(Stop(reason)) == "stopped"
        await asyncio.sleep(0)
        with pytest.raises(ActorDead) as dead:
            await ref.call("hej")
        assert dead.value.exit == reason


class Buffer(StateMachine):
    """Postpones what it is told until it is asked to take it all, with more of its own."""

    initial_state: ClassVar[Any] = "start"

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def step(self, event: Any) -> Any:
        if self.state == "start":
            if not self.called:
                return Keep(Postpone())
            own = [NextEvent("ok3"), NextEvent("ok4"), EventTimeout(0, "ok5"), ReplyTo(self.caller, "ok")]
            return Next("buffer", *own)
        if self.called:
            return Keep(ReplyTo(self.caller, self.taken))
        self.taken.append(event)
        return Keep()


class BufferByState(Buffer):
    def in_start(self, event: Any) -> Any:
        return self.step(event)

    def in_buffer(self, event: Any) -> Any:
        return self.step(event)


class BufferByEvent(Buffer):
    def on_event(self, state: Any, event: Any) -> Any:
        return self.step(event)


@pytest.mark.req("207", "208", "211")
@pytest.mark.parametrize("kind", [BufferByState, BufferByEvent])
async def test_event_order(kind: Any) -> None:
    """Inserted events come before retried ones, and either cancels an event timeout, even one of zero."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        ref.tell("ok1")
        ref.tell("ok2")
        assert await ref.call("buffer") == "ok"
        await asyncio.sleep(1)
        assert await ref.call("result") == ["ok3", "ok4", "ok1", "ok2"]


@pytest.mark.req("219")
@MODES
async def test_sys1(kind: Any) -> None:
    """A machine says how it is, is suspended, answers nobody meanwhile, and goes on where it was."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        await ref.call("connect")
        await inspection.suspend(ref)
        status = await inspection.get_status(ref)
        assert (status.suspended, status.shown) == (True, {"state": "wait_conn", "asked": 1})
        with pytest.raises(CallTimeout):
            await ref.call("state", timeout_s=1.0)
        await inspection.resume(ref)
        assert await ref.call("confirm") == "yes"


@pytest.mark.req("205")
@MODES
async def test_error_format_status(kind: Any) -> None:
    """The report of a crash shows what the formatter shows of state and data, and no key."""
    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        ref = await system.spawn(kind)
        await ref.call("connect")
        assert (await inspection.get_status(ref)).shown == {"state": "wait_conn", "asked": 1}
        with pytest.raises(BadReturnValue):
            await ref.call("bad")
    [report] = witness.crashes
    assert report.status == {"state": "wait_conn", "asked": 2}


@pytest.mark.req("205")
async def test_terminate_crash_format() -> None:
    """So does the report of an end that failed."""

    class Clumsy(ByEvent):
        def on_stop(self, exit_: Exit) -> None:
            raise OSError("the disk is gone")

    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        exit_ = await system.stop(await system.spawn(Clumsy))
        assert isinstance(exit_.error, OSError)
    [report] = witness.crashes
    assert report.status == {"state": "idle", "asked": 0}
    assert "hunter2" not in report.text()
