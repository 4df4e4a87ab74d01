"""A tree whose strategy names no order: prints the digest of each of some seeds, `python -m tests.simulation.unnamed 1 3`."""

import sys
from contextlib import suppress
from decimal import Decimal
from typing import Any

from allstop.actors.commands import Place
from allstop.actors.errors import ReplyError
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue
from allstop.supervisors.config import (
    Tree,
    accounts,
    child,
    data,
    halt_root,
    kraken,
    kraken_public,
    strategies,
)
from allstop.supervisors.simulation.run import simulate

SECONDS = 50.0


class Buyer(Actor):
    """Buys every few seconds, from plain handlers and from tasks, and leaves the ids to the intents."""

    def on_start(self) -> Continue:
        self.orders = self.system.address("/accounts/kraken.main/trading/orders")
        return Continue(None)

    def on_continue(self, argument: object) -> None:
        self.send_after(2.0, "buy")

    def on_receive(self, message: object) -> None:
        self.send_after(2.0, "buy")
        self.start_task(self._place(self._intent()), "placing")

    def _intent(self) -> OrderIntent:
        stop = StopLoss(trigger_price=Decimal("20000.0"))
        return OrderIntent(
            pair="BTC/USD", side=Side.BUY, qty=Decimal("0.001"), order_type=OrderType.MARKET, stop=stop
        )

    async def _place(self, first: OrderIntent) -> None:
        for intent in (first, self._intent()):
            with suppress(ReplyError, ActorDead, CallTimeout):  # the gate is closed: the next one comes
                await self.orders.call(Place(intent=intent), timeout_s=1.0)


def tree() -> Tree:
    return halt_root(
        accounts(kraken(account="main", pairs=["BTC/USD"], api_key_env="KEY", api_secret_env="SECRET")),
        data(kraken_public(["BTC/USD"])),
        strategies(child("buyer", Buyer)),
    )


def outcome(seed: int, profile: str = "bad-day") -> Any:
    return simulate(tree(), seed, duration_s=SECONDS, profile=profile)


if __name__ == "__main__":
    for number in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
        print(number, outcome(number).digest, flush=True)
