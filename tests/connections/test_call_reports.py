"""What working actors tell their supervisor of remote calls: that nothing came, or nothing that can be trusted. A venue
that says no has answered, and one that nobody could ask has not failed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.connections.rig import Recorder, Rig, entry
from tests.connections.test_market_data import DataRig

from allstop.actors.call_reports import CallReported, call_failed, call_succeeded
from allstop.actors.errors import Category
from allstop.actors.levels import ROOT, Level, Vote
from allstop.actors.reconciler import Reconcile
from allstop.actors.reports import Unknown
from allstop.actors.runtime import Actor, ActorSystem, Mailbox, Overflow
from allstop.actors.spec import ChildSpec, OnExceeded, Pause, Start, SupervisorFlags
from allstop.actors.subscription import GetStream
from allstop.supervisors import Supervisor
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.supervisor import breaker_state

pytestmark = pytest.mark.virtual
RATE_LIMITED = "EGeneral:Too many requests"


class Reports(list[CallReported]):
    """What a supervisor was told, in its order: None for a success, else the category."""

    @property
    def categories(self) -> list[str | None]:
        return [told.category for told in self]

    @property
    def failures(self) -> list[str]:
        return [told.category for told in self if told.category is not None]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Rig() as rig:
        yield rig


@pytest.fixture
async def told(rig: Rig) -> Reports:
    told = Reports()
    rig.parent = await rig.system.spawn(Recorder, told, path="/trading")
    return told


async def session_of(rig: Rig) -> Any:
    session = await rig.session()
    await rig.until(lambda: rig.proven("session"))
    return session


class TestSession:
    async def test_an_order_that_nobody_answers_is_a_timeout(self, rig: Rig, told: Reports) -> None:
        session = await session_of(rig)
        await rig.stream()  # so that the venue has something to say meanwhile
        rig.fault(kind="drop_reply", method="add_order")
        assert isinstance(await session.call(await rig.committed(entry()), timeout_s=30), Unknown)
        await asyncio.sleep(0.1)
        assert told.failures == ["TIMEOUT"]
        assert not any(report.probe for report in told)

    @pytest.mark.parametrize(
        "no", ["EOrder:Insufficient funds", "EOrder:Rate limit exceeded", "EGeneral:Internal error"]
    )
    async def test_a_venue_that_says_no_has_answered(self, rig: Rig, told: Reports, no: str) -> None:
        session = await session_of(rig)
        rig.fault(kind="error", method="add_order", text=no)
        await session.call(await rig.committed(entry()), timeout_s=30)
        await asyncio.sleep(0.1)
        assert told.categories == [None]

    async def test_an_order_that_never_left_is_no_call(self, rig: Rig, told: Reports) -> None:
        session = await session_of(rig)
        rig.levels.cast(Vote("test", ROOT, Level.HALTED, "a test"))
        await session.call(await rig.committed(entry()), timeout_s=30)
        await asyncio.sleep(0.1)
        assert told.categories == []

    async def test_a_lost_connection_is_counted_by_its_restart_and_not_once_more_for_each_order(
        self, rig: Rig, told: Reports
    ) -> None:
        session = await session_of(rig)
        rig.fault(kind="delay", method="add_order", s=3.0)
        order = asyncio.create_task(session.call(await rig.committed(entry()), timeout_s=10))
        await asyncio.sleep(0.1)
        rig.network.cut_websockets()
        assert isinstance(await order, Unknown)
        assert told.failures == []


class TestPrivateStream:
    async def test_a_live_stream_is_a_success_and_a_gap_in_it_cannot_be_trusted(
        self, rig: Rig, told: Reports
    ) -> None:
        session = await session_of(rig)
        await rig.stream()
        await rig.until(lambda: rig.proven("sequence"))
        assert told.categories == [None]
        rig.fault(kind="sequence_gap", channel="executions", n=1)
        for _ in range(2):
            await session.call(await rig.committed(entry()), timeout_s=10)
        await rig.until(lambda: not rig.proven("sequence"))
        await rig.until(lambda: rig.proven("sequence"))
        assert told.failures == ["DATA"]

    async def test_a_subscription_that_is_refused_for_its_rate_is_asked_again_and_no_fault(
        self, rig: Rig, told: Reports
    ) -> None:
        await session_of(rig)
        rig.fault(kind="error", method="subscribe", text=RATE_LIMITED)
        stream = await rig.stream()
        await asyncio.sleep(rig.settings.ack_timeout_s * 2 - 0.5)
        for _ in range(rig.settings.faults_max):  # as many faults would be an exit
            rig.fault(kind="error", method="subscribe", text=RATE_LIMITED)
            await asyncio.sleep(rig.settings.ack_timeout_s * 2)
        assert not rig.proven("stream")
        await rig.until(lambda: rig.proven("stream"))
        assert told.categories == [None]
        assert (stream.incarnation, stream.is_alive()) == (1, True)
        assert (await stream.call(GetStream())).resubscribes == rig.settings.faults_max + 1

    async def test_a_snapshot_that_cannot_come_because_the_session_ended_is_no_fault_of_the_stream(
        self, rig: Rig, told: Reports
    ) -> None:
        await session_of(rig)
        rig.fault(kind="silence", channel="executions", s=600.0)
        await rig.stream()
        await asyncio.sleep(0.5)
        rig.network.cut_websockets()
        await asyncio.sleep(rig.settings.ack_timeout_s * 4)
        assert told.failures == []


class TestReconciler:
    async def test_a_round_that_holds_is_a_success_and_a_lost_answer_a_failure_of_the_network(
        self, rig: Rig, told: Reports
    ) -> None:
        reconciler = await rig.reconciler()
        assert (await reconciler.call(Reconcile(), timeout_s=20)).holds
        mark = len(told)
        rig.fault(kind="drop_reply", method="OpenOrders")
        assert not (await reconciler.call(Reconcile(), timeout_s=60)).last_held
        assert None in told.categories[:mark]
        assert told.categories[mark:][:1] == ["NETWORK"]

    @pytest.mark.parametrize("no", ["EAPI:Rate limit exceeded", "EService:Unavailable"])
    async def test_a_venue_that_says_no_to_a_query_has_answered(
        self, rig: Rig, told: Reports, no: str
    ) -> None:
        reconciler = await rig.reconciler()
        await reconciler.call(Reconcile(), timeout_s=20)
        mark = len(told)
        rig.fault(kind="error", method="OpenOrders", text=no)
        assert not (await reconciler.call(Reconcile(), timeout_s=20)).last_held
        assert told.categories[mark:] == []

    async def test_orders_that_do_not_answer_are_trouble_of_our_own(self, rig: Rig, told: Reports) -> None:
        reconciler = await rig.reconciler()
        await reconciler.call(Reconcile(), timeout_s=20)
        mark = len(told)
        await rig.system.stop(rig.orders)
        assert not (await reconciler.call(Reconcile(), timeout_s=20)).last_held
        assert told.categories[mark:] == []


class TestPairData:
    @pytest.fixture
    async def data(self) -> AsyncIterator[DataRig]:
        async with DataRig() as rig:
            yield rig

    async def test_a_snapshot_is_a_success_and_a_wrong_checksum_cannot_be_trusted(
        self, data: DataRig
    ) -> None:
        told = Reports()
        await data.data(parent=await data.system.spawn(Recorder, told, path="/data"))
        await data.until(lambda: data.freshness("BTC/USD"))
        assert told.categories == [None]
        data.fault(kind="corrupt_checksum", n=1)
        await data.until(lambda: len(told) == 3)
        assert told.categories == [None, "DATA", None]

    async def test_a_subscription_that_is_refused_for_its_rate_is_asked_again_and_no_fault(
        self, data: DataRig
    ) -> None:
        told = Reports()
        data.fault(kind="error", method="subscribe", text=RATE_LIMITED)
        _, pair = await data.data(parent=await data.system.spawn(Recorder, told, path="/data"))
        await asyncio.sleep(data.settings.ack_timeout_s * 2 - 0.5)
        for _ in range(data.settings.faults_max):
            data.fault(kind="error", method="subscribe", text=RATE_LIMITED)
            await asyncio.sleep(data.settings.ack_timeout_s * 2)
        assert not data.freshness("BTC/USD")
        await data.until(lambda: data.freshness("BTC/USD"))
        assert told.categories == [None]
        assert (pair.incarnation, pair.is_alive()) == (1, True)

    async def test_a_snapshot_that_cannot_come_because_the_connection_ended_is_no_fault_of_the_pair(
        self, data: DataRig
    ) -> None:
        told = Reports()
        data.fault(kind="silence", channel="book", s=600.0)
        connection, _ = await data.data(parent=await data.system.spawn(Recorder, told, path="/data"))
        await asyncio.sleep(0.5)
        await data.system.stop(connection)
        await asyncio.sleep(data.settings.ack_timeout_s * 4)
        assert told.failures == []


class Caller(Actor):
    """Reports what it is told to."""

    def on_receive(self, message: Any) -> None:
        call_succeeded(self) if message is None else call_failed(self, message)


async def test_failures_that_are_reported_open_the_breaker_of_a_real_supervisor() -> None:
    flags = SupervisorFlags(on_exceeded=OnExceeded.PAUSE, pause=Pause(thresholds=(("TIMEOUT", 2),)))
    async with ActorSystem() as system:
        top = await system.spawn(Supervisor, flags, (ChildSpec("caller", Start(Caller)),), path="/top")
        caller = system.address("/top/caller")
        for said in (Category.TIMEOUT, None, Category.DATA):
            caller.tell(said)
        await asyncio.sleep(0.1)
        assert (await breaker_state(top)).state is BreakerState.CLOSED
        caller.tell(Category.TIMEOUT)
        await asyncio.sleep(0.1)
        assert (await breaker_state(top)).state is BreakerState.OPEN


async def test_whoever_has_no_supervisor_or_a_full_one_goes_on() -> None:
    class Full(Recorder):
        mailbox = Mailbox(capacity=1, overflow=Overflow.REFUSE)

        async def on_receive(self, message: object) -> object:
            await asyncio.sleep(1.0)
            return super().on_receive(message)

    async with ActorSystem() as system:
        told = Reports()
        alone = await system.spawn(Caller, path="/alone")
        full = await system.spawn(Full, told, path="/full")
        under = await system.spawn(Caller, path="/full/caller", parent=full)
        for _ in range(4):
            alone.tell(Category.TIMEOUT)
            under.tell(Category.TIMEOUT)
        await asyncio.sleep(10.0)
        assert 0 < len(told) < 4
        assert alone.is_alive()
        assert under.is_alive()
