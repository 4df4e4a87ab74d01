"""What a supervisor is asked to do with one child, or with its own flags: answered with a Reply or a Refuse."""

from collections.abc import Hashable, Iterable

from allstop.actors.errors import CircuitOpen
from allstop.actors.runtime.errors import AlreadyStarted
from allstop.actors.spec import ChildSpec, OnExceeded, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.budget import check_budget
from allstop.supervisors.children import Child, ChildState
from allstop.supervisors.childspecs import (
    as_child_spec,
    check_childspecs,
    check_dynamic,
    check_flags,
    check_significant,
)
from allstop.supervisors.degrade import BreakerState
from allstop.supervisors.errors import (
    AlreadyPresent,
    InvalidChildSpec,
    InvalidFlags,
    MaxChildren,
    NotForDynamic,
    NotFound,
    Restarting,
    Running,
)
from allstop.supervisors.plan import Plan, Purpose


def check_spendable(flags: SupervisorFlags, specs: Iterable[ChildSpec]) -> None:
    """Raises InvalidChildSpec for the first child whose own backoff keeps the budget from ever being spent."""
    for problem in check_budget(flags, specs):
        raise InvalidChildSpec("budget_never_spent", problem.what)


def _differ(one: ChildSpec, other: ChildSpec) -> bool:
    try:
        return one != other
    except Exception:  # noqa: BLE001 - arguments are the user's, and an array of numbers has no one answer to that
        return True


class Requests(Plan):
    """Start, stop, and the operations on single children."""

    def _boot(self) -> None:
        if self.flags.on_exceeded is OnExceeded.PAUSE:
            if (kept := self.lasting.latched.get(self.path)) is not None:
                self.breaker = kept.breaker.changed(self.flags.pause, self.flags.max_seconds)
                self._say(d.LowerLevel(kept.reason, latched=True))
                self._report_breaker(kept.reason)
                return  # an earlier incarnation latched, and no person has come since: nothing starts
            self._say(d.RaiseLevel(by_person=False))  # an earlier incarnation may have died open
        self._plan_starts(self.children.values(), Purpose.BOOT)

    def _stop(self) -> None:
        self._ending = True
        self._abandon_plan()
        self._cancel_cooldown()
        self._plan_stops(self.children.values())

    # ---- requests ----

    def _add(self, spec: ChildSpec) -> None:
        if self.breaker.stopped:
            self._refuse_while_open()
            return
        try:
            spec = as_child_spec(spec)
            check_significant(spec, self.flags.auto_shutdown)
            check_spendable(self.flags, (spec,))
            self.lasting.gates.check((spec,))
        except InvalidChildSpec as error:
            self._say(d.Refuse(error))
            return
        present = self.children.get(spec.id)
        if present is not None:
            running = present.state is ChildState.RUNNING
            self._say(
                d.Refuse(
                    AlreadyStarted(self._name(spec.id), present.ref) if running else AlreadyPresent(spec.id)
                )
            )
        elif self.max_children is not None and len(self.children) >= self.max_children:
            self._say(d.Refuse(MaxChildren(self.max_children)))
        else:
            self.children[spec.id] = Child(spec)
            self._plan_starts([self.children[spec.id]], Purpose.ADD)

    def _terminate(self, child_id: Hashable) -> None:
        child = self._found(child_id)
        if child is None:
            self._say(d.Refuse(NotFound(child_id)))
            return
        self._plan_stops([child])
        if not child.alive:
            self._forget_unless_kept(child)
        if child.ref is not None:
            self._plan.append(d.Retire(child.ref))
        self._plan.append(d.Reply(None))

    def _restart_child(self, child_id: Hashable) -> None:
        if self.breaker.stopped:
            self._refuse_while_open()
        elif (child := self._idle(child_id, "restart_child")) is not None:
            self._plan_starts([child], Purpose.RESTART_CHILD)

    def _delete(self, child_id: Hashable) -> None:
        if self._idle(child_id, "delete_child") is not None:
            del self.children[child_id]
            self._say(d.Reply(None))

    def _idle(self, child_id: Hashable, operation: str) -> Child | None:
        """The child, when it is known and neither runs nor waits; else the refusal has been said."""
        child = self._found(child_id)
        if self.dynamic:
            self._say(d.Refuse(NotForDynamic(operation)))
        elif child is None:
            self._say(d.Refuse(NotFound(child_id)))
        elif child.state is ChildState.RESTARTING:
            self._say(d.Refuse(Restarting(child_id)))
        elif child.state is ChildState.RUNNING:
            self._say(d.Refuse(Running(child_id)))
        else:
            return child
        return None

    def _refuse_while_open(self) -> None:
        self._say(d.Refuse(CircuitOpen(self.path, self.breaker.retry_after_s(self._now_s))))

    def _reconfigure(self, flags: SupervisorFlags, specs: tuple[ChildSpec, ...]) -> None:
        """Takes new flags at once and new specs at each child's next start; answers with what changed, in words."""
        try:
            check_flags(flags)
            if self.dynamic:
                check_dynamic(flags)
                if specs:
                    raise InvalidFlags("bad_start_spec", specs)
            if (
                self.breaker.state is not BreakerState.CLOSED
                and flags.on_exceeded is not self.flags.on_exceeded
            ):
                raise InvalidFlags("breaker_not_closed", flags.on_exceeded)
            check_childspecs(specs, flags.auto_shutdown)
            specs = tuple(map(as_child_spec, specs))
            after = {child_id: child.spec for child_id, child in self.children.items()}
            check_spendable(flags, (after | {spec.id: spec for spec in specs}).values())
            self.lasting.gates.check(specs)
        except (InvalidFlags, InvalidChildSpec) as error:
            self._say(d.Refuse(error))
            return
        changes = [] if flags == self.flags else ["flags"]
        self.flags = flags
        self._note_strategy()
        self.window.change(flags.max_restarts, flags.max_seconds)
        self.breaker = self.breaker.changed(flags.pause, flags.max_seconds)
        for spec in specs:
            child = self.children.get(spec.id)
            if child is None:
                self.children[spec.id] = Child(spec)
                changes.append(f"added {spec.id}")
            elif _differ(child.spec, spec):
                child.changed(spec)
                changes.append(f"changed {spec.id}")
        self._say(d.Reply(tuple(changes)))
