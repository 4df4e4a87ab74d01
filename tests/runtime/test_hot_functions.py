"""Ref.tell and the run loop, for whichever code runs them: test_compiled.py runs this file with the other, too."""

import asyncio
import gc
import sys
import threading
import traceback
from typing import Any

import pytest
from tests.runtime.puppet import Puppet, Witness

from allstop.actors.exits import NORMAL
from allstop.actors.runtime import Actor, ActorSystem, Fenced, Mailbox, MailboxFull, Ref
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.scheduler import BATCH, TURN, Scheduler

pytestmark = pytest.mark.virtual


async def handled(ref: Ref) -> None:
    """Until what was told so far is handled."""
    await ref.call("the last")


# -- what tell takes
async def test_the_message_may_be_given_by_name(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Puppet, witness)
    ref.tell(message="first")
    ref.tell(message="second")
    await handled(ref)
    assert witness.handled[:2] == ["first", "second"]


@pytest.mark.parametrize("arguments", [(), ("one", "two"), ("1", "2", "3", "4", "5")])
async def test_tell_takes_one_message(system: ActorSystem, arguments: tuple[str, ...]) -> None:
    ref = await system.spawn(Puppet)
    tell: Any = ref.tell
    with pytest.raises(TypeError, match="tell"):
        tell(*arguments)
    with pytest.raises(TypeError, match="tell"):
        tell(*arguments, massage="x")


async def test_tell_is_for_refs() -> None:
    tell: Any = Ref.tell
    with pytest.raises((TypeError, AttributeError)):
        tell("no ref", "message")


@pytest.mark.parametrize("capacity", [1, 5, 2**70])
async def test_a_mailbox_takes_what_it_has_room_for(system: ActorSystem, capacity: int) -> None:
    class Bounded(Puppet):
        mailbox = Mailbox(capacity=capacity)

    witness = Witness()
    ref = await system.spawn(Bounded, witness)
    room = min(capacity, 300)
    for number in range(1 + room):  # one rides in the run queue
        ref.tell(number)
    if capacity == room:
        with pytest.raises(MailboxFull):
            ref.tell("one too many")
    await asyncio.sleep(0.001)
    assert witness.handled == list(range(1 + room))


