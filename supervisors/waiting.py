"""What a supervisor waits for: the start of a child that takes time, and the stops of children that do.

While it waits it answers nobody, but it can be stopped and killed: the handler that waits is then cancelled.
"""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from allstop.actors.exits import KILLED, SHUTDOWN, Exit
from allstop.actors.runtime.errors import StartError
from allstop.actors.runtime.messages import Overrun, Stop
from allstop.actors.runtime.starting import begun, started
from allstop.actors.runtime.stopping import stopped_at_once
from allstop.actors.spec import INFINITY, ChildSpec
from allstop.supervisors import decisions as d

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell
    from allstop.actors.runtime.ref import Ref
    from allstop.actors.runtime.system import ActorSystem

AT_ONCE_MAX = 100  # children stopped before others have their turn: a millisecond


class Minding(msgspec.Struct, eq=False):
    """A supervisor's monitor on its child: the Down that comes of it names the child. One is made at each start, so it
    has only what a Down and a stop look at."""

    watcher: Any  # the supervisor's Cell
    child_id: Any
    active: bool = True


class Wait:
    """Something that takes time. `over` waits for it and gives what the core is to be told."""

    async def over(self) -> d.Given:
        raise NotImplementedError


class Starting(Wait):
    """A child whose `on_start` is a coroutine."""

    def __init__(self, spec: ChildSpec, cell: "Cell", taken: "Callable[[ChildSpec, Cell], d.Given]") -> None:
        self._spec = spec
        self._cell = cell
        self._taken = taken

    async def over(self) -> d.Given:
        try:
            started(self._cell, await begun(self._cell, self._spec.start_timeout_s))
        except StartError as error:
            return d.NotStarted(self._spec.id, error.cause or error)
        return self._taken(self._spec, self._cell)


class Turn(Wait):
    """The turn of this supervisor at a gate that others pass, too. It comes earlier when one of those before it leaves:
    then `turns` has what wakes us, by our path."""

    def __init__(self, turns: dict[str, asyncio.Event], path: str, delay_s: float) -> None:
        self._turns = turns
        self._path = path
        self._delay_s = delay_s

    async def over(self) -> d.Given:
        moved = self._turns[self._path] = asyncio.Event()
        try:
            async with asyncio.timeout(self._delay_s):
                await moved.wait()
        except TimeoutError:
            pass
        finally:
            if self._turns.get(self._path) is moved:  # else a later incarnation waits there already
                del self._turns[self._path]
        return d.TurnCame()


class Stopping(Wait):
    """Children that are asked to stop at the same time, each with a limit of its own; those that overrun it are killed."""

    def __init__(
        self,
        system: "ActorSystem",
        stops: tuple[d.StopChild, ...],
        overran: Callable[[d.StopChild, bool], None],
        exits: dict[Hashable, Exit] | None = None,
    ) -> None:
        """`exits`: of those that have ended already."""
        self._system = system
        self._stops = stops
        self._overran = overran
        self._exits = exits or {}
        self._waiting: dict[Hashable, tuple[d.StopChild, Cell]] = {}
        self._all_ended = asyncio.Event()

    async def over(self) -> d.Given:
        for number, stop in enumerate(self._stops, start=1):
            if stop.child_id not in self._exits:
                self._ask(stop)
            if number % AT_ONCE_MAX == 0:
                await asyncio.sleep(0)
        if self._waiting:
            await self._wait()
        return d.Stopped(tuple((stop.child_id, self._exits[stop.child_id]) for stop in self._stops))

    def _ask(self, stop: d.StopChild) -> None:
        ref = cast("Ref", stop.ref)
        exit_ = stopped_at_once(ref, SHUTDOWN, stop.shutdown)
        if exit_ is not None:
            self._exits[stop.child_id] = exit_
            return
        cell = ref.cell
        self._waiting[stop.child_id] = (stop, cell)
        cell.own().end_waiters.append(partial(self._ended, stop.child_id))
        cell.post(Stop(SHUTDOWN))

    def _ended(self, child_id: Hashable, how: Exit) -> None:
        if self._waiting.pop(child_id, None) is not None:
            self._exits[child_id] = how
            if not self._waiting:
                self._all_ended.set()

    async def _wait(self) -> None:
        """One timer at a time: for the shortest limit among those that still run."""
        began_s = asyncio.get_running_loop().time()
        limits = {stop.shutdown for stop, _cell in self._waiting.values()} - {INFINITY}
        for limit_s in sorted(cast("set[float]", limits)):
            try:
                async with asyncio.timeout_at(began_s + limit_s):
                    await self._all_ended.wait()
            except TimeoutError:
                await self._kill([which for which in self._waiting.values() if which[0].shutdown == limit_s])
        if self._waiting:
            await self._all_ended.wait()

    async def _kill(self, late: "list[tuple[d.StopChild, Cell]]") -> None:
        killed: dict[Cell, d.StopChild] = {}
        for number, (stop, cell) in enumerate(late, start=1):
            if self._waiting.pop(stop.child_id, None) is not None:  # else it ended while others were killed
                cell.kill()
                killed[cell] = stop
            if number % AT_ONCE_MAX == 0:
                await asyncio.sleep(0)
        running = await self._system.abandoned.settle(killed)
        for cell, stop in killed.items():
            unstopped = cell in running
            self._exits[stop.child_id] = Exit(KILLED.kind, detail=Overrun(unstopped=unstopped))
            self._overran(stop, unstopped)
