"""`Runtime.submit` on a running engine: what is wrong is refused by name, and neither journal nor venue hears of it."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.cli import engine

from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.supervisors.build import Runtime
from allstop.supervisors.loading import load_tree
from allstop.supervisors.obstacles import obstacles
from allstop.supervisors.oracles import read_journal
from allstop.supervisors.outline import Line, outline

pytestmark = [pytest.mark.loopback, pytest.mark.slow]
START_S = 30.0
PRICE = Decimal(20000)  # far below the recorded market: nothing here would fill
STOP = StopLoss(trigger_price=Decimal(19000))

WRONG: Mapping[str, tuple[dict[str, Any], RefusalCode, str]] = {
    "no stop": ({"stop": None}, RefusalCode.NO_STOP, "stop"),
    "NaN price": ({"limit_price": Decimal("NaN")}, RefusalCode.BAD_PRICE, "limit_price"),
    "zero price": ({"limit_price": Decimal(0)}, RefusalCode.BAD_PRICE, "limit_price"),
    "negative price": ({"limit_price": -PRICE}, RefusalCode.BAD_PRICE, "limit_price"),
    "price off the tick": ({"limit_price": Decimal("20000.05")}, RefusalCode.OFF_TICK, "limit_price"),
    "NaN size": ({"qty": Decimal("NaN")}, RefusalCode.BAD_QTY, "qty"),
    "zero size": ({"qty": Decimal(0)}, RefusalCode.BAD_QTY, "qty"),
    "negative size": ({"qty": Decimal("-0.001")}, RefusalCode.BAD_QTY, "qty"),
    "stop off the tick": (
        {"stop": StopLoss(trigger_price=Decimal("19000.05"))}, RefusalCode.OFF_TICK, "stop.trigger_price",
    ),
    "unknown pair": ({"pair": "NOPE/USD"}, RefusalCode.UNKNOWN_PAIR, "pair"),
    "market with a price": ({"order_type": OrderType.MARKET}, RefusalCode.BAD_PRICE, "limit_price"),
}  # fmt: skip


def intent(**changed: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "pair": "BTC/USD", "side": Side.BUY, "qty": Decimal("0.001"), "limit_price": PRICE, "stop": STOP, **changed,
    }  # fmt: skip
    return OrderIntent(**fields)


async def trading(runtime: Runtime) -> None:
    """Waits until entries pass; a failure says what was in the way."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + START_S
    while found := obstacles(runtime):
        assert loop.time() < deadline_s, found
        await asyncio.sleep(0.02)


async def test_a_wrong_order_is_refused_by_name_and_goes_nowhere(tmp_path: Path) -> None:
    async with KrakenServer() as venue:
        tree = load_tree(str(engine.tree_file(tmp_path, venue)))
        async with Runtime(tree, environ=engine.keys(venue)) as runtime:
            await trading(runtime)
            told: dict[str, tuple[str, str]] = {}
            for name, (changed, _, _) in WRONG.items():
                with pytest.raises(Refused) as caught:
                    await runtime.submit(intent(**changed))
                told[name] = (caught.value.code, caught.value.place)
            assert told == {name: (code, place) for name, (_, code, place) in WRONG.items()}
            order = await runtime.submit(intent(id="the-right-one"))
            assert order.id == "the-right-one"
        sent = {one["cl_ord_id"] for one in engine.truth(venue)["orders"].values()}
    (path,) = (tmp_path / "state").glob("journal-kraken*.db")
    assert [row.key for row in read_journal(path).of("intent")] == ["the-right-one"]
    assert sent <= {"the-right-one"}


async def test_an_engine_that_starts_has_exactly_the_actors_of_its_outline(tmp_path: Path) -> None:
    async with KrakenServer() as venue:
        tree = load_tree(str(engine.tree_file(tmp_path, venue)))
        async with Runtime(tree, environ=engine.keys(venue)) as runtime:
            running = {
                info.path for info in runtime.system.actors() if not info.path.startswith("/anonymous/")
            }
    assert running == set(paths(outline(tree), "/"))
    assert runtime.leaked == []


def paths(line: Line, path: str) -> list[str]:
    below = [p for child in line.children for p in paths(child, f"{path.rstrip('/')}/{child.id}")]
    return [path, *below]
