# pyright: reportUnknownLambdaType=false
"""Starting, stopping, killing, monitoring: gen_server's statements and the rules for what an incarnation owns."""

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import pytest
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness, fails, sleeps, stubborn

from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, ExitKind, crashed
from allstop.actors.runtime import (
    Actor,
    ActorDead,
    ActorSystem,
    AlreadyStarted,
    CallingSelf,
    Continue,
    Down,
    Fenced,
    Ignore,
    NameTaken,
    Overrun,
    StartError,
    StartTimeout,
)
from allstop.actors.runtime.cell import WIND_DOWN_S
from allstop.actors.runtime.incarnations import Incarnations
from allstop.actors.runtime.messages import CONTROL
from allstop.actors.spec import BRUTAL_KILL, Stash

pytestmark = pytest.mark.virtual
BOTH = pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])


# -- starting
@pytest.mark.req("189")
async def test_an_address_takes_one_incarnation_at_a_time(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet, path="/child")
    with pytest.raises(AlreadyStarted) as caught:
        await system.spawn(Puppet, path="/child")
    assert caught.value.ref is ref
    assert ref.incarnation == 1


@pytest.mark.req("187")
async def test_ignore_is_a_start_that_left_nothing_running(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness, lambda _puppet: Ignore())
    assert not ref.is_alive()
    assert ref.last_exit is not None
    assert isinstance(ref.last_exit.detail, Ignore)
    assert not witness.crashes


class Refuses(Actor):
    def __init__(self, how: str, where: str) -> None:
        self._how = how
        if where == "constructor":
            self._refuse()
        self._where = where

    def on_start(self) -> Any:
        return self._refuse() if self._where == "on_start" else self._later()

    async def _later(self) -> Any:
        await asyncio.sleep(1)
        return self._refuse()

    def _refuse(self) -> Ignore:
        if self._how == "ignore":
            return Ignore()
        raise ValueError(self._how)


@pytest.mark.req("187")
@pytest.mark.parametrize(
    ("how", "where"),
    [  # a constructor gives nothing back, so it cannot ignore
        ("raise", "constructor"), ("raise", "on_start"), ("raise", "async on_start"), ("ignore", "on_start"),
        ("ignore", "async on_start"),
    ],
)  # fmt: skip
async def test_when_the_starter_hears_of_a_failed_start_the_address_and_the_name_are_free(
    system: ActorSystem, witness: Witness, how: str, where: str
) -> None:
    failed = False
    try:
        await system.spawn(Refuses, how, where, path="/child")
    except StartError:
        failed = True
    assert failed == (how == "raise")
    assert not system.address("/child").is_alive()
    assert [info.path for info in system.actors()] == []
    ref = await system.spawn(Puppet, witness, path="/child")  # in the same moment
    assert ref.is_alive()
    assert len(witness.crashes) == (1 if how == "raise" else 0)


