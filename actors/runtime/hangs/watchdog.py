"""The watchdog: a thread beside the loop that notices when a handler holds it.

It asks the loop for a sign of life ten times per limit. While the sign does not come it looks at the stack of the
loop's thread: the frames of the runtime name the actor and the message. So no message pays for being watched, and
an idle system pays one callback per look.

The same handler seen in look after look for its limit is a `HandlerHung`, told from this thread, because nobody else
can tell anything. When the loop lives again it says so itself (`HandlerReturned`). Many short handlers that together
hold the loop (a turn of 256 slow messages) are a `LoopHeld`, and so is a pause in which this thread could not run
either: a C call that keeps the interpreter's lock, or a machine that stood still, is seen only when it is over.

With virtual time no thread is started: simulations stay reproducible. `look(now_s)` drives a watchdog by hand.
"""

import asyncio
import sys
import threading
from collections import deque
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.clock import Clock, SystemClock
from allstop.actors.events import Event, HandlerHung, HandlerReturned, LoopHeld
from allstop.actors.runtime import compiled, handling, ref, scheduler, serving
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.hangs.stacks import stack_of
from allstop.actors.runtime.messages import SPECIAL, unwrapped

if TYPE_CHECKING:
    from allstop.actors.runtime.system import ActorSystem

LOOKS: Final = 10  # per limit: a hang is told when it has lasted nine to ten tenths of it
JOIN_S: Final = (
    1.0  # an observer that runs on the watchdog's thread may hold up the end of the system so long
)


def _codes(*functions: Any) -> frozenset[CodeType]:
    return frozenset(function.__code__ for function in functions)


# The runtime's own functions that have a cell and a message among their locals while the actor's code runs.
_RUNS_A_MESSAGE: Final = _codes(
    scheduler.Scheduler._turn,
    scheduler.Scheduler._serve_urgent,
    handling.begin,
    handling._begin_runtime_message,
    serving.serve,
    serving._serve_plain,
    serving._finish_handler,
)
_RUNS_COMPILED: Final = compiled.turn.__code__  # `running` knows the cell and the message
_CALLS_INLINE: Final = _codes(ref.Ref.call)  # `cell` is the callee; it runs there once there is a `call`


@dataclass(frozen=True, slots=True)
class Sample:
    """What held the loop at one moment. `frame` is the handler's own: kept from look to look, it proves that the
    handler is the same one, which addresses of messages do not, as they are given again."""

    frame: FrameType
    subject: Any
    cell: Cell | None
    path: str
    message: str
    stack: tuple[str, ...]

    def same(self, other: "Sample") -> bool:
        return self.frame is other.frame and self.subject is other.subject

    @property
    def incarnation(self) -> int:
        return self.cell.incarnation if self.cell is not None else 0

    @property
    def actor_class(self) -> str:
        return self.cell.actor_class.__qualname__ if self.cell is not None else ""


def sample(innermost: FrameType, task_name: str | None = None) -> Sample:
    """Who runs in this stack: the innermost actor on it, and the message or else the method. `task_name` names what
    is no actor's."""
    stack = stack_of(innermost)
    mine: Sample | None = None  # as the actor's own frames tell it: hooks run without a message
    inner, frame = innermost, innermost
    while True:
        run = _run_by(frame)
        if run is not None and (mine is None or mine.cell is run[0]):
            cell, message = run
            return Sample(inner, message, cell, cell.path, _name(message), stack)
        if run is not None:
            break
        own = _owner_of(frame)
        if own is not None and (mine is None or mine.cell is own):
            mine = Sample(frame, None, own, own.path, frame.f_code.co_name, stack)
        if frame.f_back is None:
            break
        inner, frame = frame, frame.f_back
    return mine or Sample(innermost, None, None, task_name or "outside any actor", "", stack)


def _run_by(frame: FrameType) -> tuple[Cell, Any] | None:
    """The cell and message that this frame of the runtime is handling."""
    code = frame.f_code
    if code is _RUNS_COMPILED:
        running: Any = frame.f_locals.get("running")
        if running is None or not isinstance(running.cell, Cell):
            return None
        return running.cell, running.message
    if code not in _RUNS_A_MESSAGE and not (code in _CALLS_INLINE and frame.f_locals.get("call") is not None):
        return None
    cell, message = frame.f_locals.get("cell"), frame.f_locals.get("message")
    return (cell, message) if isinstance(cell, Cell) else None


def _owner_of(frame: FrameType) -> Cell | None:
    """The incarnation whose method this frame runs."""
    names = frame.f_code.co_varnames
    cell = getattr(frame.f_locals.get(names[0]), "_cell", None) if names and names[0] == "self" else None
    return cell if isinstance(cell, Cell) else None


def _name(message: Any) -> str:
    inner = unwrapped(message)
    return "a runtime message" if inner.__class__ in SPECIAL else type(inner).__qualname__


class _Hold:
    """One handler, seen holding the loop since `since_s`. Two threads see its end; one of them tells of it."""

    __slots__ = ("_untold_end", "ended_s", "sample", "since_s", "told")

    def __init__(self, sample_: Sample, since_s: float) -> None:
        self.sample = sample_
        self.since_s = since_s
        self.told = 0
        self.ended_s: float | None = None
        self._untold_end = [True]

    def due(self, now_s: float, limit_s: float) -> bool:
        """At the limit, then at twice, four times, eight times it."""
        first = limit_s * (1 - 1 / LOOKS)
        return now_s - self.since_s >= (first if self.told == 0 else limit_s * 2**self.told)

    def end(self, now_s: float) -> None:
        if self.ended_s is None:
            self.ended_s = now_s

    def tell_end(self) -> bool:
        """True once, after the end of what was told of: for whoever asks first."""
        if self.told == 0 or self.ended_s is None:
            return False
        try:
            return self._untold_end.pop()  # atomic
        except IndexError:
            return False


