"""A run told fact by fact, for the watch: rows of a real chain, orders of a venue, on a clock that is moved by hand."""

import json
from decimal import Decimal
from typing import Any

from allstop.actors.links.chain import genesis, linked
from allstop.actors.ports import JournalEntry
from allstop.supervisors.oracles import Terms, Verdict, Violation, Watch
from allstop.supervisors.oracles.facts import (
    Asked,
    Exposed,
    Fact,
    Heard,
    OrderAccepted,
    OrderEnded,
    OrderExecuted,
    Placing,
    PositionMoved,
    RowDurable,
)

CHAIN = "kraken.main"
BTC = "BTC/USD"
S = 1_000_000_000


class Story:
    """Tells a watch what happens; `at_s` is now."""

    def __init__(self, **terms: Any) -> None:
        self.heard: list[Violation] = []
        self.watch = Watch(Terms(**terms), on_violation=self.heard.append)
        self.at_s = 100.0
        self._tip = genesis(CHAIN)

    @property
    def now_ns(self) -> int:
        return int(self.at_s * S)

    def wait(self, seconds: float) -> None:
        self.at_s = round(self.at_s + seconds, 6)

    def see(self, fact: Fact) -> None:
        self.watch.see(fact)

    def silence(self, seconds: float) -> None:
        """Nothing happens for so long."""
        self.wait(seconds)
        self.watch.pass_to(self.now_ns)

    # -- the journal ---------------------------------------------------------------------------------------------

    def row(self, kind: str, key: str, **record: Any) -> None:
        body = json.dumps({"v": 1, "r": record}).encode()
        self._tip, rows = linked(self._tip, [JournalEntry(kind=kind, key=key, body=body)], self.now_ns, 1)
        self.see(RowDurable(self.now_ns, CHAIN, rows[0]))

    def intent(self, key: str, kind: str = "ENTRY") -> None:
        self.row(
            "intent", key, intent={"id": key, "kind": kind, "pair": BTC}, origin="STRATEGY", owner="orders"
        )

    def own(self, key: str) -> None:
        """An intent of the guardian's own."""
        intent = {"id": key, "kind": "PROTECT", "pair": BTC}
        self.row("intent", key, intent=intent, origin="GUARDIAN", owner="/accounts/kraken.main/guardian")

    def placing(self, key: str) -> None:
        self.see(Placing(self.now_ns, "main", key))

    def entry(self, key: str) -> None:
        """Somebody asks for an entry, and it is admitted."""
        self.placing(key)
        self.intent(key)

    def permit(self, *attempts_s: float) -> None:
        """The host's ledger as it stands on the disk after one more permit."""
        entry = JournalEntry(
            kind="ledger.connects", key="kraken", body=json.dumps({"attempts_s": attempts_s}).encode()
        )
        self._tip, rows = linked(self._tip, [entry], self.now_ns, 1)
        self.see(RowDurable(self.now_ns, CHAIN, rows[0]))

    def attempt(self, key: str, number: int = 1, deadline_s: float = 0.5) -> None:
        self.row("attempt", key, attempt=number, deadline_s=deadline_s)

    def outcome(self, key: str, kind: str, **more: Any) -> None:
        self.row("outcome", key, outcome={"type": kind, **more})

    def report(self, key: str, order_id: str, status: str, cum_qty: str = "0") -> None:
        self.row("report", key, report={"order_id": order_id, "status": status, "cum_qty": cum_qty})

    def terminal(self, key: str, state: str, evidence: str = "so it was told") -> None:
        self.row("terminal", key, state=state, evidence=evidence)

    # -- the venue -----------------------------------------------------------------------------------------------

    def accepted(
        self, order_id: str, cl_ord_id: str | None, parent_id: str | None = None, *, by_hand: bool = False
    ) -> None:
        order = (order_id, cl_ord_id, parent_id, BTC, "buy", "limit")
        self.see(OrderAccepted(self.now_ns, "main", *order, by_hand=by_hand))

    def executed(self, order_id: str, qty: str) -> None:
        self.see(OrderExecuted(self.now_ns, "main", order_id, BTC, "buy", Decimal(qty)))

    def ended(self, order_id: str, status: str) -> None:
        self.see(OrderEnded(self.now_ns, order_id, status))

    def position(self, net: str, bare: str) -> None:
        self.see(PositionMoved(self.now_ns, "main", BTC, Decimal(net)))
        self.see(Exposed(self.now_ns, "main", BTC, Decimal(bare)))

    def asked(self, method: str, **more: Any) -> None:
        self.see(Asked(self.now_ns, method, "rest", account="main", **{"key": "trade", **more}))

    def numbered(self, connection: int, number: int, *, snapshot: bool = False) -> None:
        """A frame of the executions channel comes to the engine."""
        kind = "snapshot" if snapshot else "update"
        frame = json.dumps({"channel": "executions", "type": kind, "data": [], "sequence": number})
        self.see(Heard(self.now_ns, "main", connection, frame))

    # -- a whole order -------------------------------------------------------------------------------------------

    def filled_order(self, key: str = "a", order_id: str = "O-1", qty: str = "0.5") -> None:
        """One order, submitted, filled and over, as it should go."""
        self.intent(key)
        self.attempt(key)
        self.accepted(order_id, key)
        self.executed(order_id, qty)
        self.ended(order_id, "filled")
        self.outcome(key, "Accepted", order_ids=[order_id])
        self.report(key, order_id, "filled", qty)
        self.terminal(key, "FILLED")

    # -- what comes of it ----------------------------------------------------------------------------------------

    def verdict(self, oracle: str) -> Verdict:
        return next(one for one in self.watch.verdicts() if one.oracle == oracle)

    def broken(self) -> list[tuple[str, float]]:
        """Which oracles were broken, and when."""
        return [(one.oracle, one.at_ns / S) for one in self.heard]
