"""O6: everything that the venue saw is in a journal whose hash chain holds, and each intent was there before its order.

An order at the venue answers to a durable intent; a promise given to a strategy, too. When nothing is under way any
more, every execution stands in the journal, and every end of an order that a tracker has. Only what happened when the
account's journal could not be written any more is excused, and no longer than until its next row.

A chain that was broken is set aside by the next process. What it puts in its place must be a chain that says so first, and
carry every row that nobody damaged, in order.
"""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from allstop.supervisors.oracles.chains import ChainReader
from allstop.supervisors.oracles.evidence import Evidence, Journal, Row, RowLike
from allstop.supervisors.oracles.facts import (
    ChainReplaced,
    DiskFailed,
    JournalGaveUp,
    KeyRevoked,
    OrderAccepted,
    OrderEnded,
    OrderExecuted,
    Promised,
    Recorded,
    RowDamaged,
    RowDurable,
    Settled,
)
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

ZERO = Decimal(0)
TRADE = "trade"  # the role of the key with which trackers ask
ASKED_WITHIN_NS = 10_000_000_000  # an order older than that was answered, or looked up
TRACKED = "orders"  # who works an intent when its record does not say otherwise
EMERGENCY_ID = re.compile(r"^g[0-9a-f]{16}$")  # what a guardian may place when no journal can be written


class Executed:
    """What each order at the venue has executed, as journals tell it: the larger of its fills, each `exec_id` once,
    and of the cumulative quantity in any report of it (queries tell sums and no single fills)."""

    def __init__(self) -> None:
        self._fills: dict[str, dict[str, Decimal]] = {}
        self._sums: dict[str, Decimal] = {}

    def take(self, kind: str, record: Mapping[str, Any]) -> None:
        """Takes in one record."""
        if kind not in ("fill", "report", "stop", "external"):
            return
        report = record.get("report") or {}
        for fill in filter(None, (record.get("fill"), report.get("fill"))):
            self._fills.setdefault(fill["order_id"], {})[fill["exec_id"]] = Decimal(fill["qty"])
        if report.get("cum_qty") is not None:
            order_id = report["order_id"]
            self._sums[order_id] = max(self._sums.get(order_id, ZERO), Decimal(report["cum_qty"]))

    def of(self, order_id: str) -> Decimal:
        fills = sum(self._fills.get(order_id, {}).values(), ZERO)
        return max(fills, self._sums.get(order_id, ZERO))

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._fills or order_id in self._sums

    def every(self) -> dict[str, Decimal]:
        return {order_id: self.of(order_id) for order_id in {*self._fills, *self._sums}}


