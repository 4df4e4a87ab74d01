"""An event bus: gen_event. Handlers run in the manager, one after the other; subscribers are actors and are told.

A handler that fails is removed and reported, and all others live: it is the one place of the runtime where a failure
below a supervisor is caught to carry on, because what is thrown away is all that failed. The functions that send to a
manager are its static methods: `EventManager.notify(manager, event)` reads as `gen_event:notify(Manager, Event)`.
"""

from collections.abc import Hashable
from inspect import iscoroutinefunction
from types import CoroutineType
from typing import Any, ClassVar, Final

from allstop.actors.errors import ReplyError
from allstop.actors.events import HandlerRemoved
from allstop.actors.exits import Exit
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.arguments import want, want_ref
from allstop.actors.runtime.behaviours.event_handler import (
    EventHandler,
    HandlerDown,
    HandlerEnd,
    HandlerExists,
    HandlerFailed,
    HandlerRefused,
    NoSuchHandler,
    Remove,
    Swap,
    Why,
)
from allstop.actors.runtime.behaviours.event_requests import (
    AddHandler,
    CallHandler,
    DeleteHandler,
    Subscribe,
    SwapHandler,
    SyncNotify,
    Unsubscribe,
    WhichHandlers,
)
from allstop.actors.runtime.dead_letters import DeadLetter
from allstop.actors.runtime.entrance import going_on
from allstop.actors.runtime.errors import ActorDead, BadReturnValue
from allstop.actors.runtime.messages import Down, ExitSignal, MonitorRef
from allstop.actors.runtime.ref import CALL_TIMEOUT_S, Ref

HANDLERS_MAX: Final = 1_000  # each runs for each event: more belong into actors that subscribe
SUBSCRIBERS_MAX: Final = 10_000  # one tell for each and event: 10,000 take about 5 ms


class Installed:
    """One handler, and who is told of its end."""

    __slots__ = ("handler", "id", "monitor", "owner")

    def __init__(self, id_: Hashable, handler: EventHandler, owner: Any, monitor: MonitorRef | None) -> None:
        self.id = id_
        self.handler = handler
        self.owner = owner
        self.monitor = monitor


