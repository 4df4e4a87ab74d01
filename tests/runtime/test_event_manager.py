# pyright: reportUnknownLambdaType=false
"""gen_event: handlers that live and fail alone, owners that are told, subscribers that are actors."""

import asyncio
from typing import Any, ClassVar

import pytest
from tests.runtime.process_puppets import Remote
from tests.runtime.puppet import Puppet, Witness, fails

from allstop.actors.errors import ReplyError
from allstop.actors.events import HandlerRemoved
from allstop.actors.exits import SHUTDOWN
from allstop.actors.runtime import (
    ActorDead,
    ActorSystem,
    BadReturnValue,
    EventHandler,
    EventManager,
    HandlerDown,
    HandlerEnd,
    HandlerExists,
    HandlerFailed,
    HandlerRefused,
    Mailbox,
    NoSuchHandler,
    Overflow,
    Ref,
    Remove,
    Swap,
    Why,
)

pytestmark = pytest.mark.virtual


class Notes(EventHandler):
    """Writes down what it is told. An event that is a function is called with it."""

    def __init__(self, name: str, notes: list[Any]) -> None:
        self.name = name
        self.notes = notes

    def on_start(self, previous: Any) -> None:
        if previous is not None:
            self.notes.append((self.name, "after", previous))

    def on_event(self, event: Any) -> Any:
        if callable(event):
            return event(self)
        self.notes.append((self.name, event))
        return None

    def on_call(self, request: Any) -> Any:
        return request(self) if callable(request) else (self.name, request)

    def on_stop(self, end: HandlerEnd) -> Any:
        self.notes.append((self.name, end.why))
        return f"{self.name}'s last word on {end.argument}"


@pytest.fixture
async def manager(system: ActorSystem) -> Ref:
    return await system.spawn(EventManager, path="/bus")


def only(name: str, result: Any) -> Any:
    """An event on which only the handler of this name does something."""

    def act(handler: Notes) -> Any:
        if handler.name != name:
            handler.notes.append((handler.name, "saw it"))
            return None
        return result(handler) if callable(result) else result

    return act


def broken(_handler: Any) -> Any:
    raise ValueError("broken")


async def test_handlers_run_in_the_order_they_were_added(manager: Ref) -> None:
    notes: list[Any] = []
    for name in "abc":
        await EventManager.add_handler(manager, name, Notes, name, notes)
    manager.tell("x")
    EventManager.notify(manager, "y")
    assert await EventManager.which_handlers(manager) == ["a", "b", "c"]
    assert notes == [(name, event) for event in "xy" for name in "abc"]


@pytest.mark.req("215")
async def test_sync_notify_returns_after_all_handlers_ran_and_notify_before(manager: Ref) -> None:
    notes: list[Any] = []
    for name in "ab":
        await EventManager.add_handler(manager, name, Notes, name, notes)
    EventManager.notify(manager, "x")
    assert notes == []
    await EventManager.sync_notify(manager, "y")
    assert notes == [("a", "x"), ("b", "x"), ("a", "y"), ("b", "y")]


@pytest.mark.req("214")
@pytest.mark.parametrize(("bad", "kind"), [(broken, ValueError), (lambda _: 42, BadReturnValue)])
async def test_a_handler_that_raises_or_returns_garbage_is_removed_and_the_others_go_on(
    system: ActorSystem, manager: Ref, witness: Witness, bad: Any, kind: Any
) -> None:
    notes: list[Any] = []
    for name in "abc":
        await EventManager.add_handler(manager, name, Notes, name, notes)
    event = only("b", bad)
    await EventManager.sync_notify(manager, event)
    await EventManager.sync_notify(manager, "next")
    assert notes == [("a", "saw it"), ("b", Why.ERROR), ("c", "saw it"), ("a", "next"), ("c", "next")]
    assert await EventManager.which_handlers(manager) == ["a", "c"]
    (told,) = [event for event in witness.events if isinstance(event, HandlerRemoved)]
    assert (told.path, told.handler, told.last_event) == ("/bus", "b", event)
    assert isinstance(told.error, kind)
    assert not witness.crashes


