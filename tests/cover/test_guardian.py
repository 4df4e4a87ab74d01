"""The guardian on virtual time: every position gets its stop or is flattened, whatever fails meanwhile."""

import asyncio

import msgspec
import pytest
import structlog
from tests.cover.rig import CHAIN, Rig, rig
from tests.cover.toy_venue import PAIR, D, entry, fault

from allstop.actors.commands import BeginExit, Reports
from allstop.actors.errors import Category, Fault, Remedy
from allstop.actors.events import CoverChanged
from allstop.actors.guardian_settings import KeyState, Pace
from allstop.actors.intents import OrderIntent, OrderType, Side
from allstop.actors.journal import JournalActor
from allstop.actors.levels import IntentKind, Level, Origin, Vote
from allstop.actors.limits.kraken import LIMITS, REST_SHARES, Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.protocols.cover import CoverTimes
from allstop.actors.protocols.records import (
    CommandIntended,
    Filled,
    IntentCommitted,
    LookupDone,
    StopSeen,
    Withheld,
)
from allstop.actors.reports import Fill

pytestmark = pytest.mark.virtual
both_balances = pytest.mark.parametrize("holds", [False, True], ids=["free balance", "stops hold balance"])


async def test_a_covered_position_is_left_alone() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(10)
        assert (r.venue.submitted, r.naked(), r.level()) == ([], False, Level.NONE)


async def test_t042_three_partial_fills_have_three_stops_and_the_guardian_counts_them_all() -> None:
    async with rig() as r:
        order_id = await r.enter(entry(), fill="0.25")
        r.venue.fill(order_id, "0.5")
        await asyncio.sleep(1.5)
        r.venue.fill(order_id, "0.25")
        await asyncio.sleep(1.5)
        (pair,) = (await r.view()).pairs
        assert (pair.net, pair.state, pair.qty, len(r.venue.stops_open())) == (D(1), "covered", D(1), 3)
        assert r.venue.submitted == []


@both_balances
async def test_a_fill_without_a_stop_is_covered_in_time_without_any_stream(holds: bool) -> None:
    async with rig(stops_hold_balance=holds) as r:
        r.venue.makes_stops = False
        await r.enter(entry(), fill="1")
        took_s = await r.until(lambda: not r.naked(), 2.0)
        assert took_s <= 2.0
        assert [(i.order_type, i.trigger_price, i.kind) for i in r.venue.submitted] == [
            (OrderType.STOP_LOSS, D(90), IntentKind.PROTECT)
        ]


async def test_a_stop_that_became_a_flatten_between_two_slow_readings_is_not_read_for_a_third_time() -> None:
    async with rig(start=False) as r:
        r.venue.makes_stops = False
        await r.enter(entry(), fill="1")
        r.desk.latency_s = 0.95  # the key's counter is full: one call a second
        await r.start()
        await r.until(lambda: not r.naked(), 6.5)
        assert [(i.order_type, i.qty) for i in r.venue.submitted] == [(OrderType.MARKET, D(1))]


def test_a_key_that_stands_high_is_used_more_slowly_and_never_not_at_all() -> None:
    pace = Pace(Tier.PRO)
    assert pace.wait_s(0.0) == 0.0
    pace.found(
        KeyState(19.0), now_s=0.0
    )  # 15 are for looks: four calls of its own stay for what a look finds
    assert pace.wait_s(0.0) == pytest.approx(2.0)
    pace.found(KeyState(14.5), now_s=0.0)
    assert pace.wait_s(0.0) == pytest.approx(0.5)
    pace.found(KeyState(14.0), now_s=0.0)
    assert pace.wait_s(0.0) == 0.0


@pytest.mark.parametrize("tier", list(Tier))
def test_routine_looks_yield_to_others_who_wait_for_the_key_and_do_not_stop(tier: Tier) -> None:
    limits = LIMITS[tier]
    others_max = limits.rest_max * REST_SHARES[Lane.QUERY]
    alone, shared = Pace(tier), Pace(tier)
    alone.found(KeyState(others_max), now_s=0.0)
    shared.found(KeyState(others_max, wanted=True), now_s=0.0)
    assert alone.wait_s(0.0) == 0.0
    assert shared.wait_s(0.0) == pytest.approx(4 / limits.rest_decay_per_s)  # three of four calls are theirs
    assert shared.urgent_wait_s(0.0) == 0.0, "what is found is confirmed at once"
    shared.spent(2, now_s=0.0)
    shared.found(KeyState(others_max + 4, wanted=True), now_s=0.0)
    assert shared.wait_s(0.0) == pytest.approx(8 / limits.rest_decay_per_s), "a full reading is two calls"
    shared.found(KeyState(others_max - 4, wanted=True), now_s=0.0)
    assert shared.wait_s(0.0) == 0.0, "there is room for a round of theirs, and for a look"


