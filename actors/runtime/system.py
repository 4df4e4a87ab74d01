"""The actor system: starts, finds, stops and watches the actors of one event loop."""

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from allstop.actors.clock import Clock, Dice, Ids, LoopClock, SystemClock, SystemDice, SystemIds, take_ids
from allstop.actors.events import Event, Unstopped
from allstop.actors.exits import SHUTDOWN, Exit
from allstop.actors.runtime.actor import Actor
from allstop.actors.runtime.addresses import Addresses
from allstop.actors.runtime.arguments import (
    want,
    want_count,
    want_exit,
    want_function,
    want_path,
    want_ref,
    want_seconds,
)
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.dead_letters import DeadLetter, DeadLetters
from allstop.actors.runtime.errors import NotOnLoop
from allstop.actors.runtime.hangs.watchdog import Watchdog
from allstop.actors.runtime.inspection.status import ActorInfo, Status, actor_infos, metrics_of, status_of
from allstop.actors.runtime.mailbox import MailboxMetrics
from allstop.actors.runtime.messages import MonitorRef, Stop, TaskFailed
from allstop.actors.runtime.monitoring import observe
from allstop.actors.runtime.pykka_registry import mirror, registry_of, unmirror
from allstop.actors.runtime.ref import Ref
from allstop.actors.runtime.registry import Registry
from allstop.actors.runtime.reporting import log_trouble
from allstop.actors.runtime.scheduler import BATCH, TURN, Scheduler
from allstop.actors.runtime.starting import begun, launch, nameless, stand_in, started, vacant
from allstop.actors.runtime.states import ENDED, RUNNING
from allstop.actors.runtime.stopping import Abandoned, ended, ended_idle, retire, stop
from allstop.actors.runtime.tuning import PutBack, check_interpreter, freeze, tune
from allstop.actors.runtime.vacancy import Vacancy
from allstop.actors.runtime.virtual_time import VirtualTimeLoop
from allstop.actors.spec import Isolation, Shutdown, Stash

MAX_HANDLER_S: Final = (
    1.0  # a venue's heartbeat comes every second: who misses one knows nothing for sure any more
)
LOOP: Final = (
    Isolation.LOOP
)  # an enum's attribute costs a lookup through its metaclass, as much as making the cell
START_TIMEOUT_S: Final = 30.0
CLOSE_STOP_S: Final = 30.0  # how long `close` waits for each actor that nobody supervises


