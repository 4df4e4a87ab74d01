"""The guardian and a journal that is restarted under it: nothing that is committed later passes it by."""

from decimal import Decimal

from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue

PAIR = "BTC/USD"


def entry(venue: Venue) -> OrderIntent:
    stop = StopLoss(trigger_price=(venue.bid(PAIR) * Decimal("0.95")).quantize(Decimal("0.1")))
    return OrderIntent(pair=PAIR, side=Side.BUY, qty=Decimal("0.001"), order_type=OrderType.MARKET, stop=stop)


def test_a_position_that_comes_after_a_restart_of_the_journal_is_the_guardians_too(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    chaos.kill("/accounts/kraken.main/store/journal")
    advance(1.0)
    advance.until_trading()
    world.submit(entry(venue))
    advance(2.0)
    (stop,) = venue.orders(open_only=True)
    venue.by_hand("CancelOrder", txid=stop["order_id"])  # by another hand: only the guardian can notice
    advance(5.0)
    view = world.run(world.stage.ask(world.runtime.cover("kraken.main")))
    assert [(one.pair, one.net, one.state) for one in view.pairs if one.net] == [
        (PAIR, Decimal("0.001"), "covered")
    ]


def test_a_journal_that_is_killed_again_and_again_is_followed_each_time(
    world: SimulatedTree, venue: Venue, chaos: Hand, advance: Advance
) -> None:
    for _ in range(3):
        chaos.kill("/accounts/kraken.main/store/journal")
        advance(0.5)
        advance.until_trading()
        world.submit(entry(venue))
        advance(1.0)
    view = world.run(world.stage.ask(world.runtime.cover("kraken.main")))
    assert [one.net for one in view.pairs if one.net] == [Decimal("0.003")]
