# pyright: reportUnknownLambdaType=false
"""Putting messages aside, and the timeout that any message ends."""

import asyncio
import gc
from typing import Any, ClassVar

import pytest
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness

from allstop.actors.runtime import ActorDead, ActorSystem, CallTimeout, Fenced, Mailbox, StashFull, inspection

pytestmark = pytest.mark.virtual


class Opening:
    """Stashes what comes before "open", and then takes it again."""

    stash_capacity: ClassVar[int] = 3
    opened = False

    def act(self, message: Any) -> Any:
        if message == "open":
            self.opened = True
            return self.unstash_all()  # type: ignore[attr-defined]
        if not self.opened:
            return self.stash()  # type: ignore[attr-defined]
        return super().act(message)  # type: ignore[misc]


class PlainOpening(Opening, Puppet):
    pass


class AsyncOpening(Opening, AsyncPuppet):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.001)
        return await super().on_receive(message)


class ThreadOpening(Opening, ThreadPuppet):
    pass


KINDS = pytest.mark.parametrize("kind", [PlainOpening, AsyncOpening, ThreadOpening])


@pytest.mark.req("240")
@KINDS
async def test_stashed_messages_come_back_in_order_and_before_the_mailbox(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    for message in ("a", "b", "open", "c", "d"):
        ref.tell(message)
    await asyncio.sleep(0.1)
    assert witness.handled == ["a", "b", "c", "d"]


@pytest.mark.req("240")
@KINDS
async def test_one_message_too_many_raises_stash_full(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness, path="/door")
    for message in "abcd":
        ref.tell(message)
    await asyncio.sleep(0.1)
    (crash,) = witness.crashes
    assert isinstance(crash.error, StashFull)
    assert "the stash of /door is full (3 messages)" in str(crash.error)
    assert [letter.message for letter in system.dead_letters.recent()] == ["a", "b", "c"]


@KINDS
async def test_a_stashed_call_waits_for_its_answer(system: ActorSystem, witness: Witness, kind: Any) -> None:
    ref = await system.spawn(kind, witness)
    waiting = [asyncio.ensure_future(ref.call(message)) for message in ("a", "b")]
    await asyncio.sleep(0.1)
    assert not any(call.done() for call in waiting)
    assert await ref.call("open") == 2
    assert await asyncio.gather(*waiting) == ["a", "b"]
    assert await ref.call("c") == "c"


@KINDS
async def test_a_call_that_finds_the_stash_full_is_refused_and_the_actor_lives(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    for message in "abc":
        ref.tell(message)
    with pytest.raises(StashFull):
        await ref.call("d")
    ref.tell("open")
    await asyncio.sleep(0.1)
    assert witness.handled == ["a", "b", "c"]


@KINDS
async def test_what_is_stashed_at_the_end_is_not_lost_in_silence(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness)
    ref.tell("told")
    waiting = asyncio.ensure_future(ref.call("called"))
    await asyncio.sleep(0.1)
    await system.stop(ref)
    with pytest.raises(ActorDead):
        await waiting
    assert [letter.message for letter in system.dead_letters.recent()] == ["told"]


async def test_the_caller_of_a_stashed_call_can_give_up(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(PlainOpening, witness)
    with pytest.raises(CallTimeout):
        await ref.call("a", timeout_s=1.0)
    assert await ref.call("open") == 1
    await asyncio.sleep(0.01)
    assert witness.handled == ["a"]  # as in OTP, the late answer is what is dropped


async def test_an_unstashed_message_can_be_stashed_again(system: ActorSystem, witness: Witness) -> None:
    class Twice(Puppet):
        stash_capacity: ClassVar[int] = 2

        def on_receive(self, message: Any) -> Any:
            witness.handled.append(message)
            if message == "again":
                return self.unstash_all()
            return self.stash() if witness.handled.count(message) < 3 else "done"

    ref = await system.spawn(Twice, witness)
    waiting = asyncio.ensure_future(ref.call("a"))
    await asyncio.sleep(0.01)
    ref.tell("b")
    ref.tell("again")
    ref.tell("again")
    await asyncio.sleep(0.01)
    assert await waiting == "done"
    assert witness.handled == ["a", "b", "again", "a", "b", "again", "a", "b"]


async def test_unstashing_may_exceed_the_mailboxs_bound_and_new_messages_then_meet_it(
    system: ActorSystem, witness: Witness
) -> None:
    class Small(PlainOpening):
        mailbox: ClassVar[Mailbox] = Mailbox(2)

    ref = await system.spawn(Small, witness)
    for message in "abc":
        ref.tell(message)
        await asyncio.sleep(0.01)
    ref.tell("open")
    ref.tell("d")
    await asyncio.sleep(0.01)
    assert witness.handled == ["a", "b", "c", "d"]


async def test_a_stop_is_served_before_what_is_unstashed(system: ActorSystem, witness: Witness) -> None:
    class Ending(PlainOpening):
        def act(self, message: Any) -> Any:
            if message == "open":
                self.exit()
            return super().act(message)

    ref = await system.spawn(Ending, witness)
    ref.tell("a")
    ref.tell("open")
    await asyncio.sleep(0.01)
    assert witness.handled == []
    assert [letter.message for letter in system.dead_letters.recent()] == ["a"]


async def test_a_class_without_a_capacity_has_no_stash_and_pays_nothing(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)
    with pytest.raises(RuntimeError, match="give the class a `stash_capacity`"):
        await ref.call(lambda puppet: puppet.stash())
    assert "remembered" not in Puppet.on_receive.__qualname__
    assert "on_receive" not in vars(ref.cell.actor or Puppet())


async def test_a_message_is_stashed_once_and_only_in_its_handler(
    system: ActorSystem, witness: Witness
) -> None:
    class Hasty(Puppet):
        stash_capacity: ClassVar[int] = 2

        def on_start(self) -> None:
            with pytest.raises(RuntimeError, match="for the message being handled"):
                self.stash()

    ref = await system.spawn(Hasty, witness)
    ref.tell(lambda puppet: (puppet.stash(), puppet.stash()))
    await asyncio.sleep(0.01)
    assert "once for each" in str(witness.crashes[0].error)


async def test_a_call_is_deferred_or_stashed_and_not_both(system: ActorSystem, witness: Witness) -> None:
    class Both(Puppet):
        stash_capacity: ClassVar[int] = 2

    ref = await system.spawn(Both, witness)
    with pytest.raises(RuntimeError, match="do one of the two"):
        await ref.call(lambda puppet: (puppet.defer(), puppet.stash()))


async def test_a_killed_actor_stashes_nothing(system: ActorSystem, witness: Witness) -> None:
    class Doomed(Puppet):
        stash_capacity: ClassVar[int] = 2

        def on_receive(self, message: Any) -> Any:
            system.kill(self.ref)
            with pytest.raises(Fenced):
                self.stash()
            witness.handled.append(message)

    (await system.spawn(Doomed, witness)).tell("a")
    await asyncio.sleep(0.01)
    assert witness.handled == ["a"]


async def test_a_subclass_inherits_the_stash(system: ActorSystem, witness: Witness) -> None:
    class Child(PlainOpening):
        pass

    class Overriding(PlainOpening):
        def on_receive(self, message: Any) -> Any:
            return super().on_receive(message)

    for kind in (Child, Overriding):
        ref = await system.spawn(kind, witness)
        ref.tell("a")
        ref.tell("open")
    await asyncio.sleep(0.01)
    assert witness.handled == ["a", "a"]


# -- receive timeout
class Waiting(Puppet):
    """Sets its receive timeout when it starts, or as a message tells it."""

    def __init__(self, witness: Witness, delay_s: float | None) -> None:
        super().__init__(witness, lambda puppet: puppet.set_receive_timeout(delay_s, "timeout"))


class AsyncWaiting(Waiting):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return super().on_receive(message)


WAITING = pytest.mark.parametrize("kind", [Waiting, AsyncWaiting])


@pytest.mark.req("203")
@WAITING
async def test_without_a_message_the_receive_timeout_comes_once(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    await system.spawn(kind, witness, 5.0)
    await asyncio.sleep(4.9)
    assert witness.handled == []
    await asyncio.sleep(60)
    assert witness.handled == ["timeout"]


@pytest.mark.req("203")
@pytest.mark.parametrize("way", ["tell", "call", "timer", "down", "proxy", "put"])
@WAITING
async def test_any_message_cancels_the_receive_timeout(
    system: ActorSystem, witness: Witness, kind: Any, way: str
) -> None:
    other = await system.spawn(Puppet)
    ref = await system.spawn(kind, witness, 5.0)
    actor = ref.cell.actor
    match way:
        case "tell":
            ref.tell("a")
        case "put":
            await ref.put("a")
        case "call":
            await ref.call("a")
        case "timer":
            actor.send_after(1.0, "a")
        case "down":
            actor.monitor(other)
            system.kill(other)
        case _:
            await ref.proxy().format_status()
    await asyncio.sleep(60)
    assert "timeout" not in witness.handled
    assert "on_receive" not in vars(actor)  # from here on it costs nothing again


@pytest.mark.req("203")
@WAITING
async def test_a_zero_receive_timeout_is_handled_before_the_next_queued_message(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness, None)
    ref.tell(lambda puppet: puppet.set_receive_timeout(0, "timeout"))
    ref.tell("queued")
    await asyncio.sleep(0.01)
    assert witness.handled[1:] == ["timeout", "queued"]


@pytest.mark.req("203")
async def test_a_zero_receive_timeout_from_on_start_comes_before_early_mail(
    system: ActorSystem, witness: Witness
) -> None:
    address = system.address("/early")

    async def start(puppet: Any) -> None:
        address.tell("early")
        await asyncio.sleep(1)
        puppet.set_receive_timeout(0, "timeout")

    await system.spawn(Puppet, witness, start, path="/early")
    await asyncio.sleep(0.01)
    assert witness.handled == ["timeout", "early"]


@pytest.mark.req("203")
async def test_a_receive_timeout_that_fired_too_late_is_dropped(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness)

    async def busy(puppet: Any) -> None:
        puppet.set_receive_timeout(1.0, "stale")
        ref.tell("queued before it fires")
        await asyncio.sleep(2.0)  # it fires while its own handler is still suspended

    ref.tell(busy)
    await asyncio.sleep(60)
    assert witness.handled[1:] == ["queued before it fires"]


@pytest.mark.req("203")
async def test_a_new_receive_timeout_replaces_the_old_and_none_cancels(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Waiting, witness, 1.0)
    actor = ref.cell.actor
    actor.set_receive_timeout(3.0, "second")
    await asyncio.sleep(2)
    assert witness.handled == []
    await asyncio.sleep(2)
    assert witness.handled == ["second"]
    actor.set_receive_timeout(1.0, "never")
    actor.set_receive_timeout(None)
    actor.set_receive_timeout(float("inf"), "nor this")
    await asyncio.sleep(60)
    assert witness.handled == ["second"]


async def test_a_zero_receive_timeout_again_and_again_does_not_hold_up_a_stop(system: ActorSystem) -> None:
    class Spinning(Puppet):
        def on_receive(self, message: Any) -> Any:
            self.set_receive_timeout(0, message)

    ref = await system.spawn(Spinning)
    ref.tell("round")
    await asyncio.sleep(0)  # virtual time stands still while it spins
    await system.stop(ref, timeout_s=1.0)
    assert ref.last_exit is not None
    assert ref.last_exit.clean


@pytest.mark.parametrize("delay_s", [-1.0, float("nan")])
async def test_a_wrong_delay_is_refused(system: ActorSystem, delay_s: float) -> None:
    ref = await system.spawn(Puppet)
    with pytest.raises(ValueError, match="delay_s: seconds from 0 on"):
        await ref.call(lambda puppet: puppet.set_receive_timeout(delay_s))


async def test_a_receive_timeout_dies_with_its_incarnation(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(Waiting, witness, 1.0, path="/a")
    system.kill(ref)
    await system.spawn(Puppet, witness, path="/a")
    await asyncio.sleep(60)
    assert witness.handled == []


class Late(Opening):
    """Stashes when nothing is being handled."""

    opened = True
    refused = ""

    def act(self, message: Any) -> Any:
        if message == "later":
            self.start_task(self.stash_later(), "later")  # type: ignore[attr-defined]
            return None
        return super().act(message)

    async def stash_later(self) -> None:
        await asyncio.sleep(1)
        try:
            self.stash()  # type: ignore[attr-defined]
        except RuntimeError as error:
            self.refused = str(error)


class PlainLate(Late, Puppet):
    pass


class AsyncLate(Late, AsyncPuppet):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.001)
        return await super().on_receive(message)


@pytest.mark.parametrize("kind", [PlainLate, AsyncLate])
async def test_a_message_that_was_handled_cannot_be_stashed_any_more(
    system: ActorSystem, witness: Witness, kind: Any
) -> None:
    ref = await system.spawn(kind, witness, path="/late")
    ref.tell("later")
    await asyncio.sleep(2)
    assert "is for the message being handled" in ref.cell.actor.refused
    assert await ref.call("open") == 0


@pytest.mark.filterwarnings("error")
async def test_a_handler_that_is_killed_before_it_ran_leaves_no_coroutine_that_nobody_awaited(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(AsyncOpening, witness)
    await inspection.trace(ref, str)
    ref.tell("never begun")
    asyncio.get_running_loop().call_soon(system.kill, ref)
    await asyncio.sleep(1)
    gc.collect()
    assert witness.handled == []
