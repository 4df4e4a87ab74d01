"""One-shot jobs under a supervisor: Elixir's Task.Supervisor.

A task is a child that calls one function and ends. It cannot be lost: whoever waits for it gets its value, what it
raised, or ActorDead; whoever does not wait finds its crash in the reports, like any other child's.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from allstop.actors.exits import NORMAL
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue, Future, MailboxFull, Ref
from allstop.actors.runtime.arguments import want, want_count, want_function, want_seconds
from allstop.actors.spec import ChildSpec, Isolation, Restart, Shutdown, Start, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.dynamic import DynamicSupervisor
from allstop.supervisors.errors import NotFound
from allstop.supervisors.supervisor import STOP_TIMEOUT_S, asked, start_child, terminate_child

SHUTDOWN_S: Final = 5.0
MAX_CHILDREN: Final = 10_000
UNCLAIMED_S: Final = 30.0  # a task that nobody told to run for so long ends: who started it is gone


class TaskSupervisor(DynamicSupervisor):
    """Runs tasks: `async_`, `async_nolink`, `start_task` and `async_stream` start them. At most `max_children` at once."""

    def __init__(self, flags: SupervisorFlags | None = None, *, max_children: int = MAX_CHILDREN) -> None:
        super().__init__(flags or SupervisorFlags(), max_children=max_children)

    def on_receive(self, message: Any) -> Any:
        if message.__class__ is not _Unwanted:
            return super().on_receive(message)
        known = self._core.children.get(message.child_id)
        return self._carry_out(d.TerminateChild(message.child_id)) if known is not None else None


class _Unwanted(msgspec.Struct, frozen=True):
    """Whoever asked for this task was gone before it had started."""

    child_id: str


class _Run(msgspec.Struct, frozen=True):
    """Begin, and answer with what the function gives."""


class _NobodyCame(msgspec.Struct, frozen=True):
    """Whoever started this task was cancelled before it could tell it to run."""


class TaskActor(Actor):
    """The child that a task is. It waits to be told to run, unless nobody will ask for what it gives."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], at_once: bool
    ) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._at_once = at_once

    def on_start(self) -> Continue | None:
        if self._at_once:
            return Continue(None)
        self._unclaimed = self.send_after(UNCLAIMED_S, _NobodyCame())
        return None

    def on_continue(self, argument: object) -> Any:
        return self._work()

    def on_receive(self, message: object) -> Any:
        if isinstance(message, _NobodyCame):
            return self.exit(NORMAL)
        self._unclaimed.cancel()
        return self._work()

    def _work(self) -> Any:
        if inspect.iscoroutinefunction(self._function):
            return self._finish()
        result = self._function(*self._args, **self._kwargs)
        if asyncio.iscoroutine(result):  # a lambda around a coroutine function
            return self._finish(result)
        self.exit(NORMAL)
        return result

    async def _finish(self, coroutine: Any = None) -> Any:
        result = await (coroutine or self._function(*self._args, **self._kwargs))
        self.exit(NORMAL)
        return result


