"""The guardian against the simulated Kraken, through ledgers, egress and its own key; cover is measured by the venue."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from tests.connections.rig import ACCOUNT, BTC, Rig, entry

from allstop.actors.commands import CoverView, GetCover, HaltProof, ProveHalt
from allstop.actors.cover_journal import RefJournal
from allstop.actors.guardian import Guardian, Pace, guardian_settings
from allstop.actors.intents import OrderIntent, OrderType, Side
from allstop.actors.ledger_messages import GetLedger, LedgerView
from allstop.actors.levels import IntentKind, Level, Vote
from allstop.actors.limits.kraken import Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.protocols.lookup import LOOPBACK
from allstop.actors.reports import Accepted, Rejected
from allstop.actors.simulated.kraken.counters import Tier as VenueTier
from allstop.actors.simulated.kraken.venue import Settings as VenueSettings

pytestmark = pytest.mark.virtual
both_balances = pytest.mark.parametrize("holds", [False, True], ids=["free balance", "stops hold balance"])


class CoverRig(Rig):
    """A trade desk that enters, and a guardian beside it."""

    def __init__(self, *, holds: bool = True, tier: Tier = Tier.PRO) -> None:
        self.pace = Pace(tier)
        super().__init__(tier=tier, venue=VenueSettings(stops_hold_balance=holds, tier=VenueTier(tier.value)))

    async def guard(self) -> None:
        guardian = self.system.address("/guardian")
        await self.system.spawn(
            Guardian,
            guardian_settings(*ACCOUNT, cover_s=2.0, timing=LOOPBACK, tier=self.tier),
            open_desk=lambda: self.desk(guardian, role="protect", lane=Lane.PROTECT),
            journal=RefJournal(self.journal),
            instruments={BTC.pair: BTC},
            board=self.levels,
            root=self.voter,
            gate=self.gate,
            pace=self.pace,
            path="/guardian",
        )
        self.guardian = guardian
        await self.until(lambda: self.proven("guardian"), 5.0)

    async def enter(self, intent: OrderIntent) -> str:
        await self.committed(intent)
        outcome = await self.desk().submit(intent, attempt=1, deadline_s=5.0)
        assert isinstance(outcome, Accepted), outcome
        return outcome.order_ids[0]

    async def view(self) -> CoverView:
        return await self.guardian.call(GetCover(), timeout_s=5.0)

    async def halt(self) -> HaltProof:
        return await self.guardian.call(ProveHalt(reason="test"), timeout_s=10.0)

    def uncovered_ms(self) -> float:
        """The venue's own measure: the longest time that the position stood without a full stop."""
        return self.truth()["cover"]["main"]["BTC/USD"]["uncovered_ms_max"]

    def position(self) -> Decimal:
        return Decimal(self.truth()["positions"].get("main", {}).get("BTC/USD", "0"))

    def open_orders(self) -> list[dict[str, Any]]:
        return [order for order in self.truth()["orders"].values() if order["open"]]

    def stops(self) -> Decimal:
        """How much the open stops would sell."""
        stops = [o for o in self.open_orders() if o["order_type"].startswith("stop")]
        return sum((Decimal(o["qty"]) - Decimal(o["filled"]) for o in stops), Decimal(0))


def market(qty: str = "0.01") -> OrderIntent:
    base = entry(qty=qty)
    return OrderIntent(
        pair=base.pair, side=Side.BUY, qty=base.qty, order_type=OrderType.MARKET, stop=base.stop
    )


D = Decimal


async def test_the_stop_that_the_venue_makes_is_cover_and_nothing_else_is_placed() -> None:
    async with CoverRig() as rig:
        await rig.guard()
        await rig.enter(market())
        await asyncio.sleep(5)
        (pair,) = (await rig.view()).pairs
        assert (pair.net, pair.state, len(rig.truth()["orders"])) == (D("0.01"), "covered", 2)


