"""From a plan that fails to a smaller one that fails too: fewer faults, a shorter run, simpler numbers. Pure search.

Delta debugging (Zeller and Hildebrandt, 2002) finds the faults that matter; then the run is cut down to them, and each
number is brought towards the simplest of its range. Whatever still fails is kept. As one of these opens the way for
another, they take turns until none helps, or the tries are spent.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from allstop.supervisors.simulation.faults import CATALOGUE, Fault, Pair, Value
from allstop.supervisors.simulation.plan import FAULTED_MIN_S, QUIET_S, FaultPlan, in_order

TRIES_MAX = 300  # runs; one of three minutes takes a second or so
FIRST_S = 1.0  # a tree has started by then


class Shrinking(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search is: the smallest plan that failed so far, and the tries spent on it."""

    plan: FaultPlan
    tries: int
    tries_max: int


def shrunk(
    plan: FaultPlan,
    fails: Callable[[FaultPlan], bool],
    *,
    tries_max: int = TRIES_MAX,
    on_try: Callable[[Shrinking], None] | None = None,
) -> Shrinking:
    """The smallest plan found that fails as this one does. `fails` runs a plan and says so; it is called at most
    `tries_max` times, never twice with the same plan, and not with `plan` itself, which must be known to fail."""
    search = _Search(plan, fails, tries_max, on_try)
    while search.left and any([search.fewer(), search.shorter(), search.simpler()]):
        pass
    return search.now


class _Search:
    """The smallest plan that failed so far. Each step says whether it made that smaller."""

    def __init__(
        self,
        plan: FaultPlan,
        fails: Callable[[FaultPlan], bool],
        tries_max: int,
        on_try: Callable[[Shrinking], None] | None,
    ) -> None:
        self._best = plan
        self._fails = fails
        self._tries = 0
        self._tries_max = tries_max
        self._on_try = on_try
        self._seen = {_key(plan)}

    @property
    def now(self) -> Shrinking:
        return Shrinking(plan=self._best, tries=self._tries, tries_max=self._tries_max)

    @property
    def left(self) -> bool:
        return self._tries < self._tries_max

    def fewer(self) -> bool:
        """Leaves out halves of the faults, then quarters, down to single ones."""
        before = len(self._best.faults)
        parts = 2
        while self._best.faults and self.left:
            faults = self._best.faults
            size = max(1, len(faults) // parts)
            if any(self._try_faults((*faults[:n], *faults[n + size :])) for n in range(0, len(faults), size)):
                parts = max(2, parts - 1)  # what is left is looked at anew
            elif size == 1:
                break
            else:
                parts = min(len(faults), parts * 2)
        return len(self._best.faults) < before

    def shorter(self) -> bool:
        """Ends the run soon after the last fault, and begins with the first."""
        before = self._best.duration_s
        self._try_plan(_cut(self._best))
        faults = self._best.faults
        if faults and faults[0].at_s > FIRST_S:
            for early_s in (faults[0].at_s - FIRST_S, (faults[0].at_s - FIRST_S) / 2):
                if self._try_plan(
                    _cut(_with(self._best, [_at(fault, fault.at_s - early_s) for fault in faults]))
                ):
                    break
        return self._best.duration_s < before

    def simpler(self) -> bool:
        """Brings each number of each fault to the simplest of its range, or half the way, or to a round one."""
        changed = False
        for place in range(len(self._best.faults)):
            for other in _simpler(self._best.faults[place]):
                faults = list(self._best.faults)
                faults[place] = other
                if self._try_faults(faults):
                    changed = True
                    break
        return changed

    def _try_faults(self, faults: Sequence[Fault]) -> bool:
        return self._try_plan(_with(self._best, faults))

    def _try_plan(self, plan: FaultPlan) -> bool:
        key = _key(plan)
        if key in self._seen or not self.left:
            return False
        self._seen.add(key)
        self._tries += 1
        failed = self._fails(plan)
        if failed:
            self._best = plan
        if self._on_try is not None:
            self._on_try(self.now)
        return failed


def _simpler(fault: Fault) -> Iterator[Fault]:
    """One thing simpler each, the boldest first."""
    kind = CATALOGUE[fault.kind]
    plainest: dict[str, Value] = {
        name: fault.params[name] if isinstance(param, Pair) else param.simplest
        for name, param in kind.params.items()
    }
    if kind.lasts is not None:
        yield msgspec.structs.replace(fault, params=plainest, lasts_s=kind.lasts.low)
    yield msgspec.structs.replace(fault, params=plainest)
    for name, value in plainest.items():
        yield msgspec.structs.replace(fault, params={**fault.params, name: value})
        was = fault.params[name]
        if isinstance(was, float) and isinstance(value, float):
            yield msgspec.structs.replace(fault, params={**fault.params, name: round((was + value) / 2, 2)})
        elif type(was) is int and type(value) is int:
            yield msgspec.structs.replace(fault, params={**fault.params, name: (was + value) // 2})
    if kind.lasts is not None:
        yield msgspec.structs.replace(fault, lasts_s=kind.lasts.low)
        yield msgspec.structs.replace(fault, lasts_s=max(kind.lasts.low, round(fault.lasts_s / 2, 1)))
    yield _at(fault, float(round(fault.at_s)))
    yield _at(fault, round(fault.at_s, 1))


def _at(fault: Fault, at_s: float) -> Fault:
    return msgspec.structs.replace(fault, at_s=round(max(0.0, at_s), 3))


def _with(plan: FaultPlan, faults: Sequence[Fault]) -> FaultPlan:
    return msgspec.structs.replace(plan, faults=in_order(faults))


def _cut(plan: FaultPlan) -> FaultPlan:
    """The run ends when the tree has had its time after the last fault."""
    quiet_from_s = max([FAULTED_MIN_S, *(fault.ends_s for fault in plan.faults)])
    quiet_from_s = min(plan.quiet_from_s, int(quiet_from_s) + 1.0)
    return msgspec.structs.replace(plan, quiet_from_s=quiet_from_s, duration_s=quiet_from_s + QUIET_S)


def _key(plan: FaultPlan) -> bytes:
    return msgspec.json.encode((plan.duration_s, plan.faults))
