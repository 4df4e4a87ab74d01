"""One misbehaving actor for every test of the shells: it does what its stage or a message tells it."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from allstop.actors.events import Event
from allstop.actors.exits import Exit
from allstop.actors.runtime import Actor, ActorSystem, Ignore, Ref
from allstop.actors.spec import ChildSpec, ChildType, Start, SupervisorFlags
from allstop.supervisors.supervisor import Supervisor


@dataclass
class Stage:
    """What puppets share with their test: how the next starts and stops of each end, and what happened so far."""

    starts: dict[str, list[Any]] = field(
        default_factory=dict[str, list[Any]]
    )  # an error, "ignore", "hang", "brief", seconds, or None
    stop_s: dict[str, float] = field(
        default_factory=dict[str, float]
    )  # how long a stop takes; then it ends as asked
    stubborn: set[str] = field(default_factory=set[str])  # these swallow their cancellation
    log: list[str] = field(default_factory=list[str])
    events: list[Event] = field(default_factory=list[Event])

    def puppet(self, child_id: str, **fields: Any) -> ChildSpec:
        return replace(ChildSpec(child_id, Start(Puppet, (self,))), **fields)

    def puppets(self, *ids: str, **fields: Any) -> tuple[ChildSpec, ...]:
        return tuple(self.puppet(child_id, **fields) for child_id in ids)

    def of(self, event_class: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, event_class)]

    def system(self) -> ActorSystem:
        return ActorSystem(on_event=self.events.append)


@dataclass(frozen=True)
class Crash:
    error: BaseException = field(default_factory=lambda: RuntimeError("boom"))


@dataclass(frozen=True)
class End:
    exit: Exit


@dataclass(frozen=True)
class Hang:
    """Never comes back from this message."""


class Puppet(Actor):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.name = self.path.rsplit("/", 1)[1]

    async def on_start(self) -> Any:
        outcome = (self.stage.starts.get(self.name) or [None]).pop(0)
        if isinstance(outcome, BaseException):
            self.stage.log.append(f"fail {self.name}")
            raise outcome
        if outcome == "ignore":
            return Ignore()
        if outcome == "hang":
            self.stage.log.append(f"hang {self.name}")
            await asyncio.Event().wait()
        if outcome == "brief":  # it starts, and fails at its first message
            self.ref.tell(Crash())
            await asyncio.sleep(0.001)
        if isinstance(outcome, float):
            await asyncio.sleep(outcome)
        self.stage.log.append(f"start {self.name}")
        return None

    async def on_receive(self, message: Any) -> Any:
        match message:
            case Crash(error):
                raise error
            case End(exit_):
                self.exit(exit_)
            case Hang():
                await self._hang()
            case _:
                return self.incarnation
        return None

    async def _hang(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.name not in self.stage.stubborn:
                    raise

    async def on_stop(self, exit_: Exit) -> None:
        self.stage.log.append(f"stop {self.name} {exit_}")
        await asyncio.sleep(self.stage.stop_s.get(self.name, 0.0))


def tree(child_id: str, flags: SupervisorFlags, *children: ChildSpec, **fields: Any) -> ChildSpec:
    """A supervisor as a child."""
    spec = ChildSpec(child_id, Start(Supervisor, (flags, children)), type=ChildType.SUPERVISOR)
    return replace(spec, **fields)


async def settle(seconds: float = 0.001) -> None:
    """Lets everything happen that can within virtual time."""
    await asyncio.sleep(seconds)


async def crash(system: ActorSystem, path: str, error: BaseException | None = None) -> None:
    system.address(path).tell(Crash(error) if error is not None else Crash())
    await settle()


async def kill(system: ActorSystem, path: str) -> None:
    system.kill(system.address(path))
    await settle()


def incarnation(system: ActorSystem, path: str) -> int | None:
    """Which incarnation runs there, if one does."""
    ref: Ref = system.address(path)
    return ref.incarnation if ref.is_alive() else None
