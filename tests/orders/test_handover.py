"""Exits at the door of `orders`: handed to the guardian, refused where they are none, and answered for afterwards."""

import asyncio
from decimal import Decimal

import pytest
from tests.orders.puppets import SCOPE, House, entry, reduction

from allstop.actors.commands import GetOrder, Place
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.handover import ANSWER_S, WAITING_MAX, Handover
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss, TimeInForce
from allstop.actors.journal import append
from allstop.actors.levels import Level, Origin, Vote
from allstop.actors.protocols.records import AttemptEnded, AttemptStarted, IntentCommitted, Terminal
from allstop.actors.reports import Accepted

pytestmark = pytest.mark.virtual


async def refused(house: House, intent: OrderIntent, origin: Origin = Origin.STRATEGY) -> RefusalCode:
    with pytest.raises(Refused) as caught:
        await house.orders.call(Place(intent=intent, origin=origin))
    return caught.value.code


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_type": OrderType.LIMIT, "limit_price": Decimal(100)},
        {"order_type": OrderType.LIMIT, "limit_price": Decimal(100), "post_only": True,
         "time_in_force": TimeInForce.IOC},
        {"order_type": OrderType.STOP_LOSS, "trigger_price": Decimal(90)},
        {"order_type": OrderType.TAKE_PROFIT, "trigger_price": Decimal(110)},
        {"stop": StopLoss(trigger_price=Decimal(110))},
        {"reduce_only": True},
    ],
)  # fmt: skip
async def test_an_exit_that_would_rest_or_has_a_stop_is_refused_and_nothing_is_sent(
    wrong: dict[str, object],
) -> None:
    async with House() as house:
        given = {"stop": None, **wrong}
        stop = given.pop("stop")
        intent = reduction("r", **given)
        if stop is not None:
            intent = entry("r", side=Side.SELL, kind=intent.kind, order_type=OrderType.MARKET, limit_price=None, stop=stop)  # fmt: skip
        assert await refused(house, intent) is RefusalCode.BAD_EXIT
        assert (house.guard.begun, house.strings.sent) == ([], [])


async def test_an_exit_is_the_guardians_and_is_never_sent_by_a_tracker() -> None:
    async with House() as house:
        limit = reduction(
            "l", order_type=OrderType.LIMIT, limit_price=Decimal(99), time_in_force=TimeInForce.IOC
        )
        for intent in (reduction("r"), limit):
            assert (await house.place(intent)).state == "INTENT"
        await asyncio.sleep(5)
        assert [begin.intent for begin in house.guard.begun] == [reduction("r"), limit]
        assert house.strings.sent == []


async def test_what_the_guardian_refuses_is_refused_and_may_be_tried_again() -> None:
    async with House() as house:
        house.guard.refuse = Refused(RefusalCode.EXCEEDS_POSITION, "flat")
        assert await refused(house, reduction("r")) is RefusalCode.EXCEEDS_POSITION
        assert await house.orders.call(GetOrder(intent_id="r")) is None
        house.guard.refuse = None
        assert (await house.place(reduction("r"))).state == "INTENT"


async def test_a_strategy_may_leave_at_read_only_and_not_from_emergency_on() -> None:
    async with House() as house:
        house.levels.cast(Vote("x", SCOPE, Level.READ_ONLY, "test"))
        await house.place(reduction("a"))
        house.levels.cast(Vote("x", SCOPE, Level.EMERGENCY, "test"))
        assert await refused(house, reduction("b")) is RefusalCode.LEVEL
        await house.orders.call(Place(intent=reduction("c"), origin=Origin.OPERATOR))
        assert [begin.intent.id for begin in house.guard.begun] == ["a", "c"]


async def test_the_same_exit_twice_is_one_exit_and_its_id_is_spent() -> None:
    async with House() as house:
        views = await asyncio.gather(house.place(reduction("r")), house.place(reduction("r")))
        assert [view.state for view in views] == ["INTENT", "INTENT"]
        assert await refused(house, reduction("r", qty=Decimal("0.5"))) is RefusalCode.INTENT_ID_REUSED
        assert await refused(house, entry("r")) is RefusalCode.INTENT_ID_REUSED
        assert len(house.guard.begun) == 1


async def test_an_exit_id_is_spent_from_the_moment_that_it_is_handed_over() -> None:
    async with House() as house:
        house.guard.mute = True
        exit_ = asyncio.ensure_future(house.place(reduction("r")))
        await asyncio.sleep(0.01)
        assert await refused(house, entry("r")) is RefusalCode.INTENT_ID_REUSED
        with pytest.raises(Refused, match="NOT_COMMITTED"):
            await exit_


async def test_a_guardian_that_does_not_answer_is_a_refusal_in_time() -> None:
    async with House() as house:
        house.guard.mute = True
        began_s = house.system.clock.now_s()
        assert await refused(house, reduction("r")) is RefusalCode.NOT_COMMITTED
        assert house.system.clock.now_s() - began_s < ANSWER_S + 0.1
        house.system.kill(house.guardian)
        assert await refused(house, reduction("r")) is RefusalCode.NOT_COMMITTED


async def test_entries_do_not_wait_for_an_exit() -> None:
    async with House() as house:
        house.guard.mute = True
        waiting = asyncio.ensure_future(house.place(reduction("r")))
        await house.place(entry("a"))
        await house.until("a", "NEW", within_s=0.5)
        with pytest.raises(Refused):
            await waiting


async def test_an_exit_is_answered_for_from_the_journal_also_after_a_restart() -> None:
    async with House() as house:
        await house.place(reduction("r"))
        await append(
            house.journal,
            [
                AttemptStarted(intent_id="r", attempt=1, channel="desk", deadline_s=0.5, at_ns=1),
                AttemptEnded(intent_id="r", attempt=1, outcome=Accepted(("O7",))),
                Terminal(intent_id="r", state="FILLED", evidence="the venue's report"),
            ],
        )
        assert await house.state("r") == "FILLED"
        house.crash()
    async with House(disk=house.disk, venue=house.venue) as house:
        assert await house.state("r") == "FILLED"
        assert (await house.place(reduction("r"))).state == "FILLED"
        assert await refused(house, reduction("r", qty=Decimal("0.5"))) is RefusalCode.INTENT_ID_REUSED
        assert house.guard.begun == []
        assert len(house.records(IntentCommitted)) == 1


async def test_no_more_exits_wait_than_the_guardian_can_have_pairs_for() -> None:
    async with House() as house:
        house.guard.mute = True
        asked = [asyncio.ensure_future(house.place(reduction("r")))]
        await asyncio.sleep(0.01)
        asked += [asyncio.ensure_future(house.place(reduction(f"r{n}"))) for n in range(WAITING_MAX + 1)]
        done, _ = await asyncio.wait(asked, timeout=0.5)
        (last,) = done
        assert isinstance(error := last.exception(), Refused)
        assert error.code is RefusalCode.RATE_LIMIT
        await asyncio.gather(*asked, return_exceptions=True)


def test_without_a_guardian_no_position_can_be_left() -> None:
    with pytest.raises(Refused, match="BAD_KIND"):
        Handover(None).give(None, lambda _: None)  # pyright: ignore[reportArgumentType]
