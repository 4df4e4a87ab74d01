"""A demo is judged when it is known of every order whether the venue has it, and not for ever later."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from allstop.actors.clock import LoopClock
from allstop.supervisors.demo.run import _beyond_doubt  # pyright: ignore[reportPrivateUsage]

pytestmark = pytest.mark.virtual


class Orders:
    """Tells the states of three orders; the last is in doubt until `settled_s`."""

    def __init__(self, state: str, settled_s: float) -> None:
        self.state = state
        self.settled_s = settled_s

    async def call(self, message: object, timeout_s: float) -> list[Any]:
        del message, timeout_s
        over = asyncio.get_running_loop().time() >= self.settled_s
        states = ("FILLED", "CANCELED", "NOT_PLACED" if over else self.state)
        return [SimpleNamespace(state=state) for state in states]


async def waited_s(state: str, settled_s: float) -> float:
    loop = asyncio.get_running_loop()
    runtime: Any = SimpleNamespace(orders=lambda: Orders(state, settled_s))
    began_s = loop.time()
    await _beyond_doubt(runtime, LoopClock(loop), began_s + 15.0)
    return loop.time() - began_s


@pytest.mark.parametrize("state", ["SENT", "UNKNOWN", "CHECKING"])
async def test_an_order_in_doubt_is_waited_for(state: str) -> None:
    assert await waited_s(state, 7.0) == pytest.approx(7.0, abs=0.2)


async def test_what_stays_in_doubt_is_judged_as_it_stands() -> None:
    assert await waited_s("UNKNOWN", 1000.0) == pytest.approx(15.0, abs=0.2)


async def test_nobody_waits_for_an_order_that_stands_open() -> None:
    assert await waited_s("NEW", 1000.0) == 0.0
