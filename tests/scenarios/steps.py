"""What the scenarios have in common: the intents that they place, and how the venue's orders are told apart."""

import re
from decimal import Decimal
from typing import Any, Final

from allstop.actors.commands import CoverView, OrderView, PairCover
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import IntentKind, Level
from allstop.actors.ports import JournalRow
from allstop.supervisors.config import Tree, accounts, data, halt_root, kraken, kraken_public
from allstop.supervisors.simulation.pytest_plugin import SimulatedTree, Venue
from allstop.supervisors.simulation.trees import PRIVATE_URL, PUBLIC_URL, REST_URL

PAIR: Final = "BTC/USD"
QTY: Final = Decimal("0.001")
COVER_MS: Final = 2_000.0  # cover_s of the default tree
ORDERS: Final = "/accounts/kraken.main/trading/orders"
GUARDIAN: Final = "/accounts/kraken.main/guardian"
SESSION: Final = "/accounts/kraken.main/trading/session"


def below(price: Decimal, part: str) -> Decimal:
    """A price that is so much lower: `below(ask, "0.05")` is a twentieth under it, on the tick of BTC/USD."""
    return (price * (1 - Decimal(part))).quantize(Decimal("0.1"))


def at_market(venue: Venue, **changed: Any) -> OrderIntent:
    """An entry that fills at once: buys at market, with a stop a twentieth below."""
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.BUY, "qty": QTY, "order_type": OrderType.MARKET,
        "stop": StopLoss(trigger_price=below(venue.ask(PAIR), "0.05")),
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def resting(venue: Venue, **changed: Any) -> OrderIntent:
    """An entry that stays open: bids a twentieth below the market, with a stop below that."""
    price = below(venue.ask(PAIR), "0.05")
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.BUY, "qty": QTY, "order_type": OrderType.LIMIT, "limit_price": price,
        "stop": StopLoss(trigger_price=below(price, "0.05")),
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def leaving(qty: Decimal = QTY, **changed: Any) -> OrderIntent:
    """An exit: sells at market what was bought."""
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.SELL, "qty": qty, "order_type": OrderType.MARKET, "kind": IntentKind.REDUCE,
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def view(world: SimulatedTree, intent: OrderIntent) -> OrderView:
    """What the engine says of an order that it knows."""
    found = world.order(intent.id)
    assert found is not None, f"the engine does not know {intent.id}"
    return found


def state(world: SimulatedTree, intent: OrderIntent) -> str:
    return view(world, intent).state


def stops(venue: Venue) -> list[dict[str, Any]]:
    """The stops that stand at the venue."""
    return [order for order in venue.orders(open_only=True) if order["order_type"].startswith("stop-loss")]


def protected(venue: Venue) -> list[Decimal]:
    """The quantities that the standing stops still cover, the oldest stop's first."""
    return [Decimal(stop["qty"]) - Decimal(stop["filled"]) for stop in stops(venue)]


def states(world: SimulatedTree, intent: OrderIntent) -> list[str]:
    """The states through which the order went, in their order, as the engine logged them."""
    lines = [line for line in world.log if "'event': 'order.state'" in line and f"'{intent.id}'" in line]
    return [found[1] for line in lines if (found := re.search(r"'state': '(\w+)'", line))]


def on_krakens_time() -> Tree:
    """The default tree with the deadlines that a real Kraken needs: 5 s, 1 s of skew, 2 s to settle."""
    account = kraken(
        account="main", pairs=(PAIR, "ETH/USD"), tier="pro", timing="kraken",
        api_key_env="SIMULATED_KEY", api_secret_env="SIMULATED_SECRET",
        protect_key_env="SIMULATED_PROTECT_KEY", protect_secret_env="SIMULATED_PROTECT_SECRET",
        rest_url=REST_URL, private_url=PRIVATE_URL,
    )  # fmt: skip
    public = kraken_public((PAIR, "ETH/USD"), url=PUBLIC_URL, rest_url=REST_URL, timing="kraken")
    return halt_root(accounts(account), data(public))


def level(world: SimulatedTree, *scope: str) -> Level:
    """The level in force: of everything, of a venue, an account or an instrument."""
    return world.runtime.levels.effective(scope)


def cover(world: SimulatedTree) -> CoverView:
    """What the guardian says of the account."""
    return world.run(world.stage.ask(world.runtime.cover("kraken.main")))


def pair_cover(world: SimulatedTree) -> PairCover:
    """What the guardian says of the pair."""
    (pair,) = [one for one in cover(world).pairs if one.pair == PAIR]
    return pair


def alerts(world: SimulatedTree) -> list[str]:
    """What was told to whoever watches the log, in its order."""
    return [line for line in world.log if line.startswith(("error", "critical", "warning"))]


def journalled(world: SimulatedTree, intent: OrderIntent) -> str:
    """All that the account's journal has under this intent, as text."""
    return "\n".join(f"{row.kind} {row.body.decode()}" for row in _rows(world, intent))


def journal_kinds(world: SimulatedTree, intent: OrderIntent) -> list[str]:
    """The kinds of the records that the account's journal has under this intent, the oldest first."""
    return [row.kind for row in _rows(world, intent)]


def _rows(world: SimulatedTree, intent: OrderIntent) -> list[JournalRow]:
    disk = world.stage.world.host.disk
    return [row for chain in disk.chains() for row in disk.rows(chain) if row.key == intent.id]
