"""The oracles O1 to O8: what must hold after any run, decided from evidence that the engine did not make.

The venue's truth is the venue's own account of what happened. The journal is read here row by row from its file, and
its hash chain is computed again from the written definition, not with the code that wrote it. What a strategy was
told comes from the strategy. The oracles import nothing of the order path.

A verdict is True, False, or None where the run gave no occasion (an oracle without evidence has proven nothing).
"""

import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

CLOSED = {"FILLED": "filled", "CANCELED": "canceled", "EXPIRED": "expired"}
NOTHING_AT_VENUE = {"NOT_PLACED", "REJECTED"}


@dataclass(frozen=True, slots=True)
class Row:
    """One journal row as it stands in the file."""

    seq: int
    ts_ns: int
    epoch: int
    kind: str
    key: str
    body: bytes
    prev_hash: bytes
    hash: bytes

    @property
    def record(self) -> dict[str, Any]:
        """The record's own fields."""
        return json.loads(self.body)["r"]


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal file, read without the code that wrote it."""

    chain: str
    rows: tuple[Row, ...]

    def of(self, kind: str) -> Iterable[Row]:
        return (row for row in self.rows if row.kind == kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run left behind."""

    truth: Mapping[str, Any]
    account: str  # the venue's name of the account
    journals: Sequence[Journal]
    submitted: Sequence[str]  # ids of the intents whose `submit` returned an order
    refused: Sequence[str] = ()  # ids that `submit` refused: they must be nowhere
    positions: Mapping[str, Decimal] | None = None  # what the engine believes, by pair
    frozen: Sequence[str] = ()  # pairs that it reports as uncertain
    cover_s: float = 2.0
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])  # everything written, by its name
    secrets: Sequence[str] = ()
    leaked: Sequence[str] | None = None  # actors and tasks left after shutdown; None: not looked at


@dataclass(frozen=True, slots=True)
class Verdict:
    oracle: str
    holds: bool | None
    why: str = ""


def read_journal(path: Path) -> Journal:
    """The rows of a journal file, in order. Safe beside a running writer."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        (chain,) = connection.execute("SELECT value FROM about WHERE name = 'chain'").fetchone()
        query = "SELECT seq, ts_ns, epoch, kind, key, body, prev_hash, hash FROM record ORDER BY seq"
        return Journal(chain, tuple(Row(*values) for values in connection.execute(query)))


def judge(evidence: Evidence) -> tuple[Verdict, ...]:
    """All eight, in order."""
    return tuple(
        Verdict(name, *check(evidence))
        for name, check in (
            ("O1", one_execution_path_per_intent),
            ("O2", positions_agree),
            ("O3", cover_in_time),
            ("O4", terminal_only_on_evidence),
            ("O5", no_limit_broken),
            ("O6", journal_complete_and_chained),
            ("O7", no_secret_shown),
            ("O8", nothing_left_running),
        )
    )


Finding = tuple[bool | None, str]


def one_execution_path_per_intent(evidence: Evidence) -> Finding:
    """O1: the venue accepted at most one order per client id, and none for a refused intent."""
    doubled = evidence.truth["duplicates"]
    if doubled:
        return False, f"the venue accepted more than one order for {sorted(doubled)}"
    sent = {order["cl_ord_id"] for order in evidence.truth["orders"].values()}
    if ghosts := sorted(sent & set(evidence.refused)):
        return False, f"refused, and yet at the venue: {ghosts}"
    return (
        (True, f"{len(sent - {None})} client ids, each once")
        if sent - {None}
        else (None, "no order reached the venue")
    )


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


def positions_agree(evidence: Evidence) -> Finding:
    """O2: the position that the engine believes is the venue's, or the instrument is frozen and reported."""
    if evidence.positions is None:
        return None, "the engine's positions were not asked"
    venue = {
        pair: Decimal(qty) for pair, qty in evidence.truth["positions"].get(evidence.account, {}).items()
    }
    wrong = [
        f"{pair}: engine {evidence.positions.get(pair, Decimal(0))}, venue {venue.get(pair, Decimal(0))}"
        for pair in sorted({*venue, *evidence.positions})
        if evidence.positions.get(pair, Decimal(0)) != venue.get(pair, Decimal(0))
        and pair not in evidence.frozen
    ]
    return (False, "; ".join(wrong)) if wrong else (True, f"{len(venue)} pairs agree")


def uncovered_ms_max(evidence: Evidence) -> float:
    """The longest time that a position stood without enough protection while the venue could be reached."""
    meters = evidence.truth["cover"].get(evidence.account, {})
    return max((meter["uncovered_ms_max"] for meter in meters.values()), default=0.0)


def cover_in_time(evidence: Evidence) -> Finding:
    """O3: from each execution until full cover or a flatten in flight, at most `cover_s` while the venue answered."""
    if not evidence.truth["executions"]:
        return None, "nothing was executed"
    worst = uncovered_ms_max(evidence)
    return (
        worst <= evidence.cover_s * 1000,
        f"longest uncovered {worst:.0f} ms of {evidence.cover_s * 1000:.0f}",
    )


