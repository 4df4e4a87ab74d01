"""What is asked of a running actor, and what holds it: the functions of `inspection`, one by one."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from allstop.actors.errors import AllstopError
from allstop.actors.exits import Exit
from allstop.actors.runtime.arguments import want, want_function, want_ref, want_seconds
from allstop.actors.runtime.errors import ActorDead, BlockingOnLoop, CallingSelf, CallTimeout, NotOnLoop
from allstop.actors.runtime.future import on_a_loop
from allstop.actors.runtime.inspection.observer import Observer, Statistics
from allstop.actors.runtime.inspection.onlookers import STEPS_MAX, Hook, Step
from allstop.actors.runtime.inspection.status import Status, status_of
from allstop.actors.runtime.inspection.suspension import suspend as _suspend
from allstop.actors.runtime.messages import SystemMessage
from allstop.actors.runtime.shadows import HANDLERS, LAYERS

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.process.looking import Looking
    from allstop.actors.runtime.ref import Ref

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S: Final = 5.0  # as sys in OTP
QUESTIONS_MAX: Final = 100  # that wait for one actor: people and tools ask, not hot paths
RUNTIME_FIELDS: Final = frozenset(
    ("_cell", "_log", "_handled", "_stashed", "_receive_timeout", LAYERS, *HANDLERS)
)
_TRACE: Final = "trace"


class InspectionTimeout(CallTimeout):
    """The actor did not come between two messages in time. Nothing was changed, and nothing will be."""


class InspectionRefused(AllstopError):
    """The actor runs in a process of its own, where this cannot be done. The message says what to do instead."""


class StateUnchanged(Exception):
    """`replace_state` did not change anything: the function raised (see `__cause__`), or gave back no state."""


# -- between two messages ----------------------------------------------------------------------------------------------
async def get_state(ref: "Ref", timeout_s: float = TIMEOUT_S) -> Any:
    """The actor's state as its code sees it: its attributes, without the runtime's own, in a new dict of live values.

    For code and debuggers: it may hold keys. What people are shown is `get_status`. An actor that has another idea of
    its state defines `system_get_state()`, and with it `system_replace_state(function)`.
    """
    if (far := _far(ref)) is not None:
        return await _asked_far(ref, far, "state", timeout_s)
    return await _asked(ref, _state, timeout_s)


async def replace_state(ref: "Ref", function: Callable[[Any], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """Sets the state to what `function(state)` gives back, and gives that back.

    The function runs on the actor's thread between two messages; it must give back new values and not change those it
    was given. Raises StateUnchanged if it raises or gives back no dict; the state is then as it was.
    """
    want_function("function", function)
    return await _asked(ref, lambda cell: _replace_state(cell, function), timeout_s)


async def suspend(ref: "Ref", timeout_s: float = TIMEOUT_S) -> None:
    """The actor handles no message until `resume`: they wait, as many as its mailbox holds. Down waits, too.

    Stopping it and looking at it work meanwhile. A suspended supervisor restarts nobody; one whose child is suspended
    notices nothing. To suspend a suspended actor changes nothing.
    """
    if (far := _far(ref)) is not None:
        await _asked_far(ref, far, "suspend", timeout_s)
        far.suspended = True
        return
    await _asked(ref, _suspend, timeout_s)


async def resume(ref: "Ref", timeout_s: float = TIMEOUT_S) -> None:
    """The actor goes on with what waits. One that is not suspended goes on as it did."""
    if (far := _far(ref)) is not None:
        await _asked_far(ref, far, "resume", timeout_s)
        far.suspended = False
        return
    await _asked(ref, _resume, timeout_s)


# -- at once -----------------------------------------------------------------------------------------------------------
async def get_status(ref: "Ref") -> Status:
    """What the actor is doing, for people: `shown` is what its `format_status` shows of its state, never more."""
    _cell_of(ref, from_beside=True)
    status = status_of(ref)
    assert status is not None  # it is alive, and nothing runs in between
    return status


async def trace(ref: "Ref", function: Hook | None) -> None:
    """Calls `function(step)` for each message that comes in and each answer that goes out; None ends that.

    It is called on the thread where the actor runs, within its handling: do little. If it raises it is removed.
    """
    if function is not None:
        want_function("function", function)
    await (remove(ref, _TRACE) if function is None else install(ref, function, key=_TRACE))


async def statistics(ref: "Ref", on: bool | None = None) -> Statistics | None:
    """True: counts from now on. False: ends that. Gives the count so far (with False, the last); None if none is kept."""
    if on is not None:
        want("on", on, bool, "True, False or None")
    if (far := _far(ref)) is not None:
        what = {True: "count", False: "count no more", None: "statistics"}[on]
        return await _asked_far(ref, far, what, TIMEOUT_S)
    cell = _cell_of(ref)
    if on:
        Observer.of(cell).count()
    if cell.observer is None:
        return None
    found = cell.observer.statistics()
    if on is False:
        cell.observer.stop_counting()
        cell.observer.leave_if_unwanted()
    return found


async def log(ref: "Ref", n: int | None = None) -> list[Step]:
    """Keeps the last `n` steps from now on; 0 ends that. Gives those that are kept now, oldest first.

    While a log is kept, a crash report of this incarnation carries it. ValueError for more than STEPS_MAX.
    """
    cell = _cell_of(ref, from_beside=True)
    if n is not None:
        want("n", n, int, f"0 to {STEPS_MAX} steps")
        if not 0 <= n <= STEPS_MAX:
            raise ValueError(f"n: a log holds 0 to {STEPS_MAX} steps, not {n}")
    if (far := _far(ref)) is not None:
        return _log_far(far, n)
    kept = list(cell.observer.log or ()) if cell.observer is not None else []
    if n:
        Observer.of(cell).log = deque(kept, maxlen=n)
        kept = kept[-n:]
    elif n == 0 and cell.observer is not None:
        cell.observer.log = None
        cell.observer.leave_if_unwanted()
    return kept


async def install(ref: "Ref", hook: Hook, *, key: Any = None) -> Any:
    """Calls `hook(step)` as `trace` does. Gives the key for `remove`: `key`, or the hook itself.

    One that returns `DONE`, or raises, is removed; the error becomes a dead letter. The same key replaces.
    """
    want_function("hook", hook)
    cell = _cell_of(ref, from_beside=True)
    which = hook if key is None else key
    if (far := _far(ref)) is not None:
        far.hooks[which] = hook
        far.want_steps()
        return which
    Observer.of(cell).hooks[which] = hook
    return which


async def remove(ref: "Ref", key: Any) -> bool:
    """Removes a hook. False if there was none under this key."""
    cell = _cell_of(ref, from_beside=True)
    if (far := _far(ref)) is not None:
        gone = far.hooks.pop(key, None) is not None
        far.want_steps()
        return gone
    if cell.observer is None or cell.observer.hooks.pop(key, None) is None:
        return False
    cell.observer.leave_if_unwanted()
    return True


# -- from threads ------------------------------------------------------------------------------------------------------
def blocking(
    function: "Callable[Concatenate[Ref, P], Coroutine[Any, Any, T]]",
    ref: "Ref",
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """`blocking(inspection.get_state, ref)`: any function of this module, from a thread. It waits for the answer.

    Raises BlockingOnLoop on a thread that runs a loop: await the function there.
    """
    want_function("function", function)
    want_ref("ref", ref)
    if on_a_loop():
        raise BlockingOnLoop(f"await inspection.{function.__name__}(...) on the loop instead of blocking it")
    loop = ref.system.scheduler.loop
    return asyncio.run_coroutine_threadsafe(function(ref, *args, **kwargs), loop).result()


# -- asking ------------------------------------------------------------------------------------------------------------
def _cell_of(ref: "Ref", *, from_beside: bool = False) -> "Cell":
    want_ref("ref", ref)
    scheduler = ref.system.scheduler
    if not scheduler.on_thread():
        raise NotOnLoop("inspection runs on the loop's thread: elsewhere, inspection.blocking(function, ref)")
    cell = ref.cell
    if cell.ended:
        raise ActorDead(ref.path, ref.incarnation, ref.last_exit)
    if not cell.inspectable and not from_beside:
        raise InspectionRefused(
            f"{ref.path} runs in a process of its own, and a function does not travel: tell it a message on which its "
            "handler does this"
        )
    return cell


def _far(ref: "Ref") -> "Looking | None":
    """What looks at the actor, if it runs in a process of its own."""
    return getattr(_cell_of(ref, from_beside=True), "looking", None)


async def _asked_far(ref: "Ref", looking: "Looking", what: str, timeout_s: float) -> Any:
    want_seconds("timeout_s", timeout_s)
    try:
        return await looking.ask(what, timeout_s)
    except TimeoutError as error:
        if isinstance(error, CallTimeout):
            raise
        raise InspectionTimeout(
            f"{ref.path} did not come between two messages within {timeout_s} s: its process is busy, or hangs"
        ) from None


def _log_far(looking: "Looking", n: int | None) -> list[Step]:
    kept = list(looking.log or ())
    if n is not None:
        looking.log = deque(kept, maxlen=n) if n else None
        looking.want_steps()
    return kept[-n:] if n else kept


async def _asked(ref: "Ref", question: "Callable[[Cell], Any]", timeout_s: float) -> Any:
    want_seconds("timeout_s", timeout_s)
    cell = _cell_of(ref)
    if cell.task is not None and cell.task is asyncio.current_task():
        raise CallingSelf(f"{ref.path} would wait until it has handled the message that it is handling")
    if _waiting(cell) >= QUESTIONS_MAX:
        raise InspectionTimeout(f"{QUESTIONS_MAX} questions wait for {cell.path} already: {_doing(cell)}")
    message = SystemMessage(question)

    def ended(exit_: Exit) -> None:
        if message.claim():
            message.future.resolve(None, ActorDead(cell.path, cell.incarnation, exit_))

    waiters = cell.own().end_waiters
    waiters.append(ended)
    try:
        _post(cell, message)
        async with asyncio.timeout(timeout_s):
            return await message.future
    except TimeoutError:
        if not message.claim() and message.future.done():
            return await message.future  # it was answered at this very moment
        raise InspectionTimeout(
            f"{ref.path} did not come between two messages within {timeout_s} s: {_doing(cell)}"
        ) from None
    except asyncio.CancelledError:
        message.claim()
        raise
    finally:
        if ended in waiters:
            waiters.remove(ended)


def _post(cell: "Cell", message: SystemMessage) -> None:
    """Into the control lane, without interrupting what the actor does."""
    if cell.suspension is not None:
        cell.suspension.ask(message)
    else:
        cell.post(message)


def _waiting(cell: "Cell") -> int:
    return sum(message.__class__ is SystemMessage for message in tuple(cell.control or ()))


def _doing(cell: "Cell") -> str:
    if cell.threaded:
        return "its thread is in a handler"
    if cell.handling:
        return "a handler of it is suspended"
    return f"it is {cell.state.value}"


# -- what is asked -----------------------------------------------------------------------------------------------------
def _state(cell: "Cell") -> Any:
    own = getattr(cell.actor, "system_get_state", None)
    if own is not None:
        return own()
    return {name: value for name, value in cell.actor.__dict__.items() if name not in RUNTIME_FIELDS}


def _replace_state(cell: "Cell", function: Callable[[Any], Any]) -> Any:
    own = getattr(cell.actor, "system_replace_state", None)
    try:
        if own is not None:
            return own(function)
        new = function(_state(cell))
        if not isinstance(new, Mapping):
            raise TypeError(f"the new state is a dict of the actor's attributes, not {type(new).__name__}")
        if wrong := [name for name in new if not isinstance(name, str) or name in RUNTIME_FIELDS]:
            raise TypeError(f"not the name of an attribute of its own: {wrong[0]!r}")
    except BaseException as error:
        why = f"{type(error).__name__}: {error}"
        raise StateUnchanged(f"the state of {cell.path} is unchanged: {why}") from error
    kept = {name: value for name, value in cell.actor.__dict__.items() if name in RUNTIME_FIELDS}
    cell.actor.__dict__.clear()
    cell.actor.__dict__.update(new, **kept)
    return dict(new)


def _resume(cell: "Cell") -> None:
    if cell.suspension is not None:
        cell.suspension.end()
