"""Nonces, keys and clocks (scenarios c.6)."""

import asyncio
import io

import pytest
from tests.scenarios.engine import (
    ROOM,
    SCOPE,
    ask,
    calls,
    level,
    position_with_stop,
    refusal,
    resting,
    said,
    stops,
)

from allstop.actors.errors import BadInput
from allstop.actors.levels import Level
from allstop.actors.limits.lanes import Lane
from allstop.actors.links.secrets import HIDDEN, Secret
from allstop.actors.runtime import Actor
from allstop.supervisors.cli.logs import log_to
from allstop.supervisors.config import Tree, child
from allstop.supervisors.oracles.secrecy import disguises
from allstop.supervisors.simulation import trees
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue


@pytest.mark.scenario("T076")
def test_a_process_that_starts_again_with_its_clock_set_back_goes_on_above_its_last_nonce(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    before = dict(venue.truth()["nonces"])
    began = len(venue.truth()["requests"])
    died = world.begin(world.stage.chaos.die(down_s=0.0))
    chaos.step_clock(-2.0)
    world.result(died)
    advance(10.0)
    rows = [row for row in venue.truth()["requests"][began:] if row["nonce"] is not None]
    assert len(rows) >= 5
    for key in ("trade", "protect"):
        nonces = [int(row["nonce"]) for row in rows if row.get("key") == key]
        assert nonces
        assert min(nonces) > before[key]
    assert not [row for row in rows if row["error"]]


class TestTwoEngines:
    @pytest.mark.scenario("T077")
    def test_a_second_process_on_the_same_key_is_refused(self, world: SimulatedTree) -> None:
        host = world.stage.world.host
        [key] = [held for held in host.keys if held[2] == world.stage.venue.environ["SIMULATED_KEY"]]
        life = world.stage._restarter.life  # pyright: ignore[reportPrivateUsage]
        assert life is not None
        with pytest.raises(BadInput, match="in use by another engine"):
            life.world.host.hold_key(*key)

    @pytest.mark.scenario("T077")
    def test_nonces_that_somebody_else_spends_lower_the_account_and_are_told(
        self, world: SimulatedTree, venue: Venue, advance: Advance
    ) -> None:
        venue.fault("invalid_nonce", method="", n=12)
        advance.until(lambda: level(world, *SCOPE) >= Level.READ_ONLY, timeout_s=60.0)
        assert refusal(world, resting(venue)) is not None
        assert said(world, "level.lowered")
        ledger = f"{ROOM}/store/ledgers"
        assert not ask(world, "reset", path=ledger, by="", reason="nobody")["ok"]
        advance(20.0)  # the other one is off
        answer = ask(world, "reset", path=ledger, by="ann", reason="the old engine is off")
        assert answer["ok"], answer
        assert not ask(world, "reset", path=ledger, by="ann", reason="once more")["ok"]
        advance.until_trading()


@pytest.mark.scenario("T078")
def test_five_private_calls_at_once_leave_in_the_order_of_their_nonces(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    advance(1.0)
    began = len(venue.truth()["requests"])
    chaos.delay("rest", 0.02, 0.2)  # what leaves at once would overtake

    async def five() -> None:
        (account,) = world.runtime._accounts_parts  # pyright: ignore[reportPrivateUsage]
        desks = [account.desk(account.at("trading/reconciler"), "trade", Lane.QUERY) for _ in range(5)]
        try:
            await asyncio.gather(*(desk.balances() for desk in desks))  # each in a client of its own
        finally:
            for desk in desks:
                await desk.close()

    world.run(world.stage.ask(five()))
    rows = [
        row
        for row in venue.truth()["requests"][began:]
        if row.get("key") == "trade" and row["nonce"] is not None
    ]
    assert len([row for row in rows if row["method"] == "Balance"]) == 5
    nonces = [int(row["nonce"]) for row in rows]
    assert nonces == sorted(nonces)
    assert [row["error"] for row in rows if row["error"]] == []
    assert venue.truth()["limits_broken"] == []


@pytest.mark.scenario("T079")
def test_a_key_that_the_venue_does_not_know_is_used_once_and_never_again(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    position_with_stop(world, venue, advance)
    venue.fault("revoke_key", role="trade")
    chaos.cut("private")
    advance(60.0)
    refused = [row for row in venue.truth()["requests"] if row["error"] == "EAPI:Invalid key"]
    assert len(refused) == 1
    assert level(world, *SCOPE) >= Level.READ_ONLY
    assert refusal(world, resting(venue)) is not None
    assert len(stops(venue)) == 1
    assert calls(
        venue, "OpenOrders", since_s=world.now_s - 10.0, key="protect"
    )  # the guardian's own key is another
    assert venue.truth()["limits_broken"] == []


@pytest.mark.scenario("T081")
def test_a_key_that_lost_its_order_permission_is_found_at_the_start_and_nothing_is_ever_sent(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    advance(1.0)
    venue.fault("deny", role="trade", permission="modify-trades")
    died = world.begin(world.stage.chaos.die(down_s=1.0))
    advance(20.0)
    world.result(died)
    ends = world.stage._restarter.ends  # pyright: ignore[reportPrivateUsage]
    assert "may not" in ends[-1].why or "permission" in ends[-1].why or "lacks" in ends[-1].why
    assert not [row for row in venue.truth()["requests"] if row["method"] in ("AddOrder", "add_order")]
    venue.fault("grant", role="trade", permission="modify-trades")
    advance.until_trading()


@pytest.mark.scenario("T082")
def test_a_key_that_may_withdraw_is_refused_at_the_start(
    world: SimulatedTree, venue: Venue, advance: Advance
) -> None:
    venue.fault("grant", role="trade", permission="withdraw-funds")
    died = world.begin(world.stage.chaos.die(down_s=1.0))
    advance(5.0)
    world.result(died)
    ends = world.stage._restarter.ends  # pyright: ignore[reportPrivateUsage]
    assert "refused to start" in ends[-1].why
    assert "withdraw" in ends[-1].why
    venue.fault("deny", role="trade", permission="withdraw-funds")
    advance.until_trading()


SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="


class Careless(Actor):
    """Its errors show its secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def on_receive(self, message: object) -> object:
        self.log.warning("about to sign", key=self._secret)
        raise RuntimeError(f"cannot sign with {self._secret!r}")


class TestACarelessStrategy:
    @pytest.fixture
    def tree(self) -> Tree:
        return trees._with(child("careless", Careless, secret=SECRET))  # pyright: ignore[reportPrivateUsage]

    @pytest.mark.scenario("T085")
    def test_a_secret_in_the_text_of_an_exception_stands_in_nothing_that_leaves_the_engine(
        self, world: SimulatedTree, advance: Advance
    ) -> None:
        world.runtime.redactor.add(Secret(SECRET))
        sink = io.StringIO()
        log_to(sink, "debug", world.runtime.redactor)
        world.runtime.address("/strategies/careless").tell("go")
        advance(1.0)
        host = world.stage.world.host
        answers = [
            world.run(host.ask(request))
            for request in (
                {"command": "status"}, {"command": "actors"}, {"command": "dead_letters"},
                {"command": "inspect", "path": "/strategies/careless", "trace_s": None},
            )
        ]  # fmt: skip
        sinks = [
            sink.getvalue(),
            repr(answers),
            *(row.body.decode() for chain in host.disk.chains() for row in host.disk.rows(chain)),
        ]
        assert HIDDEN in sink.getvalue()
        assert "cannot sign" in repr(answers)
        for written in sinks:
            assert not [shown for shown in disguises(SECRET) if shown in written]
