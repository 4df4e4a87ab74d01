# pyright: reportUnknownLambdaType=false
import asyncio
import threading
import time
from typing import Any

import pytest
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness, sleeps

from allstop.actors.exits import NORMAL
from allstop.actors.runtime import ActorDead, ActorSystem, Mailbox, MailboxFull, Overflow, StartError, lanes
from allstop.actors.runtime.messages import ExitSignal, LinkEnded

pytestmark = pytest.mark.virtual


def boxed(kind: type[Any], overflow: Overflow, capacity: int = 3, **more: Any) -> type[Any]:
    key = (
        (lambda message: message[0] if isinstance(message, tuple) else None)
        if overflow is Overflow.CONFLATE
        else None
    )
    return type("Boxed", (kind,), {"mailbox": Mailbox(capacity, overflow, key, **more)})


async def busy(system: ActorSystem, witness: Witness, overflow: Overflow, **more: Any) -> Any:
    """An actor that is suspended in a handler for 10 s, so that mail piles up."""
    ref = await system.spawn(boxed(AsyncPuppet, overflow, **more), witness)
    ref.tell(sleeps(10))
    await asyncio.sleep(0.1)
    witness.handled.clear()
    return ref


async def test_refuse_raises_at_the_bound_and_keeps_what_waits(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.REFUSE)
    for number in range(3):
        ref.tell(number)
    with pytest.raises(MailboxFull):
        ref.tell(3)
    with pytest.raises(MailboxFull):
        await ref.call(4)
    with pytest.raises(MailboxFull):
        await ref.ask(5, block=False)
    await asyncio.sleep(20)
    assert witness.handled == [0, 1, 2]


async def test_drop_oldest_keeps_the_newest(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.DROP_OLDEST)
    for number in range(5):
        ref.tell(number)
    await asyncio.sleep(20)
    assert witness.handled == [2, 3, 4]
    assert [letter.message for letter in system.dead_letters.recent()] == [0, 1]


async def test_drop_oldest_answers_a_call_that_it_drops(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.DROP_OLDEST)
    waiting = asyncio.create_task(ref.call("asked"))
    await asyncio.sleep(0.1)
    for number in range(3):
        ref.tell(number)
    with pytest.raises(MailboxFull):
        await waiting


