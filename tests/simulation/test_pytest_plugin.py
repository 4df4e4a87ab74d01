"""The fixtures for users' own tests: a tree in virtual time, and oracles that fail a test which broke a promise."""

from decimal import Decimal
from typing import Any

import pytest

from allstop.actors.errors import BadInput, Refused
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.runtime import Actor
from allstop.actors.runtime.virtual_time import run_virtual
from allstop.supervisors.chaos import NotTrading
from allstop.supervisors.config import Tree, child, halt_root, strategies
from allstop.supervisors.oracles import Verdict
from allstop.supervisors.simulation.host import NobodyThere
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue
from allstop.supervisors.simulation.stage import Stage

pytest_plugins = ["pytester"]

PAIR = "BTC/USD"


def entry(venue: Venue, **changed: Any) -> OrderIntent:
    """A market buy with a stop a twentieth below the market."""
    stop = StopLoss(trigger_price=(venue.ask(PAIR) * Decimal("0.95")).quantize(Decimal("0.1")))
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.BUY, "qty": Decimal("0.001"), "order_type": OrderType.MARKET, "stop": stop,
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def test_an_order_fills_and_its_stop_stands(world: SimulatedTree, venue: Venue, advance: Advance) -> None:
    order = world.submit(entry(venue))
    advance(2.0)
    view = world.order(order.id)
    assert view is not None
    assert view.state == "FILLED"
    assert [one["order_type"] for one in venue.orders(open_only=True)] == ["stop-loss"]
    assert venue.cover(PAIR)["uncovered_ms_max"] < 2000
    assert venue.position(PAIR) == Decimal("0.001")
    assert venue.position("ETH/USD") == 0
    assert len(venue.asked("AddOrder")) == len(venue.sent(order.id)) == 1
    assert venue.bid(PAIR) < venue.ask(PAIR)


