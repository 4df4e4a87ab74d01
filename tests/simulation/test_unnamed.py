"""Orders that nobody named have ids that the seed made: neither the machine's clock nor its chance gets into a run."""

import os
import subprocess
import sys
from decimal import Decimal

import pytest
from tests.simulation.unnamed import outcome

from allstop.actors.clock import SeededIds
from allstop.actors.intents import OrderIntent, Side
from allstop.actors.runtime import Actor, ActorSystem
from allstop.actors.runtime.virtual_time import run_virtual
from allstop.supervisors.simulation.stage import Stage
from allstop.supervisors.simulation.trees import bare


def unnamed() -> OrderIntent:
    return OrderIntent(pair="BTC/USD", side=Side.BUY, qty=Decimal(1))


def ids_of(seed: int, count: int = 4) -> list[str]:
    ids = SeededIds(seed, lambda: 0)
    return [ids.new() for _ in range(count)]


class Maker(Actor):
    """Builds intents wherever an actor's code runs."""

    def on_start(self) -> None:
        self.made = [unnamed().id]

    def on_receive(self, message: object) -> object:
        if message == "made":
            return self.made
        self.made.append(unnamed().id)
        self.start_task(self._later(), "later")
        return None

    async def _later(self) -> None:
        self.made.append(unnamed().id)


class SlowMaker(Actor):
    async def on_receive(self, message: object) -> str:
        return unnamed().id


async def made_in(seed: int) -> list[str]:
    async with ActorSystem(ids=SeededIds(seed, lambda: 0)) as system:
        maker, slow = await system.spawn(Maker), await system.spawn(SlowMaker)
        await maker.call("make", timeout_s=1.0)
        slow_id = await slow.call("make", timeout_s=1.0)
        return [*await maker.call("made", timeout_s=1.0), slow_id]


@pytest.mark.virtual
async def test_an_intent_that_an_actor_builds_takes_its_id_from_the_actors_system() -> None:
    assert sorted(await made_in(1)) == sorted(ids_of(1))
    assert sorted(await made_in(2)) == sorted(ids_of(2))


@pytest.mark.virtual
async def test_outside_of_every_system_its_id_is_the_machines() -> None:
    async with ActorSystem(ids=SeededIds(1, lambda: 0)):
        ids = {unnamed().id for _ in range(3)}
    assert len(ids) == 3
    assert not ids & set(ids_of(1))


def test_on_a_stage_its_id_is_the_seeds_and_afterwards_the_machines() -> None:
    async def play(seed: int) -> tuple[str, str, list[str]]:
        async with Stage(bare(), seed=seed) as stage:
            inside = unnamed().id
            engines = [await stage.ask(engine_made()) for _ in range(2)]
        return inside, unnamed().id, engines

    async def engine_made() -> str:
        return unnamed().id

    one, again, other = (run_virtual(play(seed)) for seed in (7, 7, 8))
    assert (one[0], one[2]) == (again[0], again[2])
    assert one[0] != other[0]
    assert one[2] != other[2]
    assert one[1] != again[1]
    assert len({one[0], *one[2]}) == 3


made_in_fixtures: list[str] = []


@pytest.mark.simulated(seed=7)
@pytest.mark.parametrize("_again", range(2))
def test_in_a_test_with_a_world_its_id_is_the_seeds(world: object, _again: int) -> None:
    made_in_fixtures.append(unnamed().id)
    assert len(set(made_in_fixtures)) == 1


@pytest.mark.timeout(120)
def test_a_tree_that_names_no_order_has_one_digest_in_two_processes() -> None:
    assert outcome(1).submitted > 3, "it must place orders, or nothing was tried"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulation.unnamed", "1", "3"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4242")
    ]
    try:
        one, other = (process.communicate(timeout=100)[0] for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert len(one.splitlines()) == 3
    assert one == other
