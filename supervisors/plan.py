"""What a supervisor core stands on: its children, the plan of what is to be done with them, and what it says.

The plan holds the commands that have not been handed out yet. Commands are handed out up to and including one that
must be answered (StartChild, StopChildren), and on from there when the answer is told.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from enum import Enum, auto

from allstop.actors.errors import BadInput
from allstop.actors.events import BreakerChanged, ChildTerminated, Event, GaveUp
from allstop.actors.exits import Exit, ReachedMaxRestartIntensity, causes
from allstop.actors.spec import ChildSpec, Restart, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.budget import check_budget
from allstop.supervisors.children import Child, ChildCount, ChildInfo, ChildState, count, info
from allstop.supervisors.childspecs import as_child_spec, check_childspecs, check_flags
from allstop.supervisors.degrade import Breaker, BreakerState
from allstop.supervisors.errors import ChildEnded, NotFound
from allstop.supervisors.intensity import Intensity

CAUSES_MAX = 16  # a report names the latest causes; who needs more reads the journal


class Purpose(Enum):
    """What the plan is for: it decides what a start that fails means."""

    BOOT = auto()
    RESTART = auto()
    ADD = auto()
    RESTART_CHILD = auto()
    HALF_OPEN = auto()


class Plan:
    """The children of one supervisor and what is to be done with them next."""

    def __init__(
        self,
        path: str,
        flags: SupervisorFlags,
        specs: Iterable[ChildSpec] = (),
        *,
        max_children: int | None = None,
    ) -> None:
        """Raises InvalidFlags, InvalidChildSpec, or BadInput for a budget that can never be spent."""
        self.path = path
        self.flags = check_flags(flags)
        self.dynamic = max_children is not None
        self.max_children = max_children
        specs = tuple(specs)
        check_childspecs(specs, flags.auto_shutdown)
        if problems := check_budget(flags, map(as_child_spec, specs), where=path):
            raise BadInput(*problems)
        self.children: dict[Hashable, Child] = {spec.id: Child(spec) for spec in map(as_child_spec, specs)}
        self.window = Intensity(flags.max_restarts, flags.max_seconds)
        self.breaker = Breaker(flags.pause, flags.max_seconds)
        self._causes: tuple[BaseException, ...] = ()
        self._plan: deque[d.Command] = deque()
        self._purpose: Purpose | None = None
        self._asked: d.StartChild | d.StopChildren | None = None
        self._ending = False  # it was told to stop: nothing that it finds then changes that
        self._ticket = 0
        self._cooldown: int | None = None  # the ticket of the running cooldown
        self._by_person = False  # a person reset the breaker, so its latched vote may go when it closes
        self._out: list[d.Command] = []
        self._now_s = 0.0
        self._draw = 0.0

    @property
    def busy(self) -> bool:
        """Whether a command has to be answered before anything else is told."""
        return self._asked is not None

    # ---- what is told to whoever asks ----

    def which_children(self) -> tuple[ChildInfo, ...]:
        """Every known child, dead or alive, in start order."""
        return tuple(info(child) for child in self.children.values())

    def which_child(self, child_id: Hashable) -> ChildInfo:
        """Raises NotFound."""
        return info(self._known(child_id))

    def count_children(self) -> ChildCount:
        return count(self.children.values())

    def get_childspec(self, child_id: Hashable) -> ChildSpec:
        """Raises NotFound. The arguments of a temporary child are not kept."""
        return self._known(child_id).spec

    def _known(self, child_id: Hashable) -> Child:
        if child_id not in self.children:
            raise NotFound(child_id)
        return self.children[child_id]

    def _abandon_plan(self) -> None:
        self._plan.clear()
        self._asked = self._purpose = None

    def _plan_starts(self, members: Iterable[Child], purpose: Purpose) -> None:
        self._purpose = purpose
        for child in members:
            attempt = max(1, child.failures.in_a_row) if purpose is Purpose.RESTART else 0
            self._plan.append(d.StartChild(child.spec, attempt))

    def _plan_stops(self, members: Iterable[Child]) -> None:
        """All of these end, the last started first; a wait for a restart among them is over."""
        ordered = [*members]
        ordered.reverse()
        for child in ordered:
            self._cancel_wait(child)
        stops = [
            d.StopChild(child.spec.id, child.ref, child.spec.effective_shutdown)
            for child in ordered
            if child.alive
        ]
        if self.dynamic and stops:
            self._plan.append(d.StopChildren(tuple(stops)))
        else:
            self._plan.extend(d.StopChildren((stop,)) for stop in stops)

    def _advance(self) -> None:
        """Hands out the plan up to the next command that has to be answered."""
        while self._plan and self._asked is None:
            command = self._plan.popleft()
            self._say(command)
            match command:
                case d.StartChild(spec):
                    self.children[spec.id].state = ChildState.STARTING
                    self._asked = command
                case d.StopChildren(stops):
                    for stop in stops:
                        self.children[stop.child_id].state = ChildState.STOPPING
                    self._asked = command
                case _:
                    pass

    def _answered(self, child_id: Hashable) -> Child:
        if not isinstance(self._asked, d.StartChild) or self._asked.spec.id != child_id:
            raise ValueError(f"no start of {child_id!r} was asked for")
        self._asked = None
        return self.children[child_id]

    def _forget_unless_kept(self, child: Child) -> None:
        """A temporary child is forgotten when it is gone, and so is any child of a dynamic supervisor that is not
        to come back when the breaker closes."""
        if child.spec.restart is Restart.TEMPORARY or (self.dynamic and not self.breaker.stopped):
            self.children.pop(child.spec.id, None)
            self._retire(child)

    def _retire(self, child: Child) -> None:
        if child.ref is not None:
            self._say(d.Retire(child.ref))

    # ---- saying it ----

    def _say(self, command: d.Command) -> None:
        self._out.append(command)

    def _report(self, event_class: type[Event], **fields: object) -> None:
        self._say(d.Report(event_class(at_ns=0, path=self.path, **fields)))

    def _report_end(self, child: Child, exit_: Exit) -> None:
        self._report(
            ChildTerminated,
            child=str(child.spec.id),
            incarnation=child.incarnation or 0,
            reason=str(exit_),
            clean=exit_.clean,
            causes=_in_words(exit_.error),
            budget_left=self.window.left(self._now_s),
        )

    def _report_giving_up(self, gave_up: ReachedMaxRestartIntensity, fatal: bool, action: str) -> None:
        self._report(
            GaveUp,
            offender=gave_up.offender,
            attempts=gave_up.attempts,
            causes=_in_words(gave_up),
            fatal=fatal,
            action=action,
        )

    def _report_breaker(self) -> None:
        breaker = self.breaker
        retry_after_s = breaker.retry_after_s(self._now_s) if breaker.state is BreakerState.OPEN else None
        self._report(
            BreakerChanged, state=breaker.state.value, trips=breaker.trips, retry_after_s=retry_after_s
        )

    @staticmethod
    def _cause(child: Child, exit_: Exit) -> BaseException:
        return exit_.error if exit_.error is not None else ChildEnded(child.spec.id, exit_)

    # ---- timers ----

    def _next_ticket(self) -> int:
        self._ticket += 1
        return self._ticket

    def _cancel_wait(self, child: Child) -> None:
        if child.state is ChildState.RESTARTING:
            if child.ticket is not None:
                self._say(d.CancelTimer(child.ticket))
            child.down()

    def _schedule_cooldown(self, delay: float) -> None:
        self._cooldown = self._next_ticket()
        self._plan.append(d.ScheduleCooldown(delay, self._cooldown))

    def _cancel_cooldown(self) -> None:
        if self._cooldown is not None:
            self._say(d.CancelTimer(self._cooldown))
            self._cooldown = None


def _in_words(error: BaseException | None) -> tuple[str, ...]:
    return tuple(f"{type(cause).__name__}: {cause}" for cause in causes(error)[:CAUSES_MAX])
