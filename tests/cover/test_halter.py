"""A halt cancels by id everything that is not protective, keeps the stops, and is proven by the venue's own list."""

import asyncio

import pytest
from tests.cover.rig import rig
from tests.cover.toy_venue import D, ToyVenue, entry

from allstop.actors.halter import HaltNotProven
from allstop.actors.intents import Side
from allstop.actors.levels import Level, Vote
from allstop.actors.ports import QueryFailed
from allstop.actors.protocols.records import HaltProved

pytestmark = pytest.mark.virtual


async def test_t086_twenty_fresh_orders_go_in_one_batch_and_the_stops_stay() -> None:
    async with rig() as r:
        await r.enter(entry("filled"), fill="1")
        for i in range(20):
            await r.enter(entry(f"open-{i}"))
        began_s = r.system.clock.now_s()
        proof = await r.prove_halt()
        assert (proof.canceled, proof.kept, [len(b) for b in r.desk.batches]) == (20, 1, [20])
        assert r.venue.covered() == D(1)
        assert r.system.clock.now_s() - began_s < 5.0


async def test_more_orders_than_one_command_may_name_go_in_several() -> None:
    async with rig() as r:
        for i in range(120):
            r.venue.place(entry(f"by-hand-{i}"))
        assert (await r.prove_halt()).canceled == 120
        assert [len(b) for b in r.desk.batches] == [50, 50, 20]


async def test_t107_a_halt_of_a_venue_that_is_away_is_not_proven_until_it_is_back() -> None:
    async with rig() as r:
        await r.enter(entry())
        r.desk.blind = True
        with pytest.raises(QueryFailed):
            await r.prove_halt()
        r.desk.blind = False
        proof = await r.prove_halt()
        assert (proof.canceled, r.venue.open()) == (1, [])


async def test_t113_an_order_made_by_hand_is_cancelled_by_the_halt() -> None:
    async with rig() as r:
        by_hand = r.venue.place(entry("by-hand"))
        await r.prove_halt()
        assert r.desk.batches == [(by_hand,)]


async def test_a_cancel_whose_answer_was_lost_is_settled_by_the_next_list() -> None:
    async with rig() as r:
        await r.enter(entry())
        r.desk.lose = 1
        assert (await r.prove_halt()).rounds == 1


async def test_a_cancel_that_never_arrived_is_sent_again() -> None:
    async with rig() as r:
        await r.enter(entry())
        r.desk.eat = 1
        proof = await r.prove_halt()
        assert (proof.rounds, r.venue.open()) == (2, [])


async def test_orders_that_do_not_go_away_are_named() -> None:
    async with rig() as r:
        order_id = await r.enter(entry())
        r.venue.cancel = lambda order_id: None
        with pytest.raises(HaltNotProven, match=order_id):
            await r.prove_halt(timeout_s=20.0)


async def test_a_halt_waits_for_the_entry_that_is_still_on_the_wire() -> None:
    async with rig() as r:
        r.board.cast(Vote("operator", (), Level.HALTED, "test"))
        await r.intend(entry())  # journalled and written; not yet at the venue

        async def arrive() -> None:
            await asyncio.sleep(0.4)
            r.venue.place(entry())

        late = asyncio.create_task(arrive())
        proof = await r.prove_halt()
        await late
        assert (proof.canceled, r.venue.open()) == (1, [])


async def test_an_order_that_appears_after_the_proof_is_cancelled_while_the_halt_lasts() -> None:
    async with rig() as r:
        r.board.cast(Vote("operator", (), Level.HALTED, "test"))
        await r.prove_halt()
        r.venue.place(entry("by-hand"))
        await r.until(lambda: r.venue.open() == [], 6.0)


async def test_without_a_halt_nobody_elses_order_is_touched() -> None:
    async with rig() as r:
        r.venue.place(entry("by-hand"))
        await asyncio.sleep(12)
        assert r.desk.batches == []


async def test_cover_goes_on_during_a_halt_that_cannot_be_proven() -> None:
    async with rig() as r:
        r.venue.makes_stops = False
        order_id = await r.enter(entry())
        await r.enter(entry("stuck"))
        r.venue.cancel = lambda order_id: None
        halt = asyncio.create_task(r.prove_halt(timeout_s=60.0))
        await asyncio.sleep(0.05)
        r.venue.fill(order_id, "1")
        await r.until(lambda: not r.naked(), 2.0)
        with pytest.raises(HaltNotProven):
            await halt


async def test_a_partly_filled_entry_is_cancelled_and_what_it_filled_stays_covered() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="0.3")
        proof = await r.prove_halt()
        assert (proof.canceled, proof.kept, r.venue.position(), r.venue.covered()) == (
            1,
            1,
            D("0.3"),
            D("0.3"),
        )


async def test_a_stop_on_the_wrong_side_goes_in_a_halt() -> None:
    async with rig() as r:
        await r.enter(entry(), fill="1")
        await asyncio.sleep(1.5)
        short = r.venue.place(entry("by-hand", stop="110", side=Side.SELL))
        r.venue.makes_stops = False
        assert (await r.prove_halt()).kept == 1
        assert r.desk.batches == [(short,)]


async def test_the_proof_is_in_the_journal_and_two_who_ask_get_the_same() -> None:
    async with rig() as r:
        await r.enter(entry())
        first, second = await asyncio.gather(r.prove_halt(), r.prove_halt())
        assert first == second
        proved = [rec for rec in await r.records() if isinstance(rec, HaltProved)]
        assert [(p.account, p.canceled) for p in proved] == [("kraken.main", 1)]


async def test_a_guardian_that_dies_answers_the_halt_with_its_death() -> None:
    async with rig() as r:
        await r.enter(entry())
        r.desk.latency_s = 1.0
        halt = asyncio.create_task(r.prove_halt())
        await asyncio.sleep(0.1)
        r.kill()
        with pytest.raises(Exception, match="guardian"):
            await halt
        r.desk.latency_s = 0.01
        await r.start()
        assert (await r.prove_halt()).canceled == 1


def test_the_toy_venue_makes_a_stop_for_each_fill() -> None:
    venue = ToyVenue()
    order_id = venue.place(entry())
    venue.fill(order_id, "0.5")
    venue.fill(order_id, "0.5")
    assert [s.order_qty for s in venue.stops_open()] == [D("0.5"), D("0.5")]
