"""The slow way into a mailbox: what a full one, or one with rules of its own, does with a message."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, assert_never

from allstop.actors.runtime.aftermath import lose
from allstop.actors.runtime.errors import MailboxFull
from allstop.actors.runtime.future import Future, on_a_loop
from allstop.actors.runtime.mailbox import CONFLATE, Overflow, Tally
from allstop.actors.runtime.messages import SPECIAL, Call, Carried, Conflated, Parked
from allstop.actors.runtime.states import ENDED

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.ref import Ref

# Behind a full BLOCK mailbox wait those who put and those who call. One who gives up leaves his place in the queue to be
# passed over, and may come again: an actor that hangs for an hour must not fill the memory with them.
GIVEN_UP_MAX: Final = 10_000


_THREAD: Final = threading.local()


@contextmanager
def going_on() -> Generator[None, None, None]:
    """For a thread on which others depend: inside, a full BLOCK mailbox refuses, as on the loop, and parks nobody."""
    before = getattr(_THREAD, "must_go_on", False)
    _THREAD.must_go_on = True
    try:
        yield
    finally:
        _THREAD.must_go_on = before


def accept(cell: "Cell", ref: "Ref", message: Any, *, may_park: bool = True) -> Parked | None:
    """Queues the message or does what the policy says. With `may_park` False a BLOCK mailbox gives back what the
    sender must wait for, instead of parking this thread."""
    if cell.state is ENDED:
        return cell.system.vacancy.accept(ref, message)
    box = cell.actor_class.mailbox
    queue = cell.open_queue()
    if box.overflow is CONFLATE and message.__class__ not in SPECIAL and _conflated(cell, message):
        return None
    parked: Parked | None = None
    if len(queue) >= box.capacity:
        _at_the_bound(cell, cell.mailbox_len)
        match box.overflow:
            case Overflow.REFUSE | Overflow.CONFLATE:
                return _refuse(cell, message)
            case Overflow.DROP_NEWEST:
                count(cell, "dropped")
                lose(cell, message, cause="dropped: the mailbox was full")
                return None
            case Overflow.DROP_OLDEST:
                _drop_oldest(cell)
            case Overflow.BLOCK if len(queue) >= box.capacity + GIVEN_UP_MAX:
                return _refuse(cell, message)
            case Overflow.BLOCK:
                if message.__class__ is not Call:  # a caller waits for its answer anyway: that bounds calls
                    message = parked = _parked(cell, message, may_park=may_park)
            case _:
                assert_never(box.overflow)
    queue.append(cell.carry(message))
    cell.added()
    if parked is not None and may_park:
        _wait(cell, parked)
        return None
    return parked


def count(cell: "Cell", what: str) -> None:
    """Under the lock, since senders are threads, too. Only what a full mailbox does is counted."""
    with cell.system.lock:
        tally = cell.tally = cell.tally or Tally()
        setattr(tally, what, getattr(tally, what) + 1)


def _at_the_bound(cell: "Cell", length: int) -> None:
    with cell.system.lock:
        tally = cell.tally = cell.tally or Tally()
        tally.high_water = max(tally.high_water, length)


def _refuse(cell: "Cell", message: Any) -> None:
    count(cell, "refused")
    error = MailboxFull(cell.path, cell.capacity)
    if message.__class__ is not Call:
        raise error
    message.fail(error)


def _drop_oldest(cell: "Cell") -> None:
    """Drops the longest waiting message of the user; what the runtime put there keeps its place."""
    kept: list[Any] = []
    while cell.queue:
        try:
            oldest = cell.queue.popleft()
        except IndexError:
            break
        told = oldest.message if oldest.__class__ is Carried else oldest
        if told.__class__ in SPECIAL and told.__class__ is not Call:
            kept.append(oldest)
            continue
        count(cell, "dropped")
        lose(cell, oldest, cause="dropped: the mailbox was full of newer messages")
        break
    cell.queue.extendleft(reversed(kept))


def _parked(cell: "Cell", message: Any, *, may_park: bool) -> Parked:
    if may_park and getattr(_THREAD, "must_go_on", False):
        count(cell, "refused")
        raise MailboxFull(cell.path, cell.capacity, "; it holds its senders back, and this one must not wait")
    if may_park and on_a_loop():
        count(cell, "refused")
        raise MailboxFull(cell.path, cell.capacity, "; on the loop use `await ref.put(message)`")
    count(cell, "parked")
    return Parked(message, Future())


def _wait(cell: "Cell", parked: Parked) -> None:
    """Parks this thread until the actor takes the message. An actor that ends makes it a dead letter."""
    try:
        parked.future.get(timeout=cell.mailbox.put_timeout_s)
    except TimeoutError:
        if parked.claim():
            parked.message = None  # its place in the queue remains
            count(cell, "refused")
            raise MailboxFull(cell.path, cell.capacity, f" after {cell.mailbox.put_timeout_s} s") from None


def _conflated(cell: "Cell", message: Any) -> bool:
    """True when the message took the place of a waiting one."""
    key = cell.mailbox.key(message) if cell.mailbox.key is not None else None
    if key is None:
        return False
    with cell.system.lock:
        if cell.newest is None:
            cell.newest = {}
        if key in cell.newest:
            cell.newest[key] = cell.carry(message)
            tally = cell.tally = cell.tally or Tally()
            tally.conflated += 1
            return True
        if len(cell.queue) >= cell.mailbox.capacity:
            return False
        cell.newest[key] = cell.carry(message)
        cell.queue.append(Conflated(key))
    cell.added()
    return True
