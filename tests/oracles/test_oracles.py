"""Each oracle can fail: evidence of a sound run holds, and one planted lie breaks exactly the oracle that it is about."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from allstop.actors.clock import ManualClock
from allstop.actors.links.journal_sqlite import SqliteJournal
from allstop.actors.ports import JournalEntry
from allstop.supervisors.oracles import Evidence, executed_by_journal, judge, lost_orders, read_journal

Line = tuple[str, str, dict[str, Any]]  # kind, key, the record's fields
SECRET = "c2VjcmV0LXRoYXQtbXVzdC1uZXZlci1zaG93"

# One order that filled in two executions, one that was never sent, one that is still open.
LINES: tuple[Line, ...] = (
    ("intent", "filled", {"intent_id": "filled"}),
    ("fill", "filled", {"fill": {"order_id": "O-1", "exec_id": "T-1", "qty": "0.2"}}),
    ("fill", "filled", {"fill": {"order_id": "O-1", "exec_id": "T-2", "qty": "0.3"}}),
    ("report", "filled", {"report": {"order_id": "O-1", "status": "filled", "cum_qty": "0.5"}}),
    ("terminal", "filled", {"state": "FILLED", "evidence": "stream: the venue tells O-1 filled"}),
    ("intent", "unsent", {"intent_id": "unsent"}),
    ("lookup", "unsent", {"verdict": "absent", "evidence": "two complete searches found nothing"}),
    ("terminal", "unsent", {"state": "NOT_PLACED", "evidence": "one complete search found nothing"}),
    ("intent", "open", {"intent_id": "open"}),
    ("report", "open", {"report": {"order_id": "O-2", "status": "new", "cum_qty": "0"}}),
)


async def written(path: Path, lines: Sequence[Line]) -> Path:
    """A real journal file with these records, each in a commit of its own."""
    journal = await SqliteJournal.open(path, ManualClock(), "kraken.main")
    for kind, key, record in lines:
        body = json.dumps({"t": kind, "r": record}).encode()
        await journal.append([JournalEntry(kind=kind, key=key, body=body)])
    await journal.close()
    return path


def order(order_id: str, cl_ord_id: str, status: str, filled: str, opened_ns: int) -> dict[str, Any]:
    return {
        "order_id": order_id, "cl_ord_id": cl_ord_id, "status": status, "filled": filled, "opened_ns": opened_ns,
        "open": status == "open",
    }  # fmt: skip


def uncovered(ms: float) -> dict[str, Any]:
    interval = {"start_ns": 1_000_000_000, "end_ns": 1_000_000_000 + int(ms * 1e6), "qty_max": "0.2"}
    return {"main": {"BTC/USD": {"uncovered_ms_max": ms, "intervals": [interval]}}}


def truth() -> dict[str, Any]:
    """The venue's word on the same run."""
    later_ns = 2**62
    return {
        "duplicates": {},
        "orders": {
            "O-1": order("O-1", "filled", "filled", "0.5", later_ns),
            "O-2": order("O-2", "open", "open", "0", later_ns),
        },
        "positions": {"main": {"BTC/USD": "0.5"}},
        "cover": uncovered(340.0),
        "executions": [{"exec_id": "T-1"}, {"exec_id": "T-2"}],
        "limits_broken": [],
        "requests": [{"method": "AddOrder"}],
    }


@pytest.fixture
async def sound(tmp_path: Path) -> Evidence:
    path = await written(tmp_path / "journal.db", LINES)
    return Evidence(
        truth=truth(),
        account="main",
        journals=[read_journal(path)],
        submitted=["filled", "unsent", "open"],
        refused=["refused"],
        positions={"BTC/USD": Decimal("0.5")},
        outputs={"log": '{"event": "order.state"}'},
        secrets=[SECRET],
        leaked=[],
    )


async def test_all_eight_hold_on_a_sound_run(sound: Evidence) -> None:
    assert [(verdict.oracle, verdict.holds) for verdict in judge(sound)] == [
        (f"O{n}", True) for n in range(1, 9)
    ]


async def test_without_evidence_nothing_is_proven() -> None:
    empty = {**truth(), "orders": {}, "executions": [], "positions": {}, "cover": {}}
    verdicts = judge(Evidence(truth=empty, account="main", journals=[], submitted=[]))
    proven = {verdict.oracle: verdict.holds for verdict in verdicts}
    # O5 is the venue's own measure: a venue that was asked nothing was not overrun.
    assert proven == {
        "O1": None,
        "O2": None,
        "O3": None,
        "O4": None,
        "O5": True,
        "O6": None,
        "O7": None,
        "O8": None,
    }


def at_venue(evidence: Evidence, **changed: Any) -> Evidence:
    return replace(evidence, truth={**evidence.truth, **changed})


def orders(evidence: Evidence, *more: dict[str, Any]) -> Evidence:
    return at_venue(evidence, orders={**evidence.truth["orders"], **{one["order_id"]: one for one in more}})