@pytest.mark.parametrize("tier", list(Tier))
def test_routine_looks_alone_leave_the_key_the_calls_that_confirm_what_they_find(tier: Tier) -> None:
    pace, now_s = Pace(tier), 0.0
    for _ in range(200):
        now_s += pace.wait_s(now_s) + 0.01
        pace.spent(1, now_s)
        assert pace.urgent_wait_s(now_s) == 0.0


async def test_the_guardian_asks_again_and_again_how_far_its_key_is_used_up() -> None:
    asked: list[float] = []

    async def level() -> KeyState:
        asked.append(19.0)
        return KeyState(19.0)

    async with rig(start=False) as r:
        r.key_state = level
        await r.enter(entry(), fill="1")
        await r.start()
        await asyncio.sleep(10)
        slow = len(r.desk.calls)
    assert len(asked) > 3
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(10)
        assert slow < len(r.desk.calls)


async def test_a_limit_that_the_venue_says_is_reached_is_no_refusal_of_the_stop_it_is_tried_again_without_reading() -> (
    None
):
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.extend([fault("EOrder:Rate limit exceeded", Category.RATE)] * 4)
        await r.enter(entry(), fill="1")
        reads = len(r.desk.calls)
        await r.until(lambda: not r.naked(), 4.0)
        assert r.venue.covered() == D(1), "a stop, and no flatten"
        assert len(r.desk.calls) - reads <= 14  # five of them the stop; by reading each time it were thirty
        assert r.level() is not Level.HALTED


async def test_a_market_that_takes_nothing_for_a_while_is_covered_when_it_does_and_nobody_halts() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.extend([fault("EService:Market in cancel_only mode", Category.MARKET)] * 40)
        await r.enter(entry(), fill="1")
        await asyncio.sleep(6)
        assert r.naked()
        assert "abandoned" not in r.states()
        r.venue.refusals.clear()
        assert await r.until(lambda: not r.naked(), 2.0) < 1.0


async def test_what_the_stream_told_needs_one_reading_and_no_second() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        order_id = await r.enter(entry())
        await asyncio.sleep(1.2)
        r.venue.fill(order_id, "1")
        r.desk.latency_s = 0.5
        r.stream()
        assert (
            await r.until(lambda: not r.naked(), 2.0) < 1.8
        )  # two questions and the stop; else it were three


async def a_stop_that_the_stream_told_is_refused(r: Rig, *, told: str) -> str:
    """An execution, and its stop that the venue makes and at once cancels, on a link that has become slow. `told`: of
    which the stream tells."""
    order_id = await r.enter(entry())
    await asyncio.sleep(1.2)
    r.venue.fill(order_id, "1")
    [stop] = r.venue.stops_open()
    r.venue.cancel(stop.order_id)
    r.desk.latency_s = 0.9
    r.desk.calls.clear()
    r.guardian.tell(Reports(reports=tuple(r.venue.orders[i] for i in r.venue.orders if told in ("all", i))))
    await r.until(lambda: bool(r.venue.submitted), 5.0)
    return ", ".join(r.desk.calls[: r.desk.calls.index("submit") + 1])


async def test_a_stop_that_the_stream_told_to_be_gone_needs_no_more_than_a_glance_at_the_open_orders() -> (
    None
):
    """What closed can say nothing new, and on a slow link the question alone made it late (bad-day, seed 721)."""
    async with rig() as r:
        began_s = r.system.clock.now_s()
        assert await a_stop_that_the_stream_told_is_refused(r, told="all") == "open, submit"
        assert r.system.clock.now_s() - began_s - 1.2 < 2.2
        assert not r.naked()


async def test_an_execution_of_whose_stop_the_stream_tells_nothing_needs_a_full_reading() -> None:
    """The stop may have been made, and may have executed, too: a list of what is open would not show it."""
    async with rig() as r:
        calls = await a_stop_that_the_stream_told_is_refused(r, told="O00001")
        assert calls == "open, closed, submit"