class Task:
    """A running task. `await task` gives what its function gave, raises what it raised, or ActorDead if it was ended.

    It may be awaited any number of times, and by several. Dropping it, or giving up waiting, does not end the task.
    """

    def __init__(self, supervisor: Ref, ref: Ref, linked: Actor | None = None) -> None:
        self._supervisor = supervisor
        self._linked = linked
        self._future: Future[Any] = ref.ask(_Run(), block=False)
        self.ref = ref

    def __await__(self) -> Generator[Any, None, Any]:
        return self._future.__await__()

    def done(self) -> bool:
        return self._future.done()

    async def result(self, timeout_s: float = 5.0) -> Any:
        """What `await task` gives, within a time. Raises CallTimeout after it; the task goes on."""
        want_seconds("timeout_s", timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._future
        except TimeoutError:
            if self._future.done():
                raise
            raise CallTimeout(f"{self.ref.path} has no result after {timeout_s} s") from None

    async def shutdown(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ends the task if it still runs, by the shutdown it was started with. Whoever waits gets ActorDead; an owner
        that is linked to it lives on."""
        if self._linked is not None and not self._linked.fenced:
            self._linked.unlink(self.ref)
        try:
            await terminate_child(self._supervisor, _id(self.ref), timeout_s=timeout_s)
        except NotFound:
            return  # it ended by itself


def _id(ref: Ref) -> str:
    return ref.path.rpartition("/")[2]


async def async_(
    supervisor: Ref,
    function: Callable[..., Any],
    *args: Any,
    owner: Actor,
    shutdown: float | Shutdown = SHUTDOWN_S,
    isolation: Isolation | str = Isolation.LOOP,
    simulated_cost_s: float | None = None,
    **kwargs: Any,
) -> Task:
    """Starts `function(*args)`, plain or async, as a task linked to `owner`: an actor that calls this for itself.

    If the task fails, its owner ends with the same exit; if the owner ends, so does the task. For work without which
    the owner cannot go on. With `isolation="thread"` the function is plain and may block, for `simulated_cost_s`
    in a simulation. Raises MaxChildren, and ActorDead without a supervisor.
    """
    want("owner", owner, Actor, "the actor that calls this")
    ref = await _claimed(
        supervisor, _start_of(function, args, kwargs), shutdown, isolation, simulated_cost_s, owner.link
    )
    return Task(supervisor, ref, owner)


async def async_nolink(
    supervisor: Ref,
    function: Callable[..., Any],
    *args: Any,
    owner: Actor | None = None,
    shutdown: float | Shutdown = SHUTDOWN_S,
    isolation: Isolation | str = Isolation.LOOP,
    simulated_cost_s: float | None = None,
    **kwargs: Any,
) -> Task:
    """Starts `function(*args)` as a task whose failure is only told: to those who await it, and to `owner`, an actor,
    as the Down of a monitor (with NORMAL if it went well). Otherwise as `async_`."""
    if owner is not None:
        want("owner", owner, Actor, "the actor that calls this")
    monitors = owner.monitor if owner is not None else None
    ref = await _claimed(
        supervisor, _start_of(function, args, kwargs), shutdown, isolation, simulated_cost_s, monitors
    )
    return Task(supervisor, ref)


async def start_task(
    supervisor: Ref,
    function: Callable[..., Any],
    *args: Any,
    restart: Restart | str = Restart.TEMPORARY,
    shutdown: float | Shutdown = SHUTDOWN_S,
    isolation: Isolation | str = Isolation.LOOP,
    simulated_cost_s: float | None = None,
    **kwargs: Any,
) -> Ref:
    """Starts a task whose value nobody wants, and gives its address. With `restart="transient"` it is tried again
    after a failure, within the supervisor's budget."""
    start = _start_of(function, args, kwargs, at_once=True)
    return await _start(supervisor, start, restart, shutdown, isolation, simulated_cost_s)


def _start_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, at_once: bool = False
) -> Start:
    if not callable(function):  # callers may be untyped
        raise TypeError(f"a task calls a function, and {function!r} is none: give its arguments after it")
    return Start(TaskActor, (function, args, kwargs, at_once))


async def _claimed(
    supervisor: Ref,
    start: Start,
    shutdown: float | Shutdown,
    isolation: Isolation | str,
    simulated_cost_s: float | None,
    observe: Callable[[Ref], object] | None,
) -> Ref:
    """A task for somebody, who is to `observe` it. If they are gone before it has started, it is, too."""
    child_id = asked(supervisor, None, DynamicSupervisor).system.ids.new()
    try:
        ref = await _start(
            supervisor, start, Restart.TEMPORARY, shutdown, isolation, simulated_cost_s, child_id
        )
        if observe is not None:
            observe(ref)
    except BaseException:
        with suppress(MailboxFull, ActorDead):  # then it ends by itself, after UNCLAIMED_S
            supervisor.tell(_Unwanted(child_id))
        raise
    return ref


async def _start(
    supervisor: Ref,
    start: Start,
    restart: Restart | str,
    shutdown: float | Shutdown,
    isolation: Isolation | str,
    simulated_cost_s: float | None,
    child_id: str | None = None,
) -> Ref:
    asked(supervisor, None, DynamicSupervisor)
    words: Any = {"restart": restart, "isolation": isolation}  # the supervisor takes the words of both
    spec = ChildSpec(child_id, start, shutdown=shutdown, simulated_cost_s=simulated_cost_s, **words)
    ref = await start_child(supervisor, spec)
    if ref is None:  # a TaskActor never ignores its start
        raise ActorDead(supervisor.path)
    return ref


class Outcome(msgspec.Struct, frozen=True):
    """What became of one item of a stream: `value`, or `error` if that is not None."""

    item: Any
    value: Any = None
    error: BaseException | None = None


async def async_stream(
    supervisor: Ref,
    function: Callable[..., Any],
    items: Iterable[Any],
    *,
    max_concurrency: int = 8,
    ordered: bool = True,
    timeout_s: float = 5.0,
) -> AsyncGenerator[Outcome, None]:
    """Calls `function(item)` for each item, `max_concurrency` at a time, and gives each Outcome: in the order of the
    items, or as they come (`ordered=False`).

    A task that takes longer than `timeout_s` is ended, and its error is CallTimeout. Items are taken as there is room
    for them. Whoever leaves the loop early should `aclose()` the stream (or use contextlib.aclosing): what still runs
    is then ended. Raises MaxChildren when the supervisor has no room for one more, and ActorDead when it ends: what
    still runs is ended then, too. `max_concurrency` up to what the supervisor has free always fits.
    """
    want_count("max_concurrency", max_concurrency, least=1)
    want_seconds("timeout_s", timeout_s)
    want_function("function", function)
    want("items", items, Iterable, "something to go through")
    waiting: deque[asyncio.Task[Outcome]] = deque()
    source = iter(items)
    try:
        while True:
            while len(waiting) < max_concurrency:
                try:
                    item = next(source)
                except StopIteration:
                    break
                waiting.append(asyncio.ensure_future(_outcome(supervisor, function, item, timeout_s)))
            if not waiting:
                return
            awaited = [waiting[0]] if ordered else list(waiting)
            ended, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            done = next(one for one in awaited if one in ended)
            waiting.remove(done)
            yield done.result()
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _outcome(supervisor: Ref, function: Callable[..., Any], item: Any, timeout_s: float) -> Outcome:
    task = await async_nolink(supervisor, function, item)
    try:
        return Outcome(item, await task.result(timeout_s))
    except Exception as error:  # noqa: BLE001 - it is what the task came to, and handed on
        return Outcome(item, error=error)
    finally:
        if not task.done():
            await task.shutdown()
