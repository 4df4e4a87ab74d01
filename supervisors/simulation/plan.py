"""Which faults a run meets, and when: made from the seed by a pure function.

Swarm testing (Groce et al., 2012): each seed enables a random part of its profile's kinds. A run that meets only two of
forty kinds, often, gets into states that one that meets all of them a little never sees.

A plan is over `QUIET_S` before its run ends. Then every fault has healed, and the tree has time to trade again.
"""

from collections.abc import Sequence

import msgspec

from allstop.actors.clock import Dice, SeededDice
from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.simulation.faults import (
    CATALOGUE,
    NOW,
    Fault,
    Kind,
    Pair,
    Target,
    Value,
)
from allstop.supervisors.simulation.profiles import Profile, profile_of

QUIET_S = 45.0  # 30 for the tree to trade again, 15 for what still hangs when the last fault heals to run out
FAULTED_MIN_S = 5.0
FAULTS_MAX = (
    5000  # a plan is a value that people read; a run of a day in hell has more, and meets them in turn
)
TOGETHER_S = 1.0

# Where chance may hit a tree: never the root or its own children (supervisors/chaos/victims.py says why).
ACTORS = (
    "/accounts/*",
    "/accounts/*/store",
    "/accounts/*/store/*",
    "/accounts/*/guardian",
    "/accounts/*/trading",
    "/accounts/*/trading/*",
    "/accounts/*/trading/*",  # the most of what runs, so the most of what is hit
    "/accounts/*/trading/trackers/*",
    "/data/*",
    "/data/*/*",
    "/strategies/*",
    "/infrastructure/*",
)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a world has that can be hurt. `actors` are patterns: `*` stands for one name in a path."""

    links: tuple[str, ...] = ("rest", "public", "private")
    venues: tuple[str, ...] = ("kraken",)
    disks: tuple[str, ...] = ("runtime", "kraken.main")  # by the chain of rows that is on it
    hosts: tuple[str, ...] = ("host",)
    actors: tuple[str, ...] = ACTORS
    pairs: tuple[str, ...] = ("BTC/USD", "ETH/USD")

    def targets(self, on: Target) -> tuple[str, ...]:
        match on:
            case Target.LINK:
                return self.links
            case Target.VENUE:
                return self.venues
            case Target.DISK:
                return self.disks
            case Target.HOST:
                return self.hosts
            case Target.ACTOR:
                return self.actors


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The faults of one run in the order in which they begin. Times count from the start of the run. From
    `quiet_from_s` on there are none, and all have healed. `enabled` are the kinds that the seed chose among."""

    seed: int
    profile: str
    duration_s: float
    quiet_from_s: float
    enabled: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def kinds(self) -> dict[str, int]:
        """How many there are of each kind, by name."""
        counted: dict[str, int] = {}
        for fault in self.faults:
            counted[fault.kind] = counted.get(fault.kind, 0) + 1
        return dict(sorted(counted.items()))


def make_plan(seed: int, profile: str | Profile, duration_s: float, shape: Shape | None = None) -> FaultPlan:
    """The plan of this seed; the same for the same arguments, on every machine. Raises BadInput for a profile that is
    not there, and for a run that is too short to meet a fault and to recover from it."""
    chosen = profile_of(profile) if isinstance(profile, str) else profile
    shape = shape or Shape()
    quiet_from_s = round(duration_s - QUIET_S, 3)
    if quiet_from_s < FAULTED_MIN_S:
        said = f"{duration_s:g} s are too short: {FAULTED_MIN_S:g} s of faults and {QUIET_S:g} s to recover are needed"
        raise BadInput(Problem(said, "duration_s"))
    dice = SeededDice(f"plan:{chosen.name}:{seed}")
    enabled = _enabled(chosen, quiet_from_s, shape, dice)
    count = _count(chosen, quiet_from_s, dice) if enabled else 0
    faults: list[Fault] = []
    at_s = 0.0
    for _ in range(count):
        kind = _weighted(enabled, chosen, dice)
        near = dice.draw() < chosen.together and faults
        at_s = at_s + TOGETHER_S * dice.draw() if near else quiet_from_s * dice.draw()
        faults.append(_drawn(kind, chosen, at_s, quiet_from_s, shape, dice))
    return FaultPlan(
        seed=seed,
        profile=chosen.name,
        duration_s=duration_s,
        quiet_from_s=quiet_from_s,
        enabled=tuple(kind.name for kind in enabled),
        faults=in_order(faults),
    )


