"""PartitionSupervisor: N copies, and a key always leads to the same one."""

import subprocess
import sys
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from tests.supervisors.puppets import Stage, settle

from allstop.actors.runtime import Actor, StartError
from allstop.actors.spec import AutoShutdown, ChildSpec, Start, Strategy, SupervisorFlags
from allstop.supervisors.errors import InvalidChildSpec, InvalidFlags
from allstop.supervisors.partition import PartitionSupervisor, partition_of, partitions_of
from allstop.supervisors.supervisor import count_children, which_children

pytestmark = [pytest.mark.virtual, pytest.mark.req("161")]


class Venue(Enum):
    KRAKEN = 1


class Shard(Actor):
    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def on_receive(self, message: Any) -> Any:
        return self.arguments if message == "arguments" else self.path


SHARD = ChildSpec("shard", Start(Shard, ("one",)))
FLAGS = SupervisorFlags(max_restarts=10)
KEYS = ["BTC/USD", b"x", 7, 7.5, Decimal("1.0"), None, True, Venue.KRAKEN, ("BTC/USD", 3, (Venue.KRAKEN,))]


def numbered(args: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    return (*args, number)


async def test_a_key_always_finds_the_same_copy_also_after_its_restart() -> None:
    stage = Stage()
    async with stage.system() as system:
        supervisor = await system.spawn(PartitionSupervisor, SHARD, 4, flags=FLAGS, path="/shards")
        shards = await partitions_of(supervisor)
        assert len(shards) == 4
        assert [ref.path for ref in shards.refs] == [f"/shards/{number}" for number in range(4)]
        before = [await shards[f"order-{number}"].call("who") for number in range(100)]
        assert set(before) == {ref.path for ref in shards.refs}  # all take part
        for ref in shards.refs:
            system.kill(ref)
            await settle()
            await ref.call("who")
        assert [await shards[f"order-{number}"].call("who") for number in range(100)] == before


def test_a_key_has_the_same_number_in_every_process() -> None:
    program = (
        "from allstop.supervisors.partition import partition_of; from decimal import Decimal\n"
        f"print([partition_of(key, 1000) for key in {KEYS[:7]!r}])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, env=None
    )
    assert told.stdout.strip() == str([partition_of(key, 1000) for key in KEYS[:7]])


def test_keys_of_all_kinds_are_spread_and_kept_apart() -> None:
    assert len({partition_of(key, 10**6) for key in KEYS}) == len(KEYS)
    shares = [0] * 8
    for number in range(8000):
        shares[partition_of(f"intent-{number}", 8)] += 1
    assert min(shares) > 700


@pytest.mark.parametrize("key", [object(), ["a"], {"a": 1}, ("a", object())])
def test_what_may_have_another_text_in_the_next_run_cannot_be_a_key(key: Any) -> None:
    with pytest.raises(TypeError, match="a partition key is"):
        partition_of(key, 4)


async def test_only_the_copy_that_died_is_restarted() -> None:
    stage = Stage()
    async with stage.system() as system:
        supervisor = await system.spawn(PartitionSupervisor, SHARD, 3, path="/shards")
        shards = await partitions_of(supervisor)
        system.kill(shards.refs[1])
        await settle()
        assert [ref.incarnation for ref in shards.refs] == [1, 2, 1]
        assert [child.id for child in await which_children(supervisor)] == [0, 1, 2]
        assert (await count_children(supervisor)).active == 3


async def test_each_copy_can_have_arguments_of_its_own() -> None:
    stage = Stage()
    async with stage.system() as system:
        supervisor = await system.spawn(
            PartitionSupervisor, SHARD, 2, with_arguments=numbered, path="/shards"
        )
        shards = await partitions_of(supervisor)
        assert [await ref.call("arguments") for ref in shards.refs] == [("one", 0), ("one", 1)]
        system.kill(shards.refs[1])
        await settle()
        assert await shards.refs[1].call("arguments") == ("one", 1)


@pytest.mark.parametrize("partitions", [0, -1, True, 2.0, "4", 5000])
async def test_a_number_of_partitions_that_cannot_be_is_refused(partitions: Any) -> None:
    async with Stage().system() as system:
        with pytest.raises(StartError) as refused:
            await system.spawn(PartitionSupervisor, SHARD, partitions)
        assert isinstance(refused.value.cause, InvalidFlags)
        assert refused.value.cause.code == "invalid_partitions"


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (SupervisorFlags(strategy=Strategy.ONE_FOR_ALL), "invalid_strategy"),
        (SupervisorFlags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT), "bad_combination"),
    ],
)
async def test_copies_are_restarted_one_by_one_and_none_is_significant(
    flags: SupervisorFlags, code: str
) -> None:
    async with Stage().system() as system:
        with pytest.raises(StartError) as refused:
            await system.spawn(PartitionSupervisor, SHARD, 2, flags=flags)
        assert isinstance(refused.value.cause, InvalidFlags)
        assert refused.value.cause.code == code


async def test_a_wrong_spec_is_refused_and_nothing_starts() -> None:
    async with Stage().system() as system:
        wrong = ChildSpec("shard", Start(Shard), shutdown=-1.0)
        with pytest.raises(StartError) as refused:
            await system.spawn(PartitionSupervisor, wrong, 2)
        assert isinstance(refused.value.cause, InvalidChildSpec)
        assert [info for info in system.actors() if info.actor_class is Shard] == []
