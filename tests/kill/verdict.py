"""Judging a story of kills, from evidence that the engine cannot have touched afterwards. Pure.

O3 needs care here. While the engine is dead nobody covers, and no rule can say otherwise: the promise is that a fill
is covered by the venue's own conditional stop, and, where that is missing, within `cover_s` of every moment at which
a living engine is connected. So uncovered time is split by what the engine was:

    dead       killed and not started again yet
    starting   started, and not one private request of it reached the venue yet
    live       from that first request to its end; a halted engine counts as live

Only live time is judged, the longest stretch within one life. Nothing else is taken off: not the rest of the start,
not a reconciliation. The other two are reported beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allstop.supervisors.oracles import Verdict

Span = tuple[int, int]  # wall ns


@dataclass(frozen=True, slots=True)
class Life:
    """One process of the engine, from spawn to end."""

    spawned_ns: int
    ended_ns: int
    pid: int = 0
    halted: bool = False  # started on a state directory that was latched


@dataclass(frozen=True, slots=True)
class UncoveredTime:
    """The longest stretches in ms. Live: within one life. Dead and starting: within one uncovered interval."""

    live_ms_max: float = 0.0
    starting_ms_max: float = 0.0
    dead_ms_max: float = 0.0


def connected_ns(life: Life, requests: Sequence[Mapping[str, Any]]) -> int:
    """When its first private request reached the venue; its end when none did."""
    seen = (row["at_ns"] for row in requests if life.spawned_ns <= row["at_ns"] <= life.ended_ns)
    return min(seen, default=life.ended_ns)


def uncovered_time(truth: Mapping[str, Any], account: str, lives: Sequence[Life]) -> UncoveredTime:
    """How long positions stood without cover at the venue while it was reachable, by what the engine was."""
    live = starting = dead = 0
    away = [(row["start_ns"], row["end_ns"] or truth["at_ns"]) for row in truth["unreachable"]]
    starts = [connected_ns(life, truth["requests"]) for life in lives]
    for meter in truth["cover"].get(account, {}).values():
        for interval in meter["intervals"]:
            bare = (interval["start_ns"], interval["end_ns"] or truth["at_ns"])
            in_lives = [
                _overlap(bare, (at, life.ended_ns), away) for at, life in zip(starts, lives, strict=True)
            ]
            in_starts = [
                _overlap(bare, (life.spawned_ns, at), away) for at, life in zip(starts, lives, strict=True)
            ]
            whole = _overlap(bare, bare, away)
            live = max(live, *in_lives)
            starting = max(starting, sum(in_starts))
            dead = max(dead, whole - sum(in_lives) - sum(in_starts))
    return UncoveredTime(live / 1e6, starting / 1e6, dead / 1e6)


def _overlap(one: Span, other: Span, away: Sequence[Span]) -> int:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    if end <= start:
        return 0
    return end - start - sum(max(0, min(end, b) - max(start, a)) for a, b in away)


def cover_in_time(truth: Mapping[str, Any], account: str, lives: Sequence[Life], cover_s: float) -> Verdict:
    """O3 for an engine that was killed."""
    if not truth["executions"]:
        return Verdict("O3", None, "nothing was executed")
    if truth["requests_forgotten"]:
        return Verdict(
            "O3", False, "the venue has forgotten requests: nobody knows when the engine connected"
        )
    time = uncovered_time(truth, account, lives)
    return Verdict(
        "O3",
        time.live_ms_max <= cover_s * 1000,
        f"longest uncovered with a living engine {time.live_ms_max:.0f} ms of {cover_s * 1000:.0f}"
        f" (starting {time.starting_ms_max:.0f}, dead {time.dead_ms_max:.0f})",
    )


def entries_of_the_halted(truth: Mapping[str, Any], lives: Sequence[Life]) -> list[str]:
    """Orders that came to the venue in a life that was halted from its start, and are no protection."""
    halted = [life for life in lives if life.halted]
    return [
        order["order_id"]
        for order in truth["orders"].values()
        if any(life.spawned_ns <= order["opened_ns"] <= life.ended_ns for life in halted)
        and order["side"] == "buy"
    ]


def entries_before_cover(truth: Mapping[str, Any], account: str, lives: Sequence[Life]) -> list[str]:
    """T036: entries that a life sent in a pair that it found uncovered, before the pair was covered again."""
    found: list[str] = []
    for symbol, meter in truth["cover"].get(account, {}).items():
        for interval in meter["intervals"]:
            for life in lives:
                if not interval["start_ns"] < life.spawned_ns < (interval["end_ns"] or truth["at_ns"]):
                    continue
                until = min(life.ended_ns, interval["end_ns"] or truth["at_ns"])
                found += [
                    order["order_id"]
                    for order in truth["orders"].values()
                    if order["symbol"] == symbol
                    and order["side"] == "buy"
                    and life.spawned_ns <= order["opened_ns"] < until
                ]
    return found
