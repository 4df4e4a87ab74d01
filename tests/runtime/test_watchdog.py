"""The watchdog thread: who holds the loop, with what, for how long, and when it is over."""

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.runtime.puppet import AsyncPuppet, Puppet, Witness

from allstop.actors.clock import ManualClock
from allstop.actors.events import Event, HandlerHung, HandlerReturned, LoopHeld
from allstop.actors.runtime import Actor, ActorSystem, Ref
from allstop.actors.runtime.hangs.watchdog import Watchdog

LIMIT_S = 0.2
PATIENCE_S = 20.0  # real seconds that a held loop waits for the watchdog: far more than it takes


class Watch:
    """A system's events, and a handler that holds the loop until the watchdog has told of it `times` times."""

    def __init__(self, times: int = 1) -> None:
        self.events: list[Event] = []
        self.threads: list[str] = []
        self._times = times
        self._told = threading.Event()
        self._holding = False

    def __call__(self, event: Event) -> None:
        if not isinstance(event, HandlerHung | HandlerReturned | LoopHeld):
            return
        self.events.append(event)
        self.threads.append(threading.current_thread().name)
        if isinstance(event, HandlerHung) and event.times >= self._times and self._holding:
            self._told.set()

    def hold(self, _puppet: Any = None) -> str:
        self._holding = True
        assert self._told.wait(PATIENCE_S), "the watchdog said nothing"
        return "back"

    def hung(self, path: str) -> list[HandlerHung]:
        """By path: on a machine that is busy with other things, the test itself may seem to hold the loop."""
        return [event for event in self.events if isinstance(event, HandlerHung) and event.path == path]

    async def returned(self, path: str) -> HandlerReturned:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.events:
                    if isinstance(event, HandlerReturned) and event.path == path:
                        return event
                await asyncio.sleep(0.01)


class Hold:
    """A message class of our own, so that its name is known."""


class Holder(Actor):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_receive(self, message: Any) -> Any:
        return self._watch.hold() if isinstance(message, Hold) else message


class AsyncHolder(Holder):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return self._watch.hold() if isinstance(message, Hold) else message


class StartHolder(Actor):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_start(self) -> None:
        self._watch.hold()


async def tells(ref: Ref) -> None:
    ref.tell(Hold())


async def calls(ref: Ref) -> None:
    await ref.call(Hold(), timeout_s=PATIENCE_S)


async def asks(ref: Ref) -> None:
    await asyncio.to_thread(ref.ask, Hold(), timeout=PATIENCE_S)


@pytest.mark.parametrize("send", [tells, calls, asks])
@pytest.mark.parametrize("kind", [Holder, AsyncHolder])
async def test_a_handler_that_holds_the_loop_is_told_of_with_actor_message_and_stack(
    kind: type[Holder], send: Any
) -> None:
    watch = Watch()
    async with ActorSystem(on_event=watch, max_handler_s=LIMIT_S) as system:
        ref = await system.spawn(kind, watch, path="/slow")
        await ref.call("first", timeout_s=PATIENCE_S)
        await send(ref)
        returned = await watch.returned("/slow")
    hung = watch.hung("/slow")[0]
    assert (hung.path, hung.incarnation, hung.actor_class, hung.message) == (
        "/slow",
        1,
        kind.__name__,
        "Hold",
    )
    assert (hung.where, hung.times, hung.limit_s) == ("loop", 1, LIMIT_S)
    assert hung.held_s >= LIMIT_S * 0.9
    assert any("test_watchdog.py" in line and line.endswith(" on_receive") for line in hung.stack)
    assert watch.threads[watch.events.index(hung)] == "allstop watchdog"
    assert (returned.path, returned.incarnation, returned.message) == ("/slow", 1, "Hold")
    assert returned.held_s >= hung.held_s


async def test_a_hang_is_told_of_again_at_doubling_intervals_and_its_end_once() -> None:
    watch = Watch(times=3)
    async with ActorSystem(on_event=watch, max_handler_s=LIMIT_S) as system:
        ref = await system.spawn(Holder, watch, path="/slow")
        assert await ref.call(Hold(), timeout_s=PATIENCE_S) == "back"
        await watch.returned("/slow")
        await asyncio.sleep(3 * LIMIT_S)
    assert [hung.times for hung in watch.hung("/slow")] == [1, 2, 3]
    first, second, third = (hung.held_s for hung in watch.hung("/slow"))
    assert first >= LIMIT_S * 0.9
    assert second >= LIMIT_S * 2
    assert third >= LIMIT_S * 4
    over = [event for event in watch.events if isinstance(event, HandlerReturned) and event.path == "/slow"]
    assert len(over) == 1


async def test_a_hook_that_holds_the_loop_is_told_of_by_its_name() -> None:
    watch = Watch()
    async with ActorSystem(on_event=watch, max_handler_s=LIMIT_S) as system:
        await system.spawn(StartHolder, watch, path="/slow")
    assert watch.hung("/slow")[0].message == "on_start"


async def test_a_task_that_is_no_actor_is_told_of_by_its_name() -> None:
    watch = Watch()

    async def outsider() -> None:
        watch.hold()

    async with ActorSystem(on_event=watch, max_handler_s=LIMIT_S):
        await asyncio.create_task(outsider(), name="an outsider")
    hung = watch.hung("an outsider")[0]
    assert (hung.incarnation, hung.actor_class) == (0, "")
    assert any(line.endswith(" outsider") for line in hung.stack)


