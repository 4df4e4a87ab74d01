"""The order path as a whole, on virtual time: what a caller of `orders` is promised."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from tests.orders.puppets import BASE, PAIR, SCOPE, House, entry, reduction

from allstop.actors import known_orders
from allstop.actors.commands import AmendIntent, GetOrders, Place, Reports
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exits import KILLED
from allstop.actors.external_orders import ClaimExternal, GetExternals
from allstop.actors.intents import OrderType, Side
from allstop.actors.levels import IntentKind, Level, Vote
from allstop.actors.order_talk import OrderChanged, OrderOver
from allstop.actors.order_trackers import RefreshTracker
from allstop.actors.protocols import order_life
from allstop.actors.protocols.records import (
    CommandIntended,
    ExternalSeen,
    Filled,
    IntentCommitted,
    StopSeen,
    Terminal,
    Withheld,
)
from allstop.actors.reports import Accepted, OrderReport, OrderStatus, Rejected, Unknown
from allstop.actors.runtime import CallTimeout, Down, MonitorRef

pytestmark = pytest.mark.virtual


async def refused(house: House, intent: object) -> RefusalCode:
    with pytest.raises(Refused) as caught:
        await house.orders.call(Place(intent=intent))  # pyright: ignore[reportArgumentType]
    return caught.value.code


# Placing.


async def test_an_order_is_answered_when_it_is_durable_and_before_it_is_sent() -> None:
    async with House(commit_s=0.05) as house:
        view = await house.place(entry("a"))
        assert view.state == "INTENT"
        assert [record.intent.id for record in house.records(IntentCommitted)] == ["a"]
        assert house.strings.sent == []


async def test_an_accepted_order_is_new_with_the_venues_id() -> None:
    async with House() as house:
        await house.place(entry("a"))
        view = await house.until("a", "NEW")
        assert view.report is not None
        assert view.report.order_id == "O1"
        assert house.strings.sent == ["ENTRY a 1"]


async def test_an_order_without_a_stop_is_refused_and_nothing_is_written_or_sent() -> None:
    async with House() as house:
        assert await refused(house, entry("a", stop=None)) is RefusalCode.NO_STOP
        assert house.records(IntentCommitted) == []
        assert house.strings.sent == []


@pytest.mark.parametrize("kind", [IntentKind.PROTECT, IntentKind.CANCEL, IntentKind.QUERY])
async def test_what_trades_at_once_may_not_call_itself_by_a_kind_that_passes_every_level(
    kind: IntentKind,
) -> None:
    async with House() as house:
        house.levels.cast(Vote("test", (), Level.HALTED, "a halt"))
        assert await refused(house, entry("a", kind=kind, stop=None)) is RefusalCode.BAD_KIND
        assert house.records(IntentCommitted) == []


async def test_a_stop_is_the_guardians_to_place() -> None:
    async with House() as house:
        stop = entry(
            "a", kind=IntentKind.PROTECT, side=Side.SELL, stop=None, order_type=OrderType.STOP_LOSS,
            limit_price=None, trigger_price=Decimal("90"),
        )  # fmt: skip
        assert await refused(house, stop) is RefusalCode.BAD_KIND
        assert house.records(IntentCommitted) == []


async def test_an_id_that_looks_like_the_guardians_is_refused() -> None:
    async with House() as house:
        assert await refused(house, entry("g0123456789abcdef")) is RefusalCode.BAD_INTENT_ID


async def test_the_same_intent_twice_is_the_same_order() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        again = await house.place(entry("a", limit_price=Decimal("100.00")))
        assert again.state == "NEW"
        assert house.venue.placed == ["a"]


async def test_the_same_intent_placed_twice_before_it_is_durable_is_committed_once() -> None:
    async with House(commit_s=0.05) as house:
        views = await asyncio.gather(house.place(entry("a")), house.place(entry("a")))
        assert [view.state for view in views] == ["INTENT", "INTENT"]
        assert len(house.records(IntentCommitted)) == 1


async def test_an_intent_id_with_other_content_is_refused() -> None:
    async with House() as house:
        await house.place(entry("a"))
        assert await refused(house, entry("a", qty=Decimal(2))) is RefusalCode.INTENT_ID_REUSED


async def test_a_spent_intent_id_stays_spent_after_a_restart() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await house.told(house.venue.fill("O1", "1"))
        await house.until("a", "FILLED")
        house.crash()
    async with House(disk=house.disk, venue=house.venue) as house:
        assert (await house.place(entry("a"))).state == "FILLED"
        assert await refused(house, entry("a", qty=Decimal(2))) is RefusalCode.INTENT_ID_REUSED
        assert house.venue.placed == ["a"]


async def test_giving_up_the_wait_does_not_cancel_the_order() -> None:
    async with House(commit_s=0.5) as house:
        with pytest.raises(CallTimeout):
            await house.orders.call(Place(intent=entry("a")), timeout_s=0.1)
        await asyncio.sleep(0.5)
        await house.until("a", "NEW")


async def test_placements_that_wait_share_one_commit() -> None:
    async with House(commit_s=0.1) as house:
        started_s = house.system.clock.now_s()
        await asyncio.gather(*(house.place(entry(f"i{n}")) for n in range(50)))
        assert house.system.clock.now_s() - started_s < 0.5


async def test_an_entry_whose_row_took_too_long_is_not_sent_and_the_next_one_tries_the_disk_anew() -> None:
    """On such a disk a stop that were missing would be back too late (simulated seed 1850)."""
    async with House(commit_max_s=0.25) as house:
        house.disk.commit_s = 0.3
        await house.place(entry("a"))
        await house.until("a", "NOT_PLACED")
        assert house.strings.sent == []
        (withheld,) = house.records(Withheld)
        assert withheld.reason == (
            "GATE_CLOSED: the disk took 0.300 s to commit it, over 0.25: its stop might be late"
        )
        house.disk.commit_s = 0.001
        await house.place(entry("b"))
        await house.until("b", "NEW")
        assert house.strings.sent == ["ENTRY b 1"]


async def test_an_entry_is_refused_while_the_gate_is_closed() -> None:
    async with House() as house:
        house.system.kill(house.teller)
        await asyncio.sleep(0.01)
        assert await refused(house, entry("a")) is RefusalCode.GATE_CLOSED


async def test_a_reduction_passes_a_closed_gate() -> None:
    async with House() as house:
        house.system.kill(house.teller)
        await asyncio.sleep(0.01)
        await house.place(reduction("r"))
        assert [begin.intent.id for begin in house.guard.begun] == ["r"]


async def test_an_entry_is_refused_from_read_only_on() -> None:
    async with House() as house:
        house.levels.cast(Vote("x", SCOPE, Level.READ_ONLY, "test"))
        assert await refused(house, entry("a")) is RefusalCode.LEVEL


async def test_a_level_that_falls_between_the_commit_and_the_send_stops_the_order_at_egress() -> None:
    async with House() as house:
        await house.place(entry("a"))
        house.levels.cast(Vote("x", SCOPE, Level.READ_ONLY, "test"))
        view = await house.until("a", "NOT_PLACED")
        assert "LEVEL" in (view.reason or "")
        assert house.venue.placed == []


async def test_a_lost_commit_is_refused_and_nothing_is_sent() -> None:
    async with House() as house:
        house.disk.fail_next_commit("kraken.main")
        assert await refused(house, entry("a")) is RefusalCode.NOT_COMMITTED
        await asyncio.sleep(5)
        assert house.strings.sent == []


# Reports.


async def test_a_fill_before_the_ack_is_legal_and_the_ack_is_a_no_op() -> None:  # T018
    async with House() as house:
        house.strings.submits.append("filled before ack")
        await house.place(entry("a"))
        await house.until("a", "FILLED")
        await asyncio.sleep(1)
        view = await house.order("a")
        assert (view.state, view.cum_qty, view.attempts) == ("FILLED", Decimal(1), 1)


async def test_an_execution_that_is_told_three_times_counts_once() -> None:  # T029
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        fill = house.venue.fill("O1", "0.4")
        await house.told(fill)
        await house.told(fill, snapshot=True)
        await house.told(msgspec.structs.replace(fill, ts_ns=7), source="query")
        view = await house.order("a")
        assert (view.state, view.cum_qty) == ("PARTIALLY_FILLED", Decimal("0.4"))
        assert len(house.records(Filled)) == 1


async def test_a_late_execution_of_an_order_that_is_over_is_counted() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        fill = house.venue.fill("O1", "0.4")
        await house.told(house.venue.set("O1", status=OrderStatus.CANCELED, cum_qty=Decimal("0.4")))
        await house.until("a", "CANCELED")
        await asyncio.sleep(1)
        await house.told(fill)
        await asyncio.sleep(1)
        assert [record.fill.exec_id for record in house.records(Filled)] == ["X1"]
        assert await house.state("a") == "CANCELED"


async def test_an_order_that_we_never_knew_is_recorded_as_external_and_freezes_when_executed() -> (
    None
):  # T031
    async with House() as house:
        hand_made = house.venue.place(entry("by-hand"))
        await house.told(msgspec.structs.replace(hand_made, cl_ord_id=None))
        assert [record.report.order_id for record in house.records(ExternalSeen)] == ["O1"]
        await house.place(entry("a"))
        fill = house.venue.fill("O1", "1")
        await house.told(msgspec.structs.replace(fill, cl_ord_id=None))
        assert await refused(house, entry("b")) is RefusalCode.INSTRUMENT_FROZEN


async def test_a_claimed_external_order_thaws_its_instrument_also_after_a_restart() -> None:
    async with House() as house:
        house.venue.place(entry("by-hand"))
        fill = msgspec.structs.replace(house.venue.fill("O1", "1"), cl_ord_id=None)
        await house.told(fill)
        assert await house.orders.call(ClaimExternal(order_id="O1", by="ops", reason="mine"))
        await house.place(entry("a"))
        assert await house.orders.call(GetExternals()) == {}
        house.crash()
    async with House(disk=house.disk, venue=house.venue) as house:
        await house.place(entry("b"))


async def test_the_stop_that_a_conditional_close_made_is_the_intents_stop_and_not_external() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await house.told(house.venue.fill("O1", "1"))
        stop = OrderReport(order_id="S1", status=OrderStatus.NEW, pair=PAIR, parent_id="O1", cl_ord_id="a")
        await house.told(stop)
        await house.told(msgspec.structs.replace(stop, parent_id=None, cl_ord_id=None, triggered=True))
        assert [record.intent_id for record in house.records(StopSeen)] == ["a", "a"]
        assert house.records(ExternalSeen) == []
        assert (await house.order("a")).state == "FILLED"


async def test_a_second_order_with_our_client_id_halts_and_freezes() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await house.told(house.venue.place(entry("a")))
        assert [vote.level for vote in house.votes()] == [Level.HALTED]
        assert [record.report.order_id for record in house.records(ExternalSeen)] == ["O2"]


async def test_an_unknown_status_freezes_the_order_until_a_known_one_comes() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await house.told(house.venue.set("O1", status=OrderStatus.UNRECOGNISED))
        assert await house.state("a") == "FROZEN"
        assert await refused(house, entry("b")) is RefusalCode.INSTRUMENT_FROZEN
        house.venue.set("O1", status=OrderStatus.CANCELED)
        await house.until("a", "CANCELED")  # the tracker asks for it
        await house.place(entry("b"))


# Cancel and amend.


async def test_a_canceled_order_is_canceled_by_the_venues_word() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        assert await house.cancel("a") == Accepted(("O1",))
        await house.until("a", "CANCELED")
        assert [record.evidence[:7] for record in house.records(Terminal)] == ["stream:"]


async def test_an_accepted_cancel_that_the_stream_does_not_tell_of_is_asked_for() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.strings.cancels.append("accept, not told")
        await house.cancel("a")
        assert await house.state("a") == "NEW"
        await house.until("a", "CANCELED")
        assert "query" in house.strings.reads


async def test_a_cancel_answered_unknown_order_ends_filled_when_it_was_filled() -> None:  # T024
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.strings.cancels.append("filled first")
        assert isinstance(await house.cancel("a"), Rejected)
        view = await house.until("a", "FILLED", "CANCELED")
        assert (view.state, view.cum_qty) == ("FILLED", Decimal(1))


async def test_a_cancel_of_an_unknown_order_waits_for_the_lookup_and_then_goes_by_id() -> None:  # T034
    async with House() as house:
        house.strings.submits.append("placed, no answer")
        await house.place(entry("a"))
        await house.until("a", "UNKNOWN")
        canceling = asyncio.ensure_future(house.cancel("a"))
        await asyncio.sleep(0.1)
        assert house.records(CommandIntended) == []
        assert await canceling == Accepted(("O1",))
        assert [record.order_ids for record in house.records(CommandIntended)] == [("O1",)]
        await house.until("a", "CANCELED")


async def test_a_lost_amend_reply_is_settled_by_asking() -> None:  # T027
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.strings.amends.append("done, no answer")
        amend = AmendIntent(intent_id="a", limit_price=Decimal("99"))
        assert isinstance(await house.orders.call(amend), Unknown)
        await asyncio.sleep(1)
        view = await house.order("a")
        assert view.report is not None
        assert view.report.limit_price == Decimal("99")


async def test_two_amends_go_one_after_the_other() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await asyncio.gather(
            house.orders.call(AmendIntent(intent_id="a", limit_price=Decimal("99"))),
            house.orders.call(AmendIntent(intent_id="a", limit_price=Decimal("98"))),
        )
        await asyncio.sleep(0.1)
        view = await house.order("a")
        assert view.report is not None
        assert view.report.limit_price == Decimal("98")


async def test_an_order_that_was_amended_down_does_not_come_back_up_as_a_reduction() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await house.told(house.venue.set("O1", order_qty=Decimal("0.5")))
        house.levels.cast(Vote("test", SCOPE[:1], Level.READ_ONLY, "a lost connection"))
        with pytest.raises(Refused, match="LEVEL"):
            await house.orders.call(AmendIntent(intent_id="a", order_qty=Decimal("1")))
        await house.orders.call(AmendIntent(intent_id="a", order_qty=Decimal("0.4")))


async def test_an_amend_off_the_tick_is_refused() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        with pytest.raises(Refused) as caught:
            await house.orders.call(AmendIntent(intent_id="a", limit_price=Decimal("99.01")))
        assert caught.value.code is RefusalCode.OFF_TICK


async def test_a_cancel_goes_by_rest_when_the_session_is_down() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.system.kill(house.session)
        assert await house.cancel("a") == Accepted(("O1",))
        await house.until("a", "CANCELED")


async def test_a_cancel_of_an_order_that_is_over_is_refused() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await house.cancel("a")
        await house.until("a", "CANCELED")
        await asyncio.sleep(1)
        with pytest.raises(Refused) as caught:
            await house.cancel("a")
        assert caught.value.code is RefusalCode.NOT_OPEN


async def test_open_orders_are_listed() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.place(entry("b"))
        await house.until("b", "NEW")
        await house.until("a", "NEW")
        await house.cancel("a")
        await house.until("a", "CANCELED")
        assert [view.intent.id for view in await house.orders.call(GetOrders())] == ["b"]
        everything = await house.orders.call(GetOrders(open_only=False))
        assert {view.intent.id for view in everything} == {"a", "b"}


async def test_a_list_that_tells_nothing_new_of_orders_that_are_over_starts_no_trackers() -> None:
    async with House() as house:
        for intent_id in ("a", "b", "c"):
            await house.place(entry(intent_id))
            view = await house.until(intent_id, "NEW")
            assert view.report is not None
            await house.told(house.venue.fill(view.report.order_id, "1"))
        started: list[str] = []
        house.system.subscribe(lambda event: started.append(event.path))
        house.orders.tell(Reports(reports=tuple(house.venue.orders.values()), source="query"))
        await asyncio.sleep(5)
        assert started == []
        assert len(house.records(Terminal)) == 3


async def test_trackers_and_desks_of_orders_that_are_over_are_gone() -> None:
    async with House() as house:
        house.strings.submits.append("placed, no answer")
        await house.place(entry("a"))
        await house.until("a", "NEW")
        await house.cancel("a")
        await house.until("a", "CANCELED")
        await asyncio.sleep(1)
        assert [info.path for info in house.system.actors() if f"{BASE}/trading/trackers/" in info.path] == []
        assert house.strings.desks_open == 0


# When the journal dies.


async def test_a_journal_that_is_killed_and_comes_back_costs_no_order() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.system.kill(house.journal)
        house.system.kill(house.egress)
        await asyncio.sleep(0.1)
        await house.start_store()
        await house.told(house.venue.fill("O1", "0.4"))
        assert (await house.order("a")).cum_qty == Decimal("0.4")
        await house.place(entry("b"))
        await house.until("b", "NEW")


async def test_a_report_that_comes_while_there_is_no_journal_is_asked_for_again() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.system.kill(house.journal)
        house.system.kill(house.egress)
        await house.told(house.venue.fill("O1", "1"))
        await house.start_store()
        view = await house.until("a", "FILLED")
        assert view.cum_qty == Decimal(1)


async def test_a_lost_journal_leaves_orders_answering_and_refusing() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.disk.fail_next_commit("kraken.main")
        assert await refused(house, entry("b")) is RefusalCode.NOT_COMMITTED
        assert await refused(house, entry("c")) is RefusalCode.NOT_COMMITTED
        assert await house.state("a") == "NEW"


# When a tracker gave up.


async def test_what_is_told_of_an_order_whose_tracker_gave_up_is_still_recorded() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        for _ in range(4):
            house.system.kill(house.tracker("a"))
            await asyncio.sleep(0.1)
        await house.told(house.venue.fill("O1", "1"))
        assert await house.state("a") == "FILLED"
        assert [record.fill.exec_id for record in house.records(Filled)] == ["X1"]


async def test_orders_that_start_again_under_live_trackers_replace_them() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.system.kill(house.orders)
        await house.start_orders()
        await house.told(house.venue.fill("O1", "1"))
        await house.until("a", "FILLED")
        assert await house.place(entry("a"))
        assert house.venue.placed == ["a"]


async def test_a_hundred_orders_at_once_are_each_sent_once() -> None:
    async with House() as house:
        await asyncio.gather(*(house.place(entry(f"i{n}")) for n in range(100)))
        for n in range(100):
            await house.until(f"i{n}", "NEW")
        assert sorted(house.venue.placed) == sorted(f"i{n}" for n in range(100))


async def test_no_more_entries_are_taken_than_may_be_live_and_a_reduction_still_is() -> None:
    async with House(live_max=2) as house:
        await house.place(entry("a"))
        await house.place(entry("b"))
        assert await refused(house, entry("c")) is RefusalCode.RATE_LIMIT
        await house.place(reduction("r"))


async def test_an_order_that_memory_forgot_is_answered_from_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_orders, "OVER_MAX", 1)
    async with House() as house:
        for name in ("a", "b"):
            await house.place(entry(name))
            await house.until(name, "NEW")
            await house.cancel(name)
            await house.until(name, "CANCELED")
            await asyncio.sleep(1)
        assert await house.state("a") == "CANCELED"
        assert (await house.place(entry("a"))).state == "CANCELED"


async def test_a_burst_of_strange_reports_does_not_hold_up_an_order() -> None:
    async with House(commit_s=0.05) as house:
        for n in range(300):
            house.orders.tell(
                Reports(reports=(OrderReport(order_id=f"E{n}", status=OrderStatus.NEW, pair=PAIR),))
            )
        started_s = house.system.clock.now_s()
        await house.place(entry("a"))
        assert house.system.clock.now_s() - started_s < 0.5
        await asyncio.sleep(1)
        assert len(house.records(ExternalSeen)) == 300


# Words about orders that are nobody's here: of a tracker that an earlier incarnation had, or of a stranger.


async def test_a_word_about_an_order_that_is_forgotten_ends_nobody() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        stranger = house.system.address(f"{BASE}/nobody")
        life = order_life.fold(house.records())["a"]
        before = house.orders.incarnation
        forgotten = msgspec.structs.replace(life, intent=entry("b"))
        house.orders.tell(Down(MonitorRef(stranger, house.orders.cell, final=True), stranger, 1, KILLED))
        for word in (OrderOver(intent_id="b"), OrderChanged(life=forgotten), RefreshTracker(intent_id="b")):
            house.orders.tell(word)
        await asyncio.sleep(0.1)
        assert house.orders.incarnation == before
        assert await house.state("a") == "NEW"
