"""All oracles at once, told what happens while it happens: a violation is reported at its time, not at the end.

`see` costs a table look-up and what the oracles that want the fact do with it; nothing is searched again. `judge` tells
a watch the same facts afterwards, so both give one verdict.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from allstop.supervisors.oracles.budgets import WithinBudget
from allstop.supervisors.oracles.cover import CoverInTime
from allstop.supervisors.oracles.endings import TerminalOnEvidence
from allstop.supervisors.oracles.evidence import Verdict
from allstop.supervisors.oracles.executions import OneExecutionPath
from allstop.supervisors.oracles.facts import Fact, Recorded, RowDurable
from allstop.supervisors.oracles.gates import EntriesProven
from allstop.supervisors.oracles.halts import HaltHolds
from allstop.supervisors.oracles.leftovers import NothingLeftRunning
from allstop.supervisors.oracles.limits import NoLimitBroken
from allstop.supervisors.oracles.oracle import Oracle, Terms, Violation
from allstop.supervisors.oracles.positions import PositionsAgree
from allstop.supervisors.oracles.records import JournalComplete
from allstop.supervisors.oracles.recovery import Recovers
from allstop.supervisors.oracles.secrecy import NoSecretShown
from allstop.supervisors.oracles.trials import TriedBeforeTrusted
from allstop.supervisors.oracles.writes import OneWriteAtATime

EIGHT: tuple[type[Oracle], ...] = (
    OneExecutionPath,
    PositionsAgree,
    CoverInTime,
    TerminalOnEvidence,
    NoLimitBroken,
    JournalComplete,
    NoSecretShown,
    NothingLeftRunning,
)
PROMISES: tuple[type[Oracle], ...] = (
    HaltHolds,
    WithinBudget,
    EntriesProven,
    OneWriteAtATime,
    TriedBeforeTrusted,
)  # beyond the eight: 6, 1, 7 and 5 of the design's ten
EVERY = (*EIGHT, *PROMISES, Recovers)


class Watch:
    """Feed it facts with `see`; `violations` grows, and `on_violation` is called, when a rule is broken."""

    def __init__(
        self,
        terms: Terms | None = None,
        *,
        on_violation: Callable[[Violation], None] | None = None,
        oracles: Iterable[type[Oracle]] = EVERY,
    ) -> None:
        self.terms = terms or Terms()
        self.violations: list[Violation] = []
        self.at_ns = 0
        self._on_violation = on_violation
        self._oracles = {kind.name: kind(self.terms) for kind in oracles}
        self._takers: dict[type[Any], list[Callable[[Any], None]]] = {}
        self._timed = [o for o in self._oracles.values() if type(o).passed is not Oracle.passed]
        for oracle in self._oracles.values():
            oracle.on_violation = self._violated
            for kind, take in oracle.takes().items():
                self._takers.setdefault(kind, []).append(take)

    def __getitem__(self, name: str) -> Oracle:
        """One of the oracles, by its name: O1 to O8, halt, budget, gate, writes, trial, liveness."""
        return self._oracles[name]

    def see(self, fact: Fact) -> None:
        """Something happened. Time passes up to it first."""
        if self.terms.ordered and fact.at_ns > self.at_ns:
            self.pass_to(fact.at_ns)
        for take in self._takers.get(type(fact), ()):
            take(fact)
        if type(fact) is RowDurable and (recorded := _recorded(fact)) is not None:
            for take in self._takers.get(Recorded, ()):
                take(recorded)

    def pass_to(self, at_ns: int) -> None:
        """Nothing happened up to this moment. What silence can break is looked at."""
        self.at_ns = max(self.at_ns, at_ns)
        for oracle in self._timed:
            oracle.passed(at_ns)

    def finish(self, at_ns: int) -> tuple[Verdict, ...]:
        """The run is over: the verdicts, in the order of the oracles. Violations that show only now are among them."""
        self.at_ns = max(self.at_ns, at_ns)
        for oracle in self._oracles.values():
            oracle.finish(at_ns)
        return self.verdicts()

    def verdicts(self) -> tuple[Verdict, ...]:
        """What is known so far."""
        return tuple(oracle.verdict() for oracle in self._oracles.values())

    def _violated(self, violation: Violation) -> None:
        self.violations.append(violation)
        if self._on_violation is not None:
            self._on_violation(violation)


def _recorded(fact: RowDurable) -> Recorded | None:
    """What the row says; None where it says nothing that an oracle could read."""
    row = fact.row
    try:
        body = msgspec.json.decode(row.body)
    except msgspec.DecodeError:
        return None  # a row that is not what was written: its hash says so
    record = body.get("r") if isinstance(body, dict) else None
    if not isinstance(record, dict):
        return None
    return Recorded(fact.at_ns, fact.chain, row.seq, row.ts_ns, row.kind, row.key, record)
