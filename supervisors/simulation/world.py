"""A simulated world: one virtual clock, one network in memory, one machine, and the lives of the engine that runs there.

```python
world = SimulatedWorld(seed=7)
life = world.new_life()
life.start(engine(life.world))
...
world.power_cut()  # the engine is dead at whatever it was waiting for; the machine and its disk are not
life = world.new_life()
```

Whatever a life starts carries its number in its context: tasks, callbacks, timers. So a death costs nothing until it
happens; then everything that carries the number is found and dropped.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Final, TypeVar

from allstop.actors.clock import SeededDice, SeededIds, take_ids
from allstop.actors.errors import AllstopError
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.ports import World
from allstop.actors.runtime.virtual_time import VirtualTimeLoop
from allstop.supervisors.simulation.ended import WorldEnded, make_inert
from allstop.supervisors.simulation.host import LifeClock, LifeDisk, LifeHost, SimulatedHost
from allstop.supervisors.simulation.links import LifeLinks
from allstop.supervisors.simulation.lives import (
    LIFE,
    CoroutineLeft,
    numbered_tasks,
    sweep,
    tasks_of,
    untie_systems,
)
from allstop.supervisors.simulation.resources import Resources
from allstop.supervisors.simulation.witness import Witness

NETWORK_S: Final = 0.01  # one way to the venue, on a good day
COMMIT_S: Final = 0.002  # a commit with its fsync, on a good disk
CLOSING_ROUNDS: Final = 20  # closing a coroutine may start others; each of those is closed, too

T = TypeVar("T")


class LifeOver(AllstopError):
    """The engine that was asked something died before it answered."""


class Life:
    """One process of the engine, from its start to its end. `world` is what it is built in."""

    def __init__(self, number: int, seed: int | str, whole: "SimulatedWorld") -> None:
        self.number = number
        self.ended = False
        self.context = contextvars.copy_context()
        self.context.run(LIFE.set, number)
        self.held_before = Resources.now()
        self._whole = whole
        self._waiting: dict[asyncio.Future[Any], None] = {}
        clock = LifeClock(whole.loop, whole.host.clock)
        self._links = LifeLinks(whole.network, whole.witness)
        self._disk = LifeDisk(whole.host.disk, whole.witness)
        self._host = LifeHost(whole.host, number)
        dice, ids = SeededDice(f"{seed}:{number}"), SeededIds(f"{seed}:{number}", clock.wall_ns)
        self.context.run(take_ids, ids)
        self._plain = (clock, dice, ids)
        self.world = World(
            clock=clock, dice=dice, ids=ids, connect_websocket=self._links.connect_websocket,
            open_http=self._links.open_http, open_journal=self._disk.open_journal, host=self._host,
        )  # fmt: skip

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this life."""
        return self._whole.loop.create_task(coroutine, context=self.context)

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Calls a function as if this life did: what it starts is of this life."""
        return self.context.copy().run(function, *args)

    async def ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Has the engine do something and gives what came of it. Raises LifeOver when it dies first."""
        if self.ended:
            coroutine.close()
            raise LifeOver("this engine is dead")
        answer: asyncio.Future[T] = self._whole.loop.create_future()
        self._waiting[answer] = None
        asked = self.start(_answered(coroutine, answer))
        try:
            return await answer
        finally:
            if not self.ended:
                asked.cancel()
            self._waiting.pop(answer, None)

    def make_inert(self, *, silent: bool) -> None:
        """Every port lets nothing through any more, and the connections are gone."""
        for answer in list(self._waiting):
            if not answer.done():
                answer.set_exception(LifeOver("the engine died before it answered"))
        self._links.end(silent=silent)
        self._disk.end()
        self._host.end()
        for port in self._plain:
            make_inert(port)


class SimulatedWorld:
    """Everything outside the engine. To be made on a running VirtualTimeLoop, whose time is the world's."""

    def __init__(
        self,
        seed: int | str,
        *,
        witness: Witness | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualTimeLoop):
            raise TypeError("a simulated world runs on a VirtualTimeLoop: `run_virtual(...)`")
        self.loop = loop
        self.seed = seed
        self.witness = witness or Witness()
        self.network = MemoryNetwork(SeededDice(f"network:{seed}"))
        self.network.faults.delay_s = NETWORK_S
        self.host = SimulatedHost(loop, self.witness)
        self.host.disk.commit_s = COMMIT_S
        self.life: Life | None = None
        self.left: list[CoroutineLeft] = []  # coroutines that would not be closed: a bug of the actor's
        self._numbers = count(1)
        self.troubles: list[tuple[float, str]] = []  # errors that nobody handled, and when
        numbered_tasks(loop)
        loop.set_exception_handler(self._unhandled)

    @property
    def now_s(self) -> float:
        return self.loop.time()

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, message = context.get("exception"), str(context.get("message", ""))
        # When an error that nobody asked for is told of depends on when its future is freed: it cannot be part of a run.
        if not isinstance(error, WorldEnded) and "never retrieved" not in message:
            self.troubles.append((self.now_s, f"{message}: {type(error).__name__}: {error}"))

    def new_life(self) -> Life:
        """The next process of the engine on this machine. Raises RuntimeError while one lives."""
        if self.life is not None and not self.life.ended:
            raise RuntimeError("one engine lives: let it end, or cut its power")
        self.life = Life(next(self._numbers), self.seed, self)
        return self.life

    def end_life(self) -> list[str]:
        """The engine has ended by itself: what is left of it is named, and then ended as by a power cut. Threads,
        processes and open files cannot be ended from here: of a life that was killed they are not looked for."""
        life = self.life
        if life is None or life.ended:
            return []
        left = [task.get_name() for task in tasks_of(self.loop, life.number)]
        self.power_cut()
        return left + life.held_before.left()

    def power_cut(self, power: str = "process") -> None:
        """The engine dies at whatever it is waiting for, and does nothing more.

        "process": its connections are reset, as the operating system does for a killed process. "host": the machine
        is off, and nobody is told of anything. Either way what was not flushed to the disk is lost. Called from within
        the engine it does not return: it raises WorldEnded.
        """
        life = self.life
        if life is None or life.ended:
            return
        life.ended = True
        self.host.disk.power_cut()
        life.make_inert(silent=power == "host")
        untie_systems(self.loop, life.number)
        self._sweep(life)
        if LIFE.get() == life.number:
            # What runs at this moment may start more before it meets an inert port.
            self.loop.call_soon(self._sweep, life, context=self._outside())
            raise WorldEnded("the power is off")

    def _sweep(self, life: Life) -> None:
        for _ in range(CLOSING_ROUNDS):
            if not sweep(self.loop, life.number, self.left):
                return

    def _outside(self) -> contextvars.Context:
        context = contextvars.copy_context()
        context.run(LIFE.set, 0)
        return context

    async def close(self) -> None:
        """Ends the life and the network."""
        self.power_cut()
        await self.network.close()


async def _answered(coroutine: Coroutine[Any, Any, T], answer: "asyncio.Future[T]") -> None:
    try:
        value = await coroutine
    except Exception as error:  # noqa: BLE001 - whoever asked gets it
        if not answer.done():
            answer.set_exception(error)
    else:
        if not answer.done():
            answer.set_result(value)
