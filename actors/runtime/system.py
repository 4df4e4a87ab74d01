"""The actor system: starts, finds, stops and watches the actors of one event loop."""

import asyncio
import itertools
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import structlog

from allstop.actors.clock import Clock, Dice, Ids, LoopClock, SystemClock, SystemDice, SystemIds
from allstop.actors.events import CrashReport, Event
from allstop.actors.exits import KILLED, SHUTDOWN, Exit, ExitKind
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.dead_letters import DeadLetter, DeadLetters
from allstop.actors.runtime.errors import (
    AlreadyStarted,
    CallingSelf,
    NameTaken,
    NotOnLoop,
    StartError,
    StartTimeout,
)
from allstop.actors.runtime.incarnations import Incarnations
from allstop.actors.runtime.isolation import IsolationRefused, isolated
from allstop.actors.runtime.messages import ActorStop, Down, Ignore, MonitorRef, Overrun, Stop
from allstop.actors.runtime.ref import Ref
from allstop.actors.runtime.registry import mirror, registry_of, unmirror
from allstop.actors.runtime.scheduler import BATCH, TURN, Scheduler
from allstop.actors.runtime.states import State
from allstop.actors.runtime.vacancy import Vacancy
from allstop.actors.runtime.virtual_time import VirtualTimeLoop
from allstop.actors.spec import BRUTAL_KILL, INFINITY, Isolation, Shutdown, Stash

KILL_GRACE_S: Final = (
    0.1  # how long a killed task may take to see its cancellation before it is called a leak
)
CLOSE_STOP_S: Final = 30.0  # how long `close` waits for each actor that nobody supervises


class ActorInfo(msgspec.Struct, frozen=True):
    """One running actor, as `system.actors()` lists it."""

    path: str
    incarnation: int
    state: str
    mailbox_len: int
    actor_class: type[Any]
    parent: str | None


class Status(msgspec.Struct, frozen=True):
    """What an actor is doing, read beside its mailbox: it is there also while a handler is suspended."""

    path: str
    incarnation: int
    state: str
    mailbox_len: int
    control_len: int
    handling: bool  # a handler is suspended
    shown: Any  # what the actor's format_status shows