async def test_a_stop_that_executed_unseen_is_not_placed_a_second_time() -> None:
    async with rig() as r:
        order_id = await r.enter(entry())
        await asyncio.sleep(1.2)
        r.venue.fill(order_id, "1")
        r.venue.trigger_all_stops()
        r.guardian.tell(Reports(reports=(r.venue.orders[order_id],)))
        await asyncio.sleep(5)
        assert (r.venue.submitted, r.venue.flips, r.venue.position()) == ([], 0, D(0))


async def three_stops_lost(r: Rig) -> list[str]:
    """What the guardian asks and does from the first stop on that it places for three that are gone."""
    for n in range(3):
        await r.enter(entry(f"entry-{n}"), fill="1")
    await asyncio.sleep(3)
    r.desk.calls.clear()
    for stop in r.venue.stops_open():
        r.venue.cancel(stop.order_id)
    await r.until(lambda: not r.naked(), 2.0)
    assert (r.venue.covered(), len(r.venue.submitted)) == (D(3), 3)
    return r.desk.calls[r.desk.calls.index("submit") :]


async def test_of_stops_that_are_missing_together_only_the_first_is_confirmed_by_two_readings() -> None:
    async with rig() as r:
        assert await three_stops_lost(r) == ["submit", "open", "submit", "open", "submit"]


async def test_stops_that_are_missing_together_cost_no_reading_where_the_stream_tells_of_each() -> None:
    async with rig() as r:
        takes = r.venue.submit

        def submit(intent: OrderIntent) -> Fault | str:
            made = takes(intent)
            r.stream()
            return made

        r.venue.submit = submit
        assert await three_stops_lost(r) == ["submit", "submit", "submit"]


async def test_a_position_that_grows_between_two_of_its_stops_is_read_twice_again() -> None:
    async with rig() as r:
        takes = r.venue.submit

        def submit(intent: OrderIntent) -> Fault | str:
            made = takes(intent)
            if len(r.venue.submitted) == 1:
                r.venue.makes_stops = False
                r.venue.fill(r.venue.place(entry("entry-9")), "1")
            return made

        r.venue.submit = submit
        await r.intend(entry("entry-9"))
        for n in range(2):
            await r.enter(entry(f"entry-{n}"), fill="1")
        await asyncio.sleep(3)
        r.desk.calls.clear()
        for stop in r.venue.stops_open():
            r.venue.cancel(stop.order_id)
        await r.until(lambda: not r.naked(), 3.0)
        first, second = [i for i, call in enumerate(r.desk.calls) if call == "submit"][:2]
        assert r.desk.calls[first + 1 : second].count("open") == 2
        assert (r.venue.position(), r.venue.covered()) == (D(3), D(3))


async def test_while_the_outcome_of_an_amend_cannot_be_told_yet_nothing_is_asked_for_it() -> None:
    async with rig(poll_s=60.0, idle_poll_s=60.0) as r:
        await r.enter(entry(), fill="1")
        await r.enter(entry("exit", qty="0.4", stop="120", side=Side.SELL))
        await asyncio.sleep(2)
        r.venue.makes_stops = False
        r.desk.lose = 1
        r.venue.fill("O00003", "0.4")
        r.stream()
        await r.until(lambda: "amend" in r.desk.calls, 3.0)
        r.desk.calls.clear()
        await asyncio.sleep(r.settings.timing.quiet_s - 0.1)
        assert r.desk.calls.count("closed") == 0
        await asyncio.sleep(1)
        assert r.desk.calls.count("closed") >= 1


async def test_a_flatten_of_all_is_the_same_finding_as_a_stop_of_a_part_whose_time_ran_out() -> None:
    """Of two entries whose stops are gone the first gets its own; while the second reading was under way the time for
    stops was over, and all of it was to be sold: that was read for a third and a fourth time (bad-day, seed 895)."""
    async with rig() as r:
        for n in range(2):
            await r.enter(entry(f"entry-{n}"), fill="1")
        await asyncio.sleep(3)
        r.desk.latency_s = 0.5
        r.desk.calls.clear()
        for stop in r.venue.stops_open():
            r.venue.cancel(stop.order_id)
        await r.until(lambda: bool(r.venue.submitted), 6.0)
        assert [(i.order_type, i.qty) for i in r.venue.submitted] == [(OrderType.MARKET, D(2))]
        assert r.desk.calls[: r.desk.calls.index("submit")].count("closed") == 2


