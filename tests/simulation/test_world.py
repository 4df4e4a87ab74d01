"""A simulated world: an engine dies at an await and does nothing more; the machine, the disk and the venue go on."""

import asyncio
import gc
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.ports import (
    ConnectFailed,
    HttpRequest,
    HttpResponse,
    JournalEntry,
    JournalRow,
    LinkClosed,
    WebSocketLink,
)
from allstop.actors.runtime import Actor, ActorSystem
from allstop.supervisors.simulation.ended import WorldEnded
from allstop.supervisors.simulation.host import NobodyThere
from allstop.supervisors.simulation.witness import Witness
from allstop.supervisors.simulation.world import LifeOver, SimulatedWorld

pytestmark = pytest.mark.virtual
WS, REST = "ws://venue", "http://venue"


def entry(word: str) -> JournalEntry:
    return JournalEntry(kind="word", key=word, body=b"{}")


def keys(world: SimulatedWorld) -> list[str]:
    return [row.key for row in world.host.disk.rows("main") if row.kind == "word"]


async def test_nothing_of_a_dead_life_is_ever_stepped_again() -> None:
    world, steps = SimulatedWorld(1), []
    life = world.new_life()

    async def engine() -> None:
        async def child() -> None:
            while True:
                steps.append("child")
                await asyncio.sleep(1)

        keep = asyncio.create_task(child())
        asyncio.get_running_loop().call_later(2.5, steps.append, "timer")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(2.6, future.set_result, None)
        future.add_done_callback(lambda _: steps.append("callback"))
        await keep

    life.start(engine())
    await asyncio.sleep(2.2)
    assert steps == ["child"] * 3
    world.power_cut()
    await asyncio.sleep(10)
    assert steps == ["child"] * 3


async def test_every_port_of_a_dead_life_lets_nothing_through() -> None:
    world, served = SimulatedWorld(1), []

    async def echo(link: WebSocketLink) -> None:
        while True:
            served.append(await link.receive())

    world.network.serve_websocket(WS, echo)
    world.network.serve_http(REST, lambda request: HttpResponse(status=200, headers={}, body=b""))
    life = world.new_life()
    ports = life.world
    held: dict[str, Any] = {}

    async def engine() -> None:
        held["link"] = await ports.connect_websocket(WS)
        held["http"] = ports.open_http(REST)
        held["journal"] = await ports.open_journal("main")
        held["key"] = ports.host.hold_key("venue", "main", "k")
        held["latch"] = ports.host.latch
        held["remembered"] = held["link"].send

    await life.ask(engine())
    world.power_cut()
    request = HttpRequest(method="GET", path="/")
    for use in (
        lambda: held["link"].send("late"), lambda: held["remembered"]("late"), lambda: held["http"].request(request, timeout_s=1),
        lambda: held["journal"].append([entry("late")]), lambda: ports.connect_websocket(WS), lambda: ports.open_journal("main"),
    ):  # fmt: skip
        with pytest.raises(WorldEnded):
            await use()
    for port, name in (
        (ports.clock, "now_s"),
        (ports.dice, "draw"),
        (ports.ids, "new"),
        (ports.host, "latch"),
        (held["key"], "release"),
        (held["latch"], "write"),
    ):
        with pytest.raises(WorldEnded):
            getattr(port, name)
    assert served == []
    assert keys(world) == []


async def test_what_was_not_flushed_is_lost_and_what_was_is_there_for_the_next_life() -> None:
    world = SimulatedWorld(1)
    life = world.new_life()

    async def engine() -> None:
        journal = await life.world.open_journal("main")
        await journal.append([entry("flushed")])
        await journal.append([entry("not flushed")], durable=False)

    await life.ask(engine())
    assert keys(world) == ["flushed", "not flushed"]
    world.power_cut()
    assert keys(world) == ["flushed"]
    after = world.new_life()

    async def next_engine() -> list[str]:
        journal = await after.world.open_journal("main")
        return [row.key for row in await journal.read(kinds=["word"])]

    assert await after.ask(next_engine()) == ["flushed"]


