"""How many entries one strategy may submit, and which strategies may submit none until a person says so.

A strategy with a bug can submit a thousand orders in a second. The venue's limits hold all the same, but each of those
orders would be durable, would live, and would take what the limits leave to the other strategies. So whoever submits
entries faster than the cap is **stopped**: its entries are refused, in this process and in those after it, until a
person resets it by name and with a reason. What leaves a position, and cancels, pass as before.

Counted is what would otherwise have been taken: a strategy that tries again and again while a gate is closed has done
nothing wrong.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from allstop.actors.commands import UNNAMED
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.limits.meter import Meter
from allstop.actors.protocols.records import Opaque, Record, StrategyStopped
from allstop.actors.runtime import Actor

# Names that are counted apart. More are not strategies, but one that calls itself something else each time: from here
# on new names are counted together.
NAMES_MAX: Final = 1_000


class ResetStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: this strategy may submit entries again. Answered with True once durable, or Refused where it is not
    stopped."""

    strategy: str
    by: str
    reason: str


class GetStopped(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: answered with {strategy: why} of those that may submit no entries."""


class EntryCaps:
    """In the name of `orders`, its owner. `per_s` entries a second, and as many at once, is what a strategy may submit;
    None: there is no cap. `keep` makes a record durable soon."""

    def __init__(self, owner: Actor, per_s: int | None, keep: Callable[[Record], None]) -> None:
        self._owner = owner
        self._per_s = per_s
        self._keep = keep
        self._meters: dict[str, Meter] = {}
        self._stopped: dict[str, str] = {}

    def recall(self, record: Record | Opaque) -> None:
        """Takes in what the journal says, in its order."""
        match record:
            case StrategyStopped(strategy=strategy, held=True, reason=reason):
                self._stopped[strategy] = reason
            case StrategyStopped(strategy=strategy):
                self._stopped.pop(strategy, None)
                self._meters.pop(strategy, None)
            case _:
                pass

    def refusal(self, strategy: str) -> Refused | None:
        """Counts one more entry. Why it is refused, or None."""
        if self._per_s is None:
            return None
        if strategy not in self._meters and len(self._meters) >= NAMES_MAX:
            strategy = UNNAMED
        if strategy not in self._stopped and not self._fits(strategy, self._per_s):
            why = f"more than {self._per_s} entries in a second"
            self._owner.log.error("strategy.stopped", strategy=strategy, reason=why)
            record = StrategyStopped(strategy=strategy, held=True, by=self._owner.path, reason=why)
            self.recall(record)
            self._keep(record)
        if (why := self._stopped.get(strategy)) is None:
            return None
        return Refused(
            RefusalCode.STRATEGY_STOPPED, f"{why}: stopped until a person resets it", place=strategy
        )

    def reset(self, request: ResetStrategy) -> StrategyStopped:
        """A person looked: what is to be made durable, and then recalled. Raises Refused where nothing is stopped."""
        if request.strategy not in self._stopped:
            raise Refused(
                RefusalCode.NOT_STOPPED, f"{request.strategy} is not stopped", place=self._owner.path
            )
        self._owner.log.warning(
            "strategy.reset", strategy=request.strategy, by=request.by, reason=request.reason
        )
        return StrategyStopped(strategy=request.strategy, held=False, by=request.by, reason=request.reason)

    def stopped(self) -> dict[str, str]:
        return dict(self._stopped)

    def _fits(self, strategy: str, per_s: int) -> bool:
        now_s = self._owner.clock.now_s()
        meter = self._meters.get(strategy) or Meter(max=per_s, decay_per_s=per_s, at_s=now_s)
        self._meters[strategy] = meter.taken(1, now_s)
        return meter.wait_s(1, now_s) == 0
