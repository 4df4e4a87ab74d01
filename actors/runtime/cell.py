"""One incarnation of an actor: its mailbox, its state and its life, from start to end.

    starting -> running -> stopping -> ended        (stop: on_stop(exit) runs)
                        -> failing  -> ended        (crash: on_failure runs)
                        ----------->  ended         (kill: nothing of the actor's runs any more)

The mailbox stays open until the state is ended; what it holds then becomes dead letters, its calls get ActorDead.
A message that a thread puts into a mailbox just as it ends is found by that thread's own wake-up: an ended cell is
idle for ever, so whoever adds to its queue schedules the cell once more and `detour` empties it. So no call is lost
between "is it alive" and "put" (statement 253), and no sender takes a lock.

A cell whose handlers are plain functions has no task; `scheduler.Scheduler.run` calls them. The first coroutine that
a handler returns gives the cell a task for the rest of its life (serving.py).

Methods that only set a name here are functions of another module (lanes.py, tasks.py, ...), where their noun has its
place: to a caller they are methods as all others are, at the same price.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.errors import ReplyError
from allstop.actors.exits import KILLED, Exit, ExitKind, ReachedMaxRestartIntensity, crashed
from allstop.actors.runtime import lanes, tasks
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.aftermath import abandon_tasks, let_go, lose
from allstop.actors.runtime.belongings import Belongings, defer
from allstop.actors.runtime.entrance import accept
from allstop.actors.runtime.errors import ActorDead
from allstop.actors.runtime.handling import begin, caller_error
from allstop.actors.runtime.mailbox import Mailbox, Tally
from allstop.actors.runtime.reporting import crash_report
from allstop.actors.runtime.serving import start_and_serve
from allstop.actors.runtime.states import ENDED, FAILING, ORDER, RUNNING, STARTING, STOPPING, State

if TYPE_CHECKING:
    from allstop.actors.runtime.actor import Actor
    from allstop.actors.runtime.inspection.observer import Observer
    from allstop.actors.runtime.inspection.suspension import Suspension
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.scheduler import Scheduler
    from allstop.actors.runtime.system import ActorSystem

# How long the tasks of an actor that ends may take to see their cancellation. Then they are leaks, and its end is told:
# whoever restarts it, or covers what it left, must not wait for them.
WIND_DOWN_S: Final = 0.5


class Cell:
    """One incarnation. Everything but `enqueue`, `wake` and `accept` belongs to the loop's thread."""

    # Set for every cell: what the run loop and senders read. Slots, because a compiled module finds those without asking.
    __slots__ = ("__dict__", "__weakref__", "actor", "detour", "idle", "limit", "queue", "scheduler")
    idle: bool  # True: nothing waits, and the next message rides in the run queue
    queue: Any  # a deque when it is first needed
    limit: int  # where the fast way in ends: 0 sends every message the slow way, through `accept`
    detour: Callable[[Any], None] | None  # where the run loop leaves a message for the task, or after the end
    actor: Any
    calling: m.Call | None  # the call that is being handled
    # Set by those that need them: a small cell starts faster, and costs the garbage collector less.
    belongings: Belongings | None = None
    control: "deque[Any] | None" = None
    tally: Tally | None = None  # what its full mailbox did
    newest: dict[Any, Any] | None = None  # CONFLATE: the newest message of each key
    task: "asyncio.Task[None] | None" = None
    waiter: "asyncio.Future[None] | None" = None  # what the task waits on when there is no mail
    pause: m.Pause | None = None  # the task waits for its next turn
    rides = False  # the task was woken out of turn: a message in the run queue comes before those in its own
    started: "asyncio.Future[bool] | None" = None  # True: its life began; False: it ended before
    handling = False  # a coroutine of the actor is suspended
    interrupted = False  # we cancelled it, in order to stop
    asked: Exit | None = None  # the exit that on_stop was called with
    minder: Any = None  # the monitor of the supervisor whose child this is
    exit: Exit | None = None
    threaded = False
    inspectable = True  # its actor is in this process
    suspension: "Suspension | None" = None  # from inspection.suspend to resume
    observer: "Observer | None" = None  # while inspection traces, logs or counts
    caller: "asyncio.Task[Any] | None" = None  # who waited for the call that failed: for the crash report

    def __init__(
        self,
        _system: "ActorSystem",
        scheduler: "Scheduler",
        ref: "Ref",
        incarnation: int,
        actor_class: "type[Actor]",
    ) -> None:
        self.idle = False  # until started, mail waits in the queue
        self.queue = ()
        self.limit = 0
        self.detour = None
        self.actor = None
        self.calling = None
        self.scheduler = scheduler
        self.ref = ref
        self.actor_class = actor_class
        self.incarnation = incarnation
        self.state = STARTING

    @property
    def system(self) -> "ActorSystem":
        return self.ref._system

    @property
    def mailbox(self) -> Mailbox:
        return self.actor_class.mailbox

    @property
    def capacity(self) -> int:
        """How many messages may wait, as the user said."""
        return self.mailbox.capacity

    @property
    def parent(self) -> "Ref | None":
        return self.ref.parent

    @property
    def ended(self) -> bool:
        return self.state is ENDED

    @property
    def path(self) -> str:
        return self.ref.path

    @property
    def mailbox_len(self) -> int:
        return len(self.queue)

    def own(self) -> Belongings:
        if self.belongings is None:
            self.belongings = Belongings()
        return self.belongings

    # -- mail ------------------------------------------------------------------------------------------------------
    # The slow way in: the first message that has to wait, a full mailbox, or a mailbox with rules of its own.
    accept = accept
    enqueue = lanes.enqueue
    open_queue = lanes.open_queue
    added = lanes.added
    wake = lanes.wake
    ride = lanes.ride
    rest = lanes.rest
    notify = lanes.notify
    post = lanes.post

    def carry(self, message: Any) -> Any:
        """The message as it waits: for a cell that adds something to each (context_cell.py)."""
        return message

    def begin_carried(self, carried: m.Carried) -> tuple[Any, m.Call | None]:
        return begin(self, carried.message)

    def mind(self, minder: Any) -> None:
        """From here on this supervisor is told of the end: of one that was, at once. None: nobody is."""
        if self.minder is not None:
            self.minder.active = False  # also of a Down that waits already
        self.minder = minder
        if minder is not None and self.state is ENDED:
            minder.watcher.notify(m.Down(minder, self.ref, self.incarnation, self.exit or KILLED))

    # -- handling --------------------------------------------------------------------------------------------------
    def take_special(self, message: Any) -> bool:
        """Handles what is not a plain message. True: the run loop must leave this cell alone (task, or ended)."""
        if message.__class__ is m.Call and message.message.__class__ not in m.SPECIAL:
            # The call of a plain message: what `begin` and `finish_call` would do, for calls are many.
            self.calling = call = message
            try:
                result = self.actor.on_receive(message.message)
            except ReplyError as error:
                message.fail(error)
                return self.detour is not None
            except BaseException as error:
                message.fail(caller_error(self, error))
                raise
            finally:
                self.calling = None
            if result is None or result.__class__ is not CoroutineType:
                if not message.deferred:
                    message.answer(result)
                return self.detour is not None
        elif message.__class__ is m.Fired:
            call = None
            if message.timer.cancelled:
                return self.detour is not None
            result = self.actor.on_receive(message.timer.message)
        else:
            result, call = begin(self, message)
        if result is not None and result.__class__ is CoroutineType:
            self.adopt(result, call, message)
            return True
        if call is not None:
            self.finish_call(call, result)
        return self.detour is not None

    defer = defer

    def finish_call(self, call: m.Call, result: Any) -> None:
        if not call.deferred:
            call.answer(result)

    # -- starting --------------------------------------------------------------------------------------------------
    def start_up(self) -> None:
        """Runs on_start. If that takes time, `started` is the future that tells when it is over."""
        if not self.actor_class.has_on_start or self.state is not STARTING:
            self.begin_life(None)
            return
        try:
            if self.actor_class.has_on_restart and self.ref.last_exit is not None:
                self.actor.on_restart(self.ref.last_exit)
            # A copy: whoever starts it may be a handler, which is inside the context.
            result = self.scheduler.context.copy().run(self.actor.on_start)
        except BaseException as error:  # noqa: BLE001 - a crash
            self.crash(error)
            return
        if result.__class__ is not CoroutineType:
            self.begin_life(result)
            return
        self.started = self.scheduler.loop.create_future()
        self.take_task(start_and_serve(self, result), result)

    def begin_life(self, result: Any) -> None:
        """on_start is over, and this is what it returned."""
        if self.state is not STARTING:
            return
        if result is not None:
            if isinstance(result, m.Ignore) or result is m.Ignore:
                self.finish(Exit(ExitKind.NORMAL, detail=m.Ignore()))
                return
            if not isinstance(result, m.Continue):
                self.crash(TypeError(f"on_start may return None, Continue or Ignore, not {result!r}"))
                return
        self.state = RUNNING
        if self.ref.stashed:
            self.open_queue().extendleft(reversed(self.ref.empty_stash()))
        if result is not None:
            self.open_queue().appendleft(result)
        if self.started is not None and not self.started.done():
            self.started.set_result(True)
        if self.task is None:
            self.rest()

    def abort(self, error: BaseException) -> None:
        """The constructor raised."""
        self.report(error, None)
        self.finish(crashed(error))

    # -- tasks -----------------------------------------------------------------------------------------------------
    adopt = tasks.adopt
    take_task = tasks.take_task
    back_to_plain = tasks.back_to_plain
    task_over = tasks.task_over
    leave_mail = tasks.leave_mail
    resume = tasks.resume
    interrupt = tasks.interrupt
    interrupt_self = tasks.interrupt_self
    start_task = tasks.start_task

    # -- ending ----------------------------------------------------------------------------------------------------
    def stop(self, exit_: Exit) -> Any:
        """Runs on_stop and ends. A coroutine if on_stop is one: whoever called awaits it as a handler."""
        if not self.enter(STOPPING):
            return None
        self.asked = exit_
        error = exit_.error
        if error is not None and not isinstance(error, ReachedMaxRestartIntensity):  # that is told as GaveUp
            self.report(error, None)  # nobody raised it, and it is an error all the same
        result = self.actor.on_stop(exit_)
        if result is not None and result.__class__ is CoroutineType:
            return result
        self.wind_down(exit_)
        return None

    def waiting_end(self) -> Exit | None:
        """The end that waits in the control lane: of a stop, or of an owned task's failure."""
        for message in tuple(self.control or ()):  # a suspended thread looks, too
            if message.__class__ is m.Stop:
                return message.exit
            if message.__class__ is m.TaskFailed:
                return crashed(message.error)
        return None

    def enter(self, state: State) -> bool:
        """Moves on to a later state; False if the cell is there or beyond already."""
        if self.state is ENDED or (state is not ENDED and ORDER[state] <= ORDER[self.state]):
            return False
        self.state = state
        return True

    def crash(self, error: BaseException, message: Any = None) -> None:
        """The actor failed: its on_failure runs once, while it is still known as failing; then it ends."""
        if self.state is RUNNING and self.__class__ is Cell:
            self.state = FAILING  # what `enter` comes to
        elif not self.enter(FAILING):
            return
        exit_ = crashed(error)
        self.report(error, message)
        if self.actor_class.has_on_failure:
            try:
                self.actor.on_failure(type(error), error, error.__traceback__)
            except BaseException as second:  # noqa: BLE001 - reported
                second.__context__ = error
                self.report(second, message)
        self.wind_down(exit_)

    def report(self, error: BaseException, message: Any) -> None:
        system = self.ref._system
        if system.subscribers:
            system.emit(crash_report(self, error, message))

    def wind_down(self, exit_: Exit) -> None:
        """Cancels what is left running; the end is told when that is over, or when it was given long enough."""
        if self.state is ENDED:
            return
        owned = self.belongings.tasks if self.belongings is not None else None
        if not owned:
            self.finish(exit_)
            return
        self.exit = exit_
        self.detour = self.detour or self.leave_mail  # no further message is handled
        for task in tuple(owned):
            task.cancel()
        self.scheduler.loop.call_later(WIND_DOWN_S, self.finish, exit_)

    def kill(self, exit_: Exit = KILLED) -> None:
        """The fence: this incarnation counts as ended from now on, whatever it still does."""
        if self.state is ENDED:
            return
        self.finish(exit_)

    def finish(self, exit_: Exit) -> None:
        """The end, once: the mailbox becomes dead letters, timers and replies go, and everyone who asked is told."""
        ran = self.state is RUNNING
        if self.__class__ is Cell and self.state is not ENDED:
            self.state = ENDED  # what `enter` comes to
        elif not self.enter(ENDED):
            return
        started = None if ran else self.started
        starting = started is not None and not started.done()
        tasked = self.detour is not None and self.task is not None
        self.exit = exit_
        self.detour = self.discard
        ref = self.ref
        system = ref._system
        del system.live[self]
        ref._last_exit = exit_
        if ref._cell is self:
            ref._cell = system.vacancy  # the address is free
        self.idle = True  # before the queue is looked at: whoever adds to it after that finds the flag
        if self.queue.__class__ is not tuple:
            self.limit = 0
            if self.queue or self.threaded:
                self.drain(back_to_stash=starting)
        if starting and started is not None:
            started.set_result(False)
        if self.calling is not None:
            self.calling.fail(ActorDead(self.path, self.incarnation, exit_))
        # Before the links: a supervisor hears of the cause before it hears of those who go with it.
        minder = self.minder
        if minder is not None and minder.active:
            minder.watcher.notify(m.Down(minder, ref, self.incarnation, exit_))
        belongings = self.belongings
        if tasked or belongings is not None:
            abandon_tasks(self)
            if belongings is not None:
                let_go(self, belongings, exit_)
        parent = ref._parent
        if parent is not None and (above := parent._cell.belongings) is not None:
            above.children.pop(self, None)
        if parent is None or parent._retired:
            system.retire(ref)

    # -- after the end ---------------------------------------------------------------------------------------------
    def drain(self, *, back_to_stash: bool = False) -> None:
        self.idle = True  # before the queue is emptied: whoever adds to it after that finds the flag
        queue = self.queue
        while queue:
            try:
                lose(self, queue.popleft(), back_to_stash=back_to_stash)
            except IndexError:
                return

    def discard(self, message: Any) -> None:
        lose(self, message)
        self.drain()


def _shape() -> None:
    """Makes the names of attributes that come late known at once: see ref.py."""
    none: Any = None
    cell: Cell = object.__new__(Cell)
    cell.__init__(none, none, none, 0, none)
    cell.exit = cell.belongings = None


_shape()
