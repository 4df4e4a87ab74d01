"""Turns at an endpoint: when a child may be started against it, whichever supervisor it stands under. Pure.

A venue bans who reconnects too often, and does not care which of our supervisors restarted what. So attempts against
one endpoint pass one gate: `burst` of them at once, then one each `spacing_s`, in the order in which they asked.

    CLOSED     nothing waits, and what started last stayed up
    OPEN       starts wait: for their turn, or for their backoff
    HALF_OPEN  nothing waits, and something that started is still on trial

A place in line is a promise of the earliest moment. The attempt itself is metered when it is made, so one that came
late, because its supervisor was busy, pushes those behind it back: two are never nearer than the spacing. When one
leaves the line those behind it move up, and whoever they belong to is to be told (`leave` gives their names).
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from allstop.actors.errors import BadInput, Problem
from allstop.actors.runtime.arguments import want
from allstop.actors.spec import ChildSpec, RestartGate
from allstop.supervisors.errors import InvalidChildSpec

STALE_S = 60.0  # whoever does not use its turn for so long is gone, and nobody told us
_SLACK_S = 1e-9  # a timer that is due and the clock it is read on may differ by a rounding


class GateState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class GateView:
    """A gate as it stands: who waits, each with the time of its turn (the supervisors' clock), and who is on trial."""

    name: str
    state: GateState
    waiting: tuple[tuple[str, float], ...]
    on_trial: tuple[str, ...]


class Gate:
    """One endpoint's meter and line. It changes in place, as it belongs to all supervisors of a system."""

    __slots__ = ("_backing_off", "_full_at_s", "_line", "_told", "_trials", "spec")

    def __init__(self, spec: RestartGate) -> None:
        self.spec = spec
        self._full_at_s = -math.inf  # when all tokens are back, if nobody takes one
        self._line: dict[str, float] = {}  # who waits, and when its turn is
        self._backing_off: dict[str, float] = {}  # who will ask, and when
        self._trials: dict[str, float] = {}  # who started, and until when it has to stay up
        self._told = (GateState.CLOSED, 0)

    def ask(self, who: str, now_s: float) -> float:
        """0.0: the turn is now, and it is used up. Else the seconds until it is; the place in line is kept."""
        self._forget(now_s)
        self._backing_off.pop(who, None)
        due_s = self._line.get(who)
        if due_s is None:
            due_s = self._behind_all(now_s)
        elif due_s <= now_s + _SLACK_S:  # its turn has come, unless somebody before it was late
            due_s = max(now_s, self._free_s(self._full_at_s))
        if due_s <= now_s + _SLACK_S:
            self._line.pop(who, None)
            self._full_at_s = max(self._full_at_s, now_s) + self.spec.spacing_s
            return 0.0
        self._line[who] = due_s
        return due_s - now_s

    def ahead(self, who: str) -> int:
        """How many have their turn before `who`."""
        mine = self._line.get(who, math.inf)
        return sum(due_s < mine for due_s in self._line.values())

    def back_off(self, who: str, until_s: float) -> None:
        """It failed and will ask again at `until_s`."""
        self._trials.pop(who, None)
        self._backing_off[who] = until_s

    def started(self, who: str, now_s: float, trial_s: float) -> None:
        """The attempt came to a running child, which is on trial for `trial_s`."""
        self._trials[who] = now_s + trial_s

    def leave(self, who: str, now_s: float) -> tuple[str, ...]:
        """It does not want to start any more, or it ended: its place goes, and what it used is used. Gives who moved
        up: their turn comes earlier than they were told."""
        left = self._line.pop(who, None)
        self._backing_off.pop(who, None)
        self._trials.pop(who, None)
        return () if left is None else self._move_up(now_s)

    def leave_all(self, path: str, now_s: float) -> tuple[str, ...]:
        """All children of the supervisor at `path` leave. Gives who moved up."""
        moved = dict[str, None]()
        for who in [*self._line, *self._backing_off, *self._trials]:
            if supervisor_of(who) == path:
                moved |= dict.fromkeys(self.leave(who, now_s))
        return tuple(moved)

    def due_s(self, who: str) -> float | None:
        """When its turn is; None when it does not wait for one."""
        return self._line.get(who)

    def view(self, now_s: float) -> GateView:
        self._forget(now_s)
        waiting = sorted([*self._line.items(), *self._backing_off.items()], key=lambda entry: entry[1])
        if waiting:
            state = GateState.OPEN
        else:
            state = GateState.HALF_OPEN if self._trials else GateState.CLOSED
        return GateView(self.spec.name, state, tuple(waiting), tuple(self._trials))

    def changed(self, now_s: float) -> GateView | None:
        """The gate as it stands, when its state or its line is not what was told last."""
        view = self.view(now_s)
        now = (view.state, len(view.waiting))
        if now == self._told:
            return None
        self._told = now
        return view

    def _move_up(self, now_s: float) -> tuple[str, ...]:
        full_at_s, moved = self._full_at_s, list[str]()
        for who, due_s in sorted(self._line.items(), key=lambda entry: entry[1]):
            earliest_s = min(due_s, max(now_s, self._free_s(full_at_s)))
            if earliest_s < due_s - _SLACK_S:
                self._line[who] = earliest_s
                moved.append(who)
            full_at_s = max(full_at_s, earliest_s, now_s) + self.spec.spacing_s
        return tuple(moved)

    def _behind_all(self, now_s: float) -> float:
        full_at_s, last_s = self._full_at_s, now_s
        for due_s in sorted(self._line.values()):
            last_s = max(due_s, now_s)
            full_at_s = max(full_at_s, last_s) + self.spec.spacing_s
        return max(last_s, self._free_s(full_at_s))

    def _free_s(self, full_at_s: float) -> float:
        return full_at_s - (self.spec.burst - 1) * self.spec.spacing_s

    def _forget(self, now_s: float) -> None:
        for waiting in (self._line, self._backing_off):
            for who in [who for who, due_s in waiting.items() if now_s - due_s > STALE_S]:
                del waiting[who]
        for who in [who for who, until_s in self._trials.items() if now_s >= until_s]:
            del self._trials[who]


def supervisor_of(who: str) -> str:
    """The path of the supervisor whose child stands in line under this name."""
    return who.rpartition("/")[0] or "/"


class Gates:
    """All gates of a system, by name."""

    def __init__(self, gates: Iterable[RestartGate] = ()) -> None:
        self._gates: dict[str, Gate] = {}
        self.declare(*gates)

    def declare(self, *gates: RestartGate) -> None:
        """Makes these gates known. Raises BadInput for numbers that make no gate, or for another gate of that name."""
        for gate in gates:
            want("gates", gate, RestartGate, "a RestartGate")
        if problems := [Problem(wrong) for gate in gates if (wrong := wrong_gate(gate))]:
            raise BadInput(*problems)
        for gate in gates:
            known = self._gates.setdefault(gate.name, Gate(gate))
            if known.spec != gate:
                raise BadInput(Problem(f"gate {gate.name!r} is {known.spec}: it cannot also be {gate}"))

    def get(self, name: str) -> Gate:
        """The gate of this name. Raises InvalidChildSpec when none was declared."""
        if name not in self._gates:
            raise InvalidChildSpec("unknown_gate", name)
        return self._gates[name]

    def all(self) -> tuple[Gate, ...]:
        return tuple(self._gates.values())

    def check(self, specs: Iterable[ChildSpec]) -> None:
        """Raises InvalidChildSpec for the first spec that names a gate which was not declared."""
        for spec in specs:
            if spec.gate is not None:
                self.get(spec.gate)

    def views(self, now_s: float) -> tuple[GateView, ...]:
        return tuple(gate.view(now_s) for gate in self._gates.values())


def longest_wait_s(gates: Iterable[RestartGate], named: Iterable[str | None]) -> float:
    """The longest that a start of all children which name these gates, once each, can wait for their turns."""
    many = Counter(named)
    return sum(max(0, many[gate.name] - gate.burst) * gate.spacing_s for gate in gates)


def wrong_gate(gate: RestartGate) -> str:
    """What is wrong with a gate, in words; empty when nothing is."""
    if not isinstance(gate.name, str) or not gate.name:
        return f"a gate is named after its endpoint, not {gate.name!r}"
    if isinstance(gate.spacing_s, bool) or not isinstance(gate.spacing_s, (int, float)):
        return f"gate {gate.name!r}: spacing_s is a number of seconds, not {gate.spacing_s!r}"
    if not (math.isfinite(gate.spacing_s) and gate.spacing_s > 0):
        return f"gate {gate.name!r}: spacing_s is above 0, not {gate.spacing_s!r}"
    if isinstance(gate.burst, bool) or not isinstance(gate.burst, int) or gate.burst < 1:
        return f"gate {gate.name!r}: burst is a whole number of at least 1, not {gate.burst!r}"
    return ""
