"""What the engine says of itself: every supervision decision and every change of level, as values."""

import msgspec

from allstop.actors.levels import Level, Scope


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    at_ns: int  # wall clock
    path: str  # the actor it is about


class ChildStarted(Event, frozen=True, kw_only=True):
    """A child runs. `attempt` 0 is the first start; else it is a restart."""

    child: str
    incarnation: int
    attempt: int


class ChildTerminated(Event, frozen=True, kw_only=True):
    """A child ended. `reason` is its exit in words; `budget_left` what the supervisor may still restart in its window."""

    child: str
    incarnation: int
    reason: str
    clean: bool
    causes: tuple[str, ...] = ()
    budget_left: int | None = None


class RestartScheduled(Event, frozen=True, kw_only=True):
    child: str
    attempt: int
    delay_s: float
    budget_left: int


class StartFailed(Event, frozen=True, kw_only=True):
    child: str
    reason: str


class ShutdownOverrun(Event, frozen=True, kw_only=True):
    """A child had to be killed; `unstopped` when even that left something running behind its fence."""

    child: str
    unstopped: bool


class GaveUp(Event, frozen=True, kw_only=True):
    """The budget was spent (or the exit was fatal): the supervisor escalates, pauses or latches."""

    offender: str
    attempts: int
    causes: tuple[str, ...]
    fatal: bool
    action: str  # escalate | pause | latch


class BreakerChanged(Event, frozen=True, kw_only=True):
    state: str  # closed | open | half_open | latched
    trips: int
    retry_after_s: float | None = None


class LevelChanged(Event, frozen=True, kw_only=True):
    """The effective level of a scope changed. `by` and `reason` are the vote that decided."""

    scope: Scope
    before: Level
    now: Level
    by: str
    reason: str


class HaltProven(Event, frozen=True, kw_only=True):
    """An account's open-orders list showed nothing but protective orders, `after_s` after the halt was latched."""

    account: str
    after_s: float
    canceled: int
    kept: int
