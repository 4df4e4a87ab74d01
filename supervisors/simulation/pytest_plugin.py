"""Fixtures for your own tests: your tree in a simulated world, in virtual time, judged by the oracles at the end.

```python
@pytest.fixture
def tree():
    return load_tree("tree.py")


def test_a_lost_connection_costs_no_order(world, venue, chaos, advance):
    order = world.submit(intent)
    chaos.cut("private")
    advance.until_trading()
    assert world.order(order.id).state == "FILLED"
```

Tests are plain functions; time passes only in `advance` and while an answer is waited for. pytest finds this module by
itself where allstop is installed. Nothing of allstop is imported before a test asks for a fixture.
"""

import asyncio
import inspect
import math
from collections.abc import Callable, Coroutine, Generator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from allstop.actors.commands import OrderView
    from allstop.actors.intents import OrderIntent
    from allstop.supervisors.build import Runtime
    from allstop.supervisors.config import Tree
    from allstop.supervisors.simulation.plan import FaultPlan
    from allstop.supervisors.simulation.stage import Stage
    from allstop.supervisors.submitted import Order

MARK: Final = "simulated"
TRADING_S: Final = 30.0


class OracleFailed(AssertionError):
    """The test passed, and yet a promise was broken: which, and how."""


class SimulatedTree:
    """The fixture `world`: your tree, running. `stage` is the same for code that is written with await."""

    def __init__(self, runner: asyncio.Runner, stage: "Stage") -> None:
        self._runner = runner
        self.stage = stage

    @property
    def runtime(self) -> "Runtime":
        """The running engine's. Raises NobodyThere while it is down."""
        return self.stage.runtime

    @property
    def now_s(self) -> float:
        """Virtual seconds since the world began."""
        return self.stage.world.now_s

    @property
    def events(self) -> list[str]:
        """What the tree told, a line each: `12.345000 CrashReport /strategies/breakout ...`."""
        return self.stage.events

    @property
    def log(self) -> list[str]:
        """What the tree logged."""
        return self.stage.log

    @property
    def lives(self) -> int:
        """How many processes of the engine were started."""
        return self.stage.lives

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs anything that is awaited; time passes while it waits."""
        if not asyncio.iscoroutine(coroutine):
            raise pytest.UsageError(
                f"world.run takes what an async function gives, not {type(coroutine).__name__}"
            )
        return self._runner.run(coroutine)

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begins it and returns at once: `world.result(task)` waits for what comes of it."""

        async def begin() -> asyncio.Task[Any]:
            task = asyncio.create_task(coroutine)
            await asyncio.sleep(0)
            return task

        return self._runner.run(begin())

    def result(self, task: "asyncio.Task[Any]") -> Any:
        """What came of it; raises what it raised."""

        async def wait() -> Any:
            return await task

        return self._runner.run(wait())

    def submit(self, intent: "OrderIntent", *, account: str | None = None) -> "Order":
        """`runtime.submit`. Raises Refused."""
        return self.run(self.stage.submit(intent, account=account))

    def order(self, intent_id: str, *, account: str | None = None) -> "OrderView | None":
        """What the engine knows of an order now."""
        order = self.run(self.stage.ask(self.runtime.order(intent_id, account=account)))
        return None if order is None else order.view

    def call(self, path: str, message: Any, timeout_s: float = 5.0) -> Any:
        """Asks the actor at this path of the tree, one of your own for instance."""
        return self.run(self.stage.ask(self.runtime.address(path).call(message, timeout_s=timeout_s)))

    def halt(self, reason: str = "a test") -> None:
        """Halts, and waits for the proof."""
        self.run(self.stage.halt(reason))

    def hurt(self, plan: "FaultPlan | str", *, duration_s: float = 60.0) -> None:
        """Carries out a plan of faults, or one of a profile ("calm", "bad-day", "hell"), until all has healed."""
        self.run(self.stage.hurt(plan, duration_s=duration_s))


