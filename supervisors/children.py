"""The children that a supervisor core knows: one record each, and what is told of them to whoever asks."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from allstop.actors.spec import ChildSpec, ChildType, Restart, Start
from allstop.supervisors.backoff import Failures, reset_after_s
from allstop.supervisors.intensity import Intensity

ActorClass = type[Any]


class ChildState(StrEnum):
    RUNNING = "running"
    DOWN = "down"  # known, not running, and nothing is scheduled
    RESTARTING = "restarting"  # waits for its next attempt
    STARTING = "starting"  # its start has been asked for and not been answered
    STOPPING = "stopping"


# An enum's attribute costs a lookup through its metaclass; these are read at each restart.
RUNNING: Final = ChildState.RUNNING
DOWN: Final = ChildState.DOWN
STARTING: Final = ChildState.STARTING
STOPPING: Final = ChildState.STOPPING
RESTARTING: Final = ChildState.RESTARTING
TEMPORARY: Final = Restart.TEMPORARY


@dataclass(slots=True)
class Child:
    spec: ChildSpec
    state: ChildState = ChildState.DOWN
    ref: object = None
    incarnation: int | None = None
    failures: Failures = field(default_factory=Failures)
    window: Intensity | None = None  # of its own budget, once it was needed
    ticket: int | None = None  # of the scheduled restart
    due_s: float | None = None
    resumes: bool = False  # its turn at a gate comes in the middle of a group's start: it goes on from here
    held_since_s: float | None = None  # when it first asked for that turn
    last_reason: str | None = None  # why it ended, or did not start, the last time
    # What the straight road reads at each restart (straight.py):
    name: str = ""  # its id, as events name it
    straight: bool = False  # a failure of it needs no delay, turn or count of its own
    reset_s: float = 0.0  # how long it must stay up for its failures to be forgotten

    def __post_init__(self) -> None:
        self.name = str(self.spec.id)
        self._note_spec()

    def _note_spec(self) -> None:
        self.straight = may_go_straight(self.spec)
        self.reset_s = reset_after_s(self.spec.backoff)

    @property
    def alive(self) -> bool:
        """Whether an incarnation may be there that has to be stopped."""
        return self.state in (RUNNING, STARTING, STOPPING)

    def started(self, ref: object, incarnation: int, now_s: float) -> None:
        self.state = RUNNING
        self.ref, self.incarnation = ref, incarnation
        self.ticket = self.due_s = self.held_since_s = None
        self.failures = self.failures.started(now_s)
        if self.spec.restart is TEMPORARY:
            # It is never started again: its arguments need not be kept alive.
            self.spec = replace(self.spec, start=Start(self.spec.start.actor_class))

    def down(self) -> None:
        self.state = DOWN
        self.incarnation = self.ticket = self.due_s = None

    def waiting(self, ticket: int, due_s: float, *, resumes: bool = False) -> None:
        self.state = ChildState.RESTARTING
        self.incarnation = None
        self.ticket, self.due_s, self.resumes = ticket, due_s, resumes

    def failed(self, now_s: float) -> None:
        """One more failure: in a row, and in the window of its own budget."""
        self.failures = self.failures.failed(self.spec.backoff, now_s)
        if (budget := self.spec.budget) is not None:
            if self.window is None:
                self.window = Intensity(budget.max_restarts, budget.max_seconds)
            self.window.add(now_s)

    @property
    def gave_up(self) -> bool:
        """Whether its own budget is spent. Without one, only its supervisor's counts."""
        if self.window is None or self.spec.budget is None:
            return False
        return self.window.exceeded or self.failures.too_many(self.spec.backoff)

    def forgiven(self) -> None:
        """Its failures count from here."""
        self.failures = Failures()
        self.window = None

    def changed(self, spec: ChildSpec) -> None:
        """The same child under another spec, which counts from its next start on; its budget does at once."""
        if spec.budget is None:
            self.window = None
        elif self.window is not None:
            self.window.change(spec.budget.max_restarts, spec.budget.max_seconds)
        self.spec = spec
        self._note_spec()

    def budget_left(self, now_s: float) -> int | None:
        """What its own budget still allows; None when it has none."""
        if self.spec.budget is None:
            return None
        return self.spec.budget.max_restarts if self.window is None else self.window.left(now_s)


def may_go_straight(spec: ChildSpec) -> bool:
    """Whether a child of this spec, when it fails alone, is started again at once and nothing else is looked at."""
    backoff = spec.backoff
    return (
        spec.restart is not TEMPORARY
        and backoff.min_backoff_s == 0
        and backoff.max_consecutive is None
        and spec.gate is None
        and spec.budget is None
    )


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """One child as it stands: `ref` is None unless it runs; `due_s` (the supervisor's clock) when it waits.

    `actor_class` is what OTP calls its modules.
    """

    id: Hashable
    ref: object
    state: ChildState
    incarnation: int | None
    type: ChildType
    restart: Restart
    failures: int
    due_s: float | None
    actor_class: ActorClass
    last_reason: str | None = None


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
        actor_class=child.spec.start.actor_class,
        last_reason=child.last_reason,
    )


def count(children: Iterable[Child]) -> ChildCount:
    specs = active = supervisors = 0
    for child in children:
        specs += 1
        active += child.state is ChildState.RUNNING
        supervisors += child.spec.type is ChildType.SUPERVISOR
    return ChildCount(specs, active, supervisors, specs - supervisors)
