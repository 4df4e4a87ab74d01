"""Liveness: when nothing hurts it any more, the engine trades again, or it stands still and can prove and say why.

Counted from the first moment at which the venue's own rules let it: not while it is banned, locked out or in
maintenance. Trading is the first entry admitted, whatever its instrument: one that an unknown outcome gates does not
count against the others.
"""

from typing import ClassVar

from allstop.supervisors.oracles.facts import Barred, FaultsOver, Freed, Halted, Recorded
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms


class Recovers(Oracle):
    name: ClassVar[str] = "liveness"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._over_ns: int | None = None
        self._allowed_ns: int | None = None  # since when the venue lets it; None: it does not
        self._bars: set[str] = set()
        self._traded_ns: int | None = None  # the first entry after the faults
        self._halt_reason: str | None = None  # None: it is not halted
        self._halt_proven = False
        self._told = False

    def takes(self) -> Takes:
        return {
            FaultsOver: self._faults_over,
            Barred: self._barred,
            Freed: self._freed,
            Recorded: self._recorded,
            Halted: self._halted,
        }

    @property
    def due_ns(self) -> int | None:
        """By when it has to trade or to be halted; None while nothing is due."""
        if self._over_ns is None or self._allowed_ns is None or self.recovered:
            return None
        return self._allowed_ns + int(self.terms.recover_s * 1e9)

    @property
    def recovered(self) -> bool:
        return self._traded_ns is not None or bool(self._halt_reason and self._halt_proven)

    def found(self) -> str | None:
        if self._over_ns is None or not self.recovered:
            return None
        if self._traded_ns is None:
            return f"halted, and proven: {self._halt_reason}"
        return f"traded again {(self._traded_ns - self._over_ns) / 1e9:.1f} s after the last fault"

    def nothing(self) -> str:
        return "it was hurt until the end" if self._over_ns is None else "the run ended before it had to"

    def passed(self, at_ns: int) -> None:
        if self.terms.ordered:
            self._look(at_ns)

    def finish(self, at_ns: int) -> None:
        self._look(at_ns)
        if self._traded_ns is not None and self._allowed_ns is not None and not self._told:
            late_ns = self._traded_ns - self._allowed_ns - int(self.terms.recover_s * 1e9)
            if late_ns > 0 and self._halt_reason is None:
                self.broken(self._traded_ns, f"the first entry came {late_ns / 1e9:.1f} s too late")

    def _look(self, at_ns: int) -> None:
        due_ns = self.due_ns
        if due_ns is not None and at_ns > due_ns and not self._told:
            self._told = True
            self.broken(due_ns, self._why())

    def _why(self) -> str:
        if self._halt_reason is None:
            return f"no entry was admitted within {self.terms.recover_s:g} s, and it is not halted"
        if not self._halt_reason:
            return "it is halted, and nobody says why"
        return f"it is halted ({self._halt_reason}), and the venue's list does not prove it"

    def _faults_over(self, fact: FaultsOver) -> None:
        self._over_ns = fact.at_ns
        if not self._bars:
            self._allowed_ns = fact.at_ns

    def _barred(self, fact: Barred) -> None:
        if fact.pair:
            return  # others are traded meanwhile
        self._bars.add(fact.by)
        self._allowed_ns = None

    def _freed(self, fact: Freed) -> None:
        self._bars.discard(fact.by)
        if not self._bars and self._over_ns is not None:
            self._allowed_ns = max(fact.at_ns, self._over_ns)

    def _recorded(self, fact: Recorded) -> None:
        match fact.kind:
            case "intent" if self._over_ns is not None and fact.at_ns >= self._over_ns:
                if self._traded_ns is None and _is_entry(fact):
                    self._traded_ns = fact.at_ns
            case "halt":
                self._halt_reason, self._halt_proven = str(fact.record.get("reason", "")), False
            case "halt.lifted":
                self._halt_reason = None
            case "halt.proof":
                self._halt_proven = True
            case _:
                pass

    def _halted(self, fact: Halted) -> None:
        self._halt_reason, self._halt_proven = fact.reason, fact.proven


def _is_entry(fact: Recorded) -> bool:
    """An entry that somebody wanted, and no order that protects. Without a kind an intent is an entry."""
    intent = fact.record.get("intent", {})
    return intent.get("kind", "ENTRY") == "ENTRY" and fact.record.get("origin") == "STRATEGY"