class Venue:
    """The fixture `venue`: what really happened, and what shall go wrong there."""

    def __init__(self, world: SimulatedTree) -> None:
        self._world = world

    def truth(self) -> dict[str, Any]:
        """Everything, as the venue knows it: orders, executions, positions, cover, duplicates, limits_broken, ..."""
        return self._world.stage.venue.truth()

    def orders(self, *, open_only: bool = False) -> list[dict[str, Any]]:
        """Its orders, the oldest first."""
        return [order for order in self.truth()["orders"].values() if order["open"] or not open_only]

    def executions(self) -> list[dict[str, Any]]:
        return self.truth()["executions"]

    def fill(self, client_id: str, qty: Decimal | None = None) -> None:
        """The market comes to a resting order and takes so much of it, by default all that is left."""
        self._world.run(self._done(lambda: self._world.stage.venue.come_to(client_id, qty)))

    def by_hand(self, method: str, **params: Any) -> Any:
        """What a person does past the engine: a private REST method of the venue, its parameters, its result."""
        return self._world.run(self._done(lambda: self._world.stage.venue.by_hand(method, **params)))

    async def _done(self, act: Callable[[], Any]) -> Any:
        return act()

    def sent(self, client_id: str) -> list[dict[str, Any]]:
        """The orders that it took under this client id: of one intent, never more than one."""
        return [order for order in self.orders() if order["cl_ord_id"] == client_id]

    def position(self, symbol: str, *, account: str = "main") -> Decimal:
        """The net of what was executed, above 0 when bought."""
        return Decimal(self.truth()["positions"].get(account, {}).get(symbol, "0"))

    def cover(self, symbol: str, *, account: str = "main") -> dict[str, Any]:
        """How its stops stand to its position: `uncovered_ms_max` while reachable, and more; {} before any trade."""
        return self.truth()["cover"].get(account, {}).get(symbol, {})

    def asked(self, method: str) -> list[dict[str, Any]]:
        """The private requests of this method, named as either face names it (AddOrder, add_order)."""
        wanted = _plain(method)
        return [request for request in self.truth()["requests"] if _plain(request["method"]) == wanted]

    def bid(self, symbol: str) -> Decimal:
        """The best price at which one can sell now. Fails the test when nobody buys."""
        return self._touch(symbol, "bid")

    def ask(self, symbol: str) -> Decimal:
        """The best price at which one can buy now. Fails the test when nobody sells."""
        return self._touch(symbol, "ask")

    def _touch(self, symbol: str, side: str) -> Decimal:
        market = self._world.stage.venue.kraken.venue.engine.markets[symbol]
        found = market.best_bid() if side == "bid" else market.best_ask()
        if found is None:
            pytest.fail(f"the book of {symbol} has no {side}")
        return found[0]

    def fault(self, kind: str, **fields: Any) -> None:
        """Has the venue do something wrong: the kinds and fields of its POST /faults. Raises BadFault."""
        self._world.run(self._world.stage.venue.fault(kind, **fields))

    def price(self, symbol: str, price: Any) -> None:
        """A public trade at this price; stops trigger on it."""
        self.fault("print", symbol=symbol, price=str(price))


def _plain(method: str) -> str:
    return method.replace("_", "").lower()


class Hand:
    """The fixture `chaos`: the verbs of a chaos script, each carried out at once: `chaos.kill("/strategies/breakout")`,
    `chaos.cut("private")`, `chaos.die(power=True, down_s=3.0)`."""

    def __init__(self, world: SimulatedTree) -> None:
        self._world = world

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        chaos = self._world.stage.chaos
        act = None if verb.startswith("_") else getattr(chaos, verb, None)
        if not callable(act):
            verbs = [
                name for name in dir(chaos) if not name.startswith("_") and callable(getattr(chaos, name))
            ]
            raise AttributeError(f"chaos has no verb {verb!r}; it has {', '.join(verbs)}")

        def now(*args: Any, **fields: Any) -> Any:
            done = act(*args, **fields)
            return self._world.run(done) if asyncio.iscoroutine(done) else done

        return now


