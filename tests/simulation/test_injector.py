"""Carrying a plan out: each fault at its time, taken back at its end, and named where this world cannot do it."""

import asyncio

import pytest
from tests.simulation.puppets import Puppets

from allstop.supervisors.simulation.faults import CATALOGUE, Fault, Pair, Target, Value
from allstop.supervisors.simulation.injector import Injector
from allstop.supervisors.simulation.plan import FaultPlan, Shape, make_plan

pytestmark = pytest.mark.virtual

WORKER = "/accounts/kraken.main/trading/session"


def plan_of(*faults: Fault, quiet_from_s: float = 60.0) -> FaultPlan:
    return FaultPlan(
        seed=1, profile="mine", duration_s=quiet_from_s + 45, quiet_from_s=quiet_from_s, faults=faults
    )


async def did(*faults: Fault, host: bool = True) -> list[tuple[float, str]]:
    """What a plan of these faults does, without the healing at its end."""
    puppets = Puppets(paths=[WORKER], host=host)
    await Injector(puppets.chaos).run(plan_of(*faults))
    return [row for row in puppets.did if row[0] < 60.0]


def fault(kind: str, target: str, at_s: float = 1.0, lasts_s: float = 0.0, **params: Value) -> Fault:
    return Fault(at_s=at_s, kind=kind, target=target, params=params, lasts_s=lasts_s)


async def test_a_trouble_of_a_link_comes_at_its_time_and_goes_at_its_end() -> None:
    assert await did(fault("link.delay", "public", 2.5, 4.0, delay_s=0.1, jitter_s=0.2)) == [
        (2.5, "public {'delay_s': 0.1, 'jitter_s': 0.2}"),
        (6.5, "public whole"),
    ]


async def test_troubles_of_one_link_overlap() -> None:
    assert await did(
        fault("link.one_way", "public", 1.0, 4.0, way="up"),
        fault("link.slow_reader", "public", 2.0, 1.0, way="down", bytes_per_s=300),
    ) == [
        (1.0, "public {'up_silent': True}"),
        (2.0, "public {'up_silent': True, 'down_bytes_per_s': 300.0}"),
        (3.0, "public {'up_silent': True}"),
        (5.0, "public whole"),
    ]


async def test_while_a_link_with_orders_is_away_the_venue_counts_as_unreachable() -> None:
    assert await did(fault("link.dns", "rest", 1.0, 4.0)) == [
        (1.0, "unreachable {'s': 4.0}"),
        (1.0, "rest {'turned': <Turned.DNS: 'dns'>}"),
        (5.0, "rest whole"),
    ]


async def test_a_cut_at_a_byte_that_does_not_come_in_time_is_taken_back() -> None:
    assert await did(
        fault("link.cut", "rest"), fault("link.cut_at_byte", "rest", 2.0, 3.0, way="down", bytes=17)
    ) == [(1.0, "rest cut"), (2.0, "rest cut after 17 down"), (5.0, "rest cut after None down")]


async def test_a_fault_of_the_venue_travels_under_its_own_name_with_its_time() -> None:
    assert await did(
        fault("venue.silence", "kraken", 1.0, 4.0, channel="book"),
        fault("venue.expire_tokens", "kraken", 2.0),
    ) == [(1.0, "silence {'channel': 'book', 's': 4.0}"), (2.0, "expire_tokens {}")]


async def test_a_process_dies_at_its_moment_and_so_many_turns_later() -> None:
    puppets = Puppets()
    injector = Injector(puppets.chaos)
    kill = fault("process.power_cut", "host", 3.0, point="sent", steps=4, down_s=2.0)
    running = asyncio.create_task(injector.run(plan_of(kill)))
    await asyncio.sleep(4.0)
    puppets.moments["sent"].set()
    await running
    assert puppets.did[:4] == [
        (3.0, "moment sent"),
        (4.0, "unreachable {'s': 2.0}"),
        (4.0, "die power=True"),
        (6.0, "born"),
    ]


async def test_a_moment_that_does_not_come_is_waited_for_three_seconds() -> None:
    assert (await did(fault("process.kill", "host", 1.0, point="commit", steps=0, down_s=0.0)))[1:] == [
        (4.0, "die power=False"),
        (4.0, "born"),
    ]


async def test_a_connection_is_cut_and_an_actor_killed_so_long_after_an_order_went_out() -> None:
    puppets = Puppets(paths=[WORKER])
    injector = Injector(puppets.chaos)
    cut = fault("link.cut_at_order", "private", 3.0, point="ordered", steps=1, after_s=0.02)
    kill = fault("actor.kill_at_order", WORKER, 3.0, point="ordered", steps=1, after_s=0.01, draw=0.5)
    running = asyncio.create_task(injector.run(plan_of(cut, kill)))
    await asyncio.sleep(4.0)
    puppets.moments["ordered"].set()
    await running
    assert [row for row in puppets.did if not row[1].startswith("moment")][:2] == [
        (4.01, f"kill {WORKER}"),
        (4.02, "private cut"),
    ]


async def test_where_no_order_goes_out_nothing_is_cut_and_nobody_killed() -> None:
    puppets = Puppets(paths=[WORKER])
    injector = Injector(puppets.chaos)
    cut = fault("link.cut_at_order", "private", 1.0, point="ordered", steps=1, after_s=0.0)
    kill = fault("actor.kill_at_order", WORKER, 1.0, point="intended", steps=1, after_s=0.0, draw=0.5)
    await injector.run(plan_of(cut, kill))
    assert {one.fault.kind: one.missed for one in injector.injected} == {
        "link.cut_at_order": "nothing was ordered",
        "actor.kill_at_order": "nothing was intended",
    }
    assert injector.counts == {}