async def test_rows_that_a_torn_commit_left_are_told_as_durable_and_the_next_life_reads_them() -> None:
    told: list[str] = []

    class Sees(Witness):
        def left(self, chain: str, rows: list[JournalRow]) -> None:
            told.extend(f"{chain} {row.key}" for row in rows)

    world = SimulatedWorld(1, witness=Sees())
    life = world.new_life()

    async def engine() -> None:
        journal = await life.world.open_journal("main")
        world.host.disk.tear("main", 1.0)
        await journal.append([entry("half"), entry("written")])

    life.start(engine())
    await world.witness.moment("committing main")  # the epoch's
    await world.witness.moment("committing main")
    world.power_cut()
    assert told == ["main half", "main written"]
    assert keys(world) == ["half", "written"]


@pytest.mark.parametrize(("power", "heard"), [("process", True), ("host", False)])
async def test_a_killed_process_resets_its_connections_and_a_machine_without_power_says_nothing(
    power: str, heard: bool
) -> None:
    world, ends = SimulatedWorld(1), []

    async def serve(link: WebSocketLink) -> None:
        try:
            await link.receive()
        except LinkClosed:
            ends.append(asyncio.get_running_loop().time())
            raise

    world.network.serve_websocket(WS, serve)
    life = world.new_life()
    await life.ask(life.world.connect_websocket(WS))
    world.power_cut(power)
    await asyncio.sleep(1.0)
    assert bool(ends) is heard
    await world.network.close()


async def test_what_a_dead_engine_had_sent_is_carried_out_all_the_same() -> None:
    world, served = SimulatedWorld(1), []

    def serve(request: HttpRequest) -> HttpResponse:
        served.append(request.path)
        return HttpResponse(status=200, headers={}, body=b"")

    world.network.serve_http(REST, serve)
    life = world.new_life()
    http = life.world.open_http(REST)
    life.start(http.request(HttpRequest(method="POST", path="/order"), timeout_s=1.0))
    await world.witness.moment("sent")
    world.power_cut()
    await asyncio.sleep(5)
    assert served == ["/order"]
    assert world.troubles == []


async def test_a_cut_from_within_the_engine_does_not_return_to_it() -> None:
    world, after = SimulatedWorld(1), []
    life = world.new_life()

    async def engine() -> None:
        try:
            world.power_cut()
            after.append("went on")
        finally:
            asyncio.create_task(late())  # noqa: RUF006 - of an engine that is dead

    async def late() -> None:
        after.append("late")

    life.start(engine())
    await asyncio.sleep(5)
    assert after == []
    assert life.ended


async def test_an_actor_that_swallows_its_end_is_ended_all_the_same() -> None:
    world, told = SimulatedWorld(1), []
    life = world.new_life()

    class Stubborn(Actor):
        async def on_receive(self, message: object) -> None:
            while True:
                try:
                    await asyncio.sleep(1)
                except BaseException:
                    told.append(message)
                    if len(told) > 1:
                        raise

    async def engine() -> None:
        system = ActorSystem(clock=life.world.clock)
        await system.start()
        (await system.spawn(Stubborn)).tell("hello")
        await asyncio.sleep(100)

    life.start(engine())
    await asyncio.sleep(3)
    world.power_cut()
    assert len(told) >= 1
    await asyncio.sleep(50)
    assert len(told) <= 2  # closed, and closed again when it was freed: never stepped
    assert world.troubles == []


async def test_whoever_asks_an_engine_that_dies_is_told_so() -> None:
    world = SimulatedWorld(1)
    life = world.new_life()
    asking = asyncio.ensure_future(life.ask(asyncio.sleep(10)))
    await asyncio.sleep(1)
    world.power_cut()
    with pytest.raises(LifeOver):
        await asking
    with pytest.raises(LifeOver):
        await life.ask(asyncio.sleep(10))


async def test_a_key_is_held_by_one_engine_and_free_once_that_is_dead() -> None:
    world = SimulatedWorld(1)
    life = world.new_life()
    life.world.host.hold_key("venue", "main", "k")
    with pytest.raises(BadInput, match=r"venue\.main is in use"):
        life.world.host.hold_key("venue", "main", "k")
    world.power_cut()
    world.new_life().world.host.hold_key("venue", "main", "k").release()


