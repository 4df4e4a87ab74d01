"""The guardian, the session, the ledger and the orders actor, each running, are told anything in any order: legal messages,
illegal ones, the same twice, what concerns nobody, questions of the dead. In virtual time, each example a world of its own.
"""

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.connections.rig import Rig as AccountRig
from tests.connections.rig import entry as resting
from tests.cover.rig import rig as guardian_rig
from tests.cover.toy_venue import PAIR
from tests.cover.toy_venue import entry as covered
from tests.fuzz.theatre import GARBAGE, Theatre
from tests.orders.puppets import House, reduction
from tests.orders.puppets import entry as placed

from allstop.actors.channels import GetConnection, Listen, SubscribeChannel
from allstop.actors.commands import (
    Amend,
    AmendIntent,
    BeginExit,
    Cancel,
    CancelIntent,
    GetCover,
    GetOrder,
    GetOrders,
    Place,
    ProveHalt,
    Reports,
    Submit,
)
from allstop.actors.exits import KILLED
from allstop.actors.external_orders import ClaimExternal, GetExternals
from allstop.actors.intents import OrderIntent, OrderType, Side
from allstop.actors.ledger_messages import (
    ChargeOrder,
    EndTurn,
    GetLedger,
    NextNonce,
    OrderTouched,
    RoomFor,
    SetTier,
    StopKey,
    SyncOrders,
    TakeTurn,
)
from allstop.actors.levels import IntentKind, Origin
from allstop.actors.limits.kraken import OrderOp, Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.order_talk import OrderOver, Refresh
from allstop.actors.ports import PlannedOrders
from allstop.actors.reports import Fill, OrderReport, OrderStatus
from allstop.actors.runtime.messages import Down, ExitSignal, MonitorRef
from allstop.actors.runtime.virtual_time import run_virtual
from allstop.actors.session import SubscribeAccepted

PLAY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Act = tuple[Any, ...]

WAITS = st.sampled_from([0.0, 0.01, 0.3, 1.0, 3.0, 12.0])
IDS = st.sampled_from(["a", "b", "c", "O1", "O2", "g0123456789abcdef", "", "no such id", "x" * 300])
QTYS = st.sampled_from(
    [Decimal(text) for text in ("0", "0.0001", "0.5", "1", "2", "-1", "1000000", "0.00000000001")]
)
MAYBE = st.none() | QTYS
PAIRS = st.sampled_from([PAIR, "ETH/USD", "", "no pair"])
SECONDS = st.sampled_from([-5.0, 0.0, 0.1, 1.0, 20.0, 1e9])

COMMON = st.one_of(
    st.tuples(st.just("wait"), WAITS),
    st.tuples(st.just("tell"), st.sampled_from(GARBAGE)),
    st.tuples(st.just("call"), st.sampled_from(GARBAGE)),
    st.just(("kill",)),
    st.just(("down",)),
    st.just(("signal",)),
)
FILLS = st.builds(
    Fill, exec_id=st.sampled_from(["X1", "X2", "X3"]), order_id=IDS, pair=PAIRS, side=st.sampled_from(Side), qty=QTYS, price=QTYS,
)  # fmt: skip
REPORTS = st.builds(
    OrderReport,
    order_id=IDS, status=st.sampled_from(OrderStatus), pair=st.none() | PAIRS, side=st.none() | st.sampled_from(Side),
    order_type=st.none() | st.sampled_from(OrderType), order_qty=MAYBE, cum_qty=MAYBE, avg_price=MAYBE, limit_price=MAYBE,
    trigger_price=MAYBE, cl_ord_id=st.none() | IDS, parent_id=st.none() | IDS, fill=st.none() | FILLS, reason=st.none() | st.just("so"),
    ts_ns=st.sampled_from([0, 1, 1_767_225_600_000_000_000, 2**62]),
)  # fmt: skip
TOLD = st.builds(
    Reports, reports=st.lists(REPORTS, max_size=4).map(tuple), snapshot=st.booleans(), source=st.sampled_from(["stream", "query", "?"]),
)  # fmt: skip


def play(scene: Coroutine[Any, Any, None]) -> None:
    run_virtual(scene)


async def act(theatre: Theatre, verb: str, *rest: Any) -> None:
    """What anybody may do to any actor."""
    dead = theatre.system.address("/nobody/at/all")
    monitor = MonitorRef(dead, theatre.ref.cell, final=False)
    match verb:
        case "wait":
            await theatre.wait(rest[0])
        case "tell":
            await theatre.tell(rest[0])
        case "call":
            await theatre.call(rest[0])
        case "die":
            await theatre.call_and_die(rest[0])
        case "flood":
            await theatre.flood(rest[0], 3000)
        case "kill":
            await theatre.kill()
        case "down":
            await theatre.tell(Down(monitor=monitor, ref=dead, incarnation=7, exit=KILLED))
        case "signal":
            await theatre.tell(ExitSignal(ref=dead, incarnation=7, exit=KILLED))
        case _:
            raise AssertionError(verb)


