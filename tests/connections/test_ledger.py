import asyncio
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.connections.rig import Recorder, exit_of

from allstop.actors.clock import LoopClock
from allstop.actors.errors import Fatal, Refused
from allstop.actors.journal import JournalActor, Read
from allstop.actors.key_turns import WANTED_S
from allstop.actors.ledger import (
    LOCKOUT_S,
    REST_FLOOR,
    AccountKey,
    AccountLedger,
    ChargeOrder,
    EndTurn,
    GetLedger,
    KeysAreOurs,
    KeyStopped,
    NextNonce,
    OrderTouched,
    RateRefused,
    StopKey,
    SyncOrders,
    TakeTurn,
    Turn,
)
from allstop.actors.ledger_rows import LEVEL_KIND, NONCE_KIND
from allstop.actors.levels import Level, WithdrawVote
from allstop.actors.limits.kraken import OrderOp, Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.runtime import ActorDead, ActorSystem, Ref
from allstop.actors.store_board import StoreBoard

pytestmark = pytest.mark.virtual
READ = "/0/private/OpenOrders"
WRITE = "/0/private/AddOrder"


class SteppingClock(LoopClock):
    """A loop's clock whose wall can be put back."""

    stepped_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.stepped_ns


class Bench:
    """A ledger over a disk that outlives it."""

    def __init__(self, system: ActorSystem, clock: SteppingClock, tier: Tier) -> None:
        self.system = system
        self.clock = clock
        self.tier = tier
        self.disk = MemoryDisk(system.clock)
        self.votes: list[Any] = []
        self.board = StoreBoard()

    async def open(self) -> Ref:
        self.journal = await self.system.spawn(
            JournalActor, self.disk.open_journal, "kraken.main", path="/journal"
        )
        self.votes_ref = await self.system.spawn(Recorder, self.votes, path="/votes")
        return await self.ledger()

    async def ledger(self) -> Ref:
        return await self.system.spawn(
            AccountLedger, journal=self.journal, tier=self.tier, votes=self.votes_ref, scope=("kraken", "main"),
            board=self.board, path="/ledger",
        )  # fmt: skip

    async def restart(self, ledger: Ref, *, clock_back_s: float = 0.0) -> Ref:
        self.system.kill(ledger)
        await asyncio.sleep(0.001)
        if clock_back_s:
            self.clock.stepped_ns -= int(clock_back_s * 1e9)
        return await self.ledger()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = SteppingClock(asyncio.get_running_loop())
    async with ActorSystem(clock=clock, on_event=lambda _: None) as system:
        yield Bench(system, clock, Tier.STARTER)


async def turn(
    ledger: Ref, id_: str, path: str = READ, lane: Lane = Lane.QUERY, wait_s: float = 10.0
) -> Turn:
    return await ledger.call(TakeTurn(id=id_, path=path, lane=lane, wait_max_s=wait_s), timeout_s=100)


async def test_nonces_rise(bench: Bench):
    ledger = await bench.open()
    nonces = [await ledger.call(NextNonce()) for _ in range(100)]
    assert nonces == sorted(set(nonces))


async def test_a_nonce_rises_over_a_restart_in_the_same_instant_with_the_clock_two_seconds_back(bench: Bench):
    ledger = await bench.open()
    before = [await ledger.call(NextNonce()) for _ in range(3)]
    ledger = await bench.restart(ledger, clock_back_s=2.0)
    assert await ledger.call(NextNonce()) > max(before)


async def test_a_nonce_rises_over_a_power_cut(bench: Bench):
    ledger = await bench.open()
    before = await ledger.call(NextNonce())
    bench.disk.power_cut()
    bench.system.kill(ledger)
    bench.system.kill(bench.journal)
    await asyncio.sleep(0.001)
    bench.clock.stepped_ns -= 2_000_000_000
    bench.journal = await bench.system.spawn(
        JournalActor, bench.disk.open_journal, "kraken.main", path="/journal"
    )
    assert await (await bench.ledger()).call(NextNonce()) > before


async def test_only_one_holds_the_turn_and_protection_overtakes_queries(bench: Bench):
    ledger = await bench.open()
    await turn(ledger, "first")
    got: list[str] = []

    async def wait(name: str, lane: Lane) -> None:
        got.append((await turn(ledger, name, lane=lane)).id)

    waiting = [
        asyncio.create_task(wait("query", Lane.QUERY)),
        asyncio.create_task(wait("cancel", Lane.CANCEL)),
        asyncio.create_task(wait("protect", Lane.PROTECT)),
    ]
    await asyncio.sleep(0.01)
    assert got == []
    for holder in ("first", "protect", "cancel", "query"):
        ledger.tell(EndTurn(id=holder))
        await asyncio.sleep(0.01)
    await asyncio.gather(*waiting)
    assert got == ["protect", "cancel", "query"]