def test_a_lost_answer_is_looked_up_and_nothing_is_sent_twice(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    venue.fault("drop_reply", method="add_order")
    order = world.submit(entry(venue))
    advance(20.0)
    assert len(venue.sent(order.id)) == 1
    view = world.order(order.id)
    assert view is not None
    assert view.state == "FILLED"


def test_what_is_killed_or_cut_trades_again(world: SimulatedTree, chaos: Hand, advance: Advance) -> None:
    chaos.kill("/accounts/kraken.main/trading/session")
    assert 0 < advance.until_trading() < 30
    chaos.cut("private")
    advance(0.1)
    assert 0 < advance.until_trading() < 30
    assert any("CrashReport" in line for line in world.events)


def test_a_process_that_dies_is_started_again_on_its_own_disk(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    order = world.submit(entry(venue))
    advance(1.0)
    chaos.die(power=True, down_s=3.0)
    advance.until_trading()
    assert world.lives == 2
    view = world.order(order.id)
    assert view is not None
    assert view.state == "FILLED"


def test_an_engine_that_is_down_is_named_and_a_wait_that_ends_says_what_is_in_the_way(
    world: SimulatedTree, chaos: Hand, advance: Advance
) -> None:
    task = world.begin(world.stage.chaos.die(down_s=5.0))
    with pytest.raises(NobodyThere, match="down"):
        world.submit(
            OrderIntent(pair=PAIR, side=Side.BUY, qty=Decimal(1), stop=StopLoss(trigger_price=Decimal(1)))
        )
    with pytest.raises(NotTrading, match="the engine is down"):
        advance.until_trading(1.0)
    world.result(task)
    advance.until_trading()


def test_a_halted_tree_refuses_entries(world: SimulatedTree, venue: Venue) -> None:
    world.halt()
    with pytest.raises(Refused, match="LEVEL"):
        world.submit(entry(venue))


def test_a_plan_of_faults_is_carried_out_until_all_has_healed(world: SimulatedTree, advance: Advance) -> None:
    world.hurt("calm", duration_s=90.0)
    advance.until_trading()
    assert world.now_s > 30


class Echo(Actor):
    def on_receive(self, message: object) -> object:
        return message


class TestAnotherTree:
    @pytest.fixture
    def tree(self) -> Tree:
        return halt_root(strategies(child("echo", Echo)))

    def test_a_tree_of_the_users_own_runs_and_answers(self, world: SimulatedTree, advance: Advance) -> None:
        assert world.call("/strategies/echo", 7) == 7
        began_s = world.now_s
        advance(60.0)
        assert world.now_s - began_s == pytest.approx(60.0)


class TestATreeWithAChildThatBlocks:
    @pytest.fixture
    def tree(self) -> Tree:
        return halt_root(strategies(child("echo", Echo, isolation="process", simulated_cost_s=0.25)))

    def test_each_of_its_messages_takes_the_virtual_time_that_is_stated(self, world: SimulatedTree) -> None:
        began_s = world.now_s
        assert [world.call("/strategies/echo", number) for number in range(4)] == [0, 1, 2, 3]
        assert world.now_s - began_s == pytest.approx(1.0)


def test_a_tree_with_a_child_that_blocks_for_an_unstated_time_is_refused_by_name() -> None:
    async def play() -> None:
        async with Stage(halt_root(strategies(child("echo", Echo, isolation="thread")))):
            pytest.fail("it was started")

    with pytest.raises(BadInput, match=r"'echo'.* simulated_cost_s"):
        run_virtual(play())


SUITE = """
import pytest
from allstop.supervisors.oracles import Verdict
from allstop.supervisors.simulation import stage


@pytest.mark.simulated(seed=3)
def test_a_promise_is_broken(monkeypatch, world, advance):
    advance(1.0)
    monkeypatch.setattr(stage.Stage, "_judged", lambda self: (Verdict("O1", False, "two of one"),))


@pytest.mark.simulated(seed=3, judged=False)
def test_nobody_judges(monkeypatch, world):
    monkeypatch.setattr(stage.Stage, "_judged", lambda self: (Verdict("O1", False, "two of one"),))


@pytest.mark.simulated(sed=3)
def test_a_marker_with_a_mistake(world):
    pass


def test_that_waits_for_what_never_comes(world, advance):
    advance.until(lambda: False, timeout_s=1.0)


def test_two_worlds_of_one_seed_are_alike(world, advance):
    advance(5.0)
    lines.append(tuple(world.events))
    assert len(set(lines)) == 1


lines = []
test_again = test_two_worlds_of_one_seed_are_alike
"""


def test_a_broken_promise_fails_a_test_that_passed_and_mistakes_are_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    plugin = "allstop.supervisors.simulation.pytest_plugin"
    result = pytester.runpytest_subprocess("-p", plugin, "-p", "no:cacheprovider", "-q", timeout=60)
    result.assert_outcomes(passed=4, errors=2, failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*OracleFailed: O1: two of one*",
            "*simulated takes seed and judged, not sed*",
            "*not so after 1 virtual seconds*",
        ]
    )


MISUSED = """
import asyncio
import pytest

@pytest.mark.asyncio
async def test_async(world, advance):
    advance(1.0)

def test_async_without_a_plugin_for_it_is_a_plain_function(world, advance):
    advance(1.0)

@pytest.mark.simulated(7)
def test_marker_by_place(world):
    pass

@pytest.mark.simulated(seed="7")
def test_seed(world):
    pass

@pytest.mark.simulated(judged=0)
def test_judged(world):
    pass

class TestTree:
    @pytest.fixture
    def tree(self):
        pass

    def test_tree(self, world):
        pass

def test_verb(chaos):
    chaos.kil("/strategies")

def test_back_in_time(advance):
    advance(-1.0)

def test_for_ever(advance):
    advance(float("inf"))

def test_until_now(advance):
    advance.until(True)

def test_run(world):
    world.run(world.now_s)
"""


def test_a_fixture_that_is_misused_says_how_it_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MISUSED)
    plugin = "allstop.supervisors.simulation.pytest_plugin"
    result = pytester.runpytest_subprocess("-p", plugin, "-p", "no:cacheprovider", "-q", timeout=60)
    result.assert_outcomes(passed=1, errors=5, failed=5)
    result.stdout.fnmatch_lines_random(
        [
            "*UsageError: test_async is an async function, and a test with `world` is a plain one: *",
            "*UsageError: simulated takes seed and judged, not 7: write @pytest.mark.simulated(seed=7)",
            "*UsageError: simulated: seed is a number from 0 on, not '7'",
            "*UsageError: simulated: judged is True or False, not 0",
            "*UsageError: the fixture `tree` gave NoneType, not a tree: it returns what halt_root(...) gives",
            "*AttributeError: chaos has no verb 'kil'; it has *kill*",
            "*UsageError: advance takes virtual seconds, 0 or more and not for ever: not -1.0",
            "*UsageError: advance takes virtual seconds, 0 or more and not for ever: not inf",
            "*UsageError: advance.until takes a function that is asked again and again, not True: write lambda: ...",
            "*UsageError: world.run takes what an async function gives, not float",
        ]
    )


def test_verdicts_of_a_test_are_there_to_be_read(world: SimulatedTree) -> None:
    assert world.stage.verdicts == ()
    assert Verdict("O1", True).holds
