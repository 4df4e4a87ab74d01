"""A halt holds: once it stands on the disk no entry reaches the venue, also not after a restart, until a person lifts it
by name and with a reason; and what was proven of it is true: the venue had nothing open that does not protect, and
nothing of the kind was on its way any more. An engine that says that it is halted has it on the disk by then: the next
process knows it from there alone.
"""

from decimal import Decimal
from typing import ClassVar

from allstop.supervisors.oracles.facts import (
    Latched,
    Lifted,
    OrderAccepted,
    OrderEnded,
    PositionMoved,
    Recorded,
    SaidHalted,
)
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

ZERO = Decimal(0)
LIST_NS = 1_000_000_000  # a proof is written so long after its list was read, at most


class HaltHolds(Oracle):
    name: ClassVar[str] = "halt"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._latched_ns: int | None = None
        self._halts = 0
        self._said_ns: int | None = None  # since when it says so, and the latch does not
        self._net: dict[tuple[str, str], Decimal] = {}
        self._open: dict[str, OrderAccepted] = {}  # what may not be left open by a halt
        self._proven: set[str] = set()  # accounts whose halt is proven
        self._arrives_ns = int(terms.in_flight_s * 1e9)

    def takes(self) -> Takes:
        return {
            Latched: self._was_latched,
            Lifted: self._was_lifted,
            SaidHalted: self._said,
            OrderAccepted: self._accepted,
            OrderEnded: self._ended,
            PositionMoved: self._moved,
            Recorded: self._recorded,
        }

    def found(self) -> str | None:
        return f"{self._halts} halts, and each held" if self._halts else None

    def nothing(self) -> str:
        return "nothing was halted"

    def _was_latched(self, fact: Latched) -> None:
        self._halts += 1
        self._said_ns = None
        if self._latched_ns is None:
            self._latched_ns = fact.at_ns
        if not fact.by or not fact.reason:
            self.broken(fact.at_ns, "a halt without a name or a reason")

    def _was_lifted(self, fact: Lifted) -> None:
        self._latched_ns = None
        self._proven.clear()
        if not fact.by or fact.by.startswith("/") or not fact.reason:
            self.broken(fact.at_ns, f"a halt was lifted, and by no person with a reason: {fact.by!r}")

    def _said(self, fact: SaidHalted) -> None:
        if self._latched_ns is None:
            self._said_ns = fact.at_ns

    def passed(self, at_ns: int) -> None:
        """In one moment a level falls and the latch is written, in this order or the other."""
        if self._said_ns is not None and at_ns > self._said_ns:
            said_ns, self._said_ns = self._said_ns, None
            self.broken(said_ns, "it is halted, and nothing on the disk says so to the next process")

    def finish(self, at_ns: int) -> None:
        self.passed(at_ns + 1)

    def _moved(self, fact: PositionMoved) -> None:
        self._net[fact.account, fact.pair] = fact.net

    def _accepted(self, fact: OrderAccepted) -> None:
        if self._reduces(fact) or fact.parent_id is not None or fact.by_hand:
            return
        self._open[fact.order_id] = fact
        if self._latched_ns is None:
            return
        if fact.at_ns > self._latched_ns + self._arrives_ns:
            self.broken(fact.at_ns, f"{fact.order_id} is an entry, and trading is halted")
        elif fact.account in self._proven and self.terms.ordered:
            self.broken(
                fact.at_ns, f"{fact.order_id} is an entry, and came after its account's halt was proven"
            )

    def _reduces(self, fact: OrderAccepted) -> bool:
        net = self._net.get((fact.account, fact.pair), ZERO)
        return net != ZERO and (fact.side == "sell") == (net > ZERO)

    def _ended(self, fact: OrderEnded) -> None:
        self._open.pop(fact.order_id, None)

    def _recorded(self, fact: Recorded) -> None:
        if fact.kind != "halt.proof":
            return
        account = fact.key.rpartition(".")[2]  # of kraken.main the venue knows main
        listed_ns = fact.at_ns - LIST_NS
        left = [one for one in self._open.values() if one.account == account and one.at_ns < listed_ns]
        self._proven.add(account)
        if left and self.terms.ordered:
            self.broken(fact.at_ns, f"a halt was proven with {[one.order_id for one in left][:5]} open")
