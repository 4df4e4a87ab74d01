"""What outlives every supervisor of a system: the gates of its endpoints, and the breakers that only a person opens.

A supervisor that its parent restarts begins with an empty memory. That is right for nearly all it knows, and wrong
for two things: how lately somebody connected to a venue, and that a person has to come first.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary, ref

from allstop.actors.events import GateChanged
from allstop.actors.exits import Exit
from allstop.actors.runtime import ActorSystem, MailboxFull
from allstop.actors.runtime.arguments import want
from allstop.actors.spec import RestartGate
from allstop.supervisors import decisions as d
from allstop.supervisors.degrade import Breaker
from allstop.supervisors.gates import Gates, GateView, supervisor_of


@dataclass(frozen=True, slots=True)
class Latched:
    """A latched breaker, and why it latched."""

    breaker: Breaker
    reason: str


class Lasting:
    """`latched`: by the path of its supervisor. `turns`: of the supervisors that wait at a gate while they start, what
    wakes them. Plain memory: a new process starts with none. `comes` is told the path of a supervisor whose children
    pass gates."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.latched: dict[str, Latched] = {}
        self.turns: dict[str, asyncio.Event] = {}
        self.comes: Callable[[str], None] = _nobody_asks


def _nobody_asks(path: str) -> None:
    """A core alone, without a system."""


class _Places:
    """Gives the places at gates back when their supervisor ends: killed, it cannot do that itself."""

    def __init__(self, system: ActorSystem, lasting: Lasting) -> None:
        self._system = ref(system)
        self._lasting = lasting
        self._known: set[str] = set()

    def comes(self, path: str) -> None:
        system = self._system()
        if path in self._known or system is None:
            return
        cell = system.address(path).cell
        if not cell.ended:
            self._known.add(path)
            cell.own().end_waiters.append(partial(self._ended, path))

    def _ended(self, path: str, _exit: Exit) -> None:
        self._known.discard(path)
        if (system := self._system()) is None:
            return
        now_s = system.clock.now_s()
        for gate in self._lasting.gates.all():
            moved = gate.leave_all(path, now_s)
            tell_moved(system, self._lasting, gate.spec.name, tuple(dict.fromkeys(map(supervisor_of, moved))))
            if (view := gate.changed(now_s)) is not None:
                system.emit(
                    GateChanged(
                        at_ns=system.clock.wall_ns(),
                        path=path,
                        gate=view.name,
                        state=view.state.value,
                        waiting=len(view.waiting),
                    )
                )


_OF: WeakKeyDictionary[ActorSystem, Lasting] = WeakKeyDictionary()


def lasting_of(system: ActorSystem) -> Lasting:
    """The one of this system."""
    lasting = _OF.get(system)
    if lasting is None:
        lasting = _OF[system] = Lasting()
        lasting.comes = _Places(system, lasting).comes
    return lasting


def tell_moved(system: ActorSystem, lasting: Lasting, gate: str, paths: tuple[str, ...]) -> None:
    """Tells the supervisors at `paths` that their children moved up at this gate."""
    for path in paths:
        if (moved := lasting.turns.get(path)) is not None:
            moved.set()
        elif (supervisor := system.address(path)).is_alive():
            with suppress(MailboxFull):  # one that is busy for so long comes when it was told
                supervisor.tell(d.GateMoved(gate))


def declare_gates(system: ActorSystem, *gates: RestartGate) -> None:
    """Makes gates known to every supervisor of the system, before specs name them. Raises BadInput; telling the same
    gate twice is no mistake, telling another one of its name is."""
    want("system", system, ActorSystem, "an ActorSystem")
    lasting_of(system).gates.declare(*gates)


def gates(system: ActorSystem) -> tuple[GateView, ...]:
    """Every gate of the system as it stands now."""
    want("system", system, ActorSystem, "an ActorSystem")
    return lasting_of(system).gates.views(system.clock.now_s())
