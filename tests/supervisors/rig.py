"""A world of pretended children around a supervisor core: it carries the commands out at once, on a clock that the
test moves, and remembers what was done."""

from collections import deque
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from allstop.actors.events import Event
from allstop.actors.exits import KILLED, SHUTDOWN, Exit, crashed
from allstop.actors.runtime import Actor
from allstop.actors.spec import Backoff, ChildSpec, OnExceeded, Start, Strategy, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.core import SupervisorCore
from allstop.supervisors.lasting import Lasting

IGNORE = "ignore"
BOOM = crashed(RuntimeError("boom"))
PATH = "/top"


class Puppet(Actor):
    """Stands for an actor class; the core only carries it."""


def spec(child_id: Hashable, **fields: object) -> ChildSpec:
    return replace(ChildSpec(child_id, Start(Puppet, ("argument",))), **fields)


def permanent(*ids: Hashable, backoff: Backoff = Backoff()) -> tuple[ChildSpec, ...]:
    return tuple(spec(i, backoff=backoff) for i in ids)


def flags(
    strategy: Strategy = Strategy.ONE_FOR_ONE, max_restarts: int = 3, max_seconds: float = 5.0, **rest: Any
) -> SupervisorFlags:
    return SupervisorFlags(strategy, max_restarts, max_seconds, **rest)


def pausing(**rest: Any) -> SupervisorFlags:
    return flags(on_exceeded=OnExceeded.PAUSE, **rest)


class Rig:
    def __init__(
        self,
        supervisor_flags: SupervisorFlags,
        *specs: ChildSpec,
        max_children: int | None = None,
        boot: bool = True,
        lasting: Lasting | None = None,
        path: str = PATH,
    ) -> None:
        self.core = SupervisorCore(path, supervisor_flags, specs, max_children=max_children, lasting=lasting)
        self.now_s = 1000.0
        self.draw = 0.0
        self.outcomes: dict[
            Hashable, list[object]
        ] = {}  # what the next starts of a child come to; then they succeed
        self.stop_exits: dict[Hashable, Exit] = {}
        self.alive: dict[Hashable, int] = {}
        self.log: list[str] = []  # "start a", "stop a", in order
        self.arguments: list[tuple[object, ...]] = []
        self.events: list[Event] = []
        self.exit: Exit | None = None
        self.start_error: BaseException | None = None
        self.latches: list[d.Latch] = []
        self.retired: list[object] = []
        self.votes: list[d.LowerLevel | d.RaiseLevel] = []
        self.timers: dict[int, tuple[float, d.Given]] = {}
        self.moved: list[d.TellMoved] = []
        self.looks: list[tuple[float, d.Given]] = []  # of gates, which nobody cancels
        self.answer: object = None
        self._incarnations: dict[Hashable, int] = {}
        if boot:
            self.tell(d.Boot())

    # ---- telling ----

    def tell(self, given: d.Given) -> None:
        commands = deque(self.core.handle(given, self.now_s, self.draw))
        while commands:
            answer = self.perform(commands.popleft())
            if answer is not None:
                assert not commands, "a command that must be answered is the last one handed out"
                commands.extend(self.core.handle(answer, self.now_s, self.draw))

    def ask(self, given: d.Given) -> object:
        self.answer = None
        self.tell(given)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def perform(self, command: d.Command) -> d.Given | None:
        match command:
            case d.StartChild(spec):
                return self._start(spec)
            case d.StopChildren(stops):
                return d.Stopped(tuple((stop.child_id, self._stop(stop)) for stop in stops))
            case d.ScheduleRestart(child_id, delay_s, ticket):
                self.timers[ticket] = (self.now_s + delay_s, d.RestartDue(child_id, ticket))
            case d.AwaitTurn(_, delay_s):
                self.now_s += delay_s
                return d.TurnCame()
            case d.ScheduleGateLook(gate, delay_s):
                self.looks.append((self.now_s + delay_s, d.GateLook(gate)))
            case d.ScheduleCooldown(delay_s, ticket):
                self.timers[ticket] = (self.now_s + delay_s, d.CooldownDue(ticket))
            case d.TellMoved():
                self.moved.append(command)
            case d.CancelTimer(ticket):
                self.timers.pop(ticket, None)
            case d.Report(event):
                self.events.append(event)
            case d.Reply(value):
                self.answer = value
            case d.Refuse(error):
                self.answer = error
            case d.FailStart(error):
                self.start_error = error
            case d.GiveUp(exit):
                self.exit = exit
            case d.Latch():
                self.latches.append(command)
            case d.Retire(ref):
                self.retired.append(ref)
            case d.LowerLevel() | d.RaiseLevel():
                self.votes.append(command)
        return None

    def _start(self, spec: ChildSpec) -> d.Given:
        assert spec.id not in self.alive, f"{spec.id} would run twice"
        self.arguments.append(spec.start.args)
        outcome = (self.outcomes.get(spec.id) or [None]).pop(0)
        if isinstance(outcome, BaseException):
            self.log.append(f"fail {spec.id}")
            return d.NotStarted(spec.id, outcome)
        if outcome == IGNORE:
            self.log.append(f"ignore {spec.id}")
            return d.Ignored(spec.id)
        self.log.append(f"start {spec.id}")
        self._incarnations[spec.id] = self.alive[spec.id] = self._incarnations.get(spec.id, 0) + 1
        return d.Started(spec.id, f"ref:{spec.id}", self.alive[spec.id])

    def _stop(self, stop: d.StopChild) -> Exit:
        self.log.append(f"stop {stop.child_id}")
        self.alive.pop(stop.child_id, None)
        return self.stop_exits.get(stop.child_id, SHUTDOWN)

    # ---- what happens in the world ----

    def end(self, child_id: Hashable, exit_: Exit = KILLED) -> None:
        """The running incarnation of a child ends by itself, or by another's hand."""
        self.tell(d.Ended(child_id, self.alive.pop(child_id), exit_))

    def advance(self, seconds: float) -> None:
        """Time passes, and each timer fires when it is due."""
        until_s = self.now_s + seconds
        while self.timers:
            ticket, (due_s, given) = min(self.timers.items(), key=lambda item: (item[1][0], item[0]))
            if due_s > until_s:
                break
            del self.timers[ticket]
            self.now_s = max(self.now_s, due_s)
            self.tell(given)
        self.now_s = until_s

    def settle(self) -> None:
        """Whatever is due without any time passing happens."""
        self.advance(0.0)

    # ---- looking ----

    @property
    def up(self) -> list[Hashable]:
        return sorted(self.alive, key=str)

    def since(self, mark: int) -> list[str]:
        return self.log[mark:]

    def events_of(self, event_class: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, event_class)]

    def state(self, child_id: Hashable) -> str:
        return self.core.which_child(child_id).state.value

    def counts(self) -> list[int]:
        """As OTP's suite writes them: specs, active, supervisors, workers."""
        count = self.core.count_children()
        return [count.specs, count.active, count.supervisors, count.workers]
