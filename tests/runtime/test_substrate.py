# pyright: reportUnknownLambdaType=false
"""Group Z of the supervision reference: what stock pykka gets wrong, one test or more per statement."""

import asyncio
import gc
import threading
import time
from typing import Any

import pykka
import pytest
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness, fails, sleeps, stubborn

from allstop.actors.errors import ReplyError
from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, ExitKind, shutdown
from allstop.actors.runtime import (
    ActorDead,
    ActorSystem,
    BlockingOnLoop,
    CallTimeout,
    Down,
    StartError,
    StartTimeout,
)
from allstop.actors.runtime.future import Future
from allstop.actors.runtime.messages import Call
from allstop.actors.runtime.scheduler import BATCH, TURN

pytestmark = pytest.mark.virtual


class Declined(ReplyError):
    pass


class Watcher(Puppet):
    """Monitors the ref that it is given before it handles anything."""

    def __init__(self, witness: Witness, ref: Any) -> None:
        super().__init__(witness, lambda puppet: puppet.monitor(ref) and None)


async def downs(system: ActorSystem, *refs: Any) -> list[Down]:
    """Monitors the refs; the list fills as they end."""
    seen = Witness()
    for ref in refs:
        await system.spawn(Watcher, seen, ref)
    return seen.handled


# -- 247: a failure in a call reaches the supervisor as well as the caller
@pytest.mark.req("247")
@pytest.mark.parametrize("kind", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_an_exception_in_a_call_reaches_the_caller_and_the_monitor(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    ref = await system.spawn(kind, witness)
    seen = await downs(system, ref)
    error = ValueError("bad")
    with pytest.raises(ValueError, match="bad"):
        await ref.call(fails(error))
    await asyncio.sleep(0.01)
    assert [down.exit.error for down in seen] == [error]
    assert witness.failures == [error]
    assert [report.error for report in witness.crashes] == [error]


@pytest.mark.req("247")
@pytest.mark.parametrize("kind", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_a_reply_error_answers_the_caller_and_the_actor_lives(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    ref = await system.spawn(kind, witness)
    with pytest.raises(Declined):
        await ref.call(fails(Declined("no")))
    assert await ref.call("still here") == "still here"
    assert not witness.crashes


@pytest.mark.req("247")
async def test_a_reply_error_in_a_told_message_is_a_crash(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(fails(Declined("nobody asked")))
    await asyncio.sleep(0)
    assert not ref.is_alive()
    assert [type(report.error) for report in witness.crashes] == [Declined]


# -- 248: a failed proxy call that nobody awaits
@pytest.mark.req("248")
async def test_a_failed_proxy_call_crashes_the_actor_though_nobody_awaits_it(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.proxy().act(fails(ValueError("lost?")))
    await asyncio.sleep(0.01)
    assert not ref.is_alive()
    assert len(witness.crashes) == 1


@pytest.mark.req("248")
async def test_a_refusal_that_nobody_reads_becomes_a_dead_letter(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet)

    def refuse(_puppet: Any) -> None:
        raise Declined("unread")

    future = ref.proxy().act(refuse)
    await asyncio.sleep(0.01)
    del future
    gc.collect()  # the error's traceback holds the future that holds the error
    assert [str(letter.message) for letter in system.dead_letters.recent()] == ["unread"]


# -- 249: a start is over when spawn returns
@pytest.mark.req("249")
async def test_spawn_returns_only_after_an_asynchronous_on_start(
    system: ActorSystem, witness: Witness
) -> None:
    before_s = system.clock.now_s()
    await system.spawn(Puppet, witness, sleeps(3.0))
    assert system.clock.now_s() - before_s == pytest.approx(3.0)


@pytest.mark.req("249")
@pytest.mark.parametrize(
    "on_start", [fails(ValueError("no")), lambda _puppet: _raise_later(ValueError("no"))]
)
async def test_spawn_raises_what_on_start_raised(
    system: ActorSystem, witness: Witness, on_start: Any
) -> None:
    ref = system.address("/child")
    with pytest.raises(StartError) as caught:
        await system.spawn(Puppet, witness, on_start, path="/child")
    assert isinstance(caught.value.cause, ValueError)
    assert not ref.is_alive()
    assert witness.hooks == ["on_start", "on_failure"]
    assert len(witness.crashes) == 1


async def _raise_later(error: Exception) -> None:
    await asyncio.sleep(1)
    raise error


@pytest.mark.req("249")
async def test_spawn_raises_what_the_constructor_raised(system: ActorSystem, witness: Witness) -> None:
    class Broken(Puppet):
        def __init__(self) -> None:
            raise KeyError("config")

    with pytest.raises(StartError) as caught:
        await system.spawn(Broken, path="/child")
    assert isinstance(caught.value.cause, KeyError)
    assert not system.address("/child").is_alive()
    assert len(witness.crashes) == 1


@pytest.mark.req("249")
async def test_a_start_that_takes_too_long_is_killed(system: ActorSystem) -> None:
    with pytest.raises(StartTimeout):
        await system.spawn(Puppet, None, sleeps(60), path="/child", start_timeout_s=2.0)
    assert not system.address("/child").is_alive()
    await asyncio.sleep(0.01)
    assert system.leaked == []


@pytest.mark.req("249")
async def test_a_cancelled_spawn_leaves_no_orphan(system: ActorSystem) -> None:
    starting = asyncio.create_task(system.spawn(Puppet, None, sleeps(60), path="/child"))
    await asyncio.sleep(1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert system.actors() == []


# -- 250: on_failure
@pytest.mark.req("250")
@pytest.mark.parametrize("kind", [Puppet, AsyncPuppet, ThreadPuppet])
async def test_on_failure_runs_once_while_the_actor_is_still_registered(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    ref = await system.spawn(kind, witness, path="/child")
    ref.tell(fails(ValueError()))
    await asyncio.sleep(0.01)
    assert witness.hooks == (["on_failure"] if kind is ThreadPuppet else ["on_start", "on_failure"])
    assert witness.alive_in_on_failure == [True]


@pytest.mark.req("250")
async def test_a_failing_on_stop_is_a_crash_and_runs_on_failure_once(
    system: ActorSystem, witness: Witness
) -> None:
    class Broken(Puppet):
        def on_stop(self, exit_: Any) -> None:
            raise ValueError("cannot stop")

    ref = await system.spawn(Broken, witness)
    exit_ = await system.stop(ref)
    assert exit_.kind is ExitKind.CRASHED
    assert witness.hooks == ["on_start", "on_failure"]


@pytest.mark.req("250")
async def test_an_on_failure_that_raises_is_reported_and_ends_the_actor(
    system: ActorSystem, witness: Witness
) -> None:
    class Broken(Puppet):
        def on_failure(self, *_args: Any, **_more: Any) -> None:
            raise KeyError("second")

    ref = await system.spawn(Broken, witness)
    ref.tell(fails(ValueError("first")))
    await asyncio.sleep(0)
    assert [type(report.error) for report in witness.crashes] == [ValueError, KeyError]
    assert ref.last_exit is not None
    assert isinstance(ref.last_exit.error, ValueError)


# -- 251: dead letters
@pytest.mark.req("251")
@pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])
async def test_tells_that_wait_at_a_crash_become_dead_letters_with_the_reason(
    system: ActorSystem, kind: type[Any]
) -> None:
    ref = await system.spawn(kind, path="/child")
    error = ValueError("bad")
    ref.tell(fails(error))
    ref.tell("one")
    ref.tell("two")
    await asyncio.sleep(0.01)
    letters = system.dead_letters.recent()
    assert [(letter.message, letter.recipient, letter.incarnation) for letter in letters] == [
        ("one", "/child", 1),
        ("two", "/child", 1),
    ]
    assert all(letter.cause.error is error for letter in letters)


@pytest.mark.req("251")
async def test_a_tell_to_nobody_is_a_dead_letter_and_does_not_raise(system: ActorSystem) -> None:
    system.address("/nobody").tell("hello")
    assert [letter.recipient for letter in system.dead_letters.recent()] == ["/nobody"]


# -- 252: BaseException
@pytest.mark.req("252")
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (kind, error)
        for kind in (Puppet, AsyncPuppet, ThreadPuppet)
        for error in (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
        if not (kind is AsyncPuppet and error is GeneratorExit)  # that is Python's own: the loop is gone
    ],
)
@pytest.mark.parametrize("asked", [False, True])
async def test_a_base_exception_in_one_actor_ends_that_one_only(
    system: ActorSystem, witness: Witness, kind: type[Any], error: type[BaseException], asked: bool
) -> None:
    other = await system.spawn(Puppet)
    ref = await system.spawn(kind, witness)
    if asked:
        with pytest.raises(ActorDead):
            await ref.call(fails(error()))
    else:
        ref.tell(fails(error()))
    await asyncio.sleep(0.01)
    assert not ref.is_alive()
    assert [type(failure) for failure in witness.failures] == [error]
    assert await other.call("fine") == "fine"


@pytest.mark.req("252")
async def test_a_cancellation_from_within_is_a_crash_and_not_a_stop(
    system: ActorSystem, witness: Witness
) -> None:
    async def awaits_something_cancelled() -> None:
        inner = asyncio.ensure_future(asyncio.sleep(10))
        asyncio.get_running_loop().call_later(1, inner.cancel)
        await inner

    ref = await system.spawn(AsyncPuppet, witness)
    ref.tell(lambda _puppet: awaits_something_cancelled())
    await asyncio.sleep(2)
    assert ref.last_exit is not None
    assert ref.last_exit.kind is ExitKind.CRASHED
    assert witness.hooks == ["on_start", "on_failure"]


@pytest.mark.req("252")
async def test_pykkas_stop_all_does_not_reach_our_actors(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet, path="/child")

    class Exits(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> None:
            raise SystemExit

    threads_before = threading.active_count()
    foreign = Exits.start()
    foreign.tell("now")
    for _ in range(500):
        if threading.active_count() <= threads_before:
            break
        await asyncio.to_thread(time.sleep, 0.01)
    assert not foreign.is_alive()
    assert ref.is_alive()
    assert pykka.ActorRegistry.get_by_class(Puppet) == [ref]
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert system.registry.get_all() == [ref]


# -- 253: every ask ends
@pytest.mark.req("253")
@pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])
async def test_calls_that_wait_when_the_actor_ends_get_actor_dead(
    system: ActorSystem, kind: type[Any]
) -> None:
    ref = await system.spawn(kind, path="/child")
    ref.tell(sleeps(5))
    await asyncio.sleep(1)
    waiting = [asyncio.create_task(ref.call(number)) for number in range(3)]
    await asyncio.sleep(1)
    await system.stop(ref)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [ActorDead] * 3


@pytest.mark.req("253")
async def test_the_call_that_is_being_handled_when_the_actor_is_killed_ends(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncPuppet)
    waiting = asyncio.create_task(ref.call(stubborn(), timeout_s=1000))
    await asyncio.sleep(1)
    before_s = system.clock.now_s()
    system.kill(ref)
    with pytest.raises(ActorDead):
        await waiting
    assert system.clock.now_s() == before_s


@pytest.mark.req("253")
async def test_a_call_to_nobody_fails_at_once(system: ActorSystem) -> None:
    before_s = system.clock.now_s()
    with pytest.raises(pykka.ActorDeadError):
        await system.address("/nobody").call("hello")
    assert system.clock.now_s() == before_s


@pytest.mark.req("253", "190")
async def test_a_call_times_out_and_the_late_answer_is_dropped(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncPuppet)
    before_s = system.clock.now_s()
    with pytest.raises(CallTimeout):
        await ref.call(sleeps(10, "late"), timeout_s=2.0)
    assert system.clock.now_s() - before_s == pytest.approx(2.0)
    assert await ref.call("next", timeout_s=60) == "next"


@pytest.mark.req("190")
async def test_a_call_waits_for_five_seconds_unless_told_otherwise(system: ActorSystem) -> None:
    ref = await system.spawn(AsyncPuppet)
    before_s = system.clock.now_s()
    with pytest.raises(CallTimeout):
        await ref.call(sleeps(10, "late"))
    assert system.clock.now_s() - before_s == pytest.approx(5.0)


@pytest.mark.req("253")
async def test_a_message_put_just_as_the_actor_ends_is_not_lost(system: ActorSystem) -> None:
    """P7, with the interleaving forced: the sender has the mailbox in hand, the actor ends, then the sender puts."""
    ref = await system.spawn(Puppet, path="/child")
    cell = ref.cell
    ref.tell(lambda _puppet: None)
    ref.tell(lambda _puppet: None)  # the second makes the queue
    await asyncio.sleep(0)
    queue, asked = cell.queue, system.address("/other").ask("x", block=False)
    assert asked.done()
    system.kill(ref)

    late: Future[Any] = Future()
    queue.append(Call("late call", late))
    queue.append("late tell")
    if cell.idle:  # what every sender does after it has put
        cell.wake()
    with pytest.raises(ActorDead):
        await late
    assert [letter.message for letter in system.dead_letters.recent()][-1] == "late tell"


@pytest.mark.req("253")
async def test_asks_from_threads_end_whatever_the_actor_does(system: ActorSystem) -> None:
    """Threads ask while the actor is killed and started again: each ask ends, in a value or in ActorDead."""
    ref = await system.spawn(Puppet, path="/child")
    asks, outcomes = 300, []

    def ask_on() -> None:
        for number in range(asks):
            try:
                outcomes.append(ref.ask(number, timeout=30))
            except ActorDead as error:
                outcomes.append(error)

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        system.kill(ref)
        await system.spawn(Puppet, path="/child")
        await asyncio.to_thread(time.sleep, 0.0005)
    assert len(outcomes) == asks * len(threads)


# -- 254: stop before the backlog
@pytest.mark.req("254")
@pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])
async def test_stop_is_served_before_the_backlog(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    ref = await system.spawn(kind, witness)
    for number in range(500):
        ref.tell(number)
    assert await system.stop(ref) == SHUTDOWN
    assert len(witness.handled) <= 1
    assert witness.exits == [SHUTDOWN]
    assert len(system.dead_letters.recent()) >= 499


@pytest.mark.req("254")
@pytest.mark.parametrize("kind", [Puppet, AsyncPuppet])
async def test_a_draining_stop_is_served_after_the_backlog(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    ref = await system.spawn(kind, witness)
    for number in range(500):
        ref.tell(number)
    assert await system.stop(ref, drain=True) == NORMAL
    assert witness.handled == list(range(500))


@pytest.mark.req("254")
async def test_stop_and_get_status_are_served_while_a_handler_is_suspended(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    ref.tell(sleeps(3600))
    await asyncio.sleep(1)
    status = system.get_status(ref)
    assert status is not None
    assert (status.state, status.handling) == ("running", True)
    before_s = system.clock.now_s()
    assert await system.stop(ref, shutdown("bye")) == shutdown("bye")
    assert system.clock.now_s() == before_s
    assert witness.hooks == ["on_start", "on_stop"]


@pytest.mark.req("254")
async def test_an_on_stop_after_an_interruption_can_await(system: ActorSystem, witness: Witness) -> None:
    class Careful(AsyncPuppet):
        async def on_stop(self, exit_: Any) -> None:
            async with asyncio.timeout(5):
                await asyncio.sleep(1)
            self.witness.hooks.append("said goodbye")

    ref = await system.spawn(Careful, witness)
    ref.tell(sleeps(3600))
    await asyncio.sleep(1)
    assert await system.stop(ref) == SHUTDOWN
    assert witness.hooks == ["on_start", "said goodbye"]


# -- 255: awaiting
@pytest.mark.req("255")
async def test_awaiting_an_ask_does_not_block_the_loop(system: ActorSystem) -> None:
    ref = await system.spawn(ThreadPuppet)
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0)
            ticks.append(1)

    ticker = asyncio.create_task(tick())
    assert await ref.ask(lambda _puppet: time.sleep(0.1) or "done", block=False) == "done"
    ticker.cancel()
    assert len(ticks) > 10


@pytest.mark.req("255")
async def test_a_blocking_ask_on_the_loop_is_refused_and_names_the_way(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    with pytest.raises(BlockingOnLoop, match=r"await ref\.call"):
        ref.ask("hello")
    with pytest.raises(BlockingOnLoop, match=r"await system\.stop"):
        ref.stop()
    await asyncio.sleep(0)
    assert witness.handled == []


@pytest.mark.req("255")
async def test_a_mapped_future_can_be_awaited(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet)
    assert await ref.ask(20, block=False).map(lambda value: value + 1) == 21


# -- 256: stop waits for on_stop
@pytest.mark.req("256")
async def test_every_way_to_stop_waits_for_on_stop(system: ActorSystem) -> None:
    class Slow(AsyncPuppet):
        async def on_stop(self, exit_: Any) -> None:
            for _turn in range(10):
                await asyncio.sleep(0)
            self.witness.hooks.append("stopped")

    for stop in (
        lambda ref: ref.stop(block=False),
        lambda ref: asyncio.to_thread(ref.stop),
        lambda ref: asyncio.to_thread(ref.proxy().actor_ref.stop),
        lambda ref: ref.proxy().stop(),
        lambda ref: asyncio.to_thread(lambda: ref.proxy().stop().get(timeout=5)),
        lambda ref: system.stop(ref),
    ):
        witness = Witness()
        ref = await system.spawn(Slow, witness)
        await stop(ref)
        assert witness.hooks == ["on_start", "stopped"]
        assert not ref.is_alive()
    assert await ref.stop(block=False) is False


# -- 257: refs over restarts
@pytest.mark.req("257")
async def test_an_address_reaches_the_new_incarnation_and_a_pinned_ref_fails(system: ActorSystem) -> None:
    ref = await system.spawn(Puppet, path="/child")
    pinned = ref.pinned()
    assert await pinned.call("first") == "first"
    system.kill(ref)
    again = await system.spawn(Puppet, path="/child")
    assert again is ref
    assert ref.incarnation == 2
    assert await ref.call("second") == "second"
    assert not pinned.is_alive()
    with pytest.raises(ActorDead):
        pinned.tell("old")
    with pytest.raises(ActorDead):
        await pinned.call("old")
    with pytest.raises(ActorDead):
        await pinned.put("old")
    with pytest.raises(ActorDead):
        await pinned.ask("old", block=False)
    assert pinned.last_exit == KILLED


@pytest.mark.req("257")
async def test_a_ref_held_by_name_reaches_the_new_incarnation(system: ActorSystem) -> None:
    child = await system.spawn(Puppet, path="/child", parent=await system.spawn(Puppet, path="/parent"))
    system.register("quotes", child)
    system.kill(child)
    await system.spawn(Puppet, path="/child", parent=system.address("/parent"))
    found = system.whereis("quotes")
    assert found is not None
    assert await found.call("hello") == "hello"


async def test_an_on_stop_after_an_interruption_is_not_taken_for_cancelled_any_more(
    system: ActorSystem, witness: Witness
) -> None:
    pending: list[int] = []

    class Grouping(AsyncPuppet):
        async def on_stop(self, exit_: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            pending.append(task.cancelling())  # a TaskGroup would take it for its own cancellation

    ref = await system.spawn(Grouping, witness)
    ref.tell(sleeps(60))
    await asyncio.sleep(0.01)
    await system.stop(ref)
    assert pending == [0]


async def test_an_asynchronous_actor_with_a_long_backlog_lets_others_run(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncPuppet, witness)
    seen: list[int] = []
    ref.tell(lambda _puppet: asyncio.get_running_loop().call_soon(lambda: seen.append(len(witness.handled))))
    for number in range(900):
        ref.tell(number)
    await asyncio.sleep(0.01)
    assert len(witness.handled) == 901
    assert seen[0] <= TURN + 1


async def test_a_plain_actor_with_a_long_backlog_lets_the_loop_read_its_sockets(
    system: ActorSystem, witness: Witness
) -> None:
    refs = [await system.spawn(Puppet, witness) for _ in range(20)]
    seen: list[int] = []
    refs[0].tell(
        lambda _puppet: (
            asyncio.get_running_loop().call_soon(lambda: seen.append(len(witness.handled))) and None
        )
    )
    for number in range(100):
        for ref in refs:
            ref.tell(number)
    await asyncio.sleep(0.01)
    assert len(witness.handled) == 2001
    assert seen[0] <= TURN + BATCH


async def test_a_loop_of_calls_that_never_suspend_lets_others_run(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    seen: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(len(witness.handled)))
    for number in range(1000):
        await ref.call(number)
    assert seen[0] <= TURN


async def test_a_message_that_slips_in_as_a_thread_actor_ends_is_not_lost(system: ActorSystem) -> None:
    ref = await system.spawn(ThreadPuppet)
    cell = ref.cell
    await system.stop(ref)
    future: Future[Any] = Future()
    cell.queue.append(Call("too late", future))  # the sender had seen the cell alive
    cell.added()
    with pytest.raises(ActorDead):
        await asyncio.wait_for(asyncio.ensure_future(_awaited(future)), 1.0)


async def _awaited(future: Future[Any]) -> Any:
    return await future
