"""A tree whose guardian shares the trade key with everybody else: calls are short, and each still gets its own."""

from decimal import Decimal

import pytest

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

PAIR = "BTC/USD"
EVERY_S = 10.0


class Buyer(Actor):
    """Buys a little now and then, each time with a stop, and never sells: something is exposed all the time."""

    def on_start(self) -> Continue:
        self.orders = self.system.address("/accounts/kraken.main/trading/orders")
        return Continue(None)

    def on_continue(self, argument: object) -> None:
        self.send_after(EVERY_S, "buy")

    async def on_receive(self, message: object) -> None:
        self.send_after(EVERY_S, "buy")
        intent = OrderIntent(
            id=self.ids.new(), pair=PAIR, side=Side.BUY, qty=Decimal("0.001"), order_type=OrderType.MARKET,
            stop=StopLoss(trigger_price=Decimal("20000.0")),
        )  # fmt: skip
        try:
            await self.orders.call(Place(intent=intent), timeout_s=5.0)
        except (ReplyError, ActorDead, CallTimeout):
            return  # the next one comes


def one_key() -> Tree:
    """The Starter tier under Kraken's own timing: a third of a call a second, for all of them."""
    return halt_root(
        accounts(
            kraken(account="main", pairs=[PAIR], api_key_env="KRAKEN_KEY", api_secret_env="KRAKEN_SECRET")
        ),
        data(kraken_public([PAIR])),
        strategies(child("buyer", Buyer)),
    )


@pytest.mark.parametrize("seed", [2, 4, 7, 8])
def test_on_a_key_that_all_share_the_reconciler_gets_its_calls_and_trading_goes_on_after_a_bad_day(
    seed: int,
) -> None:
    outcome = simulate(one_key(), seed, profile="bad-day")
    assert outcome.failed is None, outcome.failed


@pytest.mark.parametrize("seed", [11, 22, 37, 54, 55, 68, 69])
def test_on_a_key_that_all_share_an_order_without_an_answer_is_searched_for_until_it_is_known(
    seed: int,
) -> None:
    """Its searches and the reconciler's rounds wait in one line, and a search that lost its turn proves nothing."""
    outcome = simulate(one_key(), seed, profile="bad-day")
    assert outcome.failed is None, outcome.failed
    assert outcome.verdicts["O6"] is True
