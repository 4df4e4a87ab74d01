"""What a demo run says of itself: figures from the venue's truth, the journals and the events, and the oracles' verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from allstop.actors.events import BreakerChanged, ChildStarted, ChildTerminated, Event, GaveUp, LevelChanged
from allstop.supervisors.oracles import Evidence, Verdict, lost_orders, uncovered_ms_max


class Recovery(msgspec.Struct, frozen=True):
    """Milliseconds from an injury to the first new order at the venue after it; null when there was no injury."""

    p50: float | None
    p99: float | None
    max: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of `allstop demo --json`."""

    seed: int
    duration_s: float
    frames_in: int
    checksums_ok: int
    checksums_bad: int
    orders_submitted: int
    executions: int
    duplicates: int
    lost_orders: int
    uncovered_ms_max: float
    crashes: int
    restarts: int
    escalations: int
    level_changes: int
    halt_proven_ms: float | None
    recovery_ms: Recovery
    oracles: dict[str, bool | None]

    @property
    def broken(self) -> list[str]:
        return [name for name, holds in self.oracles.items() if holds is False]


class EventCount:
    """Counts what a system says, from outside of it."""

    def __init__(self) -> None:
        self.crashes = self.restarts = self.escalations = self.level_changes = 0
        self.restarts_of: dict[str, int] = {}
        self.breaker_of: dict[str, str] = {}  # of pausing supervisors: closed, open, half_open, latched

    def __call__(self, event: Event) -> None:
        match event:
            case ChildTerminated(clean=False):
                self.crashes += 1
            case ChildStarted() if event.attempt > 0:
                self.restarts += 1
                path = f"{event.path.rstrip('/')}/{event.child}"
                self.restarts_of[path] = self.restarts_of.get(path, 0) + 1
            case GaveUp():
                self.escalations += 1
            case LevelChanged():
                self.level_changes += 1
            case BreakerChanged():
                self.breaker_of[event.path] = event.state
            case _:
                return


def recovery(injuries_ns: Sequence[int], truth: Mapping[str, Any], ours: Sequence[str]) -> Recovery:
    """From each injury to the first order of ours that the venue took after it, in ms. All times are one machine's."""
    known = set(ours)
    opened = sorted(order["opened_ns"] for order in truth["orders"].values() if order["cl_ord_id"] in known)
    waits: list[float] = []
    for at_ns in injuries_ns:
        after = next((ns for ns in opened if ns > at_ns), None)
        if after is not None:
            waits.append((after - at_ns) / 1e6)
    if not waits:
        return Recovery(None, None, None)
    waits.sort()
    return Recovery(*(round(waits[min(len(waits) - 1, int(len(waits) * q))], 1) for q in (0.5, 0.99, 1.0)))


def halt_proven_ms(evidence: Evidence, latched_at_ns: int) -> float | None:
    """From the latch on disk to the proof in the account's journal; None without a proof after that latch."""
    proofs = [
        row.ts_ns
        for journal in evidence.journals
        for row in journal.of("halt.proof")
        if row.ts_ns >= latched_at_ns
    ]
    return round((min(proofs) - latched_at_ns) / 1e6, 1) if proofs else None


def unprotected_open(truth: Mapping[str, Any]) -> list[str]:
    """Open orders at the venue that are no protection, by the venue's own fields: what a proven halt leaves none of."""
    return [
        order["order_id"]
        for order in truth["orders"].values()
        if order["open"]
        and not (order["order_type"].startswith(("stop-loss", "trailing-stop")) and order["side"] == "sell")
    ]


def make_report(
    *, seed: int, duration_s: float, evidence: Evidence, verdicts: Sequence[Verdict], events: EventCount, frames_in: int,
    checksums: tuple[int, int], injuries_ns: Sequence[int], latched_at_ns: int,
) -> Report:  # fmt: skip
    truth = evidence.truth
    return Report(
        seed=seed,
        duration_s=round(duration_s, 2),
        frames_in=frames_in,
        checksums_ok=checksums[0],
        checksums_bad=checksums[1],
        orders_submitted=len(evidence.submitted),
        executions=len(truth["executions"]),
        duplicates=sum(len(ids) - 1 for ids in truth["duplicates"].values()),
        lost_orders=len(lost_orders(evidence)),
        uncovered_ms_max=round(uncovered_ms_max(evidence), 1),
        crashes=events.crashes,
        restarts=events.restarts,
        escalations=events.escalations,
        level_changes=events.level_changes,
        halt_proven_ms=halt_proven_ms(evidence, latched_at_ns),
        recovery_ms=recovery(injuries_ns, truth, evidence.submitted),
        oracles={verdict.oracle: verdict.holds for verdict in verdicts},
    )
