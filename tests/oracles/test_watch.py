"""The oracles while a run is under way: each tells of a violation at its time, and of nothing else."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.oracles.stories import BTC, CHAIN, Story
from tests.simulated.client import Client

from allstop.supervisors.oracles import (
    CoverInTime,
    Evidence,
    NoLimitBroken,
    OneExecutionPath,
    PositionsAgree,
    Terms,
    Watch,
    judge,
)
from allstop.supervisors.oracles.budgets import WithinBudget
from allstop.supervisors.oracles.facts import (
    Barred,
    Believed,
    BookAnew,
    BookWrong,
    CallBegan,
    CallEnded,
    CallsSpent,
    ChainReplaced,
    ConnectTried,
    Denied,
    DiskFailed,
    Ended,
    Exposed,
    FaultsOver,
    Fell,
    Freed,
    Halted,
    Held,
    KeyRevoked,
    Latched,
    Lifted,
    LimitBreach,
    OrderAccepted,
    Paused,
    Promised,
    Released,
    Restarted,
    Resumed,
    RowDurable,
    SaidHalted,
    Settled,
    Tried,
    Written,
)
from allstop.supervisors.oracles.kraken_witness import KrakenWitness

SECRET = "c2VjcmV0LXRoYXQtbXVzdC1uZXZlci1zaG93"


def test_a_sound_run_breaks_nothing() -> None:
    story = Story(secrets=(SECRET,))
    story.filled_order()
    story.position("0.5", "0")
    story.see(Promised(story.now_ns, "a"))
    story.see(Believed(story.now_ns, "main", {BTC: Decimal("0.5")}))
    story.see(Written(story.now_ns, "log", "order.state"))
    story.asked("OpenOrders", nonce="1")
    story.see(Settled(story.now_ns))
    story.see(FaultsOver(story.now_ns))
    story.intent("b")
    story.see(Ended(story.now_ns, ()))
    assert [(one.oracle, one.holds) for one in story.watch.finish(story.now_ns)] == [
        *((f"O{n}", True) for n in range(1, 9)),
        ("halt", None),
        ("budget", None),
        ("gate", None),
        ("writes", None),
        ("trial", None),
        ("liveness", True),
    ]


def twice_at_the_venue(story: Story) -> None:
    story.accepted("O-2", "a")


def a_new_client_id_for_one_intent(story: Story) -> None:
    story.intent("b")
    story.accepted("O-2", "b")
    story.report("a", "O-2", "new")


def sent_again_without_an_outcome(story: Story) -> None:
    story.intent("b")
    story.attempt("b", 1)
    story.attempt("b", 2)


def sent_again_after_an_unknown_outcome(story: Story) -> None:
    story.intent("b")
    story.attempt("b", 1)
    story.outcome("b", "Unknown", reason="no answer")
    story.attempt("b", 2)


def sent_again_after_a_nonce_that_nobody_searched_for(story: Story) -> None:
    story.intent("b")
    story.attempt("b", 1)
    fault = {"code": "NONCE", "outcome": "NO", "remedy": "RENONCE", "writes": "NOW"}
    story.outcome("b", "Rejected", fault=fault)
    story.attempt("b", 2)


def sent_and_said_not_to_be(story: Story) -> None:
    story.intent("b")
    story.attempt("b", 1)
    story.asked("AddOrder", cl_ord_id="b", nonce="5", error="EOrder:Insufficient funds")
    story.outcome("b", "NotSent", reason="the session is gone")


def sent_four_times(story: Story) -> None:
    story.intent("b")
    fault = {"code": "BUSY", "outcome": "NO", "remedy": "BACK", "writes": "BACKOFF"}
    for number in (1, 2, 3, 4):
        story.attempt("b", number)
        story.outcome("b", "Rejected", fault=fault)


def asked_again_for_what_the_venue_took(story: Story) -> None:
    story.asked("AddOrder", cl_ord_id="a", nonce="5")
    story.asked("AddOrder", cl_ord_id="a", nonce="6", error="EOrder:Duplicate")


def refused_and_sent(story: Story) -> None:
    story.see(Denied(story.now_ns, "b"))
    story.intent("b")
    story.accepted("O-2", "b")


def another_position(story: Story) -> None:
    story.position("0.5", "0")
    story.see(Believed(story.now_ns, "main", {BTC: Decimal("0.4")}))


def filled_in_the_journal_alone(story: Story) -> None:
    story.intent("b")
    story.accepted("O-2", "b")
    story.report("b", "O-2", "filled")
    story.terminal("b", "FILLED")


def over_without_a_word_of_the_venue(story: Story) -> None:
    story.intent("b")
    story.accepted("O-2", "b")
    story.ended("O-2", "canceled")
    story.terminal("b", "CANCELED")


def over_without_evidence(story: Story) -> None:
    story.intent("b")
    story.accepted("O-2", "b")
    story.ended("O-2", "canceled")
    story.report("b", "O-2", "canceled")
    story.terminal("b", "CANCELED", evidence="")


def absent_by_an_error(story: Story) -> None:
    searched(story, lists=1, errors=1)


def absent_before_the_deadline(story: Story) -> None:
    searched(story, lists=2, wait_s=0.1)


def absent_and_then_there(story: Story) -> None:
    searched(story, lists=2)
    story.wait(1.0)
    story.accepted("O-2", "b")


def rejected_by_nobody(story: Story) -> None:
    story.intent("b")
    story.attempt("b")
    story.outcome("b", "Unknown", reason="no answer")
    story.terminal("b", "REJECTED")


def withheld_after_it_was_sent(story: Story) -> None:
    story.intent("b")
    story.attempt("b")
    story.outcome("b", "Unknown", reason="no answer")
    story.row("withheld", "b", reason="too late")
    story.terminal("b", "NOT_PLACED")


def searched(story: Story, *, lists: int, errors: int = 0, wait_s: float = 0.6) -> None:
    """An attempt that nobody answered, so many searches, and the absence that was read from them."""
    story.intent("b")
    story.attempt("b", deadline_s=0.5)
    story.outcome("b", "Unknown", reason="no answer")
    for number in range(lists + errors):
        story.wait(wait_s)
        story.asked("OpenOrders", nonce=str(10 + 2 * number), error=None if number < lists else "EAPI:Busy")
        story.asked("ClosedOrders", nonce=str(11 + 2 * number))
    story.row("lookup", "b", verdict="absent", evidence="nothing found")
    story.terminal("b", "NOT_PLACED")


def a_limit(story: Story) -> None:
    story.see(LimitBreach(story.now_ns, "rest_rate", "20.3"))


def an_old_nonce(story: Story) -> None:
    story.asked("OpenOrders", nonce="7")
    story.asked("OpenOrders", nonce="7")


def a_call_while_locked_out(story: Story) -> None:
    story.asked("OpenOrders", error="EGeneral:Temporary lockout")


def too_many_connects(story: Story) -> None:
    for _ in range(151):
        story.see(ConnectTried(story.now_ns, "10.0.0.1"))


def a_row_that_does_not_follow(story: Story) -> None:
    other = Story()
    other.intent("b")
    story.see(RowDurable(story.now_ns, CHAIN, other_row(other)))


def other_row(story: Story) -> Any:
    rows: list[Any] = []
    watch = Watch(Terms(), oracles=())
    watch._takers[RowDurable] = [lambda fact: rows.append(fact.row)]  # pyright: ignore[reportPrivateUsage]
    story.watch = watch
    story.intent("c")
    return rows[0]


def sent_before_it_was_durable(story: Story) -> None:
    story.accepted("O-2", "b")
    story.intent("b")


def promised_before_it_was_durable(story: Story) -> None:
    story.see(Promised(story.now_ns, "b"))
    story.intent("b")


def sent_without_a_client_id(story: Story) -> None:
    story.accepted("O-2", None)


def an_execution_that_was_not_written_down(story: Story) -> None:
    story.executed("O-1", "0.1")
    story.see(Settled(story.now_ns))


def a_stop_that_executed_unseen(story: Story) -> None:
    story.accepted("O-2", None, parent_id="O-1")
    story.executed("O-2", "0.5")
    story.see(Settled(story.now_ns))


def an_end_that_was_not_written_down(story: Story) -> None:
    story.intent("b")
    story.accepted("O-2", "b")
    story.ended("O-2", "canceled")
    story.see(Settled(story.now_ns))


def a_secret_in_a_log(story: Story) -> None:
    story.see(Written(story.now_ns, "log", f"key={SECRET}"))


def a_secret_in_bytes(story: Story) -> None:
    story.see(Written(story.now_ns, "crash report", repr(b"secret-that-must-never-show")))


def a_secret_in_hex(story: Story) -> None:
    story.see(Written(story.now_ns, "trace", b"secret-that-must-never-show".hex()))


def half_a_secret(story: Story) -> None:
    story.see(Written(story.now_ns, "report", SECRET[:20]))


def a_secret_in_the_journal(story: Story) -> None:
    story.row("note", "", text=SECRET)


def somebody_left(story: Story) -> None:
    story.see(Ended(story.now_ns, ("/accounts/kraken.main/trading/session",)))


def a_connect_without_a_permit(story: Story) -> None:
    story.permit(100.0)
    story.see(ConnectTried(story.now_ns, "10.0.0.1"))
    story.see(ConnectTried(story.now_ns, "10.0.0.1"))


def an_entry_without_a_guardian(story: Story) -> None:
    story.see(Fell(story.now_ns, "main", "guardian"))
    story.wait(0.1)
    story.entry("b")


def an_entry_before_the_guardian_has_read_both_lists(story: Story) -> None:
    story.see(Fell(story.now_ns, "main", "guardian"))
    story.asked("OpenOrders", key="protect", nonce="20")
    story.asked("ClosedOrders", nonce="21")  # not the guardian's key
    story.wait(0.1)
    story.entry("b")


def an_entry_without_a_session(story: Story) -> None:
    story.numbered(1, 1, snapshot=True)
    story.see(Fell(story.now_ns, "main", "session"))
    story.asked("OpenOrders", nonce="20")
    story.wait(0.1)
    story.entry("b")


def an_entry_before_belief_and_venue_were_compared(story: Story) -> None:
    story.see(Fell(story.now_ns, "main", "stream"))
    story.numbered(2, 1, snapshot=True)
    story.wait(0.1)
    story.entry("b")


def an_entry_after_a_missing_number(story: Story) -> None:
    story.numbered(1, 1, snapshot=True)
    story.numbered(1, 2)
    story.numbered(1, 4)
    story.wait(0.1)
    story.entry("b")


def an_entry_on_a_book_that_is_wrong(story: Story) -> None:
    story.see(BookWrong(story.now_ns, BTC))
    story.wait(0.1)
    story.entry("b")


def an_entry_that_a_halt_should_have_met(story: Story) -> None:
    story.see(Latched(story.now_ns, "ann", "enough"))
    story.wait(2.5)
    story.entry("b")


def a_stop_while_another_may_arrive(story: Story) -> None:
    story.own("g1")
    story.attempt("g1")
    story.outcome("g1", "Unknown", reason="no answer")
    story.own("g2")
    story.attempt("g2")


def a_stop_after_one_that_nobody_answered(story: Story) -> None:
    story.own("g1")
    story.attempt("g1")
    story.own("g2")
    story.attempt("g2")


PLANTED: dict[str, list[Callable[[Story], None]]] = {
    "O1": [
        twice_at_the_venue, a_new_client_id_for_one_intent, sent_again_without_an_outcome, sent_again_after_an_unknown_outcome,
        sent_again_after_a_nonce_that_nobody_searched_for, sent_four_times, sent_and_said_not_to_be, asked_again_for_what_the_venue_took, refused_and_sent,
    ],
    "O2": [another_position],
    "O4": [
        filled_in_the_journal_alone, over_without_a_word_of_the_venue, over_without_evidence, absent_by_an_error, absent_before_the_deadline,
        absent_and_then_there, rejected_by_nobody, withheld_after_it_was_sent,
    ],
    "O5": [a_limit, an_old_nonce, a_call_while_locked_out, too_many_connects, a_connect_without_a_permit],
    "O6": [
        a_row_that_does_not_follow, sent_before_it_was_durable, promised_before_it_was_durable, sent_without_a_client_id,
        an_execution_that_was_not_written_down, a_stop_that_executed_unseen, an_end_that_was_not_written_down,
    ],
    "O7": [a_secret_in_a_log, a_secret_in_bytes, a_secret_in_hex, half_a_secret, a_secret_in_the_journal],
    "O8": [somebody_left],
    "gate": [
        an_entry_without_a_guardian, an_entry_before_the_guardian_has_read_both_lists, an_entry_without_a_session,
        an_entry_before_belief_and_venue_were_compared, an_entry_after_a_missing_number, an_entry_on_a_book_that_is_wrong, an_entry_that_a_halt_should_have_met,
    ],
    "writes": [a_stop_while_another_may_arrive, a_stop_after_one_that_nobody_answered],
}  # fmt: skip


@pytest.mark.parametrize(
    ("oracle", "lie"),
    [
        pytest.param(oracle, lie, id=f"{oracle}-{lie.__name__}")
        for oracle, lies in PLANTED.items()
        for lie in lies
    ],
)
def test_a_planted_lie_is_told_at_once_by_the_oracle_that_it_is_about(
    oracle: str, lie: Callable[[Story], None]
) -> None:
    story = Story(secrets=(SECRET,), permits=oracle == "O5" and "permit" in lie.__name__)
    story.filled_order()
    story.wait(10.0)
    lie(story)
    assert story.broken() == [(oracle, story.at_s)]
    assert story.verdict(oracle).holds is False


# -- the gate, and one write at a time ---------------------------------------------------------------------------


def test_an_entry_that_was_asked_for_while_all_was_proven_may_be_admitted_when_it_is_not() -> None:
    story = Story()
    story.placing("a")
    story.wait(0.1)
    story.see(Fell(story.now_ns, "main", "guardian"))
    story.intent("a")
    assert story.broken() == []
    assert story.verdict("gate").why == "1 entries, each on evidence"


def test_evidence_that_is_there_again_lets_entries_pass() -> None:
    story = Story()
    story.numbered(1, 7, snapshot=True)
    story.see(Fell(story.now_ns, "main"))
    story.numbered(2, 1, snapshot=True)
    for nonce, method in enumerate(("OpenOrders", "ClosedOrders"), start=1):
        story.asked(method, key="protect", nonce=str(nonce))
    story.asked("OpenOrders", nonce="1")
    story.wait(0.1)
    story.entry("a")
    assert story.broken() == []


def test_a_whole_new_book_is_believed_and_another_pairs_never_mattered() -> None:
    story = Story()
    story.see(BookWrong(story.now_ns, "ETH/USD"))
    story.wait(0.1)
    story.entry("a")
    story.see(BookWrong(story.now_ns, BTC))
    story.see(BookAnew(story.now_ns, BTC))
    story.wait(0.1)
    story.entry("b")
    assert story.broken() == []


def test_a_snapshot_makes_a_missing_number_good() -> None:
    story = Story()
    story.numbered(1, 1, snapshot=True)
    story.numbered(1, 5)
    story.numbered(1, 1, snapshot=True)
    story.wait(0.1)
    story.entry("a")
    assert story.broken() == []


def test_who_is_held_cannot_know_and_knows_when_it_is_let_go() -> None:
    story = Story()
    story.see(Held(story.now_ns, "main", "/accounts/kraken.main/trading/stream"))
    story.numbered(1, 1, snapshot=True)
    story.numbered(1, 3)
    story.wait(0.1)
    story.entry("a")
    assert story.broken() == []
    story.see(Released(story.now_ns, "main", "/accounts/kraken.main/trading/stream"))
    story.wait(0.1)
    story.entry("b")
    assert story.broken() == [("gate", story.at_s)]


def test_an_exit_needs_none_of_the_evidence() -> None:
    story = Story()
    story.see(Fell(story.now_ns, "main"))
    story.wait(0.1)
    story.placing("a")
    story.intent("a", kind="REDUCE")
    assert story.broken() == []


def of_the_gate(story: Story) -> list[float]:
    return [at_s for oracle, at_s in story.broken() if oracle == "gate"]


def test_an_entry_on_a_journal_that_was_set_aside_is_told_until_somebody_has_accepted_the_loss() -> None:
    story = Story()
    story.see(ChainReplaced(story.now_ns, CHAIN, "journal.broken.1", ()))
    story.wait(0.1)
    story.entry("a")
    assert of_the_gate(story) == [story.at_s]
    assert f"journal of {CHAIN}" in story.verdict("gate").why
    story.row(
        "journal.loss_accepted", "journal", files=["journal.broken.1"], by="ann", reason="all was looked at"
    )
    story.wait(0.1)
    story.entry("b")
    assert len(of_the_gate(story)) == 1


def test_a_runtimes_journal_that_was_set_aside_is_everybodys_affair_and_another_accounts_is_not() -> None:
    story = Story()
    story.see(ChainReplaced(story.now_ns, "kraken.other", "journal.broken.1", ()))
    story.wait(0.1)
    story.entry("a")
    assert of_the_gate(story) == []
    story.see(ChainReplaced(story.now_ns, "runtime", "runtime.broken.1", ()))
    story.wait(0.1)
    story.entry("b")
    assert of_the_gate(story) == [story.at_s]


def test_a_lifted_halt_holds_nobody() -> None:
    story = Story()
    story.see(Latched(story.now_ns, "ann", "enough"))
    story.wait(5.0)
    story.see(Lifted(story.now_ns, "ann", "all is well"))
    story.wait(0.1)
    story.entry("a")
    assert story.broken() == []


@pytest.mark.parametrize("settled", ["at the venue", "absent", "withheld", "accepted", "refused"])
def test_a_write_whose_outcome_is_known_lets_the_next_one_go(settled: str) -> None:
    story = Story()
    story.own("g1")
    story.attempt("g1")
    match settled:
        case "at the venue":
            story.accepted("O-9", "g1")
        case "absent":
            story.row("lookup", "g1", verdict="absent", evidence="two lists")
        case "withheld":
            story.row("withheld", "g1", reason="not sent")
        case "accepted":
            story.outcome("g1", "Accepted", order_ids=["O-9"])
        case _:
            story.outcome("g1", "Rejected", fault={"outcome": "NO", "remedy": "FIX", "writes": "NOW"})
    story.own("g2")
    story.attempt("g2")
    assert story.broken() == []


def test_a_connect_with_its_permit_breaks_nothing_and_a_ban_gives_none() -> None:
    story = Story(permits=True)
    story.permit(100.0)
    story.see(ConnectTried(story.now_ns, "10.0.0.1"))
    story.permit(100.0)  # the same attempts again: a ban was noted
    assert story.broken() == []
    story.see(ConnectTried(story.now_ns, "10.0.0.1"))
    assert story.broken() == [("O5", 100.0)]


# -- O3 --------------------------------------------------------------------------------------------------------------


def uncovered() -> Story:
    """A position of 0.5 has no stop from now on; 2 s are allowed."""
    story = Story(cover_s=2.0)
    story.executed("O-1", "0.5")
    story.position("0.5", "0.5")
    return story


def test_a_position_without_cover_is_told_when_its_time_is_over_and_not_when_somebody_looks() -> None:
    story = uncovered()
    story.silence(1.9)
    assert story.broken() == []
    story.silence(8.0)
    assert story.broken() == [("O3", 102.0)]


def test_time_in_which_the_venue_is_away_does_not_count() -> None:
    story = uncovered()
    story.wait(1.5)
    story.see(Barred(story.now_ns, "venue"))
    story.wait(60.0)
    story.see(Freed(story.now_ns, "venue"))
    story.silence(0.4)
    assert story.broken() == []
    story.silence(0.2)
    assert story.broken() == [("O3", 162.0)]


def test_what_a_new_engine_finds_uncovered_counts_from_its_connection() -> None:
    story = uncovered()
    story.wait(1.5)
    story.see(Barred(story.now_ns, "dead", anew=True))
    story.wait(5.0)
    story.see(Freed(story.now_ns, "dead"))
    story.silence(1.9)
    story.position("0.5", "0")
    story.silence(10.0)
    assert story.broken() == []
    assert story.verdict("O3").why == "longest uncovered 1900 ms of 2000"


def test_the_time_of_a_call_that_the_venue_did_not_serve_does_not_count() -> None:
    story = uncovered()
    story.wait(1.5)
    story.see(CallBegan(story.now_ns, 1))
    story.silence(3.0)
    assert story.broken() == []
    story.see(CallEnded(story.now_ns, 1, served=False, until_ns=story.now_ns + 1_000_000_000))
    story.silence(1.4)
    assert story.broken() == []
    story.silence(0.2)
    assert story.broken() == [("O3", 106.0)]


def test_the_time_of_a_call_that_was_served_counts() -> None:
    story = uncovered()
    story.wait(1.5)
    story.see(CallBegan(story.now_ns, 1))
    story.silence(3.0)
    story.see(CallEnded(story.now_ns, 1))
    assert story.broken() == [("O3", 102.0)]


def test_what_was_bought_by_hand_counts_from_the_moment_at_which_somebody_claims_it() -> None:
    story = Story(cover_s=2.0)
    story.accepted("O-2", None, by_hand=True)
    story.executed("O-2", "0.5")
    story.position("0.5", "0.5")
    story.silence(10.0)
    assert story.broken() == []
    story.row("external.claim", "O-2", order_id="O-2", by="me", reason="ours")
    story.silence(1.9)
    assert story.broken() == []
    story.silence(0.2)
    assert story.broken() == [("O3", 112.0)]


def test_what_was_bought_by_hand_excuses_nothing_of_our_own() -> None:
    story = Story(cover_s=2.0)
    story.accepted("O-2", None, by_hand=True)
    story.executed("O-2", "0.5")
    story.position("0.5", "0.5")
    story.executed("O-1", "0.3")
    story.position("0.8", "0.6")
    story.silence(2.1)
    assert story.broken() == [("O3", 102.0)]


def test_two_bars_at_once_end_with_the_last() -> None:
    story = uncovered()
    for by in ("venue", "net"):
        story.see(Barred(story.now_ns, by))
    story.wait(3.0)
    story.see(Freed(story.now_ns, "venue"))
    story.silence(3.0)
    assert story.broken() == []


# -- what is allowed -------------------------------------------------------------------------------------------------


def test_an_absence_that_two_answered_searches_proved_is_one() -> None:
    story = Story()
    searched(story, lists=2)
    assert story.broken() == []
    assert story.verdict("O4").holds is True


def test_after_the_venues_own_no_one_search_proves_an_absence() -> None:
    story = Story()
    story.intent("b")
    story.attempt("b", deadline_s=0.5)
    fault = {"code": "NONCE", "outcome": "NO", "remedy": "RENONCE", "writes": "NOW"}
    story.outcome("b", "Rejected", fault=fault)
    story.asked("OpenOrders", nonce="1")
    story.asked("ClosedOrders", nonce="2")
    story.row("lookup", "b", verdict="absent", evidence="an empty, complete search agrees")
    story.terminal("b", "NOT_PLACED")
    assert story.broken() == []


def test_an_attempt_of_which_nothing_was_sent_may_be_followed_by_another() -> None:
    story = Story()
    story.intent("b")
    story.attempt("b", 1)
    story.outcome("b", "NotSent", reason="the session is not up")
    story.attempt("b", 2)
    assert story.broken() == []


def test_a_nonce_that_one_search_confirmed_may_be_followed_by_another_attempt() -> None:
    story = Story()
    story.intent("b")
    story.attempt("b", 1)
    fault = {"code": "NONCE", "outcome": "NO", "remedy": "RENONCE", "writes": "NOW"}
    story.outcome("b", "Rejected", fault=fault)
    story.row("lookup", "b", verdict="checked", evidence="nothing found")
    story.attempt("b", 2)
    assert story.broken() == []


def test_a_guardian_may_protect_when_no_journal_can_be_written_and_nobody_else_may() -> None:
    story = Story()
    story.see(DiskFailed(story.now_ns, CHAIN))
    story.accepted("O-2", "g0123456789abcdef")
    assert story.broken() == []
    story.accepted("O-3", "b")
    assert story.broken() == [("O6", 100.0)]


def test_an_order_that_somebody_else_made_is_not_ours_to_explain() -> None:
    story = Story()
    story.accepted("O-2", None, by_hand=True)
    assert story.broken() == []


# -- liveness --------------------------------------------------------------------------------------------------------


def test_a_tree_that_does_not_trade_again_is_told_when_its_time_is_over() -> None:
    story = Story(recover_s=30.0)
    story.see(FaultsOver(story.now_ns))
    story.silence(29.9)
    assert story.broken() == []
    story.silence(5.0)
    assert story.broken() == [("liveness", 130.0)]


def test_recovery_counts_from_the_moment_at_which_the_venue_allows_it() -> None:
    story = Story(recover_s=30.0)
    story.see(Barred(story.now_ns, "ban"))
    story.see(FaultsOver(story.now_ns))
    story.silence(600.0)
    story.see(Freed(story.now_ns, "ban"))
    story.silence(29.0)
    story.intent("b")
    story.silence(100.0)
    assert story.broken() == []
    assert story.verdict("liveness").why == "traded again 629.0 s after the last fault"


def test_a_halt_counts_when_it_is_proven_and_says_why() -> None:
    story = Story(recover_s=30.0)
    story.see(FaultsOver(story.now_ns))
    story.row("halt", "", by="root", reason="two venues are latched")
    story.row("halt.proof", "main", canceled=0)
    story.silence(100.0)
    assert story.broken() == []
    assert story.verdict("liveness").why == "halted, and proven: two venues are latched"


@pytest.mark.parametrize(("reason", "proven"), [("", True), ("two venues are latched", False)])
def test_a_halt_without_a_reason_or_a_proof_does_not_count(reason: str, proven: bool) -> None:
    story = Story(recover_s=30.0)
    story.see(Halted(story.now_ns, reason, proven))
    story.see(FaultsOver(story.now_ns))
    story.silence(31.0)
    assert story.broken() == [("liveness", 130.0)]


def test_an_exit_is_no_entry() -> None:
    story = Story(recover_s=30.0)
    story.see(FaultsOver(story.now_ns))
    story.intent("b", kind="REDUCE")
    story.silence(31.0)
    assert story.broken() == [("liveness", 130.0)]


# -- halts and budgets -----------------------------------------------------------------------------------------------


def halted(story: Story) -> None:
    story.see(Latched(story.now_ns, "ann", "two venues are gone"))
    story.wait(10.0)


def test_an_entry_after_a_halt_is_told_and_one_that_was_on_its_way_is_not() -> None:
    story = Story(in_flight_s=7.0)
    story.intent("a")
    story.intent("b")
    story.see(Latched(story.now_ns, "ann", "two venues are gone"))
    story.wait(6.0)
    story.accepted("O-1", "a")
    assert story.broken() == []
    story.wait(2.0)
    story.accepted("O-2", "b")
    assert story.broken() == [("halt", 108.0)]


def test_an_order_that_reduces_a_position_may_come_while_it_is_halted() -> None:
    story = Story()
    story.intent("a", kind="REDUCE")
    story.position("0.5", "0")
    halted(story)
    story.see(OrderAccepted(story.now_ns, "main", "O-1", "a", None, BTC, "sell", "market"))
    assert story.broken() == []


def test_a_proof_of_a_halt_with_an_entry_open_is_told() -> None:
    story = Story()
    story.intent("a")
    story.accepted("O-1", "a")
    halted(story)
    story.row("halt.proof", "kraken.main", canceled=0)
    assert story.broken() == [("halt", 110.0)]
    assert "O-1" in story.verdict("halt").why


def test_an_entry_that_comes_after_the_halt_was_proven_is_told_though_it_was_on_its_way() -> None:
    story = Story(in_flight_s=7.0)
    story.intent("a")
    story.see(Latched(story.now_ns, "ann", "two venues are gone"))
    story.wait(1.0)
    story.row("halt.proof", "kraken.main", canceled=0)
    story.wait(1.0)
    story.accepted("O-1", "a")
    assert story.broken() == [("halt", 102.0)]


def test_who_says_that_it_is_halted_has_it_on_the_disk() -> None:
    story = Story()
    story.see(Latched(story.now_ns, "ann", "two venues are gone"))
    story.see(SaidHalted(story.now_ns))
    assert story.broken() == []
    story.see(Lifted(story.now_ns, "ann", "the venue is back"))
    story.wait(1.0)
    story.see(SaidHalted(story.now_ns))
    assert story.broken() == []
    story.wait(0.1)
    story.silence(0.1)
    assert story.broken() == [("halt", 101.0)]


def test_in_one_moment_a_level_may_fall_before_the_latch_is_written() -> None:
    story = Story()
    story.see(SaidHalted(story.now_ns))
    story.see(Latched(story.now_ns, "ann", "two venues are gone"))
    story.silence(1.0)
    assert story.broken() == []


@pytest.mark.parametrize(("by", "reason"), [("/", "it looked well"), ("", "because"), ("ann", "")])
def test_only_a_person_with_a_reason_lifts_a_halt(by: str, reason: str) -> None:
    story = Story()
    halted(story)
    story.see(Lifted(story.now_ns, by, reason))
    assert story.broken() == [("halt", 110.0)]


def test_after_a_person_lifted_it_entries_may_come_again() -> None:
    story = Story()
    story.intent("a")
    halted(story)
    story.see(Lifted(story.now_ns, "ann", "the venue is back"))
    story.accepted("O-1", "a")
    assert story.broken() == []


def test_a_supervisor_that_restarts_more_than_its_budget_is_told() -> None:
    story = Story(budgets={"/trading": (3, 60.0)})
    for _ in range(3):
        story.see(Restarted(story.now_ns, "/trading", "session"))
        story.see(Restarted(story.now_ns, "/trading", "stream", after_failure=False))
        story.wait(10.0)
    assert story.broken() == []
    story.see(Restarted(story.now_ns, "/trading", "session"))
    assert story.broken() == [("budget", 130.0)]


def test_restarts_that_the_window_has_left_behind_do_not_count() -> None:
    story = Story(budgets={"/trading": (3, 60.0)})
    for _ in range(12):
        story.see(Restarted(story.now_ns, "/trading", "session"))
        story.wait(20.1)
    assert story.broken() == []


def a_spent_budget(cooldowns: dict[str, float]) -> Story:
    """A supervisor that has used up what it has, and paused."""
    story = Story(budgets={"/trading": (3, 60.0)}, cooldowns=cooldowns)
    for _ in range(3):
        story.see(Restarted(story.now_ns, "/trading", "session"))
        story.wait(1.0)
    story.see(Paused(story.now_ns, "/trading"))
    return story


def test_after_a_pause_that_was_ended_by_its_proofs_a_budget_is_had_anew() -> None:
    story = a_spent_budget({"/trading": 15.0})
    story.wait(15.0)
    story.see(Resumed(story.now_ns, "/trading"))
    for _ in range(3):
        story.see(Restarted(story.now_ns, "/trading", "session"))
    assert story.broken() == []
    story.see(Restarted(story.now_ns, "/trading", "session"))
    assert [oracle for oracle, _ in story.broken()] == ["budget"]


def test_a_pause_that_was_none_gives_no_budget_back() -> None:
    story = a_spent_budget({"/trading": 15.0})
    story.wait(14.9)
    story.see(Resumed(story.now_ns, "/trading"))
    story.see(Restarted(story.now_ns, "/trading", "session"))
    assert [oracle for oracle, _ in story.broken()] == ["budget"]


def test_a_breaker_that_is_only_tried_has_no_budget_yet() -> None:
    story = a_spent_budget({"/trading": 15.0})
    story.wait(16.0)
    story.see(Restarted(story.now_ns, "/trading", "session"))
    assert [oracle for oracle, _ in story.broken()] == ["budget"]


def test_one_that_may_not_pause_has_no_pause_that_counts() -> None:
    story = a_spent_budget({})
    story.wait(16.0)
    story.see(Resumed(story.now_ns, "/trading"))
    story.see(Restarted(story.now_ns, "/trading", "session"))
    assert [oracle for oracle, _ in story.broken()] == ["budget"]


def a_breaker(*, cooldown_s: float = 15.0) -> Story:
    """One that has just opened, and needs two answers."""
    story = Story(cooldowns={"/trading": cooldown_s}, probes={"/trading": ("main", 2)})
    story.see(Paused(story.now_ns, "/trading"))
    return story


def test_what_is_tried_before_its_cooldown_is_over_is_told_unless_a_person_asked_for_it() -> None:
    story = a_breaker()
    story.wait(14.9)
    story.see(Tried(story.now_ns, "/trading", by_person=True))
    assert story.broken() == []
    story.see(Paused(story.now_ns, "/trading"))
    story.wait(14.9)
    story.see(Tried(story.now_ns, "/trading"))
    assert story.broken() == [("trial", story.at_s)]


@pytest.mark.parametrize(
    ("answered", "refused", "held"), [(2, 0, True), (3, 1, True), (1, 5, False), (0, 0, False)]
)
def test_what_is_trusted_before_the_venue_has_answered_often_enough_is_told(
    answered: int, refused: int, held: bool
) -> None:
    story = a_breaker()
    story.asked("OpenOrders", nonce="1")  # before its trial: no probe
    story.wait(15.0)
    story.see(Tried(story.now_ns, "/trading"))
    for nonce in range(2, 2 + answered):
        story.asked("OpenOrders", nonce=str(nonce))
    for nonce in range(20, 20 + refused):
        story.asked("OpenOrders", nonce=str(nonce), error="EService:Busy")
    story.see(Resumed(story.now_ns, "/trading"))
    assert [oracle for oracle, _ in story.broken()] == ([] if held else ["trial"])


def test_the_next_process_has_breakers_of_its_own() -> None:
    story = a_breaker()
    story.see(Barred(story.now_ns, "engine", anew=True))
    story.see(Tried(story.now_ns, "/trading"))
    assert story.broken() == []


# -- one verdict, told live or judged afterwards -----------------------------------------------------------------------

CLOSE = {"close[ordertype]": "stop-loss", "close[price]": "95.0"}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.sampled_from(["0.5", "1", "3"]), st.booleans(), st.sampled_from("abc")),
        st.tuples(st.just("sell"), st.sampled_from(["0.5", "1", "3"])),
        st.tuples(st.just("stop"), st.sampled_from(["0.5", "1", "3"])),
        st.tuples(st.just("wait"), st.sampled_from([0.2, 0.9, 1.7, 3.0])),
        st.tuples(st.just("away"), st.sampled_from([0.5, 2.0, 5.0])),
        st.tuples(st.just("refuse closes")),
        st.tuples(st.just("nonce")),
        st.tuples(st.just("print"), st.sampled_from(["94.0", "100.5"])),
    ),
    max_size=25,
)


def do(client: Client, step: tuple[object, ...]) -> None:
    match step:
        case ("buy", qty, covered, name):
            close = CLOSE if covered else {}
            client.post(
                "AddOrder",
                pair="XBTUSD",
                type="buy",
                ordertype="market",
                volume=qty,
                cl_ord_id=f"id-{name}",
                **close,
            )
        case ("sell", qty):
            client.post("AddOrder", pair="XBTUSD", type="sell", ordertype="market", volume=qty)
        case ("stop", qty):
            client.post(
                "AddOrder", pair="XBTUSD", type="sell", ordertype="stop-loss", price="95.0", volume=qty
            )
        case ("wait", float(seconds)):
            client.wait(seconds)
        case ("away", float(seconds)):
            client.venue.fault({"kind": "unreachable", "s": seconds}, client.at)
        case ("refuse closes",):
            client.venue.fault({"kind": "refuse_closes", "n": 1}, client.at)
        case ("nonce",):
            client.signed("Balance", client.nonce)
        case ("print", str(price)):
            client.print(price)
        case _:
            raise AssertionError(step)


@given(steps=STEPS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_told_live_and_what_is_judged_afterwards_is_one_verdict(
    steps: list[tuple[object, ...]],
) -> None:
    oracles = (OneExecutionPath, PositionsAgree, CoverInTime, NoLimitBroken)
    client = Client(None, counting=False, balances={"USD": Decimal(1_000_000), "BTC": Decimal(50)})
    watch = Watch(Terms(cover_s=2.0), oracles=oracles)
    client.venue.attach(KrakenWitness(watch.see))
    client.book([("100.0", "10"), ("99.0", "20")], [("101.0", "10"), ("102.0", "20")])
    client.print("100.5")
    for step in steps:
        do(client, step)
        watch.pass_to(client.at.wall_ns)
    believed = {BTC: Decimal("1")}
    watch.see(Believed(client.at.wall_ns, "main", believed))
    live = watch.finish(client.at.wall_ns)
    evidence = Evidence(truth=client.truth(), account="main", journals=[], submitted=[], positions=believed)
    after = judge(evidence, oracles)
    assert [(one.oracle, one.holds) for one in live] == [(one.oracle, one.holds) for one in after]
    assert live[2].why == after[2].why


def test_time_in_which_the_key_that_protects_has_no_call_left_does_not_count() -> None:
    watch = Watch(Terms(cover_s=2.0))
    watch.see(Exposed(1_000_000_000, "main", "BTC/USD", Decimal("0.5")))
    watch.see(CallsSpent(2_000_000_000, "main", 2_700_000_000))
    watch.see(CallsSpent(2_000_000_000, "other", 60_000_000_000))
    watch.pass_to(3_600_000_000)
    assert watch.violations == []

    watch.pass_to(3_800_000_000)
    assert [(one.oracle, one.at_ns) for one in watch.violations] == [("O3", 3_700_000_000)]


def test_an_engine_that_keeps_its_key_without_calls_is_excused_for_half_of_cover_s_and_no_longer() -> None:
    watch = Watch(Terms(cover_s=2.0))
    watch.see(Exposed(1_000_000_000, "main", "BTC/USD", Decimal("0.5")))
    for second in range(2, 9):
        watch.see(CallsSpent(second * 1_000_000_000, "main", (second + 1) * 1_000_000_000))
    assert [(one.oracle, one.at_ns) for one in watch.violations] == [("O3", 4_000_000_000)]


def test_time_in_which_a_market_takes_neither_stop_nor_market_order_counts_for_other_pairs_alone() -> None:
    watch = Watch(Terms(cover_s=2.0))
    for pair in ("BTC/USD", "ETH/USD"):
        watch.see(Exposed(1_000_000_000, "main", pair, Decimal("0.5")))
    watch.see(Barred(1_500_000_000, "market BTC/USD", pair="BTC/USD"))
    watch.see(Freed(9_000_000_000, "market BTC/USD"))
    watch.pass_to(10_400_000_000)
    assert [(one.at_ns, "ETH/USD" in one.why) for one in watch.violations] == [(3_000_000_000, True)]

    watch.pass_to(10_600_000_000)
    assert [one.at_ns for one in watch.violations] == [3_000_000_000, 10_500_000_000]


def test_an_order_whose_tracker_lost_its_key_may_stay_unknown_and_one_from_before_may_not() -> None:
    story = Story()
    for intent_id in ("long ago", "just now"):
        story.wait(20.0)
        story.intent(intent_id)
        story.see(Promised(story.now_ns, intent_id))
    story.see(KeyRevoked(story.now_ns, "main", "trade"))
    story.see(Settled(story.now_ns))
    assert [(one.oracle, one.why) for one in story.watch.violations] == [
        ("O6", "not accounted for: ['long ago']")
    ]


def test_a_revoked_key_of_another_role_excuses_no_order() -> None:
    story = Story()
    story.intent("a")
    story.see(Promised(story.now_ns, "a"))
    story.see(KeyRevoked(story.now_ns, "main", "protect"))
    story.see(Settled(story.now_ns))
    assert [one.oracle for one in story.watch.violations] == ["O6"]


def test_a_supervisor_that_was_started_again_has_its_budget_anew() -> None:
    watch = Watch(Terms(cover_s=2.0, budgets={"/a": (1, 60.0), "/a/b": (1, 60.0)}), oracles=(WithinBudget,))
    watch.see(Restarted(1_000_000_000, "/a/b", "child"))
    watch.see(Restarted(2_000_000_000, "/a", "b"))
    watch.see(Restarted(3_000_000_000, "/a/b", "child"))
    assert watch.violations == []

    watch.see(Restarted(4_000_000_000, "/a/b", "child"))
    assert [one.oracle for one in watch.violations] == ["budget"]
