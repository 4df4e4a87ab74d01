import asyncio
from decimal import Decimal

import pytest
from tests.connections.rig import Rig, entry, exit_of

from allstop.actors.commands import OrderView, Reports
from allstop.actors.reconciler import Reconcile, disagreements
from allstop.actors.reports import OrderReport, OrderStatus


def seen(order_id: str = "O1", status: OrderStatus = OrderStatus.NEW, cum: str = "0") -> OrderReport:
    return OrderReport(order_id=order_id, status=status, cum_qty=Decimal(cum))


def believed(report: OrderReport | None, cum: str = "0") -> OrderView:
    return OrderView(intent=entry(), state="OPEN", report=report, cum_qty=Decimal(cum))


@pytest.mark.parametrize(
    ("view", "venue", "agrees"),
    [
        (believed(seen()), [seen()], True),
        (believed(seen()), [], True),  # placed since the list was read, or absent: that is another question
        (believed(seen()), [seen(status=OrderStatus.CANCELED)], False),
        (believed(seen(status=OrderStatus.FILLED, cum="1"), "1"), [seen()], True),  # ahead of an older list
        (believed(seen(), "0"), [seen(cum="0.5")], False),
        (believed(seen(), "0.5"), [seen(cum="0.5")], True),
        (believed(None), [], True),  # its own tracker's open question
        (believed(seen()), [seen(), seen("O2")], True),  # an order that is not ours
    ],
)
def test_what_counts_as_a_disagreement(view: OrderView, venue: list[OrderReport], agrees: bool):
    assert (disagreements([view], {report.order_id: report for report in venue}) == ()) is agrees


@pytest.mark.virtual
async def test_all_proofs_hold_when_the_venues_lists_agree_with_ours():
    async with Rig() as rig:
        await rig.session()
        await rig.stream()
        await rig.reconciler()
        await rig.until(lambda: all(rig.proven(n) for n in ("session", "stream", "sequence", "reconciled")))


@pytest.mark.virtual
async def test_what_was_read_is_told_as_a_query():
    async with Rig() as rig:
        session, intent = await rig.session(), entry()
        await rig.until(lambda: rig.proven("session"))
        await session.call(await rig.committed(intent), timeout_s=10)
        reconciler = await rig.reconciler()
        view = await reconciler.call(Reconcile(), timeout_s=20)
        assert view.holds
        queried = [told for told in rig.orders_told if isinstance(told, Reports) and told.source == "query"]
        assert [report.cl_ord_id for report in queried[-1].reports] == [intent.id]


@pytest.mark.virtual
async def test_a_read_that_fails_proves_nothing_and_is_tried_again():
    async with Rig() as rig:
        rig.fault(kind="http_520", method="OpenOrders", n=2)
        reconciler = await rig.reconciler()
        assert not (await reconciler.call(Reconcile(), timeout_s=20)).holds
        await rig.until(lambda: rig.proven("reconciled"))
        assert reconciler.incarnation == 1
        assert reconciler.is_alive()


@pytest.mark.virtual
async def test_reads_that_go_on_failing_are_an_exit():
    async with Rig() as rig:
        rig.fault(kind="http_520", method="OpenOrders", n=100)
        reconciler = await rig.reconciler()
        await reconciler.call(Reconcile(), timeout_s=20)
        await rig.until(lambda: not reconciler.is_alive(), within_s=120)
        assert not rig.proven("reconciled")
        assert not exit_of(reconciler).fatal


@pytest.mark.virtual
async def test_an_order_that_the_venue_does_not_know_freezes_its_instrument_and_holds_up_nothing_else():
    async with Rig() as rig:
        rig.views = [believed(seen("OQCLML-BW3P3-BUCMWZ"))]
        reconciler = await rig.reconciler()
        view = await reconciler.call(Reconcile(), timeout_s=20)
        assert view.holds
        assert "unknown to the venue" in view.failure
        assert rig.board.frozen_by(reconciler.path) == {"BTC/USD"}
        await asyncio.sleep(600)  # for as long as it takes, and without an exit
        assert reconciler.is_alive()
        assert rig.board.frozen_by(reconciler.path) == {"BTC/USD"}
        rig.views = []
        await rig.until(lambda: not rig.board.frozen_by(reconciler.path))


