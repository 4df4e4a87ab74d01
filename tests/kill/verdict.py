"""Judging a story of kills, from evidence that the engine cannot have touched afterwards. Pure.

O3 needs care here. While the engine is dead nobody covers, and no rule can say otherwise: the promise is that a fill
is covered by the venue's own conditional stop, and, where that is missing, within `cover_s` of every moment at which
a living engine is connected. So uncovered time is split by what the engine was:

    dead       killed and not started again yet
    starting   started, and not one private request of it reached the venue yet
    live       from that first request to its end; a halted engine counts as live

Only live time is judged, the longest stretch within one life. Not taken off: the rest of the start, a reconciliation.
Taken off is *barred* time: in which the venue's own counter of the guardian's key, added up here from the requests
that the venue saw and by its own table of costs, left no room for one more call. Kraken gives back one call a second,
and a guardian that is killed every few seconds may come to life on a counter that its earlier lives have filled.
Barred time is reported, and so is the longest live stretch with nothing taken off.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from allstop.actors.simulated.kraken.counters import TIERS, Tier
from allstop.actors.simulated.kraken.rest_private import CALLS
from allstop.supervisors.oracles import Row, Verdict

CEILING = 0.95  # of the counter: the rest is for what the venue counts a little later than we do
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
    unbarred_ms_max: float = 0.0  # the longest live stretch, less what the venue's counter barred of it
    starting_ms_max: float = 0.0
    dead_ms_max: float = 0.0


def connected_ns(life: Life, requests: Sequence[Mapping[str, Any]]) -> int:
    """When its first private request reached the venue; its end when none did."""
    seen = (row["at_ns"] for row in requests if life.spawned_ns <= row["at_ns"] <= life.ended_ns)
    return min(seen, default=life.ended_ns)


def uncovered_time(truth: Mapping[str, Any], account: str, lives: Sequence[Life]) -> UncoveredTime:
    """How long positions stood without cover at the venue while it was reachable, by what the engine was."""
    live = unbarred = starting = dead = 0
    away = merged([(row["start_ns"], row["end_ns"] or truth["at_ns"]) for row in truth["unreachable"]])
    closed = merged([*away, *barred(truth["requests"])])
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
            allowed = [
                _overlap(bare, (at, life.ended_ns), closed) for at, life in zip(starts, lives, strict=True)
            ]
            whole = _overlap(bare, bare, away)
            live, unbarred = max(live, *in_lives), max(unbarred, *allowed)
            starting = max(starting, sum(in_starts))
            dead = max(dead, whole - sum(in_lives) - sum(in_starts))
    return UncoveredTime(live / 1e6, unbarred / 1e6, starting / 1e6, dead / 1e6)


def barred(requests: Sequence[Mapping[str, Any]], role: str = "protect", tier: Tier = Tier.PRO) -> list[Span]:
    """When the venue's counter of the key of this role had no room for one more call."""
    limits = TIERS[tier]
    room = limits.rest_max * CEILING - 1
    spans: list[Span] = []
    level, at_ns = 0.0, 0
    for row in requests:
        if row.get("via") != "rest" or row.get("key") != role:
            continue
        level = max(0.0, level - (row["at_ns"] - at_ns) / 1e9 * limits.rest_decay) + CALLS[row["method"]].cost
        at_ns = row["at_ns"]
        if level > room:
            spans.append((at_ns, at_ns + int((level - room) / limits.rest_decay * 1e9)))
    return spans


# What the journal says last about an intent, and where between its steps (T102) a kill has caught it then.
_CAUGHT = {
    "intent": "journalled, not sent",
    "attempt": "sent or about to be",
    "outcome": "answered",
    "report": "reported",
    "fill": "filled",
    "stop": "with its stop",
}


def caught(rows: Sequence[Row], life: Life) -> Counter[str]:
    """How far the intents of one life had come when it was killed, by the account's journal; those that were over are
    left out."""
    last: dict[str, str] = {}
    for row in rows:
        if (row.kind == "intent" and row.ts_ns >= life.spawned_ns) or (
            row.key in last and (row.kind in _CAUGHT or row.kind == "terminal")
        ):
            last[row.key] = row.kind
    return Counter(_CAUGHT[kind] for kind in last.values() if kind in _CAUGHT)


def in_doubt(truth: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """The durable intents of which it is still being found out what became of them: their journal has no end for them,
    and the venue no order."""
    known = {row.key for row in rows if row.kind == "terminal"}
    known |= {order["cl_ord_id"] for order in truth["orders"].values()}
    return [row.key for row in rows if row.kind == "intent" and row.key not in known]


def merged(spans: Sequence[Span]) -> list[Span]:
    """The same time without overlaps, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


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
        time.unbarred_ms_max <= cover_s * 1000,
        f"longest uncovered with a living engine {time.unbarred_ms_max:.0f} ms of {cover_s * 1000:.0f}"
        f" ({time.live_ms_max:.0f} with what the key's counter barred, starting {time.starting_ms_max:.0f}, dead {time.dead_ms_max:.0f})",
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
                    and made_ns(order) >= life.spawned_ns
                ]
    return found


def made_ns(order: Mapping[str, Any]) -> int:
    """When the order's intent was made, by its own id (a UUID of version 7 begins with milliseconds); when it came to
    the venue where the id tells no time. An order that was on its way when its process was killed is of that life."""
    try:
        client_id = UUID(str(order.get("cl_ord_id")))
    except ValueError:
        return int(order["opened_ns"])
    return (client_id.int >> 80) * 1_000_000 if client_id.version == 7 else int(order["opened_ns"])
