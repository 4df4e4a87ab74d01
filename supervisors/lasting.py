"""What outlives every supervisor of a system: the gates of its endpoints, and the breakers that only a person opens.

A supervisor that its parent restarts begins with an empty memory. That is right for nearly all it knows, and wrong
for two things: how lately somebody connected to a venue, and that a person has to come first.
"""

import asyncio
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from allstop.actors.runtime import ActorSystem
from allstop.actors.runtime.arguments import want
from allstop.actors.spec import RestartGate
from allstop.supervisors.degrade import Breaker
from allstop.supervisors.gates import Gates, GateView


@dataclass(frozen=True, slots=True)
class Latched:
    """A latched breaker, and why it latched."""

    breaker: Breaker
    reason: str


class Lasting:
    """`latched`: by the path of its supervisor. `turns`: of the supervisors that wait at a gate while they start, what
    wakes them. Plain memory: a new process starts with none."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.latched: dict[str, Latched] = {}
        self.turns: dict[str, asyncio.Event] = {}


_OF: WeakKeyDictionary[ActorSystem, Lasting] = WeakKeyDictionary()


def lasting_of(system: ActorSystem) -> Lasting:
    """The one of this system."""
    return _OF.setdefault(system, Lasting())


def declare_gates(system: ActorSystem, *gates: RestartGate) -> None:
    """Makes gates known to every supervisor of the system, before specs name them. Raises BadInput; telling the same
    gate twice is no mistake, telling another one of its name is."""
    want("system", system, ActorSystem, "an ActorSystem")
    lasting_of(system).gates.declare(*gates)


def gates(system: ActorSystem) -> tuple[GateView, ...]:
    """Every gate of the system as it stands now."""
    want("system", system, ActorSystem, "an ActorSystem")
    return lasting_of(system).gates.views(system.clock.now_s())