@pytest.mark.virtual
async def test_a_restarted_reconciler_thaws_what_the_one_before_it_froze():
    async with Rig() as rig:
        rig.views = [believed(seen("OQCLML-BW3P3-BUCMWZ"))]
        reconciler = await rig.reconciler()
        await reconciler.call(Reconcile(), timeout_s=20)
        rig.system.kill(reconciler)
        rig.views = []
        again = await rig.reconciler()
        await again.call(Reconcile(), timeout_s=20)
        assert not rig.board.frozen_by(reconciler.path)


@pytest.mark.virtual
async def test_an_order_that_was_accepted_while_the_lists_were_read_is_no_disagreement():
    async with Rig() as rig:
        rig.fault(kind="delay", method="ClosedOrders", s=0.5)
        reconciler = await rig.reconciler()
        asking = asyncio.create_task(reconciler.call(Reconcile(), timeout_s=20))
        await asyncio.sleep(0.25)
        rig.views = [believed(seen("OQCLML-BW3P3-BUCMWZ"))]
        view = await asking
        assert view.holds
        assert view.disagreements == ()
        assert not rig.board.frozen_by(reconciler.path)


@pytest.mark.virtual
async def test_it_reconciles_again_every_interval():
    async with Rig() as rig:
        reconciler = await rig.reconciler()
        first = await reconciler.call(Reconcile(), timeout_s=20)
        await asyncio.sleep(rig.settings.reconcile_interval_s * 3.5)
        again = [told for told in rig.orders_told if isinstance(told, Reports)]
        assert first.rounds == 1
        assert len(again) == 4


@pytest.mark.virtual
async def test_after_an_outage_orders_that_came_and_went_meanwhile_are_read():
    async with Rig() as rig:
        session = await rig.session()
        await rig.stream()
        reconciler = await rig.reconciler()
        await rig.until(lambda: rig.proven("reconciled"))
        rig.system.kill(reconciler)  # and with it the rest of the engine
        (order_id,) = (await session.call(await rig.committed(entry()), timeout_s=10)).order_ids
        await session.call(await rig.cancel(order_id), timeout_s=10)
        await asyncio.sleep(600)
        rig.orders_told.clear()
        again = await rig.reconciler()
        assert (await again.call(Reconcile(), timeout_s=20)).holds
        told = [told for told in rig.orders_told if isinstance(told, Reports) and told.source == "query"]
        assert [report.order_id for report in told[-1].reports] == [order_id]


@pytest.mark.virtual
async def test_its_proof_is_not_noted_more_often_than_every_five_minutes():
    async with Rig() as rig:
        await rig.reconciler()
        rig.system.address("/trading/reconciler").tell(Reports(reports=(), snapshot=True))
        await asyncio.sleep(650)
        rows = [row for row in rig.disk.rows("kraken.main") if row.kind == "reconciled"]
        assert len(rows) == 3


@pytest.mark.virtual
@pytest.mark.parametrize("end", ["stop", "kill", "crash"])
async def test_however_it_ends_its_http_client_is_closed(end: str):
    async with Rig() as rig:
        reconciler = await rig.reconciler()
        await reconciler.call(Reconcile(), timeout_s=20)
        match end:
            case "stop":
                await rig.system.stop(reconciler)
            case "kill":
                rig.system.kill(reconciler)
            case _:
                reconciler.tell("nonsense")
        await asyncio.sleep(0.1)
        assert not reconciler.is_alive()
        assert [http._closed for http in rig.https] == [True]
