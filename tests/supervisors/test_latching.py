"""What only a person may end outlives the supervisor that found it: latched breakers, fatal ends, and votes."""

import asyncio
from dataclasses import dataclass

import pytest
from tests.supervisors.puppets import Crash, Stage, crash, incarnation, kill, settle, tree
from tests.supervisors.rig import Rig, flags, pausing, permanent

from allstop.actors.call_reports import CallReported, call_failed, call_succeeded
from allstop.actors.errors import Category, CircuitOpen, Fatal
from allstop.actors.events import BreakerChanged
from allstop.actors.exits import crashed
from allstop.actors.levels import ROOT, CastVote, Level
from allstop.actors.runtime import Actor, Ref
from allstop.actors.spec import ChildSpec, ChildType, OnExceeded, Pause, Start, Strategy, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.lasting import Lasting
from allstop.supervisors.supervisor import Supervisor, breaker_state, reset_breaker
from allstop.supervisors.votes import Votes

FATAL = crashed(Fatal("KEY_REFUSED", "no"))
PAUSING = pausing(max_restarts=0, pause=Pause(max_trips=1))


class TestALatchedBreaker:
    def test_is_found_again_by_the_next_incarnation_of_its_supervisor_which_starts_nothing(self) -> None:
        lasting = Lasting()
        Rig(PAUSING, *permanent("a"), lasting=lasting).end("a", FATAL)
        again = Rig(PAUSING, *permanent("a"), lasting=lasting)
        assert (again.log, again.core.breaker.state) == ([], BreakerState.LATCHED)

    def test_says_again_why(self) -> None:
        lasting = Lasting()
        Rig(PAUSING, *permanent("a"), lasting=lasting).end("a", FATAL)
        again = Rig(PAUSING, *permanent("a"), lasting=lasting)
        (vote,) = again.votes
        (event,) = again.events_of(BreakerChanged)
        assert isinstance(vote, d.LowerLevel)
        assert isinstance(event, BreakerChanged)
        assert (vote.latched, event.state) == (True, "latched")
        assert "KEY_REFUSED" in vote.reason
        assert event.reason == vote.reason

    def test_is_another_supervisors_affair_at_another_path(self) -> None:
        lasting = Lasting()
        Rig(PAUSING, *permanent("a"), lasting=lasting).end("a", FATAL)
        assert Rig(PAUSING, *permanent("a"), lasting=lasting, path="/other").up == ["a"]

    def test_is_forgotten_once_a_person_has_come(self) -> None:
        lasting = Lasting()
        rig = Rig(PAUSING, *permanent("a"), lasting=lasting)
        rig.end("a", FATAL)
        rig.ask(d.ResetBreaker("ada", "new key"))
        assert Rig(PAUSING, *permanent("a"), lasting=lasting).up == ["a"]

    def test_an_open_one_is_not_kept(self) -> None:
        lasting = Lasting()
        Rig(pausing(max_restarts=0), *permanent("a"), lasting=lasting).end("a")
        assert lasting.latched == {}


class TestAFatalEndWhileStopping:
    def test_latches_a_breaker_that_stops(self) -> None:
        lasting = Lasting()
        rig = Rig(PAUSING, *permanent("a", "b"), lasting=lasting)
        rig.stop_exits["b"] = FATAL
        rig.tell(d.Stop())
        assert rig.log[-2:] == ["stop b", "stop a"]
        assert [vote.latched for vote in rig.votes if isinstance(vote, d.LowerLevel)] == [True]
        assert "/top" in lasting.latched

    def test_latches_where_a_latch_is_what_giving_up_means(self) -> None:
        rig = Rig(flags(on_exceeded=OnExceeded.LATCH), *permanent("a"))
        rig.stop_exits["a"] = FATAL
        rig.tell(d.Stop())
        assert [latch.offender for latch in rig.latches] == ["a"]

    def test_becomes_the_end_of_a_supervisor_that_escalates(self) -> None:
        rig = Rig(flags(), *permanent("a"))
        rig.stop_exits["a"] = FATAL
        rig.tell(d.Stop())
        assert rig.exit is not None
        assert rig.exit.fatal

    def test_becomes_the_error_of_a_start_that_failed(self) -> None:
        rig = Rig(flags(), *permanent("a", "b"), boot=False)
        rig.outcomes["b"] = [ValueError("no")]
        rig.stop_exits["a"] = FATAL
        rig.tell(d.Boot())
        assert crashed(rig.start_error or ValueError()).fatal

    def test_an_ordinary_crash_while_stopping_latches_nothing(self) -> None:
        rig = Rig(PAUSING, *permanent("a"))
        rig.stop_exits["a"] = crashed(ValueError("late"))
        rig.tell(d.Stop())
        assert (rig.exit, [vote for vote in rig.votes if isinstance(vote, d.LowerLevel)]) == (None, [])


