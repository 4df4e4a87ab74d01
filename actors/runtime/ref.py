"""Refs: the addresses of actors. A Ref is a pykka.ActorRef, and it outlives the incarnations that run at it."""

import asyncio
from collections import deque
from collections.abc import Hashable
from threading import get_ident
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NoReturn

from allstop.actors.errors import ReplyError
from allstop.actors.exits import Exit
from allstop.actors.runtime.afar import FarRef
from allstop.actors.runtime.arguments import want_seconds
from allstop.actors.runtime.entrance import count
from allstop.actors.runtime.errors import (
    ActorDead,
    CallingSelf,
    Fenced,
    MailboxFull,
)
from allstop.actors.runtime.handling import caller_error
from allstop.actors.runtime.messages import SPECIAL, Call, MonitorRef

if TYPE_CHECKING:
    from allstop.actors.runtime.addresses import Place
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.registry import Registry
    from allstop.actors.runtime.system import ActorSystem

CALL_TIMEOUT_S = 5.0  # OTP's gen_server:call


class Ref(FarRef):
    """An address: it exists before, between and after the incarnations of its actor, and always reaches the current one.

    Inside actors: `tell`, `await call`, `await put`. From other threads: `tell`, `ask`, `stop`, `proxy`. Refs are
    made by the system: `system.address(path)`, `await system.spawn(...)`.
    """

    __slots__ = ("_cell",)  # a slot, because a compiled module finds it without asking
    _cell: Any  # the incarnation that runs here now, or the vacancy
    _last_exit: Exit | None = None
    _parent: "Ref | None" = None
    _retired = False  # nothing will run here any more
    _place: "Place | None" = None  # of one with a path
    _children: "dict[str, Place] | None" = None  # the addresses of all that was ever started below this one
    _kept = False  # True once any of the following was: what is to be retired has little to look at else
    stashed: deque[Any] | None = None
    _stash_max = 0
    _watchers: dict[MonitorRef, None] | None = None
    _told: "set[Cell] | None" = None  # who was told of the latest end already
    _awaited: dict[MonitorRef, None] | None = None  # the monitors of these wait for the next incarnation
    _keys: "dict[Registry, set[Hashable]] | None" = None  # what it is named, where
    actor_class: Any

    def __init__(self, system: "ActorSystem", path: str | int) -> None:
        self._cell = system.vacancy
        self._system = system
        self._path = path  # a number until somebody asks for the path of an anonymous actor
        self._incarnation = 0

    # -- who -------------------------------------------------------------------------------------------------------
    @property
    def path(self) -> str:
        """Where this is: "/accounts/kraken.main/guardian"."""
        if isinstance(self._path, int):
            self._path = self._system.addresses.found_by_number(self, self._path)
        return self._path

    @property
    def incarnation(self) -> int:
        """The number of the incarnation that runs, or ran last; 0 before the first. None is given twice at a path."""
        return self._incarnation

    @property
    def last_exit(self) -> Exit | None:
        """Why the latest ended incarnation ended."""
        return self._last_exit

    @property
    def parent(self) -> "Ref | None":
        return self._parent

    @property
    def system(self) -> "ActorSystem":
        return self._system

    @property
    def cell(self) -> Any:
        """The current incarnation, or the vacancy. For the runtime."""
        return self._cell

    @property
    def actor_urn(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"urn:allstop:{self.path}"

    @property
    def actor_inbox(self) -> "Ref":  # pyright: ignore[reportIncompatibleVariableOverride]
        return self

    @property
    def actor_stopped(self) -> "Stopped":  # pyright: ignore[reportIncompatibleVariableOverride]
        return Stopped(self)

    def _actor_weakref(self) -> Any:  # pykka's proxies look at the actor through this
        return self._cell.actor

    def __repr__(self) -> str:
        return f"<Ref {self.path}>"

    __str__ = __repr__

    def is_alive(self) -> bool:
        """True while an incarnation runs here (also while it starts, stops or fails)."""
        return not self._cell.ended

    # -- sending ---------------------------------------------------------------------------------------------------
    def tell(self, message: Any) -> None:
        """Sends and goes on. From any thread; never raises because nobody runs here: that makes a dead letter.

        Raises MailboxFull where the mailbox refuses; on the loop also from a full BLOCK mailbox.
        """
        cell = self._cell
        if cell.idle:
            cell.idle = False
            scheduler = cell.scheduler
            scheduler.ready.append((cell, message))
            if not scheduler.armed:
                scheduler.arm()
        elif len(cell.queue) < cell.limit:
            cell.queue.append(message)
            if cell.idle:
                cell.wake()
        else:
            cell.accept(self, message)

    async def put(self, message: Any) -> None:
        """Sends, and waits until a full BLOCK mailbox took the message. Raises MailboxFull after its `put_timeout_s`."""
        cell = self._cell
        if cell.idle or len(cell.queue) < cell.limit:
            self.tell(message)
            return
        parked = cell.accept(self, message, may_park=False)
        if parked is None:
            return
        timeout_s = cell.mailbox.put_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                taken = await parked.future
        except TimeoutError:
            if parked.claim():
                parked.message = None  # its place in the queue remains
                count(cell, "refused")
                raise MailboxFull(self.path, cell.capacity, f" after {timeout_s} s") from None
            return  # it was taken at this very moment, or became a dead letter
        except BaseException:  # cancelled: whatever became of the message, the caller is to end
            if parked.claim():
                parked.message = None
            raise
        if not taken:
            raise ActorDead(self.path, self._incarnation, self._last_exit)

    async def call(self, message: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Sends and waits for the answer: what the handler returns.

        Raises TypeError or ValueError for a timeout that is none, with nothing sent; what the handler raised; ActorDead if the actor ends first or none runs, CallTimeout after `timeout_s`.
        An idle actor with a plain handler answers at once, within this call.
        """
        if (
            timeout_s is not CALL_TIMEOUT_S
        ):  # before anything is sent: a wrong one must not show only under load
            want_seconds("timeout_s", timeout_s)
        cell = self._cell
        scheduler = cell.scheduler
        if get_ident() != scheduler.thread_id:
            return await self._call_from_afar(message, timeout_s)
        future: Any = None
        if cell.idle and cell.detour is None and message.__class__ not in SPECIAL:
            scheduler.inlined += 1
            if scheduler.inlined >= scheduler.turn:  # a loop of calls that never suspend lets others run, too
                await scheduler.another_turn()
                cell = self._cell
            if cell.idle and cell.detour is None:
                cell.idle = False
                call = cell.calling = Call(message, None)
                try:
                    result = scheduler.context.run(cell.actor.on_receive, message)
                except BaseException as error:
                    cell.calling = None
                    if call.deferred and not call.future.cancel():
                        call.future.exception()  # the same error was its answer: it is raised here
                    if isinstance(error, ReplyError):
                        cell.rest()
                        raise
                    cell.crash(error, message)
                    _raise(caller_error(cell, error))
                cell.calling = None
                if result is not None and result.__class__ is CoroutineType:
                    call.future = scheduler.loop.create_future()
                    cell.adopt(result, call, message)
                else:
                    cell.rest()
                    if not call.deferred:
                        return result
                future = call.future
        if future is None:
            if cell.task is not None and cell.task is asyncio.current_task():
                raise CallingSelf(f"{self.path} called itself")
            if cell.threaded:
                return await self._call_from_afar(message, timeout_s)
            future = scheduler.loop.create_future()
            if not cell.idle and len(cell.queue) < cell.limit:
                cell.queue.append(
                    Call(message, future)
                )  # only the loop's thread, which this is, makes it idle
            else:
                self.tell(Call(message, future))
        if future.done():
            return future.result()
        lane = scheduler.call_timeouts.lane(timeout_s)
        lane.add(future, self)
        try:
            return await future
        finally:
            lane.waiting.pop(future, None)
            if lane.alone:
                lane.close()

    def pinned(self) -> "PinnedRef":
        """The incarnation that runs now and no other: once it ended, everything sent to it raises ActorDead."""
        if self._cell.ended:
            raise ActorDead(self.path, self._incarnation, self._last_exit)
        return PinnedRef(self)

    def _lost_answer(self, error: BaseException) -> None:
        self._system.lose_answer(self, error)

    # -- for the runtime -------------------------------------------------------------------------------------------
    def stash(self, message: Any) -> bool:
        """Keeps a message for the next incarnation, if the spec says so and there is room."""
        if self.stashed is None or self._retired or len(self.stashed) >= self._stash_max:
            return False
        self.stashed.append(message)
        self._system.holding[self] = None  # else the messages might go with an address that nobody holds
        return True

    def keep_while_down(self, capacity: int) -> None:
        self._stash_max = capacity
        if self.stashed is None:
            self.stashed = deque()
            self._kept = True

    def empty_stash(self) -> list[Any]:
        messages = list(self.stashed or ())
        if messages and self.stashed is not None:
            self.stashed.clear()
            self._system.holding.pop(self, None)
        return messages

    @property
    def pinned_down(self) -> bool:
        """True for a ref to one incarnation."""
        return False

    @property
    def retired(self) -> bool:
        """True once it is decided that nothing will run here any more."""
        return self._retired

    def keys_in(self, registry: "Registry") -> "set[Hashable]":
        """The keys by which a registry names this address: the registry's to change."""
        if self._keys is None:
            self._keys = {}
            self._kept = True
        return self._keys.setdefault(registry, set())

    def lose_keys(self) -> None:
        for registry in tuple(self._keys or ()):
            registry.forget(self)
        self._keys = None

    def forget(self, monitor: MonitorRef) -> None:
        for waiting in (self._watchers, self._awaited):
            if waiting is not None:
                waiting.pop(monitor, None)
        belongings = self._cell.belongings
        if belongings is not None:
            belongings.monitored_by.pop(monitor, None)


def _shape() -> None:
    """The interpreter keeps the attributes of an instance in an array if their names were known when the class was new;
    one that gets a further name later gets a dict of its own: 150 bytes, and slower. These come late, and often."""
    ref: Ref = object.__new__(Ref)
    ref._system = ref._path = ref.actor_class = None  # pyright: ignore
    ref._incarnation = 0
    ref._place = ref._parent = ref._last_exit = None
    ref._retired = False


_shape()


class PinnedRef(Ref):
    """A ref to one incarnation. It fails loudly after the end of that one, also when another runs at the address."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(ref.system, ref.path)
        self._address = ref
        self._cell = ref.cell
        self._incarnation = ref.incarnation
        self._parent = ref.parent
        self.actor_class = ref.actor_class

    @property
    def last_exit(self) -> Exit | None:
        return self._cell.exit if self._cell.ended else None

    @property
    def pinned_down(self) -> bool:
        return True

    @property
    def address(self) -> Ref:
        return self._address

    @property
    def actor_urn(self) -> str:
        return f"urn:allstop:{self.path}#{self._incarnation}"

    def __repr__(self) -> str:
        return f"<Ref {self.path}#{self._incarnation}>"

    __str__ = __repr__

    def _check(self) -> None:
        if self._cell.ended:
            raise ActorDead(self.path, self._incarnation, self._cell.exit)

    def tell(self, message: Any) -> None:
        self._check()
        super().tell(message)

    async def put(self, message: Any) -> None:
        self._check()
        await super().put(message)

    async def call(self, message: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        self._check()
        return await super().call(message, timeout_s)

    def pinned(self) -> "PinnedRef":
        return self

    def as_parent(self) -> Ref:
        """The address under which a child may be started now. Raises ActorDead, or Fenced, when this incarnation ended."""
        self._check()
        return self._address


class FencedRef(PinnedRef):
    """What `self.ref` of an ended incarnation is: what still runs of it can send nothing through it, and father nobody."""

    def __init__(self, cell: "Cell") -> None:
        super().__init__(cell.ref)
        self._cell = cell
        self._incarnation = cell.incarnation

    def _check(self) -> None:
        raise Fenced(self.path, self._incarnation)

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Raises Fenced: what runs at this address now is not mine to stop."""
        self._check()


class Stopped:
    """What pykka keeps as a threading.Event in every actor: here made when asked for."""

    __slots__ = ("_ref",)

    def __init__(self, ref: Ref) -> None:
        self._ref = ref

    def is_set(self) -> bool:
        return not self._ref.is_alive()


def _raise(error: BaseException) -> NoReturn:
    raise error
