"""The class that users subclass: pykka's Actor, on the event loop."""

import asyncio
from collections.abc import Coroutine
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from pykka.messages import ProxyCall

from allstop.actors.clock import Clock, Dice, Ids
from allstop.actors.exits import NORMAL, Exit
from allstop.actors.runtime import linking, monitoring
from allstop.actors.runtime.arguments import want, want_exit, want_ref, want_seconds
from allstop.actors.runtime.behaviours.stash import (
    NOTHING,
    Stashed,
    clear_receive_timeout,
    remembering,
    set_receive_timeout,
)
from allstop.actors.runtime.belongings import Reply, Timer
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.context_cell import ContextCell
from allstop.actors.runtime.dead_letters import DeadLetter
from allstop.actors.runtime.errors import Fenced, UnknownMessage
from allstop.actors.runtime.mailbox import Mailbox
from allstop.actors.runtime.messages import MonitorRef
from allstop.actors.runtime.pykka_actor import PykkaActor
from allstop.actors.runtime.ref import FencedRef
from allstop.actors.runtime.states import ENDED
from allstop.actors.runtime.thread_cell import ThreadCell
from allstop.actors.spec import ChildSpec, Start

if TYPE_CHECKING:
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.system import ActorSystem


def _check_class(cls: "type[Actor]") -> None:
    """What a class says of itself is checked when it is made: later it would show as a mailbox without a bound."""
    mailbox: object = cls.mailbox
    if not isinstance(mailbox, Mailbox):
        raise TypeError(
            f"{cls.__qualname__}.mailbox is a Mailbox, as in Mailbox(capacity=100), not {mailbox!r}"
        )
    for name in ("max_handler_s", "silence_max_s"):
        limit_s: object = getattr(cls, name)
        if limit_s is not None and (
            isinstance(limit_s, bool) or not isinstance(limit_s, int | float) or limit_s <= 0
        ):
            raise TypeError(f"{cls.__qualname__}.{name} is seconds above 0, or None, not {limit_s!r}")
    capacity: object = cls.stash_capacity
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 0:
        raise TypeError(f"{cls.__qualname__}.stash_capacity is a whole number from 0 on, not {capacity!r}")


