"""Who starts the engine's process, and starts it again when it ends: the simulation's systemd.

It sees what such a one sees: that a process runs, that it ended, and with which words. A process that ended is started
again after `RESTART_S`; one that was asked to stop is not.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.runtime import ActorSystem
from allstop.actors.runtime.isolation import cost_problem
from allstop.supervisors.build import Runtime
from allstop.supervisors.config import ChildNode, SupervisorNode, Tree
from allstop.supervisors.simulation.world import Life, SimulatedWorld
from allstop.supervisors.standing_down import OnStop

RESTART_S: Final = 1.0
STOP_S: Final = 120.0  # longer than a tree's own shutdown may take


class LifeEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How one process ended. `leaked`: what its own shutdown could not stop, and what it left behind."""

    life: int
    at_s: float
    why: str
    leaked: tuple[str, ...] = ()


class Restarter:
    """`life` is the running process, `system` its actors from the first one on, `runtime` all of it once its tree
    stands; None while there is none."""

    def __init__(
        self,
        world: SimulatedWorld,
        tree: Tree,
        environ: Mapping[str, str],
        *,
        on_system: Callable[[ActorSystem], None] | None = None,
        on_end: Callable[[LifeEnd], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        on_stop: OnStop = OnStop.KEEP,
    ) -> None:
        self.on_stop = on_stop  # of the processes that are started from now on
        self.runtime: Runtime | None = None
        self.system: ActorSystem | None = None
        self.life: Life | None = None
        self.refused: BadInput | None = None  # by the first process: the tree is wrong
        self.ends: list[LifeEnd] = []
        self.starts = 0
        self.stands = asyncio.Event()  # the tree has started
        self._world = world
        self._tree = tree
        self._environ = environ
        self._on_system = on_system
        self._on_end = on_end
        self._on_start = on_start
        self._down_s = RESTART_S
        self._stopping = False
        self._over: asyncio.Future[str] | None = None
        self._stop: asyncio.Future[None] | None = None
        self._leaked: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Starts the first process."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="restarter")

    async def die(self, *, power: bool = False, down_s: float = RESTART_S) -> None:
        """The process ends at this moment at whatever it waits for; returns once the next one was started, after
        `down_s`. Nothing happens while none runs."""
        if self._over is None or self._over.done():
            return
        self._down_s = down_s
        self._gone()
        self._world.power_cut("host" if power else "process")
        self._ended("power cut" if power else "killed")
        await asyncio.sleep(down_s)
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Asks the engine to stop, as a person does who ends the process politely, and starts no other."""
        self._stopping = True
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(None)
        assert self._task is not None, "nothing was begun"
        try:
            async with asyncio.timeout(STOP_S):
                await self._task
        except TimeoutError:
            self._world.power_cut()
            self._leaked.append(f"the engine did not stop within {STOP_S:g} s")
            self._ended("had to be killed")
            self._task.cancel()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            life = self.life = self._world.new_life()
            self._over, self._stop = loop.create_future(), loop.create_future()
            self._leaked = []
            self.starts += 1
            if self._on_start is not None:
                self._on_start(life.number)
            life.start(self._live(life, self._over, self._stop))
            why = await self._over
            self._leaked += self._world.end_life()
            self._gone()
            end = LifeEnd(life=life.number, at_s=self._world.now_s, why=why, leaked=tuple(self._leaked))
            self.ends.append(end)
            if self._on_end is not None:
                self._on_end(end)
            if not self._stopping:
                await asyncio.sleep(self._down_s)
                self._down_s = RESTART_S

    async def _live(self, life: Life, over: "asyncio.Future[str]", stop: "asyncio.Future[None]") -> None:
        """The engine's own main program."""
        runtime = Runtime(
            self._tree, world=life.world, environ=self._environ, on_system=self._begun, on_stop=self.on_stop
        )
        why = "stopped"
        try:
            if problems := unstated_costs(self._tree):
                raise BadInput(*problems)
            async with runtime:
                self.runtime = runtime
                self.stands.set()
                root = asyncio.ensure_future(runtime.ended())
                await asyncio.wait([root, stop], return_when=asyncio.FIRST_COMPLETED)
                if root.done():
                    why = f"the root ended: {root.result()}"
                else:
                    root.cancel()
        except BadInput as error:
            why = f"it refused to start: {error}"
            if life.number == 1:  # nothing has been hurt yet: the tree itself is wrong
                self.refused = error
                self._stopping = True
        except Exception as error:  # noqa: BLE001 - a process that ends with a traceback: whoever restarts it looks on
            why = f"{type(error).__name__}: {error}"
        self._leaked = list(runtime.leaked)
        if runtime.unproven:
            why = f"stopped, and not proven: {'; '.join(runtime.unproven)}"
        if not over.done():
            over.set_result(why)

    def _begun(self, system: ActorSystem) -> None:
        self.system = system
        if self._on_system is not None:
            self._on_system(system)

    def _gone(self) -> None:
        self.life = self.system = self.runtime = None
        self.stands.clear()

    def _ended(self, why: str) -> None:
        self._stop = None  # nobody who could be asked is left
        if self._over is not None and not self._over.done():
            self._over.set_result(why)


def unstated_costs(tree: Tree) -> tuple[Problem, ...]:
    """The isolated children of which nobody says what a message costs: in a simulation they are not started."""
    return tuple(_unstated(*tree.strategies.children))


def _unstated(*nodes: ChildNode | SupervisorNode) -> Iterator[Problem]:
    for node in nodes:
        if isinstance(node, SupervisorNode):
            yield from _unstated(*node.children)
        elif why := cost_problem(node.actor_class, node.isolation, node.simulated_cost_s):
            yield Problem(f"{node.id!r}: {why}", node.where)
