"""The order life: the table cell by cell, the fold, and any history at all."""

from decimal import Decimal
from itertools import product
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from allstop.actors.intents import OrderIntent, Side, StopLoss
from allstop.actors.levels import Origin
from allstop.actors.protocols import order_life
from allstop.actors.protocols.kraken import faults
from allstop.actors.protocols.lookup import LOOPBACK, Found, Lookup, ProvenAbsent, Search
from allstop.actors.protocols.order_life import (
    TABLE,
    TERMINAL,
    Act,
    Event,
    IllegalStep,
    Life,
    State,
    born,
    fold,
    is_news,
    plan,
)
from allstop.actors.protocols.order_page import page
from allstop.actors.protocols.records import (
    AttemptEnded,
    AttemptStarted,
    Filled,
    IntentCommitted,
    LookupDone,
    Record,
    Reported,
    Terminal,
    Withheld,
    from_row,
    to_entry,
)
from allstop.actors.reports import (
    Accepted,
    Fill,
    NotSent,
    OrderReport,
    OrderStatus,
    Rejected,
    Unknown,
    WriteOutcome,
)

TOLD = [event for event in Event if event.name.startswith("TOLD")]
INTENT = OrderIntent(
    id="a",
    pair="BTC/USD",
    side=Side.BUY,
    qty=Decimal(10),
    limit_price=Decimal(100),
    stop=StopLoss(trigger_price=Decimal(90)),
)
COMMITTED = IntentCommitted(
    intent=INTENT, origin=Origin.STRATEGY, scope=("kraken", "main", "BTC/USD"), at_ns=1
)


def attempt(n: int = 1) -> AttemptStarted:
    return AttemptStarted(intent_id="a", attempt=n, channel="session", deadline_s=0.5, at_ns=2)


def ended(outcome: WriteOutcome, n: int = 1) -> AttemptEnded:
    return AttemptEnded(intent_id="a", attempt=n, outcome=outcome)


def no(text: str) -> Rejected:
    return Rejected(faults.classify(text, write=True))


def told(status: OrderStatus, cum: str = "0", fill: Fill | None = None, order_id: str = "O1") -> Reported:
    report = OrderReport(
        order_id=order_id,
        status=status,
        order_qty=Decimal(10),
        cum_qty=Decimal(cum),
        cl_ord_id="a",
        fill=fill,
    )
    return Reported(intent_id="a", report=report, source="stream")


def fill(exec_id: str, qty: str = "1") -> Fill:
    return Fill(
        exec_id=exec_id, order_id="O1", pair="BTC/USD", side=Side.BUY, qty=Decimal(qty), price=Decimal(100)
    )


def lived(*records: Record) -> Life:
    life = born(COMMITTED)
    for record in records:
        life = plan(life, record).life
    return life


# The table.


def test_the_table_has_a_cell_for_every_state_and_event_but_an_attempt() -> None:
    for state, event in product(State, Event):
        assert (event in TABLE[state]) == (event is not Event.ATTEMPT or state is State.INTENT)


def test_an_attempt_starts_from_intent_only() -> None:
    assert [state for state in State if Event.ATTEMPT in TABLE[state]] == [State.INTENT]


def test_nothing_leads_from_unknown_to_another_send() -> None:
    for event, cell in TABLE[State.UNKNOWN].items():
        assert cell.state not in (State.INTENT, State.SENT), event
        assert Act.SEND not in cell.acts


def test_inconclusive_changes_nothing() -> None:
    for state in State:
        assert TABLE[state][Event.INCONCLUSIVE].state is state
        assert TABLE[state][Event.INCONCLUSIVE].acts == ()


def test_a_state_becomes_terminal_only_by_evidence() -> None:
    evidence = {*TOLD, Event.NO_FINAL, Event.ABSENT, Event.CHECKED_FINAL, Event.WITHHELD}
    for state, row in TABLE.items():
        for event, cell in row.items():
            if cell.state in TERMINAL and cell.state is not state:
                assert event in evidence


def test_what_was_sent_and_not_answered_is_over_only_by_the_venues_word_or_proof_of_absence() -> None:
    for event, cell in TABLE[State.UNKNOWN].items():
        if cell.state in TERMINAL:
            assert event in TOLD or event is Event.ABSENT