# -- subclasses
class Elsewhere(Ref):
    """A ref that keeps its cell in a property of its own."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(ref.system, ref.path)
        self.of = ref

    @property
    def _cell(self) -> Any:
        return self.of.cell

    @_cell.setter
    def _cell(self, cell: Any) -> None:
        del cell


class Busy(Cell):
    """A cell whose `idle` is False to whoever asks: every message goes through its queue."""

    looks = 0
    rests = False

    @property
    def idle(self) -> bool:
        self.looks += 1
        return False

    @idle.setter
    def idle(self, rests: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.rests = rests
        if rests and self.queue:
            self.added()

    def added(self) -> None:
        if self.rests:
            self.rests = False
            self.wake()


class BusyPuppet(Puppet):
    cell_class = Busy


async def test_a_subclass_of_ref_may_say_where_its_cell_is(system: ActorSystem, witness: Witness) -> None:
    ref = Elsewhere(await system.spawn(Puppet, witness, path="/there"))
    ref.tell("idle")
    ref.tell("behind it")
    await handled(ref)
    assert witness.handled[:2] == ["idle", "behind it"]


async def test_a_subclass_of_cell_may_have_properties_where_cells_have_slots(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(BusyPuppet, witness)
    for number in range(3 * BATCH):
        ref.tell(number)
    await handled(ref)
    assert witness.handled[: 3 * BATCH] == list(range(3 * BATCH))
    assert ref.cell.looks > 0


async def test_a_handler_of_one_instance_stands_before_that_of_its_class(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    seen: list[Any] = []
    ref.cell.actor.on_receive = seen.append
    for number in range(3):
        ref.tell(number)
    await asyncio.sleep(0.001)
    del ref.cell.actor.on_receive
    ref.tell("after")
    await handled(ref)
    assert (seen, witness.handled[0]) == ([0, 1, 2], "after")


# -- what handlers raise
class Grave(Puppet):
    """Looks, when it fails, at what Python says is being handled."""

    handling: "list[BaseException | None]" = []

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        super().on_failure(exception_type, exception_value, traceback)
        self.handling.append(sys.exc_info()[1])


def fails(_puppet: Any) -> None:
    raise LookupError("here")


def dies(puppet: Any) -> None:
    puppet.system.kill(puppet.ref)


@pytest.mark.parametrize("behind", [0, 3])
async def test_what_a_handler_raises_has_the_frames_of_the_handler(
    system: ActorSystem, witness: Witness, behind: int
) -> None:
    ref = await system.spawn(Grave, witness)
    for _ in range(behind):
        ref.tell("before")
    ref.tell(fails)
    ref.tell("lost")
    await asyncio.sleep(0.001)
    (error,) = witness.failures
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-3:] == ["on_receive", "act", "fails"]
    assert len(names) == 4  # and the loop's, which crash reports show first
    assert Grave.handling.pop() is error
    assert error.__context__ is None
    assert witness.crashes[0].last_message is fails
    assert [letter.message for letter in system.dead_letters.recent()] == ["lost"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
async def test_whatever_a_handler_raises_ends_its_actor_and_no_other(
    system: ActorSystem, witness: Witness, kind: type[BaseException]
) -> None:
    def interrupt(_puppet: Any) -> None:
        raise kind

    ref, other = await system.spawn(Puppet, witness), await system.spawn(Puppet)
    ref.tell(interrupt)
    other.tell("in the same turn")
    assert await other.call("alive") == "alive"
    assert not ref.is_alive()
    assert isinstance(witness.failures[0], kind)


async def test_a_turn_goes_on_behind_an_actor_that_crashed(system: ActorSystem, witness: Witness) -> None:
    doomed = [await system.spawn(Puppet, path=f"/doomed/{number}") for number in range(20)]
    ref = await system.spawn(Puppet, witness)
    for each in doomed:
        each.tell(fails)
        ref.tell(each.path)
    await asyncio.sleep(0)
    assert witness.handled == [each.path for each in doomed]
    assert not any(each.is_alive() for each in doomed)


# -- handlers that do more than handle
async def test_an_actor_that_is_killed_by_its_own_handler_handles_nothing_more(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness, path="/mine")
    ref.tell("before")
    ref.tell(dies)
    for number in range(5):
        ref.tell(number)
    await asyncio.sleep(0.001)
    assert witness.handled[0] == "before"
    assert len(witness.handled) == 2
    assert [letter.message for letter in system.dead_letters.recent()] == [0, 1, 2, 3, 4]


async def test_an_actor_that_exits_in_its_handler_stops_before_what_waits(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness, path="/mine")
    ref.tell(Puppet.exit)
    ref.tell("never")
    await asyncio.sleep(0.001)
    assert "never" not in witness.handled
    assert ref.last_exit == NORMAL


async def test_a_handler_may_tell_itself_without_end_and_others_still_run(system: ActorSystem) -> None:
    told = 0

    def again(puppet: Any) -> None:
        nonlocal told
        told += 1
        puppet.ref.tell(again)
        puppet.ref.tell(again) if told < BATCH else None

    ref, other = await system.spawn(Puppet), await system.spawn(Puppet)
    ref.tell(again)
    for _ in range(10):
        assert await other.call("alive") == "alive"
        await asyncio.sleep(0)
    assert told > BATCH
    system.kill(ref)


async def test_one_message_that_goes_round_for_ever_is_bounded_by_the_turn(system: ActorSystem) -> None:
    """Each hop finds an idle actor, so that nothing but the run queue ever holds it."""
    hops = 0
    refs = [await system.spawn(Puppet) for _ in range(3)]

    def hop(puppet: Any) -> None:
        nonlocal hops
        hops += 1
        if hops < 10 * TURN:
            refs[(refs.index(puppet.ref) + 1) % len(refs)].tell(hop)

    refs[0].tell(hop)
    turns: list[int] = []
    while hops < 10 * TURN:
        before = hops
        await asyncio.sleep(0)
        turns.append(hops - before)
    assert max(turns) == TURN


async def test_the_loop_may_be_entered_again_from_a_handler(system: ActorSystem, witness: Witness) -> None:
    """As in a system that closes: whoever sends then runs the queue at once."""
    ref, other = await system.spawn(Puppet, witness), await system.spawn(Puppet, witness)

    def enter(_puppet: Any) -> str:
        other.tell("inner")
        system.scheduler.run()
        return "outer"

    ref.tell(enter)
    ref.tell("after")
    await asyncio.sleep(0.001)
    assert witness.handled[1:] == ["inner", "after"]


async def test_what_is_no_pair_in_the_run_queue_is_an_error_and_not_a_crash_of_the_interpreter() -> None:
    scheduler = Scheduler(asyncio.get_running_loop())
    scheduler.ready.append("neither a cell nor a message")  # pyright: ignore
    with pytest.raises((TypeError, ValueError)):
        scheduler._turn()


async def test_a_handler_that_turns_out_to_be_a_coroutine_gets_its_task_in_the_midst_of_the_mail(
    system: ActorSystem, witness: Witness
) -> None:
    async def later(_puppet: Any) -> None:
        await asyncio.sleep(1)
        witness.hooks.append("slept")

    ref = await system.spawn(Puppet, witness)
    for message in ("a", later, "b"):
        ref.tell(message)
    await asyncio.sleep(0.5)
    assert witness.handled == ["a", later]
    await asyncio.sleep(1)
    assert witness.handled == ["a", later, "b"]


async def test_a_fenced_ref_sends_nothing(system: ActorSystem, witness: Witness) -> None:
    refs: list[Any] = []

    def escape(puppet: Any) -> None:
        system.kill(puppet.ref)
        refs.append(puppet.ref)

    ref = await system.spawn(Puppet, witness)
    ref.tell(escape)
    await asyncio.sleep(0.001)
    with pytest.raises(Fenced):
        refs[0].tell("late")


# -- what is left behind
class Counted(Actor):
    mailbox = Mailbox(capacity=2_000)
    seen = 0

    def on_receive(self, message: Any) -> Any:
        self.seen += 1
        return self.seen


class Turning(Actor):
    """A task that ends with its mail."""

    keeps_task = False

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return message


async def _many_messages(system: ActorSystem, message: object, count: int) -> None:
    plain, tasked = await system.spawn(Counted), await system.spawn(Turning)
    for _ in range(count // 1_000):
        for _ in range(949):
            plain.tell(message)  # the first rides, the others queue, in more batches than one
        await plain.call(message, timeout_s=60)
        for _ in range(25):
            plain.tell(message)
            await asyncio.sleep(0)  # idle each time
        tasked.tell(message)
        tasked.tell(message)
        await tasked.call(message)
        doomed = await system.spawn(Puppet)
        doomed.tell(message)
        doomed.tell(fails)
        doomed.tell(message)
        vacant = system.address("/vacant")
        vacant.tell(message)
        await asyncio.sleep(0)
    for ref in (plain, tasked):
        await system.stop(ref)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_million_messages_leave_nothing_behind() -> None:
    message, constants = object(), (True, False)

    def left() -> list[int]:
        gc.collect()
        return [sys.getallocatedblocks(), len(gc.get_objects()), sys.getrefcount(message)]

    async with ActorSystem(on_event=lambda _event: None) as system:
        await _many_messages(system, message, 600_000)  # the ring of dead letters is full from here on
        before, held = left(), [sys.getrefcount(constant) for constant in constants]
        await _many_messages(system, message, 1_000_000)
        after = left()
        now_held = [sys.getrefcount(constant) for constant in constants]
    grown = [now - then for now, then in zip(after, before, strict=True)]
    assert max(grown) < 1_000, f"blocks, objects, references to the message: {grown}"
    assert all(abs(now - then) < 1_000 for now, then in zip(now_held, held, strict=True))


async def test_threads_and_the_loop_may_tell_one_idle_actor_at_once(system: ActorSystem) -> None:
    ref = await system.spawn(Counted)
    each, senders = 1_500, 4
    gates = threading.Barrier(senders)

    def send() -> None:
        gates.wait(timeout=10)
        for _ in range(each):
            while True:
                try:
                    ref.tell("x")
                    break
                except MailboxFull:
                    pass

    threads = [threading.Thread(target=send) for _ in range(senders)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await asyncio.to_thread(threads[0].join, 0.001)
    assert await ref.call("last") == senders * each + 1
