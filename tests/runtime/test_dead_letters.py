"""Messages that reached nobody: counted, kept, told, and handed on once more when a person says so."""

import asyncio
import gc
import threading
from typing import Any, ClassVar

import msgspec
import pytest
from tests.runtime.process_puppets import Remote
from tests.runtime.puppet import Puppet, Witness, fails, sleeps

from allstop.actors import commands, intents, levels, order_talk
from allstop.actors.errors import ReplyError
from allstop.actors.exits import ExitKind
from allstop.actors.runtime import ActorSystem, DeadLetter, Mailbox, Overflow, inspection
from allstop.actors.runtime.dead_letters import DEAD_LETTERS_MAX
from allstop.actors.runtime.future import Future

pytestmark = pytest.mark.virtual


class Buy(msgspec.Struct, frozen=True):
    """An order command of a user's own."""

    no_replay: ClassVar[bool] = True

    qty: int


class BuyMore(Buy, frozen=True):
    pass


class Foreign:
    """A class that one cannot mark."""


def anything(_letter: DeadLetter) -> bool:
    return True


def messages(letters: Any) -> list[Any]:
    return [letter.message for letter in letters]


# -- kept and counted --------------------------------------------------------------------------------------------------
@pytest.mark.req("251")
async def test_what_waits_at_a_crash_is_kept_with_when_and_why(system: ActorSystem) -> None:
    await asyncio.sleep(5)
    ref = await system.spawn(Puppet, path="/puppet")
    ref.tell(fails(KeyError("crash")))
    ref.tell("second")
    await asyncio.sleep(1)
    [letter] = system.dead_letters.recent()
    assert (letter.message, letter.recipient, letter.incarnation, letter.kind) == (
        "second",
        "/puppet",
        1,
        "tell",
    )
    assert letter.cause.kind is ExitKind.CRASHED
    assert isinstance(letter.cause.error, KeyError)
    assert letter.at_ns == system.clock.wall_ns() - 1_000_000_000


async def test_letters_are_counted_by_cause(system: ActorSystem) -> None:
    class Small(Puppet):
        mailbox: ClassVar[Mailbox] = Mailbox(capacity=1, overflow=Overflow.DROP_NEWEST)

    for _ in range(3):
        system.address("/nobody").tell("lost")
    ref = await system.spawn(Small)
    ref.tell(fails(KeyError("crash")))
    ref.tell("waits")
    ref.tell("dropped")
    await asyncio.sleep(1)
    system.kill(await system.spawn(Small, path="/killed"))
    system.address("/killed").tell("late")
    assert system.dead_letters.counts == {
        "nothing runs at this address": 3,
        "dropped: the mailbox was full": 1,
        "crashed": 1,
        "killed": 1,
    }
    assert system.dead_letters.count == 6


async def test_the_ring_forgets_the_oldest_and_the_counts_do_not(system: ActorSystem) -> None:
    for number in range(1_500):
        system.address("/nobody").tell(number)
    assert messages(system.dead_letters.recent()) == list(range(500, 1_500))
    assert sum(system.dead_letters.counts.values()) == system.dead_letters.count == 1_500


async def test_a_subscriber_is_told_of_each_letter_until_it_ends_its_subscription(
    system: ActorSystem,
) -> None:
    seen: list[DeadLetter] = []
    end = system.dead_letters.subscribe(seen.append)
    system.address("/nobody").tell("a")
    end()
    end()  # twice is once
    system.address("/nobody").tell("b")
    assert messages(seen) == ["a"]