def test_an_order_that_is_over_by_the_venues_word_stays_over() -> None:
    for state in (State.FILLED, State.CANCELED, State.EXPIRED):
        assert {cell.state for cell in TABLE[state].values()} == {state}


@pytest.mark.parametrize("state", [State.REJECTED, State.NOT_PLACED])
def test_a_report_on_an_order_that_was_held_for_never_placed_brings_it_back_loudly(state: State) -> None:
    for event in set(TOLD) - {Event.TOLD_REJECTED}:
        cell = TABLE[state][event]
        assert cell.state is not state
        assert Act.SHOUT in cell.acts
        assert Act.FREEZE in cell.acts


def test_leaving_a_doubt_thaws_the_instrument_and_entering_one_freezes_it() -> None:
    for state, row in TABLE.items():
        for event, cell in row.items():
            if cell.state is state:
                continue
            if state in order_life.UNSURE and cell.state not in order_life.UNSURE:
                assert Act.THAW in cell.acts, (state, event)
            if state not in order_life.UNSURE and cell.state in order_life.UNSURE:
                assert Act.FREEZE in cell.acts, (state, event)
                assert Act.LOOK_UP in cell.acts, (state, event)


def test_the_page_about_the_order_life_is_current() -> None:
    written = (Path(__file__).parents[2] / "docs" / "order-life.md").read_text()
    assert written == page()


# Facts.


def test_a_fill_before_the_ack_fills_the_order_and_the_ack_changes_nothing() -> None:
    life = lived(attempt(), told(OrderStatus.FILLED, "10", fill("X1", "10")), ended(Accepted(("O1",))))
    assert life.state is State.FILLED


def test_an_execution_counts_once() -> None:
    one = told(OrderStatus.PARTIALLY_FILLED, "1", fill("X1"))
    life = lived(attempt(), one, one, told(OrderStatus.PARTIALLY_FILLED, "2", fill("X2")), one)
    assert sorted(life.fills) == ["X1", "X2"]
    assert life.cum_qty == Decimal(2)


def test_a_report_with_a_new_execution_is_followed_by_its_record() -> None:
    step = plan(lived(attempt()), told(OrderStatus.PARTIALLY_FILLED, "1", fill("X1")))
    assert [type(record) for record in step.records] == [Reported, Filled]


def test_a_terminal_fact_is_followed_by_the_evidence() -> None:
    step = plan(lived(attempt()), ended(no("EOrder:Insufficient funds")))
    assert step.records[-1] == Terminal(
        intent_id="a", state="REJECTED", evidence="answer to attempt 1: EOrder:Insufficient funds"
    )


def test_an_open_order_that_executed_in_part_is_partially_filled_whatever_the_query_calls_it() -> None:
    assert lived(attempt(), told(OrderStatus.NEW, "3")).state is State.PARTIALLY_FILLED


def test_the_answer_to_an_older_attempt_changes_nothing() -> None:
    life = lived(attempt(1), ended(NotSent("down"), 1), attempt(2), ended(Accepted(("O9",)), 1))
    assert life.state is State.SENT
    assert life.order_id is None


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("EOrder:Insufficient funds", Event.NO_FINAL),
        ("EService:Market in cancel_only mode", Event.NO_FINAL),
        ("EAPI:Invalid nonce", Event.NO_CHECK),
        ("EService:Deadline elapsed", Event.NO_CHECK),
        ("ESession:Invalid session", Event.NO_CHECK),
        ("EOrder:Rate limit exceeded", Event.NO_AGAIN),
        ("EGeneral:Internal error", Event.LOST),
        ("EOrder:Reduce only:Position is closed", Event.LOST),
        ("ESomething:Never seen", Event.LOST),
    ],
)
def test_what_a_fault_means_for_a_submit(text: str, event: Event) -> None:
    assert order_life.answer_event(no(text)) is event


def test_every_row_of_krakens_table_has_a_meaning_and_only_a_proven_no_may_be_sent_again() -> None:
    for row in faults.ROWS:
        fault = faults.classify(row.prefix, write=True)
        if order_life.answer_event(Rejected(fault)) in (Event.NO_AGAIN, Event.NO_FINAL, Event.NO_CHECK):
            assert str(fault.outcome) == "NO"


