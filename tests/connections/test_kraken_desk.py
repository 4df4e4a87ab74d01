import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.connections.rig import Rig, entry

from allstop.actors.errors import BadInput, Category, Fatal
from allstop.actors.kraken_desk import ended, order_ids_of, write_outcome
from allstop.actors.ledger import EndTurn, GetLedger, SyncOrders
from allstop.actors.levels import IntentKind, Origin
from allstop.actors.limits.kraken import LIMITS, Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.ports import QueryFailed
from allstop.actors.protocols.kraken.faults import classify, classify_http
from allstop.actors.reports import Accepted, NotSent, Rejected, Unknown

virtual = pytest.mark.virtual
NOW: Any = {"attempt": 1, "deadline_s": 5.0}


# What an answer proves, without a venue


def test_a_result_is_accepted_and_a_refusal_rejected():
    no = classify("EOrder:Insufficient funds", write=True)
    assert write_outcome({"txid": ["O1"]}, (), order_ids_of) == Accepted(("O1",))
    assert write_outcome(None, (no,), order_ids_of) == Rejected(no)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "EService:Unavailable"),
        (None, "EGeneral:Internal error"),
        (None, "EBrandNew:Never seen before"),
        ({"txid": ["O1"]}, "EOrder:Insufficient funds"),
        ({"surprise": 1}, None),
    ],
)
def test_what_proves_neither_yes_nor_no_is_unknown(result: object, text: str | None):
    faults = () if text is None else (classify(text, write=True),)
    outcome = write_outcome(result, faults, order_ids_of)
    assert isinstance(outcome, Unknown)


# Against the simulated venue


@virtual
async def test_the_probe_passes_a_good_key_and_refuses_one_that_can_withdraw():
    async with Rig() as rig:
        desk = rig.desk()
        assert not (await desk.probe()).can_withdraw
        rig.fault(kind="grant", role="trade", permission="withdraw-funds")
        with pytest.raises(BadInput, match="withdraw"):
            await desk.probe()


@virtual
async def test_the_probe_names_the_order_permission_that_a_key_lacks():
    async with Rig() as rig:
        rig.fault(kind="deny", role="trade", permission="modify-trades")
        with pytest.raises(BadInput, match="modify-trades"):
            await rig.desk().probe()


@virtual
async def test_an_order_is_submitted_listed_amended_cancelled_and_found_closed():
    async with Rig() as rig:
        desk, intent = rig.desk(), entry()
        await rig.committed(intent)
        accepted = await desk.submit(intent, **NOW)
        assert isinstance(accepted, Accepted)
        (order_id,) = accepted.order_ids
        (report,) = await desk.open_orders()
        assert (report.order_id, report.cl_ord_id, report.pair) == (order_id, intent.id, "BTC/USD")
        amend = await rig.amend(order_id, "25001")
        assert await desk.amend(amend.command_id, order_id, limit_price="25001", deadline_s=5.0) == Accepted(
            (order_id,)
        )
        assert (await desk.query_orders([order_id]))[0].limit_price == Decimal(25001)
        cancel = await rig.cancel(order_id)
        assert await desk.cancel(cancel.command_id, (order_id,)) == Accepted((order_id,))
        assert await desk.open_orders() == []
        closed = await desk.closed_orders(rig.clock.wall_ns() - 60_000_000_000)
        assert [(r.order_id, r.status.value) for r in closed] == [(order_id, "canceled")]


@virtual
async def test_five_calls_at_once_arrive_in_the_order_of_their_nonces():
    async with Rig() as rig:
        rig.network.faults.delay_s = 0.05
        desks = [rig.desk() for _ in range(5)]
        await asyncio.gather(*(desk.open_orders() for desk in desks))
        assert rig.truth()["limits_broken"] == []
        assert len(rig.network_requests()) == 5


@virtual
async def test_a_write_without_an_answer_is_unknown_and_was_made_once():
    async with Rig() as rig:
        rig.fault(kind="drop_reply", method="AddOrder")
        desk, intent = rig.desk(), entry()
        await rig.committed(intent)
        assert isinstance(await desk.submit(intent, **NOW), Unknown)
        assert [order["cl_ord_id"] for order in rig.orders_at_venue()] == [intent.id]