class JournalComplete(Oracle):
    name: ClassVar[str] = "O6"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._chains: dict[str, ChainReader] = {}
        self._broken_chains: set[str] = set()
        self._rows = 0
        self._intents: dict[str, int] = {}  # durable -> the time in its row
        self._tracked: set[str] = set()
        self._commands: set[str] = set()
        self._ended: set[str] = set()
        self._emergency: set[str] = set()
        self._disk_failed = False
        self._revoked_ns: int | None = None
        self._executed = Executed()
        self._orders: dict[str, OrderAccepted] = {}
        self._order_of: dict[str, str] = {}
        self._filled: dict[str, Decimal] = {}
        self._closed: set[str] = set()
        self._kept: dict[str, list[RowLike]] = {}
        self._damaged: dict[bytes, RowLike] = {}  # by their hash
        self._lost_ns: dict[str, int] = {}  # chains that nobody can write -> since when
        self._happened_ns: dict[str, int] = {}  # the last execution or the end of each order
        self._in_flight_ns = int(terms.in_flight_s * 1e9)
        self._promised: set[str] = set()
        self._ours = 0

    def takes(self) -> Takes:
        return {
            RowDurable: self._durable,
            RowDamaged: self._was_damaged,
            ChainReplaced: self._replaced,
            Recorded: self._recorded,
            OrderAccepted: self._accepted,
            OrderExecuted: self._was_executed,
            OrderEnded: self._order_ended,
            Promised: self._was_promised,
            DiskFailed: self._failed,
            KeyRevoked: self._revoked,
            JournalGaveUp: self._gave_up,
            Settled: self._settled,
        }

    def found(self) -> str | None:
        if not self._chains:
            return None
        return f"{self._rows} rows, {self._ours} orders with every execution"

    def nothing(self) -> str:
        return "no journal"

    # -- as it happens ---------------------------------------------------------------------------------------

    def _durable(self, fact: RowDurable) -> None:
        self._rows += 1
        self._lost_ns.pop(fact.chain, None)
        reader = self._chains.get(fact.chain)
        if reader is None:
            reader = self._chains[fact.chain] = ChainReader(fact.chain)
        if fact.chain not in self._broken_chains and (why := reader.fault(fact.row)):
            self._broken_chains.add(fact.chain)
            self.broken(fact.at_ns, f"chain {fact.chain}: {why}")
        self._kept.setdefault(fact.chain, []).append(fact.row)

    def _was_damaged(self, fact: RowDamaged) -> None:
        self._damaged[fact.row.hash] = fact.row

    def _replaced(self, fact: ChainReplaced) -> None:
        """The oracle remembers what was written: nothing that it was told is told again by the rows that were carried."""
        reader = self._chains[fact.chain] = ChainReader(fact.chain)
        self._broken_chains.discard(fact.chain)
        if why := next(filter(None, map(reader.fault, fact.rows)), ""):
            self.broken(fact.at_ns, f"the chain that takes the place of {fact.file}: {why}")
        head = fact.rows[0] if fact.rows else None
        if (
            head is None
            or head.kind != "journal.set_aside"
            or json.loads(head.body)["r"]["file"] != fact.file
        ):
            self.broken(fact.at_ns, f"chain {fact.chain} does not begin with where {fact.file} is")
        sound = [_said(row) for row in self._kept.get(fact.chain, ()) if row.hash not in self._damaged]
        carried = iter([_said(row) for row in fact.rows])
        lost = [said for said in sound if said not in carried]  # each after the one before: in order
        if lost:
            self.broken(
                fact.at_ns, f"{len(lost)} sound rows of {fact.file} were not carried over: {lost[0][:2]}"
            )
        self._kept[fact.chain] = list(fact.rows)

    def _recorded(self, fact: Recorded) -> None:
        match fact.kind:
            case "intent":
                self._intents.setdefault(fact.key, fact.ts_ns)
                if fact.record.get("owner", TRACKED) == TRACKED:
                    self._tracked.add(fact.key)
                self._came_before(fact)
            case "command":
                self._commands.add(fact.key)
            case "terminal":
                self._ended.add(fact.key)
            case "emergency":
                self._emergency.add(fact.key)
            case _:
                self._executed.take(fact.kind, fact.record)

    def _came_before(self, fact: Recorded) -> None:
        """Where facts come without an order only times tell: venue's first, then the rows."""
        order = self._orders.get(self._order_of.get(fact.key, ""))
        if not self.terms.ordered and order is not None and fact.ts_ns > order.at_ns:
            self.broken(order.at_ns, f"{fact.key} reached the venue before it was committed")

    def _accepted(self, fact: OrderAccepted) -> None:
        self._orders[fact.order_id] = fact
        if fact.cl_ord_id is not None:
            self._order_of[fact.cl_ord_id] = fact.order_id
        if not self.terms.ordered or fact.parent_id is not None or fact.by_hand:
            return
        if fact.cl_ord_id is None:
            self.broken(fact.at_ns, f"{fact.order_id} came to the venue without a client id")
        elif fact.cl_ord_id not in self._intents and not self._in_emergency(fact.cl_ord_id):
            self.broken(fact.at_ns, f"{fact.cl_ord_id} reached the venue before it was committed")

    def _in_emergency(self, client_id: str) -> bool:
        return self._disk_failed and EMERGENCY_ID.match(client_id) is not None

    def _was_executed(self, fact: OrderExecuted) -> None:
        self._filled[fact.order_id] = self._filled.get(fact.order_id, ZERO) + fact.qty
        self._happened_ns[fact.order_id] = fact.at_ns

    def _order_ended(self, fact: OrderEnded) -> None:
        self._closed.add(fact.order_id)
        self._happened_ns[fact.order_id] = fact.at_ns

    def _was_promised(self, fact: Promised) -> None:
        self._promised.add(fact.intent_id)
        if self.terms.ordered and fact.intent_id not in self._intents:
            self.broken(fact.at_ns, f"{fact.intent_id} was promised before it was committed")

    def _failed(self, fact: DiskFailed) -> None:
        self._disk_failed = True
        self._lost_ns.setdefault(fact.chain, fact.at_ns)

    def _gave_up(self, fact: JournalGaveUp) -> None:
        self._disk_failed = True  # what protects goes on by the same emergency rule
        self._lost_ns.setdefault(fact.chain, fact.at_ns)

    def _unwritable(self, order_id: str | None) -> bool:
        """Whether what happened to this order last, happened when nobody could write it down; it may have been on its
        way to the journal when that was lost."""
        order = self._orders.get(order_id or "")
        if order is None:
            return False
        lost_ns = [at for chain, at in self._lost_ns.items() if chain.rpartition(".")[2] == order.account]
        return bool(lost_ns) and self._happened_ns.get(order.order_id, 0) >= min(lost_ns) - self._in_flight_ns

    def _revoked(self, fact: KeyRevoked) -> None:
        if fact.role == TRADE:
            self._revoked_ns = fact.at_ns

    def _unaskable(self, intent: str) -> bool:
        """Whether this order was on its way when the key was revoked with which its tracker asks: what became of it
        stays unknown, and the engine says no more of it than that."""
        revoked_ns = self._revoked_ns
        return revoked_ns is not None and self._intents[intent] >= revoked_ns - ASKED_WITHIN_NS

    # -- when it is over ---------------------------------------------------------------------------------------

    def finish(self, at_ns: int) -> None:
        if not self.terms.ordered and self._chains:
            self._account(at_ns)

    def _account(self, at_ns: int) -> None:
        """Is everything accounted for? Where facts come in order, only a settled run can be asked."""
        lost = [intent for intent in self._promised if intent not in self._intents]
        lost += [client_id for client_id in self._order_of if self._unexplained(client_id)]
        lost += self.in_doubt
        if lost := list(dict.fromkeys(lost)):
            self.broken(at_ns, f"not accounted for: {sorted(lost)[:5]}")
        self._ours = 0
        for order_id, order in self._orders.items():
            if not self._is_ours(order):
                continue
            self._ours += 1
            known, real = self._executed.of(order_id), self._filled.get(order_id, ZERO)
            if known != real and not self._unwritable(order_id):
                self.broken(at_ns, f"{order_id} executed {real} at the venue and {known} in the journal")

    @property
    def in_doubt(self) -> list[str]:
        """The durable intents that a strategy was promised and of which nobody knows yet what became: the journal has no
        end for them, and the venue no order. Whoever says that a run is settled waits for them first."""
        return [
            intent
            for intent in self._promised
            if intent in self._intents
            and intent not in self._ended
            and intent not in self._order_of
            and not self._unaskable(intent)
        ]

    def _unexplained(self, client_id: str) -> bool:
        known = client_id in self._intents or client_id in self._commands or client_id in self._emergency
        return not known and not self._in_emergency(client_id)

    def _is_ours(self, order: OrderAccepted) -> bool:
        if {order.cl_ord_id, order.order_id} & self._intents.keys() or order.order_id in self._executed:
            return True
        parent = self._orders.get(order.parent_id or "")
        return parent is not None and self._is_ours(parent)

    def _settled(self, fact: Settled) -> None:
        if self.terms.ordered and self._chains:
            self._account(fact.at_ns)
        forgotten = {
            row.key for row in self._damaged.values() if row.kind == "intent"
        }  # nobody tracks them any more
        for intent in sorted(self._tracked - self._ended - forgotten):
            order_id = self._order_of.get(intent)
            if order_id in self._closed and not self._unwritable(order_id):
                self.broken(fact.at_ns, f"{intent} is over at the venue ({order_id}) and open in the journal")