async def test_a_turn_whose_holder_died_runs_out(bench: Bench):
    ledger = await bench.open()
    await ledger.call(TakeTurn(id="dead", path=READ, hold_s=2.0))
    began_s = bench.system.clock.now_s()
    await turn(ledger, "next")
    assert bench.system.clock.now_s() - began_s == pytest.approx(2.0, abs=0.05)


async def test_whoever_waited_long_enough_is_told_when_to_come_back(bench: Bench):
    ledger = await bench.open()
    await ledger.call(TakeTurn(id="long", path=READ, hold_s=60.0))
    with pytest.raises(RateRefused) as refused:
        await turn(ledger, "late", wait_s=1.0)
    assert refused.value.retry_after_s > 0
    ledger.tell(EndTurn(id="long"))
    assert (await turn(ledger, "again")).id == "again"


async def test_a_waiter_that_gave_up_is_not_given_the_turn(bench: Bench):
    ledger = await bench.open()
    await turn(ledger, "holder")
    gone = asyncio.create_task(turn(ledger, "gone"))
    await asyncio.sleep(0.01)
    gone.cancel()
    ledger.tell(EndTurn(id="gone"))
    ledger.tell(EndTurn(id="holder"))
    began_s = bench.system.clock.now_s()
    await turn(ledger, "next")
    assert bench.system.clock.now_s() == began_s


async def test_queries_leave_the_guardian_its_share_of_the_counter(bench: Bench):
    ledger = await bench.open()
    for n in range(9):
        await turn(ledger, f"q{n}")
        ledger.tell(EndTurn(id=f"q{n}"))
    with pytest.raises(RateRefused):
        await turn(ledger, "q9", wait_s=0.1)
    began_s = bench.system.clock.now_s()
    for n in range(5):
        await turn(ledger, f"p{n}", lane=Lane.PROTECT)
        ledger.tell(EndTurn(id=f"p{n}"))
    assert bench.system.clock.now_s() == began_s


async def test_the_ledger_says_whether_others_than_the_guardian_lack_room_on_a_key_and_for_a_while_after(
    bench: Bench,
):
    ledger = await bench.open()
    for n in range(12):
        held = await turn(ledger, f"look {n}", lane=Lane.PROTECT)
        ledger.tell(EndTurn(id=held.id))
    assert (await ledger.call(GetLedger())).wanted == frozenset()
    protecting = asyncio.ensure_future(turn(ledger, "held", lane=Lane.PROTECT))
    more = asyncio.ensure_future(turn(ledger, "more", lane=Lane.PROTECT))
    await asyncio.sleep(0.1)
    assert (await ledger.call(GetLedger())).wanted == frozenset(), "the guardian waits for itself"
    ledger.tell(EndTurn(id="held"))
    ledger.tell(EndTurn(id="more"))
    await asyncio.gather(protecting, more)
    with pytest.raises(RateRefused):
        await turn(ledger, "round", wait_s=2.0)
    assert (await ledger.call(GetLedger())).wanted == frozenset({""})
    await asyncio.sleep(WANTED_S + 0.1)
    assert (await ledger.call(GetLedger())).wanted == frozenset()


async def test_a_call_that_never_left_costs_the_key_nothing(bench: Bench):
    ledger = await bench.open()
    for n in range(60):  # an outage: the counter has room for fifteen
        await turn(ledger, f"u{n}", lane=Lane.PROTECT)
        ledger.tell(EndTurn(id=f"u{n}", unsent=True))
    assert list((await ledger.call(GetLedger())).rest.values()) == [0.0]


async def test_a_stop_is_placed_though_the_counter_is_full_and_a_query_waits(bench: Bench):
    ledger = await bench.open()
    await turn(ledger, "x")
    ledger.tell(EndTurn(id="x", over_limit=True))
    query = asyncio.create_task(turn(ledger, "query"))
    await asyncio.sleep(0.01)
    began_s = bench.system.clock.now_s()
    await turn(ledger, "stop", path=WRITE, lane=Lane.PROTECT)
    assert bench.system.clock.now_s() == began_s
    ledger.tell(EndTurn(id="stop"))
    query.cancel()


