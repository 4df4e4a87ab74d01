"""A state machine in a process of its own: its parent knows which told events it keeps, postponed or queued, so that they
are dead letters there when the process dies. What was called needs none of this: its caller is answered for anyway."""

from typing import Any, Protocol

from allstop.actors.runtime.behaviours.state_machine_core import (
    Command,
    MachineCore,
    Postpone,
    Result,
    Taken,
)


class Keeper(Protocol):
    """What speaks with the parent."""

    number: int | None  # of the message that is being handled

    def keeps(self, number: int) -> None:
        """The machine has this message, and is not done with it when its handler is."""

    def let_go(self, number: int) -> None:
        """The machine is done with this message."""


class Told(Taken, frozen=True):
    """An event that the parent sent under this number."""

    number: int = 0


class HostedCore(MachineCore):
    """A core that tells its keeper of events that come and go."""

    __slots__ = ()
    keeper: Keeper

    def receive(self, event: Taken) -> None:
        number = self.keeper.number
        if number is not None and event.caller is None and not event.timeout:
            self.keeper.keeps(number)
            event = Told(event.event, number=number)
        super().receive(event)

    def take(self) -> tuple[Taken, list[Command]]:
        event, commands = super().take()
        if isinstance(event, Told):
            self.keeper.number = event.number  # a crash names the message that it was about
        return event, commands

    def apply(self, result: object) -> list[Command]:
        event = self._event
        commands = super().apply(result)
        if isinstance(event, Told) and not _postpones(result):
            self.keeper.let_go(event.number)
        return commands


def _postpones(result: Any) -> bool:
    return isinstance(result, Result) and any(isinstance(action, Postpone) for action in result.actions)


def core_for(keeper: Keeper) -> type[MachineCore]:
    """The class of the core of a machine that this keeper hosts."""
    return type("HostedCore", (HostedCore,), {"keeper": keeper, "__slots__": ()})
