"""O2: the position that the engine believes is the venue's, or the instrument is frozen and reported."""

from decimal import Decimal
from typing import ClassVar

from allstop.supervisors.oracles.facts import Believed, PositionMoved
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

ZERO = Decimal(0)


class PositionsAgree(Oracle):
    name: ClassVar[str] = "O2"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._net: dict[str, dict[str, Decimal]] = {}
        self._compared: int | None = None  # pairs, when it was asked last

    def takes(self) -> Takes:
        return {PositionMoved: self._moved, Believed: self._believed}

    def found(self) -> str | None:
        return None if self._compared is None else f"{self._compared} pairs agree"

    def nothing(self) -> str:
        return "the engine's positions were not asked"

    def _moved(self, fact: PositionMoved) -> None:
        self._net.setdefault(fact.account, {})[fact.pair] = fact.net

    def _believed(self, fact: Believed) -> None:
        venue = self._net.get(fact.account, {})
        self._compared = len(venue)
        for pair in sorted({*venue, *fact.positions}):
            engine, real = fact.positions.get(pair, ZERO), venue.get(pair, ZERO)
            if engine != real and pair not in fact.frozen:
                self.broken(fact.at_ns, f"{pair}: engine {engine}, venue {real}")