async def test_a_class_may_have_a_shorter_limit_than_its_system_and_not_a_longer_one() -> None:
    class Short(Holder):
        max_handler_s = LIMIT_S

    class Long(Holder):
        max_handler_s = 3600.0

    for kind, system_s in ((Short, LIMIT_S * 4), (Long, LIMIT_S)):
        watch = Watch()
        async with ActorSystem(on_event=watch, max_handler_s=system_s) as system:
            ref = await system.spawn(kind, watch, path="/slow")
            await ref.call(Hold(), timeout_s=PATIENCE_S)
        assert watch.hung("/slow")[0].limit_s == LIMIT_S


async def test_its_thread_ends_with_the_system_also_with_one_that_is_never_closed() -> None:
    def watchdogs() -> int:
        return len([thread for thread in threading.enumerate() if thread.name == "allstop watchdog"])

    before = watchdogs()
    async with ActorSystem():
        assert watchdogs() == before + 1
    assert watchdogs() == before

    def forgets_to_close() -> None:
        async def main() -> None:
            await ActorSystem(max_handler_s=LIMIT_S).start()

        asyncio.run(main())

    await asyncio.to_thread(forgets_to_close)
    async with asyncio.timeout(PATIENCE_S):
        while watchdogs() > before:
            await asyncio.sleep(0.01)


async def test_no_limit_no_watchdog() -> None:
    async with ActorSystem(max_handler_s=None):
        assert "allstop watchdog" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
async def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="max_handler_s"):
        await ActorSystem(max_handler_s=limit).start()


def looks(watchdog: Watchdog, at_s: float) -> Callable[[Any], None]:
    """A message whose handler is being handled when the watchdog looks."""
    return lambda _puppet: watchdog.look(at_s)


@pytest.mark.virtual
class TestByHand:
    """With virtual time there is no thread: whoever wants looks, gives them."""

    @pytest.mark.req("222")
    async def test_a_hang_is_told_of_between_nine_and_ten_tenths_of_the_limit(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        clock = ManualClock()
        watchdog = Watchdog(system, 1.0, clock)
        ref = await system.spawn(Puppet, path="/slow")
        told: list[float] = []

        def hold(_puppet: Any) -> None:
            for tenth in range(1, 32):
                before = len(witness.events)
                watchdog.look(tenth / 10)
                if len(witness.events) > before:
                    told.append(tenth / 10)

        watchdog.look(0.0)
        await ref.call(hold)
        assert told == [0.9, 2.0]
        clock.advance(3.15)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [type(event) for event in witness.events] == [HandlerHung, HandlerHung, HandlerReturned]
        assert [event.held_s for event in witness.events] == [0.9, 2.0, 3.15]  # type: ignore[attr-defined]

    async def test_no_thread_runs_under_virtual_time(self, system: ActorSystem) -> None:
        assert "allstop watchdog" not in [thread.name for thread in threading.enumerate()]

    async def test_many_short_handlers_in_one_turn_are_no_hang_but_a_held_loop(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        watchdog = Watchdog(system, 1.0)
        ref = await system.spawn(Puppet, path="/busy")
        for tenth in range(25):
            ref.tell(looks(watchdog, tenth / 10))
        await ref.call("the last")
        assert [type(event) for event in witness.events] == [LoopHeld]
        held = witness.events[0]
        assert isinstance(held, LoopHeld)
        assert (held.path, held.held_s) == ("/busy", 1.0)
        assert "many handlers" in held.why

    async def test_a_pause_in_which_the_watchdog_could_not_run_either_is_told_of_when_it_is_over(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        watchdog = Watchdog(system, 1.0)
        watchdog.look(0.0)
        await asyncio.sleep(0)
        watchdog.look(5.0)
        (held,) = witness.events
        assert isinstance(held, LoopHeld)
        assert held.held_s == 5.0
        assert "interpreter's lock" in held.why

    async def test_the_end_of_a_hang_that_comes_while_it_is_told_of_is_told_all_the_same(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        watchdog = Watchdog(system, 1.0)
        ref = await system.spawn(Puppet, path="/slow")

        def returns_meanwhile(event: Event) -> None:
            if isinstance(event, HandlerHung):
                watchdog._sign_of_life()

        system.subscribe(returns_meanwhile)
        watchdog.look(0.0)

        def hold(_puppet: Any) -> None:
            for tenth in range(1, 10):
                watchdog.look(tenth / 10)

        await ref.call(hold)
        watchdog.look(1.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [type(event) for event in witness.events] == [HandlerHung, HandlerReturned]

    async def test_of_a_handler_within_a_handler_the_inner_one_is_told_of(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        watchdog = Watchdog(system, 1.0)

        def hold(_puppet: Any) -> None:
            for tenth in range(10):
                watchdog.look(tenth / 10)

        inner = await system.spawn(Puppet, path="/inner")
        outer = await system.spawn(AsyncPuppet, path="/outer")

        def calls_inner(_puppet: Any) -> Any:
            return inner.call(hold)

        await outer.call(calls_inner)
        assert {event.path for event in witness.events} == {"/inner"}


async def test_what_the_watchdog_saw_is_let_go_once_the_loop_lives() -> None:
    watch = Watch()
    async with ActorSystem(on_event=watch, max_handler_s=LIMIT_S) as system:
        ref = await system.spawn(Holder, watch, path="/slow")
        await ref.call(Hold(), timeout_s=PATIENCE_S)
        await watch.returned("/slow")
        gc.collect()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Hold)]