def in_order(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """By when they begin; those of the same moment stay as they were."""
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _enabled(profile: Profile, quiet_from_s: float, shape: Shape, dice: Dice) -> list[Kind]:
    """The kinds of this seed: each by a draw of its own, and at least one where there is any."""
    possible = [
        CATALOGUE[name] for name in sorted(profile.kinds) if _fits(CATALOGUE[name], quiet_from_s, shape)
    ]
    enabled = [kind for kind in possible if dice.draw() < profile.share * min(1.0, profile.kinds[kind.name])]
    lot = dice.draw()
    return enabled or possible[int(lot * len(possible)) :][:1]


def _fits(kind: Kind, quiet_from_s: float, shape: Shape) -> bool:
    """There is something to do it to, and time for it: the venue's own ban lasts ten minutes."""
    if kind.lasts is not None and kind.lasts.low > quiet_from_s / 2:
        return False
    pairs = shape.pairs or not any(isinstance(param, Pair) for param in kind.params.values())
    return bool(shape.targets(kind.on)) and bool(pairs)


def _count(profile: Profile, faulted_s: float, dice: Dice) -> int:
    """How many: the seed's own rate times the time, the rest by a draw, so that short runs meet some too."""
    wanted = profile.per_minute.drawn(dice.draw()) * faulted_s / 60
    return min(FAULTS_MAX, int(wanted) + (dice.draw() < wanted % 1))


def _weighted(kinds: Sequence[Kind], profile: Profile, dice: Dice) -> Kind:
    left = dice.draw() * sum(profile.kinds[kind.name] for kind in kinds)
    for kind in kinds:
        left -= profile.kinds[kind.name]
        if left < 0:
            return kind
    return kinds[-1]


def _drawn(kind: Kind, profile: Profile, at_s: float, quiet_from_s: float, shape: Shape, dice: Dice) -> Fault:
    """One fault of this kind, near `at_s`: one that would not be over in time begins earlier or lasts less long."""
    targets = profile.aim.get(kind.name) or shape.targets(kind.on)
    target = targets[int(dice.draw() * len(targets))]
    params: dict[str, Value] = {}
    narrow = profile.narrow.get(kind.name, {})
    for name, whole in kind.params.items():
        draw, param = dice.draw(), narrow.get(name, whole)
        params[name] = (
            shape.pairs[int(draw * len(shape.pairs))] if isinstance(param, Pair) else param.drawn(draw)
        )
    lasts_s = float(kind.lasts.drawn(dice.draw())) if kind.lasts is not None else 0.0
    return _in_time(
        Fault(at_s=round(at_s, 3), kind=kind.name, target=target, params=params, lasts_s=round(lasts_s, 3)),
        quiet_from_s,
    )


def _in_time(fault: Fault, quiet_from_s: float) -> Fault:
    if fault.ends_s <= quiet_from_s:
        return fault
    takes_s = fault.ends_s - fault.at_s
    if takes_s > quiet_from_s:  # longer than all there is: what can be shorter is
        lasts_s = min(fault.lasts_s, quiet_from_s / 2)
        params = {
            **fault.params,
            **({"point": NOW} if "point" in fault.params else {}),
            **({"down_s": 0.0} if "down_s" in fault.params else {}),
        }
        fault = msgspec.structs.replace(fault, lasts_s=round(lasts_s, 3), params=params)
        takes_s = fault.ends_s - fault.at_s
    # Cut down, not rounded, and one less: a hair too late is too late.
    at_s = max(0, int((quiet_from_s - takes_s) * 1000) - 1) / 1000
    return msgspec.structs.replace(fault, at_s=at_s)