class Advance:
    """The fixture `advance`: time passes. `advance(2.5)` lets virtual seconds go by."""

    def __init__(self, world: SimulatedTree) -> None:
        self._world = world

    def __call__(self, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise pytest.UsageError(
                f"advance takes virtual seconds, 0 or more and not for ever: not {seconds!r}"
            )
        self._world.run(asyncio.sleep(seconds))

    def until_trading(self, timeout_s: float = TRADING_S) -> float:
        """Until entries pass; the virtual seconds that it took. Raises NotTrading with what is in the way."""
        return self._world.run(self._world.stage.until_trading(timeout_s))

    def until(self, condition: Callable[[], object], timeout_s: float = 10.0, look_s: float = 0.01) -> float:
        """Until the condition holds; the virtual seconds that it took. Fails the test after `timeout_s`."""
        if not callable(condition):
            raise pytest.UsageError(
                f"advance.until takes a function that is asked again and again, not {condition!r}: write lambda: ..."
            )
        began_s = self._world.now_s
        while not condition():
            if self._world.now_s - began_s >= timeout_s:
                pytest.fail(f"not so after {timeout_s:g} virtual seconds: {condition}")
            self(look_s)
        return self._world.now_s - began_s


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARK}(seed=0, judged=True): the seed of the simulated world; whether the oracles judge at the end"
    )  # fmt: skip


@pytest.fixture
def tree() -> "Tree":
    """The tree under test. Override it with your own; this one has the default tree's account and data, and no
    strategies, so that only what the test submits is traded."""
    from allstop.supervisors.simulation.trees import bare

    return bare()


@pytest.fixture
def world(request: pytest.FixtureRequest, tree: "Tree") -> Generator[SimulatedTree]:
    """The tree in its simulated world, trading. After the test it is halted and stopped, and the oracles judge: a
    promise that was broken fails the test."""
    # Imported here: pytest loads this module in every project that has allstop installed.
    from allstop.actors.clock import ids_from
    from allstop.actors.runtime.virtual_time import VirtualTimeLoop
    from allstop.supervisors.simulation.stage import Stage, broken

    seed, judged = _asked(request)
    _check(request, tree)
    stage = Stage(tree, seed=seed)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(stage.__aenter__())
        ended = False
        try:
            runner.run(stage.until_trading())
            with ids_from(stage.scene.ids):  # the test itself is no part of what the runner runs
                yield SimulatedTree(runner, stage)
            runner.run(stage.__aexit__(None, None, None))
            ended = True
        finally:
            if not ended:
                given_up = RuntimeError("the test is over")
                runner.run(stage.__aexit__(RuntimeError, given_up, None))
    if judged and (why := broken(stage.verdicts)):
        raise OracleFailed("; ".join(why))


def _asked(request: pytest.FixtureRequest) -> tuple[int, bool]:
    """Seed and judged, of the marker. Raises UsageError."""
    mark = request.node.get_closest_marker(MARK)
    if mark is None:
        return 0, True
    asked: dict[str, Any] = dict(mark.kwargs)
    seed, judged = asked.pop("seed", 0), asked.pop("judged", True)
    if asked or mark.args:
        wrong = ", ".join([*asked, *map(repr, mark.args)])
        raise pytest.UsageError(
            f"{MARK} takes seed and judged, not {wrong}: write @pytest.mark.{MARK}(seed=7)"
        )
    if type(seed) is not int or seed < 0:
        raise pytest.UsageError(f"{MARK}: seed is a number from 0 on, not {seed!r}")
    if type(judged) is not bool:
        raise pytest.UsageError(f"{MARK}: judged is True or False, not {judged!r}")
    return seed, judged


def _check(request: pytest.FixtureRequest, tree: object) -> None:
    """What would fail later, and less clearly. Raises UsageError."""
    from allstop.supervisors.config import Tree

    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        raise pytest.UsageError(
            f"{request.node.name} is an async function, and a test with `world` is a plain one: virtual time passes in "
            "advance(...) and while world waits for an answer; world.run(coroutine) is for what is awaited"
        )
    if not isinstance(tree, Tree):
        raise pytest.UsageError(
            f"the fixture `tree` gave {type(tree).__name__}, not a tree: it returns what halt_root(...) gives"
        )


@pytest.fixture
def venue(world: SimulatedTree) -> Venue:
    """The simulated venue behind every address of the tree."""
    return Venue(world)


@pytest.fixture
def chaos(world: SimulatedTree) -> Hand:
    """What breaks things: actors, links, the disk, the process, the clock."""
    return Hand(world)


@pytest.fixture
def advance(world: SimulatedTree) -> Advance:
    """Lets virtual time pass."""
    return Advance(world)
