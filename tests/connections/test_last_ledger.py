"""The turns of a key when its ledger is down for good: what the desk of a guardian goes on with."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.connections.test_ledger import READ, WRITE, Bench, SteppingClock

from allstop.actors.errors import Refused
from allstop.actors.last_ledger import LastLedger
from allstop.actors.ledger import (
    ChargeOrder,
    EndTurn,
    GetLedger,
    KeyStopped,
    LedgerView,
    NextNonce,
    RateRefused,
    StopKey,
    TakeTurn,
    Turn,
)
from allstop.actors.limits.kraken import OrderOp, Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.runtime import ActorDead, ActorSystem, Ref

pytestmark = pytest.mark.virtual


class Last(Bench):
    """A ledger, and what stands behind it."""

    async def begin(self) -> LastLedger:
        self.ref = await self.open()
        return LastLedger(self.ref, self.board, self.clock, self.tier)

    def lose(self) -> None:
        self.board.gave_up("/ledger")
        self.system.kill(self.ref)


@pytest.fixture
async def bench() -> AsyncIterator[Last]:
    clock = SteppingClock(asyncio.get_running_loop())
    async with ActorSystem(clock=clock, on_event=lambda _: None) as system:
        yield Last(system, clock, Tier.STARTER)


async def turn(
    last: LastLedger | Ref, id_: str, path: str = READ, lane: Lane = Lane.PROTECT, wait_s: float = 10.0
) -> Turn:
    return await last.call(TakeTurn(id=id_, path=path, lane=lane, wait_max_s=wait_s), timeout_s=30.0)


async def test_while_there_is_a_ledger_it_is_asked(bench: Last):
    last = await bench.begin()
    given = await turn(last, "first", lane=Lane.QUERY)
    last.tell(EndTurn(id="first"))
    assert await bench.ref.call(NextNonce()) > given.nonce


async def test_a_ledger_that_is_only_restarted_is_waited_for_by_whoever_asks(bench: Last):
    last = await bench.begin()
    bench.system.kill(bench.ref)
    with pytest.raises(ActorDead):
        await turn(last, "stop")


async def test_nonces_go_on_above_those_of_the_ledger_also_with_the_clock_back(bench: Last):
    last = await bench.begin()
    before = await turn(last, "before")
    last.tell(EndTurn(id="before"))
    await asyncio.sleep(0.01)
    bench.lose()
    bench.clock.stepped_ns -= 60_000_000_000
    after = await turn(last, "after")
    assert after.nonce > before.nonce
    last.tell(EndTurn(id="after", bad_nonce=True))
    jumped = await turn(last, "again")
    assert jumped.nonce > after.nonce + 1_000_000_000


async def test_the_counter_goes_on_where_the_ledger_left_it(bench: Last):
    last = await bench.begin()
    for n in range(14):  # of the 15 that a starter's key may use
        await turn(last, str(n))
        last.tell(EndTurn(id=str(n)))
    bench.lose()
    began_s = bench.clock.now_s()
    for n in range(14, 17):
        await turn(last, str(n), wait_s=20.0)
        last.tell(EndTurn(id=str(n)))
    assert bench.clock.now_s() - began_s > 5.0  # a third of a call a second comes back


async def test_a_ledger_that_is_started_again_goes_on_above_what_was_given_without_one(bench: Last):
    last = await bench.begin()
    await turn(last, "before")
    last.tell(EndTurn(id="before"))
    await asyncio.sleep(0.01)
    bench.lose()
    bench.clock.stepped_ns += 120_000_000_000  # beyond what the disk was promised
    given = [await turn(last, "without")]
    last.tell(EndTurn(id="without"))
    bench.clock.stepped_ns -= 120_000_000_000
    for n in range(10):
        given.append(await turn(last, str(n)))
        last.tell(EndTurn(id=str(n)))

    bench.board.starts()
    ledger = await bench.ledger()
    after = await turn(ledger, "after")
    assert after.nonce > max(one.nonce for one in given)
    view: LedgerView = await ledger.call(GetLedger())
    assert max(view.rest.values()) > 12.5  # its own and the eleven: a third of a call a second came back

    bench.board.keys = {}  # as in another process: what it gave was promised on disk first
    again = await bench.restart(ledger)
    assert await again.call(NextNonce()) > after.nonce


async def test_a_key_of_which_no_ledger_ever_knew_is_taken_for_nearly_spent(bench: Last):
    last = await bench.begin()
    bench.lose()
    await turn(last, "first")
    last.tell(EndTurn(id="first"))
    with pytest.raises(RateRefused):
        await turn(last, "second", wait_s=1.0)


async def test_a_call_that_was_under_way_with_the_ledger_is_waited_for(bench: Last):
    last = await bench.begin()
    await turn(last, "held")
    bench.lose()
    asking = asyncio.create_task(turn(last, "next"))
    await asyncio.sleep(0.5)
    assert not asking.done()
    last.tell(EndTurn(id="held"))
    await asyncio.sleep(0.001)
    assert asking.done()


async def test_only_one_holds_the_turn_and_one_that_is_never_ended_runs_out(bench: Last):
    last = await bench.begin()
    bench.lose()
    await last.call(TakeTurn(id="one", path=WRITE, lane=Lane.PROTECT, hold_s=3.0), timeout_s=1.0)
    with pytest.raises(RateRefused):
        await turn(last, "two", WRITE, wait_s=1.0)
    began_s = bench.clock.now_s()
    await turn(last, "three", WRITE)
    assert bench.clock.now_s() - began_s == pytest.approx(2.0, abs=0.01)


async def test_nobody_else_is_let_through(bench: Last):
    last = await bench.begin()
    bench.lose()
    for lane in (Lane.QUERY, Lane.ENTRY):
        with pytest.raises(Refused, match="NOT_COMMITTED"):
            await turn(last, "other", lane=lane)
    with pytest.raises(Refused, match="NOT_COMMITTED"):
        await last.call(
            ChargeOrder(op=OrderOp.ADD, pair="BTC/USD", lane=Lane.ENTRY, overdraft=True), timeout_s=1.0
        )
    with pytest.raises(Refused, match="NOT_COMMITTED"):
        await last.call(ChargeOrder(op=OrderOp.AMEND, orders=("O1",), lane=Lane.PROTECT), timeout_s=1.0)
    assert (
        await last.call(
            ChargeOrder(op=OrderOp.BATCH_CANCEL, orders=("O1",), lane=Lane.CANCEL, overdraft=True),
            timeout_s=1.0,
        )
        == 0.0
    )


async def test_a_key_that_the_venue_refused_is_used_no_more_whoever_heard_of_it(bench: Last):
    last = await bench.begin()
    await bench.ref.call(StopKey(key="", reason="EAPI:Invalid key"))
    bench.lose()
    with pytest.raises(KeyStopped):
        await turn(last, "one")
    last.tell(StopKey(key="other", reason="EAPI:Invalid key"))
    with pytest.raises(KeyStopped):
        await last.call(TakeTurn(id="two", path=READ, lane=Lane.PROTECT, key="other"), timeout_s=1.0)
