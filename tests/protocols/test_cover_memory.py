"""What a guardian finds in the journal when it starts."""

import msgspec
import pytest
from tests.cover.toy_venue import PAIR, D, entry, fault

from allstop.actors.intents import OrderIntent, OrderType, Side
from allstop.actors.levels import IntentKind, Origin
from allstop.actors.ports import JournalRow
from allstop.actors.protocols.cover_memory import CoverMemory, Parentage, cover_id
from allstop.actors.protocols.records import (
    AttemptEnded,
    AttemptStarted,
    CoverRecorded,
    ExternalClaimed,
    ExternalSeen,
    Filled,
    IntentCommitted,
    LookupDone,
    Record,
    StopSeen,
    Terminal,
    Withheld,
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

OWNER = "/accounts/kraken.main/guardian"
SECOND = 1_000_000_000
STOP = OrderIntent(
    id="g1",
    pair=PAIR,
    side=Side.SELL,
    qty=D(1),
    order_type=OrderType.STOP_LOSS,
    trigger_price=D(90),
    kind=IntentKind.PROTECT,
)


def committed(intent: OrderIntent, at_s: int = 1, owner: str = "orders") -> IntentCommitted:
    return IntentCommitted(
        intent=intent,
        origin=Origin.STRATEGY,
        scope=("kraken", "main", PAIR),
        at_ns=at_s * SECOND,
        owner=owner,
    )


def attempted(intent_id: str, at_s: int = 1) -> AttemptStarted:
    return AttemptStarted(intent_id=intent_id, attempt=1, channel="desk", deadline_s=2.0, at_ns=at_s * SECOND)


def ended(intent_id: str, outcome: WriteOutcome) -> AttemptEnded:
    return AttemptEnded(intent_id=intent_id, attempt=1, outcome=outcome)


def own_stop() -> tuple[Record, ...]:
    detail = msgspec.json.encode(Parentage("g1", "A", "A")).decode()
    return (
        CoverRecorded(pair=PAIR, step="stop", detail=detail),
        committed(STOP, owner=OWNER),
        attempted("g1"),
    )


def memory(*records: Record) -> CoverMemory:
    kept = CoverMemory(OWNER)
    rows: list[JournalRow] = []
    for seq, record in enumerate(records, 1):
        made = to_entry(record)
        rows.append(
            JournalRow(
                seq=seq,
                ts_ns=seq * 10 * SECOND,
                epoch=1,
                kind=made.kind,
                key=made.key,
                body=made.body,
                prev_hash=b"",
                hash=b"",
            )
        )
    kept.fold(rows)
    return kept


def order(order_id: str, **fields: object) -> OrderReport:
    told: dict[str, object] = {
        "status": OrderStatus.FILLED,
        "pair": PAIR,
        "side": Side.BUY,
        "cum_qty": D(1),
        "order_qty": D(1),
    }
    return OrderReport(order_id=order_id, **(told | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "unresolved"),
    [
        (None, True),
        (Unknown("no answer"), True),
        (Accepted(("S",)), False),
        (Rejected(fault("EOrder:Invalid order")), False),
        (NotSent("no pool slot"), False),
    ],
)
def test_a_write_without_a_usable_answer_is_unresolved(
    outcome: WriteOutcome | None, unresolved: bool
) -> None:
    after = () if outcome is None else (ended("g1", outcome),)
    assert ("g1" in memory(*own_stop(), *after).unresolved) is unresolved


@pytest.mark.parametrize(
    "settled",
    [
        LookupDone(intent_id="g1", verdict="absent", evidence=""),
        Withheld(intent_id="g1", reason=""),
        Terminal(intent_id="g1", state="FILLED", evidence=""),
    ],
)
def test_a_write_that_was_looked_up_is_settled(settled: Record) -> None:
    assert memory(*own_stop(), settled).unresolved == {}


def test_an_inconclusive_lookup_settles_nothing() -> None:
    searched = LookupDone(intent_id="g1", verdict="inconclusive", evidence="")
    assert "g1" in memory(*own_stop(), searched).unresolved


def test_the_unanswered_writes_of_others_are_theirs() -> None:
    kept = memory(committed(entry()), attempted("entry-1"))
    assert (kept.unresolved, kept.expected()) == ({}, ("entry-1",))


def test_the_next_id_for_an_execution_follows_from_the_journal() -> None:
    before, after = memory(), memory(*own_stop())
    assert (before.count("A"), after.count("A"), after.count("B")) == (0, 1, 0)
    assert cover_id("kraken.main", "A", 0) == cover_id("kraken.main", "A", 0)
    ids = {cover_id(a, s, n) for a in ("x", "y") for s in ("A", "B") for n in (0, 1)}
    assert len(ids) == 8
    assert all(len(i) <= 18 for i in ids)


def test_a_record_told_twice_counts_once() -> None:
    kept = memory(*own_stop())
    for record in own_stop():
        kept.note(record)
    assert (kept.count("A"), len(kept.book.intents())) == (1, 1)


def test_executions_in_the_journal_make_the_position_without_asking_the_venue() -> None:
    fill = Fill(
        exec_id="x1", order_id="A", pair=PAIR, side=Side.BUY, qty=D(1), price=D(100), cl_ord_id="entry-1"
    )
    stop = order("S", side=Side.SELL, parent_id="A", order_type=OrderType.STOP_LOSS, cum_qty=D("0.4"))
    kept = memory(
        committed(entry()), Filled(intent_id="entry-1", fill=fill), StopSeen(intent_id="entry-1", report=stop)
    )
    assert kept.book.position(PAIR).net == D("0.6")


def test_a_claimed_order_is_ours_from_the_journal_on() -> None:
    kept = memory(ExternalSeen(report=order("X")), ExternalClaimed(order_id="X", by="ann", reason="mine"))
    assert kept.book.position(PAIR).net == D(1)


def test_closed_orders_are_read_from_the_oldest_thing_that_is_not_settled() -> None:
    live = memory(committed(entry(), at_s=3), committed(entry("e2"), at_s=7))
    assert live.horizon_ns(SECOND) == 2 * SECOND
    over = memory(
        committed(entry(), at_s=3), Terminal(intent_id="entry-1", state="FILLED", evidence="report")
    )
    assert over.horizon_ns(SECOND) == 19 * SECOND, "all is settled: from the journal's last row"


def test_a_stop_sent_without_a_journal_is_recognised_by_its_id_and_is_cover_again() -> None:
    kept = memory(committed(entry()))
    kept.book.take(order("A", cl_ord_id="entry-1"))
    lost = cover_id("kraken.main", "A", 0)
    stop = {"side": Side.SELL, "order_type": OrderType.STOP_LOSS, "status": OrderStatus.NEW, "cum_qty": D(0)}
    kept.book.take(order("S", cl_ord_id=lost, **stop))
    kept.book.take(order("X", cl_ord_id="g0123456789abcdef", **stop))
    assert kept.adopt_own("kraken.main") == (lost,)
    assert kept.book.is_ours("S")
    assert (kept.count("A"), kept.book.entries(PAIR)[0].missing) == (1, D(0))
    assert [o.order_id for o in kept.book.external()] == ["X"]
    assert kept.adopt_own("kraken.main") == ()


def test_an_entry_counts_as_open_until_its_end_is_known() -> None:
    kept = memory(committed(entry()))
    assert kept.open_entries()
    kept.book.take(order("A", cl_ord_id="entry-1"))
    assert not kept.open_entries()


def test_an_order_can_be_on_the_wire_until_its_deadline_or_until_it_is_seen() -> None:
    kept = memory(committed(entry()), attempted("entry-1", at_s=5))
    assert kept.wire_until_ns() == 7 * SECOND
    kept.book.take(order("A", cl_ord_id="entry-1", status=OrderStatus.NEW))
    assert kept.wire_until_ns() == 0
