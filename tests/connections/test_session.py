import asyncio
from decimal import Decimal

import pytest
from tests.connections.rig import Recorder, Rig, entry, exit_of

from allstop.actors.channels import GetConnection
from allstop.actors.commands import Submit
from allstop.actors.errors import Category, Fatal
from allstop.actors.events import CrashReport
from allstop.actors.exits import ExitKind
from allstop.actors.ledger import ChargeOrder
from allstop.actors.limits.kraken import Tier
from allstop.actors.ports import LinkClosed
from allstop.actors.reports import Accepted, NotSent, Rejected, Unknown
from allstop.actors.runtime import ActorDead, MailboxFull

pytestmark = pytest.mark.virtual


async def up(rig: Rig):
    session = await rig.session()
    await rig.until(lambda: rig.proven("session"))
    return session


def client_ids(rig: Rig) -> list[str]:
    return [order["cl_ord_id"] for order in rig.orders_at_venue()]


async def test_a_session_connects_with_a_fresh_token_and_proves_itself():
    async with Rig() as rig:
        session = await up(rig)
        assert (await session.call(GetConnection())).status == "online"


async def test_an_order_with_its_stop_is_accepted_and_seen_on_the_stream():
    async with Rig() as rig:
        session = await rig.session()
        await rig.stream()
        await rig.until(lambda: rig.proven("stream") and rig.proven("sequence"))
        intent = entry()
        outcome = await session.call(await rig.committed(intent), timeout_s=10)
        assert isinstance(outcome, Accepted)
        await rig.until(lambda: any(r.cl_ord_id == intent.id for r in rig.reports()))


async def test_an_order_whose_intent_was_not_committed_never_leaves():
    async with Rig() as rig:
        session = await up(rig)
        outcome = await session.call(Submit(intent=entry()), timeout_s=10)
        assert isinstance(outcome, NotSent)
        assert "NOT_COMMITTED" in outcome.reason
        assert client_ids(rig) == []


async def test_a_refusal_of_the_venue_is_rejected_with_its_fault():
    async with Rig() as rig:
        session = await up(rig)
        rig.fault(kind="error", method="add_order", text="EOrder:Insufficient funds")
        outcome = await session.call(await rig.committed(entry()), timeout_s=10)
        assert isinstance(outcome, Rejected)
        assert outcome.fault.category is Category.FUNDS


async def test_an_order_without_an_answer_is_unknown_after_deadline_and_grace_and_is_not_sent_again():
    async with Rig() as rig:
        session = await up(rig)
        rig.fault(kind="drop_reply", method="add_order")
        intent, began_s = entry(), rig.clock.now_s()
        outcome = await session.call(await rig.committed(intent), timeout_s=30)
        assert isinstance(outcome, Unknown)
        assert rig.clock.now_s() - began_s == pytest.approx(5.0 + rig.settings.reply_grace_s, abs=0.1)
        await asyncio.sleep(60)
        assert client_ids(rig) == [intent.id]


async def test_a_connection_lost_after_the_write_leaves_every_pending_command_unknown():
    async with Rig() as rig:
        session = await up(rig)
        rig.fault(kind="delay", method="add_order", s=3.0, n=2)
        submits = [await rig.committed(entry()) for _ in range(2)]
        calls = [asyncio.create_task(session.call(submit, timeout_s=10)) for submit in submits]
        await asyncio.sleep(0.1)
        rig.network.cut_websockets()
        outcomes = await asyncio.gather(*calls)
        assert all(isinstance(outcome, Unknown) for outcome in outcomes)
        assert not rig.proven("session")


async def test_before_it_is_connected_a_session_refuses_with_nothing_sent():
    async with Rig() as rig:
        rig.network.faults.delay_s = 1.0
        session = await rig.session()
        outcome = await session.call(await rig.committed(entry()), timeout_s=10)
        assert isinstance(outcome, NotSent)