async def test_no_reading_goes_before_the_guardians_own_write() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        await r.enter(entry(), fill="1")
        r.desk.latency_s = 0.3
        await r.until(lambda: not r.naked(), 4.0)
        placed = next(i for i, call in enumerate(r.desk.calls) if "submit" in str(call))
        assert "closed" in str(r.desk.calls[placed - 1])


async def test_the_stream_makes_it_faster() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        order_id = await r.enter(entry())
        await asyncio.sleep(1.2)
        r.venue.fill(order_id, "1")
        r.stream()
        assert await r.until(lambda: not r.naked(), 2.0) < 0.6


async def test_a_stream_that_tells_nothing_new_costs_no_calls() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(2)
        r.desk.calls.clear()
        for _ in range(50):
            r.stream()
            await asyncio.sleep(0.01)
        assert len(r.desk.calls) <= 3


async def test_a_fill_that_the_stream_tells_before_its_stop_costs_no_reading() -> None:
    async with rig(poll_s=60.0, idle_poll_s=60.0) as r:
        order_id = await r.enter(entry())
        r.stream()
        await asyncio.sleep(1)
        r.desk.calls.clear()
        r.venue.fill(order_id, "1")
        r.guardian.tell(Reports(reports=(r.venue.orders[order_id],)))
        await asyncio.sleep(0.05)
        r.stream()
        await asyncio.sleep(5)
        assert r.desk.calls == []


async def test_t036_a_position_found_naked_at_the_start_is_covered_before_any_entry_may_pass() -> None:
    async with rig(start=False) as r:
        r.venue.makes_stops = False
        await r.enter(entry(), fill="1")
        await asyncio.sleep(60)  # the process was dead between the fill and the stop
        await r.start()
        assert r.proofs == []
        await r.until(lambda: not r.naked(), 2.0)
        assert r.venue.submitted[0].trigger_price == D(90)
        assert not any(p.holds for p in r.proofs)
        await r.until(lambda: bool(r.proofs) and r.proofs[-1].holds, 3.0)


async def test_t037_a_stop_refused_once_is_corrected() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.append(fault("EOrder:Tick size check failed", Category.VALID))
        await r.enter(entry(stop="90.1"), fill="1")
        await r.until(lambda: not r.naked(), 2.0)
        assert [i.trigger_price for i in r.venue.submitted] == [D("90.1"), D(91)]


@both_balances
async def test_t037_a_stop_refused_twice_flattens_exactly_what_is_uncovered(holds: bool) -> None:
    async with rig(stops_hold_balance=holds) as r:
        order_id = await r.enter(entry(), fill="0.4")
        r.venue.makes_stops = False
        r.venue.refusals.extend([fault("EOrder:Insufficient funds", Category.FUNDS)] * 2)
        r.venue.fill(order_id, "0.6")
        await r.until(lambda: not r.naked(), 2.0)
        assert (r.venue.position(), r.venue.covered()) == (D("0.4"), D("0.4"))
        assert r.venue.submitted[-1].order_type is OrderType.MARKET


async def test_t037_when_neither_stop_nor_flatten_can_be_had_the_vote_is_halt() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.extend([fault("EOrder:Insufficient funds", Category.FUNDS)] * 20)
        await r.enter(entry(), fill="1")
        await r.until(lambda: r.level() is Level.HALTED, 4.0)
        assert "abandoned" in r.states()
        r.venue.refusals.clear()
        await r.until(lambda: not r.naked(), 6.0)
        assert r.level() is Level.HALTED, "only a person lifts it"


async def test_t037_what_failed_altogether_is_tried_again_within_cover_s_and_then_more_rarely() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.extend([fault("EOrder:Insufficient funds", Category.FUNDS)] * 4)
        order_id = await r.enter(entry())
        await asyncio.sleep(1.2)
        r.venue.fill(order_id, "1")
        r.stream()
        assert await r.until(lambda: not r.naked(), 4.0) <= r.settings.times.cover_s
    times = CoverTimes.within(2.0)
    assert [times.again_s(n) for n in (1, 2, 3)] == [1.0, 2.0, 2.0]


async def test_t038_a_stop_that_would_trigger_at_once_is_flattened_and_not_tried_again() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.append(fault("EOrder:Invalid price", Category.VALID))
        await r.enter(entry(), fill="1")
        await r.until(lambda: r.venue.position() == 0, 2.0)
        assert [i.order_type for i in r.venue.submitted] == [OrderType.STOP_LOSS, OrderType.MARKET]