def terminal_only_on_evidence(evidence: Evidence) -> Finding:
    """O4: each terminal state in the journal carries evidence, and the venue's truth says the same."""
    at_venue = {
        order["cl_ord_id"]: order for order in evidence.truth["orders"].values() if order["cl_ord_id"]
    }
    checked = 0
    for journal in evidence.journals:
        for row in journal.of("terminal"):
            checked += 1
            state, order = str(row.record["state"]).upper(), at_venue.get(row.key)
            if not row.record.get("evidence"):
                return False, f"{row.key} is {state} without evidence (row {row.seq})"
            if state in NOTHING_AT_VENUE and order is not None:
                return False, f"{row.key} is {state} in the journal and {order['status']} at the venue"
            if state in CLOSED and (order is None or order["status"] != CLOSED[state]):
                return (
                    False,
                    f"{row.key} is {state} in the journal and {order['status'] if order else 'unknown'} at the venue",
                )
    return (True, f"{checked} terminal states confirmed") if checked else (None, "no order ended")


def no_limit_broken(evidence: Evidence) -> Finding:
    """O5: no counter, connect limit or nonce order of the venue was broken, as the venue measured it."""
    broken = evidence.truth["limits_broken"]
    if broken:
        return False, "; ".join(f"{one['kind']} {one['detail']}" for one in broken[:5])
    return True, f"{len(evidence.truth['requests'])} requests within every limit"


def journal_complete_and_chained(evidence: Evidence) -> Finding:
    """O6: every order and every step that the venue saw is in a journal whose hash chain holds, intent before order."""
    if not evidence.journals:
        return None, "no journal"
    for journal in evidence.journals:
        if fault := chain_fault(journal):
            return False, f"chain {journal.chain}: {fault}"
    if lost := lost_orders(evidence):
        return False, f"not accounted for: {list(lost)[:5]}"
    committed = {row.key: row.ts_ns for journal in evidence.journals for row in journal.of("intent")}
    for order in evidence.truth["orders"].values():
        since = committed.get(order["cl_ord_id"])
        if since is not None and since > order["opened_ns"]:
            return False, f"{order['cl_ord_id']} reached the venue before it was committed"
    told = executed_by_journal(evidence.journals)
    ours = [
        order
        for order in evidence.truth["orders"].values()
        if {order["cl_ord_id"], order["order_id"]} & {*committed, *told}
    ]
    for order in ours:
        known = told.get(order["order_id"], Decimal(0))
        if known != Decimal(order["filled"]):
            return (
                False,
                f"{order['order_id']} executed {order['filled']} at the venue and {known} in the journal",
            )
    return (
        True,
        f"{sum(len(journal.rows) for journal in evidence.journals)} rows, {len(ours)} orders with every execution",
    )


def executed_by_journal(journals: Sequence[Journal]) -> dict[str, Decimal]:
    """What each order at the venue has executed, as the journals tell it: the larger of its fills, each `exec_id`
    once, and of the cumulative quantity in any report of it (queries tell sums and no single fills)."""
    fills: dict[str, dict[str, Decimal]] = {}
    sums: dict[str, Decimal] = {}
    for row in (row for journal in journals for row in journal.rows):
        record = json.loads(row.body).get("r", {}) if row.kind in ("fill", "report", "stop") else {}
        report = record.get("report") or {}
        for fill in filter(None, (record.get("fill"), report.get("fill"))):
            fills.setdefault(fill["order_id"], {})[fill["exec_id"]] = Decimal(fill["qty"])
        if report.get("cum_qty") is not None:
            order_id = report["order_id"]
            sums[order_id] = max(sums.get(order_id, Decimal(0)), Decimal(report["cum_qty"]))
    return {
        order_id: max(sum(fills.get(order_id, {}).values(), Decimal(0)), sums.get(order_id, Decimal(0)))
        for order_id in {*fills, *sums}
    }


_HEAD = struct.Struct(">QqQIII")


def chain_fault(journal: Journal) -> str:
    """Why the chain does not hold, or "". Each hash is SHA-256 over the hash before, the row's numbers and lengths
    (big-endian: seq, ts_ns, epoch, len kind, len key, len body), kind, key and body."""
    before = hashlib.sha256(b"allstop journal 1\n" + journal.chain.encode()).digest()
    for expected, row in enumerate(journal.rows, start=1):
        kind, key = row.kind.encode(), row.key.encode()
        head = _HEAD.pack(row.seq, row.ts_ns, row.epoch, len(kind), len(key), len(row.body))
        if row.seq != expected:
            return f"row {expected} is missing"
        if (
            row.prev_hash != before
            or row.hash != hashlib.sha256(before + head + kind + key + row.body).digest()
        ):
            return f"row {row.seq} does not follow"
        before = row.hash
    return ""


def no_secret_shown(evidence: Evidence) -> Finding:
    """O7: no secret stands in anything that was written."""
    if not evidence.outputs or not evidence.secrets:
        return None, "nothing to look through"
    shown = [
        name for name, text in evidence.outputs.items() if any(secret in text for secret in evidence.secrets)
    ]
    return (
        (False, f"a secret stands in {shown}")
        if shown
        else (True, f"{len(evidence.outputs)} outputs searched")
    )


def nothing_left_running(evidence: Evidence) -> Finding:
    """O8: no actor, task or thread of the engine is left after its shutdown."""
    if evidence.leaked is None:
        return None, "not looked at"
    return (False, f"left: {list(evidence.leaked)[:5]}") if evidence.leaked else (True, "nothing left")
