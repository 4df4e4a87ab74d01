"""O2: the position that the engine believes is the venue's, or the instrument is frozen and reported.

An intent whose row the disk damaged is nobody's any more: what it executed is external to the engine, and its pair is left
out. A person claims it, or not.
"""

from decimal import Decimal
from typing import ClassVar

from allstop.supervisors.oracles.facts import Believed, PositionMoved, Recorded, RowDamaged
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

ZERO = Decimal(0)


class PositionsAgree(Oracle):
    name: ClassVar[str] = "O2"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._net: dict[str, dict[str, Decimal]] = {}
        self._pair_of: dict[str, str] = {}
        self._unknowable: set[str] = set()
        self._compared: int | None = None  # pairs, when it was asked last

    def takes(self) -> Takes:
        return {
            PositionMoved: self._moved,
            Believed: self._believed,
            Recorded: self._recorded,
            RowDamaged: self._damaged,
        }

    def found(self) -> str | None:
        return None if self._compared is None else f"{self._compared} pairs agree"

    def nothing(self) -> str:
        return "the engine's positions were not asked"

    def _moved(self, fact: PositionMoved) -> None:
        self._net.setdefault(fact.account, {})[fact.pair] = fact.net

    def _recorded(self, fact: Recorded) -> None:
        if fact.kind == "intent":
            self._pair_of[fact.key] = str(fact.record.get("intent", {}).get("pair", ""))

    def _damaged(self, fact: RowDamaged) -> None:
        if fact.row.kind == "intent" and (pair := self._pair_of.get(fact.row.key)) is not None:
            self._unknowable.add(pair)

    def _believed(self, fact: Believed) -> None:
        venue = self._net.get(fact.account, {})
        self._compared = len(venue)
        for pair in sorted({*venue, *fact.positions} - self._unknowable):
            engine, real = fact.positions.get(pair, ZERO), venue.get(pair, ZERO)
            if engine != real and pair not in fact.frozen:
                self.broken(fact.at_ns, f"{pair}: engine {engine}, venue {real}")
