"""What may leave: a frame answers to a committed record, once."""

import msgspec
import pytest
from tests.protocols.test_records import INTENT, SCOPE

from allstop.actors.errors import RefusalCode
from allstop.actors.levels import IntentKind, Origin
from allstop.actors.protocols import clearance
from allstop.actors.protocols.clearance import Clearances, OrderFrame
from allstop.actors.protocols.records import (
    AttemptEnded,
    AttemptStarted,
    CommandEnded,
    CommandIntended,
    IntentCommitted,
    Terminal,
    Withheld,
)
from allstop.actors.reports import Accepted, Unknown

COMMITTED = IntentCommitted(intent=INTENT, origin=Origin.STRATEGY, scope=SCOPE, at_ns=1)
FRAME = OrderFrame(kind=IntentKind.ENTRY, subject="a", attempt=1, scope=SCOPE)
CANCEL = OrderFrame(kind=IntentKind.CANCEL, subject="c", scope=SCOPE)


def attempt(n: int) -> AttemptStarted:
    return AttemptStarted(intent_id="a", attempt=n, channel="session", deadline_s=5, at_ns=2)


def command(verb: str = "cancel", kind: IntentKind = IntentKind.CANCEL) -> CommandIntended:
    return CommandIntended(
        command_id="c",
        intent_id="a",
        verb=verb,
        kind=kind,
        origin=Origin.STRATEGY,
        scope=SCOPE,
        order_ids=("O",),
        at_ns=1,
    )


def knowing(*records: object) -> Clearances:
    clearances = Clearances()
    for record in records:
        clearances.learn(record)  # pyright: ignore[reportArgumentType]
    return clearances


def test_a_committed_attempt_leaves_once() -> None:
    clearances = knowing(COMMITTED, attempt(1))
    assert clearances.refusal(FRAME) is None
    clearances.use(FRAME)
    refusal = clearances.refusal(FRAME)
    assert refusal is not None
    assert (refusal.code, refusal.loud) == (RefusalCode.FENCED, False)


@pytest.mark.parametrize(
    "stray",
    [
        msgspec.structs.replace(FRAME, subject="never"),
        msgspec.structs.replace(FRAME, attempt=2),
        msgspec.structs.replace(FRAME, kind=IntentKind.PROTECT),
        msgspec.structs.replace(FRAME, origin=Origin.GUARDIAN),
        msgspec.structs.replace(FRAME, scope=("kraken", "other", "BTC/USD")),
        msgspec.structs.replace(CANCEL, subject="never"),
        msgspec.structs.replace(FRAME, attempt=0),
    ],
)
def test_a_frame_that_no_record_explains_is_refused_loudly(stray: OrderFrame) -> None:
    refusal = knowing(COMMITTED, attempt(1)).refusal(stray)
    assert refusal is not None
    assert (refusal.code, refusal.loud) == (RefusalCode.NOT_COMMITTED, True)


def test_a_committed_intent_without_an_attempt_does_not_leave() -> None:
    assert knowing(COMMITTED).refusal(FRAME) is not None


def test_an_attempt_that_was_given_up_while_its_frame_waited_is_refused_quietly() -> None:
    given_up = AttemptEnded(intent_id="a", attempt=1, outcome=Unknown("no answer"))
    refusal = knowing(COMMITTED, attempt(1), given_up).refusal(FRAME)
    assert refusal is not None
    assert not refusal.loud


def test_a_new_attempt_ends_the_clearance_of_the_one_before() -> None:
    clearances = knowing(COMMITTED, attempt(1), attempt(2))
    assert clearances.refusal(FRAME) is not None
    assert clearances.refusal(msgspec.structs.replace(FRAME, attempt=2)) is None


@pytest.mark.parametrize(
    "end",
    [Terminal(intent_id="a", state="NOT_PLACED", evidence="x"), Withheld(intent_id="a", reason="x")],
)
def test_a_late_frame_of_an_order_that_is_over_is_refused_quietly(end: object) -> None:
    refusal = knowing(COMMITTED, attempt(1), end).refusal(FRAME)
    assert refusal is not None
    assert (refusal.code, refusal.loud) == (RefusalCode.EXPIRED, False)


def test_a_cancel_may_leave_in_batches_and_an_amend_once() -> None:
    cancels = knowing(COMMITTED, command())
    cancels.use(CANCEL)
    assert cancels.refusal(CANCEL) is None
    amends = knowing(COMMITTED, command("amend", IntentKind.REDUCE))
    amend = msgspec.structs.replace(CANCEL, kind=IntentKind.REDUCE)
    assert amends.refusal(amend) is None
    amends.use(amend)
    assert amends.refusal(amend) is not None


def test_a_command_that_ended_is_over() -> None:
    ended = CommandEnded(command_id="c", intent_id="a", outcome=Accepted(()))
    refusal = knowing(COMMITTED, command(), ended).refusal(CANCEL)
    assert refusal is not None
    assert not refusal.loud


def test_what_was_under_way_in_an_earlier_incarnation_is_not_cleared() -> None:
    clearances = knowing(COMMITTED, attempt(1), command())
    clearances.start_afresh()
    assert clearances.refusal(FRAME) is not None
    assert clearances.refusal(CANCEL) is not None
    clearances.learn(attempt(2))
    assert clearances.refusal(msgspec.structs.replace(FRAME, attempt=2)) is None


def test_the_memory_of_orders_that_are_over_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearance, "OVER_MAX", 2)
    clearances = Clearances()
    for name in ("x", "y", "z"):
        intent = msgspec.structs.replace(INTENT, id=name)
        clearances.learn(msgspec.structs.replace(COMMITTED, intent=intent))
        clearances.learn(Terminal(intent_id=name, state="FILLED", evidence="x"))
    loud = {
        name: clearances.refusal(msgspec.structs.replace(FRAME, subject=name)) for name in ("x", "y", "z")
    }
    assert [refusal.loud for refusal in loud.values() if refusal is not None] == [True, False, False]
