# pyright: reportUnknownLambdaType=false
"""gen_server_SUITE, by the names of its cases: those that tests/runtime has not (neighbours.toml says where each is)."""

import asyncio
from typing import Any

import pytest
from tests.runtime.keepers import Keeper
from tests.runtime.puppet import AsyncPuppet, Puppet, Witness, fails, sleeps

from allstop.actors.events import CrashReport, GaveUp
from allstop.actors.exits import NORMAL, SHUTDOWN, Exit, ExitKind, shutdown
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    Continue,
    Ignore,
    NameTaken,
    Registry,
    StartError,
    inspection,
)
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor

pytestmark = pytest.mark.virtual
BOTH = pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])


class Timed(Puppet):
    """Sets its receive timeout when it starts or goes on, as the case says."""

    def __init__(self, witness: Witness, where: str, delay_s: float) -> None:
        super().__init__(witness)
        self._where = where
        self._delay_s = delay_s

    def on_start(self) -> Any:
        if self._where == "on_start":
            self.set_receive_timeout(self._delay_s, "timeout")
        return Continue("go on")

    def on_continue(self, argument: Any) -> None:
        if self._where == "on_continue":
            self.set_receive_timeout(self._delay_s, "timeout")


@pytest.mark.req("203")
async def test_start_event_timeout() -> None:
    """A timeout that is set on the way in comes when nothing else does, and not when a message came first."""
    for interrupted in (False, True):
        witness = Witness()
        async with ActorSystem() as system:
            ref = await system.spawn(Timed, witness, "on_continue", 5.0)
            if interrupted:
                await asyncio.sleep(4.9)
                ref.tell("interrupted")
            await asyncio.sleep(60)
        assert witness.handled == (["interrupted"] if interrupted else ["timeout"])


@pytest.mark.req("203")
@pytest.mark.parametrize("where", ["on_start", "on_continue"])
async def test_start_event_timeout_zero(where: str) -> None:
    """A timeout of zero that is set on the way in is handled before the first message, unless continuing ends it."""
    witness = Witness()
    async with ActorSystem() as system:
        starting = asyncio.ensure_future(system.spawn(Timed, witness, where, 0.0, path="/server"))
        await asyncio.sleep(0)
        ref = await starting
        ref.tell("first message")
        await asyncio.sleep(1)
    assert witness.handled in (["timeout", "first message"], ["first message"])
    assert ("timeout" in witness.handled) or where == "on_start"


async def test_loop_start_fail() -> None:
    """Starts that fail again and again, in each way, leave nothing behind, and the address free."""
    ways: list[Any] = [
        fails(ValueError("in on_start")),
        sleeps(0.01, "nonsense"),
        lambda _puppet: Ignore(),
        lambda _puppet: _fails_later(),
    ]
    reports: list[Any] = []
    async with ActorSystem(on_event=reports.append) as system:
        for number in range(400):
            way = ways[number % len(ways)]
            try:
                ref = await system.spawn(Puppet, None, way, path="/server")
            except StartError:
                continue
            assert not ref.is_alive()
        assert system.actors() == []
        assert len([event for event in reports if isinstance(event, CrashReport)]) == 300  # none of an Ignore
        assert await (await system.spawn(Puppet, path="/server")).call("works") == "works"
        assert system.leaked == []


async def _fails_later() -> None:
    await asyncio.sleep(0.01)
    raise OSError("later")


@pytest.mark.req("200")
@pytest.mark.parametrize(
    ("exit_", "reported"),
    [
        (NORMAL, False),
        (SHUTDOWN, False),
        (shutdown("term"), False),
        (Exit(ExitKind.CRASHED, ValueError("crashed")), True),
    ],
)
@BOTH
async def test_crash(kind: Any, exit_: Exit, reported: bool) -> None:
    """A server that ends itself for a clean reason makes no report, and for any other one."""
    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        ref = await system.spawn(kind, witness, path="/server")
        await ref.call(lambda puppet: puppet.exit(exit_))
        await asyncio.sleep(0.1)
        assert ref.last_exit == exit_
        assert [report.path for report in witness.crashes] == (["/server"] if reported else [])


# -- requests
@BOTH
async def test_send_request(kind: Any) -> None:
    """A request can be sent now and waited for later: its answer, its error, and the end of the server come to it."""
    async with ActorSystem() as system:
        ref = await system.spawn(kind)
        answer = ref.ask("question", block=False)
        assert not answer.done()
        slow = ref.ask(sleeps(2, "slow"), block=False)
        await asyncio.sleep(1)
        assert (answer.done(), slow.done()) == (True, False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):  # giving up once does not lose the answer
                await slow
        assert (await answer, await slow) == ("question", "slow")
        last = ref.ask(sleeps(100), block=False)
        await asyncio.sleep(1)
        system.kill(ref)
        with pytest.raises(ActorDead):
            await last
        with pytest.raises(ActorDead):
            await ref.ask("nobody is there", block=False)


