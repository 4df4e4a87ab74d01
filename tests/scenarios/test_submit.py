"""c.1: submitting, when nobody knows what came of it."""

import msgspec
import pytest
from tests.scenarios.steps import (
    COVER_MS,
    PAIR,
    QTY,
    alerts,
    at_market,
    journalled,
    leaving,
    level,
    on_krakens_time,
    protected,
    resting,
    state,
    states,
    view,
)

from allstop.actors.levels import Level
from allstop.actors.links.condition import Way
from allstop.actors.protocols.lookup import KRAKEN, PROFILES
from allstop.supervisors.config import Tree
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue


@pytest.fixture
def tree() -> Tree:
    return on_krakens_time()


def lose_the_answer(chaos: Hand) -> None:
    """The order is under way; with the first byte that comes back the connection is gone."""
    chaos.cut_after("private", 1, Way.DOWN)


@pytest.mark.scenario("T001")
def test_an_order_whose_connection_was_lost_after_the_send_is_found_and_taken_over(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    intent = resting(venue)
    world.submit(intent)
    lose_the_answer(chaos)
    advance(15.0)
    assert len(venue.asked("AddOrder")) == len(venue.sent(intent.id)) == 1
    assert state(world, intent) == "NEW"
    assert states(world, intent) == ["SENT", "UNKNOWN", "NEW"]
    assert view(world, intent).attempts == 1


@pytest.mark.scenario("T002")
def test_a_market_order_that_filled_while_the_connection_was_lost_counts_once_and_has_its_stop(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    intent = at_market(venue)
    venue.fault("refuse_closes", n=1)  # the venue makes no stop by itself: it is ours to place
    world.submit(intent)
    lose_the_answer(chaos)
    advance(15.0)
    assert (state(world, intent), view(world, intent).cum_qty) == ("FILLED", QTY)
    assert len(venue.executions()) == len(venue.sent(intent.id)) == 1
    assert protected(venue) == [QTY]
    assert venue.cover(PAIR)["uncovered_ms_max"] <= COVER_MS


@pytest.mark.scenario("T003")
def test_an_order_that_never_arrived_is_not_placed_once_its_deadline_is_over_and_two_searches_were_empty(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    intent = resting(venue)
    chaos.half_open("private")
    order = world.begin(world.stage.submit(intent))
    advance(0.05)  # the bytes have left, and are on the way
    chaos.cut("private")
    chaos.heal("private")
    world.result(order)
    advance(7.5)  # deadline 5 s, skew 1 s, settling 2 s: no search before that proves anything
    assert state(world, intent) == "UNKNOWN"
    advance.until(lambda: state(world, intent) == "NOT_PLACED", timeout_s=5.0, look_s=0.1)
    assert "2 empty, complete searches" in journalled(world, intent)
    assert venue.asked("AddOrder") == []
    again = resting(venue)
    world.submit(again)  # the instrument is free again
    advance(1.0)
    assert state(world, again) == "NEW"


@pytest.mark.scenario("T004")
def test_a_search_that_fails_for_twenty_seconds_does_not_find_that_there_is_nothing(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = resting(venue)
    venue.fault("silence", channel="executions", s=30.0)
    venue.fault("drop_reply", method="add_order")
    venue.fault("drop_reply", method="OpenOrders", n=1000)
    world.submit(intent)
    advance(28.0)  # the deadline, and twenty seconds of searches that fail
    assert state(world, intent) == "UNKNOWN"
    world.run(world.stage.venue.clear())
    advance(30.0)
    assert state(world, intent) == "NEW"
    assert len(venue.sent(intent.id)) == 1


@pytest.mark.scenario("T005")
def test_a_page_of_html_instead_of_an_answer_is_looked_up_and_crashes_nobody(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    world.submit(at_market(venue))
    advance(1.0)
    venue.fault("silence", channel="executions", s=10.0)
    venue.fault("http_520", method="AddOrder", executed=True)
    intent = leaving()  # exits go by REST
    world.submit(intent)
    advance(20.0)
    assert (state(world, intent), len(venue.sent(intent.id))) == ("FILLED", 1)
    assert venue.position(PAIR) == 0
    assert not [line for line in world.events if "CrashReport" in line]


@pytest.mark.scenario("T007")
def test_an_internal_error_of_the_venue_is_no_refusal_the_order_is_found(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = resting(venue)
    venue.fault("silence", channel="executions", s=8.0)
    venue.fault("error", method="add_order", text="EGeneral:Internal error", executed=True)
    world.submit(intent)
    advance(2.0)
    assert state(world, intent) == "UNKNOWN"
    advance(15.0)
    assert (state(world, intent), len(venue.sent(intent.id))) == ("NEW", 1)


@pytest.mark.scenario("T008")
@pytest.mark.parametrize(
    ("wrong", "ends", "attempts", "orders"), [(1, "NEW", 2, 1), (2, "NEW", 3, 1), (5, "NOT_PLACED", 3, 0)]
)
def test_an_invalid_nonce_is_sent_again_twice_at_most(
    world: SimulatedTree, venue: Venue, advance: Advance, wrong: int, ends: str, attempts: int, orders: int
) -> None:
    intent = resting(venue, ttl_s=60.0)
    venue.fault("invalid_nonce", method="add_order", n=wrong)
    world.submit(intent)
    advance(30.0)
    assert len(venue.sent(intent.id)) == orders
    assert view(world, intent).attempts == attempts
    assert state(world, intent) == ends


@pytest.mark.scenario("T018")
def test_a_fill_that_comes_before_the_answer_is_legal_and_the_answer_changes_nothing(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = at_market(venue)
    venue.fault("delay", method="add_order", s=0.5, executed=True)
    world.submit(intent)
    advance(0.3)
    assert (state(world, intent), view(world, intent).cum_qty) == ("FILLED", QTY)
    before = states(world, intent)
    advance(5.0)
    assert states(world, intent) == before
    assert before[0] == "SENT"
    assert "UNKNOWN" not in before
    assert (view(world, intent).cum_qty, len(venue.executions())) == (QTY, 1)


class TestAVenueThatProvesNothing:
    @pytest.fixture
    def tree(self, monkeypatch: pytest.MonkeyPatch) -> Tree:
        """Its lists may be asked, and prove an absence only when they are 130 seconds apart."""
        monkeypatch.setitem(PROFILES, "kraken", msgspec.structs.replace(KRAKEN, search_gap_s=130.0))
        return on_krakens_time()

    @pytest.mark.scenario("T019")
    def test_an_outcome_that_stays_unknown_only_reduces_after_30_s_and_halts_after_120_s(
        self, world: SimulatedTree, venue: Venue, advance: Advance
    ) -> None:
        intent = resting(venue)
        venue.fault("drop_reply", method="add_order", executed=False)
        world.submit(intent)
        advance(6.1)  # now nobody knows any more
        assert state(world, intent) == "UNKNOWN"
        advance(29.0)
        assert level(world, "kraken") is Level.NONE
        advance(2.0)
        assert level(world, "kraken") is Level.READ_ONLY
        advance(88.0)
        assert level(world) is Level.NONE
        advance(3.0)
        assert level(world) is Level.HALTED
        assert state(world, intent) == "UNKNOWN"
        assert any("level.lowered" in line and "'HALTED'" in line for line in alerts(world))
        advance(30.0)
        assert state(world, intent) == "NOT_PLACED"
        assert level(world) is Level.HALTED  # only a person takes that back


@pytest.mark.scenario("T021")
def test_an_answer_that_is_lost_on_a_live_socket_is_looked_up_after_the_deadline_and_nothing_is_cancelled(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    intent = resting(venue)
    venue.fault("silence", channel="executions", s=12.0)
    venue.fault("drop_reply", method="add_order")
    world.submit(intent)
    advance(4.9)
    assert state(world, intent) == "SENT"
    connections = len(venue.truth()["connections"])
    advance.until(lambda: state(world, intent) == "NEW", timeout_s=12.0, look_s=0.1)
    assert states(world, intent) == ["SENT", "UNKNOWN", "NEW"]
    assert len(venue.truth()["connections"]) == connections
    assert venue.asked("CancelOrder") == venue.asked("BatchCancel") == []
    assert len(venue.sent(intent.id)) == 1


@pytest.mark.scenario("T022")
def test_of_ten_orders_whose_answers_are_lost_at_once_each_is_settled_by_itself(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    venue.fault("silence", channel="executions", s=2.0)
    for executed in (True, False) * 5:
        venue.fault("drop_reply", method="add_order", executed=executed)
    intents = [at_market(venue) if n % 4 == 0 else resting(venue) for n in range(10)]
    for intent in intents:
        world.submit(intent)
    advance(25.0)
    ends = [state(world, intent) for intent in intents]
    assert ends == ["FILLED", "NOT_PLACED", "NEW", "NOT_PLACED"] * 2 + ["FILLED", "NOT_PLACED"]
    assert [len(venue.sent(intent.id)) for intent in intents] == [1, 0] * 5
    assert [view(world, intent).attempts for intent in intents] == [1] * 10
    assert protected(venue) == 3 * [QTY]
    assert level(world) is Level.NONE
    world.submit(resting(venue))  # nothing is frozen any more