async def test_a_restarted_ledger_takes_the_counters_at_their_worst(bench: Bench):
    ledger = await bench.open()
    for n in range(5):
        await turn(ledger, f"q{n}")
        ledger.tell(EndTurn(id=f"q{n}"))
    for _ in range(20):
        await ledger.call(ChargeOrder(op=OrderOp.ADD, pair="BTC/USD"))
    before = await ledger.call(GetLedger())
    ledger = await bench.restart(ledger)
    await turn(ledger, "again")
    with pytest.raises(RateRefused):
        await ledger.call(ChargeOrder(op=OrderOp.ADD, pair="BTC/USD", count=40))
    after = await ledger.call(GetLedger())
    assert after.rest[""] >= before.rest[""]
    assert before.orders["BTC/USD"] <= after.orders["BTC/USD"] <= before.orders["BTC/USD"] + 15


async def test_a_restarted_ledger_believes_the_call_counter_full_at_worst(bench: Bench):
    ledger = await bench.open()
    for n in range(14):
        await turn(ledger, f"p{n}", lane=Lane.PROTECT)
        ledger.tell(EndTurn(id=f"p{n}"))
    ledger = await bench.restart(ledger)
    began_s = bench.system.clock.now_s()
    await turn(ledger, "again", lane=Lane.PROTECT)
    assert bench.system.clock.now_s() - began_s < (15 + 1 - 14.25) / 0.33 + 0.1


async def test_crash_after_crash_the_call_counter_holds_what_was_called_and_no_more(bench: Bench):
    ledger = await bench.open()
    for n in range(8):
        await turn(ledger, f"p{n}", lane=Lane.PROTECT)
        ledger.tell(EndTurn(id=f"p{n}"))
        ledger = await bench.restart(ledger)
    began_s = bench.system.clock.now_s()
    await turn(ledger, "protect", lane=Lane.PROTECT)
    view = await ledger.call(GetLedger())
    assert view.rest[""] <= 9
    assert bench.system.clock.now_s() == began_s


async def test_the_calls_of_a_quiet_key_are_not_written_one_by_one(bench: Bench):
    ledger = await bench.open()
    for n in range(20):
        await turn(ledger, f"q{n}")
        ledger.tell(EndTurn(id=f"q{n}"))
        await asyncio.sleep(5.0)
    rows = await bench.journal.call(Read(kinds=(LEVEL_KIND, NONCE_KIND)))
    assert len([row for row in rows if row.kind == LEVEL_KIND]) == 1
    assert len([row for row in rows if row.kind == NONCE_KIND]) == 2  # a minute each
    ledger = await bench.restart(ledger)
    await turn(ledger, "again")
    assert (await ledger.call(GetLedger())).rest[""] == pytest.approx(REST_FLOOR + 1, abs=0.01)


async def test_a_stopped_key_is_never_given_a_turn_again(bench: Bench):
    ledger = await bench.open()
    await turn(ledger, "x")
    waiting = asyncio.create_task(turn(ledger, "waiting"))
    await asyncio.sleep(0.01)
    ledger.tell(EndTurn(id="x", stop="EAPI:Invalid key"))
    with pytest.raises(KeyStopped):
        await waiting
    with pytest.raises(KeyStopped):
        await turn(ledger, "later")


@pytest.mark.parametrize("power_cut", [False, True])
async def test_a_stopped_key_stays_stopped_over_a_restart(bench: Bench, power_cut: bool):
    ledger = await bench.open()
    ledger.tell(StopKey(key="", reason="EAPI:Invalid key"))
    await asyncio.sleep(1.0)
    if power_cut:
        bench.disk.power_cut()
        bench.system.kill(bench.journal)
        await asyncio.sleep(0.001)
        bench.journal = await bench.system.spawn(
            JournalActor, bench.disk.open_journal, "kraken.main", path="/journal"
        )
    ledger = await bench.restart(ledger, clock_back_s=60.0)
    with pytest.raises(KeyStopped):
        await turn(ledger, "later")
    with pytest.raises(KeyStopped):
        await ledger.call(NextNonce())


async def test_a_stopped_key_may_be_tried_once_by_who_starts_anew_after_the_venues_lockout(bench: Bench):
    ledger = await bench.open()
    ledger.tell(StopKey(key="", reason="EAPI:Invalid key"))
    await asyncio.sleep(2 * LOCKOUT_S)
    with pytest.raises(KeyStopped):
        await turn(ledger, "the same incarnation never tries again")
    ledger = await bench.restart(ledger)
    await turn(ledger, "once")
    ledger.tell(EndTurn(id="once", stop="EAPI:Invalid key"))
    await asyncio.sleep(1.0)
    ledger = await bench.restart(ledger)
    with pytest.raises(KeyStopped):
        await turn(ledger, "twice")


