"""Rate limits and who is served first when they are reached (scenarios c.7)."""

import contextlib
from decimal import Decimal

import pytest
from tests.scenarios.engine import (
    COVER_S,
    OTHER_PAIR,
    PAIR,
    ROOM,
    calls,
    entry,
    level,
    position,
    position_with_stop,
    refusal,
    resting,
    state,
    stops,
    told,
    uncovered_s,
)

from allstop.actors.ledger_messages import GetLedger, LedgerView
from allstop.actors.levels import Level
from allstop.actors.limits.kraken import LIMITS
from allstop.actors.reconciler import Reconcile
from allstop.actors.runtime import CallTimeout
from allstop.supervisors.config import Tree, accounts, data, halt_root, kraken, kraken_public, strategies
from allstop.supervisors.demo.tree import BACKOFF, TRADING, Budget
from allstop.supervisors.simulation import trees
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue

HALT_S = 5.0
LEDGERS = f"{ROOM}/store/ledgers"


def one_key(*, tier: str) -> Tree:
    """The bare tree in another tier, its guardian sharing the trade key."""
    return halt_root(
        accounts(
            kraken(
                account="main", pairs=(PAIR, OTHER_PAIR), max_restarts=20, max_seconds=60, trading=TRADING, tracker=Budget(5, 60),
                backoff=BACKOFF, api_key_env="SIMULATED_KEY", api_secret_env="SIMULATED_SECRET",
                rest_url=trees.REST_URL, private_url=trees.PRIVATE_URL, timing="loopback", tier=tier,
            )
        ),
        data(kraken_public((PAIR, OTHER_PAIR), max_restarts=20, max_seconds=60, backoff=BACKOFF, url=trees.PUBLIC_URL, rest_url=trees.REST_URL, timing="loopback")),
        strategies(),
    )  # fmt: skip


class TestIntermediate:
    @pytest.fixture
    def tree(self) -> Tree:
        return one_key(tier="intermediate")

    @pytest.mark.scenario("T086")
    def test_a_halt_cancels_young_orders_in_batches_in_time_below_the_limit_and_keeps_the_stops(
        self, world: SimulatedTree, venue: Venue, advance: Advance
    ) -> None:
        position_with_stop(world, venue, advance)
        placed = 0
        for _ in range(10):  # as many as the order rate lets in, all of them younger than five seconds
            placed += refusal(world, resting(venue)) is None
            placed += refusal(world, resting(venue, OTHER_PAIR)) is None
            advance(0.05)
        advance(0.3)
        assert placed >= 15
        began_s = world.now_s
        world.halt("too many")
        took_s = world.now_s - began_s
        assert took_s <= HALT_S
        assert venue.orders(open_only=True) == stops(venue)
        assert len(stops(venue)) == 1
        assert calls(venue, "CancelOrderBatch", since_s=began_s)
        assert not calls(venue, "CancelAll")
        assert len(calls(venue, "CancelOrder", since_s=began_s)) <= 1
        truth = venue.truth()
        assert truth["limits_broken"] == []
        assert not [row for row in truth["requests"] if "Rate limit" in (row["error"] or "")]


class TestOneKey:
    @pytest.fixture
    def tree(self) -> Tree:
        return one_key(tier="starter")

    @pytest.mark.scenario("T094")
    def test_a_limiter_that_crashes_comes_back_with_counters_that_are_no_lower_than_the_venues(
        self, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
    ) -> None:
        advance(1.0)

        def burst() -> int:
            placed = [world.submit(resting(venue)).id for _ in range(46)]
            advance(0.5)
            return sum(state(world, intent_id) == "NEW" for intent_id in placed)

        first = burst()
        assert 30 <= first <= 45  # three quarters of 60: the rest is for cancels and stops
        chaos.crash(LEDGERS)
        advance(0.1)
        advance.until_trading()
        assert told(world, "CrashReport", LEDGERS)
        assert burst() <= 5
        truth = venue.truth()
        assert truth["limits_broken"] == []
        assert not [row for row in truth["requests"] if "Rate limit" in (row["error"] or "")]
        assert level(world) is Level.NONE


@pytest.mark.parametrize("tier", ["starter", "intermediate", "pro"])
class TestOneKeyForAll:
    @pytest.fixture
    def tree(self, tier: str) -> Tree:
        return one_key(tier=tier)

    @pytest.mark.scenario("T088")
    def test_a_stop_is_placed_while_the_call_counter_is_at_what_others_may_use(
        self, world: SimulatedTree, venue: Venue, advance: Advance
    ) -> None:
        advance(20.0)

        async def read() -> None:
            with contextlib.suppress(CallTimeout):
                await world.runtime.address(f"{ROOM}/trading/reconciler").call(Reconcile(), timeout_s=0.3)

        for _ in range(30):
            world.run(world.stage.ask(read()))
        view: LedgerView = world.call(LEDGERS, GetLedger())
        assert max(view.rest.values()) > 0.55 * LIMITS[view.tier].rest_max
        venue.fault(
            "refuse_closes", n=1
        )  # the order's own stop is refused: the guardian must place one, by REST
        world.submit(entry(venue))
        advance(4.0)
        assert len(stops(venue)) == 1
        assert position(venue) == Decimal("0.001")
        assert uncovered_s(venue) < COVER_S
        assert calls(venue, "AddOrder")
        assert venue.truth()["limits_broken"] == []
