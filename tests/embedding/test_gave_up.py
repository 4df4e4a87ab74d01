"""Who must live to trade at all, and gave up: the engine is HALTED, latched, and says who it was."""

from decimal import Decimal

import pytest

from allstop.actors.errors import Refused
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import ROOT, Level
from allstop.supervisors.config import Tree, accounts, data, halt_root, kraken, kraken_public
from allstop.supervisors.halting import HaltStatus, Status
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue

ACCOUNT = "/accounts/kraken.main"
BUDGET = 3  # an account's, in 300 s; its store has one of its own, as large
PAIRS = ["BTC/USD"]


@pytest.fixture
def tree() -> Tree:
    """With the budgets that one has who names none."""
    account = kraken(account="main", pairs=PAIRS, api_key_env="KRAKEN_KEY", api_secret_env="KRAKEN_SECRET")
    return halt_root(accounts(account), data(kraken_public(PAIRS)))


def entry(venue: Venue) -> OrderIntent:
    stop = StopLoss(trigger_price=(venue.ask("BTC/USD") * Decimal("0.95")).quantize(Decimal("0.1")))
    return OrderIntent(
        pair="BTC/USD", side=Side.BUY, qty=Decimal("0.001"), order_type=OrderType.MARKET, stop=stop
    )


def kill_beyond_the_budget(who: str, world: SimulatedTree, chaos: Hand, advance: Advance) -> None:
    for _ in range(BUDGET):
        chaos.kill(f"{ACCOUNT}/{who}")
        advance.until_trading()
        advance(5.0)
    assert not status(world).halted  # so many it may have
    chaos.kill(f"{ACCOUNT}/{who}")
    advance(1.0)


def status(world: SimulatedTree) -> HaltStatus:
    return world.call("/", Status())


@pytest.mark.parametrize(
    ("who", "by"),
    [
        ("guardian", ACCOUNT),
        ("store/journal", f"{ACCOUNT}/store"),
        ("store/ledgers", f"{ACCOUNT}/store"),
        ("store/egress", f"{ACCOUNT}/store"),
    ],
)
def test_who_is_killed_beyond_its_budget_halts_everything_until_a_person_resumes(
    who: str, by: str, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    kill_beyond_the_budget(who, world, chaos, advance)

    halt = status(world)
    assert (halt.halted, halt.level, halt.by, halt.on_disk) == (True, Level.HALTED, by, True)
    assert f"gave up after {BUDGET} restarts of {who.rpartition('/')[2]}" in halt.reason
    with pytest.raises(Refused, match="LEVEL"):
        world.submit(entry(venue))
    advance(400.0)  # the budget's window is over, and nothing of that lifts a halt
    assert world.runtime.levels.effective(ROOT) is Level.HALTED

    chaos.die(down_s=1.0)  # nor does another process, in which all of them live
    advance.until(lambda: world.lives == 2)
    advance(5.0)
    assert world.runtime.address(f"{ACCOUNT}/{who}").is_alive()
    assert (status(world).halted, status(world).by) == (True, by)
    with pytest.raises(Refused, match="LEVEL"):
        world.submit(entry(venue))
    assert venue.asked("AddOrder") == []
