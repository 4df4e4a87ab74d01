"""Orders on our account that nobody here sent: recorded, never dropped, and a reason to stop when they execute."""

from collections import OrderedDict
from typing import Final

import msgspec

from allstop.actors.order_gate import GateBoard
from allstop.actors.reports import OrderReport

# Answered from memory: an account that is also traded by hand has dozens. All are in the journal.
EXTERNALS_MAX: Final = 10_000


class ClaimExternal(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: this external order is ours from here on. Answered with True once durable, or Refused."""

    order_id: str
    by: str
    reason: str


class GetExternals(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: answered with {order id: OrderReport} of the external orders that nobody claimed."""


class ExternalOrders:
    """What the venue told of them. One that was executed freezes its instrument until somebody claims it."""

    def __init__(self, gate: GateBoard) -> None:
        self._gate = gate
        self._reports: OrderedDict[str, OrderReport] = OrderedDict()
        self._claimed: set[str] = set()

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._reports

    def unclaimed(self) -> dict[str, OrderReport]:
        return {o: report for o, report in self._reports.items() if o not in self._claimed}

    def told(self, report: OrderReport) -> OrderReport | None:
        """Takes a report in. What is now known of the order, where that is news, else None."""
        before = self._reports.get(report.order_id)
        merged = report if before is None else before.merged(report)
        self._reports[report.order_id] = merged
        if len(self._reports) > EXTERNALS_MAX:
            self._reports.popitem(last=False)
        executed = bool(merged.cum_qty) or merged.fill is not None
        if executed and merged.pair is not None and report.order_id not in self._claimed:
            reason = f"external order {report.order_id} was executed"
            self._gate.freeze(merged.pair, _by(report.order_id), reason)
        return merged if before is None or told_more(before, merged) else None

    def claim(self, order_id: str) -> None:
        """The order is somebody's: its instrument is free again, as far as this order is concerned."""
        self._claimed.add(order_id)
        report = self._reports.get(order_id)
        if report is not None and report.pair is not None:
            self._gate.thaw(report.pair, _by(order_id))


def told_more(before: OrderReport, now: OrderReport) -> bool:
    """Whether something other than the time and the execution it came with has changed."""
    ignored = ("fill", "ts_ns")
    return any(getattr(before, f) != getattr(now, f) for f in now.__struct_fields__ if f not in ignored)


def _by(order_id: str) -> str:
    return f"external:{order_id}"