class EventManager(Actor):
    """Hands each event to its handlers, in the order they were added, and then tells its subscribers.

    Everything that is told to it is an event: `manager.tell(event)` is `notify`. A mailbox of its own bounds what waits.
    """

    trap_exits: ClassVar[bool] = True  # an event bus does not die with those who use it
    _handlers: dict[Hashable, Installed] | None = None
    _subscribers: dict[Ref, tuple[tuple[type[Any], ...], MonitorRef]]

    # -- for those who use a manager ---------------------------------------------------------------------------------
    @staticmethod
    def notify(manager: Ref, event: Any) -> None:
        """Sends the event and goes on. From any thread."""
        _manager(manager).tell(event)

    @staticmethod
    async def sync_notify(manager: Ref, event: Any, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Returns after all handlers ran, and all subscribers were told (not: have handled it)."""
        await _manager(manager).call(SyncNotify(event), timeout_s)

    @staticmethod
    async def add_handler(
        manager: Ref,
        handler: Hashable,
        handler_class: type[EventHandler],
        *args: Any,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """Makes `handler_class(*args)` in the manager, known as `handler`. Raises HandlerExists or HandlerRefused."""
        _check_id("handler", handler)
        await _manager(manager).call(AddHandler(handler, handler_class, args), timeout_s)

    @staticmethod
    async def add_sup_handler(
        manager: Ref,
        handler: Hashable,
        handler_class: type[EventHandler],
        *args: Any,
        owner: Ref,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """The same for `owner`: it is removed when that incarnation ends, and its own end is told to it by HandlerDown."""
        _check_id("handler", handler)
        want_ref("owner", owner)
        await _manager(manager).call(AddHandler(handler, handler_class, args, owner), timeout_s)

    @staticmethod
    async def delete_handler(
        manager: Ref, handler: Hashable, argument: Any = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> Any:
        """Removes the handler and gives what its `on_stop` returned. Raises NoSuchHandler."""
        _check_id("handler", handler)
        return await _manager(manager).call(DeleteHandler(handler, argument), timeout_s)

    @staticmethod
    async def swap_handler(
        manager: Ref,
        old: Hashable,
        new: Hashable,
        handler_class: type[EventHandler],
        *args: Any,
        argument: Any = None,
        owner: Ref | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """Removes the old handler and adds the new, between two events; what the old's `on_stop` returned starts it.

        The owner stays, unless another is given. Without an old one the new is added, as in OTP. Raises HandlerExists,
        or HandlerRefused if the new one does not start: the old one is gone then.
        """
        _check_id("old", old)
        _check_id("new", new)
        if owner is not None:
            want_ref("owner", owner)
        await _manager(manager).call(
            SwapHandler(old, Swap(new, handler_class, args, argument), owner), timeout_s
        )

    @staticmethod
    async def call(manager: Ref, handler: Hashable, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """What the handler's `on_call` returns. Raises NoSuchHandler, or HandlerFailed if that raised."""
        _check_id("handler", handler)
        return await _manager(manager).call(CallHandler(handler, request), timeout_s)

    @staticmethod
    async def which_handlers(manager: Ref, timeout_s: float = CALL_TIMEOUT_S) -> list[Hashable]:
        """The ids of the handlers, in the order in which they run."""
        return await _manager(manager).call(WhichHandlers(), timeout_s)

    @staticmethod
    async def subscribe(manager: Ref, ref: Ref, *kinds: type[Any], timeout_s: float = CALL_TIMEOUT_S) -> None:
        """From now on `ref` is told every event, or those of these classes. Again: it replaces the classes.

        A subscription is of the address: it outlives restarts and ends when nothing will run there any more. What the
        subscriber's own mailbox refuses becomes a dead letter, and hurts nobody else.
        """
        want_ref("ref", ref)
        for kind in kinds:
            want("kinds", kind, type, "classes of events")
        await _manager(manager).call(Subscribe(ref, kinds), timeout_s)

    @staticmethod
    async def unsubscribe(manager: Ref, ref: Ref, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """No event is told to `ref` after this. Nothing happens if it had not subscribed."""
        want_ref("ref", ref)
        await _manager(manager).call(Unsubscribe(ref), timeout_s)

    # -- the manager -------------------------------------------------------------------------------------------------
    def on_receive(self, message: Any) -> Any:
        if self._handlers is None:
            self._handlers = {}
            self._subscribers = {}
        match message:
            case SyncNotify(event):
                self._publish(event)
            case AddHandler(id_, handler_class, args, owner):
                self._add(self._handlers, id_, handler_class, args, owner, None)
            case DeleteHandler(id_, argument):
                return self._remove(self._found(id_), HandlerEnd(Why.DELETED, argument))
            case SwapHandler(old, swap, owner):
                self._swap(self._handlers, self._handlers.get(old), swap, owner)
            case CallHandler(id_, request):
                return self._answer(self._found(id_), request)
            case WhichHandlers():
                return list(self._handlers)
            case Subscribe(ref, kinds):
                self._subscribe(ref, kinds)
            case Unsubscribe(ref):
                self._unsubscribe(ref)
            case Down():
                self._gone(self._handlers, message)
            case ExitSignal():
                pass  # statement 218: a link that ends is no end of the bus
            case _:
                self._publish(message)
        return None

    def on_stop(self, exit_: Exit) -> None:
        for installed in list((self._handlers or {}).values()):
            self._remove(installed, HandlerEnd(Why.STOP, exit=exit_))

    def format_status(self) -> Any:
        if self._handlers is None:
            return {"handlers": [], "subscribers": 0}
        return {"handlers": list(self._handlers), "subscribers": len(self._subscribers)}

    # -- events ------------------------------------------------------------------------------------------------------
    def _publish(self, event: Any) -> None:
        if self._handlers:
            for installed in list(self._handlers.values()):
                self._handle(self._handlers, installed, event)
        for ref, (kinds, _) in self._subscribers.items():
            if not kinds or isinstance(event, kinds):
                self._tell(ref, event)

    def _handle(self, handlers: dict[Hashable, Installed], installed: Installed, event: Any) -> None:
        try:
            result = installed.handler.on_event(event)
            if result is None:
                return
            if isinstance(result, Swap):
                self._swap(handlers, installed, result, None)
            elif isinstance(result, Remove):
                self._remove(installed, HandlerEnd(Why.REMOVED))
            else:
                raise _garbage(installed, result)
        except Exception as error:  # noqa: BLE001 - statement 214: it is removed, the others go on
            self._remove(installed, HandlerEnd(Why.ERROR, error=error), event)

    def _answer(self, installed: Installed, request: Any) -> Any:
        try:
            result = installed.handler.on_call(request)
            if result.__class__ is CoroutineType:
                raise _garbage(installed, result)
        except ReplyError:
            raise
        except Exception as error:
            self._remove(installed, HandlerEnd(Why.ERROR, error=error), request)
            raise HandlerFailed(f"{installed.id!r} failed and was removed: {error!r:.200}") from error
        if isinstance(result, Remove):
            self._remove(installed, HandlerEnd(Why.REMOVED))
            return result.reply
        return result

    # -- handlers ----------------------------------------------------------------------------------------------------
    def _found(self, id_: Hashable) -> Installed:
        installed = (self._handlers or {}).get(id_)
        if installed is None:
            raise NoSuchHandler(f"{self.path} has no handler {id_!r}")
        return installed

    def _add(
        self,
        handlers: dict[Hashable, Installed],
        id_: Hashable,
        handler_class: type[EventHandler],
        args: tuple[Any, ...],
        owner: Any,
        previous: Any,
    ) -> None:
        if id_ in handlers:
            raise HandlerExists(f"{self.path} has a handler {id_!r} already")
        if len(handlers) >= HANDLERS_MAX:
            raise HandlerRefused(f"{self.path} has {HANDLERS_MAX} handlers already")
        if not (isinstance(handler_class, type) and issubclass(handler_class, EventHandler)):
            raise HandlerRefused(f"{id_!r}: {handler_class!r:.200} is not an EventHandler")
        for name in ("on_start", "on_event", "on_call", "on_stop"):
            if iscoroutinefunction(getattr(handler_class, name)):
                raise HandlerRefused(
                    f"{handler_class.__name__}.{name} is async: handlers run in the manager and must not wait; "
                    f"subscribe an actor instead"
                )
        try:
            handler = handler_class(*args)
            handler.on_start(previous)
        except Exception as error:
            raise HandlerRefused(f"{id_!r} did not start: {error!r:.200}") from error
        monitor = self.monitor(owner) if owner is not None else None
        handlers[id_] = Installed(id_, handler, owner, monitor)

    def _swap(
        self, handlers: dict[Hashable, Installed], old: Installed | None, swap: Swap, owner: Any
    ) -> None:
        if swap.handler in handlers and (old is None or old.id != swap.handler):
            raise HandlerExists(f"{self.path} has a handler {swap.handler!r} already")
        previous = None
        if old is not None:
            owner = owner if owner is not None else old.owner
            previous = self._remove(old, HandlerEnd(Why.SWAPPED, swap.argument))
        try:
            self._add(handlers, swap.handler, swap.handler_class, swap.args, owner, previous)
        except HandlerRefused as refused:
            if old is not None:
                self._report(Installed(swap.handler, old.handler, owner, None), refused, None)
            if owner is not None:
                end = HandlerEnd(Why.ERROR, swap.argument, refused)
                self._tell(owner, HandlerDown(self.ref, swap.handler, end))
            raise

    def _remove(self, installed: Installed, end: HandlerEnd, event: Any = None) -> Any:
        """Takes a handler out, tells it and its owner why, and reports failures. Gives what its `on_stop` returned."""
        if self._handlers is None or self._handlers.pop(installed.id, None) is None:
            return None
        if installed.monitor is not None:
            self.demonitor(installed.monitor)
        result = None
        try:
            result = installed.handler.on_stop(end)
        except Exception as error:  # noqa: BLE001 - statement 214, too: it is gone, and that is told
            end = HandlerEnd(Why.ERROR, end.argument, end.error or error)
        if end.error is not None:
            self._report(installed, end.error, event)
        if installed.owner is not None and end.why is not Why.OWNER_DOWN:
            self._tell(installed.owner, HandlerDown(self.ref, installed.id, end))
        return result

    def _tell(self, ref: Ref, message: Any) -> None:
        try:
            if self._cell.threaded:  # one full subscriber must not hold all others up
                with going_on():
                    ref.tell(message)
            else:
                ref.tell(message)
        except (ReplyError, ActorDead) as error:  # it refuses this event; ActorDead: of a pinned ref
            self.system.dead_letters.add(DeadLetter(message, ref.path, ref.incarnation, str(error)))

    def _report(self, installed: Installed, error: BaseException, event: Any) -> None:
        self.log.error("handler.removed", handler=str(installed.id), error=repr(error))
        self.system.emit(
            HandlerRemoved(
                at_ns=self.clock.wall_ns(),
                path=self.path,
                handler=str(installed.id),
                error=error,
                last_event=event,
            )
        )

    # -- those who go ------------------------------------------------------------------------------------------------
    def _gone(self, handlers: dict[Hashable, Installed], down: Down) -> None:
        for installed in list(handlers.values()):
            if installed.monitor is down.monitor:
                self._remove(installed, HandlerEnd(Why.OWNER_DOWN, exit=down.exit))
        entry = self._subscribers.get(down.ref)
        if entry is not None and entry[1] is down.monitor:
            del self._subscribers[down.ref]

    def _subscribe(self, ref: Ref, kinds: tuple[type[Any], ...]) -> None:
        if ref not in self._subscribers and len(self._subscribers) >= SUBSCRIBERS_MAX:
            raise HandlerRefused(f"{self.path} has {SUBSCRIBERS_MAX} subscribers already")
        self._unsubscribe(ref)
        self._subscribers[ref] = (kinds, self.watch(ref))

    def _unsubscribe(self, ref: Ref) -> None:
        entry = self._subscribers.pop(ref, None)
        if entry is not None:
            self.demonitor(entry[1])


# What is wrong is found here, with the caller: in the manager it would end the bus.
def _manager(manager: object) -> Ref:
    """The Ref of what may be a manager: in a process it is another class that stands for it."""
    want_ref("manager", manager)
    assert isinstance(manager, Ref)
    cell = manager.cell
    if not cell.ended and not issubclass(cell.actor_class, EventManager) and cell.inspectable:
        raise TypeError(
            f"manager: an EventManager, not {manager!r}, which is a {cell.actor_class.__qualname__}"
        )
    return manager


def _check_id(name: str, handler: object) -> None:
    want(name, handler, Hashable, "something hashable")
    hash(handler)


def _garbage(installed: Installed, result: Any) -> BadReturnValue:
    if result.__class__ is CoroutineType:
        result.close()
    return BadReturnValue(f"handler {installed.id!r} returned {result!r:.200}")
