"""An account's whole subtree, in memory and in virtual time, whose journal is lost under it (T103)."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from tests.connections.rig import BTC, Recorder, entry
from tests.preflight.test_preflight import Bench

from allstop.actors.commands import GetCover, GetOrder, Place, Proof, ProveHalt
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.host_ledger import HostLedger
from allstop.actors.journal import Append, JournalActor
from allstop.actors.levels import CastVote, Level, LevelBoard, Vote
from allstop.actors.limits.kraken import Tier
from allstop.actors.market_data import Freshness
from allstop.actors.order_gate import GateBoard
from allstop.actors.ports import JournalEntry
from allstop.actors.runtime import ActorSystem
from allstop.actors.venue_clock import VenueClock
from allstop.supervisors.kraken_account import (
    AccountParts,
    account_path,
    account_spec,
    make_checkpoint,
    missing,
)
from allstop.supervisors.supervisor import Supervisor

pytestmark = pytest.mark.virtual


async def test_a_lost_journal_leaves_the_guardian_and_its_way_out_alive_and_the_halt_is_proven() -> None:
    async with AsyncExitStack() as stack:
        bench = Bench()
        await stack.enter_async_context(bench.kraken)
        bench.kraken.serve_on(bench.network)
        stack.push_async_callback(bench.network.close)
        votes: list[Any] = []
        system = await stack.enter_async_context(
            ActorSystem(clock=bench.clock, dice=bench.world.dice, ids=bench.world.ids)
        )
        root = await system.spawn(Recorder, votes, path="/")
        runtime = await system.spawn(JournalActor, bench.world.open_journal, "runtime", path="/runtime")
        await system.spawn(HostLedger, journal=runtime, path="/infrastructure/host_ledgers")
        node = replace(bench.node, private_url=bench.kraken.ws_auth_url, tier=Tier.PRO.value)
        levels, fresh = LevelBoard(), Freshness()
        checkpoint = make_checkpoint(node, VenueClock(bench.clock, measured=True), levels, fresh, root)
        parts = AccountParts(
            node, system, bench.world, bench.keys(), {BTC.pair: BTC}, levels, fresh, GateBoard(), checkpoint
        )
        spec = account_spec(parts)
        account = await system.spawn(
            Supervisor, *spec.start.args, path=account_path(node), **spec.start.kwargs
        )
        guardian, journal = parts.at("guardian"), parts.at("store/journal")
        async with asyncio.timeout(30):
            while parts.gate_board.missing != ("clock",):
                await asyncio.sleep(0.05)
        gate, orders = parts.at("trading/gate"), parts.at("trading/orders")
        gate.tell(Proof(name="clock", holds=True, at_s=bench.clock.now_s(), by=root.path))
        await asyncio.sleep(0.05)
        view = await orders.call(Place(intent=entry()))
        async with asyncio.timeout(30):
            while (await orders.call(GetOrder(intent_id=view.intent.id))).state != "NEW":
                await asyncio.sleep(0.05)

        assert missing(parts) == []
        bench.disk.fail_next_commit(node.id)
        with pytest.raises(Exception, match="JOURNAL_LOST"):
            await journal.call(Append(entries=(JournalEntry(kind="test", key="", body=b"{}"),)))
        await asyncio.sleep(1.0)

        assert account.is_alive()
        assert guardian.is_alive()
        assert any(isinstance(v, CastVote) and v.vote.level is Level.HALTED for v in votes)
        levels.cast(Vote("/", (), Level.HALTED, "the journal is lost"))
        with pytest.raises(Refused) as caught:
            await orders.call(Place(intent=entry()))
        assert caught.value.code is RefusalCode.NOT_COMMITTED
        proof = await guardian.call(ProveHalt(reason="the journal is lost"), timeout_s=30.0)
        assert proof.canceled == 1
        assert (await guardian.call(GetCover())).reachable
        assert f"{node.id}: store/journal is down" in missing(parts)  # so nobody resumes before a restart