def any_way(messages: st.SearchStrategy[Any]) -> st.SearchStrategy[Act]:
    """Told, called, asked by somebody who dies; now and then a flood of it."""
    return st.tuples(st.sampled_from(["tell", "call", "call", "die", "tell", "flood"]), messages)


# -- the ledger --------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["", "k1", "k2"])
LEDGER = st.one_of(
    COMMON,
    any_way(st.builds(TakeTurn, id=IDS, path=st.sampled_from(["/0/private/OpenOrders", "/0/private/AddOrder", "?"]),
                      lane=st.sampled_from(Lane), key=KEYS, hold_s=SECONDS.filter(lambda s: s < 100), wait_max_s=st.sampled_from([0.0, 0.5, 5.0]))),
    any_way(st.builds(EndTurn, id=IDS, key=KEYS, over_limit=st.booleans(), bad_nonce=st.booleans(), cool_s=st.sampled_from([0.0, 0.0, 2.0]))),
    any_way(st.builds(NextNonce, key=KEYS)),
    any_way(st.builds(ChargeOrder, op=st.sampled_from(OrderOp), pair=st.none() | PAIRS, orders=st.lists(IDS, max_size=3).map(tuple),
                      count=st.sampled_from([1, 0, -3, 60]), lane=st.sampled_from(Lane), overdraft=st.booleans())),
    any_way(st.builds(RoomFor, planned=st.builds(PlannedOrders, pair=PAIRS, adds=st.integers(-1, 300), cancels=st.lists(IDS, max_size=3).map(tuple)))),
    any_way(st.builds(OrderTouched, order_id=IDS, pair=st.none() | PAIRS, age_s=SECONDS, gone=st.booleans())),
    any_way(st.builds(SyncOrders, pair=PAIRS, level=st.none() | SECONDS)),
    any_way(st.builds(SetTier, tier=st.sampled_from(Tier))),
    st.tuples(st.just("call"), st.just(GetLedger())),
    st.tuples(st.just("tell"), st.builds(StopKey, key=st.sampled_from(["k2"]), reason=st.just("refused"))),
)  # fmt: skip


@PLAY
@given(acts=st.lists(LEDGER, min_size=3, max_size=20))
@example(acts=[("flood", OrderTouched(order_id="a", pair=PAIR))])
def test_a_ledger_that_is_told_anything_answers_ends_with_a_reason_and_stays_small(acts: list[Act]) -> None:
    async def scene() -> None:
        async with AccountRig() as rig:
            theatre = Theatre(rig.system, rig.ledger, rig.spawn_ledger)
            for one in acts:
                await act(theatre, *one)
            await theatre.curtain()

    play(scene())


# -- the session -------------------------------------------------------------------------------------------------

SESSION = st.one_of(
    COMMON,
    st.tuples(st.just("committed"), st.sampled_from(["call", "die"])),
    st.tuples(st.just("cancel"), IDS),
    st.just(("cut",)),
    st.tuples(st.just("fault"), st.sampled_from([
        {"kind": "drop_reply", "method": "add_order"}, {"kind": "delay", "method": "", "s": 2.0}, {"kind": "expire_tokens"},
        {"kind": "error", "method": "add_order", "text": "EService:Busy"}, {"kind": "corrupt_frame", "channel": "executions"}])),
    any_way(st.builds(Submit, intent=st.builds(resting, qty=st.sampled_from(["0.01", "1"])), attempt=st.integers(-1, 3), deadline_s=SECONDS)),
    any_way(st.builds(Amend, command_id=IDS, intent_id=IDS, order_id=IDS, kind=st.sampled_from(IntentKind), order_qty=MAYBE, limit_price=MAYBE, deadline_s=SECONDS)),
    any_way(st.builds(Cancel, command_id=IDS, order_ids=st.lists(IDS, max_size=4).map(tuple) | st.just(("O1",) * 60))),
    any_way(st.builds(SubscribeAccepted, path=st.sampled_from(["/nobody", "/trading/orders"]))),
    any_way(st.builds(SubscribeChannel, channel=st.sampled_from(["executions", "nonsense"]), unsubscribe=st.booleans())),
    any_way(st.builds(Listen, path=st.sampled_from(["/nobody", "/trading/orders"]), routes=st.just((("executions", ""),)))),
    st.tuples(st.just("call"), st.just(GetConnection())),
)  # fmt: skip


@PLAY
@given(acts=st.lists(SESSION, min_size=3, max_size=20))
def test_a_session_that_is_told_anything_answers_ends_with_a_reason_and_stays_small(acts: list[Act]) -> None:
    async def scene() -> None:
        async with AccountRig() as rig:
            theatre = Theatre(rig.system, await rig.session(), rig.session)
            await theatre.wait(1.0)
            for verb, *rest in acts:
                match verb:
                    case "committed":
                        await act(theatre, rest[0], await rig.committed(resting()))
                    case "cancel":
                        await theatre.call(await rig.cancel(rest[0]))
                    case "cut":
                        rig.network.cut_websockets()
                        await theatre.settle()
                    case "fault":
                        rig.fault(**rest[0])
                    case _:
                        await act(theatre, verb, *rest)
            await theatre.wait(20.0)
            await theatre.curtain()
            # One that was told everything takes an order as ever.
            await rig.until(lambda: rig.proven("session"), within_s=120.0)
            outcome = await theatre.ref.call(await rig.committed(resting()), timeout_s=30.0)
            assert type(outcome).__name__ in ("Accepted", "Rejected", "NotSent", "Unknown")

    play(scene())