@pytest.mark.req("202")
@BOTH
async def test_continue_runs_before_any_message(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    address = system.address("/child")
    handled_first: list[list[Any]] = []

    class Noting(kind):
        def on_continue(self, argument: Any) -> Any:
            handled_first.append(list(witness.handled))
            return super().on_continue(argument)

    async def start() -> Continue:
        address.tell("early")
        await asyncio.sleep(1)
        return Continue("now")

    await system.spawn(Noting, witness, lambda _puppet: start(), path="/child")
    witness.hooks.append("spawned")
    await asyncio.sleep(1)
    assert witness.hooks[1:] in (["on_continue now", "spawned"], ["spawned", "on_continue now"])
    assert witness.handled == ["early"]
    assert handled_first == [[]]


@pytest.mark.req("197")
async def test_on_start_may_return_only_what_it_may(system: ActorSystem) -> None:
    with pytest.raises(StartError, match="on_start may return"):
        await system.spawn(Puppet, None, lambda _puppet: 42)


async def test_an_actor_knows_who_it_is_before_its_constructor_runs(system: ActorSystem) -> None:
    seen: list[Any] = []

    class Curious(Puppet):
        def __init__(self) -> None:
            super().__init__()
            seen.extend(
                [self.path, self.incarnation, self.ref, self.parent, self.clock.now_s(), self.ids.new()]
            )

    parent = await system.spawn(Puppet, path="/parent")
    ref = await system.spawn(Curious, path="/parent/child", parent=parent)
    assert seen[:4] == ["/parent/child", 1, ref, parent]


# -- stopping
@pytest.mark.req("201")
async def test_stopping_nobody_tells_how_it_ended_or_noproc(system: ActorSystem) -> None:
    assert (await system.stop(system.address("/nobody"))).kind is ExitKind.NOPROC
    ref = await system.spawn(Puppet)
    await system.stop(ref)
    assert await system.stop(ref) == SHUTDOWN


@pytest.mark.req("126")
async def test_a_stop_that_takes_too_long_is_a_kill(system: ActorSystem, witness: Witness) -> None:
    class Slow(AsyncPuppet):
        async def on_stop(self, exit_: Any) -> None:
            await asyncio.sleep(3600)

    ref = await system.spawn(Slow, witness)
    before_s = system.clock.now_s()
    exit_ = await system.stop(ref, timeout_s=2.0)
    assert (exit_.kind, exit_.detail) == (ExitKind.KILLED, Overrun(unstopped=False))
    assert system.clock.now_s() - before_s == pytest.approx(2.0, abs=0.2)


@pytest.mark.req("243")
async def test_what_swallows_its_cancellation_is_fenced_and_named(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncPuppet, path="/wedged")
    ref.tell(stubborn())
    await asyncio.sleep(1)
    exit_ = await system.stop(ref, timeout_s=2.0)
    assert exit_.detail == Overrun(unstopped=True)
    assert system.leaked == ["/wedged#1"]
    again = await system.spawn(AsyncPuppet, path="/wedged")
    assert await again.call("new") == "new"
    assert again.incarnation == 2
    await system.stop(again)


@pytest.mark.req("243")
async def test_a_wedged_thread_is_fenced_and_named_until_it_returns(
    system: ActorSystem, witness: Witness
) -> None:
    entered, release = threading.Event(), threading.Event()
    fence: list[bool] = []

    def wedge(puppet: ThreadPuppet) -> None:
        entered.set()
        release.wait(10)
        fence.append(puppet.fenced)

    ref = await system.spawn(ThreadPuppet, witness, path="/wedged")
    waiting = asyncio.create_task(ref.call(wedge, timeout_s=1000))
    await asyncio.to_thread(entered.wait, 10)
    system.kill(ref)
    with pytest.raises(ActorDead):
        await waiting
    assert system.leaked == ["/wedged#1"]
    release.set()
    while system.leaked:
        await asyncio.to_thread(time.sleep, 0.001)
    assert fence == [True]
    assert witness.exits == []


@pytest.mark.req("122", "198")
@BOTH
async def test_a_brutal_kill_runs_no_callback(system: ActorSystem, witness: Witness, kind: type[Any]) -> None:
    ref = await system.spawn(kind, witness)
    assert await system.stop(ref, timeout_s=BRUTAL_KILL) == KILLED
    assert witness.hooks == ["on_start"]


@BOTH
async def test_an_actor_can_end_itself(system: ActorSystem, witness: Witness, kind: type[Any]) -> None:
    ref = await system.spawn(kind, witness)
    ref.tell(lambda puppet: puppet.exit())
    ref.tell("never handled")
    await asyncio.sleep(0.01)
    assert ref.last_exit == NORMAL
    assert witness.exits == [NORMAL]
    assert witness.handled[1:] == []


async def test_an_actor_that_waits_for_its_own_stop_is_refused(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncPuppet)
    with pytest.raises(CallingSelf):
        await ref.call(lambda puppet: system.stop(puppet.ref))


@pytest.mark.req("193")
async def test_an_actor_that_calls_itself_is_refused_at_once(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncPuppet)
    with pytest.raises(CallingSelf):
        await ref.call(lambda puppet: puppet.ref.call("me"))


async def test_an_actor_killed_by_its_own_handler_handles_nothing_more(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(lambda puppet: system.kill(puppet.ref))
    ref.tell("after")
    await asyncio.sleep(0.01)
    assert len(witness.handled) == 1
    assert [letter.message for letter in system.dead_letters.recent()] == ["after"]


async def test_closing_the_system_stops_what_runs_and_names_what_does_not() -> None:
    witness = Witness()
    async with ActorSystem() as system:
        await system.spawn(Puppet, witness)
        wedged = await system.spawn(AsyncPuppet, path="/wedged")
        wedged.tell(stubborn(100))
        await asyncio.sleep(1)
    assert witness.exits == [SHUTDOWN]
    assert system.leaked == ["/wedged#1"]
    assert system.actors() == []


@pytest.mark.req("131")
async def test_the_children_of_a_killed_actor_die_with_it(system: ActorSystem) -> None:
    parent = await system.spawn(Puppet, path="/parent")
    child = await system.spawn(Puppet, path="/parent/child", parent=parent)
    grandchild = await system.spawn(Puppet, path="/parent/child/grandchild", parent=child)
    system.kill(parent)
    assert not child.is_alive()
    assert not grandchild.is_alive()
    assert grandchild.last_exit == KILLED


# -- monitors and watches
@BOTH
async def test_monitor_sends_one_down_per_incarnation(system: ActorSystem, kind: type[Any]) -> None:
    parent = await system.spawn(Puppet)
    child = await system.spawn(Puppet, path="/child", parent=parent)
    watcher = await system.spawn(kind, seen := Witness())
    for _ in range(2):
        await watcher.call(lambda puppet: puppet.monitor(child) and None)
        system.kill(child)
        await asyncio.sleep(0)
        await system.spawn(Puppet, path="/child", parent=parent)
    await asyncio.sleep(0.01)
    downs = [message for message in seen.handled if isinstance(message, Down)]
    assert [(down.ref, down.incarnation, down.exit) for down in downs] == [
        (child, 1, KILLED),
        (child, 2, KILLED),
    ]


async def test_monitoring_what_ended_before_tells_how_it_ended(system: ActorSystem, witness: Witness) -> None:
    child = await system.spawn(Puppet)
    child.tell(fails(error := ValueError()))
    await asyncio.sleep(0.01)
    await system.spawn(Puppet, witness, lambda puppet: puppet.monitor(child) and None)
    await system.spawn(Puppet, witness, lambda puppet: puppet.monitor(system.address("/never")) and None)
    await asyncio.sleep(0.01)
    assert [down.exit.error for down in witness.handled] == [error, None]
    assert witness.handled[1].exit.kind is ExitKind.NOPROC


@BOTH
async def test_monitoring_again_on_down_waits_for_the_next_incarnation(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    class Follows(kind):
        def act(self, message: Any) -> None:
            witness.handled.append(message)
            self.monitor(message.ref)

    parent = await system.spawn(Puppet)
    child = await system.spawn(Puppet, path="/child", parent=parent)
    follower = await system.spawn(Follows, None, lambda puppet: puppet.monitor(child) and None)
    for _ in range(2):
        system.kill(child)
        await asyncio.sleep(1)
        await system.spawn(Puppet, path="/child", parent=parent)
    await system.stop(child)
    await asyncio.sleep(1)
    system.retire(child)
    await asyncio.sleep(1)
    told = [(down.incarnation, down.exit.kind) for down in witness.handled]
    assert told == [
        (1, ExitKind.KILLED),
        (2, ExitKind.KILLED),
        (3, ExitKind.SHUTDOWN),
        (3, ExitKind.NOPROC),
    ]
    assert follower.is_alive()


@pytest.mark.req("238")
async def test_watch_reports_only_the_end_that_no_restart_follows(
    system: ActorSystem, witness: Witness
) -> None:
    parent = await system.spawn(Puppet)
    child = await system.spawn(Puppet, path="/child", parent=parent)
    await system.spawn(Puppet, witness, lambda puppet: puppet.watch(child) and None)
    system.kill(child)
    await system.spawn(Puppet, path="/child", parent=parent)
    await asyncio.sleep(1)
    assert witness.handled == []
    await system.stop(child)
    await asyncio.sleep(1)
    assert witness.handled == []
    system.retire(child)  # what a supervisor does when it will not start the child again
    await asyncio.sleep(1)
    assert [(down.incarnation, down.exit) for down in witness.handled] == [(2, SHUTDOWN)]


@pytest.mark.req("238")
async def test_watching_what_is_gone_for_ever_reports_at_once(system: ActorSystem, witness: Witness) -> None:
    child = await system.spawn(Puppet)
    system.kill(child)
    await system.spawn(Puppet, witness, lambda puppet: puppet.watch(child) and None)
    await asyncio.sleep(0)
    assert [down.exit for down in witness.handled] == [KILLED]


async def test_no_down_comes_after_demonitor_not_even_a_waiting_one(
    system: ActorSystem, witness: Witness
) -> None:
    child = await system.spawn(Puppet)

    def kill_and_forget(puppet: Puppet) -> None:
        monitor = puppet.monitor(child)
        system.kill(child)
        puppet.demonitor(monitor)

    await system.spawn(Puppet, witness, kill_and_forget)
    await asyncio.sleep(0.01)
    assert witness.handled == []


async def test_the_monitors_of_an_ended_actor_are_forgotten(system: ActorSystem) -> None:
    child = await system.spawn(Puppet)
    watcher = await system.spawn(Puppet, None, lambda puppet: puppet.monitor(child) and None)
    system.kill(watcher)
    assert not child.cell.own().monitored_by


# -- timers
async def test_a_timer_tells_its_message_in_time(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness, lambda puppet: puppet.send_after(2.0, "ring") and None)
    await asyncio.sleep(1.9)
    assert witness.handled == []
    await asyncio.sleep(0.2)
    assert witness.handled == ["ring"]
    assert not ref.cell.own().timers


@pytest.mark.req("236")
async def test_timers_end_with_their_incarnation(system: ActorSystem, witness: Witness) -> None:
    await system.spawn(Puppet, witness, lambda puppet: puppet.send_after(2.0, "old") and None, path="/child")
    system.kill(system.address("/child"))
    await system.spawn(Puppet, witness, path="/child")
    await asyncio.sleep(5)
    assert witness.handled == []


@pytest.mark.req("203")
async def test_a_cancelled_timer_is_not_handled_though_it_fired_already(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    timers: list[Any] = []
    ref.tell(lambda puppet: timers.append(puppet.send_after(1.0, "stale")))
    ref.tell(slow := sleeps(2.0))
    await asyncio.sleep(1.5)
    assert ref.cell.queue
    timers[0].cancel()
    await asyncio.sleep(5)
    assert witness.handled[1:] == [slow]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_timer_that_fired_or_was_cancelled_is_freed_without_the_collector(
    system: ActorSystem, cancelled: bool
) -> None:
    class Word:
        pass

    class Forgetful(Actor):
        def on_receive(self, message: Any) -> Any:
            return None if isinstance(message, Word) else message(self)

    ref = await system.spawn(Forgetful)
    word = Word()
    freed = weakref.ref(word)
    gc.disable()
    try:
        timer = await ref.call(lambda actor: actor.send_after(1.0, freed()))
        if cancelled:
            timer.cancel()
        del timer, word
        await asyncio.sleep(2.0)
        await ref.call(lambda _: None)
        assert freed() is None
    finally:
        gc.enable()


# -- deferred replies
@BOTH
async def test_an_answer_can_come_later(system: ActorSystem, kind: type[Any]) -> None:
    ref = await system.spawn(kind)
    replies: list[Any] = []
    first = asyncio.create_task(ref.call(lambda puppet: replies.append(puppet.defer())))
    await asyncio.sleep(1)
    assert await ref.call("meanwhile") == "meanwhile"
    replies[0].set("late")
    replies[0].set("again")
    assert await first == "late"
    second = asyncio.create_task(ref.call(lambda puppet: replies.append(puppet.defer())))
    await asyncio.sleep(1)
    replies[1].fail(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await second
    assert ref.is_alive()


async def test_a_deferred_answer_dies_with_the_actor(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet)
    waiting = asyncio.create_task(ref.call(lambda puppet: puppet.defer() and None, timeout_s=1000))
    await asyncio.sleep(1)
    system.kill(ref)
    with pytest.raises(ActorDead):
        await waiting


async def test_an_answer_that_is_deferred_and_given_at_once_arrives(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet)
    assert await ref.call(lambda puppet: puppet.defer().set("now")) == "now"


async def test_nobody_can_defer_the_answer_to_a_told_message(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(lambda puppet: puppet.defer())
    await asyncio.sleep(0)
    assert isinstance(witness.failures[0], RuntimeError)


# -- owned tasks
async def test_an_exception_in_an_owned_task_crashes_the_actor(system: ActorSystem, witness: Witness) -> None:
    async def pump() -> None:
        await asyncio.sleep(1)
        raise ValueError("socket")

    ref = await system.spawn(Puppet, witness, lambda puppet: puppet.start_task(pump(), "pump") and None)
    await asyncio.sleep(2)
    assert ref.last_exit is not None
    assert isinstance(ref.last_exit.error, ValueError)


async def test_a_foreign_cancellation_of_an_owned_task_crashes_the_actor(system: ActorSystem) -> None:
    async def pump() -> None:
        raise asyncio.CancelledError

    ref = await system.spawn(Puppet, None, lambda puppet: puppet.start_task(pump(), "pump") and None)
    await asyncio.sleep(1)
    assert ref.last_exit is not None
    assert isinstance(ref.last_exit.error, asyncio.CancelledError)


async def test_an_owned_task_that_its_actor_cancels_is_no_failure(system: ActorSystem) -> None:
    ref = await system.spawn(
        Puppet, None, lambda puppet: puppet.start_task(asyncio.sleep(9), "pump").cancel() and None
    )
    await asyncio.sleep(1)
    assert ref.is_alive()


@pytest.mark.parametrize("end", ["stop", "kill", "crash"])
async def test_owned_tasks_have_ended_when_the_end_is_told(system: ActorSystem, end: str) -> None:
    log: list[str] = []

    async def pump() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            if end != "kill":
                await asyncio.sleep(0.4)
            log.append("pump ended")

    class Logs(Puppet):
        def on_receive(self, message: Any) -> Any:
            log.append(str(message.exit.kind) if isinstance(message, Down) else "?")

    ref = await system.spawn(Puppet, None, lambda puppet: puppet.start_task(pump(), "pump") and None)
    await system.spawn(Logs, None, lambda puppet: puppet.monitor(ref) and None)
    await asyncio.sleep(1)
    if end == "stop":
        await system.stop(ref)
    elif end == "kill":
        system.kill(ref)
    else:
        ref.tell(fails(ValueError()))
    await asyncio.sleep(2)
    assert sorted(log) == sorted(
        ["pump ended", {"stop": "shutdown", "kill": "killed", "crash": "crashed"}[end]]
    )
    assert end == "kill" or log[0] == "pump ended"


@pytest.mark.parametrize("end", ["stop", "crash"])
async def test_a_task_that_is_slow_to_see_its_cancellation_holds_the_end_back_for_half_a_second_at_most(
    system: ActorSystem, end: str
) -> None:
    async def pump() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(20)

    told: list[float] = []

    class Watcher(Puppet):
        def on_receive(self, message: Any) -> Any:
            told.append(asyncio.get_running_loop().time())

    ref = await system.spawn(Puppet, None, lambda puppet: puppet.start_task(pump(), "pump") and None)
    await system.spawn(Watcher, None, lambda puppet: puppet.monitor(ref) and None)
    await asyncio.sleep(1)  # its task has begun
    began_s = asyncio.get_running_loop().time()
    if end == "stop":
        await system.stop(ref)
    else:
        ref.tell(fails(ValueError()))
    await asyncio.sleep(2)
    assert [at_s - began_s for at_s in told] == [pytest.approx(WIND_DOWN_S, abs=0.01)]
    assert not ref.is_alive()
    assert system.leaked == []


async def test_an_ended_actor_can_start_nothing_more(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet)
    actor = ref.cell.actor
    system.kill(ref)
    with pytest.raises(Fenced):
        actor.send_after(1, "x")
    with pytest.raises(Fenced):
        actor.start_task(asyncio.sleep(1), "x")
    with pytest.raises(Fenced):
        actor.check_fence()


# -- while down
@pytest.mark.req("233")
async def test_a_stash_keeps_tells_for_the_next_incarnation_in_order(
    system: ActorSystem, witness: Witness
) -> None:
    parent = await system.spawn(Puppet)
    child = await system.spawn(Puppet, path="/child", parent=parent, while_down=Stash(2))
    system.kill(child)
    for number in range(3):
        child.tell(number)
    with pytest.raises(ActorDead):
        await child.call("calls never wait")
    with pytest.raises(StartError):  # the stash survives a failed start
        await system.spawn(Puppet, None, fails(ValueError()), path="/child", parent=parent)
    child.tell("too many")
    await system.spawn(Puppet, witness, path="/child", parent=parent)
    child.tell("fresh")
    await asyncio.sleep(0.01)
    assert witness.handled == [0, 1, "fresh"]
    assert [letter.message for letter in system.dead_letters.recent()] == [2, "too many"]


@pytest.mark.req("233")
@pytest.mark.parametrize("end", ["raise", "kill", "timeout"])
async def test_what_is_told_during_a_start_that_fails_waits_as_well_and_in_order(
    system: ActorSystem, witness: Witness, end: str
) -> None:
    parent = await system.spawn(Puppet)
    child = await system.spawn(Puppet, path="/child", parent=parent, while_down=Stash(3))
    system.kill(child)
    child.tell("while down")

    async def start() -> None:
        await asyncio.sleep(2)
        raise ValueError

    starting = asyncio.ensure_future(
        system.spawn(
            Puppet,
            None,
            lambda _puppet: start(),
            path="/child",
            parent=parent,
            start_timeout_s=1.5 if end == "timeout" else 30,
        )
    )
    await asyncio.sleep(1)
    child.tell("during the start")
    if end == "kill":
        system.kill(child)
    assert isinstance((await asyncio.gather(starting, return_exceptions=True))[0], StartError | StartTimeout)
    child.tell("after it")
    child.tell("too many")
    await system.spawn(Puppet, witness, path="/child", parent=parent)
    await asyncio.sleep(0.01)
    assert witness.handled == ["while down", "during the start", "after it"]
    assert [letter.message for letter in system.dead_letters.recent()] == ["too many"]


async def test_what_a_retired_address_had_stashed_becomes_dead_letters(system: ActorSystem) -> None:
    parent = await system.spawn(Puppet)
    child = await system.spawn(Puppet, path="/child", parent=parent, while_down=Stash(5))
    system.kill(child)
    child.tell("kept")
    system.retire(child)
    child.tell("too late")
    assert [letter.message for letter in system.dead_letters.recent()] == ["kept", "too late"]


# -- names
async def test_a_name_belongs_to_one_address_until_it_is_retired(system: ActorSystem) -> None:
    first = await system.spawn(Puppet)
    second = await system.spawn(Puppet)
    system.register("name", first)
    system.register("name", first)
    with pytest.raises(NameTaken):
        system.register("name", second)
    await system.stop(first)
    assert system.whereis("name") is None
    system.register("name", second)
    system.unregister("name")
    assert system.whereis("name") is None


# -- threads
async def test_a_thread_actor_handles_everything_on_its_own_thread(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(ThreadPuppet, witness, path="/thread")
    name = await ref.call(lambda _puppet: threading.current_thread().name)
    await system.stop(ref)
    assert name == "/thread"
    assert witness.hooks == ["on_stop on /thread"]


async def test_a_thread_actor_can_set_timers_and_monitor(system: ActorSystem, witness: Witness) -> None:
    other = await system.spawn(Puppet)
    ref = await system.spawn(ThreadPuppet, witness)
    await ref.call(lambda puppet: puppet.send_after(5.0, "ring"))
    await ref.call(lambda puppet: puppet.monitor(other))
    system.kill(other)
    await asyncio.sleep(6)
    await ref.call("sync")
    assert [type(message) for message in witness.handled[2:4]] == [Down, str]


async def test_a_thread_actor_refuses_coroutines(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(ThreadPuppet, witness)
    ref.tell(sleeps(1))
    while ref.is_alive():
        await asyncio.sleep(0.01)
    assert isinstance(witness.failures[0], TypeError)


# -- reports
@pytest.mark.req("177", "205")
async def test_a_crash_report_says_who_on_what_and_why_and_hides_the_state(
    system: ActorSystem, witness: Witness
) -> None:
    class Keeper(Puppet):
        key = "secret"

        def format_status(self) -> Any:
            raise KeyError(self.key)

    parent = await system.spawn(Puppet, path="/parent")
    ref = await system.spawn(Keeper, witness, path="/parent/child", parent=parent)
    ref.tell(act := fails(ValueError("bad")))
    ref.tell("waiting")
    await asyncio.sleep(0)
    report = witness.crashes[0]
    assert (report.path, report.incarnation, report.ancestors) == ("/parent/child", 1, ("/parent",))
    assert (report.last_message, report.mailbox_len) == (act, 1)
    assert report.status == "hidden: format_status raised KeyError"
    assert "ValueError: bad" in report.text()
    assert "secret" not in report.text()


@pytest.mark.req("200")
async def test_clean_ends_make_no_report(system: ActorSystem, witness: Witness) -> None:
    await system.stop(await system.spawn(Puppet, witness))
    system.kill(await system.spawn(Puppet, witness))
    assert witness.events == []


async def test_an_observer_that_raises_is_dropped_and_hurts_nobody(
    system: ActorSystem, witness: Witness
) -> None:
    def broken(_event: Any) -> None:
        raise ValueError("observer")

    system.subscribe(broken)
    for _ in range(2):
        (await system.spawn(Puppet, witness)).tell(fails(KeyError()))
        await asyncio.sleep(0)
    assert len(witness.crashes) == 2
    assert [type(letter.cause) for letter in system.dead_letters.recent()] == [ValueError]


async def test_actors_are_listed_with_state_and_mailbox(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncPuppet, path="/child")
    ref.tell(sleeps(10))
    await asyncio.sleep(1)
    ref.tell("waiting")
    info = system.actors()[0]
    assert (info.path, info.incarnation, info.state, info.mailbox_len) == ("/child", 1, "running", 1)
    assert CONTROL not in ref.cell.queue


# -- the first step of a task, and interruptions
@pytest.mark.req("253")
async def test_a_kill_before_the_first_step_of_the_task_ends_the_call(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet)
    answer = ref.ask(sleeps(5), block=False)
    system.scheduler.run()  # the handler gave a coroutine; its task has not run yet
    system.kill(ref)
    with pytest.raises(ActorDead):
        await answer


@pytest.mark.req("254")
async def test_a_stop_before_the_first_step_of_the_task_is_served(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(sleeps(3600))
    system.scheduler.run()
    before_s = system.clock.now_s()
    assert await system.stop(ref) == SHUTDOWN
    assert system.clock.now_s() == before_s
    assert len(system.dead_letters.recent()) == 1


async def test_a_stop_during_an_asynchronous_start_ends_it(system: ActorSystem, witness: Witness) -> None:
    starting = asyncio.create_task(system.spawn(Puppet, witness, sleeps(60), path="/child"))
    await asyncio.sleep(1)
    assert await system.stop(system.address("/child")) == SHUTDOWN
    with pytest.raises(StartError):
        await starting
    assert witness.hooks == ["on_start"]


async def test_the_failure_of_an_owned_task_interrupts_a_suspended_handler(
    system: ActorSystem, witness: Witness
) -> None:
    async def pump() -> None:
        await asyncio.sleep(1)
        raise ValueError("socket")

    ref = await system.spawn(AsyncPuppet, witness, lambda puppet: puppet.start_task(pump(), "pump") and None)
    before_s = system.clock.now_s()
    with pytest.raises(ActorDead):
        await ref.call(sleeps(3600), timeout_s=7200)
    assert system.clock.now_s() - before_s == pytest.approx(1.0)
    assert [type(error) for error in witness.failures] == [ValueError]


async def test_a_handler_that_swallows_the_stop_finishes_and_then_the_stop_is_served(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    ref.tell(stubborn(for_s=3.0))
    await asyncio.sleep(1)
    assert await system.stop(ref, timeout_s=10) == SHUTDOWN
    assert witness.exits == [SHUTDOWN]


async def test_a_crash_from_outside_the_handler_ends_the_suspended_handler(system: ActorSystem) -> None:
    ended: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("handler")

    ref = await system.spawn(AsyncPuppet)
    ref.tell(lambda _puppet: handler())
    await asyncio.sleep(1)
    ref.cell.crash(ValueError("control lane"))
    await asyncio.sleep(1)
    assert ended == ["handler"]
    assert system.leaked == []


async def test_an_observer_of_dead_letters_that_raises_is_dropped(system: ActorSystem) -> None:
    def broken(_letter: Any) -> None:
        raise ValueError("observer")

    system.dead_letters.subscribe(broken)
    for _ in range(2):
        system.address("/nobody").tell("lost")
    assert system.dead_letters.count == 2


async def test_the_failure_of_an_owned_task_during_an_asynchronous_start_is_a_crash(
    system: ActorSystem, witness: Witness
) -> None:
    async def start(puppet: Puppet) -> None:
        async def pump() -> None:
            await asyncio.sleep(1)
            raise ValueError("socket")

        puppet.start_task(pump(), "pump")
        await asyncio.sleep(3600)

    with pytest.raises(StartError) as caught:
        await system.spawn(Puppet, witness, start, start_timeout_s=60)
    assert isinstance(caught.value.cause, ValueError)
    assert witness.hooks == ["on_start", "on_failure"]
    assert len(witness.crashes) == 1


# -- starting and ending, at the edges
async def test_an_actor_that_fails_just_after_its_start_has_started(
    system: ActorSystem, witness: Witness
) -> None:
    error = ValueError("in its first message")

    async def on_start(puppet: Any) -> None:
        puppet.ref.tell(fails(error))
        await asyncio.sleep(0.01)

    ref = await system.spawn(AsyncPuppet, witness, on_start, path="/brief")
    assert (ref.is_alive(), ref.last_exit) == (False, crashed(error))


async def test_the_numbers_of_incarnations_go_on_though_nobody_held_the_address(system: ActorSystem) -> None:
    numbers: list[int] = []
    for _ in range(3):
        ref = await system.spawn(Puppet, path="/unheld")
        numbers.append(ref.incarnation)
        await system.stop(ref)
        del ref
        gc.collect()
    assert numbers == [1, 2, 3]


async def test_a_number_is_not_given_twice_when_a_thread_has_just_dropped_the_address(
    system: ActorSystem,
) -> None:
    late: list[Any] = []
    tell, system.addresses._forget = system.addresses._forget, late.append  # type: ignore[method-assign]
    ref = await system.spawn(Puppet, path="/dropped")
    await system.stop(ref)
    del ref
    gc.collect()
    assert len(late) == 1  # the address is gone, and the thread that dropped it did not come to say so yet
    second = await system.spawn(Puppet, path="/dropped")
    tell(late.pop())
    assert (second.incarnation, system.address("/dropped")) == (2, second)
    await system.stop(second)
    del second
    gc.collect()
    tell(late.pop())
    system.addresses._forget = tell  # type: ignore[method-assign]
    third = await system.spawn(Puppet, path="/dropped")
    assert third.incarnation == 3


def test_a_number_is_never_given_twice_though_not_every_path_is_remembered() -> None:
    numbers = Incarnations(kept_max=2)
    numbers.note("/a", 7)
    for path in ("/b", "/c", "/d"):
        numbers.note(path, 1)
    assert numbers.latest("/a") >= 7
    assert (numbers.latest("/c"), numbers.latest("/d")) == (1, 1)


async def test_a_foreign_cancellation_between_two_batches_is_a_crash(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    await ref.call("the task is there")
    task = ref.cell.task
    for number in range(65):
        ref.tell(number if number < 63 else lambda _puppet: asyncio.get_running_loop().call_soon(task.cancel))
    await asyncio.sleep(0.01)
    assert not ref.is_alive()
    with pytest.raises(ActorDead):
        await ref.call("anybody there?")


async def test_a_caller_whose_handler_a_stop_forestalls_hears_of_the_end(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    calling = asyncio.ensure_future(ref.call("never begun"))
    await asyncio.sleep(0)
    assert ref.cell.task is not None
    ref.stop(block=False)
    with pytest.raises(ActorDead) as caught:
        await calling
    assert (caught.value.exit, witness.handled) == (NORMAL, [])


async def test_what_a_killed_handler_returns_to_be_awaited_never_runs(
    system: ActorSystem, witness: Witness
) -> None:
    ran: list[str] = []

    async def later() -> None:
        ran.append("it ran")

    def kill_myself(puppet: Any) -> Any:
        system.kill(puppet.ref)
        return later()

    for send in ("tell", "call"):
        ref = await system.spawn(Puppet, witness)
        if send == "tell":
            ref.tell(kill_myself)
        else:
            with pytest.raises(ActorDead):
                await ref.call(kill_myself)
        await asyncio.sleep(0.01)
    assert ran == []


async def test_a_child_whose_spawner_is_stopped_meanwhile_is_stopped_and_not_killed(
    system: ActorSystem, witness: Witness
) -> None:
    exits: list[Any] = []

    async def on_start(_puppet: Any) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(1)  # an orderly end takes its time
            exits.append("in order")
            raise

    async def spawn(puppet: Any) -> None:
        try:
            await system.spawn(AsyncPuppet, witness, on_start, path="/parent/child", parent=puppet.ref)
        finally:
            exits.append(await system.stop(system.address("/parent/child")))

    parent = await system.spawn(AsyncPuppet, witness, path="/parent")
    parent.tell(spawn)
    await asyncio.sleep(0.1)
    await system.stop(parent)
    assert exits == ["in order", SHUTDOWN]


async def test_a_child_that_its_parent_no_longer_waits_for_does_not_start(
    system: ActorSystem, witness: Witness
) -> None:
    async def give_up(puppet: Any) -> None:
        slow = sleeps(3600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await system.spawn(AsyncPuppet, witness, slow, path="/parent/child", parent=puppet.ref)

    parent = await system.spawn(AsyncPuppet, witness, path="/parent")
    child = system.address("/parent/child")
    await parent.call(give_up)
    await asyncio.sleep(0.01)
    assert (parent.is_alive(), child.is_alive(), child.last_exit) == (True, False, SHUTDOWN)


async def test_retiring_an_address_looks_at_its_own_children_only(
    system: ActorSystem, witness: Witness
) -> None:
    parent = await system.spawn(Puppet, witness, path="/parent")
    child = await system.spawn(Puppet, witness, path="/parent/child", parent=parent)
    watcher = await system.spawn(Puppet, witness, lambda puppet: puppet.watch(child) and None)
    others = [system.address(f"/other/{number}") for number in range(10)]
    looked_at: list[Any] = []

    class Watched(dict[str, Any]):
        def __iter__(self) -> Any:
            looked_at.append(others)
            return super().__iter__()

        values = items = keys = __iter__

    system.addresses._places = Watched(system.addresses._places)
    await system.stop(parent)
    await asyncio.sleep(0.01)
    assert [message.ref for message in witness.handled] == [child]
    assert looked_at == []
    await system.stop(watcher)


async def test_what_came_during_a_start_that_fails_waits_for_the_next_incarnation(
    system: ActorSystem,
) -> None:
    async def fail_late(_puppet: Any) -> None:
        await asyncio.sleep(0.01)
        raise ValueError("not today")

    parent = await system.spawn(Puppet, path="/parent")
    ref = system.address("/parent/child")
    starting = asyncio.ensure_future(
        system.spawn(AsyncPuppet, None, fail_late, path=ref.path, parent=parent, while_down=Stash(2))
    )
    await asyncio.sleep(0.005)
    ref.tell("keep this")
    with pytest.raises(StartError):
        await starting
    handled = Witness()
    await system.spawn(Puppet, handled, path=ref.path, parent=parent)
    await asyncio.sleep(0.01)
    assert handled.handled == ["keep this"]


async def test_a_timer_does_not_keep_its_ended_incarnation_for_an_hour(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet)
    timer = await ref.call(lambda puppet: puppet.send_after(3600.0, "late"))
    await system.stop(ref)
    assert timer.cancelled


async def test_a_stash_is_not_lost_with_an_address_that_nobody_holds(system: ActorSystem) -> None:
    parent = await system.spawn(Puppet, path="/parent")
    child = await system.spawn(Puppet, path="/parent/child", parent=parent, while_down=Stash(2))
    await system.stop(child)
    child.tell("keep this")
    del child
    gc.collect()
    handled = Witness()
    await system.spawn(Puppet, handled, path="/parent/child", parent=parent)
    await asyncio.sleep(0.01)
    assert handled.handled == ["keep this"]


async def test_one_end_is_told_once_to_each_who_monitors_however_often(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, path="/again")
    await system.stop(ref)
    watcher = await system.spawn(Puppet, witness)
    for _ in range(2):
        await watcher.call(lambda puppet: puppet.monitor(ref) and None)
    await asyncio.sleep(0.01)
    told = [message for message in witness.handled if isinstance(message, Down)]
    assert [down.incarnation for down in told] == [1]
