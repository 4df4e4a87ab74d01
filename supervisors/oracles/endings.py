"""O4: no order is over in a journal without evidence of the venue, and the venue's truth says the same.

Words are not evidence. Behind each end there must stand a row of the kind that can prove it: the venue's own report of
that state, its own NO, or a search; behind a search that proved an absence the venue must have answered its questions,
when it could still have mattered.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from allstop.supervisors.oracles.facts import Asked, OrderAccepted, OrderEnded, Recorded
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

CLOSED = {"FILLED": "filled", "CANCELED": "canceled", "EXPIRED": "expired"}
NOTHING_AT_VENUE = frozenset({"NOT_PLACED", "REJECTED"})
LISTS_KEPT = (
    20_000  # list requests remembered: more than an hour at five a second, and a search takes seconds
)
DRIFT = 0.98  # our own clock may run so much slower than the venue's while a deadline passes


@dataclass(slots=True)
class _Told:
    """What one journal says of one order, short of its end."""

    reported: set[str] = field(default_factory=set[str])
    outcomes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # type, what it proves
    verdicts: list[str] = field(default_factory=list[str])
    withheld: bool = False
    attempts: int = 0
    quiet_from_ns: int = 0  # from when on a search could prove that the last attempt came to nothing


class TerminalOnEvidence(Oracle):
    name: ClassVar[str] = "O4"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._status: dict[str, str] = {}  # by the venue's id: open, or how it ended
        self._order_of: dict[str, str] = {}
        self._told: dict[str, _Told] = {}
        self._nowhere: dict[str, str] = {}  # intents held for never placed -> the state
        self._lists: dict[str, deque[int]] = {
            "OpenOrders": deque(maxlen=LISTS_KEPT),
            "ClosedOrders": deque(maxlen=LISTS_KEPT),
        }
        self._checked = 0

    def takes(self) -> Takes:
        return {
            OrderAccepted: self._accepted,
            OrderEnded: self._ended,
            Asked: self._asked,
            Recorded: self._recorded,
        }

    def found(self) -> str | None:
        return f"{self._checked} terminal states confirmed" if self._checked else None

    def nothing(self) -> str:
        return "no order ended"

    def _accepted(self, fact: OrderAccepted) -> None:
        self._status[fact.order_id] = "open"
        if fact.cl_ord_id is None:
            return
        self._order_of[fact.cl_ord_id] = fact.order_id
        if state := self._nowhere.get(fact.cl_ord_id):
            self.broken(fact.at_ns, f"{fact.cl_ord_id} is {state} in the journal and open at the venue")

    def _ended(self, fact: OrderEnded) -> None:
        self._status[fact.order_id] = fact.status

    def _asked(self, fact: Asked) -> None:
        if fact.error is None and (times := self._lists.get(fact.method)) is not None:
            times.append(fact.at_ns)

    def _recorded(self, fact: Recorded) -> None:
        if fact.kind == "terminal":
            self._checked += 1
            if why := self._fault(fact):
                self.broken(fact.at_ns, why)
            return
        if fact.kind not in ("report", "outcome", "lookup", "withheld", "attempt"):
            return
        told = self._told.setdefault(fact.key, _Told())
        match fact.kind:
            case "report":
                told.reported.add(str(fact.record["report"].get("status", "")))
            case "outcome":
                outcome = fact.record["outcome"]
                told.outcomes.append(
                    (outcome["type"], str(outcome.get("fault", {}) and outcome["fault"]["outcome"]))
                )
            case "lookup":
                told.verdicts.append(str(fact.record["verdict"]))
            case "withheld":
                told.withheld = True
            case _:
                told.attempts += 1
                told.quiet_from_ns = fact.at_ns + int(float(fact.record.get("deadline_s", 0)) * 1e9 * DRIFT)

    def _fault(self, fact: Recorded) -> str:
        """What is wrong with this end, or ""."""
        state = str(fact.record["state"]).upper()
        told = self._told.get(fact.key) or _Told()
        if not fact.record.get("evidence"):
            return f"{fact.key} is {state} without evidence (row {fact.seq})"
        order_id = self._order_of.get(fact.key)
        status = self._status.get(order_id, "unknown") if order_id else "unknown"
        if state in NOTHING_AT_VENUE:
            if order_id is not None:
                return f"{fact.key} is {state} in the journal and {status} at the venue"
            self._nowhere[fact.key] = state
            return self._unproven(fact, state, told)
        if state in CLOSED and status != CLOSED[state]:
            return f"{fact.key} is {state} in the journal and {status} at the venue"
        if state in CLOSED and CLOSED[state] not in told.reported:
            return f"{fact.key} is {state} and the journal has no such word of the venue (row {fact.seq})"
        return ""

    def _unproven(self, fact: Recorded, state: str, told: _Told) -> str:
        """Why it is not proven that nothing of the order is at the venue, or ""."""
        last = told.outcomes[-1] if told.outcomes else ("", "")
        if state == "REJECTED":
            refused = last[0] == "Rejected" and last[1] == "NO"
            return (
                ""
                if refused or "rejected" in told.reported
                else f"{fact.key} is REJECTED without a proven NO"
            )
        if told.verdicts and told.verdicts[-1] in ("absent", "checked"):
            return self._unsearched(fact, told)
        harmless = told.attempts == 0 or last[0] == "NotSent" or last == ("Rejected", "NO")
        return (
            "" if told.withheld and harmless else f"{fact.key} is NOT_PLACED without a proof (row {fact.seq})"
        )

    def _unsearched(self, fact: Recorded, told: _Told) -> str:
        """An absence is proven by lists that the venue gave: two of each, asked for when the deadline was over; one of
        each where the venue itself had said no. Only a run told in its order can be asked."""
        if not self.terms.ordered:
            return ""
        refused = bool(told.outcomes) and told.outcomes[-1] == ("Rejected", "NO")
        absent = told.verdicts[-1] == "absent" and not refused
        since_ns, wanted = (told.quiet_from_ns, 2) if absent else (0, 1)
        for method, times in self._lists.items():
            given = sum(1 for at_ns in times if since_ns <= at_ns <= fact.at_ns)
            if given < wanted:
                return (
                    f"{fact.key} is held for absent, and the venue answered {given} {method} of {wanted}"
                    " when that could prove it"
                )
        return ""
