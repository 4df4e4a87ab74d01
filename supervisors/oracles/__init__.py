"""The oracles O1 to O8, of halts, budgets, the gate, writes and liveness: what must hold in any run, decided from evidence that the engine did not make.

The venue's truth is the venue's own account of what happened. Journals are read row by row, and their hash chain is
computed again from the written definition, not with the code that wrote it. What a strategy was told comes from the
strategy. The oracles import nothing that they check.

`judge` decides after a run, from its Evidence; a `Watch` is told Facts while it happens. A verdict is True, False, or
None where the run gave no occasion (an oracle without evidence has proven nothing).
"""

from allstop.supervisors.oracles.budgets import WithinBudget
from allstop.supervisors.oracles.chains import chain_fault
from allstop.supervisors.oracles.cover import CoverInTime
from allstop.supervisors.oracles.endings import TerminalOnEvidence
from allstop.supervisors.oracles.evidence import (
    Bar,
    Evidence,
    Journal,
    Row,
    Verdict,
    journal_of,
    read_journal,
    row_of,
)
from allstop.supervisors.oracles.executions import OneExecutionPath
from allstop.supervisors.oracles.gates import EntriesProven
from allstop.supervisors.oracles.halts import HaltHolds
from allstop.supervisors.oracles.judging import judge, uncovered_ms_max
from allstop.supervisors.oracles.leftovers import NothingLeftRunning
from allstop.supervisors.oracles.limits import NoLimitBroken
from allstop.supervisors.oracles.oracle import Oracle, Terms, Violation
from allstop.supervisors.oracles.positions import PositionsAgree
from allstop.supervisors.oracles.records import JournalComplete, executed_by_journal, lost_orders
from allstop.supervisors.oracles.recovery import Recovers
from allstop.supervisors.oracles.secrecy import NoSecretShown
from allstop.supervisors.oracles.trials import TriedBeforeTrusted
from allstop.supervisors.oracles.watch import EIGHT, EVERY, PROMISES, Watch
from allstop.supervisors.oracles.writes import OneWriteAtATime

__all__ = [
    "EIGHT",
    "EVERY",
    "PROMISES",
    "Bar",
    "CoverInTime",
    "EntriesProven",
    "Evidence",
    "HaltHolds",
    "Journal",
    "JournalComplete",
    "NoLimitBroken",
    "NoSecretShown",
    "NothingLeftRunning",
    "OneExecutionPath",
    "OneWriteAtATime",
    "Oracle",
    "PositionsAgree",
    "Recovers",
    "Row",
    "TerminalOnEvidence",
    "Terms",
    "TriedBeforeTrusted",
    "Verdict",
    "Violation",
    "Watch",
    "WithinBudget",
    "chain_fault",
    "executed_by_journal",
    "journal_of",
    "judge",
    "lost_orders",
    "read_journal",
    "row_of",
    "uncovered_ms_max",
]
