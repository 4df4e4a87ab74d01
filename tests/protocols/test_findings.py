"""What two sources agree upon, and what the next reading must find after a write, for it not to be asked for once more."""

from collections.abc import Mapping

from tests.cover.toy_venue import D, fault

from allstop.actors.errors import Category
from allstop.actors.intents import OrderType, Side, StopLoss
from allstop.actors.protocols.cover import Covered, OverCovered, Uncovered, Verdict
from allstop.actors.protocols.findings import Findings, again, agree, left_by, touched
from allstop.actors.protocols.pending_write import Written
from allstop.actors.protocols.positions import AccountBook, Execution
from allstop.actors.protocols.remedies import CancelStops, Flatten, PlaceStop, Rest, Step, confirmed
from allstop.actors.reports import OrderReport, OrderStatus

BTC, ETH = "BTC/USD", "ETH/USD"
FLATTEN = Flatten(BTC, Side.SELL, D("0.4"))
STOP = PlaceStop(BTC, Side.SELL, D("0.4"), StopLoss(trigger_price=D(90)), None)
REST = Rest("nothing is missing")
BARE = Uncovered(D("0.4"), 1.0)


def compared(
    findings: Findings,
    steps: Mapping[str, Step],
    found: Mapping[str, Verdict],
    *,
    counts: bool,
    awaited: str = "",
) -> tuple[set[str], list[str]]:
    return findings.compared(steps, found.get, [awaited] if awaited else [], counts=counts)


# -- what a write leaves ---------------------------------------------------------------------------------------


def test_a_flatten_that_never_arrived_leaves_what_was_found_before_it() -> None:
    """While it was out it counted as cover, and the readings said so (bad-day, seeds 171 and 257)."""
    left = left_by(Covered(D("0.4")), Written(BTC, FLATTEN, taken=False))
    assert isinstance(left, Uncovered)
    assert left.qty == D("0.4")


def test_a_flatten_that_was_taken_leaves_nothing_to_find() -> None:
    assert left_by(BARE, Written(BTC, FLATTEN, taken=True)) is None


def test_a_stop_of_a_part_leaves_the_rest_uncovered_since_it_was() -> None:
    assert left_by(Uncovered(D("1"), 7.0), Written(BTC, STOP, taken=True)) == Uncovered(D("0.6"), 7.0)
    assert left_by(BARE, Written(BTC, STOP, taken=True)) is None


def test_a_stop_that_was_refused_leaves_all_that_was_found() -> None:
    assert left_by(BARE, Written(BTC, STOP, taken=False, fault=fault("no"))) == BARE


def test_what_was_not_sent_or_not_taken_now_is_written_again_and_what_was_refused_is_not() -> None:
    assert again(Written(BTC, STOP, taken=False))
    assert again(Written(BTC, STOP, taken=False, fault=fault("rate", Category.RATE)))
    assert not again(Written(BTC, STOP, taken=False, fault=fault("no", Category.ORDER)))
    assert not again(Written(BTC, STOP, taken=True))
    assert not again(Written(BTC, CancelStops(BTC, ("S",)), taken=False))
    assert not again(None)


# -- what two sources agree upon -------------------------------------------------------------------------------


def test_two_sources_agree_on_what_and_how_much_not_on_since_when() -> None:
    assert agree(BARE, Uncovered(D("0.4"), 9.0))
    assert not agree(BARE, Uncovered(D("0.3"), 1.0))
    assert not agree(BARE, OverCovered(D("0.4")))
    assert not agree(None, BARE)
    assert not agree(BARE, None)


def test_what_one_reading_alone_finds_is_not_agreed_upon() -> None:
    assert compared(Findings(), {BTC: STOP}, {BTC: BARE}, counts=False) == (set(), [BTC])


def test_what_the_stream_told_makes_the_next_reading_a_full_one_and_the_second() -> None:
    findings = Findings()
    assert not findings.any()
    findings.alarm(BTC, BARE)
    assert (findings.any(), findings.want_full()) == (True, True)
    assert compared(findings, {BTC: STOP}, {BTC: BARE}, counts=True) == ({BTC}, [])
    assert not findings.any(), "it is used up"


def test_what_the_stream_told_with_all_that_belongs_to_it_needs_a_glance_only() -> None:
    findings = Findings()
    findings.alarm(BTC, BARE, whole=True)
    assert (findings.any(), findings.want_full()) == (True, False)
    assert compared(findings, {BTC: STOP}, {BTC: BARE}, counts=True) == ({BTC}, [])
    findings.alarm(BTC, BARE)
    assert findings.want_full(), "the next one is another matter"


def test_what_is_known_last_of_a_pair_says_how_it_is_to_be_read() -> None:
    findings = Findings()
    findings.alarm(BTC, BARE, whole=True)
    findings.alarm(BTC, BARE)
    assert findings.want_full()
    findings.alarm(BTC, BARE, whole=True)
    findings.alarm(ETH, BARE)
    assert findings.want_full(), "of the other pair a glance says too little"
    findings.alarm(ETH, BARE, whole=True)
    findings.expect(BARE, Written(BTC, STOP, taken=False))
    assert findings.want_full()