@pytest.mark.req("214")
async def test_a_handler_that_fails_in_a_call_is_removed_and_the_caller_is_told(
    system: ActorSystem, manager: Ref
) -> None:
    await EventManager.add_handler(manager, "a", Notes, "a", [])
    with pytest.raises(HandlerFailed, match="'a' failed and was removed") as caught:
        await EventManager.call(manager, "a", broken)
    assert isinstance(caught.value.__cause__, ValueError)
    assert await EventManager.which_handlers(manager) == []


@pytest.mark.req("214")
async def test_a_handler_that_fails_to_stop_is_gone_all_the_same(
    system: ActorSystem, manager: Ref, witness: Witness
) -> None:
    class Clinging(Notes):
        def on_stop(self, end: HandlerEnd) -> Any:
            raise ValueError("no")

    await EventManager.add_handler(manager, "a", Clinging, "a", [])
    assert await EventManager.delete_handler(manager, "a") is None
    assert await EventManager.which_handlers(manager) == []
    assert [event.handler for event in witness.events if isinstance(event, HandlerRemoved)] == ["a"]


async def test_call_asks_one_handler(manager: Ref) -> None:
    notes: list[Any] = []
    for name in "ab":
        await EventManager.add_handler(manager, name, Notes, name, notes)
    assert await EventManager.call(manager, "b", "q") == ("b", "q")

    def refuse(_handler: Any) -> Any:
        raise ReplyError("not now")

    with pytest.raises(ReplyError, match="not now"):
        await EventManager.call(manager, "b", refuse)
    assert await EventManager.call(manager, "b", lambda _: Remove("bye")) == "bye"
    with pytest.raises(NoSuchHandler):
        await EventManager.call(manager, "b", "q")
    assert notes == [("b", Why.REMOVED)]


async def test_a_handler_may_remove_itself(manager: Ref) -> None:
    notes: list[Any] = []
    await EventManager.add_handler(manager, "a", Notes, "a", notes)
    await EventManager.sync_notify(manager, lambda _: Remove())
    assert notes == [("a", Why.REMOVED)]
    assert await EventManager.which_handlers(manager) == []


async def test_delete_handler_gives_its_last_word(manager: Ref) -> None:
    await EventManager.add_handler(manager, "a", Notes, "a", [])
    assert await EventManager.delete_handler(manager, "a", "duty") == "a's last word on duty"
    with pytest.raises(NoSuchHandler, match="/bus has no handler 'a'"):
        await EventManager.delete_handler(manager, "a")


async def test_swap_handler_hands_the_last_word_to_the_heir(manager: Ref) -> None:
    notes: list[Any] = []
    await EventManager.add_handler(manager, "a", Notes, "a", notes)
    await EventManager.swap_handler(manager, "a", "b", Notes, "b", notes, argument="duty")
    assert notes == [("a", Why.SWAPPED), ("b", "after", "a's last word on duty")]
    await EventManager.swap_handler(manager, "nobody", "c", Notes, "c", notes)
    assert await EventManager.which_handlers(manager) == ["b", "c"]
    with pytest.raises(HandlerExists):
        await EventManager.swap_handler(manager, "b", "c", Notes, "c", notes)
    await EventManager.swap_handler(manager, "c", "c", Notes, "c", notes)  # itself, renewed
    assert await EventManager.which_handlers(manager) == ["b", "c"]


async def test_a_handler_may_swap_itself(manager: Ref) -> None:
    notes: list[Any] = []
    await EventManager.add_handler(manager, "a", Notes, "a", notes)
    await EventManager.sync_notify(manager, lambda _: Swap("b", Notes, ("b", notes), "me"))
    assert notes == [("a", Why.SWAPPED), ("b", "after", "a's last word on me")]


async def test_an_heir_that_does_not_start_is_reported(
    system: ActorSystem, manager: Ref, witness: Witness
) -> None:
    owner = await system.spawn(Puppet, witness)
    await EventManager.add_sup_handler(manager, "a", Notes, "a", [], owner=owner)
    await EventManager.sync_notify(manager, lambda _: Swap("b", Notes, ("b",)))
    await asyncio.sleep(0.01)
    assert [(down.handler, down.end.why) for down in witness.handled] == [
        ("a", Why.SWAPPED),
        ("b", Why.ERROR),
    ]
    assert [event.handler for event in witness.events if isinstance(event, HandlerRemoved)] == ["b"]
    assert await EventManager.which_handlers(manager) == []