@both_balances
async def test_a_stop_that_the_venue_refused_to_make_is_placed_within_cover_s(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await rig.guard()
        rig.fault(kind="refuse_closes", n=1)
        await rig.enter(market())
        await rig.until(lambda: rig.stops() == D("0.01"), 2.0)
        assert 0 < rig.uncovered_ms() <= 2000
        assert rig.truth()["limits_broken"] == []


@both_balances
async def test_a_stop_whose_answer_is_lost_stands_once(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await rig.guard()
        rig.fault(kind="refuse_closes", n=1)
        await rig.enter(market())
        rig.fault(kind="drop_reply", method="AddOrder", n=1)
        await asyncio.sleep(8)
        assert (rig.stops(), rig.position()) == (D("0.01"), D("0.01"))
        assert rig.uncovered_ms() <= 2000


@both_balances
async def test_stops_refused_twice_end_in_a_flat_position_within_cover_s(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await rig.guard()
        rig.fault(kind="refuse_closes", n=1)
        await rig.enter(market())
        rig.fault(kind="error", method="AddOrder", text="EOrder:Insufficient funds", n=2)
        await rig.until(lambda: rig.position() == 0, 2.0)
        assert rig.uncovered_ms() <= 2000
        assert [o["side"] for o in rig.truth()["executions"]] == ["buy", "sell"]


@both_balances
async def test_an_exit_that_left_its_stop_behind_does_not_flip_the_position(holds: bool) -> None:
    async with CoverRig(holds=holds) as rig:
        await rig.guard()
        await rig.enter(market())
        await asyncio.sleep(1.5)
        exit_ = OrderIntent(
            pair=BTC.pair,
            side=Side.SELL,
            qty=D("0.004"),
            order_type=OrderType.MARKET,
            kind=IntentKind.REDUCE,
        )
        await rig.committed(exit_)
        outcome = await rig.desk().submit(exit_, attempt=1, deadline_s=5.0)
        if holds:  # the stop holds the coins: an exit has to amend it down first, and this one did not
            assert isinstance(outcome, Rejected)
            return
        await rig.until(lambda: rig.stops() == D("0.006"), 2.0)
        assert rig.position() == D("0.006")


async def test_a_killed_guardian_finds_its_stop_again() -> None:
    async with CoverRig() as rig:
        await rig.guard()
        rig.fault(kind="refuse_closes", n=1)
        await rig.enter(market())
        await rig.until(lambda: rig.stops() > 0, 2.0)
        rig.system.kill(rig.guardian)
        await rig.guard()
        await asyncio.sleep(4)
        (pair,) = (await rig.view()).pairs
        assert (rig.stops(), pair.state) == (D("0.01"), "covered")


async def test_stops_that_executed_while_the_guardian_was_down_are_counted() -> None:
    async with CoverRig() as rig:
        await rig.guard()
        await rig.enter(market())
        await asyncio.sleep(2)
        rig.system.kill(rig.guardian)
        rig.fault(kind="print", symbol="BTC/USD", price="23000")
        await asyncio.sleep(1)
        assert rig.position() == 0
        await rig.guard()
        await asyncio.sleep(4)
        assert (rig.position(), len(rig.open_orders())) == (D(0), 0)


async def test_a_halt_takes_the_entries_and_leaves_the_stops() -> None:
    async with CoverRig() as rig:
        await rig.guard()
        await rig.enter(market())
        for n in range(20):
            await rig.enter(entry(price=str(20000 + n), stop="19000"))
        rig.levels.cast(Vote("operator", (), Level.HALTED, "test"))
        proof = await rig.halt()
        assert (proof.canceled, proof.kept) == (20, 1)
        assert [o["order_type"] for o in rig.open_orders()] == ["stop-loss"]
        assert [r["method"] for r in rig.network_requests()].count("CancelOrderBatch") == 1
        assert rig.truth()["limits_broken"] == []


async def test_a_halted_account_is_still_covered() -> None:
    async with CoverRig() as rig:
        await rig.guard()
        rig.fault(kind="refuse_closes", n=1)
        await rig.enter(market())
        rig.levels.cast(Vote("operator", (), Level.HALTED, "test"))
        await rig.until(lambda: rig.stops() == D("0.01"), 2.0)


@pytest.mark.parametrize(("tier", "looks"), [(Tier.STARTER, 145), (Tier.INTERMEDIATE, 220), (Tier.PRO, 430)])
async def test_ten_minutes_of_watching_break_no_limit_of_the_venue(tier: Tier, looks: int) -> None:
    async with CoverRig(tier=tier) as rig:
        await rig.guard()
        await rig.enter(market())
        await rig.enter(entry())
        await asyncio.sleep(600)
        assert rig.truth()["limits_broken"] == []
        calls = [r["method"] for r in rig.network_requests() if r["key"] == "protect"]
        assert calls.count("OpenOrders") >= looks
        assert rig.history("guardian") == [True]


async def test_after_ten_minutes_on_the_smallest_tier_there_is_still_room_to_act() -> None:
    async with CoverRig(tier=Tier.STARTER) as rig:
        await rig.guard()
        await rig.enter(market())
        await asyncio.sleep(600)
        for order in rig.open_orders():
            await rig.desk().cancel((await rig.cancel(order["order_id"])).command_id, [order["order_id"]])
        await rig.until(lambda: rig.stops() == D("0.01"), 5.0)
        assert rig.truth()["limits_broken"] == []


async def test_a_guardian_that_is_killed_again_and_again_leaves_room_on_its_key() -> None:
    async with CoverRig() as rig:
        await rig.guard()
        await rig.enter(market())
        for _ in range(6):
            await asyncio.sleep(10)
            rig.system.kill(rig.guardian)
            await rig.guard()
        await asyncio.sleep(15)
        view: LedgerView = await rig.ledger.call(GetLedger(), timeout_s=1.0)
        assert view.rest[rig.key("protect").fingerprint] < 0.75 * 20
