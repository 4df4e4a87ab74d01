"""The lookup of an unknown outcome: when a search proves something, and when it does not."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.levels import Level
from allstop.actors.protocols.lookup import (
    FAILED_GAPS_MAX,
    KRAKEN,
    LOOPBACK,
    ROUNDING_S,
    Found,
    Inconclusive,
    Lookup,
    ProvenAbsent,
    Search,
    Verdict,
    hits,
)
from allstop.actors.reports import OrderReport, OrderStatus

LOST_S = 100.0
READY_S = LOST_S + LOOPBACK.quiet_s


def order(order_id: str = "O1", client_id: str | None = "a", **fields: object) -> OrderReport:
    given: dict[str, object] = {"status": OrderStatus.NEW, **fields}
    return OrderReport(order_id=order_id, cl_ord_id=client_id, **given)  # pyright: ignore[reportArgumentType]


def empty(at_s: float, took_s: float = 0.0) -> Search:
    return Search(started_s=at_s, ended_s=at_s + took_s)


def failed(at_s: float) -> Search:
    return Search(started_s=at_s, ended_s=at_s, error="timeout")


def after(*searches: Search, check: bool = False) -> tuple[Lookup, Verdict]:
    lookup, verdict = Lookup.begin(LOST_S, LOOPBACK, check=check), Inconclusive(reason="")
    for search in searches:
        lookup, verdict = lookup.searched(search)
    return lookup, verdict


def test_the_first_search_waits_for_the_deadline_the_skew_and_the_venue() -> None:
    assert Lookup.begin(0.0, KRAKEN).next_search_s() == 5.0 + 1.0 + 2.0


def test_two_empty_searches_with_a_gap_prove_an_absence() -> None:
    assert isinstance(after(empty(READY_S), empty(READY_S + 0.2))[1], ProvenAbsent)


def test_one_empty_search_proves_nothing() -> None:
    assert after(empty(READY_S))[1] == Inconclusive(reason="nothing found once")


def test_an_empty_search_before_the_deadline_does_not_count() -> None:
    assert isinstance(after(empty(READY_S - 0.01), empty(READY_S + 0.3))[1], Inconclusive)


def test_a_search_that_was_set_for_the_end_of_the_deadline_counts_however_the_sum_was_rounded() -> None:
    lookup = Lookup.begin(1.35, LOOPBACK)
    early = 1.9499999999999824
    assert early < lookup.proof_from_s  # by less than any clock can tell
    lookup, _ = lookup.searched(empty(early))
    assert isinstance(lookup.searched(empty(early + 0.2))[1], ProvenAbsent)
    assert after(empty(READY_S - 0.001))[1] == Inconclusive(
        reason="nothing found, but the deadline is not over"
    )


def test_the_gap_runs_from_the_end_of_one_search_to_the_start_of_the_next() -> None:
    assert isinstance(after(empty(READY_S, took_s=5.0), empty(READY_S + 5.1))[1], Inconclusive)
    assert isinstance(after(empty(READY_S, took_s=5.0), empty(READY_S + 5.2))[1], ProvenAbsent)


def test_a_search_that_failed_proves_nothing_and_spoils_nothing() -> None:
    assert isinstance(after(failed(READY_S), empty(READY_S + 1))[1], Inconclusive)
    assert isinstance(after(empty(READY_S), failed(READY_S + 1), empty(READY_S + 2))[1], ProvenAbsent)


def test_a_failed_search_with_hits_proves_nothing() -> None:
    half = Search(started_s=READY_S, ended_s=READY_S, hits=(order(),), error="page 2: timeout")
    assert isinstance(after(half)[1], Inconclusive)


def test_an_order_that_is_found_is_found_at_any_time() -> None:
    early = Search(started_s=LOST_S, ended_s=LOST_S, hits=(order(),))
    assert after(early)[1] == Found(report=order())


def test_a_check_of_a_no_is_one_complete_search_at_any_time() -> None:
    assert isinstance(after(empty(LOST_S), check=True)[1], ProvenAbsent)
    assert isinstance(after(failed(LOST_S), check=True)[1], Inconclusive)


def test_failed_searches_are_repeated_with_growing_pauses_up_to_a_bound() -> None:
    lookup, pauses = Lookup.begin(LOST_S, LOOPBACK), []
    at_s = READY_S
    for _ in range(6):
        lookup, _ = lookup.searched(failed(at_s))
        pauses.append(round((lookup.next_search_s() - at_s) / LOOPBACK.search_gap_s))
        at_s = lookup.next_search_s()
    assert pauses == [1, 2, 4, 8, FAILED_GAPS_MAX, FAILED_GAPS_MAX]


def test_the_vote_is_read_only_after_30_s_and_halted_after_120_s() -> None:
    lookup = Lookup.begin(LOST_S, LOOPBACK)
    votes = [lookup.vote(LOST_S + age_s) for age_s in (29.9, 30.0, 119.9, 120.0)]
    assert votes == [Level.NONE, Level.READ_ONLY, Level.READ_ONLY, Level.HALTED]
    assert lookup.next_vote_s(LOST_S) == LOST_S + 30.0


def test_the_clocks_stand_still_from_a_failed_search_until_a_complete_one_starts() -> None:
    lookup, _ = after(failed(LOST_S + 10))
    assert lookup.age_s(LOST_S + 500) == pytest.approx(10)
    assert lookup.next_vote_s(LOST_S + 500) is None
    lookup, _ = lookup.searched(Search(started_s=LOST_S + 510, ended_s=LOST_S + 512))
    assert lookup.age_s(LOST_S + 515) == pytest.approx(15)


def test_hits_are_one_report_per_order_with_our_client_id_and_closed_beats_open() -> None:
    found = hits(
        [
            order(cum_qty=Decimal(1)),
            order("O2", "other"),
            order(status=OrderStatus.FILLED, cum_qty=Decimal(2)),
            order("O3"),
        ],
        "a",
    )
    assert [(hit.order_id, str(hit.status), hit.cum_qty) for hit in found] == [
        ("O1", "filled", Decimal(2)),
        ("O3", "new", None),
    ]


def test_what_a_conditional_close_made_is_not_our_order() -> None:
    assert hits([order("S1", "a", parent_id="O1")], "a") == ()


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=20))
def test_no_absence_is_proven_without_two_good_searches(steps: list[tuple[float, float, bool]]) -> None:
    lookup, now_s, good = Lookup.begin(0.0, LOOPBACK), 0.0, list[Search]()
    for wait_s, took_s, fails in steps:
        now_s += wait_s
        search = Search(started_s=now_s, ended_s=now_s + took_s, error="timeout" if fails else None)
        now_s += took_s
        if not fails and search.started_s >= LOOPBACK.quiet_s - ROUNDING_S:
            good.append(search)
        lookup, verdict = lookup.searched(search)
        if isinstance(verdict, ProvenAbsent):
            assert any(
                later.started_s - earlier.ended_s >= LOOPBACK.search_gap_s - ROUNDING_S
                for earlier in good
                for later in good
            )
            return
        assert isinstance(verdict, Inconclusive)


def test_a_lookup_is_a_value() -> None:
    lookup = Lookup.begin(LOST_S, LOOPBACK)
    lookup.searched(empty(READY_S))
    assert lookup == Lookup.begin(LOST_S, LOOPBACK)
    with pytest.raises(AttributeError):
        lookup.lost_at_s = 0.0  # pyright: ignore[reportAttributeAccessIssue]
    assert msgspec.structs.replace(lookup, lost_at_s=0.0).proof_from_s < lookup.proof_from_s
