"""The supervisors and children of OTP's suite: supervisor_1, 2, 3 and their like, as one actor that a case directs."""

import asyncio
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from allstop.actors.exits import Exit, ExitKind
from allstop.actors.runtime import Actor, ActorSystem, Ignore, Ref
from allstop.actors.spec import ChildSpec, ChildType, Restart, Start, SupervisorFlags
from allstop.supervisors.children import ChildCount
from allstop.supervisors.supervisor import Supervisor, count_children

SHUTDOWN_WITH = Exit(ExitKind.SHUTDOWN, detail="term")


class Directions:
    """What the children of one case do, and what they did. A direction is used up by one start, unless it stays."""

    def __init__(self) -> None:
        self.starts: dict[
            Hashable, list[Any]
        ] = {}  # per name: what the next starts come to; an exception, or Ignore
        self.always: dict[Hashable, Any] = {}  # what every further start comes to
        self.stops: dict[
            Hashable, Any
        ] = {}  # per name: seconds that a stop takes, or the exception that it raises
        self.log: list[tuple[str, str]] = []  # ("start", name), ("stop", name)
        self.exits: dict[str, Exit] = {}  # the latest exit that on_stop was called with

    def child(self, child_id: Hashable, **fields: Any) -> ChildSpec:
        return replace(ChildSpec(child_id, Start(Directed, (self,))), **fields)

    def started(self) -> list[str]:
        return [name for what, name in self.log if what == "start"]

    def stopped(self) -> list[str]:
        return [name for what, name in self.log if what == "stop"]


class Directed(Actor):
    """Told an exception, it raises it; an Exit, it ends with it; anything else is given back."""

    def __init__(self, directions: Directions) -> None:
        self._directions = directions
        self._name = self.path.rpartition("/")[2]

    def on_start(self) -> Any:
        directed = self._directions.starts.get(self._name)
        outcome = directed.pop(0) if directed else self._directions.always.get(self._name)
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, Ignore | str):  # a word is nonsense: on_start gives it back all the same
            return outcome
        if isinstance(outcome, float):
            return self._start_in(outcome)
        self._directions.log.append(("start", self._name))
        return None

    async def _start_in(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        outcome = self._directions.always.get(f"{self._name} then")
        if outcome is not None:
            raise outcome
        self._directions.log.append(("start", self._name))

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Exit):
            self.exit(message)
        return message

    def on_stop(self, exit_: Exit) -> Any:
        self._directions.log.append(("stop", self._name))
        self._directions.exits[self.path] = exit_
        outcome = self._directions.stops.get(self._name)
        if isinstance(outcome, BaseException):
            raise outcome
        return asyncio.sleep(outcome) if outcome is not None else None


class Parent(Actor):
    """Starts a supervisor as a start_link would, keeps its exits, and outlives it."""

    def __init__(self) -> None:
        self.downs: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "downs":
            return self.downs
        self.downs.append(message)
        return None


def nested(child_id: Hashable, flags: SupervisorFlags, *children: ChildSpec, **fields: Any) -> ChildSpec:
    spec = ChildSpec(child_id, Start(Supervisor, (flags, children)), type=ChildType.SUPERVISOR)
    return replace(spec, **fields)


async def counts(supervisor: Ref) -> list[int]:
    """[specs, active, supervisors, workers], as OTP's suite writes them."""
    count: ChildCount = await count_children(supervisor)
    return [count.specs, count.active, count.supervisors, count.workers]


async def settle(seconds: float = 0.001) -> None:
    """Lets everything happen that can within virtual time."""
    await asyncio.sleep(seconds)


async def kill(system: ActorSystem, path: str) -> None:
    system.kill(system.address(path))
    await settle()


async def end(ref: Ref, how: BaseException | Exit) -> None:
    """The child ends by itself, as `how` says."""
    ref.tell(how)
    await settle()


RESTART_TYPES = tuple(Restart)
