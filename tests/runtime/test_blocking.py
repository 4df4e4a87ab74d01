"""What blocks a thread is refused on one that runs an event loop, with the way to go; everywhere else it works."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pykka
import pytest

from allstop.actors.errors import ReplyError
from allstop.actors.runtime import (
    Actor,
    ActorSystem,
    BlockingOnLoop,
    CallingSelf,
    CallTimeout,
    Mailbox,
    MailboxFull,
    Overflow,
    Ref,
    ThreadActor,
)

PATIENCE_S = 20.0


class Counter(Actor):
    def __init__(self) -> None:
        self.total = 0

    def on_receive(self, message: Any) -> Any:
        self.total += message
        return self.total

    def twice(self) -> int:
        return 2 * self.total


class Worker(ThreadActor):
    """Runs the functions it is sent on its own thread, with itself as the argument."""

    def on_receive(self, message: Any) -> Any:
        return message()


def asks(ref: Ref) -> Any:
    return ref.ask(1, timeout=PATIENCE_S)


def gets_a_future(ref: Ref) -> Any:
    return ref.ask(1, block=False).get(timeout=PATIENCE_S)


def gets_a_mapped_future(ref: Ref) -> Any:
    return ref.ask(1, block=False).map(int).get(timeout=PATIENCE_S)


def gets_them_all(ref: Ref) -> Any:
    return next(iter(pykka.get_all([ref.ask(1, block=False)], timeout=PATIENCE_S)))


def reads_through_a_proxy(ref: Ref) -> Any:
    return ref.proxy().total.get(timeout=PATIENCE_S) + 1


def calls_through_a_proxy(ref: Ref) -> Any:
    return ref.proxy().twice().get(timeout=PATIENCE_S) + 1


def writes_through_a_proxy(ref: Ref) -> Any:
    ref.proxy().total = 1
    return 1


def stops(ref: Ref) -> Any:
    return ref.stop(timeout=PATIENCE_S) and 1


def stops_through_a_proxy(ref: Ref) -> Any:
    return ref.proxy().actor_ref.stop(timeout=PATIENCE_S) and 1


BLOCKING = (
    asks,
    gets_a_future,
    gets_a_mapped_future,
    gets_them_all,
    reads_through_a_proxy,
    calls_through_a_proxy,
    writes_through_a_proxy,
    stops,
    stops_through_a_proxy,
)


async def on_its_loop(system: ActorSystem, act: Callable[[], Any]) -> Any:
    del system
    return act()


async def in_a_handler(system: ActorSystem, act: Callable[[], Any]) -> Any:
    class Inside(Actor):
        def on_receive(self, message: Any) -> Any:
            try:
                return message()
            except BlockingOnLoop as error:
                return error

    result = await (await system.spawn(Inside)).call(act)
    if isinstance(result, BlockingOnLoop):
        raise result
    return result


async def on_another_loop(system: ActorSystem, act: Callable[[], Any]) -> Any:
    """While the system's own loop stands still, so that no answer can be there already."""
    del system
    raised: list[BaseException] = []

    async def main() -> None:
        try:
            act()
        except BlockingOnLoop as error:
            raised.append(error)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    thread.join(PATIENCE_S)
    for error in raised:
        raise error


async def on_a_thread(system: ActorSystem, act: Callable[[], Any]) -> Any:
    del system
    return await asyncio.to_thread(act)


async def in_a_thread_actor(system: ActorSystem, act: Callable[[], Any]) -> Any:
    return await (await system.spawn(Worker)).call(act, timeout_s=PATIENCE_S)


Place = Callable[[ActorSystem, Callable[[], Any]], Coroutine[Any, Any, Any]]


@pytest.mark.req("255")
@pytest.mark.parametrize("act", BLOCKING)
@pytest.mark.parametrize("place", [on_its_loop, in_a_handler, on_another_loop])
async def test_where_a_loop_runs_it_is_refused_and_the_error_names_the_way(
    system: ActorSystem, place: Place, act: Callable[[Ref], Any]
) -> None:
    ref = await system.spawn(Counter, path="/counter")
    with pytest.raises(BlockingOnLoop, match="await"):
        await place(system, lambda: act(ref))
    assert ref.is_alive()


@pytest.mark.req("255", "256")
@pytest.mark.parametrize("act", BLOCKING)
@pytest.mark.parametrize("place", [on_a_thread, in_a_thread_actor])
async def test_where_no_loop_runs_it_works(
    system: ActorSystem, place: Place, act: Callable[[Ref], Any]
) -> None:
    ref = await system.spawn(Counter, path="/counter")
    assert await place(system, lambda: act(ref)) == 1
    assert ref.is_alive() is (act not in (stops, stops_through_a_proxy))


@pytest.mark.parametrize("place", [on_its_loop, in_a_handler])
async def test_an_answer_that_is_there_can_be_got_on_the_loop(system: ActorSystem, place: Place) -> None:
    ref = await system.spawn(Counter)
    future = ref.ask(1, block=False)
    await future
    assert await place(system, future.get) == 1


