"""The process, its journal, its supervisors, and halting (scenarios c.9)."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.scenarios.engine import (
    ACCOUNT,
    COVER_S,
    GUARDIAN,
    LINKS,
    OTHER_PAIR,
    PAIR,
    ROOM,
    SCOPE,
    SESSION,
    TRADING,
    actors,
    ask,
    at_venue,
    away,
    calls,
    entry,
    incarnation,
    leave,
    level,
    missing,
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

from allstop import supervisors
from allstop.actors.commands import Place, Submit
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.exits import Exit
from allstop.actors.external_orders import ClaimExternal, GetExternals
from allstop.actors.intents import OrderIntent
from allstop.actors.ledger import AccountLedger
from allstop.actors.levels import CastVote, Level, Vote
from allstop.actors.links.condition import DiskCondition, LinkCondition, Turned
from allstop.actors.ports import JournalEntry
from allstop.actors.reports import NotSent
from allstop.actors.runtime import Actor
from allstop.supervisors.config import ENTRIES_MAX_PER_S, Tree, child
from allstop.supervisors.simulation import trees
from allstop.supervisors.simulation.host import NobodyThere
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue
from allstop.supervisors.simulation.restarter import Restarter
from allstop.supervisors.standing_down import OnStop

EGRESS = f"{ROOM}/store/egress"
LEDGERS = f"{ROOM}/store/ledgers"
HALT_S = 5.0
RUNAWAY = "/strategies/runaway"


def missing_or_down(world: SimulatedTree) -> bool:
    """Nothing is entered: the gate is closed, or there is no engine."""
    try:
        return bool(missing(world))
    except NobodyThere:
        return True


def proofs(world: SimulatedTree) -> dict[str, Any]:
    return ask(world, "proofs")


@pytest.mark.scenario("T102")
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("point", ["commit", "committed", "send", "sent", "receive", "fill", "stop"])
def test_a_process_that_dies_at_any_step_of_an_order_comes_to_the_truth_and_executes_it_once_at_most(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance, point: str, power: bool
) -> None:
    advance(1.0)
    intent = entry(venue)

    async def die() -> None:
        stage = world.stage
        match point:
            case "fill":
                while not stage.venue.truth()["executions"]:
                    await stage.chaos.sleep(0.0005)
            case "stop":
                while not stage.venue.truth()["executions"]:
                    await stage.chaos.sleep(0.0005)
                await stage.chaos.sleep(0.05)
            case _:
                await stage.chaos.moment(point, 5.0)
        await stage.chaos.die(power=power, down_s=0.5)

    died = world.begin(die())
    submitted = world.begin(world.stage.submit(intent))
    world.result(died)
    assert submitted.done()
    durable = submitted.exception() is None
    assert advance.until_trading() < 30.0
    advance(3.0)
    assert world.lives == 2
    found = at_venue(venue, intent.id)
    assert len(found) <= 1
    executed = [one for one in venue.executions() if one["cl_ord_id"] == intent.id]
    assert len(executed) <= 1
    view = world.order(intent.id)
    if found or durable:
        assert view is not None
        assert view.state == ("FILLED" if executed else "NOT_PLACED")
    else:
        assert view is None or view.state in ("NOT_PLACED", "EXPIRED", "REJECTED")
    assert len(stops(venue)) == len(executed)
    if executed:
        assert uncovered_s(venue) < COVER_S


class TestALostJournal:
    @pytest.mark.scenario("T103")
    @pytest.mark.parametrize("how", ["full", "fsync"])
    def test_no_order_leaves_the_halt_is_latched_and_only_cancels_and_protection_go_out(
        self, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance, how: str
    ) -> None:
        position_with_stop(world, venue, advance)
        waiting = world.submit(resting(venue))
        advance(0.5)
        sent = len(calls(venue, "add_order")) + len(calls(venue, "AddOrder"))
        if how == "full":
            chaos.lay_on_disk(ACCOUNT, "scenario", DiskCondition(full=True))
        else:
            chaos.fail_fsync(ACCOUNT)
        assert refusal(world, resting(venue)) is not None
        advance(8.0)
        assert level(world) is Level.HALTED
        assert world.stage.world.host.latch.read().latched
        assert refusal(world, resting(venue)) is not None
        assert len(calls(venue, "add_order")) + len(calls(venue, "AddOrder")) == sent
        assert not at_venue(venue, waiting.id)[0]["open"]
        assert len(stops(venue)) == 1
        assert proofs(world)["proven"]
        assert [line for line in world.log if line.startswith("critical")]
        chaos.heal_all()


@pytest.mark.scenario("T104")
def test_a_torn_last_commit_is_cut_off_and_nothing_is_entered_before_it_is_reconciled(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    chaos.tear(ACCOUNT, 0.3)
    submitted = world.begin(world.stage.submit(resting(venue)))
    chaos.moment("commit", 5.0)
    chaos.die(power=True, down_s=1.0)
    assert submitted.done()
    began_s = world.now_s
    advance(0.2)
    advance.until_trading()
    assert calls(venue, "OpenOrders", since_s=began_s, key="trade")
    assert len(stops(venue)) == 1
    assert position(venue) == Decimal("0.001")


@pytest.mark.scenario("T104")
@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.8, 0.9, 1.0])
def test_a_damaged_journal_is_set_aside_and_only_exits_pass_until_a_person_accepts_what_was_lost(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance, where: float
) -> None:
    position_with_stop(world, venue, advance)
    waiting = world.submit(resting(venue, OTHER_PAIR))
    advance(1.0)
    disk = world.stage.world.host.disk
    before = disk.rows(ACCOUNT)
    assert chaos.flip(ACCOUNT, where)
    chaos.die(down_s=1.0)
    advance.until(lambda: not missing_or_down(world), timeout_s=30.0)
    assert world.lives == 2
    [(file, aside)] = disk.aside.items()
    assert len(aside) >= len(before)
    [first] = [row for row in disk.rows(ACCOUNT) if row.seq == 1]
    assert first.kind == "journal.set_aside"
    assert file in first.body.decode()
    assert level(world, *SCOPE) is Level.READ_ONLY
    assert level(world) is Level.NONE
    assert refusal(world, resting(venue)) is RefusalCode.LEVEL
    assert refusal(world, waiting.view.intent) is None or where < 1.0  # it is known, or its row was the one
    assert len(stops(venue)) == 1
    chaos.die(down_s=1.0)  # nor does another process forget it
    advance.until(lambda: not missing_or_down(world), timeout_s=30.0)
    assert level(world, *SCOPE) is Level.READ_ONLY
    assert refusal(world, leave()) is None
    advance.until(lambda: position(venue) == 0, timeout_s=5.0)
    answer = ask(world, "reset", path=f"{ROOM}/store/journal", by="me", reason="I looked at both")
    assert answer["ok"], answer
    advance.until_trading()
    assert refusal(world, resting(venue)) is None
    chaos.die(down_s=1.0)
    advance.until(lambda: not missing_or_down(world), timeout_s=30.0)
    assert level(world, *SCOPE) is Level.NONE
    assert len(at_venue(venue, waiting.id)) == 1


@pytest.mark.scenario("T104")
def test_what_was_lost_with_a_journal_is_not_accepted_before_the_rest_agrees_with_the_venue(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    assert chaos.flip(ACCOUNT, 0.9)
    with away(chaos, LinkCondition(turned=Turned.REFUSED), "private"):
        chaos.die(down_s=1.0)
        advance(6.0)
        answer = ask(world, "reset", path=f"{ROOM}/store/journal", by="me", reason="in a hurry")
        assert (answer["ok"], "not reconciled" in answer["message"]) == (False, True)
    advance.until(lambda: not missing_or_down(world), timeout_s=60.0)
    assert not ask(world, "reset", path=f"{ROOM}/store/journal", by="", reason="nobody")["ok"]
    assert level(world, *SCOPE) is Level.READ_ONLY
    assert ask(world, "reset", path=f"{ROOM}/store/journal", by="me", reason="I looked")["ok"]
    assert not ask(world, "reset", path=f"{ROOM}/store/journal", by="me", reason="again")["ok"]


def over_budget(world: SimulatedTree, chaos: Hand, advance: Advance, state: str = "open") -> None:
    """The broker crashes until its supervisor has had enough of it: its breaker is open, or latched."""
    deadline_s = world.now_s + 90.0
    while not told(world, "BreakerChanged", TRADING, state):
        assert world.now_s < deadline_s
        if SESSION in actors(world):
            chaos.crash(SESSION)
        advance(0.2)


@pytest.mark.scenario("T105")
def test_a_broker_over_its_intensity_stops_its_subtree_lowers_its_venue_and_leaves_the_others(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    guardian = incarnation(world, GUARDIAN)
    data = incarnation(world, "/data/kraken.public/book.BTC-USD")
    over_budget(world, chaos, advance)
    assert SESSION not in actors(world)
    assert level(world, *SCOPE) is Level.READ_ONLY
    assert level(world) is Level.NONE
    assert refusal(world, resting(venue)) == "PAUSED"
    assert incarnation(world, GUARDIAN) == guardian
    assert incarnation(world, "/data/kraken.public/book.BTC-USD") == data
    alerts = said(world, "breaker.opened", TRADING)
    assert len(alerts) == 1
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T106")
def test_two_venues_over_their_intensity_are_a_halt_with_entries_cancelled_and_stops_kept(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    waiting = world.submit(resting(venue))
    advance(0.5)
    other = Vote("/accounts/other.main/trading", ("other", "main"), Level.READ_ONLY, "its breaker latched")
    world.runtime.root.tell(CastVote(other, latched=True))
    advance(0.1)
    assert level(world) is Level.NONE  # one venue is that venue's affair
    over_budget(world, chaos, advance, "latched")
    assert level(world) is Level.HALTED
    advance.until(lambda: proofs(world)["proven"], timeout_s=HALT_S)
    assert not at_venue(venue, waiting.id)[0]["open"]
    assert venue.orders(open_only=True) == stops(venue)
    assert len(stops(venue)) == 1
    assert position(venue) == Decimal("0.001")


@pytest.mark.scenario("T107")
def test_a_halt_while_the_venue_is_away_is_latched_at_once_and_proven_when_it_is_back(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    waiting = world.submit(resting(venue))
    advance(1.0)
    venue.fault("unreachable", s=40.0)
    with away(chaos, LinkCondition(turned=Turned.REFUSED), *LINKS):
        answer = ask(world, "halt", by="me", reason="a test")
        assert answer["halted"]
        assert answer["on_disk"]
        assert not answer["proven"]
        assert level(world) is Level.HALTED
        advance(40.0)
        assert not proofs(world)["proven"]
        assert proofs(world)["unproven"] == ACCOUNT
        assert (
            "not proven" in ask(world, "status")["proofs"][ACCOUNT].lower()
            or not ask(world, "status")["proven"]
        )
    advance.until(lambda: proofs(world)["proven"], timeout_s=15.0)
    assert not at_venue(venue, waiting.id)[0]["open"]
    assert venue.orders(open_only=True) == stops(venue)
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T108")
def test_a_halt_outlives_the_process_and_ends_only_by_a_person_with_a_reason(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    world.halt("the morning")
    chaos.die(power=True, down_s=1.0)
    advance(10.0)
    assert level(world) is Level.HALTED
    assert refusal(world, resting(venue)) is RefusalCode.LEVEL
    assert not ask(world, "resume", by="", reason="because")["ok"]
    assert not ask(world, "resume", by="me", reason=" ")["ok"]
    assert level(world) is Level.HALTED
    assert ask(world, "resume", by="me", reason="I looked")["ok"]
    advance.until_trading()
    assert refusal(world, resting(venue)) is None
    history = world.stage.world.host.latch.read().history
    assert [(one.action, one.by, one.reason) for one in history] == [
        ("halt", "test", "the morning"),
        ("lift", "me", "I looked"),
    ]


@pytest.mark.scenario("T113")
def test_an_order_by_hand_is_recorded_and_left_alone_freezes_its_pair_when_it_executes_and_a_halt_cancels_it(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    advance(1.0)

    def by_hand(**order: str) -> str:
        return venue.by_hand("AddOrder", pair=PAIR, type="buy", volume="0.001", **order)["txid"][0]

    rests = by_hand(ordertype="limit", price="20000")
    advance(2.0)
    externals = world.call(f"{TRADING}/orders", GetExternals())
    assert set(externals) == {rests}
    assert refusal(world, resting(venue)) is None
    executes = by_hand(ordertype="market")
    advance(3.0)
    assert set(world.call(f"{TRADING}/orders", GetExternals())) == {rests, executes}
    assert refusal(world, resting(venue)) is RefusalCode.INSTRUMENT_FROZEN
    assert refusal(world, resting(venue, OTHER_PAIR)) is None
    assert venue.truth()["orders"][rests]["open"]
    [cover] = [
        one for one in world.run(world.stage.ask(world.runtime.cover(ACCOUNT))).pairs if one.pair == PAIR
    ]
    assert (cover.external_net, cover.net) == (Decimal("0.001"), 0)
    assert world.call(f"{TRADING}/orders", ClaimExternal(order_id=executes, by="me", reason="it is ours"))
    advance(3.0)
    assert position(venue) == 0  # ours now, and without a stop that anybody named: the guardian leaves it
    world.halt("and now")
    assert not venue.truth()["orders"][rests]["open"]


class Runaway(Actor):
    """A strategy with a bug: a thousand orders a second."""

    def __init__(self) -> None:
        self._intent: OrderIntent | None = None
        self.answers: dict[str, int] = {}

    async def on_receive(self, message: object) -> object:
        match message:
            case OrderIntent():
                self._intent = message
                self.ref.tell("again")
                return None
            case "again":
                await self._again()
                self.send_after(0.001, "again")
                return None
            case _:
                return dict(self.answers)

    async def _again(self) -> None:
        assert self._intent is not None
        intent = msgspec.structs.replace(self._intent, id=self.ids.new())
        try:
            place = Place(intent=intent, by=self.path)
            await self.system.address(f"{TRADING}/orders").call(place, timeout_s=2.0)
            code = "taken"
        except Refused as refused:
            code = str(refused.code)
        self.answers[code] = self.answers.get(code, 0) + 1


class TestARunaway:
    @pytest.fixture
    def tree(self) -> Tree:
        return trees._with(child("runaway", Runaway))  # pyright: ignore[reportPrivateUsage]

    @pytest.mark.scenario("T114")
    def test_a_strategy_that_sends_a_thousand_orders_a_second_is_stopped_until_a_person_resets_it(
        self, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
    ) -> None:
        world.runtime.address(RUNAWAY).tell(resting(venue))
        advance(1.0)
        answers = world.call(RUNAWAY, "answers")
        assert 10 < answers["taken"] <= 2 * ENTRIES_MAX_PER_S
        assert answers["STRATEGY_STOPPED"] > 100
        assert len(said(world, "strategy.stopped", RUNAWAY)) == 1
        assert refusal(world, resting(venue, OTHER_PAIR)) is None  # nobody else is held up
        chaos.die(down_s=0.5)  # it starts with the process, and is stopped all the same
        advance.until_trading()
        world.runtime.address(RUNAWAY).tell(resting(venue))
        advance(1.0)
        assert set(world.call(RUNAWAY, "answers")) == {"STRATEGY_STOPPED"}
        [line] = ask(world, "status")["stopped"]
        assert line.startswith(f"{RUNAWAY} on {ACCOUNT}: more than {ENTRIES_MAX_PER_S} entries")
        chaos.crash(RUNAWAY)  # mended: it has nothing to send
        answer = ask(world, "reset", path=RUNAWAY, by="me", reason="the loop is mended")
        assert (answer["ok"], ask(world, "status")["stopped"]) == (True, [])
        advance(1.0)
        world.runtime.address(RUNAWAY).tell(resting(venue))
        advance(0.01)
        assert set(world.call(RUNAWAY, "answers")) == {"taken"}
        chaos.hold(RUNAWAY)
        advance(1.0)
        assert venue.truth()["limits_broken"] == []
        assert level(world) is Level.NONE


@pytest.mark.scenario("T116")
def test_a_limiter_that_dies_takes_egress_down_and_up_behind_it_and_nothing_leaves_meanwhile(
    monkeypatch: pytest.MonkeyPatch, world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    starts = AccountLedger.on_start

    async def slowly(ledger: AccountLedger) -> None:
        await asyncio.sleep(3.0)
        await starts(ledger)

    monkeypatch.setattr(AccountLedger, "on_start", slowly)
    position_with_stop(world, venue, advance)
    resting_one = world.submit(resting(venue))
    advance(0.5)
    began, began_s = len(world.events), world.now_s
    chaos.kill(LEDGERS)
    asked = [
        world.begin(world.stage.submit(resting(venue))),
        world.begin(world.stage.ask(resting_one.cancel())),
    ]
    advance(2.0)
    venue.by_hand("CancelOrder", txid=stops(venue)[0]["order_id"])  # not even the guardian goes past it
    advance(0.9)
    truth = venue.truth()
    assert [row for row in truth["requests"] if (row["at_ns"] - truth["begun_ns"]) / 1e9 > began_s] == []
    advance(5.0)
    advance.until_trading()
    assert all(one.done() for one in asked)
    started = [
        line.split("child='")[1].split("'")[0]
        for line in world.events[began:]
        if "ChildStarted" in line and "/store" in line
    ]
    assert started == ["ledgers", "egress"]
    assert refusal(world, resting(venue)) is None
    assert len(stops(venue)) == 1
    assert 0.9 < uncovered_s(venue) < COVER_S
    assert venue.truth()["limits_broken"] == []


class Stubborn(Actor):
    """Its cleaning up fails."""

    def on_receive(self, message: object) -> object:
        return message

    def on_stop(self, exit_: Exit) -> None:
        raise RuntimeError("cleaning up failed")


class Hanging(Actor):
    """It cleans up for ever."""

    def on_receive(self, message: object) -> object:
        return message

    async def on_stop(self, exit_: Exit) -> None:
        await asyncio.sleep(1_000.0)


class TestEndsThatFail:
    @pytest.fixture
    def tree(self) -> Tree:
        return trees._with(  # pyright: ignore[reportPrivateUsage]
            child("first", Echo), child("stubborn", Stubborn), child("hanging", Hanging, shutdown=1.0), child("last", Echo)
        )  # fmt: skip

    @pytest.mark.scenario("T119")
    def test_a_cleanup_that_raises_or_hangs_holds_up_its_supervisor_for_its_shutdown_time_at_most(
        self, world: SimulatedTree, chaos: Hand, advance: Advance
    ) -> None:
        chaos.crash("/strategies/stubborn")
        advance(2.0)
        assert world.call("/strategies/stubborn", 7) == 7
        before = [incarnation(world, f"/strategies/{name}") for name in ("first", "last")]
        world.run(
            world.stage.ask(supervisors.terminate_child(world.runtime.address("/strategies"), "stubborn"))
        )
        world.run(
            world.stage.ask(supervisors.terminate_child(world.runtime.address("/strategies"), "hanging"))
        )
        assert told(world, "ShutdownOverrun", "hanging")
        assert not {"/strategies/stubborn", "/strategies/hanging"} & actors(world)
        assert [incarnation(world, f"/strategies/{name}") for name in ("first", "last")] == before
        assert world.call("/strategies/last", 8) == 8


class Echo(Actor):
    def on_receive(self, message: object) -> object:
        return message


@pytest.mark.scenario("T109")
def test_a_halt_root_that_fails_halts_as_its_last_act_and_the_next_process_starts_halted_with_its_stops(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    waiting = world.submit(resting(venue))
    advance(0.5)
    chaos.crash("/")
    assert world.stage.world.host.latch.read().latched
    advance(20.0)
    assert world.lives == 2
    assert level(world) is Level.HALTED
    assert proofs(world)["proven"]
    assert not at_venue(venue, waiting.id)[0]["open"]
    assert len(stops(venue)) == 1
    assert refusal(world, resting(venue)) is not None


@pytest.mark.scenario("T110")
def test_an_order_that_no_journal_knows_is_stopped_before_its_first_byte_and_halts(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    intent = entry(venue)
    outcome = world.call(SESSION, Submit(intent=intent))
    assert isinstance(outcome, NotSent)
    advance(1.0)
    assert at_venue(venue, intent.id) == []
    assert not [row for row in calls(venue, "add_order") if row["cl_ord_id"] == intent.id]
    assert level(world) is Level.HALTED
    assert world.stage.world.host.latch.read().latched
    advance.until(lambda: proofs(world)["proven"], timeout_s=HALT_S)
    assert len(stops(venue)) == 1


@pytest.mark.scenario("T111")
def test_an_alert_channel_that_hangs_or_dies_holds_up_no_trading(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    assert chaos.hold("/alerting/log")
    position_with_stop(world, venue, advance)
    assert missing(world) == ()
    chaos.kill("/alerting/log")
    assert refusal(world, resting(venue)) is None
    chaos.kill(SESSION)
    advance.until_trading()
    assert level(world) is Level.NONE


def restarted(world: SimulatedTree, chaos: Hand, advance: Advance, on_stop: OnStop) -> Restarter:
    """Who starts the engine, after it has started one that does this when it is stopped."""
    restarter = world.stage._restarter  # pyright: ignore[reportPrivateUsage]
    restarter.on_stop = on_stop
    chaos.die(down_s=1.0)
    advance(0.2)
    advance.until_trading()
    return restarter


@pytest.mark.scenario("T115")
def test_a_polite_stop_leaves_stops_and_positions_as_they_are_and_nothing_of_the_engine(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    began_s = world.now_s
    world.run(world.stage._restarter.stop())  # pyright: ignore[reportPrivateUsage]
    assert world.now_s - began_s < 30.0
    [end] = world.stage._restarter.ends  # pyright: ignore[reportPrivateUsage]
    assert (end.why, end.leaked) == ("stopped", ())
    assert len(stops(venue)) == 1
    assert position(venue) == Decimal("0.001")
    assert venue.truth()["connected_now"] == 0


@pytest.mark.scenario("T115")
def test_a_stop_that_cancels_leaves_no_entry_and_proves_it_and_one_that_cannot_says_so(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    restarter = restarted(world, chaos, advance, OnStop.CANCEL)
    position_with_stop(world, venue, advance)
    waiting = [world.submit(resting(venue)), world.submit(resting(venue, OTHER_PAIR))]
    advance(1.0)
    assert [at_venue(venue, one.id)[0]["open"] for one in waiting] == [True, True]
    began_s = world.now_s
    world.run(restarter.stop())
    assert [at_venue(venue, one.id)[0]["open"] for one in waiting] == [False, False]
    assert restarter.ends[-1].why == "stopped"
    [*_, last] = calls(venue, "OpenOrders", since_s=began_s)
    cancels = [
        call for name in ("CancelOrder", "CancelOrderBatch") for call in calls(venue, name, since_s=began_s)
    ]
    assert last["at_s"] > max(call["at_s"] for call in cancels)  # the proof is a list after the last cancel
    assert len(stops(venue)) == 1
    assert position(venue) == Decimal("0.001")
    assert not world.stage.world.host.latch.read().latched  # a stop is no halt


@pytest.mark.scenario("T115")
def test_a_stop_whose_cancels_cannot_be_proven_is_no_clean_one(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    restarter = restarted(world, chaos, advance, OnStop.CANCEL)
    world.submit(resting(venue))
    advance(1.0)
    with away(chaos, LinkCondition(turned=Turned.REFUSED), *LINKS):
        world.run(restarter.stop())
    assert "not proven" in restarter.ends[-1].why
    assert ACCOUNT in restarter.ends[-1].why


@pytest.mark.scenario("T115")
@pytest.mark.parametrize("paused", [False, True], ids=["trading", "paused"])
def test_a_stop_that_flattens_leaves_no_entry_no_position_and_no_stop_behind(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance, paused: bool
) -> None:
    restarter = restarted(world, chaos, advance, OnStop.FLATTEN)
    position_with_stop(world, venue, advance)
    world.submit(entry(venue, OTHER_PAIR))
    waiting = world.submit(resting(venue))
    advance(1.0)
    assert (position(venue), position(venue, OTHER_PAIR)) == (Decimal("0.001"), Decimal("0.01"))
    if paused:
        over_budget(world, chaos, advance)
    world.run(restarter.stop())
    assert restarter.ends[-1].why == "stopped"
    assert (position(venue), position(venue, OTHER_PAIR)) == (0, 0)
    assert venue.orders(open_only=True) == []
    assert at_venue(venue, waiting.id)[0]["filled"] == "0"
    assert max(uncovered_s(venue), uncovered_s(venue, OTHER_PAIR)) < COVER_S
    assert not world.stage.world.host.latch.read().latched


@pytest.mark.scenario("T115")
def test_a_stop_that_can_leave_only_a_part_of_a_position_says_what_is_held_and_keeps_its_stop(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    restarter = restarted(world, chaos, advance, OnStop.FLATTEN)
    position_with_stop(world, venue, advance)
    world.submit(entry(venue, OTHER_PAIR))
    advance(1.0)
    venue.fault("pair_status", symbol=PAIR, status="cancel_only")
    refusal(world, resting(venue))  # the venue's answer has the pair read anew
    advance.until(lambda: world.runtime.untraded(ACCOUNT))
    world.run(restarter.stop())
    assert "not proven" in restarter.ends[-1].why
    assert f"0.001 of {PAIR}" in restarter.ends[-1].why
    assert OTHER_PAIR not in restarter.ends[-1].why
    assert (position(venue), position(venue, OTHER_PAIR)) == (Decimal("0.001"), 0)
    assert [Decimal(stop["qty"]) for stop in stops(venue)] == [Decimal("0.001")]


@pytest.mark.scenario("T118")
def test_no_private_connection_a_venue_that_is_busy_and_a_slow_disk_at_once_break_no_promise(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    filled = position_with_stop(world, venue, advance)
    order = world.submit(entry(venue))
    chaos.lay_on_disk(ACCOUNT, "scenario", DiskCondition(commit_s=0.3))
    venue.fault("rate_limited", face="rest", s=5.0)
    with away(chaos, LinkCondition(turned=Turned.REFUSED), "private"):
        advance(6.0)
        assert refusal(world, resting(venue)) is not None
    chaos.lift_from_disk(ACCOUNT, "scenario")
    advance.until_trading()
    advance(3.0)
    assert state(world, filled) == "FILLED"
    assert len(at_venue(venue, order.id)) <= 1
    assert state(world, order.id) in ("FILLED", "NOT_PLACED")
    assert len(stops(venue)) == int(position(venue) / Decimal("0.001"))
    assert level(world) is Level.NONE


def written_by_another_version(world: SimulatedTree, *rows: tuple[str, str]) -> None:
    """While no engine runs, code of a version that nobody here knows writes rows of these kinds and keys."""

    async def write() -> None:
        journal = await world.stage.world.host.disk.open_journal(ACCOUNT)
        entries = [JournalEntry(kind=kind, key=key, body=b'{"v":99,"r":{}}') for kind, key in rows]
        await journal.append(entries)
        await journal.close()

    world.run(write())


@pytest.mark.scenario("T120")
def test_on_a_journal_of_a_version_that_is_not_known_only_exits_pass(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    filled = position_with_stop(world, venue, advance)
    sent = len(calls(venue, "add_order")) + len(calls(venue, "AddOrder"))
    died = world.begin(world.stage.chaos.die(down_s=2.0))
    written_by_another_version(
        world, ("intent", "x"), ("fill", filled), ("strategy.stopped", "/strategies/x")
    )
    world.result(died)
    for _ in range(2):  # nor does the next process of this version trade
        advance.until(lambda: not missing_or_down(world), timeout_s=30.0)
        assert level(world, *SCOPE) is Level.READ_ONLY
        assert refusal(world, entry(venue)) is refusal(world, resting(venue, OTHER_PAIR)) is RefusalCode.LEVEL
        assert len(said(world, "journal.unknown_version", "'intent' has version 99")) == world.lives - 1
        assert not ask(world, "reset", path=f"{ROOM}/store/journal", by="me", reason="it will be right")["ok"]
        chaos.die(down_s=1.0)
    advance.until(lambda: not missing_or_down(world), timeout_s=30.0)
    assert len(calls(venue, "add_order")) + len(calls(venue, "AddOrder")) == sent
    assert len(stops(venue)) == 1
    assert refusal(world, leave()) is None
    advance.until(lambda: position(venue) == 0, timeout_s=5.0)
    assert stops(venue) == []
    assert told(world, "CrashReport") == []


@pytest.mark.scenario("T120")
@pytest.mark.parametrize("arrived", [True, False])
def test_an_order_that_another_version_may_have_sent_is_searched_for_and_not_sent_again(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance, arrived: bool
) -> None:
    advance(1.0)
    intent = resting(venue)

    async def die() -> None:
        await world.stage.chaos.moment("committed", 5.0)
        await world.stage.chaos.die(down_s=1.0)

    died = world.begin(die())
    submitted = world.begin(world.stage.submit(intent))
    advance(0.5)
    assert submitted.done()
    written_by_another_version(world, ("attempt", intent.id))
    if arrived:
        assert intent.stop is not None
        close = {"close[ordertype]": "stop-loss", "close[price]": intent.stop.trigger_price}
        venue.by_hand(
            "AddOrder", pair=PAIR, type="buy", ordertype="limit", price=intent.limit_price, volume=intent.qty, cl_ord_id=intent.id,
            **close,
        )  # fmt: skip
    world.result(died)
    advance.until(lambda: not missing_or_down(world), timeout_s=30.0)
    advance(5.0)
    assert len(at_venue(venue, intent.id)) == int(arrived)
    assert state(world, intent.id) == ("NEW" if arrived else "NOT_PLACED")
    assert level(world, *SCOPE) is Level.READ_ONLY