async def test_what_is_dead_does_not_die() -> None:
    puppets = Puppets()
    injector = Injector(puppets.chaos)
    await injector.run(
        plan_of(
            fault("process.kill", "host", 1.0, point="now", steps=0, down_s=5.0),
            fault("process.kill", "host", 2.0, point="now", steps=0, down_s=1.0),
        )
    )
    assert [one.missed for one in injector.injected] == ["the process is down already", ""]
    assert injector.counts == {"process.kill": 1}


async def test_disks_fail_in_their_ways() -> None:
    assert await did(
        fault("disk.slow", "runtime", 1.0, 2.0, commit_s=0.25),
        fault("disk.full", "runtime", 2.0, 2.0),
        fault("disk.fsync", "runtime", 5.0),
        fault("disk.flip", "runtime", 6.0, where=0.5, down_s=1.0),
        fault("disk.flip", "empty", 8.0, where=0.5, down_s=1.0),
        fault("disk.torn", "runtime", 9.0, keep=0.5, down_s=0.0),
    ) == [
        (1.0, "runtime 0.25 False"),
        (2.0, "runtime 0.25 True"),
        (3.0, "runtime 0 True"),
        (4.0, "runtime 0 False"),
        (5.0, "fail_fsync runtime"),
        (6.0, "flip runtime 0.5"),
        (6.0, "unreachable {'s': 1.0}"),
        (6.0, "die power=False"),
        (7.0, "born"),
        (8.0, "flip empty 0.5"),
        (9.0, "tear runtime 0.5"),
        (9.0, "moment committing runtime"),
        (12.0, "die power=True"),
        (12.0, "born"),
    ]


async def test_the_wall_clock_steps_and_drifts_and_is_set_right() -> None:
    assert await did(
        fault("clock.step", "host", 1.0, 2.0, step_s=-1.5), fault("clock.drift", "host", 2.0, 2.0, ppm=500)
    ) == [(1.0, "step -1.5"), (2.0, "drift 500"), (3.0, "step 1.5"), (4.0, "drift 0")]


async def test_actors_are_hit_by_pattern_and_draw() -> None:
    puppets = Puppets(paths=["/a/x/1", "/a/y/1", "/a/y/2", "/b/x/1"])
    injector = Injector(puppets.chaos)
    await injector.run(
        plan_of(
            fault("actor.kill", "/a/*/1", 1.0, draw=0.0),
            fault("actor.crash", "/a/*/1", 2.0, draw=0.9),
            fault("actor.hold", "/a/*/2", 3.0, 1.5, draw=0.5),
            fault("actor.kill", "/c/*", 5.0, draw=0.5),
        )
    )
    assert [row for row in puppets.did if row[0] < 60] == [
        (1.0, "kill /a/x/1"),
        (2.0, "crash /a/y/1"),
        (3.0, "hold /a/y/2"),
        (4.5, "release /a/y/2"),
    ]
    assert [one.missed for one in injector.injected if one.missed] == ["nobody runs at /c/*"]


async def test_a_stall_holds_the_loop() -> None:
    assert await did(fault("process.stall", "host", 1.0, stall_s=0.25), host=False) == [(1.0, "stall 0.25")]


async def test_what_this_world_cannot_do_is_named_with_the_reason_and_not_tried() -> None:
    puppets = Puppets(host=False)
    injector = Injector(puppets.chaos)
    kinds = [kind for kind in CATALOGUE.values() if kind.not_in_real_time]
    of_links = {kind.name for kind in kinds if kind.on is Target.LINK}
    faults = [fault(kind.name, "rest" if kind.name in of_links else "host") for kind in kinds]
    await injector.run(plan_of(*faults, fault("link.cut", "moon")))
    assert injector.cannot == {
        **{kind.name: kind.not_in_real_time for kind in kinds},
        "link.cut": "there is no link 'moon'",
    }
    assert injector.counts == {}
    assert [row for row in puppets.did if row[0] < 60] == []


@pytest.mark.parametrize("name", CATALOGUE)
async def test_every_kind_of_the_catalogue_does_something(name: str) -> None:
    kind = CATALOGUE[name]
    params: dict[str, Value] = {
        key: "BTC/USD" if isinstance(param, Pair) else param.drawn(0.5) for key, param in kind.params.items()
    }
    target = "/accounts/*/trading/*" if kind.on is Target.ACTOR else Shape().targets(kind.on)[0]
    lasts_s = 2.0 if kind.lasts is not None else 0.0
    rows = await did(Fault(at_s=1.0, kind=name, target=target, params=params, lasts_s=lasts_s))
    assert rows[0][0] == 1.0


@pytest.mark.parametrize("seed", range(5))
async def test_a_plan_of_hell_is_over_when_it_says_and_leaves_everything_whole(seed: int) -> None:
    puppets = Puppets(paths=[WORKER])
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    injector, plan = Injector(puppets.chaos), make_plan(seed, "hell", 400.0)

    await injector.run(plan)

    assert loop.time() - began_s == pytest.approx(plan.quiet_from_s, abs=0.01)
    assert len(injector.injected) == len(plan.faults)
    assert sum(injector.counts.values()) + len([one for one in injector.injected if one.missed]) == len(
        plan.faults
    )
    last = {
        what.split()[0]: what for _, what in puppets.did if what.split()[0] in ("rest", "public", "private")
    }
    assert set(last.values()) <= {"rest whole", "public whole", "private whole"}
    assert puppets.did[-1][1] == "clear"


async def test_a_plan_that_is_interrupted_heals_too() -> None:
    puppets = Puppets()
    running = asyncio.create_task(
        Injector(puppets.chaos).run(plan_of(fault("link.half_open", "private", 1.0, 10.0)))
    )
    await asyncio.sleep(5.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [what for _, what in puppets.did][-2:] == ["private whole", "clear"]
