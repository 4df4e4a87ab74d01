"""A write of the guardian's until its outcome is known: what each answer makes of it, and what a reading tells."""

import pytest
from tests.cover.toy_venue import PAIR, D, fault

from allstop.actors.errors import Category, Remedy
from allstop.actors.intents import OrderIntent, OrderType, Side
from allstop.actors.levels import IntentKind
from allstop.actors.protocols.exiting import CancelExit, SendExit
from allstop.actors.protocols.lookup import LOOPBACK, Search
from allstop.actors.protocols.pending_write import PendingWrite, Write, Written
from allstop.actors.protocols.positions import AccountBook
from allstop.actors.protocols.remedies import AmendStop, CancelStops, Flatten
from allstop.actors.reports import Accepted, NotSent, OrderReport, OrderStatus, Rejected, Unknown

FLATTEN = Flatten(PAIR, Side.SELL, D("0.4"))
AMEND = AmendStop(PAIR, "S", D("0.2"))
CANCEL = CancelStops(PAIR, ("S",))
EXIT = OrderIntent(
    id="exit-1",
    pair=PAIR,
    side=Side.SELL,
    qty=D("0.3"),
    order_type=OrderType.MARKET,
    kind=IntentKind.REDUCE,
)
ORDER = PendingWrite(PAIR, FLATTEN, "g1")
NO = fault("no")
NONCE = fault("nonce", Category.AUTH, Remedy.RENONCE)


def shows(intent_id: str) -> AccountBook:
    """A book in which the venue has shown the order of this intent."""
    book = AccountBook()
    book.take(
        OrderReport(order_id="O", pair=PAIR, side=Side.SELL, status=OrderStatus.NEW, cl_ord_id=intent_id)
    )
    return book


NOTHING = AccountBook()


# -- orders ----------------------------------------------------------------------------------------------------


def test_an_accepted_order_is_over_when_a_report_shows_it_and_not_before() -> None:
    after, written = ORDER.after(Accepted(order_ids=("O",)), 10.0, LOOPBACK)
    assert written == Written(PAIR, FLATTEN, taken=True)
    assert after is not None
    assert (after.accepted(), after.order_ids, after.due_s()) == (True, ("O",), None)
    assert not after.over_by(99.0, NOTHING)
    assert not after.over(NOTHING)
    assert after.over_by(10.0, shows("g1"))
    assert after.over(shows("g1"))


def test_a_refused_order_is_over_and_its_fault_is_told() -> None:
    assert ORDER.after(Rejected(NO), 10.0, LOOPBACK) == (None, Written(PAIR, FLATTEN, taken=False, fault=NO))


def test_an_order_that_was_not_sent_is_over_and_nobody_refused_it() -> None:
    written = Written(PAIR, FLATTEN, taken=False)
    assert ORDER.after(NotSent(reason="cut"), 10.0, LOOPBACK) == (None, written)


def test_an_order_without_an_answer_is_looked_up_when_the_venue_can_no_longer_take_it() -> None:
    after, written = ORDER.after(Unknown(reason="late"), 10.0, LOOPBACK)
    assert after is not None
    assert written is None
    assert after.due_s() == 10.0 + LOOPBACK.quiet_s
    assert (after.accepted(), after.over(shows("g1"))) == (False, False), "a full reading says so, no glance"


def test_an_order_without_an_answer_is_proven_absent_by_two_searches() -> None:
    pending, _ = ORDER.after(Unknown(reason="late"), 10.0, LOOPBACK)
    evidence: list[str | None] = []
    for started_s in (10.1, 11.0, 12.0):
        assert pending is not None
        assert pending.lookup is not None
        search = Search(started_s=started_s, ended_s=started_s + 0.01)
        pending, proof = pending.searched(pending.lookup, search)
        evidence.append(proof)
    assert evidence[:2] == [None, None], "one before the deadline, and one after it"
    assert evidence[2] is not None


def test_a_refused_nonce_is_confirmed_by_one_search_and_its_fault_kept() -> None:
    pending, written = ORDER.after(Rejected(NONCE), 10.0, LOOPBACK)
    assert written is None
    assert pending is not None
    assert pending.lookup is not None
    assert (pending.fault, pending.due_s()) == (NONCE, 10.0)
    _, proof = pending.searched(pending.lookup, Search(started_s=10.0, ended_s=10.1))
    assert proof is not None


@pytest.mark.parametrize(
    ("step", "qty"), [(FLATTEN, "0.4"), (SendExit(EXIT), "0.3"), (AMEND, "0"), (CANCEL, "0")]
)
def test_only_what_sells_at_once_is_in_flight_and_only_until_it_is_shown(step: Write, qty: str) -> None:
    pending = PendingWrite(PAIR, step, "g1")
    assert pending.in_flight(NOTHING) == D(qty)
    assert pending.in_flight(shows("g1")) == 0


# -- commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [AMEND, CANCEL, CancelExit(("O",))])
def test_an_answered_command_is_over_with_the_next_reading_that_began_after_it(step: Write) -> None:
    after, written = PendingWrite(PAIR, step).after(Accepted(order_ids=()), 10.0, LOOPBACK)
    assert after is not None
    assert written == Written(PAIR, step, taken=True)
    assert (after.over_by(9.9, NOTHING), after.over_by(10.0, NOTHING)) == (False, True)
    assert after.over(NOTHING), "asked by name, it needs no reading"


def test_a_refused_command_is_over_the_same_way_and_its_fault_is_told() -> None:
    after, written = PendingWrite(PAIR, AMEND).after(Rejected(NO), 10.0, LOOPBACK)
    assert after is not None
    assert written == Written(PAIR, AMEND, taken=False, fault=NO)
    assert (after.answered, after.over_after_s) == (True, 10.0)


def test_an_amend_without_an_answer_blocks_its_pair_until_it_can_no_longer_be_taken() -> None:
    """A late amend could undo the next one."""
    after, written = PendingWrite(PAIR, AMEND).after(Unknown(reason="late"), 10.0, LOOPBACK)
    assert after is not None
    assert written is None
    assert after.due_s() == 10.0 + LOOPBACK.quiet_s
    assert not after.over_by(10.0 + LOOPBACK.quiet_s - 0.01, NOTHING)
    assert after.over_by(10.0 + LOOPBACK.quiet_s, NOTHING)
    assert not after.over(NOTHING)


def test_a_cancel_without_an_answer_is_over_with_the_next_reading() -> None:
    after, _ = PendingWrite(PAIR, CANCEL).after(Unknown(reason="late"), 10.0, LOOPBACK)
    assert after is not None
    assert after.over_by(10.0, NOTHING)
    assert not after.over(NOTHING)


def test_a_command_that_was_not_sent_is_over() -> None:
    written = Written(PAIR, CANCEL, taken=False)
    assert PendingWrite(PAIR, CANCEL).after(NotSent(reason="cut"), 10.0, LOOPBACK) == (None, written)