async def test_send_request_reqid_collection() -> None:
    """Many requests to many servers are collected as their answers come, each known by its label."""
    async with ActorSystem() as system:
        refs = [await system.spawn(AsyncPuppet) for _ in range(3)]
        waits = {"third": 3.0, "first": 1.0, "second": 2.0}
        collection: dict[Any, str] = {}

        async def waiting(future: Any) -> Any:
            return await future

        for ref, (label, wait_s) in zip(refs, waits.items(), strict=True):
            future = ref.ask(sleeps(wait_s, f"answer {label}"), block=False)
            collection[asyncio.ensure_future(waiting(future))] = label
        done, _ = await asyncio.wait(collection, timeout=0.5)
        assert not done
        order: list[tuple[str, Any]] = []
        while collection:
            done, _ = await asyncio.wait(collection, return_when=asyncio.FIRST_COMPLETED)
            order += [(collection.pop(one), one.result()) for one in done]
        assert order == [(label, f"answer {label}") for label in ("first", "second", "third")]


async def test_stop7() -> None:
    """A server that is registered is stopped by its key, which then names nobody."""
    names = Registry()
    async with ActorSystem() as system:
        ref = await system.spawn(Puppet)
        names.register("to_stop", ref)
        with pytest.raises(NameTaken):
            names.register("to_stop", await system.spawn(Puppet))
        assert await system.stop(names.via("to_stop").ref) == SHUTDOWN
        assert not ref.is_alive()
        with pytest.raises(ActorDead):
            await names.via("to_stop").call("hello")


# -- what is shown
@pytest.mark.req("205")
async def test_terminate_crash_format() -> None:
    """The report of an on_stop that raised shows what the formatter shows, and no key."""

    class Clumsy(Keeper):
        def on_stop(self, exit_: Exit) -> None:
            raise OSError("the disk is gone")

    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        await system.stop(await system.spawn(Clumsy))
    [report] = witness.crashes
    assert report.status == {"count": 0}
    assert "hunter2" not in report.text()


@pytest.mark.req("205")
@pytest.mark.parametrize("thrown", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
async def test_throw_in_format_status(thrown: type[BaseException]) -> None:
    """Whatever a formatter throws hides the state: the crash is reported all the same, and questions are answered."""

    class Throwing(Keeper):
        def format_status(self) -> Any:
            raise thrown(self.key)

    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        ref = await system.spawn(Throwing, path="/server")
        status = await inspection.get_status(ref)
        assert status.shown == f"hidden: format_status raised {thrown.__name__}"
        ref.tell(fails(ValueError("crash")))
        await asyncio.sleep(1)
        assert ref.last_exit is not None
        assert str(ref.last_exit.error) == "crash"
        [report] = witness.crashes
        assert report.status == f"hidden: format_status raised {thrown.__name__}"
        assert "hunter2" not in report.text()


# -- undef_*
@BOTH
async def test_undef_in_handle_info(kind: Any) -> None:
    """A handler that calls what does not exist crashes: that is not taken for a message it does not know."""
    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        ref = await system.spawn(kind, witness)
        ref.tell(lambda puppet: puppet.there_is_no_such_method())
        await asyncio.sleep(0.1)
        assert not ref.is_alive()
        [report] = witness.crashes
        assert isinstance(report.error, AttributeError)
        assert system.dead_letters.recent() == []


@pytest.mark.req("199")
async def test_undef_in_terminate() -> None:
    """An on_stop that calls what does not exist is a crash, and its error the exit."""

    class Undefined(Actor):
        def on_stop(self, exit_: Exit) -> Any:
            return self.there_is_no_such_method()  # type: ignore[attr-defined]

    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        exit_ = await system.stop(await system.spawn(Undefined))
        assert isinstance(exit_.error, AttributeError)
        assert len(witness.crashes) == 1


@pytest.mark.req("200")
async def test_a_supervisor_that_gives_up_says_so_once() -> None:
    """Its GaveUp names offender and causes: no crash report repeats them."""
    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        spec = ChildSpec("child", Start(Puppet))
        top = await system.spawn(Supervisor, SupervisorFlags(max_restarts=0), (spec,), path="/top")
        system.address("/top/child").tell(fails(ValueError("crash")))
        await asyncio.sleep(0.1)
        assert not top.is_alive()
        assert [report.path for report in witness.crashes] == ["/top/child"]
        assert [event.path for event in witness.events if isinstance(event, GaveUp)] == ["/top"]
