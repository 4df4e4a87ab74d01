"""How a child is started, restarted and stopped, and how a supervisor decides: frozen values that start nothing."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final


class Restart(StrEnum):
    PERMANENT = "permanent"  # after any exit
    TRANSIENT = "transient"  # after an abnormal exit
    TEMPORARY = "temporary"  # never


class Strategy(StrEnum):
    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class ChildType(StrEnum):
    WORKER = "worker"
    SUPERVISOR = "supervisor"


class Isolation(StrEnum):
    """Where a child runs: docs/guide/isolation.md says what each costs."""

    LOOP = "loop"  # on the event loop, with all others
    THREAD = "thread"  # on a thread of its own: plain handlers that block
    PROCESS = "process"  # in a process of its own: what computes for long, or may take its process down


class OnExceeded(StrEnum):
    """What a supervisor does when its budget is spent."""

    ESCALATE = "escalate"  # stop the children and exit, abnormally, with the offender and the causes
    PAUSE = "pause"  # stop the children and stay, as the open breaker
    LATCH = (
        "latch"  # leave the siblings alone, keep the offender down and have trading halted: the root's way
    )


class OnChildExceeded(StrEnum):
    """What becomes of a child whose own budget is spent."""

    ESCALATE = "escalate"  # as if the supervisor's budget were spent: its `on_exceeded` says how
    STOP_CHILD = "stop_child"  # the child stays down, reported; its siblings go on without it
    PAUSE = "pause"  # the child waits for `cooldown_s` and starts again with a new budget


class AutoShutdown(StrEnum):
    """When a supervisor stops because a significant child ended by itself and is not restarted."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class Shutdown(Enum):
    """How long a child may take to stop, when it is not a number of seconds."""

    INFINITY = "infinity"
    BRUTAL_KILL = "brutal_kill"


INFINITY: Final = Shutdown.INFINITY
BRUTAL_KILL: Final = Shutdown.BRUTAL_KILL


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay before a restart: `min(max, min * 2**(n-1))` for the n-th in a row, times up to `1 + random_factor`.

    The count starts again after `reset_after_s` without a failure (default: the mean of both bounds). Akka's formula.
    `max_consecutive` restarts in a row that did not stay up that long are too many, whatever the window says: delays
    can be long enough for a window never to fill.
    """

    min_backoff_s: float = 0.0
    max_backoff_s: float = 0.0
    random_factor: float = 0.2
    reset_after_s: float | None = None
    max_consecutive: int | None = None


NO_BACKOFF: Final = Backoff()


@dataclass(frozen=True, slots=True)
class ChildBudget:
    """How often one child may be restarted, beside its supervisor's own window: attempts count in both, so the one bad
    child cannot spend what its siblings need. Its attempt that is one too many is not made, and not counted above.
    """

    max_restarts: int
    max_seconds: float
    on_exceeded: OnChildExceeded = OnChildExceeded.ESCALATE
    cooldown_s: float = 15.0  # PAUSE only


@dataclass(frozen=True, slots=True)
class RestartGate:
    """How fast children may be started against one endpoint, whichever supervisors they stand under: `burst` attempts
    at once, then one each `spacing_s` seconds. A venue that bans who reconnects too often is what this is for.
    """

    name: str  # of the endpoint, as in "kraken:ws"
    spacing_s: float
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Stash:
    """Messages told to a child while it is down wait for its next incarnation, at most `capacity` of them."""

    capacity: int


@dataclass(frozen=True, slots=True)
class Start:
    """The class of an actor and the arguments of its constructor."""

    actor_class: type[Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child of a supervisor, in OTP's terms. Checked when a supervisor is built from it, not here."""

    id: Hashable
    start: Start
    restart: Restart = Restart.PERMANENT
    shutdown: float | Shutdown | None = None  # None: 5 s for a worker, INFINITY for a supervisor
    type: ChildType = ChildType.WORKER
    significant: bool = False
    backoff: Backoff = NO_BACKOFF
    while_down: Stash | None = None
    start_timeout_s: float = 30.0
    isolation: Isolation = Isolation.LOOP
    budget: ChildBudget | None = None
    gate: str | None = None  # names a RestartGate: each attempt to start it waits for its turn there
    simulated_cost_s: float | None = (
        None  # with isolation, in a simulation: what a message costs; None: its class says
    )

    @property
    def effective_shutdown(self) -> float | Shutdown:
        if self.shutdown is not None:
            return self.shutdown
        return INFINITY if self.type is ChildType.SUPERVISOR else 5.0


@dataclass(frozen=True, slots=True)
class Pause:
    """The open breaker's times: half-open after `cooldown_s`, closed after `probes` successes, latched after `max_trips`.

    The breaker also opens on failures that are reported without a death: when at least `min_volume` calls (0: never)
    were reported within `window_s` and `failure_ratio` of them failed, or when a category reaches its threshold.
    """

    cooldown_s: float = 15.0  # doubled at each further trip
    probes: int = 3  # 0: nobody probes; children that stay up for `cooldown_s` close it
    max_trips: int = 3  # the opening with this number latches
    min_volume: int = 0
    failure_ratio: float = 0.5
    window_s: float = 60.0
    thresholds: tuple[tuple[str, int], ...] = ()  # (category, failures within `window_s`)


@dataclass(frozen=True, slots=True)
class SupervisorFlags:
    """How a supervisor decides. The default budget is Elixir's: 3 restarts in 5 seconds."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 3
    max_seconds: float = 5.0
    on_exceeded: OnExceeded = OnExceeded.ESCALATE
    pause: Pause = Pause()
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
