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
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.errors import ReplyError
from allstop.actors.exits import KILLED, Exit, ExitKind, ReachedMaxRestartIntensity, crashed
from allstop.actors.runtime import messages as m
from allstop.actors.runtime.aftermath import abandon_tasks, close_unbegun, current_task, let_go, lose
from allstop.actors.runtime.belongings import Belongings, Reply
from allstop.actors.runtime.entrance import accept
from allstop.actors.runtime.errors import ActorDead, ControlLaneFull
from allstop.actors.runtime.handling import begin, caller_error
from allstop.actors.runtime.mailbox import CONFLATE, CONTROL_LANE_MAX, Mailbox, Tally
from allstop.actors.runtime.reporting import crash_report
from allstop.actors.runtime.scheduler import BUSY
from allstop.actors.runtime.serving import serve, start_and_serve
from allstop.actors.runtime.states import ENDED, FAILING, ORDER, RUNNING, STARTING, STOPPING, State

if TYPE_CHECKING:
    from allstop.actors.runtime.actor import Actor
    from allstop.actors.runtime.inspection.observer import Observer
    from allstop.actors.runtime.inspection.suspension import Suspension
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.scheduler import Scheduler
    from allstop.actors.runtime.system import ActorSystem

REPLIES_LOOK: Final = (
    1024  # deferred answers, each time so many, are looked through for callers that are gone
)
WIND_DOWN_S: Final = (
    5.0  # how long the tasks of an ended actor may take to see their cancellation; then they are leaks
)


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

    def carry(self, message: Any) -> Any:
        """The message as it waits: for a cell that adds something to each (context_cell.py)."""
        return message

    def begin_carried(self, carried: m.Carried) -> tuple[Any, m.Call | None]:
        return begin(self, carried.message)

    def enqueue(self, message: Any) -> None:
        """Into the user lane without regard to its bound: for what is bounded elsewhere, as timers are."""
        self.open_queue().append(message)
        self.added()

    def open_queue(self) -> "deque[Any]":
        if self.queue.__class__ is tuple:
            with self.ref._system.lock:
                if self.queue.__class__ is tuple:
                    self.queue = deque()
                    box = self.actor_class.mailbox
                    if box.overflow is not CONFLATE:
                        self.limit = box.capacity
        return self.queue

    def added(self) -> None:
        """To be called after the queue got something, so that it is seen."""
        if self.idle:
            self.wake()

    def wake(self) -> None:
        """There is mail and the actor was idle: into the run queue with it."""
        self.idle = False
        self.scheduler.ready.append((self, m.MORE))
        if not self.scheduler.armed:
            self.scheduler.arm()

    def ride(self) -> None:
        """The first of the messages that wait rides in the run queue, as it does for an idle actor."""
        try:
            message = self.queue.popleft()
        except IndexError:  # a thread that sends dropped it as the oldest, and its own comes next
            message = m.MORE
        self.idle = False
        self.scheduler.ready.append((self, message))
        if not self.scheduler.armed:
            self.scheduler.arm()

    def rest(self) -> None:
        """The end of an activation outside the run loop."""
        if self.detour is not None:
            return
        if self.queue:
            self.ride()
            return
        self.idle = True
        if self.queue and self.idle:
            self.wake()

    def notify(self, down: m.Down) -> None:
        """Tells a supervisor of an end: into the control lane, unless nothing waits and it has no task. Then the notice
        rides in the run queue, as the next message of any idle actor does."""
        if self.idle and self.detour is None:
            self.idle = False
            self.scheduler.ready.append((self, down))
            if not self.scheduler.armed:
                self.scheduler.arm()
        else:
            self.post(down)

    def post(self, message: Any) -> None:
        """Into the control lane, which is served before the next user message."""
        if self.state is ENDED:
            return
        if self.control is None:
            self.control = deque()
        if len(self.control) >= CONTROL_LANE_MAX:
            self.crash(ControlLaneFull(f"{self.path}: {CONTROL_LANE_MAX} runtime messages wait"), message)
            return
        self.control.append(message)
        self.open_queue().appendleft(m.CONTROL)
        if self.task is not None:
            self.resume()
        else:
            if len(self.scheduler.ready) > BUSY and not self.threaded:
                self.scheduler.hurry(self)
            self.added()
        if message.__class__ not in m.PATIENT:
            self.interrupt()

    def resume(self) -> None:
        """Wakes the task, if it waits for mail or for its turn, without regard to the run queue."""
        if self.pause is not None:
            self.pause.end()
        elif self.waiter is not None and not self.waiter.done():
            self.rides = not self.idle
            self.idle = False
            self.waiter.set_result(None)

    def interrupt(self) -> None:
        """A stop, or the failure of an owned task, does not wait for a suspended handler: that is cancelled. A flag
        tells this cancellation from a foreign one. A suspended actor goes on, to end."""
        if self.suspension is not None:
            self.suspension.end_came()
        if (
            self.task is not None
            and self.handling
            and not self.interrupted
            and self.state in (STARTING, RUNNING)
        ):
            if current_task() is not self.task:
                self.interrupted = True
                self.task.cancel()
            elif (
                self.scheduler.inside()
            ):  # not its own handler: one that it called ends it, and comes back first
                self.scheduler.loop.call_soon(self.interrupt)

    def interrupt_self(self) -> None:
        """A stop came before the task's first step: its first wait is cancelled."""
        if self.task is not None and not self.interrupted:
            self.interrupted = True
            self.task.cancel()

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
        else:
            result, call = begin(self, message)
        if result is not None and result.__class__ is CoroutineType:
            self.adopt(result, call, message)
            return True
        if call is not None:
            self.finish_call(call, result)
        return self.detour is not None

    def finish_call(self, call: m.Call, result: Any) -> None:
        if not call.deferred:
            call.answer(result)

    def defer(self) -> Reply:
        call = self.calling
        if call is None:
            raise RuntimeError(
                "defer() is for the handler of a call: nobody waits for an answer to a told message"
            )
        if call.future is None:
            call.future = self.scheduler.loop.create_future()
        call.deferred = True
        reply = Reply(self, call)
        replies = self.own().replies
        replies[reply] = None
        if (
            len(replies) % REPLIES_LOOK == 0
        ):  # whoever never answers may have dropped them: these callers gave up
            for other in [other for other in replies if other.pointless]:
                del replies[other]
        return reply

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
        self._take_task(start_and_serve(self, result), result)

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
    def adopt(self, coroutine: Any, call: m.Call | None, message: Any) -> None:
        """A handler turned out to be asynchronous: from here on this cell has one task, which runs it and all later ones."""
        if self.ended:  # it killed itself before it gave us this
            close_unbegun(coroutine)
            if call is not None:
                call.fail(ActorDead(self.path, self.incarnation, self.exit))
            return
        self.calling = call  # from now on, so that a kill before the task's first step answers it
        self._take_task(serve(self, coroutine, call, message), coroutine)

    def _take_task(self, serving: Any, first: Any) -> None:
        self.open_queue()
        self.interrupted = False
        self.detour = self._mail
        context = self.scheduler.context.copy()
        self.task = self.scheduler.loop.create_task(serving, name=self.path, context=context)
        self.task.add_done_callback(lambda task: self._task_over(task, first))

    def back_to_plain(self) -> bool:
        """The task has nothing left to do and ends: the next message is handled in the run queue. False if it stays."""
        if self.state is not RUNNING or self.control:
            return False
        self.task = self.detour = None
        self.rest()
        return True

    def _task_over(self, task: "asyncio.Task[None]", first: Any) -> None:
        close_unbegun(first)  # killed before the task's first step, it never ran
        if (
            self.exit is None and self.task is task
        ):  # nobody ended this actor: without its task it would be deaf
            self.crash(asyncio.CancelledError("the task of this actor was cancelled from outside"))

    def _mail(self, message: Any) -> None:
        """Mail for a cell with a task: leaves it in the queue and wakes the task."""
        if message.__class__ is m.Pause:
            message.end()
            return
        self.rides = False
        if message is not m.MORE:
            self.open_queue().appendleft(message)
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def start_task(self, coroutine: Any, name: str) -> asyncio.Task[Any]:
        context = self.scheduler.context.copy()
        contained = _contained(coroutine)
        task = self.scheduler.loop.create_task(contained, name=f"{self.path}:{name}", context=context)
        self.own().tasks[task] = None
        task.add_done_callback(self._task_done)
        task.add_done_callback(
            lambda _task: coroutine.close()
        )  # cancelled before its first step, it never ran
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self.own().tasks.pop(task, None)
        if task.cancelled():
            # Nobody asked this task to end, so the cancellation came from something it awaited: that is a failure.
            error = (
                None
                if task.cancelling()
                else asyncio.CancelledError(f"{task.get_name()} was cancelled from within")
            )
        else:
            error = task.exception()
            if isinstance(error, _Escaped):
                error = error.error
        if self.state is RUNNING or self.state is STARTING:
            if error is not None:
                self.post(m.TaskFailed(task.get_name(), error))
            return
        if error is not None:  # the actor ends for another reason: this one is told, too
            self.report(error, None)
        if self.exit is not None and not self.own().tasks:
            self.finish(self.exit)

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
        tasks = self.belongings.tasks if self.belongings is not None else None
        if not tasks:
            self.finish(exit_)
            return
        self.exit = exit_
        self.detour = self.detour or self._mail  # no further message is handled
        for task in tuple(tasks):
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


class _Escaped(Exception):
    """Carries out of a task what asyncio would let out of the whole loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


async def _contained(coroutine: Any) -> Any:
    """A KeyboardInterrupt or SystemExit in a task of one actor must not stop the loop of all (statement 252)."""
    try:
        return await coroutine
    except (KeyboardInterrupt, SystemExit) as error:
        raise _Escaped(error) from error