async def test_commands_for_one_order_go_out_one_at_a_time():
    async with Rig() as rig:
        session = await up(rig)
        accepted = await session.call(await rig.committed(entry()), timeout_s=10)
        (order_id,) = accepted.order_ids
        rig.fault(kind="delay", method="amend_order", s=2.0)
        amend = asyncio.create_task(session.call(await rig.amend(order_id, "25001"), timeout_s=10))
        await asyncio.sleep(0)
        cancel = asyncio.create_task(session.call(await rig.cancel(order_id), timeout_s=10))
        await asyncio.sleep(1.0)
        assert rig.orders_at_venue()[0]["open"]
        assert isinstance(await amend, Accepted)
        assert isinstance(await cancel, Accepted)
        order = rig.orders_at_venue()[0]
        assert (order["status"], Decimal(str(order["limit_price"]))) == ("canceled", Decimal(25001))


async def test_a_ledger_too_busy_to_answer_refuses_one_command_and_holds_up_no_later_one():
    async with Rig() as rig:
        session = await up(rig)
        (order_id,) = (await session.call(await rig.committed(entry()), timeout_s=10)).order_ids

        def full(_: object) -> object:
            raise MailboxFull("/store/ledger", 5000)

        ledger, busy = rig.ledger, await rig.system.spawn(Recorder, [], {ChargeOrder: full}, path="/busy")
        session.cell.actor._ledger = busy
        assert isinstance(await session.call(await rig.cancel(order_id), timeout_s=10), NotSent)
        session.cell.actor._ledger = ledger
        assert isinstance(await session.call(await rig.cancel(order_id), timeout_s=10), Accepted)


async def test_several_orders_are_cancelled_in_one_batch():
    async with Rig() as rig:
        session = await up(rig)
        ids = [
            (await session.call(await rig.committed(entry()), timeout_s=10)).order_ids[0] for _ in range(3)
        ]
        outcome = await session.call(await rig.cancel(*ids), timeout_s=10)
        assert outcome == Accepted(tuple(ids))
        assert {order["status"] for order in rig.orders_at_venue()} == {"canceled"}


async def test_entries_stop_before_the_venues_counter_and_cancels_still_pass():
    async with Rig(tier=Tier.STARTER) as rig:
        session = await up(rig)
        outcomes = [await session.call(await rig.committed(entry()), timeout_s=10) for _ in range(50)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, NotSent)]
        assert len(refused) == 5  # 60 on Starter, of which an entry leaves a quarter
        assert "RATE_LIMIT" in refused[0].reason
        first = outcomes[0]
        assert isinstance(first, Accepted)
        assert isinstance(await session.call(await rig.cancel(first.order_ids[0]), timeout_s=10), Accepted)
        assert rig.truth()["limits_broken"] == []


async def test_an_invalid_session_gets_one_new_token_and_the_second_time_an_exit():
    async with Rig() as rig:
        session = await up(rig)
        rig.fault(kind="expire_tokens")
        first = await session.call(await rig.committed(entry()), timeout_s=10)
        assert isinstance(first, Rejected)
        assert first.fault.category is Category.SESSION
        await rig.until(lambda: rig.history("session") == [True, False, True])
        assert isinstance(await session.call(await rig.committed(entry()), timeout_s=10), Accepted)
        rig.fault(kind="expire_tokens")
        assert isinstance(await session.call(await rig.committed(entry()), timeout_s=10), Rejected)
        await rig.until(lambda: not session.is_alive())
        assert not exit_of(session).fatal


async def test_a_refused_key_is_fatal_and_the_ledger_never_lets_it_be_used_again():
    async with Rig() as rig:
        rig.fault(kind="revoke_key", role="trade")
        session = await rig.session()
        await rig.until(lambda: not session.is_alive())
        assert exit_of(session).fatal
        tried = len(rig.network_requests())
        again = await rig.session()
        await rig.until(lambda: not again.is_alive())
        assert exit_of(again).fatal
        assert len(rig.network_requests()) == tried