# -- what cannot be added
async def test_what_is_no_handler_is_refused_and_the_manager_lives(manager: Ref) -> None:
    class Asynchronous(EventHandler):
        async def on_event(self, event: Any) -> Any:  # type: ignore[override]
            return None

    await EventManager.add_handler(manager, "a", Notes, "a", [])
    with pytest.raises(HandlerExists):
        await EventManager.add_handler(manager, "a", Notes, "a", [])
    with pytest.raises(HandlerRefused, match=r"Asynchronous\.on_event is async.*subscribe an actor instead"):
        await EventManager.add_handler(manager, "b", Asynchronous)
    with pytest.raises(HandlerRefused, match="'b' did not start: TypeError"):
        await EventManager.add_handler(manager, "b", Notes)
    with pytest.raises(HandlerRefused, match="is not an EventHandler"):
        await EventManager.add_handler(manager, "b", int)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"handler: something hashable, not \[\]"):
        await EventManager.add_handler(manager, [], Notes)  # type: ignore[arg-type]
    assert await EventManager.which_handlers(manager) == ["a"]


async def test_handlers_are_bounded(manager: Ref, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allstop.actors.runtime.behaviours.event_manager.HANDLERS_MAX", 1)
    monkeypatch.setattr("allstop.actors.runtime.behaviours.event_manager.SUBSCRIBERS_MAX", 1)
    await EventManager.add_handler(manager, "a", Notes, "a", [])
    with pytest.raises(HandlerRefused, match="has 1 handlers already"):
        await EventManager.add_handler(manager, "b", Notes, "b", [])
    await EventManager.subscribe(manager, manager.system.address("/a"))
    await EventManager.subscribe(manager, manager.system.address("/a"), str)
    with pytest.raises(HandlerRefused, match="has 1 subscribers already"):
        await EventManager.subscribe(manager, manager.system.address("/b"))


# -- owners
@pytest.mark.req("216")
async def test_a_supervised_handler_is_removed_when_its_owner_ends(
    system: ActorSystem, manager: Ref, witness: Witness
) -> None:
    notes: list[Any] = []
    parent = await system.spawn(Puppet)
    owner = await system.spawn(Puppet, witness, path="/owner", parent=parent)
    await EventManager.add_sup_handler(manager, "a", Notes, "a", notes, owner=owner)
    await EventManager.add_handler(manager, "b", Notes, "b", notes)
    system.kill(owner)
    await system.spawn(Puppet, witness, path="/owner", parent=parent)  # a restart does not save it
    assert await EventManager.which_handlers(manager) == ["b"]
    assert notes == [("a", Why.OWNER_DOWN)]
    assert witness.handled == []


@pytest.mark.req("216")
@pytest.mark.parametrize("why", [Why.DELETED, Why.REMOVED, Why.ERROR, Why.SWAPPED, Why.STOP])
async def test_the_owner_is_told_when_its_handler_is_removed(
    system: ActorSystem, manager: Ref, witness: Witness, why: Why
) -> None:
    owner = await system.spawn(Puppet, witness)
    await EventManager.add_sup_handler(manager, "a", Notes, "a", [], owner=owner)
    match why:
        case Why.DELETED:
            await EventManager.delete_handler(manager, "a")
        case Why.REMOVED:
            await EventManager.sync_notify(manager, lambda _: Remove())
        case Why.ERROR:
            await EventManager.sync_notify(manager, broken)
        case Why.SWAPPED:
            await EventManager.swap_handler(manager, "a", "b", Notes, "b", [])
        case _:
            await system.stop(manager)
    await asyncio.sleep(0.01)
    (told,) = witness.handled
    assert isinstance(told, HandlerDown)
    assert (told.manager, told.handler, told.end.why) == (manager, "a", why)


@pytest.mark.req("216")
async def test_the_owner_of_a_swapped_handler_owns_the_heir(system: ActorSystem, manager: Ref) -> None:
    owner = await system.spawn(Puppet)
    await EventManager.add_sup_handler(manager, "a", Notes, "a", [], owner=owner)
    await EventManager.swap_handler(manager, "a", "b", Notes, "b", [])
    system.kill(owner)
    assert await EventManager.which_handlers(manager) == []


# -- the manager
@pytest.mark.req("217")
async def test_handlers_are_stopped_when_the_manager_stops(system: ActorSystem, manager: Ref) -> None:
    notes: list[Any] = []
    for name in "ab":
        await EventManager.add_handler(manager, name, Notes, name, notes)
    await system.stop(manager)
    assert notes == [("a", Why.STOP), ("b", Why.STOP)]
    assert manager.last_exit == SHUTDOWN


@pytest.mark.req("218")
async def test_the_end_of_a_linked_actor_is_not_the_managers(
    system: ActorSystem, manager: Ref, witness: Witness
) -> None:
    notes: list[Any] = []
    await EventManager.add_handler(manager, "a", Notes, "a", notes)
    linked = await system.spawn(Puppet, witness)
    await linked.call(lambda puppet: puppet.link(manager))
    linked.tell(fails(ValueError("broken")))
    await asyncio.sleep(0.01)
    assert not linked.is_alive()
    assert await EventManager.which_handlers(manager) == ["a"]
    assert notes == []


async def test_status_shows_handlers_and_subscribers(system: ActorSystem, manager: Ref) -> None:
    before = system.get_status(manager)
    assert before is not None
    assert before.shown == {"handlers": [], "subscribers": 0}
    await EventManager.add_handler(manager, "a", Notes, "a", [])
    status = system.get_status(manager)
    assert status is not None
    assert status.shown == {"handlers": ["a"], "subscribers": 0}


# -- subscribers
async def test_subscribers_are_told_every_event_or_those_of_their_kinds(
    system: ActorSystem, manager: Ref
) -> None:
    everything, words = Witness(), Witness()
    await EventManager.subscribe(manager, await system.spawn(Puppet, everything))
    ref = await system.spawn(Puppet, words)
    await EventManager.subscribe(manager, ref, str)
    for event in (1, "two", 3.0):
        manager.tell(event)
    await asyncio.sleep(0.01)
    assert (everything.handled, words.handled) == ([1, "two", 3.0], ["two"])
    await EventManager.subscribe(manager, ref, float)  # replaces the classes
    await EventManager.sync_notify(manager, 4.0)
    await EventManager.sync_notify(manager, "five")
    await EventManager.unsubscribe(manager, ref)
    await EventManager.unsubscribe(manager, ref)
    await EventManager.sync_notify(manager, 6.0)
    await asyncio.sleep(0.01)
    assert words.handled == ["two", 4.0]


async def test_a_full_subscriber_loses_its_own_events_and_hurts_nobody_else(
    system: ActorSystem, manager: Ref, witness: Witness
) -> None:
    class Small(Puppet):
        mailbox: ClassVar[Mailbox] = Mailbox(1)

    class Slow(Small):
        async def on_receive(self, message: Any) -> None:
            await asyncio.sleep(3600)

    slow = await system.spawn(Slow, path="/slow")
    await EventManager.subscribe(manager, slow)
    await EventManager.subscribe(manager, await system.spawn(Puppet, witness))
    for number in range(4):
        await EventManager.sync_notify(manager, number)
        await asyncio.sleep(0.01)
    assert witness.handled == [0, 1, 2, 3]
    assert [(letter.recipient, letter.message) for letter in system.dead_letters.recent()] == [
        ("/slow", 2),
        ("/slow", 3),
    ]


async def test_a_subscription_outlives_a_restart_and_ends_with_the_address(
    system: ActorSystem, manager: Ref, witness: Witness
) -> None:
    parent = await system.spawn(Puppet)
    ref = await system.spawn(Puppet, witness, path="/child", parent=parent)
    await EventManager.subscribe(manager, ref)
    system.kill(ref)
    await system.spawn(Puppet, witness, path="/child", parent=parent)
    await EventManager.sync_notify(manager, "again")
    await asyncio.sleep(0.01)
    assert witness.handled == ["again"]
    system.kill(ref)
    system.retire(ref)
    await EventManager.sync_notify(manager, "nobody")
    assert system.dead_letters.recent() == []
    status = system.get_status(manager)
    assert status is not None
    assert status.shown == {"handlers": [], "subscribers": 0}


async def test_a_pinned_subscriber_that_ended_hurts_nobody(system: ActorSystem, manager: Ref) -> None:
    ref = await system.spawn(Puppet)
    await EventManager.subscribe(manager, ref.pinned())
    manager.tell("x")
    system.kill(ref)  # its Down waits behind nothing, but the event is handled first or last: both are fine
    await EventManager.sync_notify(manager, "y")
    assert manager.is_alive()


async def test_an_event_that_cannot_travel_to_a_subscriber_in_a_process_hurts_nobody_else(
    system: ActorSystem, manager: Ref, witness: Witness
) -> None:
    far = await system.spawn(Remote, path="/far", isolation="process")
    await EventManager.subscribe(manager, far)
    await EventManager.subscribe(manager, await system.spawn(Puppet, witness))
    event = complex(1, 2)  # not in the wire of Remote
    await EventManager.sync_notify(manager, event)
    await asyncio.sleep(0.01)
    assert witness.handled == [event]
    assert [(letter.recipient, letter.message) for letter in system.dead_letters.recent()] == [
        ("/far", event)
    ]


async def test_a_full_subscriber_that_holds_its_senders_back_does_not_park_a_bus_on_a_thread(
    witness: Witness,
) -> None:
    async def story() -> list[Any]:
        async with ActorSystem(max_handler_s=None) as system:
            bus = await system.spawn(EventManager, path="/bus", isolation="thread")
            full = await system.spawn(Slow, path="/full")
            await EventManager.subscribe(bus, full)
            await EventManager.subscribe(bus, await system.spawn(Puppet, witness))
            for number in range(4):
                await EventManager.sync_notify(bus, number, 5.0)
            return [(letter.recipient, letter.message) for letter in system.dead_letters.recent()]

    lost = await asyncio.to_thread(asyncio.run, asyncio.wait_for(story(), 10.0))  # threads need a real clock
    assert witness.handled == [0, 1, 2, 3]
    assert lost == [("/full", 2), ("/full", 3)]


class Slow(Puppet):
    """Never done with its first event."""

    mailbox: ClassVar[Mailbox] = Mailbox(capacity=1, overflow=Overflow.BLOCK, put_timeout_s=60.0)

    def __init__(self) -> None:
        super().__init__(Witness())

    async def on_receive(self, message: Any) -> None:
        await asyncio.sleep(1e6)


async def test_what_is_no_ref_is_refused_to_the_caller_and_the_bus_lives(
    system: ActorSystem, manager: Ref
) -> None:
    via: Any = system.names.via("somebody")
    with pytest.raises(TypeError, match="ref: the Ref of an actor"):
        await EventManager.subscribe(manager, via)
    with pytest.raises(TypeError, match="owner: the Ref of an actor"):
        await EventManager.add_sup_handler(manager, "h", Notes, "h", [], owner=via)
    with pytest.raises(TypeError, match="owner: the Ref of an actor"):
        await EventManager.swap_handler(manager, "h", "i", Notes, "i", [], owner=via)
    assert await EventManager.which_handlers(manager) == []


async def test_a_subscription_names_classes(manager: Ref) -> None:
    with pytest.raises(TypeError, match="kinds: classes of events"):
        await EventManager.subscribe(manager, manager, "tick")  # type: ignore[arg-type]


async def test_a_dead_manager_answers_nobody(system: ActorSystem, manager: Ref) -> None:
    await system.stop(manager)
    with pytest.raises(ActorDead):
        await EventManager.sync_notify(manager, "x")
    EventManager.notify(manager, "y")
    assert [letter.message for letter in system.dead_letters.recent()] == ["y"]
