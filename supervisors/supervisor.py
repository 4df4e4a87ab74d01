"""The supervisor: an actor that starts its children, and carries out what its core decides when one ends.

The functions that ask a supervisor for something stand below its class. All have a deadline, and raise what
errors.py names. A child may not ask its own supervisor to stop it and wait: the supervisor waits for the child.
"""

import asyncio
from collections.abc import Awaitable, Hashable, Iterable, Mapping
from types import CoroutineType
from typing import Any, ClassVar, cast

import msgspec

from allstop.actors.errors import CircuitOpen
from allstop.actors.exits import Exit
from allstop.actors.runtime import Actor, Down, Mailbox, Ref, Via
from allstop.actors.runtime.arguments import want, want_ref, want_seconds, want_text
from allstop.actors.spec import ChildSpec, ChildType, OnExceeded, Start, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.carrying_out import CarryingOut, finished
from allstop.supervisors.children import ChildCount, ChildInfo
from allstop.supervisors.childspecs import SECONDS_MAX
from allstop.supervisors.core import SupervisorCore
from allstop.supervisors.degrade import Breaker
from allstop.supervisors.errors import InvalidChildSpec, NotASupervisor, UnknownRequest
from allstop.supervisors.lasting import lasting_of
from allstop.supervisors.votes import Votes
from allstop.supervisors.waiting import Minding, Wait

START_TIMEOUT_S = ChildSpec(None, Start(Actor)).start_timeout_s
TIMEOUT_S = 5.0  # of a question; the supervisor may be starting a child, which holds it up
STOP_TIMEOUT_S = 30.0  # of a request that waits for a child to stop


class WhichChildren(msgspec.Struct, frozen=True):
    """Answered with a tuple of ChildInfo, in start order."""


class WhichChild(msgspec.Struct, frozen=True):
    child_id: Any


class CountChildren(msgspec.Struct, frozen=True):
    pass


class GetChildspec(msgspec.Struct, frozen=True):
    child_id: Any


class GetBreaker(msgspec.Struct, frozen=True):
    """Answered with a Breaker."""


class GetView(msgspec.Struct, frozen=True):
    """Answered with a SupervisorView."""


class SupervisorView(msgspec.Struct, frozen=True):
    """A supervisor as it stands: its children in start order, and what its budget still allows."""

    path: str
    incarnation: int
    strategy: str
    children: tuple[ChildInfo, ...]
    restarts_in_window: int
    budget_left: int
    breaker: str
    retry_after_s: float  # until calls below it may pass; 0: they do


