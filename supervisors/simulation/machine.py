"""The simulated machine as chaos has it: its process, its disk and its wall clock can be hurt, at a chosen moment."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Protocol

from allstop.actors.links.condition import DiskCondition
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.links.memory_wire import MemoryLink


class Wall(Protocol):
    """A wall clock that can be set."""

    def step(self, seconds: float) -> None: ...

    def drift(self, parts_per_million: float) -> None: ...


class Process(Protocol):
    """Ends the engine's process, and returns once the next one is started, `down_s` later."""

    def __call__(self, *, power: bool, down_s: float) -> Awaitable[None]: ...


class SimulatedMachine:
    """A chaos Host on a disk, a clock and the links in memory that the engine uses; `die` is the world's."""

    def __init__(self, disk: MemoryDisk, wall: Wall, links: Iterable[MemoryLink], die: Process) -> None:
        self._disk = disk
        self._wall = wall
        self._die = die
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        disk.reached = self._reached
        for link in links:
            link.reached = self._reached

    async def moment(self, point: str) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(point, []).append(waiting)
        await waiting

    async def die(self, *, power: bool, down_s: float) -> None:
        await self._die(power=power, down_s=down_s)

    def set_disk(self, chain: str, condition: DiskCondition) -> None:
        self._disk.set(chain, condition)

    def fail_fsync(self, chain: str) -> None:
        self._disk.fail_next_commit(chain, "fsync: input/output error")

    def tear(self, chain: str, keep: float) -> None:
        self._disk.tear(chain, keep)

    def flip(self, chain: str, where: float) -> bool:
        return self._disk.flip(chain, where)

    def step_clock(self, seconds: float) -> None:
        self._wall.step(seconds)

    def drift_clock(self, ppm: float) -> None:
        self._wall.drift(ppm)

    def _reached(self, point: str) -> None:
        if not self._waiting:
            return  # nearly always, and this is asked at every frame
        for waiting in self._waiting.pop(point, ()):
            if not waiting.done():
                waiting.set_result(None)