async def test_letters_from_many_threads_are_all_counted(system: ActorSystem) -> None:
    nobody = system.address("/nobody")

    def lose() -> None:
        for number in range(1_000):
            nobody.tell(number)

    threads = [threading.Thread(target=lose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert system.dead_letters.count == 4_000
    assert system.dead_letters.counts == {"nothing runs at this address": 4_000}


@pytest.mark.req("248")
async def test_an_error_answer_that_nobody_reads_is_a_letter_of_its_own_kind(system: ActorSystem) -> None:
    def refuse(_puppet: Any) -> None:
        raise ReplyError("unread")

    ref = await system.spawn(Puppet)
    ref.ask(refuse, block=False)
    await asyncio.sleep(1)
    gc.collect()  # the error's traceback holds the future that holds the error
    assert [(letter.kind, str(letter.message)) for letter in system.dead_letters.recent()] == [
        ("answer", "unread")
    ]
    replay = system.dead_letters.replay(anything)
    assert [refusal.why for refusal in replay.refused] == ["not a told message"]


async def test_a_letter_before_the_system_starts_has_no_time() -> None:
    system = ActorSystem()
    system.address("/nobody").tell("early")
    assert [letter.at_ns for letter in system.dead_letters.recent()] == [0]


# -- replayed ----------------------------------------------------------------------------------------------------------
async def test_selected_letters_are_told_to_the_address_again_in_their_order_and_only_once(
    system: ActorSystem, witness: Witness
) -> None:
    address = system.address("/later")
    for number in range(6):
        address.tell(number)
    system.address("/other").tell("of another")
    await system.spawn(Puppet, witness, path="/later")
    replay = system.dead_letters.replay(
        lambda letter: letter.recipient == "/later" and letter.message % 2 == 0
    )
    await asyncio.sleep(1)
    assert witness.handled == messages(replay.replayed) == [0, 2, 4]
    assert replay.refused == ()
    assert messages(system.dead_letters.recent()) == [1, 3, 5, "of another"]
    again = system.dead_letters.replay(lambda letter: letter.message in (0, 2, 4))
    assert again.replayed == ()
    assert system.dead_letters.count == 7


async def test_letters_can_be_handed_to_another_actor(system: ActorSystem, witness: Witness) -> None:
    system.address("/gone").tell("a")
    other = await system.spawn(Puppet, witness)
    system.dead_letters.replay(anything, to=other)
    await asyncio.sleep(1)
    assert witness.handled == ["a"]


@pytest.mark.req("245")
async def test_an_order_command_is_never_replayed(system: ActorSystem, witness: Witness) -> None:
    address = system.address("/orders")
    system.dead_letters.never_replay(Foreign)
    foreign = Foreign()
    for message in (Buy(1), "harmless", BuyMore(2), foreign):
        address.tell(message)
    await system.spawn(Puppet, witness, path="/orders")
    replay = system.dead_letters.replay(anything)
    await asyncio.sleep(1)
    assert witness.handled == ["harmless"]
    assert [(refusal.letter.message, refusal.why) for refusal in replay.refused] == [
        (Buy(1), "Buy is never replayed"),
        (BuyMore(2), "BuyMore is never replayed"),
        (foreign, "Foreign is never replayed"),
    ]
    assert messages(system.dead_letters.recent()) == [Buy(1), BuyMore(2), foreign]


@pytest.mark.req("245")
@pytest.mark.parametrize(
    "kind",
    [
        commands.Submit,
        commands.Amend,
        commands.Cancel,
        commands.Place,
        commands.BeginExit,
        commands.CancelIntent,
        commands.AmendIntent,
        commands.Proof,  # stale evidence opens no gate
        intents.OrderIntent,
        levels.CastVote,
        levels.WithdrawVote,  # a stale one raises no level
        order_talk.CancelOrder,
        order_talk.AmendOrder,
    ],
)
def test_every_order_command_and_all_evidence_is_marked(kind: Any) -> None:
    assert kind.no_replay is True
    assert "no_replay" not in kind.__struct_fields__


async def test_calls_are_never_replayed_because_their_caller_was_told_already(
    system: ActorSystem, witness: Witness
) -> None:
    ref = await system.spawn(Puppet, witness, path="/puppet")
    ref.tell(fails(KeyError("crash")))
    asked = ref.ask("a call", block=False)
    ref.proxy().act.defer("a proxy's tell")
    await asyncio.sleep(1)
    with pytest.raises(Exception, match="is not running"):
        await asked
    await system.spawn(Puppet, witness, path="/puppet")
    replay = system.dead_letters.replay(anything)
    await asyncio.sleep(1)
    assert replay.replayed == ()
    assert [refusal.why for refusal in replay.refused] == ["not a told message"]
    assert "a call" not in witness.handled
    assert "a proxy's tell" not in witness.handled


async def test_where_nobody_runs_letters_stay(system: ActorSystem) -> None:
    system.address("/nobody").tell("a")
    replay = system.dead_letters.replay(anything)
    assert [refusal.why for refusal in replay.refused] == ["nothing runs at /nobody"]
    assert messages(system.dead_letters.recent()) == ["a"]
    assert system.dead_letters.count == 1


async def test_what_a_full_mailbox_refuses_stays_a_letter(system: ActorSystem, witness: Witness) -> None:
    class Small(Puppet):
        mailbox: ClassVar[Mailbox] = Mailbox(capacity=2)

    for number in range(4):
        system.address("/small").tell(number)
    ref = await system.spawn(Small, witness, path="/small")
    await inspection.suspend(ref)
    replay = system.dead_letters.replay(anything)
    assert messages(replay.replayed) == [0, 1]
    assert [refusal.why for refusal in replay.refused] == ["the mailbox of /small is full (2 messages)"] * 2
    assert messages(system.dead_letters.recent()) == [2, 3]
    assert system.dead_letters.count == 4


async def test_what_is_replayed_and_lost_again_is_a_new_letter(system: ActorSystem) -> None:
    address = system.address("/puppet")
    address.tell("unlucky")
    ref = await system.spawn(Puppet, path="/puppet")
    ref.tell(fails(KeyError("crash")))
    system.dead_letters.replay(anything)
    await asyncio.sleep(1)
    assert [(letter.message, letter.incarnation) for letter in system.dead_letters.recent()] == [
        ("unlucky", 1)
    ]
    assert system.dead_letters.count == 2


async def test_a_hung_actor_can_still_be_sent_what_was_lost(system: ActorSystem, witness: Witness) -> None:
    system.address("/slow").tell("lost")
    ref = await system.spawn(Puppet, witness, path="/slow")
    ref.tell(sleeps(5))
    await asyncio.sleep(1)
    system.dead_letters.replay(anything)
    await asyncio.sleep(10)
    assert witness.handled[1:] == ["lost"]


async def test_what_cannot_travel_to_another_process_stays_a_letter(system: ActorSystem) -> None:
    system.address("/far").tell(1j)
    system.address("/far").tell("fits")
    await system.spawn(Remote, path="/far", isolation="process")
    replay = system.dead_letters.replay(anything)
    assert messages(replay.replayed) == ["fits"]
    assert [refusal.why for refusal in replay.refused] == [
        "complex cannot be sent to another process: builtins.complex is not in `wire` - at `$`"
    ]
    assert messages(system.dead_letters.recent()) == [1j]


async def test_a_letter_that_falls_out_may_free_an_unread_answer_which_is_lost_then(
    system: ActorSystem,
) -> None:
    answer: Future[Any] = Future()
    answer.on_lost = lambda error: system.lose_answer(system.address("/puppet"), error)
    answer.set_exception(ReplyError("nobody will read this"))
    system.dead_letters.add(DeadLetter(answer, "/puppet", 1, "held an answer"))
    del answer

    def fills() -> None:
        for number in range(DEAD_LETTERS_MAX):
            system.dead_letters.add(DeadLetter(number, "/puppet", 1, "fills"))

    thread = threading.Thread(target=fills, daemon=True)  # it would wait for itself
    thread.start()
    thread.join(5.0)
    assert not thread.is_alive()
    assert [letter.kind for letter in system.dead_letters.recent()].count("answer") == 1