async def test_a_full_blocking_mailbox_parks_a_thread_and_refuses_a_loop(system: ActorSystem) -> None:
    release = threading.Event()

    class Slow(ThreadActor):
        mailbox = Mailbox(capacity=1, overflow=Overflow.BLOCK, put_timeout_s=PATIENCE_S)

        def on_receive(self, message: Any) -> Any:
            return release.wait(PATIENCE_S)

    ref = await system.spawn(Slow)
    ref.tell("handled")
    while ref.cell.queue:
        await asyncio.sleep(0.001)
    ref.tell("waits")
    with pytest.raises(MailboxFull, match=r"await ref\.put"):
        ref.tell("one too many")
    worker = await system.spawn(Worker)
    parked = asyncio.create_task(worker.call(lambda: ref.tell("parked"), timeout_s=PATIENCE_S))
    await asyncio.sleep(0.05)
    assert not parked.done()
    release.set()
    await parked


@pytest.mark.req("252")
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError(), GeneratorExit()]
)
@pytest.mark.parametrize("where", ["handler", "coroutine", "thread", "task"])
async def test_whatever_is_raised_in_one_actor_the_others_live(
    system: ActorSystem, error: BaseException, where: str
) -> None:
    class Plain(Actor):
        def on_receive(self, message: Any) -> Any:
            raise error

    class Async(Actor):
        async def on_receive(self, message: Any) -> Any:
            await asyncio.sleep(0)
            raise error

    class Threaded(ThreadActor):
        def on_receive(self, message: Any) -> Any:
            raise error

    class Tasked(Actor):
        def on_receive(self, message: Any) -> Any:
            async def fails() -> None:
                raise error

            self.start_task(fails(), "fails")

    kind = {"handler": Plain, "coroutine": Async, "thread": Threaded, "task": Tasked}[where]
    bystanders = [await system.spawn(other) for other in (Counter, Worker)]
    victim = await system.spawn(kind)
    victim.tell("fail")
    async with asyncio.timeout(PATIENCE_S):
        while victim.is_alive():
            await asyncio.sleep(0.001)
    assert victim.last_exit is not None
    assert victim.last_exit.abnormal
    assert await bystanders[0].call(1) == 1
    assert await bystanders[1].call(lambda: "alive", timeout_s=PATIENCE_S) == "alive"


# -- the lock that a thread keeps for its next ask ----------------------------------------------------------------------
class Waits(Actor):
    """Answers when it is told what."""

    def __init__(self) -> None:
        self.reply: Any = None

    def on_receive(self, message: Any) -> Any:
        if message == "now":
            return "at once"
        if message == "later":
            self.reply = self.defer()
        elif isinstance(message, BaseException):
            self.reply.fail(message)
        else:
            self.reply.set(message)
        return None


async def test_an_answer_that_comes_too_late_is_no_answer_to_the_next_ask(system: ActorSystem) -> None:
    ref = await system.spawn(Waits)

    def ask_twice() -> list[Any]:
        answers: list[Any] = [ref.ask("now", timeout=PATIENCE_S)]
        with pytest.raises(CallTimeout):
            ref.ask("later", timeout=0.01)
        late = threading.Timer(0.05, ref.tell, ["too late"])
        late.start()
        answers.append(other.ask("later", timeout=PATIENCE_S))
        late.join()
        answers.append(ref.ask("now", timeout=PATIENCE_S))
        return answers

    other = await system.spawn(Waits)
    asked = asyncio.create_task(asyncio.to_thread(ask_twice))
    while ref.cell.actor.reply is None or other.cell.actor.reply is None:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)  # the late answer of the first comes while the second is still waited for
    other.tell("the second's own")
    assert await asked == ["at once", "the second's own", "at once"]


async def test_an_error_answer_that_comes_after_the_asker_gave_up_is_a_dead_letter(
    system: ActorSystem,
) -> None:
    ref = await system.spawn(Waits)

    def give_up() -> None:
        with pytest.raises(CallTimeout):
            ref.ask("later", timeout=0.01)

    await asyncio.to_thread(give_up)
    refusal = ReplyError("no such order")
    ref.tell(refusal)
    await ref.call("now")
    assert [(letter.message, letter.kind) for letter in system.dead_letters.recent()] == [(refusal, "answer")]


async def test_threads_that_ask_at_once_get_each_their_own_answer(system: ActorSystem) -> None:
    class Echo(Actor):
        def on_receive(self, message: Any) -> Any:
            return message

    ref = await system.spawn(Echo)

    def ask_many(name: int) -> list[Any]:
        return [ref.ask((name, number), timeout=PATIENCE_S) for number in range(200)]

    for name, answers in enumerate(await asyncio.gather(*(asyncio.to_thread(ask_many, n) for n in range(4)))):
        assert answers == [(name, number) for number in range(200)]


def asks_itself(actor: Any) -> None:
    actor.ref.ask("x")


def asks_its_incarnation(actor: Any) -> None:
    actor.ref.pinned().ask("x")


def stops_itself(actor: Any) -> None:
    actor.ref.stop()


@pytest.mark.parametrize("does", [asks_itself, asks_its_incarnation, stops_itself])
async def test_a_thread_that_asks_or_stops_itself_is_refused_instead_of_waiting_for_ever(
    system: ActorSystem, does: Callable[[Any], Any]
) -> None:
    class Selfish(ThreadActor):
        def on_receive(self, message: Any) -> Any:
            try:
                does(self)
            except CallingSelf as error:
                return str(error)

    ref = await system.spawn(Selfish, path="/selfish")
    assert (await ref.call("now", timeout_s=5.0)).endswith("itself, and would wait for itself for ever")
