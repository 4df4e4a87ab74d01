"""Exits against the simulated Kraken, through ledgers and egress; position and cover are the venue's own word."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from tests.connections.rig import BTC
from tests.cover.test_guardian_kraken import CoverRig, market

from allstop.actors.commands import BeginExit, OrderView
from allstop.actors.intents import OrderIntent, OrderType, Side, TimeInForce
from allstop.actors.journal import read
from allstop.actors.levels import IntentKind, Level, Origin, Vote
from allstop.actors.protocols.order_life import life_of
from allstop.actors.protocols.records import Withheld, from_row

pytestmark = pytest.mark.virtual
both_balances = pytest.mark.parametrize("holds", [False, True], ids=["free balance", "stops hold balance"])
D = Decimal
COVER_MS = 2000


def leaving(qty: str, limit: str | None = None) -> OrderIntent:
    return OrderIntent(
        id="exit-1", pair=BTC.pair, side=Side.SELL, qty=D(qty), kind=IntentKind.REDUCE,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=None if limit is None else D(limit),
        time_in_force=TimeInForce.GTC if limit is None else TimeInForce.IOC,
    )  # fmt: skip


async def entered(rig: CoverRig, parts: int = 1) -> None:
    """A covered position of 0.01, of so many entries."""
    await rig.guard()
    for _ in range(parts):
        await rig.enter(market(str(D("0.01") / parts)))
    await asyncio.sleep(2)
    assert rig.stops() == rig.position() == D("0.01")


async def leave(rig: CoverRig, intent: OrderIntent) -> OrderView:
    until_ns = rig.clock.wall_ns() + 2 * 10**9
    begin = BeginExit(intent=intent, origin=Origin.STRATEGY, until_ns=until_ns)
    return await rig.guardian.call(begin, timeout_s=5.0)


async def state(rig: CoverRig) -> str:
    life = life_of(from_row(row) for row in await read(rig.journal, key="exit-1"))
    assert life is not None
    return life.state


async def withheld(rig: CoverRig) -> str:
    """Why the exit was not sent."""
    told = [from_row(row) for row in await read(rig.journal, key="exit-1")]
    return next(record.reason for record in told if isinstance(record, Withheld))


def sent(rig: CoverRig) -> int:
    return sum(order["cl_ord_id"] == "exit-1" for order in rig.truth()["orders"].values())


def kept(rig: CoverRig, position: str) -> None:
    """What must hold after any exit, whatever happened."""
    truth = rig.truth()
    assert rig.stops() == rig.position() == D(position)
    assert not truth["limits_broken"]
    assert not truth["duplicates"]
    assert rig.uncovered_ms() <= COVER_MS
    assert sent(rig) <= 1
    assert not any(isinstance(told, Vote) for told in rig.votes)


@both_balances
@pytest.mark.parametrize("parts", [1, 4])
async def test_a_part_is_left_at_market_and_the_rest_has_its_stops(holds: bool, parts: int) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig, parts)
        await leave(rig, leaving("0.004"))
        await asyncio.sleep(4)
        kept(rig, "0.006")
        assert (await state(rig), [e["side"] for e in rig.truth()["executions"]][-1]) == ("FILLED", "sell")
        assert rig.uncovered_ms() < 500


@both_balances
async def test_all_of_it_is_left_and_no_stop_stays_behind(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig, 4)
        await leave(rig, leaving("0.01"))
        await asyncio.sleep(4)
        kept(rig, "0")
        assert rig.open_orders() == []


@both_balances
async def test_an_exit_that_would_use_up_the_order_rate_is_not_begun_and_all_stays_covered(
    holds: bool,
) -> None:
    """Cancelling a young stop costs eight of the pair's counter, and a counter that is full lets no stop back in."""
    async with CoverRig(holds=holds) as rig:
        await entered(rig, 20)
        await leave(rig, leaving("0.01"))
        await asyncio.sleep(8)
        kept(rig, "0.01")
        assert (await state(rig), sent(rig)) == ("NOT_PLACED", 0)
        assert "the order rate has no room to move the stops and cover again" in await withheld(rig)


@both_balances
async def test_an_exit_waits_within_its_time_to_live_until_the_order_rate_has_room(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig, 20)
        await leave(rig, msgspec.structs.replace(leaving("0.009"), ttl_s=60.0))
        await asyncio.sleep(0.5)
        assert (sent(rig), rig.stops()) == (0, D("0.01"))
        await asyncio.sleep(12)
        kept(rig, "0.001")
        assert (await state(rig), sent(rig)) == ("FILLED", 1)


@both_balances
async def test_an_ioc_that_meets_no_bid_leaves_everything_as_it_was(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig)
        await leave(rig, leaving("0.004", limit="90000"))
        await asyncio.sleep(4)
        kept(rig, "0.01")
        assert (await state(rig), sent(rig), len(rig.open_orders())) == ("CANCELED", 1, 1)


@both_balances
@pytest.mark.parametrize("method", ["AddOrder", "AmendOrder"])
async def test_a_lost_answer_is_looked_up_and_the_exit_is_not_sent_twice(holds: bool, method: str) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig)
        rig.fault(kind="drop_reply", method=method, n=1)
        await leave(rig, leaving("0.004"))
        await asyncio.sleep(12)
        done = method == "AddOrder"
        assert rig.stops() == rig.position() == D("0.006" if done else "0.01")
        assert (await state(rig), sent(rig)) == (("FILLED", 1) if done else ("NOT_PLACED", 0))


@both_balances
async def test_an_exit_that_the_venue_refuses_gives_the_stop_back(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig)
        rig.fault(kind="error", method="AddOrder", text="EOrder:Insufficient funds", n=1)
        await leave(rig, leaving("0.004"))
        await asyncio.sleep(4)
        kept(rig, "0.01")
        assert await state(rig) == "REJECTED"


@both_balances
async def test_stops_that_cannot_be_amended_end_the_exit_and_nothing_is_sent(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig)
        rig.fault(kind="error", method="AmendOrder", text="EOrder:Invalid order", n=2)
        await leave(rig, leaving("0.004"))
        await asyncio.sleep(4)
        kept(rig, "0.01")
        assert (await state(rig), sent(rig)) == ("NOT_PLACED", 0)


@both_balances
async def test_a_level_that_falls_at_the_last_moment_stops_the_exit_at_egress(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig)
        await leave(rig, leaving("0.004"))
        await rig.until(lambda: rig.stops() < D("0.01"), 1.0)
        rig.levels.cast(Vote("operator", (), Level.HALTED, "test"))
        await asyncio.sleep(4)
        assert rig.stops() == rig.position()
        assert rig.position() == (D("0.006") if sent(rig) else D("0.01"))
        assert rig.uncovered_ms() <= COVER_MS


@both_balances
@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.01, 0.03, 0.1, 0.3])
async def test_a_guardian_that_is_killed_during_an_exit_ends_covered_in_time(
    holds: bool, after_s: float
) -> None:
    async with CoverRig(holds=holds) as rig:
        await entered(rig)
        await leave(rig, leaving("0.004"))
        await asyncio.sleep(after_s)
        rig.system.kill(rig.guardian)
        await rig.guard()
        await asyncio.sleep(8)
        kept(rig, "0.006" if sent(rig) else "0.01")
        assert await state(rig) == ("FILLED" if sent(rig) else "NOT_PLACED")
