"""Connections, streams and sessions that break (scenarios c.5)."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from tests.scenarios.engine import (
    BOOK,
    COVER_S,
    LINKS,
    OTHER_PAIR,
    PAIR,
    SCOPE,
    STREAM,
    at_venue,
    away,
    calls,
    connects,
    cover,
    entry,
    journal_kinds,
    leave,
    level,
    missing,
    model,
    most_within,
    position,
    position_with_stop,
    refusal,
    resting,
    said,
    state,
    stops,
    told,
    uncovered_s,
)

from allstop.actors.errors import RefusalCode
from allstop.actors.levels import Level
from allstop.actors.links.condition import LinkCondition, Turned
from allstop.actors.market_data import BookView, GetBook, SubscribeBook, Tick
from allstop.actors.runtime import Actor, Mailbox, MailboxFull, Overflow
from allstop.actors.simulated.kraken import stream as venue_stream
from allstop.actors.simulated.kraken import venue as venue_model
from allstop.actors.simulated.kraken.wire import encode
from allstop.actors.subscription import GetStream
from allstop.supervisors.config import Tree, child
from allstop.supervisors.simulation import trees
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue

DETECT_S = (
    2.0 + 0.4 + 0.2
)  # the loopback profile's heartbeat deadline, how often it is looked at, how long an end takes


@pytest.mark.scenario("T055")
def test_a_connection_that_lives_and_says_nothing_is_detected_by_the_missing_heartbeat(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    connected = len(connects(venue, private=True))
    venue.fault("silence", channel="", s=30.0)  # its pings are answered all the time
    assert advance.until(lambda: "session" in missing(world), timeout_s=DETECT_S) > 0.5
    assert refusal(world, resting(venue)) is not None
    world.run(world.stage.venue.clear())
    advance.until_trading()
    assert len(connects(venue, private=True)) > connected
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T055")
def test_a_half_open_connection_is_detected_by_its_silence_and_the_gate_opens_only_after_reconciling(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    chaos.half_open("private")
    assert advance.until(lambda: "session" in missing(world), timeout_s=DETECT_S) > 0.5
    assert refusal(world, resting(venue)) is RefusalCode.GATE_CLOSED
    advance(3.0)
    assert "session" in missing(world)
    chaos.heal("private")
    healed_s = world.now_s
    advance.until_trading()
    reads = calls(venue, "OpenOrders", since_s=healed_s, key="trade")
    assert len(reads) >= 1
    assert reads[0]["at_s"] < world.now_s
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T057")
def test_a_gap_in_executions_closes_the_gate_until_a_new_snapshot_and_a_reading_by_rest(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    advance(2.0)
    began_s, closed = world.now_s, len(said(world, "gate.closed"))
    venue.fault("sequence_gap", channel="executions", n=1)
    chaos.delay("private", 0.1)  # so that the way back to a snapshot takes a moment
    order = world.submit(entry(venue))
    advance.until(lambda: "sequence" in missing(world), timeout_s=3.0)
    assert refusal(world, resting(venue)) is RefusalCode.GATE_CLOSED
    chaos.heal("private")
    advance.until_trading()
    view = world.call(STREAM, GetStream())
    assert view.resubscribes >= 1
    assert len(said(world, "gate.closed")) > closed
    assert calls(venue, "ClosedOrders", since_s=began_s) or calls(venue, "TradesHistory", since_s=began_s)
    assert state(world, order.id) == "FILLED"
    assert uncovered_s(venue) < COVER_S


class Watcher(Actor):
    """A strategy that looks at the book, and keeps what it saw."""

    mailbox = Mailbox(capacity=100, overflow=Overflow.CONFLATE, key=type)

    def __init__(self) -> None:
        self.views: list[BookView] = []

    def on_receive(self, message: object) -> object:
        match message:
            case BookView():
                self.views.append(message)
                return None
            case Tick():
                return None
            case _:
                return list(self.views)


class TestAStrategyLooks:
    @pytest.fixture
    def tree(self) -> Tree:
        return trees._with(child("watcher", Watcher))  # pyright: ignore[reportPrivateUsage]

    @staticmethod
    def watch(world: SimulatedTree) -> None:
        world.call(BOOK, SubscribeBook(path="/strategies/watcher"))

    @pytest.mark.scenario("T062")
    def test_a_wrong_checksum_drops_the_book_and_no_strategy_sees_it_as_good(
        self, world: SimulatedTree, venue: Venue, advance: Advance
    ) -> None:
        self.watch(world)
        venue.fault("corrupt_checksum", n=1)
        advance.until(
            lambda: told(world, "LevelChanged", "CACHED_DATA") or said(world, "checksum"), timeout_s=10.0
        )
        advance(5.0)
        views: list[BookView] = world.call("/strategies/watcher", "views")
        good = [view for view in views if view.good]
        assert any(not view.good for view in views)
        assert good
        assert all(view.bids[0][0] < view.asks[0][0] for view in good)
        assert world.call(BOOK, GetBook()).good
        assert level(world) is Level.NONE

    @pytest.mark.scenario("T071")
    def test_a_strategy_that_blocks_gets_the_newest_book_and_holds_up_nobody(
        self, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
    ) -> None:
        self.watch(world)
        advance(1.0)
        assert chaos.hold("/strategies/watcher")
        before = world.now_s
        order = world.submit(entry(venue))
        advance(30.0)
        waiting = [
            info.mailbox_len for info in world.runtime.system.actors() if info.path == "/strategies/watcher"
        ]
        assert waiting[0] <= 4  # one of each kind, and what is held itself
        assert state(world, order.id) == "FILLED"
        assert missing(world) == ()
        chaos.release("/strategies/watcher")
        advance(0.2)
        views: list[BookView] = world.call("/strategies/watcher", "views")
        late = [view for view in views if view.at_s > before]
        assert late
        assert world.stage.world.loop.time() - late[0].at_s < 31.0
        assert sum(view.at_s < views[-1].at_s - 1.0 for view in late) <= 1


@pytest.mark.scenario("T062")
def test_bad_books_restart_their_actor_and_a_spent_budget_degrades_data_and_halts_nothing(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    venue.fault("corrupt_checksum", n=5)  # of two pairs: one of them has three
    advance.until(lambda: told(world, "CrashReport", "/data/kraken.public/book."), timeout_s=60.0)
    assert level(world) is Level.NONE
    venue.fault("corrupt_checksum", n=2000)
    advance.until(lambda: told(world, "BreakerChanged", "/data/kraken.public", "open"), timeout_s=240.0)
    assert level(world, *SCOPE, PAIR) is Level.CACHED_DATA
    assert level(world) < Level.READ_ONLY
    assert refusal(world, resting(venue)) is RefusalCode.LEVEL
    chaos.clear()


@pytest.mark.scenario("T063")
def test_every_connect_has_a_new_token_and_a_refused_session_gets_another_without_a_loop(
    monkeypatch: pytest.MonkeyPatch, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    chaos.cut("private")
    advance(0.2)
    advance.until_trading()
    assert len(calls(venue, "GetWebSocketsToken")) == len(connects(venue, private=True)) == 2
    tokens = len(calls(venue, "GetWebSocketsToken"))
    venue.fault("expire_tokens")
    order = world.submit(resting(venue))
    advance(5.0)
    advance.until_trading()
    assert len(calls(venue, "GetWebSocketsToken")) == tokens + 1
    assert len(connects(venue, private=True)) == 2  # the new token is for the connection that stands
    assert len(at_venue(venue, order.id)) <= 1
    began_s = world.now_s
    monkeypatch.setattr(venue_model, "TOKEN_NS", 1)  # whatever is fetched is too old when it is used
    chaos.cut("private")
    advance(20.0)
    asked = [row["at_s"] for row in calls(venue, "GetWebSocketsToken", since_s=began_s)]
    tried = connects(venue, private=True, since_s=began_s)
    assert len(tried) >= 2
    assert most_within(tried, 1.0) <= 4  # 50 ms after the first, then twice as long each time
    assert len(asked) <= 2 * (len(tried) + 1)  # with each connection one, and one more when that is refused
    monkeypatch.undo()
    advance.until_trading()
    assert venue.truth()["limits_broken"] == []


@pytest.mark.scenario("T064")
def test_a_token_that_is_refused_for_its_rate_is_asked_for_patiently_and_no_lockout_follows(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    advance(1.0)
    began_s = world.now_s
    venue.fault("rate_limited", face="rest", s=15.0)
    chaos.cut("private")
    advance(15.0)
    asked = [row["at_s"] for row in calls(venue, "GetWebSocketsToken", since_s=began_s)]
    gaps = [after - before for before, after in pairwise(asked)]
    assert 3 <= len(asked) <= 8
    assert min(gaps) >= 1.0
    advance.until_trading()
    truth = venue.truth()
    assert truth["limits_broken"] == []
    assert not [row for row in truth["requests"] if "lockout" in (row["error"] or "")]


@pytest.mark.scenario("T067")
def test_a_storm_of_connects_stays_below_half_of_the_venues_limit_whoever_is_restarted_and_is_over_with_it(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    model(venue).paused = True  # no prices: what is counted here is connects
    venue.fault("slam", s=900.0)
    venue.fault("cut", private=True)
    venue.fault("cut", private=False)
    advance(10.0)
    chaos.kill("/infrastructure/host_ledgers")
    for _ in range(10):  # a process that tries everything anew each time
        advance(60.0)
        world.result(world.begin(world.stage.chaos.die(down_s=1.0)))
    advance(280.0)
    model(venue).paused = False
    assert advance.until_trading(40.0) < 30.0  # by itself: neither a person nor ten minutes are needed
    assert 70 <= most_within(connects(venue), 600.0) <= 75
    assert venue.truth()["limits_broken"] == []


@pytest.mark.scenario("T069")
def test_five_minutes_without_names_cost_no_order_and_no_position(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    filled = position_with_stop(world, venue, advance)
    waiting = world.submit(resting(venue))
    advance(1.0)
    assert state(world, waiting.id) == "NEW"
    venue.fault("drop_reply", method="add_order")
    venue.fault("silence", channel="executions", s=1.0)
    asked = world.submit(resting(venue, OTHER_PAIR))
    advance(0.1)  # it has left, and nobody has answered
    venue.fault("unreachable", s=300.0)
    with away(chaos, LinkCondition(turned=Turned.DNS), *LINKS):
        advance(20.0)
        assert refusal(world, resting(venue)) is not None
        advance(280.0)
        assert "terminal" not in journal_kinds(world, asked.view.intent)
    assert advance.until_trading(30.0) < 30.0
    assert state(world, asked.id) == "NEW"
    assert state(world, filled) == "FILLED"
    assert state(world, waiting.id) == "NEW"
    assert position(venue) == cover(world).pairs[0].net
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T070")
def test_a_wrong_certificate_is_no_connection_no_plain_text_and_a_page(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    began_s = world.now_s
    venue.fault("unreachable", s=60.0)
    with away(chaos, LinkCondition(turned=Turned.TLS), *LINKS):
        advance(20.0)
        assert refusal(world, resting(venue)) is not None
        assert connects(venue, since_s=began_s) == []
        assert [
            row
            for row in venue.truth()["requests"]
            if (row["at_ns"] - venue.truth()["begun_ns"]) / 1e9 > began_s + 0.1
        ] == []
        assert [
            line
            for line in world.log
            if line.startswith(("critical", "warning")) and "breaker.opened" in line
        ]
    advance.until_trading()


@pytest.mark.scenario("T071")
def test_the_private_stream_never_drops_and_one_that_overflows_closes_the_gate(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    assert chaos.hold(STREAM)
    order = world.submit(entry(venue))
    advance(3.0)
    chaos.release(STREAM)
    advance(2.0)
    assert state(world, order.id) == "FILLED"
    assert uncovered_s(venue) < COVER_S
    advance.until_trading()
    assert chaos.hold(STREAM)

    async def flood() -> None:
        for _ in range(10_001):
            world.runtime.address(STREAM).tell(GetStream())

    with pytest.raises(MailboxFull):
        world.run(world.stage.ask(flood()))
    second = world.submit(entry(venue))
    advance.until(lambda: "session" in missing(world) or "stream" in missing(world), timeout_s=3.0)
    chaos.release(STREAM)
    advance(1.0)
    advance.until_trading()
    assert state(world, second.id) == "FILLED"


@pytest.mark.scenario("T073")
def test_unknown_fields_and_event_types_are_tolerated_and_an_unknown_order_status_freezes_the_order(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    order = world.submit(resting(venue))
    advance(1.0)
    began = len(told(world, "CrashReport"))
    private = next(one for one in model(venue).venue.connections.values() if one.private)
    [there] = at_venue(venue, order.id)

    async def send(frame: dict[str, Any]) -> None:
        venue_stream.said(
            model(venue).venue, private, str(frame["channel"]), encode(frame), model(venue).at()
        )
        model(venue).flush()

    def say(frame: dict[str, Any]) -> None:
        world.run(send(frame))
        advance(0.2)

    def execution(**changed: Any) -> dict[str, Any]:
        row = {
            "order_id": there["order_id"], "cl_ord_id": order.id, "symbol": PAIR, "side": "buy", "order_type": "limit",
            "order_qty": 0.001, "cum_qty": 0.0, "exec_type": "status", "order_status": "new",
            "timestamp": "2026-01-01T00:00:05.000000Z",
        }  # fmt: skip
        private.subscriptions["executions", ""].sequence += 1
        sequence = private.subscriptions["executions", ""].sequence
        return {"channel": "executions", "type": "update", "data": [row | changed], "sequence": sequence}

    say({"channel": "weather", "type": "update", "data": [{"sky": "blue"}]})
    say({**execution(mood="good"), "flavour": {"of": "the month"}})
    say(execution(liquidity_ind="q"))
    assert told(world, "CrashReport")[began:] == []
    assert missing(world) == ()
    assert state(world, order.id) == "NEW"
    say(execution(order_status="simmering"))
    assert refusal(world, resting(venue)) is RefusalCode.INSTRUMENT_FROZEN
    assert refusal(world, resting(venue, OTHER_PAIR)) is None
    assert told(world, "CrashReport")[began:] == []


@pytest.mark.scenario("T074")
def test_without_the_private_stream_orders_are_read_every_five_seconds_and_exits_and_stops_go_by_rest(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    with away(chaos, LinkCondition(turned=Turned.REFUSED), "private"):
        advance(0.5)
        began_s = world.now_s
        assert refusal(world, resting(venue)) is not None
        advance(5.0)
        assert refusal(world, leave(qty=Decimal("0.0005"))) is None
        advance(2.0)
        assert (position(venue), [Decimal(stop["qty"]) for stop in stops(venue)]) == (
            Decimal("0.0005"),
            [Decimal("0.0005")],
        )
        venue.by_hand("CancelOrder", txid=stops(venue)[0]["order_id"])
        advance(2.0)
        assert [Decimal(stop["qty"]) for stop in stops(venue)] == [Decimal("0.0005")]
        assert calls(venue, "AmendOrder", since_s=began_s)
        assert len(calls(venue, "AddOrder", since_s=began_s)) == 2  # the exit and the stop
        advance(6.0)
        reads = [began_s, *(row["at_s"] for row in calls(venue, "OpenOrders", since_s=began_s)), world.now_s]
        assert max(after - before for before, after in pairwise(reads)) <= 5.0
        assert venue.orders(open_only=True) == stops(venue)
        assert len(stops(venue)) == 1
    advance.until_trading()


@pytest.mark.scenario("T075")
def test_public_data_that_goes_stale_gates_entries_and_leaves_stops_alone(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    [stop] = stops(venue)
    venue.fault("silence", channel="book", s=10.0)
    advance(6.0)  # the loopback profile calls a book stale after five
    assert level(world, *SCOPE, PAIR) is Level.CACHED_DATA
    assert missing(world) == ()
    assert refusal(world, resting(venue)) is RefusalCode.LEVEL
    assert stops(venue) == [stop]
    assert refusal(world, leave()) is None
    advance(2.0)
    assert position(venue) == 0
    advance.until_trading()
    assert refusal(world, resting(venue)) is None