# -- the guardian ------------------------------------------------------------------------------------------------


def leaving(intent_id: str, qty: Decimal, kind: IntentKind, pair: str) -> OrderIntent:
    return OrderIntent(
        id=intent_id, pair=pair, side=Side.SELL, qty=qty, order_type=OrderType.MARKET, kind=kind
    )


GUARDIAN = st.one_of(
    COMMON,
    any_way(TOLD),
    any_way(st.builds(BeginExit, intent=st.builds(leaving, IDS, QTYS, st.sampled_from(IntentKind), PAIRS), origin=st.sampled_from(Origin),
                      until_ns=st.sampled_from([0, 2**62]))),
    st.tuples(st.just("call"), st.just(GetCover())),
    st.tuples(st.sampled_from(["call", "die"]), st.just(ProveHalt(reason="fuzz"))),
    st.tuples(st.just("enter"), st.sampled_from(["0.5", "1"])),
    st.just(("stream",)),
    st.tuples(st.sampled_from(["lose", "eat", "unsent"]), st.integers(1, 2)),
    st.tuples(st.just("blind"), st.booleans()),
    st.just(("trigger",)),
)  # fmt: skip


@PLAY
@given(acts=st.lists(GUARDIAN, min_size=3, max_size=20))
def test_a_guardian_that_is_told_anything_answers_ends_with_a_reason_and_stays_small(acts: list[Act]) -> None:
    async def scene() -> None:
        async with guardian_rig() as rig:
            theatre = Theatre(rig.system, rig.guardian, rig.start)
            entered = 0
            for verb, *rest in acts:
                match verb:
                    case "enter":
                        entered += 1
                        await rig.enter(covered(f"entry-{entered}"), fill=rest[0])
                    case "stream":
                        rig.stream()
                        await theatre.settle()
                    case "lose" | "eat" | "unsent" | "blind":
                        setattr(rig.desk, verb, rest[0])
                    case "trigger":
                        rig.venue.trigger_all_stops()
                    case _:
                        await act(theatre, verb, *rest)
            rig.desk.blind, rig.desk.lose, rig.desk.eat, rig.desk.unsent = False, 0, 0, 0
            await theatre.wait(60.0)
            await theatre.curtain()

    play(scene())


# -- orders ------------------------------------------------------------------------------------------------------

INTENTS = st.one_of(
    st.builds(placed, IDS, qty=QTYS, pair=PAIRS),
    st.builds(placed, st.sampled_from(["a", "b", "c"])),
    st.builds(reduction, IDS),
)
ORDERS = st.one_of(
    COMMON,
    any_way(TOLD),
    st.tuples(st.sampled_from(["call", "call", "die", "tell"]), st.builds(Place, intent=INTENTS, origin=st.sampled_from(Origin))),
    any_way(st.builds(CancelIntent, intent_id=IDS)),
    any_way(st.builds(AmendIntent, intent_id=IDS, order_qty=MAYBE, limit_price=MAYBE)),
    any_way(st.builds(GetOrder, intent_id=IDS)),
    any_way(st.builds(GetOrders, open_only=st.booleans())),
    any_way(st.builds(ClaimExternal, order_id=IDS, by=st.just("ann"), reason=st.just("mine"))),
    any_way(st.builds(OrderOver, intent_id=IDS)),
    st.tuples(st.just("call"), st.just(GetExternals())),
    st.tuples(st.just("string"), st.sampled_from(["lost", "not sent", "placed, no answer", "EService:Busy", "EOrder:Insufficient funds"])),
    st.tuples(st.just("tracker"), IDS, st.sampled_from([*GARBAGE, Refresh()])),
)  # fmt: skip


@PLAY
@given(acts=st.lists(ORDERS, min_size=3, max_size=20))
def test_orders_that_are_told_anything_answer_end_with_a_reason_and_stay_small(acts: list[Act]) -> None:
    async def scene() -> None:
        async with House() as house:
            theatre = Theatre(house.system, house.orders, house.start_orders)
            for verb, *rest in acts:
                match verb:
                    case "string":
                        house.strings.submits.append(rest[0])
                    case "tracker":
                        if (tracker := house.tracker(rest[0] or "nobody")).is_alive():
                            tracker.tell(rest[1])
                        await theatre.settle()
                    case _:
                        await act(theatre, verb, *rest)
            await theatre.wait(60.0)
            await theatre.curtain()

    play(scene())
