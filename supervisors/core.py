"""The decisions of a supervisor: endings, answers and requests in, commands out. No thread, no clock, no log.

The core hands out commands up to and including one that must be answered, and goes on when the answer is told.
Whoever carries them out tells nothing else before that answer, except Stop, which may come at any time and throws
the plan away.

It changes in place. A value copied at each step would read better and cost a copy of ten thousand order trackers
for each one that ends.
"""

from collections import deque
from collections.abc import Hashable, Iterable

from allstop.actors.events import ChildStarted, RestartScheduled, StartFailed
from allstop.actors.exits import SHUTDOWN, Exit, ReachedMaxRestartIntensity, crashed
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import ChildBudget, OnChildExceeded, OnExceeded, Restart, Strategy
from allstop.supervisors import decisions as d
from allstop.supervisors.backoff import delay_s
from allstop.supervisors.children import Child, ChildState
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.errors import FailedToStartChild, StartFailure
from allstop.supervisors.giving_up import GivingUp
from allstop.supervisors.plan import BY_REQUEST, Purpose, in_words
from allstop.supervisors.straight import Straight
from allstop.supervisors.strategy import group, is_worth_a_report, shuts_down, stopped_well, wants_restart

# What may be told while something is asked for: its answers, and a stop.
ANSWERS = frozenset((d.Started, d.Ignored, d.NotStarted, d.TurnCame, d.Stopped, d.Stop))