class Watchdog:
    """Watches one system's loop from a thread of its own. Made, started and stopped by the system."""

    def __init__(self, system: "ActorSystem", max_handler_s: float, clock: Clock | None = None) -> None:
        """`clock` is the real one unless given. Raises ValueError for a limit that is not more than 0."""
        if not max_handler_s > 0:
            raise ValueError(f"max_handler_s is more than 0, or None for no watchdog, not {max_handler_s}")
        self.max_handler_s = max_handler_s
        self._system = system
        self._scheduler = system.scheduler
        self._clock = clock or SystemClock()  # the loop's real time: a system's own clock may stand still
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._answered = True
        self._asked_s = 0.0  # when the sign of life was asked for that is missing
        self._looked_s: float | None = None
        self._hold: _Hold | None = None
        self._held_told = False
        self._over: deque[_Hold] = deque()  # to be told by the loop, once it can

    # -- life ------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="allstop watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and waits for that as long as it takes one look."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
            self._thread = None

    @property
    def every_s(self) -> float:
        """How long from look to look."""
        return self.max_handler_s / LOOKS

    def _run(self) -> None:
        every_s = self.every_s
        while not self._stop.wait(every_s):
            if self._scheduler.loop.is_closed():  # its system was never closed: nothing is left to watch
                return
            self.look(self._clock.now_s())

    # -- looking ---------------------------------------------------------------------------------------------------
    def look(self, now_s: float) -> None:
        """One look. `now_s` never steps back from look to look."""
        looked_s, self._looked_s = self._looked_s, now_s
        if not self._scheduler.loop.is_running():
            self._answered = True
            return
        if looked_s is not None and now_s - looked_s - self.every_s >= self.max_handler_s:
            self._emit(
                LoopHeld(
                    at_ns=self._now_ns(),
                    path="",
                    held_s=now_s - looked_s,
                    why="nothing ran in this process: a call that keeps the interpreter's lock, or the machine stood still",
                )
            )
            self._answered = True  # whatever the loop did meanwhile, it is asked anew
        if self._answered:
            self._lives(now_s)
        else:
            self._is_held(now_s, looked_s if looked_s is not None else now_s)

    def _lives(self, now_s: float) -> None:
        self._end_hold(now_s)
        self._answered, self._held_told, self._asked_s = False, False, now_s
        try:
            self._scheduler.loop.call_soon_threadsafe(self._sign_of_life)
        except RuntimeError:  # the loop was closed since we looked
            self._answered = True

    def _is_held(self, now_s: float, looked_s: float) -> None:
        frame = sys._current_frames().get(self._scheduler.thread_id)
        if frame is None:
            return
        seen = sample(frame, self._task_name())
        del frame
        hold = self._hold
        if hold is None or not hold.sample.same(seen):
            self._end_hold(looked_s)
            hold = self._hold = _Hold(seen, looked_s)
        limit_s = self._limit_of(seen)
        if hold.due(now_s, limit_s):
            self._emit(
                HandlerHung(
                    at_ns=self._now_ns(), path=seen.path, incarnation=seen.incarnation, actor_class=seen.actor_class,
                    message=seen.message, held_s=now_s - hold.since_s, limit_s=limit_s, where="loop", stack=seen.stack,
                    times=hold.told + 1,
                )
            )  # fmt: skip
            hold.told += 1
            self._held_told = True  # by whom is known: that the loop was held needs no other word
            if hold.tell_end():  # it returned while we told of it
                self._over.append(hold)
        elif hold.told == 0 and not self._held_told and now_s - self._asked_s >= self.max_handler_s:
            self._held_told = True
            self._emit(
                LoopHeld(
                    at_ns=self._now_ns(), path=seen.path, held_s=now_s - self._asked_s,
                    why="many handlers, one after the other, in one turn of the loop", stack=seen.stack,
                )
            )  # fmt: skip

    def _limit_of(self, seen: Sample) -> float:
        """A class may have a shorter limit than its system, not a longer one: who holds the loop holds up all."""
        own = seen.cell.actor_class.max_handler_s if seen.cell is not None else None
        return self.max_handler_s if own is None else min(own, self.max_handler_s)

    def _task_name(self) -> str | None:
        task = asyncio.current_task(self._scheduler.loop)
        return task.get_name() if task is not None else None

    def _end_hold(self, now_s: float) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.end(now_s)
            if hold.tell_end():
                self._over.append(hold)

    # -- on the loop -----------------------------------------------------------------------------------------------
    def _sign_of_life(self) -> None:
        self._end_hold(self._clock.now_s())
        self._answered = True
        while self._over:
            hold = self._over.popleft()
            seen, held_s = hold.sample, (hold.ended_s or hold.since_s) - hold.since_s
            self._emit(
                HandlerReturned(
                    at_ns=self._now_ns(), path=seen.path, incarnation=seen.incarnation, message=seen.message,
                    held_s=held_s,
                )
            )  # fmt: skip

    def _emit(self, event: Event) -> None:
        self._system.emit(event)

    def _now_ns(self) -> int:
        return self._system.clock.wall_ns()
