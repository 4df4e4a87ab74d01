"""pipeline: feed, strategy and order tracker as three actors with msgspec messages; see market.py for what they do."""

from typing import Any

from tests.benchmarks import market
from tests.benchmarks.harness import BEAM, PYKKA, RAW, Beam, Python, Workload
from tests.benchmarks.measuring import amount, now_ns, per_second, run, settle
from tests.benchmarks.workload_tell import GET

from allstop.actors.runtime import Actor, ActorSystem

IN_FLIGHT = 1000  # ticks between two synchronisations: as many as a mailbox holds by default


class Feed(Actor, market.Feed):
    def __init__(self, strategy: Any) -> None:
        market.Feed.__init__(self, strategy)

    def on_receive(self, message: Any) -> Any:
        return 0 if message is GET else self.on(message)


class Strategy(Actor, market.Strategy):
    def __init__(self, tracker: Any) -> None:
        market.Strategy.__init__(self, tracker)
        self.address = self.ref

    def on_receive(self, message: Any) -> Any:
        return self.acknowledged if message is GET else self.on(message)


class Tracker(Actor, market.Tracker):
    def __init__(self) -> None:
        market.Tracker.__init__(self)

    def on_receive(self, message: Any) -> Any:
        return self.orders if message is GET else self.on(message)


def pipeline() -> float:
    async def main() -> float:
        count = amount(200_000, at_least=IN_FLIGHT)
        async with ActorSystem() as system:
            tracker = await system.spawn(Tracker)
            strategy = await system.spawn(Strategy, tracker)
            feed = await system.spawn(Feed, strategy)
            stages = (feed, strategy, tracker)
            settle()
            started = now_ns()
            for number in range(count):
                feed.tell(market.tick(number))
                if number % IN_FLIGHT == IN_FLIGHT - 1:
                    for stage in stages:
                        await stage.call(GET)
            for stage in stages:
                await stage.call(GET)
            orders, acknowledged = await tracker.call(GET), await strategy.call(GET)
            took = now_ns() - started
            market.check(count, orders, acknowledged)
            return per_second(count, took)

    return run(main)


WORKLOADS = [
    Workload(
        name="pipeline",
        slices=3,
        unit="ticks/s",
        about="200,000 ticks through feed, strategy and order tracker; an order and its acknowledgement every tenth",
        ours=Python("tests.benchmarks.workload_pipeline:pipeline"),
        peers={
            RAW: Python("tests.benchmarks.raw:pipeline", caveat="plain method calls"),
            BEAM: Beam("pipeline"),
            PYKKA: Python("tests.benchmarks.threads:pipeline"),
        },
    ),
]
