"""How actors are asked to end, and what is made of those that do not.

An idle actor whose `on_stop` is plain ends within the call; any other is asked by its control lane, and its end is
waited for, with a limit.
"""

import asyncio
import threading
from collections.abc import Collection
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.exits import KILLED, Exit, ExitKind
from allstop.actors.runtime.arguments import SECONDS_MAX
from allstop.actors.runtime.dead_letters import DeadLetter
from allstop.actors.runtime.errors import CallingSelf
from allstop.actors.runtime.messages import ActorStop, Down, Overrun, Stop, unwrapped
from allstop.actors.runtime.states import RUNNING
from allstop.actors.spec import BRUTAL_KILL, INFINITY, Shutdown

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.system import ActorSystem

KILL_GRACE_S: Final = (
    0.1  # how long a killed task may take to see its cancellation before it is called a leak
)
NOPROC: Final = Exit(ExitKind.NOPROC)


class Abandoned:
    """The tasks and threads of killed actors that have not ended: what runs behind a fence is named."""

    def __init__(self) -> None:
        self._entries: list[tuple[Cell, Any]] = []
        self._look_at = 64

    def add(self, cell: "Cell", thing: Any) -> None:
        """Looks through what there is once per doubling: thousands may be killed at once."""
        self._entries.append((cell, thing))
        if len(self._entries) >= self._look_at:
            self._forget_ended()
            self._look_at = max(64, 2 * len(self._entries))

    def names(self) -> list[str]:
        self._forget_ended()
        return [f"{cell.path}#{cell.incarnation}" for cell, _thing in self._entries]

    def running(self) -> list[tuple[str, int, str]]:
        """Path, incarnation, and whether it is a task or a thread that runs."""
        self._forget_ended()
        return [
            (cell.path, cell.incarnation, "thread" if isinstance(thing, threading.Thread) else "task")
            for cell, thing in self._entries
        ]

    async def settle(self, cells: "Collection[Cell] | None" = None) -> "set[Cell]":
        """Gives what runs (of these cells, or of all) a moment to see its end. Those of which something still does."""
        mine = [entry for entry in self._entries if cells is None or entry[0] in cells]
        tasks = [thing for _cell, thing in mine if isinstance(thing, asyncio.Future) and not thing.done()]
        if tasks:
            await asyncio.wait(tasks, timeout=KILL_GRACE_S)
        return {cell for cell, thing in mine if _runs(thing)}

    def _forget_ended(self) -> None:
        self._entries = [entry for entry in self._entries if _runs(entry[1])]


def _runs(thing: Any) -> bool:
    return thing.is_alive() if isinstance(thing, threading.Thread) else not thing.done()


def ended_idle(cell: "Cell", exit_: Exit) -> bool:
    """Ends a cell in which nothing goes on, and whose actor has no `on_stop`, at once: the whole of its stop. False: it
    is not so simple."""
    if not cell.idle or cell.detour is not None or cell.state is not RUNNING:
        return False
    if cell.belongings is not None or cell.actor_class.has_on_stop:
        return False
    cell.idle = False
    cell.finish(exit_)
    return True


def stopped_at_once(ref: "Ref", exit_: Exit, limit: float | Shutdown) -> Exit | None:
    """Its exit, if nothing has to be waited for: it is killed, ends at once, or had ended. None: `stop` it."""
    cell = ref._cell
    if cell.ended:
        return ref.last_exit or NOPROC
    if limit is BRUTAL_KILL:
        cell.kill()
        return KILLED
    if not cell.idle or cell.detour is not None or cell.control or cell.state is not RUNNING:
        return None  # it is in the middle of something
    cell.idle = False
    try:
        result = cell.scheduler.context.copy().run(cell.stop, exit_)
    except BaseException as error:  # noqa: BLE001 - a crash, as of every handler
        cell.crash(error)
    else:
        if result.__class__ is CoroutineType:
            cell.adopt(result, None, None)
    return cell.exit if cell.ended else None


def _is_time(timeout_s: object) -> bool:
    if isinstance(timeout_s, Shutdown):
        return True
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        return False
    return 0 <= timeout_s <= SECONDS_MAX or timeout_s == float("inf")


async def ended(system: "ActorSystem", ref: "Ref") -> Exit:
    """Waits for the end of the incarnation that runs at `ref`, and asks nobody to end."""
    cell = ref.cell
    if cell.ended:
        return ref.last_exit or NOPROC
    end: asyncio.Future[Exit] = system.scheduler.loop.create_future()

    def over(how: Exit) -> None:
        if not end.done():
            end.set_result(how)

    waiters = cell.own().end_waiters
    waiters.append(over)
    try:
        return await end
    finally:
        if over in waiters:  # whoever waited gave up
            waiters.remove(over)


async def stop(
    system: "ActorSystem", ref: "Ref", exit_: Exit, timeout_s: float | Shutdown, *, drain: bool
) -> Exit:
    """Asks what runs at `ref` to end and waits for it; after `timeout_s` it is killed."""
    if not (timeout_s.__class__ is float and timeout_s >= 0) and not _is_time(timeout_s):  # type: ignore[operator]
        raise ValueError(
            f"timeout_s: {timeout_s!r} is not a time to stop in: seconds, INFINITY or BRUTAL_KILL"
        )
    cell = ref.cell
    if not cell.ended and cell.task is not None and cell.task is asyncio.current_task():
        raise CallingSelf(f"{ref.path} would wait for its own end: use self.exit()")
    if not drain and (how := stopped_at_once(ref, exit_, timeout_s)) is not None:
        return how
    ended: asyncio.Future[Exit] = system.scheduler.loop.create_future()

    def tell(how: Exit) -> None:
        if not ended.done():
            ended.set_result(how)

    waiters = cell.own().end_waiters
    waiters.append(tell)
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
        return Exit(ExitKind.KILLED, detail=Overrun(unstopped=cell in await system.abandoned.settle((cell,))))
    finally:
        if tell in waiters:
            waiters.remove(tell)


def retire(system: "ActorSystem", ref: "Ref") -> None:
    """Says that nothing will run at this address any more: its watchers are told, its name and its stash go."""
    if ref._retired or not ref._cell.ended:
        return
    ref._retired = True
    if not ref._kept:
        return
    ref.lose_keys()
    for message in ref.empty_stash():
        system.dead_letters.add(
            DeadLetter(unwrapped(message), ref.path, ref.incarnation, "the address was retired")
        )
    if ref._watchers:
        exit_ = ref.last_exit or NOPROC
        for monitor in ref._watchers:
            monitor.watcher.post(Down(monitor, ref, ref.incarnation, exit_))
    if ref._awaited:
        for monitor in ref._awaited:
            monitor.watcher.post(Down(monitor, ref, ref.incarnation, NOPROC))
    ref._watchers = ref._awaited = None
    if ref._children:
        for place in list(ref._children.values()):
            child = place()
            if child is not None and child._parent is ref:
                retire(system, child)
