"""Who is told what happens at the venue, at the moment at which it happens. Everything is also in the truth afterwards.

A witness looks and does nothing: what it is handed is the venue's own, alive, and must not be kept or changed.
"""

from decimal import Decimal
from typing import Any

from allstop.actors.simulated.kraken.engine_rates import LimitBroken
from allstop.actors.simulated.kraken.orders import Execution, Order


class Witness:
    """Told nothing means nothing happened. Override what you want to hear."""

    by_hand = False  # what happens now is done by a person past the client

    def accepted(self, order: Order) -> None:
        """An order is taken. One that a conditional close makes names its parent."""

    def executed(self, execution: Execution) -> None:
        """A fill."""

    def ended(self, order: Order) -> None:
        """An order is filled, canceled or expired: its `status` says so, `closed_ns` when."""

    def measured(self, account: str, symbol: str, position: Decimal, cover: Decimal, wall_ns: int) -> None:
        """The position and what protects it, after every change of either."""

    def reachable(self, reachable: bool, wall_ns: int) -> None:
        """The venue went away as a whole, or came back."""

    def coverable(self, symbol: str, coverable: bool, wall_ns: int) -> None:
        """From now on a pair takes neither a stop nor a market order, or does again."""

    def broke(self, broken: LimitBroken) -> None:
        """The client broke a limit."""

    def spent(self, account: str, role: str, wall_ns: int, until_ns: int) -> None:
        """A call of this key left no room for one more until then."""

    def revoked(self, account: str, role: str, wall_ns: int) -> None:
        """A key is not known any more, for good."""

    def asked(self, request: dict[str, Any]) -> None:
        """A private request is dealt with; `error` is what it was refused with."""

    def issued(self, token: str, wall_ns: int) -> None:
        """A token for a session: whoever has it may trade."""

    def connected(self, row: dict[str, Any]) -> None:
        """Somebody tried to connect; `refused` says what came of it."""

    def spoiled(self, text: str) -> None:
        """A book's frame goes out with a checksum that is wrong, as this text."""


NOBODY = Witness()
