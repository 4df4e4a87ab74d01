# pyright: reportUnknownLambdaType=false
"""gen_event_SUITE, by the names of its cases: those that tests/runtime/test_event_manager.py has not."""

import asyncio
from typing import Any

import pytest
from tests.runtime.puppet import Puppet, Witness

from allstop.actors.events import HandlerRemoved
from allstop.actors.exits import SHUTDOWN, shutdown
from allstop.actors.runtime import (
    ActorDead,
    ActorSystem,
    AlreadyStarted,
    EventHandler,
    EventManager,
    HandlerDown,
    HandlerEnd,
    HandlerRefused,
    NoSuchHandler,
    Remove,
    Swap,
    Why,
    inspection,
)

pytestmark = pytest.mark.virtual


class Dummy(EventHandler):
    """Notes what it handles, and does what an event tells it."""

    def __init__(self, notes: list[Any], fails: bool = False) -> None:
        if fails:
            raise ValueError("my_error")
        self.notes = notes
        self.key = "hunter2"

    def on_event(self, event: Any) -> Any:
        self.notes.append(event if isinstance(event, str) else type(event).__name__)
        if isinstance(event, Exception):
            raise event
        return event if isinstance(event, Remove | Swap) else None

    def on_call(self, request: Any) -> Any:
        return request if isinstance(request, Remove | Swap) else ("answer", request)

    def on_stop(self, end: HandlerEnd) -> Any:
        return f"return_{end.argument}"


async def test_start() -> None:
    """Anonymous or registered, a manager begins without handlers; a second one of a name is told who is there."""
    async with ActorSystem() as system:
        anonymous = await system.spawn(EventManager)
        assert await EventManager.which_handlers(anonymous) == []
        assert await system.stop(anonymous) == SHUTDOWN
        manager = await system.spawn(EventManager, path="/my_dummy_name")
        system.register("my_dummy_name", manager)
        assert system.whereis("my_dummy_name") is manager
        with pytest.raises(AlreadyStarted):
            await system.spawn(EventManager, path="/my_dummy_name")
        reason = shutdown("enough")
        assert await system.stop(manager, reason) == reason
        with pytest.raises(ActorDead):
            await EventManager.which_handlers(manager)


async def test_add_handler() -> None:
    """A handler whose start fails is not added, and the others stay; one class can serve under several ids."""
    notes: list[Any] = []
    async with ActorSystem() as system:
        manager = await system.spawn(EventManager)
        with pytest.raises(HandlerRefused, match="my_error"):
            await EventManager.add_handler(manager, "dummy", Dummy, notes, True)
        assert await EventManager.which_handlers(manager) == []
        await EventManager.add_handler(manager, "dummy", Dummy, notes)
        with pytest.raises(HandlerRefused, match="my_error"):
            await EventManager.add_handler(manager, ("dummy", 1), Dummy, notes, True)
        await EventManager.add_handler(manager, ("dummy", 1), Dummy, notes)
        assert await EventManager.which_handlers(manager) == ["dummy", ("dummy", 1)]


@pytest.mark.req("216")
async def test_add_sup_handler() -> None:
    """A supervised handler goes when its owner dies; when the manager stops, the owner is told of each handler."""
    notes: list[Any] = []
    async with ActorSystem() as system:
        manager = await system.spawn(EventManager)
        witness = Witness()
        brief, owner = await system.spawn(Puppet), await system.spawn(Puppet, witness)
        with pytest.raises(HandlerRefused, match="my_error"):
            await EventManager.add_sup_handler(manager, "dummy", Dummy, notes, True, owner=brief)
        await EventManager.add_sup_handler(manager, "dummy", Dummy, notes, owner=brief)
        system.kill(brief)
        await asyncio.sleep(0.1)
        assert await EventManager.which_handlers(manager) == []
        for id_ in ("dummy", ("dummy", 1)):
            await EventManager.add_sup_handler(manager, id_, Dummy, notes, owner=owner)
        await system.stop(manager)
        await asyncio.sleep(0.1)
        assert [(down.handler, down.end.why, down.end.exit) for down in witness.handled] == [
            ("dummy", Why.STOP, SHUTDOWN),
            (("dummy", 1), Why.STOP, SHUTDOWN),
        ]


async def test_delete_handler() -> None:
    """A handler is deleted by its id, gives its last word, and can be added again; an unknown one is not found."""
    notes: list[Any] = []
    async with ActorSystem() as system:
        manager = await system.spawn(EventManager)
        for id_ in ("dummy", ("dummy", 1)):
            await EventManager.add_handler(manager, id_, Dummy, notes)
            with pytest.raises(NoSuchHandler):
                await EventManager.delete_handler(manager, ("duuuuuuuuumy", 1))
            assert await EventManager.delete_handler(manager, id_, "hej") == "return_hej"
            await EventManager.add_handler(manager, id_, Dummy, notes)
            await EventManager.delete_handler(manager, id_)
            assert await EventManager.which_handlers(manager) == []