async def test_t044_a_triggered_stop_limit_that_hangs_is_replaced_by_a_market_order() -> None:
    async with rig() as r:
        order_id = await r.enter(entry(), fill="1")
        await asyncio.sleep(1.5)
        (stop,) = r.venue.stops_open()
        r.venue.set(stop, order_type=OrderType.STOP_LOSS_LIMIT, triggered=True)
        await r.until(lambda: r.venue.position() == 0, 4.0)
        assert (r.venue.stops_open(), r.venue.flips) == ([], 0)
        assert order_id in r.venue.closed_ns


@pytest.mark.parametrize("with_stream", [True, False])
async def test_stops_that_somebody_else_cancelled_are_told_once_and_those_that_we_move_are_not(
    with_stream: bool,
) -> None:
    def gone() -> list[object]:
        return [line["orders"] for line in logs if line["event"] == "guardian.stops_gone"]

    with structlog.testing.capture_logs() as logs:
        async with rig() as r:
            if with_stream:
                r.stream()
            await r.enter(entry(), fill="1")
            await asyncio.sleep(6)
            (stop,) = r.venue.stops_open()
            r.venue.cancel(stop.order_id)
            await r.until(lambda: r.venue.covered() == 1, 3.0)
            await asyncio.sleep(6)
            assert gone() == [[stop.order_id]]
            exit_ = OrderIntent(
                id="e",
                pair=PAIR,
                side=Side.SELL,
                qty=D("1"),
                kind=IntentKind.REDUCE,
                order_type=OrderType.MARKET,
            )
            until_ns = r.system.clock.wall_ns() + 2 * 10**9
            await r.guardian.call(
                BeginExit(intent=exit_, origin=Origin.STRATEGY, until_ns=until_ns), timeout_s=5.0
            )
            await r.until(lambda: r.venue.position() == 0, 3.0)
            await asyncio.sleep(6)
            assert gone() == [[stop.order_id]]


async def test_stops_on_a_venue_that_matches_nothing_are_told_once_and_again_when_it_does() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(1.5)
        r.matching = False
        await asyncio.sleep(10)
        (pair,) = (await r.view()).pairs
        assert (pair.state, pair.qty, pair.step) == ("unmatched", 1, "Rest")
        r.matching = True
        await asyncio.sleep(1.5)
        assert (await r.view()).pairs[0].state == "covered"
        changes = [event.state for event in r.events if isinstance(event, CoverChanged)]
        assert changes == ["unmatched", "covered"]


async def test_a_stop_is_not_tried_while_the_venue_takes_no_orders_on_its_pair_and_placed_when_it_does() -> (
    None
):
    """What is tried then is unknown, and searched for, for longer than cover_s after the venue is back (simulated seeds
    1291 and 1395)."""
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(1.5)
        r.taking = False
        (stop,) = r.venue.stops_open()
        r.venue.cancel(stop.order_id)
        submitted = len(r.venue.submitted)
        await asyncio.sleep(20)
        assert (r.naked(), len(r.venue.submitted)) == (True, submitted)
        assert {vote.level for vote in r.votes} == {Level.EMERGENCY}
        r.taking = True
        assert await r.until(lambda: not r.naked(), 1.0) <= 1.0
        (again,) = r.venue.stops_open()  # a stop, and no sale at any price: nothing but the venue was late
        assert (again.trigger_price, again.leaves_qty) == (stop.trigger_price, stop.leaves_qty)


async def test_a_flat_pair_on_a_venue_that_matches_nothing_is_covered() -> None:
    async with rig() as r:
        r.matching = False
        await r.enter(entry())
        await asyncio.sleep(3)
        assert [pair.state for pair in (await r.view()).pairs] == ["covered"]


async def test_a_stop_limit_has_its_time_to_fill_from_the_reopening_on() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(1.5)
        (stop,) = r.venue.stops_open()
        r.matching = False
        r.venue.set(stop, order_type=OrderType.STOP_LOSS_LIMIT, triggered=True)
        await asyncio.sleep(30)
        assert ([o.order_id for o in r.venue.stops_open()], r.venue.submitted) == ([stop.order_id], [])
        r.matching = True
        await r.until(lambda: r.venue.position() == 0, 4.0)
        assert (r.venue.stops_open(), r.venue.flips) == ([], 0)


