"""The supervisor: an actor that starts its children, and carries out what its core decides when one ends.

The functions that ask a supervisor for something stand below its class. All have a deadline, and raise what
errors.py names. A child may not ask its own supervisor to stop it and wait: the supervisor waits for the child.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Hashable, Iterable
from typing import Any, ClassVar, cast

import msgspec

from allstop.actors.errors import CircuitOpen
from allstop.actors.events import ShutdownOverrun
from allstop.actors.exits import KILLED, SHUTDOWN, Exit
from allstop.actors.runtime import (
    Actor,
    AlreadyStarted,
    Down,
    Ignore,
    Mailbox,
    MonitorRef,
    Overrun,
    Ref,
    StartError,
    Timer,
)
from allstop.actors.spec import ChildSpec, OnExceeded, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.children import ChildCount, ChildInfo
from allstop.supervisors.core import SupervisorCore
from allstop.supervisors.degrade import Breaker
from allstop.supervisors.lasting import lasting_of
from allstop.supervisors.votes import Votes

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


class Supervisor(Actor):
    """Starts `children` in order and keeps them as `flags` say; stops them in reverse when it ends."""

    # Requests and timers only: the ends of children and stops come by the control lane.
    mailbox: ClassVar[Mailbox] = Mailbox(capacity=1000)

    def __init__(
        self, flags: SupervisorFlags, children: Iterable[ChildSpec] = (), *, votes: Votes | None = None
    ) -> None:
        """Raises InvalidFlags, InvalidChildSpec or BadInput, so that a wrong tree fails to start."""
        super().__init__()
        self._begin(SupervisorCore(self.path, flags, children, lasting=lasting_of(self.system)), votes)

    def _begin(self, core: SupervisorCore, votes: Votes | None) -> None:
        self._core = core
        self._votes = votes
        self._timers: dict[int, Timer] = {}
        self._monitors: dict[Hashable, MonitorRef] = {}  # of the children that run
        self._monitored: dict[MonitorRef, Hashable] = {}  # the same, the other way round

    # -- the actor -------------------------------------------------------------------------------------------------
    async def on_start(self) -> None:
        if self._core.flags.on_exceeded is OnExceeded.PAUSE:
            self.system.refuse_below(self.path, self._circuit_open)
        try:
            await self._carry_out(d.Boot())
        except asyncio.CancelledError:
            if not self.fenced:  # a stop, not a kill: what had started ends in order, too
                await self._carry_out(d.Stop())
            raise

    def _circuit_open(self) -> Exception | None:
        """What callers of a paused child get at once: when to try again."""
        if self.fenced or not self._core.breaker.stopped:
            return None
        return CircuitOpen(self.path, self._core.breaker.retry_after_s(self.clock.now_s()))

    async def on_receive(self, message: Any) -> Any:
        match message:
            case Down(monitor=monitor, incarnation=incarnation, exit=exit_):
                if monitor in self._monitored:
                    child_id = self._monitored.pop(monitor)
                    del self._monitors[child_id]
                    await self._carry_out(d.Ended(child_id, incarnation, exit_))
                return None
            case d.RestartDue(ticket=ticket) | d.CooldownDue(ticket):
                self._timers.pop(ticket, None)
                return await self._carry_out(message)
            case d.GateLook():
                return await self._carry_out(message)
            case d.ResetBreaker(by, reason):
                self.log.warning("breaker.reset", by=by, reason=reason)
                return await self._carry_out(message)
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
            case (
                d.AddChild()
                | d.TerminateChild()
                | d.RestartChild()
                | d.DeleteChild()
                | d.Reconfigure()
                | d.CallReported()
            ):
                return await self._carry_out(message)
            case _:
                self.log.warning("supervisor.unexpected_message", message=type(message).__name__)
                return None

    async def on_stop(self, exit_: Exit) -> None:
        del exit_  # whatever ends a supervisor, its children are asked to shut down
        await self._carry_out(d.Stop())
        self.system.refuse_below(self.path, None)

    def format_status(self) -> Any:
        """The children and the breaker: what a supervisor holds is no secret."""
        return {"children": self._core.which_children(), "breaker": self._core.breaker.state.value}

    # -- carrying out ----------------------------------------------------------------------------------------------
    async def _carry_out(self, given: d.Given) -> object:
        """Tells the core and does what it answers, until nothing is left. Gives back its reply or raises its refusal."""
        reply: object = None
        refusal: Exception | None = None
        commands = deque(self._decide(given))
        while commands:
            match commands.popleft():
                case d.StartChild(spec):
                    commands.extend(self._decide(await self._start_child(spec)))
                case d.AwaitTurn(_, delay_s):
                    await asyncio.sleep(delay_s)
                    commands.extend(self._decide(d.TurnCame()))
                case d.StopChildren(stops):
                    commands.extend(self._decide(await self._stop_children(stops)))
                case d.Reply(value):
                    reply = value
                case d.Refuse(error):
                    refusal = error
                case d.FailStart(error):
                    raise error
                case command:
                    self._perform(command)
        if refusal is not None:
            raise refusal
        return reply

    def _decide(self, given: d.Given) -> tuple[d.Command, ...]:
        return self._core.handle(given, self.clock.now_s(), self.dice.draw())

    def _perform(self, command: d.Command) -> None:
        match command:
            case d.Report(event):
                self.system.emit(msgspec.structs.replace(event, at_ns=self.clock.wall_ns()))
            case d.ScheduleRestart(child_id, delay_s, ticket):
                self._timers[ticket] = self.send_after(delay_s, d.RestartDue(child_id, ticket))
            case d.ScheduleCooldown(delay_s, ticket):
                self._timers[ticket] = self.send_after(delay_s, d.CooldownDue(ticket))
            case d.ScheduleGateLook(gate, delay_s):
                self.send_after(delay_s, d.GateLook(gate))
            case d.CancelTimer(ticket):
                timer = self._timers.pop(ticket, None)
                if timer is not None:
                    timer.cancel()
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

    def latch(self, offender: Hashable, error: BaseException) -> None:
        """A child gave up and `on_exceeded` is LATCH: votes for it, latched. The root halts instead."""
        del offender  # the error names it
        if self._votes is not None:
            self._votes.cast(self.path, str(error), latched=True)

    # -- children --------------------------------------------------------------------------------------------------
    def child_path(self, child_id: Hashable) -> str:
        """A child's address: a slash in its id would read as another level."""
        return f"{self.path.rstrip('/')}/{str(child_id).replace('/', '-')}"

    async def _start_child(self, spec: ChildSpec) -> d.Given:
        start = spec.start
        try:
            ref = await self.system.spawn(
                start.actor_class,
                *start.args,
                path=self.child_path(spec.id),
                parent=self.ref,
                while_down=spec.while_down,
                start_timeout_s=spec.start_timeout_s,
                isolation=spec.isolation,
                **start.kwargs,
            )
        except AlreadyStarted as error:  # by an outsider, whose ref the error carries
            return d.NotStarted(spec.id, error)
        except StartError as error:
            return d.NotStarted(spec.id, error.cause or error)
        if not ref.is_alive() and _ignored(ref):
            return d.Ignored(spec.id)
        # A child that has ended meanwhile is told of at once, with its true exit: it is never lost.
        monitor = self.monitor(ref)
        self._monitors[spec.id], self._monitored[monitor] = monitor, spec.id
        return d.Started(spec.id, ref, ref.incarnation)

    async def _stop_children(self, stops: tuple[d.StopChild, ...]) -> d.Stopped:
        """One after the other: a static supervisor is given one at a time."""
        return d.Stopped(tuple([(stop.child_id, await self._stop_child(stop)) for stop in stops]))

    async def _stop_child(self, stop: d.StopChild) -> Exit:
        monitor = self._monitors.pop(stop.child_id, None)
        if monitor is not None:
            del self._monitored[monitor]
            self.demonitor(monitor)
        ref = (
            cast(Ref, stop.ref)
            if stop.ref is not None
            else self.system.address(self.child_path(stop.child_id))
        )
        exit_ = await self.system.stop(ref, SHUTDOWN, stop.shutdown)
        if exit_.kind is KILLED.kind and isinstance(exit_.detail, Overrun):
            self.system.emit(
                ShutdownOverrun(
                    at_ns=self.clock.wall_ns(),
                    path=self.path,
                    child=str(stop.child_id),
                    unstopped=exit_.detail.unstopped,
                )
            )
        return exit_


def _ignored(ref: Ref) -> bool:
    return ref.last_exit is not None and isinstance(ref.last_exit.detail, Ignore)


# -- asking a supervisor ------------------------------------------------------------------------------------------


def start_child(supervisor: Ref, spec: ChildSpec, *, timeout_s: float | None = None) -> Awaitable[Ref | None]:
    """Starts one more child, last in the order, and gives its address once it runs (None: it ignored its start).

    Raises AlreadyStarted, AlreadyPresent, MaxChildren, InvalidChildSpec, CircuitOpen, or StartFailure, which keeps
    no spec. The default deadline is what the start may take, and the usual one besides.
    """
    wait_s = getattr(spec, "start_timeout_s", 0.0) + TIMEOUT_S if timeout_s is None else timeout_s
    return supervisor.call(d.AddChild(spec), timeout_s=wait_s)


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
