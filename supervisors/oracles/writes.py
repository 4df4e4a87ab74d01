"""One write at a time per pair: who protects or leaves a position writes nothing on it while an earlier order of its own
may still arrive.

A second stop on a guess would sell a position twice. So between an attempt of which nobody knows what became of it and
the next on its pair there must stand either the order at the venue, or the journal's word that a search proved it absent.
"""

from dataclasses import dataclass
from typing import ClassVar

from allstop.supervisors.oracles.facts import DiskFailed, OrderAccepted, Recorded
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

TRACKED = "orders"  # whose intents are one order each: O1 looks after those


@dataclass(slots=True)
class _Write:
    """The last write on a pair, as the journal tells it."""

    intent_id: str
    known: bool = False  # what became of it, or that nothing did


class OneWriteAtATime(Oracle):
    name: ClassVar[str] = "writes"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._pair_of: dict[str, tuple[str, str]] = {}  # intent -> the chain that it stands in, and its pair
        self._last: dict[tuple[str, str], _Write] = {}
        self._at_venue: set[str] = set()
        self._attempts = 0
        self._disk_failed = False

    def takes(self) -> Takes:
        return {Recorded: self._recorded, OrderAccepted: self._accepted, DiskFailed: self._failed}

    def found(self) -> str | None:
        return f"{self._attempts} writes, one at a time" if self._attempts else None

    def nothing(self) -> str:
        return "nothing had to be protected by hand"

    def _accepted(self, fact: OrderAccepted) -> None:
        if fact.cl_ord_id is not None:
            self._at_venue.add(fact.cl_ord_id)

    def _failed(self, _: DiskFailed) -> None:
        self._disk_failed = True  # from here on the journal does not tell everything

    def _recorded(self, fact: Recorded) -> None:
        if fact.kind == "intent":
            if fact.record.get("owner", TRACKED) != TRACKED:
                self._pair_of[fact.key] = (fact.chain, str(fact.record["intent"].get("pair", "")))
            return
        if fact.key not in self._pair_of or not self.terms.ordered:
            return
        place = self._pair_of[fact.key]
        match fact.kind:
            case "attempt":
                self._begun(fact, place)
            case "outcome" | "lookup" | "withheld" | "terminal":
                last = self._last.get(place)
                if last is not None and last.intent_id == fact.key:
                    last.known = last.known or _settles(fact)
            case _:
                pass

    def _begun(self, fact: Recorded, place: tuple[str, str]) -> None:
        self._attempts += 1
        last = self._last.get(place)
        self._last[place] = _Write(fact.key)
        if last is None or last.intent_id == fact.key or last.known or self._disk_failed:
            return
        if last.intent_id not in self._at_venue:
            why = f"{fact.key} was sent on {place[1]} when nobody knew what became of {last.intent_id}"
            self.broken(fact.at_ns, why)


def _settles(fact: Recorded) -> bool:
    match fact.kind:
        case "outcome":
            outcome = fact.record["outcome"]
            refused = outcome["type"] == "Rejected" and outcome["fault"]["remedy"] != "RENONCE"
            return outcome["type"] in ("Accepted", "NotSent") or refused
        case "lookup":
            return fact.record["verdict"] in ("absent", "checked")
        case _:
            return True
