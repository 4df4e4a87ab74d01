"""The simulated Kraken's word, as facts: what it sees at each moment goes to a watch."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from allstop.actors.simulated.kraken.engine_rates import LimitBroken
from allstop.actors.simulated.kraken.orders import Execution, Order
from allstop.actors.simulated.kraken.witness import Witness
from allstop.supervisors.oracles.facts import (
    Barred,
    CallsSpent,
    ConnectTried,
    Exposed,
    Fact,
    Freed,
    KeyRevoked,
    LimitBreach,
    OrderAccepted,
    OrderEnded,
    OrderExecuted,
    PositionMoved,
    SecretIssued,
)
from allstop.supervisors.oracles.judging import asked

PROTECT = "protect"  # the key of whoever places stops
VENUE = "venue"  # who bars the engine when the venue itself is away


class KrakenWitness(Witness):
    """`KrakenVenue.attach(KrakenWitness(watch.see))`."""

    def __init__(self, see: Callable[[Fact], None]) -> None:
        self._see = see

    def accepted(self, order: Order) -> None:
        self._see(
            OrderAccepted(
                order.opened_ns,
                order.account,
                order.order_id,
                order.cl_ord_id,
                order.parent_id,
                order.pair.symbol,
                order.side,
                order.order_type,
                by_hand=self.by_hand,
            )
        )

    def executed(self, execution: Execution) -> None:
        one = execution
        self._see(OrderExecuted(one.wall_ns, one.account, one.order_id, one.symbol, one.side, one.qty))

    def ended(self, order: Order) -> None:
        self._see(OrderEnded(order.closed_ns, order.order_id, order.status))

    def measured(self, account: str, symbol: str, position: Decimal, cover: Decimal, wall_ns: int) -> None:
        self._see(PositionMoved(wall_ns, account, symbol, position))
        self._see(Exposed(wall_ns, account, symbol, abs(position) - cover))

    def reachable(self, reachable: bool, wall_ns: int) -> None:
        self._see(Freed(wall_ns, VENUE) if reachable else Barred(wall_ns, VENUE))

    def coverable(self, symbol: str, coverable: bool, wall_ns: int) -> None:
        by = f"market {symbol}"
        self._see(Freed(wall_ns, by) if coverable else Barred(wall_ns, by, pair=symbol))

    def broke(self, broken: LimitBroken) -> None:
        self._see(LimitBreach(broken.wall_ns, broken.kind, broken.detail))

    def spent(self, account: str, role: str, wall_ns: int, until_ns: int) -> None:
        if role == PROTECT:
            self._see(CallsSpent(wall_ns, account, until_ns))

    def revoked(self, account: str, role: str, wall_ns: int) -> None:
        self._see(KeyRevoked(wall_ns, account, role))

    def asked(self, request: dict[str, Any]) -> None:
        self._see(asked(request))

    def issued(self, token: str, wall_ns: int) -> None:
        self._see(SecretIssued(wall_ns, token))

    def connected(self, row: dict[str, Any]) -> None:
        self._see(ConnectTried(row["at_ns"], row["ip"], bool(row["refused"])))
