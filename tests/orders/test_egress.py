"""The last look before the bytes: what it lets out, what it stops, and what it does without a journal."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from tests.orders.puppets import SCOPE, entry, reduction

from allstop.actors.clock import LoopClock, ManualClock
from allstop.actors.egress import Checkpoint, EgressActor, EmergencyJournal, OrderFrame
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.journal import JournalActor, append
from allstop.actors.levels import ROOT, IntentKind, Level, LevelBoard, Origin, Vote
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.ports import Lease
from allstop.actors.protocols.clearance import Clearances
from allstop.actors.protocols.records import (
    AttemptStarted,
    CommandIntended,
    EmergencyFrame,
    IntentCommitted,
    from_row,
)
from allstop.actors.runtime import Actor, ActorSystem

pytestmark = pytest.mark.virtual

WHERE = (*SCOPE, "BTC/USD")
FRAME = OrderFrame(kind=IntentKind.ENTRY, subject="a", attempt=1, scope=WHERE, deadline_s=5.0)
PROTECT = OrderFrame(
    kind=IntentKind.PROTECT, subject="p", attempt=1, scope=WHERE, origin=Origin.GUARDIAN, deadline_s=5.0
)


class Idle(Actor):
    """Holds a guard."""

    def on_receive(self, message: object) -> None:
        raise TypeError(repr(message))


class SteppedClock(LoopClock):
    """A wall that somebody set."""

    step_s = 0.0

    def wall_ns(self) -> int:
        return super().wall_ns() + int(self.step_s * 1e9)


class Account:
    def __init__(self, emergency: EmergencyJournal | None = None) -> None:
        self.system = ActorSystem()
        self.clock = SteppedClock(asyncio.get_running_loop())
        self.disk = MemoryDisk(self.clock)
        self.levels = LevelBoard()
        self.votes: list[Vote] = []
        self.lease = Lease()
        self.checkpoint = Checkpoint(
            path="/egress",
            clock=self.clock,
            levels=self.levels,
            vote=self.votes.append,
            lease=lambda: self.lease,
            skew_s=1.0,
            emergency=emergency,
        )

    async def __aenter__(self) -> "Account":
        await self.system.__aenter__()
        await self.start_journal()
        self.egress = self.system.address("/egress")
        await self.start_egress()
        self.holder = await self.system.spawn(Idle, path="/session")
        self.guard = self.checkpoint.guard(self.holder)
        return self

    async def start_journal(self) -> None:
        self.journal = await self.system.spawn(JournalActor, self.disk.open_journal, "k", path="/journal")

    async def start_egress(self) -> None:
        await self.system.spawn(EgressActor, self.checkpoint, self.journal, path="/egress")

    async def __aexit__(self, *_exc: object) -> None:
        await self.system.__aexit__(None, None, None)

    async def commit(self, subject: str = "a", attempt: int = 1, kind: IntentKind = IntentKind.ENTRY) -> None:
        intent = entry(subject) if kind is IntentKind.ENTRY else reduction(subject)
        await append(
            self.journal,
            [
                IntentCommitted(intent=intent, origin=Origin.STRATEGY, scope=WHERE, at_ns=1),
                AttemptStarted(intent_id=subject, attempt=attempt, channel="session", deadline_s=5, at_ns=1),
            ],
        )

    async def lose_the_journal(self) -> None:
        self.disk.fail_next_commit("k")
        await asyncio.gather(append(self.journal, []), self.commit("x"), return_exceptions=True)
        await asyncio.sleep(0.1)


def refusal(check: Callable[[OrderFrame], None], frame: OrderFrame) -> RefusalCode:
    with pytest.raises(Refused) as caught:
        check(frame)
    return caught.value.code


async def test_a_committed_attempt_passes_once() -> None:
    async with Account() as account:
        await account.commit()
        account.guard.check(FRAME)
        assert refusal(account.guard.check, FRAME) is RefusalCode.FENCED
        assert account.votes == []


async def test_a_frame_without_a_committed_intent_is_stopped_and_halts() -> None:  # T110
    async with Account() as account:
        assert refusal(account.guard.check, FRAME) is RefusalCode.NOT_COMMITTED
        assert [(vote.level, vote.scope) for vote in account.votes] == [(Level.HALTED, ROOT)]


async def test_an_attempt_of_before_egress_started_does_not_pass_and_does_not_halt() -> None:
    async with Account() as account:
        await account.commit()
        account.system.kill(account.egress)
        await account.start_egress()
        assert refusal(account.guard.check, FRAME) is RefusalCode.FENCED
        assert account.votes == []


async def test_nothing_passes_between_an_egress_that_died_and_the_next() -> None:
    async with Account() as account:
        await account.commit()
        account.system.kill(account.egress)
        assert refusal(account.guard.check, FRAME) is RefusalCode.EGRESS_DOWN


async def test_the_guard_of_an_incarnation_that_is_over_refuses() -> None:
    async with Account() as account:
        await account.commit()
        account.system.kill(account.holder)
        await account.system.spawn(Idle, path="/session")
        assert refusal(account.guard.check, FRAME) is RefusalCode.FENCED
        account.checkpoint.guard(account.holder).check(FRAME)


async def test_a_revoked_guard_refuses() -> None:
    async with Account() as account:
        await account.commit()
        account.guard.revoke()
        assert refusal(account.guard.check, FRAME) is RefusalCode.FENCED


async def test_the_level_of_the_last_moment_counts_and_costs_no_clearance() -> None:
    async with Account() as account:
        await account.commit()
        account.levels.cast(Vote("x", ("kraken",), Level.READ_ONLY, "test"))
        assert refusal(account.guard.check, FRAME) is RefusalCode.LEVEL
        account.levels.withdraw("x", ("kraken",))
        account.guard.check(FRAME)


async def test_a_wall_clock_that_was_stepped_lets_no_entry_out_and_keeps_no_exit_in() -> None:
    async with Account() as account:
        await account.commit()
        await account.commit("b", kind=IntentKind.REDUCE)
        account.clock.step_s = -2.3
        assert refusal(account.guard.check, FRAME) is RefusalCode.GATE_CLOSED
        account.guard.check(msgspec.structs.replace(FRAME, kind=IntentKind.REDUCE, subject="b"))
        account.clock.step_s = 0.0
        account.guard.check(FRAME)


async def test_the_lease_must_outlast_the_deadline_and_the_skew() -> None:
    async with Account() as account:
        await account.commit()
        now_ns = account.clock.wall_ns()
        account.lease = Lease(epoch=3, valid_until_ns=now_ns + 6_000_000_000)
        assert refusal(account.guard.check, FRAME) is RefusalCode.LEASE
        account.lease = Lease(epoch=3, valid_until_ns=now_ns + 6_000_000_001)
        account.guard.check(FRAME)


async def test_a_lost_journal_lets_only_cancels_and_protection_out_and_notes_them() -> None:  # T103
    async with Account() as account:
        await account.commit()
        await account.lose_the_journal()
        assert account.checkpoint.emergency_mode
        assert refusal(account.guard.check, FRAME) is RefusalCode.EGRESS_DOWN
        account.guard.check(PROTECT)
        account.guard.check(OrderFrame(kind=IntentKind.CANCEL, subject="c", scope=WHERE))
        assert [frame.subject for frame in account.checkpoint.emergency.frames()] == ["p", "c"]
        assert refusal(account.guard.check, PROTECT) is RefusalCode.FENCED


def test_an_egress_that_is_down_for_good_lets_out_what_a_lost_journal_does_and_one_that_is_restarted_nothing() -> (
    None
):
    down_for_good = False
    checkpoint = Checkpoint(
        path="/egress",
        clock=ManualClock(),
        levels=LevelBoard(),
        vote=lambda _vote: None,
        gave_up=lambda: down_for_good,
    )
    cancel = OrderFrame(kind=IntentKind.CANCEL, subject="c", scope=WHERE)
    checkpoint.open(Clearances(), lambda: False)
    assert [refusal(checkpoint.check, one) for one in (PROTECT, cancel)] == [RefusalCode.EGRESS_DOWN] * 2
    down_for_good = True
    checkpoint.check(PROTECT)
    checkpoint.check(cancel)
    assert refusal(checkpoint.check, FRAME) is RefusalCode.EGRESS_DOWN
    assert [frame.subject for frame in checkpoint.emergency.frames()] == ["p", "c"]


async def test_what_left_without_a_journal_is_written_out_at_the_next_start() -> None:
    emergency = EmergencyJournal()
    async with Account(emergency) as account:
        await account.lose_the_journal()
        account.guard.check(PROTECT)
    async with Account(emergency) as account:
        rows = [from_row(row) for row in account.disk.rows("k")]
        assert [row.subject for row in rows if isinstance(row, EmergencyFrame)] == ["p"]
        assert emergency.frames() == ()
        assert not account.checkpoint.emergency_mode


def test_a_full_emergency_journal_refuses_protection_and_counts_cancels() -> None:
    emergency = EmergencyJournal(capacity=1)
    checkpoint = Checkpoint(
        path="/egress",
        clock=ManualClock(),
        levels=LevelBoard(),
        vote=lambda _vote: None,
        emergency=emergency,
    )
    checkpoint.open(Clearances(), lambda: True)
    checkpoint.journal_lost()
    cancel = OrderFrame(kind=IntentKind.CANCEL, subject="c", scope=WHERE)
    checkpoint.check(cancel)
    checkpoint.check(cancel)
    assert emergency.unrecorded == 1
    assert refusal(checkpoint.check, PROTECT) is RefusalCode.EGRESS_DOWN


async def test_a_command_passes_as_it_was_committed() -> None:
    async with Account() as account:
        intended = CommandIntended(
            command_id="c",
            intent_id="a",
            verb="amend",
            kind=IntentKind.REDUCE,
            origin=Origin.STRATEGY,
            scope=WHERE,
            order_ids=("O",),
            at_ns=1,
        )
        await append(account.journal, [intended])
        kind, origin, scope = account.guard.about("c") or (None, None, None)
        assert (kind, origin, scope) == (IntentKind.REDUCE, Origin.STRATEGY, WHERE)
        account.guard.check(OrderFrame(kind=IntentKind.REDUCE, subject="c", scope=WHERE))


@pytest.mark.parametrize("kind", [IntentKind.PROTECT, IntentKind.CANCEL])
async def test_what_the_guardian_could_not_have_committed_in_time_leaves_under_the_emergency_rule(
    kind: IntentKind,
) -> None:
    """It was taken for a stray frame: it did not leave, and trading halted, because a disk was slow (simulated seed
    1850)."""
    async with Account() as account:
        slow = False
        guard = account.checkpoint.guard(account.holder, unheard=lambda: slow)
        frame = msgspec.structs.replace(PROTECT, kind=kind, attempt=1 if kind is IntentKind.PROTECT else 0)
        slow = True
        guard.check(frame)
        assert account.votes == []
        (noted,) = account.checkpoint.emergency.frames()
        assert (noted.kind, noted.subject) == (kind, "p")


async def test_what_left_before_its_row_was_committed_does_not_leave_again_when_it_is() -> None:
    async with Account() as account:
        slow = True
        guard = account.checkpoint.guard(account.holder, unheard=lambda: slow)
        frame = msgspec.structs.replace(PROTECT, origin=Origin.STRATEGY)
        guard.check(frame)
        await account.commit("p", kind=IntentKind.PROTECT)
        slow = False
        assert refusal(guard.check, frame) is RefusalCode.FENCED


async def test_an_entry_waits_for_its_row_however_slow_the_disk_is() -> None:
    async with Account() as account:
        guard = account.checkpoint.guard(account.holder, unheard=lambda: True)
        assert refusal(guard.check, FRAME) is RefusalCode.NOT_COMMITTED
        assert [vote.level for vote in account.votes] == [Level.HALTED]
        assert account.checkpoint.emergency.frames() == ()


async def test_whom_the_journal_answers_finds_no_emergency_rule() -> None:
    async with Account() as account:
        assert refusal(account.guard.check, PROTECT) is RefusalCode.NOT_COMMITTED
        assert [vote.level for vote in account.votes] == [Level.HALTED]


async def test_an_exit_whose_attempt_is_not_committed_in_time_is_kept_back_and_is_no_stray_frame() -> None:
    async with Account() as account:
        intent = IntentCommitted(intent=reduction("a"), origin=Origin.STRATEGY, scope=WHERE, at_ns=1)
        await append(account.journal, [intent])
        guard = account.checkpoint.guard(account.holder, unheard=lambda: True)
        frame = msgspec.structs.replace(FRAME, kind=IntentKind.REDUCE)
        assert refusal(guard.check, frame) is RefusalCode.EGRESS_DOWN
        assert account.votes == []
