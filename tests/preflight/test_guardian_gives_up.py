"""An account whose guardian cannot be kept alive is a halt, whatever may be restarted above it."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from tests.connections.rig import BTC, Recorder
from tests.preflight.test_preflight import Bench

from allstop.actors.levels import ROOT, CastVote, Level, LevelBoard
from allstop.actors.market_data import Freshness
from allstop.actors.order_gate import GateBoard
from allstop.actors.runtime import ActorSystem
from allstop.actors.venue_clock import VenueClock
from allstop.supervisors.config import Budget
from allstop.supervisors.kraken_account import AccountParts, account_path, account_spec, make_checkpoint
from allstop.supervisors.supervisor import Supervisor

pytestmark = pytest.mark.virtual


async def test_an_account_whose_guardian_gave_up_votes_for_a_halt_and_the_vote_stays() -> None:
    async with AsyncExitStack() as stack:
        bench = Bench()
        await stack.enter_async_context(bench.kraken)
        bench.kraken.serve_on(bench.network)
        stack.push_async_callback(bench.network.close)
        votes: list[Any] = []
        system = await stack.enter_async_context(
            ActorSystem(clock=bench.clock, dice=bench.world.dice, ids=bench.world.ids)
        )

        def broken(event: object) -> None:
            raise RuntimeError("an observer that fails is dropped, and no halt hangs on it")

        system.subscribe(broken)
        root = await system.spawn(Recorder, votes, path="/")
        node = replace(bench.node, private_url=bench.kraken.ws_auth_url, budget=Budget(1, 300))
        levels, fresh = LevelBoard(), Freshness()
        checkpoint = make_checkpoint(node, VenueClock(bench.clock, measured=True), levels, fresh, root)
        parts = AccountParts(
            node, system, bench.world, bench.keys(), {BTC.pair: BTC}, levels, fresh, GateBoard(), checkpoint
        )
        spec = account_spec(parts)
        path = account_path(node)
        account = await system.spawn(Supervisor, *spec.start.args, path=path, **spec.start.kwargs)
        for _ in range(2):
            assert not [v for v in votes if isinstance(v, CastVote) and v.vote.level is Level.HALTED]
            system.kill(parts.at("guardian"))
            await asyncio.sleep(5.0)

        assert not account.is_alive()
        (halt,) = [v for v in votes if isinstance(v, CastVote) and v.vote.level is Level.HALTED]
        assert (halt.vote.by, halt.vote.scope, halt.latched) == (path, ROOT, True)
        assert "guardian" in halt.vote.reason