@virtual
async def test_an_html_page_of_the_edge_is_unknown_for_a_write_and_a_failed_query_for_a_read():
    async with Rig() as rig:
        rig.fault(kind="http_520", method="AddOrder")
        rig.fault(kind="http_520", method="OpenOrders")
        desk, intent = rig.desk(), entry()
        await rig.committed(intent)
        assert isinstance(await desk.submit(intent, **NOW), Unknown)
        with pytest.raises(QueryFailed) as failed:
            await desk.open_orders()
        assert failed.value.fault is not None
        assert failed.value.fault.category is Category.VENUE


@virtual
async def test_a_connection_that_is_never_made_sends_nothing():
    async with Rig() as rig:
        desk, intent = rig.desk(), entry()
        await rig.committed(intent)
        rig.network.faults.refuse_connects = True
        assert isinstance(await desk.submit(intent, **NOW), NotSent)
        with pytest.raises(QueryFailed):
            await desk.open_orders()


@virtual
async def test_an_order_that_egress_refuses_is_not_sent():
    async with Rig() as rig:
        outcome = await rig.desk().submit(entry(), **NOW)
        assert isinstance(outcome, NotSent)
        assert "NOT_COMMITTED" in outcome.reason
        assert rig.network_requests() == []


@virtual
async def test_what_is_committed_while_the_call_waits_for_its_turn_is_as_it_was_committed():
    """By whom is asked directly before the first byte: asked before, a guardian's stop was a strategy's, and a halt."""
    async with Rig() as rig:
        protect = msgspec.structs.replace(entry(), kind=IntentKind.PROTECT)
        rig.network.faults.delay_s = 0.5
        desk = rig.desk()
        reading = asyncio.create_task(desk.open_orders())  # holds the key's turn
        await asyncio.sleep(0.1)
        sending = asyncio.create_task(desk.submit(protect, **NOW))
        await asyncio.sleep(0.1)
        await rig.committed(protect, origin=Origin.GUARDIAN)
        await reading
        assert isinstance(await sending, Accepted)


@virtual
async def test_a_refused_nonce_is_tried_again_for_a_read_and_told_for_a_write():
    async with Rig() as rig:
        desk, intent = rig.desk(), entry()
        rig.fault(kind="invalid_nonce", method="OpenOrders")
        assert await desk.open_orders() == []
        rig.fault(kind="invalid_nonce", method="AddOrder")
        await rig.committed(intent)
        outcome = await desk.submit(intent, **NOW)
        assert isinstance(outcome, Rejected)
        assert outcome.fault.category is Category.SESSION
        assert rig.orders_at_venue() == []


@virtual
async def test_without_a_journal_the_guardian_still_moves_a_stop_and_nobody_else_amends():
    async with Rig() as rig:
        submit = await rig.committed(entry())
        outcome = await rig.desk().submit(submit.intent, attempt=1, deadline_s=5.0)
        assert isinstance(outcome, Accepted)
        rig.checkpoint.journal_lost()
        other = await rig.desk().amend("c1", outcome.order_ids[0], order_qty="0.02", deadline_s=5.0)
        assert isinstance(other, NotSent)
        guardians = rig.desk(role="protect", lane=Lane.PROTECT)
        moved = await guardians.amend("c2", outcome.order_ids[0], order_qty="0.005", deadline_s=5.0)
        assert isinstance(moved, Accepted)


@virtual
async def test_an_id_that_the_venue_does_not_know_hides_no_other_order():
    async with Rig() as rig:
        desk = rig.desk()
        placed: list[str] = []
        for _ in range(3):
            submit = await rig.committed(entry())
            outcome = await desk.submit(submit.intent, attempt=1, deadline_s=5.0)
            assert isinstance(outcome, Accepted)
            placed += outcome.order_ids
        asked = [placed[0], "OUNKNO-WNONE-AAAAAA", placed[1], placed[2], "OUNKNO-WNONE-BBBBBB"]
        assert {report.order_id for report in await desk.query_orders(asked)} == set(placed)
        assert await desk.query_orders(["OUNKNO-WNONE-AAAAAA"]) == []


@virtual
async def test_a_question_that_fails_for_another_reason_fails_as_a_whole():
    async with Rig() as rig:
        rig.fault(kind="error", method="QueryOrders", text="EGeneral:Internal error", n=10)
        with pytest.raises(QueryFailed):
            await rig.desk().query_orders(["O1", "O2"])


