"""The simulated machine: its moments, and that a fault reaches the disk, the wall and the process."""

import asyncio

import pytest

from allstop.actors.clock import LoopClock
from allstop.actors.errors import Fatal
from allstop.actors.links.condition import DiskCondition
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.links.memory_link import MemoryNetwork, MemoryWebSocket
from allstop.actors.ports import JournalEntry
from allstop.supervisors.simulation.machine import SimulatedMachine

pytestmark = pytest.mark.virtual


class PuppetWall:
    def __init__(self) -> None:
        self.did: list[tuple[str, float]] = []

    def step(self, seconds: float) -> None:
        self.did.append(("step", seconds))

    def drift(self, parts_per_million: float) -> None:
        self.did.append(("drift", parts_per_million))


class Bench:
    def __init__(self) -> None:
        self.disk = MemoryDisk(LoopClock(asyncio.get_running_loop()))
        self.network = MemoryNetwork()
        link = self.network.link("ws://venue")
        self.network.serve_websocket("ws://venue", self._serve)
        self.wall = PuppetWall()
        self.deaths: list[tuple[bool, float]] = []
        self.machine = SimulatedMachine(self.disk, self.wall, [link], self._die)

    async def _serve(self, server: MemoryWebSocket) -> None:
        await server.receive()
        await server.send("answer")
        await asyncio.Future()

    async def _die(self, *, power: bool, down_s: float) -> None:
        self.deaths.append((power, down_s))


async def test_each_moment_of_the_engines_work_can_be_waited_for():
    b = Bench()
    journal = await b.disk.open_journal("runtime")
    seen: list[str] = []

    async def wait(point: str) -> None:
        await b.machine.moment(point)
        seen.append(point)

    points = ("commit", "committed", "send", "sent", "receive")
    waits = [asyncio.create_task(wait(point)) for point in points]
    await asyncio.sleep(0)
    await journal.append([JournalEntry(kind="note", key="", body=b"{}")])
    link = await b.network.connect_websocket("ws://venue")
    await link.send("order")
    await link.receive()
    async with asyncio.timeout(1):
        await asyncio.gather(*waits)
    assert seen == list(points)


async def test_a_moment_that_was_waited_for_in_vain_wakes_nobody_later():
    b = Bench()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await b.machine.moment("commit")
    await b.disk.open_journal("runtime")


async def test_faults_reach_disk_wall_and_process():
    b = Bench()
    await b.disk.open_journal("runtime")
    journal = await b.disk.open_journal("kraken.main")
    entry = JournalEntry(kind="note", key="", body=b"{}")

    b.machine.set_disk("kraken.main", DiskCondition(commit_s=0.5))
    await journal.append([entry])
    assert asyncio.get_running_loop().time() == 0.5
    b.machine.fail_fsync("kraken.main")
    with pytest.raises(Fatal, match="fsync"):
        await journal.append([entry])
    assert b.machine.flip("runtime", 0.0)
    assert b.disk.verify("runtime").bad is not None
    b.machine.step_clock(-2.0)
    b.machine.drift_clock(500.0)
    await b.machine.die(power=True, down_s=1.5)

    assert b.wall.did == [("step", -2.0), ("drift", 500.0)]
    assert b.deaths == [(True, 1.5)]
