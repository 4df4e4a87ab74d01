"""The oracles after a run: its evidence is told to a watch as facts, the venue's first and in their order, then the rest.

Between the venue's clock and the engine's there may be a difference, so the order of rows among the venue's facts is
not relied on; what needs it compares the times themselves.
"""

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

from allstop.supervisors.oracles.evidence import Evidence, Verdict
from allstop.supervisors.oracles.facts import (
    Asked,
    Barred,
    Believed,
    ConnectTried,
    Denied,
    Ended,
    Exposed,
    Fact,
    FaultsOver,
    Freed,
    LimitBreach,
    OrderAccepted,
    OrderEnded,
    OrderExecuted,
    PositionMoved,
    Promised,
    RowDurable,
    Settled,
    Written,
)
from allstop.supervisors.oracles.oracle import Oracle, Terms
from allstop.supervisors.oracles.watch import EIGHT, Watch

ZERO = Decimal(0)


def judge(evidence: Evidence, oracles: Iterable[type[Oracle]] = EIGHT) -> tuple[Verdict, ...]:
    """The verdicts of these oracles on a run that is over, in order."""
    watch = judged(evidence, oracles)
    return watch.finish(watch.at_ns)


def judged(evidence: Evidence, oracles: Iterable[type[Oracle]] = EIGHT) -> Watch:
    """A watch that has been told all of it and is not finished yet."""
    terms = Terms(
        cover_s=evidence.cover_s,
        recover_s=evidence.recover_s,
        secrets=tuple(evidence.secrets),
        account=evidence.account,
        ordered=False,
    )
    watch = Watch(terms, oracles=oracles)
    facts = [*venue_facts(evidence.truth, evidence.external), *world_facts(evidence)]
    for fact in sorted(facts, key=lambda fact: fact.at_ns):
        watch.pass_to(fact.at_ns)
        watch.see(fact)
    watch.pass_to(int(evidence.truth.get("at_ns", 0)))
    for fact in engine_facts(evidence, watch.at_ns):
        watch.see(fact)
    return watch


def venue_facts(truth: Any, by_hand: Collection[str] = ()) -> Iterable[Fact]:
    """What the venue says happened; `by_hand`: the orders that somebody made past the engine. Facts of one moment come in the order in which they can have happened."""
    for order in truth["orders"].values():
        yield from _order_facts(order, by_hand=order["order_id"] in by_hand)
    at_ns = int(truth.get("at_ns", 0))
    for account, nets in truth["positions"].items():
        for pair, net in nets.items():
            yield PositionMoved(at_ns, account, pair, Decimal(net))
    for account, meters in truth["cover"].items():
        for pair, meter in meters.items():
            for interval in meter["intervals"]:
                yield Exposed(interval["start_ns"], account, pair, Decimal(interval["qty_max"]))
                if interval["end_ns"] is not None:
                    yield Exposed(interval["end_ns"], account, pair, ZERO)
    for number, away in enumerate(truth.get("unreachable", ())):
        yield Barred(away["start_ns"], f"venue {number}")
        if away["end_ns"] is not None:
            yield Freed(away["end_ns"], f"venue {number}")
    for broken in truth["limits_broken"]:
        yield LimitBreach(int(broken.get("at_ns", 0)), broken["kind"], broken["detail"])
    for request in truth["requests"]:
        yield asked(request)
    for connect in truth.get("connections", ()):
        yield ConnectTried(connect["at_ns"], connect["ip"], bool(connect["refused"]))


def asked(request: Any) -> Asked:
    """A request as the venue wrote it down."""
    return Asked(
        int(request.get("at_ns", 0)),
        request["method"],
        str(request.get("via", "")),
        account=str(request.get("account") or ""),
        key=str(request.get("key") or ""),
        nonce=str(request.get("nonce") or ""),
        cl_ord_id=request.get("cl_ord_id"),
        error=request.get("error"),
    )


def _order_facts(order: Any, *, by_hand: bool) -> Iterable[Fact]:
    account, order_id = str(order.get("account", "")), order["order_id"]
    opened_ns = int(order["opened_ns"])
    yield OrderAccepted(
        opened_ns,
        account,
        order_id,
        order["cl_ord_id"],
        order.get("parent_id"),
        order.get("symbol", ""),
        order.get("side", ""),
        order.get("order_type", ""),
        by_hand=by_hand,
    )
    closed_ns = max(opened_ns, int(order.get("closed_ns") or 0))
    if Decimal(order["filled"]):
        yield OrderExecuted(
            closed_ns,
            account,
            order_id,
            order.get("symbol", ""),
            order.get("side", ""),
            Decimal(order["filled"]),
        )
    if not order["open"]:
        yield OrderEnded(closed_ns, order_id, order["status"])


def world_facts(evidence: Evidence) -> Iterable[Fact]:
    for number, bar in enumerate(evidence.bars):
        yield Barred(bar.start_ns, f"{bar.by} {number}", bar.anew)
        if bar.end_ns is not None:
            yield Freed(bar.end_ns, f"{bar.by} {number}")
    if evidence.faults_over_ns is not None:
        yield FaultsOver(evidence.faults_over_ns)


def engine_facts(evidence: Evidence, at_ns: int) -> Iterable[Fact]:
    """What the engine left behind: rows at the time that they carry, all else at the end."""
    for intent_id in evidence.refused:
        yield Denied(at_ns, intent_id)
    for journal in evidence.journals:
        for row in journal.rows:
            yield RowDurable(row.ts_ns, journal.chain, row)
    for intent_id in evidence.submitted:
        yield Promised(at_ns, intent_id)
    if evidence.positions is not None:
        yield Believed(at_ns, evidence.account, evidence.positions, tuple(evidence.frozen))
    for name, text in evidence.outputs.items():
        yield Written(at_ns, name, text)
    if evidence.settled:
        yield Settled(at_ns)
    if evidence.leaked is not None:
        yield Ended(at_ns, tuple(evidence.leaked))


def uncovered_ms_max(evidence: Evidence) -> float:
    """The longest time that a position stood without enough protection while the venue could be reached."""
    meters = evidence.truth["cover"].get(evidence.account, {})
    return max((meter["uncovered_ms_max"] for meter in meters.values()), default=0.0)
