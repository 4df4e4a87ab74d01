"""Journal records: there and back, and what is done with what is not understood."""

import contextlib
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.intents import OrderIntent, Side, StopLoss
from allstop.actors.levels import IntentKind, Level, Origin
from allstop.actors.protocols import records
from allstop.actors.protocols.kraken import faults
from allstop.actors.protocols.records import KINDS, BrokenRecord, Opaque, Record, UnknownVersion
from allstop.actors.reports import Accepted, Fill, NotSent, OrderReport, OrderStatus, Rejected, Unknown

SCOPE = ("kraken", "main", "BTC/USD")
INTENT = OrderIntent(
    id="a",
    pair="BTC/USD",
    side=Side.BUY,
    qty=Decimal("0.00010000"),
    limit_price=Decimal("1E+5"),
    stop=StopLoss(trigger_price=Decimal("90.5")),
)
FILL = Fill(exec_id="X", order_id="O", pair="BTC/USD", side=Side.SELL, qty=Decimal(1), price=Decimal(2))
REPORT = OrderReport(order_id="O", status=OrderStatus.NEW, cum_qty=Decimal("0.30"), fill=FILL)
ALL: list[Record] = [
    records.IntentCommitted(
        intent=INTENT, origin=Origin.GUARDIAN, scope=SCOPE, at_ns=2**62, owner="guardian"
    ),
    records.AttemptStarted(intent_id="a", attempt=1, channel="desk", deadline_s=0.5, at_ns=1),
    records.AttemptEnded(intent_id="a", attempt=1, outcome=Accepted(("O",))),
    records.AttemptEnded(intent_id="a", attempt=1, outcome=Rejected(faults.classify("EAPI:Invalid nonce"))),
    records.AttemptEnded(intent_id="a", attempt=1, outcome=NotSent("down")),
    records.AttemptEnded(intent_id="a", attempt=1, outcome=Unknown("lost")),
    records.Reported(intent_id="a", report=REPORT, source="stream"),
    records.Filled(intent_id="a", fill=FILL),
    records.CommandIntended(
        command_id="c",
        intent_id="",
        verb="cancel",
        kind=IntentKind.CANCEL,
        origin=Origin.OPERATOR,
        scope=SCOPE,
        order_ids=("O",),
        at_ns=1,
    ),
    records.CommandEnded(command_id="c", intent_id="a", outcome=Accepted(())),
    records.LookupDone(intent_id="a", verdict="absent", evidence="two searches"),
    records.Withheld(intent_id="a", reason="ttl"),
    records.Terminal(intent_id="a", state="FILLED", evidence="stream"),
    records.StopSeen(intent_id="a", report=REPORT),
    records.ExternalSeen(report=REPORT),
    records.ExternalClaimed(order_id="O", by="ops", reason="mine"),
    records.Frozen(pair="BTC/USD", by="x", reason="y", held=True),
    records.StrategyStopped(strategy="/strategies/a", by="x", reason="y", held=True),
    records.JournalSetAside(file="journal-a.db.broken.1", what="row 7", kept=6, lost=1, at_ns=1),
    records.RowLost(kind="attempt", subject="a", seq=7, at_ns=1),
    records.LossAccepted(files=("journal-a.db.broken.1",), by="x", reason="y", at_ns=1),
    records.LevelRecorded(scope=SCOPE, before=Level.NONE, now=Level.HALTED, by="x", reason="y"),
    records.HaltLatched(by="x", reason="y", at_ns=1),
    records.HaltLifted(by="x", reason="y", at_ns=1),
    records.HaltProved(account="kraken.main", canceled=1, kept=2, rounds=3, at_ns=4),
    records.CoverRecorded(pair="BTC/USD", step="stop", detail="{}"),
    records.EmergencyFrame(
        kind=IntentKind.PROTECT, subject="a", attempt=1, scope=SCOPE, origin=Origin.GUARDIAN, at_ns=1
    ),
]


@pytest.mark.parametrize("record", ALL, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert records.from_row(records.to_entry(record)) == record


def test_every_kind_is_among_the_records_tried() -> None:
    assert {records.kind_of(record) for record in ALL} == set(KINDS)


def test_a_record_of_an_intent_is_found_under_the_intent() -> None:
    for record in ALL:
        if getattr(record, "intent_id", ""):
            assert records.key_of(record) == "a"
    assert records.key_of(ALL[0]) == "a"
    assert records.key_of(ALL[8]) == "c"


def test_a_kind_that_nobody_here_knows_is_kept_as_it_stands() -> None:
    assert records.from_body("weather", "k", b"\xff") == Opaque(kind="weather", key="k", body=b"\xff")


def test_an_unknown_version_of_a_known_kind_refuses_for_good() -> None:
    with pytest.raises(UnknownVersion) as caught:
        records.from_body("intent", "a", b'{"v":2,"r":{}}')
    assert caught.value.code == "JOURNAL_VERSION"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"v":1,"r":{}}', b'{"v":1}', b"\xff", b'{"v":"1","r":{}}']
)
def test_a_known_kind_that_cannot_be_read_refuses_for_good(body: bytes) -> None:
    with pytest.raises(BrokenRecord):
        records.from_body("terminal", "a", body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(BrokenRecord, UnknownVersion):
        records.from_body("report", "a", body)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_money_comes_back_with_exactly_its_digits(qty: Decimal) -> None:
    record = records.IntentCommitted(
        intent=msgspec.structs.replace(INTENT, qty=qty), origin=Origin.STRATEGY, scope=SCOPE, at_ns=0
    )
    back = records.from_row(records.to_entry(record))
    assert isinstance(back, records.IntentCommitted)
    assert back.intent.qty.as_tuple() == qty.as_tuple()