class Actor(PykkaActor):
    """Something that runs, holds state or fails on its own. It handles one message at a time.

    Subclass it, give it `on_receive(message)`, plain or `async`, and start it with `await system.spawn(Class, ...)`.
    What `on_receive` returns answers a call. What it raises ends the actor (a crash), except a ReplyError in a call.
    The constructor never waits; what the properties below give is there before it runs.
    """

    mailbox: ClassVar[Mailbox] = Mailbox()
    cell_class: ClassVar[type[Cell]] = Cell
    context_per_message: ClassVar[bool] = False  # True: handlers see the context variables of the sender
    trap_exits: ClassVar[bool] = (
        False  # the end of a linked actor is a message to me (ExitSignal), not my end
    )
    max_handler_s: ClassVar[float | None] = None  # how long one message may take; see docs/guide/watchdog.md
    keeps_task: ClassVar[bool] = True  # False: its handlers seldom suspend, and the task ends with the mail
    has_on_restart: ClassVar[bool] = False
    has_on_start: ClassVar[bool] = False  # spared where there is none: starting is a hot path, too
    has_on_stop: ClassVar[bool] = False  # and so is stopping
    has_on_failure: ClassVar[bool] = False  # and failing, where a restart follows
    has_status: ClassVar[bool] = False
    wire: ClassVar[
        tuple[type[Any], ...]
    ] = ()  # with isolation="process": the classes of messages and answers
    silence_max_s: ClassVar[float | None] = (
        10.0  # a process of its own that does not answer for so long is killed
    )
    simulated_cost_s: ClassVar[float | None] = (
        None  # with isolation, in a simulation: virtual time per message; None: it is not isolated there
    )
    stash_capacity: ClassVar[int] = 0  # how many messages `stash()` may put aside; 0: it is not used
    _cell: Cell
    _log: Any = None
    _handled: Any = NOTHING  # the message that is being handled, where there is a stash
    _stashed: Stashed | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_class(cls)
        if cls.context_per_message and cls.cell_class is not ContextCell:
            if cls.cell_class is not Cell:
                raise TypeError(f"{cls.__name__}: context_per_message is for plain actors on the loop")
            cls.cell_class = ContextCell
        elif not cls.context_per_message and cls.cell_class is ContextCell:
            cls.cell_class = Cell
        cls.has_on_restart = cls.on_restart is not Actor.on_restart
        cls.has_on_start = cls.has_on_restart or cls.on_start is not Actor.on_start
        cls.has_on_stop = cls.on_stop is not Actor.on_stop
        cls.has_on_failure = cls.on_failure is not Actor.on_failure
        cls.has_status = cls.format_status is not Actor.format_status
        if cls.stash_capacity > 0:
            cls.on_receive = remembering(cls.on_receive)  # pyright: ignore[reportAttributeAccessIssue]

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing to do: the system binds an actor to its incarnation before the constructor runs."""

    # -- who and where ---------------------------------------------------------------------------------------------
    @property
    def ref(self) -> "Ref":
        """My address: it survives me. Once this incarnation ended, sending through it raises Fenced."""
        cell = self._cell
        return cell.ref if cell.state is not ENDED else FencedRef(cell)

    @property
    def path(self) -> str:
        return self._cell.ref.path

    @property
    def incarnation(self) -> int:
        return self._cell.incarnation

    @property
    def parent(self) -> "Ref | None":
        return self._cell.parent

    @property
    def system(self) -> "ActorSystem":
        return self._cell.ref._system

    @property
    def clock(self) -> Clock:
        system = self._cell.ref._system
        return system._clock or system.clock

    @property
    def dice(self) -> Dice:
        return self._cell.ref._system.dice

    @property
    def ids(self) -> Ids:
        return self._cell.ref._system.ids

    @property
    def log(self) -> Any:
        """A structlog logger bound to my path and incarnation, made when first used."""
        if self._log is None:
            import structlog  # it takes longer to import than all of the runtime: whoever logs pays for it

            self._log = structlog.get_logger("allstop").bind(actor=self.path, incarnation=self.incarnation)
        return self._log

    @property
    def fenced(self) -> bool:
        """True once this incarnation was killed or ended: what it still does must not count."""
        return self._cell.ended

    def check_fence(self) -> None:
        """Raises Fenced if this incarnation was killed. Ask before an act that cannot be taken back."""
        if self._cell.ended:
            raise Fenced(self.path, self.incarnation)

    # -- what a subclass may define --------------------------------------------------------------------------------
    def on_start(self) -> Any:
        """Runs first; plain or async. `spawn` returns when it is done. May return Continue(x) or Ignore()."""

    def on_restart(self, previous: Exit) -> None:
        """Runs before `on_start` when an earlier incarnation was here: `previous` is how the last one ended. Plain only.

        Akka calls its PreRestart on the failed actor. Ours is a new object, which the failed one cannot hand anything:
        that one has its `on_failure`, and `on_stop` when it ended in order.
        """

    def on_receive(self, message: Any) -> Any:
        """Handles a message; plain or async. What it returns answers a call."""
        return self.on_unhandled(message)

    def on_unhandled(self, message: Any) -> Any:
        """For messages that an actor does not know: `case _: return self.on_unhandled(message)`.

        A told message is logged and becomes a dead letter. A call raises UnknownMessage: caller and actor both made
        a mistake, so the caller gets it and the actor crashes.
        """
        if self.called:
            raise UnknownMessage(self.path, message)
        self.log.warning("message.unhandled", kind=type(message).__name__)  # no more: it may hold a key
        self.system.dead_letters.add(DeadLetter(message, self.path, self.incarnation, "unhandled"))

    def on_continue(self, argument: Any) -> Any:
        """Runs before any other message after `on_start` returned Continue(argument); plain or async."""

    def on_stop(self, exit_: Exit) -> Any:  # type: ignore[override]
        """Runs when the actor ends in order, not after a crash and not on a kill; plain or async.

        What must be closed whatever happens belongs to a task of mine (`start_task`), whose `finally` runs, or also
        into `on_failure`.
        """

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Runs once after a failure, before the actor ends. Plain only: a failing actor waits for nothing."""

    def format_status(self) -> Any:
        """What reports and `get_status` may show of my state. By default nothing: state can hold keys."""
        return None

    def shown_status(self) -> Any:
        """`format_status`, or, if that fails, a word instead of the state."""
        try:
            return self.format_status()
        except BaseException as error:  # noqa: BLE001 - a report must not fail, nor end more than its actor
            return f"hidden: format_status raised {type(error).__name__}"

    # -- what an actor can do --------------------------------------------------------------------------------------
    def tell(self, ref: "Ref", message: Any) -> None:
        """`ref.tell(message)`, unless I was killed: then Fenced. For what must not be said by one who was replaced."""
        self.check_fence()
        ref.tell(message)

    def send_after(self, delay_s: float, message: Any) -> Timer:
        """Tells myself `message` after `delay_s`; 0 or less: as soon as others had their turn. Cancelled with this
        incarnation. Loop timers keep milliseconds."""
        cell = self._cell
        if delay_s.__class__ is not float or delay_s != delay_s:  # not a NaN, which equals nothing
            want_seconds("delay_s", max(delay_s, 0) if isinstance(delay_s, int | float) else delay_s)
        if cell.state is ENDED:
            self.check_fence()
        timer = Timer(cell, message)
        scheduler = cell.scheduler
        if get_ident() == scheduler.thread_id:  # as `hop` does
            (cell.belongings or cell.own()).timers.add(timer)
            timer.start(delay_s)
        else:
            scheduler.hop(self._start_timer, timer, delay_s)
        return timer

    def _start_timer(self, timer: Timer, delay_s: float) -> None:
        if not self._cell.ended:
            self._cell.own().timers.add(timer)
            timer.start(delay_s)

    def monitor(self, ref: "Ref") -> MonitorRef:
        """Sends me Down when the incarnation that runs at `ref` ends, or now if none runs. Also when a restart follows.

        One Down per incarnation: for one that ended before, with its true exit (NOPROC if none ever ran); whoever
        was told of that end already waits for the next incarnation, so a handler of Down may monitor again at once.
        A Down may overtake what the ended actor told me last: it comes by the control lane.
        If no next one comes (the address is retired), that wait ends in a Down with NOPROC.
        """
        return self._observe(MonitorRef(ref, self._cell, final=False))

    def watch(self, ref: "Ref") -> MonitorRef:
        """Sends me Down once nothing will run at `ref` any more; restarts are not reported."""
        return self._observe(MonitorRef(ref, self._cell, final=True))

    def _observe(self, monitor: MonitorRef) -> MonitorRef:
        want_ref("ref", monitor.ref)
        self.check_fence()
        self._cell.scheduler.hop(self.system.observe, monitor)
        return monitor

    def demonitor(self, monitor: MonitorRef) -> None:
        """Ends a monitor or a watch. No Down of it is handled afterwards, not even one that waits already."""
        want("monitor", monitor, MonitorRef, "what monitor() or watch() gave")
        monitor.active = False
        self._cell.scheduler.hop(monitoring.unobserve, monitor)

    def link(self, ref: "Ref") -> None:
        """Ends me when the incarnation that runs at `ref` now ends, with the same exit, and it when I do.

        An end with NORMAL ends nobody. With `trap_exits` I get an ExitSignal instead, for every end. Where nothing
        runs, the link ends at once with NOPROC. A link does not outlive a restart of either.
        """
        want_ref("ref", ref)
        self.check_fence()
        self._cell.scheduler.hop(linking.link, self._cell, ref)

    def unlink(self, ref: "Ref") -> None:
        """Ends my links to `ref`, if I have any. No ExitSignal of them is handled afterwards, not even a waiting one."""
        want_ref("ref", ref)
        self._cell.scheduler.hop(linking.unlink, self._cell, ref, linking.forget(self._cell, ref))

    @property
    def called(self) -> bool:
        """True in the handler of a call, whose sender waits for the answer; False in that of a told message."""
        return self._cell.calling is not None

    def defer(self) -> Reply:
        """In the handler of a call: it will be answered later, with `reply.set(value)` or `reply.fail(error)`."""
        return self._cell.defer()

    def stash(self) -> None:
        """Puts the message that is being handled aside; if it is a call, its sender goes on waiting.

        Needs a `stash_capacity` in the class. Raises StashFull at that bound: a caller gets that as its answer, for a
        told message it is a crash, unless you handle it. What is stashed at the end becomes dead letters; callers get
        ActorDead.
        """
        if self.stash_capacity < 1:
            raise RuntimeError(f"{type(self).__name__} has no stash: give the class a `stash_capacity`")
        self.check_fence()
        message, self._handled = self._handled, NOTHING
        if message is NOTHING:
            raise RuntimeError(f"{self.path}: stash() is for the message being handled, and once for each")
        if self._stashed is None:
            self._stashed = Stashed(self._cell, self.stash_capacity)
        self._stashed.add(message)

    def unstash_all(self) -> int:
        """Everything stashed is handled next, oldest first, before the mailbox. Gives how many messages it is."""
        return self._stashed.take_all() if self._stashed is not None else 0

    def set_receive_timeout(self, delay_s: float | None, message: Any = None) -> None:
        """Tells myself `message` if none comes for `delay_s`, once: any message ends the wait, a Down or a timer's, too.

        0: `message` is handled before the next queued one. None ends a running wait, and so does a new one.
        """
        if delay_s is not None:
            want_seconds("delay_s", delay_s)
        clear_receive_timeout(self)
        if delay_s is not None and delay_s != float("inf"):
            self.check_fence()
            set_receive_timeout(self, self._cell, delay_s, message)

    def start_task(self, coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """A task of this incarnation, for pumps: cancelled when it ends; an exception in it crashes the actor."""
        want("coroutine", coroutine, Coroutine, "a coroutine")
        if self._cell.ended:
            coroutine.close()
            raise Fenced(self.path, self.incarnation)
        return self._cell.start_task(coroutine, name)

    def exit(self, exit_: Exit = NORMAL) -> None:
        """Ends me after this handler; on_stop runs."""
        if exit_ is not NORMAL:
            want_exit("exit_", exit_)
        self._cell.scheduler.hop(self.system.ask_to_stop, self._cell, exit_)

    # -- pykka -----------------------------------------------------------------------------------------------------
    def stop(self) -> None:
        """pykka's name for `exit()`."""
        self.exit(NORMAL)

    def _handle_receive(self, message: Any) -> Any:
        if (
            message.__class__ is ProxyCall
            and message.attr_path == ("stop",)
            and type(self).stop is Actor.stop
            and (call := self._cell.calling) is not None
        ):  # `proxy.stop()`: whoever waits for it waits until on_stop has run
            call.deferred = True
            self._cell.own().end_waiters.append(lambda _exit: call.answer(None))
        return super()._handle_receive(message)

    def __str__(self) -> str:
        return f"{type(self).__name__} ({self.path})"

    @classmethod
    def child_spec(cls, *args: Any, **overrides: Any) -> ChildSpec:
        """How a supervisor starts this class with `args`, as Elixir's child_spec. The id is the name of the class.

        `overrides` are fields of ChildSpec, and `kwargs` what the constructor takes by name. Raises TypeError for
        anything else.
        """
        start = Start(cls, args, overrides.pop("kwargs", {}))
        return ChildSpec(overrides.pop("id", cls.__name__), start, **overrides)


class ThreadActor(Actor):
    """An actor whose handlers block, on a thread of its own. Its handlers are plain functions.

    A thread cannot be killed: a killed ThreadActor is fenced, and named among `system.leaked` until it returns.
    """

    cell_class: ClassVar[type[Cell]] = ThreadCell
