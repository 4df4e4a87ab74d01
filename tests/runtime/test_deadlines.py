"""A message that takes longer than its class allows: cancelled, fenced, named, replaced."""

import asyncio
import threading
from typing import Any, ClassVar

import pytest
from tests.runtime.puppet import AsyncPuppet, Puppet, ThreadPuppet, Witness, sleeps, stubborn

from allstop.actors.events import CrashReport, HandlerHung, Unstopped
from allstop.actors.exits import ExitKind
from allstop.actors.runtime import Actor, ActorDead, ActorSystem, Fenced, HandlerTimeout, Ref
from allstop.actors.spec import ChildSpec, Start, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor

LIMIT_S = 0.5
PATIENCE_S = 20.0


class Limited(AsyncPuppet):
    max_handler_s = LIMIT_S


def told(witness: Witness, kind: type[Any]) -> list[Any]:
    return [event for event in witness.events if isinstance(event, kind)]


@pytest.mark.virtual
class TestCoroutines:
    async def test_a_handler_that_is_suspended_too_long_ends_its_actor_with_handler_timeout(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        ref = await system.spawn(Limited, witness, path="/limited")
        with pytest.raises(ActorDead) as dead:
            await ref.call(sleeps(3600), timeout_s=60)
        assert system.clock.now_s() == pytest.approx(LIMIT_S, abs=0.01)
        assert ref.last_exit is not None
        error = ref.last_exit.error
        assert isinstance(error, HandlerTimeout)
        assert (error.path, error.incarnation, error.message, error.limit_s) == (
            "/limited",
            1,
            "function",
            LIMIT_S,
        )
        assert dead.value.exit == ref.last_exit
        (hung,) = told(witness, HandlerHung)
        assert (hung.path, hung.where, hung.message, hung.held_s) == ("/limited", "task", "function", LIMIT_S)
        assert any(
            line.endswith(" slow") for line in hung.stack
        )  # the innermost function of ours: see `sleeps`
        assert [report.error for report in told(witness, CrashReport)] == [error]
        assert witness.failures == [error]
        assert system.leaked == []

    async def test_the_limit_is_for_each_message_and_not_for_silence_or_for_a_busy_mailbox(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        ref = await system.spawn(Limited, witness)
        for _ in range(10):
            await ref.call(sleeps(LIMIT_S * 0.9), timeout_s=60)
        await asyncio.sleep(100)
        assert await ref.call("still here") == "still here"
        assert told(witness, HandlerHung) == []

    async def test_a_told_message_and_one_in_the_backlog_have_their_limit_too(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        ref = await system.spawn(Limited, witness)
        ref.tell(sleeps(LIMIT_S * 0.9))
        ref.tell(sleeps(3600))
        ref.tell("waits")
        await asyncio.sleep(LIMIT_S * 1.8)
        assert ref.is_alive()
        await asyncio.sleep(LIMIT_S * 0.2)
        assert not ref.is_alive()
        assert [letter.message for letter in system.dead_letters.recent()] == ["waits"]

    @pytest.mark.req("243")
    async def test_one_that_swallows_its_cancellation_is_fenced_and_named_and_replaced_by_its_supervisor(
        self, witness: Witness
    ) -> None:
        async with ActorSystem(on_event=witness.events.append) as system:
            spec = ChildSpec("limited", Start(Limited, (witness,)))
            await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/top")
            ref = system.address("/top/limited")
            pinned = ref.pinned()
            ref.tell(stubborn())
            await asyncio.sleep(LIMIT_S + 0.9)
            assert (ref.incarnation, pinned.is_alive()) == (1, True)
            await asyncio.sleep(0.3)
            assert (ref.incarnation, ref.is_alive(), pinned.is_alive()) == (2, True, False)
            assert system.leaked == ["/top/limited#1"]
            (gone,) = told(witness, Unstopped)
            assert (gone.path, gone.incarnation, gone.what) == ("/top/limited", 1, "task")
            (report,) = told(witness, CrashReport)
            assert isinstance(report.error, HandlerTimeout)
            assert pinned.last_exit is not None
            assert pinned.last_exit.kind is ExitKind.CRASHED
            with pytest.raises(ActorDead):
                pinned.tell("late")
            assert await ref.call("hello") == "hello"

    async def test_a_handler_that_cleans_up_within_the_grace_is_not_fenced(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        done: list[str] = []

        async def cleans_up() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.9)
                done.append("closed")

        ref = await system.spawn(Limited, witness)
        ref.tell(lambda _puppet: cleans_up())  # pyright: ignore[reportUnknownLambdaType]
        await asyncio.sleep(LIMIT_S + 1.5)
        assert done == ["closed"]
        assert ref.last_exit is not None
        assert isinstance(ref.last_exit.error, HandlerTimeout)
        assert told(witness, Unstopped) == []

    async def test_a_foreign_cancellation_is_not_taken_for_ours(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        async def cancelled_from_within() -> None:
            raise asyncio.CancelledError("foreign")

        ref = await system.spawn(Limited, witness)
        ref.tell(lambda _puppet: cancelled_from_within())  # pyright: ignore[reportUnknownLambdaType]
        await asyncio.sleep(0.01)
        assert ref.last_exit is not None
        assert isinstance(ref.last_exit.error, asyncio.CancelledError)

    async def test_on_stop_has_the_limit_of_the_stop_and_not_of_the_class(self, system: ActorSystem) -> None:
        class SlowToStop(Limited):
            async def on_stop(self, exit_: Any) -> None:
                del exit_
                await asyncio.sleep(LIMIT_S * 3)

        ref = await system.spawn(SlowToStop)
        assert (await system.stop(ref, timeout_s=LIMIT_S * 4)).clean

    async def test_a_class_without_a_limit_has_none(self, system: ActorSystem, witness: Witness) -> None:
        ref = await system.spawn(AsyncPuppet, witness)
        assert await ref.call(sleeps(3600, "slept"), timeout_s=4000) == "slept"
        assert told(witness, HandlerHung) == []


class Wedge:
    """What a wedged thread waits for, and what it then may still do."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.late: list[Any] = []

    def hold(self, puppet: Any) -> str:
        assert self.release.wait(PATIENCE_S)
        for act in (
            lambda: puppet.ref.tell("late"),
            lambda: puppet.tell(puppet.ref, "late"),
            lambda: puppet.send_after(0.0, "late"),
            lambda: puppet.monitor(puppet.system.address("/elsewhere")),
            lambda: puppet.link(puppet.system.address("/elsewhere")),
            lambda: puppet.ref.ask("late", block=False),
            lambda: puppet.ref.stop(),
            puppet.check_fence,
        ):
            try:
                act()
                self.late.append("done")
            except Fenced as error:
                self.late.append((error.path, error.incarnation))
        return "late"


class TestThreads:
    @pytest.mark.req("243")
    async def test_a_wedged_thread_is_abandoned_fenced_named_and_replaced_and_its_late_words_are_refused(
        self, witness: Witness
    ) -> None:
        class Wedged(ThreadPuppet):
            max_handler_s: ClassVar[float | None] = 0.2

        wedge = Wedge()
        async with ActorSystem(on_event=witness.events.append) as system:
            spec = ChildSpec("wedged", Start(Wedged, (witness,)))
            await system.spawn(Supervisor, SupervisorFlags(), (spec,), path="/top")
            ref = system.address("/top/wedged")
            with pytest.raises(ActorDead) as dead:
                await ref.call(wedge.hold, timeout_s=PATIENCE_S)
            assert dead.value.exit is not None
            assert isinstance(dead.value.exit.error, HandlerTimeout)
            assert system.leaked == ["/top/wedged#1"]
            (hung,) = told(witness, HandlerHung)
            assert (hung.path, hung.incarnation, hung.where, hung.message) == (
                "/top/wedged",
                1,
                "thread",
                "method",
            )
            assert hung.held_s >= 0.2
            assert any(line.endswith(" hold") for line in hung.stack)
            (gone,) = told(witness, Unstopped)
            assert (gone.path, gone.incarnation, gone.what) == ("/top/wedged", 1, "thread")
            await until(lambda: ref.is_alive() and ref.incarnation == 2)
            witness.handled.clear()
            wedge.release.set()
            await until(lambda: system.leaked == [])
            assert wedge.late == [("/top/wedged", 1)] * 8
            assert await ref.call("hello", timeout_s=PATIENCE_S) == "hello"
            assert witness.handled == ["hello"]

    async def test_a_thread_that_returns_in_time_is_left_alone_however_long_it_lives(
        self, witness: Witness
    ) -> None:
        class Busy(ThreadPuppet):
            max_handler_s: ClassVar[float | None] = 0.5

        async with ActorSystem(on_event=witness.events.append) as system:
            ref = await system.spawn(Busy, witness)
            loop = asyncio.get_running_loop()
            until_s = loop.time() + 1.0
            while loop.time() < until_s:
                await ref.call("tick", timeout_s=PATIENCE_S)
                await asyncio.sleep(0.01)
            assert ref.is_alive()
            assert told(witness, HandlerHung) == []

    async def test_the_looks_at_a_thread_end_with_it(self) -> None:
        class Brief(ThreadPuppet):
            max_handler_s: ClassVar[float | None] = 3600.0

        async with ActorSystem() as system:
            ref = await system.spawn(Brief)
            cell = ref.cell
            handle = cell._next_look
            await system.stop(ref)
            assert handle.cancelled()
            assert cell._next_look is None

    @pytest.mark.req("243")
    async def test_what_cannot_be_stopped_is_told_by_name_when_the_system_closes(
        self, witness: Witness
    ) -> None:
        wedge = Wedge()
        async with ActorSystem(on_event=witness.events.append) as system:
            ref = await system.spawn(ThreadPuppet, path="/wedged")
            ref.tell(wedge.hold)
            await until(lambda: not ref.cell.queue)
            system.kill(ref)
        assert system.leaked == ["/wedged#1"]
        (gone,) = told(witness, Unstopped)
        assert (gone.path, gone.incarnation, gone.what) == ("/wedged", 1, "thread")
        wedge.release.set()
        await until(lambda: system.leaked == [])


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


# -- what a killed incarnation can still do -------------------------------------------------------------------------
@pytest.mark.virtual
class TestFences:
    @pytest.mark.req("243")
    async def test_a_coroutine_that_goes_on_behind_its_fence_can_send_nothing_through_itself(
        self, system: ActorSystem
    ) -> None:
        witness = Witness()
        late: list[Any] = []
        ref = await system.spawn(AsyncPuppet, witness, path="/again")

        def goes_on(puppet: Any) -> Any:
            async def act() -> None:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    for send in (
                        puppet.ref.call("late"),
                        puppet.ref.put("late"),
                        puppet.system.spawn(Puppet, path="/again/child", parent=puppet.ref),
                    ):
                        try:
                            await send
                        except Fenced as error:
                            late.append(error.incarnation)

            return act()

        ref.tell(goes_on)
        await asyncio.sleep(0.1)
        system.kill(ref)
        await system.spawn(AsyncPuppet, witness, path="/again")
        await asyncio.sleep(0.1)
        assert late == [1, 1, 1]
        assert not system.address("/again/child").is_alive()
        assert ref.cell.belongings is None  # nothing hangs on the new incarnation
        assert "late" not in witness.handled

    async def test_a_child_of_a_pinned_parent_belongs_to_it_and_none_is_started_after_its_end(
        self, system: ActorSystem
    ) -> None:
        parent = await system.spawn(Puppet, path="/parent")
        pinned = parent.pinned()
        child = await system.spawn(Puppet, path="/parent/child", parent=pinned)
        assert child.parent is parent
        system.kill(parent)
        assert not child.is_alive()
        await system.spawn(Puppet, path="/parent")
        with pytest.raises(ActorDead):
            await system.spawn(Puppet, path="/parent/child", parent=pinned)
        assert child.incarnation == 1

    async def test_the_error_of_an_owned_task_while_its_actor_ends_is_reported(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        async def fails_to_close() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                raise OSError("the disk is full")

        class Owner(Actor):
            def on_start(self) -> None:
                self.start_task(fails_to_close(), "writer")

        ref = await system.spawn(Owner)
        await asyncio.sleep(0.1)
        exit_ = await system.stop(ref)
        assert exit_.clean
        (report,) = witness.crashes
        assert str(report.error) == "the disk is full"

    async def test_a_crash_from_outside_is_a_crash_like_any_other(
        self, system: ActorSystem, witness: Witness
    ) -> None:
        for kind in (Puppet, AsyncPuppet, ThreadPuppet):
            ref: Ref = await system.spawn(kind, witness)
            error = ValueError("chaos")
            assert system.crash(ref, error) is True
            await asyncio.sleep(0.1)
            assert ref.last_exit is not None
            assert ref.last_exit.error is error
            assert witness.failures.pop() is error
            assert system.crash(ref, error) is False
        assert len(witness.crashes) == 3

    async def test_a_crash_from_outside_interrupts_a_suspended_handler(self, system: ActorSystem) -> None:
        ref = await system.spawn(AsyncPuppet)
        waiting = asyncio.create_task(ref.call(sleeps(3600), timeout_s=60))
        await asyncio.sleep(0.1)
        system.crash(ref, ValueError("chaos"))
        with pytest.raises(ActorDead):
            await waiting
        assert str(ref.last_exit.error) == "chaos"  # type: ignore[union-attr]
