"""What an injector acts on, as puppets that write down what was done to them and when."""

import asyncio
from collections.abc import Sequence

from allstop.actors.clock import LoopClock
from allstop.actors.links.condition import DiskCondition, LinkCondition, Way
from allstop.supervisors.chaos import Act, Chaos

Row = tuple[float, str]


class Puppets:
    """`did` are all acts in their order, with their times."""

    def __init__(self, *, paths: Sequence[str] = (), host: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._began_s = loop, loop.time()
        self.did: list[Row] = []
        self.alive = list(paths)
        self.holdable = True
        self.acts: list[Act] = []
        self.moments: dict[str, asyncio.Event] = {}
        self.chaos = Chaos(
            self,
            links={name: PuppetLink(name, self) for name in ("rest", "public", "private")},
            venues={"kraken": self},
            host=self if host else None,
            clock=LoopClock(loop),
            on_act=self.acts.append,
        )

    def note(self, what: str) -> None:
        self.did.append((round(self._loop.time() - self._began_s, 3), what))

    # an engine

    def paths(self) -> Sequence[str]:
        return self.alive

    def kill(self, path: str) -> bool:
        self.note(f"kill {path}")
        return path in self.alive

    def crash(self, path: str, error: Exception) -> bool:
        self.note(f"crash {path}")
        return path in self.alive

    async def hold(self, path: str) -> bool:
        self.note(f"hold {path}")
        return self.holdable

    async def release(self, path: str) -> None:
        self.note(f"release {path}")

    def stall(self, seconds: float) -> None:
        self.note(f"stall {seconds}")

    def obstacles(self) -> Sequence[str]:
        return ()

    # a venue

    async def fault(self, kind: str, **fields: object) -> None:
        self.note(f"{kind} {fields}")

    async def clear(self) -> None:
        self.note("clear")

    # a host

    async def moment(self, point: str) -> None:
        self.note(f"moment {point}")
        await self.moments.setdefault(point, asyncio.Event()).wait()

    async def die(self, *, power: bool, down_s: float) -> None:
        self.note(f"die power={power}")
        await asyncio.sleep(down_s)
        self.note("born")

    def set_disk(self, chain: str, condition: DiskCondition) -> None:
        self.note(f"{chain} {condition.commit_s:g} {condition.full}")

    def fail_fsync(self, chain: str) -> None:
        self.note(f"fail_fsync {chain}")

    def tear(self, chain: str, keep: float) -> None:
        self.note(f"tear {chain} {keep}")

    def flip(self, chain: str, where: float) -> bool:
        self.note(f"flip {chain} {where}")
        return chain != "empty"

    def step_clock(self, seconds: float) -> None:
        self.note(f"step {seconds}")

    async def halt(self, by: str, reason: str) -> None:
        self.note(f"halt {by}: {reason}")

    def drift_clock(self, ppm: float) -> None:
        self.note(f"drift {ppm:g}")


class PuppetLink:
    def __init__(self, name: str, puppets: Puppets) -> None:
        self._name = name
        self._puppets = puppets

    async def become(self, condition: LinkCondition) -> None:
        wrong = {
            name: getattr(condition, name)
            for name in condition.__struct_fields__
            if getattr(condition, name) not in (0.0, False, None)
        }
        self._puppets.note(f"{self._name} {wrong or 'whole'}")

    def cut(self) -> int:
        self._puppets.note(f"{self._name} cut")
        return 1

    def cut_after(self, count: int | None, way: Way) -> None:
        self._puppets.note(f"{self._name} cut after {count} {way}")
