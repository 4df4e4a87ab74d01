"""The supervisor: an actor that starts its children, and carries out what its core decides when one ends.

The functions that ask a supervisor for something stand below its class. All have a deadline, and raise what
errors.py names. A child may not ask its own supervisor to stop it and wait: the supervisor waits for the child.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from contextlib import suppress
from types import CoroutineType
from typing import Any, ClassVar, cast

import msgspec

from allstop.actors.errors import CircuitOpen
from allstop.actors.events import ShutdownOverrun
from allstop.actors.exits import SHUTDOWN, Exit
from allstop.actors.runtime import (
    Actor,
    AlreadyStarted,
    Down,
    Ignore,
    Mailbox,
    MailboxFull,
    Ref,
    StartError,
    Timer,
)
from allstop.actors.runtime.cell import Cell
from allstop.actors.runtime.starting import launch, stand_in, started, vacant
from allstop.actors.runtime.states import ENDED
from allstop.actors.runtime.stopping import stopped_at_once
from allstop.actors.spec import ChildSpec, ChildType, Isolation, OnExceeded, Start, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.children import ChildCount, ChildInfo
from allstop.supervisors.childspecs import SECONDS_MAX
from allstop.supervisors.core import SupervisorCore
from allstop.supervisors.degrade import Breaker
from allstop.supervisors.lasting import lasting_of
from allstop.supervisors.votes import Votes
from allstop.supervisors.waiting import AT_ONCE_MAX, Minding, Starting, Stopping, Turn, Wait

Report, StartChild, LOOP = d.Report, d.StartChild, Isolation.LOOP  # looked up at each restart

START_TIMEOUT_S = ChildSpec(None, Start(Actor)).start_timeout_s
TIMEOUT_S = 5.0  # of a question; the supervisor may be starting a child, which holds it up
LEEWAY_S = 0.005  # of a supervisor that has much to do, before others have their turn
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


class Supervisor(Actor):
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
        self._timers: dict[int, Timer] = {}
        self._reply: object = None
        self._refusal: Exception | None = None

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
            return self._carry_out(d.Ended(monitor.child_id, message.incarnation, message.exit))
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

    # -- carrying out ----------------------------------------------------------------------------------------------
    def _carry_out(
        self, given: d.Given, go_on: Callable[[d.Given | Wait | None], Coroutine[Any, Any, Any]] | None = None
    ) -> Any:
        """Tells the core and does what it answers, until nothing is left. Gives back its reply or raises its refusal:
        a coroutine of that (what `go_on` gives), where something has to be waited for or there is much to do."""
        self._reply = self._refusal = None
        clock, decide = self._clock, self._core.handle
        began_s = clock.now_s()
        answer = self._do(decide(given, began_s, self._dice.draw(), clock.wall_ns()))
        while answer is not None:
            if isinstance(answer, Wait) or (now_s := clock.now_s()) - began_s > LEEWAY_S:
                return (go_on or self._carry_on)(answer)
            # A start that succeeded decides nothing by chance.
            draw = 0.0 if isinstance(answer, d.Started) else self._dice.draw()
            answer = self._do(decide(answer, now_s, draw, clock.wall_ns()))
        if self._refusal is not None:
            raise self._refusal
        return self._reply

    async def _carry_on(self, answer: d.Given | Wait | None) -> Any:
        began_s = 0.0  # long ago
        while answer is not None:
            if isinstance(answer, Wait):
                answer = await answer.over()
            elif self._clock.now_s() - began_s > LEEWAY_S:
                await asyncio.sleep(0)  # the others have their turn
                began_s = self._clock.now_s()
            clock = self._clock
            draw = 0.0 if isinstance(answer, d.Started) else self._dice.draw()
            answer = self._do(self._core.handle(answer, clock.now_s(), draw, clock.wall_ns()))
        if self._refusal is not None:
            raise self._refusal
        return self._reply

    def _do(self, commands: tuple[d.Command, ...]) -> d.Given | Wait | None:
        """Carries the commands out, in order. What answers the last one of them, if that is one to be answered."""
        answer: d.Given | Wait | None = None
        for command in commands:  # a restart is three reports and a start: these are looked for first
            if isinstance(command, Report):
                self._system.emit(command.event)
            elif isinstance(command, StartChild):
                answer = self._start_child(command.spec)
            elif isinstance(command, d.StopChildren):
                answer = self._stop_children(command.stops)
            elif isinstance(command, d.AwaitTurn):
                answer = Turn(self._core.lasting.turns, self.path, command.delay_s)
            else:
                self._perform(command)
        return answer

    def _perform(self, command: d.Command) -> None:
        match command:
            case d.Reply(value):
                self._reply = value
            case d.Refuse(error):
                self._refusal = error
            case d.FailStart(error):
                raise error
            case d.ScheduleRestart(child_id, delay_s, ticket):
                self._timers[ticket] = self.send_after(delay_s, d.RestartDue(child_id, ticket))
            case d.ScheduleCooldown(delay_s, ticket):
                self._timers[ticket] = self.send_after(delay_s, d.CooldownDue(ticket))
            case d.ScheduleGateLook(gate, delay_s):
                self.send_after(delay_s, d.GateLook(gate))
            case d.TellMoved(gate, paths):
                self._tell_moved(gate, paths)
            case d.CancelTimer(ticket):
                timer = self._timers.pop(ticket, None)
                if timer is not None:
                    timer.cancel()
            case d.GiveUp(exit_) if self._ends and exit_.error is not None:
                raise exit_.error  # a fatal end, found while we stop: it becomes ours
            case d.GiveUp(exit_):
                self.exit(exit_)
            case d.Retire(ref):
                self.system.retire(cast(Ref, ref))
            case d.Latch(offender, error):
                self.latch(offender, error)
            case d.LowerLevel(reason, latched):
                if self._votes is not None:
                    self._votes.cast(self.path, reason, latched=latched)
            case d.RaiseLevel(by_person):
                if self._votes is not None:
                    self._votes.withdraw(self.path, by_person=by_person)
            case _:
                raise TypeError(f"not a command of the core: {command!r}")

    def _tell_moved(self, gate: str, paths: tuple[str, ...]) -> None:
        for path in paths:
            if (moved := self._core.lasting.turns.get(path)) is not None:
                moved.set()
            elif (ref := self.system.address(path)).is_alive():
                with suppress(MailboxFull):  # one that is busy for so long comes when it was told
                    ref.tell(d.GateMoved(gate))

    def latch(self, offender: Hashable, error: BaseException) -> None:
        """A child gave up and `on_exceeded` is LATCH: votes for it, latched. The root halts instead."""
        del offender  # the error names it
        if self._votes is not None:
            self._votes.cast(self.path, str(error), latched=True)

    # -- children --------------------------------------------------------------------------------------------------
    def child_path(self, child_id: Hashable) -> str:
        """A child's address: a slash in its id would read as another level."""
        return f"{self.path.rstrip('/')}/{str(child_id).replace('/', '-')}"

    def _start_child(self, spec: ChildSpec) -> d.Given | Wait:
        start = spec.start
        system = self._system
        try:
            ref: Ref | None = self._core.children[spec.id].ref  # pyright: ignore[reportAssignmentType]
            if ref is None or ref._cell is not system.vacancy:
                ref = vacant(system, self.child_path(spec.id))
            actor_class = start.actor_class
            if spec.isolation is not LOOP:
                actor_class = stand_in(system, actor_class, spec.isolation, ref.path)
            own = self._cell
            # A supervisor that ended has no address to father from: its `ref` says so.
            parent = own.ref if own.state is not ENDED else self.ref
            cell = launch(system, ref, actor_class, start.args, start.kwargs, parent, spec.while_down)
            if cell.started is not None:
                return Starting(spec, cell, self._taken)
            if cell.state is ENDED:
                started(cell, began=False)
        except AlreadyStarted as error:  # by an outsider
            return d.NotStarted(spec.id, error)
        except StartError as error:
            return d.NotStarted(spec.id, error.cause or error)
        return self._taken(spec, cell)

    def _taken(self, spec: ChildSpec, cell: Cell) -> d.Given:
        """The child runs, or chose not to. One that has ended meanwhile is told of at once, with its true exit: no end
        is lost between a start and the monitor."""
        child_id = spec.id
        if cell.exit is not None and cell.exit.detail.__class__ is Ignore:
            return d.Ignored(child_id)
        cell.mind(Minding(self._cell, child_id))
        return d.Started(child_id, cell.ref, cell.incarnation)

    def _stop_children(self, stops: tuple[d.StopChild, ...]) -> d.Given | Wait:
        """All of these at the same time: a static supervisor is given one at a time."""
        stops = tuple(map(self._released, stops))
        if len(stops) > AT_ONCE_MAX:
            return Stopping(self.system, stops, self._overran)
        exits: list[tuple[Hashable, Exit]] = []
        for stop in stops:
            exit_ = stopped_at_once(cast(Ref, stop.ref), SHUTDOWN, stop.shutdown)
            if exit_ is None:
                return Stopping(self.system, stops, self._overran, dict(exits))
            exits.append((stop.child_id, exit_))
        return d.Stopped(tuple(exits))

    def _released(self, stop: d.StopChild) -> d.StopChild:
        """From here on the end of this child is answered by its stop. One that is starting still gets its address."""
        ref = stop.ref
        if ref is None:
            ref = self.system.address(self.child_path(stop.child_id))
            stop = d.StopChild(stop.child_id, ref, stop.shutdown)
        cast(Ref, ref).cell.mind(None)
        return stop

    def _overran(self, stop: d.StopChild, unstopped: bool) -> None:
        self.system.emit(
            ShutdownOverrun(
                at_ns=self._clock.wall_ns(), path=self.path, child=str(stop.child_id), unstopped=unstopped
            )
        )


