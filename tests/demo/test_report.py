"""The figures of a demo: each from the events, the venue's truth or a journal, and none from the engine's own word."""

import hashlib
from typing import Any

import msgspec
import pytest

from allstop.actors.events import (
    BreakerChanged,
    ChildStarted,
    ChildTerminated,
    Event,
    GaveUp,
    LevelChanged,
    RestartScheduled,
)
from allstop.actors.levels import Level
from allstop.supervisors.demo.report import (
    EventCount,
    Recovery,
    halt_proven_ms,
    make_report,
    recovery,
    unprotected_open,
)
from allstop.supervisors.oracles import Evidence, Journal, Row, Verdict

MS = 1_000_000


def started(attempt: int, path: str = "/a", child: str = "b") -> Event:
    return ChildStarted(at_ns=0, path=path, child=child, incarnation=1, attempt=attempt)


def ended(clean: bool) -> Event:
    return ChildTerminated(at_ns=0, path="/a", child="b", incarnation=1, reason="x", clean=clean)


def counted(*events: Event) -> EventCount:
    count = EventCount()
    for event in events:
        count(event)
    return count


def test_a_crash_is_an_end_that_is_not_clean() -> None:
    assert counted(ended(clean=True), ended(clean=False)).crashes == 1


def test_the_first_start_of_a_child_is_no_restart() -> None:
    count = counted(
        started(0),
        started(1),
        started(2),
        RestartScheduled(at_ns=0, path="/a", child="b", attempt=1, delay_s=0, budget_left=1),
    )
    assert (count.restarts, count.restarts_of) == (2, {"/a/b": 2})


def test_a_child_of_the_root_is_counted_at_its_path() -> None:
    assert counted(started(1, "/", "accounts")).restarts_of == {"/accounts": 1}


def test_giving_up_and_levels_are_counted() -> None:
    gave_up = GaveUp(at_ns=0, path="/a", offender="b", attempts=3, causes=(), fatal=False, action="pause")
    lowered = LevelChanged(
        at_ns=0, path="/", scope=(), before=Level.NONE, now=Level.HALTED, by="x", reason="y"
    )
    count = counted(gave_up, lowered, lowered)
    assert (count.escalations, count.level_changes) == (1, 2)


def test_a_breaker_is_remembered_as_it_stands() -> None:
    changes = [BreakerChanged(at_ns=0, path="/a", state=state, trips=1) for state in ("open", "half_open")]
    assert counted(*changes).breaker_of == {"/a": "half_open"}


def opened(*at: tuple[str, int]) -> dict[str, Any]:
    return {"orders": {name: {"cl_ord_id": name, "opened_ns": ns} for name, ns in at}}


def test_recovery_is_from_each_injury_to_the_first_order_of_ours_after_it() -> None:
    truth = opened(("a", 5 * MS), ("b", 30 * MS), ("c", 100 * MS))
    assert recovery([10 * MS, 40 * MS], truth, ["a", "b", "c"]) == Recovery(60.0, 60.0, 60.0)


def test_a_foreign_order_is_no_recovery() -> None:
    truth = opened(("foreign", 11 * MS), ("ours", 30 * MS))
    assert recovery([10 * MS], truth, ["ours"]) == Recovery(20.0, 20.0, 20.0)


def test_without_an_injury_there_is_no_recovery_to_tell() -> None:
    assert recovery([], opened(("a", 1)), ["a"]) == Recovery(None, None, None)


def test_an_injury_without_an_order_after_it_is_left_out() -> None:
    assert recovery([10 * MS, 50 * MS], opened(("a", 20 * MS)), ["a"]) == Recovery(10.0, 10.0, 10.0)


def journal(*rows: tuple[str, int]) -> Journal:
    empty = hashlib.sha256(b"").digest()
    return Journal(
        "kraken.main",
        tuple(Row(n, ns, 1, kind, "", b"{}", empty, empty) for n, (kind, ns) in enumerate(rows)),
    )


def evidence(truth: dict[str, Any], *rows: tuple[str, int], submitted: tuple[str, ...] = ()) -> Evidence:
    return Evidence(truth=truth, account="main", journals=[journal(*rows)], submitted=submitted)


def test_the_proof_that_counts_is_the_first_after_the_latch() -> None:
    found = halt_proven_ms(
        evidence({}, ("halt.proof", 1 * MS), ("halt.proof", 9 * MS), ("halt.proof", 20 * MS)), 5 * MS
    )
    assert found == 4.0


def test_a_halt_without_a_proof_after_it_has_no_time() -> None:
    assert halt_proven_ms(evidence({}, ("halt.proof", 1 * MS)), 5 * MS) is None


@pytest.mark.parametrize(
    ("order_type", "side", "open_", "left"),
    [
        ("limit", "buy", True, True),
        ("limit", "sell", True, True),
        ("limit", "buy", False, False),
        ("stop-loss", "sell", True, False),
        ("trailing-stop", "sell", True, False),
        ("stop-loss", "buy", True, True),
    ],
)
def test_only_a_stop_on_the_reducing_side_may_be_left_open(
    order_type: str, side: str, open_: bool, left: bool
) -> None:
    order = {"order_id": "O-1", "order_type": order_type, "side": side, "open": open_}
    assert unprotected_open({"orders": {"O-1": order}}) == (["O-1"] if left else [])


def test_a_report_has_every_key_and_names_what_is_broken() -> None:
    truth = {
        "orders": {"O-1": {"cl_ord_id": "a", "opened_ns": 20 * MS}},
        "executions": [1, 2, 3],
        "duplicates": {"a": ["O-1", "O-2"]},
        "cover": {"main": {"BTC/USD": {"uncovered_ms_max": 12.34}}},
    }
    report = make_report(
        seed=7, duration_s=1.234, evidence=evidence(truth, ("halt.proof", 9 * MS), submitted=("a",)),
        verdicts=[Verdict("O1", False), Verdict("O2", None), Verdict("O3", True)], events=counted(started(1)),
        frames_in=99, checksums=(5, 1), injuries_ns=[10 * MS], latched_at_ns=5 * MS,
    )  # fmt: skip
    assert msgspec.to_builtins(report) == {
        "seed": 7, "duration_s": 1.23, "frames_in": 99, "checksums_ok": 5, "checksums_bad": 1, "orders_submitted": 1,
        "executions": 3, "duplicates": 1, "lost_orders": 1, "uncovered_ms_max": 12.3, "crashes": 0, "restarts": 1,
        "escalations": 0, "level_changes": 0, "halt_proven_ms": 4.0,
        "recovery_ms": {"p50": 10.0, "p99": 10.0, "max": 10.0}, "oracles": {"O1": False, "O2": None, "O3": True},
    }  # fmt: skip
    assert report.broken == ["O1"]
