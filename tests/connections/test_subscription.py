import asyncio

import pytest
from tests.connections.rig import Recorder, Rig, entry, exit_of

from allstop.actors.commands import Reports, SubscribeReports
from allstop.actors.protocols.kraken.events import MalformedFrame
from allstop.actors.reports import Accepted
from allstop.actors.subscription import GetBalances, GetStream, StreamFault

pytestmark = pytest.mark.virtual


async def up(rig: Rig):
    session, stream = await rig.session(), await rig.stream()
    await rig.until(lambda: rig.proven("session") and rig.proven("stream") and rig.proven("sequence"))
    return session, stream


async def test_a_stream_proves_itself_only_with_both_snapshots():
    async with Rig() as rig:
        rig.fault(kind="silence", channel="balances", s=3.0)
        await rig.session()
        await rig.stream()
        await asyncio.sleep(2.0)
        assert not rig.proven("stream")
        assert any(told.snapshot for told in rig.orders_told)


async def test_an_acked_subscription_without_a_snapshot_is_subscribed_anew():
    async with Rig() as rig:
        rig.fault(kind="silence", channel="executions", s=3.0)
        await rig.session()
        stream = await rig.stream()
        await rig.until(lambda: rig.proven("stream"))
        assert (await stream.call(GetStream())).resubscribes == 1


async def test_a_missing_number_drops_the_sequence_until_a_new_snapshot():
    async with Rig() as rig:
        session, stream = await up(rig)
        rig.fault(kind="sequence_gap", channel="executions", n=1)
        for _ in range(2):
            assert isinstance(await session.call(await rig.committed(entry()), timeout_s=10), Accepted)
        await rig.until(lambda: not rig.proven("sequence"))
        told = len(rig.orders_told)
        await rig.until(lambda: rig.proven("sequence"))
        snapshot = next(r for r in rig.orders_told[told:] if isinstance(r, Reports) and r.snapshot)
        assert len([report for report in snapshot.reports if not report.status.terminal]) == 2
        assert stream.is_alive()


async def test_a_frame_so_broken_that_it_names_no_channel_is_a_fault_too():
    async with Rig() as rig:
        session, stream = await up(rig)
        rig.fault(kind="corrupt_frame", channel="executions", n=1)
        intent = entry()
        await session.call(await rig.committed(intent), timeout_s=10)
        await rig.until(lambda: any(report.cl_ord_id == intent.id for report in rig.reports()))
        assert (await stream.call(GetStream())).resubscribes == 1


async def test_an_accepted_order_that_the_stream_never_shows_is_a_silent_stream():
    async with Rig() as rig:
        session, stream = await up(rig)
        rig.fault(kind="silence", channel="executions", s=2.0)
        intent = entry()
        assert isinstance(await session.call(await rig.committed(intent), timeout_s=10), Accepted)
        await rig.until(lambda: not rig.proven("stream"), within_s=3.0)
        await rig.until(lambda: rig.proven("stream"))
        assert any(report.cl_ord_id == intent.id for report in rig.reports())
        assert stream.is_alive()


async def test_the_third_fault_in_a_minute_is_an_exit():
    async with Rig() as rig:
        session, stream = await up(rig)
        for _ in range(3):
            assert stream.is_alive()
            await rig.until(lambda: rig.proven("sequence"))
            rig.fault(kind="sequence_gap", channel="executions", n=1)
            for _ in range(2):
                await session.call(await rig.committed(entry()), timeout_s=10)
            await asyncio.sleep(0.5)
        await rig.until(lambda: not stream.is_alive())
        assert isinstance(exit_of(stream).error, StreamFault)
        assert not rig.proven("stream")


async def test_three_faults_in_three_minutes_are_no_exit():
    async with Rig() as rig:
        session, stream = await up(rig)
        for _ in range(3):
            await rig.until(lambda: rig.proven("sequence"))
            rig.fault(kind="sequence_gap", channel="executions", n=1)
            for _ in range(2):
                await session.call(await rig.committed(entry()), timeout_s=10)
            await asyncio.sleep(65)
        assert stream.is_alive()
        assert (await stream.call(GetStream())).gaps == 3


async def test_a_lost_session_drops_the_proofs_and_the_next_one_raises_them():
    async with Rig() as rig:
        session, _stream = await up(rig)
        rig.network.cut_websockets()
        await rig.until(lambda: not session.is_alive())
        await rig.until(lambda: not rig.proven("stream") and not rig.proven("sequence"))
        await rig.session()
        await rig.until(lambda: rig.proven("session") and rig.proven("stream") and rig.proven("sequence"))


async def test_a_late_subscriber_is_told_how_things_stand():
    async with Rig() as rig:
        session, stream = await up(rig)
        intent = entry()
        await session.call(await rig.committed(intent), timeout_s=10)
        await rig.until(lambda: any(r.cl_ord_id == intent.id for r in rig.reports()))
        told: list[Reports] = []
        late = await rig.system.spawn(Recorder, told, path="/late")
        assert await stream.call(SubscribeReports(path=late.path)) is True
        await rig.until(lambda: told)
        assert told[0].snapshot
        assert [report.cl_ord_id for report in told[0].reports] == [intent.id]


async def test_balances_are_kept_as_the_venue_tells_them():
    async with Rig() as rig:
        _session, stream = await up(rig)
        assert (await stream.call(GetBalances()))["USD"] == 1_000_000


async def test_a_venue_that_is_away_is_asked_again_and_uses_up_no_budget():
    """A session that lives on through a maintenance: the stream was refused, and restarted, twenty times at once."""
    async with Rig() as rig:
        _, stream = await up(rig)
        rig.fault(kind="maintenance", s=5.0)
        stream.tell(MalformedFrame(text="{", reason="as if"))
        await asyncio.sleep(4.0)
        assert stream.is_alive()
        assert not rig.proven("stream")
        await rig.until(lambda: rig.proven("stream") and rig.proven("sequence"))
        assert stream.is_alive()