async def test_a_key_that_is_refused_on_the_socket_answers_its_order_and_is_used_nowhere_again():
    async with Rig() as rig:
        session = await up(rig)
        rig.fault(kind="error", method="add_order", text="EAPI:Invalid key")
        outcome = await session.call(await rig.committed(entry()), timeout_s=10)
        assert isinstance(
            outcome, Rejected
        )  # the venue said no: there is nothing to look up, and no key to do it
        await rig.until(lambda: not session.is_alive())
        assert exit_of(session).fatal
        tried = len(rig.network_requests())
        with pytest.raises(Fatal, match="Invalid key"):
            await rig.desk().open_orders()
        assert len(rig.network_requests()) == tried


async def test_a_venue_that_falls_silent_is_noticed_within_the_deadline():
    async with Rig() as rig:
        session = await rig.session()
        await rig.stream()
        await rig.until(lambda: rig.proven("stream"))
        began_s = rig.clock.now_s()
        rig.fault(kind="silence", channel="", s=60.0)
        await rig.until(lambda: not session.is_alive())
        assert rig.clock.now_s() - began_s < rig.settings.silence_max_s * 1.3
        assert isinstance(exit_of(session).error, LinkClosed)


async def test_maintenance_closes_the_proof_and_online_opens_it_with_a_new_snapshot():
    async with Rig() as rig:
        await rig.session()
        await rig.stream()
        await rig.until(lambda: rig.proven("session") and rig.proven("stream"))
        rig.fault(kind="cancel_only", s=5.0)
        await rig.until(lambda: not rig.proven("session"))
        told = len(rig.orders_told)
        await rig.until(lambda: rig.proven("session") and rig.proven("stream"))
        assert any(reports.snapshot for reports in rig.orders_told[told:])


async def test_a_killed_session_loses_its_connection_at_once():
    async with Rig() as rig:
        session = await up(rig)
        rig.system.kill(session)
        await asyncio.sleep(0.05)
        assert exit_of(session).kind is ExitKind.KILLED
        assert all(end.closed for end in rig.network._connections)
        with pytest.raises(ActorDead):
            await session.call(GetConnection())


async def test_a_rate_limited_token_request_is_waited_out_without_an_exit():
    async with Rig() as rig:
        rig.fault(kind="error", method="GetWebSocketsToken", text="EAPI:Rate limit exceeded", n=1)
        session = await rig.session()
        await rig.until(lambda: rig.proven("session"))
        assert session.incarnation == 1
        assert rig.truth()["limits_broken"] == []


async def test_no_crash_report_shows_a_key_its_secret_or_a_token():  # T085
    async with Rig() as rig:
        session = await up(rig)
        key, token = rig.key(), session.cell.actor._token
        await session.call(await rig.committed(entry()), timeout_s=10)
        rig.fault(kind="error", method="add_order", text="EAPI:Invalid key")
        await session.call(await rig.committed(entry()), timeout_s=10)
        await rig.until(lambda: not session.is_alive())
        again = await rig.session()
        again.tell("nonsense")
        await rig.until(lambda: not again.is_alive())
        reports = [event.text() + repr(event) for event in rig.events if isinstance(event, CrashReport)]
        assert token
        assert len(reports) >= 2
        assert not any(word in report for report in reports for word in (key.key, key.secret, token))


async def test_a_venue_in_maintenance_is_waited_for_without_an_exit_however_long_it_takes():
    async with Rig() as rig:
        rig.fault(kind="maintenance", s=120.0)
        session = await rig.session()
        await asyncio.sleep(119.0)
        assert session.is_alive()
        assert not rig.proven("session")
        await rig.until(lambda: rig.proven("session"))


async def test_a_connection_on_which_the_venue_never_says_how_it_is_ends():
    """Its heartbeats kept it alive, and nobody traded: the status comes first, or something is wrong with it."""
    async with Rig() as rig:
        rig.fault(kind="silence", channel="status", s=1.0)
        session = await rig.session()
        await rig.stream()
        await rig.until(lambda: not session.is_alive())
        assert "no status" in str(exit_of(session).error)