class ActorSystem:
    """All actors of one event loop, and their addresses. `async with ActorSystem() as system: ...`

    Leaving stops what still runs; `leaked` then names what could not be stopped. A handler that holds the loop for
    `max_handler_s` is told of by a watchdog thread (watchdog.py); None, or virtual time: by nobody. While it runs, the
    interpreter switches threads every 0.2 ms, and every 0.05 ms while it is saturated (tuning.py), unless `tuned` is False.
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
        max_handler_s: float | None = MAX_HANDLER_S,
        tuned: bool = True,
    ) -> None:
        want_count("turn", turn, least=1)
        want_count("batch", batch, least=1)
        if max_handler_s is not None:
            want_seconds("max_handler_s", max_handler_s, above=True)
        if on_event is not None:
            want_function("on_event", on_event)
        self._clock = clock
        self.dice: Dice = dice or SystemDice()
        self.ids: Ids = ids or SystemIds()
        self.dead_letters = DeadLetters(self)
        self.lock = (
            threading.RLock()
        )  # for the rare steps of a mailbox that are not one atomic operation; again in one
        # thread, because a message that one of them frees may have a finalizer that sends
        self.vacancy = Vacancy(self)
        self.registry = registry_of(self)
        self._turn = turn
        self._batch = batch
        self.max_handler_s = max_handler_s
        self._tuned = tuned
        self._untune: PutBack | None = None
        self._unfreeze: PutBack | None = None
        self._watchdog: Watchdog | None = None
        self._scheduler: Scheduler | None = None
        self.subscribers: tuple[Callable[[Event], None], ...] = (on_event or log_trouble,)
        self.addresses = Addresses(self)
        self.names = Registry()  # of `register` and `whereis`; others may be made beside it
        self.holding: dict[Ref, None] = {}  # the addresses at which messages wait for the next incarnation
        self.live: dict[Cell, None] = {}  # in the order they started
        self.abandoned = Abandoned()
        self.next_anonymous = itertools.count(1).__next__

    exit_signals: "deque[Any] | None" = None  # of links, while the end of one actor ends others

    # -- life ------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Binds the system to the running loop. Raises FreeThreaded on an interpreter without its lock."""
        check_interpreter()
        loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(loop, turn=self._turn, batch=self._batch, tuned=self._tuned)
        self._scheduler.context.run(take_ids, self.ids)
        if self._clock is None:
            self._clock = LoopClock(loop) if isinstance(loop, VirtualTimeLoop) else SystemClock()
        mirror(self)
        if self._tuned:
            self._untune = tune(self)
        if self.max_handler_s is not None and not isinstance(loop, VirtualTimeLoop):
            self._watchdog = Watchdog(self, self.max_handler_s)
            self._watchdog.start()

    async def close(self) -> None:
        """Stops what still runs, last started first; kills what does not stop, and tells by name what runs all the same
        (an Unstopped event each; `leaked`)."""
        if self._scheduler is None or self._scheduler.closed:
            return
        while roots := [cell for cell in self.live if self._is_root(cell)]:  # again: a stop may start some
            for root in reversed(roots):
                if not root.ended:
                    await self.stop(root.ref, timeout_s=CLOSE_STOP_S)
        for cell in tuple(self.live):
            cell.kill()
        await self.abandoned.settle()
        for path, incarnation, what in self.abandoned.running():
            at_ns = self.clock.wall_ns()
            self.emit(Unstopped(at_ns=at_ns, path=path, incarnation=incarnation, what=what))
        if self._watchdog is not None:
            self._watchdog.stop()
        self.scheduler.close()
        unmirror(self)
        for put_back in (self._untune, self._unfreeze):
            if put_back is not None:
                put_back()

    def forsake(self) -> None:
        """For a simulation whose engine has died: what the process shares with other systems is given back, nothing is
        stopped or told, and no handler runs any more."""
        if self._scheduler is None or self._scheduler.closed:
            return
        self._scheduler.armed = True  # nobody wakes it any more
        unmirror(self)
        if self._untune is not None:
            self._untune()

    def freeze(self) -> None:
        """To be called when what is to run runs: garbage collection passes over all that exists now, until `close`.

        A full collection at 10,000 actors then takes under 1 ms. What is frozen and dropped is freed as always, unless
        it is part of a cycle: that stays until `close`. With virtual time nothing is done.
        """
        if self._unfreeze is None and not isinstance(self.scheduler.loop, VirtualTimeLoop):
            self._unfreeze = freeze(self)

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
        return self.abandoned.names()

    # -- addresses and names ---------------------------------------------------------------------------------------
    def address(self, path: str) -> Ref:
        """The address at this path, whether or not an actor runs there. The same Ref as long as anybody holds it.

        Raises ValueError for what is no path: it starts with a slash, and between two stands a name.
        """
        return self.addresses.at(path)

    def register(self, name: str, ref: Ref) -> None:
        """Names an address. The name stays through restarts and goes when the address is retired. Raises NameTaken."""
        self.names.register(name, ref)

    def unregister(self, name: str) -> None:
        self.names.unregister(name)

    def whereis(self, name: str) -> Ref | None:
        return self.names.whereis(name)

    def refuse_below(self, path: str, refusal: Callable[[], Exception | None] | None) -> None:
        """While nothing runs at an address below `path`, calls to it are answered with what `refusal()` gives, if it
        gives something, instead of ActorDead: a paused subtree says when to try again. None ends that."""
        want_path(path)
        if refusal is not None:
            want_function("refusal", refusal)
        self.addresses.refuse_below(path, refusal)

    # -- starting --------------------------------------------------------------------------------------------------
    async def spawn(
        self,
        actor_class: type[Actor],
        *args: Any,
        path: str | None = None,
        parent: Ref | None = None,
        while_down: Stash | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        isolation: Isolation | str = LOOP,
        **kwargs: Any,
    ) -> Ref:
        """Starts an actor and gives its address, once `on_start` is done.

        At a path whose address exists, this is a new incarnation of the same Ref. If it returned Ignore, the Ref is
        not alive. Raises AlreadyStarted, StartError (constructor or on_start raised, or it ended) or StartTimeout.
        """
        if while_down is not None:
            want("while_down", while_down, Stash, "a Stash(capacity)")
            if not isinstance(while_down.capacity, int) or while_down.capacity < 1:
                raise ValueError(f"while_down: a Stash of at least one message, not {while_down!r}")
        if start_timeout_s is not START_TIMEOUT_S:
            want_seconds("start_timeout_s", start_timeout_s, above=True)
        if isolation is not LOOP:
            actor_class = stand_in(self, actor_class, isolation, path)
        ref = nameless(self) if path is None else vacant(self, path)
        cell = launch(self, ref, actor_class, args, kwargs, parent, while_down)
        if cell.state is RUNNING:
            return ref
        if cell.started is None:
            return started(cell, cell.state is not ENDED)
        return started(cell, await begun(cell, start_timeout_s))

    # -- stopping --------------------------------------------------------------------------------------------------
    async def ended(self, ref: Ref) -> Exit:
        """Waits until what runs at `ref` ends, however it does, and gives its exit: the last one, or NOPROC, if nothing
        runs there. On the loop, outside actors: an actor monitors."""
        want_ref("ref", ref)
        return await ended(self, ref)

    async def stop(
        self, ref: Ref, exit_: Exit = SHUTDOWN, timeout_s: float | Shutdown = 5.0, *, drain: bool = False
    ) -> Exit:
        """Stops what runs at `ref` and gives its exit once it ended: before its waiting messages, or after (`drain`).

        After `timeout_s` it is killed: the exit is KILLED, its detail an Overrun. If nothing ran: the last exit, or
        NOPROC. Raises ValueError for a wrong `timeout_s`, and has stopped nothing then.
        """
        if ref.__class__ is not Ref:
            want_ref("ref", ref)
        if exit_ is not SHUTDOWN:
            want_exit("exit_", exit_)
        if not drain and timeout_s.__class__ is float and timeout_s >= 0 and ended_idle(ref._cell, exit_):  # type: ignore[operator]
            return exit_
        return await stop(self, ref, exit_, timeout_s, drain=drain)

    def ask_to_stop(self, cell: Cell, exit_: Exit) -> None:
        """Posts a stop and waits for nothing."""
        cell.post(Stop(exit_))

    def crash(self, ref: Ref, error: Exception) -> bool:
        """Fails what runs at `ref` as a task of its own would that raised `error`: for chaos, and for tests of
        supervision. A suspended handler is interrupted, one that runs ends first. False if nothing runs there."""
        want_ref("ref", ref)
        want("error", error, Exception, "an exception")
        cell = ref.cell
        if cell.ended:
            return False
        cell.post(TaskFailed("crashed from outside", error))
        return True

    def kill(self, ref: Ref) -> None:
        """The fence. From now on the incarnation is dead: its mail dead letters, its monitors told, its task cancelled."""
        want_ref("ref", ref)
        if not ref.cell.ended:
            ref.cell.kill()

    def retire(self, ref: Ref) -> None:
        """Says that nothing will run at this address any more: for the supervisor that decided so.

        Watchers get their Down, the name and the stash go. An actor without a parent is retired when it ends.
        """
        if ref.__class__ is not Ref:
            want_ref("ref", ref)
        retire(self, ref)

    # -- looking ---------------------------------------------------------------------------------------------------
    def actors(self) -> list[ActorInfo]:
        """Every running actor, in the order they started."""
        return actor_infos(tuple(self.live))

    def get_status(self, ref: Ref) -> Status | None:
        """What the actor is doing, also while one of its handlers is suspended. None if none runs."""
        want_ref("ref", ref)
        return status_of(ref)

    def mailbox_metrics(self, ref: Ref) -> MailboxMetrics | None:
        """How full the actor's mailbox is, and what its bound did so far in this incarnation. None if none runs."""
        want_ref("ref", ref)
        return metrics_of(ref)

    def live_refs(self) -> list[Ref]:
        return [cell.ref for cell in tuple(self.live)]

    # -- events ----------------------------------------------------------------------------------------------------
    def emit(self, event: Event) -> None:
        """Tells every subscriber. One that raises is dropped, and its error becomes a dead letter: observers never hurt."""
        for subscriber in self.subscribers:
            try:
                subscriber(event)
            except Exception as error:  # noqa: BLE001 - see above
                self._unsubscribe(subscriber)
                self.dead_letters.add(DeadLetter(event, repr(subscriber), 0, error, kind="observer"))

    def subscribe(self, subscriber: Callable[[Event], None]) -> Callable[[], None]:
        """Calls `subscriber` with each event. Gives back what ends the subscription.

        Most events come on the loop's thread. What a watchdog thread sees while the loop hangs (HandlerHung where="loop",
        LoopHeld) comes on that thread: a subscriber that acts on it must be fit for that, as `ref.tell` is.
        """
        want_function("subscriber", subscriber)
        self.subscribers = (*self.subscribers, subscriber)
        return lambda: self._unsubscribe(subscriber)

    def _unsubscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Ends one subscription of it."""
        kept = list(self.subscribers)
        if subscriber in kept:
            kept.remove(subscriber)
            self.subscribers = tuple(kept)

    # -- for the runtime -------------------------------------------------------------------------------------------
    def observe(self, monitor: MonitorRef) -> None:
        """Starts a monitor or a watch. In a process of its own, some are started where the others live (hosted.py)."""
        observe(monitor)

    def abandon(self, cell: Cell, thing: Any) -> None:
        """Remembers a task or thread of a killed actor, to name it if it does not end."""
        self.abandoned.add(cell, thing)

    def lose_answer(self, ref: Ref, error: BaseException) -> None:
        """An error answer that nobody ever looked at."""
        self.dead_letters.add(
            DeadLetter(error, ref.path, ref.incarnation, "nobody read this answer", kind="answer")
        )

    def _is_root(self, cell: Cell) -> bool:
        return cell.parent is None or cell.parent.cell.ended