async def finished(result: Any) -> Any:
    """What a handler of a supervisor gives, waited for where it takes time."""
    return await result if result.__class__ is CoroutineType else result


# -- asking a supervisor ------------------------------------------------------------------------------------------


def start_child(supervisor: Ref, spec: ChildSpec, *, timeout_s: float | None = None) -> Awaitable[Ref | None]:
    """Starts one more child, last in the order, and gives its address once it runs (None: it ignored its start).

    Raises AlreadyStarted, AlreadyPresent, MaxChildren, InvalidChildSpec, CircuitOpen, or StartFailure, which keeps
    no spec. The default deadline is what the start may take, and the usual one besides.
    """
    wait_s = _start_takes_s(spec) + TIMEOUT_S if timeout_s is None else timeout_s
    return supervisor.call(d.AddChild(spec), timeout_s=wait_s)


def _start_takes_s(spec: object) -> float:
    """At most; of nonsense, which is refused at once, nothing."""
    fields = spec if isinstance(spec, Mapping) else {"start_timeout_s": getattr(spec, "start_timeout_s", 0.0)}
    limit_s: Any = cast("Mapping[str, Any]", fields).get("start_timeout_s", START_TIMEOUT_S)
    return limit_s if isinstance(limit_s, int | float) and abs(limit_s) <= SECONDS_MAX else 0.0


