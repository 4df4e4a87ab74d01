import asyncio

import pytest

from allstop.actors.reports import Accepted, NotSent, Rejected, Unknown
from tests.connections.rig import Rig, entry

pytestmark = pytest.mark.virtual


async def test_a_session_connects_with_a_fresh_token_and_proves_itself():
    async with Rig() as rig:
        await rig.session()
        await rig.until(lambda: rig.proven("session"))


async def test_an_order_with_its_stop_is_accepted_and_seen_on_the_stream():
    async with Rig() as rig:
        session = await rig.session()
        await rig.stream()
        await rig.until(lambda: rig.proven("stream") and rig.proven("sequence"))
        intent = entry()
        outcome = await session.call(await rig.committed(intent), timeout_s=10)
        assert isinstance(outcome, Accepted)
        await rig.until(lambda: any(r.cl_ord_id == intent.id for r in rig.reports()))


async def test_all_three_proofs_hold_when_the_venues_lists_agree_with_ours():
    async with Rig() as rig:
        await rig.session()
        await rig.stream()
        await rig.reconciler()
        await rig.until(lambda: all(rig.proven(n) for n in ("session", "stream", "sequence", "reconciled")))