def _said(row: RowLike) -> tuple[str, str, bytes]:
    return row.kind, row.key, row.body


def lost_orders(evidence: Evidence) -> tuple[str, ...]:
    """Intents that were promised and of which the journal or the venue knows nothing conclusive, and orders at the
    venue that no journal knows."""
    intents = {row.key for journal in evidence.journals for row in journal.of("intent")}
    commands = {row.key for journal in evidence.journals for row in journal.of("command")}
    ended = {row.key for journal in evidence.journals for row in journal.of("terminal")}
    at_venue = {
        order["cl_ord_id"]: order for order in evidence.truth["orders"].values() if order["cl_ord_id"]
    }
    lost = [intent for intent in evidence.submitted if intent not in intents]
    lost += [cl_ord_id for cl_ord_id in at_venue if cl_ord_id not in intents | commands]
    lost += [
        intent
        for intent in evidence.submitted
        if intent in intents and intent not in ended and intent not in at_venue
    ]
    return tuple(dict.fromkeys(lost))


def executed_by_journal(journals: Sequence[Journal]) -> dict[str, Decimal]:
    """What each order at the venue has executed, as the journals tell it."""
    executed = Executed()
    for row in (row for journal in journals for row in journal.rows):
        executed.take(row.kind, _record(row))
    return executed.every()


def _record(row: Row) -> Mapping[str, Any]:
    return row.record if row.kind in ("fill", "report", "stop", "external") else {}
