"""An HTTP exchange in memory: two timers where nothing waits, a task where something does, and the same answers either way."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

import pytest

from allstop.actors.clock import SeededDice
from allstop.actors.links.condition import WHOLE, LinkCondition
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.ports import HttpNoReply, HttpRequest, HttpResponse

pytestmark = pytest.mark.virtual

URL = "http://venue"
GET = HttpRequest(method="GET", path="/x")
WAY_S = 0.25


def answer(body: bytes = b"yes") -> HttpResponse:
    return HttpResponse(status=200, headers={}, body=body)


class Venue:
    """A network whose way takes a quarter of a second, and what came to the handler, and when."""

    def __init__(self, handler: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self.network = MemoryNetwork(SeededDice(1))
        self.network.faults.delay_s = WAY_S
        self.link = self.network.link(URL)
        self.came_s: list[float] = []
        self._handler = handler
        self.network.serve_http(URL, self._serve)
        self.http = self.network.open_http(URL, max_connections=1)

    def _serve(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        self.came_s.append(asyncio.get_running_loop().time())
        return self._handler(request)


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_an_exchange_on_a_whole_link_starts_no_task_and_takes_both_ways() -> None:
    venue = Venue(lambda _: answer())
    began_s, before = now_s(), asyncio.all_tasks()
    asked = asyncio.create_task(venue.http.request(GET, timeout_s=5.0))
    await asyncio.sleep(WAY_S / 2)
    assert asyncio.all_tasks() - before == {asked}
    assert (await asked).body == b"yes"
    assert venue.came_s == [pytest.approx(began_s + WAY_S)]
    assert now_s() == pytest.approx(began_s + 2 * WAY_S)


async def test_a_handler_that_takes_its_time_is_waited_for_in_a_task() -> None:
    async def slowly(_: HttpRequest) -> HttpResponse:
        await asyncio.sleep(1.0)
        return answer(b"late")

    venue = Venue(slowly)
    began_s, before = now_s(), asyncio.all_tasks()
    asked = asyncio.create_task(venue.http.request(GET, timeout_s=5.0))
    await asyncio.sleep(WAY_S * 2)
    assert len(asyncio.all_tasks() - before) == 2
    assert (await asked).body == b"late"
    assert now_s() == pytest.approx(began_s + 2 * WAY_S + 1.0)


async def test_a_link_that_becomes_slow_while_the_answer_is_made_makes_the_answer_slow() -> None:
    venue = Venue(lambda _: answer())
    began_s = now_s()
    asked = asyncio.create_task(venue.http.request(GET, timeout_s=9.0))
    await asyncio.sleep(WAY_S / 2)
    await venue.link.become(LinkCondition(delay_s=2.0))
    await asked
    assert now_s() == pytest.approx(began_s + 2 * WAY_S + 4.0)
    await venue.link.become(WHOLE)


async def test_what_was_sent_is_carried_out_though_its_caller_gave_up_and_its_slot_is_free_again() -> None:
    venue = Venue(lambda _: answer())
    with pytest.raises(HttpNoReply):
        await venue.http.request(GET, timeout_s=WAY_S / 2)
    assert venue.came_s == []
    await asyncio.sleep(2 * WAY_S)
    assert len(venue.came_s) == 1
    assert (await venue.http.request(GET, timeout_s=5.0)).status == 200


async def test_a_client_that_is_closed_gets_no_answer_and_nothing_of_it_stays_on_its_way() -> None:
    venue = Venue(lambda _: answer())
    asked = asyncio.create_task(venue.http.request(GET, timeout_s=5.0))
    await asyncio.sleep(WAY_S / 2)
    await venue.http.close()
    with pytest.raises(HttpNoReply, match="closed"):
        await asked
    assert venue.http.over_and_done
    await asyncio.sleep(4 * WAY_S)
    assert venue.came_s == []


async def test_a_handler_that_drops_the_connection_leaves_its_caller_without_a_reply() -> None:
    def drops(_: HttpRequest) -> HttpResponse:
        raise HttpNoReply("dropped")

    venue = Venue(drops)
    with pytest.raises(HttpNoReply, match="dropped"):
        await venue.http.request(GET, timeout_s=5.0)


async def test_an_exchange_that_is_over_is_freed_without_the_collector() -> None:

    made: list[weakref.ref[HttpResponse]] = []

    class Told(HttpResponse, frozen=True, weakref=True, kw_only=True):
        pass

    def tells(_: HttpRequest) -> HttpResponse:
        told = Told(status=200, headers={}, body=b"x")
        made.append(weakref.ref(told))
        return told

    venue = Venue(tells)
    gc.disable()
    try:
        assert (await venue.http.request(GET, timeout_s=5.0)).status == 200
        await asyncio.sleep(1.0)
        assert made[0]() is None
    finally:
        gc.enable()