async def test_a_lockout_is_waited_out_by_everyone_on_the_key(bench: Bench):
    ledger = await bench.open()
    await turn(ledger, "x")
    ledger.tell(EndTurn(id="x", cool_s=30.0))
    began_s = bench.system.clock.now_s()
    await turn(ledger, "protect", lane=Lane.PROTECT, wait_s=60)
    assert bench.system.clock.now_s() - began_s == pytest.approx(30.0, abs=0.05)


async def test_a_lockout_is_waited_out_also_by_the_ledger_that_is_started_meanwhile(bench: Bench):
    ledger = await bench.open()
    await turn(ledger, "x")
    ledger.tell(EndTurn(id="x", cool_s=30.0))
    await asyncio.sleep(1.0)
    began_s = bench.system.clock.now_s()
    ledger = await bench.restart(ledger)
    await turn(ledger, "protect", lane=Lane.PROTECT, wait_s=60)
    assert bench.system.clock.now_s() - began_s == pytest.approx(29.0, abs=0.1)


async def test_more_than_three_refused_nonces_in_a_minute_are_a_second_writer(bench: Bench):
    ledger = await bench.open()
    for n in range(4):
        assert bench.votes == []
        await turn(ledger, f"n{n}")
        ledger.tell(EndTurn(id=f"n{n}", bad_nonce=True))
        await asyncio.sleep(0.01)
    (cast,) = bench.votes
    assert (cast.vote.level, cast.vote.scope) == (Level.READ_ONLY, ("kraken", "main"))


async def test_a_person_says_that_nobody_else_uses_the_keys_and_the_count_begins_anew(bench: Bench):
    ledger = await bench.open()

    async def refuse(times: int, name: str) -> None:
        for n in range(times):
            await turn(ledger, f"{name}{n}")
            ledger.tell(EndTurn(id=f"{name}{n}", bad_nonce=True))
            await asyncio.sleep(0.01)

    await refuse(4, "a")
    assert await ledger.call(KeysAreOurs(by="ann", reason="the old engine is off"))
    await asyncio.sleep(0.01)
    assert bench.votes[1:] == [WithdrawVote(by=ledger.path, scope=("kraken", "main"), by_person=True)]
    await refuse(3, "b")
    assert len(bench.votes) == 2
    await refuse(1, "c")
    assert len(bench.votes) == 3


async def test_a_refused_nonce_makes_the_next_one_jump(bench: Bench):
    ledger = await bench.open()
    first = await turn(ledger, "a")
    ledger.tell(EndTurn(id="a", bad_nonce=True))
    assert (await turn(ledger, "b")).nonce - first.nonce > 1_000_000_000


async def test_a_cancel_costs_what_the_orders_age_says(bench: Bench):
    ledger = await bench.open()
    ledger.tell(OrderTouched(order_id="OLD", pair="BTC/USD", age_s=400))
    ledger.tell(OrderTouched(order_id="NEW", pair="BTC/USD"))
    cost = await ledger.call(ChargeOrder(op=OrderOp.BATCH_CANCEL, orders=("OLD", "NEW"), lane=Lane.CANCEL))
    assert cost == 8


async def test_an_order_charge_that_does_not_fit_takes_nothing_unless_it_must_go_out(bench: Bench):
    ledger = await bench.open()
    ledger.tell(SyncOrders(pair="BTC/USD", level=None))
    with pytest.raises(RateRefused) as refused:
        await ledger.call(ChargeOrder(op=OrderOp.ADD, pair="BTC/USD"))
    assert refused.value.retry_after_s == pytest.approx(16.0, abs=0.1)
    assert (await ledger.call(GetLedger())).orders["BTC/USD"] == pytest.approx(60, abs=0.1)
    assert (
        await ledger.call(ChargeOrder(op=OrderOp.ADD, pair="BTC/USD", lane=Lane.PROTECT, overdraft=True)) == 1
    )


