"""How many entries a strategy may submit: beyond the cap it is stopped, until a person resets it."""

import asyncio

import pytest
from tests.orders.puppets import BASE, PAIR, House, entry, reduction

from allstop.actors import entry_caps
from allstop.actors.commands import UNNAMED, Place
from allstop.actors.entry_caps import GetStopped, ResetStrategy
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.protocols.records import IntentCommitted, StrategyStopped

pytestmark = pytest.mark.virtual

CAP = 5
RUNAWAY, SOBER = "/strategies/runaway", "/strategies/sober"
WHY = f"more than {CAP} entries in a second"


def capped(**given: object) -> House:
    return House(entries_max_per_s=CAP, **given)  # pyright: ignore[reportArgumentType]


async def submit(house: House, intent_id: str, by: str = RUNAWAY) -> RefusalCode | None:
    try:
        await house.orders.call(Place(intent=entry(intent_id), by=by))
    except Refused as refused:
        return refused.code
    return None


async def run_away(house: House) -> None:
    for n in range(CAP + 1):
        await submit(house, f"run{n}")


async def reset(house: House, strategy: str = RUNAWAY) -> object:
    return await house.orders.call(ResetStrategy(strategy=strategy, by="ann", reason="its loop is mended"))


async def test_so_many_entries_at_once_pass_and_the_next_one_is_refused_before_anything_is_written() -> None:
    async with capped() as house:
        assert [await submit(house, f"a{n}") for n in range(CAP)] == [None] * CAP
        assert await submit(house, "over") is RefusalCode.STRATEGY_STOPPED
        assert [record.intent.id for record in house.records(IntentCommitted)] == [
            f"a{n}" for n in range(CAP)
        ]
        assert await house.orders.call(GetStopped()) == {RUNAWAY: WHY}


async def test_the_cap_itself_is_kept_up_for_ever() -> None:
    async with capped() as house:
        for n in range(20 * CAP):
            assert await submit(house, f"a{n}") is None
            await asyncio.sleep(1 / CAP)
        assert await house.orders.call(GetStopped()) == {}


async def test_one_that_is_stopped_stays_so_however_long_it_waits() -> None:
    async with capped() as house:
        await run_away(house)
        await asyncio.sleep(3600)
        assert await submit(house, "later") is RefusalCode.STRATEGY_STOPPED


async def test_the_others_submit_as_before_and_who_names_nobody_is_counted_apart() -> None:
    async with capped() as house:
        await run_away(house)
        assert await submit(house, "sober", SOBER) is None
        assert await submit(house, "nobody", UNNAMED) is None


async def test_what_leaves_a_position_is_neither_counted_nor_stopped() -> None:
    async with capped() as house:
        for n in range(2 * CAP):
            await house.orders.call(Place(intent=reduction(f"out{n}"), by=RUNAWAY))
        assert await house.orders.call(GetStopped()) == {}
        await run_away(house)
        await house.orders.call(Place(intent=reduction("out"), by=RUNAWAY))


async def test_the_same_intent_again_is_the_same_order_and_no_further_one() -> None:
    async with capped() as house:
        assert [await submit(house, "same") for _ in range(3 * CAP)] == [None] * (3 * CAP)


async def test_an_entry_that_a_gate_refuses_does_not_count() -> None:
    async with capped() as house:
        house.gate.freeze(PAIR, "test", "a test")
        for n in range(3 * CAP):
            assert await submit(house, f"a{n}") is RefusalCode.INSTRUMENT_FROZEN
        house.gate.thaw(PAIR, "test")
        assert await submit(house, "now") is None


async def test_it_stays_stopped_when_orders_starts_again_and_in_the_next_process() -> None:
    async with capped() as house:
        await run_away(house)
        await asyncio.sleep(0.1)
        disk, venue = house.disk, house.venue
    async with capped(disk=disk, venue=venue) as house:
        assert await submit(house, "again") is RefusalCode.STRATEGY_STOPPED
        assert await house.orders.call(GetStopped()) == {RUNAWAY: WHY}


async def test_a_person_resets_it_by_name_with_a_reason_also_for_the_next_process() -> None:
    async with capped() as house:
        await run_away(house)
        assert await reset(house) is True
        assert house.records(StrategyStopped) == [
            StrategyStopped(strategy=RUNAWAY, held=True, by=f"{BASE}/trading/orders", reason=WHY),
            StrategyStopped(strategy=RUNAWAY, held=False, by="ann", reason="its loop is mended"),
        ]
        assert await submit(house, "mended") is None
        disk, venue = house.disk, house.venue
    async with capped(disk=disk, venue=venue) as house:
        assert await house.orders.call(GetStopped()) == {}


async def test_after_a_reset_it_is_counted_anew_and_stopped_again_if_it_must_be() -> None:
    async with capped() as house:
        await run_away(house)
        await reset(house)
        assert [await submit(house, f"b{n}") for n in range(CAP + 1)] == [
            *[None] * CAP, RefusalCode.STRATEGY_STOPPED,
        ]  # fmt: skip


async def test_nothing_is_reset_that_is_not_stopped() -> None:
    async with capped() as house:
        with pytest.raises(Refused, match=f"NOT_STOPPED: {SOBER} is not stopped"):
            await reset(house, SOBER)
        assert house.records(StrategyStopped) == []


async def test_a_strategy_that_calls_itself_something_else_each_time_does_not_get_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entry_caps, "NAMES_MAX", 20)
    async with capped() as house:
        for n in range(20):
            assert await submit(house, f"a{n}", f"/strategies/{n}") is None
        answers = [await submit(house, f"b{n}", f"/strategies/other{n}") for n in range(CAP + 1)]
        assert answers == [*[None] * CAP, RefusalCode.STRATEGY_STOPPED]
        assert await house.orders.call(GetStopped()) == {UNNAMED: WHY}


async def test_without_a_cap_nobody_is_stopped() -> None:
    async with House() as house:
        assert [await submit(house, f"a{n}") for n in range(300)] == [None] * 300