@both_balances
async def test_t046_a_stop_whose_answer_was_lost_is_found_and_not_placed_twice(holds: bool) -> None:
    async with rig(stops_hold_balance=holds) as r:
        r.venue.makes_stops = False
        r.desk.lose = 1
        await r.enter(entry(), fill="1")
        await asyncio.sleep(5)
        assert (len(r.venue.submitted), r.venue.covered(), r.level()) == (1, D(1), Level.NONE)


async def test_a_stop_that_never_arrived_is_proven_absent_before_the_next_write() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.desk.eat = 1
        await r.enter(entry(), fill="1")
        await r.until(lambda: not r.naked(), 4.0)
        kinds = [type(rec) for rec in await r.records()]
        assert kinds.index(LookupDone) < [i for i, k in enumerate(kinds) if k is IntentCommitted][2]
        assert len(r.venue.submitted) == 1


async def test_t049_an_unanswered_flatten_is_resolved_before_a_second_one() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.append(fault("EOrder:Invalid price", Category.VALID))
        await r.enter(entry(), fill="1")
        await r.until(lambda: len(r.venue.submitted) == 1, 2.0)
        r.desk.lose = 1
        await asyncio.sleep(6)
        assert [i.order_type for i in r.venue.submitted] == [OrderType.STOP_LOSS, OrderType.MARKET]
        assert (r.venue.position(), r.venue.flips) == (D(0), 0)


async def test_t047_a_guardian_killed_in_the_middle_of_a_stop_does_not_place_it_again() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.desk.lose = 1
        await r.enter(entry(), fill="1")
        await r.until(lambda: len(r.venue.submitted) == 1, 2.0)
        r.kill()
        await r.start()
        await r.until_audited()
        await asyncio.sleep(4)
        assert (len(r.venue.submitted), r.venue.covered()) == (1, D(1))
        assert (await r.view()).unresolved == ()


async def test_t047_a_guardian_killed_before_its_stop_was_sent_places_it_under_a_new_id() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.desk.eat = 1
        await r.enter(entry(), fill="1")
        await r.until(lambda: "submit" in r.desk.calls, 2.0)
        await asyncio.sleep(0.1)
        r.kill()
        await r.start()
        await r.until(lambda: not r.naked(), 4.0)
        own = [rec.intent.id for rec in await r.records() if isinstance(rec, IntentCommitted)][1:]
        assert len(set(own)) == len(own) == 2
        assert len(r.venue.submitted) == 1


async def test_t047_a_flatten_of_an_earlier_life_that_never_arrived_costs_two_searches_and_then_is_covered() -> (
    None
):
    """No reading between them that can tell nothing, and none after them to see again what both of them saw."""
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.append(fault("EOrder:Invalid price", Category.VALID))
        await r.enter(entry(), fill="1")
        await r.until(lambda: len(r.venue.submitted) == 1, 2.0)
        r.desk.eat = 1
        await r.until(lambda: r.desk.calls.count("submit") == 2, 2.0)
        await asyncio.sleep(0.1)
        r.kill()
        r.desk.calls.clear()
        await r.start()
        took_s = await r.until(lambda: not r.naked(), 3.0)
        search = ["open", "closed"]
        assert r.desk.calls == [*search, *search, *search, "submit"]
        assert took_s < 1.6


async def test_t047_the_proof_is_told_only_after_a_complete_audit() -> None:
    async with rig(start=False) as r:
        r.desk.blind = True
        await r.start()
        await asyncio.sleep(3)
        assert r.proofs
        assert not any(p.holds for p in r.proofs)
        r.desk.blind = False
        await r.until_audited()
        assert {p.name for p in r.proofs} == {"guardian"}


async def test_an_execution_that_happened_while_nobody_ran_is_not_forgotten_after_two_restarts() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(3)
        r.venue.trigger_all_stops()
        await asyncio.sleep(3)
        assert any(isinstance(rec, StopSeen) and rec.report.cum_qty == 1 for rec in await r.records())
        r.kill()
        await asyncio.sleep(3600)  # longer than any overlap: only the journal knows of that stop now
        await r.intend(entry("later"))
        await r.start()
        await r.until_audited()
        await asyncio.sleep(3)
        assert (r.venue.position(), r.venue.submitted) == (D(0), [])