class Supervisor(CarryingOut):
    """Starts `children` in order and keeps them as `flags` say; stops them in reverse when it ends."""

    # Requests and timers only: the ends of children and stops come by the control lane.
    mailbox: ClassVar[Mailbox] = Mailbox(capacity=1000)

    keeps_task: ClassVar[bool] = False
    trap_exits: ClassVar[bool] = (
        True  # what links itself to a supervisor cannot end it: its children hang on it
    )

    def __init__(
        self, flags: SupervisorFlags, children: Iterable[ChildSpec] = (), *, votes: Votes | None = None
    ) -> None:
        """Raises InvalidFlags, InvalidChildSpec or BadInput, so that a wrong tree fails to start."""
        super().__init__()
        if isinstance(children, str | bytes | Mapping) or not isinstance(children, Iterable):
            raise InvalidChildSpec("badarg", children)
        self._begin(SupervisorCore(self.path, flags, children, lasting=lasting_of(self.system)), votes)

    @classmethod
    def child_spec(cls, *args: Any, **overrides: Any) -> ChildSpec:
        """As of any actor, and its type is supervisor: it may take for ever to stop."""
        return super().child_spec(*args, **{"type": ChildType.SUPERVISOR, **overrides})

    def _begin(self, core: SupervisorCore, votes: Votes | None) -> None:
        self._core = core
        self._votes = votes
        self._system = self.system
        self._clock = self.clock
        self._dice = self.dice
        self._ends = False
        self._timers = {}
        self._reply = self._refusal = None

    # -- the actor -------------------------------------------------------------------------------------------------
    # Handlers are plain, and give a coroutine where a child's start or stop takes time: a supervisor whose children
    # start and stop plainly owns no task, and restarts one within the message that tells of its end.
    def on_start(self) -> Any:
        if self._core.flags.on_exceeded is OnExceeded.PAUSE:
            self.system.refuse_below(self.path, self._circuit_open)
        booting = self._carry_out(d.Boot(), self._boot_on)
        return booting if booting.__class__ is CoroutineType else None

    async def _boot_on(self, answer: d.Given | Wait | None) -> None:
        try:
            await self._carry_on(answer)
        except asyncio.CancelledError:
            if not self.fenced:  # a stop, not a kill: what had started ends in order, too
                self._ends = True
                await finished(self._carry_out(d.Stop()))
            raise

    def _circuit_open(self) -> Exception | None:
        """What callers of a paused child get at once: when to try again."""
        if self.fenced or not self._core.breaker.stopped:
            return None
        return CircuitOpen(self.path, self._core.breaker.retry_after_s(self.clock.now_s()))

    def on_receive(self, message: Any) -> Any:
        if message.__class__ is Down:
            monitor = message.monitor
            if monitor.__class__ is not Minding:
                return None
            return self._child_ended(message, monitor.child_id)
        match message:
            case d.RestartDue(ticket=ticket) | d.CooldownDue(ticket):
                self._timers.pop(ticket, None)
                return self._carry_out(message)
            case d.GateLook() | d.GateMoved():
                return self._carry_out(message)
            case d.ResetBreaker(by, reason):
                self.log.warning("breaker.reset", by=by, reason=reason)
                return self._carry_out(message)
            case WhichChildren():
                return self._core.which_children()
            case WhichChild(child_id):
                return self._core.which_child(child_id)
            case CountChildren():
                return self._core.count_children()
            case GetChildspec(child_id):
                return self._core.get_childspec(child_id)
            case GetBreaker():
                return self._core.breaker
            case GetView():
                return self._view()
            case (
                d.AddChild()
                | d.TerminateChild()
                | d.RestartChild()
                | d.DeleteChild()
                | d.Reconfigure()
                | d.CallReported()
            ):
                return self._carry_out(message)
            case _:
                if self.called:
                    raise UnknownRequest(self.path, message)
                self.log.warning("supervisor.unexpected_message", message=type(message).__name__)
                return None

    def on_stop(self, exit_: Exit) -> Any:
        del exit_  # whatever ends a supervisor, its children are asked to shut down
        self._ends = True
        stopping: Any = None
        try:
            stopping = self._carry_out(d.Stop(), self._stop_on)
        finally:
            if stopping.__class__ is not CoroutineType:
                self.system.refuse_below(self.path, None)
        return stopping if stopping.__class__ is CoroutineType else None

    async def _stop_on(self, answer: d.Given | Wait | None) -> None:
        try:
            await self._carry_on(answer)
        finally:
            self.system.refuse_below(self.path, None)

    def _view(self) -> SupervisorView:
        core, now_s = self._core, self._clock.now_s()
        left = core.window.left(now_s)  # forgets what is too old
        return SupervisorView(
            path=self.path,
            incarnation=self.incarnation,
            strategy=core.flags.strategy.value,
            children=core.which_children(),
            restarts_in_window=len(core.window),
            budget_left=left,
            breaker=core.breaker.state.value,
            retry_after_s=core.breaker.retry_after_s(now_s),
        )

    def format_status(self) -> Any:
        """The children and the breaker: what a supervisor holds is no secret."""
        return {"children": self._core.which_children(), "breaker": self._core.breaker.state.value}


# -- asking a supervisor ------------------------------------------------------------------------------------------


def asked(supervisor: Ref | Via, timeout_s: float | None = None, kind: type[Supervisor] = Supervisor) -> Ref:
    """The address of a supervisor, when it is one. Raises TypeError or NotASupervisor for others: what is told a plain
    actor it may take for anything. Where nothing runs, who asks is told so by its call."""
    ref = supervisor.ref if isinstance(supervisor, Via) else supervisor
    want_ref("supervisor", ref)
    cell = ref.cell
    if not cell.ended and not issubclass(cell.actor_class, kind):
        raise NotASupervisor(ref, kind.__name__, cell.actor_class.__qualname__)
    if timeout_s is not None:
        want_seconds("timeout_s", timeout_s)
    return ref


def start_child(supervisor: Ref, spec: ChildSpec, *, timeout_s: float | None = None) -> Awaitable[Ref | None]:
    """Starts one more child, last in the order, and gives its address once it runs (None: it ignored its start).

    Raises AlreadyStarted, AlreadyPresent, MaxChildren, InvalidChildSpec, CircuitOpen, or StartFailure, which keeps
    no spec. The default deadline is what the start may take, and the usual one besides.
    """
    wait_s = _start_takes_s(spec) + TIMEOUT_S if timeout_s is None else timeout_s
    return asked(supervisor, wait_s).call(d.AddChild(spec), timeout_s=wait_s)