@pytest.mark.req("216")
async def test_swap_sup_handler() -> None:
    """The heir of a supervised handler has the same owner, who is told of the swap and of the heir's end."""
    witness = Witness()
    async with ActorSystem() as system:
        manager = await system.spawn(EventManager)
        owner = await system.spawn(Puppet, witness)
        await EventManager.add_sup_handler(manager, "first", Dummy, [], owner=owner)
        await EventManager.swap_handler(manager, "first", ("second", 4), Dummy, [])
        assert await EventManager.which_handlers(manager) == [("second", 4)]
        await EventManager.delete_handler(manager, ("second", 4))
        await asyncio.sleep(0.1)
        assert all(isinstance(down, HandlerDown) for down in witness.handled)
        assert [(down.handler, down.end.why) for down in witness.handled] == [
            ("first", Why.SWAPPED),
            (("second", 4), Why.DELETED),
        ]


async def _through_its_life(publish: Any) -> None:
    """An event swaps a handler, removes it, or breaks it: whichever way it is published."""
    notes: list[Any] = []
    async with ActorSystem() as system:
        manager = await system.spawn(EventManager)

        async def publishes(event: Any) -> list[Any]:
            result = publish(manager, event)
            if result is not None:
                await result
            return await EventManager.which_handlers(manager)

        await EventManager.add_handler(manager, "dummy", Dummy, notes)
        assert await publishes("event") == ["dummy"]
        assert await publishes(Swap(("dummy1", 9), Dummy, (notes,))) == [("dummy1", 9)]
        assert await publishes("event") == [("dummy1", 9)]
        assert await publishes(Remove()) == []
        await EventManager.add_handler(manager, "dummy", Dummy, notes)
        assert await publishes(ValueError("error_event")) == []
        assert await publishes("nobody handles this") == []
        assert notes == ["event", "Swap", "event", "Remove", "ValueError"]


@pytest.mark.req("214", "215")
async def test_notify() -> None:
    """The same by notify,"""
    await _through_its_life(EventManager.notify)


@pytest.mark.req("214", "215")
async def test_sync_notify() -> None:
    """by sync_notify,"""
    await _through_its_life(EventManager.sync_notify)


@pytest.mark.req("214")
async def test_info() -> None:
    """and by a plain tell: what comes to the manager is an event."""
    await _through_its_life(lambda manager, event: manager.tell(event))


@pytest.mark.req("214")
async def test_call() -> None:
    """One handler is asked; what it answers may remove or swap it; an unknown one is not found."""
    notes: list[Any] = []
    async with ActorSystem() as system:
        manager = await system.spawn(EventManager)
        for id_ in ("dummy", ("dummy", 1)):
            await EventManager.add_handler(manager, id_, Dummy, notes)
        with pytest.raises(NoSuchHandler):
            await EventManager.call(manager, "bad_h", "hejsan")
        assert await EventManager.call(manager, ("dummy", 1), "hejsan") == ("answer", "hejsan")
        assert await EventManager.call(manager, "dummy", Remove("deleted")) == "deleted"
        assert await EventManager.which_handlers(manager) == [("dummy", 1)]
        assert notes == []


@pytest.mark.req("220")
async def test_get_state() -> None:
    """The state of a manager has its handlers and what each holds."""
    notes: list[Any] = []
    async with ActorSystem() as system:
        manager = await system.spawn(EventManager)
        for id_ in ("a", ("a", 2)):
            await EventManager.add_handler(manager, id_, Dummy, notes)
        state = await inspection.get_state(manager)
        handlers = next(value for value in state.values() if isinstance(value, dict) and "a" in value)
        assert list(handlers) == ["a", ("a", 2)]
        assert [installed.handler.key for installed in handlers.values()] == ["hunter2"] * 2


async def test_error_format_status() -> None:
    """A status names handlers and shows nothing that they hold; the report of one that failed does neither."""
    witness = Witness()
    async with ActorSystem(on_event=witness.events.append) as system:
        manager = await system.spawn(EventManager)
        await EventManager.add_handler(manager, "dummy", Dummy, [])
        assert "hunter2" not in repr((await inspection.get_status(manager)).shown)
        await EventManager.sync_notify(manager, ValueError("error_event"))
    [told] = [event for event in witness.events if isinstance(event, HandlerRemoved)]
    assert told.handler == "dummy"
    assert "hunter2" not in repr(told)
