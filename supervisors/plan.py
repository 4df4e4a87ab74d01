"""What a supervisor core stands on: its children, the plan of what is to be done with them, and what it says.

The plan holds the commands that have not been handed out yet. Commands are handed out up to and including one that
must be answered (StartChild, StopChildren, AwaitTurn), and on from there when the answer is told. A start that has to
wait for its turn at a gate is taken out of the plan, and comes back into it when its turn has come.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from enum import StrEnum

from allstop.actors.errors import BadInput
from allstop.actors.events import (
    BreakerChanged,
    ChildGaveUp,
    ChildTerminated,
    Event,
    GateChanged,
    GateWaiting,
    GaveUp,
)
from allstop.actors.exits import Exit, ReachedMaxRestartIntensity, causes
from allstop.actors.spec import ChildSpec, OnExceeded, Restart, Strategy, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.backoff import reset_after_s
from allstop.supervisors.budget import check_budget
from allstop.supervisors.children import (
    STARTING,
    STOPPING,
    Child,
    ChildCount,
    ChildInfo,
    ChildState,
    count,
    info,
)
from allstop.supervisors.childspecs import as_child_spec, check_childspecs, check_flags
from allstop.supervisors.degrade import Breaker, BreakerState
from allstop.supervisors.errors import ChildEnded, GateClosed, NotFound
from allstop.supervisors.gates import Gate, supervisor_of
from allstop.supervisors.intensity import Intensity
from allstop.supervisors.lasting import Lasting

CAUSES_MAX = 16  # a report names the latest causes; who needs more reads the journal


class Purpose(StrEnum):
    """What the plan is for: it decides what a start that fails means."""

    BOOT = "boot"
    RESTART = "restart"
    ADD = "start_child"
    RESTART_CHILD = "restart_child"
    HALF_OPEN = "half_open"


# Starts that somebody asked for and waits for: OTP makes no progress report of these.
BY_REQUEST = (Purpose.ADD, Purpose.RESTART_CHILD)


class Plan:
    """The children of one supervisor and what is to be done with them next."""

    def __init__(
        self,
        path: str,
        flags: SupervisorFlags,
        specs: Iterable[ChildSpec] = (),
        *,
        max_children: int | None = None,
        lasting: Lasting | None = None,
    ) -> None:
        """Raises InvalidFlags, InvalidChildSpec, or BadInput for a budget that can never be spent. `lasting` is shared
        by the supervisors of a system."""
        self.path = path
        self.flags = check_flags(flags)
        self.dynamic = max_children is not None
        self.max_children = max_children
        specs = tuple(specs)
        check_childspecs(specs, flags.auto_shutdown)
        if problems := check_budget(flags, map(as_child_spec, specs), where=path):
            raise BadInput(*problems)
        self.lasting = lasting if lasting is not None else Lasting()
        self.lasting.gates.check(map(as_child_spec, specs))
        self.children: dict[Hashable, Child] = {spec.id: Child(spec) for spec in map(as_child_spec, specs)}
        self.window = Intensity(flags.max_restarts, flags.max_seconds)
        self.breaker = Breaker(flags.pause, flags.max_seconds)
        self._causes: deque[BaseException] = deque(maxlen=CAUSES_MAX)
        self._worded: BaseException | None = None  # whose words are `_said`
        self._said: tuple[str, ...] = ()
        self._note_strategy()
        self._plan: deque[d.Command] = deque()
        self._purpose: Purpose | None = None
        self._origin = "api"  # who wants the start that is being made, as events name it
        self._asked: d.StartChild | d.AwaitTurn | d.StopChildren | None = None
        self._ending = False  # it was told to stop: nothing that it finds then changes that
        self._ticket = 0
        self._cooldown: int | None = None  # the ticket of the running cooldown
        self._by_person = False  # a person reset the breaker, so its latched vote may go when it closes
        self._touched: dict[str, Gate] = {}  # the gates at which something happened just now
        self._moved: set[str] = set()  # those where somebody left the line before others
        self._out: list[d.Command] = []
        self._now_s = 0.0
        self._draw = 0.0
        self._at_ns = 0

    def _note_strategy(self) -> None:
        """Once per change of flags: an enum's value costs a descriptor each time."""
        self._strategy: str = self.flags.strategy.value
        self._alone = self.flags.strategy is Strategy.ONE_FOR_ONE

    @property
    def busy(self) -> bool:
        """Whether a command has to be answered before anything else is told."""
        return self._asked is not None

    # ---- what is told to whoever asks ----

    def which_children(self) -> tuple[ChildInfo, ...]:
        """Every known child, dead or alive, in start order."""
        return tuple(info(child) for child in self.children.values())

    def runs(self, child_id: Hashable, incarnation: int) -> bool:
        """Whether this incarnation of the child is believed to run, and not being stopped."""
        child = self.children.get(child_id)
        return child is not None and child.state is ChildState.RUNNING and child.incarnation == incarnation

    def which_child(self, child_id: Hashable) -> ChildInfo:
        """Raises NotFound."""
        return info(self._known(child_id))

    def count_children(self) -> ChildCount:
        return count(self.children.values())

    def get_childspec(self, child_id: Hashable) -> ChildSpec:
        """Raises NotFound. The arguments of a temporary child are not kept."""
        return self._known(child_id).spec

    def _known(self, child_id: Hashable) -> Child:
        child = self._found(child_id)
        if child is None:
            raise NotFound(child_id)
        return child

    def _found(self, child_id: Hashable) -> Child | None:
        try:
            return self.children.get(child_id)
        except TypeError:  # not hashable: whoever asks with a list must not end this supervisor
            return None

    def _abandon_plan(self) -> None:
        self._plan.clear()
        self._asked = self._purpose = None
        self._origin = "api"

    def _plan_starts(self, members: Iterable[Child], purpose: Purpose) -> None:
        self._purpose = purpose
        self._origin = "api" if purpose in BY_REQUEST else purpose.value
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
            if isinstance(command, d.StartChild):
                if command.spec.gate is not None and self._held(command):
                    continue
                self.children[command.spec.id].state = STARTING
                self._asked = command
            elif isinstance(command, d.StopChildren):
                for stop in command.stops:
                    self.children[stop.child_id].state = STOPPING
                self._asked = command
            self._out.append(command)

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

    # ---- turns at a gate ----

    def _gate(self, child: Child) -> Gate | None:
        name = child.spec.gate
        if name is None:
            return None
        gate = self._touched[name] = self.lasting.gates.get(name)
        self.lasting.comes(self.path)
        return gate

    def _name(self, child_id: Hashable) -> str:
        return f"{self.path.rstrip('/')}/{str(child_id).replace('/', '-')}"

    def _held(self, start: d.StartChild) -> bool:
        """Whether this start has to wait for its turn: then it has been seen to, and is not to be made now."""
        child = self.children[start.spec.id]
        gate, who = self._gate(child), self._name(start.spec.id)
        if gate is None or (wait_s := gate.ask(who, self._now_s)) <= 0:
            return False
        if self._purpose in BY_REQUEST:  # a person can come again; the supervisor serves others meanwhile
            gate.leave(who, self._now_s)
            if self._purpose is Purpose.ADD:
                del self.children[start.spec.id]
            self._say(d.Refuse(GateClosed(gate.spec.name, wait_s)))
            return True
        if child.held_since_s is None:
            child.held_since_s = self._now_s
        self._report(
            GateWaiting, child=str(start.spec.id), gate=gate.spec.name, wait_s=wait_s, ahead=gate.ahead(who)
        )
        if self._purpose is Purpose.BOOT:  # the children start in order: those behind it wait as well
            self._plan.appendleft(start)
            self._asked = d.AwaitTurn(start.spec.id, wait_s)
            self._say(self._asked)
            return True
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:  # so do those of its group
            self._plan = deque(command for command in self._plan if not isinstance(command, d.StartChild))
        ticket = self._next_ticket()
        child.waiting(ticket, self._now_s + wait_s, resumes=True)
        self._say(d.ScheduleRestart(start.spec.id, wait_s, ticket))
        return True

    def _passed(self, child: Child) -> float:
        """It started: the seconds for which it had waited for its turn. From now on it is on trial at its gate."""
        if (gate := self._gate(child)) is None:
            return 0.0
        trial_s = max(reset_after_s(child.spec.backoff), gate.spec.spacing_s)
        gate.started(self._name(child.spec.id), self._now_s, trial_s)
        self._say(d.ScheduleGateLook(gate.spec.name, trial_s))
        return 0.0 if child.held_since_s is None else self._now_s - child.held_since_s

    def _leave_gate(self, child: Child) -> None:
        if (gate := self._gate(child)) is not None:
            if gate.leave(self._name(child.spec.id), self._now_s):
                self._moved.add(gate.spec.name)
            child.held_since_s = None

    def _gate_moved(self, name: str) -> None:
        """Somebody left the line at this gate: those of ours that wait there have their turn earlier."""
        gate = self.lasting.gates.get(name)
        for child in self.children.values():
            if child.spec.gate != name or child.state is not ChildState.RESTARTING or not child.resumes:
                continue
            due_s = gate.due_s(self._name(child.spec.id))
            if due_s is None or child.ticket is None or child.due_s is None or due_s >= child.due_s:
                continue
            self._say(d.CancelTimer(child.ticket))
            ticket = self._next_ticket()
            child.waiting(ticket, due_s, resumes=True)
            self._say(d.ScheduleRestart(child.spec.id, max(0.0, due_s - self._now_s), ticket))

    def _tell_gates(self) -> None:
        asked = [self._out.pop()] if self._asked is not None else []  # what must be answered is said last
        for gate in self._touched.values():
            if (view := gate.changed(self._now_s)) is not None:
                self._report(GateChanged, gate=view.name, state=view.state.value, waiting=len(view.waiting))
        for name in sorted(self._moved):
            waiting = [who for who, _ in self._touched[name].view(self._now_s).waiting]
            whose = dict.fromkeys(supervisor_of(who) for who in waiting)
            self._say(d.TellMoved(name, tuple(whose)))
        self._touched = {}
        self._moved.clear()
        self._out += asked

    # ---- saying it ----

    def _say(self, command: d.Command) -> None:
        self._out.append(command)

    def _report(self, event_class: type[Event], **fields: object) -> None:
        self._out.append(d.Report(event_class(at_ns=self._at_ns, path=self.path, **fields)))

    def _words(self, error: BaseException | None) -> tuple[str, ...]:
        """The error and its causes in words: several reports of one restart say them."""
        if error is None:
            return ()
        if error is not self._worded:
            self._worded, self._said = error, in_words(error)
        return self._said

    def _report_end(self, child: Child, exit_: Exit, reason: str, *, stopping: bool = False) -> None:
        self._report(
            ChildTerminated,
            child=str(child.spec.id),
            incarnation=child.incarnation or 0,
            reason=reason,
            clean=exit_.clean,
            causes=self._words(exit_.error),
            budget_left=self.window.left(self._now_s),
            child_budget_left=child.budget_left(self._now_s),
            stopping=stopping,
        )

    def _report_child_gave_up(
        self, child: Child, action: str, incarnation: int, retry_after_s: float | None = None
    ) -> None:
        self._report(
            ChildGaveUp,
            child=str(child.spec.id),
            attempts=child.failures.in_a_row - 1 if child.window is None else len(child.window) - 1,
            causes=in_words(self._causes[-1]),
            action=action,
            incarnation=incarnation,
            budget_left=self.window.left(self._now_s),
            retry_after_s=retry_after_s,
        )

    def _report_giving_up(self, gave_up: ReachedMaxRestartIntensity, fatal: bool, action: str) -> None:
        stopped = () if self.flags.on_exceeded is OnExceeded.LATCH else self._alive()
        self._report(
            GaveUp,
            strategy=self.flags.strategy.value,
            stopped=stopped,
            offender=gave_up.offender,
            attempts=gave_up.attempts,
            causes=in_words(gave_up),
            fatal=fatal,
            action=action,
        )

    def _alive(self) -> tuple[str, ...]:
        """Who runs, the last started first."""
        return tuple(str(child.spec.id) for child in reversed(self.children.values()) if child.alive)

    def _report_breaker(self, reason: str = "") -> None:
        breaker = self.breaker
        retry_after_s = breaker.retry_after_s(self._now_s) if breaker.state is BreakerState.OPEN else None
        self._report(
            BreakerChanged,
            state=breaker.state.value,
            trips=breaker.trips,
            retry_after_s=retry_after_s,
            reason=reason,
        )

    @staticmethod
    def _cause(child: Child, exit_: Exit) -> BaseException:
        return exit_.error if exit_.error is not None else ChildEnded(child.spec.id, exit_)

    # ---- timers ----

    def _next_ticket(self) -> int:
        self._ticket += 1
        return self._ticket

    def _cancel_wait(self, child: Child) -> None:
        if child.spec.gate is not None:
            self._leave_gate(child)
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


def in_words(error: BaseException | None) -> tuple[str, ...]:
    if error is not None and error.__cause__ is None and not hasattr(error, "causes"):  # most errors
        return (f"{type(error).__name__}: {error}",)
    return tuple([f"{type(cause).__name__}: {cause}" for cause in causes(error)[:CAUSES_MAX]])
