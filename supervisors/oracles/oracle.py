"""What all oracles have in common: they take facts in, find violations, and give a verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from allstop.supervisors.oracles.evidence import Verdict

VIOLATIONS_MAX = 50  # of one oracle in one run: the first is what matters, the rest shows its shape


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, when, and how one can see it."""

    oracle: str
    at_ns: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run is judged by. `ordered`: facts come in the order in which they happened, as a simulation tells them;
    otherwise those of the venue come first and rows afterwards, and only their times can be compared."""

    cover_s: float = 2.0
    recover_s: float = 30.0
    secrets: tuple[str, ...] = ()
    account: str | None = None  # judge this account alone; None: every one
    ordered: bool = True
    connects_max: int = 150  # Kraken: about 150 connects per rolling 10 minutes and IP
    permits: bool = False  # each connect has its permit on a disk whose rows are told
    in_flight_s: float = (
        7.0  # how long an order that was written may still arrive: its deadline and the clocks' skew
    )
    budgets: Mapping[str, tuple[int, float]] = field(
        default_factory=dict[str, tuple[int, float]]
    )  # restarts, seconds
    cooldowns: Mapping[str, float] = field(
        default_factory=dict[str, float]
    )  # of those that pause: how long at least
    probes: Mapping[str, tuple[str, int]] = field(
        default_factory=dict[str, tuple[str, int]]
    )  # of those that are probed: whose account, and how many good ones close the breaker


Takes = Mapping[type[Any], Callable[[Any], None]]


class Oracle:
    """One rule. `takes()` says which facts it wants; `passed` lets time pass; `verdict` may be asked at any time, and
    `finish` before the last one."""

    name: ClassVar[str] = ""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.violations: list[Violation] = []
        self.on_violation: Callable[[Violation], None] | None = None

    def takes(self) -> Takes:
        raise NotImplementedError

    def passed(self, at_ns: int) -> None:
        """Time has come to this moment. For rules that silence can break."""

    def finish(self, at_ns: int) -> None:
        """The run is over."""

    def found(self) -> str | None:
        """What the rule was proven on, in words; None when there was no occasion."""
        raise NotImplementedError

    def verdict(self) -> Verdict:
        if self.violations:
            return Verdict(self.name, False, "; ".join(one.why for one in self.violations[:5]))
        found = self.found()
        return Verdict(self.name, None if found is None else True, found or self.nothing())

    def nothing(self) -> str:
        return "there was no occasion"

    def broken(self, at_ns: int, why: str) -> None:
        if len(self.violations) < VIOLATIONS_MAX:
            violation = Violation(self.name, at_ns, why)
            self.violations.append(violation)
            if self.on_violation is not None:
                self.on_violation(violation)
