"""What a tracker does when an answer does not come, or says no: asked, never guessed; sent again only when proven."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from tests.orders.puppets import House, entry

from allstop.actors.commands import GetOrder, Place
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.levels import Level
from allstop.actors.protocols.lookup import KRAKEN
from allstop.actors.protocols.records import AttemptEnded, AttemptStarted, LookupDone, Reported, Terminal

pytestmark = pytest.mark.virtual

NONCE = "EAPI:Invalid nonce"
RATE = "EOrder:Rate limit exceeded"


async def is_frozen(house: House) -> bool:
    with pytest.raises(Refused) as caught:
        await house.orders.call(Place(intent=entry("other")))
    return caught.value.code is RefusalCode.INSTRUMENT_FROZEN


# Unknown outcomes.


async def test_an_order_whose_reply_was_lost_is_found_and_adopted_without_a_second_send() -> None:  # T001
    async with House() as house:
        house.strings.submits.append("placed, no answer")
        await house.place(entry("a"))
        await house.until("a", "UNKNOWN")
        assert await is_frozen(house)
        await house.until("a", "NEW")
        assert house.strings.sent == ["ENTRY a 1"]
        assert [record.source for record in house.records(Reported)] == ["lookup"]
        await house.place(entry("b"))


async def test_an_order_that_filled_at_once_is_found_among_the_closed() -> None:  # T002
    async with House() as house:
        house.strings.submits.append("filled, no answer")
        await house.place(entry("a"))
        view = await house.until("a", "FILLED")
        assert view.cum_qty == Decimal(1)
        assert house.venue.placed == ["a"]


async def test_an_order_that_never_arrived_is_not_placed_after_two_empty_searches() -> None:  # T003
    async with House() as house:
        house.strings.submits.append("lost")
        lost_s = house.system.clock.now_s()
        await house.place(entry("a"))
        await house.until("a", "NOT_PLACED")
        assert house.strings.reads == ["open", "closed", "open", "closed"]
        assert house.system.clock.now_s() - lost_s >= 0.5 + 0.1 + 0.2
        assert house.strings.sent == ["ENTRY a 1"]
        await house.place(entry("b"))


async def test_a_search_whose_calls_wait_long_for_their_turns_on_the_key_is_a_search_all_the_same() -> None:
    async with House() as house:
        house.strings.submits.append("lost")
        house.strings.read_s = 8.0
        await house.place(entry("a"))
        await asyncio.sleep(40)
        assert house.strings.reads == ["open", "closed", "open", "closed"]
        assert await house.state("a") == "NOT_PLACED"


async def test_a_search_that_fails_for_20_s_leaves_the_order_unknown() -> None:  # T004
    async with House() as house:
        house.strings.submits.append("lost")
        house.strings.reads_fail = 1000
        await house.place(entry("a"))
        await asyncio.sleep(20)
        assert await house.state("a") == "UNKNOWN"
        assert await is_frozen(house)
        assert house.records(Terminal) == []
        house.strings.reads_fail = 0
        await house.until("a", "NOT_PLACED")


async def test_a_desk_that_is_closed_under_a_search_proves_nothing_and_the_search_is_repeated() -> None:
    async with House() as house:
        house.strings.submits.append("placed, no answer")
        house.strings.reads_cancelled = 2
        await house.place(entry("a"))
        await house.until("a", "NEW", within_s=10)
        assert house.tracker("a").incarnation == 1


async def test_an_error_without_a_known_outcome_is_looked_up() -> None:  # T005, T007
    async with House() as house:
        house.strings.submits.append("placed, error")
        await house.place(entry("a"))
        await house.until("a", "UNKNOWN")
        await house.until("a", "NEW")
        assert house.venue.placed == ["a"]


async def test_a_reply_that_never_comes_ends_at_the_deadline_in_a_lookup() -> None:  # T021
    async with House() as house:
        house.strings.submits.append("placed, silence")
        await house.place(entry("a"))
        await asyncio.sleep(0.5)
        assert await house.state("a") == "SENT"
        await house.until("a", "NEW", within_s=5)
        assert house.strings.sent == ["ENTRY a 1"]


async def test_a_session_that_dies_after_the_bytes_left_leaves_an_unknown_that_is_found() -> None:
    async with House() as house:
        house.strings.submits.append("placed, dies")
        await house.place(entry("a"))
        await house.until("a", "NEW", within_s=5)
        assert house.venue.placed == ["a"]


async def test_a_report_from_the_stream_settles_an_unknown_before_any_search() -> None:
    async with House() as house:
        house.strings.submits.append("placed, no answer")
        await house.place(entry("a"))
        await house.until("a", "UNKNOWN")
        await house.told(house.venue.orders["O1"])
        assert await house.state("a") == "NEW"
        assert house.strings.reads == []


async def test_no_search_starts_before_krakens_deadline_is_over() -> None:
    async with House(timing=KRAKEN) as house:
        house.strings.submits.append("lost")
        await house.place(entry("a"))
        await asyncio.sleep(7.9)
        assert house.strings.reads == []
        await asyncio.sleep(0.2)
        assert house.strings.reads == ["open", "closed"]


async def test_an_unknown_does_not_vote_while_the_venue_cannot_be_asked() -> None:  # T019
    async with House() as house:
        house.strings.submits.append("lost")
        house.strings.reads_fail = 100_000
        await house.place(entry("a"))
        await asyncio.sleep(300)
        assert house.votes() == []


async def test_an_unknown_that_stays_so_while_the_venue_answers_votes_read_only_and_then_halted() -> None:
    async with House() as house:
        house.strings.submits.append("lost")
        await house.place(entry("a"))
        await house.until("a", "UNKNOWN")
        # A gap so long that the second search never comes: the clocks alone decide.
        tracker = house.tracker("a").cell.actor
        lookup = tracker._lookup
        lookup.current = msgspec.structs.replace(
            lookup.current, timing=msgspec.structs.replace(house.timing, search_gap_s=1000.0)
        )
        await asyncio.sleep(40)
        assert [(vote.level, vote.scope) for vote in house.votes()] == [(Level.READ_ONLY, ("kraken",))]
        await asyncio.sleep(100)
        assert [vote.level for vote in house.votes()] == [Level.READ_ONLY, Level.HALTED]


# Proven NO.


async def test_an_invalid_nonce_is_looked_up_once_and_sent_again() -> None:  # T008
    async with House() as house:
        house.strings.submits.append(NONCE)
        await house.place(entry("a"))
        await house.until("a", "NEW")
        assert house.strings.sent == ["ENTRY a 1", "ENTRY a 2"]
        assert house.strings.reads == ["open", "closed"]
        assert house.venue.placed == ["a"]


async def test_an_invalid_nonce_three_times_is_the_end() -> None:  # T008
    async with House() as house:
        house.strings.submits.extend([NONCE] * 5)
        await house.place(entry("a", ttl_s=60.0))
        await house.until("a", "NOT_PLACED")
        assert house.strings.sent == ["ENTRY a 1", "ENTRY a 2", "ENTRY a 3"]


async def test_each_attempt_is_journalled_before_it_is_sent() -> None:
    async with House() as house:
        house.strings.submits.append(NONCE)
        await house.place(entry("a"))
        await house.until("a", "NEW")
        kinds = [r for r in house.records() if isinstance(r, (AttemptStarted, AttemptEnded))]
        assert [(type(r).__name__, r.attempt) for r in kinds] == [
            ("AttemptStarted", 1),
            ("AttemptEnded", 1),
            ("AttemptStarted", 2),
            ("AttemptEnded", 2),
        ]


async def test_a_rate_limit_is_waited_out_within_the_time_to_live() -> None:
    async with House() as house:
        house.strings.submits.append(RATE)
        await house.place(entry("a"))
        await house.until("a", "NEW")
        assert house.strings.sent == ["ENTRY a 1", "ENTRY a 2"]


async def test_nothing_is_sent_again_after_the_time_to_live() -> None:
    async with House() as house:
        house.strings.submits.append(RATE)
        await house.place(entry("a", ttl_s=0.3))
        view = await house.until("a", "NOT_PLACED")
        assert "time to live" in (view.reason or "")
        assert house.strings.sent == ["ENTRY a 1"]


async def test_a_proven_no_that_needs_fixing_is_final() -> None:
    async with House() as house:
        house.strings.submits.append("EOrder:Insufficient funds")
        await house.place(entry("a"))
        view = await house.until("a", "REJECTED")
        assert view.reason == "EOrder:Insufficient funds"
        assert house.strings.sent == ["ENTRY a 1"]


async def test_an_elapsed_deadline_is_looked_up_once_and_then_not_placed() -> None:
    async with House() as house:
        house.strings.submits.append("EService:Deadline elapsed")
        await house.place(entry("a"))
        await house.until("a", "NOT_PLACED")
        assert house.strings.reads == ["open", "closed"]
        assert house.strings.sent == ["ENTRY a 1"]


async def test_a_no_that_the_venues_own_list_contradicts_is_adopted() -> None:
    async with House() as house:
        house.venue.place(entry("a"))
        house.strings.submits.append(NONCE)
        await house.place(entry("a"))
        view = await house.until("a", "NEW")
        assert view.report is not None
        assert view.report.order_id == "O1"
        assert house.strings.sent == ["ENTRY a 1"]


# Channels.


async def test_an_order_that_the_session_did_not_send_goes_by_rest() -> None:
    async with House() as house:
        house.system.kill(house.session)
        await house.place(entry("r"))
        await house.until("r", "NEW")
        assert house.strings.sent == ["REST r 2"]
        assert [(r.attempt, r.channel) for r in house.records(AttemptStarted)] == [
            (1, "session"),
            (2, "desk"),
        ]


async def test_an_entry_that_was_not_sent_does_not_go_by_rest_once_the_gate_is_closed() -> None:
    async with House() as house:
        house.strings.submits.append("not sent")
        await house.place(entry("a"))
        house.system.kill(house.teller)
        await house.until("a", "NOT_PLACED")
        assert house.strings.sent == []


async def test_an_unknown_never_changes_channel() -> None:
    async with House() as house:
        house.strings.submits.append("lost")
        await house.place(entry("r"))
        await house.until("r", "NOT_PLACED")
        assert house.strings.sent == ["ENTRY r 1"]


# Restarts.


async def test_a_killed_tracker_with_an_attempt_under_way_comes_back_unknown_and_finds_it() -> None:
    async with House() as house:
        house.strings.submits.append("placed, silence")
        await house.place(entry("a"))
        await house.until("a", "SENT")
        house.system.kill(house.tracker("a"))
        await house.until("a", "UNKNOWN")
        assert await is_frozen(house)
        await house.until("a", "NEW")
        assert house.strings.sent == ["ENTRY a 1"]
        await house.place(entry("b"))


async def test_a_killed_tracker_asks_for_what_it_missed() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.until("a", "NEW")
        house.system.kill(house.tracker("a"))
        house.venue.fill("O1", "1")
        await house.until("a", "FILLED", within_s=5)


async def test_a_tracker_over_its_budget_freezes_its_instrument_and_harms_no_other() -> None:
    async with House() as house:
        await house.place(entry("a"))
        await house.place(entry("b"))
        await house.until("a", "NEW")
        await house.until("b", "NEW")
        for _ in range(4):
            house.system.kill(house.tracker("a"))
            await asyncio.sleep(0.1)
        assert await is_frozen(house)
        assert house.tracker("b").is_alive()


async def test_an_inconclusive_search_is_journalled_once_per_reason() -> None:
    async with House() as house:
        house.strings.submits.append("lost")
        house.strings.reads_fail = 5
        await house.place(entry("a"))
        await house.until("a", "NOT_PLACED")
        inconclusive = [r.evidence for r in house.records(LookupDone) if r.verdict == "inconclusive"]
        assert len(inconclusive) == len(set(inconclusive))


@pytest.mark.parametrize("behaviour", ["accept", "placed, no answer", "lost", "filled, no answer"])
@pytest.mark.parametrize("commits", range(1, 9))
async def test_a_power_cut_at_any_commit_leads_to_the_venues_truth_and_no_second_order(
    behaviour: str, commits: int
) -> None:  # T102
    async with House() as house:
        house.strings.submits.append(behaviour)
        before = len(house.disk.rows("kraken.main"))
        placing = asyncio.ensure_future(house.place(entry("a")))
        await asyncio.wait([placing], timeout=1)
        for _ in range(20_000):
            if len(house.disk.rows("kraken.main")) >= before + commits:
                break
            await asyncio.sleep(0.001)
        house.crash()
        placing.cancel()
        await asyncio.wait([placing])
    async with House(disk=house.disk, venue=house.venue) as house:
        await asyncio.sleep(10)
        view = await house.order("a")
        at_venue = house.venue.by_client("a")
        assert len(at_venue) <= 1
        if at_venue:
            expected = {"new": "NEW", "filled": "FILLED"}[str(at_venue[0].status)]
            assert view.state == expected
        else:
            assert view.state == "NOT_PLACED"


@pytest.mark.parametrize("delay_ms", range(0, 40, 2))
async def test_a_kill_at_any_moment_leads_to_the_venues_truth_and_no_second_order(
    delay_ms: int,
) -> None:  # T102
    async with House(commit_s=0.004) as house:
        house.strings.submits.append("filled before ack")
        placing = asyncio.ensure_future(house.place(entry("a")))
        await asyncio.sleep(delay_ms / 1000)
        house.crash()
        placing.cancel()
        await asyncio.wait([placing])
    async with House(disk=house.disk, venue=house.venue) as house:
        await asyncio.sleep(10)
        assert len(house.venue.placed) <= 1
        if house.venue.placed:
            assert (await house.order("a")).state == "FILLED"
            assert (await house.order("a")).cum_qty == Decimal(1)
        elif await house.orders.call(GetOrder(intent_id="a")):
            assert (await house.order("a")).state == "NOT_PLACED"