class SupervisorCore(Straight, GivingUp):
    """One supervisor's state. `max_children` makes it dynamic: no order, no siblings, specs forgotten at the end."""

    # ---- the one way in ----

    def handle(
        self, given: d.Given, now_s: float, draw: float = 0.0, at_ns: int = 0
    ) -> tuple[d.Command, ...]:
        """Takes in what happened at `now_s`, which is `at_ns` on the wall, and gives back what is to be done, in order."""
        if self._asked is not None and given.__class__ not in ANSWERS:
            raise ValueError(f"{self._asked} has not been answered yet")
        if isinstance(given, d.Ended):
            plain = self.failed_plainly(given.child_id, given.incarnation, given.exit, now_s, at_ns)
            if plain is not None:
                ended, scheduled, asked = plain
                return d.Report(ended), d.Report(scheduled), asked
        self._out, self._now_s, self._draw, self._at_ns = [], now_s, draw, at_ns
        if isinstance(given, d.Started):
            self._started(given)
        elif isinstance(given, d.Stopped):  # and those of a group are stopped before
            self._stopped(given.exits)
        elif isinstance(given, d.Ended):
            self._ended(given)
        else:
            self._take(given)
        if self._plan:
            self._advance()
        if self._touched:
            self._tell_gates()
        return tuple(self._out)

    def _take(self, given: d.Given) -> None:
        match given:
            case d.Ignored(child_id):
                self._ignored(self._answered(child_id))
            case d.NotStarted(child_id, error):
                self._not_started(self._answered(child_id), error)
            case d.TurnCame():
                self._turn_came()
            case d.RestartDue(child_id, ticket):
                self._restart_due(child_id, ticket)
            case d.Boot():
                self._boot()
            case d.Stop():
                self._stop()
            case d.AddChild(spec):
                self._add(spec)
            case d.TerminateChild(child_id):
                self._terminate(child_id)
            case d.RestartChild(child_id):
                self._restart_child(child_id)
            case d.DeleteChild(child_id):
                self._delete(child_id)
            case d.Reconfigure(flags, specs):
                self._reconfigure(flags, specs)
            case d.CooldownDue(ticket):
                self._cooldown_due(ticket)
            case d.GateLook(gate):
                self._touched[gate] = self.lasting.gates.get(gate)
            case d.GateMoved(gate):
                self._gate_moved(gate)
            case d.CallReported(category, probe):
                self._call_reported(category, probe)
            case d.ResetBreaker(by, reason):
                self._reset_breaker(f"tried again by {by}: {reason}")
            case _:
                raise TypeError(f"a core is not told this: {given!r}")

    # ---- starting and stopping ----

    def _started(self, given: d.Started) -> None:
        asked, child_id = self._asked, given.child_id
        if not isinstance(asked, d.StartChild) or asked.spec.id != child_id:
            raise ValueError(f"no start of {child_id!r} was asked for")
        self._asked = None
        child = self.children[child_id]
        gate_wait_s = 0.0 if child.spec.gate is None else self._passed(child)
        child.started(given.ref, given.incarnation, self._now_s)
        self._out.append(
            d.Report(
                ChildStarted(
                    at_ns=self._at_ns,
                    path=self.path,
                    child=str(child_id),
                    incarnation=given.incarnation,
                    attempt=asked.attempt,
                    origin=self._origin,
                    gate_wait_s=gate_wait_s,
                )
            )
        )
        if self._origin == "api":
            self._say(d.Reply(given.ref))

    def _turn_came(self) -> None:
        if not isinstance(self._asked, d.AwaitTurn):
            raise ValueError("no turn was waited for")
        self._asked = None  # the start stands at the head of the plan, and asks again

    def _ignored(self, child: Child) -> None:
        child.down()
        self._forget_unless_kept(child)
        if child.spec.gate is not None:
            self._leave_gate(child)
        if self._purpose in BY_REQUEST:
            self._say(d.Reply(None))

    def _not_started(self, child: Child, error: BaseException) -> None:
        attempt = max(1, child.failures.in_a_row) if self._purpose is Purpose.RESTART else 0
        child.down()
        child.last_reason = f"{type(error).__name__}: {error}"
        behind = [command for command in self._plan if isinstance(command, d.StartChild)]
        self._plan.clear()
        self._report(
            StartFailed,
            child=str(child.spec.id),
            reason=child.last_reason,
            attempt=attempt,
            causes=in_words(error),
            origin=self._origin,
            budget_left=self.window.left(self._now_s),
            child_budget_left=child.budget_left(self._now_s),
        )
        fatal = crashed(error).fatal
        match self._purpose:
            case Purpose.ADD | Purpose.RESTART_CHILD as purpose:
                if purpose is Purpose.ADD:
                    del self.children[child.spec.id]
                held = isinstance(error, AlreadyStarted)  # by an outsider: that is told as it is
                self._say(d.Refuse(error if held else StartFailure(child.spec.id, error)))
                if fatal:
                    self._causes.append(error)
                    self._exceed(child, error, fatal=True)
            case Purpose.RESTART | Purpose.HALF_OPEN:
                self._failed(child, error, fatal=fatal, retry=True, behind=behind)
            case _:
                self._plan_stops(self.children.values())
                self._plan.append(d.FailStart(FailedToStartChild(child.spec.id, error)))

    def _stopped(self, exits: Iterable[tuple[Hashable, Exit]]) -> None:
        if not isinstance(self._asked, d.StopChildren):
            raise ValueError("no stop was asked for")
        self._asked = None
        died: list[tuple[Child, Exit]] = []
        for child_id, exit_ in exits:
            child = self.children[child_id]
            child.last_reason = str(exit_)
            if exit_ is not SHUTDOWN and not stopped_well(child.spec, exit_):
                self._report_end(child, exit_, child.last_reason, stopping=True)
            child.down()
            self._forget_unless_kept(child)
            if exit_ is not SHUTDOWN and exit_.fatal:
                died.append((child, exit_))
        if not died:
            return
        if self._ending or any(isinstance(command, d.FailStart) for command in self._plan):
            self._found_dead_at_the_end(*died[0])
        else:
            self._found_dead(*died[0])

    def _found_dead(self, child: Child, exit_: Exit) -> None:
        """A child that was to be stopped had died fatally, or did so as it stopped: it is not started again, and what
        was planned gives way to what that end calls for."""
        if self.flags.on_exceeded is OnExceeded.LATCH:
            keep = [c for c in self._plan if not (isinstance(c, d.StartChild) and c.spec.id == child.spec.id)]
        else:
            keep = [c for c in self._plan if isinstance(c, d.Retire | d.Reply)]
        self._plan = deque(keep)
        self._failed(child, self._cause(child, exit_), fatal=True)

    def _found_dead_at_the_end(self, child: Child, exit_: Exit) -> None:
        """The supervisor ends anyway, or never came to start. The rest is stopped as planned, and whoever is to know
        of a fatal end learns of it all the same: by a vote, or by how this supervisor ends."""
        error = self._cause(child, exit_)
        self._causes.append(error)
        failed = next((command for command in self._plan if isinstance(command, d.FailStart)), None)
        if failed is not None:
            self._plan.remove(failed)
            self._plan.append(d.FailStart(FailedToStartChild(child.spec.id, error)))
            return
        gave_up = ReachedMaxRestartIntensity(self.path, str(child.spec.id), 0, tuple(self._causes))
        gave_up.__cause__ = error
        match self.flags.on_exceeded:
            case OnExceeded.ESCALATE:
                self._say(d.LowerLevel(str(gave_up), latched=True))
                self._plan.append(d.GiveUp(crashed(gave_up)))
            case OnExceeded.PAUSE:
                self.breaker = self.breaker.latched(self._now_s)
                self._keep_latched(str(gave_up))
                self._say(d.LowerLevel(str(gave_up), latched=True))
                self._report_breaker(str(gave_up))
            case OnExceeded.LATCH:
                self._say(d.Latch(child.spec.id, gave_up))

    # ---- endings ----

    def _ended(self, given: d.Ended) -> None:
        if not self.runs(given.child_id, given.incarnation):
            return  # a late notice of an earlier incarnation, or of no child of ours
        child = self.children[given.child_id]
        spec, exit_ = child.spec, given.exit
        child.last_reason = str(exit_)
        if is_worth_a_report(spec.restart, exit_):
            self._report_end(child, exit_, child.last_reason)
        child.down()
        if exit_.fatal:
            self._forget_unless_kept(child)
            self._failed(child, self._cause(child, exit_), fatal=True)
        elif wants_restart(spec.restart, exit_):
            self._failed(child, self._cause(child, exit_), fatal=False, incarnation=given.incarnation)
        else:
            self._ended_for_good(child)

    def _ended_for_good(self, child: Child) -> None:
        others_active = child.spec.significant and any(
            other.spec.significant and other.state in (ChildState.RUNNING, ChildState.RESTARTING)
            for other in self.children.values()
        )
        if child.spec.gate is not None:
            self._leave_gate(child)
        self._forget_unless_kept(child)
        self._retire(child)
        if shuts_down(self.flags.auto_shutdown, child.spec.significant, others_active):
            self._plan_stops(self.children.values())
            self._plan.append(d.GiveUp(SHUTDOWN))

    def _failed(
        self,
        child: Child,
        error: BaseException,
        *,
        fatal: bool,
        retry: bool = False,
        incarnation: int = 0,
        behind: Iterable[d.StartChild] = (),
    ) -> None:
        """A child that should run does not. `retry`: an attempt failed, so the next one waits behind the mailbox, and
        with it the starts that were planned `behind` it."""
        self._causes.append(error)
        child.failed(self._now_s)
        if self.breaker.state is BreakerState.HALF_OPEN and not fatal:
            why = f"{child.spec.id} failed while half-open: {error}"
            self._open(why, latch=False, outage=self._still_away(error))
            return
        budget = child.spec.budget
        if not fatal and budget is not None and child.gave_up:
            self._child_gave_up(child, budget, error, retry=retry, incarnation=incarnation, behind=behind)
            return
        if not fatal:
            self.window.add(self._now_s)
        if fatal or self.window.exceeded or child.failures.too_many(child.spec.backoff):
            self._exceed(child, error, fatal=fatal)
        else:
            self._restart(child, retry=retry, incarnation=incarnation)

    def _child_gave_up(
        self,
        child: Child,
        budget: ChildBudget,
        error: BaseException,
        *,
        retry: bool,
        incarnation: int,
        behind: Iterable[d.StartChild],
    ) -> None:
        """A child spent its own budget. What it would have cost next is not counted in the supervisor's window."""
        match budget.on_exceeded:
            case OnChildExceeded.ESCALATE:
                self._report_child_gave_up(child, "escalate", incarnation)
                self._exceed(child, error, fatal=False)
            case OnChildExceeded.STOP_CHILD:
                self._report_child_gave_up(child, "stop_child", incarnation)
                self._ended_for_good(child)
                if not self._plan:  # the rest of its group, which this start held up, goes on without it
                    self._plan.extend(behind)
            case OnChildExceeded.PAUSE:
                self._report_child_gave_up(child, "pause", incarnation, budget.cooldown_s)
                child.forgiven()
                self._restart(child, retry=retry, incarnation=incarnation, least_s=budget.cooldown_s)

    def _restart(self, child: Child, *, retry: bool, incarnation: int, least_s: float = 0.0) -> None:
        """Restarts the child and its group: now, or when the longest delay among those that wait is over."""
        leader = self._leader(child)
        alone = self.flags.strategy is Strategy.ONE_FOR_ONE
        members = [leader] if alone else self._group(leader)
        delay = max(least_s, delay_s(child.spec.backoff, child.failures.in_a_row, self._draw))
        for member in members:
            if member.due_s is not None:
                delay = max(delay, member.due_s - self._now_s)
            if not alone:
                self._cancel_wait(member)
        if alone and child.spec.gate is not None:
            self._leave_gate(child)
        self._report(
            RestartScheduled,
            child=str(child.spec.id),
            attempt=max(1, child.failures.in_a_row),
            delay_s=delay,
            budget_left=self.window.left(self._now_s),
            child_budget_left=child.budget_left(self._now_s),
            incarnation=incarnation,
            causes=self._words(self._causes[-1]),
            strategy=self._strategy,
            group=(str(child.spec.id),) if alone else tuple([str(member.spec.id) for member in members]),
        )
        if delay <= 0 and not retry:
            if alone and leader.state is ChildState.DOWN and leader.spec.restart is not Restart.TEMPORARY:
                self._plan_starts(members, Purpose.RESTART)
            else:
                self._plan_group(members)
            return
        if not retry:
            self._plan_stops(members)
        ticket = self._next_ticket()
        leader.waiting(ticket, self._now_s + delay)
        if (gate := self._gate(leader)) is not None:
            gate.back_off(self._name(leader.spec.id), self._now_s + delay)
        self._plan.append(d.ScheduleRestart(leader.spec.id, delay, ticket))

    def _leader(self, child: Child) -> Child:
        """The child from which its group restarts: an earlier one that waits already, where order matters."""
        if self.flags.strategy is Strategy.REST_FOR_ONE:
            for earlier in self.children.values():
                if earlier is child:
                    break
                if earlier.state is ChildState.RESTARTING:
                    return earlier
        return child

    def _group(self, leader: Child) -> list[Child]:
        if self.flags.strategy is Strategy.ONE_FOR_ONE:
            return [leader]
        return [self.children[i] for i in group(self.flags.strategy, tuple(self.children), leader.spec.id)]

    def _plan_group(self, members: list[Child]) -> None:
        self._plan_stops(members)
        coming_back = [member for member in members if member.spec.restart is not Restart.TEMPORARY]
        self._plan_starts(coming_back, Purpose.RESTART)

    def _restart_due(self, child_id: Hashable, ticket: int) -> None:
        child = self.children.get(child_id)
        if child is None or child.state is not ChildState.RESTARTING or child.ticket != ticket:
            return
        resumes = child.resumes
        child.down()
        if resumes:
            self._resume_group(child)
        else:
            self._plan_group(self._group(child))

    def _resume_group(self, child: Child) -> None:
        """Its turn at the gate came: it starts, and then those of its group that were to start after it."""
        members = [child]
        if self.flags.strategy is not Strategy.ONE_FOR_ONE:
            after = group(Strategy.REST_FOR_ONE, tuple(self.children), child.spec.id)
            members = [self.children[i] for i in after]
        half_open = self.breaker.state is BreakerState.HALF_OPEN
        coming_back = [m for m in members if not m.alive and m.spec.restart is not Restart.TEMPORARY]
        self._plan_starts(coming_back, Purpose.HALF_OPEN if half_open else Purpose.RESTART)