class TestACallOfAWorkingActor:
    def test_that_succeeds_does_not_close_a_half_open_breaker(self) -> None:
        rig = Rig(pausing(max_restarts=0, pause=Pause(probes=1)), *permanent("a"))
        rig.end("a")
        rig.advance(15.0)
        rig.tell(CallReported(None, probe=False))
        assert rig.core.breaker.state is BreakerState.HALF_OPEN
        rig.tell(CallReported(None))
        assert rig.core.breaker.state is BreakerState.CLOSED

    def test_that_fails_opens_it_again(self) -> None:
        rig = Rig(pausing(max_restarts=0, pause=Pause(probes=1)), *permanent("a"))
        rig.end("a")
        rig.advance(15.0)
        rig.tell(CallReported("TIMEOUT", probe=False))
        assert rig.core.breaker.state is BreakerState.OPEN


@dataclass(frozen=True)
class Report:
    category: Category | None


class Caller(Actor):
    def on_receive(self, message: Report) -> None:
        if message.category is None:
            call_succeeded(self)
        else:
            call_failed(self, message.category)


class Root(Actor):
    def __init__(self, votes: list[object]) -> None:
        super().__init__()
        self.votes = votes

    def on_receive(self, message: object) -> None:
        self.votes.append(message)


@pytest.mark.virtual
async def test_reported_failures_open_the_breaker_of_whoever_supervises_the_caller() -> None:
    stage = Stage()
    worn = SupervisorFlags(on_exceeded=OnExceeded.PAUSE, pause=Pause(thresholds=(("TIMEOUT", 2),)))
    async with stage.system() as system:
        top = await system.spawn(Supervisor, worn, (ChildSpec("a", Start(Caller)),), path="/top")
        for category in (Category.TIMEOUT, None, Category.NETWORK):
            system.address("/top/a").tell(Report(category))
        await settle()
        assert (await breaker_state(top)).state is BreakerState.CLOSED
        system.address("/top/a").tell(Report(Category.TIMEOUT))
        await settle()
        assert (await breaker_state(top)).state is BreakerState.OPEN


@pytest.mark.virtual
async def test_a_caller_without_a_supervisor_tells_nobody() -> None:
    stage = Stage()
    async with stage.system() as system:
        ref = await system.spawn(Caller)
        await ref.call(Report(Category.TIMEOUT), timeout_s=1.0)
        assert list(system.dead_letters.recent()) == []


@pytest.mark.virtual
async def test_a_latched_breaker_survives_the_group_restart_of_its_parent() -> None:
    stage = Stage()
    everything = SupervisorFlags(Strategy.ONE_FOR_ALL, 9, 60.0)
    async with stage.system() as system:
        below = tree("below", PAUSING, *stage.puppets("a"))
        await system.spawn(Supervisor, everything, (*stage.puppets("x"), below), path="/top")
        await crash(system, "/top/below/a", Fatal("KEY_REFUSED", "no"))
        await crash(system, "/top/x")
        assert incarnation(system, "/top/below") == 2
        assert incarnation(system, "/top/below/a") is None
        with pytest.raises(CircuitOpen):
            await system.address("/top/below/a").call("hello", timeout_s=1.0)
        await reset_breaker(system.address("/top/below"), "ada", "new key")
        assert incarnation(system, "/top/below/a") == 2
        await crash(system, "/top/x")
        assert incarnation(system, "/top/below/a") == 3