async def test_t051_stops_cancelled_by_another_hand_are_placed_again() -> None:
    async with rig() as r:
        order_id = await r.enter(entry(), fill="0.5")
        r.venue.fill(order_id, "0.5")
        await asyncio.sleep(3)
        for stop in r.venue.stops_open():
            r.venue.cancel(stop.order_id)
        await r.until(lambda: not r.naked(), 2.0)
        assert (r.venue.covered(), r.venue.flips) == (D(1), 0)


async def test_a_stop_larger_than_the_position_is_amended_down_so_that_it_cannot_flip_it() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        leaving = entry("exit", qty="0.4", stop="120", side=Side.SELL)
        await r.enter(leaving)
        r.venue.makes_stops = False
        r.venue.fill("O00003", "0.4")
        await r.until(lambda: not r.naked(), 2.0)
        assert (r.venue.covered(), "amend" in r.desk.calls) == (D("0.6"), True)
        r.venue.trigger_all_stops()
        assert (r.venue.position(), r.venue.flips) == (D(0), 0)


async def test_stops_of_a_position_that_is_gone_are_cancelled() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await r.enter(entry("exit", stop="120", side=Side.SELL))
        r.venue.makes_stops = False
        r.venue.fill("O00003", "1")
        await r.until(lambda: r.venue.stops_open() == [], 2.0)
        assert r.venue.submitted == []


async def test_an_amend_whose_answer_was_lost_is_read_back_and_not_repeated() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await r.enter(entry("exit", qty="0.4", stop="120", side=Side.SELL))
        r.venue.makes_stops = False
        r.desk.lose = 1
        r.venue.fill("O00003", "0.4")
        await asyncio.sleep(6)
        assert (r.venue.covered(), r.desk.calls.count("amend")) == (D("0.6"), 1)


async def test_a_fill_between_two_questions_of_one_reading_is_not_taken_for_a_missing_stop() -> None:
    times = CoverTimes(settle_s=0.0)
    async with rig(times=times) as r:
        order_id = await r.enter(entry())
        r.venue.makes_stops = False
        r.venue.fill(order_id, "0.5")
        r.venue.makes_stops = True

        def fill_at_the_second_closed() -> None:
            r.desk.before["closed"] = lambda: r.venue.fill(order_id, "0.5")

        r.desk.before["closed"] = fill_at_the_second_closed
        await asyncio.sleep(5)
        assert [i.qty for i in r.venue.submitted] == [D("0.5")]
        assert "amend" not in r.desk.calls


async def test_dust_is_listed_and_left() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        await r.enter(entry(), fill="0.00005")
        await asyncio.sleep(5)
        (pair,) = (await r.view()).pairs
        assert (pair.state, pair.qty, r.venue.submitted) == ("dust", D("0.00005"), [])


async def test_t113_a_position_made_by_hand_is_external_counted_and_not_touched() -> None:
    async with rig() as r:
        by_hand = r.venue.place(entry("by-hand"))
        r.venue.makes_stops = False
        r.venue.fill(by_hand, "0.5")
        await asyncio.sleep(12)
        view = await r.view()
        assert view.external == (by_hand,)
        assert (r.venue.submitted, r.desk.batches) == ([], [])


async def test_an_order_that_was_not_sent_is_tried_again_as_a_new_intent() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.desk.unsent = 1
        await r.enter(entry(), fill="1")
        await r.until(lambda: not r.naked(), 2.0)
        assert any(isinstance(rec, Withheld) for rec in await r.records())
        assert len(r.venue.submitted) == 1


async def test_a_refused_nonce_counts_as_no_only_after_one_lookup() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.venue.refusals.append(fault("EAPI:Invalid nonce", Category.SESSION, Remedy.RENONCE))
        await r.enter(entry(), fill="1")
        await r.until(lambda: not r.naked(), 2.0)
        assert [type(rec) for rec in await r.records()].count(LookupDone) == 1


# -- levels, votes, measures


@pytest.mark.parametrize("level", [Level.READ_ONLY, Level.EMERGENCY, Level.HALTED])
async def test_no_level_stops_the_guardian(level: Level) -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        await r.enter(entry(), fill="1")
        r.board.cast(Vote("operator", (), level, "test"))
        await r.until(lambda: not r.naked(), 2.0)


async def test_a_position_uncovered_for_too_long_is_an_emergency_until_it_is_covered() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.desk.unsent = 1000
        await r.enter(entry(), fill="1")
        await r.until(lambda: r.level() is Level.EMERGENCY, 4.0)
        r.desk.unsent = 0
        await r.until(lambda: r.level() is Level.NONE, 4.0)
        assert not r.naked()
        assert (await r.view()).uncovered_ms_max > 2000


