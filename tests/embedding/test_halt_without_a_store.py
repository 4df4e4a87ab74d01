"""A halt is proven, and what is open is protected, when who should have written it down or given turns is down for good.

Who is lost: the account's journal (its disk is full, or it was killed beyond its budget), its ledger, its egress, its
guardian (with which the account ends, and starts anew), or what all accounts stand on. Each time one order rests at the venue and two positions stand there: one with its stop, and one whose stop was refused.
"""

from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.scenarios.engine import (
    ACCOUNT,
    ROOM,
    at_venue,
    calls,
    entry,
    missing,
    position,
    refusal,
    resting,
    stops,
)

from allstop.actors.levels import ROOT, Level
from allstop.actors.links.condition import DiskCondition
from allstop.supervisors.config import Tree, accounts, data, halt_root, kraken, kraken_public
from allstop.supervisors.halting import HaltStatus, Status
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue

BUDGET = 3
HALT_S = 5.0
PAIRS = ["BTC/USD", "ETH/USD"]
COVERED, BARE = PAIRS

Lose = Callable[[Hand, Advance], None]


@pytest.fixture
def tree() -> Tree:
    """With the budgets that one has who names none."""
    account = kraken(
        account="main", pairs=PAIRS, api_key_env="KRAKEN_KEY", api_secret_env="KRAKEN_SECRET", tier="pro"
    )
    return halt_root(accounts(account), data(kraken_public(PAIRS)))


def status(world: SimulatedTree) -> HaltStatus:
    return world.call("/", Status())


def a_full_disk(chaos: Hand, advance: Advance) -> None:
    chaos.lay_on_disk(ACCOUNT, "test", DiskCondition(full=True))


def killed(who: str) -> Lose:
    def lose(chaos: Hand, advance: Advance) -> None:
        chaos.kill(who)

    lose.__name__ = who
    return lose


LOSSES = pytest.mark.parametrize(
    "lose",
    [
        a_full_disk,
        killed(f"{ROOM}/store/journal"),
        killed(f"{ROOM}/store/ledgers"),
        killed(f"{ROOM}/store/egress"),
        killed(f"{ROOM}/guardian"),
        killed("/infrastructure/journal"),
        killed("/infrastructure/host_ledgers"),
    ],
)


def spend_the_budget(lose: Lose, chaos: Hand, advance: Advance) -> None:
    for _ in range(0 if lose is a_full_disk else BUDGET):
        lose(chaos, advance)
        advance.until_trading()
        advance(5.0)


@LOSSES
def test_the_halt_is_proven_by_the_venues_lists_and_what_is_bare_is_covered(
    lose: Lose, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    spend_the_budget(lose, chaos, advance)
    covered, waiting = entry(venue, COVERED), resting(venue, COVERED)
    world.submit(covered)
    world.submit(waiting)
    advance(3.0)
    assert not status(world).halted
    venue.fault("refuse_closes", n=1)
    bare = entry(venue, BARE)
    world.begin(world.stage.submit(bare))
    advance.until(lambda: position(venue, BARE))
    assert not stops(venue, BARE)

    lose(chaos, advance)
    began_s = world.now_s
    advance.until(lambda: world.runtime.levels.effective(ROOT) is Level.HALTED, timeout_s=2.0)
    advance.until(lambda: status(world).proven, timeout_s=HALT_S)

    assert status(world).on_disk
    assert not at_venue(venue, waiting.id)[0]["open"]
    [stop] = stops(venue, COVERED)
    assert position(venue, COVERED) == Decimal("0.001")
    asked = calls(venue, "OpenOrders", since_s=began_s, key="trade")
    assert [call for call in asked if call["error"] is None]
    advance.until(lambda: len(stops(venue, BARE)) == 1, timeout_s=3.0)
    assert refusal(world, resting(venue)) is not None
    advance(60.0)
    assert stops(venue, COVERED) == [stop]
    assert len(stops(venue, BARE)) == 1
    assert position(venue, BARE) > 0
    assert venue.truth()["limits_broken"] == []


@LOSSES
def test_the_halt_stays_in_the_next_process_and_nobody_resumes_before_it(
    lose: Lose, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    spend_the_budget(lose, chaos, advance)
    waiting = resting(venue)
    world.submit(waiting)
    advance(1.0)
    lose(chaos, advance)
    advance.until(lambda: status(world).proven, timeout_s=HALT_S + 2.0)
    request = {"command": "resume", "by": "me", "reason": "it looks good"}
    if not lose.__name__.endswith("guardian"):  # whose account has started anew: all are there again
        assert not world.run(world.stage.world.host.ask(request))["ok"]
    chaos.heal_all()
    chaos.die(down_s=1.0)
    advance(4.0)
    assert world.lives == 2
    advance.until(lambda: status(world).proven, timeout_s=HALT_S + 5.0)
    assert status(world).halted
    assert not at_venue(venue, waiting.id)[0]["open"]
    advance.until(lambda: not missing(world), timeout_s=30.0)
    answer = world.run(world.stage.world.host.ask(request))
    assert answer["ok"], answer
    advance.until_trading()
