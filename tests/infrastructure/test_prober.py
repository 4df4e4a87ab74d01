"""The prober: the budget's proof, and what it reports while the breaker is half-open."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.infrastructure.recorder import Recorder

from allstop.actors.commands import Proof
from allstop.actors.exits import Exit
from allstop.actors.key_turns import KeyTurns
from allstop.actors.limits.kraken import Tier, rest_meter
from allstop.actors.limits.nonces import Nonces
from allstop.actors.limits.promised import fresh
from allstop.actors.reconciler import Reconcile, ReconcileView
from allstop.actors.runtime import ActorSystem
from allstop.actors.spec import Pause
from allstop.actors.store_board import StoreBoard
from allstop.supervisors import decisions as d
from allstop.supervisors.degrade import Breaker, BreakerState
from allstop.supervisors.prober import Prober
from allstop.supervisors.supervisor import Supervisor

pytestmark = pytest.mark.virtual


class Trading(Recorder, Supervisor):
    """A supervisor for whoever asks whether it is one; it keeps what it is told, and has no children."""

    def on_start(self) -> None:
        return None

    def on_stop(self, exit_: Exit) -> None:
        return None


def answering(value: object) -> Callable[[object], object]:
    def answer(_message: object) -> object:
        return value

    return answer


def board(**levels: float) -> StoreBoard:
    """An account's board whose keys' call counters stand at these levels from now on: nothing is given back."""
    made = StoreBoard()
    for name, level in levels.items():
        meter = msgspec.structs.replace(rest_meter(Tier.PRO, now_s=0.0), level=level, decay_per_s=0.0)
        made.keys[name] = KeyTurns(name=name, nonces=Nonces(), rest=fresh(meter, 0.0))
    return made


async def proofs(
    state: BreakerState, level: float, *, reconciled: bool = True, before: bool = False
) -> tuple[list[Proof], list[Any], list[Any]]:
    """Three seconds of a prober: what it told the gate, the trading supervisor and the reconciler."""
    gate: list[Proof] = []
    told: list[Any] = []
    asked: list[Any] = []
    breaker = Breaker(Pause(), 60.0, state=state)
    round_ = ReconcileView(holds=reconciled or before, last_held=reconciled, proven_at_ns=1, rounds=1)
    async with ActorSystem() as system:
        trading = await system.spawn(Trading, told, answering(breaker))
        reconciler = await system.spawn(Recorder, asked, answering(round_))
        await system.spawn(
            Prober,
            trading=trading,
            reconciler=reconciler,
            store=board(ours=level, guardian=20.0),
            gate=await system.spawn(Recorder, gate),
            key="ours",
        )
        await asyncio.sleep(3.0)
    return gate, [message for message in told if isinstance(message, d.CallReported)], asked


async def test_a_closed_breaker_and_room_on_the_trade_key_prove_the_budget() -> None:
    gate, reported, asked = await proofs(BreakerState.CLOSED, 5.0)
    assert gate[-1].name == "budget"
    assert gate[-1].holds
    assert (reported, asked) == ([], [])


async def test_a_full_call_counter_is_no_budget_and_says_so() -> None:
    gate, _, _ = await proofs(BreakerState.CLOSED, 19.0)
    assert not gate[-1].holds
    assert gate[-1].reason == "the call counter is at 19.0 of 18"


async def test_half_open_each_round_of_the_reconciler_is_reported_and_entries_wait() -> None:
    gate, reported, asked = await proofs(BreakerState.HALF_OPEN, 5.0)
    assert not gate[-1].holds
    assert len(reported) >= 2
    assert all(message.category is None for message in reported)
    assert all(isinstance(message, Reconcile) for message in asked)


async def test_a_round_that_does_not_hold_is_a_failed_probe() -> None:
    _, reported, _ = await proofs(BreakerState.HALF_OPEN, 5.0, reconciled=False)
    assert {message.category for message in reported} == {"probe"}


async def test_a_proof_of_an_earlier_round_is_no_good_probe() -> None:
    """What was proven stands when a later read fails, and says nothing of whether the venue answers now."""
    _, reported, _ = await proofs(BreakerState.HALF_OPEN, 5.0, reconciled=False, before=True)
    assert {message.category for message in reported} == {"probe"}


async def test_a_breaker_that_was_seen_closed_is_not_asked_for_again_and_the_counter_is_looked_at_each_second() -> (
    None
):
    told: list[Any] = []
    gate: list[Proof] = []
    store = board(ours=5.0)
    async with ActorSystem() as system:
        trading = await system.spawn(
            Trading, told, answering(Breaker(Pause(), 60.0, state=BreakerState.CLOSED))
        )
        reconciler = await system.spawn(Recorder, [])
        listening = await system.spawn(Recorder, gate)
        await system.spawn(
            Prober, trading=trading, reconciler=reconciler, store=store, gate=listening, key="ours"
        )
        await asyncio.sleep(3.5)
        store.keys["ours"].rest = board(ours=19.0).keys["ours"].rest
        await asyncio.sleep(1.0)
    assert len(told) == 1
    assert [proof.holds for proof in gate] == [True, False]