def test_a_confirmed_nonce_error_may_be_sent_again_and_an_elapsed_deadline_may_not() -> None:
    checked = LookupDone(intent_id="a", verdict="checked", evidence="empty")
    assert lived(attempt(), ended(no("EAPI:Invalid nonce")), checked).state is State.INTENT
    assert lived(attempt(), ended(no("EService:Deadline elapsed")), checked).state is State.NOT_PLACED


def test_a_repeated_report_is_no_news_and_a_new_execution_is() -> None:
    life = lived(attempt(), told(OrderStatus.PARTIALLY_FILLED, "1", fill("X1")))
    assert not is_news(life, told(OrderStatus.PARTIALLY_FILLED, "1", fill("X1")).report)
    assert not is_news(life, told(OrderStatus.NEW, "0").report)
    assert is_news(life, told(OrderStatus.PARTIALLY_FILLED, "1", fill("X2")).report)
    assert is_news(life, told(OrderStatus.CANCELED, "1").report)


def test_content_takes_numbers_as_values() -> None:
    same = msgspec.structs.replace(INTENT, qty=Decimal("10.000"), limit_price=Decimal("1E+2"))
    other = msgspec.structs.replace(INTENT, qty=Decimal("10.001"))
    assert order_life.content(same) == order_life.content(INTENT)
    assert order_life.content(other) != order_life.content(INTENT)


def test_a_fold_leaves_anothers_intent_alone_whatever_is_written_about_it() -> None:
    theirs = msgspec.structs.replace(COMMITTED, owner="guardian")
    assert fold([theirs, attempt(1), attempt(1)])["a"].state is State.INTENT


# Any history.

OUTCOMES = [
    Accepted(("O1",)),
    Unknown("lost"),
    NotSent("down"),
    no("EOrder:Insufficient funds"),
    no("EAPI:Invalid nonce"),
    no("EOrder:Rate limit exceeded"),
    no("EService:Deadline elapsed"),
]