async def test_time_without_the_venue_is_counted_apart() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        r.desk.unsent = 1000
        await r.enter(entry(), fill="1")
        await r.until(lambda: "uncovered" in r.states(), 2.0)
        r.desk.blind = True
        await asyncio.sleep(30)
        r.desk.blind, r.desk.unsent = False, 0
        await r.until(lambda: not r.naked(), 3.0)
        await asyncio.sleep(1)
        view = await r.view()
        assert view.uncovered_unreachable_ms > 25_000
        assert view.uncovered_ms_max < 5_000
        assert r.venue.submitted[0].order_type is OrderType.STOP_LOSS, "an outage is no reason to sell"


async def test_a_venue_that_cannot_be_read_withdraws_the_proof() -> None:
    async with rig() as r:
        r.desk.blind = True
        r.proofs.clear()
        await r.until(lambda: bool(r.proofs) and not r.proofs[-1].holds, 6.0)


# -- the journal


async def test_every_write_is_in_the_journal_before_the_venue_has_it() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        seen: list[bool] = []
        submit = r.venue.submit

        def spy(intent):  # type: ignore[no-untyped-def]
            seen.append(
                any(row.kind == "intent" and row.key == intent.id for row in r.disk.rows("kraken.main"))
            )
            return submit(intent)

        r.venue.submit = spy
        await r.enter(entry(), fill="1")
        await r.until(lambda: not r.naked(), 2.0)
        assert seen == [True]


async def test_t103_with_a_lost_journal_stops_are_still_placed_and_entries_still_cancelled() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        order_id = await r.enter(entry())
        await r.enter(entry("other"))
        r.disk.fail_next_commit("kraken.main")
        r.venue.fill(order_id, "1")
        await r.until(lambda: not r.naked(), 2.5)
        assert (await r.view()).journal_lost
        proof = await r.prove_halt()
        assert (proof.canceled, proof.kept) == (1, 1)


async def test_t103_without_a_journal_each_write_still_has_an_id_of_its_own() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        order_id = await r.enter(entry())
        r.disk.fail_next_commit("kraken.main")
        r.venue.refusals.append(fault("EOrder:Tick size check failed", Category.VALID))
        r.venue.fill(order_id, "1")
        await r.until(lambda: not r.naked(), 2.5)
        assert len({i.id for i in r.venue.submitted}) == len(r.venue.submitted) == 2


async def test_t103_a_stop_that_was_placed_without_a_journal_is_not_placed_again_after_the_restart() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        order_id = await r.enter(entry())
        r.disk.fail_next_commit("kraken.main")
        r.venue.fill(order_id, "1")
        await r.until(lambda: not r.naked(), 2.5)
        r.kill()
        await r.system.spawn(JournalActor, r.disk.open_journal, CHAIN, path=r.journal.path)
        await r.start()
        await r.until_audited()
        await asyncio.sleep(5)
        view = await r.view()
        assert (len(r.venue.submitted), view.external, view.journal_lost) == (1, (), False)


async def test_the_executions_of_its_own_stop_are_journalled_once_each() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        await r.enter(entry(), fill="1")
        await r.until(lambda: not r.naked(), 2.0)
        await asyncio.sleep(1)
        r.venue.trigger_all_stops()
        (stop,) = [o for o in r.venue.orders.values() if o.order_type is OrderType.STOP_LOSS]
        fill = Fill(exec_id="x1", order_id=stop.order_id, pair=PAIR, side=Side.SELL, qty=D(1), price=D(90))
        told = msgspec.structs.replace(stop, fill=fill)
        r.guardian.tell(Reports(reports=(told, told)))
        r.guardian.tell(Reports(reports=(told,)))
        await asyncio.sleep(0.1)
        fills = [rec for rec in await r.records() if isinstance(rec, Filled)]
        assert [(f.intent_id, f.fill.exec_id) for f in fills] == [(stop.cl_ord_id, "x1")]


async def test_commands_are_journalled_with_their_orders() -> None:
    async with rig() as r:
        await r.enter(entry())
        await r.prove_halt()
        commands = [rec for rec in await r.records() if isinstance(rec, CommandIntended)]
        assert [(c.verb, c.order_ids) for c in commands] == [("cancel", ("O00001",))]
        assert PAIR == "BTC/USD"