class ActorSystem:
    """All actors of one event loop, and their addresses. `async with ActorSystem() as system: ...`

    Leaving stops what still runs; `leaked` then names what could not be stopped.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        dice: Dice | None = None,
        ids: Ids | None = None,
        on_event: Callable[[Event], None] | None = None,
        turn: int = TURN,
        batch: int = BATCH,
    ) -> None:
        self._clock = clock
        self.dice: Dice = dice or SystemDice()
        self.ids: Ids = ids or SystemIds()
        self.dead_letters = DeadLetters()
        self.lock = threading.Lock()  # for the rare steps of a mailbox that are not one atomic operation
        self.vacancy = Vacancy(self)
        self.registry = registry_of(self)
        self._turn = turn
        self._batch = batch
        self._scheduler: Scheduler | None = None
        self._subscribers: list[Callable[[Event], None]] = [on_event or _log_crash]
        self._addresses: weakref.WeakValueDictionary[str, Ref] = weakref.WeakValueDictionary()
        self.holding: dict[Ref, None] = {}  # the addresses at which messages wait for the next incarnation
        self._incarnations = Incarnations()
        self._names: dict[str, Ref] = {}
        self._refusals: dict[str, Callable[[], Exception | None]] = {}
        self._live: dict[Cell, None] = {}
        self._abandoned: list[tuple[str, int, Any]] = []
        self._anonymous = itertools.count(1)

    # -- life ------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Binds the system to the running loop."""
        loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(loop, turn=self._turn, batch=self._batch)
        if self._clock is None:
            self._clock = LoopClock(loop) if isinstance(loop, VirtualTimeLoop) else SystemClock()
        mirror(self)

    async def close(self) -> None:
        """Stops what still runs, last started first; kills what does not stop."""
        if self._scheduler is None or self._scheduler.closed:
            return
        while (
            root := next((cell for cell in reversed(self._live) if self._is_root(cell)), None)
        ) is not None:
            await self.stop(root.ref, timeout_s=CLOSE_STOP_S)
        for cell in tuple(self._live):
            cell.kill()
        await self._settle([task for _path, _incarnation, task in self._abandoned])
        self.scheduler.run()
        self.scheduler.closed = True
        unmirror(self)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def scheduler(self) -> Scheduler:
        if self._scheduler is None:
            raise NotOnLoop("the system is not started: `async with ActorSystem() as system`")
        return self._scheduler

    @property
    def clock(self) -> Clock:
        if self._clock is None:
            raise NotOnLoop("the system is not started: `async with ActorSystem() as system`")
        return self._clock

    @property
    def leaked(self) -> list[str]:
        """What still runs behind its fence: "path#incarnation" of every killed actor whose task or thread has not ended."""
        self._abandoned = [entry for entry in self._abandoned if _runs(entry[2])]
        return [f"{path}#{incarnation}" for path, incarnation, _thing in self._abandoned]

    # -- addresses and names ---------------------------------------------------------------------------------------
    def address(self, path: str) -> Ref:
        """The address at this path, whether or not an actor runs there. The same Ref as long as anybody holds it."""
        ref = self._addresses.get(path)
        if ref is None:
            if not path.startswith("/"):
                raise ValueError(f"a path starts with a slash: {path!r}")
            ref = Ref(self, path)
            ref.actor_class = Actor
            ref._incarnation = self._incarnations.latest(path)
            self._addresses[path] = ref
        return ref

    def register(self, name: str, ref: Ref) -> None:
        """Names an address. The name goes when the address is retired. Raises NameTaken."""
        if self._names.get(name, ref) is not ref:
            raise NameTaken(f"{name!r} is {self._names[name].path}")
        self._names[name] = ref

    def unregister(self, name: str) -> None:
        self._names.pop(name, None)

    def whereis(self, name: str) -> Ref | None:
        return self._names.get(name)

    def refuse_below(self, path: str, refusal: Callable[[], Exception | None] | None) -> None:
        """While nothing runs at an address below `path`, calls to it are answered with what `refusal()` gives, if it
        gives something, instead of ActorDead: a paused subtree says when to try again. None ends that."""
        prefix = path.rstrip("/") + "/"
        if refusal is None:
            self._refusals.pop(prefix, None)
        else:
            self._refusals[prefix] = refusal

    def refusal(self, path: str) -> Exception | None:
        """What a call to a vacant address is answered with, if someone above it has something to say."""
        for prefix, refusal in self._refusals.items():
            if path.startswith(prefix) and (error := refusal()) is not None:
                return error
        return None

    # -- starting --------------------------------------------------------------------------------------------------
    async def spawn(
        self,
        actor_class: type[Actor],
        *args: Any,
        path: str | None = None,
        parent: Ref | None = None,
        while_down: Stash | None = None,
        start_timeout_s: float = 30.0,
        isolation: Isolation | str = Isolation.LOOP,
        **kwargs: Any,
    ) -> Ref:
        """Starts an actor and gives its address, once `on_start` is done.

        At a path whose address exists, this is a new incarnation of the same Ref. If it returned Ignore, the Ref is
        not alive. Raises AlreadyStarted, StartError (constructor or on_start raised, or it ended) or StartTimeout.
        """
        if isolation is not Isolation.LOOP:
            actor_class = self._isolated(actor_class, isolation, path)
        if path is None:
            ref = Ref(self, next(self._anonymous))
        else:
            ref = self.address(path)
            if not ref._cell.ended:
                raise AlreadyStarted(path, ref)
            ref._retired = False
            ref._parent = None
            ref._told = None
        if while_down is not None:
            ref.keep_while_down(while_down.capacity)
        incarnation = ref._incarnation = ref._incarnation + 1
        if path is not None:
            self._incarnations.note(path, incarnation)
        ref.actor_class = actor_class
        cell = actor_class.cell_class(self, self._scheduler or self.scheduler, ref, incarnation, actor_class)
        ref._cell = cell
        if ref._awaited:
            cell.own().monitored_by.update(ref._awaited)
            ref._awaited = None
        self._live[cell] = None
        if parent is not None:
            ref._parent = parent
            if parent._children is None:
                parent._children = weakref.WeakSet()
            parent._children.add(ref)
            if not parent._cell.ended:
                parent._cell.own().children[cell] = None
        try:
            actor = actor_class.__new__(actor_class)
            actor._cell = cell
            cell.actor = actor
            actor.__init__(*args, **kwargs)
        except BaseException as error:
            cell.abort(error)
            raise StartError(ref.path, error) from error
        cell.start_up()
        if cell.started is not None:
            began = await self._await_start(cell, start_timeout_s)
        else:
            began = cell.state is not State.ENDED
        if not began:
            exit_ = cell.exit
            if exit_ is None or not isinstance(exit_.detail, Ignore):
                raise StartError(ref.path, exit_.error if exit_ is not None else None, exit_)
        return ref

    def _isolated(
        self, actor_class: type[Actor], isolation: Isolation | str, path: str | None
    ) -> type[Actor]:
        """The class that stands for `actor_class` where it is to run."""
        try:
            simulated = isinstance(self.scheduler.loop, VirtualTimeLoop)
            return isolated(actor_class, isolation, simulated=simulated)
        except IsolationRefused as error:
            raise StartError(path or actor_class.__name__, error) from error

    async def _await_start(self, cell: Cell, start_timeout_s: float) -> bool:
        """Whether its life began: what happens to it later, were it at once, is told as the end of a running actor."""
        started = cell.started
        assert started is not None
        try:
            async with asyncio.timeout(start_timeout_s):
                return await asyncio.shield(started)
        except TimeoutError:
            if not started.done():
                cell.kill()
                raise StartTimeout(cell.path, start_timeout_s) from None
            return started.result()
        except BaseException:  # whoever wanted this actor is gone
            if cell.parent is None or cell.parent.cell.ended:
                cell.kill()
            else:  # its parent, which ends, too, stops what it started in its own order and time
                cell.post(Stop(SHUTDOWN))
            raise

    # -- stopping --------------------------------------------------------------------------------------------------
    async def stop(
        self, ref: Ref, exit_: Exit = SHUTDOWN, timeout_s: float | Shutdown = 5.0, *, drain: bool = False
    ) -> Exit:
        """Stops what runs at `ref` and gives its exit once it ended: before its waiting messages, or after (`drain`).

        After `timeout_s` it is killed: the exit is KILLED, its detail an Overrun. If nothing ran: the last exit, or
        NOPROC.
        """
        cell = ref.cell
        if cell.ended:
            return ref.last_exit or Exit(ExitKind.NOPROC)
        if cell.task is not None and cell.task is asyncio.current_task():
            raise CallingSelf(f"{ref.path} would wait for its own end: use self.exit()")
        if timeout_s is BRUTAL_KILL:
            cell.kill()
            return KILLED
        ended: asyncio.Future[Exit] = self.scheduler.loop.create_future()

        def tell(how: Exit) -> None:
            if not ended.done():
                ended.set_result(how)

        cell.own().end_waiters.append(tell)
        if drain:
            cell.enqueue(ActorStop())
        else:
            cell.post(Stop(exit_))
        try:
            async with asyncio.timeout(None if timeout_s is INFINITY else timeout_s):  # type: ignore[arg-type]
                return await ended
        except TimeoutError:
            if ended.done() and not ended.cancelled():
                return ended.result()
            cell.kill()
            return Exit(ExitKind.KILLED, detail=Overrun(unstopped=await self._still_runs(cell)))

    def ask_to_stop(self, cell: Cell, exit_: Exit) -> None:
        """Posts a stop and waits for nothing."""
        cell.post(Stop(exit_))

    def kill(self, ref: Ref) -> None:
        """The fence. From now on the incarnation is dead: its mail dead letters, its monitors told, its task cancelled."""
        if not ref.cell.ended:
            ref.cell.kill()

    async def _still_runs(self, cell: Cell) -> bool:
        mine = [
            thing
            for path, number, thing in self._abandoned
            if (path, number) == (cell.path, cell.incarnation)
        ]
        await self._settle(mine)
        return any(_runs(thing) for thing in mine)

    async def _settle(self, things: list[Any]) -> None:
        tasks = [thing for thing in things if isinstance(thing, asyncio.Task) and not thing.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=KILL_GRACE_S)

    def retire(self, ref: Ref) -> None:
        """Says that nothing will run at this address any more: for the supervisor that decided so.

        Watchers get their Down, the name and the stash go. An actor without a parent is retired when it ends.
        """
        if ref._retired or not ref._cell.ended:
            return
        ref._retired = True
        for name in [name for name, named in self._names.items() if named is ref]:
            del self._names[name]
        for message in ref.empty_stash():
            self.dead_letters.add(DeadLetter(message, ref.path, ref.incarnation, "the address was retired"))
        exit_ = ref.last_exit or Exit(ExitKind.NOPROC)
        watchers, ref._watchers = ref._watchers or {}, None
        for monitor in watchers:
            monitor.watcher.post(Down(monitor, ref, ref.incarnation, exit_))
        awaited, ref._awaited = ref._awaited or {}, None
        for monitor in awaited:
            monitor.watcher.post(Down(monitor, ref, ref.incarnation, Exit(ExitKind.NOPROC)))
        for child in tuple(ref._children or ()):
            if child.parent is ref:
                self.retire(child)

    # -- looking ---------------------------------------------------------------------------------------------------
    def actors(self) -> list[ActorInfo]:
        """Every running actor, in the order they started."""
        return [
            ActorInfo(
                path=cell.path,
                incarnation=cell.incarnation,
                state=cell.state.value,
                mailbox_len=len(cell.queue),
                actor_class=cell.actor_class,
                parent=cell.parent.path if cell.parent is not None else None,
            )
            for cell in tuple(self._live)
        ]

    def get_status(self, ref: Ref) -> Status | None:
        """What the actor is doing, also while one of its handlers is suspended. None if none runs."""
        cell = ref.cell
        if cell.ended:
            return None
        return Status(
            path=cell.path,
            incarnation=cell.incarnation,
            state=cell.state.value,
            mailbox_len=len(cell.queue),
            control_len=len(cell.control or ()),
            handling=cell.handling,
            shown=cell.actor.shown_status() if cell.actor is not None else None,
        )

    def live_refs(self) -> list[Ref]:
        return [cell.ref for cell in tuple(self._live)]

    # -- events ----------------------------------------------------------------------------------------------------
    def emit(self, event: Event) -> None:
        """Tells every subscriber. One that raises is dropped, and its error becomes a dead letter: observers never hurt."""
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception as error:  # noqa: BLE001 - see above
                self._subscribers.remove(subscriber)
                self.dead_letters.add(DeadLetter(event, repr(subscriber), 0, error))

    def subscribe(self, subscriber: Callable[[Event], None]) -> Callable[[], None]:
        """Calls `subscriber` with each event. Gives back what ends the subscription."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    @property
    def listened_to(self) -> bool:
        return bool(self._subscribers)

    # -- for the runtime -------------------------------------------------------------------------------------------
    def observe(self, monitor: MonitorRef) -> None:
        """Starts a monitor or a watch, or reports at once what is over already."""
        watcher, ref = monitor.watcher, monitor.ref
        if watcher.ended or not monitor.active:
            return
        watcher.own().monitoring[monitor] = None
        cell = ref.cell
        if monitor.final and not ref.pinned_down:
            if not ref._retired:
                ref._watchers = ref._watchers if ref._watchers is not None else {}
                ref._watchers[monitor] = None
                return
        elif not cell.ended:
            cell.own().monitored_by[monitor] = None
            return
        elif not ref.pinned_down:
            ref._told = ref._told if ref._told is not None else set()
            if watcher in ref._told:  # one Down per incarnation: this monitor is for the next
                ref._awaited = ref._awaited if ref._awaited is not None else {}
                ref._awaited[monitor] = None
                return
            ref._told.add(watcher)
        watcher.post(Down(monitor, ref, ref.incarnation, ref.last_exit or Exit(ExitKind.NOPROC)))

    def vacate(self, cell: Cell, exit_: Exit) -> None:
        """The incarnation is over: its address is free."""
        self._live.pop(cell, None)
        ref = cell.ref
        ref._last_exit = exit_
        if ref._cell is cell:
            ref._cell = self.vacancy

    def ended(self, cell: Cell, exit_: Exit) -> None:
        if cell.parent is None or cell.parent._retired:
            self.retire(cell.ref)

    def abandon(self, cell: Cell, thing: Any) -> None:
        """Remembers a task or thread of a killed actor, to name it if it does not end."""
        self._abandoned = [entry for entry in self._abandoned if _runs(entry[2])]
        self._abandoned.append((cell.path, cell.incarnation, thing))

    def lose_answer(self, ref: Ref, error: BaseException) -> None:
        """An error answer that nobody ever looked at."""
        self.dead_letters.add(DeadLetter(error, ref.path, ref.incarnation, "nobody read this answer"))

    def _is_root(self, cell: Cell) -> bool:
        return cell.parent is None or cell.parent.cell.ended


def _runs(thing: Any) -> bool:
    return thing.is_alive() if isinstance(thing, threading.Thread) else not thing.done()


def _log_crash(event: Event) -> None:
    """What happens to crash reports if nobody asked for events."""
    if isinstance(event, CrashReport):
        structlog.get_logger("allstop").error("actor.crashed", actor=event.path, report=event.text())