async def test_commands_reach_the_engine_that_listens_and_nobody_else() -> None:
    world = SimulatedWorld(1)
    with pytest.raises(NobodyThere):
        await world.host.ask({"command": "status"})
    life = world.new_life()

    async def answer(request: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(1)
        return {"heard": request["command"]}

    async def engine() -> None:
        await life.world.host.control(answer).start()
        await asyncio.sleep(100)

    life.start(engine())
    await asyncio.sleep(0.1)
    assert await world.host.ask({"command": "status"}) == {"ok": True, "heard": "status"}
    asking = asyncio.ensure_future(world.host.ask({"command": "status"}))
    await asyncio.sleep(0.1)
    world.power_cut()
    with pytest.raises(NobodyThere):
        await asking


async def test_the_wall_can_be_set_and_drift_until_it_is_set_right_and_the_other_clock_does_not_notice() -> (
    None
):
    world = SimulatedWorld(1)
    clock = world.new_life().world.clock
    before_ns, before_s = clock.wall_ns(), clock.now_s()
    world.host.clock.step(-3.0)
    assert clock.wall_ns() - before_ns == -3_000_000_000
    world.host.clock.drift(1000.0)
    await asyncio.sleep(100)
    assert clock.wall_ns() - before_ns == pytest.approx(97.1e9, abs=1e3)
    world.host.clock.drift(0.0)
    await asyncio.sleep(100)
    assert clock.wall_ns() - before_ns == pytest.approx(197.0e9, abs=1e3)
    assert clock.now_s() - before_s == pytest.approx(200)


async def test_drifts_that_follow_or_overlap_leave_the_wall_where_it_was() -> None:
    world = SimulatedWorld(1)
    clock = world.new_life().world.clock
    before_ns = clock.wall_ns()
    world.host.clock.drift(20_000.0)
    await asyncio.sleep(30)
    world.host.clock.drift(15_000.0)
    await asyncio.sleep(40)
    assert clock.wall_ns() - before_ns == pytest.approx(71.2e9, abs=1e3)
    world.host.clock.drift(0.0)
    assert clock.wall_ns() - before_ns == pytest.approx(70e9, abs=1e3)
    world.host.clock.drift(0.0)
    assert clock.wall_ns() - before_ns == pytest.approx(70e9, abs=1e3)


async def test_two_lives_draw_different_numbers_and_the_same_life_of_the_same_seed_the_same() -> None:
    def drawn() -> list[tuple[float, str]]:
        world = SimulatedWorld(7)
        found: list[tuple[float, str]] = []
        for _ in range(2):
            life = world.new_life()
            found.append((life.world.dice.draw(), life.world.ids.new()))
            world.power_cut()
        return found

    first, second = drawn()
    assert first != second
    assert drawn() == [first, second]


async def test_an_address_where_nobody_serves_is_refused() -> None:
    life = SimulatedWorld(1).new_life()
    with pytest.raises(ConnectFailed):
        await life.ask(life.world.connect_websocket("ws://nobody"))


async def test_the_tasks_of_a_dead_engine_are_not_kept() -> None:
    world = SimulatedWorld(1)
    before = len(asyncio.all_tasks())
    for _ in range(3):
        life = world.new_life()
        life.start(asyncio.sleep(100))
        await asyncio.sleep(1)
        world.power_cut()
    gc.collect()
    assert len(asyncio.all_tasks()) == before
    assert world.left == []


async def test_a_handler_that_a_death_finds_before_its_first_step_is_closed_with_the_task_that_was_to_await_it() -> (
    None
):
    async def handler() -> None:
        raise AssertionError("the engine is dead")

    async def watched(handled: Coroutine[Any, Any, None]) -> None:
        await handled

    async def serve(handled: Coroutine[Any, Any, None]) -> None:
        await handled

    world = SimulatedWorld(1)
    life = world.new_life()
    made = handler()
    life.start(serve(watched(made)))
    world.power_cut()
    assert inspect.getcoroutinestate(made) == inspect.CORO_CLOSED
    assert world.left == []
