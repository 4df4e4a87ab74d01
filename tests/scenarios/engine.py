"""What these scenarios ask of the engine and of the venue, in words. Nothing here decides: it reads."""

from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from tests.scenarios.steps import GUARDIAN as GUARDIAN
from tests.scenarios.steps import PAIR as PAIR
from tests.scenarios.steps import SESSION as SESSION
from tests.scenarios.steps import cover as cover
from tests.scenarios.steps import journal_kinds as journal_kinds
from tests.scenarios.steps import level as level

from allstop.actors.errors import CircuitOpen, Refused
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import IntentKind
from allstop.actors.runtime import ActorDead
from allstop.supervisors.simulation.pytest_plugin import Advance, Hand, SimulatedTree, Venue

OTHER_PAIR: Final = "ETH/USD"
ACCOUNT: Final = "kraken.main"
SCOPE: Final = ("kraken", "main")
ROOM: Final = f"/accounts/{ACCOUNT}"
TRADING: Final = f"{ROOM}/trading"
STREAM: Final = f"{TRADING}/stream"
BOOK: Final = "/data/kraken.public/book.BTC-USD"
COVER_S: Final = 2.0
LINKS: Final = ("rest", "public", "private")


# -- orders --------------------------------------------------------------------------------------------------------


def model(venue: Venue) -> Any:
    """The venue itself, behind its faces."""
    return venue._world.stage.venue.kraken  # pyright: ignore[reportPrivateUsage]


def ask_price(venue: Venue, pair: str = PAIR) -> Decimal:
    found = model(venue).venue.engine.markets[pair].best_ask()
    assert found is not None
    return found[0]


def entry(venue: Venue, pair: str = PAIR, **changed: Any) -> OrderIntent:
    """A market buy, with a stop a twentieth below."""
    price = ask_price(venue, pair)
    tick = Decimal("0.1") if pair == PAIR else Decimal("0.01")
    fields: dict[str, Any] = {
        "pair": pair, "side": Side.BUY, "qty": Decimal("0.001") if pair == PAIR else Decimal("0.01"),
        "order_type": OrderType.MARKET, "stop": StopLoss(trigger_price=(price * Decimal("0.95")).quantize(tick)),
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def resting(venue: Venue, pair: str = PAIR, **changed: Any) -> OrderIntent:
    """A limit buy a fiftieth below the market: it stays."""
    tick = Decimal("0.1") if pair == PAIR else Decimal("0.01")
    price = (ask_price(venue, pair) * Decimal("0.98")).quantize(tick)
    return entry(venue, pair, **({"order_type": OrderType.LIMIT, "limit_price": price} | changed))


def leave(**changed: Any) -> OrderIntent:
    """A market sell of what one `entry` bought."""
    fields: dict[str, Any] = {
        "pair": PAIR, "side": Side.SELL, "qty": Decimal("0.001"), "order_type": OrderType.MARKET, "kind": IntentKind.REDUCE,
    }  # fmt: skip
    return OrderIntent(**(fields | changed))


def refusal(world: SimulatedTree, intent: OrderIntent) -> str | None:
    """Why this intent is refused now, by its code, or PAUSED or DOWN where nobody is there to take it; None: it was
    taken."""
    try:
        world.submit(intent)
    except Refused as refused:
        return refused.code
    except CircuitOpen:
        return "PAUSED"
    except ActorDead:
        return "DOWN"
    return None


def state(world: SimulatedTree, intent_id: str) -> str:
    view = world.order(intent_id)
    assert view is not None, f"the engine knows no {intent_id}"
    return view.state


def at_venue(venue: Venue, intent_id: str) -> list[dict[str, Any]]:
    """The venue's orders under this client id: at most one, or O1 is broken."""
    return [order for order in venue.orders() if order["cl_ord_id"] == intent_id]


def stops(venue: Venue, pair: str = PAIR) -> list[dict[str, Any]]:
    return [
        order for order in venue.orders(open_only=True) if order["order_type"] == "stop-loss" and order["symbol"] == pair
    ]  # fmt: skip


def uncovered_s(venue: Venue, pair: str = PAIR) -> float:
    """The longest that a position was without its stop while the venue was reachable."""
    return venue.truth()["cover"]["main"][pair]["uncovered_ms_max"] / 1000


def position(venue: Venue, pair: str = PAIR) -> Decimal:
    return Decimal(venue.truth()["positions"].get("main", {}).get(pair, "0"))


# -- what the engine thinks -------------------------------------------------------------------------------------------


def missing(world: SimulatedTree) -> tuple[str, ...]:
    """What is not proven: empty, and the gate is open."""
    return world.runtime.gates[ACCOUNT].missing


def said(world: SimulatedTree, *words: str) -> list[str]:
    """What the log has with all of these words."""
    return [line for line in world.log if all(word in line for word in words)]


def told(world: SimulatedTree, *words: str) -> list[str]:
    """The events with all of these words."""
    return [line for line in world.events if all(word in line for word in words)]


def ask(world: SimulatedTree, command: str, **fields: Any) -> dict[str, Any]:
    """As the commands of allstop ask a running engine."""
    return world.run(world.stage.world.host.ask({"command": command, **fields}))


def actors(world: SimulatedTree) -> set[str]:
    return {info.path for info in world.runtime.system.actors()}


def incarnation(world: SimulatedTree, path: str) -> int:
    found = [info.incarnation for info in world.runtime.system.actors() if info.path == path]
    assert found, f"nobody runs at {path}"
    return found[0]


# -- what the venue saw -----------------------------------------------------------------------------------------------


def calls(venue: Venue, method: str, *, since_s: float = 0.0, key: str | None = None) -> list[dict[str, Any]]:
    """Private requests of this method, each with `at_s` on the world's clock."""
    truth = venue.truth()
    rows = [{**row, "at_s": (row["at_ns"] - truth["begun_ns"]) / 1e9} for row in truth["requests"]]
    return [
        row for row in rows
        if row["method"] == method and row["at_s"] >= since_s and (key is None or row.get("key") == key)
    ]  # fmt: skip


def connects(venue: Venue, *, private: bool | None = None, since_s: float = 0.0) -> list[float]:
    """When somebody tried to connect, on the world's clock."""
    truth = venue.truth()
    return [
        at_s for row in truth["connections"]
        if (at_s := (row["at_ns"] - truth["begun_ns"]) / 1e9) >= since_s and private in (None, row["private"])
    ]  # fmt: skip


def most_within(times_s: list[float], window_s: float) -> int:
    """The most of these in any window."""
    return max((sum(0 <= later - at < window_s for later in times_s) for at in times_s), default=0)


@contextmanager
def away(chaos: Hand, condition: Any, *links: str) -> Generator[None]:
    """These links are in this condition, and what was open on them is cut; after the block they are whole again."""
    for link in links:
        chaos.lay(link, "scenario", condition)
        chaos.cut(link)
    try:
        yield
    finally:
        for link in links:
            chaos.lift(link, "scenario")


def position_with_stop(world: SimulatedTree, venue: Venue, advance: Advance) -> str:
    """An order that has filled, and its stop stands: its intent's id."""
    order = world.submit(entry(venue))
    advance(2.0)
    assert state(world, order.id) == "FILLED"
    assert len(stops(venue)) == 1
    return order.id