async def test_drop_oldest_never_drops_a_stop(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(boxed(Puppet, Overflow.DROP_OLDEST), witness)
    ref.tell("first")
    ref.stop(block=False)
    for number in range(10):
        ref.tell(number)
    await asyncio.sleep(0.1)
    assert not ref.is_alive()


async def test_drop_newest_keeps_the_oldest(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.DROP_NEWEST)
    for number in range(5):
        ref.tell(number)
    await asyncio.sleep(20)
    assert witness.handled == [0, 1, 2]
    assert [letter.message for letter in system.dead_letters.recent()] == [3, 4]


async def test_conflate_keeps_the_newest_of_each_key_in_the_place_of_the_first(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await busy(system, witness, Overflow.CONFLATE)
    for message in [("btc", 1), ("eth", 1), ("btc", 2), "no key", ("btc", 3)]:
        ref.tell(message)
    with pytest.raises(MailboxFull):
        ref.tell(("sol", 1))
    await asyncio.sleep(20)
    assert witness.handled == [("btc", 3), ("eth", 1), "no key"]
    ref.tell(("btc", 4))
    ref.tell(("btc", 5))
    await asyncio.sleep(1)
    assert witness.handled[-1] == ("btc", 5)


async def test_what_conflate_holds_at_the_end_becomes_dead_letters(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await busy(system, witness, Overflow.CONFLATE)
    ref.tell(("btc", 1))
    ref.tell(("btc", 2))
    system.kill(ref)
    assert [letter.message for letter in system.dead_letters.recent()] == [("btc", 2)]


async def test_block_refuses_a_tell_on_the_loop_and_names_put(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.BLOCK)
    for number in range(3):
        ref.tell(number)
    with pytest.raises(MailboxFull, match=r"await ref\.put"):
        ref.tell(3)


async def test_put_waits_until_the_message_is_taken(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.BLOCK, put_timeout_s=60.0)
    before_s = system.clock.now_s()
    for number in range(4):
        await ref.put(number)
    assert system.clock.now_s() - before_s == pytest.approx(9.9)
    await asyncio.sleep(1)
    assert witness.handled == [0, 1, 2, 3]


async def test_put_gives_up_in_time_and_the_message_is_not_handled(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await busy(system, witness, Overflow.BLOCK, put_timeout_s=2.0)
    for number in range(3):
        await ref.put(number)
    with pytest.raises(MailboxFull):
        await ref.put("given up")
    await asyncio.sleep(20)
    assert witness.handled == [0, 1, 2]


async def test_put_ends_when_the_actor_does(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.BLOCK, put_timeout_s=60.0)
    for number in range(3):
        await ref.put(number)
    waiting = asyncio.create_task(ref.put("late"))
    await asyncio.sleep(1)
    system.kill(ref)
    with pytest.raises(ActorDead):
        await waiting
    assert [letter.message for letter in system.dead_letters.recent()] == [0, 1, 2, "late"]


async def test_a_cancelled_put_is_cancelled_also_when_its_message_has_just_left_it(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await busy(system, witness, Overflow.BLOCK, put_timeout_s=60.0)
    for number in range(3):
        await ref.put(number)
    waiting = asyncio.create_task(ref.put("late"))
    await asyncio.sleep(1)
    waiting.cancel()
    system.kill(ref)  # takes the parked message away before the cancelled task runs
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert "late" in [letter.message for letter in system.dead_letters.recent()]


@pytest.mark.parametrize("kind", [Puppet, ThreadPuppet])
async def test_block_parks_a_thread_until_its_message_is_taken(
    system: ActorSystem, witness: Witness, kind: type[Any]
) -> None:
    ref = await system.spawn(boxed(kind, Overflow.BLOCK, capacity=2, put_timeout_s=30.0), witness)

    def send() -> None:
        for number in range(200):
            ref.tell(number)

    await asyncio.to_thread(send)
    await ref.call("end")
    assert witness.handled == [*range(200), "end"]


async def test_a_full_thread_mailbox_refuses(system: ActorSystem, witness: Witness) -> None:
    ref = await system.spawn(boxed(ThreadPuppet, Overflow.REFUSE), witness)
    entered, release = threading.Event(), threading.Event()
    ref.tell(lambda _puppet: entered.set() or release.wait(10))
    await asyncio.to_thread(entered.wait, 10)
    for number in range(3):
        ref.tell(number)
    with pytest.raises(MailboxFull):
        ref.tell(3)
    release.set()
    while len(witness.handled) < 4:
        await asyncio.to_thread(time.sleep, 0.001)
    assert witness.handled[1:] == [0, 1, 2]


async def test_a_full_control_lane_crashes_the_actor(
    system: ActorSystem, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "CONTROL_LANE_MAX", 3)
    ref = await busy(system, witness, Overflow.REFUSE)
    for _ in range(4):
        ref.cell.post(LinkEnded(ref, ExitSignal(ref, 1, NORMAL)))
    assert "ControlLaneFull" in str(ref.last_exit)


async def test_the_downs_of_many_that_end_at_once_do_not_fill_the_control_lane(
    system: ActorSystem, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes once: as many as somebody started or watches."""
    monkeypatch.setattr(lanes, "CONTROL_LANE_MAX", 3)
    ref = await busy(system, witness, Overflow.REFUSE)
    for child in [await system.spawn(Puppet) for _ in range(5)]:
        system.observe(_monitor(child, ref))
        system.kill(child)
    assert ref.is_alive()


def _monitor(child: Any, watcher: Any) -> Any:
    from allstop.actors.runtime.messages import MonitorRef

    return MonitorRef(child, watcher.cell, final=False)


@pytest.mark.parametrize("overflow", [Overflow.REFUSE, Overflow.CONFLATE])
def test_a_mailbox_that_makes_no_sense_is_refused(overflow: Overflow) -> None:
    with pytest.raises(ValueError, match="mailbox"):
        Mailbox(capacity=0)
    with pytest.raises(ValueError, match="CONFLATE"):
        Mailbox(overflow=overflow, key=None if overflow is Overflow.CONFLATE else hash)


# -- metrics ------------------------------------------------------------------------------------------------------------
def counts(system: ActorSystem, ref: Any) -> dict[str, int]:
    """What is not nothing."""
    metrics = system.mailbox_metrics(ref)
    assert metrics is not None
    shown = {name: getattr(metrics, name) for name in metrics.__struct_fields__}
    del shown["capacity"], shown["overflow"]
    return {name: number for name, number in shown.items() if number}


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [
        (Overflow.REFUSE, {"length": 3, "high_water": 3, "refused": 2}),
        (Overflow.DROP_OLDEST, {"length": 3, "high_water": 3, "dropped": 2}),
        (Overflow.DROP_NEWEST, {"length": 3, "high_water": 3, "dropped": 2}),
        (Overflow.CONFLATE, {"length": 3, "high_water": 3, "refused": 2}),
        (Overflow.BLOCK, {"length": 3, "high_water": 3, "refused": 2}),  # a tell on the loop cannot be parked
    ],
)
async def test_metrics_count_what_a_full_mailbox_does(
    system: ActorSystem, witness: Witness, overflow: Overflow, expected: dict[str, int]
) -> None:
    expected = dict(expected)
    ref = await busy(system, witness, overflow)
    assert counts(system, ref) == {}
    for number in range(5):
        try:
            ref.tell((number, "price"))
        except MailboxFull:
            assert "refused" in expected
    assert counts(system, ref) == expected
    await asyncio.sleep(20)
    del expected["length"]
    assert counts(system, ref) == expected


async def test_metrics_count_conflated_messages(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.CONFLATE)
    for price in range(4):
        ref.tell(("BTC", price))
    assert counts(system, ref) == {"length": 1, "high_water": 1, "conflated": 3}


async def test_metrics_count_senders_that_were_parked_and_those_that_gave_up(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await busy(system, witness, Overflow.BLOCK, put_timeout_s=1.0)
    for number in range(3):
        ref.tell(number)
    with pytest.raises(MailboxFull):
        await ref.put("too late")
    waiting = asyncio.create_task(ref.put("cancelled"))
    await asyncio.sleep(0.1)
    waiting.cancel()
    metrics = system.mailbox_metrics(ref)
    assert metrics is not None
    assert (metrics.parked, metrics.refused) == (2, 1)


async def test_metrics_of_a_new_incarnation_begin_at_nothing(system: ActorSystem, witness: Witness) -> None:
    ref = await busy(system, witness, Overflow.DROP_NEWEST)
    for number in range(5):
        ref.tell(number)
    system.kill(ref)
    assert system.mailbox_metrics(ref) is None
    again = await busy(system, witness, Overflow.DROP_NEWEST)
    assert counts(system, again) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"overflow": "drop"}, "one of refuse, drop_oldest, drop_newest, conflate, block, not 'drop'"),
        ({"capacity": 2.5}, "a whole number of messages, at least one, not 2.5"),
        ({"put_timeout_s": 0}, "put_timeout_s: seconds above 0, not 0"),
    ],
)
def test_a_mailbox_that_makes_no_sense_is_refused_when_it_is_made(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Mailbox(**wrong)


def test_an_overflow_may_be_its_word() -> None:
    word: Any = "drop_oldest"
    assert Mailbox(overflow=word).overflow is Overflow.DROP_OLDEST


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mailbox", 100, r"Bad.mailbox is a Mailbox, as in Mailbox\(capacity=100\), not 100"),
        ("max_handler_s", 0, "Bad.max_handler_s is seconds above 0, or None, not 0"),
        ("max_handler_s", "1", "Bad.max_handler_s is seconds above 0, or None, not '1'"),
        ("stash_capacity", -1, "Bad.stash_capacity is a whole number from 0 on, not -1"),
    ],
)
def test_a_class_that_says_nonsense_of_itself_is_refused_when_it_is_made(
    name: str, value: object, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        type("Bad", (Puppet,), {name: value})


async def test_what_is_no_class_of_actors_is_not_spawned(system: ActorSystem, witness: Witness) -> None:
    for wrong in (dict, Puppet(witness)):
        nonsense: Any = wrong
        with pytest.raises((TypeError, StartError), match="spawn takes a class of actors and its arguments"):
            await system.spawn(nonsense, path="/nonsense")
        assert not system.address("/nonsense").is_alive()
    assert (await system.spawn(Puppet, witness, path="/nonsense")).is_alive()
