"""The children that a supervisor core knows: one record each, and what is told of them to whoever asks."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from allstop.actors.spec import ChildSpec, ChildType, Restart, Start
from allstop.supervisors.backoff import Failures


class ChildState(StrEnum):
    RUNNING = "running"
    DOWN = "down"  # known, not running, and nothing is scheduled
    RESTARTING = "restarting"  # waits for its next attempt
    STARTING = "starting"  # its start has been asked for and not been answered
    STOPPING = "stopping"


@dataclass(slots=True)
class Child:
    spec: ChildSpec
    state: ChildState = ChildState.DOWN
    ref: object = None
    incarnation: int | None = None
    failures: Failures = field(default_factory=Failures)
    ticket: int | None = None  # of the scheduled restart
    due_s: float | None = None

    @property
    def alive(self) -> bool:
        """Whether an incarnation may be there that has to be stopped."""
        return self.state in (ChildState.RUNNING, ChildState.STARTING, ChildState.STOPPING)

    def started(self, ref: object, incarnation: int, now_s: float) -> None:
        self.state = ChildState.RUNNING
        self.ref, self.incarnation = ref, incarnation
        self.ticket = self.due_s = None
        self.failures = self.failures.started(now_s)
        if self.spec.restart is Restart.TEMPORARY:
            # It is never started again: its arguments need not be kept alive.
            self.spec = replace(self.spec, start=Start(self.spec.start.actor_class))

    def down(self) -> None:
        self.state = ChildState.DOWN
        self.incarnation = self.ticket = self.due_s = None

    def waiting(self, ticket: int, due_s: float) -> None:
        self.state = ChildState.RESTARTING
        self.incarnation = None
        self.ticket, self.due_s = ticket, due_s


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """One child as it stands: `ref` is None unless it runs; `due_s` (the supervisor's clock) when it waits."""

    id: Hashable
    ref: object
    state: ChildState
    incarnation: int | None
    type: ChildType
    restart: Restart
    failures: int
    due_s: float | None


@dataclass(frozen=True, slots=True)
class ChildCount:
    """OTP's four counts: all known, really alive, and both types, alive or not."""

    specs: int
    active: int
    supervisors: int
    workers: int


def info(child: Child) -> ChildInfo:
    running = child.state is ChildState.RUNNING
    return ChildInfo(
        id=child.spec.id,
        ref=child.ref if running else None,
        state=child.state,
        incarnation=child.incarnation,
        type=child.spec.type,
        restart=child.spec.restart,
        failures=child.failures.in_a_row,
        due_s=child.due_s,
    )


def count(children: Iterable[Child]) -> ChildCount:
    specs = active = supervisors = 0
    for child in children:
        specs += 1
        active += child.state is ChildState.RUNNING
        supervisors += child.spec.type is ChildType.SUPERVISOR
    return ChildCount(specs, active, supervisors, specs - supervisors)
