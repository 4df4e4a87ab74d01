import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from allstop.actors.host_ledger import ConnectPermit, GetConnects, HostLedger, NoteBan, NoteUnreached
from allstop.actors.journal import JournalActor
from allstop.actors.limits.connects import ConnectLimits
from allstop.actors.limits.lanes import Lane
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.runtime import ActorSystem, Ref

pytestmark = pytest.mark.virtual
HOST = "ws.kraken.com"
SMALL = ConnectLimits(limit=30, window_s=60)  # ours are 15: 5 at once, and then one in 12 s


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    async with ActorSystem(on_event=lambda _: None) as system:
        yield system


async def opened(system: ActorSystem, **arguments: Any) -> Ref:
    disk = MemoryDisk(system.clock)
    journal = await system.spawn(JournalActor, disk.open_journal, "runtime", path="/journal")
    arguments = {"limits": {HOST: SMALL}, **arguments}
    return await system.spawn(HostLedger, journal=journal, path="/hosts", **arguments)


async def again(system: ActorSystem, hosts: Ref) -> Ref:
    system.kill(hosts)
    await asyncio.sleep(0.001)
    journal = system.address("/journal")
    return await system.spawn(HostLedger, journal=journal, limits={HOST: SMALL}, path="/hosts")


async def test_a_third_of_our_share_is_given_at_once_and_then_the_time_to_wait(system: ActorSystem):
    hosts = await opened(system)
    answers = [await hosts.call(ConnectPermit(host=HOST)) for _ in range(6)]
    assert answers[:5] == [0.0] * 5
    assert answers[5] == pytest.approx(12.0, abs=0.1)
    await asyncio.sleep(12.0)
    assert await hosts.call(ConnectPermit(host=HOST)) == 0.0
    assert await hosts.call(ConnectPermit(host=HOST, lane=Lane.ENTRY)) == 0.0  # the other side has its own
    assert await hosts.call(ConnectPermit(host=HOST, lane=Lane.ENTRY)) > 11


async def test_a_connect_that_never_came_there_does_not_count_and_one_that_may_have_does(system: ActorSystem):
    hosts = await opened(system)
    for _ in range(20):
        assert await hosts.call(ConnectPermit(host=HOST)) == 0.0
        hosts.tell(NoteUnreached(host=HOST))
    for _ in range(5):
        assert await hosts.call(ConnectPermit(host=HOST)) == 0.0
    assert await hosts.call(ConnectPermit(host=HOST)) > 11


async def test_permits_given_are_remembered_over_a_restart(system: ActorSystem):
    hosts = await opened(system)
    for _ in range(5):
        await hosts.call(ConnectPermit(host=HOST))
    hosts = await again(system, hosts)
    assert await hosts.call(ConnectPermit(host=HOST)) > 11


async def test_a_ban_holds_over_a_restart(system: ActorSystem):
    hosts = await opened(system)
    hosts.tell(NoteBan(host=HOST, reason="HTTP 429"))
    await asyncio.sleep(0.01)
    hosts = await again(system, hosts)
    assert await hosts.call(ConnectPermit(host=HOST, lane=Lane.PROTECT)) == pytest.approx(600, abs=0.1)
    await asyncio.sleep(600.1)
    assert await hosts.call(ConnectPermit(host=HOST)) == 0.0


async def test_hosts_of_one_venue_share_its_budget(system: ActorSystem):
    names = {"a.example": "kraken", "b.example": "kraken"}
    hosts = await opened(system, venue_of=names, limits={"kraken": SMALL})
    answers = [await hosts.call(ConnectPermit(host=host)) for host in ("a.example", "b.example") * 3]
    assert answers[:5] == [0.0] * 5
    assert answers[5] > 0
    assert set(await hosts.call(GetConnects())) == {"kraken"}
