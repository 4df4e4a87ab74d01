"""O1: at most one execution path per intent.

The venue took at most one order for each client id, no intent stands behind two orders with different ids, what was
refused is nowhere, and nothing is sent again of which nobody knows what became of it: the venue is not asked twice for
an order that it has taken, and the journal shows no attempt after one that was not proven to have come to nothing.
"""

from typing import Any, ClassVar

from allstop.supervisors.oracles.facts import Asked, Denied, OrderAccepted, Recorded
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

SUBMITS = frozenset({"AddOrder", "add_order"})
SEARCHED = frozenset({"RENONCE", "LOOK"})  # a NO of this kind counts only after one search
AFTER_LOOKUP = "AFTER_LOOKUP"
SENDS_MAX = 3  # the first, and after a proven NO at most two more


class OneExecutionPath(Oracle):
    name: ClassVar[str] = "O1"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._order_of: dict[
            tuple[str, str], str
        ] = {}  # account and client id -> the order that the venue took
        self._answered: set[str] = set()  # client ids that the venue took in a request that is over
        self._parents: set[str] = set()  # orders that no conditional close made
        self._denied: set[str] = set()
        self._told: dict[str, str] = {}  # intent -> the order that the journal names for it
        self._attempts: dict[str, _Attempts] = {}
        self._seen: dict[str, int] = {}  # client id -> how often the venue was asked for the order

    def takes(self) -> Takes:
        return {
            OrderAccepted: self._accepted,
            Asked: self._asked,
            Denied: self._was_denied,
            Recorded: self._recorded,
        }

    def found(self) -> str | None:
        return f"{len(self._order_of)} client ids, each once" if self._order_of else None

    def nothing(self) -> str:
        return "no order reached the venue"

    def _accepted(self, fact: OrderAccepted) -> None:
        if fact.parent_id is None:
            self._parents.add(fact.order_id)
        if fact.cl_ord_id is None:
            return
        known = self._order_of.setdefault((fact.account, fact.cl_ord_id), fact.order_id)
        if known != fact.order_id:
            self.broken(fact.at_ns, f"the venue accepted more than one order for {[fact.cl_ord_id]}")
        if fact.cl_ord_id in self._denied:
            self.broken(fact.at_ns, f"refused, and yet at the venue: {[fact.cl_ord_id]}")

    def _asked(self, fact: Asked) -> None:
        if fact.cl_ord_id is None or fact.method not in SUBMITS:
            return
        self._seen[fact.cl_ord_id] = self._seen.get(fact.cl_ord_id, 0) + 1
        if fact.cl_ord_id in self._answered:
            self.broken(fact.at_ns, f"{fact.cl_ord_id} was sent again when the venue had taken it")
            return
        if (fact.account, fact.cl_ord_id) in self._order_of:
            self._answered.add(fact.cl_ord_id)
        self._unsent(fact.at_ns, fact.cl_ord_id)

    def _was_denied(self, fact: Denied) -> None:
        self._denied.add(fact.intent_id)
        if any(client_id == fact.intent_id for _, client_id in self._order_of):
            self.broken(fact.at_ns, f"refused, and yet at the venue: {[fact.intent_id]}")

    def _recorded(self, fact: Recorded) -> None:
        match fact.kind:
            case "report":
                self._reported(fact, fact.record["report"])
            case "attempt":
                attempts = self._attempts.setdefault(fact.key, _Attempts())
                if why := attempts.begun():
                    self.broken(fact.at_ns, f"{fact.key} was sent again {why}")
            case "outcome" if fact.key in self._attempts:
                self._attempts[fact.key].ended(fact.record["outcome"])
                self._unsent(fact.at_ns, fact.key)
            case "lookup" if fact.key in self._attempts:
                self._attempts[fact.key].looked(str(fact.record["verdict"]))
            case _:
                pass

    def _unsent(self, at_ns: int, intent: str) -> None:
        """That an attempt was not sent is a proof: the venue was not asked more often than the others say."""
        attempts = self._attempts.get(intent)
        if attempts is not None and self.terms.ordered and self._seen.get(intent, 0) > attempts.sends:
            self.broken(at_ns, f"{intent} came to the venue, and the journal says that it was not sent")

    def _reported(self, fact: Recorded, report: dict[str, Any]) -> None:
        order_id = report.get("order_id")
        if order_id not in self._parents or report.get("parent_id"):
            return
        known = self._told.setdefault(fact.key, order_id)
        if known != order_id:
            self.broken(fact.at_ns, f"{fact.key} stands behind two orders: {known} and {order_id}")


class _Attempts:
    """What the journal says of one intent's attempts."""

    def __init__(self) -> None:
        self.sends = 0  # those that were not proven never to have left
        self._why_not = ""  # why it may not be sent again now

    def begun(self) -> str:
        """An attempt begins. Why it must not, or ""."""
        why, self._why_not = self._why_not, "when nothing is known of the attempt before"
        self.sends += 1
        return why or ("too often" if self.sends > SENDS_MAX else "")

    def ended(self, outcome: dict[str, Any]) -> None:
        match outcome["type"]:
            case "NotSent":
                self.sends -= 1
                self._why_not = ""
            case "Rejected" if outcome["fault"]["outcome"] != "NO":
                self._why_not = f"after {outcome['fault'].get('code', 'an answer')} that proves nothing"
            case "Rejected" if (
                outcome["fault"]["remedy"] in SEARCHED or outcome["fault"]["writes"] == AFTER_LOOKUP
            ):
                self._why_not = "before the venue was searched"
            case "Rejected":
                self._why_not = ""
            case "Accepted":
                self._why_not = "when the venue had taken it"
            case _:
                self._why_not = "when nobody knew what became of it"

    def looked(self, verdict: str) -> None:
        if verdict == "checked" and self._why_not == "before the venue was searched":
            self._why_not = ""
