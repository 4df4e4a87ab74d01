"""What the matching engine counts of its clients, per account and pair, and the rules that they broke."""

from collections.abc import Callable

import msgspec

from allstop.actors.simulated.kraken.accounts import Account
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.counters import Counter, TierLimits
from allstop.actors.simulated.kraken.orders import OrderRequest
from allstop.actors.simulated.kraken.refusal import Refusal


class LimitBroken(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the venue that a client broke; told in the truth."""

    kind: str
    who: str
    wall_ns: int
    detail: str = ""


class EngineRates:
    """Rate counters and open orders of all accounts against a tier's limits. Without `counting` no rate refuses."""

    def __init__(self, limits: TierLimits, *, counting: bool) -> None:
        self.limits = limits
        self.counting = counting
        self.broken: list[LimitBroken] = []
        self.on_broken: Callable[[LimitBroken], None] = _nobody_listens
        self._counters: dict[tuple[str, str], Counter] = {}

    def counter(self, account: str, symbol: str) -> Counter:
        """The engine's rate counter of an account and pair."""
        key = (account, symbol)
        if key not in self._counters:
            self._counters[key] = Counter(self.limits.engine_max, self.limits.engine_decay)
        return self._counters[key]

    def count(self, account: str, symbol: str, cost: float, at: At) -> None:
        """Charges a command. Raises Refusal when it would exceed the maximum."""
        counter = self.counter(account, symbol)
        if not self.counting:
            return
        if not counter.admits(cost, at.now_s):
            detail = f"{symbol} at {counter.at(at.now_s):.2f} of {counter.maximum:g}, asked {cost:g}"
            self.broke("engine_rate", account, at, detail)
            raise Refusal("EOrder:Rate limit exceeded")
        counter.add(cost, at.now_s)

    def room(self, account: Account, request: OrderRequest, at: At) -> None:
        """Raises Refusal when the account may not have one more open order of this pair."""
        if (
            sum(order.pair.symbol == request.pair.symbol for order in account.open.values())
            >= self.limits.open_orders
        ):
            self.broke("open_orders", account.name, at, request.pair.symbol)
            raise Refusal("EOrder:Orders limit exceeded")

    def broke(self, kind: str, who: str, at: At, detail: str = "") -> None:
        """Writes down that a client broke a rule."""
        broken = LimitBroken(kind=kind, who=who, wall_ns=at.wall_ns, detail=detail)
        self.broken.append(broken)
        self.on_broken(broken)


def _nobody_listens(_: LimitBroken) -> None:
    return