class Stubborn(Actor):
    """Fails fatally when it is asked to stop."""

    def on_receive(self, message: object) -> None:
        if isinstance(message, Crash):
            raise message.error

    def on_stop(self, exit_: object) -> None:
        raise Fatal("JOURNAL_LOST", "the last commit failed")


def voting(ref: Ref, supervisor_flags: SupervisorFlags, *children: ChildSpec) -> ChildSpec:
    votes = Votes(ref, ROOT, Level.NONE, Level.HALTED)
    return ChildSpec(
        "voting", Start(Supervisor, (supervisor_flags, children), {"votes": votes}), type=ChildType.SUPERVISOR
    )


@pytest.mark.parametrize("on_exceeded", [OnExceeded.ESCALATE, OnExceeded.PAUSE, OnExceeded.LATCH])
@pytest.mark.virtual
async def test_a_fatal_end_while_its_supervisor_stops_is_a_vote(on_exceeded: OnExceeded) -> None:
    stage, votes = Stage(), list[object]()
    async with stage.system() as system:
        root = await system.spawn(Root, votes, path="/root")
        inner = voting(root, SupervisorFlags(on_exceeded=on_exceeded), ChildSpec("a", Start(Stubborn)))
        top = await system.spawn(Supervisor, SupervisorFlags(), (inner,), path="/top")
        await system.stop(top)
        await settle()
        cast = [message for message in votes if isinstance(message, CastVote)]
        assert [(vote.vote.level, vote.latched) for vote in cast] == [(Level.HALTED, True)]
        assert "JOURNAL_LOST" in cast[0].vote.reason


@pytest.mark.virtual
async def test_a_fatal_end_while_stopping_reaches_the_supervisor_above() -> None:
    """The whole subtree is stopped for its neighbour's sake; what it ended of must still be known at the top."""
    stage, votes = Stage(), list[object]()
    async with stage.system() as system:
        root = await system.spawn(Root, votes, path="/root")
        inner = tree("inner", SupervisorFlags(), ChildSpec("a", Start(Stubborn)))
        outer = voting(root, SupervisorFlags(Strategy.ONE_FOR_ALL, 9, 60.0), *stage.puppets("x"), inner)
        await system.spawn(Supervisor, SupervisorFlags(), (outer,), path="/top")
        await crash(system, "/top/voting/x")
        await settle()
        assert any("JOURNAL_LOST" in m.vote.reason for m in votes if isinstance(m, CastVote))


@pytest.mark.virtual
async def test_a_supervisor_that_gives_up_votes_before_it_ends() -> None:
    stage, votes = Stage(), list[object]()
    async with stage.system() as system:
        root = await system.spawn(Root, votes, path="/root")
        inner = voting(root, SupervisorFlags(max_restarts=0), *stage.puppets("a", "b"))
        await system.spawn(Supervisor, SupervisorFlags(), (inner,), path="/top")
        stage.stop_s["b"] = 1.0
        await crash(system, "/top/voting/a")
        assert incarnation(system, "/top/voting/b") == 1  # it still stops
        (cast,) = votes
        assert isinstance(cast, CastVote)
        assert (cast.vote.by, cast.vote.level, cast.latched) == ("/top/voting", Level.HALTED, True)
        await asyncio.sleep(2.0)
        assert incarnation(system, "/top/voting/b") == 2


@pytest.mark.virtual
async def test_a_supervisor_that_is_killed_votes_for_nothing() -> None:
    stage, votes = Stage(), list[object]()
    async with stage.system() as system:
        root = await system.spawn(Root, votes, path="/root")
        inner = voting(root, SupervisorFlags(), *stage.puppets("a"))
        await system.spawn(Supervisor, SupervisorFlags(), (inner,), path="/top")
        await kill(system, "/top/voting")
        assert votes == []
