"""The chaos hand's grip on a simulated world: whichever process of the engine runs, its machine, its links, its venue.

What is done to the engine is done as the engine's own, so that what it leads to dies with it.
"""

from collections.abc import Collection, Mapping, Sequence

from allstop.actors.links.condition import DiskCondition
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.links.memory_wire import MemoryLink
from allstop.supervisors.chaos.engine import SystemEngine
from allstop.supervisors.config import Tree
from allstop.supervisors.obstacles import obstacles
from allstop.supervisors.simulation.host import NobodyThere
from allstop.supervisors.simulation.plan import Shape
from allstop.supervisors.simulation.restarter import Restarter
from allstop.supervisors.simulation.world import LifeOver, SimulatedWorld


class EngineOfTheMoment:
    """An Engine: the process that runs now, or nobody."""

    def __init__(self, restarter: Restarter) -> None:
        self._restarter = restarter

    def _now(self) -> SystemEngine | None:
        system = self._restarter.system
        return None if system is None else SystemEngine(system, self.obstacles)

    def paths(self) -> Sequence[str]:
        now = self._now()
        return [] if now is None else now.paths()

    def kill(self, path: str) -> bool:
        now, life = self._now(), self._restarter.life
        return now is not None and life is not None and life.run(now.kill, path)

    def crash(self, path: str, error: Exception) -> bool:
        now, life = self._now(), self._restarter.life
        return now is not None and life is not None and life.run(now.crash, path, error)

    async def hold(self, path: str) -> bool:
        now, life = self._now(), self._restarter.life
        if now is None or life is None:
            return False
        try:
            return await life.ask(now.hold(path))
        except LifeOver:
            return False

    async def release(self, path: str) -> None:
        now, life = self._now(), self._restarter.life
        if now is not None and life is not None:
            try:
                await life.ask(now.release(path))
            except LifeOver:
                return  # whoever comes after it was never held

    def stall(self, seconds: float) -> None:
        now = self._now()
        if now is not None:
            now.stall(seconds)

    def obstacles(self) -> Sequence[str]:
        runtime = self._restarter.runtime
        return ["the engine is down"] if runtime is None else obstacles(runtime)


class SimulatedMachine:
    """A Host of the chaos hand."""

    def __init__(self, world: SimulatedWorld, restarter: Restarter) -> None:
        self._world = world
        self._restarter = restarter

    async def moment(self, point: str) -> None:
        await self._world.witness.moment(point)

    async def die(self, *, power: bool, down_s: float) -> None:
        await self._restarter.die(power=power, down_s=down_s)

    def set_disk(self, chain: str, condition: DiskCondition) -> None:
        self._world.host.disk.set(chain, condition)

    def fail_fsync(self, chain: str) -> None:
        self._world.host.disk.fail_next_commit(chain, "fsync: Input/output error")

    def tear(self, chain: str, keep: float) -> None:
        self._world.host.disk.tear(chain, keep)

    def flip(self, chain: str, where: float) -> bool:
        return self._world.host.disk.flip(chain, where)

    def step_clock(self, seconds: float) -> None:
        self._world.host.clock.step(seconds)

    def drift_clock(self, ppm: float) -> None:
        self._world.host.clock.drift(ppm)

    async def halt(self, by: str, reason: str) -> None:
        host = self._world.host
        if not host.latch.read().latched:
            host.latch.write(by, reason, host.clock.wall_ns())
        try:
            await host.ask({"command": "halt", "by": by, "reason": reason})
        except (NobodyThere, TimeoutError, LifeOver):
            return  # the latch stands: whoever starts next finds it


def links_of(network: MemoryNetwork, urls: Mapping[str, Sequence[str]]) -> dict[str, MemoryLink]:
    """A link for each face of a venue, to be made before anyone connects; a face without an address has none."""
    return {name: network.link(*addresses) for name, addresses in urls.items() if addresses}


def shape_of(tree: Tree, links: Collection[str]) -> Shape:
    """What of a tree's world can be hurt."""
    accounts, public = tree.accounts.children, tree.data.children
    pairs = dict.fromkeys(pair for node in (*accounts, *public) for pair in node.pairs)
    chains = ("runtime", *(node.id for node in accounts))
    return Shape(links=tuple(sorted(links)), disks=chains, pairs=tuple(pairs))