async def terminate_child(supervisor: Ref, child_id: Hashable, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Stops a child, or its wait for a restart, for good; its spec stays unless it is temporary. Raises NotFound."""
    await supervisor.call(d.TerminateChild(child_id), timeout_s=timeout_s)


def restart_child(
    supervisor: Ref, child_id: Hashable, *, timeout_s: float = STOP_TIMEOUT_S
) -> Awaitable[Ref | None]:
    """Starts a known child that is down. Raises NotFound, Running, Restarting, CircuitOpen, StartFailure."""
    return supervisor.call(d.RestartChild(child_id), timeout_s=timeout_s)


async def delete_child(supervisor: Ref, child_id: Hashable, *, timeout_s: float = TIMEOUT_S) -> None:
    """Forgets a child that is down. Raises NotFound, Running, Restarting."""
    await supervisor.call(d.DeleteChild(child_id), timeout_s=timeout_s)


def which_children(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[tuple[ChildInfo, ...]]:
    """Every known child, dead or alive, in start order (not reversed, as OTP has it)."""
    return supervisor.call(WhichChildren(), timeout_s=timeout_s)


def which_child(supervisor: Ref, child_id: Hashable, *, timeout_s: float = TIMEOUT_S) -> Awaitable[ChildInfo]:
    """Raises NotFound."""
    return supervisor.call(WhichChild(child_id), timeout_s=timeout_s)


def count_children(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[ChildCount]:
    return supervisor.call(CountChildren(), timeout_s=timeout_s)


def get_childspec(
    supervisor: Ref, child_id: Hashable, *, timeout_s: float = TIMEOUT_S
) -> Awaitable[ChildSpec]:
    """Raises NotFound."""
    return supervisor.call(GetChildspec(child_id), timeout_s=timeout_s)


def reconfigure(
    supervisor: Ref, flags: SupervisorFlags, specs: Iterable[ChildSpec] = (), *, timeout_s: float = TIMEOUT_S
) -> Awaitable[tuple[str, ...]]:
    """New flags at once and new specs at each child's next start, or none of it. Gives what changed, in words.

    Added specs are not started; those left out stay. Raises InvalidFlags or InvalidChildSpec.
    """
    return supervisor.call(d.Reconfigure(flags, tuple(specs)), timeout_s=timeout_s)


def status(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[SupervisorView]:
    """The supervisor itself, its budget and its children; `tree_view.tree` gives all below it, too."""
    return supervisor.call(GetView(), timeout_s=timeout_s)


def breaker_state(supervisor: Ref, *, timeout_s: float = TIMEOUT_S) -> Awaitable[Breaker]:
    """The breaker of a supervisor: its `state`, its trips, and by `retry_after_s(now_s)` when to try again."""
    return supervisor.call(GetBreaker(), timeout_s=timeout_s)


def report_failure(supervisor: Ref, category: str) -> None:
    """A child's call failed, and the child lives. Enough of these open the breaker; half-open, one does.

    Told, not called, so that a child may tell its own supervisor. A venue that says no is not a failure.
    """
    supervisor.tell(d.CallReported(category))


def report_success(supervisor: Ref) -> None:
    supervisor.tell(d.CallReported(None))


def report_probe(supervisor: Ref, ok: bool) -> None:
    """While half-open: a probe came back. `probes` good ones close the breaker, a bad one opens it for longer."""
    supervisor.tell(d.CallReported(None if ok else "probe"))


async def reset_breaker(supervisor: Ref, by: str, reason: str, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """A person wants another try of a breaker, latched or not: it becomes half-open, and its trips are forgotten."""
    await supervisor.call(d.ResetBreaker(by, reason), timeout_s=timeout_s)