class OrderHistory(RuleBasedStateMachine):
    """A tracker's decisions against a venue that keeps the truth, with everything lost, late, twice or out of order."""

    @initialize()
    def start(self) -> None:
        self.records: list[Record] = [COMMITTED]
        self.life = born(COMMITTED)
        self.lookup: Lookup | None = None
        self.now_s = 0.0
        self.at_venue: OrderReport | None = None
        self.on_the_way = False  # the bytes left and may still arrive
        self.sent = 0
        self.arrived = 0
        self.execs: list[Fill] = []
        self.unknown_seen = False

    def take(self, record: Record) -> None:
        step = plan(self.life, record)
        self.records += step.records
        self.life = step.life
        if Act.LOOK_UP in step.acts:
            self.lookup = Lookup.begin(self.now_s, LOOPBACK, check=self.life.state is State.CHECKING)

    @precondition(lambda self: self.life.state is State.INTENT and self.life.sends < order_life.SENDS_MAX)
    @rule()
    def send(self) -> None:
        self.take(attempt(self.life.attempts + 1))
        self.sent += 1
        self.on_the_way = True

    @invariant()
    def no_attempt_starts_but_from_intent(self) -> None:
        if self.life.state is not State.INTENT:
            with pytest.raises(IllegalStep):
                plan(self.life, attempt(self.life.attempts + 1))

    @precondition(lambda self: self.on_the_way and self.at_venue is None)
    @rule()
    def arrives(self) -> None:
        self.on_the_way = False
        self.arrived += 1
        self.at_venue = told(OrderStatus.NEW).report

    @precondition(lambda self: self.at_venue and not self.at_venue.status.terminal)
    @rule(qty=st.integers(1, 10))
    def executes(self, qty: int) -> None:
        assert self.at_venue is not None
        cum = self.at_venue.cum_qty or Decimal(0)
        done = min(Decimal(qty), Decimal(10) - cum)
        self.execs.append(fill(f"X{len(self.execs) + 1}", str(done)))
        status = OrderStatus.FILLED if cum + done == 10 else OrderStatus.PARTIALLY_FILLED
        self.at_venue = msgspec.structs.replace(self.at_venue, cum_qty=cum + done, status=status)

    @precondition(lambda self: self.at_venue and not self.at_venue.status.terminal)
    @rule()
    def is_canceled_at_the_venue(self) -> None:
        assert self.at_venue is not None
        self.at_venue = msgspec.structs.replace(self.at_venue, status=OrderStatus.CANCELED)

    @precondition(lambda self: self.life.live is not None)
    @rule()
    def answered(self) -> None:
        """The venue's honest answer: it took the order, or it proves that it did not and will not."""
        assert self.life.live is not None
        if self.at_venue is not None:
            outcome: WriteOutcome = Accepted(("O1",))
        else:
            outcome = no("EOrder:Rate limit exceeded")
            self.on_the_way = False
        self.take(ended(outcome, self.life.live))

    @precondition(lambda self: self.life.live is not None and self.at_venue is None)
    @rule()
    def refused_for_the_nonce(self) -> None:
        assert self.life.live is not None
        self.on_the_way = False
        self.take(ended(no("EAPI:Invalid nonce"), self.life.live))

    @precondition(lambda self: self.life.live is not None)
    @rule()
    def answer_lost(self) -> None:
        assert self.life.live is not None
        self.take(ended(Unknown("lost"), self.life.live))

    @precondition(lambda self: self.at_venue is not None)
    @rule(data=st.data())
    def told_by_the_stream(self, data: st.DataObject) -> None:
        assert self.at_venue is not None
        executed = data.draw(st.sampled_from([None, *self.execs]))
        report = msgspec.structs.replace(self.at_venue, fill=executed)
        self.take(Reported(intent_id="a", report=report, source="stream"))

    @precondition(lambda self: self.lookup is not None)
    @rule(seconds=st.sampled_from([0.05, 0.25, 0.7]), fails=st.booleans())
    def searched(self, seconds: float, fails: bool) -> None:
        assert self.lookup is not None
        self.now_s += seconds
        # The venue's promise: what has not arrived by the deadline never will.
        if self.now_s >= self.lookup.lost_at_s + LOOPBACK.deadline_s + LOOPBACK.skew_s:
            self.on_the_way = False
        hits = () if self.at_venue is None or fails else (self.at_venue,)
        search = Search(
            started_s=self.now_s, ended_s=self.now_s, hits=hits, error="timeout" if fails else None
        )
        before = self.life.state
        self.lookup, verdict = self.lookup.searched(search)
        match verdict:
            case Found(report=report):
                self.take(Reported(intent_id="a", report=report, source="lookup"))
            case ProvenAbsent(evidence=evidence):
                word = "checked" if self.lookup.check else "absent"
                self.take(LookupDone(intent_id="a", verdict=word, evidence=evidence))
            case _:
                self.take(LookupDone(intent_id="a", verdict="inconclusive", evidence="?"))
                assert self.life.state is before
        if self.life.state not in (State.UNKNOWN, State.CHECKING):
            self.lookup = None

    @precondition(lambda self: self.life.state is State.INTENT and self.sent)
    @rule()
    def withheld(self) -> None:
        self.take(Withheld(intent_id="a", reason="time to live"))

    @rule()
    def restarted(self) -> None:
        """The tracker dies: the journal's fold is the same life, and a live attempt becomes UNKNOWN."""
        rows = [from_row(to_entry(record)) for record in self.records]
        assert fold(rows)["a"] == self.life
        if self.life.live is not None:
            self.take(ended(Unknown("restarted"), self.life.live))
        elif self.life.state in (State.UNKNOWN, State.CHECKING):
            self.lookup = Lookup.begin(self.now_s, LOOPBACK, check=self.life.state is State.CHECKING)

    @invariant()
    def at_most_one_order_arrived(self) -> None:
        assert self.arrived <= 1

    @invariant()
    def executions_are_counted_once(self) -> None:
        filled = [record.fill.exec_id for record in self.records if isinstance(record, Filled)]
        assert len(filled) == len(set(filled))
        assert self.life.cum_qty <= sum((one.qty for one in self.execs), Decimal(0))

    @invariant()
    def what_is_over_has_evidence_and_agrees_with_the_venue(self) -> None:
        if not self.life.state.terminal:
            return
        assert self.life.evidence
        if self.life.state is State.NOT_PLACED:
            assert self.at_venue is None
            assert not self.on_the_way
        else:
            assert self.at_venue is not None
            assert self.life.state == self.at_venue.status.name


OrderHistory.TestCase.settings = settings(max_examples=400, stateful_step_count=30, deadline=None)
test_any_history_keeps_the_promises = OrderHistory.TestCase