LIES: dict[str, tuple[str, Callable[[Evidence], Evidence], str]] = {
    "an intent that the venue accepted twice": (
        "O1", lambda e: orders(e, order("O-3", "filled", "open", "0", 2**62)), "more than one order for ['filled']",
    ),
    "a refused intent that is at the venue": (
        "O1", lambda e: replace(e, refused=["open"]), "refused, and yet at the venue: ['open']",
    ),
    "a position that the engine does not know": (
        "O2", lambda e: replace(e, positions={}), "BTC/USD: engine 0, venue 0.5",
    ),
    "a position that the venue does not know": (
        "O2", lambda e: replace(e, positions={"BTC/USD": Decimal("0.5"), "ETH/USD": Decimal(1)}),
        "ETH/USD: engine 1, venue 0",
    ),
    "a position without cover for too long": (
        "O3", lambda e: at_venue(e, cover=uncovered(2000.1)), "main BTC/USD: without full cover for 2000 ms",
    ),
    "an order canceled in the journal and filled at the venue": (
        "O4", lambda e: with_lines(e, "terminal", "filled", {"state": "CANCELED", "evidence": "it was told"}),
        "filled is CANCELED in the journal and filled at the venue",
    ),
    "an order that is over without evidence": (
        "O4", lambda e: with_lines(e, "terminal", "filled", {"state": "FILLED", "evidence": ""}),
        "filled is FILLED without evidence",
    ),
    "an order that was proven absent and is there": (
        "O4", lambda e: orders(e, order("O-9", "unsent", "open", "0", 2**62)),
        "unsent is NOT_PLACED in the journal and open at the venue",
    ),
    "an order that filled in the journal alone": (
        "O4", lambda e: with_lines(e, "terminal", "unsent", {"state": "FILLED", "evidence": "it was told"}),
        "unsent is FILLED in the journal and unknown at the venue",
    ),
    "a limit that was broken": (
        "O5", lambda e: at_venue(e, limits_broken=[{"kind": "connects", "detail": "151 in 600 s"}]),
        "connects 151 in 600 s",
    ),
    "an order that was promised and is in no journal": (
        "O6", lambda e: replace(e, submitted=[*e.submitted, "vanished"]), "not accounted for: ['vanished']",
    ),
    "an order of ours that no journal knows": (
        "O6", lambda e: orders(e, order("O-8", "ghost", "open", "0", 2**62)), "not accounted for: ['ghost']",
    ),
    "an order that was at the venue before it was committed": (
        "O6", lambda e: orders(e, order("O-2", "open", "open", "0", -1)),
        "open reached the venue before it was committed",
    ),
    "an execution that no journal has": (
        "O6", lambda e: orders(e, order("O-1", "filled", "filled", "0.7", 2**62)),
        "O-1 executed 0.7 at the venue and 0.5 in the journal",
    ),
    "an execution of an order that the journal calls untouched": (
        "O6", lambda e: orders(e, order("O-2", "open", "open", "0.1", 2**62)),
        "O-2 executed 0.1 at the venue and 0 in the journal",
    ),
    "a secret in a log": (
        "O7", lambda e: replace(e, outputs={"log": f"key={SECRET}"}), "a secret stands in ['log']",
    ),
    "an actor that is left": (
        "O8", lambda e: replace(e, leaked=["/accounts/kraken.main/trading/session"]), "left: ['/accounts",
    ),
}  # fmt: skip


def with_lines(evidence: Evidence, kind: str, key: str, record: dict[str, Any]) -> Evidence:
    """The same journal with one record told otherwise. O4 reads bodies; that the chain breaks too is O6's word."""
    (journal,) = evidence.journals
    rows = tuple(
        replace(row, body=json.dumps({"t": kind, "r": record}).encode()) if (row.kind, row.key) == (kind, key) else row
        for row in journal.rows
    )  # fmt: skip
    return replace(evidence, journals=[replace(journal, rows=rows)])


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_breaks_the_oracle_that_it_is_about(lie: str, sound: Evidence) -> None:
    oracle, tell, why = LIES[lie]
    verdict = next(one for one in judge(tell(sound)) if one.oracle == oracle)
    assert verdict.holds is False
    assert why in verdict.why


async def test_a_frozen_pair_may_differ_because_it_is_reported(sound: Evidence) -> None:
    doubtful = replace(sound, positions={}, frozen=["BTC/USD"])
    assert judge(doubtful)[1].holds is True


async def test_cover_may_take_as_long_as_the_account_allows(sound: Evidence) -> None:
    slow = at_venue(sound, cover=uncovered(2500.0))
    assert judge(replace(slow, cover_s=3.0))[2].holds is True


async def test_every_tampered_column_breaks_the_chain(tmp_path: Path, sound: Evidence) -> None:
    changes = {
        "body": "UPDATE record SET body = CAST(replace(CAST(body AS TEXT), 'O-1', 'O-7') AS BLOB) WHERE kind = 'fill'",
        "key": "UPDATE record SET key = 'other' WHERE kind = 'terminal'",
        "kind": "UPDATE record SET kind = 'note' WHERE kind = 'terminal'",
        "time": "UPDATE record SET ts_ns = ts_ns + 1 WHERE kind = 'intent'",
        "epoch": "UPDATE record SET epoch = epoch + 1 WHERE kind = 'fill'",
        "removal": "DELETE FROM record WHERE kind = 'fill'",
    }
    for name, change in changes.items():
        path = await written(tmp_path / f"{name}.db", LINES)
        connection = sqlite3.connect(path)
        connection.execute("DROP TRIGGER record_stays")
        connection.execute("DROP TRIGGER record_remains")
        connection.execute(change)
        connection.commit()
        connection.close()
        verdict = judge(replace(sound, journals=[read_journal(path)]))[5]
        assert verdict.holds is False, name
        assert verdict.why.startswith("chain kraken.main: row "), name


async def test_an_execution_that_is_told_twice_counts_once(tmp_path: Path) -> None:
    twice = [
        LINES[0],
        LINES[1],
        LINES[1],
        ("report", "filled", {"report": {"order_id": "O-1", "cum_qty": "0.2"}}),
    ]
    journal = read_journal(await written(tmp_path / "twice.db", twice))
    assert executed_by_journal([journal]) == {"O-1": Decimal("0.2")}


async def test_an_order_that_was_promised_and_is_neither_over_nor_at_the_venue_is_lost(
    sound: Evidence,
) -> None:
    nowhere = at_venue(sound, orders={"O-1": sound.truth["orders"]["O-1"]})
    assert lost_orders(nowhere) == ("open",)