@virtual
async def test_a_refused_key_is_fatal_at_once_and_not_tried_twice():
    async with Rig() as rig:
        desk = rig.desk()
        rig.fault(kind="revoke_key", role="trade")
        with pytest.raises(Fatal, match="EAPI:Invalid key"):
            await desk.open_orders()
        tried = len(rig.network_requests())
        with pytest.raises(Fatal):
            await desk.balances()
        assert len(rig.network_requests()) == tried


@virtual
async def test_queries_never_break_the_venues_counter_however_often_they_ask():
    async with Rig(tier=Tier.PRO) as rig:
        desk = rig.desk()
        asked = await asyncio.gather(*(desk.open_orders() for _ in range(40)), return_exceptions=True)
        assert sum(isinstance(answer, list) for answer in asked) >= 20
        assert all(isinstance(answer, (list, QueryFailed)) for answer in asked)
        assert rig.truth()["limits_broken"] == []


@virtual
async def test_the_guardians_read_overtakes_the_queries_that_wait():
    async with Rig(tier=Tier.STARTER) as rig:
        queries = [asyncio.create_task(rig.desk().open_orders()) for _ in range(20)]
        await asyncio.sleep(0.01)
        began_s = rig.clock.now_s()
        guardian = rig.desk(lane=Lane.PROTECT)
        await guardian.open_orders()
        assert rig.clock.now_s() - began_s < rig.settings.protect_wait_max_s
        for query in queries:
            query.cancel()
        await asyncio.gather(*queries, return_exceptions=True)
        assert (await rig.ledger.call(GetLedger())).waiting == 0


@virtual
async def test_more_orders_than_one_batch_takes_are_cancelled_in_several():
    async with Rig() as rig:
        desk = rig.desk()
        ids: list[str] = []
        for _ in range(60):
            intent = entry(qty="0.001")
            await rig.committed(intent)
            accepted = await desk.submit(intent, **NOW)
            assert isinstance(accepted, Accepted)
            ids += accepted.order_ids
        cancel = await rig.cancel(*ids)
        assert await desk.cancel(cancel.command_id, ids) == Accepted(tuple(ids))
        assert await desk.open_orders() == []
        assert len(await desk.closed_orders(rig.clock.wall_ns() - 600_000_000_000)) == 60  # two pages


@virtual
async def test_a_single_cancel_waits_for_room_and_a_batch_goes_out_without():
    """Over the limit the venue takes batches and refuses single cancels (the demo's bad day, seed 40)."""
    async with Rig() as rig:
        desk, ids = rig.desk(), list[str]()
        for _ in range(3):
            intent = entry(qty="0.001")
            await rig.committed(intent)
            accepted = await desk.submit(intent, **NOW)
            assert isinstance(accepted, Accepted)
            ids += accepted.order_ids
        full = SyncOrders(pair="BTC/USD", level=LIMITS[Tier.PRO].order_max - 1.0)
        await rig.ledger.call(full)
        refused = await desk.cancel((await rig.cancel(ids[0])).command_id, ids[:1])
        assert isinstance(refused, NotSent)
        assert "would exceed the order rate" in refused.reason
        assert await desk.cancel((await rig.cancel(*ids)).command_id, ids) == Accepted(tuple(ids))


@virtual
async def test_a_filled_order_has_its_stop_at_the_venue():
    async with Rig() as rig:
        desk, intent = rig.desk(), entry(price="200000", stop="10000")
        await rig.committed(intent)
        await desk.submit(intent, **NOW)
        (stop,) = await desk.open_orders()
        assert (stop.trigger_price, stop.order_qty) == (Decimal(10000), intent.qty)
        assert stop.parent_id == rig.orders_at_venue()[0]["order_id"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("EAPI:Rate limit exceeded", {"over_limit": True}),
        ("EAPI:Invalid nonce", {"bad_nonce": True}),
        ("EAPI:Invalid key", {"stop": "EAPI:Invalid key"}),
        ("ETrade:Locked", {"stop": "ETrade:Locked"}),
        ("EGeneral:Temporary lockout", {"cool_s": 900.0}),
        ("EOrder:Insufficient funds", {}),
    ],
)
def test_what_an_answer_says_of_the_key_is_told_to_the_ledger(text: str, told: dict[str, Any]):
    assert ended(EndTurn(id="t"), (classify(text),)) == EndTurn(id="t", **told)


def test_the_edges_429_cools_the_key_though_it_names_no_time():
    fault = classify_http(429, b"error code: 1015")
    assert fault is not None
    assert ended(EndTurn(id="t"), (fault,)).cool_s == 10.0
