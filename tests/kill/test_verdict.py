"""The verdict on a killed engine, on truths made by hand."""

from typing import Any

from tests.kill.verdict import (
    Life,
    UncoveredTime,
    barred,
    caught,
    cover_in_time,
    entries_before_cover,
    entries_of_the_halted,
    in_doubt,
    merged,
    uncovered_time,
)

from allstop.actors.clock import uuid7
from allstop.supervisors.oracles import Row

S = 1_000_000_000


def truth(*, bare: list[tuple[float, float | None]], requests: list[float], orders: dict[str, Any] | None = None,
          away: list[tuple[float, float]] | None = None) -> dict[str, Any]:  # fmt: skip
    intervals = [{"start_ns": int(a * S), "end_ns": None if b is None else int(b * S)} for a, b in bare]
    return {
        "at_ns": 100 * S,
        "cover": {"main": {"BTC/USD": {"intervals": intervals}}},
        "requests": [{"at_ns": int(at * S)} for at in requests],
        "requests_forgotten": 0,
        "executions": [{}],
        "unreachable": [{"start_ns": int(a * S), "end_ns": int(b * S)} for a, b in away or []],
        "orders": orders or {},
    }


def life(spawned: float, ended: float, *, halted: bool = False) -> Life:
    return Life(int(spawned * S), int(ended * S), halted=halted)


def buy(at: float) -> dict[str, Any]:
    return {"order_id": "O", "symbol": "BTC/USD", "side": "buy", "opened_ns": int(at * S)}


LIVES = [life(0, 10), life(12, 20)]


def test_uncovered_time_is_split_by_what_the_engine_was() -> None:
    told = truth(bare=[(9.5, 14.25)], requests=[1, 13])
    assert uncovered_time(told, "main", LIVES) == UncoveredTime(1250.0, 1250.0, 1000.0, 2000.0)


def test_an_engine_that_takes_longer_than_cover_s_after_it_connected_is_late() -> None:
    late = cover_in_time(truth(bare=[(9.9, 15.1)], requests=[1, 13]), "main", LIVES, 2.0)
    in_time = cover_in_time(truth(bare=[(9.9, 14.9)], requests=[1, 13]), "main", LIVES, 2.0)
    assert (late.holds, in_time.holds) == (False, True)


def test_an_interval_that_never_ended_counts_until_the_end_of_each_life() -> None:
    assert uncovered_time(truth(bare=[(8, None)], requests=[1, 13]), "main", LIVES).live_ms_max == 7000.0


def test_time_in_which_the_venue_was_away_is_nobodys_fault() -> None:
    told = truth(bare=[(2, 6)], requests=[1, 13], away=[(3, 5)])
    assert uncovered_time(told, "main", LIVES).live_ms_max == 2000.0


def test_a_life_that_never_reached_the_venue_was_only_starting() -> None:
    told = truth(bare=[(12, 20)], requests=[1])
    assert uncovered_time(told, "main", LIVES) == UncoveredTime(0.0, 0.0, 8000.0, 0.0)


def test_a_run_without_executions_proves_nothing_about_cover() -> None:
    told = truth(bare=[], requests=[]) | {"executions": []}
    assert cover_in_time(told, "main", LIVES, 2.0).holds is None


def test_requests_that_the_venue_forgot_are_no_evidence() -> None:
    told = truth(bare=[], requests=[]) | {"requests_forgotten": 5}
    assert cover_in_time(told, "main", LIVES, 2.0).holds is False


def call(at: float, method: str = "OpenOrders", key: str = "protect") -> dict[str, Any]:
    return {"at_ns": int(at * S), "via": "rest", "key": key, "method": method}


def test_a_key_is_barred_while_its_counter_has_no_room_for_a_call() -> None:
    assert barred([call(1)] * 18) == []
    assert barred([call(1)] * 19) == [(S, 2 * S)]
    assert barred([call(1)] * 18 + [call(1, "AddOrder"), call(1, key="trade")]) == []
    assert barred([call(1)] * 18 + [call(2), call(2)]) == [(2 * S, 3 * S)]


def test_time_in_which_the_key_was_barred_is_told_and_taken_off() -> None:
    told = truth(bare=[(9.9, 15.5)], requests=[]) | {"requests": [call(1), *[call(13)] * 20]}
    time = uncovered_time(told, "main", LIVES)
    assert (time.live_ms_max, time.unbarred_ms_max) == (2500.0, 500.0)
    assert cover_in_time(told, "main", LIVES, 2.0).holds


def row(at: float, kind: str, key: str) -> Row:
    return Row(1, int(at * S), 1, kind, key, b"", b"", b"")


def test_a_kill_catches_the_intents_of_its_own_life_where_their_last_record_stands() -> None:
    rows = [row(1, "intent", "old"), row(12.1, "intent", "a"), row(12.2, "attempt", "a"), row(12.3, "intent", "b"),
            row(12.4, "intent", "over"), row(12.5, "terminal", "over"), row(12.6, "fill", "old"), row(12.7, "ledger.level", "b")]  # fmt: skip
    assert caught(rows, LIVES[1]) == {"sent or about to be": 1, "journalled, not sent": 1}


def test_an_intent_is_in_doubt_until_its_journal_has_its_end_or_the_venue_has_its_order() -> None:
    rows = [
        row(1, "intent", "cut"),
        row(1.1, "attempt", "cut"),
        row(1.2, "outcome", "cut"),
        row(1.3, "lookup", "cut"),
    ]
    nothing = truth(bare=[], requests=[])
    assert in_doubt(nothing, rows) == ["cut"]
    assert in_doubt(nothing, [*rows, row(9, "terminal", "cut")]) == []
    assert in_doubt(nothing, [*rows, row(9, "terminal", "another")]) == ["cut"]
    arrived = truth(bare=[], requests=[], orders={"O": buy(1) | {"cl_ord_id": "cut"}})
    assert in_doubt(arrived, rows) == []


def test_spans_that_overlap_are_merged() -> None:
    assert merged([(5, 9), (1, 3), (2, 4), (9, 10)]) == [(1, 4), (5, 10)]


def test_an_entry_in_a_halted_life_is_found() -> None:
    told = truth(bare=[], requests=[], orders={"a": buy(13), "b": buy(5), "c": buy(13) | {"side": "sell"}})
    lives = [life(0, 10), life(12, 20, halted=True)]
    assert entries_of_the_halted(told, lives) == ["O"]


def test_an_entry_of_a_life_that_found_the_pair_uncovered_is_found_until_it_is_covered() -> None:
    told = truth(bare=[(9, 14)], requests=[1, 13], orders={"a": buy(13.5)})
    assert entries_before_cover(told, "main", LIVES) == ["O"]
    told = truth(bare=[(9, 14)], requests=[1, 13], orders={"a": buy(14.5), "b": buy(9.5)})
    assert entries_before_cover(told, "main", LIVES) == []


def test_an_entry_that_was_under_way_when_its_process_was_killed_is_not_of_the_next_life() -> None:
    late = {"a": buy(13.5) | {"cl_ord_id": uuid7(10_500, 1 << 79)}}  # made at 10.5 s, before the life of 12 s
    assert entries_before_cover(truth(bare=[(9, 14)], requests=[1, 13], orders=late), "main", LIVES) == []
    own = {"a": buy(13.5) | {"cl_ord_id": uuid7(13_400, 1 << 79)}}
    assert entries_before_cover(truth(bare=[(9, 14)], requests=[1, 13], orders=own), "main", LIVES) == ["O"]
