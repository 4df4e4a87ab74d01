"""What a fresh journal makes of an order of which rows were lost: nothing that it may have sent is held for unsent."""

import itertools
from collections.abc import Iterable
from decimal import Decimal

import msgspec
import pytest

from allstop.actors.errors import Category, Fault, Outcome, Remedy, Retry, Severity
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import Origin
from allstop.actors.links.chain import genesis, linked
from allstop.actors.links.salvage import Found, fresh_chain
from allstop.actors.ports import JournalRow
from allstop.actors.protocols import order_life
from allstop.actors.protocols.order_life import Life, State
from allstop.actors.protocols.records import (
    LOST,
    AttemptEnded,
    AttemptStarted,
    CoverRecorded,
    IntentCommitted,
    LookupDone,
    Record,
    Reported,
    from_row,
    to_entries,
)
from allstop.actors.reports import Accepted, NotSent, OrderReport, OrderStatus, Rejected, WriteOutcome

INTENT = OrderIntent(
    id="ours",
    pair="BTC/USD",
    side=Side.BUY,
    qty=Decimal("0.1"),
    order_type=OrderType.MARKET,
    stop=StopLoss(trigger_price=Decimal("20000.0")),
)
COMMITTED = IntentCommitted(
    intent=INTENT, origin=Origin.STRATEGY, scope=("kraken", "main", "BTC/USD"), at_ns=1
)
NONCE = Rejected(
    Fault(
        code="EAPI:Invalid nonce", category=Category.AUTH, severity=Severity.HIGH, outcome=Outcome.NO,
        reads=Retry.NOW, writes=Retry.AFTER_LOOKUP,
        remedy=Remedy.RENONCE,
    )
)  # fmt: skip
OTHER = CoverRecorded(pair="ETH/USD", step="covered", detail="")


def started(attempt: int) -> AttemptStarted:
    return AttemptStarted(intent_id="ours", attempt=attempt, channel="session", deadline_s=0.5, at_ns=2)


def ended(attempt: int, outcome: WriteOutcome) -> AttemptEnded:
    return AttemptEnded(intent_id="ours", attempt=attempt, outcome=outcome)


# One order whose first attempt never left, whose second met a nonce that was refused, and whose third was taken.
STORY: tuple[Record, ...] = (
    COMMITTED,
    started(1),
    ended(1, NotSent("the session is not up")),
    started(2),
    ended(2, NONCE),
    LookupDone(intent_id="ours", verdict="checked", evidence="nothing there"),
    started(3),
    ended(3, Accepted(("O1",))),
    Reported(intent_id="ours", report=OrderReport(order_id="O1", status=OrderStatus.NEW), source="stream"),
    OTHER,
)


def rows_of(story: Iterable[Record]) -> list[JournalRow]:
    return linked(genesis("main"), to_entries(story), 5, 1)[1]


def as_found(rows: list[JournalRow], lost: Iterable[int], how: str) -> list[Found]:
    found: list[Found] = []
    for place, row in enumerate(rows):
        if place not in lost:
            found.append(Found(row, True))
        elif how != "gone":
            damaged = {"body": {"body": b""}, "kind": {"kind": "x"}, "key": {"key": "x"}}[how]
            found.append(Found(msgspec.structs.replace(row, **damaged), False))
    return found


def mended(story: Iterable[Record], lost: Iterable[int], how: str, *, unread: int = 0) -> Life:
    """The order by the fresh journal, when somebody folds it."""
    found = as_found(rows_of(story), lost, how)
    rows = fresh_chain("main", found, file="f", what="row", at_ns=9, unread=unread)
    records = [from_row(row) for row in rows]
    life = order_life.fold(records)["ours"]
    assert order_life.life_of(record for record in records if not isinstance(record, CoverRecorded)) == life
    return life


@pytest.mark.parametrize("how", ["body", "kind", "key", "gone"])
@pytest.mark.parametrize("length", range(2, len(STORY) + 1))
def test_whatever_rows_are_lost_an_attempt_that_may_be_at_the_venue_is_not_held_for_unsent(
    how: str, length: int
) -> None:
    """It would be withheld as never sent while it is open, or be sent once more: from CHECKING after one search."""
    story = STORY[:length]
    true = order_life.fold(story)["ours"].state
    for many in range(1, min(length, 4)):
        for lost in itertools.combinations(range(1, length), many):
            tail = how == "gone" and length - 1 in lost
            state = mended(story, lost, how, unread=int(tail)).state
            unsent = {State.INTENT} if true is State.CHECKING else {State.INTENT, State.CHECKING}
            assert state not in unsent or true in unsent, (lost, state)


def test_an_end_that_was_lost_before_the_next_attempt_is_no_contradiction() -> None:
    """No fold would end by it: `orders` could not start, ever."""
    assert mended(STORY[:4], (2,), "body").state is State.SENT
    assert mended(STORY, (2,), "body").state is State.NEW


def test_an_order_that_is_shown_or_over_by_what_is_left_is_left_alone() -> None:
    found = as_found(rows_of(STORY), (9,), "kind")
    rows = fresh_chain("main", found, file="f", what="row", at_ns=9, unread=1)
    assert [row.key for row in rows if row.kind == "attempt" and b'"lost"' in row.body] == []


def test_what_stands_for_a_lost_attempt_is_searched_for_from_the_time_before_the_loss() -> None:
    found = as_found(rows_of((COMMITTED, OTHER)), (), "gone")
    rows = fresh_chain("main", found, file="f", what="row", at_ns=9, unread=1)
    unknown = from_row(rows[-1])
    assert isinstance(unknown, AttemptStarted)
    assert (unknown.channel, unknown.attempt, unknown.at_ns) == (LOST, 1, 5)


def test_an_order_of_the_guardian_whose_one_attempt_has_ended_is_over_with_it() -> None:
    committed = msgspec.structs.replace(COMMITTED, owner="/accounts/kraken.main/guardian")
    found = as_found(rows_of((committed, started(1), ended(1, NONCE), OTHER)), (), "gone")
    rows = fresh_chain("main", found, file="f", what="row", at_ns=9, unread=1)
    assert [row.kind for row in rows].count("attempt") == 1