def _start_takes_s(spec: object) -> float:
    """At most; of nonsense, which is refused at once, nothing."""
    fields = spec if isinstance(spec, Mapping) else {"start_timeout_s": getattr(spec, "start_timeout_s", 0.0)}
    limit_s: Any = cast("Mapping[str, Any]", fields).get("start_timeout_s", START_TIMEOUT_S)
    return limit_s if isinstance(limit_s, int | float) and 0 <= limit_s <= SECONDS_MAX else 0.0


async def terminate_child(supervisor: Ref, child_id: Hashable, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Stops a child, or its wait for a restart, for good; its spec stays unless it is temporary. Raises NotFound."""
    await asked(supervisor, timeout_s).call(d.TerminateChild(child_id), timeout_s=timeout_s)


def restart_child(
    supervisor: Ref, child_id: Hashable, *, timeout_s: float = STOP_TIMEOUT_S
) -> Awaitable[Ref | None]:
    """Starts a known child that is down. Raises NotFound, Running, Restarting, CircuitOpen, StartFailure."""
    return asked(supervisor, timeout_s).call(d.RestartChild(child_id), timeout_s=timeout_s)


async def delete_child(supervisor: Ref, child_id: Hashable, *, timeout_s: float = TIMEOUT_S) -> None:
    """Forgets a child that is down. Raises NotFound, Running, Restarting."""
    await asked(supervisor, timeout_s).call(d.DeleteChild(child_id), timeout_s=timeout_s)


def which_children(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[tuple[ChildInfo, ...]]:
    """Every known child, dead or alive, in start order (not reversed, as OTP has it)."""
    return asked(supervisor, timeout_s).call(WhichChildren(), timeout_s=timeout_s)


def which_child(supervisor: Ref, child_id: Hashable, *, timeout_s: float = TIMEOUT_S) -> Awaitable[ChildInfo]:
    """Raises NotFound."""
    return asked(supervisor, timeout_s).call(WhichChild(child_id), timeout_s=timeout_s)


def count_children(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[ChildCount]:
    return asked(supervisor, timeout_s).call(CountChildren(), timeout_s=timeout_s)


def get_childspec(
    supervisor: Ref, child_id: Hashable, *, timeout_s: float = TIMEOUT_S
) -> Awaitable[ChildSpec]:
    """Raises NotFound."""
    return asked(supervisor, timeout_s).call(GetChildspec(child_id), timeout_s=timeout_s)


def reconfigure(
    supervisor: Ref, flags: SupervisorFlags, specs: Iterable[ChildSpec] = (), *, timeout_s: float = TIMEOUT_S
) -> Awaitable[tuple[str, ...]]:
    """New flags at once and new specs at each child's next start, or none of it. Gives what changed, in words.

    Added specs are not started; those left out stay. Raises InvalidFlags or InvalidChildSpec.
    """
    return asked(supervisor, timeout_s).call(d.Reconfigure(flags, tuple(specs)), timeout_s=timeout_s)


def status(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[SupervisorView]:
    """The supervisor itself, its budget and its children; `tree_view.tree` gives all below it, too."""
    return asked(supervisor, timeout_s).call(GetView(), timeout_s=timeout_s)


def breaker_state(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[Breaker]:
    """The breaker of a supervisor: its `state`, its trips, and by `retry_after_s(now_s)` when to try again."""
    return asked(supervisor, timeout_s).call(GetBreaker(), timeout_s=timeout_s)


def report_failure(supervisor: Ref, category: str) -> None:
    """A child's call failed, and the child lives. Enough of these open the breaker; half-open, one does.

    Told, not called, so that a child may tell its own supervisor. A venue that says no is not a failure.
    """
    want_text("category", category)
    asked(supervisor).tell(d.CallReported(category))


def report_success(supervisor: Ref) -> None:
    asked(supervisor).tell(d.CallReported(None))


def report_probe(supervisor: Ref, ok: bool) -> None:
    """While half-open: a probe came back. `probes` good ones close the breaker, a bad one opens it for longer."""
    want("ok", ok, bool, "True or False")
    asked(supervisor).tell(d.CallReported(None if ok else "probe"))


async def reset_breaker(supervisor: Ref, by: str, reason: str, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """A person wants another try of a breaker, latched or not: it becomes half-open, and its trips are forgotten."""
    want_text("by", by)
    want_text("reason", reason)
    await asked(supervisor, timeout_s).call(d.ResetBreaker(by, reason), timeout_s=timeout_s)
