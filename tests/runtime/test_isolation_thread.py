"""isolation="thread": any plain actor on a thread of its own, by the choice of whoever starts it."""

import asyncio
import threading
from typing import Any, ClassVar

import pytest
from tests.runtime.puppet import Witness

from allstop.actors.exits import ExitKind
from allstop.actors.runtime import (
    Actor,
    ActorSystem,
    Down,
    IsolationRefused,
    Mailbox,
    StartError,
    ThreadActor,
)
from allstop.actors.spec import ChildSpec, ChildType, Isolation, Start, SupervisorFlags
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import InvalidChildSpec
from allstop.supervisors.supervisor import Supervisor, start_child


class Plain(Actor):
    mailbox: ClassVar[Mailbox] = Mailbox(capacity=7)

    def __init__(self, greeting: str = "hello") -> None:
        self.greeting = greeting

    def on_receive(self, message: Any) -> Any:
        match message:
            case "thread":
                return threading.current_thread().name
            case "greeting":
                return self.greeting
            case "class":
                return isinstance(self, Plain), type(self).__qualname__
            case "crash":
                raise ValueError("asked to")
            case _:
                return message


class Asynchronous(Actor):
    async def on_receive(self, message: Any) -> Any:
        return message


class StopsSlowly(Actor):
    async def on_stop(self, exit_: Any) -> None:
        del exit_


class OnItsOwn(ThreadActor):
    def on_receive(self, message: Any) -> Any:
        return threading.current_thread().name


@pytest.mark.parametrize("isolation", ["thread", Isolation.THREAD])
async def test_a_plain_class_runs_on_a_thread_without_being_subclassed(
    system: ActorSystem, isolation: Isolation | str
) -> None:
    ref = await system.spawn(Plain, "good day", path="/plain", isolation=isolation)
    assert await ref.call("thread") == "/plain"
    assert await ref.call("greeting") == "good day"


async def test_an_actor_on_a_thread_goes_by_its_own_name_and_mailbox(system: ActorSystem) -> None:
    ref = await system.spawn(Plain, path="/plain", isolation="thread")
    assert await ref.call("class") == (True, "Plain")
    assert ref.actor_class.mailbox.capacity == 7


async def test_a_thread_actor_stays_what_it_is(system: ActorSystem) -> None:
    ref = await system.spawn(OnItsOwn, path="/own", isolation="thread")
    assert await ref.call("thread") == "/own"
    assert ref.actor_class is OnItsOwn


@pytest.mark.parametrize(("actor_class", "handler"), [(Asynchronous, "on_receive"), (StopsSlowly, "on_stop")])
async def test_asynchronous_handlers_are_refused_at_start_by_name(
    system: ActorSystem, actor_class: type[Actor], handler: str
) -> None:
    with pytest.raises(StartError, match=f"{actor_class.__name__}.{handler} is async") as refused:
        await system.spawn(actor_class, path="/refused", isolation="thread")
    assert isinstance(refused.value.cause, IsolationRefused)
    assert not system.address("/refused").is_alive()
    assert system.address("/refused").incarnation == 0


async def test_a_word_that_is_no_isolation_is_refused_with_the_choices(system: ActorSystem) -> None:
    with pytest.raises(StartError, match="isolation is one of 'loop', 'thread', 'process', not 'fibre'"):
        await system.spawn(Plain, isolation="fibre")


async def test_a_supervised_child_on_a_thread_is_restarted_on_a_new_one(
    system: ActorSystem, witness: Witness
) -> None:
    spec = ChildSpec("child", Start(Plain), isolation="thread")  # pyright: ignore[reportArgumentType]
    await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/top")
    child = system.address("/top/child")
    assert await child.call("thread") == "/top/child"
    with pytest.raises(ValueError, match="asked to"):
        await child.call("crash")
    async with asyncio.timeout(5):
        while child.incarnation != 2 or not child.is_alive():
            await asyncio.sleep(0)
    assert await child.call("thread") == "/top/child"
    assert [crash.path for crash in witness.crashes] == ["/top/child"]
    assert witness.crashes[0].actor_class == "Plain"


async def test_a_dynamic_supervisor_isolates_each_child_as_its_spec_says(system: ActorSystem) -> None:
    top = await system.spawn(DynamicSupervisor, SupervisorFlags(), max_children=2, path="/top")
    apart = await start_child(top, ChildSpec("apart", Start(Plain), isolation=Isolation.THREAD))
    beside = await start_child(top, ChildSpec("beside", Start(Plain)))
    assert apart is not None
    assert beside is not None
    assert await apart.call("thread") == "/top/apart"
    assert await beside.call("thread") == threading.current_thread().name


async def test_the_end_of_an_actor_on_a_thread_is_told_to_its_monitor(system: ActorSystem) -> None:
    told: asyncio.Future[Down] = asyncio.get_running_loop().create_future()

    class Watcher(Actor):
        def on_start(self) -> None:
            self.monitor(system.address("/plain"))

        def on_receive(self, message: Any) -> None:
            told.set_result(message)

    ref = await system.spawn(Plain, path="/plain", isolation="thread")
    await system.spawn(Watcher)
    ref.tell("crash")
    async with asyncio.timeout(5):
        down = await told
    assert (down.exit.kind, str(down.exit.error)) == (ExitKind.CRASHED, "asked to")


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"isolation": "fibre"}, "invalid_isolation"), ({"isolation": 3}, "invalid_isolation"),
     ({"isolation": "thread", "type": ChildType.SUPERVISOR}, "bad_combination")],
)  # fmt: skip
async def test_a_wrong_isolation_is_refused_with_the_spec(
    fields: Any, code: str, system: ActorSystem
) -> None:
    spec = ChildSpec("child", Start(Plain), **fields)
    with pytest.raises(StartError) as refused:
        await system.spawn(Supervisor, SupervisorFlags(), (spec,))
    assert isinstance(refused.value.cause, InvalidChildSpec)
    assert refused.value.cause.code == code


class Computes(Actor):
    simulated_cost_s: ClassVar[float | None] = 0.25

    def on_receive(self, message: Any) -> Any:
        return threading.current_thread().name


@pytest.mark.virtual
async def test_in_a_simulation_it_runs_on_the_loop_and_costs_virtual_time(system: ActorSystem) -> None:
    ref = await system.spawn(Computes, isolation="thread")
    before_s = system.clock.now_s()
    assert await ref.call("thread") == threading.current_thread().name
    assert await ref.call("thread") == threading.current_thread().name
    assert system.clock.now_s() - before_s == pytest.approx(0.5)