def test_that_stops_are_too_large_is_always_read_in_full() -> None:
    findings = Findings()
    findings.alarm(BTC, OverCovered(D("0.4")), whole=True)
    assert findings.want_full()


def test_a_flatten_of_all_follows_from_a_stop_of_a_part_when_both_readings_found_the_same() -> None:
    part = PlaceStop(BTC, Side.SELL, D("0.1"), StopLoss(trigger_price=D(90)), None)
    assert confirmed(part, FLATTEN, same=True)
    assert confirmed(STOP, FLATTEN, same=True)
    assert not confirmed(STOP, FLATTEN, same=False)
    assert not confirmed(REST, FLATTEN, same=True)
    assert not confirmed(None, FLATTEN, same=True)
    assert not confirmed(FLATTEN, STOP, same=True), "time does not run backwards"
    assert not confirmed(part, Flatten(BTC, Side.BUY, D("0.4")), same=True)
    assert confirmed(STOP, STOP, same=False)


def test_what_the_stream_told_otherwise_is_no_second_source() -> None:
    findings = Findings()
    findings.alarm(BTC, Uncovered(D("0.1"), 1.0))
    assert compared(findings, {BTC: STOP}, {BTC: BARE}, counts=True) == (set(), [BTC])


def test_those_that_agree_do_not_wait_for_the_others_which_are_half_found_then() -> None:
    findings = Findings()
    findings.alarm(BTC, BARE)
    steps, found = {BTC: STOP, ETH: FLATTEN}, {BTC: BARE, ETH: BARE}
    assert compared(findings, steps, found, counts=True) == ({BTC}, [ETH])
    assert compared(findings, {ETH: FLATTEN}, {ETH: BARE}, counts=True) == ({ETH}, [])


def test_what_a_write_mended_in_part_is_looked_for_by_a_glance() -> None:
    findings = Findings()
    assert findings.expect(Uncovered(D("1"), 7.0), Written(BTC, STOP, taken=True)) == Uncovered(D("0.6"), 7.0)
    assert (findings.any(), findings.want_full()) == (True, False)
    assert compared(findings, {BTC: STOP}, {BTC: Uncovered(D("0.6"), 8.0)}, counts=True) == ({BTC}, [])


def test_what_a_write_did_not_mend_is_looked_for_by_a_full_reading() -> None:
    findings = Findings()
    findings.expect(BARE, Written(BTC, STOP, taken=False))
    assert (findings.any(), findings.want_full()) == (True, True)


def test_what_a_write_mended_altogether_is_not_looked_for() -> None:
    findings = Findings()
    assert findings.expect(BARE, Written(BTC, STOP, taken=True)) is None
    assert not findings.any()


def test_what_the_stream_told_as_expected_is_no_longer_looked_for() -> None:
    findings = Findings()
    findings.expect(Uncovered(D("1"), 7.0), Written(BTC, STOP, taken=True))
    findings.met(BTC)
    assert not findings.any()


def test_what_was_found_while_a_write_had_no_answer_counts_once() -> None:
    findings = Findings()
    assert compared(findings, {BTC: REST}, {BTC: BARE}, counts=False, awaited=BTC) == (set(), [])
    assert compared(findings, {BTC: STOP}, {BTC: BARE}, counts=True) == ({BTC}, [])
    assert compared(findings, {BTC: STOP}, {BTC: BARE}, counts=True) == (set(), [BTC])


# -- what the stream touched -----------------------------------------------------------------------------------


def report(order_id: str, pair: str, order_type: OrderType, status: OrderStatus) -> OrderReport:
    return OrderReport(
        order_id=order_id, pair=pair, side=Side.SELL, order_type=order_type, order_qty=D(1), status=status
    )


def test_the_stream_touches_pairs_by_executions_and_by_stops_that_are_no_more() -> None:
    book = AccountBook()
    reports = (
        report("S", ETH, OrderType.STOP_LOSS, OrderStatus.CANCELED),
        report("L", "SOL/USD", OrderType.LIMIT, OrderStatus.CANCELED),
        report("T", "ADA/USD", OrderType.STOP_LOSS, OrderStatus.NEW),
    )
    book.take_all(reports)
    executed = Execution(order_id="E", pair=BTC, side=Side.BUY, qty=D(1), price=None, ts_ns=0)
    assert touched([executed], reports, book) == {BTC, ETH}


def test_a_stop_that_ended_is_known_by_what_was_told_of_it_before() -> None:
    book = AccountBook()
    book.take(report("S", ETH, OrderType.STOP_LOSS, OrderStatus.NEW))
    ended = OrderReport(order_id="S", status=OrderStatus.CANCELED)
    book.take(ended)
    assert touched([], [ended], book) == {ETH}