async def test_a_ledger_whose_journal_is_lost_halts_and_serves_protection_and_cancels_alone(
    bench: Bench,
):  # T103
    ledger = await bench.open()
    bench.disk.fail_next_commit("kraken.main")
    nonces = [(await turn(ledger, "stop", lane=Lane.PROTECT)).nonce]
    ledger.tell(EndTurn(id="stop"))
    assert [cast.vote.level for cast in bench.votes] == [Level.HALTED]
    for lane in (Lane.PROTECT, Lane.CANCEL):
        nonces.append((await turn(ledger, lane.name, lane=lane)).nonce)
        ledger.tell(EndTurn(id=lane.name))
    await ledger.call(ChargeOrder(op=OrderOp.ADD, pair="BTC/USD", lane=Lane.PROTECT))
    await ledger.call(ChargeOrder(op=OrderOp.CANCEL, pair="BTC/USD", lane=Lane.CANCEL))
    assert nonces == sorted(set(nonces))
    for lane in (Lane.QUERY, Lane.ENTRY):
        with pytest.raises(Refused, match="NOT_COMMITTED"):
            await turn(ledger, "other", lane=lane)
    with pytest.raises(Refused, match="NOT_COMMITTED"):
        await ledger.call(ChargeOrder(op=OrderOp.ADD, pair="BTC/USD", lane=Lane.ENTRY))
    assert len(bench.votes) == 1


async def test_who_waits_for_a_turn_when_the_journal_is_lost_is_refused(bench: Bench):
    ledger = await bench.open()
    await turn(ledger, "held", lane=Lane.PROTECT)
    waiting = asyncio.create_task(turn(ledger, "waiting", lane=Lane.QUERY))
    await asyncio.sleep(0.01)
    bench.disk.fail_next_commit("kraken.main")
    ledger.tell(StopKey(key="other", reason="a write"))
    ledger.tell(EndTurn(id="held"))
    with pytest.raises(Refused, match="NOT_COMMITTED"):
        await waiting


async def test_a_disk_that_hangs_costs_no_protection(bench: Bench):
    ledger = await bench.open()
    bench.disk.commit_s = 1e6
    await turn(ledger, "stop", lane=Lane.PROTECT)
    assert [cast.vote.level for cast in bench.votes] == [Level.HALTED]


async def test_a_ledger_whose_journal_only_starts_again_promises_nothing_meanwhile(bench: Bench):
    ledger = await bench.open()
    bench.system.kill(bench.journal)
    await asyncio.sleep(0.01)
    asking = asyncio.create_task(turn(ledger, "stop", lane=Lane.PROTECT))
    await asyncio.sleep(1.0)
    assert not asking.done()
    await bench.system.spawn(JournalActor, bench.disk.open_journal, "kraken.main", path="/journal")
    with pytest.raises(ActorDead):
        await asking
    assert bench.votes == []


async def test_a_ledger_whose_journal_is_down_for_good_goes_on_at_once_for_what_protects(bench: Bench):
    ledger = await bench.open()
    bench.board.gave_up("/journal")
    bench.system.kill(bench.journal)
    began_s = bench.clock.now_s()
    await turn(ledger, "stop", lane=Lane.PROTECT)
    assert bench.clock.now_s() - began_s < 0.1
    assert [cast.vote.level for cast in bench.votes] == [Level.HALTED]


async def test_a_journal_of_which_nothing_is_heard_for_the_time_of_a_write_is_lost(bench: Bench):
    ledger = await bench.open()
    bench.system.kill(bench.journal)
    began_s = bench.clock.now_s()
    await ledger.call(TakeTurn(id="stop", path="/0/private/CancelOrder", lane=Lane.PROTECT), timeout_s=20.0)
    assert 4.9 < bench.clock.now_s() - began_s < 6.0
    assert [cast.vote.level for cast in bench.votes] == [Level.HALTED]


async def test_without_anybody_to_halt_a_ledger_that_cannot_write_ends_fatally(bench: Bench):
    await bench.open()
    ledger = await bench.system.spawn(AccountLedger, journal=bench.journal, path="/alone")
    bench.disk.fail_next_commit("kraken.main")
    with pytest.raises(Fatal, match="LEDGER_WRITE"):
        await ledger.call(NextNonce())
    await asyncio.sleep(0.01)
    assert exit_of(ledger).fatal


def test_a_key_shows_neither_itself_nor_its_secret():
    key = AccountKey("the-public-part-of-a-key", "c2VjcmV0")
    assert "public" not in repr(key)
    assert "c2VjcmV0" not in f"{key!r}{key}"


def test_a_refusal_for_the_rate_survives_pickling():
    error = pickle.loads(pickle.dumps(RateRefused("no room", place="BTC/USD", retry_after_s=3.5)))
    assert isinstance(error, RateRefused)
    assert (error.retry_after_s, error.place) == (3.5, "BTC/USD")
