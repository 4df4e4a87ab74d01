"""The two lanes into a mailbox, for mail that has to wait, and the run queue of whoever was idle.

The user lane is `cell.queue`; the control lane, for messages of the runtime, is served before the next of the user's:
a token at the head of the user lane says that it holds something. An idle cell's next message rides in the run queue.
These functions are methods of Cell (cell.py), and cells of other kinds have others in their place.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from allstop.actors.runtime import messages as m
from allstop.actors.runtime.errors import ControlLaneFull
from allstop.actors.runtime.mailbox import CONFLATE, CONTROL_LANE_MAX
from allstop.actors.runtime.scheduler import BUSY
from allstop.actors.runtime.states import ENDED

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


def enqueue(cell: "Cell", message: Any) -> None:
    """Into the user lane without regard to its bound: for what is bounded elsewhere, as timers are."""
    cell.open_queue().append(message)
    cell.added()


def open_queue(cell: "Cell") -> "deque[Any]":
    if cell.queue.__class__ is tuple:
        with cell.ref._system.lock:
            if cell.queue.__class__ is tuple:
                cell.queue = deque()
                box = cell.actor_class.mailbox
                if box.overflow is not CONFLATE:
                    cell.limit = box.capacity
    return cell.queue


def added(cell: "Cell") -> None:
    """To be called after the queue got something, so that it is seen."""
    if cell.idle:
        cell.wake()


def wake(cell: "Cell") -> None:
    """There is mail and the actor was idle: into the run queue with it."""
    cell.idle = False
    cell.scheduler.ready.append((cell, m.MORE))
    if not cell.scheduler.armed:
        cell.scheduler.arm()


def ride(cell: "Cell") -> None:
    """The first of the messages that wait rides in the run queue, as it does for an idle actor."""
    try:
        message = cell.queue.popleft()
    except IndexError:  # a thread that sends dropped it as the oldest, and its own comes next
        message = m.MORE
    cell.idle = False
    cell.scheduler.ready.append((cell, message))
    if not cell.scheduler.armed:
        cell.scheduler.arm()


def rest(cell: "Cell") -> None:
    """The end of an activation outside the run loop."""
    if cell.detour is not None:
        return
    if cell.queue:
        cell.ride()
        return
    cell.idle = True
    if cell.queue and cell.idle:
        cell.wake()


def notify(cell: "Cell", down: m.Down) -> None:
    """Tells a supervisor of an end: into the control lane, unless nothing waits and it has no task. Then the notice
    rides in the run queue, as the next message of any idle actor does."""
    if cell.idle and cell.detour is None:
        cell.idle = False
        cell.scheduler.ready.append((cell, down))
        if not cell.scheduler.armed:
            cell.scheduler.arm()
    else:
        cell.post(down)


def post(cell: "Cell", message: Any) -> None:
    """Into the control lane, which is served before the next user message."""
    if cell.state is ENDED:
        return
    if cell.control is None:
        cell.control = deque()
    # A Down comes once for each child or monitor: it is bounded by what was started, and ten thousand may end at once.
    if len(cell.control) >= CONTROL_LANE_MAX and message.__class__ is not m.Down:
        cell.crash(ControlLaneFull(f"{cell.path}: {CONTROL_LANE_MAX} runtime messages wait"), message)
        return
    cell.control.append(message)
    cell.open_queue().appendleft(m.CONTROL)
    if cell.task is not None:
        cell.resume()
    else:
        if len(cell.scheduler.ready) > BUSY and not cell.threaded:
            cell.scheduler.hurry(cell)
        cell.added()
    if message.__class__ not in m.PATIENT:
        cell.interrupt()
